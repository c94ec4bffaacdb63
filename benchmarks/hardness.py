"""How hard the films are: the landmark model of one hospital, trained to convergence, beside published accuracies.

    python benchmarks/hardness.py --hospital aspen --films 450 1400

Nothing here looks at more than one hospital, and no other knob is turned.  With `--out` the result is
kept as JSON: `data_synth/reference/hardness.json` is made that way, one hospital after the other.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from lumbo import store
from lumbo.films import hospitals
from lumbo.learning import evaluation, models, training

STEPS = {450: 6000, 1400: 12000}  # steps of eight films; some 6 and 12 minutes on a quiet core


def main():
    """Train at each number of films and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hospital", default="aspen")
    parser.add_argument("--films", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--steps", type=int, help="optimiser steps (default: by number of films)")
    parser.add_argument("--out", type=Path, help="JSON file to add the result to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    where = hospitals.hospital(options.hospital)
    for n in options.films:
        result = measure(where, n, options.steps or STEPS.get(n, 4000))
        print(json.dumps(result), flush=True)
        if options.out:
            kept = json.loads(options.out.read_text()) if options.out.exists() else []
            store.write_atomic(options.out, (json.dumps([*kept, result], indent=1) + "\n").encode())


def measure(where, n, steps):
    """Train on `n` films and measure on the test films: MAE of SS, PT, PI, LL in degrees."""
    train, validation, test = (
        hospitals.film_set(where, split, n=size)
        for split, size in (("training", n), ("validation", 100), ("test", 300))
    )
    model = models.build("landmarks", 0)
    plan = training.Plan(steps=steps, checks=steps // 250, patience=steps)
    start = time.time()

    def report(check):
        print(
            f"  {where.name} {n}: step {check.steps}, validation {check.validation_mae:.2f}, {time.time() - start:.0f} s",
            flush=True,
        )

    history = training.fit(model, train, validation, plan, (0,), report=report)
    predicted = training.predict(model, test.films).angles_deg
    ignorant = evaluation.predict_mean(train.rated_angles_deg, len(test))

    def mae(angles, reference):
        return evaluation.mae(angles - reference)[:4].round(3).tolist()

    return {
        "hospital": where.name,
        "films": n,
        "steps": steps,
        "best_step": min(history, key=lambda check: check.validation_mae).steps,
        "rated": mae(predicted, test.rated_angles_deg),
        "truth": mae(predicted, test.angles_deg),
        "mean_of_training": mae(ignorant, test.rated_angles_deg),
        "rater": mae(test.rated_angles_deg, test.angles_deg),
        "p90_rated": np.percentile(abs(predicted - test.rated_angles_deg), 90, axis=0).round(3).tolist(),
        "specs": hospitals.frozen()["today"],
        "films_version": hospitals.frozen()["version"],
    }


if __name__ == "__main__":
    main()
