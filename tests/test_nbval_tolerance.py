"""The tolerance-aware comparison: planted mismatches fail, tolerated differences pass."""

from decimal import Decimal
from xml.etree import ElementTree

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval_tolerance import Tolerance, declared_tolerance, tolerated

PRINTED = Tolerance()  # what every cell is allowed
TENTH = Tolerance(absolute=Decimal("0.1"))
TWENTIETH = Tolerance(relative=Decimal("0.05"))


def agrees(new: str, committed: str, tolerance: Tolerance = PRINTED) -> bool:
    return tolerated(new, committed, tolerance) == committed


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("80.8", "80.7"),
        ("80.6", "80.7"),
        ("-0.0", "0.0"),
        ("-0.1", "0.0"),
        ("+0.0 \N{PLUS-MINUS SIGN} 0.05", "-0.0 \N{PLUS-MINUS SIGN} 0.04"),
        ("\N{MINUS SIGN}0.05", "\N{MINUS SIGN}0.06"),
        ("1.4e-05", "1.3e-05"),
        ("9.9e-05", "1.0e-04"),
        ("1.0e-04", "9.9e-05"),
        ("9.0e-05", "1.0e-04"),  # ten units of the finer place
        ("1.4E+10", "1.3E+10"),
        (".5", "0.5"),
        ("of 1,234.5 films", "of 1,234.6 films"),
        ("about 999.9.", "about 1,000.0."),
        ("<td>999.9</td>", "<td>1,000.0</td>"),
        ("**999.9** films", "**1,000.0** films"),
        ("9.9 %", "10.0 %"),
        ("80.7\N{DEGREE SIGN}", "80.8\N{DEGREE SIGN}"),
        ("[ 9.9  1. ]", "[10.0  1. ]"),
        ("( 9.9|9.9 )", "(10.0|10.0)"),
        ("[-0.  3.]", "[ 0.  3.]"),
        ("80.7  \nthen  ", "80.7\nthen"),
        ("nan 1.0 -inf", "nan 1.1 -inf"),
        ("3\N{EN DASH}4.0", "3\N{EN DASH}4.1"),
        ("\x1b[31m80.7\x1b[0m", "\x1b[31m80.8\x1b[0m"),
        ("\x1b[1m\x1b[31m 9.9\x1b[0m|", "\x1b[1m\x1b[31m10.0\x1b[0m|"),
        ("no number at all", "no number at all"),
    ],
)
def test_one_unit_in_the_last_place_is_tolerated(new, committed):
    assert agrees(new, committed)


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("80.9", "80.7"),
        ("80.70", "80.7"),
        ("80", "80.7"),
        ("81", "80"),
        ("1,235 films", "1,234 films"),
        ("07", "7"),
        ("1e-05", "2e-05"),
        ("1.5e-05", "1.3e-05"),
        ("9.8e-05", "1.0e-03"),
        ("8.9e-05", "1.0e-04"),
        ("1.30e-05", "1.3e-05"),
        ("0.1", "1.0e-01"),
        ("-0.1", "0.1"),
        ("5.0%", "5.0 %"),
        ("9.9%", "10.0 %"),
        ("80.7\x1b[0m", "80.7"),
        ("\x1b[31m80.7\x1b[0m", "\x1b[32m80.7\x1b[0m"),
        ("\x1b[31m80.9\x1b[0m", "\x1b[31m80.7\x1b[0m"),
        ("L\x1b[1m5.1\x1b[0m", "L\x1b[1m5.0\x1b[0m"),  # a word, whatever its colours
        ("1\x1b[1m.6\x1b[0m", "1\x1b[1m.5\x1b[0m"),
    ],
)
def test_more_is_not(new, committed):
    assert not agrees(new, committed)


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("MAE 4.11", "MAE 4.21"),  # exactly on the bound: decimal arithmetic, not binary
        ("-0.05", "0.05"),
        ("1.00e-3", "2.00e-3"),
        ("of 999.95 films", "of 1,000.00 films"),
        ("[ 9.98 1.00]", "[10.02 1.00]"),
        ("(95 % 4.01 to 5.02)", "(95 % 4.00 to 5.00)"),
        ("<td>9.98</td>", "<td>10.02</td>"),
        ("\x1b[31m9.98\x1b[0m", "\x1b[31m10.02\x1b[0m"),
    ],
)
def test_a_declared_tolerance_widens(new, committed):
    assert agrees(new, committed, TENTH) and not agrees(new, committed)


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("MAE 4.21", "MAE 4.10"),
        ("MAE 4.1 deg", "MAE 4.1"),
        ("MAE 4.10", "MAE 4.1"),
        ("PT 4.1", "PI 4.1"),
        ("4.1 4.1", "4.1"),
        ("4.1\n4.1", "4.1 4.1"),
        ("4.1", "4.1\n"),
        ("", "4.1"),
        ("nan", "4.1"),
        ("nan", "inf"),
        ("inf", "-inf"),
        ("L5", "L4"),
        ("S1 4.1", "S2 4.1"),
        ("ch05", "ch04"),
        ("64px", "65px"),
        ("1.50s", "1.51s"),
        ("fold-3", "fold-4"),
        ("0x10", "0x11"),
        ("version 1.2.30", "version 1.2.31"),
        ("<td width='64'>1</td>", "<td width='65'>1</td>"),
        ("<script>x = 1.00</script>", "<script>x = 1.01</script>"),
        ("<style>a { top: 1.00 }</style>", "<style>a { top: 1.01 }</style>"),
        ("&#176;", "&#177;"),
        ("1,234", "1,334"),
        ("5-10", "5 10"),
    ],
)
def test_not_even_with_a_declared_tolerance(new, committed):
    assert not agrees(new, committed, TENTH)


