"""The picture of a recording: where the arm was and was told to be, its lead, the hand, ‖Δ‖; the mode as a band behind."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lpds_ros.plots import BOUND, INK, PRIOR, STEERED
from lpds_ros.records import Mode, Source
from lpds_ros.steering.flight import Recording

BANDS = {Mode.RUN: "#ffffff", Mode.PRIOR: "#eeeeee", Mode.HOLD: "#fbe7c0", Mode.STOP: "#f5c2b8", Mode.FAULT: "#d9b3e6"}
AXES = {"x": "#c0392b", "y": "#2e8b57", "z": "#1f6fb4"}


def draw_flight(recording: Recording, path: Path, *, period_s: float, title: str):
    """Write the picture to `path` (PNG). period_s: of a tick."""
    figure = Figure(figsize=(8.0, 7.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    top, lead, hand, delta = panels = figure.subplots(4, 1, sharex=True, height_ratios=(2.4, 1, 1, 1))
    entries = recording.entries
    # By ticks, as the table counts them: a clock that stood still or jumped must not fold the picture.
    t = (np.arange(len(entries)) - recording.event) * period_s
    measured = np.array([entry.observation.position for entry in entries])
    commanded = np.array([e.tick.targets[-1].position if e.tick.targets else np.full(3, np.nan) for e in entries])
    _positions(top, t, measured, commanded)
    lead.plot(t, 1e3 * np.linalg.norm(commanded - measured, axis=1), color=INK, linewidth=1.2)
    lead.set_ylabel("lead, mm")
    lead.set_ylim(bottom=0.0)
    _hand(hand, t, entries)
    _delta(delta, t, entries)
    delta.set_xlabel("s from the event")
    modes = [mode for mode in BANDS if any(entry.tick.mode == mode for entry in entries)]
    for axes in panels:
        _bands(axes, t, entries, period_s)
        axes.axvline(0.0, color=BOUND, linewidth=1.0, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(t[0], t[-1] + period_s)
    patches = [Patch(facecolor=BANDS[mode], edgecolor=PRIOR, label=mode.name) for mode in modes]
    figure.legend(handles=patches, loc="outside lower left", ncols=len(patches), fontsize=8, frameon=False)
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, color=INK, wrap=True)
    figure.savefig(path)


def _positions(axes, t, measured, commanded):
    for k, (name, colour) in enumerate(AXES.items()):
        axes.plot(t, measured[:, k], color=colour, linewidth=1.6, label=f"{name} measured")
        axes.plot(t, commanded[:, k], color=colour, linewidth=1.1, linestyle="--", label=f"{name} commanded")
    axes.set_ylabel("tool, m")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False)


def _hand(axes, t, entries):
    axes.plot(t, [1e3 * entry.observation.gripper_width for entry in entries], color=INK, linewidth=1.2)
    for when, entry in zip(t, entries):
        if entry.tick.gripper:
            axes.axvline(when, color=STEERED, linewidth=0.8)
            place = {"xycoords": ("data", "axes fraction"), "xytext": (3, 2), "textcoords": "offset points"}
            axes.annotate(entry.tick.gripper, (when, 0.0), fontsize=7, color=STEERED, **place)
    axes.set_ylabel("hand, mm")
    axes.set_ylim(bottom=0.0)


def _delta(axes, t, entries):
    chunks = [entry.trace.chunk for entry in entries]
    norms = [np.nan if chunk is None else float(np.linalg.norm(chunk.delta.astype(float))) for chunk in chunks]
    steered = [chunk is not None and chunk.source == Source.STEERED for chunk in chunks]
    axes.step(t, norms, where="post", color=STEERED if any(steered) else PRIOR, linewidth=1.4)
    axes.set_ylabel("‖Δ‖")
    largest = float(np.nanmax(norms, initial=0.0)) or 1.0
    axes.set_ylim(-0.06 * largest, 1.1 * largest)  # a Δ of zero is a line, too


def _bands(axes, t, entries, period_s):
    starts = [0] + [i for i in range(1, len(entries)) if entries[i].tick.mode != entries[i - 1].tick.mode]
    for start, end in zip(starts, [*starts[1:], len(entries)]):
        axes.axvspan(t[start], t[end - 1] + period_s, color=BANDS[entries[start].tick.mode], linewidth=0, zorder=0)
