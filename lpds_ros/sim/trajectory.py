"""Joint trajectories: checks and interpolation of ros2_controllers' JointTrajectoryController (Jazzy, splines).

Between two waypoints: linear with positions alone, cubic where both have velocities, quintic where both have
accelerations too. The first segment leads from where the arm is. The last velocity must be zero.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lpds_ros.sim.fr3 import JOINTS, Q_MAX_RAD, Q_MIN_RAD, VELOCITY_MAX_RADPS

ARM = len(JOINTS)
STEP_MAX_RAD = 0.1  # a reference this near may be jumped to: 60 Nm at 600 Nm/rad
STOPPED_RADPS = float(np.finfo(np.float32).eps)  # below this a last velocity counts as zero
TICK_S = 0.001
SAMPLES = 33  # of each segment, for the limits
POWERS, TINY = np.arange(6), 1e-9
Q_MIN, Q_MAX, SPEED_MAX = np.array(Q_MIN_RAD), np.array(Q_MAX_RAD), np.array(VELOCITY_MAX_RADPS)


class Outcome(IntEnum):
    """How a trajectory ended: error_code of control_msgs/action/FollowJointTrajectory."""

    SUCCESSFUL = 0
    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5


class TrajectoryError(ValueError):
    """A joint command that is not obeyed; `code` says of which kind, the text what to change."""

    def __init__(self, code: Outcome, text: str):
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Point:
    """One point as a client sent it (trajectory_msgs/JointTrajectoryPoint), joints in the client's order."""

    time_s: float
    positions: Sequence[float]
    velocities: Sequence[float] = ()
    accelerations: Sequence[float] = ()
    effort: Sequence[float] = ()


@dataclass(frozen=True)
class Waypoint:
    """Checked, joints in the arm's order. time_s since the start; [7] rad, and rad/s, rad/s² where the point has them."""

    time_s: float
    position: np.ndarray
    velocity: np.ndarray | None = None
    acceleration: np.ndarray | None = None


def checked_waypoints(names: Sequence[str], points: Sequence[Point]) -> list[Waypoint]:
    """The waypoints of a trajectory as sent. Raises TrajectoryError, naming the point, before anything moves."""
    if sorted(names) != sorted(JOINTS):
        text = f"joints [{', '.join(names)}] are not this arm's: name each of {JOINTS[0]} … {JOINTS[-1]} once"
        raise TrajectoryError(Outcome.INVALID_JOINTS, text)
    if not points:
        raise _invalid("the trajectory has no points: send one at least")
    order = [list(names).index(joint) for joint in JOINTS]
    found = [_waypoint(number, point, order) for number, point in enumerate(points)]
    times = [waypoint.time_s for waypoint in found]
    if times[0] < 0.0:
        raise _invalid(f"point 0 is at {times[0]:g} s, before the start")
    for number, (before, after) in enumerate(zip(times, times[1:])):
        if not after > before:
            raise _invalid(f"point {number + 1} is at {after:g} s, point {number} at {before:g} s: times must rise")
    last = found[-1].velocity
    if last is not None and np.abs(last).max() > STOPPED_RADPS:
        joint = int(np.abs(last).argmax())
        raise _invalid(f"{JOINTS[joint]} ends at {last[joint]:g} rad/s: the last point's velocities must be zero")
    return found


def _invalid(text) -> TrajectoryError:
    return TrajectoryError(Outcome.INVALID_GOAL, text)


def _waypoint(number, point, order) -> Waypoint:
    fields = {}
    for name in ("positions", "velocities", "accelerations", "effort"):
        values = np.asarray(getattr(point, name), np.float64)
        if values.size == 0 and name != "positions":
            fields[name] = None
            continue
        if values.shape != (ARM,):
            raise _invalid(f"point {number}: {name} holds {values.size} numbers, one for each of {ARM} joints is needed")
        if not np.isfinite(values).all():
            raise _invalid(f"point {number}: {name} holds a number that is not finite")
        fields[name] = values[order]
    if fields["effort"] is not None and fields["effort"].any():
        raise _invalid(f"point {number}: effort is not fed forward in the simulation: leave it empty or zero")
    _check_positions(fields["positions"], f"point {number}: ")
    if fields["velocities"] is not None:
        _check_speed(fields["velocities"], f"point {number}: ")
    return Waypoint(point.time_s, fields["positions"], fields["velocities"], fields["accelerations"])


def checked_positions(values: Sequence[float]) -> np.ndarray:
    """Joint positions [7] rad of a forward command. Raises TrajectoryError on another number of them or a forbidden one."""
    q = np.asarray(values, np.float64)
    if q.shape != (ARM,):
        raise TrajectoryError(Outcome.INVALID_JOINTS, f"{q.size} joint positions, {ARM} are needed")
    if not np.isfinite(q).all():
        raise _invalid("a joint position is not finite")
    _check_positions(q, "")
    return q


def checked_velocities(values: Sequence[float]) -> np.ndarray:
    """Joint velocities [7] rad/s of a streamed reference; zero where none are given. Raises TrajectoryError on another number of
    them, or one that is not finite.
    """
    dq = np.asarray(values if len(values) else np.zeros(ARM), np.float64)
    if dq.shape != (ARM,) or not np.isfinite(dq).all():
        raise TrajectoryError(Outcome.INVALID_JOINTS, f"{dq.size} joint velocities: {ARM} finite ones are needed, or none")
    return dq


