"""What an experiment leaves: an outcome, in shards, and the results that ship with the book.  Taught in experiment.

A *shard* is all jobs of one seed, put together in one file as soon as they are done:
``seedN.safetensors`` holds every prediction and the test angles, ``seedN.json`` where they
come from.  Tables and verdicts are made from shards alone.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from lumbo import specs, store
from lumbo.angles import ANGLES
from lumbo.errors import array, choice, instance, require
from lumbo.experiment.jobs import Job, Size, size
from lumbo.films.hospitals import FilmSet
from lumbo.films_1 import hospitals
from lumbo.learning import models
from lumbo.learning.evaluation import LEVELS
from lumbo.learning.models import Network
from lumbo.specs import Range, documented

__all__ = [
    "MADE_BY",
    "Hardware",
    "MadeBy",
    "Training",
    "Prediction",
    "Record",
    "Outcome",
    "read_outcome",
    "read_run",
    "reference",
    "reference_model",
    "noted",
    "prediction_file",
    "read_prediction",
    "shards_in",
    "seed_of",
    "write_shard",
    "read_shard",
    "read_note",
]

# What a run notes beside its numbers.  Where shards differ, all values stand there, with commas between.


@documented
@dataclass(frozen=True)
class Hardware:
    """The machine that a result was made on."""

    processor: Annotated[str, "as the operating system names it"]
    cores: Annotated[int | str, Range(1, 10**6), "that the run could use"]
    gpu: Annotated[str | None, "its name, where there was one"]
    system: Annotated[str, "Linux, Darwin or Windows"]


@documented
@dataclass(frozen=True)
class MadeBy:
    """The code and the machine that a result was made with."""

    commit: Annotated[str | None, "of the checkout, where there was one"]
    versions: Annotated[dict[str, str], "of lumbo and of the libraries"]
    hardware: Annotated[Hardware, "the machine"]


@documented
@dataclass(frozen=True)
class Training:
    """How one model was trained."""

    seconds: Annotated[float, Range(0), "from its films to its predictions"]
    device: Annotated[str, "cpu, cuda or mps"]
    history: Annotated[
        tuple[tuple[Annotated[int, Range(1, 10**9)], float, Annotated[float, Range(0)]], ...],
        "its checks: steps taken, loss, validation MAE in degrees",
    ]

    def __post_init__(self):
        require(self.history, "training.history", self.history, "at least one check")


@documented
@dataclass(frozen=True)
class Prediction(Training):
    """What stands in the file of what one model said, beside its predictions."""

    job: Annotated[Job, "the model"]
    specification: Annotated[str, "of the run"]
    origin: Annotated[MadeBy, "code and machine"]
    films: Annotated[int, Range(1, 10**9), "that it was trained on"]
    factors: Annotated[tuple[tuple[float, ...], ...], "of its intervals, by level and angle"] = ()


@documented
@dataclass(frozen=True)
class Record(MadeBy):
    """Where one shard comes from: ``seedN.json``."""

    size: Annotated[Size, "of the experiment"]
    specification: Annotated[str, "of the run"]
    films_version: Annotated[str, "of the films"]
    seconds: Annotated[dict[Literal["drawing", "training"], float], Range(0), "that it took"]
    jobs: Annotated[dict[str, Training], "by the name of the model"]


MADE_BY = tuple(MadeBy.__dataclass_fields__)


@dataclass(frozen=True)
class _Trained:
    """One model of a shard."""

    job: Job
    films: Annotated[int, Range(1, 10**9)]


@dataclass(frozen=True)
class _Shard:
    """What stands in a shard beside its arrays."""

    jobs: tuple[_Trained, ...]
    specification: str


@dataclass(frozen=True)
class Outcome:
    """What every model said of every test film, and what is right: angles_deg (n, 4) by hospital.

    said : by job, then by the hospital tested
    within : likewise; half-widths (n, 4, 2) of the 80 % and the 95 % interval of each angle, degrees
    films : how many films each model was trained on
    rated, truth : by hospital
    """

    said: dict[Job, dict[str, np.ndarray]]
    within: dict[Job, dict[str, np.ndarray]]
    films: dict[Job, int]
    rated: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]


def read_outcome(folder: Path) -> Outcome:
    """Read all shards in a folder, by whatever specification they were made.

    Raises `InputError` naming the file when one is missing, torn, incomplete or not of the same experiment.
    """
    shards = shards_in(folder)
    read = [read_shard(path) for path in shards]
    first, made = read[0]
    for path, (shard, specification) in zip(shards, read):
        same = specification == made and all(
            getattr(shard, field).keys() == right.keys()
            and all(np.array_equal(getattr(shard, field)[site], right[site]) for site in right)
            for field, right in (("rated", first.rated), ("truth", first.truth))
        )
        require(same, str(path), f"specification {specification}", f"{made}, as {shards[0].name}")
    said, within, films = (
        {job: value for shard, _ in read for job, value in getattr(shard, field).items()}
        for field in ("said", "within", "films")
    )
    return Outcome(said, within, films, first.rated, first.truth)


def read_run(folder: Path) -> dict:
    """Read where the shards of a folder come from, as one: seeds and jobs together, seconds added up.

    What differs between shards, commits, versions or machines, stands side by side, with commas between.
    Raises `InputError` naming the file that is missing, torn, or of another specification or size.
    """
    shards = shards_in(folder)
    notes = {path: read_note(path.with_suffix(".json")) for path in shards}
    first = notes[shards[0]]
    for path, note in notes.items():
        found, (outcome, beside) = str(path.with_suffix(".json")), read_shard(path)
        require(note["size"] == first["size"], f"{found}.size", note["size"], "that of the other shards")
        for other in (first["specification"], beside):
            same = note["specification"] == other
            require(same, f"{found}.specification", note["specification"], f"{other}, as in the shards")
        models_ = {job.name for job in outcome.said}
        require(
            note["jobs"].keys() == models_, f"{found}.jobs", sorted(note["jobs"]), f"those of {path.name}"
        )
    seconds = {
        kind: round(sum(note["seconds"][kind] for note in notes.values()), 1) for kind in first["seconds"]
    }
    return (
        first
        | {
            "seeds": list(map(seed_of, shards)),
            "seconds": seconds,
            "jobs": {name: job for note in notes.values() for name, job in note["jobs"].items()},
        }
        | _made_by(notes.values())
    )


def reference(name: str) -> tuple[Outcome, dict]:
    """Return the stored outcome of an experiment that ships with the book, and where it comes from."""
    folder = files("data_synth").joinpath("reference", size(name).name)
    with as_file(folder) as path:
        require(path.is_dir(), "reference", name, "a size whose results ship with the book")
        return read_outcome(path), read_run(path)


def reference_model(job: Job) -> Network:
    """Return a trained network that ships with the book; raises `InputError` where it does not."""
    instance("job", job, Job, "Job('landmarks', 'federated', 0)")
    with as_file(files("data_synth").joinpath("reference", "weights")) as folder:
        shipped = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
        return models.load(shipped[choice("job", job.name, shipped)])


def noted(run: Any, *path: str) -> Any:
    """Return what a run from `read_run` says at a path of fields, or raise `InputError` naming it.

    >>> noted({"size": {"plan": {"steps": 400}}}, "size", "plan", "steps")
    400
    """
    field = "run"
    for name in path:
        there = isinstance(run, Mapping) and name in run
        field = f"{field}.{name}"
        require(there, field, None, "what `read_run` says of the folder that the outcome comes from")
        run = run[name]
    return run


# Shards


def prediction_file(folder: Path, job: Job) -> Path:
    """Name the file of what one model said, from which shards are made."""
    return Path(folder) / "jobs" / f"{job.name}.predictions.safetensors"


def read_prediction(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read what one model said, and the fields of `Prediction`; raises `InputError` naming file and field."""
    arrays, note = store.load_tensors(path)
    specs.read(Prediction, str(path), note)
    sites = hospitals.hospitals()
    odd = sorted({name for site in sites for name in (site, f"{site}/within")} ^ arrays.keys())
    require(not odd, str(path), f"arrays missing or unknown: {odd[:1]}", "the angles of every hospital")
    for site in sites:
        n = _angles(path, site, arrays[site])
        _half_widths(path, f"{site}/within", arrays[f"{site}/within"], n)
    return arrays, note


