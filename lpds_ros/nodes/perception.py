"""The perception node: robot and object streams in, one time-aligned Observation per control tick out.

lockstep: an observation leaves as soon as every stream and the task's state carry the tick's stamp; said again when the
simulation says its state again; invalid, naming the stream, when one stays away. realtime: a thread of its own ticks on
absolute deadlines of the monotonic clock, `lead_s` before steering's, and takes the newest samples.
Images go through the prior's encoders in a thread of their own; no tick waits for them.
"""

import threading
import time
from dataclasses import dataclass

import numpy as np

from lpds_ros.nodes.base import LpdsNode, main as run_node  # isort: skip (sets what rclpy reads at its first import)
from geometry_msgs.msg import PoseStamped
from lpds_msgs.msg import Observation as ObservationMsg
from lpds_msgs.msg import TaskState
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import Image, JointState

from lpds_ros.contract import Contract, ContractError, load_contract, require_same_contract
from lpds_ros.images import Picture
from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import observation_to_msg, pose_arrays, stamp_ns
from lpds_ros.nodes.perception_robot import RobotStateReader
from lpds_ros.nodes.perception_stages import ENCODED, RECEIVED, PictureStages
from lpds_ros.nodes.static_frames import publish_calibrations
from lpds_ros.nodes.threads import NodeThread
from lpds_ros.parameters import parameter
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.calibration.calib_file import read_calibrations
from lpds_ros.perception.encoding import EncoderLoop
from lpds_ros.perception.frozen import FrozenPictures
from lpds_ros.perception.robot import RobotState, RobotWatch
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.prior.encoders import EncoderSession
from lpds_ros.prior.runtime import PROVIDERS
from lpds_ros.realtime import RealtimeParameters, put_first
from lpds_ros.records import Observation
from lpds_ros.steering.clock import TickClock

LOOKS = 10  # before a stream counts as missing: a stall of this process, with samples waiting, is one look
WARN_S = 5.0


@dataclass(frozen=True)
class Parameters(RealtimeParameters):
    contract: str = parameter("", "contract file (required)")
    clock: str = parameter("realtime", "how time passes", choices=("realtime", "lockstep"))
    lead_s: float = parameter(
        0.008, "how long before steering's tick an observation is made (realtime)", "s", (0.0, 0.5)
    )
    robot_state_topic: str = parameter("", "the robot's own state (FrankaRobotState); empty: its mode and errors are not known")
    robot_state_max_age_s: float = parameter(0.2, "oldest robot state an observation may have (realtime)", "s", (0.01, 5.0))
    bundle: str = parameter("", "the prior, whose encoders see the contract's images; empty: their features are zero (recording)")
    encoder_provider: str = parameter("cpu", "where they run", choices=tuple(PROVIDERS))
    calibration: str = parameter("", "where cameras sit: .calib files, separated by commas, published on /tf_static")
    missing_s: float = parameter(1.0, "wall time after which a missing stream is said (lockstep)", "s", (0.05, 60.0))


