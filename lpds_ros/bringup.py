"""The node table: which process runs with which parameters for which launch arguments. No ROS.

`launch/franka_steer.launch.py` and `lpds launch` both turn what `plan` returns into processes; neither adds anything.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lpds_ros.arguments import Arguments, LaunchError, typed
from lpds_ros.camera_plan import camera_includes, camera_nodes, camera_source, process_name
from lpds_ros.config import ConfigError
from lpds_ros.contract import Contract, load_contract, require_same_contract
from lpds_ros.data.streams import FOLDER, STEM
from lpds_ros.included import Foreign, Include, beside, command_mode
from lpds_ros.perception.robot import ROBOT_STATE
from lpds_ros.prior.bundle import Bundle, load_bundle
from lpds_ros.refusals import has_cell, require_operator, require_sense
from lpds_ros.resources import resource
from lpds_ros.robot.command_modes import CONTROLLERS
from lpds_ros.robot.homing import TRAJECTORY
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.prefix import require_prefix

NEAR_CAMERA = "calibration/sim_camera_near.yaml"  # markers of 36 mm are too small in the picture of the other one
SEEDS_PER_RUN = 1_000_000
CONTRACT_FILE, LOG_FILE, STARTED_MARK, FLIGHT = "contract.yaml", "rollouts.mcap", "steering.started", "flight"
LEARNER_NICE = 10
LEARNER_RESTARTS = CAMERA_RESTARTS = 3
# Of silence, five targets: with the brakes' 25 ms the arm rests within 0.1 s of steering's death.
TARGET_TIMEOUT_S, TARGETS_MISSED = 0.05, 2.5


@dataclass(frozen=True)
class Process:
    """One node to run. parameters: ROS parameters by name (bool, int, float, str), types exact.

    essential: its end is the end of the run. restarts: how often it is started again otherwise.
    terminal: it reads the keyboard.
    """

    name: str
    executable: str
    parameters: dict
    essential: bool = True
    nice: int = 0
    restarts: int = 0
    terminal: bool = False


@dataclass(frozen=True)
class Plan:
    """What the arguments come to. run_dir: absolute, not made yet. namespace: '' or '/name'.

    beside: what is started before our processes and is not ours; only `ros2 launch` can.
    """

    arguments: Arguments
    contract: Contract
    bundle: Bundle | None
    run_dir: Path
    namespace: str
    processes: tuple[Process, ...]
    beside: tuple[Include | Foreign, ...] = ()


def plan(arguments: Arguments) -> Plan:
    """Check the arguments against each other and against the files they name, and compute every node's parameters.

    Raises LaunchError, ConfigError, BundleError or PrefixError, each with what to do.
    """
    require_sense(arguments)
    bundle = _bundle(arguments)
    contract = _contract(arguments, bundle)
    if arguments.prefix and bundle is not None:
        require_prefix(contract, bundle.info.prefix)
    run_dir = Path(arguments.run_dir or default_run_dir(arguments.name or arguments.task)).absolute()
    namespace = "/" + arguments.namespace.strip("/") if arguments.namespace.strip("/") else ""
    if arguments.robot == "real":
        require_operator(contract)
    table = tuple(_table(arguments, contract, bundle, run_dir))
    others = [*beside(arguments, namespace)]
    if camera_source(arguments, contract) == "realsense_ros":
        others += camera_includes(arguments, namespace)
    return Plan(arguments, contract, bundle, run_dir, namespace, table, tuple(others))


def processes(values: dict[str, str]) -> list[Process]:
    """The node table for launch arguments given as texts."""
    return list(plan(typed(values)).processes)


def _marked(file: str) -> dict:
    """What the simulation needs to show markers."""
    return {"markers": absolute(file), "camera_view": str(resource(NEAR_CAMERA))}


def absolute(file: str) -> str:
    """Path of a file named in the launch arguments. Raises LaunchError."""
    if not Path(file).is_file():
        raise LaunchError(f"{file}: no such file")
    return str(Path(file).absolute())


def _bundle(a: Arguments) -> Bundle | None:
    if a.prior == "none":
        return None
    name = a.prior or a.task
    if Path(name).is_dir():
        return load_bundle(Path(name).absolute())
    try:
        return load_bundle(resource(f"models/{name}"))
    except FileNotFoundError:
        raise LaunchError(
            f"prior:={name}: no such folder, and none under models/; make one with `lpds prior train` and "
            "`lpds prior export`, or use prior:=none with teleop:=…"
        ) from None


def _contract(a: Arguments, bundle: Bundle | None) -> Contract:
    if a.contract == "auto":
        if bundle is not None:
            return bundle.contract
        try:
            return load_contract(resource(f"config/contracts/{a.task}.yaml"))
        except FileNotFoundError:
            raise LaunchError(
                f"task:={a.task} has no contract under config/contracts/; give contract:=<file>"
            ) from None
    contract = load_contract(a.contract)
    if bundle is not None:
        require_same_contract(contract, bundle.contract.digest, f"prior {bundle.name}")
    if contract.task != a.task:
        raise ConfigError(f"{a.contract}: made for task '{contract.task}', this run asks for task:={a.task}")
    return contract


def default_run_dir(name: str) -> Path:
    """runs/<date>-<name> under the working directory, with a number after it where that one exists."""
    base = Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
    candidate, number = base, 1
    while candidate.exists():
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate


def seed_base(seed: int) -> int:
    """Seed of the first training episode: disjoint between runs, and from the evaluation's seeds 0, 1, 2, …"""
    return SEEDS_PER_RUN * (seed + 1)


