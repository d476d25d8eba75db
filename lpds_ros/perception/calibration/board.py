"""The ChArUco board: what it looks like (calibration/charuco.yaml), and where its corners are in a picture.

The board's frame is OpenCV's: origin in a corner of the chessboard, x along the squares' rows, y down the columns, z into the
paper. Pixels: whole numbers are the middles of pixels.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lpds_ros.config import ConfigError, build, nearest, read_yaml
from lpds_ros.perception.calibration.records import View
from lpds_ros.resources import resource

DICTIONARIES = tuple(sorted(name for name in vars(cv2.aruco) if name.startswith("DICT_")))
BOARD = "calibration/charuco.yaml"
MIN_CORNERS = 8  # of a view: fewer say little, and may lie on one line


def dictionary(name: str) -> cv2.aruco.Dictionary:
    """OpenCV's predefined dictionary by its name. Raises ConfigError naming the nearest."""
    if name not in DICTIONARIES:
        raise ConfigError(f"dictionary: unknown '{name}'{nearest(name, DICTIONARIES)}")
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))


@dataclass(frozen=True)
class Board:
    """squares_x, squares_y: how many; square_m, marker_m: how long, measured on the print, not on the drawing.

    legacy: boards with an even number of rows made before OpenCV 4.6 begin with a white square.
    """

    schema: int
    squares_x: int
    squares_y: int
    square_m: float
    marker_m: float
    dictionary: str
    legacy: bool = False

    def __post_init__(self):
        if self.schema != 1:
            raise ConfigError(f"schema {self.schema} is not known to this version (1)")
        if not (3 <= self.squares_x <= 40 and 3 <= self.squares_y <= 40):
            raise ConfigError("squares_x and squares_y must be 3 to 40")
        if not 0.0 < self.marker_m < self.square_m < 1.0:
            raise ConfigError("lengths are metres: 0 < marker_m < square_m < 1")
        room, needed = len(dictionary(self.dictionary).bytesList), self.squares_x * self.squares_y // 2
        if needed > room:
            raise ConfigError(f"{self.dictionary} has {room} markers, this board needs {needed}: take a larger one")

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the chessboard."""
        return self.squares_x * self.square_m, self.squares_y * self.square_m

    @functools.cached_property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        """OpenCV's own."""
        size = (self.squares_x, self.squares_y)
        board = cv2.aruco.CharucoBoard(size, self.square_m, self.marker_m, dictionary(self.dictionary))
        board.setLegacyPattern(self.legacy)
        return board

    @functools.cached_property
    def points(self) -> np.ndarray:
        """Every inner corner [n, 3] m, by id."""
        return np.array(self.charuco.getChessboardCorners(), np.float64)

    @functools.cached_property
    def _detector(self) -> cv2.aruco.CharucoDetector:
        return cv2.aruco.CharucoDetector(self.charuco)

    def detect(self, image: np.ndarray, name: str = "") -> View | None:
        """The board's corners in an image uint8 [h, w] or rgb [h, w, 3]; None where fewer than 8 are seen, or all on one line."""
        grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        corners, ids, _, _ = self._detector.detectBoard(np.ascontiguousarray(grey))
        if ids is None or len(ids) < MIN_CORNERS:
            return None
        ids = ids.ravel()
        if self.charuco.checkCharucoCornersCollinear(ids.reshape(-1, 1)):
            return None
        return View(name, ids, np.array(corners, np.float64).reshape(-1, 2), self.points[ids])

    def black(self) -> np.ndarray:
        """What is black of the board: rectangles [n, 4] as x0, y0, x1, y1 m from the top left corner, markers' cells included."""
        square = self.square_m
        marked, cells = set(), []
        for number, corners in zip(self.charuco.getIds().ravel().tolist(), self.charuco.getObjPoints()):
            x, y = corners.min(axis=0)[:2].tolist()
            marked.add((int((x + self.marker_m / 2) / square), int((y + self.marker_m / 2) / square)))
            cells.append(black_cells(self.dictionary, number, self.marker_m) + [x, y, x, y])
        squares = [
            (column * square, row * square, (column + 1) * square, (row + 1) * square)
            for row in range(self.squares_y)
            for column in range(self.squares_x)
            if (column, row) not in marked
        ]
        return np.concatenate([np.array(squares).reshape(-1, 4), *cells])


def black_cells(name: str, number: int, size_m: float) -> np.ndarray:
    """The black cells of one marker, joined along its rows: rectangles [n, 4] as x0, y0, x1, y1 m from its top left corner."""
    family = dictionary(name)
    if not 0 <= number < len(family.bytesList):
        raise ConfigError(f"marker {number}: {name} has ids 0 to {len(family.bytesList) - 1}")
    count = family.markerSize + 2
    dark = family.generateImageMarker(number, count, borderBits=1) == 0
    cell, found = size_m / count, []
    for row, line in enumerate(dark):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        found += [(a * cell, row * cell, b * cell, (row + 1) * cell) for a, b in edges.reshape(-1, 2)]
    return np.array(found)


def load_board(path: str | Path = "") -> Board:
    """Read a board; empty: the package's own. Raises ConfigError."""
    path = Path(path) if path else resource(BOARD)
    return build(Board, read_yaml(path), path)
