"""Drawn patients against the numbers that were published about real ones.

A tolerance here is a number of standard errors, worked out from theory for the number of
patients behind each side: drawn ones (`N`) and, where the published number is itself a
sample, real ones.
"""

import copy
from importlib.resources import files

import numpy as np
import pytest
from faults import ABSENT, planted
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbo import rows, store
from lumbo.errors import InputError
from lumbo.films import populations
from lumbo.films.populations import (
    ANGLES,
    bounded,
    check_statistics,
    cohort,
    cohort_names,
    draw,
    quantile,
    rank,
)

SS, PT, PI, LL = range(4)
N = 40_000
K = 4.5  # standard errors; beyond them lie 7 in a million draws
PUBLISHED = store.read_toml(files("data_synth").joinpath("published.toml"))
TABLE = populations.statistics()


def rng(seed=0):
    return np.random.default_rng(seed)


def same(one, other, names=None):
    for name in names or vars(one):
        np.testing.assert_array_equal(vars(one)[name], vars(other)[name], err_msg=name)


@pytest.fixture(scope="module")
def drawn():
    """Many patients of every cohort."""
    return {name: draw(name, N, rng(seed)) for seed, name in enumerate(cohort_names(), 1)}


def assert_mean(values, mean, sd, n=N, real=np.inf):
    """The mean of n values has variance sd²/n; that of a published mean is sd²/real."""
    assert abs(values.mean() - mean) < K * sd * np.sqrt(1 / n + 1 / real)


def assert_sd(values, sd, n=N, real=np.inf):
    """Var(s) = s² (kurtosis - 1) / 4n; cut normals have kurtosis below 3, so s² / 2n bounds it."""
    assert abs(values.std() / sd - 1) < K * np.sqrt(0.5 / n + 0.5 / real)


def assert_r(x, y, r, n=N, real=np.inf):
    """By Fisher, atanh of a correlation varies by 1/sqrt(n - 3)."""
    miss = np.arctanh(np.corrcoef(x, y)[0, 1]) - np.arctanh(r)
    assert abs(miss) < K * np.sqrt(1 / (n - 3) + 1 / (real - 3))


# ---------------------------------------------------------------- bounded parts


@st.composite
def possible_specs(draw_one):
    """Any mean, SD and limits that the checks let through."""
    low, below, above = (draw_one(st.floats(a, b)) for a, b in ((-50, 50), (0.5, 40), (0.5, 40)))
    mean, high = low + below, low + below + above
    narrow, wide = populations.spreads(mean, low, high)
    return mean, draw_one(st.floats(narrow, max(narrow, wide))), low, high


@settings(deadline=None, max_examples=100)
@given(possible_specs())
def test_a_bounded_part_has_its_mean_and_sd_after_cutting(spec):
    """By adding up the law that is drawn from: cells of equal width, level within."""
    mean, sd, low, high = spec
    edges, cdf = bounded(*spec)
    middle, weight = (edges[1:] + edges[:-1]) / 2, np.diff(cdf)
    assert (edges[0], edges[-1]) == (low, high) and abs(cdf[-1] - 1) < 1e-9 and (weight >= 0).all()
    found = weight @ middle
    spread = np.sqrt(weight @ (middle - found) ** 2 + (edges[1] - edges[0]) ** 2 / 12)
    np.testing.assert_allclose([found, spread], [mean, sd], rtol=0, atol=1e-8 * (high - low))


@pytest.mark.parametrize("spec", [(0.0, 1.0, -2.5, 2.5), (53.0, 10.5, 25.0, 90.0), (26.8, 9.5, 10.0, 70.0)])
def test_a_bounded_part_is_a_normal_of_which_the_outsiders_are_drawn_again(spec):
    """Another route to the same law: read the parent from the log density, draw, drop what lies outside."""
    mean, sd, low, high = spec
    edges, cdf = bounded(*spec)
    middle = (edges[1:] + edges[:-1]) / 2
    curvature, slope, _ = np.polyfit(middle - mean, np.log(np.diff(cdf)), 2)
    assert curvature < 0
    parent_sd = np.sqrt(-0.5 / curvature)
    values = rng(1).normal(mean + slope * parent_sd**2, parent_sd, 400_000)
    values = values[(values > low) & (values < high)]
    assert_mean(values, mean, sd, len(values))
    assert_sd(values, sd, len(values))
    p = np.arange(0.05, 1, 0.05)
    miss = rank(bounded(*spec), np.quantile(values, p)) - p
    assert (abs(miss) < K * np.sqrt(p * (1 - p) / len(values))).all()


