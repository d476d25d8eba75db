"""F06 to F12: decoders that are late, hang, fail, are missing, disagree with their training, or give what no arm may do."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from lpds_ros.contract import Horizons
from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.standin import Cell, Decoder, lift, strong_actor
from lpds_ros.nodes.steering_drive import HANG_S, RealtimeDriver
from lpds_ros.nodes.steering_params import Parameters
from lpds_ros.prior.bundle import BundleError, load_bundle
from lpds_ros.prior.runtime import ProviderError
from lpds_ros.prior.session import DecoderSession
from lpds_ros.records import Mode
from lpds_ros.resources import resource
from lpds_ros.steering.ahead import SlowDecoderError, check_pace
from lpds_ros.steering.clock import TickClock

DELAY = 2
NO_GPU = "no GPU here: the same boundary with a stand-in"


def _ahead(decoder: Decoder) -> Cell:
    """A core that decodes two ticks ahead in a thread of its own."""
    return Cell(replace(lift(), horizons=Horizons(1, 8, 4, delay=DELAY)), decoder, threaded=True)


def _overrun(times: int) -> tuple[Cell, list, float]:
    """A cell whose decoder, from its third chunk on, is `times` ticks late; its ticks, and the longest one's seconds."""
    decoder = Decoder()
    cell = _ahead(decoder)
    try:
        cell.until(lambda tick: decoder.calls >= 2 and decoder.idle)
        decoder.open.clear()
        late, longest, before = [], 0.0, sum(cell.core.late_ticks)
        while sum(cell.core.late_ticks) < before + times:
            began = time.perf_counter()
            late.append(cell.step())
            longest = max(longest, time.perf_counter() - began)
        decoder.open.set()
        cell.until(lambda tick: tick.mode in (Mode.RUN, Mode.PRIOR) and decoder.idle)
        return cell, late, longest
    finally:
        decoder.open.set()
        cell.core.close()


@case("F06", "one decode comes a tick late", "the rest of the old chunk runs; counted; no tick waits", "core")
def overrun_once(folder):
    cell, late, longest = _overrun(1)
    count, starved = cell.core.late_ticks
    held = [t for t in late if t.mode is Mode.HOLD]
    note = f"{count} ticks on the old chunk, {starved} without any; the longest tick took {1e3 * longest:.1f} ms"
    return Finding(count >= 1 and not held and cell.largest_step_m <= 0.0126, note, recovered="by itself")


@case("F07", "the decoder is late for twelve ticks", "the old chunk, then HOLD; no tick waits; no jump after it", "core")
def overrun_often(folder):
    cell, late, longest = _overrun(12)
    held = [t for t in late if t.mode is Mode.HOLD]
    first = next((i for i, t in enumerate(late) if t.mode is Mode.HOLD), None)
    period_ms = cell.contract.period_s * 1e3
    note = f"HOLD: {held[0].reason if held else 'never'}; the longest tick took {1e3 * longest:.1f} ms, the longest step "
    note += f"{1e3 * cell.largest_step_m:.1f} mm"
    ok = bool(held) and 1e3 * longest < period_ms and cell.largest_step_m <= 0.0126
    reacted = None if first is None else first * period_ms
    return Finding(ok, note, reacted, reacted, "by itself")


@case("F08", "the decoder raises (out of memory, device lost)", "HOLD naming it; goes on when it works again", "core",
      f"{NO_GPU}: the decoder raises RuntimeError('CUDA error: an illegal memory access')")  # fmt: skip
def raises(folder):
    decoder = Decoder()
    cell = Cell(lift(), decoder)
    cell.until(lambda tick: decoder.calls >= 2)
    decoder.error = RuntimeError("CUDA error: an illegal memory access")
    held = cell.until(lambda tick: tick.mode is Mode.HOLD)
    decoder.error = None
    cell.until(lambda tick: tick.mode is Mode.PRIOR)
    return Finding("illegal memory access" in held.reason, f"HOLD: {held.reason}", recovered="by itself")


class _Host:
    """What a RealtimeDriver asks of its node; control never returns once the decoder hangs."""

    running, params, stopped_s = True, Parameters(), None

    def __init__(self, hang: threading.Event):
        self.hang, self.began_s = hang, None

    def create_guard_condition(self, callback):
        return None

    def overdue(self):
        self.stopped_s = self.stopped_s or time.monotonic()

    def control(self, observation):
        self.began_s = time.monotonic()
        self.hang.wait()
        raise SystemExit


@case("F08", "the decoder hangs within a tick", "HOLD in the status after 3 periods, STOP after 1 s, its end after 2 s", "core",
      "the tick's driver with a decoder that waits for ever")  # fmt: skip
def hangs(folder):
    host = _Host(threading.Event())
    driver = RealtimeDriver(host, host, TickClock(10_000_000), 1, 1)
    driver.on_observation(Cell(lift(), Decoder()).observation())
    thread = threading.Thread(target=_ticks, args=(driver,), daemon=True)
    thread.start()
    try:
        began = time.monotonic()
        while driver.busy_s < 0.15 and time.monotonic() - began < 10.0:
            time.sleep(0.005)
        detected = 1e3 * (time.monotonic() - host.began_s)
        while True:
            driver.poll()
            time.sleep(0.02)
    except TimeoutError as error:
        ended, stopped = time.monotonic() - host.began_s, (host.stopped_s or time.monotonic()) - host.began_s
        ok = ended <= HANG_S + 0.5 and stopped <= host.params.watchdog_s + 0.5
        return Finding(ok, f"STOP; then the process's end: {error}", detected, 1e3 * stopped, "after lpds/arm")
    finally:
        host.hang.set()
        thread.join(5.0)


