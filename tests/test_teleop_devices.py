"""Teleoperation devices without hardware: reports, buttons and keys go in, operator inputs come out."""

import os
import pty
import struct
import sys
import termios

import numpy as np
import pytest
from waiting import wait_for

from lpds_ros.contract import load_contract
from lpds_ros.records import Mark, Observation
from lpds_ros.resources import resource
from lpds_ros.teleop.choose import make_device
from lpds_ros.teleop.device import DeviceError
from lpds_ros.teleop.gamepad import Gamepad
from lpds_ros.teleop.keyboard import KEY_S, Keyboard
from lpds_ros.teleop.spacemouse import SpaceMouse

CONTRACT = load_contract(resource("config/contracts/lift.yaml"))


@pytest.fixture(scope="module")
def contract():
    return CONTRACT


def observation(stamp_ns=7, width=0.08, valid=True):
    data = np.zeros(CONTRACT.observation_size, np.float32)
    return Observation(stamp_ns, valid, "", data, {}, np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(7), width)


def report(x=0, y=0, z=0):
    return bytes([1]) + struct.pack("<3h", x, y, z)


def test_spacemouse_axes_point_where_the_hand_pushes(contract):
    mouse = SpaceMouse(contract, takeover="always")
    mouse.feed(report(y=-350))  # away from the person, who stands behind the arm
    np.testing.assert_allclose(mouse.command(observation()).action[:3], [1, 0, 0])
    mouse.feed(report(x=350))
    np.testing.assert_allclose(mouse.command(observation()).action[:3], [0, -1, 0])
    mouse.feed(report(z=-175) + bytes(6))  # a newer device's long report
    np.testing.assert_allclose(mouse.command(observation()).action[:3], [0, 0, 0.5])
    mouse.feed(report(x=10, y=-12))  # rest of the hand
    np.testing.assert_allclose(mouse.command(observation()).action[:3], 0)
    opposite = SpaceMouse(contract, takeover="always", facing_robot=True)
    opposite.feed(report(y=-350))
    np.testing.assert_allclose(opposite.command(observation()).action[:3], [-1, 0, 0])


def test_spacemouse_diagonal_never_exceeds_the_largest_step_and_garbage_is_ignored(contract):
    mouse = SpaceMouse(contract, takeover="always", speed=0.5)
    mouse.feed(report(x=30000, y=-30000, z=-30000))
    for garbage in (b"", b"\x01\x00", b"\x03", b"\x17abcdefgh"):
        mouse.feed(garbage)
    assert np.linalg.norm(mouse.command(observation()).action[:3]) == pytest.approx(0.5)


def test_spacemouse_buttons_hold_takeover_and_toggle_the_gripper_once_a_press(contract):
    mouse = SpaceMouse(contract, takeover="hold")
    assert not mouse.command(observation()).active
    mouse.feed(bytes([3, 2, 0]))
    mouse.feed(bytes([3, 3, 0]))
    mouse.feed(bytes([3, 3, 0]))
    wanted = mouse.command(observation(stamp_ns=99))
    assert wanted.active and wanted.action[3] == 1.0 and wanted.stamp_ns == 99
    mouse.feed(bytes([3, 0, 0]))
    assert not mouse.command(observation()).active


def test_takeover_keeps_the_gripper_as_the_robot_has_it(contract):
    pad = Gamepad(contract)
    for width, gripper in ((0.046, 1.0), (0.08, -1.0)):
        pad.feed([0.0] * 6, [0] * 8)
        pad.command(observation(width=width))
        pad.feed([0.0] * 6, [0, 0, 0, 0, 1, 0, 0, 0])
        assert pad.command(observation(width=width)).action[3] == gripper


def test_gamepad_marks_and_stop_are_told_once(contract):
    pad = Gamepad(contract)
    pad.feed([0.0, 1.0, 0.0, 0.0, -0.5], [0, 0, 0, 1, 1, 0, 1])
    wanted = pad.command(observation())
    np.testing.assert_allclose(wanted.action[:3], np.array([1.0, 0.0, -0.5]) / np.sqrt(1.25), atol=1e-6)
    assert wanted.mark is Mark.SUCCESS and wanted.stop
    again = pad.command(observation())
    assert again.mark is Mark.NONE and not again.stop
    pad.feed([], [])  # a pad that went away reads as hands off
    assert not pad.command(observation()).active


def test_keyboard_keys_act_and_let_go(contract):
    keys = Keyboard(contract)
    keys.feed("twa", 10.0)
    wanted = keys.command(observation())
    assert wanted.active
    np.testing.assert_allclose(wanted.action[:3], np.array([1, 1, 0]) / np.sqrt(2), atol=1e-6)
    keys.feed(" ", 10.05)
    assert keys.command(observation()).action[3] == 1.0
    keys.tick(10.0 + KEY_S + 0.01)
    np.testing.assert_allclose(keys.command(observation()).action[:3], 0)
    keys.feed("nq", 11.0)
    wanted = keys.command(observation())
    assert wanted.mark is Mark.FAILURE and wanted.stop
    keys.feed("t", 12.0)
    assert not keys.command(observation()).active


def test_keyboard_restores_the_terminal(contract, monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        keys = Keyboard(contract)
        keys.open()
        assert termios.tcgetattr(terminal)[3] != before[3]
        os.write(master, b"q")
        wait_for(lambda: keys.stop_pressed, "the key")
        keys.close()
        keys.close()
        assert termios.tcgetattr(terminal)[3] == before[3]
    os.close(master)


def test_missing_devices_say_what_to_do(contract, monkeypatch):
    monkeypatch.setitem(sys.modules, "hid", None)
    with pytest.raises(DeviceError, match="pip install hidapi"):
        SpaceMouse(contract).open()
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    with pytest.raises(DeviceError, match="needs a terminal"):
        Keyboard(contract).open()
    with pytest.raises(DeviceError, match="did you mean 'spacemouse'"):
        make_device("spacemose", contract, task="lift", seed=0, takeover="hold", speed=1.0)
    with pytest.raises(DeviceError, match="speed"):
        Gamepad(contract, speed=0.0)


def test_spacemouse_that_is_unplugged_lets_go_and_stops(contract, monkeypatch):
    class Gone:
        def read(self, size, timeout):
            raise OSError("gone")

        def open_path(self, path):
            pass

        def close(self):
            pass

    class Hid:
        device = Gone

        @staticmethod
        def enumerate(vendor):
            return [{"path": b"x"}]

    monkeypatch.setitem(sys.modules, "hid", Hid)
    mouse = SpaceMouse(contract, takeover="hold")
    mouse.feed(report(y=-350))
    mouse.set_takeover(True)
    mouse.open()
    mouse._thread.join()
    wanted = mouse.command(observation())
    assert not wanted.active and wanted.stop
    mouse.close()
