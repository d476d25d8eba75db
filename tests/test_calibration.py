"""Calibration on rendered boards with known truth, its refusals, and its files."""

import struct

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cv2", reason="pip install 'lpds_ros[vision]'")
import cv2  # noqa: E402
from rendered import INFO, SIZE, D, K, facing, pose_of, shots  # noqa: E402

from lpds_ros.config import ConfigError, build  # noqa: E402
from lpds_ros.geometry import from_rotation_matrix, inverse_pose, rotation_matrix  # noqa: E402
from lpds_ros.perception.calibration.board import Board, load_board  # noqa: E402
from lpds_ros.perception.calibration.calib_file import (  # noqa: E402
    Calibration,
    Frames,
    read_calibration,
    read_calibrations,
    read_samples,
    transform_of,
    write_calibration,
    write_samples,
)
from lpds_ros.perception.calibration.camera_info import camera_info, project, read_camera_info, write_camera_info  # noqa: E402
from lpds_ros.perception.calibration.hand_eye import board_pose, calibrate_hand_eye, difference  # noqa: E402
from lpds_ros.perception.calibration.intrinsics import calibrate_camera  # noqa: E402
from lpds_ros.perception.calibration.printing import board_pdf, board_png, page_m  # noqa: E402
from lpds_ros.perception.calibration.records import CalibrationError, Sample, View  # noqa: E402

BOARD = load_board()
PLACES = [(x, y) for x in (-0.13, 0.0, 0.13) for y in (-0.08, 0.0, 0.08)] * 2
ON_HAND = pose_of([0.02, -0.03, 1.55], [0.05, -0.03, -0.06])  # the camera, in the hand's frame
ON_TABLE = pose_of([np.pi, 0.0, 0.0], [0.45, 0.1, 0.01])  # the board, in the base frame


@pytest.fixture(scope="module")
def views():
    return [BOARD.detect(image, f"{i:03d}.png") for i, (image, _) in enumerate(shots())]


@pytest.fixture(scope="module")
def samples(views):
    hands = [ON_TABLE @ inverse_pose(pose) @ inverse_pose(ON_HAND) for _, pose in shots()]
    return [Sample(view.name, hand, board_pose(view, INFO), view) for view, hand in zip(views, hands)]


def far(a, b):
    """Distance mm, angle degrees."""
    m, rad = difference(a, b)
    return 1e3 * m, np.rad2deg(rad)


# -- intrinsics ---------------------------------------------------------------------------------------------


def test_intrinsics_are_found_on_rendered_boards(views):
    result = calibrate_camera(views, SIZE)
    fx, fy, cx, cy = result.info.k[0, 0], result.info.k[1, 1], result.info.k[0, 2], result.info.k[1, 2]
    assert np.abs([fx - K[0, 0], fy - K[1, 1]]).max() < 2.0 and np.abs([cx - K[0, 2], cy - K[1, 2]]).max() < 2.0
    assert result.rms_px < 0.2 and not result.left_out and result.excitation.coverage > 0.9
    assert all(0.0 < sigma < 2.0 for sigma in result.sigmas)
    # What counts is where a point is seen: everywhere in the picture within a pixel of where the true camera sees it.
    corners = np.array([[x, y, 1.0] for x in (-0.48, 0.0, 0.48) for y in (-0.36, 0.0, 0.36)])
    assert np.abs(project(corners, result.info.k, result.info.d) - project(corners, K, D)).max() < 1.0


def test_a_view_of_another_moment_is_left_out_and_named(views):
    wrong = views[4]
    broken = type(wrong)("moved.png", wrong.ids, wrong.corners + np.linspace(0, 6, len(wrong.ids))[:, None], wrong.points)
    result = calibrate_camera([*views, broken], SIZE)
    assert list(result.left_out) == ["moved.png"] and "residual" in result.left_out["moved.png"]


def seen(pose, rng, name="") -> View:
    """The corners in the picture without a picture: projected, a tenth of a pixel off."""
    points = BOARD.points @ pose[:3, :3].T + pose[:3, 3]
    corners = project(points, K, D) + rng.normal(0.0, 0.1, (len(points), 2))
    inside = ((corners > 0) & (corners < SIZE)).all(axis=1)
    return View(name, np.flatnonzero(inside), corners[inside], BOARD.points[inside])


