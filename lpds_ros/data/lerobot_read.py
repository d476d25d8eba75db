"""Demonstrations out of a LeRobotDataset, v3.0 or v2.1, through a mapping. pyarrow; av where there are images."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, Stream, contract_from_dict
from lpds_ros.data import lerobot
from lpds_ros.data.demonstration import (
    MAX_TICKS,
    DemoError,
    DemoFile,
    Demonstration,
    check_demo,
    digest_demos,
    followed,
)
from lpds_ros.data.lerobot import Info, read_info, read_json, read_lines
from lpds_ros.data.mapping import (
    ActionSource,
    FeatureSource,
    Mapping,
    MappingError,
    actions_of,
    check_mapping,
    check_rate,
    observations_of,
    outcome_of,
)
from lpds_ros.data.video import read_frames, read_pictures
from lpds_ros.images import ImageError, fitted

MAX_TABLE_BYTES = 4 << 30  # of the columns that are read, unpacked
PLACES = ("episode_index", "length", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")
ROWS = ("episode_index", "frame_index", "index", "timestamp")


@dataclass(frozen=True)
class _Episode:
    """first: global number of its first row, None in v2.1. videos: key to file and the second at which the episode begins.
    rows: in its file.
    """

    index: int
    length: int
    first: int | None
    data: Path
    videos: dict[str, tuple[Path, float]] = field(default_factory=dict)
    rows: slice | None = None


@dataclass(frozen=True)
class _Pictures:
    """Pictures of an episode in a data set, in the size that `stream` asks for. shape: (T, h, w, 3)."""

    info: Info
    key: str
    episode: _Episode
    stream: Stream

    @property
    def shape(self) -> tuple[int, ...]:
        return self.episode.length, self.stream.height_px, self.stream.width_px, 3

    def read(self) -> np.ndarray:
        """uint8 [T, h, w, 3]. Raises DemoError."""
        shape, fps = self.info.features[self.key]["shape"], self.info.fps
        if self.key in self.episode.videos:
            path, begin_s = self.episode.videos[self.key]
            found = read_frames(path, begin_s + np.arange(self.episode.length) / fps, fps, shape)
        else:
            path = self.episode.data
            found = read_pictures(_contents(path, self.key, self.episode.rows), shape, f"{path}: {self.key}")
        try:
            return np.stack([fitted(picture, self.stream) for picture in found])
        except ImageError as error:
            raise DemoError(f"{path}: {self.key}: {error}") from None


def read_lerobot(root, contract: Contract | None = None, mapping: Mapping | None = None) -> DemoFile:
    """Read all episodes.

    A data set that was written here needs neither contract nor mapping; any other needs both. Raises DemoError, ContractError
    and MappingError, each with what to do.
    """
    info = read_info(root)
    ours = read_json(info.root / lerobot.OURS) if (info.root / lerobot.OURS).is_file() else {}
    if "contract" in ours:
        contract = followed(contract, contract_from_dict(ours["contract"], str(info.root / lerobot.OURS)), str(root))
    if contract is None:
        raise DemoError(f"{root}: no contract inside; name the one it is to follow with --contract")
    if mapping is None:
        mapping = _own_mapping(info, contract)
    check_mapping(mapping, contract)
    check_rate(info.fps, contract, str(root))
    extras = ours.get("episodes", [])
    if not isinstance(extras, list) or not all(isinstance(extra, dict) for extra in extras):
        raise DemoError(f"{info.root / lerobot.OURS}: 'episodes' is no list of objects; delete it")
    if extras and len(extras) != info.episodes:
        raise DemoError(
            f"{info.root / lerobot.OURS} knows {len(extras)} episodes, {lerobot.INFO} {info.episodes}: the data set was edited; "
            "delete 'episodes' from the first"
        )
    demos = []
    for stream, key in mapping.images.items():
        if info.features.get(key, {}).get("dtype") not in ("video", "image") or len(info.features[key]["shape"]) != 3:
            raise MappingError(f"{root}: no images '{key}', which are to be stream '{stream}'; it has: {info.described()}")
    for episode, take in _episodes(info, _keys(mapping)):
        where = f"{root}: episode {episode.index}"
        demo = _demo(episode, take, mapping, contract, extras[episode.index] if extras else {}, where)
        images = {name: _Pictures(info, key, episode, contract.streams[name]) for name, key in mapping.images.items()}
        demo = replace(demo, images=images)
        check_demo(demo, contract, where)
        demos.append(demo)
    return DemoFile(demos, contract, digest_demos(demos))


def _own_mapping(info: Info, contract: Contract) -> Mapping:
    """Of a data set written here: its names are the contract's. Raises MappingError for another."""
    images = {stream: lerobot.IMAGES + stream for stream in contract.images if lerobot.IMAGES + stream in info.features}
    names = lerobot.state_names(contract, images)
    expected = {lerobot.STATE: names, lerobot.ACTION: lerobot.action_names(contract)}
    if any(info.features.get(name, {}).get("names") != names for name, names in expected.items()):
        raise MappingError(
            f"{info.root}: which of its numbers is which feature of contract '{contract.name}'? Say it with --mapping "
            f"(docs/demonstrations.md). It has: {info.described()}"
        )
    observation, start = {}, 0
    for feature in contract.observation:
        if feature.stream not in images:
            observation[feature.name] = FeatureSource(lerobot.STATE, tuple(range(start, start + feature.size)))
            start += feature.size
    return Mapping(
        observation=observation,
        action=ActionSource(lerobot.ACTION),
        images=images,
        reward=lerobot.REWARD,
        success=lerobot.SUCCESS,
    )


