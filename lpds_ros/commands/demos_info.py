"""`lpds demos info`: what a set of demonstrations holds and what it covers."""

import numpy as np

from lpds_ros.commands._demos import SOURCES, add_mapping, find_contract, read_all
from lpds_ros.data.demos import digest_demos
from lpds_ros.data.lerobot import action_names

HELP = "counts, lengths, success, and how much of action range and workspace demonstrations cover"
CELL_M = 0.1


def add_arguments(parser):
    parser.add_argument("demos", nargs="+", help=SOURCES)
    parser.add_argument("--contract", help="file or name, for files that hold none")
    add_mapping(parser)


def run(args) -> int:
    demos, contract = read_all(args.demos, find_contract(args.contract), mapping=args.mapping, mask=args.mask)
    lengths = np.array([len(demo) for demo in demos])
    succeeded = sum(demo.success for demo in demos)
    quartiles = "/".join(f"{q:g}" for q in np.percentile(lengths, [0, 25, 50, 75, 100]))
    print(f"demonstrations  {len(demos)} ({succeeded} successful), {lengths.sum()} ticks")
    print(f"digest          {digest_demos(demos)}")
    print(f"contract        {contract.name} ({contract.digest}), {contract.rate_hz:g} Hz")
    print(f"length, ticks   {quartiles} (least, quartiles, most); median {np.median(lengths) / contract.rate_hz:.1f} s")
    operators = sorted({demo.operator for demo in demos if demo.operator})
    print(
        f"operators       {', '.join(operators) or 'not named'}; seeds {len({demo.seed for demo in demos})} different\n"
    )
    if contract.images:
        sizes = (f"{name} {contract.streams[name].width_px} x {contract.streams[name].height_px}" for name in contract.images)
        print(f"pictures        {', '.join(sizes)}, in {sum(bool(demo.images) for demo in demos)} of them\n")
    print(_action_table(demos, contract))
    for feature, where in contract.feature_slices().items():
        if feature.endswith("position") and where.stop - where.start == 3:
            print(_map(np.stack([demo.observations[0, where] for demo in demos]), feature, contract))
    return 0


def _action_table(demos, contract) -> str:
    actions = np.concatenate([demo.actions for demo in demos])
    lines = [f"{'action':<10}{'min':>8}{'p05':>8}{'median':>8}{'p95':>8}{'max':>8}{'at limit':>10}"]
    for name, column in zip(action_names(contract), actions.T, strict=True):
        cells = "".join(f"{value:>8.2f}" for value in np.percentile(column, [0, 5, 50, 95, 100]))
        lines.append(f"{name:<10}{cells}{np.mean(np.abs(column) > 0.999):>10.1%}")
    return "\n".join(lines) + "\n"


def _map(points, feature, contract) -> str:
    """Where episodes began, counted in cells of the workspace seen from above (x grows downward, y to the right)."""
    low, high = (np.array(corner[:2]) for corner in (contract.workspace.min_m, contract.workspace.max_m))
    edges = [np.round(np.arange(low[i], high[i] + CELL_M / 2, CELL_M), 6) + 0.0 for i in range(2)]
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=edges)
    outside = len(points) - int(counts.sum())
    lines = [
        f"{feature} at the start, demonstrations per {CELL_M:g} m cell; {np.mean(counts > 0):.0%} of the cells covered"
        + (f", {outside} outside" if outside else "")
    ]
    lines.append(f"{'x / y':>7}" + "".join(f"{y:>7.2f}" for y in edges[1][:-1]))
    for x, row in zip(edges[0], counts):
        lines.append(f"{x:>7.2f}" + "".join(f"{int(n) if n else '.':>7}" for n in row))
    spans = ", ".join(
        f"{axis} {lo:.3f} to {hi:.3f}" for axis, lo, hi in zip("xyz", points.min(axis=0), points.max(axis=0))
    )
    return "\n".join(lines) + f"\n        {spans} m\n"
