"""DPPO: the denoising chain as a Gaussian policy, advantages of decisions, the clipped steps, resumption, a bandit it learns."""

import dataclasses

import numpy as np
import pytest
import torch
from bench_fixtures import small_task

from lpds_ros.bench.denoising import DenoisingPolicy, step_coefficients
from lpds_ros.bench.dppo import DppoConfig, DppoLearner
from lpds_ros.bench.evaluate import Probe
from lpds_ros.bench.methods import Frozen, configure, make_method
from lpds_ros.bench.priors import digest_of, load_prior
from lpds_ros.bench.returns import ReturnScale, advantages
from lpds_ros.bench.run import Plan, Run
from lpds_ros.bench.task import BenchError
from lpds_ros.contract import Horizons
from lpds_ros.learning.checkpoint import load_checkpoint, save_checkpoint
from lpds_ros.learning.replay import Transitions
from lpds_ros.prior.config import PriorConfig
from lpds_ros.prior.dataset import Normaliser
from lpds_ros.prior.network import MlpDenoiser
from lpds_ros.prior.sampler import Decoder, ddim_coefficients, network_times, signal_levels, time_steps
from lpds_ros.problem import Problem

PROBLEM = Problem("bandit", observation_size=3, action_size=2, horizons=Horizons(1, 4, 2))
PRIOR = PriorConfig(width=16, blocks=1, steps=5, train_steps=20)
ENVS = 16
FAST = dict(rollout_decisions=64, epochs=4, minibatches=2, critic_width=16, critic_layers=1, critic_warmup_rollouts=0)
torch.set_num_threads(1)


def decoder_of(config=PRIOR):
    """A decoder with random weights, and bounds that do not bind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = MlpDenoiser(8, 3, config.width, config.blocks, config.time_features)
        torch.nn.init.normal_(network.blocks[0].outer.weight, std=0.1)
    wide = np.full(2, 9.0, np.float32)
    shift, scale = np.full(3, 0.5, np.float32), np.full(3, 2.0, np.float32)
    normaliser = Normaliser(shift, scale, np.array([0.1, 0.2], np.float32), np.array([1.5, 0.5], np.float32), -wide, wide)
    return Decoder(network, normaliser, config, (4, 2)).eval().requires_grad_(False)


def policy_of(config=PRIOR, **changes):
    named = dict(trained=0, executed=2, min_sampling_std=0.1, min_logprob_std=0.1, noise_limit=3.0)
    return DenoisingPolicy(decoder_of(config), config, **named | changes)


def learner_of(seed=0, **changes):
    config = DppoConfig(**FAST | changes)
    return DppoLearner(PROBLEM, decoder_of(), PRIOR, prior_digest="p" * 64, envs=ENVS, config=config, seed=seed)


def inputs(count=64, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((count, 3), (count, 4, 2), (5, count, 8))
    return (rng.standard_normal(shape, np.float32) for shape in shapes)


def play(learner, decisions, seed=0):
    """One-step episodes whose reward is the mean of the executed actions' first number. Updates as they are owed."""
    rng, metrics = np.random.default_rng(seed), []
    for _ in range(decisions):
        state = rng.standard_normal((ENVS, 3)).astype(np.float32)
        chunk, chain = learner.sample(state, rng.standard_normal((ENVS, 4, 2), np.float32))
        over = np.ones(ENVS, bool)
        learner.extend(Transitions(state, chain, chunk[:, :2, 0].mean(1), over, ~over, state))
        while learner.owed:
            metrics.append(learner.update())
    return metrics


def reward_of(learner):
    state, noise, _ = inputs(400, seed=5)
    return learner.decode(state, noise)[:, :2, 0].mean()


def test_the_steps_are_ddims_without_noise_and_the_posterior_with():
    for steps in (5, 8, 20):
        exact = step_coefficients(20, steps, 0.0)
        assert np.allclose(exact[:, :2], ddim_coefficients(20, steps, "noise")[:, 2:]) and not exact[:, 2].any()
    # over all training steps η = 1 is the posterior of DDPM (Ho et al. 2020, eq. 7)
    now = signal_levels(20)[time_steps(20, 20)]
    before = np.append(now[1:], 1.0)
    beta = 1.0 - now / before
    c0 = np.sqrt(now / before) * (1.0 - before) / (1.0 - now)
    c1 = np.sqrt(before) * beta / (1.0 - now)
    sigma = np.sqrt((1.0 - before) / (1.0 - now) * beta)
    assert np.allclose(step_coefficients(20, 20, 1.0), np.stack([c0, c1, sigma], 1))


