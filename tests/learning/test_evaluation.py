"""Every metric by a second route, and intervals that cover what they promise."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lumbo.angles import ANGLES
from lumbo.errors import InputError
from lumbo.learning import evaluation
from lumbo.learning.evaluation import (
    LEVELS,
    ROWS,
    angle_errors,
    bias,
    bootstrap_interval,
    icc,
    icc_by_angle,
    identity_residual,
    interval_factors,
    limits_of_agreement,
    mae,
    median_error,
    p90_error,
    paired_interval,
    predict_mean,
    share_above,
    summary,
)

PATIENTS = 37


@pytest.fixture
def rng():
    return np.random.default_rng(20250)


@pytest.fixture
def test_set(rng):
    """Reference angles of plausible patients, and predictions with errors of every size."""
    reference = rng.normal([40, 13, 53, 55], [8, 7, 11, 12], size=(PATIENTS, 4))
    predicted = reference + rng.normal(1, [3, 1, 4, 9], size=(PATIENTS, 4))
    return predicted, reference


def by_columns(errors, statistic):
    """Apply a statistic of a plain list to each angle, then to all errors in one list."""
    columns = [[row[i] for row in errors.tolist()] for i in range(4)]
    return [statistic(column) for column in [*columns, sum(columns, [])]]


def icc_from_loops(ratings):
    """Return ICC(2,1) from the two-way table of variance, one sum of squares at a time."""
    n, k = len(ratings), len(ratings[0])
    grand = sum(map(sum, ratings)) / (n * k)
    ss_total = sum((x - grand) ** 2 for row in ratings for x in row)
    ss_film = sum(k * (sum(row) / k - grand) ** 2 for row in ratings)
    ss_rater = sum(n * (sum(column) / n - grand) ** 2 for column in zip(*ratings, strict=True))
    ss_rest = ss_total - ss_film - ss_rater
    ms_film, ms_rater, ms_rest = ss_film / (n - 1), ss_rater / (k - 1), ss_rest / (n - 1) / (k - 1)
    return (ms_film - ms_rest) / (ms_film + (k - 1) * ms_rest + k * (ms_rater - ms_rest) / n)


# ------------------------------------------------------------------------- errors


def test_errors_are_predicted_minus_reference_bit_for_bit(test_set):
    predicted, reference = test_set
    np.testing.assert_array_equal(angle_errors(predicted, reference), predicted - reference)


@pytest.mark.parametrize(
    ("predicted", "reference", "error"),
    [(179, -171, -10), (-179, 171, 10), (180, 0, 180), (-180, 0, 180), (0, 180, 180), (549, 0, -171)],
)
def test_errors_go_the_short_way_round(predicted, reference, error):
    assert angle_errors([[predicted] * 4], [[reference] * 4]).tolist() == [[error] * 4]


def test_wrapped_errors_are_the_same_directions(rng):
    predicted, reference = rng.uniform(-720, 720, size=(2, 500, 4))
    errors = angle_errors(predicted, reference)
    assert ((-180 < errors) & (errors <= 180)).all()
    turn = np.exp(1j * np.radians(predicted - reference))
    np.testing.assert_allclose(np.exp(1j * np.radians(errors)), turn, atol=1e-12)


GOOD = np.ones((2, 4))
BAD_ANGLES = {
    "flat": (np.ones(4), ""),
    "three angles": (np.ones((2, 3)), ""),
    "a third axis": (np.ones((2, 4, 1)), ""),
    "no film": (np.ones((0, 4)), ""),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ""),
    "words": ([["a", "b", "c", "d"]], ""),
    "NaN": (np.array([[1, 2, 3, 4], [1, 2, np.nan, 4]]), "[1, 2]"),
    "infinite": (np.array([[1, -np.inf, 3, 4], [1, 2, 3, 4]]), "[0, 1]"),
    "masked": (np.ma.array(np.ones((2, 4)), mask=np.eye(2, 4)), "[0, 0]"),
    "beyond a million": ([[1, 2, 3, -1.1e6]], "[0, 3]"),
    "complex": (np.ones((2, 4)) + 1j, ""),
    "truths": (np.ones((2, 4), bool), ""),
    "dates": (np.ones((2, 4)).astype("M8[D]"), ""),
}


@pytest.mark.parametrize("what", BAD_ANGLES)
def test_errors_refuse_bad_angles_and_name_them(what):
    bad, where = BAD_ANGLES[what]
    for arguments, field in (((bad, GOOD), "predicted_deg"), ((GOOD, bad), "reference_deg")):
        with pytest.raises(InputError) as caught:
            angle_errors(*arguments)
        assert caught.value.field == field + where
    with pytest.raises(InputError, match="^predicted_deg"):
        identity_residual(bad)
    with pytest.raises(InputError, match="^training_deg"):
        predict_mean(bad, 3)


def test_errors_refuse_two_lengths():
    with pytest.raises(InputError, match=r"reference_deg: got \(3, 4\); allowed: \(2, 4\)"):
        angle_errors(GOOD, np.ones((3, 4)))


# ------------------------------------------------------------------------ metrics

SECOND_ROUTES = {
    mae: lambda errors: sum(map(abs, errors)) / len(errors),
    median_error: lambda errors: stats.scoreatpercentile(np.abs(errors), 50),
    p90_error: lambda errors: pd.Series(errors).abs().quantile(0.9),
    share_above: lambda errors: sum(error > 10 or error < -10 for error in errors) / len(errors),
    bias: lambda errors: sum(errors) / len(errors),
}


@pytest.mark.parametrize("metric", SECOND_ROUTES, ids=lambda metric: metric.__name__)
def test_metric_by_a_second_route(metric, test_set):
    errors = angle_errors(*test_set)
    expected = by_columns(errors, SECOND_ROUTES[metric])
    assert len(expected) == len(ROWS)
    np.testing.assert_allclose(metric(errors), expected, rtol=1e-12)
    assert len(set(expected)) > 1  # the columns do differ


def test_limits_of_agreement_by_a_second_route(test_set):
    errors = angle_errors(*test_set)
    low, high = limits_of_agreement(errors)
    middle = np.array(by_columns(errors, np.mean))
    spread = np.array(by_columns(errors, lambda column: pd.Series(column).std()))  # pandas: n - 1
    np.testing.assert_allclose(low, middle - 1.96 * spread, rtol=1e-12)
    np.testing.assert_allclose(high, middle + 1.96 * spread, rtol=1e-12)


def test_limits_of_agreement_hold_95_percent_of_normal_errors(rng):
    errors = rng.normal(2, 5, size=(20_000, 4))
    low, high = limits_of_agreement(errors)
    inside = ((low[:4] < errors) & (errors < high[:4])).mean()
    assert abs(inside - 0.95) < 4 * np.sqrt(0.95 * 0.05 / errors.size)


def test_share_above_is_strict_and_takes_another_limit():
    errors = np.array([[10.0, -10.0, 10.5, -11.0]])
    assert share_above(errors).tolist() == [0, 0, 1, 1, 0.5]
    assert share_above(errors, 5).tolist() == [1, 1, 1, 1, 1]


def test_pooled_weighs_the_four_angles_alike(test_set):
    errors = angle_errors(*test_set)
    for metric in (mae, share_above, bias):
        assert metric(errors)[-1] == pytest.approx(metric(errors)[:4].mean(), rel=1e-12)


@pytest.mark.parametrize("metric", SECOND_ROUTES, ids=lambda metric: metric.__name__)
def test_metrics_treat_leading_axes_as_a_batch(metric, rng):
    errors = rng.normal(0, 8, size=(3, 2, 11, 4))
    together = metric(errors)
    assert together.shape == (3, 2, 5)
    np.testing.assert_allclose(together[2, 1], metric(errors[2, 1]), rtol=1e-12)


# ---------------------------------------------------------------------------- ICC


def test_icc_of_shrout_and_fleiss():
    """Their table 2 (six targets, four judges) and the ICC(2,1) they print for it, 0.29."""
    table = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    # Sums of squares by hand: targets 56.208 (5), judges 97.458 (3), rest 15.292 (15).
    film, rater, rest = 56.2083333 / 5, 97.4583333 / 3, 15.2916667 / 15
    by_hand = (film - rest) / (film + 3 * rest + 4 / 6 * (rater - rest))
    assert icc(table) == pytest.approx(by_hand, rel=1e-6)
    assert round(float(icc(table)), 2) == 0.29


def test_icc_by_angle_by_a_second_route(test_set):
    predicted, reference = test_set
    measured = icc_by_angle(angle_errors(predicted, reference), reference)
    pairs = [list(zip(p, r, strict=True)) for p, r in zip(predicted.T, reference.T, strict=True)]
    np.testing.assert_allclose(measured[:4], [icc_from_loops(pair) for pair in pairs], rtol=1e-10)
    assert np.isnan(measured[4])


def test_icc_recovers_the_share_of_variance_that_is_patients(rng):
    """Patients of variance 100, raters' errors of variance 25: ICC 0.8 by construction."""
    n = 20_000
    ratings = rng.normal(50, 10, size=(n, 1)) + rng.normal(0, 5, size=(n, 2))
    # The ICC of two raters is close to a correlation r: its standard error is (1 - r²) / √n.
    assert abs(icc(ratings) - 0.8) < 4 * (1 - 0.8**2) / np.sqrt(n)


