"""The ticks of a recording as columns and back: mode, commands, and what was done to the commanded pose."""

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Mode, Observation, OperatorInput, Source
from lpds_ros.steering.flight import Entry
from lpds_ros.steering.flight_columns import Texts, take, text_of
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.schedule import Chunk
from lpds_ros.steering.tick import PoseTarget, Tick
from lpds_ros.steering.trace import Memory, Moves, Pose, Trace

GRIPPER = (None, "open", "close")
NOBODY = -1  # in the place of a Source
MEMORY = 2 + 3 + 7 + 3 + 3  # two counts, position, joints, move, turn
OF_TICK, OF_TRACE = ("stamp_ns", "delta_sq_mean", "decode_s"), ("first", "version", "episode", "seed", "ticks")
WHOLE, REAL = np.int64, np.float64


def kinds(contract: Contract, params: SteeringParams) -> dict[str, tuple[type, tuple]]:
    """Type and shape of each column, without N."""
    burst, row = params.targets_per_period(contract.period_s), (np.float32, (contract.action.size,))
    return {
        **dict.fromkeys(("steady_ns", "mode", "source", "gripper", "stamp_ns", "moves.holds", *OF_TRACE), (WHOLE, ())),
        **dict.fromkeys(("compute_s", "late_s", "delta_sq_mean", "decode_s"), (REAL, ())),
        **dict.fromkeys(("commanded", "moves.seeded", "moves.asked", "moves.done"), (np.bool_, ())),
        **dict.fromkeys(("moves.before", "moves.last"), (REAL, (7,))),
        **dict.fromkeys(("moves.row", "moves.sent"), row),
        "moves.memory": (REAL, (MEMORY,)),
        "reason": (np.int32, ()),
        "targets.stamp_ns": (WHOLE, (burst,)),
        "targets.position": (REAL, (burst, 3)),
        "targets.orientation": (REAL, (burst, 4)),
    }


def tick_columns(entries: tuple[Entry, ...], contract: Contract, params: SteeringParams, texts: Texts) -> dict[str, np.ndarray]:
    """{name: array [N, …]}."""
    columns = {name: np.zeros((len(entries), *shape), kind) for name, (kind, shape) in kinds(contract, params).items()}
    for i, entry in enumerate(entries):
        tick, moves = entry.tick, entry.trace.moves
        values = {name: getattr(tick, name) for name in OF_TICK} | {name: getattr(entry.trace, name) for name in OF_TRACE}
        values |= {name: getattr(entry, name) for name in ("steady_ns", "compute_s", "late_s")}
        values |= {
            "mode": tick.mode,
            "reason": texts.number(tick.reason),
            "source": NOBODY if tick.source is None else tick.source,
            "gripper": GRIPPER.index(tick.gripper),
            "commanded": bool(tick.targets),
            "moves.seeded": moves.seeded,
            "moves.asked": moves.row is not None,
            "moves.done": moves.sent is not None,
            "moves.holds": moves.holds,
            "moves.before": _seven(moves.before),
            "moves.last": _seven(moves.last),
            "moves.memory": flat_memory(moves.memory),
        }
        if moves.row is not None:
            values["moves.row"] = moves.row
        if moves.sent is not None:
            values["moves.sent"] = moves.sent
        if tick.targets:
            values |= {f"targets.{n}": [getattr(t, n) for t in tick.targets] for n in ("stamp_ns", "position", "orientation")}
        for name, value in values.items():
            columns[name][i] = value
    return columns


def entries_of(
    columns: dict[str, np.ndarray],
    contract: Contract,
    params: SteeringParams,
    texts: list[str],
    observations: list[Observation],
    operators: list[OperatorInput | None],
    chunks: list[Chunk | None],
) -> tuple[Entry, ...]:
    """The entries again, but for the decisions and episodes that ended (the rollout log has them). Raises ValueError."""
    count = len(observations)
    c = {name: take(columns, name, kind, (count, *shape)) for name, (kind, shape) in kinds(contract, params).items()}
    entries = []
    for i in range(count):
        targets, source, gripper = (), int(c["source"][i]), int(c["gripper"][i])
        if c["commanded"][i]:
            parts = c["targets.stamp_ns"][i].tolist(), c["targets.position"][i], c["targets.orientation"][i]
            targets = tuple(PoseTarget(*target) for target in zip(*parts))
        if not 0 <= gripper < len(GRIPPER):
            raise ValueError(f"tick {i}: gripper event {gripper}")
        tick = Tick(
            mode=Mode(int(c["mode"][i])),
            reason=text_of(texts, int(c["reason"][i])),
            source=None if source == NOBODY else Source(source),
            targets=targets,
            gripper=GRIPPER[gripper],
            **{name: c[name][i].item() for name in OF_TICK},
        )
        moves = Moves(
            before=_pose(c["moves.before"][i]),
            last=_pose(c["moves.last"][i]),
            seeded=bool(c["moves.seeded"][i]),
            row=c["moves.row"][i] if c["moves.asked"][i] else None,
            sent=c["moves.sent"][i] if c["moves.done"][i] else None,
            holds=int(c["moves.holds"][i]),
            memory=_memory(c["moves.memory"][i]),
        )
        trace = Trace(moves, chunks[i], *(c[name][i].item() for name in OF_TRACE))
        timing = c["compute_s"][i].item(), c["late_s"][i].item()
        entries.append(Entry(int(c["steady_ns"][i]), observations[i], operators[i], tick, trace, *timing))
    return tuple(entries)


def flat_memory(memory: Memory) -> np.ndarray:
    """[18], NaN for what was not yet seen."""
    streaks, seen, asked = memory
    return np.concatenate([streaks, *(seen or (np.full(3, np.nan), np.full(7, np.nan))), *asked])


def _memory(flat: np.ndarray) -> Memory:
    cut, wild = flat[:2].astype(int).tolist()
    return (cut, wild), None if np.isnan(flat[2:12]).all() else (flat[2:5], flat[5:12]), (flat[12:15], flat[15:])


def _seven(pose: Pose | None) -> np.ndarray:
    """Position and orientation in one; NaN, which no commanded pose is, for none."""
    return np.full(7, np.nan) if pose is None else np.concatenate(pose)


def _pose(seven: np.ndarray) -> Pose | None:
    return None if np.isnan(seven).all() else (seven[:3], seven[3:])
