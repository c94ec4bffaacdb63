"""Specifications: what each field means, its type and what it may be, in one place.

A specification is a frozen dataclass.  Each field is annotated with what it may be and, last,
with what it means::

    @specs.documented
    @dataclass(frozen=True)
    class Room:
        "A room with a detector."

        source_mm: Annotated[float, Range(800, 4000), "tube to detector"]
        window: Annotated[tuple[float, float], Range(0, 1), "shares that are black, and not white"]
        side: Annotated[Literal["left", "right"], "of the tube"] = "left"

`read` makes one from a table in a file, `check` holds one that was built in code to the same,
and `documented` writes the same into its docstring: all three ask the annotations.
"""

import dataclasses
import inspect
from dataclasses import MISSING, dataclass
from math import inf
from numbers import Integral
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lumbo.errors import InputError, choice, fields, number, require, span, text, truth, whole

__all__ = ["Range", "read", "check", "documented"]

_Spec = TypeVar("_Spec")


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of a number, or of every number in a tuple or a dict."""

    low: float
    high: float = inf

    def __str__(self) -> str:
        return span(self.low, self.high) + (" or more" if self.high == inf else "")


def read(cls: type[_Spec], field: str, table: object, **given: object) -> _Spec:
    """Turn a table into a specification.

    Parameters
    ----------
    cls : class of the specification; a field with a default may be absent from the table
    field : where the table stands, such as "aspen.scanner"
    table : a dict as TOML gives it; a list becomes a tuple, a table within it a specification
    given : the fields that do not stand in the table

    What `cls` checks itself, in ``__post_init__``, it names from its own root, as in "plan.checks".

    Raises
    ------
    InputError
        Naming the field, such as "aspen.scanner.gamma", the value, and what is allowed.
    """
    hints = _hints(cls)
    found = fields(field, table, hints.keys() - given.keys(), _defaults(cls)) | given
    values = {name: _value(f"{field}.{name}", hints[name], found[name]) for name in hints if name in found}
    try:
        return cls(**values)
    except InputError as error:  # what fields say together: named from where the table stands
        raise InputError(_within(field, error.field), error.value, error.allowed) from error


def check(spec: _Spec, field: str) -> _Spec:
    """Return `spec` if every field is what its class allows, else raise `InputError`; for ``__post_init__``.

    NumPy's numbers in it become Python's, and lists tuples, as if it came from a file.
    """
    for name, hint in _hints(type(spec)).items():
        value = _value(f"{field}.{name}", hint, getattr(spec, name))
        object.__setattr__(spec, name, value)  # its class is frozen
    return spec


def documented(cls: type[_Spec]) -> type[_Spec]:
    """Add to the docstring of a specification the type, the meaning and the range of each field."""
    types = get_type_hints(cls)
    lines = [inspect.cleandoc(cls.__doc__ or ""), "", "Attributes", "----------"]
    for name, hint in _hints(cls).items():
        *allowed, meaning = hint.__metadata__
        kind = inspect.formatannotation(types[name]).replace("typing.", "")
        lines += [f"{name} : {kind}", "    " + "; ".join(map(str, (meaning, *allowed)))]
    cls.__doc__ = "\n".join(lines)
    cls.__init__.__annotations__.update(types)  # so that help() shows a signature of types alone
    return cls


def _within(field: str, place: str) -> str:
    """Name a place in a specification by the path of the specification: ("tiny.plan", "plan.checks")."""
    _, dot, rest = place.partition(".")
    return place if place.startswith(f"{field}.") else f"{field}{dot}{rest}"


def _hints(cls: Any) -> dict[str, Any]:
    """Annotation of each field, in the order of the class."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _defaults(cls: Any) -> set[str]:
    """Names of the fields that have a default."""
    return {f.name for f in dataclasses.fields(cls) if (f.default, f.default_factory) != (MISSING, MISSING)}


def _value(field: str, hint: Any, value: Any, limits: Range = Range(-inf)) -> Any:
    """Return `value` as what `hint` says, or raise `InputError`; `limits` hold for the numbers in it."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        limits = next((part for part in hint.__metadata__ if isinstance(part, Range)), limits)
        return _value(field, parts[0], value, limits)
    if kind in (Union, UnionType):
        return _either(field, parts, value, limits)
    if hasattr(kind, "__dataclass_fields__"):
        return check(value, field) if isinstance(value, kind) else read(kind, field, value)
    if kind is tuple:
        return tuple(_value(field, part, one, limits) for part, one in _items(field, parts, value))
    if kind is dict:
        require(isinstance(value, dict), field, value, "a table")
        fields(
            field, value, set(get_args(parts[0]) or map(str, value))
        )  # every key of a Literal, or any text
        return {key: _value(f"{field}.{key}", parts[1], one, limits) for key, one in value.items()}
    return _single(field, kind, parts, value, limits)


def _either(field: str, kinds: tuple, value: Any, limits: Range) -> Any:
    """Return a value as the first of several types that takes it, such as ``str | None``."""
    allowed = []
    for kind in kinds:
        try:
            return _value(field, kind, value, limits)
        except InputError as error:
            allowed.append(error.allowed)
    raise InputError(field, value, " or ".join(allowed))


def _items(field: str, parts: tuple, value: Any) -> zip:
    """Pair the types of a tuple, ``[float, float]`` or ``[int, ...]``, with its items."""
    listed = isinstance(value, list | tuple)
    if parts[-1] is ...:
        require(listed, field, value, "a list")
        return zip(parts[:1] * len(value), value)
    require(listed and len(value) == len(parts), field, value, f"a list of {len(parts)}")
    return zip(parts, value)


def _single(field: str, kind: Any, choices: tuple, value: Any, limits: Range) -> Any:
    """Return a value that holds no others."""
    if kind is Literal:
        if all(isinstance(one, str) for one in choices):
            return choice(field, value, choices)
        known = any(type(value) is type(one) and value == one for one in choices)
        require(known, field, value, f"one of {', '.join(map(str, choices))}")
        return value
    if kind is NoneType:
        require(value is None, field, value, "null")
        return value
    if kind is int:
        return whole(field, value, limits.low, limits.high)
    if kind is float:
        real = number(field, value, limits.low, limits.high)
        return int(value) if isinstance(value, Integral) else real  # a digest tells 1300 from 1300.0
    if kind in (bool, str):
        return truth(field, value) if kind is bool else text(field, value)
    raise TypeError(f"{field}: no rule for {kind}")
