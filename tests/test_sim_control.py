"""The arm's control modes under physics: trajectories, joint positions, stiffness, load, and who drives the arm."""

import dataclasses

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpds_ros.sim import fr3
from lpds_ros.sim.control import Mode
from lpds_ros.sim.follow import Tolerances
from lpds_ros.sim.frames import FIXED, moving
from lpds_ros.sim.joint_law import EFFORT_CONTROLLER, INTERNAL_CONTROLLER
from lpds_ros.sim.trajectory import Outcome, Point, TrajectoryError, checked_waypoints
from lpds_ros.sim.world import HAND_DOWN, World

PERIOD_NS = 50_000_000
ZEROS = np.zeros(7)


@pytest.fixture(scope="module")
def shared_world():
    return World("lift", control_period_ns=PERIOD_NS)


@pytest.fixture
def world(shared_world):
    shared_world.control.set_load(0.0, ZEROS[:3])
    shared_world.control.set_joint_stiffness(INTERNAL_CONTROLLER.stiffness)
    shared_world.control.cartesian.set_stiffness([600.0] * 3 + [30.0] * 3)
    shared_world.reset(3)
    shared_world.control.take_endings()
    return shared_world


def way(*points):
    """Waypoints of (time, positions) or (time, positions, velocities)."""
    return checked_waypoints(fr3.JOINTS, [Point(*point) for point in points])


def to(q, time_s=1.0):
    return way((time_s, q, ZEROS))


def lift(world, angle=0.3):
    """Joint positions near the present ones, away from the table."""
    return world.state().q + [angle, -0.1, 0.0, 0.1, 0.0, 0.1, angle]


def test_a_trajectory_is_followed_closely_and_ends_at_rest_at_its_goal(world):
    begin, goal = world.state().q, lift(world)
    number = world.follow(to(goal))
    assert world.control.mode is Mode.TRAJECTORY and world.control.following
    world.advance(500)
    np.testing.assert_allclose(world.state().q, (begin + goal) / 2, atol=0.02)  # a cubic from rest to rest, half way
    assert world.control.take_endings() == {}
    world.advance(1500)
    ending = world.control.take_endings()[number]
    assert (ending.outcome, ending.text) == (Outcome.SUCCESSFUL, "Goal successfully reached!")
    state = world.state()
    np.testing.assert_allclose(state.q, goal, atol=1e-3)
    assert np.abs(state.dq).max() < 0.01
    np.testing.assert_array_equal(state.q_d, state.q)  # torque control: the robot reports what it measures
    np.testing.assert_array_equal(state.target_position, state.position)


def test_success_waits_until_the_arm_stands_still(world):
    number = world.follow(way((0.4, lift(world))))  # a straight line: the reference stops at once, the arm cannot
    world.advance(405)
    assert np.abs(world.state().dq).max() > 0.01 and world.control.take_endings() == {}
    world.advance(1000)
    assert world.control.take_endings()[number].outcome is Outcome.SUCCESSFUL


def test_a_jump_of_the_reference_is_torque_rate_limited(world):
    law = world.control.joint
    world.follow(way((0.0, world.state().q + [0.09, 0, 0, 0, 0, 0, 0])))
    before, most = law.commanded.copy(), 0.0
    for _ in range(40):
        world.advance(1)
        step, before = np.abs(law.commanded - before), law.commanded.copy()
        assert step.max() <= EFFORT_CONTROLLER.torque_rate_nm_per_ms + 1e-12
        most = max(most, law.commanded[0])
    assert most > 15.0


def test_a_newer_trajectory_replaces_the_older_one(world):
    first = world.follow(to(lift(world)))
    world.advance(300)
    goal = world.state().q
    second = world.follow(to(goal))
    ending = world.control.take_endings()[first]
    assert ending.outcome is Outcome.INVALID_GOAL and "newer trajectory" in ending.text and not ending.canceled
    world.advance(2000)
    assert world.control.take_endings()[second].outcome is Outcome.SUCCESSFUL
    np.testing.assert_allclose(world.state().q, goal, atol=1e-3)


def test_a_canceled_trajectory_leaves_the_arm_where_it_is(world):
    number = world.follow(to(lift(world)))
    world.advance(500)
    here = world.state().q
    world.control.hold(number + 1)  # of another goal: nothing
    assert world.control.following
    world.control.hold(number)
    assert world.control.take_endings()[number].canceled
    np.testing.assert_array_equal(world.control.joint.position, here)
    world.advance(1000)
    np.testing.assert_allclose(world.state().q, here, atol=0.06)  # it was moving at some 0.4 rad/s
    assert np.abs(world.state().dq).max() < 0.01


