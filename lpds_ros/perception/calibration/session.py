"""A folder of calibration pictures: each is written as it is taken, with the hand's pose, so that one may stop and go on.

<folder>/000.png, 001.png, …, and poses.yaml: {000.png: [x, y, z, qx, qy, qz, qw], …} m, of the hand in the base frame. The same
folder made by other means (a tablet's pictures, a robot's log) is read as well; pictures may be .png, .jpg, .jpeg or .bmp, and
*.result.png are none.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lpds_ros.config import ConfigError, read_yaml, to_yaml
from lpds_ros.durable import write_whole
from lpds_ros.geometry import from_rotation_matrix, pose_matrix
from lpds_ros.perception.calibration.board import Board
from lpds_ros.perception.calibration.records import View

POSES = "poses.yaml"
RESULT = ".result.png"  # what a calibration draws is none of its pictures
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
MAX_PICTURES = 1000


@dataclass(frozen=True)
class Picture:
    """size_px: width, height. view: the board in it, or None. hand [4, 4]: pose of the hand, or None."""

    name: str
    size_px: tuple[int, int]
    view: View | None
    hand: np.ndarray | None


class Session:
    """The pictures of `folder`, which is made where there is none. Raises ConfigError for what cannot be read."""

    def __init__(self, folder: Path, board: Board):
        self.folder, self.board = folder, board
        folder.mkdir(parents=True, exist_ok=True)
        self._poses = self._read_poses()
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.endswith(RESULT))
        if len(files) > MAX_PICTURES:
            raise ConfigError(f"{folder}: {len(files)} pictures, at most {MAX_PICTURES} are read")
        if strangers := sorted(set(self._poses) - {p.name for p in files}):
            raise ConfigError(f"{folder / POSES}: poses of pictures that are not there: {', '.join(strangers[:5])}")
        self.pictures = [self._read(path) for path in files]
        sizes = {p.size_px for p in self.pictures}
        if len(sizes) > 1:
            raise ConfigError(f"{folder}: pictures of different sizes ({sorted(sizes)}): keep those of one")

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the pictures. Raises ConfigError without any."""
        if not self.pictures:
            raise ConfigError(f"{self.folder}: no pictures ({', '.join(PICTURES)}); give --topic to take some")
        return self.pictures[0].size_px

    @property
    def views(self) -> list[View]:
        """The pictures in which the board was found."""
        return [p.view for p in self.pictures if p.view is not None]

    def add(self, image: np.ndarray, view: View, hand: np.ndarray | None = None) -> Picture:
        """Write a picture uint8 [h, w, 3] rgb and, with `hand` [4, 4], its pose. What is on the disk is whole at any time."""
        size = image.shape[1], image.shape[0]
        if self.pictures and size != self.size_px:
            raise ConfigError(f"{self.folder}: its pictures are {self.size_px}, this one is {size}: use another folder")
        numbers = [int(Path(p.name).stem) for p in self.pictures if Path(p.name).stem.isdecimal()]
        name = f"{max(numbers, default=-1) + 1:03d}.png"
        picture = Picture(name, size, View(name, view.ids, view.corners, view.points), hand)
        write_whole(self.folder / name, cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
        if hand is not None:
            q = from_rotation_matrix(hand[:3, :3])
            self._poses[name] = [*hand[:3, 3].tolist(), *q.tolist()]
            write_whole(self.folder / POSES, to_yaml(self._poses, default_flow_style=None, width=1000).encode())
        self.pictures.append(picture)
        return picture

    def _read(self, path: Path) -> Picture:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE) if path.stat().st_size else None
        if image is None:
            raise ConfigError(f"{path}: not a picture that can be read; delete it")
        pose = self._poses.get(path.name)
        hand = None if pose is None else pose_matrix(np.array(pose[:3]), np.array(pose[3:]))
        return Picture(path.name, (image.shape[1], image.shape[0]), self.board.detect(image, path.name), hand)

    def _read_poses(self) -> dict[str, list[float]]:
        path = self.folder / POSES
        if not path.exists():
            return {}
        poses = {}
        for name, numbers in read_yaml(path).items():
            try:
                pose = np.array(numbers, float)
            except (TypeError, ValueError):
                pose = np.empty(0)
            if pose.shape != (7,) or not np.isfinite(pose).all() or abs(np.linalg.norm(pose[3:]) - 1.0) > 1e-3:
                raise ConfigError(f"{path}: {name} must be [x, y, z, qx, qy, qz, qw], metres and a unit quaternion")
            poses[name] = [*pose[:3].tolist(), *(pose[3:] / np.linalg.norm(pose[3:])).tolist()]
        return poses
