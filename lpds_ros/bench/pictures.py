"""Pictures of result rows: learning curves, trust region, spread, and the paths of planar tasks. No display."""

import math
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lpds_ros.bench.paths import file_of, load
from lpds_ros.bench.results import latest, learns
from lpds_ros.bench.statistics import grouped

COLOURS = ("#1f6fb4", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#16807a", "#7f5539", "#d6336c", "#495057", "#94b000")
PRIOR = "#8a8a8a"
PANELS = (("entropy", "entropy of the chunk (nats)"), ("delta_sq_mean", "Δ² per dimension"), ("alpha", "α"))


def draw_curves(rows: list[dict], out: Path) -> list[Path]:
    """One picture a suite: a column for each task; score, entropy, Δ² and α against environment steps. Returns the files.

    Lines are means over seeds, bands their lowest and highest; the prior is a dashed level.
    """
    tasks, files = grouped(latest(rows).values()), []
    for suite in dict.fromkeys(suite for suite, _ in tasks):
        columns = {task: methods for (s, task), methods in tasks.items() if s == suite}
        colours = _colours([method for methods in columns.values() for method in methods])
        figure = _figure(4.6 * len(columns), 9.0)
        grid = figure.subplots(1 + len(PANELS), len(columns), sharex="col", squeeze=False, height_ratios=(2, 1, 1, 1))
        for column, (task, methods) in enumerate(columns.items()):
            measure = next(iter(methods.values()))[0]["measure"]
            panels = ((measure, measure), *PANELS)
            for axes, (name, label) in zip(grid[:, column], panels):
                _panel(axes, methods, name, colours)
                axes.set_ylabel(label if column == 0 or name == measure else "")
            grid[0, column].set_title(task, fontsize=10)
            grid[-1, column].set_xlabel("environment steps")
            grid[0, column].legend(fontsize=7, frameon=False)
        files.append(_save(figure, out / f"{suite}.png"))
    return files


def _panel(axes, methods: dict[str, list[dict]], name: str, colours: dict[str, str]):
    for method, rows in methods.items():
        if not learns(method):
            levels = [row["final"][name] for row in rows if row["final"].get(name) is not None]
            if levels and (method == "prior" or name != "entropy"):  # without noise it has none, whatever the estimate's floor
                style = "--" if method == "prior" else ":"
                axes.axhline(np.mean(levels), color=PRIOR, linestyle=style, linewidth=1.2, label=method)
            continue
        steps, values = _aligned(rows, name)
        if np.isfinite(values).any():
            axes.plot(steps, values.mean(0), color=colours[method], linewidth=1.6, label=method)
            axes.fill_between(steps, values.min(0), values.max(0), color=colours[method], alpha=0.15, linewidth=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)


def _aligned(rows: list[dict], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps [P], values [S, P]) of all seeds on the first one's steps; NaN where nothing was measured."""
    curves = [
        np.array([(p["steps"], math.nan if p.get(name) is None else p[name]) for p in row["curve"]], float) for row in rows
    ]
    steps = curves[0][:, 0]
    return steps, np.array([np.interp(steps, curve[:, 0], curve[:, 1]) for curve in curves])


def draw_paths(rows: list[dict], results: Path, out: Path, drawing: dict) -> list[Path]:
    """One picture for each task in `drawing` ({(suite, task): (axes, paths, modes) →}): a panel a method, of its first seed."""
    files = []
    for (suite, task), methods in grouped(latest(rows).values()).items():
        found = [(method, runs[0], file_of(results, runs[0])) for method, runs in methods.items()]
        found = [(method, row, file) for method, row, file in found if file.exists()]
        if (suite, task) not in drawing or not found:
            continue
        across = min(4, len(found))
        down = math.ceil(len(found) / across)
        figure = _figure(2.9 * across, 3.2 * down)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (method, row, file) in zip(panels, found):
            drawing[suite, task](axes, *load(file))
            final = row["final"]
            axes.set_title(
                f"{method}\n{final['success']:.0%} reach it, {final['effective_modes']:.1f} of {len(row['mode_names'])} modes",
                fontsize=8,
            )
        for axes in panels[len(found) :]:
            axes.set_visible(False)
        files.append(_save(figure, out / f"{suite}-{task}-paths.png"))
    return files


def _colours(methods: list[str]) -> dict[str, str]:
    """One colour for each method, the same in every column of a picture."""
    learned = [method for method in dict.fromkeys(methods) if learns(method)]
    return {method: COLOURS[i % len(COLOURS)] for i, method in enumerate(learned)}


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
