"""controller_manager/* and action_server/error_recovery of a robot that is none: the services of ros2_control's controller
manager and the action of franka_hardware, in front of anything that has their methods.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from controller_manager_msgs.msg import ControllerState, HardwareComponentState, HardwareInterface
from controller_manager_msgs.srv import (
    ListControllers,
    ListHardwareComponents,
    SetHardwareComponentState,
    SwitchController,
)
from franka_msgs.action import ErrorRecovery
from lifecycle_msgs.msg import State
from rclpy.action import ActionServer

from lpds_ros.sim.controllers import ACTIVE, HARDWARE, STATES, ControllerError, Controllers

MANAGER, RECOVERY = "controller_manager", "action_server/error_recovery"
PLUGIN = "franka_hardware/FrankaHardwareInterface"
UPDATE_HZ = 1000
INTERFACES = ("position", "velocity", "effort")


class Managed(Protocol):
    """A robot behind the services. Refusals are ValueErrors."""

    controllers: Controllers

    def switch_controllers(self, activate: Iterable[str], deactivate: Iterable[str], strictness: int): ...

    def set_hardware(self, name: str, state: str): ...

    def recover(self): ...


class ControllerManager:
    """The services and the action of one robot. joints: their names. lock: guards it. warn: takes a key and a text for the
    log.
    """

    def __init__(self, node, robot: Managed, joints: tuple[str, ...], lock, warn: Callable[[str, str], None]):
        self._log, self._robot, self._lock, self._warn = node.get_logger(), robot, lock, warn
        self._joints = joints
        for kind, name, answer in (
            (ListControllers, "list_controllers", self._on_list),
            (SwitchController, "switch_controller", self._on_switch),
            (ListHardwareComponents, "list_hardware_components", self._on_components),
            (SetHardwareComponentState, "set_hardware_component_state", self._on_set),
        ):
            node.create_service(kind, f"{MANAGER}/{name}", answer)
        self._recovery = ActionServer(node, ErrorRecovery, RECOVERY, self._on_recovery)

    def _on_list(self, request, response):
        with self._lock:
            known = [(c, self._robot.controllers.state(c.name)) for c in self._robot.controllers.known.values()]
        for controller, state in known:
            claims = [f"{joint}/{controller.interface}" for joint in self._joints] if controller.interface else []
            response.controller.append(
                ControllerState(
                    name=controller.name,
                    state=state,
                    type=controller.kind,
                    update_rate=UPDATE_HZ,
                    claimed_interfaces=claims if state == ACTIVE else [],
                    required_command_interfaces=claims,
                )
            )
        return response

    def _on_switch(self, request, response):
        try:
            with self._lock:
                self._robot.switch_controllers(
                    request.activate_controllers, request.deactivate_controllers, request.strictness
                )
            response.ok = True
            text = f"activated: {_names(request.activate_controllers)}, deactivated: {_names(request.deactivate_controllers)}"
            self._log.info(text)
        except ControllerError as refusal:
            response.ok, text = False, str(refusal)
            self._log.error(f"switch_controller refused: {text}")
        if hasattr(response, "message"):  # Humble's has none
            response.message = text
        return response

    def _on_components(self, request, response):
        with self._lock:
            state, driven = self._robot.controllers.hardware, self._robot.controllers.driving
        claimed = {self._robot.controllers.known[name].interface for name in driven}
        component = HardwareComponentState(name=HARDWARE, type="system", plugin_name=PLUGIN, state=_state(state))
        if state == ACTIVE:
            component.command_interfaces = [
                HardwareInterface(name=f"{joint}/{kind}", is_available=True, is_claimed=kind in claimed)
                for joint in self._joints
                for kind in INTERFACES
            ]
            component.state_interfaces = [
                HardwareInterface(name=f"{joint}/{kind}", is_available=True) for joint in self._joints for kind in INTERFACES
            ]
        response.component = [component]
        return response

    def _on_set(self, request, response):
        # As upstream: the label counts where there is one, else the id.
        labels = {number: label for label, number in STATES.items()}
        wanted = request.target_state.label or labels.get(request.target_state.id, str(request.target_state.id))
        try:
            with self._lock:
                self._robot.set_hardware(request.name, wanted)
            response.ok = True
        except ControllerError as refusal:
            response.ok = False
            self._log.error(f"set_hardware_component_state refused: {refusal}")
        response.state = _state(self._robot.controllers.hardware)
        return response

    def _on_recovery(self, handle):
        try:
            with self._lock:
                self._robot.recover()
            handle.succeed()
        except ValueError as refusal:
            self._warn("recovery", f"error recovery refused: {refusal}")
            handle.abort()
        return ErrorRecovery.Result()

    def destroy(self):
        """Take the action off the graph."""
        self._recovery.destroy()


def _state(label: str) -> State:
    return State(id=STATES[label], label=label)


def _names(names) -> str:
    return ", ".join(names) or "none"
