"""What a learner keeps decoded, and the half precision it may train in."""

import numpy as np
import torch

from lpds_ros.learning.networks import EnsembleMLP
from lpds_ros.learning.pool import LatentPool, NextActions


def rows(first: int, states: int, latents: int = 2):
    """State k of width 3, its latents 10 k + m of width 1, their actions the latents' negative."""
    k = torch.arange(first, first + states).repeat_interleave(latents).float()
    latent = 10 * k + torch.arange(latents).repeat(states)
    return k[:, None].expand(-1, 3), latent[:, None], -latent[:, None]


def test_rows_of_a_state_stay_together_and_the_oldest_go_first():
    pool = LatentPool(4, 2, (3, 1, 1))
    pool.add(*rows(0, 3))
    pool.add(*rows(3, 3))  # states 2 to 5 are left
    state, latent, action = pool.sample(200, np.random.default_rng(0))
    assert state.shape == (400, 3) and latent.shape == (400, 1)
    assert set(state[:, 0].tolist()) == {2.0, 3.0, 4.0, 5.0}
    assert torch.equal(latent[:, 0], 10 * state[:, 0] + torch.arange(2).repeat(200)) and torch.equal(action, -latent)


def test_only_what_was_stored_is_drawn():
    pool = LatentPool(100, 2, (3, 1, 1))
    pool.add(*rows(7, 2))
    state, _, _ = pool.sample(50, np.random.default_rng(0))
    assert set(state[:, 0].tolist()) == {7.0, 8.0}


def test_next_actions_are_known_by_the_transition_not_by_its_place():
    kept = NextActions(4, 1)
    serial = np.array([0, 3, 5, -1])
    assert not kept.known(serial).any()
    kept.put(serial, np.array([[10.0], [13.0], [15.0], [99.0]], np.float32))
    assert kept.known(serial).tolist() == [True, True, True, False]  # −1 belongs to another replay
    assert kept.get(serial[:3])[:, 0].tolist() == [10.0, 13.0, 15.0]
    assert kept.known(np.array([1, 4, 7])).tolist() == [False, False, False]  # places 1, 0 and 3, other transitions


def test_a_pool_knows_tensors_of_its_size():
    pool = LatentPool(4, 2, (3, 1, 1))
    assert pool.fits(pool.state_dict()) and not pool.fits({}) and not pool.fits(LatentPool(5, 2, (3, 1, 1)).state_dict())


def test_half_precision_is_close_and_its_weights_stay_float32():
    torch.manual_seed(0)
    half, full, x = EnsembleMLP(2, 5, 64, 3, half=True), EnsembleMLP(2, 5, 64, 3), torch.randn(100, 5)
    full.load_state_dict(half.state_dict())
    error = (half(x) - full(x)).std() / full(x).std()
    assert 0 < error < 0.05
    half(x).sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in half.parameters())
