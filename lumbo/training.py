"""The one training loop and the one predict.  Taught in ch07.

Every arm of the experiment takes its steps in `run_steps` and is checked, stopped and
kept in `descend`; local, centralized and federated training differ only in whose films
the steps see.  Batches and augmentation are a function of (seed, step), so a run that was
killed and resumed takes exactly the steps it would have taken.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbo import evaluation, radiograph, store
from lumbo.errors import InputError, number, require, whole
from lumbo.hospitals import FilmSet
from lumbo.models import Prediction

Seed = tuple[int, ...]
LONG_SIDES_PX = range(32, 1025, 16)


@dataclass(frozen=True)
class Plan:
    """How much and how a model is trained; the same in every arm.

    steps : optimiser steps at most;  checks : how often validation is looked at on the way
    patience : checks without a better validation error until training stops
    epochs : passes over its own films that a client makes in a federated round
    warmup : share of the steps over which the learning rate rises; then it falls as a cosine
    """

    steps: int
    checks: int
    patience: int
    batch: int = 8
    epochs: float = 1.0
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    turn_deg: float = 12.0
    zoom: float = 0.10
    shift: float = 0.06
    contrast: float = 0.25

    def __post_init__(self):
        for name in ("steps", "checks", "patience", "batch"):
            whole(f"plan.{name}", getattr(self, name), 1)
        require(self.checks <= self.steps, "plan.checks", self.checks, f"at most steps, {self.steps}")
        number("plan.epochs", self.epochs, 0.01, 100)
        number("plan.learning_rate", self.learning_rate, 1e-8, 10)
        for name, high in (
            ("weight_decay", 1),
            ("warmup", 1),
            ("turn_deg", 45),
            ("zoom", 0.5),
            ("shift", 0.5),
            ("contrast", 1),
        ):
            number(f"plan.{name}", getattr(self, name), 0, high)


class Check(NamedTuple):
    """One look at a model in training: steps taken, mean loss since the last, validation MAE in degrees."""

    steps: int
    loss: float
    validation_mae: float


def fit(
    model: nn.Module,
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
    seed : decides order and augmentation; on a CPU the same seed and number of threads give the same weights
    checkpoint : file to keep progress in; an interrupted run resumes from it with the same result
    report : called after each check

    Raises
    ------
    InputError
        No films, or a checkpoint that is unreadable or belongs to another run.
    """
    for name, data in (("train", train), ("validation", validation)):
        require(len(data) > 0, name, 0, "at least one film")
    optimizer = new_optimizer(model, plan)
    bounds = np.linspace(0, plan.steps, plan.checks + 1).astype(int)

    def advance(check: int) -> tuple[int, float]:
        first, last = bounds[check], bounds[check + 1]
        return int(last), run_steps(model, optimizer, train, plan, seed, first, last, plan.steps)

    return descend(
        model,
        advance,
        lambda: validation_mae(model, validation),
        plan,
        {"": optimizer},
        {"seed": list(seed), "plan": asdict(plan), "films": [film_digest(train), film_digest(validation)]},
        checkpoint,
        report,
    )


def run_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: FilmSet,
    plan: Plan,
    seed: Seed,
    first: int,
    last: int,
    total: int,
) -> float:
    """Take steps `first` up to `last` of a run of `total`; return the mean loss."""
    model.train()
    losses = []
    for step, index in zip(range(first, last), batches(len(data), plan.batch, seed, first)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step / total)
        rng = np.random.default_rng([*seed, 1, step])
        films, landmarks = augment(*_tensors(data, index, model), plan, rng)
        loss = model.loss(films, landmarks, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean()) if losses else float("nan")


