"""From an outcome to tables and to single numbers, with their intervals.  Taught in experiment.

A *reading* is an arm and a kind of test, ("local", "outsider").  Hospitals weigh equally in
it, and so do the models that are tested there.  Every interval counts two kinds of luck, that of
the test patients and that of the seeds: see `resampling`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple

import numpy as np
import pandas as pd

from lumbo.errors import array, choice, instance, require, whole
from lumbo.experiment import resampling
from lumbo.experiment.jobs import ARMS, Job
from lumbo.experiment.resampling import Draws, Estimate, Means, estimate, intervals
from lumbo.experiment.results import Outcome, noted
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation
from lumbo.learning.evaluation import LEVELS, ROWS

__all__ = [
    "TESTS",
    "ANSWERED",
    "Reading",
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
]

TESTS = ("internal", "participant", "outsider", "left out")
ANSWERED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)  # shares of films that a declining model still answers

Reading = tuple[str, str]
_Pair = tuple[Job, str]  # a model and a hospital that it is tested on


def kind_of_test(job: Job, site: str) -> str:
    """Say what testing a model on a hospital's films is, one of `TESTS`.

    >>> [kind_of_test(Job("landmarks", "local", 0, "aspen"), site) for site in ("aspen", "birch", "elm")]
    ['internal', 'participant', 'outsider']
    >>> kind_of_test(Job("landmarks", "federated", 0, without="birch"), "birch")
    'left out'
    """
    instance("job", job, Job, "Job('landmarks', 'federated', 0)")
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
    outcome, rng, resamples = _full(outcome), resampling.generator(rng), whole("resamples", resamples, 1)
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
    outcome: Outcome,
    rng: np.random.Generator,
    reference: str = "rated",
    resamples: int = 2000,
    tests: Sequence[str] = TESTS[:3],
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
    table = by_angle(outcome, rng, reference, resamples, tests)
    return table[table.angle == "pooled"].drop(columns="angle").reset_index(drop=True)


def left_out(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Do as `overview` for models trained without a hospital and tested on it; empty if there are none."""
    return overview(outcome, rng, reference, resamples, tests=("left out",))


def by_angle(
    outcome: Outcome,
    rng: np.random.Generator,
    reference: str = "rated",
    resamples: int = 2000,
    tests: Sequence[str] = TESTS[:3],
) -> pd.DataFrame:
    """Do as `overview`, with a row for each angle and one, "pooled", for all four."""
    tests = [choice("tests", test, TESTS) for test in _several("tests", tests)]
    drawn, rows = _draw(outcome, rng, resamples), []
    mae = _mae(outcome, drawn, reference)
    for *reading, pairs in _readings(outcome, tests):
        models = len({job for job, _ in pairs})
        found = intervals(drawn.over_seeds(_means(pairs, mae)))
        rows += [(*reading, models, angle, *of) for angle, of in zip(ROWS, found)]
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
    drawn, rows = _draw(outcome, rng, resamples), []
    mae = _mae(outcome, drawn, reference)
    for (network, films), jobs in sorted(_points(outcome).items()):
        for test in TESTS[:3]:
            if pairs := _tested(outcome, jobs, test):
                pooled = drawn.over_seeds(_means(pairs, mae))[:, -1]
                rows.append((network, test, films, len(jobs), *intervals(pooled)))
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
    reference = _reference(reference)
    drawn, rows = _draw(outcome, rng, resamples), []

    def share(job: Job, site: str) -> np.ndarray:  # (1 + resamples, 5, 2)
        miss = np.abs(_difference(outcome, job, site, reference))[..., None]
        inside = (miss <= outcome.within[job][site]).astype(float)
        return drawn.over_patients(site, _with_pooled(inside))

    for *reading, pairs in _readings(outcome, TESTS[:3]):
        found = intervals(drawn.over_seeds(_means(pairs, share)))
        for angle, by_level in zip(ROWS, found):
            rows += [(*reading, angle, level, *of) for level, of in zip(LEVELS, by_level)]
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
    reference, shares = _reference(reference), array("answered", answered, ("shares",), 0, 1)
    require((shares > 0).all(), "answered", answered, "shares above 0")
    drawn, rows = _draw(outcome, rng, resamples), []
    scales = {job: _typical_width(outcome, job) for job in outcome.said if _main(job)}

    def mae(job: Job, site: str) -> np.ndarray:  # (1 + resamples, shares)
        width = (outcome.within[job][site][..., 1] / scales[job]).max(1)
        kept = _rank(width)[:, None] < np.maximum(1, np.round(shares * len(width)))
        error = np.abs(_difference(outcome, job, site, reference)).mean(1)
        sums = drawn.over_patients(site, np.stack([error[:, None] * kept, kept], -1))
        with np.errstate(invalid="ignore"):  # a resample without one answered film says nothing: NaN
            return sums[..., 0] / sums[..., 1]

    for *reading, pairs in _readings(outcome, TESTS[:3]):
        found = intervals(drawn.over_seeds(_means(pairs, mae)))
        rows += [(*reading, share, *of) for share, of in zip(shares.tolist(), found)]
    return pd.DataFrame(rows, columns=["network", "arm", "test", "answered", "mae", "low", "high"])


