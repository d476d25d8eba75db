"""Joint commands of the simulated arm, as ros2_controllers' joint_trajectory_controller and forward_command_controller
take them: <trajectory_controller>/{joint_trajectory, follow_joint_trajectory}, <position_controller>/commands.

A bad goal is refused and the log says why, a bad message is ignored and the log says why; the arm goes on as it was.
Nothing waits here: `finish` ends the goals whose trajectories have ended.

In lockstep a message of joint positions is the command for one period, a trajectory for as many as it lasts. Who streams them
says for which period: positions by the label of the message's first dimension (nanoseconds), a trajectory by its header's stamp;
it is then the command for that period alone, and said again it is no other one.
"""

from collections.abc import Callable

import numpy as np
from control_msgs.action import FollowJointTrajectory
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.qos import QoSPresetProfiles
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_msg, stamp_ns
from lpds_ros.nodes.sim_params import Parameters
from lpds_ros.nodes.sim_targets import TargetStreams
from lpds_ros.robot.targets import PositionTarget
from lpds_ros.sim.control import Mode
from lpds_ros.sim.follow import Ending, Tolerances
from lpds_ros.sim.fr3 import JOINTS
from lpds_ros.sim.trajectory import Outcome, Point, TrajectoryError, checked_positions, checked_waypoints

ERASED = -1.0  # control_msgs/JointTolerance: no limit, whatever the default is


