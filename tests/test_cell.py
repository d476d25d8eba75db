"""The cell's turn without ROS, and its node between a steering node and the simulation."""

import time

import numpy as np
import pytest
from lpds_msgs.msg import SteeringStatus
from lpds_msgs.srv import Reset
from sim_client import make_client
from std_srvs.srv import Trigger
from waiting import PATIENCE_S
from world_robot import WorldRobot

from lpds_ros import cli
from lpds_ros.nodes import qos, robot_calls
from lpds_ros.nodes.cell import CellNode
from lpds_ros.nodes.messages import stamp_ns
from lpds_ros.nodes.mock import MockNode
from lpds_ros.nodes.newest import Requests
from lpds_ros.nodes.steering_turn import EpisodeTurn
from lpds_ros.robot import homing
from lpds_ros.robot.cell import CellTurn, Turning
from lpds_ros.robot.homing import SPEED_MAX
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.recovery import Outcome, StepError

FR3 = load_limits("fr3")


class HandyRobot(WorldRobot):
    """With a hand that opens."""

    def open_hand(self, width_m, speed_mps, timeout_s):
        self.done.append(f"open {width_m:g}")


def make_turn(robot, go=True, **what):
    asked = []

    def person(text):
        asked.append((text, list(robot.done)))
        return go

    return CellTurn(robot, FR3, Turning(speed=SPEED_MAX, **what), person), asked


def test_the_hand_opens_before_the_arm_moves_and_the_person_is_asked_last():
    robot = HandyRobot()
    turn, asked = make_turn(robot)
    turn.run(17)
    assert robot.done[0] == "open 0.08" and "follow" in robot.done
    (before, nothing), (text, done) = asked
    assert "about to go home" in before and nothing == []
    assert "seed 17" in text and done == robot.done
    assert np.abs(robot.q - FR3.ready_rad).max() < 0.02
    turn.run(18)
    assert len(asked) == 3 and "seed 18" in asked[-1][0], "who has begun is asked once a turn"


def test_nothing_moves_while_steering_does():
    robot = HandyRobot()
    robot.rest = "steering is in RUN"
    turn, asked = make_turn(robot)
    with pytest.raises(StepError, match="RUN: nothing was moved"):
        turn.run(1)
    assert robot.done == []


def test_after_a_failure_nothing_moves_before_a_person_says_so():
    robot = HandyRobot()
    robot.world.reflex()
    turn, asked = make_turn(robot)
    with pytest.raises(StepError, match="REFLEX"):
        turn.run(1)
    robot.done.clear()
    robot.world.restart()
    turn, again = make_turn(robot, go=False)
    turn.failed = "the robot is in REFLEX"
    with pytest.raises(StepError, match="given up"):
        turn.run(1)
    ((text, _),) = again
    assert "was not reset: the robot is in REFLEX" in text and robot.done == []


def test_what_is_switched_off_is_left_out():
    robot = HandyRobot()
    turn, asked = make_turn(robot, open_hand=False, home=False, ask=False)
    turn.run(1)
    assert robot.done == [] and asked == []


# -- the node -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cell(ros, monkeypatch):
    """A mock robot with its own reset off, its client, and the cell node beside them."""
    monkeypatch.setattr(robot_calls, "HEARD_S", 0.5)
    monkeypatch.setattr("lpds_ros.nodes.robot_description.PATIENCE_S", 0.1)
    monkeypatch.setattr(homing, "LATE_S", PATIENCE_S)
    client = make_client(ros, "realtime", kind=MockNode, reset=False)
    world = client.sim.world
    with client.sim._lock:  # a short way home
        world._arm.q[:] = np.array(FR3.ready_rad) + 0.05
        world.control.stop("placed", world._arm.q)
    node = CellNode(context=ros.context, parameters={"speed": SPEED_MAX})
    ros.add(node)
    yield client, node
    node.stop()


def ask(client, seed):
    service = client.node.create_client(Reset, "lpds/reset")
    client.ros.wait(service.service_is_ready, what="lpds/reset")
    return service.call_async(Reset.Request(seed=seed))


def test_a_reset_waits_for_its_person_and_carries_the_moment_of_the_go(ros, cell):
    client, node = cell
    refused = client.call(Trigger, "lpds/ready")
    assert not refused.success and "nobody waits" in refused.message
    world = client.sim.world
    answers = [ask(client, 4)]
    ros.wait(lambda: "about to go home" in node._asking, what="the question before the way home")
    q = world.state().q
    assert client.call(Trigger, "lpds/ready").success
    ros.wait(lambda: "arrange" in node._asking, what="the question to the person")
    assert np.abs(world.state().q - q).max() > 0.02
    assert "seed 4" in node._asking and np.abs(world.state().q - FR3.ready_rad).max() < 0.02
    assert world.controllers.driving == ("cartesian_impedance_controller",)
    answers.append(ask(client, 4))  # somebody asks again
    before = time.time_ns()
    assert cli.main(["robot", "ready"]) == 0
    ros.wait(lambda: all(answer.done() for answer in answers), what="both answers")
    for answer in answers:
        assert answer.result().success and stamp_ns(answer.result().stamp) >= before


