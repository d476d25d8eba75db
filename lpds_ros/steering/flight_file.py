"""A recording as one file: safetensors, one column a quantity, and a header of JSON, with all it takes to do it again.

Its SHA-256 is part of it: a file that was altered is refused, not half believed. Nothing in it is code, and nothing is unpickled.
"""

import dataclasses
import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lpds_ros.contract import Contract, contract_from_dict, contract_to_dict
from lpds_ros.durable import write_whole
from lpds_ros.records import Observation, OperatorInput
from lpds_ros.steering.flight import Recording
from lpds_ros.steering.flight_columns import Shapes, Texts, from_columns, take, to_columns
from lpds_ros.steering.flight_ticks import entries_of, tick_columns
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.schedule import Chunk
from lpds_ros.weights import pack_weights, unpack_weights

FORMAT = "lpds-flight-1"
MAX_BYTES, MAX_HEADER_BYTES = 1 << 30, 8 << 20


class FlightError(ValueError):
    """A file that is no whole recording; the text says why."""


@dataclass(frozen=True)
class Circumstances:
    """What does not change from tick to tick. seed: of the noise. bundle: its folder then, digest: the prior's; both "" without
    one. provider, variant, threads: of its decoder. versions: of the software, by name.
    """

    contract: Contract
    params: SteeringParams
    session: str
    seed: int
    bundle: str = ""
    digest: str = ""
    provider: str = ""
    variant: str = ""
    threads: int = 1
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def write_flight(path: Path, recording: Recording, around: Circumstances, time: str):
    """Write the file as a whole. time: of the event, for a person. Raises OSError."""
    texts, contract = Texts(), around.contract
    options = {"texts": texts, "names": list(contract.streams), "shapes": _shapes(contract)}
    entries = recording.entries
    operators, which_operator = _numbered([entry.operator for entry in entries])
    chunks, which_chunk = _numbered([entry.trace.chunk for entry in entries])
    weights, which_weights = _numbered([chunk.weights for chunk in chunks])
    columns = {
        **tick_columns(entries, contract, around.params, texts),
        **to_columns([entry.observation for entry in entries], Observation, "observation", **options),
        **to_columns(operators, OperatorInput, "operator", **options),
        **to_columns(chunks, Chunk, "chunk", **options),
        "operator": which_operator,
        "chunk": which_chunk,
        "chunk.weights": which_weights,
    }
    for number, parameters in enumerate(weights):
        columns[f"weights.{number}"] = np.frombuffer(pack_weights(parameters), np.uint8)
    header = {
        "time": time,
        "contract": contract_to_dict(contract),
        **{field.name: getattr(around, field.name) for field in dataclasses.fields(around) if field.name != "contract"},
        "params": dataclasses.asdict(around.params),
        "ticks": len(entries),
        "counts": {"operator": len(operators), "chunk": len(chunks), "weights": len(weights)},
        **{name: getattr(recording, name) for name in ("event", "whole", "skipped")},
        "texts": texts,
    }
    text = json.dumps(header)
    columns = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    write_whole(path, save(columns, {"format": FORMAT, "header": text, "sha256": _digest(text, columns)}))


