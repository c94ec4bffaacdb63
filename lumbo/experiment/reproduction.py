"""The paper's experiment: every arm, every network, every test set; resumable.  Taught in experiment.

A *job* trains one model: local (one hospital's films), centralized (all films in one
place) or federated.  It leaves its weights and its predictions on every hospital's test
patients, whole or not at all.  A *shard* is all jobs of one seed, put together in one file
as soon as they are done; `scores` makes tables from shards alone.

A seed draws the training patients, the first weights and the order of the films, and it
deals out the sizes: seed by seed they move on by one hospital (a Latin square), so that
being small and being one particular hospital are not the same thing.
"""

import inspect
import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch

import lumbo
from lumbo import angles, store
from lumbo.films import hospitals, radiograph
from lumbo.learning import evaluation, federated, models, training
from lumbo.errors import InputError, fields, number, require, whole
from lumbo.learning.federated import Client
from lumbo.films.hospitals import FilmSet
from lumbo.learning.training import Check, Plan

__all__ = [
    "ARMS",
    "TRAINING_SEEDS",
    "TUNABLE",
    "HELD_OUT",
    "Size",
    "Job",
    "Outcome",
    "sizes",
    "tuned",
    "size",
    "check_size",
    "seeds",
    "jobs",
    "specification",
    "stands",
    "same_bits",
    "patients",
    "clients",
    "tested_films",
    "plan_of",
    "train",
    "run",
    "read_outcome",
    "read_run",
    "reference",
    "reference_model",
    "fingerprint",
    "provenance",
]

ARMS = ("local", "centralized", "federated")
TRAINING_SEEDS = 1000  # patients of training seed s have seed s + 1000; test patients have seed 0
TUNABLE = {"learning_rate", "weight_decay", "warmup", "epochs"}  # what an arm may have of its own in its plan
HELD_OUT = 6  # a point of the learning curve has one validation film for so many training films, at least 8
_UNFINISHED = "{}.unfinished-"  # how the name of a job's checkpoint begins
_NOTED = {"size", "specification", "fingerprint", "commit", "versions", "hardware", "seconds", "jobs"}


@dataclass(frozen=True)
class Size:
    """How large an experiment is; see ``data_synth/experiment.toml``."""

    name: str
    title: str
    seeds: dict[str, int]
    left_out: bool
    curve: tuple[int, ...]
    long_side_px: int
    share: float
    test: int
    plan: Plan


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


@cache
def sizes() -> dict[str, Size]:
    """Read every size from ``data_synth/experiment.toml``."""
    return {name: check_size(name, table) for name, table in _experiment().items() if name != "tuned"}


@cache
def tuned() -> dict[str, dict[str, dict]]:
    """Read what `benchmarks/tuning.py` chose, fields of a plan by network and arm."""
    table = fields("tuned", _experiment()["tuned"], set(models.NETWORKS))
    for network, arms in table.items():
        fields(f"tuned.{network}", arms, set(ARMS))
        for arm, chosen in arms.items():
            fields(f"tuned.{network}.{arm}", chosen, TUNABLE, TUNABLE)
    return table


def size(name: str) -> Size:
    """Return one size, or raise `InputError` with the names there are."""
    require(name in sizes(), "size", name, f"one of {', '.join(sizes())}")
    return sizes()[name]


def check_size(name: str, table: dict) -> Size:
    """Turn a table into a `Size`, or raise `InputError` naming the field."""
    fields(name, table, set(Size.__dataclass_fields__) - {"name"})
    require(isinstance(table["title"], str), f"{name}.title", table["title"], "a text")
    seeds = fields(f"{name}.seeds", table["seeds"], set(models.NETWORKS), set(models.NETWORKS))
    require(bool(seeds), f"{name}.seeds", seeds, "how many seeds for at least one network")
    for network, count in seeds.items():
        whole(f"{name}.seeds.{network}", count, 1)
    require(isinstance(table["left_out"], bool), f"{name}.left_out", table["left_out"], "true or false")
    curve = table["curve"]
    distinct = isinstance(curve, list) and all(curve.count(films) == 1 for films in curve)
    require(distinct, f"{name}.curve", curve, "a list of numbers of films, each once")
    for films in curve:
        whole(f"{name}.curve", films, 1)
    radiograph.canvas(table["long_side_px"])
    number(f"{name}.share", table["share"], 0.01, 1)
    whole(f"{name}.test", table["test"], 2)
    known = set(Plan.__dataclass_fields__)
    plan = fields(f"{name}.plan", table["plan"], known, known - {"steps", "checks", "patience"})
    return Size(name=name, **table | {"curve": tuple(table["curve"]), "plan": Plan(**plan)})


