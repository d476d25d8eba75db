"""Keeps one camera open and hands on what it sees. A camera that is lost is opened again, for as long as that takes."""

import threading
import time
from collections.abc import Callable

from lpds_ros.perception.librealsense import CameraError
from lpds_ros.perception.realsense import CameraLostError, RealSense, RgbdFrame

AGAIN_S = 5.0  # between two rounds of attempts to get a lost camera back


class CameraFeed:
    """camera: open already. show: called with every new picture; wanted: whether its depth is asked for.

    say: called with what a person should know. `shown` counts pictures, `losses` how often the camera was lost.
    """

    def __init__(
        self,
        camera: RealSense,
        show: Callable[[RgbdFrame], None],
        *,
        wanted: Callable[[], bool] = lambda: True,
        say: Callable[[str], None] = lambda text: None,
        again_s: float = AGAIN_S,
    ):
        self._camera, self._show, self._wanted, self._say, self._again_s = camera, show, wanted, say, again_s
        self.shown = self.losses = 0

    def run(self, ending: threading.Event):
        """Until `ending`, or the end of a recording that is played once. The thread's whole work: librealsense's queue holds one
        picture, so that a slow reader gets the newest.
        """
        try:
            while not ending.is_set():
                try:
                    frame = self._camera.read(self._wanted())
                except CameraLostError as error:
                    if not self._back(error, ending):
                        return
                else:
                    self._show(frame)
                    self.shown += 1
        finally:
            self._camera.close()

    def _back(self, error: CameraLostError, ending: threading.Event) -> bool:
        """Whether the camera was opened again."""
        settings = self._camera.settings
        if settings.file and not settings.loop:
            self._say(f"{self._camera.label}: the recording is over")
            return False
        self.losses += 1
        self._say(f"lost: {error}; it is opened again")
        lost_s = time.monotonic()
        while not ending.is_set():
            try:
                self._camera.open(ending.is_set)
            except CameraError as problem:
                self._say(f"{problem}; again in {self._again_s:g} s")
                ending.wait(self._again_s)
            else:
                self._say(f"{self._camera.label} is back after {time.monotonic() - lost_s:.1f} s")
                return True
        return False
