"""From the tool's commanded pose to the joints': one control period of differential inverse kinematics. Numpy only.

Of the seven joints' ways to a pose the one nearest to the last command is taken, drawn gently towards a posture (damped least
squares with a null-space posture: Nakamura and Hanafusa 1986). A joint at its limit leaves the rest to the others; where one
would be too fast, the tool goes as far as it may along its way.
"""

import math

import numpy as np

from lpds_ros.geometry import from_rotation_vector, rotation_matrix
from lpds_ros.robot.kinematics import damped_step, tool_frame
from lpds_ros.robot.limits import ArmLimits

ITERATIONS = 10
SOLVED = 1e-7  # m and rad
DAMPING = 1e-2
POSTURE_PER_S, POSTURE_MAX_RADPS = 0.5, 0.1  # share of the way to the posture, and the most of it
STUCK_RADPS = 1e-6  # a joint that may only move slower cannot move


class TrackingError(ValueError):
    """The joints cannot follow the tool's pose; the text says how far off they are, and which joint is why."""


class InverseKinematics:
    """Steps of one control period, `period_s`, within the limits of the arm: positions `margin_rad` inside the hard ones (as
    JointBox), speeds within the suggested box and, nearer to a joint's end, within Franka's own law.

    lag_m, lag_rad: how far from the pose the tool may be after a step.
    """

    def __init__(self, limits: ArmLimits, *, period_s: float, margin_rad: float, lag_m: float, lag_rad: float):
        self._limits, self._period_s, self._lag_m, self._lag_rad = limits, period_s, lag_m, lag_rad
        self._low = np.array(limits.joints.position_min_rad) + margin_rad
        self._high = np.array(limits.joints.position_max_rad) - margin_rad
        self.speed_max_radps = np.array(limits.suggested.velocity_max_radps)

    def step(self, q: np.ndarray, position: np.ndarray, orientation: np.ndarray, posture: np.ndarray) -> np.ndarray:
        """The joints [7] rad one period after q [7] rad, as near as may be to the tool pose: position [3] m, orientation [4]
        xyzw. posture [7] rad: where joints go that the pose leaves free.

        Raises TrackingError when the tool would still be farther than lag_m or lag_rad from the pose.
        """
        rotation, period_s = rotation_matrix(orientation), self._period_s
        tool, turned, jacobian = tool_frame(q)
        error = np.concatenate([position - tool, _turn(turned, rotation)])
        rest = np.clip(POSTURE_PER_S * (posture - q), -POSTURE_MAX_RADPS, POSTURE_MAX_RADPS) * period_s
        way = rest + damped_step(jacobian, error - jacobian @ rest, DAMPING)
        up = np.minimum(self.speed_max_radps, self._limits.velocity_max(q))
        down = np.minimum(self.speed_max_radps, -self._limits.velocity_min(q))
        excess = np.abs(way) / (period_s * np.maximum(np.where(way > 0.0, up, down), STUCK_RADPS))
        share = 1.0 / max(1.0, float(excess.max()))
        goal = position, rotation
        if share < 1.0:
            goal = tool + share * error[:3], rotation_matrix(from_rotation_vector(share * error[3:])) @ turned
        # Where the arm is, it may stay, and go back: only farther out it may not.
        low = np.maximum(np.minimum(self._low, q), q - down * period_s)
        high = np.minimum(np.maximum(self._high, q), q + up * period_s)
        reached = _solve(q + share * way, *goal, low, high)
        tool, turned, _ = tool_frame(reached)
        off_m, off_rad = np.linalg.norm(position - tool), np.linalg.norm(_turn(turned, rotation))
        if off_m <= self._lag_m and off_rad <= self._lag_rad:
            return reached
        ended = (reached <= self._low) | (reached >= self._high)
        if ended.any():
            i = int(np.argmax(ended))
            why = f"joint {i + 1} is at {reached[i]:.2f} rad, the end of its range"
        else:
            i = int(np.argmax(excess))
            why = f"joint {i + 1} would have to be {excess[i]:.1f} times as fast as it may: too far, or near a singularity"
        raise TrackingError(f"the joints cannot follow the pose target, {off_m:.3f} m and {off_rad:.2f} rad away: {why}")


def _solve(q, position, rotation, low, high) -> np.ndarray:
    """Joints [7] rad near q within [low, high] with the tool at the pose, or as near to it as they come."""
    fixed = np.zeros(7, bool)
    for _ in range(ITERATIONS):
        inside = np.minimum(np.maximum(q, low), high)
        fixed, q = fixed | (inside != q), inside
        tool, turned, jacobian = tool_frame(q)
        error = np.concatenate([position - tool, _turn(turned, rotation)])
        if np.abs(error).max() < SOLVED:
            break
        q = q + damped_step(np.where(fixed, 0.0, jacobian), error, DAMPING)
    return np.minimum(np.maximum(q, low), high)


def _turn(at: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Rotation vector [3] rad from one rotation matrix to another; of a half turn the length is right, the axis any."""
    r = to @ at.T
    axis = 0.5 * np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    sine = math.sqrt(float(axis @ axis))
    if sine < 1e-9:
        return axis if r.trace() > 0.0 else np.array([math.pi, 0.0, 0.0])
    return axis * (math.atan2(sine, 0.5 * (r.trace() - 1.0)) / sine)
