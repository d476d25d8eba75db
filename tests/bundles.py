"""A bundle for tests, made by the project's own training and export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from observed import observation_row

from lpds_ros.contract import load_contract
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.prior.bundle import Bundle
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.export import export
from lpds_ros.prior.train import train
from lpds_ros.resources import resource


def make_tiny_bundle(folder: Path, updates: int = 30, executed: int = 8, delay: int = 0) -> Bundle:
    """Train a small denoiser on random walks of the lift contract and export it to `folder`/tiny."""
    contract = load_contract(resource("config/contracts/lift.yaml"))
    contract = replace(contract, horizons=replace(contract.horizons, executed=executed))
    rng = np.random.default_rng(0)
    demos = [_random_walk(contract, rng, seed) for seed in range(6)]
    config = PriorConfig(
        width=32,
        blocks=1,
        updates=updates,
        batch=32,
        evaluate_every=updates,
        checkpoint_every=updates,
        warmup_updates=5,
    )
    run = train(demos, contract, folder / "run", config)
    return export(run, folder / "tiny", name="tiny", delay=delay)


def _random_walk(contract, rng, seed: int) -> Demonstration:
    ticks = 40
    actions = np.clip(rng.normal(0.0, 0.5, (ticks, contract.action.size)), -1, 1).astype(np.float32)
    steps = np.cumsum(actions[:, :3], axis=0) * contract.action.translation_scale_m
    hand = np.array([0.5, 0.0, 0.3]) + np.concatenate([np.zeros((1, 3)), steps[:-1]])
    thing = rng.uniform([0.4, -0.1, 0.02], [0.6, 0.1, 0.03])
    observations = np.array([observation_row(contract, position, thing) for position in hand], np.float32)
    rewards = np.zeros(ticks, np.float32)
    rewards[-1] = 1.0
    return Demonstration(observations, actions, rewards, success=True, seed=seed, operator="random walk")
