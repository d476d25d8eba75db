"""The gripper's actions from steering's side: one goal at a time, the newest wish wins, nothing waits.

franka_hand: Move to open, Grasp to close, Homing. gripper_command: control_msgs/GripperCommand for both, with franka_gripper's
meaning of it: the goal's position is half the width, and closing on anything but nothing ends as aborted.

What goes wrong with the hand is said, and the arm goes on: an episode whose grasp failed shows it by its own reward.
"""

import time
from collections.abc import Callable

from action_msgs.msg import GoalStatus
from control_msgs.action import GripperCommand
from franka_msgs.action import Grasp, Homing, Move
from rclpy.action import ActionClient

from lpds_ros.nodes.steering_params import Parameters
from lpds_ros.parameters import ParameterError
from lpds_ros.robot.gripper import Event, HandCommands

STALL_S = {"open": 1.5, "close": 1.5, "homing": 20.0}  # of the wall clock: at these speeds the whole way takes 0.8 s
GIVE_UP_S = 1.5  # after its cancellation, a goal that still has not ended is forgotten
SAY_S = 5.0
HOMING_NEEDS = "homing: GripperCommand has none; use gripper_actions franka_hand, or home the gripper in Desk"


def franka_hand(c: HandCommands) -> dict:
    """By event: action's type, its name, the goal."""
    close = Grasp.Goal(width=c.close_width_m, speed=c.close_speed_mps, force=c.close_force_n)
    close.epsilon.inner, close.epsilon.outer = c.epsilon_inner_m, c.epsilon_outer_m
    opened = Move.Goal(width=c.open_width_m, speed=c.open_speed_mps)
    return {"open": (Move, "move", opened), "close": (Grasp, "grasp", close), "homing": (Homing, "homing", Homing.Goal())}


def gripper_command(c: HandCommands) -> dict:
    """The same with GripperCommand, which has no homing; speeds and tolerances are the server's."""
    goals = {"open": GripperCommand.Goal(), "close": GripperCommand.Goal()}
    goals["open"].command.position, goals["open"].command.max_effort = c.open_width_m / 2, c.close_force_n
    goals["close"].command.position, goals["close"].command.max_effort = c.close_width_m / 2, c.close_force_n
    return {event: (GripperCommand, "gripper_action", goal) for event, goal in goals.items()}


UNHOMED = ": no episode begins with a hand that knows no widths; start steering again, or leave out homing"
GRIPPER_ACTIONS = {"franka_hand": franka_hand, "gripper_command": gripper_command}


