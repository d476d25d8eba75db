"""Whether the controller that steering commands is active: a controller that was deactivated says nothing by itself."""

import time

from controller_manager_msgs.srv import ListControllers, ListHardwareComponents
from rclpy.clock import Clock, ClockType

EVERY_S = 0.5
LOST_S = 2.0  # an answer that takes longer does not come
ALONE_S = 10.0
ACTIVE = "active"


class ControllerWatch:
    """Asks the controller manager twice a second. controller: its name; "" asks nothing.

    problem: why nothing drives the arm for us: the arm HOLDs, and resumes. error: why nothing can: the robot has stopped, which
    takes a person. Both "" as long as nobody says otherwise, and without a controller manager, which is said once.
    """

    def __init__(self, node, controller: str):
        self._log, self._controller = node.get_logger(), controller
        self.problem = self.error = ""
        self._began_s, self._heard = time.monotonic(), False
        if not controller:
            return
        self._questions = [
            _Question(node, ListControllers, "list_controllers", self._on_controllers),
            _Question(node, ListHardwareComponents, "list_hardware_components", self._on_components),
        ]
        node.create_timer(EVERY_S, self._ask, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _ask(self):
        asked = [question.ask() for question in self._questions]
        if not any(asked) and not self._heard and time.monotonic() - self._began_s > ALONE_S:
            self._heard = True
            text = f"nobody serves controller_manager/list_controllers: whether {self._controller} is active is not known"
            self._log.warning(text)

    def _on_controllers(self, answer):
        self._heard = True
        states = {c.name: c for c in answer.controller}
        found = states.get(self._controller)
        if found is not None and found.state == ACTIVE:
            self.problem = ""
            return
        others = [c.name for c in answer.controller if c.state == ACTIVE and c.required_command_interfaces]
        state = "not loaded" if found is None else found.state
        instead = f", {', '.join(others)} drives the arm" if others else ""
        self.problem = f"controller {self._controller} is {state}{instead}: activate it"

    def _on_components(self, answer):
        broken = [c for c in answer.component if c.state.label != ACTIVE and c.name.endswith("FrankaHardwareInterface")]
        self.error = "; ".join(f"the hardware component {c.name} is {c.state.label}" for c in broken)


class _Question:
    """One service that is asked again and again, never twice at once."""

    def __init__(self, node, kind, name: str, on_answer):
        self._kind, self._on_answer = kind, on_answer
        self._client = node.create_client(kind, f"controller_manager/{name}")
        self._future, self._asked_s = None, 0.0

    def ask(self) -> bool:
        """Whether somebody is there to answer."""
        if not self._client.service_is_ready():
            return False
        if self._future is not None:
            if time.monotonic() - self._asked_s < LOST_S:
                return True
            self._client.remove_pending_request(self._future)
        self._asked_s, self._future = time.monotonic(), self._client.call_async(self._kind.Request())
        self._future.add_done_callback(self._answered)
        return True

    def _answered(self, future):
        if future is self._future:
            self._future = None
            if not future.cancelled() and future.exception() is None:
                self._on_answer(future.result())
