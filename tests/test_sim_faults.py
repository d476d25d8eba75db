"""Things go wrong in the simulation on purpose: exactly what was asked for, on the world's clock, and no longer."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from lpds_ros.sim.faults import KINDS, FaultError, Faults
from lpds_ros.sim.state import HAND_DOWN, MODE_IDLE, MODE_MOVE, MODE_USER_STOPPED, GripperStatus
from lpds_ros.sim.world import World

MS = 1_000_000
POSE = "franka_robot_state_broadcaster/current_pose"


@dataclass(frozen=True)
class Sample:
    stamp_ns: int
    numbers: np.ndarray


def sample(stamp_ms):
    return Sample(stamp_ms * MS, np.array([float(stamp_ms)]))


def said(faults, times_ms, topic=POSE):
    """(stamp in ms, number) of what is said at each time, None where nothing is."""
    heard = [faults.say(topic, sample(t), t * MS) for t in times_ms]
    return [None if s is None else (s.stamp_ns / MS, float(s.numbers[0])) for s in heard]


@pytest.mark.parametrize(
    "fault, value, spoilt",
    [
        ("stop", 0.0, [None, None, None]),
        ("freeze", 0.0, [(10, 10), (10, 10), (10, 10)]),
        ("repeat", 0.0, [(10, 10), (20, 10), (30, 10)]),
        ("future", 0.5, [(510, 10), (520, 20), (530, 30)]),
        ("unstamped", 0.0, [(0, 10), (0, 20), (0, 30)]),
        ("late", 0.01, [None, (10, 10), (20, 20)]),
    ],
)
def test_a_stream_is_spoilt_as_named_for_as_long_as_asked(fault, value, spoilt):
    faults = Faults((POSE, "other"))
    faults.inject(fault, POSE, value, 0.035, 0)
    assert said(faults, [10, 20, 30]) == spoilt
    assert said(faults, [30], "other") == [(30, 30)]
    assert said(faults, [40]) == [(40, 40)], "over on the world's clock"


def test_nan_takes_every_number_and_leaves_the_stamp():
    faults = Faults((POSE,))
    faults.inject("nan", "", 0.0, 0.0, 0)
    ((stamp, number),) = said(faults, [10])
    assert stamp == 10 and np.isnan(number)
    faults.inject("none", "", 0.0, 0.0, 0)
    assert said(faults, [20]) == [(20, 20)]


@pytest.mark.parametrize(
    "request_, told",
    [
        (("freze", POSE, 0.0, 1.0), "did you mean 'freeze'"),
        (("freeze", "nowhere", 0.0, 1.0), f"one of {POSE}"),
        (("reflex", POSE, 0.0, 1.0), "a target is none"),
        (("error", "no_such_flag", 0.0, 0.0), "one of cartesian_reflex"),
        (("late", POSE, 0.0, 1.0), "needs a value, in s"),
        (("stop", POSE, 0.0, float("nan")), "must be finite"),
        (("stop", POSE, 0.0, -1.0), "not negative"),
    ],
)
def test_what_cannot_be_injected_says_what_can(request_, told):
    faults = Faults((POSE,))
    with pytest.raises(FaultError, match=told.replace("(", r"\(")):
        faults.inject(*request_, 0)
    assert said(faults, [10]) == [(10, 10)]


def moving_world():
    """An arm that has been led at 0.25 m/s for 0.8 s, its target a little ahead."""
    world = World("lift", control_period_ns=50 * MS)
    world.reset(3)
    position = world.state().position
    for _ in range(80):
        position = position + [0.0, 0.0025, 0.0]
        world.set_target(position, HAND_DOWN)
        world.advance(10)
    assert np.abs(world.state().dq).max() > 0.3
    return world


def test_the_brake_stops_a_fast_arm_within_40_ms_and_holds_it_until_the_next_target():
    world = moving_world()
    world.brake("no target")
    world.advance(40)
    state = world.state()
    assert np.abs(state.dq).max() < 0.01
    world.advance(1000)
    np.testing.assert_allclose(world.state().position, state.position, atol=3e-4)
    world.set_target(state.position + [0.0, 0.0, 0.02], HAND_DOWN)
    world.advance(1500)
    assert world.state().position[2] - state.position[2] > 0.018, "free again"


def test_the_user_stop_brakes_and_lasts_until_it_is_released_and_recovered():
    world, faults = moving_world(), Faults(())
    faults.inject("user_stop", "", 0.0, 0.1, world.time_ns)
    faults.apply(world)
    world.set_target(world.state().position + [0.0, 0.1, 0.0], HAND_DOWN)
    world.advance(50)
    assert world.state().robot_mode == MODE_USER_STOPPED and np.abs(world.state().dq).max() < 0.01
    with pytest.raises(ValueError, match="release it first"):
        world.recover()
    world.advance(60)
    faults.apply(world)
    assert world.state().robot_mode == MODE_IDLE, "released, but nobody has recovered it"
    world.recover()
    assert world.state().robot_mode == MODE_MOVE


def test_a_deactivated_controller_loses_targets_and_an_active_one_starts_from_rest():
    world, faults = moving_world(), Faults(())
    faults.inject("controller_inactive", "", 0.0, 0.0, world.time_ns)
    faults.apply(world)
    world.advance(40)
    before = world.state().position
    world.set_target(before + [0.0, 0.1, 0.0], HAND_DOWN)
    world.advance(300)
    np.testing.assert_allclose(world.state().position, before, atol=3e-4)
    faults.inject("none", "", 0.0, 0.0, world.time_ns)
    faults.apply(world)
    world.advance(300)
    np.testing.assert_allclose(world.state().position, before, atol=3e-4)


def test_a_stuck_hand_ends_no_goal_and_an_aborting_one_each_at_once():
    world, faults = World("lift", control_period_ns=50 * MS), Faults(())
    faults.inject("gripper_stall", "", 0.0, 1.0, world.time_ns)
    faults.apply(world)
    world.move(0.02, 0.1)
    world.advance(900)
    assert world.gripper_status is GripperStatus.MOVING and world.width_m == pytest.approx(0.08, abs=1e-3)
    world.advance(200)
    faults.apply(world)
    world.advance(1500)
    assert world.gripper_status is GripperStatus.SUCCEEDED and world.width_m == pytest.approx(0.02, abs=1e-3)
    faults.inject("gripper_abort", "", 0.0, 0.0, world.time_ns)
    faults.apply(world)
    world.move(0.06, 0.1)
    world.advance(1)
    assert world.gripper_status is GripperStatus.FAILED


# -- the node ---------------------------------------------------------------------------------------------------


@pytest.fixture
def make_sim(ros):
    from sim_client import make_client

    return lambda clock, **parameters: make_client(ros, clock, **parameters)


def inject(client, fault, target="", value=0.0, duration_s=0.0):
    from lpds_msgs.srv import Fault

    request = Fault.Request(fault=fault, target=target, value=value, duration_s=duration_s)
    return client.call(Fault, "lpds/fault", request)


def test_the_service_is_not_there_unless_it_is_asked_for(ros, make_sim):
    client = make_sim("lockstep")
    assert "/lpds/fault" not in dict(client.node.get_service_names_and_types())


def test_the_nodes_streams_and_errors_are_spoilt_by_service(ros, make_sim):
    from franka_msgs.msg import FrankaRobotState

    client = make_sim("lockstep", faults=True)
    states = []
    client.node.create_subscription(FrankaRobotState, "franka_robot_state_broadcaster/robot_state", states.append, 10)
    refused = inject(client, "freez")
    assert not refused.success and all(kind in refused.message for kind in KINDS)
    assert "lockstep" in inject(client, "clock_jump", value=5.0).message
    assert inject(client, "nan", POSE).success
    client.run()
    ros.wait(lambda: client.poses and np.isnan(client.poses[-1].pose.position.x), what="NaN")
    assert inject(client, "none").success
    ros.wait(lambda: np.isfinite(client.poses[-1].pose.position.x), what="numbers again")
    assert inject(client, "error", "joint_velocity_violation").success
    ros.wait(lambda: states and states[-1].current_errors.joint_velocity_violation, what="the flag")
    assert states[-1].robot_mode == FrankaRobotState.ROBOT_MODE_REFLEX


def test_a_silent_commander_is_noticed_and_the_arm_braked(ros, make_sim):
    client = make_sim("realtime", target_timeout_s=0.05)
    ros.wait(lambda: client.poses, what="a pose")
    control = client.sim.world.control
    client.burst(time.time_ns(), (0.5, 0.2, 0.25))
    ros.wait(lambda: control.mode == "brake", what="the brake")
    assert client.poses[-1].pose.position.y < 0.15, "it has not gone on to the last target"
