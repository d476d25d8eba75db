"""What the arm is not sent on for: endless cuts, an arm that does not follow, a pose that cannot be, weights that give NaN."""

from dataclasses import replace

import numpy as np
import pytest
from steering_fakes import DOWN, READY, START, Cell, FakeDecoder, lift, random_actor

from lpds_ros.geometry import from_rotation_vector, multiply
from lpds_ros.records import Mode
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.target import Target

FORWARD = np.array([1.0, 0.0, 0.0, 0.0], np.float32)


def constant(row):
    return FakeDecoder(lambda rows: np.broadcast_to(np.float32(row), rows.shape))


# -- cuts ------------------------------------------


def test_cuts_are_counted_and_what_was_asked_and_sent_are_both_recorded():
    cell = Cell(decoder=constant([0.0, 2.0, 0.0, 0.0]))
    cell.steps(9)
    assert cell.core.cut_ticks == 9
    (decision,) = cell.decisions
    assert (decision.executed[:, 1] == 2.0).all() and np.allclose(decision.sent[:, 1], 1.0)


def test_a_policy_that_does_nothing_but_be_cut_is_held():
    cell = Cell(decoder=constant([0.0, 0.0, -1.0, 0.0]), params=SteeringParams(cut_ticks=20))
    ticks = cell.steps(60)  # 24 ticks to the floor of the workspace
    first = next(k for k, t in enumerate(ticks) if t.mode == Mode.HOLD)
    assert 40 <= first <= 46 and ticks[first].reason.startswith("20 actions in a row had to be cut")
    assert [t.mode for t in ticks[first : first + 4]] == [Mode.HOLD] * 3 + [Mode.PRIOR], "and then tried again"


def test_wild_actions_are_held_soon_and_a_few_are_not():
    wild = [1e4, 0.0, 0.0, 0.0]
    ticks = Cell(decoder=constant(wild)).steps(5)
    assert [t.mode for t in ticks] == [Mode.PRIOR] * 4 + [Mode.HOLD]
    assert ticks[-1].reason == "5 actions in a row ask for 1e+04 times the speed allowed"
    calls = []

    def sometimes(rows):
        calls.append(1)
        return np.broadcast_to(np.float32(wild if len(calls) % 2 else [0.1, 0, 0, 0]), rows.shape)

    cell = Cell(contract=lift(predicted=4, executed=4), decoder=FakeDecoder(sometimes))
    assert {t.mode for t in cell.steps(24)} == {Mode.PRIOR}


# -- following ------------------------------------------


def test_an_arm_under_a_stopped_controller_is_noticed_and_nothing_winds_up():
    cell = Cell(decoder=constant(FORWARD))
    moving = cell.steps(6)
    stood = cell.position.copy()

    def stopped():
        tick = cell.step()
        cell.position = stood  # the arm stands, whatever it is sent
        return tick

    ticks = [stopped() for _ in range(20)]
    assert {t.mode for t in moving} == {Mode.PRIOR}
    first = next(k for k, t in enumerate(ticks) if t.mode == Mode.HOLD)
    assert 8 <= first <= 10 and "the arm does not follow its target" in ticks[first].reason
    leads = [np.linalg.norm(t.targets[-1].position - stood) for t in ticks]
    assert max(leads) <= 0.05 + 0.0125 + 1e-9


