"""The campaign's eyes and hands on a running stack: what it says, with the time it was heard, and what a stranger may send it.

Times are system nanoseconds. What is heard is kept in bounded queues, newest last.
"""

import array
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from action_msgs.msg import GoalStatus
from controller_manager_msgs.srv import SetHardwareComponentState, SwitchController
from franka_msgs.action import ErrorRecovery
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State
from lpds_msgs.msg import Decision, LearnerStatus, Observation, OperatorCommand, SteeringStatus, SteeringWeights
from lpds_msgs.srv import Fault
from rclpy.action import ActionClient
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.messages import pose_stamped_msg, stamp_ns
from lpds_ros.records import Mode
from lpds_ros.sim.controllers import ACTIVE, CARTESIAN, HARDWARE, STATES, STRICT
from lpds_ros.sim.streams import STATE

KEPT = 20_000
CALL_S, LOOK_S = 20.0, 0.001


@dataclass(frozen=True)
class Heard:
    """One message: when it was heard, its stamp, and what matters of it."""

    at_ns: int
    stamp_ns: int
    said: object


class ProbeNode(LpdsNode):
    """Subscribes what the stack says; see Probe."""

    NAME = "probe"

    def __init__(self, **options):
        self.status, self.observations, self.targets, self.speeds, self.positions, self.decisions, self.learner = (
            deque(maxlen=KEPT) for _ in range(7)
        )
        super().__init__(**options)

    def set_up(self):
        keep = self._keep
        self.create_subscription(SteeringStatus, "lpds/steering_status", keep(self.status, lambda m: m), qos.CONTROL)
        said = lambda m: (m.valid, m.reason)  # noqa: E731
        self.create_subscription(Observation, "lpds/observation", keep(self.observations, said), qos.CONTROL)
        self.create_subscription(PoseStamped, "target_pose", keep(self.targets, _position), qos.TARGET_REALTIME)
        speed = lambda m: float(np.abs(m.velocity).max())  # noqa: E731
        self.create_subscription(
            JointState, f"{STATE}/measured_joint_states", keep(self.speeds, speed), qos.ROBOT_STATE
        )
        self.create_subscription(
            PoseStamped, f"{STATE}/current_pose", keep(self.positions, _position), qos.ROBOT_STATE
        )
        key = lambda m: (m.session, m.decision_id)  # noqa: E731
        self.create_subscription(Decision, "lpds/decision", keep(self.decisions, key), qos.RECORD)
        self.create_subscription(LearnerStatus, "lpds/learner_status", keep(self.learner, lambda m: m), qos.CONTROL)

    @staticmethod
    def _keep(queue: deque, said: Callable):
        return lambda m: queue.append(Heard(time.time_ns(), stamp_ns(m.header.stamp), said(m)))


class Probe(Attached):
    """A ProbeNode beside the campaign."""

    def __init__(self, namespace: str = ""):
        super().__init__(ProbeNode, namespace)
        self._clients, self._weights = {}, self.node.create_publisher(SteeringWeights, "lpds/weights", qos.LATCHED)
        self._operator = self.node.create_publisher(OperatorCommand, "lpds/operator", qos.CONTROL)
        self._recovery: ActionClient | None = None

    def fault(self, fault: str, target: str = "", value: float = 0.0, duration_s: float = 0.0) -> int:
        """Call lpds/fault; return the time before the call. Raises RuntimeError when it is refused."""
        request = Fault.Request(fault=fault, target=target, value=float(value), duration_s=float(duration_s))
        before_ns = time.time_ns()
        answer = self._call(Fault, "lpds/fault", request)
        if not answer.success:
            raise RuntimeError(answer.message)
        return before_ns

    def trigger(self, service: str) -> tuple[bool, str]:
        """Call a std_srvs/Trigger service, such as lpds/arm: (success, message)."""
        answer = self._call(Trigger, service, Trigger.Request())
        return answer.success, answer.message

    def recover(self) -> bool:
        """The documented order: error recovery, hardware component, controller; whether the last of them succeeded."""
        name, call = "action_server/error_recovery", self.call
        if self._recovery is None:
            self._recovery = call(ActionClient, self.node, ErrorRecovery, name)
        if not self._recovery.wait_for_server(CALL_S):
            raise RuntimeError(f"nobody serves {name}")
        handle = self._answer(call(self._recovery.send_goal_async, ErrorRecovery.Goal()), name)
        if self._answer(call(handle.get_result_async), name).status != GoalStatus.STATUS_SUCCEEDED:
            return False
        active = SetHardwareComponentState.Request(name=HARDWARE, target_state=State(id=STATES[ACTIVE], label=ACTIVE))
        if not self._call(SetHardwareComponentState, "controller_manager/set_hardware_component_state", active).ok:
            return False
        switch = SwitchController.Request(activate_controllers=[CARTESIAN], strictness=STRICT)
        return self._call(SwitchController, "controller_manager/switch_controller", switch).ok

    def _call(self, kind, name, request):
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client, end_s = self._clients[name], time.monotonic() + CALL_S
        while not client.service_is_ready() and time.monotonic() < end_s:
            time.sleep(LOOK_S)
        return self._answer(client.call_async(request), name)

    @staticmethod
    def _answer(future, name: str):
        end_s = time.monotonic() + CALL_S
        while not future.done() and time.monotonic() < end_s:
            time.sleep(LOOK_S)
        if not future.done():
            raise RuntimeError(f"{name} has not answered within {CALL_S:.0f} s")
        return future.result()

    def push(self, blob: bytes, *, version: int, sha256: str, learner: str = "campaign") -> int:
        """Publish these bytes as weights; return the time before."""
        before_ns = time.time_ns()
        self._weights.publish(
            SteeringWeights(learner_id=learner, version=version, sha256=sha256, blob=array.array("B", blob))
        )
        return before_ns

    def operate(self, action, *, active: bool = True, stop: bool = False) -> int:
        """One command of an operator, stamped now; return that time."""
        message = OperatorCommand(active=active, action=array.array("f", action), stop=stop, device="campaign")
        now = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(now, 1_000_000_000)
        self._operator.publish(message)
        return now

    def intrude(self, topic: str = "target_pose"):
        """A second publisher on the targets, which says the arm's own last position; a callable that takes it away again."""
        publisher = self.node.create_publisher(PoseStamped, topic, qos.TARGET_REALTIME)
        publisher.publish(pose_stamped_msg(time.time_ns(), self.node.positions[-1].said, (1.0, 0.0, 0.0, 0.0)))
        return lambda: self.call(self.node.destroy_publisher, publisher)

    def first(self, queue: deque, after_ns: int, condition: Callable[[Heard], bool]) -> Heard | None:
        """The first of a queue's messages heard after a time of which the condition holds."""
        return next((heard for heard in list(queue) if heard.at_ns >= after_ns and condition(heard)), None)

    @property
    def mode(self) -> Mode | None:
        """The last mode that steering said, None before any."""
        return Mode(self.node.status[-1].said.mode) if self.node.status else None

    def leave(self):
        if self._recovery is not None:
            self._recovery.destroy()


def _position(message: PoseStamped) -> tuple[float, float, float]:
    p = message.pose.position
    return p.x, p.y, p.z