def identity(outcome: Outcome) -> pd.DataFrame:
    """Say how far predictions are from PI = PT + SS: |PI - PT - SS| in degrees over all films of a reading.

    Zero up to rounding wherever landmarks made the angles.  Columns network, arm, test, median, p90.
    """
    rows = []
    for *reading, pairs in _readings(_full(outcome), TESTS[:3]):
        gaps = [evaluation.identity_residual(outcome.said[job][site]) for job, site in pairs]
        rows.append((*reading, *np.quantile(np.concatenate(gaps), [0.5, 0.9])))
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
    drawn, rows = _draw(outcome, rng, resamples), []
    for reader in ("rater", "best constant"):
        for test, role in (("internal", "participant"), ("outsider", "outsider")):
            sites = [site for site in sorted(outcome.rated) if hospitals.hospital(site).role == role]
            if sites:
                errors = {site: _with_pooled(np.abs(_unread(outcome, reader, site))) for site in sites}
                sampled = np.mean([drawn.over_patients(site, errors[site]) for site in sites], axis=0)
                rows += [(reader, test, angle, *of) for angle, of in zip(ROWS, intervals(sampled))]
    return pd.DataFrame(rows, columns=["reader", "test", "angle", "mae", "low", "high"])


def endings(outcome: Outcome, run: dict) -> pd.DataFrame:
    """Say how far from its end training was when the steps ran out, averaged over the models of an arm.

    An arm that was still improving is not beaten, only interrupted.

    run : what `read_run` says of the folder that the outcome comes from

    Returns
    -------
    DataFrame with columns network, arm, late_gain (how much the best validation MAE fell in the last quarter
    of the steps taken, degrees; NaN if it was looked at only there), steps (taken), early (share of models
    that ran out of patience before they ran out of steps)
    """
    rows, limit = [], whole("run.size.plan.steps", noted(run, "size", "plan", "steps"), 1)
    for job in filter(_main, _full(outcome).said):
        history = noted(run, "jobs", job.name, "history")
        steps, _, errors = array(f"run.jobs.{job.name}.history", history, ("checks", 3)).T
        late = steps > 0.75 * steps[-1]
        gain = max(0.0, errors[~late].min() - errors.min()) if not late.all() else np.nan
        rows.append((job.network, job.arm, gain, steps[-1], steps[-1] < 0.95 * limit))
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
    column, drawn = _column(angle), _draw(outcome, rng, resamples)
    means = _reading(outcome, drawn, network, reading, reference)
    return estimate(drawn.over_seeds(means)[:, column])


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
    column, drawn = _column(angle), _draw(outcome, rng, resamples)
    one, other = (_reading(outcome, drawn, network, reading, reference) for reading in (a, b))
    both = {key: one[key] - other[key] for key in one if key in other}
    require(bool(both), "b", b, f"a reading of the same hospitals and seeds as {a}")
    return estimate(drawn.over_seeds(both)[:, column])


