"""Whether the arm is ready to be moved, and what is missing: the rows of `lpds robot status`."""

from dataclasses import dataclass

from lpds_ros.perception.robot import MODES, RobotState
from lpds_ros.robot.recovery import ACTIVE, HARDWARE, ControllerInfo


@dataclass(frozen=True)
class Row:
    """One line. ok: None where it decides nothing. hint: what to do, where it is not."""

    name: str
    value: str
    ok: bool | None = None
    hint: str = ""


def rows(
    state: RobotState | None,
    components: dict[str, str] | None,
    controllers: tuple[ControllerInfo, ...] | None,
    hardware: str = HARDWARE,
) -> list[Row]:
    """What decides whether the arm can be moved. None: nobody answered."""
    found = []
    if state is None:
        found.append(Row("robot", "says nothing", False, "is franka_robot_state_broadcaster active?"))
    else:
        mode = MODES[state.mode] if state.mode < len(MODES) else f"mode {state.mode}"
        text = ", ".join((mode, *state.errors))
        found.append(Row("robot", text, not state.error, "look at the arm, then `lpds robot recover`"))
        found.append(Row("commands that arrived", f"{100 * state.success_rate:.0f} %"))
    if components is None or controllers is None:
        return [*found, Row("controller manager", "does not answer", False, "is franka_bringup (or the simulation) running?")]
    for name, label in components.items():
        ours = name == hardware
        found.append(Row(f"component {name}", label, label == ACTIVE if ours else None, "`lpds robot recover`"))
    if hardware not in components:
        found.append(Row(f"component {hardware}", "is not there", False, "give its name: --hardware"))
    driving = [c.name for c in controllers if c.moves and c.active]
    hint = "`lpds robot recover`, or `ros2 control switch_controllers --activate …`"
    found.append(Row("drives the arm", ", ".join(driving) or "nobody", bool(driving), hint))
    inactive = [c.name for c in controllers if not c.active]
    found.append(Row("inactive", ", ".join(inactive) or "none"))
    silent = [name for name in inactive if "broadcaster" in name]
    if silent:
        found.append(Row("broadcasters", f"{', '.join(silent)} inactive", False, "`lpds robot recover`"))
    return found


def publishers_row(topic: str, publishers: list[str]) -> Row:
    """Who commands: CRISP obeys nobody where more than one publishes."""
    text = ", ".join(publishers) or "nobody"
    return Row(f"publishes {topic}", text, False if len(publishers) > 1 else None, "stop all but one: with more, none is obeyed")


def ready(found: list[Row]) -> bool:
    """Whether nothing is missing."""
    return all(row.ok is not False for row in found)
