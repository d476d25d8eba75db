"""Pictures on their way into an observation: their size, the contract's streams of them, their time, their encoder."""

import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpds_ros.contract import IMAGE, ContractError, Feature, Stream, contract_directory, contract_to_dict, load_contract
from lpds_ros.images import ImageError, Picture, fitted
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.encoding import EncoderLoop

CONTRACT = load_contract(contract_directory() / "lift_images.yaml")
SECOND, MS = 1_000_000_000, 1_000_000


def stream(width, height, fit="crop"):
    return Stream("camera", IMAGE, 0.2, width, height, fit)


def mean_over_area(rgb, width, height):
    """The definition, pixel by pixel, in fractions."""
    rows, columns = rgb.shape[:2]
    out = np.zeros((height, width, 3), np.uint8)
    for i in range(height):
        for j in range(width):
            total = [Fraction(0)] * 3
            top, left = Fraction(i * rows, height), Fraction(j * columns, width)
            bottom, right = Fraction((i + 1) * rows, height), Fraction((j + 1) * columns, width)
            for r in range(int(top), min(rows, -(-bottom.numerator // bottom.denominator))):
                for c in range(int(left), min(columns, -(-right.numerator // right.denominator))):
                    covered = (min(r + 1, bottom) - max(r, top)) * (min(c + 1, right) - max(c, left))
                    total = [t + covered * int(v) for t, v in zip(total, rgb[r, c])]
            out[i, j] = [int(t / ((bottom - top) * (right - left)) + Fraction(1, 2)) for t in total]
    return out


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 8), st.integers(0, 8), st.integers(0, 2**32))
def test_a_reduced_picture_is_the_mean_over_each_new_pixels_area(width, height, wider, higher, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height + higher, width + wider, 3), np.uint8)
    np.testing.assert_array_equal(fitted(rgb, stream(width, height, "stretch")), mean_over_area(rgb, width, height))


def test_white_stays_white_at_the_largest_area_that_is_summed():
    white = np.full((4096, 4096, 3), 255, np.uint8)
    assert fitted(white, stream(2, 2)).min() == 255
    with pytest.raises(ImageError, match="summed exactly"):
        fitted(np.zeros((4097, 4096, 3), np.uint8), stream(2, 2, "stretch"))


def test_crop_takes_the_middle_and_stretch_all():
    rgb = np.zeros((4, 8, 3), np.uint8)
    rgb[:, 2:6] = 200
    assert fitted(rgb, stream(2, 2)).min() == 200
    assert fitted(rgb, stream(4, 2, "stretch"))[0, :, 0].tolist() == [0, 200, 200, 0]
    np.testing.assert_array_equal(fitted(rgb, stream(8, 4)), rgb)


def test_pixels_are_never_made_up():
    with pytest.raises(ImageError, match="5 x 5 pixels are there, the contract's is 6 x 6: set the camera to a higher"):
        fitted(np.zeros((5, 9, 3), np.uint8), stream(6, 6))


def test_both_orders_of_the_channels_are_read_and_rows_may_be_padded():
    rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    padded = np.concatenate([rgb.reshape(2, 9), np.full((2, 7), 99, np.uint8)], axis=1)
    np.testing.assert_array_equal(Picture(1, "rgb8", 3, 2, 16, padded.tobytes()).rgb(), rgb)
    np.testing.assert_array_equal(Picture(1, "bgr8", 3, 2, 9, rgb[..., ::-1].tobytes()).rgb(), rgb)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"encoding": "16UC1"}, "'16UC1': set the camera to rgb8 or bgr8"),
        ({"data": b"12345"}, "5 bytes are no picture of 3 x 2 pixels in rows of 9"),
        ({"step_bytes": 8}, "in rows of 8"),
        ({"width_px": 0}, "0 x 2 pixels"),
    ],
)
def test_bytes_that_are_no_picture_are_refused_by_name(change, text):
    whole = {"encoding": "rgb8", "width_px": 3, "height_px": 2, "step_bytes": 9, "data": bytes(18)}
    with pytest.raises(ImageError, match=text):
        Picture(1, **{**whole, **change}).rgb()


# -- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, digest",
    [
        ("lift", "6f3f859b6fe1e50e5f5fd7ae3c41fac1195667efc5698c4bf3f6f36c7eaf87e2"),
        ("pick_place", "918aab8faa83d55ef9cb3ae9fb973d08fe565a6a88ca340b68eec2eaf7030622"),
    ],
)
def test_contracts_without_images_keep_the_digest_they_had(name, digest):
    assert load_contract(contract_directory() / f"{name}.yaml").digest == digest


