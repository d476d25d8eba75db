"""Markers of a marker file as prints in the simulation's scene."""

from lpds_ros.perception.marker_set import MarkerSet
from lpds_ros.sim.prints import Print
from lpds_ros.sim.scene import OBJECT_BODY

MARGIN = 0.1  # of white round a marker's black square, times its side: less than this is not found


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
