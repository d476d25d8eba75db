"""Scripted experts of robomimic's tasks by name; those of Lift and Can are here."""

import numpy as np

from lpds_ros.bench.robosuite_motion import CLOSED, OPEN, Traits
from lpds_ros.bench.robosuite_phases import PATIENCE_TICKS, Expert
from lpds_ros.bench.robosuite_square import Square
from lpds_ros.bench.robosuite_transport import Transport

CAN_BIN = np.array([0.1975, 0.4025])  # centre of the can's compartment, m
CAN_BIN_INSIDE = np.array([0.0525, 0.0775])  # where a can stands clear of its walls, from the centre, m


class Lift(Expert):
    """Grip the cube by two opposite faces and lift it."""

    traits = Traits(speed=(0.3, 1.0), aim_error_m=0.005, turn_error_rad=0.1)

    def thing(self, state):
        return state[:3], state[3:7]

    def _raise(self, hand, position, yaw):
        aim = self.held_at + [0.0, 0.0, 0.12]
        if self.lost(hand, position):
            self._enter("approach")
        return aim, self.yaw, CLOSED, 1.0


class Can(Expert):
    """Grip the can from above, carry it over the wall between the bins, let it go low over its compartment."""

    traits = Traits(speed=(0.3, 1.0), height_m=(0.06, 0.10), aim_error_m=0.005, turn_error_rad=0.25)
    grasp_above_m = 0.015
    carry_m, release_m = 1.06, 0.91  # heights of the hand: on its way over the wall, and where it opens

    def _grip_yaw(self, hand, wanted, period):
        return super()._grip_yaw(hand, 0.0, np.pi)  # a can is round

    def _raise(self, hand, position, yaw):
        aim = np.append(self.held_at[:2], self.carry_m)
        if self.lost(hand, position):
            self._enter("approach")
        elif hand.position[2] > self.carry_m - 0.04 or self.ticks >= PATIENCE_TICKS:
            self.goal = CAN_BIN + self.rng.uniform(-0.025, 0.025, 2)
            self._enter("carry")
        return aim, self.yaw, CLOSED, 1.0

    def _carry(self, hand, position, yaw):
        aim = np.append(self.goal, self.carry_m)
        if self.lost(hand, position):
            self._enter("approach")
        elif (np.abs(hand.position[:2] - CAN_BIN) < CAN_BIN_INSIDE).all() or self.ticks >= PATIENCE_TICKS:
            self._enter("lower")
        return aim, self.yaw, CLOSED, 1.0

    def _lower(self, hand, position, yaw):
        aim = np.append(self.goal, self.release_m)
        if hand.position[2] < self.release_m + 0.01 or self.ticks >= PATIENCE_TICKS:
            self._enter("release")
        return aim, self.yaw, CLOSED, 1.0

    def _release(self, hand, position, yaw):
        if self.ticks >= 40:  # the can is elsewhere
            self._enter("approach")
        return np.append(self.goal, self.release_m + (0.1 if self.ticks > 2 else 0.0)), self.yaw, OPEN, 1.0


EXPERTS = {"Lift": Lift, "Can": Can, "Square": Square, "Transport": Transport}
