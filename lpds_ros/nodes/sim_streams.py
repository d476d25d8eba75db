"""What the simulated robot publishes: names, types and quality of service of franka_ros2's state broadcaster.

A message nobody subscribes to is neither built nor sent.
"""

import numpy as np
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped, WrenchStamped
from lpds_msgs.msg import TaskState
from rclpy.qos import QoSPresetProfiles, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import BASE_FRAME, pose_stamped_msg, stamp_msg
from lpds_ros.sim.arm import FINGER_JOINTS, JOINTS
from lpds_ros.sim.streams import JOINTS as JOINT_TOPICS
from lpds_ros.sim.streams import POSES, STATE
from lpds_ros.sim.world import MODE_REFLEX, WorldState

ROBOT_STATE, WRENCH = f"{STATE}/robot_state", f"{STATE}/external_wrench_in_base_frame"
SYSTEM_DEFAULT = QoSPresetProfiles.SYSTEM_DEFAULT.value
NAMES = {"franka_gripper/joint_states": FINGER_JOINTS, "joint_states": JOINTS + FINGER_JOINTS}
QUALITY = {
    "lpds/object_pose": qos.CONTROL,
    "franka/joint_states": SYSTEM_DEFAULT,
    "joint_states": QoSProfile(depth=10),
    "franka_gripper/joint_states": QoSProfile(depth=1),
    ROBOT_STATE: SYSTEM_DEFAULT,
}


def joint_state_msg(stamp: int, names, position, velocity, effort) -> JointState:
    """sensor_msgs/JointState; `stamp` in nanoseconds."""
    message = JointState(name=list(names))
    message.header.stamp = stamp_msg(stamp)
    message.position, message.velocity, message.effort = position.tolist(), velocity.tolist(), effort.tolist()
    return message


class RobotStreams:
    """Every state topic of the simulation on one node. `publish` sends the topics that are asked for and heard."""

    def __init__(self, node, task: str):
        self._node, self._task = node, task
        self._publishers = {topic: self._publisher(PoseStamped, topic) for topic in POSES}
        self._publishers |= {topic: self._publisher(JointState, topic) for topic in JOINT_TOPICS}
        self._publishers[WRENCH] = self._publisher(WrenchStamped, WRENCH)
        self._publishers[ROBOT_STATE] = self._publisher(FrankaRobotState, ROBOT_STATE)
        self._task_state = node.create_publisher(TaskState, "lpds/task_state", qos.CONTROL)
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self.topics = tuple(self._publishers)

    def _publisher(self, kind, topic):
        return self._node.create_publisher(kind, topic, QUALITY.get(topic, qos.ROBOT_STATE))

    def publish(self, state: WorldState, topics):
        """Send the state on each of `topics` that has a subscriber."""
        for topic in topics:
            publisher = self._publishers[topic]
            if publisher.get_subscription_count():
                publisher.publish(self._message(topic, state))

    def publish_task(self, stamp: int, seed: int, reward: float, success: bool):
        """Reward of the control period that ended at `stamp`, and success."""
        message = TaskState(task=self._task, seed=seed, reward=reward, success=success)
        message.header.stamp = stamp_msg(stamp)
        self._task_state.publish(message)

    def publish_clock(self, stamp: int):
        """Send /clock, last of an instant's messages."""
        self._clock.publish(Clock(clock=stamp_msg(stamp)))

    def _message(self, topic, state):
        stamp = state.stamp_ns
        if topic in POSES:
            return pose_stamped_msg(stamp, *POSES[topic](state))
        if topic in JOINT_TOPICS:
            return joint_state_msg(stamp, NAMES.get(topic, JOINTS), *JOINT_TOPICS[topic](state))
        if topic == WRENCH:
            return wrench_msg(state)
        return robot_state_msg(state)


def wrench_msg(state: WorldState) -> WrenchStamped:
    """External wrench at the tool, base frame."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = stamp_msg(state.stamp_ns), BASE_FRAME
    force, torque = message.wrench.force, message.wrench.torque
    force.x, force.y, force.z, torque.x, torque.y, torque.z = state.wrench.tolist()
    return message


def robot_state_msg(state: WorldState) -> FrankaRobotState:
    """franka_msgs/FrankaRobotState as the arm reports it under torque control: desired equals measured."""
    stamp, zeros = state.stamp_ns, np.zeros(7)
    message = FrankaRobotState(robot_mode=state.robot_mode, control_command_success_rate=1.0, time=stamp * 1e-9)
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), BASE_FRAME
    message.measured_joint_state = joint_state_msg(stamp, JOINTS, state.q, state.dq, state.tau)
    message.desired_joint_state = joint_state_msg(stamp, JOINTS, state.q_d, state.dq, state.tau)
    message.measured_joint_motor_state = joint_state_msg(stamp, JOINTS, state.q, state.dq, zeros)
    message.o_t_ee = pose_stamped_msg(stamp, state.position, state.orientation)
    message.o_t_ee_d = pose_stamped_msg(stamp, state.target_position, state.target_orientation)
    message.o_t_ee_c = message.o_t_ee_d
    message.o_f_ext_hat_k = wrench_msg(state)
    reflex = state.robot_mode == MODE_REFLEX
    message.current_errors.cartesian_reflex = message.last_motion_errors.cartesian_reflex = reflex
    return message
