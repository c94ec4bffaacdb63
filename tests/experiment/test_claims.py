"""The ledger: claims are read strictly, verdicts follow from the rule, and the page from the ledger."""

import re
from datetime import date

import nbformat
import numpy as np
import pytest
import yaml
from faults import ABSENT, planted
from invented import PARTICIPANTS, SITES, by_arm, films_of, invent, main_jobs, rng, with_luck, without_jobs
from pandas.testing import assert_frame_equal
from PIL import Image

from lumbo.errors import InputError
from lumbo.experiment import claims, resampling, results, tables
from lumbo.experiment.claims import Claims, ledger, page, read, verdict
from lumbo.films_1 import hospitals

RUN = {
    "specification": "00112233445566aa",
    "commit": "c0ffee",
    "hardware": {"processor": "Abacus 9", "cores": 2, "gpu": None},
    "seconds": {"drawing": 12.0, "training": 1234.0},
    "seeds": [0, 1, 2, 3],
    "size": {"seeds": {"landmarks": 4, "regressor": 2}},
}
PROTOCOL = {
    "specification": RUN["specification"],
    "films": "ad31016a91bf9c62",
    "fixed": date(2026, 1, 31),
    "seen": "Nothing had been seen.",
    "network": "landmarks",
    "alpha": 0.025,
}
HEAD = {"words": "as they say", "primary": False}
TABLE = {
    "protocol": PROTOCOL,
    "claims": [
        {
            "id": "same",
            "title": "The same",
            "kind": "equivalence",
            "quantity": "federated minus centralized, internal",
            "tolerance": 0.5,
            **HEAD,
            "primary": True,
        },
        {
            "id": "level",
            "title": "About 14",
            "kind": "about",
            "quantity": "local, internal",
            "target": 14,
            "tolerance": 1,
            **HEAD,
        },
        {
            "id": "better",
            "title": "Better",
            "kind": "better",
            "quantity": "local minus federated, internal",
            **HEAD,
            "primary": True,
        },
        {
            "id": "given",
            "title": "Given",
            "kind": "none",
            "verdict": "holds by construction",
            "because": "so it is.",
            "cell": "federated_averaging/ledger",
            **HEAD,
        },
    ],
}


def complete(error=by_arm, sd=0.1):
    """An outcome with every model that a claim can be about; one full rotation of the sizes."""
    return invent([*main_jobs(), *without_jobs()], with_luck(error, sd), hard=0.5)


@pytest.fixture(scope="module")
def outcome():
    return complete()


@pytest.fixture
def written(tmp_path):
    """A function: write a table as claims.yml and read it."""

    def write_and_read(table):
        path = tmp_path / "claims.yml"
        path.write_text(yaml.safe_dump(table) if isinstance(table, (dict, list)) else table)
        return read(path)

    return write_and_read


@pytest.fixture
def few(written):
    return written(TABLE)


# ---------------------------------------------------------------- the file that ships


@pytest.fixture(scope="module")
def shipped() -> Claims:
    return read()


def test_the_shipped_claims_are_about_the_frozen_films(shipped):
    assert shipped.protocol.films == hospitals.frozen()["specs"]


def test_every_claim_of_the_issue_is_there(shipped):
    found = {claim.id: claim for claim in shipped.claims}
    assert found["comparable"].tolerance == 0.5 and found["comparable"].kind == "equivalence"
    levels = {name: claim.target for name, claim in found.items() if claim.kind == "about"}
    assert sorted(levels.values()) == [5, 8, 10, 10]
    external = {claim.quantity.split(", ")[1] for claim in shipped.claims if claim.id.startswith("better-")}
    assert external == {"internal", "participant", "outsider", "left out"}
    primary = [claim.quantity for claim in shipped.claims if claim.primary]
    assert 1 <= len(primary) == len(set(primary)) <= 6
    assert (
        sum("local minus federated" in quantity and "internal" not in quantity for quantity in primary) == 1
    )


def test_numbers_in_titles_are_the_targets(shipped):
    for claim in shipped.claims:
        numbers = [float(text) for text in re.findall(r"(\d+)°", claim.title)]
        assert numbers == ([claim.target] if claim.kind == "about" else [])
        assert all(f"~{number:g}°" in claim.words for number in numbers)


def test_a_cell_that_a_claim_names_exists(shipped, root):
    for claim in shipped.claims:
        if claim.cell:
            chapter, _, cell = claim.cell.partition("/")
            (notebook,) = (root / "notebooks").glob(f"ch??_{chapter}.ipynb")
            cells = nbformat.read(notebook, as_version=4).cells
            assert cell in [there.id for there in cells], claim.cell


