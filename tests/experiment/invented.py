"""Outcomes that are invented: errors are planted, and so is the luck of training."""

import numpy as np

from lumbo.experiment import tables
from lumbo.experiment.jobs import Job
from lumbo.experiment.results import Outcome

PARTICIPANTS, OUTSIDERS = ("aspen", "birch", "cedar", "dogwood"), ("elm", "fir")
SITES, SIZES = (*PARTICIPANTS, *OUTSIDERS), (1070, 535, 265, 130)


def rng(seed=0):
    return np.random.default_rng(seed)


def main_jobs(seeds=(0, 1, 2, 3), network="landmarks"):
    for seed in seeds:
        yield from (Job(network, "local", seed, site) for site in PARTICIPANTS)
        yield from (Job(network, arm, seed) for arm in ("centralized", "federated"))


def without_jobs(seeds=(0, 1), network="landmarks"):
    return [Job(network, "federated", seed, without=site) for seed in seeds for site in PARTICIPANTS]


def films_of(job):
    """How many films a hospital has in a seed: sizes rotate."""
    place = PARTICIPANTS.index(job.site) if job.site else 0
    return job.films or SIZES[(place + job.seed) % 4]


def invent(jobs, error, films=24, hard=1.0, seed=0):
    """An outcome in which the MAE of every model on every hospital is exactly `error(job, site)`.

    A film is `hard` for all models in the same measure; signs of errors are drawn.
    """
    chance, truth, rated, harder = rng(seed), {}, {}, {}
    for i, site in enumerate(SITES):
        truth[site] = chance.normal([40, 12, 52, 55], 9, (films + i, 4))
        rated[site] = truth[site] + chance.normal(0, 2, (films + i, 4))
        spread = chance.normal(0, hard, films + i)
        harder[site] = (spread - spread.mean())[:, None]
    said = {
        job: {
            site: rated[site]
            + np.abs(error(job, site) + harder[site]) * chance.choice([-1, 1], rated[site].shape)
            for site in SITES
        }
        for job in jobs
    }
    within = {job: {site: np.full((len(rated[site]), 4, 2), (5.0, 9.0)) for site in SITES} for job in said}
    return Outcome(said, within, {job: films_of(job) for job in said}, rated, truth)


def by_arm(job, site):
    """Planted errors, far from zero."""
    kind = tables.kind_of_test(job, site)
    return {"local": 14.0, "centralized": 9.0, "federated": 9.5}[job.arm] + (kind != "internal")


def with_luck(base, sd, seed=0):
    """Planted errors in which every model also has luck of its own in training."""
    chance, drawn = rng(seed), {}

    def error(job, site):
        return base(job, site) + drawn.setdefault(job, chance.normal(0, sd))

    return error
