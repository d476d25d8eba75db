"""The simulated cameras' topics, those of realsense2_camera nodes with their depth aligned to their colour.

camera/<name>/{color, aligned_depth_to_color}/{image_raw, camera_info} for the cameras of sim/camera.py: rgb8, and 16UC1 in
millimetres. All OpenGL lives in one thread. In real time a picture that is not done when the next is due costs that next one,
never the physics; in lockstep the state's other messages follow its pictures. Nothing is rendered that nobody listens to.
"""

import array
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import mujoco
import numpy as np
from rclpy.qos import QoSPresetProfiles, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.sim.camera import Camera, CameraView
from lpds_ros.sim.frames import Frame

COLOUR, DEPTH = "color", "aligned_depth_to_color"
ENCODINGS = {COLOUR: "rgb8", DEPTH: "16UC1"}


@dataclass(frozen=True)
class _Shot:
    """What a picture is taken of: generalised positions q, a tuple of nq."""

    stamp_ns: int
    q: tuple[float, ...]


class CameraStreams:
    """The cameras of one model on one node. Raises CameraError where there is nothing to render with.

    spoil: (camera's name, sample) -> what is shown in its place, or None; see sim/faults.py.
    """

    def __init__(self, node, model: mujoco.MjModel, views: dict[str, CameraView]):
        self.views = views
        self.spoil = lambda name, sample: sample
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="camera")
        self._job: Future | None = None
        try:
            self._cameras = self._thread.submit(lambda: {n: Camera(model, v) for n, v in views.items()}).result()
        except BaseException:
            self._thread.shutdown()
            raise
        system, default = QoSPresetProfiles.SYSTEM_DEFAULT.value, QoSProfile(depth=10)
        self._images, self._infos = {}, {}
        for name in views:
            for kind in ENCODINGS:
                topic = f"camera/{name}/{kind}"
                self._images[name, kind] = node.create_publisher(Image, f"{topic}/image_raw", system)
                self._infos[name, kind] = node.create_publisher(CameraInfo, f"{topic}/camera_info", default)

    def frames(self) -> tuple[Frame, ...]:
        """The fixed frames of all of them."""
        return tuple(frame for name, view in self.views.items() for frame in view.frames(name))

    def shoot(self, stamp: int, q: np.ndarray, *, wait: bool):
        """Publish the pictures of generalised positions q [nq], stamped in nanoseconds. wait: return when they are out."""
        shots = {}
        for name in self.views:
            if any(self._heard(name, kind) for kind in ENCODINGS):
                shots[name] = self.spoil(name, _Shot(stamp, tuple(q.tolist())))
        if self._job is not None and self._job.done():
            self._job.result()  # raises what the thread has raised
            self._job = None
        if self._job is None and shots:
            self._job = self._thread.submit(self._publish, shots)
        if wait and self._job is not None:
            self._job.result()
            self._job = None

    def _heard(self, name: str, kind: str) -> int:
        return self._images[name, kind].get_subscription_count() + self._infos[name, kind].get_subscription_count()

    def _publish(self, shots: dict[str, _Shot | None]):
        for name, shot in shots.items():
            if shot is None:
                continue
            q = np.array(shot.q)
            if self._heard(name, DEPTH):
                pictures = dict(zip(ENCODINGS, self._cameras[name].render(q)))
            else:
                pictures = {COLOUR: self._cameras[name].colour(q)}
            for kind, picture in pictures.items():
                self._say(name, kind, picture, shot.stamp_ns)

    def _say(self, name: str, kind: str, picture: np.ndarray, stamp: int):
        message = Image(height=picture.shape[0], width=picture.shape[1], encoding=ENCODINGS[kind])
        message.header.stamp, message.header.frame_id = stamp_msg(stamp), f"{name}_color_optical_frame"
        message.step = picture[0].nbytes
        message.data = array.array("B", picture.tobytes())
        info = camera_info_msg(self.views[name])
        info.header = message.header
        self._images[name, kind].publish(message)
        self._infos[name, kind].publish(info)

    def destroy(self):
        """Wait for the pictures under way, give the contexts back."""
        for camera in self._cameras.values():
            self._thread.submit(camera.close)
        self._thread.shutdown()


def camera_info_msg(view: CameraView) -> CameraInfo:
    """sensor_msgs/CameraInfo of a pinhole without distortion; no header."""
    message = CameraInfo(height=view.height_px, width=view.width_px, distortion_model="plumb_bob", d=[0.0] * 5)
    f, (cx, cy) = view.focal_px, view.centre_px
    message.k = np.array([f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0])
    message.r = np.eye(3).ravel()
    message.p = np.array([f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0])
    return message
