"""From an outcome to tables, and to numbers with intervals and p-values.  Taught in experiment.

Chance enters twice: which patients were tested, and which patients, start and order a seed
gave to training.  Every interval of this module draws both at once, with replacement: the
same seeds for all arms, the same test patients for all models, so that what two models share
cancels between them.  With many seeds such a crossed bootstrap errs on the wide side (Owen, Annals
of Applied Statistics 2007, doi 10.1214/07-AOAS122).  With few, where their luck is the larger one,
its intervals are too narrow, without Student's tails: `claims.by_seed` gives the seeds one by one.
Hospitals are not drawn: six are no sample of them.

Nothing is gathered.  A resample is a row of weights, and row 0 weighs everything equally; one
matrix product gives the number (row 0) and all its resamples.  *Sampled* below means an array
whose first axis has 1 + `resamples` rows in this sense.

A *reading* is an arm and a kind of test, ("local", "outsider").  Hospitals weigh equally in
it, and so do the models that are tested there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass

import numpy as np
import pandas as pd

from lumbo.films import hospitals
from lumbo.learning import evaluation
from lumbo.errors import require, whole
from lumbo.learning.evaluation import LEVELS, ROWS
from lumbo.experiment.reproduction import ARMS, Job, Outcome

__all__ = [
    "TESTS",
    "ANSWERED",
    "Reading",
    "Cells",
    "Estimate",
    "Draws",
    "kind_of_test",
    "results",
    "overview",
    "left_out",
    "by_angle",
    "curve",
    "coverage",
    "declining",
    "identity",
    "yardsticks",
    "endings",
    "error",
    "difference",
    "gains",
    "gain_per_doubling",
    "draw",
    "seed_weights",
    "estimate",
    "student",
    "one_sided_p",
    "equivalence_p",
    "holm",
]

TESTS = ("internal", "participant", "outsider", "left out")
ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)  # shares of films that a declining model still answers

Reading = tuple[str, str]
Cells = dict[tuple[int, str], np.ndarray]  # sampled, by seed and hospital tested


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
    """

    patients: dict[str, np.ndarray]
    luck: np.ndarray


# Which test is which


def kind_of_test(job: Job, site: str) -> str:
    """Say what testing a model on a hospital's films is, one of `TESTS`.

    >>> [kind_of_test(Job("landmarks", "local", 0, "aspen"), site) for site in ("aspen", "birch", "elm")]
    ['internal', 'participant', 'outsider']
    >>> kind_of_test(Job("landmarks", "federated", 0, without="birch"), "birch")
    'left out'
    """
    if hospitals.hospital(site).role == "outsider":
        return "outsider"
    if job.without == site:
        return "left out"
    return "participant" if job.arm == "local" and job.site != site else "internal"


# Tables


def results(outcome: Outcome, rng: np.random.Generator, resamples: int = 1000) -> pd.DataFrame:
    """Score every model on every test set: one tidy row per angle, against rated angles and truth.

    The columns are those of a `Job`, tested_on, test, and of `evaluation.summary`; one model has
    one seed, so that these intervals know the luck of its patients alone.
    """
    seeds = {site: int(rng.integers(2**32)) for site in sorted(outcome.rated)}
    rows = []
    for job, by_site in outcome.said.items():
        for site, predicted in by_site.items():
            head = asdict(job) | {"tested_on": site, "test": kind_of_test(job, site)}
            for name in ("rated", "truth"):
                angles, again = getattr(outcome, name)[site], np.random.default_rng(seeds[site])
                table = evaluation.summary(predicted, angles, again, resamples, reference=name)
                rows.append(table.assign(**head)[[*head, *table.columns]])
    return pd.concat(rows, ignore_index=True)


