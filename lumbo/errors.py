"""The one error of the package: something the caller gave cannot be used."""

import sys
from math import inf
from numbers import Integral, Real
from typing import Any

__all__ = ["InputError", "require", "number", "whole", "truth", "text", "fields", "span"]


class InputError(ValueError):
    """Name the field, the value found there and what is allowed instead.

    >>> raise InputError("batch_size", 0, "a whole number from 1")
    Traceback (most recent call last):
    lumbo.errors.InputError: batch_size: got 0; allowed: a whole number from 1
    """

    def __init__(self, field: str, value: object, allowed: str):
        super().__init__(f"{field}: got {value!r}; allowed: {allowed}")
        self.field, self.value, self.allowed = field, value, allowed

    def __reduce__(self):
        return type(self), (self.field, self.value, self.allowed)


def require(condition: object, field: str, value: object, allowed: str) -> None:
    """Raise `InputError` unless `condition` holds."""
    if not condition:
        raise InputError(field, value, allowed)


def number(field: str, value: Any, low: float, high: float = inf) -> float:
    """Return `value` as a float in [low, high], or raise `InputError`.

    Numbers of NumPy are numbers; True and False are not, nor is anything that is not finite.

    >>> number("gamma", 3, 0.2, 5)
    3.0
    >>> number("gamma", 9, 0.2, 5)
    Traceback (most recent call last):
    lumbo.errors.InputError: gamma: got 9; allowed: a number from 0.2 to 5
    """
    plain = _plain(value)
    fits = plain is not None and low <= plain <= high and abs(plain) <= sys.float_info.max
    require(fits, field, value, f"a number from {span(low, high)}")
    return float(plain)


def whole(field: str, value: Any, low: float, high: float = 10**9) -> int:
    """Return `value` as an int in [low, high], or raise `InputError`.  Whole numbers of NumPy are welcome."""
    plain = _plain(value)
    fits = isinstance(plain, int) and low <= plain <= high
    require(fits, field, value, f"a whole number from {span(low, high)}")
    return plain


def truth(field: str, value: Any) -> bool:
    """Return `value` if it is True or False, or raise `InputError`."""
    require(isinstance(value, bool), field, value, "true or false")
    return value


def text(field: str, value: Any) -> str:
    """Return `value` if it is a text with something in it, or raise `InputError`."""
    require(isinstance(value, str) and bool(value.strip()), field, value, "a text")
    return value


def fields(
    field: str, table: Any, allowed: set[str], optional: set[str] | frozenset[str] = frozenset()
) -> dict:
    """Return `table` if it is a mapping with every allowed key (optional ones may lack) and no other."""
    require(isinstance(table, dict), field, table, "a table")
    for key in table:
        require(key in allowed, f"{field}.{key}", table[key], f"one of {', '.join(sorted(allowed))}")
    for key in sorted(allowed - optional):
        require(key in table, f"{field}.{key}", None, "this field is needed")
    return table


def span(low: float, high: float) -> str:
    """Write a range as in "a number from 0.2 to 5".

    >>> span(0.2, 5), span(0, 1_000_000), span(1, inf)
    ('0.2 to 5', '0 to 1000000', '1')
    """
    ends = [low] if low > -inf and high == inf else [low, high]
    return " to ".join(f"{end:g}" if isinstance(end, float) else f"{end}" for end in ends)


def _plain(value: object) -> Any:
    """Return Python's number for any real one, NumPy's too; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return int(value) if isinstance(value, Integral) else float(value)
