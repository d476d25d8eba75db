"""The rollout log: every decision and episode as MCAP, the source of truth that the learner replays after any death.

One chunk a message, each with its checksum and given to the operating system at once: a process that is killed loses
nothing it had written, a machine that loses power loses what came after the last `flush` (one for each episode). Such a
file lacks its closing index; the reader here takes the valid prefix and says what the rest was. What is
damaged in the middle is left out, and said. Readable by Foxglove, by `rosbags` and by `mcap-ros2-support` once closed.
"""

import contextlib
import json
import logging
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, Footer, Message, Metadata, Schema
from mcap.stream_reader import CRCValidationError, StreamReader, breakup_chunk
from mcap.writer import CompressionType, Writer

from lpds_ros.config import ConfigError
from lpds_ros.contract import Contract, contract_from_dict, contract_to_dict, require_same_contract
from lpds_ros.data.definitions import DECISION, EPISODE, DefinitionError, Definitions
from lpds_ros.data.log_codec import CodecError, decode, encode
from lpds_ros.data.log_rescue import next_chunk
from lpds_ros.records import Decision, Episode

METADATA = "lpds_contract"
STEM = "rollouts"
MAX_RECORD_BYTES = 1 << 28
REPEATED = 10  # flushes after which types and topics are written again: what follows them can be read without the first chunk
MAX_CONTRACT_CHARS = 1 << 20
UNREADABLE = (
    McapError,
    CRCValidationError,
    CodecError,
    DefinitionError,
    struct.error,
    KeyError,
    UnicodeDecodeError,
    EOFError,
    MemoryError,
    ValueError,
)

logger = logging.getLogger(__name__)


class RolloutLogError(ValueError):
    """A log that cannot be opened, or holds no readable message at all."""


def next_log_path(path) -> Path:
    """`path` when it is free, else the first free of `<stem>_1.mcap`, `<stem>_2.mcap`, …: nothing is overwritten."""
    path, count = Path(path), 0
    candidate = path
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{path.stem}_{count}{path.suffix}")
    return candidate


