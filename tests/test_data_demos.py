"""Demonstrations: the same numbers through every file format, robomimic's layout, and the learner's chunks."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from synthetic_demos import small_contract, synthetic_demos

from lpds_ros.contract import ContractError
from lpds_ros.data.demos import (
    DemoError,
    Demonstration,
    decisions_from_demo,
    demos_from_log,
    digest_demos,
    read_demos,
    write_demos_hdf5,
    write_demos_log,
)
from lpds_ros.data.rollout_log import RolloutLogWriter
from lpds_ros.records import Episode, Source

CONTRACT = small_contract()


def same(first: Demonstration, second: Demonstration):
    for name in ("observations", "actions", "rewards", "final_observation"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
        assert getattr(second, name).dtype == np.float32
    assert (first.success, first.seed) == (second.success, second.seed)


def test_hdf5_round_trip_is_exact(tmp_path):
    demos = synthetic_demos(CONTRACT)
    file = read_demos(write_demos_hdf5(tmp_path / "demos.hdf5", demos, CONTRACT))
    assert file.contract == CONTRACT and file.digest == digest_demos(demos)
    for before, after in zip(demos, file.demonstrations, strict=True):
        same(before, after)
        assert after.operator == before.operator


def test_demonstration_order_is_numeric_not_alphabetic(tmp_path):
    demos = synthetic_demos(CONTRACT, count=12, ticks=4)
    found = read_demos(write_demos_hdf5(tmp_path / "demos.hdf5", demos, CONTRACT)).demonstrations
    assert [demo.seed for demo in found] == [demo.seed for demo in demos]


def test_layout_is_robomimics(tmp_path):
    demos = synthetic_demos(CONTRACT)
    with h5py.File(write_demos_hdf5(tmp_path / "demos.hdf5", demos, CONTRACT)) as file:
        data = file["data"]
        assert data.attrs["total"] == sum(map(len, demos))
        assert {"env_name", "env_type", "env_kwargs"} <= json.loads(data.attrs["env_args"]).keys()
        assert sorted(data) == [f"demo_{i}" for i in range(len(demos))]
        group, ticks = data["demo_1"], len(demos[1])
        assert group.attrs["num_samples"] == ticks
        assert group["actions"].shape == (ticks, 4) and np.abs(group["actions"][()]).max() <= 1.0
        assert group["rewards"].shape == group["dones"].shape == (ticks,) and group["dones"][-1] == 1
        assert len(group["states"]) == ticks
        for feature in CONTRACT.observation:
            now, after = group[f"obs/{feature.name}"], group[f"next_obs/{feature.name}"]
            assert now.shape == after.shape == (ticks, feature.size)
            assert np.array_equal(now[1:], after[:-1])
        assert list(file["mask/success"][()]) == [b"demo_0", b"demo_1", b"demo_2"]
        assert data.attrs["contract_digest"] == CONTRACT.digest
        assert json.loads(data.attrs["action"])["gripper"] == "positive_closes"


def test_a_file_of_another_recorder_needs_a_contract(tmp_path):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    with h5py.File(path, "a") as file:
        for name in ("contract", "contract_digest", "action"):
            del file["data"].attrs[name]
        for group in file["data"].values():
            del group["next_obs"], group.attrs["success"]
    with pytest.raises(DemoError, match="--contract"):
        read_demos(path)
    found = read_demos(path, CONTRACT).demonstrations
    assert [demo.success for demo in found] == [True, True, True, False]
    assert np.array_equal(found[0].final_observation, found[0].observations[-1])


def test_another_contract_is_refused_with_both_digests(tmp_path):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    other = dataclasses.replace(CONTRACT, rate_hz=10.0)
    with pytest.raises(ContractError, match=f"{CONTRACT.digest[:12]}.*{other.digest[:12]}"):
        read_demos(path, other)


def test_an_edited_contract_in_a_file_is_refused(tmp_path):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    with h5py.File(path, "a") as file:
        file["data"].attrs["contract"] = file["data"].attrs["contract"].replace("0.0125", "0.02")
    with pytest.raises(DemoError, match="digest"):
        read_demos(path)


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda g: g.__delitem__("obs/ee_position"), "ee_position"),
        (lambda g: g["actions"].__setitem__(0, 1.5), "outside"),
        (lambda g: g["actions"].__setitem__(0, np.nan), "not finite"),
        (lambda g: g.__delitem__("rewards"), "rewards"),
    ],
    ids=["no feature", "action too large", "not finite", "no rewards"],
)
def test_a_bad_file_is_refused_by_name(tmp_path, change, text):
    path = write_demos_hdf5(tmp_path / "demos.hdf5", synthetic_demos(CONTRACT), CONTRACT)
    with h5py.File(path, "a") as file:
        change(file["data/demo_1"])
    with pytest.raises(DemoError, match=text):
        read_demos(path)


def test_what_is_no_demonstration_file_is_refused(tmp_path):
    (tmp_path / "x.hdf5").write_bytes(b"not hdf5")
    for name, text in (("x.hdf5", "not a readable"), ("absent.hdf5", "no such file"), ("x.txt", "neither")):
        with pytest.raises(DemoError, match=text):
            read_demos(tmp_path / name)
    with pytest.raises(DemoError, match="as many observations"):
        Demonstration(np.zeros((3, CONTRACT.observation_size)), np.zeros((2, CONTRACT.action.size)), np.zeros(3), True)


def test_log_and_hdf5_hold_the_same_successful_demonstrations(tmp_path):
    demos = synthetic_demos(CONTRACT)
    file = read_demos(write_demos_log(tmp_path / "demos.mcap", demos, CONTRACT))
    assert file.contract == CONTRACT
    for before, after in zip(demos[:-1], file.demonstrations, strict=True):
        same(before, after)
    assert len(demos_from_log(tmp_path / "demos.mcap", successful_only=False)) == len(demos)


def test_only_whole_episodes_driven_by_the_operator_become_demonstrations(tmp_path):
    demos = synthetic_demos(CONTRACT, count=4)[:3]
    taken_over, gap, unfinished = (decisions_from_demo(demo, CONTRACT) for demo in demos)
    shape = CONTRACT.noise_shape
    steered = dataclasses.replace(
        taken_over[0], source=Source.STEERED, noise=np.zeros(shape), delta=np.zeros(shape), chunk=np.zeros(shape)
    )
    with RolloutLogWriter(tmp_path / "rollouts.mcap", CONTRACT) as log:
        for decisions in ([steered, *taken_over[1:]], gap[:-1]):
            for decision in decisions:
                log.write_decision(decision)
        for decisions in (taken_over, gap):
            log.write_episode(Episode(decisions[0].session, 0, 1, 5, True, 1.0, 20, len(decisions), "success", 0))
        for decision in unfinished:
            log.write_decision(decision)
    assert demos_from_log(tmp_path) == []


def test_an_episode_record_that_overtook_its_last_decision_loses_nothing(tmp_path):
    demo = synthetic_demos(CONTRACT)[0]
    decisions = decisions_from_demo(demo, CONTRACT)
    with RolloutLogWriter(tmp_path / "rollouts.mcap", CONTRACT) as log:
        for decision in decisions[:-1]:
            log.write_decision(decision)
        log.write_episode(Episode(decisions[0].session, 0, 100, 5, True, 1.0, 20, len(decisions), "success", 0))
        log.write_decision(decisions[-1])
    same(demo, demos_from_log(tmp_path)[0])


def test_chunks_for_the_replay_cover_every_tick_once():
    demo = synthetic_demos(CONTRACT, count=2, ticks=20)[0]  # chunks of 3: six whole ones and one of 2 ticks
    decisions = decisions_from_demo(demo, CONTRACT)
    assert [d.ticks for d in decisions] == [3] * 6 + [2]
    assert np.array_equal(np.concatenate([d.executed[: d.ticks] for d in decisions]), demo.actions)
    assert np.array_equal(np.concatenate([d.tick_observations for d in decisions]), demo.observations)
    assert np.concatenate([d.rewards[: d.ticks] for d in decisions]).sum() == demo.rewards.sum()
    assert [d.terminated for d in decisions] == [False] * 6 + [True] and not any(d.truncated for d in decisions)
    for now, after in zip(decisions, decisions[1:]):
        assert np.array_equal(now.next_observation, after.observation)
    d_o = CONTRACT.observation_size
    assert np.array_equal(decisions[-1].next_observation[-d_o:], demo.final_observation)
    assert np.array_equal(decisions[0].observation, np.tile(demo.observations[0], 2))
    last = decisions[-1].executed
    assert (last[2, :-1] == 0).all() and last[2, -1] == demo.actions[-1, -1], "an early end is no command to open"
    assert all(d.source == Source.OPERATOR and d.noise.shape == (0, 4) for d in decisions)


def test_an_unsuccessful_demonstration_is_truncated_not_terminated():
    last = decisions_from_demo(synthetic_demos(CONTRACT)[-1], CONTRACT)[-1]
    assert last.truncated and not last.terminated


def test_identity_of_a_demonstration_is_its_content():
    first, second = synthetic_demos(CONTRACT)[:2]
    keys = [
        d.key for demo in (first, second, synthetic_demos(CONTRACT)[0]) for d in decisions_from_demo(demo, CONTRACT)
    ]
    assert len(set(keys)) == len(decisions_from_demo(first, CONTRACT)) + len(decisions_from_demo(second, CONTRACT))
