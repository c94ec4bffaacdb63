"""What if nobody turned the films?  The arms once more, on films as the archives hold them.

    python benchmarks/ablation.py

A canonical film faces left and has bright bones; in its archive it may face right, and bones may be dark.  Here the models
of one seed of size `fast` are trained and tested twice, on canonical films and on stored ones; nothing else differs.
Marks are mirrored with their film, and so is the ruler, so that every error is that of the same angle.  A model
is added to ``data_synth/reference/ablation.json`` as it is done, two at a time; what is there is not run again.
"""

import argparse
import json
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from lumbo import store, threads
from lumbo.angles import lumbopelvic_angles
from lumbo.experiment import jobs, provenance
from lumbo.experiment.jobs import Job
from lumbo.films import archive, radiograph
from lumbo.films.hospitals import FilmSet
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation, training
from lumbo.learning.federated import Client

NETWORK, SEED = "landmarks", 0
FILE = Path(__file__).parents[1] / "data_synth/reference/ablation.json"


def as_stored(data: FilmSet) -> FilmSet:
    """Take films as the archive holds them; marks and angles go along, measured as on a film that faces left.

    A mirrored SS is 180 degrees minus SS, PT changes its sign, and so on: differences keep their size.
    """
    facing = np.where(data.mirrored, "right", "left")
    true, rated = (
        archive.mirror(points, facing, data.films.shape[2])
        for points in (data.landmarks_px, data.rated_landmarks_px)
    )
    return replace(
        data,
        films=radiograph.present(data.films, facing, data.inverted),
        landmarks_px=true,
        rated_landmarks_px=rated,
        angles_deg=lumbopelvic_angles(true, "left"),
        rated_angles_deg=lumbopelvic_angles(rated, "left"),
    )


FILMS = {"canonical": lambda data: data, "as stored": as_stored}


def measure(what: jobs.Size, job: Job, films: str) -> dict:
    """Train one model and measure its MAE on every hospital's test films, rated angles, degrees."""
    turn = FILMS[films]
    sites = [Client(one.name, turn(one.train), turn(one.validation)) for one in jobs.clients(what, job)]
    model, history = jobs.train(job, sites, jobs.plan_of(what, job), torch.device("cpu"))
    found = {}
    for site, test in jobs.tested_films(what).items():
        shown = turn(test)
        said = training.predict(model, shown.films).angles_deg
        found[site] = round(
            float(evaluation.mae(evaluation.angle_errors(said, shown.rated_angles_deg))[4]), 3
        )
    return {
        "films": films,
        "model": job.name,
        "arm": job.arm,
        "site": job.site,
        "steps": history[-1].steps,
        "mae": found,
        "specification": provenance.specification(what),
        "films_version": hospitals.frozen()["version"],
    }


def main():
    """Train what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="models at the same moment, one thread each")
    options = parser.parse_args()
    what = jobs.size("fast")
    key = provenance.specification(what)
    done = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else []
    done = [one for one in done if one["specification"] == key]
    there = {(one["films"], one["model"]) for one in done}
    todo = [
        (job, films)
        for job in jobs.of_seed(what, SEED)
        if job.network == NETWORK
        for films in FILMS
        if (films, job.name) not in there
    ]
    unchecked = mock.patch.object(
        training, "check_films", lambda name, data: data
    )  # it refuses what faces right
    with unchecked, threads.one_thread_each(options.workers) as pool:
        for model in as_completed([pool.submit(measure, what, *one) for one in todo]):
            done.append(model.result())
            print(json.dumps(done[-1]), flush=True)
            done.sort(key=lambda one: (one["films"], one["model"]))
            store.write_atomic(FILE, (json.dumps(done, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
