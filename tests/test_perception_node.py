"""The perception node between fake streams and a listener."""

import time
from itertools import pairwise

import numpy as np
import pytest
from steering_fakes import lift

pytest.importorskip("rclpy")
from franka_msgs.msg import FrankaRobotState  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from lpds_msgs.msg import Observation, TaskState  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from lpds_ros.nodes import qos  # noqa: E402
from lpds_ros.nodes.messages import observation_from_msg, pose_stamped_msg, stamp_msg, stamp_ns  # noqa: E402
from lpds_ros.nodes.perception import LOOKS, PerceptionNode  # noqa: E402 (imports ROS)
from lpds_ros.parameters import ParameterError  # noqa: E402
from lpds_ros.perception.align import TASK_AGE, Aligner  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402

SECOND = 1_000_000_000
CONTRACT = lift()
NEVER_S = 60.0  # the longest missing_s: longer than this machine stalls


class Robot:
    """Publishes the contract's streams; `heard` are the observations."""

    def __init__(self, ros, **parameters):
        self.node = ros.node("robot")
        self.publishers = {
            name: self.node.create_publisher(
                PoseStamped if s.type.endswith("PoseStamped") else JointState, s.topic, qos.ROBOT_STATE
            )
            for name, s in CONTRACT.streams.items()
        }
        self.task = self.node.create_publisher(TaskState, "lpds/task_state", qos.CONTROL)
        self.heard, self.said_ns = [], []
        self.node.create_subscription(Observation, "lpds/observation", self.heard.append, qos.CONTROL)
        path = str(resource("config/contracts/lift.yaml"))
        self.perception = ros.add(
            PerceptionNode(context=ros.context, parameters={"contract": path, "missing_s": NEVER_S, **parameters})
        )
        topics = [*self.publishers.values(), self.task]
        ros.wait(lambda: all(p.get_subscription_count() for p in topics), what="perception's subscriptions")
        ros.wait(lambda: self.node.count_publishers("lpds/observation"), what="perception's publisher")

    def say(self, stamp, *, leave_out=(), x=0.5):
        self.said_ns.append(stamp)
        poses = {"pose": ([x, 0.1, 0.3], [1.0, 0, 0, 0]), "object": ([0.5, 0.1, 0.02], [0, 0, 0, 1.0])}
        joints = {"joint_state": [0.1] * 7, "gripper": [0.03, 0.03]}
        for name, publisher in self.publishers.items():
            if name in leave_out:
                continue
            if name in poses:
                publisher.publish(pose_stamped_msg(stamp, *poses[name]))
            else:
                message = JointState(position=joints[name], velocity=[0.0] * len(joints[name]))
                message.header.stamp = stamp_msg(stamp)
                publisher.publish(message)

    def say_task(self, stamp, reward=0.0, success=False):
        message = TaskState(task="lift", reward=reward, success=success)
        message.header.stamp = stamp_msg(stamp)
        self.task.publish(message)


def test_lockstep_gives_one_observation_when_everything_carries_the_stamp(ros):
    robot = Robot(ros, clock="lockstep")
    robot.say_task(SECOND, 1.0, True)
    robot.say(SECOND)
    ros.wait(lambda: robot.heard, what="an observation")
    robot.say(SECOND + 50_000_000, x=0.51)
    robot.say_task(SECOND + 50_000_000)
    ros.wait(lambda: len(robot.heard) == 2, what="the second observation")
    records = [observation_from_msg(m, CONTRACT) for m in robot.heard]
    assert [r.stamp_ns for r in records] == [SECOND, SECOND + 50_000_000]
    assert all(r.valid for r in records) and [r.reward for r in records] == [1.0, 0.0]
    assert records[1].data[0] == np.float32(0.51)


