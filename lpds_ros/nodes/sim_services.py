"""service_server/* of franka_ros2 on the simulated arm.

Collision thresholds work: an external force above the upper nominal ones trips the arm into REFLEX. Load and internal
stiffnesses are checked and accepted, but change nothing: they tune what torque control bypasses.
"""

from operator import attrgetter

import numpy as np
from franka_msgs.srv import (
    SetCartesianStiffness,
    SetForceTorqueCollisionBehavior,
    SetFullCollisionBehavior,
    SetJointStiffness,
    SetLoad,
)

PREFIX, GAIN = "service_server", "stiffness"


class ParameterServices:
    """The parameter services of one world. `lock` guards the world."""

    def __init__(self, node, world, lock):
        self._world, self._lock = world, lock
        for kind, name, handler in (
            (SetForceTorqueCollisionBehavior, "set_force_torque_collision_behavior", self._collision),
            (SetFullCollisionBehavior, "set_full_collision_behavior", self._collision),
            (SetLoad, "set_load", self._checked(lambda r: [r.mass, *r.center_of_mass, *r.load_inertia], "load")),
            (SetCartesianStiffness, "set_cartesian_stiffness", self._checked(attrgetter("cartesian_stiffness"), GAIN)),
            (SetJointStiffness, "set_joint_stiffness", self._checked(attrgetter("joint_stiffness"), GAIN)),
        ):
            node.create_service(kind, f"{PREFIX}/{name}", handler)

    def _collision(self, request, response):
        limits = np.array(request.upper_force_thresholds_nominal, np.float64)
        try:
            with self._lock:
                self._world.set_collision_limits(limits)
            response.success = True
        except ValueError as error:
            response.success, response.error = False, str(error)
        return response

    @staticmethod
    def _checked(numbers, what):
        def handler(request, response):
            values = np.asarray(numbers(request), np.float64)
            response.success = bool(np.isfinite(values).all())
            response.error = "" if response.success else f"{what} holds numbers that are not finite"
            if response.success and what == GAIN and (values < 0).any():
                response.success, response.error = False, "stiffness must not be negative"
            return response

        return handler
