"""The experiment: the same start, the same budget and the same test patients for all; and it survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from lumbo import store
from lumbo.experiment import reproduction
from lumbo.films import hospitals
from lumbo.learning import evaluation, federated, models, training
from lumbo.errors import InputError
from lumbo.experiment.reproduction import ARMS, HELD_OUT, TRAINING_SEEDS, Job, check_size, jobs, patients
from lumbo.experiment.reproduction import read_outcome, read_run, run, seeds, size

TINY = {
    "title": "small enough for a test",
    "seeds": {"regressor": 1},
    "left_out": False,
    "curve": [],
    "long_side_px": 32,
    "share": 0.01,  # 11, 5, 3 and 1 films
    "test": 3,
    "plan": {"steps": 12, "checks": 2, "patience": 9, "batch": 4},
}
WIDE = {"seeds": {"regressor": 2}, "left_out": True, "curve": [3, 5]}
PARTICIPANTS, OUTSIDERS = ["aspen", "birch", "cedar", "dogwood"], ["elm", "fir"]
LESSON, FAST, FULL = size("lesson"), size("fast"), size("full")


def tiny(**changes):
    return check_size("tiny", TINY | changes)


def wide(**changes):
    return tiny(**WIDE | changes)


def all_jobs(what):
    return [job for seed in seeds(what) for job in jobs(what, seed)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny experiment ran from end to end, one model after the other."""
    folder = tmp_path_factory.mktemp("finished")
    run(tiny(), folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def finished_wide(tmp_path_factory):
    """The same, of two seeds, with a hospital left out of each and a learning curve."""
    folder = tmp_path_factory.mktemp("wide")
    run(wide(), folder, workers=1)
    return folder


def contents(folder):
    """What must not depend on how the run went: every shard."""
    return {path.name: path.read_bytes() for path in folder.glob("seed*.safetensors")}


def note_of(folder, job):
    return store.load_tensors(folder / "jobs" / f"{job.name}.predictions.safetensors")[1]


def equal(one, other):
    """Whether two outcomes hold the same numbers in the same order."""
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


def same_outcome(one, other):
    return all(equal(getattr(one, field), getattr(other, field)) for field in one.__dataclass_fields__)


# ---------------------------------------------------------------- what is trained


def test_every_arm_is_trained():
    what = replace(LESSON, seeds={"landmarks": 2, "regressor": 1})
    first, second = jobs(what, 0), jobs(what, 1)
    assert len(first) == 2 * (4 + 1 + 1) and len(second) == 4 + 1 + 1
    assert {job.network for job in second} == {"landmarks"}
    for found in (first, second):
        assert {job.arm for job in found} == set(ARMS)
        assert {job.site for job in found if job.arm == "local"} == set(PARTICIPANTS)
        assert {(job.site, job.without, job.films) for job in found if job.arm != "local"} == {("", "", 0)}
    assert Job("landmarks", "local", 3, "cedar").name == "landmarks-local-cedar-seed3"
    assert Job("landmarks", "federated", 1, without="elm").name == "landmarks-federated-without-elm-seed1"
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
    for seed in seeds(FULL):
        films = {name: counts["training"] for name, counts in patients(seed).items()}
        largest = films[PARTICIPANTS[0]] == max(films.values()) > max(FULL.curve)
        points = [(job.site, job.films) for job in curve if job.seed == seed]
        assert points == [(PARTICIPANTS[0], n) for n in FULL.curve if largest]


def test_seeds_without_the_main_network_have_neither():
    what = wide(seeds={"landmarks": 1, "regressor": 5})
    assert [len(jobs(what, seed)) for seed in seeds(what)] == [2 * 6 + 2 + 2, 6, 6, 6, 6]


def test_sizes_rotate_in_a_latin_square():
    """Every hospital has every size once in four seeds, and every seed has every size once."""
    sizes = [h.patients for h in hospitals.participants()]
    square = [[patients(seed)[name] for name in PARTICIPANTS] for seed in range(4)]
    for line in [*square, *zip(*square)]:
        assert sorted(counts["training"] for counts in line) == sorted(c["training"] for c in sizes)
        assert all(counts in sizes for counts in line)  # the three splits move together
    assert square[0] == sizes
    assert [patients(seed) for seed in range(4, 8)] == [patients(seed) for seed in range(4)]


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
        patch.setattr(reproduction.training, "fit", fit)
        patch.setattr(reproduction.federated, "fedavg", fedavg)
        return {
            job: reproduction.train(job, reproduction.clients(what, job), what.plan, cpu)[1][0]
            for job in all_jobs(what)
        }


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
        largest_first = sorted(PARTICIPANTS, key=lambda name: -patients(job.seed)[name]["training"])
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
        aspen, n = hospitals.hospital("aspen"), max(8, job.films // HELD_OUT)
        expected = hospitals.film_set(aspen, "validation", job.seed + TRAINING_SEEDS, n, 32)
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
    sets = {"test": hospitals.pool(list(reproduction.tested_films(what).values()))}
    for seed in (0, 1):
        clients = reproduction.clients(what, Job("regressor", "centralized", seed))
        sets[f"training {seed}"] = hospitals.pool([client.train for client in clients])
        sets[f"validation {seed}"] = hospitals.pool([client.validation for client in clients])
    films = {name: prints(part) for name, part in sets.items()}
    assert all(len(films[name]) == len(part) for name, part in sets.items())
    assert len(set().union(*films.values())) == sum(map(len, sets.values()))


def test_test_patients_belong_to_no_seed():
    one, other = (
        reproduction.tested_films(what) for what in (tiny(), tiny(seeds={"regressor": 7}, share=0.02))
    )
    assert list(one) == [*PARTICIPANTS, *OUTSIDERS]
    for name in one:
        np.testing.assert_array_equal(one[name].films, other[name].films)
    assert list(reproduction.tested_films(tiny(), "elm")) == ["elm"]


@pytest.mark.parametrize("what", [LESSON, FAST, FULL], ids=lambda what: what.name)
def test_federated_training_sees_as_many_films_as_centralized_and_no_more(what):
    for job in all_jobs(what):
        if job.arm == "federated":
            plan = reproduction.plan_of(what, job)
            counts = patients(job.seed)
            films = [max(1, round(counts[s]["training"] * what.share)) for s in counts if s != job.without]
            clients = [federated.Client("", range(n), None) for n in films]
            per_round = [federated.local_steps(client, plan) for client in clients]
            seen = (
                plan.steps // sum(per_round) * sum(min(n, plan.batch) * k for n, k in zip(films, per_round))
            )
            assert 0.9 * plan.steps * plan.batch <= seen <= plan.steps * plan.batch, job.name


def test_the_steps_taken_are_within_the_budget(finished):
    """All 12 steps, or for the federated model as many whole rounds as fit."""
    what = tiny()
    for job in jobs(what, 0):
        last = note_of(finished, job)["history"][-1][0]
        if job.arm == "federated":
            plan = reproduction.plan_of(what, job)
            per_round = sum(federated.local_steps(c, plan) for c in reproduction.clients(what, job))
            assert last % per_round == 0 and 12 - per_round < last <= 12
        else:
            assert last == 12


# ---------------------------------------------------------------- what was tuned


TUNED = {
    network: {arm: {"learning_rate": 10.0 ** -(k + 2), "epochs": 0.5} for k, arm in enumerate(ARMS)}
    for network in models.NETWORKS
}


def test_every_model_is_trained_as_it_was_tuned(tmp_path, monkeypatch):
    plans, plain = {}, reproduction.train

    def watched(job, sites, plan, *rest):
        plans[job] = plan
        return plain(job, sites, plan, *rest)

    monkeypatch.setattr(reproduction, "tuned", lambda: TUNED)
    monkeypatch.setattr(reproduction, "train", watched)
    run(tiny(), tmp_path, workers=1)
    assert list(plans) == jobs(tiny(), 0)
    for job, plan in plans.items():
        assert plan == replace(tiny().plan, **TUNED[job.network][job.arm])


def test_what_was_tuned_belongs_to_the_specification(monkeypatch):
    before = reproduction.specification(tiny())
    monkeypatch.setattr(reproduction, "tuned", lambda: TUNED)
    assert reproduction.specification(tiny()) != before


def test_what_ships_as_tuned_is_the_best_of_equally_many_trials(root):
    trials = json.loads((root / "data_synth" / "reference" / "tuning.json").read_text())
    for network, arms in reproduction.tuned().items():
        for arm, chosen in arms.items():
            tried = [one for one in trials if (one["network"], one["arm"]) == (network, arm)]
            assert len(tried) == 5 and len({one["steps"] for one in tried}) == 1
            assert min(tried, key=lambda one: one["validation_mae"])["trial"] == chosen


def test_what_ships_as_tuned_is_complete():
    found = reproduction.tuned()
    assert {(network, arm) for network in found for arm in found[network]} == {
        (network, arm) for network in models.NETWORKS for arm in ARMS
    }
    for job in all_jobs(FULL):
        reproduction.plan_of(FULL, job)  # a plan refuses what cannot be


@pytest.mark.parametrize(
    "change, field",
    [
        (lambda table: table.pop("landmarks"), "tuned.landmarks"),
        (lambda table: table.update(resnet={}), "tuned.resnet"),
        (lambda table: table["landmarks"].pop("local"), "tuned.landmarks.local"),
        (lambda table: table["landmarks"].update(swarm={}), "tuned.landmarks.swarm"),
        (lambda table: table["regressor"].update(local={"momentum": 0.9}), "tuned.regressor.local.momentum"),
        (lambda table: table["regressor"].update(local=3), "tuned.regressor.local"),
    ],
)
def test_a_malformed_choice_is_refused(monkeypatch, change, field):
    table = json.loads(json.dumps(TUNED))
    change(table)
    monkeypatch.setattr(reproduction, "_experiment", lambda: {"tuned": table})
    with pytest.raises(InputError) as caught:
        reproduction.tuned.__wrapped__()  # not what was remembered
    assert caught.value.field == field


# ---------------------------------------------------------------- what is left behind


def test_a_run_leaves_everything(finished_wide):
    kinds = ("weights", "predictions")
    names = {f"{job.name}.{kind}.safetensors" for job in all_jobs(wide()) for kind in kinds}
    assert {path.name for path in (finished_wide / "jobs").iterdir()} == names
    shards = {f"seed{seed}.{end}" for seed in (0, 1) for end in ("safetensors", "json")}
    assert {path.name for path in finished_wide.iterdir()} == {"jobs", *shards}


def test_weights_and_predictions_belong_together(finished):
    what = tiny()
    tests = reproduction.tested_films(what)
    for job in jobs(what, 0):
        model = models.load(finished / "jobs" / f"{job.name}.weights.safetensors")
        said, note = store.load_tensors(finished / "jobs" / f"{job.name}.predictions.safetensors")
        assert said.keys() == {*tests, *(f"{site}/within" for site in tests)} and note["job"] == asdict(job)
        held = hospitals.pool([client.validation for client in reproduction.clients(what, job)])
        again = training.predict(model, held.films)
        errors = evaluation.angle_errors(again.angles_deg, held.rated_angles_deg)
        factors = evaluation.interval_factors(errors, again.spread_deg)
        np.testing.assert_allclose(note["factors"], factors, rtol=1e-3)
        for site, test in tests.items():
            again = training.predict(model, test.films)
            np.testing.assert_allclose(said[site], again.angles_deg, atol=1e-3)
            for level in (0, 1):
                within = again.spread_deg * factors[level]
                np.testing.assert_allclose(said[f"{site}/within"][..., level], within, rtol=2e-3)


def test_the_outcome_is_what_every_model_said(finished_wide):
    outcome, what = read_outcome(finished_wide), wide()
    assert list(outcome.said) == list(outcome.within) == list(outcome.films) == all_jobs(what)
    tests = reproduction.tested_films(what)
    for job in outcome.said:
        stored, note = store.load_tensors(finished_wide / "jobs" / f"{job.name}.predictions.safetensors")
        assert outcome.films[job] == note["films"]
        for site in tests:
            said, within = outcome.said[job][site], outcome.within[job][site]
            assert said.dtype == within.dtype == np.float64 and said.shape == (3, 4)
            np.testing.assert_array_equal(said, stored[site])
            np.testing.assert_array_equal(within, stored[f"{site}/within"])
            assert (0 < within[..., 0]).all() and (within[..., 0] <= within[..., 1]).all()
    for site, test in tests.items():
        np.testing.assert_allclose(outcome.rated[site], test.rated_angles_deg, atol=1e-4)
        np.testing.assert_allclose(outcome.truth[site], test.angles_deg, atol=1e-4)


def test_the_record_says_where_the_results_come_from(finished):
    what, record = tiny(), json.loads((finished / "seed0.json").read_text())
    assert record["size"] == json.loads(json.dumps(asdict(what)))
    assert record["specification"] == reproduction.specification(what)
    assert record["fingerprint"] == reproduction.fingerprint(what)
    assert record["versions"]["torch"] == torch.__version__
    assert record["hardware"]["cores"] == len(os.sched_getaffinity(0))
    assert record["seconds"].keys() == {"drawing", "training"}
    assert record["jobs"].keys() == {job.name for job in jobs(what, 0)}
    for job in record["jobs"].values():
        assert job["seconds"] > 0 and job["device"] == "cpu" and len(job["history"]) == 2


def test_the_records_of_shards_become_one(finished_wide, tmp_path):
    folder = shutil.copytree(finished_wide, tmp_path / "copy")
    parts = [json.loads((folder / f"seed{seed}.json").read_text()) for seed in (0, 1)]
    for part, seconds, commit in zip(parts, ((2.25, 30.5), (0.5, 12.25)), ("feed", "beef")):
        part |= {"seconds": dict(zip(("drawing", "training"), seconds)), "commit": commit}
    for seed, part in enumerate(parts):
        (folder / f"seed{seed}.json").write_text(json.dumps(part))
    record = read_run(folder)
    assert record["seconds"] == {"drawing": 2.8, "training": 42.8}  # rounded to a tenth
    assert record["commit"] == "beef, feed"
    assert record["jobs"] == parts[0]["jobs"] | parts[1]["jobs"]
    assert record["jobs"].keys() == {job.name for job in all_jobs(wide())}
    assert record["specification"] == reproduction.specification(wide())
    with pytest.raises(InputError, match="no shard"):
        read_run(tmp_path)


def test_the_fingerprint_is_repeatable_and_follows_the_code(monkeypatch, untouched):
    what = tiny(seeds={"regressor": 1, "landmarks": 1})
    found = reproduction.fingerprint(what)
    assert found.keys() == {"regressor", "landmarks"} and all(len(losses) == 3 for losses in found.values())
    assert reproduction.fingerprint(what) == found
    monkeypatch.setattr(models, "UNIT_DEG", models.UNIT_DEG * 1.001)
    moved = reproduction.fingerprint(what)
    assert all(moved[network] != found[network] for network in found)
    monkeypatch.undo()
    later = reproduction.fingerprint(replace(what, plan=replace(what.plan, learning_rate=1e-3)))
    for network in found:  # the first loss comes before the first step
        assert later[network][0] == found[network][0] and later[network][2] != found[network][2]


def test_a_second_run_does_nothing(finished, tmp_path, monkeypatch):
    folder, calls = shutil.copytree(finished, tmp_path / "again"), []
    record = (folder / "seed0.json").read_bytes()
    monkeypatch.setattr(reproduction, "_run_job", None)
    outcome = run(tiny(), folder, report=lambda *call: calls.append(call))
    assert contents(folder) == contents(finished) and (folder / "seed0.json").read_bytes() == record
    assert sorted(calls) == sorted((job.name, 12, 12) for job in jobs(tiny(), 0))
    assert same_outcome(outcome, read_outcome(finished))


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_results(finished, tmp_path, workers):
    run(tiny(), tmp_path, workers=workers)
    assert contents(tmp_path) == contents(finished)


def test_another_seed_is_another_result(finished_wide):
    said = read_outcome(finished_wide).said
    for job in jobs(tiny(), 0):
        assert not np.array_equal(said[job]["elm"], said[replace(job, seed=1)]["elm"])


# ---------------------------------------------------------------- shards


def test_shards_are_the_same_whatever_the_order_they_were_run_in(finished_wide, tmp_path):
    """The second seed first, by another process perhaps, and both brought together."""
    later = run(wide(), tmp_path / "one", [1], workers=2)
    assert {job.seed for job in later.said} == {1} and list(contents(tmp_path / "one")) == [
        "seed1.safetensors"
    ]
    both = run(wide(), tmp_path / "one", [0], workers=2)
    expected = read_outcome(finished_wide)
    assert contents(tmp_path / "one") == contents(finished_wide) and same_outcome(both, expected)
    (tmp_path / "two").mkdir()
    for folder, seed in ((finished_wide, 0), (tmp_path / "one", 1)):
        for end in ("safetensors", "json"):
            shutil.copy(folder / f"seed{seed}.{end}", tmp_path / "two")
    assert same_outcome(read_outcome(tmp_path / "two"), expected)
    assert read_run(tmp_path / "two")["jobs"].keys() == read_run(finished_wide)["jobs"].keys()


def test_the_shard_of_seed_ten_comes_after_that_of_seed_two(finished, tmp_path, monkeypatch):
    read, plain = [], reproduction._read_shard(finished / "seed0.safetensors")
    for seed in (10, 2, 0):
        (tmp_path / f"seed{seed}.safetensors").write_bytes(b"")
    monkeypatch.setattr(reproduction, "_read_shard", lambda path: read.append(path.name) or plain)
    read_outcome(tmp_path)
    assert read == ["seed0.safetensors", "seed2.safetensors", "seed10.safetensors"]


def test_shards_of_two_experiments_are_not_mixed(finished, finished_wide, tmp_path):
    shutil.copy(finished / "seed0.safetensors", tmp_path)
    shutil.copy(finished_wide / "seed1.safetensors", tmp_path)
    with pytest.raises(InputError, match="seed1.safetensors: got 'specification .*as seed0.safetensors"):
        read_outcome(tmp_path)


@pytest.mark.parametrize("owner", ["rated", "truth"])
def test_shards_with_other_test_films_are_not_mixed(finished_wide, tmp_path, owner):
    folder = shutil.copytree(finished_wide, tmp_path / "copy")
    arrays, note = store.load_tensors(folder / "seed1.safetensors")
    arrays[f"{owner}/elm"] = arrays[f"{owner}/elm"] + 1
    store.save_tensors(folder / "seed1.safetensors", arrays, note)
    with pytest.raises(InputError, match="seed1.safetensors: got"):
        read_outcome(folder)


def ruined(how):
    """A function that ruins the bytes of a file."""
    return {
        "torn": lambda whole: whole[:-9],
        "empty": lambda whole: b"",
        "foreign": lambda whole: b"not ours at all",
        "one bit": lambda whole: whole[:-9] + bytes([whole[-9] ^ 16]) + whole[-8:],
    }[how]


RUINS = ["torn", "empty", "foreign", "one bit"]


@pytest.mark.parametrize("how", RUINS)
def test_a_ruined_shard_is_named_and_made_again(finished_wide, tmp_path, how, monkeypatch):
    folder = shutil.copytree(finished_wide, tmp_path / "ruined")
    path = folder / "seed1.safetensors"
    path.write_bytes(ruined(how)(path.read_bytes()))
    for read in (lambda: read_outcome(folder), lambda: run(wide(), folder)):
        with pytest.raises(InputError) as caught:
            read()
        assert caught.value.field == str(path)
    path.unlink()  # what the message asks for
    monkeypatch.setattr(reproduction, "_run_job", None)  # every model is there
    run(wide(), folder)
    assert contents(folder) == contents(finished_wide)


def test_a_shard_of_another_experiment_is_refused_before_anything_is_trained(finished, tmp_path, monkeypatch):
    shutil.copy(finished / "seed0.safetensors", tmp_path)
    monkeypatch.setattr(reproduction, "_run_job", None)
    with pytest.raises(InputError, match="seed0.safetensors: got .*specification"):
        run(wide(), tmp_path, [1])


def test_a_file_that_only_looks_like_a_shard_is_named(finished, tmp_path):
    shutil.copy(finished / "seed0.safetensors", tmp_path / "seed0 (copy).safetensors")
    with pytest.raises(InputError, match=r"seed0 \(copy\).safetensors: got .*allowed: a name such as seed0"):
        read_outcome(tmp_path)


@pytest.mark.parametrize("name", ["seed0.safetensors", "seed0.json"])
def test_a_full_disk_while_a_shard_is_written_loses_nothing(finished, tmp_path, monkeypatch, name):
    folder, plain = shutil.copytree(finished, tmp_path / "full"), os.replace
    for path in folder.glob("seed0.*"):
        path.unlink()

    def full(draft, path):
        if path.name == name:
            raise OSError(28, "No space left on device")
        plain(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", full)
        with pytest.raises(InputError, match="No space left on device.*a disk with room") as caught:
            run(tiny(), folder)
    assert caught.value.field == str(folder / name)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]  # no draft
    monkeypatch.setattr(reproduction, "_run_job", None)
    run(tiny(), folder)
    assert contents(folder) == contents(finished) and (folder / "seed0.json").exists()


# ---------------------------------------------------------------- kills

DIES = """
import json, os, signal, sys
from lumbo import store
from lumbo.experiment import reproduction

table, folder, moment, count = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
replace, unlink = os.replace, store.Path.unlink

def die_at(name):
    global count
    if name == moment:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def dying_replace(draft, path):
    die_at("write")
    replace(draft, path)

def dying_unlink(path, missing_ok=False):
    if path.name.startswith("regressor"):  # a checkpoint that is no longer needed
        die_at("unlink")
    unlink(path, missing_ok=missing_ok)

store.os.replace, store.Path.unlink = dying_replace, dying_unlink
what = reproduction.check_size("tiny", table)
reproduction.run(what, folder, workers=1, report=lambda *_: die_at("report"))
"""


@pytest.mark.parametrize(
    "moment, count, done, reports",
    [
        ("report", 2, 0, 3 + 20),  # after the first of two checks of the first model: nothing is finished
        ("report", 11, 2, 2 + 2 + 12),  # after the second check of the third of six models
        ("write", 8, 1, 1 + 2 + 16),  # weights of the second are on disk, its predictions were being written
        ("unlink", 2, 2, 2 + 16),  # the second is finished, and its checkpoint still there
        ("write", 25, 6, 6),  # everything is there but the shard and its record
        ("write", 26, 6, 6),  # one of the two is there
    ],
    ids=[
        "in the first",
        "in the third",
        "while writing",
        "tidying up",
        "before the shard",
        "inside the shard",
    ],
)
def test_a_killed_run_resumes_to_the_same_result(finished, root, tmp_path, moment, count, done, reports):
    """A finished model reports once; another when it begins, after each of its two checks, and when it is done."""
    command = [sys.executable, "-c", DIES, json.dumps(TINY), str(tmp_path), moment, str(count)]
    dead = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert len(list(tmp_path.glob("jobs/*.predictions.safetensors"))) == done
    assert len(list(tmp_path.glob("jobs/*.unfinished-*.safetensors"))) == (done < 6)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("jobs/*.predictions.safetensors")}
    steps = []
    run(tiny(), tmp_path, workers=1, report=lambda job, taken, total: steps.append(taken))
    assert contents(tmp_path) == contents(finished)
    assert before == {path: path.stat().st_mtime_ns for path in before}  # nothing was trained twice
    assert len(steps) == reports
    assert not list(tmp_path.glob("jobs/*unfinished*"))
    assert read_run(tmp_path)["jobs"].keys() == read_run(finished)["jobs"].keys()


def test_an_error_in_one_job_keeps_the_others(finished, tmp_path, monkeypatch):
    plain = reproduction.train

    def failing(job, *rest):
        if job.site == "birch":
            raise RuntimeError("no power")
        return plain(job, *rest)

    monkeypatch.setattr(reproduction, "train", failing)
    with pytest.raises(RuntimeError, match="no power"):
        run(tiny(), tmp_path, workers=1)
    kept = len(list(tmp_path.glob("jobs/*.predictions.safetensors")))
    assert 3 <= kept < 6 and not list(tmp_path.glob("seed*"))
    monkeypatch.undo()
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


# ---------------------------------------------------------------- bad files and bad input


def test_another_specification_in_the_same_folder_is_refused(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "mixed")
    changed = tiny(plan=TINY["plan"] | {"batch": 5})
    with pytest.raises(InputError, match=r"seed0\..*safetensors: got .*specification") as caught:
        run(changed, folder)
    assert reproduction.specification(changed) in caught.value.allowed
    for path in folder.glob("seed0.*"):  # nor may the models of two specifications become one shard
        path.unlink()
    with pytest.raises(InputError, match="federated-seed0.predictions.safetensors: got .*specification"):
        run(changed, folder)
    run(tiny(), folder)
    assert contents(folder) == contents(finished)


@pytest.mark.parametrize("how", RUINS)
def test_a_ruined_prediction_file_is_named(finished, tmp_path, how):
    folder = shutil.copytree(finished, tmp_path / "ruined")
    path = folder / "jobs" / "regressor-local-cedar-seed0.predictions.safetensors"
    path.write_bytes(ruined(how)(path.read_bytes()))
    with pytest.raises(
        InputError, match="local-cedar-seed0.predictions.safetensors.*delete it and run again"
    ):
        run(tiny(), folder)
    path.unlink()  # what the message asks for
    run(tiny(), folder)
    assert contents(folder) == contents(finished)


@pytest.fixture
def checkpoint(tmp_path):
    """Where the first tiny model would keep its progress."""
    key = reproduction.specification(tiny())
    return reproduction._checkpoint(tmp_path, jobs(tiny(), 0)[0], key, torch.device("cpu"))


def test_a_ruined_checkpoint_is_named(checkpoint, tmp_path):
    store.write_atomic(checkpoint, b"torn")
    with pytest.raises(InputError, match="unfinished-.*delete it and run again"):
        run(tiny(), tmp_path)


@pytest.mark.parametrize("made_by", ["specification", "torch", "device"])
def test_a_checkpoint_of_another_run_is_refused(checkpoint, finished, tmp_path, made_by):
    """It would be gone on with to another result, and nobody would know."""
    mine = {"specification": reproduction.specification(tiny()), "torch": torch.__version__, "device": "cpu."}
    foreign = checkpoint.with_name(checkpoint.name.replace(mine[made_by], "0" * len(mine[made_by])))
    assert foreign != checkpoint
    store.write_atomic(foreign, b"of another machine")
    with pytest.raises(InputError, match="another run.*of this specification, torch and device; delete it"):
        run(tiny(), tmp_path)
    foreign.unlink()  # what the message asks for
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


@pytest.mark.parametrize("arguments, field", [
    ({"only": [1]}, "seed"), ({"only": [0, -1]}, "seed"), ({"workers": 0}, "workers"), ({"device": "tpu"}, "device"),
])  # fmt: skip
def test_what_cannot_be_run_is_refused_at_once(tmp_path, arguments, field):
    with pytest.raises(InputError) as caught:
        run(tiny(), tmp_path / "out", **arguments)
    assert caught.value.field == field and not (tmp_path / "out").exists()


def test_a_shard_is_read_whole_or_refused(finished, tmp_path):
    arrays, note = store.load_tensors(finished / "seed0.safetensors")
    path = tmp_path / "seed0.safetensors"
    with pytest.raises(InputError, match="got 'no shard'; allowed: what an experiment left"):
        read_outcome(tmp_path)
    job = jobs(tiny(), 0)[0]
    for lost in ("rated/elm", f"{job.name}/elm", f"{job.name}/elm/within"):
        store.save_tensors(path, {k: v for k, v in arrays.items() if k != lost}, note)
        with pytest.raises(InputError, match=rf"seed0.safetensors: got .*{lost}.*allowed: .*every model"):
            read_outcome(tmp_path)
    store.save_tensors(path, arrays | {"stranger/elm": arrays["rated/elm"]}, note)
    with pytest.raises(InputError, match="seed0.safetensors: got .*stranger/elm"):
        read_outcome(tmp_path)
    for foreign in (
        {},
        {"jobs": ["tiny"]},
        {"jobs": None},
        {"jobs": note["jobs"]},
        note | {"jobs": [{"job": {}}]},
    ):
        store.save_tensors(path, arrays, foreign)
        with pytest.raises(InputError, match="seed0.safetensors: got .*a note without jobs"):
            read_outcome(tmp_path)


def test_records_of_shards_are_put_together(finished_wide, tmp_path):
    folder = shutil.copytree(finished_wide, tmp_path / "two machines")
    path = folder / "seed1.json"
    note = json.loads(path.read_text())
    note |= {"commit": "feed", "hardware": note["hardware"] | {"processor": "Loom 3"}}
    path.write_text(json.dumps(note))
    one, other = read_run(finished_wide), read_run(folder)
    assert other["commit"].endswith(", feed") and other["versions"] == one["versions"]
    assert other["hardware"] == one["hardware"] | {"processor": one["hardware"]["processor"] + ", Loom 3"}
    assert other["seconds"] == one["seconds"] and other["seeds"] == [0, 1]
    parts = [json.loads((folder / f"seed{seed}.json").read_text())["seconds"]["training"] for seed in (0, 1)]
    assert other["seconds"]["training"] == pytest.approx(sum(parts), abs=0.06)


@pytest.mark.parametrize(
    "change, found",
    [
        ({"specification": "f" * 16}, "seed1.json: specification: got 'ffff"),
        ({"size": {}}, "seed1.json: size"),
        ("[1]", r"seed1.json: got \[1\]; allowed: what `run` writes"),
        ("{}", r"seed1.json: got \[\]; allowed: what `run` writes beside a shard, .*'seconds'"),
        ("{", "seed1.json: got .*allowed: what `run` writes"),
    ],
    ids=str,
)
def test_a_record_of_another_run_is_refused(finished_wide, tmp_path, change, found):
    folder = shutil.copytree(finished_wide, tmp_path / "mixed")
    path = folder / "seed1.json"
    path.write_text(change if isinstance(change, str) else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=found):
        read_run(folder)


def test_a_reference_that_does_not_ship_is_refused():
    with pytest.raises(InputError, match="reference: got 'lesson'; allowed: a size whose results ship"):
        reproduction.reference("lesson")


@pytest.fixture
def shipped(finished_wide, tmp_path, monkeypatch):
    """A package that ships the wide experiment under the name of the lesson."""
    shutil.copytree(finished_wide, tmp_path / "reference" / "lesson")
    weights = "regressor-federated-seed0.weights.safetensors"
    (tmp_path / "reference" / "weights").mkdir()
    shutil.copy(
        finished_wide / "jobs" / weights, tmp_path / "reference" / "weights" / weights.replace(".weights", "")
    )
    monkeypatch.setattr(reproduction, "files", lambda package: tmp_path)
    return finished_wide


def test_a_reference_that_ships_is_an_outcome_and_its_record(shipped):
    outcome, record = reproduction.reference("lesson")
    assert same_outcome(outcome, read_outcome(shipped)) and record == read_run(shipped)


def test_a_network_that_ships_is_read_and_another_refused(shipped):
    job = Job("regressor", "federated", 0)
    expected = models.load(shipped / "jobs" / f"{job.name}.weights.safetensors").state_dict()
    found = reproduction.reference_model(job).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    with pytest.raises(InputError, match="regressor-federated-seed1.safetensors"):
        reproduction.reference_model(replace(job, seed=1))


def test_what_ships_is_complete_and_of_one_specification():
    """Every size whose results are there, and every network."""
    folder = reproduction.files("data_synth").joinpath("reference")
    shipped = [name for name in reproduction.sizes() if folder.joinpath(name).is_dir()]
    assert shipped == ["full"]
    for name in shipped:
        outcome, record = reproduction.reference(name)
        assert record["seeds"] == list(seeds(size(name)))[: len(record["seeds"])]  # it grows seed by seed
        assert list(outcome.said) == [job for seed in record["seeds"] for job in jobs(size(name), seed)]
        assert record["jobs"].keys() == {job.name for job in outcome.said}
        assert record["size"] == json.loads(json.dumps(asdict(size(name))))
        assert reproduction.stands(record["specification"], size(name)), (
            f"run --size {name} again, or benchmarks/same_bits.py"
        )
        for network, losses in reproduction.fingerprint(size(name)).items():  # whatever the digest overlooks
            assert losses == pytest.approx(record["fingerprint"][network], rel=0.01)
        for site, angles in outcome.truth.items():
            assert len(angles) == size(name).test
            assert all(np.isfinite(by_site[site]).all() for by_site in outcome.said.values())
    outcome, record = reproduction.reference("full")
    aspen = hospitals.film_set(hospitals.hospital("aspen"), "test", 0, 10)
    for path in folder.joinpath("weights").iterdir():
        note = store.load_tensors(path)[1]
        job = Job(**note["job"])
        assert path.name == f"{job.name}.safetensors" and note["specification"] == record["specification"]
        said = training.predict(reproduction.reference_model(job), aspen.films).angles_deg
        np.testing.assert_allclose(said, outcome.said[job]["aspen"][:10], rtol=0, atol=1)  # kept as float16


def test_code_that_trains_to_the_same_bits_was_tried_with_every_kind_of_job():
    kinds = {(job.network, job.arm, bool(job.without), bool(job.films)) for job in jobs(size("full"), 0)}
    for pair in reproduction.same_bits():
        tried = [job for job in jobs(size("full"), 0) if job.name in pair["jobs"]]
        assert {(job.network, job.arm, bool(job.without), bool(job.films)) for job in tried} == kinds
        assert pair["arrays"] > 50 * len(tried)


def test_results_stand_where_every_change_since_kept_the_bits(monkeypatch):
    now, what = reproduction.specification(tiny()), tiny()
    chain = [["a", "b"], ["x", "y"], ["b", now], ["y", "z"]]
    monkeypatch.setattr(
        reproduction, "same_bits", lambda: [{"specifications": {"tiny": pair}} for pair in chain]
    )
    assert [reproduction.stands(made, what) for made in (now, "b", "a", "x", "y", "z")] == 3 * [True] + 3 * [
        False
    ]
    assert not reproduction.stands("b", size("lesson"))


def test_every_size_in_the_package_is_valid():
    assert list(reproduction.sizes()) == ["lesson", "fast", "full"]
    with pytest.raises(InputError, match="size: got 'huge'; allowed: one of lesson, fast"):
        size("huge")


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
        ({"long_side_px": 100}, "long_side_px"),
        ({"long_side_px": "256"}, "long_side_px"),
        ({"share": 0}, "tiny.share"),
        ({"share": 1.5}, "tiny.share"),
        ({"test": 1}, "tiny.test"),
        ({"colour": "red"}, "tiny.colour"),
        ({"plan": {"steps": 10, "checks": 2}}, "tiny.plan.patience"),
        ({"plan": TINY["plan"] | {"momentum": 0.9}}, "tiny.plan.momentum"),
        ({"plan": TINY["plan"] | {"batch": 0}}, "plan.batch"),
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
        check_size("tiny", {key: value for key, value in TINY.items() if key != missing})


@pytest.mark.parametrize(
    "changes",
    [
        {"share": 0.02},
        {"test": 4},
        {"seeds": {"regressor": 2}},
        {"seeds": {"landmarks": 1}},
        {"left_out": True},
        {"curve": [3]},
        {"long_side_px": 48},
        {"plan": TINY["plan"] | {"batch": 5}},
        {"plan": TINY["plan"] | {"epochs": 2}},
    ],
    ids=str,
)
def test_the_specification_follows_everything_that_shapes_a_result(changes):
    assert reproduction.specification(tiny(**changes)) != reproduction.specification(tiny())
    assert reproduction.specification(tiny()) == reproduction.specification(tiny())
