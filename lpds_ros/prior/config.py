"""Every choice behind a prior, in one frozen dataclass: architecture, sampler, normalisation, optimisation."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

SIZES = {  # the fields each network is built from
    "mlp": ("width", "blocks", "time_features"),
    "unet": ("width", "time_features", "channels", "kernel", "groups"),
    "dit": ("width", "blocks", "time_features", "heads", "expansion"),
}


class PriorError(ValueError):
    """A prior that cannot be trained, resumed or exported as asked; the text says why and what to do."""


def _later(default):
    """A field that came after priors had been trained: `identity` leaves it out while it has its default."""
    return field(default=default, metadata={"later": True})


@dataclass(frozen=True)
class PriorConfig:
    """Defaults give a good prior from about sixty demonstrations in under a minute on one core."""

    kind: Literal["diffusion", "flow"] = "diffusion"
    width: int = 256  # mlp: units of each hidden layer; dit: of each token; unet: of the embedded time
    blocks: int = 3  # mlp, dit: residual blocks
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
    # The denoiser: an MLP on the whole chunk, or one along the chunk's rows, convolutional (UNet1D) or a transformer (DiT).
    network: Literal["mlp", "unet", "dit"] = _later("mlp")
    channels: tuple[int, ...] = _later((128, 256, 384))  # unet: of each level; every further level halves the rows
    kernel: int = _later(5)  # unet: rows a convolution sees
    groups: int = _later(8)  # unet: of channels, normalised together
    heads: int = _later(4)  # dit: of the attention
    expansion: int = _later(4)  # dit: hidden units of a block's MLP, in widths
    # Images: an encoder for each stream, trained with the denoiser, or one that is given (`lpds prior train --encoder`).
    encoder: Literal["trained", "given"] = _later("trained")
    encoder_channels: tuple[int, ...] = _later((16, 32))  # of each stage, which halves the picture's sides
    shift_px: int = _later(4)  # pictures move by up to so much at random, in training

    def __post_init__(self):
        for name in ("channels", "encoder_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists only
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
            "kernel",
            "groups",
            "heads",
            "expansion",
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
        uneven = [c for c in self.encoder_channels[1:] if not (isinstance(c, int) and c > 0 and c % 8 == 0)]
        if uneven or not self.encoder_channels or self.shift_px < 0:
            raise PriorError("encoder_channels must be one or more multiples of 8, and shift_px not negative")
        self._check_network()

    def _check_network(self):
        if self.network not in SIZES:
            raise PriorError(f"network '{self.network}' is not one of {', '.join(SIZES)}")
        foreign = {name for names in SIZES.values() for name in names} - set(SIZES[self.network])
        for named in dataclasses.fields(self):
            if named.name in foreign and getattr(self, named.name) != named.default:
                raise PriorError(f"{named.name} is no size of network '{self.network}', whose are {SIZES[self.network]}")
        if self.network == "unet":
            uneven = [c for c in self.channels if not (isinstance(c, int) and c > 0 and c % self.groups == 0)]
            if uneven or len(self.channels) < 2:
                raise PriorError(f"channels must be two or more multiples of groups ({self.groups}), got {self.channels}")
            if self.kernel % 2 == 0:
                raise PriorError(f"kernel must be odd, so that a convolution keeps the rows; got {self.kernel}")
        if self.network == "dit" and self.width % self.heads:
            raise PriorError(f"width ({self.width}) must be a multiple of heads ({self.heads})")

    def identity(self) -> dict:
        """The fields by name, as JSON has them; one that came later is left out at its default.

        What names a prior by its configuration hashes this, so that a prior keeps its name when fields are added.
        """
        return {
            named.name: getattr(self, named.name)
            for named in dataclasses.fields(self)
            if not (named.metadata.get("later") and getattr(self, named.name) == named.default)
        }