def test_every_shipped_claim_can_be_held_against_an_outcome(shipped, outcome):
    table = ledger(shipped, outcome, rng(), resamples=99)
    assert list(table.id) == [claim.id for claim in shipped.claims]
    assert list(table.columns) == [*claims.COLUMNS, "seeds", *(f"student_{name}" for name in claims.ALONE)]
    assert ((table.seeds.map(len) > 0) == (table.quantity != "")).all()
    numbers = table[["value", "low", "high", "p", "student_low", "student_high", "student_p"]]
    assert (numbers.notna().all(axis=1) == (table.quantity != "")).all()
    assert ((table.p_holm.notna()) == [claim.primary for claim in shipped.claims]).all()
    assert (table.p.dropna() >= 0.01).all()


# ---------------------------------------------------------------- reading


def test_claims_are_read_as_they_are_written(few):
    assert [claim.id for claim in few.claims] == ["same", "level", "better", "given"]
    assert few.protocol.fixed == date(2026, 1, 31) and few.claims[0].because == ""
    assert claims.region(few.claims[0]) == (-0.5, 0.5)
    assert claims.region(few.claims[1]) == (13, 15)
    assert claims.region(few.claims[2]) == (0, np.inf)


def test_a_protocol_may_wait_to_be_fixed(written):
    open_ = written(TABLE | {"protocol": PROTOCOL | {"specification": None, "fixed": None}})
    with pytest.raises(InputError, match="protocol.specification: got None; allowed: that of a run"):
        claims.check(open_, RUN)


@pytest.mark.parametrize(
    "path, value, field, allowed",
    [
        ("protocol", ABSENT, "claims.yml.protocol", "needed"),
        ("protocol", 3, "protocol", "a table"),
        ("protocol.films", "ad31", "protocol.films", "16 hexadecimal digits"),
        ("protocol.films", None, "protocol.films", "16 hexadecimal digits"),
        ("protocol.specification", 1234567890123456, "protocol.specification", "in quotes"),
        ("protocol.specification", ABSENT, "protocol.specification", "needed"),
        ("protocol.fixed", "soon", "protocol.fixed", "a date such as 2026-01-31"),
        ("protocol.fixed", None, "protocol.fixed", "a date such as 2026-01-31"),
        ("protocol.network", "resnet", "protocol.network", "landmarks"),
        ("protocol.alpha", 0, "protocol.alpha", "a number from 0.0001"),
        ("protocol.alpha", "small", "protocol.alpha", "a number from 0.0001"),
        ("protocol.seed", 1, "protocol.seed", "specification"),
        ("claims", [], "claims", "at least one claim"),
        ("claims", {"same": {}}, "claims", "a list"),
        ("claims.0", "same", "claims[0]", "a table"),
        ("claims.0.id", "level", "claims", "every id once"),
        ("claims.0.id", 3, "claims[0].id", "a text"),
        ("claims.1.title", " ", "claims[1].title", "a text"),
        ("claims.1.words", ABSENT, "claims[1].words", "needed"),
        ("claims.1.words", None, "claims[1].words", "a text"),
        ("claims.0.kind", "worse", "claims[0].kind", "equivalence, about, better, none"),
        ("claims.0.kind", ABSENT, "claims[0].kind", "needed"),
        ("claims.0.kind", [], "claims[0].kind", "equivalence, about, better, none"),
        ("claims.0.primary", "yes", "claims[0].primary", "true or false"),
        ("claims.3.primary", True, "claims[3].primary", "false where kind is none"),
        ("claims.0.quantity", "local, lunar", "claims[0].quantity", "local, outsider"),
        ("claims.0.quantity", ABSENT, "claims[0].quantity", "needed"),
        ("claims.0.tolerance", 0, "claims[0].tolerance", "a number from 0.001 to 90"),
        ("claims.0.tolerance", ABSENT, "claims[0].tolerance", "needed"),
        ("claims.1.target", "8", "claims[1].target", "a number from 0 to 90"),
        ("claims.1.target", ABSENT, "claims[1].target", "needed"),
        ("claims.2.tolerance", 1, "claims[2].tolerance", "one of"),
        ("claims.0.verdict", "reproduced", "claims[0].verdict", "one of"),
        ("claims.3.verdict", "reproduced", "claims[3].verdict", "cannot be tested on synthetic films"),
        ("claims.3.because", ABSENT, "claims[3].because", "needed"),
        ("claims.3.cell", 4, "claims[3].cell", "a text"),
        ("claims.0.colour", "red", "claims[0].colour", "one of"),
        ("claims.0.id", "same\nlevel", "claims[0].id", "one line"),
        ("claims.0.id", "same|level", "claims[0].id", "letters, digits and hyphens"),
        ("claims.0.title", "The|same", "claims[0].title", "a heading without |"),  # it is a row of a table
        ("claims.0.title", "The\nsame", "claims[0].title", "one line"),
        ("claims.1.words", "as they say\n\n# A heading", "claims[1].words", "one line"),
        ("claims.3.because", "so\u2028it is.", "claims[3].because", "one line"),
        ("claims.0.note", "mind\n- the gap", "claims[0].note", "one line"),
        ("claims.3.cell", "experiment", "claims[3].cell", "such as experiment/overview"),
        ("claims.0.tolerance", float("nan"), "claims[0].tolerance", "a number from 0.001 to 90"),
        ("claims.0.tolerance", -1, "claims[0].tolerance", "a number from 0.001 to 90"),
        ("claims.1.target", True, "claims[1].target", "a number from 0 to 90"),
        ("protocol.fixed", "2026-01-31", "protocol.fixed", "a date such as 2026-01-31"),
        ("protocol.network", ["landmarks"], "protocol.network", "landmarks"),
        ("protocol.alpha", float("nan"), "protocol.alpha", "a number from 0.0001"),
    ],
)
def test_a_malformed_field_is_named(written, path, value, field, allowed):
    with pytest.raises(InputError) as caught:
        written(planted(TABLE, path, value))
    assert caught.value.field == field and allowed in caught.value.allowed
    assert f"got {shown(value)}" in str(caught.value)


