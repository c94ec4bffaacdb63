"""The loop: film and landmarks stay together, a step depends on (seed, step), and a kill costs nothing."""

import gc
import itertools
import os
import subprocess
import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parameters_to_vector

from lumbo import store
from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films.hospitals import film_set, hospital
from lumbo.learning import augment, evaluation, federated, models, replay, training
from lumbo.learning.checkpoint import Checkpoint
from lumbo.learning.training import (
    Plan,
    batches,
    descend,
    fit,
    learning_rate,
    new_optimizer,
    pick_device,
    predict,
    run_steps,
    steps_per_epoch,
    validation_mae,
)

SMALL = 64  # height of the films here, pixels
PLAN = Plan(steps=6, checks=3, patience=3, batch=4)
STILL = {"turn_deg": 0, "zoom": 0, "shift": 0, "contrast": 0}


@pytest.fixture(scope="module")
def films():
    return film_set(hospital("aspen"), "training", 0, 10, SMALL)


@pytest.fixture(scope="module")
def held():
    return film_set(hospital("aspen"), "validation", 0, 4, SMALL)


def weights(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def gradient(model):
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]).cpu()


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def trained(films, held, network="landmarks", seed=(0,), plan=PLAN, **options):
    """The weights and the history of one run from weights of seed 0."""
    model = models.build(network, 0)
    history = fit(model, films, held, plan, seed, **options)
    return weights(model), history


# ------------------------------------------------------------------- augmentation


def augmented(films, landmarks_px, plan, rng):
    """Draw the moves of a plan and do them, in the precision of the landmarks."""
    drawn = plan.turn_deg, plan.zoom, plan.shift, plan.contrast, landmarks_px.dtype
    return augment.move(films, landmarks_px, augment.draw_moves(films.shape, rng, *drawn))


def dots(at, height=128, width=104):
    """One film for each point: dark, with a bright dot on the point; uint8."""
    y, x = np.arange(height)[:, None], np.arange(width)
    square = (x - at[:, 0, None, None]) ** 2 + (y - at[:, 1, None, None]) ** 2
    return torch.from_numpy((255 * np.exp(-square / (2 * 1.5**2))).astype(np.uint8))


def centres(films):
    """Mean position of the light of each film, (n, 2)."""
    y, x = (torch.arange(size) for size in films.shape[-2:])
    light = films[:, 0] / films[:, 0].sum((1, 2), keepdim=True)
    return torch.stack([(light * x).sum((1, 2)), (light * y[:, None]).sum((1, 2))], -1)


@pytest.mark.parametrize("only", ["turn_deg", "zoom", "shift", "contrast", None])
def test_a_bright_dot_goes_where_its_landmark_goes(only):
    plan = (
        Plan(1, 1, 1)
        if only is None
        else replace(Plan(1, 1, 1, **STILL), **{only: getattr(Plan(1, 1, 1), only)})
    )
    rng = np.random.default_rng(3)
    at = np.array([51.5, 63.5]) + rng.uniform(-25, 25, (64, 2))
    films, moved = augmented(dots(at), torch.from_numpy(at)[:, None].repeat(1, 6, 1), plan, rng)
    assert (centres(films) - moved[:, 0]).abs().max() < 0.1
    if only != "contrast":
        assert (moved[:, 0] - torch.from_numpy(at)).abs().max() > 1  # it did go somewhere


def test_turning_changes_posture_and_keeps_shape(films):
    """PI and LL survive a turn and a zoom; SS and PT trade degrees, at most those of the plan."""
    before = torch.from_numpy(films.landmarks_px)
    _, after = augmented(torch.from_numpy(films.films), before, Plan(1, 1, 1), np.random.default_rng(0))
    change = lumbopelvic_angles(after, "left") - lumbopelvic_angles(before, "left")
    ss, pt, pi, ll = change.T
    assert pi.abs().max() < 1e-9 and ll.abs().max() < 1e-9
    assert (ss + pt).abs().max() < 1e-9
    assert 1 < ss.abs().max() < 12


