"""Time alignment: what enters an observation, and what makes it invalid by name."""

import math
from dataclasses import replace

import numpy as np
import pytest
from steering_fakes import lift

from lpds_ros.contract import Feature, Stream
from lpds_ros.perception.align import Aligner

SECOND = 1_000_000_000
MS = 1_000_000
TICK = 50 * MS


def feed(aligner, stamp_ns, *, only=("pose", "joint_state", "gripper", "object"), x=0.5):
    if "pose" in only:
        aligner.push_pose("pose", stamp_ns, [x, 0.1, 0.3], [1.0, 0.0, 0.0, 0.0])
    if "joint_state" in only:
        aligner.push_joints("joint_state", stamp_ns, np.arange(7.0), np.zeros(7), np.zeros(7))
    if "gripper" in only:
        aligner.push_joints("gripper", stamp_ns, [0.03, 0.031])
    if "object" in only:
        aligner.push_pose("object", stamp_ns, [0.5, 0.1, 0.02], [0.0, 0.0, -0.6, -0.8])


@pytest.fixture
def aligner():
    return Aligner(lift())


def test_features_come_in_the_contracts_order_as_float32_of_float64(aligner):
    feed(aligner, SECOND, x=0.1)
    aligner.push_task(SECOND, 0.25, False)
    observation = aligner.observe(SECOND, exact=True)
    expected = {
        "ee_position": [0.1, 0.1, 0.3],
        "gripper_width": [0.03 + 0.031],
        "object_position": [0.5, 0.1, 0.02],
        "object_from_ee": [0.5 - 0.1, 0.1 - 0.1, 0.02 - 0.3],
        "object_orientation": [0, 0, 0.6, 0.8],
    }
    assert list(expected) == [feature.name for feature in lift().observation]
    row = np.concatenate(list(expected.values()), dtype=np.float64).astype(np.float32)
    assert observation.valid and observation.data.tobytes() == row.tobytes()
    assert observation.joints.tolist() == list(range(7)) and observation.gripper_width == 0.061
    assert observation.reward == 0.25 and set(observation.ages_s.values()) == {0.0}


def test_a_relative_feature_is_subtracted_in_float64(aligner):
    hand, thing = np.array([0.123456700, -0.2, 0.3000001]), np.array([0.123456789, -0.2000003, 0.3])
    feed(aligner, SECOND, only=("joint_state", "gripper"))
    aligner.push_pose("pose", SECOND, hand, [1.0, 0.0, 0.0, 0.0])
    aligner.push_pose("object", SECOND, thing, [0.0, 0.0, 0.0, 1.0])
    seen = aligner.observe(SECOND).data[lift().feature_slices()["object_from_ee"]]
    rounded_first = thing.astype(np.float32) - hand.astype(np.float32)
    assert seen.tobytes() == (thing - hand).astype(np.float32).tobytes()
    assert not np.isclose(seen, rounded_first, rtol=1e-3, atol=0).any(), "these numbers must tell the two apart"


def leader_contract(size=7, reduce="none"):
    """lift, with the velocities of the joints against those of a leader arm's."""
    contract = lift()
    leader = Stream("leader/joint_states", "sensor_msgs/msg/JointState", 0.1)
    lag = Feature("lag", "joint_state", "velocity", size, reduce, relative_to="leader")
    return replace(contract, streams={**contract.streams, "leader": leader}, observation=(*contract.observation, lag))


@pytest.mark.parametrize("size, reduce", [(7, "none"), (1, "sum")])
def test_the_field_of_the_other_stream_is_needed_too(size, reduce):
    contract = leader_contract(size, reduce)
    aligner = Aligner(contract)
    feed(aligner, SECOND, only=("pose", "gripper", "object"))
    aligner.push_joints("joint_state", SECOND, np.zeros(7), np.arange(7.0))
    aligner.push_joints("leader", SECOND, np.zeros(7), np.full(7, 0.5))
    lag = aligner.observe(SECOND).data[contract.feature_slices()["lag"]]
    assert lag.tolist() == ((np.arange(7.0) - 0.5).tolist() if reduce == "none" else [21.0 - 3.5])
    aligner.push_joints("leader", SECOND + MS, np.zeros(7), np.full(7, math.nan))
    feed(aligner, SECOND + TICK, only=("pose", "gripper", "object", "joint_state"))
    assert "'leader'" in aligner.observe(SECOND + 150 * MS).reason


