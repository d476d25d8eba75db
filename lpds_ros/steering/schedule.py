"""Chunks: noise drawn, perturbed, decoded, checked; new weights taken up only between two of them."""

import time
from dataclasses import dataclass

import numpy as np

from lpds_ros.contract import Contract
from lpds_ros.records import Source
from lpds_ros.steering.actor import Actor
from lpds_ros.steering.prefix import given_rows, require_prefix
from lpds_ros.weights import ActorParameters

SPOILT_LIMIT = 3  # perturbations in a row that are not finite: one is an accident, so many are the weights
PRIOR_ALONE = "prior: no perturbation installed (version 0)"


class ChunkError(ValueError):
    """No executable chunk came out of the decoder; the text says why."""


class NoiseStream:
    """ε of an episode: a counter-based stream keyed by the run's and the episode's seed; it depends on nothing else."""

    def __init__(self, seed: int, episode_seed: int, shape: tuple[int, int]):
        self._shape = shape
        self._generator = np.random.Generator(np.random.Philox(key=np.array([seed, episode_seed], np.uint64)))

    def next(self, count: int = 1) -> np.ndarray:
        """The next noises, float32 [count, T_p, d_a]."""
        return self._generator.standard_normal((count, *self._shape), dtype=np.float32)


@dataclass(frozen=True)
class Chunk:
    """A decoded chunk. noise (ε as it was steered), delta, rows: float32 [T_p, d_a]. reason: why it is the prior's, or "".
    state: float32 [T_o*d_o] that it was decoded from. prefix [T_p, d_a], given [T_p]: rows that it was to go on from, and the
    weight of each. weights: those in use, None without.
    """

    source: Source
    version: int
    noise: np.ndarray
    delta: np.ndarray
    rows: np.ndarray
    reason: str
    decode_s: float
    state: np.ndarray
    prefix: np.ndarray
    given: np.ndarray
    weights: ActorParameters | None = None

    @property
    def delta_sq_mean(self) -> float:
        """‖Δ‖² as a mean over its dimensions."""
        return float(np.square(self.delta, dtype=np.float64).mean())


class Chunker:
    """Turns a state into a chunk with the frozen decoder and the newest actor.

    `install` may be called from any thread; the actor in use changes only in `swap`, which the core calls between
    chunks. prefix: chunks go on from the rows of the one before; PrefixError where contract or decoder are not made for it.
    """

    def __init__(self, contract: Contract, decoder, max_radius: float, prefix: bool = False):
        self._contract, self._decoder, self._max_radius, self._prefix = contract, decoder, max_radius, prefix
        if prefix and decoder is not None:
            require_prefix(contract, decoder.takes_prefix)
        self._pending: Actor | None = None
        self._actor: Actor | None = None
        self._spoilt = 0
        self._zero = np.zeros(contract.noise_shape, np.float32)
        self._zero.setflags(write=False)

    @property
    def ready(self) -> bool:
        """Whether there is a decoder at all."""
        return self._decoder is not None

    @property
    def version(self) -> int:
        """Version of the weights in use; 0 is the prior."""
        return self._actor.version if self._actor else 0

    def install(self, parameters: ActorParameters):
        """Keep as pending. Raises ValueError when the shapes do not fit the contract."""
        if len(parameters.state_shift) != self._contract.state_size:
            raise ValueError(
                f"actor takes a state of {len(parameters.state_shift)} numbers, "
                f"the contract gives {self._contract.state_size}"
            )
        self._pending = Actor(parameters, self._contract.noise_shape, self._max_radius)

    def swap(self):
        """Take up pending weights: one reference assignment."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._actor, self._spoilt = pending, 0

    def decode(self, state: np.ndarray, noises: np.ndarray, running: np.ndarray | None = None) -> Chunk:
        """Perturb and decode; of several noises [M, T_p, d_a] the one is taken whose chunk goes on most like `running`, the
        rows [L, d_a] that are still to come of the chunk before. A perturbation or steered chunk that is not finite is never
        used: the prior's takes its place.

        Raises ChunkError when the prior's own chunk is not finite, the decoder fails, or the perturbation was not finite
        SPOILT_LIMIT times in a row.
        """
        start = time.perf_counter()
        given = given_rows(self._contract, running if self._prefix else None)
        reason, weights = PRIOR_ALONE, self._actor.parameters if self._actor else None
        if self.version > 0:
            base = noises * np.float32(weights.noise_scale)
            deltas = np.stack([self._actor(state, noise) for noise in base])
            if np.isfinite(deltas).all():
                rows = self._run(state, base + deltas, *given)
                if np.isfinite(rows).all():
                    self._spoilt, best = 0, _likest(rows, running)
                    taken = base[best], deltas[best], rows[best]
                    seconds = time.perf_counter() - start
                    return Chunk(Source.STEERED, self.version, *taken, "", seconds, state, *given, weights)
                reason = f"prior: the chunk steered by version {self.version} is not finite"
            else:
                reason = f"prior: the perturbation of version {self.version} is not finite"
            self._spoilt += 1
            if self._spoilt >= SPOILT_LIMIT:
                raise ChunkError(f"{reason.removeprefix('prior: ')}, {self._spoilt} times in a row: other weights are needed")
        rows = self._run(state, noises, *given)
        if not np.isfinite(rows).all():
            raise ChunkError("the decoder's chunk is not finite: check the observation's range and the bundle")
        best = _likest(rows, running)
        seconds = time.perf_counter() - start
        taken = noises[best], self._zero, rows[best]
        return Chunk(Source.PRIOR, self.version, *taken, reason, seconds, state, *given, weights)

    def _run(self, state: np.ndarray, noises: np.ndarray, prefix: np.ndarray, given: np.ndarray) -> np.ndarray:
        try:
            rows = decode_batch(self._decoder, state, noises, prefix, given)
        except Exception as error:  # whatever the runtime raises (out of memory, device lost), the arm must only hold
            raise ChunkError(f"the decoder failed: {type(error).__name__}: {error}") from error
        if rows.shape != noises.shape:
            raise ChunkError(f"the decoder gave shape {rows.shape}, the contract asks for {noises.shape}")
        return rows


def decode_batch(decoder, state: np.ndarray, noises: np.ndarray, prefix: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Chunks [M, T_p, d_a] of one state [T_o*d_o] and its given rows (as in Chunk) from noises [M, T_p, d_a]."""
    alike = (state, prefix, given) if given.any() else (state,)
    state, *rows = (np.repeat(array[None], len(noises), 0) for array in alike)
    return decoder.decode(state, noises, *rows)


def _likest(chunks: np.ndarray, running: np.ndarray | None) -> int:
    """Which of the chunks [M, T_p, d_a] is nearest to `running` [L, d_a] in its first L rows; 0 without any."""
    if running is None or not len(running):
        return 0
    return int(np.square(chunks[:, : len(running)] - running).sum((1, 2)).argmin())
