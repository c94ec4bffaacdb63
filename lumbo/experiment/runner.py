"""Do the jobs of an experiment: side by side, resumable, whole or not at all.  Taught in experiment.

A job leaves its weights and its predictions on every hospital's test patients in ``jobs/``; a run
that was killed goes on from the last check of each job.  When all jobs of a seed are done, they
become a shard (`lumbo.experiment.results`).
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from lumbo import store
from lumbo.errors import InputError, array, instance, require, whole
from lumbo.experiment import jobs, provenance, results
from lumbo.experiment.jobs import Job, Size
from lumbo.experiment.results import Outcome, prediction_file
from lumbo.films_1 import hospitals
from lumbo.learning import models, training
from lumbo.learning.training import Check
from lumbo.threads import one_thread_each

__all__ = ["Report", "run"]

Report = Callable[[str, int, int], None]
_UNFINISHED = "{}.unfinished-"  # how the name of a job's checkpoint begins


@dataclass(frozen=True)
class _Run:
    """What all jobs of one call share; `stop` is set when one has failed or the reader has had enough."""

    what: Size
    out: Path
    key: str
    device: torch.device
    report: Report
    stop: threading.Event


def run(
    what: Size,
    out: Path,
    only: Iterable[int] | None = None,
    workers: int | None = None,
    device: str = "auto",
    report: Report = lambda job, steps, total: None,
) -> Outcome:
    """Train and test every model of an experiment whose predictions ``out/jobs`` does not hold yet.

    Parameters
    ----------
    out : folder for ``jobs/`` (weights and predictions of each model), ``fingerprint.json`` (what the code
        does) and, for each seed, ``seedN.safetensors`` (all predictions and the test angles) and
        ``seedN.json`` (where they come from)
    only : seeds to run, each once, by default all; a seed that another call is at work on in `out` is refused
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
        `only`, `workers` or `device` cannot be had, or `out` holds results of another specification, of code
        that does something else, or a file that cannot be read.
    """
    instance("what", what, Size, "jobs.size('fast')")
    require(callable(report), "report", report, "a function of (job, steps taken, steps it may take)")
    now = _Run(
        what,
        store.checked_path(out, "out"),
        provenance.specification(what),
        training.pick_device(device),
        report,
        threading.Event(),
    )
    on_cpu = now.device.type == "cpu"
    workers = whole("workers", (provenance.cores() if on_cpu else 1) if workers is None else workers, 1)
    training.check_workers(workers, now.device)
    asked = _asked(what, only)
    store.make_folder(now.out / "jobs")  # a place that cannot be written to is found now, not after training
    with ExitStack() as held:
        for seed in asked:
            held.enter_context(_alone(now.out / "jobs" / f"seed{seed}.lock", seed))
        todo = _todo(now, asked)
        provenance.hold(now.out, what)
        if todo:
            # Before training, while the checkout holds the code that was imported.
            origin = provenance.origin(what, now.device)
            for seed, left in todo.items():
                _run_shard(now, seed, left, origin, workers)
        for seed in asked:
            _tidy(now, seed)
        return results.read_outcome(now.out)


def _asked(what: Size, only: Iterable[int] | None) -> list[int]:
    """Return the seeds to run, or raise `InputError`."""
    every = jobs.seeds(what)
    if only is None:
        return list(every)
    require(isinstance(only, Iterable), "only", only, "a list of seeds")
    asked = [whole("seed", seed, 0, every[-1]) for seed in only]
    require(len(set(asked)) == len(asked) > 0, "only", asked, "at least one seed, each once")
    return asked


@contextmanager
def _alone(path: Path, seed: int) -> Iterator[None]:
    """Hold a seed of a folder, so that no two runs write the same files.

    The system lets go of the lock when the process ends, however it ends; the empty file stays.
    """
    with ExitStack() as held:
        try:
            _lock(held.enter_context(open(path, "ab")))
        except OSError as error:
            problem = f"another run at work on seed {seed}" if isinstance(error, _Busy) else error.strerror
            raise InputError(
                str(path), problem, "one run at a time; wait, or choose another folder"
            ) from error
        yield


if sys.platform == "win32":
    import msvcrt

    _Busy = PermissionError

    def _lock(file: IO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _Busy = BlockingIOError

    def _lock(file: IO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _todo(now: _Run, asked: Iterable[int]) -> dict[int, list[Job]]:
    """List the jobs that are left of each seed that is not whole; refuse a folder of something else."""
    for path in now.out.glob("seed*.safetensors"):
        _same(path, _read(path, results.read_shard)[1], now.key)
    todo = {}
    for seed in asked:
        left = []
        for job in jobs.of_seed(now.what, seed):
            if _done(now, job):
                now.report(job.name, now.what.plan.steps, now.what.plan.steps)
            else:
                left.append(job)
        shard, note = (now.out / f"seed{seed}.{end}" for end in ("safetensors", "json"))
        if note.exists():
            _read(note, results.read_note)
        if left or not (shard.exists() and note.exists()):
            todo[seed] = left
    return todo


def _run_shard(now: _Run, seed: int, todo: list[Job], origin: dict, workers: int) -> None:
    """Train the jobs of one seed that are left and put all of the seed in one file."""
    began = time.perf_counter()
    with one_thread_each(provenance.cores()) as pool:
        _draw_films(now.what, todo, pool)
    drawn = time.perf_counter()
    with one_thread_each(workers) as pool:
        try:
            for done in as_completed([pool.submit(_run_job, now, job, origin) for job in todo]):
                done.result()
        except BaseException:
            now.stop.set()  # the other jobs end at their next check, which is on disk by then
            raise
    seconds = {"drawing": round(drawn - began, 1), "training": round(time.perf_counter() - drawn, 1)}
    every, tested = jobs.of_seed(now.what, seed), jobs.tested_films(now.what)
    results.write_shard(now.out, seed, every, tested, origin | {"seconds": seconds})


def _tidy(now: _Run, seed: int) -> None:
    """Remove what a kill has left of a seed that is whole."""
    drafts = [f".seed{seed}.*", ".fingerprint.json.*"]
    for job in jobs.of_seed(now.what, seed):
        drafts += [f"jobs/{_UNFINISHED.format(job.name)}*", f"jobs/.{job.name}.*"]
    for path in [path for name in drafts for path in now.out.glob(name)]:
        path.unlink(missing_ok=True)


def _draw_films(what: Size, todo: list[Job], pool: Executor) -> None:
    """Put all films in the cache, the sets side by side, before jobs share them."""
    everyone = [h.name for h in hospitals.participants()]
    main = next(iter(what.seeds))
    alone = dict.fromkeys(  # every hospital once, not once for each model that learns from it
        replace(job, network=main, arm="local", site=site, without="")
        for job in todo
        for site in ([job.site] if job.site else everyone)
    )
    sets: list[Future] = [pool.submit(jobs.clients, what, job) for job in alone]
    sets += [pool.submit(jobs.tested_films, what, site) for site in hospitals.hospitals()]
    for drawn in sets:
        drawn.result()


def _run_job(now: _Run, job: Job, origin: dict) -> None:
    """Train one model, test it everywhere, and put weights and predictions on disk."""
    began = time.perf_counter()

    def checked(check: Check) -> None:
        now.report(job.name, check.steps, now.what.plan.steps)
        if now.stop.is_set():
            raise KeyboardInterrupt

    unfinished = _checkpoint(now, job)
    now.report(job.name, _read(unfinished, _taken) if unfinished.exists() else 0, now.what.plan.steps)
    sites = jobs.clients(now.what, job)
    plan = jobs.plan_of(now.what, job)
    model, history = jobs.train(job, sites, plan, now.device, unfinished, checked)
    factors = jobs.calibrate(model, sites)
    who = {"job": asdict(job), "specification": now.key}
    models.save(now.out / "jobs" / f"{job.name}.weights.safetensors", model, who)
    note = who | {
        "origin": {part: origin[part] for part in results.MADE_BY},
        "films": sum(len(site.train) for site in sites),
        "factors": factors.tolist(),
        "history": history,
        "device": str(now.device),
        "seconds": round(time.perf_counter() - began, 1),
    }
    store.save_tensors(prediction_file(now.out, job), _test(model, now.what, factors), note)
    unfinished.unlink(missing_ok=True)
    now.report(job.name, now.what.plan.steps, now.what.plan.steps)


def _taken(unfinished: Path) -> int:
    """Read how many steps a model had taken when it was last checked."""
    history = store.load_tensors(unfinished)[1].get("history")
    return int(array(f"{unfinished}.history", history, ("checks", 3))[-1, 0])


def _test(model: models.Network, what: Size, factors: np.ndarray) -> dict[str, np.ndarray]:
    """Predict every hospital's test films: angles by hospital, and half-widths of their intervals."""
    tested: dict[str, np.ndarray] = {}
    for site, test in jobs.tested_films(what).items():
        said, within = jobs.measure(model, test, factors)
        finite = np.minimum(within, np.finfo(np.float16).max)  # of a model that knows nothing
        tested |= {site: said.astype(np.float32), f"{site}/within": finite.astype(np.float16)}
    return tested