def test_what_the_node_sends_is_bit_equal_to_the_aligner_alone(ros):
    robot = Robot(ros, clock="lockstep")
    robot.say(SECOND, x=0.123456789)
    robot.say_task(SECOND)
    ros.wait(lambda: robot.heard, what="an observation")
    aligner = Aligner(CONTRACT)
    aligner.push_pose("pose", SECOND, [0.123456789, 0.1, 0.3], [1.0, 0, 0, 0])
    aligner.push_pose("object", SECOND, [0.5, 0.1, 0.02], [0, 0, 0, 1.0])
    aligner.push_joints("joint_state", SECOND, [0.1] * 7, [0.0] * 7)
    aligner.push_joints("gripper", SECOND, [0.03, 0.03])
    live = observation_from_msg(robot.heard[0], CONTRACT)
    assert live.data.tobytes() == aligner.observe(SECOND).data.tobytes()
    from_hand = np.array([0.5 - 0.123456789, 0.1 - 0.1, 0.02 - 0.3]).astype(np.float32)
    assert live.data[CONTRACT.feature_slices()["object_from_ee"]].tobytes() == from_hand.tobytes()


def test_a_repeated_state_gets_the_same_observation_again(ros):
    robot = Robot(ros, clock="lockstep")
    robot.say(SECOND)
    robot.say_task(SECOND, 1.0)
    ros.wait(lambda: len(robot.heard) == 1)
    robot.say(SECOND)
    robot.say_task(SECOND, 1.0)
    ros.wait(lambda: len(robot.heard) == 2, what="the repetition")
    assert robot.heard[0] == robot.heard[1]


def test_lockstep_names_a_stream_that_stays_away_and_takes_it_when_it_comes(ros):
    robot = Robot(ros, clock="lockstep", missing_s=0.3)
    start = time.monotonic()
    robot.say(SECOND, leave_out=("object",))
    robot.say_task(SECOND)
    ros.wait(lambda: robot.heard, what="an invalid observation")
    assert time.monotonic() - start >= 0.3
    assert not robot.heard[0].valid and "stream 'object' (lpds/object_pose)" in robot.heard[0].reason

    def say_all():
        robot.say(SECOND)
        robot.say_task(SECOND)

    ros.wait(lambda: robot.heard[-1].valid, what="a valid observation", saying=say_all)


def test_a_process_that_stalled_looks_again_before_it_calls_a_stream_missing(ros):
    node, told = Robot(ros, clock="lockstep").perception, []
    for timer in node.timers:
        timer.cancel()
    node._emit, node._pending_ns = told.append, SECOND
    for _ in range(LOOKS):
        node._look()  # however late each one comes
    assert not told
    node._look()
    assert not told[0].valid and "has given no sample" in told[0].reason


def test_realtime_ticks_at_the_rate_names_what_is_missing_and_measures_ages(ros):
    robot = Robot(ros, clock="realtime")
    ros.wait(lambda: robot.heard, what="an observation without streams")
    assert not robot.heard[-1].valid and "has given no sample" in robot.heard[-1].reason
    before = time.time_ns()
    message = ros.wait(
        lambda: next((m for m in robot.heard if m.valid), None),
        what="a valid observation",
        saying=lambda: robot.say(time.time_ns()),
    )
    stamp = stamp_ns(message.header.stamp)
    assert before <= stamp <= time.time_ns()
    ages_s = dict(zip(message.streams, message.ages_s))
    assert ages_s.pop(TASK_AGE) >= 0 and list(ages_s) == list(CONTRACT.streams)
    for name, age_s in ages_s.items():
        assert min(abs(stamp - said - age_s * 1e9) for said in robot.said_ns) < 1000, f"{name}: {age_s} s"
        assert 0 <= age_s <= CONTRACT.streams[name].max_age_s
    stale = ros.wait(lambda: not robot.heard[-1].valid and robot.heard[-1], what="staleness after the streams end")
    assert "old, limit" in stale.reason

    def gaps_ns():
        return [b - a for a, b in pairwise(stamp_ns(m.header.stamp) for m in robot.heard)]

    # Two ticks that nothing delayed are a period apart, and there are never more ticks than periods.
    ros.wait(lambda: len(gaps_ns()) > 12, what="some ticks")
    ros.wait(lambda: min(gaps_ns()) < 1.2 * CONTRACT.period_ns, what="a tick one period after another")
    assert sum(gaps_ns()) > (len(gaps_ns()) - 2) * CONTRACT.period_ns


STATE_TOPIC = "robot_state"


def say_state(publisher, stamp, mode=2, **flags):
    message = FrankaRobotState(robot_mode=mode, control_command_success_rate=1.0)
    message.header.stamp = stamp_msg(stamp)
    for name, value in flags.items():
        setattr(message.current_errors, name, value)
    publisher.publish(message)


