"""Supervision of child processes: ordered start, logs, restarts, reverse ordered shutdown. No ROS.

Each child leads a process group of its own, so that a Ctrl-C in the terminal reaches the supervisor alone, and the
supervisor decides in which order things end.
"""

import ctypes
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TAIL_LINES = 12
REFUSED = 2
PARENT_VARIABLE = "LPDS_SUPERVISOR"
PR_SET_PDEATHSIG = 1
LAST_LINES_S = 5.0  # to read what a dead child has written; one of its own children may keep the pipe open


@dataclass(frozen=True)
class Command:
    """What to run. essential: its end is the end of the run. restarts: how often a dead one is started again.

    foreground: it reads the terminal, so it stays in the supervisor's process group and keeps its standard input.
    """

    name: str
    argv: tuple[str, ...]
    essential: bool = True
    restarts: int = 0
    nice: int = 0
    foreground: bool = False


@dataclass(frozen=True)
class Exit:
    """A child that ended by itself. code: as subprocess has it (negative: a signal). tail: its last log lines."""

    name: str
    code: int
    fatal: bool
    restarted: bool
    tail: tuple[str, ...]
    log: Path

    def __str__(self) -> str:
        text = f"{self.name} {describe_code(self.code)}"
        return f"{text}; started again" if self.restarted else text


def describe_code(code: int) -> str:
    """`ended`, `failed with exit code 3`, `was killed by SIGKILL`."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return "ended" if code == 0 else f"failed with exit code {code}"


@dataclass
class _Child:
    command: Command
    process: subprocess.Popen
    pump: threading.Thread
    log: Path
    tail: deque = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    restarts_left: int = 0


class Supervisor:
    """Starts children in the order of `start` calls and stops them in the reverse order.

    log_dir: gets <name>.log per child. environment: of the children. echo: called with (name, line) for every line a
    child writes, from one thread per child. keep_fds: descriptors that every child inherits (a lease). Use as a
    context manager: nothing outlives it.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        environment: dict[str, str],
        echo: Callable[[str, str], None] | None = None,
        keep_fds: tuple[int, ...] = (),
        grace_s: float = 5.0,
    ):
        self._log_dir, self._echo = Path(log_dir), echo
        self._environment = environment | {PARENT_VARIABLE: str(os.getpid())}
        self._keep_fds, self._grace_s = keep_fds, grace_s
        self._children: list[_Child] = []
        self._log_dir.mkdir(parents=True, exist_ok=True)

    @property
    def running(self) -> dict[str, int]:
        """Name to process id of the children that have not been seen to end."""
        return {child.command.name: child.process.pid for child in self._children}

    def start(self, command: Command):
        """Start one child. Raises FileNotFoundError when its program does not exist."""
        self._children.append(self._spawn(command, command.restarts))

    def _spawn(self, command: Command, restarts_left: int) -> _Child:
        prefix = ("nice", "-n", str(command.nice)) if command.nice else ()
        process = subprocess.Popen(
            prefix + command.argv,
            env=self._environment,
            stdin=None if command.foreground else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self._keep_fds,
            process_group=None if command.foreground else 0,
        )
        child = _Child(command, process, None, self._log_dir / f"{command.name}.log", restarts_left=restarts_left)
        child.pump = threading.Thread(target=self._pump, args=(child,), name=f"log-{command.name}", daemon=True)
        child.pump.start()
        return child

    def _pump(self, child: _Child):
        with child.log.open("ab", buffering=0) as log:
            for raw in child.process.stdout:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                child.tail.append(line)
                if self._echo is not None:
                    self._echo(child.command.name, line)

    def poll(self) -> list[Exit]:
        """Children that ended since the last call. What may be restarted is, unless it refused its configuration."""
        exits = []
        for position, child in enumerate(list(self._children)):
            code = child.process.poll()
            if code is None:
                continue
            child.pump.join(LAST_LINES_S)
            again = not child.command.essential and child.restarts_left > 0 and code not in (0, REFUSED)
            fatal = child.command.essential or code == REFUSED
            exits.append(Exit(child.command.name, code, fatal, again, tuple(child.tail), child.log))
            if again:
                self._children[position] = self._spawn(child.command, child.restarts_left - 1)
            else:
                self._children[position] = None
        self._children = [child for child in self._children if child is not None]
        return exits

    def stop(self) -> list[str]:
        """End all children, last started first: SIGTERM, and SIGKILL after the grace time.

        SIGTERM and not SIGINT, because a child that is still importing then ends without a traceback. Returns the names
        of those that had to be killed.
        """
        killed = []
        while self._children:
            child = self._children[-1]
            _signal(child, signal.SIGTERM)
            if not _ended(child, self._grace_s):
                _signal(child, signal.SIGKILL)
                child.process.wait()
                killed.append(child.command.name)
            child.pump.join(LAST_LINES_S)
            self._children.pop()
        return killed

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _signal(child: _Child, number: int):
    if child.process.poll() is not None:
        return
    if child.command.foreground:
        child.process.send_signal(number)
    else:
        os.killpg(child.process.pid, number)


def _ended(child: _Child, timeout_s: float) -> bool:
    try:
        child.process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def end_with_supervisor():
    """Called by a child: the kernel shall send SIGTERM when the supervisor, our parent, dies. Linux only."""
    if os.environ.get(PARENT_VARIABLE) == str(os.getppid()):
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "prctl"):
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
