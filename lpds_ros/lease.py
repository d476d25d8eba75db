"""A lease on something that one process at a time may own: a ROS domain, a run folder's learner. No ROS.

The lock is flock's, so the kernel gives it back when the last process holding the file dies, however it dies. A lease
whose descriptor is passed to children stays taken until the last of them is gone: an orphan is seen, not overrun.
"""

import fcntl
import json
import os
import tempfile
from pathlib import Path

MAX_BYTES = 4096


class LeaseError(ValueError):
    """Somebody else holds it; `holder` is what they wrote about themselves ({} when unreadable)."""

    def __init__(self, text: str, holder: dict):
        super().__init__(text)
        self.holder = holder


class Lease:
    """Holds `path` until `release` or the end of the process. `holder`: what others are shown. Raises LeaseError."""

    def __init__(self, path: str | Path, holder: dict):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _read(self._fd)
            os.close(self._fd)
            self._fd = -1
            raise LeaseError(f"{self.path} is held by {_describe(found)}", found) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps({"pid": os.getpid(), **holder}).encode()[:MAX_BYTES], 0)

    def fileno(self) -> int:
        """The descriptor, for `pass_fds`: a child that inherits it keeps the lease alive."""
        return self._fd

    def release(self):
        """Give it back (as soon as no child holds the descriptor either)."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


def domain_lease_path(domain: str, namespace: str) -> Path:
    """Where the lease of one ROS domain and namespace lies: per user, in the temporary directory."""
    place = namespace.strip("/").replace("/", ".") or "root"
    return Path(tempfile.gettempdir()) / f"lpds-{os.getuid()}" / f"domain-{domain}-{place}.lock"


def _read(descriptor: int) -> dict:
    try:
        found = json.loads(os.pread(descriptor, MAX_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(holder: dict) -> str:
    words = [f"{key} {value}" for key, value in holder.items()]
    return ", ".join(words) if words else "another process"
