"""The paper's claims, each with a rule fixed in advance, and what our run says about it.  Taught in ch10.

``data_synth/claims.yml`` holds the claims as data.  A claim about a number says where the number must
lie; the verdict follows from its interval and p-value by `verdict` and by nothing else.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lumbo import models, scores
from lumbo.errors import InputError, fields, number, require
from lumbo.reproduction import Outcome
from lumbo.scores import Estimate

RESAMPLES = 9999  # the smallest p-value is then 0.0001
PRIMARY = 6  # claims at most
COLUMNS = (
    "id", "words", "quantity", "network", "value", "low", "high", "tolerance", "p", "p_holm", "verdict"
)  # fmt: skip
GIVEN = ("holds by construction", "cannot be tested on synthetic films")  # verdicts that need no number

_PARTS = {  # by kind: the fields it needs besides those of every claim
    "equivalence": {"quantity", "tolerance"},
    "about": {"quantity", "target", "tolerance"},
    "better": {"quantity"},
    "none": {"verdict", "because"},
}
_ALWAYS, _OPTIONAL = {"id", "title", "words", "kind", "primary"}, {"because", "cell"}


@dataclass(frozen=True)
class Protocol:
    """What was fixed before the first full run; `specification` and `fixed` are None until then.

    specification : of the full run;  films : digest of the frozen specs of the films
    network : carries the claims;  alpha : of one-sided p-values
    """

    specification: str | None
    films: str
    fixed: date | None
    network: str
    alpha: float


@dataclass(frozen=True)
class Claim:
    """One claim: the paper's words, and where our quantity must lie for us to repeat them.

    kind : "equivalence", "about", "better" or "none"
    because : why our number differs, or why no number speaks;  cell : notebook/cell that shows it
    """

    id: str
    title: str
    words: str
    kind: str
    primary: bool
    quantity: str = ""
    target: float = 0.0
    tolerance: float = math.inf
    verdict: str = ""
    because: str = ""
    cell: str = ""


@dataclass(frozen=True)
class Claims:
    """A protocol and its claims, in the order of the page."""

    protocol: Protocol
    claims: tuple[Claim, ...]


# Quantities: what a claim can be about, each an `Estimate` from (outcome, network, rng=, resamples=)


def _error(arm: str, test: str) -> Callable[..., Estimate]:
    return partial(scores.error, reading=(arm, test))


def _difference(a: tuple[str, str], b: tuple[str, str]) -> Callable[..., Estimate]:
    return partial(scores.difference, a=a, b=b)


def gain_per_halving(outcome: Outcome, network: str, rng: np.random.Generator, resamples: int) -> Estimate:
    """Estimate how much more a hospital gains that has half the films, in degrees."""
    slope = scores.gain_per_doubling(outcome, network, rng, resamples=resamples)
    return Estimate(-slope.value, -slope.high, -slope.low, -slope.samples)


QUANTITIES: dict[str, Callable[..., Estimate]] = {
    "federated, internal": _error("federated", "internal"),
    "local, internal": _error("local", "internal"),
    "local, participant": _error("local", "participant"),
    "local, outsider": _error("local", "outsider"),
    "federated minus centralized, internal": _difference(
        ("federated", "internal"), ("centralized", "internal")
    ),
    "federated minus centralized, outsider": _difference(
        ("federated", "outsider"), ("centralized", "outsider")
    ),
    "local minus federated, internal": _difference(("local", "internal"), ("federated", "internal")),
    "local minus federated, participant": _difference(("local", "participant"), ("federated", "internal")),
    "local minus federated, outsider": _difference(("local", "outsider"), ("federated", "outsider")),
    "local minus federated, left out": _difference(("local", "participant"), ("federated", "left out")),
    "extra gain of a hospital with half the films": gain_per_halving,
}


# Reading


def read(path: Path | None = None) -> Claims:
    """Read and check a file of claims, by default the one that ships with the book.

    Raises
    ------
    InputError
        Naming file or field, the value, and what is allowed.
    """
    path = path or files("data_synth").joinpath("claims.yml")
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(str(path), str(error), "a readable YAML file") from error
    fields("claims.yml", table, {"protocol", "claims"})
    listed = isinstance(table["claims"], list) and table["claims"]
    require(bool(listed), "claims", table["claims"], "a list of at least one claim")
    found = tuple(_claim(f"claims[{i}]", entry) for i, entry in enumerate(table["claims"]))
    ids = [claim.id for claim in found]
    for name in ids:
        require(ids.count(name) == 1, "claims", name, "every id once")
    primary = [claim.id for claim in found if claim.primary]
    require(len(primary) <= PRIMARY, "primary", primary, f"at most {PRIMARY} claims")
    return Claims(_protocol(table["protocol"]), found)


def _protocol(table: object) -> Protocol:
    fields("protocol", table, set(Protocol.__dataclass_fields__))
    _digest("protocol.films", table["films"])
    open_, day = table["specification"] is None, table["fixed"]
    if not open_:
        _digest("protocol.specification", table["specification"])
    dated = day is None if open_ else type(day) is date
    require(
        dated, "protocol.fixed", day, "a date such as 2026-01-31 once the specification is fixed, else null"
    )
    known = list(models.NETWORKS)
    require(table["network"] in known, "protocol.network", table["network"], f"one of {', '.join(known)}")
    number("protocol.alpha", table["alpha"], 1e-4, 0.5)
    return Protocol(**table)


def _claim(field: str, table: object) -> Claim:
    everything = set(Claim.__dataclass_fields__)
    fields(field, table, everything, everything - {"kind"})
    kind = table["kind"]
    require(kind in list(_PARTS), f"{field}.kind", kind, f"one of {', '.join(_PARTS)}")
    allowed = _ALWAYS | _OPTIONAL | _PARTS[kind]
    fields(field, table, allowed, _OPTIONAL - _PARTS[kind])
    for key in allowed & table.keys() & {"id", "title", "words", "because", "cell"}:
        text = isinstance(table[key], str) and table[key].strip()
        require(bool(text), f"{field}.{key}", table[key], "a text")
    primary = table["primary"]
    require(isinstance(primary, bool), f"{field}.primary", primary, "true or false")
    require(not (primary and kind == "none"), f"{field}.primary", primary, "false where kind is none")
    for key, known in (("quantity", list(QUANTITIES)), ("verdict", list(GIVEN))):
        if key in table:
            require(table[key] in known, f"{field}.{key}", table[key], f"one of {'; '.join(known)}")
    for key, low in (("target", 0), ("tolerance", 0.001)):
        if key in table:
            number(f"{field}.{key}", table[key], low, 90)
    return Claim(**table)


def _digest(field: str, value: object) -> None:
    digits = isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")
    require(digits, field, value, "16 hexadecimal digits, in quotes where all are decimal")


def check(claims: Claims, run: dict) -> None:
    """Raise `InputError` unless the run is the one for which the claims were fixed.

    run : from the `reproduction.read_run` of the stored results
    """
    fixed, made = claims.protocol.specification, run.get("specification")
    require(fixed is not None, "protocol.specification", fixed, "that of a run, fixed before it")
    require(fixed == made, "protocol.specification", fixed, f"{made}, as in the stored results")


# Verdicts


def region(claim: Claim) -> tuple[float, float]:
    """Return where a claim's quantity must lie, in degrees: (low, high), both excluded."""
    if claim.kind == "better":
        return 0.0, math.inf
    return claim.target - claim.tolerance, claim.target + claim.tolerance


