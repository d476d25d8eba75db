"""What is recorded when, and that a recording done again comes out the same, or names where it does not."""

from dataclasses import replace

import numpy as np
import pytest
from flying import FlyingCell, altered
from safetensors.numpy import load, save
from steering_fakes import FakeDecoder, lift, random_actor

from lpds_ros.records import Mark, Mode
from lpds_ros.steering import flight_file
from lpds_ros.steering.flight_check import (
    check_all,
    check_commands,
    check_deltas,
    check_gripper,
    check_rows,
    row_number,
)
from lpds_ros.steering.flight_file import FlightError, read_flight, write_flight
from lpds_ros.steering.params import SteeringParams

# -- when ------------------------------------------


def test_a_stop_is_recorded_once_with_the_seconds_before_and_its_tail():
    cell = FlyingCell(window_s=2.0, tail_s=0.5)
    cell.steps(60)
    cell.core.stop("lpds/stop was called")
    cell.steps(10)
    assert (cell.descents, cell.completed) == (1, 0)
    cell.step()
    assert (cell.descents, cell.completed) == (1, 1)
    cell.steps(30)
    recording = cell.recorder.take()
    assert recording.came_down.mode == Mode.STOP and recording.came_down.reason == "lpds/stop was called"
    assert recording.whole and len(recording.entries) == 40 + 1 + 10 and cell.recorder.take() is None
    assert (cell.descents, cell.completed) == (1, 1)


def test_the_window_is_full_when_it_is_taken_in_time():
    cell = FlyingCell(window_s=2.0, tail_s=0.5)
    recording = cell.stopped(ticks=60, tail=11)
    assert len(recording.entries) == 40 + 1 + 10 and recording.event == 40 and recording.whole
    assert [e.observation.stamp_ns for e in recording.entries] == [t.stamp_ns for t in cell.ticks[-51:]]


def test_the_ring_never_grows():
    cell = FlyingCell(window_s=1.0, tail_s=0.2)
    ring = cell.recorder._ring
    cell.steps(200)
    assert cell.recorder._ring is ring and len(ring) == 20 + 4 + 1


@pytest.mark.parametrize("end", [{"success": True}, {}])
def test_an_episodes_ordinary_end_and_the_wait_after_it_are_not_recorded(end):
    cell = FlyingCell(lift(max_ticks=20))
    cell.steps(20)
    cell.step(**end)
    assert cell.episodes[-1].reason == ("success" if end else "time")
    cell.steps(5)
    cell.core.stop("lpds/stop was called")  # nothing moves any more
    cell.steps(5)
    assert cell.descents == 0 and cell.recorder.take() is None


def test_waiting_for_the_operator_is_not_recorded_but_what_goes_wrong_meanwhile_is():
    cell = FlyingCell(decoder=None)
    cell.step(cell.operator((0.1, 0.0, 0.0, 0.0)))
    cell.steps(3)
    assert cell.ticks[-1].mode == Mode.HOLD and cell.descents == 0
    cell.step(valid=False)
    assert cell.descents == 1


def test_an_operators_failure_mark_is_an_ordinary_end():
    cell = FlyingCell(lift(reward="operator"))
    cell.steps(5)
    cell.step(cell.operator(active=False, mark=Mark.FAILURE))
    assert cell.episodes[-1].reason == "failure" and cell.descents == 0


def test_a_descent_within_the_tail_of_another_belongs_to_it():
    cell = FlyingCell()
    cell.steps(10)
    cell.step(valid=False)
    recording = cell.stopped(ticks=5, tail=30)
    assert cell.descents == 1 and recording.came_down.mode == Mode.HOLD
    assert {e.tick.mode for e in recording.entries} >= {Mode.HOLD, Mode.STOP, Mode.PRIOR}


def test_holds_that_follow_soon_are_counted_and_a_stop_is_always_recorded():
    cell = FlyingCell(window_s=10.0, tail_s=0.25)
    for number in range(3):
        cell.steps(8)
        cell.step(valid=False)
        cell.steps(8)
        assert (cell.recorder.take() is not None) == (number == 0)
    assert cell.descents == 1
    recording = cell.stopped(ticks=8)
    assert cell.descents == 2 and recording.skipped == 2


def test_an_internal_error_is_recorded_also_out_of_a_hold():
    cell = FlyingCell()
    cell.steps(5)
    cell.step(valid=False)
    cell.recorder.take()
    cell.core._sight = None
    cell.core.tick(cell.observation())
    assert cell.recorder.take().came_down.mode == Mode.FAULT


# -- the file ------------------------------------------


def eventful() -> FlyingCell:
    """The policy with two versions, an operator who asks too much, a refused row, rotation, an invalid observation."""
    cell = FlyingCell(lift(turns=True))
    cell.core.install_weights(random_actor(cell.contract, version=4))
    cell.steps(20)
    cell.core.install_weights(random_actor(cell.contract, version=5, seed=1, radius=3.0))
    cell.steps(20)
    cell.step(cell.operator((0.1, 9.0, 0.0, 0.0, 0.0, 0.9, 1.0)))
    cell.step(cell.operator((np.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)))
    cell.steps(12)
    cell.position = cell.position + [0.06, 0.0, 0.0]  # pushed aside: the target starts again from there
    cell.steps(4)
    cell.recording = cell.stopped()
    return cell


