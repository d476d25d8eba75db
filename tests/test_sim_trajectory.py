"""Joint trajectories without physics: the interpolation of ros2_controllers, and what is refused before anything moves."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lpds_ros.sim.follow import Follower, Tolerances
from lpds_ros.sim.fr3 import JOINTS, Q_MAX_RAD, Q_MIN_RAD, Q_READY_RAD, VELOCITY_MAX_RADPS
from lpds_ros.sim.trajectory import (
    STEP_MAX_RAD,
    Outcome,
    Point,
    Spline,
    TrajectoryError,
    Waypoint,
    checked_positions,
    checked_waypoints,
)

READY = np.array(Q_READY_RAD)
ZEROS = np.zeros(7)
vectors = arrays(np.float64, 7, elements=st.floats(-2.0, 2.0))


def spline(*knots):
    """Through (time, position, velocity, acceleration) tuples, the first of them where the arm is."""
    start, *rest = (Waypoint(*knot) for knot in knots)
    return Spline(start, rest)


def derivative(way, t, h=1e-6):
    return (way.sample(t + h)[0] - way.sample(t - h)[0]) / (2 * h)


@given(vectors, vectors, st.floats(0.05, 5.0), st.floats(0.0, 1.0))
def test_positions_alone_are_joined_by_straight_lines(a, b, duration, share):
    q, dq = spline((0.0, a), (duration, b)).sample(share * duration)
    if share < 1.0:
        np.testing.assert_allclose(q, a + share * (b - a), atol=1e-9)
        np.testing.assert_allclose(dq, (b - a) / duration, atol=1e-9)


@given(vectors, vectors, vectors, vectors, st.floats(0.05, 5.0))
def test_velocities_are_met_at_both_ends_by_a_cubic(a, va, b, vb, duration):
    way = spline((0.0, a, va), (duration, b, vb), (duration + 1.0, b, ZEROS))
    for t, q, v in ((0.0, a, va), (duration, b, vb), (duration + 1.0, b, ZEROS)):
        np.testing.assert_allclose(way.sample(t)[0], q, atol=1e-9)
        np.testing.assert_allclose(way.sample(t)[1], v, atol=1e-6)
    third = np.diff([way.sample(s * duration)[1] for s in (0.1, 0.2, 0.3, 0.4)], n=3, axis=0)
    np.testing.assert_allclose(third, 0.0, atol=1e-6 * (1 + 4 / duration))  # the velocity is a parabola


@given(vectors, vectors, vectors, vectors, vectors, vectors, st.floats(0.5, 5.0))
def test_accelerations_are_met_at_both_ends_by_a_quintic(a, va, aa, b, vb, ab, duration):
    way = spline((0.0, a, va, aa), (duration, b, vb, ab), (duration + 1.0, b, ZEROS, ZEROS))
    for t, q, v in ((0.0, a, va), (duration, b, vb)):
        np.testing.assert_allclose(way.sample(t)[0], q, atol=1e-8)
        np.testing.assert_allclose(way.sample(t)[1], v, atol=1e-7)
    h = 1e-5
    for t, wanted in ((0.0, aa), (duration - h, ab)):
        np.testing.assert_allclose((way.sample(t + h)[1] - way.sample(t)[1]) / h, wanted, atol=0.05)


@given(vectors, vectors, vectors, st.floats(0.2, 3.0), st.floats(0.01, 0.99))
def test_the_velocity_is_the_derivative_of_the_position(a, va, b, duration, share):
    for way in (spline((0.0, a), (duration, b)), spline((0.0, a, va), (duration, b, ZEROS))):
        t = share * duration
        np.testing.assert_allclose(way.sample(t)[1], derivative(way, t), atol=1e-4)


def test_after_its_end_a_trajectory_rests_at_its_last_point():
    q, dq = spline((0.0, READY), (1.0, READY + 0.1)).sample(7.0)
    np.testing.assert_array_equal(q, READY + 0.1)
    assert not dq.any()


def test_a_first_point_with_velocities_is_led_to_by_a_cubic_from_the_measured_velocity():
    way = Spline(Waypoint(0.0, READY, ZEROS + 0.2), [Waypoint(1.0, READY + 0.1, ZEROS)])
    np.testing.assert_allclose(way.sample(0.0)[1], 0.2)
    np.testing.assert_allclose(way.sample(0.999999)[1], 0.0, atol=1e-5)
    without = Spline(Waypoint(0.0, READY, ZEROS + 0.2), [Waypoint(1.0, READY + 0.1)])
    np.testing.assert_allclose(without.sample(0.5)[1], 0.1)  # linear: the first point says nothing of velocity


def test_points_that_are_past_are_left_out():
    way = Spline(Waypoint(0.5, READY), [Waypoint(0.0, READY - 0.1), Waypoint(1.0, READY + 0.1)])
    assert not way.leads_in
    np.testing.assert_allclose(way.sample(0.5)[0], READY, atol=1e-12)


# -- what is refused ------------------------------------------------------------------------------------------------


def refusal(points, names=JOINTS):
    with pytest.raises(TrajectoryError) as caught:
        checked_waypoints(names, points)
    return caught.value


GOOD = Point(1.0, READY)


@pytest.mark.parametrize(
    "names",
    [JOINTS[:6], (*JOINTS[:6], "fr3_joint8"), (*JOINTS[:6], "fr3_joint1"), (*JOINTS, "fr3_finger_joint1"), ()],
)
def test_joints_that_are_not_the_arms_are_named(names):
    error = refusal([GOOD], names)
    assert error.code is Outcome.INVALID_JOINTS and "fr3_joint1 … fr3_joint7" in str(error)


@pytest.mark.parametrize(
    "points, text",
    [
        ([], "no points"),
        ([Point(1.0, READY[:6])], "point 0: positions holds 6 numbers"),
        ([Point(1.0, ())], "point 0: positions holds 0 numbers"),
        ([GOOD, Point(2.0, READY, velocities=ZEROS[:2])], "point 1: velocities holds 2 numbers"),
        ([Point(1.0, READY, accelerations=ZEROS[:2])], "point 0: accelerations holds 2 numbers"),
        ([Point(1.0, [*READY[:6], float("nan")])], "point 0: positions holds a number that is not finite"),
        ([Point(1.0, READY, velocities=ZEROS + np.inf)], "point 0: velocities holds a number that is not finite"),
        ([Point(-0.1, READY)], "before the start"),
        ([GOOD, GOOD], "point 1 is at 1 s, point 0 at 1 s: times must rise"),
        ([Point(2.0, READY), GOOD], "point 1 is at 1 s, point 0 at 2 s"),
        ([Point(1.0, READY, velocities=ZEROS + 0.01)], "fr3_joint1 ends at 0.01 rad/s: the last point's velocities"),
        ([Point(1.0, READY, effort=ZEROS + 1.0)], "effort is not fed forward"),
        ([Point(1.0, READY + [0, 0, 0, 3.0, 0, 0, 0])], "fr3_joint4 at 0.6438 rad is outside its limits"),
        ([Point(1.0, READY, velocities=ZEROS - 2.7), Point(2.0, READY)], "fr3_joint1 at -2.700 rad/s is faster"),
    ],
)
def test_a_bad_trajectory_is_refused_with_what_to_change(points, text):
    error = refusal(points)
    assert error.code is Outcome.INVALID_GOAL and text in str(error)
    assert "\n" not in str(error)


@given(st.permutations(list(range(7))))
def test_joints_may_come_in_any_order(order):
    names = [JOINTS[i] for i in order]
    (waypoint,) = checked_waypoints(names, [Point(1.0, READY[order], velocities=ZEROS)])
    np.testing.assert_array_equal(waypoint.position, READY)
    assert waypoint.acceleration is None


@given(vectors, st.integers(0, 6))
def test_positions_of_a_forward_command_are_checked(offset, i):
    q = np.clip(READY + offset, Q_MIN_RAD, Q_MAX_RAD)
    np.testing.assert_array_equal(checked_positions(q.tolist()), q)
    for bad in (float("nan"), Q_MAX_RAD[i] + 0.01, Q_MIN_RAD[i] - 0.01):
        q[i] = bad
        with pytest.raises(TrajectoryError):
            checked_positions(q.tolist())
    with pytest.raises(TrajectoryError, match="6 joint positions, 7 are needed"):
        checked_positions(q[:6])


@given(arrays(np.float64, 7, elements=st.floats(-0.8, 0.8)), st.floats(0.02, 2.0))
def test_a_way_is_refused_exactly_when_it_is_faster_than_the_joints(step, duration):
    goal = np.clip(READY + step, Q_MIN_RAD, Q_MAX_RAD)
    way = spline((0.0, READY), (0.5, READY), (0.5 + duration, goal))
    ratio = (np.abs(goal - READY) / duration / VELOCITY_MAX_RADPS).max()
    if ratio > 1.0001:
        with pytest.raises(TrajectoryError, match="faster than its"):
            way.check()
    elif ratio < 0.9999:
        way.check()


def test_a_cubic_that_swings_out_of_the_limits_between_its_points_is_refused():
    near = READY.copy()
    near[5] = Q_MAX_RAD[5] - 0.05
    fast = ZEROS.copy()
    fast[5] = 2.0
    with pytest.raises(TrajectoryError, match="fr3_joint6 at 4.* outside its limits"):
        spline((0.0, near, ZEROS), (0.5, near, fast), (1.0, near, -fast)).check()


def test_a_far_start_is_refused_and_a_near_one_is_not():
    far = READY + 2 * STEP_MAX_RAD
    with pytest.raises(TrajectoryError, match="would jump 0.200 rad"):
        spline((0.0, READY), (0.0, far)).check()
    with pytest.raises(TrajectoryError, match="on the way to the first point"):
        spline((0.0, READY), (0.001, far)).check()
    spline((0.0, READY), (0.0, READY + 0.9 * STEP_MAX_RAD)).check()  # one point at time 0, as some clients stream
    spline((0.0, READY), (0.001, READY + 0.9 * STEP_MAX_RAD)).check()


# -- following ------------------------------------------------------------------------------------------------------


def follow(way, tolerances, error=ZEROS, judged=True, ticks=5000):
    """Lead a reference that the arm follows with a constant error; (ending, time of it)."""
    leader, q, dq = Follower(1, way, tolerances, judged), np.zeros(7), np.zeros(7)
    for _ in range(ticks):
        time_s = leader.time_s
        position, velocity = way.sample(time_s)
        ending = leader.advance(position - error, velocity, q, dq)
        if ending is not None:
            return ending, time_s
    return None, leader.time_s


WAY = spline((0.0, READY), (1.0, READY + 0.1))


def test_success_comes_with_the_end_and_not_before():
    ending, time_s = follow(WAY, Tolerances())
    assert ending.outcome is Outcome.SUCCESSFUL and time_s == pytest.approx(1.0, abs=0.0015)


def test_leaving_the_path_names_the_joint_and_the_tolerance():
    error = ZEROS.copy()
    error[3] = 0.05
    ending, time_s = follow(WAY, dataclasses.replace(Tolerances(), path_position=ZEROS + 0.02), error)
    assert ending.outcome is Outcome.PATH_TOLERANCE_VIOLATED and time_s == 0.0
    assert ending.text == "off the path: fr3_joint4 is 0.0500 rad from its reference, 0.02 are allowed"


@pytest.mark.parametrize("late_s", [0.1, 0.5])
def test_a_goal_that_is_not_reached_in_time_is_given_up(late_s):
    tolerances = dataclasses.replace(Tolerances(), goal_position=ZEROS + 0.01, goal_time_s=late_s)
    ending, time_s = follow(WAY, tolerances, ZEROS + 0.02)
    assert ending.outcome is Outcome.GOAL_TOLERANCE_VIOLATED and "is 0.0200 rad from its reference" in ending.text
    assert time_s == pytest.approx(1.0 + late_s, abs=0.003)
    forever = dataclasses.replace(tolerances, goal_time_s=0.0)
    assert follow(WAY, forever, ZEROS + 0.02)[0] is None
    assert follow(WAY, forever, ZEROS + 0.02, judged=False)[0].outcome is Outcome.SUCCESSFUL
