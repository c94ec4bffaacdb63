"""A specification says once what a field is: reading, checking and its docstring all hold to it."""

import copy
import inspect
import json
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields
from math import inf, nan
from typing import Annotated, Literal

import numpy as np
import pytest
from faults import ABSENT, planted
from hypothesis import given
from hypothesis import strategies as st

from lumbo import specs
from lumbo.errors import InputError
from lumbo.films.hospitals import Hospital, Rater
from lumbo.films.radiograph import Scanner
from lumbo.specs import Range


@specs.documented
@dataclass(frozen=True)
class Lens:
    """What a camera looks through."""

    focus_mm: Annotated[float, Range(10, 1000), "focal length"]
    stops: Annotated[tuple[float, ...], Range(1), "apertures"] = (2.8, 4.0)


@specs.documented
@dataclass(frozen=True)
class Camera:
    """A thing of every kind of field.

    Nothing else.
    """

    name: Annotated[str, "its own"]
    shots: Annotated[int, Range(1), "how many"]
    size_mm: Annotated[tuple[float, float], Range(1, 100), "(width, height)"]
    digital: Annotated[bool, "no roll"]
    mount: Annotated[Literal["screw", "bayonet"], "of the lens"]
    rolls: Annotated[dict[Literal["grey", "colour"], int], Range(0, 9), "of each kind"]
    shares: Annotated[dict[str, float], Range(0, 1), "of each owner"]
    corner: Annotated[
        tuple[Annotated[int, Range(0, 5)], Annotated[int, Range(0, 7)]], "each with a range of its own"
    ]
    whites: Annotated[dict[str, Annotated[tuple[float, ...], "inside"]], Range(0, 1), "of each film"]
    lens: Annotated[Lens, "the one on it"]
    depth: Annotated[Literal[8, 16], "bits"] = 8
    shift: Annotated[float, "any number"] = 0.0
    notes: Annotated[dict[str, str], "by anybody"] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One that is checked whenever it is built."""

    steps: Annotated[int, Range(1), "at most"]
    rate: Annotated[float, Range(0, 1), "of learning"] = 0.5
    sides: Annotated[tuple[int, int], "of a film"] = (3, 4)

    def __post_init__(self):
        specs.check(self, "plan")


TABLE = {
    "name": "Box",
    "shots": 12,
    "size_mm": [36, 24.0],
    "digital": False,
    "mount": "screw",
    "rolls": {"grey": 2, "colour": 0},
    "shares": {"eve": 0.25, "adam": 1},
    "corner": [5, 7],
    "whites": {"slow": [1]},
    "lens": {"focus_mm": 50},
    "notes": {},
}


def camera(table=TABLE):
    return specs.read(Camera, "shelf.camera", table)


# ---------------------------------------------------------------- reading


def test_a_table_becomes_a_specification():
    made = camera()
    assert made == Camera(
        "Box",
        12,
        (36, 24.0),
        False,
        "screw",
        TABLE["rolls"],
        TABLE["shares"],
        (5, 7),
        {"slow": (1,)},
        Lens(50),
    )
    assert type(made.size_mm) is tuple and type(made.lens) is Lens and made.lens.stops == (2.8, 4.0)


def test_a_field_with_a_default_may_be_given_too():
    made = camera(TABLE | {"depth": 16, "shift": -1e300, "notes": {"eve": "mine"}})
    assert (made.depth, made.shift, made.notes) == (16, -1e300, {"eve": "mine"})
    assert camera(planted(TABLE, "lens.stops", [])).lens.stops == ()
    assert camera(planted(TABLE, "notes", ABSENT)) == camera()


def test_numbers_stay_what_they_are_and_keys_where_they_are():
    """So a specification that was read has the JSON of its table: digests and drawing depend on it."""
    made = asdict(camera())
    assert json.dumps({name: made[name] for name in TABLE if name != "lens"}) == json.dumps(
        {name: value for name, value in TABLE.items() if name != "lens"}
    )
    assert list(made["shares"]) == ["eve", "adam"] and json.dumps(made["lens"]["focus_mm"]) == "50"


def test_the_table_is_left_alone():
    table = copy.deepcopy(TABLE)
    made = camera(table)
    made.shares["eve"] = 7
    assert table == TABLE


def test_a_field_can_be_given_beside_the_table():
    bare = planted(TABLE, "name", ABSENT)
    assert specs.read(Camera, "x", bare, name="Box") == camera()
    with pytest.raises(InputError, match="^x.name: got 'Box'; allowed: one of corner, "):
        specs.read(Camera, "x", TABLE, name="Box")
    with pytest.raises(InputError, match="^x.name: got 7; allowed: a text"):
        specs.read(Camera, "x", bare, name=7)


FAULTS = [
    ("name", 7, "a text"),
    ("name", " ", "a text"),
    ("name", ABSENT, "this field is needed"),
    ("shots", 0, "a whole number from 1"),
    ("shots", 1.0, "a whole number from 1"),
    ("shots", True, "a whole number from 1"),
    ("shots", "12", "a whole number from 1"),
    ("shots", nan, "a whole number from 1"),
    ("shots", inf, "a whole number from 1"),
    ("size_mm", 36, "a list of 2"),
    ("size_mm", "36", "a list of 2"),
    ("size_mm", [36], "a list of 2"),
    ("size_mm", [36, 24, 12], "a list of 2"),
    ("size_mm", {"width": 36, "height": 24}, "a list of 2"),
    ("size_mm", [36, "24"], "a number from 1 to 100"),
    ("size_mm", [36, 0.5], "a number from 1 to 100"),
    ("size_mm", [nan, 24], "a number from 1 to 100"),
    ("digital", 0, "true or false"),
    ("digital", "false", "true or false"),
    ("digital", None, "true or false"),
    ("mount", "clamp", "one of screw, bayonet"),
    ("mount", ["screw"], "one of screw, bayonet"),
    ("mount", None, "one of screw, bayonet"),
    ("rolls", 2, "a table"),
    ("rolls", [2, 0], "a table"),
    ("rolls.grey", ABSENT, "this field is needed"),
    ("rolls.grey", 10, "a whole number from 0 to 9"),
    ("rolls.sepia", 1, "one of colour, grey"),
    ("shares", None, "a table"),
    ("shares.adam", 1.5, "a number from 0 to 1"),
    ("shares.lilith", False, "a number from 0 to 1"),
    ("corner", [6, 6], "a whole number from 0 to 5"),
    ("corner", [5, 8], "a whole number from 0 to 7"),
    ("whites.slow", 1, "a list"),
    ("whites.slow", [2], "a number from 0 to 1"),
    ("lens", 50, "a table"),
    ("lens", None, "a table"),
    ("lens", ABSENT, "this field is needed"),
    ("lens.focus_mm", ABSENT, "this field is needed"),
    ("lens.focus_mm", 9, "a number from 10 to 1000"),
    ("lens.focus_mm", -inf, "a number from 10 to 1000"),
    ("lens.stops", 2.8, "a list"),
    ("lens.stops", [2.8, 0.5], "a number from 1"),
    ("lens.stops", [2.8, inf], "a number from 1"),
    ("lens.hood", True, "one of focus_mm, stops"),
    ("depth", 12, "one of 8, 16"),
    ("depth", 8.0, "one of 8, 16"),
    ("shift", inf, "a finite number"),
    ("shift", nan, "a finite number"),
    ("notes.eve", 1, "a text"),
    ("colour", "black", "one of corner, depth, digital, lens, mount, name, notes, rolls, shares, shift, shots, size_mm, whites"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "value", "allowed"), FAULTS, ids=lambda v: "absent" if v is ABSENT else str(v)
)
def test_a_fault_is_named_with_its_path_its_value_and_what_is_allowed(where, value, allowed):
    with pytest.raises(InputError) as caught:
        camera(planted(TABLE, where, value))
    fault = caught.value
    assert (fault.field, fault.allowed) == (f"shelf.camera.{where}", allowed)
    assert repr(fault.value) in repr(None if value is ABSENT else value)  # itself or the item at fault


def test_every_field_has_a_planted_fault():
    assert {where.split(".")[0] for where, *_ in FAULTS} > {f.name for f in fields(Camera)}


@pytest.mark.parametrize("table", [None, 7, "text", [TABLE], Camera], ids=str)
def test_what_is_no_table_is_refused(table):
    with pytest.raises(InputError, match="^shelf.camera: got .*allowed: a table"):
        camera(table)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from([f.name for f in fields(Camera)]), value=JSON)
def test_whatever_stands_in_a_field_is_refused_there_or_can_be_read_again(name, value):
    try:
        made = camera(TABLE | {name: value})
    except InputError as fault:
        assert fault.field.startswith(f"shelf.camera.{name}")
    else:
        assert camera(asdict(made)) == made == specs.check(made, "again")


# ---------------------------------------------------------------- checking


def test_numbers_of_numpy_become_pythons_and_lists_tuples():
    made = Plan(np.int64(7), rate=np.float32(0.25), sides=[np.uint8(3), 4])
    assert (
        made == Plan(7, 0.25, (3, 4))
        and json.dumps(asdict(made)) == '{"steps": 7, "rate": 0.25, "sides": [3, 4]}'
    )
    assert [type(value) for value in (made.steps, made.rate, made.sides, made.sides[0])] == [
        int,
        float,
        tuple,
        int,
    ]
    assert type(Plan(7, np.int32(1)).rate) is int


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 0), ("steps", True), ("steps", 2.0), ("rate", nan), ("rate", "0.5"), ("sides", (3,))],
)
def test_one_that_is_built_in_code_is_held_to_the_same(name, value):
    with pytest.raises(InputError) as caught:
        Plan(**{"steps": 5, name: value})
    assert caught.value.field == f"plan.{name}"


def test_a_faulty_table_is_named_where_it_stands_and_not_where_its_class_is_built():
    with pytest.raises(InputError, match="^tiny.plan.steps: got 0"):
        specs.read(Plan, "tiny.plan", {"steps": 0})


def test_what_is_inside_is_checked_too():
    made = camera()
    object.__setattr__(made.lens, "focus_mm", np.float64(5))
    with pytest.raises(
        InputError, match=r"^my.lens.focus_mm: got .*5\.0.*; allowed: a number from 10 to 1000"
    ):
        specs.check(made, "my")


def test_a_checked_one_is_frozen_as_before():
    with pytest.raises(FrozenInstanceError):
        specs.check(camera(), "camera").shots = 3


def test_a_type_without_a_rule_is_the_mistake_of_its_author():
    @dataclass(frozen=True)
    class Odd:
        colour: Annotated[complex, "no rule"]

    with pytest.raises(TypeError, match="odd.colour: no rule for .*complex"):
        specs.read(Odd, "odd", {"colour": 3})


# ---------------------------------------------------------------- the docstring


def test_the_docstring_says_type_meaning_and_range_of_each_field():
    assert Lens.__doc__ == (
        "What a camera looks through.\n\nAttributes\n----------\nfocus_mm : float\n    focal length; 10 to 1000\n"
        "stops : tuple[float, ...]\n    apertures; 1 or more"
    )
    assert Camera.__doc__.startswith("A thing of every kind of field.\n\nNothing else.\n\nAttributes\n")
    assert "rolls : dict[Literal['grey', 'colour'], int]\n    of each kind; 0 to 9\n" in Camera.__doc__
    assert f"lens : {Lens.__module__}.Lens\n    the one on it\n" in Camera.__doc__


def test_the_signature_shows_the_types_alone():
    assert str(inspect.signature(Lens)) == "(focus_mm: float, stops: tuple[float, ...] = (2.8, 4.0)) -> None"


def test_a_field_without_a_meaning_is_refused():
    @dataclass(frozen=True)
    class Mute:
        """A class."""

        steps: int

    with pytest.raises(AttributeError):
        specs.documented(Mute)


@pytest.mark.parametrize("spec", [Scanner, Rater, Hospital], ids=lambda spec: spec.__name__)
def test_the_docstrings_of_the_book_name_every_field_once(spec):
    lines = spec.__doc__.splitlines()
    named = [line.split(" : ")[0] for line in lines if " : " in line]
    assert named == [f.name for f in fields(spec)]
    assert "window" not in named or "that are not white; 0 to 1" in spec.__doc__
