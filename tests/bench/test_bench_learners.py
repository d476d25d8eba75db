"""The learners the harness runs: batches of decisions in LP-DS's replay, and DSRL on a bandit whose answer is known."""

import dataclasses

import numpy as np
import pytest
import torch

from lpds_ros.bench.dsrl import DsrlConfig, DsrlLearner, NoisePolicy
from lpds_ros.bench.residual import ActionResidualLearner
from lpds_ros.contract import Horizons
from lpds_ros.learning.checkpoint import load_checkpoint, save_checkpoint
from lpds_ros.learning.config import LearnerConfig
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.replay import Replay, Transitions
from lpds_ros.problem import Problem

PROBLEM = Problem("bandit", observation_size=3, action_size=2, horizons=Horizons(1, 4, 2))
FAST = dict(critic_width=32, actor_width=32, batch_size=64, warmup_decisions=200, critic_warmup_updates=0, learning_rate=3e-3)
torch.set_num_threads(1)


def decode(state, noise):
    """A decoder whose action is its noise, squashed."""
    return np.tanh(noise).astype(np.float32)


def transitions(count, seed=1, learner=None, timeout=False):
    """One-step episodes whose reward is the mean of the first executed action."""
    rng = np.random.default_rng(seed)
    state = rng.standard_normal((count, 3)).astype(np.float32)
    latent = rng.standard_normal((count, 4, 2)).astype(np.float32)
    executed = decode(state, latent)[:, :2]
    action = executed if getattr(learner, "aliased", True) else latent.clip(-1.5, 1.5)
    over = np.ones(count, bool)
    return Transitions(
        state, action.reshape(count, -1), executed[:, :, 0].mean(1), over & (not timeout), over & timeout, state
    )


def make(cls, config, seed=0, **extra):
    learner = cls(
        PROBLEM, decode, prior_digest="p" * 64, state_shift=np.zeros(3, np.float32), state_scale=np.ones(3, np.float32),
        config=config, seed=seed, **extra,
    )  # fmt: skip
    learner.extend(transitions(300, learner=learner))
    return learner


def dsrl(seed=0, **changes):
    return make(DsrlLearner, DsrlConfig(**FAST | changes), seed)


def test_a_batch_is_stored_as_single_decisions_are():
    replay, given = Replay(PROBLEM, 1000), transitions(300)
    replay.extend(given)
    batch = replay.sample(50, np.random.default_rng(3))
    rows = np.random.default_rng(3).integers(0, 300, 50)
    assert np.array_equal(batch.state.numpy(), given.state[rows]) and np.array_equal(batch.reward.numpy(), given.reward[rows])
    assert replay.total == replay.size == 300 and not batch.bootstrap.any()


def test_the_ring_keeps_the_newest_and_survives_a_restart():
    replay, twin = Replay(PROBLEM, 128), Replay(PROBLEM, 128)
    for seed in range(3):
        replay.extend(transitions(50, seed))
    assert replay.size == 128 and replay.total == 150
    twin.restore(replay.arrays())
    for it in (replay, twin):
        it.extend(transitions(10, 9))
    for name, array in replay.arrays().items():
        assert np.array_equal(array, twin.arrays()[name])
    with pytest.raises(ValueError, match="capacity"):
        Replay(PROBLEM, 64).restore(replay.arrays())


def test_time_outs_bootstrap_unless_told_otherwise():
    for terminates in (False, True):
        replay = Replay(PROBLEM, 100, timeout_terminates=terminates)
        replay.extend(transitions(20, timeout=True))
        assert (replay.sample(5, np.random.default_rng(0)).bootstrap == float(not terminates)).all()


def test_bad_batches_are_refused_whole():
    replay, good = Replay(PROBLEM, 100), transitions(20)
    bad = good.next_state.copy()
    bad[7] = np.nan
    with pytest.raises(ValueError, match="next_state is not finite"):
        replay.extend(dataclasses.replace(good, next_state=bad))
    with pytest.raises(ValueError, match="action has shape"):
        replay.extend(dataclasses.replace(good, action=good.action[:, :3]))
    assert replay.total == 0


def test_the_policys_density_is_that_of_a_squashed_gaussian():
    torch.manual_seed(0)
    policy, state, draw = NoisePolicy(3, 8, 16, 2), torch.randn(10, 3), torch.randn(10, 8)
    unit, log_prob = policy(state, draw)
    hidden = state
    for layer in policy.hidden:
        hidden = torch.relu(layer(hidden))
    mean, log_std = policy.head(hidden).chunk(2, -1)
    base = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform())
    torch.testing.assert_close(log_prob, squashed.log_prob(unit).sum(-1), rtol=1e-3, atol=1e-3)


def reward_of(learner):
    rng = np.random.default_rng(5)
    state = rng.standard_normal((400, 3)).astype(np.float32)
    noise = rng.standard_normal((400, 4, 2)).astype(np.float32)
    latent = learner.choose(state, noise) if isinstance(learner, DsrlLearner) else noise + learner.perturb(state, noise)
    return decode(state, latent)[:, :2, 0].mean()