def gains(outcome: Outcome, reference: str = "rated") -> pd.DataFrame:
    """List what each hospital gains by taking part: the MAE of its local model minus the federated one.

    Both on that hospital's own test films.

    Returns
    -------
    DataFrame with columns network, seed, hospital, films (that its local model had), local,
    federated, gain; degrees
    """
    nothing_drawn, rows = resampling.observed(_patients(_full(outcome))), []
    for network in _networks(outcome):
        found = _gains(outcome, nothing_drawn, network, reference)
        for (seed, site), (films, (local,), (federated,)) in found.items():
            rows.append((network, seed, site, films, local, federated, local - federated))
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
    drawn = _draw(outcome, rng, resamples)
    found, slopes = _gains(outcome, drawn, network, reference), {}
    for seed in sorted({seed for seed, _ in found}):
        films, local, federated = zip(*(own for (of, _), own in found.items() if of == seed))
        x = np.log2(films) - np.log2(films).mean()
        require(np.ptp(x) > 0, "films", sorted(films), "hospitals of at least two sizes in every seed")
        slopes[seed, "all"] = np.tensordot(x, np.subtract(local, federated), 1) / (x @ x)
    return estimate(drawn.over_seeds(slopes))


# Which models, on which films


def _main(job: Job) -> bool:
    """Whether a model belongs to the main comparison: all hospitals, all films."""
    return not job.without and not job.films


def _networks(outcome: Outcome) -> list[str]:
    return sorted({job.network for job in outcome.said})


def _readings(outcome: Outcome, tests: Sequence[str]) -> Iterator[tuple[str, str, str, list[_Pair]]]:
    """Go through all readings that the outcome holds, in the order of a table: network, arm, test, pairs."""
    for network in _networks(outcome):
        for arm in ARMS:
            for test in tests:
                if pairs := _pairs(outcome, network, (arm, test)):
                    yield network, arm, test, pairs


def _pairs(outcome: Outcome, network: str, reading: Reading) -> list[_Pair]:
    """List models and the hospitals they are tested on in one reading, whatever order they ran in."""
    arm, test = reading
    arms = [job for job in outcome.said if (job.network, job.arm) == (network, arm)]
    return _tested(outcome, [job for job in arms if _main(job) or test == "left out"], test)


def _tested(outcome: Outcome, jobs: Iterable[Job], test: str) -> list[_Pair]:
    pairs = [(job, site) for job in jobs for site in outcome.said[job] if kind_of_test(job, site) == test]
    return sorted(pairs, key=lambda pair: (astuple(pair[0]), pair[1]))


def _points(outcome: Outcome) -> dict[tuple[str, int], list[Job]]:
    """Local models of the learning curve, and of its hospitals with all films, by network and films."""
    places = {(job.network, job.seed, job.site) for job in outcome.said if job.films}
    points: dict[tuple[str, int], list[Job]] = {}
    for job in outcome.said:
        if job.arm == "local" and (job.network, job.seed, job.site) in places:
            points.setdefault((job.network, outcome.films[job]), []).append(job)
    return points


# From films to means


def _full(outcome: Outcome) -> Outcome:
    """Return an outcome if it holds a model, else raise `InputError`."""
    instance("outcome", outcome, Outcome, "results.reference('full')[0]")
    require(outcome.said, "outcome.said", outcome.said, "what at least one model said")
    return outcome


def _several(field: str, names: Iterable[str]) -> list[str]:
    """Return names as a list, or raise `InputError`; one name alone is none."""
    several = isinstance(names, Iterable) and not isinstance(names, str)
    require(several, field, names, "a list of names")
    found = list(names)
    require(found, field, found, "at least one name")
    return found


