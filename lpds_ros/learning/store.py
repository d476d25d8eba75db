"""The actor versions of a run on disk: pushes, latest, best so far. Each file appears whole or not at all."""

import re
from collections import deque
from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.records import Episode

LATEST, BEST = "latest.safetensors", "best.safetensors"
KEEP = 50
WINDOW = 20


class ActorStore:
    """`directory`/v000123.safetensors per version, the newest `keep` of them, latest.safetensors and best.safetensors.

    Best: the version that ended the window of WINDOW steered episodes with the most successes; ties go to the newer.
    """

    def __init__(self, directory: str | Path, keep: int = KEEP):
        self.directory, self._keep = Path(directory), keep
        self.directory.mkdir(parents=True, exist_ok=True)
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._best_wins = 0

    def newest_version(self) -> int:
        """The highest version ever written here; 0 without any. A restarted learner counts on from it."""
        return max((int(m[1]) for m in map(_match, self.directory.iterdir()) if m), default=0)

    def write(self, version: int, blob: bytes):
        """Write one version and point `latest` at the same bytes."""
        write_whole(self.path(version), blob)
        write_whole(self.directory / LATEST, blob)
        versions = sorted(path for path in self.directory.iterdir() if _match(path))
        for path in versions[: -self._keep]:
            path.unlink(missing_ok=True)

    def path(self, version: int) -> Path:
        return self.directory / f"v{version:06d}.safetensors"

    def judge(self, episode: Episode) -> bool:
        """Account for an ended episode; True when its version became the best. Episodes of the prior do not count."""
        if episode.weights_version == 0 or episode.operator_ticks:
            return False
        self._outcomes.append(episode.success)
        wins = sum(self._outcomes)
        if len(self._outcomes) < WINDOW or wins < self._best_wins:
            return False
        try:
            blob = self.path(episode.weights_version).read_bytes()
        except FileNotFoundError:
            return False
        self._best_wins = wins
        write_whole(self.directory / BEST, blob)
        return True


def _match(path: Path):
    return re.fullmatch(r"v(\d{6,})\.safetensors", path.name)
