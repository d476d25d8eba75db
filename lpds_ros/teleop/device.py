"""The one interface of every teleoperation device: an observation goes in, what the operator wants comes out."""

import threading
from typing import Literal

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Mark, Observation, OperatorInput

Takeover = Literal["hold", "toggle", "always"]
OPEN_WIDTH_M = 0.07  # a wider hand counts as open when the operator takes over


class DeviceError(ValueError):
    """A device that is missing or cannot be read; the text says what to plug in or install."""


class Device:
    """Base of all devices. A reader thread or callback calls the set_* methods, the node calls `command`.

    takeover: "hold" drives while the button is down (a deadman), "toggle" changes with each press, "always" keeps on.
    The gripper follows the robot until the operator takes over, so that taking over never opens or closes it.
    """

    name = "device"

    def __init__(self, contract: Contract, *, takeover: Takeover = "hold", speed: float = 1.0):
        if not 0.0 < speed <= 1.0:
            raise DeviceError(f"speed {speed:g} must lie in (0, 1]: the share of the contract's largest step")
        self._contract, self._takeover, self._speed = contract, takeover, speed
        self._lock = threading.Lock()
        self._axes = np.zeros(3)
        self._active = takeover == "always"
        self._closed, self._button, self._mark, self._stop = False, False, Mark.NONE, False

    def open(self):
        """Connect and start reading. Raises DeviceError."""

    def close(self):
        """Let go of the device; safe to call twice."""

    def begin(self, observation: Observation, seed: int):
        """A new episode starts at `observation`."""

    def set_axes(self, x: float, y: float, z: float):
        """Deflection in [-1, 1] along the base frame's axes."""
        with self._lock:
            self._axes[:] = np.clip((x, y, z), -1.0, 1.0)

    def set_takeover(self, down: bool):
        """The takeover button's state."""
        with self._lock:
            if self._takeover == "hold":
                self._active = down
            elif self._takeover == "toggle" and down and not self._button:
                self._active = not self._active
            self._button = down

    def toggle_gripper(self):
        """Close an open hand, open a closed one."""
        with self._lock:
            self._closed = not self._closed

    def mark(self, mark: Mark):
        """Call the running episode a success or a failure."""
        with self._lock:
            self._mark = mark

    def press_stop(self):
        """Stop the robot."""
        with self._lock:
            self._stop = True

    @property
    def stop_pressed(self) -> bool:
        """Whether a stop waits to be published, observation or not."""
        return self._stop

    def command(self, observation: Observation) -> OperatorInput:
        """What the operator wants at this tick, stamped with the observation's time; marks and stops are told once."""
        with self._lock:
            action = np.zeros(self._contract.action.size, np.float32)
            if self._active:
                length = float(np.linalg.norm(self._axes))
                action[:3] = self._axes * self._speed / max(1.0, length)
                if self._contract.action.gripper != "none":
                    action[-1] = 1.0 if self._closed else -1.0
            elif observation.valid:
                self._closed = observation.gripper_width < OPEN_WIDTH_M
            wanted = OperatorInput(observation.stamp_ns, self._active, action, self._mark, self._stop)
            self._mark, self._stop = Mark.NONE, False
        return wanted
