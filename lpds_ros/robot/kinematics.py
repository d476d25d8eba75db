"""Forward kinematics of the Franka arm: where the tool is, and how it moves with the joints. Numpy only.

Source: Franka's Denavit-Hartenberg parameters (Craig's convention), "Robot and interface specifications"; the hand's tool
centre point of franka_description.
"""

import math

import numpy as np

from lpds_ros.geometry import canonical
from lpds_ros.sim.rotation import Quaternion, multiply

A_M = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)
D_M = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)
ALPHA_RAD = (0.0, -math.pi / 2, math.pi / 2, math.pi / 2, -math.pi / 2, math.pi / 2, math.pi / 2)
TOOL_M = 0.107 + 0.1034  # flange, then the hand's tool centre point, along the last joint's axis
HAND_YAW_RAD = -math.pi / 4  # of the hand on the flange, about that axis
HAND = np.array(
    [
        [math.cos(HAND_YAW_RAD), -math.sin(HAND_YAW_RAD), 0.0],
        [math.sin(HAND_YAW_RAD), math.cos(HAND_YAW_RAD), 0.0],
        [0.0, 0.0, 1.0],
    ]
)
DAMPING = 1e-3


def tool_frame(q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tool centre point [3] m and its rotation matrix [3, 3] in the base frame, and the geometric Jacobian [6, 7] (m and
    rad per rad), at q [7] rad.
    """
    frame = np.eye(4)
    axes, origins = np.empty((7, 3)), np.empty((7, 3))
    for i, angle in enumerate(q.tolist()):
        c, s, ca, sa = math.cos(angle), math.sin(angle), math.cos(ALPHA_RAD[i]), math.sin(ALPHA_RAD[i])
        link = [[c, -s, 0, A_M[i]], [s * ca, c * ca, -sa, -sa * D_M[i]], [s * sa, c * sa, ca, ca * D_M[i]], [0, 0, 0, 1]]
        frame = frame @ np.array(link)
        axes[i], origins[i] = frame[:3, 2], frame[:3, 3]
    tool = frame[:3, 3] + TOOL_M * frame[:3, 2]
    return tool, frame[:3, :3] @ HAND, np.vstack([np.cross(axes, tool - origins).T, axes.T])


def tool_jacobian(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tool centre point [3] m and the Jacobian [6, 7] of `tool_frame`."""
    tool, _, jacobian = tool_frame(q)
    return tool, jacobian


def tool_pose(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tool centre point [3] m and its orientation [4] xyzw, w >= 0, in the base frame at q [7] rad."""
    turned: Quaternion = (0.0, 0.0, math.sin(HAND_YAW_RAD / 2), math.cos(HAND_YAW_RAD / 2))
    for angle, alpha in zip(reversed(q.tolist()), reversed(ALPHA_RAD)):
        turned = multiply((0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)), turned)
        turned = multiply((math.sin(alpha / 2), 0.0, 0.0, math.cos(alpha / 2)), turned)
    return tool_jacobian(q)[0], canonical(np.array(turned))


def joint_step(q: np.ndarray, move: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """The joints' step [7] rad, smallest and damped near singularities, that moves the tool by `move` [3] m and turns it by the
    rotation vector `turn` [3] rad, at q [7] rad.
    """
    return damped_step(tool_jacobian(q)[1], np.concatenate([move, turn]), DAMPING)


def damped_step(jacobian: np.ndarray, error: np.ndarray, damping: float) -> np.ndarray:
    """The smallest joint step [7] that moves the tool by `error` [6], damped near singularities, for a Jacobian [6, 7]."""
    return jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + damping**2 * np.eye(6), error)
