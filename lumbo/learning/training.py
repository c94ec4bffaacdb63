"""The one training loop and the one predict.  Taught in on_its_own.

Every arm of the experiment takes its steps in `run_steps` and is checked, stopped and
kept in `descend`.  Local and centralized training differ only in whose films the steps
see; federated training also averages between them (`lumbo.learning.federated`).  Batches,
augmentation and what a network leaves to chance are a function of (seed, step), so a run
that was killed and resumed takes exactly the steps it would have taken.

All chance is drawn on the host, in NumPy; what a step computes from it is a function of
tensors, which a GPU records once and replays (a CUDA graph): our networks are small, and
launching their kernels, hundreds or a thousand, takes several times as long as running them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbo import angles, store
from lumbo.films import radiograph
from lumbo.learning import evaluation
from lumbo.errors import InputError, number, require, whole
from lumbo.films.hospitals import FilmSet
from lumbo.learning.models import Network, Prediction

__all__ = [
    "Seed",
    "LONG_SIDES_PX",
    "FILMS_AT_ONCE",
    "Plan",
    "Check",
    "fit",
    "check_films",
    "run_steps",
    "descend",
    "predict",
    "validation_mae",
    "batches",
    "steps_per_epoch",
    "learning_rate",
    "Moves",
    "draw_moves",
    "move",
    "augment",
    "new_optimizer",
    "reset",
    "film_digest",
    "digest",
    "one_thread_each",
    "pick_device",
]

Seed = tuple[int, ...]
LONG_SIDES_PX = range(32, 1025, 16)
FILMS_AT_ONCE = 50  # that `predict` shows a network


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
    seed : decides order and augmentation; on a CPU the same seed and number of threads give the same weights
    checkpoint : file to keep progress in; an interrupted run resumes from it with the same result
    report : called after each check

    Raises
    ------
    InputError
        No films, landmarks that cannot be measured, a loss that is no longer finite, or a checkpoint that
        is unreadable or belongs to another run.
    """
    check_films("train", train)
    check_films("validation", validation)
    optimizer = new_optimizer(model, plan)
    bounds = np.linspace(0, plan.steps, plan.checks + 1).astype(int)

    def advance(check: int) -> tuple[int, float]:
        first, last = bounds[check], bounds[check + 1]
        return int(last), float(run_steps(model, optimizer, train, plan, seed, first, last, plan.steps))

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


def check_films(name: str, data: FilmSet) -> None:
    """Raise `InputError` unless there are films, and angles can be measured on all rated landmarks."""
    require(len(data) > 0, name, 0, "at least one film")
    angles.lumbopelvic_angles(data.rated_landmarks_px, "left")


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

    The loss is left on the device: a GPU need not be done when this returns.
    """
    model.train()
    device, losses = next(model.parameters()).device, []
    for step, index in zip(range(first, last), batches(len(data), plan.batch, seed, first)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(plan, step / total)
        rng = np.random.default_rng([*seed, 1, step])
        given = _drawn(data, index, model, plan, rng)
        if device.type == "cuda":
            losses.append(_on_gpu(model, given, device))
        else:
            losses.append(_gradients(model, [values.to(device) for values in given]))
        optimizer.step()
    return torch.stack(losses).mean()


def descend(
    model: nn.Module,
    advance: Callable[[int], tuple[int, float]],
    validate: Callable[[], float],
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
    validate : measures the validation MAE of the model as it stands, degrees
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
        require(np.isfinite(loss), "loss", loss, "a finite number; try a lower plan.learning_rate")
        history.append(Check(steps, loss, validate()))
        if history[-1].validation_mae <= min(past.validation_mae for past in history):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        if checkpoint is not None:
            _keep(checkpoint, model, best, optimizers, history, identity)
        report(history[-1])
    model.load_state_dict(best)
    _RECORDED.pop(model, None)  # a GPU has better use for the memory
    return history


def predict(model: nn.Module, films: np.ndarray, batch: int = FILMS_AT_ONCE) -> Prediction:
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


class Moves(NamedTuple):
    """What augmentation does with n films; all tensors of one type.

    matrix (n, 2, 2), middle (2,), shift (n, 2) : where a landmark goes, px, turned and zoomed about the middle
    theta (n, 2, 3) : where a pixel comes from, as in `F.affine_grid`
    curve (n, 256) : how bright each grey level is shown, in [0, 1]
    """

    matrix: Tensor
    middle: Tensor
    shift: Tensor
    theta: Tensor
    curve: Tensor


def draw_moves(
    shape: tuple[int, int, int], plan: Plan, rng: np.random.Generator, dtype: torch.dtype = torch.float32
) -> Moves:
    """Draw how `augment` turns, zooms, shifts and re-exposes films of a shape (n, h, w)."""
    n, height, width = shape
    turn = np.radians(rng.uniform(-plan.turn_deg, plan.turn_deg, n))
    zoom = np.exp(rng.uniform(-plan.zoom, plan.zoom, n))
    shift = rng.uniform(-plan.shift, plan.shift, (n, 2)) * [width, height]
    gamma = np.exp(rng.uniform(-plan.contrast, plan.contrast, (n, 1)))
    matrix = (
        np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).transpose(2, 0, 1)
        * zoom[:, None, None]
    )
    middle, half = np.array([(width - 1) / 2, (height - 1) / 2]), np.array([width / 2, height / 2])
    curve = (np.arange(256) / 255) ** gamma
    matrix, middle, half, shift, curve = (
        torch.from_numpy(values).to(dtype) for values in (matrix, middle, half, shift, curve)
    )
    back = torch.linalg.inv(matrix)
    theta = torch.cat([back * half / half[:, None], -(back @ shift[..., None]) / half[:, None]], -1)
    return Moves(matrix, middle, shift, theta, curve)


def move(films: Tensor, landmarks_px: Tensor, moves: Moves) -> tuple[Tensor, Tensor]:
    """Do with films and landmarks what was drawn; for shapes see `augment`."""
    n, height, width = films.shape
    moved = (landmarks_px - moves.middle) @ moves.matrix.mT + moves.middle + moves.shift[:, None]
    exposed = moves.curve.gather(1, films.flatten(1).long()).view(n, 1, height, width)
    grid = _grid(moves.theta, height, width)
    return F.grid_sample(exposed, grid, mode="bilinear", padding_mode="zeros", align_corners=False), moved


def augment(
    films: Tensor, landmarks_px: Tensor, plan: Plan, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Turn, zoom, shift and re-expose each film at random; the landmarks go along.

    films : (n, h, w) uint8;  landmarks_px : (n, 6, 2).  Returns films (n, 1, h, w) in [0, 1] and landmarks.
    """
    moves = draw_moves(tuple(films.shape), plan, rng, landmarks_px.dtype)
    return move(films, landmarks_px, Moves(*(values.to(landmarks_px.device) for values in moves)))


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


