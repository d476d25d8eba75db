"""Files and folders that survive a crash: after it the old content is there or the new, whole."""

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def write_whole(path: Path, content: bytes):
    """Write beside `path`, sync, rename, sync the folder. Raises OSError; then `path` is as it was."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)  # a full disk must not be filled further
        raise
    sync(path.parent)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]):
    """Write numpy arrays by name as a compressed .npz, like `write_whole`; its folder is made where there is none.

    Raises ValueError for an array of objects: reading it would take pickle.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"{path}: {name} is an array of objects, which only pickle can write")
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.getvalue())


def read_arrays(content: bytes, limit_bytes: int) -> dict[str, np.ndarray]:
    """The arrays by name of an .npz. Raises ValueError when it is none, holds what only pickle can read, or unpacks to more than
    `limit_bytes`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > limit_bytes:
                raise ValueError(f"it unpacks to {size} bytes, more than the {limit_bytes} accepted")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        if not all(isinstance(array, np.ndarray) for array in found.values()):
            raise ValueError("it holds something that is no array")
        return found
    except Exception as error:  # noqa: BLE001 (zipfile and numpy raise whatever a damaged file provokes)
        raise ValueError(f"not readable: {type(error).__name__}: {error}") from None


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which then takes the place of `path`. Left by an exception, `path` is as it was.

    Killed between two renames there is no `path` but the old one beside it: read through `surviving`.
    """
    fresh, old = _beside(path, ".new"), _beside(path, ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        for file in [*fresh.rglob("*"), fresh]:
            sync(file)
    except BaseException:
        shutil.rmtree(fresh)
        raise
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    fresh.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def surviving(path: Path) -> Path:
    """`path`, or the folder that `replaced_folder` had moved aside when it was killed."""
    old = _beside(path, ".old")
    return old if old.exists() and not path.exists() else path


def sync(path: Path):
    """Push a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(f".{path.name}{end}")
