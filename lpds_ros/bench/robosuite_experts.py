"""Scripted experts of Lift, Can and Square that see only the low-dimensional observation of `robosuite_worlds`.

Gains, speeds, approach heights and aims are drawn anew for every episode, and the hand shakes; an expert that missed
notices and tries again.
"""

import numpy as np

from lpds_ros.bench.robosuite_motion import CLOSED, OPEN, Hand, Servo, Traits, nearest_yaw, wrap, yaw_of
from lpds_ros.bench.robosuite_transport import Transport

PATIENCE_TICKS = 80  # with one way-point
CLOSE_TICKS = 7
CAN_BIN = np.array([0.1975, 0.4025])  # centre of the can's compartment, m
CAN_BIN_INSIDE = np.array([0.0525, 0.0775])  # where a can stands clear of its walls, from the centre, m
PEG, PEG_TOP_M = np.array([0.23, 0.10]), 0.95
HANDLE_M = 0.054  # from the nut's centre to where its handle is gripped
HANDLE_YAWS = (np.pi, np.pi / 2, -np.pi / 2)  # of the nut on its peg: handle towards the robot, or to a side


class Expert:
    """Phases, each a method (hand, thing position, thing yaw) → (aim m, yaw rad, gripper, share of speed).

    thing: the object of the task, position float64 [3] m and yaw rad, seen at each tick.
    """

    traits = Traits()
    grasp_above_m = 0.0  # the fingers' height relative to the object's origin
    hold_m = 0.01  # fingers nearer than that hold nothing

    def __init__(self, rng: np.random.Generator, traits: Traits | None = None):
        self.traits = traits or self.traits
        self.rng, self.servo = rng, Servo(self.traits, rng)
        self._enter("approach")

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Action float32 [7] for an observation [d_o]."""
        hand = Hand(observation[:3].astype(float), _unit(observation[3:7]), float(observation[7] - observation[8]))
        position, orientation = self.thing(observation[9:].astype(float))
        yaw = yaw_of(_unit(orientation))
        for _ in range(3):  # a reached way-point hands over within the tick
            before = self.phase
            aim, turned, gripper, speed = getattr(self, f"_{before}")(hand, position, yaw)
            if self.phase == before:
                break
        self.ticks += 1
        return self.servo.towards(hand, np.asarray(aim), turned, gripper, speed)

    def thing(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(position [3] m, orientation xyzw) of the object in the object-state; most begin with its pose in the hand."""
        return state[7:10], state[10:14]

    def _enter(self, phase: str):
        self.phase, self.ticks = phase, 0
        if phase == "approach":
            self.aim_error = np.append(self.rng.normal(0.0, self.traits.aim_error_m, 2), 0.0)
            self.turn_error = self.rng.normal(0.0, self.traits.turn_error_rad)
            self.height = self.rng.uniform(*self.traits.height_m)
            self.yaw = None

    def _reached(self, hand: Hand, aim: np.ndarray, tolerance_m: float, yaw: float | None = None) -> bool:
        near = float(np.linalg.norm(aim - hand.position)) < tolerance_m
        turned = yaw is None or abs(wrap(yaw_of(hand.orientation) - yaw)) < 0.15
        return (near and turned) or self.ticks >= PATIENCE_TICKS

    def _grip_yaw(self, hand: Hand, wanted: float, period: float) -> float:
        """Yaw of the hand for this attempt, decided once: the nearest of those that grip alike."""
        if self.yaw is None:
            self.yaw = nearest_yaw(yaw_of(hand.orientation), wanted, period) + self.turn_error
        return self.yaw

    def _approach(self, hand, position, yaw):
        aim, turned = position + self.aim_error + [0.0, 0.0, self.height], self._grip_yaw(hand, yaw, np.pi / 2)
        if self._reached(hand, aim, 0.02, turned):
            self._enter("descend")
        return aim, turned, OPEN, 1.0

    def _descend(self, hand, position, yaw):
        aim = position + self.aim_error + [0.0, 0.0, self.grasp_above_m]
        if self._reached(hand, aim, 0.012):
            self.held_at = hand.position.copy()
            self._enter("close")
        return aim, self.yaw, OPEN, 0.8

    def _close(self, hand, position, yaw):
        if self.ticks >= CLOSE_TICKS:
            self._enter("raise")
        return self.held_at, self.yaw, CLOSED, 0.5

    def lost(self, hand: Hand, position: np.ndarray) -> bool:
        """Whether the fingers have met, or left the object behind."""
        return hand.opening_m < self.hold_m or float(np.linalg.norm(position - hand.position)) > 0.10


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


