"""Other people's recordings in the contract's terms: a YAML that says which of their numbers is which of ours.

    fps: 20
    observation:
      ee_position: {key: robot0_eef_pos}
      gripper_width: {key: robot0_gripper_qpos, weights: [1, -1]}
      object_position: {key: object, columns: [0, 1, 2]}
      object_from_ee: {difference: [object_position, ee_position]}
      object_orientation: {key: object, columns: [3, 4, 5, 6], quaternion: xyzw}
    action: {key: actions, space: delta_pose, position: [0, 1, 2], metres_per_unit: 0.05, gripper: 6}

numpy only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from lpds_ros.config import ConfigError, build, nearest, read_yaml
from lpds_ros.contract import Contract
from lpds_ros.data.demonstration import DemoError
from lpds_ros.geometry import canonical, conjugate, from_rotation_vector, multiply, to_rotation_vector

NO_TURN = np.array([0.0, 0.0, 0.0, 1.0])
Take = Callable[[str], np.ndarray]  # a key of theirs to its numbers, [T] or [T, n]


class MappingError(ConfigError):
    """A mapping that does not say what it must, or names what is not there."""


@dataclass(frozen=True)
class FeatureSource:
    """Where one feature of the contract comes from.

    key: theirs; columns: which of its numbers (empty: all); scale: into the contract's unit. weights: their weighted sum is the
    feature (a gripper of two fingers that count in opposite directions: [1, -1]). quaternion: the order of theirs; it is
    normalised, w >= 0. difference: two other features of this mapping, the second subtracted from the first, instead of a key.
    """

    key: str = ""
    columns: tuple[int, ...] = ()
    scale: float = 1.0
    weights: tuple[float, ...] = ()
    quaternion: Literal["none", "xyzw", "wxyz"] = "none"
    difference: tuple[str, ...] = ()

    def __post_init__(self):
        if bool(self.key) == bool(self.difference) or len(self.difference) not in (0, 2):
            raise MappingError("a feature needs a key, or the two features whose difference it is")


@dataclass(frozen=True)
class ActionSource:
    """What their action row means. key: theirs, empty: the format's own (`actions` in robomimic, `action` in LeRobot).

    space: contract (already in its units), delta_pose (steps in their units) or absolute_pose (targets in the base frame; the
    step is from the target before, the first one from where the hand was measured). position, rotation: columns;
    rotation_as: how the rotation is written. gripper: column, opened and closed: its two ends. clip: cut steps that are larger
    than the contract's action 1; without it they are refused.
    """

    key: str = ""
    space: Literal["contract", "delta_pose", "absolute_pose"] = "contract"
    position: tuple[int, int, int] = (0, 1, 2)
    metres_per_unit: float = 1.0
    rotation: tuple[int, ...] = (3, 4, 5)
    rotation_as: Literal["rotation_vector", "xyzw", "wxyz"] = "rotation_vector"
    radians_per_unit: float = 1.0
    gripper: int = -1
    opened: float = -1.0
    closed: float = 1.0
    clip: bool = False

    def __post_init__(self):
        if self.opened == self.closed or not self.metres_per_unit or not self.radians_per_unit:
            raise MappingError("action: opened and closed must differ, and a unit cannot be 0")
        if len(self.rotation) != (3 if self.rotation_as == "rotation_vector" else 4):
            raise MappingError(f"action: rotation_as: {self.rotation_as} and {len(self.rotation)} columns do not go together")


@dataclass(frozen=True)
class Mapping:
    """See the module's docstring. fps: of what says none itself. images: the contract's image streams to their keys.

    reward, success: keys of theirs; assume_success: every episode counts as a success, with reward 1 at its end.
    """

    observation: dict[str, FeatureSource]
    action: ActionSource = field(default_factory=ActionSource)
    fps: float = 0.0
    images: dict[str, str] = field(default_factory=dict)
    reward: str = ""
    success: str = ""
    assume_success: bool = False


def load_mapping(path) -> Mapping:
    """Read and check a mapping. Raises ConfigError with file, line and what to do."""
    return build(Mapping, read_yaml(path), Path(path))


def check_mapping(mapping: Mapping, contract: Contract):
    """Raise MappingError unless every feature of the contract has its source, an image of it a key, and nothing else has."""
    for stream in mapping.images:
        if stream not in contract.images:
            known = nearest(stream, contract.images)
            raise MappingError(f"mapping: '{stream}' is no stream of images of contract '{contract.name}'{known}")
    features = [feature.name for feature in contract.observation if feature.stream not in mapping.images]
    for name in mapping.observation:
        if name not in features:
            raise MappingError(f"mapping: '{name}' is no feature of contract '{contract.name}'{nearest(name, features)}")
    for name in features:
        if name not in mapping.observation:
            raise MappingError(f"mapping: feature '{name}' of contract '{contract.name}' is missing under observation")
    for name, source in mapping.observation.items():
        for part in source.difference:
            if part not in mapping.observation or mapping.observation[part].difference:
                raise MappingError(f"mapping: '{name}' is a difference of '{part}', which has no key of its own here")


def check_rate(found_hz: float, contract: Contract, where: str):
    """Raise DemoError unless a recording of `found_hz` pictures or rows a second is one of the contract's rate."""
    if abs(found_hz - contract.rate_hz) > 1e-3 * contract.rate_hz:
        raise DemoError(
            f"{where}: recorded at {found_hz:g} Hz, contract '{contract.name}' ticks at {contract.rate_hz:g} Hz: "
            "resample it, or use a contract of that rate"
        )


