"""Looks at a running robot for a while: what `lpds robot status` tells."""

import time

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from lpds_ros.nodes.robot_tool import RobotTool
from lpds_ros.nodes.steering_command import MESSAGES
from lpds_ros.records import Mode
from lpds_ros.robot.recovery import LOOK_S, StepError
from lpds_ros.robot.status import Row, publishers_row, rows

STATE = "franka_robot_state_broadcaster"
TOPICS = {
    f"{STATE}/robot_state": FrankaRobotState,
    f"{STATE}/current_pose": PoseStamped,
    f"{STATE}/measured_joint_states": JointState,
    "franka/joint_states": JointState,
    "joint_states": JointState,
    "franka_gripper/joint_states": JointState,
}
FIND_S, COUNT_S = 1.0, 2.0  # until publishers have found who counts; of counting
# Deep enough that none is lost between two looks of the executor.
HEARD = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
OURS = ("perception", "steering", "learner", "recorder", "streams", "teleop", "markers", "camera", "cell", "sim", "mock")


def look(namespace: str, hardware: str) -> list[Row]:
    """Every row about the robot of a namespace."""
    with RobotTool(namespace, hardware=hardware) as robot:
        counts = _count(robot)
        calls = robot.calls
        components, controllers = _asked(lambda: calls.components(LOOK_S)), _asked(lambda: calls.controllers(LOOK_S))
        found = rows(calls.state(LOOK_S), components, controllers, hardware)
        found += [Row(topic, f"{count / COUNT_S:.0f} Hz" if count else "silent") for topic, count in counts.items()]
        found += [publishers_row(topic, _publishers(robot.node, topic)) for _, topic in MESSAGES.values()]
        status = calls.status()
        if status is not None:
            mode = f"{Mode(status.mode).name}: {status.reason}"
            found += [Row("steering", mode, None), Row("command mode", status.command_mode, None)]
        there = [name for name, space in robot.node.get_node_names_and_namespaces() if space == robot.node.get_namespace()]
        found.append(Row("nodes of ours", ", ".join(name for name in OURS if name in there) or "none"))
        return found


def _asked(question):
    """The answer, or None where nobody gives one."""
    try:
        return question()
    except StepError:
        return None


def _count(robot: RobotTool) -> dict[str, int]:
    counts = dict.fromkeys(TOPICS, 0)

    def counter(topic):
        def count(_):
            counts[topic] += 1

        return count

    subscriptions = [robot.node.create_subscription(kind, t, counter(t), HEARD, raw=True) for t, kind in TOPICS.items()]
    time.sleep(FIND_S)
    before = dict(counts)
    time.sleep(COUNT_S)
    after = dict(counts)
    for subscription in subscriptions:
        robot.call(robot.node.destroy_subscription, subscription)
    return {topic: after[topic] - before[topic] for topic in TOPICS}


def _publishers(node: LpdsNode, topic: str) -> list[str]:
    infos = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    return sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
