"""Summary, table of episodes, views and picture of a run, on a made-up one."""

import json
import math

import numpy as np
import pytest
from rich.console import Console

from lpds_ros.plots import draw_run, rolling
from lpds_ros.records import Episode, Mode
from lpds_ros.summary import LearnerSample, RunSummary, SteeringSample, read_rows, write_summary
from lpds_ros.view import closing_lines, episode_line, live_table, remarks, trend


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def steering(mode=Mode.RUN, reason="", rejected=""):
    return SteeringSample(mode, reason, "CPUExecutionProvider", 3, rejected, 800, 1, 0.0004, 0.0012, 0.001, 0.002)


def learner(version=3, reason=""):
    return LearnerSample("learning", reason, 90, 400, 12, 95.0, version, 0.01, 0.4, 0.5, "mean")


def make_run(path=None, episodes=40):
    clock = Clock()
    summary = RunSummary(0.05, path, clock)
    for i in range(episodes):
        clock.now += 0.5
        summary.learner = learner(version=0 if i < 10 else 3)
        summary.steering = steering()
        summary.add_episode(
            Episode("s", i, 1_000_000 + i, 0, i % 2 == 0 or i >= 20, 1.0, 100, 13, "success", 0 if i < 10 else i // 10)
        )
    return summary


def test_figures_of_a_run():
    summary = make_run()
    result = summary.result("all episodes done")
    assert result["success"]["first"] == 0.5 and result["success"]["last"] == 1.0 and result["success"]["all"] == 0.75
    assert result["success"]["under_prior"] == {"episodes": 10, "rate": 0.5}
    assert result["first_steered_episode"] == {"number": 11, "wall_s": 5.5}
    assert result["simulated_s"] == 200.0 and result["simulated_s_per_wall_s"] == 10.0
    assert summary.sim_per_wall == pytest.approx(10.0)
    assert result["weights_version"] == 3 and result["steering"]["missed_deadlines"] == 1


def test_a_run_without_an_episode_has_a_summary_too(tmp_path):
    result = RunSummary(0.05).result("steering failed with exit code 1")
    write_summary(tmp_path / "summary.json", result)
    stored = json.loads((tmp_path / "summary.json").read_text())
    assert stored["success"]["last"] is None and stored["first_steered_episode"] is None
    assert closing_lines(stored)


def test_the_table_of_episodes_reads_back_and_survives_a_cut(tmp_path):
    summary = make_run(tmp_path / "episodes.csv")
    rows = read_rows(tmp_path / "episodes.csv")
    assert [(r.episode, r.success, r.weights_version, r.reason) for r in rows] == [
        (r.episode, r.success, r.weights_version, r.reason) for r in summary.rows
    ]
    assert math.isnan(rows[0].alpha) and rows[20].alpha == 0.01
    text = (tmp_path / "episodes.csv").read_text()
    (tmp_path / "episodes.csv").write_text(text[: text.rindex(",")])
    assert len(read_rows(tmp_path / "episodes.csv")) == len(rows) - 1
    (tmp_path / "episodes.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="no table of episodes"):
        read_rows(tmp_path / "episodes.csv")


def test_a_run_that_is_gone_on_with_counts_on():
    earlier = tuple(make_run().rows)
    clock = Clock()
    summary = RunSummary(0.05, None, clock, earlier)
    clock.now += 1.0
    row = summary.add_episode(Episode("t", 0, 1_000_040, 0, True, 1.0, 100, 13, "success", 5))
    assert row.wall_s == 21.0 and len(summary.rows) == 41
    assert summary.result("done")["simulated_s"] == 205.0


def test_rolling_mean_starts_with_what_there_is():
    assert rolling([1, 0, 1, 1], 2) == pytest.approx([1, 0.5, 0.5, 1])
    assert rolling([]).size == 0


@pytest.mark.parametrize("episodes", [0, 1, 40])
def test_the_picture_is_drawn_for_long_and_short_runs(tmp_path, episodes):
    draw_run(make_run(episodes=episodes).rows, tmp_path / "curve.png", title="lift", prior_success=0.46)
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def render(summary, **options):
    console = Console(width=110, record=True, file=open("/dev/null", "w"))
    console.print(live_table(summary, **({"title": "lpds demo", "episodes": 300, "prior_success": None} | options)))
    return console.export_text()


def test_the_live_view_shows_what_the_issue_asks_for():
    text = render(make_run(), prior_success=0.46)
    for shown in (
        "40 of 300",
        "100 % of the last 20",
        "frozen prior, fixed seeds: 46 %",
        "version 3",
        "α 0.0100",
        "E‖Δ‖² 0.400 of δ 0.500",
        "p50 0.40 ms, p99 1.20 ms",
        "1 missed deadlines",
        "10.0 simulated",
        "95 a second, 12 owed",
    ):
        assert shown in text, shown
    assert "starting" in render(RunSummary(0.05))


def test_what_keeps_the_arm_still_is_said():
    summary = make_run()
    summary.steering = steering(Mode.HOLD, "stream 'object' is missing", "version 4 holds NaN")
    summary.learner = learner(reason="another prior")
    assert remarks(summary) == [
        "HOLD: stream 'object' is missing",
        "weights refused: version 4 holds NaN",
        "learner learning: another prior",
    ]


def test_one_line_per_episode_and_the_trend():
    summary = make_run()
    assert episode_line(summary, 39).startswith("episode 40: success, 100 ticks; last 20: 100 %; version 3")
    assert trend(summary)[-1] == "█" and len(trend(summary)) == 8
    assert np.all([c in "▁▂▃▄▅▆▇█" for c in trend(summary)])