@pytest.mark.parametrize(
    "text",
    [
        "(100,{})",
        "[100,{}]",
        "a,100,{}",
        "100,{},a b",
        "a\n100,{}\nb",
        "100,{} 300,400",
        "x=100,{}",
        "'100,{}'",
        "of 0,100,{} films",
    ],
)
def test_commas_separate_numbers_where_a_list_may_stand(text):
    assert agrees(text.format("209"), text.format("200"), TWENTIETH)
    assert not agrees(text.format("211"), text.format("200"), TWENTIETH)  # although 100,211 is near


@pytest.mark.parametrize("text", ["of 100,{} films", "<td>100,{}</td>", "it was 100,{}.\nThen"])
def test_commas_part_thousands_in_prose(text):
    assert agrees(text.format("211"), text.format("200"), TWENTIETH)


# Text tables, as pandas prints them.

STYLES = {
    "default": {},
    "formatted": {"float_format": "{:.2f}".format},
    "no index": {"index": False},
    "rounded": {"float_format": "{:.1f}".format, "index": False},
}


def printed_table(columns: dict, **style) -> str:
    return pd.DataFrame(columns).to_string(na_rep="", **style)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("other", [2.0, 20.0, -20.0])
def test_a_value_in_another_column_is_not_tolerated(style, other):
    nan, beside = np.nan, [3.0, 4.0]
    left = printed_table({"A": [1.0, nan], "B": [nan, other], "C": beside}, **style)
    right = printed_table({"A": [nan, nan], "B": [1.0, other], "C": beside}, **style)
    swapped = printed_table({"A": [nan, 1.0], "B": [other, nan], "C": beside}, **style)
    for new, committed in ((left, right), (right, left), (left, swapped), (swapped, left)):
        assert agrees(new, new, TENTH) and not agrees(new, committed, TENTH)


def test_nor_while_a_number_becomes_longer():
    nan = np.nan
    wide = printed_table({"A": [1.0, 9.98], "B": [nan, 2.0]})
    narrow = printed_table({"A": [nan, 10.02], "B": [1.0, 2.0]})
    assert not agrees(wide, narrow, TENTH) and not agrees(narrow, wide, TENTH)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("rows", [[9.94], [9.94, 1.0], [9.94, 10.5], [-0.06, 9.93]], ids=str)
