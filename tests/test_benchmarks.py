"""What the benchmarks compare is the same work."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from lumbo.experiment import jobs, provenance
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation, models, training


@pytest.fixture(scope="module")
def benchmark(root):
    """A function: import one of the benchmarks."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, root / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("network", models.NETWORKS)
def test_the_bare_loop_takes_the_steps_of_ours(benchmark, network):
    speed = benchmark("speed")
    films = hospitals.film_set(hospitals.hospital("aspen"), "training", 0, 20, 64)
    plan = training.Plan(steps=3, checks=1, patience=1)
    bare, ours = (models.build(network, 0) for _ in range(2))
    speed.bare_loop(bare, films, plan, plan.steps)
    training.run_steps(ours, training.new_optimizer(ours, plan), films, plan, (0,), 0, plan.steps, plan.steps)
    for name, value in bare.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_films_as_stored_are_those_of_the_archive_and_errors_stay_what_they_are(benchmark):
    ablation, half = benchmark("ablation"), hospitals.film_set(hospitals.hospital("elm"), "test", 0, 40, 64)
    assert 0 < half.mirrored.sum() < 40 and half.inverted.all()
    stored = ablation.as_stored(half)
    for before, after, mirrored in zip(half.films, stored.films, half.mirrored):
        assert np.array_equal(after, 255 - (before[:, ::-1] if mirrored else before))
    moved = stored.landmarks_px[..., 0] != half.landmarks_px[..., 0]
    assert (moved.all(1) == half.mirrored).all()
    errors = [evaluation.angle_errors(films.rated_angles_deg, films.angles_deg) for films in (half, stored)]
    np.testing.assert_allclose(abs(errors[1]), abs(errors[0]), atol=1e-9)


def test_the_stored_ablation_is_complete_and_of_today(root):
    rows = json.loads((root / "data_synth" / "reference" / "ablation.json").read_text(encoding="utf-8"))
    what = jobs.size("fast")
    made = {(row["specification"], row["films_version"]) for row in rows}
    assert made == {(provenance.specification(what), hospitals.frozen()["version"])}
    wanted = {job.name for job in jobs.of_seed(what, 0) if job.network == "landmarks"}
    for films in ("canonical", "as stored"):
        assert {row["model"] for row in rows if row["films"] == films} == wanted
