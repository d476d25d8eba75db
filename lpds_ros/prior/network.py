"""The denoiser: a residual MLP on (noisy chunk, observation, time)."""

import math

import torch
from torch import nn


class Denoiser(nn.Module):
    """x float32 [B, T_p*d_a], state [B, T_o*d_o] normalised, time [B] in [0, 1] -> float32 [B, T_p*d_a].

    The first layer is one matrix product for each input, so that a decoder may compute the state's once a chunk and
    fold the time's into a bias (reference/inference.md). SiLU, since Mish costs ten times more on a CPU.
    """

    def __init__(self, chunk_size: int, state_size: int, width: int, blocks: int, time_features: int):
        super().__init__()
        self.time_features = time_features
        self.from_chunk = nn.Linear(chunk_size, width, bias=False)
        self.from_state = nn.Linear(state_size, width, bias=False)
        self.from_time = nn.Sequential(nn.Linear(time_features, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))
        self.head = nn.Linear(width, chunk_size)

    def time_bias(self, time: torch.Tensor) -> torch.Tensor:
        """What the time adds to the first layer: float32 [B, width]."""
        rates = torch.exp(torch.linspace(0.0, math.log(100.0), self.time_features // 2, device=time.device))
        angles = time[:, None] * rates[None]
        return self.from_time(torch.cat([angles.sin(), angles.cos()], dim=1))

    def trunk(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """The rest of the network, given `condition` = from_state(state) + time_bias(time)."""
        hidden = self.from_chunk(x) + condition
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(nn.functional.silu(hidden))

    def forward(self, x, state, time):
        return self.trunk(x, self.from_state(state) + self.time_bias(time))


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
