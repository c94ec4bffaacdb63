"""What is wrong for a value, by its type and annotation; how else it is written; where, in a nested one."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import torch
from torch import nn

from lumbo.films.hospitals import FilmSet
from lumbo.specs import Range

Rng = np.random.Generator
Mutation = Callable[[Any, Rng], Any]
_One = TypeVar("_One")


def pick(options: Iterable[_One], rng: Rng) -> _One:
    """Pick one of some options, each as likely."""
    every = list(options)
    return every[rng.integers(len(every))]


# ---------------------------------------------------------------- what is wrong


class Unprintable:
    """A value whose repr fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


def nested(depth: int, width: int = 1) -> list:
    """Put lists into lists; a wide tree of them is small in memory and long on paper."""
    found: list = []
    for _ in range(depth):
        found = [found] * width
    return found


def just(values: Mapping[str, Any]) -> dict[str, Mutation]:
    """Put something else in place of a value."""
    return {name: lambda _, rng, value=value: value for name, value in values.items()}


ODD = {  # for whatever kind of value
    "an object": object(),
    "a repr that fails": Unprintable(),
    "a function": len,
    "a class": int,
    "bytes": b"7",
    "a set": {7},
    "an array": np.arange(3),
    "pandas' NA": pd.NA,
    "an ellipsis": ...,
    "a complex number": 1j,
    "NaN": math.nan,
    "lists 5000 deep": nested(5000),
    "a tree of lists": nested(4, 12),
}
ODD_SCALAR = ODD | {"None": None, "a list": [1], "a table": {}}
NO_NUMBER = ODD_SCALAR | {"True": True, "infinity": math.inf, "10**400": 10**400, "a text": "7"}
NO_TRUTH = ODD_SCALAR | {"a text": "true", "1": 1, "2": 2}
NO_TEXT = ODD_SCALAR | {"a number": 7, "True": True, "empty": "", "spaces": " \t"}
NO_PATH = ODD_SCALAR | {"a number": 7, "NUL": "a\0b", "too long": "x" * 5000, "half a letter": "\ud800"}
NO_TABLE = ODD | {"None": None, "a number": 7, "a text": "a", "an empty list": []}
NO_LIST = {
    name: value for name, value in NO_TABLE.items() if name not in ("an array", "a set", "an empty list")
}
NO_CALL = {"None": None, "a number": 7, "a text": "print", "an object": object()}
NO_OTHER = NO_TABLE | {"a table": {}}
PLAIN = {"NaN", "a list", "a table"}  # of what is odd, that which a file can hold


def at_random(other: object, kind: type) -> Mutation:
    """Put something else in place of one number of an array."""

    def mutate(values: np.ndarray, rng: Rng) -> np.ndarray:
        changed = np.array(values, kind)
        changed[tuple(rng.integers(n) for n in changed.shape)] = other
        return changed

    return mutate


def one_masked(values: np.ndarray, rng: Rng) -> np.ma.MaskedArray:
    """Mask one number of an array."""
    return np.ma.MaskedArray(values, at_random(True, bool)(np.zeros(values.shape), rng))


COLUMNS: dict[str, Mutation] = {
    "a column less": lambda values, _: values[..., :-1],
    "a column more": lambda values, _: np.concatenate([values, values[..., :1]], -1),
}
NUMBERS: dict[str, Mutation] = {
    "one NaN": at_random(math.nan, float),
    "one infinity": at_random(-math.inf, float),
    "one None": at_random(None, object),
    "one masked": one_masked,
    "complex": lambda values, _: values + 1j,
    "truths": lambda values, _: values > 0,
    "texts": lambda values, _: values.astype(str),
    "dates": lambda values, _: values.astype("datetime64[s]"),
}
NO_ARRAY: dict[str, Mutation] = {
    **just({name: value for name, value in NO_OTHER.items() if name != "an array"}),
    **COLUMNS,
    **NUMBERS,
    "a rank less": lambda values, _: values[0],
    "a rank more": lambda values, _: values[None],
    "empty": lambda values, _: values[:0],
    "ragged": lambda values, _: [*values.tolist(), [1.0]],
}


def changed(name: str, change: Mutation) -> Mutation:
    """Change one field of a film set."""
    return lambda films, rng: replace(films, **{name: change(getattr(films, name), rng)})


NO_FILMS: dict[str, Mutation] = {
    **just(NO_OTHER),
    "no films": lambda films, _: films[:0],
    "films of real numbers": changed("films", lambda films, _: films / 255),
    "films of 16 bit": changed("films", lambda films, _: films.astype(np.uint16)),
    "flat films": changed("films", lambda films, _: films.reshape(len(films), -1)),
    "films of an odd size": changed("films", lambda films, _: films[:, 1:]),
    "a film less": changed("films", lambda films, _: films[1:]),
    "a landmark less": changed("rated_landmarks_px", lambda points, _: points[:, 1:]),
    "a landmark that is NaN": changed("rated_landmarks_px", NUMBERS["one NaN"]),
}


def beyond(value: float, limits: Range) -> dict[str, float]:
    """Give the numbers next to a range, outside it."""
    if isinstance(value, int):
        least, most = limits.low - 1, limits.high + 1
    else:
        least, most = math.nextafter(limits.low, -math.inf), math.nextafter(limits.high, math.inf)
    ends = {"too small": (limits.low, least), "too large": (limits.high, most)}
    return {name: number for name, (end, number) in ends.items() if math.isfinite(end)}


