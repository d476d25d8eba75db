"""Recorded streams: bags of any storage are read, and the live observations come out of them again, bit for bit."""

import logging

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from pictured import small_contract
from recordings import START_NS, Wire, record_live
from rosbags.rosbag2 import Reader, StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter
from steering_fakes import lift

from lpds_ros.cli import main
from lpds_ros.data.definitions import Definitions
from lpds_ros.data.demonstration import DemoError
from lpds_ros.data.log_sink import LogSink
from lpds_ros.data.rollout_log import RolloutLogWriter
from lpds_ros.data.streams import POSE, decoded, raw_messages
from lpds_ros.perception.align import PICTURED
from lpds_ros.perception.rebuild import rebuild

CONTRACT = lift()
POSITIONS = [(0.1 * i, 0.0, 0.3) for i in range(6)]


def poses() -> list[tuple[int, bytes]]:
    wire = Wire()
    return [(START_NS + i, wire.bytes(wire.pose(START_NS + i, position))) for i, position in enumerate(POSITIONS)]


def write_mcap(path, compression):
    with path.open("wb") as stream:
        writer = Writer(stream, compression=compression, chunk_size=100)
        writer.start("ros2")
        schema = writer.register_schema(POSE, "ros2msg", Definitions().text(POSE).encode())
        channel = writer.register_channel("/arm/pose", "cdr", schema)
        for stamp, data in poses():
            writer.add_message(channel, stamp, data, stamp)
        writer.finish()
    return path


def write_bag(path, storage):
    with BagWriter(path, version=9, storage_plugin=storage) as bag:
        wire = Wire()
        connection = bag.add_connection("/arm/pose", POSE, typestore=wire.definitions.store)
        for stamp, data in poses():
            bag.write(connection, stamp, data)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: write_mcap(folder / "b.mcap", CompressionType.NONE),
        lambda folder: write_mcap(folder / "b.mcap", CompressionType.ZSTD),
        lambda folder: write_mcap(folder / "b.mcap", CompressionType.LZ4),
        lambda folder: write_bag(folder / "bag", StoragePlugin.MCAP),
        lambda folder: write_bag(folder / "bag", StoragePlugin.SQLITE3),
    ],
    ids=["mcap", "zstd", "lz4", "rosbag2 mcap", "rosbag2 sqlite3"],
)
def test_every_storage_gives_the_same_messages(tmp_path, make):
    definitions = Definitions()
    found = list(raw_messages(make(tmp_path), definitions))
    assert [(m.topic, m.typename, m.log_ns) for m in found] == [("/arm/pose", POSE, START_NS + i) for i in range(6)]
    assert [m.data for m in found] == [data for _, data in poses()]
    assert [decoded(definitions, m).pose.position.x for m in found] == [p[0] for p in POSITIONS]


