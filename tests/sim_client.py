"""The other side of a sim node's topics, services and actions, for its tests."""

from geometry_msgs.msg import PoseStamped
from lpds_msgs.msg import TaskState
from rclpy.action import ActionClient

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import pose_stamped_msg, stamp_ns
from lpds_ros.nodes.sim import SimNode
from lpds_ros.sim.world import HAND_DOWN

STATE = "franka_robot_state_broadcaster"
PERIOD_NS, COUNT = 50_000_000, 5
SUCCEEDED, CANCELED, ABORTED = 4, 5, 6


class Client:
    """Keeps what it hears, answers a task state with a burst when asked to."""

    def __init__(self, ros, sim):
        self.ros, self.sim, self.node = ros, sim, ros.node("client")
        self.tasks, self.poses, self.drive = [], [], False
        self._actions = {}
        self.targets = self.node.create_publisher(PoseStamped, "target_pose", qos.TARGET_LOCKSTEP)
        self.node.create_subscription(TaskState, "lpds/task_state", self._on_task, qos.CONTROL)
        self.node.create_subscription(PoseStamped, f"{STATE}/current_pose", self.poses.append, qos.ROBOT_STATE)
        ros.wait(lambda: self.targets.get_subscription_count() and self.tasks, what="the sim node")

    def _on_task(self, message):
        self.tasks.append(message)
        if self.drive and (len(self.tasks) < 2 or self.stamp > stamp_ns(self.tasks[-2].header.stamp)):
            self.burst(self.stamp)

    @property
    def stamp(self):
        return stamp_ns(self.tasks[-1].header.stamp)

    def burst(self, stamp, position=(0.5, 0.0, 0.25), first=0, last=COUNT):
        for i in range(first, last):
            self.targets.publish(pose_stamped_msg(stamp + i * PERIOD_NS // COUNT, position, HAND_DOWN))

    def run(self):
        """Keep simulated time passing."""
        self.drive = True
        self.burst(self.stamp)

    def reach(self, stamp):
        self.ros.wait(lambda: self.stamp >= stamp, what=f"state {stamp}")

    def call(self, kind, name, request=None):
        client = self.node.create_client(kind, name)
        self.ros.wait(client.service_is_ready, what=name)
        future = client.call_async(request or kind.Request())
        self.ros.wait(future.done, what=name)
        return future.result()

    def send(self, name, goal, kind, feedback=None):
        """Send a goal; its handle once the server has accepted or refused it."""
        if name not in self._actions:
            # In the executor's thread: it must not see a client that is half made.
            self._actions[name] = self.ros.call(ActionClient, self.node, kind, name)
        client = self._actions[name]
        self.ros.wait(client.server_is_ready, what=name)
        answer = self.ros.call(lambda: client.send_goal_async(goal, feedback))
        self.ros.wait(answer.done, what=f"an answer of {name}")
        return answer.result()

    def goal(self, kind, name, **fields):
        """Send a goal, wait for its acceptance, return the future of its result."""
        handle = self.send(name, kind.Goal(**fields), kind)
        assert handle.accepted
        return handle.get_result_async()


def make_client(ros, clock, kind=SimNode, **parameters) -> Client:
    """A sim node of the lift task, seed 3 (or one of another kind), with a client beside it."""
    node = kind(context=ros.context, parameters={"task": "lift", "clock": clock, "seed": 3, **parameters})
    return Client(ros, ros.add(node))
