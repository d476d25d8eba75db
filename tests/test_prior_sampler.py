"""The samplers: where they start, and that a perfect network is inverted exactly."""

import numpy as np
import pytest
import torch
from synthetic_demos import small_contract, synthetic_demos

from lpds_ros.prior.config import PriorConfig, PriorError
from lpds_ros.prior.dataset import Normaliser, chunks, fit_normaliser, split
from lpds_ros.prior.network import Denoiser
from lpds_ros.prior.sampler import Decoder, ddim_coefficients, signal_levels, time_steps

STATE, SHAPE = 3, (4, 2)


@pytest.mark.parametrize("train_steps, steps", [(20, 5), (20, 8), (20, 20), (100, 8), (7, 3), (20, 1)])
def test_ddim_starts_at_the_last_training_step(train_steps, steps):
    visited = time_steps(train_steps, steps)
    assert visited[0] == train_steps - 1, "leading spacing feeds pure noise at a level the network was not trained for"
    assert len(visited) == steps and (np.diff(visited) < 0).all() and visited[-1] >= 0


def test_the_first_level_trained_last_is_nearly_pure_noise_and_the_levels_fall():
    levels = signal_levels(20)
    assert levels[-1] < 1e-4 and levels[0] > 0.95 and (np.diff(levels) < 0).all()


class PerfectNetwork(Denoiser):
    """Predicts what the true network would, for one known clean chunk, whatever the state."""

    def __init__(self, config, clean):
        super().__init__(config.time_features)
        self.config, self.clean, self.asked = config, clean, []
        self.from_state = torch.nn.Linear(STATE, 1)

    def time_bias(self, time):
        return time[:, None]

    def step(self, x, condition):
        time = float(condition[0, 0] - self.from_state.bias[0])
        self.asked.append(time)
        if self.config.kind == "flow":
            return (self.clean - x) / (1.0 - time)
        level = signal_levels(self.config.train_steps)[round(time * self.config.train_steps)]
        if self.config.prediction == "sample":
            return self.clean.expand_as(x)
        return (x - np.sqrt(level) * self.clean) / np.sqrt(1.0 - level)


def identity_normaliser():
    zeros, ones = np.zeros(STATE, np.float32), np.ones(STATE, np.float32)
    zero, one = np.zeros(SHAPE[1], np.float32), np.ones(SHAPE[1], np.float32)
    return Normaliser(zeros, ones, zero, one, -one, one)


@pytest.mark.parametrize(
    "options",
    [
        {"prediction": "sample"},
        {"prediction": "noise"},
        {"prediction": "noise", "steps": 20},
        {"kind": "flow"},
        {"kind": "flow", "solver": "midpoint", "steps": 6},
    ],
    ids=str,
)
def test_a_perfect_network_recovers_the_clean_chunk(options):
    config = PriorConfig(**options)
    clean = torch.empty(1, SHAPE[0] * SHAPE[1]).uniform_(-0.9, 0.9, generator=torch.Generator().manual_seed(0))
    network = PerfectNetwork(config, clean)
    torch.nn.init.zeros_(network.from_state.weight)
    decoder = Decoder(network, identity_normaliser(), config, SHAPE)
    noise = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        action = decoder(torch.randn(5, STATE), noise)
    assert torch.allclose(action, clean.view(1, *SHAPE).expand(5, *SHAPE), atol=2e-3)
    first = (config.train_steps - 1) / config.train_steps if config.kind == "diffusion" else 0.0
    assert network.asked[0] == pytest.approx(first, abs=1e-5) and len(network.asked) == config.steps


def test_the_clean_estimate_is_clipped():
    coefficients = ddim_coefficients(20, 5, "noise")
    assert coefficients[0, 0] > 100.0, "without a clip the first noise estimate would be magnified beyond use"
    config = PriorConfig(prediction="noise")
    network = PerfectNetwork(config, torch.full((1, 8), 0.5))
    network.step = lambda x, condition: torch.full_like(x, -50.0)
    action = Decoder(network, identity_normaliser(), config, SHAPE)(torch.zeros(1, STATE), torch.zeros(1, *SHAPE))
    assert torch.isfinite(action).all() and action.abs().max() <= 1.0


def test_normalisation_covers_the_data_and_survives_dimensions_that_never_move():
    contract = small_contract()
    demos = synthetic_demos(contract)
    normaliser = fit_normaliser(demos, contract, PriorConfig())
    states, actions = chunks(demos, contract)
    normalised, unit = normaliser.normalise_state(states), normaliser.normalise_action(actions)
    assert np.isfinite(normalised).all() and np.abs(normalised).max() <= 1.0 + 1e-5
    assert unit.min() == pytest.approx(-1.0, abs=1e-5) and unit.max() == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(unit * normaliser.action_scale + normaliser.action_shift, actions, atol=1e-6)
    constant = contract.feature_slices()["object_orientation"]
    assert (normaliser.state_scale[constant] == 1.0).all()
    assert normaliser.state_shift.shape == (contract.state_size,)


def test_quantile_normalisation_keeps_an_outlier_from_squeezing_the_rest():
    contract = small_contract()
    demos = synthetic_demos(contract, ticks=200)
    for demo in demos:
        demo.actions[:, 0] *= 0.1
    demos[0].actions[0, 0] = 1.0
    plain = fit_normaliser(demos, contract, PriorConfig())
    robust = fit_normaliser(demos, contract, PriorConfig(action_normalisation="quantile"))
    assert robust.action_scale[0] < 0.5 * plain.action_scale[0]
    assert np.abs(robust.normalise_action(demos[0].actions)).max() <= 1.0


def test_chunks_repeat_the_last_action_and_the_first_observation_at_the_ends():
    contract = small_contract(observed=2, predicted=4)
    demo = synthetic_demos(contract, count=1, ticks=6)[0]
    states, actions = chunks([demo], contract)
    d_o = contract.observation_size
    assert states.shape == (6, 2 * d_o) and actions.shape == (6, 4, 4)
    assert (states[0, :d_o] == demo.observations[0]).all() and (states[0, d_o:] == demo.observations[0]).all()
    assert (states[3, :d_o] == demo.observations[2]).all() and (states[3, d_o:] == demo.observations[3]).all()
    assert (actions[1] == demo.actions[1:5]).all()
    assert (actions[4] == demo.actions[[4, 5, 5, 5]]).all()


def test_the_split_is_by_demonstration_and_by_seed():
    demos = synthetic_demos(small_contract(), count=10)
    training, held_out = split(demos, PriorConfig(seed=1, held_out_share=0.3))
    assert len(held_out) == 3 and {id(d) for d in training + held_out} == {id(d) for d in demos}
    assert [id(d) for d in split(demos, PriorConfig(seed=1, held_out_share=0.3))[1]] == [id(d) for d in held_out]
    assert split(demos[:1], PriorConfig())[1] == []


@pytest.mark.parametrize(
    "options, text",
    [
        ({"steps": 30}, "steps"),
        ({"width": 0}, "width"),
        ({"kind": "flow", "solver": "midpoint"}, "even"),
        ({"quantile": 0.6}, "quantile"),
    ],
)
def test_an_impossible_configuration_is_refused(options, text):
    with pytest.raises(PriorError, match=text):
        PriorConfig(**options)
