"""A scripted expert of Square, a nut to put on its peg: it remembers nothing, and its hand is clumsy."""

import numpy as np

from lpds_ros.bench.robosuite_motion import CLOSED, OPEN, Clumsiness, Traits, nearest_yaw, wrap, yaw_of
from lpds_ros.bench.robosuite_phases import Expert, unit

PEG, PEG_TOP_M = np.array([0.23, 0.10]), 0.95
# From the nut's centre to where its handle is gripped: it is free from 0.044 m to its end at 0.079 m, and fingers nearer to
# the nut jam against it.
HANDLE_M = 0.062
HANDLE_WIDE_M = 0.027, 0.036  # opening of fingers that hold it; nearer ones have missed it
PUSH_M = 0.008  # added to a small distance left to the peg
HANDLE_YAWS = (np.pi, np.pi / 2, -np.pi / 2)  # of the nut on its peg: handle towards the robot, or to a side


class Square(Expert):
    """Grip the nut along its handle, turn the handle towards the robot or to a side, centre the hole, lower it.

    Its phase follows from the observation alone: what it remembered, a prior that sees one observation could not imitate.
    Its hand is clumsy: it shows how to come back from where a prior's errors lead, a nut that was let go included.
    """

    traits = Traits(
        speed=(0.35, 1.0),
        height_m=(0.05, 0.08),
        aim_error_m=0.003,
        turn_error_rad=0.04,
        noise=(0.0, 0.0),  # none that is meant
        smoothing=1.0,
    )
    tremble = (0.02, 0.08)
    hover_m = 1.02  # height of the hand on its way

    def __init__(self, rng, traits=None):
        super().__init__(rng, traits)
        self.executed = Clumsiness(self.tremble, rng).executed

    def thing(self, state):
        position, orientation = state[7:10], state[10:14]
        x = yaw_of(unit(orientation))
        return position + HANDLE_M * np.array([np.cos(x), np.sin(x), 0.0]), orientation

    def _decide(self, hand, position, yaw):
        self.phase = self._phase(hand, position, yaw)
        return getattr(self, f"_{self.phase}")(hand, position, yaw)

    def _phase(self, hand, position, yaw) -> str:
        away = position + self.aim_error - hand.position
        aside, height = float(np.linalg.norm(away[:2])), abs(away[2])
        if hand.opening_m < HANDLE_WIDE_M[1] and aside + height < 0.03:
            return "raise" if hand.opening_m < HANDLE_WIDE_M[0] else self._held_phase(hand, position, yaw)
        spare_m = 0.0 if hand.opening_m > 0.077 else 0.004  # for fingers on their way
        if aside < 0.008 + spare_m and height < 0.01 + spare_m:
            return "close"
        # low beside it the fingers would jam on the nut
        above = aside < np.interp(height, [0.0, 0.04], [0.008, 0.016])
        turned = abs(wrap(self._grip(hand, yaw) - yaw_of(hand.orientation))) < 0.2
        return "descend" if above and turned else "approach"

    def _held_phase(self, hand, position, yaw) -> str:
        error = float(np.linalg.norm(self._error(position, yaw)))
        if position[2] < PEG_TOP_M and error < 0.012:
            return "insert"
        if position[2] < self.hover_m - 0.04 and error > 0.02:
            return "lift"
        # the lower, the wider: what has begun to go down goes on
        allowed = np.interp(position[2], [PEG_TOP_M, self.hover_m - 0.01], [0.009, 0.005])
        aligned = error < allowed and abs(self._left_to_turn(yaw)) < 0.12
        return "insert" if aligned else "centre"

    def _grip(self, hand, yaw) -> float:
        """Of the two ways to grip the handle the nearer one, between the hand's yaw now and at home (0)."""
        return nearest_yaw(yaw_of(hand.orientation) / 2, yaw, np.pi) + self.turn_error

    def _approach(self, hand, position, yaw):
        return position + self.aim_error + [0.0, 0.0, self.height], self._grip(hand, yaw), OPEN, 1.0

    def _descend(self, hand, position, yaw):
        return position + self.aim_error, self._grip(hand, yaw), OPEN, 0.8

    def _close(self, hand, position, yaw):
        return position + self.aim_error, self._grip(hand, yaw), CLOSED, 0.5

    def _raise(self, hand, position, yaw):
        """Away from a handle that the fingers have missed."""
        return hand.position + [0.0, 0.0, 0.1], self._grip(hand, yaw), OPEN, 1.0

    def _lift(self, hand, position, yaw):
        return np.append(hand.position[:2], self.hover_m + 0.01), yaw_of(hand.orientation), CLOSED, 1.0

    def _centre(self, hand, position, yaw):
        near = position[2] > PEG_TOP_M and float(np.linalg.norm(self._error(position, yaw))) < 0.015
        height_m = hand.position[2] if near else self.hover_m
        return self._over_peg(hand, position, yaw, height_m), self._turned(hand, yaw), CLOSED, 1.0

    def _insert(self, hand, position, yaw):
        return self._over_peg(hand, position, yaw, hand.position[2] - 0.03), self._turned(hand, yaw), CLOSED, 0.6

    def _error(self, position, yaw) -> np.ndarray:
        """From the nut's centre to the peg, m [2]."""
        return PEG - position[:2] + HANDLE_M * np.array([np.cos(yaw), np.sin(yaw)])

    def _left_to_turn(self, yaw) -> float:
        """Of the nut, rad: to the nearest of the yaws it may have on its peg."""
        return min((wrap(handle - yaw) for handle in HANDLE_YAWS), key=abs)

    def _turned(self, hand, yaw) -> float:
        return yaw_of(hand.orientation) + self._left_to_turn(yaw)

    def _over_peg(self, hand, position, yaw, height_m):
        """Aim that brings the nut, as it is held, over the peg: small errors count more, or friction would keep them."""
        error = self._error(position, yaw)
        pushed = error * (1.0 + PUSH_M / (float(np.linalg.norm(error)) + 0.003))
        return np.append(hand.position[:2] + pushed, height_m)
