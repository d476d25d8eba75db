"""Recorded ROS messages as they came: our own bags, those of `ros2 bag record` as MCAP or sqlite3. No ROS needed.

An MCAP file that was not closed is read up to where it ends. Compressed chunks are unpacked up to a limit; types are taken from
the file only as fields and numbers (definitions.py), so that nothing of a file is ever run.
"""

import contextlib
import dataclasses
import io
import logging
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import zstandard
from mcap.records import Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import breakup_chunk
from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import Reader

from lpds_ros.contract import Contract
from lpds_ros.data.definitions import DefinitionError, Definitions
from lpds_ros.data.demonstration import DemoError
from lpds_ros.data.rollout_log import MAX_RECORD_BYTES, read_records, stored_contract

METADATA = "lpds_streams"
OBSERVATION, TASK, ROBOT = "lpds_msgs/msg/Observation", "lpds_msgs/msg/TaskState", "franka_msgs/msg/FrankaRobotState"
POSE, JOINTS, IMAGE = "geometry_msgs/msg/PoseStamped", "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
LEARNED = ("lpds_msgs/", "franka_msgs/")  # types that change with their package's version: as the file says
SUFFIXES = (".mcap", ".db3")
FOLDER, STEM = "streams", "streams"  # of a run, and of the files in it

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawMessage:
    """topic: as recorded, absolute. log_ns: when it was recorded. data: CDR with its encapsulation header."""

    topic: str
    typename: str
    log_ns: int
    data: bytes


@dataclass(frozen=True)
class Described:
    """What a bag of ours says of itself: its contract, and values such as how time passed. None and empty for others'."""

    contract: Contract | None
    values: dict[str, str]


def streams_of(path) -> Path:
    """The bag of a run folder whose streams were recorded; any other path is itself."""
    path = Path(path)
    return path / FOLDER if (path / FOLDER).is_dir() else path


def is_bag(path) -> bool:
    """Whether `path` is a file, or a folder with files, that `raw_messages` reads."""
    path = Path(path)
    return path.suffix in SUFFIXES if path.is_file() else path.is_dir() and any(_inside(path))


def bag_files(path) -> list[Path]:
    """The files of a bag in the order they were written; a file stands for itself. Raises DemoError where there is none."""
    path = Path(path)
    if path.is_file() and path.suffix in SUFFIXES:
        return [path]
    found = sorted(_inside(path), key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)][-1:])
    if not found:
        packed = [*path.glob("*.zstd")] if path.is_dir() else []
        hint = f"; unpack {packed[0].name} first: zstd -d" if packed else ""
        raise DemoError(f"{path}: no bag here ({', '.join(SUFFIXES)}){hint}")
    return found


def _inside(path: Path) -> list[Path]:
    return [file for suffix in SUFFIXES for file in path.glob(f"*{suffix}") if file.is_file()] if path.is_dir() else []


def describe(path) -> Described:
    """What the bag's newest file says of itself."""
    newest = bag_files(path)[-1]
    if newest.suffix != ".mcap":
        return Described(None, {})
    values = {}
    with newest.open("rb") as stream:
        for _, _, parts in read_records(stream, _no_messages):
            if isinstance(parts, Exception) or any(isinstance(part, Chunk) for part in parts):
                break
            for part in parts:
                if isinstance(part, Metadata) and part.name == METADATA:
                    values = dict(part.metadata)
    return Described(stored_contract(newest), values)


def topics_of(path, definitions: Definitions) -> dict[str, str]:
    """Topic to type of a bag."""
    return {message.topic: message.typename for message in raw_messages(path, definitions)}


def raw_messages(path, definitions: Definitions, *, wanted=lambda topic, typename: True) -> Iterator[RawMessage]:
    """The messages of a bag, file after file, in the order they were recorded.

    definitions: learns the types of our packages as the bag has them. wanted: (topic, type) that are yielded. Raises DemoError
    for a bag that cannot be read at all; what cannot be read of one is logged.
    """
    for file in bag_files(path):
        yield from (_from_mcap if file.suffix == ".mcap" else _from_sqlite)(file, definitions, wanted)


