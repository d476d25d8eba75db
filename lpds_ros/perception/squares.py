"""The corners of a black square on white to a tenth of a pixel: a line through each side's edge points, and where lines meet.

OpenCV's own refinements pull corners of small squares inwards by half a pixel, which in a square of 30 px is two centimetres in a
metre; the lines of AprilTag's detector (Wang and Olson 2016) do not, but it does not see squares in the shade.
"""

import cv2
import numpy as np

ROUNDS = 3
SAMPLES, SPACING_PX = 24, 0.4  # edge points of a side; across the edge the picture is looked at so often
ENDS = 0.12  # of a side, at each corner: left out
REACH, MIN_REACH_PX, MAX_REACH_PX = 0.08, 1.5, 3.0  # across the edge, within black border and white margin: share of the width
MIN_CONTRAST = 6.0  # grey values across an edge


def refined(grey: np.ndarray, square: np.ndarray) -> np.ndarray | None:
    """Corners [4, 2] px (in order round the square) of a black square in uint8 [h, w], from corners a pixel or two off.

    None where a side has no edge from black to white, or the corners run away.
    """
    start, reach = square, float(np.clip(REACH * narrowness(square), MIN_REACH_PX, MAX_REACH_PX))
    outward = 1.0 if _area(square) > 0 else -1.0
    for _ in range(ROUNDS):
        lines = [_edge(grey, square[i], square[(i + 1) % 4], outward, reach) for i in range(4)]
        if any(line is None for line in lines):
            return None
        square = np.array([_meet(lines[i - 1], lines[i]) for i in range(4)])
        if not np.isfinite(square).all() or np.abs(square - start).max() > 2.0 * reach:
            return None
    return square


def narrowness(square: np.ndarray) -> float:
    """How wide a square of corners [4, 2] px is across its longest side: small for one that is small or seen edge on."""
    return abs(_area(square)) / float(np.linalg.norm(square - np.roll(square, 1, axis=0), axis=1).max())


def _edge(grey, a, b, outward, reach) -> tuple[np.ndarray, np.ndarray] | None:
    """A point [2] and the direction [2] of the edge near the side from a to b."""
    along = b - a
    normal = outward * np.array([along[1], -along[0]]) / np.linalg.norm(along)
    shares = np.linspace(ENDS, 1.0 - ENDS, SAMPLES)
    offsets = np.linspace(-reach, reach, 2 * round(reach / SPACING_PX) + 1)
    places = (a + shares[:, None] * along)[:, None, :] + offsets[:, None] * normal
    profile = cv2.remap(grey, places.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(float)
    rise = np.maximum(np.diff(profile, axis=1), 0.0)  # black inside, white outside
    contrast = rise.sum(axis=1)
    good = contrast > MIN_CONTRAST
    if good.sum() < SAMPLES // 2:
        return None
    middle = 0.5 * (offsets[1:] + offsets[:-1])
    shift = (rise[good] @ middle) / contrast[good]
    points = a + shares[good, None] * along + shift[:, None] * normal
    keep = np.abs(shift - np.median(shift)) < 1.0
    centre = points[keep].mean(axis=0)
    direction = np.linalg.svd(points[keep] - centre)[2][0]
    return centre, direction


def _meet(one, other) -> np.ndarray:
    """Where two lines cross."""
    (p, d), (q, e) = one, other
    across = d[0] * e[1] - d[1] * e[0]
    if abs(across) < 0.05:  # nearly parallel: seen edge on
        return np.full(2, np.nan)
    s = ((q[0] - p[0]) * e[1] - (q[1] - p[1]) * e[0]) / across
    return p + s * d


def _area(square) -> float:
    x, y = square.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
