"""An arm and a hand without physics, for robot/loopback.py: what the laws of sim/ ask for happens, a little later.

LoopbackPose and LoopbackJoints stand where impedance.py's and joint_law.py's laws stand in the simulation: under the same
ArmControl, with the same attributes, once a millisecond.
"""

import math

import numpy as np

from lpds_ros.geometry import canonical, conjugate, multiply, to_rotation_vector
from lpds_ros.robot.kinematics import joint_step, tool_pose
from lpds_ros.robot.limits import load_limits
from lpds_ros.sim.fr3 import MAX_WIDTH_M, checked_stiffness
from lpds_ros.sim.hand_goals import HandGoals
from lpds_ros.sim.rotation import checked_target
from lpds_ros.sim.state import GripperStatus

TICK_S = 0.001
STRIDE = 5  # milliseconds between two steps towards a pose: kinematics in Python costs too much for every one
SOLVED_M, SOLVE_STEPS = 1e-6, 200


class LoopbackArm:
    """Seven joints that are where they are put. q [7] rad, dq [7] rad/s. It has brakes that cost nothing and carries all."""

    def __init__(self):
        limits = load_limits("fr3")
        self.q, self.dq = np.array(limits.ready_rad), np.zeros(7)
        self.lowest, self.highest = np.array(limits.joints.position_min_rad), np.array(limits.joints.position_max_rad)
        self.fastest = np.array(limits.joints.velocity_max_radps)
        self.speed_max_mps, self.turn_max_radps = limits.cartesian.speed_max_mps, limits.cartesian.turn_max_radps

    def step_to(self, q: np.ndarray, duration_s: float):
        """Go towards joints q [7] rad for `duration_s`, straight, no faster and no farther than the limits allow."""
        step = q - self.q
        too_fast = float((np.abs(step) / (self.fastest * duration_s)).max())
        after = np.clip(self.q + step / max(1.0, too_fast), self.lowest, self.highest)
        self.dq[:] = (after - self.q) / duration_s
        self.q[:] = after

    def close_brakes(self):
        """Nothing moves that is not commanded."""
        self.dq[:] = 0.0

    def release_brakes(self):
        """As `close_brakes`."""

    def carry(self, mass_kg: float, centre_m: tuple[float, ...]):
        """Weightless."""


class LoopbackPose:
    """Follows pose targets: a first-order lag, a speed limit, joints by damped least squares."""

    def __init__(self, arm: LoopbackArm, lag_s: float):
        self._arm, self._share = arm, 1.0 - math.exp(-STRIDE * TICK_S / lag_s)
        self._milliseconds = 0
        self.posture, self.commanded = np.zeros(7), np.zeros(7)
        self.reset()

    def measured(self):
        """Position (m) and orientation (xyzw) of the tool centre point."""
        position, orientation = tool_pose(self._arm.q)
        return tuple(position.tolist()), tuple(orientation.tolist())

    @property
    def filtered(self):
        """The target, position and orientation."""
        return self._target

    def reset(self, posture=None):
        """Stay where the arm is."""
        self._arm.dq[:] = 0.0
        self._target = self.measured()

    def engage(self):
        """As `reset`: there is no torque to go on from."""
        self.reset()

    def set_stiffness(self, stiffness):
        """Checked only. Raises ValueError out of the robot's own ranges."""
        checked_stiffness(stiffness)

    def set_target(self, position, orientation):
        """Where to go: position [3] m, orientation [4] xyzw. Raises ValueError unless finite."""
        self._target = checked_target(position, orientation)

    def update(self):
        """One millisecond; the arm steps every fifth."""
        self._milliseconds += 1
        if self._milliseconds % STRIDE:
            return
        arm, duration_s = self._arm, STRIDE * TICK_S
        position, orientation = tool_pose(arm.q)
        move = self._share * (np.array(self._target[0]) - position)
        turn = self._share * to_rotation_vector(multiply(np.array(self._target[1]), conjugate(orientation)))
        move, turn = _limited(move, arm.speed_max_mps * duration_s), _limited(turn, arm.turn_max_radps * duration_s)
        arm.step_to(arm.q + joint_step(arm.q, move, turn), duration_s)


class LoopbackJoints:
    """Follows joint references with a first-order lag. position [7] rad, velocity [7] rad/s: set by who leads."""

    def __init__(self, arm: LoopbackArm, lag_s: float):
        self._arm, self._share = arm, 1.0 - math.exp(-TICK_S / lag_s)
        self.position, self.velocity = np.zeros(7), np.zeros(7)

    def use(self, gains):
        """Gains move nothing here."""

    def hold(self):
        """Stay at the measured position."""
        self.position[:], self.velocity[:] = self._arm.q, 0.0

    def update(self):
        """One millisecond."""
        self._arm.step_to(self._arm.q + self._share * (self.position - self._arm.q), TICK_S)


class LoopbackHand(HandGoals):
    """Fingers that are where the servo's reference is, but never closer than what they hold is wide."""

    def __init__(self, held_width_m: float):
        self._held_m, self._width_m = held_width_m, MAX_WIDTH_M
        super().__init__()

    @property
    def width_m(self) -> float:
        """Distance between the fingers."""
        return self._width_m

    def open(self):
        """Open at once, without a goal: an episode begins."""
        self._width_m = MAX_WIDTH_M
        self.reset()

    def update(self):
        """One millisecond."""
        if self.status is not GripperStatus.MOVING:
            return
        before, reference = self._width_m, self.advance()
        self._width_m = max(reference, min(self._held_m, before))
        self.judge(self._width_m, (self._width_m - before) / TICK_S)


def solve_pose(position: np.ndarray, orientation, start: np.ndarray) -> np.ndarray:
    """Joints [7] rad whose tool is at position [3] m, orientation [4] xyzw, found from `start` [7] rad.

    Raises ValueError when it cannot be reached.
    """
    q, wanted = start.copy(), canonical(np.array(orientation))
    for _ in range(SOLVE_STEPS):
        there, turned = tool_pose(q)
        move, turn = position - there, to_rotation_vector(multiply(wanted, conjugate(turned)))
        if max(np.abs(move).max(), np.abs(turn).max()) < SOLVED_M:
            return q
        q = q + joint_step(q, _limited(move, 0.1), _limited(turn, 0.2))
    raise ValueError(f"the arm cannot reach {np.round(position, 3)} m")


def _limited(vector: np.ndarray, length: float) -> np.ndarray:
    """The vector, no longer than `length`."""
    size = float(np.linalg.norm(vector))
    return vector if size <= length else vector * (length / size)
