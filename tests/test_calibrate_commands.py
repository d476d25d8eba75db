"""`lpds calibrate`: from a folder, and guided by a live camera beside a live arm."""

import re
import threading
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("cv2", reason="pip install 'lpds_ros[vision]'")
import rendered  # noqa: E402
from rendered import INFO, SIZE, pose_of  # noqa: E402

from lpds_ros.cli import main  # noqa: E402
from lpds_ros.commands._calibrate import Known  # noqa: E402
from lpds_ros.commands.calibrate_hand_eye import intrinsics_of  # noqa: E402
from lpds_ros.config import ConfigError  # noqa: E402
from lpds_ros.geometry import from_rotation_matrix, inverse_pose  # noqa: E402
from lpds_ros.perception.calibration.board import load_board  # noqa: E402
from lpds_ros.perception.calibration.calib_file import read_calibration  # noqa: E402
from lpds_ros.perception.calibration.camera_info import camera_info, read_camera_info, write_camera_info  # noqa: E402
from lpds_ros.perception.calibration.guide import Guide  # noqa: E402
from lpds_ros.perception.calibration.hand_eye import difference  # noqa: E402
from lpds_ros.perception.calibration.records import CalibrationError  # noqa: E402
from lpds_ros.perception.calibration.session import Session  # noqa: E402
from lpds_ros.perception.frames import FixedFrames, FrameError  # noqa: E402

BOARD = load_board()
ON_HAND = pose_of([0.02, -0.03, 1.55], [0.05, -0.03, -0.06])
ON_TABLE = pose_of([np.pi, 0.0, 0.0], [0.45, 0.1, 0.01])
COUNT = 12


@pytest.fixture(scope="module")
def shots():
    """Pictures of the board with the hand's poses."""
    return [(image, ON_TABLE @ inverse_pose(pose) @ inverse_pose(ON_HAND)) for image, pose in rendered.shots()[:COUNT]]


@pytest.fixture
def folder(tmp_path, shots):
    session = Session(tmp_path / "wrist", BOARD)
    for image, hand in shots:
        session.add(image, BOARD.detect(image), hand)
    return session.folder


def test_a_folder_gives_intrinsics_and_then_the_cameras_place(folder, capsys):
    cv2.imwrite(str(folder / "900.png"), np.full((480, 640), 127, np.uint8))
    assert main(["calibrate", "camera", str(folder), "--name", "wrist"]) == 0
    told = capsys.readouterr().out
    assert "900.png: the board is not seen" in told and re.search(r"residual 0\.\d+ px", told) and "% of the picture's" in told
    info = read_camera_info(folder / "camera_info.yaml")
    assert info.camera_name == "wrist" and abs(info.k[0, 0] - INFO.k[0, 0]) < 3.0
    assert cv2.imread(str(folder / "camera_info.result.png")) is not None
    words = ["calibrate", "hand-eye", str(folder), "--kind", "eye_in_hand", "--camera-frame", "wrist_link"]
    assert main(words) == 0, "with the intrinsics that lie in the folder now"
    told = capsys.readouterr().out
    assert "refined" in told and "Daniilidis" in told and "fr3_hand_tcp -> wrist_link" in told and "±" in told
    calibration = read_calibration(folder / "wrist.calib")
    m, rad = difference(calibration.transform.matrix, ON_HAND)
    assert m < 1e-3 and rad < np.deg2rad(0.2)
    # easy_handeye2's samples, which it has left there too, give the same.
    alone = folder.parent / "alone"
    words = ["calibrate", "hand-eye", str(alone), "--kind", "eye_in_hand", "--samples", str(folder / "wrist.samples")]
    assert main(words) == 0
    assert difference(read_calibration(alone / "alone.calib").transform.matrix, ON_HAND)[0] < 1e-3