def test_a_day_without_a_specification_is_refused(written):
    with pytest.raises(InputError, match="protocol.fixed: got .*2026, 1, 31.*else null"):
        written(planted(TABLE, "protocol.specification", None))


def shown(value):
    """How a message shows a faulty value; what was left out is None."""
    return repr(None if value is ABSENT else value)


def test_at_most_six_claims_are_primary(written):
    many = [TABLE["claims"][0] | {"id": f"claim-{i}"} for i in range(7)]
    assert len(written(TABLE | {"claims": many[:6]}).claims) == 6
    with pytest.raises(InputError, match="primary: got .*claim-6.*allowed: at most 6 claims"):
        written(TABLE | {"claims": many})


LAUGHS = "a: &a [1]\n" + "".join(
    f"{k}: &{k} [{', '.join(['*' + l] * 9)}]\n" for l, k in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "\tb",
        "[]",
        LAUGHS,
        "protocol: &p {}\nclaims: [*p]",
        "protocol: {}\nprotocol: {}\nclaims: []",
        "protocol: {films: a, films: b}\nclaims: []",
        "protocol: !!python/name:os.system\nclaims: []",
        "protocol: {fixed: 2026-99-99}\nclaims: []",
        "{" * 9999,
        "a: " + "9" * 5000,
    ],
    ids="torn tab list laughs alias twice inner-twice tag no-day deep long".split(),
)
def test_what_is_no_yaml_table_is_refused(written, text):
    with pytest.raises(InputError, match="claims.yml"):
        written(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="claims.yml: got .*No such file"):
        read(tmp_path / "claims.yml")


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda few, table: ledger(few, complete(), 0), "rng"),
        (lambda few, table: ledger(TABLE, complete(), rng()), "claims"),
        (lambda few, table: ledger(few, complete(), rng(), 0), "resamples"),
        (lambda few, table: claims.judge(few, {}), "measured.same"),
        (lambda few, table: page(few, table.drop(columns="p"), RUN), "table.p"),
        (lambda few, table: page(few, table[1:], RUN), "table.id"),
        (lambda few, table: page(few, None, RUN), "table"),
        (lambda few, table: page(few, table, {}), "run.specification"),
        (lambda few, table: page(few, table, RUN | {"size": 3}), "run.size.seeds"),
        (lambda few, table: page(few, table, RUN | {"seeds": 3}), "run.seeds"),
        (lambda few, table: page(few, table, RUN | {"commit": None}), "run.commit"),
        (lambda few, table: page(few, table, RUN | {"hardware": {}}), "run.hardware.processor"),
        (lambda few, table: page(few, table, RUN | {"seconds": {"training": "a"}}), "run.seconds.training"),
        (lambda few, table: claims.origin({}), "run.specification"),
    ],
)
def test_what_no_page_can_be_made_of_is_refused(few, table, call, field):
    with pytest.raises(InputError) as caught:
        call(few, table)
    assert caught.value.field == field


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    "low, high, p, said",
    [
        (-0.1, 0.3, 0.001, "reproduced"),
        (-0.1, 0.3, 0.025, "reproduced"),
        (-0.1, 0.3, 0.026, "undecided"),
        (-0.1, 0.5, 0.001, "undecided"),  # the limit itself is not inside
        (0.4, 0.6, 0.001, "undecided"),
        (-0.6, 0.6, 0.9, "undecided"),
        (0.5, 0.7, 1.0, "differs"),
        (-0.9, -0.5, 1.0, "differs"),
        (np.nan, np.nan, np.nan, "undecided"),
    ],
)
def test_the_rule(low, high, p, said):
    assert verdict(low, high, (-0.5, 0.5), p, 0.025) == said
    assert verdict(-high, -low, (-0.5, 0.5), p, 0.025) == said


