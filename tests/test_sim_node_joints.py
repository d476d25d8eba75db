"""Joint commands over the wire: follow_joint_trajectory, joint_trajectory, commands; both clocks; who drives the arm."""

import functools
import time

import numpy as np
import pytest
from control_msgs.action import FollowJointTrajectory
from control_msgs.msg import JointTolerance
from franka_msgs.action import ErrorRecovery
from lpds_msgs.srv import Reset
from sim_client import ABORTED, CANCELED, PERIOD_NS, SUCCEEDED, make_client
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.nodes.messages import stamp_msg, stamp_ns
from lpds_ros.nodes.sim import SimNode
from lpds_ros.sim.control import Mode
from lpds_ros.sim.fr3 import JOINTS

ACTION, TOPIC = "fr3_arm_controller/follow_joint_trajectory", "fr3_arm_controller/joint_trajectory"
COMMANDS = "forward_position_controller/commands"
Result = FollowJointTrajectory.Result
SHIFT = np.array([0.3, -0.1, 0.0, 0.1, 0.0, 0.1, 0.3])
FOREVER_S = 600.0  # of simulated time: not over before the test is


@pytest.fixture
def make_sim(ros):
    return functools.partial(make_client, ros, controller="any")


def point(time_s, positions, velocities=()):
    message = JointTrajectoryPoint(positions=[float(q) for q in positions], velocities=[float(v) for v in velocities])
    message.time_from_start.sec, message.time_from_start.nanosec = int(time_s), int(time_s % 1 * 1e9)
    return message


def trajectory(*points, names=JOINTS):
    return JointTrajectory(joint_names=list(names), points=list(points))


def rest_at(q, time_s=1.0):
    return trajectory(point(time_s, q, np.zeros(7)))


def follow(client, message, feedback=None, **tolerances):
    goal = FollowJointTrajectory.Goal(trajectory=message, **tolerances)
    return client.send(ACTION, goal, FollowJointTrajectory, feedback)


def ended(client, handle):
    """Status and result of a goal, once it has ended."""
    future = handle.get_result_async()
    client.ros.wait(future.done, what="the trajectory's end")
    return future.result().status, future.result().result


def sayer(client, kind, topic, message):
    """A function that publishes `message`."""
    publisher = client.node.create_publisher(kind, topic, 1)
    client.ros.wait(publisher.get_subscription_count, what=f"a subscription on {topic}")
    return lambda: publisher.publish(message)


def publish(client, kind, topic, message, heard):
    """Say `message` until it is heard: these topics are best effort."""
    client.ros.wait(heard, what=f"{topic} to be obeyed", saying=sayer(client, kind, topic, message))


def logged(ros, capfd, text, saying=lambda: None):
    """What was logged since the last look, up to `text`."""
    log = []
    ros.wait(lambda: log.append(capfd.readouterr().err) or text in "".join(log), f"'{text}' in the log", saying=saying)
    return "".join(log)


def test_lockstep_passes_the_periods_of_a_trajectory_and_then_waits(ros, make_sim):
    client = make_sim("lockstep")
    start, begin = client.stamp, client.sim.world.state().q
    heard = []
    handle = follow(client, rest_at(begin + SHIFT), heard.append)
    assert handle.accepted
    status, result = ended(client, handle)
    assert (status, result.error_code) == (SUCCEEDED, Result.SUCCESSFUL)
    assert result.error_string == "Goal successfully reached!"
    state = client.sim.world.state()
    np.testing.assert_allclose(state.q, begin + SHIFT, atol=2e-3)
    assert start + 1_000_000_000 <= state.stamp_ns <= start + 3_000_000_000
    assert (state.stamp_ns - start) % PERIOD_NS == 0
    said = len(client.tasks)
    ros.wait(lambda: len(client.tasks) >= said + 2, what="the state, said twice again")
    assert client.stamp == state.stamp_ns  # the trajectory is over: time stands still again

    ros.wait(lambda: len(heard) > 5, what="feedback")
    feedback = [message.feedback for message in heard]
    assert all(list(f.joint_names) == list(JOINTS) for f in feedback)
    for f in feedback[1:]:
        np.testing.assert_allclose(np.subtract(f.desired.positions, f.actual.positions), f.error.positions, atol=1e-12)
        assert len(f.desired.velocities) == len(f.actual.velocities) == len(f.error.velocities) == 7
    stamps = [stamp_ns(f.header.stamp) for f in feedback]
    assert stamps == sorted(stamps) and stamps[-1] > start


def test_the_same_trajectory_gives_the_same_bits(ros, make_sim):
    client = make_sim("lockstep")
    ends = []
    for _ in range(2):
        first = stamp_ns(client.call(Reset, "lpds/reset", Reset.Request(seed=11)).stamp)
        client.reach(first)
        handle = follow(client, rest_at(client.sim.world.state().q + SHIFT))
        assert ended(client, handle)[0] == SUCCEEDED
        ends.append((client.sim.world.data.qpos.copy(), client.sim.world.time_ns - first))
    assert np.array_equal(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1]


