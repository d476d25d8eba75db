"""Supervisor and lease: what starts is ended, in order, and what dies is named."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S, wait_for

from lpds_ros.lease import Lease, LeaseError
from lpds_ros.processes import Command, Supervisor, describe_code

IDLE = "import signal, sys, time; print('up', flush=True); time.sleep(60)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(60)
"""
NOTES_ITS_END = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('up', flush=True)
time.sleep(60)
"""


def python(name, code, *arguments, **options) -> Command:
    return Command(name, (sys.executable, "-S", "-c", code, *map(str, arguments)), **options)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def supervisor(tmp_path, lines):
    with Supervisor(
        tmp_path / "logs", environment=dict(os.environ), echo=lambda name, line: lines.append((name, line)), grace_s=0.3
    ) as running:
        yield running


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_end_in_reverse_order_of_their_start(tmp_path, lines):
    notes = tmp_path / "notes"
    echo = lambda *words: lines.append(words)  # noqa: E731
    with Supervisor(tmp_path, environment=dict(os.environ), echo=echo, grace_s=PATIENCE_S) as supervisor:
        for name in ("sim", "perception", "steering"):
            supervisor.start(python(name, NOTES_ITS_END, notes, name))
        wait_for(lambda: len(lines) == 3)
    assert notes.read_text().split() == ["steering", "perception", "sim"]


def test_a_child_that_ignores_signals_is_killed_and_named(supervisor, lines):
    supervisor.start(python("deaf", STUBBORN))
    wait_for(lambda: lines)
    pid = supervisor.running["deaf"]
    assert supervisor.stop() == ["deaf"]
    assert not alive(pid)


def test_an_essential_child_that_fails_is_fatal_and_its_last_lines_are_kept(supervisor):
    supervisor.start(python("sim", "import sys; print('no scene'); sys.exit(3)"))
    exits = []
    wait_for(lambda: exits.extend(supervisor.poll()) or exits)
    assert exits[0].fatal and exits[0].code == 3 and exits[0].tail == ("no scene",)
    assert str(exits[0]) == "sim failed with exit code 3"
    assert exits[0].log.read_text() == "no scene\n"
    assert supervisor.running == {}


def test_a_restartable_child_is_restarted_as_often_as_allowed(supervisor):
    supervisor.start(python("learner", "import sys; sys.exit(1)", essential=False, restarts=2))
    exits = []
    wait_for(lambda: exits.extend(supervisor.poll()) or not supervisor.running)
    assert [e.restarted for e in exits] == [True, True, False]
    assert not any(e.fatal for e in exits)


def test_a_refused_configuration_is_not_tried_again(supervisor):
    supervisor.start(
        python("learner", "import sys; print('a second learner'); sys.exit(2)", essential=False, restarts=2)
    )
    exits = []
    wait_for(lambda: exits.extend(supervisor.poll()) or exits)
    assert exits[0].fatal and not exits[0].restarted and exits[0].tail == ("a second learner",)


def test_children_have_their_own_process_group_and_priority(supervisor, lines):
    code = "import os; print(os.getpgrp() == os.getpid(), os.nice(0), flush=True); import time; time.sleep(60)"
    supervisor.start(python("learner", code, nice=5))
    wait_for(lambda: lines)
    assert lines == [("learner", f"True {min(os.nice(0) + 5, 19)}")]  # 19 is the kernel's end of the scale


def test_a_missing_program_is_an_error(supervisor):
    with pytest.raises(FileNotFoundError):
        supervisor.start(Command("sim", ("/no/such/program",)))


@pytest.mark.parametrize(
    "code, text", [(0, "ended"), (3, "failed with exit code 3"), (-signal.SIGKILL, "was killed by SIGKILL")]
)
def test_exit_codes_in_words(code, text):
    assert describe_code(code) == text


def test_a_lease_is_exclusive_says_who_holds_it_and_is_given_back(tmp_path):
    path = tmp_path / "a" / "lock"
    with Lease(path, {"run": "runs/1"}):
        with pytest.raises(LeaseError, match=rf"pid {os.getpid()}, run runs/1") as refused:
            Lease(path, {})
        assert refused.value.holder == {"pid": os.getpid(), "run": "runs/1"}
    Lease(path, {}).release()


def test_a_lease_outlives_its_holder_while_a_child_keeps_the_descriptor(tmp_path, lines):
    lease = Lease(tmp_path / "lock", {})
    with Supervisor(
        tmp_path, environment=dict(os.environ), keep_fds=(lease.fileno(),), echo=lambda *a: lines.append(a)
    ) as supervisor:
        supervisor.start(python("orphan", IDLE))
        wait_for(lambda: lines)
        lease.release()
        with pytest.raises(LeaseError):
            Lease(tmp_path / "lock", {})
    Lease(tmp_path / "lock", {}).release()


SUPERVISED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from lpds_ros.processes import end_with_supervisor
end_with_supervisor()
print('up', flush=True)
time.sleep(60)
"""
SUPERVISOR = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from lpds_ros.processes import Command, Supervisor
child = Command("node", (sys.executable, "-S", "-c", sys.argv[3], sys.argv[1]))
up = threading.Event()
supervisor = Supervisor(Path(sys.argv[2]), environment=dict(os.environ), echo=lambda *_: up.set())
supervisor.start(child)
up.wait()
print(supervisor.running["node"], flush=True)
threading.Event().wait()
"""


def test_children_do_not_outlive_a_supervisor_that_was_killed(tmp_path):
    root = str(Path(__file__).resolve().parent.parent)
    arguments = (sys.executable, "-c", SUPERVISOR, root, str(tmp_path), SUPERVISED)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as supervisor:
        child = int(supervisor.stdout.readline())
        assert alive(child)
        supervisor.kill()
    wait_for(lambda: not alive(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z")
