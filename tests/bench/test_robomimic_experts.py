"""The robomimic suite's experts without robosuite: geometry, and phases on a hand that goes where it is asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpds_ros.bench.robosuite_collect import attempt
from lpds_ros.bench.robosuite_experts import CAN_BIN, EXPERTS, Can, Lift
from lpds_ros.bench.robosuite_motion import (
    CLOSED,
    OPEN,
    ROTATION_RAD,
    TRANSLATION_M,
    Clumsiness,
    Hand,
    Servo,
    Traits,
    nearest_yaw,
    pointing_down,
    rotate,
    wrap,
    yaw_of,
)
from lpds_ros.bench.robosuite_phases import CLOSE_TICKS
from lpds_ros.bench.robosuite_square import HANDLE_M, PEG, PEG_TOP_M, Square
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


def test_a_clumsy_hand_trembles_and_slips_and_goes_on():
    hand, intended = Clumsiness((0.05, 0.05), np.random.default_rng(3)), np.array([0.9, 0.0, 0.0, 0.0, 0.0, 0.0, CLOSED])
    done = np.array([hand.executed(intended) for _ in range(6000)])
    assert np.abs(done).max() <= 1.0
    slipped = done[:, 0] <= 0.6  # at most that in a slip of the hand; six deviations of the tremble otherwise
    opened = done[:, 6] == OPEN
    assert 0.03 < slipped.mean() < 0.12 and 0.01 < opened.mean() < 0.06 and not (slipped & opened).any()
    assert np.std(done[~slipped & ~opened, 1]) == pytest.approx(0.05, rel=0.2)
    lengths = np.diff(np.flatnonzero(np.diff(slipped.astype(int))))[::2]
    assert lengths.min() >= 4 or slipped[0]


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
        self.opening = 0.08 if action[6] == OPEN else 0.03 if self.held else 0.0
        self.gripper.append(action[6])
        return action

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


@pytest.mark.parametrize("yaw", [-2.8, 0.1, 1.5, 2.3])
def test_square_does_what_the_observation_alone_says(yaw):
    """A prior sees one observation: an expert that remembered more could not be imitated."""

    def fresh():
        return Square(np.random.default_rng(0), Traits(**STEADY, smoothing=1.0))

    bench, seen = Bench(fresh(), (-0.11, 0.17, 0.83), yaw), []
    while bench.thing[2] > PEG_TOP_M or not bench.held:
        seen.append(bench.observation().astype(np.float32))
        bench.step()
        assert len(seen) < 300
    old = fresh()
    for observation in np.random.default_rng(1).permutation(seen):
        asked = old.act(observation)
        np.testing.assert_allclose(asked, fresh().act(observation), atol=1e-6, err_msg=old.phase)


@pytest.mark.parametrize("yaw", [-1.3, -0.4, 0.3, 1.2, 2.0])
def test_square_turns_the_nut_the_shortest_way(yaw):
    """Were it to choose between two ways by chance, a prior would waver between them."""
    bench = Bench(steady(Square), (-0.11, 0.17, 0.83), yaw)
    nearest = min((np.pi, np.pi / 2, -np.pi / 2), key=lambda side: abs(wrap(side - yaw)))
    bench.run(lambda b: b.expert.phase == "insert")
    assert abs(wrap(yaw_of(bench.thing_orientation) - nearest)) < 0.2


def test_square_opens_and_rises_from_a_handle_it_missed():
    bench = Bench(steady(Square), (-0.11, 0.17, 0.83), 2.3, arrives=False)
    bench.run(lambda b: b.opening == 0.0)
    height = bench.hand[2]
    bench.step()
    assert bench.gripper[-1] == OPEN and bench.hand[2] > height
    bench.arrives = True
    bench.run(lambda b: b.thing[2] > 0.95)


@pytest.mark.parametrize("height_m, goes_on", [(1.0, False), (0.96, True)])
def test_square_lowers_a_nut_off_centre_only_once_it_has_begun(height_m, goes_on):
    """7 mm off: no reason to begin, none to begin anew either; 17 mm off beside the peg: up again."""
    bench = Bench(steady(Square), (PEG[0] + 0.007, PEG[1], height_m), np.pi)
    bench.hand, bench.orientation, bench.opening, bench.held = bench.grip_point(), pointing_down(0.0), 0.03, True
    bench.step()
    assert (bench.expert.phase == "insert") == goes_on
    bench.thing = np.array([PEG[0] + 0.017, PEG[1], 0.9])
    bench.hand = bench.grip_point()
    action = bench.step()
    assert bench.expert.phase == "centre" and action[2] > 0.3


class Recorder:
    """A simulation that never moves and keeps what it is asked to do."""

    def reset(self, seed):
        self.asked = []
        self.seen = Bench(steady(Square), (-0.11, 0.17, 0.83), 0.5).observation().astype(np.float32)
        return self.seen

    def step(self, action):
        self.asked.append(action)
        return self.seen, len(self.asked) == 200


@pytest.mark.parametrize("name, as_intended", [("Lift", True), ("Can", True), ("Square", False)])
def test_demonstrations_keep_the_intention(name, as_intended):
    """Square's hand is clumsy, and its demonstrations show how it means to come back; the others do as they mean."""
    simulation = Recorder()
    demo = attempt(simulation, name, EXPERTS[name].traits, seed=1)
    assert np.array_equal(demo.actions, simulation.asked) == as_intended
    if not as_intended:  # seen from one place, one intention
        assert len(np.unique(demo.actions, axis=0)) == 1


def test_equal_seeds_make_equal_episodes():
    benches = [Bench(cls, (0.02, 0.0, 0.83), 0.4) for cls in (Lift(np.random.default_rng(4)), Lift(np.random.default_rng(4)))]
    for _ in range(20):
        for bench in benches:
            bench.step()
    assert np.array_equal(benches[0].hand, benches[1].hand)
