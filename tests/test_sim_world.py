"""The simulated cell: kinematics, the impedance law's promises, the hand's semantics, resets by seed, success."""

import dataclasses

import mujoco
import numpy as np
import pytest

from lpds_ros.config import ConfigError
from lpds_ros.robot.targets import PoseTarget
from lpds_ros.sim import fr3
from lpds_ros.sim.lockstep import Burst
from lpds_ros.sim.rotation import difference, turn
from lpds_ros.sim.state import HAND_DOWN, MODE_REFLEX, GripperStatus, SimulationError
from lpds_ros.sim.tasks import Object, TaskError, load_task
from lpds_ros.sim.world import World

PERIOD_NS = 50_000_000
# Of its own, so that tuning the shipped task's difficulty breaks nothing here.
TASK = dataclasses.replace(load_task("lift"), object=Object(width_m=0.046, mass_kg=0.08, friction=0.7))


@pytest.fixture(scope="module")
def shared_world():
    return World(TASK, control_period_ns=PERIOD_NS)


@pytest.fixture
def world(shared_world):
    shared_world.reset(3)
    return shared_world


def drive(world, position, ms=600):
    """Ramp the target to `position` in steps of 2 mm, then let the arm settle."""
    start = world.state().target_position
    count = max(1, int(np.linalg.norm(position - start) / 0.002))
    for k in range(count):
        world.set_target(start + (position - start) * (k + 1) / count, HAND_DOWN)
        world.advance(10)
    world.advance(ms)


def grasp_object(world):
    above = world.state().object_position + [0.0, 0.0, 0.08]
    drive(world, above)
    drive(world, np.array([above[0], above[1], 0.02]))
    world.grasp(0.0, 0.1, 30.0, 0.08, 0.08)
    world.advance(700)


def test_model_agrees_with_the_dh_table(shared_world):
    rng = np.random.default_rng(0)
    site = shared_world.model.site(fr3.TCP_SITE).id
    data = mujoco.MjData(shared_world.model)
    for _ in range(20):
        q = rng.uniform(fr3.Q_MIN_RAD, fr3.Q_MAX_RAD)
        data.qpos[:7] = q
        mujoco.mj_kinematics(shared_world.model, data)
        position, rotation = fr3.forward_kinematics(q)
        np.testing.assert_allclose(data.site_xpos[site], position, atol=1e-9)
        np.testing.assert_allclose(data.site_xmat[site].reshape(3, 3), rotation, atol=1e-9)


def test_ready_pose_is_the_published_one():
    position, rotation = fr3.forward_kinematics(fr3.Q_READY_RAD)
    np.testing.assert_allclose(position, [0.3069, 0.0, 0.4869], atol=1e-4)  # flange 0.5903 less the hand's 0.1034
    np.testing.assert_allclose(rotation, np.diag([1.0, -1.0, -1.0]), atol=1e-9)


def test_reset_starts_hand_down_at_rest_with_the_target_at_the_measured_pose(world):
    state = world.state()
    np.testing.assert_allclose(np.abs(state.orientation), np.abs(HAND_DOWN), atol=1e-6)
    np.testing.assert_allclose(state.target_position, state.position, atol=1e-12)
    world.advance(500)
    np.testing.assert_allclose(world.state().position, state.position, atol=1e-5)


def test_law_tracks_a_target(world):
    goal = world.state().position + [0.05, -0.08, -0.04]
    drive(world, goal, ms=1500)
    np.testing.assert_allclose(world.state().position, goal, atol=1.5e-3)


def test_target_filter_covers_a_tenth_each_millisecond(world):
    start = world.state().position
    world.set_target(start + [0.01, 0.0, 0.0], HAND_DOWN)
    world.advance(3)
    covered = (world.state().target_position - start)[0] / 0.01
    assert covered == pytest.approx(1 - 0.9**3, abs=1e-6)


def test_force_of_a_far_target_is_clipped_and_torque_rate_limited(world):
    law = world.control.cartesian
    world.set_target(world.state().position + [0.0, 1.0, 0.0], HAND_DOWN)
    before = law.commanded.copy()
    for _ in range(60):
        world.advance(1)
        assert np.abs(law.commanded - before).max() <= 0.5 + 1e-12
        before = law.commanded.copy()
    assert np.abs(law._error[:3]).max() <= 0.1 and law._error[1] == pytest.approx(0.1)
    assert np.abs(law._force[:3]).max() <= 600 * 0.1 + 60 * 3.0


