"""Networks of LP-DS: an ensemble of critics evaluated as one matrix product, and the perturbation actor.

With `half`, products between hidden layers are made in bfloat16 (twice as fast on a CPU with AVX-512 BF16). Weights,
first layer, last layer and normalisation stay float32: the noises of one state differ in the third digit of Q.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EnsembleMLP(nn.Module):
    """E independent MLPs with LayerNorm and ReLU, in one batched product: [B, in] → [E, B]."""

    def __init__(self, members: int, inputs: int, width: int, layers: int, half: bool = False):
        super().__init__()
        self.half = half
        sizes = [inputs] + [width] * layers + [1]
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(members, i, o)) for i, o in zip(sizes, sizes[1:]))
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(members, 1, o)) for o in sizes[1:])
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(members, 1, width)) for _ in range(layers))
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, width)) for _ in range(layers))
        for weight, bias in zip(self.weights, self.biases):
            limit = 1.0 / math.sqrt(weight.shape[1])
            nn.init.uniform_(weight, -limit, limit)
            nn.init.uniform_(bias, -limit, limit)

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: [B, in] → values [E, B]."""
        hidden = inputs.expand(self.weights[0].shape[0], *inputs.shape)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            if self.half and 0 < i < len(self.gains):
                hidden = torch.bmm(hidden.bfloat16(), weight.bfloat16()).float() + bias
            else:
                hidden = torch.baddbmm(bias, hidden, weight)
            if i < len(self.gains):
                hidden = torch.addcmul(self.shifts[i], F.layer_norm(hidden, hidden.shape[-1:]), self.gains[i])
                hidden = F.relu(hidden)
        return hidden.squeeze(-1)


def relu_layers(layers, hidden: Tensor, half: bool) -> Tensor:
    """`hidden` [B, in] through linear layers with ReLU; with `half`, all but the first in bfloat16."""
    for i, layer in enumerate(layers):
        if half and i > 0:
            hidden = F.linear(hidden.bfloat16(), layer.weight.bfloat16()).float() + layer.bias
        else:
            hidden = layer(hidden)
        hidden = F.relu(hidden)
    return hidden


class PerturbationActor(nn.Module):
    """Δ_θ(s, ε) with ‖Δ‖ ≤ radius. The last layer starts at zero, so that version 0 is the prior bit for bit."""

    def __init__(
        self, state_size: int, noise_size: int, width: int, layers: int, context: str, radius: float, half: bool = False
    ):
        super().__init__()
        self.context, self.radius, self.half = context, radius, half
        sizes = [state_size + (noise_size if context == "state_noise" else 0)] + [width] * layers + [noise_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def raw(self, state: Tensor, noise: Tensor) -> Tensor:
        """Δ before the hard bound. The Lagrangian acts on it: past the bound the projected norm has no gradient."""
        hidden = torch.cat([state, noise], -1) if self.context == "state_noise" else state
        return self.layers[-1](relu_layers(self.layers[:-1], hidden, self.half))

    def project(self, delta: Tensor) -> Tensor:
        """Radial projection onto ‖Δ‖ ≤ radius, row by row."""
        norm = delta.square().sum(-1, keepdim=True).add(1e-12).sqrt()
        return delta * (self.radius / norm).clamp(max=1.0)

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        """state: normalised [B, T_o·d_o], noise: [B, T_p·d_a] → Δ [B, T_p·d_a] inside the ball of `radius`."""
        return self.project(self.raw(state, noise))
