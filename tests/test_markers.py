"""An object's pose from markers: on synthetic corners, in rendered pictures of the simulation, and through the node."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("cv2", reason="pip install 'lpds_ros[vision]'")
import cv2  # noqa: E402
from rendered import INFO, pose_of  # noqa: E402

from lpds_ros.config import ConfigError, build  # noqa: E402
from lpds_ros.geometry import inverse_pose  # noqa: E402
from lpds_ros.perception.calibration.camera_info import project  # noqa: E402
from lpds_ros.perception.calibration.hand_eye import difference  # noqa: E402
from lpds_ros.perception.frames import FrameError  # noqa: E402
from lpds_ros.perception.marker_set import Marker, MarkerSet, load_markers  # noqa: E402
from lpds_ros.perception.markers import CONFIRMED, Limits, MarkerTracker, Seen  # noqa: E402
from lpds_ros.perception.pose_history import PoseHistory  # noqa: E402
from lpds_ros.perception.squares import narrowness, refined  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402

CUBE = load_markers(resource("calibration/markers_cube.yaml"))
ONE = MarkerSet(1, "DICT_APRILTAG_36h11", (Marker(7, 0.04, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),))
CAMERA = pose_of([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])  # its optical frame is the base frame
TILTED = pose_of([np.pi - 0.6, 0.0, 0.0], [0.02, 0.01, 0.5])  # the marker looks at the camera, obliquely
SECOND = 1_000_000_000


def seen(markers, pose, ids=None, off=0.0, rng=None) -> Seen:
    """Corners of markers of an object at `pose` in the camera's frame, `off` px of noise on them."""
    kept = [m for m in markers.markers if ids is None or m.id in ids]
    corners = [project(m.points @ pose[:3, :3].T + pose[:3, 3], INFO.k, INFO.d) for m in kept]
    corners = np.array(corners) + (rng.normal(0.0, off, (len(kept), 4, 2)) if off else 0.0)
    return Seen(tuple(m.id for m in kept), corners)


def test_one_marker_gives_its_pose():
    sighting, reason = MarkerTracker(ONE).locate(seen(ONE, TILTED), INFO, CAMERA, SECOND)
    assert reason == "" and sighting.ids == (7,) and sighting.rms_px < 1e-3
    m, rad = difference(sighting.pose, TILTED)
    assert m < 1e-6 and rad < 1e-5
    elsewhere = pose_of([0.1, 2.0, 0.3], [1.0, 0.2, 0.7])
    sighting, _ = MarkerTracker(ONE).locate(seen(ONE, TILTED), INFO, elsewhere, SECOND)
    assert difference(sighting.pose, elsewhere @ TILTED)[0] < 1e-6


def test_several_markers_are_one_object():
    rng = np.random.default_rng(0)
    pose = pose_of([2.4, 0.1, 0.2], [0.02, 0.01, 0.5])
    facing = [m.id for m in CUBE.markers if (pose[:3, :3] @ m.pose[:3, 2])[2] < -0.3]
    assert len(facing) == 2
    tracker = MarkerTracker(dataclasses.replace(CUBE, upright_rad=0.0))
    sighting, _ = tracker.locate(seen(CUBE, pose, facing, 0.1, rng), INFO, CAMERA, SECOND)
    assert sighting.ids == tuple(facing) and difference(sighting.pose, pose)[0] < 2e-3