def seeds(what: Size) -> range:
    """Return the seeds of an experiment; each is a shard."""
    return range(max(what.seeds.values()))


def jobs(what: Size, seed: int) -> list[Job]:
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


def specification(what: Size) -> str:
    """Digest everything that shapes a result: films, sizes, and the code that trains and predicts."""
    return store.content_key(hospitals.specification(what.long_side_px), asdict(what), tuned(), _CODE)


def stands(made: str, what: Size) -> bool:
    """Say whether results of a specification are those of today's code.

    They are where nothing has changed, or where `benchmarks/same_bits.py` has found that what has changed
    trains to the same bits.
    """
    known = {specification(what)}
    for pair in reversed(same_bits()):
        before, after = pair["specifications"].get(what.name, (None, None))
        known |= {before} if after in known else set()
    return made in known


def same_bits() -> list[dict]:
    """Return the pairs of specifications that `benchmarks/same_bits.py` found to train to the same bits."""
    return json.loads(files("data_synth").joinpath("reference", "same_bits.json").read_text(encoding="utf-8"))


def patients(seed: int) -> dict[str, dict[str, int]]:
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

    def films(where, split):
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


def train(
    job: Job,
    sites: list[Client],
    plan: Plan,
    device: torch.device,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> tuple[torch.nn.Module, list[Check]]:
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


def run(
    what: Size,
    out: Path,
    only: Sequence[int] | None = None,
    workers: int | None = None,
    device: str = "auto",
    report: Callable[[str, int, int], None] = lambda job, steps, total: None,
) -> Outcome:
    """Train and test every model of an experiment that `out` does not hold yet.

    Parameters
    ----------
    out : folder for ``jobs/`` (weights and predictions of each model) and, for each seed,
        ``seedN.safetensors`` (all predictions and the test angles) and ``seedN.json`` (where they come from)
    only : seeds to run, by default all
    workers : models trained at the same moment, one thread each; by default one a core; on a GPU, which one
        keeps busy, only 1
    report : called with (job, steps it has taken, steps it may take), by the thread that trains it: first
        with the steps taken in earlier calls, last with all of them

    Returns
    -------
    Everything that `out` holds, of these and other seeds.

    Raises
    ------
    InputError
        `only`, `workers` or `device` cannot be had, or `out` holds results of another specification or a
        file that cannot be read.
    """
    out, place, key = Path(out), training.pick_device(device), specification(what)
    on_cpu = place.type == "cpu"
    workers = whole("workers", (_cores() if on_cpu else 1) if workers is None else workers, 1)
    require(workers == 1 or on_cpu, "workers", workers, federated.ONE_ON_A_GPU)
    only = list(seeds(what)) if only is None else list(only)
    for seed in only:
        require(seed in seeds(what), "seed", seed, f"a whole number from 0 to {len(seeds(what)) - 1}")
    for path in out.glob("seed*.safetensors"):
        made = _read(path, _read_shard)[1]
        require(
            made == key, str(path), f"specification {made}", f"{key}; choose another folder or delete this"
        )
    todo = {seed: [job for job in jobs(what, seed) if not _done(out, job, key)] for seed in only}
    for job in {job for seed in only for job in jobs(what, seed)} - {
        job for left in todo.values() for job in left
    }:
        report(job.name, what.plan.steps, what.plan.steps)
    store.make_folder(out / "jobs")  # a place that cannot be written to is found now, not after training
    ends = ("json", "safetensors")
    todo = {
        seed: left
        for seed, left in todo.items()
        if left or not all((out / f"seed{seed}.{end}").exists() for end in ends)
    }
    if todo:
        origin = provenance(what, place)  # now, while the checkout holds the code that was imported
    for seed, left in todo.items():
        _run_shard(what, seed, left, out, origin, workers, place, report)
    return read_outcome(out)


def read_outcome(folder: Path) -> Outcome:
    """Read all shards that `run` left in a folder, by whatever specification they were made.

    Raises `InputError` naming the file when one is missing, torn, incomplete or not of the same experiment.
    """
    shards = sorted(Path(folder).glob("seed*.safetensors"), key=_seed_of)
    require(bool(shards), str(folder), "no shard", "what an experiment left, seed0.safetensors and so on")
    read = [_read_shard(path) for path in shards]
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
    shards = sorted(Path(folder).glob("seed*.safetensors"), key=_seed_of)
    require(bool(shards), str(folder), "no shard", "what an experiment left")
    notes = {path: _read_note(path.with_suffix(".json")) for path in shards}
    first = notes[shards[0]]
    for path, note in notes.items():
        found, beside = str(path.with_suffix(".json")), _read_shard(path)[1]
        require(note["size"] == first["size"], f"{found}: size", note["size"], "that of the other shards")
        for other in (first["specification"], beside):
            same = note["specification"] == other
            require(same, f"{found}: specification", note["specification"], f"{other}, as in the shards")
    seconds = {
        kind: round(sum(note["seconds"][kind] for note in notes.values()), 1) for kind in first["seconds"]
    }
    together = {
        "seeds": list(map(_seed_of, shards)),
        "commit": ", ".join(sorted({str(note["commit"]) for note in notes.values()})),
        "hardware": _different(note["hardware"] for note in notes.values()),
        "versions": _different(note["versions"] for note in notes.values()),
        "seconds": seconds,
        "jobs": {name: job for note in notes.values() for name, job in note["jobs"].items()},
    }
    return first | together


def reference(name: str) -> tuple[Outcome, dict]:
    """Return the stored outcome of an experiment that ships with the book, and where it comes from."""
    folder = files("data_synth").joinpath("reference", size(name).name)
    with as_file(folder) as path:
        require(path.is_dir(), "reference", name, "a size whose results ship with the book")
        return read_outcome(path), read_run(path)


def reference_model(job: Job) -> torch.nn.Module:
    """Return a trained network that ships with the book; raises `InputError` where it does not."""
    with as_file(files("data_synth").joinpath("reference", "weights")) as folder:
        return models.load(folder / f"{job.name}.safetensors")


def fingerprint(what: Size) -> dict[str, list[float]]:
    """Return the first three losses of each network on a few films: they move when the code does."""
    films = hospitals.film_set(hospitals.participants()[0], "training", 0, 24, what.long_side_px)
    losses, before = {}, torch.get_num_threads()
    torch.set_num_threads(1)
    for network in what.seeds:
        model = models.build(network, 0)
        optimizer = training.new_optimizer(model, what.plan)
        taken = (
            training.run_steps(model, optimizer, films, what.plan, (0,), step, step + 1, 3)
            for step in range(3)
        )
        losses[network] = [round(float(loss), 4) for loss in taken]
    torch.set_num_threads(before)
    return losses


def provenance(what: Size, device: torch.device) -> dict:
    """Collect where results come from: size, specification, commit, versions, hardware."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "size": asdict(what),
        "specification": specification(what),
        "fingerprint": fingerprint(what),
        "commit": _commit(),
        "versions": {
            "lumbo": lumbo.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "hardware": {"processor": _processor(), "cores": _cores(), "gpu": gpu, "system": platform.system()},
    }


def _run_shard(what, seed, todo, out, origin, workers, place, report) -> None:
    """Train the jobs of one seed that are left and put all of the seed in one file."""
    began, key, stop = time.perf_counter(), origin["specification"], threading.Event()
    with training.one_thread_each(_cores()) as pool:
        _draw_films(what, todo, pool)
    drawn = time.perf_counter()
    with training.one_thread_each(workers) as pool:
        try:
            for done in as_completed(
                [pool.submit(_run_job, job, what, out, key, place, stop, report) for job in todo]
            ):
                done.result()
        except BaseException:
            stop.set()  # the other jobs end at their next check, which is on disk by then
            raise
    seconds = {"drawing": round(drawn - began, 1), "training": round(time.perf_counter() - drawn, 1)}
    _write_shard(what, seed, out, origin | {"seconds": seconds})
    for job in jobs(what, seed):  # what a kill at the last moment has left
        for name in (_UNFINISHED.format(job.name), f".{job.name}."):
            for path in (out / "jobs").glob(f"{name}*"):
                path.unlink()


def _draw_films(what: Size, todo: list[Job], pool: Executor) -> None:
    """Put all films in the cache, the sets side by side, before jobs share them."""
    everyone = [h.name for h in hospitals.participants()]
    alone = dict.fromkeys(  # every hospital once, not once for each model that learns from it
        replace(job, network="", arm="local", site=site, without="")
        for job in todo
        for site in ([job.site] if job.site else everyone)
    )
    sets = [pool.submit(clients, what, job) for job in alone]
    for drawn in [*sets, *(pool.submit(tested_films, what, site) for site in hospitals.hospitals())]:
        drawn.result()


def _run_job(job, what, out, key, device, stop, report) -> None:
    """Train one model, test it everywhere, and put weights and predictions on disk."""
    began = time.perf_counter()

    def checked(check: Check) -> None:
        report(job.name, check.steps, what.plan.steps)
        if stop.is_set():
            raise KeyboardInterrupt

    unfinished = _checkpoint(out, job, key, device)
    taken = _read(unfinished)[1]["history"][-1][0] if unfinished.exists() else 0
    report(job.name, taken, what.plan.steps)
    sites = clients(what, job)
    model, history = train(job, sites, plan_of(what, job), device, unfinished, checked)
    factors = _calibrate(model, hospitals.pool([site.validation for site in sites]))
    models.save(
        out / "jobs" / f"{job.name}.weights.safetensors", model, {"job": asdict(job), "specification": key}
    )
    note = {
        "job": asdict(job),
        "specification": key,
        "films": sum(len(site.train) for site in sites),
        "factors": factors.tolist(),
        "history": history,
        "device": str(device),
        "seconds": round(time.perf_counter() - began, 1),
    }
    store.save_tensors(_prediction_file(out, job), _test(model, what, factors), note)
    unfinished.unlink(missing_ok=True)
    report(job.name, what.plan.steps, what.plan.steps)


def _calibrate(model, held: FilmSet) -> np.ndarray:
    """Learn from validation films how many times its expected error a model is off: (levels, 4)."""
    said = training.predict(model, held.films)
    errors = evaluation.angle_errors(said.angles_deg, held.rated_angles_deg)
    return evaluation.interval_factors(errors, said.spread_deg)


def _test(model, what: Size, factors: np.ndarray) -> dict[str, np.ndarray]:
    """Predict every hospital's test films: angles by hospital, and half-widths of their intervals."""
    tested = {}
    for site, test in tested_films(what).items():
        said = training.predict(model, test.films)
        within = said.spread_deg[..., None] * factors.T
        tested |= {site: said.angles_deg.astype(np.float32), f"{site}/within": within.astype(np.float16)}
    return tested


def _write_shard(what: Size, seed: int, out: Path, origin: dict) -> None:
    """Put all predictions of one finished seed in one file, and where they come from beside it."""
    arrays, notes = {}, {}
    for job in jobs(what, seed):
        tested, note = store.load_tensors(_prediction_file(out, job))
        arrays |= {f"{job.name}/{name}": values for name, values in tested.items()}
        notes[job.name] = note
    for site, test in tested_films(what).items():
        arrays[f"rated/{site}"] = test.rated_angles_deg.astype(np.float32)
        arrays[f"truth/{site}"] = test.angles_deg.astype(np.float32)
    trained = [{"job": note["job"], "films": note["films"]} for note in notes.values()]
    note = {"jobs": trained, "specification": origin["specification"]}
    kept = {name: {k: note[k] for k in ("seconds", "device", "history")} for name, note in notes.items()}
    store.write_atomic(out / f"seed{seed}.json", json.dumps(origin | {"jobs": kept}, indent=1).encode())
    store.save_tensors(out / f"seed{seed}.safetensors", arrays, note)


def _read_shard(path: Path) -> tuple[Outcome, str]:
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

    def by_site(owner, end=""):
        return {site: arrays[f"{owner}/{site}{end}"].astype(np.float64) for site in sites}

    said = {job: by_site(job.name) for job in films}
    within = {job: by_site(job.name, "/within") for job in films}
    return Outcome(said, within, films, by_site("rated"), by_site("truth")), made


def _read_note(path: Path) -> dict:
    """Read where one shard comes from."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error), "what `run` writes beside a shard") from error
    whole_note = isinstance(note, dict) and note.keys() >= _NOTED
    require(whole_note, str(path), sorted(note)[:9], f"what `run` writes beside a shard, {sorted(_NOTED)}")
    return note


def _different(tables: Iterable[dict]) -> dict:
    """Put tables of the same fields together: a value where all agree, else all values with commas between."""
    found: dict[str, dict] = {}
    for table in tables:
        for field, value in table.items():
            found.setdefault(field, {})[value] = None
    return {
        field: next(iter(values)) if len(values) == 1 else ", ".join(map(str, values))
        for field, values in found.items()
    }


def _seed_of(path: Path) -> int:
    """Read the seed in a shard's name."""
    digits = path.stem.removeprefix("seed")
    require(digits.isdecimal(), str(path), path.name, "a name such as seed0.safetensors")
    return int(digits)


def _prediction_file(folder: Path, job: Job) -> Path:
    return Path(folder) / "jobs" / f"{job.name}.predictions.safetensors"


def _checkpoint(folder: Path, job: Job, key: str, device: torch.device) -> Path:
    """Name the checkpoint of a job; refuse one that another specification, torch or kind of device has left."""
    start = _UNFINISHED.format(job.name)
    path = folder / "jobs" / f"{start}{key}-torch-{torch.__version__}-{device.type}.safetensors"
    for other in path.parent.glob(f"{start}*"):
        mine = f"{path.name}, of this specification, torch and device; delete it to train this model anew"
        require(other == path, str(other), "a checkpoint of another run", mine)
    return path


def _read(path: Path, reader: Callable = store.load_tensors) -> tuple:
    """Read a file that can be made again, and say so where it is damaged."""
    try:
        return reader(path)
    except InputError as error:
        raise InputError(error.field, error.value, f"{error.allowed}; delete it and run again") from error


@cache
def _experiment() -> dict:
    return store.read_toml(files("data_synth").joinpath("experiment.toml"))


def _done(folder: Path, job: Job, key: str) -> bool:
    """Whether the job is finished; refuse to mix results of two specifications."""
    path = _prediction_file(folder, job)
    if not path.exists():
        return False
    made = _read(path)[1].get("specification")
    if made != key:
        raise InputError(
            str(path), f"specification {made}", f"{key}; choose another folder or delete this one"
        )
    return True


def _commit() -> str | None:
    """Return the commit of the checkout that runs, with "+changes" if it was edited; None outside one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(lumbo.__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "__init__.py"
        )  # an installed copy may lie in somebody else's checkout
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", ".", "../data_synth") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Name the processor as the operating system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


_SHAPING = (
    *(evaluation.angle_errors, evaluation.interval_factors),
    *(patients, clients, tested_films, plan_of, train, _calibrate, _test),
)
_CODE = store.content_key(
    *(angles, models, training, federated),
    *(store.bare_code(inspect.getsource(part)) for part in _SHAPING),
    *(TRAINING_SEEDS, HELD_OUT),
)
