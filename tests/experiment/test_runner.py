"""A run does everything once, survives a kill, and refuses what is not its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from faults import ABSENT, planted
from tiny import (
    RUINS,
    TINY,
    TUNED,
    all_jobs,
    contents,
    note_of,
    ruined,
    same_outcome,
    tiny,
    wide,
)

from lumbo import store
from lumbo.errors import InputError
from lumbo.experiment import jobs, provenance, results, runner
from lumbo.experiment.runner import run
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation, federated, models, training


def test_the_steps_taken_are_within_the_budget(finished):
    """All 12 steps, or for the federated model as many whole rounds as fit."""
    what = tiny()
    for job in jobs.of_seed(what, 0):
        last = note_of(finished, job)["history"][-1][0]
        if job.arm == "federated":
            plan = jobs.plan_of(what, job)
            per_round = sum(federated.local_steps(c, plan) for c in jobs.clients(what, job))
            assert last % per_round == 0 and 12 - per_round < last <= 12
        else:
            assert last == 12


def test_every_model_is_trained_as_it_was_tuned(tmp_path, monkeypatch):
    plans, plain = {}, jobs.train

    def watched(job, sites, plan, *rest):
        plans[job] = plan
        return plain(job, sites, plan, *rest)

    monkeypatch.setattr(jobs, "tuned", lambda: TUNED)
    monkeypatch.setattr(jobs, "train", watched)
    run(tiny(), tmp_path, workers=1)
    assert list(plans) == jobs.of_seed(tiny(), 0)
    for job, plan in plans.items():
        assert plan == replace(tiny().plan, **TUNED[job.network][job.arm])


def test_a_run_leaves_everything(finished_wide):
    kinds = ("weights", "predictions")
    names = {f"{job.name}.{kind}.safetensors" for job in all_jobs(wide()) for kind in kinds}
    names |= {"seed0.lock", "seed1.lock"}
    assert {path.name for path in (finished_wide / "jobs").iterdir()} == names
    shards = {f"seed{seed}.{end}" for seed in (0, 1) for end in ("safetensors", "json")}
    assert {path.name for path in finished_wide.iterdir()} == {"jobs", "fingerprint.json", *shards}


def test_weights_and_predictions_belong_together(finished):
    what = tiny()
    tests = jobs.tested_films(what)
    for job in jobs.of_seed(what, 0):
        model = models.load(finished / "jobs" / f"{job.name}.weights.safetensors")
        said, note = store.load_tensors(finished / "jobs" / f"{job.name}.predictions.safetensors")
        assert said.keys() == {*tests, *(f"{site}/within" for site in tests)} and note["job"] == asdict(job)
        held = hospitals.pool([client.validation for client in jobs.clients(what, job)])
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


def test_a_second_run_does_nothing(finished, tmp_path, monkeypatch):
    folder, calls = shutil.copytree(finished, tmp_path / "again"), []
    record = (folder / "seed0.json").read_bytes()
    monkeypatch.setattr(runner, "_run_job", None)
    outcome = run(tiny(), folder, report=lambda *call: calls.append(call))
    assert contents(folder) == contents(finished) and (folder / "seed0.json").read_bytes() == record
    assert sorted(calls) == sorted((job.name, 12, 12) for job in jobs.of_seed(tiny(), 0))
    assert same_outcome(outcome, results.read_outcome(finished))


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_results(finished, tmp_path, workers):
    run(tiny(), tmp_path, workers=workers)
    assert contents(tmp_path) == contents(finished)


def test_another_seed_is_another_result(finished_wide):
    said = results.read_outcome(finished_wide).said
    for job in jobs.of_seed(tiny(), 0):
        assert not np.array_equal(said[job]["elm"], said[replace(job, seed=1)]["elm"])


def test_shards_are_the_same_whatever_the_order_they_were_run_in(finished_wide, tmp_path):
    """The second seed first, by another process perhaps, and both brought together."""
    later = run(wide(), tmp_path / "one", [1], workers=2)
    assert {job.seed for job in later.said} == {1} and list(contents(tmp_path / "one")) == [
        "seed1.safetensors"
    ]
    both = run(wide(), tmp_path / "one", [0], workers=2)
    expected = results.read_outcome(finished_wide)
    assert contents(tmp_path / "one") == contents(finished_wide) and same_outcome(both, expected)
    (tmp_path / "two").mkdir()
    for folder, seed in ((finished_wide, 0), (tmp_path / "one", 1)):
        for end in ("safetensors", "json"):
            shutil.copy(folder / f"seed{seed}.{end}", tmp_path / "two")
    assert same_outcome(results.read_outcome(tmp_path / "two"), expected)
    assert results.read_run(tmp_path / "two")["jobs"].keys() == results.read_run(finished_wide)["jobs"].keys()


@pytest.mark.parametrize("how", RUINS)
def test_a_ruined_shard_is_named_and_made_again(finished_wide, tmp_path, how, monkeypatch):
    folder = shutil.copytree(finished_wide, tmp_path / "ruined")
    path = folder / "seed1.safetensors"
    path.write_bytes(ruined(how)(path.read_bytes()))
    for read in (lambda: results.read_outcome(folder), lambda: run(wide(), folder)):
        with pytest.raises(InputError) as caught:
            read()
        assert caught.value.field == str(path)
    path.unlink()  # what the message asks for
    monkeypatch.setattr(runner, "_run_job", None)  # every model is there
    run(wide(), folder)
    assert contents(folder) == contents(finished_wide)


def test_a_shard_of_another_experiment_is_refused_before_anything_is_trained(finished, tmp_path, monkeypatch):
    shutil.copy(finished / "seed0.safetensors", tmp_path)
    monkeypatch.setattr(runner, "_run_job", None)
    with pytest.raises(InputError, match="seed0.safetensors: got .*specification"):
        run(wide(), tmp_path, [1])


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
    monkeypatch.setattr(runner, "_run_job", None)
    run(tiny(), folder)
    assert contents(folder) == contents(finished) and (folder / "seed0.json").exists()


DIES = """
import json, os, signal, sys
from lumbo import store
from lumbo.experiment import jobs, provenance, results, runner

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
what = jobs.check_size("tiny", table)
runner.run(what, folder, workers=1, report=lambda *_: die_at("report"))
"""


@pytest.mark.parametrize(
    "moment, count, done, reports",
    [
        ("report", 2, 0, 3 + 20),  # after the first of two checks of the first model: nothing is finished
        ("report", 11, 2, 2 + 2 + 12),  # after the second check of the third of six models
        ("write", 9, 1, 1 + 2 + 16),  # weights of the second are on disk, its predictions were being written
        ("unlink", 2, 2, 2 + 16),  # the second is finished, and its checkpoint still there
        ("write", 26, 6, 6),  # everything is there but the shard and its record
        ("write", 27, 6, 6),  # one of the two is there
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
    assert results.read_run(tmp_path)["jobs"].keys() == results.read_run(finished)["jobs"].keys()


def test_an_error_in_one_job_keeps_the_others(finished, tmp_path, monkeypatch):
    plain = jobs.train

    def failing(job, *rest):
        if job.site == "birch":
            raise RuntimeError("no power")
        return plain(job, *rest)

    monkeypatch.setattr(jobs, "train", failing)
    with pytest.raises(RuntimeError, match="no power"):
        run(tiny(), tmp_path, workers=1)
    kept = len(list(tmp_path.glob("jobs/*.predictions.safetensors")))
    assert 3 <= kept < 6 and not list(tmp_path.glob("seed*"))
    monkeypatch.undo()
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


def test_another_specification_in_the_same_folder_is_refused(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "mixed")
    changed = tiny(plan=TINY["plan"] | {"batch": 5})
    with pytest.raises(InputError, match=r"seed0\..*safetensors: got .*specification") as caught:
        run(changed, folder)
    assert provenance.specification(changed) in caught.value.allowed
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


def test_the_predictions_of_another_job_are_refused(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "mixed up")
    one, other = (
        folder / "jobs" / f"regressor-local-{site}-seed0.predictions.safetensors"
        for site in ("birch", "cedar")
    )
    shutil.copy(other, one)
    with pytest.raises(InputError, match="local-birch-seed0.predictions.safetensors: got .*cedar"):
        run(tiny(), folder)


@pytest.fixture
def checkpoint(tmp_path):
    """Where the first tiny model would keep its progress."""
    what, cpu = tiny(), torch.device("cpu")
    provenance.hold(tmp_path, what)
    shared = (what, tmp_path, provenance.specification(what), cpu, print, threading.Event())
    return runner._checkpoint(runner._Run(*shared), jobs.of_seed(what, 0)[0])


def test_a_ruined_checkpoint_is_named(checkpoint, tmp_path):
    store.write_atomic(checkpoint, b"torn")
    with pytest.raises(InputError, match="unfinished-.*delete it and run again"):
        run(tiny(), tmp_path)


@pytest.mark.parametrize("made_by", ["specification", "torch", "device"])
def test_a_checkpoint_of_another_run_is_refused(checkpoint, finished, tmp_path, made_by):
    """It would be gone on with to another result, and nobody would know."""
    mine = {"specification": provenance.specification(tiny()), "torch": torch.__version__, "device": "cpu."}
    foreign = checkpoint.with_name(checkpoint.name.replace(mine[made_by], "0" * len(mine[made_by])))
    assert foreign != checkpoint
    store.write_atomic(foreign, b"of another machine")
    with pytest.raises(InputError, match="another run.*of this specification, torch and device; delete it"):
        run(tiny(), tmp_path)
    foreign.unlink()  # what the message asks for
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


@pytest.mark.parametrize(
    "fault, value",
    [
        ("origin", ABSENT),
        ("origin.hardware", "a machine"),
        ("films", "many"),
        ("seconds", ABSENT),
        ("seconds", float("nan")),
        ("history", [[1, 2]]),
        ("history", []),
        ("job.arm", "x"),
    ],
)
def test_a_job_file_with_another_note_is_refused_before_anything_is_trained(
    finished, tmp_path, monkeypatch, fault, value
):
    folder = shutil.copytree(finished, tmp_path / "spoiled")
    path = folder / "jobs" / "regressor-local-cedar-seed0.predictions.safetensors"
    arrays, note = store.load_tensors(path)
    store.save_tensors(path, arrays, planted(note, fault, value))
    (folder / "jobs" / "regressor-local-birch-seed0.predictions.safetensors").unlink()
    monkeypatch.setattr(runner, "_run_shard", None)
    with pytest.raises(
        InputError, match=f"local-cedar-seed0.predictions.safetensors.{fault}.*delete it and run"
    ):
        run(tiny(), folder)


def test_predictions_of_other_films_are_refused(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "spoiled")
    path = folder / "jobs" / "regressor-local-cedar-seed0.predictions.safetensors"
    arrays, note = store.load_tensors(path)
    store.save_tensors(path, arrays | {"elm": arrays["elm"][:, :3]}, note)
    monkeypatch.setattr(runner, "_run_shard", None)
    with pytest.raises(InputError, match="seed0.predictions.safetensors: elm: got .*delete it and run again"):
        run(tiny(), folder)


HOLDS = """
import sys
from pathlib import Path
from lumbo.experiment import runner

