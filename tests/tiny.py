"""A tiny experiment, which several test files run, read and spoil."""

import numpy as np

from lumbo import store
from lumbo.experiment import jobs
from lumbo.learning import models

PARTICIPANTS, OUTSIDERS = ["aspen", "birch", "cedar", "dogwood"], ["elm", "fir"]

TINY = {
    "title": "small enough for a test",
    "seeds": {"regressor": 1},
    "left_out": False,
    "curve": [],
    "long_side_px": 32,
    "share": 0.01,  # 11, 5, 3 and 1 films
    "test": 3,
    "plan": {"steps": 12, "checks": 2, "patience": 9, "batch": 4},
}
WIDE = {"seeds": {"regressor": 2}, "left_out": True, "curve": [3, 5]}
TUNED = {
    network: {arm: {"learning_rate": 10.0 ** -(k + 2), "epochs": 0.5} for k, arm in enumerate(jobs.ARMS)}
    for network in models.NETWORKS
}


def tiny(**changes):
    return jobs.check_size("tiny", TINY | changes)


def wide(**changes):
    return tiny(**WIDE | changes)


def all_jobs(what):
    return [job for seed in jobs.seeds(what) for job in jobs.of_seed(what, seed)]


def contents(folder):
    """What must not depend on how the run went: every shard."""
    return {path.name: path.read_bytes() for path in folder.glob("seed*.safetensors")}


def note_of(folder, job):
    return store.load_tensors(folder / "jobs" / f"{job.name}.predictions.safetensors")[1]


def equal(one, other):
    """Whether two outcomes hold the same numbers in the same order."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


def same_outcome(one, other):
    return all(equal(getattr(one, field), getattr(other, field)) for field in one.__dataclass_fields__)


def ruined(how):
    """A function that ruins the bytes of a file."""
    return {
        "torn": lambda whole: whole[:-9],
        "empty": lambda whole: b"",
        "foreign": lambda whole: b"not ours at all",
        "one bit": lambda whole: whole[:-9] + bytes([whole[-9] ^ 16]) + whole[-8:],
    }[how]


RUINS = ["torn", "empty", "foreign", "one bit"]
