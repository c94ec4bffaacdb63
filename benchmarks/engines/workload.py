"""The federated workload that every engine runs: whose films, which network, which steps in which order.

An engine decides only who trains when and how weights travel.  What a client does in a round is here, so
that the final weights can be compared.  Each run is a process of its own (or many), told by the
environment what to do; it writes down when each round's weights were ready, and some of those weights.
"""

import itertools
import json
import os
import time
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from lumbo.films_1 import hospitals
from lumbo.learning import models, training
from lumbo.learning.federated import Client

State = dict[str, torch.Tensor]  # a network's weights by name, as most engines send them
TASK = SimpleNamespace(**json.loads(os.environ["LUMBO_ENGINES"]))  # rounds, films, workers, folder
FOLDER = Path(TASK.folder)
LONG_SIDE_PX = 128  # as in size lesson
SEED = (0,)
BATCH = training.Plan.batch
_rounds = itertools.count(1)


def sizes() -> list[int]:
    """Films of each hospital: `TASK.films` of the largest, of others in proportion, a batch at least."""
    patients = [where.patients["training"] for where in hospitals.participants()]
    return [max(BATCH, TASK.films * n // patients[0]) for n in patients]


@cache
def clients() -> list[Client]:
    """The hospitals that take part, the largest first, with one film each to validate on."""
    return [
        Client(where.name, *(hospitals.film_set(where, split, 0, m, LONG_SIDE_PX)
                             for split, m in (("training", n), ("validation", 1))))
        for where, n in zip(hospitals.participants(), sizes())
    ]  # fmt: skip


def steps(k: int) -> int:
    """Steps that client `k` takes in a round."""
    return training.steps_per_epoch(sizes()[k], BATCH)


def plan() -> training.Plan:
    """As many steps as make `TASK.rounds` rounds, all clients together; never stopped early."""
    total = TASK.rounds * sum(map(steps, range(len(sizes()))))
    return training.Plan(steps=total, checks=TASK.rounds, patience=TASK.rounds)


def network() -> torch.nn.Module:
    """The network before the first round; the same weights everywhere."""
    return models.build("landmarks", SEED[0])


def local_steps(net: torch.nn.Module, k: int, round_: int, optimizer=None) -> None:
    """Take client `k`'s steps of a round, from 0 on, from the weights that `net` holds; in place."""
    what = plan()
    optimizer = optimizer or training.new_optimizer(net, what)
    first, last, total = (r * steps(k) for r in (round_, round_ + 1, TASK.rounds))
    training.run_steps(net, optimizer, clients()[k].train, what, (*SEED, k), first, last, total)


def train(state: State, k: int, round_: int) -> State:
    """Return client `k`'s weights after its round that begins from `state`; for one thread of a process."""
    net = _bench()
    net.load_state_dict(state)
    local_steps(net, k, round_)
    return {name: value.clone() for name, value in net.state_dict().items()}


_bench = cache(network)  # a network to train in, kept from round to round


def share(k: int) -> float:
    """Weight of client `k` in the average: its share of all films."""
    return sizes()[k] / sum(sizes())


def landed(state: State) -> None:
    """Write down when a round's global weights were ready; keep those of the first round and of the last."""
    with open(FOLDER / "rounds", "a") as file:
        print(time.time(), file=file)
    round_ = next(_rounds)
    for name, kept in (("first", 1), ("last", TASK.rounds)):
        if round_ == kept:
            arrays = {key: np.asarray(state[key].detach()) for key in network().state_dict()}
            np.savez(FOLDER / f"{name}.npz", **arrays)
