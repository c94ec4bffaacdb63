"""Tables of arrays, a row each film or patient: what they all can do."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np

from lumbo.errors import InputError, instance, require

__all__ = ["Rows", "join"]


class Rows:
    """A base for frozen dataclasses of arrays with one row each; a field may be such a table itself.

    ``table[rows]`` takes a slice, a mask or an index array; an integer gives a table of one row, and going
    through a table gives one after the other.  Two tables are equal where all their numbers are.
    Declare with ``@dataclass(frozen=True, eq=False, repr=False)``.

    Raises
    ------
    InputError
        Fields of unequal length, or rows that are not there.
    """

    def __post_init__(self):
        first, *others = _fields(self)
        for name in (first, *others):
            found = getattr(self, name)
            rows = isinstance(found, Rows) or (isinstance(found, np.ndarray) and found.ndim > 0)
            require(rows, f"{type(self).__name__}.{name}", found, "an array with a row each")
        for name in others:
            n, wanted = (len(getattr(self, one)) for one in (name, first))
            require(n == wanted, f"{type(self).__name__}.{name}", f"{n} rows", f"{wanted}, as in {first}")

    def __len__(self) -> int:
        return len(getattr(self, _fields(self)[0]))

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows there are, as a shape."""
        return (len(self),)

    def __getitem__(self, rows: Any) -> Self:
        where = _index(type(self).__name__, rows, len(self))
        return type(self)(**{name: getattr(self, name)[where] for name in _fields(self)})

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in _fields(self))

    __hash__ = None  # type: ignore[assignment]  # arrays can change

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(_fields(self))})"


_Table = TypeVar("_Table", bound=Rows)


def join(field: str, parts: Sequence[_Table]) -> _Table:
    """Put tables of one kind one after the other; raise `InputError` naming what does not fit."""
    require(isinstance(parts, list | tuple) and len(parts) > 0, field, parts, "a list of at least one")
    instance(f"{field}[0]", parts[0], Rows)
    kind = type(parts[0])
    for i, part in enumerate(parts):
        instance(f"{field}[{i}]", part, kind)

    def column(name: str) -> Any:
        columns = [getattr(part, name) for part in parts]
        if isinstance(columns[0], Rows):
            return join(f"{field}.{name}", columns)
        first, *others = map(_kind, columns)
        for i, other in enumerate(others, 1):
            require(other == first, f"{field}[{i}].{name}", other, f"{first}, as in {field}[0]")
        return np.concatenate(columns)

    return kind(**{name: column(name) for name in _fields(parts[0])})


def _fields(table: Any) -> list[str]:
    return [one.name for one in dataclasses.fields(table)]


def _same(one: Any, other: Any) -> bool:
    """Whether two fields hold the same; NaN is NaN."""
    if isinstance(one, Rows) or isinstance(other, Rows):
        return one == other
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _kind(column: np.ndarray) -> str:
    """Say what a row of an array is: texts may be longer in one table than in another."""
    text = column.dtype.kind == "U"
    return f"rows of shape {column.shape[1:]}, {'text' if text else column.dtype}"


def _index(field: str, rows: Any, n: int) -> Any:
    """Return what NumPy takes as rows of `n`, or raise `InputError`."""
    allowed = f"a row below {n}, a slice, a mask of {n} or an index array"
    try:
        if isinstance(rows, slice):
            return np.arange(n)[rows]
        require(not np.ma.is_masked(rows), f"{field}[rows]", rows, allowed)
        where = np.asarray(rows)
    except (TypeError, ValueError) as error:
        raise InputError(f"{field}[rows]", rows, allowed) from error
    if where.dtype == bool:
        require(where.shape == (n,), f"{field}[mask]", where.shape, allowed)
        return where
    if where.shape == (0,):
        return where.astype(int)
    fits = where.dtype.kind in "iu" and where.ndim <= 1 and (-n <= where.min()) and (where.max() < n)
    require(fits, f"{field}[rows]", rows, allowed)
    return np.atleast_1d(where)
