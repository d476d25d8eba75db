"""The camera node: one RealSense, with the topics, frames and quality of service of realsense2_camera, without it.

<namespace>/<name>/{color, aligned_depth_to_color}/{image_raw, camera_info}: rgb8, and 16UC1 in millimetres; /tf_static has the
camera's own frames. Depth is aligned, and a picture sent, only while somebody listens to it.
"""

from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from rclpy.qos import QoSPresetProfiles, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from lpds_ros.nodes import qos
from lpds_ros.nodes.camera_messages import camera_info_msg, image_msg
from lpds_ros.nodes.sim_messages import transform_msg
from lpds_ros.nodes.threads import NodeThread
from lpds_ros.parameters import parameter
from lpds_ros.perception.camera_feed import CameraFeed
from lpds_ros.perception.cameras import NAME, NAMESPACE, read_profile
from lpds_ros.perception.librealsense import librealsense
from lpds_ros.perception.realsense import CameraSettings, RealSense
from lpds_ros.perception.rgbd import RgbdFrame, camera_frames

STREAMS = COLOUR, DEPTH = "color", "aligned_depth_to_color"


@dataclass(frozen=True)
class Parameters:
    """Named as realsense2_camera names them, where it has them."""

    camera_name: str = parameter(NAME, "second part of the topics, first of the frames")
    camera_namespace: str = parameter(NAMESPACE, "first part of the topics")
    serial_no: str = parameter("", "serial number; empty: the only camera plugged in")
    profile: str = parameter("640x480x30", "width x height x rate of colour and depth")
    enable_depth: bool = parameter(True, "stream depth too")
    rosbag_filename: str = parameter("", "recording of librealsense that is played in place of a camera (.db3, .bag)")
    rosbag_loop: bool = parameter(False, "play it again and again")
    initial_reset: bool = parameter(False, "reset the camera before it is opened")
    attempts: int = parameter(3, "to start it, with a hardware reset between two", range=(1, 10))
    appear_s: float = parameter(5.0, "how long it may take to be found", "s", (0.0, 60.0))
    silence_s: float = parameter(1.0, "without a picture for so long it is lost, and opened again", "s", (0.1, 10.0))
    warm_up_s: float = parameter(1.0, "pictures not shown while the exposure settles", "s", (0.0, 30.0))


class CameraNode(LpdsNode):
    """See the module's docstring. A camera that is not there at the start ends the node; one that is lost later is awaited."""

    NAME = "camera"
    Parameters = Parameters
    _thread: NodeThread | None = None
    _camera: RealSense | None = None

    def set_up(self):
        p = self.params
        stem = f"{p.camera_namespace}/{p.camera_name}" if p.camera_namespace else p.camera_name
        settings = CameraSettings(
            name=stem,
            serial=p.serial_no,
            profile=read_profile(p.profile),
            depth=p.enable_depth,
            file=p.rosbag_filename,
            loop=p.rosbag_loop,
            attempts=p.attempts,
            reset=p.initial_reset,
            appear_s=p.appear_s,
            silence_s=p.silence_s,
            warm_up_s=p.warm_up_s,
        )
        self._frame = f"{p.camera_name}_color_optical_frame"
        self._camera = RealSense(settings, librealsense(), say=self.get_logger().warning)
        self._camera.open()
        system = QoSPresetProfiles.SYSTEM_DEFAULT.value
        streams = STREAMS if p.enable_depth else (COLOUR,)
        self._images = {s: self.create_publisher(Image, f"{stem}/{s}/image_raw", system) for s in streams}
        self._infos = {s: self.create_publisher(CameraInfo, f"{stem}/{s}/camera_info", QoSProfile(depth=10)) for s in streams}
        frames = camera_frames(p.camera_name, self._camera.colour_in_depth)
        self._fixed = self.create_publisher(TFMessage, "/tf_static", qos.LATCHED)
        now = self.get_clock().now().nanoseconds
        self._fixed.publish(TFMessage(transforms=[transform_msg(now, frame) for frame in frames]))
        self.get_logger().info(f"{self._camera.label} is open: serial {self._camera.serial}, {self._camera.colour}")
        self.feed = CameraFeed(self._camera, self._show, wanted=lambda: self._heard(DEPTH), say=self.get_logger().error)
        self._thread = NodeThread(self, self.feed.run, "camera")

    def _heard(self, stream: str) -> bool:
        return any(p[stream].get_subscription_count() for p in (self._images, self._infos) if stream in p)

    def _show(self, frame: RgbdFrame):
        for stream, picture in ((COLOUR, frame.colour), (DEPTH, frame.depth)):
            if picture is not None and self._heard(stream):
                self._images[stream].publish(image_msg(frame.stamp_ns, self._frame, picture))
                self._infos[stream].publish(camera_info_msg(frame.stamp_ns, self._frame, self._camera.colour))

    def stop(self):
        """End the thread, which closes the camera."""
        if self._thread is not None:
            self._thread.end()
            self._thread = None
            self.get_logger().info(f"{self._camera.label}: {self.feed.shown} pictures, lost {self.feed.losses} times")
        elif self._camera is not None:
            self._camera.close()
        self._camera = None

    def destroy_node(self):
        self.stop()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Entry point of the `camera` executable."""
    return run_node(CameraNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
