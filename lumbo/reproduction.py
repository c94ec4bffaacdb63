"""The paper's experiment: every arm, every network, every test set; resumable.  Taught in ch10.

A *job* trains one model: local (one hospital's films), centralized (all films in one
place) or federated.  It leaves its weights and its predictions on every hospital's test
patients, whole or not at all; tables are made from the predictions alone.
"""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import lumbo
from lumbo import evaluation, federated, hospitals, models, radiograph, store, training
from lumbo.errors import InputError, fields, number, require, whole
from lumbo.federated import Client
from lumbo.hospitals import FilmSet
from lumbo.training import Check, Plan

ARMS = ("local", "centralized", "federated")
TESTS = ("internal", "participant", "outsider")
TRAINING_SEEDS = 1000  # patients of training seed s have seed s + 1000; test patients have seed 0


@dataclass(frozen=True)
class Size:
    """How large an experiment is; see ``data_synth/experiment.toml``."""

    name: str
    title: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    long_side_px: int
    share: float
    test: int
    plan: Plan


@dataclass(frozen=True)
class Job:
    """One model to train; `site` is the hospital of a local model, else ""."""

    network: str
    arm: str
    seed: int
    site: str = ""

    @property
    def name(self) -> str:
        """A file name: network, arm, site and seed."""
        return "-".join(filter(None, (self.network, self.arm, self.site, f"seed{self.seed}")))


@dataclass(frozen=True)
class Outcome:
    """What every model said of every test film, and what is right: angles_deg (n, 4) by hospital.

    said : by job, then by the hospital tested;  rated, truth : by hospital
    """

    said: dict[Job, dict[str, np.ndarray]]
    rated: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]


@cache
def sizes() -> dict[str, Size]:
    """Read every size from ``data_synth/experiment.toml``."""
    table = store.read_toml(files("data_synth").joinpath("experiment.toml"))
    return {name: check_size(name, size) for name, size in table.items()}


def size(name: str) -> Size:
    """Return one size, or raise `InputError` with the names there are."""
    require(name in sizes(), "size", name, f"one of {', '.join(sizes())}")
    return sizes()[name]


def check_size(name: str, table: dict) -> Size:
    """Turn a table into a `Size`, or raise `InputError` naming the field."""
    fields(name, table, set(Size.__dataclass_fields__) - {"name"})
    require(isinstance(table["title"], str), f"{name}.title", table["title"], "a text")
    for key in ("networks", "seeds"):
        values = table[key]
        listed = isinstance(values, list) and all(values.count(value) == 1 for value in values)
        require(listed and values, f"{name}.{key}", values, "a list of at least one, each once")
    for network in table["networks"]:
        known = list(models.NETWORKS)
        require(network in known, f"{name}.networks", network, f"one of {', '.join(known)}")
    for seed in table["seeds"]:
        whole(f"{name}.seeds", seed, 0)
    radiograph.canvas(table["long_side_px"])
    number(f"{name}.share", table["share"], 0.01, 1)
    whole(f"{name}.test", table["test"], 2)
    known = set(Plan.__dataclass_fields__)
    plan = fields(f"{name}.plan", table["plan"], known, known - {"steps", "checks", "patience"})
    lists = {"networks": tuple(table["networks"]), "seeds": tuple(table["seeds"])}
    return Size(name=name, **table | lists | {"plan": Plan(**plan)})


def jobs(what: Size) -> list[Job]:
    """List the models of an experiment, the longest to train first."""
    sites = [h.name for h in hospitals.participants()]
    return [
        job
        for seed in what.seeds
        for network in what.networks
        for job in (
            Job(network, "federated", seed),
            Job(network, "centralized", seed),
            *(Job(network, "local", seed, site) for site in sites),
        )
    ]


def specification(what: Size) -> str:
    """Digest everything that shapes a result: films, sizes, and the code that trains and predicts."""
    return store.content_key(hospitals.specification(what.long_side_px), asdict(what), _CODE)


