"""The one training loop and the one predict.  Taught in on_its_own.

Every arm of the experiment takes its steps in `run_steps` and is checked, stopped and
kept in `descend`.  Local and centralized training differ only in whose films the steps
see; federated training also averages between them (`lumbo.learning.federated`).  Batches,
augmentation and what a network leaves to chance are a function of (seed, step), so a run
that was killed and resumed takes exactly the steps it would have taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lumbo import angles, specs, store
from lumbo.errors import InputError, array, choice, instance, number, require, whole
from lumbo.films import radiograph
from lumbo.films.hospitals import FilmSet
from lumbo.learning import evaluation, replay
from lumbo.learning.augment import Moves, draw_moves, move
from lumbo.learning.checkpoint import Checkpoint
from lumbo.learning.models import Network, Prediction
from lumbo.specs import Range
from lumbo.threads import devices

__all__ = [
    "Seed",
    "LONG_SIDES_PX",
    "FILMS_AT_ONCE",
    "OUTSIDE",
    "Plan",
    "Check",
    "Step",
    "fit",
    "check_bounds",
    "check_asked",
    "check_films",
    "check_pixels",
    "run_steps",
    "draw_step",
    "gradients",
    "descend",
    "predict",
    "validation_mae",
    "in_batches",
    "batches",
    "steps_per_epoch",
    "learning_rate",
    "new_optimizer",
    "reset",
    "film_digest",
    "pick_device",
    "check_workers",
]

Seed = tuple[int, ...]
LONG_SIDES_PX = range(32, 1025, 16)
FILMS_AT_ONCE = 50  # that `predict` shows a network
OUTSIDE = 0.25  # of the film's height: so far outside a rater may guess a landmark that the field cuts off
_MANY = 1_000_000  # more steps, checks or films in a batch than anybody takes


@specs.documented
@dataclass(frozen=True)
class Plan:
    """How much and how a model is trained; the same in every arm."""

    steps: Annotated[int, Range(1, _MANY), "optimiser steps at most"]
    checks: Annotated[int, Range(1, _MANY), "how often validation is looked at on the way"]
    patience: Annotated[int, Range(1, _MANY), "checks without a better validation error until training stops"]
    batch: Annotated[int, Range(1, _MANY), "films a step"] = 8
    epochs: Annotated[float, Range(0.01, 100), "passes over its films of a client in a federated round"] = 1.0
    learning_rate: Annotated[float, Range(1e-8, 10), "the highest"] = 3e-3
    weight_decay: Annotated[float, Range(0, 1), "of AdamW"] = 1e-4
    warmup: Annotated[float, Range(0, 1), "share of the steps while the rate rises; then a cosine"] = 0.05
    turn_deg: Annotated[float, Range(0, 45), "films are turned by so much at most"] = 12.0
    zoom: Annotated[float, Range(0, 0.5), "logarithm of the zoom at most"] = 0.10
    shift: Annotated[float, Range(0, 0.5), "shift at most, share of the film"] = 0.06
    contrast: Annotated[float, Range(0, 1), "logarithm of the display gamma at most"] = 0.25

    def __post_init__(self):
        specs.check(self, "plan")
        require(self.checks <= self.steps, "plan.checks", self.checks, f"at most steps, {self.steps}")


class Check(NamedTuple):
    """One look at a model in training: steps taken, mean loss since the last, validation MAE in degrees."""

    steps: int
    loss: float
    validation_mae: float


class Step(NamedTuple):
    """What one optimiser step takes: films (n, h, w) uint8, rated landmarks (n, 6, 2), and what chance drew.

    moves : of the augmentation;  chance : of the network, from its `draw`
    """

    films: Tensor
    landmarks_px: Tensor
    moves: Moves
    chance: tuple[Tensor, ...]


def fit(
    model: Network,
    train: FilmSet,
    validation: FilmSet,
    plan: Plan,
    seed: Seed,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> list[Check]:
    """Train `model` in place on rated landmarks and leave the best weights in it.

    Used alike for one hospital (local) and for all films in one place (centralized).

    Parameters
    ----------
    train, validation : films of 8 or 16 bit, which are rounded to 8, and all rated landmarks on them
    seed : a whole number, or a tuple of them; decides order and augmentation; on a CPU the same seed and number
        of threads give the same weights
    checkpoint : file to keep progress in; an interrupted run resumes from it with the same result
    report : called after each check

    Raises
    ------
    InputError
        Before a step: films, landmarks or arguments that cannot be trained with, or a checkpoint that is
        unreadable or belongs to another run.  Later: a loss that is no longer finite.
    """
    seed = check_asked(model, plan, seed, report)
    train, validation = check_films("train", train), check_films("validation", validation)
    optimizer = new_optimizer(model, plan)
    bounds = check_bounds(plan.steps, plan.checks)
    identity = {
        "seed": list(seed),
        "plan": asdict(plan),
        "films": [film_digest(train), film_digest(validation)],
    }

    def advance(check: int) -> tuple[int, float]:
        first, last = bounds[check], bounds[check + 1]
        return last, float(run_steps(model, optimizer, train, plan, seed, first, last, plan.steps))

    progress = Checkpoint(checkpoint, model, {"": optimizer}, identity)
    return descend(model, advance, lambda: validation_mae(model, validation), plan, progress, report)


def check_bounds(total: int, checks: int) -> list[int]:
    """Say after how many of `total` steps, or rounds, each check comes, and 0 before them.

    >>> check_bounds(10, 4)
    [0, 2, 5, 7, 10]
    """
    total, checks = whole("total", total, 0), whole("checks", checks, 1)
    return [total * check // checks for check in range(checks + 1)]


def check_asked(model: Any, plan: Any, seed: Any, report: Any) -> Seed:
    """Return the seed as a tuple of whole numbers; raise `InputError` for what cannot be trained with."""
    instance("model", model, Network, 'build("landmarks", 0)')
    instance("plan", plan, Plan, "Plan(steps=100, checks=2, patience=2)")
    require(callable(report), "report", report, "a function that takes a check")
    parts = seed if isinstance(seed, tuple | list) else (seed,)
    require(len(parts) > 0, "seed", seed, "a whole number from 0, or a tuple of them")
    return tuple(whole("seed", part, 0) for part in parts)


def check_films(name: str, data: FilmSet) -> FilmSet:
    """Return films as training takes them, in 8 bit, or raise `InputError` naming the field and the film.

    All films face left, and all six rated landmarks lie on them, or a little outside.
    """
    instance(name, data, FilmSet, 'film_set(hospital("aspen"), "training")')
    require(len(data) > 0, name, 0, "at least one film")
    films, (height, width) = check_pixels(f"{name}.films", data.films), data.films.shape[1:]
    field, room = f"{name}.rated_landmarks_px", OUTSIDE * height
    points = array(field, data.rated_landmarks_px, (len(data), len(angles.LANDMARKS), 2))
    for axis, size in enumerate((width, height)):
        array(f"{field}.{'xy'[axis]}", points[..., axis], points.shape[:2], -room, size + room)
    _check_facing(field, points)
    array(f"{name}.rated_angles_deg", data.rated_angles_deg, (len(data), len(angles.ANGLES)), -360, 360)
    if films.dtype == np.uint8:
        return data
    return replace(data, films=np.round(films / 257).astype(np.uint8))  # 65535 is 255


def _check_facing(field: str, points: np.ndarray) -> None:
    """Raise `InputError` naming the first film whose angles cannot be measured, or which faces right."""
    try:
        odd = np.abs(angles.lumbopelvic_angles(points, "left")[:, 0]) >= 90
    except InputError:
        odd = np.ones(len(points), bool)
    for i in np.flatnonzero(odd):
        try:
            ss = angles.lumbopelvic_angles(points[i], "left")[0]
        except InputError as error:
            raise InputError(f"{field}[{i}]: {error.field}", error.value, error.allowed) from error
        seen = f"SS {ss:.1f} degrees, as if facing right"
        require(abs(ss) < 90, f"{field}[{i}]", seen, "a film that faces left")


def check_pixels(field: str, films: Any) -> np.ndarray:
    """Return films of 8 or 16 bit in memory as torch takes them, or raise `InputError`."""
    if isinstance(films, Tensor):
        films = films.detach().cpu().numpy()
    if isinstance(films, np.ma.MaskedArray) and not np.ma.is_masked(films):
        films = films.data
    plain = isinstance(films, np.ndarray) and not isinstance(films, np.ma.MaskedArray)
    fits = (
        plain
        and films.ndim == 3
        and films.dtype.newbyteorder("=") in (np.uint8, np.uint16)
        and films.shape[1:] in map(radiograph.canvas, LONG_SIDES_PX)
    )
    found = (films.shape, str(films.dtype)) if plain else films
    require(fits, field, found, "uint8 or uint16 of shape (n, height, width), such as (n, 256, 208)")
    dark = films.dtype != np.uint8 and films.size > 0 and films.max() < 256  # 8 bit in the shell of 16
    require(not dark, field, f"{films.dtype} up to {films.max(initial=0)}", "uint16 that uses its range")
    return np.require(films, films.dtype.newbyteorder("="), ["C", "W"])


def run_steps(
    model: Network,
    optimizer: torch.optim.Optimizer,
    data: FilmSet,
    plan: Plan,
    seed: Seed,
    first: int,
    last: int,
    total: int,
) -> Tensor:
    """Take steps `first` up to `last`, at least one, of a run of `total`; return the mean loss.

    The loss is left on the device: a GPU need not be done when this returns.  Nothing here asks again what
    `fit` has checked.
    """
    require(first < last, "last", last, f"more than {first}, the first step")
    model.train()
    device, losses = next(model.parameters()).device, []
    for step, index in zip(range(first, last), batches(len(data), plan.batch, seed, first)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step / total)
        given = draw_step(model, data, index, plan, np.random.default_rng([*seed, 1, step]))
        losses.append(replay.run(gradients, model, given, device))
        optimizer.step()
    return torch.stack(losses).mean()


def draw_step(model: Network, data: FilmSet, index: np.ndarray, plan: Plan, rng: np.random.Generator) -> Step:
    """Take the films of a step and draw its chance, all on the host; real numbers as float32."""
    films, landmarks_px = data.films[index], data.rated_landmarks_px[index]
    moves = draw_moves(films.shape, rng, plan.turn_deg, plan.zoom, plan.shift, plan.contrast)
    chance = tuple(torch.as_tensor(values).float() for values in model.draw(len(index), rng))
    return Step(torch.as_tensor(films), torch.as_tensor(landmarks_px).float(), moves, chance)


def gradients(model: Network, step: Step) -> Tensor:
    """Leave the gradients of a step in the weights; return its loss."""
    model.zero_grad()
    loss = model.score(*move(step.films, step.landmarks_px, step.moves), *step.chance)
    loss.backward()
    return loss.detach()


def descend(
    model: nn.Module,
    advance: Callable[[int], tuple[int, float]],
    validate: Callable[[], float],
    plan: Plan,
    progress: Checkpoint,
    report: Callable[[Check], None] = lambda check: None,
) -> list[Check]:
    """Advance check by check, keep the best weights, stop when they no longer improve.

    Parameters
    ----------
    advance : moves the model one check further and returns (steps so far, mean loss)
    validate : measures the validation MAE of the model as it stands, degrees
    progress : where to keep it, and what was kept before
    """
    kept, best = progress.resume()
    require(len(kept) <= plan.checks, str(progress.path), f"{len(kept)} checks", f"at most {plan.checks}")
    history = [Check(*entry) for entry in kept]
    for check in range(len(history), plan.checks):
        if _stalled(history, plan.patience):
            break
        steps, loss = advance(check)
        require(np.isfinite(loss), "loss", loss, "a finite number; try a lower plan.learning_rate")
        history.append(Check(steps, loss, validate()))
        if history[-1].validation_mae <= min(past.validation_mae for past in history):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        progress.keep(best, history)
        report(history[-1])
    model.load_state_dict(best)
    replay.forget(model)
    return history


def predict(model: nn.Module, films: np.ndarray, batch: int = FILMS_AT_ONCE) -> Prediction[np.ndarray]:
    """Measure films (n, h, w) uint8 or uint16, canonical; the prediction holds float64 arrays.

    Raises
    ------
    InputError
        Films of another shape or type.
    """
    instance("model", model, Network, 'build("landmarks", 0)')
    films, batch = check_pixels("films", films), whole("batch", batch, 1)
    require(len(films) > 0, "films", films.shape, "at least one film")
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [
            model(_bright(torch.from_numpy(films[i : i + batch]).to(device)))
            for i in range(0, len(films), batch)
        ]
    angles_deg, spread_deg, landmarks_px = zip(*parts)
    found = None if landmarks_px[0] is None else _joined(landmarks_px)
    return Prediction(_joined(angles_deg), _joined(spread_deg), found)


def validation_mae(model: nn.Module, data: FilmSet) -> float:
    """Mean absolute error over films and angles against the rated angles, degrees."""
    said = predict(model, data.films).angles_deg
    near = bool((np.abs(said) <= evaluation.FARTHEST_DEG).all())
    require(near, "validation", float(np.abs(said).max()), "angles; try a lower plan.learning_rate")
    return float(np.abs(evaluation.angle_errors(said, data.rated_angles_deg)).mean())


def in_batches(sets: list[FilmSet]) -> list[list[FilmSet]]:
    """Put sets of films of one size side by side, in order, until they fill a batch of `predict`.

    In a federation each client measures its own films.  Here several are asked at once, so that many small
    clients cost no more than few; but for rounding the answers are the same.
    """
    parts = [sets[:1]]
    for films in sets[1:]:
        full = sum(map(len, parts[-1])) >= FILMS_AT_ONCE
        if full or films.films.shape[1:] != parts[-1][0].films.shape[1:]:
            parts.append([])
        parts[-1].append(films)
    return parts


def batches(n: int, batch: int, seed: Seed, first: int = 0) -> Iterator[np.ndarray]:
    """Yield index arrays without end, epoch after epoch, from step `first` on.

    An epoch is a fresh permutation cut into whole batches; what is left over is left out.
    """
    size, per_epoch = min(n, batch), steps_per_epoch(n, batch)
    epoch, skip = divmod(whole("first", first, 0), per_epoch)
    while True:
        order = np.random.default_rng([*seed, 0, epoch]).permutation(n)
        for i in range(skip, per_epoch):
            yield order[i * size : (i + 1) * size]
        epoch, skip = epoch + 1, 0


def steps_per_epoch(n: int, batch: int) -> int:
    """Return how many whole batches `n` films give, at least one."""
    return max(1, whole("n", n, 1) // whole("batch", batch, 1))


def learning_rate(plan: Plan, progress: float) -> float:
    """Rise over `plan.warmup`, then fall as a cosine to zero; progress in [0, 1]."""
    number("progress", progress, 0, 1)
    if progress < plan.warmup or plan.warmup == 1:
        return plan.learning_rate * (0.1 + 0.9 * progress / plan.warmup)
    return plan.learning_rate * 0.5 * (1 + np.cos(np.pi * (progress - plan.warmup) / (1 - plan.warmup)))


def new_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW over the model's weights."""
    return torch.optim.AdamW(
        model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )


