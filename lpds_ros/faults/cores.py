"""F05, F18, F31: what is about time, judgement and hands, on cores without processes."""

from dataclasses import replace

import numpy as np

from lpds_ros.faults.finding import Finding, case
from lpds_ros.faults.pushes import actor
from lpds_ros.faults.standin import Cell, Decoder, lift
from lpds_ros.prior.bundle import load_bundle
from lpds_ros.records import Episode, Mode, OperatorInput, Source
from lpds_ros.resources import resource
from lpds_ros.steering.canary import Canary
from lpds_ros.steering.clock import TickClock
from lpds_ros.steering.gate import Push, WeightsGate
from lpds_ros.weights import pack_weights, sha256

PERIOD_NS = 50_000_000
LIMIT_M = 0.0126  # 0.25 m/s in a period, and rounding


@case("F05", "the system's clock jumps 5 s back and forth under the tick", "no tick twice, no burst; HOLD, then on", "core")
def clock_jumps(folder):
    cell = Cell(lift(), Decoder())
    cell.until(lambda tick: tick.mode is Mode.PRIOR)
    held = []
    for seconds in (-5, 5, -5, 5):
        cell.now_ns += seconds * 1_000_000_000
        held.append(cell.step().mode is Mode.HOLD if seconds < 0 else True)
        cell.until(lambda tick: tick.mode is Mode.PRIOR, 20)
    note = f"HOLD at each jump back: {all(held)}; the longest step was {1e3 * cell.largest_step_m:.1f} mm"
    return Finding(all(held) and cell.largest_step_m <= LIMIT_M, note, 50.0, 50.0, "by itself")


@case("F05", "the machine stands still for 5 s", "the missed ticks are skipped, not made up for", "core",
      "a fake steady clock that jumps 5 s between two ticks")  # fmt: skip
def machine_stands_still(folder):
    now = [0]

    def sleep(seconds):
        now[0] += round(seconds * 1e9)

    clock = TickClock(PERIOD_NS, now_ns=lambda: now[0], sleep_s=sleep)
    for _ in range(10):
        clock.pace()
    now[0] += 5_000_000_000
    times = [clock.pace() and now[0] for _ in range(10)]
    gaps = np.diff(times)
    note = f"{clock.skipped} ticks skipped; after it one every {gaps.min() / 1e6:.0f} to {gaps.max() / 1e6:.0f} ms"
    return Finding(clock.skipped in (98, 99, 100) and gaps[1:].min() >= PERIOD_NS, note)


@case("F18", "weights under which every episode fails", "the best version runs again; the reason said; quarantined", "core",
      "episodes of a made-up outcome, through the gate and canary of the steering node")  # fmt: skip
def worse_weights(folder):
    bundle = load_bundle(resource("models/lift"))
    installed, reasons, window = [], [], 10
    gate = WeightsGate(
        bundle.contract,
        bundle.digest,
        lambda parameters: installed.append(parameters.version),
        golden=bundle.golden(),
        max_radius=12.0,
        canary=Canary(window, 0.3),
        session="campaign",
        on_rollback=reasons.append,
    )
    number = 0

    def push(version: int):
        blob = pack_weights(actor(bundle, version))
        gate.push(Push(version, sha256(blob), gate.lineage, blob))

    def episodes(version: int, success: bool, most: int) -> int:
        nonlocal number
        for count in range(1, most + 1):
            number += 1
            end = "success" if success else "time"
            gate.ended(Episode("s", number, number, number, success, float(success), 40, 5, end, version))
            if reasons:
                return count
        return most

    push(1)
    episodes(1, True, 2 * window)
    kept = gate.kept
    push(2)
    count = episodes(2, False, 3 * window)
    back = installed[-1] == kept == 1 and gate.quarantined == 2
    try:
        push(2)
        again = True
    except ValueError:
        again = False
    note = f"after {count} failed episodes (window {window}): {reasons[0] if reasons else 'nothing'}; taken again: {again}"
    return Finding(back and bool(reasons) and not again and count <= window, note, recovered="by itself")


@case("F31", "a person takes over and lets go at 200 random ticks", "no jump either way; decisions labelled as theirs", "core")
def takeovers(folder):
    cell, rng = Cell(replace(lift(), max_ticks=400), Decoder()), np.random.default_rng(5)
    by_hand, changes = False, 0
    labels = {Source.OPERATOR: 0, Source.PRIOR: 0}
    expected = 0
    while changes < 200:
        if rng.random() < 0.2:
            by_hand, changes = not by_hand, changes + 1
        action = rng.uniform(-1.0, 1.0, cell.contract.action.size).astype(np.float32)
        tick = cell.step(OperatorInput(cell.now_ns, True, action) if by_hand else None)
        if tick.source is not None:
            expected += (tick.source is Source.OPERATOR) != by_hand
    for decision in cell.decisions:
        labels[decision.source] += 1
    keys = [d.key for d in cell.decisions]
    ok = cell.largest_step_m <= LIMIT_M and not expected and all(labels.values()) and len(set(keys)) == len(keys)
    note = f"the longest step was {1e3 * cell.largest_step_m:.1f} mm; {labels[Source.OPERATOR]} decisions the person's, "
    note += f"{labels[Source.PRIOR]} the policy's, {expected} ticks labelled wrong"
    return Finding(ok, note, recovered="not needed")
