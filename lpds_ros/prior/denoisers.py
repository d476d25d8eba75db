"""The choice of a denoiser: PriorConfig's network and sizes to an untrained module."""

from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.dit import DitDenoiser
from lpds_ros.prior.network import Denoiser, MlpDenoiser
from lpds_ros.prior.unet import UnetDenoiser


def make_denoiser(noise_shape: tuple[int, int], state_size: int, config: PriorConfig) -> Denoiser:
    """A denoiser of chunks [T_p, d_a] and states [state_size]; its weights are drawn from torch's global generator.

    Raises PriorError when the network cannot take chunks of T_p rows.
    """
    rows, size = noise_shape
    time_features = config.time_features
    if config.network == "unet":
        halvings = len(config.channels) - 1
        if rows % 2**halvings:
            raise PriorError(
                f"a unet of {len(config.channels)} levels halves the chunk's {rows} rows (T_p) {halvings} times: "
                f"make T_p a multiple of {2**halvings}, or give fewer channels"
            )
        sizes = (config.channels, config.kernel, config.groups, config.width)
        return UnetDenoiser(noise_shape, state_size, *sizes, time_features)
    if config.network == "dit":
        sizes = (config.width, config.blocks, config.heads, config.expansion)
        return DitDenoiser(noise_shape, state_size, *sizes, time_features)
    return MlpDenoiser(rows * size, state_size, config.width, config.blocks, time_features)
