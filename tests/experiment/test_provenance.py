"""A stored result is tied to what the code does."""

import copy
import json
import os
import shutil
from dataclasses import asdict, replace
from itertools import repeat

import numpy as np
import pytest
import torch
from tiny import TINY, TUNED, tiny

from lumbo import store
from lumbo.errors import InputError
from lumbo.experiment import jobs, provenance, runner
from lumbo.films_1 import hospitals
from lumbo.learning import federated, models


def test_the_record_says_where_the_results_come_from(finished):
    what, record = tiny(), json.loads((finished / "seed0.json").read_text())
    assert record["size"] == json.loads(json.dumps(asdict(what)))
    assert record["specification"] == provenance.specification(what)
    assert record["films_version"] == hospitals.frozen()["version"]
    assert record["versions"]["torch"] == torch.__version__
    assert record["hardware"]["cores"] == len(os.sched_getaffinity(0))
    assert record["seconds"].keys() == {"drawing", "training"}
    assert record["jobs"].keys() == {job.name for job in jobs.of_seed(what, 0)}
    for job in record["jobs"].values():
        assert job["seconds"] > 0 and job["device"] == "cpu" and len(job["history"]) == 2


def test_what_was_tuned_belongs_to_the_specification(monkeypatch):
    before = provenance.specification(tiny())
    monkeypatch.setattr(jobs, "tuned", lambda: TUNED)
    assert provenance.specification(tiny()) != before


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
    assert provenance.specification(tiny(**changes)) != provenance.specification(tiny())
    assert provenance.specification(tiny()) == provenance.specification(tiny())


# ------------------------------------------------------------------- what the code does


afresh = provenance.fingerprint.__wrapped__  # of the code as it is now, not what was remembered


def test_the_fingerprint_is_repeatable(untouched):
    found = afresh()
    assert found == provenance.fingerprint() and list(found) == list(provenance.TOLERANCES)
    arms = {f"{network}, {arm}" for network in models.NETWORKS for arm in jobs.ARMS}
    for section in ("losses", "errors", "moves"):
        assert found[section].keys() == arms
    assert found["landmarks"].keys() == hospitals.hospitals().keys()
    numbers = [number for section in found.values() for listed in section.values() for number in listed]
    assert len(numbers) > 500 and np.isfinite(numbers).all()


def same_patients(where, split, seed, chunk, *rest, plain=hospitals.draw, **options):
    """Draw the first chunk again and again."""
    return plain(where, split, seed, 0, *rest, **options)


def forgetful(*arguments, plain=federated.fedavg, **options):
    """Federated averaging in which clients start each round afresh."""
    return plain(*arguments, **options | {"carry": False})


def other_betas(model, plan):
    return torch.optim.AdamW(
        model.parameters(), plan.learning_rate, (0.9, 0.99), weight_decay=plan.weight_decay
    )


def other_plan(what, job, plain=jobs.plan_of):
    return replace(plain(what, job), weight_decay=0.5)


FILMS, LEARNING, JOBS = "lumbo.films_1.", "lumbo.learning.", "lumbo.experiment.jobs."
DEEDS = {  # a change of what is computed, and a section in which it must be seen
    "scatter": (FILMS + "radiograph.SCATTER_DEPTH_MM", 190.0, "films"),
    "grain": (FILMS + "radiograph.GRAIN", (0.011, 0.15), "films"),
    "no blur": (FILMS + "radiograph._blur", lambda signal, sigma: signal, "films"),
    "the same patients": (FILMS + "hospitals.draw", same_patients, "films"),
    "raters": (FILMS + "hospitals._steeper", lambda plate, degrees: plate, "landmarks"),
    "unit of the loss": (LEARNING + "models.UNIT_DEG", 10.1, "losses"),
    "aim of a closer look": (LEARNING + "models.MISS", 1 / 60, "losses"),
    "order of the films": (LEARNING + "training.batches", lambda n, b, *_: repeat(np.arange(b)), "losses"),
    "looks of a prediction": (LEARNING + "models.LOOKS", 2, "errors"),
    "rate of learning": (LEARNING + "training.learning_rate", lambda plan, way: 1.01e-5, "moves"),
    "state between rounds": (LEARNING + "federated.fedavg", forgetful, "moves"),
    "passes of a client": (LEARNING + "federated.local_steps", lambda client, plan: 1, "moves"),
    "typical angles": (LEARNING + "models.TYPICAL_DEG", (36.0, 15.0, 51.0, 48.0), "angles"),
    "doubt at first": (LEARNING + "models.SPREAD_DEG", 8.0, "doubts"),
    "levels of the intervals": (
        LEARNING + "evaluation.interval_factors.__defaults__",
        ((0.8, 0.9),),
        "intervals",
    ),
    "no decay, other betas": (LEARNING + "training.new_optimizer", other_betas, "rules"),
    "patience": (LEARNING + "training._stalled", lambda history, patience: False, "rules"),
    "sizes of the hospitals": (JOBS + "patients", lambda seed, plain=jobs.patients: plain(3 * seed), "rules"),
    "what was tuned": (JOBS + "plan_of", other_plan, "rules"),
    "weights of a seed": (
        LEARNING + "models.build",
        lambda net, seed, plain=models.build: plain(net, 0),
        "losses",
    ),
}


