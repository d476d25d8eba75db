"""How a scripted expert moves a Panda under robosuite's OSC_POSE: where it aims, and the hand it has. numpy only.

An action is [translation x y z, rotation vector x y z, gripper] in [-1, 1], in the robot's base frame, which is parallel
to the world in the one-arm tasks; ±1 ask for 5 cm and 0.5 rad from the pose reached, the gripper closes at +1.
"""

from dataclasses import dataclass

import numpy as np

from lpds_ros.geometry import conjugate, from_rotation_vector, multiply, to_rotation_vector

TRANSLATION_M, ROTATION_RAD = 0.05, 0.5  # what ±1 ask for
OPEN, CLOSED = -1.0, 1.0
DOWN = np.array([1.0, 0.0, 0.0, 0.0])  # hand's x along the world's, its z down; fingers then open along −y


@dataclass(frozen=True)
class Traits:
    """(lowest, highest) of what is drawn anew for every episode, or the standard deviation of a draw."""

    gain: tuple[float, float] = (1.6, 2.6)  # translation asked for, per distance left
    turn_gain: tuple[float, float] = (1.0, 1.6)
    speed: tuple[float, float] = (0.7, 1.0)  # of the largest translation
    height_m: tuple[float, float] = (0.05, 0.09)  # over the grasp, before the descent
    aim_error_m: float = 0.004
    turn_error_rad: float = 0.05
    noise: tuple[float, float] = (0.02, 0.10)  # standard deviation of the shake, in action units
    noise_memory: float = 0.8
    smoothing: float = 0.6  # share of a new intention taken up in one tick


@dataclass(frozen=True)
class Hand:
    """position: float64 [3] m, between the finger tips. orientation: unit quaternion xyzw. opening_m: between the tips."""

    position: np.ndarray
    orientation: np.ndarray
    opening_m: float


def wrap(angle: float, period: float = 2 * np.pi) -> float:
    """The equal angle (rad) modulo `period` that is nearest to zero."""
    return (angle + period / 2) % period - period / 2


def rotate(q: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`vector` [3] turned by the unit quaternion q."""
    return multiply(multiply(q, np.array([*vector, 0.0])), conjugate(q))[:3]


def yaw_of(q: np.ndarray) -> float:
    """Angle (rad) of the body's x axis in the world's horizontal plane."""
    x = rotate(q, np.array([1.0, 0.0, 0.0]))
    return float(np.arctan2(x[1], x[0]))


def pointing_down(yaw: float) -> np.ndarray:
    """Orientation of a hand that points straight down with its x axis at `yaw` (rad); its fingers open across that."""
    return multiply(from_rotation_vector(np.array([0.0, 0.0, yaw])), DOWN)


def nearest_yaw(current: float, wanted: float, period: float) -> float:
    """The yaw nearest to `current` among those equal to `wanted` modulo `period`, not wrapped: π for two fingers."""
    return current + wrap(wanted - current, period)


class Clumsiness:
    """What a hand does beside what it intends: it trembles, and now and then it slips for some ticks.

    In a slip the hand moves and turns anywhere, or the gripper does the opposite. Demonstrations that keep the intention
    show how to come back from states that an expert would not visit, and a prior does.
    """

    RATE, TICKS = 0.015, (4, 12)  # slips begun in a tick; how long they last
    MOVE, TURN, OF_GRIPPER = 0.6, 0.3, 0.3  # largest action; share of slips that are the gripper's

    def __init__(self, tremble: tuple[float, float], rng: np.random.Generator):
        self._rng, self._tremble = rng, rng.uniform(*tremble)
        self._shake, self._left, self._slip = np.zeros(6), 0, None

    def executed(self, intended: np.ndarray) -> np.ndarray:
        """Action float32 [7] in [-1, 1] for the one intended."""
        if self._left == 0 and self._rng.random() < self.RATE:
            self._left = int(self._rng.integers(*self.TICKS))
            way = self._rng.uniform(-1.0, 1.0, 6) * np.repeat([self.MOVE, self.TURN], 3)
            self._slip = None if self._rng.random() < self.OF_GRIPPER else way
            self._gripper = -intended[6]
        self._shake = 0.8 * self._shake + 0.6 * self._tremble * self._rng.standard_normal(6)
        action = np.append(intended[:6] + self._shake * np.repeat([1.0, 0.5], 3), intended[6])
        if self._left > 0:
            self._left -= 1
            if self._slip is None:
                action[6] = self._gripper
            else:
                action[:6] = self._slip
        return np.clip(action, -1.0, 1.0).astype(np.float32)


class Servo:
    """Turns aims into actions: bounded speed, low-passed, shaking. One for each episode."""

    def __init__(self, traits: Traits, rng: np.random.Generator):
        self._traits, self._rng = traits, rng
        self.gain, self._turn_gain = rng.uniform(*traits.gain), rng.uniform(*traits.turn_gain)
        self.speed, self._noise = rng.uniform(*traits.speed), rng.uniform(*traits.noise)
        self._wish, self._shake = np.zeros(6), np.zeros(6)

    def towards(self, hand: Hand, position: np.ndarray, yaw: float, gripper: float, speed: float = 1.0) -> np.ndarray:
        """Action float32 [7] that brings the hand to `position` (m), pointing down at `yaw` (rad).

        speed: share of the episode's own.
        """
        move = self.gain * (position - hand.position) / TRANSLATION_M
        move *= min(1.0, speed * self.speed / max(1e-9, float(np.linalg.norm(move))))
        error = to_rotation_vector(multiply(pointing_down(yaw), conjugate(hand.orientation)))
        turn = self._turn_gain * error / ROTATION_RAD
        turn *= min(1.0, 1.0 / max(1e-9, float(np.abs(turn).max())))
        self._wish += self._traits.smoothing * (np.concatenate([move, turn]) - self._wish)
        memory = self._traits.noise_memory
        scale = self._noise * np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.5])
        self._shake = memory * self._shake + np.sqrt(1.0 - memory**2) * scale * self._rng.standard_normal(6)
        return np.append(np.clip(self._wish + self._shake, -1.0, 1.0), gripper).astype(np.float32)