def test_icc_rises_with_the_spread_of_patients_though_errors_stay(rng):
    errors = rng.normal(0, 4, size=(300, 4))
    alike, varied = (rng.normal(50, spread, size=(300, 4)) for spread in (4, 16))
    assert (icc_by_angle(errors, varied)[:4] > icc_by_angle(errors, alike)[:4] + 0.2).all()


def test_icc_counts_a_constant_offset_as_disagreement(rng):
    reference = rng.normal(50, 10, size=(300, 4))
    assert icc_by_angle(np.zeros((300, 4)), reference)[:4] == pytest.approx(1)
    assert (icc_by_angle(np.full((300, 4), 10.0), reference)[:4] < 0.8).all()


def test_icc_sees_wrapped_errors():
    """A prediction of 181 for -179 is right; the raw numbers lie 360 apart."""
    reference = np.array([[-179.0] * 4, [-170.0] * 4, [-175.0] * 4])
    errors = angle_errors(reference + 360, reference)
    assert icc_by_angle(errors, reference)[:4] == pytest.approx(1)


@pytest.mark.filterwarnings("error")
def test_icc_is_nan_where_nothing_varies():
    assert np.isnan(icc(np.full((5, 2), 3.0)))


# ---------------------------------------------------------------------- intervals


def test_interval_by_a_loop(test_set):
    """The same patients drawn, one resample after the other, give the same interval."""
    errors = angle_errors(*test_set)
    low, high = bootstrap_interval(mae, errors, rng=np.random.default_rng(3), resamples=200, level=0.9)
    draws = np.random.default_rng(3).integers(PATIENTS, size=(200, PATIENTS))
    values = pd.DataFrame([by_columns(errors[rows], SECOND_ROUTES[mae]) for rows in draws])
    np.testing.assert_allclose(low, values.quantile(0.05), rtol=1e-12)
    np.testing.assert_allclose(high, values.quantile(0.95), rtol=1e-12)


