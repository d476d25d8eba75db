"""Chunks decoded ahead of their first tick, so that a decoder slower than a tick delays none.

With a delay of d ticks in the contract, a chunk is asked for d ticks before the running one ends, from the observation of
that moment; it then starts at the row that belongs to the tick at hand, row d. From rest it starts at its row 0: nothing moved
while it was decoded. The delay is part of the contract because it is part of what is learned: in lockstep the same chunks
start at the same ticks. With d = 0 a chunk is decoded within the tick.
"""

import math
import os
import queue
import threading
import time
from concurrent.futures import Future

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.steering.schedule import Chunk, Chunker

PACE_CALLS, PACE_PAUSE_S = 15, 0.01
END_S = 2.0  # an interpreter that ends while a thread is inside the runtime is aborted by it


class SlowDecoderError(ValueError):
    """The decoder takes longer than the contract leaves it; the text says what to do."""


class Ahead:
    """At most one chunk under way, and the rest of the one before it. Used by the tick's thread alone.

    threaded: a chunk of a delayed contract is decoded by a thread of its own; otherwise within `request`. late: ticks that
    ran on the rest of an old chunk. starved: ticks for which nothing was left. first: row at which the running chunk began.
    """

    def __init__(self, contract: Contract, chunker: Chunker, *, threaded: bool):
        self._chunker, self._horizons = chunker, contract.horizons
        self._longest_ns = contract.horizons.predicted * contract.period_ns
        self._worker = Worker() if threaded and self.delay else None
        self._future: Future | None = None
        self.late = self.starved = self.first = 0
        self.cancel()

    @property
    def delay(self) -> int:
        """d, ticks."""
        return self._horizons.delay

    @property
    def under_way(self) -> bool:
        """Whether a chunk has been asked for and not been taken."""
        return self._future is not None

    @property
    def due(self) -> bool:
        """Whether the chunk under way can start now."""
        return self._age >= self.delay and self._future.done()

    def stale(self, now_ns: int) -> bool:
        """Whether the chunk under way is of an observation older than a chunk is long."""
        return self.under_way and now_ns - self.stamp_ns > self._longest_ns

    def request(self, state: np.ndarray, noises: np.ndarray, stamp_ns: int, ran: int | None = None):
        """Ask for a chunk of this state, float32 [T_o*d_o], from one of the noises [M, T_p, d_a]; pending weights are taken up.

        ran: ticks that the running chunk has run, None at rest: the new one goes on from there.
        """
        self._chunker.swap()
        self.state, self.stamp_ns, self._age, self._moved = state, stamp_ns, 0, 0
        self._future, running = Future(), None if ran is None else self._running[ran:]
        if self._worker is not None:
            self._worker.submit(self._future, self._chunker.decode, state, noises, running)
        else:
            run(self._future, self._chunker.decode, state, noises, running)

    def take(self) -> tuple[Chunk, int]:
        """The chunk that is due, and its row to start at. Raises ChunkError when decoding failed."""
        future, self._future = self._future, None
        chunk, self.first = future.result(), self._moved
        self._running = chunk.rows[self.first :]
        self._rest = self._running[self._horizons.executed :]
        return chunk, self.first

    def bridge(self) -> np.ndarray | None:
        """The next row [d_a] of the chunk before, while the one under way is late; None when there is none.

        None too where the new chunk would not have T_a rows left after it.
        """
        if self._age < self.delay:
            return None  # nothing ran before: this is the wait for a first chunk
        if not len(self._rest) or self._moved + self._horizons.executed >= self._horizons.predicted:
            self.starved += 1
            return None
        self.late += 1
        row, self._rest = self._rest[0], self._rest[1:]
        return row

    def step(self, moved: bool):
        """A tick went by; moved: a row ran in it."""
        self._age += 1
        self._moved += moved

    def cancel(self):
        """Forget the chunk under way and the rest of the last one: the arm is somewhere else now."""
        if self._future is not None:
            self._future.cancel()  # where it has not begun; what has begun is not waited for
        self._future = None
        self._running = self._rest = np.zeros((0, 0), np.float32)
        self.state, self.stamp_ns, self._age, self._moved = None, 0, 0, 0

    def close(self):
        """End the decoding thread after what it is at. A decoder that hangs is waited for END_S."""
        if self._worker is not None:
            self._worker.end()


class Worker:
    """A thread that runs one job after another under the ordinary scheduler, whatever its process has claimed: a decoder may
    take long, and no tick may wait for it. A daemon: one that hangs does not hold the process.
    """

    def __init__(self, name: str = "decode"):
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, future: Future, call, *arguments):
        """Have `call` run; `future` gets its result."""
        self._jobs.put((future, call, *arguments))

    def end(self, timeout_s: float = END_S):
        """No job after those that were given; return when they are done, or after `timeout_s`."""
        self._jobs.put(None)
        self._thread.join(timeout_s)

    def _loop(self):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        while (job := self._jobs.get()) is not None:
            run(*job)


def run(future: Future, call, *arguments):
    """Run `call` for `future`, unless it has been cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call(*arguments))
    except BaseException as error:  # noqa: BLE001 (raised again by whoever takes the result)
        future.set_exception(error)


def check_pace(contract: Contract, decoder, noises: int = 1, *, now_s=time.perf_counter, sleep_s=time.sleep) -> float:
    """Seconds that all but the slowest of some decodes of so many noises take, called as a control loop calls, with pauses.

    A delay of d ticks leaves d periods; without one, half of one: the tick has other things to do too. Raises
    SlowDecoderError.
    """
    shapes = (noises, contract.state_size), (noises, *contract.noise_shape)
    state, noise = (np.zeros(shape, np.float32) for shape in shapes)
    taken = []
    for _ in range(PACE_CALLS):
        sleep_s(PACE_PAUSE_S)
        began = now_s()
        decoder.decode(state, noise)
        taken.append(now_s() - began)
    slow, horizons = sorted(taken)[-2], contract.horizons
    left = contract.period_s * (horizons.delay or 0.5)
    if slow <= left:
        return slow
    ticks = math.ceil(slow / contract.period_s)
    way = f"export the bundle with that delay (lpds prior export --delay {ticks})"
    if ticks > horizons.longest_delay:
        way = (
            f"train with a contract that executes at least {ticks} ticks and predicts {ticks} more, and export the bundle with "
            f"that delay (lpds prior export --delay {ticks})"
        )
    raise SlowDecoderError(
        f"the decoder takes {1e3 * slow:.1f} ms ({PACE_CALLS} calls, without the slowest), the contract leaves it "
        f"{1e3 * left:.1f} ms, and it needs {ticks} ticks: {way}, choose a faster provider, or run late with the parameter "
        "allow_slow_decoder"
    )
