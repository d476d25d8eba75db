"""The FR3 with its hand in numbers: names, geometry, limits, forward kinematics. No MuJoCo: the mock robot has them too.

Kinematics: Craig's DH parameters of the FR3 (Franka's robot specifications). Limits of the joints: the same documents
(system 5.9 and later). Inertia of the hand: franka_description.
"""

import math

import numpy as np

JOINTS = tuple(f"fr3_joint{i}" for i in range(1, 8))
FINGER_JOINTS = ("fr3_finger_joint1", "fr3_finger_joint2")
TCP_SITE = "fr3_hand_tcp"
HAND_BODY = "fr3_hand"
FINGER_GEOMS = ("fr3_leftfinger", "fr3_rightfinger")

# Craig's DH: a and alpha of the previous link, d of this one.
DH_A_M = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)
DH_ALPHA_RAD = (0.0, -math.pi / 2, math.pi / 2, math.pi / 2, -math.pi / 2, math.pi / 2, math.pi / 2)
DH_D_M = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)
FLANGE_M = 0.107
HAND_YAW_RAD = -math.pi / 4
TCP_M = 0.1034  # from the hand's frame
FINGER_M = 0.0584  # from the hand's frame to the fingers'

Q_MIN_RAD = (-2.9007, -1.8361, -2.9007, -3.0770, -2.8763, 0.4398, -3.0508)
Q_MAX_RAD = (2.9007, 1.8361, 2.9007, -0.1169, 2.8763, 4.6216, 3.0508)
VELOCITY_MAX_RADPS = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)
TORQUE_MAX_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)
Q_READY_RAD = (0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4)
MAX_WIDTH_M = 0.08
FINGER_FORCE_MAX_N = 140.0
# The robot's own ranges (libfranka, setCartesianImpedance): N/m, Nm/rad.
STIFFNESS_MIN, STIFFNESS_MAX = np.array([10.0] * 3 + [1.0] * 3), np.array([3000.0] * 3 + [300.0] * 3)

# Of the hand: mass kg, centre of mass m, inertia about it (xx, yy, zz, xy, xz, yz) kg m²
HAND = (0.73, (-0.01, 0.0, 0.03), (0.001, 0.0025, 0.0017, 0.0, 0.0, 0.0))


def forward_kinematics(q) -> tuple[np.ndarray, np.ndarray]:
    """Position [3] m and rotation matrix [3, 3] of the tool centre point at joint angles q [7], from the DH table."""
    pose = np.eye(4)
    for a, alpha, d, angle in zip(DH_A_M, DH_ALPHA_RAD, DH_D_M, q):
        ca, sa, ct, st = math.cos(alpha), math.sin(alpha), math.cos(angle), math.sin(angle)
        link = [[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]]
        pose = pose @ np.array(link)
    c, s = math.cos(HAND_YAW_RAD), math.sin(HAND_YAW_RAD)
    pose = pose @ np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, FLANGE_M + TCP_M], [0, 0, 0, 1]])
    return pose[:3, 3], pose[:3, :3]


def checked_stiffness(stiffness) -> np.ndarray:
    """A Cartesian stiffness [6] N/m, Nm/rad. Raises ValueError out of the robot's own ranges."""
    stiffness = np.array(stiffness, np.float64)
    if stiffness.shape != (6,) or not ((stiffness >= STIFFNESS_MIN) & (stiffness <= STIFFNESS_MAX)).all():
        raise ValueError("Cartesian stiffness: three numbers from 10 to 3000 N/m and three from 1 to 300 Nm/rad")
    return stiffness