def test_a_blocked_arm_leaves_the_path_or_misses_its_goal_and_holds_there(world):
    down = world.state().q + [0.0, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0]  # into the table
    tolerances = dataclasses.replace(Tolerances(), path_position=ZEROS + 0.05)
    number = world.follow(to(down, 2.0), tolerances)
    world.advance(2000)
    ending = world.control.take_endings()[number]
    assert ending.outcome is Outcome.PATH_TOLERANCE_VIOLATED and "0.05 are allowed" in ending.text
    held = world.control.joint.position.copy()
    assert np.abs(held - world.state().q).max() < 0.04  # where the arm was, not where it was led
    world.advance(500)
    np.testing.assert_array_equal(world.control.joint.position, held)
    world.reset(3)
    tolerances = dataclasses.replace(Tolerances(), goal_position=ZEROS + 0.01, goal_time_s=0.3)
    number = world.follow(to(down, 2.0), tolerances)
    world.advance(2250)
    assert world.control.following
    world.advance(200)
    assert world.control.take_endings()[number].outcome is Outcome.GOAL_TOLERANCE_VIOLATED


def test_a_refused_command_changes_nothing(world):
    number = world.follow(to(lift(world)))
    world.advance(100)
    reference = world.control.joint.position.copy()
    far = lift(world, angle=1.5)
    for command in (
        lambda: world.follow(to(far, 0.2)),
        lambda: world.follow(to(far), elapsed_s=1.0),
        lambda: world.follow(to(lift(world) + 4.0)),
        lambda: world.set_positions(ZEROS),
        lambda: world.control.set_target([0.5, np.nan, 0.2], HAND_DOWN),
    ):
        with pytest.raises(ValueError):
            command()
    with pytest.raises(TrajectoryError) as caught:
        world.follow(to(lift(world)), elapsed_s=1.5)
    assert caught.value.code is Outcome.OLD_HEADER_TIMESTAMP and "0.500 s ago" in str(caught.value)
    np.testing.assert_array_equal(world.control.joint.position, reference)
    assert world.control.mode is Mode.TRAJECTORY and world.control.progress.number == number


def test_a_start_in_the_future_leads_in_until_then(world):
    goal = lift(world)
    world.follow(to(goal, 0.5), elapsed_s=-1.0)
    world.advance(750)
    middle = world.state().q
    world.advance(1500)
    np.testing.assert_allclose(world.state().q, goal, atol=2e-3)
    assert np.abs(middle - goal).max() > 0.05  # a cubic over the whole 1.5 s, not a wait and then a rush


def test_pieces_sent_one_after_the_other_join_without_a_step(world):
    begin = world.state().q
    jumps = {}
    for from_desired in (False, True):
        world.reset(3)
        world.set_positions(begin)
        jumps[from_desired] = 0.0
        for k in range(10):
            goal = begin + [0.05 * (k + 1), 0, 0, 0, 0, 0, 0]
            before = world.control.joint.position.copy()
            world.follow(way((0.05, goal)), judged=False, from_desired=from_desired)
            world.advance(1)
            jumps[from_desired] = max(jumps[from_desired], np.abs(world.control.joint.position - before).max())
            world.advance(49)
    assert jumps[True] < 0.002 < jumps[False]  # from the measured state the reference falls back by the arm's lag
    assert world.control.take_endings() == {}


def test_joint_positions_are_gone_to_no_faster_than_the_joints_may_move(world):
    begin, goal = world.state().q, lift(world, 1.5)
    world.set_positions(goal)
    assert world.control.mode is Mode.POSITION
    fastest = change = 0.0
    speed = ZEROS.copy()
    for _ in range(2500):
        before = world.control.joint.position.copy()
        world.advance(1)
        step = (world.control.joint.position - before) * 1000
        fastest, change = max(fastest, (np.abs(step) / fr3.VELOCITY_MAX_RADPS).max()), max(change, np.abs(step - speed).max())
        speed = step
    assert 0.5 < fastest <= 1.0 + 1e-9 and change <= 10.0 * 0.001 + 1e-6
    np.testing.assert_allclose(world.state().q, goal, atol=1e-3)
    np.testing.assert_allclose(world.control.joint.position, goal, atol=1e-9)
    np.testing.assert_allclose(world.state().q_d, goal, atol=1e-9)  # position control: the robot reports the reference
    assert np.abs(goal - begin).max() > 1.4


