"""The Franka Hand: Move and Grasp with libfranka's meaning, on simulated time.

Move drives to a width. Grasp closes (or opens) until something stops the fingers, then keeps the force; it succeeds
when the width at that moment lies within [width - eps_inner, width + eps_outer] (libfranka, Gripper::grasp).
"""

from enum import StrEnum

import mujoco

from lpds_ros.sim.arm import FINGER_JOINTS, MAX_WIDTH_M

STIFFNESS_N_PER_M = 4000.0  # of the width servo, on half the width error
DAMPING_NS_PER_M = 40.0
MOVE_FORCE_N = 70.0  # continuous force of the hand
STALL_SPEED_MPS = 0.003
STALL_MS = 40
REACHED_M = 0.0005
MAX_SPEED_MPS = 0.4  # of the width: 0.2 m/s a finger


class GripperStatus(StrEnum):
    """State of the newest goal."""

    IDLE = "idle"
    MOVING = "moving"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Hand:
    """Two coupled fingers behind one width servo with a speed and a force limit; `update` runs once a millisecond.

    stuck: the fingers hold and no goal ends. aborting: goals fail at once. Both are faults to be had on purpose.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData):
        joints = [model.joint(name) for name in FINGER_JOINTS]
        first = int(joints[0].qposadr[0])
        speed = int(joints[0].dofadr[0])
        motor = model.actuator(FINGER_JOINTS[0]).id
        self._q, self._dq = data.qpos[first : first + 2], data.qvel[speed : speed + 2]
        self._force = data.ctrl[motor : motor + 2]
        self.goal_id = 0  # counts on over resets: a number never names two goals
        self.stuck = self.aborting = False
        self.reset()

    def reset(self):
        """No goal; hold the present width."""
        self.status = GripperStatus.IDLE
        self._goal = self._reference = self.width_m
        self._speed, self._limit, self._grasp, self._still_ms = 0.1, MOVE_FORCE_N, None, 0

    @property
    def width_m(self) -> float:
        """Distance between the fingers."""
        left, right = self._q.tolist()
        return left + right

    def move(self, width_m: float, speed_mps: float) -> int:
        """Drive to a width; returns the goal's number. Raises ValueError on a width or speed the hand does not have."""
        return self._begin(width_m, speed_mps, MOVE_FORCE_N, None)

    def grasp(self, width_m: float, speed_mps: float, force_n: float, eps_inner_m: float, eps_outer_m: float) -> int:
        """Close until stopped and keep `force_n`; returns the goal's number. Raises ValueError as `move`."""
        if not 0.0 < force_n <= 140.0 or not (eps_inner_m >= 0.0 and eps_outer_m >= 0.0):
            raise ValueError(f"grasp: force {force_n} N must lie in (0, 140], tolerances must not be negative")
        return self._begin(width_m, speed_mps, force_n, (width_m - eps_inner_m, width_m + eps_outer_m))

    def stop(self):
        """End the running goal (as failed) and hold the present width."""
        if self.status is GripperStatus.MOVING:
            self.status = GripperStatus.FAILED
        self._goal = self._reference = self.width_m
        self._grasp = None

    def _begin(self, width_m, speed_mps, force_n, accepted):
        if not (0.0 <= width_m <= MAX_WIDTH_M and 0.0 < speed_mps):
            raise ValueError(
                f"gripper: width {width_m} m must lie in [0, {MAX_WIDTH_M}], speed {speed_mps} m/s be above 0"
            )
        self._goal, self._speed, self._limit = width_m, min(speed_mps, MAX_SPEED_MPS), force_n
        self._grasp, self._reference, self._still_ms = accepted, self.width_m, 0
        self.status = GripperStatus.MOVING
        self.goal_id += 1
        return self.goal_id

    def update(self):
        """One millisecond: advance the reference, write the fingers' forces, judge the goal."""
        if self.aborting and self.status is GripperStatus.MOVING:
            self.stop()
        left, right = self._q.tolist()
        left_speed, right_speed = self._dq.tolist()
        width, speed = left + right, left_speed + right_speed
        step = 0.0 if self.stuck else 0.001 * self._speed
        self._reference += max(-step, min(step, self._goal - self._reference))
        force = 0.5 * (STIFFNESS_N_PER_M * (self._reference - width) - DAMPING_NS_PER_M * speed)
        force = max(-self._limit, min(self._limit, force))
        self._force[:] = force
        if self.status is GripperStatus.MOVING and not self.stuck:
            self._judge(width, speed)

    def _judge(self, width, speed):
        still = abs(speed) < min(STALL_SPEED_MPS, 0.5 * self._speed)
        self._still_ms = self._still_ms + 1 if still else 0
        if self._grasp is None and still and abs(width - self._goal) < REACHED_M:
            self.status = GripperStatus.SUCCEEDED
        elif self._still_ms >= STALL_MS:
            self._end(width)

    def _end(self, width):
        """The fingers stand still: a grasp is judged by its width, a move stopped before its width has failed."""
        low, high = self._grasp or (1.0, 0.0)
        if low <= width <= high:
            self.status = GripperStatus.SUCCEEDED
            # Far enough inside the object for the servo to press with the whole force.
            self._goal = min(self._goal, width - 2 * self._limit / STIFFNESS_N_PER_M)
        else:
            self.status = GripperStatus.FAILED
            self._goal = self._reference = width
