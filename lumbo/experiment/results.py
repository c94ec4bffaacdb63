"""What an experiment leaves: an outcome, in shards, and the results that ship with the book.  Taught in experiment.

A *shard* is all jobs of one seed, put together in one file as soon as they are done:
``seedN.safetensors`` holds every prediction and the test angles, ``seedN.json`` where they
come from.  Tables and verdicts are made from shards alone.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from lumbo import store
from lumbo.errors import InputError, require
from lumbo.experiment.jobs import Job, size
from lumbo.films.hospitals import FilmSet
from lumbo.learning import models
from lumbo.learning.models import Network

__all__ = [
    "MADE_BY",
    "NOTED",
    "Outcome",
    "read_outcome",
    "read_run",
    "reference",
    "reference_model",
    "prediction_file",
    "shards_in",
    "seed_of",
    "write_shard",
    "read_shard",
    "read_note",
]

MADE_BY = ("commit", "versions", "hardware")  # what a record says of the code and the machine
NOTED = {"size", "specification", "films_version", *MADE_BY, "seconds", "jobs"}  # and what else it must hold


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
            np.array_equal(getattr(shard, field)[site], right)
            for field in ("rated", "truth")
            for site, right in getattr(first, field).items()
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
        found, beside = str(path.with_suffix(".json")), read_shard(path)[1]
        require(note["size"] == first["size"], f"{found}: size", note["size"], "that of the other shards")
        for other in (first["specification"], beside):
            same = note["specification"] == other
            require(same, f"{found}: specification", note["specification"], f"{other}, as in the shards")
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
    with as_file(files("data_synth").joinpath("reference", "weights")) as folder:
        return models.load(folder / f"{job.name}.safetensors")


# Shards


def prediction_file(folder: Path, job: Job) -> Path:
    """Name the file of what one model said, from which shards are made."""
    return Path(folder) / "jobs" / f"{job.name}.predictions.safetensors"


def shards_in(folder: Path) -> list[Path]:
    """List the shards of a folder by seed, or raise `InputError` where there is none."""
    shards = sorted(Path(folder).glob("seed*.safetensors"), key=seed_of)
    require(bool(shards), str(folder), "no shard", "what an experiment left, seed0.safetensors and so on")
    return shards


def seed_of(path: Path) -> int:
    """Read the seed in a shard's name."""
    digits = path.stem.removeprefix("seed")
    require(digits.isdecimal(), str(path), path.name, "a name such as seed0.safetensors")
    return int(digits)


def write_shard(
    folder: Path, seed: int, jobs: Iterable[Job], tested: dict[str, FilmSet], origin: dict
) -> None:
    """Put the predictions of finished jobs and the test angles in one file, and where they come from beside it."""
    arrays: dict[str, np.ndarray] = {}
    notes: dict[str, dict] = {}
    for job in jobs:
        said, note = store.load_tensors(prediction_file(folder, job))
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
    """Read one shard and say by which specification it was made."""
    arrays, note = store.load_tensors(path)
    try:
        films = {Job(**entry["job"]): entry["films"] for entry in note["jobs"]}
        made = note["specification"]
    except (KeyError, TypeError) as error:
        raise InputError(str(path), f"a note without jobs, {error}", "what an experiment left") from error
    sites = sorted({name.split("/")[1] for name in arrays if "/" in name})
    owners = [f"{job.name}/{site}" for job in films for site in sites]
    right = [f"{owner}/{site}" for owner in ("rated", "truth") for site in sites]
    wanted = {*owners, *(f"{name}/within" for name in owners), *right}
    odd = sorted(wanted ^ arrays.keys())
    found = f"{len(films)} models, {len(odd)} arrays missing or unknown {odd[:1]}"
    require(bool(films) and not odd, str(path), found, "the angles of every model on every hospital")

    def by_site(owner: str, end: str = "") -> dict[str, np.ndarray]:
        return {site: arrays[f"{owner}/{site}{end}"].astype(np.float64) for site in sites}

    said = {job: by_site(job.name) for job in films}
    within = {job: by_site(job.name, "/within") for job in films}
    return Outcome(said, within, films, by_site("rated"), by_site("truth")), made


def read_note(path: Path) -> dict:
    """Read where one shard comes from."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error), "what a run writes beside a shard") from error
    whole_note = isinstance(note, dict) and note.keys() >= NOTED
    require(
        whole_note,
        str(path),
        sorted(note)[:9] if isinstance(note, dict) else note,
        f"what a run writes beside a shard, {sorted(NOTED)}",
    )
    return note


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
