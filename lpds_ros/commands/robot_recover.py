"""`lpds robot recover`: out of a reflex, an error or a user stop, in the documented order."""

from lpds_ros.commands._robot import add_robot, tell
from lpds_ros.robot.recovery import StepError, recover

HELP = "after you have looked at the arm: error recovery, hardware component, controllers; steering waits for lpds/arm"
CONTROLLER = "cartesian_impedance_controller"


def add_arguments(parser):
    add_robot(parser)
    parser.add_argument(
        "--controller", default=CONTROLLER, help=f"that is to drive the arm afterwards (default {CONTROLLER})"
    )


def run(args) -> int:
    from lpds_ros.nodes.robot_tool import RobotTool

    with RobotTool(args.namespace, hardware=args.hardware) as robot:
        try:
            recover(robot.calls, args.controller, args.hardware, tell)
        except StepError:
            return 1  # told
    return 0
