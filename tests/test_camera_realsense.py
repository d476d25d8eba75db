"""The RealSense source without a RealSense: recordings of a software device through the ordinary pipeline, and for what goes
wrong with real ones a stand-in for librealsense.
"""

import sys
import threading
import time

import numpy as np
import pytest
from fake_realsense import Sdk
from waiting import PATIENCE_S, wait_for

from lpds_ros.perception import realsense
from lpds_ros.perception.camera_clock import JUMP_NS, SURE, CameraClock
from lpds_ros.perception.camera_feed import CameraFeed
from lpds_ros.perception.cameras import CameraListError, Profile, read_profile, read_serials
from lpds_ros.perception.librealsense import CameraError, librealsense, profiles
from lpds_ros.perception.realsense import CameraLostError, CameraSettings, RealSense
from lpds_ros.perception.rgbd import camera_frames, in_millimetres

COUNT = 12


@pytest.fixture(scope="module")
def rs():
    try:
        return librealsense()
    except CameraError as error:
        pytest.skip(str(error))


def played(rs, path, **settings):
    return RealSense(CameraSettings(file=str(path), real_time=False, silence_s=2.0, **settings), rs)


@pytest.fixture(scope="module")
def recording(rs, tmp_path_factory):
    """COUNT pictures: a plane that recedes by 1 mm and greens by 10 from one to the next."""
    from recorded_camera import record

    path = tmp_path_factory.mktemp("camera") / "plane.db3"
    record(rs, path, range(1000, 1000 + COUNT), [(200, 10 * n, 30) for n in range(COUNT)])
    return path


