"""The arm of a MuJoCo model as its controllers see it: joints, brakes, and the weight of what it was told it carries."""

import mujoco
import numpy as np

from lpds_ros.sim.fr3 import FLANGE_M
from lpds_ros.sim.joint_law import ARM

BRAKE = 300.0  # Nm s/rad in every joint: from 0.25 m/s to rest in 25 ms


class Plant:
    """q [7] rad and dq [7] rad/s are views into MuJoCo's memory."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData):
        self._model, self._data = model, data
        self.q, self.dq = data.qpos[:ARM], data.qvel[:ARM]
        self._flange, self._jacobian = model.body("fr3_link7").id, np.zeros((3, model.nv))
        self._friction = model.dof_damping[:ARM].copy()

    def close_brakes(self):
        """The joints' own friction stops them."""
        self._model.dof_damping[:ARM] = BRAKE

    def release_brakes(self):
        """Back to the bearings' friction."""
        self._model.dof_damping[:ARM] = self._friction

    def carry(self, mass_kg: float, centre_m: tuple[float, ...]):
        """Hold the weight of a load: kg, centre of mass [3] m in the flange's frame."""
        x, y, z = centre_m
        turned = self._data.xmat[self._flange].reshape(3, 3) @ (x, y, z + FLANGE_M)
        point = self._data.xpos[self._flange] + turned
        mujoco.mj_jac(self._model, self._data, self._jacobian, None, point, self._flange)
        self._data.ctrl[:ARM] -= mass_kg * (self._jacobian[:, :ARM].T @ self._model.opt.gravity)
