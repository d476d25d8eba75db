"""Topics and services that never wake the executor: who wants something takes it, in any thread.

Of a topic at 1 kHz the newest message now and then is one made into Python objects, instead of a thousand a second. A request
that is taken may be answered minutes later.
"""

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSProfile

from lpds_ros.nodes import qos


class _Polled(CallbackGroup):
    """Subscriptions that never wake the executor."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False

    def ending_execution(self, entity):
        """Nothing was begun."""


class Newest:
    """Subscribes `topic`; `take` may be called from any thread."""

    def __init__(self, node, kind, topic: str, quality: QoSProfile = qos.ROBOT_STATE):
        self._kind = kind
        self._subscription = node.create_subscription(kind, topic, lambda _: None, quality, callback_group=_Polled())

    def take(self):
        """The newest message since the last call, None where there is none."""
        with self._subscription.handle:
            taken = self._subscription.handle.take_message(self._kind, False)
        return None if taken is None else taken[0]


class Requests:
    """Serves `name`; requests wait until they are taken."""

    def __init__(self, node, kind, name: str):
        self._node, self._kind = node, kind
        self._service = node.create_service(kind, name, lambda _, response: response, callback_group=_Polled())

    def take(self) -> list[tuple[object, Callable[[object], None]]]:
        """Every request since the last call, each with the function that answers it with a response."""
        found = []
        while True:
            with self._service.handle:
                request, header = self._service.handle.service_take_request(self._kind.Request)
            if header is None:
                return found
            found.append((request, lambda response, header=header: self._service.send_response(response, header)))

    def destroy(self):
        """Serve it no more; who waits is never answered."""
        self._node.destroy_service(self._service)
