"""What chance draws, and the intervals and p-values that follow from it.  Taught in experiment.

Chance enters twice: which patients were tested, and which patients, start and order a seed
gave to training.  `draw` draws both at once, with replacement: the same seeds for all arms, the
same test patients for all models, so that what two models share cancels between them.  With
many seeds such a crossed bootstrap errs on the wide side (Owen, Annals of Applied Statistics
2007, doi 10.1214/07-AOAS122).  With few, where the luck of seeds is the larger one, its intervals
are too narrow, without Student's tails: so `student` lets the seeds speak alone.
Hospitals are not drawn: six are no sample of them.

Nothing is gathered.  A resample is a row of weights, and row 0 weighs everything equally; one
matrix product gives the number (row 0) and all its resamples.  *Sampled* means an array
whose first axis has 1 + `resamples` rows in this sense.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from lumbo.errors import array, instance, require, whole

__all__ = [
    "Means",
    "Estimate",
    "Draws",
    "generator",
    "draw",
    "observed",
    "seed_weights",
    "intervals",
    "estimate",
    "student",
    "one_sided_p",
    "equivalence_p",
    "holm",
]

Means = dict[tuple[int, str], np.ndarray]  # sampled, by seed and hospital tested


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval, and the resamples (resamples,) that the interval comes from."""

    value: float
    low: float
    high: float
    samples: np.ndarray


@dataclass(frozen=True)
class Draws:
    """What chance draws, once for all models.

    patients : by hospital, the weights of its n test films, (1 + resamples, n); rows sum to 1
    luck : (resamples, most seeds) uniform numbers in [0, 1), which pick the seeds

    >>> drawn = Draws({"elm": np.array([[0.5, 0.5], [1.0, 0.0]])}, np.array([[0.9, 0.1]]))
    >>> first = drawn.over_patients("elm", np.array([2.0, 4.0]))
    >>> first.tolist()  # the mean of both films; then the first film, drawn twice
    [3.0, 2.0]
    >>> drawn.over_seeds({(0, "elm"): first, (1, "elm"): first + 2}).tolist()  # seed 1 is drawn
    [4.0, 4.0]
    """

    patients: dict[str, np.ndarray]
    luck: np.ndarray

    def over_patients(self, site: str, by_film: np.ndarray) -> np.ndarray:
        """Average what is known of every test film of a hospital: (n, ...) -> sampled (1 + resamples, ...)."""
        return np.tensordot(self.patients[site], by_film, 1)

    def over_seeds(self, means: Means) -> np.ndarray:
        """Average the hospitals of each seed, then the seeds by their weights: sampled."""
        seeds = sorted({seed for seed, _ in means})
        each = [np.mean([mean for (of, _), mean in means.items() if of == seed], axis=0) for seed in seeds]
        return np.einsum("rs,sr...->r...", seed_weights(len(seeds), self.luck), each)


def generator(rng: np.random.Generator) -> np.random.Generator:
    """Return `rng` if it is a generator of NumPy, or raise `InputError`."""
    return instance("rng", rng, np.random.Generator, "np.random.default_rng(0)")


def draw(patients: Mapping[str, int], seeds: int, rng: np.random.Generator, resamples: int) -> Draws:
    """Draw test patients, of whom each hospital has a number, and seeds with replacement."""
    patients, seeds = _counts(patients), whole("seeds", seeds, 1)
    rng, resamples = generator(rng), whole("resamples", resamples, 1)
    weights = {site: _weights(patients[site], resamples, rng) for site in sorted(patients)}
    return Draws(weights, rng.random((resamples, seeds)))


def observed(patients: Mapping[str, int]) -> Draws:
    """Draw nothing: all patients and all seeds weigh the same, and there are no resamples."""
    return Draws({site: _equal(n) for site, n in _counts(patients).items()}, np.empty((0, 1)))


