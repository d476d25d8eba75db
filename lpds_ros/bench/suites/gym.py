"""HalfCheetah, Hopper and Walker2d of Gymnasium (v5). Demonstrations: experts of several strengths, trained here.

Linear experts found by ARS; it does not get Walker2d to walk, so that one's are PPO's. Mixing strengths leaves the prior
headroom: its chunks can be those of a good expert or of a middling one.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from lpds_ros.bench.ars import ArsConfig, Search, act, search
from lpds_ros.bench.demonstrations import FIRST_SEED, recorded
from lpds_ros.bench.ppo_expert import PpoConfig, snapshots
from lpds_ros.bench.task import BenchError, Task
from lpds_ros.bench.worlds import GymWorlds
from lpds_ros.contract import Horizons
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

Policy = Callable[[np.ndarray], np.ndarray]  # observation [d_o] → action [d_a] in ±1
LIMIT = 1000
EPISODES = 40
ACTION_NOISE = 0.1

# Values of the ARS paper's table for V2-t.
SEARCHES = {
    "HalfCheetah": ArsConfig("HalfCheetah-v5", 32, 4, 0.02, 0.03, 100),
    "Hopper": ArsConfig("Hopper-v5", 8, 4, 0.01, 0.025, 300, survival_bonus=1.0),
}
TRAININGS = {"Walker2d": PpoConfig("Walker2d-v5")}
# Experts used: those whose return lies between these shares of the best one's.
STRENGTHS = {"HalfCheetah": (0.2, 0.7), "Hopper": (0.2, 0.7), "Walker2d": (0.2, 0.8)}
SIZES = {"HalfCheetah": (17, 6), "Hopper": (11, 3), "Walker2d": (17, 6)}
# Random and expert return of the D4RL scores.
REFERENCES = {"HalfCheetah": (-280.2, 12135.0), "Hopper": (-20.3, 3234.3), "Walker2d": (1.6, 4592.3)}
OWN = {"Walker2d": {"action_magnitude": 2.5}}


def make_env(environment: str):
    """One environment with its time limit of 1000 steps."""
    import gymnasium

    return gymnasium.make(environment)


def worlds(environment: str, count: int) -> GymWorlds:
    return GymWorlds(partial(make_env, environment), count)


def produce(name: str, folder: Path, *, jobs: int, episodes: int | None, on_progress, should_stop):
    """Train experts in `folder` and play their episodes; None when stopped before (the same call goes on)."""
    policies = experts(name, folder, jobs, on_progress, should_stop)
    return policies and record(f"{name}-v5", choose(policies, STRENGTHS[name]), episodes or EPISODES)


def experts(name: str, folder: Path, jobs: int, on_progress, should_stop) -> list[tuple[float, Policy]] | None:
    """(return, policy) in the order in which training found them; None when stopped before the end."""
    if name in TRAININGS:
        config = TRAININGS[name]
        found = snapshots(
            config,
            folder,
            on_snapshot=lambda steps, one: on_progress(
                f"{steps} of {config.steps} steps, return {one.value:.0f}"
            ),
            should_stop=should_stop,
        )
        return found and [(one.value, one) for one in found]
    config = SEARCHES[name]

    def told(state: Search):
        if state.history and state.history[-1][0] == state.iteration:
            on_progress(f"iteration {state.iteration} of {config.iterations}, return {state.history[-1][1]:.0f}")

    state = search(config, folder, jobs=jobs, on_iteration=told, should_stop=should_stop)
    if state.iteration < config.iterations:
        return None
    return [(value, partial(act, policy)) for policy, (_, value) in zip(state.policies, state.history)]


def choose(policies: list[tuple[float, Policy]], strengths: tuple[float, float]) -> list[Policy]:
    """The policies whose return lies within `strengths` of the best one's. Raises BenchError when there are none."""
    best = max((value for value, _ in policies), default=0.0)
    low, high = (share * best for share in strengths)
    chosen = [policy for value, policy in policies if best > 0.0 and low <= value <= high]
    if not chosen:
        raise BenchError(
            f"training found no policy of a return between {low:.0f} and {high:.0f}; give it another seed or more iterations"
        )
    return chosen


def record(environment: str, policies: list[Policy], episodes: int) -> list[Demonstration]:
    """Episodes of the policies in turn, from the strongest (last found) on, with a little action noise."""
    env, demos = make_env(environment), []
    action_size = env.action_space.shape[0]
    spread = np.linspace(len(policies) - 1, 0, min(episodes, len(policies))).round().astype(int)
    for i in range(episodes):
        rng, policy = np.random.default_rng([7, i]), policies[spread[i % len(spread)]]
        observation, over, observations, actions, rewards = env.reset(seed=FIRST_SEED + i)[0], False, [], [], []
        while not over:
            action = np.clip(policy(observation) + rng.normal(0.0, ACTION_NOISE, action_size), -1.0, 1.0)
            observations.append(observation)
            actions.append(action)
            observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
            rewards.append(reward)
            over = terminated or truncated
        demos.append(
            Demonstration(
                np.array(observations),
                np.array(actions),
                np.array(rewards),
                False,
                i,
                "expert",
                final_observation=observation,
            )
        )
    env.close()
    return demos


def tasks() -> tuple[Task, ...]:
    return tuple(
        Task(
            suite="gym",
            name=name,
            environment=f"{name}-v5",
            problem=Problem(name, *SIZES[name], horizons=Horizons(1, 4, 4)),
            worlds=partial(worlds, f"{name}-v5"),
            **recorded("gym", name, partial(produce, name)),
            prior=PriorConfig(kind="diffusion", width=128, blocks=3, updates=8000, checkpoint_every=2000),
            budget=120_000,
            limit=LIMIT,
            measure="return",
            reference=REFERENCES[name],
            reward_scale=0.1,
            learner={
                # A short horizon buys speed with falls: with γ = 0.95 Hopper's value rose and its return fell below the prior's.
                "gamma": 0.99,
                "tau": 0.02,
                # α is in the unit of Q, and values here are some sixty times those of a task that pays 1 for success.
                "alpha_learning_rate": 0.2,
                "alpha_proportional": 3.0,
                "critic_width": 128,
                "actor_width": 128,
                "actor_noises": 2,
                "distill_states": 64,
                "batch_size": 256,
                "warmup_decisions": 5000,
                "critic_warmup_updates": 5000,
                "updates_per_decision": 0.3,
            }
            | OWN.get(name, {}),
            envs=4,
            curve_points=5,
            curve_episodes=10,
            final_episodes=30,
        )
        for name in SIZES
    )
