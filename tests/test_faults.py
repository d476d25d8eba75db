"""The fault campaign: every case that needs no processes, and the campaign's own judgement."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup` or source an installation")

from lpds_ros.data.rollout_log import RolloutLogWriter  # noqa: E402
from lpds_ros.faults.campaign import ALL, CampaignError, accounted, chosen, markdown, run_cases, write  # noqa: E402
from lpds_ros.faults.finding import CASES, Case, Finding, Row, carried_out  # noqa: E402
from lpds_ros.faults.kill import killed_checkpoints, killed_learners, killed_logs  # noqa: E402
from lpds_ros.faults.live import Heard  # noqa: E402
from lpds_ros.faults.samples import decisions  # noqa: E402
from lpds_ros.faults.soak import sampled, slopes  # noqa: E402
from lpds_ros.faults.standin import lift  # noqa: E402

CORE = [case for case in CASES if case.place == "core"]


@pytest.mark.parametrize("case", CORE, ids=lambda case: f"{case.fault}-{case.name}")
def test_a_fault_is_survived_as_demanded(case, tmp_path):
    finding = case.run(tmp_path)
    assert finding.ok, finding.note


def test_the_campaign_has_every_fault_of_the_list():
    assert {case.fault for case in CASES} == set(ALL)


def test_a_fault_that_is_not_in_the_list_names_the_nearest():
    with pytest.raises(CampaignError, match="did you mean 'F21'"):
        chosen(("F210",), False)
    assert {case.fault for case in chosen(("F26",), True)} == {"F26"}


def row(finding, **changes) -> Row:
    case = Case("F01", "a|b", "demand", "core", lambda folder: finding)
    return carried_out(replace(case, **changes), None)


def test_a_case_that_raises_has_failed_and_says_why():
    def run(subject):
        raise RuntimeError("no such thing")

    assert row(None, run=run).finding == Finding(False, "RuntimeError: no such thing", recovered="no")


def test_a_stack_that_does_not_start_fails_its_cases_and_the_others_go_on(tmp_path):
    seeing = [case for case in chosen(("F03",), False) if case.place in ("core", "eyes")]
    rows = list(run_cases(seeing, tmp_path, threading.Event(), ("prior:=nowhere",), lambda text: None))
    verdicts = {row.case.place: row.finding for row in rows}
    assert verdicts["core"].ok and not verdicts["eyes"].ok
    assert "did not start: LaunchError: prior:=nowhere" in verdicts["eyes"].note


def test_the_table_tells_failures_and_stand_ins(tmp_path):
    rows = [row(Finding(True, "seen", 1.4, None)), row(Finding(False, "why"), stand_in="another thing")]
    text = markdown(rows)
    assert "| F01 | a\\|b | demand | 1 | – |" in text and "**FAILED** (stand-in)" in text
    assert "*Stand-in: another thing.*" in text and "seen" in text
    write(rows, tmp_path, "lpds faults run")
    assert "Not run: F02" in (tmp_path / "faults.md").read_text() and (tmp_path / "faults.json").exists()


def test_a_decision_that_is_in_no_log_fails_its_row(tmp_path):
    made = decisions(5)
    with RolloutLogWriter(tmp_path / "rollouts.mcap", lift()) as log:
        for decision in made[:2] + made[3:]:
            log.write_decision(decision)
    good = row(Finding(True, ""))
    heard = [Heard(good.began_ns, 0, made[i].key) for i in (0, 4)]
    (found,) = accounted([good], heard, tmp_path)
    assert found.finding.lost == 1 and not found.finding.ok, "number 2 lies between, heard or not"
    (found,) = accounted([good], heard[:1], tmp_path)
    assert found.finding.lost == 0 and found.finding.ok


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    for kill in (killed_logs, killed_learners):
        result = kill(tmp_path, 3, 1)
        assert result.written > 10 and (result.lost, result.doubled, result.wrong) == (0, 0, 0)
    assert killed_checkpoints(tmp_path, 3, 1) == (3, 0)


def test_a_drift_is_told_from_scatter():
    seconds = np.arange(0.0, 1800.0, 10.0)
    scatter = np.random.default_rng(0).normal(0.0, 0.5, len(seconds))
    series = {
        "steady": {"memory": np.stack([seconds, 100.0 + scatter], 1)},
        "leaking": {"memory": np.stack([seconds, 100.0 + scatter + seconds / 3600.0 * 60.0], 1)},
    }
    verdicts = {s.node: s.steady for s in slopes(series)}
    assert verdicts == {"steady": True, "leaking": False}


def test_a_process_is_sampled_from_proc():
    before = sampled(os.getpid())
    held = [open(os.devnull) for _ in range(5)]
    after = sampled(os.getpid())
    for handle in held:
        handle.close()
    assert after["handles"] == before["handles"] + 5 and after["memory"] > 1.0 and after["threads"] >= 1.0