def test_what_cannot_be_calibrated_is_refused_in_one_line(folder, tmp_path, capsys):
    for words, told in (
        (["camera", str(tmp_path / "nowhere")], "no such folder; --live"),
        (["hand-eye", str(folder), "--kind", "eye_in_hand"], "no intrinsics: give --camera"),
        (["camera", str(folder), "--board", "nowhere.yaml"], "no such file"),
        (["board", str(tmp_path / "board.doc")], "end its name with .pdf"),
    ):
        assert main(["calibrate", *words]) == 2
        error = capsys.readouterr().err
        assert told in error and len(error.splitlines()) == 1
    (folder / "poses.yaml").write_text("000.png: [0, 0, 0, 0, 0, 0, 2]\n")
    write_camera_info(tmp_path / "info.yaml", INFO)
    assert main(["calibrate", "hand-eye", str(folder), "--kind", "eye_in_hand", "--camera", str(tmp_path / "info.yaml")]) == 2
    assert "000.png must be [x, y, z, qx, qy, qz, qw]" in capsys.readouterr().err


def test_intrinsics_in_the_folder_are_not_replaced_by_the_cameras_own(tmp_path):
    said = Known("camera_color_optical_frame", "base", FixedFrames(), INFO)
    args = SimpleNamespace(folder=tmp_path, camera=None)
    assert intrinsics_of(args, said) == INFO == intrinsics_of(args, said), "kept, and the same when the session goes on"
    calibrated = camera_info("front", INFO.size_px, INFO.k * np.array([[1.01, 1, 1], [1, 1.01, 1], [1, 1, 1]]), INFO.d)
    write_camera_info(tmp_path / "camera_info.yaml", calibrated)
    with pytest.raises(CalibrationError, match="other intrinsics than the camera says: give --camera"):
        intrinsics_of(args, said)
    assert intrinsics_of(args, None) == calibrated


