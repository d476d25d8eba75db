"""The steering node in a cell of fakes: observations in; bursts, goals, records, status out."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from steering_fakes import Cell, lift, random_actor
from waiting import PATIENCE_S

pytest.importorskip("rclpy")
from franka_msgs.action import Grasp, Homing, Move  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from lpds_msgs.msg import Decision, Episode, LearnerStatus, OperatorCommand, SteeringStatus, SteeringWeights  # noqa: E402
from lpds_msgs.msg import Observation as ObservationMsg  # noqa: E402
from lpds_msgs.srv import Reset  # noqa: E402
from rclpy.action import ActionServer, GoalResponse  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from lpds_ros import cli  # noqa: E402
from lpds_ros.learning.store import ActorStore  # noqa: E402
from lpds_ros.nodes import qos, steering_drive, steering_turn, steering_weights  # noqa: E402
from lpds_ros.nodes import steering as steering_module  # noqa: E402
from lpds_ros.nodes.messages import (  # noqa: E402
    decision_from_msg,
    observation_to_msg,
    operator_to_msg,
    pose_arrays,
    stamp_msg,
    stamp_ns,
)
from lpds_ros.nodes.steering import SteeringNode  # noqa: E402 (imports ROS)
from lpds_ros.prior.bundle import load_bundle  # noqa: E402
from lpds_ros.prior.session import DecoderSession  # noqa: E402
from lpds_ros.records import Mark, Mode, OperatorInput, Source  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402
from lpds_ros.steering.ahead import SlowDecoderError  # noqa: E402
from lpds_ros.steering.flight_file import read_flight  # noqa: E402
from lpds_ros.weights import pack_weights, sha256  # noqa: E402

SECOND = 1_000_000_000
BURST = 5


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The node's patience with others is longer than this machine stalls."""
    monkeypatch.setattr(steering_drive, "GRIPPER_PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(steering_turn, "SAY_S", PATIENCE_S)
    monkeypatch.setattr(steering_turn, "LEARNER_LOST_S", PATIENCE_S)


class FakeCell(Cell):
    """Robot, perception and hand in one node of the test; time is the test's (lockstep) or the system's."""

    def __init__(self, ros, bundle=None, *, clock="lockstep", contract=None, **parameters):
        super().__init__(contract=contract or lift(), decoder=None, begin=False)
        self.ros, self.clock = ros, clock
        self.node = node = ros.node("cell")
        self.targets, self.decisions, self.episodes, self.status, self.goals, self.seeds = [], [], [], [], [], []
        self.observe = node.create_publisher(ObservationMsg, "lpds/observation", qos.CONTROL)
        self.drive = node.create_publisher(OperatorCommand, "lpds/operator", qos.CONTROL)
        self.weights = node.create_publisher(SteeringWeights, "lpds/weights", qos.LATCHED)
        self.learner = node.create_publisher(LearnerStatus, "lpds/learner_status", qos.CONTROL)
        depth = qos.TARGET_LOCKSTEP if clock == "lockstep" else qos.TARGET_REALTIME
        node.create_subscription(PoseStamped, "target_pose", self.targets.append, depth)
        node.create_subscription(Decision, "lpds/decision", self.decisions.append, qos.RECORD)
        node.create_subscription(Episode, "lpds/episode", self.episodes.append, qos.RECORD)
        node.create_subscription(SteeringStatus, "lpds/steering_status", self.status.append, qos.CONTROL)
        self.reset_service = node.create_service(Reset, "lpds/reset", self.on_reset)
        kinds = (("move", Move), ("grasp", Grasp), ("homing", Homing))
        self.servers = [
            ActionServer(node, kind, f"franka_gripper/{name}", executed(kind), goal_callback=self.on_goal(name))
            for name, kind in kinds
        ]
        given = {"bundle": str(bundle.path)} if bundle else {"contract": str(resource("config/contracts/lift.yaml"))}
        if bundle:
            self.contract = bundle.contract
        self.steering = SteeringNode(
            context=ros.context,
            parameters={
                "clock": clock,
                "seed": 5,
                "seed_base": 100,
                "status_hz": 50.0,
                "listeners": 1,
                "reset_patience_s": 0.0,
                **given,
                **parameters,
            },
        )
        self.commanded, publish = 0, self.steering.publish  # targets that left the node, heard or not

        def count(targets):
            self.commanded += len(targets)
            publish(targets)

        self.steering.publish = count
        ros.add(self.steering)
        ros.wait(
            lambda: self.observe.get_subscription_count() and self.drive.get_subscription_count(),
            what="steering's ears",
        )
        ros.wait(lambda: self.node.count_publishers("target_pose"), what="steering's voice")
        ros.wait(lambda: self.weights.get_subscription_count(), what="steering's weights")

    def on_reset(self, request, response):
        self.seeds.append(request.seed)
        self.burst_at_reset = len(self.targets)
        response.success, response.stamp = True, stamp_msg(self.now_ns if self.clock == "lockstep" else time.time_ns())
        return response

    def on_goal(self, name):
        def accept(goal):
            self.goals.append((name, self.commanded))
            return GoalResponse.ACCEPT

        return accept

    def started(self):
        """Wait until the node has reset the task."""
        self.ros.wait(lambda: self.seeds, what="the reset")
        self.ros.wait(lambda: self.steering.episode_due, what="the reset's answer")

    def say(self, **observed):
        if self.clock != "lockstep":
            self.now_ns = time.time_ns()
        self.observe.publish(observation_to_msg(self.observation(**observed), self.contract.digest))

    def play(self, ticks=1, operator=None, **observed):
        """Lockstep: observation out, burst in, arm moved, time on."""
        for _ in range(ticks):
            self.targets.clear()
            self.commanded = 0
            self.say(**observed)
            if operator is not None:
                self.drive.publish(operator_to_msg(OperatorInput(self.now_ns, True, np.float32(operator)), "test"))
            self.ros.wait(lambda: len(self.targets) >= BURST, what="a burst")
            self.position, self.orientation = pose_arrays(self.targets[-1].pose)
            self.now_ns += self.contract.period_ns

    def push(self, parameters, learner="learner-1", **changes):
        blob = pack_weights(parameters)
        message = SteeringWeights(
            learner_id=learner,
            version=parameters.version,
            contract_digest=parameters.contract_digest,
            prior_digest=parameters.prior_digest,
            sha256=sha256(blob),
            blob=list(blob),
        )
        for name, value in changes.items():
            setattr(message, name, value)
        self.weights.publish(message)

    def call(self, name):
        client = self.node.create_client(Trigger, name)
        self.ros.wait(client.service_is_ready, what=name)
        future = client.call_async(Trigger.Request())
        self.ros.wait(future.done, what=f"the answer of {name}")
        return future.result()

    def wait_status(self, condition, what):
        return self.ros.wait(lambda: self.status and condition(self.status[-1]), what=what)


def executed(kind):
    """Ends a goal of this kind at once."""

    def execute(handle):
        handle.succeed()
        return kind.Result(success=True)

    return execute


def actor_for(bundle, version=1, scale=0.3, **options):
    """One that keeps inside its bound."""
    return replace(random_actor(bundle.contract, version=version, scale=scale, **options), prior_digest=bundle.digest)


def test_lockstep_bursts_decisions_and_episodes(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, episodes=2)
    cell.started()
    cell.play(9)
    stamps = [stamp_ns(m.header.stamp) for m in cell.targets]
    start = cell.now_ns - cell.contract.period_ns
    assert stamps == [start + k * 10_000_000 for k in range(BURST)]
    decision = decision_from_msg(ros.wait(lambda: cell.decisions, what="a decision")[0], cell.contract)
    assert decision.source == Source.PRIOR and decision.ticks == 8 and decision.prior_digest == tiny_bundle.digest
    cell.targets.clear()
    cell.say(success=True, reward=1.0)
    ros.wait(lambda: cell.episodes and len(cell.seeds) == 2, what="the end and the next reset")
    assert cell.seeds == [100, 101]
    assert (cell.episodes[0].success, cell.episodes[0].reason, cell.episodes[0].decisions) == (True, "success", 2)
    assert cell.burst_at_reset == 0, "a burst after the end would let time go on"
    ros.wait(
        lambda: len(cell.targets) == BURST, what="the next episode's first burst, of the observation already there"
    )
    cell.now_ns += cell.contract.period_ns
    cell.play(2)
    cell.say(success=True)
    cell.wait_status(lambda s: s.reason == "done: 2 episodes", "the end of the run")
    assert cell.seeds == [100, 101]


def test_the_node_finishes_a_while_after_the_last_of_its_episodes(ros, tiny_bundle, monkeypatch):
    assert steering_module.FAREWELL_S >= 1.0, "the recorder needs its time"
    monkeypatch.setattr(steering_module, "FAREWELL_S", 0.6)
    cell = FakeCell(ros, tiny_bundle, episodes=2)
    cell.started()
    cell.play(2)
    cell.targets.clear()
    cell.say(success=True)
    ros.wait(lambda: len(cell.targets) == BURST and len(cell.seeds) == 2, what="the second episode")
    time.sleep(0.8)
    assert not cell.steering.finished, "one episode is not all"
    cell.now_ns += cell.contract.period_ns
    cell.play(2)
    taken, asked_s, before_s = False, [], time.monotonic()
    cell.steering._episodes.wait_for_all_acked = lambda timeout: asked_s.append(time.monotonic()) or taken
    cell.say(success=True)
    ros.wait(lambda: len(cell.episodes) == 2, what="the last record")
    cell.wait_status(lambda s: s.reason == "done: 2 episodes", "the end of the run")
    ros.wait(lambda: asked_s, what="the farewell")
    assert asked_s[0] - before_s >= 0.6
    time.sleep(0.1)
    assert not cell.steering.finished, "the record must be taken first"
    taken = True
    ros.wait(lambda: cell.steering.finished, what="the end of the node")


def test_a_repeated_observation_gets_the_same_burst_and_nothing_else(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(8)
    cell.say()
    ros.wait(lambda: cell.decisions and len(cell.targets) >= 2 * BURST, what="the ninth burst")
    first = [pose_arrays(m.pose)[0].tolist() for m in cell.targets[BURST:]]
    cell.targets.clear()
    cell.say()
    ros.wait(lambda: len(cell.targets) == BURST, what="the repeated burst")
    assert [pose_arrays(m.pose)[0].tolist() for m in cell.targets] == first
    assert len(cell.decisions) == 1 and cell.steering.clock.ticks == 9


def test_the_gripper_has_its_goal_before_time_goes_on(ros):
    cell = FakeCell(ros)
    cell.started()
    ros.wait(lambda: cell.steering._hand.ready, what="the gripper's servers")
    cell.play(2, operator=(0.1, 0, 0, 0))
    assert cell.goals == []
    cell.play(3, operator=(0.1, 0, 0, 1.0))
    assert cell.goals == [("grasp", 0)]
    cell.play(12, operator=(0.1, 0, 0, -1.0))
    assert [name for name, _ in cell.goals] == ["grasp", "move"]


def test_without_a_bundle_lockstep_waits_for_the_operator(ros):
    cell = FakeCell(ros)
    cell.started()
    cell.say()
    time.sleep(0.2)
    assert not cell.targets
    cell.drive.publish(operator_to_msg(OperatorInput(cell.now_ns, True, np.float32([0, 0, 0, 0])), "test"))
    ros.wait(lambda: len(cell.targets) == BURST, what="the burst after the operator's answer")


def test_good_weights_steer_and_bad_ones_are_refused_by_reason(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(2)
    good = actor_for(tiny_bundle, version=3)
    cell.push(good, sha256="0" * 64)
    cell.wait_status(lambda s: "checksum" in s.weights_rejected, "the refusal of a wrong checksum")
    cell.push(random_actor(cell.contract, version=3))
    cell.wait_status(lambda s: "prior_digest" in s.weights_rejected, "the refusal of another prior's weights")
    cell.push(good)
    cell.wait_status(lambda s: s.weights_rejected == "", "the acceptance")
    cell.push(actor_for(tiny_bundle, version=3))
    cell.wait_status(lambda s: "not newer than 3" in s.weights_rejected, "the refusal of a repeated version")
    cell.play(7)
    assert cell.steering.core.weights_version == 3
    cell.play(8)
    assert ros.wait(lambda: len(cell.decisions) == 2 and cell.decisions[1]).source == Source.STEERED


def test_a_second_learner_is_refused_while_the_first_lives(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    now_s = 100.0
    cell.steering._inbox._now_s = lambda: now_s
    cell.learner.publish(LearnerStatus(learner_id="learner-1"))
    ros.wait(lambda: cell.steering._inbox._owner == "learner-1", what="the first learner's status")
    now_s += steering_weights.LEASE_S - 1.0
    cell.push(actor_for(tiny_bundle), learner="learner-2")
    cell.wait_status(
        lambda s: "learner-2" in s.weights_rejected and "learner-1" in s.weights_rejected, "the refusal naming both"
    )
    now_s += 2.0
    cell.push(actor_for(tiny_bundle), learner="learner-2")
    cell.wait_status(lambda s: s.weights_rejected == "", "the second learner's turn")


def test_a_person_lists_rolls_back_and_pins_weights(ros, tiny_bundle, tmp_path, capsys):
    cell, store = FakeCell(ros, tiny_bundle), ActorStore(tmp_path / "actor")
    for version in (1, 2, 3):
        store.write(version, pack_weights(actor_for(tiny_bundle, version=version, seed=version)))
    store.keep_best(1)
    cell.push(actor_for(tiny_bundle, version=3, seed=3))
    cell.wait_status(lambda s: s.weights_rejected == "" and cell.steering._inbox._gate.running == 3, "the third version")
    assert cli.main(["weights", "list", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "best" in listed and "latest" in listed and len(listed.splitlines()) == 5

    assert cli.main(["weights", "rollback", str(tmp_path)]) == 0
    assert "version 1 runs again" in capsys.readouterr().out
    status = cell.wait_status(lambda s: s.lineage and s, "the rollback")
    assert status.weights_kept == 1 and status.weights_quarantined == 3
    assert status.weights_kept_sha256 == actor_for(tiny_bundle, version=1, seed=1).fingerprint
    cell.push(actor_for(tiny_bundle, version=4))
    cell.wait_status(lambda s: "rolled back" in s.weights_rejected, "the refusal of what descends from it")

    assert cli.main(["weights", "pin", str(tmp_path), "--version", "2"]) == 0
    cell.push(actor_for(tiny_bundle, version=5), lineage=status.lineage)
    cell.wait_status(lambda s: s.weights_pinned and "version 2 is pinned" in s.weights_rejected, "the refusal when pinned")
    assert cli.main(["weights", "unpin", str(tmp_path)]) == 0
    cell.push(actor_for(tiny_bundle, version=6), lineage=status.lineage)
    cell.wait_status(lambda s: not s.weights_pinned and not s.weights_rejected, "the next push")

    assert cli.main(["weights", "rollback", str(tmp_path), "--version", "9"]) == 2
    assert "no such file" in capsys.readouterr().err
    store.path(2).write_bytes(b"no weights")
    assert cli.main(["weights", "pin", str(tmp_path), "--version", "2"]) == 2
    assert "header" in capsys.readouterr().err


def test_a_status_in_the_midst_of_a_rollback_is_of_before_it(ros, tiny_bundle):
    inbox, said = FakeCell(ros, tiny_bundle).steering._inbox, []
    install = inbox._gate._install
    inbox._gate._install = lambda parameters: (said.append(inbox.report()), install(parameters))
    blob = pack_weights(actor_for(tiny_bundle, version=7))
    inbox._pool.submit(inbox._work, inbox._gate.roll_back, blob, sha256(blob)).result()
    assert said[0]["weights_kept"] == 0 and said[0]["lineage"] == ""
    assert inbox.report()["weights_kept"] == 7 and inbox.report()["lineage"]


def test_a_learner_that_falls_silent_is_said_and_the_arm_goes_on(ros, tiny_bundle, monkeypatch):
    monkeypatch.setattr(steering_weights, "LOST_S", 0.3)
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(1)
    cell.wait_status(lambda s: "LEARNER_LOST" not in s.reason, "a status: there was never a learner")
    cell.learner.publish(LearnerStatus(learner_id="learner-1"))
    cell.wait_status(lambda s: s.mode == Mode.PRIOR and "LEARNER_LOST: silent for" in s.reason, "a lost learner")
    cell.play(1)


def test_a_learner_that_lags_is_waited_for(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, learner_gate=True, learner_backlog_limit=10)
    cell.learner.publish(LearnerStatus(learner_id="learner-1", backlog=50))
    time.sleep(0.3)
    assert cell.seeds == []
    cell.learner.publish(LearnerStatus(learner_id="learner-1", backlog=10))
    ros.wait(lambda: cell.seeds == [100], what="the reset")


def test_a_learner_that_never_comes_is_not_waited_for_for_ever(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, learner_gate=True, learner_patience_s=0.2)
    ros.wait(lambda: cell.seeds == [100], what="the reset")


def test_an_invalid_observation_holds_and_is_named_in_the_status(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(3)
    held = cell.position.copy()
    cell.play(1, valid=False)
    cell.wait_status(
        lambda s: s.mode == Mode.HOLD and "stream 'object' is 0.31 s old" in s.reason, "HOLD with its reason"
    )
    assert np.array_equal(cell.position, held)


def test_stop_and_arm(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(3)
    assert not cell.call("lpds/arm").success
    assert cell.call("lpds/stop").success
    cell.wait_status(lambda s: s.mode == Mode.STOP and "lpds/stop" in s.reason, "STOP")
    cell.say()
    ros.wait(lambda: cell.episodes, what="the end of the episode")
    assert cell.episodes[0].reason == "lpds/stop was called" and cell.seeds == [100]
    assert cell.call("lpds/arm").success
    ros.wait(lambda: cell.seeds == [100, 101], what="the next episode's reset")


def test_after_a_stop_between_episodes_nothing_is_reset_before_arm(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, learner_gate=True, learner_backlog_limit=10)
    assert cell.call("lpds/stop").success
    cell.learner.publish(LearnerStatus(learner_id="learner-1", backlog=0))
    cell.wait_status(lambda s: s.mode == Mode.STOP, "STOP")
    time.sleep(0.2)
    assert cell.seeds == [], "the turn under way waits: on a real cell a reset moves the arm"
    assert cell.call("lpds/arm").success
    ros.wait(lambda: cell.seeds == [100], what="the reset")


def test_the_first_node_of_a_launch_begins_and_one_after_it_waits_for_arm(ros, tiny_bundle, tmp_path):
    mark = tmp_path / "steering.started"
    FakeCell(ros, tiny_bundle, started_mark=str(mark)).started()
    assert mark.exists()
    cell = FakeCell(ros, tiny_bundle, started_mark=str(mark))
    cell.say()
    said = ros.wait(lambda: cell.status and cell.status[-1].mode == SteeringStatus.STOP and cell.status[-1])
    assert "lpds/arm" in said.reason and not cell.steering.episode_due
    assert not cell.seeds and not cell.commanded, "nothing was reset, nothing commanded"
    assert cell.steering._on_arm(None, Trigger.Response()).success
    cell.started()


def test_a_robot_in_error_cannot_be_armed(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(3)
    cell.targets.clear()
    cell.say(robot_mode=4, robot_error="the robot is in REFLEX: joint_reflex")
    cell.wait_status(lambda s: s.mode == Mode.STOP and "joint_reflex" in s.reason, "STOP with the robot's reason")
    ros.wait(lambda: cell.episodes, what="the end of the episode")
    answer = cell.call("lpds/arm")
    assert not answer.success and "REFLEX: joint_reflex; recover the robot first" in answer.message
    cell.say(robot_mode=2)
    ros.wait(lambda: not cell.steering.core.robot_error, what="the recovered robot")
    assert not cell.targets and cell.seeds == [100]
    assert cell.call("lpds/arm").success
    ros.wait(lambda: cell.seeds == [100, 101], what="the next episode's reset")


def test_a_camera_that_was_lost_is_not_armed_while_it_shows_nothing(ros):
    cell = FakeCell(ros, load_bundle(resource("models/lift_images")), camera_lost_s=0.2)
    fresh = {"ages_s": {"front": 0.0, "wrist": 0.0}}
    gone = {"ages_s": {"front": 0.0, "wrist": 9.0}, "valid": False, "reason": "stream 'wrist' is 9.00 s old"}
    cell.started()
    cell.play(3, **fresh)
    cell.play(4, **gone)
    cell.say(**gone)
    ros.wait(lambda: cell.episodes, what="the end of the episode")
    assert "camera 'wrist' (camera/wrist/color/image_raw) was lost" in cell.episodes[0].reason
    answer = cell.call("lpds/arm")
    assert not answer.success and "'wrist' (camera/wrist/color/image_raw) shows nothing yet" in answer.message
    cell.now_ns += cell.contract.period_ns
    cell.say(**fresh)
    ros.wait(lambda: not cell.steering.core.lost_camera, what="the camera that is back")
    cell.wait_status(lambda s: s.mode == Mode.HOLD and "call lpds/arm" in s.reason, "HOLD for a person")
    assert cell.seeds == [100]
    assert cell.call("lpds/arm").success
    ros.wait(lambda: cell.seeds == [100, 101], what="the next episode's reset")


def test_silence_takes_no_robot_error_back(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, clock="realtime", allow_slow_decoder=True)
    cell.started()
    cell.say(robot_mode=4, robot_error="the robot is in REFLEX: joint_reflex")
    cell.wait_status(lambda s: s.mode == Mode.STOP and "joint_reflex" in s.reason, "STOP with the robot's reason")
    ros.wait(lambda: "is perception running" in cell.steering._noted[0].reason, what="silence")
    answer = cell.call("lpds/arm")
    assert not answer.success and "recover the robot first" in answer.message


def test_a_stop_leaves_a_recording_that_computes_the_same_again(ros, tmp_path, capsys):
    bundle = load_bundle(resource("models/lift"))
    weights = tmp_path / "actor.safetensors"
    weights.write_bytes(pack_weights(actor_for(bundle, version=2, radius=5.0)))
    flight = {"flight_dir": str(tmp_path / "flight"), "flight_s": 1.0, "flight_tail_s": 0.1}
    cell = FakeCell(ros, bundle, actor=str(weights), **flight)
    cell.started()
    cell.play(30)
    assert cell.status[-1].flight_record == ""
    assert cell.call("lpds/stop").success
    cell.say()
    ros.wait(lambda: cell.episodes, what="the end of the episode")
    path = cell.wait_status(lambda s: s.flight_record, "the recording") and cell.status[-1].flight_record
    recording, _, _ = read_flight(path)
    assert recording.came_down.mode == Mode.STOP and recording.event == 20
    assert all(entry.tick.source == Source.STEERED for entry in recording.entries[:20])
    assert cli.main(["replay", path]) == 0, capsys.readouterr().out
    ticks = len(recording.entries)
    assert f"commands          {ticks} of {ticks} equal bit for bit" in capsys.readouterr().out


def test_a_recording_that_waits_for_its_tail_is_written_when_the_node_ends(ros, tiny_bundle, tmp_path):
    cell = FakeCell(ros, tiny_bundle, flight_dir=str(tmp_path / "flight"), flight_tail_s=10.0)
    cell.started()
    cell.play(5)
    cell.play(1, valid=False)
    cell.steering._flight.end()
    (path,) = (tmp_path / "flight").iterdir()
    recording, _, _ = read_flight(path)
    assert recording.came_down.reason == "stream 'object' is 0.31 s old" and not recording.whole


def test_the_operators_stop_needs_no_observation(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.drive.publish(
        operator_to_msg(OperatorInput(cell.now_ns, False, np.zeros(4, np.float32), Mark.NONE, True), "test")
    )
    cell.wait_status(lambda s: s.mode == Mode.STOP and "operator" in s.reason, "STOP")


def test_observations_of_another_contract_are_refused_and_said(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.observe.publish(observation_to_msg(cell.observation(), lift(max_ticks=99).digest))
    cell.wait_status(lambda s: s.mode == Mode.HOLD and "was made under contract" in s.reason, "HOLD with both digests")
    assert not cell.targets
    cell.play(1)
    cell.wait_status(lambda s: s.mode == Mode.PRIOR, "the way on")


def test_a_malformed_command_still_stops(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.drive.publish(OperatorCommand(active=True, action=[1.0], stop=True))
    cell.wait_status(lambda s: s.mode == Mode.STOP, "STOP")


def test_a_second_publisher_on_the_targets_holds_and_is_named(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle)
    cell.started()
    cell.play(2)
    intruder = ros.node("intruder")
    publisher = intruder.create_publisher(PoseStamped, "target_pose", 1)
    cell.wait_status(lambda s: s.mode == Mode.HOLD and "/intruder" in s.reason, "HOLD naming the intruder")
    held = cell.position.copy()
    cell.play(2)
    assert np.array_equal(cell.position, held)
    ros.call(intruder.destroy_publisher, publisher)
    ros.wait(lambda: not cell.steering._intruder, what="the intruder's end")
    cell.play(4)
    assert not np.array_equal(cell.position, held)


def test_an_actor_file_is_checked_at_the_start(ros, tiny_bundle, tmp_path):
    path = tmp_path / "actor.safetensors"
    path.write_bytes(pack_weights(random_actor(tiny_bundle.contract)))
    options = {"bundle": str(tiny_bundle.path), "actor": str(path)}
    with pytest.raises(ValueError, match="prior_digest"):
        SteeringNode(context=ros.context, parameters=options)
    path.write_bytes(pack_weights(actor_for(tiny_bundle, version=9)))
    node = SteeringNode(context=ros.context, parameters={**options, "clock": "lockstep"})
    assert node._inbox.report()["weights_kept"] == node.core._chunker._pending.version == 9
    node.destroy_node()


def test_realtime_commands_at_the_target_rate_and_holds_when_perception_is_silent(ros, tiny_bundle):
    cell, speaking = FakeCell(ros, tiny_bundle, clock="realtime"), True
    cell.started()

    def observe():
        if speaking and cell.targets:
            cell.position, cell.orientation = pose_arrays(cell.targets[-1].pose)
        if speaking:
            cell.say()

    def motion():
        heard = cell.targets[:]
        positions = np.array([pose_arrays(m.pose)[0] for m in heard])
        return np.diff([stamp_ns(m.header.stamp) for m in heard]) / 1e9, positions

    cell.node.create_timer(0.05, observe)
    ros.wait(lambda: len(cell.targets) > 150 and cell.decisions, what="targets and a decision")
    # Two targets that nothing delayed are 10 ms apart, and there are never more than one in 10 ms.
    ros.wait(lambda: motion()[0].min() < 0.012, what="a target 10 ms after another")
    speaking = False
    cell.wait_status(
        lambda s: s.mode == Mode.HOLD and "is perception running" in s.reason, "HOLD for want of observations"
    )
    gaps_s, positions = motion()
    assert gaps_s.sum() > (len(gaps_s) - 2) * 0.01
    assert np.isfinite(positions).all() and np.ptp(positions, axis=0).max() > 0.001
    # A tick goes 12.5 mm at most; a target that comes late has those of the ticks it missed behind it.
    ways_m = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert (ways_m <= 0.0125 * (2 + gaps_s / 0.05)).all()
    assert cell.status[-1].tick_p99_s > 0
    cell.position = cell.position + 0.03  # measured elsewhere, once: not enough to go on
    cell.say()
    ros.wait(lambda: np.array_equal(cell.steering._measured.position, cell.position), what="the last measurement")
    cell.steering.stop()
    ros.wait(lambda: np.allclose(pose_arrays(cell.targets[-1].pose)[0], cell.position), what="the last hold")
    commanded, last = cell.commanded, cell.steering._measured
    cell.steering._measured = replace(last, stamp_ns=last.stamp_ns - 2 * SECOND)
    cell.steering.stop()
    assert cell.commanded == commanded, "where it was long ago it is not called back to"


def test_a_decoder_that_hangs_is_a_stop_said_while_it_still_hangs(ros, tiny_bundle, monkeypatch):
    decode, hanging, free = DecoderSession.decode, threading.Event(), threading.Event()

    def hang(self, state, noise):
        if hanging.is_set():
            free.wait(PATIENCE_S)
        return decode(self, state, noise)

    monkeypatch.setattr(DecoderSession, "decode", hang)
    cell = FakeCell(ros, tiny_bundle, clock="realtime", watchdog_s=0.5, allow_slow_decoder=True)
    try:
        cell.started()
        cell.node.create_timer(0.05, cell.say)
        ros.wait(lambda: cell.steering.core.episode_tick > 2, what="ticks")
        hanging.set()
        cell.wait_status(lambda s: s.mode == Mode.STOP and "does the decoder hang?" in s.reason, "STOP")
        assert not free.is_set()
    finally:
        free.set()
    ros.wait(lambda: cell.episodes, what="the end of the episode, with the tick that came back")
    assert "does the decoder hang?" in cell.episodes[0].reason


def test_an_observation_of_another_time_is_not_used(ros, tiny_bundle):
    cell = FakeCell(ros, tiny_bundle, clock="realtime")
    cell.started()

    def say(offset_s):
        def observe():
            cell.now_ns = time.time_ns() + round(offset_s * 1e9)
            cell.observe.publish(observation_to_msg(cell.observation(), cell.contract.digest))

        return observe

    for offset_s, reason in ((-5.0, "s old"), (5.0, "s in the future: check both clocks")):
        cell.wait_status(lambda s: s.mode == Mode.HOLD, "HOLD")
        ros.wait(
            lambda: cell.status[-1].mode == Mode.HOLD and reason in cell.status[-1].reason,  # noqa: B023
            what=reason,
            saying=say(offset_s),
        )


@pytest.fixture
def slow(monkeypatch):
    """Every decoder takes three control periods."""
    decode = DecoderSession.decode

    def late(self, state, noise):
        time.sleep(0.15)
        return decode(self, state, noise)

    monkeypatch.setattr(DecoderSession, "decode", late)


def test_a_decoder_slower_than_a_tick_is_refused_or_decodes_ahead(ros, tiny_bundle, delayed_bundle, slow):
    with pytest.raises(SlowDecoderError, match="predicts [0-9]+ more"):
        SteeringNode(context=ros.context, parameters={"bundle": str(tiny_bundle.path)})
    bundle = delayed_bundle
    assert bundle.contract.horizons.delay == 4
    cell = FakeCell(ros, bundle, clock="realtime", allow_slow_decoder=True)  # this machine may stall, too
    cell.started()

    def observe():
        if cell.targets:
            cell.position, cell.orientation = pose_arrays(cell.targets[-1].pose)
        cell.say()

    cell.node.create_timer(0.05, observe)
    def pairs():
        """Decisions that followed one another, of which the second was decoded while the first ran."""
        records = [decision_from_msg(message, bundle.contract) for message in cell.decisions]
        return [(a, b) for a, b in zip(records, records[1:]) if not a.truncated and len(b.chunk) == 4]

    ros.wait(pairs, what="a decision of a chunk decoded ahead")
    first, second = pairs()[0]
    assert second.decode_s > 0.15 and np.array_equal(first.next_observation, second.observation)
    assert cell.steering.clock.compute_s.percentile(50) < 0.1
