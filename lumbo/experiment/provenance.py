"""What ties a result to the code that made it: specifications by their digest, behaviour by a fingerprint.

A *fingerprint* is what the code does, in some hundreds of numbers: a few films, the first losses of every
arm and network, the intervals of a few predictions.  Another processor or another order of sums moves
them a little, another idea moves them far.  So a comment or a better name leaves a stored result in force.
What only shows after thousands of steps, or only on a GPU, it does not see.  Taught in experiment.
"""

import json
import os
import platform
import subprocess
from dataclasses import asdict, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch

from lumbo import __version__, store
from lumbo.errors import array, fields, instance, require, text
from lumbo.experiment import jobs
from lumbo.experiment.jobs import ARMS, Job, Size
from lumbo.films.hospitals import FilmSet
from lumbo.films_1 import hospitals
from lumbo.learning import models, training
from lumbo.learning.checkpoint import Checkpoint
from lumbo.learning.training import Plan
from lumbo.threads import one_thread

__all__ = [
    "TOLERANCES",
    "SMALL",
    "FOLDER",
    "RATE",
    "SEED",
    "BLOCKS",
    "specification",
    "fingerprint",
    "differences",
    "hold",
    "read_fingerprint",
    "reference_fingerprint",
    "origin",
    "cores",
]

TOLERANCES = {  # by section: what processors may change; measured with and without AVX-512, times five or more
    "films": 0.02,
    "landmarks": 0.002,
    "losses": 0.005,
    "errors": 0.5,
    "moves": 0.02,
    "angles": 1.0,
    "doubts": 2.0,
    "intervals": 0.05,
    "rules": 1e-5,
}
SMALL = Size(
    name="fingerprint",
    title="a few steps of every arm and network",
    seeds=dict.fromkeys(models.NETWORKS, 1),
    left_out=False,
    curve=(),
    long_side_px=128,
    share=0.15,
    test=67,  # so that there are films of a second chunk
    plan=Plan(steps=14, checks=2, patience=2),
)
FOLDER = Path(__file__).resolve().parents[1]  # of the package
RATE = 1e-5  # of learning, so short a step that no rounding grows on the way
SEED = 1  # the sizes have moved on by one hospital
BLOCKS = 4  # a film is summed up in so many rows and columns


def specification(what: Size) -> str:
    """Digest every number that shapes a result: films, size, and what was tuned for its networks."""
    instance("what", what, Size, "jobs.size('fast')")
    size = {name: value for name, value in asdict(what).items() if name not in ("name", "title")}
    tuned = {network: jobs.tuned()[network] for network in what.seeds}
    return store.content_key(hospitals.specification(), size, tuned, jobs.TRAINING_SEEDS, jobs.HELD_OUT)


@cache
def fingerprint() -> dict[str, dict[str, list[float]]]:
    """Say in numbers what the code of today does, by section and then by what it is about; seconds.

    films : mean grey levels of blocks of two test films of each hospital, and of a larger one
    landmarks : where their landmarks are and where the rater puts them, px
    losses, errors : two checks, with the validation MAE in degrees, of each network and arm
    moves : how far its weights have gone, in thousandths
    angles, doubts, intervals : what the centralized models then say of four films of an outsider, degrees
    rules : who has how many patients, what was tuned, how the optimiser steps, when training stops
    """
    found: dict[str, dict[str, list[float]]] = {section: {} for section in TOLERANCES}
    with one_thread():
        tested = jobs.tested_films(SMALL)
        for name, data in tested.items():
            found["films"][name] = _numbers([_blocks(data.films[k]) for k in (0, -1)])
            found["landmarks"][name] = _numbers(
                [part[[0, -1]] for part in (data.landmarks_px, data.rated_landmarks_px)]
            )
        large = hospitals.film_set(hospitals.hospital("dogwood"), "test", 0, 1, 2 * SMALL.long_side_px)
        found["films"]["large"] = _numbers(_blocks(large.films[0]))
        for network in models.NETWORKS:
            for arm in ARMS:
                for section, numbers in _training(network, arm, tested["elm"][:4]).items():
                    found[section][f"{network}, {arm}"] = numbers
    found["rules"] = {"patients": _numbers(_patients()), "tuned": _numbers(_tuned())}
    found["rules"] |= {"optimiser": _numbers(_optimiser()), "patience": _numbers(_patience())}
    return found


def _training(network: str, arm: str, stranger: FilmSet) -> dict[str, list[float]]:
    """Train a network in one arm for some steps: a part of the fingerprint."""
    job = _job(network, arm)
    sites, plan = jobs.clients(SMALL, job), replace(jobs.plan_of(SMALL, job), learning_rate=RATE)
    model, history = jobs.train(job, sites, plan, torch.device("cpu"))
    gone = models.packed(model) - models.packed(models.build(network, SEED))
    found = {
        "losses": _numbers([check.loss for check in history]),
        "errors": _numbers([check.validation_mae for check in history]),
        "moves": _numbers([1000 * float(gone.norm())]),
    }
    if arm == "centralized":
        said = training.predict(model, stranger.films)
        found |= {"angles": _numbers(said.angles_deg), "doubts": _numbers(said.spread_deg)}
        if network == "regressor":  # a landmark network that has not learnt is not sure of its doubt
            within = jobs.measure(model, stranger, jobs.calibrate(model, sites))[1]
            found["intervals"] = _numbers(within)
    return found


def _job(network: str, arm: str) -> Job:
    return Job(network, arm, SEED, "dogwood" if arm == "local" else "")


def _patients() -> list[int]:
    return [n for seed in range(4) for counts in jobs.patients(seed).values() for n in counts.values()]