def test_a_session_goes_on_where_it_was_stopped(folder, shots):
    again = Session(folder, BOARD)
    assert [p.name for p in again.pictures] == [f"{i:03d}.png" for i in range(COUNT)]
    for picture, (_, hand) in zip(again.pictures, shots):
        assert difference(picture.hand, hand)[0] < 1e-9 and len(picture.view.ids) > 8
    image, hand = shots[0]
    assert again.add(image, BOARD.detect(image), hand).name == f"{COUNT:03d}.png"
    with pytest.raises(ConfigError, match="use another folder"):
        again.add(image[:240], BOARD.detect(image), hand)
    cv2.imwrite(str(folder / "odd.png"), image[:240])
    with pytest.raises(ConfigError, match="different sizes"):
        Session(folder, BOARD)
    (folder / "odd.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match="odd.png: not a picture"):
        Session(folder, BOARD)
    (folder / "odd.png").unlink()
    (folder / "000.png").unlink()
    with pytest.raises(ConfigError, match="not there: 000.png"):
        Session(folder, BOARD)


def test_the_guide_takes_what_is_at_rest_sharp_and_new(tmp_path, shots):
    session = Session(tmp_path / "new", BOARD)
    guide = Guide(session, hand_eye=True, wanted=10)
    (image, hand), (other, elsewhere) = shots[:2]
    view = BOARD.detect(image)
    assert "not seen" in guide.refusal(np.zeros_like(image), None, hand)
    assert guide.refusal(image, view, hand) == "hold still"
    assert guide.refusal(image, view, hand @ pose_of([0, 0, 0.01], [0, 0, 0])) == "hold still", "the arm moves"
    assert guide.refusal(image, view, hand @ pose_of([0, 0, 0.01], [0, 0, 0])) == ""
    assert guide.refusal(other, BOARD.detect(other), elsewhere) == "hold still", "the picture moves"
    blurred = cv2.GaussianBlur(image, (0, 0), 6)
    guide.refusal(blurred, view, hand)
    assert "blurred" in guide.refusal(blurred, view, hand)
    guide.refusal(image, view, None)
    assert "no pose of the hand" in guide.refusal(image, view, None)
    session.add(image, view, hand)
    guide.refusal(image, view, hand)
    assert "like an earlier one: turn the hand about its y axis" in guide.refusal(image, view, hand)
    for picture, pose in shots[1:10]:
        assert not guide.done
        session.add(picture, BOARD.detect(picture), pose)
    assert guide.done and guide.lacking() == ""
    pictures = Guide(session, hand_eye=False, wanted=20)
    assert not pictures.done and "tilt it" in pictures.next()
    pictures.refusal(image, view, None)
    assert "like an earlier one" in pictures.refusal(image, view, None)


def test_fixed_frames_lead_from_one_to_another():
    frames = FixedFrames()
    frames.set("base", "camera_link", pose_of([0, 0, 1.0], [1, 2, 3]))
    frames.set("/camera_link", "/camera_color_optical_frame", pose_of([0.5, 0, 0], [0, 0.1, 0]))
    frames.set("base", "hand", pose_of([0, 0, 0], [0, 0, 1]))
    expected = pose_of([0, 0, 0], [0, 0, -1]) @ pose_of([0, 0, 1.0], [1, 2, 3]) @ pose_of([0.5, 0, 0], [0, 0.1, 0])
    np.testing.assert_allclose(frames.lookup("hand", "camera_color_optical_frame"), expected, atol=1e-12)
    np.testing.assert_allclose(frames.lookup("hand", "hand"), np.eye(4))
    assert frames.first_above("camera_color_optical_frame", lambda name: name.endswith("_link")) == "camera_link"
    assert frames.first_above("hand", lambda name: name.endswith("_link")) == "hand"
    with pytest.raises(FrameError, match="root base.*root odom"):
        frames.lookup("hand", "odom")
    frames.set("camera_color_optical_frame", "base", np.eye(4))
    with pytest.raises(FrameError, match="circle"):
        frames.lookup("hand", "odom")


def test_a_live_camera_and_arm_are_calibrated_by_hand(ros, tmp_path, shots, monkeypatch, capsys):
    """The command beside a camera and an arm that visit one pose after the other, each once it was taken."""
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    from lpds_ros.commands import _calibrate
    from lpds_ros.nodes import qos
    from lpds_ros.nodes.messages import pose_stamped_msg, stamp_msg
    from lpds_ros.nodes.sim_messages import transform_msg

    node = ros.node("cell")
    images = node.create_publisher(Image, _calibrate.COLOUR, 1)
    poses = node.create_publisher(PoseStamped, "franka_robot_state_broadcaster/current_pose", qos.ROBOT_STATE)
    infos = node.create_publisher(CameraInfo, "camera/camera/color/camera_info", 1)
    fixed = node.create_publisher(TFMessage, "/tf_static", qos.LATCHED)
    optical = ("camera_link", "camera_color_optical_frame", (0.0, 0.01, 0.0), (-0.5, 0.5, -0.5, 0.5))
    fixed.publish(TFMessage(transforms=[transform_msg(1, optical)]))
    folder, ended = tmp_path / "live", threading.Event()
    monkeypatch.setattr(_calibrate, "LOOK_S", 0.02)

    def play():
        stamp = 1_000_000_000
        while not ended.wait(0.02):
            image, hand = shots[min(len(list(folder.glob("*.png"))), COUNT - 1)]
            stamp += 33_000_000
            poses.publish(pose_stamped_msg(stamp, hand[:3, 3], from_rotation_matrix(hand[:3, :3])))
            message = Image(height=SIZE[1], width=SIZE[0], encoding="bgr8", step=3 * SIZE[0], data=image[..., ::-1].tobytes())
            message.header.stamp, message.header.frame_id = stamp_msg(stamp), "camera_color_optical_frame"
            images.publish(message)
            infos.publish(own)

    own = CameraInfo(width=SIZE[0], height=SIZE[1], distortion_model="plumb_bob", d=INFO.d.tolist())
    own.k, own.r, own.p = INFO.k.ravel(), np.eye(3).ravel(), np.column_stack([INFO.k, np.zeros(3)]).ravel()
    player = threading.Thread(target=play)
    player.start()
    try:
        words = ["calibrate", "hand-eye", str(folder), "--kind", "eye_in_hand", "--live", "--wanted", "12"]
        assert main(words) == 0
    finally:
        ended.set()
        player.join()
    told = capsys.readouterr().out
    assert "011.png" in told and "12 of 12" in told and "turn the hand about its" in told and "hold still" in told
    assert read_camera_info(folder / "camera_info.yaml").k.tolist() == INFO.k.tolist()
    calibration = read_calibration(folder / "live.calib")
    assert calibration.parameters.parent == "fr3_hand_tcp" and calibration.parameters.tracking_base_frame == "camera_link"
    in_link = np.eye(4)
    in_link[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    in_link[:3, 3] = [0.0, 0.01, 0.0]
    assert difference(calibration.transform.matrix @ in_link, ON_HAND)[0] < 1e-3
