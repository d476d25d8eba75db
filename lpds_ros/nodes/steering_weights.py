"""Weights on their way in: whose they are, checked whole, off the control thread; only then handed to the core."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lpds_msgs.msg import LearnerStatus, SteeringWeights

from lpds_ros.contract import Contract
from lpds_ros.weights import MAX_BYTES, ActorParameters, WeightsError, sha256, unpack_weights

LEASE_S = 10.0


class WeightsInbox:
    """Checks each push: one learner owns this robot, size, checksum, digests, shapes, finiteness, a rising version.

    install: called with accepted parameters, on a thread of the inbox. `rejected` says why the last push was refused,
    and is empty when it was taken. now_s: the clock of the learner's lease, for tests.
    """

    def __init__(
        self,
        contract: Contract,
        prior_digest: str,
        install: Callable[[ActorParameters], None],
        log,
        now_s: Callable[[], float] = time.monotonic,
    ):
        self._contract, self._prior_digest, self._install, self._log, self._now_s = (
            contract,
            prior_digest,
            install,
            log,
            now_s,
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._owner, self._seen_s = "", 0.0
        self.version = -1
        self.rejected = ""

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
        self._pool.submit(self._check, message)

    def _owned_by(self, learner: str) -> bool:
        return self._owner in ("", learner) or self._now_s() - self._seen_s > LEASE_S

    def _check(self, message: SteeringWeights):
        try:
            parameters = self._unpack(message)
            self._install(parameters)
        except Exception as error:  # noqa: BLE001 (a push never does more harm than being refused)
            self._refuse(f"{'' if isinstance(error, ValueError) else type(error).__name__ + ': '}{error}")
            return
        self.version, self.rejected = parameters.version, ""

    def _unpack(self, message: SteeringWeights) -> ActorParameters:
        if len(message.blob) > MAX_BYTES:
            raise WeightsError(f"weights are {len(message.blob)} bytes, more than the {MAX_BYTES} accepted")
        blob = bytes(message.blob)
        digest = sha256(blob)
        if digest != message.sha256:
            raise WeightsError(f"weights have checksum {digest[:12]}, announced was {message.sha256[:12]}")
        parameters = unpack_weights(
            blob, contract=self._contract, prior_digest=self._prior_digest, newer_than=self.version
        )
        if parameters.version != message.version:
            raise WeightsError(f"the blob holds version {parameters.version}, announced was {message.version}")
        return parameters

    def _refuse(self, reason: str):
        self.rejected = reason
        self._log.warning(f"weights refused: {reason}")

    def drain(self):
        """Wait for the checks under way, and take no more."""
        self._pool.shutdown(wait=True)