def test_quantile_and_rank_undo_each_other():
    law, u = bounded(53.0, 10.5, 25.0, 90.0), np.linspace(0, 1, 101)
    np.testing.assert_allclose(rank(law, quantile(law, u)), u, rtol=0, atol=1e-9)
    assert quantile(law, np.array([0.0, 1.0])).tolist() == [25.0, 90.0]
    assert rank(law, np.array([-1e9, 1e9])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("sd", [40.0, 0.1, 0.0, -1.0, float("nan")])
def test_an_sd_that_no_law_can_have_is_refused(sd):
    with pytest.raises(InputError, match="sd: got"):
        bounded(50.0, sd, 20.0, 80.0)


# ---------------------------------------------------------------- angles


@pytest.mark.parametrize("name", cohort_names())
def test_angles_have_the_means_spreads_and_correlations_of_the_source(drawn, name):
    ss, pt, pi, ll = drawn[name].angles_deg.T
    spec = TABLE[name]
    for values, key in ((pi, "pi"), (pt, "pt"), (ll, "ll")):
        assert_mean(values, spec[key]["mean"], spec[key]["sd"])
        assert_sd(values, spec[key]["sd"])
    assert_r(pi, pt, spec["pt"]["r_pi"])
    assert_r(pi, ll, spec["ll"]["r_pi"])
    assert_r(pt, ll, spec["ll"]["r_pt"])
    np.testing.assert_allclose(pi, pt + ss, rtol=0, atol=1e-12)


def test_no_draw_is_lost_and_the_law_is_exact():
    """No sampling at all: mean and SD of PI over a fine grid of ranks."""
    for name in cohort_names():
        u = (np.arange(1_000_000) + 0.5) / 1_000_000
        spec = cohort(name).pi
        values = quantile(bounded(spec["mean"], spec["sd"], spec["low"], spec["high"]), u)
        np.testing.assert_allclose([values.mean(), values.std()], [spec["mean"], spec["sd"]], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "mean", "sd", "n"),
    [("healthy_adults", 39.5, 7.8, 709), ("adolescent_scoliosis", 38.6, 9.05, 1054),
     ("degenerative", 30.24, 7.56, 60), ("spondylolisthesis", 50.29, 10.90, 149)],
)  # fmt: skip
def test_the_sacral_slope_that_nobody_put_in_comes_out(drawn, name, mean, sd, n):
    assert_mean(drawn[name].angles_deg[:, SS], mean, sd, real=n)
    assert_sd(drawn[name].angles_deg[:, SS], sd, real=n)


def test_adolescents_have_the_published_mismatch(drawn):
    """PI - LL of 1,054 adolescents: -1.9 +- 12.3, pooled."""
    angles = drawn["adolescent_scoliosis"].angles_deg
    mismatch = angles[:, PI] - angles[:, LL]
    assert_mean(mismatch, -1.9, 12.3, real=1054)
    assert_sd(mismatch, 12.3, real=1054)


@pytest.mark.parametrize("name", cohort_names())
def test_every_patient_is_anatomically_possible(drawn, name):
    angles, spec = drawn[name].angles_deg, TABLE[name]["pi"]
    for column, (low, high) in {SS: (-20, 89), PT: (-40, 65), LL: (-60, 130)}.items():
        assert low < angles[:, column].min() and angles[:, column].max() < high
    assert spec["low"] <= angles[:, PI].min() and angles[:, PI].max() <= spec["high"]


def test_only_deformity_makes_a_lumbar_spine_kyphotic(drawn):
    kyphotic = {name: (patients.angles_deg[:, LL] < 0).any() for name, patients in drawn.items()}
    assert kyphotic.pop("adult_deformity") and not any(kyphotic.values())


# ---------------------------------------------------------------- real patients


