"""A node inside a process that is none: in a ROS context of its own, spinning in a thread of its own."""

from collections.abc import Callable

from lpds_ros.nodes.base import LpdsNode, Spinner  # isort: skip (sets what rclpy reads at its first import)
import rclpy
from rclpy.signals import SignalHandlerOptions


class Attached:
    """Runs `make(context=…, namespace=…)` from its making on. Use as a context manager: its end is the node's."""

    def __init__(self, make: Callable[..., LpdsNode], namespace: str = ""):
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = make(context=self._context, namespace=namespace or None)
        self._spinner = Spinner(self.node)

    def check(self):
        """Raise what ended the listening thread, if anything did."""
        if self._spinner.error is not None:
            raise self._spinner.error

    def call(self, function, *arguments):
        """What `function` returns in the spinning thread. What rclpy cannot bear beside a wait belongs there: an action's client
        may miss its answer, and an entity destroyed while its event handlers are gathered ends the executor.
        """
        return self._spinner.call(function, *arguments)

    def leave(self):
        """What is to be ended once no callback runs any more, before the node is."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._spinner.end()
        self.leave()
        self.node.destroy_node()
        self._context.try_shutdown()
