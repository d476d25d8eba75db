"""F02 and F03 of the cameras: a frozen picture is no picture, and one that was lost comes back only through lpds/arm."""

import threading

import numpy as np
import pytest
from pictured import SIDE, small_contract
from steering_fakes import DOWN, SECOND, Cell

from lpds_ros.images import Picture
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.encoding import EncoderLoop
from lpds_ros.perception.frozen import FrozenPictures
from lpds_ros.records import Mode

MS = 1_000_000
FRESH, GONE = {"front": 0.03, "wrist": 0.05}, {"front": 0.03, "wrist": 9.0}


def picture(value=7):
    return np.full((4, 4, 3), value, np.uint8)


def pose(x, turn=0.0):
    return np.array([x, 0.0, 0.3]), np.array([np.cos(turn / 2), np.sin(turn / 2), 0.0, 0.0])


# -- frozen pictures ----------------------------------------------------------


def test_the_same_bytes_under_new_stamps_are_refused_once_the_tool_has_moved():
    frozen = FrozenPictures()
    said = [frozen.look("front", SECOND + k * 33 * MS, picture(), pose(0.5 + 0.004 * k)) for k in range(6)]
    assert said[:3] == ["", "", ""] and all("frozen" in text for text in said[3:])
    assert "for 0.10 s, and the tool has moved by 12 mm" in said[3]
    changed = picture()
    changed[3, 3, 2] += 1
    assert frozen.look("front", 2 * SECOND, changed, pose(0.6)) == ""


def test_a_turned_hand_counts_as_moved_and_each_camera_for_itself():
    frozen = FrozenPictures()
    for name, turn in (("front", 0.0), ("wrist", 0.0), ("front", 0.2)):
        said = frozen.look(name, SECOND, picture(), pose(0.5, turn))
        assert ("frozen" in said) is (turn > 0.1)
    assert frozen.look("wrist", 2 * SECOND, picture(), pose(0.5)) == ""


def test_an_arm_at_rest_or_unknown_freezes_no_picture():
    frozen = FrozenPictures()
    for k in range(50):
        assert frozen.look("front", SECOND + k, picture(), pose(0.5 + 0.0001 * k)) == ""
        assert frozen.look("wrist", SECOND + k, picture(), None) == ""
    assert frozen.look("wrist", 2 * SECOND, picture(), pose(0.5)) == ""
    assert "frozen" in frozen.look("wrist", 3 * SECOND, picture(), pose(0.6))  # from where it first was known
    assert frozen.look("front", SECOND - 1, picture(), pose(0.9)) == ""  # another time has begun


def test_a_frozen_picture_is_refused_before_it_is_encoded():
    contract, ending, refused = small_contract(), threading.Event(), []

    def encode(name, image):
        raise AssertionError("it was encoded")

    def on_refused(name, why):
        refused.append((name, why))
        ending.set()

    streams = {name: contract.streams[name] for name in contract.images}
    loop = EncoderLoop(streams, encode, lambda *features: None, on_refused, lambda name, stamp, image: f"frozen at {stamp}")
    loop.offer("wrist", Picture(SECOND, "rgb8", SIDE, SIDE, 3 * SIDE, bytes(3 * SIDE * SIDE)))
    loop.run(ending)
    assert refused == [("wrist", f"frozen at {SECOND}")]


def test_the_pose_that_belongs_to_a_picture_is_the_one_of_its_time():
    aligner = Aligner(small_contract())
    assert aligner.pose_at(SECOND) is None and aligner.pose_at(0) is None
    for k in range(10):
        aligner.push_pose("pose", SECOND + 10 * k * MS, [0.1 * k, 0.0, 0.3], DOWN)
    assert aligner.pose_at(SECOND + 42 * MS)[0][0] == pytest.approx(0.4)
    assert aligner.pose_at(SECOND + 108 * MS)[0][0] == pytest.approx(0.9)
    assert aligner.pose_at(SECOND + 111 * MS) is None and aligner.pose_at(SECOND - 21 * MS) is None