def log_paths(path) -> list[Path]:
    """The log files of a run folder in the order they were written; a file stands for itself alone.

    Raises RolloutLogError when there is none.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    numbers = {p: p.stem.removeprefix(f"{STEM}_") for p in path.glob(f"{STEM}_*.mcap")}
    numbered = sorted((int(number), p) for p, number in numbers.items() if number.isdecimal())
    found = [p for p in (path / f"{STEM}.mcap",) if p.is_file()] + [p for _, p in numbered]
    if not found:
        raise RolloutLogError(f"{path}: no rollout log here ({STEM}.mcap)")
    return found


class RolloutLogWriter:
    """Writes one new log file. A context manager, or call `close`; without it the file is valid up to the last message.

    contract: stored in the file when given, and so is `metadata`, by name. chunk_bytes: messages are gathered up to that size
    before the operating system gets them; 1: each at once. Raises FileExistsError rather than touch an existing file.
    """

    def __init__(
        self, path, contract: Contract | None = None, *, metadata: dict[str, dict[str, str]] | None = None, chunk_bytes: int = 1
    ):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.messages, self._flushes, self._last_stamp_ns = 0, 0, 0
        self._definitions, self._channels = Definitions(), {}
        self._stream = self.path.open("xb")
        self._writer = Writer(self._stream, chunk_size=chunk_bytes, compression=CompressionType.NONE)
        self._writer.start(profile="ros2", library="lpds_ros")
        if contract is not None:
            text = json.dumps(contract_to_dict(contract), sort_keys=True)
            self._writer.add_metadata(METADATA, {"digest": contract.digest, "contract": text})
        for name, values in (metadata or {}).items():
            self._writer.add_metadata(name, values)
        self._stream.flush()

    def write_raw(self, topic: str, typename: str, cdr: bytes, stamp_ns: int | None = None, received_ns: int | None = None):
        """Append one serialised message. stamp_ns: None takes the one of its header, or of the message before. received_ns: its
        log time, where that is not to be the stamp.

        Raises OSError, DefinitionError.
        """
        channel = self._channels.get((topic, typename)) or self._add_channel(topic, typename)
        if stamp_ns is None:
            stamp_ns = self._header_stamp_ns(typename, cdr)
        self._last_stamp_ns = stamp_ns
        log_time = stamp_ns if received_ns is None else received_ns
        self._writer.add_message(channel, log_time=log_time, publish_time=stamp_ns, data=cdr, sequence=self.messages)
        self.messages += 1
        self._stream.flush()

    def write_decision(self, decision: Decision, topic: str = "/lpds/decision"):
        """Append a Decision record."""
        self.write_raw(topic, *encode(self._definitions, decision), decision.stamp_ns)

    def write_episode(self, episode: Episode, topic: str = "/lpds/episode"):
        """Append an Episode record."""
        self.write_raw(topic, *encode(self._definitions, episode), episode.stamp_ns)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._stream.tell()

    def flush(self):
        """Return when everything written is on the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._flushes += 1
        if self._flushes % REPEATED == 0:
            self._channels.clear()

    def close(self):
        """Write the closing index and close the file. Calling it again does nothing."""
        if not self._stream.closed:
            self._writer.finish()
            self.flush()
            self._stream.close()

    def abandon(self):
        """Let go of a file that can no longer be written; what it holds already stays readable."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def _header_stamp_ns(self, typename: str, cdr: bytes) -> int:
        """The stamp of a message that begins with a Header: four bytes of encapsulation, seconds, nanoseconds."""
        if len(cdr) < 12 or not self._definitions.has_header(typename):
            return self._last_stamp_ns
        seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
        return max(0, seconds * 1_000_000_000 + nanoseconds)

    def _add_channel(self, topic, typename) -> int:
        text = self._definitions.text(typename)
        schema = self._writer.register_schema(typename, "ros2msg", text.encode())
        channel = self._writer.register_channel(topic, "cdr", schema, {"offered_qos_profiles": ""})
        self._channels[topic, typename] = channel
        return channel

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@dataclass(frozen=True)
class BadTail:
    """The end of a file that could not be read. lost_bytes is 0 when the file merely was not closed."""

    path: Path
    valid_bytes: int
    lost_bytes: int
    reason: str

    def __str__(self):
        if not self.lost_bytes:
            return f"{self.path}: was not closed; all {self.valid_bytes} bytes are readable"
        return f"{self.path}: the last {self.lost_bytes} bytes after {self.valid_bytes} are unusable: {self.reason}"


@dataclass(frozen=True)
class BadChunk:
    """Part of a file that was left out; what lies around it was read."""

    path: Path
    offset: int
    size: int
    reason: str

    def __str__(self):
        return f"{self.path}: {self.size} bytes at {self.offset} are unusable and were left out: {self.reason}"


class RolloutLog:
    """Iterating yields (topic, Decision or Episode), file after file, each of them once; other types are skipped.

    Afterwards `tails` holds a BadTail for each file that did not end properly and `skipped` a BadChunk for each chunk that
    was left out (both are logged). `contract` is the one
    stored in the newest file that has one, or None. Raises ContractError at the first decision made under another
    contract than `expected`.
    """

    def __init__(self, path, expected: Contract | None = None):
        self.paths, self.expected, self.tails, self.skipped = log_paths(path), expected, [], []
        stored = [contract for contract in map(stored_contract, self.paths) if contract is not None]
        self.contract = stored[-1] if stored else None

    def __iter__(self) -> Iterator[tuple[str, Decision | Episode]]:
        self.tails, self.skipped, seen = [], [], set()
        for path in self.paths:
            for topic, record in self._read(path):
                number = record.decision_id if isinstance(record, Decision) else record.episode
                key = (type(record), record.session, number)
                if key in seen:
                    continue
                seen.add(key)
                if self.expected is not None and isinstance(record, Decision):
                    require_same_contract(
                        self.expected, record.contract_digest, f"{path}: decision {record.decision_id}"
                    )
                yield topic, record

    def _read(self, path):
        definitions, schemas, channels = Definitions(), {}, {}
        valid, closed, reason, sought = 0, False, "", False
        with path.open("rb") as stream:
            for begin, end, parts in read_records(stream):
                found = []
                try:
                    if isinstance(parts, Exception):
                        raise parts
                    if self.skipped and not channels and not sought:
                        sought = True
                        schemas, channels = _declared(path, definitions)
                    found = list(_decisions_and_episodes(parts, definitions, schemas, channels))
                    valid, closed = end, any(isinstance(part, Footer) for part in parts)
                except UNREADABLE as error:
                    if end is None:
                        reason = _said(error)
                        break
                    self.skipped.append(BadChunk(path, begin, end - begin, _said(error)))
                    logger.warning("%s", self.skipped[-1])
                yield from found
        lost = path.stat().st_size - valid
        if reason or not closed:
            self.tails.append(BadTail(path, valid, lost, reason))
            logger.log(logging.WARNING if lost else logging.INFO, "%s", self.tails[-1])


def _decisions_and_episodes(parts, definitions: Definitions, schemas: dict, channels: dict):
    """(topic, record) of some records of the file; types and topics that they bring are kept for later ones."""
    for part in parts:
        if isinstance(part, Schema) and part.id not in schemas:  # the closing index repeats them
            schemas[part.id] = _learned(definitions, part)
        elif isinstance(part, Channel):
            channels[part.id] = (part.topic, schemas.get(part.schema_id))
        elif isinstance(part, Message):
            topic, typename = channels[part.channel_id]
            if typename in (DECISION, EPISODE):
                yield topic, decode(definitions, typename, part.data)


def read_records(stream, opened=None):
    """(begin, end, records) of a file, those of a chunk together; in the place of what cannot be read up to the next chunk
    the error stands (end None: there is no next one). opened: a Chunk to its records.
    """
    opened = opened or _opened
    begin = again = 0
    while again is not None:
        stream.seek(again)
        reader = StreamReader(stream, skip_magic=again > 0, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES)
        again = None
        try:
            for record in reader.records:
                end = stream.tell()
                yield begin, end, tuple(opened(record)) if isinstance(record, Chunk) else (record,)
                begin = end
        except UNREADABLE as error:
            again = next_chunk(stream, begin + 1)
            yield begin, again, error
            begin = again


def _declared(path: Path, definitions: Definitions) -> tuple[dict, dict]:
    """Types and topics from the closing index, for a file whose first chunk, which brought them, is unreadable."""
    schemas, channels = {}, {}
    with path.open("rb") as stream:
        for _, _, parts in read_records(stream):
            if not isinstance(parts, Exception):
                declared = [part for part in parts if isinstance(part, Schema | Channel)]
                list(_decisions_and_episodes(declared, definitions, schemas, channels))
    return schemas, channels


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def read_log(path, expected: Contract | None = None) -> RolloutLog:
    """The records of a log file, or of all log files of a run folder in order. See RolloutLog."""
    return RolloutLog(path, expected)


def _opened(chunk: Chunk) -> list:
    """The records of a chunk. Raises ValueError for a compressed one: how long it becomes is not in our hands."""
    if chunk.compression:
        raise ValueError(
            f"its chunks are compressed ({chunk.compression!r}), which no log of ours is: `mcap decompress` makes it readable"
        )
    return breakup_chunk(chunk, validate_crc=True)


def _learned(definitions: Definitions, schema: Schema) -> str:
    """Types come from the file itself, so that a log stays readable when the interfaces have moved on."""
    if schema.name in (DECISION, EPISODE) and schema.encoding == "ros2msg":
        definitions.learn(schema.name, schema.data.decode())
    return schema.name


def stored_contract(path) -> Contract | None:
    """The contract in a file, None where there is none, or none that can be read."""
    with path.open("rb") as stream:
        try:
            for record in StreamReader(stream, emit_chunks=True, record_size_limit=MAX_RECORD_BYTES).records:
                if isinstance(record, Metadata) and record.name == METADATA:
                    text = record.metadata["contract"]
                    if len(text) > MAX_CONTRACT_CHARS:
                        raise ConfigError(f"{len(text)} characters long")
                    contract = contract_from_dict(json.loads(text), str(path))
                    require_same_contract(record.metadata["digest"], contract.digest, "what is stored")
                    return contract
                if isinstance(record, Chunk):
                    return None  # the contract comes before the first message
        except ConfigError as error:  # metadata carry no checksum, but every decision names its contract's digest
            logger.warning("%s: the contract in it is damaged or another version's: %s", path, error)
        except (McapError, struct.error, KeyError, TypeError, AttributeError, ValueError, RecursionError):
            return None  # reading the records says where the file ends
    return None
