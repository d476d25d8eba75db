"""The recorder node: what was published is in the log, byte for byte, whatever else happens."""

import dataclasses

import pytest
from synthetic_demos import LIFT, synthetic_demos

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lpds_msgs.msg import Decision as DecisionMsg  # noqa: E402
from lpds_msgs.msg import Episode as EpisodeMsg  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from lpds_ros.contract import load_contract  # noqa: E402
from lpds_ros.data.demos import decisions_from_demo, demos_from_log  # noqa: E402
from lpds_ros.data.rollout_log import RolloutLogError, read_log  # noqa: E402
from lpds_ros.nodes.messages import decision_to_msg, episode_to_msg  # noqa: E402
from lpds_ros.nodes.qos import RECORD  # noqa: E402
from lpds_ros.nodes.recorder import RecorderNode  # noqa: E402
from lpds_ros.parameters import ParameterError  # noqa: E402
from lpds_ros.records import Episode  # noqa: E402

CONTRACT = load_contract(LIFT)


def recorder(ros, folder, **parameters):
    options = {"path": str(folder / "rollouts.mcap"), "contract": str(LIFT), **parameters}
    return ros.add(RecorderNode(context=ros.context, parameters=options, namespace="/arm"))


def publish_episode(ros, demo):
    node = ros.node("steering_stub", namespace="/arm")
    decisions, episodes = (
        node.create_publisher(kind, f"lpds/{kind.__name__.lower()}", RECORD) for kind in (DecisionMsg, EpisodeMsg)
    )
    ros.wait(
        lambda: decisions.get_subscription_count() and episodes.get_subscription_count(),
        what="the recorder's subscriptions",
    )
    records = [dataclasses.replace(d, session="live") for d in decisions_from_demo(demo, CONTRACT)]
    for record in records:
        decisions.publish(decision_to_msg(record))
    episode = Episode(
        "live", 0, demo.seed, 10**9, True, 1.0, len(demo), len(records), "success", 0, len(demo), CONTRACT.digest
    )
    episodes.publish(episode_to_msg(episode))
    return records, episode


def test_published_decisions_become_a_log_and_a_demonstration(ros, tmp_path):
    node, demo = recorder(ros, tmp_path), synthetic_demos(CONTRACT)[0]
    records, episode = publish_episode(ros, demo)
    ros.wait(lambda: node._sink.status().written == len(records) + 1, what="all messages on the disk")
    assert len(list(read_log(tmp_path))) == len(records) + 1, "readable before the recorder ends"
    node.stop()
    log = read_log(tmp_path)
    found = [record for _, record in log]
    assert log.tails == [] and log.contract == CONTRACT
    assert {topic for topic, _ in log} == {"/arm/lpds/decision", "/arm/lpds/episode"}
    assert found.count(episode) == 1
    again = demos_from_log(tmp_path)[0]
    assert (
        again.actions.tobytes() == demo.actions.tobytes()
        and again.observations.tobytes() == demo.observations.tobytes()
    )


def test_a_restarted_recorder_leaves_the_old_log_alone(ros, tmp_path):
    (tmp_path / "rollouts.mcap").write_bytes(b"what a killed recorder left")
    node = recorder(ros, tmp_path)
    node.stop()
    assert (tmp_path / "rollouts.mcap").read_bytes() == b"what a killed recorder left"
    assert (tmp_path / "rollouts_1.mcap").exists()


def test_a_restarted_recorder_gets_what_was_said_while_there_was_none(ros, tmp_path):
    demo = synthetic_demos(CONTRACT)[0]
    first = recorder(ros, tmp_path)
    records, episode = publish_episode(ros, demo)
    ros.wait(lambda: first._sink.status().written == len(records) + 1, what="all messages on the disk")
    first.stop()
    (tmp_path / "rollouts.mcap").unlink()  # as if they had been said while no recorder lived
    again = recorder(ros, tmp_path)
    ros.wait(lambda: again._sink.status().written == len(records) + 1, what="all of them once more")
    again.stop()
    found = [record for _, record in read_log(tmp_path)]
    assert [r.key for r in found if r != episode] == [r.key for r in records] and found.count(episode) == 1


def test_further_topics_and_diagnostics(ros, tmp_path):
    from mcap.reader import make_reader

    node, reports = recorder(ros, tmp_path, topics="joints:sensor_msgs/msg/JointState"), []
    listener = ros.node("listener", namespace="/arm")
    listener.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    joints = listener.create_publisher(JointState, "joints", 10)
    ros.wait(joints.get_subscription_count, what="the recorder's subscription")
    message = JointState(name=["a"], position=[0.5])
    message.header.stamp.sec = 7
    joints.publish(message)
    ros.wait(lambda: node._sink.status().written == 1, what="the joint state on the disk")
    ros.wait(lambda: any(s.name == "/arm/recorder" for r in reports for s in r.status), what="a diagnostic report")
    node.stop()
    assert reports[-1].status[0].level == DiagnosticStatus.OK
    with (tmp_path / "rollouts.mcap").open("rb") as stream:
        schema, channel, recorded = next(make_reader(stream).iter_messages())
    assert (schema.name, channel.topic, recorded.log_time) == ("sensor_msgs/msg/JointState", "/arm/joints", 7 * 10**9)


def test_a_disk_that_will_soon_be_full_is_said_before_it_is(ros, tmp_path):
    recorder(ros, tmp_path, min_free_mib=1 << 29)  # more than any disk has
    reports = []
    ros.node("listener").create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    said = ros.wait(lambda: reports and reports[-1].status[0], what="a diagnostic report")
    assert said.level == DiagnosticStatus.WARN and "MiB are free" in said.message


def test_bad_parameters_are_refused(ros, tmp_path):
    with pytest.raises(ParameterError, match="no 'topic:package/msg/Type'"):
        RecorderNode(context=ros.context, parameters={"path": str(tmp_path / "a.mcap"), "topics": "joints"})
    with pytest.raises(RolloutLogError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        RecorderNode(context=ros.context, parameters={"path": str(tmp_path / "file" / "a.mcap")})
