"""A gamepad, as the `joy` node reports it (sensor_msgs/Joy). The node hands axes and buttons to `feed`."""

from dataclasses import dataclass

from lpds_ros.records import Mark
from lpds_ros.teleop.device import Device

DEADZONE = 0.1


@dataclass(frozen=True)
class GamepadMap:
    """Indices of axes and buttons; defaults: an Xbox pad under Linux. Axes: left and up are positive."""

    forward: int = 1
    left: int = 0
    up: int = 4
    gripper: int = 0  # A
    success: int = 3  # Y
    failure: int = 1  # B
    takeover: int = 4  # left bumper
    stop: int = 6  # back


class Gamepad(Device):
    """Left stick: x, y. Right stick: up, down. A: gripper. Left bumper: takeover. Y/B: success/failure. Back: stop."""

    name = "gamepad"

    def __init__(self, contract, *, mapping: GamepadMap = GamepadMap(), **options):
        super().__init__(contract, **options)
        self._map = mapping
        self._pressed: set[int] = set()

    def feed(self, axes, buttons):
        """Take one sample: axes in [-1, 1], buttons 0 or 1. What a smaller pad lacks reads as zero."""
        m = self._map
        pressed = {i for i, down in enumerate(buttons) if down}
        new = pressed - self._pressed
        self._pressed = pressed
        self.set_axes(*(self._axis(axes, i) for i in (m.forward, m.left, m.up)))
        self.set_takeover(m.takeover in pressed)
        if m.gripper in new:
            self.toggle_gripper()
        if m.success in new:
            self.mark(Mark.SUCCESS)
        if m.failure in new:
            self.mark(Mark.FAILURE)
        if m.stop in new:
            self.press_stop()

    @staticmethod
    def _axis(axes, index):
        value = float(axes[index]) if index < len(axes) else 0.0
        return value if abs(value) >= DEADZONE else 0.0
