"""Spines against the angles they were ordered with, and cohorts against the statistics they came from."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbo import anatomy
from lumbo.anatomy import LEVELS, anatomical_angles, check_statistics, cohort, cohort_names, draw_angles
from lumbo.errors import InputError

SS, PT, PI, LL = range(4)
N = 40_000


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", params=cohort_names())
def drawn(request):
    """A cohort and many of its angles."""
    who = cohort(request.param)
    return who, draw_angles(who, N, rng(1))


def between(anterior, posterior):
    """Tilt of plates, degrees above the forward horizontal."""
    x, z = np.moveaxis(anterior - posterior, -1, 0)
    return np.degrees(np.arctan2(z, x))


# ---------------------------------------------------------------- spines


@settings(deadline=None, max_examples=50)
@given(st.floats(-60, 85), st.floats(-30, 50), st.floats(-60, 110), st.integers(0, 2**32))
def test_a_spine_has_the_angles_that_were_ordered(ss, pt, ll, seed):
    ordered = np.array([[ss, pt, ss + pt, ll]])
    built = anatomy.spines(ordered, rng(seed))
    np.testing.assert_allclose(anatomical_angles(built), ordered, rtol=0, atol=1e-9)


def test_many_spines_have_the_angles_that_were_ordered(drawn):
    _, angles_deg = drawn
    built = anatomy.spines(angles_deg[:500], rng())
    np.testing.assert_allclose(anatomical_angles(built), angles_deg[:500], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(built.angles_deg, angles_deg[:500])


def test_the_hip_axis_is_the_origin_and_lies_between_the_heads(drawn):
    built = anatomy.spines(drawn[1][:200], rng())
    np.testing.assert_allclose(built.heads_mm.mean(1), 0, atol=1e-12)
    assert (built.heads_mm[:, 0, 1] > 0).all()  # the left head first: y points left


def test_plates_turn_by_the_lordosis_of_their_segment():
    """What lies between the upper plates of S1, L5, ... L1 sums to LL, measured on the corners."""
    angles_deg = draw_angles(cohort("healthy_adults"), 300, rng(2))
    built = anatomy.spines(angles_deg, rng(3))
    bodies = built.bodies_mm[:, : LEVELS.index("L1") + 1]
    upper = between(bodies[:, :, 0], bodies[:, :, 1])
    steps = np.diff(np.column_stack([between(built.s1_mm[:, 0], built.s1_mm[:, 1]), upper]), axis=1)
    np.testing.assert_allclose(steps.sum(1), angles_deg[:, LL], rtol=0, atol=1e-9)
    assert steps.shape == (300, 5)


def test_bodies_stand_on_each_other():
    """Every body is convex, lies above the one below, and no two overlap along the column."""
    built = anatomy.spines(draw_angles(cohort("healthy_adults"), 300, rng(4)), rng(5))
    bodies = built.bodies_mm
    edges = np.roll(bodies, -1, 2) - bodies
    after = np.roll(edges, -1, 2)
    turn = edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0]
    assert (turn > 0).all()
    below = np.concatenate(
        [built.s1_mm[:, None], bodies[:, :-1, :2]], 1
    )  # anterior, posterior of the plate below
    along = below[:, :, 0] - below[:, :, 1]
    for corner, start in ((3, 0), (2, 1)):  # lower corners stand above the plate below
        up = bodies[:, :, corner] - below[:, :, start]
        assert (along[..., 0] * up[..., 1] - along[..., 1] * up[..., 0] > 0).mean() > 0.99


def test_body_spacing_is_that_of_the_source():
    """34.4 to 36.5 mm from L1-2 to L4-5 in 1,835 CTs; the trial spines lie within 2 mm of that."""
    built = anatomy.spines(draw_angles(cohort("healthy_adults"), 1000, rng(6)), rng(7))
    middle = built.bodies_mm[:, :5].mean(2)
    spacing = np.linalg.norm(np.diff(middle, axis=1), axis=-1).mean(0)
    np.testing.assert_allclose(spacing, [36.3, 36.5, 35.8, 34.4], atol=2.0)


def test_film_frame_faces_right_with_y_down():
    np.testing.assert_array_equal(anatomy.film_frame(np.array([1.0, 2.0, 3.0])), [1.0, -3.0])


@pytest.mark.parametrize(
    ("angles_deg", "field"),
    [
        (np.zeros(4), "angles_deg"),
        (np.zeros((2, 3)), "angles_deg"),
        ([[90.0, 0.0, 90.0, 50.0]], "angles_deg.SS"),
        ([[np.nan, 0.0, np.nan, 50.0]], "angles_deg.SS"),
        ([[40.0, 10.0, 51.0, 50.0]], "angles_deg.PI"),
    ],
)
def test_impossible_angles_are_refused(angles_deg, field):
    with pytest.raises(InputError) as caught:
        anatomy.spines(np.asarray(angles_deg), rng())
    assert caught.value.field == field


def test_the_same_seed_gives_the_same_spines():
    angles_deg = draw_angles(cohort("degenerative"), 20, rng(8))
    np.testing.assert_array_equal(angles_deg, draw_angles(cohort("degenerative"), 20, rng(8)))
    one, same, other = (vars(anatomy.spines(angles_deg, rng(seed))) for seed in (9, 9, 10))
    for name, values in one.items():
        np.testing.assert_array_equal(values, same[name])
    assert (one["bodies_mm"] != other["bodies_mm"]).any()


# ---------------------------------------------------------------- segments


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.floats(20, 95), st.floats(-60, 110)), min_size=1, max_size=20), st.integers(0, 99)
)
def test_segments_sum_to_ll(patients, seed):
    pi, ll = np.array(patients).T
    parts = anatomy.segment_lordosis(pi, ll, rng(seed))
    np.testing.assert_allclose(parts.sum(1), ll, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("pi", "row"), [(38.0, 0), (50.0, 1), (63.0, 2)])
def test_segments_of_a_pi_class_have_the_published_means_and_spreads(pi, row):
    """With LL drawn as the sum of the published segments, each must come back as published."""
    table = anatomy.statistics()["segments"]
    mean, sd = np.array(table["mean"][row]), np.array(table["sd"][row])
    ll = rng(11).normal(mean.sum(), np.sqrt((sd**2).sum()), N)
    parts = anatomy.segment_lordosis(np.full(N, pi), ll, rng(12))
    assert (abs(parts.mean(0) - mean) < 4.5 * sd / np.sqrt(N)).all()
    assert (abs(parts.std(0) / sd - 1) < 4.5 / np.sqrt(2 * N)).all()
    assert (abs(np.corrcoef(parts.T) - np.eye(5)) < 4.5 / np.sqrt(N)).all()


def test_a_surplus_is_shared_by_variance():
    """The conditional normal: slope of each segment on LL is its share of the variance."""
    sd = np.array(anatomy.statistics()["segments"]["sd"][1])
    low, high = (anatomy.segment_lordosis(np.array([50.0]), np.array([ll]), rng(13)) for ll in (40.0, 70.0))
    np.testing.assert_allclose((high - low)[0] / 30, sd**2 / (sd**2).sum(), rtol=1e-12)


# ---------------------------------------------------------------- cohorts


def truncated_moments(spec):
    """Mean and SD of a truncated normal, by adding up its density."""
    x = np.linspace(spec["low"], spec["high"], 200_001)
    weight = np.exp(-0.5 * ((x - spec["mean"]) / spec["sd"]) ** 2)
    mean = np.average(x, weights=weight)
    return mean, np.sqrt(np.average((x - mean) ** 2, weights=weight))


def expected_law(who):
    """Mean (4,) and covariance (4, 4) of SS, PT, PI, LL: linear in PI and two noises."""
    mean_pi, sd_pi = truncated_moments(who.pi)
    mean_pt = who.pt["at_mean_pi"] + who.pt["slope"] * (mean_pi - who.pi["mean"])
    mean_ll = who.ll["intercept"] + who.ll["slope"] * mean_pi
    a, b = who.pt["slope"], who.ll["slope"]
    mix = np.array([[1 - a, -1, 0], [a, 1, 0], [1, 0, 0], [b, 0, 1]])  # PI, noise of PT, noise of LL
    sources = np.diag([sd_pi**2, who.pt["sd"] ** 2, who.ll["sd"] ** 2])
    return np.array([mean_pi - mean_pt, mean_pt, mean_pi, mean_ll]), mix @ sources @ mix.T


def test_cohort_means_lie_within_sampling_error(drawn):
    who, angles_deg = drawn
    mean, covariance = expected_law(who)
    assert (abs(angles_deg.mean(0) - mean) < 4.5 * np.sqrt(np.diag(covariance) / N)).all()


def test_cohort_spreads_lie_within_sampling_error(drawn):
    """Var(s) = s^4 (kurtosis - 1) / n; truncated normals have kurtosis below 3, so 2 s^4 / n bounds it."""
    who, angles_deg = drawn
    sd = np.sqrt(np.diag(expected_law(who)[1]))
    assert (abs(angles_deg.std(0) / sd - 1) < 4.5 / np.sqrt(2 * N)).all()


def test_cohort_correlations_lie_within_sampling_error(drawn):
    who, angles_deg = drawn
    covariance = expected_law(who)[1]
    sd = np.sqrt(np.diag(covariance))
    r = covariance / np.outer(sd, sd)
    assert (abs(np.corrcoef(angles_deg.T) - r) < 4.5 * (1 - r**2) / np.sqrt(N) + 1e-12).all()


def test_pi_is_pt_plus_ss_and_stays_inside_its_limits(drawn):
    who, angles_deg = drawn
    np.testing.assert_allclose(angles_deg[:, PI], angles_deg[:, PT] + angles_deg[:, SS], rtol=0, atol=1e-12)
    assert angles_deg[:, PI].min() >= who.pi["low"] and angles_deg[:, PI].max() <= who.pi["high"]


def test_healthy_adults_are_those_of_the_source():
    """Mac-Thiong 2011, n = 709: SS 39.5 +- 7.8, PT 13.5 +- 6.8, PI 53 +- 10.5, within its sampling error."""
    mean, covariance = expected_law(cohort("healthy_adults"))
    np.testing.assert_allclose(mean[:3], [39.5, 13.5, 53.0], atol=2 * 10.5 / np.sqrt(709))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance))[:3], [7.8, 6.8, 10.5], atol=1.0)


def test_an_unknown_cohort_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="cohort: got 'elves'.*healthy_adults"):
        cohort("elves")


# ---------------------------------------------------------------- malformed statistics


def test_the_statistics_of_the_book_pass():
    assert check_statistics(copy.deepcopy(anatomy.statistics())) == anatomy.statistics()


FAULTS = [
    ("sizes", None),
    ("segments", None),
    ("sizes.s1_plate", None),
    ("sizes.s1_plate.mean", "35"),
    ("sizes.s1_plate.mean", -35.0),
    ("sizes.s1_plate.sd", float("nan")),
    ("sizes.s1_plate.source", None),
    ("sizes.head_radius.low", 25.0),  # above the mean
    ("sizes.head_radius.high", 20.0),  # below the mean
    ("sizes.head_radius.sd", 12.0),  # wider than its limits: hardly any draw would fall inside
    ("sizes.antlers", {}),
    ("segments.sd", None),
    ("segments.pi_classes", [55.0, 45.0]),
    ("segments.pi_classes", [45.0, "55"]),
    ("segments.mean", [[20.2, 10.5, 7.7, 3.9, 0.0]]),  # one class of three
    ("segments.mean", [[20.2, 10.5, 7.7, 3.9, 99.0]] * 3),
    ("segments.sd", [[6.6, 4.7, 4.0, 3.5, 0.0]] * 3),  # nobody could take the surplus
    ("healthy_adults.pi", None),
    ("healthy_adults.pi", 53.0),
    ("healthy_adults.pi.mean", 530.0),
    ("healthy_adults.pi.mean", True),
    ("healthy_adults.pi.typo", 1.0),
    ("healthy_adults.pt.at_mean_pi", 80.0),
    ("healthy_adults.pt.slope", None),
    ("healthy_adults.pt.sd", -1.0),
    ("healthy_adults.ll.slope", 3.0),
    ("healthy_adults.ll.intercept", "19"),
    ("healthy_adults.sources", []),
    ("healthy_adults.extra", 1),
]


@pytest.mark.parametrize(("field", "value"), FAULTS, ids=lambda v: str(v)[:40])
def test_malformed_statistics_name_the_field(field, value):
    table = copy.deepcopy(anatomy.statistics())
    *parents, key = field.split(".")
    place = table
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[key]
    else:
        place[key] = value
    with pytest.raises(InputError) as caught:
        check_statistics(table)
    assert caught.value.field == field
    assert "\n" not in str(caught.value) and "allowed: " in str(caught.value)
