"""The command modes without ROS: what each says for a tick, when it refuses, how the arm ends when nobody speaks any more."""

import numpy as np
import pytest
from steering_fakes import DOWN, READY, SECOND, START, Cell, lift

from lpds_ros.records import Mode
from lpds_ros.robot.command_modes import COMMAND_MODES
from lpds_ros.robot.kinematics import tool_frame
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.targets import JointPath, JointTarget, PoseTarget, PositionTarget, at, at_rest
from lpds_ros.rollout import Rollout, make_core
from lpds_ros.sim.control import Mode as Law
from lpds_ros.sim.world import HAND_DOWN, World
from lpds_ros.steering.params import SteeringParams
from lpds_ros.teleop.scripted import Scripted

PERIOD_S, COUNT, SEED = 0.05, 5, 1
JOINT_MODES = ("joint_impedance", "joint_trajectory", "joint_group_position")
LAWS = dict(zip(COMMAND_MODES, (Law.CARTESIAN, Law.IMPEDANCE, Law.TRAJECTORY, Law.POSITION)))
FASTEST = np.array(load_limits("fr3").suggested.velocity_max_radps)
TOOL = tool_frame(READY)[0]


def make(name):
    return SteeringParams().command_mode(name, PERIOD_S)


def targets(position, start=None, stamp_ns=SECOND):
    """A period's pose targets from `start` (None: at rest) to `position`."""
    start = position if start is None else start
    shares = [(i + 1) / COUNT for i in range(COUNT)]
    step_ns = round(PERIOD_S * 1e9) // COUNT
    return tuple(PoseTarget(stamp_ns + i * step_ns, start + s * (position - start), DOWN) for i, s in enumerate(shares))


def seen(joints=READY, **changes):
    """An observation of the arm at these joints."""
    cell = Cell(begin=False)
    cell.joints, cell.position = joints, tool_frame(joints)[0]
    return cell.observation(**changes)


def joints_of(command):
    """Joints that a command leads to within its period."""
    return command.position[0] if isinstance(command, JointPath) else command.position


def test_pose_targets_pass_as_they_are():
    mode, wanted = make("cartesian_pose"), targets(TOOL)
    assert mode.send(wanted, Mode.RUN, seen()) is wanted and mode.hold(0) == ()
    (last,) = mode.stop(7, seen())
    assert last.stamp_ns == 7 and np.array_equal(last.position, TOOL)


@pytest.mark.parametrize("name", JOINT_MODES)
def test_joints_lead_the_tool_to_the_pose_and_go_on_from_the_last_command(name):
    mode, step, joints = make(name), np.array([0.008, -0.006, 0.004]), []
    for k in range(1, 9):  # the arm is seen to stand still: what is commanded must not care
        commands = mode.send(targets(TOOL + k * step, TOOL + (k - 1) * step), Mode.RUN, seen())
        assert mode.refusal == "" and commands[0].stamp_ns == SECOND
        joints.append(joints_of(commands[-1]))
        assert np.abs(tool_frame(joints[-1])[0] - TOOL - k * step).max() < 1e-4
    assert (np.abs(np.diff(joints, axis=0)) <= FASTEST * PERIOD_S).all()


def test_joint_targets_fill_the_period_evenly_with_their_velocity():
    mode, end = make("joint_impedance"), TOOL + [0.01, 0.0, 0.0]
    mode.send(targets(TOOL), Mode.RUN, seen())
    commands = mode.send(targets(end, TOOL), Mode.RUN, seen())
    assert all(isinstance(c, JointTarget) for c in commands)
    assert [c.stamp_ns for c in commands] == [t.stamp_ns for t in targets(end)]
    steps = np.diff([READY, *(c.position for c in commands)], axis=0)
    assert np.allclose(steps, steps[0], atol=1e-6) and np.abs(steps[0]).max() > 1e-4
    velocity = (commands[-1].position - READY) / PERIOD_S
    assert all(np.allclose(c.velocity, velocity, atol=1e-3) for c in commands)
    rest = at_rest(commands[-1])
    assert not rest.velocity.any() and np.array_equal(rest.position, commands[-1].position)
    assert at(commands[0], 5).stamp_ns == 5
    positions = make("joint_group_position").send(targets(TOOL), Mode.RUN, seen())
    assert [type(p) for p in positions] == [PositionTarget] * COUNT


