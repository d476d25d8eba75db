"""The Adroit suite: the environments are what the tasks say, the planners' costs point at success, the door's script opens it."""

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed (pip install 'lpds_ros[bench]')")

import mujoco  # noqa: E402

from lpds_ros.bench.mppi import MppiConfig  # noqa: E402
from lpds_ros.bench.suites import adroit, adroit_door, adroit_expert  # noqa: E402
from lpds_ros.bench.task import BenchError  # noqa: E402
from lpds_ros.bench.worlds import run_chunk  # noqa: E402

TASKS = {task.name: task for task in adroit.tasks()}


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


def opening(pace, tremble=0.0, seed=100):
    """(steps until the door is open, or None; the first action intended and the one executed)."""
    env = adroit.make_env("AdroitHandDoor-v1")
    env.reset(seed=seed)
    traits = adroit_door.Traits(pace=(pace, pace), tremble=(tremble, tremble))
    operator = adroit_door.Operator(env.unwrapped, traits, np.random.default_rng(0))
    first = operator.act(env.unwrapped.data)
    info, steps = env.step(first[1])[4], 1
    while not info["success"] and steps < adroit.EXPERT_LIMIT:
        info, steps = env.step(operator.act(env.unwrapped.data)[1])[4], steps + 1
    return steps if info["success"] else None, *first


def test_the_doors_operator_opens_it_and_the_brisk_one_sooner():
    brisk, slow = opening(1.0)[0], opening(0.4)[0]
    assert brisk < slow - 20


def test_what_the_doors_operator_trembles_is_executed_and_not_recorded():
    _, intended, executed = opening(1.0, tremble=0.05)
    assert np.array_equal(intended, opening(1.0)[1])
    assert 0.005 < (executed - intended).std() < 0.05


def test_the_doors_episodes_repeat_themselves():
    demo, again = (adroit_expert.record("AdroitHandDoor-v1", "door", 20_000) for _ in range(2))
    assert demo.success and demo.digest == again.digest and len(demo) <= 200


def test_the_hammers_cost_wants_it_lifted_and_the_nail_in():
    env, model, data, cost = opened("hammer")
    lying = cost(data)
    data.joint("OBJTy").qpos[0] += 0.02  # the hammer's own axis, which points up
    mujoco.mj_forward(model, data)
    lifted = cost(data)
    data.joint("nail_dir").qpos[0] = 0.08
    mujoco.mj_forward(model, data)
    assert data.body("Object").xpos[2] > 0.05 and lifted < lying - 0.9 and cost(data) < lifted - 1.0


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
