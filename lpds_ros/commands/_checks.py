"""What `lpds doctor` looks at: each check is a function that returns what was found and, if need be, the fix."""

import importlib
import importlib.metadata
import os
import resource as rlimits
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.arguments import LaunchError
from lpds_ros.config import ConfigError
from lpds_ros.environment import PROFILE_VARIABLES
from lpds_ros.included import CRISP, FRANKA, WHERE_FROM, share_folder
from lpds_ros.perception.librealsense import CameraError, attached, librealsense
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.session import DecoderSession
from lpds_ros.realtime import LIMITS
from lpds_ros.resources import ResourceError, roots

PYTHONS = ((3, 11), (3, 12))
SETUP = "run `make setup`, or source your ROS 2 workspace"
DISTRIBUTIONS = {"9": "kilted", "7": "jazzy", "3": "humble"}  # by rclpy's major version
TESTED = ("kilted", "jazzy")
SHARED_MEMORY_MB = 256  # one 32 MB segment a process, and the middleware's own
SPACEMOUSE_VENDORS = ("046D", "256F")  # Logitech (old devices) and 3Dconnexion
REALTIME_PRIORITY = 80


@dataclass(frozen=True)
class Check:
    """One line of the report. required: without it the simulation stack does not run. fix: "" when all is well."""

    name: str
    ok: bool
    required: bool
    found: str
    fix: str = ""


def _present(name: str, required: bool, found: str) -> Check:
    return Check(name, True, required, found)


def _absent(name: str, required: bool, found: str, fix: str) -> Check:
    return Check(name, False, required, found, fix)


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fix = "" if sys.version_info[:2] in PYTHONS else "tested with 3.11 and 3.12 only: make setup PYTHON=python3.12"
    return Check("Python", True, True, f"{version}, {sys.prefix}", fix)


def ros() -> Check:
    try:
        rclpy = importlib.import_module("rclpy")
    except ImportError as error:
        return _absent("ROS 2", True, f"rclpy cannot be imported ({error})", SETUP)
    wheel = _version("ros-rclpy")
    inside = Path(rclpy.__file__).is_relative_to(sys.prefix)
    if wheel and not inside:
        fix = "this shell has another ROS sourced: open one without it, or use that ROS and its own Python"
        return _absent("ROS 2", True, f"rclpy of {Path(rclpy.__file__).parent} shadows the environment's {wheel}", fix)
    version = wheel or _version("rclpy") or "?"
    name = os.environ.get("ROS_DISTRO") or DISTRIBUTIONS.get(version.partition(".")[0], "unknown")
    found = f"{name}, rclpy {version} from {'PyPI' if wheel else str(Path(rclpy.__file__).parent)}"
    return Check("ROS 2", True, True, found, "" if name in TESTED else f"tested with {' and '.join(TESTED)} only")


def interfaces(package: str, message: str) -> Check:
    try:
        module = importlib.import_module(f"{package}.msg")
        found = f"{Path(module.__file__).parents[1]}"
        getattr(module, message)
    except (ImportError, AttributeError) as error:
        fix = "`make setup`, or `colcon build` and `source install/setup.bash`"
        return _absent(package, True, f"not built ({error})", fix)
    return _present(package, True, found)


def middleware() -> Check:
    name = "middleware"
    chosen = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    span = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    profile = next((os.environ[variable] for variable in PROFILE_VARIABLES if variable in os.environ), "")
    found = f"{chosen}, discovery {span}, domain {os.environ.get('ROS_DOMAIN_ID', '0')}, profile {profile or 'none'}"
    if not chosen.startswith("rmw_fastrtps"):
        fix = "the profile is for Fast DDS: give yours 32 MB of shared memory and messages of 8 MB"
        return _absent(name, False, found, fix)
    if not Path(profile).is_file():
        fix = f"messages of 1 MB get lost: set {PROFILE_VARIABLES[0]} to the package's config/fastdds.xml"
        return _absent(name, False, found, fix)
    return _present(name, False, found)


