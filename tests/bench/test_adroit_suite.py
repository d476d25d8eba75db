"""The Adroit suite: the environments are what the tasks say, the planners' costs point at success, the scripts reach it."""

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed (pip install 'lpds_ros[bench]')")

import mujoco  # noqa: E402

from lpds_ros.bench.mppi import MppiConfig  # noqa: E402
from lpds_ros.bench.suites import adroit, adroit_expert  # noqa: E402
from lpds_ros.bench.suites.adroit_operator import Traits  # noqa: E402
from lpds_ros.bench.task import BenchError  # noqa: E402
from lpds_ros.bench.worlds import run_chunk  # noqa: E402

TASKS = {task.name: task for task in adroit.tasks()}
SCRIPTED = [name for name, expert in adroit_expert.EXPERTS.items() if expert.source == "scripted"]


def opened(name):
    """(environment, its model, its data, the expert's cost) after a reset."""
    env = adroit.make_env(adroit.SETTINGS[name].environment, adroit.SETTINGS[name].limit)
    env.reset(seed=3)
    inner = env.unwrapped
    return env, inner.model, inner.data, getattr(adroit_expert, name)(inner.model)


@pytest.mark.parametrize("name", TASKS)
def test_the_environment_is_the_tasks(name):
    task, setting = TASKS[name], adroit.SETTINGS[name]
    env = adroit.make_env(setting.environment, setting.limit)
    assert env.observation_space.shape == (task.problem.observation_size,)
    assert env.action_space.shape == (task.problem.action_size,)
    assert (env.action_space.low == -1.0).all() and (env.action_space.high == 1.0).all()
    assert env.spec.max_episode_steps == task.limit == setting.limit <= adroit.EXPERT_LIMIT


@pytest.mark.parametrize("name", TASKS)
def test_worlds_run_chunks_and_repeat_themselves(name):
    worlds = TASKS[name].worlds(2)
    for seeds in ((5, 5), (5, 6)):
        for i, seed in enumerate(seeds):
            worlds.reset(i, seed)
        outcome = run_chunk(worlds, np.zeros((2, 4, TASKS[name].problem.action_size), np.float32))
        assert np.array_equal(*worlds.observe()) == (seeds[0] == seeds[1])
        assert outcome.steps.tolist() == [4, 4] and np.allclose(outcome.reward, -0.4) and not outcome.ended.any()
    worlds.close()


def test_success_ends_the_episode_and_pays():
    worlds = TASKS["door"].worlds(1)
    worlds.reset(0, 0)
    inner = worlds._envs[0].unwrapped
    inner.data.joint("door_hinge").qpos[0] = 1.4
    outcome = run_chunk(worlds, np.zeros((1, 4, 28), np.float32))
    assert outcome.success[0] and outcome.terminated[0] and outcome.steps[0] == 1 and outcome.reward[0] == 10.0
    worlds.close()


def test_the_pens_cost_falls_as_it_is_turned_and_rises_as_it_is_dropped():
    env, model, data, cost = opened("pen")
    lost = adroit_expert.pen_lost(model)
    start = cost(data)
    model.body("target").quat[:] = [1.0, 0.0, 0.0, 0.0]  # as the pen lies
    mujoco.mj_forward(model, data)
    turned = cost(data)
    assert turned < start and not lost(data)
    data.joint("OBJTx").qpos[0] = 0.3  # the pen's own axis, which points down
    mujoco.mj_forward(model, data)
    assert cost(data) > start + 5.0 and lost(data)


def driven(name, pace=None, tremble=0.0, seed=100):
    """(steps until success, or None; the first action intended and the one executed). pace: None for one drawn."""
    env = adroit.make_env(adroit.SETTINGS[name].environment)
    env.reset(seed=seed)
    traits = Traits(tremble=(tremble, tremble)) if pace is None else Traits((pace, pace), (tremble, tremble))
    operator = adroit_expert.EXPERTS[name].operator(env.unwrapped, traits, np.random.default_rng(seed))
    first = operator.act(env.unwrapped.data)
    info, steps = env.step(first[1])[4], 1
    while not info["success"] and steps < adroit.EXPERT_LIMIT:
        info, steps = env.step(operator.act(env.unwrapped.data)[1])[4], steps + 1
    return steps if info["success"] else None, *first


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_scripts_operator_succeeds_and_the_brisk_one_sooner(name):
    brisk, slow = driven(name, 1.0)[0], driven(name, 0.4)[0]
    assert brisk < slow - 10


