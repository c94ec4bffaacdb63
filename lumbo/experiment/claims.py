"""The paper's claims, each with a rule fixed in advance, and what our run says about it.  Taught in experiment.

``data_synth/claims.yml`` holds the claims as data.  A claim about a number says where the number must
lie; the verdict follows from its interval and p-value by `verdict` and by nothing else.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lumbo.experiment import scores
from lumbo.learning import models
from lumbo.errors import InputError, fields, number, require
from lumbo.experiment.reproduction import Outcome
from lumbo.experiment.scores import Estimate

__all__ = [
    "RESAMPLES",
    "PRIMARY",
    "COLUMNS",
    "ALONE",
    "GIVEN",
    "Protocol",
    "Claim",
    "Claims",
    "gain_per_halving",
    "QUANTITIES",
    "read",
    "check",
    "region",
    "verdict",
    "ledger",
    "judge",
    "by_seed",
    "allowance",
    "page",
    "origin",
    "paper_levels",
]

RESAMPLES = 9999  # the smallest p-value is then 0.0001
PRIMARY = 6  # claims at most
COLUMNS = (
    "id", "words", "quantity", "network", "value", "low", "high", "tolerance", "p", "p_holm", "verdict"
)  # fmt: skip
ALONE = (
    "low",
    "high",
    "p",
    "p_holm",
    "verdict",
)  # columns of Student's t over the seeds alone, "student_..."
GIVEN = ("holds by construction", "cannot be tested on synthetic films")  # verdicts that need no number

_PARTS = {  # by kind: the fields it needs besides those of every claim
    "equivalence": {"quantity", "tolerance"},
    "about": {"quantity", "target", "tolerance"},
    "better": {"quantity"},
    "none": {"verdict", "because"},
}
_ALWAYS, _OPTIONAL = {"id", "title", "words", "kind", "primary"}, {"because", "note", "cell"}


@dataclass(frozen=True)
class Protocol:
    """What was fixed before the first full run; `specification` and `fixed` are None until then.

    specification : of the full run;  films : digest of the frozen specs of the films
    seen : what was known of test errors at that moment
    network : carries the claims;  alpha : of one-sided p-values
    """

    specification: str | None
    films: str
    fixed: date | None
    seen: str
    network: str
    alpha: float


@dataclass(frozen=True)
class Claim:
    """One claim: the paper's words, and where our quantity must lie for us to repeat them.

    kind : "equivalence", "about", "better" or "none"
    because : why our number differs, or why no number speaks
    note : what to mind, whatever the verdict;  cell : notebook/cell that shows it
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
    note: str = ""
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
    _text("protocol.seen", table["seen"])
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
    for key in allowed & table.keys() & {"id", "title", "words", "because", "note", "cell"}:
        _text(f"{field}.{key}", table[key])
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