@pytest.mark.parametrize("group", PUBLISHED["uci"])
def test_the_joint_law_of_the_pelvis_against_310_real_patients(drawn, group):
    real = PUBLISHED["uci"][group]
    angles = drawn[real["cohort"]].angles_deg
    for name in ("SS", "PT", "PI"):
        values = angles[:, ANGLES.index(name)]
        assert_mean(values, real["mean"][name], real["sd"][name], real=real["n"])
        assert_sd(values, real["sd"][name], real=real["n"])
    for (one, other), r in zip(((PI, PT), (PI, SS), (PT, SS)), real["r"]):
        assert_r(angles[:, one], angles[:, other], r, real=real["n"])


@pytest.mark.parametrize("group", PUBLISHED["uci"])
def test_the_deciles_of_the_pelvis_against_310_real_patients(drawn, group):
    """A decile of n patients varies by sqrt(p (1 - p) / n) over the density there; of 27, none strays by 4."""
    real, p = PUBLISHED["uci"][group], np.arange(0.1, 0.95, 0.1)
    for name in ("SS", "PT", "PI"):
        values = drawn[real["cohort"]].angles_deg[:, ANGLES.index(name)]
        density = 0.04 / (np.quantile(values, p + 0.02) - np.quantile(values, p - 0.02))
        error = np.sqrt(p * (1 - p) / real["n"]) / density
        assert (abs(np.array(real["deciles"][name]) - np.quantile(values, p)) < 4 * error).all()


def test_the_marks_say_which_cohorts_were_built_from_these_patients():
    for group in PUBLISHED["uci"].values():
        assert ("24432/C5K89B" in TABLE[group["cohort"]]["pi"]["source"]) == group["built"]


def test_the_published_groups_differ_from_each_other_and_ours_lie_among_them(drawn):
    """Two SDs of what lies between groups (taken from the healthy ones) and of sampling."""
    others, two_sds = PUBLISHED["others"], {}
    for angle, ours in (("SS", 39.5), ("PT", 13.5), ("PI", 53.0), ("LL", 52.1)):
        found = [o["mean"][angle] for o in others if o["cohort"] == "healthy_adults" and angle in o["mean"]]
        two_sds[angle] = 2 * np.std([ours, *found], ddof=1)
    for other in others:
        angles = drawn[other["cohort"]].angles_deg
        for angle, mean in other["mean"].items():
            values = angles[:, ANGLES.index(angle)]
            sampling = 2 * values.std() / np.sqrt(other["n"]) if other["n"] else 0.0
            fits = abs(values.mean() - mean) < np.hypot(two_sds[angle], sampling)
            assert fits != (angle in other.get("misfit", [])), (other["source"], angle)


@pytest.mark.parametrize("row", PUBLISHED["conditional"], ids=lambda row: f"{row['cohort']}-{row['low']:.0f}")
def test_patients_of_one_pi_have_the_published_posture(drawn, row):
    """Nobody put these in; they follow from the regressions.  Within two degrees, a measurement error."""
    angles = drawn[row["cohort"]].angles_deg
    angles = angles[(angles[:, PI] >= row["low"]) & (angles[:, PI] < row["high"])]
    for angle, mean in row["mean"].items():
        assert abs(angles[:, ANGLES.index(angle)].mean() - mean) < 2.0


# ---------------------------------------------------------------- segments


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(20, 107), st.floats(-60, 130)), min_size=1, max_size=20),
    st.integers(0, 99), st.sampled_from(cohort_names()),
)  # fmt: skip
def test_segments_sum_to_ll(patients, seed, name):
    pi, ll = np.array(patients).T
    parts = populations.segment_lordosis(pi, ll, rng(seed), name)
    np.testing.assert_allclose(parts.sum(1), ll, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("pi", "row"), [(38.0, 0), (50.0, 1), (63.0, 2)])
def test_segments_of_a_pi_class_have_the_published_means_and_spreads(pi, row):
    """With LL drawn as the sum of the published segments, each must come back as published."""
    mean, sd = (np.array(TABLE["segments"][key][row]) for key in ("mean", "sd"))
    ll = rng(11).normal(mean.sum(), np.sqrt((sd**2).sum()), N)
    parts = populations.segment_lordosis(np.full(N, pi), ll, rng(12))
    for k in range(5):
        assert_mean(parts[:, k], mean[k], sd[k])
        assert_sd(parts[:, k], sd[k])
        assert_r(parts[:, k], parts[:, k - 1], 0.0)


