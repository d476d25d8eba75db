"""Recorder: every Decision and Episode, byte for byte as published, into the rollout log."""

import importlib
import shutil
import sys
from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lpds_msgs.msg import Decision, Episode
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
    _sink: LogSink | None = None

    def set_up(self):
        contract = load_contract(self.params.contract) if self.params.contract else None
        extra = [_topic(text) for text in self.params.topics.split(",") if text.strip()]
        self._sink = LogSink(
            self.params.path,
            contract,
            capacity=self.params.capacity,
            on_error=lambda text: self.get_logger().error(text),
            max_bytes=self.params.file_mib << 20,
        )
        self._reported_drops, self._warned = 0, False
        self._record("lpds/decision", DECISION, Decision, RECORD)
        self._record("lpds/episode", EPISODE, Episode, RECORD)
        for topic, typename, message in extra:
            self._record(topic, typename, message, EXTRA)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(REPORT_S, self._report)
        self.get_logger().info(f"recording to {self._sink.status().path}")

    def _record(self, topic, typename, message, qos):
        name = self.resolve_topic_name(topic)
        flush = typename == EPISODE
        self.create_subscription(
            message, topic, lambda cdr: self._sink.put(name, typename, bytes(cdr), flush=flush), qos, raw=True
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


def _topic(text: str):
    """(topic, type name, message class) of 'topic:package/msg/Type'. Raises ParameterError."""
    topic, _, typename = text.strip().rpartition(":")
    try:
        package, _, name = typename.split("/")
        return topic, typename, getattr(importlib.import_module(f"{package}.msg"), name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ParameterError(
            f"parameter topics: '{text.strip()}' is no 'topic:package/msg/Type' of this machine: {error}"
        ) from None


def main() -> int:
    return run_node(RecorderNode)


if __name__ == "__main__":
    sys.exit(main())
