"""The experiment: the same start, the same budget and the same test patients for all; and it survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch

from lumbo import hospitals, models, reproduction, store
from lumbo.errors import InputError
from lumbo.reproduction import (
    ARMS,
    Job,
    Outcome,
    check_size,
    jobs,
    overview,
    read_outcome,
    results,
    run,
    size,
)

TINY = {
    "title": "small enough for a test",
    "networks": ["regressor"],
    "seeds": [0],
    "long_side_px": 32,
    "share": 0.01,  # 11, 5, 3 and 1 films
    "test": 3,
    "plan": {"steps": 12, "checks": 2, "patience": 9, "batch": 4},  # a federated round is 5 steps
}
PARTICIPANTS, OUTSIDERS = ["aspen", "birch", "cedar", "dogwood"], ["elm", "fir"]
LESSON, FAST = size("lesson"), size("fast")


def tiny(**changes):
    return check_size("tiny", TINY | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny experiment ran from end to end, one model after the other."""
    folder = tmp_path_factory.mktemp("finished")
    run(tiny(), folder, workers=1)
    return folder


def contents(folder):
    """What must not depend on how the run went: every result but the seconds."""
    return {name: (folder / name).read_bytes() for name in ("outcome.safetensors", "results.csv")}


def note_of(folder, job):
    return store.load_tensors(folder / "jobs" / f"{job.name}.predictions.safetensors")[1]


# ---------------------------------------------------------------- what is trained


def test_every_arm_is_trained():
    found = jobs(replace(LESSON, networks=("landmarks", "regressor"), seeds=(3, 5)))
    assert len(found) == len(set(job.name for job in found)) == 2 * 2 * (4 + 1 + 1)
    assert {job.arm for job in found} == set(ARMS)
    assert {job.site for job in found if job.arm == "local"} == set(PARTICIPANTS)
    assert {job.site for job in found if job.arm != "local"} == {""}
    assert Job("landmarks", "local", 3, "cedar").name == "landmarks-local-cedar-seed3"