def bad_goals(q):
    zeros, tolerance = np.zeros(7), JointTolerance(name="fr3_joint9", position=0.1)
    yield "INVALID_JOINTS: joints [a, b]", {"trajectory": trajectory(point(1.0, q[:2]), names=("a", "b"))}
    yield "INVALID_GOAL: the trajectory has no points", {"trajectory": trajectory()}
    yield "times must rise", {"trajectory": trajectory(point(1.0, q), point(1.0, q))}
    yield "not finite", {"trajectory": trajectory(point(1.0, q * np.nan))}
    yield "velocities must be zero", {"trajectory": trajectory(point(1.0, q, zeros + 0.1))}
    yield "outside its limits", {"trajectory": trajectory(point(1.0, q + 4.0))}
    yield "allow more time", {"trajectory": trajectory(point(0.2, q + 4 * SHIFT))}
    yield "joint 'fr3_joint9'", {"trajectory": rest_at(q), "path_tolerance": [tolerance]}
    wrong = JointTolerance(name="fr3_joint1", position=-2.0)
    yield "position tolerance of fr3_joint1 is -2", {"trajectory": rest_at(q), "goal_tolerance": [wrong]}
    old = rest_at(q)
    old.header.stamp = stamp_msg(1)
    yield "OLD_HEADER_TIMESTAMP: the trajectory ended", {"trajectory": old}


def test_a_bad_goal_is_refused_in_one_line_and_nothing_moves(ros, make_sim, capfd):
    client = make_sim("lockstep")
    ros.call(client.sim.world.advance, 1500)  # so that a stamp can be old
    before, posed = client.sim.world.time_ns, client.sim.world.data.qpos.copy()
    for text, fields in bad_goals(client.sim.world.state().q):
        handle = client.send(ACTION, FollowJointTrajectory.Goal(**fields), FollowJointTrajectory)
        assert not handle.accepted, text
        log = logged(ros, capfd, text)
        assert len([line for line in log.splitlines() if "refused" in line]) == 1
    assert client.sim.world.control.mode is Mode.CARTESIAN
    assert client.sim.world.time_ns == before and np.array_equal(client.sim.world.data.qpos, posed)


def test_tolerances_of_the_goal_decide_how_it_ends(ros, make_sim):
    client = make_sim("lockstep")
    q = client.sim.world.state().q
    tight = [JointTolerance(name=name, position=1e-4) for name in JOINTS]
    status, result = ended(client, follow(client, rest_at(q + SHIFT, 0.5), path_tolerance=tight))
    assert (status, result.error_code) == (ABORTED, Result.PATH_TOLERANCE_VIOLATED)
    assert "off the path: fr3_joint" in result.error_string
    impossible = [JointTolerance(name=name, position=1e-12, velocity=-1.0) for name in JOINTS]
    goal = FollowJointTrajectory.Goal(trajectory=rest_at(q + SHIFT, 0.5), goal_tolerance=impossible)
    goal.goal_time_tolerance.nanosec = 300_000_000
    status, result = ended(client, client.send(ACTION, goal, FollowJointTrajectory))
    assert (status, result.error_code) == (ABORTED, Result.GOAL_TOLERANCE_VIOLATED)
    assert "not at the goal 0.30" in result.error_string


def test_a_canceled_goal_stops_the_arm(ros, make_sim):
    client = make_sim("lockstep")
    q = client.sim.world.state().q
    handle = follow(client, rest_at(q + SHIFT, FOREVER_S))
    client.reach(client.stamp + 10 * PERIOD_NS)
    cancel = ros.call(handle.cancel_goal_async)
    ros.wait(cancel.done, what="the answer to the cancellation")
    assert cancel.result().goals_canceling
    status, result = ended(client, handle)
    assert (status, result.error_code) == (CANCELED, Result.SUCCESSFUL)
    assert not client.sim.world.control.following
    held = client.sim.world.time_ns
    said = len(client.tasks)
    ros.wait(lambda: len(client.tasks) >= said + 2, what="the state, said twice again")
    assert client.sim.world.time_ns == held
    assert np.abs(client.sim.world.state().q - q - SHIFT).max() > 0.2


def test_a_newer_goal_preempts_an_older_one(ros, make_sim):
    client = make_sim("lockstep")
    q = client.sim.world.state().q
    first = follow(client, rest_at(q + SHIFT, FOREVER_S))
    second = follow(client, rest_at(q, 1.0))
    status, result = ended(client, first)
    assert (status, result.error_code) == (ABORTED, Result.INVALID_GOAL)
    assert "preempted: a newer trajectory" in result.error_string
    assert ended(client, second)[0] == SUCCEEDED