@pytest.mark.parametrize("index", [[0, 1], ["a", "long name"]], ids=str)
def test_columns_may_become_wider(rows, index, style):
    narrow, wide = (
        pd.DataFrame({"SS": of, "the PT": 1.0, "who": "some one"}, index[: len(of)])
        .rename_axis(columns="name")
        .to_string(**style)
        for of in (rows, [value + 0.08 for value in rows])
    )
    assert narrow != wide
    assert agrees(narrow, wide, TENTH) and agrees(wide, narrow, TENTH)


def test_arrays_may_become_wider():
    narrow, wide = (str(np.array([[9.98, 1.01], [9.97, end]])) for end in (9.98, 10.02))
    assert agrees(narrow, wide, TENTH) and agrees(wide, narrow, TENTH)


@pytest.mark.parametrize("other", ["9.9e-02", "-1.0e-01", "1.0e-02"])
def test_a_number_that_collapses_to_zero_is_another_one(other):
    assert not agrees("0.0e+00", other, Tolerance()) and not agrees(other, "0.0e+00", Tolerance())
    assert agrees("0.0e+00", "0.0e+00", Tolerance()) and agrees("0.0e+00", "-0.0e+00", Tolerance())
    assert agrees("0.0", "0.1", Tolerance()) and agrees("0.0e+00", "0.1e-04", Tolerance())


def test_only_the_offending_number_is_left_to_be_reported():
    assert tolerated("a 1.05 b  9.98", "a 1.00 b 30.00", TENTH) == "a 1.00 b 9.98"


def test_the_wider_bound_counts():
    wide = Tolerance(absolute=Decimal("0.1"), relative=Decimal("0.01"))
    assert agrees("100.9", "100.0", wide) and agrees("0.09", "0.00", wide) and agrees("101", "100", wide)
    assert not agrees("101.1", "100.0", wide) and not agrees("0.11", "0.00", wide)
    assert agrees("1.1", "1.0", Tolerance(absolute=Decimal("0.03")))  # one unit always


@given(st.floats(-1e6, 1e6), st.floats(0, 3), st.floats(0.01, 10))
def test_a_number_agrees_just_when_it_is_near(number, shift, bound):
    number, shift, bound = (Decimal(f"{value:.6f}") for value in (number, shift, bound))
    new, committed = f"before {number + shift:.6f} after", f"before {number:.6f} after"
    assert agrees(new, committed, Tolerance(bound)) == (shift <= bound)


@given(st.integers(-(10**9), 10**9), st.integers(0, 3), st.integers(1, 8))
def test_a_number_agrees_just_when_it_is_one_unit_away(number, shift, places):
    new, committed = (f"{Decimal(digits).scaleb(-places):.{places}f}" for digits in (number + shift, number))
    assert agrees(new, committed) == (shift <= 1)


@given(st.text(alphabet="aS1.5 -e,<>=\n%+\x1b[m", max_size=30))
def test_a_text_agrees_with_itself(text):
    assert agrees(text, text) and agrees(text, text, TENTH)


@given(st.text(alphabet="aS1.5 -e,<>=\n%+\x1b[m", max_size=30), st.data())
def test_a_text_does_not_agree_with_one_that_has_another_word(text, data):
    at = data.draw(st.integers(0, len(text)))
    assert not agrees(text[:at] + "a" + text[at:], text, TENTH)


MALFORMED = {
    "not an object": {"tolerance": 0.1},
    "empty": {"tolerance": {}},
    "unknown bound": {"tolerance": {"absolute": 0.1}},
    "text": {"tolerance": {"abs": "0.1"}},
    "truth value": {"tolerance": {"abs": True}},
    "zero": {"tolerance": {"abs": 0}},
    "negative": {"tolerance": {"rel": -0.1}},
    "not finite": {"tolerance": {"rel": float("inf")}},
    "misspelt": {"tolerence": {"abs": 0.1}},
    "not exact": {"exact": False},
    "exact as a number": {"exact": 1},
    "exact as text": {"exact": "true"},
    "both": {"exact": True, "tolerance": {"abs": 0.1}},
}