def test_interval_agrees_with_scipy(rng):
    errors = rng.normal(0, 5, size=(200, 4))
    low, high = bootstrap_interval(mae, errors, rng=rng, resamples=4000)
    for i in range(4):
        other = stats.bootstrap(
            (np.abs(errors[:, i]),), np.mean, n_resamples=4000, method="percentile", rng=rng
        ).confidence_interval
        # A 2.5 % quantile of 4000 normal draws has standard error √(.025·.975/4000)/.0584 = 0.042 SD;
        # two independent ones differ by at most 4·√2·0.042 = 0.24 SD, and the interval is 3.92 SD wide.
        tolerance = 0.24 * (high[i] - low[i]) / 3.92
        assert low[i] == pytest.approx(other.low, abs=tolerance)
        assert high[i] == pytest.approx(other.high, abs=tolerance)


def test_interval_covers_the_true_mae_as_often_as_it_says(rng):
    """1,600 test sets of 100 patients with normal errors, whose MAE is SD·√(2/π) exactly."""
    sd = 5.0
    truth = sd * np.sqrt(2 / np.pi)
    hits = []
    for _ in range(400):
        low, high = bootstrap_interval(mae, rng.normal(0, sd, size=(100, 4)), rng=rng, resamples=400)
        hits.append((low[:4] <= truth) & (truth <= high[:4]))
    # A percentile interval from 100 patients is a little short (no t, no n - 1, skewed errors):
    # 94 % is what it can hold.  Standard error of the share over 1,600: √(.94·.06/1600) = 0.6 %.
    assert abs(np.mean(hits) - 0.94) < 4 * 0.006


