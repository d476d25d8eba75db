"""Which controller drives the arm: ros2_control's controller manager in front of franka_hardware. No ROS, no MuJoCo.

One motion controller at a time holds the arm's command interfaces, and only its commands are obeyed. What stops the robot
leaves its hardware component unconfigured and its motion controllers inactive (franka_hardware from 2.4.0 and 3.3.0 on, on
Jazzy): error recovery alone moves nothing, the component and then a controller must be activated again. The broadcasters stay
active here, so that the robot's mode is still told; whether they do on a robot is not known to us.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lpds_ros.config import nearest

HARDWARE = "FrankaHardwareInterface"
CARTESIAN, JOINT = "cartesian_impedance_controller", "joint_impedance_controller"
TRAJECTORY, POSITION = "fr3_arm_controller", "forward_position_controller"
BROADCASTERS = {
    "joint_state_broadcaster": "joint_state_broadcaster/JointStateBroadcaster",
    "franka_robot_state_broadcaster": "franka_robot_state_broadcaster/FrankaRobotStateBroadcaster",
}
ANY = "any"
UNCONFIGURED, INACTIVE, ACTIVE = "unconfigured", "inactive", "active"
STATES = {UNCONFIGURED: 1, INACTIVE: 2, ACTIVE: 3}  # lifecycle_msgs/State
BEST_EFFORT, STRICT, FORCE_AUTO = 1, 2, 4  # controller_manager_msgs/srv/SwitchController


class ControllerError(ValueError):
    """A switch or a transition that is refused; the text says what to do."""


@dataclass(frozen=True)
class Controller:
    """A loaded controller. kind: its plugin. interface: what it commands of every joint, "" for a broadcaster."""

    name: str
    kind: str
    interface: str = ""


class Controllers:
    """The manager's state. active: the motion controller to begin with, or "any": all at once, the last command drives.

    trajectory, position: the names of those two. Raises ControllerError for an `active` that there is not.
    """

    def __init__(self, active: str = ANY, *, trajectory: str = TRAJECTORY, position: str = POSITION):
        self.trajectory, self.position = trajectory, position
        motion = (
            Controller(CARTESIAN, "crisp_controllers/CartesianController", "effort"),
            Controller(JOINT, "crisp_controllers/CartesianController", "effort"),
            Controller(trajectory, "joint_trajectory_controller/JointTrajectoryController", "effort"),
            Controller(position, "forward_command_controller/ForwardCommandController", "position"),
        )
        self._motion = {controller.name: controller for controller in motion}
        self.known = self._motion | {name: Controller(name, kind) for name, kind in BROADCASTERS.items()}
        if active not in (ANY, *self._motion):
            raise ControllerError(f"there is no controller '{active}'{nearest(active, (ANY, *self._motion))}")
        self.any = active == ANY
        self.hardware = ACTIVE
        self._active = set(BROADCASTERS) | (set(self._motion) if self.any else {active})

    @property
    def driving(self) -> tuple[str, ...]:
        """Motion controllers that are active: one, or none; with "any" several."""
        return tuple(name for name in self._motion if name in self._active)

    def state(self, name: str) -> str:
        """State of a controller by its name."""
        return ACTIVE if name in self._active else INACTIVE

    def refusal(self, name: str) -> str:
        """Why a command of this controller is not obeyed, and what to do, or ""."""
        if self.hardware != ACTIVE:
            return f"the hardware component {HARDWARE} is {self.hardware}: `lpds robot recover`"
        if name in self._active:
            return ""
        switch = "".join(f" --deactivate {other}" for other in self.driving) + f" --activate {name}"
        return f"{name} is inactive: `ros2 control switch_controllers{switch}`"

    def switch(self, activate: Iterable[str], deactivate: Iterable[str], strictness: int = STRICT):
        """Deactivate, then activate, all or (STRICT, when one cannot be) nothing. Raises ControllerError.

        BEST_EFFORT and AUTO do what they can; FORCE_AUTO deactivates whoever holds the interfaces that are asked for.
        """
        strict = strictness == STRICT
        on = self._possible(activate, strict, lambda name: name not in self._active, "already active")
        off = self._possible(deactivate, strict, lambda name: name in self._active, "not active")
        remaining = self._active - off
        if on and self.hardware != ACTIVE:
            text = f"the hardware component {HARDWARE} is {self.hardware}: activate it first"
            raise ControllerError(f"{', '.join(sorted(on))}: {text}")
        wanted = on & self._motion.keys()
        holders = remaining & self._motion.keys()
        if not self.any and wanted and strictness == FORCE_AUTO:
            remaining, holders = remaining - holders, set()
        if not self.any and wanted and len(wanted | holders) > 1:
            text = f"the arm's interfaces can be held by one of {', '.join(sorted(wanted | holders))}: deactivate the others"
            raise ControllerError(text)
        self._active = remaining | on

    def _possible(self, names, strict, fits, otherwise) -> set[str]:
        found = set()
        for name in names:
            if name in self.known and fits(name):
                found.add(name)
            elif strict and name in self.known:
                raise ControllerError(f"controller '{name}' is {otherwise}")
            elif strict:
                raise ControllerError(f"there is no controller '{name}'{nearest(name, self.known)}")
        return found

    def set_hardware(self, name: str, state: str, error: str = ""):
        """Bring the hardware component to a state. error: why the robot could not be controlled now, or "".

        Raises ControllerError, and the component is as it was.
        """
        if name != HARDWARE:
            raise ControllerError(f"there is no hardware component '{name}'; there is {HARDWARE}")
        if state not in STATES:
            raise ControllerError(f"hardware component {name}: no state '{state}'; there are {', '.join(STATES)}")
        if state == ACTIVE and error:
            raise ControllerError(error)
        self.hardware = state
        if state != ACTIVE:
            self._active -= self._motion.keys()
        elif self.any:
            self._active |= self._motion.keys()

    def fail(self):
        """The robot stopped: its hardware component is unconfigured, nothing drives it."""
        self.set_hardware(HARDWARE, UNCONFIGURED)
