"""Door, hammer, pen and relocate of the Adroit hand (gymnasium-robotics, v1), judged by success within a time limit.

Demonstrations: of door and hammer a script's, brisk and slow; of the others MPPI's on the environment's own model. MPPI cannot
be imitated on the door: a prior of 38 of its episodes opened none of 60. The limits of door and hammer are about the time in
which their priors solve half of the episodes; the published one is 200. The hammer's prior fails by chance: with each of 12
boards it succeeded in one to five of six attempts.
Learners see the sparse reward (10 on success, −0.1 before): the dense ones pay more for lingering beside the goal than for
reaching it, once success ends an episode, and their meaning changed within v1.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from lpds_ros.bench.collect import collect
from lpds_ros.bench.demonstrations import FIRST_SEED, recorded
from lpds_ros.bench.task import Task
from lpds_ros.bench.worlds import GymWorlds
from lpds_ros.contract import Horizons
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

EXPERT_LIMIT = 200  # steps, of the environments as they are published
PRIOR = PriorConfig(kind="flow", width=128, blocks=3, updates=6000, checkpoint_every=2000, evaluate_every=2000)


@dataclass(frozen=True)
class Setting:
    """environment: its name in Gymnasium. episodes: demonstrations of the prior. limit: steps of an episode.

    learner: hyperparameters of this task alone.
    """

    environment: str
    observation_size: int
    action_size: int
    chunk: int
    episodes: int
    budget: int
    limit: int = EXPERT_LIMIT
    prior: PriorConfig = PRIOR
    learner: dict = field(default_factory=dict)


SETTINGS = {
    "pen": Setting("AdroitHandPen-v1", 45, 24, chunk=4, episodes=40, budget=80_000),
    "door": Setting(
        "AdroitHandDoor-v1",
        39,
        28,
        chunk=4,
        episodes=200,
        budget=40_000,
        limit=95,
        prior=replace(PRIOR, kind="diffusion", steps=8, train_steps=20, updates=4000),
        learner={"updates_per_decision": 0.4},
    ),
    "relocate": Setting("AdroitHandRelocate-v1", 39, 30, chunk=4, episodes=40, budget=80_000),
    "hammer": Setting(
        "AdroitHandHammer-v1",
        46,
        26,
        chunk=4,
        episodes=200,
        budget=40_000,
        limit=100,
        # a diffusion prior of such episodes does the same whatever the noise
        prior=replace(PRIOR, steps=8, updates=10_000, checkpoint_every=20_000),
        learner={"updates_per_decision": 0.4},
    ),
}


def make_env(environment: str, limit: int = EXPERT_LIMIT):
    """One environment with a time limit in steps and the sparse reward."""
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium.make(environment, reward_type="sparse", max_episode_steps=limit)


def succeeded(info: dict, reward: float) -> bool:
    return bool(info["success"])


def worlds(environment: str, limit: int, count: int) -> GymWorlds:
    return GymWorlds(partial(make_env, environment, limit), count, succeeded)


def produce(name: str, folder: Path, *, jobs: int, episodes: int | None, on_progress, should_stop):
    """The expert's successes, their files in `folder`; None when stopped before (the same call goes on)."""
    make_env(SETTINGS[name].environment).close()  # a missing package is told before any process starts
    import mujoco

    from lpds_ros.bench.suites.adroit_expert import EXPERTS, record

    expert = EXPERTS[name]
    return collect(
        partial(record, SETTINGS[name].environment, name),
        folder / "episodes",
        episodes or SETTINGS[name].episodes,
        first_seed=FIRST_SEED,
        # trajectories differ between versions of MuJoCo under equal actions
        identity={"task": name, "mujoco": mujoco.__version__} | expert.identity,
        jobs=jobs,
        on_progress=on_progress,
        should_stop=should_stop,
    )


def tasks() -> tuple[Task, ...]:
    return tuple(
        Task(
            suite="adroit",
            name=name,
            environment=s.environment,
            problem=Problem(name, s.observation_size, s.action_size, horizons=Horizons(1, s.chunk, s.chunk)),
            worlds=partial(worlds, s.environment, s.limit),
            **recorded("adroit", name, partial(produce, name)),
            prior=s.prior,
            budget=s.budget,
            limit=s.limit,
            reward_scale=0.1,
            learner={
                "gamma": 0.97,
                "tau": 0.01,
                "n_step": 5,
                "critic_width": 128,
                "actor_width": 128,
                "actor_noises": 2,
                "distill_states": 64,
                "warmup_decisions": 2500,
                "critic_warmup_updates": 1000,
                "updates_per_decision": 0.3,
            }
            | s.learner,
            envs=4,
            curve_points=5,
            curve_episodes=50,
            final_episodes=100,
        )
        for name, s in SETTINGS.items()
    )