@pytest.mark.parametrize("changes", [{}, {"soft_backup": False, "alpha_init": 0.02}, {"variant": "sac", "alpha_init": 0.02}])
def test_dsrl_learns_the_bandit(changes):
    learner = dsrl(**changes)
    before = reward_of(learner)
    for _ in range(400):
        metrics = learner.update()
    assert reward_of(learner) > before + 0.2
    assert np.isfinite(list(metrics.values())).all()


def test_the_backups_differ_by_the_entropy_alone():
    soft, hard = dsrl(alpha_init=0.5), dsrl(alpha_init=0.5, soft_backup=False)
    for learner in (soft, hard):
        learner.extend(transitions(300, seed=2, timeout=True))  # bootstrapped
    assert soft.update()["critic/loss"] != hard.update()["critic/loss"]
    for a, b in zip(dsrl(alpha_init=0.5).critic.parameters(), dsrl(alpha_init=0.5, soft_backup=False).critic.parameters()):
        assert torch.equal(a, b)


def test_temperature_falls_when_the_policy_is_wider_than_its_target():
    learner = dsrl(target_entropy=-50.0, alpha_init=1.0)
    for _ in range(20):
        learner.update()
    assert learner.alpha < 1.0


@pytest.mark.parametrize(("cls", "config"), [(Learner, LearnerConfig), (DsrlLearner, DsrlConfig)])
def test_the_noise_critic_takes_its_share_of_the_steps(cls, config):
    learner = make(cls, config(**FAST, distill_share=0.4))
    assert ["distill/loss" in learner.update() for _ in range(10)] == [False, False, True, False, True] * 2


def test_an_update_may_have_nothing_to_decode():
    learner = make(Learner, LearnerConfig(**FAST, distill_share=0.5, target_refresh=0.0))
    learner._next_actions.put(np.arange(300), np.zeros((300, 4), np.float32))
    learner._decode = None  # is not asked
    assert np.isfinite(learner.update()["critic/loss"]) and learner.pool.total == 0


def test_the_noise_stays_within_the_magnitude():
    learner = dsrl(action_magnitude=0.7)
    draw = 10 * np.random.default_rng(0).standard_normal((50, 4, 2)).astype(np.float32)
    assert np.abs(learner.choose(np.zeros((50, 3), np.float32), draw)).max() <= 0.7


@pytest.mark.parametrize("cls", [DsrlLearner, Learner])
def test_resume_continues_bit_for_bit(cls, tmp_path):
    config = DsrlConfig(**FAST) if cls is DsrlLearner else LearnerConfig(**FAST, target_refresh=1.0)
    straight, resumed = make(cls, config), make(cls, config, seed=9)
    for _ in range(10):
        straight.update()
    save_checkpoint(straight, tmp_path / "checkpoint")
    assert load_checkpoint(resumed, tmp_path / "checkpoint")
    for _ in range(5):
        assert straight.update() == resumed.update()


def test_the_action_residual_improves_and_starts_at_the_prior():
    bounds = np.array([[-1.0, -1.0], [1.0, 1.0]], np.float32)
    learner = make(ActionResidualLearner, LearnerConfig(**FAST), bounds=bounds)
    state, noise = np.zeros((200, 3), np.float32), np.random.default_rng(0).standard_normal((200, 4, 2)).astype(np.float32)
    assert not learner.perturb(state, noise).any()
    for _ in range(300):
        learner.update()
    delta = learner.perturb(state, noise)
    executed = np.clip(decode(state, noise) + delta, -1, 1)[:, :2, 0].mean()
    assert executed > decode(state, noise)[:, :2, 0].mean() + 0.2


def test_demonstrations_reach_the_critic_of_noises():
    learner = make(Learner, LearnerConfig(**FAST | {"demo_share": 0.25, "distill_fresh": 8}))
    demos = transitions(100, seed=4)
    learner.add_demonstrations(dataclasses.replace(demos, state=np.full_like(demos.state, 55.0)))
    for _ in range(20):
        learner.update()
    stored = learner.pool.state[: learner.pool.total, 0, 0]
    assert 0.1 < (stored == 55.0).float().mean() < 0.4


def test_serials_follow_the_ring():
    learner = make(Learner, LearnerConfig(**FAST | {"replay_capacity": 7}))
    for i in range(20):
        one = transitions(1, seed=i)
        learner.extend(dataclasses.replace(one, reward=np.full(1, float(learner.replay.total), np.float32)))
    batch = learner.replay.sample(200, np.random.default_rng(0))
    assert torch.equal(batch.serial.float(), batch.reward) and len(batch.serial.unique()) == 7


def test_demonstrations_as_a_batch_take_their_share():
    learner = make(Learner, LearnerConfig(**FAST | {"demo_share": 0.5}))
    demos = transitions(100, seed=4)
    learner.add_demonstrations(dataclasses.replace(demos, reward=np.full(100, 77.0, np.float32)))
    assert (learner._batch().reward == 77.0).sum() == 32
