"""Means, interquartile means and their intervals from result rows (Agarwal et al. 2021, arXiv 2108.13264)."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """value with its 95 % interval."""

    value: float
    low: float
    high: float


def interquartile_mean(scores, axis: int = 0) -> np.ndarray:
    """Mean of the middle half; a quarter (rounded down) is cut off at either end."""
    ordered = np.sort(np.asarray(scores, float), axis=axis)
    cut = ordered.shape[axis] // 4
    return np.take(ordered, range(cut, ordered.shape[axis] - cut), axis=axis).mean(axis)


def scores_of(row: dict) -> np.ndarray:
    """Score of each final episode, scaled so that the task's reference is 0 to 1: float64 [E]."""
    low, high = row["reference"]
    return (np.array(row["episodes"][row["measure"]], float) - low) / (high - low)


def raw_of(row: dict) -> np.ndarray:
    """Success or return of each final episode, as measured: float64 [E]."""
    return np.array(row["episodes"][row["measure"]], float)


def resampled_means(runs: list[np.ndarray], rng: np.random.Generator, count: int = RESAMPLES) -> np.ndarray:
    """[count, S]: seeds drawn with replacement, and of each drawn seed its episodes; the mean of each drawn seed."""
    found = np.empty((count, len(runs)))
    seeds = rng.integers(0, len(runs), found.shape)
    for s, episodes in enumerate(runs):
        at = np.nonzero(seeds == s)
        drawn = rng.integers(0, len(episodes), (len(at[0]), len(episodes)))
        found[at] = episodes[drawn].mean(1)
    return found


def mean_of(runs: list[np.ndarray], seed: int = 0) -> Estimate:
    """Mean over seeds of the mean over episodes, with a bootstrap interval over both."""
    means = resampled_means(runs, np.random.default_rng(seed)).mean(1)
    return Estimate(float(np.mean([run.mean() for run in runs])), *_interval(means))


def aggregate(tasks: dict[str, list[np.ndarray]], seed: int = 0) -> Estimate:
    """Interquartile mean over all runs of all tasks, its interval stratified by task."""
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([resampled_means(runs, rng) for _, runs in sorted(tasks.items())], axis=1)
    scores = [run.mean() for runs in tasks.values() for run in runs]
    return Estimate(float(interquartile_mean(scores)), *_interval(interquartile_mean(drawn, axis=1)))


def _interval(samples: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def grouped(rows) -> dict[tuple[str, str], dict[str, list[dict]]]:
    """{(suite, task): {method: rows by seed}} of the newest row of each run, in the order in which they came first."""
    found: dict = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row["suite"], row["task"]][row["method"]].append(row)
    return {task: {m: sorted(rs, key=lambda r: r["seed"]) for m, rs in methods.items()} for task, methods in found.items()}


def steps_to(row: dict, threshold: float) -> int | None:
    """Environment steps of the first point of the learning curve that reaches `threshold`; None: none does."""
    reached = (p["steps"] for p in row["curve"] if p[row["measure"]] is not None and p[row["measure"]] >= threshold)
    return next(reached, None)
