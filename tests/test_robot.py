"""Gripper logic, limits of the arm, and the quaternion operations they and the target stand on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpds_ros import geometry
from lpds_ros.robot.gripper import GripperLogic, HandCommands
from lpds_ros.robot.limits import load_limits

SECOND = 1_000_000_000


def test_hysteresis_and_dwell():
    logic = GripperLogic(0.3, 0.5)
    assert logic.update(0.29, SECOND) is None
    assert logic.update(0.31, SECOND) == "close"
    assert logic.update(0.0, 2 * SECOND) is None and logic.state == "close"
    assert logic.update(-0.31, SECOND + SECOND // 2 - 1) is None
    assert logic.update(-0.31, SECOND + SECOND // 2) == "open"
    assert logic.update(math.nan, 9 * SECOND) is None


def test_a_clock_that_goes_back_does_not_block_the_gripper():
    logic = GripperLogic(0.3, 0.5)
    logic.update(1.0, 9 * SECOND)
    assert logic.update(-1.0, SECOND) == "open"


def test_events_become_goals_that_any_contact_satisfies():
    calls = []

    class Hand:
        def move(self, *values):
            calls.append(("move", *values))

        def grasp(self, *values):
            calls.append(("grasp", *values))

    HandCommands().apply(Hand(), "open")
    HandCommands().apply(Hand(), "close")
    assert calls == [("move", 0.08, 0.1), ("grasp", 0.0, 0.1, 30.0, 0.08, 0.08)]


def test_the_fr3_limits_say_which_joint_is_outside():
    limits = load_limits("fr3")
    ready = np.array(limits.ready_rad)
    assert limits.outside(ready) == ""
    for box in (limits.joints, limits.suggested):
        assert ((np.array(box.position_min_rad) < ready) & (ready < np.array(box.position_max_rad))).all()
    ready[3] = 0.0
    assert limits.outside(ready) == "joint 4 is at 0.000 rad, its limits are -3.077 to -0.1169"
    ready[3] = math.nan
    assert "joint 4" in limits.outside(ready)


def test_the_speed_limit_falls_to_zero_before_the_position_limit():
    limits = load_limits("fr3")
    ready, near = np.array(limits.ready_rad), np.array(limits.joints.position_max_rad) - 0.001
    assert np.array_equal(limits.velocity_max(near), np.zeros(7))
    assert (limits.velocity_max(ready) > 0).all() and (limits.velocity_min(ready) < 0).all()
    # joint 1 in the middle: min(2.62, sqrt(2 * 6 * 2.9007) - 0.6599)
    assert limits.velocity_max(np.zeros(7))[0] == pytest.approx(2.62)


VECTOR = st.tuples(*[st.floats(-1.8, 1.8)] * 3).map(np.array)


@given(VECTOR, VECTOR)
def test_rotation_vectors_and_quaternions_agree(a, b):
    qa, qb = geometry.from_rotation_vector(a), geometry.from_rotation_vector(b)
    assert np.linalg.norm(qa) == pytest.approx(1.0)
    if np.linalg.norm(a) < math.pi - 1e-3:
        assert geometry.to_rotation_vector(qa) == pytest.approx(a, abs=1e-9)
    back = geometry.multiply(geometry.multiply(qb, qa), geometry.conjugate(qa))
    assert geometry.angle_between(back, qb) < 1e-7


@given(VECTOR, VECTOR, st.floats(0, 1))
def test_slerp_divides_the_angle(a, b, share):
    qa, qb = geometry.from_rotation_vector(a), geometry.from_rotation_vector(b)
    whole = geometry.angle_between(qa, qb)
    between = geometry.slerp(qa, qb, share)
    assert geometry.angle_between(qa, between) == pytest.approx(share * whole, abs=1e-6)
    assert np.array_equal(geometry.slerp(qa, qb, 0.0), qa) and np.array_equal(geometry.slerp(qa, qb, 1.0), qb)


def test_canonical_has_one_answer_for_one_rotation():
    q = np.array([0.6, 0.0, 0.0, 0.8])
    assert np.array_equal(geometry.canonical(q), geometry.canonical(-q))
    assert geometry.canonical(np.array([-1.0, 0, 0, 0])).tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="no direction"):
        geometry.canonical(np.full(4, math.nan))