def _checkpoint(now: _Run, job: Job) -> Path:
    """Name the checkpoint of a job; refuse one that another specification, torch or kind of device has left."""
    start = _UNFINISHED.format(job.name)
    end = f"{now.key}-torch-{torch.__version__}-{now.device.type}.safetensors"
    path = now.out / "jobs" / f"{start}{end}"
    for other in path.parent.glob(f"{start}*"):
        mine = f"{path.name}, of this specification, torch and device; delete it to train this model anew"
        require(other == path, str(other), "a checkpoint of another run", mine)
    return path


def _done(now: _Run, job: Job) -> bool:
    """Whether the job is finished; refuse to mix results of two specifications."""
    path = prediction_file(now.out, job)
    if path.exists():
        note = _read(path, results.read_prediction)[1]
        _same(path, note["specification"], now.key)
        found = note["job"]
        require(found == asdict(job), str(path), f"job {found}", f"{asdict(job)}; delete it and run again")
    return path.exists()


def _same(path: Path, made: str, key: str) -> None:
    allowed = f"{key}; choose another folder or delete this one"
    require(made == key, str(path), f"specification {made}", allowed)


def _read(path: Path, reader: Callable) -> Any:
    """Read a file that can be made again, and say so where it is damaged."""
    try:
        return reader(path)
    except InputError as error:
        raise InputError(error.field, error.value, f"{error.allowed}; delete it and run again") from error
