"""Pinhole cameras on the simulated cell: colour and depth of the same view, rendered off screen through EGL.

Works without a display and without a graphics card (Mesa's software driver). All of one camera's life happens in one
thread, because an OpenGL context belongs to a thread. It looks at a copy: the physics' model and data are not touched.
"""

import copy
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from lpds_ros.config import build, read_yaml
from lpds_ros.contract import Contract
from lpds_ros.resources import resource
from lpds_ros.sim.frames import BASE, Frame
from lpds_ros.sim.rotation import Quaternion
from lpds_ros.sim.streams import CAMERAS, PICTURES

FILES = dict(zip(CAMERAS, ("sim_camera.yaml", "sim_wrist_camera.yaml")))  # of calibration/
OPTICAL: Quaternion = (-0.5, 0.5, -0.5, 0.5)  # z forward, x right, in a frame of x forward, y left
INSTALL = "install libegl1 and libgl1-mesa-dri (sudo apt install libegl1 libgl1-mesa-dri), or use camera:=none"


class CameraError(ValueError):
    """There is nothing to render with; the text says what to install."""


@dataclass(frozen=True)
class CameraView:
    """Where the camera is and what it sees: pixels, vertical angle of view, place and aim in the frame it is mounted on.

    The frame is `base`, or a body of the arm, with which the camera moves. Its picture's columns lie across that frame's z axis.
    samples: of a pixel, over which edges are smoothed; 0: none, each takes time.
    """

    width_px: int
    height_px: int
    vertical_view_rad: float
    position_m: tuple[float, float, float]
    look_at_m: tuple[float, float, float]
    depth_max_m: float
    mounted_on: str = BASE
    samples: int = 0

    def __post_init__(self):
        if not (self.width_px > 0 and self.height_px > 0 and 0.0 < self.vertical_view_rad < math.pi):
            raise ValueError("width_px and height_px must be above 0, vertical_view_rad between 0 and π")
        if not 0 <= self.samples <= 16:
            raise ValueError("samples must be 0 to 16")
        if np.hypot(*(np.array(self.look_at_m) - self.position_m)[:2]) < 1e-6:
            raise ValueError("look_at_m must not lie straight above or below position_m")

    @property
    def focal_px(self) -> float:
        """Focal length, the same along both axes."""
        return 0.5 * self.height_px / math.tan(0.5 * self.vertical_view_rad)

    @property
    def centre_px(self) -> tuple[float, float]:
        """Principal point; whole numbers are the middles of pixels."""
        return (self.width_px - 1) / 2, (self.height_px - 1) / 2

    def axes(self) -> np.ndarray:
        """Rotation matrix [3, 3] of <name>_link (x forward, y left, z up) in the frame it is mounted on."""
        x = np.array(self.look_at_m) - self.position_m
        x /= np.linalg.norm(x)
        y = np.cross([0.0, 0.0, 1.0], x)
        y /= np.linalg.norm(y)
        return np.column_stack([x, y, np.cross(x, y)])

    def reduced(self, width_px: int, height_px: int) -> "CameraView":
        """The same camera with fewer pixels: what is left of its picture when the middle is cropped to this shape and reduced."""
        used_px = min(self.height_px, self.width_px * height_px / width_px)
        angle = 2.0 * math.atan(math.tan(0.5 * self.vertical_view_rad) * used_px / self.height_px)
        return dataclasses.replace(self, width_px=width_px, height_px=height_px, vertical_view_rad=angle)

    def frames(self, name: str = "camera") -> tuple[Frame, ...]:
        """The fixed frames realsense2_camera publishes for a camera of this name, and its place on what it is mounted on."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.axes().ravel())
        w, x, y, z = quaternion.tolist()
        here, unturned = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)
        frames = [(self.mounted_on, f"{name}_link", self.position_m, (x, y, z, w))]
        for kind in ("color", "depth"):
            frames.append((f"{name}_link", f"{name}_{kind}_frame", here, unturned))
            frames.append((f"{name}_{kind}_frame", f"{name}_{kind}_optical_frame", here, OPTICAL))
        return tuple(frames)


def load_view(name: str = "camera") -> CameraView:
    """Read the view of the camera called so, from its file in calibration/. Raises ConfigError."""
    return read_view(resource(f"calibration/{FILES[name]}"))


def read_view(path: str | Path) -> CameraView:
    """Read the view of a file. Raises ConfigError."""
    return build(CameraView, read_yaml(path), path)


def camera_views(contract: Contract) -> dict[str, CameraView]:
    """Every camera by name; one that the contract sees has no more pixels than the contract wants: rendering takes time."""
    views = {name: load_view(name) for name in CAMERAS}
    for stream in (contract.streams[name] for name in contract.images):
        name = PICTURES[stream.topic]
        if stream.fit == "crop":
            views[name] = views[name].reduced(stream.width_px, stream.height_px)
    return views


class Camera:
    """Renders the view of one model. Make, use and close it in one thread. Raises CameraError where there is no EGL."""

    def __init__(self, model: mujoco.MjModel, view: CameraView):
        self._context = _context(view.width_px, view.height_px)
        self.view, self._model = view, copy.deepcopy(model)
        visual = self._model.vis
        visual.global_.offwidth, visual.global_.offheight = view.width_px, view.height_px
        visual.quality.offsamples = view.samples  # a software driver pays for each
        visual.headlight.ambient[:] = 0.35
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=model.ngeom + 100)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._option.sitegroup[:] = 0  # points that only the model knows
        self._gl = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._gl.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._gl)
        self._window = mujoco.MjrRect(0, 0, view.width_px, view.height_px)
        self._near, self._far = (getattr(visual.map, end) * self._model.stat.extent for end in ("znear", "zfar"))

    def render(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colour uint8 [h, w, 3] and depth uint16 [h, w] in mm (0: too far) of the generalised positions q [nq]."""
        view, colour, raw = self.view, *self._read(q, depth=True)
        metres = self._near * self._far / ((self._far - self._near) * raw.astype(np.float64) + self._near)
        depth = np.where(metres <= view.depth_max_m, np.round(metres * 1000.0), 0.0).astype(np.uint16)
        return np.flipud(colour), np.flipud(depth)

    def colour(self, q: np.ndarray) -> np.ndarray:
        """The colour of `render` alone."""
        return np.flipud(self._read(q, depth=False)[0])

    def _read(self, q, depth: bool):
        model, data, view = self._model, self._data, self.view
        self._context.make_current()
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        place, axes = np.array(view.position_m), view.axes()
        if view.mounted_on != BASE:
            body = data.body(view.mounted_on)
            turn = body.xmat.reshape(3, 3)
            place, axes = body.xpos + turn @ place, turn @ axes
        forward, _, up = axes.T
        half = self._near * math.tan(0.5 * view.vertical_view_rad)
        for eye in self._scene.camera:
            eye.pos, eye.forward, eye.up = place, forward, up
            eye.frustum_near, eye.frustum_far = self._near, self._far
            eye.frustum_bottom, eye.frustum_top, eye.frustum_center = -half, half, 0.0
            eye.frustum_width = 0.0  # from the window's shape
        mujoco.mjr_render(self._window, self._scene, self._gl)
        colour = np.empty((view.height_px, view.width_px, 3), np.uint8)
        raw = np.empty((view.height_px, view.width_px), np.float32) if depth else None
        mujoco.mjr_readPixels(colour, raw, self._window, self._gl)
        return colour, raw

    def close(self):
        """Give the context back."""
        self._context.make_current()
        self._gl.free()
        self._context.free()


def _context(width_px, height_px):
    """An off-screen OpenGL context, current in this thread. What is missing shows itself in many ways."""
    try:
        from mujoco.egl import GLContext
        from OpenGL.error import Error
    except (ImportError, AttributeError) as error:
        raise CameraError(f"the simulated camera has no EGL to render with ({error}): {INSTALL}") from error
    try:
        context = GLContext(width_px, height_px)
        context.make_current()
    except (ImportError, RuntimeError, Error) as error:
        raise CameraError(f"the simulated camera's EGL does not work ({error}): {INSTALL}") from error
    return context
