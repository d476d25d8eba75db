"""Limits of the arm out of two sources: the file and the robot's own description; the narrower holds."""

import numpy as np
import pytest

from lpds_ros.robot.description import MAX_BYTES, DescriptionError, joint_ranges, narrowed
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.params import SteeringParams

# franka_description 1.0.1: of most joints narrower than the newest documents, of joint 3 the same.
Q_MAX = (2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159)
Q_MIN = (-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159)
SPEED, TORQUE = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26), (87.0,) * 4 + (12.0,) * 3


def urdf(names=None, low=Q_MIN, high=Q_MAX, speed=SPEED, torque=TORQUE, head="", more="") -> str:
    names = names or [f"fr3_joint{i}" for i in range(1, 8)]
    joints = "".join(
        f'<joint name="{n}" type="revolute"><parent link="a"/><child link="b"/><safety_controller k_velocity="40"/>'
        f'<limit lower="{a}" upper="{b}" velocity="{v}" effort="{t}"/></joint>'
        for n, a, b, v, t in zip(names, low, high, speed, torque)
    )
    finger = '<joint name="fr3_finger_joint1" type="prismatic"><limit lower="0" upper="0.04" velocity="0.2" effort="9"/></joint>'
    return f'<?xml version="1.0"?>{head}<robot name="fr3">{joints}{finger}{more}</robot>'


@pytest.fixture
def fr3():
    return load_limits("fr3")


def test_the_narrower_of_both_holds_and_is_said(fr3):
    limits, lines = narrowed(fr3, joint_ranges(urdf(speed=(1.0, *SPEED[1:]))))
    assert limits.joints.position_max_rad == Q_MAX and limits.joints.position_min_rad == Q_MIN
    assert limits.joints.velocity_max_radps == (1.0, *SPEED[1:]) and limits.suggested.velocity_max_radps[0] == 1.0
    assert "joint 1: to 2.7437 rad (its description), not 2.9007" in lines
    assert "joint 1: at most 1 rad/s (its description), not 2.62" in lines
    assert len(lines) == 13 and not any("joint 3" in line for line in lines)  # two ends of six joints, one speed


def test_a_wider_description_changes_nothing(fr3):
    limits, lines = narrowed(fr3, joint_ranges(urdf(low=(-7,) * 7, high=(7,) * 7, speed=(9,) * 7, torque=(99,) * 7)))
    assert limits == fr3 and lines == ()


def test_the_suggested_rectangle_stays_inside(fr3):
    limits, _ = narrowed(fr3, joint_ranges(urdf(high=(1.0, *Q_MAX[1:]))))
    assert limits.suggested.position_max_rad[0] == 1.0


def test_a_prefix_of_the_arm_is_part_of_its_names(fr3):
    names = [f"left_fr3_joint{i}" for i in range(1, 8)]
    assert narrowed(fr3, joint_ranges(urdf(names)))[0].joints.position_max_rad == Q_MAX


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([f"panda_joint{i}" for i in range(1, 8)], "is arm:=fr3 right"),
        ([f"fr3_joint{i}" for i in range(1, 7)], "is arm:=fr3 right"),
        ([f"{side}_fr3_joint{i}" for i in range(1, 4) for side in ("left", "right")] + ["fr3_joint7"], "of one arm"),
    ],
)
def test_joints_of_another_robot_are_refused(fr3, names, text):
    with pytest.raises(DescriptionError, match=text):
        narrowed(fr3, joint_ranges(urdf(names)))


def test_ranges_that_do_not_overlap_are_refused(fr3):
    with pytest.raises(DescriptionError, match="leave no range in common"):
        narrowed(fr3, joint_ranges(urdf(low=(3.0, *Q_MIN[1:]), high=(3.1, *Q_MAX[1:]))))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (urdf(head='<!DOCTYPE robot [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'), "DOCTYPE"),
        (urdf(head='<!DOCTYPE robot SYSTEM "file:///etc/passwd">'), "DOCTYPE"),
        (urdf()[:-8], "not XML"),
        (urdf(more="&unknown;"), "not XML"),
        (urdf(low=("nan", *Q_MIN[1:])), "'fr3_joint1' has no number for its limit's lower"),
        (urdf(high=("", *Q_MAX[1:])), "'fr3_joint1' has no number for its limit's upper"),
        (urdf(["fr3_joint1"] * 7), "'fr3_joint1' twice"),
        (urdf(more=" " * MAX_BYTES), "at most"),
        ("", "not XML"),
    ],
)
def test_a_description_that_is_none_is_refused_by_name(text, reason):
    with pytest.raises(DescriptionError, match=reason):
        joint_ranges(text)


@pytest.mark.parametrize("robot", ["fr3", "panda"])
def test_every_arm_has_its_ready_posture_inside_its_rectangle(robot):
    limits = load_limits(robot)
    q = np.array(limits.ready_rad)
    for box in (limits.joints, limits.suggested):
        assert (q > box.position_min_rad).all() and (q < box.position_max_rad).all()
    hard, inner = limits.joints, limits.suggested
    assert (np.array(inner.position_min_rad) >= hard.position_min_rad).all()
    assert (np.array(inner.position_max_rad) <= hard.position_max_rad).all()
    assert (limits.velocity_max(np.array(hard.position_max_rad)) == 0.0).all()


def test_steering_knows_the_arm_and_its_narrowed_joints():
    narrow = SteeringParams(joint_min_rad=Q_MIN, joint_max_rad=Q_MAX).limits
    assert narrow.joints.position_min_rad == Q_MIN and narrow.joints.position_max_rad == Q_MAX
    assert SteeringParams().limits == load_limits("fr3")
    assert SteeringParams(arm="panda").limits.cartesian.speed_max_mps == 1.7
