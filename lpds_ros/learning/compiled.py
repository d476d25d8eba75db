"""Loss and gradient as one compiled graph (torch.compile): what lies between the matrix products is fused."""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from lpds_ros.config import ConfigError

TORCH = (2, 13)  # knows isolate_recompiles, without which a few learners in one process are too many


def require_compiler():
    """Raise ConfigError where torch.compile is not what is needed here, or would find no compiler to make its code with."""
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < TORCH:
        raise ConfigError(f"compiled needs torch {TORCH[0]}.{TORCH[1]}, this is {torch.__version__}; upgrade it or leave it out")
    if not shutil.which(os.environ.get("CXX", "g++")):
        raise ConfigError("compiled needs a C++ compiler: install g++ (Debian: also python3-dev), set CXX, or leave it out")


class CompiledGradient:
    """The gradient of loss(*tensors) → (loss, further tensors) for the parameters of `network`, which the loss evaluates.

    Other networks in it count as constants, with the weights that they have when it is called. The first call compiles: about
    fifteen seconds.
    """

    def __init__(self, network: nn.Module, loss: Callable[..., tuple[Tensor, ...]]):
        self._parameters = dict(network.named_parameters(prefix="network"))
        holder = _Evaluated(network, loss)

        def of(parameters: dict[str, Tensor], *tensors: Tensor):
            value, *told = functional_call(holder, parameters, tensors)
            return value, told

        self._graph = torch.compile(grad_and_value(of, has_aux=True), dynamic=False, fullgraph=True, isolate_recompiles=True)

    @torch.no_grad()  # around the graph: what is not asked for gets no gradient
    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """What the loss returns, without a graph behind it; each parameter's `grad` is replaced."""
        gradients, (value, told) = self._graph(self._parameters, *tensors)
        for name, parameter in self._parameters.items():
            parameter.grad = gradients[name]
        return value, *told


class _Evaluated(nn.Module):
    """A loss as a module of which the network is a part: its parameters can be given from outside."""

    def __init__(self, network: nn.Module, loss):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, *tensors):
        return self.loss(*tensors)