def _from_mcap(path: Path, definitions: Definitions, wanted) -> Iterator[RawMessage]:
    schemas, channels = {}, {}
    with path.open("rb") as stream:
        for begin, _, parts in read_records(stream, _unpacked):
            if isinstance(parts, Exception):
                said = " ".join(f"{type(parts).__name__}: {parts}".split())
                logger.warning("%s: not closed, or unreadable from byte %d on: %s", path, begin, said)
                continue
            for part in parts:
                if isinstance(part, Schema):
                    schemas[part.id] = part.name
                    _learn(definitions, part.name, part.data.decode(errors="replace") if part.encoding == "ros2msg" else "")
                elif isinstance(part, Channel):
                    channels[part.id] = (part.topic, schemas.get(part.schema_id, ""), part.message_encoding == "cdr")
                elif isinstance(part, Message) and part.channel_id in channels:
                    topic, typename, readable = channels[part.channel_id]
                    if readable and wanted(topic, typename):
                        yield RawMessage(topic, typename, part.log_time, part.data)


def _from_sqlite(path: Path, definitions: Definitions, wanted) -> Iterator[RawMessage]:
    try:
        with Reader(path) as reader:
            connections = [c for c in reader.connections if wanted(c.topic, c.msgtype)]
            for connection in connections:
                text = connection.msgdef.data if connection.msgdef.format == MessageDefinitionFormat.MSG else ""
                _learn(definitions, connection.msgtype, text)
            for connection, log_ns, data in reader.messages(connections=connections) if connections else ():
                yield RawMessage(connection.topic, connection.msgtype, log_ns, bytes(data))
    except Exception as error:  # noqa: BLE001 (rosbags and SQLite raise whatever a damaged file provokes)
        raise DemoError(f"{path}: not a readable bag: {type(error).__name__}: {error}") from None


def _learn(definitions: Definitions, typename: str, text: str):
    """Types of our packages may have been others when the bag was recorded; common ones never change."""
    if text and typename.startswith(LEARNED):
        with contextlib.suppress(DefinitionError):  # what is installed reads it, or decoding says that it does not
            definitions.learn(typename, text)


def _no_messages(chunk: Chunk) -> list[Chunk]:
    return [chunk]


def _unpacked(chunk: Chunk):
    """The records of a chunk. Raises ValueError for one that unpacks to another size than it says, or to too much."""
    if not chunk.compression:
        return breakup_chunk(chunk, validate_crc=True)
    size = chunk.uncompressed_size
    if size > MAX_RECORD_BYTES:
        raise ValueError(f"a chunk unpacks to {size} bytes, more than the {MAX_RECORD_BYTES} accepted")
    if chunk.compression == "zstd":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(chunk.data)).read(size + 1)
    elif chunk.compression == "lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(chunk.data, max_length=size + 1)
    else:
        raise ValueError(f"compression {chunk.compression!r} is not known")
    if len(data) != size:
        raise ValueError(f"a chunk unpacks to {len(data)} bytes, not to the {size} it says")
    return breakup_chunk(dataclasses.replace(chunk, compression="", data=data), validate_crc=True)


def decoded(definitions: Definitions, message: RawMessage):
    """The message as rosbags decodes it, fields as in ROS. Raises DemoError."""
    try:
        definitions.require(message.typename)
        return definitions.store.deserialize_cdr(message.data, message.typename)
    except Exception as error:  # noqa: BLE001 (rosbags' generated code raises whatever a short buffer provokes)
        raise DemoError(
            f"a message of {message.topic} ({message.typename}, {len(message.data)} bytes) does not decode: "
            f"{type(error).__name__}: {error}"
        ) from None


def header_stamp(message: RawMessage) -> int:
    """The stamp of a message whose type begins with a Header, without decoding the rest. Raises DemoError."""
    if len(message.data) < 12:
        raise DemoError(f"a message of {message.topic} has {len(message.data)} bytes")
    seconds, nanoseconds = struct.unpack_from("<iI" if message.data[1] & 1 else ">iI", message.data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def stamp_of(header) -> int:
    """Nanoseconds of a decoded std_msgs/Header."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
