"""A run from the first step to its row: steps counted from zero, interrupt and resume, provenance, refusals."""

import dataclasses
import json

import numpy as np
import pytest
from bench_fixtures import small_task

from lpds_ros.bench import results
from lpds_ros.bench.demonstrations import read_demonstrations, save_demonstrations
from lpds_ros.bench.evaluate import Probe, evaluate
from lpds_ros.bench.methods import METHODS, Frozen, configure, make_method
from lpds_ros.bench.priors import load_prior, transitions_of
from lpds_ros.bench.results import differences, learns
from lpds_ros.bench.run import Plan, Run
from lpds_ros.bench.task import BenchError, find_tasks
from lpds_ros.learning.lpds import Learner


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    return load_prior(small_task(), tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def probe(prior):
    return Probe(prior, episodes=4)


def make(prior, probe, folder, method="lpds", seed=0, budget=600, **named) -> Run:
    return Run(Plan(prior.task, method, seed, budget), prior, probe, folder / "run", **named)


def test_every_method_makes_a_row(prior, probe, tmp_path):
    for method in METHODS:
        row = make(prior, probe, tmp_path, method, budget=300).run()
        assert row["method"] == method and len(row["episodes"]["success"]) == 6
        assert (row["updates"] > 0) == learns(method)
        results.append(tmp_path / "rows.jsonl", row)
    assert len(results.read(tmp_path / "rows.jsonl")) == len(METHODS)


def test_steps_are_counted_from_the_first_of_the_warm_up(prior, probe, tmp_path):
    counted = []
    it = make(prior, probe, tmp_path, on_steps=counted.append)
    worlds, made = prior.task.worlds, []

    def counting(count):
        found = worlds(count)
        step = found.step
        found.step = lambda actions, live: made.append(int(live.sum())) or step(actions, live)
        return found

    it.task = dataclasses.replace(prior.task, worlds=counting, curve_points=0)
    it._learn(lambda: False, 0.0, 0.0)
    assert it.state.steps == sum(made) == counted[-1]
    assert it.state.decisions == it.method.learner.replay.total == 4 * len(counted)
    assert counted[0] == 16 and 600 <= it.state.steps < 600 + 16


def test_the_row_says_where_it_came_from(prior, probe, tmp_path):
    row = make(prior, probe, tmp_path).run()
    assert row["environment_steps"] >= 600 and row["resumed"] == 0 and row["cpu_s"] > 0
    assert row["versions"]["numpy"] == np.__version__ and row["setting"]["learner"]["gamma"] == 0.95
    assert row["setting"]["prior"] == prior.digest and len(row["curve"]) == 4
    assert [p["steps"] for p in row["curve"]] == sorted(p["steps"] for p in row["curve"])
    assert row["curve"][0]["steps"] == 0 and row["curve"][0]["delta_sq_mean"] == 0.0
    json.dumps(row, allow_nan=False)


def test_equal_seeds_make_equal_rows(prior, probe, tmp_path):
    first, again, other = (make(prior, probe, tmp_path, seed=seed).run() for seed in (3, 3, 4))
    assert first["curve"][-1]["metrics"] == again["curve"][-1]["metrics"] != other["curve"][-1]["metrics"]
    assert first["episodes"] == again["episodes"]


@pytest.mark.parametrize("method", ["lpds", "dsrl-na"])
def test_an_interrupted_run_goes_on(prior, probe, tmp_path, method):
    asked = iter([False] * 30 + [True] * 1000)
    first = make(prior, probe, tmp_path, method)
    assert first.run(lambda: next(asked)) is None
    assert 0 < first.state.steps < 600
    second = make(prior, probe, tmp_path, method)
    assert second.state.steps == first.state.steps and second.state.resumed == 1
    assert second.method.learner.replay.total == first.state.decisions
    assert second.method.learner.updates == first.method.learner.updates
    row = second.run()
    assert row["environment_steps"] >= 600 and row["resumed"] == 1 and len(row["curve"]) == 4
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_other_settings_is_refused(prior, probe, tmp_path):
    make(prior, probe, tmp_path).run(lambda: True)
    with pytest.raises(BenchError, match=r"learner\.gamma 0\.95 -> 0\.5.*remove the folder"):
        make(dataclasses.replace(prior, task=small_task(learner=prior.task.learner | {"gamma": 0.5})), probe, tmp_path)
    assert differences({"a": {"b": 1}}, {"a": {"b": 2}}) == ["a.b 1 -> 2"]


def test_the_harness_runs_the_nodes_own_learner(prior):
    config = configure("lpds:delta=0.25", prior.task)
    method = make_method("lpds:delta=0.25", prior, config, 0)
    assert type(method.learner) is Learner and method.learner.config.delta == 0.25
    state, noise = np.zeros((3, 2), np.float32), np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
    assert np.array_equal(method.choose(state, noise).chunk, Frozen(prior).choose(state, noise).chunk)  # version 0


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("lpsd", "did you mean 'lpds'"),
        ("lpds:detla=1", "did you mean 'delta'"),
        ("lpds:delta=x", "delta: expected float, got 'x'"),
        ("dsrl-na:n_step=0", "n_step must be at least 1, got 0"),
        ("lpds:delta=-1", "delta must be positive"),
        ("lpds:lagrangian=maybe", "lagrangian: expected bool, got 'maybe'"),
        ("lpds:precision=bf16", "'bf16' is not one of float32, bfloat16"),
        ("dppo:trained_steps=-1", "must not be negative"),
        ("lpds:delta", "field=value"),
        ("prior:delta=1", "no hyperparameters"),
    ],
)
def test_a_misspelt_method_is_told(method, text, prior):
    with pytest.raises(BenchError, match=text):
        configure(method, prior.task)


