"""Published data sets are read as they lie on the disk, and what does not fit is named."""

import json

import h5py
import numpy as np
import pytest

from lpds_ros import cli
from lpds_ros.bench.datasets import read_dataset, read_minari, read_robomimic
from lpds_ros.bench.demonstrations import read_demonstrations
from lpds_ros.contract import Horizons
from lpds_ros.data.demonstration import DemoError
from lpds_ros.problem import Problem

WIDTHS = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "object": 10}
LIFT = Problem("Lift", 19, 7, Horizons(1, 4, 4))
PLANE = Problem("plane", 3, 2, Horizons(1, 4, 4))


def robomimic_file(path, lengths=(5, 6, 7), widths=WIDTHS, *, next_obs=True, rewards=None, name="Lift"):
    """A file in the published layout; every number of demo i at step t is i + t / 100, so that rows can be told apart."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": name, "type": 1, "env_kwargs": {}})
        for i, length in enumerate(lengths):
            demo = data.create_group(f"demo_{i}")
            steps = i + np.arange(length + 1)[:, None] / 100
            for key, width in widths.items():
                demo[f"obs/{key}"] = np.tile(steps[:-1], (1, width))
                if next_obs:
                    demo[f"next_obs/{key}"] = np.tile(steps[1:], (1, width))
            demo["actions"] = np.full((length, 7 * (1 + ("robot1_eef_pos" in widths))), 0.5)
            demo["rewards"] = np.eye(length)[-1] if rewards is None else rewards[:length]
            demo["dones"] = np.eye(length)[-1].astype(int)
        file["mask/train"] = np.array(["demo_2", "demo_0"], dtype="S8")
    return path


def test_a_robomimic_file_becomes_demonstrations(tmp_path):
    demos = read_dataset(robomimic_file(tmp_path / "low_dim.hdf5"), LIFT, environment="Lift")
    assert [len(demo) for demo in demos] == [5, 6, 7] and all(demo.success for demo in demos)
    assert demos[1].observations.shape == (6, 19)
    np.testing.assert_allclose(demos[1].observations[4], 1.04, rtol=1e-6)
    np.testing.assert_allclose(demos[1].final_observation, 1.06, rtol=1e-6)


def test_episodes_are_in_order_of_their_numbers(tmp_path):
    demos = read_robomimic(robomimic_file(tmp_path / "many.hdf5", lengths=range(3, 15)))
    assert [len(demo) for demo in demos] == list(range(3, 15))


def test_without_next_observations_the_last_one_is_kept(tmp_path):
    demo = read_robomimic(robomimic_file(tmp_path / "old.hdf5", next_obs=False))[0]
    assert np.array_equal(demo.final_observation, demo.observations[-1])


def test_two_arms_and_robosuites_name_for_the_object(tmp_path):
    widths = {key.replace("0", arm): width for arm in "01" for key, width in WIDTHS.items() if key != "object"}
    path = robomimic_file(tmp_path / "transport.hdf5", widths=widths | {"object-state": 41})
    problem = Problem("Transport", 59, 14, Horizons(1, 8, 8))
    assert read_dataset(path, problem)[0].observations.shape == (5, 59)


def test_an_episode_is_cut_at_its_first_success(tmp_path):
    demo = read_robomimic(robomimic_file(tmp_path / "long.hdf5", rewards=np.array([0, 0, 1, 0, 1, 1, 1.0])))[0]
    assert demo.rewards.tolist() == [0, 0, 1]
    np.testing.assert_allclose(demo.final_observation, 0.03, rtol=1e-6)
    failed = read_robomimic(robomimic_file(tmp_path / "failed.hdf5", rewards=np.zeros(9)))[0]
    assert not failed.success and len(failed) == 5


def test_the_command_imports_a_file_for_a_task(tmp_path, capsys):
    file = robomimic_file(tmp_path / "low_dim.hdf5")
    command = ["bench", "demos", "--suite", "robomimic", "--root", str(tmp_path / "root"), "--from", str(file)]
    lift = [*command, "--task", "Lift", "--mask", "train"]
    assert cli.main(lift) == 0 and "2 episodes of" in capsys.readouterr().out
    found = read_demonstrations(tmp_path / "root/demos/robomimic/Lift/demos.npz", "")
    assert [len(demo) for demo in found] == [5, 7]  # by number: demo_0, demo_2
    assert cli.main(lift) == 2 and "--again replaces" in capsys.readouterr().err
    assert cli.main(command) == 2 and "name it with --task" in capsys.readouterr().err
    other = robomimic_file(tmp_path / "can.hdf5", widths=WIDTHS | {"object": 14}, name="NutAssemblySquare")
    assert cli.main([*command[:-1], str(other), "--task", "Can"]) == 2
    assert "of NutAssemblySquare, not of PickPlaceCan" in capsys.readouterr().err


def test_a_mask_chooses_episodes(tmp_path):
    path = robomimic_file(tmp_path / "masked.hdf5")
    assert [len(demo) for demo in read_dataset(path, LIFT, mask="train")] == [5, 7]
    with pytest.raises(DemoError, match="no mask 'trian', did you mean 'train'"):
        read_dataset(path, LIFT, mask="trian")
    with h5py.File(path, "a") as file:
        file["mask/other"] = np.array(["demo_9"], dtype="S8")
    with pytest.raises(DemoError, match="mask 'other' names demo_9"):
        read_dataset(path, LIFT, mask="other")


def test_what_does_not_fit_the_task_is_named(tmp_path):
    path = robomimic_file(tmp_path / "a.hdf5")
    with pytest.raises(DemoError, match="holds demonstrations of Lift, not of PickPlaceCan"):
        read_dataset(path, LIFT, environment="PickPlaceCan")
    with pytest.raises(DemoError, match="19 and 7 numbers, contract 'Can' asks for 23 and 7"):
        read_dataset(path, Problem("Can", 23, 7, Horizons(1, 4, 4)))
    with h5py.File(path, "a") as file:
        file["data/demo_1/actions"][2] = 1.5
    with pytest.raises(DemoError, match=r"episode 1: an action of 1\.5"):
        read_dataset(path, LIFT)


def test_missing_arrays_are_named_with_what_there_is(tmp_path):
    path = robomimic_file(tmp_path / "b.hdf5", widths={k: v for k, v in WIDTHS.items() if k != "robot0_eef_quat"})
    with pytest.raises(DemoError, match="demo_0: no observation robot0_eef_quat; the file has object"):
        read_robomimic(path)
    with h5py.File(robomimic_file(tmp_path / "c.hdf5"), "a") as file:
        del file["data/demo_2/rewards"]
    with pytest.raises(DemoError, match="demo_2: no dataset 'rewards'"):
        read_robomimic(tmp_path / "c.hdf5")
    with h5py.File(robomimic_file(tmp_path / "d.hdf5"), "a") as file:
        del file["data/demo_0/obs"]
    with pytest.raises(DemoError, match="demo_0: has no observations"):
        read_robomimic(tmp_path / "d.hdf5")
    path = robomimic_file(tmp_path / "e.hdf5", rewards=np.linspace(0, 0.9, 9))
    with pytest.raises(DemoError, match="shaped rewards"):
        read_robomimic(path)


def test_what_is_no_data_set_is_said(tmp_path):
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(DemoError, match="not a readable robomimic file"):
        read_dataset(tmp_path / "text.hdf5", LIFT)
    with pytest.raises(DemoError, match="neither a robomimic file nor the folder"):
        read_dataset(tmp_path, LIFT)
    with h5py.File(tmp_path / "empty.hdf5", "w") as file:
        file.create_group("data")
    with pytest.raises(DemoError, match="holds no episode"):
        read_dataset(tmp_path / "empty.hdf5", LIFT)


def minari_folder(folder, *, infos=None, space=None, data_format="hdf5", extra_observation=1, actions=None):
    """A Minari data set of two episodes of 6 steps, laid out as version 0.5 does; its action space is [-2, 2] and [0, 4]."""
    data = folder / "data"
    data.mkdir(parents=True)
    space = space or {"type": "Box", "dtype": "float32", "shape": [2], "low": [-2.0, 0.0], "high": [2.0, 4.0]}
    (data / "metadata.json").write_text(json.dumps({"data_format": data_format, "action_space": json.dumps(space)}))
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for i in range(2):
            episode = file.create_group(f"episode_{i}")
            episode.attrs["id"], episode.attrs["seed"] = i, 40 + i
            episode["observations"] = np.tile(i + np.arange(6 + extra_observation)[:, None] / 100, (1, 3))
            episode["actions"] = np.tile([2.0, 1.0], (6, 1)) if actions is None else actions
            episode["rewards"] = np.ones(6)
            episode["terminations"], episode["truncations"] = np.zeros(6, bool), np.eye(6)[-1].astype(bool)
            if infos is not None:
                infos(episode)
    return folder


def test_a_minari_folder_becomes_demonstrations(tmp_path):
    folder = minari_folder(tmp_path / "door")
    for path in (folder, folder / "data", folder / "data" / "main_data.hdf5"):
        demos = read_dataset(path, PLANE)
        assert [demo.seed for demo in demos] == [40, 41]
        assert demos[1].observations.shape == (6, 3) and demos[1].rewards.sum() == 6 and not demos[1].success
        np.testing.assert_allclose(demos[1].final_observation, 1.06, rtol=1e-6)
        np.testing.assert_allclose(demos[0].actions, np.tile([1.0, -0.5], (6, 1)))


def test_recorded_actions_outside_the_bounds_are_clipped(tmp_path):
    demo = read_minari(minari_folder(tmp_path / "a", actions=np.tile([-3.0, 5.0], (6, 1))) / "data")[0]
    assert demo.actions.min(0).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("kind", ["arrays", "arrays without the reset's", "texts"])
def test_success_is_read_from_the_infos_and_ends_the_episode(tmp_path, kind):
    values = np.array([0, 0, 0, 1, 0, 1, 1], bool)  # of the reset and of six steps

    def infos(episode):
        if kind == "texts":
            episode["infos"] = [json.dumps({"success": bool(value)}) for value in values]
        else:
            episode["infos/success"] = values if kind == "arrays" else values[1:]

    demo = read_dataset(minari_folder(tmp_path / "a", infos=infos), PLANE)[0]
    assert demo.success and len(demo) == 3
    np.testing.assert_allclose(demo.final_observation, 0.03, rtol=1e-6)


def test_what_cannot_be_read_from_minari_is_said(tmp_path):
    with pytest.raises(DemoError, match="stored as arrow"):
        read_dataset(minari_folder(tmp_path / "a", data_format="arrow"), PLANE)
    with pytest.raises(DemoError, match="Discrete"):
        read_dataset(minari_folder(tmp_path / "b", space={"type": "Discrete", "n": 3}), PLANE)
    with pytest.raises(DemoError, match="episode_0: 6 observations for 6 steps"):
        read_dataset(minari_folder(tmp_path / "c", extra_observation=0), PLANE)
    with pytest.raises(DemoError, match="has no masks"):
        read_dataset(tmp_path / "c", PLANE, mask="train")
    with pytest.raises(DemoError, match="3 and 2 numbers, contract 'Lift'"):
        read_dataset(minari_folder(tmp_path / "d"), LIFT)
    folder = minari_folder(tmp_path / "e")
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_1/truncations"]
    with pytest.raises(DemoError, match="episode_1: no dataset 'truncations'"):
        read_dataset(folder, PLANE)
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0/observations"]
        file["episode_0/observations/achieved_goal"] = np.zeros((7, 3))
    with pytest.raises(DemoError, match="'observations' is a dictionary of achieved_goal"):
        read_dataset(folder, PLANE)
