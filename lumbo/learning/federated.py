"""Federated averaging over the same training loop, round by round.  Taught in federated_averaging.

A round sends the global weights to every client, lets each pass once, or `Plan.epochs` times,
over its own films, and averages what comes back, weighted by the number of films.  Films
never leave a client; the ledger counts what does.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lumbo.errors import InputError, instance, number, require, text, truth
from lumbo.films import hospitals
from lumbo.films.hospitals import FilmSet
from lumbo.learning import training
from lumbo.learning.checkpoint import Checkpoint
from lumbo.learning.models import Network, packed, unpack
from lumbo.learning.training import Check, Plan, Seed
from lumbo.threads import one_thread_each

__all__ = ["Client", "Transfer", "fedavg", "rounds", "local_steps", "weighted_mean"]

_UNDER_WAY = 2  # clients for each worker: the smallest need not wait for the largest, and memory is bounded


@dataclass(frozen=True)
class Client:
    """One hospital that takes part: its films stay with it."""

    name: str
    train: FilmSet
    validation: FilmSet


class Transfer(NamedTuple):
    """Bytes of weights that a client got and sent in a round; it also sends two counts, a loss and an error."""

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
    seed, carry = training.check_asked(model, plan, seed, report), truth("carry", carry)
    clients = _checked(clients)
    names, n = [client.name for client in clients], [len(client.train) for client in clients]
    workers = training.check_workers(workers, next(model.parameters()).device)
    total, steps = rounds(clients, plan), [local_steps(client, plan) for client in clients]
    checks = min(plan.checks, total)
    plan = replace(plan, checks=checks, patience=-(-plan.patience * checks // plan.checks))
    bounds = training.check_bounds(total, checks)
    at_once = 1 if workers == 1 else _UNDER_WAY * workers
    copies = [copy.deepcopy(model) for _ in (clients if carry else clients[:at_once])]
    desks = [(net, training.new_optimizer(net, plan)) for net in copies]

    def update(k: int, turn: int, start: Tensor) -> tuple[Tensor, Tensor]:
        net, optimizer = desks[k % len(desks)]
        unpack(start, net)
        if not carry:
            training.reset(optimizer)
        first, last, way = turn * steps[k], (turn + 1) * steps[k], total * steps[k]
        loss = training.run_steps(net, optimizer, clients[k].train, plan, (*seed, k), first, last, way)
        return packed(net), loss

    def updates(turn: int, losses: list[Tensor]) -> Iterator[tuple[Tensor, float]]:
        start = packed(model)
        for first in range(0, len(clients), len(desks)):  # as many at once as there are desks, in order
            seated = range(first, min(first + len(desks), len(clients)))
            for k, (weights, loss) in zip(seated, pool.map(lambda k: update(k, turn, start), seated)):
                losses.append(loss)
                yield weights, n[k] / sum(n)

    def advance(check: int) -> tuple[int, float]:
        taken: list[list[Tensor]] = []  # losses, by round
        for turn in range(bounds[check], bounds[check + 1]):
            taken.append([])
            unpack(weighted_mean(updates(turn, taken[-1])), model)
        means = [sum(float(loss) * films / sum(n) for loss, films in zip(losses, n)) for losses in taken]
        return bounds[check + 1] * sum(steps), sum(means) / len(means)

    def validate() -> float:
        held = training.in_batches([client.validation for client in clients])
        errors = pool.map(lambda part: training.validation_mae(model, hospitals.pool(part)), held)
        sizes = [sum(map(len, part)) for part in held]
        return sum(size * error for size, error in zip(sizes, errors)) / sum(sizes)

    digests = {c.name: [training.film_digest(c.train), training.film_digest(c.validation)] for c in clients}
    identity = {"seed": list(seed), "plan": asdict(plan), "clients": names, "films": digests, "carry": carry}
    kept = {name: optimizer for name, (_, optimizer) in zip(names, desks)} if carry else {}
    with one_thread_each(workers) as pool:
        progress = Checkpoint(checkpoint, model, kept, identity)
        history = training.descend(model, advance, validate, plan, progress, report)
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


def weighted_mean(updates: Iterable[tuple[Tensor, float]]) -> Tensor:
    """Add up (weights, share) pairs in the order given, one by one.

    Raises `InputError` unless the shares sum to 1, and the weights are tensors of one shape.

    >>> import torch
    >>> weighted_mean([(torch.tensor([0.0, 4.0]), 0.75), (torch.tensor([4.0, 0.0]), 0.25)]).tolist()
    [1.0, 3.0]
    """
    total, shares = None, 0.0
    for weights, share in updates:
        shares += number("share", share, 0, 1)
        fits = isinstance(weights, Tensor) and (total is None or weights.shape == total.shape)
        require(fits, "weights", weights, "tensors of one shape")
        total = weights * share if total is None else total.add_(weights * share)
    if total is None or abs(shares - 1) > 1e-6:
        raise InputError("shares", shares, "shares that sum to 1")
    return total


def _checked(clients: Any) -> list[Client]:
    """Return clients with films as training takes them, or raise `InputError` naming client and field."""
    require(isinstance(clients, Iterable), "clients", clients, "a list of clients")
    found = [instance(f"clients[{i}]", client, Client) for i, client in enumerate(clients)]
    names = [text(f"clients[{i}].name", client.name) for i, client in enumerate(found)]
    require(len(set(names)) == len(names) > 0, "clients", names, "at least one client, each name once")

    def films(client: Client, part: str) -> FilmSet:
        return training.check_films(f"clients.{client.name}.{part}", getattr(client, part))

    return [Client(one.name, films(one, "train"), films(one, "validation")) for one in found]
