"""Gripper: from the action's last number to a few goals for the hand, never one goal per tick.

The Franka Hand executes goals as blocking TCP commands; sending them at control rate queues them up (franka_gripper).
"""

from dataclasses import dataclass
from typing import Literal

Event = Literal["open", "close"]


@dataclass(frozen=True)
class HandCommands:
    """Goals behind the two events: Move to open; Grasp to close, with tolerances so wide that any contact counts."""

    open_width_m: float = 0.08
    open_speed_mps: float = 0.1
    close_width_m: float = 0.0
    close_speed_mps: float = 0.1
    close_force_n: float = 30.0
    epsilon_inner_m: float = 0.08
    epsilon_outer_m: float = 0.08

    def apply(self, hand, event: Event):
        """Give the event's goal to anything with `move` and `grasp` (the simulated world)."""
        if event == "open":
            hand.move(self.open_width_m, self.open_speed_mps)
        else:
            hand.grasp(
                self.close_width_m, self.close_speed_mps, self.close_force_n, self.epsilon_inner_m, self.epsilon_outer_m
            )


class GripperLogic:
    """Hysteresis and minimum dwell: an event only when the wish is clear, differs from the state and is not too soon.

    threshold: a value above it closes, below its negative opens, in between changes nothing.
    dwell_s: shortest time between two events, on the observations' clock.
    """

    def __init__(self, threshold: float, dwell_s: float):
        self._threshold, self._dwell_ns = threshold, round(dwell_s * 1e9)
        self.reset()

    def reset(self):
        """An episode begins: the hand is open."""
        self.state: Event = "open"
        self._changed_ns: int | None = None

    def update(self, value: float, stamp_ns: int) -> Event | None:
        """The event this value causes at this time, or None. A value that is not a number causes none."""
        wish = "close" if value > self._threshold else "open" if value < -self._threshold else self.state
        early = self._changed_ns is not None and 0 <= stamp_ns - self._changed_ns < self._dwell_ns
        if wish == self.state or early:
            return None
        self.state, self._changed_ns = wish, stamp_ns
        return wish
