"""Four goals around a start: every goal is a success, shorter paths pay more, and one goal pays a little more still.

Improving inside a small trust region straightens the paths and keeps all four goals; a large one lets the policy leave
three of them for the best (the four-goal example of arXiv 2606.01151; the numbers here are ours).
"""

from pathlib import Path

import numpy as np

from lpds_ros.bench.suites.plane import Plane, wander
from lpds_ros.bench.task import Task
from lpds_ros.contract import Horizons
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

GOALS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
NAMES = ("east", "north", "west", "south")
PAYS = np.array([1.0, 0.7, 0.7, 0.7])
STEP_COST = 0.02
REACHED = 0.15
PAST = 1.2  # demonstrations drive through their goal, as far as this
SPEED = 0.1  # distance of one step at action 1
LIMIT = 32
DEMOS, FAILING = 240, 0.25
PROBLEM = Problem("four-goals", observation_size=2, action_size=2, horizons=Horizons(1, 4, 4))


class FourGoals(Plane):
    """A point in the plane; the observation is its position, an action its velocity."""

    def __init__(self, count: int):
        super().__init__(count, speed=SPEED, limit=LIMIT)

    def start(self, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(0.0, 0.02, 2)

    def judge(self, before: np.ndarray, after: np.ndarray):
        distance = np.linalg.norm(after[:, None] - GOALS[None], axis=2)
        goal = distance.argmin(1)
        reached = distance.min(1) < REACHED
        return np.where(reached, PAYS[goal], 0.0) - STEP_COST, reached, reached, np.where(reached, goal, -1)


def demonstrations(_: Path | None = None, seed: int = 0) -> list[Demonstration]:
    """Bent paths to the four goals, equally many each, and some that leave between two goals and end nowhere."""
    rng, demos = np.random.default_rng(seed), []
    for i in range(DEMOS):
        start = rng.normal(0.0, 0.02, 2)
        angle = i % 4 * np.pi / 2
        fails = rng.random() < FAILING
        if fails:
            angle += np.pi / 4 + rng.normal(0.0, 0.08)
        end = PAST * np.array([np.cos(angle), np.sin(angle)])
        demos.append(wander(rng, start, end, bend=0.25, speed=SPEED * rng.uniform(0.55, 0.9), step=SPEED, success=not fails))
    return demos


def draw(axes, paths, modes):
    """Paths of episodes, coloured by the goal reached."""
    colours = ("#1f6fb4", "#c0392b", "#2e8b57", "#8e44ad")
    for path, mode in zip(paths, modes):
        axes.plot(*np.asarray(path).T, color=colours[mode] if mode >= 0 else "#b0b0b0", linewidth=0.7, alpha=0.6)
    for goal in GOALS:
        axes.plot(*goal, "o", color="#222222", markersize=7, fillstyle="none")
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", xticks=[], yticks=[])


def tasks() -> tuple[Task, ...]:
    return (
        Task(
            suite="toy",
            name="four-goals",
            problem=PROBLEM,
            worlds=FourGoals,
            demonstrations=demonstrations,
            prior=PriorConfig(width=64, blocks=3, updates=3000, checkpoint_every=3000, evaluate_every=3000),
            budget=12_000,
            limit=LIMIT,
            modes=NAMES,
            methods=("prior", "lpds:delta=0.05", "lpds:delta=0.5", "lpds:delta=2.0", "dsrl-na", "dsrl-na-hard"),
            learner={
                "gamma": 0.95,
                "critic_width": 64,
                "actor_width": 64,
                "warmup_decisions": 500,
                "critic_warmup_updates": 200,
                "batch_size": 64,
                "distill_states": 64,
                "updates_per_decision": 0.5,
                "learning_rate": 1e-3,
                "tau": 0.02,
            },
            envs=16,
            curve_points=5,
            curve_episodes=200,
            final_episodes=400,
            draw=draw,
        ),
    )