def shards_in(folder: Path) -> list[Path]:
    """List the shards of a folder by seed, or raise `InputError` where there is none."""
    shards = sorted(store.checked_path(folder, "folder").glob("seed*.safetensors"), key=seed_of)
    require(bool(shards), str(folder), "no shard", "what an experiment left, seed0.safetensors and so on")
    return shards


def seed_of(path: Path) -> int:
    """Read the seed in a shard's name."""
    digits = path.stem.removeprefix("seed")
    plain = digits.isascii() and digits.isdecimal() and (digits == "0" or digits[0] != "0")
    require(plain and len(digits) < 10, str(path), path.name, "a name such as seed0.safetensors")
    return int(digits)


def write_shard(
    folder: Path, seed: int, jobs: Iterable[Job], tested: dict[str, FilmSet], origin: dict
) -> None:
    """Put the predictions of finished jobs and the test angles in one file, and where they come from beside it."""
    arrays: dict[str, np.ndarray] = {}
    notes: dict[str, dict] = {}
    for job in jobs:
        said, note = read_prediction(prediction_file(folder, job))
        arrays |= {f"{job.name}/{name}": values for name, values in said.items()}
        notes[job.name] = note
    for site, test in tested.items():
        arrays[f"rated/{site}"] = test.rated_angles_deg.astype(np.float32)
        arrays[f"truth/{site}"] = test.angles_deg.astype(np.float32)
    trained = [{"job": note["job"], "films": note["films"]} for note in notes.values()]
    note = {"jobs": trained, "specification": origin["specification"]}
    origin = origin | _made_by([note["origin"] for note in notes.values()])
    kept = {name: {k: note[k] for k in ("seconds", "device", "history")} for name, note in notes.items()}
    store.write_atomic(folder / f"seed{seed}.json", json.dumps(origin | {"jobs": kept}, indent=1).encode())
    store.save_tensors(folder / f"seed{seed}.safetensors", arrays, note)


