"""The cell node: lpds/reset on a real robot, where somebody must put the arm and the scene back. See robot/cell.py.

A reset takes as long as the person does; lpds/ready (`lpds robot ready`) is their go. The arm is moved by the trajectory
controller, never while steering drives it.
"""

import threading
import time
from dataclasses import dataclass

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from lpds_msgs.srv import Reset
from std_srvs.srv import Trigger

from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.nodes.newest import Requests
from lpds_ros.nodes.robot_calls import RobotCalls
from lpds_ros.nodes.robot_description import own_limits
from lpds_ros.nodes.threads import NodeThread
from lpds_ros.parameters import parameter
from lpds_ros.records import Mode
from lpds_ros.robot.cell import CellTurn, Turning
from lpds_ros.robot.homing import SPEED, SPEED_MAX, TRAJECTORY
from lpds_ros.robot.limits import load_limits
from lpds_ros.robot.recovery import HARDWARE, Outcome, StepError

RESTING = (Mode.HOLD,)  # steering asks between its episodes; a STOP, also one on the way, is the arm's
LOOK_S, AGAIN_S = 0.05, 30.0


@dataclass(frozen=True)
class Parameters:
    arm: str = parameter("fr3", "whose limits: a file of calibration/")
    open_hand: bool = parameter(True, "open the hand first")
    home: bool = parameter(True, "move the arm to its ready posture")
    ask: bool = parameter(True, "wait for lpds/ready (`lpds robot ready`): a person has arranged the scene")
    speed: float = parameter(SPEED, "of the way home, share of the joints' suggested speed", range=(0.01, SPEED_MAX))
    trajectory_controller: str = parameter(TRAJECTORY, "JointTrajectoryController that moves the arm home")
    controller: str = parameter("", "controller that drives the arm afterwards; empty: the one that drove before")
    gripper: str = parameter("franka_gripper", "namespace of the gripper's actions")
    hardware: str = parameter(HARDWARE, "the robot's hardware component")


class CellNode(LpdsNode):
    """Serves lpds/reset and lpds/ready."""

    NAME = "cell"
    Parameters = Parameters
    _thread: NodeThread | None = None
    calls: RobotCalls | None = None

    def set_up(self):
        p = self.params
        self._limits, self._go, self._asking = load_limits(p.arm), threading.Event(), ""
        more = {"hardware": p.hardware, "resting": RESTING}
        self.calls = RobotCalls(self, gripper=p.gripper, trajectory=p.trajectory_controller, **more)
        self._resets = Requests(self, Reset, "lpds/reset")
        self.create_service(Trigger, "lpds/ready", self._on_ready)
        self._thread = NodeThread(self, self._run, "cell")

    def _on_ready(self, request, response):
        response.success, response.message = bool(self._asking), f"going on: {self._asking}"
        if self._asking:
            self._go.set()
        else:
            response.message = "nobody waits for you: no reset is asked for, or the arm still moves"
        return response

    def _run(self, ending: threading.Event):
        p = self.params
        self._ending = ending
        turning = Turning(p.open_hand, p.home, p.ask, p.speed, p.trajectory_controller, p.controller, p.hardware)
        turn = CellTurn(self.calls, own_limits(self, self._limits), turning, self._person, self._tell)
        while not ending.wait(LOOK_S):
            waiting = self._resets.take()
            while waiting:
                seed = waiting[-1][0].seed
                answer = self._turn(turn, seed)
                late = Reset.Response(message=f"seed {seed} was asked for after it")  # by somebody who has died since
                for request, reply in waiting:
                    reply(answer if request.seed == seed else late)
                newer = self._resets.take()
                for request, reply in newer:
                    if request.seed == seed or not answer.success:
                        reply(answer)
                waiting = [(request, reply) for request, reply in newer if request.seed != seed and answer.success]

    def _turn(self, turn: CellTurn, seed: int) -> Reset.Response:
        self.get_logger().info(f"reset for seed {seed}")
        try:
            turn.run(seed)
        except StepError as error:
            return Reset.Response(success=False, message=str(error))
        return Reset.Response(success=True, stamp=stamp_msg(time.time_ns()))

    def _person(self, text: str) -> bool:
        """Wait for lpds/ready, and say again what for."""
        said_s = -AGAIN_S
        self._go.clear()
        self._asking = text
        try:
            while not self._go.wait(LOOK_S):
                if self._ending.is_set():
                    return False
                if time.monotonic() - said_s > AGAIN_S:
                    said_s = time.monotonic()
                    self.get_logger().warning(f"{text}: `lpds robot ready`")
        finally:
            self._asking = ""
        return True

    def _tell(self, outcome: Outcome):
        text = f"{outcome.step} ({outcome.took_s:.1f} s): {outcome.text}"
        if outcome.ok:
            self.get_logger().info(text)
        else:  # rclpy allows one severity a line
            self.get_logger().error(text)

    def stop(self):
        """Give up waiting, and the motion under way."""
        if self._thread is not None:
            self.calls.ending.set()
            self._thread.end()
            self._thread = None

    def destroy_node(self):
        """End the thread, take the action clients off the graph, then the node."""
        self.stop()
        if self.calls is not None:
            self.calls.destroy()
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Entry point of the `cell` executable."""
    return run_node(CellNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
