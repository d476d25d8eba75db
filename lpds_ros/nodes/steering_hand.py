"""The gripper's actions from steering's side: one goal at a time, the newest wish wins, nothing waits.

What goes wrong with the hand is said, and the arm goes on: an episode whose grasp failed shows it by its own reward.
"""

import time
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from franka_msgs.action import Grasp, Homing, Move
from rclpy.action import ActionClient

from lpds_ros.robot.gripper import Event, HandCommands

STALL_S = {"open": 1.5, "close": 1.5, "homing": 20.0}  # of the wall clock: at these speeds the whole way takes 0.8 s
SAY_S = 5.0


class HandClient:
    """Sends open (Move), close (Grasp) and Homing goals to franka_gripper's action servers.

    cancel_first: cancel the goal in flight and wait for its end before the next is sent (the real hand blocks on each
    goal and would queue them). Without it the next goal is sent at once and supersedes (the simulation, where in
    lockstep time stands still while steering waits).
    """

    def __init__(self, node, prefix: str, commands: HandCommands, cancel_first: bool):
        self._log, self._commands, self._cancel_first = node.get_logger(), commands, cancel_first
        self._clients = {
            "open": ActionClient(node, Move, f"{prefix}/move"),
            "close": ActionClient(node, Grasp, f"{prefix}/grasp"),
            "homing": ActionClient(node, Homing, f"{prefix}/homing"),
        }
        self._prefix = prefix
        self._handle = None
        self._flying = False
        self._next: Event | None = None
        self._number = 0
        self._sent_s, self._said = 0.0, {}
        self._flown, self._stalled = "", False

    @property
    def ready(self) -> bool:
        """Whether the hand's servers are there."""
        return all(client.server_is_ready() for client in self._clients.values())

    def poll(self):
        """Say that a goal does not end, once, and cancel it; in lockstep the wall clock says nothing about a goal."""
        if not self._cancel_first:
            return
        limit_s = STALL_S.get(self._flown, 0.0)
        if self._flying and limit_s and not self._stalled and time.monotonic() - self._sent_s > limit_s:
            self._stalled = True
            self._say("stall", f"the gripper's '{self._flown}' has not ended within {limit_s:g} s: it is cancelled")
            if self._handle is not None:
                self._handle.cancel_goal_async()

    def _say(self, what: str, text: str):
        now = time.monotonic()
        if now - self._said.get(what, -SAY_S) >= SAY_S:
            self._said[what] = now
            self._log.warning(text)

    def forget(self):
        """A new episode: what was still to be sent is void, and how the goal in flight ends is nobody's concern."""
        self._next, self._flown = None, ""

    def send(self, event: Event | str, on_accepted: Callable[[], None] = lambda: None):
        """Give the goal of "open", "close" or "homing"; `on_accepted` is called once it is accepted or refused."""
        if self._flying and self._cancel_first:
            self._next = event
            if self._handle is not None:
                self._handle.cancel_goal_async()
            on_accepted()
            return
        client = self._clients[event]
        if not client.server_is_ready():
            self._log.error(f"no gripper on {self._prefix}: '{event}' was not sent; is the gripper's node running?")
            on_accepted()
            return
        self._number += 1
        number = self._number
        self._flying, self._handle = True, None
        self._sent_s, self._flown, self._stalled = time.monotonic(), event, False
        future = client.send_goal_async(self._goal(event))
        future.add_done_callback(lambda done: self._accepted(done, event, number, on_accepted))

    def _goal(self, event: str):
        c = self._commands
        if event == "open":
            return Move.Goal(width=c.open_width_m, speed=c.open_speed_mps)
        if event == "homing":
            return Homing.Goal()
        goal = Grasp.Goal(width=c.close_width_m, speed=c.close_speed_mps, force=c.close_force_n)
        goal.epsilon.inner, goal.epsilon.outer = c.epsilon_inner_m, c.epsilon_outer_m
        return goal

    def _accepted(self, future, event: str, number: int, on_accepted: Callable[[], None]):
        handle = future.result()
        if handle is None or not handle.accepted:
            self._log.error(f"the gripper refused '{event}'")
            self._landed(number)
        else:
            if number == self._number:
                self._handle = handle
            handle.get_result_async().add_done_callback(lambda done: self._ended(done, event, number))
            if self._next is not None:
                handle.cancel_goal_async()
        on_accepted()

    def _ended(self, future, event: str, number: int):
        aborted = future.result() is not None and future.result().status == GoalStatus.STATUS_ABORTED
        if aborted and number == self._number and self._flown:
            self._say("abort", f"the gripper's '{event}' was aborted: {future.result().result.error or 'no reason given'}")
        self._landed(number)

    def _landed(self, number: int):
        if number != self._number:
            return  # superseded: a newer goal flies
        self._flying, self._handle = False, None
        event, self._next = self._next, None
        if event is not None:
            self.send(event)

    def destroy(self):
        """Take the clients off the graph."""
        for client in self._clients.values():
            client.destroy()
