"""The rollout log: survives death at any byte, continues in a new file, and others can read it."""

import dataclasses
import logging
import os
import random
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from synthetic_demos import LIFT, small_contract, synthetic_demos
from waiting import PATIENCE_S, wait_for

from lpds_ros.contract import ContractError
from lpds_ros.data import rollout_log
from lpds_ros.data.definitions import DECISION, DefinitionError
from lpds_ros.data.demos import decisions_from_demo, write_demos_log
from lpds_ros.data.log_codec import CodecError, decode, encode
from lpds_ros.data.log_sink import LogSink
from lpds_ros.data.rollout_log import (
    Definitions,
    RolloutLogError,
    RolloutLogWriter,
    log_paths,
    next_log_path,
    read_log,
)
from lpds_ros.records import Decision, Episode, Source

CONTRACT = small_contract()


def steered(number: int = 0) -> Decision:
    rng = np.random.default_rng(number)
    base = decisions_from_demo(synthetic_demos(CONTRACT)[0], CONTRACT)[0]
    noise, delta, chunk = (rng.standard_normal(CONTRACT.noise_shape).astype(np.float32) for _ in range(3))
    return dataclasses.replace(
        base,
        session="s",
        decision_id=number,
        source=Source.STEERED,
        noise=noise,
        delta=delta,
        chunk=chunk,
        weights_version=2**40,
        stamp_ns=1_700_000_000_123_456_789 + number,
        decode_s=1e-3,
        prior_digest="p" * 64,
    )


def equal(first, second):
    for field in dataclasses.fields(first):
        before, after = getattr(first, field.name), getattr(second, field.name)
        if isinstance(before, np.ndarray):
            assert after.dtype == np.float32 and after.shape == before.shape, field.name
            assert before.tobytes() == after.tobytes(), field.name
        else:
            assert type(before) is type(after) and before == after, field.name


def episode(number: int = 0) -> Episode:
    return Episode("s", number, 2**33, 10**18 + 7, True, 1.5, 42, 6, "success", 3, 4, CONTRACT.digest)


def test_records_come_back_bit_for_bit(tmp_path):
    operator = decisions_from_demo(synthetic_demos(CONTRACT)[0], CONTRACT)[-1]
    with RolloutLogWriter(tmp_path / "rollouts.mcap", CONTRACT) as log:
        log.write_decision(steered())
        log.write_decision(operator)
        log.write_episode(episode())
    log = read_log(tmp_path / "rollouts.mcap")
    (topic, first), (_, second), (other, third) = log
    equal(steered(), first)
    equal(operator, second)
    equal(episode(), third)
    assert (topic, other) == ("/lpds/decision", "/lpds/episode") and log.tails == [] and log.contract == CONTRACT


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "rollouts.mcap"
    return write_demos_log(path, synthetic_demos(CONTRACT, count=3, ticks=10), CONTRACT)


def test_any_prefix_of_a_log_reads_as_a_prefix_of_its_records(tmp_path, written):
    content, whole = written.read_bytes(), [record for _, record in read_log(written)]
    draw = random.Random(0)
    counts = []
    for size in sorted([0, 5, 8, *(draw.randrange(len(content)) for _ in range(60)), len(content) - 1]):
        cut = tmp_path / "cut.mcap"
        cut.write_bytes(content[:size])
        log = read_log(cut)
        found = [record for _, record in log]
        for before, after in zip(whole, found):
            equal(before, after)
        assert len(log.tails) == 1 and log.tails[0].valid_bytes + log.tails[0].lost_bytes == size
        assert log.tails[0].reason or log.tails[0].lost_bytes == 0
        counts.append(len(found))
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == len(whole), (
        "nothing written is lost by a cut behind it"
    )


