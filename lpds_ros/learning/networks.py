"""Networks of LP-DS: an ensemble of critics evaluated as one matrix product, and the perturbation actor."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EnsembleMLP(nn.Module):
    """E independent MLPs with LayerNorm and ReLU, in one batched product: [B, in] → [E, B]."""

    def __init__(self, members: int, inputs: int, width: int, layers: int):
        super().__init__()
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
            hidden = torch.baddbmm(bias, hidden, weight)
            if i < len(self.gains):
                hidden = F.layer_norm(hidden, hidden.shape[-1:]) * self.gains[i] + self.shifts[i]
                hidden = F.relu(hidden)
        return hidden.squeeze(-1)


class PerturbationActor(nn.Module):
    """Δ_θ(s, ε) with ‖Δ‖ ≤ radius. The last layer starts at zero, so that version 0 is the prior bit for bit."""

    def __init__(self, state_size: int, noise_size: int, width: int, layers: int, context: str, radius: float):
        super().__init__()
        self.context, self.radius = context, radius
        sizes = [state_size + (noise_size if context == "state_noise" else 0)] + [width] * layers + [noise_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def raw(self, state: Tensor, noise: Tensor) -> Tensor:
        """Δ before the hard bound. The Lagrangian acts on it: past the bound the projected norm has no gradient."""
        hidden = torch.cat([state, noise], -1) if self.context == "state_noise" else state
        for layer in self.layers[:-1]:
            hidden = F.relu(layer(hidden))
        return self.layers[-1](hidden)

    def project(self, delta: Tensor) -> Tensor:
        """Radial projection onto ‖Δ‖ ≤ radius, row by row."""
        norm = delta.square().sum(-1, keepdim=True).add(1e-12).sqrt()
        return delta * (self.radius / norm).clamp(max=1.0)

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        """state: normalised [B, T_o·d_o], noise: [B, T_p·d_a] → Δ [B, T_p·d_a] inside the ball of `radius`."""
        return self.project(self.raw(state, noise))
