"""What ties a result to the code that made it: specifications by their digest, behaviour by a fingerprint.

A *fingerprint* is what the code does, in some hundred numbers: a few films, the first losses of every
arm and network, and the intervals of a few predictions.  Another processor or another order of sums moves
them a little, another idea moves them far.  So a comment or a better name leaves a stored result in
force, and no change of what is computed does.  Taught in experiment.
"""

import json
import os
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch

import lumbo
from lumbo import store
from lumbo.errors import InputError, require
from lumbo.experiment import jobs
from lumbo.experiment.jobs import ARMS, Job, Size
from lumbo.films import hospitals
from lumbo.learning import models, training
from lumbo.learning.federated import Client
from lumbo.learning.training import Plan
from lumbo.threads import one_thread

__all__ = [
    "FILMS",
    "LONG_SIDE_PX",
    "PLAN",
    "BLOCKS",
    "TOLERANCES",
    "specification",
    "fingerprint",
    "differences",
    "hold",
    "read_fingerprint",
    "reference_fingerprint",
    "origin",
    "cores",
]

FILMS = (24, 16, 8, 8)  # training films of the four hospitals; 6 validation films each
LONG_SIDE_PX = 128
# Two rounds of 3 + 2 + 1 + 1 steps, so short ones that no rounding grows on the way.
PLAN = Plan(steps=14, checks=2, patience=2, learning_rate=1e-5)
BLOCKS = 4  # a film is summed up in so many rows and columns
TOLERANCES = {  # by section: what processors may change; measured with and without AVX-512, times five or more
    "films": 0.02,
    "landmarks": 0.002,
    "losses": 0.005,
    "errors": 0.2,
    "moves": 0.02,
    "angles": 1.0,
    "doubts": 2.0,
    "intervals": 0.05,
}


def specification(what: Size) -> str:
    """Digest every number that shapes a result: films, size, and what was tuned."""
    numbers = jobs.TRAINING_SEEDS, jobs.HELD_OUT
    return store.content_key(hospitals.specification(), asdict(what), jobs.tuned(), numbers)


@cache
def fingerprint() -> dict[str, dict[str, list[float]]]:
    """Say in numbers what the code of today does, by section and then by what it is about; seconds.

    films : mean grey levels of blocks of the first test film of each hospital
    landmarks : where its landmarks are and where the rater puts them, px
    losses, errors : two checks, with the validation MAE in degrees, of each network and arm
    moves : how far its weights have gone, in thousandths
    angles, doubts, intervals : what the centralized models then say of four films of an outsider, degrees
    """
    found: dict[str, dict[str, list[float]]] = {section: {} for section in TOLERANCES}
    with one_thread():
        for name, where in hospitals.hospitals().items():
            film = _films(where, "test", 1)
            found["films"][name] = _numbers(_blocks(film.films[0]))
            found["landmarks"][name] = _numbers([film.landmarks_px, film.rated_landmarks_px])
        for network in models.NETWORKS:
            for arm in ARMS:
                for section, numbers in _training(network, arm).items():
                    found[section][f"{network}, {arm}"] = numbers
    return found


def _training(network: str, arm: str) -> dict[str, list[float]]:
    """Train a network in one arm for some steps: a part of the fingerprint."""
    sites = [
        Client(h.name, _films(h, "training", n), _films(h, "validation", 6))
        for h, n in zip(hospitals.participants(), FILMS)
    ]
    sites = sites[:1] if arm == "local" else sites
    model, history = jobs.train(Job(network, arm, 0), sites, PLAN, torch.device("cpu"))
    gone = models.packed(model) - models.packed(models.build(network, 0))
    found = {
        "losses": _numbers([check.loss for check in history]),
        "errors": _numbers([check.validation_mae for check in history]),
        "moves": _numbers([1000 * gone.norm()]),
    }
    if arm == "centralized":
        films = _films(hospitals.hospital("elm"), "test", 4)
        said = training.predict(model, films.films)
        found |= {"angles": _numbers(said.angles_deg), "doubts": _numbers(said.spread_deg)}
        if network == "regressor":  # a landmark network that has not learnt is not sure of its doubt
            within = jobs.measure(model, films, jobs.calibrate(model, sites))[1]
            found["intervals"] = _numbers(within)
    return found


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


def hold(path: Path, what: Size) -> None:
    """Hold today's code against the fingerprint in a folder of results; write one where there is none.

    Raises `InputError` naming the file where it is torn, or of code that does something else.
    """
    if not path.exists():
        store.write_atomic(path, json.dumps(_identity(what) | fingerprint(), indent=1).encode() + b"\n")
    odd = differences(read_fingerprint(path), what)
    allowed = "results of code that does what today's does; choose another folder or delete this one"
    require(not odd, str(path), f"other results: {'; '.join(odd[:3])}", allowed)


def read_fingerprint(path: Path) -> dict:
    """Read a stored fingerprint, or raise `InputError` naming the file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error), "a fingerprint that a run wrote") from error
    sections = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in TOLERANCES)
    require(sections, str(path), list(found)[:9], f"a fingerprint, with {', '.join(TOLERANCES)}")
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
            "lumbo": lumbo.__version__,
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


def _films(where: hospitals.Hospital, split: hospitals.Split, n: int) -> hospitals.FilmSet:
    return hospitals.film_set(where, split, 0, n, LONG_SIDE_PX)


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
        command = ["git", "-C", str(Path(lumbo.__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # an installed copy may lie in another checkout
        edited = git("status", "--porcelain", ".", "../data_synth")
        return git("rev-parse", "HEAD") + ("+changes" if edited else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    """Name the processor as the operating system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
