"""What `lpds calibrate` hears of a running stack or robot: the camera's pictures, the hand's pose, the fixed frames."""

import threading
from collections import deque
from dataclasses import dataclass
from functools import partial

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from lpds_ros.geometry import canonical, pose_matrix
from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.images import info_of, rgb_of
from lpds_ros.nodes.messages import pose_arrays, stamp_ns
from lpds_ros.nodes.static_frames import TOPIC as FIXED_FRAMES
from lpds_ros.nodes.static_frames import place
from lpds_ros.perception.calibration.camera_info import CameraInfo
from lpds_ros.perception.cameras import info_topic
from lpds_ros.perception.frames import FixedFrames

POSES = 200  # two seconds of a pose topic at 100 Hz
APART_NS = 100_000_000  # between a picture and the pose that is taken for its own: the hand is at rest


@dataclass(frozen=True)
class Heard:
    """The newest picture uint8 [h, w, 3] rgb, its frame, and the pose [4, 4] of the hand at its time, if one was heard."""

    stamp_ns: int
    image: np.ndarray
    frame: str
    hand: np.ndarray | None
    base: str


class CalibrationNode(LpdsNode):
    """Subscribes an image topic and, if one is named, a pose topic; publishes nothing."""

    NAME = "calibration"

    def __init__(self, image_topic: str, pose_topic: str, **options):
        super().__init__(**options)
        self._lock = threading.Lock()
        self._image: Image | None = None
        self._poses: deque[PoseStamped] = deque(maxlen=POSES)
        self.frames = FixedFrames()
        self._info: CameraInfoMsg | None = None
        self.create_subscription(Image, image_topic, self._on_image, qos.ROBOT_STATE)
        self.create_subscription(CameraInfoMsg, info_topic(image_topic), self._on_info, qos.ROBOT_STATE)
        self.create_subscription(TFMessage, FIXED_FRAMES, self._on_frames, qos.FIXED_FRAMES)
        if pose_topic:
            self.create_subscription(PoseStamped, pose_topic, self._on_pose, qos.ROBOT_HISTORY)

    def _on_image(self, message: Image):
        self._image = message

    def _on_info(self, message: CameraInfoMsg):
        self._info = message

    def _on_pose(self, message: PoseStamped):
        with self._lock:
            self._poses.append(message)

    def _on_frames(self, message: TFMessage):
        with self._lock:
            refused = place(self.frames, message)
        if refused:
            self.get_logger().warning(refused)

    @property
    def info(self) -> CameraInfo | None:
        """What the camera says of its intrinsics. Raises ConfigError where those are none."""
        return None if self._info is None else info_of(self._info)

    def take(self) -> Heard | None:
        """The newest picture not yet taken. Raises ImageError for an encoding that is none of a colour picture."""
        message, self._image = self._image, None
        if message is None:
            return None
        stamp = stamp_ns(message.header.stamp)
        with self._lock:
            near = min(self._poses, key=lambda p: abs(stamp_ns(p.header.stamp) - stamp), default=None)
        hand, base = None, ""
        if near is not None and abs(stamp_ns(near.header.stamp) - stamp) <= APART_NS:
            position, orientation = pose_arrays(near.pose)
            hand, base = pose_matrix(position, canonical(orientation)), near.header.frame_id
        return Heard(stamp, rgb_of(message), message.header.frame_id, hand, base)


class Listener(Attached):
    """A CalibrationNode beside whatever else this process does."""

    def __init__(self, image_topic: str, pose_topic: str = "", namespace: str = ""):
        super().__init__(partial(CalibrationNode, image_topic, pose_topic), namespace)
