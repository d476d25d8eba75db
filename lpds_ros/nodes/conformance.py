"""Looking at a robot on the wire, for `lpds robot conformance`: who says, hears and serves what, how often, how stamped."""

import functools
import importlib
import time
from collections.abc import Callable

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from rclpy.action import ActionClient
from rclpy.action.graph import get_action_names_and_types
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

from lpds_ros.conformance.expected import ACTIONS, HEARD, SERVICES, TOPICS, Heard, Of, Topic, topics_of
from lpds_ros.conformance.judge import (
    Endpoint,
    Row,
    Sample,
    Verdict,
    judge_heard,
    judge_served,
    judge_tool,
    judge_topic,
)
from lpds_ros.contract import Contract
from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.messages import pose_arrays, stamp_ns
from lpds_ros.nodes.robot_calls import RobotCalls
from lpds_ros.robot.recovery import ACTIVE, HARDWARE, StepError
from lpds_ros.robot.recovery import LOOK_S as ANSWER_S

DISCOVERY_S, LOOK_S, SETTLED_S = 5.0, 0.02, 0.5
KEPT = 20_000
WATCHING = ("cell", "robot_tool", "probe")  # nodes of ours that hear the commands too, and drive nothing


def interface(kind: str):
    """The Python class of "package/msg/Name" (or srv, action). Raises ModuleNotFoundError where its package is missing."""
    package, folder, name = kind.split("/")
    return getattr(importlib.import_module(f"{package}.{folder}"), name)


def quality(wanted: Topic) -> QoSProfile:
    """How the stack listens to it."""
    if wanted.latched:
        return qos.LATCHED
    return qos.CONTROL if wanted.of is Of.STANDIN else qos.ROBOT_STATE


class LookNode(LpdsNode):
    """Listens to every topic of the table, and has a client for everything served. `newest`: the last message of a topic."""

    NAME = "conformance"
    calls: RobotCalls | None = None

    def __init__(self, contract: Contract | None = None, **options):
        self.topics = topics_of(contract)
        super().__init__(**options)

    def set_up(self):
        self.samples: dict[str, list[Sample]] = {wanted.name: [] for wanted in self.topics}
        self.newest: dict[str, object] = {}
        for wanted in self.topics:
            self.create_subscription(interface(wanted.kind), wanted.name, self._keep(wanted.name), quality(wanted))
        self.service_clients = {s.name: self.create_client(interface(s.kind), s.name) for s in SERVICES}
        self.calls = RobotCalls(self)
        self.action_clients = {a.name: ActionClient(self, interface(a.kind), a.name) for a in ACTIONS}

    def _keep(self, name: str) -> Callable:
        kept = self.samples[name]

        def keep(message):
            self.newest[name] = message
            if len(kept) < KEPT:
                kept.append(sample(message))

        return keep

    def publishers(self, wanted: Topic) -> list[Endpoint]:
        """Who says a topic, and whether the stack can hear it."""
        found = self._others(self.get_publishers_info_by_topic, wanted.name)
        return [endpoint(info, qos_check_compatible(info.qos_profile, quality(wanted))) for info in found]

    def subscribers(self, wanted: Heard) -> list[Endpoint]:
        """Who hears a topic and is not only watching, and whether it can hear the stack."""
        found = self._others(self.get_subscriptions_info_by_topic, wanted.name)
        found = [info for info in found if info.node_name not in WATCHING]
        return [endpoint(info, qos_check_compatible(qos.TARGET_REALTIME, info.qos_profile)) for info in found]

    def sayers(self, topic: str) -> list[str]:
        """The nodes that publish on a topic."""
        return [info.node_name for info in self._others(self.get_publishers_info_by_topic, topic)]

    def _others(self, find: Callable, topic: str):
        return [info for info in find(self.resolve_topic_name(topic)) if info.node_name != self.NAME]

    def kinds(self, name: str, kind: str, ready: bool, listed) -> list[str]:
        """The types an action or service is served with: ours where our client is connected, else another one that is listed."""
        if ready:
            return [kind]
        full = self.resolve_service_name(name)
        return [other for found, kinds in listed if found == full for other in kinds if other != kind]

    def destroy_node(self):
        """The actions off the graph, then the node."""
        for part in (self.calls, *getattr(self, "action_clients", {}).values()):
            if part is not None:
                part.destroy()
        super().destroy_node()


