"""Wire compatibility with franka_ros2: names, types and order, as its published definitions have them."""

import pytest

pytest.importorskip("franka_msgs.msg", reason="needs the interface packages: run `make setup` or `colcon build`")

from franka_msgs.action import ErrorRecovery, Grasp, Homing, Move  # noqa: E402 (after the skip)
from franka_msgs.msg import Errors, FrankaRobotState, GraspEpsilon  # noqa: E402

STATE = """
std_msgs/Header header
franka_msgs/CollisionIndicators collision_indicators
sensor_msgs/JointState measured_joint_state
sensor_msgs/JointState desired_joint_state
sensor_msgs/JointState measured_joint_motor_state
double[7] ddq_d
double[7] dtau_j
sensor_msgs/JointState tau_ext_hat_filtered
franka_msgs/Elbow elbow
geometry_msgs/WrenchStamped k_f_ext_hat_k
geometry_msgs/WrenchStamped o_f_ext_hat_k
geometry_msgs/InertiaStamped inertia_ee
geometry_msgs/InertiaStamped inertia_load
geometry_msgs/InertiaStamped inertia_total
geometry_msgs/PoseStamped o_t_ee
geometry_msgs/PoseStamped o_t_ee_d
geometry_msgs/PoseStamped o_t_ee_c
geometry_msgs/PoseStamped f_t_ee
geometry_msgs/PoseStamped ee_t_k
geometry_msgs/TwistStamped o_dp_ee_d
geometry_msgs/TwistStamped o_dp_ee_c
geometry_msgs/AccelStamped o_ddp_ee_c
double time
double control_command_success_rate
uint8 robot_mode
franka_msgs/Errors current_errors
franka_msgs/Errors last_motion_errors
"""


def fields(message) -> list[str]:
    return [f"{kind} {name}" for name, kind in message.get_fields_and_field_types().items()]


def test_robot_state():
    assert fields(FrankaRobotState) == STATE.split("\n")[1:-1]
    assert len(fields(Errors)) == 36 and set(Errors.get_fields_and_field_types().values()) == {"boolean"}
    assert (FrankaRobotState.ROBOT_MODE_IDLE, FrankaRobotState.ROBOT_MODE_REFLEX) == (1, 4)


def test_gripper_actions():
    goal = ["double width", "franka_msgs/GraspEpsilon epsilon", "double speed", "double force"]
    assert fields(Grasp.Goal) == goal
    assert fields(Move.Goal) == ["double width", "double speed"]
    assert fields(Homing.Goal) == []
    for action in (Grasp, Move, Homing):
        assert fields(action.Result) == ["boolean success", "string error"]
        assert fields(action.Feedback) == ["double current_width"]
    assert (GraspEpsilon().inner, GraspEpsilon().outer) == (0.005, 0.005)


def test_error_recovery_carries_nothing():
    assert fields(ErrorRecovery.Goal) == fields(ErrorRecovery.Result) == fields(ErrorRecovery.Feedback) == []
