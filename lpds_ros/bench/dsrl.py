"""DSRL (Wagenmaker et al. 2025, arXiv 2506.15799), the baseline: soft actor-critic over the prior's noise.

A policy π(w | s) chooses the noise itself, squashed to ±`action_magnitude`. Three variants:

- noise-aliased, as published: Q^A(s, a) is learned with the soft backup, r + γ (min Q̄^A(s', Φ(s', w')) − α log π(w' | s'));
  Q^W(s, w) regresses on Q^A(s, Φ(s, w)) at base noise; the policy and the temperature α are those of SAC on Q^W.
- the same with a hard backup (no entropy in the target) and a small initial temperature, which is stronger;
- plain SAC with w as its action, Q^W(s, w) learned from the replay.

Values follow the public recipes (ajwagen/dsrl): target entropy 0, α from 1, ten steps of Q^W for twenty of Q^A, warm-up by
the prior, evaluation with the stochastic policy. Not reproduced: there a time-out ends the return, the magnitude is lost in
the noise-aliased form (its policy stays within the environment's action bounds), and the warm-up's steps are counted without
the length of their chunks. Not theirs: the networks are those of our own learner, for equal size and speed.
"""

import copy
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lpds_ros.learning.base import ReplayLearner
from lpds_ros.learning.networks import EnsembleMLP, relu_layers

LOG_STD = (-20.0, 2.0)


@dataclass(frozen=True)
class DsrlConfig:
    """Hyperparameters of the three variants. Fields named as LearnerConfig's mean the same."""

    variant: Literal["noise_aliased", "sac"] = "noise_aliased"
    soft_backup: bool = True
    alpha_init: float = 1.0  # temperature
    target_entropy: float = 0.0  # of π in units of the squashed action, w / action_magnitude
    action_magnitude: float = 1.5  # 2.5 for Walker2d in the public recipe
    distill_share: float = 0.5  # steps of Q^W for one of Q^A
    critics: int = 2
    critic_width: int = 128
    critic_layers: int = 3
    actor_width: int = 128
    actor_layers: int = 3
    gamma: float = 0.99
    tau: float = 0.005
    n_step: int = 1
    reward_offset: float = 0.0
    learning_rate: float = 3e-4
    batch_size: int = 256
    updates_per_decision: float = 2.5  # 20 for 2 vector steps of 4 environments
    warmup_decisions: int = 8000
    critic_warmup_updates: int = 0
    timeout_terminates: bool = False  # true: as the public code does
    replay_capacity: int = 200_000
    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False

    def __post_init__(self):
        if not (0.0 < self.distill_share <= 1.0 and self.action_magnitude > 0 and self.alpha_init > 0):
            raise ValueError("need distill_share in (0, 1], action_magnitude and alpha_init above 0")
        if not (0.0 <= self.gamma <= 1.0 and 0.0 < self.tau <= 1.0 and self.learning_rate > 0 and self.batch_size > 0):
            raise ValueError("need gamma in [0, 1], tau in (0, 1], learning_rate and batch_size above 0")
        if self.n_step < 1:
            raise ValueError(f"n_step must be at least 1, got {self.n_step}")


class NoisePolicy(nn.Module):
    """Squashed Gaussian over u = w / magnitude in (−1, 1)."""

    def __init__(self, state_size: int, noise_size: int, width: int, layers: int, half: bool = False):
        super().__init__()
        self.half = half
        sizes = [state_size] + [width] * layers
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))
        self.head = nn.Linear(width, 2 * noise_size)

    def forward(self, state: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        """state: normalised [B, ds]; draw: standard normal [B, n] → (u [B, n], log π(u | s) [B])."""
        mean, log_std = self.head(relu_layers(self.hidden, state, self.half)).chunk(2, -1)
        log_std = log_std.clamp(*LOG_STD)
        before = mean + log_std.exp() * draw
        log_prob = -0.5 * draw.square() - log_std - 0.5 * math.log(2 * math.pi)
        # log of the derivative of tanh, in the form that does not cancel for large values
        squashing = 2.0 * (math.log(2.0) - before - F.softplus(-2.0 * before))
        return before.tanh(), (log_prob - squashing).sum(-1)


class Temperature(nn.Module):
    """log α, learned."""

    def __init__(self, initial: float):
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(initial)))


