"""The one error of the package, and the checks at its doors: what a caller may give.

Whatever comes from outside, from a caller or from a file, is checked where it enters, once: each
function here returns the value as Python or NumPy would have it, or raises `InputError`.
"""

import reprlib
import sys
from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "InputError",
    "require",
    "number",
    "whole",
    "truth",
    "text",
    "choice",
    "instance",
    "array",
    "fields",
    "span",
]

_Kind = TypeVar("_Kind")
_LONGEST = 300  # letters of a value or of what is allowed that an error quotes


class InputError(ValueError):
    """Name the field, the value found there and what is allowed instead, in one line.

    >>> raise InputError("batch_size", 0, "a whole number from 1")
    Traceback (most recent call last):
    lumbo.errors.InputError: batch_size: got 0; allowed: a whole number from 1
    """

    def __init__(self, field: str, value: object, allowed: str):
        super().__init__(_one_line(f"{_cut(field)}: got {_shown(value)}; allowed: {_cut(allowed, 2000)}"))
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
    require(fits, field, value, _allowed_number(low, high))
    return float(plain)


def whole(field: str, value: Any, low: float, high: float = 10**9) -> int:
    """Return `value` as an int in [low, high], or raise `InputError`.  Whole numbers of NumPy are welcome."""
    plain = _plain(value)
    fits = isinstance(plain, int) and low <= plain <= high
    require(fits, field, value, f"a whole number from {span(low, high)}")
    return plain


def truth(field: str, value: Any) -> bool:
    """Return `value` if it is True or False, or raise `InputError`."""
    known = isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # NumPy's, in 2 and in 1
    require(known, field, value, "true or false")
    return bool(value)


def text(field: str, value: Any) -> str:
    """Return `value` if it is a text with something in it, or raise `InputError`."""
    require(isinstance(value, str) and bool(value.strip()), field, value, "a text")
    return value


def choice(field: str, value: Any, known: Iterable[str]) -> str:
    """Return `value` if it is one of the texts in `known`, or raise `InputError` that lists them.

    >>> choice("side", "Left", ("left", "right"))
    Traceback (most recent call last):
    lumbo.errors.InputError: side: got 'Left'; allowed: one of left, right
    """
    every = list(known)
    require(isinstance(value, str) and value in every, field, value, f"one of {', '.join(every)}")
    return str(value)


def instance(field: str, value: Any, kind: type[_Kind], example: str = "") -> _Kind:
    """Return `value` if it is a `kind`, or raise `InputError`; `example` says how to come by one.

    >>> instance("path", 3, str, "'films'")
    Traceback (most recent call last):
    lumbo.errors.InputError: path: got 3; allowed: a str, such as 'films'
    """
    such = f", such as {example}" if example else ""
    require(isinstance(value, kind), field, value, f"a {kind.__name__}{such}")
    return value


