"""The markers node: pictures of one camera in, the pose of an object that carries markers out, as lpds/object_pose.

A process of its own: to find markers takes 10 to 40 ms a picture, and a picture of a megabyte comes in under the interpreter's
lock, which perception's tick needs. What it does not see it does not say: the stream's age makes the HOLD.
"""

import time
from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from lpds_ros.config import ConfigError
from lpds_ros.geometry import canonical, from_rotation_matrix
from lpds_ros.nodes import qos
from lpds_ros.nodes.images import ImageError, info_of, rgb_of
from lpds_ros.nodes.messages import pose_arrays, pose_stamped_msg, stamp_ns
from lpds_ros.nodes.static_frames import TOPIC as FIXED_FRAMES
from lpds_ros.nodes.static_frames import place
from lpds_ros.parameters import parameter
from lpds_ros.perception.calibration.calib_file import read_calibrations
from lpds_ros.perception.calibration.camera_info import read_camera_info
from lpds_ros.perception.frames import FixedFrames, FrameError
from lpds_ros.perception.marker_set import load_markers
from lpds_ros.perception.markers import Limits, MarkerTracker, Seen
from lpds_ros.perception.pose_history import PoseHistory

WARN_S = 5.0


@dataclass(frozen=True)
class Parameters:
    markers: str = parameter("", "YAML of the object's markers (required), for example calibration/markers_cube.yaml")
    camera: str = parameter("camera/camera/color", "the camera's topics: image_raw and camera_info under this name")
    camera_info: str = parameter("", "camera_info YAML of the camera's intrinsics; empty: what the camera says of itself")
    calibration: str = parameter("", "where the camera sits: .calib files, separated by commas; empty: /tf_static alone")
    base_frame: str = parameter("base", "frame of the published pose")
    hand_frame: str = parameter("fr3_hand_tcp", "the frame whose pose pose_topic says, for a camera on the hand")
    pose_topic: str = parameter(
        "franka_robot_state_broadcaster/current_pose", "pose of the hand in the base frame, for a camera on the hand"
    )
    object_topic: str = parameter("lpds/object_pose", "where the object's pose is published")
    min_width_px: float = parameter(Limits.min_width_px, "narrower squares are not looked at", "px", (5.0, 200.0))
    max_rms_px: float = parameter(Limits.max_rms_px, "corners farther from the pose's own refuse it", "px", (0.1, 20.0))
    max_speed_mps: float = parameter(Limits.max_speed_mps, "of the object: a faster one has jumped", "m/s", (0.01, 20.0))
    max_turn_radps: float = parameter(Limits.max_turn_radps, "of the object", "rad/s", (0.1, 100.0))


