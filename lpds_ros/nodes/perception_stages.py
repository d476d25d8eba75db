"""How old pictures are when the perception node has them, and when it has their features. No ROS."""

import time
from collections.abc import Iterable

from lpds_ros.steering.clock import Ring

STAGES = RECEIVED, ENCODED = "received", "features"


class PictureStages:
    """names: streams of images. now_ns: the clock of their stamps. Each stage of a stream is one thread's."""

    def __init__(self, names: Iterable[str], now_ns=time.time_ns):
        self._now_ns = now_ns
        self._ages_s = {name: {stage: Ring() for stage in STAGES} for name in names}

    def note(self, name: str, stage: str, stamp_ns: int):
        """A picture of this stamp has reached the stage."""
        self._ages_s[name][stage].add((self._now_ns() - stamp_ns) / 1e9)

    def summary(self) -> str:
        """One line for the log: age of the newest pictures at each stage, 50th and 99th percentile."""
        parts = []
        for name, stages in self._ages_s.items():
            ages = [f"{stage} p50 {_ms(ring, 50)} p99 {_ms(ring, 99)}" for stage, ring in stages.items()]
            counts = f"{stages[ENCODED].count} encoded of {stages[RECEIVED].count}"
            parts.append(f"{name}: {counts}, {', '.join(ages)} after the stamp")
        return "pictures of " + "; ".join(parts)


def _ms(ring: Ring, percent: float) -> str:
    return f"{1e3 * ring.percentile(percent):.1f} ms"