def test_zoom_scales_lengths_within_the_plan(films):
    before = torch.from_numpy(films.landmarks_px)
    _, after = augmented(torch.from_numpy(films.films), before, Plan(1, 1, 1), np.random.default_rng(0))
    ratio = (after[:, 0] - after[:, 2]).norm(dim=-1) / (before[:, 0] - before[:, 2]).norm(dim=-1)
    assert (ratio.log().abs() <= 0.1 + 1e-9).all() and ratio.log().abs().max() > 0.01


def test_no_augmentation_gives_the_films_as_they_are(films):
    raw, landmarks = torch.from_numpy(films.films), torch.from_numpy(films.landmarks_px).float()
    shown, moved = augmented(raw, landmarks, Plan(1, 1, 1, **STILL), np.random.default_rng(0))
    torch.testing.assert_close(shown, raw[:, None] / 255, rtol=0, atol=2e-5)
    torch.testing.assert_close(moved, landmarks, rtol=0, atol=1e-4)


def test_contrast_is_a_display_curve_that_keeps_black_white_and_order(films):
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    plan = Plan(1, 1, 1, **STILL | {"contrast": 1.0})
    shown, _ = augmented(ramp, torch.zeros(1, 6, 2), plan, np.random.default_rng(1))
    curve = shown.flatten()
    assert (curve[0], curve[-1]) == (0, pytest.approx(1, abs=1e-5))
    assert (curve.diff() > -1e-6).all() and (curve - torch.arange(256) / 255).abs().max() > 0.05


@pytest.mark.parametrize("size", [(128, 104), (64, 64), (5, 9)])
def test_the_grid_is_that_of_torch(size):
    theta = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = augment._grid(theta, *size)
    torch.testing.assert_close(
        ours, F.affine_grid(theta, [3, 1, *size], align_corners=False), rtol=0, atol=1e-6
    )


# -------------------------------------------------------------- batches, schedule


def holds_for(*strategies):
    return lambda test: settings(deadline=None)(given(*strategies)(test))


def take(n, batch, seed, first, count):
    stream = batches(n, batch, seed, first)
    return [next(stream).tolist() for _ in range(count)]


@holds_for(st.integers(1, 40), st.integers(1, 16), st.integers(0, 9), st.integers(0, 60))
def test_batches_are_a_function_of_the_step(n, batch, seed, first):
    whole = take(n, batch, (seed,), 0, first + 5)
    assert take(n, batch, (seed,), first, 5) == whole[first:]


@holds_for(st.integers(1, 40), st.integers(1, 16), st.integers(0, 9))
def test_an_epoch_is_a_permutation_cut_into_whole_batches(n, batch, seed):
    per_epoch = steps_per_epoch(n, batch)
    first, second = (take(n, batch, (seed,), epoch * per_epoch, per_epoch) for epoch in (0, 1))
    for epoch in (first, second):
        seen = sum(epoch, [])
        assert len(set(seen)) == len(seen) == per_epoch * min(n, batch)  # no film twice
        assert set(seen) <= set(range(n)) and n - len(seen) < batch  # less than a batch is left out
    assert n < 8 or first != second


def test_other_seeds_shuffle_otherwise():
    orders = [tuple(map(tuple, take(40, 8, seed, 0, 5))) for seed in [(0,), (1,), (0, 1), (1, 1)]]
    assert len(set(orders)) == 4