def test_two_poses_that_look_alike_are_told_apart_or_refused():
    far = pose_of([np.pi - 0.15, 0.1, 0.0], [0.05, 0.02, 1.2])  # small and nearly from the front: no perspective to go by
    rng = np.random.default_rng(1)
    blurred = seen(ONE, far, off=0.15, rng=rng)
    sighting, reason = MarkerTracker(ONE).locate(blurred, INFO, CAMERA, SECOND)
    assert sighting is None and "fit equally well" in reason
    # Which way is up tells them apart: the object stands straight, the other pose would be tilted by twice the camera's angle.
    sighting, _ = MarkerTracker(dataclasses.replace(ONE, upright_rad=0.15)).locate(blurred, INFO, inverse_pose(far), SECOND)
    assert difference(sighting.pose, np.eye(4))[1] < 0.15
    lying = pose_of([1.3, 0, 0], [0, 0, 0])
    sighting, _ = MarkerTracker(dataclasses.replace(ONE, upright_rad=0.15)).locate(
        seen(ONE, TILTED), INFO, lying @ inverse_pose(TILTED), SECOND
    )
    assert difference(sighting.pose, lying)[1] < 1e-4, "what is plain to see need not stand upright"
    # So does the last pose, while it is recent.
    tracker = MarkerTracker(ONE)
    near = pose_of([np.pi - 0.15, 0.1, 0.0], [0.05, 0.02, 0.3])
    assert tracker.locate(seen(ONE, near), INFO, inverse_pose(near), SECOND)[0] is not None
    moved, reason = tracker.locate(blurred, INFO, inverse_pose(far), SECOND + 50_000_000)
    assert reason == "" and difference(moved.pose, np.eye(4))[1] < 0.2
    assert tracker.locate(blurred, INFO, inverse_pose(far), 9 * SECOND)[0] is None


def test_corners_that_fit_no_pose_are_refused():
    found = seen(ONE, TILTED)
    found.corners[0, 0] += (9.0, -7.0)
    sighting, reason = MarkerTracker(ONE).locate(found, INFO, CAMERA, SECOND)
    assert sighting is None and "px off" in reason


def test_a_jump_is_refused_until_it_has_stayed():
    tracker = MarkerTracker(ONE, Limits(max_speed_mps=1.0))
    away = pose_of([0, 0, 0], [0.15, 0.0, 0.0]) @ TILTED
    period = 33_000_000
    look = lambda pose, i: tracker.locate(seen(ONE, pose), INFO, CAMERA, SECOND + i * period)  # noqa: E731
    assert look(TILTED, 0)[0] is not None
    assert look(pose_of([0, 0, 0], [0.03, 0, 0]) @ TILTED, 1)[0] is not None, "1 m/s is a movement"
    told = [look(away, 2 + i) for i in range(CONFIRMED)]
    assert [s is None for s, _ in told] == [True] * (CONFIRMED - 1) + [False]
    assert "jumped by 120 mm" in told[0][1]
    assert look(TILTED, 6)[0] is None and look(away, 7)[0] is not None, "one wrong picture changes nothing"
    assert look(TILTED, 40)[0] is not None, "after a pause there is nothing to jump from"
    assert look(away, 0)[0] is not None, "an older stamp begins another episode"


def test_a_marker_seen_twice_or_unknown_does_not_count():
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    picture = np.full((300, 700), 255, np.uint8)
    for column, number in ((50, 7), (300, 3), (500, 5)):
        picture[100:200, column : column + 100] = family.generateImageMarker(number, 100)
    assert MarkerTracker(ONE).find(picture).ids == (7,)
    picture[100:200, 300:400] = picture[100:200, 50:150]
    assert MarkerTracker(ONE).find(picture) is None
    assert MarkerTracker(ONE, Limits(min_width_px=150.0)).find(picture) is None


@pytest.mark.parametrize("side", [14.0, 25.0, 60.0])
def test_corners_of_a_square_are_found_to_a_tenth_of_a_pixel(side):
    rng = np.random.default_rng(2)
    for _ in range(10):
        angle, centre = rng.uniform(0, np.pi), rng.uniform(45.0, 55.0, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        square = centre + side * (np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) @ turn.T) * (1.0, 0.8)
        big = np.full((1600, 1600), 230, np.uint8)
        cv2.fillPoly(big, [np.rint((square + 0.5) * 16 * 16 - 8).astype(np.int32)], 40, shift=4)
        picture = cv2.GaussianBlur(cv2.resize(big, (100, 100), interpolation=cv2.INTER_AREA), (0, 0), 0.7)
        noisy = np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        start = square + rng.uniform(-0.8, 0.8, (4, 2))
        assert np.abs(refined(noisy, start) - square).max() < 0.25
        assert np.abs(refined(noisy, start[::-1]) - square[::-1]).max() < 0.25, "whichever way round"
    assert refined(np.full((100, 100), 128, np.uint8), square) is None
    assert narrowness(np.array([[0, 0], [40, 0], [42, 2], [2, 2.0]])) < 3.0


