"""Pacing and deadline accounting: ticks on absolute deadlines of the monotonic clock, at multiples of the period."""

import math
import time

import numpy as np


class Ring:
    """The newest `size` numbers, for percentiles over a bounded window."""

    def __init__(self, size: int = 4096):
        self._values = np.zeros(size)
        self.count = 0

    def add(self, value: float):
        self._values[self.count % len(self._values)] = value
        self.count += 1

    @property
    def last(self) -> float:
        """The newest, NaN where there is none."""
        return float(self._values[(self.count - 1) % len(self._values)]) if self.count else math.nan

    def newest(self) -> np.ndarray:
        """The window, oldest first."""
        size = len(self._values)
        return np.roll(self._values, -(self.count % size)) if self.count > size else self._values[: self.count].copy()

    def percentile(self, percent: float) -> float:
        """Of the window, 0.0 while it is empty."""
        filled = min(self.count, len(self._values))
        return float(np.percentile(self._values[:filled], percent)) if filled else 0.0


class TickClock:
    """Wakes at absolute deadlines k * period + phase, and keeps the accounts of how well that went.

    A deadline that has passed by more than a period is skipped, never made up for by a burst. `missed` counts ticks
    that started more than half a period late, and skipped ones. sections: where the time of a tick went, by name, filled by
    `mark`. now_ns, sleep_s: the clock and its sleep, for tests.
    """

    def __init__(
        self, period_ns: int, phase_ns: int = 0, *, window: int = 4096, now_ns=time.monotonic_ns, sleep_s=time.sleep
    ):
        self.period_ns, self._phase_ns = period_ns, phase_ns
        self._now_ns, self._sleep_s = now_ns, sleep_s
        self._deadline_ns: int | None = None
        self._started_ns = self._marked_ns = 0
        self.lateness_s, self.compute_s = Ring(window), Ring(window)
        self.sections: dict[str, Ring] = {}
        self.ticks = self.missed = self.skipped = 0

    def pace(self) -> int:
        """Sleep to the next deadline; return it (ns of the clock). It never lies before the one returned last."""
        now = self._now_ns()
        if self._deadline_ns is None:
            self._deadline_ns = (now - self._phase_ns) // self.period_ns * self.period_ns + self._phase_ns
        deadline = self._deadline_ns + self.period_ns
        skipped = max(0, (now - deadline) // self.period_ns)
        deadline += skipped * self.period_ns
        while now < deadline:
            self._sleep_s((deadline - now) / 1e9)
            now = self._now_ns()
        self._deadline_ns, self._started_ns, self._marked_ns = deadline, now, now
        lateness_ns = now - deadline
        self.lateness_s.add(lateness_ns / 1e9)
        self.ticks += 1
        self.skipped += skipped
        self.missed += skipped + (2 * lateness_ns > self.period_ns)
        return deadline

    def begin(self):
        """Start of a tick that something else paces (lockstep): only its computing time is accounted."""
        self._started_ns = self._now_ns()
        self.ticks += 1

    def resume(self):
        """The computation of a paced tick starts only now (its input came later than the deadline)."""
        self._started_ns = self._now_ns()

    def mark(self, section: str):
        """A section of the tick ends here: it took the time since the tick began, the mark before, or `done`."""
        now = self._now_ns()
        self.spent(section, (now - self._marked_ns) / 1e9)
        self._marked_ns = now

    def spent(self, section: str, seconds: float):
        """Account for a section that something else has timed."""
        if section not in self.sections:
            self.sections[section] = Ring()
        self.sections[section].add(seconds)

    def miss(self):
        """The paced tick could not be carried out."""
        self.missed += 1

    def done(self):
        """End of the tick's computation."""
        now = self._now_ns()
        self.compute_s.add((now - self._started_ns) / 1e9)
        self._marked_ns = now

    def summary(self) -> str:
        """One line for the log."""
        share = 100.0 * self.missed / self.ticks if self.ticks else 0.0
        values = [
            f"{self.ticks} ticks, {self.missed} missed deadlines ({share:.3f} %, {self.skipped} of them skipped)",
            f"computing p50 {_ms(self.compute_s, 50)} p99 {_ms(self.compute_s, 99)}",
        ]
        if self.lateness_s.count:
            values.append(f"late p50 {_ms(self.lateness_s, 50)} p99 {_ms(self.lateness_s, 99)}")
        values += [f"{name} p50 {_ms(ring, 50)} p99 {_ms(ring, 99)}" for name, ring in self.sections.items()]
        return "; ".join(values)


def _ms(ring: Ring, percent: float) -> str:
    value = 1e3 * ring.percentile(percent)
    return f"{value:.2f} ms" if math.isfinite(value) else "?"
