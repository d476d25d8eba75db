"""sensor_msgs/Image and CameraInfo to arrays and records."""

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import Image

from lpds_ros.perception.calibration.camera_info import CameraInfo, Matrix, Roi

ENCODINGS = {"rgb8": (3, None), "bgr8": (3, cv2.COLOR_BGR2RGB), "mono8": (1, cv2.COLOR_GRAY2RGB)}


class ImageError(ValueError):
    """A picture that cannot be read; the text names its encoding or size and what is accepted."""


def rgb_of(message: Image) -> np.ndarray:
    """uint8 [h, w, 3] rgb of rgb8, bgr8 or mono8. Raises ImageError."""
    if message.encoding not in ENCODINGS:
        raise ImageError(f"encoding '{message.encoding}' is not one of {', '.join(ENCODINGS)}: set the camera's colour format")
    channels, conversion = ENCODINGS[message.encoding]
    row = message.width * channels
    if message.step < row or len(message.data) < message.step * message.height or not message.height * row:
        size = f"{message.width} x {message.height} px"
        raise ImageError(f"{len(message.data)} bytes are no picture of {size} in {message.encoding}")
    data = np.frombuffer(message.data, np.uint8, message.step * message.height)
    image = data.reshape(message.height, message.step)[:, :row].reshape(message.height, message.width, channels)
    return image if conversion is None else cv2.cvtColor(image, conversion)


def info_of(message: CameraInfoMsg) -> CameraInfo:
    """Intrinsics of a camera_info. Raises ConfigError where they are none, as those of a camera never calibrated."""
    return CameraInfo(
        image_width=message.width,
        image_height=message.height,
        camera_matrix=Matrix(3, 3, tuple(message.k.tolist())),
        distortion_model=message.distortion_model,
        distortion_coefficients=Matrix(1, len(message.d), tuple(message.d)),
        rectification_matrix=Matrix(3, 3, tuple(message.r.tolist())),
        projection_matrix=Matrix(3, 4, tuple(message.p.tolist())),
        roi=Roi(),
    )
