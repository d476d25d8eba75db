"""F24: a controller that goes away underneath. Nothing is commanded until it is back, then from the measured pose on."""

import threading

import numpy as np
import pytest
from steering_fakes import Cell

from lpds_ros.nodes.controller_manager import ControllerManager
from lpds_ros.nodes.steering_controllers import ControllerWatch
from lpds_ros.records import Mode
from lpds_ros.robot.loopback import LoopbackWorld
from lpds_ros.sim.controllers import CARTESIAN, HARDWARE, TRAJECTORY, Controllers
from lpds_ros.sim.fr3 import JOINTS

GONE = f"controller {CARTESIAN} is inactive"


def test_without_its_controller_nothing_is_commanded_and_the_way_goes_on_from_the_measured_pose():
    cell = Cell()
    cell.steps(5)
    held = cell.step(valid=False, reason=GONE, driven=False)
    assert held.mode is Mode.HOLD and GONE in held.reason and held.targets == ()
    cell.position = moved = cell.position + [0.1, 0.0, 0.1]  # somebody else has moved the arm meanwhile
    assert cell.step(valid=False, reason=GONE, driven=False).targets == ()
    back = cell.step()
    assert back.mode in (Mode.RUN, Mode.PRIOR)
    assert all(np.linalg.norm(target.position - moved) <= 0.0126 for target in back.targets), "one step at most"


def test_in_a_stop_too():
    cell = Cell()
    cell.steps(3)
    cell.core.stop("lpds/stop was called")
    assert cell.step().targets
    assert cell.step(valid=False, reason=GONE, driven=False).targets == ()
    for _ in range(3):
        tick = cell.step()
        assert tick.mode is Mode.STOP and tick.targets == (), "nobody has armed it"


# -- who says so ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(ros, monkeypatch):
    """A watch of the Cartesian controller, and the robot behind the controller manager that it asks."""
    monkeypatch.setattr("lpds_ros.nodes.steering_controllers.EVERY_S", 0.05)
    robot = LoopbackWorld("lift", control_period_ns=50_000_000, controllers=Controllers(CARTESIAN))
    manager = ControllerManager(ros.node("robot"), robot, JOINTS, threading.RLock(), lambda what, text: None)
    yield ControllerWatch(ros.node("steering"), CARTESIAN), robot
    ros.call(manager.destroy)  # beside the executor it could be waited for while it goes


def test_a_controller_that_gives_way_is_named_with_who_drives_instead(ros, watched):
    watch, robot = watched
    robot.switch_controllers([TRAJECTORY], [CARTESIAN])
    ros.wait(lambda: watch.problem, what="the problem")
    assert watch.problem == f"{GONE}, {TRAJECTORY} drives the arm: activate it" and watch.error == ""
    robot.switch_controllers([CARTESIAN], [TRAJECTORY])
    ros.wait(lambda: not watch.problem, what="the controller")


def test_a_failed_component_is_an_error_until_it_is_active_again(ros, watched):
    watch, robot = watched
    robot.reflex()
    ros.wait(lambda: watch.error and watch.problem, what="the error")
    assert watch.error == f"the hardware component {HARDWARE} is unconfigured"
    robot.recover()
    robot.set_hardware(HARDWARE, "active")
    ros.wait(lambda: not watch.error, what="the component")
    assert watch.problem, "its controller is not"


def test_without_a_controller_manager_nothing_is_held_and_that_is_said_once(ros, monkeypatch, capfd):
    monkeypatch.setattr("lpds_ros.nodes.steering_controllers.EVERY_S", 0.02)
    monkeypatch.setattr("lpds_ros.nodes.steering_controllers.ALONE_S", 0.0)
    watch, log = ControllerWatch(ros.node("steering"), CARTESIAN), []
    ros.wait(lambda: log.append(capfd.readouterr().err) or "is not known" in "".join(log), what="the warning")
    assert (watch.problem, watch.error) == ("", "")
