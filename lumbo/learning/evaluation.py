"""From predictions to errors, agreement, intervals and tables.  Taught in on_its_own.

Angles are arrays of shape ``(n, 4)``: one film of each of n patients, SS PT PI LL in
degrees.  A metric takes errors of shape ``(..., n, 4)`` and returns ``(..., 5)``: one
value per angle, then *pooled*, over the errors of all four angles together.  Leading
axes are resamples, so the function that makes the number makes its interval too.  Whatever is no such array, or holds
a number that is not finite, is refused by `InputError`.

Predictions are compared with the *truth* or with what a *rater* marked.  The two answer
different questions: every call takes one of them, and a table says which.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from lumbo.angles import ANGLES
from lumbo.errors import array, choice, instance, number, require, whole

__all__ = [
    "ROWS",
    "REFERENCES",
    "LEVELS",
    "BLOCK",
    "FARTHEST_DEG",
    "angle_errors",
    "mae",
    "median_error",
    "p90_error",
    "share_above",
    "bias",
    "limits_of_agreement",
    "icc",
    "icc_by_angle",
    "bootstrap_interval",
    "paired_interval",
    "summary",
    "interval_factors",
    "identity_residual",
    "predict_mean",
]

ROWS = (*ANGLES, "pooled")
REFERENCES = ("truth", "rated")
LEVELS = (0.8, 0.95)  # shares of cases that a prediction's intervals are made to hold
BLOCK = 2**18  # angle errors handled at once while bootstrapping: small enough for the processor's cache
FARTHEST_DEG = 1e6  # beyond it a prediction in float32 holds no tenth of a degree, and says nothing


def angle_errors(predicted_deg, reference_deg) -> np.ndarray:
    """Return predicted minus reference, wrapped to (-180, 180] degrees, shape (n, 4).

    Raises `InputError` unless both are of shape (n, 4) and equal length, within a million degrees.

    >>> angle_errors([[40, 10, 50, 179]], [[38, 11, 49, -171]]).tolist()
    [[2.0, -1.0, 1.0, -10.0]]
    """
    predicted = _angles("predicted_deg", predicted_deg)
    reference = _angles("reference_deg", reference_deg)
    _as_long("reference_deg", reference, predicted, "predicted_deg")
    difference = np.fmod(predicted, 360.0) - np.fmod(reference, 360.0)  # exact, whatever turns there are
    return difference - 360.0 * np.ceil((difference - 180.0) / 360.0)  # exact where nothing wraps


def mae(errors_deg: np.ndarray) -> np.ndarray:
    """Return the mean absolute error in degrees, shape (..., 5).

    >>> mae(np.array([[2, -1, 1, -10], [4, -1, 3, 10]])).tolist()
    [3.0, 1.0, 2.0, 10.0, 4.0]
    """
    return _with_pooled(np.mean, np.abs(_errors(errors_deg)))


def median_error(errors_deg: np.ndarray) -> np.ndarray:
    """Return the median absolute error in degrees, shape (..., 5): a few bad films do not move it."""
    return _with_pooled(np.median, np.abs(_errors(errors_deg)))


def p90_error(errors_deg: np.ndarray) -> np.ndarray:
    """Return what 90 % of the absolute errors stay below, in degrees, shape (..., 5)."""
    return _with_pooled(partial(np.quantile, q=0.9), np.abs(_errors(errors_deg)))


def share_above(errors_deg: np.ndarray, limit_deg: float = 10.0) -> np.ndarray:
    """Return the share of absolute errors strictly above the limit, shape (..., 5).

    >>> share_above(np.array([[2, -1, 1, -12], [4, -1, 3, 10]])).tolist()
    [0.0, 0.0, 0.0, 0.5, 0.125]
    """
    return _with_pooled(np.mean, np.abs(_errors(errors_deg)) > number("limit_deg", limit_deg, 0))


def bias(errors_deg: np.ndarray) -> np.ndarray:
    """Return the mean signed error in degrees, shape (..., 5).

    >>> bias(np.array([[2, -1, 1, -10], [4, -1, 3, 10]])).tolist()
    [3.0, -1.0, 2.0, 0.0, 1.0]
    """
    return _with_pooled(np.mean, _errors(errors_deg))


def limits_of_agreement(errors_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Bland–Altman 95 % limits, bias ± 1.96 SD, in degrees: (low, high), each (..., 5).

    Source: Bland and Altman, Lancet 1986, doi 10.1016/S0140-6736(86)90837-8.  The pooled
    limits describe the spread of all errors; the four errors of a patient move together.  At least
    two films.

    >>> low, high = limits_of_agreement(np.array([[-1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]))
    >>> float(low[0]), float(high[0])
    (-1.96, 1.96)
    """
    errors = _errors(errors_deg)
    _at_least_two("errors_deg", errors.shape[-2], "films")
    half = 1.96 * _with_pooled(partial(np.std, ddof=1), errors)
    return bias(errors) - half, bias(errors) + half