def test_the_hammers_operator_drives_nails_at_every_height_though_trembling():
    steps = [driven("hammer", tremble=0.02, seed=seed)[0] for seed in range(100, 110)]
    assert steps.count(None) <= 2


def test_the_hammers_operator_reaches_again_for_a_dropped_hammer():
    env = adroit.make_env("AdroitHandHammer-v1")
    env.reset(seed=100)
    inner, expert = env.unwrapped, adroit_expert.EXPERTS["hammer"]
    operator = expert.operator(inner, Traits((1.0, 1.0), (0.0, 0.0)), np.random.default_rng(0))
    while operator.phase != "strike":
        env.step(operator.act(inner.data)[1])
    inner.data.joint("OBJTy").qpos[0] = 0.0  # its own axis, which points up: the hammer is back on the table
    mujoco.mj_forward(inner.model, inner.data)
    operator.act(inner.data)
    assert operator.phase == "reach"


@pytest.mark.parametrize("name", SCRIPTED)
def test_what_an_operator_trembles_is_executed_and_not_recorded(name):
    _, intended, executed = driven(name, 1.0, tremble=0.05)
    assert np.array_equal(intended, driven(name, 1.0)[1])
    assert 0.005 < (executed - intended).std() < 0.05


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_scripts_episodes_repeat_themselves(name):
    demo, again = (adroit_expert.record(adroit.SETTINGS[name].environment, name, 20_000) for _ in range(2))
    assert demo.success and demo.digest == again.digest and len(demo) <= 200


def test_the_relocating_cost_wants_the_ball_at_its_target():
    env, model, data, cost = opened("relocate")
    start, ball = cost(data), data.body("Object").xpos.copy()
    target, palm = data.site("target").xpos.copy(), data.site("S_grasp").xpos.copy()
    for name, axis in (("OBJTx", 0), ("OBJTy", 1), ("OBJTz", 2)):
        data.joint(name).qpos[0] = target[axis] - ball[axis]
    mujoco.mj_forward(model, data)
    assert np.allclose(data.body("Object").xpos, target, atol=1e-6)
    assert cost(data) - 2.0 * np.linalg.norm(target - palm) < start - 2.0 * np.linalg.norm(ball - palm)


@pytest.fixture
def hasty(monkeypatch):
    """The pen's expert with the smallest planner there is: seconds, and no success."""
    import dataclasses

    quick = dataclasses.replace(adroit_expert.EXPERTS["pen"], mppi=MppiConfig(samples=2, horizon=1))
    monkeypatch.setitem(adroit_expert.EXPERTS, "pen", quick)


def test_an_episode_is_recorded_as_it_was_driven(hasty):
    demo = adroit_expert.record("AdroitHandPen-v1", "pen", 7)
    assert demo.seed == 7 and np.abs(demo.actions).max() <= 1.0 and len(demo) <= 200
    again = adroit_expert.record("AdroitHandPen-v1", "pen", 7)
    assert demo.digest == again.digest
    env = adroit.make_env("AdroitHandPen-v1")
    seen = [env.reset(seed=7)[0]]
    for action in demo.actions:
        observation, _, _, _, info = env.step(action)
        seen.append(observation)
    assert np.array_equal(np.array(seen, np.float32), np.concatenate([demo.observations, demo.final_observation[None]]))
    assert info["success"] == demo.success


def test_a_stop_is_obeyed_within_an_episode(hasty):
    asked = iter([False, False, True])
    assert adroit_expert.record("AdroitHandPen-v1", "pen", 7, lambda: next(asked)) is None


def test_missing_demonstrations_name_the_command(tmp_path):
    with pytest.raises(BenchError, match="lpds bench demos --suite adroit --task door"):
        TASKS["door"].demonstrations(tmp_path)
