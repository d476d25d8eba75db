"""Data sets as other people's LeRobot writes them, made by hand in the published layouts, for the tests."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

STATE_NAMES = ["x", "y", "z", "qw", "qx", "qy", "qz", "finger_l", "finger_r", "cube_x", "cube_y", "cube_z"]
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": [12], "names": STATE_NAMES},
    "action": {"dtype": "float32", "shape": [8], "names": ["x", "y", "z", "qw", "qx", "qy", "qz", "gripper"]},
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}
MAPPING = """\
observation:
  ee_position: {key: observation.state, columns: [0, 1, 2]}
  gripper_width: {key: observation.state, columns: [7, 8], weights: [1, -1]}
  object_position: {key: observation.state, columns: [9, 10, 11]}
  object_from_ee: {difference: [object_position, ee_position]}
  object_orientation: {key: observation.state, columns: [3, 4, 5, 6], quaternion: wxyz}
action:
  {space: absolute_pose, position: [0, 1, 2], rotation: [3, 4, 5, 6], rotation_as: wxyz, gripper: 7, opened: 0.08, closed: 0}
assume_success: true
"""


def episode(rng, ticks: int) -> tuple[np.ndarray, np.ndarray]:
    """(states float32 [T, 12], actions float32 [T, 8]): absolute targets up to 8 mm ahead of the hand, fingers that close."""
    hand = np.array([0.5, 0.0, 0.3]) + np.cumsum(rng.uniform(-0.006, 0.006, (ticks, 3)), axis=0)
    target = hand + rng.uniform(-0.002, 0.002, (ticks, 3))
    half = np.linspace(0.04, 0.0, ticks)[:, None]
    turn = np.tile([-0.5, 0.5, -0.5, 0.5], (ticks, 1))  # wxyz, of the hemisphere that is not ours
    states = np.concatenate([hand, turn, half, -half, np.tile([0.5, 0.1, 0.02], (ticks, 1))], axis=1)
    return states.astype(np.float32), np.concatenate([target, turn, 2 * half], axis=1).astype(np.float32)


def rows_of(states, actions, index: int, first: int, fps: float) -> pa.Table:
    ticks = len(states)
    return pa.table(
        {
            "observation.state": pa.array(states.tolist(), pa.list_(pa.float32())),
            "action": pa.array(actions.tolist(), pa.list_(pa.float32())),
            "timestamp": pa.array(np.arange(ticks) / fps, pa.float32()),
            "frame_index": np.arange(ticks),
            "episode_index": np.full(ticks, index),
            "index": np.arange(first, first + ticks),
            "task_index": np.zeros(ticks, np.int64),
        }
    )


def write_info(root: Path, version: str, episodes, fps: float = 20, **changes):
    patterns = {
        "v3.0": (
            "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        ),
        "v2.1": (
            "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        ),
    }[version]
    info = {
        "codebase_version": version,
        "robot_type": "panda",
        "total_episodes": len(episodes),
        "total_frames": sum(len(states) for states, _ in episodes),
        "total_tasks": 1,
        "chunks_size": 1000,
        "fps": fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": patterns[0],
        "video_path": patterns[1],
        "features": FEATURES,
    }
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(info | changes))


def write_v21(root: Path, episodes, fps: int = 20) -> Path:
    """One parquet an episode, meta/episodes.jsonl."""
    write_info(root, "v2.1", episodes, fps)
    first, lines = 0, []
    for index, (states, actions) in enumerate(episodes):
        path = root / f"data/chunk-000/episode_{index:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(rows_of(states, actions, index, first, fps), path)
        lines.append(json.dumps({"episode_index": index, "tasks": ["lift the cube"], "length": len(states)}))
        first += len(states)
    (root / "meta/episodes.jsonl").write_text("\n".join(lines) + "\n")
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "lift the cube"}\n')
    return root


def write_v30(root: Path, episodes, fps: int = 20, per_file: int = 2) -> Path:
    """Several episodes a parquet, two tables of meta/episodes."""
    write_info(root, "v3.0", episodes, fps)
    first, rows, tables = 0, [], {}
    for index, (states, actions) in enumerate(episodes):
        tables.setdefault(index // per_file, []).append(rows_of(states, actions, index, first, fps))
        rows.append(
            {
                "episode_index": index,
                "tasks": ["lift the cube"],
                "length": len(states),
                "dataset_from_index": first,
                "dataset_to_index": first + len(states),
                "data/chunk_index": 0,
                "data/file_index": index // per_file,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": int(index > 0),
                "stats/action/mean": actions.mean(axis=0).tolist(),
            }
        )
        first += len(states)
    for number, parts in tables.items():
        path = root / f"data/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.concat_tables(parts), path)
    for number, part in enumerate((rows[:1], rows[1:])):
        path = root / f"meta/episodes/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pylist(part), path)
    return root
