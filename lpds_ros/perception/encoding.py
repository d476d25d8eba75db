"""From a camera's message to features, beside the control tick: one thread, the newest picture of each stream, no queue."""

import threading
import time
from collections.abc import Callable

import numpy as np

from lpds_ros.contract import Stream
from lpds_ros.images import ImageError, Picture, fitted

LOOK_S = 0.1  # at whether to end


class EncoderLoop:
    """`run` in a thread of its own encodes what `offer` hands in from any other.

    streams: those of images, by name. encode: (name, uint8 [h, w, 3]) -> features [size]. on_features(name, stamp_ns, features,
    encode_s) and on_refused(name, why) are called in that thread. check: (name, stamp_ns, picture) -> why it is not to be
    used, or "". A picture that is not begun when the next of its stream comes is dropped.
    """

    def __init__(
        self,
        streams: dict[str, Stream],
        encode: Callable[[str, np.ndarray], np.ndarray],
        on_features: Callable[[str, int, np.ndarray, float], None],
        on_refused: Callable[[str, str], None],
        check: Callable[[str, int, np.ndarray], str] = lambda name, stamp_ns, picture: "",
    ):
        self._streams, self._encode = streams, encode
        self._on_features, self._on_refused, self._check = on_features, on_refused, check
        self._waiting: dict[str, Picture] = {}
        self._there = threading.Condition()

    def offer(self, name: str, picture: Picture):
        """Encode this picture of stream `name` next, in the place of one that still waits."""
        with self._there:
            self._waiting[name] = picture  # in its predecessor's place in the line, so that no stream starves
            self._there.notify()

    def run(self, ending: threading.Event):
        """Encode until `ending` is set. What the encoder raises, this raises."""
        while not ending.is_set():
            with self._there:
                if not self._waiting and not self._there.wait(LOOK_S):
                    continue
                name = next(iter(self._waiting), None)
                if name is None:
                    continue
                picture = self._waiting.pop(name)
            self._take(name, picture)

    def _take(self, name: str, picture: Picture):
        start_s = time.perf_counter()
        try:
            image = fitted(picture.rgb(), self._streams[name])
        except ImageError as refusal:
            self._on_refused(name, str(refusal))
            return
        if refusal := self._check(name, picture.stamp_ns, image):
            self._on_refused(name, refusal)
            return
        features = self._encode(name, image)
        self._on_features(name, picture.stamp_ns, features, time.perf_counter() - start_s)