with runner._alone(Path(sys.argv[1]), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_of_one_seed_in_one_folder(finished, root, tmp_path):
    """The second is refused, one of another seed is not; a lock does not outlive a run that was killed."""
    (tmp_path / "jobs").mkdir()
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "jobs" / "seed0.lock")]
    other = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            InputError, match="seed0.lock: got 'another run at work on seed 0'; allowed: one run"
        ):
            run(tiny(), tmp_path)
        assert [path.name for path in tmp_path.rglob("*")] == ["jobs", "seed0.lock"]
        run(wide(), tmp_path / "other", [1])  # another folder
        with runner._alone(tmp_path / "jobs" / "seed1.lock", 1):  # another seed
            pass
    finally:
        other.kill()
        other.communicate()
    run(tiny(), tmp_path)
    assert contents(tmp_path) == contents(finished)


@pytest.mark.parametrize(
    "arguments, field",
    [
        ({"only": [1]}, "seed"),
        ({"only": [0, -1]}, "seed"),
        ({"only": ["0"]}, "seed"),
        ({"only": [False]}, "seed"),
        ({"only": 5}, "only"),
        ({"only": []}, "only"),
        ({"only": [0, 0]}, "only"),
        ({"workers": 0}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"device": "tpu"}, "device"),
        ({"device": "gpu"}, "device"),
        ({"device": None}, "device"),
        ({"what": "fast"}, "what"),
        ({"out": "a\0b"}, "out"),
        ({"out": None}, "out"),
        ({"report": 3}, "report"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_refused_at_once(tmp_path, arguments, field):
    with pytest.raises(InputError) as caught:
        run(**{"what": tiny(), "out": tmp_path / "out"} | arguments)
    assert caught.value.field == field and not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out.*allowed: a folder that can be written to"):
        run(tiny(), tmp_path / "out")


def test_seeds_and_workers_may_be_numbers_of_numpy(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "again")
    monkeypatch.setattr(runner, "_run_job", None)
    assert run(tiny(), str(folder), np.array([0]), workers=np.int64(2)).said
