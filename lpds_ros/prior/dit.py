"""A denoiser that is a transformer over the rows of the chunk, conditioned by adaptive layer norm (DiT, Peebles and Xie 2023)."""

import torch
from torch import nn
from torch.nn import functional as F

from lpds_ros.prior.network import Denoiser

EPSILON = 1e-6


class DitDenoiser(Denoiser):
    """Each row of the chunk is a token of `width` numbers. E = width; C = (6 blocks + 2) width.

    The condition holds shift, scale and gate of each block's two branches, and shift and scale of the head: one matrix product
    for all blocks and all K evaluations. Gates start at zero (adaLN-zero), scales at one: no block does anything untrained.
    """

    def __init__(
        self,
        noise_shape: tuple[int, int],
        state_size: int,
        width: int,
        blocks: int,
        heads: int,
        expansion: int,
        time_features: int,
    ):
        super().__init__(time_features)
        self.rows, size = noise_shape
        self.from_state = nn.Linear(state_size, width)
        self.from_time = nn.Sequential(nn.Linear(time_features, width), nn.SiLU(), nn.Linear(width, width))
        self.to_condition = nn.Linear(width, (6 * blocks + 2) * width)
        self.from_rows = nn.Linear(size, width)
        self.position = nn.Parameter(0.02 * torch.randn(self.rows, width))
        self.blocks = nn.ModuleList(DitBlock(width, heads, expansion) for _ in range(blocks))
        self.head = nn.Linear(width, size)
        nn.init.zeros_(self.to_condition.weight)
        scales = torch.tensor([0.0, 1.0, 0.0] * 2 * blocks + [0.0, 1.0])
        with torch.no_grad():
            self.to_condition.bias.copy_(scales.repeat_interleave(width))

    def modulation(self, embedding):
        return self.to_condition(F.silu(embedding))

    def step(self, x, condition):
        parts = condition.unsqueeze(1).split(self.position.shape[1], dim=2)  # each [B, 1, width]
        tokens = self.from_rows(x.unflatten(1, (self.rows, -1))) + self.position
        for i, block in enumerate(self.blocks):
            tokens = block(tokens, *parts[6 * i : 6 * i + 6])
        return self.head(modulated(tokens, *parts[-2:])).flatten(1)


class DitBlock(nn.Module):
    """Attention between the rows, then an MLP on each; tokens [B, T_p, width], shifts, scales and gates [B, 1, width]."""

    def __init__(self, width: int, heads: int, expansion: int):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * width)
        self.from_heads = nn.Linear(width, width)
        self.inner = nn.Linear(width, expansion * width)
        self.outer = nn.Linear(expansion * width, width)

    def forward(self, tokens, shift_a, scale_a, gate_a, shift_m, scale_m, gate_m):
        dtype = self.inner.weight.dtype  # blocks may be held in bfloat16
        tokens = tokens + gate_a * self.attention(modulated(tokens, shift_a, scale_a).to(dtype))
        inside = self.inner(modulated(tokens, shift_m, scale_m).to(dtype))
        return tokens + gate_m * self.outer(F.silu(inside))

    def attention(self, tokens):
        """Multi-head attention between the rows, [B, T_p, width] to the same; written out, as the export wants it."""
        each = self.to_qkv(tokens).unflatten(2, (3 * self.heads, -1)).transpose(1, 2)
        query, key, value = each.split(self.heads, dim=1)  # [B, heads, T_p, width / heads]
        scores = (query @ key.transpose(2, 3)) * query.shape[-1] ** -0.5
        return self.from_heads((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def modulated(tokens, shift, scale):
    return F.layer_norm(tokens, tokens.shape[-1:], eps=EPSILON) * scale + shift