def test_it_goes_on_from_where_the_arm_is_when_the_controller_is_back():
    cell = Cell(decoder=constant(FORWARD))
    stood = cell.position.copy()
    while cell.step().mode != Mode.HOLD:
        cell.position = stood
    cell.position = stood + [0.0, 0.02, 0.0]
    before = cell.position.copy()
    cell.steps(2)
    cell.position = before
    tick = cell.step()
    assert tick.mode == Mode.PRIOR and np.allclose(tick.targets[-1].position - before, [0.0125, 0.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("moves", ["tool", "joint"])
def test_an_arm_that_gives_way_or_creeps_is_not_a_stopped_one(moves):
    target = Target(lift(), SteeringParams())
    target.seed(START, DOWN)
    for k in range(200):
        position = START + [2e-4 * k, 0, 0] if moves == "tool" else START
        joints = READY + 3e-4 * k * np.eye(7)[2] if moves == "joint" else READY
        target.advance(FORWARD if k % 40 < 20 else -FORWARD, position, DOWN, joints)


def test_commands_that_go_to_and_fro_ask_for_nothing():
    target = Target(lift(), SteeringParams())
    target.seed(START, DOWN)
    for k in range(200):
        target.advance(FORWARD if k % 2 else -FORWARD, START, DOWN, READY)


def test_an_arm_that_does_not_turn_is_noticed_too():
    target = Target(lift(turns=True), SteeringParams())
    target.seed(START, DOWN)
    row = np.array([0, 0, 0, 0, 0, 1, 0], np.float32)
    with pytest.raises(ValueError, match="does not follow its target: 0.00 m and 0.6[0-9] rad"):
        for _ in range(40):
            target.advance(row, START, DOWN, READY)


# -- joints ------------------------------------------


def test_a_joint_near_its_end_holds_the_arm_and_names_the_joint():
    cell = Cell(decoder=constant(FORWARD))
    cell.steps(3)
    cell.joints = READY.copy()
    cell.joints[3] = load_limits("fr3").joints.position_max_rad[3] - 0.1  # stretched, and forward stretches more
    tick = cell.step()
    assert tick.mode == Mode.HOLD and "joint 4 is at -0.22 rad" in tick.reason
    assert tick.decision.ticks == 3 and tick.decision.truncated


def test_joints_that_are_not_finite_are_no_observation():
    cell = Cell()
    cell.steps(2)
    cell.joints = np.full(7, np.nan)
    assert "joints is not finite" in cell.step().reason


# -- poses that cannot be ------------------------------------------


@pytest.mark.parametrize(
    ("glitch", "reason"),
    [
        ([0.3, 0.0, 0.0], "the measured pose jumped by 0.3"),
        ([1e30, 0.0, 0.0], "where no arm reaches"),
        ([0.0, 0.0, -9.0], "where no arm reaches"),
    ],
)
def test_a_glitch_of_the_measured_pose_is_never_commanded(glitch, reason):
    cell = Cell()
    cell.steps(4)
    before = cell.position.copy()
    cell.position = before + glitch
    tick = cell.step()
    assert tick.mode == Mode.HOLD and reason in tick.reason
    assert np.array_equal(tick.targets[-1].position, before)
    ticks = cell.steps(5)
    assert ticks[-1].mode == Mode.PRIOR and np.linalg.norm(ticks[-1].targets[-1].position - before) < 0.05


def test_a_jump_of_the_orientation_is_a_glitch_too():
    cell = Cell(contract=lift(turns=True))
    cell.steps(2)
    cell.orientation = multiply(from_rotation_vector(np.array([0.5, 0.0, 0.0])), cell.orientation)
    assert "jumped by 0.5" in cell.step().reason


def test_the_arm_may_be_elsewhere_when_an_episode_begins():
    cell = Cell()
    cell.steps(3)
    cell.step(success=True)
    cell.position = cell.position + [0.0, 0.3, 0.0]
    cell.core.begin_episode(1, 8)
    assert cell.step().mode == Mode.PRIOR


def test_commanded_orientations_keep_their_hemisphere():
    target = Target(lift(turns=True), SteeringParams())
    measured = DOWN
    target.seed(START, measured)
    sent = []
    for k in range(120):  # through w = 0, where the canonical quaternion changes its sign
        target.advance(np.array([0, 0, 0, 0, 1 if k < 60 else -1, 0, 0], np.float32), START, measured, READY + 0.003 * k)
        sent += [t.orientation for t in target.sub_targets(0)]
        measured = -sent[-1] if k % 2 else sent[-1]  # a driver may give either sign
    assert (np.sum(np.array(sent[1:]) * np.array(sent[:-1]), axis=1) > 0.99).all()


# -- weights that give NaN ------------------------------------------


def test_the_third_perturbation_in_a_row_that_is_not_finite_holds_until_there_are_other_weights():
    cell = Cell()
    spoilt = random_actor(cell.contract, version=2)
    spoilt.layers[-1][1][:] = np.nan
    cell.core.install_weights(spoilt)
    assert {t.mode for t in cell.steps(16)} == {Mode.PRIOR}
    held = cell.steps(8)
    assert {t.mode for t in held} == {Mode.HOLD}
    assert "the perturbation of version 2 is not finite, 3 times in a row" in held[0].reason
    cell.core.install_weights(random_actor(cell.contract, version=3))
    assert Mode.RUN in {t.mode for t in cell.steps(4)}


def test_one_finite_perturbation_ends_the_count():
    calls = []

    def spoil(rows):
        calls.append(1)
        return np.full_like(rows, np.nan) if len(calls) in (1, 3, 6, 8) else rows  # each followed by the prior's own

    cell = Cell(decoder=FakeDecoder(spoil))
    cell.core.install_weights(replace(random_actor(cell.contract), version=2))
    modes = [t.mode for t in cell.steps(48)][::8]
    assert modes == [Mode.PRIOR, Mode.PRIOR, Mode.RUN, Mode.PRIOR, Mode.PRIOR, Mode.RUN]
