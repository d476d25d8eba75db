"""Ask the running steering node to go back to, pin or unpin weights."""

import array
import threading

from lpds_ros.nodes.base import LpdsNode, RefusedError  # isort: skip (sets what rclpy reads at its first import)
from lpds_msgs.srv import ManageWeights

from lpds_ros.nodes.attached import Attached
from lpds_ros.weights import sha256

ACTIONS = {"rollback": ManageWeights.Request.ROLLBACK, "pin": ManageWeights.Request.PIN, "unpin": ManageWeights.Request.UNPIN}
SERVICE = "lpds/manage_weights"


class ManagerNode(LpdsNode):
    """Calls lpds/manage_weights."""

    NAME = "weights_manager"


def manage_weights(action: str, blob: bytes = b"", *, namespace: str = "", patience_s: float = 10.0) -> str:
    """Do `action` (rollback, pin, unpin) with these weights; what the steering node answered. Raises RefusedError when it
    refused, or none answered.
    """
    with Attached(ManagerNode, namespace) as attached:
        client = attached.node.create_client(ManageWeights, SERVICE)
        if not client.wait_for_service(patience_s):
            raise RefusedError(
                f"no steering node serves {client.srv_name} in this ROS_DOMAIN_ID: start the stack first, or give its "
                "--namespace"
            )
        request = ManageWeights.Request(action=ACTIONS[action], blob=array.array("B", blob), sha256=sha256(blob))
        future, answered = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(patience_s):
            raise RefusedError(f"{client.srv_name} has not answered for {patience_s:.0f} s")
        if not future.result().success:
            raise RefusedError(future.result().message)
        return future.result().message
