"""What the robot says of itself: its mode and error flags, and whether it still says anything."""

import math
from dataclasses import dataclass

ROBOT_STATE = "franka_robot_state_broadcaster/robot_state"
# franka_msgs/FrankaRobotState.robot_mode, by value.
MODES = ("OTHER", "IDLE", "MOVE", "GUIDING", "REFLEX", "USER_STOPPED", "AUTOMATIC_ERROR_RECOVERY")
OTHER, IDLE, MOVE, GUIDING, REFLEX, USER_STOPPED, AUTOMATIC_ERROR_RECOVERY = range(len(MODES))
OBEYING = (IDLE, MOVE)
LOW_SUCCESS_RATE = 0.9
FUTURE_TOLERANCE_NS = 20_000_000


@dataclass(frozen=True)
class RobotState:
    """One state of the robot. errors: names of the flags that are set. success_rate: of the last 100 commands, 0 to 1."""

    stamp_ns: int
    mode: int
    errors: tuple[str, ...] = ()
    success_rate: float = 1.0

    @property
    def error(self) -> str:
        """Why this robot obeys no command, for a person to read, or ""."""
        if self.mode in OBEYING and not self.errors:
            return ""
        mode = MODES[self.mode] if self.mode < len(MODES) else f"mode {self.mode}"
        return f"the robot is in {mode}{': ' if self.errors else ''}{', '.join(self.errors)}"


class RobotWatch:
    """Keeps the newest state. topic: named in reasons. max_age_s: an older one (or one from the future) is as good as none.

    Not thread-safe.
    """

    def __init__(self, topic: str, max_age_s: float):
        self._label, self._max_age_s = f"robot state ({topic})", max_age_s
        self._state: RobotState | None = None
        self._low = False

    def push(self, state: RobotState) -> str:
        """Keep it. Returns a warning when commands begin to get lost on the way to the robot, else "".

        Without a control loop the rate is zero: only what is lost in MOVE is a loss.
        """
        self._state = state
        low = state.mode == MOVE and state.success_rate < LOW_SUCCESS_RATE
        began, self._low = low and not self._low, low
        if not began:
            return ""
        return (
            f"only {100 * state.success_rate:.0f} % of the last 100 commands reached the robot in time: "
            "check the real-time kernel and the network to it"
        )

    def clear(self):
        """Forget it."""
        self._state = None

    def at(self, stamp_ns: int) -> bool:
        """Whether the newest state is stamped exactly so."""
        return self._state is not None and self._state.stamp_ns == stamp_ns

    def age_s(self, now_ns: int) -> float:
        """Of the newest state, at `now_ns`; infinite before any."""
        return math.inf if self._state is None else (now_ns - self._state.stamp_ns) / 1e9

    @property
    def mode(self) -> int:
        """The newest state's mode; OTHER before any."""
        return self._state.mode if self._state is not None else OTHER

    @property
    def error(self) -> str:
        """Why the robot obeys no command, as last heard: silence does not take an error back."""
        return self._state.error if self._state is not None else ""

    def missing(self, now_ns: int, exact: bool) -> str:
        """Why there is no state for the tick at `now_ns`, or "". exact: it must carry the tick's own stamp."""
        if self._state is None:
            return f"{self._label} has given no sample"
        age_ns = now_ns - self._state.stamp_ns
        if exact:
            return "" if age_ns == 0 else f"{self._label} has no sample at {now_ns / 1e9:.3f} s"
        if age_ns < -FUTURE_TOLERANCE_NS:
            return f"{self._label} is stamped {-age_ns / 1e9:.2f} s in the future: check both clocks"
        if age_ns > self._max_age_s * 1e9:
            return f"{self._label} is {age_ns / 1e9:.2f} s old, limit {self._max_age_s:.2f} s"
        return ""
