"""Streams: all that perception was given and steering sent, as ROS messages in an MCAP bag, beside the rollout log.

The contract's streams, their cameras' intrinsics and fixed frames, task state, robot state, targets, observations, decisions and
episodes. Log time is when a message was received here, publish time its header's stamp; the bytes are those of the wire. In a
process of its own: its disk, which images fill fast, never holds up the log that the learner needs.
"""

import shutil
import sys
import time
from dataclasses import dataclass

from lpds_ros.nodes.recorder import EXTRA, RecorderNode, RecorderParameters, further_topics  # isort: skip (as there)
from rclpy.qos import QoSProfile, ReliabilityPolicy

from lpds_ros.contract import ContractError, load_contract
from lpds_ros.data.definitions import DECISION, EPISODE
from lpds_ros.data.log_sink import LogSink
from lpds_ros.data.streams import METADATA, OBSERVATION, ROBOT, TASK
from lpds_ros.nodes import qos
from lpds_ros.nodes.base import main as run_node
from lpds_ros.nodes.messages import type_name
from lpds_ros.nodes.steering_command import MESSAGES
from lpds_ros.parameters import parameter
from lpds_ros.perception.cameras import info_topic

RATE_AFTER_S = 10.0
LARGE_BYTES_PER_S = 10e6
RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class StreamsParameters(RecorderParameters):
    path: str = parameter("streams.mcap", "bag; when it exists the next free streams_<n>.mcap beside it is taken")
    contract: str = parameter("", "contract file, whose streams are recorded (required)")
    file_mib: int = parameter(1024, "size at which, with an episode's end, the next file begins", "MiB", (1, 1 << 20))
    clock: str = parameter("realtime", "how time passes", choices=("realtime", "lockstep"))
    robot_state_topic: str = parameter("", "the robot's own state (FrankaRobotState); empty: not recorded")
    command_mode: str = parameter("cartesian_pose", "steering's, whose targets are recorded", choices=tuple(MESSAGES))
    targets_topic: str = parameter("", "their topic; empty: the mode's own")
    chunk_bytes: int = parameter(65536, "gathered before the system gets them: lost when it is killed", "B", (1, 1 << 24))
    waiting_mib: int = parameter(256, "that may wait for the disk before any message is dropped", "MiB", range=(1, 1 << 16))


class StreamsNode(RecorderNode):
    """A RecorderNode of everything. What the queue or the disk refuses is counted and said; nothing waits for it."""

    NAME = "streams"
    Parameters = StreamsParameters
    LOG_TIME = "received"

    def set_up(self):
        p = self.params
        if not p.contract:
            raise ContractError("parameter contract is empty: -p contract:=config/contracts/<task>.yaml")
        contract, extra = load_contract(p.contract), further_topics(p.topics)
        metadata = {METADATA: {"clock": p.clock, "robot_state_topic": p.robot_state_topic}}
        waiting = p.waiting_mib << 20
        self.begin(
            LogSink(
                p.path, contract, **self.sink_options(), max_waiting_bytes=waiting, metadata=metadata, chunk_bytes=p.chunk_bytes
            )
        )
        self._began_s, self._rate_said = time.monotonic(), False
        for stream in contract.streams.values():
            self.record(stream.topic, stream.type, EXTRA)
            if stream.is_image:
                self.record(info_topic(stream.topic), "sensor_msgs/msg/CameraInfo", EXTRA)
        if p.robot_state_topic:
            self.record(p.robot_state_topic, ROBOT, EXTRA)
        kind, topic = MESSAGES[p.command_mode]
        self.record(p.targets_topic or topic, type_name(kind), EXTRA)
        self.record("/tf_static", "tf2_msgs/msg/TFMessage", qos.FIXED_FRAMES)
        self.record(contract.reward.topic, TASK, RELIABLE)
        for topic, typename in (("lpds/observation", OBSERVATION), ("lpds/decision", DECISION), ("lpds/episode", EPISODE)):
            self.record(topic, typename, RELIABLE)
        for topic, typename in extra:
            self.record(topic, typename, EXTRA)

    def _report(self):
        super()._report()
        written = self._sink.status().written_bytes
        if not written:
            self._began_s = time.monotonic()
        elapsed_s = time.monotonic() - self._began_s
        if self._rate_said or elapsed_s < RATE_AFTER_S:
            return
        self._rate_said, rate = True, written / elapsed_s
        hours = shutil.disk_usage(self._sink.status().path.parent).free / max(rate, 1.0) / 3600
        text = f"{rate / 1e6:.1f} MB/s are recorded, {rate * 3.6e-6:.1f} GB an hour; the disk has room for {hours:.1f} h"
        if rate > LARGE_BYTES_PER_S:
            self.get_logger().warning(f"{text}: smaller or fewer images make it less")
        else:
            self.get_logger().info(text)


def main() -> int:
    return run_node(StreamsNode)


if __name__ == "__main__":
    sys.exit(main())
