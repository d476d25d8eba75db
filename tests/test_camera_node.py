"""The camera node over the wire: realsense2_camera's topics, types, frames and quality of service, from a recording."""

import numpy as np
import pytest
from fake_realsense import Sdk

from lpds_ros.perception.librealsense import CameraError, librealsense


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    try:
        rs = librealsense()
    except CameraError as error:
        pytest.skip(str(error))
    from recorded_camera import record

    path = tmp_path_factory.mktemp("camera") / "played.db3"
    record(rs, path, [1234] * 20, [(200, 100, n) for n in range(20)])
    return path


def test_a_played_recording_has_the_topics_of_the_real_driver(ros, recording):
    from rclpy.qos import ReliabilityPolicy
    from sensor_msgs.msg import CameraInfo, Image
    from tf2_msgs.msg import TFMessage

    from lpds_ros.nodes import qos
    from lpds_ros.nodes.camera import CameraNode
    from lpds_ros.nodes.messages import stamp_ns

    parameters = {"rosbag_filename": str(recording), "rosbag_loop": True, "camera_name": "wrist"}
    ros.add(CameraNode(context=ros.context, parameters=parameters, namespace="left"))
    node, heard, frames = ros.node(), {}, []
    for stream in ("color", "aligned_depth_to_color"):
        for kind, name in ((Image, "image_raw"), (CameraInfo, "camera_info")):
            topic = f"/left/camera/wrist/{stream}/{name}"
            node.create_subscription(kind, topic, lambda m, k=(stream, name): heard.setdefault(k, []).append(m), qos.ROBOT_STATE)
    node.create_subscription(TFMessage, "/tf_static", frames.append, qos.LATCHED)
    ros.wait(lambda: frames and len(heard) == 4 and min(map(len, heard.values())) > 20, what="more than the recording once")
    colour, depth = heard["color", "image_raw"], heard["aligned_depth_to_color", "image_raw"]
    assert {(m.encoding, m.step, m.height, m.width, len(m.data)) for m in colour} == {("rgb8", 192, 48, 64, 9216)}
    assert {(m.encoding, m.step, m.is_bigendian) for m in depth} == {("16UC1", 128, 0)}
    assert set(np.frombuffer(depth[0].data, np.uint16)) == {1234}
    assert set(colour[0].data[::3]) == {200} and set(colour[0].data[1::3]) == {100}
    stamps = [stamp_ns(m.header.stamp) for m in colour]
    assert stamps == sorted(set(stamps)) and {m.header.frame_id for m in colour + depth} == {"wrist_color_optical_frame"}
    info = heard["aligned_depth_to_color", "camera_info"][0]
    assert (info.k[0], info.k[2], info.p[5], info.distortion_model) == (60.0, 31.5, 60.0, "plumb_bob")
    children = {t.child_frame_id: t.transform.translation for t in frames[0].transforms}
    assert children["wrist_color_frame"].y == pytest.approx(0.05) and "wrist_depth_optical_frame" in children
    (publisher,) = node.get_publishers_info_by_topic("/left/camera/wrist/color/image_raw")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_a_camera_that_is_not_there_ends_the_node_and_names_its_topic(ros, monkeypatch):
    from lpds_ros.nodes import camera

    monkeypatch.setattr(camera, "librealsense", lambda: Sdk(serials=("B2",)))
    with pytest.raises(CameraError, match="camera/front.*serial A1.*plugged in: B2"):
        camera.CameraNode(context=ros.context, parameters={"camera_name": "front", "serial_no": "A1", "appear_s": 0.0})
