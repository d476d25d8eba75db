"""The sim node: a robot cell in MuJoCo that looks like franka_ros2, with its own two ways to pass time.

realtime: the physics runs in a thread on absolute deadlines of the steady clock; stamps are system time, as on a robot.
lockstep: one control period passes when the burst of pose targets for it has arrived; stamps are simulated time.
"""

import dataclasses
import threading
import time
from dataclasses import dataclass

from franka_msgs.action import ErrorRecovery
from geometry_msgs.msg import PoseStamped
from lpds_msgs.srv import Reset
from rclpy.action import ActionServer
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from lpds_ros.contract import load_contract
from lpds_ros.nodes import qos
from lpds_ros.nodes.base import LpdsNode
from lpds_ros.nodes.base import main as run_node
from lpds_ros.nodes.messages import pose_arrays, stamp_msg, stamp_ns
from lpds_ros.nodes.sim_gripper import GripperServer
from lpds_ros.nodes.sim_services import ParameterServices
from lpds_ros.nodes.sim_streams import ROBOT_STATE, RobotStreams
from lpds_ros.parameters import parameter
from lpds_ros.resources import resource
from lpds_ros.sim.lockstep import Burst
from lpds_ros.sim.streams import check_streams
from lpds_ros.sim.tasks import load_task
from lpds_ros.sim.world import SimulationError, World

SILENCE_S = 0.25  # without a command for so long, lockstep says its state again
HOUSEKEEPING_S = 0.02
SLICE_MS = 5  # of physics between two looks at the clock, in real time
BACKLOG_S = 0.1  # more than this behind the clock is given up
WARN_S = 5.0


@dataclass(frozen=True)
class Parameters:
    contract: str = parameter("", "contract file; empty: config/contracts/<task>.yaml")
    task: str = parameter("", "task of sim/tasks; empty: the contract's")
    clock: str = parameter("realtime", "how time passes", choices=("realtime", "lockstep"))
    targets_per_period: int = parameter(5, "pose targets in one control period (lockstep)", range=(1, 1000))
    seed: int = parameter(0, "of the episode that runs before the first reset", range=(0, 2**62))
    region: str = parameter("full", "where the task may place its object", choices=("full", "demo"))
    convenience_publish_rate: int = parameter(100, "state topics of the broadcaster (realtime)", "Hz", range=(1, 1000))
    robot_state_rate: float = parameter(30.0, "robot_state (realtime)", "Hz", range=(1, 1000))
    joint_state_rate: float = parameter(30.0, "joint_states (realtime)", "Hz", range=(1, 1000))
    gripper_state_rate: float = parameter(30.0, "franka_gripper/joint_states (realtime)", "Hz", range=(1, 200))
    object_rate: float = parameter(60.0, "lpds/object_pose (realtime)", "Hz", range=(1, 200))


