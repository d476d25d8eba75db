"""Out of a stop, in the order franka_hardware documents: error recovery, then the hardware component, then the controllers.

Only ever because a person asks for it. Each step has a name, a time it may take and an outcome that says what to do; after the
first that fails nothing more is tried. Nothing moves by it: it is refused unless steering is in STOP or FAULT, where it stays
until lpds/arm.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lpds_ros.perception.robot import GUIDING, USER_STOPPED, RobotState

HARDWARE = "FrankaHardwareInterface"
ACTIVE = "active"
LOOK_S, CLEAR_S, COMPONENT_S, SWITCH_S = 2.0, 30.0, 15.0, 10.0  # libfranka's recovery takes 12 s at times (franka_ros #308)
SETTLE_S, POLL_S = 5.0, 0.05


def recovery_action(hardware: str) -> str:
    """Name of the action of error recovery: an arm's prefix is its namespace (left_FrankaHardwareInterface: left/…)."""
    arm = hardware.removesuffix(HARDWARE).rstrip("_") if hardware.endswith(HARDWARE) else ""
    return f"{arm}/action_server/error_recovery" if arm else "action_server/error_recovery"


class StepError(ValueError):
    """A step that failed; the text says why and what to do."""


@dataclass(frozen=True)
class Outcome:
    """How a step ended. text: what was found or done, or why it failed."""

    step: str
    ok: bool
    text: str
    took_s: float


@dataclass(frozen=True)
class ControllerInfo:
    """One loaded controller. moves: it holds command interfaces of the arm when it is active."""

    name: str
    state: str
    moves: bool

    @property
    def active(self) -> bool:
        return self.state == ACTIVE


class Robot(Protocol):
    """What the steps are done to. Every method raises StepError when it is not answered in time, or refused."""

    def state(self, timeout_s: float) -> RobotState | None:
        """One that came after the call; None: the robot says nothing."""

    def components(self, timeout_s: float) -> dict[str, str]:
        """State of every hardware component by its name."""

    def controllers(self, timeout_s: float) -> tuple[ControllerInfo, ...]: ...

    def steering(self) -> str:
        """Why steering is not at rest, or ""."""

    def clear_errors(self, timeout_s: float):
        """action_server/error_recovery."""

    def activate_component(self, name: str, timeout_s: float): ...

    def switch(self, activate: list[str], deactivate: list[str], timeout_s: float): ...


class Steps:
    """Runs steps by name and reports each outcome; the first that fails raises its StepError."""

    def __init__(self, report: Callable[[Outcome], None] = lambda outcome: None):
        self._report = report

    def __call__(self, name: str, action: Callable[[], str]):
        """Do it. action: returns what was found or done; "" is not worth a line."""
        began_s = time.monotonic()
        try:
            text = action()
        except StepError as error:
            self._report(Outcome(name, False, str(error), time.monotonic() - began_s))
            raise
        if text:
            self._report(Outcome(name, True, text, time.monotonic() - began_s))


def recover(
    robot: Robot, controller: str, hardware: str = HARDWARE, report: Callable[[Outcome], None] = lambda outcome: None
):
    """Bring the robot from whatever stopped it to an active `controller`. Raises StepError after the step that failed.

    Where nothing is wrong nothing is done. Controllers that are still active on a failed component (Humble leaves them so) are
    deactivated first; broadcasters that fell with it are activated again too.
    """
    step = Steps(report)
    broken = ""

    def look() -> str:
        nonlocal broken
        if reason := robot.steering():  # in a HOLD it would go on by itself as soon as its controller is active
            raise StepError(f"{reason}: nothing was done")
        known = robot.components(LOOK_S)
        if hardware not in known:
            raise StepError(f"no hardware component '{hardware}', there is {', '.join(known) or 'none'}: give its name")
        _require_controller(robot.controllers(LOOK_S), controller)
        state = robot.state(LOOK_S)
        if state is not None and state.mode == USER_STOPPED:
            raise StepError("the user stop is pressed: look at the arm, release it, then recover again")
        if state is not None and state.mode == GUIDING:
            raise StepError("somebody guides the arm by hand: let go of it, then recover again")
        found = [state.error] if state is not None and state.error else []
        found += [f"{hardware} is {known[hardware]}"] if known[hardware] != ACTIVE else []
        broken = "; ".join(found)
        return broken or "the robot reports no error"

    def deactivate() -> str:
        names = [c.name for c in robot.controllers(LOOK_S) if c.active and c.moves]
        if not (broken and names):
            return ""
        robot.switch([], names, SWITCH_S)
        return f"{', '.join(names)} deactivated"

    def clear() -> str:
        if not broken:
            return ""
        robot.clear_errors(CLEAR_S)
        return "action_server/error_recovery has succeeded"

    def component() -> str:
        if robot.components(LOOK_S)[hardware] == ACTIVE:
            return ""
        try:
            robot.activate_component(hardware, COMPONENT_S)
        except StepError as error:
            # franka_ros2 #212: with a connection that broke, the activation waits for ever.
            raise StepError(
                f"{error}; is FCI active and the joints unlocked (Desk)? If it stays so, set the component to inactive and then "
                "active, or start franka_bringup again"
            ) from None
        return f"{hardware} is active"

    def controllers() -> str:
        known = robot.controllers(LOOK_S)
        others = [c.name for c in known if c.active and c.moves and c.name != controller]
        wanted = [c.name for c in known if not c.active and (not c.moves or c.name == controller)]
        if not (wanted or others):
            return f"{controller} is active"
        robot.switch(wanted, others, SWITCH_S)
        return f"activated: {', '.join(wanted) or 'none'}" + (f"; deactivated: {', '.join(others)}" if others else "")

    def check() -> str:
        reason = settled(robot, controller, hardware)
        if reason:
            raise StepError(f"{reason}: look at the arm, then recover again")
        return "ready; steering starts after lpds/arm, not before"

    for name, action in (
        ("look", look),
        ("deactivate controllers", deactivate),
        ("error recovery", clear),
        ("hardware component", component),
        ("controllers", controllers),
        ("check", check),
    ):
        step(name, action)


def _require_controller(known: tuple[ControllerInfo, ...], name: str):
    if name not in [c.name for c in known]:
        there = ", ".join(c.name for c in known if c.moves) or "none"
        raise StepError(f"no controller '{name}' is loaded; those that move the arm: {there}")


def fault_of(robot: Robot, controller: str, hardware: str = HARDWARE) -> str:
    """Why the arm would not obey `controller` at this moment ("": any controller that moves it), or ""."""
    state = robot.state(LOOK_S)
    if state is None:
        return "the robot says nothing of itself (robot_state)"
    if state.error:
        return state.error
    if (found := robot.components(LOOK_S).get(hardware, "missing")) != ACTIVE:
        return f"the hardware component {hardware} is {found}"
    driving = [c.name for c in robot.controllers(LOOK_S) if c.active and c.moves]
    if controller and controller not in driving:
        return f"{controller} is inactive"
    return "" if driving else "no controller that moves the arm is active"


def settled(robot: Robot, controller: str, hardware: str = HARDWARE) -> str:
    """The same after at most a while: mode and errors may take a moment to change."""
    end_s = time.monotonic() + SETTLE_S
    while (reason := fault_of(robot, controller, hardware)) and time.monotonic() < end_s:
        time.sleep(POLL_S)
    return reason