def test_published_dsrl_bootstraps_after_one_decision_whatever_the_task_says(prior):
    task = dataclasses.replace(prior.task, learner=prior.task.learner | {"n_step": 5})
    methods = ("lpds", "dsrl-na-hard", "dsrl-na", "dsrl-na:n_step=3")
    assert [configure(name, task).n_step for name in methods] == [5, 5, 1, 3]


def test_unknown_suites_and_tasks_are_told():
    with pytest.raises(BenchError, match="did you mean 'avoiding'"):
        find_tasks("avoidin", None)
    with pytest.raises(BenchError, match="did you mean 'four-goals'"):
        find_tasks("toy", ["four-goal"])


def test_evaluation_does_not_depend_on_the_method_before(prior):
    first = evaluate(prior.task, Frozen(prior), 7)
    again = evaluate(prior.task, Frozen(prior), 7)
    assert np.array_equal(first.returns, again.returns) and len(first.success) == 7
    assert first.latent_norm == pytest.approx(np.sqrt(8), rel=0.15)


def test_the_probe_finds_no_distance_from_the_prior_to_itself(prior, probe):
    spread = probe.measure(Frozen(prior))
    assert abs(spread.energy) < 1e-3
    config = configure("lpds", prior.task)
    moved = make_method("lpds", prior, config, 0)
    moved.learner.published_actor.layers[-1].bias.data.fill_(1.0)
    assert probe.measure(moved).energy > 0.01


def test_demonstrations_survive_the_disk_and_become_decisions(prior, tmp_path):
    demos = list(prior.demonstrations[:9])
    save_demonstrations(tmp_path / "demos.npz", demos)
    back = read_demonstrations(tmp_path / "demos.npz", "x")
    assert [demo.digest for demo in back] == [demo.digest for demo in demos]
    found = transitions_of(demos, prior.task)
    assert len(found.reward) == sum(-(-len(demo) // 4) for demo in demos)
    assert found.terminated.sum() == sum(demo.success for demo in demos)
    assert found.reward.sum() == pytest.approx(sum(demo.rewards.sum() for demo in demos))
    with pytest.raises(BenchError, match="make them with `this`"):
        read_demonstrations(tmp_path / "none.npz", "this")
    (tmp_path / "demos.npz").write_bytes(b"PK broken")
    with pytest.raises(BenchError, match="make it again"):
        read_demonstrations(tmp_path / "demos.npz", "this")


def test_a_benchmarks_prior_is_no_bundle(prior, tmp_path_factory, tmp_path):
    pytest.importorskip("onnx")
    from lpds_ros.prior.config import PriorError
    from lpds_ros.prior.export import export

    root = tmp_path_factory.mktemp("export")
    again = load_prior(small_task(), root)
    assert again.digest == prior.digest  # the same demonstrations and seed train the same prior
    (folder,) = root.glob("priors/*/")
    with pytest.raises(PriorError, match="needs a robot's contract"):
        export(folder, tmp_path / "bundle")


def test_rows_survive_a_killed_writer(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"schema": 1, "suite": "s", "task": "t", "method": "m", "seed": 0}
    results.append(path, row)
    path.write_bytes(path.read_bytes() + b'{"schema":1,"su')
    results.append(path, row | {"seed": 1})
    assert [r["seed"] for r in results.read(path)] == [0, 1]
    path.write_text('{"schema": 99}\n')
    with pytest.raises(BenchError, match="schema 1"):
        results.read(path)


def test_the_best_version_is_kept_by_training_alone_and_survives_an_interruption(prior, probe, tmp_path):
    run = make(prior, probe, tmp_path)
    keeper, bias = run._keeper, run.method.learner.published_actor.layers[-1].bias.data
    keeper.ended(np.repeat([1.0, 0.0], 20), 100)
    bias.fill_(0.5)
    keeper.ended(np.ones(39), 200)
    assert (keeper.score, keeper.steps) == (0.5, 100)  # the window is not full
    keeper.ended(np.ones(1), 201)
    bias.fill_(9.0)
    keeper.ended(np.zeros(40), 300)
    assert (keeper.score, keeper.steps) == (1.0, 201)
    run._save(0.0, 0.0)
    again = make(prior, probe, tmp_path)
    for one in (run, again):
        with one._keeper.restored():
            assert (one.method.learner.published_actor.layers[-1].bias == 0.5).all()
        assert (one.method.learner.published_actor.layers[-1].bias == 9.0).all()
    assert (again._keeper.score, again._keeper.steps, again._keeper.recent) == (1.0, 201, [])


def test_a_row_has_the_last_version_and_the_one_kept(prior, probe, tmp_path):
    for method in ("lpds", "dsrl-na", "dppo"):
        row = make(prior, probe, tmp_path, method, budget=2400).run()
        assert len(row["kept"]["episodes"]["success"]) == len(row["episodes"]["success"]) == 6
        assert 0 < row["kept"]["steps"] <= row["environment_steps"]
    assert "kept" not in make(prior, probe, tmp_path, "prior").run()