def _table(a: Arguments, contract: Contract, bundle: Bundle | None, run_dir: Path):
    """In the order of starting: who listens before who speaks, and steering, which moves the arm, last."""
    path = str(run_dir / CONTRACT_FILE)
    camera = camera_source(a, contract)
    burst = SteeringParams(target_hz=a.target_hz).targets_per_period(contract.period_s)
    prior = str(bundle.path) if bundle else ""
    first_seed = seed_base(a.seed) + a.first_episode
    learns, mode = a.learner and bundle is not None, command_mode(a)
    if a.robot in ("sim", "mock"):
        yield Process(
            a.robot,
            a.robot,
            {
                "contract": path,
                "task": a.task,
                "clock": a.clock,
                "targets_per_period": burst,
                "seed": first_seed - 1,  # of what is seen before the first reset: no episode's, so that a reset shows
                "region": a.region,
                "camera": "sim" if camera == "sim" else "none",
                "faults": a.faults,
                "controller": CONTROLLERS[mode],
                "interpolate_from_desired_state": mode == "joint_trajectory",  # pieces of one motion, not one motion each
                "target_timeout_s": max(TARGET_TIMEOUT_S, TARGETS_MISSED / a.target_hz) if a.clock == "realtime" else 0.0,
            }
            | (_marked(a.markers) if a.markers else {})
            | ({"reset": False} if has_cell(a) else {}),
        )
    if has_cell(a):
        moves = {"trajectory_controller": TRAJECTORY, "controller": CONTROLLERS[mode], "arm": a.arm}
        yield Process("cell", "cell", moves, essential=False, restarts=LEARNER_RESTARTS)
    if camera == "realsense":  # a process each: what librealsense does to one, it does to no other
        for name, parameters in camera_nodes(a).items():
            yield Process(process_name(name), "camera", parameters, essential=False, restarts=CAMERA_RESTARTS)
    in_time = {"fifo_priority": a.fifo_priority, "lock_memory": a.lock_memory, "cores": a.control_cores}
    sees = {"bundle": prior, "encoder_provider": a.encoder_provider} if contract.images else {}
    calibration = ",".join(absolute(file) for file in a.calibration.split(",") if file)
    placed = {"calibration": calibration} if calibration else {}
    yield Process(
        "perception",
        "perception",
        {"contract": path, "clock": a.clock, "robot_state_topic": ROBOT_STATE, **sees, **placed, **in_time},
    )
    if a.markers:  # without it the object's pose falls silent, which is a HOLD; it may come back
        seen = {"markers": absolute(a.markers), "camera": f"camera/{a.markers_camera}/color"}
        yield Process("markers", "markers", {**seen, **placed}, essential=False, restarts=LEARNER_RESTARTS)
    if a.recorder:
        yield Process(
            "recorder",
            "recorder",
            {"contract": path, "path": str(run_dir / LOG_FILE)},
            False,
            restarts=LEARNER_RESTARTS,
        )
    if a.record_streams:
        yield Process(
            "streams",
            "streams",
            {
                "contract": path,
                "path": str(run_dir / FOLDER / f"{STEM}.mcap"),
                "clock": a.clock,
                "robot_state_topic": ROBOT_STATE,
                "command_mode": mode,
            },
            False,
            restarts=LEARNER_RESTARTS,
        )
    if learns:
        yield Process(
            "learner",
            "learner",
            {
                "bundle": prior,
                "run_dir": str(run_dir),
                "config": str(Path(a.learner_config).absolute()) if a.learner_config else "",
                "demos": str(Path(a.demos).absolute()) if a.demos else "",
                "variant": a.variant,
                "seed": a.seed,
            },
            essential=False,
            nice=LEARNER_NICE if a.clock == "realtime" else 0,  # in lockstep the episodes wait for it
            restarts=LEARNER_RESTARTS,
        )
    if a.teleop != "none":
        yield Process(
            "teleop",
            "teleop",
            {
                "device": a.teleop,
                "contract": path,
                "task": a.task,
                "seed": a.seed,
                "clock": a.clock,
                "takeover": "hold" if bundle else "always",
            },
            terminal=a.teleop == "keyboard",
        )
    yield Process(
        "steering",
        "steering",
        {
            "contract": path,
            "bundle": prior,
            "clock": a.clock,
            "provider": a.provider,
            "variant": a.variant,
            "candidates": a.candidates,
            "prefix": a.prefix,
            "canary_window": a.canary_window,
            "canary_drop": a.canary_drop,
            "allow_slow_decoder": a.allow_slow_decoder,
            **in_time,
            "actor": str(Path(a.actor).absolute()) if a.actor else "",
            "seed": a.seed,
            "seed_base": first_seed,
            "target_hz": a.target_hz,
            "command_mode": mode,
            "allow_group_position": a.allow_group_position or a.robot != "real",
            "gripper_actions": a.gripper_actions,
            "grasp_width_m": a.grasp_width_m,
            "homing": a.homing,
            "arm": a.arm,
            "joint_prefix": "" if a.robot == "real" else "fr3_joint",  # whose limits the simulated FR3 keeps, whatever they are
            "robot_description": "robot_description" if a.robot == "real" else "",
            **({"reset_patience_s": 0.0} if has_cell(a) else {}),  # a person takes his time
            "episodes": a.episodes,
            "learner_gate": learns and a.clock == "lockstep",
            "listeners": a.recorder + learns,
            "started_mark": str(run_dir / STARTED_MARK),
            "flight_dir": str(run_dir / FLIGHT),
        },
    )
