"""The commands around a run, as far as they need no processes: arguments of the demo, of a resumed run, the picture."""

import argparse
import math

import pytest
from test_bringup_summary import make_run
from test_learner_worker import make_decision, make_episode

from lpds_ros.arguments import LaunchError, parse, typed
from lpds_ros.bringup import plan
from lpds_ros.cli import main
from lpds_ros.commands import demo, demos_collect, plot
from lpds_ros.data.rollout_log import RolloutLogWriter
from lpds_ros.records import Source
from lpds_ros.run_folder import open_run


def options(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_demo_is_a_lockstep_simulation_and_words_win_over_options_over_the_file():
    arguments = parse(demo.launch_words(options(demo)))
    assert (arguments.robot, arguments.clock, arguments.task) == ("sim", "lockstep", "lift") and arguments.episodes > 0
    arguments = parse(demo.launch_words(options(demo, "--episodes", "7", "--seed", "3", "seed:=4", "clock:=realtime")))
    assert (arguments.episodes, arguments.seed, arguments.clock) == (7, 4, "realtime")


def test_a_resumed_run_keeps_its_arguments_and_counts_on(tmp_path, tiny_bundle):
    run = tmp_path / "run"
    first = typed({"prior": str(tiny_bundle.path), "seed": "5", "target_hz": "50", "run_dir": str(run)})
    open_run(plan(first))
    make_run(run / "episodes.csv", episodes=12)
    again = parse(demo.launch_words(options(demo, "--resume", str(run), "--episodes", "4")))
    assert (again.seed, again.target_hz, again.prior) == (5, 50.0, first.prior)
    assert (again.run_dir, again.first_episode, again.episodes) == (str(run), 12, 4)
    with pytest.raises(LaunchError, match="no run folder"):
        demo.launch_words(options(demo, "--resume", str(tmp_path)))


def test_collecting_demos_needs_no_prior_and_waits_for_no_wall_clock():
    arguments = parse(demos_collect.launch_words(options(demos_collect, "--out", "d.hdf5", "--episodes", "9")))
    assert (arguments.prior, arguments.teleop, arguments.learner) == ("none", "scripted", False)
    assert arguments.clock == "lockstep"
    assert arguments.region == "demo" and arguments.episodes == 9
    by_hand = parse(demos_collect.launch_words(options(demos_collect, "--out", "d.hdf5", "--teleop", "gamepad")))
    assert by_hand.clock == "realtime"
    assert not by_hand.record_streams
    seeing = options(demos_collect, "--out", "d.hdf5", "--contract", "lift_images", "--teleop", "keyboard")
    assert parse(demos_collect.launch_words(seeing)).record_streams, "the rollout log has no place for pictures"


def test_an_existing_demo_file_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "d.hdf5").write_bytes(b"precious")
    assert main(["demos", "collect", "--out", str(tmp_path / "d.hdf5")]) == 2
    assert "exists" in capsys.readouterr().err and (tmp_path / "d.hdf5").read_bytes() == b"precious"


def test_a_picture_is_drawn_from_the_table_or_from_the_log(tmp_path, tiny_bundle, capsys):
    (tmp_path / "a").mkdir()
    make_run(tmp_path / "a" / "episodes.csv")
    assert main(["plot", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "curve.png").exists()
    with RolloutLogWriter(tmp_path / "b" / "rollouts.mcap", tiny_bundle.contract) as log:
        delta = make_decision(tiny_bundle, 0).noise
        log.write_decision(make_decision(tiny_bundle, 0, source=Source.STEERED, delta=delta, weights_version=1))
        log.write_episode(make_episode(decisions=1))
    (row,) = plot.rows_from_log(tmp_path / "b")
    assert row.delta_sq == pytest.approx(float((delta**2).mean())) and math.isnan(row.alpha)
    assert main(["plot", str(tmp_path / "b"), "--out", str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "b.png").exists()
    assert main(["plot", str(tmp_path / "nowhere")]) == 2