class HandClient:
    """Sends open, close and homing goals to franka_gripper's action servers, as one of GRIPPER_ACTIONS.

    homing: home the hand as soon as its servers are there; `unhomed` until that has succeeded.

    cancel_first: cancel the goal in flight and wait for its end before the next is sent (the real hand blocks on each
    goal and would queue them). Without it the next goal is sent at once and supersedes (the simulation, where in
    lockstep time stands still while steering waits).
    """

    def __init__(
        self, node, prefix: str, commands: HandCommands, cancel_first: bool, actions: str = "franka_hand", homing: bool = False
    ):
        self._log, self._cancel_first = node.get_logger(), cancel_first
        self._table, self._actions = GRIPPER_ACTIONS[actions](commands), actions
        kinds = {name: kind for kind, name, _ in self._table.values()}
        self._clients = {name: ActionClient(node, kind, f"{prefix}/{name}") for name, kind in kinds.items()}
        self._prefix = prefix
        self._handle = None
        self._flying = False
        self._next: Event | None = None
        self._number = 0
        self._sent_s, self._said = 0.0, {}
        self._flown, self._stalled, self._minded, self._given_up = "", False, True, False
        self._home_due, self.unhomed = homing, homing and cancel_first  # in lockstep no goal ends while somebody waits

    @property
    def ready(self) -> bool:
        """Whether the hand's servers are there."""
        return all(client.server_is_ready() for client in self._clients.values())

    def poll(self):
        """Say that a goal does not end, once, and cancel it; one that does not end then is forgotten, so that the next can be
        sent. In lockstep the wall clock says nothing about a goal.
        """
        if self._home_due and self.ready:
            self._home_due = False
            self.send("homing")
        if not (self._cancel_first and self._flying):
            return
        flown_s, limit_s = time.monotonic() - self._sent_s, STALL_S[self._flown]
        if not self._stalled and flown_s > limit_s:
            self._stalled = True
            self._say("stall", f"the gripper's '{self._flown}' has not ended within {limit_s:g} s: it is cancelled")
            if self._handle is not None:
                self._handle.cancel_goal_async()
        elif self._stalled and flown_s > limit_s + GIVE_UP_S:
            self._say("lost", f"the gripper does not end its '{self._flown}' although it was cancelled: is its node alive?")
            self._landed(self._number)

    def _say(self, what: str, text: str):
        now = time.monotonic()
        if now - self._said.get(what, -SAY_S) >= SAY_S:
            self._said[what] = now
            self._log.warning(text)

    def forget(self):
        """A new episode: what was still to be sent is void, and how the goal in flight ends is nobody's concern."""
        self._next, self._minded = None, False

    def send(self, event: Event | str, on_accepted: Callable[[], None] = lambda: None):
        """Give the goal of "open", "close" or "homing"; `on_accepted` is called once it is accepted or refused."""
        if self._flying and self._cancel_first:
            self._next = event
            if self._handle is not None:
                self._handle.cancel_goal_async()
            on_accepted()
            return
        _, name, goal = self._table[event]
        client = self._clients[name]
        if not client.server_is_ready():
            self._log.error(f"no gripper on {self._prefix}: '{event}' was not sent; is the gripper's node running?")
            on_accepted()
            return
        self._number += 1
        number = self._number
        self._flying, self._handle = True, None
        self._sent_s, self._flown, self._stalled, self._minded = time.monotonic(), event, False, True
        future = client.send_goal_async(goal)
        future.add_done_callback(lambda done: self._accepted(done, event, number, on_accepted))

    def _accepted(self, future, event: str, number: int, on_accepted: Callable[[], None]):
        handle = future.result()
        if handle is None or not handle.accepted:
            self._log.error(f"the gripper refused '{event}'" + (UNHOMED if event == "homing" else ""))
            self._landed(number)
        else:
            if number == self._number and self._flying:
                self._handle = handle
            elif self._cancel_first:  # given up meanwhile: it would run after what came next
                handle.cancel_goal_async()
            handle.get_result_async().add_done_callback(lambda done: self._ended(done, event, number))
            if self._next is not None:
                handle.cancel_goal_async()
        on_accepted()

    def _ended(self, future, event: str, number: int):
        ended = future.result()
        aborted = ended is not None and ended.status == GoalStatus.STATUS_ABORTED
        if event == "homing":
            self.unhomed = ended is None or ended.status != GoalStatus.STATUS_SUCCEEDED or not ended.result.success
            if self.unhomed:
                self._log.error(f"homing failed: {getattr(ended, 'result', None) and ended.result.error}{UNHOMED}")
        held = self._actions == "gripper_command" and event == "close"  # it ends so on everything that it closes on
        if aborted and number == self._number and self._minded and not held:
            self._say("abort", f"the gripper's '{event}' was aborted: {getattr(ended.result, 'error', '') or 'no reason given'}")
        self._landed(number)

    def _landed(self, number: int):
        if number != self._number:
            return  # superseded: a newer goal flies
        self._flying, self._handle, self._given_up = False, None, False
        event, self._next = self._next, None
        if event is not None:
            self.send(event)

    def end(self):
        """A stop, or last words: a hand under way is stopped, by cancelling its goal, and what was still to be sent is void. One
        that holds something is not stopped: the gripper's own `stop` would let it fall.
        """
        self._next = None
        if self._cancel_first and self._handle is not None and not self._given_up:
            self._given_up = True
            self._handle.cancel_goal_async()

    def destroy(self):
        """Take the clients off the graph."""
        for client in self._clients.values():
            client.destroy()


def make_hand(node, p: Parameters) -> HandClient:
    """The hand as the parameters want it. Raises ParameterError for a homing that its actions do not have."""
    if p.homing and p.gripper_actions != "franka_hand":
        raise ParameterError(HOMING_NEEDS)
    commands = HandCommands(close_width_m=p.grasp_width_m, close_force_n=p.grasp_force_n)
    return HandClient(node, p.gripper, commands, p.clock != "lockstep", p.gripper_actions, p.homing)
