"""What the simulated robot publishes: names, types and quality of service of franka_ros2's state broadcaster and of the
nodes around it. A message nobody subscribes to is neither built nor sent.
"""

from dataclasses import dataclass

from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from lpds_msgs.msg import TaskState
from rclpy.qos import QoSPresetProfiles, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from tf2_msgs.msg import TFMessage

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import BASE_FRAME, pose_stamped_msg, stamp_msg
from lpds_ros.nodes.sim_messages import (
    desired_twist_msg,
    joint_state_msg,
    robot_state_msg,
    stiffness_wrench_msg,
    transform_msg,
    wrench_msg,
)
from lpds_ros.sim.fr3 import FINGER_JOINTS, JOINTS
from lpds_ros.sim.frames import FIXED, Frame, moving
from lpds_ros.sim.state import WorldState
from lpds_ros.sim.streams import JOINTS as JOINT_TOPICS
from lpds_ros.sim.streams import POSES, STATE

ROBOT_STATE = f"{STATE}/robot_state"
# What of robot_state has a topic of its own, beside poses and joints.
PARTS = {
    f"{STATE}/external_wrench_in_base_frame": (WrenchStamped, lambda s: wrench_msg(s.stamp_ns, s.wrench)),
    f"{STATE}/external_wrench_in_stiffness_frame": (WrenchStamped, stiffness_wrench_msg),
    f"{STATE}/desired_end_effector_twist": (TwistStamped, desired_twist_msg),
}
TRANSFORMS, FIXED_TRANSFORMS = "/tf", "/tf_static"  # absolute, as tf2_ros has them
SYSTEM_DEFAULT = QoSPresetProfiles.SYSTEM_DEFAULT.value
NAMES = {"franka_gripper/joint_states": FINGER_JOINTS, "joint_states": JOINTS + FINGER_JOINTS}
# joint_state_broadcaster's default; joint_state_publisher and the gripper give none.
FRAMES = {"franka/joint_states": "base_link", "joint_states": "", "franka_gripper/joint_states": ""}
QUALITY = {
    "lpds/object_pose": qos.CONTROL,
    "franka/joint_states": SYSTEM_DEFAULT,
    "joint_states": QoSProfile(depth=10),
    "franka_gripper/joint_states": QoSProfile(depth=1),
    ROBOT_STATE: SYSTEM_DEFAULT,
    TRANSFORMS: QoSProfile(depth=100),
}
SPOILABLE = (*POSES, *JOINT_TOPICS, ROBOT_STATE, "lpds/task_state", "/clock")


@dataclass(frozen=True)
class _Instant:
    """What is said of a moment alone."""

    stamp_ns: int


class RobotStreams:
    """Every state topic of the simulation on one node. `publish` sends the topics that are asked for and heard.

    stamp: of the fixed frames, nanoseconds. frames: further fixed ones. renamed: topics under other names. spoil:
    (topic, sample) -> what is said in its place, or None; see sim/faults.py.
    """

    def __init__(self, node, task: str, stamp: int, frames: tuple[Frame, ...] = (), renamed: dict[str, str] | None = None):
        self._node, self._task, self._renamed = node, task, renamed or {}
        self.spoil = lambda topic, sample: sample
        self._publishers = {topic: self._publisher(PoseStamped, topic) for topic in POSES}
        self._publishers |= {topic: self._publisher(JointState, topic) for topic in JOINT_TOPICS}
        self._publishers |= {topic: self._publisher(kind, topic) for topic, (kind, _) in PARTS.items()}
        self._publishers[ROBOT_STATE] = self._publisher(FrankaRobotState, ROBOT_STATE)
        self._publishers[TRANSFORMS] = self._publisher(TFMessage, TRANSFORMS)
        self._task_state = node.create_publisher(TaskState, "lpds/task_state", qos.CONTROL)
        self._clock = node.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self._fixed = node.create_publisher(TFMessage, FIXED_TRANSFORMS, qos.LATCHED)
        self._fixed.publish(TFMessage(transforms=[transform_msg(stamp, frame) for frame in (*FIXED, *frames)]))
        self.topics = tuple(self._publishers)

    def _publisher(self, kind, topic):
        return self._node.create_publisher(kind, self._renamed.get(topic, topic), QUALITY.get(topic, qos.ROBOT_STATE))

    def publish(self, state: WorldState, topics):
        """Send the state on each of `topics` that has a subscriber."""
        for topic in topics:
            publisher = self._publishers[topic]
            said = self.spoil(topic, state)
            if said is not None and publisher.get_subscription_count():
                publisher.publish(self._message(topic, said))

    def publish_task(self, stamp: int, seed: int, reward: float, success: bool):
        """Reward of the control period that ended at `stamp`, and success."""
        said = self.spoil("lpds/task_state", _Instant(stamp))
        if said is not None:
            message = TaskState(task=self._task, seed=seed, reward=reward, success=success)
            message.header.stamp = stamp_msg(said.stamp_ns)
            self._task_state.publish(message)

    def publish_clock(self, stamp: int):
        """Send /clock, last of an instant's messages."""
        said = self.spoil("/clock", _Instant(stamp))
        if said is not None:
            self._clock.publish(Clock(clock=stamp_msg(said.stamp_ns)))

    def _message(self, topic, state):
        stamp = state.stamp_ns
        if topic in POSES:
            return pose_stamped_msg(stamp, *POSES[topic](state))
        if topic in JOINT_TOPICS:
            numbers = JOINT_TOPICS[topic](state)
            return joint_state_msg(stamp, NAMES.get(topic, JOINTS), *numbers, FRAMES.get(topic, BASE_FRAME))
        if topic == TRANSFORMS:
            return TFMessage(transforms=[transform_msg(stamp, f) for f in moving(state.q, state.finger_positions)])
        if topic in PARTS:
            return PARTS[topic][1](state)
        return robot_state_msg(state)