def test_better_is_above_zero():
    assert verdict(0.1, 9, (0, np.inf), 0.001, 0.025) == "reproduced"
    assert verdict(-0.1, 9, (0, np.inf), 0.001, 0.025) == "undecided"
    assert verdict(-9, 0, (0, np.inf), 1, 0.025) == "differs"


def worlds(shipped, world):
    found = ledger(shipped, complete(world, sd=0.02), rng(), resamples=499)
    return dict(zip(found.id, found.verdict))


def test_a_world_as_the_paper_says_is_reproduced(shipped):
    def as_they_say(job, site):
        kind = tables.kind_of_test(job, site)
        if job.arm != "local":
            return 5.2 if kind == "internal" else 6.5
        return {"internal": 11.7, "participant": 13.5, "outsider": 13.4}[kind] - 0.4 * np.log2(films_of(job))

    found = worlds(shipped, as_they_say)
    assert set(list(found.values())[:-2]) == {"reproduced"}


def test_a_world_against_the_paper_differs(shipped):
    def against(job, site):
        if job.arm == "local":
            return 1.5 + 0.3 * np.log2(films_of(job))
        return {"centralized": 13.0, "federated": 15.0}[job.arm]

    found = worlds(shipped, against)
    assert set(list(found.values())[:-2]) == {"differs"}


def test_only_primary_claims_are_corrected(few, outcome):
    table = ledger(few, outcome, rng(), resamples=199).set_index("id")
    expected = resampling.holm([table.p["same"], table.p["better"]])
    assert [table.p_holm["same"], table.p_holm["better"]] == list(expected)
    assert np.isnan(table.p_holm["level"]) and table.p["better"] == 1 / 200


def test_the_correction_can_change_a_verdict(few, written, outcome):
    """p = 0.02 is enough alone, and not as the smaller of two."""
    two = ledger(few, outcome, rng(), resamples=49).set_index("id")
    alone = ledger(
        written(planted(TABLE, "claims.0.primary", False)), outcome, rng(), resamples=49
    ).set_index("id")
    assert two.p["better"] == alone.p["better"] == 0.02
    assert (two.verdict["better"], alone.verdict["better"]) == ("undecided", "reproduced")


def test_numbers_of_a_claim_do_not_depend_on_the_others(few, outcome):
    table = ledger(few, outcome, rng(), resamples=99).set_index("id")
    turned = Claims(few.protocol, few.claims[::-1])
    assert_frame_equal(ledger(turned, outcome, rng(), resamples=99).set_index("id").loc[table.index], table)
    single = ledger(Claims(few.protocol, few.claims[1:2]), outcome, rng(), resamples=99).set_index("id")
    assert_frame_equal(single, table.loc[["level"]])


def test_the_ledger_holds_the_numbers_of_tables(few, outcome):
    row = ledger(few, outcome, rng(), resamples=99).set_index("id").loc["better"]
    a, b = ("local", "internal"), ("federated", "internal")
    again = np.random.default_rng(int(rng().integers(2**32)))
    found = tables.difference(outcome, "landmarks", a, b, again, resamples=99)
    assert (row.value, row.low, row.high) == (found.value, found.low, found.high)


def test_halving_is_doubling_turned_round(outcome):
    half = claims.gain_per_halving(outcome, "landmarks", rng(), 50)
    double = tables.gain_per_doubling(outcome, "landmarks", rng(), resamples=50)
    assert (half.value, half.low, half.high) == (-double.value, -double.high, -double.low)
    assert resampling.estimate(np.append(half.value, half.samples)).low == pytest.approx(half.low)