def test_garbage_after_a_cut_and_flipped_bytes_end_the_log_there(tmp_path, written, caplog):
    content, whole = written.read_bytes(), len(list(read_log(written)))
    draw, bad = random.Random(1), tmp_path / "bad.mcap"
    for _ in range(40):
        at = draw.randrange(len(content))
        flipped = bytearray(content)
        flipped[at] ^= 1 << draw.randrange(8)
        bad.write_bytes(flipped)
        assert len(list(read_log(bad))) <= whole
        bad.write_bytes(content[:at] + bytes(64))
        assert len(list(read_log(bad))) <= whole
    with caplog.at_level(logging.WARNING):
        list(read_log(bad))
    assert "unusable" in caplog.text and str(bad) in caplog.text


@pytest.mark.parametrize("before, after", [(b'"lift"', b'"luft"'), (b'"max_ticks"', b'"mix_ticks"')])
def test_a_contract_damaged_in_the_log_is_said_and_the_records_are_read(tmp_path, written, caplog, before, after):
    bad, content = tmp_path / "bad.mcap", written.read_bytes()
    assert before in content
    bad.write_bytes(content.replace(before, after, 1))
    log = read_log(bad, CONTRACT)
    assert log.contract is None and "contract" in caplog.text and str(bad) in caplog.text
    assert len(list(log)) == len(list(read_log(written)))


def test_a_flipped_byte_inside_a_decision_costs_that_one_alone(tmp_path, written):
    content, bad = bytearray(written.read_bytes()), tmp_path / "bad.mcap"
    whole = [record for _, record in read_log(written)]
    number = whole[5].observation.tobytes()
    content[content.index(number) + 2] ^= 1
    bad.write_bytes(content)
    log = read_log(bad)
    found = [record for _, record in log]
    (bad_chunk,) = log.skipped
    assert "crc" in bad_chunk.reason.lower() and not log.tails
    same = lambda a, b: type(a) is type(b) and (a.session, a.episode, a.stamp_ns) == (b.session, b.episode, b.stamp_ns)  # noqa: E731
    damaged = next(i for i, record in enumerate(whole) if i >= len(found) or not same(record, found[i]))
    rest = [record for i, record in enumerate(whole) if i != damaged]
    assert len(found) == len(rest), "the one that was hit, and no other"
    for before, after in zip(rest, found):
        equal(before, after)


def test_a_file_without_its_first_chunk_and_its_index_is_searched_once(tmp_path, monkeypatch):
    path = tmp_path / "rollouts.mcap"
    writer = RolloutLogWriter(path, CONTRACT)
    for number in range(20):
        writer.write_episode(episode(number))
    writer.abandon()
    content = bytearray(path.read_bytes())
    content[content.index(b"lpds_msgs/msg/Episode")] ^= 1  # the only place that says what the topic is of
    path.write_bytes(content)
    declared, searched = rollout_log._declared, []
    monkeypatch.setattr(rollout_log, "_declared", lambda *given: searched.append(given) or declared(*given))
    log = read_log(path)
    assert not list(log) and len(log.skipped) == 20 and len(searched) == 1


def test_without_the_first_chunk_what_follows_the_next_declaration_is_read(tmp_path):
    path = tmp_path / "rollouts.mcap"
    writer = RolloutLogWriter(path, CONTRACT)
    for number in range(25):
        writer.write_episode(episode(number))
        writer.flush()
    writer.abandon()
    content = bytearray(path.read_bytes())
    content[content.index(b"lpds_msgs/msg/Episode")] ^= 1
    path.write_bytes(content)
    log = read_log(path)
    assert [record.episode for _, record in log] == list(range(10, 25)) and len(log.skipped) == 10


