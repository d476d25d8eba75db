"""F20 to F22, F27, F33, F34: processes that die, stall, lose their disk, or take all of the machine."""

import os
import resource
import signal
import subprocess
import sys
import time

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import Live, ms
from lpds_ros.faults.robot import armed, stays
from lpds_ros.faults.soak import sampled
from lpds_ros.records import Mode

REST_RADPS = 0.01
T_CMD_MS = 100.0
MACHINE_MS = 100.0


@case("F21", "steering is killed in motion", "arm at rest within 100 ms; respawned, it waits for lpds/arm", "stack")
def steering_killed(live):
    moving = live.require(lambda: _fast(live), "an arm that moves", 60.0)
    pid = live.pid("steering")
    before = live.signal("steering")
    live.until(lambda: False, 0.6)
    after = [s for s in list(live.probe.node.speeds) if s.stamp_ns >= before]
    last_moving = max((s.stamp_ns for s in after if s.said > REST_RADPS), default=before)
    rest_ms = (last_moving - before) / 1e6 + 10.0  # the next sample, 10 ms later, is the first at rest
    if not live.respawned("steering", pid):
        return Finding(False, "it was not started again", recovered="no")
    status = live.status(before, Mode.STOP, "lpds/arm", 60.0)
    if status is None:
        return Finding(False, "the new process does not wait for lpds/arm", None, rest_ms, "no")
    moved = stays(live, status.at_ns, 3.0)
    back = armed(live)
    ok = rest_ms <= T_CMD_MS and moved < 1e-3 and back
    note = (
        f"at {moving:.2f} rad/s when killed; the respawned process: STOP: {status.said.reason}; the arm moved "
        f"{1e3 * moved:.2f} mm in the 3 s before lpds/arm"
    )
    return Finding(ok, note, None, rest_ms, "after lpds/arm" if back else "no")


def _fast(live: Live) -> float:
    """The fastest joint, where the arm is on its way."""
    last = live.probe.node.speeds[-1].said
    return last if last > 0.1 and live.probe.mode in (Mode.RUN, Mode.PRIOR) else 0.0


def killed(live: Live, name: str, text: str, limit_ms: float) -> Finding:
    """HOLD that names what is missing; the launcher names the process; driven again when it is back."""
    live.settled()
    pid = live.pid(name)
    before = live.signal(name)
    status = live.status(before, Mode.HOLD, text)
    named = live.until(lambda: next((e for e in list(live.ends) if e.at_ns >= before and e.name == name), None))
    if status is None or named is None:
        return Finding(False, f"no HOLD that names '{text}'", ms(before, named), None, "no")
    back = live.respawned(name, pid) and live.resumed(time.time_ns(), 60.0)
    reacted = ms(before, status)
    note = f"HOLD: {status.said.reason}; the launcher: {named.text}"
    return Finding(back and reacted <= limit_ms, note, ms(before, named), reacted, "by itself" if back else "no")


@case("F22", "perception is killed", "HOLD within three periods naming it; resumes when it is back", "stack")
def perception_killed(live):
    return killed(live, "perception", "lpds/observation", 1e3 * 4 * live.plan.contract.period_s + MACHINE_MS)


@case("F22", "the simulation (the robot) is killed", "HOLD within age limit + one period; resumes when it is back", "stack")
def robot_killed(live):
    return killed(live, "sim", "stream", 1e3 * (0.2 + live.plan.contract.period_s) + MACHINE_MS)


@case("F22", "the recorder is killed", "named by the launcher; the arm goes on; no decision is lost", "stack")
def recorder_killed(live):
    live.settled()
    pid, count = live.pid("recorder"), len(live.probe.node.decisions)
    before = live.signal("recorder")
    named = live.until(lambda: next((e for e in list(live.ends) if e.at_ns >= before and e.name == "recorder"), None))
    again = live.respawned("recorder", pid) and live.said(before, "recorder", "recording to", 30.0)
    live.until(lambda: len(live.probe.node.decisions) >= count + 12, 60.0)
    note = f"the launcher: {named.text}" if named else "nobody named it"
    return Finding(bool(named and again), note, ms(before, named), None, "by itself" if again else "no")


@case("F20", "the learner is killed", "the arm goes on with frozen weights; LEARNER_LOST; it resumes where it was", "learner")
def learner_killed(live):
    node = live.probe.node
    live.require(lambda: node.learner and node.learner[-1].said.weights_version >= 2, "two versions of the weights", 240.0)
    live.require((live.run_dir / "checkpoint" / "state.json").exists, "a checkpoint", 120.0)
    live.settled()
    pid, last = live.pid("learner"), node.learner[-1].said
    before = live.signal("learner")
    held = live.status(before, None, "LEARNER_LOST", 15.0)
    still = live.probe.mode in (Mode.RUN, Mode.PRIOR, Mode.HOLD)
    live.respawned("learner", pid)
    resumed = live.said(before, "learner", "resumed after", 60.0)
    newer = live.until(lambda: node.learner[-1].said.weights_version > last.weights_version, 120.0)
    decisions = node.learner[-1].said.decisions
    ok = bool(held and resumed and newer) and still and decisions >= last.decisions
    note = (
        f"steering: {held.said.reason if held else 'nothing of a lost learner'}; the learner: "
        f"{resumed.text.split(': ')[-1] if resumed else 'did not resume'}, {last.decisions} decisions before, {decisions} after"
    )
    return Finding(ok, note, ms(before, held), None, "by itself" if newer else "no")


