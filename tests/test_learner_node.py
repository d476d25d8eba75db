"""The learner node over real topics: weights come out latched, a second learner is refused, a bad start is one line."""

import os

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

from lpds_msgs.msg import Decision, Episode, LearnerStatus, SteeringWeights  # noqa: E402
from test_learner_worker import make_decision, make_episode  # noqa: E402
from waiting import PATIENCE_S  # noqa: E402

from lpds_ros.data.rollout_log import RolloutLogWriter  # noqa: E402
from lpds_ros.nodes import learner as learner_module  # noqa: E402
from lpds_ros.nodes import qos  # noqa: E402
from lpds_ros.nodes.learner import LearnerError, LearnerNode  # noqa: E402
from lpds_ros.nodes.messages import decision_to_msg, episode_to_msg  # noqa: E402
from lpds_ros.weights import sha256, unpack_weights  # noqa: E402

CONFIG = """
critic_width: 16
actor_width: 16
batch_size: 16
warmup_decisions: 8
critic_warmup_updates: 0
updates_per_decision: 2.0
push_every: 5
"""


@pytest.fixture
def parameters(tmp_path, tiny_bundle):
    (tmp_path / "learner.yaml").write_text(CONFIG)
    return {"bundle": str(tiny_bundle.path), "run_dir": str(tmp_path / "run"), "config": str(tmp_path / "learner.yaml")}


@pytest.fixture
def start(ros):
    started = []

    def make(parameters):
        node = LearnerNode(context=ros.context, parameters=parameters)
        started.append(node)
        return ros.add(node)

    yield make
    for node in started:
        node.stop()


class Peer:
    """Steering's side of the topics."""

    def __init__(self, ros):
        self.statuses, self.weights, node = [], [], ros.node("peer")
        self.decisions = node.create_publisher(Decision, "lpds/decision", qos.RECORD)
        self.episodes = node.create_publisher(Episode, "lpds/episode", qos.RECORD)
        node.create_subscription(LearnerStatus, "lpds/learner_status", self.statuses.append, qos.CONTROL)
        node.create_subscription(SteeringWeights, "lpds/weights", self.weights.append, qos.LATCHED)
        self.node = node


def test_decisions_in_weights_out(ros, start, parameters, tiny_bundle):
    start(parameters)
    peer = Peer(ros)
    ros.wait(lambda: peer.decisions.get_subscription_count() and peer.statuses)
    assert peer.statuses[-1].state == "warmup" and peer.statuses[-1].delta_budget == 0.5
    for i in range(20):
        peer.decisions.publish(decision_to_msg(make_decision(tiny_bundle, i)))
    ros.wait(lambda: peer.statuses[-1].updates == 24 and peer.statuses[-1].backlog == 0, what="the 24 updates owed")
    newest = ros.wait(lambda: peer.weights and peer.weights[-1].version == 4 and peer.weights[-1])
    blob = newest.blob.tobytes()
    assert newest.sha256 == sha256(blob)
    unpack_weights(blob, contract=tiny_bundle.contract, prior_digest=tiny_bundle.digest, newer_than=3)
    assert newest.learner_id == peer.statuses[-1].learner_id
    late = []
    ros.node("late").create_subscription(SteeringWeights, "lpds/weights", late.append, qos.LATCHED)
    ros.wait(lambda: late and late[-1].version == 4, what="the latched weights")


def test_what_the_log_holds_is_learned_from_at_the_start_and_after_a_gap(ros, start, parameters, tiny_bundle, tmp_path):
    decisions = [make_decision(tiny_bundle, i, index=i) for i in range(6)]
    log = RolloutLogWriter(tmp_path / "run" / "rollouts.mcap", tiny_bundle.contract)
    for decision in decisions[:3]:
        log.write_decision(decision)
    log.flush()
    start(parameters)
    peer = Peer(ros)
    ros.wait(lambda: peer.episodes.get_subscription_count() and peer.statuses and peer.statuses[-1].decisions == 3)
    for decision in decisions[3:]:
        log.write_decision(decision)
    log.flush()
    peer.decisions.publish(decision_to_msg(decisions[5]))
    peer.episodes.publish(episode_to_msg(make_episode(decisions=6)))
    ros.wait(lambda: peer.statuses[-1].decisions == 6, what="the two that were never received")
    log.close()


def test_a_decision_of_another_contract_shows_in_the_status(ros, start, parameters, tiny_bundle):
    start(parameters)
    peer = Peer(ros)
    ros.wait(lambda: peer.decisions.get_subscription_count() and peer.statuses)
    peer.decisions.publish(decision_to_msg(make_decision(tiny_bundle, 0, contract_digest="e" * 64)))
    status = ros.wait(lambda: peer.statuses[-1].state == "refused" and peer.statuses[-1])
    assert "e" * 12 in status.reason and tiny_bundle.contract.digest[:12] in status.reason


def test_a_second_learner_is_refused_in_the_same_folder_and_on_the_same_robot(
    ros, start, parameters, tmp_path, monkeypatch
):
    first = start(parameters)
    monkeypatch.setattr(learner_module, "LISTEN_S", PATIENCE_S)  # the second one hears the first, however slowly
    monkeypatch.setattr(learner_module, "HEAR_S", PATIENCE_S)
    with pytest.raises(LearnerError, match=f"second learner: process {os.getpid()}"):
        start(parameters)
    with pytest.raises(LearnerError, match=f"second learner: {first.learner_id}"):
        start(parameters | {"run_dir": str(tmp_path / "other")})


def test_a_bad_start_is_one_line_that_says_what_to_do(ros, parameters, tmp_path):
    with pytest.raises(LearnerError, match="required"):
        LearnerNode(context=ros.context)
    (tmp_path / "learner.yaml").write_text("critic_widht: 16\n")
    with pytest.raises(ValueError, match="learner.yaml:1: unknown key 'critic_widht', did you mean 'critic_width'"):
        LearnerNode(context=ros.context, parameters=parameters)
