"""service_server/* of franka_ros2 on the simulated arm.

Collision thresholds: an external force above the upper nominal ones trips the arm into REFLEX. Load: its weight is held
from now on. Joint stiffness: of the robot's own controller, behind joint positions. Cartesian stiffness: of the law behind
the pose targets (on the robot it tunes a controller that torques bypass; here there is one Cartesian law).
"""

from collections.abc import Callable

import numpy as np
from franka_msgs.srv import (
    SetCartesianStiffness,
    SetForceTorqueCollisionBehavior,
    SetFullCollisionBehavior,
    SetJointStiffness,
    SetLoad,
)

PREFIX = "service_server"


class ParameterServices:
    """The parameter services of one world. `lock` guards the world."""

    def __init__(self, node, world, lock):
        self._lock, control = lock, world.control

        def collision(request):
            world.set_collision_limits(np.array(request.upper_force_thresholds_nominal, np.float64))

        def load(request):
            control.set_load(request.mass, request.center_of_mass, request.load_inertia)

        for kind, name, apply in (
            (SetForceTorqueCollisionBehavior, "set_force_torque_collision_behavior", collision),
            (SetFullCollisionBehavior, "set_full_collision_behavior", collision),
            (SetLoad, "set_load", load),
            (
                SetCartesianStiffness,
                "set_cartesian_stiffness",
                lambda r: control.cartesian.set_stiffness(r.cartesian_stiffness),
            ),
            (SetJointStiffness, "set_joint_stiffness", lambda r: control.set_joint_stiffness(r.joint_stiffness)),
        ):
            node.create_service(kind, f"{PREFIX}/{name}", self._handler(apply))

    def _handler(self, apply: Callable[[object], None]):
        """A callback that applies a request; a ValueError becomes the response's error."""

        def handle(request, response):
            try:
                with self._lock:
                    apply(request)
                response.success = True
            except ValueError as error:
                response.success, response.error = False, str(error)
            return response

        return handle
