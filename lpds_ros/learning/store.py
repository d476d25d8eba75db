"""The actor versions of a run on disk: pushes, latest, best, quarantined. Each file appears whole or not at all."""

import re
from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.weights import read_metadata

LATEST, BEST, QUARANTINE = "latest.safetensors", "best.safetensors", "quarantined"
KEEP = 50


class ActorStore:
    """`directory`/v000123.safetensors per version, the newest `keep` of them and the best one, latest.safetensors,
    best.safetensors, and in quarantined/ what the robot rolled back.

    Which one is best the robot says (steering/canary.py): it sees every episode and what ran.
    """

    def __init__(self, directory: str | Path, keep: int = KEEP):
        self.directory, self._keep = Path(directory), keep
        self.directory.mkdir(parents=True, exist_ok=True)
        self.best = version_in(self.directory / BEST) or 0  # a learner that was started again writes before the robot is heard

    def newest_version(self) -> int:
        """The highest version ever written here; 0 without any. A restarted learner counts on from it."""
        return max((0, *self._versions(self.directory), *self._versions(self.directory / QUARANTINE)))

    def write(self, version: int, blob: bytes):
        """Write one version and point `latest` at the same bytes."""
        write_whole(self.path(version), blob)
        write_whole(self.directory / LATEST, blob)
        for old in self._versions(self.directory)[: -self._keep]:
            if old != self.best:
                self.path(old).unlink(missing_ok=True)

    @staticmethod
    def name(version: int) -> str:
        """The file's name of a version."""
        return f"v{version:06d}.safetensors"

    def path(self, version: int) -> Path:
        return self.directory / self.name(version)

    def keep_best(self, version: int) -> bool:
        """`version` is the best so far: it outlives newer ones. False where its file is not here."""
        try:
            blob = self.path(version).read_bytes()
        except FileNotFoundError:
            return False
        write_whole(self.directory / BEST, blob)
        self.best = version
        return True

    def quarantine(self, above: int, newest: int):
        """Put the versions above `above` up to `newest` away."""
        away = self.directory / QUARANTINE
        for version in self._versions(self.directory):
            if above < version <= newest:
                away.mkdir(exist_ok=True)
                self.path(version).replace(away / self.name(version))

    @staticmethod
    def _versions(folder: Path) -> list[int]:
        """In a folder that may not be there, oldest first."""
        names = (re.fullmatch(r"v(\d{6,})\.safetensors", path.name) for path in folder.glob("v*.safetensors"))
        return sorted(int(name[1]) for name in names if name)


def version_in(path: Path) -> int | None:
    """The version that the file holds; None where there is none."""
    try:
        return int(read_metadata(path.read_bytes())["version"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
