"""What `ros2 launch` starts beside our processes for robot:=real: other packages' launch files and executables. No ROS.

Names and arguments: franka_ros2 2.5 (Humble) and 3.4 (Jazzy), franka_bringup/launch/franka.launch.py.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lpds_ros.arguments import Arguments, LaunchError
from lpds_ros.resources import resource
from lpds_ros.robot.command_modes import CONTROLLERS as OBEYED_BY
from lpds_ros.robot.command_modes import NO_GROUP_POSITION

FRANKA, CRISP, CONTROLLER_MANAGER = "franka_bringup", "crisp_controllers", "controller_manager"
REALSENSE = "realsense2_camera"
# By the argument controller: what our files load. The command mode's is active, the others are there for a person to switch to.
CONTROLLERS = {
    "crisp": ("cartesian_impedance_controller", "joint_impedance_controller", "fr3_arm_controller"),
    "jtc": ("fr3_arm_controller",),
}
WHERE_FROM = {
    FRANKA: "build https://github.com/frankarobotics/franka_ros2 and source its workspace",
    CRISP: "build https://github.com/utiasDSL/crisp_controllers and source its workspace, or give controller:=jtc",
    REALSENSE: "sudo apt install ros-$ROS_DISTRO-realsense2-camera, or give camera:=realsense",
    CONTROLLER_MANAGER: "sudo apt install ros-$ROS_DISTRO-controller-manager",
}
# What a machine without `ros2 launch` can do in its place, on it or with it.
INSTEAD = {
    FRANKA: "start franka_ros2 on the robot's computer and give franka_bringup:=false here",
    REALSENSE: "give camera:=realsense, our own node on the same topics",
}
SPAWNER_PATIENCE_S = 30


@dataclass(frozen=True)
class Include:
    """One launch file of another package. file: below its share folder. arguments: launch arguments as texts."""

    package: str
    file: str
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Foreign:
    """One executable of another package. words: its command line. It ends by itself, and its end is nobody's."""

    package: str
    executable: str
    words: tuple[str, ...]


def command_mode(a: Arguments) -> str:
    """How steering commands the arm, `auto` resolved. Raises LaunchError for a mode that the robot's controllers do not obey."""
    mode = a.command_mode
    if mode == "auto":
        return "joint_trajectory" if a.robot == "real" and a.controller == "jtc" else "cartesian_pose"
    if a.robot != "real":
        return mode
    if mode == "joint_group_position" and not a.allow_group_position:
        raise LaunchError(NO_GROUP_POSITION)
    if a.franka_bringup and not a.controllers_yaml and OBEYED_BY[mode] not in CONTROLLERS[a.controller]:
        raise LaunchError(
            f"command_mode:={mode} is for {OBEYED_BY[mode]}, which controller:={a.controller} does not load: "
            f"{', '.join(m for m, name in OBEYED_BY.items() if name in CONTROLLERS[a.controller])}, another controller, or a "
            "controllers_yaml:=… that has it"
        )
    return mode


def beside(a: Arguments, namespace: str) -> Iterator[Include | Foreign]:
    """In the order of starting. namespace: '' or '/name'."""
    if a.robot != "real" or not a.franka_bringup:
        return
    if a.controllers_yaml and not Path(a.controllers_yaml).is_file():
        raise LaunchError(f"controllers_yaml:={a.controllers_yaml}: no such file")
    given = Path(a.controllers_yaml).absolute() if a.controllers_yaml else resource(f"config/controllers/{a.controller}.yaml")
    arguments = {
        "robot_ip": a.robot_ip,
        "robot_type": "fr3",
        "load_gripper": "true",
        "namespace": namespace.strip("/"),
        "controllers_yaml": str(given),
    }
    yield Include(FRANKA, "launch/franka.launch.py", arguments)
    active = OBEYED_BY[command_mode(a)]
    loaded = [name for name in CONTROLLERS[a.controller] if name != active]
    patience = ("--controller-manager-timeout", str(SPAWNER_PATIENCE_S))
    if loaded:
        yield Foreign(CONTROLLER_MANAGER, "spawner", (*loaded, "--inactive", *patience))
    yield Foreign(CONTROLLER_MANAGER, "spawner", (active, *patience))


def unstartable(parts: Iterable[Include | Foreign]) -> LaunchError:
    """Why these cannot be started without `ros2 launch`, and what to do instead."""
    includes = [part for part in parts if isinstance(part, Include)]
    files = ", ".join(dict.fromkeys(f"{part.package}/{part.file}" for part in includes))
    return LaunchError(
        f"these arguments include {files}, which only `ros2 launch` can start, and here is no `ros2`: source a ROS 2 with it; "
        f"or {'; and '.join(dict.fromkeys(INSTEAD[part.package] for part in includes))}"
    )


def share_folder(package: str) -> Path:
    """The share folder of a package in the sourced workspaces. Raises LaunchError saying where to get it."""
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    for prefix in prefixes:
        if (prefix / "share" / "ament_index" / "resource_index" / "packages" / package).exists():
            return prefix / "share" / package
    where = ", ".join(map(str, prefixes)) or "AMENT_PREFIX_PATH is empty"
    how = WHERE_FROM.get(package, "install it")
    raise LaunchError(f"package {package} is in none of the sourced workspaces ({where}): {how}")


def launch_file(include: Include) -> Path:
    """Where the launch file lies. Raises LaunchError, also when the package has none of that name."""
    path = share_folder(include.package) / include.file
    if not path.is_file():
        raise LaunchError(f"{path}: no such launch file; {WHERE_FROM.get(include.package, 'another version is installed')}")
    return path