def test_every_quantity_is_what_its_name_says():
    """Errors in which arm, model, hospital and size each leave a trace of their own."""

    def error(job, site):
        arm = {"local": 30.0 - 0.5 * np.log2(films_of(job)), "centralized": 20.0, "federated": 21.0}[job.arm]
        other = 0.25 * (job.arm == "local" and job.site != site) + 2.0 * (job.without == site)
        return (
            arm + other + {"local": 0.125, "centralized": 0.5, "federated": 1.0}[job.arm] * SITES.index(site)
        )

    trained = invent([*main_jobs(), *without_jobs(range(4))], error)
    local = 30 - 0.5 * np.mean([np.log2(films_of(job)) for job in main_jobs([0]) if job.site])
    inside, outside = np.mean(range(len(PARTICIPANTS))), 4.5  # mean place of participants, of outsiders
    expected = {
        "federated, internal": 21 + inside,
        "local, internal": local + inside / 8,
        "local, participant": local + 0.25 + inside / 8,
        "local, outsider": local + 0.25 + outside / 8,
        "federated minus centralized, internal": 1 + inside / 2,
        "federated minus centralized, outsider": 1 + outside / 2,
        "local minus federated, internal": local - 21 - inside * 7 / 8,
        "local minus federated, participant": local + 0.25 - 21 - inside * 7 / 8,
        "local minus federated, outsider": local + 0.25 - 21 - outside * 7 / 8,
        "local minus federated, left out": local + 0.25 - 23 - inside * 7 / 8,
        "extra gain of a hospital with half the films": 0.5,
    }
    found = {
        name: quantity(trained, "landmarks", rng=rng(), resamples=9).value
        for name, quantity in claims.QUANTITIES.items()
    }
    assert found == pytest.approx(expected)


def test_a_claim_about_models_that_were_not_trained_is_refused(few):
    local = invent([job for job in main_jobs() if job.arm == "local"], by_arm)
    with pytest.raises(InputError, match="reading: got .*federated.*allowed: .*were run"):
        ledger(few, local, rng(), resamples=5)


# ---------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def table(tmp_path_factory, outcome):
    path = tmp_path_factory.mktemp("page") / "claims.yml"
    path.write_text(yaml.safe_dump(TABLE))
    return ledger(read(path), outcome, rng(), resamples=499)


def test_the_committed_page_is_what_the_command_writes(shipped, root):
    outcome, run = results.reference("full")
    made = page(shipped, ledger(shipped, outcome, np.random.default_rng(0)), run)
    assert (root / "book" / "claims.md").read_text(encoding="utf-8") == made, "make claims"


def test_the_figure_of_the_readme_shows_the_stored_run(root):
    _, run = results.reference("full")
    with Image.open(root / "book" / "static" / "result.png") as figure:
        assert figure.info["Description"] == claims.origin(run), "make claims"


def test_the_page_needs_the_run_for_which_the_claims_were_fixed(few, table):
    other = RUN | {"specification": "ffffffffffffffff"}
    with pytest.raises(InputError, match="protocol.specification: got '00112233445566aa'; allowed: ffff"):
        page(few, table, other)


def test_the_page_says_everything(few, table):
    text = page(few, table, RUN)
    for claim, row in zip(few.claims, table.itertuples()):
        section = text.partition(f"## {claim.title}\n")[2].partition("\n## ")[0]
        assert f"> {claim.words}\n" in section and f"**{row.verdict}**" in section
        assert (row.tolerance in section) and (f"- Measured: {claim.quantity}" in section) == bool(
            claim.quantity
        )
    assert "not for clinical use" in text.lower() and "**holds by construction**. so it is." in text
    assert "- Shown in: [federated_averaging](#federated_averaging), cell `ledger`" in text
    for value in (
        "00112233445566aa",
        "ad31016a91bf9c62",
        "c0ffee",
        "Abacus 9",
        "1,246 seconds",
        "2026-01-31",
        "**What had been seen before.** Nothing had been seen.",
    ):
        assert value in text
    assert text.endswith("\n") and "nan" not in text and text == page(few, table.copy(), dict(RUN))


