"""The loops that `tick.py` compares, each in a process of its own, with a stand-in for perception and arm."""

import dataclasses
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lpds_ros.contract import Contract, Horizons, load_contract
from lpds_ros.nodes.steering_drive import RealtimeDriver
from lpds_ros.prior.runtime import open_model
from lpds_ros.realtime import RealtimeParameters, claim
from lpds_ros.records import Observation
from lpds_ros.resources import resource
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.clock import TickClock
from lpds_ros.steering.core import SteeringCore, SteeringParams
from lpds_ros.weights import unpack_weights

RATE_HZ, FIFO = 50.0, 60
LEAD_NS = 8_000_000  # an observation is there that long before its tick
SETTLE_S = 2.0  # of the start that is not counted
SPIN_S = 0.001
PRIOR = "0" * 64
START, DOWN = np.array([0.5, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0])
READY = np.array(load_limits("fr3").ready_rad)
PERCENTS = (50, 99, 99.9, 100)


@dataclass(frozen=True)
class Contender:
    """decoder: "quick" (a fraction of a tick) or "slow" (about ten ticks). peer: the loop of others."""

    name: str
    decoder: str
    realtime: RealtimeParameters = RealtimeParameters()
    peer: bool = False


FAVOURED = RealtimeParameters(fifo_priority=FIFO, lock_memory=True)
CONTENDERS = (
    Contender("precise_wait loop", "quick", peer=True),
    Contender("ours", "quick"),
    Contender("ours, FIFO", "quick", FAVOURED),
    Contender("precise_wait loop, slow decoder", "slow", peer=True),
    Contender("ours, slow decoder", "slow"),
    Contender("ours, slow decoder, FIFO", "slow", FAVOURED),
)


def make_contract(decoder: str) -> Contract:
    """Lift at 50 Hz; for the slow decoder with chunks that are decoded fifteen ticks ahead."""
    horizons = Horizons(1, 8, 8) if decoder == "quick" else Horizons(1, 48, 32, 15)
    contract = load_contract(resource("config/contracts/lift.yaml"))
    return dataclasses.replace(contract, rate_hz=RATE_HZ, max_ticks=3000, horizons=horizons)


class Decoder:
    """An exported graph of drawn weights."""

    bundle = None

    def __init__(self, path: Path):
        self._session, self.calls = open_model(path.read_bytes(), "cpu"), 0

    def decode(self, state, noise):
        self.calls += 1
        return self._session.run(["action"], {"observation": state, "noise": noise})[0]


class Arm:
    """Host of the driver, perception and arm in one: it moves to each target at once. longest_m: between two ticks' aims."""

    running, latched = True, False

    def __init__(self, core: SteeringCore, contract: Contract, decoder: Decoder):
        self.core, self._decoder, self._size = core, decoder, contract.observation_size
        self.position, self.orientation, self._aim, self.longest_m = START, DOWN, START, 0.0
        self.computed: list[
            tuple[float, bool, bool]
        ] = []  # seconds of a tick, whether it decoded, whether a push fell in it
        self.pushed = self._seen = self._episode = 0
        core.begin_episode(0, 0)

    def observe(self) -> Observation:
        data = np.concatenate([self.position, np.zeros(self._size - 3)]).astype(np.float32)
        return Observation(time.time_ns(), True, "", data, {}, self.position, self.orientation, READY, 0.08)

    def control(self, observation):
        calls, version, began = self._decoder.calls, self.core.weights_version, time.monotonic()
        tick = self.core.tick(observation)
        seconds = time.monotonic() - began
        touched = self.pushed != self._seen or self.core.weights_version != version
        self._seen = self.pushed
        if tick.targets:
            self.longest_m = max(self.longest_m, float(np.linalg.norm(tick.targets[-1].position - self._aim)))
            self._aim = tick.targets[-1].position
        self.computed.append((seconds, self._decoder.calls != calls, touched))
        return tick

    streamed = True

    def command(self, tick):
        return tick.targets

    def pause(self, stamp_ns):
        return ()

    def publish(self, targets):
        self.position, self.orientation = targets[-1].position, targets[-1].orientation

    def aftermath(self, tick, then=None):
        if tick.episode is not None:
            self._episode += 1
            self.core.begin_episode(self._episode, self._episode)

    def complain(self, text):
        raise RuntimeError(text)