def _text(field: str, value: object) -> None:
    require(isinstance(value, str) and bool(value.strip()), field, value, "a text")


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
    The verdict is that of the rule; beside it stands what Student's t over the seeds alone would say, by the
    same rule.

    Returns
    -------
    DataFrame, one row per claim in the order of the file, with the columns `COLUMNS`; value, low
    and high in degrees.  p_holm is NaN but for primary claims; all numbers are for kind "none".
    Then "seeds", what every seed says alone, and "student_" with each of `ALONE`.

    Raises
    ------
    InputError
        The outcome lacks the models that a claim is about.
    """
    same, network = int(rng.integers(2**32)), claims.protocol.network
    measured = {
        claim.id: QUANTITIES[claim.quantity](
            outcome, network, rng=np.random.default_rng(same), resamples=resamples
        )
        for claim in claims.claims
        if claim.quantity
    }
    seeds = {name: own.dropna().to_numpy() for name, own in by_seed(claims, outcome).iterrows()}
    alone = {name: scores.student(own, np.random.default_rng(same), resamples) for name, own in seeds.items()}
    beside = judge(claims, alone)[list(ALONE)].add_prefix("student_")
    own = [tuple(seeds.get(claim.id, ())) for claim in claims.claims]
    return judge(claims, measured).assign(seeds=own).join(beside)


def judge(claims: Claims, measured: Mapping[str, Estimate]) -> pd.DataFrame:
    """Apply the rule to numbers measured in any way, by the claims' id: the columns `COLUMNS` of `ledger`."""
    nothing = Estimate(*[math.nan] * 3, np.empty(0))
    found = [measured[claim.id] if claim.quantity else nothing for claim in claims.claims]
    p = np.array([_p(claim, number_) for claim, number_ in zip(claims.claims, found)])
    primary = np.array([claim.primary for claim in claims.claims])
    corrected = np.full(len(p), math.nan)
    corrected[primary] = scores.holm(p[primary])
    rows = [_row(claim, claims.protocol, *rest) for claim, *rest in zip(claims.claims, found, p, corrected)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_seed(claims: Claims, outcome: Outcome) -> pd.DataFrame:
    """Let every seed answer alone: one row per claim about a number, one column per seed; degrees.

    NaN where a seed lacks the models that a claim is about.
    """
    network = claims.protocol.network
    found = {}
    for seed in sorted({job.seed for job in outcome.said if job.network == network}):
        said = {job: by_site for job, by_site in outcome.said.items() if job.seed == seed}
        found[seed] = {
            claim.id: _value(claim, replace(outcome, said=said), network)
            for claim in claims.claims
            if claim.quantity
        }
    return pd.DataFrame(found)


def _value(claim: Claim, outcome: Outcome, network: str) -> float:
    try:
        rng = np.random.default_rng(0)  # of resamples, of which the value knows nothing
        return QUANTITIES[claim.quantity](outcome, network, rng=rng, resamples=1).value
    except InputError:
        return math.nan


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
    parts = [_opening(claims, run), _glance(claims, rows, heading), *sections, _sources(claims, run)]
    return "\n\n".join(parts) + "\n"


def _opening(claims: Claims, run: dict) -> str:
    count = sum(claim.primary for claim in claims.claims)
    return f"""\
% Written by `python -m lumbo claims` from data_synth/claims.yml and the stored predictions: change those, not this.

# What became of the paper's claims

{{cite:t}}`cina2025` call federated learning a viable solution. Here each of their claims stands in the paper's words
beside our number, *on synthetic films*. A claim that we cannot repeat is a result too.

:::{{admonition}} Not for clinical use
:class: warning
Every film behind these numbers is synthetic. Nothing here may be used to measure, diagnose or treat a person.
:::

## How to read it

What is measured, how far it may be off, and the rule of the verdict were fixed on {claims.protocol.fixed},
before the first full run; where a claim was added later, its note says so. Numbers are mean absolute errors over all four angles, against *rated* angles, of
the network called `{claims.protocol.network}`, on average: every hospital has the same weight, and so has every
seed. {_seeds(claims, run)} The 95 % intervals count two kinds of luck at once, which patients were tested and what the
seed gave to training. They do not count a third kind: other hospitals.

Seeds are few. Where their luck is the larger one, the intervals are too narrow and p is too small. So each claim also shows
its seeds one by one, and what the same rule makes of them alone, by *Student's t*, which knows nothing of the luck of
patients but is honest about few seeds. The verdict is that of the rule fixed in advance; where Student disagrees, take the claim as open.

- **reproduced**: the whole interval lies where the claim allows, and the one-sided p is at most
  {claims.protocol.alpha:g}. For the {count} primary claims, p is first corrected for their number after Holm.
- **differs**: the whole interval lies elsewhere. Nothing is corrected here.
- **undecided**: the interval crosses the limit, or p is too large after the correction. We cannot say, with
  so many seeds and patients.
- **holds by construction** and **cannot be tested on synthetic films**: no prediction speaks about the claim.

"External" can be read in three ways, and the summary that we have of the paper does not say which it meant:
another *participant* (the local model has not seen that hospital, the federated one has), an *outsider*
(neither has), or a hospital *left out* of the federation.

**What had been seen before.** {claims.protocol.seen}"""


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
    lines = ["## At a glance", "", f"| claim | ours | {heading.lower()} | Student |", "|---|---|---|---|"]
    for claim in claims.claims:
        row = rows[claim.id]
        value, alone = (_interval(row), row.student_verdict) if claim.quantity else ("–", "–")
        same = "the same" if alone == row.verdict else alone
        lines.append(f"| {claim.title} | {value} | {row.verdict} | {same} |")
    return "\n".join(lines)


def _section(claim: Claim, row, claims: Claims, heading: str) -> str:
    lines = [f"## {claim.title}", "", f"> {claim.words}", "", *_numbers(claim, row, claims)]
    if claim.cell:
        notebook, _, cell = claim.cell.partition("/")
        lines.append(f"- Shown in: [{notebook}](../notebooks/{notebook}.ipynb), cell `{cell}`")
    lines.append(f"- {heading}: {_sentence(claim, row)}")
    return "\n".join([*lines, f"- Note: {claim.note}"] if claim.note else lines)


def _numbers(claim: Claim, row, claims: Claims) -> list[str]:
    if not claim.quantity:
        return []
    count = sum(other.primary for other in claims.claims)
    corrected = (
        f"; {_p_value(row.p_holm)} as one of {count} primary claims" if claim.primary else "; descriptive"
    )
    return [
        f"- Measured: {claim.quantity}",
        f"- Ours: {_interval(row)}",
        f"- Allowed: {row.tolerance}",
        f"- p: {_p_value(row.p)}{corrected}",
        f"- Seeds: {', '.join(map(_degrees, row.seeds))}",
        f"- Student: {_degrees(row.student_low)} to {_degrees(row.student_high)}, p "
        f"{_p_value(row.student_p_holm if claim.primary else row.student_p)}{' (Holm)' * claim.primary}: "
        f"{row.student_verdict}",
    ]


def _sentence(claim: Claim, row) -> str:
    """A verdict, with its reason where it needs one."""
    said, (low, high) = row.verdict, region(claim)
    if said == "undecided" and low < row.low and row.high < high:
        return "**undecided**: the interval lies where the claim allows, but p is too large."
    if said in GIVEN:
        return f"**{said}**. {claim.because}"
    if said == "differs":
        return f"**differs**, because {claim.because}" if claim.because else "**differs**; not yet explained."
    return f"**{said}**."


def _sources(claims: Claims, run: dict) -> str:
    machine, seconds = run["hardware"], sum(run["seconds"].values())
    commits = ", ".join(f"`{one[:12]}{one[40:]}`" for one in run["commit"].split(", "))  # a phone is narrow
    return f"""\
## Where the numbers come from

- Specification: `{claims.protocol.specification}` of the run, `{claims.protocol.films}` of the films
- Commit: {commits}
- Hardware: {machine["gpu"] or machine["processor"]}, {machine["cores"]} cores, {seconds:,.0f} seconds
- Command: `python -m lumbo claims` writes this page again"""


def origin(run: dict) -> str:
    """Say in one line which run a figure shows.

    >>> origin({"specification": "c0ffee", "seeds": [0, 1]})
    'specification c0ffee, seeds 0, 1'
    """
    return f"specification {run['specification']}, seeds {', '.join(map(str, run['seeds']))}"


def paper_levels(claims: Claims) -> dict[tuple[str, str], float]:
    """Return the errors that the paper reports, in degrees, by (arm, test), as the claims read them."""
    return {
        tuple(claim.quantity.split(", ")): claim.target for claim in claims.claims if claim.kind == "about"
    }


def _interval(row) -> str:
    return f"{_degrees(row.value)} ({_degrees(row.low)} to {_degrees(row.high)})"


def _p_value(p: float) -> str:
    """Print a p-value; a smaller one than the resamples can show is only bounded.

    >>> _p_value(0.0316), _p_value(0.0001)
    ('0.0316', 'at most 0.0001')
    """
    return f"{p:.4f}" if p > 1 / (RESAMPLES + 1) else f"at most {1 / (RESAMPLES + 1):.4f}"


def _degrees(value: float) -> str:
    """Print degrees to two decimals, with a true minus and without a negative zero.

    >>> _degrees(-0.127), _degrees(-0.001)
    ('−0.13°', '0.00°')
    """
    return f"{round(value, 2) + 0.0:.2f}°".replace("-", "−")