def reset(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimiser forget what it has seen, in place: a new one would have to be given memory anew."""
    for slots in optimizer.state.values():
        for value in slots.values():
            value.zero_()


def film_digest(data: FilmSet) -> str:
    """Name a set of films by what training takes from it, in 16 hex digits."""
    return store.digest((data.films, data.rated_landmarks_px))


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called "cpu", "cuda", "mps", or the best there is for "auto"."""
    present = devices()
    known = choice("device", name, ["auto", *present])
    return torch.device(present[-1] if known == "auto" else known)


def check_workers(workers: int, device: torch.device) -> int:
    """Return how many models may train at the same moment on a device, or raise `InputError`."""
    asked = whole("workers", workers, 1, 4096)
    fits = asked == 1 or device.type == "cpu"
    require(fits, "workers", workers, "1 on a GPU, which one model keeps busy")
    return asked


def _joined(parts: tuple[Tensor, ...]) -> np.ndarray:
    return torch.cat(parts).cpu().double().numpy()


def _bright(films: Tensor) -> Tensor:
    """uint8 or uint16 (n, h, w) to float (n, 1, h, w) in [0, 1]."""
    return films[:, None].float() / torch.iinfo(films.dtype).max


def _stalled(history: list[Check], patience: int) -> bool:
    errors = [check.validation_mae for check in history]
    return len(errors) > patience and min(errors[-patience:]) > min(errors)