class Host:
    """What the driver's threads need of a node: a place to report to, and the claim on the scheduler."""

    def __init__(self, params: RealtimeParameters):
        self.params = params

    def create_guard_condition(self, callback):
        self.trigger = lambda: sys.stderr.write("a thread of the driver has failed\n")
        return self


def contend(contender: Contender, model: Path, seconds: float, weights, results, ready, ending):
    """The process of one contender: tick for `seconds`, then hand the figures in."""
    contract = make_contract(contender.decoder)
    if contender.peer:
        contract = dataclasses.replace(contract, horizons=dataclasses.replace(contract.horizons, delay=0))
    refused = claim(contender.realtime)
    decoder = Decoder(model)
    core = SteeringCore(contract, SteeringParams(), decoder, seed=0, session="tick", threaded=not contender.peer)
    arm = Arm(core, contract, decoder)
    threading.Thread(target=receive, args=(weights, arm, make_contract(contender.decoder)), daemon=True).start()
    clock = TickClock(contract.period_ns, window=int(RATE_HZ * seconds) + 1)
    ready.wait()
    until_s = time.monotonic() + seconds
    over = lambda: time.monotonic() > until_s or ending.is_set()  # noqa: E731
    if contender.peer:
        lateness = precise_wait_loop(contract, arm, over)
    else:
        driver = RealtimeDriver(Host(contender.realtime), arm, clock, contract.observation_size, 2)
        driver.start()
        perception = TickClock(contract.period_ns, -LEAD_NS)
        while not over():
            perception.pace()
            driver.on_observation(arm.observe())
        driver.end()
        lateness = clock.lateness_s.newest()
    core.close()
    first = int(SETTLE_S * RATE_HZ)
    lateness = np.array(lateness[first:])
    computed, decoded, touched = (np.array(column[first:]) for column in zip(*arm.computed))
    figures = {
        "ticks": len(lateness),
        "missed": int((lateness > 0.5 * contract.period_s).sum()),
        "lateness_ms": percentiles(lateness),
        "computed_ms": percentiles(computed),
        "pushes": arm.pushed // 2,
        "push_costs_ms": [cost(computed[kind & touched], computed[kind & ~touched]) for kind in (decoded, ~decoded)],
        "longest_step_mm": 1e3 * arm.longest_m,
        "late_and_starved": core.late_ticks,
        "refused": refused,
    }
    results.put((contender.name, figures))


def precise_wait_loop(contract: Contract, arm: Arm, over) -> list[float]:
    """Seconds late of each tick of a loop on absolute times, none of them skipped, that decodes within its tick."""
    lateness, deadline_s = [], time.monotonic()
    while not over():
        deadline_s += contract.period_s
        if (left_s := deadline_s - time.monotonic()) > SPIN_S:
            time.sleep(left_s - SPIN_S)
        while (now_s := time.monotonic()) < deadline_s:
            pass
        lateness.append(now_s - deadline_s)
        tick = arm.control(arm.observe())
        arm.publish(tick.targets)
        arm.aftermath(tick)
    return lateness


def receive(weights, arm: Arm, contract: Contract):
    """Take pushes up as the node's inbox does, on a thread beside the ticks. `arm.pushed` counts begins and ends."""
    while True:
        try:
            blob = weights.recv_bytes()
        except EOFError:
            return
        arm.pushed += 1
        arm.core.install_weights(unpack_weights(blob, contract=contract, prior_digest=PRIOR))
        arm.pushed += 1


def percentiles(seconds) -> list[float]:
    """PERCENTS of it, ms."""
    return [float(value) for value in 1e3 * np.percentile(seconds, PERCENTS)]


def cost(touched, others) -> list[float]:
    """Median and 99th percentile of the ticks that a push fell in, less those of the others, ms. [] without any."""
    if not (len(touched) and len(others)):
        return []
    return [float(1e3 * (np.percentile(touched, q) - np.percentile(others, q))) for q in (50, 99)]
