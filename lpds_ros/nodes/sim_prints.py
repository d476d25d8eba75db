"""Marker and board files as prints in the simulation's scene."""

import numpy as np

from lpds_ros.perception.calibration.board import Board
from lpds_ros.perception.calibration.printing import MARGIN_M
from lpds_ros.perception.marker_set import MarkerSet
from lpds_ros.sim.camera import OPTICAL
from lpds_ros.sim.fr3 import HAND_BODY
from lpds_ros.sim.frames import UNTURNED
from lpds_ros.sim.prints import Print
from lpds_ros.sim.scene import OBJECT_BODY

MARGIN = 0.1  # of white round a marker's black square, times its side: less than this is not found
# Upright before the hand, looking ahead where the hand points down; or flat on the table. Body, place m, orientation xyzw.
BOARD_PLACES = {"hand": (HAND_BODY, (0.045, 0.0, -0.05), OPTICAL), "table": ("world", (0.5, 0.0, 0.001), UNTURNED)}


def object_prints(markers: MarkerSet) -> tuple[Print, ...]:
    """Every marker of the set on the task's object."""
    return tuple(
        Print(
            OBJECT_BODY,
            marker.position_m,
            marker.orientation,
            (-reach, -reach, reach, reach),
            marker.ink(markers.dictionary),
        )
        for marker in markers.markers
        for reach in [marker.size_m * (0.5 + MARGIN)]
    )


def board_print(board: Board, place: str) -> Print:
    """The calibration board, its middle at one of BOARD_PLACES."""
    half_width, half_height = (v / 2 for v in board.size_m)
    black = board.black()
    ink = np.column_stack(
        [black[:, 0] - half_width, half_height - black[:, 3], black[:, 2] - half_width, half_height - black[:, 1]]
    )
    x, y = half_width + MARGIN_M, half_height + MARGIN_M
    return Print(*BOARD_PLACES[place], (-x, -y, x, y), ink)