def read_flight(path) -> tuple[Recording, Circumstances, str]:
    """(recording, circumstances, time of the event). Raises FlightError, or ConfigError for its contract."""
    path = Path(path)
    if not path.is_file():
        raise FlightError(f"{path}: no such file; recordings lie in a run's flight/ folder")
    if path.stat().st_size > MAX_BYTES:
        raise FlightError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_BYTES} a recording may have")
    try:
        header, columns = _opened(path.read_bytes())
        return _rebuilt(header, columns, str(path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        reason = f"{'' if isinstance(error, ValueError) else type(error).__name__ + ': '}{error}"
        raise FlightError(f"{path}: not a whole recording: {reason}; copy it again, or take an older one") from None


def _opened(blob: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    if len(blob) < 8:
        raise ValueError(f"{len(blob)} bytes")
    (size,) = struct.unpack("<Q", blob[:8])
    if size > min(MAX_HEADER_BYTES, len(blob) - 8):
        raise ValueError(f"its header claims {size} bytes")
    metadata = json.loads(blob[8 : 8 + size])["__metadata__"]
    if metadata["format"] != FORMAT:
        raise ValueError(f"its format is {str(metadata['format'])[:40]!r}, this version reads {FORMAT!r}")
    columns = load(blob)
    digest = _digest(metadata["header"], columns)
    if digest != metadata["sha256"]:
        raise ValueError(f"its SHA-256 is {digest[:12]}, written was {str(metadata['sha256'])[:12]}")
    return json.loads(metadata["header"]), columns


def _digest(header: str, columns: dict[str, np.ndarray]) -> str:
    found = hashlib.sha256(header.encode())
    for name in sorted(columns):
        found.update(f"\n{name} {columns[name].dtype} {columns[name].shape}\n".encode())
        found.update(columns[name].tobytes())
    return found.hexdigest()


def _rebuilt(header: dict, columns: dict, where: str) -> tuple[Recording, Circumstances, str]:
    contract = contract_from_dict(header["contract"], where)
    plain = {f.name: header[f.name] for f in dataclasses.fields(Circumstances) if f.name not in ("contract", "params")}
    around = Circumstances(contract, SteeringParams(**header["params"]), **plain)
    texts, ticks, counts = header["texts"], header["ticks"], header["counts"]
    if not 0 <= header["event"] < ticks:
        raise ValueError(f"its event is tick {header['event']} of {ticks}")
    options = {"texts": texts, "names": list(contract.streams), "shapes": _shapes(contract)}
    observations = from_columns(columns, Observation, "observation", ticks, **options)
    operators = from_columns(columns, OperatorInput, "operator", counts["operator"], **options)
    chunks = from_columns(columns, Chunk, "chunk", counts["chunk"], **options)
    weights = [
        unpack_weights(columns.pop(f"weights.{i}").tobytes(), contract=contract, prior_digest=around.digest)
        for i in range(counts["weights"])
    ]
    of_chunk = _named(take(columns, "chunk.weights", np.int32, (len(chunks),)), weights)
    chunks = [dataclasses.replace(chunk, weights=parameters) for chunk, parameters in zip(chunks, of_chunk)]
    operators = _named(take(columns, "operator", np.int32, (ticks,)), operators)
    chunks = _named(take(columns, "chunk", np.int32, (ticks,)), chunks)
    entries = entries_of(columns, contract, around.params, texts, observations, operators, chunks)
    if columns:
        raise ValueError(f"unexpected column {sorted(columns)[0]}")
    recording = Recording(entries, header["event"], header["whole"], header["skipped"])
    return recording, around, header["time"]


def _shapes(contract: Contract) -> Shapes:
    noise, row = (np.float32, contract.noise_shape), (np.float32, (contract.action.size,))
    return {
        "data": (np.float32, (contract.observation_size,)),
        "position": (np.float64, (3,)),
        "orientation": (np.float64, (4,)),
        "joints": (np.float64, (7,)),
        "action": row,
        "state": (np.float32, (contract.state_size,)),
        **dict.fromkeys(("noise", "delta", "rows", "prefix"), noise),
        "given": (np.float32, contract.noise_shape[:1]),
    }


def _numbered(things: list) -> tuple[list, np.ndarray]:
    """Those that differ, in their order, and for each of all its number among them, int32; -1 for None."""
    known = {id(thing): thing for thing in things if thing is not None}
    numbers = {key: number for number, key in enumerate(known)}
    return list(known.values()), np.array([numbers.get(id(thing), -1) for thing in things], np.int32)


def _named(numbers: np.ndarray, things: list) -> list:
    if len(numbers) and not -1 <= numbers.min() <= numbers.max() < len(things):
        raise ValueError(f"number {numbers.max()} of {len(things)}")
    return [things[number] if number >= 0 else None for number in numbers.tolist()]
