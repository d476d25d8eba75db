"""The Adroit suite: the environments are what the tasks say, and the experts' costs point at success."""

import numpy as np
import pytest

pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed (pip install 'lpds_ros[bench]')")

import mujoco  # noqa: E402

from lpds_ros.bench.mppi import MppiConfig  # noqa: E402
from lpds_ros.bench.suites import adroit, adroit_expert  # noqa: E402
from lpds_ros.bench.task import BenchError  # noqa: E402
from lpds_ros.bench.worlds import run_chunk  # noqa: E402

TASKS = {task.name: task for task in adroit.tasks()}


def opened(name):
    """(environment, its model, its data, the expert's cost) after a reset."""
    env = adroit.make_env(adroit.SETTINGS[name].environment)
    env.reset(seed=3)
    inner = env.unwrapped
    return env, inner.model, inner.data, adroit_expert.EXPERTS[name].cost(inner.model)


@pytest.mark.parametrize("name", TASKS)
def test_the_environment_is_the_tasks(name):
    task, env = TASKS[name], opened(name)[0]
    assert env.observation_space.shape == (task.problem.observation_size,)
    assert env.action_space.shape == (task.problem.action_size,)
    assert (env.action_space.low == -1.0).all() and (env.action_space.high == 1.0).all()
    assert env.spec.max_episode_steps == task.limit == 200


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


def test_the_doors_cost_falls_with_every_stage():
    env, model, data, cost = opened("door")
    costs = [cost(data)]
    for joint, value in (("latch", 1.0), ("door_hinge", 0.5), ("door_hinge", 1.3)):
        data.joint(joint).qpos[0] = value
        mujoco.mj_forward(model, data)
        costs.append(cost(data) - 2.0 * np.linalg.norm(data.site("S_grasp").xpos - data.site("S_handle").xpos))
    assert costs == sorted(costs, reverse=True)


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
