"""What the flight recorder costs: a tick's note, the memory of a full ring, a recording's way to the disk.

    python benchmarks/flight.py                 20 Hz, 10 s before and 1 s after
    python benchmarks/flight.py --rate 1000

The real core steers a perfect arm with drawn weights and a decoder that takes no time; of its ticks only the note is timed.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, load_contract
from lpds_ros.records import Observation
from lpds_ros.resources import resource
from lpds_ros.steering.core import SteeringCore, SteeringParams
from lpds_ros.steering.flight import FlightRecorder
from lpds_ros.steering.flight_file import Circumstances, read_flight, write_flight
from lpds_ros.weights import ActorParameters

WINDOW_S, TAIL_S, WIDTH = 10.0, 1.0, 256
READY_RAD = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
PARAMS = SteeringParams(cut_ticks=10**9)  # drawn rows lead to the edge of the workspace and stay there


class Immediate:
    """Rows that are the noise, bounded."""

    bundle = None

    def decode(self, state, noise):
        return np.tanh(noise)


def drawn_actor(contract: Contract) -> ActorParameters:
    """Three layers of the usual width."""
    rng, out = np.random.default_rng(0), contract.noise_shape[0] * contract.noise_shape[1]
    sizes = (contract.state_size + out, WIDTH, WIDTH, out)
    layers = tuple(
        (rng.normal(0, 0.05, (b, a)).astype(np.float32), np.zeros(b, np.float32)) for a, b in zip(sizes, sizes[1:])
    )
    shift, scale = np.zeros(contract.state_size, np.float32), np.ones(contract.state_size, np.float32)
    return ActorParameters(1, 0, contract.digest, "", 1.0, "state_noise", shift, scale, layers)


def fly(contract: Contract, recorder: FlightRecorder, seconds: float, each=lambda tick: None) -> np.ndarray:
    """Steer for so long, stop, and steer on for the tail; seconds that each note took."""
    core = SteeringCore(contract, PARAMS, Immediate(), seed=0, session="flight")
    core.install_weights(drawn_actor(contract))
    core.begin_episode(0, 0)
    position, ticks = np.array([0.5, 0.0, 0.3]), round(seconds * contract.rate_hz)
    taken_s = np.zeros(ticks + round(TAIL_S * contract.rate_hz))
    for i in range(len(taken_s)):
        if i == ticks:
            core.stop("the end of it")
        seen = Observation(
            stamp_ns=(i + 1) * contract.period_ns,
            valid=True,
            reason="",
            data=np.zeros(contract.observation_size, np.float32),
            ages_s=dict.fromkeys(contract.streams, 0.004),
            position=position,
            orientation=np.array([1.0, 0.0, 0.0, 0.0]),
            joints=READY_RAD,
            gripper_width=0.08,
        )
        tick = core.tick(seen)
        began_s = time.perf_counter()
        recorder.note(seen, None, tick, core.trace(), 1e-3, 1e-4)
        taken_s[i] = time.perf_counter() - began_s
        position = tick.targets[-1].position
        each(i)
    return taken_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=20.0, help="control rate in Hz (default 20)")
    args = parser.parse_args()
    contract = load_contract(resource("config/contracts/lift.yaml"))
    step_m = contract.action.translation_scale_m * contract.rate_hz / args.rate  # the same speed
    action = dataclasses.replace(contract.action, translation_scale_m=step_m)
    contract = dataclasses.replace(contract, rate_hz=args.rate, max_ticks=10**9, action=action)
    recorder = FlightRecorder(contract.period_s, WINDOW_S, TAIL_S)
    taken_us = 1e6 * fly(contract, recorder, 6 * WINDOW_S)
    p50, p99 = np.percentile(taken_us, (50, 99))
    print(f"{args.rate:g} Hz, {len(taken_us)} ticks: a note {p50:.1f} µs, 99th percentile {p99:.1f} µs")

    recording = recorder.take()
    if not recording.came_down.reason.startswith("the end"):
        raise SystemExit(f"the arm was held before its end: {recording.came_down.reason}")
    with tempfile.TemporaryDirectory() as folder:
        path, began_s, cpu_s = Path(folder) / "it", time.perf_counter(), time.process_time()
        write_flight(path, recording, Circumstances(contract, PARAMS, "flight", 0), "now")
        wall_ms, cpu_ms = 1e3 * (time.perf_counter() - began_s), 1e3 * (time.process_time() - cpu_s)
        began_s = time.perf_counter()
        read_flight(path)
        read_ms = 1e3 * (time.perf_counter() - began_s)
        size = f"{len(recording.entries)} ticks are {path.stat().st_size / 1e3:.0f} kB"
        print(f"{size}, written in {wall_ms:.0f} ms ({cpu_ms:.0f} of the processor), read in {read_ms:.0f} ms")

    held, full = [], round(1.2 * (WINDOW_S + TAIL_S) * args.rate)
    tracemalloc.start()
    fly(
        contract,
        FlightRecorder(contract.period_s, WINDOW_S, TAIL_S),
        4 * WINDOW_S,
        lambda tick: held.append(tracemalloc.get_traced_memory()[0]) if tick in (0, full, 3 * full) else None,
    )
    empty, once, later = (size / 1e3 for size in held)
    print(f"a full ring holds {once - empty:.0f} kB, {later - once:+.0f} kB after as many ticks twice more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
