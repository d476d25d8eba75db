"""Demonstrations with pictures: in HDF5 as robomimic has them, and collected in the simulation."""

import dataclasses

import h5py
import numpy as np
import pytest
from pictured import SIDE, pictured_demos, small_contract

from lpds_ros.data.demonstration import DemoError, check_demo
from lpds_ros.data.demos import write_demos_log
from lpds_ros.data.mapping import load_mapping
from lpds_ros.data.robomimic import read_demos_hdf5, write_demos_hdf5
from lpds_ros.images import fitted

CONTRACT = small_contract()


@pytest.fixture
def file(tmp_path):
    return write_demos_hdf5(tmp_path / "demos.hdf5", pictured_demos(CONTRACT), CONTRACT)


def test_pictures_come_back_as_they_were_and_lie_where_robomimic_looks(file):
    demos, found = pictured_demos(CONTRACT), read_demos_hdf5(file)
    assert [d.digest for d in found.demonstrations] == [d.digest for d in demos] and found.contract == CONTRACT
    for again, demo in zip(found.demonstrations, demos):
        np.testing.assert_array_equal(again.pictures("wrist"), demo.images["wrist"])
    with h5py.File(file) as layout:
        obs = layout["data/demo_0/obs"]
        assert set(obs) == {"ee_position", "gripper_width", "front_image", "wrist_image"}
        assert obs["front_image"].dtype == np.uint8 and obs["front_image"].shape == (12, SIDE, SIDE, 3)
        assert obs["front_image"].chunks == (1, SIDE, SIDE, 3)


def test_pictures_are_read_when_they_are_asked_for(file):
    demo = read_demos_hdf5(file).demonstrations[0]
    file.unlink()
    assert demo.images["front"].shape == (12, SIDE, SIDE, 3)
    with pytest.raises(DemoError, match="demos.hdf5"):
        demo.pictures("front")


def test_larger_pictures_are_reduced_to_the_contracts_size(file):
    with h5py.File(file, "a") as layout:
        obs = layout["data/demo_0/obs"]
        small = obs["front_image"][()]
        del obs["front_image"]
        obs["front_image"] = small.repeat(3, axis=1).repeat(3, axis=2)
    demo = read_demos_hdf5(file).demonstrations[0]
    np.testing.assert_array_equal(demo.pictures("front"), small)


@pytest.mark.parametrize(
    "content, text",
    [
        (np.zeros((12, SIDE, SIDE, 3)), "must be uint8 .T, h, w, 3., it is float64"),
        (np.zeros((12, SIDE, SIDE), np.uint8), r"it is uint8 \(12, 16, 16\)"),
        (np.zeros((11, SIDE, SIDE, 3), np.uint8), r"stream 'front' have shape \(11, 16, 16, 3\), not \[12, h, w, 3\]"),
    ],
)
def test_pictures_that_are_none_are_refused(file, content, text):
    with h5py.File(file, "a") as layout:
        del layout["data/demo_0/obs/front_image"]
        layout["data/demo_0/obs/front_image"] = content
    with pytest.raises(DemoError, match=text):
        read_demos_hdf5(file)


def test_a_demonstration_has_the_pictures_of_its_contract():
    demo = pictured_demos(CONTRACT)[0]
    with pytest.raises(DemoError, match="pictures of 'side', no stream of images"):
        check_demo(dataclasses.replace(demo, images={"side": demo.images["front"]}), CONTRACT, "demo")
    smaller = {"front": demo.images["front"][:, :8, :8]}
    with pytest.raises(DemoError, match="have 8 x 8 pixels, contract 'lift_images' asks for 16 x 16"):
        check_demo(dataclasses.replace(demo, images=smaller), CONTRACT, "demo")
    assert demo.digest != dataclasses.replace(demo, images={}).digest


def test_collected_pictures_are_those_of_the_ticks_they_stand_beside(monkeypatch):
    pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
    from lpds_ros.collect import Collector
    from lpds_ros.sim.camera import CameraError

    def numbered(self, stream, picture, kept=Collector._keep):
        """Each picture's number in the place of its features, which the demonstration then holds at its tick."""
        return kept(self, stream, picture) + len(self._seen[stream])

    monkeypatch.setattr(Collector, "_keep", numbered)
    try:
        collector = Collector(CONTRACT, seed=1)
    except CameraError as error:
        pytest.skip(str(error))
    first, second = collector.episodes([7, 8])
    collector.close()
    assert first.success and first.rewards[-1] == 1.0 and first.operator == "scripted" and first.seed == 7
    for demo in (first, second):
        column = demo.observations[:, CONTRACT.feature_slices()["front_features"]][:, 0]
        assert column.tolist() == list(range(1, len(demo) + 1))
        assert demo.images["front"].shape == demo.images["wrist"].shape == (len(demo), SIDE, SIDE, 3)
        check_demo(demo, CONTRACT, "collected")
    # The hand moves, and the wrist camera with it; the cube is where the seed put it.
    assert np.abs(first.images["wrist"][0].astype(int) - first.images["wrist"][-1]).mean() > 5
    assert not np.array_equal(first.images["front"][0], second.images["front"][0])


