"""The paper's claims, each with a rule fixed in advance, and what our run says about it.  Taught in experiment.

``data_synth/claims.yml`` holds the claims as data.  A claim about a number says where the number must
lie; the verdict follows from its interval and p-value by `verdict` and by nothing else.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, replace
from datetime import date
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import yaml

from lumbo import specs, store
from lumbo.errors import InputError, array, choice, fields, instance, number, require, text, whole
from lumbo.experiment import resampling, tables
from lumbo.experiment.resampling import Estimate
from lumbo.experiment.results import Outcome, noted
from lumbo.experiment.tables import Reading
from lumbo.learning import models
from lumbo.specs import Range, documented

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
PRIMARY = 6  # claims at most that are primary
COLUMNS = (
    "id", "words", "quantity", "network", "value", "low", "high", "tolerance", "p", "p_holm", "verdict"
)  # fmt: skip
ALONE = ("low", "high", "p", "p_holm", "verdict")  # columns of Student's t over the seeds, "student_..."
GIVEN = ("holds by construction", "cannot be tested on synthetic films")  # verdicts that need no number

_NEEDED = {  # by kind: the fields it needs besides those of every claim
    "equivalence": {"quantity", "tolerance"},
    "about": {"quantity", "target", "tolerance"},
    "better": {"quantity"},
    "none": {"verdict", "because"},
}
_OPTIONAL = {"because", "note", "cell"}  # fields that every kind may have
_PRINTED = (*COLUMNS, "seeds", *(f"student_{name}" for name in ALONE))  # columns of `ledger`


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


@documented
@dataclass(frozen=True)
class Claim:
    """One claim: the paper's words, and where our quantity must lie for us to repeat them.

    By its kind a claim is

    - "equivalence" where |quantity| must lie within the tolerance;
    - "about" where the quantity must lie within the tolerance of the target;
    - "better" where the quantity must be above 0;
    - "none" where predictions cannot speak about it: its verdict is given, with the reason in `because`.
    """

    id: Annotated[str, "a short name"]
    title: Annotated[str, "its heading on the page"]
    words: Annotated[str, "what the paper says"]
    kind: Annotated[Literal["equivalence", "about", "better", "none"], "as above"]
    primary: Annotated[bool, "whether it is one of the few whose p-values are corrected after Holm"]
    quantity: Annotated[str, "what is measured, one of `QUANTITIES`"] = ""
    target: Annotated[float, Range(0, 90), "the paper's number, degrees"] = 0.0
    tolerance: Annotated[float, Range(0.001, 90), "how far the quantity may be off, degrees"] = math.inf
    verdict: Annotated[str, "given where no number speaks, one of `GIVEN`"] = ""
    because: Annotated[str, "why our number differs, or why no number speaks"] = ""
    note: Annotated[str, "what to mind, whatever the verdict"] = ""
    cell: Annotated[str, "chapter and cell that show it: experiment/overview"] = ""


@dataclass(frozen=True)
class Claims:
    """A protocol and its claims, in the order of the page."""

    protocol: Protocol
    claims: tuple[Claim, ...]


# Quantities: what a claim can be about, each an `Estimate` from (outcome, network, rng=, resamples=)


def _error(arm: str, test: str) -> Callable[..., Estimate]:
    return partial(tables.error, reading=(arm, test))


def _difference(a: Reading, b: Reading) -> Callable[..., Estimate]:
    return partial(tables.difference, a=a, b=b)


def gain_per_halving(outcome: Outcome, network: str, rng: np.random.Generator, resamples: int) -> Estimate:
    """Estimate how much more a hospital gains that has half the films, in degrees."""
    slope = tables.gain_per_doubling(outcome, network, rng, resamples=resamples)
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
    place = files("data_synth").joinpath("claims.yml") if path is None else path
    content = store.read_text(place, "a readable YAML file")
    try:
        table = yaml.load(content, _Plain)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(str(place), str(error), "a readable YAML file") from error
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


class _Plain(yaml.SafeLoader):
    """YAML without aliases, of which a few can stand for a billion values, and with every key once."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "an alias; write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        for name, times in Counter(str(key.value) for key, _ in node.value).items():
            if times > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _protocol(table: object) -> Protocol:
    given = fields("protocol", table, set(Protocol.__dataclass_fields__))
    _digest("protocol.films", given["films"])
    open_, day = given["specification"] is None, given["fixed"]
    if not open_:
        _digest("protocol.specification", given["specification"])
    dated = day is None if open_ else type(day) is date
    when = "a date such as 2026-01-31 once the specification is fixed, else null"
    require(dated, "protocol.fixed", day, when)
    text("protocol.seen", given["seen"])
    choice("protocol.network", given["network"], models.NETWORKS)
    number("protocol.alpha", given["alpha"], 1e-4, 0.5)
    return Protocol(**given)