def changed(feature=None, **stream_changes):
    front = replace(CONTRACT.streams["front"], **stream_changes)
    observation = tuple(replace(f, **feature) if feature and f.stream == "front" else f for f in CONTRACT.observation)
    return replace(CONTRACT, streams={**CONTRACT.streams, "front": front}, observation=observation)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"width_px": 0}, "an Image needs width_px and height_px"),
        ({"height_px": 5000}, "1 to 4096"),
        ({"type": "geometry_msgs/msg/PoseStamped"}, "belong to an Image alone"),
        ({"feature": {"stream": "wrist"}}, "stream 'front' is an Image: exactly one feature is made of it, not 0"),
        ({"feature": {"field": "position"}}, "unknown field 'position'; valid: image"),
        ({"feature": {"reduce": "sum", "size": 1}}, "neither reduced nor relative"),
        ({"feature": {"relative_to": "wrist"}}, "neither reduced nor relative"),
    ],
)
def test_what_is_no_stream_of_images_is_refused(change, text):
    with pytest.raises(ContractError, match=text):
        changed(**change)


def test_the_pictures_size_is_part_of_the_contract():
    assert len({CONTRACT.digest, changed(width_px=64).digest, changed(fit="stretch").digest}) == 3
    assert contract_to_dict(CONTRACT)["streams"]["pose"].keys() == {"topic", "type", "max_age_s"}
    assert CONTRACT.images == {f.stream: f for f in CONTRACT.observation if f.field == "image"}


# -- alignment -------------------------------------------------------------------------------------------------------


def robot_at(aligner, stamp_ns, x):
    aligner.push_pose("pose", stamp_ns, [x, 0.1, 0.3], [1.0, 0.0, 0.0, 0.0])
    aligner.push_joints("joint_state", stamp_ns, np.full(7, x))
    aligner.push_joints("gripper", stamp_ns, [x / 10, 0.0])


def both(aligner, stamp_ns, encode_s=0.0):
    aligner.push_features("front", stamp_ns, np.full(32, 0.25), encode_s)
    aligner.push_features("wrist", stamp_ns, np.full(32, -0.5), encode_s)


def test_features_stand_beside_the_robot_as_it_was_when_the_picture_was_taken():
    aligner, slices = Aligner(CONTRACT), CONTRACT.feature_slices()
    for k in range(20):
        robot_at(aligner, SECOND + k * 10 * MS, k)
    aligner.push_features("front", SECOND + 105 * MS, np.arange(32) / 32, 0.004)
    aligner.push_features("wrist", SECOND + 118 * MS, np.zeros(32), 0.003)
    observation = aligner.observe(SECOND + 190 * MS)
    assert observation.valid, observation.reason
    assert observation.data[slices["ee_position"]][0] == 10 and observation.data[slices["gripper_width"]] == np.float32(1.0)
    assert observation.data[slices["front_features"]].tolist() == (np.arange(32) / 32).tolist()
    # What steering measures the robot by is now, not then.
    assert observation.position[0] == 19 and observation.joints[0] == 19 and observation.gripper_width == pytest.approx(1.9)
    assert observation.ages_s["front"] == pytest.approx(0.085) and observation.ages_s["pose"] == 0.0
    assert observation.encode_s == pytest.approx(0.007)


@pytest.mark.parametrize("age_ms, valid", [(200, True), (201, False), (-19, True), (-21, False)])
def test_pictures_have_an_age_of_both_signs(age_ms, valid):
    aligner, now = Aligner(CONTRACT), 2 * SECOND
    for k in range(-40, 3):
        robot_at(aligner, now + k * 10 * MS, 1.0)
    both(aligner, now - age_ms * MS)
    observation = aligner.observe(now)
    assert observation.valid is valid and ("'front'" in observation.reason) is not valid


def test_a_camera_that_repeats_a_stamp_grows_old():
    aligner = Aligner(CONTRACT)
    reasons = []
    for k in range(23):
        robot_at(aligner, SECOND + k * 10 * MS, 1.0)
        both(aligner, SECOND)
        reasons.append(aligner.observe(SECOND + k * 10 * MS).reason)
    assert not any(reasons[:21]) and "stream 'front' (camera/camera/color/image_raw) is 0.21 s old" in reasons[21]


