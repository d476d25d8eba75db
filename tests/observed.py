"""Rows of observations for tests, laid out by the contract: a test names positions, never indices or widths."""

import numpy as np

from lpds_ros.contract import Contract

UPRIGHT = (0.0, 0.0, 0.0, 1.0)


def observation_row(contract: Contract, hand, thing, *, width_m=0.08, orientation=UPRIGHT) -> np.ndarray:
    """float64[d_o]: hand and thing [3] m in the base frame, orientation [4] xyzw of the thing; of pictures zeros."""
    seen = {
        ("pose", "position"): np.asarray(hand, np.float64),
        ("gripper", "position"): np.array([width_m / 2, width_m / 2]),
        ("object", "position"): np.asarray(thing, np.float64),
        ("object", "orientation"): np.asarray(orientation, np.float64),
    }
    row = []
    for feature in contract.observation:
        if feature.field == "image":
            row.append(np.zeros(feature.size))
            continue
        values = seen[feature.stream, feature.field]
        if feature.relative_to:
            values = values - seen[feature.relative_to, feature.field]
        row.append([values.sum()] if feature.reduce == "sum" else values)
    return np.concatenate(row)