def _check_positions(q, where):
    outside = (q < Q_MIN - TINY) | (q > Q_MAX + TINY)
    if outside.any():
        i = int(outside.argmax())
        raise _invalid(f"{where}{JOINTS[i]} at {q[i]:.4f} rad is outside its limits {Q_MIN[i]} to {Q_MAX[i]}")


def _check_speed(dq, where):
    over = np.abs(dq) - SPEED_MAX
    if over.max() > TINY:
        i = int(over.argmax())
        raise _invalid(f"{where}{JOINTS[i]} at {dq[i]:.3f} rad/s is faster than its {SPEED_MAX[i]} rad/s: allow more time")


class Spline:
    """Position and velocity over time, from `start` (where the arm is, time_s: now) through the waypoints.

    A first waypoint that is due already is where the spline begins.
    """

    def __init__(self, start: Waypoint, waypoints: Sequence[Waypoint]):
        self.start = start
        self.leads_in = start.time_s < waypoints[0].time_s
        knots = [_like(start, waypoints[0]), *waypoints] if self.leads_in else list(waypoints)
        self._last = knots[-1]
        self._times = [knot.time_s for knot in knots]
        self._coefficients = _polynomials(knots)

    @property
    def end_s(self) -> float:
        """Time of the last waypoint."""
        return self._times[-1]

    def sample(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Position [7] rad and velocity [7] rad/s; after the end the last position, at rest."""
        segment = max(0, bisect.bisect_right(self._times, time_s) - 1)
        if segment >= len(self._coefficients):
            return self._last.position, np.zeros(ARM)
        powers = max(0.0, time_s - self._times[segment]) ** POWERS
        coefficients = self._coefficients[segment]
        return powers @ coefficients, (powers[:-1] * POWERS[1:]) @ coefficients[1:]

    def check(self):
        """Raise TrajectoryError when the way breaks the joints' limits, or begins too far from the arm to jump there."""
        step = np.abs(self.sample(self.start.time_s)[0] - self.start.position)
        if step.max() > STEP_MAX_RAD:
            i = int(step.argmax())
            text = f"{JOINTS[i]} would jump {step[i]:.3f} rad: begin where the arm is, or let the first point be later"
            raise _invalid(text)
        times = np.array(self._times)
        q, dq = self._samples(np.diff(times))
        fastest, lowest, highest = np.abs(dq).max(1), q.min(1), q.max(1)
        ahead = times[1:] > self.start.time_s
        fast = ahead & (fastest > SPEED_MAX + TINY).any(1)
        outside = ahead & ((lowest < Q_MIN - TINY) | (highest > Q_MAX + TINY)).any(1)
        if self.leads_in:
            outside[0] = False
            fast[0] &= np.abs(q[0, -1] - q[0, 0]).max() > STEP_MAX_RAD
        for segment in np.flatnonzero(fast | outside)[:1]:
            first = self.leads_in and segment == 0
            where = "on the way to the first point " if first else f"{times[segment + 1] - self.start.time_s:.3f} s from now "
            if fast[segment]:
                _check_speed(fastest[segment], where)
            _check_positions(lowest[segment], where)
            _check_positions(highest[segment], where)

    def _samples(self, durations) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities [segments, SAMPLES, 7], evenly over each segment."""
        t = durations[:, None] * np.linspace(0.0, 1.0, SAMPLES)
        powers = t[..., None] ** POWERS
        return powers @ self._coefficients, (powers[..., :-1] * POWERS[1:]) @ self._coefficients[:, 1:]


def _like(start, first) -> Waypoint:
    """The start with zeros for what the first waypoint has and it has not, so that both belong to one kind of spline."""
    velocity, acceleration = start.velocity, start.acceleration
    if velocity is None and first.velocity is not None:
        velocity = np.zeros(ARM)
    if acceleration is None and first.acceleration is not None:
        acceleration = np.zeros(ARM)
    return Waypoint(start.time_s, start.position, velocity, acceleration)


def _polynomials(knots: Sequence[Waypoint]) -> np.ndarray:
    """Coefficients [segments, 6, 7], lowest power first: linear, cubic or quintic Hermite after what both ends have."""
    duration = np.diff([knot.time_s for knot in knots])[:, None]
    position = np.array([knot.position for knot in knots])
    nothing = np.full(ARM, np.nan)
    v = np.array([nothing if knot.velocity is None else knot.velocity for knot in knots])
    a = np.array([nothing if knot.acceleration is None else knot.acceleration for knot in knots])
    way, c = np.diff(position, axis=0), np.zeros((len(knots) - 1, len(POWERS), ARM))
    v, w, p, q = v[:-1] * duration, v[1:] * duration, a[:-1] * duration**2, a[1:] * duration**2
    c[:, 0] = position[:-1]
    cubic = ~(np.isnan(v) | np.isnan(w))
    c[:, 1] = np.where(cubic, v, way)
    c[:, 2] = np.where(cubic, 3 * way - 2 * v - w, 0.0)
    c[:, 3] = np.where(cubic, -2 * way + v + w, 0.0)
    quintic = cubic & ~(np.isnan(p) | np.isnan(q))
    c[:, 2] = np.where(quintic, p / 2, c[:, 2])
    c[:, 3] = np.where(quintic, 10 * way - 6 * v - 4 * w - 1.5 * p + 0.5 * q, c[:, 3])
    c[:, 4] = np.where(quintic, -15 * way + 8 * v + 7 * w + 1.5 * p - q, 0.0)
    c[:, 5] = np.where(quintic, 6 * way - 3 * v - 3 * w - 0.5 * p + 0.5 * q, 0.0)
    return c / duration[..., None] ** POWERS[:, None]
