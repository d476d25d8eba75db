"""Where a camera sits: on the hand (eye in hand) or in the cell (eye on base), from views of a board at known poses of the hand.

Names as in OpenCV and easy_handeye2: A_i the hand in the base frame (eye on base: the base in the hand's frame), B_i the board
in the camera's frame, X the camera in the hand's (the base's) frame. Whatever the pose, Z = A_i X B_i is the board in the frame
that it is fixed to: the closed-form solvers find X from that, the refinement X and Z together with the least residual.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lpds_ros.geometry import (
    from_rotation_matrix,
    from_rotation_vector,
    inverse_pose,
    rotation_matrix,
    to_rotation_vector,
    turn_between,
)
from lpds_ros.perception.calibration.camera_info import CameraInfo, project
from lpds_ros.perception.calibration.excitation import Turns, turns_of
from lpds_ros.perception.calibration.least_squares import minimise
from lpds_ros.perception.calibration.records import CalibrationError, Kind, Sample, View

METHODS = {
    "Tsai-Lenz": cv2.CALIB_HAND_EYE_TSAI,
    "Park": cv2.CALIB_HAND_EYE_PARK,
    "Horaud": cv2.CALIB_HAND_EYE_HORAUD,
    "Andreff": cv2.CALIB_HAND_EYE_ANDREFF,
    "Daniilidis": cv2.CALIB_HAND_EYE_DANIILIDIS,
}
MIN_SAMPLES = 10
SIGMA_M, SIGMA_RAD = 1e-3, np.deg2rad(0.1)  # what makes a metre and a radian comparable where there are no pixels
OUTLIER, MAX_OUTLIERS = 4.0, 0.25  # times the median residual; share of the samples
FLOOR_M, FLOOR_RAD = 5e-4, np.deg2rad(0.1)  # below these no sample is an outlier
MAX_RESIDUAL_M, MAX_RESIDUAL_RAD = 5e-3, np.deg2rad(1.0)


@dataclass(frozen=True)
class HandEye:
    """camera [4, 4]: in the hand's (eye in hand) or the base's (eye on base) frame; board [4, 4]: in the other one of the two.

    methods: closed-form solver -> mean residual (m, rad), and "refined". residuals: sample -> (m, rad) of its board from the
    common one. sigma_m, sigma_rad: of the result, by leaving out each sample in turn. rms_px: of the corners, nan without any.
    """

    kind: Kind
    camera: np.ndarray
    board: np.ndarray
    methods: dict[str, tuple[float, float]]
    residuals: dict[str, tuple[float, float]]
    rms_px: float
    sigma_m: float
    sigma_rad: float
    turns: Turns
    left_out: dict[str, str]
    samples: tuple[Sample, ...]


def board_pose(view: View, info: CameraInfo) -> np.ndarray:
    """The board [4, 4] in the camera's frame: of a plane's two solutions the better one, refined. Raises CalibrationError."""
    found, turns, shifts, _ = cv2.solvePnPGeneric(view.points, view.corners, info.k, info.d, flags=cv2.SOLVEPNP_IPPE)
    if not found:
        raise CalibrationError(f"{view.name}: no pose fits the board's corners")
    turn, shift = cv2.solvePnPRefineLM(view.points, view.corners, info.k, info.d, turns[0], shifts[0])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
    return pose


def calibrate_hand_eye(samples, kind: Kind, info: CameraInfo | None = None) -> HandEye:
    """Solve. info: with it, samples that have a view are refined on their corners' pixels, otherwise on the poses alone.

    Samples whose residual is more than four times the median are left out and named. Raises CalibrationError.
    """
    used, left_out = list(samples), {}
    while True:
        _require(used, left_out, kind)
        camera, board, methods = _initial(used, kind)
        problem = _Problem(used, kind, info)
        x, jacobian = minimise(problem.residuals, problem.pack(camera, board))
        camera, board = problem.unpack(x)
        off = [difference(board, _seen(s, camera, kind)) for s in used]
        worst, reason = _outlier(off)
        if not reason or len(left_out) >= MAX_OUTLIERS * len(samples):
            break
        left_out[used[worst].name] = reason
        del used[worst]
    methods["refined"] = tuple(np.mean(off, axis=0).tolist())
    residuals = {s.name: (float(m), float(rad)) for s, (m, rad) in zip(used, off)}
    _judge(methods["refined"])
    sigma_m, sigma_rad = problem.jackknife(x, jacobian)
    rms_px = problem.rms_px(x)
    turns = turns_of([s.hand for s in used])
    return HandEye(kind, camera, board, methods, residuals, rms_px, sigma_m, sigma_rad, turns, left_out, tuple(used))


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Distance m and angle rad between two poses [4, 4]."""
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(np.linalg.norm(turn_between(a, b)))