def test_while_steering_runs_the_reset_is_refused(ros, cell):
    client, node = cell
    node._tell(Outcome("hand", True, "open", 0.1))
    status = client.node.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
    client.node.create_timer(0.05, lambda: status.publish(SteeringStatus(mode=SteeringStatus.RUN, reason="steered")))
    ros.wait(node.calls.steering, what="steering's mode")
    q, answer = client.sim.world.state().q, ask(client, 4)
    ros.wait(lambda: node._asking, what="the question before the way home")
    assert client.call(Trigger, "lpds/ready").success
    ros.wait(answer.done, what="the answer")
    assert not answer.result().success and "RUN" in answer.result().message
    assert np.abs(client.sim.world.state().q - q).max() < 1e-3


def test_a_stop_on_the_way_home_stops_the_arm(ros, cell, monkeypatch):
    monkeypatch.setattr("lpds_ros.robot.homing.LEAST_S", 30.0)
    client, node = cell
    world, said = client.sim.world, SteeringStatus(mode=SteeringStatus.HOLD, reason="between episodes")
    status = client.node.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
    client.node.create_timer(0.05, lambda: status.publish(said))
    answer = ask(client, 4)
    ros.wait(lambda: np.abs(world.state().dq).max() > 1e-3, what="the way home", saying=node._go.set)
    said.mode, said.reason = SteeringStatus.STOP, "lpds/stop was called"
    ros.wait(answer.done, what="the answer")
    assert not answer.result().success and "STOP (lpds/stop was called): call lpds/arm first" in answer.result().message
    ros.wait(lambda: np.abs(world.state().dq).max() < 1e-6, what="rest")
    again, q = ask(client, 4), world.state().q
    ros.wait(again.done, what="the second answer", saying=node._go.set)
    assert "STOP" in again.result().message and np.abs(world.state().q - q).max() < 1e-6, "nor does anything begin in STOP"


def test_of_two_seeds_the_newer_is_reset_and_the_older_told_so(ros, monkeypatch):
    monkeypatch.setattr(robot_calls, "HEARD_S", 0.1)
    monkeypatch.setattr("lpds_ros.nodes.robot_description.PATIENCE_S", 0.1)
    answers = {}
    asked = [(Reset.Request(seed=seed), lambda answer, seed=seed: answers.update({seed: answer})) for seed in (5, 6)]
    batches = [asked]
    node = CellNode(context=ros.context, parameters={"open_hand": False, "home": False})
    node._resets.take = lambda: batches.pop() if batches else []
    ros.add(node)
    ros.wait(lambda: len(answers) == 2, what="both answers", saying=node._go.set)
    assert answers[6].success and not answers[5].success and "seed 6" in answers[5].message
    node.stop()


@pytest.mark.parametrize("patience_s", [0.0, 0.3])
def test_who_takes_his_time_is_asked_once_and_with_a_patience_again(ros, patience_s):
    node, begun, asked = ros.node("steering"), [], []
    server = Requests(ros.node("server"), Reset, "lpds/reset")
    options = {"backlog_limit": None, "patience_s": 0.0, "auto_reset": True, "reset_patience_s": patience_s}
    turn = EpisodeTurn(node, lambda *ready: begun.append(ready), **options)
    node.create_timer(0.02, turn.poll)
    ros.call(turn.start, 9)
    ros.wait(lambda: asked.extend(server.take()) or asked, what="the question")
    assert turn.waiting == "waiting for lpds/reset"
    if patience_s:
        ros.wait(lambda: asked.extend(server.take()) or len(asked) > 1, what="the same question again")
    else:
        time.sleep(0.5)
        assert server.take() == []
    assert {request.seed for request, _ in asked} == {9} and not begun
    asked[-1][1](Reset.Response(success=True))
    ros.wait(lambda: begun, what="the episode")
    assert begun[0][0] == 9 and turn.waiting == ""


def test_when_servers_come_or_go_the_question_is_asked_again(ros):
    node, begun = ros.node("steering"), []
    options = {"backlog_limit": None, "patience_s": 0.0, "auto_reset": True, "reset_patience_s": 0.0}
    turn = EpisodeTurn(node, lambda *ready: begun.append(ready), **options)
    node.create_timer(0.02, turn.poll)
    killed, asked = Requests(ros.node("killed"), Reset, "lpds/reset"), []
    ros.call(turn.start, 9)
    ros.wait(killed.take, what="the question")
    restarted = Requests(ros.node("restarted"), Reset, "lpds/reset")  # the killed one is still counted
    ros.wait(lambda: asked.extend(restarted.take()) or asked, what="the question again")
    ros.call(killed.destroy)
    ros.wait(lambda: asked.extend(restarted.take()) or len(asked) > 1, what="the question once more")
    asked[-1][1](Reset.Response(success=True))
    ros.wait(lambda: begun, what="the episode")
