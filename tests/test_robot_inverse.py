"""Poses to joints: where a path can be followed it is, limits hold whatever is asked for, and what cannot be followed is said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steering_fakes import READY

from lpds_ros.geometry import angle_between, conjugate, from_rotation_vector, multiply
from lpds_ros.robot.inverse import InverseKinematics, TrackingError
from lpds_ros.robot.kinematics import tool_frame, tool_pose
from lpds_ros.robot.limits import load_limits

PERIOD_S, MARGIN_RAD = 0.05, 0.15
LIMITS = load_limits("fr3")
LOW = np.array(LIMITS.joints.position_min_rad) + MARGIN_RAD
HIGH = np.array(LIMITS.joints.position_max_rad) - MARGIN_RAD
FASTEST = np.array(LIMITS.suggested.velocity_max_radps)
ROUNDING = 1e-9


def inverse(lag_m=0.05, lag_rad=0.3):
    return InverseKinematics(LIMITS, period_s=PERIOD_S, margin_rad=MARGIN_RAD, lag_m=lag_m, lag_rad=lag_rad)


def test_the_tools_rotation_is_that_of_its_quaternion():
    for q in np.random.default_rng(0).uniform(LOW, HIGH, (50, 7)):
        rotation, turned = tool_frame(q)[1], tool_pose(q)[1]
        for axis in np.eye(3):
            expected = multiply(multiply(turned, np.append(axis, 0.0)), conjugate(turned))[:3]
            assert np.allclose(rotation @ axis, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_a_path_that_joints_can_follow_is_followed(seed):
    rng, solver = np.random.default_rng(seed), inverse()
    q = posture = READY + rng.uniform(-0.4, 0.4, 7)
    wave, phase = rng.uniform(0.5, 1.5, 7), rng.uniform(0, 2 * np.pi, 7)
    for k in range(60):
        drawn = posture + 0.2 * (np.sin(wave * (k + 1) * PERIOD_S + phase) - np.sin(phase))
        position, orientation = tool_pose(drawn)
        after = solver.step(q, position, orientation, posture)
        assert (np.abs(after - q) <= FASTEST * PERIOD_S + ROUNDING).all()
        assert (after >= LOW).all() and (after <= HIGH).all()
        q, (reached, turned) = after, tool_pose(after)
        assert np.linalg.norm(reached - position) < 1e-5
        assert angle_between(turned, orientation) < 1e-3


def of(size):
    return st.lists(st.floats(-1.0, 1.0), min_size=size, max_size=size)


@given(of(7), of(3), of(3))
def test_no_pose_drives_a_joint_beyond_its_limits(start, to, turn):
    solver = inverse(lag_m=math.inf, lag_rad=math.inf)
    # up to the hard limits: where the arm was pushed into the margin, it may not be sent farther
    q = 0.5 * (LOW + HIGH) + np.array(start) * (0.5 * (HIGH - LOW) + MARGIN_RAD)
    position, orientation = 1.2 * np.array(to), from_rotation_vector(3.0 * np.array(turn))
    for _ in range(3):
        after = solver.step(q, position, orientation, READY)
        assert np.isfinite(after).all()
        assert (np.abs(after - q) <= FASTEST * PERIOD_S + ROUNDING).all()
        assert (after - q <= LIMITS.velocity_max(q) * PERIOD_S + ROUNDING).all()
        assert (after - q >= LIMITS.velocity_min(q) * PERIOD_S - ROUNDING).all()
        assert (after >= np.minimum(LOW, q)).all() and (after <= np.maximum(HIGH, q)).all()
        q = after


def test_what_cannot_be_followed_is_refused_with_the_reason():
    position, orientation = tool_pose(READY)
    with pytest.raises(TrackingError, match=r"0.1\d\d m and 0.\d\d rad away: joint \d would have to be \d+\.\d times as fast"):
        inverse().step(READY, position + [0.0, 0.2, 0.0], orientation, READY)
    solver, q = inverse(), READY
    with pytest.raises(TrackingError, match="the end of its range|near a singularity"):
        for _ in range(200):  # straight up, until the arm is stretched
            position = position + [0.0, 0.0, 0.01]
            q = solver.step(q, position, orientation, READY)
    assert position[2] > 0.7, "it was refused where the arm still reaches"


def test_what_the_pose_leaves_free_goes_to_the_posture():
    jacobian = tool_frame(READY)[2]
    elbow = np.linalg.svd(jacobian)[2][-1]  # moves no tool
    posture, q = READY + 0.3 * elbow, READY
    position, orientation = tool_pose(READY)
    solver = inverse()
    for _ in range(100):
        q = solver.step(q, position, orientation, posture)
        assert np.linalg.norm(tool_frame(q)[0] - position) < 1e-4
    assert np.linalg.norm(posture - q) < 0.5 * np.linalg.norm(posture - READY)