def test_a_bag_cut_anywhere_gives_what_was_whole(tmp_path, caplog):
    path = write_mcap(tmp_path / "b.mcap", CompressionType.ZSTD)
    whole, counts = path.read_bytes(), set()
    for size in range(len(whole) // 4, len(whole), 37):
        path.write_bytes(whole[:size])
        found = list(raw_messages(path, Definitions()))
        assert [m.data for m in found] == [data for _, data in poses()][: len(found)]
        counts.add(len(found))
    assert {0, 6} & counts and len(counts) > 2


def test_a_chunk_that_unpacks_to_more_than_it_says_is_left_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("lpds_ros.data.streams.MAX_RECORD_BYTES", 200)
    with caplog.at_level(logging.WARNING):
        assert list(raw_messages(write_mcap(tmp_path / "b.mcap", CompressionType.ZSTD), Definitions())) == []
    assert "more than the 200 accepted" in caplog.text


@pytest.mark.parametrize("name, text", [("absent", "no bag here"), ("x.db3", "not a readable bag")])
def test_what_is_no_bag_is_refused(tmp_path, name, text):
    (tmp_path / "x.db3").write_bytes(b"no database")
    with pytest.raises(DemoError, match=text):
        list(raw_messages(tmp_path / name, Definitions()))


def test_a_recorder_that_is_killed_loses_what_it_had_gathered_and_no_more(tmp_path):
    (_, data), log = poses()[0], RolloutLogWriter(tmp_path / "s.mcap", chunk_bytes=1000)
    for i in range(104):
        log.write_raw("/pose", POSE, data, received_ns=i)
    log.abandon()
    found = [m.log_ns for m in raw_messages(tmp_path, Definitions())]
    assert found == list(range(len(found))) and 104 - 1000 // len(data) <= len(found) < 104


def test_others_read_our_bags(tmp_path):
    count = record_live(tmp_path / "streams.mcap", CONTRACT, 10)
    with Reader(tmp_path / "streams.mcap") as bag:
        topics = {connection.topic: connection.msgtype for connection in bag.connections}
        stamps = [stamp for _, stamp, _ in bag.messages()]
    with (tmp_path / "streams.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert topics["/franka_gripper/joint_states"] == "sensor_msgs/msg/JointState" and len(topics) == 6
    assert stamps == sorted(stamps) and summary.statistics.message_count == len(stamps) > 10 * count


def test_a_sink_holds_no_more_bytes_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(RolloutLogWriter, "write_raw", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    sink = LogSink(tmp_path / "s.mcap", max_waiting_bytes=1000, retry_s=60.0)
    taken = [sink.put("/x", POSE, bytes(300)) for _ in range(5)]
    assert taken == [True, True, True, False, False] and sink.status().dropped == 2
    sink.close(0.0)


def test_a_sink_begins_a_new_file_in_an_endless_episode(tmp_path):
    sink, (_, data) = LogSink(tmp_path / "s.mcap", max_bytes=1000, chunk_bytes=200), poses()[0]
    for i in range(40):
        sink.put("/pose", POSE, data, received_ns=i)
    assert sink.close().dropped == 0
    files = sorted(tmp_path.glob("s*.mcap"))
    assert len(files) > 2 and max(file.stat().st_size for file in files) < 6000
    assert [m.log_ns for m in raw_messages(tmp_path, Definitions())] == list(range(40))


@pytest.mark.parametrize("seed", range(3))
def test_rebuilt_observations_are_the_live_ones_whatever_arrived_late(tmp_path, seed):
    count = record_live(tmp_path / "streams.mcap", CONTRACT, 60, seed=seed)
    found = list(rebuild(tmp_path))
    assert count - 8 < len(found) < count, "but for those before every stream was heard"
    assert all(each.live.valid for each in found[5:])
    assert [each for each in found if each.missing or each.differences] == []


def test_with_images_too_and_whatever_perception_had_not_heard(tmp_path):
    contract = small_contract()

    def encode(name, image):
        return image.reshape(-1, 4).mean(axis=0, dtype=np.float32) + float(name == "wrist")

    record_live(tmp_path / "streams.mcap", contract, 60, unheard=0.2, encode=encode)
    found = list(rebuild(tmp_path, encode=encode))
    assert sum(each.live.valid for each in found) > 30 and [each for each in found if each.missing or each.differences] == []
    assert any(each.live.ages_s["pose" + PICTURED] > each.live.ages_s["pose"] for each in found), "the pose of the picture's time"
    blind = [each for each in rebuild(tmp_path) if each.live.valid]
    assert {each.differences for each in blind} == {("data",)}, "other encoders give other observations"


def test_rebuilt_ones_differ_where_a_sample_is_not_what_was_heard(tmp_path, monkeypatch):
    record_live(tmp_path / "streams.mcap", CONTRACT, 20)
    wire = Wire()
    messages = list(raw_messages(tmp_path, Definitions()))
    used = [m for m in messages if m.topic.endswith("current_pose")]
    with RolloutLogWriter(tmp_path / "b.mcap", CONTRACT, metadata={"lpds_streams": {"clock": "realtime"}}) as log:
        for message in messages:
            data = message.data
            if message in used[-20:]:
                pose = decoded(wire.definitions, message)
                pose.pose.position.x = np.nextafter(pose.pose.position.x, 1.0)
                data = wire.bytes(pose)
            log.write_raw(message.topic, message.typename, data, received_ns=message.log_ns)
    found = list(rebuild(tmp_path / "b.mcap"))
    assert {name for each in found for name in each.differences} >= {"position"}
    assert not any(each.differences for each in found[:5])


def test_a_sample_that_was_not_recorded_is_named(tmp_path, capsys):
    record_live(tmp_path / "streams.mcap", CONTRACT, 40, lost=lambda name, number: name == "object" and number > 300)
    found = list(rebuild(tmp_path))
    assert {each.missing for each in found} >= {(), ("object",)} and not any(each.differences for each in found)
    assert main(["demos", "rebuild", str(tmp_path)]) == 1
    assert "lacks its samples of object" in capsys.readouterr().out


def test_the_verb_says_that_all_are_equal(tmp_path, capsys):
    (tmp_path / "streams").mkdir()
    record_live(tmp_path / "streams" / "streams.mcap", CONTRACT, 20)
    assert main(["demos", "rebuild", str(tmp_path)]) == 0
    assert "0 with samples that were not recorded" in capsys.readouterr().out
    write_mcap(tmp_path / "b.mcap", CompressionType.NONE)
    assert main(["demos", "rebuild", str(tmp_path / "b.mcap")]) == 2
    assert "not recorded by the streams node" in capsys.readouterr().err
