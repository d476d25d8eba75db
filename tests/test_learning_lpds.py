"""LP-DS on a two-mode bandit whose answer is known: improvement, trust region, dual, resume."""

import dataclasses

import numpy as np
import pytest
import torch

from lpds_ros.contract import load_contract
from lpds_ros.learning.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.networks import EnsembleMLP
from lpds_ros.records import Decision, Source
from lpds_ros.resources import resource

CONTRACT = load_contract(resource("config/contracts/lift.yaml"))
SHAPE, STATE = CONTRACT.noise_shape, CONTRACT.state_size
FAST = LearnerConfig(
    critic_width=64,
    actor_width=64,
    batch_size=64,
    warmup_decisions=200,
    learning_rate=3e-3,
    gamma=0.9,
    alpha_learning_rate=1e-2,
    critic_warmup_updates=0,
)
torch.set_num_threads(1)


def decode(state, noise):
    """A decoder whose action is its noise, squashed."""
    return np.tanh(noise).astype(np.float32)


def decision(rng, i, *, terminated=True, truncated=False, session="s"):
    """One-step episode: the reward is the mean of the first action column."""
    noise = rng.standard_normal(SHAPE).astype(np.float32)
    state = rng.standard_normal(STATE).astype(np.float32)
    chunk = decode(state[None], noise[None])[0]
    rewards = np.zeros(CONTRACT.horizons.executed, np.float32)
    rewards[0] = chunk[:, 0].mean()
    return Decision(
        session=session, decision_id=i, episode=i, index=0, stamp_ns=i, source=Source.PRIOR, weights_version=0,
        observation=state, noise=noise, delta=np.zeros_like(noise), chunk=chunk,
        executed=chunk[: CONTRACT.horizons.executed], sent=chunk[: CONTRACT.horizons.executed], rewards=rewards,
        ticks=CONTRACT.horizons.executed, tick_observations=np.zeros((0, CONTRACT.observation_size), np.float32),
        next_observation=state, terminated=terminated, truncated=truncated,
    )  # fmt: skip


