"""The simulated robot behind the interface of robot.recovery and robot.homing, without ROS: what `lpds robot` is tried on."""

import numpy as np

from lpds_ros.perception.robot import RobotState
from lpds_ros.robot.recovery import ControllerInfo, StepError
from lpds_ros.sim.controllers import ACTIVE, CARTESIAN, HARDWARE, TRAJECTORY, ControllerError, Controllers
from lpds_ros.sim.trajectory import Outcome, TrajectoryError, Waypoint
from lpds_ros.sim.world import World


class WorldRobot:
    """A World of the lift task. done: the calls that changed something, in their order. Set `rest`, `commanded`, `mute`."""

    def __init__(self):
        self.world = World("lift", control_period_ns=50_000_000, controllers=Controllers(CARTESIAN))
        self.world.reset(3)
        self.done: list[str] = []
        self.rest, self.commanded, self.mute = "", False, False

    def state(self, timeout_s):
        if self.mute:
            return None
        state = self.world.state()
        return RobotState(state.stamp_ns, state.robot_mode, (state.error,) if state.error else ())

    def components(self, timeout_s):
        return {HARDWARE: self.world.controllers.hardware}

    def controllers(self, timeout_s):
        known = self.world.controllers
        return tuple(ControllerInfo(c.name, known.state(c.name), bool(c.interface)) for c in known.known.values())

    def _do(self, what, action, *arguments):
        self.done.append(what)
        try:
            action(*arguments)
        except (ControllerError, TrajectoryError, ValueError) as error:
            raise StepError(str(error)) from None

    def clear_errors(self, timeout_s):
        self._do("clear", self.world.recover)

    def activate_component(self, name, timeout_s):
        self._do("component", self.world.set_hardware, name, ACTIVE)

    def switch(self, activate, deactivate, timeout_s):
        self._do(f"-{','.join(deactivate)} +{','.join(activate)}", self.world.switch_controllers, activate, deactivate)

    def joints(self, timeout_s):
        return self.world.state().q

    def follow(self, controller, path, timeout_s):
        assert controller == TRAJECTORY
        points = [Waypoint(at, q, dq) for at, q, dq in zip(path.times_s, path.positions, path.velocities)]
        self._do("follow", self.world.follow, points)
        while self.world.control.following:
            self.world.advance(10)
        (ending,) = self.world.control.take_endings().values()
        if ending.outcome is not Outcome.SUCCESSFUL:
            raise StepError(ending.text)

    def steering(self):
        return self.rest

    def silent(self, timeout_s):
        return not self.commanded

    @property
    def q(self) -> np.ndarray:
        return self.world.state().q
