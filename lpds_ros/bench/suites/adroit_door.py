"""The door's expert, scripted: palm over the handle, handle down, door open, by the Jacobian of the palm.

Every episode has an operator of its own pace, who reaches and presses briskly or slowly. Postures were found by hand and
refined by the cross-entropy method on seeds below 10 000.
"""

import mujoco
import numpy as np

from lpds_ros.bench.suites import adroit_operator
from lpds_ros.bench.suites.adroit_operator import SPRING, Traits

DAMPING = 1e-3  # of the least squares behind a motion of the palm, m²
LOST_M = 0.2  # palm that far from the handle: begin anew
ABOVE_M, ABOVE_TOLERANCE_M = np.array([-0.061, 0.001, 0.106]), 0.052  # from the handle, before the press
PRESS_M, PULL_M = np.array([-0.012, -0.008, 0.007]), np.array([-0.016, -0.043, -0.013])  # palm from handle
PRESS_LEAD_M, PULL_LEAD_M, KEEP_M = 0.204, 1.03, 0.089  # how far along the handle's path the palm aims; latch kept down
PRESSED_RAD = 1.417  # of the latch
BACK_RAD, BACK_OVER_RAD = 0.3, 0.59  # angle of the door from which, and over which, the hand turns to its last posture
REACH_M, PULL_REACH_M = 0.6, 1.5  # longest aim, from the palm; the former, and what follows, times the pace
TURN_RAD, BEND_RAD = 0.6, 0.5  # largest step asked of the forearm's roll, of the wrist
STRETCHED_RAD = -0.7  # the arm's yaw near its stop

# forearm's roll, wrist's flexion and deviation (rad), curl of the fingers (share of 1.6 rad)
OVER = np.array([0.377, -0.166, 0.176, 0.258])
GRIPPED = np.array([2.073, -0.429, 0.176, 0.921])
OPENED = np.array([2.148, -0.79, -0.46, 0.866])


class Operator(adroit_operator.Operator):
    """One episode's operator."""

    def __init__(self, inner, traits: Traits, rng: np.random.Generator):
        super().__init__(inner, traits, rng)
        self._palm, self._handle = (self._model.site(name).id for name in ("S_grasp", "S_handle"))
        self._latch, self._hinge = (self._model.joint(name) for name in ("latch", "door_hinge"))
        self._jacobian = np.zeros((3, self._model.nv))

    def _decide(self, data) -> tuple[np.ndarray, np.ndarray]:
        """(motion of the palm in m, posture of forearm, wrist and fingers) of the present phase."""
        palm, handle = data.site_xpos[self._palm], data.site_xpos[self._handle]
        latch, door = data.qpos[self._latch.qposadr[0]], data.qpos[self._hinge.qposadr[0]]
        reach = REACH_M * self.pace
        if np.linalg.norm(handle - palm) > LOST_M:
            self.phase = "reach"
        if self.phase == "reach":
            aim, posture = handle + ABOVE_M, OVER
            if np.linalg.norm(aim - palm) < ABOVE_TOLERANCE_M:
                self.phase = "press"
        if self.phase == "press":
            aim = handle + PRESS_M + self.pace * PRESS_LEAD_M * self._tangent(data, self._latch)
            posture = _between(OVER, GRIPPED, latch / PRESSED_RAD)
            if latch > PRESSED_RAD:
                self.phase = "pull"
        if self.phase == "pull":
            turned = (door - BACK_RAD) / BACK_OVER_RAD
            aim = handle + PULL_M + PULL_LEAD_M * self._tangent(data, self._hinge)
            aim += (1.0 - np.clip(turned, 0.0, 1.0)) * KEEP_M * self._tangent(data, self._latch)
            posture, reach = _between(GRIPPED, OPENED, turned), PULL_REACH_M
        motion = aim - palm
        return motion * min(1.0, reach / max(float(np.linalg.norm(motion)), 1e-9)), posture

    def _control(self, data: mujoco.MjData) -> np.ndarray:
        motion, posture = self._decide(data)
        mujoco.mj_jacSite(self._model, data, self._jacobian, None, self._palm)
        jacobian, joints = self._jacobian[:, :3].copy(), data.qpos[:6]
        if joints[2] < STRETCHED_RAD and motion[0] > 0.0:
            jacobian[:, 2] = 0.0  # the yaw is at its stop: the other two joints share the motion
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING * np.eye(3), motion)
        roll, flexion, deviation, curl = posture
        turn, bend = self.pace * TURN_RAD, self.pace * BEND_RAD
        control = np.zeros(28)
        control[:3] = (joints[:3] + step) / SPRING
        control[3] = (joints[3] + np.clip(roll - joints[3], -turn, turn)) / SPRING
        control[4:6] = deviation, joints[5] + np.clip(flexion - joints[5], -bend, bend)
        for first in (7, 11, 15, 20):  # fore, middle, ring and little finger
            control[first : first + 3] = 1.6 * curl
        control[[18, 23, 24, 27]] = 0.1, 0.5, 0.32, -0.25  # little finger's metacarpal, thumb
        return control

    def _tangent(self, data, joint) -> np.ndarray:
        """The way the handle goes when `joint` turns, a unit vector [3]."""
        way = np.cross(data.xaxis[joint.id], data.site_xpos[self._handle] - data.xanchor[joint.id])
        return way / np.linalg.norm(way)


def _between(first: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    return first + np.clip(share, 0.0, 1.0) * (last - first)