def test_a_robot_stream_that_does_not_reach_back_to_the_picture_is_named():
    aligner = Aligner(CONTRACT)
    robot_at(aligner, SECOND + 100 * MS, 1.0)
    both(aligner, SECOND + 40 * MS)
    reason = aligner.observe(SECOND + 110 * MS).reason
    assert "stream 'pose'" in reason and "the nearest is 0.06 s younger" in reason


@pytest.mark.parametrize(
    "features, text", [(np.zeros(31), "gave (31,) numbers, expected 32"), (np.full(32, np.nan), "image[0] is nan")]
)
def test_features_that_are_none_are_named(features, text):
    aligner = Aligner(CONTRACT)
    robot_at(aligner, SECOND, 1.0)
    both(aligner, SECOND)
    aligner.push_features("front", SECOND + 300 * MS, features)
    assert text in aligner.observe(SECOND + 300 * MS).reason


def test_in_lockstep_an_observation_waits_for_every_picture_of_its_tick():
    aligner = Aligner(CONTRACT)
    robot_at(aligner, SECOND, 1.0)
    aligner.push_task(SECOND, 0.0, False)
    aligner.push_features("front", SECOND, np.zeros(32))
    assert not aligner.complete_at(SECOND)
    aligner.push_features("wrist", SECOND, np.zeros(32))
    assert aligner.complete_at(SECOND) and aligner.observe(SECOND, exact=True).valid


# -- the encoder's thread --------------------------------------------------------------------------------------------


def picture(stamp_ns, value=0, encoding="rgb8"):
    return Picture(stamp_ns, encoding, 96, 96, 288, np.full(96 * 288, value, np.uint8))


def test_the_newest_picture_of_each_stream_is_encoded_and_none_starves():
    begun, go, ending, out = threading.Event(), threading.Event(), threading.Event(), []

    def encode(name, image):
        begun.set()
        assert go.wait(30)
        return np.array([image[0, 0, 0]])

    def on_features(name, stamp_ns, features, encode_s):
        out.append((name, stamp_ns, int(features[0])))
        if len(out) == 3:
            ending.set()

    loop = EncoderLoop({n: CONTRACT.streams[n] for n in CONTRACT.images}, encode, on_features, lambda *refused: None)
    thread = threading.Thread(target=loop.run, args=(ending,))
    thread.start()
    loop.offer("front", picture(1, 10))
    assert begun.wait(30)
    loop.offer("wrist", picture(2, 20))
    for stamp_ns in (3, 4, 5):  # while the first is encoded: only the last of them is worth it
        loop.offer("front", picture(stamp_ns, 10 * stamp_ns))
        loop.offer("wrist", picture(stamp_ns, 10 * stamp_ns + 1))
    go.set()
    thread.join(30)
    assert out == [("front", 1, 10), ("wrist", 5, 51), ("front", 5, 50)]


def test_a_picture_that_cannot_be_used_is_refused_by_name():
    ending, refused = threading.Event(), []

    def on_refused(name, why):
        refused.append((name, why))
        ending.set()

    loop = EncoderLoop({"front": CONTRACT.streams["front"]}, None, None, on_refused)
    loop.offer("front", picture(1, encoding="yuv422_yuy2"))
    loop.run(ending)
    assert refused[0][0] == "front" and "rgb8 or bgr8" in refused[0][1]


def test_a_feature_needs_its_stream_to_be_an_image():
    with pytest.raises(ContractError, match="unknown field 'image'"):
        replace(CONTRACT, observation=(*CONTRACT.observation, Feature("more", "pose", "image", 3)))


def test_an_episode_does_not_begin_with_a_picture_from_before_the_reset():
    """Seen: chunks decoded from the wrist camera's last picture of the episode before, in real time."""
    from lpds_ros.records import Mode
    from lpds_ros.steering.core import SteeringCore, SteeringParams

    aligner, core = Aligner(CONTRACT), SteeringCore(CONTRACT, SteeringParams(), None, seed=0, session="s")
    reset_ns, said = SECOND + 100 * MS, []
    core.begin_episode(0, 0, not_before_ns=reset_ns)
    for k in range(20):
        now_ns = SECOND + k * 10 * MS
        robot_at(aligner, now_ns, 0.5)
        both(aligner, now_ns - 35 * MS)
        observation = aligner.observe(now_ns)
        tick = core.tick(observation)
        if observation.valid and now_ns >= reset_ns:
            said.append((tick.mode, "first state of the episode" in tick.reason))
    assert said == [(Mode.HOLD, True)] * 4 + [(Mode.HOLD, False)] * 6