def overview(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Average the MAE of all angles over models and hospitals: one row per network, arm and kind of test.

    Models that left a hospital out, or that stand on the learning curve, have tables of their own.

    Parameters
    ----------
    rng : draws seeds and patients of the 95 % interval; with one seed, patients alone
    reference : "rated" or "truth"

    Returns
    -------
    DataFrame with columns network, arm, test, models, mae, low, high; degrees
    """
    return _pooled(by_angle(outcome, rng, reference, resamples))


def left_out(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Do as `overview` for models trained without a hospital and tested on it; empty if there are none."""
    return _pooled(by_angle(outcome, rng, reference, resamples, tests=("left out",)))


def by_angle(
    outcome: Outcome,
    rng: np.random.Generator,
    reference: str = "rated",
    resamples: int = 2000,
    tests: Sequence[str] = TESTS[:3],
) -> pd.DataFrame:
    """Do as `overview`, with a row for each angle and one, "pooled", for all four."""
    drawn, rows = draw(outcome, rng, resamples), []
    for network, arm, test in _readings(outcome, tests):
        models = len({job for job, _ in _pairs(outcome, network, (arm, test))})
        cells = _error_cells(outcome, drawn, network, (arm, test), reference)
        intervals = _intervals(_over_seeds(cells, drawn))
        rows += [(network, arm, test, models, angle, *found) for angle, found in zip(ROWS, intervals)]
    return pd.DataFrame(rows, columns=["network", "arm", "test", "models", "angle", "mae", "low", "high"])


def curve(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Average the MAE of local models by the number of films they were trained on: the learning curve.

    Its last points are the local models of the same hospitals and seeds, with all their films.
    Empty where no model stands on the curve.

    Returns
    -------
    DataFrame with columns network, test, films, models, mae, low, high
    """
    drawn, rows = draw(outcome, rng, resamples), []
    places = {(job.network, job.seed, job.site) for job in outcome.said if job.films}
    on_curve = [
        job for job in outcome.said if job.arm == "local" and (job.network, job.seed, job.site) in places
    ]
    keys = {(job.network, outcome.films[job]) for job in on_curve}
    for network, films in sorted(keys):
        at = [job for job in on_curve if (job.network, outcome.films[job]) == (network, films)]
        for test in TESTS[:3]:
            if pairs := _tested(outcome, at, test):
                sampled = _over_seeds(_cells(_errors(outcome, drawn, pairs, reference)), drawn)
                rows.append((network, test, films, len(at), *_intervals(sampled)[-1]))
    return pd.DataFrame(rows, columns=["network", "test", "films", "models", "mae", "low", "high"])


def coverage(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Say what share of the angles lies inside the intervals that the models gave with them.

    Returns
    -------
    DataFrame with columns network, arm, test, angle, level (0.80, 0.95: what the share should
    be), share, low, high
    """
    drawn, rows = draw(outcome, rng, resamples), []

    def inside(job, site):  # (n, 5, 2)
        miss = np.abs(_difference(outcome, job, site, reference))[..., None]
        hit = (miss <= outcome.within[job][site]).astype(float)
        return np.concatenate([hit, hit.mean(1, keepdims=True)], 1)

    for network, arm, test in _readings(outcome, TESTS[:3]):
        sampled = _over_seeds(_cells(_sampled(drawn, _pairs(outcome, network, (arm, test)), inside)), drawn)
        for i, angle in enumerate(ROWS):
            for j, level in enumerate(LEVELS):
                rows.append((network, arm, test, angle, level, *_intervals(sampled[:, i, j])))
    names = ["network", "arm", "test", "angle", "level", "share", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def declining(
    outcome: Outcome,
    rng: np.random.Generator,
    reference: str = "rated",
    answered: Sequence[float] = ANSWERED,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Average the MAE of the films that a model answers, when it declines those it is least sure of.

    A film is as unsure as its widest 95 % interval, each angle's width relative to its median on
    the films of the model's internal test: outsiders set no scale.  At each hospital a model
    answers the same share; which films, is not drawn anew in the resamples.

    Returns
    -------
    DataFrame with columns network, arm, test, answered (the share), mae, low, high
    """
    drawn, rows = draw(outcome, rng, resamples), []
    scales = {job: _typical_width(outcome, job) for job in outcome.said if _main(job)}

    def parts(job, site):  # (n, shares, 2): the error where the film is answered, and whether it is
        width = (outcome.within[job][site][..., 1] / scales[job]).max(1)
        kept = _rank(width)[:, None] < np.maximum(1, np.round(np.asarray(answered) * len(width)))
        error = np.abs(_difference(outcome, job, site, reference)).mean(1)
        return np.stack([error[:, None] * kept, kept], -1)

    for network, arm, test in _readings(outcome, TESTS[:3]):
        sums = _sampled(drawn, _pairs(outcome, network, (arm, test)), parts)
        with np.errstate(invalid="ignore"):  # a resample without one answered film says nothing: NaN
            ratios = {pair: sampled[..., 0] / sampled[..., 1] for pair, sampled in sums.items()}
        intervals = _intervals(_over_seeds(_cells(ratios), drawn))
        rows += [(network, arm, test, share, *found) for share, found in zip(answered, intervals)]
    return pd.DataFrame(rows, columns=["network", "arm", "test", "answered", "mae", "low", "high"])


def identity(outcome: Outcome) -> pd.DataFrame:
    """Say how far predictions are from PI = PT + SS: |PI - PT - SS| in degrees over all films of a reading.

    Zero up to rounding wherever landmarks made the angles.  Columns network, arm, test, median, p90.
    """
    rows = []
    for network, arm, test in _readings(outcome, TESTS[:3]):
        pairs = _pairs(outcome, network, (arm, test))
        gaps = [evaluation.identity_residual(outcome.said[job][site]) for job, site in pairs]
        rows.append((network, arm, test, *np.quantile(np.concatenate(gaps), [0.5, 0.9])))
    return pd.DataFrame(rows, columns=["network", "arm", "test", "median", "p90"])


def yardsticks(outcome: Outcome, rng: np.random.Generator, resamples: int = 2000) -> pd.DataFrame:
    """Give the MAE of two readers that are no model, on participants ("internal") and on outsiders.

    "rater" : rated angles against truth.  It is also the error, against rated angles, of a model
        that knows the truth; only one that knows the raters' habits too could have less.
    "best constant" : against rated angles, one answer for all films of a hospital, the median of
        its own test films.  Whatever ignores the film does no better, for it does not know them.

    Returns
    -------
    DataFrame with columns reader, test, angle, mae, low, high; the constants are not drawn anew
    """
    drawn, rows = draw(outcome, rng, resamples), []
    for reader in ("rater", "best constant"):
        for test, role in (("internal", "participant"), ("outsider", "outsider")):
            errors = {
                site: _with_pooled(_unread(outcome, reader, site))
                for site in sorted(outcome.rated)
                if hospitals.hospital(site).role == role
            }
            if errors:
                sampled = np.mean([drawn.patients[site] @ errors[site] for site in errors], axis=0)
                rows += [(reader, test, angle, *found) for angle, found in zip(ROWS, _intervals(sampled))]
    return pd.DataFrame(rows, columns=["reader", "test", "angle", "mae", "low", "high"])


def endings(outcome: Outcome, run: dict) -> pd.DataFrame:
    """Say how far from its end training was when the steps ran out, averaged over the models of an arm.

    An arm that was still improving is not beaten, only interrupted.

    run : from `reproduction.read_run` of the same folder

    Returns
    -------
    DataFrame with columns network, arm, late_gain (how much the best validation MAE fell in the last quarter
    of the steps taken, degrees; NaN if it was looked at only there), steps (taken), early (share of models
    that ran out of patience before they ran out of steps)
    """
    rows = []
    for job in filter(_main, outcome.said):
        steps, _, errors = np.array(run["jobs"][job.name]["history"]).T
        late = steps > 0.75 * steps[-1]
        gain = max(0.0, errors[~late].min() - errors.min()) if not late.all() else np.nan
        rows.append((job.network, job.arm, gain, steps[-1], steps[-1] < 0.95 * run["size"]["plan"]["steps"]))
    table = pd.DataFrame(rows, columns=["network", "arm", "late_gain", "steps", "early"])
    return table.groupby(["network", "arm"], as_index=False).mean()


# Single numbers


def error(
    outcome: Outcome,
    network: str,
    reading: Reading,
    rng: np.random.Generator,
    reference: str = "rated",
    angle: str = "pooled",
    resamples: int = 2000,
) -> Estimate:
    """Estimate the MAE of one reading, such as ("local", "internal"), in degrees.

    Raises `InputError` where the outcome holds no such model.
    """
    drawn = draw(outcome, rng, resamples)
    cells = _error_cells(outcome, drawn, network, reading, reference)
    return estimate(_over_seeds(cells, drawn)[:, _column(angle)])


def difference(
    outcome: Outcome,
    network: str,
    a: Reading,
    b: Reading,
    rng: np.random.Generator,
    reference: str = "rated",
    angle: str = "pooled",
    resamples: int = 2000,
) -> Estimate:
    """Estimate MAE(a) - MAE(b), paired: the same seeds and the same test films on both sides.

    The two readings meet hospital by hospital and seed by seed, and only where both exist.  So a
    local model on other participants pairs with the federated model on those same films, and
    a federated model that left a hospital out with the three local models of the others:

    - ("federated", "internal") and ("centralized", "internal");
    - ("local", "internal") and ("federated", "internal");
    - ("local", "participant") and ("federated", "internal"), which has seen that hospital;
    - ("local", "outsider") and ("federated", "outsider"): nobody has seen it;
    - ("local", "participant") and ("federated", "left out"): nobody has seen it either.

    Raises `InputError` where no model, or no common seed and hospital, is there.
    """
    drawn = draw(outcome, rng, resamples)
    one, other = (_error_cells(outcome, drawn, network, reading, reference) for reading in (a, b))
    both = sorted(one.keys() & other.keys())
    require(bool(both), "b", b, f"a reading of the same hospitals and seeds as {a}")
    return estimate(_over_seeds({key: one[key] - other[key] for key in both}, drawn)[:, _column(angle)])


def gains(outcome: Outcome, reference: str = "rated") -> pd.DataFrame:
    """List what each hospital gains by taking part: the MAE of its local model minus the federated one.

    Both on that hospital's own test films.

    Returns
    -------
    DataFrame with columns network, seed, hospital, films (that its local model had), local,
    federated, gain; degrees
    """
    observed = Draws({site: _equal(len(rated)) for site, rated in outcome.rated.items()}, np.empty((0, 1)))
    rows = [
        (network, seed, site, films, *map(float, (*local, *federated, *(local - federated))))
        for network in _networks(outcome)
        for (seed, site), (films, local, federated) in _gain_cells(
            outcome, observed, network, reference
        ).items()
    ]
    return pd.DataFrame(rows, columns=["network", "seed", "hospital", "films", "local", "federated", "gain"])


def gain_per_doubling(
    outcome: Outcome,
    network: str,
    rng: np.random.Generator,
    reference: str = "rated",
    resamples: int = 2000,
) -> Estimate:
    """Estimate how the gain of a hospital changes when it has twice the films, in degrees.

    Least squares of the gain on log2(films) within each seed, then the mean over seeds: negative
    where small hospitals gain more.  In one seed a hospital is small *and* itself; over a full
    rotation of the sizes what is the hospital's own cancels.  The resamples are no full
    rotations, so the interval still pays for it and is wide rather than narrow.

    Raises `InputError` where a seed has fewer than two hospital sizes.
    """
    drawn = draw(outcome, rng, resamples)
    cells = _gain_cells(outcome, drawn, network, reference)
    by_seed = {}
    for seed in sorted({seed for seed, _ in cells}):
        films, local, federated = zip(*(cell for (of, _), cell in cells.items() if of == seed))
        x = np.log2(films) - np.log2(films).mean()
        require(np.ptp(x) > 0, "films", sorted(films), "hospitals of at least two sizes in every seed")
        by_seed[seed, "all"] = np.tensordot(x, np.subtract(local, federated), 1) / (x @ x)
    return estimate(_over_seeds(by_seed, drawn))


# Chance


def draw(outcome: Outcome, rng: np.random.Generator, resamples: int) -> Draws:
    """Draw test patients and seeds with replacement, the same for every model."""
    whole("resamples", resamples, 1)
    patients = {site: _weights(len(outcome.rated[site]), resamples, rng) for site in sorted(outcome.rated)}
    return Draws(patients, rng.random((resamples, len({job.seed for job in outcome.said}))))


def seed_weights(count: int, luck: np.ndarray) -> np.ndarray:
    """Turn uniform numbers into weights of `count` seeds: sampled, (1 + resamples, count).

    Of S seeds, S - 1 are drawn with replacement.  S draws would make the variance of a mean too
    small by (S - 1) / S, which matters when S is 4: Rao and Wu, Journal of the American
    Statistical Association 1988, doi 10.1080/01621459.1988.10478591.

    >>> seed_weights(3, np.array([[0.1, 0.9, 0.5], [0.4, 0.5, 0.0]])).round(2).tolist()
    [[0.33, 0.33, 0.33], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    """
    chosen = (luck[:, : max(1, count - 1)] * count).astype(int)  # (resamples, draws)
    weights = (chosen[..., None] == np.arange(count)).mean(1)
    return np.concatenate([np.full((1, count), 1 / count), weights])


def estimate(sampled: np.ndarray) -> Estimate:
    """Read a sampled number, shape (1 + resamples,): its value, and the percentile interval of the rest."""
    return Estimate(*map(float, _intervals(sampled)), sampled[1:])


def student(by_seed: Sequence[float], rng: np.random.Generator, resamples: int = 9999) -> Estimate:
    """Estimate a mean from what every seed says alone, by Student's t: silent about patients, honest with few seeds.

    The resamples are what the mean could be; with fewer than two seeds nothing is known, and there are none.
    Source: Student, Biometrika 1908, 6, 1-25.
    """
    own = np.asarray(by_seed, dtype=float)
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
    return float((1 + np.sum(samples <= limit)) / (1 + len(samples)))


def equivalence_p(samples: np.ndarray, low: float, high: float) -> float:
    """Return the p-value of "the number is not between `low` and `high`".

    Two one-sided tests; the worse counts.  Source: Schuirmann, Journal of Pharmacokinetics and
    Biopharmaceutics 1987, doi 10.1007/BF01068419.

    >>> equivalence_p(np.array([-0.2, 0.0, 0.1, 0.7]), -0.5, 0.5)  # 0.2 below, 0.4 above
    0.4
    """
    return max(one_sided_p(samples, low), one_sided_p(-samples, -high))


def holm(p: Sequence[float]) -> np.ndarray:
    """Correct m p-values for being m: step down from the smallest, times m, m - 1, ..., never falling.

    Source: Holm, Scandinavian Journal of Statistics 1979, 6, 65-70.

    >>> holm([0.03, 0.01, 0.04]).tolist()  # 0.01 x 3; 0.03 x 2; 0.04 x 1 may not be less than that
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    corrected = np.empty_like(p)
    corrected[order] = stepped
    return corrected


# Parts


def _main(job: Job) -> bool:
    """Whether a model belongs to the main comparison: all hospitals, all films."""
    return not job.without and not job.films


def _networks(outcome: Outcome) -> list[str]:
    return sorted({job.network for job in outcome.said})


def _readings(outcome: Outcome, tests: Sequence[str]) -> list[tuple[str, str, str]]:
    """List network, arm and test of every reading that the outcome holds, in the order of a table."""
    return [
        (network, arm, test)
        for network in _networks(outcome)
        for arm in ARMS
        for test in tests
        if _pairs(outcome, network, (arm, test))
    ]


def _pairs(outcome: Outcome, network: str, reading: Reading) -> list[tuple[Job, str]]:
    """List models and the hospitals they are tested on in one reading, whatever order they ran in."""
    arm, test = reading
    wanted = [
        job
        for job in outcome.said
        if (job.network, job.arm) == (network, arm)
        and (_main(job) if test != "left out" else bool(job.without))
    ]
    return _tested(outcome, wanted, test)


def _tested(outcome, jobs, test) -> list[tuple[Job, str]]:
    pairs = [(job, site) for job in jobs for site in outcome.said[job] if kind_of_test(job, site) == test]
    return sorted(pairs, key=lambda pair: (astuple(pair[0]), pair[1]))


def _difference(outcome, job, site, reference) -> np.ndarray:
    """Predicted minus reference angles of one model on one hospital's films, (n, 4) degrees."""
    require(reference in evaluation.REFERENCES, "reference", reference, "rated or truth")
    return evaluation.angle_errors(outcome.said[job][site], getattr(outcome, reference)[site])


def _with_pooled(errors_deg) -> np.ndarray:
    """Absolute errors by film and angle, and their mean over the four: (n, 4) -> (n, 5)."""
    size = np.abs(errors_deg)
    return np.concatenate([size, size.mean(1, keepdims=True)], 1)


def _sampled(drawn: Draws, pairs, by_film: Callable) -> dict[tuple[Job, str], np.ndarray]:
    """Weigh what `by_film(job, site)`, (n, ...), says of every film: sampled means, (1 + resamples, ...)."""
    return {(job, site): np.tensordot(drawn.patients[site], by_film(job, site), 1) for job, site in pairs}


def _errors(outcome, drawn, pairs, reference) -> dict[tuple[Job, str], np.ndarray]:
    """Sampled MAE of every pair, one column per angle and one pooled: (1 + resamples, 5)."""
    return _sampled(drawn, pairs, lambda job, site: _with_pooled(_difference(outcome, job, site, reference)))


def _cells(sampled: dict[tuple[Job, str], np.ndarray]) -> Cells:
    """Average the models that share a seed and a hospital tested."""
    cells: dict[tuple[int, str], list] = {}
    for (job, site), values in sampled.items():
        cells.setdefault((job.seed, site), []).append(values)
    return {key: np.mean(cells[key], axis=0) for key in sorted(cells)}


def _over_seeds(cells: Cells, drawn: Draws) -> np.ndarray:
    """Average the hospitals of each seed, then the seeds by their weights: sampled."""
    seeds = sorted({seed for seed, _ in cells})
    each = [np.mean([values for (of, _), values in cells.items() if of == seed], axis=0) for seed in seeds]
    return np.einsum("rs,sr...->r...", seed_weights(len(seeds), drawn.luck), each)


def _error_cells(outcome, drawn, network, reading, reference) -> Cells:
    pairs = _pairs(outcome, network, reading)
    require(bool(pairs), "reading", (network, *reading), "a network, an arm and a test that were run")
    return _cells(_errors(outcome, drawn, pairs, reference))


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.angle == "pooled"].drop(columns="angle").reset_index(drop=True)


def _gain_cells(outcome, drawn, network, reference) -> dict[tuple[int, str], tuple]:
    """Films of each seed and hospital, its local MAE and the federated one; both pooled and sampled."""
    arms = [
        _error_cells(outcome, drawn, network, (arm, "internal"), reference) for arm in ("local", "federated")
    ]
    owners = {
        (job.seed, site): outcome.films[job] for job, site in _pairs(outcome, network, ("local", "internal"))
    }
    both = [key for key in arms[0] if key in arms[1]]
    return {key: (owners[key], *(cells[key][:, -1] for cells in arms)) for key in both}


def _equal(n) -> np.ndarray:
    return np.full((1, n), 1 / n)


def _weights(n, resamples, rng) -> np.ndarray:
    """Weights of n patients: all equal, then as often as each was drawn; (1 + resamples, n)."""
    chosen = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=resamples * n).reshape(resamples, n)
    return np.concatenate([_equal(n), counts / n])


def _intervals(sampled) -> np.ndarray:
    """Value and 95 % percentile interval of a sampled array: (1 + resamples, ...) -> (..., 3)."""
    low, high = np.quantile(sampled[1:], [0.025, 0.975], axis=0)
    return np.stack([sampled[0], low, high], -1)


def _typical_width(outcome, job) -> np.ndarray:
    """Median half-width of a model's 95 % intervals on its internal test films, by angle: (4,)."""
    sites = [site for site in outcome.said[job] if kind_of_test(job, site) == "internal"]
    return np.median(np.concatenate([outcome.within[job][site][..., 1] for site in sites]), axis=0)


def _rank(values) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _unread(outcome, reader, site) -> np.ndarray:
    """Errors of a reader that is no model, (n, 4)."""
    rated = outcome.rated[site]
    if reader == "rater":
        return evaluation.angle_errors(rated, outcome.truth[site])
    return evaluation.angle_errors(np.tile(np.median(rated, 0), (len(rated), 1)), rated)


def _column(angle) -> int:
    require(angle in ROWS, "angle", angle, f"one of {', '.join(ROWS)}")
    return ROWS.index(angle)
