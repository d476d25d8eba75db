"""The steering core: chunks, books, takeover, holds and stops, tick by tick on a fake clock."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import observation_row
from steering_fakes import DOWN, SECOND, START, Cell, FakeDecoder, lift, random_actor

from lpds_ros.records import Mark, Mode, Source
from lpds_ros.steering.core import UNHURRIED, SteeringParams
from lpds_ros.weights import WeightsError, pack_weights, unpack_weights


def stream(ticks):
    """Every commanded position and orientation, in the order of sending."""
    return np.array([np.concatenate([t.position, t.orientation]) for tick in ticks for t in tick.targets])


def largest_step(cell):
    positions = stream(cell.ticks)[:, :3]
    return float(np.linalg.norm(np.diff(positions, axis=0, prepend=START[None]), axis=1).max())


# -- version 0 is the prior ------------------------------------------


def frozen_prior_stream(contract, decoder, *, seed, episode_seed, ticks):
    """The prior's command stream, written down again without the core: noise, decode, integrate, limit, interpolate."""
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, episode_seed], np.uint64)))
    position, sent = START.copy(), []
    low, high = np.array(contract.workspace.min_m), np.array(contract.workspace.max_m)
    for tick in range(ticks):
        if tick % contract.horizons.executed == 0:
            state = observation_row(contract, position, [0.5, 0.1, 0.02]).astype(np.float32)
            noise = generator.standard_normal(contract.noise_shape, dtype=np.float32)
            chunk = decoder.decode(state[None], noise[None])[0]
        step = contract.action.translation_scale_m * chunk[tick % contract.horizons.executed, :3].astype(np.float64)
        limit = 0.25 / contract.rate_hz * (1 + 1e-9)
        largest = np.abs(step).max()
        length = float(largest) * math.sqrt(float(np.square(step / largest).sum()))
        if length > limit:
            step = step * (limit / length)
        end = position + step
        assert ((low < end) & (end < high)).all()
        for i in range(5):
            between = end if i == 4 else position + (i + 1) / 5 * (end - position)
            sent.append(np.concatenate([between, DOWN]))
        position = end
    return np.array(sent)


@pytest.mark.parametrize("weights", ["none", "version 0"])
def test_version_0_commands_are_bit_equal_to_the_frozen_priors(weights):
    cell = Cell(seed=11)
    if weights == "version 0":
        cell.core.install_weights(random_actor(cell.contract, version=0))
    cell.steps(24)
    expected = frozen_prior_stream(cell.contract, FakeDecoder(), seed=11, episode_seed=7, ticks=24)
    assert stream(cell.ticks).tobytes() == expected.tobytes()
    assert {d.source for d in cell.decisions} == {Source.PRIOR}
    assert not any(d.delta.any() for d in cell.decisions)


def test_version_0_through_the_exported_decoder_is_bit_equal_too(tiny_bundle):
    from lpds_ros.prior.session import DecoderSession

    decoder = DecoderSession(tiny_bundle, provider="cpu")
    cell = Cell(contract=tiny_bundle.contract, decoder=decoder, seed=1)
    cell.steps(24)
    expected = frozen_prior_stream(tiny_bundle.contract, decoder, seed=1, episode_seed=7, ticks=24)
    assert stream(cell.ticks).tobytes() == expected.tobytes()
    assert cell.decisions[0].prior_digest == tiny_bundle.digest


def test_steered_commands_differ_and_their_perturbation_is_recorded():
    prior, steered = Cell(), Cell()
    steered.core.install_weights(random_actor(steered.contract, version=1, radius=0.7, scale=3.0))
    prior.steps(17), steered.steps(17)
    assert not np.array_equal(stream(prior.ticks), stream(steered.ticks))
    decision = steered.decisions[0]
    assert (decision.source, decision.weights_version) == (Source.STEERED, 1)
    assert 0 < np.linalg.norm(decision.delta) <= 0.7
    assert steered.ticks[0].delta_sq_mean == pytest.approx(np.mean(decision.delta.astype(float) ** 2))


