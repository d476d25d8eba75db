"""Result rows: one JSON line a run, appended whole or not at all, with everything needed to know where it came from."""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

from lpds_ros.bench.task import BenchError

SCHEMA = 1
PACKAGES = ("numpy", "torch", "gymnasium", "mujoco", "gymnasium-robotics", "robosuite")
KEY = ("suite", "task", "method", "seed")


def provenance() -> dict:
    """Commit (null outside of a checkout), whether the sources differ from it, versions (null: not installed), machine."""
    here = Path(__file__).resolve().parent.parent
    return {
        "commit": _git(here, "rev-parse", "HEAD"),
        "dirty": _dirty(_git(here, "status", "--porcelain", "--", str(here))),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _dirty(status: str | None) -> bool | None:
    return None if status is None else bool(status)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def append(path: Path, row: dict):
    """Append one row. Several processes may do so at once. Raises ValueError for a number that is not finite."""
    line = json.dumps(row, allow_nan=False, separators=(",", ":")) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if stream.tell() and _last_byte(stream) != b"\n":
            line = "\n" + line  # a process was killed in its write: its line is lost, ours is not
        stream.write(line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def _last_byte(stream) -> bytes:
    stream.seek(-1, os.SEEK_END)
    return stream.read(1)


def read(path: Path) -> list[dict]:
    """Every row, oldest first; [] when there is no file. Raises BenchError for one of another schema.

    A line cut short (its process was killed while writing) is left out.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or row.get("schema") != SCHEMA:
            raise BenchError(f"{path}:{number}: not a result row of schema {SCHEMA}; move the file away, or this line")
        rows.append(row)
    return rows


def key_of(row: dict) -> tuple:
    """(suite, task, method, seed): what a row is about."""
    return tuple(row[name] for name in KEY)


def latest(rows: list[dict]) -> dict[tuple, dict]:
    """The newest row of each key."""
    return {key_of(row): row for row in rows}


def learns(method: str) -> bool:
    """Whether a method is more than the prior (`prior`, `prior-quiet`), of which nothing depends on a run's seed."""
    return not method.startswith("prior")


def plain(value):
    """Plain JSON of numpy scalars and nested containers; what is not finite becomes null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if value == value and abs(value) != float("inf") else None
    return value


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """"name old -> new" of every leaf that differs."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key} {_short(a)} -> {_short(b)}")
    return found


def _short(value) -> str:
    return value[:12] if isinstance(value, str) else str(value)
