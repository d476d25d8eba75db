"""Decision and Episode records to CDR and back, through rosbags' types: what a log holds is what was on the wire."""

import dataclasses

import numpy as np

from lpds_ros.data.definitions import DECISION, EPISODE, Definitions
from lpds_ros.records import Decision, Episode, Source

ARRAYS = (
    "observation",
    "noise",
    "delta",
    "chunk",
    "executed",
    "sent",
    "rewards",
    "tick_observations",
    "next_observation",
)


class CodecError(ValueError):
    """A message that is not a Decision or Episode as this version knows them."""


def encode(definitions: Definitions, record: Decision | Episode) -> tuple[str, bytes]:
    """(message type, CDR bytes with their encapsulation header) of a record."""
    typename = DECISION if isinstance(record, Decision) else EPISODE
    definitions.require(typename)
    types = definitions.store.types
    seconds, nanoseconds = divmod(int(record.stamp_ns), 1_000_000_000)
    stamp = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record) if f.name != "stamp_ns"}
    for name in ARRAYS if isinstance(record, Decision) else ():
        fields[name] = np.ascontiguousarray(fields[name], np.float32).ravel()
    fields = {name: int(value) if isinstance(value, Source) else value for name, value in fields.items()}
    message = types[typename](header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="base"), **fields)
    return typename, bytes(definitions.store.serialize_cdr(message, typename))


def decode(definitions: Definitions, typename: str, cdr: bytes) -> Decision | Episode:
    """The record of a CDR message. Shapes follow from the message itself: T_a from rewards, d_a from executed.

    Raises CodecError when it does not decode, lacks a field, or holds arrays of impossible sizes.
    """
    definitions.require(typename)
    try:
        message = definitions.store.deserialize_cdr(cdr, typename)
        stamp = message.header.stamp
        cls = Decision if typename == DECISION else Episode
        names = [f.name for f in dataclasses.fields(cls) if f.name != "stamp_ns"]
        values = {name: getattr(message, name) for name in names}
        if cls is Decision:
            values |= _shaped(message)
    except Exception as error:  # noqa: BLE001 (rosbags' generated code raises whatever a short buffer provokes)
        raise CodecError(f"{typename} message of {len(cdr)} bytes: {type(error).__name__}: {error}") from None
    return cls(stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec, **values)


def _shaped(message) -> dict:
    executed, ticks = len(message.rewards), message.ticks
    if not 1 <= ticks <= executed or len(message.executed) % executed or len(message.tick_observations) % ticks:
        raise ValueError(f"{ticks} ticks of {executed} with {len(message.executed)} numbers executed")
    rows = {"executed": executed, "sent": executed, "tick_observations": ticks}
    width = len(message.executed) // executed
    values = {name: np.array(getattr(message, name), np.float32) for name in ARRAYS}
    for name, count in rows.items():
        values[name] = values[name].reshape(count, -1)
    for name in ("noise", "delta", "chunk"):
        values[name] = values[name].reshape(-1, width)
    for array in values.values():
        array.setflags(write=False)
    return values | {"source": Source(message.source)}
