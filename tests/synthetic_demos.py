"""Small demonstrations without a simulator, for the tests of data and prior."""

import dataclasses
from pathlib import Path

import numpy as np
from observed import observation_row

from lpds_ros.contract import Contract, Horizons, load_contract
from lpds_ros.data.demos import Demonstration

LIFT = Path(__file__).resolve().parent.parent / "config" / "contracts" / "lift.yaml"


def small_contract(observed: int = 2, predicted: int = 4, executed: int = 3) -> Contract:
    """The lift contract with short horizons and T_o above one."""
    return dataclasses.replace(load_contract(LIFT), horizons=Horizons(observed, predicted, executed))


def synthetic_demos(contract: Contract, count: int = 4, ticks: int = 20, seed: int = 0) -> list[Demonstration]:
    """Straight reaches to random goals; lengths differ, the last one fails, the object's orientation never changes."""
    rng, demos = np.random.default_rng(seed), []
    for i in range(count):
        position, goal = np.array([0.4, 0.0, 0.3]), rng.uniform([0.4, -0.2, 0.0], [0.6, 0.2, 0.05])
        rows, actions = [], []
        for tick in range(ticks + i):
            rows.append(observation_row(contract, position, goal))
            step = np.clip((goal - position) / 0.05 + rng.normal(0.0, 0.1, 3), -1.0, 1.0)
            actions.append(np.append(step, 1.0 if tick > 2 * ticks // 3 else -1.0))
            position = position + 0.0125 * step
        success = i < count - 1
        rewards = np.zeros(len(rows))
        rewards[-1] = float(success)
        final = observation_row(contract, position, goal, width_m=0.04)
        demos.append(
            Demonstration(rows, actions, rewards, success, seed=100 + i, operator="test", final_observation=final)
        )
    return demos
