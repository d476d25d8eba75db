"""From one episode to the next: the learner catches up, the task is reset, the core may begin."""

import math
import time
from collections.abc import Callable

from lpds_msgs.srv import Reset

from lpds_ros.nodes.messages import stamp_ns

SAY_S = 5.0
LEARNER_LOST_S = 10.0
RETRY_S = 1.0


class EpisodeTurn:
    """`start` begins the turn; `poll` (called on every event that may help, and by a timer) moves it on.

    on_ready(seed, stamp_ns) is called in the executor when the first state of the new episode will carry that stamp
    or a later one. backlog_limit: updates the learner may still owe when the next episode starts, None without the
    gate. patience_s: how long the gate waits for a learner. auto_reset: call lpds/reset; otherwise the episode starts
    as things are. reset_patience_s: how long its answer may take before it is asked again; 0: for ever, as long as somebody
    serves it (a person puts the scene in order). unready: why nothing may be reset yet, or "".
    """

    def __init__(
        self,
        node,
        on_ready: Callable[[int, int], None],
        *,
        backlog_limit: int | None,
        patience_s: float,
        auto_reset: bool,
        reset_patience_s: float = 5.0,
        unready: Callable[[], str] = lambda: "",
    ):
        self._log, self._on_ready, self._unready = node.get_logger(), on_ready, unready
        self._backlog_limit, self._patience_s, self._auto_reset = backlog_limit, patience_s, auto_reset
        self._reset_patience_s = reset_patience_s or math.inf
        self._node, self._client, self._servers = node, node.create_client(Reset, "lpds/reset"), 0
        self._seed: int | None = None
        self._future = None
        self._began_s = self._said_s = self._again_s = 0.0
        self._backlog: int | None = None
        self._heard_s = 0.0
        self._gate_open = False

    @property
    def under_way(self) -> bool:
        """Whether a turn is in progress."""
        return self._seed is not None

    @property
    def client(self):
        return self._client

    @property
    def waiting(self) -> str:
        """What was asked for and is not answered yet, or ""."""
        return f"waiting for {self._client.srv_name}" if self._future is not None and not self._future.done() else ""

    def on_learner(self, backlog: int):
        """The learner said how many updates it still owes."""
        self._backlog, self._heard_s = backlog, time.monotonic()
        self.poll()

    def start(self, seed: int):
        """Begin the turn to the episode of this seed."""
        self._seed, self._future, self._gate_open = seed, None, False
        self._began_s = self._said_s = time.monotonic()
        self.poll()

    def poll(self):
        """Go on if something can be done now."""
        if self._seed is None or self._answer_is_due():
            return
        if reason := self._unready():
            self._say(reason)
            return
        if not self._gate():
            return
        if not self._auto_reset:
            self._finish(time.time_ns())
        elif not self._client.service_is_ready():
            self._say(f"waiting for the service {self._client.srv_name}: is the simulation running, or the node `cell`?")
        else:
            if self._future is not None and not self._future.done():
                self._log.warning(f"{self._client.srv_name} has not answered for {self._reset_patience_s:.0f} s: asking again")
                self._future.cancel()
            self._again_s = time.monotonic() + self._reset_patience_s
            self._servers = self._node.count_services(self._client.srv_name)
            self._future = self._client.call_async(Reset.Request(seed=self._seed))
            self._future.add_done_callback(self._answered)

    def _answer_is_due(self) -> bool:
        """Whether the reset was asked for and its answer, or the time to ask again, is waited for."""
        if self._future is None or time.monotonic() >= self._again_s:
            return False
        if not self._future.done() and self._node.count_services(self._client.srv_name) != self._servers:
            # One that was killed is still counted for a while, beside the one started in its place.
            self._log.warning(f"who serves {self._client.srv_name} has changed, with an answer owed: asking again")
            self._future.cancel()
            self._future = None
            return False
        return True

    def _gate(self) -> bool:
        """Whether the learner has caught up, or is not to be waited for any longer."""
        if self._backlog_limit is None or self._gate_open:
            return True
        now = time.monotonic()
        if self._backlog is not None and self._backlog <= self._backlog_limit:
            self._gate_open = True
        elif self._backlog is not None and now - self._heard_s > LEARNER_LOST_S:
            self._log.warning(f"the learner has been silent for {now - self._heard_s:.0f} s: going on without it")
            self._backlog_limit = None
        elif now - self._began_s > self._patience_s:
            what = (
                "no learner has been heard"
                if self._backlog is None
                else f"the learner still owes {self._backlog} updates"
            )
            self._log.warning(f"{what} after {self._patience_s:.0f} s: starting the episode anyway")
            self._gate_open = True
        return self._gate_open or self._backlog_limit is None

    def _answered(self, future):
        if future is not self._future or future.cancelled() or self._seed is None:
            return
        if future.exception() is not None or not future.result().success:
            why = future.exception() or future.result().message
            self._log.error(f"{self._client.srv_name} failed: {why}; trying again")
            self._again_s = time.monotonic() + RETRY_S
            return
        self._finish(stamp_ns(future.result().stamp))

    def _finish(self, stamp: int):
        seed, self._seed, self._future = self._seed, None, None
        self._on_ready(seed, stamp)

    def _say(self, text: str):
        now = time.monotonic()
        if now - self._said_s > SAY_S:
            self._said_s = now
            self._log.warning(text)