def test_weights_steer_noise_of_the_spread_they_were_learned_for():
    whole, quiet = Cell(), Cell()
    weights = random_actor(whole.contract, version=1, radius=0.7)
    whole.core.install_weights(weights)
    blob = pack_weights(replace(weights, noise_scale=0.25))
    quiet.core.install_weights(unpack_weights(blob, contract=quiet.contract, prior_digest=""))
    whole.steps(17), quiet.steps(17)
    assert np.array_equal(0.25 * whole.decisions[0].noise, quiet.decisions[0].noise)
    first = quiet.decisions[0]
    chunk = quiet.decoder.decode(first.observation[None], (first.noise + first.delta)[None])
    assert np.array_equal(chunk[0], first.chunk)


@pytest.mark.parametrize("scale", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_spread_that_cannot_be_is_refused(scale):
    blob = pack_weights(replace(random_actor(lift()), noise_scale=scale))
    with pytest.raises(WeightsError, match="noise_scale"):
        unpack_weights(blob, contract=lift(), prior_digest="")


def test_noise_depends_on_run_seed_and_episode_seed_alone():
    first = Cell()
    first.steps(30)
    other = Cell(begin=False)
    other.core.begin_episode(0, 99)
    other.steps(5)
    other.step(success=True)
    other.core.begin_episode(5, 7)
    other.decisions.clear()
    other.position = START.copy()
    other.steps(17)
    assert np.array_equal(first.decisions[0].noise, other.decisions[0].noise)
    assert np.array_equal(first.decisions[1].noise, other.decisions[1].noise)
    assert not np.array_equal(first.decisions[0].noise, first.decisions[1].noise)


# -- chunks and books ------------------------------------------


def test_weights_are_taken_up_between_chunks_only():
    cell = Cell()
    cell.steps(3)
    cell.core.install_weights(random_actor(cell.contract, version=4))
    cell.steps(5)
    assert cell.core.weights_version == 0
    cell.step()
    assert cell.core.weights_version == 4
    cell.steps(8)
    assert [(d.source, d.weights_version) for d in cell.decisions] == [(Source.PRIOR, 0), (Source.STEERED, 4)]


def test_weights_of_another_shape_are_refused_and_the_old_ones_run_on():
    cell = Cell()
    other = lift(observed=2)
    text = f"state of {other.state_size} numbers, the contract gives {cell.contract.state_size}"
    with pytest.raises(ValueError, match=text):
        cell.core.install_weights(random_actor(other))
    cell.steps(9)
    assert cell.core.weights_version == 0


def test_a_decision_is_one_chunk_with_what_was_seen_asked_and_sent():
    cell = Cell()
    seen = [cell.observation().data]
    for k in range(8):
        cell.step(reward=0.5 * (k > 0))
        seen.append(cell.observation().data)
    cell.step(reward=2.0)
    (decision,) = cell.decisions
    assert decision.ticks == 8 and not decision.terminated and not decision.truncated
    assert np.array_equal(decision.tick_observations, np.array(seen[:8]))
    assert np.array_equal(decision.observation, seen[0]) and np.array_equal(decision.next_observation, seen[8])
    assert np.array_equal(decision.executed, decision.chunk)
    assert decision.rewards.tolist() == [0.5] * 7 + [2.0]
    assert decision.stamp_ns == SECOND and decision.contract_digest == cell.contract.digest


def test_sent_rows_lead_to_the_commanded_poses():
    cell = Cell(decoder=FakeDecoder(poison=lambda rows: rows * 5))
    cell.steps(9)
    (decision,) = cell.decisions
    ends = np.array([t.targets[-1].position for t in cell.ticks[:8]])
    steps = np.diff(ends, axis=0, prepend=START[None]) / cell.contract.action.translation_scale_m
    assert np.allclose(decision.sent[:, :3], steps, atol=1e-5)
    assert np.linalg.norm(decision.sent[:, :3], axis=1).max() <= 1 + 1e-5 < np.abs(decision.executed).max()


def test_ids_grow_by_one_through_the_session():
    cell = Cell()
    for episode in range(3):
        cell.steps(12)
        cell.step(success=True)
        cell.core.begin_episode(episode + 1, episode)
    assert [d.decision_id for d in cell.decisions] == list(range(6))
    assert [(d.episode, d.index) for d in cell.decisions] == [(e, i) for e in range(3) for i in range(2)]


def test_success_terminates_and_the_core_rests_until_the_next_episode():
    cell = Cell()
    cell.steps(11, reward=0.0)
    tick = cell.step(reward=1.0, success=True)
    assert tick.decision.terminated and not tick.decision.truncated and tick.decision.ticks == 3
    assert tick.decision.rewards.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    episode = tick.episode
    assert (episode.success, episode.reason, episode.ticks, episode.decisions) == (True, "success", 11, 2)
    assert episode.episode_return == 1.0 and episode.seed == 7
    rest = cell.step(reward=5.0)
    assert rest.mode == Mode.HOLD and rest.decision is None and rest.episode is None
    assert np.array_equal(rest.targets[0].position, tick.targets[-1].position)


def test_time_truncates_and_bootstraps_from_the_last_observation():
    cell = Cell(contract=lift(max_ticks=12))
    cell.steps(12)
    expected = cell.observation().data
    tick = cell.step()
    assert tick.episode.reason == "time" and not tick.episode.success and tick.episode.ticks == 12
    assert tick.decision.truncated and not tick.decision.terminated and tick.decision.ticks == 4
    assert np.array_equal(tick.decision.next_observation, expected)


def test_an_operator_without_a_policy_has_more_time():
    cell = Cell(contract=lift(max_ticks=12), decoder=None)
    for _ in range(UNHURRIED * 12):
        assert cell.step(cell.operator((0.1, 0.0, 0.0, 0.0))).episode is None
    episode = cell.step(cell.operator((0.1, 0.0, 0.0, 0.0))).episode
    assert episode.reason == "time" and episode.ticks == UNHURRIED * 12 > 12


def test_what_comes_with_the_first_observation_belongs_to_no_tick_of_the_episode():
    cell = Cell()
    tick = cell.step(reward=1.0, success=True)
    assert tick.episode is None
    cell.steps(3)
    assert cell.step(success=True).episode.episode_return == 0.0


def test_observations_before_the_reset_are_ignored():
    cell = Cell(begin=False)
    cell.core.begin_episode(0, 7, not_before_ns=cell.now_ns + 2 * cell.contract.period_ns)
    assert [tick.targets for tick in cell.steps(2, success=True)] == [(), ()]
    assert cell.step().source == Source.PRIOR


def test_a_running_episode_is_not_forgotten():
    cell = Cell()
    cell.steps(2)
    with pytest.raises(RuntimeError, match="episode 0 still runs"):
        cell.core.begin_episode(1, 8)


def test_the_stack_is_padded_at_the_start_and_shifts_on():
    cell = Cell(contract=lift(observed=3))
    first = cell.observation().data
    cell.step()
    second = cell.observation().data
    cell.steps(8)
    decision = cell.decisions[0]
    assert np.array_equal(decision.observation, np.tile(first, 3))
    assert not np.array_equal(first, second)
    oldest = decision.next_observation[: cell.contract.observation_size]
    assert oldest.tobytes() == decision.tick_observations[6].tobytes()


def test_the_stack_is_filled_anew_after_an_invalid_observation():
    cell = Cell(contract=lift(observed=5))
    cell.steps(4)
    cell.step(valid=False)
    fresh = []
    for _ in range(3):
        fresh.append(cell.observation().data)
        cell.step()
    decision = cell.step(success=True).decision
    assert np.array_equal(decision.observation, np.concatenate([fresh[0]] * 3 + fresh[1:]))


# -- takeover ------------------------------------------


def test_takeover_and_release_make_no_jump_and_cut_the_decisions():
    cell = Cell()
    cell.steps(3)
    for _ in range(5):
        cell.step(cell.operator((1.0, 0.0, -0.5, 0.0)))
    cell.steps(10)
    assert largest_step(cell) <= 0.0125 / 5 * (1 + 1e-6)
    policy, operator, after = cell.decisions
    assert (policy.source, policy.ticks, policy.terminated, policy.truncated) == (Source.PRIOR, 3, False, False)
    assert (operator.source, operator.ticks, operator.noise.shape) == (Source.OPERATOR, 5, (0, 4))
    assert np.array_equal(operator.executed[:5], np.tile(np.float32([1.0, 0.0, -0.5, 0.0]), (5, 1)))
    assert not operator.executed[5:].any()
    assert after.source == Source.PRIOR
    assert policy.next_observation.tobytes() == operator.observation.tobytes()
    assert operator.next_observation.tobytes() == after.observation.tobytes()


def test_the_operator_drives_in_chunks_of_executed_ticks():
    cell = Cell(decoder=None)
    for _ in range(20):
        cell.step(cell.operator((0.2, 0.0, 0.0, 0.0)))
    assert [(d.source, d.ticks) for d in cell.decisions] == [(Source.OPERATOR, 8)] * 2
    assert cell.step(cell.operator(), success=True).episode.operator_ticks == 20


def test_an_operators_action_is_clipped_to_the_unit_box():
    cell = Cell(decoder=None)
    cell.step(cell.operator((0.0, 7.0, 0.0, 9.0)))
    decision = cell.step(success=True).decision
    assert decision.executed[0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_without_a_policy_the_target_is_held_until_the_operator_drives():
    cell = Cell(decoder=None)
    tick = cell.step()
    assert (tick.mode, tick.source) == (Mode.HOLD, None) and "operator" in tick.reason
    assert np.array_equal(tick.targets[-1].position, START)
    assert cell.step(cell.operator((1.0, 0.0, 0.0, 0.0))).source == Source.OPERATOR


@pytest.mark.parametrize("mark, success", [(Mark.SUCCESS, True), (Mark.FAILURE, False)])
def test_marks_end_the_episode_where_the_operator_is_the_reward(mark, success):
    cell = Cell(contract=lift(reward="operator"), decoder=None)
    for _ in range(8):
        cell.step(cell.operator((0.5, 0.0, 0.0, 0.0)))
    cell.steps(3)  # hands off: the finished decision waits for the mark
    tick = cell.step(cell.operator(active=False, mark=mark))
    assert tick.decision.terminated and tick.decision.ticks == 8
    assert tick.decision.rewards.sum() == tick.episode.episode_return == float(success)
    assert (tick.episode.success, tick.episode.reason) == (success, "success" if success else "failure")


def test_a_success_mark_does_not_overrule_the_task_but_a_failure_mark_ends():
    cell = Cell()
    cell.steps(3)
    assert cell.step(cell.operator(active=False, mark=Mark.SUCCESS)).episode is None
    tick = cell.step(cell.operator(active=False, mark=Mark.FAILURE))
    assert tick.episode.reason == "failure" and tick.decision.terminated


def test_an_old_command_does_not_drive():
    cell = Cell()
    held = cell.operator((1.0, 0.0, 0.0, 0.0))
    sources = [cell.step(held).source for _ in range(9)]
    assert sources == [Source.OPERATOR] * 7 + [Source.PRIOR] * 2  # 0.3 s at 20 Hz


def test_a_mark_of_the_last_episode_does_not_end_the_next():
    cell = Cell()
    cell.steps(3)
    mark = cell.operator(active=False, mark=Mark.FAILURE)
    assert cell.step(mark).episode is not None
    cell.core.begin_episode(1, 8, not_before_ns=cell.now_ns)
    assert cell.step(mark).episode is None


def test_an_operator_who_sends_nonsense_holds_the_arm():
    cell = Cell()
    cell.steps(2)
    tick = cell.step(cell.operator((0.0, math.nan, 0.0, 0.0)))
    assert tick.mode == Mode.HOLD and tick.reason == "the operator's action[1] is nan"
    assert np.array_equal(tick.targets[-1].position, cell.ticks[1].targets[-1].position)


# -- hold, stop, fault ------------------------------------------


def test_an_invalid_observation_holds_names_the_stream_and_resumes_from_the_measured_pose():
    cell = Cell()
    cell.steps(4)
    before = cell.ticks[-1].targets[-1].position
    tick = cell.step(valid=False)
    assert tick.mode == Mode.HOLD and "stream 'object'" in tick.reason
    assert all(np.array_equal(t.position, before) for t in tick.targets) and len(tick.targets) == 5
    decision = tick.decision
    assert decision.truncated and not decision.terminated and decision.ticks == 3
    assert not decision.executed[3:].any() and not decision.sent[3:].any()
    cell.position = before + [0.01, 0.0, 0.0]  # the arm was pushed while it was held
    pushed = cell.position.copy()
    held = []
    for _ in range(2):
        held.append(cell.step())
        cell.position = pushed
    assert [t.mode for t in held] == [Mode.HOLD] * 2 and "clean again: 2 of 3" in held[1].reason
    resumed = cell.step()
    assert resumed.source == Source.PRIOR
    row = cell.core._open._executed[0, :3].astype(float) * cell.contract.action.translation_scale_m
    assert np.allclose(resumed.targets[-1].position, pushed + row, atol=1e-9)


def test_the_cut_decision_leads_to_the_last_valid_observation():
    cell = Cell()
    observations = []
    for _ in range(4):
        observations.append(cell.observation().data)
        cell.step()
    decision = cell.step(valid=False).decision
    assert np.array_equal(decision.next_observation, observations[3])
    assert np.array_equal(decision.tick_observations, np.array(observations[:3]))


def test_a_clean_count_starts_again_with_every_bad_observation():
    cell = Cell()
    cell.step()
    for valid in (False, True, True, False, True, True):
        assert cell.step(valid=valid).mode == Mode.HOLD
    assert cell.step().mode == Mode.PRIOR


def test_success_seen_with_an_invalid_observation_still_counts():
    cell = Cell()
    cell.steps(4)
    tick = cell.step(valid=False, success=True, reward=1.0)
    assert tick.episode.success and tick.decision.terminated and tick.decision.ticks == 4
    assert tick.decision.rewards[3] == 1.0


def test_nothing_is_commanded_before_the_first_valid_observation():
    cell = Cell()
    assert cell.step(valid=False).targets == ()
    assert cell.step().targets != ()


def test_a_clock_that_jumps_back_holds_once_and_goes_on():
    cell = Cell()
    cell.steps(3)
    cell.now_ns -= SECOND
    assert "not later" in cell.step().reason
    assert [t.mode for t in cell.steps(3)] == [Mode.HOLD, Mode.HOLD, Mode.PRIOR]


def test_stop_ends_the_episode_and_nothing_moves_until_armed():
    cell = Cell()
    cell.steps(3)
    cell.core.stop("the door is open")
    cell.core.stop("a later reason")
    tick = cell.step()
    assert (tick.mode, tick.reason, tick.episode.reason) == (Mode.STOP, "the door is open", "the door is open")
    assert tick.decision.truncated and tick.decision.ticks == 3
    after = cell.steps(10)
    assert {t.mode for t in after} == {Mode.STOP}
    assert np.ptp(stream(after)[:, :3], axis=0).max() == 0.0
    cell.core.arm()
    assert {t.mode for t in cell.steps(2)} == {Mode.HOLD}
    cell.core.begin_episode(1, 8)
    assert cell.step().mode == Mode.PRIOR


def test_the_operators_stop_is_a_stop():
    cell = Cell()
    cell.steps(2)
    assert cell.step(cell.operator(active=True, stop=True)).mode == Mode.STOP


def test_a_robot_in_error_stops_the_episode_and_is_sent_nothing_until_it_is_armed():
    cell = Cell()
    cell.steps(3)
    tick = cell.step(robot_error="the robot is in REFLEX: joint_reflex")
    assert (tick.mode, tick.reason) == (Mode.STOP, "the robot is in REFLEX: joint_reflex")
    assert tick.episode.reason == tick.reason and tick.decision.truncated and tick.targets == ()
    cell.position = cell.position + [0.1, 0.0, 0.0]  # a person moves the arm out of the way
    recovered = cell.steps(5)
    assert {t.mode for t in recovered} == {Mode.STOP}, "it is never cleared by itself"
    assert all(t.targets == () for t in recovered), "an old target would pull the recovered arm"
    cell.core.arm()
    assert {t.mode for t in cell.steps(2)} == {Mode.HOLD}
    cell.core.begin_episode(1, 8)
    measured = cell.position.copy()
    assert np.linalg.norm(cell.step().targets[-1].position - measured) <= 0.0125 * 1.001


def test_a_robot_in_error_stops_also_while_nothing_else_is_known():
    cell = Cell()
    cell.steps(2)
    assert cell.step(valid=False, robot_error="the robot is in USER_STOPPED").mode == Mode.STOP


def test_a_stopped_arm_is_relieved_to_its_measured_pose():
    cell = Cell()
    cell.steps(3)
    cell.position = cell.position + [0.0, 0.0, 0.02]  # pressing on something: the target lies below
    measured = cell.position.copy()
    cell.core.stop("pressed")
    tick = cell.step()
    assert np.array_equal(tick.targets[-1].position, measured)


def test_a_chunk_that_is_not_finite_falls_back_to_the_prior_then_to_hold():
    calls = []

    def poison(rows):
        calls.append(1)
        return np.full_like(rows, np.nan) if len(calls) == 1 or len(calls) > 2 else rows

    cell = Cell(decoder=FakeDecoder(poison))
    cell.core.install_weights(random_actor(cell.contract, version=2))
    tick = cell.step()
    assert tick.mode == Mode.PRIOR and tick.source == Source.PRIOR and "version 2 is not finite" in tick.reason
    cell.steps(7)
    held = cell.step()
    assert held.mode == Mode.HOLD and "not finite" in held.reason and held.decision.ticks == 8
    assert np.isfinite(stream(cell.ticks)).all()


def test_a_perturbation_that_is_not_finite_is_never_executed():
    cell = Cell()
    actor = random_actor(cell.contract, version=2)
    actor.layers[-1][1][:] = np.inf
    cell.core.install_weights(actor)
    tick = cell.step()
    assert tick.source == Source.PRIOR and "perturbation of version 2" in tick.reason
    assert np.array_equal(stream([tick]), stream([Cell().step()]))


def test_a_decoder_that_fails_holds_the_arm_and_is_tried_again():
    def fail(rows):
        if broken:
            raise MemoryError("out of memory")
        return rows

    broken = True
    cell = Cell(decoder=FakeDecoder(fail))
    tick = cell.step()
    assert tick.mode == Mode.HOLD and "MemoryError: out of memory" in tick.reason
    broken = False
    assert [t.mode for t in cell.steps(3)] == [Mode.HOLD, Mode.HOLD, Mode.PRIOR]


def test_an_internal_error_is_a_fault_with_a_traceback_and_the_arm_is_held():
    cell = Cell()
    cell.steps(2)
    target = cell.ticks[-1].targets[-1].position
    cell.core._gripper = None
    tick = cell.core.tick(cell.observation())
    assert tick.mode == Mode.FAULT and "internal error" in tick.reason and "Traceback" in cell.core.failure
    assert np.linalg.norm(tick.targets[-1].position - target) <= 0.0125 * 1.001


# -- gripper ------------------------------------------


def test_the_gripper_gets_events_on_change_only():
    cell = Cell(decoder=None)
    wishes = [0.0, 0.2, 0.9, 0.9, 0.1, -0.9] + [-0.9] * 8
    events = [cell.step(cell.operator((0.0, 0.0, 0.0, wish))).gripper for wish in wishes]
    # closed at tick 2, asked to open at 5, allowed 0.5 s (10 ticks) after the closing
    assert [(k, e) for k, e in enumerate(events) if e] == [(2, "close"), (12, "open")]


# -- whatever is asked for ------------------------------------------

WILD = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1e-45, -1e-45, 1e-38, 3e38, -3e38, math.nan, math.inf, 1.0, -1.0]),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(WILD, WILD, WILD, WILD), min_size=1, max_size=12))
def test_whatever_a_decoder_gives_the_targets_are_slow_inside_and_finite(rows):
    rows = np.array(rows, np.float32)
    chunks = iter(np.resize(rows, (1000, 8, 4)))
    cell = Cell(decoder=FakeDecoder(poison=lambda chunk: next(chunks)[None]))
    cell.position = np.array([0.74, 0.39, 0.01])
    start = cell.position.copy()
    cell.steps(20)
    positions = stream(cell.ticks)[:, :3]
    assert np.isfinite(positions).all()
    ends = positions[4::5]
    assert np.linalg.norm(np.diff(ends, axis=0, prepend=start[None]), axis=1).max() <= 0.0125 * (1 + 1e-6)
    box = cell.contract.workspace
    assert (positions >= np.array(box.min_m) - 1e-12).all() and (positions <= np.array(box.max_m) + 1e-12).all()


def test_params_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="anchor_m must be a positive number"):
        SteeringParams(anchor_m=math.nan)
    assert SteeringParams(target_hz=100).targets_per_period(0.05) == 5
    assert SteeringParams(target_hz=50).targets_per_period(1 / 30) == 2


def test_a_measured_pose_without_a_changed_bit_beside_moving_joints_holds():
    cell, frozen = Cell(), START.copy()
    cell.steps(2)

    def stuck(joint):
        observation = cell.observation()
        observation = replace(observation, position=frozen, joints=observation.joints + joint)
        cell.now_ns += cell.contract.period_ns
        return cell.core.tick(observation, None)

    assert [stuck(0.001 * i).mode for i in range(1, 4)] == [Mode.PRIOR] * 3
    held = stuck(0.004)
    assert held.mode is Mode.HOLD and "frozen" in held.reason
    frozen = frozen + 1e-12
    assert "1 of 3" in stuck(0.005).reason, "one bit is enough"
