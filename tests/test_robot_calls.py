"""`lpds robot status|recover|home` on the mock robot, over services, actions and topics."""

import threading

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from lpds_msgs.msg import SteeringStatus
from sensor_msgs.msg import JointState
from sim_client import make_client
from std_msgs.msg import String
from std_srvs.srv import Trigger
from test_robot_description import urdf
from waiting import PATIENCE_S

from lpds_ros import cli
from lpds_ros.nodes import qos, robot_calls, robot_look
from lpds_ros.nodes.mock import MockNode
from lpds_ros.nodes.robot_description import own_limits
from lpds_ros.nodes.robot_tool import RobotToolNode
from lpds_ros.robot import homing, recovery
from lpds_ros.robot.description import DescriptionError
from lpds_ros.robot.homing import home, straight
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.recovery import StepError, recover
from lpds_ros.sim.controllers import CARTESIAN, TRAJECTORY

FR3 = load_limits("fr3")


@pytest.fixture
def client(ros, monkeypatch):
    monkeypatch.setattr(robot_calls, "HEARD_S", 0.5)
    monkeypatch.setattr(homing, "LATE_S", PATIENCE_S)
    monkeypatch.setattr(recovery, "SETTLE_S", PATIENCE_S)
    return make_client(ros, "realtime", kind=MockNode)


@pytest.fixture
def calls(ros, client):
    return ros.add(RobotToolNode({}, context=ros.context)).calls


def test_recovered_and_homed(client, calls):
    assert client.call(Trigger, "lpds/reflex").success
    with pytest.raises(StepError, match="REFLEX.*nothing was moved"):
        home(calls, FR3)
    recover(calls, CARTESIAN)
    world = client.sim.world
    goal = world.state().q + [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, -0.1]
    home(calls, FR3, goal=goal, speed=0.5)
    assert np.abs(world.state().q - goal).max() < 0.02 and world.controllers.driving == (CARTESIAN,)
    assert calls.silent(0.0)
    client.node.create_timer(0.02, lambda: client.burst(client.stamp))
    client.ros.wait(lambda: not calls.silent(0.0), what="commands heard")


def test_who_gives_up_cancels_the_motion(ros, client, calls):
    world = client.sim.world
    calls.switch([TRAJECTORY], [CARTESIAN], 5.0)
    q = world.state().q
    path = straight(q, q + [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], FR3, 0.01)
    failed = []

    def follow():
        try:
            calls.follow(TRAJECTORY, path, PATIENCE_S)
        except StepError as error:
            failed.append(str(error))

    thread = threading.Thread(target=follow)
    thread.start()
    ros.wait(lambda: world.control.following, what="the motion")
    calls.ending.set()
    thread.join()
    assert "given up" in failed[0]
    ros.wait(lambda: not world.control.following, what="the motion's end")
    assert np.abs(world.state().q - path.positions[-1]).max() > 0.1


def test_joints_in_another_order_are_refused(ros, monkeypatch):
    calls = ros.add(RobotToolNode({}, context=ros.context)).calls
    names = [f"fr3_joint{i}" for i in (2, 1, 3, 4, 5, 6, 7)]
    said = iter([None, JointState(name=names, position=[0.0] * 7)])
    monkeypatch.setattr(calls._joints, "take", lambda: next(said))
    with pytest.raises(StepError, match="another order than 1 to 7: fr3_joint2, fr3_joint1"):
        calls.joints(1.0)


@pytest.mark.parametrize("quality", [qos.TARGET_REALTIME, qos.TARGET_BEST_EFFORT])
def test_who_commands_is_heard_whatever_his_quality_of_service(ros, calls, quality):
    node = ros.node("somebody")
    publisher = node.create_publisher(PoseStamped, "target_pose", quality)
    assert calls.silent(0.0)
    node.create_timer(0.02, lambda: publisher.publish(PoseStamped()))
    ros.wait(lambda: not calls.silent(0.0), what="his targets")


def test_steering_is_heard_on_a_topic_of_its_own(ros, calls):
    steering = ros.node("steering")
    publisher = steering.create_publisher(PoseStamped, "elsewhere/equilibrium_pose", qos.TARGET_REALTIME)
    assert calls.silent(0.0)
    steering.create_timer(0.02, lambda: publisher.publish(PoseStamped()))
    ros.wait(lambda: not calls.silent(0.0), what="its targets")


def test_home_is_refused_until_steering_has_stopped(ros, client, calls):
    status = client.node.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
    said = SteeringStatus(mode=SteeringStatus.HOLD, reason="between episodes")
    client.node.create_timer(0.02, lambda: status.publish(said))
    ros.wait(calls.steering, what="steering's mode")
    assert "between episodes" in calls.steering() and "lpds/stop" in calls.steering()
    said.mode = SteeringStatus.STOP
    ros.wait(lambda: not calls.steering(), what="steering's rest")


def test_the_action_that_is_refused_and_the_service_that_is_not_there_are_said(ros, client, calls, monkeypatch):
    with pytest.raises(StepError, match=f"not switched: .*no controller.*did you mean '{TRAJECTORY}'"):
        calls.switch(["fr3_arm_controler"], [], 5.0)
    with pytest.raises(StepError, match="could not be activated, it is active"):
        calls.activate_component("Franka", 5.0)
    monkeypatch.setattr("lpds_ros.nodes.robot_calls.FIND_S", 0.2)
    elsewhere = ros.add(RobotToolNode({}, context=ros.context, namespace="elsewhere")).calls
    with pytest.raises(StepError, match="nobody serves /elsewhere/controller_manager/list_controllers"):
        elsewhere.controllers(0.2)


def test_status_is_ready_only_when_the_arm_can_be_moved(client, capsys, monkeypatch):
    monkeypatch.setattr(robot_look, "COUNT_S", 0.2)
    monkeypatch.setattr(robot_look, "FIND_S", 0.2)
    assert cli.main(["robot", "status"]) == 0
    assert CARTESIAN in capsys.readouterr().out
    client.call(Trigger, "lpds/reflex")
    assert cli.main(["robot", "status"]) == 1
    text = capsys.readouterr().out
    assert "cartesian_reflex" in text and "unconfigured" in text and "lpds robot recover" in text
    assert cli.main(["robot", "recover"]) == 0
    assert "controllers" in capsys.readouterr().out


def test_recovery_gives_the_arm_to_the_controller_that_steering_commands(client):
    status = client.node.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
    said = SteeringStatus(mode=SteeringStatus.STOP, command_mode="joint_trajectory")
    client.node.create_timer(0.05, lambda: status.publish(said))
    assert cli.main(["robot", "recover"]) == 0
    assert client.sim.world.controllers.driving == (TRAJECTORY,)


def test_the_robots_own_description_narrows_its_limits(ros):
    node = ros.node("listener")
    assert own_limits(node, FR3, "nobodys_description", 0.1) == FR3
    publisher = ros.node("robot_state_publisher").create_publisher(String, "robot_description", qos.LATCHED)
    publisher.publish(String(data=urdf()))
    assert own_limits(node, FR3, patience_s=30.0).joints.position_max_rad[0] == 2.7437
    with pytest.raises(DescriptionError, match="is arm:=panda right"):
        own_limits(node, load_limits("panda"), patience_s=30.0)