def endpoint(info, judged: tuple[QoSCompatibility, str]) -> Endpoint:
    """One end of a topic, as the middleware tells it. judged: of the quality of service."""
    theirs, (fits, why) = info.qos_profile, judged
    reliable = theirs.reliability is not ReliabilityPolicy.BEST_EFFORT
    latched = theirs.durability is DurabilityPolicy.TRANSIENT_LOCAL
    return Endpoint(info.node_name, info.topic_type, reliable, latched, why if fits is QoSCompatibility.ERROR else "")


def sample(message) -> Sample:
    """What is judged of a message."""
    arrived_s, now_ns = time.monotonic(), time.time_ns()
    header = getattr(message, "header", None)
    stamp = stamp_ns(header.stamp) if header is not None else 0
    names, numbers = tuple(getattr(message, "name", ())), np.zeros(0)
    if names:
        numbers = np.concatenate([message.position, message.velocity, message.effort])
    elif hasattr(message, "pose") and hasattr(message.pose, "orientation"):
        numbers = np.concatenate(pose_arrays(message.pose))
    return Sample(arrived_s, stamp, now_ns - stamp, header.frame_id if header is not None else "", names, numbers)


class Looker(Attached):
    """A LookNode beside the robot. contract: whose streams are looked for too."""

    def __init__(self, namespace: str = "", contract: Contract | None = None):
        super().__init__(functools.partial(LookNode, contract), namespace)

    def look(self, asked: frozenset[Of], seconds: float, driver: str) -> list[Row]:
        """Listen for so long, once the robot is found, and judge all of the table. Nothing is changed and nothing moves.

        driver: the controller that is to drive the arm.
        """
        node, call = self.node, self.call
        robot, pose = TOPICS[0], TOPICS[1]
        end_s = time.monotonic() + DISCOVERY_S
        while not (node.samples[robot.name] and node.samples[pose.name]) and time.monotonic() < end_s:
            time.sleep(LOOK_S)
            self.check()
        time.sleep(SETTLED_S)
        call(lambda: [kept.clear() for wanted in node.topics if not wanted.latched for kept in (node.samples[wanted.name],)])
        time.sleep(seconds)
        self.check()
        rows = call(self._judge, asked)
        self.check()
        return [*rows, self._driven(driver)]

    def _driven(self, driver: str) -> Row:
        """Whether the hardware component is active, and that controller alone drives the arm."""
        try:
            hardware = self.node.calls.components(ANSWER_S).get(HARDWARE, "not there")
            driving = [c.name for c in self.node.calls.controllers(ANSWER_S) if c.active and c.moves]
        except StepError as error:
            return Row("what drives the arm", Of.CONTROL, Verdict.FAILED, str(error))
        text = f"{', '.join(driving) or 'nobody'}; {HARDWARE} {hardware}"
        held = hardware == ACTIVE and driving == [driver]
        return Row("what drives the arm", Of.CONTROL, Verdict.OK if held else Verdict.FAILED, text)

    def _judge(self, asked) -> list[Row]:
        node = self.node
        rows = [judge_topic(t, asked, node.publishers(t), node.samples[t.name]) for t in node.topics]
        rows.append(judge_tool(*self._tool()))
        for heard in HEARD:
            rows.append(judge_heard(heard, asked, node.subscribers(heard), node.sayers(heard.name)))
        actions, services = get_action_names_and_types(node), node.get_service_names_and_types()
        for served in ACTIONS:
            ready = node.action_clients[served.name].server_is_ready()
            rows.append(judge_served(served, asked, node.kinds(served.name, served.kind, ready, actions)))
        for served in SERVICES:
            ready = node.service_clients[served.name].service_is_ready()
            rows.append(judge_served(served, asked, node.kinds(served.name, served.kind, ready, services)))
        return rows

    def _tool(self):
        joints, pose = (self.node.newest.get(TOPICS[i].name) for i in (2, 1))
        if joints is None or pose is None:
            return None, None, None
        return np.array(joints.position), *pose_arrays(pose.pose)
