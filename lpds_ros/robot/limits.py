"""Limits of the arm, read from calibration/<robot>.yaml, and which of them a measured state breaks."""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from lpds_ros.config import build, read_yaml
from lpds_ros.resources import resource

Seven = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class JointLimits:
    """Hard limits of the seven joints: rad, rad/s, Nm; offset and deceleration shape the velocity limit."""

    position_min_rad: Seven
    position_max_rad: Seven
    velocity_max_radps: Seven
    acceleration_max_radps2: Seven
    jerk_max_radps3: Seven
    torque_max_nm: Seven
    offset_radps: Seven
    deceleration_radps2: Seven


@dataclass(frozen=True)
class JointBox:
    """The rectangular limits Franka suggests: inside them position and velocity limits need not be coupled."""

    position_min_rad: Seven
    position_max_rad: Seven
    velocity_max_radps: Seven


@dataclass(frozen=True)
class CartesianLimits:
    """Of the end effector: m/s, m/s², rad/s, rad/s²."""

    speed_max_mps: float
    acceleration_max_mps2: float
    turn_max_radps: float
    turn_acceleration_max_radps2: float


@dataclass(frozen=True)
class ArmLimits:
    """See the module's docstring. `hand_width_max_m`: distance between the open fingers. urdf_types: the robot's types in the
    names of its joints (<type>_joint1 to 7).
    """

    robot: str
    urdf_types: tuple[str, ...]
    joints: JointLimits
    suggested: JointBox
    cartesian: CartesianLimits
    hand_width_max_m: float
    ready_rad: Seven

    def __post_init__(self):
        for box in (self.joints, self.suggested):
            if not all(lo < hi for lo, hi in zip(box.position_min_rad, box.position_max_rad)):
                raise ValueError("every position_min_rad must be below its position_max_rad")

    def within(self, low: Seven, high: Seven) -> "ArmLimits":
        """These limits with every joint's range cut to `low` to `high`, rad. Raises ValueError where nothing is left."""
        cut = [
            replace(
                box,
                position_min_rad=tuple(map(max, box.position_min_rad, low)),
                position_max_rad=tuple(map(min, box.position_max_rad, high)),
            )
            for box in (self.joints, self.suggested)
        ]
        return replace(self, joints=cut[0], suggested=cut[1])

    def velocity_max(self, q: np.ndarray) -> np.ndarray:
        """Highest allowed speed towards the upper limits at `q` [7] rad, rad/s (Franka's formula, by position)."""
        return self._towards(np.asarray(self.joints.position_max_rad) - q)

    def velocity_min(self, q: np.ndarray) -> np.ndarray:
        """The same towards the lower limits; negative."""
        return -self._towards(q - np.asarray(self.joints.position_min_rad))

    def _towards(self, distance: np.ndarray) -> np.ndarray:
        braking = np.sqrt(np.maximum(0.0, 2.0 * np.asarray(self.joints.deceleration_radps2) * distance))
        speed = np.maximum(0.0, braking - np.asarray(self.joints.offset_radps))
        return np.minimum(np.asarray(self.joints.velocity_max_radps), speed)

    def outside(self, q: np.ndarray) -> str:
        """The first joint outside its hard limits, for a person to read, or "". NaN counts as outside."""
        for i, angle in enumerate(q.tolist()):
            low, high = self.joints.position_min_rad[i], self.joints.position_max_rad[i]
            if not low <= angle <= high or not math.isfinite(angle):
                return f"joint {i + 1} is at {angle:.3f} rad, its limits are {low} to {high}"
        return ""


@functools.cache
def load_limits(robot: str = "fr3") -> ArmLimits:
    """Read calibration/<robot>.yaml. Raises ConfigError/ResourceError saying what is wrong with it."""
    path = resource(f"calibration/{robot}.yaml")
    return build(ArmLimits, read_yaml(path), path)
