"""Files that survive a crash: after it the old content is there or the new, whole."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes):
    """Write beside `path`, sync, rename, sync the folder. Raises OSError; then `path` is as it was."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    with fresh.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    sync(path.parent)


def sync(path: Path):
    """Push a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
