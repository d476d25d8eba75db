"""F02 and F03 of the simulated cameras, under a contract that sees through two of them."""

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.live import Live, ms
from lpds_ros.faults.streams import LEAD_MS, MACHINE_MS, held
from lpds_ros.perception.librealsense import CameraError, librealsense
from lpds_ros.perception.realsense import CameraSettings, RealSense
from lpds_ros.records import Mode

FRONT, WRIST = "camera", "wrist"  # the cameras' names; the contract's streams are front and wrist
SHORT_S = 0.4  # of simulated time: well before a camera counts as lost, also where a machine lets it pass slowly
GONE_S = 3.0


def _limit_ms(live: Live, stream: str, moving_s: float = 0.0) -> float:
    contract = live.plan.contract
    return 1e3 * (contract.streams[stream].max_age_s + contract.period_s + moving_s) + LEAD_MS + MACHINE_MS


@case("F02", "the front camera frozen: the same stamp", "stale: HOLD, never a held picture; resumes", "eyes")
def frozen(live):
    return held(live, FRONT, "freeze", 0.0, "stream 'front'", _limit_ms(live, "front"), SHORT_S)


@case("F02", "the wrist camera frozen: the same bytes under new stamps", "HOLD once the tool has moved; resumes", "eyes")
def repeated(live):
    return held(live, WRIST, "repeat", 0.0, "the camera is frozen", _limit_ms(live, "wrist", 0.3), SHORT_S)


@case("F03", "a RealSense that is not there at the start", "its node ends with one line: topic, what is there, remedy", "core")
def absent(folder):
    settings = CameraSettings(name="camera/wrist", serial="000000000000", appear_s=0.0)
    try:
        RealSense(settings, librealsense()).open()
    except CameraError as error:
        return Finding(bool(error.remedy) and ("camera/wrist" in error.problem or "pyrealsense2" in error.problem), str(error))
    return Finding(False, "it was opened")


@case("F03", "the front camera's pictures come 0.3 s late", "HOLD naming stream and age; resumes", "eyes")
def late(live):
    return held(live, FRONT, "late", 0.3, "stream 'front'", _limit_ms(live, "front"), SHORT_S)


@case("F03", "the wrist camera gone in mid-episode, for 3 s", "HOLD naming it; episode truncated; resumes by lpds/arm", "eyes")
def gone(live):
    live.settled()
    before = live.probe.fault("stop", WRIST, 0.0, GONE_S)
    status = live.status(before, Mode.HOLD, "stream 'wrist'")
    lost = live.status(before, Mode.HOLD, "camera 'wrist'")
    if status is None or lost is None:
        return Finding(False, f"no HOLD that names the camera: {status and status.said.reason}", recovered="no")
    early, why = live.probe.trigger("lpds/arm")
    back = live.until(lambda: live.probe.first(live.probe.node.observations, lost.at_ns, lambda o: o.said[0]))
    live.until(lambda: False, 1.0)
    last = live.probe.node.status[-1].said
    waits = back and Mode(last.mode) == Mode.HOLD and "lpds/arm" in last.reason
    blind = sum(heard.stamp_ns >= status.stamp_ns for heard in list(live.probe.node.decisions))
    armed, _ = live.probe.trigger("lpds/arm")
    resumed = live.resumed(back.at_ns if back else lost.at_ns)
    note = f"HOLD: {status.said.reason}; then {lost.said.reason}; armed meanwhile: {why}; {blind} decisions began without it"
    ok = waits and not early and armed and resumed and not blind
    return Finding(ok, note, ms(before, status), ms(before, status.stamp_ns) + LEAD_MS, "after lpds/arm" if resumed else "no")
