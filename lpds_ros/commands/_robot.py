"""What the verbs of `lpds robot` share: whose robot, and how steps are told."""

from lpds_ros.robot.recovery import HARDWARE, Outcome


def add_robot(parser):
    """Which robot."""
    parser.add_argument("--namespace", default="", help="ROS namespace of the robot and its stack (default: none)")
    parser.add_argument("--hardware", default=HARDWARE, help=f"its hardware component (default {HARDWARE})")


def tell(outcome: Outcome):
    """Print how a step ended."""
    print(f"{'ok    ' if outcome.ok else 'FAILED'} {outcome.step} ({outcome.took_s:.1f} s): {outcome.text}", flush=True)
