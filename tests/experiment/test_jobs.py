"""What is trained: the same start, the same budget and the same test patients for all."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tiny import (
    OUTSIDERS,
    PARTICIPANTS,
    TINY,
    TUNED,
    all_jobs,
    tiny,
    wide,
)

from lumbo.errors import InputError
from lumbo.experiment import jobs
from lumbo.experiment.jobs import Job
from lumbo.films_1 import hospitals
from lumbo.learning import federated, models

LESSON, FAST, FULL = jobs.size("lesson"), jobs.size("fast"), jobs.size("full")


def test_every_arm_is_trained():
    what = replace(LESSON, seeds={"landmarks": 2, "regressor": 1})
    first, second = jobs.of_seed(what, 0), jobs.of_seed(what, 1)
    assert len(first) == 2 * (4 + 1 + 1) and len(second) == 4 + 1 + 1
    assert {job.network for job in second} == {"landmarks"}
    for found in (first, second):
        assert {job.arm for job in found} == set(jobs.ARMS)
        assert {job.site for job in found if job.arm == "local"} == set(PARTICIPANTS)
        assert {(job.site, job.without, job.films) for job in found if job.arm != "local"} == {("", "", 0)}
    assert Job("landmarks", "local", 3, "cedar").name == "landmarks-local-cedar-seed3"
    assert Job("landmarks", "federated", 1, without="cedar").name == "landmarks-federated-without-cedar-seed1"
    assert Job("landmarks", "local", 0, "aspen", films=15).name == "landmarks-local-aspen-films15-seed0"


def test_the_full_experiment_leaves_out_every_hospital_and_draws_a_curve():
    found = all_jobs(FULL)
    assert len({job.name for job in found}) == len(found)
    main = list(FULL.seeds)[0]
    without = [job for job in found if job.without]
    assert {job.network for job in without} == {main}
    for arm in ("federated", "centralized"):
        left = [job.without for job in without if job.arm == arm]
        assert len({left.count(name) for name in PARTICIPANTS}) == 1 and set(left) == set(PARTICIPANTS)
    curve = [job for job in found if job.films]
    assert {(job.network, job.arm) for job in curve} == {(main, "local")}
    for seed in jobs.seeds(FULL):
        films = {name: counts["training"] for name, counts in jobs.patients(seed).items()}
        largest = films[PARTICIPANTS[0]] == max(films.values()) > max(FULL.curve)
        points = [(job.site, job.films) for job in curve if job.seed == seed]
        assert points == [(PARTICIPANTS[0], n) for n in FULL.curve if largest]


def test_seeds_without_the_main_network_have_neither():
    what = wide(seeds={"landmarks": 1, "regressor": 5})
    assert [len(jobs.of_seed(what, seed)) for seed in jobs.seeds(what)] == [2 * 6 + 2 + 2, 6, 6, 6, 6]


def test_sizes_rotate_in_a_latin_square():
    """Every hospital has every size once in four seeds, and every seed has every size once."""
    sizes = [h.patients for h in hospitals.participants()]
    square = [[jobs.patients(seed)[name] for name in PARTICIPANTS] for seed in range(4)]
    for line in [*square, *zip(*square)]:
        assert sorted(counts["training"] for counts in line) == sorted(c["training"] for c in sizes)
        assert all(counts in sizes for counts in line)  # the three splits move together
    assert square[0] == sizes
    assert [jobs.patients(seed) for seed in range(4, 8)] == [jobs.patients(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def starts():
    """What every job begins with, without training: weights, films, validation films, plan and seed."""

    def fit(model, films, held, plan, seed, *_):
        return [(model.state_dict(), films, held, plan, seed)]

    def fedavg(model, clients, plan, seed, **_):
        pooled = [hospitals.pool([getattr(c, part) for c in clients]) for part in ("train", "validation")]
        return fit(model, *pooled, plan, seed), []

    what, cpu = wide(seeds={"regressor": 2, "landmarks": 2}), torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs.training, "fit", fit)
        patch.setattr(jobs.federated, "fedavg", fedavg)
        return {job: jobs.train(job, jobs.clients(what, job), what.plan, cpu)[1][0] for job in all_jobs(what)}


def test_every_model_of_a_seed_starts_from_the_same_weights(starts):
    first = {}
    for job, (state, *_) in starts.items():
        key = job.network, job.seed
        assert all(torch.equal(value, first.setdefault(key, state)[name]) for name, value in state.items())
    for network in ("regressor", "landmarks"):
        one, other = first[network, 0], first[network, 1]
        assert any(not torch.equal(one[name], other[name]) for name in one)


def sites_of(films):
    return list(dict.fromkeys(films.site))


def test_every_arm_has_the_same_plan_and_its_own_films(starts):
    for job, (_, films, held, plan, seed) in starts.items():
        assert plan == wide().plan and seed == (job.seed,)
        largest_first = sorted(PARTICIPANTS, key=lambda name: -jobs.patients(job.seed)[name]["training"])
        expected = [job.site] if job.arm == "local" else [s for s in largest_first if s != job.without]
        assert sites_of(films) == sites_of(held) == expected
        if not job.films:
            everything = starts[Job(job.network, "centralized", job.seed)]
            for mine, all_ in ((films, everything[1]), (held, everything[2])):
                np.testing.assert_array_equal(mine.films, all_.films[np.isin(all_.site, expected)])


def test_shared_models_never_see_the_hospital_that_was_left_out(starts):
    odd = [job for job in starts if job.without]
    assert {(job.seed, job.without) for job in odd} == {(0, "aspen"), (1, "birch")}
    for job in odd:
        _, films, held, *_ = starts[job]
        hidden = [starts[Job(job.network, "local", job.seed, job.without)][part] for part in (1, 2)]
        assert job.without not in {*films.site, *held.site}
        assert not (prints(films) | prints(held)) & (prints(hidden[0]) | prints(hidden[1]))


def test_a_point_of_the_curve_has_the_first_films_of_the_whole(starts):
    points = [job for job in starts if job.films]
    assert {(job.seed, job.site, job.films) for job in points} == {(0, "aspen", 3), (0, "aspen", 5)}
    for job in points:
        whole = starts[replace(job, films=0)]
        _, films, held, *_ = starts[job]
        np.testing.assert_array_equal(films.films, whole[1].films[: job.films])
        aspen, n = hospitals.hospital("aspen"), max(8, job.films // jobs.HELD_OUT)
        expected = hospitals.film_set(aspen, "validation", job.seed + jobs.TRAINING_SEEDS, n, 32)
        np.testing.assert_array_equal(held.films, expected.films)


def test_how_many_films_a_model_has(starts):
    films = {job: len(begun[1]) for job, begun in starts.items() if job.network == "regressor"}
    counts = [11, 5, 3, 1]
    for seed in (0, 1):
        local = [films[Job("regressor", "local", seed, site)] for site in PARTICIPANTS]
        assert local == counts[seed:] + counts[:seed]
        assert films[Job("regressor", "federated", seed)] == 20
    assert films[Job("regressor", "federated", 0, without="aspen")] == 9
    assert films[Job("regressor", "centralized", 1, without="birch")] == 17


def prints(films):
    return {film.tobytes() for film in films.films}


def test_no_patient_is_met_twice():
    what = tiny()
    sets = {"test": hospitals.pool(list(jobs.tested_films(what).values()))}
    for seed in (0, 1):
        clients = jobs.clients(what, Job("regressor", "centralized", seed))
        sets[f"training {seed}"] = hospitals.pool([client.train for client in clients])
        sets[f"validation {seed}"] = hospitals.pool([client.validation for client in clients])
    films = {name: prints(part) for name, part in sets.items()}
    assert all(len(films[name]) == len(part) for name, part in sets.items())
    assert len(set().union(*films.values())) == sum(map(len, sets.values()))


def test_test_patients_belong_to_no_seed():
    one, other = (jobs.tested_films(what) for what in (tiny(), tiny(seeds={"regressor": 7}, share=0.02)))
    assert list(one) == [*PARTICIPANTS, *OUTSIDERS]
    for name in one:
        np.testing.assert_array_equal(one[name].films, other[name].films)
    assert list(jobs.tested_films(tiny(), "elm")) == ["elm"]


@pytest.mark.parametrize("what", [LESSON, FAST, FULL], ids=lambda what: what.name)
def test_federated_training_sees_as_many_films_as_centralized_and_no_more(what):
    for job in all_jobs(what):
        if job.arm == "federated":
            plan = jobs.plan_of(what, job)
            counts = jobs.patients(job.seed)
            films = [max(1, round(counts[s]["training"] * what.share)) for s in counts if s != job.without]
            clients = [federated.Client("", range(n), None) for n in films]
            per_round = [federated.local_steps(client, plan) for client in clients]
            seen = (
                plan.steps // sum(per_round) * sum(min(n, plan.batch) * k for n, k in zip(films, per_round))
            )
            assert 0.9 * plan.steps * plan.batch <= seen <= plan.steps * plan.batch, job.name


def test_what_ships_as_tuned_is_the_best_of_equally_many_trials(root):
    trials = json.loads((root / "data_synth" / "reference" / "tuning.json").read_text())
    for network, arms in jobs.tuned().items():
        for arm, chosen in arms.items():
            tried = [one for one in trials if (one["network"], one["arm"]) == (network, arm)]
            assert len(tried) == 5 and len({one["steps"] for one in tried}) == 1
            assert min(tried, key=lambda one: one["validation_mae"])["trial"] == chosen


def test_what_ships_as_tuned_is_complete():
    found = jobs.tuned()
    assert {(network, arm) for network in found for arm in found[network]} == {
        (network, arm) for network in models.NETWORKS for arm in jobs.ARMS
    }
    for job in all_jobs(FULL):
        jobs.plan_of(FULL, job)  # a plan refuses what cannot be


@pytest.mark.parametrize(
    "change, field",
    [
        (lambda table: table.pop("landmarks"), "tuned.landmarks"),
        (lambda table: table.update(resnet={}), "tuned.resnet"),
        (lambda table: table["landmarks"].pop("local"), "tuned.landmarks.local"),
        (lambda table: table["landmarks"].update(swarm={}), "tuned.landmarks.swarm"),
        (lambda table: table["regressor"].update(local={"momentum": 0.9}), "tuned.regressor.local.momentum"),
        (lambda table: table["regressor"].update(local=3), "tuned.regressor.local"),
        (
            lambda table: table["regressor"].update(local={"learning_rate": -1}),
            "tuned.regressor.local.learning_rate",
        ),
    ],
)
def test_a_malformed_choice_is_refused(monkeypatch, change, field):
    table = json.loads(json.dumps(TUNED))
    change(table)
    monkeypatch.setattr(jobs, "_experiment", lambda: {"tuned": table})
    with pytest.raises(InputError) as caught:
        jobs.tuned.__wrapped__()  # not what was remembered
    assert caught.value.field == field


def test_every_size_in_the_package_is_valid():
    assert list(jobs.sizes()) == ["lesson", "fast", "full"]
    for name in ("huge", ["fast"], None):
        with pytest.raises(InputError, match="size: got .*; allowed: one of lesson, fast"):
            jobs.size(name)


@pytest.mark.parametrize(
    "faults, field",
    [
        ({"network": "resnet"}, "job.network"),
        ({"arm": "x"}, "job.arm"),
        ({"arm": ["local"]}, "job.arm"),
        ({"seed": True}, "job.seed"),
        ({"seed": -1}, "job.seed"),
        ({"seed": 1.5}, "job.seed"),
        ({"site": "oak"}, "job.site"),
        ({"site": ""}, "job.site"),  # a local model has one
        ({"arm": "federated"}, "job.site"),  # and a shared one none
        ({"arm": "federated", "site": "", "without": "oak"}, "job.without"),
        ({"without": "birch"}, "job.without"),
        ({"films": -3}, "job.films"),
        ({"arm": "federated", "site": "", "films": 3}, "job.films"),
    ],
    ids=str,
)
def test_a_job_that_cannot_be_is_refused(faults, field):
    given = {"network": "landmarks", "arm": "local", "seed": 0, "site": "aspen"}
    with pytest.raises(InputError) as caught:
        Job(**given | faults)
    assert caught.value.field == field


def test_numbers_of_numpy_make_the_same_job():
    job = Job("landmarks", "local", np.int64(3), "aspen", films=np.uint8(15))
    assert job == Job("landmarks", "local", 3, "aspen", films=15) and json.dumps(asdict(job))
    assert jobs.of_seed(FAST, np.int64(0)) == jobs.of_seed(FAST, 0)


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda: jobs.of_seed(FAST, -1), "seed"),
        (lambda: jobs.of_seed(FAST, 1), "seed"),
        (lambda: jobs.of_seed("fast", 0), "what"),
        (lambda: jobs.seeds("fast"), "what"),
        (lambda: jobs.patients(1.5), "seed"),
        (lambda: jobs.patients(-1), "seed"),
        (lambda: jobs.clients("fast", Job("landmarks", "federated", 0)), "what"),
        (lambda: jobs.clients(FAST, "landmarks-federated-seed0"), "job"),
        (lambda: jobs.plan_of(FAST, None), "job"),
        (lambda: jobs.tested_films(FAST, "oak"), "site"),
        (lambda: replace(FAST, seeds={}), "fast.seeds"),  # a size built in code is held to the same
        (lambda: replace(FAST, share=float("nan")), "fast.share"),
    ],
)
def test_what_is_asked_of_the_experiment_is_checked(call, field):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"networks": ["landmarks"]}, "tiny.networks"),
        ({"seeds": {}}, "tiny.seeds"),
        ({"seeds": 3}, "tiny.seeds"),
        ({"seeds": [0]}, "tiny.seeds"),
        ({"seeds": {"resnet": 1}}, "tiny.seeds.resnet"),
        ({"seeds": {"landmarks": 0}}, "tiny.seeds.landmarks"),
        ({"seeds": {"landmarks": 1.5}}, "tiny.seeds.landmarks"),
        ({"seeds": {"landmarks": [0, 1]}}, "tiny.seeds.landmarks"),
        ({"left_out": 1}, "tiny.left_out"),
        ({"left_out": "aspen"}, "tiny.left_out"),
        ({"curve": 15}, "tiny.curve"),
        ({"curve": [15, 0]}, "tiny.curve"),
        ({"curve": ["15"]}, "tiny.curve"),
        ({"title": 3}, "tiny.title"),
        ({"long_side_px": 100}, "tiny.long_side_px"),
        ({"long_side_px": 2048}, "tiny.long_side_px"),  # no network takes it
        ({"long_side_px": "256"}, "tiny.long_side_px"),
        ({"share": 0}, "tiny.share"),
        ({"share": 1.5}, "tiny.share"),
        ({"test": 1}, "tiny.test"),
        ({"colour": "red"}, "tiny.colour"),
        ({"plan": {"steps": 10, "checks": 2}}, "tiny.plan.patience"),
        ({"plan": TINY["plan"] | {"momentum": 0.9}}, "tiny.plan.momentum"),
        ({"plan": TINY["plan"] | {"batch": 0}}, "tiny.plan.batch"),
        ({"plan": TINY["plan"] | {"checks": 13}}, "tiny.plan.checks"),
        ({"plan": [10, 2, 9]}, "tiny.plan"),
    ],
    ids=str,
)
def test_a_malformed_size_is_refused(changes, field):
    with pytest.raises(InputError) as caught:
        tiny(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize("missing", sorted(TINY))
def test_a_missing_field_is_named(missing):
    with pytest.raises(InputError, match=f"tiny.{missing}: got None; allowed: this field is needed"):
        jobs.check_size("tiny", {key: value for key, value in TINY.items() if key != missing})
