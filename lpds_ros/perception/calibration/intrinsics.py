"""A camera's intrinsics from views of a ChArUco board, and whether those views say enough for them.

Method: Zhang 2000, as OpenCV's calibrateCameraExtended has it. What it is judged by: how many views differ, how far their tilts
lie apart (parallel views cannot tell focal length from distance), how much of the picture the corners cover (distortion is
guessed where none were), and the standard deviation of the focal length that follows from all of it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lpds_ros.perception.calibration.camera_info import CameraInfo, camera_info
from lpds_ros.perception.calibration.records import CalibrationError, View

GRID = (6, 4)  # cells of the picture, across and down
MIN_VIEWS, MIN_COVERAGE, MIN_TILT_RAD = 10, 0.6, np.deg2rad(25.0)
ALIKE_SHARE, ALIKE_RAD = 0.03, np.deg2rad(4.0)  # of the picture's diagonal, and of the tilt
MAX_RMS_PX, MAX_FOCAL_SIGMA = 1.0, 0.005
OUTLIER, OUTLIER_FLOOR_PX, MAX_OUTLIERS = 3.0, 0.3, 0.25  # times the median view's residual; px; share of the views
FLAGS = {"plumb_bob": 0, "rational_polynomial": cv2.CALIB_RATIONAL_MODEL}


@dataclass(frozen=True)
class Excitation:
    """How much a set of views says. distinct: views that are not like another. tilt_rad: the most that the board's planes lie
    apart. cells bool [rows, columns]: where in the picture a corner was.
    """

    distinct: int
    tilt_rad: float
    cells: np.ndarray

    @property
    def coverage(self) -> float:
        """Share of the picture's cells in which a corner was."""
        return float(self.cells.mean())


@dataclass(frozen=True)
class CameraCalibration:
    """rms_px: over all corners; view_rms_px: of each view by name; residuals: name -> (corners px, measured − projected px).

    sigmas: standard deviations of fx, fy, cx, cy in px. left_out: name -> why. views: those that were used.
    """

    info: CameraInfo
    rms_px: float
    view_rms_px: dict[str, float]
    residuals: dict[str, tuple[np.ndarray, np.ndarray]]
    sigmas: tuple[float, float, float, float]
    excitation: Excitation
    left_out: dict[str, str]
    views: tuple[View, ...]


def guessed_matrix(size_px) -> np.ndarray:
    """A camera matrix good enough to tell one tilt of the board from another before anything is known: 60° across."""
    width, height = size_px
    focal = 0.5 * width / np.tan(np.deg2rad(30.0))
    return np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])


def summary_of(view: View, size_px) -> np.ndarray:
    """What a view is compared by: centre of the board's corners and their spread over the picture's diagonal [3], normal [3]."""
    found, rotation, _ = cv2.solvePnP(view.points, view.corners, guessed_matrix(size_px), None, flags=cv2.SOLVEPNP_IPPE)
    normal = cv2.Rodrigues(rotation)[0][:, 2] if found else np.array([0.0, 0.0, 1.0])
    place = np.array([*view.corners.mean(axis=0), np.linalg.norm(view.corners.std(axis=0))])
    return np.concatenate([place / np.hypot(*size_px), normal])


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two summaries are of nearly the same view."""
    return np.abs(a[:3] - b[:3]).max() < ALIKE_SHARE and angle(a[3:], b[3:]) < ALIKE_RAD


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two unit vectors, radians."""
    return float(2.0 * np.arcsin(min(1.0, 0.5 * float(np.linalg.norm(a - b)))))


def excitation_of(views, size_px) -> Excitation:
    """What a set of views has to say, before any calibration."""
    distinct: list[np.ndarray] = []
    cells = np.zeros(GRID[::-1], bool)
    for view in views:
        summary = summary_of(view, size_px)
        if not any(alike(summary, other) for other in distinct):
            distinct.append(summary)
        column, row = (np.clip(view.corners / size_px, 0.0, 0.999) * GRID).astype(int).T
        cells[row, column] = True
    tilt = max((angle(a[3:], b[3:]) for i, a in enumerate(distinct) for b in distinct[:i]), default=0.0)
    return Excitation(len(distinct), tilt, cells)