def test_the_hands_pose_at_a_pictures_time_lies_between_two():
    history = PoseHistory()
    assert history.at(SECOND) is None and history.newest_ns is None
    q = np.array([0.0, 0.0, 0.0, 1.0])
    history.push(SECOND, np.array([0.0, 0, 0]), q)
    history.push(SECOND + 10_000_000, np.array([0.1, 0, 0]), np.array([0, 0, np.sin(0.1), np.cos(0.1)]))
    between = history.at(SECOND + 5_000_000)
    assert difference(between, pose_of([0, 0, 0.1], [0.05, 0, 0])) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-7))
    assert history.at(SECOND)[0, 3] == 0.0 and history.at(SECOND - 1) is None and history.at(2 * SECOND) is None
    history.push(2 * SECOND, np.zeros(3), q)
    assert history.at(SECOND + 500_000_000) is None, "too long between two poses"
    history.push(SECOND, np.ones(3), q)
    assert history.at(SECOND)[0, 3] == 1.0 and history.newest_ns == SECOND, "the clock went back"


@pytest.mark.parametrize(
    "change, told",
    [
        ({"markers": []}, "1 to 100"),
        ({"markers": [{"id": 900, "size_m": 0.04, "position_m": [0, 0, 0], "orientation": [0, 0, 0, 1]}]}, "ids 0 to 586"),
        ({"markers": [{"id": 1, "size_m": 40.0, "position_m": [0, 0, 0], "orientation": [0, 0, 0, 1]}]}, "0.002 to 2"),
        ({"markers": [{"id": 1, "size_m": 0.04, "position_m": [0, 0, 0], "orientation": [0, 0, 0, 2]}]}, "unit quaternion"),
        ({"markers": [{"id": 1, "size_m": 0.04, "position_m": [0, 0], "orientation": [0, 0, 0, 1]}]}, "expected 3 values"),
        ({"dictionary": "DICT_APRILTAG_36h12"}, "did you mean 'DICT_APRILTAG_36h11'"),
        ({"upright_rad": 3.0}, "upright_rad"),
    ],
)
def test_bad_marker_files_are_refused(change, told):
    good = {"id": 1, "size_m": 0.04, "position_m": [0, 0, 0], "orientation": [0, 0, 0, 1]}
    with pytest.raises(ConfigError, match=told):
        build(MarkerSet, {"schema": 1, "dictionary": "DICT_APRILTAG_36h11", "markers": [good], **change}, "markers.yaml")


def test_printed_markers_are_the_ones_of_the_file(tmp_path):
    import re

    from lpds_ros.cli import main

    path = tmp_path / "markers.pdf"
    assert main(["calibrate", "markers", str(resource("calibration/markers_cube.yaml")), str(path)]) == 0
    text = path.read_bytes().decode("latin-1")
    _, _, width, height = map(float, re.search(r"MediaBox \[(.*?)\]", text)[1].split())
    picture = np.full((round(4 * height), round(4 * width)), 255, np.uint8)
    for x, y, w, h in (map(float, line.split()[:4]) for line in re.findall(r"^.* re$", text, re.M)):
        picture[round(4 * (height - y - h)) : round(4 * (height - y)), round(4 * x) : round(4 * (x + w))] = 0
    found = MarkerTracker(CUBE).find(picture)
    assert sorted(found.ids) == [0, 1, 2, 3, 4]
    assert abs(narrowness(found.corners[0]) / 4 / 72 * 25.4 - 36.0) < 0.2


# -- in the simulation ------------------------------------------------------------------------------------------


