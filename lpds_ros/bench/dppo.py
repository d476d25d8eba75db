"""DPPO (Ren et al. 2024, "Diffusion Policy Policy Optimization", arXiv 2409.00588), the baseline that tunes weights.

PPO over the two-layer decision process whose inner steps are the denoising steps: the action of step k is x_{k+1}, its
likelihood is Gaussian (denoising.py), its advantage that of the environment's decision times γ_denoise^(steps still to come).
Values depend on the state alone; returns and advantages are those of decisions, one executed chunk each.

Follows the public code (irom-princeton/dppo) and its state-based recipes: η = 1, both least σ 0.1, likelihoods averaged over
dimensions, a clip that grows along the chain, advantages normalised in each minibatch, rewards divided by the running
deviation of the discounted return, first rollouts for the critic alone, evaluation by DDIM with η = 0. Not reproduced: there
the advantage runs on across a time-out into the next episode. Not theirs: rollouts of hundreds of decisions instead of tens
of thousands, as budgets here are smaller; the critic is that of our own learner; no early stop at a divergence of 1.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lpds_ros.bench.denoising import DenoisingPolicy
from lpds_ros.bench.returns import ReturnScale, advantages
from lpds_ros.learning.base import descend
from lpds_ros.learning.networks import EnsembleMLP
from lpds_ros.learning.replay import Replay, Transitions
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.sampler import Decoder
from lpds_ros.problem import Problem


@dataclass(frozen=True)
class DppoConfig:
    """Hyperparameters. Fields named as LearnerConfig's mean the same."""

    rollout_decisions: int = 512  # decisions learned from at once, rounded up to whole rows of environments
    epochs: int = 10  # over each rollout
    minibatches: int = 4  # of an epoch; what is drawn is pairs of a decision and a denoising step
    trained_steps: int = 0  # last denoising steps that are trained; 0: all
    min_sampling_std: float = 0.1  # least σ of a step while exploring, normalised action units
    min_logprob_std: float = 0.1  # least σ of its likelihood
    noise_limit: float = 3.0  # draws of the steps are clipped there
    gamma: float = 0.99  # of a decision
    gamma_denoise: float = 0.99  # of a denoising step; early steps count less
    gae_lambda: float = 0.95
    # Of the ratio of likelihoods averaged over dimensions. 0.1 throughout is the public recipe for Avoiding (8 dimensions),
    # 0.001 to 0.01 those for Gym and RoboMimic (12 to 28).
    clip: float = 0.1  # at the last step
    clip_first: float = 0.1  # at the first trained step
    clip_rate: float = 3.0  # of the exponential between the two
    actor_learning_rate: float = 1e-4
    critic_learning_rate: float = 1e-3
    critic_warmup_rollouts: int = 1  # first rollouts, for the critic alone
    critic_width: int = 128
    critic_layers: int = 3

    def __post_init__(self):
        positive = ("rollout_decisions", "epochs", "minibatches", "min_sampling_std", "min_logprob_std", "noise_limit", "clip")
        for name in (*positive, "clip_first", "clip_rate", "actor_learning_rate", "critic_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.trained_steps < 0 or self.critic_warmup_rollouts < 0:
            raise ValueError("trained_steps and critic_warmup_rollouts must not be negative")
        if self.minibatches > self.rollout_decisions:
            raise ValueError(f"minibatches must be at most rollout_decisions, got {self.minibatches}")
        for name in ("gamma", "gamma_denoise", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")


class Judged(nn.Module):
    """What is fixed while a rollout is learned from: log-likelihoods [R, K'] of its chains, advantages and targets [R]."""

    def __init__(self, rows: int, steps: int):
        super().__init__()
        self.register_buffer("log_prob", torch.zeros(rows, steps))
        self.register_buffer("advantage", torch.zeros(rows))
        self.register_buffer("target", torch.zeros(rows))


class DppoLearner:
    """Owns the policy, the critic and the last rollout; `update` makes one minibatch step of both networks.

    prior: the frozen decoder, and prior_config what it was trained with. envs: rows of each `extend`, one environment each. The
    replay holds chains [(K'+1)·T_p·d_a] as actions. Policy and data stand still while the other moves: updates are owed once
    a rollout is whole, and decisions that come before they are made are not learned from (the first after a resumption).
    """

    NETWORKS = ("tuned", "critic", "scale", "judged")
    POLICY = ("tuned",)

    def __init__(
        self,
        problem: Problem,
        prior: Decoder,
        prior_config: PriorConfig,
        *,
        prior_digest: str,
        envs: int,
        config: DppoConfig,
        seed: int,
    ):
        self.contract, self.config, self.prior_digest = problem, config, prior_digest
        self._seed, self._envs, c = seed, envs, config
        self.rng = np.random.default_rng(seed)
        self.policy = DenoisingPolicy(
            prior,
            prior_config,
            trained=c.trained_steps,
            executed=problem.horizons.executed,
            min_sampling_std=c.min_sampling_std,
            min_logprob_std=c.min_logprob_std,
            noise_limit=c.noise_limit,
        )
        self.tuned = self.policy.tuned
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.critic = EnsembleMLP(1, problem.state_size, c.critic_width, c.critic_layers)
        self.optimizers = {
            "policy": torch.optim.Adam(self.policy.parameters_trained(), lr=c.actor_learning_rate, fused=True),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=c.critic_learning_rate, fused=True),
        }
        self._rows, steps = envs * math.ceil(c.rollout_decisions / envs), self.policy.trained
        self._chain_shape = (steps + 1, math.prod(problem.noise_shape))
        self.replay = Replay(problem, self._rows, action_size=math.prod(self._chain_shape))
        self.scale, self.judged = ReturnScale(envs), Judged(self._rows, steps)
        grown = np.expm1(c.clip_rate * np.arange(steps) / max(1, steps - 1)) / np.expm1(c.clip_rate)
        share = grown if steps > 1 else np.ones(1)
        self._clip = torch.tensor(c.clip_first + (c.clip - c.clip_first) * share, dtype=torch.float32)
        self._discount = torch.tensor(c.gamma_denoise ** np.arange(steps)[::-1], dtype=torch.float32)
        self.alpha, self.updates, self.version, self.lineage = 0.0, 0, 0, ""

    def decode(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The chunk without chance: state float32 [B, d_o], noise [B, T_p, d_a] → [B, T_p, d_a]."""
        return self.policy.decode(torch.from_numpy(state), torch.from_numpy(noise)).numpy()

    def sample(self, state: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A chunk to explore with, [B, T_p, d_a], and its chain, flattened."""
        shape = (self.policy.prior.steps, len(state), self._chain_shape[1])
        draws = torch.from_numpy(self.rng.standard_normal(shape, np.float32))
        chunk, chain = self.policy.sample(torch.from_numpy(state), torch.from_numpy(noise), draws)
        return chunk.numpy(), chain.flatten(1).numpy()

    def extend(self, transitions: Transitions):
        """Store one decision of every environment, chains as actions. ValueError if it cannot be used."""
        t = transitions
        if len(t.reward) != self._envs:
            raise ValueError(f"{len(t.reward)} decisions, expected one of each of the {self._envs} environments")
        if self.owed:
            return
        self.replay.extend(t)
        self.scale.observe(t.reward, t.terminated | t.truncated, self.config.gamma)

    @property
    def _steps(self) -> int:
        """Updates of one rollout."""
        return self.config.epochs * self.config.minibatches

    @property
    def warm(self) -> bool:
        """True once the policy learns, and not the critic alone."""
        return self.updates >= self.config.critic_warmup_rollouts * self._steps

    @property
    def owed(self) -> int:
        """Updates still owed for the whole rollouts received."""
        return self.replay.total // self._rows * self._steps - self.updates

    def update(self) -> dict[str, float]:
        """One minibatch step of the critic and of the policy. Returns its metrics."""
        data = {name: torch.from_numpy(array) for name, array in self.replay.arrays().items() if name != "total"}
        part = self.updates % self.config.minibatches
        if self.updates % self._steps == 0:
            self._judge(data)
        order = np.random.default_rng([self._seed, self.updates - part]).permutation(self.judged.log_prob.numel())
        picked = torch.from_numpy(np.array_split(order, self.config.minibatches)[part])
        row, k = picked // self.policy.trained, picked % self.policy.trained
        metrics = self._update_critic(data["state"][row], self.judged.target[row])
        if self.warm:
            metrics |= self._update_policy(data["state"][row], data["action"][row].unflatten(1, self._chain_shape), row, k)
        self.updates += 1
        return metrics

    @torch.no_grad()
    def _judge(self, data: dict[str, Tensor]):
        """Advantages, targets and likelihoods of the rollout, before anything is learned from it."""
        grid = (-1, self._envs)
        state, next_state = (data[name].unflatten(0, grid) for name in ("state", "next_state"))
        value, next_value = self._value(state), self._value(next_state)
        reward, bootstrap = (data[name].unflatten(0, grid) for name in ("reward", "bootstrap"))
        # A time-out, or a resumption, shows in a state that does not follow from the one before.
        cut = bootstrap == 0
        cut[:-1] |= (next_state[:-1] != state[1:]).any(-1)
        reward = (reward / self.scale.std).clamp(-10.0, 10.0)
        found = advantages(reward, value, next_value, bootstrap, cut, (self.config.gamma, self.config.gae_lambda))
        self.judged.advantage.copy_(found.flatten())
        self.judged.target.copy_((found + value).flatten())
        chain = data["action"].unflatten(1, self._chain_shape)
        for k in range(self.policy.trained):
            steps = torch.full((self._rows,), k)
            self.judged.log_prob[:, k] = self.policy.log_prob(data["state"], chain[:, k], chain[:, k + 1], steps)

    def _value(self, state: Tensor) -> Tensor:
        """V of raw states [..., d_o] → [...]."""
        return self.critic(self.policy.prior.normalised(state).flatten(0, -2))[0].view(state.shape[:-1])

    def _update_critic(self, state: Tensor, target: Tensor) -> dict[str, float]:
        loss = 0.5 * (self._value(state) - target).square().mean()
        descend(self.optimizers["critic"], loss)
        return {"critic/loss": loss.item(), "critic/return_std": self.scale.std}

    def _update_policy(self, state: Tensor, chain: Tensor, row: Tensor, k: Tensor) -> dict[str, float]:
        """The clipped objective of PPO on pairs of a decision `row` [B] and a step k [B] of its chain [B, K'+1, T_p·d_a]."""
        item = torch.arange(len(k))
        log_ratio = self.policy.log_prob(state, chain[item, k], chain[item, k + 1], k) - self.judged.log_prob[row, k]
        ratio, clip = log_ratio.exp(), self._clip[k]
        advantage = self.judged.advantage[row]
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8) * self._discount[k]
        loss = -torch.min(advantage * ratio, advantage * ratio.clamp(1.0 - clip, 1.0 + clip)).mean()
        descend(self.optimizers["policy"], loss)
        return {
            "actor/loss": loss.item(),
            "policy/divergence": (ratio - 1.0 - log_ratio).mean().item(),  # from the policy of the rollout
            "policy/clipped": ((ratio - 1.0).abs() > clip).float().mean().item(),  # share
        }
