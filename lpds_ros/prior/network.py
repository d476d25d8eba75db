"""What every denoiser has in common, and the residual MLP.

A denoiser is cut in two where the sampler's loop begins: what depends on observation and time alone (the condition) is computed
before it, for all K evaluations at once; what depends on the noisy chunk (`step`) inside it.
"""

import math

import torch
from torch import nn


class Denoiser(nn.Module):
    """x float32 [B, T_p*d_a], state [B, T_o*d_o] normalised, time [B] in [0, 1] -> float32 [B, T_p*d_a].

    A network defines `from_state`, `from_time` (of the sinusoids), `step`, and `modulation` where it has one.
    encoders: by stream of images, trained with it; None where the state comes without them.
    """

    def __init__(self, time_features: int):
        super().__init__()
        self.encoders: nn.ModuleDict | None = None
        self.time_features = time_features

    def time_bias(self, time: torch.Tensor) -> torch.Tensor:
        """What time [B] adds to the embedded state: float32 [B, E]."""
        rates = torch.exp(torch.linspace(0.0, math.log(100.0), self.time_features // 2, device=time.device))
        angles = time[:, None] * rates[None]
        return self.from_time(torch.cat([angles.sin(), angles.cos()], dim=1))

    def modulation(self, embedding: torch.Tensor) -> torch.Tensor:
        """The condition [..., C] of `step`, from `embedding` [..., E] = from_state(state) + time_bias(time)."""
        return embedding

    def step(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """One evaluation: x [B, T_p*d_a], condition [B, C] -> [B, T_p*d_a]."""
        raise NotImplementedError

    def trunk(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """The network after its embedding [B, E]."""
        return self.step(x, self.modulation(embedding))

    def forward(self, x, state, time):
        return self.trunk(x, self.from_state(state) + self.time_bias(time))


class MlpDenoiser(Denoiser):
    """A residual MLP on the whole chunk, C = E = width.

    The first layer is one matrix product for each input, so that state and time come down to a bias of it. SiLU, since Mish
    costs ten times more on a CPU.
    """

    def __init__(self, chunk_size: int, state_size: int, width: int, blocks: int, time_features: int):
        super().__init__(time_features)
        self.from_chunk = nn.Linear(chunk_size, width, bias=False)
        self.from_state = nn.Linear(state_size, width, bias=False)
        self.from_time = nn.Sequential(nn.Linear(time_features, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.head = nn.Linear(width, chunk_size)

    def step(self, x, condition):
        hidden = self.from_chunk(x) + condition
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(nn.functional.silu(hidden))


class ResidualBlock(nn.Module):
    """h + W2 silu(W1 silu(h) + b1) + b2; W2 starts at zero, so that the untrained network is shallow."""

    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, hidden):
        inside = nn.functional.silu(hidden).to(self.inner.weight.dtype)  # blocks may be held in bfloat16
        return hidden + self.outer(nn.functional.silu(self.inner(inside)))
