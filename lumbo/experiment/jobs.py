"""The paper's experiment as a list of jobs: sizes, arms, and how one model is trained and tested.  Taught in experiment.

A *job* trains one model: local (one hospital's films), centralized (all films in one
place) or federated.  `lumbo.experiment.runner` does all jobs of a *size*.

A seed draws the training patients, the first weights and the order of the films, and it
deals out the sizes: seed by seed they move on by one hospital (a Latin square), so that
being small and being one particular hospital are not the same thing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from lumbo import specs, store
from lumbo.errors import fields, require
from lumbo.films import hospitals, radiograph
from lumbo.films.hospitals import FilmSet
from lumbo.learning import evaluation, federated, models, training
from lumbo.learning.federated import Client
from lumbo.learning.models import Network
from lumbo.learning.training import Check, Plan
from lumbo.specs import Range

__all__ = [
    "ARMS",
    "TRAINING_SEEDS",
    "TUNABLE",
    "HELD_OUT",
    "Size",
    "Job",
    "sizes",
    "size",
    "check_size",
    "tuned",
    "seeds",
    "of_seed",
    "patients",
    "clients",
    "tested_films",
    "plan_of",
    "train",
    "calibrate",
    "measure",
]

ARMS = ("local", "centralized", "federated")
TRAINING_SEEDS = 1000  # patients of training seed s have seed s + 1000; test patients have seed 0
TUNABLE = {"learning_rate", "weight_decay", "warmup", "epochs"}  # what an arm may have of its own in its plan
HELD_OUT = 6  # a point of the learning curve has one validation film for so many training films, at least 8


@specs.documented
@dataclass(frozen=True)
class Size:
    """How large an experiment is; see ``data_synth/experiment.toml``."""

    name: Annotated[str, "of the table"]
    title: Annotated[str, "for whom it is"]
    seeds: Annotated[dict[str, int], Range(1), "how many, for each network; the first one carries the claims"]
    left_out: Annotated[bool, "whether each hospital is left out once"]
    curve: Annotated[tuple[int, ...], Range(1), "numbers of films of the learning curve"]
    long_side_px: Annotated[int, Range(32, 2048), "height of a film"]
    share: Annotated[float, Range(0.01, 1), "of every hospital's training and validation patients"]
    test: Annotated[int, Range(2), "patients of each test set, at most"]
    plan: Annotated[Plan, "of every model, but for what was tuned"]


@dataclass(frozen=True)
class Job:
    """One model to train.

    site : hospital of a local model;  without : participant that a shared model never meets
    films : point of the learning curve, a local model of so many films; 0 is all of the hospital's
    """

    network: str
    arm: str
    seed: int
    site: str = ""
    without: str = ""
    films: int = 0

    @property
    def name(self) -> str:
        """A file name: everything that is not empty."""
        odd = f"without-{self.without}" if self.without else f"films{self.films}" if self.films else ""
        return "-".join(filter(None, (self.network, self.arm, self.site, odd, f"seed{self.seed}")))


# Sizes


@cache
def sizes() -> dict[str, Size]:
    """Read every size from ``data_synth/experiment.toml``."""
    return {name: check_size(name, table) for name, table in _experiment().items() if name != "tuned"}


def size(name: str) -> Size:
    """Return one size, or raise `InputError` with the names there are."""
    require(name in sizes(), "size", name, f"one of {', '.join(sizes())}")
    return sizes()[name]


def check_size(name: str, table: dict) -> Size:
    """Turn a table into a `Size`, or raise `InputError` naming the field."""
    found = specs.read(Size, name, table, name=name)
    fields(f"{name}.seeds", found.seeds, set(models.NETWORKS), set(models.NETWORKS))
    require(bool(found.seeds), f"{name}.seeds", found.seeds, "how many seeds for at least one network")
    distinct = len(set(found.curve)) == len(found.curve)
    require(distinct, f"{name}.curve", list(found.curve), "a list of numbers of films, each once")
    radiograph.canvas(found.long_side_px)
    return found


@cache
def tuned() -> dict[str, dict[str, dict]]:
    """Read what `benchmarks/tuning.py` chose, fields of a plan by network and arm."""
    table = fields("tuned", _experiment()["tuned"], set(models.NETWORKS))
    for network, arms in table.items():
        fields(f"tuned.{network}", arms, set(ARMS))
        for arm, chosen in arms.items():
            fields(f"tuned.{network}.{arm}", chosen, TUNABLE, TUNABLE)
    return table


@cache
def _experiment() -> dict:
    return store.read_toml(files("data_synth").joinpath("experiment.toml"))


# What is trained


def seeds(what: Size) -> range:
    """Return the seeds of an experiment; each is a shard."""
    return range(max(what.seeds.values()))


def of_seed(what: Size, seed: int) -> list[Job]:
    """List the models of one seed.

    The first network carries the claims.  With it, each of the first seeds leaves out one hospital, and
    the learning curve is drawn at the first participant where that is the largest.
    """
    sites = [h.name for h in hospitals.participants()]
    turn = sites[seed] if what.left_out and seed < len(sites) else ""
    networks = [network for network, count in what.seeds.items() if seed < count]
    main = next(iter(what.seeds))
    shared = ("federated", "centralized")
    curve = what.curve if seed % len(sites) == 0 else ()
    return [
        *(Job(network, arm, seed) for network in networks for arm in shared),
        *(Job(network, "local", seed, site) for network in networks for site in sites),
        *(Job(main, arm, seed, without=turn) for arm in shared if main in networks and turn),
        *(Job(main, "local", seed, sites[0], films=n) for n in curve if main in networks),
    ]


def patients(seed: int) -> dict[str, dict[hospitals.Split, int]]:
    """Return how many patients each participant has of each split in one seed; the sizes rotate.

    >>> [patients(seed)["aspen"]["training"] for seed in range(4)]
    [1070, 535, 265, 130]
    """
    sites = hospitals.participants()
    return {h.name: sites[(k + seed) % len(sites)].patients for k, h in enumerate(sites)}


def clients(what: Size, job: Job) -> list[Client]:
    """Return the participants whose films a job trains on, with their films, the largest first."""
    counts = patients(job.seed)
    sites = [h for h in hospitals.participants() if job.site in ("", h.name) and h.name != job.without]

    def films(where: hospitals.Hospital, split: hospitals.Split) -> FilmSet:
        n = max(1, round(counts[where.name][split] * what.share))
        if job.films:
            n = {"training": job.films, "validation": max(8, job.films // HELD_OUT)}[split]
        return hospitals.film_set(where, split, job.seed + TRAINING_SEEDS, n, what.long_side_px)

    found = [Client(h.name, films(h, "training"), films(h, "validation")) for h in sites]
    return sorted(found, key=lambda client: -len(client.train))


def tested_films(what: Size, site: str = "") -> dict[str, FilmSet]:
    """Return every hospital's test films, or one's, by name: the same patients for every arm and seed."""
    return {
        name: hospitals.film_set(h, "test", 0, min(what.test, h.patients["test"]), what.long_side_px)
        for name, h in hospitals.hospitals().items()
        if site in ("", name)
    }


def plan_of(what: Size, job: Job) -> Plan:
    """Return the plan of a size with what was tuned for the network and the arm of a job."""
    return replace(what.plan, **tuned()[job.network][job.arm])


# One job


def train(
    job: Job,
    sites: list[Client],
    plan: Plan,
    device: torch.device,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> tuple[Network, list[Check]]:
    """Train the model of one job on the films of `sites`; every arm of a seed starts from the same weights.

    Hospitals are few and known, so each keeps its optimiser state from round to round.
    """
    model, seed = models.build(job.network, job.seed).to(device), (job.seed,)
    if job.arm == "federated":
        history, _ = federated.fedavg(
            model, sites, plan, seed, carry=True, checkpoint=checkpoint, report=report
        )
        return model, history
    films, held = hospitals.pool([c.train for c in sites]), hospitals.pool([c.validation for c in sites])
    return model, training.fit(model, films, held, plan, seed, checkpoint, report)


def calibrate(model: Network, sites: list[Client]) -> np.ndarray:
    """Learn from validation films how many times its expected error a model is off: (levels, 4)."""
    held = hospitals.pool([site.validation for site in sites])
    said = training.predict(model, held.films)
    errors = evaluation.angle_errors(said.angles_deg, held.rated_angles_deg)
    return evaluation.interval_factors(errors, said.spread_deg)


def measure(model: Network, films: FilmSet, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure films: angles (n, 4) and the half-widths (n, 4, levels) of their intervals, degrees."""
    said = training.predict(model, films.films)
    return said.angles_deg, said.spread_deg[..., None] * factors.T
