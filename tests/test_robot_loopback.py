"""The mock robot's world: what is commanded becomes what is measured, late and no faster than the arm may; no MuJoCo."""

import subprocess
import sys

import numpy as np
import pytest
from waiting import PATIENCE_S

from lpds_ros.geometry import angle_between, canonical, from_rotation_vector, multiply
from lpds_ros.robot.kinematics import tool_pose
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.loopback import LoopbackWorld
from lpds_ros.sim import fr3
from lpds_ros.sim.state import HAND_DOWN, MODE_MOVE, MODE_REFLEX, MODE_USER_STOPPED, GripperStatus
from lpds_ros.sim.trajectory import Outcome, Point, TrajectoryError, checked_waypoints

PERIOD_NS = 50_000_000


@pytest.fixture
def world():
    world = LoopbackWorld("lift", control_period_ns=PERIOD_NS)
    world.reset(3)
    return world


def test_the_tools_orientation_is_that_of_the_simulations_arm():
    random = np.random.default_rng(0)
    for q in random.uniform(fr3.Q_MIN_RAD, fr3.Q_MAX_RAD, (20, 7)):
        position, orientation = tool_pose(q)
        expected, matrix = fr3.forward_kinematics(q)
        np.testing.assert_allclose(position, expected, atol=1e-12)
        turned = [multiply(multiply(orientation, np.array([*axis, 0.0])), orientation * [-1, -1, -1, 1]) for axis in np.eye(3)]
        np.testing.assert_allclose(np.array(turned)[:, :3].T, matrix, atol=1e-12)


def test_an_episode_begins_where_the_simulations_does(world):
    tool, centre, _ = world.task.sample(3, "full")
    state = world.state()
    np.testing.assert_allclose(state.position, tool, atol=1e-5)
    assert angle_between(state.orientation, canonical(np.array(HAND_DOWN))) < 1e-5
    np.testing.assert_array_equal(state.object_position, centre)
    assert (world.width_m, state.robot_mode, world.task_result()) == (fr3.MAX_WIDTH_M, MODE_MOVE, (0.0, False))


def test_a_pose_target_is_reached_late_and_no_faster_than_the_arm_may(world):
    limits, before = load_limits("fr3"), world.state()
    target = before.position + (0.05, -0.04, 0.06)
    turned = multiply(from_rotation_vector(np.array([0.0, 0.0, 0.3])), before.orientation)
    world.set_target(target, turned)
    world.advance(20)
    there = np.linalg.norm(world.state().position - before.position)
    assert 0.0 < there < 0.8 * np.linalg.norm(target - before.position)
    for _ in range(60):
        world.advance(5)
        assert (np.abs(world.state().dq) <= np.array(limits.joints.velocity_max_radps) + 1e-9).all()
    after = world.state()
    np.testing.assert_allclose(after.position, target, atol=1e-4)
    assert angle_between(after.orientation, turned) < 1e-3
    np.testing.assert_allclose(fr3.forward_kinematics(after.q)[0], after.position, atol=1e-12)
    world.set_target(target + (0.0, 0.3, 0.0), turned)
    world.advance(5)
    assert np.linalg.norm(world.state().position - after.position) <= 0.005 * limits.cartesian.speed_max_mps + 1e-6


def test_a_target_out_of_reach_leaves_the_joints_within_their_limits(world):
    world.set_target((2.0, 0.0, 0.5), HAND_DOWN)
    world.advance(3000)
    q = world.state().q
    assert np.isfinite(q).all() and load_limits("fr3").outside(q) == ""
    with pytest.raises(ValueError, match="not finite"):
        world.set_target((np.nan, 0.0, 0.0), HAND_DOWN)


def test_a_trajectory_is_followed_and_ends(world):
    goal = world.state().q + 0.1
    number = world.follow(checked_waypoints(fr3.JOINTS, [Point(0.5, goal, np.zeros(7))]))
    world.advance(400)
    assert world.control.following and not world.control.take_endings()
    world.advance(800)
    assert world.control.take_endings()[number].outcome is Outcome.SUCCESSFUL
    np.testing.assert_allclose(world.state().q, goal, atol=1e-3)
    world.set_positions(goal - 0.05)
    world.advance(1000)
    np.testing.assert_allclose(world.state().q, goal - 0.05, atol=1e-3)


def test_a_reflex_stops_the_arm_until_it_is_recovered(world):
    start = world.state().position
    world.set_target(start + (0.1, 0.0, 0.0), HAND_DOWN)
    world.advance(20)
    world.reflex("cartesian_reflex")
    stopped = world.state()
    assert (stopped.robot_mode, stopped.error) == (MODE_REFLEX, "cartesian_reflex")
    world.set_target(start, HAND_DOWN)
    world.advance(200)
    np.testing.assert_array_equal(world.state().q, stopped.q)
    with pytest.raises(TrajectoryError, match="error_recovery"):
        world.set_positions(stopped.q)
    world.recover()
    assert (world.state().robot_mode, world.state().error) == (MODE_MOVE, "")
    world.press_user_stop(True)
    with pytest.raises(ValueError, match="release it first"):
        world.recover()
    assert world.state().robot_mode == MODE_USER_STOPPED


def test_the_hand_takes_its_time_and_a_grasp_is_judged_by_the_width(world):
    def run(start, *arguments, world=world):
        number = start(*arguments)
        for elapsed_ms in range(5000):
            if world.gripper_status is not GripperStatus.MOVING:
                return elapsed_ms, world.gripper_status, number
            world.advance(1)
        raise AssertionError("the goal never ends")

    took_ms, status, first = run(world.move, 0.04, 0.1)
    assert status is GripperStatus.SUCCEEDED and 395 <= took_ms <= 410 and world.width_m == pytest.approx(0.04)
    assert run(world.grasp, 0.02, 0.1, 30.0, 0.005, 0.005)[1] is GripperStatus.SUCCEEDED  # libfranka: within the tolerance
    _, status, last = run(world.move, 0.08, 0.1)
    assert last == first + 2
    full = LoopbackWorld("lift", control_period_ns=PERIOD_NS, held_width_m=0.046)
    assert run(full.grasp, 0.02, 0.1, 30.0, 0.005, 0.005, world=full)[1] is GripperStatus.FAILED
    assert run(full.grasp, 0.0, 0.1, 30.0, 0.08, 0.08, world=full)[1] is GripperStatus.SUCCEEDED
    assert full.width_m == pytest.approx(0.046)
    with pytest.raises(ValueError, match="must lie in"):
        world.move(0.09, 0.1)


def test_equal_calls_give_equal_bits():
    def run():
        world = LoopbackWorld("lift", control_period_ns=PERIOD_NS)
        world.reset(7)
        start = world.state().position
        for step in range(1, 9):
            world.set_target(start + (0.01 * step, 0.0, 0.0), HAND_DOWN)
            world.advance_to(world.time_ns + 33_333_333)
        return world.state().q

    np.testing.assert_array_equal(run(), run())


def test_the_mock_needs_no_mujoco():
    code = "import sys; sys.modules['mujoco'] = None; import lpds_ros.nodes.mock, lpds_ros.robot.loopback"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
