"""LeRobot's data sets, both layouts, in and out: episodes cut right, numbers where the mapping puts them, harm refused."""

import dataclasses
import json

import numpy as np
import pytest
from synthetic_demos import small_contract, synthetic_demos

pa = pytest.importorskip("pyarrow", reason="pip install 'lpds_ros[lerobot]'")

from lerobot_files import MAPPING, episode, write_info, write_v21, write_v30  # noqa: E402
from pyarrow import parquet  # noqa: E402

from lpds_ros.cli import main  # noqa: E402
from lpds_ros.contract import ContractError  # noqa: E402
from lpds_ros.data.demonstration import DemoError, digest_demos  # noqa: E402
from lpds_ros.data.demos import read_demos, write_demos_hdf5  # noqa: E402
from lpds_ros.data.lerobot_read import read_lerobot  # noqa: E402
from lpds_ros.data.lerobot_write import write_lerobot  # noqa: E402
from lpds_ros.data.mapping import MappingError, load_mapping  # noqa: E402

CONTRACT = small_contract()
WRITE = {"v2.1": write_v21, "v3.0": write_v30}


@pytest.fixture
def mapping(tmp_path):
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return load_mapping(tmp_path / "mapping.yaml")


@pytest.fixture
def episodes():
    rng = np.random.default_rng(0)
    return [episode(rng, ticks) for ticks in (12, 7, 9, 11)]


@pytest.mark.parametrize("version", WRITE)
def test_anybodys_data_set_through_a_mapping(tmp_path, mapping, episodes, version):
    found = read_lerobot(WRITE[version](tmp_path / "set", episodes), CONTRACT, mapping).demonstrations
    where = CONTRACT.feature_slices()
    assert [len(demo) for demo in found] == [12, 7, 9, 11]
    for demo, (states, actions) in zip(found, episodes, strict=True):
        assert np.array_equal(demo.observations[:, where["ee_position"]], states[:, :3])
        assert demo.observations[:, where["gripper_width"]][:, 0] == pytest.approx(states[:, 7] - states[:, 8])
        assert demo.observations[:, where["object_from_ee"]] == pytest.approx(states[:, 9:12] - states[:, :3], abs=1e-7)
        assert demo.observations[:, where["object_orientation"]] == pytest.approx(np.tile([-0.5, 0.5, -0.5, 0.5], (len(demo), 1)))
        reached = states[0, :3] + 0.0125 * np.cumsum(demo.actions[:, :3], axis=0)
        assert reached == pytest.approx(actions[:, :3], abs=1e-6), "the steps lead from where the hand was to each target"
        assert demo.actions[[0, -1], 3] == pytest.approx([-1.0, 1.0]), "open at first, closed at last"
        assert demo.success and demo.rewards.tolist() == [0.0] * (len(demo) - 1) + [1.0]


def test_written_and_read_back_it_is_the_same(tmp_path):
    demos = synthetic_demos(CONTRACT)
    file = read_lerobot(write_lerobot(tmp_path / "set", demos, CONTRACT))
    assert file.contract == CONTRACT and file.digest == digest_demos(demos)
    assert [(d.seed, d.operator, d.success) for d in file.demonstrations] == [(d.seed, d.operator, d.success) for d in demos]
    with pytest.raises(ContractError, match="was made under contract"):
        read_lerobot(tmp_path / "set", dataclasses.replace(CONTRACT, rate_hz=10.0))


def test_the_written_layout_is_lerobots(tmp_path):
    demos = synthetic_demos(CONTRACT)
    root = write_lerobot(tmp_path / "set", demos, CONTRACT)
    info = json.loads((root / "meta/info.json").read_text())
    frames = sum(map(len, demos))
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 20, 4, frames)
    assert info["features"]["observation.state"]["names"][:4] == [*(f"ee_position.{i}" for i in range(3)), "gripper_width"]
    assert info["features"]["action"] == {"dtype": "float32", "shape": [4], "names": ["dx", "dy", "dz", "gripper"]}
    rows = parquet.read_table(root / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(rows.column_names) == set(info["features"]) and len(rows) == frames
    assert rows["index"].to_pylist() == list(range(frames))
    assert np.array_equal(np.array(rows["action"].to_pylist(), np.float32), np.concatenate([d.actions for d in demos]))
    listed = parquet.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["dataset_to_index"] - e["dataset_from_index"] for e in listed] == [len(d) for d in demos]
    cut = rows["frame_index"].to_pylist()[listed[2]["dataset_from_index"] : listed[2]["dataset_to_index"]]
    assert cut == list(range(len(demos[2])))
    assert listed[1]["stats/action/mean"] == pytest.approx(demos[1].actions.mean(axis=0).tolist(), abs=1e-6)
    stats = json.loads((root / "meta/stats.json").read_text())
    seen = np.concatenate([d.observations for d in demos]).astype(np.float64)
    assert stats["observation.state"]["mean"] == pytest.approx(seen.mean(axis=0).tolist())
    assert stats["observation.state"]["std"] == pytest.approx(seen.std(axis=0).tolist())
    assert stats["observation.state"]["q99"] == pytest.approx(np.quantile(seen, 0.99, axis=0).tolist())
    assert stats["observation.state"]["count"] == [frames]
    tasks = parquet.read_table(root / "meta/tasks.parquet")
    assert tasks["task_index"].to_pylist() == [0] and b"__index_level_0__" in tasks.schema.metadata[b"pandas"]


