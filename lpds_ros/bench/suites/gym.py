"""HalfCheetah, Hopper and Walker2d of Gymnasium (v5). Demonstrations: linear experts of several strengths, found here by ARS.

Mixing strengths leaves the prior headroom: its chunks can be those of the best expert or of a middling one.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from lpds_ros.bench.ars import ArsConfig, Search, act, search
from lpds_ros.bench.priors import read_demonstrations, save_demonstrations
from lpds_ros.bench.task import BenchError, Task
from lpds_ros.bench.worlds import GymWorlds
from lpds_ros.contract import Horizons
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.config import PriorConfig
from lpds_ros.problem import Problem

LIMIT = 1000
FILE = "demos.npz"
EPISODES = 40
STRENGTHS = (0.5, 1.0)  # experts used: those whose return lies between these shares of the best one's
ACTION_NOISE = 0.1

# Searches: the values of the ARS paper's table for V2-t. References: random and expert return of the D4RL scores.
SEARCHES = {
    "HalfCheetah": ArsConfig("HalfCheetah-v5", 32, 4, 0.02, 0.03, 100),
    "Hopper": ArsConfig("Hopper-v5", 8, 4, 0.01, 0.025, 300, survival_bonus=1.0),
    "Walker2d": ArsConfig("Walker2d-v5", 40, 30, 0.03, 0.025, 200, survival_bonus=1.0),
}
SIZES = {"HalfCheetah": (17, 6), "Hopper": (11, 3), "Walker2d": (17, 6)}
REFERENCES = {"HalfCheetah": (-280.2, 12135.0), "Hopper": (-20.3, 3234.3), "Walker2d": (1.6, 4592.3)}
OWN = {"Walker2d": {"action_magnitude": 2.5}, "Hopper": {"delta": 0.5}}


def make_env(environment: str):
    """One environment with its time limit of 1000 steps."""
    import gymnasium

    return gymnasium.make(environment)


def worlds(environment: str, count: int) -> GymWorlds:
    return GymWorlds(partial(make_env, environment), count)


def read(name: str, folder: Path) -> list[Demonstration]:
    return read_demonstrations(folder / FILE, f"lpds bench demos --suite gym --task {name}")


def make(
    name: str,
    folder: Path,
    *,
    jobs: int,
    episodes: int | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Search an expert and record episodes into `folder`; False when stopped before (the same call goes on)."""
    config = SEARCHES[name]

    def told(state: Search):
        if state.history and state.history[-1][0] == state.iteration:
            on_progress(f"{name}: iteration {state.iteration} of {config.iterations}, return {state.history[-1][1]:.0f}")

    state = search(config, folder, jobs=jobs, on_iteration=told, should_stop=should_stop)
    if state.iteration < config.iterations:
        return False
    demos = record(config.environment, choose(state), episodes or EPISODES)
    save_demonstrations(folder / FILE, demos)
    returns = [float(demo.rewards.sum()) for demo in demos]
    on_progress(f"{name}: {len(demos)} episodes, return {np.mean(returns):.0f} ({min(returns):.0f} to {max(returns):.0f})")
    return True


def choose(state: Search) -> list[np.ndarray]:
    """The policies whose return lies within STRENGTHS of the best one's. Raises BenchError when nothing was learned."""
    best = max((value for _, value in state.history), default=0.0)
    if best <= 0.0:
        raise BenchError("the search found no policy with a positive return; give it another seed or more iterations")
    low, high = (share * best for share in STRENGTHS)
    return [policy for policy, (_, value) in zip(state.policies, state.history) if low <= value <= high]


def record(environment: str, policies: list[np.ndarray], episodes: int) -> list[Demonstration]:
    """Episodes of the policies in turn, from the strongest (last found) on, with a little action noise."""
    env, demos = make_env(environment), []
    spread = np.linspace(len(policies) - 1, 0, min(episodes, len(policies))).round().astype(int)
    for i in range(episodes):
        rng, policy = np.random.default_rng([7, i]), policies[spread[i % len(spread)]]
        observation, over, observations, actions, rewards = env.reset(seed=20_000 + i)[0], False, [], [], []
        while not over:
            action = np.clip(act(policy, observation) + rng.normal(0.0, ACTION_NOISE, len(policy)), -1.0, 1.0)
            observations.append(observation)
            actions.append(action)
            observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
            rewards.append(reward)
            over = terminated or truncated
        demos.append(
            Demonstration(
                np.array(observations), np.array(actions), np.array(rewards), False, i, "ars", final_observation=observation
            )
        )
    env.close()
    return demos


def tasks() -> tuple[Task, ...]:
    return tuple(
        Task(
            suite="gym",
            name=name,
            problem=Problem(name, *SIZES[name], horizons=Horizons(1, 4, 4)),
            worlds=partial(worlds, SEARCHES[name].environment),
            demonstrations=partial(read, name),
            make_demonstrations=partial(make, name),
            prior=PriorConfig(kind="diffusion", width=256, blocks=3, updates=20_000, checkpoint_every=2000),
            budget=150_000,
            limit=LIMIT,
            measure="return",
            reference=REFERENCES[name],
            reward_scale=0.1,
            learner={
                "gamma": 0.99,
                "tau": 0.005,
                "critic_width": 256,
                "actor_width": 256,
                "warmup_decisions": 4000,
                "updates_per_decision": 2.0,
            }
            | OWN.get(name, {}),
            envs=4,
            curve_points=8,
            curve_episodes=8,
            final_episodes=30,
        )
        for name in SEARCHES
    )
