"""The mode ladder: RUN, PRIOR, HOLD, STOP, FAULT. Down by itself; up from HOLD by clean observations, else by `arm`."""

from lpds_ros.records import Mode


class Ladder:
    """Holds the mode and the reason of every descent; the first reason of a STOP or FAULT is kept.

    resume_after: clean observations in a row that end a HOLD.
    """

    def __init__(self, resume_after: int):
        self._resume_after = resume_after
        self._latched: tuple[Mode, str] | None = None
        self._held = ""
        self._clean = 0

    @property
    def latched(self) -> tuple[Mode, str] | None:
        """(STOP, FAULT or a HOLD that only a person ends, reason) until `arm`, else None."""
        return self._latched

    @property
    def held(self) -> str:
        """Reason of the HOLD, or ""."""
        return self._held

    def latch(self, mode: Mode, reason: str):
        """STOP or FAULT until `arm`, or a HOLD that only a person ends. The first one's reason is kept, a HOLD's only so long."""
        if self._latched is None or self._latched[0] == Mode.HOLD != mode:
            self._latched = (mode, reason)

    def arm(self):
        """Leave it for a HOLD that ends by itself: the way up starts from fresh observations. Without one nothing changes."""
        if self._latched is not None:
            self._latched = None
            self.hold("re-armed")

    def hold(self, reason: str):
        """Enter or prolong a HOLD."""
        self._held, self._clean = reason, 0

    def release(self):
        """A new episode starts: a HOLD of the last one is over. A latch stays."""
        self._held, self._clean = "", 0

    def clean(self) -> bool:
        """Count one clean observation of a HOLD; True with the one that ends it."""
        self._clean += 1
        if self._clean >= self._resume_after:
            self.release()
            return True
        return False

    @property
    def waiting(self) -> str:
        """What a HOLD waits for, for a person to read."""
        if not self._clean:
            return self._held
        return f"{self._held} (clean again: {self._clean} of {self._resume_after})"
