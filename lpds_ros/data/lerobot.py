"""LeRobotDataset on disk, v3.0 and v2.1 (huggingface/lerobot, src/lerobot/datasets): what meta/info.json says, what lies where.

v3.0 packs many episodes into each parquet and mp4 file; meta/episodes/*.parquet says which rows and which seconds are whose.
v2.1 has a parquet and an mp4 for each episode, and meta/episodes.jsonl. Needs no LeRobot.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import MAX_TICKS, DemoError

V21, V30 = "v2.1", "v3.0"
INFO, OURS = "meta/info.json", "meta/lpds.json"
STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
REWARD, DONE, SUCCESS = "next.reward", "next.done", "next.success"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
TASKS, STATS = "meta/tasks.parquet", "meta/stats.json"
MAX_TEXT_BYTES = 64 << 20
MAX_EPISODES = 1_000_000
# Of data_path and video_path only names with, at most, a width: str.format alone would walk into attributes.
PLACE = re.compile(r"\{(\w+)(?::0?(\d)d)?\}")
COUNTERS = {
    "index": {"dtype": "int64", "shape": [1], "names": None},
    "episode_index": {"dtype": "int64", "shape": [1], "names": None},
    "frame_index": {"dtype": "int64", "shape": [1], "names": None},
    "timestamp": {"dtype": "float32", "shape": [1], "names": None},
    "task_index": {"dtype": "int64", "shape": [1], "names": None},
}


@dataclass(frozen=True)
class Info:
    """meta/info.json. features: name to {dtype, shape, names}. video_path: "" where there are no videos."""

    root: Path
    version: str
    fps: float
    episodes: int
    frames: int
    chunks_size: int
    data_path: str
    video_path: str
    features: dict[str, dict]

    @property
    def video_keys(self) -> list[str]:
        return [name for name, feature in self.features.items() if feature["dtype"] == "video"]

    def described(self) -> str:
        """Its features, for an error that asks for a mapping."""
        rows = (f"{name} {feature['dtype']}{feature['shape']}" for name, feature in self.features.items() if name not in COUNTERS)
        return ", ".join(rows)

    def place(self, pattern: str, **values) -> Path:
        """The file of a data_path or video_path. Raises DemoError for one that is not a file inside the data set."""

        def filled(match):
            name, width = match.groups()
            if name not in values:
                raise DemoError(f"{self.root / INFO}: {pattern!r} asks for {{{name}}}, known are {', '.join(values)}")
            value = values[name]
            return f"{value:0{width}d}" if width and isinstance(value, int) else str(value)

        text = PLACE.sub(filled, pattern)
        path = self.root / text
        if "{" in text:
            raise DemoError(f"{self.root / INFO}: {pattern!r} is no pattern of a path")
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise DemoError(
                f"{self.root / INFO}: {pattern!r} leads out of the data set; if its files are links, copy them: "
                "hf download --repo-type dataset <name> --local-dir <folder>"
            )
        if not path.is_file():
            raise DemoError(f"{path}: no such file, though {self.root / INFO} says so: download the data set again")
        return path


def is_lerobot(path) -> bool:
    """Whether `path` is the folder of a LeRobotDataset."""
    return (Path(path) / INFO).is_file()


def read_info(root) -> Info:
    """Raises DemoError for a version that is not read here, and for what is no description of a data set."""
    root = Path(root)
    tree = read_json(root / INFO)
    version = str(tree.get("codebase_version"))
    if version not in (V21, V30):
        raise DemoError(
            f"{root}: LeRobotDataset {version}, read are {V21} and {V30}; convert it with lerobot.datasets.v30."
            "convert_dataset_v21_to_v30 of a LeRobot that knows it"
        )
    try:
        features = {str(name): _feature(entry) for name, entry in tree["features"].items()}
        info = Info(
            root=root,
            version=version,
            fps=float(tree["fps"]),
            episodes=int(tree["total_episodes"]),
            frames=int(tree["total_frames"]),
            chunks_size=int(tree["chunks_size"]),
            data_path=str(tree["data_path"]),
            video_path=str(tree.get("video_path") or ""),
            features=features,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DemoError(f"{root / INFO}: not the description of a LeRobotDataset: {type(error).__name__}: {error}") from None
    if not 0 < info.episodes <= MAX_EPISODES or not 0 < info.fps < 1e6 or info.chunks_size < 1:
        raise DemoError(f"{root / INFO}: {info.episodes} episodes at {info.fps:g} Hz in chunks of {info.chunks_size}")
    if not info.episodes <= info.frames <= MAX_EPISODES * MAX_TICKS:
        raise DemoError(f"{root / INFO}: {info.frames} frames in {info.episodes} episodes")
    return info


def _feature(entry: dict) -> dict:
    return {"dtype": str(entry["dtype"]), "shape": [int(size) for size in entry["shape"]], "names": entry.get("names")}


def read_json(path: Path) -> dict:
    """A JSON object. Raises DemoError."""
    tree = _parsed(path, _text(path))
    if not isinstance(tree, dict):
        raise DemoError(f"{path}: no JSON object")
    return tree


def read_lines(path: Path) -> list[dict]:
    """The objects of a .jsonl file. Raises DemoError."""
    rows = [_parsed(path, line) for line in _text(path).splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise DemoError(f"{path}: a line of it is no JSON object")
    return rows


def state_names(contract: Contract, pictured=()) -> list[str]:
    """A name for each number of an observation that is not made of the `pictured` streams of images."""
    features = [f for f in contract.observation if f.stream not in pictured]
    return [f.name if f.size == 1 else f"{f.name}.{i}" for f in features for i in range(f.size)]


def action_names(contract: Contract) -> list[str]:
    """A name for each number of an action row."""
    rotation = ["rx", "ry", "rz"] if contract.action.rotation != "none" else []
    return ["dx", "dy", "dz", *rotation, *(["gripper"] if contract.action.gripper != "none" else [])]


def _parsed(path: Path, text: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DemoError(f"{path}: not JSON: {error}") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DemoError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_TEXT_BYTES} that are read")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(f"{path}: not readable: {error}") from None
