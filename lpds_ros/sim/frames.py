"""The frames of the arm and its hand as robot_state_publisher names and places them (franka_description, fr3 with hand)."""

import math

from lpds_ros.sim import fr3
from lpds_ros.sim.rotation import Quaternion, multiply

# parent, child, position m, orientation xyzw in the parent
Frame = tuple[str, str, tuple[float, float, float], Quaternion]

BASE, FLANGE, HAND = "base", "fr3_link8", fr3.HAND_BODY
FINGER_TURN: Quaternion = (0.0, 0.0, 1.0, 0.0)  # the right finger's frame is turned by π about z
UNTURNED: Quaternion = (0.0, 0.0, 0.0, 1.0)


def _about_x(angle: float) -> Quaternion:
    return math.sin(angle / 2), 0.0, 0.0, math.cos(angle / 2)


def _about_z(angle: float) -> Quaternion:
    return 0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2)


FIXED: tuple[Frame, ...] = (
    (BASE, "fr3_link0", (0.0, 0.0, 0.0), UNTURNED),
    ("fr3_link7", FLANGE, (0.0, 0.0, fr3.FLANGE_M), UNTURNED),
    (FLANGE, HAND, (0.0, 0.0, 0.0), _about_z(fr3.HAND_YAW_RAD)),
    (HAND, fr3.TCP_SITE, (0.0, 0.0, fr3.TCP_M), UNTURNED),
)


def moving(q, fingers) -> list[Frame]:
    """Frames that move with the joints q [7] rad and the finger positions [2] m."""
    frames = []
    for i, angle in enumerate(q.tolist()):
        a, alpha, d = fr3.DH_A_M[i], fr3.DH_ALPHA_RAD[i], fr3.DH_D_M[i]
        place = (a, -d * math.sin(alpha), d * math.cos(alpha))
        frames.append((f"fr3_link{i}", f"fr3_link{i + 1}", place, multiply(_about_x(alpha), _about_z(angle))))
    left, right = fingers.tolist()
    frames.append((HAND, fr3.FINGER_GEOMS[0], (0.0, left, fr3.FINGER_M), UNTURNED))
    frames.append((HAND, fr3.FINGER_GEOMS[1], (0.0, -right, fr3.FINGER_M), FINGER_TURN))
    return frames
