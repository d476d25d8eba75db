"""What a run comes to: episodes and statuses in, the live figures, episodes.csv and summary.json out. No ROS."""

import csv
import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.records import Episode, Mode

WINDOW = 20
EPISODES_FILE, SUMMARY_FILE = "episodes.csv", "summary.json"


@dataclass(frozen=True)
class SteeringSample:
    """The newest SteeringStatus. Times in seconds; delta_sq_mean: of the last decision."""

    mode: Mode
    reason: str
    provider: str
    weights_version: int
    weights_rejected: str
    ticks: int
    missed_deadlines: int
    tick_p50_s: float
    tick_p99_s: float
    lateness_p99_s: float
    observation_age_p99_s: float


@dataclass(frozen=True)
class LearnerSample:
    """The newest LearnerStatus. delta_sq, delta_budget: in the reduction (mean or sum) that the learner constrains."""

    state: str
    reason: str
    decisions: int
    updates: int
    backlog: int
    updates_per_s: float
    weights_version: int
    alpha: float
    delta_sq: float
    delta_budget: float
    delta_reduction: str


@dataclass(frozen=True)
class Row:
    """One episode of episodes.csv. wall_s: since the start of the run. alpha, delta_sq: nan before learning."""

    episode: int
    seed: int
    success: bool
    episode_return: float
    ticks: int
    reason: str
    weights_version: int
    operator_ticks: int
    alpha: float
    delta_sq: float
    delta_budget: float
    updates: int
    wall_s: float


class RunSummary:
    """Accumulates a run. period_s: of one control tick. csv_path: gets one row per episode, at once. clock: seconds.

    earlier: the rows of a run that is gone on with; its wall and simulated time count on.
    """

    def __init__(
        self,
        period_s: float,
        csv_path: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        earlier: tuple[Row, ...] = (),
    ):
        self._period_s, self._clock, self._csv_path = period_s, clock, csv_path
        self._start_s = clock() - (earlier[-1].wall_s if earlier else 0.0)
        self.rows: list[Row] = list(earlier)
        self.earlier = len(earlier)
        self.steering: SteeringSample | None = None
        self.learner: LearnerSample | None = None
        self._recent: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._sim_s = sum(row.ticks for row in earlier) * period_s

    @property
    def wall_s(self) -> float:
        return self._clock() - self._start_s

    def add_episode(self, episode: Episode) -> Row:
        """Account for one ended episode."""
        learner = self.learner
        learned = learner is not None and learner.weights_version > 0
        row = Row(
            episode=episode.episode,
            seed=episode.seed,
            success=episode.success,
            episode_return=episode.episode_return,
            ticks=episode.ticks,
            reason=episode.reason,
            weights_version=episode.weights_version,
            operator_ticks=episode.operator_ticks,
            alpha=learner.alpha if learned else math.nan,
            delta_sq=learner.delta_sq if learned else math.nan,
            delta_budget=learner.delta_budget if learner else math.nan,
            updates=learner.updates if learner else 0,
            wall_s=round(self.wall_s, 3),
        )
        self.rows.append(row)
        self._sim_s += episode.ticks * self._period_s
        self._recent.append((self._sim_s, self.wall_s))
        if self._csv_path is not None:
            append_row(self._csv_path, row)
        return row

    def success(self, rows: list[Row] | None = None) -> float:
        """Share of successes, of the last WINDOW episodes unless `rows` are given; nan without any."""
        rows = self.rows[-WINDOW:] if rows is None else rows
        return sum(r.success for r in rows) / len(rows) if rows else math.nan

    @property
    def sim_per_wall(self) -> float:
        """Simulated seconds per wall second between the ends of the last WINDOW episodes; nan before there are two."""
        if len(self._recent) < 2:
            return math.nan
        (sim0, wall0), (sim1, wall1) = self._recent[0], self._recent[-1]
        return (sim1 - sim0) / (wall1 - wall0) if wall1 > wall0 else math.nan

    @property
    def first_steered(self) -> dict | None:
        """Number (from 1) and end, in wall seconds of the run, of the first episode under learned weights."""
        found = next(((i, r) for i, r in enumerate(self.rows, 1) if r.weights_version > 0), None)
        return found and {"number": found[0], "wall_s": found[1].wall_s}

    def result(self, reason: str) -> dict:
        """summary.json: plain numbers, null where there is nothing to report."""
        steering, learner = self.steering, self.learner
        prior = [r for r in self.rows if r.weights_version == 0 and not r.operator_ticks]
        return _plain(
            {
                "end": reason,
                "episodes": len(self.rows),
                "success": {
                    "window": WINDOW,
                    "first": self.success(self.rows[:WINDOW]),
                    "last": self.success(),
                    "all": self.success(self.rows),
                    "under_prior": {"episodes": len(prior), "rate": self.success(prior)},
                },
                "wall_s": self.wall_s,
                "simulated_s": self._sim_s,
                "simulated_s_per_wall_s": self._overall_rate(),
                "first_steered_episode": self.first_steered,
                "weights_version": max((r.weights_version for r in self.rows), default=0),
                "steering": steering and asdict(steering) | {"mode": steering.mode.name},
                "learner": learner and asdict(learner),
            }
        )

    def _overall_rate(self) -> float:
        if len(self.rows) < 2:
            return math.nan
        between_s = self.rows[-1].wall_s - self.rows[0].wall_s
        return (self._sim_s - self.rows[0].ticks * self._period_s) / between_s if between_s > 0 else math.nan


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def write_summary(path: Path, result: dict):
    """Write summary.json, whole or not at all."""
    write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def append_row(path: Path, row: Row):
    """Append one episode to episodes.csv, with the heading first where the file is new."""
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(f.name for f in fields(Row))
        writer.writerow(int(v) if isinstance(v, bool) else v for v in asdict(row).values())


def read_rows(path: Path) -> list[Row]:
    """The episodes of a run. A last line cut short (the run was killed) is left out."""
    with path.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    names = [f.name for f in fields(Row)]
    if not lines or lines[0] != names:
        raise ValueError(f"{path}: no table of episodes (expected the columns {', '.join(names)})")
    return [_row(line) for line in lines[1:] if len(line) == len(names)]


def _row(line: list[str]) -> Row:
    kinds = {"bool": lambda text: text == "1", "int": int, "float": float, "str": str}
    return Row(*(kinds[f.type.__name__](text) for f, text in zip(fields(Row), line)))