def test_segments_of_healthy_adults_by_pi_class(drawn):
    """The table again, now with LL from the cohort: a third of the 324 people stand behind each column."""
    patients, table = drawn["healthy_adults"], TABLE["segments"]
    row = np.searchsorted(table["pi_classes"], patients.angles_deg[:, PI])
    for k in range(3):
        parts = patients.segments_deg[row == k]
        for values, mean, sd in zip(parts.T, table["mean"][k], table["sd"][k]):
            assert_mean(values, mean, sd, len(parts), real=324 / 3)
            assert_sd(values, sd, len(parts), real=324 / 3)


def test_the_lower_arc_of_other_volunteers(drawn):
    real = PUBLISHED["lower_arc"]
    lower = drawn[real["cohort"]].segments_deg[:, :2].sum(1)
    assert_mean(lower, real["mean"], real["sd"], real=real["n"])
    assert_sd(lower, real["sd"], real=real["n"])


def test_deformity_keeps_its_lordosis_low(drawn):
    """33 +- 15 in L4-S1 and 1.7 +- 17 in L1-L4, n = 433; means, for LL is narrower than its parts allow."""
    segments = drawn["adult_deformity"].segments_deg
    assert_mean(segments[:, :2].sum(1), 33.0, 15.0, real=433)
    assert_mean(segments[:, 2:].sum(1), 1.7, 17.0, real=433)


def test_a_surplus_is_shared_by_variance():
    """The conditional normal: slope of each segment on LL is its share of the variance."""
    sd = np.array(TABLE["segments"]["sd"][1])
    pi = np.array([50.0])
    low, high = (populations.segment_lordosis(pi, np.array([ll]), rng(13)) for ll in (40.0, 70.0))
    np.testing.assert_allclose((high - low)[0] / 30, sd**2 / (sd**2).sum(), rtol=1e-12)


# ---------------------------------------------------------------- sizes and switches


def test_body_spacing_is_that_of_the_cts(drawn):
    """Mean, SD and all correlations of 1,882 CTs (as if from as many people: some came twice)."""
    real, pitch = PUBLISHED["spacing"], drawn["healthy_adults"].pitch_mm[:, 1:]
    for j in range(4):
        assert_mean(pitch[:, j], real["mean"][j], real["sd"][j], real=real["n"])
        assert_sd(pitch[:, j], real["sd"][j], real=real["n"])
        for k in range(j):
            assert_r(pitch[:, j], pitch[:, k], real["r"][j][k], real=real["n"])


@pytest.mark.parametrize("name", populations.SIZES)
def test_sizes_have_their_mean_and_spread_inside_their_limits(drawn, name):
    spec, values = TABLE["sizes"][name], drawn["degenerative"].size(name)  # all of them grown up
    assert_mean(values, spec["mean"], spec["sd"])
    assert_sd(values, spec["sd"])
    assert spec["low"] <= values.min() and values.max() <= spec["high"]


@pytest.mark.parametrize("name", cohort_names())
def test_ages_have_their_mean_and_spread_inside_their_limits(drawn, name):
    spec, age = TABLE[name]["age"], drawn[name].age_years
    assert_mean(age, spec["mean"], spec["sd"])
    assert_sd(age, spec["sd"])
    assert spec["low"] <= age.min() and age.max() <= spec["high"]


def test_growth_is_that_of_the_chart():
    """Median heights of boys and girls over those at 20 years, both from the CDC charts of 2000, in cm."""
    charts = {10: (138.6, 138.2), 12: (149.1, 151.5), 14: (163.9, 160.4), 16: (173.4, 162.5)}
    grown = 176.8 + 163.3
    for age, heights in charts.items():
        assert populations.growth(age) == pytest.approx(sum(heights) / grown, abs=0.02)
    assert populations.growth(np.array([18.0, 40.0, 90.0])).tolist() == [1, 1, 1]
    assert (np.diff(populations.growth(np.arange(2.0, 19.0))) > 0).all()


