"""F22 to F25 and F32: the robot, its controller, its hand, and others who command it."""

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import MOVING, Live, ms
from lpds_ros.records import Mode

STILL_M = 2e-3
OPERATE_S = 0.04


def stays(live: Live, after_ns: int, seconds: float) -> float:
    """How far the arm gets in the seconds to come, m."""
    start = live.probe.node.positions[-1].said
    live.until(lambda: False, seconds)
    places = [p.said for p in list(live.probe.node.positions) if p.at_ns >= after_ns]
    return max((sum((a - b) ** 2 for a, b in zip(place, start)) ** 0.5 for place in places), default=0.0)


def stopped(live: Live, fault: str, target: str, words: tuple[str, ...], duration_s: float = 0.0) -> Finding:
    """The robot stops by itself: STOP that names why, no target any more, nothing clears by itself, one way out."""
    live.settled()
    before = live.probe.fault(fault, target, 0.0, duration_s)
    status = live.status(before, Mode.STOP, "", 5.0)
    if status is None:
        last = live.probe.node.status[-1].said
        recover(live)
        return Finding(False, f"no STOP; steering says {Mode(last.mode).name}: {last.reason}", recovered="no")
    named = any(word in status.said.reason.lower() for word in words)
    live.until(lambda: False, 0.3 + duration_s)
    quiet_from = live.probe.node.status[-1].at_ns
    moved = stays(live, quiet_from, 1.0)
    cleared = live.probe.first(live.probe.node.status, status.at_ns, lambda h: Mode(h.said.mode) in MOVING)
    back = recover(live)
    ok = named and cleared is None and moved < STILL_M and back
    note = f"STOP: {status.said.reason}; {1e3 * moved:.1f} mm in the second after; cleared by itself: {cleared is not None}"
    return Finding(ok, note, ms(before, status), ms(before, status), "after a person" if back else "no")


def recover(live: Live) -> bool:
    """What a person does: end the fault, recover the robot, arm."""
    live.probe.fault("none")
    live.probe.recover()
    return armed(live)


def armed(live: Live) -> bool:
    """Call lpds/arm where the arm is latched; whether it is driven again."""
    before = live.probe.node.status[-1].at_ns
    live.until(lambda: False, 0.3)
    if live.probe.mode in (Mode.STOP, Mode.FAULT):
        before = live.probe.node.status[-1].at_ns
        live.until(lambda: live.probe.trigger("lpds/arm")[0], 5.0)  # refused until steering has heard of the recovery
    return live.resumed(before, 30.0)


STOPS = "STOP naming it, no target, nothing clears by itself; out by recovery and lpds/arm"


@case("F23", "a collision: REFLEX", STOPS, "stack")
def reflex(live):
    return stopped(live, "reflex", "", ("reflex",))


@case("F23", "an error flag: joint_velocity_violation", STOPS, "stack")
def error_flag(live):
    return stopped(live, "error", "joint_velocity_violation", ("joint_velocity_violation", "reflex"))


@case("F23", "the user stop is pressed for 1 s", STOPS, "stack")
def user_stop(live):
    return stopped(live, "user_stop", "", ("user stop", "user_stop"), 1.0)


@case("F24", "the controller is deactivated under the targets for 2 s", "HOLD; no wind-up: from the measured pose on", "stack")
def deactivated(live):
    live.settled()
    before = live.probe.fault("controller_inactive", "", 0.0, 2.0)
    status = live.until(
        lambda: live.probe.first(live.probe.node.status, before, lambda h: Mode(h.said.mode) in (Mode.HOLD, Mode.STOP)), 1.9
    )
    live.until(lambda: False, 2.0)
    back = armed(live)
    lead = _longest_lead(live, before)
    if status is None:
        return Finding(False, f"no HOLD; the target got {1e3 * lead:.0f} mm ahead of the arm", recovered="by itself")
    note = f"{Mode(status.said.mode).name}: {status.said.reason}; the target got {1e3 * lead:.0f} mm ahead of the arm"
    return Finding(back and lead < 0.065, note, ms(before, status), ms(before, status), "by itself" if back else "no")


def _longest_lead(live: Live, after_ns: int) -> float:
    positions = [p for p in list(live.probe.node.positions) if p.at_ns >= after_ns]
    longest, index = 0.0, 0
    for target in [t for t in list(live.probe.node.targets) if t.at_ns >= after_ns]:
        while index + 1 < len(positions) and positions[index + 1].at_ns <= target.at_ns:
            index += 1
        if positions and abs(positions[index].at_ns - target.at_ns) < 30_000_000:
            place = positions[index].said
            longest = max(longest, sum((a - b) ** 2 for a, b in zip(place, target.said)) ** 0.5)
    return longest


def hand(live: Live, fault: str, text: str) -> Finding:
    """The hand fails while a person closes it: a line names it, the arm goes on."""
    live.settled()
    before, line, tries = live.probe.fault(fault), None, 0
    while line is None and tries < 3.0 / OPERATE_S:
        live.probe.operate([0.0, 0.0, 0.0, 1.0])
        line, tries = live.said(before, "steering", text, OPERATE_S), tries + 1
    live.probe.fault("none")
    back = live.resumed(live.probe.node.status[-1].at_ns, 30.0)
    if line is None:
        return Finding(False, f"no line of steering says '{text}'", recovered="by itself" if back else "no")
    return Finding(back, line.text, ms(before, line), None, "by itself" if back else "no")


@case("F25", "the gripper stalls: no goal ends", "a line names it; the arm goes on; its goal is cancelled", "stack")
def gripper_stalls(live):
    return hand(live, "gripper_stall", "has not ended")


@case("F25", "the gripper aborts every goal", "a line names it; the arm goes on", "stack")
def gripper_aborts(live):
    return hand(live, "gripper_abort", "was aborted")


@case("F32", "a second publisher on target_pose", "HOLD naming it; the arm obeys neither; resumes without it", "stack")
def second_publisher(live):
    live.settled()
    before = live.probe.node.status[-1].at_ns
    leave = live.probe.intrude()
    status = live.status(before, Mode.HOLD, "another publisher")
    live.until(lambda: False, 0.3)  # what was commanded before it is settled by then
    moved = stays(live, live.probe.node.status[-1].at_ns, 0.5) if status else None
    leave()
    if status is None:
        return Finding(False, "no HOLD", recovered="no")
    back = live.resumed(live.probe.node.status[-1].at_ns, 30.0)
    note = f"HOLD: {status.said.reason}; the arm moved {1e3 * moved:.1f} mm in half a second"
    return Finding(back and moved < STILL_M, note, ms(before, status), ms(before, status), "by itself" if back else "no")
