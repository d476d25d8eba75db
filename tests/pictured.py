"""Small demonstrations with pictures: a bright square where the thing is, seen by two cameras of few pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, contract_directory, load_contract
from lpds_ros.data.demos import Demonstration
from lpds_ros.prior.bundle import Bundle
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.export import export
from lpds_ros.prior.train import train

SIDE = 16
SMALL = PriorConfig(
    width=16,
    blocks=1,
    updates=4,
    batch=16,
    evaluate_every=4,
    checkpoint_every=4,
    warmup_updates=1,
    encoder_channels=(8, 8),
    shift_px=2,
)


def small_contract(observed: int = 1, size: int = 4) -> Contract:
    """lift_images with pictures of 16 x 16 pixels and `size` features of each."""
    contract = load_contract(contract_directory() / "lift_images.yaml")
    streams = {n: replace(s, width_px=SIDE, height_px=SIDE) if s.is_image else s for n, s in contract.streams.items()}
    observation = tuple(replace(f, size=size) if f.stream in contract.images else f for f in contract.observation)
    horizons = replace(contract.horizons, observed=observed)
    return replace(contract, streams=streams, observation=observation, horizons=horizons)


def pictured_demos(contract: Contract, count: int = 4, ticks: int = 12, seed: int = 0) -> list[Demonstration]:
    """Reaches to a thing that only the pictures show; lengths differ."""
    rng, demos = np.random.default_rng(seed), []
    for i in range(count):
        length, thing = ticks + i, rng.uniform(0.2, 0.8, 2)
        hand = np.linspace([0.5, 0.5, 0.3], [*thing, 0.0], length)
        observations = np.zeros((length, contract.observation_size))
        observations[:, :3], observations[:, 3] = hand, 0.08
        actions = np.zeros((length, contract.action_size))
        actions[:, :3] = (thing[0] - 0.5, thing[1] - 0.5, -0.3)
        pictures = np.full((length, SIDE, SIDE, 3), 40, np.uint8) + rng.integers(0, 9, (length, SIDE, SIDE, 3), np.uint8)
        row, column = (thing * (SIDE - 4)).astype(int)
        pictures[:, row : row + 4, column : column + 4] = 220
        rewards = np.zeros(length)
        rewards[-1] = 1.0
        images = {"front": pictures, "wrist": pictures[:, ::-1].copy()}
        demos.append(Demonstration(observations, actions, rewards, True, seed=i, operator="test", images=images))
    return demos


def make_pictured_bundle(folder: Path) -> Bundle:
    """A prior trained on them for a moment, exported to `folder`/pictured; the run it came from is `folder`/run."""
    contract = small_contract()
    return export(train(pictured_demos(contract), contract, folder / "run", SMALL), folder / "pictured")