def test_the_node_measures_the_cube_in_the_simulation(ros):
    """Simulation with markers on its cube, the camera, the node: against what the simulation knows."""
    pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
    from geometry_msgs.msg import PoseStamped
    from sim_client import make_client

    from lpds_ros.nodes import qos
    from lpds_ros.nodes.markers import MarkersNode
    from lpds_ros.nodes.messages import pose_arrays, stamp_ns
    from lpds_ros.sim.camera import CameraError

    markers = str(resource("calibration/markers_cube.yaml"))
    near = str(resource("calibration/sim_camera_near.yaml"))
    try:
        client = make_client(ros, "lockstep", camera="sim", camera_view=near, markers=markers)
    except CameraError as error:
        pytest.skip(str(error))
    measured, true = {}, {}
    for topic, kept in (("lpds/object_pose", measured), ("lpds/true_object_pose", true)):
        client.node.create_subscription(
            PoseStamped, topic, lambda m, kept=kept: kept.__setitem__(stamp_ns(m.header.stamp), m), qos.CONTROL
        )
    ros.add(MarkersNode(context=ros.context, parameters={"markers": markers}))
    ros.wait(lambda: measured.keys() & true.keys(), what="the object's pose, measured and true")
    stamp = (measured.keys() & true.keys()).pop()
    assert measured[stamp].header.frame_id == "base"
    (p, q), (p_true, q_true) = pose_arrays(measured[stamp].pose), pose_arrays(true[stamp].pose)
    assert np.linalg.norm(p - p_true) < 4e-3 and 2 * np.arccos(min(1.0, abs(q @ q_true))) < np.deg2rad(2.0)
    (info,) = client.node.get_publishers_info_by_topic("/lpds/object_pose")
    assert info.node_name == "markers" and info.qos_profile.reliability == qos.CONTROL.reliability


@pytest.mark.parametrize("place, camera", [("hand", "camera"), ("table", "wrist")])
def test_a_board_in_the_simulation_is_where_it_is_said_to_be(place, camera):
    pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
    from lpds_ros.geometry import pose_matrix
    from lpds_ros.nodes.sim_prints import BOARD_PLACES, board_print
    from lpds_ros.perception.calibration.board import load_board
    from lpds_ros.perception.calibration.camera_info import camera_info
    from lpds_ros.perception.calibration.hand_eye import board_pose
    from lpds_ros.sim.camera import OPTICAL, Camera, CameraError, load_view
    from lpds_ros.sim.world import World

    board, view = load_board(), load_view(camera)
    world = World("lift", control_period_ns=50_000_000, prints=(board_print(board, place),))
    try:
        eye = Camera(world.model, view)
    except CameraError as error:
        pytest.skip(str(error))
    seen = board.detect(eye.colour(world.data.qpos))
    eye.close()
    k = np.array([[view.focal_px, 0, view.centre_px[0]], [0, view.focal_px, view.centre_px[1]], [0, 0, 1.0]])
    found = board_pose(seen, camera_info(camera, (view.width_px, view.height_px), k, np.zeros(5)))

    def body(name):
        there = world.data.body(name if name != "base" else "world")
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = there.xmat.reshape(3, 3), there.xpos
        return pose

    link = np.eye(4)
    link[:3, :3], link[:3, 3] = view.axes(), view.position_m
    optical = body(view.mounted_on) @ link @ pose_matrix(np.zeros(3), np.array(OPTICAL))
    name, position, orientation = BOARD_PLACES[place]
    middle = body(name) @ pose_matrix(np.array(position), np.array(orientation))
    corner = np.eye(4)  # the board's frame has its y down and its z into the paper
    corner[:3, :3], corner[:3, 3] = np.diag([1.0, -1.0, -1.0]), (-board.size_m[0] / 2, board.size_m[1] / 2, 0.0)
    m, rad = difference(optical @ found, middle @ corner)
    assert m < 6e-3 and rad < np.deg2rad(1.5)


