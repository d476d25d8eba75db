"""Node parameters as frozen dataclasses: one declaration gives defaults, units, ranges and help. No ROS here.

@dataclass(frozen=True)
class Parameters:
    target_hz: float = parameter(100.0, "rate of published pose targets", unit="Hz", range=(20, 1000))
"""

import dataclasses
import math
import typing

from lpds_ros.config import nearest

KINDS = (bool, int, float, str)


class ParameterError(ValueError):
    """A parameter that is unknown, of the wrong type or out of range; the text names it and what is accepted."""


def parameter(default, help, unit="", range=None, choices=None):  # noqa: A002 (the words a reader of the table knows)
    """Return a dataclass field with its description. range: (lowest, highest) accepted; choices: accepted values."""
    return dataclasses.field(default=default, metadata={"help": help, "unit": unit, "range": range, "choices": choices})


def describe(field: dataclasses.Field) -> str:
    """One line for a person: help, unit and what is accepted."""
    text, meta = field.metadata.get("help", ""), field.metadata
    if meta.get("unit"):
        text += f" [{meta['unit']}]"
    if meta.get("range"):
        text += f", {meta['range'][0]:g} to {meta['range'][1]:g}"
    if meta.get("choices"):
        text += f", one of {', '.join(map(str, meta['choices']))}"
    return text


def build_parameters(cls, values: dict):
    """Build `cls` from a plain dictionary, every value checked. An int is taken for a float, never the reverse.

    Raises ParameterError naming the parameter, and the nearest valid name where it is unknown.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    checked = {}
    for name, value in values.items():
        if name not in fields:
            raise ParameterError(f"unknown parameter '{name}'{nearest(name, fields)}")
        checked[name] = _check(fields[name], hints[name], value)
    return cls(**checked)


def _check(field: dataclasses.Field, kind: type, value):
    if kind not in KINDS:
        raise TypeError(f"parameter {field.name}: type {kind} is not one of bool, int, float, str")
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ParameterError(f"parameter {field.name}: expected {kind.__name__}, got {value!r}")
    if kind is float and not math.isfinite(value):
        raise ParameterError(f"parameter {field.name}: {value} is not a finite number")
    limits, choices = field.metadata.get("range"), field.metadata.get("choices")
    if limits and not limits[0] <= value <= limits[1]:
        raise ParameterError(f"parameter {field.name}: {value:g} is outside {limits[0]:g} to {limits[1]:g}")
    if choices and value not in choices:
        raise ParameterError(f"parameter {field.name}: {value!r} is not one of {', '.join(map(str, choices))}")
    return value