def clients(what: Size, seed: int, site: str = "") -> list[Client]:
    """Return the participants, or the one called `site`, with their films, the largest first."""

    def films(where, split):
        n = max(1, round(where.patients[split] * what.share))
        return hospitals.film_set(where, split, seed + TRAINING_SEEDS, n, what.long_side_px)

    return [
        Client(h.name, films(h, "training"), films(h, "validation"))
        for h in hospitals.participants()
        if site in ("", h.name)
    ]


def test_sets(what: Size, site: str = "") -> dict[str, FilmSet]:
    """Return every hospital's test films, or one's, by name: the same patients for every arm and seed."""
    return {
        name: hospitals.film_set(h, "test", 0, min(what.test, h.patients["test"]), what.long_side_px)
        for name, h in hospitals.hospitals().items()
        if site in ("", name)
    }


def train(
    job: Job,
    what: Size,
    device: torch.device,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> tuple[torch.nn.Module, list[Check]]:
    """Train the model of one job; every arm starts from the same weights."""
    sites = clients(what, job.seed, job.site)
    model = models.build(job.network, job.seed).to(device)
    if job.arm == "federated":
        history, _ = federated.fedavg(
            model, sites, what.plan, (job.seed,), checkpoint=checkpoint, report=report
        )
        return model, history
    films, held = hospitals.pool([c.train for c in sites]), hospitals.pool([c.validation for c in sites])
    return model, training.fit(model, films, held, what.plan, (job.seed,), checkpoint, report)


def run(
    what: Size,
    out: Path,
    workers: int | None = None,
    device: str = "auto",
    report: Callable[[str, int, int], None] = lambda job, steps, total: None,
) -> Outcome:
    """Train and test every model of an experiment that `out` does not hold yet; write the tables.

    Parameters
    ----------
    out : folder for ``jobs/`` (weights and predictions of each model), ``outcome.safetensors``
        (all predictions and the test angles), ``results.csv`` and ``run.json``
    workers : models trained at the same moment, one thread each; by default one a core, on a GPU one
    report : called with (job, steps it has taken, steps it may take), by the thread that trains it;
        a finished job has taken all

    Raises
    ------
    InputError
        `workers` or `device` cannot be had, or `out` holds results of another specification or a
        file that cannot be read.
    """
    out, place, key = Path(out), training.pick_device(device), specification(what)
    workers = whole("workers", (_cores() if place.type == "cpu" else 1) if workers is None else workers, 1)
    todo = [job for job in jobs(what) if not _done(out, job, key)]
    for job in set(jobs(what)) - set(todo):
        report(job.name, what.plan.steps, what.plan.steps)
    if not todo and (out / "run.json").exists():
        return read_outcome(out)
    origin, began = provenance(what, place), time.perf_counter()
    store.make_folder(out / "jobs")  # a place that cannot be written to is found now, not after training
    stop = threading.Event()
    with training.one_thread_each(workers) as pool:
        _draw_films(what, pool)
        drawn = time.perf_counter()
        try:
            for done in as_completed(
                [pool.submit(_run_job, job, what, out, key, place, stop, report) for job in todo]
            ):
                done.result()
        except BaseException:
            stop.set()  # the other jobs end at their next check, which is on disk by then
            pool.shutdown(cancel_futures=True)
            raise
    seconds = {"drawing": round(drawn - began, 1), "training": round(time.perf_counter() - drawn, 1)}
    _write_tables(what, out, origin | {"seconds": seconds})
    return read_outcome(out)


def read_outcome(folder: Path) -> Outcome:
    """Read what `run` left in a folder, by whatever specification it was made.

    Raises `InputError` naming the file when it is missing, torn or incomplete.
    """
    path = Path(folder) / "outcome.safetensors"
    arrays, note = store.load_tensors(path)
    try:
        trained = [Job(**job) for job in note["jobs"]]
    except (KeyError, TypeError) as error:
        raise InputError(str(path), f"a note without jobs, {error}", "what an experiment left") from error
    sites = sorted({name.partition("/")[2] for name in arrays})
    wanted = {
        f"{owner}/{site}" for owner in (*(job.name for job in trained), "rated", "truth") for site in sites
    }
    odd = sorted(wanted ^ arrays.keys())
    found = f"{len(trained)} models, {len(odd)} arrays missing or unknown {odd[:1]}"
    require(bool(trained) and not odd, str(path), found, "the angles of every model on every hospital")

    def by_site(owner):
        return {site: arrays[f"{owner}/{site}"].astype(np.float64) for site in sites}

    return Outcome({job: by_site(job.name) for job in trained}, by_site("rated"), by_site("truth"))


def reference(name: str) -> tuple[Outcome, dict]:
    """Return the stored outcome of an experiment that ships with the book, and its ``run.json``."""
    folder = files("data_synth").joinpath("reference", size(name).name)
    with as_file(folder) as path:
        require(path.is_dir(), "reference", name, "a size whose results ship with the book")
        return read_outcome(path), json.loads((path / "run.json").read_text(encoding="utf-8"))


def results(outcome: Outcome, rng: np.random.Generator) -> pd.DataFrame:
    """Score every model on every test set: one tidy row per angle, against rated angles and truth."""
    rows = []
    for job, by_site in outcome.said.items():
        for site, predicted in by_site.items():
            for name, angles_deg in (("rated", outcome.rated[site]), ("truth", outcome.truth[site])):
                table = evaluation.summary(predicted, angles_deg, rng, 1000, reference=name)
                head = asdict(job) | {"tested_on": site, "test": test_kind(job, site)}
                rows.append(table.assign(**head)[[*head, *table.columns]])
    return pd.concat(rows, ignore_index=True)


def test_kind(job: Job, site: str) -> str:
    """Say what testing this model on this hospital is: "internal", "participant" or "outsider"."""
    if hospitals.hospital(site).role == "outsider":
        return "outsider"
    return "participant" if job.arm == "local" and job.site != site else "internal"


def overview(
    outcome: Outcome, rng: np.random.Generator, reference: str = "rated", resamples: int = 2000
) -> pd.DataFrame:
    """Average the MAE of all angles over models and hospitals: one row per network, arm and kind of test.

    Parameters
    ----------
    rng : draws test patients of each hospital, the same for all models, for the 95 % interval
    reference : "rated" or "truth"

    Returns
    -------
    DataFrame with columns network, arm, test, mae, low, high; degrees
    """
    require(reference in evaluation.REFERENCES, "reference", reference, "rated or truth")
    target = getattr(outcome, reference)
    draws = {
        site: rng.integers(len(angles), size=(resamples, len(angles))) for site, angles in target.items()
    }
    cells: dict[tuple, list] = {}
    for job, by_site in outcome.said.items():
        for site, predicted in by_site.items():
            error = np.abs(evaluation.angle_errors(predicted, target[site])).mean(1)
            cell = cells.setdefault((job.network, job.arm, test_kind(job, site)), [])
            cell.append((error.mean(), error[draws[site]].mean(1)))
    rows = []
    for key, scored in cells.items():
        sampled = np.mean([sample for _, sample in scored], axis=0)
        rows.append((*key, np.mean([mae for mae, _ in scored]), *np.quantile(sampled, [0.025, 0.975])))
    table = pd.DataFrame(rows, columns=["network", "arm", "test", "mae", "low", "high"])
    rank = {value: i for i, value in enumerate((*ARMS, *TESTS))}
    order = table[["network", "arm", "test"]].map(lambda value: rank.get(value, value))
    return table.loc[order.sort_values(["network", "arm", "test"]).index].reset_index(drop=True)


def provenance(what: Size, device: torch.device) -> dict:
    """Collect where results come from: size, specification, commit, versions, hardware."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "size": asdict(what),
        "specification": specification(what),
        "commit": _commit(),
        "versions": {
            "lumbo": lumbo.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "hardware": {"processor": _processor(), "cores": _cores(), "gpu": gpu, "system": platform.system()},
    }


def _write_tables(what: Size, out: Path, origin: dict) -> None:
    """Put all predictions, the scores and the origin of a finished experiment on disk."""
    outcome = _collect(what, out)
    note = {"jobs": [asdict(job) for job in outcome.said], "specification": origin["specification"]}
    store.save_tensors(out / "outcome.safetensors", _flat(outcome), note)
    table = results(outcome, np.random.default_rng(0))
    store.write_atomic(out / "results.csv", table.to_csv(index=False, float_format="%.4f").encode())
    notes = {job.name: store.load_tensors(_prediction_file(out, job))[1] for job in jobs(what)}
    trained = {name: {k: note[k] for k in ("seconds", "device", "history")} for name, note in notes.items()}
    store.write_atomic(out / "run.json", json.dumps(origin | {"jobs": trained}, indent=1).encode())


def _draw_films(what: Size, pool: Executor) -> None:
    """Put all films in the cache, the sets side by side, before jobs share them."""
    sites = [h.name for h in hospitals.participants()]
    sets = [pool.submit(clients, what, seed, site) for seed in what.seeds for site in sites]
    for drawn in [*sets, *(pool.submit(test_sets, what, site) for site in hospitals.hospitals())]:
        drawn.result()


def _collect(what: Size, folder: Path) -> Outcome:
    """Put the predictions of all jobs and the angles of all test films together."""
    said = {job: store.load_tensors(_prediction_file(folder, job))[0] for job in jobs(what)}
    tests = test_sets(what)
    rated = {site: test.rated_angles_deg for site, test in tests.items()}
    return Outcome(said, rated, {site: test.angles_deg for site, test in tests.items()})


def _flat(outcome: Outcome) -> dict[str, np.ndarray]:
    """Name each array ``owner/hospital``, in float32: a thousandth of a degree is enough."""
    owners = {job.name: by_site for job, by_site in outcome.said.items()}
    owners |= {"rated": outcome.rated, "truth": outcome.truth}
    return {
        f"{owner}/{site}": values.astype(np.float32)
        for owner, by_site in owners.items()
        for site, values in by_site.items()
    }


def _run_job(job, what, out, key, device, stop, report) -> None:
    """Train one model, test it everywhere, and put weights and predictions on disk."""
    began = time.perf_counter()

    def checked(check: Check) -> None:
        report(job.name, check.steps, what.plan.steps)
        if stop.is_set():
            raise KeyboardInterrupt

    unfinished = out / "jobs" / f"{job.name}.unfinished-{key}.safetensors"
    model, history = train(job, what, device, unfinished, checked)
    said = {site: training.predict(model, test.films)[0] for site, test in test_sets(what).items()}
    models.save(
        out / "jobs" / f"{job.name}.weights.safetensors", model, {"job": asdict(job), "specification": key}
    )
    note = {
        "job": asdict(job),
        "specification": key,
        "history": history,
        "device": str(device),
        "seconds": round(time.perf_counter() - began, 1),
    }
    store.save_tensors(_prediction_file(out, job), said, note)
    unfinished.unlink(missing_ok=True)
    report(job.name, what.plan.steps, what.plan.steps)


def _prediction_file(folder: Path, job: Job) -> Path:
    return Path(folder) / "jobs" / f"{job.name}.predictions.safetensors"


def _done(folder: Path, job: Job, key: str) -> bool:
    """Whether the job is finished; refuse to mix results of two specifications."""
    path = _prediction_file(folder, job)
    if not path.exists():
        return False
    made = store.load_tensors(path)[1].get("specification")
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


_CODE = store.content_key(models, evaluation, training, federated, sys.modules[__name__])
