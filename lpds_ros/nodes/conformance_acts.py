"""What `lpds robot conformance` does with a robot when it is told to: the hand, a small motion of the arm, a reflex and its end.

Each act is one row. An act that is not answered in time has failed; those after it are tried all the same.
"""

import time
from collections.abc import Callable, Collection

from lpds_ros.nodes.conformance import Looker, interface  # isort: skip (sets what rclpy reads at its first import)
import numpy as np
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from franka_msgs.action import Grasp, Homing, Move
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.conformance.expected import HAND, HEARD, STATE, Of
from lpds_ros.conformance.judge import Row, Verdict
from lpds_ros.included import CONTROLLERS
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import pose_arrays, pose_stamped_msg
from lpds_ros.perception.robot import MODES, REFLEX
from lpds_ros.robot.recovery import ACTIVE, HARDWARE, LOOK_S, Outcome, StepError, recover

SUCCEEDED, CANCELED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED
ENDINGS = {SUCCEEDED: "succeeded", CANCELED: "canceled", ABORTED: "aborted"}
PATIENCE_S, HOMING_S, POLL_S = 10.0, 40.0, 0.02
WIDTH_M, WIDE_M, NEAR_M, SPEED_MPS, SLOW_MPS = 0.06, 0.08, 0.003, 0.1, 0.02
LIFT_M, LIFT_S, TARGET_S = 0.01, 0.5, 0.01
TURN_RAD, TURN_S = 0.05, 1
TARGET, STATUS = HEARD[0], "lpds/steering_status"
STAND_INS = ("sim", "mock")


class Unanswered(RuntimeError):  # noqa: N818 (a finding, which becomes a row)
    """The robot has not done what it was asked in time; the text says what."""


