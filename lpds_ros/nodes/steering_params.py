"""Parameters of the steering node."""

from dataclasses import dataclass, fields

from lpds_ros.parameters import parameter
from lpds_ros.realtime import RealtimeParameters
from lpds_ros.robot.command_modes import COMMAND_MODES
from lpds_ros.robot.gripper import HandCommands
from lpds_ros.steering.params import SteeringParams

SAFE, HAND = SteeringParams(), HandCommands()


@dataclass(frozen=True)
class Parameters(RealtimeParameters):
    bundle: str = parameter("", "bundle directory of the prior; empty or none: only an operator drives")
    contract: str = parameter("", "contract file; empty: the bundle's own")
    clock: str = parameter("realtime", "how time passes", choices=("realtime", "lockstep"))
    provider: str = parameter("cpu", "where the decoder runs; the one really used is in the status")
    variant: str = parameter("fp32", "precision of the decoder, one that the bundle has")
    threads: int = parameter(1, "threads of the decoder", range=(1, 64))
    arm: str = parameter("fr3", "whose limits: a file of calibration/")
    robot_description: str = parameter("", "topic of the robot's URDF, whose narrower limits hold; empty: nobody is asked")
    controller: str = parameter(
        "auto", "controller that must be active (realtime); auto: the command mode's; empty: the controller manager is not asked"
    )
    allow_slow_decoder: bool = parameter(False, "in real time: start although the decoder takes longer than it has")
    candidates: int = parameter(
        1, "noises a chunk decoded ahead is chosen from, by how it goes on with the running one", range=(1, 256)
    )
    prefix: bool = parameter(False, "a chunk decoded ahead goes on from the running one's rows; without a learner")
    actor: str = parameter("", "file of actor weights to start from; empty: the prior")
    max_radius: float = parameter(
        12.0, "bound on the norm of the perturbation, whatever weights arrive", range=(1e-6, 1e6)
    )
    canary_window: int = parameter(30, "steered episodes that versions of the weights are judged by", range=(2, 10_000))
    canary_drop: float = parameter(
        0.3, "fall of the success rate below the best version's that brings it back; 1: never", range=(0.01, 1.0)
    )
    seed: int = parameter(0, "of the noise", range=(0, 2**62))
    seed_base: int = parameter(0, "seed of episode 0; episode e has seed_base + e", range=(0, 2**62))
    episodes: int = parameter(0, "episodes to run; 0: endless", range=(0, 2**31))
    target_hz: float = parameter(100.0, "rate of interpolated pose targets", "Hz", (20.0, 1000.0))
    max_speed_mps: float = parameter(SAFE.max_speed_mps, "of the commanded pose", "m/s", (0.001, 1.0))
    max_turn_radps: float = parameter(SAFE.max_turn_radps, "of the commanded pose", "rad/s", (0.001, 2.5))
    anchor_m: float = parameter(
        SAFE.anchor_m, "a target farther than this from the measured pose starts again from it", "m", (0.001, 0.2)
    )
    anchor_rad: float = parameter(SAFE.anchor_rad, "the same of the orientation", "rad", (0.001, 1.5))
    joint_margin_rad: float = parameter(
        SAFE.joint_margin_rad, "no motion drives a joint so near to its limit further out", "rad", (0.01, 1.0)
    )
    cut_ticks: int = parameter(SAFE.cut_ticks, "actions in a row that had to be cut: HOLD", range=(1, 10**6))
    wild_ticks: int = parameter(SAFE.wild_ticks, "actions in a row of more than wild_ratio: HOLD", range=(1, 10**6))
    wild_ratio: float = parameter(SAFE.wild_ratio, "times the allowed speed", range=(1.0, 1e6))
    still_m: float = parameter(
        SAFE.still_m, "a tool that moved less, while two anchors of way were asked for, does not follow", "m", (1e-5, 0.01)
    )
    still_rad: float = parameter(SAFE.still_rad, "the same of each joint", "rad", (1e-5, 0.1))
    camera_lost_s: float = parameter(
        SAFE.camera_lost_s, "without a usable picture for so long a camera is lost: HOLD until lpds/arm", "s", (0.1, 60.0)
    )
    command_mode: str = parameter("cartesian_pose", "how the arm is commanded (docs/robot.md)", choices=tuple(COMMAND_MODES))
    allow_group_position: bool = parameter(False, "let joint_group_position be used, which makes a real Franka stop by a reflex")
    targets_topic: str = parameter(
        "",
        "topic of the arm's targets; empty: the mode's own, target_pose, target_joint, fr3_arm_controller/joint_trajectory or "
        "forward_position_controller/commands",
    )
    trajectory_rows: int = parameter(
        1000, "rows of the chunk a trajectory holds beyond its period; fewer: sooner at rest when steering dies", range=(0, 1000)
    )
    targets_frame: str = parameter("base", "frame_id of pose and joint targets")
    targets_qos: str = parameter("reliable", "of the targets in real time, depth 1", choices=("reliable", "best_effort"))
    joint_prefix: str = parameter("", "names of the arm's joints before their numbers 1 to 7; empty: fr3_joint, or another arm's")
    gripper: str = parameter("franka_gripper", "namespace of the gripper's actions")
    gripper_actions: str = parameter(
        "franka_hand",
        "the actions that move it: franka_hand (Move, Grasp, Homing) or gripper_command (control_msgs/GripperCommand)",
        choices=("franka_hand", "gripper_command"),
    )
    grasp_width_m: float = parameter(
        HAND.close_width_m,
        "width the hand closes to; with gripper_command the object's: franka_gripper lets go of what is not within 5 mm of it",
        "m",
        (0.0, 0.08),
    )
    grasp_force_n: float = parameter(HAND.close_force_n, "force it holds with", "N", (1.0, 140.0))
    homing: bool = parameter(False, "home the gripper at start-up: its fingers move, once their whole way (franka_hand)")
    started_mark: str = parameter(
        "", "file that the first steering node of a launch leaves; one that finds it waits for lpds/arm; empty: none"
    )
    wait_for_operator: str = parameter(
        "auto",
        "lockstep: tick only on the operator's answer; auto: without a bundle",
        choices=("auto", "always", "never"),
    )
    auto_reset: bool = parameter(True, "call lpds/reset before each episode")
    reset_patience_s: float = parameter(
        5.0, "how long its answer may take before it is asked again; 0: for ever (a person arranges the scene)", "s", (0.0, 1e5)
    )
    listeners: int = parameter(0, "subscribers of lpds/decision to wait for before an episode", range=(0, 16))
    learner_gate: bool = parameter(False, "a learner is expected: let it catch up before each episode")
    learner_backlog_limit: int = parameter(100, "updates it may still owe", range=(0, 1_000_000))
    learner_patience_s: float = parameter(60.0, "longest wait for the learner", "s", (0.1, 3600.0))
    watchdog_s: float = parameter(1.0, "in real time: STOP when a tick takes longer (a decoder that hangs)", "s", (0.1, 2.0))
    status_hz: float = parameter(5.0, "rate of lpds/steering_status", "Hz", (0.1, 100.0))
    flight_dir: str = parameter("", "folder for recordings of the seconds before a HOLD, STOP or FAULT; empty: none")
    flight_s: float = parameter(10.0, "seconds before it that are recorded", "s", (0.5, 120.0))
    flight_tail_s: float = parameter(1.0, "seconds after it", "s", (0.0, 10.0))
    flight_keep: int = parameter(20, "recordings that are kept; the oldest HOLD makes room", range=(1, 10_000))

    @property
    def steering(self) -> SteeringParams:
        """Those of them that are the core's."""
        own = {field.name for field in fields(self)}
        return SteeringParams(**{f.name: getattr(self, f.name) for f in fields(SteeringParams) if f.name in own})