def _tuned() -> list[float]:
    """Plan of each network and arm, and the rate of learning on the way."""
    plans = [jobs.plan_of(SMALL, _job(network, arm)) for network in models.NETWORKS for arm in ARMS]
    numbers = [(p.learning_rate, p.weight_decay, p.warmup, p.epochs) for p in plans]
    rates = [(training.learning_rate(plan, way) for way in (0.01, 0.3, 0.9)) for plan in plans]
    return [number for row in (*numbers, *rates) for number in row]


def _optimiser() -> list[float]:
    """Weights after each of three steps with given gradients."""
    model, found = _two_weights(), []
    optimizer = training.new_optimizer(model, Plan(1, 1, 1, learning_rate=0.1, weight_decay=0.1))
    for gradient in ((1.0, -2.0), (0.5, 3.0), (-1.0, 0.1)):
        model.weight.grad = torch.tensor([gradient])
        optimizer.step()
        found += model.weight.flatten().tolist()
    return found


def _patience() -> list[float]:
    """At which checks a training with given validation errors stops, and with which weights."""
    model, errors = _two_weights(), iter([5.0, 3.0, 3.0, 4.0, 4.0, 1.0])

    def advance(check: int) -> tuple[int, float]:
        torch.nn.init.constant_(model.weight, check)
        return check + 1, 0.0

    plan, progress = Plan(6, 6, 2), Checkpoint(None, model, {}, {})
    history = training.descend(model, advance, lambda: next(errors), plan, progress)
    return [*(check.steps for check in history), *model.weight.flatten().tolist()]


def _two_weights() -> torch.nn.Linear:
    model = torch.nn.utils.skip_init(torch.nn.Linear, 2, 1, bias=False)  # draws nothing
    torch.nn.init.ones_(model.weight)
    return model


def differences(stored: dict, what: Size) -> list[str]:
    """List where a stored result is not what today's code would give, beyond what processors do; empty if nowhere.

    stored : from `read_fingerprint`;  what : the size of the result
    """
    odd = [name for name, value in _identity(what).items() if stored.get(name) != value]
    return odd + [
        f"{section}, {about}"
        for section, tolerance in TOLERANCES.items()
        for about in sorted(stored[section].keys() | fingerprint()[section].keys())
        if not _near(stored[section].get(about, []), fingerprint()[section].get(about, []), tolerance)
    ]


def hold(folder: Path, what: Size) -> None:
    """Hold today's code against the fingerprint in a folder of results; write one where there are no results yet.

    Raises `InputError` naming the file where it is missing, torn, or of code that does something else.
    """
    path = store.checked_path(folder, "folder") / "fingerprint.json"
    if not path.exists():
        results = [*path.parent.glob("seed*.safetensors"), *path.parent.glob("jobs/*.safetensors")]
        allowed = "a new folder, or the fingerprint of the code that made what is here"
        require(not results, str(path), f"no fingerprint beside {len(results)} results", allowed)
        store.write_atomic(path, json.dumps(_identity(what) | fingerprint(), indent=1).encode() + b"\n")
    odd = differences(read_fingerprint(path), what)
    allowed = (
        "results of code that does what today's does; choose another folder, or delete this one as a whole"
    )
    require(not odd, str(path), f"other results: {'; '.join(odd[:3])}", allowed)


def read_fingerprint(path: Path) -> dict:
    """Read a stored fingerprint, or raise `InputError` naming the file and the field."""
    found = store.read_json(path, "a fingerprint that a run wrote")
    fields(str(path), found, {*TOLERANCES, "specification", "films_version"})
    for name in ("specification", "films_version"):
        text(f"{path}.{name}", found[name])
    for section in TOLERANCES:
        instance(f"{path}.{section}", found[section], dict)
        for about, numbers in found[section].items():
            array(f"{path}.{section}.{about}", numbers, ("n",))
    return found


def reference_fingerprint(name: str) -> dict:
    """Return the fingerprint of the stored results of a size; raises `InputError` where none ships."""
    with as_file(files("data_synth").joinpath("reference", jobs.size(name).name, "fingerprint.json")) as path:
        return read_fingerprint(path)


def origin(what: Size, device: torch.device) -> dict:
    """Collect where results come from: size, specification, films, commit, versions, hardware."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "size": asdict(what),
        "specification": specification(what),
        "films_version": hospitals.frozen()["version"],
        "commit": _commit(),
        "versions": {
            "lumbo": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "hardware": {"processor": _processor(), "cores": cores(), "gpu": gpu, "system": platform.system()},
    }


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _identity(what: Size) -> dict[str, str]:
    return {"specification": specification(what), "films_version": hospitals.frozen()["version"]}


def _blocks(film: np.ndarray) -> np.ndarray:
    """Mean grey level of each of `BLOCKS` x `BLOCKS` blocks of a film (h, w)."""
    height, width = (size // BLOCKS * BLOCKS for size in film.shape)
    return film[:height, :width].reshape(BLOCKS, height // BLOCKS, BLOCKS, -1).mean((1, 3))


def _numbers(values) -> list[float]:
    return np.asarray(values, dtype=float).round(4).ravel().tolist()


def _near(one: list[float], other: list[float], tolerance: float) -> bool:
    """Whether two lists are equally long and nowhere further apart."""
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=0, atol=tolerance))


def _commit() -> str | None:
    """Return the commit of the checkout that runs, with "+changes" if it was edited; None outside one."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(FOLDER), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # an installed copy may lie in another checkout
        edited = git("status", "--porcelain", ".", "../data_synth")
        return git("rev-parse", "HEAD") + ("+changes" if edited else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    """Name the processor as the operating system does, or its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine() or "unknown"