def read_shard(path: Path) -> tuple[Outcome, str]:
    """Read one shard and say by which specification it was made, or raise `InputError` naming the field."""
    arrays, note = store.load_tensors(path)
    found = specs.read(_Shard, str(path), note)
    films = {trained.job: trained.films for trained in found.jobs}
    require(len(films) == len(found.jobs) > 0, f"{path}.jobs", found.jobs, "at least one model, each once")
    for job in films:
        require(job.seed == seed_of(path), f"{path}.jobs", job.name, "models of the seed in the file's name")
    sites = sorted({name.split("/")[1] for name in arrays if "/" in name})
    owners = [f"{job.name}/{site}" for job in films for site in sites]
    right = [f"{owner}/{site}" for owner in ("rated", "truth") for site in sites]
    wanted = {*owners, *(f"{name}/within" for name in owners), *right}
    odd = sorted(wanted ^ arrays.keys())
    count = f"{len(films)} models, {len(odd)} arrays missing or unknown {odd[:1]}"
    require(not odd, str(path), count, "the angles of every model on every hospital")
    for site in sites:
        choice(f"{path}: hospital", site, hospitals.hospitals())
        n = _angles(path, f"rated/{site}", arrays[f"rated/{site}"])
        for owner in ("truth", *(job.name for job in films)):
            _angles(path, f"{owner}/{site}", arrays[f"{owner}/{site}"], n)
        for job in films:
            _half_widths(path, f"{job.name}/{site}/within", arrays[f"{job.name}/{site}/within"], n)

    def by_site(owner: str, end: str = "") -> dict[str, np.ndarray]:
        return {site: arrays[f"{owner}/{site}{end}"].astype(np.float64) for site in sites}

    said = {job: by_site(job.name) for job in films}
    within = {job: by_site(job.name, "/within") for job in films}
    return Outcome(said, within, films, by_site("rated"), by_site("truth")), found.specification


def read_note(path: Path) -> dict:
    """Read where one shard comes from, the fields of `Record`; raises `InputError` naming file and field."""
    note = store.read_json(path, "what a run writes beside a shard")
    specs.read(Record, str(path), note)
    return note


def _angles(path: Path, name: str, values: np.ndarray, n: int | str = "n") -> int:
    """Raise `InputError` unless these are the angles of (n) films; return how many."""
    return len(array(f"{path}: {name}", values, (n, len(ANGLES))))


def _half_widths(path: Path, name: str, values: np.ndarray, n: int) -> None:
    """Raise `InputError` unless these are the half-widths of the intervals of n films."""
    array(f"{path}: {name}", values, (n, len(ANGLES), len(LEVELS)), 0)


def _made_by(notes: Collection[dict]) -> dict:
    """Put together what records say of the code and the machine: with commas between where they differ."""
    commits = sorted({str(note["commit"]) for note in notes})
    return {
        "commit": ", ".join(commits),
        "versions": _side_by_side(note["versions"] for note in notes),
        "hardware": _side_by_side(note["hardware"] for note in notes),
    }


def _side_by_side(tables: Iterable[dict]) -> dict:
    """Put tables of the same fields together: a value where all agree, else all values with commas between."""
    found: dict[str, dict] = {}
    for table in tables:
        for field, value in table.items():
            found.setdefault(field, {})[value] = None
    return {
        field: next(iter(values)) if len(values) == 1 else ", ".join(map(str, values))
        for field, values in found.items()
    }
