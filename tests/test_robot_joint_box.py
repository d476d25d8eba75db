"""Kinematics against the simulation's, and the joint box: out of it no step leads, back into it every one may."""

import mujoco
import numpy as np
import pytest
from steering_fakes import READY

from lpds_ros.robot.joint_box import JointBox
from lpds_ros.robot.kinematics import joint_step, tool_jacobian
from lpds_ros.robot.limits import load_limits
from lpds_ros.sim import fr3
from lpds_ros.sim.world import World

NONE = np.zeros(3)
MARGIN_RAD = 0.15


def test_kinematics_are_the_simulated_arms():
    world, rng = World("lift", control_period_ns=50_000_000), np.random.default_rng(0)
    model, data = world.model, mujoco.MjData(world.model)
    site, expected = model.site(fr3.TCP_SITE).id, np.zeros((6, model.nv))
    for _ in range(50):
        data.qpos[:7] = rng.uniform(fr3.Q_MIN_RAD, fr3.Q_MAX_RAD)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_jacSite(model, data, expected[:3], expected[3:], site)
        tool, jacobian = tool_jacobian(data.qpos[:7])
        assert np.abs(tool - data.site_xpos[site]).max() < 1e-5
        assert np.abs(jacobian - expected[:, :7]).max() < 1e-5


def test_a_step_of_the_joints_moves_the_tool_by_what_was_asked():
    move, turn = np.array([0.003, -0.002, 0.001]), np.array([0.0, 0.01, -0.005])
    before, jacobian = tool_jacobian(READY)
    step = joint_step(READY, move, turn)
    assert np.allclose(tool_jacobian(READY + step)[0] - before, move, atol=1e-4)
    assert np.allclose(jacobian[3:] @ step, turn, atol=1e-4)


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("end", ["low", "high"])
def test_near_its_end_a_joint_is_driven_back_and_never_on(joint, end):
    hard, box = load_limits("fr3").joints, JointBox(MARGIN_RAD, load_limits("fr3"))
    q, sign = READY.copy(), 1.0 if end == "high" else -1.0
    limit = (hard.position_max_rad if end == "high" else hard.position_min_rad)[joint]
    q[joint] = limit - sign * (MARGIN_RAD - 0.01)
    outward = tool_jacobian(q)[1] @ (0.02 * sign * np.eye(7)[joint])  # the tool's motion of this joint alone
    assert joint_step(q, outward[:3], outward[3:])[joint] * sign > 1e-3, "the test's own motion"
    assert f"joint {joint + 1} is at {q[joint]:.2f} rad" in box.refusal(q, outward[:3], outward[3:])
    assert box.refusal(q, -outward[:3], -outward[3:]) == ""
    assert box.refusal(q, NONE, NONE) == ""
    q[joint] = limit - sign * (MARGIN_RAD + 0.01)
    assert box.refusal(q, outward[:3], outward[3:]) == ""


def test_the_margin_leaves_every_joint_the_speed_that_commanded_steps_need():
    limits = load_limits("fr3")
    hard = limits.joints
    assert (limits.velocity_max(np.array(hard.position_max_rad) - MARGIN_RAD) > 0.6).all()
    assert (limits.velocity_min(np.array(hard.position_min_rad) + MARGIN_RAD) < -0.6).all()
