"""`lpds robot recover`: out of a reflex, an error or a user stop, in the documented order."""

from lpds_ros.commands._robot import add_robot, tell
from lpds_ros.robot.command_modes import CONTROLLERS
from lpds_ros.robot.recovery import StepError, recover

CARTESIAN = CONTROLLERS["cartesian_pose"]
HELP = "after you have looked at the arm: error recovery, hardware component, controllers; steering waits for lpds/arm"


def add_arguments(parser):
    add_robot(parser)
    parser.add_argument(
        "--controller",
        default="",
        help=f"that is to drive the arm afterwards (default: that of steering's command mode, without steering {CARTESIAN})",
    )


def run(args) -> int:
    from lpds_ros.nodes.robot_tool import RobotTool

    with RobotTool(args.namespace, hardware=args.hardware) as robot:
        try:
            recover(robot.calls, args.controller or _obeying(robot.calls.status()), args.hardware, tell)
        except StepError:
            return 1  # told
    return 0


def _obeying(status) -> str:
    """The controller that steering, by its status (None: there is none), commands."""
    return CONTROLLERS.get(status.command_mode, CARTESIAN) if status is not None else CARTESIAN
