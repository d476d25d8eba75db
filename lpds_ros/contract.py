"""The contract: one YAML that training and serving share. What is observed, what an action means, at which rate.

Its digest travels in every bundle, demo file, rollout log and weight push; a mismatch is refused with both values.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lpds_ros.config import ConfigError, build, nearest, read_yaml
from lpds_ros.identity import digest_of, plain

MAX_SIDE_PX = 4096
ROBOT_STREAMS = ("pose", "joint_state", "gripper")
IMAGE = "sensor_msgs/msg/Image"
STREAM_FIELDS = {
    "geometry_msgs/msg/PoseStamped": {"position": 3, "orientation": 4},
    "sensor_msgs/msg/JointState": {"position": None, "velocity": None, "effort": None},
    IMAGE: {"image": None},
}


class ContractError(ConfigError):
    """The contract is malformed, or two parties hold different ones."""


@dataclass(frozen=True)
class Horizons:
    """Ticks observed (T_o), predicted by the decoder (T_p) and executed before the next decision (T_a).

    delay (d): ticks between the observation a chunk is decoded from and the first of its rows that runs, row d (from rest its
    row 0). 0: it is decoded within the tick. A slow decoder needs a delay, so that no tick waits for it.
    """

    observed: int
    predicted: int
    executed: int
    delay: int = 0

    def __post_init__(self):
        if min(self.observed, self.predicted, self.executed) < 1 or self.executed > self.predicted:
            raise ContractError("horizons: need observed >= 1 and 1 <= executed <= predicted")
        if not 0 <= self.delay <= self.longest_delay:
            raise ContractError(
                f"horizons: delay must lie in [0, {self.longest_delay}], got {self.delay}: "
                "at most executed, and executed + delay rows must be predicted"
            )

    @property
    def longest_delay(self) -> int:
        """The most that d may be with these T_p and T_a."""
        return min(self.executed, self.predicted - self.executed)

    @property
    def run(self) -> slice:
        """The rows of a chunk that run."""
        return slice(self.delay, self.delay + self.executed)


@dataclass(frozen=True)
class Stream:
    """One topic perception listens to. `max_age_s`: oldest sample that may enter an observation, seconds.

    Of an Image alone: `width_px`, `height_px`: the picture that the encoder sees and demonstrations hold, RGB. `fit`: how it is
    made of the camera's: "crop" takes the middle of its shape, "stretch" the whole (lpds_ros/images.py).
    """

    topic: str
    type: Literal["geometry_msgs/msg/PoseStamped", "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"]
    max_age_s: float
    width_px: int = 0
    height_px: int = 0
    fit: Literal["crop", "stretch"] = "crop"

    def __post_init__(self):
        if not self.max_age_s > 0:
            raise ContractError(f"stream {self.topic}: max_age_s must be positive, got {self.max_age_s}")
        sides = (self.width_px, self.height_px)
        if self.is_image and not all(1 <= side <= MAX_SIDE_PX for side in sides):
            raise ContractError(
                f"stream {self.topic}: an Image needs width_px and height_px of the picture the encoder sees, 1 to {MAX_SIDE_PX}"
            )
        if not self.is_image and (any(sides) or self.fit != "crop"):
            raise ContractError(f"stream {self.topic}: width_px, height_px and fit belong to an Image alone")

    @property
    def is_image(self) -> bool:
        return self.type == IMAGE


@dataclass(frozen=True)
class Feature:
    """One slice of the observation vector: `field` of the newest sample of `stream`, `size` numbers after `reduce`.

    Of an Image the field is `image` and the numbers are its encoder's, which comes with the prior.
    relative_to: a stream whose same field is subtracted, for example the object seen from the hand (base frame's axes).
    """

    name: str
    stream: str
    field: str
    size: int
    reduce: Literal["none", "sum"] = "none"
    relative_to: str = ""


@dataclass(frozen=True)
class Action:
    """What one action row means: a step added to the last commanded pose, then the gripper.

    `translation_scale_m`: metres of one tick's step at action 1; `rotation_scale_rad`: radians of the rotation vector.
    """

    space: Literal["delta_pose"]
    frame: Literal["base"]
    translation_scale_m: float
    rotation: Literal["none", "rotation_vector"] = "none"
    rotation_scale_rad: float = 0.0
    gripper: Literal["none", "positive_closes"] = "positive_closes"

    def __post_init__(self):
        if not self.translation_scale_m > 0:
            raise ContractError("action: translation_scale_m must be positive")
        if (self.rotation == "none") != (self.rotation_scale_rad == 0.0):
            raise ContractError("action: rotation_scale_rad must be positive with a rotation, and 0 without")

    @property
    def size(self) -> int:
        """d_a: 3 for translation, 3 for a rotation vector, 1 for the gripper."""
        return 3 + 3 * (self.rotation != "none") + (self.gripper != "none")


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in the base frame, metres, that no commanded tool centre point may leave."""

    min_m: tuple[float, float, float]
    max_m: tuple[float, float, float]

    def __post_init__(self):
        if not all(lo < hi for lo, hi in zip(self.min_m, self.max_m)):
            raise ContractError("workspace: every min_m must be below its max_m")


@dataclass(frozen=True)
class Reward:
    """Where reward and success come from: the simulation's task state, or the operator's mark."""

    source: Literal["task_state", "operator"]
    topic: str = "lpds/task_state"


@dataclass(frozen=True)
class Contract:
    """See the module's docstring. `max_ticks`: an episode longer than this is truncated (not terminated).

    An operator without a policy (recording demonstrations) may take three times as long.
    """

    schema: int
    name: str
    task: str
    rate_hz: float
    max_ticks: int
    horizons: Horizons
    streams: dict[str, Stream]
    observation: tuple[Feature, ...]
    action: Action
    reward: Reward
    workspace: Box

    def __post_init__(self):
        if self.schema != 1:
            raise ContractError(f"schema {self.schema} is not known to this version (1)")
        if not 1.0 <= self.rate_hz <= 1000.0:
            raise ContractError(f"rate_hz must lie in [1, 1000], got {self.rate_hz}")
        if self.max_ticks < self.horizons.executed:
            raise ContractError("max_ticks must hold at least one executed chunk")
        for role in ROBOT_STREAMS:
            if role not in self.streams or self.streams[role].is_image:
                raise ContractError(f"streams: '{role}' is missing; steering needs {', '.join(ROBOT_STREAMS)}")
        for feature in self.observation:
            self._check_feature(feature)
        if not self.observation or len({f.name for f in self.observation}) != len(self.observation):
            raise ContractError("observation: needs at least one feature, and names that differ")
        seen = [f.stream for f in self.observation]
        for name, stream in self.streams.items():
            if stream.is_image and seen.count(name) != 1:
                raise ContractError(f"stream '{name}' is an Image: exactly one feature is made of it, not {seen.count(name)}")

    def _check_feature(self, feature: Feature):
        where = f"observation feature '{feature.name}'"
        if feature.stream not in self.streams:
            raise ContractError(f"{where}: unknown stream '{feature.stream}'{nearest(feature.stream, self.streams)}")
        fields = STREAM_FIELDS[self.streams[feature.stream].type]
        if feature.field not in fields:
            raise ContractError(f"{where}: unknown field '{feature.field}'{nearest(feature.field, fields)}")
        size = fields[feature.field]
        if feature.size < 1 or (feature.reduce == "none" and size is not None and feature.size != size):
            raise ContractError(f"{where}: size {feature.size} does not fit field '{feature.field}' ({size})")
        if self.streams[feature.stream].is_image and (feature.reduce != "none" or feature.relative_to):
            raise ContractError(f"{where}: what an encoder makes of an Image is neither reduced nor relative to anything")
        if feature.relative_to:
            if feature.relative_to not in self.streams:
                raise ContractError(
                    f"{where}: relative_to names no stream: '{feature.relative_to}'"
                    f"{nearest(feature.relative_to, self.streams)}"
                )
            if feature.relative_to == feature.stream:
                raise ContractError(f"{where}: relative to its own stream it would always be zero")
            if self.streams[feature.relative_to].type != self.streams[feature.stream].type or feature.field == "orientation":
                raise ContractError(f"{where}: relative_to needs a stream of the same type, and a field that subtracts")
        if feature.reduce == "sum" and feature.size != 1:
            raise ContractError(f"{where}: reduce: sum gives size 1, not {feature.size}")

    @property
    def period_s(self) -> float:
        return 1.0 / self.rate_hz

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)

    @property
    def observation_size(self) -> int:
        """d_o: numbers of one tick's observation."""
        return sum(f.size for f in self.observation)

    @property
    def action_size(self) -> int:
        """d_a: numbers of one action row."""
        return self.action.size

    @property
    def state_size(self) -> int:
        """T_o * d_o: numbers of the stacked observation the decoder and the actor see."""
        return self.horizons.observed * self.observation_size

    @property
    def noise_shape(self) -> tuple[int, int]:
        """(T_p, d_a): shape of the latent noise and of a decoded chunk."""
        return self.horizons.predicted, self.action.size

    @property
    def images(self) -> dict[str, Feature]:
        """Name of each stream of images to the feature that is made of it."""
        return {f.stream: f for f in self.observation if self.streams[f.stream].is_image}

    @property
    def recorded(self) -> "Contract":
        """The same with horizons of one tick: all that a demonstration knows of it."""
        return dataclasses.replace(self, horizons=Horizons(1, 1, 1))

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of every field: equal meaning, equal digest, whatever the YAML's layout."""
        return digest_of(contract_to_dict(self))

    def feature_slices(self) -> dict[str, slice]:
        """Name of each feature to its slice of the observation vector."""
        slices, start = {}, 0
        for feature in self.observation:
            slices[feature.name] = slice(start, start + feature.size)
            start += feature.size
        return slices


def load_contract(path) -> Contract:
    """Read and check a contract. Raises ContractError/ConfigError with file, line and what to do."""
    return build(Contract, read_yaml(path), path)


def contract_from_dict(tree: dict, where: str) -> Contract:
    """Rebuild a contract from its plain dictionary (as stored in a bundle or a demo file)."""
    return build(Contract, tree, where)


def contract_to_dict(contract: Contract) -> dict:
    """Plain lists and dictionaries, as `contract_from_dict` reads them."""
    return plain(contract)


def require_same_contract(expected: Contract | str, found: str, what: str):
    """Raise ContractError, with both digests, unless `what` was made under the expected contract."""
    digest = expected if isinstance(expected, str) else expected.digest
    if digest != found:
        raise ContractError(
            f"{what} was made under contract {found[:12]}, this run uses {digest[:12]}: "
            "use the contract it was made with, or make it again under this one"
        )


def contract_directory() -> Path:
    """config/contracts of the source tree or of the installed package."""
    from lpds_ros.resources import resource

    return resource("config/contracts")
