"""The gate that weights pass before they may steer, and the way back when they are worse. No ROS.

Every method is to be called from one thread; `install` is called on it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Episode
from lpds_ros.steering.actor import Actor
from lpds_ros.steering.canary import Canary
from lpds_ros.weights import MAX_BYTES, ActorParameters, WeightsError, prior_parameters, sha256, unpack_weights

HELD = 4  # versions


@dataclass(frozen=True)
class Push:
    """One version on its way in, as announced. lineage: of the last rollback that its learner went along with."""

    version: int
    digest: str
    lineage: str
    blob: bytes


class WeightsGate:
    """Checks each push whole: size, checksum, digests, shapes, finiteness, a rising version, lineage, trust region.

    golden: (observation [B, T_o*d_o], noise [B, T_p, d_a], …) of the bundle, on which a version must keep inside its bound.
    max_radius: the robot's own bound on ‖Δ‖₂. session: names this gate's rollbacks. on_rollback: told why. closed: why no push is
    taken at all, "" where they are.
    Trained on after a rollback without having heard of it, weights descend from those that were rolled back: they are refused
    until the learner says in `lineage` that it went back too.
    """

    def __init__(
        self,
        contract: Contract,
        prior_digest: str,
        install: Callable[[ActorParameters], None],
        *,
        golden: list[tuple[np.ndarray, ...]],
        max_radius: float,
        canary: Canary,
        session: str,
        on_rollback: Callable[[str], None],
        closed: str = "",
    ):
        self._contract, self._prior_digest, self._install = contract, prior_digest, install
        self._golden, self._max_radius, self._session, self._on_rollback = golden, max_radius, session, on_rollback
        self._canary, self._rollbacks, self._unanswered, self._closed = canary, 0, False, closed
        prior = prior_parameters(contract, prior_digest)
        self._held: dict[int, ActorParameters] = {0: prior}  # what may be gone back to: the kept, the prior, the newest
        self._running = prior
        self.version = -1  # the newest that was taken
        self.rejected, self.lineage, self.quarantined, self.pinned = "", "", 0, False

    @property
    def kept(self) -> int:
        """The version that did best over a window of episodes; 0 is the prior."""
        return self._canary.kept

    @property
    def kept_fingerprint(self) -> str:
        """Of the kept version's tensors; empty for the prior, which has none."""
        return self._held[self.kept].fingerprint if self.kept else ""

    def push(self, push: Push):
        """Take up a push, or raise ValueError saying why not."""
        if self._closed:
            raise WeightsError(self._closed)
        if self.pinned:
            raise WeightsError(f"version {self._running.version} is pinned: `lpds weights unpin` takes pushes again")
        if self.lineage and push.lineage != self.lineage:
            raise WeightsError(
                f"version {push.version} descends from weights that were rolled back: its learner has not gone back to "
                f"version {self.kept} yet"
            )
        parameters = self._checked(push.blob, push.digest, newer_than=self.version)
        if parameters.version != push.version:
            raise WeightsError(f"the blob holds version {parameters.version}, announced was {push.version}")
        self._run(parameters)
        self.version = parameters.version
        if self._unanswered:  # what comes first after a rollback should be the kept version under a new number
            self._unanswered = False
            if self._is_kept(parameters):
                self._canary.renamed(parameters.version)

    def _is_kept(self, parameters: ActorParameters) -> bool:
        """Whether these steer as the kept version does. With a smaller spread of the noise it is not the prior, though Δ is 0."""
        if self.kept:
            return parameters.fingerprint == self.kept_fingerprint
        return parameters.noise_scale == 1.0 and not any(array.any() for array in parameters.layers[-1])

    def start(self, blob: bytes):
        """Begin with these weights, which a person chose. Raises WeightsError."""
        parameters = self._checked(blob, sha256(blob))
        self._run(parameters)
        self.version = parameters.version
        self._canary.rolled_back(parameters.version)

    def ended(self, episode: Episode):
        """Judge the versions by an ended episode; the kept one runs again when they have fallen too far."""
        if episode.weights_version not in self._held:  # what cannot be gone back to is not kept
            return
        reason = self._canary.judge(episode)
        if reason and not self.pinned:
            self._go_back(self._held[self.kept], reason)

    def roll_back(self, blob: bytes, digest: str):
        """Run these weights (none: the prior), of whatever age, until the learner has gone back to them and goes on. Raises
        WeightsError.
        """
        parameters = self._checked(blob, digest) if blob else self._held[0]
        self._go_back(parameters, f"a person rolled back to version {parameters.version}")

    def pin(self, blob: bytes = b"", digest: str = ""):
        """Run these weights (none: those that run) and take no push until `unpin`. Raises WeightsError."""
        if blob:
            self._run(self._checked(blob, digest))
        self.pinned = True

    def unpin(self):
        """Take pushes again."""
        self.pinned = False

    @property
    def running(self) -> int:
        """The version that was installed last."""
        return self._running.version

    def _checked(self, blob: bytes, digest: str, newer_than: int = -1) -> ActorParameters:
        if len(blob) > MAX_BYTES:
            raise WeightsError(f"weights are {len(blob)} bytes, more than the {MAX_BYTES} accepted")
        found = sha256(blob)
        if found != digest:
            raise WeightsError(f"weights have checksum {found[:12]}, announced was {digest[:12]}")
        parameters = unpack_weights(
            blob, contract=self._contract, prior_digest=self._prior_digest, newer_than=newer_than
        )
        self._require_trust(parameters)
        return parameters

    def _require_trust(self, parameters: ActorParameters):
        """What the network asks for before its projection: a learner that holds its budget stays well inside the bound."""
        bound = min(parameters.radius, self._max_radius)
        actor = Actor(replace(parameters, radius=math.inf), self._contract.noise_shape)
        spread = np.float32(parameters.noise_scale)  # of the noise that it will be given
        squares = [
            float(np.square(actor(state, spread * noise), dtype=np.float64).sum())
            for states, noises, *_ in self._golden
            for state, noise in zip(states, noises)
        ]
        mean = float(np.mean(squares))
        if not mean <= bound**2:
            raise WeightsError(
                f"version {parameters.version} leaves the trust region: ‖Δ‖² is {mean:.3g} on the bundle's golden states, the "
                f"bound is {bound**2:.3g}"
            )

    def _run(self, parameters: ActorParameters):
        self._install(parameters)
        self._held.pop(parameters.version, None)
        self._running = self._held[parameters.version] = parameters
        newest = [*self._held][-HELD:]  # an episode may end on one that has just been replaced
        self._held = {v: p for v, p in self._held.items() if v in (0, self.kept) or v in newest}
        self.rejected = ""

    def _go_back(self, parameters: ActorParameters, reason: str):
        self.quarantined = max(self.version, parameters.version)
        self._canary.rolled_back(parameters.version)
        self._run(parameters)
        self._rollbacks += 1
        self.lineage, self._unanswered = f"{self._session}/{self._rollbacks}", True
        self._on_rollback(reason)