def test_null_space_torque_moves_no_tool(world):
    before = world.state()
    world.set_posture(before.q + [0.4, 0.0, -0.4, 0.0, 0.0, 0.0, 0.0])
    world.advance(2000)
    after = world.state()
    assert np.abs(after.q - before.q).max() > 0.05
    np.testing.assert_allclose(after.position, before.position, atol=3e-3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_target_that_is_not_finite_is_refused(world, bad):
    with pytest.raises(ValueError, match="not finite"):
        world.set_target([0.5, bad, 0.2], HAND_DOWN)
    with pytest.raises(ValueError, match="no direction"):
        world.set_target([0.5, 0.0, 0.2], [bad, 0.0, 0.0, 0.0])
    world.advance(50)
    assert np.isfinite(world.state().q).all()


def test_same_seed_gives_equal_bits_and_another_does_not():
    def second(seed):
        world = World("lift", control_period_ns=PERIOD_NS)
        world.reset(99)
        world.advance(137)
        world.reset(seed)
        world.set_target(world.state().position + [0.05, 0.05, -0.1], HAND_DOWN)
        world.grasp(0.0, 0.1, 30.0, 0.08, 0.08)
        world.advance(1000)
        return world.data.qpos.copy(), world.data.qvel.copy()

    first, again, other = second(5), second(5), second(6)
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[0], other[0])


def test_time_starts_at_one_second_never_goes_back_and_resets_by_one_period():
    world = World("lift", control_period_ns=PERIOD_NS)
    assert world.time_ns == 1_000_000_000
    world.advance(7)
    world.reset(1)
    assert world.time_ns == 1_057_000_000


def test_periods_that_are_no_whole_milliseconds_do_not_drift():
    world = World("lift", control_period_ns=33_333_333)
    start_s = world.data.time
    for k in range(1, 31):
        world.advance_to(1_000_000_000 + k * 33_333_333)
    assert world.time_ns == 1_999_999_990
    assert world.data.time - start_s == pytest.approx(1.0, abs=1e-9)


def test_regions_keep_their_bounds_and_demo_lies_inside_full():
    task = load_task("lift")
    full, demo = task.regions["full"], task.regions["demo"]
    assert full.y_m[0] <= demo.y_m[0] < demo.y_m[1] <= full.y_m[1]
    starts = np.array([task.sample(seed, "demo")[1] for seed in range(200)])
    assert demo.x_m[0] <= starts[:, 0].min() and starts[:, 0].max() <= demo.x_m[1]
    assert demo.y_m[0] <= starts[:, 1].min() and starts[:, 1].max() <= demo.y_m[1]
    assert np.ptp(starts[:, 1]) > 0.8 * (demo.y_m[1] - demo.y_m[0])


def test_unknown_task_and_region_name_the_nearest(world):
    with pytest.raises(TaskError, match="did you mean 'lift'"):
        load_task("lifft")
    with pytest.raises(TaskError, match="did you mean 'demo'"):
        world.reset(0, "demos")


def test_object_wider_than_the_hand_is_refused():
    with pytest.raises(ConfigError, match="width_m"):
        dataclasses.replace(load_task("lift").object, width_m=0.09)


def test_move_ends_at_its_width_at_its_speed(world):
    world.move(0.03, 0.1)
    world.advance(250)
    assert world.gripper_status is GripperStatus.MOVING
    world.advance(500)
    assert world.gripper_status is GripperStatus.SUCCEEDED
    assert world.width_m == pytest.approx(0.03, abs=1e-3)


@pytest.mark.parametrize(
    "width, inner, outer, status",
    [
        (0.0, 0.08, 0.08, GripperStatus.SUCCEEDED),  # any contact counts
        (0.046, 0.005, 0.008, GripperStatus.SUCCEEDED),
        (0.02, 0.005, 0.005, GripperStatus.FAILED),  # stopped by something wider than asked for
    ],
)
def test_grasp_is_judged_by_the_width_at_which_it_was_stopped(world, width, inner, outer, status):
    above = world.state().object_position + [0.0, 0.0, 0.08]
    drive(world, above)
    drive(world, np.array([above[0], above[1], 0.02]))
    world.grasp(width if width != 0.046 else 0.044, 0.1, 30.0, inner, outer)
    world.advance(1200)
    assert world.gripper_status is status
    assert 0.044 < world.width_m < 0.056


def test_grasp_of_nothing_fails_unless_the_tolerance_allows_it(world):
    world.grasp(0.03, 0.1, 30.0, 0.005, 0.005)
    world.advance(1500)
    assert world.gripper_status is GripperStatus.SUCCEEDED  # it is where it was asked to be
    world.move(0.08, 0.2)
    world.advance(800)
    world.grasp(0.0, 0.2, 30.0, 0.005, 0.005)
    world.advance(200)
    assert world.gripper_status is GripperStatus.MOVING
    world.stop()
    assert world.gripper_status is GripperStatus.FAILED


