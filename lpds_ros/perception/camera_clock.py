"""A camera's own time to the system's, in nanoseconds, never backwards."""

import time
from collections import deque
from collections.abc import Callable

# librealsense's timestamp domains. The last two are system time already; the first counts from the camera's start.
HARDWARE, SYSTEM, GLOBAL = "hardware_clock", "system_time", "global_time"
WINDOW = 300  # pictures: ten seconds at 30 Hz, in which two clocks drift by less than a millisecond
JUMP_NS = 500_000_000  # farther than this the system's clock was set; nearer is the unsteady delay of pictures
SURE = 5  # pictures in a row that must say so


class CameraClock:
    """Stamps of pictures. With global_time librealsense has estimated the offset between the two clocks. With hardware_clock it
    is taken to be the least that lay between a picture's own time and its arrival, of the last ones: what all of them were
    delayed by is not seen, and makes their stamps that much younger than the pictures are.

    now_ns: system time.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns):
        self._now_ns = now_ns
        self._offsets_ns: deque[int] = deque(maxlen=WINDOW)
        self._own_ns = self._last_ns = 0

    def stamp(self, own_ms: float, domain: str) -> int | None:
        """The stamp of a picture that has just arrived; None where it is not later than the last one's: it is no new picture."""
        own_ns = round(own_ms * 1e6)
        stamp_ns = own_ns if domain in (SYSTEM, GLOBAL) else own_ns + self._offset_ns(own_ns)
        if self._last_ns - JUMP_NS < stamp_ns <= self._last_ns:
            return None
        self._last_ns = stamp_ns
        return stamp_ns

    def restart(self):
        """The camera was opened again: its own time may begin anew."""
        self._offsets_ns.clear()
        self._own_ns = 0

    def _offset_ns(self, own_ns: int) -> int:
        if own_ns < self._own_ns:  # the camera was reset, or a recording began again
            self._offsets_ns.clear()
        self._own_ns = own_ns
        self._offsets_ns.append(self._now_ns() - own_ns)
        least = min(self._offsets_ns)
        newest = list(self._offsets_ns)[-SURE:]
        if len(newest) == SURE and min(newest) > least + JUMP_NS:  # the system's clock was set forward
            self._offsets_ns = deque(newest, maxlen=WINDOW)
            return min(newest)
        return least