def test_views_that_say_too_little_are_refused_with_what_is_missing(views):
    with pytest.raises(CalibrationError, match="5 different views, at least 10"):
        calibrate_camera(views[:5], SIZE)
    with pytest.raises(CalibrationError, match="1 different views"):
        calibrate_camera([views[0]] * 12, SIZE)
    rng = np.random.default_rng(2)
    flat = [seen(facing(BOARD, (*p, 0.5 + 0.1 * (i % 2)), (0, 0, 0.4 * i)), rng) for i, p in enumerate(PLACES[:12])]
    with pytest.raises(CalibrationError, match="tilt the board"):
        calibrate_camera(flat, SIZE)
    small = [seen(facing(BOARD, (-0.25, -0.15, 1.0), rng.uniform(-0.6, 0.6, 3)), rng) for _ in range(16)]
    with pytest.raises(CalibrationError, match="25 % of the picture's cells, .* bring the board to the upper right"):
        calibrate_camera(small, SIZE)


def test_projection_is_opencvs():
    points = np.random.default_rng(0).uniform([-0.3, -0.2, 0.4], [0.3, 0.2, 1.0], (50, 3))
    for d in (D, np.array([0.3, -0.1, 0.001, 0.002, 0.05, 0.25, -0.08, 0.02])):
        theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, d)[0].reshape(-1, 2)
        np.testing.assert_allclose(project(points, K, d), theirs, atol=1e-9)
    assert np.isnan(project(np.array([[0.0, 0.0, -1.0]]), K, D)).all()


# -- hand-eye -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [INFO, None], ids=["corners", "poses"])
def test_a_camera_on_the_hand_is_found_within_a_millimetre(samples, info):
    result = calibrate_hand_eye(samples, "eye_in_hand", info)
    mm, degrees = far(result.camera, ON_HAND)
    assert mm < 1.0 and degrees < 0.1
    assert far(result.board, ON_TABLE)[0] < 1.0
    assert len(result.methods) == 6 and result.methods["refined"][0] < 1e-3
    assert 0.0 < result.sigma_m < 1e-3 and 0.0 < result.sigma_rad < np.deg2rad(0.1)
    assert (result.rms_px < 0.2) if info else np.isnan(result.rms_px)


def test_a_camera_in_the_cell_is_found_with_an_arm_that_is_a_little_wrong(samples):
    rng = np.random.default_rng(3)
    camera, on_hand = pose_of([2.2, 0.1, -0.3], [1.1, 0.2, 0.6]), pose_of([0.2, 0.1, 0.0], [0.02, -0.1, 0.08])
    moved = []
    for s in samples:
        hand = camera @ s.board @ inverse_pose(on_hand) @ pose_of(rng.normal(0, 2e-4, 3), rng.normal(0, 1e-4, 3))
        moved.append(Sample(s.name, hand, s.board, s.view))
    result = calibrate_hand_eye(moved, "eye_on_base", INFO)
    mm, degrees = far(result.camera, camera)
    assert mm < 1.0 and degrees < 0.1
    assert mm < 5e3 * result.sigma_m, "the stated deviation knows of the arm's error"


def test_a_sample_of_another_moment_is_left_out_and_named(samples):
    late = Sample("late", samples[3].hand, samples[4].board, samples[4].view)
    result = calibrate_hand_eye([*samples, late], "eye_in_hand", INFO)
    assert list(result.left_out) == ["late"] and far(result.camera, ON_HAND)[0] < 1.0


def test_poses_that_say_too_little_are_refused_with_what_is_missing(samples):
    with pytest.raises(CalibrationError, match="9 samples, at least 10"):
        calibrate_hand_eye(samples[:9], "eye_in_hand", INFO)
    start = samples[0].hand
    for axis, told in ((0, "its x axis"), (2, "its z axis")):
        turns = [pose_of(0.12 * i * np.eye(3)[axis], [0.03 * i, 0, 0]) for i in range(12)]
        boards = [inverse_pose(start @ t @ ON_HAND) @ ON_TABLE for t in turns]
        one_axis = [Sample(str(i), start @ t, b) for i, (t, b) in enumerate(zip(turns, boards))]
        with pytest.raises(CalibrationError, match=f"about {told} .* but only by 0.0° about any other"):
            calibrate_hand_eye(one_axis, "eye_in_hand")
    shifted = [Sample(s.name, pose_of([0, 0, 0], s.hand[:3, 3]), s.board) for s in samples]
    with pytest.raises(CalibrationError, match="turn it farther"):
        calibrate_hand_eye(shifted, "eye_in_hand")


def test_poses_that_contradict_each_other_are_refused(samples):
    with pytest.raises(CalibrationError, match="contradict each other"):
        calibrate_hand_eye(samples, "eye_on_base", INFO)


# -- files ----------------------------------------------------------------------------------------------------

numbers = st.floats(-5.0, 5.0, allow_nan=False)
axes = st.tuples(numbers, numbers, numbers)