def test_learning_rate_rises_and_falls_to_nought():
    plan = Plan(100, 1, 1, learning_rate=0.5, warmup=0.2)
    rates = [learning_rate(plan, step / 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05) and rates[20] == pytest.approx(0.5) == max(rates)
    assert rates[60] == pytest.approx(0.25)  # half way down
    assert 0 < rates[99] < 1e-3 and learning_rate(plan, 1) == pytest.approx(0)
    assert np.all(np.diff(rates[:21]) > 0) and np.all(np.diff(rates[20:]) < 0)


@pytest.mark.parametrize("warmup", [0, 1])
def test_learning_rate_without_rise_or_without_fall(warmup):
    plan = Plan(100, 1, 1, warmup=warmup)
    rates = [learning_rate(plan, step / 100) for step in range(100)]
    assert max(rates) == rates[0 if warmup == 0 else -1] and min(rates) > 0


# ----------------------------------------------------------------------- training


def by_hand(network, films, plan, seed):
    """Take the same steps, written out with torch's own slower parts."""
    model = models.build(network, 0)
    optimizer = torch.optim.AdamW(model.parameters(), 1.0, weight_decay=plan.weight_decay)
    for step, index in zip(range(plan.steps), batches(len(films), plan.batch, seed)):
        rng = np.random.default_rng([*seed, 1, step])
        rng.random(5 * len(index))  # turn, zoom, shift in x and y, contrast: all of them nought
        optimizer.param_groups[0]["lr"] = learning_rate(plan, step / plan.steps)
        shown = torch.from_numpy(films.films[index])[:, None] / 255
        model.zero_grad()
        model.loss(shown, torch.from_numpy(films.rated_landmarks_px[index]).float(), rng).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_steps_are_those_of_a_plain_loop(network, films):
    """Rounding differs, so: the same place, against the distance travelled."""
    plan, model = replace(PLAN, learning_rate=1e-4, **STILL), models.build(network, 0)
    start = parameters_to_vector(model.parameters()).detach()
    run_steps(model, new_optimizer(model, plan), films, plan, (0,), 0, plan.steps, plan.steps)
    found, expected = (
        parameters_to_vector(m.parameters()) for m in (model, by_hand(network, films, plan, (0,)))
    )
    assert (found - expected).norm() < 0.01 * (found - start).norm()


def test_steps_in_two_parts_are_the_same_steps(films):
    parts = []
    for stops in ([0, 6], [0, 1, 6]):
        model = models.build("regressor", 0)
        optimizer = new_optimizer(model, PLAN)
        for first, last in itertools.pairwise(stops):
            run_steps(model, optimizer, films, PLAN, (0,), first, last, 6)
        parts.append(weights(model))
    assert same(*parts)


def test_each_step_is_augmented_and_scored_by_a_generator_of_its_own(films, monkeypatch):
    drawn, scored = [], []
    plain = training.draw_moves

    def draw_moves(shape, rng, *strength):
        drawn.append(rng.bit_generator.state["state"]["state"])
        return plain(shape, rng, *strength)

    def draw(n, rng):
        scored.append(rng.bit_generator.state["state"]["state"])
        return ()

    monkeypatch.setattr(training, "draw_moves", draw_moves)
    model = models.build("regressor", 0)
    model.draw = draw
    for seed, first in (((0,), 0), ((0,), 3), ((1,), 0)):
        run_steps(model, new_optimizer(model, PLAN), films, PLAN, seed, first, 6, 6)
    for states in (drawn, scored):
        whole, resumed, other = states[:6], states[6:9], states[9:]
        assert len(set(whole + other)) == 12 and resumed == whole[3:]
    assert not set(drawn) & set(scored)  # the loss goes on where augmentation ended


@pytest.mark.parametrize("network, steps, below_deg", [("regressor", 150, 0.5), ("landmarks", 250, 3.0)])
def test_a_few_films_can_be_learnt_by_heart(network, steps, below_deg, films):
    few, model = films[:4], models.build(network, 0)
    plan = Plan(steps, 1, 1, batch=4, learning_rate=3e-3, **STILL)
    before, doubt = validation_mae(model, few), predict(model, few.films).spread_deg.mean()
    fit(model, few, few, plan, (0,))
    assert validation_mae(model, few) < min(below_deg, before / 5)
    assert predict(model, few.films).spread_deg.mean() < doubt  # and it knows that it has


def test_same_seed_same_weights_and_another_seed_others(films, held, untouched):
    first, history = trained(films, held)
    again, history_again = trained(films, held)
    other, _ = trained(films, held, seed=(1,))
    assert same(first, again) and history == history_again
    assert not same(first, other)


def test_history_says_what_happened(films, held):
    model, seen = models.build("landmarks", 0), []
    history = fit(model, films, held, replace(PLAN, steps=7), (0,), report=seen.append)
    assert [check.steps for check in history] == [2, 4, 7] and seen == history
    assert min(check.validation_mae for check in history) == validation_mae(model, held)
    error = np.abs(predict(model, held.films).angles_deg - held.rated_angles_deg).mean()
    assert validation_mae(model, held) == pytest.approx(error)


@pytest.mark.parametrize("empty", ["train", "validation"])
def test_no_films_are_refused_before_any_step(empty, films, held):
    sets = {"train": films, "validation": held}
    sets[empty] = sets[empty][:0]
    with pytest.raises(InputError, match=f"{empty}: got 0; allowed: at least one film"):
        fit(models.build("landmarks", 0), **sets, plan=PLAN, seed=(0,))


# ----------------------------------------------------- best weights, early stopping


def descent(scores, patience, checkpoint=None, killed_after=None):
    """Run `descend` with a model of one weight that counts checks, and given scores: (weight, history)."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, -1)

    def advance(check):
        torch.nn.init.constant_(model.weight, check)
        return (check + 1) * 10, 0.5

    def report(check):
        if check.steps == killed_after:
            raise KeyboardInterrupt

    plan = Plan(steps=10 * len(scores), checks=len(scores), patience=patience)
    progress = Checkpoint(checkpoint, model, {}, {})
    history = descend(model, advance, lambda: scores[int(model.weight)], plan, progress, report)
    return model.weight.item(), [check.validation_mae for check in history]


@pytest.mark.parametrize(
    "scores, patience, best, looked_at",
    [
        ([5, 4, 3, 2], 1, 3, 4),  # better to the end
        ([5, 3, 4, 2], 1, 1, 3),  # one worse is enough
        ([5, 3, 4, 2], 2, 3, 4),  # two in a row would have been needed
        ([5, 3, 4, 6, 2, 1], 2, 1, 4),
        ([1, 2, 3, 4], 9, 0, 4),  # patience beyond the end: the first weights are kept
        ([5, 3, 3, 3], 1, 3, 4),  # as good is not worse, and the later weights are kept
    ],
)
def test_the_best_weights_are_kept_and_patience_ends(scores, patience, best, looked_at):
    assert descent(scores, patience) == (best, scores[:looked_at])


@pytest.mark.parametrize("killed_after", [10, 20, 30, 40])
def test_early_stopping_remembers_across_a_kill(killed_after, tmp_path):
    scores, path = [5, 3, 4, 6, 2, 1], tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        descent(scores, 2, path, killed_after)
    assert descent(scores, 2, path) == descent(scores, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_a_gpu_replays_what_a_processor_computes(network, films):
    """Step by step from the same weights: films of two sizes, a set smaller than a batch, the first set again."""
    here, there = models.build(network, 0), models.build(network, 0).to("cuda")
    optimizer, larger = new_optimizer(there, PLAN), film_set(hospital("aspen"), "training", 0, 10, 2 * SMALL)
    sets = 2 * [films, larger, films[:3]]
    for k, data in enumerate(sets):
        here.load_state_dict(there.state_dict())
        index = np.arange(3 if len(data) == 3 else 4) + k  # other films each time
        given = training.draw_step(here, data, index % len(data), PLAN, np.random.default_rng(k))
        expected = training.gradients(here, given), gradient(here)
        found = replay.run(training.gradients, there, given, torch.device("cuda")), gradient(there)
        for one, other in zip(found, expected):
            assert (one.cpu() - other).norm() < 0.02 * other.norm()  # convolutions there keep 10 bits
        optimizer.step()
        if k == 3:
            there.cpu().cuda()  # now its weights lie elsewhere
    weight, recorded = weakref.ref(there), replay._RECORDED[there]
    assert len(recorded) == 3
    del there, optimizer, recorded
    gc.collect()
    assert weight() is None and not replay._RECORDED  # its recordings, and their memory, go with a model


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_a_gpu_takes_the_steps_of_a_processor(network, films):
    plan, taken = replace(PLAN, learning_rate=1e-4), {}
    for device in ("cpu", "cuda"):
        model = models.build(network, 0).to(device)
        loss = run_steps(model, new_optimizer(model, plan), films, plan, (0,), 0, plan.steps, plan.steps)
        later = run_steps(model, new_optimizer(model, plan), films, plan, (0,), 0, 1, 6)
        taken[device] = float(loss), float(later)
    assert taken["cuda"] == pytest.approx(taken["cpu"], rel=0.01) and taken["cpu"][0] > taken["cpu"][1]


def test_landmarks_that_cannot_be_measured_are_refused_before_a_step(films, held):
    lost, twice = (replace(films, rated_landmarks_px=films.rated_landmarks_px.copy()) for _ in range(2))
    lost.rated_landmarks_px[3, 2] = np.nan
    twice.rated_landmarks_px[3, 0] = twice.rated_landmarks_px[3, 1]
    for spoilt, field in (
        (lost, r"rated_landmarks_px\[3, 2, 0\]: got nan"),
        (twice, r"_px\[3\]: landmarks.s1 corners"),
    ):
        for sets in ((spoilt, held), (held, spoilt)):
            with pytest.raises(InputError, match=field):
                fit(models.build("regressor", 0), *sets, PLAN, (0,))


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_a_step_that_leads_nowhere_is_noticed(network, films, held):
    model = models.build(network, 0)
    torch.nn.init.constant_(next(model.parameters()), torch.nan)
    with pytest.raises(InputError, match="loss: got nan; allowed: a finite number"):
        fit(model, films, held, PLAN, (0,))
    with pytest.raises(InputError, match="loss: got nan"):
        federated.fedavg(model, [federated.Client("a", films, held)], PLAN, (0,))


# ------------------------------------------------------------------------- kills


class Killed(BaseException):
    """What a test throws where a machine would go dark."""


def interrupting(model, at):
    """Let the model's score throw at its `at`-th call."""
    plain, calls = model.score, iter(range(10**6))

    def score(*given):
        if next(calls) == at:
            raise Killed
        return plain(*given)

    model.score = score
    return model


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_killed_at_any_step_and_resumed_gives_the_same(network, films, held, tmp_path):
    expected = trained(films, held, network)
    for step in range(PLAN.steps):
        path = tmp_path / f"{step}.safetensors"
        with pytest.raises(Killed):
            fit(interrupting(models.build(network, 0), step), films, held, PLAN, (0,), path)
        assert path.exists() == (step >= 2)  # checked after steps 2, 4 and 6
        found = trained(films, held, network, checkpoint=path)
        assert same(found[0], expected[0]) and found[1] == expected[1]


def test_killed_at_every_check_in_turn_gives_the_same(films, held, tmp_path):
    path = tmp_path / "checkpoint.safetensors"

    def die(check):
        raise Killed

    for _ in range(PLAN.checks):
        with pytest.raises(Killed):
            trained(films, held, checkpoint=path, report=die)
    found, expected = trained(films, held, checkpoint=path), trained(films, held)
    assert same(found[0], expected[0]) and found[1] == expected[1]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_interrupted_while_a_checkpoint_is_written(call, films, held, tmp_path, monkeypatch):
    path, plain, calls = tmp_path / "checkpoint.safetensors", getattr(os, call), iter(range(99))

    def broken(*arguments):
        if next(calls) == 1:
            raise Killed
        return plain(*arguments)

    monkeypatch.setattr(store.os, call, broken)
    with pytest.raises(Killed):
        trained(films, held, checkpoint=path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # the first, whole; no draft
    found, expected = trained(films, held, checkpoint=path), trained(films, held)
    assert same(found[0], expected[0]) and found[1] == expected[1]


GO_DARK = """
import os, sys, torch
from pathlib import Path
from lumbo.learning import models
from lumbo.films.hospitals import film_set, hospital
from lumbo.learning.training import Plan, fit

torch.set_num_threads(1)
plain, calls = os.replace, iter(range(99))
films = film_set(hospital("aspen"), "training", 0, 10, 64)
held = film_set(hospital("aspen"), "validation", 0, 4, 64)
os.replace = lambda *names: os._exit(9) if next(calls) == 1 else plain(*names)
fit(models.build("landmarks", 0), films, held, Plan(6, 3, 3, batch=4), (0,), Path(sys.argv[1]))
"""


def test_a_process_that_dies_between_writing_and_renaming(films, held, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    done = subprocess.run([sys.executable, "-c", GO_DARK, path], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    assert len(list(tmp_path.iterdir())) == 2  # the first checkpoint, and the draft of the second
    found, expected = trained(films, held, checkpoint=path), trained(films, held)
    assert same(found[0], expected[0]) and found[1] == expected[1]


def test_a_finished_run_is_not_taken_again(films, held, tmp_path):
    path, seen = tmp_path / "checkpoint.safetensors", []
    first = trained(films, held, checkpoint=path)
    again = trained(films, held, checkpoint=path, report=seen.append)
    assert seen == [] and same(first[0], again[0]) and first[1] == again[1]


OTHERS = {
    "seed": lambda films, held: {"seed": (1,)},
    "plan": lambda films, held: {"plan": replace(PLAN, learning_rate=1e-3)},
    "network": lambda films, held: {"network": "regressor"},
    "training films": lambda films, held: {"films": films[1:]},
    "as many other films": lambda films, held: {"films": films[::-1]},
    "validation films": lambda films, held: {"held": films[:4]},
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_checkpoint_of_another_run_is_refused_and_left_alone(other, films, held, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trained(films, held, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="a checkpoint of this run") as error:
        trained(**{"films": films, "held": held, "checkpoint": path} | OTHERS[other](films, held))
    assert error.value.field.startswith(f"{path}: ") and path.read_bytes() == before


def test_a_torn_checkpoint_is_refused_and_left_alone(films, held, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trained(films, held, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError) as error:
        trained(films, held, checkpoint=path)
    assert error.value.field == str(path) and path.exists()


# ------------------------------------------------------------------------ predict


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_the_batch_of_a_prediction_does_not_matter(network, films, untouched, in_double):
    model = models.build(network, 0)
    whole = predict(model, films.films)
    for batch in (1, 3, 10):
        parts = predict(model, films.films, batch)
        assert abs(evaluation.angle_errors(parts.angles_deg, whole.angles_deg)).max() < 1e-6
        np.testing.assert_allclose(parts.spread_deg, whole.spread_deg, rtol=1e-9)
        if network == "landmarks":
            np.testing.assert_allclose(parts.landmarks_px, whole.landmarks_px, rtol=0, atol=1e-9)


@pytest.mark.parametrize("network", sorted(models.NETWORKS))
def test_a_prediction_holds_arrays_in_the_order_of_the_films(network, films, in_double):
    model = models.build(network, 0)
    said, turned = predict(model, films.films), predict(model, films[np.arange(10)[::-1]].films)
    kinds = {"angles_deg": (10, 4), "spread_deg": (10, 4), "landmarks_px": (10, 6, 2)}
    for name, shape in kinds.items():
        found = getattr(said, name)
        if network == "regressor" and name == "landmarks_px":
            assert found is getattr(turned, name) is None
        else:
            assert found.shape == shape and found.dtype == np.float64 and np.isfinite(found).all()
            np.testing.assert_allclose(getattr(turned, name)[::-1], found, rtol=0, atol=1e-6)
    assert (said.spread_deg > 0).all()


@pytest.mark.parametrize(
    "films",
    [np.zeros((2, 64, 64)), np.zeros((64, 64), np.uint8), np.zeros((2, 1, 64, 64), np.uint8),
     np.zeros((2, 64, 64), np.int16), np.zeros((0, 64, 64), np.uint8)],
    ids=["floats", "one film", "with channels", "another type", "none"],
)  # fmt: skip
def test_other_films_are_refused(films):
    with pytest.raises(InputError, match="^films: got "):
        predict(models.build("regressor", 0), films)


# ------------------------------------------------------------------- plan, device

BAD = {
    "steps": [0, -1, 2.5, "10", True, None],
    "checks": [0, 1.5, 101],
    "patience": [0, -1],
    "batch": [0, 1.0],
    "epochs": [0, -1, 101, float("nan"), "one", True],
    "learning_rate": [0, -1e-3, 11, float("nan"), "fast"],
    "weight_decay": [-0.1, 1.1, float("nan")],
    "warmup": [-0.1, 1.1],
    "turn_deg": [-1, 46],
    "zoom": [-0.1, 0.6],
    "shift": [-0.1, 0.6],
    "contrast": [-0.1, 1.1],
}


@pytest.mark.parametrize(
    "field, value", [(field, value) for field, values in BAD.items() for value in values]
)
def test_a_bad_plan_names_field_and_value(field, value):
    with pytest.raises(InputError) as error:
        Plan(**{"steps": 100, "checks": 4, "patience": 2} | {field: value})
    assert error.value.field == f"plan.{field}" and f"got {value!r}; allowed: " in str(error.value)


def test_every_field_of_a_plan_is_checked():
    assert set(BAD) == set(Plan.__dataclass_fields__)


@pytest.mark.parametrize("name", ["tpu", "", "cuda:9", None])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InputError, match="device: got .*; allowed: one of auto, cpu"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(InputError, match=f"device: got '{name}'; allowed: one of auto, cpu$"):
            pick_device(name)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")


def test_the_best_device_is_picked(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")


# ---------------------------------------------------------------- what is refused before a step


class Untouched(models.Regressor):
    """A network on which no step may be taken."""

    def score(self, films, landmarks_px):
        raise AssertionError("a step was taken")


def spoilt_films(name, films):
    """Films that look like films and are none to train on, and the field that is wrong."""
    height, width = films.films.shape[1:]
    return {
        "in [0, 1]": ("films", films.films / 255),
        "truths": ("films", films.films > 99),
        "8 bit in 16": ("films", films.films.astype(np.uint16)),
        "an odd size": ("films", films.films[:, 1:]),
        "masked": ("films", np.ma.array(films.films, mask=True)),
        "facing right": ("rated_landmarks_px", films.rated_landmarks_px * [-1, 1] + [width, 0]),
        "far off": ("rated_landmarks_px", films.rated_landmarks_px + [0, 1.3 * height]),
        "a head not seen": (
            "rated_landmarks_px",
            np.where(np.arange(6)[:, None] == 4, np.nan, films.rated_landmarks_px),
        ),
        "no angles": ("rated_angles_deg", films.rated_angles_deg * np.nan),
    }[name]


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    "name",
    [
        "in [0, 1]",
        "truths",
        "8 bit in 16",
        "an odd size",
        "masked",
        "facing right",
        "far off",
        "a head not seen",
        "no angles",
    ],
)
def test_films_that_cannot_be_trained_on_are_refused_before_a_step(name, part, films, held):
    field, values = spoilt_films(name, films if part == "train" else held)
    sets = {"train": films, "validation": held}
    sets[part] = replace(sets[part], **{field: values})
    with pytest.raises(InputError) as caught:
        fit(Untouched(), **sets, plan=PLAN, seed=(0,))
    assert caught.value.field.startswith(f"{part}.{field}")


def test_one_landmark_row_too_many_is_no_film_set(films):
    with pytest.raises(InputError, match=r"^FilmSet.rated_landmarks_px: got '.* rows'"):
        replace(
            films, rated_landmarks_px=np.concatenate([films.rated_landmarks_px, films.rated_landmarks_px[:1]])
        )


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": -1}, "seed"), ({"seed": ()}, "seed"), ({"seed": (0, 0.5)}, "seed"), ({"seed": True}, "seed"), ({"plan": {}}, "plan"),
     ({"model": torch.nn.Linear(1, 1)}, "model"), ({"report": 3}, "report"), ({"checkpoint": ""}, "checkpoint"),
     ({"checkpoint": 3}, "checkpoint"), ({"train": None}, "train"), ({"validation": []}, "validation")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_a_step(change, field, films, held):
    asked = {"model": Untouched(), "train": films, "validation": held, "plan": PLAN, "seed": (0,)}
    with pytest.raises(InputError) as caught:
        fit(**asked | change)
    assert caught.value.field == field


def test_a_seed_of_any_kind_gives_the_same_weights_and_keeps_its_checkpoint(films, held, tmp_path):
    plain = models.build("regressor", 0)
    fit(plain, films, held, PLAN, (0,))
    for seed in (0, [0], (np.int64(0),), np.uint8(0)):
        model = models.build("regressor", 0)
        fit(model, films, held, PLAN, seed, tmp_path / "checkpoint.safetensors")
        for name, value in model.state_dict().items():
            assert torch.equal(value, plain.state_dict()[name])


def test_films_of_16_bit_are_those_of_8(films, held):
    fine = [replace(part, films=part.films.astype(np.uint16) * 257) for part in (films, held)]
    one, other = (models.build("regressor", 0) for _ in range(2))
    fit(one, films, held, PLAN, (0,))
    fit(other, *fine, PLAN, (0,))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    said = [
        predict(one, part.films).angles_deg
        for part in (held, fine[1], replace(held, films=fine[1].films.astype(">u2")))
    ]
    np.testing.assert_allclose(said[1:], [said[0]] * 2, atol=1e-3)


SPOILT_CHECKPOINTS = {
    "an array of another size": lambda arrays, note: arrays.update(
        {"optimizer//0/exp_avg": np.zeros(1, np.float32)}
    ),
    "an array of another kind": lambda arrays, note: arrays.update(
        {"optimizer//0/step": np.zeros((), np.int64)}
    ),
    "an array less": lambda arrays, note: arrays.pop("best/doubt.bias"),
    "an array more": lambda arrays, note: arrays.update(odd=np.zeros(1)),
    "not finite": lambda arrays, note: arrays["model/doubt.bias"].fill(np.nan),
    "a square below 0": lambda arrays, note: arrays["optimizer//0/exp_avg_sq"].fill(-1),
    "no history": lambda arrays, note: note.pop("history"),
    "an empty history": lambda arrays, note: note.update(history=[]),
    "a history of texts": lambda arrays, note: note.update(history=["a"]),
    "steps that go back": lambda arrays, note: note.update(history=[[4, 1.0, 9.0], [2, 1.0, 8.0]]),
    "an endless history": lambda arrays, note: note.update(history=[[i + 1, 1.0, 9.0] for i in range(99)]),
    "no identity": lambda arrays, note: note.pop("identity"),
}


@pytest.mark.parametrize("how", SPOILT_CHECKPOINTS)
def test_a_checkpoint_that_training_did_not_leave_is_refused_whole(how, films, held, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    fit(models.build("regressor", 0), films, held, PLAN, (0,), path)
    arrays, note = store.load_tensors(path)
    SPOILT_CHECKPOINTS[how](arrays, note)
    store.save_tensors(path, arrays, note)
    model = Untouched()
    before = {
        name: value.clone()
        for name, value in models.initialise(model, torch.Generator().manual_seed(0)).state_dict().items()
    }
    with pytest.raises(InputError) as caught:
        fit(model, films, held, PLAN, (0,), path)
    assert caught.value.field.startswith(str(path))
    if how != "an endless history":  # what a plan has no room for is said by the loop
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
