"""RoboMimic's tasks on robosuite: sizes, seeds, time, and experts that solve them. Skipped where robosuite is not installed."""

import importlib.util
import sys

import numpy as np
import pytest

from lpds_ros.bench import robosuite_worlds
from lpds_ros.bench.robosuite_collect import attempt
from lpds_ros.bench.robosuite_experts import EXPERTS
from lpds_ros.bench.robosuite_worlds import SCENES, Pool, RobosuiteWorlds, Simulation
from lpds_ros.bench.suites import robomimic
from lpds_ros.bench.task import BenchError
from lpds_ros.bench.worlds import run_chunk

installed = pytest.mark.skipif(
    importlib.util.find_spec("robosuite") is None, reason=f"needs robosuite: {robosuite_worlds.INSTALL}"
)
TASKS = {task.name: task for task in robomimic.tasks()}


@pytest.fixture(scope="module")
def simulations():
    """One simulation of each scene for the whole module, built when first asked for."""
    pools = {name: Pool(scene) for name, scene in SCENES.items()}

    def get(name):
        simulation = pools[name].take()
        pools[name].give(simulation)
        return simulation

    return get


def test_a_missing_robosuite_is_named_with_its_line(monkeypatch, tmp_path):
    monkeypatch.setattr(robosuite_worlds, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match=r"pip install --no-deps robosuite==1\.5\.2"):
        TASKS["Lift"].make_demonstrations(tmp_path, jobs=1)
    with pytest.raises(BenchError, match="install it with"):
        TASKS["Lift"].worlds(1).reset(0, 0)


def test_what_robosuite_lacks_is_named_with_its_line(monkeypatch):
    monkeypatch.setattr(robosuite_worlds, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "robosuite", None)
    with pytest.raises(BenchError, match="robosuite cannot be imported .*install it anew with: pip"):
        robosuite_worlds.import_robosuite()


def test_absent_demonstrations_say_how_to_make_them(tmp_path):
    with pytest.raises(BenchError, match="lpds bench demos --suite robomimic --task Square"):
        TASKS["Square"].demonstrations(tmp_path)


@installed
@pytest.mark.parametrize("name", SCENES)
def test_sizes_are_those_of_the_published_tasks(simulations, name):
    scene = SCENES[name]
    assert (scene.observation_size, scene.action_size) == {
        "Lift": (19, 7), "Can": (23, 7), "Square": (23, 7), "Transport": (59, 14)
    }[name]  # fmt: skip
    first = simulations(name).reset(3)
    second, solved = simulations(name).step(np.zeros(scene.action_size, np.float32))
    assert first.dtype == np.float32 and first.shape == second.shape == (scene.observation_size,) and not solved
    # robosuite leaves poses relative to the hand at zero until the first step
    assert np.abs(first - second).max() < 0.05


@installed
def test_equal_seeds_start_equal_episodes_whatever_came_before(simulations):
    old, new = simulations("Can"), Simulation(SCENES["Can"])
    for _ in range(5):
        old.step(np.ones(7, np.float32))
    actions = np.random.default_rng(0).uniform(-1, 1, (8, 7)).astype(np.float32)
    starts = [simulation.reset(11) for simulation in (old, new)]
    assert np.array_equal(*starts)
    for action in actions:
        assert np.array_equal(old.step(action)[0], new.step(action)[0])
    assert not np.array_equal(starts[0], old.reset(12))
    new.close()


@installed
@pytest.mark.parametrize("name", ["Lift", "Transport"])
def test_the_fast_control_period_is_robosuites_own(name):
    fast, slow = (Simulation(SCENES[name]) for _ in range(2))
    actions = np.random.default_rng(1).uniform(-1, 1, (10, SCENES[name].action_size))
    for simulation in (fast, slow):
        simulation.reset(4)
    for action in actions:
        fast.step(action)
        slow._env.step(action)
    for kind in ("qpos", "qvel", "ctrl"):
        np.testing.assert_allclose(getattr(fast._env.sim.data, kind), getattr(slow._env.sim.data, kind), atol=1e-9)
    fast.close()
    slow.close()


@installed
@pytest.mark.parametrize("name", EXPERTS)
def test_experts_solve_their_tasks_in_time(simulations, name):
    demo = attempt(simulations(name), name, EXPERTS[name].traits, seed=20_001)
    assert demo.success and demo.rewards.sum() == 1.0
    assert len(demo) < {"Lift": 80, "Can": 260, "Square": 320, "Transport": 600}[name]
    assert np.abs(demo.actions).max() <= 1.0
    assert all(len(set(gripper)) == 2 for gripper in demo.actions[:, 6::7].T)


@installed
def test_worlds_count_time_and_end_on_success(simulations):
    demo = attempt(simulations("Lift"), "Lift", EXPERTS["Lift"].traits, seed=5)
    worlds = RobosuiteWorlds(Pool(SCENES["Lift"]), 2)
    for i in range(2):
        worlds.reset(i, 5)
    assert np.array_equal(*worlds.observe())
    chunk = np.stack([demo.actions, np.zeros_like(demo.actions)])
    chunk = np.concatenate([chunk, np.zeros((2, 300 - len(demo), 7), np.float32)], axis=1)
    outcome = run_chunk(worlds, chunk)
    assert outcome.success.tolist() == outcome.terminated.tolist() == [True, False]
    assert outcome.truncated.tolist() == [False, True]
    assert outcome.steps.tolist() == [len(demo), 300] and outcome.reward.tolist() == [1.0, 0.0]
    worlds.close()


@installed
def test_collections_are_stopped_and_go_on(tmp_path):
    task, told = TASKS["Lift"], []
    parts = tmp_path / "a" / "episodes"

    def make(folder, stop=lambda: False, jobs=1):
        return task.make_demonstrations(folder, jobs=jobs, episodes=3, on_progress=told.append, should_stop=stop)

    assert not make(tmp_path / "a", stop=lambda: bool(list(parts.glob("*.npz"))))
    assert list(parts.glob("*.npz")) and not (tmp_path / "a" / "demos.npz").exists()
    assert make(tmp_path / "a") and "3 episodes" in told[-1]
    demos = task.demonstrations(tmp_path / "a")
    assert len(demos) == 3 and all(demo.success for demo in demos)
    simulation = Simulation(SCENES["Lift"])
    again = attempt(simulation, "Lift", EXPERTS["Lift"].traits, demos[2].seed)
    simulation.close()
    assert again.digest == demos[2].digest
