"""The joint box: near the end of a joint's range no step is commanded that drives the joint further out."""

import numpy as np

from lpds_ros.robot.kinematics import joint_step
from lpds_ros.robot.limits import ArmLimits

TOWARDS_RAD = 1e-4  # of one step; less is rounding


class JointBox:
    """The hard limits of the arm's joints, `margin_rad` narrower. Raises ValueError where nothing is left of them.

    Franka's own limit of a joint's speed falls to zero towards its end: a margin of 0.15 rad leaves every joint of the FR3
    0.6 rad/s, more than the fastest commanded step needs.
    """

    def __init__(self, margin_rad: float, limits: ArmLimits):
        hard = limits.joints
        self._low = np.array(hard.position_min_rad) + margin_rad
        self._high = np.array(hard.position_max_rad) - margin_rad
        if not (self._low < self._high).all():
            raise ValueError(f"joint_margin_rad {margin_rad:g} leaves a joint of the {limits.robot} no room")

    def refusal(self, q: np.ndarray, move: np.ndarray, turn: np.ndarray) -> str:
        """Why the tool must not be moved by `move` [3] m and `turn` [3] rad with the joints measured at q [7] rad, or ""."""
        below, above = q < self._low, q > self._high
        if not (below.any() or above.any()):
            return ""
        step = joint_step(q, move, turn)
        outward = (below & (step < -TOWARDS_RAD)) | (above & (step > TOWARDS_RAD))
        if not outward.any():
            return ""
        i = int(np.argmax(outward))
        return (
            f"joint {i + 1} is at {q[i]:.2f} rad, and this motion drives it further out of "
            f"{self._low[i]:.2f} to {self._high[i]:.2f} rad"
        )
