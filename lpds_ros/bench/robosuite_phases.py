"""A scripted expert in phases that sees only the low-dimensional observation of `robosuite_worlds`.

Gains, speeds, approach heights and aims are drawn anew for every episode, and the hand shakes; an expert that missed
notices and tries again.
"""

import numpy as np

from lpds_ros.bench.robosuite_motion import CLOSED, OPEN, Hand, Servo, Traits, nearest_yaw, wrap, yaw_of

PATIENCE_TICKS = 80  # with one way-point
CLOSE_TICKS = 7


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
        hand = Hand(observation[:3].astype(float), unit(observation[3:7]), float(observation[7] - observation[8]))
        position, orientation = self.thing(observation[9:].astype(float))
        aim, turned, gripper, speed = self._decide(hand, position, yaw_of(unit(orientation)))
        self.ticks += 1
        return self.servo.towards(hand, np.asarray(aim), turned, gripper, speed)

    def _decide(self, hand: Hand, position: np.ndarray, yaw: float):
        """What the present phase wants."""
        for _ in range(3):  # a reached way-point hands over within the tick
            before = self.phase
            wanted = getattr(self, f"_{before}")(hand, position, yaw)
            if self.phase == before:
                break
        return wanted

    def executed(self, action: np.ndarray) -> np.ndarray:
        """What the hand does where `action` [7] is intended."""
        return action

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


def unit(q: np.ndarray) -> np.ndarray:
    q = np.asarray(q, float)
    return q / max(1e-9, float(np.linalg.norm(q)))
