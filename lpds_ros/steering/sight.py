"""What the core sees: which observations can be used, and the last of them."""

from collections import deque

import numpy as np

from lpds_ros.contract import Horizons
from lpds_ros.records import Observation


class Sight:
    """The last T_o + d usable observations: the stack of the last T_o, and that of d ticks ago."""

    def __init__(self, horizons: Horizons):
        self._observed = horizons.observed
        self._stack: deque[np.ndarray] = deque(maxlen=horizons.observed + horizons.delay)
        self._last_ns = 0

    def problem(self, observation: Observation, moving: bool) -> str:
        """Why the observation cannot be used, or "". moving: a target is commanded, so that a stamp may not repeat."""
        late = observation.stamp_ns <= self._last_ns and moving
        self._last_ns = observation.stamp_ns  # also backwards: after a jump of the clock the new time is the time
        if late:
            return f"the observation's stamp {observation.stamp_ns / 1e9:.3f} s is not later than the last one's"
        if not observation.valid:
            return observation.reason or "the observation is invalid"
        for name in ("data", "position", "orientation"):
            if not np.isfinite(getattr(observation, name)).all():
                return f"the observation's {name} is not finite"
        if abs(float(observation.orientation @ observation.orientation) - 1.0) > 1e-3:
            return "the observation's orientation is no unit quaternion"
        return ""

    def see(self, observation: Observation):
        """Keep it; where nothing is kept, as often as there is room."""
        self._stack.append(observation.data)
        while len(self._stack) < self._stack.maxlen:
            self._stack.append(observation.data)

    @property
    def state(self) -> np.ndarray:
        """The last T_o, float32 [T_o*d_o]."""
        return np.concatenate([*self._stack][-self._observed :], dtype=np.float32)

    @property
    def state_before(self) -> np.ndarray:
        """That of d ticks ago: what a chunk that starts now would have been decoded from."""
        return np.concatenate([*self._stack][: self._observed], dtype=np.float32)

    def clear(self):
        """Forget all."""
        self._stack.clear()
