"""Federated averaging over the same training loop, round by round.  Taught in federated_averaging.

A round sends the global weights to every client, lets each pass once, or `Plan.epochs` times,
over its own films, and averages what comes back, weighted by the number of films.  Films
never leave a client; the ledger counts what does.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lumbo.errors import require, whole
from lumbo.films.hospitals import FilmSet
from lumbo.learning import training
from lumbo.learning.checkpoint import Checkpoint
from lumbo.learning.models import Network
from lumbo.learning.training import Check, Plan, Seed
from lumbo.threads import one_thread_each

__all__ = [
    "ONE_ON_A_GPU",
    "UNDER_WAY",
    "Client",
    "Transfer",
    "fedavg",
    "rounds",
    "local_steps",
    "packed",
    "unpack",
    "weighted_mean",
]

ONE_ON_A_GPU = "1 on a GPU, which one model keeps busy"
UNDER_WAY = 2  # clients for each worker: the smallest need not wait for the largest, and memory is bounded


@dataclass(frozen=True)
class Client:
    """One hospital that takes part: its films stay with it."""

    name: str
    train: FilmSet
    validation: FilmSet


class Transfer(NamedTuple):
    """What one client received and sent in one round, in bytes of weights; beside them it sends four numbers.

    They are how many films it trains and validates on, its mean loss and its validation error.
    """

    round: int
    client: str
    received_bytes: int
    sent_bytes: int


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
    plan : as for `training.fit`; its steps are those of all clients together, its checks come after whole rounds
    seed : client k draws its batches from ``(*seed, k)``
    workers : clients that train at the same moment, one thread each; any number gives the same bits
    carry : let each client keep network and optimiser state from round to round, at a memory cost per client;
        otherwise each round starts afresh, and memory does not grow with the number of clients
    checkpoint, report : as for `training.fit`

    Returns
    -------
    the history of checks and the ledger of transfers

    Raises
    ------
    InputError
        As `training.fit`; no client, two of one name, a model with buffers, workers on a GPU, no whole round.
    """
    _refuse(model, clients, workers)
    total, names, n = rounds(clients, plan), [c.name for c in clients], [len(c.train) for c in clients]
    steps, checks = [local_steps(client, plan) for client in clients], min(plan.checks, total)
    plan = replace(plan, checks=checks, patience=-(-plan.patience * checks // plan.checks))
    bounds = [total * check // checks for check in range(checks + 1)]
    copies = [copy.deepcopy(model) for _ in (clients if carry else clients[: UNDER_WAY * workers])]
    desks = [(net, training.new_optimizer(net, plan)) for net in copies]

    def update(k: int, turn: int, start: Tensor) -> tuple[Tensor, Tensor]:
        net, optimizer = desks[k % len(desks)]
        unpack(start, net)
        if not carry:
            training.reset(optimizer)
        first, last, way = turn * steps[k], (turn + 1) * steps[k], total * steps[k]
        loss = training.run_steps(net, optimizer, clients[k].train, plan, (*seed, k), first, last, way)
        return packed(net), loss

    def one_round(turn: int) -> list[Tensor]:
        start, losses = packed(model), []

        def updates() -> Iterator[tuple[Tensor, float]]:
            for first in range(0, len(clients), len(desks)):  # as many as there are desks, in order
                seated = range(first, min(first + len(desks), len(clients)))
                for k, (weights, loss) in zip(seated, pool.map(lambda k: update(k, turn, start), seated)):
                    losses.append(loss)
                    yield weights, n[k] / sum(n)

        unpack(weighted_mean(updates()), model)
        return losses

    def advance(check: int) -> tuple[int, float]:
        taken = [one_round(turn) for turn in range(bounds[check], bounds[check + 1])]
        means = [sum(float(loss) * films / sum(n) for loss, films in zip(losses, n)) for losses in taken]
        return bounds[check + 1] * sum(steps), sum(means) / len(means)

    def validate() -> float:
        held = [client.validation for client in clients]
        errors = pool.map(lambda films: training.validation_mae(model, films), held)
        return sum(len(films) * error for films, error in zip(held, errors)) / sum(map(len, held))

    digests = {c.name: [training.film_digest(c.train), training.film_digest(c.validation)] for c in clients}
    identity = {"seed": list(seed), "plan": asdict(plan), "clients": names, "films": digests, "carry": carry}
    kept = {name: optimizer for name, (_, optimizer) in zip(names, desks)} if carry else {}
    with one_thread_each(workers) as pool:
        history = training.descend(
            model, advance, validate, plan, Checkpoint(checkpoint, model, kept, identity), report
        )
    size = packed(model).nbytes
    return history, [Transfer(t + 1, name, size, size) for t in range(bounds[len(history)]) for name in names]


def rounds(clients: list[Client], plan: Plan) -> int:
    """Return how many rounds make at most `plan.steps` steps, all clients together."""
    per_round = sum(local_steps(client, plan) for client in clients)
    require(plan.steps >= per_round, "plan.steps", plan.steps, f"at least one round, {per_round} steps")
    return plan.steps // per_round


def local_steps(client: Client, plan: Plan) -> int:
    """Return how many steps a client takes in a round: `plan.epochs` passes over its films, at least one step."""
    return max(1, round(plan.epochs * training.steps_per_epoch(len(client.train), plan.batch)))


def packed(model: nn.Module) -> Tensor:
    """Return all weights of a model as one vector, in the order of its parameters: what travels."""
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def unpack(weights: Tensor, model: nn.Module) -> None:
    """Copy a vector that was `packed` into the weights of a model, which stay where they lie (`replay` asks it)."""
    own = list(model.parameters())
    with torch.no_grad():
        for value, part in zip(own, weights.split([value.numel() for value in own])):
            value.copy_(part.view_as(value))


def weighted_mean(updates: Iterable[tuple[Tensor, float]]) -> Tensor:
    """Add up (weights, share) pairs in the order given, one by one; the shares sum to 1.

    >>> weighted_mean([(torch.tensor([0.0, 4.0]), 0.75), (torch.tensor([4.0, 0.0]), 0.25)]).tolist()
    [1.0, 3.0]
    """
    total = None
    for weights, share in updates:
        total = weights * share if total is None else total.add_(weights * share)
    return total


def _refuse(model: nn.Module, clients: list[Client], workers: int) -> None:
    """Raise `InputError` where federated averaging makes no sense."""
    names = [client.name for client in clients]
    require(len(set(names)) == len(names) > 0, "clients", names, "at least one client, each name once")
    for client in clients:
        training.check_films(f"clients.{client.name}.train", client.train)
        training.check_films(f"clients.{client.name}.validation", client.validation)
    buffers = [name for name, _ in model.named_buffers()]
    require(
        not buffers, "model.buffers", buffers, "none, such as batch statistics: only weights are averaged"
    )
    on_cpu = next(model.parameters()).device.type == "cpu"
    require(whole("workers", workers, 1) == 1 or on_cpu, "workers", workers, ONE_ON_A_GPU)