def test_another_rate_is_refused(tmp_path, mapping, episodes):
    with pytest.raises(DemoError, match="recorded at 30 Hz, contract 'lift' ticks at 20 Hz"):
        read_lerobot(write_v30(tmp_path / "set", episodes, fps=30), CONTRACT, mapping)


def test_steps_too_large_say_what_to_do(tmp_path, mapping, episodes):
    episodes[1][1][3, 0] += 0.05
    write_v21(tmp_path / "set", episodes)
    with pytest.raises(DemoError, match="episode 1: the step at tick [34] is .* clip: true"):
        read_lerobot(tmp_path / "set", CONTRACT, mapping)
    clipped = dataclasses.replace(mapping, action=dataclasses.replace(mapping.action, clip=True))
    assert np.abs(read_lerobot(tmp_path / "set", CONTRACT, clipped).demonstrations[1].actions).max() == 1.0


def test_without_a_mapping_the_error_lists_what_is_there(tmp_path, episodes):
    with pytest.raises(MappingError, match=r"--mapping .*observation.state float32\[12\], action float32\[8\]"):
        read_lerobot(write_v30(tmp_path / "set", episodes), CONTRACT)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"data_path": "../../{chunk_index}/{file_index}"}, "leads out of the data set"),
        ({"data_path": "/etc/{chunk_index:03d}"}, "leads out of the data set"),
        ({"data_path": "{chunk_index.__class__}"}, "no pattern of a path"),
        ({"data_path": "{secret}"}, "asks for {secret}"),
        ({"data_path": "nowhere/{file_index:03d}.parquet"}, "no such file"),
        ({"codebase_version": "v9.0"}, "LeRobotDataset v9.0, read are"),
        ({"total_episodes": 3}, "says 3 episodes, meta/episodes lists 4"),
        ({"features": 5}, "not the description"),
        ({"fps": 0}, "at 0 Hz"),
    ],
)
def test_a_description_made_to_harm_is_refused(tmp_path, mapping, episodes, changes, text):
    root = write_v30(tmp_path / "set", episodes)
    write_info(root, "v3.0", episodes, **changes)
    with pytest.raises(DemoError, match=text):
        read_lerobot(root, CONTRACT, mapping)


def _changed(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda t: t.drop_columns("action"), "no column 'action'"),
        (lambda t: t.slice(0, 15), "4 rows, 7 expected|3 rows, 7 expected"),
        (lambda t: _changed(t, "action", pa.array([[1.0]] * 18 + [[1.0, 2.0]])), "must be of one length"),
        (lambda t: _changed(t, "action", pa.array(["a"] * 19)), "numbers are needed"),
        (lambda t: _changed(t, "action", pa.array([None] + [[0.0] * 8] * 18, pa.list_(pa.float32()))), "without a value"),
        (lambda t: _changed(t, "timestamp", pa.array(np.arange(19) / 30.0)), "off 20 Hz"),
        (lambda t: _changed(t, "frame_index", pa.array(np.arange(19))), "does not count from 0"),
        (lambda t: _changed(t, "index", pa.array(np.arange(19) + 1)), "index does not count"),
    ],
)
def test_rows_that_are_not_as_said_are_refused(tmp_path, mapping, episodes, change, text):
    root = write_v30(tmp_path / "set", episodes)
    path = root / "data/chunk-000/file-000.parquet"
    parquet.write_table(change(parquet.read_table(path)), path)
    with pytest.raises(DemoError, match=text):
        read_lerobot(root, CONTRACT, mapping)


def test_a_damaged_file_is_refused_by_name(tmp_path, mapping, episodes):
    root = write_v30(tmp_path / "set", episodes)
    path = root / "data/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DemoError, match="file-001.parquet: not a readable parquet file"):
        read_lerobot(root, CONTRACT, mapping)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(DemoError, match="leads out"):
        read_lerobot(root, CONTRACT, mapping)


def test_the_verb_converts_out_and_back(tmp_path, capsys):
    demos = synthetic_demos(CONTRACT)
    write_demos_hdf5(tmp_path / "demos.hdf5", demos, CONTRACT)
    out, back = tmp_path / "lerobot", tmp_path / "back.hdf5"
    assert main(["demos", "convert", str(tmp_path / "demos.hdf5"), str(out), "--to", "lerobot"]) == 0
    assert main(["demos", "convert", str(out), str(back)]) == 0
    assert read_demos(back).digest == digest_demos(demos)
    (tmp_path / "mine").mkdir()
    assert main(["demos", "convert", str(back), str(tmp_path / "mine"), "--to", "lerobot", "--overwrite"]) == 2
    assert "is no LeRobotDataset" in capsys.readouterr().err
