"""A running stack to break: started like any other, but every process of it is started again when it dies, and the learner has
no lower priority, so that a loaded machine does not keep it from learning.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lpds_ros.arguments import parse
from lpds_ros.bringup import plan
from lpds_ros.nodes.probe import Heard, Probe
from lpds_ros.records import Mode
from lpds_ros.stack import Stack

RESTARTS = 1_000_000
STATUS_HZ = 100.0
START_S, WAIT_S = 90.0, 20.0
LOOK_S = 0.002
MOVING = (Mode.RUN, Mode.PRIOR)
LEARNER = """\
critic_width: 32
actor_width: 32
batch_size: 32
warmup_decisions: 20
critic_warmup_updates: 10
push_every: 20
"""


@dataclass(frozen=True)
class Line:
    """A line that a process has written."""

    at_ns: int
    name: str
    text: str


class Live:
    """See the module's docstring. words: launch arguments. `probe` listens and speaks. Nothing outlives the `with` block."""

    def __init__(self, folder: Path, *words: str):
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "learner.yaml"
        config.write_text(LEARNER)
        given = ["faults:=true", f"learner_config:={config}", *words, f"run_dir:={folder / 'run'}"]
        todo = plan(parse(given))
        more = {"steering": {"status_hz": STATUS_HZ}, "learner": {"checkpoint_s": 2.0}}
        self.plan = replace(
            todo,
            processes=tuple(
                replace(p, essential=False, restarts=RESTARTS, nice=0, parameters=p.parameters | more.get(p.name, {}))
                for p in todo.processes
            ),
        )
        self.run_dir, self.lines, self.ends = todo.run_dir, deque(maxlen=20_000), deque(maxlen=1000)
        self._ending = threading.Event()

    def __enter__(self):
        self._stack = Stack(self.plan, echo=lambda name, text: self.lines.append(Line(time.time_ns(), name, text)))
        self._stack.__enter__()
        try:
            self.probe = Probe(self.plan.namespace)
            self._watch = threading.Thread(target=self._supervise, name="supervise", daemon=True)
            self._watch.start()
            node = self.probe.node
            said = node.status, node.observations, node.targets, node.speeds, node.positions
            self.require(lambda: all(said), "something on every topic", START_S)
            self.require(lambda: self.probe.mode in MOVING, "the first tick of an episode", START_S)
            self.probe.fault("none")  # finding the service takes longer than calling it, once
        except BaseException:
            self.__exit__()
            raise
        return self

    def _supervise(self):
        self._stack.wait(self._ending, report=lambda end: self.ends.append(Line(time.time_ns(), end.name, str(end))))

    def __exit__(self, *_):
        self._ending.set()
        try:
            if hasattr(self, "_watch"):
                self._watch.join()
            if hasattr(self, "probe"):
                self.probe.__exit__()
        finally:
            self._stack.__exit__()

    # -- waiting --------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], timeout_s: float = WAIT_S):
        """The first true value of the condition, or its last false one."""
        end_s = time.monotonic() + timeout_s
        while not (value := condition()) and time.monotonic() < end_s:
            self.probe.check()
            time.sleep(LOOK_S)
        return value

    def require(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S):
        """The same, or TimeoutError naming what was waited for and what steering last said."""
        value = self.until(condition, timeout_s)
        if not value:
            last = self.probe.node.status[-1].said if self.probe.node.status else None
            said = f"; steering said {Mode(last.mode).name}: {last.reason}" if last is not None else ""
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s{said}")
        return value

    def settled(self):
        """Wait for the middle of an episode: the arm moves, and no end of the episode comes between. Where the case before has
        left the arm waiting for a person, this is the person.
        """

        def middle():
            last = self.probe.node.status[-1].said
            if Mode(last.mode) == Mode.HOLD and "call lpds/arm" in last.reason:
                self.probe.trigger("lpds/arm")
            return Mode(last.mode) in MOVING and 5 <= last.episode_tick <= 40

        self.require(middle, "the middle of an episode", 60.0)

    def status(self, after_ns: int, mode: Mode | None, text: str = "", timeout_s: float = WAIT_S) -> Heard | None:
        """The first status after a time with this mode (None: any) and this text in its reason."""

        def fits(heard):
            return mode in (None, Mode(heard.said.mode)) and text in heard.said.reason

        return self.until(lambda: self.probe.first(self.probe.node.status, after_ns, fits), timeout_s)

    def resumed(self, after_ns: int, timeout_s: float = WAIT_S) -> bool:
        """Whether the arm is driven again."""
        moves = lambda heard: Mode(heard.said.mode) in MOVING  # noqa: E731
        return bool(self.until(lambda: self.probe.first(self.probe.node.status, after_ns, moves), timeout_s))

    def said(self, after_ns: int, name: str, text: str, timeout_s: float = WAIT_S) -> Line | None:
        """The first line of a process after a time with this text in it."""

        def find():
            return next((n for n in list(self.lines) if n.at_ns >= after_ns and n.name == name and text in n.text), None)

        return self.until(find, timeout_s)

    # -- breaking --------------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """Process id of a node; of the node itself, where it is started through `nice`."""
        return self._stack.running[name]

    def signal(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a node's process group; return the time before."""
        before_ns = time.time_ns()
        os.killpg(self.pid(name), number)
        return before_ns

    def respawned(self, name: str, old_pid: int, timeout_s: float = 30.0) -> bool:
        """Whether another process runs under the name."""
        return bool(self.until(lambda: self._stack.running.get(name) not in (None, old_pid), timeout_s))


def ms(before_ns: int, after: Heard | Line | int | None) -> float | None:
    """Milliseconds from one time to another, None where there is none."""
    if after is None:
        return None
    return ((after if isinstance(after, int) else after.at_ns) - before_ns) / 1e6
