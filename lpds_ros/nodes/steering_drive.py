"""The two ways to tick: in lockstep on each observation, in real time on absolute deadlines of the monotonic clock.

A driver gets observations and calls its host (the steering node): control(observation) -> Tick decides, aftermath(tick,
then) hands records and gripper goals out, command(tick) says what the arm is told for it and pause(stamp) what when nothing is
commanded any more, publish(commands) tells it, overdue() hears of a tick that does not end. host.streamed: whether the commands
of a period are for one moment after the other.
"""

import gc
import math
import sys
import threading
import time
from dataclasses import replace

import numpy as np

from lpds_ros.nodes.threads import NodeThread
from lpds_ros.perception.robot import FUTURE_TOLERANCE_NS, OTHER
from lpds_ros.realtime import put_first
from lpds_ros.records import Observation
from lpds_ros.robot.targets import Target, at, at_rest
from lpds_ros.steering.clock import Ring, TickClock
from lpds_ros.steering.tick import Tick

GRIPPER_PATIENCE_S = 2.0
# Control ticks without a new observation after which the arm holds; before that a late one only costs its tick.
SILENT_PERIODS = 3
LATE = 2  # periods after which a command has no successor
HANG_S = 2.0  # of one tick: what takes so long does not come back
# A waiting control thread gets the interpreter after this long instead of Python's 5 ms.
SWITCH_INTERVAL_S = 0.0005


class LockstepDriver:
    """One tick per observation; the burst of targets makes simulated time go on. Runs in the executor alone.

    A repeated observation gets the stored burst again. Between episodes no burst is sent: time waits for the reset.
    wait_for_operator: tick only when the operator has answered the very observation.
    """

    def __init__(self, host, clock: TickClock, wait_for_operator: bool):
        self._host, self._clock, self._wait = host, clock, wait_for_operator
        self.age_s = Ring()
        self._observation: Observation | None = None
        self._burst: tuple[Target, ...] = ()
        self._busy_since_s: float | None = None
        self._awaiting: Observation | None = None

    def on_observation(self, observation: Observation):
        """Tick, or say the stored burst again."""
        if self._busy_since_s is not None:
            return  # the burst waits for the gripper's answer
        if self._observation is not None and observation.stamp_ns == self._observation.stamp_ns and self._burst:
            self._host.publish(self._burst)
            return
        self._offer(observation)

    def on_operator(self):
        """The operator said something: perhaps what a tick waits for."""
        if self._awaiting is not None:
            self._offer(self._awaiting)

    def retry(self):
        """An episode may begin: its first observation may have been here before the reset's answer."""
        if self._observation is not None and self._busy_since_s is None and not self._burst:
            self._offer(self._observation)

    def poll(self):
        """Give up waiting for a gripper that does not answer."""
        if self._busy_since_s is not None and time.monotonic() - self._busy_since_s > GRIPPER_PATIENCE_S:
            self._host.complain(f"the gripper has not answered for {GRIPPER_PATIENCE_S:.0f} s: going on without it")
            self._commanded()

    def _offer(self, observation: Observation):
        if self._wait and self._host.episode_due and not self._host.answered(observation.stamp_ns):
            self._awaiting = self._observation = observation
            self._burst = ()
            return
        self._awaiting = None
        self._tick(observation)

    def _tick(self, observation: Observation):
        start_s = time.monotonic()
        self._observation, self._burst = observation, ()
        self._clock.begin()
        tick = self._host.control(observation)
        self._clock.done()
        burst = self._host.command(tick) if self._host.running else ()
        if not self._host.running:
            self._host.pause(tick.stamp_ns)  # unsaid: time stands still between episodes, and the arm with it
        if tick.gripper is None:
            self._host.aftermath(tick)
            self._send(burst)
            self.age_s.add(time.monotonic() - start_s)
        else:
            self._busy_since_s, self._after_gripper = time.monotonic(), burst
            self._host.aftermath(tick, self._commanded)

    def _commanded(self):
        """The gripper has its goal: now time may go on."""
        if self._busy_since_s is not None:
            self._busy_since_s = None
            self._send(self._after_gripper)

    def _send(self, burst: tuple[Target, ...]):
        self._burst = burst
        self._host.publish(burst)

    @property
    def busy_s(self) -> float:
        """A tick runs in the executor here: who could ask is not asked."""
        return 0.0

    def end(self):
        """Nothing runs on its own here."""


