"""The picture of a run: success against episodes, and below it what the trust region did. No ROS, no display."""

import math
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lpds_ros.summary import WINDOW, Row

INK, STEERED, PRIOR, BOUND = "#222222", "#1f6fb4", "#8a8a8a", "#c0392b"


def rolling(values, window: int = WINDOW) -> np.ndarray:
    """Mean of the last `window` values at each position (of fewer at the beginning)."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, float))])
    ends = np.arange(1, len(sums))
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw_run(
    rows: list[Row], path: Path, *, title: str = "", prior_success: float | None = None, reduction: str = "mean"
):
    """Write the picture of a run to `path` (PNG). prior_success: of the frozen prior on fixed seeds, as a line."""
    figure = Figure(figsize=(7.2, 6.0), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(2.4, 1, 1))
    x = np.arange(1, len(rows) + 1)
    _success(top, x, rows, prior_success)
    _trust_region(middle, x, rows, reduction)
    _curve(bottom, x, [r.alpha for r in rows])
    bottom.set_ylabel("α")
    bottom.set_xlabel("episode")
    bottom.set_xlim(0.5, max(len(rows), 2) + 0.5)
    for axes in (top, middle, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontsize=10, color=INK)
    figure.savefig(path)


def _success(axes, x, rows, prior_success):
    won = np.array([r.success for r in rows], float)
    steered = np.array([r.weights_version > 0 for r in rows], bool)
    # The dots are spread a little about 0 and 1, by a fixed pattern, so that neighbours stay visible.
    spread = 0.018 * np.sin(2.4 * x)
    for mask, colour in ((~steered, PRIOR), (steered, STEERED)):
        axes.plot(x[mask], (won + spread)[mask], ".", color=colour, markersize=3, alpha=0.45)
    if prior_success is not None and math.isfinite(prior_success):
        axes.axhline(
            prior_success,
            color=PRIOR,
            linestyle="--",
            linewidth=1.2,
            label=f"frozen prior, fixed seeds: {prior_success:.0%}",
        )
    if len(rows):
        axes.plot(x, rolling(won), color=STEERED, linewidth=1.8, label=f"last {WINDOW} episodes")
    if steered.any():
        first = int(np.argmax(steered))
        axes.axvline(x[first], color=INK, linewidth=0.8, linestyle=":", label="first learned weights")
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_ylabel("success")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False)


def _trust_region(axes, x, rows, reduction):
    _curve(axes, x, [r.delta_sq for r in rows])
    budget = next((r.delta_budget for r in reversed(rows) if math.isfinite(r.delta_budget)), None)
    if budget is not None:
        axes.axhline(budget, color=BOUND, linestyle="--", linewidth=1.2, label=f"δ = {budget:g}")
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes.set_ylabel(f"E‖Δ‖² ({reduction})")
    axes.set_ylim(bottom=0.0)


def _curve(axes, x, values):
    values = np.array(values, float)
    known = np.isfinite(values)
    axes.plot(x[known], values[known], color=INK, linewidth=1.4)
