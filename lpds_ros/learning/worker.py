"""The learner at work: a thread that takes decisions in, makes the updates they are worth, pushes weights, checkpoints.

No ROS: the node hands records in and gets weights and progress out through callbacks, which the thread calls.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lpds_ros.learning.checkpoint import save_checkpoint
from lpds_ros.learning.lpds import Learner
from lpds_ros.learning.standing import Standing
from lpds_ros.learning.store import ActorStore
from lpds_ros.records import Decision, Episode, Source
from lpds_ros.weights import ActorParameters, pack_weights

SLICE_S = 0.05
RATE_WINDOW_S = 5.0
SMOOTHING = 0.02  # of the reported metrics, per update
GAP_WAIT_S, GAP_TRIES = 1.0, 5


@dataclass(frozen=True)
class Progress:
    """What the learner does. state: warmup (until the actor moves), learning, idle, refused or frozen. metrics: smoothed."""

    state: str
    reason: str
    decisions: int
    demonstrations: int
    updates: int
    backlog: int
    updates_per_s: float
    version: int
    alpha: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class _Gap:
    """An ended episode with missing decisions. The log is asked, a little later: the recorder must have flushed it."""

    expected: int
    due_s: float
    tries: int = 0


class Worker:
    """Owns the learner's thread.

    on_weights: called with (parameters, blob) for each push, after the version is on disk. on_progress: called after
    each slice of updates (about 50 ms) and on a refusal. read_back: yields the decisions of the rollout log, to fill
    gaps. log: called with (level, text).
    """

    def __init__(
        self,
        learner: Learner,
        run_dir: Path,
        *,
        on_weights: Callable[[ActorParameters, bytes], None],
        on_progress: Callable[[Progress], None],
        read_back: Callable[[], Iterable[Decision]],
        log: Callable[[str, str], None],
        checkpoint_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.learner, self.store = learner, ActorStore(Path(run_dir) / "actor")
        self._checkpoint_dir, self._checkpoint_s, self._clock = Path(run_dir) / "checkpoint", checkpoint_s, clock
        self._on_weights, self._on_progress, self._read_back, self._log = on_weights, on_progress, read_back, log
        self._inbox: deque[Decision | Episode | Standing] = deque()
        self._wake, self._ending = threading.Event(), False
        self._received: Counter = Counter()
        self._gaps: dict[tuple[str, int], _Gap] = {}
        self._rate: deque[tuple[float, int]] = deque()
        self._metrics: dict[str, float] = {}
        self._refused = self._stranded = ""  # of what comes in; of the version that the robot went back to
        self._pushed_at = self._saved_updates = 0
        self._saved_s = clock()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="updates")

    def start(self):
        """Start the thread, after a checkpoint has been restored (if there was one)."""
        learner = self.learner
        # Versions only ever rise, also when the checkpoint is older than the last push.
        learner.version = max(learner.version, self.store.newest_version())
        self._pushed_at = self._saved_updates = learner.updates
        self._thread.start()

    def offer(self, record: Decision | Episode | Standing):
        """Hand in a decision, the end of an episode, or what the robot says of the versions. Returns at once."""
        self._inbox.append(record)
        self._wake.set()

    def stop(self):
        """End after the update in progress and write a checkpoint, unless the thread had ended with an `error`."""
        self._ending = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self.error is None and self.learner.updates > self._saved_updates:
            self._save()

    def progress(self) -> Progress:
        """The state of now. Thread safe enough for a status: single reads of plain numbers."""
        learner = self.learner
        waiting = sum(isinstance(record, Decision) for record in list(self._inbox))
        backlog = learner.owed + int(waiting * learner.config.updates_per_decision if learner.warm else 0)
        warming = not learner.warm or learner.updates < learner.config.critic_warmup_updates
        refused = self._refused or self._stranded
        state = "refused" if refused else "frozen" if learner.frozen else ""
        state = state or ("warmup" if warming else "learning" if backlog else "idle")
        return Progress(
            state=state,
            reason=refused or learner.frozen,
            decisions=learner.replay.total,
            demonstrations=learner.demonstrations.total if learner.demonstrations else 0,
            updates=learner.updates,
            backlog=backlog,
            updates_per_s=self._updates_per_s(),
            version=learner.version,
            alpha=learner.alpha,
            metrics=self._metrics,
        )

    def _run(self):
        try:
            if self.learner.version > 0 and self.learner.updates > 0:
                self._push()
            while not self._ending:
                self._take_in()
                self._fill_gaps()
                if self.learner.owed:
                    self._slice()
                else:
                    self._wake.wait(0.2)
                    self._wake.clear()
                if self._clock() - self._saved_s > self._checkpoint_s and self.learner.updates > self._saved_updates:
                    self._save()
        except BaseException as error:  # noqa: BLE001 (raised again by the node, which ends the process)
            self.error = error

    def _slice(self):
        end = self._clock() + SLICE_S
        while self.learner.owed and not self._ending:
            self._smooth(self.learner.update())
            if self._push_due():
                self._push()
            if self._clock() > end:
                break
        self._rate.append((self._clock(), self.learner.updates))
        self._on_progress(self.progress())

    def _smooth(self, metrics: dict[str, float]):
        """Running averages: one minibatch's ‖Δ‖² says little about its expectation."""
        old = self._metrics
        self._metrics = old | {k: old[k] + SMOOTHING * (v - old[k]) if k in old else v for k, v in metrics.items()}

    def _take_in(self):
        while self._inbox:
            record = self._inbox.popleft()
            if isinstance(record, Episode):
                self._episode_ended(record)
            elif isinstance(record, Standing):
                self._stand(record)
            else:
                self._received[record.session, record.episode] += self._add(record)

    def _add(self, decision: Decision) -> bool:
        """Whether the decision is new and was taken. Another contract's or prior's is refused, with both values."""
        expected = self.learner.prior_digest
        foreign = decision.prior_digest != expected and not (
            decision.source == Source.OPERATOR and not decision.prior_digest
        )
        if decision.contract_digest != self.learner.contract.digest:
            self.refuse(_mismatch("contract", decision.contract_digest, self.learner.contract.digest))
            return False
        if foreign:
            self.refuse(_mismatch("prior", decision.prior_digest, expected))
            return False
        try:
            return self.learner.add(decision)
        except ValueError as error:
            self._log("error", f"left out: {error}")
            return False

    def refuse(self, reason: str):
        """Show `reason` in every status from now on: what comes in does not belong to this learner."""
        if reason != self._refused:
            self._refused = reason
            self._log("error", reason)
            self._on_progress(self.progress())

    def _episode_ended(self, episode: Episode):
        key = (episode.session, episode.episode)
        if self._received.pop(key, 0) < episode.decisions and not self._refused:
            self._gaps[key] = _Gap(episode.decisions, self._clock() + GAP_WAIT_S)

    def _fill_gaps(self):
        due = [key for key, gap in self._gaps.items() if self._clock() >= gap.due_s]
        if not due:
            return
        found = Counter()
        for decision in self._read_back():
            self._add(decision)
            found[decision.session, decision.episode] += 1
        for key in due:
            gap = self._gaps[key]
            gap.tries += 1
            gap.due_s = self._clock() + GAP_WAIT_S
            if found[key] >= gap.expected or gap.tries >= GAP_TRIES:
                if found[key] < gap.expected:
                    self._log(
                        "warning",
                        f"episode {key[1]}: {gap.expected - found[key]} decisions are in no log; learning goes on",
                    )
                del self._gaps[key]

    def _stand(self, standing: Standing):
        """After a rollback the version that runs is published anew: so the robot learns that its learner went back too."""
        try:
            went_back = standing.take_up(self.learner, self.store)
        except (OSError, ValueError) as error:
            self._stranded = f"the robot went back to version {standing.kept}, which this learner cannot: {error}"
            self._log("error", self._stranded)
            self._on_progress(self.progress())
            return
        self._stranded = ""
        if went_back:
            self._log("warning", f"back to version {standing.kept}: the robot rolled back up to {standing.quarantined}")
            self._push()

    def _push_due(self) -> bool:
        """Nothing is pushed while only the critics learn: the actor is still the prior."""
        config = self.learner.config
        due = self.learner.updates - max(self._pushed_at, config.critic_warmup_updates) >= config.push_every
        return due and not self.learner.frozen

    def _push(self):
        parameters = self.learner.actor_parameters()
        blob = pack_weights(parameters)
        self.store.write(parameters.version, blob)
        self._pushed_at = self.learner.updates
        self._on_weights(parameters, blob)

    def _save(self):
        save_checkpoint(self.learner, self._checkpoint_dir)
        self._saved_s, self._saved_updates = self._clock(), self.learner.updates

    def _updates_per_s(self) -> float:
        now = self._clock()
        while self._rate and now - self._rate[0][0] > RATE_WINDOW_S:
            self._rate.popleft()
        if len(self._rate) < 2:
            return 0.0
        (t0, u0), (t1, u1) = self._rate[0], self._rate[-1]
        return (u1 - u0) / (t1 - t0) if t1 > t0 else 0.0


def _mismatch(what: str, found: str, expected: str) -> str:
    return (
        f"decisions were made under {what} {found[:12]}, this learner has {expected[:12]}: start both from one bundle"
    )
