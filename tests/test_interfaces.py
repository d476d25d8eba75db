"""Wire compatibility with franka_ros2, ros_control and tf2: names, types and order, as their published definitions have."""

from pathlib import Path

import pytest

pytest.importorskip("franka_msgs.msg", reason="needs the interface packages: run `make setup` or `colcon build`")

from control_msgs.action import FollowJointTrajectory, GripperCommand  # noqa: E402 (after the skip)
from control_msgs.msg import JointComponentTolerance, JointTolerance  # noqa: E402
from controller_manager_msgs.msg import ControllerState, HardwareComponentState  # noqa: E402
from controller_manager_msgs.srv import (  # noqa: E402
    ListControllers,
    ListHardwareComponents,
    SetHardwareComponentState,
    SwitchController,
)
from franka_msgs.action import ErrorRecovery, Grasp, Homing, Move  # noqa: E402
from franka_msgs.msg import Errors, FrankaRobotState, GraspEpsilon  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

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


def on_the_wire(joint_states, names=(), numbers=()):
    """(rclpy's bytes, rosbags' own size) of a robot state in which so many joint states have these names and numbers."""
    from rclpy.serialization import serialize_message
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    folder, name = Path(__file__).resolve().parent.parent / "interfaces/franka_msgs/msg", "franka_msgs/msg/FrankaRobotState"
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(
        {k: v for f in folder.glob("*.msg") for k, v in get_types_from_msg(f.read_text(), f"franka_msgs/msg/{f.stem}").items()}
    )
    message, every = FrankaRobotState(), [
        "measured_joint_state", "desired_joint_state", "measured_joint_motor_state", "tau_ext_hat_filtered",
    ]  # fmt: skip
    for i, field in enumerate(every):
        state = getattr(message, field)
        state.position = state.velocity = state.effort = [0.0] * 7
        if i < joint_states:
            state.name = list(names)
    whole = store.deserialize_cdr(serialize_message(message), name)
    for i, field in enumerate(every):
        ours, theirs = getattr(message, field), getattr(whole, field)
        for part in ("position", "velocity", "effort"):
            if not (i < joint_states and part in numbers):
                setattr(ours, part, [])
                object.__setattr__(theirs, part, getattr(theirs, part)[:0])
    return len(serialize_message(message)), len(store.serialize_cdr(whole, name))


def test_robot_state_has_the_size_it_has_elsewhere():
    """Empty double sequences are padded to 8 bytes by Fast CDR and not by rosbags; what is filled, as on the robot, agrees."""
    names = [f"fr3_joint{i}" for i in range(1, 8)]
    assert on_the_wire(4, names, ("position", "velocity", "effort")) == (2757, 2757)
    assert on_the_wire(1, names, ("position",)) == (1805, 1773)
    assert on_the_wire(1, names) == (1749, 1717)


def test_follow_joint_trajectory():
    assert fields(FollowJointTrajectory.Goal) == [
        "trajectory_msgs/JointTrajectory trajectory",
        "trajectory_msgs/MultiDOFJointTrajectory multi_dof_trajectory",
        "sequence<control_msgs/JointTolerance> path_tolerance",
        "sequence<control_msgs/JointComponentTolerance> component_path_tolerance",
        "sequence<control_msgs/JointTolerance> goal_tolerance",
        "sequence<control_msgs/JointComponentTolerance> component_goal_tolerance",
        "builtin_interfaces/Duration goal_time_tolerance",
    ]
    assert fields(FollowJointTrajectory.Result) == ["int32 error_code", "string error_string"]
    feedback = [f for f in fields(FollowJointTrajectory.Feedback) if not f.endswith("index")]  # newer ones have two
    point, several = "trajectory_msgs/JointTrajectoryPoint", "trajectory_msgs/MultiDOFJointTrajectoryPoint"
    assert feedback == ["std_msgs/Header header"] + [
        f"{kind} {prefix}{name}"
        for prefix, what in (("", point), ("multi_dof_", several))
        for kind, name in (("sequence<string>", "joint_names"), (what, "desired"), (what, "actual"), (what, "error"))
    ]
    result = FollowJointTrajectory.Result
    codes = (result.SUCCESSFUL, result.INVALID_GOAL, result.INVALID_JOINTS, result.OLD_HEADER_TIMESTAMP)
    assert codes == (0, -1, -2, -3) and (result.PATH_TOLERANCE_VIOLATED, result.GOAL_TOLERANCE_VIOLATED) == (-4, -5)
    numbers = ["double position", "double velocity", "double acceleration"]
    assert fields(JointTolerance) == ["string name", *numbers]
    assert fields(JointComponentTolerance) == ["string joint_name", "uint16 component", *numbers]


