"""A control period of robosuite, some three times faster: the same controller, compiled, without its bookkeeping.

Import it only where robosuite is installed. The first of the period's 25 physics steps is robosuite's own and sets the
controllers' goals; the others compute OSC_POSE torques (Khatib 1987) as robosuite does, to rounding. Observations and
reward are robosuite's.
"""

import mujoco
import numpy as np
from numba import njit


@njit(cache=True)
def osc_torques(jacobian, mass, position_error, wanted, found, velocity, kp, kd, q, dq, q_rest, bias):
    """Joint torques [7], Nm. jacobian [6, 7]; mass [7, 7]; position_error [3] m; wanted, found: orientations [3, 3];
    velocity [6] of the hand; kp, kd [6]; q, dq, q_rest [7] rad; bias [7] Nm of gravity and Coriolis forces.
    """
    turn = np.zeros(3)
    for column in range(3):
        turn += 0.5 * np.cross(found[:, column].copy(), wanted[:, column].copy())
    force = kp[:3] * position_error - kd[:3] * velocity[:3]
    torque = kp[3:] * turn - kd[3:] * velocity[3:]
    inverse = np.linalg.inv(mass)
    weighted = inverse @ jacobian.T
    mobility = jacobian @ weighted
    wrench = np.empty(6)
    wrench[:3] = np.linalg.solve(mobility[:3, :3].copy(), force)
    wrench[3:] = np.linalg.solve(mobility[3:, 3:].copy(), torque)
    posture = mass @ (10.0 * (q_rest - q) - 2.0 * np.sqrt(10.0) * dq)
    # Nᵀ τ with N = I − M⁻¹Jᵀ(J M⁻¹ Jᵀ)⁻¹ J
    free = posture - jacobian.T @ np.linalg.solve(mobility, weighted.T @ posture)
    return jacobian.T @ wrench + bias + free


class _Arm:
    """One arm's controller, read once from robosuite's."""

    def __init__(self, robot, model):
        self.controller = robot.part_controllers["right"]
        self.site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, self.controller.ref_name)
        self.qpos, self.qvel = np.array(self.controller.qpos_index), np.array(self.controller.qvel_index)
        self.actuators = np.array(robot._ref_actuators_indexes_dict["right"])
        self.low, self.high = model.actuator_ctrlrange[self.actuators].T
        self.kp, self.kd = (np.broadcast_to(np.array(gain, float), 6).copy() for gain in (self.controller.kp, self.controller.kd))


class Period:
    """Runs control periods of a robosuite environment of Panda arms under OSC_POSE with deltas in the base's frame."""

    def __init__(self, env):
        self._env = env
        self._model, self._data = env.sim.model._model, env.sim.data._data
        self._substeps = int(env.control_timestep / env.model_timestep)
        self._arms = [_Arm(robot, self._model) for robot in env.robots]
        self._jacobian, self._mass = np.zeros((6, self._model.nv)), np.zeros((self._model.nv, self._model.nv))

    def run(self, action: np.ndarray):
        """Advance by one control period; robosuite's observables are not updated. action float64 [7 an arm]."""
        env, model, data = self._env, self._model, self._data
        mujoco.mj_step1(model, data)
        env._pre_action(action, policy_step=True)
        mujoco.mj_step2(model, data)
        goals = [self._goal(arm.controller) for arm in self._arms]
        for _ in range(self._substeps - 1):
            mujoco.mj_step1(model, data)
            mujoco.mj_fullM(model, self._mass, data.qM)
            for arm, (position, orientation) in zip(self._arms, goals):
                data.ctrl[arm.actuators] = self._torques(arm, position, orientation)
            mujoco.mj_step2(model, data)

    @staticmethod
    def _goal(controller) -> tuple[np.ndarray, np.ndarray]:
        """The goal in the world: position [3], orientation [3, 3]; set in the base's frame, which does not move."""
        origin = controller.origin_ori
        return controller.origin_pos + origin @ controller.goal_pos, origin @ controller.goal_ori

    def _torques(self, arm: _Arm, position: np.ndarray, orientation: np.ndarray) -> np.ndarray:
        model, data = self._model, self._data
        mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], arm.site)
        jacobian, dq = self._jacobian[:, arm.qvel], data.qvel[arm.qvel]
        torques = osc_torques(
            np.ascontiguousarray(jacobian),
            np.ascontiguousarray(self._mass[np.ix_(arm.qvel, arm.qvel)]),
            position - data.site_xpos[arm.site],
            orientation,
            data.site_xmat[arm.site].reshape(3, 3),
            jacobian @ dq,
            arm.kp,
            arm.kd,
            data.qpos[arm.qpos],
            dq,
            arm.controller.initial_joint,
            data.qfrc_bias[arm.qvel],
        )
        return np.clip(torques, arm.low, arm.high)
