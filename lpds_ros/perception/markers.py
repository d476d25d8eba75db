"""An object's pose from the ArUco or AprilTag markers on it.

All markers that are seen give one pose together. A single square has two poses that look nearly alike (Collins and Bartoli 2014,
IPPE): where the pixels do not tell them apart, which way is up or the last pose must, or nothing is said. A pose that does not
fit the corners, or that has jumped, is refused; one that stays where it has jumped to is believed at the third picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lpds_ros.geometry import inverse_pose, turn_between
from lpds_ros.perception.calibration.board import dictionary
from lpds_ros.perception.calibration.camera_info import CameraInfo, project
from lpds_ros.perception.marker_set import MarkerSet
from lpds_ros.perception.squares import narrowness, refined

DISTINCT = 2.0  # times the better pose's residual, floored: a worse one is another pose
FLOOR_PX = 0.1
SAME_RAD = np.deg2rad(4.0)  # candidates nearer than this are one
RECENT_NS = 500_000_000  # as long the last pose says which of two is meant, and what a jump is
CONFIRMED = 3


@dataclass(frozen=True)
class Limits:
    """min_width_px: squares narrower than this, small or seen edge on, are not looked at. max_rms_px: of the corners. A jump is
    farther than speed and turn allow, and the slack.
    """

    min_width_px: float = 10.0
    max_rms_px: float = 1.5
    max_speed_mps: float = 2.0
    max_turn_radps: float = 10.0
    slack_m: float = 0.01
    slack_rad: float = 0.1


@dataclass(frozen=True)
class Sighting:
    """pose [4, 4]: the object in the base frame; ids: of the markers; rms_px: of their corners."""

    stamp_ns: int
    pose: np.ndarray
    ids: tuple[int, ...]
    rms_px: float


@dataclass(frozen=True)
class Seen:
    """Markers of the set in one picture: ids and corners [n, 4, 2] px."""

    ids: tuple[int, ...]
    corners: np.ndarray


class MarkerTracker:
    """Call `find` on a picture, `locate` on what was found. Not thread-safe."""

    def __init__(self, markers: MarkerSet, limits: Limits | None = None):
        self._set, self._limits = markers, limits or Limits()
        self._known = {marker.id: marker for marker in markers.markers}
        self._detector = cv2.aruco.ArucoDetector(dictionary(markers.dictionary))
        self.forget()

    def forget(self):
        """What was seen is of another episode: the next pose is no jump."""
        self._last: Sighting | None = None
        self._jumped: list[Sighting] = []

    def find(self, image: np.ndarray) -> Seen | None:
        """The set's markers in uint8 [h, w] or rgb [h, w, 3]; None without any. A marker seen twice is a copy: neither counts."""
        grey = np.ascontiguousarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        found, ids, _ = self._detector.detectMarkers(grey)
        numbers = [] if ids is None else ids.ravel().tolist()
        squares = [(n, np.array(c, float).reshape(4, 2)) for n, c in zip(numbers, found)]
        kept = [
            (n, sharp)
            for n, square in squares
            if n in self._known and numbers.count(n) == 1 and narrowness(square) >= self._limits.min_width_px
            if (sharp := refined(grey, square)) is not None
        ]
        return Seen(tuple(n for n, _ in kept), np.array([square for _, square in kept])) if kept else None

    def locate(self, seen: Seen, info: CameraInfo, camera: np.ndarray, stamp_ns: int) -> tuple[Sighting | None, str]:
        """The object's pose, or why there is none. camera [4, 4]: its optical frame in the base frame."""
        if self._last is not None and stamp_ns < self._last.stamp_ns:  # the clock went back: another time altogether
            self.forget()
        points = np.concatenate([self._known[n].points for n in seen.ids])
        corners = seen.corners.reshape(-1, 2)
        candidates = [(rms, camera @ pose) for rms, pose in self._candidates(seen, points, corners, info)]
        if not candidates:
            return None, "no pose fits the markers' corners"
        if candidates[0][0] > self._limits.max_rms_px:
            return None, f"the corners lie {candidates[0][0]:.1f} px off: are the sizes, places and intrinsics right?"
        (rms, pose), reason = self._choose(candidates, stamp_ns)
        if reason:
            return None, reason
        return self._without_jump(Sighting(stamp_ns, pose, seen.ids, rms))

    def _candidates(self, seen: Seen, points, corners, info: CameraInfo) -> list[tuple[float, np.ndarray]]:
        """Poses of the object in the camera's frame that fit, each with its residual in px, best first."""
        found: list[tuple[float, np.ndarray]] = []
        for number, square in zip(seen.ids, seen.corners):
            marker = self._known[number]
            _, turns, shifts, _ = cv2.solvePnPGeneric(
                marker.corners, square, info.k, info.d, flags=cv2.SOLVEPNP_IPPE_SQUARE
            )
            for turn, shift in zip(turns, shifts):
                start = _matrix(turn, shift) @ inverse_pose(marker.pose)
                turn, shift = cv2.solvePnPRefineLM(
                    points, corners, info.k, info.d, cv2.Rodrigues(start[:3, :3])[0], start[:3, 3].reshape(3, 1).copy()
                )
                pose = _matrix(turn, shift)
                off = project(points @ pose[:3, :3].T + pose[:3, 3], info.k, info.d) - corners
                rms = float(np.sqrt(np.mean(np.sum(off * off, axis=1))))
                if np.isfinite(rms) and not any(_angle(pose, other) < SAME_RAD for _, other in found):
                    found.append((rms, pose))
        return sorted(found, key=lambda candidate: candidate[0])

    def _choose(self, candidates, stamp_ns: int) -> tuple[tuple[float, np.ndarray], str]:
        """The candidate that is meant, or why none can be told."""
        best = candidates[0]
        rivals = [c for c in candidates[1:] if c[0] < DISTINCT * max(best[0], FLOOR_PX)]
        if not rivals:
            return best, ""
        upright = [c for c in (best, *rivals) if np.arccos(np.clip(c[1][2, 2], -1, 1)) <= self._set.upright_rad]
        if len(upright) == 1:
            return upright[0], ""
        if self._last is not None and stamp_ns - self._last.stamp_ns <= RECENT_NS:
            near = sorted([best, *rivals], key=lambda c: _angle(c[1], self._last.pose))
            if 2 * _angle(near[0][1], self._last.pose) < _angle(near[1][1], self._last.pose):
                return near[0], ""
        apart = np.rad2deg(_angle(best[1], rivals[0][1]))
        return best, f"two poses {apart:.0f}° apart fit equally well: more or larger markers, a nearer or more oblique camera"

    def _without_jump(self, now: Sighting) -> tuple[Sighting | None, str]:
        last = self._last
        if last is None or now.stamp_ns - last.stamp_ns > RECENT_NS or not self._jump(last, now):
            self._last, self._jumped = now, []
            return now, ""
        if self._jumped and self._jump(self._jumped[-1], now):
            self._jumped = []
        self._jumped.append(now)
        if len(self._jumped) >= CONFIRMED:
            self._last, self._jumped = now, []
            return now, ""
        m = np.linalg.norm(now.pose[:3, 3] - last.pose[:3, 3])
        return None, f"the object jumped by {1e3 * m:.0f} mm and {np.rad2deg(_angle(now.pose, last.pose)):.0f}°"

    def _jump(self, a: Sighting, b: Sighting) -> bool:
        s, limits = (b.stamp_ns - a.stamp_ns) / 1e9, self._limits
        far = np.linalg.norm(b.pose[:3, 3] - a.pose[:3, 3]) > limits.max_speed_mps * s + limits.slack_m
        return bool(far) or _angle(a.pose, b.pose) > limits.max_turn_radps * s + limits.slack_rad


def _matrix(turn, shift) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], shift.ravel()
    return pose


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(turn_between(a, b)))
