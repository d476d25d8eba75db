"""Lockstep: simulated time waits for the command. One control period passes when the burst of targets for it is there.

The targets of the period that starts at t carry the stamps t, t + p/n, … t + (n-1)p/n: the moments they take effect.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Protocol

from lpds_ros.sim.trajectory import TrajectoryError


class Target(Protocol):
    """A command with the moment at which it takes effect (robot/targets.py)."""

    stamp_ns: int

    def apply(self, world): ...


@dataclass
class Burst:
    """Collects the targets of one control period. Repeated and stale targets change nothing."""

    period_ns: int
    targets_per_period: int
    start_ns: int = 0
    _targets: dict[int, Target] = field(default_factory=dict)

    def __post_init__(self):
        if self.targets_per_period < 1 or self.period_ns < 1:
            raise ValueError("lockstep needs a positive period and at least one target per period")

    def begin(self, start_ns: int):
        """Collect for the period that starts now."""
        self.start_ns = start_ns
        self._targets.clear()

    def add(self, target: Target) -> bool:
        """Take one target, which must have been checked: it must not wait here to fail in the middle of the burst. True when the
        period's last one is there. A target of another period is ignored.
        """
        if 0 <= target.stamp_ns - self.start_ns < self.period_ns:
            self._targets[target.stamp_ns] = target
        return self.complete

    @property
    def complete(self) -> bool:
        """Whether a target of the last slice has arrived (half a slice of tolerance)."""
        last = self.start_ns + self.period_ns * (1.0 - 1.5 / self.targets_per_period)
        return any(stamp > last for stamp in self._targets) if self.targets_per_period > 1 else bool(self._targets)

    def play(self, world):
        """Advance the world one period, each target taking effect at its stamp; then collect for the next. An arm that obeys
        none, or stops obeying meanwhile, lets the period pass all the same.
        """
        for stamp, target in sorted(self._targets.items()):
            world.advance_to(stamp)
            with contextlib.suppress(TrajectoryError):
                target.apply(world)
        world.advance_to(self.start_ns + self.period_ns)
        self.begin(world.time_ns)
