"""Following one joint trajectory, and how it ends: ros2_controllers' JointTrajectoryController (Jazzy), one tick a millisecond.

While it moves, an error beyond the path tolerance ends it; after the last point it has succeeded as soon as all joints are
within the goal tolerance, and has failed when that takes longer than the goal time (0: it may take for ever).
"""

from dataclasses import dataclass, field

import numpy as np

from lpds_ros.sim.fr3 import JOINTS
from lpds_ros.sim.trajectory import ARM, TICK_S, Outcome, Spline

STOPPED_RADPS = 0.01  # the controller's stopped_velocity_tolerance


def _unchecked() -> np.ndarray:
    return np.zeros(ARM)


@dataclass(frozen=True)
class Tolerances:
    """Largest errors [7], rad and rad/s, on the path and at the goal; 0: not checked. The controller's defaults."""

    path_position: np.ndarray = field(default_factory=_unchecked)
    path_velocity: np.ndarray = field(default_factory=_unchecked)
    goal_position: np.ndarray = field(default_factory=_unchecked)
    goal_velocity: np.ndarray = field(default_factory=lambda: np.full(ARM, STOPPED_RADPS))
    goal_time_s: float = 0.0


@dataclass(frozen=True)
class Ending:
    """How a goal ended, with a text for a person. canceled: because its client asked for it."""

    outcome: Outcome
    text: str
    canceled: bool = False


@dataclass(frozen=True)
class Progress:
    """A goal under way. Positions [7] rad, velocities [7] rad/s; time_s since the trajectory's start."""

    number: int
    time_s: float
    desired: tuple[np.ndarray, np.ndarray]
    actual: tuple[np.ndarray, np.ndarray]


class Follower:
    """Leads the joint law's reference along a spline.

    number: of the goal. judged: somebody waits for its end; a trajectory from a topic just ends with its last point.
    """

    def __init__(self, number: int, spline: Spline, tolerances: Tolerances, judged: bool):
        self.number, self.judged, self._spline, self._tolerances = number, judged, spline, tolerances
        self._ticks = 0

    @property
    def time_s(self) -> float:
        """Since the trajectory's start."""
        return self._spline.start.time_s + self._ticks * TICK_S

    def advance(self, q, dq, position, velocity) -> Ending | None:
        """One millisecond: write the reference into `position`, `velocity`; how it ended, or None while it goes on."""
        time_s = self.time_s
        self._ticks += 1
        position[:], velocity[:] = self._spline.sample(time_s)
        position_error, velocity_error = position - q, velocity - dq
        wanted = self._tolerances
        if time_s < self._spline.end_s or self._ticks == 1:
            broken = _beyond(position_error, wanted.path_position, "rad") or _beyond(
                velocity_error, wanted.path_velocity, "rad/s"
            )
            if broken:
                return Ending(Outcome.PATH_TOLERANCE_VIOLATED, f"off the path: {broken}")
        if time_s < self._spline.end_s:
            return None
        if not self.judged:
            return Ending(Outcome.SUCCESSFUL, "")
        broken = _beyond(position_error, wanted.goal_position, "rad") or _beyond(
            velocity_error, wanted.goal_velocity, "rad/s"
        )
        if not broken:
            return Ending(Outcome.SUCCESSFUL, "Goal successfully reached!")
        late = time_s - self._spline.end_s
        if wanted.goal_time_s and late > wanted.goal_time_s:
            text = f"not at the goal {late:.3f} s after the end: {broken}"
            return Ending(Outcome.GOAL_TOLERANCE_VIOLATED, text)
        return None


def _beyond(error, tolerance, unit) -> str:
    """The joint that is farthest beyond its tolerance, for a person to read, or ""."""
    over = np.where(tolerance > 0.0, np.abs(error) - tolerance, -1.0)
    i = int(over.argmax())
    if over[i] <= 0.0:
        return ""
    return f"{JOINTS[i]} is {abs(error[i]):.4f} {unit} from its reference, {tolerance[i]:g} are allowed"