def _a(sample: Sample, kind: Kind) -> np.ndarray:
    return sample.hand if kind == "eye_in_hand" else inverse_pose(sample.hand)


def _seen(sample: Sample, camera: np.ndarray, kind: Kind) -> np.ndarray:
    """Z as this sample has it."""
    return _a(sample, kind) @ camera @ sample.board


def _require(samples, left_out, kind: Kind):
    dropped = f" ({len(left_out)} left out: {', '.join(left_out)})" if left_out else ""
    if len(samples) < MIN_SAMPLES:
        raise CalibrationError(f"{len(samples)} samples, at least {MIN_SAMPLES} are needed{dropped}")
    if lack := turns_of([s.hand for s in samples]).lacking():
        raise CalibrationError(lack + dropped)


def _initial(samples, kind: Kind) -> tuple[np.ndarray, np.ndarray, dict]:
    """The best closed-form solution, its board, and every solver's mean residual."""
    hands, boards = [_a(s, kind) for s in samples], [s.board for s in samples]
    parts = [[m[:3, :3] for m in hands], [m[:3, 3] for m in hands], [m[:3, :3] for m in boards], [m[:3, 3] for m in boards]]
    found, scores = {}, {}
    for name, method in METHODS.items():
        camera = np.eye(4)
        try:
            turn, shift = cv2.calibrateHandEye(*parts, method=method)
        except cv2.error:
            continue
        camera[:3, :3], camera[:3, 3] = turn, shift.ravel()
        if not np.isfinite(camera).all():
            continue
        board = mean_pose([_seen(s, camera, kind) for s in samples])
        off = [difference(board, _seen(s, camera, kind)) for s in samples]
        found[name], scores[name] = (camera, board), tuple(np.mean(off, axis=0).tolist())
    if not found:
        raise CalibrationError("no solver finds a camera pose that fits: are the poses those of the pictures?")
    best = min(scores, key=lambda name: scores[name][0] / SIGMA_M + scores[name][1] / SIGMA_RAD)
    return *found[best], scores


