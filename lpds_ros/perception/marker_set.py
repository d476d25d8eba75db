"""Which markers an object carries and where: a YAML such as calibration/markers_cube.yaml.

A marker's frame is that of ArUco and AprilTag in ROS: origin in the middle of its black square, x to its right, y up, z out of
the print towards who looks at it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpds_ros.config import ConfigError, build, read_yaml
from lpds_ros.geometry import canonical, pose_matrix
from lpds_ros.perception.calibration.board import black_cells, dictionary

MAX_MARKERS = 100


@dataclass(frozen=True)
class Marker:
    """id: in the dictionary; size_m: side of the black square; position_m, orientation (xyzw): its frame in the object's."""

    id: int
    size_m: float
    position_m: tuple[float, float, float]
    orientation: tuple[float, float, float, float]

    def __post_init__(self):
        if not 0.002 <= self.size_m <= 2.0:
            raise ConfigError(f"marker {self.id}: size_m {self.size_m} must be 0.002 to 2 m, the side of its black square")
        if not (np.abs(self.position_m) < 10.0).all():
            raise ConfigError(f"marker {self.id}: position_m must be less than 10 m")
        if not abs(np.linalg.norm(self.orientation) - 1.0) < 1e-3:
            raise ConfigError(f"marker {self.id}: orientation must be a unit quaternion x, y, z, w")

    @property
    def pose(self) -> np.ndarray:
        """Of the marker in the object's frame [4, 4]."""
        return pose_matrix(np.array(self.position_m), canonical(np.array(self.orientation)))

    @property
    def corners(self) -> np.ndarray:
        """Top left, top right, bottom right, bottom left, in its own frame [4, 3] m: the order of OpenCV."""
        half = self.size_m / 2
        return np.array([[-half, half, 0.0], [half, half, 0.0], [half, -half, 0.0], [-half, -half, 0.0]])

    def ink(self, dictionary_name: str) -> np.ndarray:
        """What is black of it: rectangles [n, 4] as x0, y0, x1, y1 m in its own frame."""
        cells, half = black_cells(dictionary_name, self.id, self.size_m), self.size_m / 2
        return np.column_stack([cells[:, 0] - half, half - cells[:, 3], cells[:, 2] - half, half - cells[:, 1]])

    @property
    def points(self) -> np.ndarray:
        """Its corners in the object's frame [4, 3] m."""
        pose = self.pose
        return self.corners @ pose[:3, :3].T + pose[:3, 3]


@dataclass(frozen=True)
class MarkerSet:
    """One object's markers. upright_rad: where pixels do not tell a marker's two possible poses apart, the one is meant whose z
    axis is within this angle of the base frame's (what lies on a table and is carried level); 0: it may lie anyhow.
    """

    schema: int
    dictionary: str
    markers: tuple[Marker, ...]
    upright_rad: float = 0.0

    def __post_init__(self):
        if self.schema != 1:
            raise ConfigError(f"schema {self.schema} is not known to this version (1)")
        room = len(dictionary(self.dictionary).bytesList)
        ids = [marker.id for marker in self.markers]
        if not 0 < len(ids) <= MAX_MARKERS or len(set(ids)) != len(ids):
            raise ConfigError(f"markers: 1 to {MAX_MARKERS}, each id once")
        if not all(0 <= number < room for number in ids):
            raise ConfigError(f"markers: {self.dictionary} has ids 0 to {room - 1}")
        if not 0.0 <= self.upright_rad < np.pi / 2:
            raise ConfigError("upright_rad must be 0 (unknown) to below π/2")


def load_markers(path: str | Path) -> MarkerSet:
    """Raises ConfigError naming the key that is wrong."""
    return build(MarkerSet, read_yaml(path), path)