@pytest.fixture(scope="module")
def starts():
    """What every job begins with, without training: weights, films, validation films, plan and seed."""

    def fit(model, films, held, plan, seed, *_):
        return [(model.state_dict(), films, held, plan, seed)]

    def fedavg(model, clients, plan, seed, **_):
        pooled = [hospitals.pool([getattr(c, part) for c in clients]) for part in ("train", "validation")]
        return fit(model, *pooled, plan, seed), []

    what, cpu = tiny(networks=["regressor", "landmarks"], seeds=[0, 1]), torch.device("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduction.training, "fit", fit)
        patch.setattr(reproduction.federated, "fedavg", fedavg)
        return {job: reproduction.train(job, what, cpu)[1][0] for job in jobs(what)}


def test_every_model_starts_from_the_same_weights(starts):
    first = {}
    for job, (state, *_) in starts.items():
        key = job.network, job.seed
        assert all(torch.equal(value, first.setdefault(key, state)[name]) for name, value in state.items())
    for network in ("regressor", "landmarks"):
        one, other = first[network, 0], first[network, 1]
        assert any(not torch.equal(one[name], other[name]) for name in one)


def test_every_arm_has_the_same_plan_and_its_own_films(starts):
    for job, (_, films, held, plan, seed) in starts.items():
        assert plan == tiny().plan and seed == (job.seed,)
        expected = [job.site] if job.arm == "local" else PARTICIPANTS
        assert list(dict.fromkeys(films.site)) == list(dict.fromkeys(held.site)) == expected
        everything = starts[Job(job.network, "centralized", job.seed)][1]
        np.testing.assert_array_equal(films.films, everything.films[np.isin(everything.site, expected)])


def prints(films):
    return {film.tobytes() for film in films.films}


def test_no_patient_is_met_twice():
    what = tiny(seeds=[0, 1])
    sets = {"test": hospitals.pool(list(reproduction.test_sets(what).values()))}
    for seed in what.seeds:
        clients = reproduction.clients(what, seed)
        sets[f"training {seed}"] = hospitals.pool([client.train for client in clients])
        sets[f"validation {seed}"] = hospitals.pool([client.validation for client in clients])
    films = {name: prints(part) for name, part in sets.items()}
    assert all(len(films[name]) == len(part) for name, part in sets.items())
    assert len(set().union(*films.values())) == sum(map(len, sets.values()))


def test_test_patients_belong_to_no_seed():
    one, other = (reproduction.test_sets(tiny(seeds=[seed])) for seed in (0, 7))
    assert list(one) == [*PARTICIPANTS, *OUTSIDERS]
    for name in one:
        np.testing.assert_array_equal(one[name].films, other[name].films)


@pytest.mark.parametrize("what", [LESSON, FAST], ids=lambda what: what.name)
def test_federated_training_sees_as_many_films_as_centralized_and_no_more(what):
    films = [max(1, round(where.patients["training"] * what.share)) for where in hospitals.participants()]
    batch, per_round = what.plan.batch, sum(max(1, n // what.plan.batch) for n in films)
    seen = what.plan.steps // per_round * sum(min(n, batch) * max(1, n // batch) for n in films)
    assert 0.9 * what.plan.steps * batch <= seen <= what.plan.steps * batch


def test_the_steps_taken_are_within_the_budget(finished):
    what = tiny()
    last = {job: note_of(finished, job)["history"][-1][0] for job in jobs(what)}
    assert last == {job: 10 if job.arm == "federated" else 12 for job in jobs(what)}


# ---------------------------------------------------------------- what is left behind


def test_a_run_leaves_everything(finished):
    what = tiny()
    names = {f"{job.name}.{kind}.safetensors" for job in jobs(what) for kind in ("weights", "predictions")}
    assert {path.name for path in (finished / "jobs").iterdir()} == names
    assert {path.name for path in finished.iterdir()} == {
        "jobs",
        "outcome.safetensors",
        "results.csv",
        "run.json",
    }


def test_weights_and_predictions_belong_together(finished):
    tests = reproduction.test_sets(tiny())
    for job in jobs(tiny()):
        model = models.load(finished / "jobs" / f"{job.name}.weights.safetensors")
        said, note = store.load_tensors(finished / "jobs" / f"{job.name}.predictions.safetensors")
        assert said.keys() == tests.keys() and note["job"] == asdict(job)
        for site, test in tests.items():
            again = reproduction.training.predict(model, test.films)[0]
            np.testing.assert_allclose(said[site], again, atol=1e-3)


def test_the_record_says_where_the_results_come_from(finished):
    what, record = tiny(), json.loads((finished / "run.json").read_text())
    assert record["size"] == json.loads(json.dumps(asdict(what)))
    assert record["specification"] == reproduction.specification(what)
    assert record["versions"]["torch"] == torch.__version__ and record["hardware"]["cores"] == os.cpu_count()
    assert record["jobs"].keys() == {job.name for job in jobs(what)}
    for job in record["jobs"].values():
        assert job["seconds"] > 0 and job["device"] == "cpu" and len(job["history"]) == 2


def test_the_table_is_complete_and_follows_from_the_outcome(finished, monkeypatch):
    monkeypatch.setattr(reproduction, "sizes", lambda: {"tiny": tiny()})
    outcome, written = read_outcome(finished), pd.read_csv(finished / "results.csv", keep_default_na=False)
    assert len(written) == 6 * 6 * 2 * 5  # models, hospitals, references, angles and pooled
    assert not written.duplicated(["network", "arm", "seed", "site", "tested_on", "reference", "angle"]).any()
    row = written.query("arm == 'local' and site == 'cedar' and tested_on == 'elm' and reference == 'truth'")
    said, truth = outcome.said[Job("regressor", "local", 0, "cedar")]["elm"], outcome.truth["elm"]
    expected = [*np.abs(said - truth).mean(0), np.abs(said - truth).mean()]
    np.testing.assert_allclose(row.mae, expected, atol=1e-4)
    assert list(row.test) == ["outsider"] * 5


def test_a_second_run_does_nothing(finished, tmp_path, monkeypatch):
    folder, calls = shutil.copytree(finished, tmp_path / "again"), []
    monkeypatch.setattr(reproduction, "_run_job", None)
    run(tiny(), folder, report=lambda *call: calls.append(call))
    assert contents(folder) == contents(finished)
    assert sorted(calls) == sorted((job.name, 12, 12) for job in jobs(tiny()))


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_results(finished, tmp_path, workers):
    run(tiny(), tmp_path, workers=workers)
    assert contents(tmp_path) == contents(finished)


def test_another_seed_is_another_result(finished, tmp_path):
    outcome = run(tiny(seeds=[1]), tmp_path)
    (one, other) = (store.load_tensors(folder / "outcome.safetensors")[0] for folder in (finished, tmp_path))
    for job in outcome.said:
        name = replace(job, seed=0).name
        assert not np.array_equal(one[f"{name}/elm"], other[f"{job.name}/elm"])
    np.testing.assert_array_equal(one["truth/elm"], other["truth/elm"])


# ---------------------------------------------------------------- kills

DIES = """
import json, os, signal, sys
from lumbo import reproduction, store

table, folder, moment, count = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
replace = os.replace

def die_at(name):
    global count
    if name == moment:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def dying_replace(draft, path):
    die_at("write")
    replace(draft, path)

store.os.replace = dying_replace
what = reproduction.check_size("tiny", table)
reproduction.run(what, folder, workers=1, report=lambda *_: die_at("report"))
"""


@pytest.mark.parametrize(
    "moment, count, done",
    [
        ("report", 1, 0),  # after the first check of the first model: nothing is finished
        ("report", 8, 2),  # in the middle of the third of six models
        ("write", 7, 1),  # weights of the second are on disk, its predictions were being written
    ],
    ids=["in the first model", "in the third model", "while writing"],
)
def test_a_killed_run_resumes_to_the_same_result(finished, root, tmp_path, moment, count, done):
    command = [sys.executable, "-c", DIES, json.dumps(TINY), str(tmp_path), moment, str(count)]
    dead = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    assert len(list(tmp_path.glob("jobs/*.predictions.safetensors"))) == done
    assert len(list(tmp_path.glob("jobs/*.unfinished-*.safetensors"))) == 1
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("jobs/*.predictions.safetensors")}
    steps = []
    run(tiny(), tmp_path, workers=1, report=lambda job, taken, total: steps.append(taken))
    assert contents(tmp_path) == contents(finished)
    assert before == {path: path.stat().st_mtime_ns for path in before}  # nothing was trained twice
    assert len(steps) == 6 * 3 - (count - 3 * done if moment == "report" else 2) - 2 * done


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
    assert 3 <= kept < 6 and not (tmp_path / "outcome.safetensors").exists()
    monkeypatch.undo()
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


# ---------------------------------------------------------------- bad files and bad input


def test_another_specification_in_the_same_folder_is_refused(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "mixed")
    changed = tiny(plan=TINY["plan"] | {"learning_rate": 1e-3})
    with pytest.raises(
        InputError, match="federated-seed0.predictions.safetensors: got .*specification"
    ) as caught:
        run(changed, folder)
    assert reproduction.specification(changed) in caught.value.allowed
    assert contents(folder) == contents(finished)


@pytest.mark.parametrize(
    "ruin", [lambda b: b[:-9], lambda b: b"", lambda b: b"not ours at all"], ids=["torn", "empty", "foreign"]
)
def test_a_ruined_prediction_file_is_named(finished, tmp_path, ruin):
    folder = shutil.copytree(finished, tmp_path / "ruined")
    path = folder / "jobs" / "regressor-local-cedar-seed0.predictions.safetensors"
    path.write_bytes(ruin(path.read_bytes()))
    with pytest.raises(InputError, match="local-cedar-seed0.predictions.safetensors"):
        run(tiny(), folder)
    path.unlink()  # what the message asks for
    run(tiny(), folder)
    assert contents(folder) == contents(finished)


def test_a_ruined_checkpoint_is_named(tmp_path):
    what = tiny()
    path = (
        tmp_path / "jobs" / f"{jobs(what)[0].name}.unfinished-{reproduction.specification(what)}.safetensors"
    )
    store.write_atomic(path, b"torn")
    with pytest.raises(InputError, match="unfinished-"):
        run(what, tmp_path)


def test_an_outcome_is_read_whole_or_refused(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduction, "sizes", lambda: {"tiny": tiny()})
    arrays, note = store.load_tensors(finished / "outcome.safetensors")
    path = tmp_path / "outcome.safetensors"
    with pytest.raises(InputError, match="outcome.safetensors"):
        read_outcome(tmp_path)
    store.save_tensors(path, {k: v for k, v in arrays.items() if k != "rated/elm"}, note)
    with pytest.raises(InputError, match=r"outcome.safetensors: got .*rated/elm.*allowed: .*every model"):
        read_outcome(tmp_path)
    for foreign in ({}, {"jobs": ["tiny"]}, {"jobs": None}):
        store.save_tensors(path, arrays, foreign)
        with pytest.raises(InputError, match="outcome.safetensors: got .*a note without jobs"):
            read_outcome(tmp_path)


def test_a_reference_that_does_not_ship_is_refused():
    with pytest.raises(InputError, match="reference: got 'lesson'; allowed: a size whose results ship"):
        reproduction.reference("lesson")


def test_every_size_in_the_package_is_valid():
    assert {"lesson", "fast"} <= reproduction.sizes().keys()
    with pytest.raises(InputError, match="size: got 'huge'; allowed: one of lesson, fast"):
        size("huge")


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"networks": []}, "tiny.networks"),
        ({"networks": "landmarks"}, "tiny.networks"),
        ({"networks": ["landmarks", "landmarks"]}, "tiny.networks"),
        ({"networks": ["resnet"]}, "tiny.networks"),
        ({"networks": [["landmarks"]]}, "tiny.networks"),
        ({"seeds": []}, "tiny.seeds"),
        ({"seeds": [1, 1]}, "tiny.seeds"),
        ({"seeds": [-1]}, "tiny.seeds"),
        ({"seeds": 3}, "tiny.seeds"),
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


