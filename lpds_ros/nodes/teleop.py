"""The teleop node: one operator command per observation, from whichever device.

A command answers an observation and carries its stamp; a repeated observation gets the same answer again. The scripted
operator begins anew when the task's seed changes: in lockstep it waits for the task state of the observation's stamp.
"""

from dataclasses import dataclass

import numpy as np
from lpds_msgs.msg import Observation as ObservationMsg
from lpds_msgs.msg import OperatorCommand, TaskState
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from lpds_ros.contract import load_contract
from lpds_ros.nodes import qos
from lpds_ros.nodes.base import LpdsNode
from lpds_ros.nodes.base import main as run_node
from lpds_ros.nodes.messages import observation_from_msg, operator_to_msg, stamp_ns
from lpds_ros.parameters import parameter
from lpds_ros.records import Mark, Observation
from lpds_ros.resources import resource
from lpds_ros.teleop.choose import DEVICES, make_device
from lpds_ros.teleop.device import Device, DeviceError
from lpds_ros.teleop.gamepad import Gamepad

STOP_POLL_S = 0.05
JUMP_M = 0.03  # no arm moves so far in one tick: the task was reset, perhaps to the same seed


@dataclass(frozen=True)
class Parameters:
    device: str = parameter("keyboard", "what the operator drives with", choices=tuple(DEVICES))
    contract: str = parameter("", "contract file; empty: config/contracts/<task>.yaml")
    task: str = parameter("", "task of the scripted operator; empty: the contract's")
    seed: int = parameter(0, "of the scripted operator", range=(0, 2**62))
    clock: str = parameter("realtime", "how time passes in the simulation", choices=("realtime", "lockstep"))
    takeover: str = parameter("hold", "button that takes over", choices=("hold", "toggle", "always"))
    speed: float = parameter(1.0, "share of the contract's largest step at full deflection", range=(0.01, 1.0))
    joy_topic: str = parameter("joy", "sensor_msgs/Joy topic of the gamepad")


class TeleopNode(LpdsNode):
    """Subscribes lpds/observation, lpds/task_state; publishes lpds/operator; serves lpds/mark_{success,failure}."""

    NAME = "teleop"
    Parameters = Parameters
    device: Device | None = None

    def set_up(self):
        p = self.params
        if not (p.contract or p.task):
            raise DeviceError("parameters contract and task are both empty: -p task:=lift, or -p contract:=<file>")
        self.contract = load_contract(p.contract or resource(f"config/contracts/{p.task}.yaml"))
        self.device = make_device(
            p.device, self.contract, task=p.task or self.contract.task, seed=p.seed, takeover=p.takeover, speed=p.speed
        )
        self.device.open()
        self._lockstep = p.clock == "lockstep"
        self._seed: int | None = None
        self._task_stamp_ns = self._begun_seed = None
        self._position = None
        self._waiting: Observation | None = None
        self._answered_ns, self._answer = -1, None
        self._operator = self.create_publisher(OperatorCommand, "lpds/operator", qos.CONTROL)
        self.create_subscription(ObservationMsg, "lpds/observation", self._on_observation, qos.CONTROL)
        self.create_subscription(TaskState, "lpds/task_state", self._on_task, qos.CONTROL)
        if isinstance(self.device, Gamepad):
            self.create_subscription(Joy, p.joy_topic, lambda joy: self.device.feed(joy.axes, joy.buttons), 10)
        self.create_service(Trigger, "lpds/mark_success", lambda _, response: self._mark(Mark.SUCCESS, response))
        self.create_service(Trigger, "lpds/mark_failure", lambda _, response: self._mark(Mark.FAILURE, response))
        self.create_timer(STOP_POLL_S, self._pass_stop_on, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _mark(self, mark, response):
        self.device.mark(mark)
        response.success = True
        return response

    def _on_task(self, message: TaskState):
        self._seed, self._task_stamp_ns = int(message.seed), stamp_ns(message.header.stamp)
        if self._waiting is not None:
            self._answer_to(self._waiting)

    def _on_observation(self, message: ObservationMsg):
        stamp = stamp_ns(message.header.stamp)
        if stamp == self._answered_ns:
            self._operator.publish(self._answer)
            return
        self._answer_to(observation_from_msg(message, self.contract))

    def _answer_to(self, observation: Observation):
        if self._lockstep and (self._task_stamp_ns is None or self._task_stamp_ns < observation.stamp_ns):
            self._waiting = observation
            return
        self._waiting = None
        if self._seed is not None and observation.valid:
            moved = self._position is not None and np.linalg.norm(observation.position - self._position) > JUMP_M
            if self._seed != self._begun_seed or moved:
                self._begun_seed = self._seed
                self.device.begin(observation, self._seed)
            self._position = observation.position
        self._answer = operator_to_msg(self.device.command(observation), self.device.name)
        self._answered_ns = observation.stamp_ns
        self._operator.publish(self._answer)

    def _pass_stop_on(self):
        """A stop does not wait for an observation that may never come."""
        if self.device.stop_pressed:
            size = self.contract.action.size
            message = OperatorCommand(device=self.device.name, stop=True, action=[0.0] * size)
            message.header.stamp = self.get_clock().now().to_msg()
            self._operator.publish(message)

    def stop(self):
        """Let go of the device; the terminal is restored."""
        if self.device is not None:
            self.device.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the `teleop` executable."""
    return run_node(TeleopNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
