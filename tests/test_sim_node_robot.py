"""The simulated robot beside its commands: robot_state as franka_ros2 fills it, frames, parameter services, the gripper."""

import functools

import numpy as np
import pytest
from control_msgs.action import GripperCommand
from franka_msgs.action import Grasp, Move
from franka_msgs.msg import FrankaRobotState
from franka_msgs.srv import SetCartesianStiffness, SetJointStiffness, SetLoad
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from sim_client import ABORTED, STATE, SUCCEEDED, make_client
from tf2_msgs.msg import TFMessage

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import stamp_ns
from lpds_ros.sim.fr3 import JOINTS

GRIPPER = "franka_gripper/gripper_action"


@pytest.fixture
def make_sim(ros):
    return functools.partial(make_client, ros)


def hear(client, kind, topic, quality=10):
    """Messages of a topic, from now on."""
    heard = []
    client.node.create_subscription(kind, topic, heard.append, quality)
    return heard


def test_robot_state_has_franka_ros2s_names_and_frames(ros, make_sim):
    client = make_sim("lockstep")
    load = SetLoad.Request(mass=0.5, center_of_mass=np.array([0.0, 0.0, 0.05]))
    assert client.call(SetLoad, "service_server/set_load", load).success
    states = hear(client, FrankaRobotState, f"{STATE}/robot_state")
    client.run()
    message = ros.wait(lambda: [s for s in states if stamp_ns(s.header.stamp) > 1_500_000_000], what="robot_state")[0]
    joints = (
        message.measured_joint_state,
        message.desired_joint_state,
        message.measured_joint_motor_state,
        message.tau_ext_hat_filtered,
    )
    for state in joints:
        assert (list(state.name), state.header.frame_id) == (list(JOINTS), "base")
        assert len(state.position) == len(state.velocity) == len(state.effort) == 7
    assert message.header.frame_id == ""
    frames = {name: getattr(message, name).header.frame_id for name in message.get_fields_and_field_types() if "_" in name
              and hasattr(getattr(message, name), "header")}  # fmt: skip
    assert {name for name, frame in frames.items() if frame == "fr3_hand_tcp"} == {
        "k_f_ext_hat_k", "ee_t_k", "inertia_ee", "inertia_total",
    }  # fmt: skip
    assert {name for name, frame in frames.items() if frame == "fr3_link8"} == {"f_t_ee", "inertia_load"}
    assert all(frame for frame in frames.values())
    assert message.f_t_ee.pose.position.z == pytest.approx(0.1034)
    assert (message.inertia_load.inertia.m, message.inertia_load.inertia.com.z) == (0.5, 0.05)
    assert message.inertia_total.inertia.m == pytest.approx(0.73 + 0.5)
    gravity = np.array(message.measured_joint_state.effort) - message.desired_joint_state.effort
    assert abs(gravity[1]) > 10.0  # tau_J holds the arm's weight, tau_J_d is told without it
    # 1749 bytes with seven names in one joint state and nothing else; filled as above, and told in frames, it has more.
    assert 2757 < len(serialize_message(message)) < 3100


def test_joint_states_name_the_frames_of_their_publishers(ros, make_sim):
    client = make_sim("lockstep")
    frames = {f"{STATE}/measured_joint_states": "base", "franka/joint_states": "base_link", "joint_states": ""}
    heard = {topic: hear(client, JointState, topic, qos.ROBOT_STATE) for topic in frames}
    ros.wait(lambda: all(heard.values()), what="joint states")
    assert {topic: messages[0].header.frame_id for topic, messages in heard.items()} == frames


def test_frames_reach_a_late_listener_and_move_with_the_arm(ros, make_sim):
    client = make_sim("lockstep")
    fixed = hear(client, TFMessage, "/tf_static", qos.LATCHED)
    moving = hear(client, TFMessage, "/tf", 100)
    ros.wait(lambda: fixed and moving, what="/tf and /tf_static")
    pairs = {(t.header.frame_id, t.child_frame_id) for t in fixed[0].transforms}
    assert {("base", "fr3_link0"), ("fr3_link8", "fr3_hand"), ("fr3_hand", "fr3_hand_tcp")} <= pairs
    chain = [(t.header.frame_id, t.child_frame_id) for t in moving[0].transforms]
    assert chain[:7] == [(f"fr3_link{i}", f"fr3_link{i + 1}") for i in range(7)]
    assert chain[7:] == [("fr3_hand", "fr3_leftfinger"), ("fr3_hand", "fr3_rightfinger")]
    assert {stamp_ns(t.header.stamp) for t in moving[0].transforms} == {client.sim.world.time_ns}
    first = moving[0].transforms[0].transform.rotation
    client.run()
    ros.wait(lambda: abs(moving[-1].transforms[0].transform.rotation.z - first.z) > 1e-4, what="link 1 to turn")