def _keys(mapping: Mapping) -> list[str]:
    """The columns that a mapping needs."""
    named = [source.key for source in mapping.observation.values()]
    named += [mapping.action.key or lerobot.ACTION, mapping.reward, mapping.success]
    return sorted({key for key in named if key})


def _demo(episode: _Episode, take, mapping: Mapping, contract: Contract, extra: dict, where: str) -> Demonstration:
    observations = observations_of(mapping, contract, take, where)
    rewards, success = outcome_of(mapping, take, episode.length, where)
    final = extra.get("final_observation")
    try:
        return Demonstration(
            observations=observations,
            actions=actions_of(mapping, contract, lambda key: take(key or lerobot.ACTION), observations, where),
            rewards=rewards,
            success=success,
            seed=int(extra.get("seed", 0)),
            operator=str(extra.get("operator", "")),
            final_observation=None if final is None else np.array(final, np.float32),
        )
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, DemoError) else DemoError(f"{where}: {lerobot.OURS}: {error}") from None


def _episodes(info: Info, keys: list[str]) -> Iterator[tuple[_Episode, object]]:
    """Each episode with a function that gives the numbers of a column. A file of many episodes is read once."""
    for key in keys:
        if key not in info.features or info.features[key]["dtype"] in ("video", "image", "string"):
            raise MappingError(f"{info.root}: no numbers '{key}' in it; it has: {info.described()}")
    path, columns = None, {}
    for episode in _places(info):
        if episode.data != path:
            path, columns = episode.data, _columns(episode.data, (*ROWS, *keys))
        rows = _rows_of(columns, episode, info)
        yield replace(episode, rows=rows), lambda key, rows=rows, columns=columns: columns[key][rows]


def _places(info: Info) -> list[_Episode]:
    found = _places_v30(info) if info.version == lerobot.V30 else _places_v21(info)
    if [episode.index for episode in found] != list(range(info.episodes)):
        raise DemoError(f"{info.root}: {lerobot.INFO} says {info.episodes} episodes, meta/episodes lists {len(found)}")
    return found


def _places_v30(info: Info) -> list[_Episode]:
    found = []
    videos = [f"videos/{key}/{what}" for key in info.video_keys for what in ("chunk_index", "file_index", "from_timestamp")]
    for path in sorted((info.root / "meta/episodes").glob("*/*.parquet")):
        columns = _columns(path, (*PLACES, *videos))
        for i in range(len(columns["length"])):
            try:
                row = {name: column[i].item() for name, column in columns.items()}
                found.append(_place_v30(info, row))
            except (ValueError, OverflowError) as error:
                raise error if isinstance(error, DemoError) else DemoError(f"{path}: row {i}: {error}") from None
    return found


def _place_v30(info: Info, row: dict) -> _Episode:
    length, first = int(row["length"]), int(row["dataset_from_index"])
    if not 1 <= length <= MAX_TICKS or row["dataset_to_index"] - first != length:
        raise DemoError(
            f"{info.root}: episode {row['episode_index']} has {length} frames, from {first} to {row['dataset_to_index']}"
        )
    chunk, number = int(row["data/chunk_index"]), int(row["data/file_index"])
    videos = {}
    for key in info.video_keys:
        where = {"chunk_index": int(row[f"videos/{key}/chunk_index"]), "file_index": int(row[f"videos/{key}/file_index"])}
        video = info.place(info.video_path, video_key=key, **where)
        videos[key] = video, float(row[f"videos/{key}/from_timestamp"])
    data = info.place(info.data_path, chunk_index=chunk, file_index=number)
    return _Episode(int(row["episode_index"]), length, first, data, videos)


