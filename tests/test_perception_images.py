"""Images through the perception node: what leaves is what the cores make of the same bytes, in both ways of passing time."""

import array
import time

import numpy as np
import pytest
from pictured import SIDE, small_contract

pytest.importorskip("rclpy")
from geometry_msgs.msg import PoseStamped  # noqa: E402
from lpds_msgs.msg import Observation, TaskState  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

from lpds_ros.config import to_yaml  # noqa: E402
from lpds_ros.contract import ContractError, contract_to_dict  # noqa: E402
from lpds_ros.images import fitted  # noqa: E402
from lpds_ros.nodes import qos  # noqa: E402
from lpds_ros.nodes.messages import observation_from_msg, pose_stamped_msg, stamp_msg  # noqa: E402
from lpds_ros.nodes.perception import PerceptionNode  # noqa: E402
from lpds_ros.prior.encoders import EncoderSession  # noqa: E402
from lpds_ros.resources import resource  # noqa: E402

SECOND = 1_000_000_000
CONTRACT = small_contract()
SLICES = CONTRACT.feature_slices()


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(to_yaml(contract_to_dict(CONTRACT)))
    return str(path)


class Cell:
    """A robot and two cameras of 40 x 30 pixels; `heard` are the observations."""

    def __init__(self, ros, contract_file, **parameters):
        self.node, self.heard = ros.node("cell"), []
        kinds = {"geometry_msgs/msg/PoseStamped": PoseStamped, "sensor_msgs/msg/JointState": JointState}
        self.publishers = {
            name: self.node.create_publisher(kinds.get(s.type, Image), s.topic, qos.ROBOT_STATE if s.type in kinds else 5)
            for name, s in CONTRACT.streams.items()
        }
        self.task = self.node.create_publisher(TaskState, "lpds/task_state", qos.CONTROL)
        self.node.create_subscription(Observation, "lpds/observation", self.heard.append, qos.CONTROL)
        given = {"contract": contract_file, "missing_s": 60.0, **parameters}
        ros.add(PerceptionNode(context=ros.context, parameters=given))
        topics = [*self.publishers.values(), self.task]
        ros.wait(lambda: all(p.get_subscription_count() for p in topics), what="perception's subscriptions")

    @property
    def records(self):
        return [observation_from_msg(message, CONTRACT) for message in list(self.heard)]

    def say_robot(self, stamp):
        self.publishers["pose"].publish(pose_stamped_msg(stamp, [0.5, 0.1, 0.3], [1.0, 0, 0, 0]))
        for name, position in (("joint_state", [0.1] * 7), ("gripper", [0.03, 0.03])):
            message = JointState(position=position)
            message.header.stamp = stamp_msg(stamp)
            self.publishers[name].publish(message)
        message = TaskState(task="lift")
        message.header.stamp = stamp_msg(stamp)
        self.task.publish(message)

    def show(self, name, stamp, rgb, encoding="rgb8"):
        pixels = rgb if encoding == "rgb8" else rgb[..., ::-1]
        message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding=encoding, step=rgb.shape[1] * 3)
        message.header.stamp, message.data = stamp_msg(stamp), array.array("B", pixels.tobytes())
        self.publishers[name].publish(message)


def pictures(seed=0):
    return dict(zip(("front", "wrist"), np.random.default_rng(seed).integers(0, 256, (2, 30, 40, 3), np.uint8)))


def test_in_lockstep_an_observation_waits_for_both_cameras_and_holds_what_the_encoders_say(ros, contract_file, pictured_bundle):
    cell = Cell(ros, contract_file, clock="lockstep", bundle=str(pictured_bundle.path))
    shown, session = pictures(), EncoderSession(pictured_bundle)
    cell.say_robot(SECOND)
    cell.show("front", SECOND, shown["front"], "bgr8")
    cell.show("wrist", SECOND - 1, shown["front"])  # of another tick
    time.sleep(0.3)
    assert not cell.heard
    cell.show("wrist", SECOND, shown["wrist"])
    ros.wait(lambda: cell.heard, what="an observation")
    (observation,) = cell.records
    assert observation.valid, observation.reason
    for name, picture in shown.items():
        expected = session.encode(name, fitted(picture, CONTRACT.streams[name]))
        assert observation.data[SLICES[f"{name}_features"]].tobytes() == expected.tobytes()
    assert observation.encode_s > 0.0


def test_in_real_time_ticks_go_on_and_name_a_camera_whose_pictures_cannot_be_used(ros, contract_file, pictured_bundle):
    cell, shown = Cell(ros, contract_file, bundle=str(pictured_bundle.path)), pictures()

    def say(encoding):
        now = time.time_ns()
        cell.say_robot(now - 30_000_000)
        cell.say_robot(now)
        for name in shown:
            cell.show(name, now - 20_000_000, shown[name], encoding)

    ros.wait(lambda: any(r.valid for r in cell.records), what="a valid observation", saying=lambda: say("rgb8"))
    del cell.heard[:]
    ros.wait(
        lambda: any("'front'" in r.reason and "its encoding is 'mono8'" in r.reason for r in cell.records),
        what="the encoding's name",
        saying=lambda: say("mono8"),
    )


def test_without_a_prior_features_are_zero_for_recording(ros, contract_file):
    cell = Cell(ros, contract_file, clock="lockstep")
    cell.say_robot(SECOND)
    for name, picture in pictures().items():
        cell.show(name, SECOND, picture)
    ros.wait(lambda: cell.heard, what="an observation")
    (observation,) = cell.records
    assert observation.valid and not observation.data[4:].any() and observation.data[:3].all()


def test_a_prior_of_another_contract_is_refused(ros, pictured_bundle):
    other = str(resource("config/contracts/lift_images.yaml"))
    with pytest.raises(ContractError, match="prior pictured was made under contract"):
        PerceptionNode(context=ros.context, parameters={"contract": other, "bundle": str(pictured_bundle.path)})


def test_the_simulations_pictures_become_the_features_that_they_become_without_ros(ros, contract_file, pictured_bundle):
    pytest.importorskip("mujoco", reason="pip install 'lpds_ros[sim]'")
    from lpds_ros.nodes.sim import SimNode
    from lpds_ros.sim.camera import CameraError
    from lpds_ros.sim.eyes import Eyes
    from lpds_ros.sim.world import World

    world = World("lift", control_period_ns=CONTRACT.period_ns)
    world.reset(5)
    try:
        eyes = Eyes(CONTRACT, world.model)
    except CameraError as error:
        pytest.skip(str(error))
    session = EncoderSession(pictured_bundle)
    expected = {name: session.encode(name, picture) for name, picture in eyes.pictures(world.data.qpos).items()}
    eyes.close()
    heard = []
    ros.node("listener").create_subscription(Observation, "lpds/observation", heard.append, qos.CONTROL)
    given = {"contract": contract_file, "clock": "lockstep"}
    ros.add(PerceptionNode(context=ros.context, parameters={**given, "bundle": str(pictured_bundle.path), "missing_s": 60.0}))
    ros.add(SimNode(context=ros.context, parameters={**given, "camera": "sim", "seed": 5}))
    ros.wait(lambda: heard, what="an observation")
    observation = observation_from_msg(heard[0], CONTRACT)
    assert observation.valid and SIDE == CONTRACT.streams["front"].width_px
    for name, features in expected.items():
        assert observation.data[SLICES[f"{name}_features"]].tobytes() == features.tobytes()
