"""Shards are read whole or refused by name, and what ships is complete."""

import json
import shutil
from dataclasses import asdict, replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from faults import ABSENT, planted
from tiny import (
    all_jobs,
    same_outcome,
    tiny,
    wide,
)

from lumbo import store
from lumbo.errors import InputError
from lumbo.experiment import jobs, provenance, results
from lumbo.experiment.jobs import Job
from lumbo.films_1 import hospitals
from lumbo.learning import models, training


def test_the_outcome_is_what_every_model_said(finished_wide):
    outcome, what = results.read_outcome(finished_wide), wide()
    assert list(outcome.said) == list(outcome.within) == list(outcome.films) == all_jobs(what)
    tests = jobs.tested_films(what)
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


def test_the_records_of_shards_become_one(finished_wide, tmp_path):
    folder = shutil.copytree(finished_wide, tmp_path / "copy")
    parts = [json.loads((folder / f"seed{seed}.json").read_text()) for seed in (0, 1)]
    for part, seconds, commit in zip(parts, ((2.25, 30.5), (0.5, 12.25)), ("feed", "beef")):
        part |= {"seconds": dict(zip(("drawing", "training"), seconds)), "commit": commit}
    for seed, part in enumerate(parts):
        (folder / f"seed{seed}.json").write_text(json.dumps(part))
    record = results.read_run(folder)
    assert record["seconds"] == {"drawing": 2.8, "training": 42.8}  # rounded to a tenth
    assert record["commit"] == "beef, feed"
    assert record["jobs"] == parts[0]["jobs"] | parts[1]["jobs"]
    assert record["jobs"].keys() == {job.name for job in all_jobs(wide())}
    assert record["specification"] == provenance.specification(wide())
    with pytest.raises(InputError, match="no shard"):
        results.read_run(tmp_path)


def test_the_shard_of_seed_ten_comes_after_that_of_seed_two(finished, tmp_path, monkeypatch):
    read, plain = [], results.read_shard(finished / "seed0.safetensors")
    for seed in (10, 2, 0):
        (tmp_path / f"seed{seed}.safetensors").write_bytes(b"")
    monkeypatch.setattr(results, "read_shard", lambda path: read.append(path.name) or plain)
    results.read_outcome(tmp_path)
    assert read == ["seed0.safetensors", "seed2.safetensors", "seed10.safetensors"]


def test_shards_of_two_experiments_are_not_mixed(finished, finished_wide, tmp_path):
    shutil.copy(finished / "seed0.safetensors", tmp_path)
    shutil.copy(finished_wide / "seed1.safetensors", tmp_path)
    with pytest.raises(InputError, match="seed1.safetensors: got 'specification .*as seed0.safetensors"):
        results.read_outcome(tmp_path)


@pytest.mark.parametrize("owner", ["rated", "truth"])
def test_shards_with_other_test_films_are_not_mixed(finished_wide, tmp_path, owner):
    folder = shutil.copytree(finished_wide, tmp_path / "copy")
    arrays, note = store.load_tensors(folder / "seed1.safetensors")
    arrays[f"{owner}/elm"] = arrays[f"{owner}/elm"] + 1
    store.save_tensors(folder / "seed1.safetensors", arrays, note)
    with pytest.raises(InputError, match="seed1.safetensors: got"):
        results.read_outcome(folder)


def test_a_file_that_only_looks_like_a_shard_is_named(finished, tmp_path):
    shutil.copy(finished / "seed0.safetensors", tmp_path / "seed0 (copy).safetensors")
    with pytest.raises(InputError, match=r"seed0 \(copy\).safetensors: got .*allowed: a name such as seed0"):
        results.read_outcome(tmp_path)


def test_a_shard_is_read_whole_or_refused(finished, tmp_path):
    arrays, note = store.load_tensors(finished / "seed0.safetensors")
    path = tmp_path / "seed0.safetensors"
    with pytest.raises(InputError, match="got 'no shard'; allowed: what an experiment left"):
        results.read_outcome(tmp_path)
    job = jobs.of_seed(tiny(), 0)[0]
    for lost in ("rated/elm", f"{job.name}/elm", f"{job.name}/elm/within"):
        store.save_tensors(path, {k: v for k, v in arrays.items() if k != lost}, note)
        with pytest.raises(InputError, match=rf"seed0.safetensors: got .*{lost}.*allowed: .*every model"):
            results.read_outcome(tmp_path)
    store.save_tensors(path, arrays | {"stranger/elm": arrays["rated/elm"]}, note)
    with pytest.raises(InputError, match="seed0.safetensors: got .*stranger/elm"):
        results.read_outcome(tmp_path)


