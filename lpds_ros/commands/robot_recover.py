"""`lpds robot recover`: out of a reflex, an error or a user stop, in the documented order."""

from lpds_ros.commands._robot import add_robot, tell
from lpds_ros.robot.command_modes import CONTROLLERS
from lpds_ros.robot.recovery import StepError, recover

HELP = "after you have looked at the arm: error recovery, hardware component, controllers; steering waits for lpds/arm"
ALONE = CONTROLLERS["cartesian_pose"]  # without a steering node


def add_arguments(parser):
    add_robot(parser)
    parser.add_argument(
        "--controller", help=f"that is to drive the arm afterwards (default: the one steering commands; without it {ALONE})"
    )


def run(args) -> int:
    from lpds_ros.nodes.robot_tool import RobotTool

    with RobotTool(args.namespace, hardware=args.hardware) as robot:
        status = robot.calls.status() if args.controller is None else None
        controller = args.controller or CONTROLLERS.get(status.command_mode if status is not None else "", ALONE)
        try:
            recover(robot.calls, controller, args.hardware, tell)
        except StepError:
            return 1  # told
    return 0
