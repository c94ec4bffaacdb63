"""What may be a number, a whole number, a truth or a text, and what is said of the rest."""

import pickle
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest

from lumbo import errors
from lumbo.errors import InputError, number, text, truth, whole

NO_NUMBERS = [True, False, np.True_, None, "3", b"3", [3], (3,), {}, np.array([3, 4]), np.array(3), 3j, nan, np.nan,
              np.float32(nan), inf, -inf, np.float64(inf), 10**400]  # fmt: skip
THREE = [3, np.int8(3), np.uint16(3), np.int64(3)]


@pytest.mark.parametrize(
    "value", [*THREE, 3.0, np.float16(3), np.float32(3), np.float64(3), Fraction(3)], ids=repr
)
def test_a_number_of_any_kind_becomes_a_float(value):
    assert type(number("x", value, 3, 3)) is float and number("x", value, 3, 3) == 3


@pytest.mark.parametrize("value", THREE, ids=repr)
def test_a_whole_number_of_any_kind_becomes_an_int(value):
    assert type(whole("x", value, 3, 3)) is int and whole("x", value, 3, 3) == 3


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("limits", [(0, 10), (0.0,), (-inf, inf)], ids=str)
def test_what_is_no_number_is_refused(value, limits):
    with pytest.raises(InputError) as caught:
        number("x", value, *limits)
    assert caught.value.field == "x" and caught.value.allowed.startswith("a number from ")


@pytest.mark.parametrize("value", [*NO_NUMBERS[:-1], 3.0, np.float64(3), Fraction(7, 2)], ids=repr)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(InputError, match="allowed: a whole number from 0 to 1000000000$"):
        whole("x", value, 0)


@pytest.mark.parametrize("value", [0.999, np.float32(0.5), np.int64(0), 5.001, 10**30])
def test_a_number_out_of_its_range_is_refused_with_the_range(value):
    with pytest.raises(InputError, match=r"allowed: a number from 1 to 5$"):
        number("x", value, 1, 5)


def test_both_ends_of_a_range_are_allowed():
    assert [number("x", end, 0.2, 5) for end in (0.2, 5)] == [0.2, 5.0]
    assert [whole("x", end, -2, 5) for end in (-2, 5)] == [-2, 5]
    for value in (-3, 6):
        with pytest.raises(InputError):
            whole("x", value, -2, 5)


def test_a_whole_number_without_an_upper_end():
    assert whole("x", 10**12, 1, inf) == 10**12
    with pytest.raises(InputError, match="allowed: a whole number from 1$"):
        whole("x", 0, 1, inf)


@pytest.mark.parametrize("value", [1, 0, "true", None, np.array(True)], ids=repr)
def test_a_truth_is_true_or_false(value):
    assert truth("x", True) is True and truth("x", False) is False
    with pytest.raises(InputError, match="allowed: true or false$"):
        truth("x", value)


@pytest.mark.parametrize("value", ["", " \n", 3, None, b"text", ["text"]], ids=repr)
def test_a_text_has_something_in_it(value):
    assert text("x", "a") == "a"
    with pytest.raises(InputError, match="allowed: a text$"):
        text("x", value)


@pytest.mark.parametrize(
    ("table", "field"),
    [(None, "t"), ([], "t"), ({"a": 1}, "t.b"), ({"b": 1, "c": 1}, "t.a"), ({"a": 1, "b": 1, "d": 1}, "t.d")],
)
def test_a_table_has_its_fields_and_no_others(table, field):
    with pytest.raises(InputError) as caught:
        errors.fields("t", table, {"a", "b", "c"}, {"c"})
    assert caught.value.field == field


def test_an_error_survives_the_way_to_another_process():
    again = pickle.loads(pickle.dumps(InputError("x", 3, "less")))
    assert (again.field, again.value, again.allowed, str(again)) == (
        "x",
        3,
        "less",
        "x: got 3; allowed: less",
    )