def _ticks(driver: RealtimeDriver):
    try:
        driver.tick_until(threading.Event())
    except SystemExit:
        pass


@case("F09", "a provider that is not here: TensorRT", "refused with what to install; no silent fallback", "core", NO_GPU)
def no_provider(folder):
    bundle = load_bundle(resource("models/lift"))
    try:
        session = DecoderSession(bundle, "tensorrt")
    except ProviderError as error:
        return Finding(True, str(error))
    return Finding(False, f"it runs on {session.provider}")


@case("F09", "a decoder that takes longer than the contract leaves it", "refused at the start, with the delay it needs", "core")
def too_slow(folder):
    decoder = Decoder()
    decoder.delay_s = 0.04
    try:
        check_pace(lift(), decoder)
    except SlowDecoderError as error:
        return Finding(True, str(error))
    return Finding(False, "it was started")


@case("F10", "a decoder that disagrees with its recorded cases", "refused when it is loaded, naming file and difference", "core")
def disagrees(folder):
    try:
        DecoderSession(_Shifted(load_bundle(resource("models/lift"))), "cpu")
    except BundleError as error:
        return Finding("golden case" in str(error), str(error))
    return Finding(False, "it was loaded")


class _Shifted:
    """A bundle whose golden cases' actions are a hundredth off."""

    def __init__(self, bundle):
        self._bundle = bundle

    def golden(self, *arguments):
        return [(*given, action + np.float32(1e-2)) for *given, action in self._bundle.golden(*arguments)]

    def __getattr__(self, name):
        return getattr(self._bundle, name)


@case("F10", "a bundle with one byte of its decoder changed", "refused when it is loaded, with both digests", "core")
def altered(folder):
    copy = Path(shutil.copytree(resource("models/lift"), folder / "lift"))
    content = bytearray((copy / "decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "decoder.onnx").write_bytes(content)
    try:
        load_bundle(copy)
    except BundleError as error:
        return Finding("sha256" in str(error), str(error))
    return Finding(False, "it was loaded")


@case("F11", "a perturbation that is not finite", "the whole frame is dropped: PRIOR; the arm goes on", "core")
def bad_perturbation(folder):
    decoder = Decoder()
    cell = Cell(lift(), decoder)
    cell.core.install_weights(strong_actor(cell.contract))
    with np.errstate(all="ignore"):
        tick = cell.until(lambda tick: "not finite" in tick.reason, 40)
    finite = all(np.isfinite(t.position).all() for t in tick.targets)
    return Finding(tick.mode is Mode.PRIOR and finite, f"{tick.mode.name}: {tick.reason}", recovered="by itself")


@case("F11", "chunks of NaN, three in a row and more", "HOLD; nothing that is not finite is sent; goes on after", "core")
def bad_chunks(folder):
    decoder = Decoder()
    cell = Cell(lift(), decoder)
    cell.until(lambda tick: decoder.calls >= 2)
    decoder.spoil = lambda rows: rows * np.nan
    held = cell.until(lambda tick: tick.mode in (Mode.HOLD, Mode.STOP))
    ticks = [cell.step() for _ in range(20)]
    finite = all(np.isfinite(t.position).all() for tick in ticks for t in tick.targets)
    decoder.spoil = lambda rows: rows
    cell.until(lambda tick: tick.mode is Mode.PRIOR, 100)
    moved = not all(tick.mode in (Mode.HOLD, Mode.STOP) for tick in ticks)
    return Finding(finite and not moved, f"{held.mode.name}: {held.reason}", recovered="by itself")


@case("F12", "finite but wild actions, a thousand times too large", "cut to the limits, counted; HOLD where it lasts", "core")
def wild(folder):
    decoder = Decoder()
    cell = Cell(lift(), decoder)
    cell.until(lambda tick: decoder.calls >= 2)
    decoder.spoil = lambda rows: 1000.0 * rows
    ticks = [cell.step() for _ in range(80)]
    held = [t for t in ticks if t.mode is Mode.HOLD and "episode" not in t.reason]
    decoder.spoil = lambda rows: rows
    cell.until(lambda tick: tick.mode is Mode.PRIOR, 100)
    low, high = np.array(cell.contract.workspace.min_m), np.array(cell.contract.workspace.max_m)
    places = np.array([t.position for tick in ticks for t in tick.targets])
    inside = bool((places >= low - 1e-9).all() and (places <= high + 1e-9).all())
    note = f"the longest step was {1e3 * cell.largest_step_m:.2f} mm (limit 12.5), inside the workspace: {inside}; "
    note += f"HOLD: {held[0].reason}" if held else "no HOLD in 4 s of it"
    return Finding(cell.largest_step_m <= 0.01251 and inside and bool(held), note, recovered="by itself")
