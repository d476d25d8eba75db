"""Pictures of a printed board as a camera with lens distortion and noise would take them, with known truth."""

import functools

import cv2
import numpy as np

from lpds_ros.geometry import from_rotation_vector, inverse_pose, rotation_matrix
from lpds_ros.perception.calibration.board import load_board
from lpds_ros.perception.calibration.camera_info import CameraInfo, camera_info
from lpds_ros.perception.calibration.printing import MARGIN_M, board_image

PX_PER_M = 4000.0
SIZE = (640, 480)
# A D435's colour camera, as one is calibrated at the factory, with more distortion than it has.
K = np.array([[612.3, 0.0, 322.7], [0.0, 611.1, 243.9], [0.0, 0.0, 1.0]])
D = np.array([0.12, -0.25, 0.0012, -0.0008, 0.06])
INFO: CameraInfo = camera_info("truth", SIZE, K, D)


class Renderer:
    """Renders `board`. noise: standard deviation of a pixel's grey value, of 255. The paper's light falls off to one side."""

    def __init__(self, board, info: CameraInfo = INFO, noise: float = 2.0):
        self.board, self.info, self.noise = board, info, noise
        self._texture = cv2.GaussianBlur(board_image(board, PX_PER_M), (0, 0), 1.0)
        width, height = info.size_px
        x, y = np.meshgrid((np.arange(2 * width) - 0.5) / 2, (np.arange(2 * height) - 0.5) / 2)
        grid = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)
        rays = cv2.undistortPointsIter(grid, info.k, info.d, None, None, criteria).reshape(-1, 2)
        self._rays = np.column_stack([rays, np.ones(len(rays))]).astype(np.float32)

    def __call__(self, pose, rng) -> np.ndarray:
        """Picture uint8 [h, w, 3] of the board at `pose` [4, 4] in the camera's frame: the mean of four samples a pixel."""
        inverse = inverse_pose(pose).astype(np.float32)
        eye, rays = inverse[:3, 3], self._rays @ inverse[:3, :3].T
        scale = -eye[2] / np.where(np.abs(rays[:, 2]) > 1e-9, rays[:, 2], np.nan)
        ahead = scale > 0  # the plane is met in front of the camera
        place = (eye[:2] + scale[:, None] * rays[:, :2] + MARGIN_M) * PX_PER_M - 0.5
        place = np.where(ahead[:, None], place, np.float32(-1e6))
        width, height = self.info.size_px
        maps = place.reshape(2 * height, 2 * width, 2)
        seen = cv2.remap(self._texture, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=140)
        seen = cv2.resize(seen.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        light = np.linspace(0.75, 0.9, width, dtype=np.float32)
        picture = seen * light + 20.0 + self.noise * rng.standard_normal(seen.shape, np.float32)
        return np.repeat(np.clip(np.rint(picture), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def pose_of(rotation_vector, position) -> np.ndarray:
    """Homogeneous transform [4, 4]."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_matrix(from_rotation_vector(np.array(rotation_vector, float)))
    pose[:3, 3] = position
    return pose


def facing(board, centre, tilt) -> np.ndarray:
    """Pose [4, 4] of the board in the camera's frame: its middle at `centre` [3] m, turned by the rotation vector `tilt`."""
    pose = pose_of(tilt, centre)
    pose[:3, 3] -= pose[:3, :3] @ np.array([*(np.array(board.size_m) / 2), 0.0])
    return pose


@functools.cache
def shots(count: int = 15) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures of the package's board all over the picture, tilted up to half a radian about each axis; its poses [4, 4]."""
    board, rng = load_board(), np.random.default_rng(0)
    renderer, found = Renderer(board), []
    for i in range(count):
        centre = ((-0.13, 0.13, 0.0)[i % 3], (-0.08, 0.08)[i // 3 % 2], 0.42 + 0.06 * (i % 4))
        pose = facing(board, centre, rng.uniform(-0.5, 0.5, 3))
        found.append((renderer(pose, rng), pose))
    return found
