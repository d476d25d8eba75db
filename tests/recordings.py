"""Bags for the tests: ROS messages encoded without ROS, as the streams node or `ros2 bag record` would have written them."""

from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.data.definitions import Definitions
from lpds_ros.data.rollout_log import RolloutLogWriter
from lpds_ros.data.streams import IMAGE, JOINTS, METADATA, OBSERVATION, POSE, TASK
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.feed import sample

PERIOD_NS = 50_000_000
START_NS = 1_000_000_000_000_000_000


class Wire:
    """Encodes messages; `types` are rosbags' classes by name."""

    def __init__(self):
        self.definitions = Definitions()
        for typename in (OBSERVATION, TASK, POSE, JOINTS):
            self.definitions.require(typename)
        self.types = self.definitions.store.types

    def header(self, stamp_ns: int):
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self.types["std_msgs/msg/Header"](stamp=stamp, frame_id="base")

    def place(self, position, orientation):
        point = self.types["geometry_msgs/msg/Point"](*map(float, position))
        return self.types["geometry_msgs/msg/Pose"](point, self.types["geometry_msgs/msg/Quaternion"](*map(float, orientation)))

    def pose(self, stamp_ns: int, position, orientation=(0.0, 0.0, 0.0, 1.0)):
        return self.types[POSE](self.header(stamp_ns), self.place(position, orientation))

    def joints(self, stamp_ns: int, position):
        position = np.asarray(position, np.float64)
        zeros = np.zeros(len(position))
        return self.types[JOINTS](self.header(stamp_ns), [f"j{i}" for i in range(len(position))], position, zeros, zeros)

    def image(self, stamp_ns: int, rgb):
        height, width, _ = rgb.shape
        return self.types[IMAGE](self.header(stamp_ns), height, width, "rgb8", 0, 3 * width, rgb.ravel())

    def task(self, stamp_ns: int, reward: float = 0.0, success: bool = False):
        return self.types[TASK](self.header(stamp_ns), task="lift", seed=0, reward=reward, success=success)

    def observation(self, record, digest: str):
        return self.types[OBSERVATION](
            header=self.header(record.stamp_ns),
            contract_digest=digest,
            valid=record.valid,
            reason=record.reason,
            data=record.data,
            streams=list(record.ages_s),
            ages_s=np.array(list(record.ages_s.values()), np.float32),
            measured_pose=self.place(record.position, record.orientation),
            joint_position=record.joints,
            gripper_width=record.gripper_width,
            robot_mode=record.robot_mode,
            encode_s=0.0,
            robot_error=record.robot_error,
            reward=record.reward,
            success=record.success,
        )

    def bytes(self, message) -> bytes:
        return bytes(self.definitions.store.serialize_cdr(message, message.__msgtype__))


def samples(contract: Contract, ticks: int, seed: int = 0):
    """(stream, message) of a robot that moves: pose, joints at 100 Hz, object 60, gripper 30, task 20, images 15."""
    wire, rng = Wire(), np.random.default_rng(seed)
    every_ms = {"pose": 10, "joint_state": 10, "gripper": 33, "task": 50}
    every_ms |= {name: 66 if stream.is_image else 17 for name, stream in contract.streams.items() if name not in every_ms}
    for ms in range(0, 50 * ticks):
        stamp = START_NS + ms * 1_000_000 + int(rng.integers(1000))
        for name, every in every_ms.items():
            if ms % every:
                continue
            if name == "task":
                yield name, wire.task(stamp, float(rng.integers(2)))
            elif name in contract.images:
                yield name, wire.image(stamp, rng.integers(0, 255, (20, 30, 3), np.uint8))
            elif name in ("pose", "object"):
                yield name, wire.pose(stamp, rng.uniform(0.3, 0.5, 3))
            else:
                yield name, wire.joints(stamp, rng.uniform(0.0, 0.04, 2 if name == "gripper" else 7))


def record_live(
    path: Path, contract: Contract, ticks: int, *, seed: int = 0, lost=lambda name, number: False, unheard=0.0, encode=None
) -> int:
    """A recording in real time: samples take up to 12 ms to perception and, on their own, to the recorder. Samples that `lost`
    names never reach the recorder, a share `unheard` never perception. Returns how many observations are in it.
    """
    wire, rng, live = Wire(), np.random.default_rng(seed), Aligner(contract)
    topics = {name: "/" + stream.topic for name, stream in contract.streams.items()} | {"task": "/" + contract.reward.topic}
    arriving, recorded = [], []
    for number, (name, message) in enumerate(samples(contract, ticks, seed)):
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        delay_ns, late_ns = (int(ns) for ns in rng.integers(100_000, 12_000_000, 2))
        if rng.random() >= unheard:
            arriving.append((stamp + delay_ns, name, message))
        if not lost(name, number):
            recorded.append((stamp + late_ns, topics[name], message))
    arriving, recorded = (sorted(part, key=lambda entry: entry[0]) for part in (_in_order(arriving), _in_order(recorded)))
    for tick in range(1, ticks):
        now = START_NS + tick * PERIOD_NS + 1_234_567
        while arriving and arriving[0][0] <= now:
            _, name, message = arriving.pop(0)
            sample(name, message.__msgtype__, message, contract, encode).push(live)
        observation = live.observe(now)
        recorded.append((now + 300_000, "/lpds/observation", wire.observation(observation, contract.digest)))
    metadata = {METADATA: {"clock": "realtime", "robot_state_topic": ""}}
    with RolloutLogWriter(path, contract, metadata=metadata, chunk_bytes=4096) as log:
        for received_ns, topic, message in sorted(recorded, key=lambda entry: entry[0]):
            log.write_raw(topic, message.__msgtype__, wire.bytes(message), received_ns=received_ns)
    return ticks - 1


def _in_order(entries):
    """One stream's messages never overtake each other, whatever each of them took."""
    newest = {}
    for at, name, message in entries:
        newest[name] = max(at, newest.get(name, 0) + 1)
        yield newest[name], name, message