@pytest.mark.parametrize("prediction", ["sample", "noise"])
@pytest.mark.parametrize("trained", [0, 2])
def test_untrained_it_decodes_as_the_prior_does(prediction, trained):
    config = dataclasses.replace(PRIOR, prediction=prediction)
    policy, (state, noise, _) = policy_of(config, trained=trained), map(torch.from_numpy, inputs())
    expected = decoder_of(config)(state, noise)
    assert torch.equal(policy.decode(state, noise), expected)
    # the mean chain, without draws, differs from it by η alone
    policy._noisy = policy._exact
    chunk, chain = policy.sample(state, noise, torch.zeros(5, 64, 8))
    assert torch.equal(chunk, expected) and chain.shape == (64, (trained or 5) + 1, 8)


@pytest.mark.parametrize("prediction", ["sample", "noise"])
@pytest.mark.parametrize("trained", [5, 2])
def test_the_likelihood_is_that_of_the_draws(prediction, trained):
    config = dataclasses.replace(PRIOR, prediction=prediction)
    policy, (state, noise, draws) = policy_of(config, trained=trained), map(torch.from_numpy, inputs())
    prior, first, draws = policy.prior, 5 - trained, 2 * draws
    _, chain = policy.sample(state, noise, draws)
    assert torch.equal(chain[:, 0], noise.flatten(1)) == (trained == 5)
    normalised, times = (state - 0.5) / 2.0, network_times(config)
    levels = torch.tensor(np.append(signal_levels(20)[time_steps(20, 5)], 1.0), dtype=torch.float32)
    for k in range(trained):
        x, now, after = chain[:, k], levels[first + k], levels[first + k + 1]
        out = prior.network(x, normalised, torch.full((64,), float(times[first + k])))
        clean = (x - (1 - now).sqrt() * out) / now.sqrt() if prediction == "noise" else out
        clean = clean.clamp(-1.0, 1.0)
        sigma = ((1 - after) / (1 - now) * (1 - now / after)).sqrt()
        mean = after.sqrt() * clean + (1 - after - sigma**2).clamp(min=0).sqrt() * (x - now.sqrt() * clean) / (1 - now).sqrt()
        step = torch.distributions.Normal(mean, sigma.clamp(min=0.1))
        expected = step.log_prob(chain[:, k + 1])[:, :4].mean(1)  # two of four rows are executed
        found = policy.log_prob(state, x, chain[:, k + 1], torch.full((64,), k))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
        drawn = (chain[:, k + 1] - mean) / step.stddev
        torch.testing.assert_close(drawn, draws[first + k].clamp(-3.0, 3.0), rtol=1e-3, atol=1e-3)


def test_each_row_has_a_step_of_its_own():
    policy, (state, noise, draws) = policy_of(trained=3), map(torch.from_numpy, inputs(6))
    _, chain = policy.sample(state, noise, draws)
    k, row = torch.tensor([0, 1, 2, 0, 1, 2]), torch.arange(6)
    together = policy.log_prob(state, chain[row, k], chain[row, k + 1], k)
    alone = [policy.log_prob(state[i : i + 1], chain[i, k[i]][None], chain[i, k[i] + 1][None], k[i : i + 1]) for i in row]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_the_first_steps_stay_the_priors():
    policy, (state, noise, draws) = policy_of(trained=2), map(torch.from_numpy, inputs())
    chunk, chain = policy.sample(state, noise, draws)
    with torch.no_grad():
        for parameter in policy.parameters_trained():
            parameter.add_(0.1)
    moved, again = policy.sample(state, noise, draws)
    assert torch.equal(chain[:, 0], again[:, 0]) and not torch.equal(chunk, moved)
    assert not torch.equal(policy.decode(state, noise), decoder_of()(state, noise))


