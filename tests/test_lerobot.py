"""LeRobot's data sets, both layouts, in and out: episodes cut right, numbers where the mapping puts them, harm refused."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from pictured import SIDE, pictured_demos
from pictured import small_contract as seeing_contract
from synthetic_demos import small_contract, synthetic_demos

pa = pytest.importorskip("pyarrow", reason="pip install 'lpds_ros[lerobot]'")

from lerobot_files import FEATURES, MAPPING, episode, write_info, write_v21, write_v30  # noqa: E402
from pyarrow import parquet  # noqa: E402

from lpds_ros.cli import main  # noqa: E402
from lpds_ros.contract import ContractError  # noqa: E402
from lpds_ros.data.demonstration import DemoError, digest_demos  # noqa: E402
from lpds_ros.data.demos import read_demos, write_demos_hdf5  # noqa: E402
from lpds_ros.data.lerobot_read import read_lerobot  # noqa: E402
from lpds_ros.data.lerobot_write import write_lerobot  # noqa: E402
from lpds_ros.data.mapping import MappingError, load_mapping  # noqa: E402
from lpds_ros.data.video import VideoWriter  # noqa: E402
from lpds_ros.images import fitted  # noqa: E402

CONTRACT, SEES = small_contract(), seeing_contract()
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


@pytest.mark.parametrize("wrong", ["abc", {"0": {}}, [1, 2, 3]])
def test_episodes_beside_it_that_are_not_ours_are_refused(tmp_path, wrong):
    root = write_lerobot(tmp_path / "set", synthetic_demos(CONTRACT), CONTRACT)
    path = root / "meta/lpds.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"episodes": wrong}))
    with pytest.raises(DemoError, match="'episodes' is no list of objects; delete it"):
        read_lerobot(root)


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


# -- images ------------------------------------------


def blocks(demos):
    """The demonstrations with pictures that survive a codec: large blocks of one colour, another in each tick."""
    for i, demo in enumerate(demos):
        colours = np.random.default_rng(i).integers(40, 215, (len(demo), 2, 2, 3), np.uint8)
        front = colours.repeat(SIDE // 2, axis=1).repeat(SIDE // 2, axis=2)
        yield dataclasses.replace(demo, images={"front": front, "wrist": front[:, ::-1].copy()})


@pytest.fixture
def pictured(tmp_path):
    pytest.importorskip("av", reason="pip install 'lpds_ros[lerobot]'")
    demos = list(blocks(pictured_demos(SEES, count=3)))
    return demos, write_lerobot(tmp_path / "pictured", demos, SEES)


def test_pictures_become_videos_of_many_episodes_and_come_back_to_their_ticks(pictured):
    demos, root = pictured
    found = read_lerobot(root)
    assert found.contract == SEES
    for again, demo in zip(found.demonstrations, demos, strict=True):
        assert again.observations.tobytes() == demo.observations.tobytes() and again.actions.tobytes() == demo.actions.tobytes()
        for stream in ("front", "wrist"):
            off = np.abs(again.pictures(stream).astype(int) - demo.images[stream].astype(int))
            assert off.mean() < 12, f"{stream}: of the same tick; another one's is some 60 off"
    info = json.loads((root / "meta/info.json").read_text())
    video = info["features"]["observation.images.front"]
    assert (video["dtype"], video["shape"], video["names"]) == ("video", [SIDE, SIDE, 3], ["height", "width", "channels"])
    assert info["features"]["observation.state"]["names"] == [*(f"ee_position.{i}" for i in range(3)), "gripper_width"]
    assert len(list(root.glob("videos/observation.images.wrist/chunk-000/*.mp4"))) == 1
    listed = parquet.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    times = [(e["videos/observation.images.front/from_timestamp"], e["length"] / 20) for e in listed]
    assert [begin for begin, _ in times] == pytest.approx([0.0, times[0][1], times[0][1] + times[1][1]])
    stats = json.loads((root / "meta/stats.json").read_text())["observation.images.front"]
    seen = np.concatenate([demo.images["front"] for demo in demos]).reshape(-1, 3) / 255.0
    assert np.array(stats["mean"]).shape == (3, 1, 1) and np.ravel(stats["mean"]) == pytest.approx(seen.mean(axis=0))
    assert np.ravel(stats["std"]) == pytest.approx(seen.std(axis=0)) and stats["count"] == [sum(map(len, demos))]


def test_a_video_that_is_shorter_or_another_says_where(pictured):
    demos, root = pictured
    (path,) = root.glob("videos/observation.images.front/chunk-000/*.mp4")
    with VideoWriter(path, 20, SIDE, SIDE) as video:
        for picture in demos[0].images["front"]:
            video.add(picture)
    with pytest.raises(DemoError, match=r"file-000.mp4: no picture at 0.600 s, 20 a second expected"):
        read_lerobot(root)
    path.write_bytes(b"no video")
    with pytest.raises(DemoError, match="file-000.mp4: not a readable video"):
        read_lerobot(root)
    path.unlink()
    with pytest.raises(DemoError, match="no such file"):
        read_lerobot(root)


def test_the_encoder_leaves_every_thread_its_scheduler(tmp_path):
    body = f"""
        import ctypes, os, threading
        import numpy as np
        from lpds_ros.data.video import VideoWriter
        with VideoWriter({str(tmp_path / "a.mp4")!r}, 20, {SIDE}, {SIDE}) as video:
            video.add(np.zeros(({SIDE}, {SIDE}, 3), np.uint8))
            print({{os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}})
        own = ctypes.c_int(), ctypes.c_int()  # what the C library remembers, and DDS hands on to its threads
        ctypes.CDLL(None).pthread_getschedparam(ctypes.c_ulong(threading.get_ident()), *map(ctypes.byref, own))
        print(own[0].value)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True)
    assert done.stdout == f"{{{os.sched_getscheduler(0)}}}\n{os.sched_getscheduler(0)}\n", done.stderr


