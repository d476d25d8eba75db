"""Records as columns and back: a list of dataclass instances as one array for each field. No objects, so no pickle.

A text becomes its number in `Texts`, a {name: number} one column a name (NaN where a record lacks it).
"""

import dataclasses
import typing
from enum import IntEnum

import numpy as np

KINDS = {int: np.int64, float: np.float64, bool: np.bool_, str: np.int32}
Shapes = dict[str, tuple[type, tuple]]  # array field -> its type and shape


class Texts(list):
    """Texts by their number."""

    def number(self, text: str) -> int:
        """Of a text, which is kept where it is new."""
        if text not in self:
            self.append(text)
        return self.index(text)


def to_columns(records: list, cls, prefix: str, *, texts: Texts, names: list[str], shapes: Shapes) -> dict[str, np.ndarray]:
    """{prefix.field: array [N, …]} of N records of `cls`, without its optional fields. names: keys of its dictionaries."""
    columns = {}
    for field, hint in _fields(cls):
        values = [getattr(record, field) for record in records]
        if hint is np.ndarray:
            kind, shape = shapes[field]
            column = np.array(values, kind).reshape(len(values), *shape)
        elif hint is str:
            column = np.array([texts.number(value) for value in values], np.int32)
        elif hint is dict:
            rows = [[value.get(name, np.nan) for name in names] for value in values]
            column = np.array(rows, np.float64).reshape(len(values), len(names))
        else:
            column = np.array(values, KINDS[_plain(hint)])
        columns[f"{prefix}.{field}"] = column
    return columns


def from_columns(columns: dict, cls, prefix: str, count: int, *, texts: list[str], names: list[str], shapes: Shapes) -> list:
    """The `count` records again, arrays read-only. Raises ValueError for a column that is missing or does not fit."""
    fields = {}
    for field, hint in _fields(cls):
        if hint is np.ndarray:
            kind, shape = shapes[field]
        else:
            kind, shape = (np.float64, (len(names),)) if hint is dict else (KINDS[_plain(hint)], ())
        column = take(columns, f"{prefix}.{field}", kind, (count, *shape))
        if hint is np.ndarray:
            fields[field] = list(column)
        elif hint is str:
            fields[field] = [text_of(texts, number) for number in column.tolist()]
        elif hint is dict:
            fields[field] = [{n: v for n, v in zip(names, row) if v == v} for row in column.tolist()]
        else:
            fields[field] = [hint(value) for value in column.tolist()]
    return [cls(**{name: values[i] for name, values in fields.items()}) for i in range(count)]


def take(columns: dict, name: str, kind, shape: tuple) -> np.ndarray:
    """The column of this name, read-only, taken out of `columns`. Raises ValueError for another shape or type, or none."""
    column = columns.pop(name, None)
    if column is None:
        raise ValueError(f"column {name} is missing")
    if column.shape != shape or column.dtype != kind:
        raise ValueError(f"column {name} is {column.dtype} {column.shape}, expected {np.dtype(kind)} {shape}")
    column.setflags(write=False)
    return column


def text_of(texts: list[str], number: int) -> str:
    """Raises ValueError where there is none of this number."""
    if not 0 <= number < len(texts):
        raise ValueError(f"text {number} of {len(texts)}")
    return texts[number]


def _fields(cls) -> list[tuple[str, type]]:
    """Name and plain type of each field that is not optional."""
    hints = {name: typing.get_origin(hint) or hint for name, hint in typing.get_type_hints(cls).items()}
    return [(f.name, hints[f.name]) for f in dataclasses.fields(cls) if isinstance(hints[f.name], type)
            and _plain(hints[f.name]) in (*KINDS, np.ndarray, dict)]


def _plain(hint: type) -> type:
    return int if issubclass(hint, IntEnum) else hint
