"""A decoder of drawn weights: times do not depend on what a network has learned."""

import numpy as np
import torch

from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.dataset import Normaliser
from lpds_ros.prior.denoisers import make_denoiser
from lpds_ros.prior.sampler import Decoder


def drawn_decoder(config: PriorConfig, chunk: tuple[int, int], state: int) -> Decoder:
    """For `state` observed numbers and chunks [T_p, d_a]; no weight is zero, the normalisation changes nothing."""
    torch.manual_seed(0)
    network = make_denoiser(chunk, state, config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    zeros, ones = (np.full(state, value, np.float32) for value in (0.0, 1.0))
    none, one = (np.full(chunk[1], value, np.float32) for value in (0.0, 1.0))
    return Decoder(network, Normaliser(zeros, ones, none, one, -one, one), config, chunk).eval().requires_grad_(False)
