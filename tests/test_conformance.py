"""The conformance suite: what it finds on robots that are not as they should be, and that the mock and the simulation are."""

import dataclasses
import json

import numpy as np
import pytest

from lpds_ros.conformance.expected import ACTIONS, HEARD, SERVICES, TOPICS, Of, asked_of, topics_of
from lpds_ros.conformance.judge import (
    Endpoint,
    Row,
    Sample,
    Verdict,
    judge_heard,
    judge_served,
    judge_tool,
    judge_topic,
)
from lpds_ros.conformance.report import Report
from lpds_ros.contract import load_contract
from lpds_ros.resources import resource
from lpds_ros.robot.kinematics import tool_pose
from lpds_ros.sim.fr3 import JOINTS, Q_READY_RAD

JOINT_STATES = next(t for t in TOPICS if t.name.endswith("/measured_joint_states"))
ROBOT_STATE, EVERY = TOPICS[0], frozenset(Of)
GOOD = Endpoint("franka", JOINT_STATES.kind, reliable=False, latched=False)


def stream(rate_hz=100.0, count=50, **fields):
    made = dict(age_ns=3_000_000, frame="base", names=JOINTS, numbers=np.zeros(21)) | fields
    return [Sample(i / rate_hz, stamp_ns=1_000_000_000 + i, **made) for i in range(count)]


def judged(publishers=(GOOD,), samples=None, wanted=JOINT_STATES, asked=EVERY) -> Row:
    return judge_topic(wanted, asked, publishers, stream() if samples is None else samples)


def test_what_is_as_expected_is_ok_and_says_its_rate():
    row = judged()
    assert (row.verdict, row.text) == (Verdict.OK, "100.0 Hz, best effort, franka")


@pytest.mark.parametrize(
    "publishers, samples, verdict, text",
    [
        ((), [], Verdict.FAILED, "nobody publishes it"),
        ((dataclasses.replace(GOOD, kind="std_msgs/msg/String"),), None, Verdict.FAILED, "says std_msgs/msg/String, not sensor"),
        ((dataclasses.replace(GOOD, refused="no match"),), None, Verdict.FAILED, "franka: no match"),
        ((dataclasses.replace(GOOD, reliable=True),), None, Verdict.DIFFERS, "offers reliable, not best effort"),
        ((GOOD, dataclasses.replace(GOOD, node="other")), None, Verdict.FAILED, "2 publishers: franka, other"),
        ((GOOD,), [], Verdict.FAILED, "nothing came"),
        ((GOOD,), stream(rate_hz=15.0), Verdict.FAILED, "15.0 Hz, at least 30"),
        ((GOOD,), stream(age_ns=-2_000_000_000), Verdict.FAILED, "stamped -2.00 s before"),
        ((GOOD,), stream(age_ns=10**18), Verdict.FAILED, "simulated time, or check both"),
        ((GOOD,), stream(numbers=np.full(21, np.nan)), Verdict.FAILED, "not finite"),
        ((GOOD,), stream()[::-1], Verdict.FAILED, "stamps go back"),
        ((GOOD,), stream(names=JOINTS[::-1]), Verdict.DIFFERS, "in another order"),
        ((GOOD,), stream(names=("panda_joint1",)), Verdict.FAILED, "not the arm's: panda_joint1"),
    ],
)
def test_what_is_not_as_expected_is_named(publishers, samples, verdict, text):
    row = judged(publishers, samples)
    assert row.verdict is verdict and text in row.text


def test_what_is_not_needed_or_not_asked_of_a_robot_does_not_fail_it():
    spare = next(t for t in TOPICS if not t.needed)
    assert judged((), [], wanted=spare).verdict is Verdict.DIFFERS
    ours = next(t for t in TOPICS if t.of is Of.STANDIN)
    assert judged((), [], wanted=ours, asked=asked_of("real", "crisp")).verdict is Verdict.NOT_TRIED
    assert judge_heard(HEARD[0], asked_of("real", "jtc"), (), ()).verdict is Verdict.NOT_TRIED
    assert judge_heard(HEARD[0], asked_of("real", "crisp"), (), ()).verdict is Verdict.FAILED


def test_a_contracts_streams_are_looked_for_often_enough_for_their_age():
    contract = load_contract(resource("config/contracts/lift_images.yaml"))
    more = topics_of(contract)[len(TOPICS) :]
    assert [t.name for t in more] == ["camera/camera/color/image_raw", "camera/wrist/color/image_raw"]
    assert {(t.kind, t.of, t.lowest_hz) for t in more} == {("sensor_msgs/msg/Image", Of.CONTRACT, 5.0)}
    for reliable in (True, False):  # either does
        camera = Endpoint("camera", more[0].kind, reliable, latched=False)
        assert judged((camera,), stream(30.0, names=()), wanted=more[0]).verdict is Verdict.OK
    assert judged((), [], wanted=more[0], asked=asked_of("real", "jtc")).verdict is Verdict.FAILED
    assert topics_of(None) == TOPICS


def test_a_target_topic_takes_one_publisher():
    listener = Endpoint("controller", HEARD[0].kind, True, False)
    assert judge_heard(HEARD[0], EVERY, (listener,), ("steering",)).verdict is Verdict.OK
    row = judge_heard(HEARD[0], EVERY, (listener,), ("steering", "teleop"))
    assert row.verdict is Verdict.FAILED and "steering, teleop" in row.text


def test_a_service_of_another_type_is_not_the_service():
    row = judge_served(SERVICES[0], EVERY, ("std_srvs/srv/SetBool",))
    assert row.verdict is Verdict.FAILED and "served as std_srvs/srv/SetBool" in row.text
    assert judge_served(ACTIONS[0], EVERY, (ACTIONS[0].kind,)).verdict is Verdict.OK


def test_another_end_effector_in_desk_is_found():
    q = np.array(Q_READY_RAD)
    position, orientation = tool_pose(q)
    assert judge_tool(q, position, orientation).verdict is Verdict.OK
    row = judge_tool(q, position + (0.0, 0.0, 0.1034), orientation)
    assert row.verdict is Verdict.FAILED and row.text.startswith("103.4 mm") and "Desk" in row.text
    assert judge_tool(None, None, None).verdict is Verdict.NOT_TRIED


def test_the_report_counts_and_its_json_can_be_read_back(tmp_path):
    report = Report({"robot": "mock"}, [Row("a", Of.FRANKA, Verdict.OK, ""), Row("b", Of.FRANKA, Verdict.FAILED, "why")])
    assert (report.code, report.title()) == (1, "robot:=mock: 1 ok, 1 failed")
    report.write(tmp_path / "report.json")
    tree = json.loads((tmp_path / "report.json").read_text())
    assert tree["failed"] == 1 and tree["rows"][1] == {"subject": "b", "of": "franka_ros2", "verdict": "failed", "text": "why"}
    assert Report({"robot": "mock"}, [Row("a", Of.FRANKA, Verdict.DIFFERS, "")]).code == 0
