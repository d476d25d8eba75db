"""The simulated arm's streamed targets: target_pose, target_joint, and in lockstep joint positions with a stamp.

In real time a target is obeyed at once, and a stream that falls silent for target_timeout_s brakes the arm: a controller on a
robot would follow its last target for ever. In lockstep the targets of one period are collected and played together.
"""

import time
from collections.abc import Callable

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import pose_arrays, stamp_ns
from lpds_ros.nodes.sim_params import Parameters
from lpds_ros.robot.targets import JointTarget, PoseTarget
from lpds_ros.sim.control import Mode
from lpds_ros.sim.controllers import CARTESIAN, JOINT
from lpds_ros.sim.lockstep import Burst
from lpds_ros.sim.rotation import checked_target
from lpds_ros.sim.state import SimulationError
from lpds_ros.sim.trajectory import checked_positions, checked_velocities


class TargetStreams:
    """The streams of one world. lock: guards it. on_burst: called under the lock when a period's targets are there, to play
    `burst`. interrupted: called after a pose target ended a trajectory under way. heard_s: when a target last came, in lockstep.
    """

    def __init__(
        self,
        node,
        world,
        lock,
        params: Parameters,
        period_ns: int,
        *,
        warn: Callable[[str, str], None],
        on_burst: Callable[[], None],
        interrupted: Callable[[], None],
    ):
        self._node, self._world, self._lock, self._warn = node, world, lock, warn
        self._lockstep, self._timeout_s = params.clock == "lockstep", params.target_timeout_s
        self._on_burst, self._interrupted = on_burst, interrupted
        self.burst = Burst(period_ns, params.targets_per_period)
        self.burst.begin(world.time_ns)
        self.heard_s = 0.0
        self._alive: tuple[Mode, float] | None = None  # which stream drives the arm in real time, and when it was last heard
        quality = qos.TARGET_LOCKSTEP if self._lockstep else qos.TARGET_REALTIME
        node.create_subscription(PoseStamped, "target_pose", self._on_pose, quality)
        node.create_subscription(JointState, "target_joint", self._on_joints, quality)

    def _on_pose(self, message: PoseStamped):
        target = PoseTarget(stamp_ns(message.header.stamp), *pose_arrays(message.pose))
        self._obey("target_pose", CARTESIAN, Mode.CARTESIAN, target, lambda: checked_target(target.position, target.orientation))

    def _on_joints(self, message: JointState):
        """The joint impedance controller's reference; for the Cartesian one where its null space rests."""
        if CARTESIAN in self._world.controllers.driving:
            if self._heard_once("target_joint"):
                self._rest_at(list(message.position))
            return
        target = JointTarget(stamp_ns(message.header.stamp), message.position, message.velocity)

        def check():
            checked_positions(target.position)
            checked_velocities(target.velocity)

        self._obey("target_joint", JOINT, Mode.IMPEDANCE, target, check)

    def _rest_at(self, posture):
        try:
            with self._lock:
                self._world.set_posture(posture)
        except ValueError as error:
            self._warn("posture", f"target_joint refused: {error}")

    def _obey(self, topic: str, controller: str, mode: Mode, target, check: Callable[[], object]):
        if not self._heard_once(topic):
            return
        try:
            with self._lock:
                refusal = self._world.refusal(controller)
                if refusal:  # in lockstep the period passes nevertheless
                    self._warn(topic, f"{topic} is not obeyed: {refusal}")
                check()
                if self._lockstep:
                    self.collect(target)
                elif not refusal:
                    self._follow(topic, mode, target)
        except SimulationError:
            raise
        except ValueError as error:
            self._warn(topic, f"{topic} refused: {error}")

    def collect(self, target):
        """Lockstep: keep a checked target for its period; play them when the last one is there."""
        with self._lock:
            if self._world.control.following and isinstance(target, PoseTarget):
                # time ran on without this target: stop it, whatever period it is of
                target.apply(self._world)
                self._interrupted()
            self.heard_s = time.monotonic()
            if self.burst.add(target):
                self._on_burst()

    def _follow(self, topic: str, mode: Mode, target):
        """Real time: obey a target, unless it is so old that whoever sent it may be dead by now."""
        timeout_s, stamp = self._timeout_s, target.stamp_ns
        age_s = max(0.0, (time.time_ns() - stamp) / 1e9) if timeout_s and stamp else 0.0
        if age_s > timeout_s:
            self._warn("late target", f"a {topic} that is {age_s:.2f} s old is not obeyed; check both clocks")
            return
        target.apply(self._world)
        self.alive(mode, age_s)

    def alive(self, mode: Mode, age_s: float = 0.0):
        """Real time: the stream behind this law said something, `age_s` ago."""
        self._alive = mode, time.monotonic() - age_s

    def watch(self):
        """Real time: where whoever streams has died or hangs, nothing goes on towards its last target. Under the lock."""
        if not self._timeout_s or self._alive is None:
            return
        mode, last_s = self._alive
        if time.monotonic() - last_s > self._timeout_s:
            self._alive = None
            if self._world.control.mode is mode:
                self._world.brake("no target came any more")

    def _heard_once(self, topic: str) -> bool:
        """CRISP obeys a topic only while it has one publisher: two would fight over the arm."""
        publishers = self._node.count_publishers(topic)
        if publishers > 1:
            self._warn(topic, f"{publishers} publishers on {topic}: all are ignored until one is left; stop the others")
        return publishers <= 1
