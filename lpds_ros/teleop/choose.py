"""Make a device by its name."""

from lpds_ros.config import nearest
from lpds_ros.contract import Contract
from lpds_ros.teleop.device import Device, DeviceError
from lpds_ros.teleop.gamepad import Gamepad
from lpds_ros.teleop.keyboard import Keyboard
from lpds_ros.teleop.scripted import Scripted
from lpds_ros.teleop.spacemouse import SpaceMouse

DEVICES = {device.name: device for device in (SpaceMouse, Gamepad, Keyboard, Scripted)}


def make_device(name: str, contract: Contract, *, task: str, seed: int, takeover: str, speed: float) -> Device:
    """The named device, not opened yet. Raises DeviceError for an unknown name."""
    if name not in DEVICES:
        raise DeviceError(f"unknown device '{name}'{nearest(name, DEVICES)}")
    options = {"task": task, "seed": seed} if name == Scripted.name else {}
    return DEVICES[name](contract, takeover=takeover, speed=speed, **options)