def _places_v21(info: Info) -> list[_Episode]:
    found = []
    for row in read_lines(info.root / "meta/episodes.jsonl"):
        index, length = row.get("episode_index"), row.get("length")
        if type(index) is not int or type(length) is not int or not 1 <= length <= MAX_TICKS or index < 0:
            raise DemoError(f"{info.root}: meta/episodes.jsonl: episode {index!r} of length {length!r}")
        where = {"episode_chunk": index // info.chunks_size, "episode_index": index}
        videos = {key: (info.place(info.video_path, video_key=key, **where), 0.0) for key in info.video_keys}
        found.append(_Episode(index, length, None, info.place(info.data_path, **where), videos))
    return sorted(found, key=lambda episode: episode.index)


def _columns(path: Path, names) -> dict[str, np.ndarray]:
    """Some columns of a parquet file, [T] or [T, n]. Raises DemoError, before anything too large is read."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            absent = [name for name in names if name not in file.schema_arrow.names]
            if absent:
                raise DemoError(f"{path}: no column '{absent[0]}'; it has {', '.join(file.schema_arrow.names)}")
            groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
            parts = [group.column(i) for group in groups for i in range(group.num_columns)]
            size = sum(part.total_uncompressed_size for part in parts if _within(part.path_in_schema, names))
            if size > MAX_TABLE_BYTES:
                raise DemoError(f"{path}: unpacks to {size >> 20} MiB, at most {MAX_TABLE_BYTES >> 20} are read")
            table = file.read(columns=list(names), use_threads=False)
            return {name: _array(table.column(name).combine_chunks(), f"{path}: column '{name}'") for name in names}
    except DemoError:
        raise
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DemoError(f"{path}: not a readable parquet file: {' '.join(str(error).split())}") from None


def _contents(path: Path, key: str, rows: slice) -> list[bytes]:
    """The image files in a column of a parquet file: structs of bytes and path, of which only the bytes are looked at."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            column = file.read(columns=[key], use_threads=False).column(key)[rows]
            found = [row["bytes"] for row in column.to_pylist()]
    except (OSError, ValueError, pyarrow.ArrowException, KeyError, TypeError) as error:
        raise DemoError(f"{path}: column '{key}' is no images: {' '.join(str(error).split())}") from None
    if any(not isinstance(content, bytes) for content in found):
        raise DemoError(f"{path}: column '{key}' has images that lie in other files; embed them, as LeRobot does by itself")
    return found


def _within(path: str, names) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in names)


def _array(column, where: str) -> np.ndarray:
    """[T] or [T, n] of numbers, or of lists of as many numbers each. Raises DemoError for any other."""
    from pyarrow import compute, types

    count, width = len(column), 0
    if column.null_count:
        raise DemoError(f"{where} has {column.null_count} rows without a value")
    if types.is_list(column.type) or types.is_fixed_size_list(column.type) or types.is_large_list(column.type):
        widths = compute.unique(compute.list_value_length(column)).to_pylist()
        if len(widths) != 1 or not widths[0]:
            raise DemoError(f"{where} holds lists of {widths[:5]} numbers: they must be of one length")
        column, width = column.flatten(), widths[0]
    kind = column.type
    if column.null_count or not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise DemoError(f"{where} holds {kind}, or gaps; numbers are needed")
    values = column.to_numpy(zero_copy_only=False)
    return values.reshape(count, width) if width else values


def _rows_of(columns: dict[str, np.ndarray], episode: _Episode, info: Info) -> slice:
    """Where in its file an episode lies. Raises DemoError unless it is there whole, in order, at the data set's rate."""
    numbers, where = columns["episode_index"], f"{episode.data}: episode {episode.index}"
    if (np.diff(numbers) < 0).any():
        raise DemoError(f"{episode.data}: its episodes are not in order")
    first, end = np.searchsorted(numbers, [episode.index, episode.index + 1])
    if end - first != episode.length:
        raise DemoError(f"{where}: {end - first} rows, {episode.length} expected")
    rows, count = slice(int(first), int(end)), np.arange(episode.length)
    if not np.array_equal(columns["frame_index"][rows], count):
        raise DemoError(f"{where}: its frame_index does not count from 0")
    if episode.first is not None and not np.array_equal(columns["index"][rows], episode.first + count):
        raise DemoError(f"{where}: its index does not count from {episode.first}, as meta/episodes says")
    off_s = np.abs(columns["timestamp"][rows] - count / info.fps).max()
    if not off_s < 0.5 / info.fps:
        raise DemoError(f"{where}: a timestamp is {off_s:.3g} s off {info.fps:g} Hz: resample it")
    return rows
