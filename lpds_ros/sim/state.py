"""What a cell shows of itself at one instant, simulated by MuJoCo or only imitated (robot/loopback.py). No MuJoCo here."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

NS_PER_MS = 1_000_000
FIRST_STAMP_NS = 1_000_000_000
HAND_DOWN = (1.0, 0.0, 0.0, 0.0)  # xyzw: the hand's z axis points at the table, the fingers open along y
MODE_IDLE, MODE_MOVE, MODE_REFLEX, MODE_USER_STOPPED = 1, 2, 4, 5  # franka_msgs/FrankaRobotState


class GripperStatus(StrEnum):
    """State of the newest goal."""

    IDLE = "idle"
    MOVING = "moving"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class SimulationError(ValueError):
    """The physics left the finite numbers, or was asked for something it cannot do."""


@dataclass(frozen=True)
class WorldState:
    """One instant. q, dq [7] rad, rad/s; tau [7] Nm with gravity (tau_J); q_d [7]: equals q under torque control.

    tau_d [7] Nm: commanded, without gravity; tau_ext [7] Nm: what contacts do to the joints.
    position [3] m and orientation [4] xyzw: tool centre point, base frame; target_*: where the impedance law pulls it.
    finger_positions [2] m. object_*: the cube. wrench [6] N, Nm: external, base frame, estimated from joint torques.
    load: what the arm was told it carries, kg and centre of mass [3] m in the flange's frame. error: the flag that is up.
    """

    stamp_ns: int
    q: np.ndarray
    dq: np.ndarray
    tau: np.ndarray
    q_d: np.ndarray
    tau_d: np.ndarray
    tau_ext: np.ndarray
    position: np.ndarray
    orientation: np.ndarray
    target_position: np.ndarray
    target_orientation: np.ndarray
    finger_positions: np.ndarray
    object_position: np.ndarray
    object_orientation: np.ndarray
    wrench: np.ndarray
    load: tuple[float, tuple[float, ...]]
    robot_mode: int
    error: str = ""