class MarkersNode(LpdsNode):
    """See the module's docstring. A camera in the cell has fixed frames up to base_frame, one on the hand up to hand_frame."""

    NAME = "markers"
    Parameters = Parameters
    _pictures = _found = 0

    def set_up(self):
        p = self.params
        if not p.markers:
            raise ConfigError("parameter markers is empty: -p markers:=calibration/markers_cube.yaml")
        limits = Limits(p.min_width_px, p.max_rms_px, p.max_speed_mps, p.max_turn_radps)
        self._tracker = MarkerTracker(load_markers(p.markers), limits)
        self._info = read_camera_info(p.camera_info) if p.camera_info else None
        self._calibrations = read_calibrations(p.calibration)
        self._frames, self._hand = FixedFrames(), PoseHistory()
        self._place_calibrated()
        self._waiting: tuple[Seen, int, str] | None = None
        self._warned_s = self._heard_s = time.monotonic()  # what is still on its way at the start is not missing
        self._publisher = self.create_publisher(PoseStamped, p.object_topic, qos.CONTROL)
        if self._info is None:
            self.create_subscription(CameraInfo, f"{p.camera}/camera_info", self._on_info, qos.ROBOT_STATE)
        self.create_subscription(TFMessage, FIXED_FRAMES, self._on_frames, qos.FIXED_FRAMES)
        self.create_subscription(PoseStamped, p.pose_topic, self._on_hand, qos.ROBOT_HISTORY)
        self.create_subscription(Image, f"{p.camera}/image_raw", self._on_image, qos.ROBOT_STATE)
        self.create_timer(1.0, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _place_calibrated(self):
        """Of a camera that /tf_static places too, the calibration holds."""
        for calibration in self._calibrations:
            frames = calibration.parameters
            self._frames.set(frames.parent, frames.tracking_base_frame, calibration.transform.matrix)

    # -- in ---------------------------------------------------------------------------------------------------

    def _on_info(self, message: CameraInfo):
        try:
            self._info = info_of(message)
        except ConfigError as error:
            self._warn(f"{self.params.camera}/camera_info: {error}")

    def _on_frames(self, message: TFMessage):
        if refused := place(self._frames, message):
            self._warn(refused)
        self._place_calibrated()

    def _on_hand(self, message: PoseStamped):
        position, orientation = pose_arrays(message.pose)
        if np.isfinite([*position, *orientation]).all() and abs(np.linalg.norm(orientation) - 1.0) < 0.05:
            self._hand.push(stamp_ns(message.header.stamp), position, canonical(orientation))
        if self._waiting is not None:
            self._place(*self._waiting)

    def _on_image(self, message: Image):
        self._heard_s, self._waiting = time.monotonic(), None
        self._pictures += 1
        try:
            seen = self._tracker.find(rgb_of(message))
        except ImageError as error:
            self._warn(f"{self.params.camera}/image_raw: {error}")
            return
        if seen is None:
            self._warn(f"none of the markers of {self.params.markers} is seen")
        elif self._info is None:
            self._warn(f"nothing usable on {self.params.camera}/camera_info yet: without intrinsics a picture has no metres")
        elif (message.width, message.height) != self._info.size_px:
            self._warn(f"the intrinsics are for {self._info.size_px} px, the pictures have {(message.width, message.height)}")
        else:
            self._place(seen, stamp_ns(message.header.stamp), message.header.frame_id)

    # -- out --------------------------------------------------------------------------------------------------

    def _place(self, seen: Seen, stamp: int, frame: str):
        """Publish the object's pose at the picture's time, now or when the hand's pose of that time is known."""
        try:
            camera = self._camera_at(stamp, frame)
        except FrameError as error:
            self._warn(f"{error}: calibrate the camera (`lpds calibrate hand-eye`) and give its calibration")
            return
        newest = self._hand.newest_ns
        self._waiting = (seen, stamp, frame) if camera is None and (newest is None or newest < stamp) else None
        if camera is None:
            if newest is None or self._waiting is None:
                self._warn(f"no pose of the hand on {self.params.pose_topic} around the picture's time")
            return
        sighting, reason = self._tracker.locate(seen, self._info, camera, stamp)
        if sighting is None:
            self._warn(reason)
            return
        self._found += 1
        pose = sighting.pose
        orientation = from_rotation_matrix(pose[:3, :3])
        self._publisher.publish(pose_stamped_msg(stamp, pose[:3, 3], orientation, self.params.base_frame))

    def _camera_at(self, stamp: int, frame: str) -> np.ndarray | None:
        """The camera's optical frame [4, 4] in the base frame; None while the hand's pose is not known. Raises FrameError."""
        base, hand = self.params.base_frame, self.params.hand_frame
        try:
            return self._frames.lookup(base, frame)
        except FrameError as error:
            try:
                in_hand = self._frames.lookup(hand, frame)
            except FrameError:
                raise FrameError(f"{error}, nor from {hand}") from None
        at = self._hand.at(stamp)
        return None if at is None else at @ in_hand

    def _look(self):
        if (silent_s := time.monotonic() - self._heard_s) > WARN_S:
            self._warn(f"nothing on {self.params.camera}/image_raw for {silent_s:.0f} s: is the camera running?")

    def _warn(self, text: str):
        now = time.monotonic()
        if now - self._warned_s >= WARN_S:
            self._warned_s = now
            self.get_logger().warning(text)

    def stop(self):
        """Say how often the object was found."""
        if self._pictures:
            self.get_logger().info(f"{self._pictures} pictures, the object's pose from {self._found} of them")


def main(args: list[str] | None = None) -> int:
    """Entry point of the `markers` executable."""
    return run_node(MarkersNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