def test_the_perception_node_accounts_for_the_age_of_pictures_at_each_stage():
    pytest.importorskip("rclpy", reason="lpds_ros.nodes")
    from lpds_ros.nodes.perception_stages import ENCODED, RECEIVED, PictureStages

    now = [0]
    stages = PictureStages(("front",), lambda: now[0])
    for k in range(3):
        now[0] = SECOND + (10 + k) * MS
        stages.note("front", RECEIVED, SECOND)
    now[0] = SECOND + 20 * MS
    stages.note("front", ENCODED, SECOND)
    assert stages.summary() == (
        "pictures of front: 1 encoded of 3, received p50 11.0 ms p99 12.0 ms, features p50 20.0 ms p99 20.0 ms after the stamp"
    )


# -- lost cameras -------------------------------------------------------------


@pytest.fixture
def cell():
    cell = Cell(contract=small_contract())
    cell.steps(3, ages_s=FRESH)
    assert cell.ticks[-1].mode == Mode.PRIOR
    return cell


def dark(cell, ticks):
    return cell.steps(ticks, valid=False, reason="stream 'wrist' is 9.00 s old", ages_s=GONE)


def test_a_short_gap_is_a_hold_that_ends_by_itself(cell):
    period = cell.contract.period_s
    assert {tick.mode for tick in dark(cell, round(1.0 / period))} == {Mode.HOLD}
    ticks = cell.steps(6, ages_s=FRESH)
    assert cell.core.latched is None and ticks[-1].mode == Mode.PRIOR and not cell.episodes


def test_a_lost_camera_truncates_the_episode_and_holds_until_somebody_arms(cell):
    ticks = dark(cell, round(1.2 / cell.contract.period_s))
    assert {tick.mode for tick in ticks} == {Mode.HOLD}
    (episode,) = cell.episodes
    assert "camera 'wrist' (camera/wrist/color/image_raw) was lost" in episode.reason and not episode.success
    assert cell.decisions[-1].truncated and not cell.decisions[-1].terminated
    # It is back: seconds of good pictures change nothing.
    back = cell.steps(40, ages_s=FRESH)
    assert {tick.mode for tick in back} == {Mode.HOLD} and all("lpds/arm" in tick.reason for tick in back)
    np.testing.assert_allclose(back[-1].targets[-1].position, back[0].targets[0].position)
    cell.core.arm()
    cell.core.begin_episode(1, 8)
    assert cell.steps(6, ages_s=FRESH)[-1].mode == Mode.PRIOR


def test_a_camera_that_is_still_away_is_named_to_who_arms(cell):
    dark(cell, 30)
    assert "'wrist' (camera/wrist/color/image_raw) shows nothing yet" in cell.core.lost_camera
    cell.steps(1, ages_s=FRESH)
    assert cell.core.lost_camera == "" and cell.core.latched[0] == Mode.HOLD


def test_a_stop_while_it_is_away_is_a_stop(cell):
    dark(cell, 30)
    cell.core.stop("the operator stopped the arm")
    assert dark(cell, 1)[0].mode == Mode.STOP and cell.core.latched[1] == "the operator stopped the arm"


def test_silence_of_perception_or_a_camera_never_seen_is_no_loss():
    cell = Cell(contract=small_contract())
    dark(cell, 24)  # at the start: a HOLD as of any stream that is missing
    assert cell.core.latched is None
    cell.steps(6, ages_s=FRESH)
    cell.steps(24, valid=False, reason="no observation for 3.00 s: is perception running?")
    cell.steps(6, ages_s=FRESH)
    assert cell.core.latched is None and cell.ticks[-1].mode == Mode.PRIOR
    cell.now_ns -= 10 * SECOND  # a clock that was set back says nothing of cameras
    dark(cell, 3)
    assert cell.core.latched is None
