"""A camera's intrinsics and the file they live in: YAML as ROS's camera_calibration_parsers writes and reads it.

Source of the layout: ros-perception/image_common, camera_calibration_parsers/src/parse_yml.cpp.
"""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lpds_ros.config import ConfigError, build, read_yaml, to_yaml
from lpds_ros.durable import write_whole

INTRINSICS = "camera_info.yaml"  # in a calibration's folder
# Distortion models of sensor_msgs/distortion_models.hpp whose coefficients OpenCV's pinhole functions take, and their numbers.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8,)}


@dataclass(frozen=True)
class Matrix:
    """rows × cols numbers, row by row."""

    rows: int
    cols: int
    data: tuple[float, ...]

    def __post_init__(self):
        if len(self.data) != self.rows * self.cols or self.rows < 0 or self.cols < 0:
            raise ConfigError(f"data holds {len(self.data)} numbers, rows × cols are {self.rows} × {self.cols}")
        if not all(map(math.isfinite, self.data)):
            raise ConfigError("data holds a number that is not finite")


@dataclass(frozen=True)
class Roi:
    """sensor_msgs/RegionOfInterest: zeros are the whole picture."""

    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


@dataclass(frozen=True)
class CameraInfo:
    """The fields of sensor_msgs/CameraInfo, in the order and under the names of the file."""

    image_width: int
    image_height: int
    camera_matrix: Matrix
    distortion_coefficients: Matrix
    rectification_matrix: Matrix
    projection_matrix: Matrix
    camera_name: str = "unknown"
    distortion_model: str = "plumb_bob"
    binning_x: int = 0
    binning_y: int = 0
    roi: Roi = field(default_factory=Roi)

    def __post_init__(self):
        if not (0 < self.image_width <= 16384 and 0 < self.image_height <= 16384):
            raise ConfigError("image_width and image_height must be 1 to 16384")
        if self.distortion_model not in MODELS:
            raise ConfigError(f"distortion_model '{self.distortion_model}' is not one of {', '.join(MODELS)}")
        counts = MODELS[self.distortion_model]
        if len(self.distortion_coefficients.data) not in counts:
            raise ConfigError(f"{self.distortion_model} has {' or '.join(map(str, counts))} distortion_coefficients")
        for name, shape in (("camera_matrix", (3, 3)), ("rectification_matrix", (3, 3)), ("projection_matrix", (3, 4))):
            matrix = getattr(self, name)
            if (matrix.rows, matrix.cols) != shape:
                raise ConfigError(f"{name} is {matrix.rows} × {matrix.cols}, not {shape[0]} × {shape[1]}")
        k = self.k
        if not (k[0, 0] > 0 and k[1, 1] > 0 and k[2].tolist() == [0, 0, 1] and k[1, 0] == 0):
            raise ConfigError("camera_matrix is no [fx 0 cx; 0 fy cy; 0 0 1] with fx and fy above 0: is the camera calibrated?")

    @property
    def k(self) -> np.ndarray:
        """Camera matrix [3, 3], px."""
        return np.array(self.camera_matrix.data).reshape(3, 3)

    @property
    def d(self) -> np.ndarray:
        """Distortion coefficients, in OpenCV's order."""
        return np.array(self.distortion_coefficients.data)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.image_width, self.image_height


def camera_info(name: str, size_px: tuple[int, int], k: np.ndarray, d: np.ndarray, model: str = "plumb_bob") -> CameraInfo:
    """Intrinsics of a camera that is not one of a stereo pair: nothing to rectify, projection as the camera matrix."""
    return CameraInfo(
        image_width=int(size_px[0]),
        image_height=int(size_px[1]),
        camera_name=name,
        camera_matrix=_matrix(np.asarray(k)),
        distortion_model=model,
        distortion_coefficients=_matrix(np.asarray(d).reshape(1, -1)),
        rectification_matrix=_matrix(np.eye(3)),
        projection_matrix=_matrix(np.column_stack([k, np.zeros(3)])),
    )


def _matrix(a: np.ndarray) -> Matrix:
    return Matrix(*a.shape, tuple(a.astype(float).ravel().tolist()))


def read_camera_info(path: str | Path) -> CameraInfo:
    """Raises ConfigError naming the key that is wrong."""
    return build(CameraInfo, read_yaml(path), path)


ORDER = ("image_width", "image_height", "camera_name", "camera_matrix", "distortion_model", "distortion_coefficients")
ORDER += ("rectification_matrix", "projection_matrix", "binning_x", "binning_y", "roi")


def write_camera_info(path: Path, info: CameraInfo):
    """Write the file: with ROS, `camera_info_url: file://<path>` reads it."""
    tree = asdict(info)
    for matrix in tree.values():
        if isinstance(matrix, dict) and "data" in matrix:
            matrix["data"] = list(matrix["data"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_yaml({key: tree[key] for key in ORDER}, default_flow_style=None, width=1000).encode())


def project(points: np.ndarray, k: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Pixels [n, 2] of points [n, 3] m in the camera's frame (z forward): pinhole, then radial (2, 3 or rational 6) and
    tangential distortion, as OpenCV's projectPoints; one that is not in front of the camera is not a number.
    """
    k1, k2, p1, p2, k3, k4, k5, k6 = np.concatenate([d, np.zeros(8 - len(d))])
    z = np.where(points[:, 2] > 1e-9, points[:, 2], np.nan)
    x, y = points[:, 0] / z, points[:, 1] / z
    r2 = x * x + y * y
    radial = (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    u = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    v = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    return np.column_stack([k[0, 0] * u + k[0, 2], k[1, 1] * v + k[1, 2]])
