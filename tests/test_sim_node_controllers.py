"""controller_manager/* of the simulation, as ros2_control and franka_hardware answer."""

import functools

import numpy as np
import pytest
from controller_manager_msgs.srv import (
    ListControllers,
    ListHardwareComponents,
    SetHardwareComponentState,
    SwitchController,
)
from franka_msgs.action import ErrorRecovery
from franka_msgs.msg import FrankaRobotState
from lifecycle_msgs.msg import State
from lpds_msgs.srv import Reset
from sim_client import STATE, make_client
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from lpds_ros.sim.controllers import CARTESIAN, HARDWARE, POSITION, TRAJECTORY

SWITCH, COMPONENTS = "controller_manager/switch_controller", "controller_manager/list_hardware_components"
SET, LIST = "controller_manager/set_hardware_component_state", "controller_manager/list_controllers"


@pytest.fixture
def make_sim(ros):
    return functools.partial(make_client, ros)


def switch(client, on=(), off=(), strictness=SwitchController.Request.STRICT):
    request = SwitchController.Request(activate_controllers=on, deactivate_controllers=off, strictness=strictness)
    return client.call(SwitchController, SWITCH, request)


def active(client) -> set[str]:
    return {c.name for c in client.call(ListControllers, LIST).controller if c.state == "active"}


def test_a_reflex_lasts_until_component_and_controller_are_active_again(ros, make_sim):
    client = make_sim("lockstep")
    states = []
    client.node.create_subscription(FrankaRobotState, f"{STATE}/robot_state", states.append, 10)
    broadcasters = {"joint_state_broadcaster", "franka_robot_state_broadcaster"}
    listed = {c.name: c for c in client.call(ListControllers, LIST).controller}
    assert {name for name, c in listed.items() if c.state == "active"} == broadcasters | {CARTESIAN}
    assert list(listed[CARTESIAN].claimed_interfaces) == [f"fr3_joint{i}/effort" for i in range(1, 8)]
    assert client.call(Trigger, "lpds/reflex").success
    ros.wait(lambda: states and states[-1].robot_mode == FrankaRobotState.ROBOT_MODE_REFLEX)
    assert states[-1].current_errors.cartesian_reflex
    assert active(client) == broadcasters
    (component,) = client.call(ListHardwareComponents, COMPONENTS).component
    assert (component.name, component.state.label, component.state.id) == (HARDWARE, "unconfigured", 1)
    refused = client.call(Reset, "lpds/reset", Reset.Request(seed=3))
    assert not refused.success and "error_recovery" in refused.message
    activate = SetHardwareComponentState.Request(name=HARDWARE, target_state=State(id=3, label="active"))
    answer = client.call(SetHardwareComponentState, SET, activate)
    assert not answer.ok and answer.state.label == "unconfigured"

    done = client.goal(ErrorRecovery, "action_server/error_recovery")
    ros.wait(done.done)
    ros.wait(lambda: states[-1].robot_mode == FrankaRobotState.ROBOT_MODE_IDLE)
    answer = switch(client, [CARTESIAN])
    assert not answer.ok and "activate it first" in answer.message
    answer = client.call(SetHardwareComponentState, SET, activate)
    assert answer.ok and answer.state.id == 3
    assert states[-1].robot_mode == FrankaRobotState.ROBOT_MODE_IDLE
    assert switch(client, [CARTESIAN]).ok
    ros.wait(lambda: states[-1].robot_mode == FrankaRobotState.ROBOT_MODE_MOVE)


def test_only_the_active_controllers_commands_are_obeyed(ros, make_sim, capfd):
    client, log = make_sim("lockstep"), []
    q = client.sim.world.state().q
    commands = client.node.create_publisher(Float64MultiArray, f"{POSITION}/commands", 10)
    say = lambda: commands.publish(Float64MultiArray(data=(q + 0.05).tolist()))  # noqa: E731
    ros.wait(
        lambda: log.append(capfd.readouterr().err) or f"--deactivate {CARTESIAN} --activate {POSITION}" in "".join(log),
        what="how to switch", saying=say,
    )  # fmt: skip
    np.testing.assert_allclose(client.sim.world.state().q, q)
    assert switch(client, [POSITION], [CARTESIAN]).ok
    ros.wait(lambda: np.abs(client.sim.world.state().q - q).min() > 0.04, what="the joints", saying=say)
    before = client.sim.world.state().position
    ros.wait(
        lambda: log.append(capfd.readouterr().err) or f"target_pose is not obeyed: {CARTESIAN} is inactive" in "".join(log),
        what="the refusal of a pose target", saying=lambda: client.burst(client.stamp, (0.4, 0.0, 0.3)),
    )  # fmt: skip
    assert np.abs(client.sim.world.state().position - before).max() < 0.02


def test_a_switch_that_cannot_be_says_why(make_sim):
    client = make_sim("lockstep")
    answer = switch(client, [TRAJECTORY])
    assert not answer.ok and "deactivate the others" in answer.message
    assert active(client) >= {CARTESIAN}
