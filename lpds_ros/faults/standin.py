"""A core of steering with a perfect arm and a decoder that does what it is told, for faults that need no processes."""

import threading
from collections.abc import Callable

import numpy as np

from lpds_ros.contract import Contract, load_contract
from lpds_ros.records import Observation, OperatorInput
from lpds_ros.resources import resource
from lpds_ros.robot.limits import load_limits
from lpds_ros.steering.core import SteeringCore, SteeringParams
from lpds_ros.steering.tick import Tick
from lpds_ros.weights import CONTEXTS, ActorParameters

START, DOWN = np.array([0.5, 0.0, 0.3]), np.array([1.0, 0.0, 0.0, 0.0])
READY = np.array(load_limits("fr3").ready_rad)
PATIENCE_TICKS = 400


def lift() -> Contract:
    """The contract of the shipped task."""
    return load_contract(resource("config/contracts/lift.yaml"))


class Decoder:
    """Bounded rows that depend on the noise. open: cleared, it hangs. error: raised. spoil: changes the rows. calls, idle."""

    bundle = None

    def __init__(self):
        self.open, self.error, self.spoil, self.delay_s = threading.Event(), None, lambda rows: rows, 0.0
        self.open.set()
        self.calls, self.idle = 0, True

    def decode(self, state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """float32 [B, T_p, d_a]"""
        self.calls, self.idle = self.calls + 1, False
        self.open.wait()
        if self.delay_s:
            threading.Event().wait(self.delay_s)
        self.idle = True
        if self.error is not None:
            raise self.error
        return self.spoil(np.tanh(0.4 * noise).astype(np.float32))


def strong_actor(contract: Contract) -> ActorParameters:
    """Finite weights whose perturbation overflows."""
    out, size = contract.noise_shape[0] * contract.noise_shape[1], contract.state_size
    big = np.float32(3e38)
    layers = (
        (np.full((8, size + out), big, np.float32), np.full(8, big, np.float32)),
        (np.full((out, 8), big, np.float32), np.zeros(out, np.float32)),
    )
    shift, scale = np.zeros(size, np.float32), np.ones(size, np.float32)
    return ActorParameters(1, 0, contract.digest, "", 1.0, CONTEXTS[0], shift, scale, layers)


class Cell:
    """A core, and an arm that is at once where it is told to be (but for a measured pose's noise)."""

    def __init__(self, contract: Contract, decoder: Decoder | None, *, threaded: bool = False, seed: int = 3):
        self.contract, self.rng = contract, np.random.default_rng(seed)
        self.core = SteeringCore(contract, SteeringParams(), decoder, seed=seed, session="campaign", threaded=threaded)
        self.now_ns, self.position = 1_000_000_000_000, START.copy()
        self.largest_step_m, self.ticks, self.decisions, self.episodes = 0.0, 0, [], []
        self.core.begin_episode(0, 7)

    def observation(self, *, valid: bool = True, reason: str = "", stamp_ns: int | None = None) -> Observation:
        """What is measured now."""
        size = self.contract.observation_size
        position = self.position + self.rng.normal(0.0, 1e-9, 3)
        data = np.zeros(size, np.float32) if valid else np.full(size, np.nan, np.float32)
        return Observation(
            stamp_ns=self.now_ns if stamp_ns is None else stamp_ns,
            valid=valid,
            reason=reason,
            data=data,
            ages_s={},
            position=position,
            orientation=DOWN,
            joints=READY + self.rng.normal(0.0, 1e-6, 7),
            gripper_width=0.08,
        )

    def step(self, operator: OperatorInput | None = None, **observed) -> Tick:
        """One tick; another episode begins after one that ended. Raises what broke the core."""
        tick = self.core.tick(self.observation(**observed), operator)
        if self.core.failure:
            raise RuntimeError(self.core.failure)
        for target in tick.targets:
            step = float(np.linalg.norm(target.position - self.position))
            self.largest_step_m = max(self.largest_step_m, step)
        if tick.targets:
            self.position = np.array(tick.targets[-1].position)
        self.decisions += [tick.decision] if tick.decision else []
        if tick.episode is not None:
            self.episodes.append(tick.episode)
            self.core.begin_episode(len(self.episodes), 7 + len(self.episodes))
        self.now_ns += self.contract.period_ns
        self.ticks += 1
        return tick

    def until(self, condition: Callable[[Tick], object], ticks: int = PATIENCE_TICKS) -> Tick:
        """Step until the condition holds of a tick; TimeoutError after so many."""
        for _ in range(ticks):
            tick = self.step()
            if condition(tick):
                return tick
            threading.Event().wait(0.0005)  # the decoder's thread has its turn
        raise TimeoutError(f"not within {ticks} ticks; the last: {tick.mode.name}, {tick.reason}")