def mean_pose(poses) -> np.ndarray:
    """Mean of poses [4, 4] that lie close together: of positions, and the rotation nearest to the mean matrix."""
    mean = np.mean(poses, axis=0)
    u, _, v = np.linalg.svd(mean[:3, :3])
    mean[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
    return mean


def _outlier(off) -> tuple[int, str]:
    """The sample farthest off, and why it is left out, or ""."""
    off = np.array(off)
    limits = np.maximum(OUTLIER * np.median(off, axis=0), (FLOOR_M, FLOOR_RAD))
    worst = int(np.argmax((off / limits).max(axis=1)))
    m, rad = off[worst]
    if (off[worst] <= limits).all():
        return worst, ""
    median_m, median_rad = np.median(off, axis=0)
    return worst, (
        f"its board lies {1e3 * m:.1f} mm and {np.rad2deg(rad):.2f}° from the common one, the median sample's "
        f"{1e3 * median_m:.1f} mm and {np.rad2deg(median_rad):.2f}°"
    )


def _judge(mean: tuple[float, float]):
    if mean[0] > MAX_RESIDUAL_M or mean[1] > MAX_RESIDUAL_RAD:
        raise CalibrationError(
            f"the poses of hand and board contradict each other: {1e3 * mean[0]:.1f} mm and {np.rad2deg(mean[1]):.2f}° off at "
            f"the mean, {1e3 * MAX_RESIDUAL_M:.0f} mm and {np.rad2deg(MAX_RESIDUAL_RAD):.0f}° are the limit. Is the board fixed, "
            "its square_m as measured, the camera's intrinsics its own, the kind (eye_in_hand, eye_on_base) the right one?"
        )


class _Problem:
    """Residuals of twelve parameters: rotation vectors (on top of the start) and positions of camera X and board Z.

    With corners: their pixels. Without: distance and angle of every sample's board, in units of SIGMA_M and SIGMA_RAD.
    """

    def __init__(self, samples, kind: Kind, info: CameraInfo | None):
        self._samples, self._info = samples, info
        self._on_pixels = info is not None and all(s.view is not None for s in samples)
        self._hands = np.array([_a(s, kind) for s in samples])
        self._boards = np.array([s.board for s in samples])
        if self._on_pixels:
            self._index = np.concatenate([[i] * len(s.view.ids) for i, s in enumerate(samples)])
            self._points = np.concatenate([np.column_stack([s.view.points, np.ones(len(s.view.ids))]) for s in samples])
            self._corners = np.concatenate([s.view.corners for s in samples])
            self._to_hand = np.array([inverse_pose(a) for a in self._hands])

    def pack(self, camera, board) -> np.ndarray:
        self._start = camera[:3, :3], board[:3, :3]
        return np.concatenate([np.zeros(3), camera[:3, 3], np.zeros(3), board[:3, 3]])

    def unpack(self, x) -> tuple[np.ndarray, np.ndarray]:
        poses = []
        for start, part in zip(self._start, (x[:6], x[6:])):
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation_matrix(from_rotation_vector(part[:3])) @ start, part[3:]
            poses.append(pose)
        return tuple(poses)

    def residuals(self, x) -> np.ndarray:
        """[2 · corners] px, or [6 · samples]."""
        camera, board = self.unpack(x)
        if self._on_pixels:
            in_camera = inverse_pose(camera) @ self._to_hand @ board  # of each sample, [n, 4, 4]
            points = np.einsum("nij,nj->ni", in_camera[self._index], self._points)[:, :3]
            return np.nan_to_num(project(points, self._info.k, self._info.d) - self._corners, nan=1e4).ravel()
        off = inverse_pose(board) @ self._hands @ camera @ self._boards
        turns = [to_rotation_vector(from_rotation_matrix(m[:3, :3])) for m in off]
        return np.concatenate([off[:, :3, 3] / SIGMA_M, np.array(turns) / SIGMA_RAD], axis=1).ravel()

    def rms_px(self, x) -> float:
        """Of the corners' distances."""
        if not self._on_pixels:
            return float("nan")
        return float(np.sqrt(np.mean(np.sum(self.residuals(x).reshape(-1, 2) ** 2, axis=1))))

    def jackknife(self, x, jacobian) -> tuple[float, float]:
        """Standard deviation of the camera's position m and rotation rad: how far it moves as each sample is left out, by one
        step of Gauss and Newton. Unlike the covariance of the corners' noise it knows how well the arm knows its hand's pose.
        """
        r, n = self.residuals(x), len(self._samples)
        rows = np.repeat(self._index, 2) if self._on_pixels else np.repeat(np.arange(n), 6)
        normal = jacobian.T @ jacobian
        steps = np.empty((n, len(x)))
        for i in range(n):
            own = jacobian[rows == i]
            steps[i] = np.linalg.solve(normal - own.T @ own, own.T @ r[rows == i])
        spread = (n - 1) / n * np.sum((steps - steps.mean(axis=0)) ** 2, axis=0)
        return float(np.sqrt(spread[3:6].sum())), float(np.sqrt(spread[:3].sum()))