def descend(
    model: nn.Module,
    advance: Callable[[int], tuple[int, float]],
    score: Callable[[], float],
    plan: Plan,
    optimizers: dict[str, torch.optim.Optimizer],
    identity: dict,
    checkpoint: Path | None = None,
    report: Callable[[Check], None] = lambda check: None,
) -> list[Check]:
    """Advance check by check, keep the best weights, stop when they no longer improve.

    Parameters
    ----------
    advance : moves the model one check further and returns (steps so far, mean loss)
    score : measures the validation MAE of the model as it stands, degrees
    optimizers : by name; what a checkpoint must hold beside the weights
    identity : JSON-able; what a checkpoint must say of itself to belong to this run
    """
    identity = identity | {
        "start": digest(value.detach().cpu().numpy() for value in model.state_dict().values())
    }
    history, best = _resume(checkpoint, model, optimizers, identity)
    for check in range(len(history), plan.checks):
        if _stalled(history, plan.patience):
            break
        steps, loss = advance(check)
        history.append(Check(steps, loss, score()))
        if history[-1].validation_mae <= min(past.validation_mae for past in history):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        if checkpoint is not None:
            _keep(checkpoint, model, best, optimizers, history, identity)
        report(history[-1])
    model.load_state_dict(best)
    return history


def predict(model: nn.Module, films: np.ndarray, batch: int = 50) -> Prediction:
    """Measure films (n, h, w) uint8; the prediction holds float64 arrays instead of tensors.

    Raises
    ------
    InputError
        Films of another shape or type.
    """
    films = np.ascontiguousarray(films)
    fits = (
        films.ndim == 3
        and films.dtype == np.uint8
        and films.shape[1:] in map(radiograph.canvas, LONG_SIDES_PX)
    )
    require(
        fits,
        "films",
        (films.shape, str(films.dtype)),
        "uint8 of shape (n, height, width), such as (n, 256, 208)",
    )
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [
            model(_bright(torch.from_numpy(films[i : i + batch]).to(device)))
            for i in range(0, len(films), batch)
        ]
    require(bool(parts), "films", films.shape, "at least one film")
    joined = (None if part[0] is None else torch.cat(part).cpu().double().numpy() for part in zip(*parts))
    return Prediction(*joined)


def validation_mae(model: nn.Module, data: FilmSet) -> float:
    """Mean absolute error over films and angles against the rated angles, degrees."""
    said = predict(model, data.films).angles_deg
    return float(np.abs(evaluation.angle_errors(said, data.rated_angles_deg)).mean())


def batches(n: int, batch: int, seed: Seed, first: int = 0) -> Iterator[np.ndarray]:
    """Yield index arrays without end, epoch after epoch, from step `first` on.

    An epoch is a fresh permutation cut into whole batches; what is left over is left out.
    """
    size = min(n, batch)
    per_epoch = steps_per_epoch(n, batch)
    epoch, skip = divmod(int(first), per_epoch)
    while True:
        order = np.random.default_rng([*seed, 0, epoch]).permutation(n)
        for i in range(skip, per_epoch):
            yield order[i * size : (i + 1) * size]
        epoch, skip = epoch + 1, 0


