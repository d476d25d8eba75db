"""One episode of a scripted expert on robosuite, as a demonstration; `collect` records many of them."""

import functools
from collections.abc import Callable

import numpy as np

from lpds_ros.bench.robosuite_experts import EXPERTS
from lpds_ros.bench.robosuite_motion import Traits
from lpds_ros.bench.robosuite_worlds import SCENES, Simulation
from lpds_ros.data.demonstration import Demonstration


def record(name: str, traits: Traits, seed: int, should_stop: Callable[[], bool]) -> Demonstration | None:
    """The episode of `seed`; None when `should_stop` said yes. Module level: worker processes are sent it."""
    return attempt(simulation(name), name, traits, seed, should_stop)


@functools.cache
def simulation(name: str) -> Simulation:
    """The simulation of a task in this process: building one takes as long as an episode."""
    return Simulation(SCENES[name])


def attempt(
    simulation, name: str, traits: Traits, seed: int, should_stop: Callable[[], bool] = lambda: False
) -> Demonstration | None:
    """One attempt of the expert with `traits`, up to success or the time limit. Its actions are those it intended."""
    expert = EXPERTS[name](np.random.default_rng([seed, 1]), traits)
    observation, solved, observations, actions = simulation.reset(seed), False, [], []
    while not solved and len(actions) < SCENES[name].limit:
        if should_stop():
            return None
        observations.append(observation)
        actions.append(expert.act(observation))
        observation, solved = simulation.step(expert.executed(actions[-1]))
    rewards = np.zeros(len(actions))
    rewards[-1] = float(solved)
    return Demonstration(
        np.array(observations), np.array(actions), rewards, solved, seed, "scripted", final_observation=observation
    )
