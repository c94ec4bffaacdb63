"""Strict nbval that forgives the last printed digit, because processors round differently.

What may differ between a committed output and a new one:

- **A decimal number** (one with digits after a point) by one unit of its last printed place: 80.7 and
  80.8, -0.1 and 0.0, 1.3e-05 and 1.4e-05.  With two exponents the coarser place counts: 9.9e-05 and
  1.0e-04.
- **Spaces** by as much as a number of the same text became longer or shorter, because columns are as wide
  as their widest number.  A value that moves into another column moves further.  Spaces at the end of a
  line do not count.

Nothing else may: whole numbers, words, how many decimals are printed, line breaks.  Not compared at all are
what a cell writes to stderr, where progress bars and warnings live, and pictures: PNG and SVG outputs, and a
PNG within HTML.

A cell may widen the bounds in its metadata, for whole numbers too; the widest one counts:

    {"lumbo": {"tolerance": {"abs": 0.05, "rel": 0.01}}}        one of the two is enough

or forbid any difference, so that nbval compares character by character:

    {"lumbo": {"exact": true}}

What is a number: digits that belong to a word (``L5``, ``64px``, ``1.5s``), to a version (``1.2.3``), to an
HTML tag or its attributes are words.  ``1,234.5`` is one number only where it stands as in prose: between
spaces, tags or stars, on a line that has words.  Everywhere else, as in ``(100,200)`` or ``a,100,200``,
commas separate numbers.  Terminal colours are looked through, and compared as words.

Loaded as a pytest plugin beside nbval; the notebook tests place it as the ``conftest.py`` above the
notebooks they run.
"""

import copy
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

TEXT_TYPES = ("text/plain", "text/markdown", "text/html")

