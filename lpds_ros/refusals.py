"""Launch arguments that do not go together, each with what to write instead. No ROS, and no file is read."""

import re

from lpds_ros.arguments import Arguments, LaunchError
from lpds_ros.contract import Contract
from lpds_ros.steering.prefix import NO_LEARNER


def require_sense(a: Arguments):
    """Raise LaunchError where two arguments contradict each other, or one its robot."""
    if a.robot == "real":
        _require_what_a_robot_can(a)
    if a.markers and a.robot == "mock":
        raise LaunchError("markers:=…: a mock robot has no camera to see them with: robot:=sim, or robot:=real")
    if not re.fullmatch(r"[A-Za-z]\w*", a.markers_camera):
        raise LaunchError(f"markers_camera:={a.markers_camera}: the name of a camera, such as camera or wrist")
    if a.namespace.strip("/") and not re.fullmatch(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", a.namespace.strip("/")):
        raise LaunchError(f"namespace:={a.namespace}: use letters, digits and _, parts separated by /")
    if not re.fullmatch(r"[\w.-]*", a.name):
        raise LaunchError(f"name:={a.name}: use letters, digits, '.', '_' and '-'")
    if a.prior == "none" and a.teleop == "none":
        raise LaunchError("prior:=none and teleop:=none: nothing would drive the robot; give one of the two")
    if a.actor and a.learner:
        raise LaunchError("actor:=… is for steering with fixed weights: add learner:=false, or leave it out to learn")
    if a.prefix and a.learner:
        raise LaunchError(f"{NO_LEARNER}; for steering with the prior or with fixed weights add learner:=false")
    if a.clock == "lockstep" and has_cell(a):
        raise LaunchError("cell:=true: a person puts the scene back in real time: use clock:=realtime")
    if a.clock == "lockstep" and a.teleop not in ("none", "scripted"):
        raise LaunchError(f"teleop:={a.teleop} is a person's hand: use clock:=realtime")


def has_cell(a: Arguments) -> bool:
    """Whether the cell node serves lpds/reset."""
    return a.cell == "true" or (a.cell == "auto" and a.robot == "real")


def _require_what_a_robot_can(a: Arguments):
    if a.clock == "lockstep":
        raise LaunchError("clock:=lockstep: a real arm does not wait for its commands: robot:=sim, or clock:=realtime")
    if a.franka_bringup and not a.robot_ip:
        raise LaunchError(
            "robot:=real: give robot_ip:=…, the address of the robot's control box; or franka_bringup:=false where "
            "franka_ros2 runs already"
        )
    if a.faults:
        raise LaunchError("faults:=true: only a simulated or a mock robot has faults on purpose")
    if a.teleop == "scripted":
        raise LaunchError("teleop:=scripted: the script knows the simulation's tasks alone: give a device, or none")
    if a.learner and a.teleop == "none" and a.prior != "none":
        raise LaunchError(
            "robot:=real learner:=true: somebody must say which episodes succeed: teleop:=keyboard, gamepad or spacemouse; "
            "without learning add learner:=false"
        )


def require_operator(contract: Contract):
    """Raise LaunchError for a contract of the simulation: it alone knows by itself whether a task has succeeded."""
    if contract.reward.source != "operator":
        raise LaunchError(
            f"contract {contract.name}: its reward is the simulation's {contract.reward.topic}, which nobody says on a real "
            "robot: use a prior of a contract with reward: {source: operator}, as `lpds prior export --reward "
            "operator` makes it"
        )