def png(picture) -> bytes:
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as container:
        stream = container.add_stream("png")
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "rgb24"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def test_images_inside_the_rows_through_a_mapping(tmp_path, episodes):
    """dtype image: PNG files in the parquet, of 32 x 24 pixels; the contract asks for 16 x 16."""
    pytest.importorskip("av")
    root, rng = write_v21(tmp_path / "set", episodes[:2]), np.random.default_rng(1)
    shown = [rng.integers(0, 255, (len(states), 24, 32, 3), np.uint8) for states, _ in episodes[:2]]
    for index, pictures in enumerate(shown):
        path = root / f"data/chunk-000/episode_{index:06d}.parquet"
        column = pa.array([{"bytes": png(picture), "path": f"{i}.png"} for i, picture in enumerate(pictures)])
        parquet.write_table(parquet.read_table(path).append_column("cam", column), path)
    camera = {"dtype": "image", "shape": [24, 32, 3], "names": ["height", "width", "channels"]}
    write_info(root, "v2.1", episodes[:2], features=FEATURES | {"cam": camera})
    text = MAPPING[: MAPPING.index("  object_position")] + MAPPING[MAPPING.index("action:") :]
    text += "images: {front: cam, wrist: cam}\n"
    (tmp_path / "m.yaml").write_text(text)
    found = read_lerobot(root, SEES, load_mapping(tmp_path / "m.yaml")).demonstrations
    for demo, pictures in zip(found, shown, strict=True):
        assert np.array_equal(demo.pictures("wrist"), [fitted(picture, SEES.streams["wrist"]) for picture in pictures])
    (tmp_path / "m.yaml").write_text(text.replace("front: cam", "front: camm"))
    with pytest.raises(MappingError, match=r"no images 'camm', which are to be stream 'front'; it has: .*cam image\[24, 32, 3\]"):
        read_lerobot(root, SEES, load_mapping(tmp_path / "m.yaml"))
