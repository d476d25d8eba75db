"""3Dconnexion SpaceMouse through `hid`, its reports decoded here.

Left button: gripper. Right button: takeover. Reports (little-endian): 1 translation, or translation and rotation on
newer devices; 2 rotation; 3 buttons. Counts reach about ±350. Raw axes: x right, y towards the person, z down.
"""

import struct
import threading
import time

from lpds_ros.teleop.device import Device, DeviceError

VENDOR, FULL_SCALE, DEADZONE = 9583, 350.0, 0.08
TRANSLATION, BUTTONS = 1, 3
LEFT, RIGHT = 1, 2
READ_TIMEOUT_MS = 100
STILL_S = 0.5  # a device at rest may stop reporting; its last deflection must not drive on


class SpaceMouse(Device):
    """facing_robot: the person stands opposite the arm instead of behind it, so x and y are mirrored."""

    name = "spacemouse"

    def __init__(self, contract, *, facing_robot: bool = False, **options):
        super().__init__(contract, **options)
        self._sign = -1.0 if facing_robot else 1.0
        self._pressed = 0
        self._device = self._thread = None
        self._ending = threading.Event()

    def feed(self, report: bytes):
        """Take one HID report; unknown or short ones are ignored."""
        if len(report) >= 7 and report[0] == TRANSLATION:
            right, back, down = (self._scaled(count) for count in struct.unpack_from("<3h", bytes(report), 1))
            self.set_axes(-back * self._sign, -right * self._sign, -down)
        elif len(report) >= 2 and report[0] == BUTTONS:
            pressed = report[1]
            if pressed & ~self._pressed & LEFT:
                self.toggle_gripper()
            self.set_takeover(bool(pressed & RIGHT))
            self._pressed = pressed

    @staticmethod
    def _scaled(count: int) -> float:
        value = max(-1.0, min(1.0, count / FULL_SCALE))
        return 0.0 if abs(value) < DEADZONE else value

    def open(self):
        try:
            import hid
        except ImportError:
            raise DeviceError("the SpaceMouse needs the hid module: pip install hidapi") from None
        found = next((entry for entry in hid.enumerate(VENDOR) if entry.get("usage_page") in (None, 0, 1)), None)
        if found is None:
            raise DeviceError(
                "no SpaceMouse found (USB vendor 9583): plug it in, and allow reading it with a udev rule "
                "(SUBSYSTEM==\"hidraw\", ATTRS{idVendor}==\"256f\", MODE=\"0666\"; 046d for older ones)"
            )
        self._device = hid.device()
        try:
            self._device.open_path(found["path"])
        except OSError as error:
            raise DeviceError(f"the SpaceMouse cannot be opened ({error}): a udev rule must allow reading it") from None
        self._thread = threading.Thread(target=self._read, name="spacemouse", daemon=True)
        self._thread.start()

    def _read(self):
        heard = time.monotonic()
        while not self._ending.is_set():
            try:
                report = self._device.read(16, READ_TIMEOUT_MS)
            except (OSError, ValueError):  # unplugged: let go of the robot, and stop it
                self.set_axes(0.0, 0.0, 0.0)
                self.set_takeover(False)
                self.press_stop()
                return
            if report:
                heard = time.monotonic()
                self.feed(bytes(report))
            elif time.monotonic() - heard > STILL_S:
                self.set_axes(0.0, 0.0, 0.0)

    def close(self):
        self._ending.set()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._device is not None:
            self._device.close()
            self._device = None
