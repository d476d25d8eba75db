"""Demonstrations out of recorded topics: what was commanded and seen, tick by tick, with its pictures; gaps are named."""

import dataclasses

import numpy as np
import pytest
from pictured import small_contract
from recordings import PERIOD_NS, START_NS, Wire
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from steering_fakes import lift

from lpds_ros.cli import main
from lpds_ros.data.demonstration import Demonstration
from lpds_ros.data.demos import decisions_from_demo, write_demos_log
from lpds_ros.data.rollout_log import RolloutLogWriter
from lpds_ros.data.streams import METADATA
from lpds_ros.demos import read_demos
from lpds_ros.faults.samples import decision
from lpds_ros.images import fitted
from lpds_ros.perception.align import Aligner
from lpds_ros.perception.feed import sample
from lpds_ros.records import Episode

CONTRACT, SEES = lift(), small_contract()
TICKS, STEP_M = 20, 0.01


def operated(wire, contract, *, turn_at=10, without=(), stop_at=TICKS):
    """(topic, stamp, message): a hand 2 mm behind its target, which goes 10 mm a tick; the fingers close at tick `turn_at`."""
    topics = {name: "/" + stream.topic for name, stream in contract.streams.items()}
    for ms in range(-100, 50 * stop_at, 10):
        stamp, at_s = START_NS + ms * 1_000_000, max(ms, 0) / 1000.0
        x = 0.4 + max(0.0, STEP_M * 20 * at_s - 0.002)
        closing = min(max(0.0, at_s - 0.05 * turn_at) * 0.1, 0.04)
        said = {
            "pose": wire.pose(stamp, (x, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0)),
            "joint_state": wire.joints(stamp, [0.1 * i for i in range(7)]),
            "gripper": wire.joints(stamp, [0.04 - closing / 2, 0.04 - closing / 2]),
            "object": wire.pose(stamp, (0.5, 0.1, 0.02)),
        }
        said |= {name: wire.image(stamp, np.full((20, 30, 3), (ms // 10) % 251, np.uint8)) for name in contract.images}
        for name, message in said.items():
            if name in topics and name not in without:
                yield topics[name], stamp, message
        if ms >= 0 and "target" not in without:
            yield "/target_pose", stamp, wire.pose(stamp, (0.4 + STEP_M * (ms + 10) / 50, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0))


def write(path, messages):
    """A bag as `ros2 bag record` leaves it, as MCAP; nothing of ours in it."""
    wire = Wire()
    with RolloutLogWriter(path) as log:
        for topic, stamp, message in messages:
            log.write_raw(topic, message.__msgtype__, wire.bytes(message), received_ns=stamp + 1_000_000)
    return path


def mapping(tmp_path, text="{assume_success: true}"):
    (tmp_path / "bag.yaml").write_text(text)
    return tmp_path / "bag.yaml"


def test_targets_become_actions_and_streams_observations(tmp_path):
    bag, where = write(tmp_path / "b.mcap", operated(Wire(), CONTRACT)), CONTRACT.feature_slices()
    (demo,) = read_demos(bag, CONTRACT, mapping=mapping(tmp_path)).demonstrations
    assert len(demo) == TICKS and demo.rewards.tolist() == [0.0] * (TICKS - 1) + [1.0]
    reached = 0.4 + 0.0125 * np.cumsum(demo.actions[:, 0])
    assert reached == pytest.approx(0.4 + STEP_M * np.arange(1, TICKS + 1), abs=1e-6)
    assert not demo.actions[:, 1:3].any() and demo.actions[:, 3].tolist() == [-1.0] * 10 + [1.0] * 8 + [1.0] * 2
    assert demo.observations[5, where["ee_position"]] == pytest.approx([0.4 + 5 * STEP_M - 0.002, 0.0, 0.3], abs=1e-6)
    assert demo.observations[5, where["object_from_ee"]] == pytest.approx([0.052, 0.1, -0.28], abs=1e-6)


def test_topics_of_others_in_a_sqlite_bag_under_a_namespace(tmp_path):
    wire, renamed = Wire(), {"/lpds/object_pose": "/cell/tag_7", "/target_pose": "/cell/crisp/goal"}
    with BagWriter(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as bag:
        connections = {}
        for topic, stamp, message in operated(wire, CONTRACT):
            topic = renamed.get(topic, f"/cell{topic}")
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, message.__msgtype__, typestore=wire.definitions.store)
            bag.write(connections[topic], stamp, wire.bytes(message))
    text = "{assume_success: true, command: crisp/goal, topics: {object: tag_7}}"
    (demo,) = read_demos(tmp_path / "bag", CONTRACT, mapping=mapping(tmp_path, text)).demonstrations
    plain = read_demos(write(tmp_path / "b.mcap", operated(wire, CONTRACT)), CONTRACT, mapping=mapping(tmp_path))
    assert demo.digest == plain.demonstrations[0].digest


def test_the_grippers_own_command_where_it_was_recorded(tmp_path):
    wire = Wire()
    wire.definitions.require("std_msgs/msg/Float64")
    closes = wire.types["std_msgs/msg/Float64"]
    commands = [("/hand", START_NS - 2_000_000, closes(0.08)), ("/hand", START_NS + 6 * PERIOD_NS + 1, closes(0.0))]
    bag = write(tmp_path / "b.mcap", [*operated(wire, CONTRACT), *commands])
    (demo,) = read_demos(bag, CONTRACT, mapping=mapping(tmp_path, "{assume_success: true, gripper: hand}")).demonstrations
    assert demo.actions[:, 3].tolist() == [-1.0] * 6 + [1.0] * 14


def test_marks_cut_a_bag_into_episodes_and_failures_are_left_out(tmp_path):
    wire, messages = Wire(), list(operated(Wire(), CONTRACT))
    with RolloutLogWriter(tmp_path / "b.mcap") as log:
        for topic, stamp, message in messages:
            log.write_raw(topic, message.__msgtype__, wire.bytes(message), received_ns=stamp)
        for number, (end, success) in enumerate(((8, True), (12, False), (20, True))):
            log.write_episode(Episode("s", number, number, START_NS + end * PERIOD_NS, success, 1.0, 4, 1, "success", 0))
    demos = read_demos(tmp_path / "b.mcap", CONTRACT).demonstrations
    assert [(len(demo), demo.seed) for demo in demos] == [(8, 0), (8, 2)]


def test_every_tick_has_the_picture_that_its_observation_was_made_of(tmp_path):
    bag = write(tmp_path / "b.mcap", operated(Wire(), SEES))
    demo = read_demos(bag, SEES, mapping=mapping(tmp_path)).demonstrations[0]
    expected = [fitted(np.full((20, 30, 3), tick * 5, np.uint8), SEES.streams["front"]) for tick in range(len(demo))]
    assert np.array_equal(demo.pictures("front"), expected) and set(demo.images) == {"front", "wrist"}
    assert not demo.observations[:, SEES.feature_slices()["front_features"]].any()


def test_an_operators_run_becomes_what_its_log_holds_and_its_pictures(tmp_path):
    """As the recorder and the streams node leave a run: decisions, observations, images."""
    wire, live = Wire(), Aligner(SEES)
    heard = ((_stream(topic), stamp, message) for topic, stamp, message in operated(wire, SEES) if _stream(topic))
    waiting = [(stamp, sample(name, message.__msgtype__, message, SEES)) for name, stamp, message in heard]
    rows, observed = [], []
    for tick in range(TICKS):
        while waiting and waiting[0][0] <= START_NS + tick * PERIOD_NS + 7:
            waiting.pop(0)[1].push(live)
        observed.append(live.observe(START_NS + tick * PERIOD_NS + 7))
        rows.append(observed[-1].data)
    rewards = np.arange(TICKS) == TICKS - 1
    demo = Demonstration(rows, np.zeros((TICKS, SEES.action_size)), rewards, True, seed=5, final_observation=rows[-1])
    decisions = [dataclasses.replace(d, stamp_ns=d.stamp_ns + START_NS) for d in decisions_from_demo(demo, SEES)]
    ended = Episode(decisions[0].session, 0, 5, START_NS + TICKS * PERIOD_NS, True, 1.0, TICKS, len(decisions), "success", 0)
    (tmp_path / "run/streams").mkdir(parents=True)
    with RolloutLogWriter(tmp_path / "run/streams/streams.mcap", SEES, metadata={METADATA: {"clock": "realtime"}}) as log:
        for topic, stamp, message in operated(wire, SEES):
            log.write_raw(topic, message.__msgtype__, wire.bytes(message), received_ns=stamp)
        for each in observed:
            message = wire.observation(each, SEES.digest)
            log.write_raw("/lpds/observation", message.__msgtype__, wire.bytes(message), received_ns=each.stamp_ns)
        for decision in decisions:
            log.write_decision(decision)
        log.write_episode(ended)
    write_demos_log(tmp_path / "run/rollouts.mcap", [demo], SEES)
    (found,) = read_demos(tmp_path / "run").demonstrations
    assert found.actions.tobytes() == demo.actions.tobytes() and found.seed == 5
    assert found.observations.tobytes() == demo.observations.tobytes()
    assert [int(picture[0, 0, 0]) for picture in found.pictures("wrist")] == [5 * tick for tick in range(TICKS)]
    assert main(["demos", "convert", str(tmp_path / "run"), str(tmp_path / "d.hdf5")]) == 0
    assert read_demos(tmp_path / "d.hdf5").digest == read_demos(tmp_path / "run").digest


def test_what_a_policy_drove_is_no_demonstration(tmp_path):
    wire = Wire()
    with RolloutLogWriter(tmp_path / "streams.mcap", CONTRACT, metadata={METADATA: {"clock": "realtime"}}) as log:
        for topic, stamp, message in operated(wire, CONTRACT):
            log.write_raw(topic, message.__msgtype__, wire.bytes(message), received_ns=stamp)
        log.write_decision(decision(CONTRACT, 0))
        log.write_episode(Episode("s", 0, 0, START_NS + TICKS * PERIOD_NS, True, 1.0, TICKS, 1, "success", 0))
    with pytest.raises(ValueError, match="no successful episode driven by an operator alone"):
        read_demos(tmp_path)


def _stream(topic):
    return next((name for name, stream in SEES.streams.items() if topic == "/" + stream.topic), None)


@pytest.mark.parametrize(
    "changes, text, told",
    [
        ({"without": ("object",)}, "{assume_success: true}", r"nothing of stream 'object' \(lpds/object_pose\)"),
        ({"without": ("target",)}, "{assume_success: true}", "no pose target on 'target_pose'"),
        ({}, "{}", "assume_success: true in the mapping"),
        ({}, "{assume_success: true, topics: {object: target_pos}}", r"nothing of stream 'object' \(target_pos\)"),
        ({}, "{assume_success: true, command: franka_gripper/joint_states}", "targets must be geometry_msgs/msg/PoseStamped"),
        ({}, "{assume_success: true, topics: {object: franka_gripper/joint_states}}", "JointState, stream 'object' is"),
        ({}, "{assume_success: true, comand: x}", "did you mean 'command'"),
        ({}, "{assume_success: true, gripper: /target_width, opened: 0.0}", "opened and closed .* must differ"),
    ],
)
def test_what_is_missing_says_how_to_name_it(tmp_path, changes, text, told):
    with pytest.raises(ValueError, match=told):
        read_demos(write(tmp_path / "b.mcap", operated(Wire(), CONTRACT, **changes)), CONTRACT, mapping=mapping(tmp_path, text))


def test_a_gap_and_a_jump_name_their_time(tmp_path):
    gap = [m for m in operated(Wire(), CONTRACT) if "object" not in m[0] or not 0.4e9 < m[1] - START_NS < 0.8e9]
    with pytest.raises(ValueError, match=r"0\.\d+ s after its first target: stream 'object' .* is 0\.\d+ s old"):
        read_demos(write(tmp_path / "gap.mcap", gap), CONTRACT, mapping=mapping(tmp_path))
    wire, jump = Wire(), []
    for topic, stamp, message in operated(wire, CONTRACT):
        if topic == "/target_pose" and stamp >= START_NS + 10 * PERIOD_NS:
            message = wire.pose(stamp, (message.pose.position.x + 0.05, 0.0, 0.3), (1.0, 0.0, 0.0, 0.0))
        jump.append((topic, stamp, message))
    with pytest.raises(ValueError, match=r"the step at 0\.50 s is 4\.8 times the contract's largest"):
        read_demos(write(tmp_path / "jump.mcap", jump), CONTRACT, mapping=mapping(tmp_path))
    clipped = read_demos(tmp_path / "jump.mcap", CONTRACT, mapping=mapping(tmp_path, "{assume_success: true, clip: true}"))
    assert clipped.demonstrations[0].actions[10, 0] == 1.0
