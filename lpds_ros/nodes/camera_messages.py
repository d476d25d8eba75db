"""Pictures and intrinsics as messages, filled as realsense2_camera fills them."""

import array

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.perception.rgbd import Pinhole

ENCODINGS = {np.dtype(np.uint8): "rgb8", np.dtype(np.uint16): "16UC1"}


def image_msg(stamp: int, frame: str, picture: np.ndarray) -> Image:
    """sensor_msgs/Image of uint8 [h, w, 3] (rgb8) or uint16 [h, w] (16UC1, depth in mm); `stamp` in nanoseconds."""
    message = Image(height=picture.shape[0], width=picture.shape[1], encoding=ENCODINGS[picture.dtype])
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), frame
    message.step = picture[0].nbytes
    message.data = array.array("B", np.ascontiguousarray(picture).tobytes())
    return message


def camera_info_msg(stamp: int, frame: str, pinhole: Pinhole) -> CameraInfo:
    """sensor_msgs/CameraInfo; `stamp` in nanoseconds."""
    message = CameraInfo(height=pinhole.height_px, width=pinhole.width_px, distortion_model=pinhole.model)
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), frame
    message.d = list(pinhole.coefficients)
    message.k = np.array(pinhole.k)
    message.r = np.eye(3).ravel()
    message.p = np.column_stack([np.reshape(pinhole.k, (3, 3)), np.zeros(3)]).ravel()
    return message