@settings(max_examples=25)
@given(axes, axes, st.sampled_from(["eye_in_hand", "eye_on_base"]))
def test_a_calibration_survives_its_file(tmp_path_factory, turn, place, kind):
    pose = pose_of(turn, place)
    path = tmp_path_factory.mktemp("calib") / "wrist.calib"
    frames = Frames("wrist", kind, "base", "fr3_hand_tcp", "camera_link")
    write_calibration(path, Calibration(frames, transform_of(pose)))
    read, again = read_calibrations(f"{path}, {path},")  # as a launch argument may name them
    assert again == read
    assert read.parameters == frames and read.parameters.parent == ("fr3_hand_tcp" if kind == "eye_in_hand" else "base")
    np.testing.assert_allclose(read.transform.matrix, pose, atol=1e-9)
    write_samples(path, [Sample("a", pose, pose)], frames)
    (sample,) = read_samples(path, kind)
    np.testing.assert_allclose([sample.hand, sample.board], [pose, pose], atol=1e-8)


@settings(max_examples=25)
@given(axes)
def test_a_rotation_survives_its_matrix(turn):
    matrix = pose_of(turn, (0, 0, 0))[:3, :3]
    np.testing.assert_allclose(rotation_matrix(from_rotation_matrix(matrix)), matrix, atol=1e-9)


def test_calib_files_have_easy_handeye2s_layout(tmp_path):
    """Keys and order of HandeyeCalibration.msg as rosidl's message_to_yaml writes them, read by a plain YAML reader."""
    frames = Frames("wrist", "eye_in_hand", "base", "fr3_hand_tcp", "camera_link")
    write_calibration(tmp_path / "wrist.calib", Calibration(frames, transform_of(ON_HAND)))
    tree = yaml.safe_load((tmp_path / "wrist.calib").read_text())
    assert list(tree) == ["parameters", "transform"]
    assert list(tree["parameters"])[:6] == [
        "name", "calibration_type", "robot_base_frame", "robot_effector_frame", "tracking_base_frame", "tracking_marker_frame",
    ]  # fmt: skip
    assert [list(part) for part in tree["transform"].values()] == [["x", "y", "z"], ["x", "y", "z", "w"]]
    assert all(type(v) is float for part in tree["transform"].values() for v in part.values())
    # For eye on base it keeps the base in the hand's frame.
    write_samples(tmp_path / "s.samples", [Sample("a", ON_HAND, ON_TABLE)], Frames("f", "eye_on_base", "b", "e", "c"))
    tree = yaml.safe_load((tmp_path / "s.samples").read_text())
    kept = tree["samples"][0]["robot"]["translation"]
    np.testing.assert_allclose(list(kept.values()), inverse_pose(ON_HAND)[:3, 3])


def test_samples_of_easy_handeye2_without_frames_are_read(tmp_path):
    path = tmp_path / "old.samples"
    unit = "{translation: {x: 0.1, y: 0.0, z: 0.2}, rotation: {x: 0.0, y: 0.0, z: 0.0, w: 1.0}}"
    path.write_text(f"parameters: {{name: '', freehand_robot_movement: false}}\nsamples:\n- robot: {unit}\n  tracking: {unit}\n")
    (sample,) = read_samples(path, "eye_in_hand")
    assert sample.hand[:3, 3].tolist() == [0.1, 0.0, 0.2]


@settings(max_examples=25)
@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.sampled_from([4, 5, 8]), st.integers(1, 4000))
def test_camera_info_survives_its_file(tmp_path_factory, d, count, width):
    path = tmp_path_factory.mktemp("info") / "camera.yaml"
    info = camera_info("front", (width, 480), K, np.resize(d, count), "rational_polynomial" if count == 8 else "plumb_bob")
    write_camera_info(path, info)
    assert read_camera_info(path) == info


def test_camera_info_has_the_layout_of_camera_calibration_parsers(tmp_path):
    write_camera_info(tmp_path / "camera.yaml", INFO)
    text = (tmp_path / "camera.yaml").read_text()
    tree = yaml.safe_load(text)
    assert list(tree) == [
        "image_width", "image_height", "camera_name", "camera_matrix", "distortion_model", "distortion_coefficients",
        "rectification_matrix", "projection_matrix", "binning_x", "binning_y", "roi",
    ]  # fmt: skip
    assert tree["camera_matrix"] == {"rows": 3, "cols": 3, "data": K.ravel().tolist()}
    assert tree["distortion_coefficients"] == {"rows": 1, "cols": 5, "data": D.tolist()}
    assert (tree["projection_matrix"]["rows"], tree["projection_matrix"]["cols"]) == (3, 4)
    assert list(tree["roi"]) == ["x_offset", "y_offset", "height", "width", "do_rectify"]
    assert "  data: [612.3, 0.0, 322.7," in text, "a row of numbers, as yaml-cpp has it"


