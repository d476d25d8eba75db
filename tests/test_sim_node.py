"""The sim node as franka_ros2 would be seen: topics, types, QoS, gripper actions, recovery, reset, and both clocks."""

import functools
import time

import numpy as np
import pytest
from franka_msgs.action import Grasp, Move
from franka_msgs.msg import FrankaRobotState
from franka_msgs.srv import SetForceTorqueCollisionBehavior
from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from lpds_msgs.srv import Reset
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from sim_client import ABORTED, COUNT, PERIOD_NS, STATE, SUCCEEDED, make_client
from std_srvs.srv import Trigger

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_ns
from lpds_ros.nodes.sim import SimNode, longest_slice_ms
from lpds_ros.resources import resource
from lpds_ros.sim.world import SimulationError


@pytest.fixture
def make_sim(ros):
    return functools.partial(make_client, ros)


def test_topics_types_and_qos_are_those_of_franka_ros2(ros, make_sim):
    client = make_sim("lockstep")
    best_effort, reliable = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
    expected = {
        f"{STATE}/current_pose": ("geometry_msgs/msg/PoseStamped", best_effort),
        f"{STATE}/last_desired_pose": ("geometry_msgs/msg/PoseStamped", best_effort),
        f"{STATE}/measured_joint_states": ("sensor_msgs/msg/JointState", best_effort),
        f"{STATE}/desired_joint_states": ("sensor_msgs/msg/JointState", best_effort),
        f"{STATE}/external_wrench_in_base_frame": ("geometry_msgs/msg/WrenchStamped", best_effort),
        f"{STATE}/robot_state": ("franka_msgs/msg/FrankaRobotState", reliable),
        "franka/joint_states": ("sensor_msgs/msg/JointState", reliable),
        "joint_states": ("sensor_msgs/msg/JointState", reliable),
        "franka_gripper/joint_states": ("sensor_msgs/msg/JointState", reliable),
        "lpds/object_pose": ("geometry_msgs/msg/PoseStamped", reliable),
        "lpds/task_state": ("lpds_msgs/msg/TaskState", reliable),
        "clock": ("rosgraph_msgs/msg/Clock", reliable),
        "tf": ("tf2_msgs/msg/TFMessage", reliable),
        "tf_static": ("tf2_msgs/msg/TFMessage", reliable),
    }
    for topic, (kind, reliability) in expected.items():
        info = ros.wait(lambda t=topic: client.node.get_publishers_info_by_topic(f"/{t}"), what=topic)
        assert (info[0].topic_type, info[0].qos_profile.reliability) == (kind, reliability), topic
    accepted = {
        "target_pose": ("geometry_msgs/msg/PoseStamped", reliable),
        "target_joint": ("sensor_msgs/msg/JointState", reliable),
        # ros2_controllers subscribe with the middleware's defaults, which for a reader are best effort.
        "fr3_arm_controller/joint_trajectory": ("trajectory_msgs/msg/JointTrajectory", best_effort),
        # In lockstep a period takes every one of its positions.
        "forward_position_controller/commands": ("std_msgs/msg/Float64MultiArray", reliable),
    }
    for topic, (kind, reliability) in accepted.items():
        info = ros.wait(lambda t=topic: client.node.get_subscriptions_info_by_topic(f"/{t}"), what=topic)
        assert (info[0].topic_type, info[0].qos_profile.reliability) == (kind, reliability), topic
    info = client.node.get_publishers_info_by_topic("/tf_static")
    assert info[0].qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_lockstep_state_has_one_stamp_on_every_topic_and_true_contents(ros, make_sim):
    client = make_sim("lockstep")
    heard = {}
    kinds = dict.fromkeys((f"{STATE}/measured_joint_states", "joint_states", "franka_gripper/joint_states"), JointState)
    parts = {  # as franka_robot_state_broadcaster publishes them
        "external_wrench_in_base_frame": (WrenchStamped, "o_f_ext_hat_k"),
        "external_wrench_in_stiffness_frame": (WrenchStamped, "k_f_ext_hat_k"),
        "external_joint_torques": (JointState, "tau_ext_hat_filtered"),
        "desired_end_effector_twist": (TwistStamped, "o_dp_ee_d"),
    }
    kinds |= {f"{STATE}/robot_state": FrankaRobotState} | {f"{STATE}/{name}": kind for name, (kind, _) in parts.items()}
    for topic, kind in kinds.items():
        client.node.create_subscription(kind, topic, lambda m, t=topic: heard.__setitem__(t, m), qos.ROBOT_STATE)
    clocks = []
    client.node.create_subscription(Clock, "/clock", clocks.append, 10)
    ros.wait(lambda: heard.keys() == kinds.keys() and clocks and client.poses, what="every topic, said again")
    state = client.sim.world.state()
    assert {stamp_ns(m.header.stamp) for m in heard.values()} == {state.stamp_ns} == {stamp_ns(clocks[-1].clock)}
    np.testing.assert_array_equal(heard[f"{STATE}/measured_joint_states"].position, state.q)
    for name, (_, field) in parts.items():
        assert heard[f"{STATE}/{name}"] == getattr(heard[f"{STATE}/robot_state"], field), name
    assert list(heard[f"{STATE}/measured_joint_states"].name) == [f"fr3_joint{i}" for i in range(1, 8)]
    assert list(heard["franka_gripper/joint_states"].name) == ["fr3_finger_joint1", "fr3_finger_joint2"]
    assert sum(heard["franka_gripper/joint_states"].position) == pytest.approx(0.08)
    assert len(heard["joint_states"].name) == len(heard["joint_states"].position) == 9
    assert heard[f"{STATE}/robot_state"].robot_mode == FrankaRobotState.ROBOT_MODE_MOVE
    assert client.poses[-1].header.frame_id == "base"


