"""`lpds robot ready`: the scene is arranged, the arm may start."""

HELP = "tell the cell that the scene is arranged: the episode begins"
PATIENCE_S = 10.0


def add_arguments(parser):
    parser.add_argument("--namespace", default="", help="ROS namespace of the robot's stack (default: none)")


def run(args) -> int:
    from std_srvs.srv import Trigger

    from lpds_ros.nodes.robot_tool import RobotTool

    with RobotTool(args.namespace) as robot:
        client = robot.node.create_client(Trigger, "lpds/ready")
        answer = robot.calls.call(client, Trigger.Request(), PATIENCE_S)
    print(answer.message)
    return 0 if answer.success else 1
