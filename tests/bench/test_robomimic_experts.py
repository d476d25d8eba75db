"""The robomimic suite's experts without robosuite: geometry, and phases on a hand that goes where it is asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpds_ros.bench.robosuite_experts import CAN_BIN, CLOSE_TICKS, HANDLE_M, PEG, PEG_TOP_M, Can, Lift, Square
from lpds_ros.bench.robosuite_motion import (
    CLOSED,
    OPEN,
    ROTATION_RAD,
    TRANSLATION_M,
    Hand,
    Servo,
    Traits,
    nearest_yaw,
    pointing_down,
    rotate,
    wrap,
    yaw_of,
)
from lpds_ros.geometry import from_rotation_vector, multiply, to_rotation_vector

ANGLES = st.floats(-20.0, 20.0)
STEADY = dict(noise=(0.0, 0.0), aim_error_m=0.0, turn_error_rad=0.0)


@given(ANGLES, st.sampled_from([np.pi / 2, np.pi, 2 * np.pi]))
def test_wrap_gives_the_equal_angle_nearest_to_zero(angle, period):
    wrapped = wrap(angle, period)
    assert abs(wrapped) <= period / 2 + 1e-9
    turns = (angle - wrapped) / period
    assert abs(turns - round(turns)) < 1e-9


@given(ANGLES, ANGLES)
def test_the_nearest_yaw_grips_alike_and_turns_least(current, wanted):
    yaw = nearest_yaw(current, wanted, np.pi)
    assert abs(yaw - current) <= np.pi / 2 + 1e-9
    assert abs(np.sin(yaw - wanted)) < 1e-9


@given(st.floats(-3.1, 3.1))
def test_a_hand_that_points_down_has_its_yaw(yaw):
    q = pointing_down(yaw)
    assert yaw_of(q) == pytest.approx(yaw, abs=1e-9)
    np.testing.assert_allclose(rotate(q, np.array([0.0, 0.0, 1.0])), [0.0, 0.0, -1.0], atol=1e-9)
    fingers = rotate(q, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(fingers, [np.sin(yaw), -np.cos(yaw), 0.0], atol=1e-9)


def test_the_servo_respects_its_speed_and_turns_the_short_way():
    traits = Traits(noise=(0.0, 0.0), speed=(0.5, 0.5), smoothing=1.0)
    hand = Hand(np.zeros(3), pointing_down(0.0), 0.08)
    action = Servo(traits, np.random.default_rng(0)).towards(hand, np.array([3.0, 4.0, 0.0]), 0.2, CLOSED)
    np.testing.assert_allclose(action[:3], [0.3, 0.4, 0.0], atol=1e-6)
    assert action[5] > 0 and abs(action[3]) < 1e-6 and abs(action[4]) < 1e-6 and action[6] == CLOSED


class Bench:
    """A hand that goes half of the way it is asked for, and one object that it carries once closed around it."""

    def __init__(self, expert, position, yaw, *, arrives=True):
        self.expert, self.arrives = expert, arrives
        self.hand, self.orientation, self.opening = np.array([0.0, 0.0, 1.05]), pointing_down(0.3), 0.08
        self.thing, self.thing_orientation, self.held = np.array(position, float), turned(yaw), False
        self.gripper = []

    def observation(self):
        pose = np.concatenate([self.thing, self.thing_orientation])
        objects = np.concatenate([pose, np.zeros(3)] if isinstance(self.expert, Lift) else [np.zeros(7), pose])
        return np.concatenate([self.hand, self.orientation, [self.opening / 2, -self.opening / 2], objects])

    def step(self):
        action = self.expert.act(self.observation().astype(np.float32)).astype(float)
        assert np.abs(action).max() <= 1.0
        move, turn = 0.5 * TRANSLATION_M * action[:3], from_rotation_vector(0.5 * ROTATION_RAD * action[3:6])
        self.hand = self.hand + move
        self.orientation = multiply(turn, self.orientation)
        near = np.linalg.norm(self.grip_point() - self.hand) < 0.03
        self.held = action[6] == CLOSED and (self.held or near) and self.arrives
        if self.held:
            about = multiply(turn, np.array([*(self.thing - self.hand + move), 0.0]))
            self.thing = self.hand + multiply(about, turn * [-1, -1, -1, 1])[:3]
            self.thing_orientation = multiply(turn, self.thing_orientation)
        self.opening = 0.08 if action[6] == OPEN else 0.04 if self.held else 0.0
        self.gripper.append(action[6])

    def grip_point(self):
        if not isinstance(self.expert, Square):
            return self.thing
        yaw = yaw_of(self.thing_orientation)
        return self.thing + HANDLE_M * np.array([np.cos(yaw), np.sin(yaw), 0.0])

    def run(self, done, limit=300):
        for step in range(limit):
            if done(self):
                return step
            self.step()
        raise AssertionError(f"still in phase {self.expert.phase} after {limit} steps")


def turned(yaw):
    return from_rotation_vector(np.array([0.0, 0.0, yaw]))


def steady(cls, seed=0):
    return cls(np.random.default_rng(seed), Traits(**STEADY))


def test_lift_grips_by_two_faces_and_raises():
    bench = Bench(steady(Lift), (0.02, -0.01, 0.83), 1.2)
    bench.run(lambda b: b.held)
    assert abs(np.sin(2 * (yaw_of(bench.orientation) - 1.2))) < 0.15
    bench.run(lambda b: b.thing[2] > 0.9)
    assert bench.gripper.index(CLOSED) > 3 and OPEN not in bench.gripper[bench.gripper.index(CLOSED) :]


def test_an_expert_that_holds_nothing_tries_again():
    bench = Bench(steady(Lift), (0.02, -0.01, 0.83), 0.0, arrives=False)
    bench.run(lambda b: b.expert.phase == "close")
    bench.run(lambda b: b.expert.phase == "approach", limit=CLOSE_TICKS + 2)
    bench.run(lambda b: b.expert.phase == "close")


def test_can_is_let_go_over_its_compartment():
    bench = Bench(steady(Can), (0.15, -0.3, 0.86), 0.5)
    bench.run(lambda b: b.held)
    bench.run(lambda b: not b.held)
    assert (np.abs(bench.thing[:2] - CAN_BIN) < [0.07, 0.1]).all() and bench.thing[2] < 0.95


@pytest.mark.parametrize("yaw", [-2.8, -1.2, 0.1, 0.9, 2.3])
def test_square_centres_the_nut_with_its_handle_where_the_arm_can_hold_it(yaw):
    bench = Bench(steady(Square), (-0.11, 0.17, 0.83), yaw)
    bench.run(lambda b: b.expert.phase == "insert")
    assert bench.thing[2] > PEG_TOP_M
    bench.run(lambda b: b.thing[2] < PEG_TOP_M)
    assert np.linalg.norm(bench.thing[:2] - PEG) < 0.006  # the hole leaves 6.7 mm to either side
    handle = yaw_of(bench.thing_orientation)
    assert min(abs(wrap(handle - side)) for side in (np.pi, np.pi / 2, -np.pi / 2)) < 0.2
    total = to_rotation_vector(multiply(bench.orientation, pointing_down(0.3) * [-1, -1, -1, 1]))
    assert np.linalg.norm(total) < 2.5


def test_equal_seeds_make_equal_episodes():
    benches = [Bench(cls, (0.02, 0.0, 0.83), 0.4) for cls in (Lift(np.random.default_rng(4)), Lift(np.random.default_rng(4)))]
    for _ in range(20):
        for bench in benches:
            bench.step()
    assert np.array_equal(benches[0].hand, benches[1].hand)
