"""The table of expectations: topics, actions and services, whose each is, and what the stack does with it.

Names, types and quality of service: franka_ros2 3.4 (Jazzy) and 2.5 (Humble), crisp_controllers, ros2_controllers; the rates are
what this stack needs, not what a robot gives at best.
"""

from dataclasses import dataclass
from enum import StrEnum

from lpds_ros.contract import Contract
from lpds_ros.sim.fr3 import FINGER_JOINTS, JOINTS

STATE, HAND = "franka_robot_state_broadcaster", "franka_gripper"


class Of(StrEnum):
    """Who gives it."""

    FRANKA = "franka_ros2"
    CRISP = "crisp_controllers"
    JTC = "joint_trajectory_controller"
    CONTROL = "ros2_control"
    STANDIN = "lpds_ros"  # the simulation and the mock
    CONTRACT = "contract"  # what a contract's observations are made of


@dataclass(frozen=True)
class Topic:
    """A topic that the robot says. reliable (None: either), latched: what its publisher offers.

    lowest_hz: less does not do; 0: any. frame: of its header, "" where it does not matter. names: of a JointState's joints, in
    this order. needed: without it the stack does not drive the arm. stamped: its messages have a header.
    """

    name: str
    kind: str
    of: Of
    reliable: bool | None
    lowest_hz: float = 0.0
    latched: bool = False
    frame: str = ""
    names: tuple[str, ...] = ()
    needed: bool = True
    stamped: bool = True


@dataclass(frozen=True)
class Heard:
    """A topic that the robot listens to: our publisher is reliable, keep last 1."""

    name: str
    kind: str
    of: Of


@dataclass(frozen=True)
class Served:
    """An action or a service."""

    name: str
    kind: str
    of: Of
    needed: bool = True


JOINT_STATE, POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"

TOPICS = (
    Topic(f"{STATE}/robot_state", "franka_msgs/msg/FrankaRobotState", Of.FRANKA, True, 20.0),
    Topic(f"{STATE}/current_pose", POSE, Of.FRANKA, False, 30.0, frame="base"),
    Topic(f"{STATE}/measured_joint_states", JOINT_STATE, Of.FRANKA, False, 30.0, names=JOINTS),
    Topic(f"{STATE}/last_desired_pose", POSE, Of.FRANKA, False, frame="base", needed=False),
    Topic(f"{STATE}/desired_joint_states", JOINT_STATE, Of.FRANKA, False, names=JOINTS, needed=False),
    Topic(f"{STATE}/desired_end_effector_twist", "geometry_msgs/msg/TwistStamped", Of.FRANKA, False, needed=False),
    Topic(f"{STATE}/external_joint_torques", JOINT_STATE, Of.FRANKA, False, needed=False),
    Topic(f"{STATE}/external_wrench_in_base_frame", "geometry_msgs/msg/WrenchStamped", Of.FRANKA, False, needed=False),
    Topic(f"{STATE}/external_wrench_in_stiffness_frame", "geometry_msgs/msg/WrenchStamped", Of.FRANKA, False, needed=False),
    Topic(f"{HAND}/joint_states", JOINT_STATE, Of.FRANKA, True, 10.0, names=FINGER_JOINTS),
    Topic("franka/joint_states", JOINT_STATE, Of.FRANKA, True, names=JOINTS, needed=False),
    Topic("joint_states", JOINT_STATE, Of.FRANKA, True, names=JOINTS + FINGER_JOINTS, needed=False),
    Topic("/tf", "tf2_msgs/msg/TFMessage", Of.FRANKA, True, needed=False, stamped=False),
    Topic("/tf_static", "tf2_msgs/msg/TFMessage", Of.FRANKA, True, latched=True, needed=False, stamped=False),
    Topic("robot_description", "std_msgs/msg/String", Of.FRANKA, True, latched=True, needed=False, stamped=False),
    Topic("lpds/object_pose", POSE, Of.STANDIN, True, 20.0, frame="base"),
    Topic("lpds/task_state", "lpds_msgs/msg/TaskState", Of.STANDIN, True, 10.0),
)

