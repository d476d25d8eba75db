"""`lpds plot`: draw a run's picture again, from its table of episodes or, without one, from its rollout log."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml

from lpds_ros.arguments import LaunchError
from lpds_ros.data.rollout_log import read_log
from lpds_ros.plots import draw_run
from lpds_ros.records import Decision, Source
from lpds_ros.run_folder import CURVE, PARAMETERS_FILE
from lpds_ros.summary import EPISODES_FILE, Row, read_rows

HELP = "draw a run's picture again: lpds plot runs/latest"


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="run folder, for example runs/latest")
    parser.add_argument("--out", type=Path, help="the picture (default: <run>/curve.png)")


def run(args) -> int:
    if not args.run.is_dir():
        raise LaunchError(f"{args.run}: no such run folder")
    table = args.run / EPISODES_FILE
    rows = read_rows(table) if table.exists() else rows_from_log(args.run)
    out = args.out or args.run / CURVE
    draw_run(rows, out, title=title(args.run, len(rows)))
    print(f"{len(rows)} episodes drawn into {out}")
    return 0


def title(run_dir: Path, episodes: int) -> str:
    """Task, seed and number of episodes, as far as the run folder tells."""
    file = run_dir / PARAMETERS_FILE
    if not file.exists():
        return f"{run_dir.resolve().name}: {episodes} episodes"
    arguments = yaml.safe_load(file.read_text())["arguments"]
    return f"{arguments['task']}, seed {arguments['seed']}: {episodes} episodes"


def rows_from_log(run_dir: Path) -> list[Row]:
    """Episodes as the rollout log has them. ‖Δ‖² is the steered decisions' own mean; α is not in the log."""
    squares, rows, first_ns = defaultdict(list), [], None
    for _, record in read_log(run_dir):
        if isinstance(record, Decision):
            first_ns = record.stamp_ns if first_ns is None else first_ns
            if record.source == Source.STEERED:
                squares[record.session, record.episode].append(float(np.mean(np.square(record.delta))))
            continue
        own = squares.pop((record.session, record.episode), [])
        rows.append(
            Row(
                episode=record.episode,
                seed=record.seed,
                success=record.success,
                episode_return=record.episode_return,
                ticks=record.ticks,
                reason=record.reason,
                weights_version=record.weights_version,
                operator_ticks=record.operator_ticks,
                alpha=math.nan,
                delta_sq=float(np.mean(own)) if own else math.nan,
                delta_budget=math.nan,
                updates=0,
                wall_s=(record.stamp_ns - (first_ns or record.stamp_ns)) / 1e9,
            )
        )
    return rows
