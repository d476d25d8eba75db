"""`lpds bench plot`: learning curves and paths of result rows as PNG."""

from pathlib import Path

from lpds_ros.commands.bench_run import ROOT
from lpds_ros.commands.bench_table import read_rows

HELP = "draw result rows: success or return, entropy, Δ² and α against environment steps; paths of planar tasks"


def add_arguments(parser):
    parser.add_argument("--results", type=Path, default=ROOT / "results.jsonl", help=f"rows (default {ROOT}/results.jsonl)")
    parser.add_argument("--suite", nargs="+", help="only these suites")
    parser.add_argument("--out", type=Path, help="folder of the pictures (default: pictures beside the rows)")


def run(args) -> int:
    from lpds_ros.bench.pictures import draw_curves, draw_paths
    from lpds_ros.bench.task import named_by_prior, suite_tasks

    rows = read_rows(args.results, args.suite)
    out = args.out or args.results.parent / "pictures"
    drawing = {}
    for suite in {row["suite"] for row in rows}:
        for name, task in suite_tasks(suite).items():
            names = (name, *(named_by_prior(name, kind) for kind in ("diffusion", "flow")))
            drawing |= {(suite, each): task.draw for each in names if task.draw}
    for file in draw_curves(rows, out) + draw_paths(rows, args.results, out, drawing):
        print(file)
    return 0