class RealtimeDriver:
    """A tick thread at the contract's rate and a publisher thread that interpolates; the executor only feeds them."""

    def __init__(self, node, host, clock: TickClock, observation_size: int, targets_per_period: int):
        self._node, self._host, self._clock, self._size = node, host, clock, observation_size
        self.age_s = Ring()
        self._news = threading.Condition()
        self._observation: Observation | None = None
        self._used_ns = 0
        self._last_new_s = time.monotonic()
        self._plan: tuple[int, tuple[Target, ...]] | None = None
        self._saying = threading.Lock()  # so that a pause is the last word
        self._began_s: float | None = None  # of the tick under way
        self._slice_ns = clock.period_ns // targets_per_period
        self._threads: list[NodeThread] = []

    def start(self):
        """Start both threads. What start-up left behind is taken out of the garbage collector's sight: with 300,000
        objects one collection takes 30 ms.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()
        self._threads = [NodeThread(self._node, self.tick_until, "tick")]
        if self._host.streamed:
            self._threads.append(NodeThread(self._node, self._publish, "publish"))

    def on_observation(self, observation: Observation):
        """Keep the newest."""
        with self._news:
            self._observation = observation
            self._news.notify()

    def on_operator(self):
        """Read with the next tick."""

    def retry(self):
        """Read with the next tick."""

    @property
    def busy_s(self) -> float:
        """How long the tick under way has been at work, 0 between two."""
        began_s = self._began_s
        return time.monotonic() - began_s if began_s is not None else 0.0

    def poll(self):
        """A tick that does not come back: STOP, said while the last target stays; later the end of the process.

        Raises TimeoutError; who starts the process again has a new decoder.
        """
        if self.busy_s > self._node.params.watchdog_s:
            self._host.overdue()
        if self.busy_s > HANG_S:
            raise TimeoutError(f"a control tick has been at work for {self.busy_s:.1f} s: the decoder hangs")

    def end(self):
        """Stop ticking and publishing."""
        for thread in self._threads:
            thread.end()
        self._threads = []

    def tick_until(self, ending: threading.Event):
        """The tick thread's work, until it is asked to end."""
        put_first(self._node.params)
        while not ending.is_set():
            deadline_ns = self._clock.pace()
            observation = self._await_new(deadline_ns + self._clock.period_ns // 2)
            now_s = time.monotonic()
            if observation is not None:
                self._last_new_s, observation = now_s, self._timely(observation)
            elif (now_s - self._last_new_s) * 1e9 < SILENT_PERIODS * self._clock.period_ns:
                self._clock.miss()  # the last target stays; no row of the chunk runs on an old observation
                continue
            else:
                observation = self._silence(now_s - self._last_new_s)
            self._clock.mark("wait for the observation")
            self._clock.resume()
            self._began_s = time.monotonic()
            tick = self._host.control(observation)
            self._began_s = None
            if tick.decode_s:
                self._clock.spent("decode", tick.decode_s)
            self._command(tick, deadline_ns)
            self._clock.done()
            if observation.valid:
                self.age_s.add((time.time_ns() - observation.stamp_ns) / 1e9)
            self._host.aftermath(tick)
            self._clock.mark("hand out")

    def _command(self, tick: Tick, deadline_ns: int):
        moves = self._host.running or self._host.latched
        if moves and self._host.streamed:
            commands = self._host.command(tick)
            self._plan = (deadline_ns, commands) if commands else None
        elif moves:
            self._host.publish(self._host.command(tick))
        else:
            # Between episodes nothing is published: a reset arm must not be pulled to where the last episode ended.
            with self._saying:
                self._plan = None
                self._host.publish(self._host.pause(time.time_ns()))

    def _await_new(self, until_ns: int) -> Observation | None:
        """The newest observation if it has not been used, else the next one that comes in time."""
        with self._news:
            while self._observation is None or self._observation.stamp_ns == self._used_ns:
                left_s = (until_ns - time.monotonic_ns()) / 1e9
                if left_s <= 0 or not self._news.wait(left_s):
                    return None
            self._used_ns = self._observation.stamp_ns
            return self._observation

    def _timely(self, observation: Observation) -> Observation:
        """The observation, made invalid when its stamp is not of now: of another clock, out of a recording, or held up."""
        age_ns = time.time_ns() - observation.stamp_ns
        if -FUTURE_TOLERANCE_NS <= age_ns <= SILENT_PERIODS * self._clock.period_ns or not observation.valid:
            return observation
        when = f"{age_ns / 1e9:.2f} s old" if age_ns > 0 else f"stamped {-age_ns / 1e9:.2f} s in the future: check both clocks"
        return replace(observation, valid=False, reason=f"the observation (lpds/observation) is {when}")

    def _silence(self, silent_s: float) -> Observation:
        """In place of one that did not come. What the robot said last of itself still holds: silence takes no error back."""
        last = self._observation
        return Observation(
            stamp_ns=time.time_ns(),
            valid=False,
            reason=f"no observation (lpds/observation) for {silent_s:.2f} s: is perception running?",
            data=np.full(self._size, np.nan, np.float32),
            ages_s={},
            position=np.full(3, np.nan),
            orientation=np.full(4, np.nan),
            joints=np.full(7, np.nan),
            gripper_width=math.nan,
            robot_mode=last.robot_mode if last is not None else OTHER,
            robot_error=last.robot_error if last is not None else "",
        )

    def _publish(self, ending: threading.Event):
        put_first(self._node.params)
        clock = TickClock(self._slice_ns)
        while not ending.is_set():
            clock.pace()
            with self._saying:
                if self._plan is not None:
                    self._host.publish((at(self._due(*self._plan), time.time_ns()),))

    def _due(self, start_ns: int, commands: tuple[Target, ...]) -> Target:
        """The command of this moment: the last one stays, and is at rest when its period's successor has not come in time."""
        index = max(0, (time.monotonic_ns() - start_ns) // self._slice_ns)
        last = commands[min(index, len(commands) - 1)]
        return at_rest(last) if index >= LATE * len(commands) else last


Driver = LockstepDriver | RealtimeDriver
__all__ = ["Driver", "LockstepDriver", "RealtimeDriver", "Tick"]
