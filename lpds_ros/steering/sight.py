"""What the core sees: which observations can be used, and the last of them."""

import math
from collections import deque

import numpy as np

from lpds_ros.contract import Horizons
from lpds_ros.perception.robot import IDLE
from lpds_ros.records import Observation
from lpds_ros.steering.params import SteeringParams

UNIT = 1e-6  # from length 1 an orientation may be; perception normalises
FROZEN_TICKS = 3  # with joints that move and a pose without a changed bit: measured ones have noise


class Sight:
    """The last T_o + d usable observations: the stack of the last T_o, and that of d ticks ago."""

    def __init__(self, horizons: Horizons, params: SteeringParams):
        self._reach_m, self._least = params.reach_m, (params.anchor_m, params.anchor_rad)
        self._fastest, self._pose = params.limits.cartesian, None
        self._observed = horizons.observed
        self._stack: deque[np.ndarray] = deque(maxlen=horizons.observed + horizons.delay)
        self._last_ns = self._frozen = 0
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def problem(self, observation: Observation, moving: bool) -> str:
        """Why the observation cannot be used, or "". moving: a target is commanded, so that a stamp may not repeat."""
        passed_s = (observation.stamp_ns - self._last_ns) / 1e9
        self._last_ns = observation.stamp_ns  # also backwards: after a jump of the clock the new time is the time
        if passed_s <= 0 and moving:
            return f"the observation's stamp {observation.stamp_ns / 1e9:.3f} s is not later than the last one's"
        if not observation.valid:
            return observation.reason or "the observation is invalid"
        for name in ("data", "position", "orientation", "joints"):
            if not np.isfinite(getattr(observation, name)).all():
                return f"the observation's {name} is not finite"
        if abs(float(observation.orientation @ observation.orientation) - 1.0) > UNIT:
            return "the observation's orientation is no unit quaternion"
        if moving and observation.robot_mode == IDLE:
            return "no controller drives the arm (the robot is IDLE): activate it"
        if np.abs(observation.position).max() > self._reach_m:
            return f"the measured tool is at {np.round(observation.position, 3).tolist()} m, where no arm reaches"
        if self._frozen_by(observation) >= FROZEN_TICKS:
            return f"the measured pose is frozen: not a bit of it has changed in {self._frozen} ticks, and the joints move"
        before, self._pose = self._pose, (observation.position, observation.orientation)
        return self._jumped(before, passed_s) if moving and before else ""

    def _frozen_by(self, observation: Observation) -> int:
        """Ticks in a row, with this one, in which the joints have changed and the pose has not."""
        before, self._last = self._last, (observation.position, observation.joints)
        same = [np.array_equal(a, b) for a, b in zip(before, self._last)] if before is not None else [False, False]
        self._frozen = self._frozen + 1 if same == [True, False] else 0
        return self._frozen

    def _jumped(self, before, passed_s: float) -> str:
        """Why the pose now cannot have come of the one `before`, or "": a target far from it would start again from a glitch."""
        position, orientation = self._pose
        way_m = float(np.abs(position - before[0]).max())
        angle_rad = 2.0 * math.acos(min(1.0, abs(float(orientation @ before[1]))))
        if way_m > max(self._least[0], self._fastest.speed_max_mps * passed_s):
            return f"the measured pose jumped by {way_m:.3f} m in {passed_s:.3f} s"
        if angle_rad > max(self._least[1], self._fastest.turn_max_radps * passed_s):
            return f"the measured pose jumped by {angle_rad:.2f} rad in {passed_s:.3f} s"
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