def test_every_section_has_a_deed():
    assert {section for _, _, section in DEEDS.values()} == set(provenance.TOLERANCES)


@pytest.mark.parametrize("deed", DEEDS)
def test_another_deed_is_another_fingerprint(deed, monkeypatch, tmp_path):
    place, value, section = DEEDS[deed]
    if section in ("films", "landmarks"):
        monkeypatch.setenv("LUMBO_CACHE", str(tmp_path))  # nothing that was drawn before
    monkeypatch.setattr(place, value)
    moved = afresh()
    monkeypatch.undo()
    assert any(name.startswith(section) for name in provenance.differences(stored() | moved, tiny()))


BROKEN = json.dumps(dict.fromkeys(provenance.TOLERANCES, {"aspen": 3}))


def stored(**changes):
    """The fingerprint of today as a run of the tiny experiment stores it, with other numbers in places."""
    found = {
        "specification": provenance.specification(tiny()),
        "films_version": hospitals.frozen()["version"],
    }
    return copy.deepcopy(found | provenance.fingerprint()) | changes


def test_what_processors_do_is_no_difference():
    near = stored()
    for section, tolerance in provenance.TOLERANCES.items():
        for numbers in near[section].values():
            numbers[:] = [number + 0.9 * tolerance for number in numbers]
    assert provenance.differences(near, tiny()) == []


@pytest.mark.parametrize("section, tolerance", provenance.TOLERANCES.items())
def test_more_than_processors_do_is_named(section, tolerance):
    far = stored()
    about = list(far[section])[-1]
    far[section][about][-1] += 1.1 * tolerance
    assert provenance.differences(far, tiny()) == [f"{section}, {about}"]
    for lost in (far[section] | {about: far[section][about][:-1]}, {}):
        assert f"{section}, {about}" in provenance.differences(far | {section: lost}, tiny())


def test_other_films_or_another_specification_are_named():
    assert provenance.differences(stored(films_version="2.0"), tiny()) == ["films_version"]
    assert provenance.differences(stored(), tiny(share=0.02)) == ["specification"]


def test_a_folder_of_other_code_is_refused_before_anything_is_trained(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "other")
    path = folder / "fingerprint.json"
    assert provenance.read_fingerprint(path) == stored()
    (folder / "seed0.safetensors").unlink()
    other = stored()
    other["losses"]["landmarks, local"][0] += 0.1
    path.write_text(json.dumps(other))
    monkeypatch.setattr(runner, "_run_shard", None)
    with pytest.raises(InputError, match="fingerprint.json: got 'other results: losses, landmarks, local'"):
        runner.run(tiny(), folder)


def spoiled(value):
    """A fingerprint with something else among its numbers."""
    return json.dumps(stored(films={"aspen": [1.0, value]}))


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{}", "null", '{"films": 3}', BROKEN, "[" * 9999]
    + [spoiled(value) for value in ("a", None, float("nan"), 10**400, [2.0])]
    + [json.dumps(stored(specification=3)), json.dumps(stored(more={}))],
    ids=lambda text: text[:12] + text[-12:],
)
def test_a_ruined_fingerprint_is_named(tmp_path, text):
    path = tmp_path / "fingerprint.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"fingerprint.json.*: got "):
        provenance.hold(tmp_path, tiny())
    assert path.read_text() == text


def test_results_without_a_fingerprint_get_none(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "lost")
    (folder / "fingerprint.json").unlink()
    with pytest.raises(InputError, match="fingerprint.json: got 'no fingerprint beside 13 results'"):
        runner.run(tiny(), folder)
    assert not (folder / "fingerprint.json").exists()


def test_checkpoints_are_results_too(tmp_path):
    store.write_atomic(tmp_path / "jobs" / "regressor-local-aspen-seed0.unfinished-x.safetensors", b"x")
    with pytest.raises(InputError, match="fingerprint.json: got 'no fingerprint beside 1 results'"):
        provenance.hold(tmp_path, tiny())


def test_a_finished_folder_is_held_against_the_code_of_today(finished, monkeypatch):
    other = copy.deepcopy(provenance.fingerprint())
    other["losses"]["landmarks, local"][0] += 0.1
    monkeypatch.setattr(provenance, "fingerprint", lambda: other)
    with pytest.raises(InputError, match="other results: losses, landmarks, local"):
        runner.run(tiny(), finished)


def test_texts_and_other_networks_leave_the_specification():
    what = tiny()
    assert provenance.specification(replace(what, title="Another", name="other")) == provenance.specification(
        what
    )


def test_what_ships_is_what_the_code_of_today_gives():
    """No change of films, training or intervals is hidden by what is stored."""
    odd = provenance.differences(provenance.reference_fingerprint("full"), jobs.size("full"))
    assert odd == [], "make full again, or see CONTRIBUTING.md"
