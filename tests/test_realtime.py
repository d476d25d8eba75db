"""What Linux grants is granted, and what it refuses is told; in a process of its own, since none of it can be taken back."""

import os
import subprocess
import sys
import textwrap

import pytest

from lpds_ros.parameters import ParameterError, build_parameters
from lpds_ros.realtime import RealtimeParameters, parse_cores


def outcome(body: str) -> str:
    """Standard output of a fresh interpreter that runs `body`."""
    head = """
        import ctypes, os, threading
        from lpds_ros import realtime
        from lpds_ros.realtime import RealtimeParameters, claim, put_first
    """
    text = textwrap.dedent(head) + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_asked_for_changes_nothing():
    inherited = os.sched_getscheduler(0)
    assert outcome("print(claim(RealtimeParameters()), os.sched_getscheduler(0))") == f"[] {inherited}"


def test_every_thread_gets_the_cores_and_those_they_start_too():
    core = min(os.sched_getaffinity(0))
    body = f"""
        seen, go = [], threading.Event()
        def early():
            go.wait()
            seen.append(os.sched_getaffinity(0))
        first = threading.Thread(target=early)
        first.start()
        assert claim(RealtimeParameters(cores="{core}")) == []
        go.set()
        later = threading.Thread(target=early)
        later.start()
        first.join()
        later.join()
        print(seen)
    """
    assert outcome(body) == str([{core}, {core}])


def test_priority_is_given_or_its_refusal_told():
    body = """
        refused = claim(RealtimeParameters(fifo_priority=10))
        put_first(RealtimeParameters(fifo_priority=10))
        mine = os.sched_getparam(0).sched_priority
        fifo = os.sched_getscheduler(0) == os.SCHED_FIFO
        print(fifo == (not refused), mine == (11 if fifo else 0), all("limits.conf" in text for text in refused))
    """
    assert outcome(body) == "True True True"


def test_a_refusal_is_told_with_its_remedy():
    body = """
        class Libc:
            def mlockall(self, flags):
                ctypes.set_errno(1)
                return -1
        def refuse(*_):
            raise PermissionError
        ctypes.CDLL = lambda *_, **__: Libc()
        os.sched_setscheduler = refuse
        print(*claim(RealtimeParameters(fifo_priority=10, lock_memory=True)), sep="|")
        put_first(RealtimeParameters(fifo_priority=10))
    """
    fifo, memory = outcome(body).split("|")
    assert fifo.startswith("fifo_priority: SCHED_FIFO is not permitted") and "rtprio 99" in fifo
    assert memory.startswith("lock_memory: not permitted (Operation not permitted)") and "memlock unlimited" in memory


@pytest.mark.parametrize(("text", "match"), [("two", "expected numbers"), ("0,", "expected numbers"), ("4096", "not within")])
def test_cores_that_are_none_are_refused(text, match):
    with pytest.raises(ParameterError, match=match):
        parse_cores(text)


def test_priorities_are_those_of_linux():
    with pytest.raises(ParameterError, match="outside 0 to 98"):
        build_parameters(RealtimeParameters, {"fifo_priority": 99})
