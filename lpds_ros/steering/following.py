"""Whether the arm follows what it is sent, from observations alone: a controller that was stopped underneath says nothing."""

import numpy as np

ANCHORS = 2.0  # of way asked for in vain: the target has then started again from the measured pose at least once


class Following:
    """Adds up the steps asked for since the arm last moved. Still means: neither the tool nor a joint has gone farther.

    An arm that presses on something is not still: its elbow gives way (16 mrad a second at least, in the simulation), where
    a joint under a stopped controller or a brake does not move at all. seen: (position, joints) when it last moved, None before
    the first step; asked: (move, turn) since.
    """

    def __init__(self, anchor_m: float, anchor_rad: float, still_m: float, still_rad: float):
        self._anchor_m, self._anchor_rad = anchor_m, anchor_rad
        self._still_m, self._still_rad = still_m, still_rad
        self.reset()

    def reset(self):
        """A new start: nothing was asked for yet."""
        self.seen: tuple[np.ndarray, np.ndarray] | None = None
        self.asked = np.zeros(3), np.zeros(3)

    def refusal(self, move: np.ndarray, turn: np.ndarray, position: np.ndarray, joints: np.ndarray) -> str:
        """Why the arm must not be sent on, or "". move [3] m, turn [3] rad: this tick's step; position [3] m and joints [7] rad:
        measured before it.
        """
        if self.seen is None or self._gone(position, joints):
            self.seen, self.asked = (position, joints), (np.zeros(3), np.zeros(3))
        moved, turned = self.asked
        self.asked = moved + move, turned + turn
        way_m, way_rad = np.linalg.norm(moved), np.linalg.norm(turned)
        if way_m <= ANCHORS * self._anchor_m and way_rad <= ANCHORS * self._anchor_rad:
            return ""
        return (
            f"the arm does not follow its target: {way_m:.2f} m and {way_rad:.2f} rad were asked for, and it stands still; "
            "is its controller active?"
        )

    def _gone(self, position, joints) -> bool:
        """Whether the arm has moved since it was last seen to."""
        tool, angles = self.seen
        return bool(np.abs(position - tool).max() > self._still_m or np.abs(joints - angles).max() > self._still_rad)