def test_a_recording_comes_through_the_pipeline_bit_for_bit(rs, recording):
    camera = played(rs, recording)
    camera.open()
    assert (camera.serial, camera.depth_m) == ("SIM0001", pytest.approx(0.001))
    assert (camera.colour.width_px, camera.colour.height_px, camera.colour.model) == (64, 48, "plumb_bob")
    assert camera.colour.k == [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    np.testing.assert_allclose(camera.colour_in_depth[1], [-0.05, 0.0, 0.0], atol=1e-6)
    frames = [camera.read() for _ in range(COUNT)]
    for number, frame in enumerate(frames):
        assert frame.number == number + 1
        assert np.unique(frame.depth).tolist() == [1000 + number] and frame.depth.dtype == np.uint16
        assert frame.colour.shape == (48, 64, 3) and (frame.colour == (200, 10 * number, 30)).all()
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(set(stamps)) and abs(stamps[-1] - time.time_ns()) < PATIENCE_S * 1e9
    with pytest.raises(CameraLostError, match="didn't arrive"):
        camera.read()
    camera.close()


def test_a_recording_that_is_played_once_ends_and_one_in_a_loop_goes_on(rs, recording):
    for loop in (False, True):
        camera, shown, said, ending = played(rs, recording, loop=loop), [], [], threading.Event()
        camera.open()

        def show(frame, shown=shown, ending=ending):
            shown.append(frame)
            if len(shown) > 2 * COUNT:
                ending.set()

        CameraFeed(camera, show, say=said.append).run(ending)
        assert len(shown) == (2 * COUNT + 1 if loop else COUNT)
        assert said == ([] if loop else [f"{camera.label}: the recording is over"])
        stamps = [frame.stamp_ns for frame in shown]
        assert stamps == sorted(set(stamps))


def test_aligned_depth_is_in_the_colour_cameras_pixels(rs, tmp_path):
    """An edge in depth between two planes, as a pinhole 50 mm beside it with another focal length sees it."""
    from recorded_camera import BASELINE_M, FOCAL_COLOUR, FOCAL_DEPTH, WIDTH, record

    near, far, edge = 1000, 2000, 40
    record(rs, tmp_path / "edge.db3", [np.where(np.arange(WIDTH) < edge, near, far)] * 3, [(9, 9, 9)] * 3)
    camera = played(rs, tmp_path / "edge.db3")
    camera.open()
    row = camera.read().depth[24].astype(int)
    camera.close()
    x_m = (edge - 0.5 - 31.5) / FOCAL_DEPTH * near / 1000  # the near plane's end, in the depth camera's frame
    expected = 31.5 + FOCAL_COLOUR * (x_m - BASELINE_M) / (near / 1000)
    assert set(row) <= {0, near, far} and near in row and far in row
    assert np.flatnonzero(row == near).max() == pytest.approx(expected, abs=1.0)


def test_depth_is_in_millimetres_whatever_its_unit(rs, tmp_path):
    from recorded_camera import record

    record(rs, tmp_path / "d405.db3", [5004, 5006], [(9, 9, 9)] * 2, unit_m=0.0001)
    camera = played(rs, tmp_path / "d405.db3")
    camera.open()
    assert [np.unique(camera.read().depth).tolist() for _ in range(2)] == [[500], [501]]
    camera.close()
    assert in_millimetres(np.array([[0, 65535]], np.uint16), 0.01).tolist() == [[0, 0]]


def test_the_profiles_of_a_device_are_those_of_colour_and_depth_alike(rs, recording):
    device = rs.context().load_device(str(recording))
    assert profiles(rs, device, True) == profiles(rs, device, False) == [Profile(64, 48, 30)]


def test_what_is_no_recording_is_refused(rs, tmp_path):
    with pytest.raises(CameraError, match="no such file"):
        played(rs, tmp_path / "none.db3").open()
    (tmp_path / "text.db3").write_text("no recording")
    with pytest.raises(CameraError, match="must be a recording of librealsense"):
        played(rs, tmp_path / "text.db3").open()


def test_a_recording_whose_colours_are_in_another_order_is_refused(rs, tmp_path):
    from recorded_camera import record

    record(rs, tmp_path / "blue_first.db3", [1000], [(200, 10, 30)], colour_format=rs.format.bgr8)
    with pytest.raises(CameraError, match="its colour is bgr8, and must be rgb8"):
        played(rs, tmp_path / "blue_first.db3").open()


# -- what goes wrong with a real one ------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(realsense, "RESET_S", 0.0)


def made(sdk, **settings):
    said = []
    return RealSense(CameraSettings(**({"appear_s": 0.0, "warm_up_s": 0.0} | settings)), sdk, say=said.append), said


def now_ms() -> float:
    return time.time_ns() / 1e6


@pytest.mark.parametrize(
    "serials, wanted, told",
    [
        ((), "", "plugged in: none.*USB 3"),
        (("A1", "B2"), "C3", r"camera/camera.*serial C3.*plugged in: A1, B2.*serial"),
        (("A1", "B2"), "", "A1, B2 are plugged in: say which"),
    ],
)
def test_a_camera_that_is_not_there_is_named_with_those_that_are(serials, wanted, told):
    sdk = Sdk(serials)
    with pytest.raises(CameraError, match=told):
        made(sdk, serial=wanted)[0].open()
    assert sdk.said == []


def test_it_is_reset_between_attempts_and_only_so_often(quick):
    sdk = Sdk(failures=["failed to set power state", "xioctl(VIDIOC_S_FMT) failed, errno=16"])
    camera, said = made(sdk, serial="A1")
    camera.open()
    assert sdk.said == ["start A1", "reset A1", "start A1", "reset A1", "start A1"]
    assert "attempt 2 of 3" in said[1]
    sdk = Sdk(failures=["Couldn't resolve requests"] * 9)
    with pytest.raises(CameraError, match="another profile than 640x480x30 .*: it has 424x240x60, 640x360x30$"):
        made(sdk, attempts=2)[0].open()
    assert sdk.said == ["start ", "reset A1", "start "]


def test_the_turn_between_the_two_cameras_is_read_column_by_column():
    sdk = Sdk()
    sdk.rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    camera, _ = made(sdk)
    camera.open()
    np.testing.assert_array_equal(camera.colour_in_depth[0], sdk.rotation)


def test_what_is_not_a_new_picture_is_not_shown():
    sdk = Sdk()
    camera, _ = made(sdk)
    camera.open()
    at = now_ms()
    sdk.show(1, at, depth=False)  # librealsense's first frameset may lack one
    sdk.show(2, at - 5000.0)  # seconds old
    sdk.show(3, at)
    sdk.show(3, at)  # again, with a newer depth
    sdk.show(4, at)  # the same stamp
    sdk.show(5, at + 1.0)
    frames = [camera.read() for _ in range(2)]
    assert [f.number for f in frames] == [3, 5] and frames[0].stamp_ns == round(at * 1e6)
    with pytest.raises(CameraLostError):
        camera.read()


def test_depth_of_another_moment_is_not_shown_beside_a_picture():
    sdk = Sdk()
    camera, _ = made(sdk)
    camera.open()
    at = now_ms()
    sdk.show(1, at, depth_ms=at - 30.0)
    sdk.show(2, at + 33.0, depth_ms=at - 30.0)  # the depth sensor hangs
    frames = [camera.read() for _ in range(2)]
    assert (frames[0].depth == 1).all() and frames[1].depth is None and (frames[1].colour == 2).all()


def test_pictures_of_the_warm_up_are_not_shown():
    sdk = Sdk()
    camera, _ = made(sdk, warm_up_s=0.05)
    camera.open()
    sdk.show(1, now_ms())
    sdk.show(2, now_ms() + 1.0)
    with pytest.raises(CameraLostError):
        camera.read()


def test_a_camera_lost_in_the_middle_comes_back_and_no_other_in_its_place(quick):
    sdk = Sdk(("A1",))
    camera, said = made(sdk)
    camera.open()
    shown, ending = [], threading.Event()
    feed = CameraFeed(camera, shown.append, say=said.append, again_s=0.01)
    sdk.show(1, now_ms())
    thread = threading.Thread(target=feed.run, args=(ending,))
    sdk.bus = ["failed to set power state"]
    sdk.serials = ["B2"]  # by the time the silence is noticed, another one is plugged in
    thread.start()
    try:
        wait_for(lambda: [text for text in said if "not there; plugged in: B2" in text], what="the search")
        assert any("failed to set power state: replug it" in text for text in said)
        assert [f.number for f in shown] == [1] and sdk.said == ["start ", "stop"]
        sdk.show(2, now_ms() + 1.0)
        sdk.serials = ["B2", "A1"]
        wait_for(lambda: len(shown) == 2, what="the picture after")
    finally:
        ending.set()
        thread.join()
    assert sdk.said[:3] == ["start ", "stop", "start A1"] and sdk.said[-1] == "stop"
    assert feed.losses >= 1 and any("is back after" in text for text in said)


def test_without_librealsense_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(CameraError, match=r"pip install 'lpds_ros\[realsense\]'"):
        librealsense()


# -- time ---------------------------------------------------------------------


def test_the_hardware_clock_is_mapped_by_the_quickest_picture():
    arrivals = iter([10_010, 10_060, 10_066, 10_130])
    clock = CameraClock(lambda: round(next(arrivals) * 1e6))
    stamps = [clock.stamp(own, "hardware_clock") for own in (0.0, 33.0, 66.0, 99.0)]
    # Delayed by 10, 27, 0 and 31 ms more than the quickest, the third, by which all later ones are stamped.
    assert [stamp / 1e6 for stamp in stamps] == [10_010.0, 10_043.0, 10_066.0, 10_099.0]


def test_a_clock_that_is_set_or_begins_again_is_followed():
    now = [0]
    clock = CameraClock(lambda: now[0])
    second = 1_000_000_000

    def take(own_s, at_s):
        now[0] = round(at_s * second)
        return clock.stamp(1000.0 * own_s, "hardware_clock")

    assert take(5.0, 100.0) == 100 * second
    assert take(0.1, 100.2) == round(100.2 * second)  # the camera's own time began again
    for number in range(SURE):  # the system's clock is set forward by an hour: soon believed
        stamp = take(0.2 + 0.1 * number, 3700.2 + 0.1 * number)
    assert stamp == now[0]
    assert take(1.0, 200.0) == 200 * second  # and backward: at once


def test_global_time_is_taken_as_it_is_and_only_forward():
    clock = CameraClock()
    assert clock.stamp(1000.5, "global_time") == 1_000_500_000
    assert clock.stamp(1000.4, "global_time") is None
    assert clock.stamp(1001.0, "system_time") == 1_001_000_000
    assert clock.stamp(1001.0 - JUMP_NS / 1e6 - 1.0, "global_time") is not None  # the clock was set back


# -- names --------------------------------------------------------------------


def test_the_frames_are_those_of_realsense2_camera():
    """Quarter turn about the optical axis and 15 mm to the right: in the link's axes, about x, and to the right, -y."""
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    frames = {child: (parent, place, q) for parent, child, place, q in camera_frames("wrist", (turn, np.array([0.015, 0, 0])))}
    assert {(parent, child) for child, (parent, _, _) in frames.items()} == {
        ("wrist_link", "wrist_depth_frame"),
        ("wrist_depth_frame", "wrist_depth_optical_frame"),
        ("wrist_link", "wrist_color_frame"),
        ("wrist_color_frame", "wrist_color_optical_frame"),
    }
    _, place, q = frames["wrist_color_frame"]
    np.testing.assert_allclose(place, [0.0, -0.015, 0.0], atol=1e-12)
    np.testing.assert_allclose(q, [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)], atol=1e-12)
    assert [child for _, child, _, _ in camera_frames("c")] == ["c_color_frame", "c_color_optical_frame"]


def test_names_serials_and_profiles_are_read_or_refused():
    assert read_serials("") == {"camera": ""} and read_serials("a=1, b=2") == {"a": "1", "b": "2"}
    assert read_profile("424x240x60") == Profile(424, 240, 60) == read_profile("424,240,60")
    for bad in ("a", "a=", "=1", "a=1,a=2", "a=1,b=1", "a-b=1"):
        with pytest.raises(CameraListError):
            read_serials(bad)
    for bad in ("", "640x480", "640x480x0", "0x0x0", "640x480x30x2", "1e3x480x30"):
        with pytest.raises(CameraListError, match="640x480x30"):
            read_profile(bad)