def test_lockstep_advances_one_period_per_burst_and_no_more(ros, make_sim):
    client = make_sim("lockstep", targets_per_period=COUNT)
    start = client.stamp
    client.burst(start, last=COUNT - 1)
    time.sleep(0.1)
    assert client.sim.world.time_ns == start  # the burst's last target is missing
    client.burst(start, first=COUNT - 1)
    client.reach(start + PERIOD_NS)
    client.burst(start)  # a retransmission of the old burst
    time.sleep(0.1)
    assert client.sim.world.time_ns == start + PERIOD_NS


def test_lockstep_says_its_state_again_when_no_command_comes(ros, make_sim):
    client = make_sim("lockstep")
    before = len(client.tasks)
    ros.wait(lambda: len(client.tasks) >= before + 2, what="two repetitions")
    assert len({stamp_ns(task.header.stamp) for task in client.tasks}) == 1
    assert all(task.reward == 0.0 and task.seed == 3 for task in client.tasks)


def test_lockstep_is_deterministic_over_the_wire(ros, make_sim):
    client = make_sim("lockstep")
    ends = []
    for _ in range(2):
        answer = client.call(Reset, "lpds/reset", Reset.Request(seed=11))
        first = stamp_ns(answer.stamp)
        client.reach(first)
        goal = client.goal(Grasp, "franka_gripper/grasp", width=0.0, speed=0.1, force=30.0)
        for k in range(6):
            client.burst(first + k * PERIOD_NS, (0.5 + 0.01 * k, 0.02, 0.2))
            client.reach(first + (k + 1) * PERIOD_NS)
        ends.append(client.sim.world.data.qpos.copy())
        assert not goal.done()
    assert np.array_equal(*ends)


def test_reset_poses_anew_and_its_stamp_is_the_first_states(ros, make_sim):
    client = make_sim("lockstep")
    before = client.stamp
    answer = client.call(Reset, "lpds/reset", Reset.Request(seed=8))
    assert answer.success and stamp_ns(answer.stamp) == before + PERIOD_NS
    client.reach(stamp_ns(answer.stamp))
    assert client.stamp == stamp_ns(answer.stamp) and client.tasks[-1].seed == 8
    expected = client.sim.world.task.sample(8, "full")[1]
    np.testing.assert_allclose(client.sim.world.state().object_position, expected, atol=1e-3)


def test_gripper_goals_end_on_simulated_time(ros, make_sim):
    client = make_sim("lockstep")
    result = client.goal(Move, "franka_gripper/move", width=0.02, speed=0.1)
    time.sleep(0.1)
    assert not result.done() and client.sim.world.width_m == pytest.approx(0.08, abs=1e-6)
    client.run()
    ros.wait(result.done, what="the move's result")
    assert result.result().status == SUCCEEDED and result.result().result.success
    assert client.sim.world.width_m == pytest.approx(0.02, abs=1e-3)
    assert client.sim.world.time_ns > 1_500_000_000


def test_gripper_goals_that_fail_say_why(ros, make_sim):
    client = make_sim("lockstep")
    bad = client.goal(Move, "franka_gripper/move", width=0.5, speed=0.1)
    ros.wait(bad.done)
    assert bad.result().status == ABORTED and "width 0.5" in bad.result().result.error
    first = client.goal(Move, "franka_gripper/move", width=0.0, speed=0.01)
    second = client.goal(Move, "franka_gripper/move", width=0.07, speed=0.1)
    client.run()
    ros.wait(lambda: first.done() and second.done())
    assert first.result().status == ABORTED and "another goal" in first.result().result.error
    assert second.result().status == SUCCEEDED
    client.drive = False
    slow = client.goal(Move, "franka_gripper/move", width=0.0, speed=0.001)
    assert client.call(Trigger, "franka_gripper/stop").success
    ros.wait(slow.done)
    assert slow.result().status == ABORTED


