"""Cameras that say the same picture again under new stamps: a driver that hangs behind a node that lives."""

import numpy as np

from lpds_ros.geometry import angle_between

# A tool that has moved so far changes some pixel of any picture that it is in, or that is taken from it.
MOVED_M, TURNED_RAD = 0.01, 0.1


class FrozenPictures:
    """Tells by the bits. A picture that does not change is no fault while the arm rests: a rendered one never does then, and of a
    real one noise changes some bit each time.
    """

    def __init__(self):
        self._held: dict[str, tuple[np.ndarray, int, tuple | None]] = {}

    def look(self, name: str, stamp_ns: int, picture: np.ndarray, pose: tuple[np.ndarray, np.ndarray] | None) -> str:
        """Why the picture cannot be used, or "". picture: uint8 [h, w, 3], kept.

        pose: position [3] m and orientation [4] xyzw of the tool when it was taken; None: not known.
        """
        held, since_ns, before = self._held.get(name, (None, 0, None))
        if held is None or stamp_ns < since_ns or not np.array_equal(held, picture):
            self._held[name] = picture, stamp_ns, pose
            return ""
        if before is None:
            self._held[name] = held, since_ns, pose
        if before is None or pose is None:
            return ""
        way_m, angle_rad = float(np.linalg.norm(pose[0] - before[0])), angle_between(pose[1], before[1])
        if way_m <= MOVED_M and angle_rad <= TURNED_RAD:
            return ""
        return (
            f"the camera is frozen: not a bit of its picture has changed for {(stamp_ns - since_ns) / 1e9:.2f} s, and the tool "
            f"has moved by {1e3 * way_m:.0f} mm and {angle_rad:.2f} rad"
        )
