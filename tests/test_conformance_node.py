"""`lpds robot conformance` beside a robot: the mock and the simulation pass it, acts included; a robot with a fault does not."""

import pytest
from franka_msgs.msg import FrankaRobotState
from geometry_msgs.msg import PoseStamped
from lpds_msgs.msg import SteeringStatus

from lpds_ros.conformance.expected import STATE, asked_of
from lpds_ros.conformance.judge import Verdict
from lpds_ros.nodes import conformance, conformance_acts, qos, robot_calls
from lpds_ros.nodes.conformance_acts import Actor
from lpds_ros.nodes.mock import MockNode
from lpds_ros.nodes.robot_calls import RobotCalls
from lpds_ros.nodes.sim import SimNode
from lpds_ros.records import Mode
from lpds_ros.sim.controllers import CARTESIAN, TRAJECTORY

HEARD_S = 0.5


def looked_at(robot: str, *acts: dict):
    """The rows by subject, of a look and of each act."""
    with Actor() as actor:
        rows = actor.look(asked_of(robot, "crisp"), HEARD_S, CARTESIAN)
        for act in acts:
            if act["controller"] == "jtc":
                actor.node.calls.switch([TRAJECTORY], [CARTESIAN], 5.0)
            rows += actor.act(robot, **act)
        return {row.subject: row for row in rows}


def failed(rows) -> list:
    """What failed but for rates, which say how busy this machine is."""
    return [row for row in rows.values() if row.verdict is Verdict.FAILED and "are needed" not in row.text]


@pytest.mark.parametrize("kind", [MockNode, SimNode])
def test_the_stand_ins_look_like_the_robot(ros, kind):
    ros.add(kind(context=ros.context, parameters={"task": "lift"}))
    rows = looked_at(kind.NAME)
    assert not failed(rows)
    assert {row.verdict for row in rows.values()} <= {Verdict.OK, Verdict.DIFFERS, Verdict.FAILED}
    assert rows["tool frame"].verdict is Verdict.OK
    assert rows["what drives the arm"].text == f"{CARTESIAN}; FrankaHardwareInterface active"


def test_the_mock_behaves_like_the_robot_by_either_controller(ros, monkeypatch):
    monkeypatch.setattr(conformance_acts, "SPEED_MPS", 0.4)
    monkeypatch.setattr(conformance_acts, "LIFT_S", 0.3)
    ros.add(MockNode(context=ros.context, parameters={"task": "lift"}))
    everything = {"controller": "crisp", "moves": ("hand", "arm"), "homing": True, "faults": True}
    rows = looked_at("mock", everything, {"controller": "jtc", "moves": ("arm",)})
    assert not failed(rows)
    assert rows["following a target pose"].text.startswith("10.0 mm of 10")
    assert rows["following a trajectory"].verdict is Verdict.OK
    told = rows["a reflex, and its recovery"].text
    assert told.startswith("cartesian_reflex; look") and "hardware component" in told and told.endswith("mode MOVE")


def test_a_second_speaker_is_found_and_the_arm_is_not_moved_beside_it(ros):
    ros.add(MockNode(context=ros.context, parameters={"task": "lift"}))
    stranger = ros.node("stranger")
    stranger.create_publisher(PoseStamped, f"{STATE}/current_pose", 10)
    for _ in range(2):
        stranger.create_publisher(PoseStamped, "target_pose", qos.TARGET_REALTIME)
    rows = looked_at("mock", {"controller": "crisp", "moves": ("arm",)})
    assert "stranger offers reliable, not best effort" in rows[f"{STATE}/current_pose"].text
    assert "2 publishers" in rows[f"{STATE}/current_pose"].text
    assert "one alone is obeyed: stranger, stranger" in rows["target_pose"].text
    assert "end the stack first" in rows["following a target pose"].text


def test_beside_a_steering_node_at_work_nothing_is_tried(ros):
    ros.add(MockNode(context=ros.context, parameters={"task": "lift"}))
    steering = ros.node("steering")
    says = steering.create_publisher(SteeringStatus, "lpds/steering_status", qos.CONTROL)
    steering.create_timer(0.05, lambda: says.publish(SteeringStatus(mode=Mode.RUN, reason="an episode")))
    with Actor() as actor:
        ros.wait(lambda: actor.node.sayers("lpds/steering_status") == ["steering"], what="the steering node")
        ros.wait(lambda: actor.node.sayers(f"{STATE}/robot_state") == ["mock"], what="the mock")
        (row,) = actor.act("mock", "crisp", ["arm"])
    assert row.verdict is Verdict.NOT_TRIED and "steering is in RUN (an episode)" in row.text


def test_another_robot_than_the_one_asked_for_is_not_moved(ros):
    ros.add(MockNode(context=ros.context, parameters={"task": "lift"}))
    with Actor() as actor:
        ros.wait(lambda: actor.node.sayers(f"{STATE}/robot_state") == ["mock"], what="the mock")
        (row,) = actor.act("real", "crisp", ["arm"])
        assert row.verdict is Verdict.NOT_TRIED and "--robot real was asked for, and mock answers" in row.text
        other = ros.node("franka_robot_state_broadcaster")
        other.create_publisher(FrankaRobotState, f"{STATE}/robot_state", 10)
        ros.wait(lambda: len(actor.node.sayers(f"{STATE}/robot_state")) == 2, what="a second robot")
        (row,) = actor.act("mock", "crisp", ["arm"])
    assert row.verdict is Verdict.NOT_TRIED and row.text.startswith("2 robots")


def test_where_there_is_no_robot_everything_needed_has_failed(ros, monkeypatch):
    monkeypatch.setattr(conformance, "DISCOVERY_S", 1.5)  # the graph of a busy machine is late
    monkeypatch.setattr(robot_calls, "FIND_S", 0.3)
    watching = RobotCalls(ros.node("cell"))  # it hears the commands, which is not to obey them
    rows = looked_at("real")
    ros.call(watching.destroy)
    assert rows["target_pose"].text.startswith("nobody listens")
    assert rows[f"{STATE}/robot_state"].text == "nobody publishes it" and rows["tool frame"].verdict is Verdict.NOT_TRIED
    assert rows["lpds/reset"].verdict is Verdict.NOT_TRIED and rows["franka_gripper/move"].verdict is Verdict.FAILED
