"""Plain records that cross layers and processes: what the messages of lpds_msgs carry, without ROS."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Source(IntEnum):
    """Who chose the actions of a decision."""

    PRIOR = 0
    STEERED = 1
    OPERATOR = 2


class Mark(IntEnum):
    """What the operator said about the running episode."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2


class Mode(IntEnum):
    """The mode ladder, downward by itself, upward as documented."""

    RUN = 0
    PRIOR = 1
    HOLD = 2
    STOP = 3
    FAULT = 4


@dataclass(frozen=True)
class Observation:
    """One time-aligned sample per control tick.

    stamp_ns: time of the tick on the robot's clock. data: float32 [d_o] in contract order. ages_s: {stream: seconds},
    and beside the contract's streams those of the task's and the robot's state: they name every sample that it is made of.
    position: [3] m and orientation: [4] xyzw of the tool centre point in the base frame, joints: [7] rad,
    gripper_width in m, all float64 and measured. When `valid` is false, `reason` names the stream and data is all NaN.
    robot_mode: franka_msgs/FrankaRobotState's, 0 where no robot state is heard. robot_error: why the robot obeys no command,
    or "". encode_s: time that the encoders spent on the pictures in it, 0 without any. driven: whether the controller that is
    commanded is active, as far as is known.
    """

    stamp_ns: int
    valid: bool
    reason: str
    data: np.ndarray
    ages_s: dict[str, float]
    position: np.ndarray
    orientation: np.ndarray
    joints: np.ndarray
    gripper_width: float
    reward: float = 0.0
    success: bool = False
    robot_mode: int = 0
    robot_error: str = ""
    encode_s: float = 0.0
    driven: bool = True


@dataclass(frozen=True)
class OperatorInput:
    """One sample of a teleoperation device. action: float32 [d_a] in contract units, used only while `active`."""

    stamp_ns: int
    active: bool
    action: np.ndarray
    mark: Mark = Mark.NONE
    stop: bool = False


@dataclass(frozen=True)
class Decision:
    """One transition: a chunk was decided at `observation`, `ticks` of it ran, `next_observation` was reached.

    observation, next_observation: float32 [T_o*d_o]. noise, delta, chunk: float32 [T_p, d_a], empty for an operator's
    decision; of a chunk decoded ahead, `chunk` has only the rows from the first that ran. executed: float32 [T_a, d_a], what
    was asked for (rows past `ticks` are zero); sent: the same after the safety filter. rewards: float32 [T_a], one per tick
    run. tick_observations: float32 [ticks, d_o], what was seen at each executed tick (demonstrations are made of these).
    `decision_id` is unique in `session`.
    """

    session: str
    decision_id: int
    episode: int
    index: int
    stamp_ns: int
    source: Source
    weights_version: int
    observation: np.ndarray
    noise: np.ndarray
    delta: np.ndarray
    chunk: np.ndarray
    executed: np.ndarray
    sent: np.ndarray
    rewards: np.ndarray
    ticks: int
    tick_observations: np.ndarray
    next_observation: np.ndarray
    terminated: bool
    truncated: bool
    decode_s: float = 0.0
    contract_digest: str = ""
    prior_digest: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Identity across log, message and replay."""
        return self.session, self.decision_id


@dataclass(frozen=True)
class Episode:
    """End of an episode. reason: 'success', 'failure', 'time', or what stopped it."""

    session: str
    episode: int
    seed: int
    stamp_ns: int
    success: bool
    episode_return: float
    ticks: int
    decisions: int
    reason: str
    weights_version: int
    operator_ticks: int = 0
    contract_digest: str = ""
