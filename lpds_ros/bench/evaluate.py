"""Evaluation on fixed seeds: outcome, modes, and how far the policy has moved from the prior.

The noise of an episode depends on its seed alone, so that every method meets the same starts and the same draws.
"""

from dataclasses import asdict, dataclass

import numpy as np

from lpds_ros.bench.entropy import effective_number, energy_distance, knn_entropy
from lpds_ros.bench.methods import Frozen, Method
from lpds_ros.bench.priors import Prior
from lpds_ros.bench.task import Task
from lpds_ros.bench.worlds import run_chunk

EVALUATION_SEEDS = 1_000_000  # the first of them; training seeds start elsewhere
PROBE_STATES, PROBE_DRAWS, NEIGHBOURS = 32, 128, 5


@dataclass(frozen=True)
class Episodes:
    """Outcome of E episodes: success bool [E], returns (not scaled) and lengths in steps [E], mode int [E].

    latent_norm, moved: mean of ‖w‖ and of Δ² per dimension over all decisions. paths: positions where they were recorded.
    """

    success: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    modes: np.ndarray
    latent_norm: float
    moved: float
    states: np.ndarray
    paths: list

    def summary(self, task: Task) -> dict:
        """Plain numbers for a result row or a point of a curve."""
        found = {
            "success": float(self.success.mean()),
            "return": float(self.returns.mean()),
            "length": float(self.lengths.mean()),
            "latent_norm": self.latent_norm,
            "delta_sq_mean": self.moved,
        }
        if task.modes:
            counts = np.bincount(self.modes[self.modes >= 0], minlength=len(task.modes))
            found |= {"modes": counts.tolist(), "effective_modes": effective_number(counts)}
        return found

    def listed(self) -> dict[str, list]:
        """Outcomes of single episodes, for a result row."""
        return {
            "success": self.success.astype(int).tolist(),
            "return": self.returns.tolist(),
            "length": self.lengths.astype(int).tolist(),
            "mode": self.modes.tolist(),
        }


def evaluate(task: Task, method: Method, episodes: int, *, record: bool = False) -> Episodes:
    """Run `episodes` episodes on the fixed evaluation seeds. record: keep the paths of worlds that have any."""
    worlds = task.worlds(min(episodes, task.side_by_side))
    parts, norms, moved, states, paths = [], [], [], [], []
    try:
        if record and hasattr(worlds, "record"):
            worlds.record = True
        for first in range(0, episodes, worlds.count):
            live = np.arange(worlds.count) + first < episodes
            draws = []
            for i in range(worlds.count):
                worlds.reset(i, EVALUATION_SEEDS + first + i)
                draws.append(np.random.Generator(np.random.Philox(key=[EVALUATION_SEEDS, first + i])))
            asked, total = int(live.sum()), np.zeros((2, worlds.count))
            success, mode = np.zeros(worlds.count, bool), np.full(worlds.count, -1)
            while live.any():
                noise = np.stack([draw.standard_normal(task.problem.noise_shape, np.float32) for draw in draws])
                state = worlds.observe()
                choice = method.choose(state, noise)
                outcome = run_chunk(worlds, choice.chunk[:, : task.problem.horizons.executed], live)
                total += outcome.reward, outcome.steps
                success |= outcome.success
                mode = np.where(live & outcome.ended, outcome.mode, mode)
                norms.append(np.linalg.norm(choice.latent[live].reshape(live.sum(), -1), axis=1))
                moved.append(choice.moved[live])
                states.append(state[live])
                live = live & ~outcome.ended
            parts.append(np.stack([success, total[0], total[1], mode])[:, :asked])
            if record:
                paths += [np.array(path) for path in getattr(worlds, "paths", [])[:asked]]
    finally:
        worlds.close()
    success, returns, lengths, mode = np.concatenate(parts, axis=1)
    return Episodes(
        success=success.astype(bool),
        returns=returns,
        lengths=lengths,
        modes=mode.astype(int),
        latent_norm=float(np.concatenate(norms).mean()),
        moved=float(np.concatenate(moved).mean()),
        states=np.concatenate(states),
        paths=paths,
    )


@dataclass(frozen=True)
class Spread:
    """entropy: mean over fixed states of the k-NN entropy of the executed chunk, nats. energy: mean energy distance to the
    prior's chunks in the same states, action units.
    """

    entropy: float
    energy: float


class Probe:
    """Fixed states of a task, visited by its prior, at which every method is asked for the same number of draws.

    Entropy depends on the number of draws and on k: compare only figures of equal settings, and at equal success.
    """

    def __init__(self, prior: Prior, episodes: int = 20):
        self._task, frozen = prior.task, Frozen(prior)
        visited = evaluate(prior.task, frozen, episodes).states
        rows = np.random.default_rng(0).choice(len(visited), min(PROBE_STATES, len(visited)), replace=False)
        self.states = visited[np.sort(rows)]
        self._prior_chunks = self._chunks(frozen, seed=1)

    def measure(self, method: Method) -> Spread:
        chunks = self._chunks(method, seed=2)
        entropy = [knn_entropy(samples, NEIGHBOURS) for samples in chunks]
        energy = [energy_distance(a, b) for a, b in zip(chunks, self._prior_chunks)]
        return Spread(float(np.mean(entropy)), float(np.mean(energy)))

    def _chunks(self, method: Method, seed: int) -> np.ndarray:
        """float32 [states, PROBE_DRAWS, T_a·d_a]: executed chunks, equal draws for every method."""
        rng, problem = np.random.default_rng(seed), self._task.problem
        found = []
        for state in self.states:
            noise = rng.standard_normal((PROBE_DRAWS, *problem.noise_shape), np.float32)
            chunk = method.choose(np.repeat(state[None], PROBE_DRAWS, 0), noise).chunk
            found.append(chunk[:, : problem.horizons.executed].reshape(PROBE_DRAWS, -1))
        return np.array(found)


def point(task: Task, method: Method, probe: Probe, episodes: int, *, record: bool = False) -> tuple[dict, Episodes]:
    """(summary with the spread, the episodes): one point of a learning curve, or the end of it."""
    found = evaluate(task, method, episodes, record=record)
    return found.summary(task) | asdict(probe.measure(method)), found
