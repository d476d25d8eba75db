"""Recordings onto the disk, by a thread of its own under the ordinary scheduler. Whatever the disk does, no tick waits for it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path

from lpds_ros.records import Mode
from lpds_ros.steering.ahead import Worker
from lpds_ros.steering.flight import FlightRecorder, Recording
from lpds_ros.steering.flight_file import Circumstances, write_flight

PATIENCE_S = 2.0  # beyond the tail: ticks may have ceased with what was recorded
END_S = 3.0  # the supervisor gives a node 5 s to end
SUFFIX, HOLD = ".flight.safetensors", Mode.HOLD.name.lower()


class FlightWriter:
    """A recorder with its disk. folder: made with the first file; it holds `keep` at most: the oldest HOLD makes room, then the
    oldest of all.

    written: called with (path, recording), failed: with why a recording is not on the disk, once for each reason; both by the
    writer's thread. `path`: of the last file, "" before any.
    """

    def __init__(
        self,
        folder: Path,
        around: Circumstances,
        *,
        window_s: float = 10.0,
        tail_s: float = 1.0,
        keep: int = 20,
        written: Callable[[Path, Recording], None] = lambda *_: None,
        failed: Callable[[str], None] = lambda _: None,
    ):
        self._folder, self._around, self._tail_s, self._keep = folder, around, tail_s, keep
        self._written, self._failed = written, failed
        self._complete, self._failure, self._ending = threading.Event(), "", False
        self._worker = Worker("flight")
        self.recorder = FlightRecorder(around.contract.period_s, window_s, tail_s, self._descended, self._complete.set)
        self.path = ""

    def _descended(self):
        self._worker.submit(Future(), self._record)

    def _record(self):
        """On the writer's thread: wait for the tail, write."""
        if not self._ending:
            self._complete.wait(self._tail_s + PATIENCE_S)
        recording = self.recorder.take()
        self._complete.clear()
        if recording is None:
            return
        try:
            path = self._write(recording)
        except Exception as error:  # noqa: BLE001 (what is wrong with a recording is said, and stops nothing)
            reason = f"{type(error).__name__}: {error}"
            if reason != self._failure:
                self._failure = reason
                self._failed(f"the seconds before '{recording.came_down.reason}' are not on the disk: {reason}")
            return
        self._failure, self.path = "", str(path)
        self._written(path, recording)

    def _write(self, recording: Recording) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        there = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda file: (f"-{HOLD}-" not in file.name, file.name))
        for old in there[: -self._keep + 1 or None]:  # HOLDs first: a stream that comes and goes must not wash away a STOP
            old.unlink(missing_ok=True)
        entry = recording.entries[recording.event]
        when = datetime.now().astimezone() - timedelta(microseconds=(time.monotonic_ns() - entry.steady_ns) / 1000)
        name = f"{when:%Y%m%d-%H%M%S-%f}-{entry.tick.mode.name.lower()}-episode-{entry.trace.episode}{SUFFIX}"
        write_flight(self._folder / name, recording, self._around, when.isoformat(timespec="milliseconds"))
        return self._folder / name

    def end(self):
        """Write what is pending with as much of its tail as there is, and end the thread."""
        self._ending = True
        self._complete.set()
        self._worker.end(END_S)