def observations_of(mapping: Mapping, contract: Contract, take: Take, where: str) -> np.ndarray:
    """float32 [T, d_o] in the contract's order, zeros for what an encoder will make of images. Raises DemoError for numbers that
    are not there or too many.
    """
    columns = []
    for feature in contract.observation:
        if feature.stream in mapping.images:
            columns.append(None)
            continue
        source = mapping.observation[feature.name]
        if source.difference:
            first, second = (_numbers(mapping.observation[name], take, where) for name in source.difference)
            values = first - second
        else:
            values = _numbers(source, take, where)
        if values.shape[1] != feature.size:
            raise DemoError(
                f"{where}: feature '{feature.name}' has {feature.size} numbers, its mapping gives {values.shape[1]}: "
                "choose them with columns, or add them up with weights"
            )
        columns.append(values)
    lengths = {len(column) for column in columns if column is not None}
    if len(lengths) != 1:
        raise DemoError(f"{where}: its arrays have different lengths: {sorted(lengths)}")
    unseen = (np.zeros((*lengths, feature.size)) for feature in contract.observation)
    columns = [zeros if column is None else column for column, zeros in zip(columns, unseen)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def actions_of(mapping: Mapping, contract: Contract, take: Take, observations: np.ndarray, where: str) -> np.ndarray:
    """float32 [T, d_a] in contract units. observations: float32 [T, d_o]. Raises DemoError for a step beyond action 1."""
    source, action = mapping.action, contract.action
    rows = _rows(take(source.key), where)
    if source.space == "contract":
        return rows.astype(np.float32)
    steps = [_moves(source, rows, _measured(contract, observations, "position"), where) / action.translation_scale_m]
    if action.rotation != "none":
        steps.append(_turns(source, rows, _measured(contract, observations, "orientation"), where) / action.rotation_scale_rad)
    steps = np.concatenate(steps, axis=1)
    largest = float(np.abs(steps).max(initial=0.0))
    if largest > 1.0 and not source.clip:
        tick = int(np.abs(steps).max(axis=1).argmax())
        raise DemoError(
            f"{where}: the step at tick {tick} is {largest:.3g} times the contract's largest "
            f"({action.translation_scale_m:g} m, {action.rotation_scale_rad:g} rad a tick): check metres_per_unit, "
            "take a contract with larger steps, or cut them with clip: true"
        )
    steps = np.clip(steps, -1.0, 1.0)
    if action.gripper != "none":
        share = (_chosen(rows, (source.gripper,), where) - source.opened) / (source.closed - source.opened)
        steps = np.concatenate([steps, np.clip(2.0 * share - 1.0, -1.0, 1.0)], axis=1)
    return steps.astype(np.float32)


def outcome_of(mapping: Mapping, take: Take, ticks: int, where: str) -> tuple[np.ndarray, bool]:
    """(rewards float32 [T], success) of an episode."""
    rewards = np.zeros(ticks, np.float32)
    if mapping.reward:
        rewards = _rows(take(mapping.reward), where)[:, 0].astype(np.float32)
    if mapping.assume_success:
        if not mapping.reward:
            rewards[-1] = 1.0
        return rewards, True
    if mapping.success:
        success = bool(_rows(take(mapping.success), where)[:, 0].any())
        if not mapping.reward:
            rewards[-1] = float(success)
        return rewards, success
    if not mapping.reward:
        raise DemoError(f"{where}: neither reward nor success is named in the mapping: name one, or say assume_success: true")
    return rewards, bool(rewards.sum() > 0)


def _numbers(source: FeatureSource, take: Take, where: str) -> np.ndarray:
    values = _chosen(_rows(take(source.key), where), source.columns, where) * source.scale
    if source.weights:
        if len(source.weights) != values.shape[1]:
            raise DemoError(f"{where}: {source.key} has {values.shape[1]} numbers, its mapping {len(source.weights)} weights")
        values = (values * np.array(source.weights)).sum(axis=1, keepdims=True)
    if source.quaternion != "none":
        values = _quaternions(values, source.quaternion, f"{where}: {source.key}")
    return values


def _rows(values: np.ndarray, where: str) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if not values.ndim or not len(values):
        raise DemoError(f"{where}: an array of it holds nothing")
    return values.reshape(len(values), -1)


def _chosen(rows: np.ndarray, columns: tuple[int, ...], where: str) -> np.ndarray:
    width = rows.shape[1]
    for column in columns:
        if not -width <= column < width:
            raise DemoError(f"{where}: the mapping asks for column {column} of {width}")
    return rows[:, list(columns)] if columns else rows


def _quaternions(values: np.ndarray, order: str, where: str) -> np.ndarray:
    """float64 [T, 4] xyzw, unit, w >= 0."""
    if values.shape[1] != 4 or not np.isfinite(values).all():
        raise DemoError(f"{where}: a quaternion has 4 finite numbers; choose them with columns")
    xyzw = values if order == "xyzw" else np.roll(values, -1, axis=1)
    try:
        return np.array([canonical(q) for q in xyzw])
    except ValueError as error:
        raise DemoError(f"{where}: {error}") from None


def _measured(contract: Contract, observations: np.ndarray, what: str) -> np.ndarray | None:
    """The measured pose's `what` at the first tick, where the contract observes it."""
    for feature in contract.observation:
        if (feature.stream, feature.field, feature.relative_to) == ("pose", what, ""):
            return observations[0, contract.feature_slices()[feature.name]].astype(np.float64)
    return None


def _moves(source: ActionSource, rows: np.ndarray, start: np.ndarray | None, where: str) -> np.ndarray:
    """Steps in metres, [T, 3]."""
    values = _chosen(rows, source.position, where) * source.metres_per_unit
    if source.space == "delta_pose":
        return values
    return np.diff(values, axis=0, prepend=(values[:1] if start is None else start[None]))


def _turns(source: ActionSource, rows: np.ndarray, start: np.ndarray | None, where: str) -> np.ndarray:
    """Steps as rotation vectors in the base frame, radians, [T, 3]."""
    values = _chosen(rows, source.rotation, where)
    if source.rotation_as == "rotation_vector":
        values = values * source.radians_per_unit
        if source.space == "delta_pose":
            return values
        quaternions = np.array([from_rotation_vector(v) for v in values])
    else:
        quaternions = _quaternions(values, source.rotation_as, f"{where}: action")
    if source.space == "delta_pose":
        before = np.broadcast_to(NO_TURN, quaternions.shape)
    else:
        before = np.concatenate([quaternions[:1] if start is None else start[None], quaternions[:-1]])
    return np.array([to_rotation_vector(multiply(now, conjugate(then))) for then, now in zip(before, quaternions)])