def verdict(low: float, high: float, allowed: tuple[float, float], p: float, alpha: float) -> str:
    """Say what an interval means for a claim; the rule that was fixed before the run.

    low, high : the 95 % interval;  allowed : from `region`;  p : corrected, if the claim is primary

    >>> [verdict(*interval, (-0.5, 0.5), 0.001, 0.025) for interval in ((-0.1, 0.3), (0.3, 0.7), (0.6, 0.7))]
    ['reproduced', 'undecided', 'differs']
    >>> verdict(-0.1, 0.3, (-0.5, 0.5), 0.04, 0.025)  # too little evidence once Holm has corrected
    'undecided'
    """
    if allowed[0] < low and high < allowed[1] and p <= alpha:
        return "reproduced"
    return "differs" if high <= allowed[0] or low >= allowed[1] else "undecided"


def ledger(
    claims: Claims, outcome: Outcome, rng: np.random.Generator, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Hold every claim against the outcome.

    All claims meet the same resamples, so that neither their order nor their number changes one.

    Returns
    -------
    DataFrame, one row per claim in the order of the file, with the columns `COLUMNS`; value, low
    and high in degrees.  p_holm is NaN but for primary claims; all numbers are for kind "none".

    Raises
    ------
    InputError
        The outcome lacks the models that a claim is about.
    """
    same = int(rng.integers(2**32))
    measured = [
        QUANTITIES[claim.quantity](
            outcome, claims.protocol.network, rng=np.random.default_rng(same), resamples=resamples
        )
        if claim.quantity
        else Estimate(*[math.nan] * 3, np.empty(0))
        for claim in claims.claims
    ]
    p = np.array([_p(claim, found) for claim, found in zip(claims.claims, measured)])
    primary = np.array([claim.primary for claim in claims.claims])
    corrected = np.full(len(p), math.nan)
    corrected[primary] = scores.holm(p[primary])
    rows = [
        _row(claim, claims.protocol, *rest) for claim, *rest in zip(claims.claims, measured, p, corrected)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _p(claim: Claim, found: Estimate) -> float:
    return scores.equivalence_p(found.samples, *region(claim)) if claim.quantity else math.nan


def _row(claim: Claim, protocol: Protocol, found: Estimate, p: float, corrected: float) -> tuple:
    counts = corrected if claim.primary else p
    said = claim.verdict or verdict(found.low, found.high, region(claim), counts, protocol.alpha)
    network = protocol.network if claim.quantity else ""
    numbers = found.value, found.low, found.high
    return claim.id, claim.words, claim.quantity, network, *numbers, allowance(claim), p, corrected, said


def allowance(claim: Claim) -> str:
    """Say in words where a claim's quantity must lie.

    >>> allowance(Claim("a", "A", "…", "about", False, "local, internal", target=8, tolerance=1))
    '8° ± 1°'
    """
    words = {
        "equivalence": f"within ±{claim.tolerance:g}°",
        "about": f"{claim.target:g}° ± {claim.tolerance:g}°",
        "better": "above 0°",
        "none": "",
    }
    return words[claim.kind]


# The page


def page(claims: Claims, table: pd.DataFrame, run: dict) -> str:
    """Write the book's page of claims in Markdown; the same arguments give the same bytes.

    Parameters
    ----------
    claims : from `read`;  table : from `ledger`
    run : from `reproduction.read_run`; specification, seeds, commit, hardware and seconds are printed

    Raises
    ------
    InputError
        The run is not the one for which the claims were fixed.
    """
    check(claims, run)
    rows = {row.id: row for row in table.itertuples()}
    heading = "Verdict so far" if _missing(claims, run) else "Verdict"
    sections = [_section(claim, rows[claim.id], claims, heading) for claim in claims.claims]
    parts = [_opening(claims, run), _glance(claims, rows, heading), *sections, _origin(claims, run)]
    return "\n\n".join(parts) + "\n"


def _opening(claims: Claims, run: dict) -> str:
    count = sum(claim.primary for claim in claims.claims)
    return f"""\
% Written by `python -m lumbo claims` from data_synth/claims.yml and the stored predictions: change those, not this.

# What became of the paper's claims

{{cite:t}}`cina2025` claim that federated learning works. Here each claim stands in the paper's words beside
our number, *on synthetic films*. A claim that we cannot repeat is a result too.

:::{{admonition}} Not for clinical use
:class: warning
Every film behind these numbers is synthetic. Nothing here may be used to measure, diagnose or treat a person.
:::

## How to read it

What is measured, how far it may be off, and the rule of the verdict were fixed on {claims.protocol.fixed},
before the first full run. Numbers are mean absolute errors over all four angles, against *rated* angles, of
the network called `{claims.protocol.network}`; every hospital has the same weight. Intervals hold 95 % and
count two kinds of luck at once: which patients were tested, and what the seed gave to training. {_seeds(claims, run)}

- **reproduced**: the whole interval lies where the claim allows, and the one-sided p is at most
  {claims.protocol.alpha:g}. For the {count} primary claims, p is first corrected for their number after Holm.
- **differs**: the whole interval lies elsewhere.
- **undecided**: the interval crosses the limit, or p is too large after the correction. We cannot say, with
  so many seeds and patients.
- **holds by construction** and **cannot be tested on synthetic films**: no prediction speaks about the claim.

"External" can be read in three ways, and the summary that we have of the paper does not say which it meant:
another *participant* (the local model has not seen that hospital, the federated one has), an *outsider*
(neither has), or a hospital *left out* of the federation."""


def _missing(claims: Claims, run: dict) -> int:
    """Count the planned seeds of the network that carries the claims that are not there yet."""
    planned = range(run["size"]["seeds"][claims.protocol.network])
    return len(set(planned) - set(run["seeds"]))


def _seeds(claims: Claims, run: dict) -> str:
    planned, missing = run["size"]["seeds"][claims.protocol.network], _missing(claims, run)
    if missing:
        return f"Of {planned} planned seeds, {missing} are still to be trained: **verdicts are provisional**."
    return f"There are {planned} seeds, as planned."


def _glance(claims: Claims, rows: dict, heading: str) -> str:
    lines = ["## At a glance", "", f"| claim | ours | {heading.lower()} |", "|---|---|---|"]
    for claim in claims.claims:
        value = _degrees(rows[claim.id].value) if claim.quantity else "–"
        lines.append(f"| {claim.title} | {value} | {rows[claim.id].verdict} |")
    return "\n".join(lines)


def _section(claim: Claim, row, claims: Claims, heading: str) -> str:
    lines = [f"## {claim.title}", "", f"> {claim.words}", "", *_numbers(claim, row, claims)]
    if claim.cell:
        notebook, _, cell = claim.cell.partition("/")
        lines.append(f"- Shown in: [{notebook}](../notebooks/{notebook}.ipynb), cell `{cell}`")
    return "\n".join([*lines, f"- {heading}: {_sentence(claim, row.verdict)}"])


def _numbers(claim: Claim, row, claims: Claims) -> list[str]:
    if not claim.quantity:
        return []
    count = sum(other.primary for other in claims.claims)
    corrected = f"; {row.p_holm:.4f} as one of {count} primary claims" if claim.primary else "; descriptive"
    return [
        f"- Measured: {claim.quantity}",
        f"- Ours: {_degrees(row.value)} ({_degrees(row.low)} to {_degrees(row.high)})",
        f"- Allowed: {row.tolerance}",
        f"- p: {row.p:.4f}{corrected}",
    ]


def _sentence(claim: Claim, said: str) -> str:
    """A verdict, with its reason where it needs one."""
    if said in GIVEN:
        return f"**{said}**. {claim.because}"
    if said == "differs":
        return f"**differs**, because {claim.because}" if claim.because else "**differs**; not yet explained."
    return f"**{said}**."


def _origin(claims: Claims, run: dict) -> str:
    machine, seconds = run["hardware"], sum(run["seconds"].values())
    commits = ", ".join(f"`{one[:12]}{one[40:]}`" for one in run["commit"].split(", "))  # a phone is narrow
    return f"""\
## Where the numbers come from

- Specification: `{claims.protocol.specification}` of the run, `{claims.protocol.films}` of the films
- Commit: {commits}
- Hardware: {machine["gpu"] or machine["processor"]}, {machine["cores"]} cores, {seconds:,.0f} seconds
- Command: `python -m lumbo claims` writes this page again"""


def _degrees(value: float) -> str:
    """Print degrees to two decimals, with a true minus and without a negative zero.

    >>> _degrees(-0.127), _degrees(-0.001)
    ('−0.13°', '0.00°')
    """
    return f"{round(value, 2) + 0.0:.2f}°".replace("-", "−")
