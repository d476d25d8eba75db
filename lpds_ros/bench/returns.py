"""What policy gradients need of rewards: advantages of decisions, and a scale for returns."""

import math

import numpy as np
import torch
from torch import Tensor, nn


def advantages(reward: Tensor, value: Tensor, next_value: Tensor, bootstrap: Tensor, cut: Tensor, discounts) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016), [T, N] as all tensors given; discounts: (γ, λ).

    bootstrap: 0 where an episode terminated. cut, bool: the next row does not go on from this one.
    """
    gamma, trace = discounts
    error = reward + gamma * bootstrap * next_value - value
    found, later = torch.empty_like(error), torch.zeros_like(error[0])
    for t in reversed(range(len(error))):
        later = error[t] + gamma * trace * torch.where(cut[t], 0.0, later)
        found[t] = later
    return found


class ReturnScale(nn.Module):
    """Running deviation of the discounted return. A module, so that a checkpoint holds its buffers."""

    def __init__(self, envs: int):
        super().__init__()
        self.register_buffer("running", torch.zeros(envs, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(3, dtype=torch.float64))  # count, sum, sum of squares

    def observe(self, reward: np.ndarray, ended: np.ndarray, gamma: float):
        """One decision in every environment: reward [N], ended bool [N]."""
        self.running.mul_(gamma).add_(torch.from_numpy(np.array(reward, np.float64)))
        self.moments += torch.stack([torch.ones_like(self.running), self.running, self.running.square()]).sum(1)
        self.running[torch.from_numpy(ended)] = 0.0

    @property
    def std(self) -> float:
        count, total, squares = self.moments.tolist()
        return math.sqrt(max(squares / count - (total / count) ** 2, 0.0) + 1e-8)
