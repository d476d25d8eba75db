"""Recorder: every Decision and Episode, byte for byte as published, into the rollout log."""

import importlib
import shutil
import sys
import time
from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile, ReliabilityPolicy

from lpds_ros.contract import load_contract
from lpds_ros.data.definitions import DECISION, EPISODE
from lpds_ros.data.log_sink import LogSink
from lpds_ros.nodes.qos import RECORD
from lpds_ros.parameters import ParameterError, parameter

REPORT_S = 1.0
# Best effort is matched by every publisher, a reliable subscription only by a reliable one.
EXTRA = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class RecorderParameters:
    path: str = parameter(
        "rollouts.mcap", "log file; when it exists the next free rollouts_<n>.mcap beside it is taken"
    )
    contract: str = parameter("", "contract file to store in the log; empty: none")
    file_mib: int = parameter(256, "size at which, with an episode's end, the next file begins", "MiB", (1, 1 << 20))
    min_free_mib: int = parameter(1024, "free room on the disk below which it warns", "MiB", range=(0, 1 << 30))
    topics: str = parameter("", "further topics to record: 'topic:package/msg/Type', separated by commas")
    capacity: int = parameter(10_000, "messages that may wait for the disk before any is dropped", range=(1, 1_000_000))


class RecorderNode(LpdsNode):
    """Raw subscriptions feed a LogSink, flushed at each Episode. Its state goes to /diagnostics once a second."""

    NAME = "recorder"
    Parameters = RecorderParameters
    LOG_TIME = "stamp"  # of a message: its header's, or when it was received
    _sink: LogSink | None = None

    def set_up(self):
        contract = load_contract(self.params.contract) if self.params.contract else None
        extra = further_topics(self.params.topics)
        self.begin(LogSink(self.params.path, contract, **self.sink_options()))
        self.record("lpds/decision", DECISION, RECORD)
        self.record("lpds/episode", EPISODE, RECORD)
        for topic, typename in extra:
            self.record(topic, typename, EXTRA)

    def sink_options(self) -> dict:
        """Arguments of the LogSink that parameters and this node give."""
        return {
            "capacity": self.params.capacity,
            "on_error": lambda text: self.get_logger().error(text),
            "max_bytes": self.params.file_mib << 20,
        }

    def begin(self, sink: LogSink):
        """Record into `sink` what `record` names from now on, and report it."""
        self._sink, self._reported_drops, self._warned = sink, 0, False
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(REPORT_S, self._report)
        self.get_logger().info(f"recording to {sink.status().path}")

    def record(self, topic: str, typename: str, qos: QoSProfile):
        """Subscribe and put every message, as it came, into the sink."""
        name, flush = self.resolve_topic_name(topic), typename == EPISODE
        received_ns = time.time_ns if self.LOG_TIME == "received" else lambda: None
        self.create_subscription(
            message_class(typename),
            topic,
            lambda cdr: self._sink.put(name, typename, bytes(cdr), flush=flush, received_ns=received_ns()),
            qos,
            raw=True,
        )

    def _report(self):
        status = self._sink.status()
        if status.dropped > self._reported_drops:
            self.get_logger().error(
                f"{status.dropped} messages were not recorded: {status.error or 'the disk is too slow'}"
            )
            self._reported_drops = status.dropped
        low = self._low_disk(status.path)
        level = DiagnosticStatus.WARN if low else DiagnosticStatus.OK
        level = DiagnosticStatus.ERROR if status.error or status.dropped else level
        text = status.error or (f"{status.dropped} messages dropped" if status.dropped else low or "recording")
        values = {"path": status.path, "written": status.written, "dropped": status.dropped, "waiting": status.waiting}
        values["bytes"] = status.written_bytes
        report = DiagnosticStatus(
            level=level,
            name=self.get_fully_qualified_name(),
            message=text,
            hardware_id="",
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[report])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _low_disk(self, path) -> str:
        """That the disk will soon be full, said once in the log too, or ""."""
        free = shutil.disk_usage(path.parent).free
        if free >= self.params.min_free_mib << 20:
            self._warned = False
            return ""
        text = f"{path.parent}: only {free >> 20} MiB are free: make room, or what is decided will not be recorded"
        if not self._warned:
            self._warned = True
            self.get_logger().warning(text)
        return text

    def stop(self):
        """Write what waits and close the log."""
        if self._sink is None:
            return
        status = self._sink.close()
        self.get_logger().info(f"{status.path}: {status.written} messages, {status.dropped} dropped")


def message_class(typename: str):
    """The class of 'package/msg/Type'. Raises ValueError, ImportError, AttributeError."""
    package, _, name = typename.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def further_topics(text: str) -> list[tuple[str, str]]:
    """(topic, type name) of each 'topic:package/msg/Type', separated by commas. Raises ParameterError."""
    found = []
    for word in filter(None, map(str.strip, text.split(","))):
        topic, _, typename = word.rpartition(":")
        try:
            message_class(typename)
        except (ValueError, ImportError, AttributeError) as error:
            raise ParameterError(f"parameter topics: '{word}' is no 'topic:package/msg/Type' of this machine: {error}") from None
        found.append((topic, typename))
    return found


def main() -> int:
    return run_node(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