def test_gripper_command():
    assert fields(GripperCommand.Goal) == ["control_msgs/GripperCommand command"]
    assert fields(GripperCommand.Goal().command) == ["double position", "double max_effort"]
    expected = ["double position", "double effort", "boolean stalled", "boolean reached_goal"]
    assert fields(GripperCommand.Result) == fields(GripperCommand.Feedback) == expected


def test_controller_manager():
    state = ["string name", "string state", "string type", "boolean is_async", "uint16 update_rate"]
    interfaces = ["claimed_interfaces", "required_command_interfaces", "required_state_interfaces"]
    chains = ["boolean is_chainable", "boolean is_chained"]
    exported = [f"sequence<string> {name}" for name in ("exported_state_interfaces", "reference_interfaces")]
    listed = [f"sequence<string> {name}" for name in interfaces] + chains + exported
    assert fields(ControllerState) == [*state, *listed, "sequence<controller_manager_msgs/ChainConnection> chain_connections"]
    assert fields(ListControllers.Response) == ["sequence<controller_manager_msgs/ControllerState> controller"]
    hardware = ["string name", "string type", "boolean is_async", "uint16 rw_rate", "string plugin_name"]
    kinds = [f"sequence<controller_manager_msgs/HardwareInterface> {kind}_interfaces" for kind in ("command", "state")]
    assert fields(HardwareComponentState) == [*hardware, "lifecycle_msgs/State state", *kinds]
    assert fields(ListHardwareComponents.Response) == ["sequence<controller_manager_msgs/HardwareComponentState> component"]
    assert fields(SetHardwareComponentState.Request) == ["string name", "lifecycle_msgs/State target_state"]
    assert fields(SetHardwareComponentState.Response) == ["boolean ok", "lifecycle_msgs/State state"]
    lists = [f"sequence<string> {name}_controllers" for name in ("activate", "deactivate")]
    rest = ["int32 strictness", "boolean activate_asap", "builtin_interfaces/Duration timeout"]
    assert fields(SwitchController.Request) == [*lists, *rest]
    assert fields(SwitchController.Response) == ["boolean ok", "string message"]
    request = SwitchController.Request
    assert (request.BEST_EFFORT, request.STRICT, request.AUTO, request.FORCE_AUTO) == (1, 2, 3, 4)


def test_transforms():
    assert fields(TFMessage) == ["sequence<geometry_msgs/TransformStamped> transforms"]


def test_stand_ins_for_pypi_are_hidden_from_colcon_and_depended_on_by_name():
    """Where ROS 2 comes from apt, these packages come from there too; ours must not shadow them."""
    root = Path(__file__).resolve().parent.parent
    folder = root / "interfaces" / "pypi"
    assert (folder / "COLCON_IGNORE").is_file()
    depends = (root / "package.xml").read_text(encoding="utf-8")
    built = (root / "interfaces" / "build.sh").read_text(encoding="utf-8")
    for package in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        assert f"<depend>{package}</depend>" in depends
        assert package in built.partition("set -- lpds_msgs")[2].splitlines()[0]
