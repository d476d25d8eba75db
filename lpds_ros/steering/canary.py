"""The canary: whether the versions that run are as good as the one that did best. Plain arithmetic on episodes.

Success swings while a policy learns, and a version runs only a few episodes before the next replaces it. So what is
compared is the last `window` steered episodes, whatever versions ran them, with what the kept version has shown.
"""

from collections import deque
from dataclasses import dataclass

from lpds_ros.records import Episode

ENDS = ("success", "failure", "time")  # of episodes that say something about the policy


@dataclass
class Tally:
    """Successes among episodes."""

    wins: int = 0
    runs: int = 0

    def add(self, success: bool):
        self.wins += success
        self.runs += 1

    @property
    def rate(self) -> float:
        return self.wins / self.runs if self.runs else 0.0


class Canary:
    """window: episodes judged together. drop: fall of the success rate, 0 to 1, beyond which the kept version returns.

    kept: the version that ended the best window so far, at first the prior (0). Its record goes on with every episode that it
    runs later: the best of many windows was lucky too, and its bar comes down to what it is worth.
    """

    def __init__(self, window: int, drop: float):
        self._window, self._drop = window, drop
        self._recent: deque[Episode] = deque(maxlen=window)
        self._keep(0)

    def _keep(self, version: int):
        """`version` is the best so far, by the last window."""
        self.kept, self._record, self._own = version, Tally(), Tally()
        for episode in self._recent:
            self._account(episode)

    def _account(self, episode: Episode):
        self._record.add(episode.success)
        if episode.weights_version == self.kept:
            self._own.add(episode.success)

    @property
    def _bar(self) -> Tally:
        """What the kept version has shown: its own episodes once they are a window, before that its window's and those."""
        return self._own if self._own.runs >= self._window else self._record

    def judge(self, episode: Episode) -> str:
        """Account for an ended episode; why the kept version must run again, or "". Episodes that an operator drove or that
        were stopped do not count.
        """
        if episode.operator_ticks or episode.reason not in ENDS:
            return ""
        self._recent.append(episode)
        if episode.weights_version == self.kept:
            self._account(episode)
            return ""
        if len(self._recent) < self._window:
            return ""
        wins, bar = sum(e.success for e in self._recent), self._bar
        fall = bar.rate - wins / self._window
        if fall <= 0.0 or 2 * bar.runs < self._window:
            self._keep(episode.weights_version)
            return ""
        if fall <= self._drop + 1e-9:
            return ""
        return (
            f"{wins} of the last {self._window} episodes succeeded, {bar.wins} of {bar.runs} with version {self.kept}: "
            f"versions above it up to {episode.weights_version} are rolled back"
        )

    def rolled_back(self, version: int):
        """`version` runs again. Its record stays if it is the kept one's; the windows start anew."""
        self._recent.clear()
        if version != self.kept:
            self._keep(version)

    def renamed(self, version: int):
        """The learner has published the kept weights as this version."""
        self.kept = version
