"""Demonstrations as a LeRobotDataset v3.0 that LeRobot itself opens. pyarrow; av where there are images.

observation.state: the contract's observation, its numbers named; action; next.reward, next.done, next.success. Beside it
meta/lpds.json: the contract, and of each episode what LeRobot has no place for, so that read back the numbers are the same.
"""

import json
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, contract_to_dict
from lpds_ros.data import lerobot
from lpds_ros.data.demonstration import DemoError, Demonstration, check_demo
from lpds_ros.durable import replaced_folder

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
CHUNKS_SIZE, DATA_MB, VIDEO_MB = 1000, 100, 200  # LeRobot's own
EPISODES_PER_FILE = 10_000


def write_lerobot(root, demonstrations, contract: Contract) -> Path:
    """Write a new folder; it appears whole or not at all. Raises DemoError."""
    root, demonstrations = Path(root), list(demonstrations)
    if not demonstrations:
        raise DemoError(f"{root}: no demonstration to write")
    if contract.rate_hz != round(contract.rate_hz):
        raise DemoError(f"{root}: LeRobot counts whole frames a second, '{contract.name}' ticks at {contract.rate_hz} Hz")
    for i, demo in enumerate(demonstrations):
        check_demo(demo, contract, f"demonstration {i}")
    with replaced_folder(root) as folder:
        _write(folder, demonstrations, contract)
    return root


def _write(root: Path, demos: list[Demonstration], contract: Contract):
    features, fps = _features(contract), round(contract.rate_hz)
    rows, episodes, written = _Tables(root), [], []
    for index, demo in enumerate(demos):
        first = episodes[-1]["dataset_to_index"] if episodes else 0
        columns = _columns(demo, index, first, fps)
        episodes.append(
            {
                "episode_index": index,
                "tasks": [contract.task],
                "length": len(demo),
                "dataset_from_index": first,
                "dataset_to_index": first + len(demo),
                **rows.add(_table(columns, features)),
                **_flat({name: statistics(values) for name, values in columns.items()}),
            }
        )
        written.append(columns)
    rows.close()
    _write_episodes(root, episodes)
    _write_tasks(root / lerobot.TASKS, contract.task)
    whole = {name: np.concatenate([columns[name] for columns in written]) for name in written[0]}
    _write_json(root / lerobot.STATS, {name: statistics(values) for name, values in whole.items()})
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
        "video_path": None,
        "features": features,
    }
    _write_json(root / lerobot.INFO, info)
    _write_json(root / lerobot.OURS, _ours(demos, contract))


class _Tables:
    """Rows of many episodes in files of up to DATA_MB."""

    def __init__(self, root: Path):
        self._root, self._number, self._tables, self._size = root, 0, [], 0

    def add(self, table) -> dict[str, int]:
        """Append an episode; returns where it lies."""
        if self._tables and self._size + table.nbytes > DATA_MB << 20:
            self.close()
            self._number += 1
        self._tables.append(table)
        self._size += table.nbytes
        return {f"data/{name}": value for name, value in _place(self._number).items()}

    def close(self):
        """Write the file that is not full."""
        import pyarrow
        from pyarrow import parquet

        path = self._root / lerobot.DATA.format(**_place(self._number))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.concat_tables(self._tables), path)
        self._tables, self._size = [], 0


def _place(number: int) -> dict[str, int]:
    return {"chunk_index": number // CHUNKS_SIZE, "file_index": number % CHUNKS_SIZE}


def _flat(stats: dict[str, dict]) -> dict[str, list]:
    return {f"stats/{name}/{what}": values.tolist() for name, parts in stats.items() for what, values in parts.items()}


def _features(contract: Contract) -> dict:
    def vector(names):
        return {"dtype": "float32", "shape": [len(names)], "names": names}

    return {
        lerobot.STATE: vector(lerobot.state_names(contract)),
        lerobot.ACTION: vector(lerobot.action_names(contract)),
        lerobot.REWARD: {"dtype": "float32", "shape": [1], "names": None},
        lerobot.DONE: {"dtype": "bool", "shape": [1], "names": None},
        lerobot.SUCCESS: {"dtype": "bool", "shape": [1], "names": None},
        **lerobot.COUNTERS,
    }


def _columns(demo: Demonstration, index: int, first: int, fps: int) -> dict[str, np.ndarray]:
    ticks = len(demo)
    last = np.arange(ticks) == ticks - 1
    return {
        lerobot.STATE: demo.observations,
        lerobot.ACTION: demo.actions,
        lerobot.REWARD: demo.rewards,
        lerobot.DONE: last,
        lerobot.SUCCESS: last & demo.success,
        "index": np.arange(first, first + ticks),
        "episode_index": np.full(ticks, index),
        "frame_index": np.arange(ticks),
        "timestamp": (np.arange(ticks) / fps).astype(np.float32),
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


def statistics(values: np.ndarray) -> dict[str, np.ndarray]:
    """LeRobot's statistics of [T, n] or [T], each of n numbers: over the rows."""
    values = np.asarray(values, np.float64).reshape(len(values), -1)
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([len(values)]),
        **{name: np.quantile(values, share, axis=0) for name, share in QUANTILES.items()},
    }


def _write_episodes(root: Path, episodes: list[dict]):
    import pyarrow
    from pyarrow import parquet

    for number, start in enumerate(range(0, len(episodes), EPISODES_PER_FILE)):
        here = {f"meta/episodes/{name}": value for name, value in _place(number).items()}
        rows = [episode | here for episode in episodes[start : start + EPISODES_PER_FILE]]
        path = root / lerobot.EPISODES.format(**_place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _write_tasks(path: Path, task: str):
    """pandas' layout: the task is the index of its row."""
    import pyarrow as pa
    from pyarrow import parquet

    number = {"pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    text = {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    pandas = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [{"name": None, "field_name": None, **text, "metadata": {"encoding": "UTF-8"}}],
        "columns": [
            {"name": "task_index", "field_name": "task_index", **number},
            {"name": None, "field_name": "__index_level_0__", **text},
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    table = pa.table({"task_index": pa.array([0], pa.int64()), "__index_level_0__": [task]})
    parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


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


def _write_json(path: Path, tree: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree, indent=4, default=np.ndarray.tolist), encoding="utf-8")
