"""`lpds replay` of recordings of the simulation with the committed prior: what it shows, and its exit code."""

import io
from dataclasses import replace

import numpy as np
import pytest
from flying import FlyingCell, altered
from steering_fakes import random_actor

pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
from lpds_ros.cli import main  # noqa: E402
from lpds_ros.prior.bundle import load_bundle  # noqa: E402
from lpds_ros.prior.session import DecoderSession  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402
from lpds_ros.rollout import Rollout, make_core  # noqa: E402
from lpds_ros.steering.flight import FlightRecorder  # noqa: E402
from lpds_ros.steering.flight_file import Circumstances, read_flight, write_flight  # noqa: E402
from lpds_ros.steering.flight_writer import SUFFIX  # noqa: E402
from lpds_ros.steering.params import SteeringParams  # noqa: E402


def record(bundle, folder, *, window_s=1.5, candidates=1):
    """A steered episode in simulation that is stopped at its tick 50; its file in a run folder."""
    contract, params = bundle.contract, SteeringParams(candidates=candidates)
    noises = params.noises(contract.horizons.delay)
    actor = replace(random_actor(contract, version=3), prior_digest=bundle.digest)
    core = make_core(contract, DecoderSession(bundle, "cpu", batch=noises), seed=1, actor=actor, params=params)
    recorder = FlightRecorder(contract.period_s, window_s, 0.0)
    tick = core.tick

    def noted(observation, operator=None):
        result = tick(observation, operator)
        recorder.note(observation, operator, result, core.trace())
        if core.episode_tick == 50:
            core.stop("enough of it")
        return result

    core.tick = noted
    for _ in Rollout(contract, core).episode(0, 5):
        pass
    (folder / "flight").mkdir(parents=True)
    path = folder / "flight" / f"20260102-030405{SUFFIX}"
    around = Circumstances(contract, params, "session", 1, str(bundle.path), bundle.digest, "cpu", "fp32")
    write_flight(path, recorder.take(), around, "2026-01-02T03:04:05+00:00")
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    record(load_bundle(resource("models/lift")), folder)
    return folder


@pytest.fixture
def path(run_folder, tmp_path):
    """A copy of the recording."""
    (original,) = (run_folder / "flight").iterdir()
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes())
    return copy


def replayed(capsys, *words):
    """(exit code, what was printed)."""
    capsys.readouterr()
    code = main(["replay", *map(str, words)])
    found = capsys.readouterr()
    return code, found.out + found.err


def test_a_run_folders_newest_recording_is_shown_and_computed_again(run_folder, capsys):
    code, out = replayed(capsys, run_folder)
    assert code == 0, out
    assert "STOP: enough of it" in out and "tick 50 of episode 0 (seed 5)" in out and "weights of versions 3" in out
    recording, _, _ = read_flight(next((run_folder / "flight").iterdir()))
    assert f"commands          {len(recording.entries)} of {len(recording.entries)} equal bit for bit" in out
    lines = out.splitlines()
    assert [line.split()[1] for line in lines if line.endswith("◄")] == ["+0.00"]
    assert sum(" RUN   steered " in line for line in lines) == 12


def test_one_tick_whole_steps_and_a_picture(path, capsys, monkeypatch, tmp_path):
    code, out = replayed(capsys, path, "--tick", 25)
    assert code == 0 and "from row 0, ‖Δ‖ 1.0000" in out and out.count("  target ") == 5 and "joints" in out
    code, out = replayed(capsys, path, "--tick", 99)
    assert code == 2 and "ticks 0 to 30" in out
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\nq\n"))
    code, out = replayed(capsys, path, "--step")
    assert code == 0 and out.count("  asked ") == 3
    code, _ = replayed(capsys, path, "--plot", tmp_path / "it.png")
    assert code == 0 and (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("column, at", [("chunk.rows", (0, 7, 2)), ("targets.position", (12, 0, 0)), ("chunk.delta", (1, 1, 1))])
def test_a_number_that_is_another_is_an_exit_code_and_a_line(path, capsys, column, at):
    def nudge(_, columns):
        columns[column][at] = np.nextafter(columns[column][at], columns[column].dtype.type(2))

    code, out = replayed(capsys, altered(path, nudge))
    assert code == 1 and "off by" in out, out


def test_the_bundle_is_found_by_its_digest_and_no_other_is_taken(path, capsys, tiny_bundle):
    moved = altered(path, lambda header, columns: header.update(bundle="/nowhere/lift"))
    code, out = replayed(capsys, moved)
    assert code == 0, out
    code, out = replayed(capsys, path, "--bundle", tiny_bundle.path)
    assert code == 2 and tiny_bundle.digest[:12] in out and "give that one" in out


def test_without_its_bundle_the_rest_is_computed_and_the_code_is_not_0(tiny_bundle, tmp_path, capsys):
    path = record(tiny_bundle, tmp_path)
    code, out = replayed(capsys, path)
    assert code == 0, out
    code, out = replayed(capsys, altered(path, lambda header, columns: header.update(bundle=str(tmp_path))))
    assert code == 1 and "no bundle of digest" in out and "commands" in out and "off by" not in out


def test_an_operators_recording_needs_no_bundle(tmp_path, capsys):
    cell = FlyingCell(decoder=None)
    for _ in range(12):
        cell.step(cell.operator((0.2, 0.0, -0.1, 0.0)))
    path = tmp_path / f"it{SUFFIX}"
    write_flight(path, cell.stopped(ticks=0), cell.around, "now")
    code, out = replayed(capsys, path)
    assert code == 0 and "12 of 12" in out and "no prior" in out and "decoded" not in out, out


def test_chunks_decoded_ahead_from_several_noises_come_out_the_same(delayed_bundle, tmp_path, capsys):
    code, out = replayed(capsys, record(delayed_bundle, tmp_path, candidates=4))
    assert code == 0, out


def test_a_folder_without_recordings_and_a_damaged_file_are_refused(path, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out = replayed(capsys, tmp_path / "empty")
    assert code == 2 and "no recording" in out
    path.write_bytes(path.read_bytes()[:-9])
    code, out = replayed(capsys, path)
    assert code == 2 and "not a whole recording" in out and len(out.splitlines()) == 1