class JointCommands:
    """The joint interfaces of one world, named by `params`.

    lock: guards the world. now_ns: the time of the headers. warn: takes a key and a text for the log. targets: takes joint
    positions of a stream. pass_period: lets, in lockstep, a period pass. on_trajectory: called after a trajectory was taken.
    """

    def __init__(
        self,
        node,
        world,
        lock,
        params: Parameters,
        *,
        now_ns: Callable[[], int],
        warn: Callable[[str, str], None],
        targets: TargetStreams,
        pass_period: Callable[[], None],
        on_trajectory: Callable[[], None],
    ):
        self._world, self._lock, self._now_ns, self._warn = world, lock, now_ns, warn
        self._log, self._from_desired = node.get_logger(), params.interpolate_from_desired_state
        self._controller, self._positions = params.trajectory_controller, f"{params.position_controller}/commands"
        self._targets, self._pass_period, self._on_trajectory = targets, pass_period, on_trajectory
        self._lockstep, self._streamed = params.clock == "lockstep", params.controller == params.position_controller
        self._starting: list[int] = []
        self._running: dict[int, object] = {}
        self._endings: dict[int, Ending] = {}
        quality = QoSPresetProfiles.SYSTEM_DEFAULT.value
        node.create_subscription(JointTrajectory, f"{self._controller}/joint_trajectory", self._on_message, quality)
        whole = qos.TARGET_LOCKSTEP if self._lockstep else quality  # of a period's targets none may be lost
        node.create_subscription(Float64MultiArray, self._positions, self._on_commands, whole)
        self._server = ActionServer(
            node,
            FollowJointTrajectory,
            f"{self._controller}/follow_joint_trajectory",
            execute_callback=lambda handle: None,  # replaced by each goal's own at its end
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    # -- commands -----------------------------------------------------------------------------------------------

    def _on_commands(self, message: Float64MultiArray):
        stamp = labelled_stamp(message)
        try:
            with self._lock:
                if self._lockstep and stamp:
                    if refusal := self._world.refusal(self._world.controllers.position):
                        self._warn("commands", f"{self._positions} refused: {refusal}")
                    self._targets.collect(PositionTarget(stamp, checked_positions(message.data)))
                    return
                self._world.set_positions(message.data)
                if self._lockstep:
                    self._pass_period()
                elif self._streamed:
                    self._targets.alive(Mode.POSITION)
        except TrajectoryError as error:
            self._warn("commands", f"{self._positions} refused: {error}")

    def _on_message(self, message: JointTrajectory):
        stamp = stamp_ns(message.header.stamp)
        piece = self._lockstep and stamp != 0
        if piece and stamp != self._now_ns():
            return  # of a period that has passed
        try:
            self._follow(message, Tolerances(), judged=False)
        except TrajectoryError as error:
            self._warn("joint_trajectory", f"{self._controller}/joint_trajectory refused: {error}")
            if not piece:
                return
        if piece:
            with self._lock:
                self._pass_period()
        else:
            self._on_trajectory()

    def _on_goal(self, goal: FollowJointTrajectory.Goal) -> GoalResponse:
        try:
            number = self._follow(goal.trajectory, tolerances(goal), judged=True)
        except TrajectoryError as error:
            self._log.error(f"{self._controller}/follow_joint_trajectory refused, {error.code.name}: {error}")
            return GoalResponse.REJECT
        self._starting.append(number)
        return GoalResponse.ACCEPT

    def _follow(self, message: JointTrajectory, tolerances: Tolerances, judged: bool) -> int:
        waypoints = checked_waypoints(message.joint_names, [point(p) for p in message.points])
        stamp = stamp_ns(message.header.stamp)
        elapsed_s = (self._now_ns() - stamp) * 1e-9 if stamp else 0.0
        options = {"elapsed_s": elapsed_s, "judged": judged, "from_desired": self._from_desired}
        with self._lock:
            return self._world.follow(waypoints, tolerances, **options)

    # -- goals --------------------------------------------------------------------------------------------------

    def _on_accepted(self, handle):
        self._running[self._starting.pop(0)] = handle
        self.finish()
        self._on_trajectory()

    def _on_cancel(self, handle) -> CancelResponse:
        for number, running in self._running.items():
            if running is handle:
                with self._lock:
                    self._world.control.hold(number)
        self._on_trajectory()
        return CancelResponse.ACCEPT

    @property
    def busy(self) -> bool:
        """Whether a goal waits for its end."""
        return bool(self._running)

    def finish(self):
        """End the goals whose trajectories have ended. Runs in the executor."""
        with self._lock:
            self._endings.update(self._world.control.take_endings())
        for number in sorted(self._endings.keys() & self._running.keys()):
            _end(self._running.pop(number), self._endings.pop(number))

    def feed_back(self):
        """Say to the goal under way where it is."""
        with self._lock:
            progress = self._world.control.progress
        handle = self._running.get(progress.number) if progress else None
        if handle is None:
            return
        feedback = FollowJointTrajectory.Feedback(joint_names=list(JOINTS))
        feedback.header.stamp = stamp_msg(self._now_ns())
        error = [wanted - is_now for wanted, is_now in zip(progress.desired, progress.actual)]
        for field, (q, dq) in (("desired", progress.desired), ("actual", progress.actual), ("error", error)):
            setattr(feedback, field, _point_msg(progress.time_s, q, dq))
        handle.publish_feedback(feedback)

    def destroy(self):
        """Take the action off the graph."""
        self._server.destroy()


def _end(handle, ending: Ending):
    def execute(handle):
        result = FollowJointTrajectory.Result(error_code=int(ending.outcome), error_string=ending.text)
        if handle.is_cancel_requested:
            handle.canceled()
        elif ending.outcome is Outcome.SUCCESSFUL and not ending.canceled:
            handle.succeed()
        else:
            handle.abort()
        return result

    handle.execute(execute)


def labelled_stamp(message: Float64MultiArray) -> int:
    """Nanoseconds in the label of the first dimension, 0 without: the type has no header, and controllers read no label."""
    label = message.layout.dim[0].label if message.layout.dim else ""
    return int(label) if label.isascii() and label.isdigit() else 0


def point(message: JointTrajectoryPoint) -> Point:
    """A trajectory's point without ROS."""
    time_s = message.time_from_start.sec + message.time_from_start.nanosec * 1e-9
    return Point(time_s, message.positions, message.velocities, message.accelerations, message.effort)


def _point_msg(time_s: float, position: np.ndarray, velocity: np.ndarray) -> JointTrajectoryPoint:
    message = JointTrajectoryPoint(positions=position.tolist(), velocities=velocity.tolist())
    sec, nanosec = divmod(round(time_s * 1e9), 1_000_000_000)
    message.time_from_start.sec, message.time_from_start.nanosec = sec, nanosec
    return message


def tolerances(goal: FollowJointTrajectory.Goal) -> Tolerances:
    """The controller's tolerances with what the goal says instead. Raises TrajectoryError for a joint that is none."""
    usual = Tolerances()
    late = goal.goal_time_tolerance.sec + goal.goal_time_tolerance.nanosec * 1e-9
    path, end = goal.path_tolerance, goal.goal_tolerance
    return Tolerances(
        _chosen(path, "position", usual.path_position),
        _chosen(path, "velocity", usual.path_velocity),
        _chosen(end, "position", usual.goal_position),
        _chosen(end, "velocity", usual.goal_velocity),
        _resolved(late, usual.goal_time_s, "goal_time_tolerance"),
    )


def _chosen(given, field, usual: np.ndarray) -> np.ndarray:
    values = usual.copy()
    for tolerance in given:
        if tolerance.name not in JOINTS:
            text = f"tolerance of joint '{tolerance.name}', which this arm has not ({JOINTS[0]} … {JOINTS[-1]})"
            raise TrajectoryError(Outcome.INVALID_JOINTS, text)
        i = JOINTS.index(tolerance.name)
        values[i] = _resolved(getattr(tolerance, field), usual[i], f"{field} tolerance of {tolerance.name}")
    return values


def _resolved(given: float, usual: float, what: str) -> float:
    if given == ERASED:
        return 0.0
    if not 0.0 <= given < float("inf"):
        raise TrajectoryError(Outcome.INVALID_GOAL, f"{what} is {given:g}: a positive number, 0 (usual) or -1 (none)")
    return given or usual
