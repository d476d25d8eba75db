"""The files of a LeRobotDataset v3.0 as they fill up: rows and videos of many episodes each, episodes, tasks, statistics."""

import json
from pathlib import Path

import numpy as np

from lpds_ros.data import lerobot
from lpds_ros.data.video import VideoWriter

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
CHUNKS_SIZE, DATA_MB, VIDEO_MB = 1000, 100, 200  # LeRobot's own
EPISODES_PER_FILE = 10_000
LARGE_PX, SMALL_PX = 300, 150  # pictures of that size are looked at only every so many pixels, as LeRobot does


class Tables:
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
        return {f"data/{name}": value for name, value in place(self._number).items()}

    def close(self):
        """Write the file that is not full."""
        import pyarrow
        from pyarrow import parquet

        path = self._root / lerobot.DATA.format(**place(self._number))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.concat_tables(self._tables), path)
        self._tables, self._size = [], 0


class Videos:
    """The pictures of one key, of many episodes in files of up to VIDEO_MB."""

    def __init__(self, root: Path, key: str, fps: int):
        self._root, self._key, self._fps, self._number, self._writer = root, key, fps, 0, None

    def add(self, pictures: np.ndarray) -> dict[str, float]:
        """Append an episode's uint8 [T, h, w, 3]; returns where it lies."""
        if self._writer is not None and self._writer.size > VIDEO_MB << 20:
            self.close()
            self._number += 1
        if self._writer is None:
            path = self._root / lerobot.VIDEO.format(video_key=self._key, **place(self._number))
            self._writer = VideoWriter(path, self._fps, *pictures.shape[1:3])
        begin_s = self._writer.seconds
        for picture in pictures:
            self._writer.add(picture)
        where = {**place(self._number), "from_timestamp": begin_s, "to_timestamp": self._writer.seconds}
        return {f"videos/{self._key}/{name}": value for name, value in where.items()}

    def close(self):
        """Finish the file that is not full."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def place(number: int) -> dict[str, int]:
    """Chunk and file of the n-th file."""
    return {"chunk_index": number // CHUNKS_SIZE, "file_index": number % CHUNKS_SIZE}


def flat(stats: dict[str, dict]) -> dict[str, list]:
    """As columns of meta/episodes."""
    return {f"stats/{name}/{what}": values.tolist() for name, parts in stats.items() for what, values in parts.items()}


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


def picture_statistics(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """LeRobot's statistics of uint8 [T, h, w, 3]: of each colour [3, 1, 1] in [0, 1], over some of the pictures."""
    count = max(min(100, len(pictures)), min(int(len(pictures) ** 0.75), 10_000))
    step = max(1, max(pictures.shape[1:3]) // SMALL_PX) if max(pictures.shape[1:3]) >= LARGE_PX else 1
    some = pictures[np.round(np.linspace(0, len(pictures) - 1, count)).astype(int), ::step, ::step]
    found = statistics(some.reshape(-1, 3) / 255.0)
    return {name: np.array([count]) if name == "count" else values.reshape(3, 1, 1) for name, values in found.items()}


def merged(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Of several sets together, as LeRobot merges them: the quantiles are means weighted by how many there are."""
    counts = np.array([part["count"][0] for part in parts], np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0]["mean"].ndim)
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    mean = (weights * stacked["mean"]).sum(axis=0)
    spread = (weights * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(axis=0)
    return {
        "min": stacked["min"].min(axis=0),
        "max": stacked["max"].max(axis=0),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": np.array([int(counts.sum())]),
        **{name: (weights * stacked[name]).sum(axis=0) for name in QUANTILES},
    }


def write_episodes(root: Path, episodes: list[dict]):
    """Write meta/episodes."""
    import pyarrow
    from pyarrow import parquet

    for number, start in enumerate(range(0, len(episodes), EPISODES_PER_FILE)):
        here = {f"meta/episodes/{name}": value for name, value in place(number).items()}
        rows = [episode | here for episode in episodes[start : start + EPISODES_PER_FILE]]
        path = root / lerobot.EPISODES.format(**place(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def write_tasks(path: Path, task: str):
    """Write meta/tasks.parquet, in pandas' layout: the task is the index of its row."""
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


def write_json(path: Path, tree: dict):
    """Write JSON; arrays as lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree, indent=4, default=np.ndarray.tolist), encoding="utf-8")
