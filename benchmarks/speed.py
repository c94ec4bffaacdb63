"""Where the time goes, measured side by side in one run: ``make bench``.

Prints films drawn per second beside films 1.0, the memory that they need, the loop's cost over a bare loop, and what
training clients at the same moment wins.  Medians, and medians of the ratios of runs that followed each other, since a
machine's pace drifts; absolute times depend on the machine and its load.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from resource import RUSAGE_SELF, getrusage

import numpy as np
import torch

from lumbo import threads
from lumbo.films import hospitals
from lumbo.films_1 import hospitals as hospitals_1
from lumbo.learning import federated, models, training
from lumbo.learning.augment import draw_moves, move

REPEATS = 5
SLOWER = 3  # times as long as one of films 1.0 a film may take at most
MEMORY = ((1, 256), (64, 256), (1, 1024))  # films and their pixels
STEPS, SERIES = 12, 25  # of the loop against a bare one: short, so that both see the same pace, and many


def seconds(work) -> float:
    """Return how long `work` takes once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(repeats: int, **works) -> list[dict[str, float]]:
    """Time each work in turn, again and again: the seconds of each in each repetition."""
    return [{name: seconds(work) for name, work in works.items()} for _ in range(repeats)]


def ratio(taken: list[dict[str, float]], one: str, other: str) -> float:
    """Return the median over repetitions of how many times as long one work takes as another."""
    return statistics.median(run[one] / run[other] for run in taken)


def bare_loop(model, data, plan, steps: int) -> None:
    """Take the steps of `training.run_steps`, to the bit, with nothing around them."""
    optimizer = training.new_optimizer(model, plan)
    films, landmarks = torch.from_numpy(data.films), torch.from_numpy(data.rated_landmarks_px).float()
    for step, index in zip(range(steps), training.batches(len(data), plan.batch, (0,))):
        rng = np.random.default_rng([0, 1, step])
        moves = draw_moves(
            (len(index), *data.films.shape[1:]), rng, plan.turn_deg, plan.zoom, plan.shift, plan.contrast
        )
        loss = model.loss(*move(films[index], landmarks[index], moves), rng)
        optimizer.param_groups[0]["lr"] = training.learning_rate(plan, step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def drawing(long_side_px: int) -> None:
    """Films drawn, processed and rated a second, beside films 1.0; how the time grows with films and with pixels."""

    def draw(chunks, px=long_side_px, workers=1, version=hospitals):
        where = version.hospital("aspen")
        with threads.one_thread_each(workers) as pool:
            list(pool.map(lambda chunk: version.draw(where, "test", 0, chunk, px), range(chunks)))

    draw(2, workers=2)  # warms up, as the first turn of films 1.0 does
    taken = in_turn(2 * REPEATS + 1, old=lambda: draw(1, version=hospitals_1), new=lambda: draw(1))[1:]
    old = hospitals_1.CHUNK / statistics.median(run["old"] for run in taken)
    print(
        f"a film takes {ratio(taken, 'new', 'old'):.2f} x as long as one of films 1.0 (mark: at most {SLOWER} x)"
    )
    taken = in_turn(REPEATS, one=lambda: draw(2), two=lambda: draw(2, workers=2), more=lambda: draw(4))
    one, two = (
        2 * hospitals.CHUNK / statistics.median(run[name] for run in taken) for name in ("one", "two")
    )
    print(
        f"films drawn a second: {one:.0f} with one worker, {two:.0f} with two; of films 1.0 {old:.0f} with one"
    )
    print(f"twice the films take {ratio(taken, 'more', 'one'):.2f} x as long")
    sizes = {"half": long_side_px // 2, "full": long_side_px, "twice": 2 * long_side_px}
    taken = in_turn(REPEATS, **{name: (lambda px=px: draw(1, px)) for name, px in sizes.items()})
    steps = ratio(taken, "full", "half"), ratio(taken, "twice", "full")
    print(f"four times the pixels take {steps[0]:.2f} x, and again {steps[1]:.2f} x as long")


def memory() -> None:
    """Peak memory of film sets, each in a new process with an empty cache."""
    # A process that another one starts counts the other's peak as its own: so a small one has to start it.
    new = multiprocessing.get_context("forkserver")
    for n, px in MEMORY:
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, new) as pool:
            mib = pool.submit(peak_mib, n, px, folder).result()
        print(f"{n} {'film' if n == 1 else 'films'} at {px} px: {mib:.0f} MiB at the peak beside the program")


def peak_mib(n: int, long_side_px: int, folder: str) -> float:
    """Draw films; return by how many MiB this process's peak rises over what importing took."""
    os.environ["LUMBO_CACHE"] = folder
    before = getrusage(RUSAGE_SELF).ru_maxrss
    hospitals.film_set(hospitals.hospital("aspen"), "test", 0, n, long_side_px)
    return (getrusage(RUSAGE_SELF).ru_maxrss - before) / (2**20 if sys.platform == "darwin" else 2**10)


def training_loop(network: str, sites) -> None:
    """Our loop against a bare loop, one thread each."""
    plan, data = training.Plan(steps=STEPS, checks=1, patience=1), sites[0].train

    def ours():
        model = models.build(network, 0)
        training.run_steps(model, training.new_optimizer(model, plan), data, plan, (0,), 0, STEPS, STEPS)

    taken = in_turn(SERIES, bare=lambda: bare_loop(models.build(network, 0), data, plan, STEPS), ours=ours)
    step_s = statistics.median(run["ours"] for run in taken) / STEPS
    print(
        f"{network}: {step_s * 1000:.1f} ms a step of {plan.batch} films, "
        f"{ratio(taken, 'ours', 'bare'):.2f} x a bare loop"
    )


def one_round(network: str, sites) -> None:
    """One federated round with one worker and with as many as there are cores."""
    batch = training.Plan.batch
    steps = sum(training.steps_per_epoch(len(client.train), batch) for client in sites)
    plan = training.Plan(steps=steps, checks=1, patience=1)
    kept = {}

    def with_workers(workers):
        model = models.build(network, 0)
        federated.fedavg(model, sites, plan, (0,), workers=workers)
        kept[workers] = models.packed(model)

    cores = os.cpu_count() or 1
    taken = in_turn(REPEATS, one=lambda: with_workers(1), many=lambda: with_workers(cores))
    equal = "equal" if torch.equal(kept[1], kept[cores]) else "DIFFERENT"
    print(
        f"{network}: a round takes {ratio(taken, 'one', 'many'):.2f} x as long with 1 worker as with {cores}; "
        f"weights {equal}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long-side-px", type=int, default=256)
    parser.add_argument("--films", type=int, default=240, help="training films of the largest hospital")
    parser.add_argument("--drawing", action="store_true", help="only what draws films: nothing is trained")
    options = parser.parse_args()
    drawing(options.long_side_px)
    memory()
    if options.drawing:
        return
    torch.set_num_threads(1)
    sites = []
    for where in hospitals.participants():
        n = max(
            16, options.films * where.patients["training"] // hospitals.participants()[0].patients["training"]
        )
        train = hospitals.film_set(where, "training", 0, n, options.long_side_px)
        held = hospitals.film_set(where, "validation", 0, 16, options.long_side_px)
        sites.append(federated.Client(where.name, train, held))
    for network in models.NETWORKS:
        training_loop(network, sites)
        one_round(network, sites)


if __name__ == "__main__":
    main()
