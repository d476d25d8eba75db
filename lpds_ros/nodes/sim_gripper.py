"""The simulated hand: actions franka_gripper/{homing,move,grasp,gripper_action} and service stop.

Goals run on simulated time. They start before their acceptance is answered, so that in lockstep a client that waits
for the acceptance knows in which control period its goal began. Nothing waits here: `finish` ends what the hand has ended.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from control_msgs.action import GripperCommand
from franka_msgs.action import Grasp, Homing, Move
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from std_srvs.srv import Trigger

from lpds_ros.sim.fr3 import MAX_WIDTH_M
from lpds_ros.sim.state import GripperStatus

DEFAULT_SPEED_MPS = 0.1
COMMAND_EPSILON_M = 0.005
SAME_WIDTH_M = 1e-4


@dataclass
class _Goal:
    """A goal from the moment it moved the hand.

    number: World.gripper_goal_id, or 0 when the hand had nothing to do or, with an error, refused it.
    """

    kind: Any
    number: int
    error: str
    fill: Callable[[Any, bool, str], None]
    handle: Any = None


class GripperServer:
    """The franka_gripper interface of one world. `lock` guards the world."""

    def __init__(self, node, world, lock, prefix: str = "franka_gripper"):
        self._log, self._world, self._lock = node.get_logger(), world, lock
        self._starting: list[_Goal] = []
        self._running: list[_Goal] = []
        self._servers = [
            self._server(node, Homing, f"{prefix}/homing", lambda g: world.move(MAX_WIDTH_M, DEFAULT_SPEED_MPS)),
            self._server(node, Move, f"{prefix}/move", lambda g: world.move(g.width, g.speed)),
            self._server(
                node,
                Grasp,
                f"{prefix}/grasp",
                lambda g: world.grasp(g.width, g.speed, g.force, g.epsilon.inner, g.epsilon.outer),
            ),
            self._server(node, GripperCommand, f"{prefix}/gripper_action", self._command),
        ]
        self._stop = node.create_service(Trigger, f"{prefix}/stop", self._on_stop)

    def _server(self, node, kind, name, start):
        def on_goal(request):
            with self._lock:
                try:
                    number, error = start(request), ""
                except ValueError as refusal:
                    number, error = 0, str(refusal)
            self._starting.append(_Goal(kind, number, error, self._filler(kind)))
            return GoalResponse.ACCEPT  # as franka_ros2: every goal is accepted, a bad one is aborted

        def on_accepted(handle):
            goal = self._starting.pop(0)
            goal.handle = handle
            self._running.append(goal)
            self.finish()

        return ActionServer(
            node,
            kind,
            name,
            execute_callback=lambda handle: None,  # replaced by each goal's own at its end
            goal_callback=on_goal,
            handle_accepted_callback=on_accepted,
            cancel_callback=self._on_cancel,
        )

    def _filler(self, kind):
        if kind is GripperCommand:
            return self._fill_command

        def fill(result, success, error):
            result.success, result.error = success, error

        return fill

    def _fill_command(self, result, success, error):
        if error:
            self._log.error(f"gripper_action aborted: {error}")  # the result has no place for it
        result.position, result.effort = self._world.width_m, 0.0
        result.reached_goal, result.stalled = success, not success

    def _command(self, goal):
        """GripperCommand as franka_ros2 reads it: position is half the width; opening moves, closing grasps."""
        width = 2.0 * goal.command.position
        if abs(width - self._world.width_m) < SAME_WIDTH_M:
            return 0
        if width >= self._world.width_m:
            return self._world.move(width, DEFAULT_SPEED_MPS)
        force = goal.command.max_effort
        return self._world.grasp(width, DEFAULT_SPEED_MPS, force, COMMAND_EPSILON_M, COMMAND_EPSILON_M)

    def _on_cancel(self, handle):
        with self._lock:
            self._world.stop()
        return CancelResponse.ACCEPT

    def _on_stop(self, request, response):
        with self._lock:
            self._world.stop()
        response.success = True
        return response

    @property
    def busy(self) -> bool:
        """Whether a goal waits for its end."""
        return bool(self._running)

    def abort(self, reason: str):
        """End every running goal as failed (the episode was reset)."""
        goals, self._running = self._running, []
        for goal in goals:
            self._end(goal, False, reason)

    def finish(self):
        """End the goals that the hand has ended. Runs in the executor."""
        with self._lock:
            newest, status = self._world.gripper_goal_id, self._world.gripper_status
        for goal in tuple(self._running):
            if goal.error:
                self._end(goal, False, goal.error)
            elif goal.number == 0:
                self._end(goal, True, "")
            elif goal.number != newest:
                self._end(goal, False, "another goal took the hand over")
            elif status is GripperStatus.MOVING:
                continue
            else:
                succeeded = status is GripperStatus.SUCCEEDED
                self._end(goal, succeeded, "" if succeeded else "the hand stopped at another width")
            self._running.remove(goal)

    def _end(self, goal, succeeded, error):
        def execute(handle):
            result = goal.kind.Result()
            goal.fill(result, succeeded, error)
            if handle.is_cancel_requested:
                handle.canceled()
            elif succeeded:
                handle.succeed()
            else:
                handle.abort()
            return result

        goal.handle.execute(execute)

    def feed_back(self):
        """Say to the running goals how wide the hand is."""
        with self._lock:
            width = self._world.width_m
        for goal in self._running:
            feedback = goal.kind.Feedback()
            setattr(feedback, "position" if goal.kind is GripperCommand else "current_width", width)
            goal.handle.publish_feedback(feedback)

    def destroy(self):
        """Take the actions off the graph."""
        for server in self._servers:
            server.destroy()