class DsrlLearner(ReplayLearner):
    """Owns networks, replay and temperature; `update` makes one gradient step of each (Q^W: `distill_share` of them).

    The replay holds executed chunks [T_a·d_a], or the noise [T_p·d_a] for the variant "sac".
    """

    NETWORKS = ("critic", "target_critic", "noise_critic", "actor", "temperature")
    POLICY = ("actor",)

    def __init__(self, *arguments, config: DsrlConfig, **named):
        super().__init__(*arguments, config=config, **named)
        self.alpha = config.alpha_init

    def _build(self):
        c, state = self.config, self.contract.state_size
        half, critic = c.precision == "bfloat16", (c.critic_width, c.critic_layers)
        self.critic = EnsembleMLP(c.critics, state + self.action_size, *critic, half)
        self.noise_critic = EnsembleMLP(c.critics, state + self.noise_size, *critic, half)
        self.actor = NoisePolicy(state, self.noise_size, c.actor_width, c.actor_layers, half)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.temperature = Temperature(c.alpha_init)
        self.optimizers = {
            name: torch.optim.Adam(getattr(self, name).parameters(), lr=c.learning_rate, fused=True)
            for name in ("critic", "noise_critic", "actor", "temperature")
        }

    @property
    def aliased(self) -> bool:
        """Whether the critic is one of actions."""
        return self.config.variant == "noise_aliased"

    @property
    def action_size(self) -> int:
        return super().action_size if self.aliased else self.noise_size

    @torch.no_grad()
    def choose(self, state: np.ndarray, draw: np.ndarray) -> np.ndarray:
        """w of the stochastic policy: state float32 [B, ds] (raw), draw standard normal [B, T_p, d_a] → [B, T_p, d_a]."""
        unit, _ = self.actor(self._normalise(torch.from_numpy(state)), torch.from_numpy(draw.reshape(len(draw), -1)))
        return (self.config.action_magnitude * unit).numpy().reshape(draw.shape)

    def update(self) -> dict[str, float]:
        """One step of Q^A (or Q^W of the variant "sac"), of the policy and of the temperature. Returns its metrics."""
        c, batch = self.config, self._sample(self.replay, self.config.batch_size)
        state, next_state = self._normalise(batch.state), self._normalise(batch.next_state)
        draw = self._normal(len(state))
        metrics = self._update_critic(batch, state, next_state)
        loss, log_prob = self._descend("actor", self._actor_loss, state, draw, torch.tensor(self.alpha))
        metrics |= self._update_temperature(log_prob.detach())
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target_critic.parameters()), list(self.critic.parameters()), c.tau)
        if self.aliased and self._distils:
            metrics |= self._update_noise_critic(batch.state, state)
        self.updates += 1
        return metrics | {"actor/loss": loss.item(), "policy/entropy": -log_prob.mean().item()}

    def _actor_loss(self, state: Tensor, draw: Tensor, alpha: Tensor) -> tuple[Tensor, ...]:
        unit, log_prob = self.actor(state, draw)
        judge = self.noise_critic if self.aliased else self.critic
        value = judge(torch.cat([state, self.config.action_magnitude * unit], -1)).min(0).values
        return (alpha * log_prob - value).mean(), log_prob

    def _update_temperature(self, log_prob: Tensor) -> dict[str, float]:
        self._descend("temperature", self._temperature_loss, log_prob)
        self.alpha = self.temperature.log_alpha.exp().item()
        return {"dual/alpha": self.alpha}

    def _temperature_loss(self, log_prob: Tensor) -> tuple[Tensor]:
        return (-(self.temperature.log_alpha * (log_prob + self.config.target_entropy)).mean(),)

    def _update_critic(self, batch, state: Tensor, next_state: Tensor) -> dict[str, float]:
        c = self.config
        with torch.no_grad():
            unit, log_prob = self.actor(next_state, self._normal(len(state)))
            latent = c.action_magnitude * unit
            action = self._act(batch.next_state, latent) if self.aliased else latent
            value = self.target_critic(torch.cat([next_state, action], -1)).min(0).values
            if c.soft_backup:
                value = value - self.alpha * log_prob
            target = batch.reward + c.gamma * batch.bootstrap * value
        loss, mean = self._descend("critic", self._critic_loss, state, batch.action, target)
        return {"critic/loss": loss.item(), "critic/q_mean": mean.item()}

    def _critic_loss(self, state: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        values = self.critic(torch.cat([state, action], -1))
        return 0.5 * (values - target).square().mean() * values.shape[0], values.mean()

    def _update_noise_critic(self, raw_state: Tensor, state: Tensor) -> dict[str, float]:
        with torch.no_grad():
            latent = self._normal(len(state))
            action = self._act(raw_state, latent)
        (loss,) = self._descend("noise_critic", self._noise_critic_loss, state, latent, action)
        return {"distill/loss": loss.item()}

    def _noise_critic_loss(self, state: Tensor, latent: Tensor, action: Tensor) -> tuple[Tensor]:
        with torch.no_grad():
            target = self.critic(torch.cat([state, action], -1))
        values = self.noise_critic(torch.cat([state, latent], -1))
        return (0.5 * (values - target).square().mean() * values.shape[0],)
