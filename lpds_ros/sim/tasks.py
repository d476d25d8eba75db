"""Tasks as data (sim/tasks/<name>.yaml): where things start, how they vary with the seed, what counts as success."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lpds_ros.config import ConfigError, build, nearest, read_yaml
from lpds_ros.resources import resource

Range = tuple[float, float]


class TaskError(ConfigError):
    """A task or scene that cannot be used; the text says what to change."""


@dataclass(frozen=True)
class Table:
    """Centre (x, y), size (x, y, thickness) in metres, sliding friction of its top, which lies at z = 0."""

    centre_m: tuple[float, float]
    size_m: tuple[float, float, float]
    friction: float


@dataclass(frozen=True)
class Scene:
    """What all tasks share. timestep_s: physics and impedance law advance together, one millisecond at a time."""

    schema: int
    table: Table
    finger_friction: float
    timestep_s: float

    def __post_init__(self):
        if self.schema != 1:
            raise TaskError(f"schema {self.schema} is not known to this version (1)")
        if self.timestep_s != 0.001:
            raise TaskError("timestep_s must be 0.001: the impedance law's gains are per millisecond")


@dataclass(frozen=True)
class Object:
    """A cube."""

    width_m: float
    mass_kg: float
    friction: float

    def __post_init__(self):
        if not (0.005 <= self.width_m <= 0.078 and self.mass_kg > 0 and self.friction >= 0):
            raise TaskError("object: width_m must lie in [0.005, 0.078] (the hand opens 0.08 m), mass_kg above 0")


@dataclass(frozen=True)
class Start:
    """Tool centre point at reset, hand pointing down: position plus a uniform spread (half range), metres."""

    position_m: tuple[float, float, float]
    spread_m: tuple[float, float, float]


@dataclass(frozen=True)
class Region:
    """Where the object may start: (lowest, highest) of x, y and yaw."""

    x_m: Range
    y_m: Range
    yaw_rad: Range

    def __post_init__(self):
        for name in ("x_m", "y_m", "yaw_rad"):
            low, high = getattr(self, name)
            if low > high:
                raise TaskError(f"region: {name} must be [lowest, highest], got [{low}, {high}]")


@dataclass(frozen=True)
class Success:
    """lifted: the held object is `height_m` above its resting height. placed: it rests, released, inside the zone."""

    kind: Literal["lifted", "placed"]
    height_m: float = 0.0
    zone_centre_m: tuple[float, float] = (0.0, 0.0)
    zone_half_size_m: tuple[float, float] = (0.0, 0.0)
    speed_mps: float = 0.0

    def __post_init__(self):
        if self.kind == "lifted" and not self.height_m > 0:
            raise TaskError("success: kind lifted needs height_m above 0")
        if self.kind == "placed" and not (min(self.zone_half_size_m) > 0 and self.speed_mps > 0):
            raise TaskError("success: kind placed needs zone_half_size_m and speed_mps above 0")


@dataclass(frozen=True)
class ObjectState:
    """What success is judged on: centre [3] m, speed m/s, and whether the fingers touch the object (both, any)."""

    position: tuple[float, float, float]
    speed_mps: float
    gripped: bool
    touched: bool


@dataclass(frozen=True)
class Task:
    """See the module's docstring."""

    schema: int
    name: str
    object: Object
    start: Start
    regions: dict[str, Region]
    success: Success

    def __post_init__(self):
        if self.schema != 1:
            raise TaskError(f"schema {self.schema} is not known to this version (1)")
        if "full" not in self.regions:
            raise TaskError("regions: 'full' is missing")

    @property
    def rest_height_m(self) -> float:
        """Height of the object's centre when it lies on the table."""
        return self.object.width_m / 2

    def sample(self, seed: int, region: str) -> tuple[np.ndarray, np.ndarray, float]:
        """Start of the tool centre point [3], of the object's centre [3] and its yaw, a function of the seed alone.

        Raises TaskError for an unknown region.
        """
        if region not in self.regions:
            raise TaskError(f"task {self.name}: unknown region '{region}'{nearest(region, self.regions)}")
        where = self.regions[region]
        draw = np.random.Generator(np.random.Philox(key=seed)).random(6)
        tool = np.array(self.start.position_m) + (2 * draw[:3] - 1) * np.array(self.start.spread_m)
        x, y, yaw = (low + u * (high - low) for u, (low, high) in zip(draw[3:], (where.x_m, where.y_m, where.yaw_rad)))
        return tool, np.array([x, y, self.rest_height_m]), yaw

    def succeeded(self, state: ObjectState) -> bool:
        """Whether the object's state is the task's goal."""
        rule = self.success
        x, y, z = state.position
        if rule.kind == "lifted":
            return state.gripped and z - self.rest_height_m >= rule.height_m
        (cx, cy), (hx, hy) = rule.zone_centre_m, rule.zone_half_size_m
        inside = abs(x - cx) <= hx and abs(y - cy) <= hy and abs(z - self.rest_height_m) <= 0.005
        return inside and not state.touched and math.isfinite(state.speed_mps) and state.speed_mps <= rule.speed_mps


def task_names() -> list[str]:
    """Names of the shipped tasks."""
    return sorted(path.stem for path in resource("sim/tasks").glob("*.yaml"))


def load_task(name: str) -> Task:
    """Read sim/tasks/<name>.yaml. Raises TaskError for an unknown name, ConfigError for a bad file."""
    if name not in task_names():
        raise TaskError(f"unknown task '{name}'{nearest(name, task_names())}")
    path = resource(f"sim/tasks/{name}.yaml")
    return build(Task, read_yaml(path), path)


def load_scene() -> Scene:
    """Read sim/scene.yaml."""
    path = resource("sim/scene.yaml")
    return build(Scene, read_yaml(path), path)