def onnxruntime() -> Check:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        return _absent("ONNX Runtime", True, str(error), "pip install 'lpds_ros[cpu]' (with an NVIDIA GPU: [gpu])")
    short = [provider.removesuffix("ExecutionProvider") for provider in runtime.get_available_providers()]
    both = _version("onnxruntime") and _version("onnxruntime-gpu")
    found = f"{runtime.__version__}, providers {', '.join(short)}"
    fix = "two wheels of one module: pip uninstall onnxruntime onnxruntime-gpu, then install one" if both else ""
    return Check("ONNX Runtime", not both, True, found, fix)


def torch() -> Check:
    try:
        module = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return _absent("torch", True, f"the learner needs it ({error})", "pip install 'lpds_ros[train]'")
    device = module.cuda.get_device_name(0) if module.cuda.is_available() else "CPU"
    return _present("torch", True, f"{module.__version__}, {device}")


def mujoco() -> Check:
    try:
        return _present("MuJoCo", True, importlib.import_module("mujoco").__version__)
    except (ImportError, OSError) as error:
        return _absent("MuJoCo", True, str(error), "pip install 'lpds_ros[sim]'")


def opencv() -> Check:
    name, fix = "OpenCV", "pip install 'lpds_ros[vision]'; without it there are no calibration and no markers"
    try:
        cv2 = importlib.import_module("cv2")
    except (ImportError, OSError) as error:
        return _absent(name, False, str(error), fix)
    lacks = [part for part in ("calibrateHandEye", "aruco") if not hasattr(cv2, part)]
    if lacks:
        return _absent(name, False, f"{cv2.__version__}, without {' and '.join(lacks)}", fix)
    return _present(name, False, cv2.__version__)


def camera() -> Check:
    name = "RealSense"
    try:
        found = attached(librealsense())
    except CameraError as error:
        return _absent(name, False, error.problem, error.remedy)
    text = f"pyrealsense2 {_version('pyrealsense2')}: {', '.join(map(str, found)) or 'no camera answers'}"
    if not found:
        return _absent(name, False, text, "plug it into USB 3; inside a container pass the device in")
    slow = [camera.serial for camera in found if camera.usb.startswith("2")]
    fix = f"{', '.join(slow)}: on USB 2 there are few profiles, use a port and a cable of USB 3" if slow else ""
    return Check(name, True, False, text, fix)


def ros2_launch() -> Check:
    path = shutil.which("ros2")
    if path:
        return _present("ros2 launch", False, path)
    found = "no `ros2`: `lpds launch` starts the stack, but cannot include franka_bringup or realsense2_camera"
    return _absent("ros2 launch", False, found, "for these source a ROS 2 that has it")


def robot_driver(package: str, for_what: str) -> Check:
    """A package of a real robot's driver, in the sourced workspaces."""
    try:
        return _present(package, False, str(share_folder(package)))
    except LaunchError:
        return _absent(package, False, f"in no sourced workspace; {for_what}", WHERE_FROM[package])


def spacemouse() -> Check:
    name = "SpaceMouse"
    if not _version("hidapi"):
        return _absent(name, False, "module hid is not installed", "for a SpaceMouse: pip install 'lpds_ros[teleop]'")
    nodes = _hid_nodes(SPACEMOUSE_VENDORS)
    if not nodes:
        return _absent(name, False, "none plugged in", "keyboard, gamepad and the scripted operator work without one")
    closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        rule = 'KERNEL=="hidraw*", ATTRS{idVendor}=="256f", MODE="0660", TAG+="uaccess"'
        fix = f"put this line into /etc/udev/rules.d/70-spacemouse.rules and replug: {rule}"
        return _absent(name, False, f"cannot open {', '.join(closed)}", fix)
    return _present(name, False, ", ".join(map(str, nodes)))


