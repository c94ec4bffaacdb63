"""FedAvg: the mean is right, order is fixed, workers change nothing, and the films stay where they are."""

import gc
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from lumbo.errors import InputError
from lumbo.films import hospitals
from lumbo.learning import federated, models, training
from lumbo.learning.federated import (
    Client,
    fedavg,
    local_steps,
    rounds,
    weighted_mean,
)
from lumbo.learning.models import packed, unpack
from lumbo.learning.training import Plan, fit

SMALL = 32  # height of the films here, pixels
TRAIN, HELD = (9, 5, 3, 1), (4, 3, 2, 2)  # films of the four clients
PLAN = Plan(steps=15, checks=3, patience=9, batch=4)  # 2 + 1 + 1 + 1 steps a round: three rounds


@pytest.fixture(scope="module")
def clients():
    sets = [
        [hospitals.film_set(where, split, 0, n, SMALL) for split, n in (("training", t), ("validation", v))]
        for where, t, v in zip(hospitals.participants(), TRAIN, HELD)
    ]
    return [Client(where.name, *films) for where, films in zip(hospitals.participants(), sets)]


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def averaged(clients, plan=PLAN, network="landmarks", **options):
    """Train a fresh model: (its weights, history, ledger)."""
    model = models.build(network, 0)
    history, moved = fedavg(model, clients, plan, (0,), **options)
    return weights(model), history, moved


# ---------------------------------------------------------------- the mean


def test_weighted_mean_agrees_with_numpy():
    rng = np.random.default_rng(0)
    states, films = rng.normal(size=(12, 30)), rng.integers(1, 1000, 12)
    updates = ((torch.tensor(state).float(), n / films.sum()) for state, n in zip(states, films))
    mean = weighted_mean(updates)
    assert mean.shape == (30,) and mean.dtype == torch.float32
    np.testing.assert_allclose(mean.numpy(), np.average(states, axis=0, weights=films), atol=2e-6)


def test_weighted_mean_adds_in_the_order_given():
    one = [(torch.tensor([4 * value]), share) for value, share in ((1e8, 0.25), (1.0, 0.5), (-1e8, 0.25))]
    assert weighted_mean(one).item() == 0.0  # float32 forgets the 2 beside 1e8
    assert weighted_mean([one[0], one[2], one[1]]).item() == 2.0


@pytest.mark.parametrize(
    "updates",
    [[], [(torch.ones(2), 0.9)], [(torch.ones(2), 1.5)], [(torch.ones(2), -0.5), (torch.ones(2), 1.5)],
     [(torch.ones(2), float("nan"))], [(torch.ones(2), 0.5), (torch.ones(3), 0.5)], [([1.0], 1.0)]],
)  # fmt: skip
def test_a_mean_of_what_does_not_add_up_is_refused(updates):
    with pytest.raises(InputError, match="^(shares?|weights): got "):
        weighted_mean(updates)


