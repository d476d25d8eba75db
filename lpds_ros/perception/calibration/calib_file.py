"""easy_handeye2's files: `<name>.calib`, where a camera sits, and `<name>.samples`, the poses that it was found from.

Source of the layout: marcoesposito1988/easy_handeye2, HandeyeCalibration.msg and SampleList.msg as rosidl's message_to_yaml
writes them. Two of its habits are kept: for eye on base, a sample's `robot` is the base in the hand's frame; and what is
published is hand (or base) -> tracking_base_frame, which must be the root of the camera's own frames, or have two parents.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lpds_ros.config import ConfigError, build, read_yaml, to_yaml
from lpds_ros.durable import write_whole
from lpds_ros.geometry import from_rotation_matrix, inverse_pose, pose_matrix
from lpds_ros.perception.calibration.records import Kind, Sample

QUATERNION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Translation:
    """Metres."""

    x: float
    y: float
    z: float


@dataclass(frozen=True)
class Rotation:
    """Unit quaternion."""

    x: float
    y: float
    z: float
    w: float


@dataclass(frozen=True)
class Transform:
    """geometry_msgs/Transform."""

    translation: Translation
    rotation: Rotation

    def __post_init__(self):
        length = np.linalg.norm(list(asdict(self.rotation).values()))
        if not abs(length - 1.0) < QUATERNION_TOLERANCE:
            raise ConfigError(f"rotation has length {length:.4g}, not 1")
        if not np.isfinite(list(asdict(self.translation).values())).all():
            raise ConfigError("translation is not finite")

    @property
    def matrix(self) -> np.ndarray:
        """Homogeneous transform [4, 4]."""
        q = np.array(list(asdict(self.rotation).values()))
        return pose_matrix(list(asdict(self.translation).values()), q / np.linalg.norm(q))


@dataclass(frozen=True)
class Frames:
    """HandeyeCalibrationParameters. The move group's fields are of a robot that easy_handeye2 moves; they are kept, not used."""

    name: str
    calibration_type: Kind
    robot_base_frame: str
    robot_effector_frame: str
    tracking_base_frame: str
    tracking_marker_frame: str = "charuco_board"
    freehand_robot_movement: bool = True
    move_group_namespace: str = "/"
    move_group: str = "manipulator"

    @property
    def parent(self) -> str:
        """The frame the camera is fixed to."""
        return self.robot_effector_frame if self.calibration_type == "eye_in_hand" else self.robot_base_frame


@dataclass(frozen=True)
class Calibration:
    """A .calib file: where tracking_base_frame is in `parameters.parent`."""

    parameters: Frames
    transform: Transform

    def __post_init__(self):
        for name in (self.parameters.parent, self.parameters.tracking_base_frame):
            if not name.strip("/"):
                raise ConfigError("parameters: robot_base_frame, robot_effector_frame and tracking_base_frame must name frames")


@dataclass(frozen=True)
class _Pair:
    robot: Transform
    tracking: Transform


@dataclass(frozen=True)
class _Unused:
    """Frames as a .samples file has them: easy_handeye2 leaves them empty."""

    name: str = ""
    calibration_type: str = ""
    robot_base_frame: str = ""
    robot_effector_frame: str = ""
    tracking_base_frame: str = ""
    tracking_marker_frame: str = ""
    freehand_robot_movement: bool = False
    move_group_namespace: str = ""
    move_group: str = ""


@dataclass(frozen=True)
class _Samples:
    samples: tuple[_Pair, ...]
    parameters: _Unused = field(default_factory=_Unused)


def transform_of(matrix: np.ndarray) -> Transform:
    """A homogeneous transform [4, 4] as the files have it."""
    q = from_rotation_matrix(matrix[:3, :3])
    return Transform(Translation(*matrix[:3, 3].tolist()), Rotation(*q.tolist()))


def read_calibration(path: str | Path) -> Calibration:
    """Raises ConfigError naming the key that is wrong."""
    return build(Calibration, read_yaml(path), path)


def read_calibrations(paths: str) -> list[Calibration]:
    """Those of `paths`, separated by commas. Raises ConfigError naming the file and what is wrong in it."""
    return [read_calibration(path.strip()) for path in paths.split(",") if path.strip()]


def write_calibration(path: Path, calibration: Calibration):
    """Write a file that easy_handeye2's publisher, and ours, read."""
    _write(path, asdict(calibration))


def read_samples(path: str | Path, kind: Kind) -> list[Sample]:
    """Samples of the poses alone, named by their number. Raises ConfigError."""
    found = build(_Samples, read_yaml(path), path)
    turned = (lambda m: m) if kind == "eye_in_hand" else inverse_pose
    return [Sample(f"{i:03d}", turned(s.robot.matrix), s.tracking.matrix) for i, s in enumerate(found.samples)]


def write_samples(path: Path, samples, frames: Frames):
    """Write samples as easy_handeye2 does."""
    turned = (lambda m: m) if frames.calibration_type == "eye_in_hand" else inverse_pose
    pairs = [{"robot": asdict(transform_of(turned(s.hand))), "tracking": asdict(transform_of(s.board))} for s in samples]
    _write(path, {"parameters": asdict(frames), "samples": pairs})


def _write(path: Path, tree: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_yaml(tree).encode())