def test_the_last_command_drives_the_arm_and_switching_makes_no_torque_jump(world):
    goal = lift(world)
    number = world.follow(to(goal))
    world.advance(500)
    before = world.control.joint.commanded.copy()
    target = world.state().position
    world.set_target(target + [0.05, 0.0, 0.0], HAND_DOWN)
    assert world.control.mode is Mode.CARTESIAN
    np.testing.assert_array_equal(world.state().target_position, target)  # the filter starts where the arm is
    np.testing.assert_array_equal(world.control.cartesian.posture, world.state().q)
    world.set_target(target, HAND_DOWN)
    assert "pose target" in world.control.take_endings()[number].text
    world.advance(1)
    assert np.abs(world.control.joint.commanded - before).max() <= 0.5 + 1e-12
    world.advance(1500)
    np.testing.assert_allclose(world.state().position, target, atol=2e-3)
    posture = world.control.cartesian.posture.copy()
    before = world.control.joint.commanded.copy()
    world.follow(to(goal))
    world.set_posture(ZEROS)
    np.testing.assert_array_equal(world.control.cartesian.posture, posture)  # not the law in charge
    world.advance(1)
    rate = EFFORT_CONTROLLER.torque_rate_nm_per_ms
    assert np.abs(world.control.joint.commanded - before).max() <= rate + 1e-12
    world.set_positions(goal)
    assert world.control.mode is Mode.POSITION


def test_a_reflex_ends_a_trajectory_and_refuses_others_until_recovery(world):
    number = world.follow(to(lift(world)))
    world.advance(300)
    world.reflex()
    assert world.control.take_endings()[number].text == "the arm tripped a reflex"
    here = world.state().position
    for command in (lambda: world.follow(to(lift(world))), lambda: world.set_positions(lift(world))):
        with pytest.raises(TrajectoryError, match="error_recovery"):
            command()
    world.advance(500)
    np.testing.assert_allclose(world.state().position, here, atol=0.05)
    world.recover()
    goal = lift(world)
    world.set_positions(goal)
    world.advance(1500)
    np.testing.assert_allclose(world.state().q, goal, atol=1e-3)


def test_an_episode_after_joint_commands_equals_one_without():
    """What learned policies depend on: nothing of another mode is left behind by a reset."""
    ends = []
    for disturbed in (False, True):
        world = World("lift", control_period_ns=PERIOD_NS)
        if disturbed:
            world.follow(to(lift(world)))
            world.advance(400)
            world.set_positions(lift(world, 0.6))
            world.advance(400)
        world.reset(5)
        position = world.state().position
        for k in range(20):
            world.set_target(position + [0.002 * k, 0.0, -0.002 * k], HAND_DOWN)
            world.advance(10)
        ends.append((world.data.qpos.copy(), world.data.qvel.copy(), world.data.ctrl.copy()))
    assert all(np.array_equal(a, b) for a, b in zip(*ends))


# -- stiffness and load ---------------------------------------------------------------------------------------------


def pushed(world, force, ms=1500):
    """How far the tool gives way along z under a force of so many newtons at the hand."""
    body = world.model.body(fr3.HAND_BODY).id
    before = world.state().position
    world.data.xfrc_applied[body, 2] = force
    world.advance(ms)
    moved = world.state().position - before
    world.data.xfrc_applied[body] = 0.0
    return moved[2]


@pytest.mark.parametrize("stiffness", [200.0, 600.0, 2000.0])
def test_cartesian_stiffness_is_what_it_says(world, stiffness):
    world.control.cartesian.set_stiffness([stiffness] * 3 + [30.0] * 3)
    assert pushed(world, 10.0) == pytest.approx(10.0 / stiffness, rel=0.1)
    np.testing.assert_allclose(world.control.cartesian._damping[:3], 60.0 * np.sqrt(stiffness / 600.0))


def test_joint_stiffness_is_what_it_says_behind_positions_and_not_behind_trajectories(world):
    q = world.state().q
    joint = world.model.joint("fr3_joint4").dofadr[0]

    def gives_way():
        world.advance(1500)
        world.data.qfrc_applied[joint] = 5.0
        world.advance(1500)
        moved = world.state().q[3] - q[3]
        world.data.qfrc_applied[joint] = 0.0
        return moved

    for stiffness in (3000.0, 200.0):
        world.reset(3)
        world.set_positions(q)
        world.control.set_joint_stiffness([stiffness] * 7)
        assert gives_way() == pytest.approx(5.0 / stiffness, rel=0.05)
    world.reset(3)
    world.follow(to(q))
    assert gives_way() == pytest.approx(5.0 / EFFORT_CONTROLLER.stiffness[3], rel=0.05)


@settings(max_examples=10)
@given(st.lists(st.floats(0.0, 14250.0), min_size=7, max_size=7), st.integers(0, 100))
def test_any_stiffness_the_robot_takes_is_stable(shared_world, stiffness, seed):
    world = shared_world
    world.reset(seed)
    rng = np.random.default_rng(seed)
    world.control.set_joint_stiffness(stiffness)
    world.set_positions(np.clip(np.array(fr3.Q_READY_RAD) + rng.uniform(-0.3, 0.3, 7), fr3.Q_MIN_RAD, fr3.Q_MAX_RAD))
    world.advance(2500)
    assert np.abs(world.data.qvel[:7]).max() < 0.5
    world.reset(seed)
    low, high = np.array([10.0] * 3 + [1.0] * 3), np.array([3000.0] * 3 + [300.0] * 3)
    world.control.cartesian.set_stiffness(rng.uniform(low, high))
    world.set_target(world.state().position + rng.uniform(-0.03, 0.05, 3), HAND_DOWN)
    world.advance(2500)
    assert np.abs(world.data.qvel[:7]).max() < 0.5


