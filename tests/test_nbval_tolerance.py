"""The tolerance-aware comparison: planted mismatches fail, tolerated differences pass."""

from decimal import Decimal
from xml.etree import ElementTree

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval_tolerance import Tolerance, declared_tolerance, tolerated

TENTH = Tolerance(absolute=Decimal("0.1"))


def agrees(new: str, committed: str, tolerance: Tolerance = TENTH) -> bool:
    return tolerated(new, committed, tolerance) == committed


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("MAE 4.05", "MAE 4.1"),
        ("MAE 4.2", "MAE 4.1"),  # exactly on the bound: decimal arithmetic, not binary
        ("-0.05", "0.05"),
        ("\N{MINUS SIGN}0.05", "\N{MINUS SIGN}0.1"),
        ("1.00e-3", "2.00e-3"),
        ("+1.5E1", "15.1"),
        (".5", "0.5"),
        ("1,234.5", "1,234.6"),
        ("999.95", "1,000.0"),
        ("[ 9.98 1.00]", "[10.02 1.00]"),
        ("    SS     PT\n0  9.98  1.00", "     SS     PT\n0  10.02  1.00"),
        ("(95 % 4.01 to 5.02)", "(95 % 4 to 5)"),
        ("5.0\N{DEGREE SIGN}", "5.1\N{DEGREE SIGN}"),
        ("<td>9.98</td>", "<td>10.02</td>"),
        ("nan 1.0 -inf", "nan 1.1 -inf"),
        ("3\N{EN DASH}4.05", "3\N{EN DASH}4"),
        ("no number at all", "no number at all"),
    ],
)
def test_tolerated(new, committed):
    assert agrees(new, committed)


@pytest.mark.parametrize(
    ("new", "committed"),
    [
        ("MAE 4.21", "MAE 4.1"),
        ("MAE 4.1 deg", "MAE 4.1"),
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
        ("<script>x = 1</script>", "<script>x = 1.01</script>"),
        ("<style>a { top: 1 }</style>", "<style>a { top: 1.01 }</style>"),
        ("&#176;", "&#177;"),
        ("1,234", "1,334"),
        ("5-10", "5 10"),
    ],
)
def test_not_tolerated(new, committed):
    assert not agrees(new, committed)


def test_only_the_offending_number_is_left_to_be_reported():
    assert tolerated("a 1.05 b  9.98", "a 1.00 b 30.00", TENTH) == "a 1.00 b 9.98"


def test_the_wider_bound_counts():
    wide = Tolerance(absolute=Decimal("0.1"), relative=Decimal("0.01"))
    assert agrees("100.9", "100", wide) and agrees("0.09", "0", wide)
    assert not agrees("101.1", "100", wide) and not agrees("0.11", "0", wide)


@given(st.floats(-1e6, 1e6), st.floats(0, 3), st.floats(0.01, 10))
def test_a_number_agrees_just_when_it_is_near(number, shift, bound):
    number, shift, bound = (Decimal(f"{value:.6f}") for value in (number, shift, bound))
    text = f"before {number} after"
    assert agrees(f"before {number + shift} after", text, Tolerance(bound)) == (shift <= bound)


@given(st.text(alphabet="aS1.5 -e,<>=\n%+", max_size=30))
def test_a_text_agrees_with_itself(text):
    assert agrees(text, text)


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
}


@pytest.mark.parametrize("lumbo", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_tolerance_is_refused(lumbo):
    with pytest.raises(ValueError, match=r"metadata\.lumbo.*got .*; allowed: "):
        declared_tolerance({"lumbo": lumbo})


def test_no_tolerance_declared():
    assert declared_tolerance({}) is None
    assert declared_tolerance({"lumbo": {"ignored_because": "the clock"}}) is None


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


NEAR = {"tolerance": {"abs": 0.1}}
PASSING = {
    "printed number within": cell("print('MAE 4.05')", printed("MAE 4.1\n"), **NEAR),
    "result within": cell("4.05", result("4.1"), **NEAR),
    "relative": cell("1010", result("1000"), tolerance={"rel": 0.02}),
    "column width": cell("print('a  9.98')", printed("a 10.02\n"), **NEAR),
    "html within": cell(
        "from IPython.display import HTML, Markdown; display(HTML('<b class=\"w9\">1.05</b>'))",
        shown(html='<b class="w9">1.1</b>', plain="<IPython.core.display.HTML object>"),
        **NEAR,
    ),
    "markdown within": cell(
        "display(Markdown('about **1.05**'))",
        shown(markdown="about **1.1**", plain="<IPython.core.display.Markdown object>"),
        **NEAR,
    ),
    "stream order free": cell("print(1.05); display(2.05)", shown(plain="2.1"), printed("1.1\n"), **NEAR),
    "exact without tolerance": cell("print('MAE 4.05')", printed("MAE 4.05\n")),
    "stderr appears": cell("import sys; _ = sys.stderr.write('warned')"),
    "stderr is missing": cell("print(1.05)", printed("warned", "stderr"), printed("1.1\n"), **NEAR),
}
FAILING = {
    "number beyond": ("4.3", cell("print('MAE 4.3')", printed("MAE 4.1\n"), **NEAR)),
    "number without tolerance": ("4.05", cell("print('MAE 4.05')", printed("MAE 4.1\n"))),
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
    "exception": ("ZeroDivisionError", cell("1 / 0", **NEAR)),
    "malformed tolerance": ("metadata.lumbo.tolerance.abs", cell("print(1)", tolerance={"abs": "wide"})),
    "malformed although ignored": (
        "metadata.lumbo.tolerance.rel",
        cell("print(1)", printed("2\n"), tags=["nbval-ignore-output"], tolerance={"rel": -1}),
    ),
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
