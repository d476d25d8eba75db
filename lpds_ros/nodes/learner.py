"""The learner node: decisions in, weights out. A shell over learning/worker.py; its own process, at lower priority."""

import array
import os
import time
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.nodes.base import LpdsNode, RefusedError, main as run_node  # isort: skip (sets what rclpy reads at its first import)
import torch
from lpds_msgs.msg import Decision as DecisionMsg
from lpds_msgs.msg import Episode as EpisodeMsg
from lpds_msgs.msg import LearnerStatus, SteeringStatus, SteeringWeights
from rclpy.executors import SingleThreadedExecutor

from lpds_ros.contract import ContractError
from lpds_ros.data.demos import decisions_from_demo
from lpds_ros.data.rollout_log import RolloutLogError, read_log
from lpds_ros.demos import read_demos
from lpds_ros.learning.checkpoint import load_checkpoint
from lpds_ros.learning.config import load_learner_config
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.standing import Standing
from lpds_ros.learning.worker import Progress, Worker
from lpds_ros.lease import Lease, LeaseError
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import MessageError, decision_from_msg, episode_from_msg
from lpds_ros.parameters import parameter
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.encoders import EncoderSession, encoded
from lpds_ros.prior.session import DecoderSession
from lpds_ros.records import Decision
from lpds_ros.weights import ActorParameters, sha256

LISTEN_S = 0.6  # discovery on one machine
HEAR_S = 1.8  # a living learner speaks twice a second
STATUS_PERIOD_S = 0.5


class LearnerError(RefusedError):
    """The learner must not run: another one owns this run or this robot, or an input is missing."""


@dataclass(frozen=True)
class Parameters:
    bundle: str = parameter("", "bundle directory of the prior that is steered")
    run_dir: str = parameter("", "run folder: log to start from, actor versions, checkpoint")
    config: str = parameter("", "YAML of the hyperparameters; empty: the defaults")
    demos: str = parameter("", "demonstrations (.hdf5) for the replay; empty: none")
    seed: int = parameter(0, "of initial weights and sampling", range=(0, 2**31))
    provider: str = parameter("cpu", "where the decoder runs for the learner's targets")
    variant: str = parameter("fp32", "precision of the decoder: the one that steering runs")
    checkpoint_s: float = parameter(30.0, "time between two checkpoints", unit="s", range=(1.0, 3600.0))
    threads: int = parameter(1, "threads of torch and of the decoder", range=(1, 64))


