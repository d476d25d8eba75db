"""Ask the running steering node to go back to, pin or unpin weights. A ROS context of its own, for the time of one call."""

import array
import time

from lpds_ros.nodes.base import LpdsNode, RefusedError  # isort: skip (sets what rclpy reads at its first import)
import rclpy
from lpds_msgs.srv import ManageWeights
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

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
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor(context=context)
    node = ManagerNode(context=context, namespace=namespace or None)
    executor.add_node(node)
    try:
        client, end_s = node.create_client(ManageWeights, SERVICE), time.monotonic() + patience_s
        while not client.service_is_ready():
            if time.monotonic() > end_s:
                raise RefusedError(
                    f"no steering node serves {client.srv_name} in this ROS_DOMAIN_ID: start the stack first, or give its "
                    "--namespace"
                )
            executor.spin_once(timeout_sec=0.05)
        request = ManageWeights.Request(action=ACTIONS[action], blob=array.array("B", blob), sha256=sha256(blob))
        future = client.call_async(request)
        executor.spin_until_future_complete(future, timeout_sec=patience_s)
        if not future.done():
            raise RefusedError(f"{client.srv_name} has not answered for {patience_s:.0f} s")
        answer = future.result()
        if not answer.success:
            raise RefusedError(answer.message)
        return answer.message
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
