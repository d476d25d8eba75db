"""What the arm hears from steering in each command mode: topics, messages field by field, QoS; the real-time stream's ends."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.qos import ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from steering_fakes import Cell, lift  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402
from waiting import wait_for  # noqa: E402

from lpds_ros.nodes.messages import stamp_ns  # noqa: E402
from lpds_ros.nodes.steering_command import CommandPort  # noqa: E402
from lpds_ros.nodes.steering_drive import RealtimeDriver  # noqa: E402
from lpds_ros.nodes.steering_params import Parameters  # noqa: E402
from lpds_ros.parameters import ParameterError  # noqa: E402
from lpds_ros.records import Mode  # noqa: E402
from lpds_ros.robot.targets import JointPath, JointTarget, PoseTarget, PositionTarget  # noqa: E402
from lpds_ros.steering.clock import TickClock  # noqa: E402

STAMP = 1_234_567_890_123_456_789
JOINTS = [f"fr3_joint{i}" for i in range(1, 8)]
Q, DQ = np.linspace(-1.0, 1.0, 7), np.linspace(0.1, 0.7, 7)


@dataclass
class Wire:
    """A node that keeps what it is told to publish."""

    made: list = field(default_factory=list)
    said: list = field(default_factory=list)

    def create_publisher(self, kind, topic, quality):
        self.made.append((kind, topic, quality))
        return SimpleNamespace(publish=self.said.append)


def port(**parameters):
    wire = Wire()
    given = Parameters(**parameters)
    return CommandPort(wire, given, given.steering, 0.05), wire


def said(command, **parameters):
    made, wire = port(**parameters)
    made.publish((command,))
    return wire.said[0]


@pytest.mark.parametrize(
    ("mode", "kind", "topic"),
    [
        ("cartesian_pose", PoseStamped, "target_pose"),
        ("joint_impedance", JointState, "target_joint"),
        ("joint_trajectory", JointTrajectory, "fr3_arm_controller/joint_trajectory"),
        ("joint_group_position", Float64MultiArray, "forward_position_controller/commands"),
    ],
)
def test_each_mode_has_its_topic_and_another_by_name(mode, kind, topic):
    _, wire = port(command_mode=mode, allow_group_position=True)
    _, elsewhere = port(
        command_mode=mode, allow_group_position=True, targets_topic="gello/joint_states", targets_qos="best_effort"
    )
    (made_kind, made_topic, quality), (_, other_topic, other_quality) = wire.made[0], elsewhere.made[0]
    assert (made_kind, made_topic, other_topic) == (kind, topic, "gello/joint_states")
    assert (quality.reliability, quality.depth) == (ReliabilityPolicy.RELIABLE, 1)
    assert (other_quality.reliability, other_quality.depth) == (ReliabilityPolicy.BEST_EFFORT, 1)


def test_joint_positions_are_refused_unless_allowed():
    with pytest.raises(ParameterError, match=r"discontinuity reflexes \(franka_ros2 issues 55, 168, 174 and 186\)"):
        port(command_mode="joint_group_position")


def test_a_pose_names_its_frame():
    target = PoseTarget(STAMP, Q[:3], np.array([1.0, 0.0, 0.0, 0.0]))
    message, other = said(target), said(target, targets_frame="left_base")
    assert (message.header.frame_id, other.header.frame_id) == ("base", "left_base")
    assert stamp_ns(message.header.stamp) == STAMP and message.pose.position.x == Q[0]


def test_a_joint_target_has_as_many_velocities_as_positions():
    target = JointTarget(STAMP, Q, DQ)
    message = said(target, command_mode="joint_impedance")
    assert (list(message.name), message.position.tolist(), message.velocity.tolist()) == (JOINTS, Q.tolist(), DQ.tolist())
    assert stamp_ns(message.header.stamp) == STAMP and len(message.effort) == 0
    assert said(target, command_mode="joint_impedance", joint_prefix="left_fr3_joint").name[6] == "left_fr3_joint7"
    assert said(target, command_mode="joint_impedance", arm="panda").name[0] == "panda_joint1"


def test_a_trajectory_begins_now_on_a_robot_and_at_its_stamp_in_lockstep():
    path = JointPath(STAMP, np.array([0.05, 1.1]), np.array([Q, Q + 0.1]), np.array([DQ, 0 * DQ]))
    message = said(path, command_mode="joint_trajectory")
    assert list(message.joint_names) == JOINTS and stamp_ns(message.header.stamp) == 0
    first, last = message.points
    assert (first.positions.tolist(), first.velocities.tolist()) == (Q.tolist(), DQ.tolist())
    assert (first.time_from_start.sec, first.time_from_start.nanosec) == (0, 50_000_000)
    assert (last.time_from_start.sec, last.time_from_start.nanosec) == (1, 100_000_000) and not any(last.velocities)
    assert len(first.accelerations) == len(first.effort) == 0
    assert stamp_ns(said(path, command_mode="joint_trajectory", clock="lockstep").header.stamp) == STAMP


def test_joint_positions_are_seven_numbers_and_in_lockstep_say_of_when():
    wanted = dict(command_mode="joint_group_position", allow_group_position=True)
    message = said(PositionTarget(STAMP, Q), **wanted)
    assert message.data.tolist() == Q.tolist() and not message.layout.dim
    assert said(PositionTarget(STAMP, Q), clock="lockstep", **wanted).layout.dim[0].label == str(STAMP)


class Host:
    """A host of the real-time driver whose arm is told joint targets."""

    streamed, running, latched, params = True, True, False, Parameters()

    def __init__(self, streamed=True):
        self.said, self.streamed, self.paused, self.cell = [], streamed, False, Cell(lift())

    def create_guard_condition(self, callback):
        return SimpleNamespace(trigger=callback)  # raises what ended a thread

    def control(self, observation):
        return self.cell.core.tick(observation)

    def command(self, tick):
        return tuple(JointTarget(t.stamp_ns, Q, DQ) for t in tick.targets)

    def pause(self, stamp_ns):
        paused, self.paused = self.paused, True
        return () if paused else (JointTarget(stamp_ns, Q + 1.0, 0 * DQ),)

    def publish(self, commands):
        self.said.extend(commands)

    def aftermath(self, tick, then=None):
        self.last = tick


def driven(host):
    """A started driver at 20 Hz, five targets a period."""
    driver = RealtimeDriver(host, host, TickClock(50_000_000), 1, 5)
    driver.start()
    return driver


def observe(driver, host):
    host.cell.now_ns = time.time_ns()
    driver.on_observation(host.cell.observation())


def test_a_stream_without_a_successor_is_at_rest_and_a_pause_is_the_last_word():
    host = Host()
    driver = driven(host)
    try:
        wait_for(lambda: any(c.velocity.any() for c in host.said) or observe(driver, host), "a target in motion")
        wait_for(lambda: not host.said[-1].velocity.any(), "a target at rest, when no tick comes any more")
        assert np.array_equal(host.said[-1].position, Q)
        host.running = False
        observe(driver, host)
        wait_for(lambda: np.array_equal(host.said[-1].position, Q + 1.0), "the pause")
        time.sleep(0.1)
        assert np.array_equal(host.said[-1].position, Q + 1.0), "nothing is said after it"
    finally:
        driver.end()


def test_what_is_not_streamed_is_said_once_a_tick():
    host = Host(streamed=False)
    driver = driven(host)
    try:
        wait_for(lambda: len(host.said) >= 10 or observe(driver, host), "two ticks")
    finally:
        driver.end()
    assert len(host.said) % 5 == 0 and host.last.mode in (Mode.RUN, Mode.PRIOR)
