"""Intervals, interquartile means and the tables made of them."""

import numpy as np
import pytest

from lpds_ros.bench.statistics import aggregate, interquartile_mean, mean_of, steps_to
from lpds_ros.bench.table import markdown


def row(method="lpds", seed=0, task="a", success=(1, 0, 1, 1), **changes):
    found = {"success": float(np.mean(success)), "entropy": -3.0, "energy": 0.1, "latent_norm": 2.0, "delta_sq_mean": None}
    values = dict(
        schema=1, suite="s", task=task, method=method, seed=seed, measure="success", reference=[0.0, 1.0],
        environment_steps=100, updates=5, cpu_s=1.0, mode_names=[], commit="c" * 40, dirty=False,
        versions={"mujoco": "3.9.0", "robosuite": None}, final=found, episodes={"success": list(success)},
        setting={"prior": "a" * 64, "budget": 100},
        curve=[{"steps": 0, "success": 0.2}, {"steps": 50, "success": 0.6}, {"steps": 100, "success": found["success"]}],
    )  # fmt: skip
    return values | changes


def test_interquartile_mean_leaves_the_ends_out():
    assert interquartile_mean([0.0, 1.0, 2.0, 1000.0]) == 1.5
    assert interquartile_mean([3.0]) == 3.0


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for trial in range(60):
        runs = [(rng.random(50) < rng.normal(0.6, 0.05)).astype(float) for _ in range(8)]
        found = mean_of(runs, seed=trial)
        held += found.low <= 0.6 <= found.high
    assert held >= 51


def test_more_seeds_make_it_narrower():
    rng = np.random.default_rng(0)
    runs = [(rng.random(50) < rng.normal(0.6, 0.1)).astype(float) for _ in range(32)]
    wide, narrow = mean_of(runs[:4]), mean_of(runs)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_the_aggregate_draws_within_tasks():
    tasks = {"easy": [np.ones(20)] * 3, "hard": [np.zeros(20)] * 3}
    found = aggregate(tasks)
    assert found.value == found.low == found.high == 0.5


def test_steps_to_a_threshold():
    assert steps_to(row(), 0.5) == 50 and steps_to(row(), 0.9) is None


def test_a_table_has_every_method_its_gain_and_its_origin():
    rows = [row("prior", success=(1, 0, 0, 0)), *(row(seed=s) for s in range(3)), row(seed=0, success=(1, 1, 1, 1))]
    text = markdown(rows)
    line = next(line for line in text.splitlines() if line.startswith("| `lpds`"))
    assert "| 3 |" in line and "0.83" in line and "+0.58" in line and "50 (3/3)" in line
    assert "mujoco 3.9.0" in text and "c" * 12 in text and "robosuite" not in text


def test_rows_that_do_not_compare_are_said_not_to():
    other = {"prior": "b" * 64, "budget": 100}
    rows = [row("prior", setting={"prior": "a" * 64, "budget": 7}), row(), row("dsrl-na", seed=2, setting=other)]
    assert "do not compare" not in markdown(rows[:2])  # the frozen prior spends no budget
    assert "their prior differs.** aaaaaaaaaaaa in `prior` 0, `lpds` 0; bbbbbbbbbbbb in `dsrl-na` 2." in markdown(rows)


def test_what_ran_on_fewer_tasks_is_named_and_not_aggregated():
    rows = [row(m, task=t) for m in ("prior", "lpds") for t in ("a", "b")] + [row("dsrl-na", task="a")]
    text = markdown(rows)
    assert "Not run on all of these tasks, so not aggregated: `dsrl-na`." in text
    assert "| `lpds` | 2 | 2 |" in text


def test_tasks_side_by_side_have_each_methods_score_and_loss_of_entropy():
    rows = [row(m, task=t) for m in ("prior", "lpds") for t in ("a", "b")]
    for r in rows[2:]:
        r["final"]["entropy"] = -5.5  # the prior's is -3
    text = markdown(rows)
    assert "| task | `prior` | `lpds` |" in text and "| a | 0.75 | 0.75 (-2.5) |" in text and "| b | 0.75 | 0.75 (-2.5) |" in text


@pytest.mark.parametrize("measure", ["return"])
def test_returns_are_scaled_by_their_reference(measure):
    changes = dict(measure="return", reference=[100.0, 300.0], episodes={"return": [200.0, 200.0]}, curve=[])
    rows = [row(m, task=t, **changes) for m in ("prior", "lpds") for t in ("a", "b")]
    for r in rows:
        r["curve"] = [{"steps": 0, "return": 100.0}, {"steps": 100, "return": 200.0}]
    text = markdown(rows)
    assert "200 (200 to 200)" in text and "0.50 (0.50 to 0.50)" in text