@pytest.mark.parametrize("lumbo", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_tolerance_is_refused(lumbo):
    with pytest.raises(ValueError, match=r"metadata\.lumbo.*got .*; allowed: "):
        declared_tolerance({"lumbo": lumbo})


def test_nothing_declared():
    assert declared_tolerance({}) == PRINTED
    assert declared_tolerance({"lumbo": {"ignored_because": "the clock"}}) == PRINTED


def test_exact_declared():
    assert declared_tolerance({"lumbo": {"exact": True}}) is None


# The same through real nbval runs: each case is a cell of one notebook.


def cell(source, *outputs, tags=(), **lumbo):
    """A code cell that claims to have been executed with `outputs`."""
    metadata = {"tags": list(tags)} | ({"lumbo": lumbo} if lumbo else {})
    return new_code_cell(source, outputs=list(outputs), execution_count=1, metadata=metadata)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(**data):
    return new_output("display_data", data={f"text/{kind}": text for kind, text in data.items()})


def result(text):
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


NEAR, EXACT = {"tolerance": {"abs": 0.1}}, {"exact": True}
UNDER_A = "print('     A    B\\n0  1.0     \\n1       2.0')"
PASSING = {
    "one unit": cell("print('MAE 80.8')", printed("MAE 80.7\n")),
    "one unit of the coarser place": cell("9.9e-05", result("1.0e-04")),
    "zero with a sign": cell("-0.0", result("0.0")),
    "wider by one unit": cell("print('a  9.9')", printed("a 10.0\n")),
    "coloured": cell("print('\\x1b[31m80.8\\x1b[0m')", printed("\x1b[31m80.7\x1b[0m\n")),
    "thousands": cell("print('of 999.9 mm')", printed("of 1,000.0 mm\n")),
    "printed number within": cell("print('MAE 4.05')", printed("MAE 4.10\n"), **NEAR),
    "result within": cell("4.05", result("4.15"), **NEAR),
    "relative": cell("1010", result("1000"), tolerance={"rel": 0.02}),
    "column width": cell("print('a  9.98')", printed("a 10.02\n"), **NEAR),
    "html within": cell(
        "from IPython.display import HTML, Markdown; display(HTML('<b class=\"w9\">1.05</b>'))",
        shown(html='<b class="w9">1.10</b>', plain="<IPython.core.display.HTML object>"),
        **NEAR,
    ),
    "markdown within": cell(
        "display(Markdown('about **1.05**'))",
        shown(markdown="about **1.10**", plain="<IPython.core.display.Markdown object>"),
        **NEAR,
    ),
    "stream order free": cell("print(1.05); display(2.05)", shown(plain="2.15"), printed("1.15\n"), **NEAR),
    "exactly equal": cell("print('MAE 4.05')", printed("MAE 4.05\n"), **EXACT),
    "stderr appears": cell("import sys; _ = sys.stderr.write('warned')"),
    "another picture in html": cell(
        "from IPython.display import HTML; display(HTML('<img src=\"data:image/png;base64,BB==\"><b>1.0</b>'))",
        shown(
            html='<img src="data:image/png;base64,AA=="><b>1.0</b>',
            plain="<IPython.core.display.HTML object>",
        ),
    ),
    "another drawing": cell(
        "from IPython.display import SVG; display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))",
        new_output(
            "display_data",
            data={"image/svg+xml": "<svg/>", "text/plain": "<IPython.core.display.SVG object>"},
        ),
    ),
    "stderr is missing": cell("print(1.05)", printed("warned", "stderr"), printed("1.06\n")),
}
FAILING = {
    "two units": ("80.9", cell("print('MAE 80.9')", printed("MAE 80.7\n"))),
    "two units of the coarser place": ("8.9e-05", cell("print('8.9e-05')", printed("1.1e-04\n"))),
    "a lost decimal": ("80.7", cell("print('MAE 80.7')", printed("MAE 80.70\n"))),
    "a lost decimal within": ("80.7", cell("print('MAE 80.7')", printed("MAE 80.70\n"), **NEAR)),
    "another whole number": ("81", cell("print('81 films')", printed("80 films\n"))),
    "another column": ("2.0", cell(UNDER_A, printed("     A    B\n0       1.0\n1       2.0\n"), **NEAR)),
    "a pair with a comma": (
        "210",
        cell("print('(100,210)')", printed("(100,200)\n"), tolerance={"rel": 0.01}),
    ),
    "another colour": (
        "80.7",
        cell("print('\\x1b[32m80.7\\x1b[0m')", printed("\x1b[31m80.7\x1b[0m\n")),
    ),
    "one unit where exact": ("4.06", cell("print('MAE 4.06')", printed("MAE 4.05\n"), **EXACT)),
    "spaces where exact": ("a  4", cell("print('a  4')", printed("a 4\n"), **EXACT)),
    "number beyond": ("4.3", cell("print('MAE 4.3')", printed("MAE 4.1\n"), **NEAR)),
    "text changed": ("PI", cell("print('PI 4.1')", printed("PT 4.1\n"), **NEAR)),
    "extra line": ("more", cell("print('4.1\\nmore')", printed("4.1\n"), **NEAR)),
    "extra output": ("dissimilar number", cell("display(1.0); display(2.0)", shown(plain="1.0"), **NEAR)),
    "output is missing": ("Missing output", cell("x = 1", printed("4.1\n"), **NEAR)),
    "unexpected output": ("Unexpected output", cell("print(4.1)", **NEAR)),
    "html attribute": (
        "w8",
        cell(
            "display(HTML('<b class=\"w8\">1.0</b>'))",
            shown(html='<b class="w9">1.0</b>', plain="<IPython.core.display.HTML object>"),
            **NEAR,
        ),
    ),
    "a picture more in html": (
        "BB==",
        cell(
            'display(HTML(\'<img src="data:image/png;base64,AA=="><img src="data:image/png;base64,BB==">\'))',
            shown(html='<img src="data:image/png;base64,AA==">', plain="<IPython.core.display.HTML object>"),
        ),
    ),
    "exception": ("ZeroDivisionError", cell("1 / 0", **NEAR)),
    "malformed tolerance": ("metadata.lumbo.tolerance.abs", cell("print(1)", tolerance={"abs": "wide"})),
    "malformed although ignored": (
        "metadata.lumbo.tolerance.rel",
        cell("print(1)", printed("2\n"), tags=["nbval-ignore-output"], tolerance={"rel": -1}),
    ),
    "exact and tolerant": ("not both", cell("print(1)", printed("1\n"), **NEAR, **EXACT)),
    "not quite exact": ("metadata.lumbo.exact", cell("print(1)", printed("1\n"), exact=1)),
}


@pytest.fixture(scope="session")
def outcomes(run_nbval, tmp_path_factory) -> dict[str, str | None]:
    """Case -> the message nbval failed it with, or None where it passed."""
    folder = tmp_path_factory.mktemp("planted")
    cases = PASSING | {name: code for name, (_, code) in FAILING.items()}
    nbformat.write(new_notebook(cells=list(cases.values())), folder / "planted.ipynb")
    run_nbval(folder, f"--junitxml={folder / 'report.xml'}")
    reports = ElementTree.parse(folder / "report.xml").iter("testcase")
    failures = [[part.text for part in report if part.tag in ("failure", "error")] for report in reports]
    return {case: "\n".join(texts) or None for case, texts in zip(cases, failures, strict=True)}


@pytest.mark.parametrize("case", PASSING)
def test_nbval_passes(case, outcomes):
    assert outcomes[case] is None


@pytest.mark.parametrize("case", FAILING)
def test_nbval_fails_and_says_why(case, outcomes):
    assert outcomes[case] is not None and FAILING[case][0] in outcomes[case]
