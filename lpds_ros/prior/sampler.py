"""Noise to action: the training targets of diffusion and flow, and the deterministic samplers that invert them.

Diffusion: squared-cosine schedule (Nichol and Dhariwal 2021), DDIM with eta = 0 (Song et al. 2021). The time steps
visited start at the LAST one trained ("trailing" spacing, Lin et al. 2024): the first evaluation is fed pure noise and
must have been trained on it. "Leading" spacing, common in public recipes, starts earlier.
Flow: straight paths x = (1 - t) noise + t action.
Rows that are given (inpainting, as real-time chunking asks for: Black et al. 2025): in every evaluation they take the place of
the network's estimate of them, so that the noisy chunk holds them at each level with their own noise.
"""

import math

import numpy as np
import torch
from torch import nn

from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.dataset import Normaliser
from lpds_ros.prior.network import Denoiser


def signal_levels(train_steps: int) -> np.ndarray:
    """float64 [train_steps]: the share of signal power left at each training step, alpha-bar, squared-cosine."""
    cosine = np.cos((np.arange(train_steps + 1) / train_steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.cumprod(1.0 - np.minimum(1.0 - cosine[1:] / cosine[:-1], 0.999))


def time_steps(train_steps: int, steps: int) -> np.ndarray:
    """int [steps], falling: the training steps DDIM visits. The first is always train_steps - 1."""
    visited = np.round(np.arange(train_steps, 0, -train_steps / steps))[:steps].astype(int) - 1
    if visited[0] != train_steps - 1 or len(np.unique(visited)) != steps or visited[-1] < 0:
        raise AssertionError(f"DDIM time steps {visited} must fall from {train_steps - 1} and differ")
    return visited


def ddim_coefficients(train_steps: int, steps: int, prediction: str) -> np.ndarray:
    """float64 [steps, 4]: clean = clip(c0 x + c1 out); x' = c2 x + c3 clean. The last step lands on `clean` itself."""
    levels, visited = signal_levels(train_steps), time_steps(train_steps, steps)
    now, after = levels[visited], np.append(levels[visited[1:]], 1.0)
    if prediction == "noise":
        c0, c1 = 1.0 / np.sqrt(now), -np.sqrt(1.0 - now) / np.sqrt(now)
    else:
        c0, c1 = np.zeros_like(now), np.ones_like(now)
    c2 = np.sqrt(1.0 - after) / np.sqrt(1.0 - now)
    return np.stack([c0, c1, c2, np.sqrt(after) - c2 * np.sqrt(now)], axis=1)


def network_times(config: PriorConfig) -> np.ndarray:
    """float64 [evaluations]: the time, in [0, 1], the network is told at each evaluation of the sampler."""
    if config.kind == "diffusion":
        return time_steps(config.train_steps, config.steps) / config.train_steps
    return (
        np.arange(config.steps) / config.steps
    )  # Euler: start of each interval; midpoint: start and middle of half as many


class Decoder(nn.Module):
    """The frozen policy: observation [B, T_o*d_o], noise [B, T_p, d_a] -> action [B, T_p, d_a], contract units.

    prefix [B, T_p, d_a], weight [B, T_p] in [0, 1]: rows that are given, in contract units, and how much each counts: 1, it comes
    out as it is and the others go on from it; 0, it is not looked at. None: no row is given.
    Normalisation, the sampler unrolled over its K evaluations, and the bounds of the training actions. What time gives the
    network is a constant here; the condition of all evaluations is computed once a chunk, before the first.
    """

    def __init__(self, network: Denoiser, normaliser: Normaliser, config: PriorConfig, noise_shape: tuple[int, int]):
        super().__init__()
        self.network, self.noise_shape = network, tuple(noise_shape)
        self.kind, self.solver, self.steps = config.kind, config.solver, config.steps
        for name in ("state_shift", "state_scale", "action_shift", "action_scale", "action_low", "action_high"):
            self.register_buffer(name, torch.from_numpy(getattr(normaliser, name)))
        with torch.no_grad():
            bias = network.time_bias(torch.tensor(network_times(config), dtype=torch.float32))
        self.register_buffer("time_bias", bias)
        if self.kind == "diffusion":
            self.coefficients = ddim_coefficients(config.train_steps, config.steps, config.prediction).tolist()

    def condition(self, observation: torch.Tensor) -> torch.Tensor:
        """What each of the K evaluations is told beside x: float32 [K, B, C]."""
        state = self.network.from_state(self.normalised(observation))
        return self.network.modulation(state + self.time_bias[:, None])

    def forward(self, observation, noise, prefix=None, weight=None):
        integrate = self._ddim if self.kind == "diffusion" else self._flow
        given = None if prefix is None else self._given(noise, prefix, weight)
        return self.bounded(integrate(noise.flatten(1), self.condition(observation), given))

    def _given(self, noise, prefix, weight):
        """(share of the network's estimate that stays, what is added to it), each [B, T_p*d_a] or one that broadcasts."""
        known = (prefix - self.action_shift) / self.action_scale
        if self.kind == "flow":
            known = known - noise  # the velocity of its straight path
        weight = weight.unsqueeze(2).expand_as(known).flatten(1)
        return 1.0 - weight, weight * known.flatten(1)

    def normalised(self, observation: torch.Tensor) -> torch.Tensor:
        """[..., T_o*d_o] in contract units to what the network is told."""
        return (observation - self.state_shift) / self.state_scale

    def bounded(self, x: torch.Tensor) -> torch.Tensor:
        """The network's chunk [B, T_p*d_a] to actions [B, T_p, d_a] in contract units, within those of the demonstrations."""
        action = x.unflatten(1, self.noise_shape) * self.action_scale + self.action_shift
        return torch.clamp(action, self.action_low, self.action_high)

    def _ddim(self, x, condition, given):
        for k, (c0, c1, c2, c3) in enumerate(self.coefficients):
            out = self.network.step(x, condition[k])
            clean = torch.clamp(c1 * out if c0 == 0.0 else c0 * x + c1 * out, -1.0, 1.0)
            clean = completed(clean, given)
            x = clean if k == self.steps - 1 else c2 * x + c3 * clean
        return x

    def _flow(self, x, condition, given):
        step = 1.0 / self.steps

        def velocity(x, k):
            return completed(self.network.step(x, condition[k]), given)

        if self.solver == "euler":
            for k in range(self.steps):
                x = x + step * velocity(x, k)
        else:
            for k in range(0, self.steps, 2):
                middle = x + step * velocity(x, k)
                x = x + 2.0 * step * velocity(middle, k + 1)
        return torch.clamp(x, -1.0, 1.0)


def completed(estimate: torch.Tensor, given) -> torch.Tensor:
    """The network's estimate of the clean chunk, or of the velocity, with what is given (Decoder._given) in its place."""
    return estimate if given is None else given[0] * estimate + given[1]


class Objective:
    """What the network is trained to predict, for both kinds."""

    def __init__(self, config: PriorConfig):
        self.config = config
        if config.kind == "diffusion":
            self.levels = torch.tensor(signal_levels(config.train_steps), dtype=torch.float32)

    def sample_times(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """float32 [count] in [0, 1): uniform over the training steps, or over the flow's time."""
        uniform = torch.rand(count, generator=generator)
        if self.config.kind == "flow":
            return uniform
        return torch.floor(uniform * self.config.train_steps) / self.config.train_steps

    def loss(self, network: Denoiser, state, action, noise, time) -> torch.Tensor:
        """Mean squared error; state [B, ds], action and noise [B, T_p*d_a], time [B], all normalised."""
        if self.config.kind == "flow":
            mixed, target = noise + time[:, None] * (action - noise), action - noise
        else:
            level = self.levels[torch.round(time * self.config.train_steps).long()][:, None]
            mixed = level.sqrt() * action + (1.0 - level).sqrt() * noise
            target = noise if self.config.prediction == "noise" else action
        return nn.functional.mse_loss(network(mixed, state, time), target)
