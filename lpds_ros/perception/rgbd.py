"""What a colour and depth camera gives: pictures, intrinsics, and its own frames as realsense2_camera names them."""

from dataclasses import dataclass

import numpy as np

from lpds_ros.geometry import conjugate, from_rotation_matrix, multiply

MILLIMETRE_M = 0.001
OPTICAL = np.array([-0.5, 0.5, -0.5, 0.5])  # z forward, x right, in a frame of x forward, y left
UNTURNED = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Pinhole:
    """A stream's intrinsics in pixels; `coefficients` [5] of plumb_bob, or [4] of equidistant, as ROS names the models."""

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    model: str
    coefficients: tuple[float, ...]

    @property
    def k(self) -> list[float]:
        """The camera matrix [9], row by row, of sensor_msgs/CameraInfo."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        return [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]


@dataclass(frozen=True)
class RgbdFrame:
    """One moment. colour: uint8 [h, w, 3]. depth: uint16 [h, w] mm in the colour's pixels, 0 where unknown; None: not asked."""

    stamp_ns: int
    number: int
    colour: np.ndarray
    depth: np.ndarray | None


def camera_frames(name: str, colour_in_depth=None) -> list[tuple]:
    """(parent, child, position m, orientation xyzw) of a camera's fixed frames, <name>_link being its depth camera's.

    colour_in_depth: rotation [3, 3] and translation [3] m of the colour's optical frame in the depth's; None: no depth camera,
    and <name>_link is the colour's.
    """
    place, turn = np.zeros(3), np.array(UNTURNED)
    if colour_in_depth is not None:
        rotation, (x, y, z) = colour_in_depth
        place = np.array([z, -x, -y])  # of optical axes to those of a link
        turn = multiply(multiply(OPTICAL, from_rotation_matrix(rotation)), conjugate(OPTICAL))
    frames = [] if colour_in_depth is None else [("depth", np.zeros(3), np.array(UNTURNED))]
    frames.append(("color", place, turn))
    found = []
    for kind, position, orientation in frames:
        found.append((f"{name}_link", f"{name}_{kind}_frame", tuple(position.tolist()), tuple(orientation.tolist())))
        found.append((f"{name}_{kind}_frame", f"{name}_{kind}_optical_frame", (0.0, 0.0, 0.0), tuple(OPTICAL.tolist())))
    return found


def in_millimetres(depth: np.ndarray, unit_m: float) -> np.ndarray:
    """Depth uint16 [h, w] of any unit in mm, a copy; farther than 65.5 m becomes 0, unknown. A D405's unit is 0.1 mm."""
    if abs(unit_m - MILLIMETRE_M) < 1e-9:
        return depth.copy()
    scaled = np.rint(depth * (unit_m / MILLIMETRE_M))
    return np.where(scaled <= np.iinfo(np.uint16).max, scaled, 0).astype(np.uint16)


def pinhole(rs, intrinsics) -> Pinhole:
    """librealsense's intrinsics, with the distortion model as realsense2_camera names it."""
    fisheye = intrinsics.model == rs.distortion.kannala_brandt4
    return Pinhole(
        intrinsics.width,
        intrinsics.height,
        (intrinsics.fx, intrinsics.fy),
        (intrinsics.ppx, intrinsics.ppy),
        "equidistant" if fisheye else "plumb_bob",
        tuple(intrinsics.coeffs[: 4 if fisheye else 5]),
    )
