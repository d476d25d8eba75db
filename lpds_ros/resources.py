"""Find the data files that travel with the package: in the source tree, or in share/lpds_ros of an installation."""

import sys
from pathlib import Path


def roots() -> list[Path]:
    """Where data files may lie, in the order they are tried: the source tree, ament prefixes, the Python prefix."""
    import os

    source = Path(__file__).resolve().parent.parent
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p] + [Path(sys.prefix)]
    return [source] + [prefix / "share" / "lpds_ros" for prefix in prefixes]


def resource(name: str) -> Path:
    """Path of `name` ("models/lift"). Raises FileNotFoundError that lists where it was looked for."""
    tried = [root / name for root in roots()]
    for path in tried:
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is in none of: {', '.join(map(str, tried))}; reinstall lpds_ros")
