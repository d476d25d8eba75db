"""Recovery and homing on the simulated robot, without ROS: the documented order, and what is refused before anything moves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_robot import WorldRobot

from lpds_ros.robot.homing import SPEED_MAX, home, straight
from lpds_ros.robot.kinematics import tool_jacobian
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.recovery import StepError, fault_of, recover, recovery_action
from lpds_ros.sim.controllers import ACTIVE, CARTESIAN, INACTIVE, JOINT, TRAJECTORY, UNCONFIGURED

FR3 = load_limits("fr3")
READY = np.array(FR3.ready_rad)
INNER = FR3.suggested
POSTURE = st.tuples(*[st.floats(a, b) for a, b in zip(INNER.position_min_rad, INNER.position_max_rad)]).map(np.array)


@pytest.fixture
def robot():
    return WorldRobot()


def steps_of(action, *arguments, **options) -> list[str]:
    """Names of the steps that were reported, and whether each went well; the StepError is swallowed."""
    told = []
    try:
        action(*arguments, report=told.append, **options)
    except StepError as error:
        assert not told[-1].ok and told[-1].text == str(error)
    return [f"{'' if outcome.ok else 'not '}{outcome.step}" for outcome in told]


@pytest.mark.parametrize("stop", ["reflex", "user stop", "component"])
def test_the_documented_order_and_nothing_moves(robot, stop):
    if stop == "reflex":
        robot.world.reflex("joint_velocity_violation")
    elif stop == "user stop":
        robot.world.press_user_stop(True)
        robot.world.press_user_stop(False)
    else:
        robot.world.set_hardware("FrankaHardwareInterface", UNCONFIGURED)
    robot.world.advance(100)
    before = robot.q
    steps = steps_of(recover, robot, CARTESIAN)
    assert steps == ["look", "error recovery", "hardware component", "controllers", "check"]
    assert robot.done == ["clear", "component", f"- +{CARTESIAN}"]
    assert fault_of(robot, CARTESIAN) == ""
    robot.world.advance(500)
    assert np.abs(robot.q - before).max() < 2e-3


def test_where_nothing_is_wrong_nothing_is_done(robot):
    assert steps_of(recover, robot, CARTESIAN) == ["look", "controllers", "check"] and robot.done == []


def test_steering_that_would_go_on_by_itself_is_to_be_stopped_first(robot):
    robot.world.switch_controllers([], [CARTESIAN])
    robot.rest = "steering is in HOLD: call lpds/stop first"
    with pytest.raises(StepError, match="lpds/stop first: nothing was done"):
        recover(robot, CARTESIAN)
    assert robot.done == [] and robot.world.controllers.driving == ()


def test_only_a_controller_is_missing(robot):
    robot.world.switch_controllers([], [CARTESIAN])
    recover(robot, CARTESIAN)
    assert robot.done == [f"- +{CARTESIAN}"]


def test_another_controller_gives_way(robot):
    robot.world.switch_controllers([TRAJECTORY], [CARTESIAN])
    recover(robot, CARTESIAN)
    assert robot.done == [f"-{TRAJECTORY} +{CARTESIAN}"]


def test_on_humble_controllers_of_a_failed_component_are_still_active(robot):
    robot.world.reflex()
    known = robot.world.controllers
    known._active.add(CARTESIAN)
    assert steps_of(recover, robot, CARTESIAN)[:3] == ["look", "deactivate controllers", "error recovery"]
    assert robot.done[:2] == [f"-{CARTESIAN} +", "clear"] and known.driving == (CARTESIAN,)


def test_broadcasters_that_fell_are_activated_too(robot):
    robot.world.reflex()
    robot.world.controllers._active.clear()
    recover(robot, CARTESIAN)
    assert robot.world.controllers.state("joint_state_broadcaster") == ACTIVE
    assert robot.world.controllers.state(JOINT) == INACTIVE


def test_a_pressed_user_stop_is_left_to_the_person(robot):
    robot.world.press_user_stop(True)
    with pytest.raises(StepError, match="release it, then recover"):
        recover(robot, CARTESIAN)
    assert robot.done == []


@pytest.mark.parametrize(
    ("options", "text"), [({"hardware": "Franka"}, "no hardware component 'Franka'"), ({}, "no controller 'x'")]
)
def test_names_that_there_are_not_are_said_before_anything_is_done(robot, options, text):
    robot.world.reflex()
    with pytest.raises(StepError, match=text):
        recover(robot, "x" if not options else CARTESIAN, **options)
    assert robot.done == []


@pytest.mark.parametrize("failing", ["clear_errors", "activate_component", "switch"])
def test_after_the_first_failure_nothing_more_is_tried(robot, failing, monkeypatch):
    def fail(*_):
        raise StepError("no")

    robot.world.reflex()
    monkeypatch.setattr(robot, failing, fail)
    steps = steps_of(recover, robot, CARTESIAN)
    assert steps[-1].startswith("not ") and steps[-1] != "not check"
    assert robot.world.controllers.driving == ()


def test_a_component_that_cannot_be_activated_says_what_to_try(robot, monkeypatch):
    robot.world.reflex()
    monkeypatch.setattr(robot.world, "recover", lambda: None)  # it says so, and has not
    with pytest.raises(StepError, match="inactive and then active"):
        recover(robot, CARTESIAN)


def test_a_robot_that_says_nothing_is_recovered_and_not_called_ready(robot, monkeypatch):
    monkeypatch.setattr("lpds_ros.robot.recovery.SETTLE_S", 0.0)
    robot.mute = True
    robot.world.reflex()
    with pytest.raises(StepError, match="says nothing of itself"):
        recover(robot, CARTESIAN)
    assert robot.done == ["clear", "component", f"- +{CARTESIAN}"]


@pytest.mark.parametrize(
    ("hardware", "action"),
    [
        ("FrankaHardwareInterface", "action_server/error_recovery"),
        ("left_FrankaHardwareInterface", "left/action_server/error_recovery"),
        ("MyOwn", "action_server/error_recovery"),
    ],
)
def test_an_arms_prefix_is_the_namespace_of_its_recovery(hardware, action):
    assert recovery_action(hardware) == action


# -- home -------------------------------------------------------------------------------------------------------------


def test_home_goes_to_the_ready_posture_and_hands_the_arm_back(robot):
    assert np.abs(robot.q - READY).max() > 0.1, "the task starts elsewhere"
    steps = steps_of(home, robot, FR3, speed=SPEED_MAX)
    assert steps == ["path", "controllers", "motion", "controllers back"]
    assert robot.done == [f"-{CARTESIAN} +{TRAJECTORY}", "follow", f"-{TRAJECTORY} +{CARTESIAN}"]
    assert np.abs(robot.q - READY).max() < 0.02
    assert robot.world.controllers.driving == (CARTESIAN,)


@pytest.mark.parametrize("trouble", ["steering", "reflex", "controller", "low", "speed"])
def test_home_is_refused_before_anything_moves(robot, trouble):
    goal, speed = READY, 0.1
    if trouble == "steering":
        robot.rest = "steering is in RUN"
    elif trouble == "reflex":
        robot.world.reflex()
    elif trouble == "controller":
        robot.world.controllers.known.pop(TRAJECTORY)
    elif trouble == "low":
        goal = READY + np.eye(7)[3] * 5.0
    else:
        speed = 0.9
    texts = {"steering": "RUN", "reflex": "REFLEX", "controller": "no controller", "low": "joint 4", "speed": "speed 0.9"}
    with pytest.raises(StepError, match=texts[trouble]):
        home(robot, FR3, goal=goal, speed=speed)
    assert robot.done == [] and np.abs(robot.world.state().dq).max() < 0.05


def test_who_still_commands_does_not_get_the_arm_back(robot):
    robot.commanded = True
    with pytest.raises(StepError, match=f"{TRAJECTORY} stays active"):
        home(robot, FR3, speed=SPEED_MAX)
    assert robot.world.controllers.driving == (TRAJECTORY,)


def test_the_arm_goes_to_whom_it_is_to_go_although_the_trajectory_controller_drove(robot):
    robot.world.switch_controllers([TRAJECTORY], [CARTESIAN])  # left so by somebody who died on the way
    home(robot, FR3, goal=robot.q + 0.05, back=CARTESIAN)
    assert robot.world.controllers.driving == (CARTESIAN,)
    home(robot, FR3, goal=robot.q - 0.05, back=TRAJECTORY)
    assert robot.world.controllers.driving == (TRAJECTORY,)


def test_a_trajectory_controller_that_somebody_streams_to_is_not_used(robot):
    robot.world.switch_controllers([TRAJECTORY], [CARTESIAN])
    robot.commanded = True
    with pytest.raises(StepError, match="nothing was moved"):
        home(robot, FR3)
    assert robot.done == []


def test_a_motion_that_fails_leaves_the_arm_held(robot, monkeypatch):
    def blocked(*_):
        raise StepError("something is in its way")

    monkeypatch.setattr(robot, "follow", blocked)
    with pytest.raises(StepError, match="in its way; fr3_arm_controller stays active and holds the arm"):
        home(robot, FR3)
    assert robot.world.controllers.driving == (TRAJECTORY,)


@settings(max_examples=30)
@given(POSTURE, POSTURE, st.floats(0.1, SPEED_MAX))
def test_a_path_keeps_the_limits_and_ends_at_rest_or_is_refused(start, goal, speed):
    try:
        path = straight(start, goal, FR3, speed)
    except StepError as refusal:
        assert "below both ends" in str(refusal)
        return
    q, dq = path.positions, path.velocities
    assert (np.abs(dq) <= speed * np.array(INNER.velocity_max_radps) * (1 + 1e-9)).all()
    assert np.array_equal(q[-1], goal) and not dq[-1].any() and (np.diff(path.times_s) > 0).all()
    assert (q >= np.minimum(start, goal) - 1e-9).all() and (q <= np.maximum(start, goal) + 1e-9).all()
    # What is commanded between two points is a cubic of these, so velocities must be the positions' own.
    inner = np.gradient(np.vstack([start, q]), np.concatenate([[0.0], path.times_s]), axis=0)[1:-1]
    assert np.abs(inner - dq[:-1]).max() < 0.2 * max(1e-3, np.abs(dq).max())


def test_a_way_below_both_ends_is_refused():
    start, goal = READY.copy(), READY.copy()
    start[[1, 3, 5]], goal[[1, 3, 5]] = (1.0, -1.66, 4.06), (1.06, -2.47, 0.79)  # the wrist turned over, low above the table
    way = [tool_jacobian(start + s * (goal - start))[0][2] for s in np.linspace(0, 1, 50)]
    assert min(way) < min(way[0], way[-1]) - 0.3, "the test's own way"
    with pytest.raises(StepError, match="below both ends"):
        straight(start, goal, FR3)
    straight(np.array([1.5, *READY[1:]]), READY, FR3)  # round the base, at one height