def seed_weights(count: int, luck: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into weights of `count` seeds: sampled, (1 + resamples, count).

    Of S seeds, S - 1 are drawn with replacement.  S draws would make the variance of a mean too
    small by (S - 1) / S, which matters when S is 4: Rao and Wu, Journal of the American
    Statistical Association 1988, doi 10.1080/01621459.1988.10478591.

    >>> seed_weights(3, np.array([[0.1, 0.9, 0.5], [0.4, 0.5, 0.0]])).round(2).tolist()
    [[0.33, 0.33, 0.33], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    count, luck = whole("count", count, 1), array("luck", luck, ("...",), 0, np.nextafter(1.0, 0.0))
    enough = luck.ndim == 2 and (len(luck) == 0 or luck.shape[1] >= count - 1)
    require(enough, "luck", luck.shape, f"at least {count - 1} numbers for each resample")
    chosen = (luck[:, : max(1, count - 1)] * count).astype(int)  # (resamples, draws)
    weights = (chosen[..., None] == np.arange(count)).mean(1)
    return np.concatenate([_equal(count), weights])


def intervals(sampled: np.ndarray) -> np.ndarray:
    """Read value and 95 % percentile interval of sampled numbers: (1 + resamples, ...) -> (..., 3)."""
    sampled = array("sampled", sampled, ("...",), missing=True)
    fits = sampled.ndim > 0 and len(sampled) > 1
    require(fits, "sampled", sampled.shape, "a number and at least one resample of it: (1 + resamples, ...)")
    low, high = np.quantile(sampled[1:], [0.025, 0.975], axis=0)
    return np.stack([sampled[0], low, high], -1)


def estimate(sampled: np.ndarray) -> Estimate:
    """Read one sampled number, shape (1 + resamples,): its value, its interval and its resamples."""
    require(np.ndim(sampled) == 1, "sampled", np.shape(sampled), "one number and its resamples")
    value, low, high = map(float, intervals(sampled))
    return Estimate(value, low, high, sampled[1:])


def student(by_seed: Sequence[float], rng: np.random.Generator, resamples: int = 9999) -> Estimate:
    """Estimate a mean from what every seed says alone, by Student's t.

    It knows nothing of the luck of patients, and is honest about few seeds.  The resamples are what
    the mean could be; with fewer than two seeds nothing is known, and there are none.
    Source: Student, Biometrika 1908, 6, 1-25.
    """
    own = array("by_seed", by_seed, ("seeds",))
    rng, resamples = generator(rng), whole("resamples", resamples, 1)
    if len(own) < 2:
        return Estimate(float(own.mean()), -np.inf, np.inf, np.empty(0))
    error = own.std(ddof=1) / len(own) ** 0.5
    t = rng.standard_t(len(own) - 1, resamples)
    return estimate(own.mean() + error * np.concatenate([[0.0], t]))


def one_sided_p(samples: np.ndarray, limit: float = 0.0) -> float:
    """Return the p-value of "the number is not above `limit`".

    The percentile interval turned round (Efron and Tibshirani, *An Introduction to the Bootstrap*,
    1993, chapter 15): the share of resamples at or below the limit.  One is added to both counts
    (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, chapter 4): no number of
    resamples shows that a p-value is 0.  With 95 % intervals goes 0.025, not 0.05.

    >>> one_sided_p(np.array([-1.0, 0.5, 1.0, 2.0])), one_sided_p(np.array([0.5, 1.0, 2.0]))
    (0.4, 0.25)
    """
    samples = _list("samples", samples)
    _limit("limit", limit)
    return float((1 + np.sum(samples <= limit)) / (1 + len(samples)))


def equivalence_p(samples: np.ndarray, low: float, high: float) -> float:
    """Return the p-value of "the number is not between `low` and `high`".

    Two one-sided tests; the worse counts.  Source: Schuirmann, Journal of Pharmacokinetics and
    Biopharmaceutics 1987, doi 10.1007/BF01068419.

    >>> equivalence_p(np.array([-0.2, 0.0, 0.1, 0.7]), -0.5, 0.5)  # 0.2 below, 0.4 above
    0.4
    """
    samples = _list("samples", samples)
    require(_limit("low", low) < _limit("high", high), "high", high, f"more than low, {low}")
    return max(one_sided_p(samples, low), one_sided_p(-samples, -high))


def holm(p: Sequence[float]) -> np.ndarray:
    """Correct m p-values for being m: step down from the smallest, times m, m - 1, ..., never falling.

    Source: Holm, Scandinavian Journal of Statistics 1979, 6, 65-70.

    >>> holm([0.03, 0.01, 0.04]).tolist()  # 0.01 x 3; 0.03 x 2; 0.04 x 1 may not be less than that
    [0.06, 0.03, 0.06]
    """
    given = _list("p", p, 0, 1)
    order = np.argsort(given, kind="stable")
    stepped = np.minimum(1, np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1)))
    corrected = np.empty_like(given)
    corrected[order] = stepped
    return corrected


def _counts(patients: Mapping[str, int]) -> dict[str, int]:
    """Return how many patients each hospital has, or raise `InputError`."""
    known = isinstance(patients, Mapping) and len(patients) > 0
    require(known, "patients", patients, "how many at each hospital, such as {'elm': 300}")
    return {site: whole(f"patients.{site}", n, 1) for site, n in patients.items()}


def _list(field: str, values: object, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Return numbers in a row, perhaps none, or raise `InputError`."""
    found = array(field, values, ("...",), low, high)
    require(found.ndim == 1, field, found.shape, "numbers in a row")
    return found


def _limit(field: str, limit: float) -> float:
    """Return a number, perhaps an infinite one, or raise `InputError`."""
    real = isinstance(limit, Real) and not isinstance(limit, bool) and limit == limit
    real = real and (abs(limit) <= sys.float_info.max or abs(limit) == np.inf)
    require(real, field, limit, "a number")
    return limit


def _equal(n: int) -> np.ndarray:
    return np.full((1, n), 1 / n)


def _weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of n patients: all equal, then as often as each was drawn; (1 + resamples, n)."""
    chosen = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.concatenate([_equal(n), counts / n])