@pytest.mark.parametrize("count", [1, 6])
def test_another_count_in_the_other_stream_is_named(count):
    aligner = Aligner(leader_contract())
    feed(aligner, SECOND)
    aligner.push_joints("leader", SECOND, np.zeros(count), np.zeros(count))
    observation = aligner.observe(SECOND)
    assert not observation.valid and f"velocity holds {count} numbers, expected 7" in observation.reason


def test_quaternions_are_normalised_into_one_hemisphere(aligner):
    feed(aligner, SECOND)
    aligner.push_pose("object", SECOND + 1, [0.5, 0.1, 0.02], [0.0, 0.0, -0.6 * 1.01, -0.8 * 1.01])
    slices = lift().feature_slices()
    assert aligner.observe(SECOND + MS).data[slices["object_orientation"]] == pytest.approx([0, 0, 0.6, 0.8])


def test_the_newest_sample_not_younger_than_the_tick_is_taken(aligner):
    for k in range(5):
        feed(aligner, SECOND + k * 10 * MS, x=0.5 + k / 100)
    observation = aligner.observe(SECOND + 25 * MS)
    assert observation.data[0] == np.float32(0.52) and observation.ages_s["pose"] == pytest.approx(0.005)


@pytest.mark.parametrize("stream, topic, limit", [("object", "lpds/object_pose", 0.2), ("pose", "current_pose", 0.1)])
def test_an_old_stream_is_named_with_topic_age_and_limit(aligner, stream, topic, limit):
    others = {"pose", "joint_state", "gripper", "object"} - {stream}
    feed(aligner, SECOND)
    feed(aligner, SECOND + 310 * MS, only=others)
    observation = aligner.observe(SECOND + 310 * MS)
    assert not observation.valid and np.isnan(observation.data).all()
    assert observation.reason.startswith(f"stream '{stream}' (") and topic in observation.reason
    assert observation.reason.endswith(f"is 0.31 s old, limit {limit:.2f} s")
    assert ";" not in observation.reason


@pytest.mark.parametrize("age_ms, valid", [(99, True), (100, True), (101, False), (-19, True), (-21, False)])
def test_ages_are_checked_with_both_signs(aligner, age_ms, valid):
    now = 2 * SECOND
    feed(aligner, now, only=("joint_state", "gripper", "object"))
    feed(aligner, now - age_ms * MS, only=("pose",))
    observation = aligner.observe(now)
    assert observation.valid is valid, observation.reason
    assert observation.ages_s["pose"] == pytest.approx(age_ms / 1000)
    if age_ms < -20:
        assert "'pose'" in observation.reason and "in the future" in observation.reason


def test_a_future_stamp_does_not_stay_after_the_clock_is_right_again(aligner):
    feed(aligner, SECOND)
    feed(aligner, 5 * SECOND, only=("pose",))
    assert not aligner.observe(SECOND + MS).valid
    feed(aligner, SECOND + 10 * MS)
    assert aligner.observe(SECOND + 12 * MS).valid


def test_a_missing_stream_is_named_and_never_replaced_by_zero(aligner):
    feed(aligner, SECOND, only=("pose", "joint_state", "gripper"))
    observation = aligner.observe(SECOND)
    assert observation.reason == "stream 'object' (lpds/object_pose) has given no sample"
    assert math.isinf(observation.ages_s["object"]) and np.isfinite(observation.position).all()


def test_a_stream_without_stamps_is_refused(aligner):
    feed(aligner, SECOND, only=("pose", "joint_state", "gripper"))
    feed(aligner, 0, only=("object",))
    assert "'object'" in aligner.observe(SECOND).reason and "no time stamp" in aligner.observe(SECOND).reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused_by_name(aligner, bad):
    feed(aligner, SECOND)
    aligner.push_joints("joint_state", SECOND + 200 * MS, [0, 0, 0, bad, 0, 0, 0])
    feed(aligner, SECOND + 200 * MS, only=("pose", "gripper", "object"))
    reason = aligner.observe(SECOND + 200 * MS).reason
    assert "'joint_state'" in reason and f"position[3] is {bad}" in reason


