"""The safety filter: what is sent, whatever was asked for. Finite, not too fast, inside the workspace, and not for long
what had to be cut.
"""

import math
from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.geometry import angle_between, from_rotation_vector, multiply, unit_near
from lpds_ros.steering.params import SteeringParams


class UnsafeActionError(ValueError):
    """An action row that cannot be executed in any form; the text names the value."""


@dataclass(frozen=True)
class Step:
    """Next commanded pose, and the row that leads there (`sent`, float32 [d_a], as asked where nothing was cut).

    move [3] m and turn [3] rad lead there from where the step began. excess: the speed asked for, in that allowed.
    """

    position: np.ndarray
    orientation: np.ndarray
    move: np.ndarray
    turn: np.ndarray
    sent: np.ndarray
    cut: bool
    excess: float


NO_TURN = np.zeros(3)
NO_TURN.setflags(write=False)


class SafetyFilter:
    """Limits steps to max_speed_mps and max_turn_radps, and the commanded point to the contract's workspace.

    A commanded point that is already outside the workspace moves back towards it, no faster than the limit.
    """

    def __init__(self, contract: Contract, params: SteeringParams):
        action = contract.action
        self._scale_m, self._scale_rad = action.translation_scale_m, action.rotation_scale_rad
        self._turns, self._grips = action.rotation != "none", action.gripper != "none"
        # A relative slack of rounding size: an action of exactly full speed is not cut.
        self._max_step_m = params.max_speed_mps * contract.period_s * (1.0 + 1e-9)
        self._max_turn_rad = params.max_turn_radps * contract.period_s * (1.0 + 1e-9)
        self._low, self._high = np.array(contract.workspace.min_m), np.array(contract.workspace.max_m)
        self._anchor_m, self._anchor_rad = params.anchor_m, params.anchor_rad

    def far(self, position: np.ndarray, measured: np.ndarray) -> bool:
        """Whether the commanded point is farther than anchor_m from the measured one."""
        offset = position - measured
        return not float(offset @ offset) <= self._anchor_m**2

    def turned(self, orientation: np.ndarray, measured: np.ndarray) -> bool:
        """The same for orientations and anchor_rad; never without a rotation in the action."""
        return self._turns and not angle_between(orientation, measured) <= self._anchor_rad

    def step(self, position: np.ndarray, orientation: np.ndarray, row: np.ndarray) -> Step:
        """Integrate one action row [d_a] on the commanded pose. Raises UnsafeActionError when the row is not finite."""
        if not np.isfinite(row).all():
            index = int(np.argmin(np.isfinite(row)))
            raise UnsafeActionError(f"action[{index}] is {row[index]}")
        values = row.astype(np.float64)
        moved, turn = self._scale_m * values[:3], NO_TURN
        wanted, excess = _shorten(moved, self._max_step_m)
        end = position + wanted
        inside = np.minimum(np.maximum(end, self._low), self._high)
        cut = wanted is not moved
        if (inside != end).any():
            wanted, _ = _shorten(inside - position, self._max_step_m)
            end, cut = position + wanted, True
        sent = row.copy()
        if cut:
            sent[:3] = wanted / self._scale_m
        if self._turns:
            asked = self._scale_rad * values[3:6]
            turn, excess_turn = _shorten(asked, self._max_turn_rad)
            if turn is not asked:
                cut = True
                sent[3:6] = turn / self._scale_rad
            excess = max(excess, excess_turn)
            orientation = unit_near(multiply(from_rotation_vector(turn), orientation), orientation)
        if self._grips and abs(values[-1]) > 1.0:
            sent[-1] = math.copysign(1.0, values[-1])
        return Step(end, orientation, wanted, turn, sent, cut, excess)


class Cuts:
    """Counts what the filter cut (`total`). Cutting is a policy's ordinary life at the edge of the workspace; a policy that
    does nothing else, or asks for many times the allowed speed, is not one to be obeyed. streaks: steps in a row that were
    cut, and that were wild.
    """

    def __init__(self, params: SteeringParams):
        self._cut_ticks, self._wild_ticks, self._wild_ratio = params.cut_ticks, params.wild_ticks, params.wild_ratio
        self.total = 0
        self.reset()

    def reset(self):
        """A new start. The total stays."""
        self.streaks = 0, 0

    def refusal(self, step: Step) -> str:
        """Count this step; why the arm must not be sent on, or ""."""
        self.total += step.cut
        cut, wild = self.streaks
        self.streaks = cut, wild = (cut + 1) * step.cut, (wild + 1) * (step.excess > self._wild_ratio)
        if wild >= self._wild_ticks:
            return f"{wild} actions in a row ask for {step.excess:.3g} times the speed allowed"
        if cut >= self._cut_ticks:
            return f"{cut} actions in a row had to be cut: too fast, or out of the workspace"
        return ""


def _shorten(vector: np.ndarray, limit: float) -> tuple[np.ndarray, float]:
    """The vector itself, or in its direction as long as the limit; and its length in limits."""
    largest = float(np.abs(vector).max())
    if largest == 0.0:
        return vector, 0.0
    length = largest * math.sqrt(float(np.square(vector / largest).sum()))  # scaled: no overflow, no lost denormals
    return (vector if length <= limit else vector * (limit / length)), length / limit
