"""The arm's command topic: a command mode, the one publisher behind it, and the messages its targets become."""

from geometry_msgs.msg import PoseStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import duration_msg, pose_stamped_msg, stamp_msg
from lpds_ros.nodes.steering_params import Parameters
from lpds_ros.parameters import ParameterError
from lpds_ros.robot.command_modes import CONTROLLERS, NO_GROUP_POSITION
from lpds_ros.robot.targets import JointPath, JointTarget, PoseTarget, PositionTarget, Target
from lpds_ros.steering.params import SteeringParams

ARM = 7
MESSAGES = {
    "cartesian_pose": (PoseStamped, "target_pose"),
    "joint_impedance": (JointState, "target_joint"),
    "joint_trajectory": (JointTrajectory, f"{CONTROLLERS['joint_trajectory']}/joint_trajectory"),
    "joint_group_position": (Float64MultiArray, f"{CONTROLLERS['joint_group_position']}/commands"),
}


class CommandPort:
    """mode: see robot.command_modes. publisher: the only one on its topic. Raises ParameterError for joint positions that were
    not allowed.
    """

    def __init__(self, node, p: Parameters, steering: SteeringParams, period_s: float):
        if p.command_mode == "joint_group_position" and not p.allow_group_position:
            raise ParameterError(NO_GROUP_POSITION)
        self._lockstep, self._frame = p.clock == "lockstep", p.targets_frame
        self._joints = [f"{p.joint_prefix or p.arm + '_joint'}{i + 1}" for i in range(ARM)]
        self.mode = steering.command_mode(p.command_mode, period_s)
        kind, topic = MESSAGES[p.command_mode]
        self.publisher = node.create_publisher(kind, p.targets_topic or topic, self._quality(p.targets_qos))

    def _quality(self, named: str) -> QoSProfile:
        if self._lockstep:
            return qos.TARGET_LOCKSTEP
        return qos.TARGET_REALTIME if named == "reliable" else qos.TARGET_BEST_EFFORT

    def publish(self, commands: tuple[Target, ...]):
        """Say them, in this order."""
        for command in commands:
            self.publisher.publish(self._message(command))

    def _message(self, command: Target):
        match command:
            case PoseTarget():
                return pose_stamped_msg(command.stamp_ns, command.position, command.orientation, self._frame)
            case JointTarget():
                # crisp_controllers goes by the index and reads as many velocities as there are positions.
                position, velocity = command.position.tolist(), command.velocity.tolist()
                message = JointState(name=self._joints, position=position, velocity=velocity)
                message.header.stamp, message.header.frame_id = stamp_msg(command.stamp_ns), self._frame
                return message
            case PositionTarget():
                message = Float64MultiArray(data=command.position.tolist())
                if self._lockstep:  # the type has no header, and time must pass once for each
                    message.layout.dim = [MultiArrayDimension(label=str(command.stamp_ns), size=ARM, stride=ARM)]
                return message
            case JointPath():
                return self._trajectory(command)

    def _trajectory(self, path: JointPath) -> JointTrajectory:
        message = JointTrajectory(joint_names=self._joints)
        if self._lockstep:  # in real time it begins when it arrives: two clocks need not agree to the millisecond
            message.header.stamp = stamp_msg(path.stamp_ns)
        for time_s, position, velocity in zip(path.times_s, path.position.tolist(), path.velocity.tolist()):
            message.points.append(
                JointTrajectoryPoint(positions=position, velocities=velocity, time_from_start=duration_msg(time_s))
            )
        return message