def lacking(excitation: Excitation) -> str:
    """What these views lack, and what to do about it; "" when they are enough."""
    if excitation.distinct < MIN_VIEWS:
        return f"{excitation.distinct} different views, at least {MIN_VIEWS} are needed: move and tilt the board"
    if excitation.tilt_rad < MIN_TILT_RAD:
        return (
            f"the board's planes differ by {np.rad2deg(excitation.tilt_rad):.0f}° at most, {np.rad2deg(MIN_TILT_RAD):.0f}° are "
            "needed: tilt the board away from the camera, left, right, up and down"
        )
    if excitation.coverage < MIN_COVERAGE:
        return (
            f"corners in {100 * excitation.coverage:.0f} % of the picture's cells, {100 * MIN_COVERAGE:.0f} % are needed: "
            f"bring the board to the {where_missing(excitation.cells)}"
        )
    return ""


def where_missing(cells: np.ndarray) -> str:
    """In words, the part of the picture with the fewest cells seen."""
    rows, columns = cells.shape
    parts = {
        f"{vertical} {horizontal}": cells[r : r + rows // 2, c : c + columns // 2].mean()
        for vertical, r in (("upper", 0), ("lower", rows // 2))
        for horizontal, c in (("left", 0), ("right", columns // 2))
    }
    return min(parts, key=parts.get)


def calibrate_camera(views, size_px, name: str = "camera", model: str = "plumb_bob") -> CameraCalibration:
    """Intrinsics from views of one camera whose pictures are size_px (width, height).

    A view whose residual is more than three times the median view's is left out and named. Raises CalibrationError.
    """
    used, left_out = list(views), {}
    while True:
        excitation = excitation_of(used, size_px)
        if reason := lacking(excitation):
            dropped = f" ({len(left_out)} left out: {', '.join(left_out)})" if left_out else ""
            raise CalibrationError(f"{reason}{dropped}")
        rms, k, d, turns, shifts, sigma, _, errors = cv2.calibrateCameraExtended(
            [v.points.astype(np.float32) for v in used],
            [v.corners.astype(np.float32) for v in used],
            size_px,
            None,
            None,
            flags=FLAGS[model],
        )
        errors = errors.ravel()
        limit = max(OUTLIER * float(np.median(errors)), OUTLIER_FLOOR_PX)
        worst = int(np.argmax(errors))
        if errors[worst] <= limit or len(left_out) >= MAX_OUTLIERS * len(views):
            break
        left_out[used[worst].name] = f"residual {errors[worst]:.2f} px, the median view's is {np.median(errors):.2f}"
        del used[worst]
    d = d.ravel()[: 5 if model == "plumb_bob" else 8]
    residuals = {
        v.name: (v.corners, v.corners - cv2.projectPoints(v.points, turn, shift, k, d)[0].reshape(-1, 2))
        for v, turn, shift in zip(used, turns, shifts)
    }
    _judge(rms, k, sigma.ravel())
    return CameraCalibration(
        info=camera_info(name, size_px, k, d, model),
        rms_px=float(rms),
        view_rms_px={v.name: float(e) for v, e in zip(used, errors)},
        residuals=residuals,
        sigmas=tuple(sigma.ravel()[:4].tolist()),
        excitation=excitation,
        left_out=left_out,
        views=tuple(used),
    )


def _judge(rms: float, k: np.ndarray, sigma: np.ndarray):
    if not np.isfinite(rms) or rms > MAX_RMS_PX:
        raise CalibrationError(
            f"the corners lie {rms:.2f} px off the model, {MAX_RMS_PX:.0f} px is the limit: is the board flat, the one of the "
            "file, and at rest in every picture?"
        )
    share = max(sigma[0] / k[0, 0], sigma[1] / k[1, 1])
    if share > MAX_FOCAL_SIGMA:
        raise CalibrationError(
            f"the focal length is known to {100 * share:.2f} % only (one standard deviation; {100 * MAX_FOCAL_SIGMA:.1f} % is "
            "the limit): take more views, larger in the picture and more tilted"
        )
