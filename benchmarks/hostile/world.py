"""Valid input: a folder with small films, sets, weights and shards, each made when a door asks for it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import yaml

from lumbo import store
from lumbo.experiment import jobs, provenance, results
from lumbo.experiment.jobs import Job
from lumbo.experiment.results import Outcome
from lumbo.films import archive, hospitals
from lumbo.films.hospitals import FilmSet
from lumbo.learning import models, training
from lumbo.learning.federated import Client
from lumbo.learning.training import Check, Plan

PX = 32  # height of a film
PLAN = Plan(steps=2, checks=1, patience=1, batch=2)
CHECKPOINT, ONE = "checkpoint.safetensors", "one.safetensors"
SHIPPED = ("hospitals/aspen.toml", "reference/full/fingerprint.json")


class World:
    """Where everything lies; `scratch` is the place of one trial."""

    def __init__(self, folder: Path):
        self.folder, self.scratch = folder, folder / "scratch"

    def wipe(self) -> None:
        """Remove what a trial has left."""
        if self.scratch.is_file():
            self.scratch.unlink()
        shutil.rmtree(self.scratch, ignore_errors=True)

    @cached_property
    def films(self) -> FilmSet:
        """Two films."""
        return hospitals.film_set(hospitals.hospital("aspen"), "test", 0, 2, PX)

    @cached_property
    def clients(self) -> list[Client]:
        """Two hospitals with these films."""
        return [Client(name, self.films, self.films) for name in ("aspen", "birch")]

    @cached_property
    def cached(self) -> list[tuple[tuple, Path]]:
        """What was asked for, and the file of the cache that answers."""
        found: list[tuple[tuple, Path]] = []
        for site, seed in (("aspen", 0), ("aspen", 1), ("elm", 0), ("elm", 1)):
            asked, before = (
                (hospitals.hospital(site), "validation", seed, 2, PX),
                set(store.cache_folder().rglob("*")),
            )
            hospitals.film_set(*asked)
            found += [(asked, path) for path in set(store.cache_folder().rglob("*.safetensors")) - before]
        return found

    @cached_property
    def sets(self) -> dict[str, Path]:
        """Finished sets of two films, by format."""
        found = {form: self.folder / "sets" / form for form in archive.FORMATS}
        for form, folder in found.items():
            archive.write_films(folder, [hospitals.hospital("elm")], "test", 0, 2, PX, [form])
        return found

    @cached_property
    def weights(self) -> Path:
        """A folder with a network."""
        return models.save(self.folder / "weights" / ONE, models.build("regressor", 0), {}).parent

    @cached_property
    def tensors(self) -> Path:
        """A folder with some tensors."""
        arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(4, dtype=np.uint8)}
        return store.save_tensors(self.folder / "tensors" / ONE, arrays, {"seed": 0}).parent

    @cached_property
    def checkpoint(self) -> Path:
        """A folder with the progress of a training run that was stopped at its first check."""
        with contextlib.suppress(KeyboardInterrupt):
            resume(self.folder / "checkpoint", stop=True)
        return self.folder / "checkpoint"

    @cached_property
    def run(self) -> Path:
        """A folder with two shards of invented results."""
        folder, what = (
            self.folder / "run",
            replace(jobs.size("lesson"), seeds={"landmarks": 2}, left_out=True, curve=(3,)),
        )
        tested = {h.name: hospitals.film_set(h, "test", 0, 3, PX) for h in hospitals.hospitals().values()}
        origin = provenance.origin(what, torch.device("cpu")) | {"seconds": {"drawing": 1.0, "training": 2.0}}
        for seed in jobs.seeds(what):
            for job in jobs.of_seed(what, seed):
                store.save_tensors(
                    results.prediction_file(folder, job), invented(job, tested), note_of(job, origin)
                )
            results.write_shard(folder, seed, jobs.of_seed(what, seed), tested, origin)
        shutil.rmtree(folder / "jobs")
        return folder

    @cached_property
    def outcome(self) -> Outcome:
        """What these shards hold."""
        return results.read_outcome(self.run)

    @cached_property
    def texts(self) -> Path:
        """A folder with text files of ``data_synth``, and a claim of each kind."""
        folder = self.folder / "texts"
        folder.mkdir()
        for place in SHIPPED:
            (folder / Path(place).name).write_bytes(files("data_synth").joinpath(place).read_bytes())
        table = yaml.safe_load(files("data_synth").joinpath("claims.yml").read_text(encoding="utf-8"))
        few = {
            claim["kind"]: claim | dict.fromkeys(claim.keys() & {"note", "because"}, "a")
            for claim in table["claims"]
        }
        (folder / "claims.yml").write_text(
            yaml.safe_dump({"protocol": table["protocol"] | {"seen": "a"}, "claims": list(few.values())}),
            encoding="utf-8",
        )
        return folder


def invented(job: Job, tested: dict[str, FilmSet]) -> dict[str, np.ndarray]:
    """Invent what a model says of test films."""
    chance = np.random.default_rng(job.seed)
    said = {
        site: films.angles_deg + chance.normal(0, 3, films.angles_deg.shape) for site, films in tested.items()
    }
    within = {
        f"{site}/within": np.full((*values.shape, 2), (5, 9), np.float16) for site, values in said.items()
    }
    return {site: values.astype(np.float32) for site, values in said.items()} | within


def note_of(job: Job, origin: dict) -> dict:
    """Invent what a run notes beside that."""
    return {
        "job": asdict(job),
        "specification": origin["specification"],
        "origin": {name: origin[name] for name in results.MADE_BY},
        "films": 10 + job.seed + len(job.site),
        "history": [[100 * k, 1 / k, 9 / k] for k in range(1, 5)],
        "device": "cpu",
        "seconds": 1.0,
    }


def resume(folder: Path, stop: bool = False) -> tuple:
    """Train a network on from its checkpoint in a folder, or until its first check."""

    def report(_: Check) -> None:
        if stop:
            raise KeyboardInterrupt

    model, plan = models.build("regressor", 0), replace(PLAN, checks=2)
    history = training.fit(model, here().films, here().films, plan, (0,), folder / CHECKPOINT, report)
    return history, model


_NOW: list[World] = []


def here() -> World:
    """Return the world of the campaign that runs."""
    return _NOW[-1]


@contextlib.contextmanager
def opened() -> Iterator[World]:
    """Make a world, with a cache of its own, and leave nothing of it."""
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, LUMBO_CACHE=f"{folder}/cache"):
        _NOW.append(World(Path(folder)))
        try:
            yield _NOW[-1]
        finally:
            _NOW.pop()