def test_stiffness_services_change_how_the_arm_gives_way(ros, make_sim):
    client = make_sim("lockstep", controller="any")
    world = client.sim.world
    body, before = world.model.body("fr3_hand").id, world.state().position

    def pushed(newton):
        world.data.xfrc_applied[body, 2] = newton
        ros.call(world.advance, 1500)
        return (world.state().position - before)[2]

    assert pushed(10.0) == pytest.approx(10.0 / 600.0, rel=0.1)
    name = "service_server/set_cartesian_stiffness"
    stiff = SetCartesianStiffness.Request(cartesian_stiffness=np.array([2000.0] * 3 + [50.0] * 3))
    assert client.call(SetCartesianStiffness, name, stiff).success
    assert pushed(10.0) == pytest.approx(10.0 / 2000.0, rel=0.1)
    bad = client.call(SetCartesianStiffness, name)
    assert not bad.success and "10 to 3000 N/m" in bad.error
    assert pushed(10.0) == pytest.approx(10.0 / 2000.0, rel=0.1)

    name = "service_server/set_joint_stiffness"
    q = world.state().q
    world.set_positions(q)
    soft = SetJointStiffness.Request(joint_stiffness=np.array([300.0] * 7))
    assert client.call(SetJointStiffness, name, soft).success
    world.data.xfrc_applied[:] = 0.0
    ros.call(world.advance, 1500)
    world.data.qfrc_applied[3] = 3.0
    ros.call(world.advance, 1500)
    assert world.state().q[3] - q[3] == pytest.approx(0.01, rel=0.05)
    bad = client.call(SetJointStiffness, name, SetJointStiffness.Request(joint_stiffness=np.array([-1.0] * 7)))
    assert not bad.success and "0 to 14250" in bad.error


def test_a_load_the_arm_cannot_carry_is_refused(ros, make_sim):
    client = make_sim("lockstep")
    answer = client.call(SetLoad, "service_server/set_load", SetLoad.Request(mass=30.0))
    assert not answer.success and "[0, 3] kg" in answer.error


# -- the gripper ----------------------------------------------------------------------------------------------------


def command(client, position, max_effort=20.0, feedback=None):
    """Send a GripperCommand; its status and result once it has ended."""
    goal = GripperCommand.Goal()
    goal.command.position, goal.command.max_effort = position, max_effort
    handle = client.send(GRIPPER, goal, GripperCommand, feedback)
    assert handle.accepted  # as franka_gripper: every goal is
    future = handle.get_result_async()
    client.ros.wait(future.done, what="the gripper's result")
    return future.result().status, future.result().result


def test_gripper_action_takes_half_the_width_and_tells_the_whole(ros, make_sim):
    client = make_sim("lockstep")
    client.run()
    heard = []
    status, result = command(client, 0.01, feedback=heard.append)
    assert status == SUCCEEDED and result.reached_goal and not result.stalled
    assert result.position == pytest.approx(0.02, abs=5e-3) and result.effort == 0.0
    widths = [message.feedback.position for message in heard]
    assert len(widths) > 3 and widths == sorted(widths, reverse=True) and widths[0] > 0.05
    status, result = command(client, 0.03)
    assert status == SUCCEEDED and result.position == pytest.approx(0.06, abs=1e-3)


def test_gripper_action_that_is_there_already_succeeds_at_once(ros, make_sim):
    client = make_sim("lockstep")  # no time passes
    status, result = command(client, 0.04)
    assert status == SUCCEEDED and result.reached_goal and result.position == pytest.approx(0.08, abs=1e-4)


@pytest.mark.parametrize("position, effort, text", [(0.05, 20.0, "width 0.1"), (-0.01, 20.0, "width"), (0.0, 0.0, "force 0")])
def test_gripper_action_out_of_range_is_aborted_and_the_log_says_why(ros, make_sim, capfd, position, effort, text):
    client = make_sim("lockstep")
    status, result = command(client, position, effort)
    assert status == ABORTED and not result.reached_goal
    log = []
    ros.wait(lambda: log.append(capfd.readouterr().err) or "gripper_action aborted: " in "".join(log), what="the log")
    assert text in "".join(log)
    assert client.sim.world.width_m == pytest.approx(0.08, abs=1e-6)


def test_gripper_action_that_closes_on_the_wrong_thing_stalls(ros, make_sim):
    client = make_sim("lockstep")
    world = client.sim.world
    finger = world.model.joint("fr3_finger_joint1").dofadr[0]
    world.data.qfrc_applied[finger] = 60.0  # something holds the fingers apart
    client.run()
    status, result = command(client, 0.005)
    assert status == ABORTED and result.stalled and not result.reached_goal
    assert result.position > 0.03


def test_gripper_goals_tell_their_width_meanwhile(ros, make_sim):
    client = make_sim("realtime")
    for kind, name, fields in (
        (Move, "franka_gripper/move", {"width": 0.02, "speed": 0.05}),
        (Grasp, "franka_gripper/grasp", {"width": 0.0, "speed": 0.05, "force": 10.0}),
    ):
        heard = []
        handle = client.send(name, kind.Goal(**fields), kind, heard.append)
        future = handle.get_result_async()
        ros.wait(lambda done=future: done.done(), what=name)
        widths = [message.feedback.current_width for message in heard]
        assert widths and widths == sorted(widths, reverse=True)