def _reference(name: str) -> str:
    return choice("reference", name, evaluation.REFERENCES)


def _patients(outcome: Outcome) -> dict[str, int]:
    return {site: len(rated) for site, rated in outcome.rated.items()}


def _draw(outcome: Outcome, rng: np.random.Generator, resamples: int) -> Draws:
    seeds = len({job.seed for job in _full(outcome).said})
    return resampling.draw(_patients(outcome), seeds, rng, resamples)


def _difference(outcome: Outcome, job: Job, site: str, reference: str) -> np.ndarray:
    """Predicted minus reference angles of one model on one hospital's films, (n, 4) degrees."""
    return evaluation.angle_errors(outcome.said[job][site], getattr(outcome, reference)[site])


def _unread(outcome: Outcome, reader: str, site: str) -> np.ndarray:
    """Errors of a reader that is no model, (n, 4) degrees."""
    rated = outcome.rated[site]
    if reader == "rater":
        return evaluation.angle_errors(rated, outcome.truth[site])
    return evaluation.angle_errors(np.tile(np.median(rated, 0), (len(rated), 1)), rated)


def _with_pooled(by_angle: np.ndarray) -> np.ndarray:
    """Values by film and angle, and their mean over the four angles: (n, 4, ...) -> (n, 5, ...)."""
    return np.concatenate([by_angle, by_angle.mean(1, keepdims=True)], 1)


def _mae(outcome: Outcome, drawn: Draws, reference: str) -> Callable[[Job, str], np.ndarray]:
    """Make a function: sampled MAE of a model at a hospital, by angle and pooled, (1 + resamples, 5)."""
    reference = _reference(reference)

    def mae(job: Job, site: str) -> np.ndarray:
        errors = np.abs(_difference(outcome, job, site, reference))
        return drawn.over_patients(site, _with_pooled(errors))

    return mae


def _means(pairs: list[_Pair], sampled: Callable[[Job, str], np.ndarray]) -> Means:
    """Average the models that share a seed and a hospital tested."""
    found: dict[tuple[int, str], list[np.ndarray]] = {}
    for job, site in pairs:
        found.setdefault((job.seed, site), []).append(sampled(job, site))
    return {key: np.mean(found[key], axis=0) for key in sorted(found)}


def _reading(outcome: Outcome, drawn: Draws, network: str, reading: Reading, reference: str) -> Means:
    """MAE of one reading, by angle and pooled; raise `InputError` where it was not run."""
    two = isinstance(reading, tuple | list) and len(reading) == 2
    named = two and all(isinstance(name, str) for name in (network, *reading))
    require(
        named, "reading", (network, reading), "a network, an arm and a test, such as ('local', 'internal')"
    )
    pairs = _pairs(outcome, network, reading)
    require(bool(pairs), "reading", (network, *reading), "a network, an arm and a test that were run")
    return _means(pairs, _mae(outcome, drawn, reference))


def _gains(
    outcome: Outcome, drawn: Draws, network: str, reference: str
) -> dict[tuple[int, str], tuple[int, np.ndarray, np.ndarray]]:
    """Films of each seed and hospital, its local MAE and the federated one; both pooled and sampled."""
    own, together = ("local", "internal"), ("federated", "internal")
    local, federated = (_reading(outcome, drawn, network, one, reference) for one in (own, together))
    films = {(job.seed, site): outcome.films[job] for job, site in _pairs(outcome, network, own)}
    return {key: (films[key], local[key][:, -1], federated[key][:, -1]) for key in local if key in federated}


def _typical_width(outcome: Outcome, job: Job) -> np.ndarray:
    """Median half-width of a model's 95 % intervals on its internal test films, by angle: (4,)."""
    sites = [site for site in outcome.said[job] if kind_of_test(job, site) == "internal"]
    return np.median(np.concatenate([outcome.within[job][site][..., 1] for site in sites]), axis=0)


def _rank(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _column(angle: str) -> int:
    return ROWS.index(choice("angle", angle, ROWS))
