"""A recording done again, stage by stage, and compared bit for bit: states, Δ, the decoder's chunks, the rows, the commands,
the gripper.

Stages, since a recording starts in the middle of an episode: each is fed what was recorded of the one before. Together they cover
every step from an observation to a command, and say which one came out otherwise.
"""

from dataclasses import dataclass

import numpy as np

from lpds_ros.records import Source
from lpds_ros.robot.gripper import GripperLogic
from lpds_ros.steering.actor import Actor
from lpds_ros.steering.flight import Entry, Recording
from lpds_ros.steering.flight_file import Circumstances
from lpds_ros.steering.flight_ticks import flat_memory
from lpds_ros.steering.schedule import Chunk, decode_batch
from lpds_ros.steering.trace import TracedTarget, repeat


@dataclass(frozen=True)
class Check:
    """equal of `of` came out bit for bit; differences: what did not, one line each, in order."""

    what: str
    of: int
    differences: tuple[str, ...]

    @property
    def equal(self) -> int:
        """How many were the same."""
        return self.of - len(self.differences)


def check_all(recording: Recording, around: Circumstances, decoder) -> list[Check]:
    """Every stage. decoder: a DecoderSession of the recording's bundle, or None where no chunk ran."""
    checks = [check_states(recording, around), check_deltas(recording, around)]
    if decoder is not None:
        checks.append(check_chunks(recording, around, decoder))
    return [*checks, check_rows(recording), check_commands(recording, around), check_gripper(recording, around)]


def chunks_of(recording: Recording) -> list[Chunk]:
    """Those of the recording, in their order."""
    return list({id(e.trace.chunk): e.trace.chunk for e in recording.entries if e.trace.chunk is not None}.values())


def check_states(recording: Recording, around: Circumstances) -> Check:
    """What each chunk was decoded from had been observed. Without those whose observations may be older than the recording."""
    contract, seen, known, checked, differences = around.contract, set(), set(), 0, []
    for i, entry in enumerate(recording.entries):
        seen.add(entry.observation.data.tobytes())
        chunk = entry.trace.chunk
        if id(chunk) in known or chunk is None:
            continue
        known.add(id(chunk))
        if i < contract.horizons.predicted + contract.horizons.observed:
            continue
        checked += 1
        if not all(part.tobytes() in seen for part in chunk.state.reshape(-1, contract.observation_size)):
            differences.append(f"tick {i}: its chunk was decoded from {_shown(chunk.state)}, which no tick before it observed")
    return Check("states of chunks", checked, tuple(differences))


def check_deltas(recording: Recording, around: Circumstances) -> Check:
    """Δ_θ(s, ε) from the stored weights; zero where the prior drove."""
    chunks, differences = chunks_of(recording), []
    for number, chunk in enumerate(chunks):
        delta = np.zeros(around.contract.noise_shape, np.float32)
        if chunk.source == Source.STEERED:
            if chunk.weights is None:
                differences.append(f"chunk {number}: steered by version {chunk.version}, whose weights are not in the file")
                continue
            delta = Actor(chunk.weights, around.contract.noise_shape, around.params.max_radius)(chunk.state, chunk.noise)
        _compare(differences, f"chunk {number}: Δ of version {chunk.version}", chunk.delta, delta)
    return Check("Δ of chunks", len(chunks), tuple(differences))


def check_chunks(recording: Recording, around: Circumstances, decoder) -> Check:
    """Rows from state, noise and Δ. Each is decoded in a batch as large as it was then: kernels round by the batch's size."""
    chunks, differences = chunks_of(recording), []
    batch = around.params.noises(around.contract.horizons.delay)
    for number, chunk in enumerate(chunks):
        noise = chunk.noise + chunk.delta if chunk.source == Source.STEERED else chunk.noise
        decoded = decode_batch(decoder, chunk.state, np.repeat(noise[None], batch, 0), chunk.prefix, chunk.given)
        nearest = min(decoded, key=lambda rows: 0 if _same(rows, chunk.rows) else _off(rows, chunk.rows))
        _compare(differences, f"chunk {number}: rows", chunk.rows, nearest)
    return Check("decoded chunks", len(chunks), tuple(differences))


