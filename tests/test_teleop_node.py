"""The teleop node: one command per observation, stamped with it, repeated with it; stops and marks reach the topic."""

import numpy as np
import pytest
from lpds_msgs.msg import Observation as ObservationMsg
from lpds_msgs.msg import OperatorCommand, TaskState
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from lpds_ros.contract import load_contract
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import observation_to_msg, stamp_msg, stamp_ns
from lpds_ros.nodes.teleop import TeleopNode
from lpds_ros.perception.align import Aligner
from lpds_ros.resources import resource
from lpds_ros.sim.streams import feed
from lpds_ros.sim.world import World
from lpds_ros.teleop.device import DeviceError

PERIOD_NS = 50_000_000


class Client:
    def __init__(self, ros, **parameters):
        self.ros, self.node, self.heard = ros, ros.node("client"), []
        self.teleop = ros.add(TeleopNode(context=ros.context, parameters={"task": "lift", **parameters}))
        self.contract = load_contract(resource("config/contracts/lift.yaml"))
        self.world, self.aligner = World("lift", control_period_ns=PERIOD_NS), Aligner(self.contract)
        self.observations = self.node.create_publisher(ObservationMsg, "lpds/observation", qos.CONTROL)
        self.tasks = self.node.create_publisher(TaskState, "lpds/task_state", qos.CONTROL)
        self.node.create_subscription(OperatorCommand, "lpds/operator", self.heard.append, qos.CONTROL)
        ros.wait(
            lambda: self.observations.get_subscription_count()
            and self.tasks.get_subscription_count()
            and self.node.count_publishers("lpds/operator"),
            what="the teleop node",
        )

    def observe(self):
        feed(self.aligner, self.world.state(), *self.world.task_result())
        record = self.aligner.observe(self.world.time_ns, exact=True)
        self.observations.publish(observation_to_msg(record, self.contract.digest))

    def task(self, seed):
        message = TaskState(task="lift", seed=seed)
        message.header.stamp = stamp_msg(self.world.time_ns)
        self.tasks.publish(message)

    def answer(self, count):
        self.ros.wait(lambda: len(self.heard) >= count, what=f"{count} commands")
        return self.heard[count - 1]


def test_scripted_operator_waits_for_the_task_state_and_answers_with_the_observations_stamp(ros):
    client = Client(ros, device="scripted", clock="lockstep")
    client.observe()
    ros.wait(lambda: client.teleop._waiting is not None)
    assert not client.heard
    client.task(seed=4)
    first = client.answer(1)
    assert first.active and first.device == "scripted" and len(first.action) == 4
    assert stamp_ns(first.header.stamp) == client.world.time_ns
    client.observe()  # said again: the same answer, and the operator does not live through the tick twice
    assert client.answer(2) == first
    actions = []
    for k in range(3):
        client.world.advance(50)
        client.task(seed=4)
        client.observe()
        actions.append(list(client.answer(3 + k).action))
    assert actions[0] != actions[1]
    client.world.reset(5)
    client.task(seed=5)
    client.observe()
    client.answer(6)
    assert client.teleop._begun_seed == 5


def test_gamepad_through_joy_takes_over_and_services_mark(ros):
    client = Client(ros, device="gamepad")
    joy = client.node.create_publisher(Joy, "joy", 10)
    ros.wait(joy.get_subscription_count)
    client.observe()
    assert not client.answer(1).active
    joy.publish(Joy(axes=[0.0, 1.0, 0.0, 0.0, 0.0], buttons=[0, 0, 0, 0, 1, 0, 0]))
    ros.wait(lambda: client.teleop.device._active)
    mark = client.node.create_client(Trigger, "lpds/mark_success")
    ros.wait(mark.service_is_ready, what="lpds/mark_success")
    ros.wait(mark.call_async(Trigger.Request()).done, what="its answer")
    client.world.advance(50)
    client.observe()
    command = client.answer(2)
    assert command.active and command.mark == OperatorCommand.MARK_SUCCESS
    np.testing.assert_allclose(command.action, [1, 0, 0, -1])


def test_stop_needs_no_observation(ros):
    client = Client(ros, device="gamepad")
    client.teleop.device.press_stop()
    assert client.answer(1).stop


def test_a_device_that_is_not_there_is_one_clear_error(ros, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hid", None)
    with pytest.raises(DeviceError, match="pip install hidapi"):
        TeleopNode(context=ros.context, parameters={"task": "lift", "device": "spacemouse"})
