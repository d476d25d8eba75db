"""Fixed frames on /tf_static: those of calibration files out, and any in."""

import numpy as np
from geometry_msgs.msg import TransformStamped
from tf2_msgs.msg import TFMessage

from lpds_ros.geometry import canonical, pose_matrix
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.perception.calibration.calib_file import Calibration
from lpds_ros.perception.frames import FixedFrames

TOPIC = "/tf_static"  # absolute, as tf2_ros has it


def publish_calibrations(node, calibrations: list[Calibration], stamp: int):
    """Latch every camera's place, parent -> child, in one message. Returns the publisher: it must live as long as the frames."""
    publisher = node.create_publisher(TFMessage, TOPIC, qos.LATCHED)
    publisher.publish(TFMessage(transforms=[calibration_msg(calibration, stamp) for calibration in calibrations]))
    return publisher


def calibration_msg(calibration: Calibration, stamp: int) -> TransformStamped:
    """The transform that easy_handeye2's publisher would send."""
    message = TransformStamped(child_frame_id=calibration.parameters.tracking_base_frame)
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), calibration.parameters.parent
    for part, numbers in (("translation", calibration.transform.translation), ("rotation", calibration.transform.rotation)):
        for name, value in vars(numbers).items():
            setattr(getattr(message.transform, part), name, value)
    return message


def place(frames: FixedFrames, message: TFMessage) -> str:
    """Take over what a message says. Returns which frame was left out and why, or ""."""
    refused = ""
    for one in message.transforms:
        t, r = one.transform.translation, one.transform.rotation
        position = np.array([t.x, t.y, t.z])
        try:
            matrix = pose_matrix(position, canonical(np.array([r.x, r.y, r.z, r.w])))
        except ValueError as error:
            refused = f"{TOPIC}: frame '{one.child_frame_id}' is left out: {error}"
            continue
        if not np.isfinite(position).all():
            refused = f"{TOPIC}: frame '{one.child_frame_id}' is left out: its translation is {position.tolist()}"
            continue
        frames.set(one.header.frame_id, one.child_frame_id, matrix)
    return refused