HEARD = (
    Heard("target_pose", POSE, Of.CRISP),
    Heard("target_joint", JOINT_STATE, Of.CRISP),
    Heard("fr3_arm_controller/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", Of.JTC),
)

ACTIONS = (
    Served(f"{HAND}/homing", "franka_msgs/action/Homing", Of.FRANKA),
    Served(f"{HAND}/move", "franka_msgs/action/Move", Of.FRANKA),
    Served(f"{HAND}/grasp", "franka_msgs/action/Grasp", Of.FRANKA),
    Served(f"{HAND}/gripper_action", "control_msgs/action/GripperCommand", Of.FRANKA, needed=False),
    Served("action_server/error_recovery", "franka_msgs/action/ErrorRecovery", Of.FRANKA),
    Served("action_server/ptp_motion", "franka_msgs/action/PTPMotion", Of.FRANKA, needed=False),
    Served("fr3_arm_controller/follow_joint_trajectory", "control_msgs/action/FollowJointTrajectory", Of.JTC),
)

SERVICES = (
    Served(f"{HAND}/stop", "std_srvs/srv/Trigger", Of.FRANKA),
    Served("service_server/set_load", "franka_msgs/srv/SetLoad", Of.FRANKA, needed=False),
    Served("service_server/set_tcp_frame", "franka_msgs/srv/SetTCPFrame", Of.FRANKA, needed=False),
    Served("service_server/set_stiffness_frame", "franka_msgs/srv/SetStiffnessFrame", Of.FRANKA, needed=False),
    Served("service_server/set_joint_stiffness", "franka_msgs/srv/SetJointStiffness", Of.FRANKA, needed=False),
    Served("service_server/set_cartesian_stiffness", "franka_msgs/srv/SetCartesianStiffness", Of.FRANKA, needed=False),
    Served(
        "service_server/set_full_collision_behavior", "franka_msgs/srv/SetFullCollisionBehavior", Of.FRANKA, needed=False
    ),
    Served(
        "service_server/set_force_torque_collision_behavior",
        "franka_msgs/srv/SetForceTorqueCollisionBehavior",
        Of.FRANKA,
        needed=False,
    ),
    Served("controller_manager/list_controllers", "controller_manager_msgs/srv/ListControllers", Of.CONTROL),
    Served("controller_manager/switch_controller", "controller_manager_msgs/srv/SwitchController", Of.CONTROL),
    Served("controller_manager/list_hardware_components", "controller_manager_msgs/srv/ListHardwareComponents", Of.CONTROL),
    Served(
        "controller_manager/set_hardware_component_state", "controller_manager_msgs/srv/SetHardwareComponentState", Of.CONTROL
    ),
    Served("lpds/reset", "lpds_msgs/srv/Reset", Of.STANDIN),
    Served("lpds/reflex", "std_srvs/srv/Trigger", Of.STANDIN),
)


def asked_of(robot: str, controller: str) -> frozenset[Of]:
    """Whose things a robot must have: robot real, sim or mock; controller crisp or jtc."""
    if robot != "real":
        return frozenset(Of)
    return frozenset({Of.FRANKA, Of.CONTROL, Of.JTC, Of.CONTRACT} | ({Of.CRISP} if controller == "crisp" else set()))


def topics_of(contract: Contract | None) -> tuple[Topic, ...]:
    """The table's topics, and those of a contract's streams that are not among them: often enough for their maximum age."""
    known = {wanted.name for wanted in TOPICS}
    streams = [] if contract is None else [s for s in contract.streams.values() if s.topic not in known]
    return TOPICS + tuple(Topic(s.topic, s.type, Of.CONTRACT, None, lowest_hz=1.0 / s.max_age_s) for s in streams)
