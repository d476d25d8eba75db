"""The robot behind its services, actions and topics, for who has time to wait: `lpds robot …`, the node `cell`.

Every call blocks, for so long at most, and belongs to another thread than the executor's. What is not served, refused or not
answered is a StepError that says so.
"""

import threading
import time
from collections.abc import Callable

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from controller_manager_msgs.srv import (
    ListControllers,
    ListHardwareComponents,
    SetHardwareComponentState,
    SwitchController,
)
from franka_msgs.action import ErrorRecovery, Move
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State
from lpds_msgs.msg import SteeringStatus
from rclpy.action import ActionClient
from rclpy.node import NodeNameNonExistentError
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import type_name
from lpds_ros.nodes.newest import Newest
from lpds_ros.nodes.perception_robot import RobotStateReader
from lpds_ros.perception.robot import ROBOT_STATE, RobotState
from lpds_ros.records import Mode
from lpds_ros.robot.homing import Path
from lpds_ros.robot.recovery import ACTIVE, HARDWARE, ControllerInfo, StepError, recovery_action

ARM = 7
FIND_S, LOOK_S, LATEST_S = 5.0, 0.02, 2.0
MEASURED = "franka_robot_state_broadcaster/measured_joint_states"
SILENCE_S = 0.3  # without a command: nobody commands
HEARD_S = 2.0  # a steering node that said nothing for so long is not there
ACTIVE_ID = 3  # lifecycle_msgs/State
OFF_PATH_RAD, OFF_GOAL_RAD, SETTLE_S = 0.2, 0.02, 3
COMMANDS = (PoseStamped, JointState, JointTrajectory, Float64MultiArray)  # what an arm's controllers are told
STOPPED = (Mode.STOP, Mode.FAULT)
STATUS_TEXT = {GoalStatus.STATUS_ABORTED: "was aborted", GoalStatus.STATUS_CANCELED: "was cancelled"}