def _claim(field: str, table: dict) -> Claim:
    claim = specs.read(Claim, field, table)
    needed = _NEEDED[claim.kind]
    always = {name for name, of in Claim.__dataclass_fields__.items() if of.default is MISSING}
    fields(field, table, always | needed | _OPTIONAL, _OPTIONAL - needed)
    for key in ("id", "title", "words", "because", "note"):  # each is a part of a line of the page
        one = getattr(claim, key)
        require(len(one.splitlines()) <= 1 and one.strip() == one, f"{field}.{key}", one, "one line")
    require(re.fullmatch(r"[\w-]+", claim.id), f"{field}.id", claim.id, "letters, digits and hyphens")
    require("|" not in claim.title, f"{field}.title", claim.title, "a heading without |")
    cell = not claim.cell or re.fullmatch(r"\w+/[\w-]+", claim.cell)
    require(cell, f"{field}.cell", claim.cell, "chapter and cell, such as experiment/overview")
    for key, known in (("quantity", list(QUANTITIES)), ("verdict", list(GIVEN))):
        if key in needed:
            require(table[key] in known, f"{field}.{key}", table[key], f"one of {'; '.join(known)}")
    counts = claim.primary and claim.kind == "none"
    require(not counts, f"{field}.primary", claim.primary, "false where kind is none")
    return claim


def _digest(field: str, value: object) -> None:
    digits = isinstance(value, str) and len(value) == 16 and set(value) <= set("0123456789abcdef")
    require(digits, field, value, "16 hexadecimal digits, in quotes where all are decimal")


def check(claims: Claims, run: dict) -> None:
    """Raise `InputError` unless the run is the one for which the claims were fixed.

    run : what `read_run` says of the stored results
    """
    fixed, made = claims.protocol.specification, noted(run, "specification")
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

    "reproduced" where the whole interval lies where the claim allows, and p is at most alpha;
    "differs" where the whole interval lies elsewhere; "undecided" where neither is so.

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
    instance("claims", claims, Claims, "claims.read()")
    same, network = int(resampling.generator(rng).integers(2**32)), claims.protocol.network
    measured = {
        claim.id: QUANTITIES[claim.quantity](
            outcome, network, rng=np.random.default_rng(same), resamples=resamples
        )
        for claim in claims.claims
        if claim.quantity
    }
    seeds = {name: own.dropna().to_numpy() for name, own in by_seed(claims, outcome).iterrows()}
    alone = {
        name: resampling.student(own, np.random.default_rng(same), resamples) for name, own in seeds.items()
    }
    beside = judge(claims, alone)[list(ALONE)].add_prefix("student_")
    own = [tuple(seeds.get(claim.id, ())) for claim in claims.claims]
    return judge(claims, measured).assign(seeds=own).join(beside)


def judge(claims: Claims, measured: Mapping[str, Estimate]) -> pd.DataFrame:
    """Apply the rule to numbers measured in any way, by the claims' id: the columns `COLUMNS` of `ledger`."""
    nothing = Estimate(math.nan, math.nan, math.nan, np.empty(0))
    for claim in claims.claims:
        if claim.quantity:
            instance(f"measured.{claim.id}", measured.get(claim.id), Estimate)
    found = [measured[claim.id] if claim.quantity else nothing for claim in claims.claims]
    p = np.array([_p(claim, number_) for claim, number_ in zip(claims.claims, found)])
    primary = np.array([claim.primary for claim in claims.claims])
    corrected = np.full(len(p), math.nan)
    corrected[primary] = resampling.holm(p[primary])
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
    return resampling.equivalence_p(found.samples, *region(claim)) if claim.quantity else math.nan


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


# The page: its sentences stand in claims.template.md


def page(claims: Claims, table: pd.DataFrame, run: dict) -> str:
    """Write the book's page of claims in Markdown; the same arguments give the same bytes.

    Parameters
    ----------
    claims : from `read`;  table : from `ledger`
    run : what `read_run` says; specification, seeds, commit, hardware and seconds are printed

    Raises
    ------
    InputError
        The run is not the one for which the claims were fixed.
    """
    check(instance("claims", claims, Claims, "claims.read()"), run)
    protocol = claims.protocol
    planned = whole("run.size.seeds", noted(run, "size", "seeds", protocol.network), 1)
    missing = len(set(range(planned)) - set(array("run.seeds", noted(run, "seeds"), ("n",), 0)))
    heading, seeds = ("Verdict so far", "seeds, incomplete") if missing else ("Verdict", "seeds, complete")
    instance("table", table, pd.DataFrame, "claims.ledger(...)")
    for column in _PRINTED:
        require(column in table, f"table.{column}", None, "a table from `ledger`")
    ids = [claim.id for claim in claims.claims]
    require(list(table.id) == ids, "table.id", list(table.id), f"the claims, {', '.join(ids)}")
    rows = {row.id: row for row in table.itertuples()}
    both = [(claim, rows[claim.id]) for claim in claims.claims]
    count = sum(claim.primary for claim in claims.claims)
    words = _say(
        "page",
        **vars(protocol) | {"alpha": f"{protocol.alpha:g}"},
        **_origin(run),
        count=count,
        seeds=_say(seeds, planned=planned, missing=missing),
        verdict=heading.lower(),
        glance="\n".join(_glance(claim, row) for claim, row in both),
        sections="\n\n".join(_section(claim, row, heading, count) for claim, row in both),
    )
    return f"{words}\n"


