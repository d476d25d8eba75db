"""The sim node: a robot cell in MuJoCo that looks like franka_ros2, with its own two ways to pass time.

realtime: the physics runs in a thread on absolute deadlines of the steady clock; stamps are system time, as on a robot.
lockstep: one control period passes when the command for it has arrived (the burst of pose targets, or one message of
joint positions), and a joint trajectory is a command for as many periods as it lasts; stamps are simulated time.
"""

import dataclasses
import threading
import time

from lpds_msgs.srv import Reset
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

from lpds_ros.contract import Contract, load_contract
from lpds_ros.nodes.base import LpdsNode
from lpds_ros.nodes.base import main as run_node
from lpds_ros.nodes.controller_manager import ControllerManager
from lpds_ros.nodes.messages import stamp_msg
from lpds_ros.nodes.sim_faults import FaultService
from lpds_ros.nodes.sim_gripper import GripperServer
from lpds_ros.nodes.sim_joints import JointCommands
from lpds_ros.nodes.sim_params import Parameters
from lpds_ros.nodes.sim_services import ParameterServices
from lpds_ros.nodes.sim_streams import ROBOT_STATE, SPOILABLE, TRANSFORMS, RobotStreams
from lpds_ros.nodes.sim_targets import TargetStreams
from lpds_ros.nodes.threads import NodeThread
from lpds_ros.resources import resource
from lpds_ros.sim.controllers import Controllers
from lpds_ros.sim.fr3 import JOINTS
from lpds_ros.sim.state import SimulationError
from lpds_ros.sim.streams import check_streams
from lpds_ros.sim.tasks import load_task

SILENCE_S = 0.25  # without a command for so long, lockstep says its state again
HOUSEKEEPING_S = 0.02
SLICE_MS = 5  # of physics between two looks at the clock, in real time, at most
BACKLOG_S = 0.1  # more than this behind the clock is given up
WARN_S = 5.0


