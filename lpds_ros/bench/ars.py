"""Augmented Random Search, version V2-t (Mania et al. 2018, arXiv 1803.07055): a linear expert without a download.

The policy is one matrix on normalised observations; each iteration tries random directions both ways and moves along the
best ones. Directions come from (seed, iteration) alone, so a resumed search is the one that was interrupted.
"""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpds_ros.durable import write_arrays

EVALUATE_EVERY = 10


@dataclass(frozen=True)
class ArsConfig:
    """directions N, of which the best `top` are used; step size α, exploration ν. survival_bonus: taken off each reward."""

    environment: str
    directions: int
    top: int
    step_size: float
    exploration: float
    iterations: int
    survival_bonus: float = 0.0
    seed: int = 0


@dataclass
class Search:
    """matrix [d_a, d_o]; count, mean, m2 [d_o]: running statistics of observations; policies: earlier (matrix, mean, scale).

    history: [(iteration, return)] of the policy itself, every EVALUATE_EVERY iterations; policies holds one for each.
    """

    matrix: np.ndarray
    count: float
    mean: np.ndarray
    m2: np.ndarray
    iteration: int
    history: list[tuple[int, float]]
    policies: list[np.ndarray]

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of the observations [d_o]; 1 where they never vary."""
        deviation = np.sqrt(self.m2 / max(self.count - 1, 1))
        return np.where(deviation < 1e-7, 1.0, deviation)

    def flat(self) -> np.ndarray:
        """The policy now as an affine map of the observation: [d_a, d_o + 1], the last column the offset."""
        gain = self.matrix / self.scale
        return np.concatenate([gain, -(gain @ self.mean)[:, None]], axis=1)


def act(policy: np.ndarray, observation: np.ndarray) -> np.ndarray:
    """Action [d_a] of an affine policy [d_a, d_o + 1], in the environment's bounds of ±1."""
    return np.clip(policy[:, :-1] @ observation + policy[:, -1], -1.0, 1.0)


def search(
    config: ArsConfig,
    folder: Path,
    *,
    jobs: int = 1,
    on_iteration: Callable[[Search], None] = lambda state: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Search:
    """Search until config.iterations, going on from `folder`/ars.npz; the file is written every EVALUATE_EVERY iterations."""
    path = folder / "ars.npz"
    state = _load(path) if path.exists() else _fresh(config)
    # Ctrl-C reaches every process of a terminal; the workers leave it to the one that saves.
    quiet = dict(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    with closing(multiprocessing.get_context("spawn").Pool(jobs, **quiet)) as pool:
        while state.iteration < config.iterations and not should_stop():
            _iterate(config, state, pool, jobs)
            if state.iteration % EVALUATE_EVERY == 0 or state.iteration == config.iterations:
                found = rollouts((config.environment, [state.flat()] * 3, [10_000 + i for i in range(3)], 0.0))
                state.history.append((state.iteration, float(np.mean([total for total, _ in found]))))
                state.policies.append(state.flat())
                _save(path, state)
            on_iteration(state)
        pool.terminate()
    return state


def _iterate(config: ArsConfig, state: Search, pool, jobs: int):
    rng = np.random.default_rng([config.seed, state.iteration])
    deltas = rng.standard_normal((config.directions, *state.matrix.shape))
    seeds = rng.integers(0, 2**31, config.directions)
    policies, scale = [], state.scale
    for delta in deltas:
        for sign in (1.0, -1.0):
            gain = (state.matrix + sign * config.exploration * delta) / scale
            policies.append(np.concatenate([gain, -(gain @ state.mean)[:, None]], axis=1))
    both = np.repeat(seeds, 2)
    shares = np.array_split(np.arange(len(policies)), jobs)
    work = [(config.environment, [policies[i] for i in s], [int(both[i]) for i in s], config.survival_bonus) for s in shares]
    found = [result for share in pool.map(rollouts, work) for result in share]
    rewards = np.array([total for total, _ in found]).reshape(-1, 2)
    best = np.argsort(-rewards.max(1))[: config.top]
    gradient = np.tensordot(rewards[best, 0] - rewards[best, 1], deltas[best], axes=1)
    spread = rewards[best].std()
    if spread > 0:
        state.matrix = state.matrix + config.step_size / (config.top * spread) * gradient
    for _, (count, mean, m2) in found:
        _merge(state, count, mean, m2)
    state.iteration += 1


def rollouts(work) -> list[tuple[float, tuple]]:
    """[(return, (count, mean, m2) of its observations)] of one episode a policy. Module level: a pool sends it."""
    environment, policies, seeds, bonus = work
    import gymnasium

    env, found = gymnasium.make(environment), []
    for policy, seed in zip(policies, seeds):
        observation, total, seen, over = env.reset(seed=seed)[0], 0.0, [], False
        while not over:
            seen.append(observation)
            observation, reward, terminated, truncated, _ = env.step(act(policy, observation))
            total += reward - bonus
            over = terminated or truncated
        seen = np.array(seen)
        mean = seen.mean(0)
        found.append((float(total), (len(seen), mean, ((seen - mean) ** 2).sum(0))))
    env.close()
    return found


def _merge(state: Search, count: int, mean: np.ndarray, m2: np.ndarray):
    """Add another sample's statistics (Chan et al. 1979)."""
    both, gap = state.count + count, mean - state.mean
    state.mean = state.mean + gap * count / both
    state.m2 = state.m2 + m2 + gap**2 * state.count * count / both
    state.count = both


def _fresh(config: ArsConfig) -> Search:
    import gymnasium

    env = gymnasium.make(config.environment)
    observation, action = env.observation_space.shape[0], env.action_space.shape[0]
    env.close()
    return Search(np.zeros((action, observation)), 0.0, np.zeros(observation), np.zeros(observation), 0, [], [])


def _save(path: Path, state: Search):
    names = ("matrix", "count", "mean", "m2", "iteration", "history", "policies")
    write_arrays(path, {name: np.array(getattr(state, name)) for name in names})


def _load(path: Path) -> Search:
    with np.load(path, allow_pickle=False) as a:
        history = [(int(i), float(r)) for i, r in a["history"]]
        return Search(
            a["matrix"], float(a["count"]), a["mean"], a["m2"], int(a["iteration"]), history, list(a["policies"])
        )
