"""The simulated camera's topics, those of realsense2_camera with its depth aligned to its colour.

camera/camera/{color, aligned_depth_to_color}/{image_raw, camera_info}: rgb8, and 16UC1 in millimetres. All OpenGL lives in
one thread. In real time a picture that is not done when the next is due costs that next one, never the physics; in lockstep
the state's other messages follow its picture. Nothing is rendered while nobody listens.
"""

import array
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import mujoco
import numpy as np
from rclpy.qos import QoSPresetProfiles, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.sim.camera import Camera, CameraView, load_view

COLOUR, DEPTH = "camera/camera/color", "camera/camera/aligned_depth_to_color"
FRAME = "camera_color_optical_frame"
CAMERA = "camera"  # both of its streams, for sim/faults.py


@dataclass(frozen=True)
class _Shot:
    """What a picture is taken of: generalised positions q, a tuple of nq."""

    stamp_ns: int
    q: tuple[float, ...]


class CameraStream:
    """The camera of one model on one node. Raises CameraError where there is nothing to render with.

    spoil: (CAMERA, sample) -> what is shown in its place, or None; see sim/faults.py.
    """

    def __init__(self, node, model: mujoco.MjModel):
        self.view = load_view()
        self.spoil = lambda name, sample: sample
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="camera")
        self._job: Future | None = None
        try:
            self._camera = self._thread.submit(Camera, model, self.view).result()
        except BaseException:
            self._thread.shutdown()
            raise
        system = QoSPresetProfiles.SYSTEM_DEFAULT.value
        self._images = {t: node.create_publisher(Image, f"{t}/image_raw", system) for t in (COLOUR, DEPTH)}
        self._infos = {
            t: node.create_publisher(CameraInfo, f"{t}/camera_info", QoSProfile(depth=10)) for t in (COLOUR, DEPTH)
        }

    def shoot(self, stamp: int, q: np.ndarray, *, wait: bool):
        """Publish the picture of generalised positions q [nq], stamped in nanoseconds. wait: return when it is out."""
        if not any(p.get_subscription_count() for p in (*self._images.values(), *self._infos.values())):
            return
        shot = self.spoil(CAMERA, _Shot(stamp, tuple(q.tolist())))
        if shot is None:
            return
        stamp, q = shot.stamp_ns, np.array(shot.q)
        if self._job is not None and self._job.done():
            self._job.result()  # raises what the thread has raised
            self._job = None
        if self._job is None:
            self._job = self._thread.submit(self._publish, stamp, q)
        if wait:
            self._job.result()
            self._job = None

    def _publish(self, stamp, q):
        colour, depth = self._camera.render(q)
        for topic, picture, encoding in ((COLOUR, colour, "rgb8"), (DEPTH, depth, "16UC1")):
            message = Image(height=picture.shape[0], width=picture.shape[1], encoding=encoding)
            message.header.stamp, message.header.frame_id = stamp_msg(stamp), FRAME
            message.step = picture[0].nbytes
            message.data = array.array("B", picture.tobytes())
            info = camera_info_msg(self.view)
            info.header = message.header
            self._images[topic].publish(message)
            self._infos[topic].publish(info)

    def destroy(self):
        """Wait for the picture under way, give the context back."""
        self._thread.submit(self._camera.close)
        self._thread.shutdown()


def camera_info_msg(view: CameraView) -> CameraInfo:
    """sensor_msgs/CameraInfo of a pinhole without distortion; no header."""
    message = CameraInfo(height=view.height_px, width=view.width_px, distortion_model="plumb_bob", d=[0.0] * 5)
    f, (cx, cy) = view.focal_px, view.centre_px
    message.k = np.array([f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0])
    message.r = np.eye(3).ravel()
    message.p = np.array([f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0])
    return message