def test_a_missing_field_is_named():
    with pytest.raises(InputError, match="tiny.seeds: got None; allowed: this field is needed"):
        check_size("tiny", {key: value for key, value in TINY.items() if key != "seeds"})


@pytest.mark.parametrize(
    "changes",
    [
        {"share": 0.02},
        {"test": 4},
        {"seeds": [1]},
        {"long_side_px": 48},
        {"plan": TINY["plan"] | {"batch": 5}},
    ],
    ids=str,
)
def test_the_specification_follows_everything_that_shapes_a_result(changes):
    assert reproduction.specification(tiny(**changes)) != reproduction.specification(tiny())
    assert reproduction.specification(tiny()) == reproduction.specification(tiny())


# ---------------------------------------------------------------- tables


def test_kinds_of_test():
    local, pooled = Job("landmarks", "local", 0, "cedar"), Job("landmarks", "centralized", 0)
    assert reproduction.test_kind(local, "cedar") == "internal"
    assert reproduction.test_kind(local, "aspen") == "participant"
    assert {reproduction.test_kind(pooled, site) for site in PARTICIPANTS} == {"internal"}
    assert {reproduction.test_kind(job, site) for job in (local, pooled) for site in OUTSIDERS} == {
        "outsider"
    }


@pytest.fixture(scope="module")
def invented():
    """An outcome with errors drawn at random, two networks and two seeds; hospitals of unequal size."""
    rng = np.random.default_rng(4)
    counts = dict(zip([*PARTICIPANTS, *OUTSIDERS], (7, 5, 6, 4, 8, 9)))
    truth = {site: rng.normal([40, 12, 52, 55], 9, (n, 4)) for site, n in counts.items()}
    rated = {site: angles + rng.normal(0, 2, angles.shape) for site, angles in truth.items()}
    trained = jobs(replace(LESSON, networks=("landmarks", "regressor"), seeds=(0, 1)))
    said = {
        job: {site: angles + rng.normal(0, rng.uniform(2, 9), angles.shape) for site, angles in truth.items()}
        for job in trained
    }
    return Outcome(said, rated, truth)


