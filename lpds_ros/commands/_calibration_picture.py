"""Pictures of a calibration: where the corners were and how far off, and where hand, camera and board were."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lpds_ros.perception.calibration.hand_eye import HandEye
from lpds_ros.perception.calibration.intrinsics import GRID, CameraCalibration
from lpds_ros.plots import BOUND, INK, PRIOR, STEERED

MAGNIFIED = 100.0  # of residual arrows
AXIS_M = 0.04
COLOURS = ("#c0392b", "#2e8b57", "#1f6fb4")


def draw_camera(result: CameraCalibration, path: Path):
    """Corners of every view with their residuals as arrows, a hundred times as long, and each view's residual."""
    figure = Figure(figsize=(10.0, 4.6), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    width, height = result.info.size_px
    corners, off = (np.concatenate(part) for part in zip(*result.residuals.values()))
    left.quiver(*corners.T, *(MAGNIFIED * off).T, angles="xy", scale_units="xy", scale=1, width=0.0015, color=BOUND)
    left.plot(*corners.T, ".", color=STEERED, markersize=2)
    for column in range(GRID[0] + 1):
        left.axvline(column * width / GRID[0] - 0.5, color="#dddddd", linewidth=0.6, zorder=0)
    for row in range(GRID[1] + 1):
        left.axhline(row * height / GRID[1] - 0.5, color="#dddddd", linewidth=0.6, zorder=0)
    left.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    left.set_title(f"corners and residuals (x {MAGNIFIED:.0f}), {result.rms_px:.3f} px", loc="left", fontsize=9)
    _bars(right, list(result.view_rms_px), [("px", list(result.view_rms_px.values()), STEERED)])
    figure.savefig(path)


def draw_hand_eye(result: HandEye, path: Path):
    """What moves (camera or board) at every sample and what is fixed, in the base frame, and the residuals."""
    figure = Figure(figsize=(10.0, 5.0), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.5, 1))
    space, right = figure.add_subplot(grid[0], projection="3d"), figure.add_subplot(grid[1])
    in_hand = result.kind == "eye_in_hand"
    hands = [s.hand for s in result.samples]
    moving = [hand @ (result.camera if in_hand else result.board) for hand in hands]
    fixed = result.board if in_hand else result.camera
    for hand, pose in zip(hands, moving):
        space.plot(*np.array([hand[:3, 3], pose[:3, 3]]).T, color=PRIOR, linewidth=0.6)
        _axes(space, pose, AXIS_M / 2)
    _axes(space, fixed, 2 * AXIS_M)
    space.text(*fixed[:3, 3], "board" if in_hand else "camera", fontsize=8, color=INK)
    space.set_aspect("equal")
    space.locator_params(nbins=4)
    space.set(xlabel="x, m", ylabel="y, m", zlabel="z, m")
    space.set_title(f"base frame: the {'camera' if in_hand else 'board'} at each sample", loc="left", fontsize=9)
    off = np.array(list(result.residuals.values()))
    _bars(right, list(result.residuals), [("mm", 1e3 * off[:, 0], STEERED), ("degrees x 10", 10 * np.rad2deg(off[:, 1]), BOUND)])
    figure.savefig(path)


def _axes(space, pose, length):
    for axis, colour in zip(pose[:3, :3].T, COLOURS):
        space.plot(*np.array([pose[:3, 3], pose[:3, 3] + length * axis]).T, color=colour, linewidth=1.0)


def _bars(axes, names, series):
    y, height = np.arange(len(names)), 0.8 / len(series)
    for i, (label, values, colour) in enumerate(series):
        axes.barh(y + (i - (len(series) - 1) / 2) * height, values, height, color=colour, label=label)
    axes.set_yticks(y, names, fontsize=6)
    axes.invert_yaxis()
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("residual by sample", loc="left", fontsize=9)
