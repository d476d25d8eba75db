"""Find the data files that travel with the package: in the source tree, or in share/lpds_ros of an installation."""

import os
import sys
from pathlib import Path

PACKAGE = "lpds_ros"


class ResourceError(FileNotFoundError, ValueError):
    """A data file of the package is nowhere; the text lists where it was looked for."""


def roots() -> list[Path]:
    """Where data files may lie, in the order they are tried.

    The source tree (a checkout, an editable installation, colcon --symlink-install), then share/lpds_ros of the prefix
    this file is installed in, of each ament prefix and of the Python prefix.
    """
    here = Path(__file__).resolve()
    source = here.parent.parent
    found = [source] if (source / "package.xml").is_file() else []
    prefixes = [*here.parents[2:], *_ament_prefixes(), Path(sys.prefix)]
    shares = [prefix / "share" / PACKAGE for prefix in prefixes]
    return list(dict.fromkeys(found + [share for share in shares if share.is_dir()]))


def resource(name: str) -> Path:
    """Path of a file or folder of the package, `name` relative and with "/" ("models/lift", "config/fastdds.xml").

    Raises ResourceError listing where it was looked for.
    """
    tried = [root / name for root in roots()]
    for path in tried:
        if path.exists():
            return path
    where = ", ".join(map(str, tried)) or f"no share/{PACKAGE} above {Path(__file__).resolve()} or in {sys.prefix}"
    raise ResourceError(f"{name} is not among the package's files (looked for {where}); name another, or reinstall")


def cache_folder() -> Path:
    """Where what can be made again is kept for this user: $XDG_CACHE_HOME/lpds_ros, ~/.cache/lpds_ros. Made if missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PACKAGE
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _ament_prefixes() -> list[Path]:
    return [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
