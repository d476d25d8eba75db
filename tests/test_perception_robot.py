"""The robot's own state: which modes and flags are errors, what is too old, and when lost commands are worth a warning."""

import pytest
from steering_fakes import lift
from test_perception_align import feed

from lpds_ros.perception.align import Aligner
from lpds_ros.perception.robot import GUIDING, IDLE, MODES, MOVE, REFLEX, RobotState, RobotWatch

SECOND, MS = 1_000_000_000, 1_000_000


def watch(*states, max_age_s=0.2):
    robot = RobotWatch("robot_state", max_age_s)
    for state in states:
        robot.push(state)
    return robot


@pytest.mark.parametrize("mode", range(len(MODES)))
def test_a_robot_obeys_in_idle_and_move_alone(mode):
    robot = watch(RobotState(SECOND, mode))
    assert robot.mode == mode
    assert robot.error == ("" if mode in (IDLE, MOVE) else f"the robot is in {MODES[mode]}")


def test_an_error_flag_counts_whatever_the_mode_and_an_unknown_mode_is_an_error():
    assert watch(RobotState(SECOND, MOVE, ("joint_reflex", "instability_detected"))).error == (
        "the robot is in MOVE: joint_reflex, instability_detected"
    )
    assert watch(RobotState(SECOND, 200)).error == "the robot is in mode 200"


@pytest.mark.parametrize(
    ("age_ms", "reason"),
    [(0, ""), (200, ""), (201, "0.20 s old, limit 0.20 s"), (-20, ""), (-21, "0.02 s in the future: check both clocks")],
)
def test_a_state_too_old_or_of_the_future_is_none(age_ms, reason):
    missing = watch(RobotState(SECOND, MOVE)).missing(SECOND + age_ms * MS, exact=False)
    assert missing.endswith(reason) and bool(missing) == bool(reason)


def test_silence_is_named_and_takes_no_error_back():
    robot = watch(RobotState(SECOND, REFLEX))
    assert "10.00 s old" in robot.missing(11 * SECOND, exact=False) and "REFLEX" in robot.error
    assert watch().missing(SECOND, exact=False) == "robot state (robot_state) has given no sample"


def test_lost_commands_are_said_once_for_each_dip_and_only_in_move():
    robot = watch()
    said = [bool(robot.push(RobotState(SECOND, MOVE, (), rate))) for rate in (1.0, 0.89, 0.5, 0.95, 0.2)]
    assert said == [False, True, False, False, True]
    assert not watch().push(RobotState(SECOND, IDLE, (), 0.0)), "without a control loop the rate is zero"


def test_the_observation_carries_the_robots_state_and_waits_for_it_where_it_is_heard():
    aligner = Aligner(lift(), RobotWatch("robot_state", 0.2))
    feed(aligner, SECOND)
    aligner.push_task(SECOND, 0.0, False)
    assert not aligner.complete_at(SECOND)
    unheard = aligner.observe(SECOND, exact=True)
    assert not unheard.valid and unheard.reason == "robot state (robot_state) has given no sample"
    aligner.robot.push(RobotState(SECOND, GUIDING))
    assert aligner.complete_at(SECOND)
    observation = aligner.observe(SECOND, exact=True)
    assert observation.valid and (observation.robot_mode, observation.robot_error) == (GUIDING, "the robot is in GUIDING")
    aligner.observe(SECOND // 2)
    assert aligner.robot.mode == 0, "another time: what was said belongs to the old one"