@pytest.mark.parametrize("metric", SECOND_ROUTES, ids=lambda metric: metric.__name__)
def test_interval_of_any_metric_surrounds_it(metric, test_set):
    errors = angle_errors(*test_set)
    low, high = bootstrap_interval(metric, errors, rng=np.random.default_rng(0), resamples=300)
    assert (low <= metric(errors)).all() and (metric(errors) <= high).all() and (low < high).any()


def test_interval_of_the_icc_takes_both_arrays(test_set):
    predicted, reference = test_set
    errors = angle_errors(predicted, reference)
    low, high = bootstrap_interval(
        icc_by_angle, errors, reference, rng=np.random.default_rng(0), resamples=300
    )
    point = icc_by_angle(errors, reference)
    assert ((low < point) & (point < high))[:4].all() and np.isnan([low[4], high[4]]).all()


def test_patients_are_drawn_whole(rng):
    """If all four angles of a patient err alike, pooling them adds no information."""
    alike = np.repeat(rng.normal(0, 5, size=(100, 1)), 4, axis=1)
    low, high = bootstrap_interval(mae, alike, rng=rng)
    np.testing.assert_allclose(high - low, (high - low)[0], rtol=1e-9)


def test_interval_shrinks_with_the_square_root_of_the_patients(rng):
    widths = []
    for n in (100, 1600):
        low, high = bootstrap_interval(mae, rng.normal(0, 5, size=(n, 4)), rng=rng, resamples=1000)
        widths.append(np.mean((high - low)[:4]))
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_same_seed_same_bits_other_seed_other_bits(test_set):
    predicted, reference = test_set
    first, again, other = (
        summary(predicted, reference, np.random.default_rng(seed), reference="truth") for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert (first["mae_low"] != other["mae_low"]).any()


def test_blocks_leave_the_interval_as_it_is(test_set, monkeypatch):
    errors = angle_errors(*test_set)
    whole = bootstrap_interval(p90_error, errors, rng=np.random.default_rng(5), resamples=50)
    monkeypatch.setattr("lumbo.learning.evaluation.BLOCK", 7 * errors.size)  # 50 resamples in blocks of 7
    blocks = bootstrap_interval(p90_error, errors, rng=np.random.default_rng(5), resamples=50)
    np.testing.assert_array_equal(whole, blocks)
    monkeypatch.setattr("lumbo.learning.evaluation.BLOCK", 1)  # less than one resample
    single = bootstrap_interval(p90_error, errors, rng=np.random.default_rng(5), resamples=50)
    np.testing.assert_array_equal(whole, single)


def test_resamples_are_measured_many_at_once(rng):
    """One call of the metric for a block of resamples, not one for each."""
    errors, calls = rng.normal(0, 5, size=(300, 4)), []

    def counted(values):
        calls.append(len(values))
        return mae(values)

    bootstrap_interval(counted, errors, rng=rng, resamples=2000)
    assert len(calls) <= 2 + 2000 * errors.size / evaluation.BLOCK < 100


@pytest.mark.parametrize(
    ("arrays", "options", "field"),
    [
        ([GOOD, np.ones((3, 4))], {}, "arrays"),
        ([np.ones((0, 4))], {}, "arrays[0]"),
        ([GOOD, np.ones((2, 3))], {}, "arrays[1]"),
        ([GOOD * np.nan], {}, "arrays[0][0, 0]"),
        ([GOOD], {"resamples": 0}, "resamples"),
        ([GOOD], {"resamples": 10.0}, "resamples"),
        ([GOOD], {"resamples": True}, "resamples"),
        ([GOOD], {"level": 0}, "level"),
        ([GOOD], {"level": 1}, "level"),
        ([GOOD], {"level": 95}, "level"),
        ([GOOD], {"level": np.nan}, "level"),
        ([GOOD], {"rng": 0}, "rng"),
        ([GOOD], {"metric": "mae"}, "metric"),
    ],
)
def test_interval_refuses_bad_input(arrays, options, field, rng):
    with pytest.raises(InputError) as caught:
        chosen = {"metric": lambda *errors: mae(errors[0]), "rng": rng} | options
        bootstrap_interval(chosen.pop("metric"), *arrays, **chosen)
    assert caught.value.field == field


METRICS = [mae, median_error, p90_error, share_above, bias, limits_of_agreement]
NO_ERRORS = {
    "three columns": np.ones((2, 3)), "one film": np.ones(4), "no film": np.ones((3, 0, 4)), "NaN": np.full((2, 4), np.nan),
    "infinite": np.full((2, 4), np.inf), "complex": np.ones((2, 4)) * 1j, "truths": np.ones((2, 4), bool),
    "words": [["a"] * 4] * 2, "masked": np.ma.array(np.ones((2, 4)), mask=True), "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("what", NO_ERRORS)
def test_no_metric_answers_what_are_no_errors(metric, what):
    with pytest.raises(InputError, match=r"^errors_deg(\[.*\])?: got "):
        metric(NO_ERRORS[what])


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_metrics_take_numbers_of_any_kind(metric, rng):
    errors = rng.integers(-9, 9, size=(6, 4))
    exact = metric(errors.astype(float))
    for one in (
        errors,
        errors.tolist(),
        errors.astype(np.float16),
        np.asfortranarray(errors),
        errors.astype(">f4"),
    ):
        np.testing.assert_array_equal(metric(one), exact)


@pytest.mark.parametrize("limit", [-1, np.nan, np.inf, "10", None, True])
def test_a_share_above_no_limit_is_refused(limit):
    with pytest.raises(InputError, match="^limit_deg: got "):
        share_above(GOOD, limit)


def test_limits_of_agreement_need_two_films():
    with pytest.raises(InputError, match="^errors_deg: got '1 films'; allowed: at least 2 films"):
        limits_of_agreement(GOOD[:1])


@pytest.mark.parametrize("shape", [(3,), (1, 2), (3, 1), (0, 2)])
def test_an_agreement_needs_two_films_and_two_raters(shape):
    with pytest.raises(InputError, match="^ratings_deg: got "):
        icc(np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape))


@pytest.mark.parametrize("value", [33.3, 0.1, 1e-3, 0.0])
def test_where_nothing_varies_there_is_no_agreement_to_speak_of(value):
    assert np.isnan(icc(np.full((7, 2), value)))
    mixed = np.stack([np.full((3, 2), value), [[1, 3], [3, 5], [5, 7]]])
    assert np.isnan(icc(mixed)[0]) and icc(mixed)[1] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("predicted", "reference", "error"),
    [
        (1e6, 40.0, -120.0),
        (-1e6, -40.0, 120.0),
        (720.25, 0.5, -0.25),
        (359.75, -0.5, 0.25),
        (999_999.875, 0, -81 + 0.875),
    ],
)
def test_turns_are_taken_off_exactly(predicted, reference, error):
    """1e6 is 2,777 turns and 280 degrees."""
    assert angle_errors([[predicted] * 4], [[reference] * 4]).tolist() == [[error] * 4]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"levels": [95]}, "levels[0]"), ({"levels": [0.8, 0]}, "levels[1]"), ({"levels": [-0.5]}, "levels[0]"),
        ({"levels": []}, "levels"), ({"levels": 0.8}, "levels"), ({"levels": [np.nan]}, "levels[0]"),
        ({"spread_deg": -GOOD}, "spread_deg[0, 0]"), ({"spread_deg": 0 * GOOD}, "spread_deg[0, 0]"),
        ({"spread_deg": GOOD[:, :3]}, "spread_deg"), ({"spread_deg": np.ones((3, 4))}, "spread_deg"),
        ({"errors_deg": GOOD * np.nan}, "errors_deg[0, 0]"), ({"errors_deg": None}, "errors_deg"),
    ],
)  # fmt: skip
def test_interval_factors_refuse_what_would_hold_nothing(change, field):
    with pytest.raises(InputError) as caught:
        interval_factors(**({"errors_deg": GOOD, "spread_deg": GOOD, "levels": [0.8, 0.95]} | change))
    assert caught.value.field == field


