"""A table of arrays is chosen from, gone through, joined and compared as a whole, or refuses."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from lumbo import rows
from lumbo.errors import InputError
from lumbo.rows import Rows


@dataclass(frozen=True, eq=False, repr=False)
class Notes(Rows):
    """Something small with a row each."""

    mark: np.ndarray
    name: np.ndarray
    place: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Pages(Rows):
    """A table that holds another one."""

    notes: Notes
    number: np.ndarray


def notes(n=4):
    mark = np.arange(n, dtype=float)
    mark[-1:] = np.nan
    return Notes(mark, np.array([f"note {i}" for i in range(n)]), np.arange(2 * n).reshape(n, 2))


@pytest.mark.parametrize(
    "where", [slice(1, 3), [0, 2], np.array([3, 3, 0]), np.arange(4) > 1, [], [-1]], ids=str
)
def test_choosing_rows_chooses_all_of_them(where):
    index = np.asarray(where, int) if isinstance(where, list) else where
    chosen, table = Pages(notes(), np.arange(4))[where], Pages(notes(), np.arange(4))
    np.testing.assert_array_equal(chosen.number, table.number[index])
    np.testing.assert_array_equal(chosen.notes.place, table.notes.place[index])
    assert len(chosen) == len(chosen.notes) == len(np.arange(4)[index])


@pytest.mark.parametrize("i", [0, 3, -1, np.int64(2), np.uint8(1), np.array(1)], ids=repr)
def test_one_number_gives_one_row(i):
    assert len(notes()[i]) == 1 and notes()[i].name.tolist() == [f"note {int(i) % 4}"]


def test_going_through_gives_one_row_after_the_other():
    assert [note.name.tolist() for note in notes()] == [["note 0"], ["note 1"], ["note 2"], ["note 3"]]


@pytest.mark.parametrize(
    "where", [4, -5, [0, 4], 1.0, "name", None, True, [True], np.ones(5, bool), np.ones((4, 1), int), (0, 1, 9), [[0]], ...],
    ids=repr,
)  # fmt: skip
def test_rows_that_are_not_there_are_refused(where):
    with pytest.raises(
        InputError, match=r"^Notes\[(rows|mask)\]: got .*; allowed: a row below 4, a slice, a mask of 4"
    ):
        notes()[where]


def test_tables_are_equal_where_their_numbers_are():
    assert notes() == notes() and Pages(notes(), np.arange(4)) == Pages(notes(), np.arange(4))
    for other in (
        notes(3),
        replace(notes(), place=np.zeros((4, 2), int)),
        Pages(notes(), np.arange(4)),
        "notes",
        None,
    ):
        assert notes() != other
    with pytest.raises(TypeError, match="unhashable"):
        hash(notes())


def test_a_table_is_shown_in_a_line():
    assert repr(Pages(notes(999), np.arange(999))) == "Pages(999 rows: notes, number)"


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": np.array(["a"])}, "name"), ({"mark": np.array(1.0)}, "mark"), ({"mark": [1.0] * 4}, "mark"),
     ({"place": None}, "place"), ({"place": np.zeros((5, 2))}, "place")],
)  # fmt: skip
def test_fields_of_unequal_length_are_refused(change, field):
    with pytest.raises(InputError, match=rf"^Notes\.{field}: got "):
        replace(notes(), **change)


def test_joining_puts_tables_one_after_the_other():
    table = Pages(notes(), np.arange(4))
    assert rows.join("pages", [table[:1], table[1:3], table[3:]]) == table
    longer = replace(notes(), name=np.array(["a longer name"] * 4))
    assert rows.join("notes", (notes(), longer)).name.tolist() == [*notes().name, *longer.name]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "^notes: got \\[\\]; allowed: a list of at least one$"),
        ([notes(), None], r"^notes\[1\]: got None; allowed: a Notes$"),
        ([notes(), Pages(notes(), np.arange(4))], r"^notes\[1\]: got Pages"),
        (
            [notes(), replace(notes(), place=np.zeros((4, 3), int))],
            r"^notes\[1\]\.place: got 'rows of shape \(3,\), int64'",
        ),
        (
            [notes(), replace(notes(), place=np.zeros((4, 2), np.uint8))],
            r"^notes\[1\]\.place: .*uint8'; allowed: .*int64",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(parts, said):
    with pytest.raises(InputError, match=said):
        rows.join("notes", parts)
