"""Weights on their way in, off the control thread: whose they are, through the gate, and only then to the core."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lpds_msgs.msg import LearnerStatus, SteeringWeights
from lpds_msgs.srv import ManageWeights

from lpds_ros.records import Episode
from lpds_ros.steering.gate import Push, WeightsGate
from lpds_ros.weights import MAX_BYTES

LEASE_S = 10.0
LOST_S = 3.0  # a living learner speaks twice a second


class WeightsInbox:
    """One learner owns this robot; what it pushes and how the episodes end goes to the gate, in this order, on one thread.

    Serves lpds/manage_weights. now_s: the clock of the learner's lease, for tests.
    """

    def __init__(self, node, gate: WeightsGate, now_s: Callable[[], float] = time.monotonic):
        self._gate, self._log, self._now_s = gate, node.get_logger(), now_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._owner, self._seen_s = "", 0.0
        self._kept = 0
        self._account()
        node.create_service(ManageWeights, "lpds/manage_weights", self._on_manage)

    def on_status(self, message: LearnerStatus):
        """A learner lives: the first one owns this robot until it has been silent for LEASE_S."""
        if message.learner_id and self._owned_by(message.learner_id):
            self._owner, self._seen_s = message.learner_id, self._now_s()

    def on_weights(self, message: SteeringWeights):
        """Check one push. Returns at once; the work is done on the inbox's own thread."""
        if not self._owned_by(message.learner_id):
            self._refuse(
                f"version {message.version} comes from learner {message.learner_id}, this robot is served by "
                f"{self._owner}: stop one of the two, or give them different namespaces"
            )
            return
        self._owner, self._seen_s = message.learner_id, self._now_s()
        self._pool.submit(self._work, self._check, message)

    def on_episode(self, episode: Episode):
        """An episode ended: its version may be the best, or so bad that the best must run again."""
        self._pool.submit(self._work, self._judge, episode)

    def report(self) -> dict:
        """The gate's fields of a SteeringStatus, as they were between two jobs: in the midst of one they do not fit together."""
        return self._standing | {"weights_rejected": self._gate.rejected}

    def _work(self, job: Callable, *arguments):
        """A job of the inbox's thread, accounted for."""
        try:
            return job(*arguments)
        finally:
            self._account()

    def _account(self):
        gate = self._gate
        self._standing = dict(
            weights_kept=gate.kept,
            weights_kept_sha256=gate.kept_fingerprint,
            weights_quarantined=gate.quarantined,
            lineage=gate.lineage,
            weights_pinned=gate.pinned,
        )

    @property
    def lost(self) -> str:
        """That the learner has fallen silent, or ""; what it pushed last goes on steering."""
        silent_s = self._now_s() - self._seen_s
        return f"LEARNER_LOST: silent for {silent_s:.0f} s" if self._owner and silent_s > LOST_S else ""

    def _owned_by(self, learner: str) -> bool:
        return self._owner in ("", learner) or self._now_s() - self._seen_s > LEASE_S

    def _check(self, message: SteeringWeights):
        try:
            self._gate.push(Push(message.version, message.sha256, message.lineage, _bytes(message.blob)))
        except Exception as error:  # noqa: BLE001 (a push never does more harm than being refused)
            self._refuse(_said(error))

    def _judge(self, episode: Episode):
        try:
            self._gate.ended(episode)
        except Exception as error:  # noqa: BLE001 (the arm goes on with what runs; nobody reads this job's result)
            self._log.error(f"the versions could not be judged by episode {episode.episode}: {_said(error)}")
        if self._gate.kept != self._kept:
            self._kept = self._gate.kept
            self._log.info(f"version {self._kept} is the best so far")

    def _on_manage(self, request, response):
        try:
            response.message = self._pool.submit(self._work, self._manage, request).result()
            response.success = True
        except Exception as error:  # noqa: BLE001 (as with a push)
            response.message = _said(error)
        response.weights_version = self._gate.running
        return response

    def _manage(self, request) -> str:
        gate, blob = self._gate, _bytes(request.blob)
        if request.action == ManageWeights.Request.ROLLBACK:
            gate.roll_back(blob, request.sha256)
            return f"version {gate.running} runs again from the next chunk on; a learner goes back to it too"
        if request.action == ManageWeights.Request.PIN:
            gate.pin(blob, request.sha256)
            return f"version {gate.running} is pinned: no push is taken until `lpds weights unpin`"
        if request.action == ManageWeights.Request.UNPIN:
            gate.unpin()
            return "pushes are taken again"
        raise ValueError(f"action {request.action} is none of ROLLBACK, PIN, UNPIN")

    def _refuse(self, reason: str):
        self._gate.rejected = reason
        self._log.warning(f"weights refused: {reason}")

    def drain(self):
        """Wait for the checks under way, and take no more."""
        self._pool.shutdown(wait=True)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _bytes(field) -> bytes:
    """A uint8[] as bytes, no more of it than the gate needs to see that it is too long."""
    return bytes(field[: MAX_BYTES + 1])