class SimNode(LpdsNode):
    """Publishes RobotStreams; obeys target_pose, target_joint, the gripper's actions, error recovery, lpds/reset."""

    NAME = "sim"
    Parameters = Parameters

    def __init__(self, **options):
        self._thread, self._ending = None, threading.Event()  # before anything can fail: destroy_node looks at them
        self._gripper = self._recovery = None
        super().__init__(**options)
        try:
            self._set_up()
        except BaseException:
            self.destroy_node()
            raise

    def _set_up(self):
        p = self.params
        if not (p.contract or p.task):
            raise SimulationError("parameters contract and task are both empty: -p task:=lift, or -p contract:=<file>")
        if p.task:
            load_task(p.task)  # an unknown task is named before its contract is looked for
        contract = load_contract(p.contract or resource(f"config/contracts/{p.task}.yaml"))
        if p.task not in ("", contract.task):
            raise SimulationError(f"contract {contract.name} is for task '{contract.task}', not '{p.task}'")
        check_streams(contract)
        self.lockstep = p.clock == "lockstep"
        self._lock = threading.RLock()
        self.world = World(contract.task, control_period_ns=contract.period_ns)
        self.world.reset(p.seed, p.region)
        self._seed, self._period_ns = p.seed, contract.period_ns
        self._burst = Burst(contract.period_ns, p.targets_per_period)
        self._burst.begin(self.world.time_ns)
        self._streams = RobotStreams(self, contract.task)
        self._gripper = GripperServer(self, self.world, self._lock)
        ParameterServices(self, self.world, self._lock)
        self._warned: dict[str, float] = {}
        self._last_s = 0.0
        self._serve()
        if self.lockstep:
            self._result = self.world.task_result()
        else:
            self._thread_error: BaseException | None = None
            self._thread = threading.Thread(target=self._run_realtime, name="physics", daemon=True)
            self._thread.start()

    def _serve(self):
        targets = qos.TARGET_LOCKSTEP if self.lockstep else qos.TARGET_REALTIME
        self.create_subscription(PoseStamped, "target_pose", self._on_target, targets)
        self.create_subscription(JointState, "target_joint", self._on_posture, qos.TARGET_REALTIME)
        self.create_service(Reset, "lpds/reset", self._on_reset)
        self.create_service(Trigger, "lpds/reflex", self._on_reflex)
        self._recovery = ActionServer(self, ErrorRecovery, "action_server/error_recovery", self._on_recovery)
        self._say = self.create_guard_condition(self._publish_lockstep)
        self.create_timer(HOUSEKEEPING_S, self._housekeep, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # -- commands -----------------------------------------------------------------------------------------------

    def _heard_once(self, topic: str) -> bool:
        """CRISP obeys a topic only while it has one publisher: two would fight over the arm."""
        publishers = self.count_publishers(topic)
        if publishers > 1:
            self._warn(topic, f"{publishers} publishers on {topic}: all are ignored until one is left; stop the others")
        return publishers <= 1

    def _on_target(self, message: PoseStamped):
        if not self._heard_once("target_pose"):
            return
        position, orientation = pose_arrays(message.pose)
        try:
            with self._lock:
                if not self.lockstep:
                    self.world.set_target(position, orientation)
                    return
                if self._burst.add(stamp_ns(message.header.stamp), position, orientation):
                    self._burst.play(self.world)
                    self._result = self.world.task_result()
                    self._publish_lockstep()
                self._last_s = time.monotonic()
        except SimulationError:
            raise
        except ValueError as error:
            self._warn("target", f"target_pose refused: {error}")

    def _on_posture(self, message: JointState):
        if not self._heard_once("target_joint"):
            return
        try:
            with self._lock:
                self.world.set_posture(list(message.position))
        except ValueError as error:
            self._warn("posture", f"target_joint refused: {error}")

    def _on_reset(self, request, response):
        with self._lock:
            self._gripper.abort("the task was reset")
            self.world.reset(int(request.seed), self.params.region)
            self._seed = int(request.seed)
            self._burst.begin(self.world.time_ns)
            self._result = self.world.task_result()
            stamp = self.world.time_ns if self.lockstep else time.time_ns()
        response.success, response.stamp = True, stamp_msg(stamp)
        if self.lockstep:
            self._say.trigger()  # the answer goes out first, then the new episode's first state
        return response

    def _on_reflex(self, request, response):
        with self._lock:
            self.world.reflex()
        response.success, response.message = True, "the arm is in REFLEX until action_server/error_recovery"
        return response

    def _on_recovery(self, handle):
        with self._lock:
            self.world.recover()
        handle.succeed()
        return ErrorRecovery.Result()

    # -- time ---------------------------------------------------------------------------------------------------

    def _housekeep(self):
        if self._thread is not None and not self._thread.is_alive():
            raise self._thread_error or SimulationError("the physics thread ended")
        if self._gripper.busy and not self.lockstep:
            self._gripper.finish()
        if self.lockstep and time.monotonic() - self._last_s > SILENCE_S:
            self._publish_lockstep()

    def _publish_lockstep(self):
        """Every stream of this instant with one stamp, then the task's state, then the clock."""
        with self._lock:
            state, (reward, success) = self.world.state(), self._result
        self._gripper.finish()
        self._streams.publish(state, self._streams.topics)
        self._streams.publish_task(state.stamp_ns, self._seed, reward, success)
        self._streams.publish_clock(state.stamp_ns)
        self._last_s = time.monotonic()

    def _run_realtime(self):
        try:
            self._realtime()
        except BaseException as error:  # noqa: BLE001 (raised again in the executor, which is supervised)
            self._thread_error = error

    def _realtime(self):
        p = self.params
        rates = dict.fromkeys(self._streams.topics, p.convenience_publish_rate) | {
            ROBOT_STATE: p.robot_state_rate,
            "joint_states": p.joint_state_rate,
            "franka_gripper/joint_states": p.gripper_state_rate,
            "lpds/object_pose": p.object_rate,
        }
        due = dict.fromkeys(rates, 0.0)
        task_due, deadline = 0.0, time.monotonic()
        while not self._ending.is_set() and self.context.ok():
            deadline += SLICE_MS / 1000
            now = time.monotonic()
            if now - deadline > BACKLOG_S:
                self._warn("late", f"the simulation is {now - deadline:.2f} s behind the clock and gives that time up")
                deadline = now
            time.sleep(max(0.0, deadline - now))
            with self._lock:
                self.world.advance(SLICE_MS)
                stamp = time.time_ns()
                state = dataclasses.replace(self.world.state(), stamp_ns=stamp)
                result = None
                if deadline >= task_due:
                    task_due += self._period_ns * 1e-9 if task_due else deadline + self._period_ns * 1e-9
                    result, seed = self.world.task_result(), self._seed
            topics = [topic for topic, moment in due.items() if deadline >= moment - 1e-9]
            for topic in topics:
                due[topic] = max(due[topic] + 1.0 / rates[topic], deadline)
            self._streams.publish(state, topics)
            if result is not None:
                self._streams.publish_task(stamp, seed, *result)
            self._streams.publish_clock(stamp)

    def _warn(self, what: str, text: str):
        now = time.monotonic()
        if now - self._warned.get(what, -WARN_S) >= WARN_S:
            self._warned[what] = now
            self.get_logger().error(text)

    def stop(self):
        """End the physics thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def destroy_node(self):
        """Stop, take the actions off the graph, then the node."""
        self.stop()
        if self._recovery is not None:
            self._gripper.destroy()
            self._recovery.destroy()
            self._gripper = self._recovery = None
        super().destroy_node()


def main(args: list[str] | None = None) -> int:
    """Entry point of the `sim` executable."""
    return run_node(SimNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