def test_the_command_collects_with_both_cameras_and_trains_nothing_on_failures(tmp_path, capsys):
    pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
    from lpds_ros.cli import main
    from lpds_ros.sim.camera import CameraError

    out = tmp_path / "collected.hdf5"
    try:
        code = main(["demos", "collect", "--contract", "lift_images", "--episodes", "1", "--seed", "3", "--out", str(out)])
    except CameraError as error:
        pytest.skip(str(error))
    assert code == 0 and "demonstrations written to" in " ".join(capsys.readouterr().out.split())
    (demo,) = read_demos_hdf5(out).demonstrations
    assert demo.images["front"].shape == demo.images["wrist"].shape == (len(demo), 96, 96, 3) and demo.success


def test_a_log_has_no_place_for_pictures(tmp_path):
    with pytest.raises(DemoError, match="holds no pictures; convert to .hdf5"):
        write_demos_log(tmp_path / "demos.mcap", pictured_demos(CONTRACT), CONTRACT)
    assert not (tmp_path / "demos.mcap").exists()


def test_robomimics_cameras_through_a_mapping(tmp_path):
    """Pictures of 84 x 84 pixels under robomimic's names, beside its low-dimensional observations."""
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 255, (5, 84, 84, 3), np.uint8)
    with h5py.File(tmp_path / "image.hdf5", "w") as layout:
        layout.create_group("data").attrs["env_args"] = '{"env_name": "Lift", "env_kwargs": {"control_freq": 20}}'
        demo = layout.create_group("data/demo_0")
        demo["obs/robot0_eef_pos"], demo["obs/robot0_gripper_qpos"] = rng.uniform(size=(5, 3)), np.tile([0.02, -0.02], (5, 1))
        demo["obs/agentview_image"], demo["obs/robot0_eye_in_hand_image"] = shown, shown[::-1]
        demo["actions"], demo["rewards"] = np.zeros((5, 7)), np.arange(5) == 4
    (tmp_path / "m.yaml").write_text(
        "observation: {ee_position: {key: robot0_eef_pos}, gripper_width: {key: robot0_gripper_qpos, weights: [1, -1]}}\n"
        "action: {space: delta_pose, metres_per_unit: 0.05, gripper: 6}\n"
        "images: {front: agentview_image, wrist: robot0_eye_in_hand_image}\n"
    )
    (demo,) = read_demos_hdf5(tmp_path / "image.hdf5", CONTRACT, mapping=load_mapping(tmp_path / "m.yaml")).demonstrations
    np.testing.assert_array_equal(demo.pictures("front"), [fitted(picture, CONTRACT.streams["front"]) for picture in shown])
    np.testing.assert_array_equal(demo.pictures("wrist")[0], demo.pictures("front")[-1])
    assert not demo.observations[:, CONTRACT.feature_slices()["front_features"]].any() and demo.success


def test_converting_over_the_source_keeps_its_pictures(tmp_path, capsys):
    """They are read from it while the target is written; joining a new file to an old one is the same."""
    from lpds_ros.cli import main

    source = write_demos_hdf5(tmp_path / "demos.hdf5", pictured_demos(CONTRACT), CONTRACT)
    digest = read_demos_hdf5(source).digest
    assert main(["demos", "convert", str(source), str(source), "--overwrite"]) == 0, capsys.readouterr().err
    assert read_demos_hdf5(source).digest == digest


def test_a_conversion_that_is_refused_leaves_the_target_as_it_was(tmp_path, capsys):
    from lpds_ros.cli import main

    source = write_demos_hdf5(tmp_path / "demos.hdf5", pictured_demos(CONTRACT), CONTRACT)
    log = tmp_path / "demos.mcap"
    log.write_bytes(b"a log of last week")
    assert main(["demos", "convert", str(source), str(log), "--overwrite"]) == 2
    assert "holds no pictures" in capsys.readouterr().err
    assert log.read_bytes() == b"a log of last week"
