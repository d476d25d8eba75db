"""A rollout log behind a bounded queue and a thread of its own: a slow or full disk never blocks whoever records."""

import queue
import threading
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.contract import Contract
from lpds_ros.data.rollout_log import RolloutLogError, RolloutLogWriter, next_log_path

RETRY_S = 1.0
MAX_BYTES = 256 << 20
MAX_WAITING_BYTES = 256 << 20
LONGEST_FILES = 2  # times max_bytes, at which the next begins without a flush
CLOSE_S = 5.0


@dataclass(frozen=True)
class SinkStatus:
    """written, dropped: messages. waiting: in the queue. written_bytes: of the messages written. error: what the disk last
    said, empty when all is well.
    """

    path: Path
    written: int
    dropped: int
    waiting: int
    error: str
    written_bytes: int = 0


class LogSink:
    """Accepts messages at once, writes them in order.

    When the disk refuses one, the file is left as it is (its prefix stays readable) and writing goes on in the next
    file, tried once a second; meanwhile messages wait, up to `capacity` of them and `max_waiting_bytes`, and are counted as
    dropped beyond that. A file of `max_bytes` is closed at the next flush, or at twice that size, and another begun: so is the
    index bounded that the writer keeps in memory. writer: further arguments of RolloutLogWriter.
    `on_error(text)` is called from the writer's thread. Raises RolloutLogError when no file can be opened at the start.
    """

    def __init__(
        self,
        path,
        contract: Contract | None = None,
        *,
        capacity: int = 10_000,
        on_error=lambda text: None,
        retry_s: float = RETRY_S,
        max_bytes: int = MAX_BYTES,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        **writer,
    ):
        self._wanted, self._contract, self._on_error, self._retry_s = Path(path), contract, on_error, retry_s
        self._max_bytes, self._max_waiting_bytes, self._writer = max_bytes, max_waiting_bytes, writer
        self._queue: queue.Queue = queue.Queue(maxsize=capacity)
        self._closing = threading.Event()
        self._written = self._dropped = self._written_bytes = 0
        self._taken_bytes = 0  # out of the queue; only the writer's thread counts here, only who puts counts below
        self._put_bytes = 0
        self._error = ""
        try:
            self._log: RolloutLogWriter | None = self._open()
        except OSError as error:
            raise RolloutLogError(
                f"{self._wanted}: cannot be written: {error.strerror or error}; choose another path"
            ) from None
        self._path = self._log.path
        self._thread = threading.Thread(target=self._run, name="rollout-log", daemon=True)
        self._thread.start()

    def put(
        self,
        topic: str,
        typename: str,
        cdr: bytes,
        *,
        flush: bool = False,
        stamp_ns: int | None = None,
        received_ns: int | None = None,
    ) -> bool:
        """Queue one message; with `flush` the disk gets everything up to it. False: the queue is full, dropped."""
        try:
            if self._put_bytes - self._taken_bytes + len(cdr) > self._max_waiting_bytes:
                raise queue.Full
            self._queue.put_nowait((topic, typename, cdr, flush, stamp_ns, received_ns))
        except queue.Full:
            self._dropped += 1
            return False
        self._put_bytes += len(cdr)
        return True

    def status(self) -> SinkStatus:
        return SinkStatus(self._path, self._written, self._dropped, self._queue.qsize(), self._error, self._written_bytes)

    def close(self, timeout_s: float = CLOSE_S) -> SinkStatus:
        """Write what waits, close the file, return the last status; what the disk refuses counts as dropped."""
        self._closing.set()
        self._thread.join(timeout_s)
        return self.status()

    def _run(self):
        while not (self._closing.is_set() and self._queue.empty()):
            try:
                item = self._queue.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                self._write(item)
            except Exception as error:  # noqa: BLE001 (one message that cannot be written must not end the recording)
                self._dropped += 1
                self._failed(f"a message of {item[0]} cannot be written: {type(error).__name__}: {error}")
            self._taken_bytes += len(item[2])
        self._finish()

    def _write(self, item):
        """Write one message, however often that takes; give up only when a try after the request to close fails too."""
        topic, typename, cdr, flush, stamp_ns, received_ns = item
        while True:
            last_try = self._closing.is_set()
            try:
                if self._log is None:
                    self._log = self._open()
                    self._path = self._log.path
                self._log.write_raw(topic, typename, cdr, stamp_ns, received_ns)
                if flush:
                    self._log.flush()
                if self._log.size >= (self._max_bytes if flush else LONGEST_FILES * self._max_bytes):
                    self._finish()
                    self._log = None
            except OSError as error:
                self._abandon()
                self._failed(f"{self._path}: {error.strerror or error}; {self._queue.qsize() + 1} messages wait")
                if last_try:
                    self._dropped += 1
                    return
                self._closing.wait(self._retry_s)
                continue
            self._written += 1
            self._written_bytes += len(cdr)
            self._error = ""
            return

    def _finish(self):
        try:
            if self._log is not None:
                self._log.close()
        except OSError as error:
            self._abandon()
            self._failed(f"{self._path}: not closed properly: {error.strerror or error}; its messages stay readable")

    def _open(self) -> RolloutLogWriter:
        return RolloutLogWriter(next_log_path(self._wanted), self._contract, **self._writer)

    def _abandon(self):
        if self._log is not None:
            self._log.abandon()
            self._log = None

    def _failed(self, text: str):
        if text.split(";")[0] != self._error.split(";")[0]:
            self._on_error(text)
        self._error = text
