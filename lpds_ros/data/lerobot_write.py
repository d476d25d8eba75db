"""Demonstrations as a LeRobotDataset v3.0 that LeRobot itself opens. pyarrow; av where there are images.

observation.state: the contract's observation, its numbers named, but for what is made of images: these are videos,
observation.images.<stream>; action; next.reward, next.done, next.success. Beside it meta/lpds.json: the
contract, and of each episode what LeRobot has no place for, so that read back the numbers are the same.
"""

import json
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, contract_to_dict
from lpds_ros.data import lerobot
from lpds_ros.data.demonstration import DemoError, Demonstration, check_demo
from lpds_ros.data.lerobot_store import (
    CHUNKS_SIZE,
    DATA_MB,
    VIDEO_MB,
    Tables,
    Videos,
    flat,
    merged,
    picture_statistics,
    statistics,
    write_episodes,
    write_json,
    write_tasks,
)
from lpds_ros.data.video import PIXELS
from lpds_ros.durable import replaced_folder


def write_lerobot(root, demonstrations, contract: Contract) -> Path:
    """Write a new folder; it appears whole or not at all. Raises DemoError."""
    root, demonstrations = Path(root), list(demonstrations)
    if not demonstrations:
        raise DemoError(f"{root}: no demonstration to write")
    if contract.rate_hz != round(contract.rate_hz):
        raise DemoError(f"{root}: LeRobot counts whole frames a second, '{contract.name}' ticks at {contract.rate_hz} Hz")
    for i, demo in enumerate(demonstrations):
        check_demo(demo, contract, f"demonstration {i}")
        if demo.images.keys() != demonstrations[0].images.keys():
            raise DemoError(f"demonstration {i} has pictures of {sorted(demo.images)}, another than the first")
    with replaced_folder(root) as folder:
        _write(folder, demonstrations, contract)
    return root


def _write(root: Path, demos: list[Demonstration], contract: Contract):
    streams = sorted(demos[0].images)
    features, fps = _features(contract, streams), round(contract.rate_hz)
    rows, episodes, written, seen = Tables(root), [], [], []
    videos = {stream: Videos(root, lerobot.IMAGES + stream, fps) for stream in streams}
    for index, demo in enumerate(demos):
        first = episodes[-1]["dataset_to_index"] if episodes else 0
        columns, where, stats = _columns(demo, index, first, contract), {}, {}
        for stream in streams:
            pictures = demo.pictures(stream)
            where |= videos[stream].add(pictures)
            stats[lerobot.IMAGES + stream] = picture_statistics(pictures)
        episodes.append(
            {
                "episode_index": index,
                "tasks": [contract.task],
                "length": len(demo),
                "dataset_from_index": first,
                "dataset_to_index": first + len(demo),
                **rows.add(_table(columns, features)),
                **where,
                **flat({name: statistics(values) for name, values in columns.items()} | stats),
            }
        )
        written.append(columns)
        seen.append(stats)
    for part in (rows, *videos.values()):
        part.close()
    write_episodes(root, episodes)
    write_tasks(root / lerobot.TASKS, contract.task)
    whole = {name: statistics(np.concatenate([columns[name] for columns in written])) for name in written[0]}
    whole |= {name: merged([stats[name] for stats in seen]) for name in seen[0]}
    write_json(root / lerobot.STATS, whole)
    info = {
        "codebase_version": lerobot.V30,
        "robot_type": "franka",
        "total_episodes": len(demos),
        "total_frames": sum(map(len, demos)),
        "total_tasks": 1,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "fps": fps,
        "splits": {"train": f"0:{len(demos)}"},
        "data_path": lerobot.DATA,
        "video_path": lerobot.VIDEO if streams else None,
        "features": features,
    }
    write_json(root / lerobot.INFO, info)
    write_json(root / lerobot.OURS, _ours(demos, contract))


def _features(contract: Contract, streams: list[str]) -> dict:
    def vector(names):
        return {"dtype": "float32", "shape": [len(names)], "names": names}

    def video(stream):
        height, width = contract.streams[stream].height_px, contract.streams[stream].width_px
        return {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "av1",
                "video.pix_fmt": PIXELS,
                "video.is_depth_map": False,
                "video.fps": round(contract.rate_hz),
                "video.channels": 3,
                "has_audio": False,
            },
        }

    return {
        lerobot.STATE: vector(lerobot.state_names(contract, streams)),
        **{lerobot.IMAGES + stream: video(stream) for stream in streams},
        lerobot.ACTION: vector(lerobot.action_names(contract)),
        lerobot.REWARD: {"dtype": "float32", "shape": [1], "names": None},
        lerobot.DONE: {"dtype": "bool", "shape": [1], "names": None},
        lerobot.SUCCESS: {"dtype": "bool", "shape": [1], "names": None},
        **lerobot.COUNTERS,
    }


def _columns(demo: Demonstration, index: int, first: int, contract: Contract) -> dict[str, np.ndarray]:
    ticks = len(demo)
    last = np.arange(ticks) == ticks - 1
    slices = contract.feature_slices()
    state = [demo.observations[:, slices[f.name]] for f in contract.observation if f.stream not in demo.images]
    return {
        lerobot.STATE: np.concatenate(state, axis=1),
        lerobot.ACTION: demo.actions,
        lerobot.REWARD: demo.rewards,
        lerobot.DONE: last,
        lerobot.SUCCESS: last & demo.success,
        "index": np.arange(first, first + ticks),
        "episode_index": np.full(ticks, index),
        "frame_index": np.arange(ticks),
        "timestamp": (np.arange(ticks) / contract.rate_hz).astype(np.float32),
        "task_index": np.zeros(ticks, np.int64),
    }


def _table(columns: dict[str, np.ndarray], features: dict):
    import pyarrow as pa

    arrays = []
    for name, values in columns.items():
        kind = getattr(pa, {"bool": "bool_"}.get(features[name]["dtype"], features[name]["dtype"]))()
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind)
        vector = values.ndim == 2 and values.shape[1] > 1
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if vector else flat)
    return pa.Table.from_arrays(arrays, names=list(columns)).replace_schema_metadata(_huggingface(features))


def _huggingface(features: dict) -> dict[str, str]:
    """What the package `datasets` keeps in the file about its columns."""

    def value(feature):
        one = {"dtype": feature["dtype"], "_type": "Value"}
        size = feature["shape"][0]
        return one if size == 1 else {"feature": one, "length": size, "_type": "Sequence"}

    return {"huggingface": json.dumps({"info": {"features": {name: value(feature) for name, feature in features.items()}}})}


def _ours(demos: list[Demonstration], contract: Contract) -> dict:
    return {
        "contract": contract_to_dict(contract),
        "contract_digest": contract.digest,
        "episodes": [
            {
                "seed": int(demo.seed),
                "operator": demo.operator,
                "success": bool(demo.success),
                "final_observation": demo.final_observation.astype(np.float64).tolist(),
            }
            for demo in demos
        ],
    }