@pytest.fixture(scope="module")
def flown() -> FlyingCell:
    return eventful()


@pytest.fixture
def file(flown, tmp_path):
    path = tmp_path / "some.flight.safetensors"
    write_flight(path, flown.recording, flown.around, "2026-01-02T03:04:05+00:00")
    return path


def test_a_recording_comes_back_whole(flown, file):
    recording, around, time = read_flight(file)
    assert (around, time) == (flown.around, "2026-01-02T03:04:05+00:00")
    assert (recording.event, recording.whole, recording.skipped) == (
        flown.recording.event,
        flown.recording.whole,
        flown.recording.skipped,
    )
    for read, kept in zip(recording.entries, flown.recording.entries, strict=True):
        assert (read.steady_ns, read.compute_s, read.late_s) == (kept.steady_ns, kept.compute_s, kept.late_s)
        assert (read.tick.mode, read.tick.reason, read.tick.source, read.tick.gripper) == (
            kept.tick.mode,
            kept.tick.reason,
            kept.tick.source,
            kept.tick.gripper,
        )
        for name in ("data", "position", "orientation", "joints"):
            np.testing.assert_array_equal(getattr(read.observation, name), getattr(kept.observation, name))
        for name in ("stamp_ns", "valid", "reason", "gripper_width", "reward", "success", "ages_s"):
            assert getattr(read.observation, name) == getattr(kept.observation, name)
        assert (read.operator is None) == (kept.operator is None) and read.trace[2:] == kept.trace[2:]
        if kept.trace.chunk is not None:
            np.testing.assert_array_equal(read.trace.chunk.rows, kept.trace.chunk.rows)
            assert read.trace.chunk.weights.version == kept.trace.chunk.weights.version == read.trace.chunk.version
    again = file.with_name("again")
    write_flight(again, recording, around, time)
    first, second = load(file.read_bytes()), load(again.read_bytes())
    assert first.keys() == second.keys()
    for name in (name for name in first if not name.startswith("weights")):  # a header's order is not kept
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_a_recording_done_again_is_the_same_bit_for_bit(file):
    recording, around, _ = read_flight(file)
    checks = {check.what: check for check in check_all(recording, around, FakeDecoder())}
    assert list(checks) == ["states of chunks", "Δ of chunks", "decoded chunks", "rows asked for", "commands", "gripper"]
    assert checks.pop("gripper").of == 0  # its episode began before the recording
    for check in checks.values():
        assert check.equal == check.of >= 4 and not check.differences, check
    rows = [row_number(entry) for entry in recording.entries if entry.trace.chunk is not None]
    assert rows[:9] == [0, 1, 2, 3, 4, 5, 6, 7, 0]


@pytest.mark.parametrize(
    "column, at, stage",
    [
        ("chunk.delta", (2, 0, 0), "Δ of chunks"),
        ("chunk.noise", (2, 0, 0), "decoded chunks"),
        ("chunk.state", (2, 0), "states of chunks"),
        ("chunk.rows", (1, 3, 1), "rows asked for"),
        ("moves.row", (7, 0), "rows asked for"),
        ("moves.sent", (7, 2), "commands"),
        ("targets.position", (9, 4, 1), "commands"),
        ("targets.orientation", (9, 0, 3), "commands"),
        ("observation.position", (54, 0), "commands"),
    ],
)
def test_one_number_that_is_another_is_found_and_named(file, column, at, stage):
    def nudge(_, columns):
        value = columns[column][at]
        columns[column][at] = np.nextafter(value, value.dtype.type(2)) if column != "observation.position" else value + 1e-9

    recording, around, _ = read_flight(altered(file, nudge))
    checks = {check.what: check for check in check_all(recording, around, FakeDecoder())}
    assert checks[stage].equal < checks[stage].of
    if stage == "commands":
        assert checks[stage].differences[0].startswith(f"tick {at[0]}: ") and "recorded" in checks[stage].differences[0]


@pytest.mark.parametrize("way", ["robot error", "internal error", "decoder fails", "stamp repeats", "not finite"])
def test_every_way_down_comes_out_the_same(way, tmp_path):
    failing = way == "decoder fails"
    cell = FlyingCell(decoder=FakeDecoder(lambda rows: rows * np.nan if failing and cell.ticks else rows))
    cell.steps(8)
    cell.core.arm()
    if way == "internal error":  # after the pose was advanced: it is held a second time
        cell.core._gripper = None
    seen = cell.observation()
    if way == "robot error":
        seen = replace(seen, robot_error="the robot is in REFLEX")
    if way == "stamp repeats":
        seen = replace(seen, stamp_ns=seen.stamp_ns - cell.contract.period_ns)
    if way == "not finite":
        seen = replace(seen, position=seen.position * np.nan)
    cell.core.tick(seen)
    recording = cell.recorder.take()
    assert recording.came_down.mode >= Mode.HOLD and recording.event == 8
    write_flight(tmp_path / "it", recording, cell.around, "now")
    recording, around, _ = read_flight(tmp_path / "it")
    assert recording.entries[8].observation.robot_error == seen.robot_error
    for check in check_all(recording, around, FakeDecoder()):
        assert check.equal == check.of, check


