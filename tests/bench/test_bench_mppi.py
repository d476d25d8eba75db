"""MPPI on models whose best control is known: it must find it, leave the state alone, and repeat itself."""

import dataclasses

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed (pip install 'lpds_ros[bench]')")

from lpds_ros.bench.mppi import Mppi, MppiConfig, weights  # noqa: E402

CART = """<mujoco><option timestep="0.02" gravity="0 0 0"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" damping="0.5"/><geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-4 2"/></actuator></mujoco>"""
PENDULUM = """<mujoco><option timestep="0.02"/><worldbody><body><joint name="q" type="hinge" axis="0 1 0" damping="0.05"/>
<geom type="capsule" fromto="0 0 0 0 0 -0.5" size="0.03" mass="1"/></body></worldbody>
<actuator><motor joint="q" ctrlrange="-1.2 1.2"/></actuator></mujoco>"""
CONFIG = MppiConfig(samples=32, horizon=12, noise=0.6, smoothness=0.8, temperature=0.2)


def planner(xml, cost, config=CONFIG, seed=0, steps=2):
    model = mujoco.MjModel.from_xml_string(xml)
    low, high = model.actuator_ctrlrange.T
    named = dict(steps_per_action=steps, middle=(high + low) / 2, half=(high - low) / 2, seed=seed)
    return Mppi(model, cost, config, **named), model, mujoco.MjData(model)


def drive(mppi, model, data, actions, steps=2):
    """Executed actions [actions, n_u]; the state moves on in `data`."""
    made = []
    for _ in range(actions):
        made.append(mppi.act(data))
        data.ctrl[:] = mppi._middle + mppi._half * made[-1]
        mujoco.mj_step(model, data, steps)
    return np.array(made)


def test_a_cart_goes_to_its_target_and_stays():
    mppi, model, data = planner(CART, lambda data: (data.qpos[0] - 0.5) ** 2 + 0.05 * data.qvel[0] ** 2)
    made = drive(mppi, model, data, 100)
    assert abs(data.qpos[0] - 0.5) < 0.05 and abs(data.qvel[0]) < 0.2
    assert np.abs(made).max() <= 1.0 and made[0, 0] > 0.0


def test_a_pendulum_too_weak_to_lift_itself_swings_up():
    # 1.2 Nm against 1 kg · 9.81 m/s² · 0.25 m = 2.45 Nm: only a plan that goes away from the goal first reaches it
    config = dataclasses.replace(CONFIG, samples=40, horizon=35)
    mppi, model, data = planner(PENDULUM, lambda data: 1.0 + np.cos(data.qpos[0]) + 0.01 * data.qvel[0] ** 2, config)
    highest = 0.0
    for _ in range(90):
        drive(mppi, model, data, 1)
        highest = max(highest, -np.cos(data.qpos[0]))
    assert highest > 0.9


def test_planning_leaves_the_state_alone_and_predicts_it_exactly():
    costs = []
    mppi, model, data = planner(PENDULUM, lambda data: costs.append(data.qpos[0]) or (data.qpos[0] - 1.0) ** 2)
    data.qpos[0], data.qvel[0], data.time = 0.3, -0.2, 4.0
    mppi.act(data)
    assert (data.qpos[0], data.qvel[0], data.time) == (0.3, -0.2, 4.0)
    plan = mppi.mean.copy()
    costs.clear()
    mppi.cost_of(plan)
    seen = []
    for action in plan:
        data.ctrl[:] = mppi._middle + mppi._half * action
        mujoco.mj_step(model, data, 2)
        seen.append(data.qpos[0])
    assert seen == costs  # bit for bit


def test_equal_seeds_make_equal_plans():
    first, again, other = (
        drive(*planner(CART, lambda data: (data.qpos[0] - 0.5) ** 2, seed=seed), 5) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_plan_goes_on_from_the_last_one():
    mppi, model, data = planner(CART, lambda data: (data.qpos[0] - 0.5) ** 2)
    mppi.act(data)
    before = mppi.mean.copy()
    assert np.array_equal(before[-1], before[-2])
    mppi.improve = lambda: None
    assert np.array_equal(mppi.act(data), before[0]) and np.array_equal(mppi.mean[:-1], before[1:])


def test_a_reset_that_changes_the_model_is_seen():
    mppi, model, data = planner(CART, lambda data: data.xpos[1, 2])
    mujoco.mj_forward(model, data)
    mppi.act(data)
    low = mppi.cost_of(mppi.mean)
    model.body_pos[1, 2] = 3.0
    assert low == 0.0 and mppi.cost_of(mppi.mean) == pytest.approx(3.0)


def test_noise_has_its_size_and_its_memory():
    config = MppiConfig(samples=4000, horizon=8, noise=0.3, smoothness=0.7)
    noise = planner(CART, lambda data: 0.0, config)[0]._noise()
    assert not noise[0].any()
    assert np.allclose(noise[1:].std(0), 0.3, atol=0.02)
    assert np.corrcoef(noise[1:, 3, 0], noise[1:, 4, 0])[0, 1] == pytest.approx(0.7, abs=0.05)


def test_weights_prefer_the_cheap_at_any_scale():
    costs = np.array([3.0, 1.0, 2.0, np.inf])
    found = weights(costs, 0.5)
    assert found.argmax() == 1 and found[3] == 0.0 and found.sum() == pytest.approx(1.0)
    assert np.allclose(found, weights(1000.0 * costs + 7.0, 0.5))
    assert np.allclose(weights(np.full(4, 2.0), 0.5), 0.25) and np.allclose(weights(np.full(4, np.inf), 0.5), 0.25)
    sharp, flat = weights(costs, 0.05), weights(costs, 50.0)
    assert sharp[1] > 0.99 and flat[:3].std() < 0.02


def test_a_simulation_that_fails_is_not_chosen():
    mppi, model, data = planner(CART, lambda data: 0.0 if data.qpos[0] < 1e-9 else np.nan)
    assert np.isinf(mppi.cost_of(np.ones((CONFIG.horizon, 1))))
    mppi.act(data)
    assert np.isfinite(mppi.mean).all()


def test_a_state_that_explodes_is_no_way_out():
    # MuJoCo resets an exploding state to the origin, where this cost is lowest
    cart = CART.replace('ctrlrange="-4 2"', 'ctrlrange="-1e9 1e9" gear="1e6"')
    mppi, model, data = planner(cart, lambda data: abs(data.qpos[0]))
    data.qpos[0] = 5.0
    mppi.act(data)
    assert np.isinf(mppi.cost_of(np.ones((CONFIG.horizon, 1))))
    assert np.isfinite(mppi.cost_of(np.zeros((CONFIG.horizon, 1))))  # and the next one is judged anew


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"horizon": 0}, {"noise": 0.0}, {"smoothness": 1.0}, {"temperature": 0.0}])
def test_settings_that_cannot_plan_are_refused(wrong):
    with pytest.raises(ValueError, match="MPPI needs"):
        MppiConfig(**wrong)
