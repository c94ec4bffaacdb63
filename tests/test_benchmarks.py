"""What the benchmarks compare is the same work."""

import importlib.util

import pytest
import torch

from lumbo import hospitals, models, training


@pytest.fixture(scope="module")
def speed(root):
    spec = importlib.util.spec_from_file_location("speed", root / "benchmarks" / "speed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("network", models.NETWORKS)
def test_the_bare_loop_takes_the_steps_of_ours(speed, network):
    films = hospitals.film_set(hospitals.hospital("aspen"), "training", 0, 20, 64)
    plan = training.Plan(steps=3, checks=1, patience=1)
    bare, ours = (models.build(network, 0) for _ in range(2))
    speed.bare_loop(bare, films, plan, plan.steps)
    training.run_steps(ours, training.new_optimizer(ours, plan), films, plan, (0,), 0, plan.steps, plan.steps)
    for name, value in bare.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name
