"""Where a run's images come from: the launch arguments about cameras checked against the contract. No ROS."""

from collections.abc import Iterator
from pathlib import Path

from lpds_ros.arguments import Arguments, LaunchError
from lpds_ros.contract import Contract
from lpds_ros.included import REALSENSE, Include
from lpds_ros.perception.cameras import (
    NAME,
    NAMESPACE,
    CameraListError,
    colour_topic,
    image_topics,
    read_profile,
    read_serials,
)

BY_REALSENSE = ("realsense", "realsense_ros")


def camera_source(a: Arguments, contract: Contract) -> str:
    """`camera` with `auto` resolved. Raises LaunchError where it does not go with the rest."""
    source = a.camera
    if source == "auto":
        source = "sim" if a.robot == "sim" and (image_topics(contract) or a.markers) else "none"
    if a.markers and a.robot == "sim" and source != "sim":
        raise LaunchError(f"markers:=… in the simulation are seen by its camera, this run has camera:={source}: leave it out")
    if source == "sim" and a.robot != "sim":
        raise LaunchError(f"camera:=sim renders the simulation, and there is none with robot:={a.robot}: camera:=realsense")
    if source in BY_REALSENSE and a.clock == "lockstep":
        raise LaunchError(f"camera:={source}: a real camera sees real time; use clock:=realtime, or camera:=sim")
    if (a.camera_serials or a.camera_recording) and source not in BY_REALSENSE:
        raise LaunchError(
            f"camera_serials, camera_recording: of RealSense cameras, and this run has camera:={source}: add camera:=realsense"
        )
    if source in BY_REALSENSE:
        _require_topics(set(camera_nodes(a)), contract)
    return source


def camera_nodes(a: Arguments) -> dict[str, dict]:
    """Parameters of every RealSense's node by the camera's name. Raises LaunchError."""
    try:
        profile = str(read_profile(a.camera_profile))
        serials = read_serials(a.camera_serials)
    except CameraListError as error:
        raise LaunchError(f"camera_serials, camera_profile: {error}") from None
    played = {}
    if a.camera_recording:
        recording = Path(a.camera_recording).absolute()
        if not recording.is_file():
            raise LaunchError(f"camera_recording:={a.camera_recording}: there is no such file")
        played = {"rosbag_filename": str(recording), "rosbag_loop": True}
    return {name: {"camera_name": name, "serial_no": serial, "profile": profile} | played for name, serial in serials.items()}


def camera_includes(a: Arguments, namespace: str) -> Iterator[Include]:
    """realsense2_camera's launch file for each camera. namespace: of the stack, '' or '/name'."""
    for name, parameters in camera_nodes(a).items():
        profile, serial = parameters["profile"], parameters["serial_no"]
        yield Include(
            REALSENSE,
            "launch/rs_launch.py",
            {
                "camera_name": name,
                "camera_namespace": f"{namespace}/{NAMESPACE}" if namespace else NAMESPACE,
                "rgb_camera.color_profile": profile,
                "depth_module.depth_profile": profile,
                "enable_depth": "true",
                "align_depth.enable": "true",
                "enable_sync": "true",
            }
            # Without the underscore `ros2 launch` makes a number of it, and of an empty one nothing at all.
            | ({"serial_no": f"_{serial}"} if serial else {})
            | ({"rosbag_filename": parameters["rosbag_filename"], "rosbag_loop": "true"} if a.camera_recording else {}),
        )


def process_name(name: str) -> str:
    """Of the node of one camera: `camera`, `camera_wrist`."""
    return name if name == NAME else f"{NAME}_{name}"


def _require_topics(names: set[str], contract: Contract):
    there = {colour_topic(name) for name in names}
    for stream, topic in image_topics(contract).items():
        if topic not in there:
            raise LaunchError(
                f"stream '{stream}' of the contract listens to {topic}, and this run's cameras are {', '.join(sorted(names))}: "
                "camera_serials:=name=serial,…, and name is the topic's second word"
            )