def test_fields_the_contract_does_not_use_may_be_empty_or_nan(aligner):
    feed(aligner, SECOND, only=("pose", "object", "joint_state"))
    aligner.push_joints("gripper", SECOND, [0.04, 0.04], [math.nan], [])
    assert aligner.observe(SECOND).valid


def test_a_wrong_count_and_a_broken_quaternion_are_named(aligner):
    feed(aligner, SECOND, only=("gripper", "object"))
    aligner.push_joints("joint_state", SECOND, [0.0] * 6)
    aligner.push_pose("pose", SECOND, [0.5, 0, 0.3], [0.0, 0.0, 0.0, 0.2])
    reason = aligner.observe(SECOND).reason
    assert "position holds 6 numbers, expected 7" in reason and "orientation has length 0.2" in reason


def test_an_unknown_stream_is_an_error_naming_the_nearest(aligner):
    with pytest.raises(KeyError, match="did you mean 'object'"):
        aligner.push_pose("objekt", SECOND, [0, 0, 0], [0, 0, 0, 1])


def test_exact_wants_every_stream_and_the_task_at_the_very_stamp(aligner):
    feed(aligner, SECOND)
    assert not aligner.complete_at(SECOND)
    assert "task state (lpds/task_state) has no sample at 1.000 s" in aligner.observe(SECOND, exact=True).reason
    aligner.push_task(SECOND, 0.0, False)
    assert aligner.complete_at(SECOND) and aligner.observe(SECOND, exact=True).valid
    feed(aligner, SECOND + TICK, only=("pose", "joint_state", "gripper"))
    aligner.push_task(SECOND + TICK, 0.0, False)
    assert not aligner.complete_at(SECOND + TICK)
    assert (
        aligner.observe(SECOND + TICK, exact=True).reason
        == "stream 'object' (lpds/object_pose) has no sample at 1.050 s"
    )


def test_where_the_operator_rewards_no_task_state_is_needed():
    aligner = Aligner(lift(reward="operator"))
    feed(aligner, SECOND)
    assert aligner.complete_at(SECOND) and aligner.observe(SECOND, exact=True).valid


def test_rewards_are_summed_between_ticks_each_stamp_once(aligner):
    feed(aligner, SECOND)
    for ms, reward in ((10, 1.0), (30, 2.0), (30, 2.0), (60, 4.0)):
        aligner.push_task(SECOND + ms * MS, reward, ms == 30)
    first = aligner.observe(SECOND + 50 * MS)
    assert (first.reward, first.success) == (3.0, True)
    again = aligner.observe(SECOND + 50 * MS)
    assert (again.reward, again.success) == (3.0, True)
    second = aligner.observe(SECOND + 70 * MS)
    assert (second.reward, second.success) == (4.0, False)
    assert aligner.observe(SECOND + 80 * MS).reward == 0.0


def test_repeated_samples_change_nothing(aligner):
    feed(aligner, SECOND)
    aligner.push_task(SECOND, 1.0, False)
    first = aligner.observe(SECOND, exact=True)
    feed(aligner, SECOND, x=0.7)
    aligner.push_task(SECOND, 1.0, False)
    second = aligner.observe(SECOND, exact=True)
    assert second.data.tobytes() == first.data.tobytes() and second.reward == first.reward


def test_a_clock_that_goes_back_clears_what_was_held(aligner):
    feed(aligner, 9 * SECOND)
    aligner.push_task(9 * SECOND, 7.0, True)
    assert aligner.observe(9 * SECOND).valid
    assert not aligner.observe(SECOND).valid
    feed(aligner, SECOND + TICK)
    aligner.push_task(SECOND + TICK, 1.0, False)
    observation = aligner.observe(SECOND + TICK)
    assert observation.valid and (observation.reward, observation.success) == (1.0, False)


def test_the_history_is_bounded(aligner):
    for k in range(5000):
        aligner.push_pose("pose", SECOND + k * MS, [0.5, 0, 0.3], [0, 0, 0, 1])
        aligner.push_task(SECOND + k * MS, 0.0, False)
    assert len(aligner._streams["pose"].samples) <= 64 and len(aligner._tasks) <= 256
