"""The launch arguments: names, types, defaults, help; read from `name:=value` words or from texts. No ROS."""

import dataclasses
import difflib
import typing
from dataclasses import dataclass

from lpds_ros.config import nearest
from lpds_ros.parameters import ParameterError, build_parameters, parameter
from lpds_ros.robot.command_modes import COMMAND_MODES
from lpds_ros.steering.params import SteeringParams

SLIP = 0.8  # two names this alike, of 1, are one of them mistyped


class LaunchError(ValueError):
    """Launch arguments that cannot be used; the text names the argument and what to write instead."""


@dataclass(frozen=True)
class Arguments:
    """The launch arguments: deployment facts. Tuning lives in YAML (the contract, the learner's configuration)."""

    robot: str = parameter(
        "sim",
        "which robot: simulated, an FR3 through franka_ros2 (always asked for by name), or a mock without physics, for tests",
        choices=("sim", "real", "mock"),
    )
    robot_ip: str = parameter("", "address of the real robot's control box; needed with franka_bringup:=true")
    franka_bringup: bool = parameter(
        True, "robot:=real: include franka_bringup's launch file; false: franka_ros2 runs already, here or on another computer"
    )
    controller: str = parameter(
        "crisp",
        "robot:=real: what drives the arm: crisp_controllers' Cartesian impedance, or Franka's joint trajectory controller",
        choices=("crisp", "jtc"),
    )
    arm: str = parameter(
        "fr3",
        "whose limits: a file of calibration/; with robot:=real those of /robot_description narrow them",
        choices=("fr3", "panda"),
    )
    command_mode: str = parameter(
        "auto",
        "how steering commands the arm (docs/robot.md); auto: cartesian_pose, with controller:=jtc joint_trajectory",
        choices=("auto", *COMMAND_MODES),
    )
    allow_group_position: bool = parameter(False, "robot:=real: let command_mode:=joint_group_position be used")
    gripper_actions: str = parameter(
        "franka_hand",
        "the actions that move the hand: its own Move and Grasp, or control_msgs/GripperCommand",
        choices=("franka_hand", "gripper_command"),
    )
    grasp_width_m: float = parameter(
        0.0, "width the hand closes to; with gripper_command the object's, to 5 mm", unit="m", range=(0.0, 0.08)
    )
    homing: bool = parameter(False, "steering homes the hand at its start: the fingers move once their whole way")
    controllers_yaml: str = parameter("", "robot:=real: the controllers' parameters; empty: config/controllers/<controller>.yaml")
    cell: str = parameter(
        "auto",
        "the cell node serves lpds/reset: it opens the hand, drives the arm home and waits for `lpds robot ready`; "
        "auto: with robot:=real; false: the simulation does, or a node of yours",
        choices=("auto", "true", "false"),
    )
    clock: str = parameter(
        "realtime",
        "how simulated time passes: with the wall clock, or one control period per command, as fast as the machine can",
        choices=("realtime", "lockstep"),
    )
    task: str = parameter("lift", "task: a file of sim/tasks, and the name of the default prior and contract")
    prior: str = parameter(
        "", "the frozen policy: a path, a name under models/, or none; empty: the one named as the task"
    )
    contract: str = parameter(
        "auto", "contract file; auto: the prior's own, or config/contracts/<task>.yaml without one"
    )
    learner: bool = parameter(True, "learn online (needs a prior)")
    recorder: bool = parameter(True, "record every decision and episode to <run_dir>/rollouts.mcap")
    record_streams: bool = parameter(
        False, "record every message that perception is given, and targets, to <run_dir>/streams; images fill a disk fast"
    )
    teleop: str = parameter(
        "none", "operator's device", choices=("none", "scripted", "keyboard", "gamepad", "spacemouse")
    )
    namespace: str = parameter("", "ROS namespace of every node")
    seed: int = parameter(
        0, "seeds episodes, noise and learner; training never sees the evaluation's seeds", range=(0, 10**6)
    )
    episodes: int = parameter(
        0, "after so many the arm holds still (and `lpds demo` ends); 0: run until stopped", range=(0, 10**6)
    )
    first_episode: int = parameter(0, "number of the first episode, where a run is gone on with", range=(0, 10**6))
    run_dir: str = parameter("", "run folder; empty: runs/<date>-<name>")
    name: str = parameter("", "last part of the run folder's name; empty: the task")
    provider: str = parameter("auto", "where the decoder runs: auto, cpu or a provider of ONNX Runtime")
    variant: str = parameter("fp32", "precision of the decoder: fp32, or one that the prior's bundle has, such as int8")
    encoder_provider: str = parameter("cpu", "where the prior's image encoders run: cpu, cuda, tensorrt or openvino")
    candidates: int = parameter(
        1, "noises a chunk decoded ahead is chosen from, by how it goes on with the running one", range=(1, 256)
    )
    prefix: bool = parameter(
        False, "a chunk decoded ahead goes on from the running one's rows; needs learner:=false, a bundle exported with --prefix"
    )
    canary_window: int = parameter(30, "steered episodes that versions of the weights are judged by", range=(2, 10_000))
    canary_drop: float = parameter(
        0.3, "fall of the success rate below the best version's that brings it back; 1: never", range=(0.01, 1.0)
    )
    fifo_priority: int = parameter(
        0, "priority of perception and steering under SCHED_FIFO, in real time; 0: none", range=(0, 98)
    )
    lock_memory: bool = parameter(False, "lock their memory")
    control_cores: str = parameter("", "processor cores they may run on, for example 2,3; empty: all")
    allow_slow_decoder: bool = parameter(False, "in real time: start although the decoder takes longer than it has")
    actor: str = parameter("", "weights file steering starts from; needs learner:=false")
    target_hz: float = parameter(
        SteeringParams().target_hz, "rate of published pose targets", unit="Hz", range=(20.0, 1000.0)
    )
    learner_config: str = parameter("", "YAML of the learner's hyperparameters; empty: the defaults")
    camera: str = parameter(
        "auto",
        "where images come from: the simulation, RealSense cameras by our own node, or by realsense2_camera; none: from "
        "whoever else publishes them; auto: sim where the robot is simulated and the contract has images, else none",
        choices=("auto", "none", "sim", "realsense", "realsense_ros"),
    )
    camera_serials: str = parameter(
        "", "RealSense cameras, name=serial: camera=012345678901,wrist=…; empty: one named camera, the only one plugged in"
    )
    camera_recording: str = parameter(
        "", "recording of librealsense (.db3, .bag) that plays in a loop in place of every RealSense, without hardware"
    )
    camera_profile: str = parameter("640x480x30", "width x height x rate of every RealSense, its colour and its depth")
    demos: str = parameter("", "demonstrations for the learner's replay, whatever `lpds demos info` reads; empty: none")
    calibration: str = parameter(
        "", "where cameras sit: .calib files of `lpds calibrate hand-eye` or easy_handeye2, separated by commas, for /tf_static"
    )
    markers: str = parameter(
        "", "YAML of markers on the object, whose pose is then measured through the camera; in simulation they are stuck onto it"
    )
    markers_camera: str = parameter("camera", "name of the camera that sees them: camera/<name>/color/image_raw")
    faults: bool = parameter(False, "the simulation serves lpds/fault: things go wrong on purpose, for `lpds faults`")
    region: str = parameter("full", "where the simulation puts the object", choices=("full", "demo"))


