"""RoboMimic's Lift, Can, Square and Transport on robosuite 1.5.2: low-dimensional observations, reward 1 on success.

Demonstrations: scripted experts with a person's spread, in the one-arm tasks of a person's pace too, from brisk to slow. A
prior of mixed pace fails by chance, not by ignorance, so that steering has something to choose from. The time limits of the
one-arm tasks are therefore tighter than the published ones: about the time in which their priors solve two of five episodes.
Square's prior fails by ignorance too: within its limit, 6 of 24 starts were solved with none of five noises, 14 with some.
Robosuite is an optional extra; the line that installs it is in the error that its absence raises.
"""

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from lpds_ros.bench.collect import collect
from lpds_ros.bench.demonstrations import FIRST_SEED, recorded
from lpds_ros.bench.robosuite_collect import record
from lpds_ros.bench.robosuite_experts import EXPERTS
from lpds_ros.bench.robosuite_worlds import SCENES, Pool, RobosuiteWorlds, import_robosuite
from lpds_ros.bench.task import Task
from lpds_ros.contract import Horizons
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem


@dataclass(frozen=True)
class Setting:
    """episodes: demonstrations. limit: steps of an episode. updates: of the prior. noise_levels: trained, of which 8 are run.
    learner: hyperparameters of this task alone. T_a and levels are those of DSRL's public recipes.
    """

    episodes: int
    budget: int
    limit: int
    updates: int = 3000
    executed: int = 4
    noise_levels: int = 20
    learner: dict = field(default_factory=dict)


CAREFUL = {"delta": 0.1, "critic_warmup_updates": 3000}
SETTINGS = {
    # an episode has ten decisions: returns of five are half of it, and values arrive without them
    "Lift": Setting(60, 24_000, 40, learner={"gamma": 0.95, "n_step": 1, "warmup_decisions": 1000, "updates_per_decision": 1.0}),
    "Can": Setting(60, 48_000, 170, learner=CAREFUL),
    "Square": Setting(200, 48_000, 170, updates=8000, learner=CAREFUL),
    "Transport": Setting(60, 120_000, 800, updates=4000, executed=8, noise_levels=100),
}


def produce(name: str, folder: Path, *, jobs: int, episodes: int | None, on_progress, should_stop):
    """The expert's successes, their files in `folder`; None when stopped before (the same call goes on)."""
    robosuite, traits = import_robosuite(), EXPERTS[name].traits
    return collect(
        partial(record, name, traits),
        folder / "episodes",
        episodes or SETTINGS[name].episodes,
        first_seed=FIRST_SEED,
        identity={"task": name, "robosuite": robosuite.__version__, "traits": asdict(traits)},
        jobs=jobs,
        on_progress=on_progress,
        should_stop=should_stop,
    )


def make_task(name: str) -> Task:
    scene, setting = SCENES[name], SETTINGS[name]
    horizons = Horizons(1, setting.executed, setting.executed)
    return Task(
        suite="robomimic",
        name=name,
        environment=scene.environment,
        problem=Problem(name, scene.observation_size, scene.action_size, horizons=horizons),
        worlds=partial(RobosuiteWorlds, Pool(scene), limit=setting.limit),
        **recorded("robomimic", name, partial(produce, name)),
        prior=PriorConfig(
            kind="diffusion",
            width=128,
            blocks=3,
            steps=8,
            train_steps=setting.noise_levels,
            updates=setting.updates,
            checkpoint_every=1000,
            evaluate_every=1000,
        ),
        budget=setting.budget,
        limit=setting.limit,
        learner={
            "gamma": 0.97,
            "tau": 0.01,
            "n_step": 5,
            "critic_width": 128,
            "actor_width": 128,
            "actor_noises": 2,
            "distill_states": 64,
            "warmup_decisions": 2000,
            "critic_warmup_updates": 1500,
            "updates_per_decision": 0.6,
        }
        | setting.learner,
        envs=4,
        curve_points=4,
        curve_episodes=50,
        final_episodes=100,
    )


def tasks() -> tuple[Task, ...]:
    return tuple(make_task(name) for name in SETTINGS)
