"""Waiting in tests: for a condition, never for a while. A passing test is as quick as ever, and a machine that stalls
for some seconds, as those of CI do, fails none.
"""

import time
from collections.abc import Callable

PATIENCE_S = 60.0  # how long anything may take that is waited for
LOOK_S = 0.005


def wait_for(condition: Callable[[], object], what: str = "", *, timeout_s: float = PATIENCE_S):
    """The first true value of condition(), asked once more after a stall; AssertionError naming `what` otherwise."""
    deadline = time.monotonic() + timeout_s
    while True:
        late = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        assert not late, f"not within {timeout_s} s: {what or condition}"
        time.sleep(LOOK_S)