def check_rows(recording: Recording) -> Check:
    """Every row that was asked for is the running chunk's, or the operator's."""
    driven, differences = 0, []
    for i, entry in enumerate(recording.entries):
        row, chunk = entry.trace.moves.row, entry.trace.chunk
        if row is None:
            continue
        driven += 1
        if chunk is not None:
            if row_number(entry) is None:
                differences.append(f"tick {i}: row {_shown(row)} is none of its chunk's")
        elif entry.operator is None:
            differences.append(f"tick {i}: row {_shown(row)} is nobody's")
        else:
            wished = np.clip(entry.operator.action, -1.0, 1.0).astype(np.float32)
            _compare(differences, f"tick {i}: the operator's row", row, wished)
    return Check("rows asked for", driven, tuple(differences))


def check_commands(recording: Recording, around: Circumstances) -> Check:
    """Safety filter, integration and interpolation, from the pose that was commanded when the recording begins."""
    target, differences = TracedTarget(around.contract, around.params), []
    for i, entry in enumerate(recording.entries):
        moves = entry.trace.moves
        if i == 0 or differences or moves.before is None:  # after a difference: again from what was recorded
            target.restore(moves)
        found = repeat(target, moves, entry.observation)
        pairs = [("the pose before", _flat(moves.before), _flat(found.before)), ("the row sent", moves.sent, found.sent)]
        pairs += [("what the filter remembers", flat_memory(moves.memory), flat_memory(found.memory))]
        again = target.sub_targets(entry.tick.stamp_ns)
        for name in ("stamp_ns", "position", "orientation"):
            pairs.append((f"target {name}", *(np.array([getattr(t, name) for t in ts]) for ts in (entry.tick.targets, again))))
        for what, recorded, recomputed in pairs:
            if _compare(differences, f"tick {i}: {what}", recorded, recomputed):
                break
    return Check("commands", len(recording.entries), tuple(differences))


def check_gripper(recording: Recording, around: Circumstances) -> Check:
    """The hand's events, from the first episode on that begins in the recording: before it, the hand's state is not known."""
    logic, checked, differences = None, 0, []
    for i, (before, entry) in enumerate(zip(recording.entries, recording.entries[1:]), 1):
        if (entry.trace.episode, entry.trace.seed) != (before.trace.episode, before.trace.seed):
            logic = GripperLogic(around.params.gripper_threshold, around.params.gripper_dwell_s)
        moves, event = entry.trace.moves, None
        if logic is None or around.contract.action.gripper == "none":
            continue
        checked += 1
        if moves.sent is not None:
            event = logic.update(float(moves.row[-1]), entry.tick.stamp_ns)
        if event != entry.tick.gripper:
            differences.append(f"tick {i}: gripper: recorded {entry.tick.gripper or 'none'}, again {event or 'none'}")
    return Check("gripper", checked, tuple(differences))


def row_number(entry: Entry) -> int | None:
    """Which of its chunk's rows this tick's is; None where it is none of them."""
    row, chunk = entry.trace.moves.row, entry.trace.chunk
    if row is None or chunk is None:
        return None
    return next((k for k, other in enumerate(chunk.rows) if _same(row, other)), None)


def _compare(differences: list[str], what: str, recorded, again) -> bool:
    """Note where the two are not the same bits; whether they are not."""
    if (recorded is None and again is None) or (recorded is not None and again is not None and _same(recorded, again)):
        return False
    off = "" if recorded is None or again is None else f", off by {_off(recorded, again):.3g}"
    differences.append(f"{what}: recorded {_shown(recorded)}, again {_shown(again)}{off}")
    return True


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).max()) if a.shape == b.shape and a.size else np.inf


def _flat(pose) -> np.ndarray | None:
    return None if pose is None else np.concatenate(pose)


def _shown(values: np.ndarray | None) -> str:
    if values is None:
        return "none"
    text = " ".join(np.format_float_positional(v, unique=True) if np.isfinite(v) else str(v) for v in values.ravel()[:8].tolist())
    return f"[{text}{' …' if values.size > 8 else ''}]"
