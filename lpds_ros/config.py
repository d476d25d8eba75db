"""Strict YAML to frozen dataclasses: an unknown or ill-typed key is an error that names file, line and nearest key."""

import dataclasses
import difflib
import re
import sys
import types
import typing
from pathlib import Path

import yaml

MAX_BYTES = 1 << 20


class ConfigError(ValueError):
    """A configuration file that cannot be used; the text says where and what to do."""


# The constructors of PyYAML raise what a tag that does not fit its value provokes: a date that is none, an int of no digits.
BAD_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError, OverflowError)


class _Node(dict):
    """A mapping that remembers the line of each key (`lines`) and its own (`line`)."""


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases (an alias can grow a small file without bound) and without repeated keys."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise ConfigError(f"{mark.name}:{mark.line + 1}: YAML aliases are not accepted; write the value out")
        return super().compose_node(parent, index)


def _construct_mapping(loader, node):
    mapping = _Node()
    mapping.lines, mapping.line = {}, node.start_mark.line + 1
    for key_node, value_node in node.value:
        key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if not isinstance(key, str):
            raise ConfigError(f"{node.start_mark.name}:{line}: key {key!r} must be a string")
        if key in mapping:
            raise ConfigError(f"{node.start_mark.name}:{line}: key '{key}' appears twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
        mapping.lines[key] = line
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what `_Loader` would read as something else."""


# YAML 1.1 reads 3e-4 as text; everybody means the number.
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def nearest(name: str, valid) -> str:
    """Return the clause ", did you mean 'x'?" for the valid name nearest to `name`, or the list of valid names."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else f"; valid: {', '.join(sorted(valid))}"


def read_yaml(path) -> dict:
    """Read one YAML mapping. Raises ConfigError when the file is absent, oversized, malformed or no mapping."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path}: {path.stat().st_size} bytes, more than the {MAX_BYTES} a configuration may have")
    try:
        with path.open(encoding="utf-8") as stream:
            tree = yaml.load(stream, Loader=_Loader)  # noqa: S506 (a SafeLoader subclass)
    except ConfigError:
        raise
    except BAD_YAML as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values at the top")
    return tree


def to_yaml(tree: dict, **named) -> str:
    """The YAML of plain values, keys in their order, that `read_yaml` reads back as it was. named: options of yaml.dump."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, **named)


def read_value(text: str):
    """The value that `text` has in a YAML file. Raises ConfigError."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader subclass)
    except ConfigError:
        raise
    except BAD_YAML as error:
        raise ConfigError(f"{text!r}: not valid YAML: {' '.join(str(error).split())}") from None


def build(cls, tree: dict, path="<config>"):
    """Build frozen dataclass `cls` from a mapping, as `read_yaml` reads it; nested dataclasses, tuples, dicts and Literals too.

    Raises ConfigError naming file, line and key, and the nearest valid key where the key is unknown.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = typing.get_type_hints(cls)
    here = f"{path}:{tree.line}" if isinstance(tree, _Node) else f"{path}"
    places = {key: f"{path}:{line}" for key, line in getattr(tree, "lines", {}).items()}
    for key in tree:
        if key not in fields:
            raise ConfigError(f"{places.get(key, path)}: unknown key '{key}'{nearest(key, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in tree:
            raise ConfigError(f"{here}: key '{name}' is missing")
    values = {k: _convert(hints[k], v, f"{places.get(k, path)}: {k}", path) for k, v in tree.items()}
    try:
        return cls(**values)
    except ConfigError as error:
        raise type(error)(f"{here}: {error}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{here}: {error}") from None


def _convert(hint, value, where, path):
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, got {value!r}")
        return build(hint, value, path)
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f"{where}: {value!r} is not one of {', '.join(map(str, args))}")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, where, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise ConfigError(f"{where}: expected {len(args)} values, got {len(value)}")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_convert(kind, item, f"{where}[{i}]", path) for i, (kind, item) in enumerate(zip(kinds, value)))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected a mapping, got {value!r}")
        return {key: _convert(args[1], item, f"{where}.{key}", path) for key, item in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:  # a whole number may be longer than any float
            raise ConfigError(f"{where}: {value} is not a finite number")
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise ConfigError(f"{where}: expected {getattr(hint, '__name__', hint)}, got {value!r}")