def test_a_row_that_was_refused_is_its_chunks(tmp_path):
    cell = FlyingCell(decoder=FakeDecoder(lambda rows: 100.0 * rows))
    cell.steps(40)
    write_flight(tmp_path / "it", cell.recorder.take(), cell.around, "now")
    recording, _, _ = read_flight(tmp_path / "it")
    down = recording.entries[recording.event]
    assert "times the speed allowed" in recording.came_down.reason and down.trace.moves.sent is None
    assert row_number(down) == 4
    check = check_rows(recording)
    assert check.equal == check.of > 5, check


def test_a_refusal_for_what_began_before_the_recording_comes_out_the_same(tmp_path):
    cell = FlyingCell(lift(max_ticks=200), window_s=1.0, tail_s=0.2, params=SteeringParams(cut_ticks=40))
    for _ in range(90):  # up to the workspace's edge, and on
        cell.step(cell.operator((0.0, 0.0, 1.0, 0.0)))
    write_flight(tmp_path / "it", cell.recorder.take(), cell.around, "now")
    recording, around, _ = read_flight(tmp_path / "it")
    assert recording.event == 20 and "actions in a row had to be cut" in recording.came_down.reason
    check = check_commands(recording, around)
    assert check.equal == check.of == 25

    def forget(_, columns):
        columns["moves.memory"][0, 0] -= 1

    recording, around, _ = read_flight(altered(tmp_path / "it", forget))
    check = check_commands(recording, around)
    assert check.equal < check.of and "what the filter remembers" in check.differences[0]


def test_the_grippers_events_are_computed_again_from_an_episodes_beginning_on():
    cell = FlyingCell(lift(max_ticks=20))
    cell.steps(22)
    cell.core.begin_episode(1, 8)
    recording = cell.stopped(ticks=19)
    check = check_gripper(recording, cell.around)
    assert any(entry.tick.gripper for entry in recording.entries[21:]) and check.equal == check.of > 19
    check = check_gripper(recording, replace(cell.around, params=SteeringParams(gripper_threshold=0.9)))
    assert check.equal < check.of and "gripper: recorded" in check.differences[0]


def test_other_limits_or_weights_are_found(file):
    recording, around, _ = read_flight(file)
    check = check_commands(recording, replace(around, params=SteeringParams(max_speed_mps=0.2)))
    assert check.equal < check.of

    def swap(_, columns):
        columns["weights.0"], columns["weights.1"] = columns["weights.1"], columns["weights.0"]

    recording, around, _ = read_flight(altered(file, swap))
    check = check_deltas(recording, around)
    assert check.equal < check.of and "Δ of version 4" in check.differences[0]


def flip(blob, place):
    changed = bytearray(blob)
    changed[place] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda blob: b"",
        lambda blob: blob[:7],
        lambda blob: blob[: len(blob) // 2],
        lambda blob: blob + b"\0",
        lambda blob: b"\xff" * 8 + blob[8:],
        lambda blob: flip(blob, -1),
        lambda blob: flip(blob, len(blob) // 2),
        lambda blob: b"PK\x03\x04" + blob,
        lambda blob: save({"a": np.zeros(3)}),
        lambda blob: save({"a": np.zeros(3)}, {"format": "lpds-flight-0"}),
        lambda blob: save({"a": np.zeros(3)}, {"format": flight_file.FORMAT, "header": "[" * 10**5, "sha256": ""}),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(FlightError, match="some.flight.safetensors: not a whole recording"):
        read_flight(file)


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda header, columns: columns.pop("reason"), "column reason is missing"),
        (lambda header, columns: columns.update(more=np.zeros(1)), "unexpected column more"),
        (lambda header, columns: columns.update(mode=np.zeros(3, np.int64)), "column mode is int64"),
        (lambda header, columns: columns["mode"].fill(9), "9 is not a valid Mode"),
        (lambda header, columns: columns["reason"].fill(10**6), "text 1000000 of"),
        (lambda header, columns: columns["chunk"].fill(99), "number 99 of"),
        (lambda header, columns: header.update(event=10**6), "its event is tick 1000000"),
        (lambda header, columns: header.update(ticks="many"), "TypeError"),
        (lambda header, columns: header.pop("texts"), "KeyError: 'texts'"),
        (lambda header, columns: header["params"].update(max_speed_mps=-1.0), "max_speed_mps must be a positive"),
        (lambda header, columns: header["contract"].update(rate_hz=0.0), "rate_hz must lie"),
        (lambda header, columns: columns.update({"weights.0": columns["weights.0"][:-1]}), "weights"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(file, change, told):
    with pytest.raises(FlightError, match=told):
        read_flight(altered(file, change))
