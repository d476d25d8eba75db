"""The simulated robot cell: what the sim node wraps and what learning without ROS runs on.

    world = World("lift", control_period_ns=50_000_000)
    world.reset(seed=3)
    world.set_target(position, orientation); world.advance(50); state = world.state()
"""

import mujoco
import numpy as np

from lpds_ros.sim import fr3
from lpds_ros.sim.control import ArmControl, Mode
from lpds_ros.sim.controllers import Controllers
from lpds_ros.sim.hand import Hand
from lpds_ros.sim.impedance import ImpedanceGains, ImpedanceLaw
from lpds_ros.sim.joint_law import ARM, JointLaw
from lpds_ros.sim.managed import ManagedArm
from lpds_ros.sim.plant import Plant
from lpds_ros.sim.prints import Print
from lpds_ros.sim.scene import OBJECT_BODY, OBJECT_GEOM, OBJECT_JOINT, build_model
from lpds_ros.sim.state import (
    HAND_DOWN,
    MODE_MOVE,
    SimulationError,
    WorldState,
)
from lpds_ros.sim.tasks import ObjectState, Task, load_scene, load_task


class World(ManagedArm):
    """A task's cell under the 1 kHz impedance law. Deterministic: the same calls after `reset(seed)` give equal bits.

    Simulated time starts at one second and never goes back: `reset` moves it on by one control period.
    controllers: whose commands are obeyed; without them, everybody's. prints: what is to be seen on things, besides their
    colour. Raises TaskError for an unknown task or region.
    """

    def __init__(
        self,
        task: str | Task,
        *,
        control_period_ns: int,
        gains: ImpedanceGains | None = None,
        prints: tuple[Print, ...] = (),
        controllers: Controllers | None = None,
    ):
        super().__init__(control_period_ns, controllers)
        self.task = load_task(task) if isinstance(task, str) else task
        self.model = build_model(load_scene(), self.task, prints)
        self.data = mujoco.MjData(self.model)
        self._site = self.model.site(fr3.TCP_SITE).id
        law = ImpedanceLaw(self.model, self.data, self._site, gains or ImpedanceGains())
        self.control = ArmControl(law, JointLaw(self.data, law.commanded), Plant(self.model, self.data))
        self.hand = Hand(self.model, self.data)
        self._object = self.model.body(OBJECT_BODY).id
        self._object_geom = self.model.geom(OBJECT_GEOM).id
        self._fingers = tuple(self.model.geom(name).id for name in fr3.FINGER_GEOMS)
        self._object_q = int(self.model.joint(OBJECT_JOINT).qposadr[0])
        self._object_v = int(self.model.joint(OBJECT_JOINT).dofadr[0])
        self._collision_limits: np.ndarray | None = None
        self._posture = self._solve_arm(np.array(self.task.start.position_m), np.array(fr3.Q_READY_RAD))
        self.reset(0)

    # -- time ---------------------------------------------------------------------------------------------------

    def _run(self, ms):
        model, data, control, hand = self.model, self.data, self.control.update, self.hand.update
        before, after = mujoco.mj_step1, mujoco.mj_step2
        for _ in range(ms):
            control()
            hand()
            after(model, data)
            before(model, data)  # so that kinematics and bias belong to the state everyone sees next
            if self._collision_limits is not None and (np.abs(self._wrench()) > self._collision_limits).any():
                self.reflex()

    # -- start --------------------------------------------------------------------------------------------------

    def reset(self, seed: int, region: str = "full"):
        """Start an episode: arm and object where the seed puts them, hand open, target at the measured pose."""
        tool, centre, yaw = self.task.sample(seed, region)
        mujoco.mj_resetData(self.model, self.data)
        fingers = [fr3.MAX_WIDTH_M / 2] * 2
        self.data.qpos[: ARM + 2] = [*self._solve_arm(tool, self._posture), *fingers]
        start = self._object_q
        self.data.qpos[start : start + 7] = [*centre, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        mujoco.mj_step1(self.model, self.data)
        self.control.stop("the task was reset", self._posture)
        self.hand.reset()
        self.begin()
        self._succeeded = False

    def _solve_arm(self, position, start) -> np.ndarray:
        """Joint angles with the hand pointing down at `position` (damped least squares from `start`)."""
        model, data = self.model, mujoco.MjData(self.model)
        data.qpos[:ARM] = start
        jacobian = np.zeros((6, model.nv))
        measured, error = np.zeros(4), np.zeros(6)
        for _ in range(200):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mju_mat2Quat(measured, data.site_xmat[self._site])
            error[:3] = position - data.site_xpos[self._site]
            error[3:] = _rotation_error(measured)
            if np.abs(error).max() < 1e-9:
                return data.qpos[:ARM].copy()
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
            j = jacobian[:, :ARM]
            data.qpos[:ARM] += j.T @ np.linalg.solve(j @ j.T + 1e-6 * np.eye(6), error)
            data.qpos[:ARM] = np.clip(data.qpos[:ARM], fr3.Q_MIN_RAD, fr3.Q_MAX_RAD)
        raise SimulationError(f"task {self.task.name}: the arm cannot reach {np.round(position, 3)} hand down")

    # -- commands -----------------------------------------------------------------------------------------------

    def set_posture(self, q):
        """Joint angles [7] where the null space rests (target_joint). Raises ValueError unless seven finite numbers.

        Like every command of the Cartesian law but the pose target, it changes nothing while another law is in charge.
        """
        q = np.asarray(q, np.float64)
        if q.shape != (ARM,) or not np.isfinite(q).all():
            raise ValueError("posture: expected seven finite joint angles")
        if self.robot_mode == MODE_MOVE and self.control.mode is Mode.CARTESIAN:
            self.control.cartesian.posture[:] = q

    def set_collision_limits(self, limits):
        """External wrench [6] (N, Nm, base frame) that trips a reflex. Raises ValueError unless all are positive."""
        limits = np.array(limits, np.float64)
        if limits.shape != (6,) or not (np.isfinite(limits).all() and (limits > 0).all()):
            raise ValueError("collision limits: expected six finite numbers above 0")
        self._collision_limits = limits

    # -- what there is to see -----------------------------------------------------------------------------------

    def state(self) -> WorldState:
        """Copy of the present state. Raises SimulationError when a number is not finite."""
        data = self.data
        if not np.isfinite(data.qpos).all():
            raise SimulationError("the simulation became unstable (non-finite state): check the masses under sim/")
        law = self.control.cartesian
        position, orientation = law.measured()
        target_position, target_orientation = self.control.desired_pose()
        w, x, y, z = data.xquat[self._object]
        return WorldState(
            stamp_ns=self._time_ns,
            q=data.qpos[:ARM].copy(),
            dq=data.qvel[:ARM].copy(),
            tau=data.ctrl[:ARM].copy(),
            q_d=self.control.desired_positions(),
            tau_d=law.commanded.copy(),
            tau_ext=data.qfrc_constraint[:ARM].copy(),
            position=np.array(position),
            orientation=_canonical(orientation),
            target_position=np.array(target_position),
            target_orientation=_canonical(target_orientation),
            finger_positions=data.qpos[ARM : ARM + 2].copy(),
            object_position=data.xpos[self._object].copy(),
            object_orientation=_canonical((x, y, z, w)),
            wrench=self._wrench(),
            load=self.control.load,
            robot_mode=self.told_mode,
            error=self._error,
        )

    def _wrench(self) -> np.ndarray:
        jacobian = np.zeros((6, self.model.nv))
        mujoco.mj_jacSite(self.model, self.data, jacobian[:3], jacobian[3:], self._site)
        j = jacobian[:, :ARM]
        return np.linalg.solve(j @ j.T + 1e-6 * np.eye(6), j @ self.data.qfrc_constraint[:ARM])

    def object_state(self) -> ObjectState:
        """What the task judges."""
        pairs = self.data.contact.geom
        with_object = pairs[(pairs == self._object_geom).any(axis=1)] if len(pairs) else pairs
        touching = set(with_object.ravel().tolist()).intersection(self._fingers)
        speed = float(np.linalg.norm(self.data.qvel[self._object_v : self._object_v + 3]))
        position = tuple(self.data.xpos[self._object].tolist())
        return ObjectState(position, speed, len(touching) == 2, bool(touching))

    def task_result(self) -> tuple[float, bool]:
        """Reward since the last call (1 on the first success, else 0) and whether the task has succeeded."""
        reward = 0.0
        if not self._succeeded and self.task.succeeded(self.object_state()):
            self._succeeded, reward = True, 1.0
        return reward, self._succeeded


def _canonical(orientation) -> np.ndarray:
    q = np.array(orientation, np.float64)
    return -q if q[3] < 0.0 else q


def _rotation_error(measured_wxyz) -> np.ndarray:
    """Rotation vector from the measured orientation to hand down."""
    inverse, product, error = np.zeros(4), np.zeros(4), np.zeros(3)
    mujoco.mju_negQuat(inverse, measured_wxyz)
    mujoco.mju_mulQuat(product, np.array([HAND_DOWN[3], *HAND_DOWN[:3]]), inverse)
    mujoco.mju_quat2Vel(error, product, 1.0)
    return error
