"""One demonstration in memory, and what every demonstration must satisfy. numpy only."""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from lpds_ros.contract import Contract, require_same_contract
from lpds_ros.problem import Problem

MAX_TICKS = 1_000_000


class DemoError(ValueError):
    """A demonstration, or a file of them, that cannot be used; the text says which and why."""


class StoredPictures(Protocol):
    """Pictures that lie in a file: `shape` (T, h, w, 3), and `read` for the uint8 array. A hundred episodes fit no memory."""

    shape: tuple[int, ...]

    def read(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Demonstration:
    """One episode driven by an operator.

    observations: float32 [T, d_o], seen at each tick. actions: float32 [T, d_a], asked for at that tick, contract units
    in [-1, 1]. rewards: float32 [T]. final_observation: float32 [d_o] after the last action; the last one seen when
    unknown. images: stream of images -> uint8 [T, h, w, 3] in the contract's size, seen at each tick; the features that an
    encoder will make of them are zero in the observations. Raises DemoError when lengths differ or a number is not finite.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    success: bool
    seed: int = 0
    operator: str = ""
    final_observation: np.ndarray | None = None
    images: dict[str, np.ndarray | StoredPictures] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("observations", "actions", "rewards"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), np.float32))
        last = (
            self.observations[-1]
            if self.final_observation is None and len(self.observations)
            else self.final_observation
        )
        object.__setattr__(self, "final_observation", np.ascontiguousarray(last, np.float32))
        ticks = len(self.rewards)
        if not 1 <= ticks <= MAX_TICKS or len(self.observations) != ticks or len(self.actions) != ticks:
            raise DemoError(
                f"a demonstration has as many observations ({len(self.observations)}) as actions ({len(self.actions)}) "
                f"and rewards ({ticks}), at least one and at most {MAX_TICKS}"
            )
        if self.observations.ndim != 2 or self.actions.ndim != 2 or self.rewards.ndim != 1:
            raise DemoError("a demonstration needs observations [T, d_o], actions [T, d_a] and rewards [T]")
        if self.final_observation.shape != self.observations.shape[1:]:
            raise DemoError(
                f"final_observation has shape {self.final_observation.shape}, not {self.observations.shape[1:]}"
            )
        for name in ("observations", "actions", "rewards", "final_observation"):
            if not np.isfinite(getattr(self, name)).all():
                raise DemoError(f"{name} of a demonstration holds a number that is not finite")
        for name, pictures in self.images.items():
            if len(pictures.shape) != 4 or pictures.shape[0] != ticks or pictures.shape[3] != 3:
                raise DemoError(f"pictures of stream '{name}' have shape {pictures.shape}, not [{ticks}, h, w, 3]")

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def next_observations(self) -> np.ndarray:
        """float32 [T, d_o]: what each action led to."""
        return np.concatenate([self.observations[1:], self.final_observation[None]])

    def pictures(self, stream: str) -> np.ndarray:
        """uint8 [T, h, w, 3] of a stream, read from where they are stored. Raises DemoError where there are none."""
        if stream not in self.images:
            raise DemoError(f"the demonstration has no pictures of stream '{stream}'")
        pictures = self.images[stream]
        return pictures if isinstance(pictures, np.ndarray) else pictures.read()

    @property
    def digest(self) -> str:
        """SHA-256 over the numbers and pictures: the same demonstration in any file has the same digest."""
        sha = hashlib.sha256(f"{self.observations.shape} {self.actions.shape} {self.success}".encode())
        for array in (self.observations, self.actions, self.rewards, self.final_observation):
            sha.update(array.tobytes())
        for name in sorted(self.images):
            sha.update(name.encode())
            sha.update(np.ascontiguousarray(self.pictures(name)))
        return sha.hexdigest()


class DemoFile(NamedTuple):
    """What a demonstration file holds. digest: see `digest_demos`."""

    demonstrations: list[Demonstration]
    contract: Contract
    digest: str


def digest_demos(demonstrations) -> str:
    """SHA-256 over the digests of the demonstrations in order: names a training set whatever file it came from."""
    return hashlib.sha256("".join(demo.digest for demo in demonstrations).encode()).hexdigest()


def followed(expected: Contract | None, found: Contract, where: str) -> Contract:
    """The contract that demonstrations follow: `expected`, where one is, or the one `found` beside them.

    Raises ContractError where they differ in more than their horizons, of which a demonstration knows nothing.
    """
    if expected is not None and expected.recorded != found.recorded:
        require_same_contract(expected, found.digest, where)
    return expected or found


def check_demo(demo: Demonstration, contract: Contract | Problem, where: str):
    """Raise DemoError unless the widths are the contract's and every action lies in [-1, 1]."""
    widths = (demo.observations.shape[1], demo.actions.shape[1])
    if widths != (contract.observation_size, contract.action_size):
        raise DemoError(
            f"{where}: observation and action have {widths[0]} and {widths[1]} numbers, "
            f"contract '{contract.name}' asks for {contract.observation_size} and {contract.action_size}"
        )
    for name, pictures in demo.images.items():
        if name not in contract.images:
            raise DemoError(f"{where}: has pictures of '{name}', no stream of images in contract '{contract.name}'")
        stream = contract.streams[name]
        if pictures.shape[1:] != (stream.height_px, stream.width_px, 3):
            raise DemoError(
                f"{where}: pictures of '{name}' have {pictures.shape[2]} x {pictures.shape[1]} pixels, "
                f"contract '{contract.name}' asks for {stream.width_px} x {stream.height_px}"
            )
    if np.abs(demo.actions).max() > 1.0 + 1e-6:
        raise DemoError(
            f"{where}: an action of {np.abs(demo.actions).max():.3g} is outside [-1, 1]; scale it as the contract says"
        )


def stacked_observations(observations: np.ndarray, observed: int) -> np.ndarray:
    """float32 [T, T_o*d_o]: each tick after the T_o - 1 before it; at the start the first tick is repeated."""
    padded = np.concatenate([np.repeat(observations[:1], observed - 1, axis=0), observations])
    return np.concatenate([padded[i : i + len(observations)] for i in range(observed)], axis=1)