class Square(Expert):
    """Grip the nut along its handle, turn the handle towards the robot or to a side, centre the hole, lower it."""

    traits = Traits(speed=(0.3, 1.0), height_m=(0.05, 0.08), aim_error_m=0.003, turn_error_rad=0.04, noise=(0.02, 0.08))
    hold_m = 0.02
    hover_m = 1.02  # height of the nut on its way

    def thing(self, state):
        position, orientation = state[7:10], state[10:14]
        x = yaw_of(_unit(orientation))
        return position + HANDLE_M * np.array([np.cos(x), np.sin(x), 0.0]), orientation

    def _grip_yaw(self, hand, wanted, period):
        """Of the two grips and the ways to put the nut on, the pair that turns the hand least from where it is."""
        if self.yaw is None:
            now = yaw_of(hand.orientation)
            pairs = []
            for grip in (wanted, wanted + np.pi):
                start = nearest_yaw(now, grip, 2 * np.pi)
                for handle in HANDLE_YAWS:
                    turn = wrap(handle - wanted)
                    pairs.append((max(abs(start - now), abs(start + turn - now)), start, handle))
            _, start, self.handle = min(pairs)
            self.yaw = start + self.turn_error
        return self.yaw

    def _raise(self, hand, position, yaw):
        aim = np.append(self.held_at[:2], self.hover_m + 0.01)
        if self.lost(hand, position):
            self._enter("approach")
        elif hand.position[2] > self.hover_m - 0.03 or self.ticks >= PATIENCE_TICKS:
            self.correction = np.zeros(2)
            self._enter("centre")
        return aim, self.yaw, CLOSED, 1.0

    def _nut(self, position, yaw):
        return position - HANDLE_M * np.array([np.cos(yaw), np.sin(yaw), 0.0])

    def _centre_aim(self, hand, position, yaw, height_m):
        """Aim and yaw that bring the nut, as it is held, over the peg: proportional and integral in its pose."""
        error = PEG - self._nut(position, yaw)[:2]
        if np.linalg.norm(error) < 0.03:
            self.correction = np.clip(self.correction + 0.06 * error, -0.02, 0.02)
        turned = yaw_of(hand.orientation) + wrap(self.handle - yaw)
        return np.append(hand.position[:2] + error + self.correction, height_m), turned, error

    def _centre(self, hand, position, yaw):
        aim, turned, error = self._centre_aim(hand, position, yaw, self.hover_m)
        if self.lost(hand, position):
            self._enter("approach")
        elif (np.linalg.norm(error) < 0.004 and abs(wrap(self.handle - yaw)) < 0.12) or self.ticks >= 120:
            self._enter("insert")
        return aim, turned, CLOSED, 1.0

    def _insert(self, hand, position, yaw):
        aim, turned, error = self._centre_aim(hand, position, yaw, hand.position[2] - 0.03)
        if self.lost(hand, position):
            self._enter("approach")
        elif np.linalg.norm(error) > 0.012 and position[2] > PEG_TOP_M:
            self._enter("centre")
        return aim, turned, CLOSED, 0.6


def _unit(q: np.ndarray) -> np.ndarray:
    q = np.asarray(q, float)
    return q / max(1e-9, float(np.linalg.norm(q)))


EXPERTS = {"Lift": Lift, "Can": Can, "Square": Square, "Transport": Transport}