def realtime() -> Check:
    priority = _limit(rlimits.RLIMIT_RTPRIO)
    memory = _limit(rlimits.RLIMIT_MEMLOCK)
    kernel = _read("/sys/kernel/realtime") == "1" or "PREEMPT_RT" in os.uname().version
    found = f"rtprio {_amount(priority)}, memlock {_amount(memory)}, PREEMPT_RT {'yes' if kernel else 'no'}"
    needed = []
    if priority < REALTIME_PRIORITY or memory != float("inf"):
        needed.append(LIMITS)
    if not kernel:
        needed.append("franka_ros2 needs a PREEMPT_RT kernel on its computer")
    return Check("real-time rights", not needed, False, found, "; ".join(needed))


def cores() -> Check:
    count = len(os.sched_getaffinity(0))
    fix = "" if count >= 2 else "steering and learner will share one core: give this machine or container two"
    return Check("cores", count >= 2, False, f"{count} usable", fix)


def shared_memory() -> Check:
    name = "/dev/shm"
    if not os.path.isdir(name):
        return _absent(name, False, "absent", "messages go over UDP; mount a tmpfs there")
    total_mb = shutil.disk_usage(name).total >> 20
    fix = "" if total_mb >= SHARED_MEMORY_MB else f"needs {SHARED_MEMORY_MB} MB: docker run --shm-size=512m"
    return Check(name, not fix, False, f"{total_mb} MB", fix)


def bundles() -> list[Check]:
    """One check a bundle under models/: digests, then the golden cases on the CPU. At least one must be sound."""
    folders = sorted({path.parent.resolve() for root in roots() for path in root.glob("models/*/bundle.yaml")})
    if not folders:
        return [_absent("bundle", True, "none under models/", "make one: lpds prior train, then lpds prior export")]
    return [_bundle(folder) for folder in folders]


def _bundle(folder: Path) -> Check:
    name = f"bundle {folder.name}"
    try:
        bundle = load_bundle(folder)
        DecoderSession(bundle, provider="cpu")
    except (ConfigError, ResourceError, ValueError, OSError) as error:
        return _absent(name, True, str(error), "restore the folder from version control, or export it again")
    return _present(name, True, f"{bundle.kind}, {bundle.digest[:12]}, golden cases reproduced")


def all_checks() -> list[Check]:
    """Every check, in the order of the report."""
    return [
        python(),
        ros(),
        interfaces("lpds_msgs", "Decision"),
        interfaces("franka_msgs", "FrankaRobotState"),
        interfaces("control_msgs", "JointTolerance"),
        interfaces("controller_manager_msgs", "ControllerState"),
        interfaces("tf2_msgs", "TFMessage"),
        middleware(),
        onnxruntime(),
        torch(),
        mujoco(),
        *bundles(),
        ros2_launch(),
        robot_driver(FRANKA, "robot:=real needs it, here or on the robot's computer (franka_bringup:=false)"),
        robot_driver(CRISP, "the default controller of robot:=real needs it, where franka_ros2 runs"),
        opencv(),
        camera(),
        spacemouse(),
        realtime(),
        cores(),
        shared_memory(),
    ]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _limit(kind: int) -> float:
    hard = rlimits.getrlimit(kind)[1]
    return float("inf") if hard == rlimits.RLIM_INFINITY else hard


def _amount(value: float) -> str:
    return "unlimited" if value == float("inf") else f"{int(value)}"


def _hid_nodes(vendors: tuple[str, ...]) -> list[Path]:
    """/dev/hidraw* of the given USB vendors; HID_ID in sysfs reads bus:vendor:product, padded to eight digits."""
    found = []
    for entry in sorted(Path("/sys/class/hidraw").glob("hidraw*")):
        lines = _read(entry / "device" / "uevent").splitlines()
        identity = next((line for line in lines if line.startswith("HID_ID=")), "")
        parts = identity.removeprefix("HID_ID=").split(":")
        if len(parts) == 3 and parts[1][-4:].upper() in vendors:
            found.append(Path("/dev") / entry.name)
    return found
