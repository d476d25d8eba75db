"""A recording in words: its head, a line a tick, one tick whole."""

import math
from collections.abc import Iterator

import numpy as np

from lpds_ros.records import Source
from lpds_ros.steering.flight import Entry, Recording
from lpds_ros.steering.flight_check import chunks_of, row_number
from lpds_ros.steering.flight_file import Circumstances

BY = {None: "–", Source.PRIOR: "prior", Source.STEERED: "steered", Source.OPERATOR: "operator"}
HEADS = (
    f"{'tick':>5} {'t, s':>7} {'mode':5} {'by':8} {'age, ms':>7} {'measured, m':>20} {'commanded, m':>20} "
    f"{'step, mm':>8} {'row':>5} {'version':>7} {'took, ms':>8} {'late, ms':>8}"
)


def head(recording: Recording, around: Circumstances, time: str) -> list[str]:
    """What the recording is of."""
    came_down, trace = recording.came_down, recording.entries[recording.event].trace
    after = len(recording.entries) - recording.event - 1
    period_s, chunks = around.contract.period_s, chunks_of(recording)
    versions = sorted({chunk.version for chunk in chunks})
    bundle = f"{around.bundle or 'bundle'} ({around.digest[:12]}), {around.variant} on {around.provider}"
    lines = [
        f"{came_down.mode.name}: {came_down.reason}",
        f"{time}, tick {trace.ticks} of episode {trace.episode} (seed {trace.seed})",
        f"session {around.session}, seed {around.seed} of the noise",
        f"{recording.event * period_s:.2f} s before and {after * period_s:.2f} s after at {around.contract.rate_hz:g} Hz"
        + ("" if recording.whole else " (the tail was cut short)"),
        f"contract {around.contract.name} ({around.contract.digest[:12]}), " + (bundle if around.digest else "no prior"),
        f"{len(chunks)} chunks, weights of versions {', '.join(map(str, versions)) or 'none'}; "
        + ", ".join(f"{name} {version}" for name, version in around.versions.items()),
    ]
    if recording.skipped:
        lines.append(f"{recording.skipped} descents shortly before were not recorded")
    return lines


def table(recording: Recording, first: int, last: int) -> Iterator[str]:
    """Ticks `first` to `last`, a reason where it changes. t counts from the event, which is marked."""
    yield HEADS
    reason = None
    for i in range(first, last + 1):
        entry = recording.entries[i]
        yield row(recording, i)
        if entry.tick.reason != reason:
            reason = entry.tick.reason
            yield f"{'':13} {reason}"


def row(recording: Recording, i: int) -> str:
    """One tick in one line."""
    entry = recording.entries[i]
    tick, moves, chunk = entry.tick, entry.trace.moves, entry.trace.chunk
    end = tick.targets[-1].position if tick.targets else None
    step = "–" if end is None or moves.last is None else f"{1e3 * np.linalg.norm(end - moves.last[0]):.2f}"
    number = row_number(entry)
    return (
        f"{i:>5} {seconds(recording, i):>+7.2f} {tick.mode.name:5} {BY[tick.source]:8} {_age(entry):>7} "
        f"{_point(entry.observation.position):>20} {_point(end):>20} {step:>8} "
        f"{'–' if number is None else f'{number}/{len(chunk.rows)}':>5} {entry.trace.version:>7} "
        f"{_ms(entry.compute_s):>8} {_ms(entry.late_s):>8}"
        + (f"  hand: {tick.gripper}" if tick.gripper else "")
        + ("  ◄" if i == recording.event else "")
    )


def whole(recording: Recording, i: int) -> list[str]:
    """Everything that is known of one tick."""
    entry = recording.entries[i]
    seen, tick, trace, moves = entry.observation, entry.tick, entry.trace, entry.trace.moves
    lines = [HEADS, row(recording, i), f"  reason        {tick.reason}"]
    for name, value in vars(seen).items():
        lines.append(f"  {name:13} {_value(value)}")
    for name, value in ({} if entry.operator is None else vars(entry.operator)).items():
        lines.append(f"  operator {name:4} {_value(value)}")
    lines.append(f"  episode       {trace.episode}, seed {trace.seed}, tick {trace.ticks}")
    if trace.chunk is not None:
        chunk = trace.chunk
        norm = math.sqrt(float(np.square(chunk.delta, dtype=np.float64).sum()))
        lines.append(f"  chunk         version {chunk.version}, from row {trace.first}, ‖Δ‖ {norm:.4f}, {_ms(chunk.decode_s)} ms")
        lines += [f"  {name:13} {_value(getattr(chunk, name))}" for name in ("state", "noise", "delta", "rows")]
    seeded = "the measured pose" if moves.seeded else _value(None if moves.before is None else np.concatenate(moves.before))
    lines += [f"  from          {seeded}", f"  asked         {_value(moves.row)}", f"  sent          {_value(moves.sent)}"]
    for target in tick.targets:
        after_ms = (target.stamp_ns - tick.stamp_ns) / 1e6
        lines.append(f"  target {after_ms:>+4.0f} ms {_value(np.concatenate([target.position, target.orientation]))}")
    return lines


def seconds(recording: Recording, i: int) -> float:
    """Of tick i since the event, on the robot's clock."""
    return (recording.entries[i].tick.stamp_ns - recording.came_down.stamp_ns) / 1e9


def _age(entry: Entry) -> str:
    ages = entry.observation.ages_s.values()
    return f"{1e3 * max(ages):.0f}" if ages else "–"


def _ms(value_s: float) -> str:
    return f"{1e3 * value_s:.2f}" if math.isfinite(value_s) else "–"


def _point(position: np.ndarray | None) -> str:
    if position is None or not np.isfinite(position).all():
        return "–"
    return " ".join(f"{v:.4f}" for v in position.tolist())


def _value(value) -> str:
    if isinstance(value, np.ndarray):
        shown = "\n".join(" ".join(f"{v:.6g}" for v in line) for line in value.reshape(-1, value.shape[-1]).tolist())
        return shown.replace("\n", "\n" + " " * 16)
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.4g}" for name, number in value.items()) or "–"
    return "–" if value is None or value == "" else f"{value}"
