"""The environment ROS 2 needs here, in one place: for the launchers' child processes and for a node started by hand.

A person's own settings win everywhere. Every default exists because its absence fails silently: without field checks
`Float64(data=3)` publishes 5e-324, with the middleware's own shared-memory segment most 1 MB messages are lost, and
without a discovery range every robot of the network joins in.
"""

import os
import sys
from pathlib import Path

from lpds_ros.resources import ResourceError, resource

PROFILES = "config/fastdds.xml"
# The second name is that of Fast DDS 2 (ROS 2 Jazzy), which does not read the first; Fast DDS 3 warns about the second.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# The wheels' start-up hook marks an environment as prepared; another virtual environment must prepare its own.
BOOTSTRAP_MARK = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


def defaults() -> dict[str, str]:
    """The variables and values set where the person has set none."""
    values = {"ROS_PYTHON_CHECK_FIELDS": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if not any(name in os.environ for name in PROFILE_VARIABLES):
        try:
            values[PROFILE_VARIABLES[_fast_dds_2()]] = str(resource(PROFILES))
        except ResourceError:
            pass  # a partial installation still runs; `lpds doctor` names the missing profile
    if (Path(sys.prefix) / "share" / "ament_index").is_dir():
        values["AMENT_PREFIX_PATH"] = sys.prefix  # the wheels make the environment an ament prefix and tell nobody
    return values


def _fast_dds_2() -> bool:
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    return any((Path(prefix) / "share" / "fastrtps").is_dir() for prefix in prefixes if prefix)


def apply_defaults():
    """Set the defaults in this process. Call before the first message import: field checks are read there."""
    for name, value in defaults().items():
        os.environ.setdefault(name, value)


def ros_environment(run_dir: str | Path | None = None) -> dict[str, str]:
    """Environment for a child process: ours plus the defaults; with `run_dir`, ROS logs go to its `logs/ros` folder.

    Of another virtual environment's libraries nothing is handed on.
    """
    environment = {**defaults(), **os.environ}
    if not _prepared_for_this_prefix(environment):
        environment.pop(BOOTSTRAP_MARK, None)
    if run_dir is not None:
        environment["ROS_LOG_DIR"] = str(Path(run_dir).resolve() / "logs" / "ros")
    return environment


def _prepared_for_this_prefix(environment: dict[str, str]) -> bool:
    library_path = environment.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    return str(Path(sys.prefix) / "lib") in library_path