class RobotCalls:
    """See the module's docstring, and robot.recovery.Robot, robot.homing.HomingRobot, which this is.

    Made before the node spins. gripper, trajectory, position: namespaces of the hand and of two controllers. hardware: the
    component, whose prefix is that of the arm's actions. resting: modes of steering in which the arm may be moved by others; a
    STOP or FAULT that is none of them ends what moves. `ending`, set, ends every wait, and cancels what is under way.
    """

    def __init__(
        self,
        node: LpdsNode,
        *,
        gripper: str = "franka_gripper",
        trajectory: str = "fr3_arm_controller",
        position: str = "forward_position_controller",
        hardware: str = HARDWARE,
        resting: tuple[Mode, ...] = STOPPED,
    ):
        self._node, self._resting, self._trajectory, self.ending = node, resting, trajectory, threading.Event()
        manager = "controller_manager"
        self._controllers = node.create_client(ListControllers, f"{manager}/list_controllers")
        self._components = node.create_client(ListHardwareComponents, f"{manager}/list_hardware_components")
        self._set_component = node.create_client(SetHardwareComponentState, f"{manager}/set_hardware_component_state")
        self._switch = node.create_client(SwitchController, f"{manager}/switch_controller")
        self._recovery = ActionClient(node, ErrorRecovery, recovery_action(hardware))
        self._follow = ActionClient(node, FollowJointTrajectory, f"{trajectory}/follow_joint_trajectory")
        self._move = ActionClient(node, Move, f"{gripper}/move")
        self._actions = (self._recovery, self._follow, self._move)
        names = (recovery_action(hardware), f"{trajectory}/follow_joint_trajectory", f"{gripper}/move")
        self._names = {client: node.resolve_service_name(name) for client, name in zip(self._actions, names)}
        self._state, self._joints = RobotStateReader(node, ROBOT_STATE), Newest(node, JointState, MEASURED)
        self._status = Newest(node, SteeringStatus, "lpds/steering_status", qos.CONTROL)
        self._commands: dict[str, Newest] = {}
        topics = ("target_pose", "target_joint", f"{trajectory}/joint_trajectory", f"{position}/commands")
        for kind, topic in zip(COMMANDS, topics):
            self._hear(kind, node.resolve_topic_name(topic))

    # -- what it says ---------------------------------------------------------------------------------------------

    def _next(self, take: Callable[[], object], timeout_s: float, heard: Callable[[], object] = lambda: None):
        """What comes after the call, or None. heard: once it gives anything, HEARD_S are left."""
        end_s, whole = time.monotonic() + timeout_s, True
        while take() is not None:
            pass
        while (found := take()) is None and time.monotonic() < end_s and not self.ending.is_set():
            if whole and heard() is not None:
                end_s, whole = time.monotonic() + HEARD_S, False
            time.sleep(LOOK_S)
        return found

    def state(self, timeout_s: float) -> RobotState | None:
        return self._next(self._state.newest, timeout_s)

    def _measured(self, timeout_s: float) -> JointState:
        message = self._next(self._joints.take, timeout_s)
        if message is None or len(message.position) != len(message.name) or len(message.name) != ARM:
            raise StepError(f"{MEASURED} says nothing of {ARM} joints: is franka_robot_state_broadcaster active?")
        if [name[-1:] for name in message.name] != [str(i + 1) for i in range(ARM)]:  # limits and postures go by the index
            raise StepError(f"{MEASURED} says its joints in another order than 1 to {ARM}: {', '.join(message.name)}")
        return message

    def joints(self, timeout_s: float) -> np.ndarray:
        return np.array(self._measured(timeout_s).position)

    def status(self) -> SteeringStatus | None:
        """What steering says next, or None. It has HEARD_S from when the robot is heard: a busy machine finds both late."""
        return self._next(self._status.take, FIND_S, heard=self._state.newest)

    def steering(self) -> str:
        message = self.status()
        if message is None:
            return ""
        if Mode(message.mode) in self._resting:
            busy = Mode(message.mode) is Mode.HOLD and not self.silent(0.0)  # it holds within an episode
            return f"steering commands the arm ({message.reason}): call lpds/stop first" if busy else ""
        return self._forbidden(message)

    @staticmethod
    def _forbidden(message: SteeringStatus) -> str:
        mode = Mode(message.mode)
        return f"steering is in {mode.name} ({message.reason}): call lpds/{'arm' if mode in STOPPED else 'stop'} first"

    def _stopped(self) -> str:
        """Why a motion under way must end, or "": somebody has stopped steering, and means the arm."""
        message = self._status.take()
        stops = message is not None and Mode(message.mode) in STOPPED and Mode(message.mode) not in self._resting
        return self._forbidden(message) if stops else ""

    def _hear(self, kind, topic: str) -> bool:
        """Listen to commands on a topic from now on; False where it is listened to."""
        if topic in self._commands:
            return False
        self._commands[topic] = Newest(self._node, kind, topic, qos.TARGET_BEST_EFFORT)  # hears either reliability
        return True

    def _hear_steering(self):
        """Listen to what steering commands on, whatever its targets_topic is."""
        try:
            said = self._node.get_publisher_names_and_types_by_node("steering", self._node.get_namespace())
        except NodeNameNonExistentError:
            return
        kinds = {type_name(kind): kind for kind in COMMANDS}
        if any([self._hear(kinds[types[0]], topic) for topic, types in said if types[0] in kinds]):
            time.sleep(SILENCE_S)  # until the new subscription is matched

    def silent(self, timeout_s: float) -> bool:
        self._hear_steering()
        end_s = time.monotonic() + timeout_s
        while self._commanded():
            if time.monotonic() > end_s:
                return False
        return True

    def _commanded(self) -> bool:
        """Whether somebody commands in the moment to come."""
        for topic in self._commands.values():
            topic.take()  # what was said before
        end_s = time.monotonic() + SILENCE_S
        while time.monotonic() < end_s:
            if any(topic.take() is not None for topic in self._commands.values()):
                return True
            time.sleep(LOOK_S)
        return False

    # -- services ---------------------------------------------------------------------------------------------------

    def call(self, client, request, timeout_s: float):
        """The answer of a service."""
        name = self._node.resolve_service_name(client.srv_name)
        if not client.wait_for_service(min(FIND_S, timeout_s)):
            raise StepError(f"nobody serves {name} in this ROS_DOMAIN_ID: is the robot started, and the namespace right?")
        future, answered = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: answered.set())
        if not self._done(answered, timeout_s):
            client.remove_pending_request(future)
            raise StepError(f"{name} has not answered for {timeout_s:.0f} s")
        return future.result()

    def _done(self, event: threading.Event, timeout_s: float, stopped: Callable[[], str] = lambda: "") -> bool:
        end_s = time.monotonic() + timeout_s
        while not event.wait(LOOK_S):
            if reason := stopped():
                raise StepError(reason)
            if self.ending.is_set() or time.monotonic() > end_s:
                return event.is_set()
        return True

    def components(self, timeout_s: float) -> dict[str, str]:
        answer = self.call(self._components, ListHardwareComponents.Request(), timeout_s + FIND_S)
        return {component.name: component.state.label for component in answer.component}

    def controllers(self, timeout_s: float) -> tuple[ControllerInfo, ...]:
        answer = self.call(self._controllers, ListControllers.Request(), timeout_s + FIND_S)
        return tuple(ControllerInfo(c.name, c.state, bool(c.required_command_interfaces)) for c in answer.controller)

    def activate_component(self, name: str, timeout_s: float):
        target = State(id=ACTIVE_ID, label=ACTIVE)
        request = SetHardwareComponentState.Request(name=name, target_state=target)
        answer = self.call(self._set_component, request, timeout_s)
        if not answer.ok:
            raise StepError(f"{name} could not be activated, it is {answer.state.label}; the log of ros2_control_node says why")

    def switch(self, activate: list[str], deactivate: list[str], timeout_s: float):
        request = SwitchController.Request(
            activate_controllers=activate,
            deactivate_controllers=deactivate,
            strictness=SwitchController.Request.STRICT,
            activate_asap=True,
        )
        request.timeout.sec = int(timeout_s)
        answer = self.call(self._switch, request, timeout_s + FIND_S)
        if not answer.ok:
            why = getattr(answer, "message", "") or "the log of ros2_control_node says why"  # Humble has no message
            raise StepError(f"the controllers were not switched: {why}")

    # -- actions ----------------------------------------------------------------------------------------------------

    def goal(self, client: ActionClient, goal, timeout_s: float):
        """Result of an action that has succeeded; cancelled when it does not in time, or who waits is interrupted."""
        name = self._names[client]
        if not client.wait_for_server(min(FIND_S, timeout_s)):
            raise StepError(f"nobody serves {name}: is it started, and the namespace right?")
        handle = self._await(lambda: client.send_goal_async(goal), FIND_S, name, _cancel)
        if not handle.accepted:
            raise StepError(f"{name} refused the goal; the log of its node says why")
        try:
            answer = self._await(handle.get_result_async, timeout_s, name)
        except BaseException:
            handle.cancel_goal_async()  # here and now: the executor may spin no more, and nobody waits for the answer
            raise
        if answer.status != GoalStatus.STATUS_SUCCEEDED:
            why = getattr(answer.result, "error_string", "") or getattr(answer.result, "error", "")
            raise StepError(f"{name} {STATUS_TEXT.get(answer.status, 'has failed')}{': ' if why else ''}{why}")
        return answer.result

    def _await(self, ask: Callable[[], object], timeout_s: float, name: str, late: Callable[[object], None] | None = None):
        """What the future gives that `ask` returns, asked in the executor's thread: beside it an answer may be missed. late: gets
        what it gives after nobody waits for it any more.
        """
        answered, found = threading.Event(), []

        def start():
            future = ask()
            found.append(future)
            future.add_done_callback(lambda _: answered.set())

        self._node.executor.create_task(start)
        try:
            if not self._done(answered, timeout_s, self._stopped):
                why = "was given up" if self.ending.is_set() else f"has not ended within {timeout_s:.0f} s"
                raise StepError(f"{name} {why}")
        except BaseException:
            if late is not None:
                self._node.executor.create_task(lambda: found[0].add_done_callback(lambda future: late(future.result())))
            raise
        return found[0].result()

    def clear_errors(self, timeout_s: float):
        try:
            self.goal(self._recovery, ErrorRecovery.Goal(), timeout_s)
        except StepError as error:
            raise StepError(f"{error}; is the user stop released and FCI active (Desk)?") from None

    def open_hand(self, width_m: float, speed_mps: float, timeout_s: float):
        """franka_gripper's Move."""
        result = self.goal(self._move, Move.Goal(width=width_m, speed=speed_mps), timeout_s)
        if not result.success:
            raise StepError(f"the hand was not opened: {result.error or 'no reason given'}")

    def follow(self, controller: str, path: Path, timeout_s: float):
        if controller != self._trajectory:
            raise StepError(f"this was made for {self._trajectory}, not for {controller}")
        names = list(self._measured(LATEST_S).name)
        goal = FollowJointTrajectory.Goal()
        goal.trajectory.joint_names = names
        for at, q, dq in zip(path.times_s, path.positions, path.velocities):
            point = JointTrajectoryPoint(positions=q.tolist(), velocities=dq.tolist())
            point.time_from_start.sec, point.time_from_start.nanosec = int(at), int(at % 1 * 1e9)
            goal.trajectory.points.append(point)
        goal.path_tolerance = [JointTolerance(name=name, position=OFF_PATH_RAD) for name in names]
        goal.goal_tolerance = [JointTolerance(name=name, position=OFF_GOAL_RAD) for name in names]
        goal.goal_time_tolerance.sec = SETTLE_S
        self.goal(self._follow, goal, timeout_s)

    def destroy(self):
        """Take the action clients off the graph."""
        for client in self._actions:
            client.destroy()


def _cancel(handle):
    """A goal that nobody waits for must not begin after all."""
    if handle.accepted:
        handle.cancel_goal_async()