@pytest.mark.parametrize("n", [-1, 2.5, True, None, "3"])
def test_a_mean_is_predicted_for_a_number_of_films(n):
    with pytest.raises(InputError, match="^n: got "):
        predict_mean(GOOD, n)
    assert predict_mean(GOOD, np.int64(2)).shape == (2, 4)


# ------------------------------------------------------------------------ pairing


def test_pairing_makes_the_interval_of_a_difference_narrower(rng):
    """Two models that stumble over the same hard films differ less than either varies."""
    hard = rng.normal(0, 6, size=(300, 4))
    a, b = hard + rng.normal(0, 1, size=hard.shape), hard + rng.normal(0, 1, size=hard.shape)
    low, high = paired_interval(mae, a, b, rng)
    separate = [bootstrap_interval(mae, errors, rng=rng) for errors in (a, b)]
    unpaired = np.hypot(*(upper - lower for lower, upper in separate))
    assert (high - low < unpaired / 2).all()
    assert ((low <= mae(a) - mae(b)) & (mae(a) - mae(b) <= high)).all()


def test_paired_interval_is_the_bootstrap_of_each_patients_difference(rng):
    a, b = rng.normal(0, 5, size=(2, 60, 4))
    paired = paired_interval(mae, a, b, np.random.default_rng(9), resamples=500, level=0.8)
    per_patient = np.abs(a) - np.abs(b)
    expected = bootstrap_interval(bias, per_patient, rng=np.random.default_rng(9), resamples=500, level=0.8)
    np.testing.assert_allclose(paired, expected, rtol=0, atol=1e-12)


