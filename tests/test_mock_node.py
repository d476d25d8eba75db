"""The mock robot on the wire: the sim node's topics, services and actions over a cell without physics, in both clocks."""

import functools

import numpy as np
import pytest
from control_msgs.action import FollowJointTrajectory
from franka_msgs.action import ErrorRecovery, Grasp, Move
from franka_msgs.msg import FrankaRobotState
from lpds_msgs.srv import Reset
from sim_client import PERIOD_NS, STATE, SUCCEEDED, make_client
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from lpds_ros.nodes import qos
from lpds_ros.nodes.messages import pose_arrays, pose_stamped_msg
from lpds_ros.nodes.mock import MockNode
from lpds_ros.parameters import ParameterError
from lpds_ros.sim.fr3 import JOINTS
from lpds_ros.sim.state import HAND_DOWN, MODE_MOVE, MODE_REFLEX


@pytest.fixture
def make_mock(ros):
    return functools.partial(make_client, ros, kind=MockNode)


def test_in_real_time_the_commanded_pose_becomes_the_measured_one(ros, make_mock):
    client = make_mock("realtime")
    goal = np.array([0.52, 0.05, 0.28])

    def near():
        return client.poses and np.abs(pose_arrays(client.poses[-1].pose)[0] - goal).max() < 1e-3

    ros.wait(near, what="the commanded pose", saying=lambda: client.targets.publish(pose_stamped_msg(0, goal, HAND_DOWN)))
    assert (client.tasks[-1].task, client.tasks[-1].success, client.tasks[-1].reward) == ("lift", False, 0.0)


def test_the_hand_the_trajectory_and_the_recovery_answer_as_the_robots_do(ros, make_mock):
    client = make_mock("realtime", held_width_m=0.046, controller="any")
    states = []
    client.node.create_subscription(FrankaRobotState, f"{STATE}/robot_state", states.append, qos.ROBOT_STATE)
    grasp = Grasp.Goal(width=0.0, speed=0.4, force=30.0)
    grasp.epsilon.outer = 0.08
    for goal, kind, name in (
        (grasp, Grasp, "franka_gripper/grasp"),
        (Move.Goal(width=0.08, speed=0.4), Move, "franka_gripper/move"),
    ):
        result = client.send(name, goal, kind).get_result_async()
        ros.wait(result.done, what=name)
        assert result.result().status == SUCCEEDED and result.result().result.success
    reached = client.sim.world.state().q + 0.05
    trajectory = JointTrajectory(joint_names=list(JOINTS))
    trajectory.points = [JointTrajectoryPoint(positions=reached.tolist(), velocities=[0.0] * 7)]
    trajectory.points[0].time_from_start.nanosec = 200_000_000
    name = "fr3_arm_controller/follow_joint_trajectory"
    followed = client.goal(FollowJointTrajectory, name, trajectory=trajectory)
    ros.wait(followed.done, what=name)
    assert followed.result().status == SUCCEEDED
    assert client.call(Trigger, "lpds/reflex").success
    ros.wait(lambda: states and states[-1].robot_mode == MODE_REFLEX, what="REFLEX")
    assert states[-1].current_errors.cartesian_reflex
    recovered = client.goal(ErrorRecovery, "action_server/error_recovery")
    ros.wait(recovered.done, what="error recovery")
    ros.wait(lambda: states[-1].robot_mode == MODE_MOVE, what="MOVE")


def test_lockstep_is_the_sim_nodes(ros, make_mock):
    client = make_mock("lockstep")
    assert client.call(Reset, "lpds/reset", Reset.Request(seed=5)).success
    ros.wait(lambda: client.tasks[-1].seed == 5, what="the episode of seed 5")
    begin = client.stamp
    client.run()
    client.reach(begin + 20 * PERIOD_NS)
    ros.wait(lambda: np.abs(pose_arrays(client.poses[-1].pose)[0] - (0.5, 0.0, 0.25)).max() < 1e-3, what="the pose")


def test_what_this_robot_has_not_is_refused(ros):
    with pytest.raises(ParameterError, match="camera"):
        MockNode(context=ros.context, parameters={"task": "lift", "camera": "sim"})
