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
from typing import Annotated, Literal

import numpy as np
import torch

from lumbo import specs, store
from lumbo.errors import choice, fields, instance, require, text, whole
from lumbo.films.hospitals import FilmSet
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation, federated, models, training
from lumbo.learning.federated import Client
from lumbo.learning.models import Network
from lumbo.learning.training import LONG_SIDES_PX, Check, Plan
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
    seeds: Annotated[
        dict[str, int], Range(1, 10**6), "how many, for each network; the first one carries the claims"
    ]
    left_out: Annotated[bool, "whether each hospital is left out once"]
    curve: Annotated[tuple[int, ...], Range(1, 10**6), "numbers of films of the learning curve"]
    long_side_px: Annotated[int, Range(LONG_SIDES_PX[0], LONG_SIDES_PX[-1]), "height of a film"]
    share: Annotated[float, Range(0.01, 1), "of every hospital's training and validation patients"]
    test: Annotated[int, Range(2, 10**6), "patients of each test set, at most"]
    plan: Annotated[Plan, "of every model, but for what was tuned"]

    def __post_init__(self):
        specs.check(self, text("name", self.name))
        fields(f"{self.name}.seeds", self.seeds, set(models.NETWORKS), set(models.NETWORKS))
        require(self.seeds, f"{self.name}.seeds", self.seeds, "how many seeds for at least one network")
        distinct = len(set(self.curve)) == len(self.curve)
        require(distinct, f"{self.name}.curve", self.curve, "a list of numbers of films, each once")
        fits = self.long_side_px in LONG_SIDES_PX
        require(fits, f"{self.name}.long_side_px", self.long_side_px, f"a multiple of {LONG_SIDES_PX.step}")


@specs.documented
@dataclass(frozen=True)
class Job:
    """One model to train."""

    network: Annotated[str, "of `lumbo.learning.models.NETWORKS`"]
    arm: Annotated[str, "one of `ARMS`"]
    seed: Annotated[int, Range(0, 10**9), "of its patients, its first weights and the order of its films"]
    site: Annotated[Literal[""] | str, "hospital of a local model"] = ""
    without: Annotated[Literal[""] | str, "participant that a shared model never meets"] = ""
    films: Annotated[
        int, Range(0, 10**6), "a local model on the learning curve: so many; 0 is all there are"
    ] = 0

    def __post_init__(self):
        specs.check(self, "job")
        choice("job.network", self.network, models.NETWORKS)
        choice("job.arm", self.arm, ARMS)
        local = self.arm == "local"
        for name, given in (("site", local), ("without", not local and self.without)):
            if given:
                choice(f"job.{name}", getattr(self, name), [h.name for h in hospitals.participants()])
            else:
                require(
                    not getattr(self, name), f"job.{name}", getattr(self, name), f"'' where arm is {self.arm}"
                )
        require(local or not self.films, "job.films", self.films, "0 for a shared model")

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
    return sizes()[choice("size", name, sizes())]


def check_size(name: str, table: dict) -> Size:
    """Turn a table into a `Size`, or raise `InputError` naming the field."""
    return specs.read(Size, text("name", name), table, name=name)


@cache
def tuned() -> dict[str, dict[str, dict]]:
    """Read what `benchmarks/tuning.py` chose, fields of a plan by network and arm."""
    table = fields("tuned", _experiment()["tuned"], set(models.NETWORKS))
    for network, arms in table.items():
        fields(f"tuned.{network}", arms, set(ARMS))
        for arm, chosen in arms.items():
            field = f"tuned.{network}.{arm}"
            fields(field, chosen, TUNABLE, TUNABLE)
            specs.read(Plan, field, chosen, steps=1, checks=1, patience=1)
    return table


@cache
def _experiment() -> dict:
    return store.read_toml(files("data_synth").joinpath("experiment.toml"))


# What is trained


def seeds(what: Size) -> range:
    """Return the seeds of an experiment; each is a shard."""
    return range(max(_known(what).seeds.values()))


def of_seed(what: Size, seed: int) -> list[Job]:
    """List the models of one seed.

    The first network carries the claims.  With it, each of the first seeds leaves out one hospital, and
    the learning curve is drawn at the first participant where that is the largest.
    """
    seed = whole("seed", seed, 0, seeds(what)[-1])
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
    seed, sites = whole("seed", seed, 0), hospitals.participants()
    return {h.name: sites[(k + seed) % len(sites)].patients for k, h in enumerate(sites)}


def clients(what: Size, job: Job) -> list[Client]:
    """Return the participants whose films a job trains on, with their films, the largest first."""
    what, job = _known(what), _asked(job)
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
    what, site = _known(what), choice("site", site, ["", *hospitals.hospitals()])
    return {
        name: hospitals.film_set(h, "test", 0, min(what.test, h.patients["test"]), what.long_side_px)
        for name, h in hospitals.hospitals().items()
        if site in ("", name)
    }


def plan_of(what: Size, job: Job) -> Plan:
    """Return the plan of a size with what was tuned for the network and the arm of a job."""
    return replace(_known(what).plan, **tuned()[_asked(job).network][job.arm])


def _known(what: Size) -> Size:
    return instance("what", what, Size, "jobs.size('fast')")


def _asked(job: Job) -> Job:
    return instance("job", job, Job, "Job('landmarks', 'federated', 0)")


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