def test_a_child_is_an_adult_in_proportion(monkeypatch):
    """The same random numbers give an adult where nobody is smaller: every length times the growth, no share."""
    children = draw("adolescent_scoliosis", 500, rng(4))
    times = populations.growth(children.age_years)
    monkeypatch.setattr(populations, "growth", lambda age: np.ones_like(age))
    adults = draw("adolescent_scoliosis", 500, rng(4))
    same(children, adults, set(vars(children)) - {"sizes_mm", "pitch_mm"})
    assert 0.8 < times.min() < 0.9 < times.max() <= 1
    np.testing.assert_allclose(children.pitch_mm, adults.pitch_mm * times[:, None])
    for name in populations.SIZES:
        scale = 1 if name.endswith("_share") else times
        np.testing.assert_allclose(children.size(name), adults.size(name) * scale, err_msg=name)


def columns(patients, switch):
    """A switch as it was rated: one column each."""
    if switch == "curve":
        return np.stack([np.maximum(patients.curve_deg, 0), np.maximum(-patients.curve_deg, 0)], -1)
    if switch == "transitional":
        return np.stack([patients.transitional == -1, patients.transitional == 1], -1)
    field = {"spurs": "spurs_mm", "dome": "dome_mm"}.get(switch, switch)
    return vars(patients)[field].reshape(len(patients), -1)


@pytest.mark.parametrize("switch", populations.SWITCHES)
@pytest.mark.parametrize("name", cohort_names())
def test_switches_strike_at_their_rates_and_in_their_sizes(drawn, name, switch):
    """A count of n p varies by sqrt(n p (1 - p)); one more patient where that is nothing."""
    spec, found = TABLE[name]["switches"][switch], columns(drawn[name], switch)
    rate = np.array(spec["rate"])
    assert (abs((found > 0).sum(0) - N * rate) <= K * np.sqrt(N * rate * (1 - rate))).all()
    amounts = found[found > 0].astype(float)
    if "mean" in spec and len(amounts) > 200:
        assert spec["low"] <= amounts.min() and amounts.max() <= spec["high"]
        assert_mean(amounts, spec["mean"], spec["sd"], len(amounts))


@pytest.mark.parametrize("switch", ["slip", "fracture", "curve", "transitional"])
def test_these_switches_strike_one_level_of_a_patient(drawn, switch):
    for patients in drawn.values():
        assert ((columns(patients, switch) > 0).sum(1) <= 1).all()


@pytest.mark.parametrize(
    "real", PUBLISHED["prevalence"], ids=lambda real: real["cohort"] + "-" + real["switch"]
)
def test_findings_at_any_level_are_as_frequent_as_in_the_surveys(drawn, real):
    share, p = (columns(drawn[real["cohort"]], real["switch"]) > 0).any(1).mean(), real["share"]
    assert abs(share - p) < K * np.sqrt(p * (1 - p) * (1 / N + 1 / real["n"]))


def test_curves_are_as_large_as_in_the_clinic(drawn):
    count = np.array(PUBLISHED["cobb"]["count"])
    curve = abs(drawn[PUBLISHED["cobb"]["cohort"]].curve_deg)
    share = np.histogram(curve[curve > 0], [10, 20, 40, 90])[0] / (curve > 0).sum()
    p, n = count / count.sum(), count.sum()
    assert (abs(share - p) < K * np.sqrt(p * (1 - p) / n)).all()


def test_large_curves_are_as_rare_as_in_the_clinic(drawn):
    """Only mean and SD went in.  Two standard errors of 50 real curves."""
    curve, real = abs(drawn["degenerative"].curve_deg), PUBLISHED["large_curves"]
    share = (curve > 30).sum() / (curve > 0).sum()
    assert abs(share - real["share"]) < 2 * np.sqrt(real["share"] * (1 - real["share"]) / real["n"])


# ---------------------------------------------------------------- the same patient again


@pytest.fixture(scope="module")
def twice(drawn):
    patients = rows.join("patients", list(drawn.values()))
    return patients, populations.follow_up(patients, rng(99))


MOVED = {"angles_deg", "segments_deg", "age_years"}