class PerceptionNode(LpdsNode):
    """Subscribes the contract's streams and its task state, publishes lpds/observation."""

    NAME = "perception"
    Parameters = Parameters
    _thread: NodeThread | None = None
    _eyes: NodeThread | None = None
    _robot: RobotStateReader | None = None

    def set_up(self):
        if not self.params.contract:
            raise ContractError("parameter contract is empty: -p contract:=config/contracts/<task>.yaml")
        self.contract = load_contract(self.params.contract)
        self._digest = self.contract.digest
        self._lock = threading.Lock()
        self._lockstep = self.params.clock == "lockstep"
        topic = self.params.robot_state_topic
        watch = RobotWatch(topic, self.params.robot_state_max_age_s) if topic else None
        self._aligner = Aligner(self.contract, watch)
        self._pending_ns: int | None = None
        self._looks, self._heard_s = 0, time.monotonic()
        self._last: Observation | None = None
        self._warned_s = 0.0
        self._publisher = self.create_publisher(ObservationMsg, "lpds/observation", qos.CONTROL)
        for name, stream in self.contract.streams.items():
            if stream.is_image:
                self.create_subscription(Image, stream.topic, self._on_image(name), qos.IMAGE)
            elif stream.type.endswith("PoseStamped"):
                self.create_subscription(PoseStamped, stream.topic, self._on_pose(name), qos.ROBOT_STATE)
            else:
                self.create_subscription(JointState, stream.topic, self._on_joints(name), qos.ROBOT_STATE)
        self.create_subscription(TaskState, self.contract.reward.topic, self._on_task, qos.CONTROL)
        if topic:
            self._robot = RobotStateReader(self, topic, self._on_robot if self._lockstep else None)
        if self.contract.images:
            self._open_eyes()
        if self.params.calibration:
            self._placed = publish_calibrations(self, read_calibrations(self.params.calibration), time.time_ns())
        self.clock = TickClock(self.contract.period_ns, -round(self.params.lead_s * 1e9))
        if self._lockstep:
            self.create_timer(self.params.missing_s / LOOKS, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        else:
            self.claim_realtime()
            self._thread = NodeThread(self, self._run, "perception")

    def _open_eyes(self):
        self._seen = self.create_guard_condition(self._emit_if_complete)  # observations leave in the executor's thread
        encode = encoding_of(self.contract, self.params)
        images = {name: self.contract.streams[name] for name in self.contract.images}
        self._frozen, self._stages = FrozenPictures(), PictureStages(images)
        self._encoder = EncoderLoop(images, encode, self._on_features, self._on_refused, self._frozen_why)
        self._eyes = NodeThread(self, self._encoder.run, "encoder")

    # -- samples --------------------------------------------------------------

    def _on_pose(self, name: str):
        def push(message: PoseStamped):
            with self._lock:
                self._aligner.push_pose(name, stamp_ns(message.header.stamp), *pose_arrays(message.pose))
            self._emit_if_complete()

        return push

    def _on_joints(self, name: str):
        def push(message: JointState):
            stamp = stamp_ns(message.header.stamp)
            with self._lock:
                self._aligner.push_joints(name, stamp, message.position, message.velocity, message.effort)
            self._emit_if_complete()

        return push

    def _on_image(self, name: str):
        def offer(message: Image):
            stamp, size = stamp_ns(message.header.stamp), (message.width, message.height, message.step)
            self._stages.note(name, RECEIVED, stamp)
            self._encoder.offer(name, Picture(stamp, message.encoding, *size, message.data))

        return offer

    def _on_features(self, name: str, stamp: int, features, encode_s: float):
        with self._lock:
            self._aligner.push_features(name, stamp, features, encode_s)
        self._stages.note(name, ENCODED, stamp)
        if self._lockstep:
            self._seen.trigger()

    def _frozen_why(self, name: str, stamp: int, picture: np.ndarray) -> str:
        with self._lock:
            pose = self._aligner.pose_at(stamp)
        return self._frozen.look(name, stamp, picture, pose)

    def _on_refused(self, name: str, why: str):
        with self._lock:
            self._aligner.refuse(name, why)

    def _on_robot(self, state: RobotState):
        with self._lock:
            warning = self._aligner.robot.push(state)
        if warning:
            self.get_logger().warning(warning)
        if self._lockstep:
            self._emit_if_complete()

    def _on_task(self, message: TaskState):
        stamp = stamp_ns(message.header.stamp)
        with self._lock:
            self._aligner.push_task(stamp, message.reward, message.success)
        if not self._lockstep:
            return
        self._heard_s = time.monotonic()
        if self._last is not None and self._last.stamp_ns == stamp and self._last.valid:
            again = self._observed(stamp)
            # Said again: steering may have missed it, and the robot's mode may be another by now.
            self._emit(again if again.valid else self._last)
            return
        if self._pending_ns != stamp:
            self._pending_ns, self._looks = stamp, 0
        self._emit_if_complete()

    # -- lockstep --------------------------------------------------------------

    def _emit_if_complete(self):
        if self._pending_ns is None:
            return
        with self._lock:
            complete = self._aligner.complete_at(self._pending_ns)
        if complete:
            self._emit(self._observed(self._pending_ns))

    def _observed(self, now_ns: int) -> Observation:
        with self._lock:
            return self._aligner.observe(now_ns, exact=self._lockstep)

    def _look(self):
        """The wall clock's part of lockstep: name what is missing."""
        if self._pending_ns is not None:
            self._looks += 1
            if self._looks > LOOKS:
                self._emit(self._observed(self._pending_ns))
        elif (silent_s := time.monotonic() - self._heard_s) > WARN_S:
            self._warn(f"nothing on {self.contract.reward.topic} for {silent_s:.0f} s: is the simulation running?")

    # -- realtime --------------------------------------------------------------

    def _run(self, ending: threading.Event):
        put_first(self.params)
        while not ending.is_set():
            self.clock.pace()
            state = self._robot.newest() if self._robot is not None else None
            if state is not None:
                self._on_robot(state)
            self._emit(self._observed(time.time_ns()))
            self.clock.done()

    # -- out --------------------------------------------------------------

    def _emit(self, observation: Observation):
        self._pending_ns = None
        self._last = observation
        self._publisher.publish(observation_to_msg(observation, self._digest))
        if not observation.valid:
            self._warn(observation.reason)

    def _warn(self, text: str):
        now = time.monotonic()
        if now - self._warned_s >= WARN_S:
            self._warned_s = now
            self.get_logger().warning(text)

    def stop(self):
        """End the threads, say how well the tick's kept time."""
        if self._eyes is not None:
            self._eyes.end()
            self._eyes = None
        if self._thread is not None:
            self._thread.end()
            self._thread = None
            self.get_logger().info(self.clock.summary())
            if self.contract.images:
                self.get_logger().info(self._stages.summary())

    def destroy_node(self):
        self.stop()
        super().destroy_node()


def encoding_of(contract: Contract, params: Parameters):
    """(stream, picture) -> features: the bundle's encoders, or zeros without one. Raises BundleError, ContractError."""
    if not params.bundle:
        return lambda name, image: np.zeros(contract.images[name].size, np.float32)
    bundle = load_bundle(params.bundle)
    require_same_contract(contract, bundle.contract.digest, f"prior {bundle.name}")
    return EncoderSession(bundle, params.encoder_provider).encode


def main(args: list[str] | None = None) -> int:
    """Entry point of the `perception` executable."""
    return run_node(PerceptionNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