@pytest.mark.parametrize(
    "fault, value, field",
    [
        ("jobs", ABSENT, "jobs"),
        ("jobs", None, "jobs"),
        ("jobs", [], "jobs"),
        ("jobs.0", "tiny", "jobs"),
        ("jobs.0.job", {}, "jobs.job.arm"),
        ("jobs.0.job.arm", "x", "jobs.job.arm"),
        ("jobs.0.job.seed", True, "jobs.job.seed"),
        ("jobs.0.job.seed", 3, "jobs"),  # another seed than in the file's name
        ("jobs.0.job.films", -3, "jobs.job.films"),
        ("jobs.0.films", 0, "jobs.films"),
        ("specification", ABSENT, "specification"),
        ("specification", 3, "specification"),
    ],
)
def test_a_note_that_no_shard_has_is_named(finished, tmp_path, fault, value, field):
    arrays, note = store.load_tensors(finished / "seed0.safetensors")
    path = store.save_tensors(tmp_path / "seed0.safetensors", arrays, planted(note, fault, value))
    with pytest.raises(InputError) as caught:
        results.read_outcome(tmp_path)
    assert caught.value.field == f"{path}.{field}"


NAN, INFINITE = (lambda values, n=number: np.full_like(values, n) for number in (np.nan, np.inf))


@pytest.mark.parametrize(
    "name, change",
    [
        ("rated/elm", NAN),
        ("truth/elm", INFINITE),
        ("truth/elm", lambda values: values[:2]),
        ("regressor-federated-seed0/elm", NAN),
        ("regressor-federated-seed0/elm", lambda values: values[:, :3]),
        ("regressor-federated-seed0/elm", lambda values: values[1:]),
        ("regressor-federated-seed0/elm", lambda values: values > 0),
        ("regressor-federated-seed0/elm/within", NAN),
        ("regressor-federated-seed0/elm/within", INFINITE),
        ("regressor-federated-seed0/elm/within", lambda values: -values),
        ("regressor-federated-seed0/elm/within", lambda values: values[..., 0]),
    ],
)
def test_predictions_that_cannot_be_are_named(finished, tmp_path, name, change):
    arrays, note = store.load_tensors(finished / "seed0.safetensors")
    path = tmp_path / "seed0.safetensors"
    store.save_tensors(path, arrays | {name: change(arrays[name])}, note)
    with pytest.raises(InputError) as caught:
        results.read_outcome(tmp_path)
    assert caught.value.field.startswith(f"{path}: {name}")


def test_a_shard_of_unknown_hospitals_is_refused(finished, tmp_path):
    arrays, note = store.load_tensors(finished / "seed0.safetensors")
    renamed = {name.replace("/elm", "/oak"): values for name, values in arrays.items()}
    store.save_tensors(tmp_path / "seed0.safetensors", renamed, note)
    with pytest.raises(InputError, match="seed0.safetensors: hospital: got 'oak'"):
        results.read_outcome(tmp_path)


@pytest.mark.parametrize("name", ["seed1", "seed01", "seed", "seedx", "seed-1", "seed٣"])
def test_a_shard_under_another_name_is_refused(finished, tmp_path, name):
    shutil.copy(finished / "seed0.safetensors", tmp_path / f"{name}.safetensors")
    with pytest.raises(InputError, match=f"{name}.safetensors"):
        results.read_outcome(tmp_path)


def test_records_of_shards_are_put_together(finished_wide, tmp_path):
    folder = shutil.copytree(finished_wide, tmp_path / "two machines")
    path = folder / "seed1.json"
    note = json.loads(path.read_text())
    note |= {"commit": "feed", "hardware": note["hardware"] | {"processor": "Loom 3"}}
    path.write_text(json.dumps(note))
    one, other = results.read_run(finished_wide), results.read_run(folder)
    assert other["commit"].endswith(", feed") and other["versions"] == one["versions"]
    assert other["hardware"] == one["hardware"] | {"processor": one["hardware"]["processor"] + ", Loom 3"}
    assert other["seconds"] == one["seconds"] and other["seeds"] == [0, 1]
    parts = [json.loads((folder / f"seed{seed}.json").read_text())["seconds"]["training"] for seed in (0, 1)]
    assert other["seconds"]["training"] == pytest.approx(sum(parts), abs=0.06)


