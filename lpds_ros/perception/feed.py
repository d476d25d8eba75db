"""Recorded ROS messages into the Aligner: the same numbers as the perception node pushes, without ROS."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lpds_ros.contract import Contract, Stream
from lpds_ros.data.demonstration import DemoError
from lpds_ros.data.streams import IMAGE, JOINTS, POSE, ROBOT, TASK, stamp_of
from lpds_ros.images import ImageError, Picture, fitted
from lpds_ros.perception.align import ROBOT_AGE, TASK_AGE, Aligner
from lpds_ros.perception.robot import RobotState


class Sample(NamedTuple):
    """name: of the contract's stream, or TASK_AGE, ROBOT_AGE. push: hands it to an Aligner."""

    name: str
    stamp_ns: int
    push: Callable[[Aligner], object]


class Sources:
    """Which recorded topic is which stream of a contract. robot_topic: FrankaRobotState's, "" where it is not listened to.

    topics: of streams that were recorded from another topic than the contract's. Relative ones are recorded under one namespace,
    which the first that fits tells.
    """

    def __init__(self, contract: Contract, robot_topic: str = "", topics: dict[str, str] | None = None):
        self._wanted: dict[str, list[tuple[str, str]]] = {}
        for name, stream in contract.streams.items():
            self._wanted.setdefault((topics or {}).get(name, stream.topic), []).append((name, stream.type))
        self._wanted.setdefault(contract.reward.topic, []).append((TASK_AGE, TASK))
        if robot_topic:
            self._wanted.setdefault(robot_topic, []).append((ROBOT_AGE, ROBOT))
        self.namespace: str | None = None
        self._known: dict[str, tuple[str, ...]] = {}

    def names(self, topic: str, typename: str) -> tuple[str, ...]:
        """Streams that a recorded topic feeds, () for any other. Raises DemoError for another type, or a second namespace."""
        if topic not in self._known:
            self._known[topic] = self._names(topic, typename)
        return self._known[topic]

    def under(self, topic: str, wanted: str) -> bool:
        """Whether a recorded topic is `wanted`, under the namespace of the others where that is known."""
        namespace = self.namespace_of(topic, wanted)
        return namespace is not None and (wanted.startswith("/") or self.namespace in (None, namespace))

    def _names(self, topic: str, typename: str) -> tuple[str, ...]:
        for wanted, streams in self._wanted.items():
            namespace = self.namespace_of(topic, wanted)
            if namespace is None:
                continue
            if self.namespace not in (None, namespace):
                raise DemoError(
                    f"'{wanted}' is recorded under '{self.namespace}' and under '{namespace}': one robot a recording; "
                    "cut the other out with `ros2 bag convert`"
                )
            self.namespace = namespace
            for name, expected in streams:
                if typename != expected:
                    raise DemoError(f"{topic} is recorded as {typename}, stream '{name}' is {expected}")
            return tuple(name for name, _ in streams)
        return ()

    @staticmethod
    def namespace_of(topic: str, wanted: str) -> str | None:
        """"/ns" where `topic` is `wanted` under it, "" for none, None where it is another topic."""
        if wanted.startswith("/"):
            return "" if topic == wanted else None
        return topic[: -len(wanted) - 1] if topic.endswith(f"/{wanted}") else None


Encode = Callable[[str, np.ndarray], np.ndarray]  # stream, uint8 [h, w, 3] -> features [size]


def sample(name: str, typename: str, message, contract: Contract, encode: Encode | None = None) -> Sample:
    """What a decoded message of stream `name` gives the Aligner. encode: of pictures; None: zeros, as without a bundle."""
    stamp_ns = stamp_of(message.header)
    if typename == IMAGE:
        encode = encode or (lambda name, _: np.zeros(contract.images[name].size, np.float32))
        return Sample(name, stamp_ns, lambda aligner: _see(aligner, name, picture_of(message), contract.streams[name], encode))
    if typename == POSE:
        p, q = message.pose.position, message.pose.orientation
        position, orientation = (p.x, p.y, p.z), (q.x, q.y, q.z, q.w)
        return Sample(name, stamp_ns, lambda aligner: aligner.push_pose(name, stamp_ns, position, orientation))
    if typename == JOINTS:
        numbers = message.position, message.velocity, message.effort
        return Sample(name, stamp_ns, lambda aligner: aligner.push_joints(name, stamp_ns, *numbers))
    if typename == TASK:
        return Sample(name, stamp_ns, lambda aligner: aligner.push_task(stamp_ns, message.reward, message.success))
    if typename == ROBOT:
        state = robot_state(message, stamp_ns)
        return Sample(name, stamp_ns, lambda aligner: aligner.robot.push(state))
    raise DemoError(f"stream '{name}' is of type {typename}, which is not read from recordings")


def picture_of(message) -> Picture:
    """Of a decoded sensor_msgs/Image."""
    size = message.width, message.height, message.step
    return Picture(stamp_of(message.header), message.encoding, *size, np.ascontiguousarray(message.data, np.uint8))


def _see(aligner: Aligner, name: str, picture: Picture, stream: Stream, encode: Encode):
    try:
        image = fitted(picture.rgb(), stream)
    except ImageError as refusal:
        aligner.refuse(name, str(refusal))
        return
    aligner.push_features(name, picture.stamp_ns, encode(name, image))


def robot_state(message, stamp_ns: int) -> RobotState:
    """What a decoded franka_msgs/FrankaRobotState says of mode and errors."""
    flags = [flag.name for flag in dataclasses.fields(message.current_errors) if not flag.name.startswith("__")]
    return RobotState(
        stamp_ns=stamp_ns,
        mode=message.robot_mode,
        errors=tuple(flag for flag in flags if getattr(message.current_errors, flag)),
        success_rate=message.control_command_success_rate,
    )