def test_a_killed_writer_loses_nothing_it_had_written(tmp_path):
    code = f"""
import sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from synthetic_demos import small_contract, synthetic_demos
from lpds_ros.data.demos import decisions_from_demo
from lpds_ros.data.rollout_log import RolloutLogWriter
log = RolloutLogWriter({str(tmp_path / "rollouts.mcap")!r}, small_contract())
for decision in decisions_from_demo(synthetic_demos(small_contract())[0], small_contract()):
    log.write_decision(decision)
print("written", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline().strip() == "written"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    log = read_log(tmp_path)
    assert len(list(log)) == 7 and log.tails[0].lost_bytes == 0


def test_an_old_log_is_continued_in_a_new_file_and_read_in_order_once(tmp_path):
    for numbers in ([0, 1], [1, 2], [3]):  # decision 1 is in two files: a message delivered again after a restart
        with RolloutLogWriter(next_log_path(tmp_path / "rollouts.mcap"), CONTRACT) as log:
            for number in numbers:
                log.write_decision(steered(number))
            log.write_episode(episode())
    for _ in range(3, 11):
        RolloutLogWriter(next_log_path(tmp_path / "rollouts.mcap")).close()
    assert [p.name for p in log_paths(tmp_path)][-2:] == ["rollouts_9.mcap", "rollouts_10.mcap"]
    records = [record for _, record in read_log(tmp_path)]
    assert [r.decision_id for r in records if isinstance(r, Decision)] == [0, 1, 2, 3]
    assert sum(isinstance(r, Episode) for r in records) == 1
    with pytest.raises(FileExistsError):
        RolloutLogWriter(tmp_path / "rollouts.mcap")
    with pytest.raises(RolloutLogError, match="no rollout log"):
        read_log(tmp_path / "nowhere")


def test_another_contract_is_refused(written):
    with pytest.raises(ContractError, match="contract"):
        list(read_log(written, dataclasses.replace(CONTRACT, rate_hz=10.0)))
    assert len(list(read_log(written, CONTRACT))) > 0


def test_rosbags_reads_a_closed_log(written):
    from rosbags.highlevel import AnyReader

    with AnyReader([written]) as reader:
        types = {connection.topic: connection.msgtype for connection in reader.connections}
        assert types == {"/lpds/decision": "lpds_msgs/msg/Decision", "/lpds/episode": "lpds_msgs/msg/Episode"}
        connection, _, raw = next(reader.messages())
        message = reader.deserialize(raw, connection.msgtype)
    first = next(iter(read_log(written)))[1]
    assert message.session == first.session and np.array_equal(message.observation, first.observation)


def test_mcap_ros2_reads_a_closed_log_by_its_own_schemas(written):
    from mcap_ros2.reader import read_ros2_messages

    messages = list(read_ros2_messages(str(written)))
    records = [record for _, record in read_log(written)]
    assert len(messages) == len(records)
    assert {m.schema.encoding for m in messages} == {"ros2msg"}
    assert messages[0].ros_msg.decision_id == records[0].decision_id
    assert messages[0].log_time_ns == records[0].stamp_ns
    assert b"MSG: std_msgs/Header" in messages[0].schema.data


def test_the_wire_format_is_rclpys():
    rclpy = pytest.importorskip("rclpy.serialization", reason="needs ROS 2")
    from lpds_msgs.msg import Decision as DecisionMsg

    from lpds_ros.nodes.messages import decision_from_msg, decision_to_msg

    record = dataclasses.replace(steered(), contract_digest=CONTRACT.digest)
    definitions = Definitions()
    equal(record, decode(definitions, DECISION, rclpy.serialize_message(decision_to_msg(record))))
    equal(record, decision_from_msg(rclpy.deserialize_message(encode(definitions, record)[1], DecisionMsg), CONTRACT))


def test_a_message_of_impossible_sizes_is_refused():
    definitions = Definitions()
    typename, cdr = encode(definitions, dataclasses.replace(steered(), ticks=9))
    with pytest.raises(CodecError, match="9 ticks"):
        decode(definitions, typename, cdr)
    with pytest.raises(CodecError):
        decode(definitions, typename, cdr[:50])


def test_an_unknown_type_names_where_it_was_looked_for():
    with pytest.raises(DefinitionError, match="nowhere_msgs/msg/Thing.*make setup"):
        Definitions().text("nowhere_msgs/msg/Thing")


def test_the_sink_writes_everything_in_order_and_closes(tmp_path):
    sink, definitions = LogSink(tmp_path / "rollouts.mcap", CONTRACT), Definitions()
    for number in range(50):
        assert sink.put("/lpds/decision", *encode(definitions, steered(number)))
    sink.put("/lpds/episode", *encode(definitions, episode()), flush=True)
    status = sink.close(PATIENCE_S)
    assert (status.written, status.dropped, status.error) == (51, 0, "")
    log = read_log(tmp_path)
    assert [r.decision_id for _, r in log if isinstance(r, Decision)] == list(range(50)) and log.tails == []
    assert next(iter(log))[1].stamp_ns == steered().stamp_ns


def test_a_file_that_is_long_enough_is_closed_at_the_next_flush_and_another_begun(tmp_path):
    sink, definitions = LogSink(tmp_path / "rollouts.mcap", CONTRACT, max_bytes=4000), Definitions()
    for number in range(30):
        assert sink.put("/lpds/decision", *encode(definitions, steered(number)), flush=number % 5 == 4)
    assert sink.close().written == 30
    files = log_paths(tmp_path)
    assert len(files) > 2
    numbers = [[record.decision_id for _, record in read_log(path)] for path in files]
    assert all(len(found) % 5 == 0 for found in numbers), "no episode is torn apart"
    assert sum(numbers, []) == list(range(30))
    log = read_log(tmp_path)
    assert len(list(log)) == 30 and not log.tails


def test_a_failing_disk_never_blocks_and_recording_goes_on_in_a_new_file(tmp_path, monkeypatch):
    full, errors = threading.Event(), []

    def fails_when_full(real):
        def method(self, *arguments):
            if full.is_set():
                raise OSError(28, "No space left on device")
            return real(self, *arguments)

        return method

    monkeypatch.setattr(RolloutLogWriter, "write_raw", fails_when_full(RolloutLogWriter.write_raw))
    monkeypatch.setattr(RolloutLogWriter, "__init__", fails_when_full(RolloutLogWriter.__init__))
    sink = LogSink(tmp_path / "rollouts.mcap", CONTRACT, capacity=20, on_error=errors.append, retry_s=0.02)
    definitions = Definitions()
    taken = [sink.put("/lpds/decision", *encode(definitions, steered(0)))]
    wait_for(lambda: sink.status().written == 1)
    full.set()
    taken += [sink.put("/lpds/decision", *encode(definitions, steered(number))) for number in range(1, 40)]
    assert taken.count(False) > 0, "a full queue drops, it does not wait"
    wait_for(lambda: sink.status().error)
    full.clear()
    status = sink.close(PATIENCE_S)
    assert status.written == taken.count(True) and status.dropped == taken.count(False)
    assert errors and "No space left" in errors[0]
    found = [record.decision_id for _, record in read_log(tmp_path)]
    assert found == [number for number, kept in enumerate(taken) if kept]
    assert len(log_paths(tmp_path)) == 2


def test_a_message_nobody_can_describe_does_not_end_the_recording(tmp_path):
    errors = []
    sink = LogSink(tmp_path / "rollouts.mcap", CONTRACT, on_error=errors.append)
    sink.put("/thing", "nowhere_msgs/msg/Thing", b"\0" * 16)
    sink.put("/lpds/decision", *encode(Definitions(), steered()))
    status = sink.close(PATIENCE_S)
    assert (status.written, status.dropped) == (1, 1) and "nowhere_msgs" in errors[0]


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RolloutLogError, match="cannot be written"):
        LogSink(tmp_path / "file" / "rollouts.mcap")


def test_the_shipped_contract_fits(tmp_path):
    from lpds_ros.contract import load_contract

    contract = load_contract(LIFT)
    write_demos_log(tmp_path / "rollouts.mcap", synthetic_demos(contract, count=1), contract)
    assert read_log(tmp_path).contract == contract
