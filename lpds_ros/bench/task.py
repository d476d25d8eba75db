"""What a benchmark task is, and the suites there are."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lpds_ros.bench.worlds import Worlds
from lpds_ros.config import nearest
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

# A suite is a module with `tasks() -> tuple[Task, ...]`; a new one is a file and a line here.
SUITES = {name: f"lpds_ros.bench.suites.{name}" for name in ("toy", "avoiding", "gym", "adroit", "robomimic")}


class BenchError(ValueError):
    """A run that cannot be made as asked; the text says why and what to do."""


@dataclass(frozen=True)
class Task:
    """One task of a suite. Every method runs on it with the same prior, seeds, budget and shared hyperparameters."""

    suite: str
    name: str
    problem: Problem
    worlds: Callable[[int], Worlds]  # count → that many environments
    demonstrations: Callable[[Path], list[Demonstration]]  # of the folder they were made in; BenchError says how to make them
    prior: PriorConfig
    budget: int  # environment steps of a run, warm-up included
    limit: int  # steps of an episode's time limit
    measure: Literal["success", "return"] = "success"  # what the score is
    reference: tuple[float, float] = (0.0, 1.0)  # scores that count as 0 and 1 where tasks are aggregated
    modes: tuple[str, ...] = ()  # the ways an episode can go, by the worlds' mode number; empty: not counted
    methods: tuple[str, ...] = ()  # what `lpds bench run` compares by default; empty: the usual ones
    learner: dict = field(default_factory=dict)  # hyperparameters shared by every learning method, by name
    reward_scale: float = 1.0  # of what learners see; reported returns are not scaled
    envs: int = 4  # side by side while learning
    curve_points: int = 10
    curve_episodes: int = 25
    final_episodes: int = 100
    side_by_side: int = 50  # worlds of an evaluation; fewer where making one is slow
    # (folder, jobs=, episodes=, on_progress=, should_stop=) → whether it is done; None: scripted, made on the spot
    make_demonstrations: Callable[..., bool] | None = None
    environment: str = ""  # what data sets call it
    draw: Callable | None = None  # (axes, paths, modes), for tasks in a plane

    def __post_init__(self):
        if self.problem.horizons.observed != 1 or self.problem.horizons.delay:
            raise BenchError(f"{self.suite}/{self.name}: worlds give one observation, at once: observed must be 1, delay 0")


def named_by_prior(name: str, kind: str) -> str:
    """What rows call a task whose prior is of another kind than its own: it is another task to compare on."""
    return f"{name}-{kind}"


def suite_tasks(suite: str) -> dict[str, Task]:
    """The tasks of a suite by name. Raises BenchError for an unknown suite."""
    if suite not in SUITES:
        raise BenchError(f"no suite '{suite}'{nearest(suite, SUITES)}")
    return {task.name: task for task in importlib.import_module(SUITES[suite]).tasks()}


def find_tasks(suite: str, names: list[str] | None) -> list[Task]:
    """The named tasks of a suite, or all of them. Raises BenchError that names the nearest."""
    known = suite_tasks(suite)
    for name in names or ():
        if name not in known:
            raise BenchError(f"suite {suite} has no task '{name}'{nearest(name, known)}")
    return [known[name] for name in names or known]
