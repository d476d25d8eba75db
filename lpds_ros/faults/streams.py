"""F01 to F05: streams that stop, freeze, lie about their time, or carry no numbers; clocks that jump."""

import time

import numpy as np

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import Live, ms
from lpds_ros.records import Mode
from lpds_ros.sim.streams import STATE

POSE, JOINTS, GRIPPER, OBJECT = (
    f"{STATE}/current_pose",
    f"{STATE}/measured_joint_states",
    "franka_gripper/joint_states",
    "lpds/object_pose",
)
# From the first bad sample: the age limit, one control period, perception's lead; then what the machine adds to the messages.
LEAD_MS, MACHINE_MS = 8.0, 60.0


def held(live: Live, topic: str, fault: str, value: float, text: str, limit_ms: float, duration_s: float = 1.0) -> Finding:
    """Inject into one stream; HOLD must come within limit_ms, name `text`, and end by itself after the fault."""
    live.settled()
    before = live.probe.fault(fault, topic, value, duration_s)
    bad = live.until(
        lambda: live.probe.first(live.probe.node.observations, before, lambda o: not o.said[0] and text in o.said[1])
    )
    status = live.status(before, Mode.HOLD, text)
    if status is None:
        return Finding(False, f"no HOLD that names '{text}'; {_last(live)}", recovered="no")
    back = live.resumed(status.at_ns)
    # Of the ticks themselves: when this process got to hear of them says how busy the machine is.
    detected, reacted = ms(before, bad.stamp_ns if bad else None), ms(before, status.stamp_ns) + LEAD_MS
    note = f"HOLD: {status.said.reason}" + ("" if reacted <= limit_ms else f"; later than {limit_ms:.0f} ms")
    return Finding(back and reacted <= limit_ms, note, detected, reacted, "by itself" if back else "no")


def _last(live: Live) -> str:
    last = live.probe.node.status[-1].said
    return f"steering says {Mode(last.mode).name}: {last.reason}"


def _limit_ms(live: Live, stream: str, aged: bool = True) -> float:
    contract = live.plan.contract
    age_s = contract.streams[stream].max_age_s if aged else 0.0
    return 1e3 * (age_s + contract.period_s) + LEAD_MS + MACHINE_MS


@case("F01", "pose stream stops", "HOLD within age limit + one period, naming stream and age; resumes", "stack")
def pose_stops(live):
    return held(live, POSE, "stop", 0.0, "stream 'pose'", _limit_ms(live, "pose"))


@case("F01", "joint stream stops", "HOLD within age limit + one period, naming stream and age; resumes", "stack")
def joints_stop(live):
    return held(live, JOINTS, "stop", 0.0, "stream 'joint_state'", _limit_ms(live, "joint_state"))


@case("F01", "pose stream comes 0.4 s late", "HOLD naming stream and age; resumes", "stack")
def pose_late(live):
    return held(live, POSE, "late", 0.4, "stream 'pose'", _limit_ms(live, "pose"))


@case("F02", "the object's pose frozen: the same stamp", "stale: HOLD, never a held value; resumes", "stack")
def frozen(live):
    return held(live, OBJECT, "freeze", 0.0, "stream 'object'", _limit_ms(live, "object"))


@case("F02", "the arm's pose repeated under new stamps", "HOLD; resumes", "stack")
def repeated(live):
    return held(live, POSE, "repeat", 0.0, "frozen", 1500.0, 2.5)


@case("F02", "every stream of the robot repeated under new stamps", "HOLD; resumes", "stack")
def all_repeated(live):
    return held(live, "", "repeat", 0.0, "", 6000.0, 6.0)


@case("F03", "object stream gone in mid-episode, for 3 s", "HOLD naming it; no decision of it; resumes", "stack")
def gone(live):
    live.settled()
    before = live.probe.fault("stop", OBJECT, 0.0, 3.0)
    status = live.status(before, Mode.HOLD, "stream 'object'")
    if status is None:
        return Finding(False, f"no HOLD; {_last(live)}", recovered="no")
    live.until(lambda: False, 2.5)
    blind = sum(heard.stamp_ns >= status.stamp_ns for heard in list(live.probe.node.decisions))
    back = live.resumed(status.at_ns + int(2.4e9))
    note = f"HOLD: {status.said.reason}; {blind} decisions were begun in the 2.5 s after it"
    return Finding(back and not blind, note, ms(before, status), ms(before, status), "by itself" if back else "no")


@case("F04", "pose stamped 0.5 s in the future", "refused, HOLD; resumes", "stack")
def future(live):
    return held(live, POSE, "future", 0.5, "in the future", _limit_ms(live, "pose", False))


@case("F04", "pose stamped zero", "refused, HOLD; resumes", "stack")
def unstamped(live):
    return held(live, POSE, "unstamped", 0.0, "no time stamp", _limit_ms(live, "pose"))


@case("F04", "pose stamped with simulated time (56 years ago)", "refused, HOLD; resumes", "stack")
def mixed(live):
    return held(live, POSE, "future", -time.time(), "stream 'pose'", _limit_ms(live, "pose", False))


@case("F04", "pose full of NaN", "refused, HOLD naming the number; resumes", "stack")
def not_finite(live):
    return held(live, POSE, "nan", 0.0, "position[0] is nan", _limit_ms(live, "pose"))


def jumped(live: Live, seconds: float) -> Finding:
    """Every stamp of the robot is off: HOLD, and at no moment more targets, or farther ones, than in ordinary running."""
    live.settled()
    before = live.probe.fault("clock_jump", "", seconds, 2.0)
    status = live.status(before, Mode.HOLD, "stream")
    if status is None:
        return Finding(False, f"no HOLD; {_last(live)}", recovered="no")
    live.until(lambda: False, 2.2)
    back = live.resumed(status.at_ns + int(2e9))
    targets = [t for t in list(live.probe.node.targets) if t.at_ns >= before]
    rate, step = _burst(targets)
    ok = back and rate <= 2.0 * live.plan.arguments.target_hz and step <= 0.026
    note = f"HOLD: {status.said.reason[:90]}…; at most {rate:.0f} targets/s and {1e3 * step:.1f} mm between two"
    return Finding(ok, note, ms(before, status), ms(before, status), "by itself" if back else "no")


def _burst(targets) -> tuple[float, float]:
    """(most targets per second in any 0.25 s, longest way between two successive ones of an episode, m)."""
    stamps = np.array([t.stamp_ns for t in targets], np.int64)
    count = np.searchsorted(stamps, stamps + 250_000_000) - np.arange(len(stamps)) if len(stamps) else np.zeros(1)
    places = np.array([t.said for t in targets]).reshape(-1, 3)
    near = np.diff(stamps) < 200_000_000  # across a pause lies a reset
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)[near]
    return float(count.max() / 0.25), float(steps.max(initial=0.0))


@case("F05", "the robot's clock jumps 5 s forward", "HOLD, no burst of commands; resumes", "stack")
def forward(live):
    return jumped(live, 5.0)


@case("F05", "the robot's clock jumps 5 s back", "HOLD, no burst of commands; resumes", "stack")
def backward(live):
    return jumped(live, -5.0)


@case("F05", "/clock stops for 2 s", "deadlines are steady time: no tick is late for it", "stack")
def clock_stops(live):
    live.settled()
    before = live.probe.fault("stop", "/clock", 0.0, 2.0)
    live.until(lambda: False, 2.0)
    status = live.status(before, Mode.HOLD, "stream", 0.0)
    return Finding(status is None, "the arm was driven on" if status is None else f"HOLD: {status.said.reason}")
