"""The terminal's keyboard. The terminal is put into character mode while open, and always restored.

w s: forward, back   a d: left, right   r f: up, down   space: gripper   t: takeover   y n: success, failure   q: stop
"""

import os
import select
import sys
import threading
import time

from lpds_ros.records import Mark
from lpds_ros.teleop.device import Device, DeviceError

MOVES = {"w": (1, 0, 0), "s": (-1, 0, 0), "a": (0, 1, 0), "d": (0, -1, 0), "r": (0, 0, 1), "f": (0, 0, -1)}
KEY_S = 0.15  # a terminal tells presses, not releases: one press moves for so long, a held key repeats sooner
POLL_S = 0.02


class Keyboard(Device):
    """Terminals report no key releases, so takeover is a toggle here, never a deadman."""

    name = "keyboard"

    def __init__(self, contract, *, takeover: str = "toggle", **options):
        super().__init__(contract, takeover="toggle" if takeover == "hold" else takeover, **options)
        self._until = dict.fromkeys(MOVES, 0.0)
        self._saved = self._thread = self._fd = None
        self._ending = threading.Event()

    def feed(self, keys: str, now_s: float):
        """Take the characters typed at `now_s` (any steady clock)."""
        for key in keys.lower():
            if key in MOVES:
                self._until[key] = now_s + KEY_S
            elif key == " ":
                self.toggle_gripper()
            elif key == "t":
                self.set_takeover(True)
                self.set_takeover(False)
            elif key in "yn":
                self.mark(Mark.SUCCESS if key == "y" else Mark.FAILURE)
            elif key == "q":
                self.press_stop()
        self.tick(now_s)

    def tick(self, now_s: float):
        """Let go of keys that were not repeated."""
        held = [MOVES[key] for key, until in self._until.items() if now_s < until]
        self.set_axes(*(float(sum(move[i] for move in held)) for i in range(3)))

    def open(self):
        import termios
        import tty

        if not sys.stdin.isatty():
            raise DeviceError("the keyboard device needs a terminal: start it in one, or use another device")
        self._fd = sys.stdin.fileno()
        self._saved = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        self._thread = threading.Thread(target=self._read, name="keyboard", daemon=True)
        self._thread.start()

    def _read(self):
        while not self._ending.is_set():
            ready, _, _ = select.select([self._fd], [], [], POLL_S)
            keys = os.read(self._fd, 64).decode(errors="ignore") if ready else ""
            self.feed(keys, time.monotonic())

    def close(self):
        self._ending.set()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
            self._saved = None
