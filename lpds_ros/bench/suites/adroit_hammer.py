"""The hammer's expert, scripted: palm down on the end of the handle, fist, head up to the nail, a swing of arm and wrist.

Every episode has an operator of its own pace, who reaches and lifts briskly or slowly; all strike with full strength, since a
slow push leaves the nail short of its goal. A dropped hammer is reached for again where it lies across the arm. Postures
were found by hand after a planned episode's (MPPI grips at the end, for the head's long way) and refined by the
cross-entropy method on seeds below 10 000.
"""

import mujoco
import numpy as np

from lpds_ros.bench.suites import adroit_operator
from lpds_ros.bench.suites.adroit_operator import SPRING, Traits

ARM_M, HEAD_M = 0.5, 0.55  # from the arm's joints to the fist, to the hammer's head: metres a radian
ARM_GAIN, ARM_STIFFNESS = 1.5, 200.0  # share of an error of the arm asked for at once; Nm/rad of its motors
TURN_RAD, BEND_RAD = 0.35, 0.5  # largest step asked of arm, of wrist; times the pace before the strike
LOST_M = 0.12  # hammer that far from the palm: begin anew
FIST_M = 0.08  # from the palm's origin along the hand: the point that is lowered
GRIP_HIGH_M, HIGH_TOLERANCE_M = 0.086, 0.012  # of that point over the table
ALIGNED_RAD, DRAWN_RAD, LEVEL_M = 0.03, 0.05, 0.02  # of yaw before fist and strike, of the head's height before the strike
CLOSED_RAD = 0.80  # mean bend of the fingers at which the hammer is lifted
UNDER_M = 0.011  # the head is held that far under the nail's middle
SLIPPED_M = 0.06  # head that far over or under the nail: draw back

# yaw of the arm, deviation and flexion of the wrist (rad)
GRIP = np.array([-0.118, 0.191, -0.105])
DRAWN = np.array([-0.198, 0.194, -0.179])
STRUCK = np.array([-0.361, -0.57, -0.127])
# first joint of the fingers, the two behind it; of the thumb roll, base, middle and tip (rad)
OPEN = np.array([0.048, 0.31, 0.527, -0.026, -0.002, -0.21])
FIST = np.array([1.704, 1.45, 0.717, 1.164, 0.059, -1.012])
FINGERS = (5, 9, 13, 18)  # actuators, and joints, of the fore, middle, ring and little finger's first bend


class Operator(adroit_operator.Operator):
    """One episode's operator."""

    def __init__(self, inner, traits: Traits, rng: np.random.Generator):
        super().__init__(inner, traits, rng)
        self._grasp, self._head, self._nail = (self._model.site(name).id for name in ("S_grasp", "tool", "S_target"))
        self._hammer, self._palm = (self._model.body(name).id for name in ("Object", "palm"))

    def _decide(self, data) -> tuple[float, np.ndarray, np.ndarray]:
        """(pitch the arm is short of in rad, down positive; posture of yaw and wrist; posture of the fingers)."""
        sites, hammer, yaw = data.site_xpos, data.xpos[self._hammer], data.qpos[1]
        high = data.xpos[self._palm][2] + FIST_M * data.xmat[self._palm][8] - GRIP_HIGH_M
        over = sites[self._head][2] - sites[self._nail][2] + UNDER_M
        grip = GRIP - [hammer[0] / ARM_M, 0.0, 0.0]
        if np.linalg.norm(sites[self._grasp] - hammer) > LOST_M:
            self.phase = "reach"
        if self.phase == "reach" and abs(high) < HIGH_TOLERANCE_M and abs(yaw - grip[0]) < ALIGNED_RAD:
            self.phase = "close"
        if self.phase == "close" and np.mean([data.qpos[[first, first + 1]] for first in FINGERS]) > CLOSED_RAD:
            self.phase = "lift"
        if self.phase == "lift" and abs(over) < LEVEL_M and abs(yaw - DRAWN[0]) < DRAWN_RAD:
            self.phase = "strike"
        if self.phase == "strike" and abs(over) > SLIPPED_M:
            self.phase = "lift"
        if self.phase in ("reach", "close"):
            return high / ARM_M, grip, OPEN if self.phase == "reach" else FIST
        return over / HEAD_M, DRAWN if self.phase == "lift" else STRUCK, FIST

    def _control(self, data: mujoco.MjData) -> np.ndarray:
        pitch, (yaw, *wrist), (knuckle, curl, *thumb) = self._decide(data)
        joints, pace = data.qpos, 1.0 if self.phase == "strike" else self.pace
        turn, bend = pace * TURN_RAD, pace * BEND_RAD
        control = np.zeros(26)
        step = np.clip(ARM_GAIN * np.array([pitch, yaw - joints[1]]), -turn, turn)
        control[:2] = (joints[:2] + step + data.qfrc_bias[:2] / ARM_STIFFNESS) / SPRING
        control[2:4] = joints[2:4] + np.clip(wrist - joints[2:4], -bend, bend)
        for first in FINGERS:
            control[first : first + 3] = knuckle, curl, curl
        control[[16, 21, 22, 24, 25]] = 0.1, *thumb  # the little finger's metacarpal, and the thumb
        return control
