"""Goals of the Franka Hand: Move and Grasp with libfranka's meaning, and when each has ended. No MuJoCo.

Move drives to a width. Grasp closes (or opens) until something stops the fingers, then keeps the force; it succeeds
when the width at that moment lies within [width - eps_inner, width + eps_outer] (libfranka, Gripper::grasp).
"""

from lpds_ros.sim.fr3 import MAX_WIDTH_M
from lpds_ros.sim.state import GripperStatus

STIFFNESS_N_PER_M = 4000.0  # of the width servo, on half the width error
MOVE_FORCE_N = 70.0  # continuous force of the hand
STALL_SPEED_MPS = 0.003
STALL_MS = 40
REACHED_M = 0.0005
MAX_SPEED_MPS = 0.4  # of the width: 0.2 m/s a finger


class HandGoals:
    """The newest goal and the width servo's reference. Who has fingers gives `width_m`, and calls `advance` and `judge`.

    stuck: the fingers hold and no goal ends. aborting: goals fail at once. Both are faults to be had on purpose.
    """

    def __init__(self):
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
        raise NotImplementedError

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

    def advance(self) -> float:
        """One millisecond of the servo's reference; returns it."""
        if self.aborting and self.status is GripperStatus.MOVING:
            self.stop()
        step = 0.0 if self.stuck else 0.001 * self._speed
        self._reference += max(-step, min(step, self._goal - self._reference))
        return self._reference

    def judge(self, width: float, speed: float):
        """Whether the goal has ended, with the fingers at this width (m) and speed (m/s). Once a millisecond."""
        if self.status is not GripperStatus.MOVING or self.stuck:
            return
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
