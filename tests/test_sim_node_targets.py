"""Streams of joint targets into the simulation: a period's burst in lockstep, silence in real time, inactive controllers."""

import functools
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import JointState  # noqa: E402
from sim_client import PERIOD_NS, make_client  # noqa: E402

from lpds_ros.nodes import qos  # noqa: E402
from lpds_ros.nodes.steering_command import MESSAGES, CommandPort  # noqa: E402
from lpds_ros.nodes.steering_params import Parameters  # noqa: E402
from lpds_ros.robot.command_modes import CONTROLLERS  # noqa: E402
from lpds_ros.robot.targets import JointPath, JointTarget, PositionTarget  # noqa: E402
from lpds_ros.sim.control import Mode  # noqa: E402
from lpds_ros.sim.controllers import JOINT, TRAJECTORY  # noqa: E402
from lpds_ros.sim.world import World  # noqa: E402

COUNT, SEED = 5, 3
SHIFT = np.array([0.03, -0.01, 0.0, 0.01, 0.0, 0.01, 0.03])


@pytest.fixture
def make_sim(ros):
    return functools.partial(make_client, ros)


def commands(mode, world, q):
    """A period's commands from joints q [7] to q + SHIFT, as steering gives them."""
    start, step = world.time_ns, PERIOD_NS // COUNT
    if mode == "joint_trajectory":
        way = np.array([q + SHIFT, q + 1.5 * SHIFT])
        return (JointPath(start, np.array([0.05, 0.1]), way, np.array([20 * SHIFT, 0 * SHIFT])),)
    ways = [(start + i * step, q + (i + 1) / COUNT * SHIFT) for i in range(COUNT)]
    if mode == "joint_impedance":
        return tuple(JointTarget(stamp, position, 20 * SHIFT) for stamp, position in ways)
    return tuple(PositionTarget(stamp, position) for stamp, position in ways)


@pytest.mark.parametrize("mode", ["joint_impedance", "joint_trajectory", "joint_group_position"])
def test_a_periods_targets_pass_one_period_and_said_again_none(ros, make_sim, mode):
    client = make_sim("lockstep", controller=CONTROLLERS[mode], interpolate_from_desired_state=True)
    alone = World("lift", control_period_ns=PERIOD_NS)
    while alone.time_ns < client.sim.world.time_ns:
        alone.reset(SEED)
    given = Parameters(command_mode=mode, clock="lockstep", allow_group_position=True)
    arm = CommandPort(client.node, given, given.steering, 0.05)
    ros.wait(lambda: arm.publisher.get_subscription_count(), what=f"a subscription on {MESSAGES[mode][1]}")
    for period in range(3):
        said = commands(mode, client.sim.world, alone.state().q)
        before = client.sim.world.time_ns
        arm.publish(said)
        client.reach(before + PERIOD_NS)
        for i, command in enumerate(said):
            command.apply(alone)
            alone.advance_to(said[i + 1].stamp_ns if i + 1 < len(said) else before + PERIOD_NS)
        assert np.array_equal(client.sim.world.data.qpos, alone.data.qpos), f"period {period}"
    arm.publish(said)
    heard = len(client.tasks)
    ros.wait(lambda: len(client.tasks) >= heard + 2, what="the state, said twice again")
    assert client.sim.world.time_ns == alone.time_ns
    assert np.abs(alone.state().q - World("lift", control_period_ns=PERIOD_NS).state().q).max() > 0.01, "it moved"


def test_a_silent_stream_of_joint_targets_is_braked(ros, make_sim):
    client = make_sim("realtime", controller=JOINT, target_timeout_s=0.2)
    q, world = client.sim.world.state().q, client.sim.world
    target = client.node.create_publisher(JointState, "target_joint", qos.TARGET_REALTIME)
    ros.wait(lambda: world.control.mode is Mode.IMPEDANCE, "the joint targets to be obeyed",
             saying=lambda: target.publish(JointState(position=(q + SHIFT).tolist())))  # fmt: skip
    ros.wait(lambda: world.control.mode is Mode.BRAKE, what="the brakes")


def test_a_stale_or_bad_joint_target_is_not_obeyed(ros, make_sim, capfd):
    client = make_sim("realtime", controller=JOINT, target_timeout_s=0.2)
    target, log, q = client.node.create_publisher(JointState, "target_joint", qos.TARGET_REALTIME), [], [0.0] * 7
    stale = JointState(position=client.sim.world.state().q.tolist())
    stale.header.stamp.sec = int(time.time()) - 5
    for message, text in (
        (stale, "target_joint that is"),
        (JointState(position=q[:6]), "target_joint refused: 6 joint positions, 7 are needed"),
        (JointState(position=stale.position, velocity=[0.1] * 3), "3 joint velocities: 7 finite ones are needed, or none"),
    ):
        client.sim._warned.clear()
        ros.wait(lambda text=text: log.append(capfd.readouterr().err) or text in "".join(log), text,
                 saying=lambda message=message: target.publish(message))  # fmt: skip
    assert client.sim.world.control.mode is Mode.CARTESIAN


def test_joint_targets_of_an_inactive_controller_say_how_to_switch(ros, make_sim, capfd):
    client, log = make_sim("lockstep", controller=TRAJECTORY), []
    before = client.sim.world.data.qpos.copy()
    target = client.node.create_publisher(JointState, "target_joint", qos.TARGET_REALTIME)
    ros.wait(lambda: log.append(capfd.readouterr().err) or f"--deactivate {TRAJECTORY} --activate {JOINT}" in "".join(log),
             "how to switch", saying=lambda: target.publish(JointState(position=[0.0] * 7)))  # fmt: skip
    assert np.array_equal(client.sim.world.data.qpos, before)