def test_every_number_of_the_page_comes_from_the_table(few, table):
    marked = table.copy()
    marked.loc[:2, ["value", "low", "high"]] = [
        [31.21, -32.22, 33.23],
        [34.24, 35.25, 36.26],
        [37.27, 38.28, 39.29],
    ]
    marked.loc[:2, "p"] = [0.4141, 0.4242, 0.4343]
    marked.loc[[0, 2], "p_holm"] = [0.5151, 0.5353]
    marked["verdict"] = ["undecided", "differs", "reproduced", "holds by construction"]
    marked["seeds"] = [(41.1,), (42.2, -43.3), (44.4,), ()]
    marked.loc[:2, ["student_low", "student_high"]] = [[51.1, 52.2], [53.3, 54.4], [55.5, 56.6]]
    marked.loc[1, "student_p"] = 0.6161
    marked.loc[[0, 2], "student_p_holm"] = [0.7171, 0.7272]
    marked["student_verdict"] = ["undecided", "reproduced", "reproduced", "holds by construction"]
    text = page(few, marked, RUN)
    assert "| differs | reproduced |" in text and text.count("| the same |") == 2
    assert "31.21° (−32.22° to 33.23°)" in text and "34.24° (35.25° to 36.26°)" in text
    decimals = re.findall(r"(?<![\w.])\d+\.\d+", text)
    glance = "31.21 32.22 33.23 34.24 35.25 36.26 37.27 38.28 39.29"
    sections = (
        "31.21 32.22 33.23 0.4141 0.5151 41.10 51.10 52.20 0.7171 34.24 35.25 36.26 0.4242 42.20 43.30 "
    )
    sections += "53.30 54.40 0.6161 37.27 38.28 39.29 0.4343 0.5353 44.40 55.50 56.60 0.7272"
    rule = {"0.025", "0.5"}  # alpha and a tolerance: from the file
    rule |= {"1.0", "2.0"}  # versions of the films
    assert " ".join(found for found in decimals if found not in rule) == f"{glance} {sections}"


def test_a_claim_that_differs_says_why_or_that_nobody_knows(written, table):
    differing = table.assign(verdict=["differs", "differs", "undecided", "holds by construction"])
    because = planted(TABLE, "claims.0.because", "our hospitals are more alike.")
    text = page(written(because), differing, RUN)
    assert "**differs**, because our hospitals are more alike." in text
    assert "**differs**; not yet explained." in text


def test_every_seed_answers_alone_and_their_mean_is_the_value(few):
    outcome = complete(sd=0.3)
    alone, together = claims.by_seed(few, outcome), ledger(few, outcome, rng(), 50).set_index("id")
    assert list(alone.columns) == [0, 1, 2, 3] and list(alone.index) == ["same", "level", "better"]
    assert alone.loc["level"].nunique() == 4
    for name, row in alone.iterrows():
        assert row.mean() == pytest.approx(together.value[name])
    shipped = claims.by_seed(read(), complete())
    assert shipped.loc["better-left-out"].notna().sum() == 2  # `without_jobs` leaves out in two seeds


def test_a_claim_undone_by_its_p_alone_says_so_and_a_note_stands_under_any_verdict(written, table):
    noted = written(planted(TABLE, "claims.0.note", "mind the gap."))
    inside = table.assign(low=[-0.2, 13.5, 0.1, np.nan], high=[0.3, 15.5, 0.9, np.nan], verdict="undecided")
    text = page(noted, inside, RUN)
    assert text.count("**undecided**: the interval lies where the claim allows, but p is too large.") == 2
    assert "- Verdict: **undecided**.\n" in text  # the level's interval crosses its limit
    for verdict_ in ("reproduced", "undecided", "differs"):
        assert "- Note: mind the gap." in page(noted, inside.assign(verdict=verdict_), RUN)


def test_a_dollar_in_the_words_of_a_claim_stays_one(written, table):
    text = page(written(planted(TABLE, "claims.0.note", "$5, or $seeds.")), table, RUN)
    assert "- Note: $5, or $seeds.\n" in text


def test_the_page_says_whether_seeds_are_missing(few, table):
    whole = page(few, table, RUN)
    assert "There are 4 seeds, as planned." in whole and whole.count("- Verdict: ") == len(few.claims)
    part = page(few, table, RUN | {"size": {"seeds": {"landmarks": 8}}})
    assert "Of 8 planned seeds, 4 are still to be trained: **verdicts are provisional**." in part
    assert part.count("- Verdict so far: ") == len(few.claims) and "| verdict so far |" in part


def test_a_gpu_is_named_where_there_was_one(few, table):
    machine = RUN["hardware"] | {"gpu": "Loom 3"}
    assert "Loom 3, 2 cores" in page(few, table, RUN | {"hardware": machine})