def test_weighted_mean_changes_no_update():
    states = [torch.ones(3), torch.zeros(3)]
    weighted_mean((state, 0.5) for state in states)
    assert states[0].tolist() == [1, 1, 1] and states[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("network", models.NETWORKS)
def test_weights_that_are_packed_and_unpacked_are_the_same(network):
    one, other = (models.build(network, seed) for seed in (0, 1))
    own, places = packed(one), [value.data_ptr() for value in other.parameters()]
    unpack(own, other)
    assert same(weights(one), weights(other)) and len(own) == sum(map(torch.numel, one.parameters()))
    own.zero_()  # a copy: neither model is touched
    assert same(weights(one), weights(models.build(network, 0))) and same(weights(one), weights(other))
    assert places == [value.data_ptr() for value in other.parameters()]  # where a GPU looks for them


def test_a_client_counts_by_its_films(clients, monkeypatch):
    def answer(net, optimizer, data, *_):
        for value in net.parameters():
            torch.nn.init.constant_(value, float(TRAIN.index(len(data))))  # client k sends k everywhere
        return float(len(data))

    monkeypatch.setattr(training, "run_steps", answer)
    state, history, _ = averaged(clients, replace(PLAN, steps=5), "regressor")
    expected = sum(k * n for k, n in enumerate(TRAIN)) / sum(TRAIN)
    assert all(torch.allclose(value, torch.tensor(expected)) for value in state.values())
    assert history[0].loss == pytest.approx(sum(n * n for n in TRAIN) / sum(TRAIN))


@pytest.fixture
def few_at_once(monkeypatch):
    """The four clients are asked for in three parts: 4, 3 + 2 and 2 films."""
    monkeypatch.setattr(training, "FILMS_AT_ONCE", 4)


def test_small_clients_are_asked_together_where_their_films_are_of_one_size(clients, few_at_once):
    held = [client.validation for client in clients]
    other = hospitals.film_set(hospitals.participants()[0], "validation", 0, 2, 2 * SMALL)
    for sets, sizes in ((held, [1, 2, 1]), ([held[3], other, other, held[3]], [1, 2, 1])):
        parts = training.in_batches(sets)
        assert [len(part) for part in parts] == sizes and [one for part in parts for one in part] == sets


def test_the_validation_error_counts_each_film_once(clients, few_at_once, in_double):
    state, history, _ = averaged(clients, replace(PLAN, steps=5))
    model = models.build("landmarks", 0)
    model.load_state_dict(state)
    pooled = hospitals.pool([client.validation for client in clients])
    assert history[0].validation_mae == pytest.approx(training.validation_mae(model, pooled), abs=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("carry", [True, False])
def test_a_gpu_goes_where_a_processor_goes(clients, carry):
    plan, start = replace(PLAN, learning_rate=1e-4, checks=1), packed(models.build("landmarks", 0))
    here, there = models.build("landmarks", 0), models.build("landmarks", 0).to("cuda")
    losses = [fedavg(model, clients, plan, (0,), carry=carry)[0][0].loss for model in (here, there)]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert (packed(there).cpu() - packed(here)).norm() < 0.2 * (
        packed(here) - start
    ).norm()  # AdamW looks at signs first
    with pytest.raises(InputError, match="workers: got 2; allowed: 1 on a GPU"):
        fedavg(there, clients, plan, (0,), workers=2)


# ---------------------------------------------------------------- equal to what it should equal


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_one_client_that_carries_its_state_is_plain_training(clients, network):
    client, plan = clients[0], Plan(steps=6, checks=3, patience=9, batch=4)
    state, history, _ = averaged([client], plan, network, carry=True)
    model = models.build(network, 0)
    plain = fit(model, client.train, client.validation, plan, (0, 0))
    assert same(state, weights(model)) and history == plain


def test_a_round_of_two_epochs_is_twice_as_long(clients):
    """One client, four steps a round: plain training that is checked half as often."""
    client, plan = clients[0], Plan(steps=8, checks=2, patience=9, batch=4, epochs=2.0)
    state, history, moved = averaged([client], plan, "regressor", carry=True)
    model = models.build("regressor", 0)
    plain = fit(model, client.train, client.validation, plan, (0, 0))
    assert same(state, weights(model)) and history == plain
    assert len(history) == len(moved) == 2


def test_one_client_that_starts_afresh_is_not(clients):
    carried, afresh = (averaged(clients[:1], carry=carry)[0] for carry in (True, False))
    assert not same(carried, afresh)


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_full_batches_and_single_steps_are_gradient_descent_on_all_films(
    clients, network, monkeypatch, in_double
):
    turns, step = 3, 0.01
    still = dict(turn_deg=0, zoom=0, shift=0, contrast=0, warmup=0, learning_rate=step)
    plan = Plan(steps=turns * len(clients), checks=1, patience=9, batch=max(TRAIN), **still)
    monkeypatch.setattr(training, "new_optimizer", lambda net, plan: torch.optim.SGD(net.parameters(), step))
    falling = iter(range(10 * turns, 0, -1))  # so that the last weights are the best
    monkeypatch.setattr(training, "validation_mae", lambda *_: next(falling))
    monkeypatch.setattr(models, "misses", lambda n, rng: (np.zeros((n, 3, 2)), np.zeros((n, 3))))
    state, _, _ = averaged(clients, plan, network)

    pooled = hospitals.pool([client.train for client in clients])
    films = torch.from_numpy(pooled.films)[:, None] / 255
    landmarks = torch.from_numpy(pooled.rated_landmarks_px).float()
    model = models.build(network, 0)
    begun = weights(model)
    for turn in range(turns):
        rate = step * (1 + np.cos(np.pi * turn / turns)) / 2
        gradients = torch.autograd.grad(model.loss(films, landmarks, None), list(model.parameters()))
        with torch.no_grad():
            for value, gradient in zip(model.parameters(), gradients):
                value -= rate * gradient
    moved = max((value - begun[name]).abs().max() for name, value in state.items())
    apart = max((value - state[name]).abs().max() for name, value in model.state_dict().items())
    assert moved > 1e-3 and apart < 1e-9 * moved


# ---------------------------------------------------------------- workers, order, memory


@pytest.fixture(scope="module")
def alone(clients):
    return averaged(clients)


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_bits(clients, workers, carry, few_at_once):
    expected, found = averaged(clients, carry=carry), averaged(clients, workers=workers, carry=carry)
    assert same(found[0], expected[0]) and found[1:] == expected[1:]


def test_a_client_that_is_late_holds_up_nobody_and_is_added_in_its_place(clients, alone, monkeypatch):
    plain, last, waited = training.run_steps, threading.Event(), []

    def late(net, optimizer, data, *rest):
        loss = plain(net, optimizer, data, *rest)
        if len(data) == TRAIN[0]:
            waited.append(last.wait(timeout=10))
            last.clear()
        if len(data) == TRAIN[3]:
            last.set()
        return loss

    monkeypatch.setattr(training, "run_steps", late)
    found = averaged(clients, workers=2)
    assert waited == 3 * [True]  # in every round the last client was done before the first
    assert same(found[0], alone[0]) and found[1] == alone[1]


def test_the_order_of_the_clients_decides_their_batches(clients, alone):
    assert not same(averaged(clients[::-1])[0], alone[0])


def copies_alive(client, n, monkeypatch, **options):
    """Count the copies of one weight, with optimiser state and packed, after the last of n clients."""
    net = models.build("regressor", 0)
    shapes = net.seen[1].weight.shape, packed(net).shape
    plain, turn, counts = training.run_steps, iter(range(n)), []

    def counting(*arguments):
        loss = plain(*arguments)
        if next(turn) == n - 1:
            kinds = (torch.Tensor, torch.nn.Parameter)
            counts.append(sum(type(thing) in kinds and thing.shape in shapes for thing in gc.get_objects()))
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(training, "run_steps", counting)
        crowd = [replace(client, name=str(k)) for k in range(n)]
        averaged(crowd, Plan(steps=n, checks=1, patience=9, batch=1), "regressor", **options)
    return counts[0]


def test_memory_does_not_grow_with_the_clients(clients, monkeypatch):
    few, many = (copies_alive(clients[3], n, monkeypatch) for n in (4, 12))
    assert few == many
    few, many = (copies_alive(clients[3], n, monkeypatch, carry=True) for n in (4, 12))
    assert many >= few + 8 * 3  # weights and two moments of each further client


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_one_client_ends_the_round(clients, workers, monkeypatch):
    begun = []

    def fail(net, optimizer, data, *_):
        begun.append(len(data))
        if len(data) == TRAIN[0]:
            raise RuntimeError("no power")
        time.sleep(0.5)  # those under way may end
        return 0.0

    monkeypatch.setattr(training, "run_steps", fail)
    with pytest.raises(RuntimeError, match="no power"):
        averaged(clients, workers=workers)
    assert TRAIN[0] in begun and TRAIN[3] not in begun


# ---------------------------------------------------------------- the ledger


def test_the_ledger_counts_what_moves(clients, alone, monkeypatch):
    sent, plain = [], weighted_mean

    def weighing(updates):
        for state, _ in (kept := list(updates)):
            sent.append(state.numpy().nbytes)
        return plain(kept)

    monkeypatch.setattr(federated, "weighted_mean", weighing)
    _, history, moved = averaged(clients)
    assert len(history) == 3
    assert [(row.round, row.client) for row in moved] == [(t, c.name) for t in (1, 2, 3) for c in clients]
    assert [row.sent_bytes for row in moved] == [row.received_bytes for row in moved] == sent


def test_batch_statistics_are_refused(clients):
    net = models.build("regressor", 0)
    net.norm = torch.nn.BatchNorm2d(1)
    with pytest.raises(InputError, match=r"model.buffers.*norm.running_mean.*only weights are averaged"):
        fedavg(net, clients, PLAN, (0,))


def test_rounds_stay_within_the_steps(clients):
    assert rounds(clients, replace(PLAN, steps=5)) == 1
    assert rounds(clients, replace(PLAN, steps=19)) == 3
    _, history, _ = averaged(clients, replace(PLAN, steps=19))
    assert [check.steps for check in history] == [5, 10, 15]


@pytest.mark.parametrize(
    "films, epochs, steps",
    [(9, 1.0, 2), (3, 1.0, 1), (40, 0.5, 5), (40, 0.25, 2), (40, 0.01, 1), (9, 3, 6), (1, 3.0, 3)],
)
def test_a_client_passes_over_its_films_as_often_as_the_plan_says(clients, films, epochs, steps):
    """Batches of 4, so 40 films are 10 steps; at least one step, whatever the share."""
    client = replace(clients[0], train=clients[0].train[np.arange(films) % TRAIN[0]])
    assert local_steps(client, replace(PLAN, epochs=epochs)) == steps


def test_longer_rounds_are_fewer_and_take_no_more_steps(clients):
    plan = replace(PLAN, steps=19, epochs=2.0)
    assert rounds(clients, plan) == 1  # of 4 + 2 + 2 + 2 steps
    _, history, _ = averaged(clients, plan, "regressor")
    assert [check.steps for check in history] == [10]


@pytest.mark.parametrize("checks, steps", [(7, range(5, 36, 5)), (35, range(5, 36, 5)), (3, [10, 20, 35])])
def test_checks_come_after_whole_rounds_and_change_nothing_else(clients, monkeypatch, checks, steps):
    """Seven rounds; a check says the mean loss of its own, and where validation falls the last weights win."""
    plan = replace(PLAN, steps=35, checks=7)
    falling = iter(range(99, 0, -1))
    with monkeypatch.context() as patch:
        patch.setattr(training, "validation_mae", lambda *_: next(falling))
        every = averaged(clients, plan, "regressor", carry=True)
        found = averaged(clients, replace(plan, checks=checks), "regressor", carry=True)
    assert [check.steps for check in found[1]] == list(steps)
    assert same(found[0], every[0]) and found[2] == every[2] and len(found[2]) == 7 * 4
    losses = [check.loss for check in every[1]]
    for first, check in zip([0, *steps], found[1]):
        own = losses[first // 5 : check.steps // 5]
        assert check.loss == pytest.approx(sum(own) / len(own))


@pytest.mark.parametrize(
    "checks, patience, looked_at, turns", [(10, 3, 4, 4), (5, 2, 3, 6), (20, 3, 3, 3), (1, 1, 1, 10)]
)
def test_patience_is_the_same_share_of_the_checks(clients, monkeypatch, checks, patience, looked_at, turns):
    """Ten rounds that only get worse: of 20 checks there are but 10, and of patience for 3 of them 2."""
    rising = iter(range(100))
    monkeypatch.setattr(training, "validation_mae", lambda *_: next(rising))
    monkeypatch.setattr(training, "run_steps", lambda *_: 0.0)
    plan = replace(PLAN, steps=50, checks=checks, patience=patience)
    _, history, moved = averaged(clients, plan, "regressor")
    assert len(history) == looked_at and len(moved) == 4 * turns  # rounds that were never run move nothing


# ---------------------------------------------------------------- kills and bad input


@pytest.mark.parametrize("carry", [False, True])
def test_killed_after_every_round_and_resumed_gives_the_same(clients, tmp_path, carry):
    expected, path = averaged(clients, carry=carry), tmp_path / "checkpoint.safetensors"

    def kill(check):
        raise KeyboardInterrupt

    for _ in expected[1]:
        with pytest.raises(KeyboardInterrupt):
            averaged(clients, carry=carry, checkpoint=path, report=kill)
    found = averaged(clients, carry=carry, checkpoint=path)
    assert same(found[0], expected[0]) and found[1:] == expected[1:]


@pytest.mark.parametrize("checks", [3, 2, 1])
def test_killed_inside_a_round_loses_no_more_than_since_the_last_check(
    clients, tmp_path, monkeypatch, checks
):
    path, plain, calls = tmp_path / "checkpoint.safetensors", training.run_steps, iter(range(100))
    plan = replace(PLAN, checks=checks)
    expected = averaged(clients, plan, "regressor", carry=True)

    def dying(*arguments):
        if next(calls) == 10:  # the third client of the third round
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "run_steps", dying)
        with pytest.raises(KeyboardInterrupt):
            averaged(clients, plan, "regressor", carry=True, checkpoint=path)
        assert path.exists() == (checks > 1)
        left = iter(range(100))
        patch.setattr(training, "run_steps", lambda *arguments: next(left) * 0 + plain(*arguments))
        found = averaged(clients, plan, "regressor", carry=True, checkpoint=path)
    assert same(found[0], expected[0]) and found[1:] == expected[1:]
    assert next(left) == {3: 4, 2: 8, 1: 12}[checks]  # steps of clients that were taken again


def other_films(clients):
    return [replace(clients[0], train=clients[0].train[::-1]), *clients[1:]]


@pytest.mark.parametrize(
    "another",
    [
        lambda clients: dict(clients=clients[::-1]),
        lambda clients: dict(clients=other_films(clients)),
        lambda clients: dict(clients=clients, plan=replace(PLAN, learning_rate=1e-3)),
        lambda clients: dict(clients=clients, plan=replace(PLAN, epochs=0.5)),
        lambda clients: dict(clients=clients, network="landmarks"),
        lambda clients: dict(clients=clients, carry=True),
    ],
    ids=[
        "another order",
        "other films",
        "another plan",
        "shorter rounds",
        "another network",
        "carried state",
    ],
)
def test_a_checkpoint_of_another_run_is_refused(clients, tmp_path, another):
    path, ours = tmp_path / "checkpoint.safetensors", {"clients": clients, "network": "regressor"}
    first = averaged(**ours, checkpoint=path)
    with pytest.raises(InputError, match="checkpoint.safetensors: .*allowed: a checkpoint of this run"):
        averaged(**ours | {"checkpoint": path} | another(clients))
    assert same(averaged(**ours, checkpoint=path)[0], first[0])  # and is still there


@pytest.mark.parametrize(
    "change, plan, message",
    [
        (lambda c: [], {}, r"clients: got \[\]; allowed: at least one client"),
        (lambda c: [c[0], c[0]], {}, r"clients: got \['aspen', 'aspen'\]; allowed: .*each name once"),
        (
            lambda c: [c[0], replace(c[1], train=c[1].train[:0])],
            {},
            "clients.birch.train: got 0; allowed: at least",
        ),
        (
            lambda c: [replace(c[0], validation=c[0].validation[:0])],
            {},
            "clients.aspen.validation: got 0; allowed",
        ),
        (lambda c: c, {"steps": 4}, "plan.steps: got 4; allowed: at least one round, 5 steps"),
        (
            lambda c: c,
            {"steps": 9, "epochs": 2.0},
            "plan.steps: got 9; allowed: at least one round, 10 steps",
        ),
    ],
    ids=[
        "no client",
        "one name twice",
        "no films",
        "no validation",
        "too few steps",
        "too few for long rounds",
    ],
)
def test_what_cannot_be_averaged_is_refused(clients, change, plan, message):
    with pytest.raises(InputError, match=message):
        averaged(change(clients), replace(PLAN, **plan))


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_are_counted(clients, workers):
    with pytest.raises(InputError, match=f"workers: got {workers}; allowed: a whole number from 1"):
        averaged(clients, workers=workers)
