"""A tree of fixed frames, as /tf_static tells it: what tf2 would be asked for, for frames that do not move. Numpy only."""

from collections.abc import Callable

import numpy as np

from lpds_ros.geometry import inverse_pose

LONGEST = 100  # frames from a leaf to its root: more are a circle


class FrameError(ValueError):
    """Frames that are not connected, or in a circle; the text names them."""


class FixedFrames:
    """Frames by name; a name's leading "/" does not count. Not thread-safe."""

    def __init__(self):
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def set(self, parent: str, child: str, matrix: np.ndarray):
        """`child` is at `matrix` [4, 4] in `parent`; said again, the last one holds."""
        self._parents[child.lstrip("/")] = parent.lstrip("/"), np.array(matrix, float)

    def chain(self, frame: str) -> list[str]:
        """The frame, its parent, its parent's, up to the root. Raises FrameError for a circle."""
        names = [frame.lstrip("/")]
        while names[-1] in self._parents:
            names.append(self._parents[names[-1]][0])
            if len(names) > LONGEST:
                raise FrameError(f"the frames above {frame} form a circle: {' -> '.join(names[:5])} …")
        return names

    def first_above(self, frame: str, wanted: Callable[[str], bool]) -> str:
        """The nearest of `chain` for which wanted(name), or the frame itself."""
        return next((name for name in self.chain(frame) if wanted(name)), frame.lstrip("/"))

    def lookup(self, target: str, source: str) -> np.ndarray:
        """Pose [4, 4] of `source` in `target`. Raises FrameError naming the two roots where they are not connected."""
        up, down = self.chain(target), self.chain(source)
        common = next((name for name in down if name in up), None)
        if common is None:
            raise FrameError(f"no fixed frames lead from {target} (root {up[-1]}) to {source} (root {down[-1]})")
        return inverse_pose(self._from(target, common)) @ self._from(source, common)

    def _from(self, frame: str, above: str) -> np.ndarray:
        """Pose of `frame` in the frame `above` it."""
        pose, name = np.eye(4), frame.lstrip("/")
        while name != above:
            name, matrix = self._parents[name]
            pose = matrix @ pose
        return pose