def test_a_follow_up_keeps_the_patient(twice):
    """All but posture and age; a child has grown, every length alike."""
    before, after = twice
    child = before.age_years < 18
    assert 0 < child.sum() < len(before) / 2
    np.testing.assert_array_equal(after.age_years, before.age_years + 1)
    np.testing.assert_array_equal(before.angles_deg[~child, PI], after.angles_deg[~child, PI])
    same(before[~child], after[~child], set(vars(before)) - MOVED)
    same(before, after, set(vars(before)) - MOVED - {"sizes_mm", "pitch_mm"})


def test_a_child_has_grown_at_the_follow_up(twice):
    before, after = (visit[twice[0].age_years < 18] for visit in twice)
    times = populations.growth(after.age_years) / populations.growth(before.age_years)
    assert times.min() >= 1 and 1.01 < times.mean() < 1.05
    np.testing.assert_allclose(after.pitch_mm, before.pitch_mm * times[:, None])
    for name in populations.SIZES:
        scale = 1 if name.endswith("_share") else times
        np.testing.assert_allclose(after.size(name), before.size(name) * scale, err_msg=name)


def test_the_incidence_of_a_child_moves_a_little_inside_its_law(twice):
    """Normal steps of the table's SD; who would leave the law stays at its edge."""
    before, after = (visit[twice[0].age_years < 18] for visit in twice)
    for name in np.unique(after.cohort):
        spec, pi = TABLE[name]["pi"], after.angles_deg[after.cohort == name, PI]
        assert spec["low"] <= pi.min() and pi.max() <= spec["high"]
    inner = abs(before.angles_deg[:, PI] - 60) < 15  # no step from there reaches an edge
    step = (after.angles_deg - before.angles_deg)[inner, PI]
    assert_mean(step, 0, TABLE["follow_up"]["pi_sd"], len(step))
    assert_sd(step, TABLE["follow_up"]["pi_sd"], len(step))


def test_a_follow_up_keeps_a_pelvis_that_the_cohort_would_not_draw():
    strange = populations.with_angles([[10.0, -5.0, 5.0, 90.0]], rng(6))
    again = populations.follow_up(strange, rng(7)).angles_deg[0]
    assert again[PI] == 5.0 and again[SS] + again[PT] == pytest.approx(5.0) and again[LL] < 90.0


