"""The robot's own limits, out of /robot_description (URDF), and their intersection with those of calibration/<robot>.yaml.

The file is what Franka publishes, the description is what the robot was started with (franka_description's has narrower joints
than the newest publication): the narrower of both holds.
"""

import math
import re
from dataclasses import dataclass, replace
from xml.parsers import expat

from lpds_ros.robot.limits import ArmLimits

MAX_BYTES = 8 << 20
ARM = 7


class DescriptionError(ValueError):
    """A robot description that cannot be used; the text says why."""


@dataclass(frozen=True)
class JointRange:
    """What a URDF allows a joint: rad, rad/s, Nm."""

    position_min_rad: float
    position_max_rad: float
    velocity_max_radps: float
    torque_max_nm: float


def joint_ranges(text: str) -> dict[str, JointRange]:
    """Limits of the revolute joints by name. Raises DescriptionError.

    A document type is refused, and with it every entity: a few lines of those could fill the memory.
    """
    data = text.encode()
    if len(data) > MAX_BYTES:
        raise DescriptionError(f"the robot description has {len(data)} bytes, at most {MAX_BYTES} are read")
    found: dict[str, JointRange] = {}
    path: list[str] = []
    joint: dict[str, str] = {}

    def refuse(*_):
        raise DescriptionError("the robot description has a DOCTYPE, which is not read: remove it")

    def start(tag, attributes):
        nonlocal joint
        if tag == "joint" and path == ["robot"]:
            joint = attributes
        elif tag == "limit" and path == ["robot", "joint"] and joint.get("type") == "revolute":
            name = joint.get("name", "")
            if name in found:
                raise DescriptionError(f"the robot description has joint '{name}' twice")
            keys = ("lower", "upper", "velocity", "effort")
            found[name] = JointRange(*(_number(attributes, key, name) for key in keys))
        path.append(tag)

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, start
    parser.EndElementHandler = lambda tag: path.pop()
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise DescriptionError(f"the robot description is not XML: {error}") from None
    return found


def _number(attributes: dict[str, str], key: str, joint: str) -> float:
    try:
        value = float(attributes[key])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DescriptionError(f"the robot description's joint '{joint}' has no number for its limit's {key}")
    return value


def narrowed(limits: ArmLimits, ranges: dict[str, JointRange]) -> tuple[ArmLimits, tuple[str, ...]]:
    """The limits within both, and a line for every limit that the description made narrower.

    ranges: as `joint_ranges` found them. Raises DescriptionError when the seven joints are not there (whatever is before their
    names, a prefix of the arm, is the same for all), or a joint could be nowhere.
    """
    stem = "|".join(map(re.escape, limits.urdf_types))
    matches = [m for m in (re.fullmatch(f"(.*(?:{stem}))_joint([1-7])", name) for name in ranges) if m]
    named = [(m[1], int(m[2]), ranges[m[0]]) for m in matches]
    arms = sorted({arm for arm, _, _ in named})
    if len(arms) != 1 or len(named) != ARM:
        there = ", ".join(sorted(ranges)) or "no revolute joint"
        raise DescriptionError(
            f"calibration/{limits.robot}.yaml is for joints {limits.urdf_types[0]}_joint1 to 7 of one arm, the robot "
            f"description has {there}: is arm:={limits.robot} right?"
        )
    described = [joint for _, _, joint in sorted(named, key=lambda found: found[1])]
    hard, lines = limits.joints, []
    low = _tighter(hard.position_min_rad, [j.position_min_rad for j in described], max, "from", "rad", lines)
    high = _tighter(hard.position_max_rad, [j.position_max_rad for j in described], min, "to", "rad", lines)
    speed = _tighter(hard.velocity_max_radps, [j.velocity_max_radps for j in described], min, "at most", "rad/s", lines)
    torque = _tighter(hard.torque_max_nm, [j.torque_max_nm for j in described], min, "at most", "Nm", lines)
    try:
        if not all(value > 0.0 for value in speed + torque):
            raise ValueError("a joint has neither speed nor torque")
        cut = limits.within(low, high)
    except ValueError as error:
        raise DescriptionError(
            f"the robot description and calibration/{limits.robot}.yaml leave no range in common ({error}): joints "
            f"{[(j.position_min_rad, j.position_max_rad) for j in described]} rad by the description; one is of another robot"
        ) from None
    hard = replace(cut.joints, velocity_max_radps=speed, torque_max_nm=torque)
    suggested = replace(cut.suggested, velocity_max_radps=tuple(map(min, cut.suggested.velocity_max_radps, speed)))
    return replace(cut, joints=hard, suggested=suggested), tuple(lines)


def _tighter(ours, theirs, narrower, how: str, unit: str, lines: list[str]) -> tuple[float, ...]:
    for i, (own, other) in enumerate(zip(ours, theirs)):
        if narrower(own, other) != own:
            lines.append(f"joint {i + 1}: {how} {other:g} {unit} (its description), not {own:g}")
    return tuple(map(narrower, ours, theirs))
