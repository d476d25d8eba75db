"""Environments side by side, stepped chunk by chunk, with time counted as it passes.

A chunk ends where its episode ends: no row of it runs into the next episode. Vectorised Gymnasium environments either
reset by themselves inside a chunk or refuse to step the others once one has ended, so worlds are stepped here one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Step:
    """One step of every world. reward float64 [N]; terminated, truncated, success bool [N].

    mode: int [N], which of a task's ways the episode took, known when it ends; −1 where there is none.
    """

    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    mode: np.ndarray


class Worlds(Protocol):
    """`count` independent environments of one task."""

    count: int

    def reset(self, index: int, seed: int):
        """Start an episode in world `index`; equal seeds give equal episodes."""

    def observe(self) -> np.ndarray:
        """float32 [N, d_o]. Do not keep it across a step: it may be reused."""

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        """Advance the `live` worlds (bool [N]) by one action row each (float32 [N, d_a]); the others stay as they are."""

    def close(self):
        """Free what the worlds hold."""


@dataclass(frozen=True)
class Outcome:
    """One chunk in every world. reward: summed over the `steps` (int [N]) that ran; the flags are of the last of them."""

    reward: np.ndarray
    steps: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    mode: np.ndarray

    @property
    def ended(self) -> np.ndarray:
        return self.terminated | self.truncated


def run_chunk(worlds: Worlds, actions: np.ndarray, live: np.ndarray | None = None) -> Outcome:
    """Execute actions [N, T_a, d_a] in the `live` worlds, each until its chunk or its episode is over."""
    count = worlds.count
    live = np.ones(count, bool) if live is None else live.copy()
    reward, steps = np.zeros(count), np.zeros(count, int)
    terminated, truncated, success = (np.zeros(count, bool) for _ in range(3))
    mode = np.full(count, -1)
    for row in range(actions.shape[1]):
        step = worlds.step(actions[:, row], live)
        reward[live] += step.reward[live]
        steps += live
        terminated |= live & step.terminated
        truncated |= live & step.truncated & ~step.terminated
        success |= live & step.success
        mode[live] = step.mode[live]
        live &= ~(step.terminated | step.truncated)
        if not live.any():
            break
    return Outcome(reward, steps, terminated, truncated, success, mode)


class GymWorlds:
    """Gymnasium environments as worlds.

    make: returns one environment, its time limit included. succeeded: (info, reward) → whether the task is solved; a
    solved episode terminates. Actions in [-1, 1] are stretched to the environment's own bounds.
    """

    def __init__(
        self, make: Callable[[], object], count: int, succeeded: Callable[[dict, float], bool] = lambda info, reward: False
    ):
        self.count, self._succeeded = count, succeeded
        self._envs = [make() for _ in range(count)]
        space = self._envs[0].action_space
        self._middle, self._half = (space.high + space.low) / 2, (space.high - space.low) / 2
        self._observation = np.zeros((count, self._envs[0].observation_space.shape[0]), np.float32)

    def reset(self, index: int, seed: int):
        self._observation[index] = self._envs[index].reset(seed=seed % 2**31)[0]

    def observe(self) -> np.ndarray:
        return self._observation.copy()

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        reward = np.zeros(self.count)
        terminated, truncated, success = (np.zeros(self.count, bool) for _ in range(3))
        for i in np.flatnonzero(live):
            action = self._middle + self._half * np.clip(actions[i], -1.0, 1.0)
            self._observation[i], reward[i], terminated[i], truncated[i], info = self._envs[i].step(action)
            success[i] = self._succeeded(info, reward[i])
            terminated[i] |= success[i]
        return Step(reward, terminated, truncated, success, np.full(self.count, -1))

    def close(self):
        for env in self._envs:
            env.close()
