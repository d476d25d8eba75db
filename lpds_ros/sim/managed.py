"""Time, whose commands the arm obeys, what stops it, the way back: of the simulated arm and of the mock. No MuJoCo."""

from lpds_ros.sim.control import ArmControl, Mode
from lpds_ros.sim.controllers import ACTIVE, BEST_EFFORT, CARTESIAN, HARDWARE, JOINT, STRICT, Controllers
from lpds_ros.sim.hand_goals import HandGoals
from lpds_ros.sim.state import (
    FIRST_STAMP_NS,
    MODE_IDLE,
    MODE_MOVE,
    MODE_REFLEX,
    MODE_USER_STOPPED,
    NS_PER_MS,
    GripperStatus,
)
from lpds_ros.sim.trajectory import Outcome, TrajectoryError


class ManagedArm:
    """An arm behind a controller manager, and its hand. Subclasses make `control` and `hand`, let time pass in `_run`, and call
    `begin` where an episode does.

    controllers: whose commands are obeyed; without them, everybody's. robot_mode: MODE_MOVE unless something has stopped the arm.
    """

    control: ArmControl
    hand: HandGoals

    def __init__(self, control_period_ns: int, controllers: Controllers | None = None):
        self.control_period_ns = int(control_period_ns)
        self._time_ns = self._origin_ns = FIRST_STAMP_NS - self.control_period_ns
        self.controllers = controllers or Controllers()
        self.robot_mode, self._error = MODE_MOVE, ""
        self._taken: tuple[str, ...] = ()  # controllers that a fault has deactivated

    def begin(self):
        """An episode begins, a control period later."""
        self._time_ns += self.control_period_ns
        self._origin_ns = self._time_ns
        self.restart()

    def restart(self):
        """No error any more; where everybody is obeyed, at once."""
        self.robot_mode, self._error = MODE_MOVE, ""
        if self.controllers.any:
            self.controllers.set_hardware(HARDWARE, ACTIVE)

    # -- time ---------------------------------------------------------------------------------------------------

    def _run(self, ms: int):
        """Physics and control for `ms` milliseconds."""
        raise NotImplementedError

    @property
    def time_ns(self) -> int:
        """Simulated time, nanoseconds; it starts at one second and never goes back."""
        return self._time_ns

    def advance(self, ms: int):
        """Let `ms` milliseconds pass."""
        self._run(ms)
        self._time_ns += ms * NS_PER_MS

    def advance_to(self, stamp_ns: int):
        """Run until `stamp_ns` (no effect if that is past); fractions of a millisecond carry over and never add up."""
        if stamp_ns <= self._time_ns:
            return
        done = round((self._time_ns - self._origin_ns) / NS_PER_MS)
        self._run(round((stamp_ns - self._origin_ns) / NS_PER_MS) - done)
        self._time_ns = int(stamp_ns)

    # -- commands -----------------------------------------------------------------------------------------------

    def set_target(self, position, orientation):
        """Pose target of the Cartesian law: [3] m, [4] xyzw. Without effect where it is refused. Raises ValueError if not
        finite.
        """
        if not self.refusal(CARTESIAN):
            self.control.set_target(position, orientation)

    def set_positions(self, q):
        """Forward joint positions; see ArmControl.set_positions. Raises TrajectoryError, also where they are refused."""
        self._require(self.controllers.position)
        self.control.set_positions(q)

    def set_joints(self, q, dq=()):
        """Reference of the joint impedance law; see ArmControl.set_joints. Raises TrajectoryError, also where it is refused."""
        self._require(JOINT)
        self.control.set_joints(q, dq)

    def follow(self, waypoints, tolerances=None, **options) -> int:
        """Follow a joint trajectory; see ArmControl.follow. Raises TrajectoryError, also where it is refused."""
        self._require(self.controllers.trajectory)
        return self.control.follow(waypoints, tolerances, **options)

    def move(self, width_m: float, speed_mps: float) -> int:
        """Gripper Move; see HandGoals.move."""
        return self.hand.move(width_m, speed_mps)

    def grasp(self, width_m: float, speed_mps: float, force_n: float, eps_inner: float, eps_outer: float) -> int:
        """Gripper Grasp; see HandGoals.grasp."""
        return self.hand.grasp(width_m, speed_mps, force_n, eps_inner, eps_outer)

    def stop(self):
        """Gripper stop; see HandGoals.stop."""
        self.hand.stop()

    @property
    def gripper_status(self) -> GripperStatus:
        """State of the newest gripper goal."""
        return self.hand.status

    @property
    def gripper_goal_id(self) -> int:
        """Number of the newest gripper goal; 0 before the first, never used twice."""
        return self.hand.goal_id

    @property
    def width_m(self) -> float:
        """Gripper width."""
        return self.hand.width_m

    def _require(self, controller: str):
        if refusal := self.refusal(controller):
            raise TrajectoryError(Outcome.INVALID_GOAL, refusal)

    def refusal(self, controller: str) -> str:
        """Why a command of this controller is not obeyed now, or ""."""
        return self.stopped or self.controllers.refusal(controller)

    @property
    def stopped(self) -> str:
        """Why nobody is obeyed until somebody recovers the robot, or ""."""
        return "" if self.robot_mode == MODE_MOVE else "the arm has stopped: call action_server/error_recovery first"

    # -- what stops it, and the way back ----------------------------------------------------------------------------

    def reflex(self, error: str = "cartesian_reflex"):
        """Trip the arm as a collision would: it stops where it is and obeys nothing until it is recovered. error: the flag."""
        if self.robot_mode in (MODE_REFLEX, MODE_USER_STOPPED):
            return
        self.control.stop("the arm tripped a reflex")
        self.robot_mode, self._error = MODE_REFLEX, error
        self.controllers.fail()

    def press_user_stop(self, pressed: bool):
        """The brakes close; released, the arm is idle and obeys nothing until it is recovered."""
        if pressed and self.robot_mode != MODE_USER_STOPPED:
            self.control.brake("the user stop was pressed")
            self.robot_mode = MODE_USER_STOPPED
            self.controllers.fail()
        elif not pressed and self.robot_mode == MODE_USER_STOPPED:
            self.robot_mode = MODE_IDLE

    def brake(self, text: str):
        """Stop every joint and hold it until the next command; `text` is why. Nothing where a trajectory is in charge: it ends by
        itself.
        """
        if self.control.mode is not Mode.TRAJECTORY:
            self.control.brake(text)

    def recover(self):
        """Error recovery: no error any more. Nothing moves until the hardware component and a controller are active again;
        where everybody is obeyed, they are at once. Raises ValueError under the user stop.
        """
        if self.robot_mode == MODE_USER_STOPPED:
            raise ValueError("the user stop is pressed: release it first")
        self.control.stop("the arm was recovered")
        self.restart()

    # -- controllers ------------------------------------------------------------------------------------------------

    @property
    def told_mode(self) -> int:
        """The mode that robot_state tells: IDLE where no controller drives the arm."""
        return MODE_IDLE if self.robot_mode == MODE_MOVE and not self.controllers.driving else self.robot_mode

    def switch_controllers(self, activate, deactivate, strictness: int = STRICT):
        """See Controllers.switch. Who takes over keeps the arm where it is; without anybody the brakes do."""
        before = self.controllers.driving
        self.controllers.switch(activate, deactivate, strictness)
        self._hand_over(before)

    def set_hardware(self, name: str, state: str):
        """See Controllers.set_hardware: the robot must have been recovered."""
        before = self.controllers.driving
        self.controllers.set_hardware(name, state, self.stopped)
        self._hand_over(before)

    def _hand_over(self, before):
        now = self.controllers.driving
        if now == before or self.robot_mode != MODE_MOVE:
            return
        if not now:
            self.control.brake("the controller was deactivated")
        elif len(now) == 1:
            names = (CARTESIAN, JOINT, self.controllers.trajectory, self.controllers.position)
            laws = dict(zip(names, (Mode.CARTESIAN, Mode.IMPEDANCE, Mode.TRAJECTORY, Mode.POSITION)))
            self.control.engage(laws[now[0]], "the controllers were switched")

    def activate_controller(self, active: bool):
        """A fault: whatever drives the arm is deactivated, and activated again when it is over; targets are lost meanwhile."""
        if not active and self.controllers.driving:
            self._taken = self.controllers.driving
            self.switch_controllers((), self._taken)
        elif active and self._taken:
            taken, self._taken = self._taken, ()
            if self.controllers.hardware == ACTIVE and not self.controllers.driving:
                self.switch_controllers(taken, (), BEST_EFFORT)