def test_advantages_are_the_discounted_sums_of_errors():
    rng = np.random.default_rng(0)
    reward, value, after = (torch.from_numpy(rng.standard_normal((6, 2))) for _ in range(3))
    bootstrap, cut = torch.ones(6, 2), torch.zeros(6, 2, dtype=torch.bool)
    bootstrap[2, 0], cut[2, 0], cut[3, 1] = 0.0, True, True  # a success in one, a time-out in the other
    gamma, trace = 0.9, 0.8
    found = advantages(reward, value, after, bootstrap, cut, (gamma, trace))
    error = reward + gamma * bootstrap * after - value
    for env, pieces in ((0, (range(0, 3), range(3, 6))), (1, (range(0, 4), range(4, 6)))):
        for piece in pieces:
            for t in piece:
                expected = sum((gamma * trace) ** (i - t) * error[i, env] for i in piece if i >= t)
                assert found[t, env].item() == pytest.approx(expected.item())


def test_an_episode_is_cut_where_the_next_state_does_not_follow():
    learner = learner_of(rollout_decisions=3 * ENVS, gamma=0.9, gae_lambda=1.0)
    for parameter in learner.critic.parameters():
        torch.nn.init.zeros_(parameter)
    rng, no = np.random.default_rng(0), np.zeros(ENVS, bool)
    states = rng.standard_normal((5, ENVS, 3)).astype(np.float32)
    follows = ((0, 1), (1, 2), (3, 4))  # the third decision begins elsewhere, as after a time-out
    for i, j in follows:
        _, chain = learner.sample(states[i], rng.standard_normal((ENVS, 4, 2), np.float32))
        learner.extend(Transitions(states[i], chain, np.ones(ENVS, np.float32), no, no, states[j]))
    learner.update()
    found = learner.judged.advantage.view(3, ENVS)[:, 0] * learner.scale.std
    assert found.tolist() == pytest.approx([1.9, 1.0, 1.0], rel=1e-4)


def test_rewards_are_divided_by_the_deviation_of_the_return():
    scale, rng = ReturnScale(4), np.random.default_rng(0)
    reward, ended = rng.standard_normal((50, 4)), rng.random((50, 4)) < 0.2
    running, returns = np.zeros(4), []
    for r, over in zip(reward, ended):
        scale.observe(r, over, 0.9)
        running = 0.9 * running + r
        returns.append(running)
        running = np.where(over, 0.0, running)
    assert scale.std == pytest.approx(np.std(returns), rel=1e-6)


def test_the_ratio_is_one_before_the_first_update():
    learner = learner_of(minibatches=1, epochs=2, actor_learning_rate=1e-2)
    (first, second) = play(learner, 4)
    assert first["policy/divergence"] == pytest.approx(0.0, abs=1e-6) and first["policy/clipped"] == 0.0
    assert second["policy/divergence"] > 1e-4


