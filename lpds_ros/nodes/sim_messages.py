"""States of the simulated robot as messages, filled as franka_ros2 fills them: names, frames, and which numbers are zero."""

import numpy as np
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import TransformStamped, TwistStamped, WrenchStamped
from sensor_msgs.msg import JointState

from lpds_ros.nodes.messages import BASE_FRAME, pose_stamped_msg, stamp_msg
from lpds_ros.sim import fr3
from lpds_ros.sim.frames import FLANGE, UNTURNED, Frame
from lpds_ros.sim.rotation import Quaternion, multiply
from lpds_ros.sim.state import WorldState

ZEROS = np.zeros(7)
TCP_IN_FLANGE = (0.0, 0.0, fr3.TCP_M), (0.0, 0.0, float(np.sin(fr3.HAND_YAW_RAD / 2)), float(np.cos(fr3.HAND_YAW_RAD / 2)))


def joint_state_msg(stamp: int, names, position, velocity, effort, frame: str = "") -> JointState:
    """sensor_msgs/JointState; `stamp` in nanoseconds."""
    message = JointState(name=list(names))
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), frame
    message.position, message.velocity, message.effort = position.tolist(), velocity.tolist(), effort.tolist()
    return message


def transform_msg(stamp: int, frame: Frame) -> TransformStamped:
    """geometry_msgs/TransformStamped of one frame; `stamp` in nanoseconds."""
    parent, child, position, orientation = frame
    message = TransformStamped(child_frame_id=child)
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), parent
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = position
    turn.x, turn.y, turn.z, turn.w = orientation
    return message


def wrench_msg(stamp: int, wrench: np.ndarray, frame: str = BASE_FRAME) -> WrenchStamped:
    """geometry_msgs/WrenchStamped of a wrench [6] N, Nm."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = stamp_msg(stamp), frame
    force, torque = message.wrench.force, message.wrench.torque
    force.x, force.y, force.z, torque.x, torque.y, torque.z = wrench.tolist()
    return message


def stiffness_wrench_msg(state: WorldState) -> WrenchStamped:
    """The external wrench in the stiffness frame, which is the tool's."""
    return wrench_msg(state.stamp_ns, _in_frame(state.wrench, tuple(state.orientation)), fr3.TCP_SITE)


def desired_twist_msg(state: WorldState) -> TwistStamped:
    """The motion generator's twist: zero, since torques drive the arm."""
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = stamp_msg(state.stamp_ns), BASE_FRAME
    return message


def robot_state_msg(state: WorldState) -> FrankaRobotState:
    """franka_msgs/FrankaRobotState. Its own header has no frame (franka_semantic_components leaves it empty)."""
    stamp = state.stamp_ns
    message = FrankaRobotState(robot_mode=state.robot_mode, control_command_success_rate=1.0, time=stamp * 1e-9)
    message.header.stamp = stamp_msg(stamp)

    def joints(position, velocity, effort):
        return joint_state_msg(stamp, fr3.JOINTS, position, velocity, effort, BASE_FRAME)

    message.measured_joint_state = joints(state.q, state.dq, state.tau)
    message.desired_joint_state = joints(state.q_d, state.dq, state.tau_d)
    message.measured_joint_motor_state = joints(state.q, state.dq, ZEROS)
    message.tau_ext_hat_filtered = joints(ZEROS, ZEROS, state.tau_ext)
    elbow = np.array([state.q[2], np.sign(state.q[3])])
    message.elbow.position = message.elbow.desired_position = message.elbow.commanded_position = elbow
    message.o_t_ee = pose_stamped_msg(stamp, state.position, state.orientation)
    message.o_t_ee_d = pose_stamped_msg(stamp, state.target_position, state.target_orientation)
    message.o_t_ee_c = message.o_t_ee_d
    message.f_t_ee = pose_stamped_msg(stamp, *TCP_IN_FLANGE, frame=FLANGE)
    message.ee_t_k = pose_stamped_msg(stamp, (0.0, 0.0, 0.0), UNTURNED, frame=fr3.TCP_SITE)
    message.o_f_ext_hat_k = wrench_msg(stamp, state.wrench)
    message.k_f_ext_hat_k = stiffness_wrench_msg(state)
    for inertia, frame in (
        (message.inertia_ee, fr3.TCP_SITE),
        (message.inertia_load, FLANGE),
        (message.inertia_total, fr3.TCP_SITE),
        (message.o_dp_ee_d, BASE_FRAME),
        (message.o_dp_ee_c, BASE_FRAME),
        (message.o_ddp_ee_c, BASE_FRAME),
    ):
        inertia.header.stamp, inertia.header.frame_id = message.header.stamp, frame
    _fill_inertias(message, *state.load)
    if state.error:
        setattr(message.current_errors, state.error, True)
        setattr(message.last_motion_errors, state.error, True)
    return message


def _in_frame(wrench, orientation: Quaternion) -> np.ndarray:
    """Force and torque [6] of the base frame along the axes of a frame turned by `orientation`."""
    x, y, z, w = orientation
    turned = []
    for vector in (wrench[:3], wrench[3:]):
        turned.extend(multiply(multiply((-x, -y, -z, w), (*vector.tolist(), 0.0)), orientation)[:3])
    return np.array(turned)


def _fill_inertias(message, load_kg, load_centre):
    """Masses and centres of mass of hand, load and both; the tensor of the hand."""
    hand_kg, hand_centre, tensor = fr3.HAND
    hand = message.inertia_ee.inertia
    hand.ixx, hand.iyy, hand.izz, hand.ixy, hand.ixz, hand.iyz = tensor
    total_kg = hand_kg + load_kg
    total_centre = (hand_kg * np.array(hand_centre) + load_kg * np.array(load_centre)) / total_kg
    for inertia, mass, centre in (
        (hand, hand_kg, hand_centre),
        (message.inertia_load.inertia, load_kg, load_centre),
        (message.inertia_total.inertia, total_kg, total_centre),
    ):
        inertia.m = float(mass)
        inertia.com.x, inertia.com.y, inertia.com.z = (float(v) for v in centre)