def array(
    field: str,
    values: Any,
    shape: tuple[int | str, ...],
    low: float = -inf,
    high: float = inf,
    missing: bool = False,
) -> "np.ndarray":
    """Return real numbers as a float64 array of a shape, each in [low, high], or raise `InputError`.

    Parameters
    ----------
    values : anything that NumPy turns into numbers; complex ones, truths, dates and texts are none
    shape : the lengths of the axes; one that is named ("n") may have any length from 1.  "..." in
        front stands for any number of axes of any length.
    missing : whether a number may be NaN, as what a masked array masks; or infinite, unless the limits forbid it

    >>> array("points", [[1, 2]], ("n", 2)).tolist()
    [[1.0, 2.0]]
    >>> array("points", [[1, float("inf")]], ("n", 2), -10, 10)
    Traceback (most recent call last):
    lumbo.errors.InputError: points[0, 1]: got inf; allowed: a number from -10 to 10
    """
    import numpy as np  # not above: whoever asks for a word of help waits for nothing

    masked = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    try:
        if hasattr(
            values, "is_floating_point"
        ):  # a tensor, perhaps one that NumPy does not know or cannot reach
            values = values.detach().cpu()
            values = values.double() if values.is_floating_point() else values
        found = np.asarray(values if masked is None else np.ma.getdata(values))
        if found.dtype == object and all(_plain(value) is not None for value in found.flat):
            found = found.astype(np.float64)  # fractions, perhaps
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # ragged, or no numbers at all
        raise InputError(field, str(error).splitlines()[0], f"numbers of shape {_shape(shape)}") from error
    real = found.dtype.kind in "iuf" and not _holds_truth(values)
    require(
        real,
        field,
        f"{found.dtype} values" if found.dtype.kind not in "iuf" else values,
        f"real numbers of shape {_shape(shape)}",
    )
    numbers = found.astype(np.float64, copy=False)
    if masked is not None:
        numbers = np.where(masked, np.nan, numbers)
    free = shape[:1] == ("...",)
    wanted = shape[1:] if free else shape
    have = numbers.shape[len(numbers.shape) - len(wanted) :] if free else numbers.shape
    fits = len(have) == len(wanted) and all(
        n == want if isinstance(want, int) else n > 0 for n, want in zip(have, wanted)
    )
    require(fits, field, numbers.shape, f"numbers of shape {_shape(shape)}")
    inside = numbers == numbers if (low, high) == (-inf, inf) else (numbers >= low) & (numbers <= high)
    good = inside | np.isnan(numbers) if missing else inside & np.isfinite(numbers)
    if not good.all():
        first = tuple(map(int, np.argwhere(~good)[0]))
        place = f"{field}[{', '.join(map(str, first))}]" if first else field
        value = "a masked value" if masked is not None and masked[first] else float(numbers[first])
        require(False, place, value, _allowed_number(low, high) + (" or NaN" if missing else ""))
    return numbers


def fields(
    field: str, table: Any, allowed: set[str], optional: set[str] | frozenset[str] = frozenset()
) -> dict:
    """Return `table` if it is a mapping with every allowed key (optional ones may lack) and no other."""
    require(isinstance(table, dict), field, table, "a table")
    for key in table:
        require(isinstance(key, str), field, key, "names that are texts")
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


def _holds_truth(values: Any) -> bool:
    """Whether True or False stands among the numbers of lists, which NumPy would take for 1 and 0."""
    if isinstance(values, list | tuple):
        return any(map(_holds_truth, values))
    return isinstance(values, bool) or getattr(values, "dtype", None) == bool


def _allowed_number(low: float, high: float) -> str:
    return "a finite number" if (low, high) == (-inf, inf) else f"a number from {span(low, high)}"


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


class _Short(reprlib.Repr):
    """Long values are cut; arrays, tables and tensors are named by type and shape."""

    def __init__(self):
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _LONGEST
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 12

    def repr_instance(self, x: Any, level: int) -> str:
        shape, kind = getattr(x, "shape", None), getattr(x, "dtype", "")
        if isinstance(shape, tuple) and shape:
            return f"{type(x).__name__} of shape {tuple(shape)} {kind}".strip()
        return super().repr_instance(x, level)

    repr_ndarray = repr_Tensor = repr_DataFrame = repr_array = repr_instance


def _shown(value: object) -> str:
    """Write a value so that it can stand in a line, whatever it is."""
    try:
        return _cut(_Short().repr(value))
    except Exception as error:  # a repr of somebody else's that fails, or one nested too deeply
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _cut(quote: str, longest: int = 2 * _LONGEST) -> str:
    """Leave out the middle of a long text."""
    half = longest // 2
    return quote if len(quote) <= longest else f"{quote[:half]}...{quote[-half:]}"


def _one_line(message: str) -> str:
    """Escape what would break a line or cannot be printed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _plain(value: object) -> Any:
    """Return Python's number for any real one, NumPy's too; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return int(value) if isinstance(value, Integral) else float(value)
    except OverflowError:  # a fraction of huge numbers
        return None