def test_paired_interval_is_signed_and_finds_no_difference_from_itself(rng):
    better = rng.normal(0, 3, size=(200, 4))
    low, _ = paired_interval(mae, 2 * better, better, rng)
    assert (low > 0).all()
    assert np.abs(paired_interval(mae, better, better, rng)).max() == 0


def test_paired_interval_refuses_other_patients(rng):
    with pytest.raises(InputError, match="arrays"):
        paired_interval(mae, GOOD, np.ones((3, 4)), rng)


# ------------------------------------------------------- intervals of a prediction

ERRORS = st.lists(st.floats(-90, 90, width=16), min_size=2, max_size=60)  # coarse: ties happen
SHARES = st.floats(0.05, 0.99)


def all_angles(values):
    return np.repeat(np.array(values, dtype=float)[:, None], 4, axis=1)


def held(errors, spread, factors):
    """Whether `angle ± factor * spread` holds the reference, (levels, n, 4)."""
    return np.abs(errors) <= factors[:, None] * spread


def held_in_turn(errors, level, seed=0):
    """Let each film in turn be the new one, and the others set the factor: the share held, (4,)."""
    spread = np.random.default_rng(seed).uniform(0.5, 9, errors.shape)
    inside = []
    for i in range(len(errors)):
        others = (np.delete(values, i, 0) for values in (errors, spread))
        inside.append(held(errors[[i]], spread[[i]], interval_factors(*others, [level])))
    return np.mean(inside, axis=(0, 1, 2))


