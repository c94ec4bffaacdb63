"""What may be a number, a whole number, a truth or a text, and what is said of the rest."""

import pickle
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
import torch

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
    assert caught.value.field == "x"
    assert caught.value.allowed.startswith("a finite number" if limits == (-inf, inf) else "a number from ")


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


@pytest.mark.parametrize("value", ["Left", "", None, 3, ["left"], b"left", {}], ids=repr)
def test_a_choice_is_one_of_the_known_texts(value):
    assert errors.choice("x", np.str_("left"), ("left", "right")) == "left"
    with pytest.raises(InputError, match="allowed: one of left, right$"):
        errors.choice("x", value, ("left", "right"))


NO_REAL_NUMBERS = [[1j], [True], [2.0, True], (1, np.False_), [np.True_, 3], ["1"], [b"1"], np.array(["2020"], "M8[D]"), [[1], [2, 3]], [None], None, "abc", {},
                   [10**400], np.zeros(0), [[1.0]], np.array([1, "a"], object), torch.ones(2, dtype=torch.bool)]  # fmt: skip


@pytest.mark.parametrize("values", NO_REAL_NUMBERS, ids=repr)
def test_what_is_no_array_of_real_numbers_is_refused(values):
    with pytest.raises(InputError, match=r"^x: got .* of shape \(n,\)$"):
        errors.array("x", values, ("n",))


@pytest.mark.parametrize(
    "values",
    [
        [1, 2], (1.0, 2.0), [Fraction(1), 2], np.array([1, 2], np.uint8), np.array([1, 2], np.float16), np.array([1, 2], ">f4"),
        torch.tensor([1, 2], dtype=torch.bfloat16), torch.tensor([1.0, 2.0], requires_grad=True),
    ],
    ids=repr,
)  # fmt: skip
def test_real_numbers_of_any_kind_become_float64(values):
    found = errors.array("x", values, ("n",), 1, 2)
    assert found.dtype == np.float64 and found.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [nan, inf, -inf, 0.99, 2.01])
def test_the_first_bad_number_is_named_with_its_place(value):
    with pytest.raises(InputError, match=r"^x\[1, 0\]: got .*; allowed: a number from 1 to 2$"):
        errors.array("x", [[1, 1], [value, 2]], ("n", 2), 1, 2)


def test_what_is_masked_is_missing():
    values = np.ma.array([1.0, -999.0], mask=[False, True])
    np.testing.assert_array_equal(errors.array("x", values, ("n",), missing=True), [1.0, nan])
    with pytest.raises(InputError, match=r"^x\[1\]: got 'a masked value'; allowed: a finite number$"):
        errors.array("x", values, ("n",))


@pytest.mark.parametrize(
    ("shape", "wanted", "fits"),
    [
        ((3, 4), ("n", 4), True), ((0, 4), ("n", 4), False), ((3, 5), ("n", 4), False), ((3,), ("n", 4), False),
        ((2, 3, 4), ("...", "n", 4), True), ((3, 4), ("...", "n", 4), True), ((0, 3, 4), ("...", "n", 4), True),
        ((4,), ("...", "n", 4), False), ((), (), True), ((1,), (), False),
    ],
)  # fmt: skip
def test_the_shape_of_an_array(shape, wanted, fits):
    if fits:
        assert errors.array("x", np.zeros(shape), wanted).shape == shape
    else:
        with pytest.raises(InputError, match=r"^x: got \("):
            errors.array("x", np.zeros(shape), wanted)


class _Rude:
    def __repr__(self):
        raise RuntimeError


DEEP = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value", [np.zeros((99, 99)), torch.zeros(9, 9), list(range(9999)), "a" * 9999, "a\nb\x1b[0m\udc80", _Rude(), DEEP,
              10**5000, {"a": np.ones(99)}, ValueError("x\ny")], ids=lambda value: type(value).__name__
)  # fmt: skip
def test_an_error_is_one_short_line_whatever_the_value(value):
    said = str(InputError("some\nfield", value, "less"))
    assert said.isprintable() and said.startswith("some\\nfield: got ") and len(said) < 500
    said.encode()


def test_an_error_survives_the_way_to_another_process():
    again = pickle.loads(pickle.dumps(InputError("x", 3, "less")))
    assert (again.field, again.value, again.allowed, str(again)) == (
        "x",
        3,
        "less",
        "x: got 3; allowed: less",
    )