def test_a_camera_on_the_hand_measures_too(ros, tmp_path):
    """Pictures, intrinsics and frames of a camera on the hand, and poses of the hand that come before and after the picture."""
    pytest.importorskip("rclpy")
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    from lpds_ros.geometry import from_rotation_matrix
    from lpds_ros.nodes import qos
    from lpds_ros.nodes.markers import MarkersNode
    from lpds_ros.nodes.messages import pose_arrays, pose_stamped_msg, stamp_msg, stamp_ns
    from lpds_ros.nodes.sim_messages import transform_msg
    from lpds_ros.perception.calibration.calib_file import Calibration, Frames, transform_of, write_calibration

    node = ros.node("cell")
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    picture = np.full((480, 640), 255, np.uint8)
    picture[190:290, 270:370] = family.generateImageMarker(0, 100)
    pictures = node.create_publisher(Image, "camera/wrist/color/image_raw", 1)
    infos = node.create_publisher(CameraInfo, "camera/wrist/color/camera_info", 1)
    hands = node.create_publisher(PoseStamped, "franka_robot_state_broadcaster/current_pose", qos.ROBOT_HISTORY)
    fixed = node.create_publisher(TFMessage, "/tf_static", qos.LATCHED)
    wrong = pose_of([0.3, 0, 0], [0.5, 0.5, 0.5])
    in_link = pose_of([0.1, 0, 0], [0, 0.01, 0])
    frames = [("fr3_hand_tcp", "wrist_link", wrong), ("wrist_link", "wrist_color_optical_frame", in_link)]
    frames = [(parent, child, m[:3, 3].tolist(), from_rotation_matrix(m[:3, :3]).tolist()) for parent, child, m in frames]
    fixed.publish(TFMessage(transforms=[transform_msg(1, frame) for frame in frames]))
    on_hand = pose_of([0.0, 0.2, 0.0], [0.06, 0.0, -0.04])
    calib = tmp_path / "wrist.calib"
    write_calibration(calib, Calibration(Frames("w", "eye_in_hand", "base", "fr3_hand_tcp", "wrist_link"), transform_of(on_hand)))
    heard = []
    node.create_subscription(PoseStamped, "lpds/object_pose", heard.append, qos.CONTROL)
    markers = str(resource("calibration/markers_cube.yaml"))
    parameters = {"markers": markers, "camera": "camera/wrist/color", "calibration": str(calib)}
    markers_node = ros.add(MarkersNode(context=ros.context, parameters=parameters))
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = np.array([600.0, 0, 319.5, 0, 600.0, 239.5, 0, 0, 1])
    info.r, info.p = np.eye(3).ravel(), np.zeros(12)
    stamp = SECOND

    def say():
        nonlocal stamp
        stamp += 100_000_000
        infos.publish(info)
        hands.publish(pose_stamped_msg(stamp - 10_000_000, [0.4, 0.0, 0.3], [1.0, 0, 0, 0]))
        message = Image(height=480, width=640, encoding="mono8", step=640, data=picture.tobytes())
        message.header.stamp, message.header.frame_id = stamp_msg(stamp), "wrist_color_optical_frame"
        pictures.publish(message)
        hands.publish(pose_stamped_msg(stamp + 10_000_000, [0.6, 0.0, 0.3], [1.0, 0, 0, 0]))

    ros.wait(lambda: heard, what="the object's pose", saying=say)
    with pytest.raises(FrameError, match="from base .* to odom .*, nor from fr3_hand_tcp"):
        markers_node._camera_at(stamp, "odom")
    hand = pose_of([np.pi, 0, 0], [0.5, 0.0, 0.3])
    camera = hand @ on_hand @ in_link
    before_camera = pose_of([np.pi, 0, 0], [0.0, 0.0, 600 * 0.036 / 100])  # a hundred pixels, in the middle
    position, _ = pose_arrays(heard[0].pose)
    expected = camera @ before_camera @ inverse_pose(CUBE.markers[0].pose)
    assert stamp_ns(heard[0].header.stamp) % 100_000_000 == 0
    assert np.linalg.norm(position - expected[:3, 3]) < 2e-3, "by the calibration, at the hand's place between two poses"
