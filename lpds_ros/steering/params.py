"""What the steering core may do, in numbers."""

import math
from dataclasses import dataclass

from lpds_ros.robot.command_modes import CommandMode, make_command_mode
from lpds_ros.robot.limits import ArmLimits, load_limits


@dataclass(frozen=True)
class SteeringParams:
    """Limits and rates of the steering core. Every number must be positive.

    arm: the file in calibration/ with its limits. joint_min_rad, joint_max_rad: of each joint, where they are narrower than
    that file's (by the robot's own description); empty: the file's.

    target_hz: rate of interpolated pose targets. max_speed_mps, max_turn_radps: of the commanded pose. anchor_m,
    anchor_rad: a target farther than this from the measured pose starts again from it. gripper_threshold,
    gripper_dwell_s: see GripperLogic. candidates: noises that a chunk decoded ahead is chosen from,
    by how it goes on with the running one. prefix: whether it is decoded to go on from that one's rows (see prefix.py).
    resume_after: clean observations that end a HOLD. max_radius: ‖Δ‖₂ allowed here, whatever weights arrive.
    operator_max_age_s: an operator's command older (or younger) than this does not drive. camera_lost_s: without a usable
    picture for so long a camera is lost, see LostCameras.

    What ends in a HOLD: reach_m, a measured pose farther from the base (no arm reaches there); joint_margin_rad, see JointBox;
    cut_ticks, rows in a row that were cut; wild_ticks, rows in a row of more than wild_ratio times the allowed speed; still_m,
    still_rad, see Following.
    """

    arm: str = "fr3"
    joint_min_rad: tuple[float, ...] = ()
    joint_max_rad: tuple[float, ...] = ()
    target_hz: float = 100.0
    max_speed_mps: float = 0.25
    max_turn_radps: float = 0.6
    anchor_m: float = 0.05
    anchor_rad: float = 0.3
    gripper_threshold: float = 0.3
    gripper_dwell_s: float = 0.5
    resume_after: int = 3
    candidates: int = 1
    prefix: bool = False
    max_radius: float = 12.0
    operator_max_age_s: float = 0.3
    camera_lost_s: float = 1.0
    reach_m: float = 1.5
    joint_margin_rad: float = 0.15
    cut_ticks: int = 60
    wild_ticks: int = 5
    wild_ratio: float = 10.0
    still_m: float = 0.001
    still_rad: float = 0.002

    def __post_init__(self):
        for name in ("joint_min_rad", "joint_max_rad"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, where it was read from a file
        for name, value in vars(self).items():
            if isinstance(value, (int, float)) and not (value > 0 and math.isfinite(value)) and not isinstance(value, bool):
                raise ValueError(f"steering: {name} must be a positive number, got {value}")

    @property
    def limits(self) -> ArmLimits:
        """The arm's limits, its joints' ranges as given here."""
        limits = load_limits(self.arm)
        hard = limits.joints
        return limits.within(self.joint_min_rad or hard.position_min_rad, self.joint_max_rad or hard.position_max_rad)

    def noises(self, delay: int) -> int:
        """M: noises that each chunk of a contract with this delay is decoded from."""
        return self.candidates if delay else 1

    def targets_per_period(self, period_s: float) -> int:
        """n: pose targets published per control period (the simulation's `targets_per_period`)."""
        return max(1, math.ceil(self.target_hz * period_s - 1e-9))

    def command_mode(self, name: str, period_s: float) -> CommandMode:
        """The command mode of this name for ticks of period_s: joints keep joint_margin_rad from their ends, and a pose that they
        would trail by more than an anchor is refused.
        """
        numbers = {"margin_rad": self.joint_margin_rad, "lag_m": self.anchor_m, "lag_rad": self.anchor_rad}
        return make_command_mode(name, self.limits, period_s=period_s, **numbers)
