"""The late poses of a moving frame, and where it was at a picture's time: between two of them, never beyond. Numpy only."""

from collections import deque

import numpy as np

from lpds_ros.geometry import pose_matrix, slerp

HISTORY = 256
GAP_NS = 200_000_000  # two poses farther apart say nothing of what was between them


class PoseHistory:
    """Not thread-safe."""

    def __init__(self):
        self._poses: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=HISTORY)

    def push(self, stamp_ns: int, position: np.ndarray, orientation: np.ndarray):
        """Position [3] m, unit quaternion xyzw. A clock that goes back begins anew."""
        if self._poses and stamp_ns < self._poses[-1][0]:
            self._poses.clear()
        if not self._poses or stamp_ns > self._poses[-1][0]:
            self._poses.append((stamp_ns, position, orientation))

    @property
    def newest_ns(self) -> int | None:
        """Stamp of the newest pose."""
        return self._poses[-1][0] if self._poses else None

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """The pose [4, 4] at a time, interpolated; None where it does not lie between two poses, or on one."""
        after = next((p for p in self._poses if p[0] >= stamp_ns), None)
        if after is not None and after[0] == stamp_ns:
            return pose_matrix(after[1], after[2])
        before = next((p for p in reversed(self._poses) if p[0] < stamp_ns), None)
        if before is None or after is None or after[0] - before[0] > GAP_NS:
            return None
        share = (stamp_ns - before[0]) / (after[0] - before[0])
        return pose_matrix(before[1] + share * (after[1] - before[1]), slerp(before[2], after[2], share))
