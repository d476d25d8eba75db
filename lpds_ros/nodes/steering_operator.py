"""What the operator last said, from the executor to the tick."""

import threading
from dataclasses import replace

from lpds_msgs.msg import OperatorCommand

from lpds_ros.contract import Contract
from lpds_ros.nodes.messages import operator_from_msg
from lpds_ros.records import Mark, OperatorInput


class OperatorInbox:
    """Keeps the newest input; a mark is kept until a tick has taken it, and taken once."""

    def __init__(self, contract: Contract):
        self._contract, self._lock = contract, threading.Lock()
        self._newest: OperatorInput | None = None

    def put(self, message: OperatorCommand):
        """Raises MessageError when it does not fit the contract."""
        operator = operator_from_msg(message, self._contract)
        with self._lock:
            waiting = self._newest.mark if self._newest is not None else Mark.NONE
            self._newest = replace(operator, mark=operator.mark or waiting)

    def take(self) -> OperatorInput | None:
        """The newest, for one tick; None before any."""
        with self._lock:
            operator = self._newest
            if operator is not None:
                self._newest = replace(operator, mark=Mark.NONE, stop=False)
            return operator

    def answered(self, stamp_ns: int) -> bool:
        """Whether the operator has answered the observation of this stamp."""
        return self._newest is not None and self._newest.stamp_ns == stamp_ns