def test_gripper_refuses_what_the_hand_cannot_do(world):
    refused = ((world.move, (0.1, 0.1)), (world.move, (0.04, 0.0)), (world.grasp, (0.0, 0.1, 500.0, 0, 0)))
    for method, arguments in refused:
        with pytest.raises(ValueError):
            method(*arguments)


def test_lifted_cube_is_success_and_rewarded_once(world):
    grasp_object(world)
    assert world.task_result() == (0.0, False)
    here = world.state().target_position
    drive(world, here + [0.0, 0.0, 0.1], ms=300)
    assert world.object_state().gripped
    assert world.task_result() == (1.0, True)
    assert world.task_result() == (0.0, True)
    force = world.state().wrench[2]
    assert force == pytest.approx(-0.08 * 9.81, abs=0.15)  # the cube hangs in the hand
    world.reset(3)
    assert world.task_result() == (0.0, False)


def test_cube_thrown_up_without_the_hand_is_no_success(world):
    world.data.qpos[world._object_q + 2] = 0.2
    world.advance(1)
    assert world.task_result() == (0.0, False)


def test_placed_needs_zone_rest_and_release():
    world = World("pick_place", control_period_ns=PERIOD_NS)
    centre = world.task.success.zone_centre_m
    world.data.qpos[world._object_q : world._object_q + 2] = centre
    world.data.qvel[world._object_v] = 0.5
    world.advance(1)
    assert world.task_result() == (0.0, False)  # in the zone, still sliding
    world.data.qpos[world._object_q : world._object_q + 2] = centre
    world.data.qvel[:] = 0.0
    world.advance(50)
    assert world.task_result() == (1.0, True)


def test_reflex_ignores_targets_until_recovery(world):
    world.reflex()
    assert world.state().robot_mode == MODE_REFLEX
    before = world.state().position
    world.set_target(before + [0.1, 0.0, 0.0], HAND_DOWN)
    world.advance(500)
    np.testing.assert_allclose(world.state().position, before, atol=1e-3)
    world.recover()
    world.set_target(before + [0.05, 0.0, 0.0], HAND_DOWN)
    world.advance(1500)
    assert world.state().position[0] - before[0] > 0.045


def test_pressing_harder_than_the_collision_limits_trips_a_reflex():
    world = World("lift", control_period_ns=PERIOD_NS)
    world.set_collision_limits([20.0, 20.0, 20.0, 25.0, 25.0, 25.0])
    drive(world, np.array([0.45, 0.3, 0.1]))
    assert world.robot_mode != MODE_REFLEX  # moving freely trips nothing
    drive(world, np.array([0.45, 0.3, -0.08]), ms=200)
    assert world.robot_mode == MODE_REFLEX
    with pytest.raises(ValueError, match="six finite numbers"):
        world.set_collision_limits([20.0] * 5)


def test_broken_physics_is_an_error_not_a_number(world):
    world.data.qpos[0] = np.nan
    with pytest.raises(SimulationError, match="unstable"):
        world.state()


def test_burst_waits_for_the_last_slice_and_plays_targets_at_their_stamps(world):
    burst = Burst(PERIOD_NS, 5)
    burst.begin(world.time_ns)
    start, position = world.time_ns, world.state().position
    goals = [position + [0.002 * (i + 1), 0.0, 0.0] for i in range(5)]
    stamps = [start + i * 10_000_000 for i in range(5)]
    assert not burst.add(PoseTarget(start - 10_000_000, position, HAND_DOWN))  # of the period before
    assert not burst.add(PoseTarget(start + PERIOD_NS, position, HAND_DOWN))  # of the next
    for stamp, goal in list(zip(stamps, goals))[:4]:
        assert not burst.add(PoseTarget(stamp, goal, HAND_DOWN))
    assert not burst.add(PoseTarget(stamps[0], goals[0], HAND_DOWN))  # said again
    assert burst.add(PoseTarget(stamps[4], goals[4], HAND_DOWN))
    burst.play(world)
    assert world.time_ns == start + PERIOD_NS and burst.start_ns == world.time_ns and not burst.complete
    played = world.data.qpos.copy()
    world.reset(3)
    for goal in goals:
        world.set_target(goal, HAND_DOWN)
        world.advance(10)
    assert np.array_equal(played, world.data.qpos)


def test_rotation_vectors_turn_there_and_back():
    rng = np.random.default_rng(1)
    for _ in range(50):
        a = tuple(q / np.linalg.norm(q) for q in [rng.normal(size=4)])[0]
        vector = rng.uniform(-1.5, 1.5, 3)
        b = turn(tuple(a), tuple(vector))
        np.testing.assert_allclose(difference(b, tuple(a)), vector, atol=1e-9)
