"""The Franka Hand in MuJoCo: two coupled fingers behind one width servo, with the goals of hand_goals.py."""

import mujoco

from lpds_ros.sim.fr3 import FINGER_JOINTS
from lpds_ros.sim.hand_goals import STIFFNESS_N_PER_M, HandGoals

DAMPING_NS_PER_M = 40.0


class Hand(HandGoals):
    """Two coupled fingers behind one width servo with a speed and a force limit; `update` runs once a millisecond."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData):
        joints = [model.joint(name) for name in FINGER_JOINTS]
        first = int(joints[0].qposadr[0])
        speed = int(joints[0].dofadr[0])
        motor = model.actuator(FINGER_JOINTS[0]).id
        self._q, self._dq = data.qpos[first : first + 2], data.qvel[speed : speed + 2]
        self._force = data.ctrl[motor : motor + 2]
        super().__init__()

    @property
    def width_m(self) -> float:
        """Distance between the fingers."""
        left, right = self._q.tolist()
        return left + right

    def update(self):
        """One millisecond: advance the reference, write the fingers' forces, judge the goal."""
        reference = self.advance()
        left, right = self._q.tolist()
        left_speed, right_speed = self._dq.tolist()
        width, speed = left + right, left_speed + right_speed
        force = 0.5 * (STIFFNESS_N_PER_M * (reference - width) - DAMPING_NS_PER_M * speed)
        force = max(-self._limit, min(self._limit, force))
        self._force[:] = force
        self.judge(width, speed)
