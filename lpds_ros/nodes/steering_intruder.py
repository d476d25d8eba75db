"""Whether somebody else commands the arm."""

from rclpy.node import Node
from rclpy.publisher import Publisher


def intruder(node: Node, publisher: Publisher) -> str:
    """Who else publishes on the topic of `publisher`, which is to be the node's alone, as a reason to hold; "" for nobody."""
    topic = publisher.topic_name
    publishers = node.get_publishers_info_by_topic(topic)
    if len(publishers) < 2:
        return ""
    mine = (node.get_name(), node.get_namespace())
    others = [p for p in publishers if (p.node_name, p.node_namespace) != mine]
    names = [f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in others] or ["a second steering node"]
    return f"another publisher on {topic}: {', '.join(names)}; only steering may command it"
