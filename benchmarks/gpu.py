"""Whether a GPU waits for the processor: time of a step, how much of it the GPU works, and what more trainings give.

    python benchmarks/gpu.py

Our networks are small, so on a GPU a step would mostly be the launching of its kernels; `training` records them once
and replays them.  The first table has one training: milliseconds a step on the GPU, replayed and launched one by one,
and on one core, and the share of the time in which the GPU computes.  The second has several trainings side by side,
in processes of their own, as `reproduce --seed` runs shards: steps a second, all together.
"""

import argparse
import contextlib
import multiprocessing
import os
import statistics
import time

import torch
from torch.profiler import ProfilerActivity, profile

from lumbo.films_1 import hospitals
from lumbo.learning import models, replay, training

STEPS, WARM = 150, 30
PLAN = training.Plan(steps=2 * STEPS + WARM, checks=1, patience=1)


def films(n: int) -> hospitals.FilmSet:
    """Draw training films of the largest hospital, or take them from the cache."""
    return hospitals.film_set(hospitals.participants()[0], "training", 0, n)


class Training:
    """One network that can be moved on by some steps."""

    def __init__(self, network: str, device: str, data: hospitals.FilmSet):
        self.device, self.data, self.taken = device, data, 0
        self.model = models.build(network, 0).to(device)
        self.optimizer = training.new_optimizer(self.model, PLAN)

    def go(self, steps: int) -> float:
        """Take steps as every arm does; return the seconds of one."""
        first, self.taken = self.taken, self.taken + steps
        began = time.perf_counter()
        loss = training.run_steps(
            self.model, self.optimizer, self.data, PLAN, (0,), first, self.taken, PLAN.steps
        )
        float(loss)  # comes from the device, so all steps are done
        return (time.perf_counter() - began) / steps


def alone(network: str, device: str, data: hospitals.FilmSet, replay: bool = True) -> dict[str, float]:
    """Measure one training: median milliseconds a step, and of it the GPU's own."""
    one = Training(network, device, data)
    with launched_one_by_one() if not replay else contextlib.nullcontext():
        one.go(WARM)
        found = {"ms": 1000 * statistics.median(one.go(STEPS // 5) for _ in range(5))}
    if device == "cuda" and replay:
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            one.go(WARM)
        kernels = [event for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
        found["gpu ms"] = sum(event.device_time for event in kernels) / 1000 / WARM
        found["kernels"] = len(kernels) / WARM
    return found


@contextlib.contextmanager
def launched_one_by_one():
    """Let steps on a GPU be computed as on a processor."""
    replayed = replay.run
    replay.run = lambda work, model, given, device: work(model, replay.each(lambda v: v.to(device), given))
    try:
        yield
    finally:
        replay.run = replayed


def together(network: str, device: str, n: int, data: hospitals.FilmSet) -> float:
    """Let `n` trainings begin at one moment, each in a process; return their steps a second in all."""
    spawn = multiprocessing.get_context("spawn")
    ends, barrier = spawn.SimpleQueue(), spawn.Barrier(n)
    workers = [spawn.Process(target=_one_of, args=(network, device, data, barrier, ends)) for _ in range(n)]
    for worker in workers:
        worker.start()
    spans = [ends.get() for _ in workers]
    for worker in workers:
        worker.join()
    return n * STEPS / (max(end for _, end in spans) - min(start for start, _ in spans))


def _one_of(network, device, data, barrier, ends) -> None:
    torch.set_num_threads(1)
    one = Training(network, device, data)
    one.go(WARM)
    barrier.wait()
    start = time.time()
    one.go(STEPS)
    ends.put((start, time.time()))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=512)
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    device = training.pick_device().type
    name = torch.cuda.get_device_name() if device == "cuda" else "no GPU here: all on the processor"
    print(f"{name}; {os.cpu_count()} cores; torch {torch.__version__}")
    torch.set_num_threads(1)
    data = films(options.films)
    for network in models.NETWORKS:
        row, core = alone(network, device, data), alone(network, "cpu", data)
        print(f"{network}: {row['ms']:.1f} ms a step on {device}, {core['ms']:.1f} ms on one core", end="")
        if device == "cuda":
            single = alone(network, device, data, replay=False)
            print(f", {single['ms']:.1f} ms with its kernels launched one by one; the GPU works {row['gpu ms']:.1f} ms "
                  f"of it, in {row['kernels']:.0f} kernels", end="")  # fmt: skip
        print(flush=True)
    for n in options.together:
        print(
            f"landmarks, {n} at once: {together('landmarks', device, n, data):.0f} steps a second", flush=True
        )


if __name__ == "__main__":
    main()