@settings(deadline=None)
@given(ERRORS, st.integers(0, 9), SHARES)
def test_of_exchangeable_films_at_least_the_promised_share_is_held(values, seed, level):
    """Counted, not estimated: where films come in no order, each is as likely the new one as any other.

    With too few films for the level, it is all but one of them.
    """
    share, n = held_in_turn(all_angles(values), level, seed), len(values)
    assert (share >= min(level, (n - 1) / n) - 1e-9).all()


@settings(deadline=None)
@given(st.integers(2, 60), SHARES)
def test_no_more_is_held_than_one_film_in_n_above_it(n, level):
    """Without ties the share is the promised one, rounded up to a whole number of the n films."""
    share = held_in_turn(np.random.default_rng(n).normal(0, 5, size=(n, 4)), level)
    assert share * n == pytest.approx(min(np.ceil(level * n), n - 1))


@pytest.mark.parametrize("level, enough", list(zip(LEVELS, (4, 19))))
def test_how_many_films_a_level_needs(level, enough):
    errors = np.random.default_rng(1).normal(0, 5, size=(enough + 1, 4))
    assert (held_in_turn(errors, level) >= level).all()
    assert (held_in_turn(errors[1:], level) < level).all()


def test_factors_by_hand():
    errors = all_angles([-3, 1, 2, -4, 5, 6, 7, -8, 9]) * [1, 2, 3, 4]
    factors = interval_factors(errors, np.full((9, 4), 2.0), [0.1, 0.5, 0.79, 0.8, 0.81, 0.95])
    scores = [1, 5, 8, 8, 9, 9]  # of nine: ranks 1, 5, 8, 8, 9; for 0.95 nineteen would be needed
    np.testing.assert_allclose(factors, all_angles(scores) * [0.5, 1, 1.5, 2])


def test_one_film_gives_a_factor_and_it_is_its_own():
    np.testing.assert_allclose(interval_factors(all_angles([-6]), all_angles([3])), np.full((2, 4), 2))


def test_intervals_hold_what_they_promise_and_stretch_with_the_doubt(rng):
    """Model errors of unequal size, known up to a factor of three: 400 repetitions of 60 and 60 films."""
    shares, widths = [], []
    for _ in range(400):
        spread = rng.uniform(1, 9, size=(120, 4))
        errors = rng.laplace(0, 3 * spread)
        factors = interval_factors(errors[:60], spread[:60])
        shares.append(held(errors[60:], spread[60:], factors).mean((1, 2)))
        widths.append(factors.mean(1))
    # By the 60 films that set the factor and the 60 that are counted, a share varies by about
    # level (1 - level) 2 / 60; here it is a mean over 4 angles and 400 repetitions.
    for level, found in zip(LEVELS, np.mean(shares, axis=0)):
        error = (level * (1 - level) * 2 / 60 / 4 / 400) ** 0.5
        assert level - 4 * error <= found <= level + 1 / 61 + 4 * error
    # Laplace: |error| / spread has mean 3, and 80 % lie below 3 ln 5, 95 % below 3 ln 20.
    np.testing.assert_allclose(np.mean(widths, axis=0), 3 * np.log([5, 20]), rtol=0.1)


