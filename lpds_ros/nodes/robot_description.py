"""The limits in /robot_description, as robot_state_publisher latches it."""

import time

from std_msgs.msg import String

from lpds_ros.nodes import qos
from lpds_ros.nodes.newest import Newest
from lpds_ros.robot.description import joint_ranges, narrowed
from lpds_ros.robot.limits import ArmLimits

TOPIC = "robot_description"
PATIENCE_S, LOOK_S = 3.0, 0.05  # a latched message comes in a few tenths of a second, at times in seconds


def own_limits(node, limits: ArmLimits, topic: str = TOPIC, patience_s: float | None = None) -> ArmLimits:
    """The limits within those of the robot's description, where one is published; every narrower one is said in the log, and that
    there is none. Does not need the node to spin. Raises DescriptionError where the two contradict each other.
    """
    newest = Newest(node, String, topic, qos.LATCHED)
    end_s = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    while (message := newest.take()) is None:
        if time.monotonic() > end_s:
            node.get_logger().warning(f"nobody publishes {topic}: the limits are those of calibration/{limits.robot}.yaml alone")
            return limits
        time.sleep(LOOK_S)
    limits, lines = narrowed(limits, joint_ranges(message.data))
    for line in lines:
        node.get_logger().info(f"limits: {line}")
    return limits