@cache
def _parts() -> dict[str, Template]:
    """Read the parts of the page by name."""
    whole = files("lumbo.experiment").joinpath("claims.template.md").read_text(encoding="utf-8")
    _, *found = re.split(r"^% part: (.+)$", whole, flags=re.MULTILINE)
    return {name: Template(part.strip()) for name, part in zip(found[::2], found[1::2])}


def _say(part: str, **values: object) -> str:
    return _parts()[part].substitute(values)


def _origin(run: dict) -> dict[str, object]:
    """Collect where the numbers come from."""
    commits = text("run.commit", noted(run, "commit")).split(", ")
    processor, cores, gpu = (noted(run, "hardware", part) for part in ("processor", "cores", "gpu"))
    seconds = [
        number(f"run.seconds.{kind}", noted(run, "seconds", kind), 0) for kind in noted(run, "seconds")
    ]
    return {
        "commits": ", ".join(f"`{one[:12]}{one[40:]}`" for one in commits),  # a phone is narrow
        "machine": gpu or processor,
        "cores": cores,
        "seconds": f"{sum(seconds):,.0f}",
    }


def _glance(claim: Claim, row) -> str:
    ours, student = (_interval(row), row.student_verdict) if claim.quantity else ("–", "–")
    student = "the same" if student == row.verdict else student
    return _say("glance, a line", title=claim.title, ours=ours, verdict=row.verdict, student=student)


def _section(claim: Claim, row, heading: str, count: int) -> str:
    chapter, _, cell = claim.cell.partition("/")
    lines = [
        _numbers(claim, row, count) if claim.quantity else "",
        _say("claim, cell", chapter=chapter, cell=cell) if claim.cell else "",
        _say("claim, verdict", heading=heading, verdict=_sentence(claim, row)),
        _say("claim, note", note=claim.note) if claim.note else "",
    ]
    return _say("claim", title=claim.title, words=claim.words, lines="\n".join(filter(None, lines)))


def _numbers(claim: Claim, row, count: int) -> str:
    p, part = _p_value(row.student_p), "claim, p of another one"
    if claim.primary:
        p, part = f"{_p_value(row.student_p_holm)} (Holm)", "claim, p of a primary one"
    return _say(
        "claim, numbers",
        quantity=claim.quantity,
        ours=_interval(row),
        allowed=row.tolerance,
        p=_say(part, p=_p_value(row.p), p_holm=_p_value(row.p_holm), count=count),
        seeds=", ".join(map(_degrees, row.seeds)),
        student=f"{_degrees(row.student_low)} to {_degrees(row.student_high)}",
        student_p=p,
        student_verdict=row.student_verdict,
    )


def _sentence(claim: Claim, row) -> str:
    """Say a verdict, with its reason where it needs one."""
    part, (low, high) = "verdict", region(claim)
    if row.verdict == "undecided" and low < row.low and row.high < high:
        part = "verdict, undecided by p alone"
    elif row.verdict in GIVEN:
        part = "verdict, given"
    elif row.verdict == "differs":
        part = "verdict, differs because" if claim.because else "verdict, differs unexplained"
    return _say(part, verdict=row.verdict, because=claim.because)


def origin(run: dict) -> str:
    """Say in one line which run a figure shows.

    >>> origin({"specification": "c0ffee", "seeds": [0, 1]})
    'specification c0ffee, seeds 0, 1'
    """
    return f"specification {noted(run, 'specification')}, seeds {', '.join(map(str, noted(run, 'seeds')))}"


def paper_levels(claims: Claims) -> dict[tuple[str, str], float]:
    """Return the errors that the paper reports, in degrees, by (arm, test), as the claims read them."""
    levels = {}
    for claim in claims.claims:
        if claim.kind == "about":
            arm, test = claim.quantity.split(", ")
            levels[arm, test] = claim.target
    return levels


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
