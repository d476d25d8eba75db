"""The joint-space impedance law behind trajectories and joint positions, at 1 kHz.

    τ = K (q_r − q) + D (dq_r − dq)      |τ| ≤ τ_max      |τ − τ_before| ≤ rate

then gravity and Coriolis torques are added, as for the Cartesian law.
"""

from dataclasses import dataclass, replace

import numpy as np

from lpds_ros.sim.fr3 import TORQUE_MAX_NM

ARM, TORQUE_MAX = 7, np.array(TORQUE_MAX_NM)
STIFFNESS_MAX_NM_PER_RAD = 14250.0  # libfranka, setJointImpedance


@dataclass(frozen=True)
class JointGains:
    """stiffness Nm/rad and damping Nm s/rad of the seven joints; torque_rate: Nm per millisecond."""

    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    torque_rate_nm_per_ms: float

    def with_stiffness(self, stiffness) -> "JointGains":
        """Another stiffness [7], damping after its root, so that the damping ratio stays. Raises ValueError out of range."""
        stiffness = np.array(stiffness, np.float64)
        if stiffness.shape != (ARM,) or not ((stiffness >= 0.0) & (stiffness <= STIFFNESS_MAX_NM_PER_RAD)).all():
            raise ValueError(f"joint stiffness: seven numbers from 0 to {STIFFNESS_MAX_NM_PER_RAD:g} Nm/rad are needed")
        damping = np.array(self.damping) * np.sqrt(stiffness / np.array(self.stiffness))
        return replace(self, stiffness=tuple(stiffness.tolist()), damping=tuple(damping.tolist()))


# fr3_arm_controller of franka_fr3_moveit_config, on the effort interface, behind franka_hardware's torque rate limiter.
EFFORT_CONTROLLER = JointGains((600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0), (30.0,) * 4 + (10.0, 10.0, 5.0), 1.0)
# A joint impedance controller that follows a person's or a policy's stream: gains of gello_software's, torque rate of
# crisp_controllers'.
IMPEDANCE_CONTROLLER = JointGains((240.0, 240.0, 240.0, 240.0, 100.0, 60.0, 20.0), (20.0,) * 3 + (10.0,) * 3 + (5.0,), 0.5)
# The robot's own joint impedance, behind the position interface: stiffness as in libfranka's examples, damping of ours.
INTERNAL_CONTROLLER = JointGains(
    (3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0), (67.0, 67.0, 67.0, 61.0, 32.0, 32.0, 32.0), 5.0
)


class JointLaw:
    """Pulls the joints to `position`, `velocity` ([7], set by who leads). `commanded` [7] Nm is shared with the other law."""

    def __init__(self, data, commanded: np.ndarray):
        self.commanded = commanded
        self._q, self._dq = data.qpos[:ARM], data.qvel[:ARM]
        self._bias, self._control = data.qfrc_bias[:ARM], data.ctrl[:ARM]
        self.position, self.velocity = np.zeros(ARM), np.zeros(ARM)
        self._torque, self._seven = np.zeros(ARM), np.zeros(ARM)
        self.use(EFFORT_CONTROLLER)

    def use(self, gains: JointGains):
        """Go on with these gains."""
        self._stiffness, self._damping = np.array(gains.stiffness), np.array(gains.damping)
        self._rate = gains.torque_rate_nm_per_ms

    def hold(self):
        """Stay at the measured position."""
        self.position[:], self.velocity[:] = self._q, 0.0

    def update(self):
        """One millisecond: write the torques into the motors."""
        torque, seven, rate = self._torque, self._seven, self._rate
        np.subtract(self.position, self._q, out=torque)
        np.multiply(torque, self._stiffness, out=torque)
        np.subtract(self.velocity, self._dq, out=seven)
        np.multiply(seven, self._damping, out=seven)
        np.add(torque, seven, out=torque)
        np.clip(torque, -TORQUE_MAX, TORQUE_MAX, out=torque)  # else a far reference would wind the rate limit up
        np.subtract(torque, self.commanded, out=torque)
        np.clip(torque, -rate, rate, out=torque)
        np.add(self.commanded, torque, out=self.commanded)
        np.add(self.commanded, self._bias, out=self._control)
