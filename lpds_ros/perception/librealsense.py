"""Finding librealsense and its cameras: pyrealsense2, with the libusb-1.0 that its wheel does not bring."""

import ctypes
import importlib
from dataclasses import dataclass
from pathlib import Path

from lpds_ros.perception.cameras import Profile


class CameraError(ValueError):
    """A camera cannot be used. problem: what was found; remedy: what to do; the text says both."""

    def __init__(self, problem: str, remedy: str):
        super().__init__(f"{problem}: {remedy}")
        self.problem, self.remedy = problem, remedy


@dataclass(frozen=True)
class Attached:
    """A camera that is plugged in. usb: version of the connection, "3.2"; "" where it is not known."""

    name: str
    serial: str
    usb: str

    def __str__(self) -> str:
        return f"{self.name} {self.serial}{' on USB ' if self.usb else ''}{self.usb}"


def librealsense():
    """The module pyrealsense2, with libusb_package's libusb-1.0 loaded for it where that is installed.

    Raises CameraError.
    """
    try:
        library = Path(importlib.import_module("libusb_package").__file__).with_name("libusb-1.0.so")
        if library.exists():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except ImportError:
        pass  # the system may have its own
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as error:
        if "libusb" in str(error):
            raise CameraError(str(error), "pip install libusb-package, or sudo apt install libusb-1.0-0") from error
        raise CameraError(f"no pyrealsense2 ({error})", "for a RealSense: pip install 'lpds_ros[realsense]'") from error


def attached(library) -> list[Attached]:
    """Every RealSense that answers. Raises CameraError where the bus cannot be asked."""
    info = library.camera_info
    try:
        return [
            Attached(_info(d, info.name), _info(d, info.serial_number), _info(d, info.usb_type_descriptor))
            for d in library.context().query_devices()
        ]
    except RuntimeError as error:
        raise CameraError(str(error), "replug the camera; install librealsense's udev rules") from error


def _info(device, which) -> str:
    return device.get_info(which) if device.supports(which) else ""


def profiles(rs, device, depth: bool) -> list[Profile]:
    """What a device can stream in colour (rgb8), and with `depth` in depth (z16) as well, smallest first."""
    wanted = [(rs.stream.color, rs.format.rgb8)] + ([(rs.stream.depth, rs.format.z16)] if depth else [])
    found: dict[tuple, set[Profile]] = {kind: set() for kind in wanted}
    for sensor in device.query_sensors():
        for stream in sensor.get_stream_profiles():
            kind = stream.stream_type(), stream.format()
            if kind in found:
                video = stream.as_video_stream_profile()
                found[kind].add(Profile(video.width(), video.height(), video.fps()))
    common = set.intersection(*found.values())
    return sorted(common, key=lambda p: (p.width_px * p.height_px, p.rate_hz))
