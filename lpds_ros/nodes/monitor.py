"""Listens to a running stack and keeps a RunSummary up to date. Lives inside `lpds demo` and `lpds demos collect`."""

import threading
from functools import partial

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
from lpds_msgs.msg import Episode, LearnerStatus, SteeringStatus

from lpds_ros.nodes import qos
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.messages import episode_from_msg
from lpds_ros.records import Mode
from lpds_ros.summary import LearnerSample, RunSummary, SteeringSample


class MonitorNode(LpdsNode):
    """Subscribes lpds/episode, lpds/steering_status and lpds/learner_status."""

    NAME = "monitor"

    def __init__(self, summary: RunSummary, **options):
        super().__init__(**options)
        self.summary, self.lock = summary, threading.Lock()
        self.create_subscription(Episode, "lpds/episode", self._on_episode, qos.RECORD)
        self.create_subscription(SteeringStatus, "lpds/steering_status", self._on_steering, qos.CONTROL)
        self.create_subscription(LearnerStatus, "lpds/learner_status", self._on_learner, qos.CONTROL)

    def _on_episode(self, message: Episode):
        with self.lock:
            self.summary.add_episode(episode_from_msg(message))

    def _on_steering(self, message: SteeringStatus):
        self.summary.steering = steering_sample(message)

    def _on_learner(self, message: LearnerStatus):
        self.summary.learner = learner_sample(message)


def steering_sample(message: SteeringStatus) -> SteeringSample:
    """The figures of a SteeringStatus that a run is judged by."""
    return SteeringSample(
        mode=Mode(message.mode),
        reason=message.reason,
        provider=message.provider,
        weights_version=message.weights_version,
        weights_rejected=message.weights_rejected,
        ticks=message.ticks,
        missed_deadlines=message.missed_deadlines,
        tick_p50_s=message.tick_p50_s,
        tick_p99_s=message.tick_p99_s,
        lateness_p99_s=message.lateness_p99_s,
        observation_age_p99_s=message.observation_age_p99_s,
    )


def learner_sample(message: LearnerStatus) -> LearnerSample:
    """The figures of a LearnerStatus, ‖Δ‖² in the reduction that the learner constrains."""
    return LearnerSample(
        state=message.state,
        reason=message.reason,
        decisions=message.decisions,
        updates=message.updates,
        backlog=message.backlog,
        updates_per_s=message.updates_per_s,
        weights_version=message.weights_version,
        alpha=message.alpha,
        delta_sq=message.delta_sq_sum if message.delta_reduction == "sum" else message.delta_sq_mean,
        delta_budget=message.delta_budget,
        delta_reduction=message.delta_reduction,
    )


class Monitor(Attached):
    """A MonitorNode beside whatever else this process does."""

    def __init__(self, summary: RunSummary, namespace: str = ""):
        super().__init__(partial(MonitorNode, summary), namespace)

    @property
    def lock(self) -> threading.Lock:
        """Held while an episode is added; hold it to read the rows."""
        return self.node.lock