@pytest.mark.parametrize(
    "change, found",
    [
        ({"specification": "f" * 16}, "seed1.json.specification: got 'ffff"),
        ({"size": {}}, "seed1.json.size"),
        ("[1]", r"seed1.json: got \[1\]; allowed: a table"),
        ("{}", "seed1.json.commit: got None; allowed: this field is needed"),
        ("{", "seed1.json: got .*allowed: what a run writes"),
        ("[" * 9999, "seed1.json: got .*allowed: what a run writes"),
        ({"jobs": {}}, "seed1.json.jobs: .*those of seed1.safetensors"),
        ({"jobs": {"a": {"seconds": 1, "device": "cpu", "history": []}}}, "seed1.json.jobs.a.history: got"),
        (
            {"jobs": {"a": {"seconds": 1, "device": "cpu", "history": [[1, "a", 2]]}}},
            "seed1.json.jobs.a.hist",
        ),
        ({"seconds": {"drawing": 1.0, "training": float("nan")}}, "seed1.json.seconds.training: got nan"),
        ({"seconds": {"drawing": 1.0, "training": 10**400}}, "seed1.json.seconds.training: got 1000"),
        ({"seconds": [1, 2]}, "seed1.json.seconds"),
        ({"versions": {"lumbo": 1}}, "seed1.json.versions.lumbo"),
        ({"hardware": {"gpu": None}}, "seed1.json.hardware.cores"),
        ({"commit": 3}, "seed1.json.commit: got 3; allowed: a text or null"),
        ({"more": 3}, "seed1.json.more"),
    ],
    ids=str,
)
def test_a_record_of_another_run_is_refused(finished_wide, tmp_path, change, found):
    folder = shutil.copytree(finished_wide, tmp_path / "mixed")
    path = folder / "seed1.json"
    path.write_text(change if isinstance(change, str) else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=found):
        results.read_run(folder)


def test_what_a_run_does_not_say_is_named():
    for run, field in (({}, "run.size"), ({"size": 3}, "run.size.plan"), (None, "run.size")):
        with pytest.raises(InputError) as caught:
            results.noted(run, "size", "plan")
        assert caught.value.field == field


def test_a_reference_that_does_not_ship_is_refused():
    for name in ("nowhere", None, ["full"]):
        with pytest.raises(InputError, match="size: got .*one of lesson"):
            results.reference(name)
    with pytest.raises(InputError, match="reference: got 'lesson'; allowed: a size whose results ship"):
        results.reference("lesson")


@pytest.fixture
def shipped(finished_wide, tmp_path, monkeypatch):
    """A package that ships the wide experiment under the name of the lesson."""
    shutil.copytree(finished_wide, tmp_path / "reference" / "lesson")
    weights = "regressor-federated-seed0.weights.safetensors"
    (tmp_path / "reference" / "weights").mkdir()
    shutil.copy(
        finished_wide / "jobs" / weights, tmp_path / "reference" / "weights" / weights.replace(".weights", "")
    )
    monkeypatch.setattr(results, "files", lambda package: tmp_path)
    return finished_wide


def test_a_reference_that_ships_is_an_outcome_and_its_record(shipped):
    outcome, record = results.reference("lesson")
    assert same_outcome(outcome, results.read_outcome(shipped)) and record == results.read_run(shipped)


def test_a_network_that_ships_is_read_and_another_refused(shipped):
    job = Job("regressor", "federated", 0)
    expected = models.load(shipped / "jobs" / f"{job.name}.weights.safetensors").state_dict()
    found = results.reference_model(job).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    for other in (replace(job, seed=1), job.name):
        with pytest.raises(InputError, match="job: got "):
            results.reference_model(other)


def test_what_ships_is_complete_and_of_one_specification():
    """Every size whose results are there, and every network."""
    folder = files("data_synth").joinpath("reference")
    shipped = [name for name in jobs.sizes() if folder.joinpath(name).is_dir()]
    assert shipped == ["full"]
    for name in shipped:
        outcome, record = results.reference(name)
        # It grows seed by seed.
        assert record["seeds"] == list(jobs.seeds(jobs.size(name)))[: len(record["seeds"])]
        assert list(outcome.said) == [
            job for seed in record["seeds"] for job in jobs.of_seed(jobs.size(name), seed)
        ]
        assert record["jobs"].keys() == {job.name for job in outcome.said}
        assert record["size"] == json.loads(json.dumps(asdict(jobs.size(name))))
        assert record["films_version"] == hospitals.frozen()["version"]
        for site, angles in outcome.truth.items():
            assert len(angles) == jobs.size(name).test
            assert all(np.isfinite(by_site[site]).all() for by_site in outcome.said.values())
    outcome, record = results.reference("full")
    aspen = hospitals.film_set(hospitals.hospital("aspen"), "test", 0, 10)
    for path in folder.joinpath("weights").iterdir():
        note = store.load_tensors(path)[1]
        job = Job(**note["job"])
        assert path.name == f"{job.name}.safetensors" and note["specification"] == record["specification"]
        said = training.predict(results.reference_model(job), aspen.films).angles_deg
        np.testing.assert_allclose(said, outcome.said[job]["aspen"][:10], rtol=0, atol=1)  # kept as float16