def wrong(value: object, hint: object) -> dict[str, Mutation]:
    """Give the mutations that make a value wrong."""
    said, kind = getattr(hint, "__metadata__", ()), bare(hint)
    if NoneType in get_args(kind):
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
        return {name: one for name, one in wrong(value, kind).items() if name != "None"}
    limits = next((part for part in said if isinstance(part, Range)), Range(-math.inf))
    match value:
        case bool():
            return just(NO_TRUTH)
        case int():
            half = {} if kind is float else {"a half": value + 0.5}
            return just(NO_NUMBER | half | beyond(value, limits))
        case float():
            return just(NO_NUMBER | beyond(value, limits))
        case str():
            others = {"unknown": "unknown", "the other case": value.swapcase(), "a line more": f"{value}\n"}
            return just(NO_TEXT | (others if get_origin(kind) is Literal else {}))
        case Path():
            return just(NO_PATH)
        case dict():
            return just(NO_TABLE) | wrong_fields(value, kind)
        case list() | tuple():
            several = get_origin(kind) is tuple and ... not in get_args(kind)
            return just(
                NO_LIST | ({"too short": value[:-1], "too long": [*value, value[-1]]} if several else {})
            )
        case np.ndarray():
            return {name: one for name, one in NO_ARRAY.items() if value.ndim > 1 or name not in COLUMNS}
        case FilmSet():
            return NO_FILMS
    return just(NO_CALL if callable(value) and not isinstance(value, nn.Module) else NO_OTHER)


def wrong_fields(table: dict, kind: Any) -> dict[str, Mutation]:
    """Give the mutations of the fields of a table: one more, or one less of those that it needs."""
    needed = [] if get_origin(kind) is dict and get_args(kind)[0] is str else list(table)
    if is_dataclass(kind):
        needed = [one.name for one in fields(kind) if one.name in table and one.default is MISSING]

    def without(name: str) -> Mutation:
        return lambda table, _: {key: value for key, value in table.items() if key != name}

    more: dict[str, Mutation] = {
        "a field more": lambda table, _: table | {"odd": 1},
        "a number as a field": lambda table, _: table | {7: 1},
        "a field with a long name": lambda table, _: table | {"x" * 30_000: 1},
    }
    return more | {f"{name} missing": without(name) for name in needed}


# ---------------------------------------------------------------- what is unusual


def read_only(values: np.ndarray) -> np.ndarray:
    """Copy an array so that nobody may write to it."""
    values = values.copy()
    values.flags.writeable = False
    return values


USUAL: dict[type, dict[str, Callable[[Any], Any]]] = {  # the same value, written in another way
    int: {"NumPy's int64": np.int64, "NumPy's int32": np.int32},
    float: {"NumPy's float64": np.float64},
    np.ndarray: {
        "a list": np.ndarray.tolist,
        "a table of pandas": lambda values: pd.DataFrame(values) if values.ndim == 2 else values.tolist(),
        "another byte order": lambda values: values.astype(values.dtype.newbyteorder()),
        "columns first": np.asfortranarray,
        "a view backwards": lambda values: values[::-1].copy()[::-1],
        "read-only": read_only,
        "nothing masked": lambda values: np.ma.MaskedArray(values, np.zeros(values.shape, bool)),
        "a tensor": lambda values: torch.from_numpy(values.copy()),
    },
    FilmSet: {
        "a view backwards": lambda films: films[::-1][::-1],
        "read-only": lambda films: replace(
            films, **{name: read_only(one) for name, one in vars(films).items()}
        ),
    },
}
USUAL_ARGUMENT: dict[type, dict[str, Callable[[Any], Any]]] = USUAL | {
    str: {"NumPy's text": np.str_},
    list: {"a tuple": tuple},
    tuple: {"a list": list},
    type(Path()): {"a text": str},
}


# ---------------------------------------------------------------- where


class Place(NamedTuple):
    """A place in a nested value: keys and positions that lead there, what stands there, its annotation."""

    path: tuple
    value: Any
    hint: Any

    def __str__(self):
        return ".".join(map(str, self.path)) or "all"


def bare(hint: Any) -> Any:
    """Take from an annotation what it says beside the type."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def part(hint: Any, key: Any) -> Any:
    """Say what an annotation, or a table of them, says of a part of its value; None where it says nothing."""
    inner, said = bare(hint), getattr(hint, "__metadata__", ())
    if is_dataclass(inner):
        return get_type_hints(inner, include_extras=True).get(key)
    if isinstance(inner, dict):
        return inner.get(key)
    kinds = get_args(inner)
    if get_origin(inner) not in (dict, tuple):
        return None
    found = kinds[1] if get_origin(inner) is dict else kinds[0] if ... in kinds else kinds[key]
    return Annotated[found, *said] if said else found


def places(value: Any, hint: Any = None, path: tuple = ()) -> Iterator[Place]:
    """Go through a nested value and all of its parts."""
    yield Place(path, value, hint)
    if isinstance(value, dict | list | tuple):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, part(hint, key), (*path, key))


def planted(value: Any, path: tuple, change: Callable[[Any], Any]) -> Any:
    """Copy a nested value with one place of it changed."""
    if not path:
        return change(value)
    key, *rest = path
    if isinstance(value, dict):
        return value | {key: planted(value[key], tuple(rest), change)}
    items = [planted(one, tuple(rest), change) if i == key else one for i, one in enumerate(value)]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def misfit(table: dict, hint: Any, rng: Rng, depth: int = 9) -> tuple[str, dict]:
    """Copy a table with one place of it wrong, down to a depth, in a way that a text file can hold."""
    every = [place for place in places(table, hint) if len(place.path) <= depth and place.value is not None]
    place = pick(every, rng)
    held = {
        name: one
        for name, one in wrong(place.value, place.hint).items()
        if (name not in ODD or name in PLAIN) and name != "a number as a field"
    }
    name, mutate = pick(held.items(), rng)
    return f"{place}: {name}", planted(table, place.path, lambda value: mutate(value, rng))
