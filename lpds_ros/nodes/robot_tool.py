"""`lpds robot …` on a running robot: a node in the command's own process."""

from lpds_ros.nodes.base import LpdsNode  # isort: skip (sets what rclpy reads at its first import)
from lpds_ros.nodes.attached import Attached
from lpds_ros.nodes.robot_calls import RobotCalls


class RobotToolNode(LpdsNode):
    """Calls the robot's services and actions, and listens to its state."""

    NAME = "robot_tool"
    calls: RobotCalls | None = None

    def __init__(self, options: dict, **ros):
        self._options = options
        super().__init__(**ros)

    def set_up(self):
        self.calls = RobotCalls(self, **self._options)

    def destroy_node(self):
        if self.calls is not None:
            self.calls.destroy()
        super().destroy_node()


class RobotTool(Attached):
    """The robot of a namespace, in a `with` block: `robot.calls` is what RobotCalls is. options: of RobotCalls."""

    def __init__(self, namespace: str = "", **options):
        super().__init__(lambda **ros: RobotToolNode(options, **ros), namespace)

    @property
    def calls(self) -> RobotCalls:
        return self.node.calls
