"""What calibration is made of: a view of the board, and one at a pose of the hand. Numpy only: reading files needs no OpenCV."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["eye_in_hand", "eye_on_base"]


class CalibrationError(ValueError):
    """Samples that give no calibration, or a bad one; the text says what is wrong with them and what to take."""


@dataclass(frozen=True)
class View:
    """One picture of the board. ids int [n]: which corners; corners float64 [n, 2]: where, px; points [n, 3]: in the board, m."""

    name: str
    ids: np.ndarray
    corners: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class Sample:
    """One pose. hand [4, 4]: in the base frame; board [4, 4]: in the camera's frame; view: its corners, if known."""

    name: str
    hand: np.ndarray
    board: np.ndarray
    view: View | None = None
