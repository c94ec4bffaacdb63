"""Doors of the experiment: sizes and runs, what they leave, tables and chance."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from hostile.doors import MORE_FIELDS, Whole, asks, but, in_the_way, opens, rng
from hostile.mutations import COLUMNS, NO_NUMBER
from hostile.trials import SEALED, TEXT, TORN, Door, edited, on, resealed
from hostile.world import here

from lumbo.errors import InputError
from lumbo.experiment import claims, jobs, provenance, resampling, results, runner, tables
from lumbo.experiment.jobs import Job


def job_doors() -> Iterator[Door]:
    """Sizes and runs of the experiment."""
    what = jobs.size("fast")

    def run(what, out, only=None, workers=None, device="auto", report=lambda *_: None):
        try:
            return runner.run(what, out, only, workers, device, report)
        except InputError:
            assert not here().scratch.exists(), "something was written before the input was refused"
            raise

    yield asks(jobs.size, {"name": "fast"})
    yield asks(jobs.patients, {"seed": 0}, hints={"seed": Whole})
    yield asks(jobs.of_seed, {"what": what, "seed": 0}, hints={"seed": Whole})
    yield asks(
        run,
        {
            "what": what,
            "out": here().scratch,
            "only": [0],
            "workers": 1,
            "device": "cpu",
            "report": lambda *_: None,
        },
        "experiment.runner.run",
        more={"what": {"a name": "fast"}, "out": in_the_way(), "only": {"none": [], "a number": 0}},
        valid=False,
    )


def shard_doors() -> Iterator[Door]:
    """What an experiment leaves."""
    whole, first = here().run, "seed0.safetensors"
    texts: dict[str, Any] = dict.fromkeys(
        ("size", "versions", "hardware", "jobs"), dict[str, Any]
    )  # of any fields
    texts["commit"] = str | None
    shards = [on(f"seed{seed}.safetensors", but(SEALED, "missing")) for seed in (0, 1)]
    shards += [resealed(f"seed{seed}.safetensors") for seed in (0, 1)] * 2
    records = [on(f"seed{seed}.json", TEXT | TORN) for seed in (0, 1)]
    records += [edited(f"seed{seed}.json", hint=texts, depth=1) for seed in (0, 1)] * 3
    yield opens("experiment.results.read_outcome", results.read_outcome, whole, *shards)
    yield opens(
        "experiment.results.read_shard", lambda folder: results.read_shard(folder / first), whole, *shards
    )
    yield opens("experiment.results.read_run", results.read_run, whole, *shards, *records, *records)
    yield opens(
        "experiment.results.read_note",
        lambda folder: results.read_note(folder / "seed0.json"),
        whole,
        *records,
    )
    yield asks(
        results.read_outcome,
        {"folder": whole},
        "experiment.results.read_outcome, paths",
        more={"folder": in_the_way()},
    )
    yield asks(results.reference, {"name": "full"}, more={"name": {"fast": "fast"}})
    yield asks(
        results.reference_model,
        {"job": Job("landmarks", "federated", 0)},
        more={"job": {"not stored": Job("landmarks", "federated", 99)}},
    )
    yield opens(
        "experiment.provenance.read_fingerprint",
        lambda folder: provenance.read_fingerprint(folder / "fingerprint.json"),
        here().texts,
        on("fingerprint.json", TEXT | TORN),
        edited("fingerprint.json", hint=dict.fromkeys(provenance.TOLERANCES, dict[str, Any])),
    )
    yield asks(provenance.reference_fingerprint, {"name": "full"}, more={"name": {"fast": "fast"}})


def table_doors() -> Iterator[Door]:
    """Outcomes in, tables and numbers out."""
    outcome = here().outcome
    drawn = {"outcome": outcome, "rng": rng(), "resamples": 9}
    given = drawn | {"reference": "rated"}
    number = given | {"network": "landmarks"}
    odd_tests = {"tests": {"none": (), "a text": "internal"}}
    main = [job.name for job in outcome.said if not job.without and not job.films]
    run = {
        "size": {"plan": {"steps": 400}},
        "jobs": {name: {"history": [[100 * k, 1 / k, 9 / k] for k in range(1, 5)]} for name in main},
    }
    for table in (tables.left_out, tables.curve, tables.coverage):
        yield asks(table, given)
    for table in (tables.overview, tables.by_angle):
        yield asks(table, given | {"tests": ("internal",)}, more=odd_tests)
    yield asks(
        tables.declining,
        given | {"answered": (1.0, 0.5)},
        more={"answered": {"none": (), "0": (0.0,)}},
        spared={"answered": {"True"}},
    )
    yield asks(tables.results, drawn)
    yield asks(tables.yardsticks, drawn)
    yield asks(tables.identity, {"outcome": outcome})
    yield asks(tables.gains, {"outcome": outcome, "reference": "rated"})
    free = set(NO_NUMBER) | {"a half", *MORE_FIELDS}
    yield asks(tables.endings, {"outcome": outcome, "run": run}, spared={"run": free})
    yield asks(
        tables.error,
        number | {"angle": "SS", "reading": ("local", "internal")},
        more={"reading": {"not run": ("local", "left out"), "a text": "local, internal"}},
    )
    yield asks(
        tables.difference,
        number | {"angle": "SS", "a": ("local", "internal"), "b": ("federated", "internal")},
        more={"b": {"other hospitals": ("local", "outsider")}},
    )
    yield asks(tables.gain_per_doubling, number)
    yield asks(tables.kind_of_test, {"job": Job("landmarks", "local", 0, "aspen"), "site": "aspen"})
    yield asks(claims.ledger, {"claims": claims.read(), "outcome": outcome, "rng": rng(), "resamples": 5})


def chance_doors() -> Iterator[Door]:
    """Resamples and their p-values."""
    samples = np.round(rng().normal(0, 1, 20), 2)
    none = {
        "samples": {"empty", "an empty list"},
        "low": {"infinity"},
        "high": {"infinity"},
        "limit": {"infinity"},
    }
    yield asks(
        resampling.draw,
        {"patients": {"elm": 3}, "seeds": 2, "rng": rng(), "resamples": 5},
        spared={"patients": MORE_FIELDS},
    )
    yield asks(
        resampling.student,
        {"by_seed": [1.0, 2.0, 4.0], "rng": rng(), "resamples": 5},
        more={"by_seed": {"none": [], "two axes": [[1.0, 2.0]]}},
        spared={"by_seed": {"True"}},
    )
    yield asks(
        resampling.holm, {"p": [0.01, 0.5]}, more={"p": {"two axes": [[0.1, 0.2]]}}, spared={"p": {"True"}}
    )
    yield asks(resampling.one_sided_p, {"samples": samples, "limit": 0.5}, spared=none)
    yield asks(
        resampling.equivalence_p,
        {"samples": samples, "low": -0.5, "high": 0.5},
        more={"high": {"below low": -1.0}},
        spared=none,
    )
    yield asks(
        resampling.seed_weights,
        {"count": 3, "luck": rng().random((4, 3))},
        spared={"luck": {"empty", *COLUMNS}},
    )


ROOMS = (
    job_doors,
    shard_doors,
    table_doors,
    chance_doors,
)