def test_doubt_in_other_units_gives_the_same_intervals(rng):
    errors, spread = rng.normal(0, 5, (30, 4)), rng.uniform(1, 4, (30, 4))
    np.testing.assert_allclose(
        interval_factors(errors, 7 * spread) * 7, interval_factors(errors, spread), rtol=1e-12
    )


def test_each_angle_has_factors_of_its_own(rng):
    errors, spread = rng.normal(0, 5, (30, 4)), rng.uniform(1, 4, (30, 4))
    factors = interval_factors(errors, spread)
    assert factors.shape == (2, 4) and (factors[1] > factors[0]).all()
    for k in range(4):
        alone = interval_factors(np.roll(errors, -k, 1), np.roll(spread, -k, 1))[:, 0]
        np.testing.assert_array_equal(alone, factors[:, k])
    np.testing.assert_array_equal(interval_factors(-errors[::-1], spread[::-1]), factors)


# ------------------------------------------------------------------------- tables


def test_summary_is_tidy_and_made_of_the_metrics(test_set):
    predicted, reference = test_set
    table = summary(predicted, reference, np.random.default_rng(0), resamples=500, reference="rated")
    errors = angle_errors(predicted, reference)
    low, high = bootstrap_interval(mae, errors, rng=np.random.default_rng(0), resamples=500)
    assert table["angle"].tolist() == [*ANGLES, "pooled"]
    assert set(table["reference"]) == {"rated"} and set(table["n"]) == {PATIENTS}
    expected = {
        "mae": mae(errors), "mae_low": low, "mae_high": high, "median": median_error(errors),
        "p90": p90_error(errors), "above_10": share_above(errors), "bias": bias(errors),
        "loa_low": limits_of_agreement(errors)[0], "loa_high": limits_of_agreement(errors)[1],
        "icc": icc_by_angle(errors, reference),
    }  # fmt: skip
    assert table.columns.tolist() == ["reference", "angle", "n", *expected]
    for column, values in expected.items():
        np.testing.assert_array_equal(table[column], values, err_msg=column)


def test_summary_takes_exactly_one_named_reference(test_set, rng):
    with pytest.raises(TypeError, match="reference"):
        summary(*test_set, rng)
    for unknown in ("Truth", "both", None, ["truth"]):
        with pytest.raises(InputError, match="allowed: one of truth, rated"):
            summary(*test_set, rng, reference=unknown)


def test_summary_accepts_lists_and_refuses_a_single_film(rng):
    table = summary([[40, 10, 50, 60], [30, 20, 50, 40]], [[40, 10, 50, 60]] * 2, rng, reference="truth")
    assert table["mae"].tolist() == [5, 5, 0, 10, 5]
    with pytest.raises(InputError, match="predicted_deg: got .*at least 2 films"):
        summary([[40, 10, 50, 60]], [[40, 10, 50, 60]], rng, reference="truth")


def test_identity_residual_is_zero_only_where_pi_is_pt_plus_ss(rng):
    ss, pt, off = rng.normal(30, 8, size=(3, 50))
    kept = np.stack([ss, pt, pt + ss, ss], 1)
    broken = kept + np.stack([0 * off, 0 * off, off, 0 * off], 1)
    assert identity_residual(kept) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(identity_residual(broken), np.abs(off), atol=1e-12)


def test_the_model_that_ignores_the_film_errs_by_the_spread_of_the_patients(rng):
    training, unseen = (rng.normal([40, 13, 53, 55], 10, size=(n, 4)) for n in (4000, 3000))
    predicted = predict_mean(training, len(unseen))
    assert predicted.shape == unseen.shape and (predicted == predicted[0]).all()
    np.testing.assert_allclose(predicted[0], pd.DataFrame(training).mean())
    # E|error| of a normal spread is SD·√(2/π) = 7.98; its standard error is 10·√((1-2/π)/3000) = 0.11.
    np.testing.assert_allclose(mae(angle_errors(predicted, unseen)), 10 * np.sqrt(2 / np.pi), atol=4 * 0.11)
