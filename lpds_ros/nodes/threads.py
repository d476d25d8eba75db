"""A thread of a node's own whose failure ends the node: its exception is raised again in the executor."""

import threading
from collections.abc import Callable

from rclpy.node import Node

END_S = 10.0  # a machine may stall, and what still runs when its node is destroyed uses what is gone


class NodeThread:
    """Runs `body(ending)` in a thread; `ending` is the Event that asks it to return."""

    def __init__(self, node: Node, body: Callable[[threading.Event], None], name: str):
        self._error: BaseException | None = None
        self._guard = node.create_guard_condition(self._raise)
        self._ending = threading.Event()
        self._body = body
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._body(self._ending)
        except BaseException as error:  # noqa: BLE001 (raised again by the executor, which is supervised)
            self._error = error
            self._guard.trigger()

    def _raise(self):
        if self._error is not None:
            raise self._error

    def end(self, timeout_s: float = END_S):
        """Ask the thread to end and join it."""
        self._ending.set()
        self._thread.join(timeout_s)
