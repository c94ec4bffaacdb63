"""What many hospitals cost lumbo: seconds a round and peak memory, each in a fresh process: ``make bench``.

Time: the same films are shared out among more and more hospitals, a full batch each at least, so that a round
takes the same steps whatever their number.  Memory: every hospital has the same two films, as views, so that
only what `federated.fedavg` itself holds can grow.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from lumbo.films_1 import hospitals
from lumbo.learning import federated, models, training

LONG_SIDE_PX = 128
FILMS, SHARED_OUT = 1024, (4, 16, 64, 128)
FEW, MANY = 2, (4, 16, 64, 250, 1000)
RSS_UNIT = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, in a MiB


def clients(n: int, films: hospitals.FilmSet, each: int) -> list[federated.Client]:
    """Make `n` hospitals with `each` films as views, again and again from the first; an eighth validates.

    Hospitals that begin at the same film share one set, so that they themselves cost next to nothing.
    """
    starts = [k * each % (len(films) - each + 1) for k in range(n)]
    held = max(1, each // 8)
    parts = {i: (films[i : i + each], films[i : i + held]) for i in set(starts)}
    return [federated.Client(f"hospital {k}", *parts[i]) for k, i in enumerate(starts)]


def film_set(n: int) -> hospitals.FilmSet:
    """Draw `n` films of the largest hospital, or take them from the cache."""
    return hospitals.film_set(hospitals.participants()[0], "training", 0, n, LONG_SIDE_PX)


def one(n: int, each: int, films: int, rounds: int, workers: int) -> dict[str, float]:
    """Train in this process: median seconds of the rounds after the first, and peak memory."""
    torch.set_num_threads(1)
    who, batch = clients(n, film_set(films), each), min(each, training.Plan.batch)
    steps = rounds * n * training.steps_per_epoch(each, batch)
    plan = training.Plan(steps=steps, checks=rounds, patience=rounds, batch=batch)
    marks = []
    net = models.build("landmarks", 0)
    federated.fedavg(net, who, plan, (0,), workers, report=lambda check: marks.append(time.monotonic()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"round_s": statistics.median(np.diff(marks)), "peak_mib": peak / RSS_UNIT}


def apart(*numbers: int) -> dict[str, float]:
    """Do `one` in a process of its own."""
    command = [sys.executable, __file__, "--one", *map(str, numbers)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth(settings: list[tuple[int, ...]], repeats: int) -> list[dict[str, float]]:
    """Measure the settings in turn, several times; medians."""
    turns = [[apart(*numbers) for numbers in settings] for _ in range(repeats)]
    return [
        {"hospitals": numbers[0]} | {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for numbers, runs in zip(settings, zip(*turns))
    ]


def main() -> None:
    """Print both tables, and write them to ``--out``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=FILMS, help="films of all hospitals together")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file for both tables")
    parser.add_argument("--one", type=int, nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one)))
        return
    batch = training.Plan.batch
    for films in (options.films, batch):
        film_set(films)  # drawn now, so that no process that is measured has to
    numbers = [n for n in SHARED_OUT if n * batch <= options.films]
    times = growth([(n, options.films // n, options.films, 3, 1) for n in numbers], options.repeats)
    print(f"{options.films} films, {options.films // batch} steps a round, one worker")
    for row in times:
        print(f"  {row['hospitals']:5} hospitals {row['round_s']:7.2f} s a round, "
              f"{row['round_s'] / times[0]['round_s']:.3f} x as long as with {numbers[0]}")  # fmt: skip
    memory = growth([(n, FEW, batch, 2, 2) for n in MANY], options.repeats)
    print(f"{FEW} films each, shared, two workers")
    for row in memory:
        print(f"  {row['hospitals']:5} hospitals {row['peak_mib']:7.1f} MiB at the peak, "
              f"{row['peak_mib'] - memory[0]['peak_mib']:+.1f} against {MANY[0]}")  # fmt: skip
    if options.out:
        found = {"films": options.films, "time": times, "memory": memory}
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
