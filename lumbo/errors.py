"""The one error of the package: something the caller gave cannot be used."""

__all__ = ["InputError", "require", "number", "whole", "fields"]


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


def require(condition: bool, field: str, value: object, allowed: str) -> None:
    """Raise `InputError` unless `condition` holds."""
    if not condition:
        raise InputError(field, value, allowed)


def number(field: str, value: object, low: float, high: float) -> float:
    """Return `value` as a float in [low, high], or raise `InputError`."""
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    require(real and low <= value <= high, field, value, f"a number from {low:g} to {high:g}")
    return float(value)


def whole(field: str, value: object, low: int, high: int = 10**9) -> int:
    """Return `value` as an int in [low, high], or raise `InputError`."""
    real = isinstance(value, int) and not isinstance(value, bool)
    require(real and low <= value <= high, field, value, f"a whole number from {low} to {high}")
    return value


def fields(field: str, table: object, allowed: set[str], optional: set[str] = frozenset()) -> dict:
    """Return `table` if it is a mapping with every allowed key (optional ones may lack) and no other."""
    require(isinstance(table, dict), field, table, "a table")
    for key in table:
        require(key in allowed, f"{field}.{key}", table[key], f"one of {', '.join(sorted(allowed))}")
    for key in sorted(allowed - optional):
        require(key in table, f"{field}.{key}", None, "this field is needed")
    return table
