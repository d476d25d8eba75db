"""lpds/fault: something goes wrong in the simulation, on purpose. A shell over sim/faults.py."""

from franka_msgs.msg import Errors
from lpds_msgs.srv import Fault

from lpds_ros.sim.faults import FaultError, Faults

ERRORS = tuple(sorted(Errors.get_fields_and_field_types()))


class FaultService:
    """Serves lpds/fault. `lock` guards the world. lockstep: time has no clock to jump against."""

    def __init__(self, node, world, lock, topics: tuple[str, ...], *, lockstep: bool):
        self.faults = Faults(topics, ERRORS)
        self._log, self._world, self._lock, self._lockstep = node.get_logger(), world, lock, lockstep
        node.create_service(Fault, "lpds/fault", self._on_fault)

    def _on_fault(self, request, response):
        try:
            with self._lock:
                if self._lockstep and request.fault == "clock_jump":
                    raise FaultError("fault 'clock_jump': in lockstep there is one clock, the simulation's: clock:=realtime")
                text = self.faults.inject(
                    request.fault, request.target, request.value, request.duration_s, self._world.time_ns
                )
                if request.fault in ("reflex", "error"):
                    self._world.reflex(request.target or "cartesian_reflex")
                self.faults.apply(self._world)
            response.success, response.message = True, text
            self._log.warning(f"lpds/fault: {request.fault} {request.target}: {text}")
        except FaultError as error:
            response.success, response.message = False, str(error)
        return response