def test_a_goal_ends_with_another_command_a_reset_or_a_reflex(ros, make_sim):
    client = make_sim("lockstep")
    q = client.sim.world.state().q

    def pose_target():
        client.burst(client.stamp, last=1)  # once: what is still on its way would take the next goal's arm over
        ros.wait(lambda: not client.sim.world.control.following, what="the target")

    def joints():
        message = Float64MultiArray(data=q.tolist())
        publish(client, Float64MultiArray, COMMANDS, message, lambda: client.sim.world.control.mode is Mode.POSITION)

    reset = functools.partial(client.call, Reset, "lpds/reset", Reset.Request(seed=3))
    reflex = functools.partial(client.call, Trigger, "lpds/reflex")
    for end, text in (
        (pose_target, "a pose target took the arm over"),
        (joints, "joint positions took the arm over"),
        (reset, "the task was reset"),
        (reflex, "the arm tripped a reflex"),
    ):
        handle = follow(client, rest_at(q + SHIFT, FOREVER_S))
        assert handle.accepted, text
        end()
        status, result = ended(client, handle)
        assert (status, result.error_code) == (ABORTED, Result.INVALID_GOAL) and text in result.error_string
    assert not follow(client, rest_at(q)).accepted  # still in REFLEX
    recovered = client.goal(ErrorRecovery, "action_server/error_recovery")
    ros.wait(recovered.done, what="the recovery")
    assert ended(client, follow(client, rest_at(client.sim.world.state().q)))[0] == SUCCEEDED


def test_trajectories_by_topic_replace_each_other_and_bad_ones_are_ignored(ros, make_sim, capfd):
    client = make_sim("lockstep")
    q, world = client.sim.world.state().q, client.sim.world
    publish(client, JointTrajectory, TOPIC, rest_at(q + SHIFT, FOREVER_S), lambda: world.control.following)
    bad = sayer(client, JointTrajectory, TOPIC, trajectory(point(1.0, q[:6])))
    logged(ros, capfd, "joint_trajectory refused: point 0: positions holds 6 numbers", bad)
    assert world.control.following
    number = world.control._number
    publish(client, JointTrajectory, TOPIC, rest_at(q + SHIFT, 1.0), lambda: world.control._number > number)
    ros.wait(lambda: not world.control.following, what="the new trajectory's end")  # said again it would begin again
    np.testing.assert_allclose(world.state().q, q + SHIFT, atol=0.02)


def test_lockstep_passes_one_period_per_message_of_joint_positions(ros, make_sim):
    client = make_sim("lockstep")
    q, start = client.sim.world.state().q, client.sim.world.time_ns
    message = Float64MultiArray(data=(q + SHIFT).tolist())
    publish(client, Float64MultiArray, COMMANDS, message, lambda: client.sim.world.time_ns > start)
    client.reach(start + PERIOD_NS)
    for _ in range(20):
        before = client.sim.world.time_ns
        ros.call(client.sim._joints._on_commands, message)
        assert client.sim.world.time_ns == before + PERIOD_NS
    np.testing.assert_allclose(client.sim.world.state().q, q + SHIFT, atol=2e-3)


@pytest.mark.parametrize("data", [[0.0] * 6, [float("nan")] * 7, [4.0] * 7])
def test_bad_joint_positions_are_ignored_with_a_line_in_the_log(ros, make_sim, capfd, data):
    client = make_sim("lockstep")
    start = client.stamp
    bad = sayer(client, Float64MultiArray, COMMANDS, Float64MultiArray(data=data))
    logged(ros, capfd, f"{COMMANDS} refused: ", bad)
    assert client.sim.world.time_ns == start and client.sim.world.control.mode is Mode.CARTESIAN


def test_realtime_follows_reports_and_hands_over(ros, make_sim):
    client = make_sim("realtime")
    q, heard = client.sim.world.state().q, []
    message = trajectory(point(0.3, q + SHIFT / 2, SHIFT), point(0.8, q + SHIFT, np.zeros(7)))
    message.header.stamp = stamp_msg(time.time_ns() + 200_000_000)
    status, result = ended(client, follow(client, message, heard.append))
    assert (status, result.error_code) == (SUCCEEDED, Result.SUCCESSFUL), result.error_string
    np.testing.assert_allclose(client.sim.world.state().q, q + SHIFT, atol=5e-3)
    ros.wait(lambda: heard, what="feedback")
    publish(
        client,
        Float64MultiArray,
        COMMANDS,
        Float64MultiArray(data=q.tolist()),
        lambda: np.abs(client.sim.world.state().q - q).max() < 2e-3,
    )
    handle = follow(client, rest_at(q + SHIFT, FOREVER_S))
    client.burst(client.stamp)
    status, result = ended(client, handle)
    assert (status, result.error_code) == (ABORTED, Result.INVALID_GOAL) and "pose target" in result.error_string


def test_controllers_are_named_by_parameters(ros):
    names = {"trajectory_controller": "arm_controller", "position_controller": "position_controller"}
    given = {"task": "lift", "clock": "lockstep", "controller": "arm_controller", **names}
    node = ros.add(SimNode(context=ros.context, parameters=given))
    subscribed = dict(node.get_subscriber_names_and_types_by_node("sim", "/"))
    assert {"/arm_controller/joint_trajectory", "/position_controller/commands"} <= subscribed.keys()
    services = dict(node.get_service_names_and_types_by_node("sim", "/"))
    assert "/arm_controller/follow_joint_trajectory/_action/send_goal" in services
