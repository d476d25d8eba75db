"""Which number of the world goes out on which topic: one table for the sim node and the in-process runner."""

from collections.abc import Callable

import numpy as np

from lpds_ros.config import nearest
from lpds_ros.contract import IMAGE, Contract
from lpds_ros.sim.state import SimulationError, WorldState

STATE = "franka_robot_state_broadcaster"
ARM_ZERO, FINGER_ZERO = np.zeros(7), np.zeros(2)

# PoseStamped topics: position, orientation (xyzw).
POSES: dict[str, Callable[[WorldState], tuple]] = {
    f"{STATE}/current_pose": lambda s: (s.position, s.orientation),
    f"{STATE}/last_desired_pose": lambda s: (s.target_position, s.target_orientation),
    "lpds/object_pose": lambda s: (s.object_position, s.object_orientation),
}
# JointState topics: position, velocity, effort.
JOINTS: dict[str, Callable[[WorldState], tuple]] = {
    f"{STATE}/measured_joint_states": lambda s: (s.q, s.dq, s.tau),
    f"{STATE}/desired_joint_states": lambda s: (s.q_d, s.dq, s.tau_d),
    f"{STATE}/external_joint_torques": lambda s: (ARM_ZERO, ARM_ZERO, s.tau_ext),
    "franka/joint_states": lambda s: (s.q, s.dq, s.tau),
    "franka_gripper/joint_states": lambda s: (s.finger_positions, FINGER_ZERO, FINGER_ZERO),
    "joint_states": lambda s: (
        np.concatenate([s.q, s.finger_positions]),
        np.concatenate([s.dq, FINGER_ZERO]),
        np.concatenate([s.tau, FINGER_ZERO]),
    ),
}
# Image topics, as of a realsense2_camera with this name in the namespace camera.
CAMERAS = ("camera", "wrist")
PICTURES = {f"camera/{name}/color/image_raw": name for name in CAMERAS}


def check_streams(contract: Contract):
    """Raise SimulationError when the contract names a topic the simulation does not publish."""
    known = dict.fromkeys(POSES, "geometry_msgs/msg/PoseStamped") | dict.fromkeys(JOINTS, "sensor_msgs/msg/JointState")
    known |= dict.fromkeys(PICTURES, IMAGE)
    for name, stream in contract.streams.items():
        if known.get(stream.topic) != stream.type:
            raise SimulationError(
                f"contract {contract.name}: stream '{name}' wants {stream.type} on '{stream.topic}', which the "
                f"simulation does not publish{nearest(stream.topic, known)}"
            )


def feed(aligner, state: WorldState, reward: float, success: bool):
    """Push every stream of the aligner's contract but its images, then reward and success, as the node publishes them."""
    for name, stream in aligner.contract.streams.items():
        if stream.topic in POSES:
            aligner.push_pose(name, state.stamp_ns, *POSES[stream.topic](state))
        elif stream.topic in JOINTS:
            aligner.push_joints(name, state.stamp_ns, *JOINTS[stream.topic](state))
        elif not stream.is_image:
            check_streams(aligner.contract)
    aligner.push_task(state.stamp_ns, reward, success)
