"""What Linux gives a process that must not be late: SCHED_FIFO, memory that is not paged out, processor cores of its own.

What is not permitted is told with its remedy, and the process runs as it is.
"""

import contextlib
import ctypes
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.parameters import ParameterError, parameter

LIMITS = "/etc/security/limits.conf, log in again: @realtime - rtprio 99, @realtime - memlock unlimited"
MCL_CURRENT, MCL_FUTURE = 1, 2


@dataclass(frozen=True)
class RealtimeParameters:
    """Parameters of a node that keeps time; they count with clock:=realtime."""

    fifo_priority: int = parameter(0, "priority under SCHED_FIFO; 0: the ordinary scheduler", range=(0, 98))
    lock_memory: bool = parameter(False, "lock the process' memory, so that no page is fetched while it runs")
    cores: str = parameter("", "processor cores it may run on, for example 2,3; empty: all")


def claim(wanted: RealtimeParameters) -> list[str]:
    """Give it to every thread of this process, and so to those they start. Returns what was not permitted.

    Raises ParameterError for cores that this machine does not have.
    """
    refused, cores = [], parse_cores(wanted.cores)
    threads = [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
    if cores:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.sched_setaffinity(thread, cores)
    if wanted.fifo_priority:
        refused += _fifo(threads, wanted.fifo_priority)
    if wanted.lock_memory and ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
        why = os.strerror(ctypes.get_errno())
        refused.append(f"lock_memory: not permitted ({why}), pages may be fetched while it runs; {LIMITS}")
    return refused


def put_first(wanted: RealtimeParameters):
    """One priority above its process for the calling thread, where there is one at all."""
    if wanted.fifo_priority and os.sched_getscheduler(0) == os.SCHED_FIFO:
        _fifo([threading.get_native_id()], wanted.fifo_priority + 1)


def parse_cores(text: str) -> set[int]:
    """Numbers of "2,3". Raises ParameterError for what is no list of cores that this process may use."""
    try:
        cores = {int(part) for part in text.split(",")} if text.strip() else set()
    except ValueError:
        raise ParameterError(f"parameter cores: expected numbers with commas between, got '{text}'") from None
    usable = os.sched_getaffinity(0)
    if not cores <= usable:
        there = ",".join(map(str, sorted(usable)))
        raise ParameterError(f"parameter cores: '{text}' is not within those this process may use, {there}")
    return cores


def _fifo(threads: list[int], priority: int) -> list[str]:
    try:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return [f"fifo_priority: SCHED_FIFO is not permitted, ticks may be late when the machine is busy; {LIMITS}"]
    return []
