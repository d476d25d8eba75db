"""A minute of each suite that is installed, from the command line to the picture."""

import dataclasses
import json

import numpy as np
import pytest
from bench_fixtures import PRIOR, small_task

from lpds_ros import cli
from lpds_ros.bench import task as task_module
from lpds_ros.bench.ars import ArsConfig, search
from lpds_ros.bench.demonstrations import read_demonstrations

PNG = b"\x89PNG"


@pytest.fixture
def small(monkeypatch):
    """Every suite's tasks with the small task's budget, networks and prior, and Hopper's short searches."""
    found = task_module.suite_tasks

    def shrunk(suite):
        kept = ("prior", "budget", "learner", "envs", "curve_points", "curve_episodes", "final_episodes")
        changes = {name: getattr(small_task(), name) for name in kept}
        return {name: dataclasses.replace(task, **changes) for name, task in found(suite).items()}

    monkeypatch.setattr(task_module, "suite_tasks", shrunk)


def rows_of(root):
    return [json.loads(line) for line in (root / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("suite", ["toy", "avoiding"])
def test_a_planar_suite_from_run_to_picture(suite, small, tmp_path, capsys):
    run = ["bench", "run", "--suite", suite, "--root", str(tmp_path), "--method", "prior", "lpds", "dsrl-na-hard"]
    assert cli.main(run) == 0
    rows = rows_of(tmp_path)
    assert [row["method"] for row in rows] == ["prior", "lpds", "dsrl-na-hard"]
    assert all(row["environment_steps"] >= 600 for row in rows[1:]) and rows[0]["final"]["modes"]
    capsys.readouterr()
    assert cli.main(run) == 0
    said = capsys.readouterr().out
    assert said.count("done already") == 3 and len(rows_of(tmp_path)) == 3
    results = ["--results", str(tmp_path / "results.jsonl")]
    assert cli.main(["bench", "table", *results]) == 0
    table = capsys.readouterr().out
    assert "| `dsrl-na-hard` | 1 |" in table and "of 4" in table or "of 24" in table
    assert cli.main(["bench", "plot", *results]) == 0
    pictures = [tmp_path / "pictures" / name for name in (f"{suite}.png", f"{suite}-{rows[0]['task']}-paths.png")]
    assert all(picture.read_bytes().startswith(PNG) for picture in pictures)


def test_a_changed_setting_is_told_and_not_run_again(small, tmp_path, capsys):
    run = ["bench", "run", "--suite", "toy", "--root", str(tmp_path), "--method", "lpds"]
    assert cli.main([*run, "--budget", "200"]) == 0
    capsys.readouterr()
    assert cli.main([*run, "--budget", "300"]) == 0
    assert "budget 200 -> 300" in capsys.readouterr().out and len(rows_of(tmp_path)) == 1
    assert cli.main([*run, "--budget", "300", "--again"]) == 0
    assert [row["setting"]["budget"] for row in rows_of(tmp_path)] == [200, 300]


def test_rows_of_another_kind_of_prior_stay_apart(small, tmp_path):
    run = ["bench", "run", "--suite", "avoiding", "--root", str(tmp_path), "--method", "prior", "--seeds", "3", "4"]
    assert cli.main(run) == 0 and cli.main([*run, "--prior-kind", "flow"]) == 0
    assert [(row["task"], row["prior_config"]["kind"], row["seed"]) for row in rows_of(tmp_path)] == [
        ("avoiding", "diffusion", 0),  # one row: nothing of a prior depends on the seed
        ("avoiding-flow", "flow", 0),
    ]


def test_refusals_are_one_line(tmp_path, capsys):
    assert cli.main(["bench", "run", "--suite", "toyy"]) == 2
    assert "did you mean 'toy'" in capsys.readouterr().err
    assert cli.main(["bench", "run", "--suite", "toy", "--method", "dsrl", "--root", str(tmp_path)]) == 2
    assert "no method 'dsrl'" in capsys.readouterr().err
    assert cli.main(["bench", "table", "--results", str(tmp_path / "none.jsonl")]) == 2
    assert "make some with `lpds bench run`" in capsys.readouterr().err
    assert cli.main(["bench", "run", "--suite", "gym", "--task", "Hopper", "--root", str(tmp_path)]) == 2
    assert "lpds bench demos --suite gym --task Hopper" in capsys.readouterr().err


def test_the_list_shows_tasks_and_methods(capsys):
    assert cli.main(["bench", "run", "--suite", "gym", "--list"]) == 0
    said = capsys.readouterr().out
    assert "gym/Walker2d: observation 17, action 6" in said and "dsrl-na-hard" in said


def test_gym_from_the_search_to_the_row(small, tmp_path, capsys, monkeypatch):
    pytest.importorskip("gymnasium", reason="needs the bench extra: pip install 'lpds_ros[bench]'")
    from lpds_ros.bench.suites import gym

    monkeypatch.setitem(gym.SEARCHES, "Hopper", ArsConfig("Hopper-v5", 2, 1, 0.02, 0.03, 2))
    monkeypatch.setitem(gym.STRENGTHS, "Hopper", (0.0, 1.0))
    demos = ["bench", "demos", "--suite", "gym", "--task", "Hopper", "--root", str(tmp_path), "--episodes", "3", "--jobs", "1"]
    assert cli.main(demos) == 0
    found = read_demonstrations(tmp_path / "demos/gym/Hopper/demos.npz", "x")
    assert len(found) == 3 and found[0].observations.shape[1] == 11 and np.abs(found[0].actions).max() <= 1.0
    assert cli.main(demos) == 0
    assert "already" in capsys.readouterr().out
    run = ["bench", "run", "--suite", "gym", "--task", "Hopper", "--root", str(tmp_path), "--method", "prior", "lpds"]
    assert cli.main(run) == 0
    rows = rows_of(tmp_path)
    assert rows[1]["measure"] == "return" and rows[1]["versions"]["mujoco"] and rows[1]["final"]["return"] > 0
    assert rows[1]["environment_steps"] >= 600


def test_the_search_learns_and_resumes(tmp_path):
    pytest.importorskip("gymnasium", reason="needs the bench extra: pip install 'lpds_ros[bench]'")
    config = ArsConfig("InvertedPendulum-v5", 4, 2, 0.03, 0.1, 20)
    straight = search(config, tmp_path / "a")
    assert straight.history[-1][1] > 30  # upright for longer than by chance, about 5 steps
    asked = iter([False] * 10 + [True] * 9)
    assert search(config, tmp_path / "b", should_stop=lambda: next(asked)).iteration == 10
    resumed = search(config, tmp_path / "b")
    assert np.array_equal(straight.matrix, resumed.matrix) and straight.history == resumed.history


def test_the_small_prior_is_the_one_of_the_fixtures(small):
    assert task_module.find_tasks("avoiding", None)[0].prior == PRIOR