def reset(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimiser forget what it has seen, in place: a new one would have to be given memory anew."""
    for slots in optimizer.state.values():
        for value in slots.values():
            value.zero_()


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
    """Give a pool whose workers compute on one thread each; restore the thread count at the end.

    An error drops the jobs that have not begun and waits for those that have.
    """
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        torch.set_num_threads(before)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called "cpu", "cuda", "mps", or the best there is for "auto"."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    present = [device for device, found in there.items() if found]
    require(name == "auto" or name in present, "device", name, f"auto or one of {', '.join(present)}")
    return torch.device(present[-1] if name == "auto" else name)


def _drawn(data: FilmSet, index: np.ndarray, model, plan: Plan, rng: np.random.Generator) -> list[Tensor]:
    """Return what `_scored` takes after the model, on the host, real numbers as float32."""
    films, landmarks_px = data.films[index], data.rated_landmarks_px[index]
    drawn = films, landmarks_px, *draw_moves(films.shape, plan, rng), *model.draw(len(index), rng)
    tensors = map(torch.as_tensor, drawn)
    return [values.float() if values.is_floating_point() else values for values in tensors]


def _scored(model: nn.Module, films: Tensor, landmarks_px: Tensor, *chance: Tensor) -> Tensor:
    """Return the loss of a step, given what was drawn: `Moves` and what the model leaves to chance."""
    moves, drawn = Moves(*chance[: len(Moves._fields)]), chance[len(Moves._fields) :]
    return model.score(*move(films, landmarks_px, moves), *drawn)


def _gradients(model: nn.Module, given: list[Tensor]) -> Tensor:
    """Leave the gradients of a step in the weights; return its loss."""
    model.zero_grad()
    loss = _scored(model, *given)
    loss.backward()
    return loss.detach()


class _Recording:
    """`_gradients` on a GPU for inputs of one shape, recorded once and replayed; it holds no model alive."""

    def __init__(self, model: nn.Module, given: list[Tensor], device: torch.device):
        self.given = [values.to(device) for values in given]
        here, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(3):  # what libraries do at their first call cannot be recorded
                _gradients(model, self.given)
        here.wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=aside):
            self.loss = _gradients(model, self.given)
        self.gradients = [weight.grad for weight in model.parameters()]
        self.places = self._places(model)

    def fits(self, model: nn.Module) -> bool:
        """Say whether weights and gradients lie where they lay: a model that was moved has others."""
        return self.places == self._places(model)

    def _places(self, model: nn.Module) -> list[int]:
        return [tensor.data_ptr() for tensor in (*model.parameters(), *self.gradients)]

    def replay(self, model: nn.Module, given: list[Tensor]) -> Tensor:
        """Do as `_gradients` with inputs on the host."""
        for place, values in zip(self.given, given):
            place.copy_(values.pin_memory(), non_blocking=True)
        for weight, gradient in zip(model.parameters(), self.gradients):
            weight.grad = gradient
        self.graph.replay()
        return self.loss.clone()


_RECORDED: WeakKeyDictionary[nn.Module, dict[tuple, _Recording]] = WeakKeyDictionary()


def _on_gpu(model: nn.Module, given: list[Tensor], device: torch.device) -> Tensor:
    """Do as `_gradients` by replaying it; record it when films of a shape come for the first time."""
    recorded, shape = _RECORDED.setdefault(model, {}), given[0].shape
    if shape not in recorded or not recorded[shape].fits(model):
        recorded[shape] = _Recording(model, given, device)
    return recorded[shape].replay(model, given)


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
