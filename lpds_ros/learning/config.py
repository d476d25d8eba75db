"""Every hyperparameter of LP-DS, one named field each. "(choice)" marks what the paper leaves open."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lpds_ros.config import build, read_yaml


@dataclass(frozen=True)
class LearnerConfig:
    """Hyperparameters of Simsir & Oguz, arXiv 2606.01151, with the values this stack starts from."""

    # Trust region
    delta: float = 0.5  # bound on E||Δ||²; the paper reports 0.10 to 0.66
    delta_reduction: Literal["mean", "sum"] = "mean"  # (choice) over the T_p·d_a dimensions
    bound_factor: float = 2.0  # (choice) hard radius R = factor · sqrt(δ as a sum); 0 turns the bound off
    alpha_init: float = 0.0  # (choice) dual variable at the start
    alpha_learning_rate: float = 3e-3  # (choice) of the dual ascent
    alpha_proportional: float = 0.05  # (choice) added to α per unit of violation: damps its swing; 0 is plain dual ascent
    alpha_relative: bool = True  # (choice) the constraint is ‖Δ‖²/δ − 1, so that α has the unit of Q whatever δ is
    lagrangian: bool = True  # false: α stays 0 (ablation)
    # (choice) spread of the base noise that is steered: below 1 the prior's likelier chunks, at the price of its modes
    noise_scale: float = 1.0
    context: Literal["state_noise", "state"] = "state_noise"  # "state": a mean shift Δ(s) (ablation)

    # Critics
    critics: int = 3  # ensemble size of Q^A and of Q^W
    critic_width: int = 128
    critic_layers: int = 2
    gamma: float = 0.9  # (choice) per decision, one executed chunk of 0.4 s here; short tasks that must be quick
    tau: float = 0.01  # target network step
    n_step: int = 1  # (choice) decisions of a return before it bootstraps; 1 is the paper's, 5 where episodes have 25 or more
    distill_share: float = 1.0  # (choice) steps of Q^W for one of Q^A; 0.5 is DSRL's
    distill_base_fraction: float = 0.5  # (choice) share of Q^W's noises that are base noise; 1.0 is the paper's
    distill_states: int = 128  # (choice) states that a step of Q^W is fitted on, drawn from those decoded lately
    distill_noises: int = 4  # (choice) noises decoded at each of them
    distill_fresh: int = 16  # (choice) states of a minibatch decoded anew: Φ is frozen, what was decoded stays true
    distill_pool: int = 2048  # (choice) states kept decoded, the oldest replaced first
    distill_contrast: float = 10.0  # (choice) weight of the differences between the noises of one state; 0: plain regression
    distill_learning_rate: float = 1e-3  # (choice) of Q^W: its data are many, and decoded anew all the time
    actor_target: Literal["min", "mean", "gain"] = "min"  # (choice) how the actor reads the Q^W ensemble; gain: see Learner
    target_refresh: float = 0.25  # (choice) share of TD targets decoded anew; the others keep the action decoded last
    timeout_terminates: bool = False  # true: treat a time-out as terminal, as the public DSRL code does
    reward_offset: float = 0.0  # (choice) added to each decision's reward, for example −1 until success

    # Actor
    actor_width: int = 256
    actor_layers: int = 3
    actor_noises: int = 4  # (choice) noises at each state of the actor's minibatch: they cost no decoding
    actor_learning_rate: float = 3e-4
    actor_ema: float = 0.995  # (choice) published weights are a running average; 0 publishes the raw ones

    # Optimisation
    learning_rate: float = 3e-4
    batch_size: int = 128
    precision: Literal["float32", "bfloat16"] = "float32"  # (choice) of products between hidden layers; weights are float32
    compiled: bool = False  # (choice) loss and gradient by torch.compile: needs a C++ compiler, and half a minute at the start
    updates_per_decision: float = 1.0  # (choice) more fits the critics to their noise: fresh decisions teach more
    warmup_decisions: int = 300  # decisions of the prior before the first update
    critic_warmup_updates: int = 1000  # (choice) of the critics alone, on the prior's decisions, before the actor moves
    replay_capacity: int = 200_000
    demo_share: float = 0.0  # share of each batch drawn from demonstrations
    demo_share_half_life: float = 0.0  # decisions after which that share has halved; 0: it stays

    # Publishing
    push_every: int = 200  # updates between two published versions

    def __post_init__(self):
        for name in (
            "delta",
            "learning_rate",
            "tau",
            "critic_width",
            "actor_width",
            "batch_size",
            "critics",
            "push_every",
            "n_step",
            "distill_states",
            "distill_noises",
            "distill_fresh",
            "distill_learning_rate",
            "actor_noises",
            "actor_learning_rate",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.distill_pool < self.distill_fresh:
            raise ValueError(f"distill_pool must be at least distill_fresh, got {self.distill_pool}")
        if not 0.0 < self.distill_share <= 1.0:
            raise ValueError(f"distill_share must lie in (0, 1], got {self.distill_share}")
        for name in ("gamma", "noise_scale", "distill_base_fraction", "target_refresh", "demo_share", "actor_ema", "tau"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in (
            "alpha_init",
            "alpha_learning_rate",
            "alpha_proportional",
            "bound_factor",
            "updates_per_decision",
            "warmup_decisions",
            "critic_warmup_updates",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    def radius(self, dimensions: int) -> float:
        """R of the hard bound ‖Δ‖ ≤ R, for T_p·d_a `dimensions`."""
        total = self.delta * (dimensions if self.delta_reduction == "mean" else 1)
        return self.bound_factor * math.sqrt(total) if self.bound_factor > 0 else 1e5

    def reduce(self, delta_sq_sum, dimensions: int):
        """‖Δ‖² as `delta_reduction` asks, from its sum over `dimensions`."""
        return delta_sq_sum / dimensions if self.delta_reduction == "mean" else delta_sq_sum


def updates_owed(config, decisions: int, updates: int) -> int:
    """Updates still owed after `updates` of them, once `decisions` were received; 0 before the warm-up's are there.

    config: anything with warmup_decisions, critic_warmup_updates and updates_per_decision.
    """
    if decisions < max(1, config.warmup_decisions):
        return 0
    due = config.updates_per_decision * (decisions - config.warmup_decisions)
    return max(0, config.critic_warmup_updates + int(due) - updates)


def load_learner_config(path: str | Path | None) -> LearnerConfig:
    """Defaults, or the YAML file's values over them. Raises ConfigError naming file, line and nearest key."""
    return build(LearnerConfig, read_yaml(path), path) if path else LearnerConfig()
