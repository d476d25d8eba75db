"""What goes wrong in the simulation, on purpose: which fault, with which stream or device, until when on the world's clock.

    faults = Faults(streams, errors)
    faults.inject("freeze", "lpds/object_pose", 0.0, 2.0, world.time_ns)
    faults.apply(world); said = faults.say("lpds/object_pose", state, world.time_ns)
"""

import dataclasses
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from lpds_ros.config import nearest

KEPT = 4096  # samples of a late stream, at most
NS_PER_S = 1_000_000_000


class FaultError(ValueError):
    """A fault that cannot be injected; the text lists what can."""


@dataclass(frozen=True)
class Kind:
    """target: what it is aimed at ("stream", "error" or nothing). unit: of its value, "" where it has none.

    lasting: it goes on until it is over; otherwise it happens once.
    """

    text: str
    target: str = ""
    unit: str = ""
    lasting: bool = True


KINDS = {
    "stop": Kind("the stream falls silent", "stream"),
    "freeze": Kind("the last sample is said again and again, with its own stamp", "stream"),
    "repeat": Kind("the last sample is said again and again, with new stamps", "stream"),
    "nan": Kind("every number of the stream is NaN", "stream"),
    "future": Kind("the stream is stamped so much ahead of its time", "stream", "s"),
    "unstamped": Kind("the stream carries stamp 0", "stream"),
    "late": Kind("the stream arrives so much later", "stream", "s"),
    "clock_jump": Kind("every stamp and /clock are so much off (real time)", "", "s"),
    "reflex": Kind("a collision stops the arm", lasting=False),
    "error": Kind("the robot stops with this error flag", "error", lasting=False),
    "user_stop": Kind("the user stop is pressed"),
    "controller_inactive": Kind("the controller behind the pose targets is deactivated"),
    "gripper_stall": Kind("the fingers are stuck, and no goal ends"),
    "gripper_abort": Kind("every gripper goal is aborted"),
}


@dataclass
class _Active:
    """One fault under way. until_ns: None, until it is ended. held: what a stream said when its fault began."""

    value: float
    until_ns: int | None
    held: dict[str, object] = field(default_factory=dict)
    queues: dict[str, deque] = field(default_factory=dict)


class Faults:
    """See the module's docstring. streams: topics that can be spoiled. errors: names of the robot's error flags."""

    def __init__(self, streams: tuple[str, ...], errors: tuple[str, ...] = ("cartesian_reflex",)):
        self._names = {"stream": ("", *streams), "error": errors, "": ("",)}
        self._active: dict[tuple[str, str], _Active] = {}

    def inject(self, fault: str, target: str, value: float, duration_s: float, now_ns: int) -> str:
        """Begin a fault; duration_s of simulated time, 0: until "none", which ends all. Returns what now happens.

        A target "" means every stream. Raises FaultError for a fault, target or value that there is not.
        """
        if fault == "none":
            self._active.clear()
            return "all faults have ended"
        kind = KINDS.get(fault)
        if kind is None:
            raise FaultError(f"unknown fault '{fault}'{nearest(fault, KINDS)}; there are: none, {', '.join(KINDS)}")
        names = self._names[kind.target]
        if target not in names:
            there = f"one of {', '.join(filter(None, names))}" if kind.target else "none"
            raise FaultError(f"fault '{fault}' has no target '{target}'; a target is {there}")
        if not (math.isfinite(value) and math.isfinite(duration_s) and duration_s >= 0.0):
            raise FaultError(f"fault '{fault}': value {value} and duration {duration_s} s must be finite, and not negative")
        if kind.unit and not value:
            raise FaultError(f"fault '{fault}' needs a value, in {kind.unit}")
        if kind.lasting:
            self._active[fault, target] = _Active(value, now_ns + round(duration_s * NS_PER_S) if duration_s else None)
        return kind.text

    def say(self, topic: str, sample, now_ns: int):
        """What the stream says in place of `sample` (a dataclass with `stamp_ns`); None: nothing. now_ns: the world's time."""
        for (fault, target), active in self._living(now_ns):
            if target in ("", topic) and KINDS[fault].target == "stream":
                sample = _spoilt(fault, active, topic, sample, now_ns)
                if sample is None:
                    return None
        return sample

    def apply(self, world):
        """Do to the world's devices what belongs to the faults of this moment, and undo what belonged to past ones."""
        names = {fault for (fault, _), _ in self._living(world.time_ns)}
        world.press_user_stop("user_stop" in names)
        world.activate_controller("controller_inactive" not in names)
        world.hand.stuck, world.hand.aborting = "gripper_stall" in names, "gripper_abort" in names

    def shift_ns(self, now_ns: int) -> int:
        """How far every stamp is off at this moment."""
        found = [active.value for (fault, _), active in self._living(now_ns) if fault == "clock_jump"]
        return round(sum(found) * NS_PER_S)

    def _living(self, now_ns: int):
        for key in [key for key, a in self._active.items() if a.until_ns is not None and now_ns >= a.until_ns]:
            del self._active[key]
        return tuple(self._active.items())


def _spoilt(fault: str, active: _Active, topic: str, sample, now_ns: int):
    if fault in ("freeze", "repeat"):
        held = active.held.setdefault(topic, sample)
        return held if fault == "freeze" else dataclasses.replace(held, stamp_ns=sample.stamp_ns)
    if fault == "nan":
        arrays = {f.name: getattr(sample, f.name) for f in dataclasses.fields(sample)}
        spoilt = {name: np.full_like(v, np.nan) for name, v in arrays.items() if isinstance(v, np.ndarray)}
        return dataclasses.replace(sample, **spoilt)
    if fault == "future":
        return dataclasses.replace(sample, stamp_ns=sample.stamp_ns + round(active.value * NS_PER_S))
    if fault == "unstamped":
        return dataclasses.replace(sample, stamp_ns=0)
    if fault == "late":
        queue = active.queues.setdefault(topic, deque(maxlen=KEPT))
        queue.append((now_ns, sample))
        due, limit = None, now_ns - round(active.value * NS_PER_S)
        while queue and queue[0][0] <= limit:
            due = queue.popleft()[1]
        return due
    return None  # stop