@pytest.mark.parametrize("name", JOINT_MODES)
def test_a_hold_keeps_the_joints_and_driving_again_starts_from_the_measured_ones(name):
    mode = make(name)
    for k in range(3):
        mode.send(targets(TOOL + [0.005 * k, 0.0, 0.0]), Mode.RUN, seen())
    first, later = (mode.send(targets(TOOL + [0.1, 0.0, 0.0]), Mode.HOLD, seen(READY + 0.1))[-1] for _ in range(2))
    assert np.array_equal(joints_of(first), joints_of(later)), "while holding, the far pose and the moved arm are nothing"
    if name != "joint_group_position":
        assert not later.velocity.any()
    moved = READY + 0.1
    commands = mode.send(targets(tool_frame(moved)[0]), Mode.RUN, seen(moved))
    assert np.abs(joints_of(commands[-1]) - moved).max() < 0.1, "from the measured joints"


@pytest.mark.parametrize("name", JOINT_MODES)
def test_a_stop_goes_to_the_measured_joints_once(name):
    mode, moved = make(name), READY + 0.02
    mode.send(targets(TOOL), Mode.RUN, seen())
    for joints in (moved, READY - 0.02):
        command = mode.send(targets(TOOL), Mode.STOP, seen(joints))[-1]
        assert np.abs(joints_of(command) - moved).max() < 1e-9
    fresh = make(name)
    fresh.send(targets(TOOL), Mode.RUN, seen())
    blind = fresh.send(targets(TOOL), Mode.STOP, seen(READY * np.nan, valid=True))
    assert np.isfinite(joints_of(blind[-1])).all(), "joints that are no numbers are not commanded"
    last = mode.send((), Mode.STOP, seen())
    if name == "joint_trajectory":
        assert not last[0].velocity[-1].any() and mode.send((), Mode.STOP, seen()) == (), "braked once"
    else:
        assert last == ()
    assert np.abs(joints_of(mode.send(targets(TOOL), Mode.STOP, seen())[-1]) - READY).max() < 1e-9, "forgotten with the target"
    (last,) = mode.stop(3, seen(moved))
    assert np.array_equal(joints_of(last), moved) and last.stamp_ns == 3


@pytest.mark.parametrize("name", JOINT_MODES)
def test_a_pose_that_joints_cannot_follow_is_a_hold_with_the_reason(name):
    cell, mode = Cell(params=SteeringParams(max_speed_mps=1.0)), make(name)
    cell.position = START
    reasons, held = [], None
    for _ in range(8):
        observation = mode.seen(cell.observation())
        tick = cell.core.tick(observation)
        reasons.append(tick.reason if tick.mode is Mode.HOLD else "")
        far = tuple(PoseTarget(t.stamp_ns, t.position + [0.0, 0.3, 0.0], t.orientation) for t in tick.targets)
        commands = mode.send(far, tick.mode, observation)
        held = joints_of(commands[-1]) if held is None else held
        assert np.array_equal(joints_of(commands[-1]), held), "nothing moves"
        cell.now_ns += cell.contract.period_ns
    assert reasons[0] == "" and "the joints cannot follow the pose target, 0.3" in reasons[1]
    assert "" in reasons[2:], "it resumes after clean observations"


def test_a_trajectory_is_the_rest_of_the_chunk_and_ends_at_rest():
    cell, mode, paths = Cell(lift(predicted=8, executed=6)), make("joint_trajectory"), []
    cell.position, cell.joints = TOOL, READY
    for _ in range(6):
        observation = cell.observation()
        tick = cell.step()
        (path,) = mode.send(tick.targets, tick.mode, observation, cell.core.ahead())
        paths.append((tick.targets[-1].position, path))
    for k, (position, path) in enumerate(paths):
        assert path.stamp_ns == cell.ticks[k].stamp_ns and path.times_s[0] == pytest.approx(PERIOD_S)
        assert (np.diff(path.times_s) >= PERIOD_S - 1e-9).all()
        assert len(path.times_s) == 6 - k + 1, "the rows left, and the way to rest"
        assert not path.velocity[-1].any() and path.velocity[0].any()
        assert (np.abs(path.velocity) <= FASTEST + 1e-9).all()
        assert np.abs(tool_frame(path.position[0])[0] - position).max() < 1e-4
        braking_s = path.times_s[-1] - path.times_s[-2]
        even = path.position[-2] + 0.5 * braking_s * path.velocity[-2]  # constant deceleration: no way back
        assert np.allclose(path.position[-1], even, atol=1e-9)
    foreseen = paths[0][1].position[1:6]
    came = [path.position[0] for _, path in paths[1:]]
    assert np.abs(np.array(came) - foreseen).max() < 1e-3


