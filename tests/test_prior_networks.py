"""The denoisers behind one interface: what is hoisted out of the loop is exact, and a prior keeps its name."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from synthetic_demos import small_contract, synthetic_demos
from torch.nn import functional as F

from lpds_ros.config import ConfigError, build
from lpds_ros.prior.checkpoint import load_checkpoint
from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.denoisers import make_denoiser
from lpds_ros.prior.train import make_decoder, train
from lpds_ros.prior.unet import ConvNorm, Downsample, RowProduct, Upsample

SHAPE, STATE = (8, 3), 5
SMALL = {
    "mlp": PriorConfig(width=16, blocks=2),
    "unet": PriorConfig(network="unet", channels=(8, 16), groups=4, width=16),
    "dit": PriorConfig(network="dit", width=16, blocks=2, heads=2, expansion=2),
}
networks = pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network_of(config, seed=0):
    """A denoiser none of whose weights is zero, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_denoiser(SHAPE, STATE, config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network.requires_grad_(False)


@networks
def test_the_condition_of_all_evaluations_at_once_is_that_of_each(config):
    network, x, state, times = network_of(config), drawn(4, 24), drawn(4, STATE, seed=1), torch.tensor([0.9, 0.5, 0.0])
    condition = network.modulation(network.from_state(state) + network.time_bias(times)[:, None])
    for k, time in enumerate(times):
        expected = network(x, state, time.expand(4))
        torch.testing.assert_close(network.step(x, condition[k]), expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(network(x, state, times[k - 1].expand(4)), expected, atol=1e-3), "time must matter"


@networks
def test_every_chunk_of_a_batch_is_decoded_by_itself(config):
    network, x, state, time = network_of(config), drawn(4, 24), drawn(4, STATE, seed=1), torch.rand(4)
    together = network(x, state, time)
    alone = torch.cat([network(x[i : i + 1], state[i : i + 1], time[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    changed = x.clone()
    changed[2] += 1.0
    moved = (network(changed, state, time) - together).abs().amax(1) > 1e-6
    assert moved.tolist() == [False, False, True, False]


@networks
def test_blocks_may_be_held_in_bfloat16(config):
    network, x, state, time = network_of(config), drawn(4, 24), drawn(4, STATE, seed=1), torch.rand(4)
    expected = network(x, state, time)
    network.blocks.bfloat16()
    found = network(x, state, time)
    assert found.dtype == torch.float32
    assert (found - expected).square().mean().sqrt() < 0.05 * expected.std()


@networks
def test_every_network_learns_and_resumes_to_the_same_weights(tmp_path, config):
    contract = small_contract()
    demos = synthetic_demos(contract)
    fast = dict(updates=60, batch=16, warmup_updates=5, evaluate_every=20, checkpoint_every=60, ema_decay=0.9)
    config = dataclasses.replace(config, **fast, learning_rate=3e-3)
    whole = load_checkpoint(train(demos, contract, tmp_path / "whole", config))
    assert whole.history[-1]["held_out_loss"] < 0.8 * whole.history[0]["held_out_loss"]
    asked = iter([False] * 30 + [True])
    train(demos, contract, tmp_path / "cut", config, should_stop=lambda: next(asked))
    cut = load_checkpoint(train(demos, contract, tmp_path / "cut", resume=True))
    assert cut.config == config and all(torch.equal(tensor, cut.tensors[name]) for name, tensor in whole.tensors.items())
    action = make_decoder(whole)(drawn(3, contract.state_size), drawn(3, *contract.noise_shape))
    assert torch.isfinite(action).all()


# The U-Net's products of gathered rows are the convolutions of torch.


def grouped(x, groups):
    """[B, C, rows] -> [B, groups, rows, C / groups]."""
    return x.unflatten(1, (groups, -1)).transpose(2, 3)


def as_kernel(product):
    """The weight [count, C, kernel] of the Conv1d that a RowProduct is."""
    linear, groups_each = product.product, product.channels
    return linear.weight.unflatten(1, (-1, groups_each)).transpose(1, 2)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_row_product_is_a_convolution(kernel):
    x = drawn(2, 12, 6)
    product = RowProduct((4, 6, 3), 7, range(-(kernel // 2), kernel // 2 + 1)).requires_grad_(False)
    expected = F.conv1d(x, as_kernel(product), product.product.bias, padding=kernel // 2).transpose(1, 2)
    torch.testing.assert_close(product(grouped(x, 4)), expected.flatten(0, 1))


def test_fewer_rows_are_a_convolution_of_stride_two_and_more_a_transposed_one():
    x = drawn(2, 12, 6)
    down, up = (module((4, 6, 3)).requires_grad_(False) for module in (Downsample, Upsample))
    product = down.convolution.product
    expected = F.conv1d(x, as_kernel(product), product.product.bias, stride=2, padding=1)
    torch.testing.assert_close(down(grouped(x, 4)), grouped(expected, 4))
    assert down.shape == (4, 3, 3) and up.shape == (4, 12, 3)
    even, odd = as_kernel(up.even), as_kernel(up.odd)  # taps (-1, 0) and (0, 1)
    kernel = torch.stack([odd[..., 1], even[..., 1], odd[..., 0], even[..., 0]], dim=2).transpose(0, 1)
    up.bias += drawn(4, 1, 3, seed=2)
    expected = F.conv_transpose1d(x, kernel, up.bias.flatten(), stride=2, padding=1)
    torch.testing.assert_close(up(grouped(x, 4)), grouped(expected, 4))


def test_the_norm_is_group_norm():
    x, block = drawn(2, 12, 6), ConvNorm((4, 6, 3), 8, 5, 2).requires_grad_(False)
    block.scale += drawn(2, 1, 4)
    block.shift += drawn(2, 1, 4, seed=1)
    product = block.convolution.product
    hidden = F.conv1d(x, as_kernel(product), product.product.bias, padding=2)
    expected = F.silu(F.group_norm(hidden, 2, block.scale.flatten(), block.shift.flatten()))
    torch.testing.assert_close(block(grouped(x, 4)), grouped(expected, 2))


# Configuration


def test_a_prior_of_before_keeps_its_name_and_its_checkpoint():
    """Priors of the benchmarks are found by a hash of their configuration: another one would train them all again."""
    identity = PriorConfig().identity()
    assert hashlib.sha256(json.dumps(identity).encode()).hexdigest().startswith("9ec6a5804a75")
    assert PriorConfig(**identity) == PriorConfig()
    assert PriorConfig(network="dit").identity() == identity | {"network": "dit"}


def test_a_configuration_survives_json():
    config = PriorConfig(network="unet", channels=(8, 16, 32))
    assert PriorConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    assert build(PriorConfig, {"network": "unet", "channels": [8, 16, 32]}) == config


@pytest.mark.parametrize(
    "options, text",
    [
        ({"network": "cnn"}, "network 'cnn' is not one of mlp, unet, dit"),
        ({"heads": 2}, "heads is no size of network 'mlp'"),
        ({"network": "unet", "blocks": 4}, "blocks is no size of network 'unet'"),
        ({"network": "unet", "channels": (12, 16)}, r"multiples of groups \(8\)"),
        ({"network": "unet", "channels": (16,)}, "two or more"),
        ({"network": "unet", "kernel": 4}, "kernel must be odd"),
        ({"network": "unet", "groups": 0}, "groups must be positive"),
        ({"network": "dit", "width": 30}, r"multiple of heads \(4\)"),
        ({"network": "dit", "kernel": 3}, "kernel is no size of network 'dit'"),
    ],
)
def test_sizes_that_do_not_fit_the_network_are_refused(options, text):
    with pytest.raises(PriorError, match=text):
        PriorConfig(**options)


def test_an_unknown_network_in_a_file_is_refused():
    with pytest.raises(ConfigError, match="'conv' is not one of mlp, unet, dit"):
        build(PriorConfig, {"network": "conv"})


def test_a_chunk_that_a_unet_cannot_halve_is_refused():
    with pytest.raises(PriorError, match=r"8 rows.*multiple of 16|multiple of 16"):
        make_denoiser((8, 3), STATE, PriorConfig(network="unet", channels=(8,) * 5))
    assert np.prod(make_denoiser((6, 3), STATE, SMALL["unet"]).noise_shape) == 18