def test_a_follow_up_moves_the_posture(twice):
    """Each patient a little, PI = PT + SS and the sum of the segments always."""
    before, after = twice
    move = after.angles_deg - before.angles_deg
    assert (move[:, PT] != 0).mean() > 0.999 and (move[:, LL] != 0).mean() > 0.999
    assert (2.0 < move[:, [PT, LL]].std(0)).all() and (move[:, [PT, LL]].std(0) < 8.0).all()
    ss, pt, pi, ll = after.angles_deg.T
    np.testing.assert_allclose(pi, pt + ss, rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.segments_deg.sum(1), ll, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", cohort_names())
def test_visits_are_as_alike_as_ordered(twice, name):
    """Beyond the regression line, PT correlates by the number in the table (less a hair: the rests are cut)."""
    visits = [visit[visit.cohort == name].angles_deg.T for visit in twice]
    line = np.polyfit(visits[0][PI], visits[0][PT], 1)
    found = np.corrcoef([pt - np.polyval(line, pi) for _, pt, pi, _ in visits])[0, 1]
    assert abs(found - TABLE["follow_up"]["correlation"]) < 0.01


@pytest.mark.parametrize("name", cohort_names())
def test_follow_ups_leave_the_statistics_of_a_cohort_alone(twice, name):
    after = twice[1][twice[1].cohort == name].angles_deg
    for column, key in ((PT, "pt"), (LL, "ll")):
        assert_mean(after[:, column], TABLE[name][key]["mean"], TABLE[name][key]["sd"])
        assert_sd(after[:, column], TABLE[name][key]["sd"])
        assert_r(after[:, PI], after[:, column], TABLE[name][key]["r_pi"])
    assert_r(after[:, PT], after[:, LL], TABLE[name]["ll"]["r_pt"])


# ---------------------------------------------------------------- drawing


def test_a_patient_does_not_depend_on_how_many_are_drawn():
    same(draw("degenerative", 7, rng(8)), draw("degenerative", 50, rng(8))[:7])
    mixture = {"healthy_adults": 0.3, "spondylolisthesis": 0.7}
    same(populations.draw_mixture(mixture, 7, rng(8)), populations.draw_mixture(mixture, 50, rng(8))[:7])


def test_another_seed_gives_other_patients():
    assert (draw("degenerative", 9, rng(1)).angles_deg != draw("degenerative", 9, rng(2)).angles_deg).all()


def test_a_mixture_has_its_shares_of_each_cohort():
    mixture = {"healthy_adults": 1, "degenerative": 3, "adult_deformity": 0}
    mixed = populations.draw_mixture(mixture, N, rng(3))
    assert set(mixed.cohort) == {"healthy_adults", "degenerative"}
    assert abs((mixed.cohort == "degenerative").sum() - 0.75 * N) < K * np.sqrt(N * 0.75 * 0.25)
    part = mixed[mixed.cohort == "degenerative"]
    assert_mean(part.angles_deg[:, PT], 17.4, 7.0, len(part))
    assert_mean(part.angles_deg[:, LL], 35.5, 9.8, len(part))


def test_patients_can_be_picked_and_pooled():
    patients = draw("adult_deformity", 6, rng(4))
    assert len(patients) == 6 and len(patients[:0]) == 0
    mask = np.arange(6) % 2 == 0
    same(patients[mask], patients[[0, 2, 4]])
    same(rows.join("patients", [patients[:2], patients[2:]]), patients)
    np.testing.assert_array_equal(patients.size("s1_share"), patients.sizes_mm[:, 1])


def test_ordered_angles_are_kept_and_the_patient_is_sound():
    ordered = np.array([[40.0, 12.0, 52.0, -30.0], [10.0, -5.0, 5.0, 90.0]] * 1000)
    patients = populations.with_angles(ordered, rng(5))
    np.testing.assert_array_equal(patients.angles_deg, ordered)
    np.testing.assert_allclose(patients.segments_deg.sum(1), ordered[:, LL], rtol=0, atol=1e-9)
    assert all((columns(patients, switch) == 0).all() for switch in populations.SWITCHES)


@pytest.mark.parametrize(
    ("angles_deg", "field"),
    [
        (np.zeros(4), "angles_deg"),
        (np.zeros((2, 3)), "angles_deg"),
        ([[np.nan, 0.0, np.nan, 50.0]], "angles_deg[0, 0]"),
        ([[40.0, 10.0, 50.0, np.inf]], "angles_deg[0, 3]"),
        ([[40.0, 10.0, 51.0, 50.0]], "angles_deg.PI"),
    ],
)
def test_impossible_orders_are_refused(angles_deg, field):
    with pytest.raises(InputError) as caught:
        populations.with_angles(np.asarray(angles_deg), rng())
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("mixture", "field"),
    [({"elves": 1.0}, "cohort"), ({"degenerative": -1.0}, "mixture.degenerative"), ({"degenerative": 0}, "mixture"),
     ({"degenerative": "1"}, "mixture.degenerative"), ({}, "mixture")],
)  # fmt: skip
def test_impossible_mixtures_are_refused(mixture, field):
    with pytest.raises(InputError) as caught:
        populations.draw_mixture(mixture, 3, rng())
    assert caught.value.field == field


def test_an_unknown_cohort_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="cohort: got 'elves'.*healthy_adults"):
        cohort("elves")


# ---------------------------------------------------------------- malformed statistics


def test_the_statistics_of_the_book_pass():
    assert check_statistics(copy.deepcopy(TABLE)) == TABLE


