"""A point in the plane that follows velocity commands: the common part of the toy and the avoiding suite."""

from abc import ABC, abstractmethod

import numpy as np

from lpds_ros.bench.worlds import Step
from lpds_ros.data.demonstration import Demonstration


class Plane(ABC):
    """Kinematic points, all stepped at once. A subclass says where an episode starts and how a step is judged.

    speed: distance one step covers at action 1. limit: steps until the time-out. `paths` keeps every position of the
    running episodes when `record` is true.
    """

    def __init__(self, count: int, *, speed: float, limit: int):
        self.count, self._speed, self._limit = count, speed, limit
        self.position, self._age = np.zeros((count, 2)), np.zeros(count, int)
        self.record = False
        self.paths: list[list[np.ndarray]] = [[] for _ in range(count)]

    @abstractmethod
    def start(self, rng: np.random.Generator) -> np.ndarray:
        """Position [2] where an episode begins."""

    @abstractmethod
    def judge(self, before: np.ndarray, after: np.ndarray):
        """(reward [N], terminated [N], success [N], mode [N]) of a step between positions [N, 2]."""

    def reset(self, index: int, seed: int):
        self.position[index] = self.start(np.random.default_rng(seed))
        self._age[index] = 0
        self.paths[index] = [self.position[index].copy()]

    def observe(self) -> np.ndarray:
        return self.position.astype(np.float32)

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        before = self.position.copy()
        self.position[live] += self._speed * np.clip(actions[live], -1.0, 1.0)
        self._age += live
        if self.record:
            for i in np.flatnonzero(live):
                self.paths[i].append(self.position[i].copy())
        reward, terminated, success, mode = self.judge(before, self.position)
        return Step(reward, terminated, self._age >= self._limit, success, mode)

    def close(self):  # noqa: B027 (part of the protocol of worlds; points hold nothing)
        """Nothing to free."""


def wander(rng, start, end, *, bend: float, speed: float, step: float, success: bool) -> Demonstration:
    """A demonstration along a bent path from `start` to `end`: a quadratic Bézier curve, noisily followed at `speed`.

    bend: standard deviation of how far the control point lies beside the middle, as a share of the distance.
    """
    along = end - start
    middle = (start + end) / 2 + rng.normal(0.0, bend) * np.array([-along[1], along[0]])
    t = np.linspace(0.0, 1.0, 200)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    marks = np.append(np.arange(speed, length[-1], speed), length[-1])
    points = np.stack([np.interp(marks, length, curve[:, i]) for i in range(2)], axis=1)
    return follow(rng, start, points, step=step, success=success)


def follow(rng, start, points, *, step: float, success: bool, noise: float = 0.05) -> Demonstration:
    """Drive a point through `points` [T, 2], one a step, with noisy actions; what it saw and did is the demonstration."""
    position, observations, actions = np.array(start, float), [], []
    for target in points:
        action = np.clip((target - position) / step + rng.normal(0.0, noise, 2), -1.0, 1.0)
        observations.append(position.copy())
        actions.append(action)
        position = position + step * action
    rewards = np.zeros(len(actions))
    rewards[-1] = float(success)
    return Demonstration(np.array(observations), np.array(actions), rewards, success, final_observation=position)