class Actor(Looker):
    """A Looker that acts. Whoever calls has cleared the space around the arm and the hand."""

    def act(
        self, robot: str, controller: str, moves: Collection[str] = (), *, homing: bool = False, faults: bool = False
    ) -> list[Row]:
        """The rows of what was asked for. robot: real, sim or mock; another one is not touched. controller: crisp or jtc, which
        of them moves the arm. moves: of hand and arm. Beside a steering node that is not in STOP or FAULT nothing is tried.
        """
        acts: list[tuple[str, Of, Callable[[], str]]] = []
        if homing:
            acts.append(("homing the hand", Of.FRANKA, self._home))
        if "hand" in moves:
            acts += [
                ("moving the hand", Of.FRANKA, self._move),
                ("a width it has not", Of.FRANKA, self._refused),
                ("canceling a motion of the hand", Of.FRANKA, self._cancel),
                ("grasping", Of.FRANKA, self._grasp),
                ("stopping the hand", Of.FRANKA, self._stop),
            ]
        if "arm" in moves and controller == "crisp":
            acts.append(("following a target pose", Of.CRISP, self._lift))
        elif "arm" in moves:
            acts.append(("following a trajectory", Of.JTC, self._turn))
        if faults:
            acts.append(("a reflex, and its recovery", Of.FRANKA, lambda: self._reflex(CONTROLLERS[controller][0])))
        refusal = self._refusal(robot) if acts else ""
        if refusal:
            return [Row(subject, of, Verdict.NOT_TRIED, refusal) for subject, of, _ in acts]
        return [self._row(*act) for act in acts]

    def _refusal(self, robot: str) -> str:
        """Why nothing is to be moved here, or ""."""
        robots = self.node.sayers(f"{STATE}/robot_state")
        if len(robots) != 1:
            return f"{len(robots)} robots are in this ROS_DOMAIN_ID and namespace ({', '.join(robots) or 'none'}): one is needed"
        if (robot != "real") != (robots[0] in STAND_INS):
            return f"--robot {robot} was asked for, and {robots[0]} answers: say which one is meant"
        return self.node.calls.steering() if self.node.sayers(STATUS) else ""

    def _row(self, subject, of, act) -> Row:
        try:
            return Row(subject, of, Verdict.OK, act())
        except Unanswered as error:
            return Row(subject, of, Verdict.FAILED, str(error))

    # -- the hand -----------------------------------------------------------------------------------------------

    def _home(self) -> str:
        status, _ = self._goal(f"{HAND}/homing", Homing.Goal(), HOMING_S)
        _require(status == SUCCEEDED, f"homing ended {ENDINGS.get(status, status)}")
        return f"width {self._width():.3f} m"

    def _move(self) -> str:
        told = []
        for width in (WIDTH_M, WIDE_M):
            begun_s = time.monotonic()
            status, heard = self._goal(f"{HAND}/move", Move.Goal(width=width, speed=SPEED_MPS))
            _require(status == SUCCEEDED, f"to {width} m it ended {ENDINGS.get(status, status)}")
            took_s = time.monotonic() - begun_s
            self._until(lambda w=width: abs(self._width() - w) < NEAR_M, f"{HAND}/joint_states to say {width} m")
            told.append(f"{width} m in {took_s:.1f} s" + ("" if heard else " without feedback"))
        return ", ".join(told)

    def _refused(self) -> str:
        status, _ = self._goal(f"{HAND}/move", Move.Goal(width=0.2, speed=SPEED_MPS))
        _require(status != SUCCEEDED, "0.2 m succeeded")
        return f"0.2 m {ENDINGS.get(status, status)}"

    def _cancel(self) -> str:
        handle = self._send(f"{HAND}/move", Move.Goal(width=0.0, speed=SLOW_MPS))
        self._until(lambda: self._width() < WIDE_M - NEAR_M, "the hand to begin closing")
        result = self.call(handle.get_result_async)
        self._answer(self.call(handle.cancel_goal_async), "canceling")
        status = self._answer(result, "the result of a canceled motion").status
        _require(status in (CANCELED, ABORTED), f"it ended {ENDINGS.get(status, status)}")
        width = self._width()
        time.sleep(0.5)
        _require(abs(self._width() - width) < NEAR_M, "the fingers went on after it was canceled")
        return f"{ENDINGS[status]}, and the fingers stay at {width:.3f} m"

    def _grasp(self) -> str:
        goal = Grasp.Goal(width=0.0, speed=SPEED_MPS, force=20.0)
        goal.epsilon.inner = goal.epsilon.outer = WIDE_M
        status, _ = self._goal(f"{HAND}/grasp", goal)
        _require(status == SUCCEEDED, f"with any width allowed it ended {ENDINGS.get(status, status)}")
        width = self._width()
        status, _ = self._goal(f"{HAND}/move", Move.Goal(width=WIDE_M, speed=SPEED_MPS))
        _require(status == SUCCEEDED, f"opening after it ended {ENDINGS.get(status, status)}")
        return f"closed on {abs(width):.3f} m with any width allowed, and opened again"

    def _stop(self) -> str:
        answer = self._answer(self.node.service_clients[f"{HAND}/stop"].call_async(Trigger.Request()), f"{HAND}/stop")
        _require(answer.success, f"{HAND}/stop refused: {answer.message}")
        return "answered"

    # -- the arm ------------------------------------------------------------------------------------------------

    def _lift(self) -> str:
        others = self.node.sayers(TARGET.name)
        _require(not others, f"{', '.join(others)} says target_pose already: end the stack first")
        position, orientation = pose_arrays(self._newest(f"{STATE}/current_pose").pose)
        publisher = self.node.create_publisher(interface(TARGET.kind), TARGET.name, qos.TARGET_REALTIME)
        try:
            self._until(publisher.get_subscription_count, "a listener on target_pose")
            steps, highest = round(LIFT_S / TARGET_S), 0.0
            for step in (*range(steps), *[steps] * steps, *range(steps, -1, -1), *[0] * steps):
                goal = position + (0.0, 0.0, LIFT_M * step / steps)
                publisher.publish(pose_stamped_msg(time.time_ns(), goal, orientation))
                time.sleep(TARGET_S)
                highest = max(highest, float(self._height() - position[2]))
            left = float(np.linalg.norm(pose_arrays(self._newest(f"{STATE}/current_pose").pose)[0] - position))
        finally:
            self.call(self.node.destroy_publisher, publisher)
        told = f"{1000 * highest:.1f} mm of {1000 * LIFT_M:.0f}, {1000 * left:.1f} mm from the start after it"
        _require(highest > LIFT_M / 2 and left < LIFT_M / 2, f"{told}: is the controller active, the robot without errors?")
        return told

    def _turn(self) -> str:
        name, before = "fr3_arm_controller/follow_joint_trajectory", self._wrist()
        for last in (before + TURN_RAD, before):
            joints = self._newest(f"{STATE}/measured_joint_states")
            point = JointTrajectoryPoint(positions=[*joints.position[:6], last], velocities=[0.0] * 7)
            point.time_from_start.sec = TURN_S
            trajectory = JointTrajectory(joint_names=list(joints.name), points=[point])
            status, _ = self._goal(name, FollowJointTrajectory.Goal(trajectory=trajectory))
            _require(status == SUCCEEDED, f"the last joint to {last:.2f} rad: {ENDINGS.get(status, status)}")
        return f"the last joint by {TURN_RAD} rad and back, {abs(self._wrist() - before):.4f} rad from the start after it"

    def _reflex(self, driver: str) -> str:
        state, calls = f"{STATE}/robot_state", self.node.calls
        if self._newest(state).robot_mode != REFLEX:
            client = self.node.service_clients["lpds/reflex"]
            if not client.service_is_ready():
                raise Unanswered("nothing here makes a reflex on purpose; bring the arm into REFLEX by hand and try again")
            self._answer(client.call_async(Trigger.Request()), "lpds/reflex")
            self._until(lambda: self._newest(state).robot_mode == REFLEX, "robot_state to say REFLEX")
        errors = self._newest(state).current_errors
        named = [name for name in errors.get_fields_and_field_types() if getattr(errors, name)]
        _require(bool(named), "REFLEX without an error flag")
        done: list[Outcome] = []
        try:
            fell = calls.components(LOOK_S)[HARDWARE] != ACTIVE
            recover(calls, driver, report=done.append)
        except StepError as error:
            raise Unanswered(f"{done[-1].step if done else 'look'}: {error}") from None
        _require(fell, f"{HARDWARE} stayed active in REFLEX: an older franka_ros2, which ends with its error?")
        steps = ", ".join(f"{outcome.step} {outcome.took_s:.1f} s" for outcome in done)
        return f"{', '.join(named)}; {steps}; mode {MODES[self._newest(state).robot_mode]}"

    # -- asking -------------------------------------------------------------------------------------------------

    def _goal(self, name, goal, patience_s=PATIENCE_S):
        """Send a goal; how it ended, and how many times it said where it was."""
        heard = []
        handle = self._send(name, goal, heard.append)
        return self._answer(self.call(handle.get_result_async), f"the result of {name}", patience_s).status, len(heard)

    def _send(self, name, goal, feedback=None):
        client = self.node.action_clients[name]
        if not client.server_is_ready():
            raise Unanswered(f"nobody serves {name}")
        handle = self._answer(self.call(client.send_goal_async, goal, feedback), name)
        _require(handle.accepted, f"{name} refused the goal")
        return handle

    def _answer(self, future, what: str, patience_s=PATIENCE_S):
        self._until(future.done, what, patience_s)
        return future.result()

    def _until(self, condition, what: str, patience_s=PATIENCE_S):
        end_s = time.monotonic() + patience_s
        while not condition():
            self.check()
            if time.monotonic() > end_s:
                raise Unanswered(f"waited {patience_s:.0f} s for {what}")
            time.sleep(POLL_S)

    def _newest(self, topic: str):
        self._until(lambda: topic in self.node.newest, topic)
        return self.node.newest[topic]

    def _width(self) -> float:
        return float(sum(self._newest(f"{HAND}/joint_states").position))

    def _wrist(self) -> float:
        return self._newest(f"{STATE}/measured_joint_states").position[6]

    def _height(self) -> float:
        return self._newest(f"{STATE}/current_pose").pose.position.z


def _require(held: bool, otherwise: str):
    if not held:
        raise Unanswered(otherwise)
