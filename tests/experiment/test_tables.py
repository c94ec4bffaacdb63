"""Tables: planted errors come back, what is shared cancels, and every reading is the one that its name says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from invented import (
    OUTSIDERS,
    PARTICIPANTS,
    SITES,
    by_arm,
    films_of,
    invent,
    main_jobs,
    rng,
    with_luck,
    without_jobs,
)
from pandas.testing import assert_frame_equal

from lumbo.errors import InputError
from lumbo.experiment import tables
from lumbo.experiment.jobs import Job
from lumbo.experiment.resampling import equivalence_p, one_sided_p
from lumbo.experiment.results import Outcome
from lumbo.experiment.tables import overview
from lumbo.learning import evaluation
from lumbo.learning.evaluation import ROWS

Z = np.array([1.2816, 1.9600])  # of the 80 % and the 95 % interval of a normal error
MAIN = [
    ("local", "internal"),
    ("local", "participant"),
    ("local", "outsider"),
    ("centralized", "internal"),
    ("centralized", "outsider"),
    ("federated", "internal"),
    ("federated", "outsider"),
]


def shuffled(outcome):
    """The same outcome; models and hospitals in another order."""

    def turn(table):
        return dict(reversed(table.items()))

    said, within = (
        {job: turn(of) for job, of in turn(part).items()} for part in (outcome.said, outcome.within)
    )
    return Outcome(said, within, turn(outcome.films), turn(outcome.rated), turn(outcome.truth))


@pytest.fixture(scope="module")
def planted():
    networks = [*main_jobs(), *main_jobs((0, 1), "regressor"), *without_jobs()]
    return invent(networks, with_luck(by_arm, 0.3))


# ---------------------------------------------------------------- which test is which


@pytest.mark.parametrize(
    "job, kinds",
    [
        (
            Job("landmarks", "local", 0, "cedar"),
            "participant participant internal participant outsider outsider",
        ),
        (Job("landmarks", "federated", 0), "internal internal internal internal outsider outsider"),
        (Job("landmarks", "centralized", 0), "internal internal internal internal outsider outsider"),
        (
            Job("landmarks", "federated", 0, without="birch"),
            "internal left_out internal internal outsider outsider",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Job) else "",
)
def test_kinds_of_test(job, kinds):
    found = [tables.kind_of_test(job, site) for site in SITES]
    assert found == [kind.replace("_", " ") for kind in kinds.split()]


# ---------------------------------------------------------------- the main table


def test_the_main_table_is_in_order_and_counts_models(planted):
    table = overview(planted, rng(), resamples=20)
    assert list(zip(table.arm, table.test)) == MAIN * 2
    assert list(table.network) == ["landmarks"] * 7 + ["regressor"] * 7
    assert list(table.models) == [16, 16, 16, 4, 4, 4, 4] + [8, 8, 8, 2, 2, 2, 2]


def test_planted_errors_come_back():
    table = overview(invent(main_jobs(), by_arm), rng(), resamples=200)
    np.testing.assert_allclose(table.mae, [14, 15, 15, 9, 10, 9.5, 10.5])
    assert (table.low < table.mae).all() and (table.mae < table.high).all()


@pytest.mark.parametrize("reference", ["rated", "truth"])
def test_the_main_table_against_an_explicit_bootstrap(planted, reference):
    resamples, seeds = 30, {"landmarks": range(4), "regressor": range(2)}
    table = tables.by_angle(planted, rng(7), reference, resamples)
    chance, target = rng(7), getattr(planted, reference)
    patients = {
        site: chance.integers(len(target[site]), size=(resamples, len(target[site]))) for site in SITES
    }
    luck = chance.random((resamples, 4))

    def mae(row, chosen_seeds, chosen):
        """Draw films and seeds, then take means in the plainest way."""
        over_seeds = []
        for seed in chosen_seeds:
            over_sites = []
            for site in SITES:
                errors = [
                    np.abs(said[site] - target[site])[chosen[site]]
                    for job, said in planted.said.items()
                    if (job.network, job.arm, job.seed, job.without) == (row.network, row.arm, seed, "")
                    and tables.kind_of_test(job, site) == row.test
                ]
                over_sites += [np.mean(errors, axis=(0, 1))] if errors else []
            over_seeds.append(np.mean(over_sites, axis=0))
        by_angle = np.mean(over_seeds, axis=0)
        return {**dict(zip(ROWS, by_angle)), "pooled": by_angle.mean()}[row.angle]

    for row in table[table.angle.isin(["PI", "pooled"])].itertuples():
        there = seeds[row.network]
        expected = mae(row, there, {site: slice(None) for site in SITES})
        resampled = [
            mae(
                row,
                (luck[r, : len(there) - 1] * len(there)).astype(int),
                {site: patients[site][r] for site in SITES},
            )
            for r in range(resamples)
        ]
        assert row.mae == pytest.approx(expected)
        assert (row.low, row.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])))


def test_models_of_other_tables_do_not_enter_the_main_one(planted):
    main = {job: said for job, said in planted.said.items() if not job.without}
    alone = replace(planted, said=main)
    assert len(main) < len(planted.said)
    assert_frame_equal(overview(planted, rng(), resamples=20), overview(alone, rng(), resamples=20))
    odd = invent(
        [*main_jobs(), Job("landmarks", "local", 0, "aspen", films=15)], lambda job, _: 9 + job.films
    )
    assert overview(odd, rng(), resamples=20).mae.max() == pytest.approx(9)


def test_the_order_of_models_and_hospitals_changes_nothing(planted):
    for table in (overview, tables.left_out, tables.coverage, tables.declining, tables.yardsticks):
        assert_frame_equal(table(planted, rng(), resamples=25), table(shuffled(planted), rng(), resamples=25))
    assert_frame_equal(tables.gains(planted), tables.gains(shuffled(planted)))
    key = ["network", "arm", "seed", "site", "without", "tested_on", "reference", "angle"]
    some = replace(planted, said=dict(list(planted.said.items())[:3]))
    one, other = (
        tables.results(outcome, rng(), 10).sort_values(key).reset_index(drop=True)
        for outcome in (some, shuffled(some))
    )
    assert_frame_equal(one, other)


def test_luck_in_training_widens_the_interval():
    jobs = list(main_jobs())
    plain, lucky = (overview(invent(jobs, with_luck(by_arm, sd)), rng(), resamples=400) for sd in (0.0, 2.0))
    width = [(table.high - table.low).to_numpy() for table in (plain, lucky)]
    federated = plain.arm == "federated"
    assert (width[1][federated] > 1.5 * width[0][federated]).all()


def test_one_seed_leaves_the_luck_of_patients():
    one = invent(main_jobs([5]), by_arm, hard=0.0)
    table = overview(one, rng(), resamples=50)
    np.testing.assert_allclose(table.low, table.high)


# ---------------------------------------------------------------- how far from the end


def test_endings_are_those_of_the_histories():
    one, two, odd = (Job("landmarks", "local", seed, "cedar") for seed in (0, 1, 2))
    odd = replace(odd, films=15)
    zero = {"cedar": np.zeros((1, 4))}
    outcome = Outcome({job: zero for job in (one, two, odd)}, {}, {}, zero, zero)
    histories = {
        one: [(25, 1.0, 9.0), (75, 1.0, 5.0), (100, 1.0, 4.0)],  # fell by 1 at the end
        two: [(25, 1.0, 3.0), (60, 1.0, 4.0), (80, 1.0, 4.0)],  # ran out of patience: it had its best at 25
        odd: [(100, 1.0, 0.0)],
    }
    jobs = {job.name: {"history": history} for job, history in histories.items()}
    table = tables.endings(outcome, {"jobs": jobs, "size": {"plan": {"steps": 100}}})
    assert table.to_dict("records") == [
        {"network": "landmarks", "arm": "local", "late_gain": 0.5, "steps": 90, "early": 0.5}
    ]


# ---------------------------------------------------------------- differences


def test_what_two_arms_share_cancels():
    outcome = invent(main_jobs(), by_arm, hard=3.0)
    found = tables.difference(
        outcome, "landmarks", ("federated", "internal"), ("centralized", "internal"), rng(), resamples=100
    )
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    single = tables.error(outcome, "landmarks", ("federated", "internal"), rng(), resamples=100)
    assert single.high - single.low > 0.3 and single.value == pytest.approx(9.5)


def test_no_difference_is_equivalent_and_is_not_better():
    outcome = invent(main_jobs(), lambda job, site: 9.0)
    same = tables.difference(
        outcome, "landmarks", ("federated", "internal"), ("centralized", "internal"), rng(), resamples=99
    )
    assert same.value == pytest.approx(0)
    assert equivalence_p(same.samples.round(9), -0.5, 0.5) == 0.01  # 1 / (99 + 1), never 0
    assert one_sided_p(same.samples.round(9)) == 1


def matrix(job, site):
    """An error that tells model, hospital and seed: no two cells are alike."""
    return (
        20 + job.seed + 2.0 ** SITES.index(site) / 8 + (PARTICIPANTS.index(job.site) if job.site else 0) ** 2
    )


@pytest.mark.parametrize(
    "a, b, expected",
    [
        # local on its own films minus federated there: sites 0, 1, 4, 9 by model
        (("local", "internal"), ("federated", "internal"), np.mean([0, 1, 4, 9])),
        # on hospital k the mean of the other three: (14 - k ** 2) / 3
        (("local", "participant"), ("federated", "internal"), np.mean([14, 13, 10, 5]) / 3),
        (("local", "outsider"), ("federated", "outsider"), np.mean([0, 1, 4, 9])),
        # only seeds 0 and 1 and hospitals aspen and dogwood were left out
        (("local", "participant"), ("federated", "left out"), np.mean([14, 5]) / 3),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_readings_meet_on_the_same_films_and_seeds(a, b, expected):
    some = [job for job in without_jobs() if job.without in ("aspen", "dogwood")]
    outcome = invent([*main_jobs(), *some], matrix)
    found = tables.difference(outcome, "landmarks", a, b, rng(), resamples=50)
    assert found.value == pytest.approx(expected)
    assert tables.difference(outcome, "landmarks", b, a, rng(), resamples=50).value == pytest.approx(
        -expected
    )


def test_a_difference_is_that_of_one_angle_or_of_all(planted):
    a, b = ("local", "outsider"), ("federated", "outsider")
    table = tables.by_angle(planted, rng(), "truth", 9).set_index(["network", "arm", "test", "angle"]).mae
    for angle in ROWS:
        found = tables.difference(planted, "regressor", a, b, rng(), "truth", angle, resamples=9)
        expected = table[("regressor", *a, angle)] - table[("regressor", *b, angle)]
        assert found.value == pytest.approx(expected)


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda o: tables.error(o, "landmarks", ("federated", "participant"), rng()), "reading"),
        (lambda o: tables.error(o, "resnet", ("federated", "internal"), rng()), "reading"),
        (lambda o: tables.error(o, "landmarks", ("local", "internal"), rng(), angle="TK"), "angle"),
        (lambda o: overview(o, rng(), "both"), "reference"),
        (lambda o: overview(o, rng(), resamples=0), "resamples"),
        (
            lambda o: tables.difference(
                o, "landmarks", ("local", "internal"), ("federated", "outsider"), rng()
            ),
            "b",
        ),
    ],
    ids=["reading", "network", "angle", "reference", "resamples", "no common films"],
)
def test_what_was_not_run_cannot_be_scored(planted, call, field):
    with pytest.raises(InputError) as caught:
        call(planted)
    assert caught.value.field == field


LOCAL, EMPTY = ("local", "internal"), Outcome({}, {}, {}, {}, {})


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda o: overview(o, 0), "rng"),
        (lambda o: overview(o, None), "rng"),
        (lambda o: overview(o, rng(), resamples=True), "resamples"),
        (lambda o: overview(o, rng(), resamples=2.5), "resamples"),
        (lambda o: overview(o, rng(), ["rated"]), "reference"),
        (lambda o: overview(o, rng(), tests="internal"), "tests"),
        (lambda o: overview(o, rng(), tests=["outside"]), "tests"),
        (lambda o: overview(o, rng(), tests=()), "tests"),
        (lambda o: overview(o, rng(), tests=3), "tests"),
        (lambda o: overview(EMPTY, rng()), "outcome.said"),
        (lambda o: overview(None, rng()), "outcome"),
        (lambda o: tables.results(o, 0), "rng"),
        (lambda o: tables.results(o, rng(), 0), "resamples"),
        (lambda o: tables.results(EMPTY, rng()), "outcome.said"),
        (lambda o: tables.curve(o, rng(), "both"), "reference"),
        (lambda o: tables.coverage(o, rng(), "both"), "reference"),
        (lambda o: tables.declining(o, rng(), "both"), "reference"),
        (lambda o: tables.declining(o, rng(), answered=[1.0, 0.0]), "answered"),
        (lambda o: tables.declining(o, rng(), answered=[1.1]), "answered[0]"),
        (lambda o: tables.declining(o, rng(), answered=()), "answered"),
        (lambda o: tables.declining(o, rng(), answered=0.5), "answered"),
        (lambda o: tables.yardsticks(o, 0), "rng"),
        (lambda o: tables.identity(EMPTY), "outcome.said"),
        (lambda o: tables.gains(o, "both"), "reference"),
        (lambda o: tables.gains(EMPTY), "outcome.said"),
        (lambda o: tables.gain_per_doubling(o, "resnet", rng()), "reading"),
        (lambda o: tables.error(o, ["landmarks"], LOCAL, rng()), "reading"),
        (lambda o: tables.error(o, "landmarks", "local, internal", rng()), "reading"),
        (lambda o: tables.error(o, "landmarks", ("local",), rng()), "reading"),
        (lambda o: tables.error(o, "landmarks", LOCAL, rng(), angle=["SS"]), "angle"),
        (lambda o: tables.kind_of_test("landmarks-federated-seed0", "elm"), "job"),
        (lambda o: tables.kind_of_test(Job("landmarks", "federated", 0), "oak"), "hospital"),
        (lambda o: tables.endings(o, {}), "run.size"),
        (lambda o: tables.endings(o, {"size": {"plan": {"steps": "many"}}}), "run.size.plan.steps"),
        (lambda o: tables.endings(o, {"size": {"plan": {"steps": 9}}, "jobs": {}}), "run.jobs.{job}"),
        (lambda o: tables.endings(o, ran_in(o, [])), "run.jobs.{job}.history"),
        (lambda o: tables.endings(o, ran_in(o, [[1, 2, "a"]])), "run.jobs.{job}.history"),
    ],
)
def test_what_no_table_can_be_made_of_is_refused(planted, call, field):
    with pytest.raises(InputError) as caught:
        call(planted)
    assert caught.value.field == field.format(job=next(iter(planted.said)).name)


def ran_in(outcome, history):
    """What a run says whose models all have the same history."""
    jobs = {job.name: {"history": history} for job in outcome.said}
    return {"jobs": jobs, "size": {"plan": {"steps": 100}}}


# ---------------------------------------------------------------- gains


def small_gains(job, site):
    """A gain that falls by 0.75 degrees per doubling, in hospitals that differ."""
    if job.arm != "local":
        return 20.0
    owner = [3.0, -2.0, 0.5, 1.0][PARTICIPANTS.index(job.site)]
    return 30.0 + owner - 0.75 * np.log2(films_of(job))


def test_gains_are_listed_by_hospital_and_seed():
    table = tables.gains(invent(main_jobs(), small_gains))
    assert len(table) == 16 and not table.duplicated(["seed", "hospital"]).any()
    row = table.query("seed == 1 and hospital == 'dogwood'").iloc[0]
    assert row.films == 1070  # the smallest of seed 0 is the largest of seed 1
    assert (row.local, row.federated) == pytest.approx((31 - 0.75 * np.log2(1070), 20))
    np.testing.assert_allclose(table.gain.astype(float), (table.local - table.federated).astype(float))


def test_a_full_rotation_frees_the_slope_from_the_hospitals():
    full, half = (
        tables.gain_per_doubling(invent(main_jobs(seeds), small_gains), "landmarks", rng(), resamples=400)
        for seeds in (range(8), range(1))
    )
    assert full.value == pytest.approx(-0.75)
    assert full.low < -0.75 < full.high < 0
    assert abs(half.value + 0.75) > 0.1  # in one seed being small and being that hospital are one thing
    assert one_sided_p(-full.samples) == 1 / 401 and one_sided_p(full.samples) == 1


def test_the_slope_against_polyfit():
    outcome = invent(main_jobs([2]), with_luck(small_gains, 1.0))
    table = tables.gains(outcome)
    expected = np.polyfit(np.log2(table.films), table.gain, 1)[0]
    found = tables.gain_per_doubling(outcome, "landmarks", rng(), resamples=5)
    assert found.value == pytest.approx(expected)


def test_a_slope_needs_two_sizes():
    outcome = invent(main_jobs([0]), by_arm)
    alike = replace(outcome, films=dict.fromkeys(outcome.films, 100))
    with pytest.raises(InputError, match="films: got .*100, 100.*allowed: hospitals of at least two sizes"):
        tables.gain_per_doubling(alike, "landmarks", rng())


# ---------------------------------------------------------------- other tables


def test_the_curve_ends_with_all_films_of_its_hospitals():
    points = [Job("landmarks", "local", 0, site, films=n) for site in ("aspen", "cedar") for n in (15, 60)]
    outcome = invent([*main_jobs([0]), *points], lambda job, site: 30 - np.log2(films_of(job)))
    table = tables.curve(outcome, rng(), resamples=50)
    assert list(table[table.test == "internal"].films) == [15, 60, 265, 1070]  # not birch, not dogwood
    assert list(table[table.test == "internal"].models) == [2, 2, 1, 1]
    np.testing.assert_allclose(table.mae, 30 - np.log2(table.films))
    assert set(table.test) == {"internal", "participant", "outsider"}
    assert tables.curve(invent(main_jobs([0]), by_arm), rng(), resamples=5).empty


def test_hospitals_left_out_have_a_table_of_their_own(planted):
    table = tables.left_out(planted, rng(), resamples=20)
    assert list(zip(table.network, table.arm, table.test, table.models)) == [
        ("landmarks", "federated", "left out", 8)
    ]
    errors = [
        np.abs(planted.said[job][job.without] - planted.rated[job.without]).mean() for job in without_jobs()
    ]
    assert table.mae[0] == pytest.approx(np.mean(errors))


def gaussian(sd=4.0, films=400):
    """An outcome with normal errors, half-widths that are right for them, and one outsider twice as hard."""
    outcome, chance = invent(main_jobs([0, 1]), by_arm, films), rng(3)
    said, within = {}, {}
    for job in outcome.said:
        spread = {site: chance.uniform(0.5, 2, (len(outcome.rated[site]), 4)) * sd for site in SITES}
        harder = {site: 2 if site in OUTSIDERS else 1 for site in SITES}
        said[job] = {
            site: outcome.rated[site] + chance.normal(0, spread[site]) * harder[site] for site in SITES
        }
        within[job] = {site: spread[site][..., None] * Z for site in SITES}
    return replace(outcome, said=said, within=within)


@pytest.fixture(scope="module")
def calibrated():
    return gaussian()


def test_coverage_of_a_calibrated_model(calibrated):
    table = tables.coverage(calibrated, rng(), resamples=300)
    assert len(table) == len(MAIN) * 5 * 2
    inside = table[table.test != "outsider"]
    assert (np.abs(inside.share - inside.level) < 0.03).all()
    assert (inside.low < inside.share).all() and (inside.share < inside.high).all()
    pooled = inside[inside.angle == "pooled"]
    assert ((pooled.low < pooled.level) & (pooled.level < pooled.high)).mean() >= 0.7
    outside = table[(table.test == "outsider") & (table.level == 0.95)]
    assert (outside.high < 0.8).all()  # 1.96 / 2 standard deviations hold 67 %


def test_coverage_at_its_ends(calibrated):
    for half, share in ((0.0, 0.0), (np.inf, 1.0)):
        within = {
            job: {site: np.full_like(w, half) for site, w in of.items()}
            for job, of in calibrated.within.items()
        }
        table = tables.coverage(replace(calibrated, within=within), rng(), resamples=5)
        np.testing.assert_allclose(table[["share", "low", "high"]], share, atol=1e-9)


def test_declining_unsure_films_lowers_the_error(calibrated):
    table = tables.declining(calibrated, rng(), resamples=100)
    main = overview(calibrated, rng(), resamples=100)
    everything = table[table.answered == 1].reset_index(drop=True)
    assert_frame_equal(everything.drop(columns="answered"), main.drop(columns="models"))
    for _, rows in table.groupby(["arm", "test"]):
        assert rows.answered.is_monotonic_decreasing and rows.mae.iloc[-1] < 0.95 * rows.mae.iloc[0]


def test_declining_against_an_explicit_loop(calibrated):
    job, table = Job("landmarks", "local", 1, "cedar"), []
    wide = {  # LL with intervals ten times as wide as the others: relative widths know no unit
        site: width * np.array([1, 1, 1, 10])[:, None] for site, width in calibrated.within[job].items()
    }
    for within in (calibrated.within[job], wide):
        alone = Outcome(
            {job: calibrated.said[job]}, {job: within}, {job: 1}, calibrated.rated, calibrated.truth
        )
        table.append(tables.declining(alone, rng(), answered=(0.25,), resamples=5))
    assert_frame_equal(*table)
    median = np.median(calibrated.within[job]["cedar"][..., 1], axis=0)
    for row, sites in zip(table[0].itertuples(), (["cedar"], ["aspen", "birch", "dogwood"], OUTSIDERS)):
        errors = []
        for site in sites:
            unsure = (calibrated.within[job][site][..., 1] / median).max(1)
            surest = sorted(range(len(unsure)), key=lambda film: unsure[film])[: round(0.25 * len(unsure))]
            errors.append(np.abs(calibrated.said[job][site] - calibrated.rated[site])[surest].mean())
        assert row.mae == pytest.approx(np.mean(errors))


def test_identity_is_kept_or_broken():
    outcome = invent([*main_jobs([0]), *main_jobs([0], "regressor")], by_arm)
    for job, by_site in outcome.said.items():
        for said in by_site.values():
            said[:, 2] = (
                said[:, 0] + said[:, 1] + (job.network == "regressor") * np.linspace(-10, 10, len(said))
            )
    table = tables.identity(outcome).set_index("network")
    np.testing.assert_allclose(table.loc["landmarks", ["median", "p90"]], 0, atol=1e-9)
    np.testing.assert_allclose(table.loc["regressor", "median"], 5, atol=0.3)
    np.testing.assert_allclose(table.loc["regressor", "p90"], 9, atol=0.3)


def test_yardsticks(planted):
    table = (
        tables.yardsticks(planted, rng(), resamples=200).set_index(["reader", "test", "angle"]).sort_index()
    )
    for test, sites in (("internal", PARTICIPANTS), ("outsider", OUTSIDERS)):
        rater = [np.abs(planted.rated[site] - planted.truth[site]).mean() for site in sites]
        assert table.mae["rater", test, "pooled"] == pytest.approx(np.mean(rater))
        for other in (np.mean, lambda angles, axis: np.quantile(angles, 0.4, axis=axis)):
            errors = [np.abs(planted.rated[s] - other(planted.rated[s], axis=0)).mean(0) for s in sites]
            assert (table.mae["best constant", test][list(ROWS[:4])] <= np.mean(errors, axis=0)).all()
    assert ((table.low < table.mae) & (table.mae < table.high)).all()


def test_results_have_a_row_for_everything(planted):
    table = tables.results(planted, rng(), 5)
    assert len(table) == len(planted.said) * 6 * 2 * 5
    row = table.query(
        "network == 'landmarks' and site == 'birch' and seed == 1 and tested_on == 'aspen'"
        " and reference == 'truth' and angle == 'LL'"
    ).iloc[0]
    errors = planted.said[Job("landmarks", "local", 1, "birch")]["aspen"] - planted.truth["aspen"]
    assert row.mae == pytest.approx(np.abs(errors[:, 3]).mean())
    assert row.bias == pytest.approx(errors[:, 3].mean())
    assert (row.test, row.n, row.films) == ("participant", 24, 0) and row.mae_low < row.mae < row.mae_high
    assert set(table[table.without == table.tested_on].test) == {"left out"}
    expected = evaluation.summary(
        planted.said[Job("landmarks", "local", 1, "birch")]["aspen"],
        planted.truth["aspen"],
        rng(),
        reference="truth",
    )
    assert list(table.columns[-len(expected.columns) :]) == list(expected.columns)


def test_results_draw_the_same_patients_for_every_model(planted):
    one = next(iter(planted.said))
    twin = replace(one, seed=99)
    outcome = replace(planted, said={one: planted.said[one], twin: planted.said[one]})
    table = tables.results(outcome, rng(), 20).drop(columns="seed")
    half = len(table) // 2
    assert_frame_equal(table[:half], table[half:].reset_index(drop=True))


def test_nothing_draws_from_a_shared_generator(planted, untouched):
    overview(planted, rng(), resamples=5)
    assert isinstance(tables.yardsticks(planted, rng(), resamples=5), pd.DataFrame)