def with_robot_state(ros, **parameters):
    robot = Robot(ros, robot_state_topic=STATE_TOPIC, **parameters)
    state = robot.node.create_publisher(FrankaRobotState, STATE_TOPIC, 1)
    ros.wait(state.get_subscription_count, what="perception's ear for the robot's state")
    return robot, state


def test_lockstep_waits_for_the_robots_state_and_says_it_again_when_it_has_changed(ros):
    robot, state = with_robot_state(ros, clock="lockstep")
    robot.say(SECOND)
    robot.say_task(SECOND)
    time.sleep(0.2)
    assert not robot.heard
    say_state(state, SECOND, mode=4, cartesian_reflex=True, power_limit_violation=True)
    ros.wait(lambda: robot.heard, what="an observation")
    assert robot.heard[0].valid and robot.heard[0].robot_mode == 4
    assert robot.heard[0].robot_error == "the robot is in REFLEX: cartesian_reflex, power_limit_violation"

    def again():
        say_state(state, SECOND, mode=2)
        robot.say_task(SECOND)

    ros.wait(lambda: robot.heard[-1].robot_mode == 2, what="the recovered robot", saying=again)
    assert robot.heard[-1].robot_error == "" and stamp_ns(robot.heard[-1].header.stamp) == SECOND


def test_realtime_takes_the_newest_robot_state_and_names_its_silence(ros):
    robot, state = with_robot_state(ros, clock="realtime", robot_state_max_age_s=0.3)

    def say(mode, **flags):
        robot.say(time.time_ns())
        say_state(state, time.time_ns(), mode, **flags)

    ros.wait(lambda: any(m.valid and m.robot_mode == 2 for m in robot.heard), what="a robot in MOVE", saying=lambda: say(2))
    ros.wait(lambda: robot.heard[-1].robot_mode == 5, what="USER_STOPPED", saying=lambda: say(5))
    assert robot.heard[-1].robot_error == "the robot is in USER_STOPPED"
    silent = ros.wait(
        lambda: next((m for m in reversed(robot.heard) if "robot state (robot_state) is" in m.reason), None),
        what="the silent robot named",
        saying=lambda: robot.say(time.time_ns()),
    )
    assert not silent.valid and "old, limit 0.30 s" in silent.reason
    assert silent.robot_error == "the robot is in USER_STOPPED", "silence takes no error back"


def test_a_contract_is_required(ros):
    with pytest.raises(ValueError, match="contract is empty"):
        PerceptionNode(context=ros.context)


def test_an_unknown_parameter_names_the_nearest(ros):
    with pytest.raises(ParameterError, match="unknown parameter 'contact', did you mean 'contract'"):
        PerceptionNode(context=ros.context, parameters={"contact": "x"})


def test_cameras_places_are_said_on_tf_static(ros, tmp_path):
    from tf2_msgs.msg import TFMessage

    from lpds_ros.perception.calibration.calib_file import Calibration, Frames, transform_of, write_calibration

    paths = [tmp_path / "wrist.calib", tmp_path / "front.calib"]
    pose = np.array([[0.0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]])
    for path, kind, link in zip(paths, ("eye_in_hand", "eye_on_base"), ("wrist_link", "front_link")):
        write_calibration(path, Calibration(Frames("x", kind, "base", "fr3_hand_tcp", link), transform_of(pose)))
    robot = Robot(ros, clock="lockstep", calibration=",".join(map(str, paths)))
    heard = []
    robot.node.create_subscription(TFMessage, "/tf_static", heard.append, qos.LATCHED)
    ros.wait(lambda: heard, what="the fixed frames, by who comes late")
    frames = {(t.header.frame_id, t.child_frame_id): t.transform for t in heard[0].transforms}
    assert frames.keys() == {("fr3_hand_tcp", "wrist_link"), ("base", "front_link")}
    wrist = frames["fr3_hand_tcp", "wrist_link"]
    assert (wrist.translation.x, wrist.translation.z) == (0.1, 0.3)
    assert (wrist.rotation.z, wrist.rotation.w) == (pytest.approx(np.sqrt(0.5)), pytest.approx(np.sqrt(0.5)))
