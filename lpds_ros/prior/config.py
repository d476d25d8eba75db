"""Every choice behind a prior, in one frozen dataclass: architecture, sampler, normalisation, optimisation."""

from dataclasses import dataclass
from typing import Literal


class PriorError(ValueError):
    """A prior that cannot be trained, resumed or exported as asked; the text says why and what to do."""


@dataclass(frozen=True)
class PriorConfig:
    """Defaults give a good prior from about sixty demonstrations in under a minute on one core."""

    kind: Literal["diffusion", "flow"] = "diffusion"
    width: int = 256  # units of each hidden layer
    blocks: int = 3  # residual blocks
    time_features: int = 32  # sinusoids of the time step
    # Sampler. Deterministic always: DDIM with eta = 0, or an ODE solver on the flow.
    steps: int = 5  # evaluations of the network a chunk (K); the midpoint solver spends two a step
    train_steps: int = 20  # diffusion: noise levels trained
    prediction: Literal["noise", "sample"] = "sample"  # diffusion: what the network predicts
    solver: Literal["euler", "midpoint"] = "euler"  # flow
    # Normalisation, fitted to the training demonstrations.
    action_normalisation: Literal["minmax", "quantile"] = "minmax"
    quantile: float = 0.01  # share cut off at either end in the quantile mode
    observation_min_scale: float = 0.01  # contract units that count as one at least: 1 cm; quieter sensors stay quiet
    # Optimisation.
    seed: int = 0
    updates: int = 2000
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup_updates: int = 100  # linear rise of the learning rate, then a cosine to zero at the last update
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    held_out_share: float = 0.1  # of the demonstrations, at least one of them when there are two or more
    evaluate_every: int = 500
    checkpoint_every: int = 1000
    threads: int = 1

    def __post_init__(self):
        positive = (
            "width",
            "blocks",
            "time_features",
            "steps",
            "train_steps",
            "updates",
            "batch",
            "warmup_updates",
            "evaluate_every",
            "checkpoint_every",
            "threads",
            "learning_rate",
            "gradient_clip",
            "observation_min_scale",
        )
        for name in positive:
            if not getattr(self, name) > 0:
                raise PriorError(f"{name} must be positive, got {getattr(self, name)}")
        if self.kind == "diffusion" and self.steps > self.train_steps:
            raise PriorError(f"steps ({self.steps}) cannot exceed train_steps ({self.train_steps})")
        if self.kind == "flow" and self.solver == "midpoint" and self.steps % 2:
            raise PriorError(f"the midpoint solver spends two evaluations a step: steps must be even, got {self.steps}")
        if not (0.0 < self.quantile < 0.5 and 0.0 <= self.held_out_share < 1.0 and 0.0 <= self.ema_decay < 1.0):
            raise PriorError("need quantile in (0, 0.5), held_out_share in [0, 1) and ema_decay in [0, 1)")
        if self.time_features % 2 or self.weight_decay < 0:
            raise PriorError("time_features must be even and weight_decay not negative")