@pytest.mark.parametrize(
    "bad", [[600.0] * 5, [600.0] * 5 + [float("nan")], [9.0] * 3 + [30.0] * 3, [600.0] * 3 + [301.0] * 3]
)
def test_cartesian_stiffness_out_of_the_robots_range_is_refused(world, bad):
    with pytest.raises(ValueError, match="10 to 3000 N/m"):
        world.control.cartesian.set_stiffness(bad)
    assert pushed(world, 10.0, ms=800) == pytest.approx(10.0 / 600.0, rel=0.1)


@pytest.mark.parametrize("bad", [[600.0] * 6, [600.0] * 6 + [float("nan")], [-1.0] * 7, [15000.0] * 7])
def test_joint_stiffness_out_of_the_robots_range_is_refused(world, bad):
    with pytest.raises(ValueError, match="0 to 14250"):
        world.control.set_joint_stiffness(bad)


def test_the_usual_stiffness_asked_for_changes_no_bit():
    ends = []
    for asked in (False, True):
        world = World("lift", control_period_ns=PERIOD_NS)
        if asked:
            world.control.cartesian.set_stiffness([600.0] * 3 + [30.0] * 3)
        world.set_target(world.state().position + [0.05, 0.02, -0.05], HAND_DOWN)
        world.advance(300)
        ends.append(world.data.qpos.copy())
    assert np.array_equal(*ends)


def test_a_known_load_is_held_and_an_unknown_one_sags(world):
    sag = pushed(world, -9.81)
    assert sag < -0.01
    world.reset(3)
    world.control.set_load(1.0, hand_in_flange())
    assert abs(pushed(world, -9.81)) < 0.05 * abs(sag)
    assert world.state().load[0] == 1.0
    for mass, centre in ((-1.0, ZEROS[:3]), (4.0, ZEROS[:3]), (1.0, [np.nan, 0.0, 0.0])):
        with pytest.raises(ValueError, match=r"mass must lie in \[0, 3\] kg"):
            world.control.set_load(mass, centre)


def hand_in_flange():
    """Centre of mass of the hand, where `pushed` pushes, in the flange's frame."""
    (x, y, z), c, s = fr3.HAND[1], np.cos(fr3.HAND_YAW_RAD), np.sin(fr3.HAND_YAW_RAD)
    return [c * x - s * y, s * x + c * y, z]


def test_a_load_is_held_in_any_pose(world):
    world.set_positions(world.state().q + [0.2, -0.2, 0.3, 0.2, 0.5, 0.8, 0.4])
    world.advance(2000)
    before = world.data.ctrl[:7].copy()
    world.control.set_load(1.0, hand_in_flange())
    world.control.update()
    jacobian = np.zeros((3, world.model.nv))
    mujoco.mj_jacBodyCom(world.model, world.data, jacobian, None, world.model.body(fr3.HAND_BODY).id)
    np.testing.assert_allclose(world.data.ctrl[:7] - before, 9.81 * jacobian[2, :7], atol=1e-3)


# -- frames ---------------------------------------------------------------------------------------------------------


def test_frames_compose_to_the_models_own(world):
    world.move(0.03, 0.1)
    world.set_positions(lift(world, 0.8))
    world.advance(700)
    state = world.state()
    poses = {"base": (np.zeros(3), np.eye(3))}
    frames = [*FIXED, *moving(state.q, state.finger_positions)]
    while frames:
        ready = [frame for frame in frames if frame[0] in poses]
        assert ready, "every frame hangs on another down from base"
        for parent, child, position, (x, y, z, w) in ready:
            origin, axes = poses[parent]
            turn = np.array(
                [
                    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
                ]
            )
            poses[child] = origin + axes @ position, axes @ turn
        frames = [frame for frame in frames if frame not in ready]
    for name in (*(f"fr3_link{i}" for i in range(1, 8)), fr3.HAND_BODY, *fr3.FINGER_GEOMS):
        body = world.data.body(name)
        np.testing.assert_allclose(poses[name][0], body.xpos, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(poses[name][1], body.xmat.reshape(3, 3), atol=1e-9, err_msg=name)
    np.testing.assert_allclose(poses[fr3.TCP_SITE][0], state.position, atol=1e-9)
