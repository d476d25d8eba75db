"""`lpds robot home`: slowly to the ready posture, through the trajectory controller, and back to whoever drove."""

import numpy as np

from lpds_ros.commands._robot import add_robot, tell
from lpds_ros.robot.homing import SPEED, SPEED_MAX, TRAJECTORY, home
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.recovery import StepError

HELP = "move the arm slowly to its ready posture; refused while steering is not stopped"


def add_arguments(parser):
    add_robot(parser)
    parser.add_argument("--arm", default="fr3", help="whose limits: a file of calibration/ (default fr3)")
    parser.add_argument(
        "--speed",
        type=float,
        default=SPEED,
        help=f"share of the speed that Franka suggests for each joint, up to {SPEED_MAX:g} (default {SPEED:g})",
    )
    parser.add_argument("--posture", type=float, nargs=7, metavar="RAD", help="another goal, seven joint angles in rad")
    parser.add_argument("--controller", default=TRAJECTORY, help=f"JointTrajectoryController (default {TRAJECTORY})")


def run(args) -> int:
    from lpds_ros.nodes.robot_description import own_limits
    from lpds_ros.nodes.robot_tool import RobotTool

    limits = load_limits(args.arm)
    goal = None if args.posture is None else np.array(args.posture)
    with RobotTool(args.namespace, trajectory=args.controller) as robot:
        limits = own_limits(robot.node, limits)
        options = {"goal": goal, "speed": args.speed, "controller": args.controller, "hardware": args.hardware}
        try:
            home(robot.calls, limits, report=tell, **options)
        except StepError:
            return 1  # told
        except KeyboardInterrupt:
            print(f"interrupted: the motion was cancelled; who drives the arm now: `lpds robot status` ({args.controller}?)")
            raise
    return 0
