"""Parameters of the sim node. Rates hold in real time; in lockstep everything is said once a control period."""

from dataclasses import dataclass

from lpds_ros.parameters import parameter


@dataclass(frozen=True)
class Parameters:
    contract: str = parameter("", "contract file; empty: config/contracts/<task>.yaml")
    task: str = parameter("", "task of sim/tasks; empty: the contract's")
    clock: str = parameter("realtime", "how time passes", choices=("realtime", "lockstep"))
    targets_per_period: int = parameter(5, "pose targets in one control period (lockstep)", range=(1, 1000))
    seed: int = parameter(0, "of the episode that runs before the first reset", range=(0, 2**62))
    region: str = parameter("full", "where the task may place its object", choices=("full", "demo"))
    convenience_publish_rate: int = parameter(
        100, "state topics of the broadcaster and franka/joint_states (realtime)", "Hz", range=(1, 1000)
    )
    robot_state_rate: float = parameter(30.0, "robot_state (realtime; 1000 on the robot)", "Hz", range=(1, 1000))
    joint_state_rate: float = parameter(30.0, "joint_states (realtime)", "Hz", range=(1, 1000))
    gripper_state_rate: float = parameter(30.0, "franka_gripper/joint_states (realtime)", "Hz", range=(1, 200))
    object_rate: float = parameter(60.0, "lpds/object_pose (realtime)", "Hz", range=(1, 200))
    publish_frequency: float = parameter(20.0, "/tf (realtime)", "Hz", range=(1, 1000))
    feedback_publish_rate: float = parameter(30.0, "feedback of the gripper's actions (realtime)", "Hz", range=(1, 50))
    action_monitor_rate: float = parameter(20.0, "feedback of follow_joint_trajectory (realtime)", "Hz", range=(1, 50))
    camera: str = parameter("none", "sim: renders camera/camera/* and camera/wrist/*, which needs EGL", choices=("none", "sim"))
    camera_rate: float = parameter(30.0, "their pictures (realtime; less where rendering is slower)", "Hz", range=(1, 100))
    camera_view: str = parameter("", "YAML of the place of the one called camera; empty: calibration/sim_camera.yaml")
    markers: str = parameter(
        "", "YAML of markers to stick onto the object; its true pose is then on lpds/true_object_pose, and `markers` measures it"
    )
    board: str = parameter("", "where calibration/charuco.yaml's board is, to try a calibration", choices=("", "hand", "table"))
    target_timeout_s: float = parameter(
        0.0, "silence of streamed targets that brakes the arm (realtime); 0: never, as on a robot", "s", range=(0.0, 10.0)
    )
    reset: bool = parameter(True, "serve lpds/reset; without it somebody else does, as on a real cell (the node `cell`)")
    faults: bool = parameter(False, "serve lpds/fault, with which anybody may make anything go wrong")
    controller: str = parameter(
        "cartesian_impedance_controller",
        "motion controller that is active at the start, and alone obeyed (switch_controller changes it); any: everybody is "
        "obeyed, the last command drives the arm, and error recovery alone makes it ready",
    )
    trajectory_controller: str = parameter("fr3_arm_controller", "name before joint_trajectory, follow_joint_trajectory")
    position_controller: str = parameter("forward_position_controller", "name before commands (joint positions)")
    interpolate_from_desired_state: bool = parameter(
        False, "new trajectories lead in from the reference, not from the measured state"
    )