def test_targets_that_are_not_finite_or_fought_over_are_ignored(ros, make_sim):
    client = make_sim("lockstep")
    start = client.stamp
    client.burst(start, (float("nan"), 0.0, 0.2))
    time.sleep(0.1)
    assert client.sim.world.time_ns == start
    rival = client.node.create_publisher(PoseStamped, "target_pose", qos.TARGET_LOCKSTEP)
    ros.wait(lambda: client.sim.count_publishers("target_pose") == 2)
    client.burst(start)
    time.sleep(0.1)
    assert client.sim.world.time_ns == start
    ros.call(client.node.destroy_publisher, rival)
    ros.wait(lambda: client.sim.count_publishers("target_pose") == 1)
    client.burst(start)
    client.reach(start + PERIOD_NS)


def test_collision_limits_are_set_by_service_and_bad_ones_refused(ros, make_sim):
    client = make_sim("lockstep")
    name = "service_server/set_force_torque_collision_behavior"
    good = SetForceTorqueCollisionBehavior.Request(upper_force_thresholds_nominal=np.array([30.0] * 6))
    assert client.call(SetForceTorqueCollisionBehavior, name, good).success
    np.testing.assert_array_equal(client.sim.world._collision_limits, 30.0)
    bad = client.call(SetForceTorqueCollisionBehavior, name)
    assert not bad.success and "above 0" in bad.error


def test_realtime_keeps_the_wall_clocks_pace_and_stamps(ros, make_sim):
    client = make_sim("realtime")
    ros.wait(lambda: client.poses, what="a pose")
    client.burst(time.time_ns(), (0.5, 0.1, 0.25))
    ros.wait(lambda: abs(client.poses[-1].pose.position.y - 0.1) < 0.02, what="the arm at its target")
    before = time.time_ns()
    ros.wait(lambda: stamp_ns(client.poses[-1].header.stamp) >= before, what="a pose of now")
    assert stamp_ns(client.poses[-1].header.stamp) <= time.time_ns()

    # A machine that stalls gives time up; while it does not, simulated time and system time pass alike.
    def pace():
        began, physics = time.monotonic(), client.sim.world.data.time
        time.sleep(0.5)
        return (client.sim.world.data.time - physics) / (time.monotonic() - began)

    def gap_ns(messages):
        return np.median(np.diff([stamp_ns(m.header.stamp) for m in messages[-20:]]))

    ros.wait(lambda: pace() == pytest.approx(1.0, abs=0.3), what="the pace of the wall clock")
    ros.wait(lambda: 9e6 < gap_ns(client.poses) < 33e6, what="some 30 to 110 poses a second")
    ros.wait(lambda: gap_ns(client.tasks) == pytest.approx(PERIOD_NS, rel=0.3), what="a task state each period")


@pytest.mark.parametrize("rates, slice_ms", [((30, 100), 5), ((200, 1), 5), ((250.0,), 4), ((300,), 3), ((1000, 30), 1)])
def test_the_physics_is_sliced_so_that_every_rate_can_be_served(rates, slice_ms):
    assert longest_slice_ms(rates) == slice_ms


def test_realtime_gripper_and_reset(ros, make_sim):
    client = make_sim("realtime")
    result = client.goal(Move, "franka_gripper/move", width=0.04, speed=0.4)
    ros.wait(result.done)
    assert result.result().status == SUCCEEDED
    before = time.time_ns()
    answer = client.call(Reset, "lpds/reset", Reset.Request(seed=5))
    assert before <= stamp_ns(answer.stamp) <= time.time_ns()
    assert client.sim.world.width_m == pytest.approx(0.08, abs=1e-3)
    ros.wait(lambda: client.tasks[-1].seed == 5)


def test_parameters_that_contradict_the_contract_are_refused(ros):
    other = {"task": "pick_place", "contract": str(resource("config/contracts/lift.yaml"))}
    for parameters, text in (({}, "both empty"), (other, "is for task 'lift'")):
        with pytest.raises(SimulationError, match=text):
            SimNode(context=ros.context, parameters=parameters)
    for parameters, text in (({"clok": "lockstep"}, "did you mean 'clock'"), ({"task": "lyft"}, "did you mean 'lift'")):
        with pytest.raises(ValueError, match=text):
            SimNode(context=ros.context, parameters=parameters)