class SimNode(LpdsNode):
    """Publishes RobotStreams; obeys target_pose, target_joint, joint commands (those of the active controller), the gripper,
    the controller manager's services, error recovery, lpds/reset.

    With the parameter faults it also serves lpds/fault. In real time a target_pose that falls silent for target_timeout_s
    brakes the arm.
    """

    NAME = "sim"
    Parameters = Parameters
    _thread = _camera = _gripper = _joints = _manager = _faults = None

    def set_up(self):
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
        self.controllers = Controllers(
            p.controller, trajectory=p.trajectory_controller, position=p.position_controller
        )
        self.world = self.make_world(contract)
        self.world.reset(p.seed, p.region)
        self._seed, self._period_ns = p.seed, contract.period_ns
        self._warned: dict[str, float] = {}
        self._last_s = 0.0
        self._camera = self._make_camera(contract) if p.camera == "sim" else None
        frames = self._camera.frames() if self._camera else ()
        renamed = {"lpds/object_pose": "lpds/true_object_pose"} if p.markers else {}
        self._streams = RobotStreams(self, contract.task, self._now_ns(), frames, renamed)
        self._serve()
        if p.faults:
            self._serve_faults()
        if self.lockstep:
            self._result = self.world.task_result()
        else:
            self._thread = NodeThread(self, self._realtime, "physics")

    def make_world(self, contract: Contract):
        """The cell behind the topics. MuJoCo is imported here, not above: the mock robot is this node without it."""
        from lpds_ros.sim.world import World

        period_ns, prints = contract.period_ns, self._prints()
        return World(contract.task, control_period_ns=period_ns, prints=prints, controllers=self.controllers)

    def _prints(self):
        """A board; markers on the object: whoever measures them says where it is, the simulation says the truth elsewhere."""
        if not (self.params.markers or self.params.board):
            return ()
        from lpds_ros.nodes.sim_prints import board_print, object_prints
        from lpds_ros.perception.calibration.board import load_board
        from lpds_ros.perception.marker_set import load_markers

        board = (board_print(load_board(), self.params.board),) if self.params.board else ()
        return board + (object_prints(load_markers(self.params.markers)) if self.params.markers else ())

    def _make_camera(self, contract: Contract):
        from lpds_ros.nodes.sim_camera import CameraStreams
        from lpds_ros.sim.camera import camera_views, read_view

        views = camera_views(contract)
        if self.params.camera_view:
            views["camera"] = read_view(self.params.camera_view)
        return CameraStreams(self, self.world.model, views)

    def _serve(self):
        p = self.params
        self._go = self.create_guard_condition(self._on_go)
        self._say = self.create_guard_condition(self._publish_lockstep)
        self._targets = TargetStreams(
            self,
            self.world,
            self._lock,
            p,
            self._period_ns,
            warn=self._warn,
            on_burst=self._play_burst,
            interrupted=self._say.trigger,
        )
        self._joints = JointCommands(
            self,
            self.world,
            self._lock,
            p,
            now_ns=self._now_ns,
            warn=self._warn,
            targets=self._targets,
            pass_period=self._pass_period,
            on_trajectory=self._go.trigger,
        )
        self._gripper = GripperServer(self, self.world, self._lock)
        ParameterServices(self, self.world, self._lock)
        if p.reset:
            self.create_service(Reset, "lpds/reset", self._on_reset)
        self.create_service(Trigger, "lpds/reflex", self._on_reflex)
        self._manager = ControllerManager(self, self.world, JOINTS, self._lock, self._warn)
        self._feedback = (  # who gives it, every so many seconds, when it is due
            [self._gripper, 1.0 / p.feedback_publish_rate, 0.0],
            [self._joints, 1.0 / p.action_monitor_rate, 0.0],
        )
        self.create_timer(HOUSEKEEPING_S, self._housekeep, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _serve_faults(self):
        topics = SPOILABLE + (tuple(self._camera.views) if self._camera else ())
        self._faults = FaultService(self, self.world, self._lock, topics, lockstep=self.lockstep).faults

        def spoil(topic, sample):
            with self._lock:
                return self._faults.say(topic, sample, self.world.time_ns)

        self._streams.spoil = spoil
        if self._camera is not None:
            self._camera.spoil = spoil

    def _now_ns(self) -> int:
        return self.world.time_ns if self.lockstep else time.time_ns()

    # -- commands -----------------------------------------------------------------------------------------------

    def _on_go(self):
        """Lockstep: a trajectory moves on by itself, a period at a time, so that who listens may take over."""
        self._joints.finish()
        if self.lockstep and self.world.control.following:
            with self._lock:
                self._pass_period()
            self._go.trigger()

    def _on_reset(self, request, response):
        with self._lock:
            if refusal := self.world.stopped:
                response.success, response.message = False, f"not reset: {refusal}"
                return response
            self._gripper.abort("the task was reset")
            self.world.reset(int(request.seed), self.params.region)
            self._seed = int(request.seed)
            self._targets.burst.begin(self.world.time_ns)
            self._result = self.world.task_result()
            stamp = self._now_ns()
        self._joints.finish()
        response.success, response.stamp = True, stamp_msg(stamp)
        if self.lockstep:
            self._say.trigger()  # the answer goes out first, then the new episode's first state
        return response

    def _on_reflex(self, request, response):
        with self._lock:
            self.world.reflex()
        response.success, response.message = True, "the arm is in REFLEX until it is recovered: `lpds robot recover`"
        return response

    # -- time ---------------------------------------------------------------------------------------------------

    def _housekeep(self):
        now = time.monotonic()
        if self.lockstep:
            if now - max(self._last_s, self._targets.heard_s) > SILENCE_S:
                self._publish_lockstep()
            return
        for entry in self._feedback:
            server, every_s, due_s = entry
            if not server.busy:
                continue
            server.finish()
            if now >= due_s:
                entry[2] = now + every_s
                server.feed_back()

    def _play_burst(self):
        """Lockstep: one control period under the targets for it."""
        self._apply_faults()
        self._targets.burst.play(self.world)
        self._result = self.world.task_result()
        self._publish_lockstep()

    def _pass_period(self):
        """Lockstep: one control period under the command that is there. Under the lock."""
        self._apply_faults()
        self.world.advance_to(self.world.time_ns + self._period_ns)
        self._targets.burst.begin(self.world.time_ns)
        self._result = self.world.task_result()
        self._publish_lockstep()

    def _publish_lockstep(self):
        """Every stream of this instant with one stamp, then the task's state, then the clock."""
        with self._lock:
            state, (reward, success), q = self.world.state(), self._result, self._pictured()
        for server in (self._gripper, self._joints):
            server.finish()
            server.feed_back()
        if self._camera is not None:
            self._camera.shoot(state.stamp_ns, q, wait=True)
        self._streams.publish(state, self._streams.topics)
        self._streams.publish_task(state.stamp_ns, self._seed, reward, success)
        self._streams.publish_clock(state.stamp_ns)
        self._last_s = time.monotonic()

    def _pictured(self):
        """What the camera's picture is taken of: generalised positions, or None where nobody takes any."""
        return None if self._camera is None else self.world.data.qpos.copy()

    def _realtime(self, ending: threading.Event):
        p = self.params
        rates = dict.fromkeys(self._streams.topics, p.convenience_publish_rate) | {
            ROBOT_STATE: p.robot_state_rate,
            "joint_states": p.joint_state_rate,
            "franka_gripper/joint_states": p.gripper_state_rate,
            "lpds/object_pose": p.object_rate,
            TRANSFORMS: p.publish_frequency,
        }
        slice_ms = longest_slice_ms(rates.values())
        due = dict.fromkeys(rates, 0.0)
        task_due, camera_due, deadline = 0.0, 0.0, time.monotonic()
        while not ending.is_set() and self.context.ok():
            deadline += slice_ms / 1000
            now = time.monotonic()
            if now - deadline > BACKLOG_S:
                self._warn("late", f"the {self.NAME} is {now - deadline:.2f} s behind the clock and gives that time up")
                deadline = now
            time.sleep(max(0.0, deadline - now))
            with self._lock:
                self._targets.watch()
                shift_ns = self._apply_faults()
                self.world.advance(slice_ms)
                stamp = time.time_ns() + shift_ns
                state = dataclasses.replace(self.world.state(), stamp_ns=stamp)
                result, q = None, self._pictured()
                if deadline >= task_due:
                    task_due = max(task_due + self._period_ns * 1e-9, deadline)
                    result, seed = self.world.task_result(), self._seed
            topics = [topic for topic, moment in due.items() if deadline >= moment - 1e-9]
            for topic in topics:
                due[topic] = max(due[topic] + 1.0 / rates[topic], deadline)
            self._streams.publish(state, topics)
            if self._camera is not None and deadline >= camera_due:
                camera_due = max(camera_due + 1.0 / p.camera_rate, deadline)
                self._camera.shoot(stamp, q, wait=False)
            if result is not None:
                self._streams.publish_task(stamp, seed, *result)
            self._streams.publish_clock(stamp)

    def _apply_faults(self) -> int:
        """Do what is to go wrong now; return by how much every stamp is off, nanoseconds."""
        if self._faults is None:
            return 0
        self._faults.apply(self.world)
        return self._faults.shift_ns(self.world.time_ns)

    def _warn(self, what: str, text: str):
        now = time.monotonic()
        if now - self._warned.get(what, -WARN_S) >= WARN_S:
            self._warned[what] = now
            self.get_logger().error(text)

    def stop(self):
        """End the physics thread."""
        if self._thread is not None:
            self._thread.end()

    def destroy_node(self):
        """Stop, take the actions off the graph, then the node."""
        self.stop()
        for part in (self._camera, self._joints, self._gripper, self._manager):
            if part is not None:
                part.destroy()
        self._camera = self._joints = self._gripper = self._manager = None
        super().destroy_node()


def longest_slice_ms(rates_hz) -> int:
    """Milliseconds of physics between two looks at the clock that still serve the highest of the rates."""
    return max(1, min(SLICE_MS, int(1000 / max(rates_hz))))


def main(args: list[str] | None = None) -> int:
    """Entry point of the `sim` executable."""
    return run_node(SimNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