def icc(ratings_deg: np.ndarray) -> np.ndarray:
    """Return the agreement of k raters on n films, shape (..., n, k) -> (...); n, k >= 2.

    This is ICC(A,1) of McGraw and Wong 1996, doi 10.1037/1082-989X.1.1.30, which is
    ICC(2,1) of Shrout and Fleiss 1979, doi 10.1037/0033-2909.86.2.420: two-way, absolute
    agreement, a single measurement.  It grows with the spread of the patients: the same
    errors give a higher ICC in a more varied hospital.  NaN where nothing varies at all.

    A second rater who always reads 2 degrees more agrees, but not absolutely:

    >>> icc(np.array([[1, 3], [3, 5], [5, 7]])).tolist()  # mean squares: films 8, raters 6, rest 0
    0.6666666666666666
    """
    ratings = array("ratings_deg", ratings_deg, ("...", "n", "k"), -FARTHEST_DEG, FARTHEST_DEG)
    n, k = ratings.shape[-2:]
    _at_least_two("ratings_deg", n, "films")
    _at_least_two("ratings_deg", k, "raters")
    both = (-2, -1)
    film = ratings.mean(-1, keepdims=True)
    rater = ratings.mean(-2, keepdims=True)
    grand = ratings.mean(both, keepdims=True)
    ms_film = k * np.square(film - grand).sum(both) / (n - 1)
    ms_rater = n * np.square(rater - grand).sum(both) / (k - 1)
    ms_rest = np.square(ratings - film - rater + grand).sum(both) / ((n - 1) * (k - 1))
    varies = (ratings != ratings[..., :1, :1]).any(both)  # rounded means alone leave something that does not
    with np.errstate(invalid="ignore"):
        found = (ms_film - ms_rest) / (ms_film + (k - 1) * ms_rest + k / n * (ms_rater - ms_rest))
    return np.where(varies, found, np.nan)


def icc_by_angle(errors_deg: np.ndarray, reference_deg: np.ndarray) -> np.ndarray:
    """Return `icc` between prediction and reference, shape (..., 5).

    Pooled is NaN: between four different angles most of the spread is that PT is small
    and LL is large, so one ICC over them would look excellent whatever the model.
    """
    errors = _errors(errors_deg)
    reference = array("reference_deg", reference_deg, ("...", "n", len(ANGLES)))
    _as_long("reference_deg", reference, errors, "errors_deg")
    pair = np.stack([reference + errors, reference], -1)  # (..., n, 4, 2)
    by_angle = icc(np.swapaxes(pair, -3, -2))
    return np.concatenate([by_angle, np.full_like(by_angle[..., :1], np.nan)], -1)