CURVE = "healthy_adults.switches.curve"
FAULTS = [
    ("sizes", None),
    ("segments", None),
    ("pitch", None),
    ("follow_up", None),
    ("follow_up.correlation", 1.5),
    ("follow_up.pi_sd", None),
    ("follow_up.pi_sd", -1.0),
    ("follow_up.source", " "),
    ("sizes.s1_share", None),
    ("sizes.s1_share.mean", "0.9"),
    ("sizes.s1_share.mean", -0.9),
    ("sizes.s1_share.sd", float("nan")),
    ("sizes.s1_share.source", None),
    ("sizes.head_radius.low", 25.0),  # above the mean
    ("sizes.head_radius.high", 20.0),  # below the mean
    ("sizes.head_radius.sd", 12.0),  # wider than any normal cut at these limits
    ("sizes.antlers", {}),
    ("segments.sd", None),
    ("segments.pi_classes", [55.0, 45.0]),
    ("segments.pi_classes", [45.0, "55"]),
    ("segments.pi_classes", 45.0),
    ("segments.mean", [[20.2, 10.5, 7.7, 3.9, 0.0]]),  # one class of three
    ("segments.mean", [[20.2, 10.5, 7.7, 3.9, 99.0]] * 3),
    ("segments.sd", [[6.6, 4.7, 4.0, 3.5, 0.0]] * 3),  # nobody could take the surplus
    ("adult_deformity.segments.mean", [[1.0, 2.0]]),
    ("pitch.mean", [36.0] * 4),
    ("pitch.sd", [3.0, 3.0, 3.0, 3.0, -1.0]),
    ("pitch.r", [[1.0, 0.9, 0.0, 0.0, 0.0]] * 5),
    ("pitch.r", (2 * np.eye(5) - 1).tolist()),  # five numbers cannot all be opposed to each other
    ("healthy_adults.age", None),
    ("healthy_adults.age.low", 1.0),
    ("healthy_adults.age.high", 111.0),
    ("healthy_adults.age.sd", 40.0),  # wider than any normal cut at these limits
    ("healthy_adults.pi", None),
    ("healthy_adults.pi", 53.0),
    ("healthy_adults.pi.mean", 530.0),
    ("healthy_adults.pi.mean", True),
    ("healthy_adults.pi.typo", 1.0),
    ("healthy_adults.pt.mean", 80.0),
    ("healthy_adults.pt.r_pi", 1.0),
    ("healthy_adults.pt.sd", -1.0),
    ("healthy_adults.ll.r_pi", None),
    ("healthy_adults.ll.r_pt", -0.9),  # cannot be: PI goes along with both
    ("healthy_adults.ll.source", ""),
    ("healthy_adults.title", 1),
    ("healthy_adults.extra", 1),
    ("healthy_adults.switches.fins", {}),
    ("healthy_adults.switches.slip", None),
    ("healthy_adults.switches.slip.rate", [0.1]),
    ("healthy_adults.switches.slip.rate", [0.7, 0.7]),  # only one level slips
    ("healthy_adults.switches.spurs.rate", [0.7, 0.7, 0.7, 0.7, 1.7]),
    ("healthy_adults.switches.transitional.rate", 0.1),
    ("healthy_adults.switches.transitional.mean", 1.0),
    (f"{CURVE}.high", 200.0),
    (f"{CURVE}.source", None),
]


def refused(field, value):
    """What `check_statistics` says once `field` holds `value` (None: is gone)."""
    with pytest.raises(InputError) as caught:
        check_statistics(planted(TABLE, field, ABSENT if value is None else value))
    return caught.value


@pytest.mark.parametrize(("field", "value"), FAULTS, ids=lambda v: str(v)[:40])
def test_malformed_statistics_name_the_field(field, value):
    fault = refused(field, value)
    assert fault.field == field
    assert "\n" not in str(fault) and "allowed: " in str(fault)


@pytest.mark.parametrize(
    ("field", "value", "angle"),
    [("spondylolisthesis.pi.high", 125.0, "SS"), ("adult_deformity.pt.sd", 14.0, "PT"), ("degenerative.ll.sd", 39.0, "LL")],
)  # fmt: skip
def test_a_cohort_that_could_reach_impossible_angles_is_refused(field, value, angle):
    assert refused(field, value).field == f"{field.split('.')[0]}.{angle}"


def leaves(table, path=()):
    """Every number of the statistics, as a path."""
    for key, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif isinstance(value, float):
            yield ".".join((*path, key))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(leaves(TABLE))), st.sampled_from(["1.0", None, float("nan"), 1e9, True, [1.0]]))
def test_no_number_of_the_statistics_can_be_replaced_by_nonsense(field, value):
    assert refused(field, value).field == field
