"""The mock robot's world: a cell without physics, in which what is commanded becomes what is measured. No MuJoCo.

It has the commands, modes, errors and faults of sim/world.py, so that the sim node runs over either. The arm follows with a
first-order lag and a speed limit, its measured pose is the forward kinematics of its joints; nothing touches anything: the
object lies where the seed put it, the hand closes on air (or on what `held_width_m` says), the task never succeeds.
"""

import numpy as np

from lpds_ros.robot.loopback_arm import LoopbackArm, LoopbackHand, LoopbackJoints, LoopbackPose, solve_pose
from lpds_ros.sim.control import ArmControl
from lpds_ros.sim.controllers import Controllers
from lpds_ros.sim.fr3 import Q_READY_RAD
from lpds_ros.sim.managed import ManagedArm
from lpds_ros.sim.state import (
    HAND_DOWN,
    WorldState,
)
from lpds_ros.sim.tasks import Task, load_task

NOTHING = np.zeros(7)


class LoopbackWorld(ManagedArm):
    """See the module's docstring; the methods are those of sim.world.World. Deterministic: equal calls give equal bits.

    lag_s: time constant of the arm behind its command. held_width_m: how wide what the hand closes on is; 0: nothing.
    controllers: whose commands are obeyed; without them, everybody's. Raises TaskError for an unknown task or region.
    """

    def __init__(
        self,
        task: str | Task,
        *,
        control_period_ns: int,
        lag_s: float = 0.02,
        held_width_m: float = 0.0,
        controllers: Controllers | None = None,
    ):
        super().__init__(control_period_ns, controllers)
        self.task = load_task(task) if isinstance(task, str) else task
        arm = LoopbackArm()
        self._pose = LoopbackPose(arm, lag_s)
        self.control = ArmControl(self._pose, LoopbackJoints(arm, lag_s), arm)
        self.hand = LoopbackHand(held_width_m)
        self._arm = arm
        self.reset(0)

    def _run(self, ms):
        for _ in range(ms):
            self.control.update()
            self.hand.update()

    def reset(self, seed: int, region: str = "full"):
        """Start an episode: arm and object where the seed puts them, hand open, target at the measured pose."""
        tool, centre, yaw = self.task.sample(seed, region)
        self._arm.q[:] = solve_pose(tool, HAND_DOWN, np.array(Q_READY_RAD))
        self._arm.dq[:] = 0.0
        self._object = centre, np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
        self.control.stop("the task was reset", self._arm.q)
        self.hand.open()
        self.begin()

    # -- commands -----------------------------------------------------------------------------------------------

    def set_posture(self, q):
        """Taken as sim.world.World takes it; nothing here has a null space. Raises ValueError unless seven finite numbers."""
        q = np.asarray(q, np.float64)
        if q.shape != (7,) or not np.isfinite(q).all():
            raise ValueError("posture: expected seven finite joint angles")

    def set_collision_limits(self, limits):
        """Checked only: nothing touches anything here. Raises ValueError unless six finite numbers above 0."""
        limits = np.array(limits, np.float64)
        if limits.shape != (6,) or not (np.isfinite(limits).all() and (limits > 0).all()):
            raise ValueError("collision limits: expected six finite numbers above 0")

    # -- what there is to see -----------------------------------------------------------------------------------

    def state(self) -> WorldState:
        """Copy of the present state: no torques and no forces, since there is no physics."""
        position, orientation = self._pose.measured()
        target_position, target_orientation = self.control.desired_pose()
        place, turn = self._object
        return WorldState(
            stamp_ns=self._time_ns,
            q=self._arm.q.copy(),
            dq=self._arm.dq.copy(),
            tau=NOTHING,
            q_d=self.control.desired_positions(),
            tau_d=NOTHING,
            tau_ext=NOTHING,
            position=np.array(position),
            orientation=np.array(orientation),
            target_position=np.array(target_position),
            target_orientation=np.array(target_orientation),
            finger_positions=np.full(2, self.hand.width_m / 2),
            object_position=place,
            object_orientation=turn,
            wrench=np.zeros(6),
            load=self.control.load,
            robot_mode=self.told_mode,
            error=self._error,
        )

    def task_result(self) -> tuple[float, bool]:
        """Reward and success: none, ever."""
        return 0.0, False
