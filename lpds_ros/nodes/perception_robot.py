"""The robot's own state on its way in: of a large message that comes up to a thousand times a second, only what is needed."""

from collections.abc import Callable

from franka_msgs.msg import Errors, FrankaRobotState

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_ns
from lpds_ros.nodes.newest import Newest
from lpds_ros.perception.robot import RobotState

FLAGS = tuple(Errors.get_fields_and_field_types())


class RobotStateReader:
    """Subscribes `topic`, best effort, the newest only.

    on_state: called with every state, by the executor; without it `newest` is asked once a tick. At 1 kHz that is the
    difference between one message a tick made into Python objects, and a thousand a second.
    """

    def __init__(self, node, topic: str, on_state: Callable[[RobotState], None] | None = None):
        self._newest: Newest | None = None
        if on_state is None:
            self._newest = Newest(node, FrankaRobotState, topic)
        else:
            node.create_subscription(FrankaRobotState, topic, lambda m: on_state(robot_state(m)), qos.ROBOT_STATE)

    def newest(self) -> RobotState | None:
        """The newest state since the last call, None where there is none."""
        taken = self._newest.take()
        return None if taken is None else robot_state(taken)


def robot_state(message: FrankaRobotState) -> RobotState:
    """What a franka_msgs/FrankaRobotState says of mode and errors."""
    return RobotState(
        stamp_ns=stamp_ns(message.header.stamp),
        mode=message.robot_mode,
        errors=tuple(flag for flag in FLAGS if getattr(message.current_errors, flag)),
        success_rate=message.control_command_success_rate,
    )
