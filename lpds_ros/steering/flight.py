"""The flight recorder: the last seconds of control in memory, taken out once when the arm comes down from RUN or PRIOR.

`note` costs a tick some microseconds and keeps references to records that nobody changes; the ring's size is fixed. What is
taken out is turned into a file elsewhere (flight_file, flight_writer), off the control thread.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lpds_ros.records import Mode, Observation, OperatorInput
from lpds_ros.steering.core import WAITS
from lpds_ros.steering.tick import Tick
from lpds_ros.steering.trace import Trace


class Entry(NamedTuple):
    """One tick. steady_ns: of the monotonic clock, when the tick was over. compute_s, late_s: of the tick, NaN where unknown."""

    steady_ns: int
    observation: Observation
    operator: OperatorInput | None
    tick: Tick
    trace: Trace
    compute_s: float
    late_s: float


@dataclass(frozen=True)
class Recording:
    """entries: oldest first. event: index of the tick with which the arm came down. whole: whether the tail is complete.

    skipped: descents since the recording before that were not recorded: HOLDs soon after it, or any while the disk was busy.
    """

    entries: tuple[Entry, ...]
    event: int
    whole: bool
    skipped: int = 0

    @property
    def came_down(self) -> Tick:
        """The tick of the event."""
        return self.entries[self.event].tick


class FlightRecorder:
    """Keeps the last `window_s` seconds, and `tail_s` after a descent. Ticks belong to one thread; `take` may be any's.

    A descent is a step from RUN or PRIOR to HOLD, STOP or FAULT, or any step to FAULT; an episode's ordinary end and a
    wait in which all is well are none. One that falls into the tail of another belongs to it. After a descent, further HOLDs
    are not recorded for `window_s`; STOP and FAULT always are. descended: called with each descent that is recorded, completed:
    when its tail is complete; by the tick's thread, so they must not wait.
    """

    def __init__(
        self,
        period_s: float,
        window_s: float,
        tail_s: float,
        descended: Callable[[], None] = lambda: None,
        completed: Callable[[], None] = lambda: None,
        *,
        now_ns=time.monotonic_ns,
    ):
        self._window, self._tail = (math.ceil(seconds / period_s - 1e-9) for seconds in (window_s, tail_s))
        self._ring: list[Entry | None] = [None] * (self._window + self._tail + 1)
        self._descended, self._completed, self._now_ns = descended, completed, now_ns
        self._lock = threading.Lock()
        self._count = self._skipped = 0
        self._done: Recording | None = None  # complete, and not yet taken
        self._event = self._quiet_until = -1  # numbers of ticks
        self._moving, self._mode = False, Mode.HOLD

    def note(
        self,
        observation: Observation,
        operator: OperatorInput | None,
        tick: Tick,
        trace: Trace,
        compute_s: float = math.nan,
        late_s: float = math.nan,
    ):
        """Keep one tick."""
        entry = Entry(self._now_ns(), observation, operator, tick, trace, compute_s, late_s)
        fell = self._falls(tick)
        with self._lock:
            number, self._count = self._count, self._count + 1
            self._ring[number % len(self._ring)] = entry
            fell = fell and self._event < 0
            if fell and (self._done is not None or (tick.mode == Mode.HOLD and number < self._quiet_until)):
                fell, self._skipped = False, self._skipped + 1
            if fell:
                self._event, self._quiet_until = number, number + self._window
            complete = number - self._event == self._tail and self._event >= 0
            if complete:
                self._done = self._cut()
        if fell:
            self._descended()
        if complete:
            self._completed()

    def _falls(self, tick: Tick) -> bool:
        was, self._mode = self._mode, tick.mode
        if tick.mode < Mode.HOLD:
            self._moving = True
            return False
        if tick.reason in WAITS:
            return False
        fell = self._moving or (tick.mode == Mode.FAULT != was)
        self._moving = False
        return fell and not (tick.mode == Mode.HOLD and tick.episode is not None)

    def take(self) -> Recording | None:
        """The recording of the last descent, as much of its tail as there is; None where there was none since the last `take`."""
        with self._lock:
            done = self._cut() if self._done is None and self._event >= 0 else self._done
            self._done = None
            return done

    def _cut(self) -> Recording:
        """Out of the ring; as many references are copied as it holds."""
        event, self._event = self._event, -1
        skipped, self._skipped = self._skipped, 0
        first = max(0, event - self._window)
        start = first % len(self._ring)
        entries = (self._ring[start:] + self._ring[:start])[: self._count - first]
        return Recording(tuple(entries), event - first, self._count - event > self._tail, skipped)