@pytest.mark.parametrize("reference", ["rated", "truth"])
def test_overview_against_an_explicit_loop(invented, reference):
    table = overview(invented, np.random.default_rng(7), reference, resamples=40)
    target, rng = getattr(invented, reference), np.random.default_rng(7)
    drawn = {site: rng.integers(len(target[site]), size=(40, len(target[site]))) for site in target}
    assert len(table) == 2 * (3 + 2 + 2)
    for row in table.itertuples():
        maes, resampled = [], [[] for _ in range(40)]
        for job, by_site in invented.said.items():
            for site, said in by_site.items():
                kind = (
                    "outsider"
                    if site in OUTSIDERS
                    else "internal"
                    if job.site in ("", site)
                    else "participant"
                )
                if (job.network, job.arm, kind) != (row.network, row.arm, row.test):
                    continue
                patient = [
                    sum(abs(said[i, k] - target[site][i, k]) for k in range(4)) / 4 for i in range(len(said))
                ]
                maes.append(sum(patient) / len(patient))
                for r, indices in enumerate(drawn[site]):
                    resampled[r].append(sum(patient[i] for i in indices) / len(patient))
        means = sorted(sum(values) / len(values) for values in resampled)
        assert row.mae == pytest.approx(sum(maes) / len(maes))
        assert row.low == pytest.approx(means[0] + 0.975 * (means[1] - means[0]))  # 0.025 * 39 = 0.975
        assert row.high == pytest.approx(means[38] + 0.025 * (means[39] - means[38]))


