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
from lpds_ros.data.mapping import load_mapping
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


ROBOMIMICS = """\
fps: 20
observation:
  ee_position: {key: robot0_eef_pos}
  gripper_width: {key: robot0_gripper_qpos, weights: [1, -1]}
  object_position: {key: object, columns: [0, 1, 2]}
  object_from_ee: {difference: [object_position, ee_position]}
  object_orientation: {key: object, columns: [3, 4, 5, 6], quaternion: xyzw}
action: {space: delta_pose, metres_per_unit: 0.05, gripper: 6}
"""


def robomimics_file(path, steps=0.2):
    """A file in the layout of robomimic's published low-dimensional Lift: two demonstrations, masks, no contract."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = 11
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_type": 1, "env_kwargs": {"control_freq": 20}})
        for i, ticks in enumerate((5, 6)):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"], demo.attrs["model_file"] = ticks, "<mujoco/>"
            for folder in ("obs", "next_obs"):
                demo[f"{folder}/robot0_eef_pos"] = rng.uniform(size=(ticks, 3))
                demo[f"{folder}/robot0_eef_quat"] = np.tile([1.0, 0, 0, 0], (ticks, 1))
                demo[f"{folder}/robot0_gripper_qpos"] = np.tile([0.02, -0.02], (ticks, 1))
                demo[f"{folder}/object"] = np.concatenate([rng.uniform(size=(ticks, 3)), np.tile([0, 0, 0, -1.0], (ticks, 1)),
                                                           np.zeros((ticks, 3))], axis=1)
            demo["actions"] = np.concatenate([rng.uniform(-steps, steps, (ticks, 6)), np.full((ticks, 1), -1.0)], axis=1)
            demo["rewards"] = np.arange(ticks) == ticks - 1
            demo["dones"], demo["states"] = np.zeros(ticks), np.zeros((ticks, 32))
        file["mask/train"] = np.array([b"demo_1"])
        file["mask/broken"] = np.array([b"demo_1", b"demo_7"])
    return path


def robomimics_mapping(path, text=ROBOMIMICS):
    path.write_text(text)
    return load_mapping(path)


def test_robomimics_own_file_through_a_mapping(tmp_path):
    path, mapping = robomimics_file(tmp_path / "low_dim.hdf5"), robomimics_mapping(tmp_path / "m.yaml")
    demos, where = read_demos(path, CONTRACT, mapping=mapping).demonstrations, CONTRACT.feature_slices()
    with h5py.File(path) as file:
        theirs = file["data/demo_0"]
        assert np.array_equal(demos[0].observations[:, where["ee_position"]], theirs["obs/robot0_eef_pos"][()].astype(np.float32))
        assert np.array_equal(demos[0].actions[:, :3], (theirs["actions"][:, :3] * 4.0).astype(np.float32)), "0.05 m to 0.0125 m"
        assert np.array_equal(demos[0].final_observation[:3], theirs["next_obs/robot0_eef_pos"][-1].astype(np.float32))
    assert demos[0].observations[:, where["gripper_width"]].ravel() == pytest.approx([0.04] * 5)
    assert demos[0].observations[:, where["object_orientation"]].tolist() == [[0.0, 0.0, 0.0, 1.0]] * 5, "w >= 0"
    assert demos[0].success and demos[0].actions[:, 3].tolist() == [-1.0] * 5
    assert [len(demo) for demo in read_demos(path, CONTRACT, mapping=mapping, mask="train").demonstrations] == [6]


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("fps: 20", "fps: 30", "recorded at 30 Hz"),
        ("robot0_eef_pos", "robot0_eef_poss", "no 'robot0_eef_poss', did you mean 'robot0_eef_pos'"),
        ("columns: [0, 1, 2]", "columns: [0, 1]", "has 3 numbers, its mapping gives 2"),
        ("columns: [0, 1, 2]", "columns: [0, 1, 99]", "column 99 of 10"),
        ("weights: [1, -1]", "weights: [1]", "1 weights"),
        ("  gripper_width:", "  grippr_width:", "did you mean 'gripper_width'"),
        ("gripper: 6", "gripper: 6, opened: 1", "must differ"),
        ("metres_per_unit: 0.05", "metres_per_unit: 0.5", "times the contract's largest"),
    ],
)
def test_a_mapping_that_does_not_fit_says_why(tmp_path, old, new, text):
    path = robomimics_file(tmp_path / "low_dim.hdf5")
    with pytest.raises(ValueError, match=text):
        read_demos(path, CONTRACT, mapping=robomimics_mapping(tmp_path / "m.yaml", ROBOMIMICS.replace(old, new)))


def test_masks_that_are_not_there_are_refused(tmp_path):
    path, mapping = robomimics_file(tmp_path / "low_dim.hdf5"), robomimics_mapping(tmp_path / "m.yaml")
    for mask, text in (("trian", "no mask 'trian', did you mean 'train'"), ("broken", "names 'demo_7', which is not")):
        with pytest.raises(DemoError, match=text):
            read_demos(path, CONTRACT, mapping=mapping, mask=mask)
