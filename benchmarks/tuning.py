"""Tune the plan of every arm: the same number of trials each, in a world of its own.

    python benchmarks/tuning.py --network landmarks

The hospitals of that world draw other patients than any experiment does, and only their
validation patients choose; outsiders and test patients are never drawn.  A local plan has to serve
a large and a small hospital alike.  Trials are added to ``data_synth/reference/tuning.json`` as they
are done, two at a time; what is there already is not run again.
The best of each arm, which it prints, stands in ``data_synth/experiment.toml``.
"""

import argparse
import json
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np

from lumbo import store, threads
from lumbo.experiment import jobs
from lumbo.experiment.jobs import ARMS, Job
from lumbo.films_1 import hospitals
from lumbo.learning import models, training

WORLD = 5000  # its seed: the sizes stand as in the hospitals' files
STEPS = {"landmarks": 2000, "regressor": 2000}
LOCAL = "aspen", "dogwood"  # the largest and the smallest
ALONE = [
    *({"learning_rate": rate} for rate in (7.5e-4, 1.5e-3, 3e-3, 6e-3)),
    {"learning_rate": 3e-3, "weight_decay": 1e-2},
]
TOGETHER = [  # a mean of several clients moves like one model with larger batches: rates twice as large
    *({"learning_rate": rate, "epochs": 0.25} for rate in (1.5e-3, 3e-3, 6e-3, 1.2e-2)),
    {"learning_rate": 6e-3, "epochs": 0.1},
]
TRIALS = {"local": ALONE, "centralized": ALONE, "federated": TOGETHER}
FILE = Path(__file__).parents[1] / "data_synth/reference/tuning.json"


def main():
    """Run the trials that are not done yet and print the best of each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=list(models.NETWORKS), action="append")
    parser.add_argument("--workers", type=int, default=2, help="trials at the same moment, one thread each")
    options = parser.parse_args()
    networks = options.network or list(models.NETWORKS)
    done = read()
    todo = [
        (network, arm, trial)
        for network in networks
        for arm in ("federated", "centralized", "local")
        for trial in TRIALS[arm]
        if not any(same(one, network, arm, trial) for one in done)
    ]
    with threads.one_thread_each(options.workers) as pool:
        for job in as_completed([pool.submit(measure, *one) for one in todo]):
            done.append(job.result())
            print(json.dumps(done[-1]), flush=True)
            store.write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())
    for network in networks:
        for arm in ARMS:
            print(network, arm, best(done, network, arm))


def measure(network: str, arm: str, trial: dict) -> dict:
    """Train one trial and return its validation error, the mean over hospitals for local models."""
    what = jobs.size("fast")
    plan = replace(what.plan, steps=STEPS[network], **trial)
    sites = LOCAL if arm == "local" else ("",)
    errors = []
    for site in sites:
        job = Job(network, arm, WORLD, site)
        _, history = jobs.train(job, jobs.clients(what, job), plan, training.pick_device("cpu"))
        errors.append(min(check.validation_mae for check in history))
    return {
        "network": network,
        "arm": arm,
        "trial": trial,
        "steps": STEPS[network],
        "validation_mae": round(float(np.mean(errors)), 3),
        "films_version": hospitals.frozen()["version"],
    }


def read() -> list[dict]:
    """Return the trials that are done."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []


def same(one: dict, network: str, arm: str, trial: dict) -> bool:
    """Whether a finished trial is this one."""
    return (one["network"], one["arm"], one["trial"], one["steps"]) == (network, arm, trial, STEPS[network])


def best(done: list[dict], network: str, arm: str) -> dict:
    """Return the trial with the smallest validation error."""
    own = [one for one in done if (one["network"], one["arm"]) == (network, arm)]
    return min(own, key=lambda one: one["validation_mae"])["trial"] if own else {}


if __name__ == "__main__":
    main()
