"""Fixed frames on /tf_static: those of calibration files out, and any in."""


import numpy as np
from geometry_msgs.msg import Transform, TransformStamped
from tf2_msgs.msg import TFMessage

from lpds_ros.geometry import canonical, pose_matrix
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.perception.calibration.calib_file import Calibration

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


def matrix_of(transform: Transform) -> np.ndarray:
    """Homogeneous transform [4, 4]. Raises ValueError for a rotation that is none."""
    t, r = transform.translation, transform.rotation
    return pose_matrix(np.array([t.x, t.y, t.z]), canonical(np.array([r.x, r.y, r.z, r.w])))
