"""The controller manager without ROS: one motion controller at a time, and the documented order after a stop."""

import numpy as np
import pytest

from lpds_ros.sim.control import Mode
from lpds_ros.sim.controllers import (
    ACTIVE,
    BEST_EFFORT,
    CARTESIAN,
    FORCE_AUTO,
    HARDWARE,
    INACTIVE,
    JOINT,
    POSITION,
    STRICT,
    TRAJECTORY,
    UNCONFIGURED,
    ControllerError,
    Controllers,
)
from lpds_ros.sim.state import HAND_DOWN, MODE_IDLE, MODE_MOVE, MODE_REFLEX
from lpds_ros.sim.trajectory import TrajectoryError, Waypoint
from lpds_ros.sim.world import World

ALOFT = np.array([0.0, 0.0, 0.05])


@pytest.fixture
def world():
    world = World("lift", control_period_ns=50_000_000, controllers=Controllers(CARTESIAN))
    world.reset(3)
    return world


def moves(world) -> bool:
    """Whether a pose target moves the arm."""
    before = world.state().position
    world.set_target(before + ALOFT, HAND_DOWN)
    world.advance(500)
    return bool(np.linalg.norm(world.state().position - before) > 0.01)


def test_one_controller_at_a_time_and_the_refusal_says_how_to_switch():
    controllers = Controllers(CARTESIAN)
    assert controllers.driving == (CARTESIAN,) and controllers.refusal(CARTESIAN) == ""
    assert f"--deactivate {CARTESIAN} --activate {TRAJECTORY}" in controllers.refusal(TRAJECTORY)
    with pytest.raises(ControllerError, match="deactivate the others"):
        controllers.switch([TRAJECTORY], [])
    controllers.switch([TRAJECTORY], [CARTESIAN])
    assert controllers.driving == (TRAJECTORY,)
    controllers.switch([POSITION], [], FORCE_AUTO)
    assert controllers.driving == (POSITION,)
    assert controllers.state("joint_state_broadcaster") == ACTIVE and controllers.state(JOINT) == INACTIVE


@pytest.mark.parametrize(
    ("activate", "deactivate", "text"),
    [
        (["fr3_arm_controler"], [], f"did you mean '{TRAJECTORY}'"),
        ([CARTESIAN], [], "already active"),
        ([], [JOINT], "not active"),
    ],
)
def test_strict_does_all_or_nothing_and_best_effort_what_it_can(activate, deactivate, text):
    controllers = Controllers(CARTESIAN)
    with pytest.raises(ControllerError, match=text):
        controllers.switch(activate, [*deactivate, CARTESIAN], STRICT)
    assert controllers.driving == (CARTESIAN,)
    controllers.switch(activate, [*deactivate, CARTESIAN], BEST_EFFORT)
    assert controllers.driving == ()


def test_a_controller_that_there_is_not_cannot_be_the_first():
    with pytest.raises(ControllerError, match=f"did you mean '{CARTESIAN}'"):
        Controllers("cartesian_impedance_controler")


def test_after_a_reflex_only_the_documented_order_makes_the_arm_move(world):
    world.reflex()
    assert (world.controllers.hardware, world.controllers.driving) == (UNCONFIGURED, ())
    with pytest.raises(ControllerError, match="error_recovery first"):
        world.set_hardware(HARDWARE, ACTIVE)
    assert not moves(world)
    world.recover()
    assert world.state().robot_mode == MODE_IDLE and not moves(world)
    with pytest.raises(ControllerError, match="activate it first"):
        world.switch_controllers([CARTESIAN], [])
    world.set_hardware(HARDWARE, ACTIVE)
    assert world.state().robot_mode == MODE_IDLE and not moves(world)
    world.switch_controllers([CARTESIAN], [])
    assert world.state().robot_mode == MODE_MOVE and moves(world)


def test_the_user_stop_leaves_the_same_behind(world):
    world.press_user_stop(True)
    world.advance(50)
    world.press_user_stop(False)
    assert world.controllers.hardware == UNCONFIGURED
    with pytest.raises(ControllerError, match="error_recovery first"):
        world.set_hardware(HARDWARE, ACTIVE)
    world.recover()
    world.set_hardware(HARDWARE, ACTIVE)
    world.switch_controllers([CARTESIAN], [])
    assert moves(world)


def test_commands_of_an_inactive_controller_move_nothing(world):
    q = world.state().q
    for command in (lambda: world.set_positions(q), lambda: world.follow([Waypoint(1.0, q, np.zeros(7))])):
        with pytest.raises(TrajectoryError, match="is inactive"):
            command()
    world.switch_controllers([TRAJECTORY], [CARTESIAN])
    assert not moves(world)
    assert world.control.mode is Mode.TRAJECTORY and world.follow([Waypoint(1.0, q, np.zeros(7))])


@pytest.mark.parametrize("name", [CARTESIAN, TRAJECTORY, POSITION])
def test_who_takes_over_keeps_the_arm_where_it_is(world, name):
    if name == CARTESIAN:
        world.switch_controllers([TRAJECTORY], [CARTESIAN])
    world.advance(200)
    q = world.state().q
    world.switch_controllers([name], world.controllers.driving)
    world.advance(500)
    assert np.abs(world.state().q - q).max() < 5e-3


def test_a_fault_takes_the_controller_that_drives_and_gives_it_back(world):
    world.switch_controllers([TRAJECTORY], [CARTESIAN])
    world.activate_controller(False)
    assert world.controllers.driving == () and world.state().robot_mode == MODE_IDLE
    world.activate_controller(True)
    assert world.controllers.driving == (TRAJECTORY,)
    world.switch_controllers([], [TRAJECTORY])
    world.activate_controller(True)
    assert world.controllers.driving == (), "what a person has deactivated stays so"


def test_where_everybody_is_obeyed_error_recovery_is_enough():
    world = World("lift", control_period_ns=50_000_000)
    world.reflex()
    assert world.state().robot_mode == MODE_REFLEX and not moves(world)
    world.recover()
    assert moves(world)