@pytest.mark.parametrize(
    "change, told",
    [
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [0.0] * 9}}, "is the camera calibrated"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [1.0] * 8}}, "data holds 8 numbers"),
        ({"camera_matrix": {"rows": 3, "cols": 3, "data": [float("nan")] * 9}}, "not a finite number|not finite"),
        ({"distortion_model": "equidistant"}, "not one of plumb_bob"),
        ({"distortion_coefficients": {"rows": 1, "cols": 3, "data": [0.0] * 3}}, "4 or 5"),
        ({"projection_matrix": {"rows": 4, "cols": 3, "data": [0.0] * 12}}, "not 3 × 4"),
        ({"image_width": 0}, "image_width"),
        ({"distortion_coefficents": None}, "did you mean 'distortion_coefficients'"),
    ],
)
def test_a_bad_camera_info_is_refused(tmp_path, change, told):
    write_camera_info(tmp_path / "camera.yaml", INFO)
    tree = yaml.safe_load((tmp_path / "camera.yaml").read_text()) | change
    (tmp_path / "camera.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=told):
        read_camera_info(tmp_path / "camera.yaml")


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("w: 1.0", "w: 0.5", "length"),
        ("eye_in_hand", "eye_in_foot", "eye_on_base"),
        ("x: 0.1", "x: .inf", "finite"),
        ("tracking_base_frame: camera_link", "tracking_base_frame: ''", "must name frames"),
        ("    x: 0.1\n", "", "'x' is missing"),
    ],
)
def test_a_bad_calibration_is_refused(tmp_path, old, new, told):
    path = tmp_path / "wrist.calib"
    frames = Frames("wrist", "eye_in_hand", "base", "fr3_hand_tcp", "camera_link")
    write_calibration(path, Calibration(frames, transform_of(pose_of([0, 0, 0], [0.1, 0, 0]))))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=told):
        read_calibration(path)


# -- the board ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, told",
    [
        ({"dictionary": "DICT_5X5_10"}, "did you mean 'DICT_5X5_100'"),
        ({"marker_m": 0.03}, "marker_m < square_m"),
        ({"square_m": 24.0}, "metres"),
        ({"squares_x": 30, "squares_y": 30}, "needs 450"),
        ({"squares_x": 2}, "3 to 40"),
        ({"schema": 2}, "schema 2"),
    ],
)
def test_a_board_that_is_none_is_refused(change, told):
    board = {"schema": 1, "squares_x": 11, "squares_y": 8, "square_m": 0.024, "marker_m": 0.018, "dictionary": "DICT_5X5_100"}
    with pytest.raises(ConfigError, match=told):
        build(Board, board | change, "board.yaml")


def test_the_printed_board_is_found_whole_and_true_to_size(tmp_path):
    from lpds_ros.cli import main

    for name in ("board.png", "board.pdf"):
        assert main(["calibrate", "board", str(tmp_path / name)]) == 0
    png = (tmp_path / "board.png").read_bytes()
    assert png == board_png(BOARD, 600)
    per_m, _, unit = struct.unpack(">IIB", png[png.index(b"pHYs") + 4 :][:9])
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert unit == 1 and abs(image.shape[1] / per_m - page_m(BOARD)[0]) < 1e-4
    view = BOARD.detect(image)
    assert len(view.ids) == (BOARD.squares_x - 1) * (BOARD.squares_y - 1)
    across = np.linalg.norm(view.corners[-1] - view.corners[0]) / per_m
    assert abs(across - np.linalg.norm(view.points[-1] - view.points[0])) < 5e-5
    pdf = (tmp_path / "board.pdf").read_bytes()
    width, height = (v * 72 / 0.0254 for v in page_m(BOARD))
    assert pdf == board_pdf(BOARD) and f"/MediaBox [0 0 {width:.4f} {height:.4f}]".encode() in pdf
    start = int(pdf.split(b"startxref\n")[1].split()[0])
    assert pdf[start:].startswith(b"xref\n0 5\n") and pdf.count(b" re\n") == len(BOARD.black())
    for number, line in enumerate(pdf[start:].splitlines()[3:7], 1):
        assert pdf[int(line.split()[0]) :].startswith(b"%d 0 obj" % number)


def test_the_board_may_be_another(tmp_path):
    legacy = Board(1, 6, 8, 0.03, 0.022, "DICT_4X4_50", legacy=True)
    image = cv2.imdecode(np.frombuffer(board_png(legacy, 200), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert len(legacy.detect(image).ids) == 35