def test_an_epoch_meets_every_step_of_every_decision_once():
    learner, met = learner_of(epochs=2, minibatches=3), []
    update = learner._update_policy
    learner._update_policy = lambda state, chain, row, k: met.append(row * 5 + k) or update(state, chain, row, k)
    play(learner, 4)
    epochs = torch.cat(met[:3]), torch.cat(met[3:])
    assert all(torch.equal(epoch.sort().values, torch.arange(64 * 5)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_the_clip_and_the_discount_grow_along_the_chain():
    learner = learner_of(clip=0.1, clip_first=0.01, gamma_denoise=0.9)
    assert learner._clip[[0, -1]].tolist() == pytest.approx([0.01, 0.1]) and (learner._clip.diff() > 0).all()
    assert learner._discount.tolist() == pytest.approx([0.9**i for i in (4, 3, 2, 1, 0)])
    assert learner_of(trained_steps=1)._clip.tolist() == pytest.approx([DppoConfig().clip])


def test_it_learns_the_bandit_and_leaves_the_prior_alone():
    learner = learner_of(rollout_decisions=256, actor_learning_rate=1e-3)
    before, digest = reward_of(learner), digest_of(learner.policy.prior)
    metrics = play(learner, 400)
    assert reward_of(learner) > before + 0.2
    assert np.isfinite([value for found in metrics for value in found.values()]).all()
    assert digest_of(learner.policy.prior) == digest


def test_the_first_rollouts_are_for_the_critic_alone():
    learner = learner_of(critic_warmup_rollouts=1)
    before = reward_of(learner)
    metrics = play(learner, 4)
    assert len(metrics) == 8 and not any("actor/loss" in found for found in metrics) and reward_of(learner) == before
    play(learner, 4)
    assert reward_of(learner) != before


@pytest.mark.parametrize("stop", ["in a rollout", "between its updates"])
def test_resume_continues_bit_for_bit(stop, tmp_path):
    straight, resumed = learner_of(), learner_of()
    play(straight, 6)
    if stop == "between its updates":
        state, noise, _ = inputs(ENVS)
        for reward in (1.0, -1.0):
            _, chain = straight.sample(state, noise)
            over = np.ones(ENVS, bool)
            straight.extend(Transitions(state, chain, np.full(ENVS, reward, np.float32), over, ~over, state))
        assert straight.owed == 8
        straight.update()
    save_checkpoint(straight, tmp_path / "checkpoint")
    with (tmp_path / "replay.npz").open("wb") as stream:
        np.savez(stream, **straight.replay.arrays())
    assert load_checkpoint(resumed, tmp_path / "checkpoint")
    with np.load(tmp_path / "replay.npz") as arrays:
        resumed.replay.restore(arrays)
    for learner in (straight, resumed):
        while learner.owed:
            learner.update()
    assert play(straight, 10, seed=1) == play(resumed, 10, seed=1)
    assert reward_of(straight) == reward_of(resumed) != reward_of(learner_of())


def test_decisions_that_come_before_the_updates_owed_are_left_out():
    learner, (state, noise, _) = learner_of(), inputs(ENVS)
    over = np.ones(ENVS, bool)
    for _ in range(5):
        _, chain = learner.sample(state, noise)
        learner.extend(Transitions(state, chain, np.zeros(ENVS, np.float32), over, ~over, state))
    assert learner.replay.total == 64 and learner.owed == 8
    with pytest.raises(ValueError, match="one of each of the 16 environments"):
        learner.extend(Transitions(state[:3], chain[:3], np.zeros(3, np.float32), over[:3], ~over[:3], state[:3]))


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return load_prior(small_task(), tmp_path_factory.mktemp("bench"))


def test_version_0_is_the_prior_and_chance_comes_from_the_noise_alone(prior):
    method = make_method("dppo", prior, configure("dppo", prior.task), 0)
    rng = np.random.default_rng(0)
    state, noise = rng.standard_normal((9, 2)).astype(np.float32), rng.standard_normal((9, 4, 2), np.float32)
    assert np.array_equal(method.choose(state, noise).chunk, Frozen(prior).choose(state, noise).chunk)
    explored = method.explore(state, noise)
    assert explored.chain.shape == (9, 6 * 8)
    assert not np.array_equal(explored.chunk, method.explore(state, noise).chunk)


def test_an_interrupted_run_goes_on_between_two_updates(prior, tmp_path):
    plan, probe = Plan(prior.task, "dppo", 0, 600), Probe(prior, episodes=4)
    first, updates = Run(plan, prior, probe, tmp_path / "run"), []
    update = first.method.learner.update
    first.method.learner.update = lambda: updates.append(0) or update()
    assert first.run(lambda: len(updates) >= 3) is None
    second = Run(plan, prior, probe, tmp_path / "run")
    assert second.method.learner.updates == 3 and second.method.learner.owed > 0
    row = second.run()
    assert row["environment_steps"] >= 600 and row["resumed"] == 1 and row["updates"] % 8 == 0


def test_what_it_cannot_do_is_told(prior):
    flow = dataclasses.replace(prior, config=dataclasses.replace(prior.config, kind="flow"))
    with pytest.raises(BenchError, match="needs a diffusion prior"):
        make_method("dppo", flow, configure("dppo", prior.task), 0)
    with pytest.raises(BenchError, match=r"trained_steps must lie in \[0, 5\]"):
        make_method("dppo:trained_steps=6", prior, configure("dppo:trained_steps=6", prior.task), 0)
    with pytest.raises(BenchError, match="clip must be positive"):
        configure("dppo:clip=0", prior.task)