def steps_per_epoch(n: int, batch: int) -> int:
    """Return how many whole batches `n` films give, at least one."""
    return max(1, n // batch)


def learning_rate(plan: Plan, progress: float) -> float:
    """Rise over `plan.warmup`, then fall as a cosine to zero; progress in [0, 1)."""
    if progress < plan.warmup:
        return plan.learning_rate * (0.1 + 0.9 * progress / plan.warmup)
    return plan.learning_rate * 0.5 * (1 + np.cos(np.pi * (progress - plan.warmup) / (1 - plan.warmup)))


def augment(
    films: Tensor, landmarks_px: Tensor, plan: Plan, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Turn, zoom, shift and re-expose each film at random; the landmarks go along.

    films : (n, h, w) uint8;  landmarks_px : (n, 6, 2).  Returns films (n, 1, h, w) in [0, 1] and landmarks.
    """
    n, height, width = films.shape
    turn = np.radians(rng.uniform(-plan.turn_deg, plan.turn_deg, n))
    zoom = np.exp(rng.uniform(-plan.zoom, plan.zoom, n))
    shift = rng.uniform(-plan.shift, plan.shift, (n, 2)) * [width, height]
    matrix = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).transpose(2, 0, 1)
        * zoom[:, None, None]
    )
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix, shift, middle = (torch.from_numpy(a).to(landmarks_px) for a in (matrix, shift, middle))
    moved = (landmarks_px - middle) @ matrix.mT + middle + shift[:, None]

    half = torch.tensor([width / 2, height / 2]).to(matrix)
    back = torch.linalg.inv(matrix)
    theta = torch.cat([back * half / half[:, None], -(back @ shift[..., None]) / half[:, None]], -1)
    grid = _grid(theta, height, width)
    gamma = np.exp(rng.uniform(-plan.contrast, plan.contrast, (n, 1)))
    curve = torch.from_numpy((np.arange(256) / 255) ** gamma).to(matrix)  # a display curve for each film
    exposed = curve.gather(1, films.flatten(1).long()).view(n, 1, height, width)
    return F.grid_sample(exposed, grid, mode="bilinear", padding_mode="zeros", align_corners=False), moved


def _grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Do what `F.affine_grid` does, ten times faster on a CPU: (n, 2, 3) to (n, h, w, 2)."""
    y, x = (((torch.arange(size, device=theta.device) + 0.5) * 2 / size - 1) for size in (height, width))
    row = theta[:, :, 0, None, None] * x + theta[:, :, 2, None, None]
    return (row + theta[:, :, 1, None, None] * y[:, None]).permute(0, 2, 3, 1)


def new_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW over the model's weights."""
    return torch.optim.AdamW(
        model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )


def film_digest(data: FilmSet) -> str:
    """Name a set of films by what training takes from it, in 16 hex digits."""
    return digest((data.films, data.rated_landmarks_px))


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Name arrays by shape and content, in 16 hex digits."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(repr(array.shape).encode() + array.tobytes())
    return sha.hexdigest()[:16]


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool whose workers compute on one thread each; restore the thread count at the end."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called "cpu", "cuda", "mps", or the best there is for "auto"."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present = [device for device, found in there.items() if found]
    require(name == "auto" or name in present, "device", name, f"auto or one of {', '.join(present)}")
    return torch.device(present[-1] if name == "auto" else name)


def _tensors(data: FilmSet, index, model) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    return torch.from_numpy(data.films[index]).to(device), torch.from_numpy(
        data.rated_landmarks_px[index]
    ).float().to(device)


def _bright(films: Tensor) -> Tensor:
    """uint8 (n, h, w) to float (n, 1, h, w) in [0, 1]."""
    return films[:, None].float() / 255


def _stalled(history: list[Check], patience: int) -> bool:
    errors = [check.validation_mae for check in history]
    return len(errors) > patience and min(errors[-patience:]) > min(errors)


def _keep(path, model, best, optimizers, history, identity) -> None:
    """Write everything needed to go on: weights, best weights, optimiser state, history."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for who, optimizer in optimizers.items():
        for i, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{who}/{i}/{slot}": value for slot, value in slots.items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    store.save_tensors(path, arrays, {"history": history, "identity": identity})


def _resume(path, model, optimizers, identity) -> tuple[list[Check], dict]:
    """Load what `_keep` wrote into model and optimisers; a fresh start where there is no file."""
    if path is None or not Path(path).exists():
        return [], {name: value.clone() for name, value in model.state_dict().items()}
    arrays, note = store.load_tensors(path)
    if note.get("identity") != identity:
        raise InputError(str(path), note.get("identity"), f"a checkpoint of this run, {identity}")
    parts = {
        kind: {
            k.removeprefix(f"{kind}/"): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith(f"{kind}/")
        }
        for kind in ("model", "best", "optimizer")
    }
    model.load_state_dict(parts["model"])
    for who, optimizer in optimizers.items():
        state = optimizer.state_dict()
        for name, value in parts["optimizer"].items():
            owner, i, slot = name.rsplit("/", 2)
            if owner == who:
                state["state"].setdefault(int(i), {})[slot] = value
        optimizer.load_state_dict(state)
    device = next(model.parameters()).device
    return [Check(*check) for check in note["history"]], {k: v.to(device) for k, v in parts["best"].items()}
