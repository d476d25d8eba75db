"""Steering's side of the gripper: goals of both kinds of actions, a goal that never ends, and the end of the node."""

import pytest

pytest.importorskip("rclpy")
from action_msgs.msg import GoalStatus  # noqa: E402
from control_msgs.action import GripperCommand  # noqa: E402
from franka_msgs.action import Grasp, Homing, Move  # noqa: E402
from rclpy.action import ActionServer, CancelResponse  # noqa: E402

from lpds_ros.nodes import steering_hand  # noqa: E402
from lpds_ros.nodes.steering import SteeringNode  # noqa: E402
from lpds_ros.nodes.steering_hand import HandClient  # noqa: E402
from lpds_ros.parameters import ParameterError  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402
from lpds_ros.robot.gripper import HandCommands  # noqa: E402

FRANKA_HAND = (("move", Move), ("grasp", Grasp), ("homing", Homing))


class Hand:
    """Action servers that take every goal and end none by themselves; `heard`: (action's name, goal)."""

    def __init__(self, ros, kinds, cancels=True):
        self.ros, self.node = ros, ros.node("hand")
        self.heard, self.handles, self.cancelled = [], [], 0

        def cancel(handle):
            self.cancelled += 1
            return CancelResponse.ACCEPT if cancels else CancelResponse.REJECT

        def accepted(name, kind):
            def keep(handle):
                self.heard.append((name, handle.request))
                self.handles.append((handle, kind))

            return keep

        self.servers = [
            ActionServer(
                self.node,
                kind,
                f"franka_gripper/{name}",
                execute_callback=lambda handle: None,
                handle_accepted_callback=accepted(name, kind),
                cancel_callback=cancel,
            )
            for name, kind in kinds
        ]

    def client(self, actions="franka_hand"):
        """A client on the node of the test's own, once it sees the servers."""
        made = self.ros.call(HandClient, self.ros.node("steering"), "franka_gripper", HandCommands(), True, actions)
        self.ros.wait(lambda: made.ready, what="the hand's servers")
        return made

    def wait_heard(self, count):
        self.ros.wait(lambda: len(self.heard) >= count, what=f"{count} goals")
        return [name for name, _ in self.heard]

    def end(self, status="succeed", **result):
        """End the oldest goal."""
        handle, kind = self.handles.pop(0)

        def execute(handle):
            getattr(handle, status)()
            return kind.Result(**result)

        self.ros.call(handle.execute, execute)

    def destroy(self):
        for server in self.servers:
            self.ros.call(server.destroy)  # beside the executor it could be waited for while it goes


def test_a_goal_that_never_ends_gives_way_to_the_next(ros, monkeypatch):
    hand = Hand(ros, FRANKA_HAND, cancels=False)
    monkeypatch.setattr(steering_hand, "STALL_S", {"open": 0.1, "close": 0.1, "homing": 0.1})
    monkeypatch.setattr(steering_hand, "GIVE_UP_S", 0.1)
    client = hand.client()
    ros.call(client.send, "close")
    assert hand.wait_heard(1) == ["grasp"]
    ros.call(client.send, "open")  # waits for the end of the first
    ros.wait(lambda: len(hand.heard) == 2, "the second goal", saying=lambda: ros.call(client.poll))
    assert hand.cancelled >= 1 and [name for name, _ in hand.heard] == ["grasp", "move"]
    hand.end("abort", error="too late")  # the first one ends after all: that is nobody's concern any more
    ros.call(client.send, "close")
    ros.wait(lambda: len(hand.heard) == 3, "the third goal", saying=lambda: ros.call(client.poll))
    hand.destroy()


def test_gripper_commands_take_half_the_width_and_an_abort_on_an_object_is_no_news(ros, capfd):
    hand = Hand(ros, [("gripper_action", GripperCommand)])
    client = hand.client("gripper_command")
    for count, event in enumerate(("close", "open"), start=1):
        ros.call(client.send, event)
        hand.wait_heard(count)
        hand.end("abort", position=0.04, reached_goal=False, stalled=True)
        ros.wait(lambda: not client._flying, what="the goal's end")
    (_, closed), (_, opened) = hand.heard
    assert (closed.command.position, closed.command.max_effort) == (0.0, 30.0)
    assert opened.command.position == pytest.approx(0.04)  # 0.08 m between the fingers
    log = capfd.readouterr().err
    assert "'open' was aborted: no reason given" in log and "'close' was aborted" not in log
    hand.destroy()


def test_the_end_stops_a_hand_that_moves_and_lets_one_that_holds_be(ros):
    hand = Hand(ros, FRANKA_HAND)
    client = hand.client()
    ros.call(client.send, "close")
    hand.wait_heard(1)
    hand.end(success=True)
    ros.wait(lambda: not client._flying, what="the grasp's end")
    ros.call(client.end)
    ros.call(client.send, "open")
    hand.wait_heard(2)
    ros.wait(lambda: client._handle is not None, what="the acceptance")
    assert hand.cancelled == 0
    ros.call(client.end)
    ros.wait(lambda: hand.cancelled == 1, what="the cancellation")
    ros.wait(lambda: hand.handles[0][0].status == GoalStatus.STATUS_CANCELING, what="the goal's new status")
    hand.destroy()


def test_a_hand_that_is_to_be_homed_is_unhomed_until_then(ros):
    hand = Hand(ros, FRANKA_HAND)
    client = ros.call(HandClient, ros.node("steering"), "franka_gripper", HandCommands(), True, "franka_hand", True)
    ros.wait(lambda: hand.heard, "the goal", saying=lambda: ros.call(client.poll))
    assert [name for name, _ in hand.heard] == ["homing"] and client.unhomed
    hand.end(success=True)
    ros.wait(lambda: not client.unhomed, what="the end of the homing")
    hand.destroy()


def test_a_hand_whose_homing_failed_stays_unhomed(ros, capfd):
    hand = Hand(ros, FRANKA_HAND)
    client = ros.call(HandClient, ros.node("steering"), "franka_gripper", HandCommands(), True, "franka_hand", True)
    ros.wait(lambda: hand.heard, "the goal", saying=lambda: ros.call(client.poll))
    hand.end("abort", error="something is between the fingers")
    ros.wait(lambda: not client._flying, what="the end of the homing")
    assert client.unhomed and "homing failed: something is between the fingers" in capfd.readouterr().err
    hand.destroy()


def test_homing_needs_the_hands_own_actions(ros):
    wanted = {"contract": str(resource("config/contracts/lift.yaml")), "homing": True, "gripper_actions": "gripper_command"}
    with pytest.raises(ParameterError, match="GripperCommand has none"):
        SteeringNode(context=ros.context, parameters=wanted)
