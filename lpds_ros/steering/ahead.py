"""Chunks decoded ahead of their first tick, so that a decoder slower than a tick delays none.

With a delay of d ticks in the contract, a chunk is asked for d ticks before the running one ends, from the observation of
that moment; it then starts at the row that belongs to the tick at hand. The delay is part of the contract because it is part
of what is learned: in lockstep the same chunks start at the same ticks. With d = 0 it is decoded within the tick.
"""

import math
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.steering.schedule import Chunk, Chunker

PACE_CALLS, PACE_PAUSE_S = 15, 0.01


class SlowDecoderError(ValueError):
    """The decoder takes longer than the contract leaves it; the text says what to do."""


class Ahead:
    """At most one chunk under way, and the rest of the one before it. Used by the tick's thread alone.

    threaded: a chunk of a delayed contract is decoded by a thread of its own; otherwise within `request`. late: ticks that
    ran on the rest of an old chunk. starved: ticks for which nothing was left.
    """

    def __init__(self, contract: Contract, chunker: Chunker, *, threaded: bool):
        self._chunker, self._horizons = chunker, contract.horizons
        self._pool = None
        if threaded and self.delay:
            self._pool = ThreadPoolExecutor(1, "decode")
            self._pool.submit(int).result()  # its thread is made now, without the priority that the tick's thread may get
        self.late = self.starved = 0
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

    def request(self, state: np.ndarray, noise: np.ndarray, stamp_ns: int):
        """Ask for the chunk of this state, float32 [T_o*d_o], and noise [T_p, d_a]; pending weights are taken up."""
        self._chunker.swap()
        self.state, self.stamp_ns, self._age, self._moved = state, stamp_ns, 0, 0
        if self._pool is not None:
            self._future = self._pool.submit(self._chunker.decode, state, noise)
            return
        chunk = self._chunker.decode(state, noise)
        self._future = Future()
        self._future.set_result(chunk)

    def take(self) -> tuple[Chunk, int]:
        """The chunk that is due, and its row to start at. Raises ChunkError when decoding failed."""
        future, self._future = self._future, None
        chunk, first = future.result(), self._moved
        self._rest = chunk.rows[first + self._horizons.executed :]
        return chunk, first

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
        self._future: Future | None = None
        self._rest = np.zeros((0, 0), np.float32)
        self.state, self.stamp_ns, self._age, self._moved = None, 0, 0, 0

    def close(self):
        """End the decoding thread."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def check_pace(contract: Contract, decoder, *, now_s=time.perf_counter, sleep_s=time.sleep) -> float:
    """Median seconds of a decode, called as a control loop calls it, with pauses. Raises SlowDecoderError.

    A delay of d ticks leaves d periods; without one, half of one: the tick has other things to do too.
    """
    state, noise = np.zeros((1, contract.state_size), np.float32), np.zeros((1, *contract.noise_shape), np.float32)
    taken = []
    for _ in range(PACE_CALLS):
        sleep_s(PACE_PAUSE_S)
        began = now_s()
        decoder.decode(state, noise)
        taken.append(now_s() - began)
    median, delay = statistics.median(taken), contract.horizons.delay
    left = contract.period_s * (delay or 0.5)
    if median > left:
        ticks = math.ceil(max(taken) / contract.period_s)
        raise SlowDecoderError(
            f"the decoder takes {1e3 * median:.1f} ms (median of {PACE_CALLS} calls), the contract leaves it "
            f"{1e3 * left:.1f} ms: export the bundle with a delay of {ticks} ticks (lpds prior export --delay {ticks}), choose "
            "a faster provider, or run late with the parameter allow_slow_decoder"
        )
    return median