@dataclass(frozen=True)
class Argument:
    """One row of `--show-args`. kind: text, bool, int or float. default: as one writes it."""

    name: str
    kind: str
    default: str
    choices: tuple[str, ...]
    help: str


def _written(value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


ARGUMENTS = tuple(
    Argument(
        f.name,
        f.type.__name__.replace("str", "text"),
        _written(f.default),
        f.metadata["choices"] or (),
        f.metadata["help"],
    )
    for f in dataclasses.fields(Arguments)
)


def parse(pairs: list[str]) -> Arguments:
    """`name:=value` words to checked arguments. Raises LaunchError naming the nearest name, or what is accepted."""
    values = {}
    for pair in pairs:
        name, separator, text = pair.partition(":=")
        if not separator:
            raise LaunchError(f"'{pair}': launch arguments are written name:=value")
        values[name] = text
    return typed(values)


def ours(configurations: dict[str, str]) -> dict[str, str]:
    """Of a launch context's configurations those that are our arguments, or look like a slip of one, which `typed` refuses.

    The others belong to whoever has included our launch file.
    """
    names = [argument.name for argument in ARGUMENTS]
    return {name: text for name, text in configurations.items() if difflib.get_close_matches(name, names, 1, SLIP)}


def typed(values: dict[str, str]) -> Arguments:
    """Texts by name to checked arguments, as `parse`."""
    hints = typing.get_type_hints(Arguments)
    converted = {}
    for name, text in values.items():
        if name not in hints:
            raise LaunchError(f"unknown launch argument '{name}'{nearest(name, hints)}")
        converted[name] = _convert(name, hints[name], text)
    try:
        return build_parameters(Arguments, converted)
    except ParameterError as error:
        raise LaunchError(f"launch argument: {error}") from None


def _convert(name: str, kind: type, text: str):
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise LaunchError(f"launch argument {name}: expected true or false, got '{text}'")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise LaunchError(f"launch argument {name}: expected {kind.__name__}, got '{text}'") from None


def show_arguments() -> str:
    """The text of `--show-args`: every argument with its type, its default and what it accepts."""
    lines = ["Arguments (name:=value):"]
    for a in ARGUMENTS:
        accepted = f"one of {', '.join(a.choices)}" if a.choices else a.kind
        default = f"'{a.default}'"
        lines += [f"  {a.name:<18} {accepted}; default {default}", f"  {'':<18} {a.help}"]
    return "\n".join(lines)