def world_and_mode(name):
    """A simulated arm, and a mode that has driven it at full speed for half a second."""
    world, mode = World("lift", control_period_ns=round(PERIOD_S * 1e9)), make(name)
    state = world.state()
    position = state.position
    for k in range(10):
        end = state.position + [0.0, 0.0125 * (k + 1), 0.0]
        ahead = tuple((end + [0.0, 0.0125 * (i + 1), 0.0], np.array(HAND_DOWN)) for i in range(5))
        for command in mode.send(targets(end, position, world.time_ns), Mode.RUN, seen(world.state().q), ahead):
            command.apply(world)
            world.advance(10 if mode.streamed else 50)
        position = end
    assert world.control.mode is LAWS[name]
    assert np.abs(world.state().dq).max() > 0.1, "it moves"
    return world, mode, position


@pytest.mark.parametrize("name", COMMAND_MODES)
def test_without_another_word_the_arm_comes_to_rest(name):
    world, _, last = world_and_mode(name)
    world.advance(1500)
    state = world.state()
    assert np.abs(state.dq).max() < 0.01
    further = 0.0625 + 0.02 if name == "joint_trajectory" else 0.03  # a trajectory's five foreseen rows, and braking
    assert 0.0 < state.position[1] - last[1] + 0.03 < further + 0.03


@pytest.mark.parametrize("word", ["HOLD", "pause"])
def test_a_trajectory_that_ran_on_without_ticks_is_braked_and_not_torn_back(word):
    world, mode, last = world_and_mode("joint_trajectory")
    world.advance(150)  # three ticks without an observation: the chunk's rows run
    ways = [world.state().position[1]]
    for _ in range(6):
        held = targets(last, None, world.time_ns)
        told = mode.hold(world.time_ns) if word == "pause" else mode.send(held, Mode.HOLD, seen(valid=False))
        for command in told:
            command.apply(world)
        for _ in range(5):
            world.advance(10)
            ways.append(world.state().position[1])
    assert np.diff(ways).min() > -1e-3, "it never goes back"
    assert np.abs(world.state().dq).max() < 0.05, "and rests"


@pytest.mark.parametrize("word", ["STOP", "last words"])
def test_a_stop_turns_a_trajectory_back_without_more_than_the_joints_acceleration(word):
    world, mode, last = world_and_mode("joint_trajectory")
    q, speeds = world.state().q - 0.03, [world.control.joint.velocity.copy()]  # an arm that lags far behind what it was told
    for _ in range(1 if word == "last words" else 16):
        held = targets(last, None, world.time_ns)
        told = mode.stop(world.time_ns, seen(q)) if word == "last words" else mode.send(held, Mode.STOP, seen(q))
        for command in told:
            command.apply(world)
        for _ in range(5 if word == "STOP" else 80):
            world.advance(10)
            speeds.append(world.control.joint.velocity.copy())
    assert np.abs(world.control.joint.position - q).max() < 1e-3 and np.abs(speeds[-1]).max() < 1e-3, "it ends where it was"
    accelerations = np.diff(speeds, axis=0) / 0.01
    assert 1.0 < np.abs(accelerations).max() < 1.02 * max(load_limits("fr3").joints.acceleration_max_radps2)


def test_a_stop_does_not_go_to_joints_that_cannot_be():
    for name in JOINT_MODES:
        mode = make(name)
        before = joints_of(mode.send(targets(TOOL), Mode.RUN, seen())[-1])
        after = joints_of(mode.send(targets(TOOL), Mode.STOP, seen(READY + 1.0))[-1])
        assert np.abs(after - before).max() < 1e-6


@pytest.mark.parametrize("name", JOINT_MODES)
def test_hold_and_last_words_stop_a_moving_arm(name):
    for word in ("hold", "stop"):
        world, mode, last = world_and_mode(name)
        state = world.state()
        commands = mode.hold(world.time_ns) if word == "hold" else mode.stop(world.time_ns, seen(state.q))
        for command in commands:
            command.apply(world)
        world.advance(1000)
        after = world.state()
        assert np.abs(after.dq).max() < 0.01
        reached = last if word == "hold" else state.position
        assert np.abs(after.position - reached).max() < 0.02
        assert word == "stop" or mode.hold(0) == (), "said once"


@pytest.mark.parametrize("name", COMMAND_MODES)
def test_the_scripted_operator_lifts_the_cube_in_every_mode(name):
    contract = lift()
    person, core = Scripted(contract, task="lift"), make_core(contract, None, seed=0)
    rollout = Rollout(contract, core, region="demo", command_mode=make(name))
    ends, first_ns = [], rollout.world.time_ns + contract.period_ns
    for observation, _, ended in rollout.episode(0, SEED, lambda o: person.command(o)):
        if observation.stamp_ns == first_ns:
            person.begin(observation, SEED)
        ends += [ended] if ended else []
    assert rollout.world.control.mode is LAWS[name]
    assert ends[0].success, ends[0].reason
