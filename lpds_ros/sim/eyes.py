"""The cameras of a contract without ROS: the pictures that its image streams would bring, of any state of the world."""

from collections.abc import Callable

import mujoco
import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.images import fitted
from lpds_ros.sim.camera import Camera, camera_views
from lpds_ros.sim.streams import PICTURES


class Eyes:
    """One camera of `model` for each stream of images. Make, use and close in one thread. Raises CameraError without EGL."""

    def __init__(self, contract: Contract, model: mujoco.MjModel):
        views = camera_views(contract)
        self._streams = {name: contract.streams[name] for name in contract.images}
        self._cameras = {name: Camera(model, views[PICTURES[stream.topic]]) for name, stream in self._streams.items()}

    def pictures(self, q: np.ndarray) -> dict[str, np.ndarray]:
        """Stream to uint8 [h, w, 3] in the contract's size, of the generalised positions q [nq]."""
        return {name: fitted(camera.colour(q), self._streams[name]) for name, camera in self._cameras.items()}

    def feed(self, aligner, stamp_ns: int, q: np.ndarray, encode: Callable[[str, np.ndarray], np.ndarray]):
        """Push the features of the pictures of `q`. encode: (stream, picture) -> features."""
        for name, picture in self.pictures(q).items():
            aligner.push_features(name, stamp_ns, encode(name, picture))

    def close(self):
        """Give the cameras' contexts back."""
        for camera in self._cameras.values():
            camera.close()
