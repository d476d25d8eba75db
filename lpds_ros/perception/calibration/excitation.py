"""Whether a hand has turned enough for hand-eye calibration: about two axes at least, and far enough about the second.

Turns about one axis alone leave the camera's place along that axis open (Tsai and Lenz 1989). So what counts is the size of the
turns about the second of their principal axes: noise does not make it look larger than it is, as it does the angle between axes.
"""

from dataclasses import dataclass

import numpy as np

from lpds_ros.geometry import turn_between

MIN_MOST_RAD, MIN_SECOND_RAD = np.deg2rad(30.0), np.deg2rad(8.0)
NEW_RAD, NEW_M = np.deg2rad(5.0), 0.03  # a pose nearer than both to an earlier one says nothing new


@dataclass(frozen=True)
class Turns:
    """Of all pairs of poses. rms_rad [3]: turns about the principal axes, largest first; axes [3, 3]: those, by rows, in
    the hand's frame. most_rad: the largest turn between two poses. between_rad: the widest angle between two turns' axes.
    distinct: poses that are not like another.
    """

    rms_rad: np.ndarray
    axes: np.ndarray
    most_rad: float
    between_rad: float
    distinct: int

    def lacking(self) -> str:
        """Which turns are missing, or ""."""
        first, second = np.rad2deg(self.rms_rad[:2])
        if self.most_rad < MIN_MOST_RAD:
            return (
                f"the hand turned by {np.rad2deg(self.most_rad):.0f}° at most between two poses, {np.rad2deg(MIN_MOST_RAD):.0f}° "
                "are needed: turn it farther, not only sideways"
            )
        if self.rms_rad[1] < MIN_SECOND_RAD:
            return (
                f"the hand turned by {first:.1f}° about {named(self.axes[0])} but only by {second:.1f}° about any other axis, "
                f"{np.rad2deg(MIN_SECOND_RAD):.0f}° are needed: turn it about {named(self.axes[1])} too"
            )
        return ""


def named(axis: np.ndarray) -> str:
    """An axis of the hand's frame for a person: its nearest coordinate axis, and the axis itself."""
    main = "xyz"[int(np.argmax(np.abs(axis)))]
    return f"its {main} axis ({', '.join(f'{v:.2f}' for v in axis)})"


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two poses [4, 4] of the hand are nearly the same."""
    return np.linalg.norm(turn_between(a, b)) < NEW_RAD and np.linalg.norm(a[:3, 3] - b[:3, 3]) < NEW_M


def turns_of(hands) -> Turns:
    """How much poses [4, 4] of a hand differ in their orientations."""
    pairs = [(a, b) for i, a in enumerate(hands) for b in hands[:i]]
    if not pairs:
        return Turns(np.zeros(3), np.eye(3), 0.0, 0.0, len(hands))
    turns = np.array([turn_between(a, b) for a, b in pairs])
    values, vectors = np.linalg.eigh(turns.T @ turns / len(turns))
    sizes = np.linalg.norm(turns, axis=1)
    axes = turns[sizes > np.deg2rad(10.0)]
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    across = np.abs(axes @ axes.T).min() if len(axes) else 1.0
    distinct: list[np.ndarray] = []
    for hand in hands:
        if not any(alike(hand, other) for other in distinct):
            distinct.append(hand)
    return Turns(
        rms_rad=np.sqrt(np.maximum(values[::-1], 0.0)),
        axes=vectors.T[::-1],
        most_rad=float(sizes.max()),
        between_rad=float(np.arccos(min(1.0, across))),
        distinct=len(distinct),
    )
