"""Demonstrations to training arrays: states, action chunks and their normalisation. numpy only."""

from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.data.demos import check_demo, stacked_observations
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.problem import Problem

CONSTANT = 1e-6


@dataclass(frozen=True)
class Normaliser:
    """Affine maps between contract units and the network's.

    state: (s - state_shift) / state_scale, float32 [T_o*d_o]. action: action_shift + action_scale * x, float32 [d_a],
    where x in [-1, 1]; action_low and action_high [d_a] bound what the demonstrations held, and every decoded action.
    """

    state_shift: np.ndarray
    state_scale: np.ndarray
    action_shift: np.ndarray
    action_scale: np.ndarray
    action_low: np.ndarray
    action_high: np.ndarray

    def normalise_state(self, state: np.ndarray) -> np.ndarray:
        return ((state - self.state_shift) / self.state_scale).astype(np.float32)

    def normalise_action(self, action: np.ndarray) -> np.ndarray:
        return np.clip((action - self.action_shift) / self.action_scale, -1.0, 1.0).astype(np.float32)


def fit_normaliser(demonstrations, contract: Contract | Problem, config: PriorConfig) -> Normaliser:
    """Mid-point and half-range of each dimension; one that never moves gets scale 1, so nothing divides by zero."""
    observations = np.concatenate([demo.observations for demo in demonstrations])
    actions = np.concatenate([demo.actions for demo in demonstrations])
    shift, scale = _centre(observations.min(axis=0), observations.max(axis=0), config.observation_min_scale)
    low, high = actions.min(axis=0), actions.max(axis=0)
    ends = (low, high)
    if config.action_normalisation == "quantile":
        ends = np.quantile(actions, [config.quantile, 1.0 - config.quantile], axis=0)
    action_shift, action_scale = _centre(*ends, CONSTANT)
    observed = contract.horizons.observed
    arrays = (np.tile(shift, observed), np.tile(scale, observed), action_shift, action_scale, low, high)
    return Normaliser(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def _centre(low, high, least):
    half = (high - low) / 2.0
    return (low + high) / 2.0, np.where(half < CONSTANT, 1.0, np.maximum(half, least))


def chunks(demonstrations, contract: Contract | Problem) -> tuple[np.ndarray, np.ndarray]:
    """Every tick as a start: states float32 [N, T_o*d_o], chunks float32 [N, T_p, d_a] in contract units.

    A chunk that runs past the end of its episode repeats the last action.
    """
    horizons, states, actions = contract.horizons, [], []
    for demo in demonstrations:
        states.append(stacked_observations(demo.observations, horizons.observed))
        rows = np.arange(len(demo))[:, None] + np.arange(horizons.predicted)[None]
        actions.append(demo.actions[np.minimum(rows, len(demo) - 1)])
    return np.concatenate(states), np.concatenate(actions)


def split(demonstrations, config: PriorConfig):
    """(training, held out): whole demonstrations, since neighbouring ticks of one episode know each other."""
    count = len(demonstrations)
    held = max(1, round(config.held_out_share * count)) if config.held_out_share > 0 and count > 1 else 0
    order = np.random.default_rng(config.seed).permutation(count)
    return [demonstrations[i] for i in sorted(order[held:])], [demonstrations[i] for i in sorted(order[:held])]


def check_demos(demonstrations, contract: Contract | Problem):
    """Raise PriorError or DemoError unless there is something to learn from and all of it follows the contract."""
    if not demonstrations:
        raise PriorError("no demonstration to learn from: collect some with `lpds demos collect`")
    for i, demo in enumerate(demonstrations):
        check_demo(demo, contract, f"demonstration {i}")