PNG = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# A word that happens to hold digits fails the look-arounds and so stays text: nothing that can
# continue a word, a version or a hyphenated name may stand beside a number.
TOKEN = re.compile(
    r"""
    (?P<opaque> <(script|style)\b.*?</\2\s*> | <!--.*?--> | </?[A-Za-z][^>]*> | &\#?\w+; )
    |
    (?<![\w.]) (?<![A-Za-z_]-)
    (?P<number>
        (?: (?<![\w)\]]) [-+\N{MINUS SIGN}] )?
        (?: \d{1,3}(?:,\d{3})+(?!\d) | \d+ | (?=\.\d) )
        (?: \.\d+ )?
        (?: [eE][-+]?\d+ )?
    )
    (?! \w | \.\d )
    """,
    re.VERBOSE | re.DOTALL,
)
# What may stand before and after a number with thousands commas.
BEFORE, AFTER = re.compile(r"[\s>*]?"), re.compile(r"[.,;:!?%\N{DEGREE SIGN}]*(?=[\s<*]|\Z)")


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the committed one, beyond one unit of its last decimal."""

    absolute: Decimal = Decimal(0)
    relative: Decimal = Decimal(0)

    def allows(self, new: str, committed: str) -> bool:
        """Compare two numbers as printed, in exact decimal arithmetic.

        >>> Tolerance().allows("80.8", "80.7"), Tolerance().allows("81", "80")
        (True, False)
        >>> Tolerance(absolute=Decimal("0.3")).allows("80.4", "80.7")
        True
        """
        if _form(new) != _form(committed):
            return False
        one, other = _value(new), _value(committed)
        decimals, _ = _form(committed)
        unit = max(_place(value) for value in (one, other) if value or not (one or other)) if decimals else 0
        bound = max(unit, self.absolute, self.relative * abs(other))
        if not bound:
            return new == committed or one == other == 0  # -0 is 0
        return abs(one - other) <= bound


def declared_tolerance(metadata) -> Tolerance | None:
    """Read the tolerance of a cell from its metadata, None if it allows none at all.

    ValueError says what is wrong with the metadata.

    >>> declared_tolerance({"lumbo": {"tolerance": {"abs": 0.1}}})
    Tolerance(absolute=Decimal('0.1'), relative=Decimal('0'))
    """
    ours = metadata.get("lumbo", {})
    _require_keys("metadata.lumbo", ours, {"exact", "tolerance", "ignored_because"})
    if "exact" in ours:
        if ours["exact"] is not True:
            raise ValueError(f"metadata.lumbo.exact: got {ours['exact']!r}; allowed: true")
        if "tolerance" in ours:
            raise ValueError(f"metadata.lumbo: got {ours!r}; allowed: exact or tolerance, not both")
        return None
    if "tolerance" not in ours:
        return Tolerance()
    bounds = ours["tolerance"]
    _require_keys("metadata.lumbo.tolerance", bounds, {"abs", "rel"})
    if not bounds:
        raise ValueError("metadata.lumbo.tolerance: got {}; allowed: an object with abs, rel or both")
    for key, bound in bounds.items():
        real = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if not real or not math.isfinite(bound) or bound <= 0:
            raise ValueError(f"metadata.lumbo.tolerance.{key}: got {bound!r}; allowed: a number above 0")
    return Tolerance(Decimal(str(bounds.get("abs", 0))), Decimal(str(bounds.get("rel", 0))))


def _require_keys(field: str, found, allowed: set):
    if not isinstance(found, dict) or not set(found) <= allowed:
        names = " or ".join(sorted(allowed))
        raise ValueError(f"{field}: got {found!r}; allowed: an object with {names}")


# Two numbers.


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def _place(value: Decimal) -> Decimal:
    """One unit of the last digit: 0.1 for 80.7, 0.000001 for 1.3e-05."""
    return Decimal(1).scaleb(value.as_tuple().exponent)


def _form(number: str) -> tuple[int, bool]:
    """How many decimals are printed, and whether an exponent is."""
    mantissa, e, _ = number.lower().partition("e")
    return len(mantissa.partition(".")[2]), bool(e)


# Two texts: each is cut into numbers and what stands between them.


@dataclass(frozen=True)
class Piece:
    """A number, a word, the end of a line or of the text, and how many spaces stand before it."""

    spaces: int
    text: str
    is_number: bool = False

    @property
    def ends_line(self) -> bool:
        return self.text in ("\n", "")


def tolerated(new: str, committed: str, tolerance: Tolerance = Tolerance()) -> str:
    """Return `committed` with only those numbers changed that differ by more than the tolerance.

    Equal to `committed` when everything is tolerated, so an exact comparison afterwards decides, and
    shows just the offending numbers.  Where the text between the numbers differs: `new` itself.

    >>> tolerated("MAE  9.9, 7", "MAE 10.0, 4")
    'MAE 10.0, 7'
    """
    news, olds = _pieces(new), _pieces(committed)
    if not (_same_words(news, olds) and _line_up(news, olds)):
        return new
    kept = [
        now.text if old.is_number and not tolerance.allows(now.text, old.text) else old.text
        for now, old in zip(news, olds, strict=True)
    ]
    return "".join(" " * old.spaces + text for old, text in zip(olds, kept, strict=True))


def _same_words(news: list[Piece], olds: list[Piece]) -> bool:
    """Whether the same words stand between as many numbers, line by line."""
    words = ([None if piece.is_number else piece.text for piece in pieces] for pieces in (news, olds))
    return next(words) == next(words)


def _line_up(news: list[Piece], olds: list[Piece]) -> bool:
    """Whether spaces differ only as columns do when a number becomes longer or shorter.

    A padded number and its spaces fill a field, to its right or to its left.  The field of a column
    grows and shrinks with the longest number in it; any other field keeps its width.
    """
    longer = [len(now.text) - len(old.text) for now, old in zip(news, olds, strict=True)]
    most = max(map(abs, longer))
    for k, (now, old) in enumerate(zip(news, olds, strict=True)):
        apart = now.spaces - old.spaces
        starts_row = k == 0 or olds[k - 1].ends_line or olds[k - 1].text.endswith("[")
        in_column = starts_row or (now.spaces and old.spaces)  # no column touches the one before it
        field = min(abs(apart + longer[k]), abs(apart + longer[k - 1]))
        if apart and not old.ends_line and field > (most if in_column else 0):
            return False
    return True


def _pieces(text: str) -> list[Piece]:
    """Cut at the numbers, and what stands between them at spaces and line ends."""
    pieces, end = [], 0
    for start, stop in [*_numbers(text), (len(text), len(text))]:
        between = text[end:start]
        words = re.findall(r"( *)(\n|[^ \n]+)", between)
        pieces += [Piece(len(spaces), word) for spaces, word in words]
        pieces.append(Piece(len(between) - len(between.rstrip(" ")), text[start:stop], start < stop))
        end = stop
    return pieces


def _numbers(text: str):
    """Yield where the numbers of `text` begin and end, as if it had no colours."""
    hidden = {at for code in COLOUR.finditer(text) for at in range(*code.span())}
    shown = [at for at in range(len(text)) if at not in hidden]
    for start, end in _plain_numbers(COLOUR.sub("", text)):
        if shown[end - 1] - shown[start] == end - 1 - start:  # no colour changes within it
            yield shown[start], shown[end - 1] + 1


def _plain_numbers(text: str):
    for match in TOKEN.finditer(text):
        if match["number"] and "," in match["number"] and not _is_prose(text, *match.span()):
            yield from (part.span() for part in re.compile("[^,]+").finditer(text, *match.span()))
        elif match["number"]:
            yield match.span()


def _is_prose(text: str, start: int, end: int) -> bool:
    """Whether the digits and commas from `start` to `end` stand where a number does, not a list."""
    line = text[text.rfind("\n", 0, start) + 1 : start] + text[end:].partition("\n")[0]
    alone = BEFORE.fullmatch(text[max(0, start - 1) : start]) and AFTER.match(text, end)
    leading = text[start:end].lstrip("+-\N{MINUS SIGN}")[0]
    return bool(alone and leading != "0" and re.search(r"[^\W\d_]", line))


def same_pictures(new: str, committed: str) -> str:
    """Return `new` with the PNGs of `committed`, where both hold as many.

    >>> same_pictures('<img src="data:image/png;base64,BB==">', '<img src="data:image/png;base64,AA==">')
    '<img src="data:image/png;base64,AA==">'
    """
    pictures = PNG.findall(committed)
    if len(PNG.findall(new)) != len(pictures):
        return new
    rest = iter(pictures)
    return PNG.sub(lambda _: next(rest), new)


# The plugin.


def _text_slots(outputs) -> dict[str, list]:
    """Where the comparable texts of `outputs` stand: ``{kind: [(owner, key), ...]}``, in order."""
    slots = defaultdict(list)
    for output in outputs:
        if output["output_type"] == "stream":
            slots[output["name"]].append((output, "text"))
        for kind in set(TEXT_TYPES) & set(output.get("data", {})):
            slots[kind].append((output["data"], kind))
    return slots


class TolerantCell(IPyNbCell):
    """A notebook cell that forgives its numbers what its metadata allows, and nothing else."""

    def runtest(self):
        try:
            self.tolerance = declared_tolerance(self.cell.metadata)
        except ValueError as error:
            self.raise_cell_error(str(error))
        super().runtest()

    def compare_outputs(self, test, ref, skip_compare=None):
        if self.tolerance is not None:
            test = copy.deepcopy(test)
            committed = _text_slots(ref)
            for kind, slots in _text_slots(test).items():
                for (owner, key), (ref_owner, ref_key) in zip(slots, committed[kind]):
                    old = ref_owner[ref_key]
                    owner[key] = tolerated(same_pictures(owner[key], old), old, self.tolerance)
        return super().compare_outputs(test, ref, skip_compare)


class TolerantNotebook(IPyNbFile):
    """A notebook whose cells may declare a tolerance and whose stderr is free."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skip_compare += ("stderr", "image/svg+xml")

    def collect(self):
        for plain in super().collect():
            yield TolerantCell.from_parent(
                self, name=plain.name, cell_num=plain.cell_num, cell=plain.cell, options=plain.options
            )


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Let nbval choose the files, and collect them as ours."""
    nodes = yield
    return [
        TolerantNotebook.from_parent(parent, path=file_path) if isinstance(node, IPyNbFile) else node
        for node in nodes
    ]
