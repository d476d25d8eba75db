"""The simulated camera: what it shows is where the frames and the camera_info say it is; off and on over the wire."""

import os
import subprocess
import sys

import numpy as np
import pytest
from waiting import PATIENCE_S

pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")

from lpds_ros.config import ConfigError, build  # noqa: E402
from lpds_ros.sim.camera import Camera, CameraError, CameraView, load_view  # noqa: E402
from lpds_ros.sim.world import World  # noqa: E402


@pytest.fixture(scope="module")
def world():
    world = World("lift", control_period_ns=50_000_000)
    world.reset(3)
    return world


@pytest.fixture(scope="module")
def camera(world):
    try:
        camera = Camera(world.model, load_view())
    except CameraError as error:
        pytest.skip(str(error))
    yield camera
    camera.close()


def seen(view, point):
    """(row, column) and depth m at which a pinhole of this view sees a point of the base frame."""
    forward, left, up = view.axes().T @ (np.array(point) - view.position_m)
    cx, cy = view.centre_px
    return (round(cy - view.focal_px * up / forward), round(cx - view.focal_px * left / forward)), forward


def test_colour_and_depth_show_the_cube_where_it_is(world, camera):
    before = world.data.qpos.copy()
    colour, depth = camera.render(world.data.qpos)
    assert colour.shape == (480, 640, 3) and depth.shape == (480, 640) and depth.dtype == np.uint16
    centre = world.state().object_position
    pixel, distance = seen(camera.view, centre)
    red, green, blue = (int(v) for v in colour[pixel])
    assert red > 2 * green and red > 2 * blue
    assert distance - 0.05 < depth[pixel] / 1000 < distance
    # The cube's outline: its red pixels lie around the projected centre, and nowhere else.
    rows, columns = np.nonzero((colour[..., 0] > 60) & (colour[..., 0] > 2 * colour[..., 1].astype(int)))
    assert np.abs([rows.mean() - pixel[0], columns.mean() - pixel[1]]).max() < 3
    np.testing.assert_array_equal(world.data.qpos, before)


def test_depth_of_the_table_is_that_of_its_plane(world, camera):
    _, depth = camera.render(world.data.qpos)
    for point in ((0.6, 0.3, 0.0), (0.7, -0.25, 0.0), (0.5, 0.35, 0.0)):
        pixel, distance = seen(camera.view, point)
        assert depth[pixel] / 1000 == pytest.approx(distance, abs=0.004)
    assert depth[0, 0] == 0  # behind the table is nothing


def test_rendering_changes_no_bit_of_the_physics(camera):
    ends = []
    for looking in (False, True):
        world = World("lift", control_period_ns=50_000_000)
        for _ in range(5):
            world.advance(20)
            if looking:
                camera.render(world.data.qpos)
        ends.append(world.data.qpos.copy())
    assert np.array_equal(*ends)


def test_where_nothing_renders_the_error_says_what_to_install():
    code = "from lpds_ros.sim.camera import Camera, load_view; from lpds_ros.sim.world import World\n"
    code += "Camera(World('lift', control_period_ns=50_000_000).model, load_view())"
    environment = {**os.environ, "PYOPENGL_PLATFORM": "osmesa"}  # not EGL's
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
    assert done.returncode == 1 and "CameraError" in done.stderr and "sudo apt install libegl1" in done.stderr


def test_a_view_that_is_none_is_refused():
    view = {"width_px": 64, "height_px": 48, "vertical_view_rad": 0.7, "depth_max_m": 5.0}
    for change in ({"position_m": [0.4, 0.0, 1.0], "look_at_m": [0.4, 0.0, 0.0]},):
        with pytest.raises(ConfigError, match="straight above"):
            build(CameraView, {**view, **change}, "view.yaml")
    with pytest.raises(ConfigError, match="vertical_view_rad"):
        build(CameraView, {**view, "vertical_view_rad": 4.0, "position_m": [1, 0, 1], "look_at_m": [0, 0, 0]}, "view.yaml")


@pytest.mark.parametrize("clock", ["lockstep", "realtime"])
def test_pictures_have_the_topics_of_the_real_camera(ros, camera, clock):
    from rclpy.qos import ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, Image
    from sim_client import make_client
    from tf2_msgs.msg import TFMessage

    from lpds_ros.nodes import qos
    from lpds_ros.nodes.messages import stamp_ns

    client = make_client(ros, clock, camera="sim")
    heard = {}
    for topic in ("color", "aligned_depth_to_color"):
        for kind, name in ((Image, "image_raw"), (CameraInfo, "camera_info")):
            full = f"camera/camera/{topic}/{name}"
            client.node.create_subscription(kind, full, lambda m, t=full: heard.__setitem__(t, m), qos.ROBOT_STATE)
    frames = []
    client.node.create_subscription(TFMessage, "/tf_static", frames.append, qos.LATCHED)
    ros.wait(lambda: len(heard) == 4 and frames, what="the camera's four topics")
    colour, depth = heard["camera/camera/color/image_raw"], heard["camera/camera/aligned_depth_to_color/image_raw"]
    assert (colour.encoding, colour.step, len(colour.data)) == ("rgb8", 640 * 3, 640 * 480 * 3)
    assert (depth.encoding, depth.step, len(depth.data)) == ("16UC1", 640 * 2, 640 * 480 * 2)
    assert 300 < np.frombuffer(depth.data, np.uint16).max() < 5000
    assert {m.header.frame_id for m in heard.values()} == {"camera_color_optical_frame"}
    assert all(stamp_ns(m.header.stamp) > 0 for m in heard.values())
    info = heard["camera/camera/color/camera_info"]
    assert (info.k[0], info.k[2]) == (pytest.approx(camera.view.focal_px), 319.5) and info.distortion_model == "plumb_bob"
    children = {t.child_frame_id for t in frames[0].transforms}
    assert {"camera_link", "camera_color_optical_frame", "camera_depth_optical_frame"} <= children
    (publisher,) = client.node.get_publishers_info_by_topic("/camera/camera/color/image_raw")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    if clock == "lockstep":
        client.run()
        ros.wait(lambda: stamp_ns(heard["camera/camera/color/image_raw"].header.stamp) >= 1_500_000_000, what="later pictures")


def test_without_asking_there_is_no_camera(ros):
    from sim_client import make_client

    client = make_client(ros, "lockstep")
    assert not [topic for topic, _ in client.node.get_topic_names_and_types() if "camera" in topic]