@case("F27", "the recorder's disk is full for 4 s", "the recorder says so; the arm goes on; nothing is lost", "stack",
      "a file size limit of the recorder's process: the kernel refuses each write, as ENOSPC would")  # fmt: skip
def disk_full(live):
    live.settled()
    pid, count = live.pid("recorder"), len(live.probe.node.decisions)
    log = max(live.run_dir.glob("rollouts*.mcap"), key=lambda p: p.stat().st_mtime)
    before = time.time_ns()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 100, resource.RLIM_INFINITY))
    said = live.said(before, "recorder", "messages wait", 15.0)
    live.until(lambda: False, 4.0)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    live.until(lambda: len(live.probe.node.decisions) >= count + 20, 60.0)
    driven = live.resumed(time.time_ns(), 30.0)
    note = said.text if said else "the recorder said nothing"
    return Finding(bool(said) and driven, note, ms(before, said), None, "by itself" if said else "no")


@case("F27", "the recorder's disk hangs for 4 s", "the arm goes on; nothing is lost", "stack",
      "SIGSTOP of the recorder: nothing is written, nothing is taken in")  # fmt: skip
def disk_slow(live):
    return paused(live, "recorder")


def paused(live: Live, name: str, seconds: float = 4.0) -> Finding:
    """Stop a process that the arm does not need, go on with it: no tick is late for it, nothing is lost."""
    live.settled()
    count = len(live.probe.node.decisions)
    before = live.signal(name, signal.SIGSTOP)
    live.until(lambda: False, seconds)
    held = live.status(before, Mode.HOLD, "stream", 0.0) or live.status(before, Mode.HOLD, "observation", 0.0)
    live.signal(name, signal.SIGCONT)
    live.until(lambda: len(live.probe.node.decisions) >= count + 12, 60.0)
    live.until(lambda: False, 1.0)
    note = "the arm was driven on" if held is None else f"HOLD: {held.said.reason}"
    return Finding(held is None, note, recovered="by itself")


@case("F33", "the learner hears nothing for 5 s", "bounded memory, catches up by ids, no stale update", "learner",
      "SIGSTOP of the learner: to it and from it nothing gets through, as in a partition")  # fmt: skip
def learner_cut_off(live):
    node, pid = live.probe.node, live.pid("learner")
    rss = sampled(pid)["memory"]
    finding = paused(live, "learner", 5.0)
    ids = {h.said for h in list(node.decisions)}
    caught_up = live.until(lambda: node.learner[-1].said.decisions >= len(ids), 60.0)
    used = [h.said.weights_version for h in list(node.status)]
    rising = all(a <= b for a, b in zip(used, used[1:]))
    grown = sampled(pid)["memory"] - rss
    note = f"{finding.note}; {len(ids)} decisions heard by then, the learner has {node.learner[-1].said.decisions}; "
    note += f"its memory grew by {grown:.1f} MiB; versions in use only rose: {rising}"
    return Finding(finding.ok and bool(caught_up) and rising and grown < 50.0, note, recovered="by itself")


@case("F34", "further processes at the learner's priority take every core", "no HOLD; not 5 % more late ticks", "learner")
def saturated(live):
    live.settled()
    without = _late_share(live, 10.0)
    command = ["nice", "-n", "10", sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(command, process_group=0) for _ in range(os.cpu_count())]
    began = time.time_ns()
    try:
        with_them = _late_share(live, 10.0)
    finally:
        for hog in hogs:
            os.killpg(hog.pid, signal.SIGKILL)
            hog.wait()
    held = live.status(began, Mode.HOLD, "stream", 0.0) or live.status(began, Mode.HOLD, "observation", 0.0)
    note = f"{100 * without:.1f} % of the ticks late or skipped in 10 s without them, {100 * with_them:.1f} % with; the load "
    note += f"was {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" + (f"; HOLD: {held.said.reason}" if held else "")
    return Finding(held is None and with_them <= without + 0.05, note)


def _late_share(live: Live, seconds: float) -> float:
    """Ticks more than half a period late, or skipped, among those of the seconds to come."""
    first = live.probe.node.status[-1].said
    live.until(lambda: False, seconds)
    last = live.probe.node.status[-1].said
    return (last.missed_deadlines - first.missed_deadlines) / max(1, last.ticks - first.ticks)
