"""Strict nbval, with numbers compared within a tolerance that the cell declares.

A cell whose numbers depend on floating point or on training carries the metadata

    {"lumbo": {"tolerance": {"abs": 0.05, "rel": 0.01}}}

(one of the two is enough; the wider one counts).  The numbers in its text, Markdown, HTML and
printed outputs may then differ from the committed ones by that much.  Everything between the numbers
must be equal, but for the spaces that line columns up.  Digits that belong to a word (``L5``, ``64px``,
``1.5s``), to a version (``1.2.3``), to an HTML tag or to its attributes are words, not numbers.

A cell without a tolerance is compared exactly, as nbval does.  What a cell writes to stderr is not
compared: progress bars and warnings live there.  Loaded as a pytest plugin beside nbval; the notebook
tests place it as the ``conftest.py`` above the notebooks they run.
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


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the committed one: the wider of two bounds."""

    absolute: Decimal = Decimal(0)
    relative: Decimal = Decimal(0)

    def allows(self, new: str, committed: str) -> bool:
        """Compare two numbers as printed, in exact decimal arithmetic.

        >>> Tolerance(absolute=Decimal("0.1")).allows("10.1", "10.0")
        True
        """
        reference = _value(committed)
        return abs(_value(new) - reference) <= max(self.absolute, self.relative * abs(reference))


def declared_tolerance(metadata) -> Tolerance | None:
    """Read the tolerance of a cell from its metadata; ValueError says what is wrong with it.

    >>> declared_tolerance({"lumbo": {"tolerance": {"abs": 0.1}}})
    Tolerance(absolute=Decimal('0.1'), relative=Decimal('0'))
    """
    ours = metadata.get("lumbo", {})
    _require_keys("metadata.lumbo", ours, {"tolerance", "ignored_because"})
    if "tolerance" not in ours:
        return None
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


def tolerated(new: str, committed: str, tolerance: Tolerance) -> str:
    """Return `committed` with only those numbers changed that differ by more than the tolerance.

    Equal to `committed` when everything is tolerated, so an exact comparison afterwards decides, and
    shows just the offending numbers.  Where the text between the numbers differs: `new` itself.

    >>> tolerated("MAE  9.98, 7", "MAE 10.02, 4", Tolerance(Decimal("0.1")))
    'MAE 10.02, 7'
    """
    new_texts, new_numbers = _split(new)
    texts, numbers = _split(committed)
    if [_canonical(text) for text in new_texts] != [_canonical(text) for text in texts]:
        return new
    kept = [old if tolerance.allows(now, old) else now for now, old in zip(new_numbers, numbers, strict=True)]
    return "".join(part for pair in zip(texts, [*kept, ""], strict=True) for part in pair)


def _split(text: str) -> tuple[list[str], list[str]]:
    """Cut into ``(texts, numbers)``: one text before, between and after the numbers."""
    found = [match for match in TOKEN.finditer(text) if match["number"]]
    starts, ends = [match.start() for match in found], [match.end() for match in found]
    texts = [text[end:start] for end, start in zip([0, *ends], [*starts, len(text)], strict=True)]
    return texts, [match["number"] for match in found]


def _canonical(text: str) -> str:
    """Drop what only lines columns up: runs of spaces, and spaces beside a number or a line's end."""
    return re.sub(r" *\n *", "\n", re.sub(r" +", " ", text)).strip(" ")


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", "").replace("\N{MINUS SIGN}", "-"))


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
        if self.tolerance:
            test = copy.deepcopy(test)
            committed = _text_slots(ref)
            for kind, slots in _text_slots(test).items():
                for (owner, key), (ref_owner, ref_key) in zip(slots, committed[kind]):
                    owner[key] = tolerated(owner[key], ref_owner[ref_key], self.tolerance)
        return super().compare_outputs(test, ref, skip_compare)


class TolerantNotebook(IPyNbFile):
    """A notebook whose cells may declare a tolerance and whose stderr is free."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skip_compare += ("stderr",)

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