class LearnerNode(LpdsNode):
    """Subscribes lpds/decision and lpds/episode, publishes lpds/weights (latched) and lpds/learner_status."""

    NAME = "learner"
    Parameters = Parameters
    _worker: Worker | None = None
    _lease: Lease | None = None

    def set_up(self):
        p = self.params
        if not p.bundle or not p.run_dir:
            raise LearnerError("parameters bundle and run_dir are required: -p bundle:=models/lift -p run_dir:=runs/…")
        self.learner_id = f"{time.time_ns():020d}-{os.getpid()}"
        self._run_dir = Path(p.run_dir)
        self._lease = self._claim()
        self._listen_first()
        torch.set_num_threads(p.threads)
        self._learner_config = load_learner_config(p.config or None)
        bundle = load_bundle(p.bundle)
        self._bundle, self._contract = bundle, bundle.contract
        learner = Learner(
            bundle.contract,
            DecoderSession(bundle, p.provider, p.threads, variant=p.variant).decode,
            prior_digest=bundle.digest,
            state_shift=bundle.state_shift,
            state_scale=bundle.state_scale,
            config=self._learner_config,
            seed=p.seed,
        )
        self._worker = Worker(
            learner,
            self._run_dir,
            on_weights=self._publish_weights,
            on_progress=self._publish_status,
            read_back=self._read_back,
            log=lambda level, text: getattr(self.get_logger(), level)(text),
            checkpoint_s=p.checkpoint_s,
        )
        self._restore(learner)
        self._weights = self.create_publisher(SteeringWeights, "lpds/weights", qos.LATCHED)
        self._status = self.create_publisher(LearnerStatus, "lpds/learner_status", qos.CONTROL)
        self.create_subscription(DecisionMsg, "lpds/decision", self._on_decision, qos.RECORD)
        self.create_subscription(EpisodeMsg, "lpds/episode", self._on_episode, qos.RECORD)
        self._standing = Standing(0, "", 0, "")
        self.create_subscription(SteeringStatus, "lpds/steering_status", self._on_steering, qos.CONTROL)
        self.create_timer(STATUS_PERIOD_S, self._on_timer)
        self._worker.start()

    def _claim(self) -> Lease:
        try:
            return Lease(self._run_dir / "learner.lock", {"learner": self.learner_id})
        except LeaseError as error:
            pid = error.holder.get("pid", "unknown")
            raise LearnerError(
                f"a second learner: process {pid} already learns in {self._run_dir}; stop it first"
            ) from None

    def _listen_first(self):
        """One learner owns one robot. Only a status just sent counts: the dead stay in ROS's graph for a while."""
        self.create_subscription(LearnerStatus, "lpds/learner_status", self._on_status, qos.CONTROL)
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(self)
        start_s, limit_s = time.monotonic(), LISTEN_S
        while time.monotonic() - start_s < limit_s:
            limit_s = HEAR_S if self.count_publishers("lpds/learner_status") else LISTEN_S
            executor.spin_once(timeout_sec=0.05)
        executor.remove_node(self)
        executor.shutdown()

    def _on_status(self, message: LearnerStatus):
        """The older of two learners stays: ids begin with the time of their start."""
        if message.learner_id and message.learner_id < self.learner_id:
            raise LearnerError(
                f"a second learner: {message.learner_id} already serves this robot; "
                "stop it, or use another namespace or ROS_DOMAIN_ID"
            )

    def _restore(self, learner: Learner):
        if self.params.demos:
            encode = EncoderSession(self._bundle).encode
            for demonstration in read_demos(self.params.demos, self._contract).demonstrations:
                if self._contract.images:  # features out of a file may be another prior's: its own are made of the pictures
                    demonstration = encoded(demonstration, self._contract, encode)
                learner.add_demonstrations(decisions_from_demo(demonstration, self._contract))
        resumed = load_checkpoint(learner, self._run_dir / "checkpoint")
        for decision in self._read_back():
            self._worker.offer(decision)
        if resumed:
            self.get_logger().info(f"resumed after {learner.updates} updates, version {learner.version}")

    def _read_back(self):
        """Every decision in the run folder's logs, oldest first."""
        try:
            log = read_log(self._run_dir, self._contract)
        except RolloutLogError:  # nothing recorded yet
            return
        yield from (record for _, record in log if isinstance(record, Decision))

    def _on_decision(self, message: DecisionMsg):
        try:
            self._worker.offer(decision_from_msg(message, self._contract))
        except (ContractError, MessageError) as error:
            self._worker.refuse(str(error))

    def _on_episode(self, message: EpisodeMsg):
        self._worker.offer(episode_from_msg(message))

    def _on_steering(self, message: SteeringStatus):
        standing = Standing(
            message.weights_kept, message.weights_kept_sha256, message.weights_quarantined, message.lineage
        )
        if standing != self._standing:
            self._standing = standing
            self._worker.offer(standing)

    def _on_timer(self):
        if self._worker.error is not None:
            raise self._worker.error
        self._publish_status(self._worker.progress())

    def _publish_weights(self, parameters: ActorParameters, blob: bytes):
        message = SteeringWeights(
            learner_id=self.learner_id,
            version=parameters.version,
            contract_digest=parameters.contract_digest,
            prior_digest=parameters.prior_digest,
            sha256=sha256(blob),
            updates=parameters.updates,
            lineage=self._worker.learner.lineage,
            blob=array.array("B", blob),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._weights.publish(message)

    def _publish_status(self, progress: Progress):
        config, metrics = self._learner_config, progress.metrics
        message = LearnerStatus(
            learner_id=self.learner_id,
            state=progress.state,
            reason=progress.reason,
            decisions=progress.decisions,
            demonstrations=progress.demonstrations,
            updates=progress.updates,
            backlog=progress.backlog,
            updates_per_s=progress.updates_per_s,
            weights_version=progress.version,
            alpha=progress.alpha,
            delta_sq_mean=metrics.get("delta/sq_mean", 0.0),
            delta_sq_sum=metrics.get("delta/sq_sum", 0.0),
            delta_budget=config.delta,
            delta_reduction=config.delta_reduction,
            critic_loss=metrics.get("critic/loss", 0.0),
            q_mean=metrics.get("critic/q_mean", 0.0),
        )
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def stop(self):
        """End the updates, write a checkpoint, give the lease back."""
        try:
            if self._worker is not None:
                self._worker.stop()
        finally:
            if self._lease is not None:
                self._lease.release()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `learner`."""
    return run_node(LearnerNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
