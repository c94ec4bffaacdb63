"""Federated averaging over the same training loop, round by round.  Taught in federated_averaging.

A round sends the global weights to every client, lets each pass once, or `Plan.epochs` times,
over its own films, and averages what comes back, weighted by the number of films.  Films
never leave a client; the ledger counts what does.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lumbo.films import hospitals
from lumbo.errors import require, whole
from lumbo.films.hospitals import FilmSet
from lumbo.learning.models import Network
from lumbo.learning.training import (
    FILMS_AT_ONCE,
    Check,
    Plan,
    Seed,
    check_films,
    descend,
    film_digest,
    new_optimizer,
    one_thread_each,
    reset,
    run_steps,
    steps_per_epoch,
    validation_mae,
)

__all__ = [
    "ONE_ON_A_GPU",
    "NO_BUFFERS",
    "Client",
    "Transfer",
    "rounds",
    "fedavg",
    "packed",
    "unpack",
    "weighted_mean",
    "ledger",
    "local_steps",
]

ONE_ON_A_GPU = "1 on a GPU, which one model keeps busy"
NO_BUFFERS = "none, such as batch statistics: only weights are averaged"


@dataclass(frozen=True)
class Client:
    """One hospital that takes part: its films stay with it."""

    name: str
    train: FilmSet
    validation: FilmSet


class Transfer(NamedTuple):
    """What one client received and sent in one round, in bytes of weights."""

    round: int
    client: str
    received_bytes: int
    sent_bytes: int


def rounds(clients: list[Client], plan: Plan) -> int:
    """Return how many rounds make at most `plan.steps` steps, all clients together."""
    per_round = sum(local_steps(client, plan) for client in clients)
    require(plan.steps >= per_round, "plan.steps", plan.steps, f"at least one round, {per_round} steps")
    return plan.steps // per_round


def fedavg(
    model: Network,
    clients: list[Client],
    plan: Plan,
    seed: Seed,
    workers: int = 1,
    carry: bool = False,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> tuple[list[Check], list[Transfer]]:
    """Train `model` in place by federated averaging (McMahan et al. 2017); leave the best weights in it.

    Parameters
    ----------
    clients : in the order in which updates are added up; the largest first wastes least time
    plan : as for `training.fit`; ``plan.steps`` counts the steps of all clients together, and
        the model is checked after whole rounds, at most ``plan.checks`` times
    seed : client k draws its batches from ``(*seed, k)``
    workers : clients that train at the same moment, one thread each.  Any number gives the same bits; on a GPU,
        which one client keeps busy, only 1
    carry : let each client keep its optimiser state from round to round, and a copy of the network, at a
        memory cost per client; otherwise clients start each round afresh and memory does not grow with
        their number
    checkpoint, report : as for `training.fit`

    Returns
    -------
    the history of checks and the ledger of transfers

    Raises
    ------
    InputError
        No client, two of one name, one without films or with landmarks that cannot be measured, a model with
        buffers, too few steps for one round, a loss that is no longer finite, or a checkpoint that is
        unreadable or belongs to another run.
    """
    names = [client.name for client in clients]
    require(len(set(names)) == len(names) > 0, "clients", names, "at least one client, each name once")
    for client in clients:
        for split in ("train", "validation"):
            check_films(f"clients.{client.name}.{split}", getattr(client, split))
    buffers = [name for name, _ in model.named_buffers()]
    require(not buffers, "model.buffers", buffers, NO_BUFFERS)
    total = rounds(clients, plan)
    checks = min(plan.checks, total)
    plan = replace(plan, checks=checks, patience=-(-plan.patience * checks // plan.checks))
    bounds = [total * check // checks for check in range(checks + 1)]
    on_cpu = next(model.parameters()).device.type == "cpu"
    require(whole("workers", workers, 1) == 1 or on_cpu, "workers", workers, ONE_ON_A_GPU)
    benches = _benches(model, clients, plan, workers, carry)
    held = _together([client.validation for client in clients])
    counts = [len(client.train) for client in clients]
    films = sum(counts)
    per_round = sum(local_steps(client, plan) for client in clients)

    def one_round(round_: int) -> list[Tensor]:
        start, losses = packed(model), []
        jobs = [
            (lambda k=k: _local_update(start, k, clients[k], benches, plan, seed, round_, total, carry))
            for k in range(len(clients))
        ]

        def updates():
            for n, (weights, loss) in zip(counts, _in_order(pool, jobs, 2 * workers)):
                losses.append(loss)
                yield weights, n / films

        unpack(weighted_mean(updates()), model)
        return losses

    def advance(check: int) -> tuple[int, float]:
        taken = [one_round(round_) for round_ in range(bounds[check], bounds[check + 1])]
        means = [sum(float(loss) * n / films for loss, n in zip(losses, counts)) for losses in taken]
        return bounds[check + 1] * per_round, sum(means) / len(means)

    def validate() -> float:
        errors = pool.map(lambda part: validation_mae(model, hospitals.pool(part)), held)
        sizes = [sum(map(len, part)) for part in held]
        return sum(n * error for n, error in zip(sizes, errors)) / sum(sizes)

    kept = {name: bench.optimizer for name, bench in zip(names, benches)} if carry else {}
    digests = {client.name: [film_digest(client.train), film_digest(client.validation)] for client in clients}
    identity = {"seed": list(seed), "plan": asdict(plan), "clients": names, "films": digests, "carry": carry}
    with one_thread_each(workers) as pool:
        history = descend(model, advance, validate, plan, kept, identity, checkpoint, report)
    return history, ledger(model, names, bounds[len(history)])


def packed(model: nn.Module) -> Tensor:
    """Return all weights of a model as one vector, in the order of its parameters: what travels."""
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def unpack(weights: Tensor, model: nn.Module) -> None:
    """Copy a vector that was `packed` into the weights of a model like the one it comes from.

    The weights stay where they lie, as a recording on a GPU asks for; `vector_to_parameters` moves them.
    """
    own = list(model.parameters())
    with torch.no_grad():
        for value, part in zip(own, weights.split([value.numel() for value in own])):
            value.copy_(part.view_as(value))


def weighted_mean(updates: Iterable[tuple[Tensor, float]]) -> Tensor:
    """Add up (weights, share) pairs in the order given; the shares sum to 1.

    Updates are folded in one by one, so only one sum is held.

    >>> weighted_mean([(torch.tensor([0.0, 4.0]), 0.75), (torch.tensor([4.0, 0.0]), 0.25)]).tolist()
    [1.0, 3.0]
    """
    total = None
    for weights, share in updates:
        part = weights * share
        total = part if total is None else total.add_(part)
    return total


def ledger(model: nn.Module, names: list[str], count: int) -> list[Transfer]:
    """List the weights that moved in `count` rounds: every client receives and sends all of them in each.

    Beside them a client sends four numbers a round: how many films it trains and validates on, its mean
    loss and its validation error.
    """
    size = packed(model).nbytes
    return [Transfer(round_ + 1, name, size, size) for round_ in range(count) for name in names]


class _Bench(NamedTuple):
    """A place to train at: a copy of the network and an optimiser bound to it."""

    model: nn.Module
    optimizer: torch.optim.Optimizer


def _benches(model, clients, plan, workers, carry) -> list[_Bench] | SimpleQueue:
    """One bench per client where state is carried, else a queue of as many as may work at once."""
    copies = [copy.deepcopy(model) for _ in range(len(clients) if carry else workers)]
    benches = [_Bench(net, new_optimizer(net, plan)) for net in copies]
    if carry:
        return benches
    queue = SimpleQueue()
    for bench in benches:
        queue.put(bench)
    return queue


def _local_update(
    start: Tensor, k: int, client: Client, benches, plan, seed, round_, total, carry
) -> tuple[Tensor, Tensor]:
    """Let client k take its steps from the global weights: (its weights, mean loss)."""
    bench = benches[k] if carry else benches.get()
    try:
        net, optimizer = bench
        unpack(start, net)
        if not carry:
            reset(optimizer)
        steps = local_steps(client, plan)
        loss = run_steps(
            net,
            optimizer,
            client.train,
            plan,
            (*seed, k),
            round_ * steps,
            (round_ + 1) * steps,
            total * steps,
        )
        return packed(net), loss
    finally:
        if not carry:
            benches.put(bench)


def local_steps(client: Client, plan: Plan) -> int:
    """Return how many steps a client takes in a round: `plan.epochs` passes over its films, at least one step."""
    return max(1, round(plan.epochs * steps_per_epoch(len(client.train), plan.batch)))


def _together(sets: list[FilmSet]) -> list[list[FilmSet]]:
    """Put sets of films together, in order, until they fill a batch of `predict` or the films change in size.

    In a federation each client would measure its own films.  Here we ask for several clients at once, so
    that many small ones cost no more than few; but for rounding, the answers are the same.
    """
    parts = [[sets[0]]]
    for films in sets[1:]:
        full = sum(map(len, parts[-1])) >= FILMS_AT_ONCE
        if full or films.films.shape[1:] != parts[-1][0].films.shape[1:]:
            parts.append([])
        parts[-1].append(films)
    return parts


def _in_order(pool: Executor, jobs: list[Callable], ahead: int) -> Iterator:
    """Run jobs in a pool; yield their results in order, with at most `ahead` begun and not yet yielded.

    Results wait in memory for their turn, so there has to be a bound.  Workers idle where one job takes
    longer than the others within the bound together.
    """
    running = deque()
    for job in jobs:
        if len(running) == ahead:
            yield running.popleft().result()
        running.append(pool.submit(job))
    while running:
        yield running.popleft().result()
