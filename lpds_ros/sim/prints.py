"""Printed patterns in the scene: markers on the object, a calibration board on the hand. Looks only: no mass, no contact.

A print is built of boxes, a white plate and black cells on it: its edges are where they are said to be, at any distance.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

INK_M = 5e-5  # the ink lies so far above its paper
BLACK, WHITE = (0.03, 0.03, 0.03, 1.0), (0.95, 0.95, 0.95, 1.0)


@dataclass(frozen=True)
class Print:
    """body: its name, or "world". position [3] m, orientation [4] xyzw: of the print's frame in the body's, z out of the paper;
    the ink lies at z = 0. paper (x0, y0, x1, y1) and ink [n, 4] of the same, m, in that frame.
    """

    body: str
    position: np.ndarray
    orientation: np.ndarray
    paper: tuple[float, float, float, float]
    ink: np.ndarray


def add_prints(spec: mujoco.MjSpec, prints: tuple[Print, ...]):
    """Stick every print onto its body."""
    for one in prints:
        x, y, z, w = one.orientation
        part = spec.body(one.body).add_body(pos=one.position, quat=[w, x, y, z])
        _add_box(part, one.paper, -2 * INK_M, -INK_M, WHITE)
        for rectangle in one.ink:
            _add_box(part, rectangle, -INK_M, 0.0, BLACK)


def _add_box(body, rectangle, bottom, top, colour):
    x0, y0, x1, y1 = (float(v) for v in rectangle)
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, size=[(x1 - x0) / 2, (y1 - y0) / 2, (top - bottom) / 2],
        pos=[(x0 + x1) / 2, (y0 + y1) / 2, (top + bottom) / 2], rgba=colour, mass=0, contype=0, conaffinity=0,
    )  # fmt: skip
