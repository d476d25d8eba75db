"""The 1 kHz Cartesian impedance law of the real arm's streaming controller (crisp_controllers' CartesianController).

    e = clip(filtered target ⊖ measured pose)      F = K e − D J dq      τ = Jᵀ F + N τ_null      |τ − τ_before| ≤ rate

then gravity and Coriolis torques are added, as the robot itself does on hardware. Everything is written into buffers
made once: this runs a million times in twenty minutes of simulated time.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from lpds_ros.sim.fr3 import checked_stiffness
from lpds_ros.sim.rotation import Quaternion, checked_target, difference, turn

ARM = 7


@dataclass(frozen=True)
class ImpedanceGains:
    """Defaults are crisp_controllers' own.

    stiffness N/m, Nm/rad; damping Ns/m, Nms/rad; error_clip m, rad per axis. filter_per_ms: share of the way to a new
    target covered each millisecond. torque_rate: Nm per millisecond. The null-space law pulls towards the posture.
    """

    translation_stiffness: float = 600.0
    rotation_stiffness: float = 30.0
    translation_damping: float = 60.0
    rotation_damping: float = 10.0
    translation_error_clip_m: float = 0.1
    rotation_error_clip_rad: float = 0.5
    filter_per_ms: float = 0.1
    torque_rate_nm_per_ms: float = 0.5
    null_stiffness: float = 5.0
    null_damping: float = 4.5
    null_torque_max_nm: float = 5.0


class ImpedanceLaw:
    """Computes the arm's seven motor torques from the kinematics MuJoCo has just evaluated (after mj_step1)."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, site: int, gains: ImpedanceGains = ImpedanceGains()):
        self.gains, self._model, self._data, self._site = gains, model, data, site
        # Views into MuJoCo's memory: looking an attribute up makes a new array each time.
        self._site_position, self._site_matrix = data.site_xpos[site], data.site_xmat[site]
        self._q, self._dq, self._velocity = data.qpos[:ARM], data.qvel[:ARM], data.qvel
        self._bias, self._control = data.qfrc_bias[:ARM], data.ctrl[:ARM]
        self._jacobian = np.zeros((6, model.nv))
        self._jacobian_position, self._jacobian_rotation = self._jacobian[:3], self._jacobian[3:]
        self._stiffness = np.repeat([gains.translation_stiffness, gains.rotation_stiffness], 3)
        self._damping = np.repeat([gains.translation_damping, gains.rotation_damping], 3)
        self._error, self._twist, self._force, self._six = np.zeros(6), np.zeros(6), np.zeros(6), np.zeros(6)
        self._torque, self._back, self._null = np.zeros(model.nv), np.zeros(model.nv), np.zeros(model.nv)
        self._arm_torque, self._arm_null, self._arm_back = self._torque[:ARM], self._null[:ARM], self._back[:ARM]
        self._step, self._seven, self._gram = np.zeros(ARM), np.zeros(ARM), np.zeros((6, 6))
        self._quaternion = np.zeros(4)
        self.posture = np.zeros(ARM)
        self.commanded = np.zeros(ARM)
        self._target = self._filtered = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))

    def measured(self) -> tuple[tuple[float, float, float], Quaternion]:
        """Position (m) and orientation (xyzw) of the tool centre point."""
        mujoco.mju_mat2Quat(self._quaternion, self._site_matrix)
        w, x, y, z = self._quaternion.tolist()
        return tuple(self._site_position.tolist()), (x, y, z, w)

    @property
    def filtered(self):
        """Position and orientation the law pulls towards at this moment."""
        return self._filtered

    def reset(self, posture=None):
        """Start from the measured pose with no torque of its own; `posture` [7] is where the null space rests."""
        self._target = self._filtered = self.measured()
        self.commanded[:] = 0.0
        if posture is not None:
            self.posture[:] = posture

    def engage(self):
        """Take over from another law: from the measured pose and posture, with the torque that is there."""
        self._target = self._filtered = self.measured()
        self.posture[:] = self._q

    def set_stiffness(self, stiffness):
        """Stiffness [6] N/m, Nm/rad along the base's axes; damping follows its root, so that the damping ratio stays.

        Raises ValueError out of the robot's own ranges.
        """
        stiffness = checked_stiffness(stiffness)
        self._stiffness[:] = stiffness
        g = self.gains
        usual = np.repeat([g.translation_stiffness, g.rotation_stiffness], 3)
        self._damping[:] = np.repeat([g.translation_damping, g.rotation_damping], 3) * np.sqrt(stiffness / usual)

    def set_target(self, position, orientation):
        """New goal of the filter: position [3] m, orientation [4] xyzw. Raises ValueError unless finite."""
        self._target = checked_target(position, orientation)

    def update(self):
        """One millisecond: advance the target filter, write the torques into the motors."""
        gains, mu = self.gains, mujoco
        (px, py, pz), orientation = self.measured()
        (tx, ty, tz), target_orientation = self._target
        (fx, fy, fz), filtered_orientation = self._filtered
        share = gains.filter_per_ms
        fx, fy, fz = fx + share * (tx - fx), fy + share * (ty - fy), fz + share * (tz - fz)
        if filtered_orientation != target_orientation:
            rx, ry, rz = difference(target_orientation, filtered_orientation)
            if abs(rx) + abs(ry) + abs(rz) < 1e-9:
                filtered_orientation = target_orientation
            else:
                filtered_orientation = turn(filtered_orientation, (share * rx, share * ry, share * rz))
        self._filtered = (fx, fy, fz), filtered_orientation
        rx, ry, rz = difference(filtered_orientation, orientation)
        reach, swing = gains.translation_error_clip_m, gains.rotation_error_clip_rad
        self._error[:] = (
            max(-reach, min(reach, fx - px)), max(-reach, min(reach, fy - py)), max(-reach, min(reach, fz - pz)),
            max(-swing, min(swing, rx)), max(-swing, min(swing, ry)), max(-swing, min(swing, rz)),
        )  # fmt: skip
        mu.mj_jacSite(self._model, self._data, self._jacobian_position, self._jacobian_rotation, self._site)
        jacobian = self._jacobian  # columns of fingers and object are zero
        np.dot(jacobian, self._velocity, out=self._twist)
        np.multiply(self._stiffness, self._error, out=self._force)
        np.multiply(self._damping, self._twist, out=self._six)
        np.subtract(self._force, self._six, out=self._force)
        np.dot(self._force, jacobian, out=self._torque)
        self._add_null_space(jacobian)
        step = self._step
        np.subtract(self._arm_torque, self.commanded, out=step)
        np.clip(step, -gains.torque_rate_nm_per_ms, gains.torque_rate_nm_per_ms, out=step)
        np.add(self.commanded, step, out=self.commanded)
        np.add(self.commanded, self._bias, out=self._control)

    def _add_null_space(self, jacobian):
        """τ += (I − J⁺ J) τ_null: a pull towards the posture that makes no force at the tool."""
        gains, null = self.gains, self._arm_null
        np.subtract(self.posture, self._q, out=null)
        np.multiply(null, gains.null_stiffness, out=null)
        np.multiply(self._dq, gains.null_damping, out=self._seven)
        np.subtract(null, self._seven, out=null)
        np.clip(null, -gains.null_torque_max_nm, gains.null_torque_max_nm, out=null)
        np.dot(jacobian, jacobian.T, out=self._gram)
        np.dot(jacobian, self._null, out=self._six)
        self._gram.flat[::7] += 1e-6  # keeps the factor positive at a singular arm
        mujoco.mju_cholFactor(self._gram, 0.0)
        mujoco.mju_cholSolve(self._six, self._gram, self._six)
        np.dot(self._six, jacobian, out=self._back)
        np.subtract(null, self._arm_back, out=null)
        np.add(self._arm_torque, null, out=self._arm_torque)