def test_overview_is_in_order_and_repeatable(invented):
    one, again = (overview(invented, np.random.default_rng(0), resamples=20) for _ in range(2))
    pd.testing.assert_frame_equal(one, again)
    expected = [
        ("local", "internal"),
        ("local", "participant"),
        ("local", "outsider"),
        ("centralized", "internal"),
        ("centralized", "outsider"),
        ("federated", "internal"),
        ("federated", "outsider"),
    ]
    assert list(zip(one.arm, one.test)) == expected * 2
    assert list(one.network) == ["landmarks"] * 7 + ["regressor"] * 7
    assert (one.low <= one.mae).all() and (one.mae <= one.high).all()
    with pytest.raises(InputError, match="reference: got 'both'; allowed: rated or truth"):
        overview(invented, np.random.default_rng(0), "both")


def test_results_names_every_row(invented):
    one = {
        job: by_site for job, by_site in invented.said.items() if job.seed == 1 and job.network == "landmarks"
    }
    table = results(Outcome(one, invented.rated, invented.truth), np.random.default_rng(0))
    assert len(table) == 6 * 6 * 2 * 5 and set(table.reference) == {"rated", "truth"}
    row = table.query(
        "site == 'birch' and tested_on == 'aspen' and reference == 'rated' and angle == 'LL'"
    ).iloc[0]
    error = one[Job("landmarks", "local", 1, "birch")]["aspen"][:, 3] - invented.rated["aspen"][:, 3]
    assert row.mae == pytest.approx(np.abs(error).mean()) and row.bias == pytest.approx(error.mean())
    assert (row.test, row.n, row.seed) == ("participant", 7, 1)
