"""What is heard on /tf_static: of everybody who latches frames there, and of a frame that is none."""

import time

import numpy as np
import pytest

from lpds_ros.perception.cameras import info_topic
from lpds_ros.perception.frames import FixedFrames, FrameError


def frame(parent, child, turn=(0.0, 0.0, 0.0, 1.0), x=0.1):
    return parent, child, (x, 0.0, 0.0), turn


def test_a_camera_and_a_robot_latch_their_frames_and_both_are_heard(ros):
    """robot_state_publisher, the camera's driver and a calibration each have a publisher of their own."""
    from tf2_msgs.msg import TFMessage

    from lpds_ros.nodes import qos
    from lpds_ros.nodes.calibration import CalibrationNode
    from lpds_ros.nodes.sim_messages import transform_msg

    names = "base", "camera_link", "camera_color_frame", "camera_color_optical_frame"
    kept = []
    for parent, child in zip(names, names[1:]):
        kept.append(ros.node(f"says_{child}").create_publisher(TFMessage, "/tf_static", qos.LATCHED))
        kept[-1].publish(TFMessage(transforms=[transform_msg(1, frame(parent, child))]))
    node = CalibrationNode("camera/camera/color/image_raw", "", context=ros.context)
    time.sleep(0.5)  # all of it arrives before the first is looked at, as while a node sets up or works on a picture
    ros.add(node)
    ros.wait(lambda: len(node.frames.chain(names[-1])) == len(names), what="the frames of all three publishers")
    assert node.frames.lookup(names[0], names[-1])[0, 3] == pytest.approx(0.3)


@pytest.mark.parametrize("wrong", [{"turn": (0.0, 0.0, 0.0, 0.0)}, {"x": float("nan")}])
def test_a_frame_that_is_none_is_named_and_left_out(wrong):
    pytest.importorskip("tf2_msgs")
    from tf2_msgs.msg import TFMessage

    from lpds_ros.nodes.sim_messages import transform_msg
    from lpds_ros.nodes.static_frames import place

    frames = FixedFrames()
    message = TFMessage(transforms=[transform_msg(1, f) for f in (frame("base", "odd", **wrong), frame("base", "camera"))])
    assert "'odd' is left out" in place(frames, message)
    assert np.array_equal(frames.lookup("base", "camera")[:3, 3], [0.1, 0.0, 0.0])
    with pytest.raises(FrameError):
        frames.lookup("base", "odd")


@pytest.mark.parametrize(
    ("pictures", "intrinsics"),
    [
        ("camera/camera/color/image_raw", "camera/camera/color/camera_info"),
        ("/camera/camera/color/image_raw", "/camera/camera/color/camera_info"),  # absolute, in whatever namespace
        ("image_raw", "camera_info"),
    ],
)
def test_intrinsics_are_beside_their_pictures(pictures, intrinsics):
    assert info_topic(pictures) == intrinsics