def bootstrap_interval(
    metric: Callable,
    *arrays: np.ndarray,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile bootstrap interval of a metric over patients: (low, high).

    Patients are drawn with replacement, each with all four angles, because the errors of
    one patient are not independent (PI = PT + SS).  Source: Efron and Tibshirani, *An
    Introduction to the Bootstrap*, 1993, chapter 13.

    Parameters
    ----------
    metric : callable
        Takes `arrays`, resampled to shape (b, n, 4), and returns b values or rows of values.
    arrays : arrays, shape (n, 4)
        What the metric needs; row i belongs to patient i in all of them.
    rng : numpy.random.Generator
        The same state gives the same interval, bit for bit.
    resamples : int
    level : float
        Share of the resampled values inside the interval.

    Raises
    ------
    InputError
        Arrays of unequal length or empty, `resamples` below 1, `level` outside (0, 1).

    Examples
    --------
    Three patients with the same errors leave nothing to chance:

    >>> errors = np.array([[2.0, -1.0, 1.0, -10.0]] * 3)
    >>> low, high = bootstrap_interval(mae, errors, rng=np.random.default_rng(0))
    >>> low.tolist() == high.tolist() == [2.0, 1.0, 1.0, 10.0, 3.5]
    True
    """
    require(callable(metric), "metric", metric, "a function of errors, such as mae")
    instance("rng", rng, np.random.Generator, "numpy.random.default_rng(0)")
    given = [array(f"arrays[{i}]", one, ("n", len(ANGLES))) for i, one in enumerate(arrays)]
    lengths = [len(one) for one in given]
    require(len(set(lengths)) == 1, "arrays", lengths, "one length for all, at least 1 patient")
    resamples, level = whole("resamples", resamples, 1, 10_000_000), _level("level", level)
    draws = rng.integers(lengths[0], size=(resamples, lengths[0]))
    per_block = max(1, BLOCK // (lengths[0] * len(ANGLES)))
    blocks = (draws[start : start + per_block] for start in range(0, resamples, per_block))
    values = np.concatenate([metric(*(one[rows] for one in given)) for rows in blocks])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def paired_interval(
    metric: Callable,
    errors_a_deg: np.ndarray,
    errors_b_deg: np.ndarray,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of metric(a) - metric(b) for two models on the same patients: (low, high).

    Both models meet the same resampled patients, so a hard film weighs on both and
    cancels; two separate intervals would count it twice.  Errors as `bootstrap_interval`.

    >>> b = np.array([[2.0, 1.0, 1.0, 10.0], [5.0, 5.0, 5.0, 5.0]])
    >>> low, high = paired_interval(mae, b + 1, b, np.random.default_rng(0))
    >>> low.tolist() == high.tolist() == [1.0] * 5
    True
    """

    def difference(a, b):
        return metric(a) - metric(b)

    both = errors_a_deg, errors_b_deg
    require(callable(metric), "metric", metric, "a function of errors, such as mae")
    return bootstrap_interval(difference, *both, rng=rng, resamples=resamples, level=level)


def summary(
    predicted_deg, reference_deg, rng: np.random.Generator, resamples: int = 2000, *, reference: str
) -> pd.DataFrame:
    """Return one tidy row per angle, and one pooled, for one model on one test set.

    Parameters
    ----------
    predicted_deg, reference_deg : arrays, shape (n, 4), n >= 2
    rng : numpy.random.Generator
        Draws the patients of the 95 % interval of the MAE (`mae_low`, `mae_high`).
    resamples : int
    reference : {"truth", "rated"}
        What `reference_deg` is; carried as a column, so that tables cannot be mixed unseen.

    Returns
    -------
    DataFrame with 5 rows
        reference, angle, n, mae, mae_low, mae_high, median, p90, above_10 (a share), bias,
        loa_low, loa_high (Bland–Altman), icc.  Degrees, but for n, above_10 and icc.

    Raises
    ------
    InputError
        As `angle_errors` and `bootstrap_interval`; fewer than 2 films; unknown `reference`.

    Examples
    --------
    >>> truth = [[40, 10, 50, 60], [30, 20, 50, 40]]
    >>> rated = [[42, 9, 51, 63], [34, 19, 53, 41]]
    >>> table = summary(rated, truth, np.random.default_rng(0), reference="truth")
    >>> table[["angle", "n", "mae", "bias"]].values.tolist()[-1]
    ['pooled', 2, 2.0, 1.5]
    """
    choice("reference", reference, REFERENCES)
    errors = angle_errors(predicted_deg, reference_deg)
    _at_least_two("predicted_deg", len(errors), "films")
    mae_low, mae_high = bootstrap_interval(mae, errors, rng=rng, resamples=resamples)
    loa_low, loa_high = limits_of_agreement(errors)
    return pd.DataFrame(
        {
            "reference": reference,
            "angle": ROWS,
            "n": len(errors),
            "mae": mae(errors),
            "mae_low": mae_low,
            "mae_high": mae_high,
            "median": median_error(errors),
            "p90": p90_error(errors),
            "above_10": share_above(errors, 10.0),
            "bias": bias(errors),
            "loa_low": loa_low,
            "loa_high": loa_high,
            "icc": icc_by_angle(errors, reference_deg),
        }
    )


def interval_factors(errors_deg: np.ndarray, spread_deg: np.ndarray, levels=LEVELS) -> np.ndarray:
    """Return how many times its expected error each angle may be off, shape (levels, 4).

    Split conformal prediction with a scaled score: on films like these, held out from training,
    ``angle ± factor * spread`` holds the reference in at least the share `level` of cases.
    Source: Lei et al. 2018, doi 10.1080/01621459.2017.1307116, sections 2.2 and 5.2.  With
    too few films for a level the largest score stands in, and fewer cases are held.

    Parameters
    ----------
    errors_deg, spread_deg : arrays, shape (n, 4), n >= 1; spreads above 0
    levels : shares above 0 and below 1

    >>> errors = np.arange(1, 10)[:, None] * np.ones(4)  # off by 1 to 9 degrees
    >>> interval_factors(errors, np.full((9, 4), 2.0), [0.8])[0].tolist()
    [4.0, 4.0, 4.0, 4.0]
    """
    errors = array("errors_deg", errors_deg, ("n", len(ANGLES)))
    spread = array(
        "spread_deg", spread_deg, ("n", len(ANGLES)), float(np.finfo(np.float32).smallest_subnormal)
    )
    _as_long("spread_deg", spread, errors, "errors_deg")
    shares = [_level(f"levels[{i}]", level) for i, level in enumerate(array("levels", levels, ("levels",)))]
    score = np.sort(np.abs(errors) / spread, axis=0)
    rank = np.ceil(np.asarray(shares) * (len(score) + 1)).astype(int)
    return score[np.minimum(rank, len(score)) - 1]


def identity_residual(predicted_deg) -> np.ndarray:
    """Return |PI - PT - SS| in degrees, shape (n,): 0 wherever landmarks made the angles.

    Raises `InputError` as `angle_errors`.

    >>> identity_residual([[40, 10, 50, 60], [40, 10, 53, 60]]).tolist()
    [0.0, 3.0]
    """
    ss, pt, pi, _ = _angles("predicted_deg", predicted_deg).T
    return np.abs(pi - pt - ss)


def predict_mean(training_deg, n: int) -> np.ndarray:
    """Predict the training mean for n films, shape (n, 4): the model that ignores the film.

    Raises `InputError` as `angle_errors`.

    >>> predict_mean([[40, 10, 50, 60], [30, 20, 50, 40]], 1).tolist()
    [[35.0, 15.0, 50.0, 50.0]]
    """
    mean = _angles("training_deg", training_deg).mean(0)
    return np.tile(mean, (whole("n", n, 0, 10_000_000), 1))


def _with_pooled(statistic, values):
    """Apply statistic(values, axis=...) per angle and to all angles: (..., n, 4) -> (..., 5)."""
    together = values.reshape(*values.shape[:-2], -1)  # (..., 4 n)
    return np.concatenate([statistic(values, axis=-2), statistic(together, axis=-1)[..., None]], -1)


def _angles(field, values):
    """Return values as float64 of shape (n, 4), or say what is wrong with them."""
    return array(field, values, ("n", len(ANGLES)), -FARTHEST_DEG, FARTHEST_DEG)


def _errors(errors_deg):
    """Return errors as float64 of shape (..., n, 4), or say what is wrong with them."""
    return array("errors_deg", errors_deg, ("...", "n", len(ANGLES)))


def _as_long(field, values, others, name):
    require(values.shape == others.shape, field, values.shape, f"{others.shape}, as {name}")


def _at_least_two(field, count, what):
    require(count >= 2, field, f"{count} {what}", f"at least 2 {what}")


def _level(field, level):
    """Return a share that is neither nothing nor all."""
    share = number(field, level, 0, 1)
    require(0 < share < 1, field, level, "a number between 0 and 1, both excluded")
    return share
