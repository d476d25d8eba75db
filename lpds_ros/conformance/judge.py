"""What was seen against what is expected, row by row. Pure: the nodes hand in plain values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from lpds_ros.conformance.expected import Heard, Of, Served, Topic
from lpds_ros.geometry import angle_between, canonical
from lpds_ros.perception.robot import FUTURE_TOLERANCE_NS
from lpds_ros.robot.kinematics import tool_pose

OLD_NS = 500_000_000
SAME_TOOL_M, SAME_TOOL_RAD = 0.005, 0.02


class Verdict(StrEnum):
    """differs: the stack works with it, but it is not what the table says."""

    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Row:
    """One line of the report. of: whose it is. text: what was found, or what to do."""

    subject: str
    of: str
    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Endpoint:
    """One publisher or subscription of the graph. refused: why the middleware does not connect it with ours, or ""."""

    node: str
    kind: str
    reliable: bool
    latched: bool
    refused: str = ""


@dataclass(frozen=True)
class Sample:
    """One message. arrived_s: steady clock. age_ns: since its stamp. names: of joints. numbers: all that it says."""

    arrived_s: float
    stamp_ns: int
    age_ns: int
    frame: str = ""
    names: tuple[str, ...] = ()
    numbers: np.ndarray = field(default_factory=lambda: np.zeros(0))


def judge_topic(wanted: Topic, asked: frozenset[Of], publishers: Sequence[Endpoint], samples: Sequence[Sample]) -> Row:
    """A topic that the robot says."""
    if not publishers:
        return _absent(wanted, asked, "nobody publishes it")
    wrong, off = [], []
    for end in publishers:
        if end.kind != wanted.kind:
            wrong.append(f"{end.node} says {end.kind}, not {wanted.kind}")
        elif end.refused:
            wrong.append(f"{end.node}: {end.refused}")
        elif wanted.reliable not in (None, end.reliable) or wanted.latched > end.latched:
            # More is fine: what is told as transient local is Fast DDS's own default behind "system default".
            documented = _quality(wanted.reliable, wanted.latched)
            off.append(f"{end.node} offers {_quality(end.reliable, end.latched)}, not {documented}")
    if len(publishers) > 1 and not wanted.name.startswith("/tf"):
        wrong.append(f"{len(publishers)} publishers: {', '.join(end.node for end in publishers)}")
    if not wrong:
        _judge_samples(wanted, samples, wrong, off)
    said = f"{_quality(publishers[0].reliable, publishers[0].latched)}, {publishers[0].node}"
    if len(samples) > 1 and not wanted.latched:
        said = f"{_rate_hz(samples):.1f} Hz, {said}"
    return _row(wanted, wrong, off, said)


def _judge_samples(wanted, samples, wrong, off):
    if not samples:
        (wrong if wanted.lowest_hz or wanted.latched else off).append("published, but nothing came")
        return
    if wanted.lowest_hz and (len(samples) < 2 or _rate_hz(samples) < wanted.lowest_hz):
        wrong.append(f"{_rate_hz(samples):.1f} Hz, at least {wanted.lowest_hz:g} are needed")
    if not all(np.isfinite(sample.numbers).all() for sample in samples):
        wrong.append("a number is not finite")
    if not wanted.stamped:
        return
    ages = sorted(sample.age_ns for sample in samples)
    age = ages[len(ages) // 2]
    if not -FUTURE_TOLERANCE_NS <= age <= OLD_NS:
        wrong.append(f"stamped {age / 1e9:.2f} s before it came: simulated time, or check both computers' clocks")
    stamps = [sample.stamp_ns for sample in samples]
    if any(later < earlier for earlier, later in zip(stamps, stamps[1:])):
        wrong.append("stamps go back")
    newest = samples[-1]
    if wanted.names and newest.names != wanted.names:
        order = "in another order" if sorted(newest.names) == sorted(wanted.names) else "not the arm's"
        (off if sorted(newest.names) == sorted(wanted.names) else wrong).append(f"joints {order}: {', '.join(newest.names)}")
    if wanted.frame and newest.frame != wanted.frame:
        off.append(f"frame '{newest.frame}', not '{wanted.frame}'")


def judge_heard(wanted: Heard, asked: frozenset[Of], subscribers: Sequence[Endpoint], publishers: Sequence[str]) -> Row:
    """A topic that the robot listens to. publishers: nodes that say it already (crisp_controllers obeys a single one)."""
    if not subscribers:
        return _absent(wanted, asked, "nobody listens: is its controller active?")
    wrong = [f"{end.node} hears {end.kind}, not {wanted.kind}" for end in subscribers if end.kind != wanted.kind]
    wrong += [f"{end.node}: {end.refused}" for end in subscribers if end.refused]
    if len(publishers) > 1:
        wrong.append(f"{len(publishers)} publishers, and one alone is obeyed: {', '.join(publishers)}")
    said = f"heard by {', '.join(end.node for end in subscribers)}" + (f"; said by {publishers[0]}" if publishers else "")
    return _row(wanted, wrong, [], said)


def judge_served(wanted: Served, asked: frozenset[Of], kinds: Sequence[str]) -> Row:
    """An action or a service. kinds: the types it is served with."""
    if not kinds:
        return _absent(wanted, asked, "nobody serves it")
    wrong = [f"served as {kind}, not {wanted.kind}" for kind in kinds if kind != wanted.kind]
    return _row(wanted, wrong, [], wanted.kind)


def judge_tool(q: np.ndarray | None, position: np.ndarray | None, orientation: np.ndarray | None) -> Row:
    """Whether the pose the robot says is that of its joints (rad; m; xyzw) with the Franka Hand: the tool configured in Desk."""
    subject = "tool frame"
    if q is None or position is None:
        return Row(subject, Of.FRANKA, Verdict.NOT_TRIED, "needs measured joints and pose")
    there, turned = tool_pose(q)
    apart_m = float(np.linalg.norm(position - there))
    apart_rad = angle_between(canonical(orientation), turned)
    text = f"{1000 * apart_m:.1f} mm and {math.degrees(apart_rad):.2f}° from the kinematics of its joints with the Franka Hand"
    if apart_m <= SAME_TOOL_M and apart_rad <= SAME_TOOL_RAD:
        return Row(subject, Of.FRANKA, Verdict.OK, text)
    return Row(subject, Of.FRANKA, Verdict.FAILED, f"{text}: choose the Franka Hand as end effector in Desk")


def _absent(wanted, asked, text) -> Row:
    if wanted.of not in asked:
        return Row(wanted.name, wanted.of, Verdict.NOT_TRIED, f"{text}; not asked of this robot")
    needed = getattr(wanted, "needed", True)
    return Row(wanted.name, wanted.of, Verdict.FAILED if needed else Verdict.DIFFERS, text)


def _row(wanted, wrong, off, said) -> Row:
    verdict = Verdict.FAILED if wrong else Verdict.DIFFERS if off else Verdict.OK
    return Row(wanted.name, wanted.of, verdict, "; ".join(wrong + off) or said)


def _quality(reliable: bool, latched: bool) -> str:
    return ("reliable" if reliable else "best effort") + (", transient local" if latched else "")


def _rate_hz(samples: Sequence[Sample]) -> float:
    span_s = samples[-1].arrived_s - samples[0].arrived_s
    return (len(samples) - 1) / span_s if span_s > 0 else 0.0
