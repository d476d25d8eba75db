"""What the robot says of the versions it was given, and what a learner makes of it."""

from dataclasses import dataclass

from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.store import ActorStore
from lpds_ros.weights import ActorParameters, unpack_weights


@dataclass(frozen=True)
class Standing:
    """Of SteeringStatus: the version that did best (0: the prior), the checksum of its tensors ("" of the prior), the newest
    one that was rolled back, and the name of that rollback ("" before any).
    """

    kept: int
    kept_sha256: str
    quarantined: int
    lineage: str

    def take_up(self, learner: Learner, store: ActorStore) -> bool:
        """Keep the best version's file; after a rollback go on from it. True when the learner went back.

        Raises OSError or ValueError when the version cannot be had here; the learner is as before.
        """
        if self.kept and self.kept != store.best:
            store.keep_best(self.kept)
        if self.lineage in ("", learner.lineage):
            return False
        learner.go_back(self._parameters(learner, store) if self.kept else None)
        learner.lineage = self.lineage
        store.quarantine(self.kept, self.quarantined)
        return True

    def _parameters(self, learner: Learner, store: ActorStore) -> ActorParameters:
        file = store.path(self.kept)
        found = unpack_weights(file.read_bytes(), contract=learner.contract, prior_digest=learner.prior_digest)
        if found.fingerprint != self.kept_sha256:
            raise ValueError(
                f"{file} holds other weights than the robot runs; start a learner in the run folder that they come from"
            )
        return found
