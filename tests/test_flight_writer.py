"""Recordings on a disk that has room, has none, or is not to be written; control knows nothing of it."""

import pytest
from flying import FlyingCell
from waiting import wait_for

from lpds_ros.records import Mode
from lpds_ros.steering.flight_file import read_flight
from lpds_ros.steering.flight_writer import FlightWriter


@pytest.fixture
def writer(tmp_path):
    made = []

    def make(**options):
        failures, files = [], []
        writer = FlightWriter(
            tmp_path / "flight",
            FlyingCell().around,
            written=lambda path, _: files.append(path),
            failed=failures.append,
            **{"tail_s": 0.1, **options},
        )
        made.append(writer)
        return writer, failures, files

    yield make
    for writer in made:
        writer.end()


def flights(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_files_stay(writer, tmp_path):
    writer, failures, files = writer(keep=2)
    for number in range(4):
        FlyingCell(recorder=writer.recorder).fly()
        wait_for(lambda count=number + 1: len(files) == count, "a file")
    assert flights(tmp_path / "flight") == [path.name for path in files[-2:]] and not failures
    assert writer.path == str(files[-1]) and "-stop-episode-0" in writer.path
    recording, _, _ = read_flight(files[-1])
    assert recording.came_down.mode == Mode.STOP


def test_a_hold_makes_room_before_a_stop_does(writer, tmp_path):
    writer, _, files = writer(keep=2, window_s=0.1)
    cell = FlyingCell(recorder=writer.recorder)
    for number, stop in enumerate((True, False, False)):
        cell.steps(8)
        if stop:
            cell.core.stop("lpds/stop was called")
        cell.step(valid=False)
        cell.steps(6)
        wait_for(lambda count=number + 1: len(files) == count, "a file")
        if stop:
            cell.core.arm()
            cell.core.begin_episode(1, 8)
    assert flights(tmp_path / "flight") == [files[0].name, files[2].name] and "-hold-" in files[2].name


def test_a_pending_recording_is_written_at_the_end(writer, tmp_path):
    writer, _, files = writer(tail_s=60.0)
    FlyingCell(recorder=writer.recorder).fly(tail=1)
    writer.end()
    (path,) = files
    assert not read_flight(path)[0].whole


def test_a_folder_that_cannot_be_written_is_said_once_and_nothing_else_happens(writer, tmp_path):
    (tmp_path / "flight").write_text("a file in its place")
    writer, failures, files = writer()
    for _ in range(2):
        FlyingCell(recorder=writer.recorder).fly()
        wait_for(lambda: writer.recorder._event < 0 and failures, "the failure")
    writer.end()
    assert len(failures) == 1 and "lpds/stop was called" in failures[0] and "FileExistsError" in failures[0]
    assert not files and writer.path == ""


def test_a_full_disk_leaves_nothing_behind(writer, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    writer, failures, files = writer()
    monkeypatch.setattr("os.fsync", full)
    FlyingCell(recorder=writer.recorder).fly()
    wait_for(lambda: failures, "the failure")
    assert "No space left" in failures[0] and flights(tmp_path / "flight") == []
    monkeypatch.undo()
    FlyingCell(recorder=writer.recorder).fly()
    wait_for(lambda: files, "a file, with room again")
    assert flights(tmp_path / "flight") == [files[0].name]