def make(config=FAST, seed=0, decisions=300):
    learner = Learner(
        CONTRACT, decode, prior_digest="p" * 64, state_shift=np.zeros(STATE, np.float32),
        state_scale=np.ones(STATE, np.float32), config=config, seed=seed,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for i in range(decisions):
        assert learner.add(decision(rng, i))
    return learner


def steered_reward(learner):
    rng = np.random.default_rng(2)
    state = torch.from_numpy(rng.standard_normal((500, STATE)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((500, SHAPE[0] * SHAPE[1])).astype(np.float32))
    with torch.no_grad():
        delta = learner.published_actor(state, noise)
    latent = (noise + delta).numpy().reshape(-1, *SHAPE)
    return decode(state.numpy(), latent)[:, :, 0].mean(), delta.square().mean().item()


def test_improves_inside_the_trust_region_and_the_dual_wakes_up():
    learner = make()
    before, zero = steered_reward(learner)
    assert zero == 0.0  # version 0 is the prior
    for _ in range(400):
        metrics = learner.update()
    after, delta_sq = steered_reward(learner)
    assert after > before + 0.25
    assert metrics["dual/alpha"] > 0.0
    assert 0.3 * FAST.delta < delta_sq < 2.0 * FAST.delta


def test_without_the_lagrangian_the_region_is_left_up_to_the_hard_bound():
    learner = make(dataclasses.replace(FAST, lagrangian=False, bound_factor=2.0))
    for _ in range(400):
        metrics = learner.update()
    _, delta_sq = steered_reward(learner)
    assert metrics["dual/alpha"] == 0.0
    assert 2.0 * FAST.delta < delta_sq <= 4.0 * FAST.delta * 1.001  # radius = 2 sqrt(delta)


def test_each_decision_counts_once_and_updates_are_owed_for_it():
    learner = make(decisions=199)
    assert not learner.warm and learner.owed == 0
    rng = np.random.default_rng(3)
    known = decision(rng, 5)
    assert not learner.add(known)
    for i in range(199, 210):
        learner.add(decision(rng, i))
    assert learner.warm and learner.owed == 10 * FAST.updates_per_decision
    learner.update()
    assert learner.owed == 10 * FAST.updates_per_decision - 1


def test_the_actor_rests_until_the_critics_are_warm():
    learner = make(dataclasses.replace(FAST, critic_warmup_updates=5))
    assert learner.owed == 5 + 100 * FAST.updates_per_decision
    for _ in range(5):
        learner.update()
    assert steered_reward(learner)[1] == 0.0
    learner.update()
    assert steered_reward(learner)[1] > 0.0


def test_not_finite_or_ill_sized_decisions_are_refused():
    learner, rng = make(decisions=1), np.random.default_rng(0)
    bad = decision(rng, 7)
    with pytest.raises(ValueError, match="not finite"):
        learner.add(dataclasses.replace(bad, next_observation=np.full(STATE, np.nan, np.float32)))
    with pytest.raises(ValueError, match="executed has 4 numbers"):
        learner.add(dataclasses.replace(bad, executed=bad.executed[:1]))
    assert learner.replay.total == 1


def test_a_time_out_bootstraps_and_a_success_does_not():
    rng = np.random.default_rng(0)
    for flag, expected in ((False, 1.0), (True, 0.0)):
        learner = make(dataclasses.replace(FAST, timeout_terminates=flag), decisions=0)
        learner.add(decision(rng, 0, terminated=False, truncated=True))
        assert learner.replay.sample(1, np.random.default_rng(0)).bootstrap.item() == expected
    learner = make(decisions=0)
    learner.add(decision(rng, 0, terminated=True))
    assert learner.replay.sample(1, np.random.default_rng(0)).bootstrap.item() == 0.0


def test_an_action_is_the_whole_chunk_also_where_success_cut_it_short():
    rng = np.random.default_rng(0)
    whole = decision(rng, 0)
    cut = whole.executed.copy()
    cut[3:] = 0.0
    learner = make(decisions=0)
    learner.add(dataclasses.replace(whole, executed=cut, ticks=3))
    action = learner.replay.sample(1, np.random.default_rng(0)).action.numpy().reshape(cut.shape)
    assert np.array_equal(action, whole.chunk[: len(cut)])
    learner = make(decisions=0)
    empty = np.zeros((0, SHAPE[1]), np.float32)
    learner.add(dataclasses.replace(whole, executed=cut, ticks=3, chunk=empty, source=Source.OPERATOR))
    action = learner.replay.sample(1, np.random.default_rng(0)).action.numpy().reshape(cut.shape)
    assert np.array_equal(action[:3], cut[:3]) and (action[3:] == cut[2]).all()


def test_known_next_actions_are_decoded_again_only_as_often_as_asked():
    rows = {}
    for share in (0.0, 0.5, 1.0):
        counted = []

        def counting(state, noise, counted=counted):
            counted.append(len(state))
            return decode(state, noise)

        learner = make(dataclasses.replace(FAST, target_refresh=share, distill_fresh=2, distill_noises=3), decisions=200)
        learner._decode = counting
        for _ in range(60):
            learner.update()
        rows[share] = np.mean(counted[-20:]) - 6  # without those of the pool
    assert rows[0.0] < 1.0 and 24 < rows[0.5] < 40 and rows[1.0] == 64


def test_resume_continues_bit_for_bit(tmp_path):
    exact = dataclasses.replace(FAST, target_refresh=1.0)  # kept next actions are no part of a checkpoint
    straight = make(exact)
    for _ in range(20):
        straight.update()
    save_checkpoint(straight, tmp_path / "checkpoint")
    resumed = make(exact, seed=99)
    assert load_checkpoint(resumed, tmp_path / "checkpoint")
    assert resumed.updates == 20
    for _ in range(10):
        assert straight.update() == resumed.update()
    for a, b in zip(straight.actor_parameters().layers, resumed.actor_parameters().layers):
        assert np.array_equal(a[0], b[0])


def test_a_checkpoint_of_another_prior_is_refused_and_none_is_no_error(tmp_path):
    learner = make(decisions=0)
    assert not load_checkpoint(learner, tmp_path / "absent")
    save_checkpoint(learner, tmp_path / "checkpoint")
    learner.prior_digest = "q" * 64
    with pytest.raises(CheckpointError, match="prior_digest pppppppppppp is not this run's qqqqqqqqqqqq"):
        load_checkpoint(learner, tmp_path / "checkpoint")


def test_ensemble_equals_its_members_evaluated_one_by_one():
    torch.manual_seed(0)
    net, x = EnsembleMLP(3, 5, 16, 2), torch.randn(7, 5)
    for e in range(3):
        h = x
        for i in range(2):
            h = h @ net.weights[i][e] + net.biases[i][e]
            h = torch.relu(torch.nn.functional.layer_norm(h, (16,), net.gains[i][e, 0], net.shifts[i][e, 0]))
        value = (h @ net.weights[2][e] + net.biases[2][e])[:, 0]
        torch.testing.assert_close(net(x)[e], value, rtol=1e-5, atol=1e-6)


def test_a_smaller_spread_is_steered_and_published_and_the_critic_still_knows_all_of_the_noise():
    learner = make(dataclasses.replace(FAST, noise_scale=0.25))
    seen = {}
    actor = learner.actor.raw
    learner.actor.raw = lambda state, noise: seen.setdefault("actor", noise) is None or actor(state, noise)
    for _ in range(50):
        learner.update()
    assert seen["actor"].std().item() == pytest.approx(0.25, abs=0.03)
    _, latent, _ = learner.pool.sample(64, learner.rng)
    base = latent.unflatten(0, (-1, FAST.distill_noises))[:, : FAST.distill_noises // 2]
    assert base.std().item() == pytest.approx(1.0, abs=0.1)
    assert learner.actor_parameters().noise_scale == 0.25


def test_the_gain_is_what_every_critic_agrees_on_whatever_their_offsets():
    learner = make(dataclasses.replace(FAST, critics=2, actor_target="gain", lagrangian=False, actor_noises=1))
    slopes = {}

    def critic(inputs):  # offsets 0 and -100; the first critic values the first latent, the second its opposite, both the next
        latent = inputs[:, STATE:]
        values = torch.stack([latent[:, 0] + latent[:, 1], -100.0 - latent[:, 0] + latent[:, 1]])
        slopes[len(slopes)] = latent
        return values

    learner.noise_critic = critic
    before = learner.actor.layers[-1].bias.detach().clone()
    for _ in range(20):
        learner._update_actor(torch.zeros(64, STATE), learn=True)
    moved = learner.actor.layers[-1].bias.detach() - before
    assert moved[1] > 3 * moved[0].abs()  # by the least value alone, the second critic would pull the first latent down
    learner.config = dataclasses.replace(learner.config, actor_target="min")
    for _ in range(20):
        learner._update_actor(torch.zeros(64, STATE), learn=True)
    assert learner.actor.layers[-1].bias.detach()[0] - before[0] < moved[0] - 0.5 * moved[1]


def test_a_loss_that_is_not_finite_ends_the_learning_and_not_the_weights():
    learner = make(dataclasses.replace(FAST, warmup_decisions=50), decisions=60)
    learner.update()
    before = [p.detach().clone() for p in learner.actor.parameters()]
    with torch.no_grad():
        next(iter(learner.critic.parameters())).fill_(np.nan)
    learner.update()
    assert "critic's loss is nan" in learner.frozen
    learner.update()
    assert all(torch.equal(a, b) for a, b in zip(before, learner.actor.parameters()))


def test_a_checkpoint_whose_dual_is_no_multiplier_is_refused(tmp_path):
    for alpha in (float("nan"), -1.0):
        learner = make(decisions=0)
        learner.alpha = alpha
        save_checkpoint(learner, tmp_path)
        with pytest.raises(CheckpointError, match="alpha is"):
            load_checkpoint(make(decisions=0), tmp_path)
