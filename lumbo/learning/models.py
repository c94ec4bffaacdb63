"""From films to angles: a direct regressor and a landmark network.  Taught in film_to_angles.

Both take canonical films ``(n, 1, h, w)`` in [0, 1] of any `radiograph.canvas` size, and say
beside each angle how far off they expect to be.  Features are normalised per film and
group of channels, never over a batch: batch statistics would differ from hospital to
hospital and could not be averaged honestly.

Inside a network a place on a film is ``(x, y)`` in *film heights* from its upper left
corner, so nothing depends on the number of pixels; outside it is in pixels.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbo import angles, store
from lumbo.errors import choice, instance, require, whole

__all__ = [
    "GLANCE",
    "CHANNELS",
    "DECODED",
    "POOLED",
    "SQUARE",
    "FIELDS",
    "CLOSER",
    "SEEN",
    "LOOKS",
    "PAIRS",
    "BLOB",
    "MISS",
    "TILT",
    "PLATE",
    "TYPICAL_DEG",
    "UNIT_DEG",
    "SPREAD_DEG",
    "WILD_DEG",
    "LEFT",
    "Prediction",
    "Network",
    "Regressor",
    "LandmarkNet",
    "Encoder",
    "Glance",
    "Closer",
    "block",
    "summary",
    "aim",
    "misses",
    "aside",
    "askew",
    "turn",
    "cut",
    "pool",
    "constant",
    "soft_argmax",
    "blob",
    "centres",
    "spread",
    "angle_error",
    "laplace",
    "NETWORKS",
    "build",
    "initialise",
    "packed",
    "unpack",
    "save",
    "load",
]

GLANCE = (128, 104)  # rows and columns of the film at a glance
CHANNELS = (16, 32, 64, 128)  # its features, at 1/4, 1/8, 1/16 and 1/32 of that
DECODED = 16  # features at each scale on the way back to 1/4
POOLED = (4, 3)  # rows and columns that the regressor sees of the deepest features
SQUARE = 64  # rows and columns of a closer look
FIELDS = 0.375, 0.25, 0.25  # its side for each pair, in film heights
CLOSER = (16, 32, 64, 64)  # its features, at 1/2, 1/4, 1/8 and 1/16 of that
SEEN = 64  # numbers that a closer look is summed up in
LOOKS = 3  # closer looks at each pair of landmarks, each aimed by the one before
PAIRS = len(angles.LANDMARKS) // 2  # the ends of S1, the ends of L1, the femoral heads
BLOB = 12 / 256  # standard deviation of the target blob around a rated landmark, film heights
MISS = 1 / 64  # how far from a pair a closer look learns to be aimed: standard deviation, film heights
TILT = 0.12  # and how far turned, radians
PLATE = 11 / 256  # about half an endplate, film heights
TYPICAL_DEG = (36.0, 15.0, 51.0, 46.0)  # SS PT PI LL near the middle of the cohorts' published means
UNIT_DEG = 10.0  # angles are learnt in tens of degrees
SPREAD_DEG = 4.0  # expected errors before anything is learnt
WILD_DEG = 40.0  # an error beyond it pulls no harder
LEFT = angles.SIDES["left"]  # where everybody faces on a canonical film

_Values = TypeVar("_Values", Tensor, np.ndarray)
_Module = TypeVar("_Module", bound=nn.Module)


class Prediction(NamedTuple, Generic[_Values]):
    """What a model says of `n` films: tensors from a network, arrays from `training.predict`.

    angles_deg : (n, 4), SS PT PI LL
    spread_deg : (n, 4), how far off it expects each to be: right in order rather than in size, which
        `evaluation.interval_factors` corrects
    landmarks_px : (n, 6, 2), or None where a model finds none
    """

    angles_deg: _Values
    spread_deg: _Values
    landmarks_px: _Values | None


class Network(nn.Module):
    """What training asks of a network: `draw` and `score`, and `forward` that returns a `Prediction`.

    All chance is drawn on the host; the score is a function of tensors without a decision that depends on
    their values and without a copy from the host, so that a GPU can replay it as a whole.

    score : returns the training loss on films (n, 1, h, w) with rated landmarks (n, 6, 2), given what was drawn
    """

    score: Callable[..., Tensor]  # (films, landmarks_px, *drawn); how much is drawn differs

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw what the loss on `n` films leaves to chance."""
        return ()

    def loss(self, films: Tensor, landmarks_px: Tensor, rng: np.random.Generator) -> Tensor:
        """Draw and score: for whoever writes a loop of their own; `training` calls the two themselves."""
        drawn = self.draw(len(films), rng)
        return self.score(films, landmarks_px, *(torch.from_numpy(values).to(films) for values in drawn))


class Regressor(Network):
    """Map a film straight to SS, PT, PI, LL; nothing ties PI to PT + SS."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        cells = POOLED[0] * POOLED[1]
        self.seen = nn.Sequential(nn.Flatten(), *summary(CHANNELS[-1] * cells))
        self.said = nn.Linear(SEEN, len(angles.ANGLES))
        self.doubt = nn.Linear(SEEN, len(angles.ANGLES))

    def forward(self, films: Tensor) -> Prediction[Tensor]:
        """Predict angles from films (n, 1, h, w)."""
        seen = self.seen(pool(self.encoder(pool(films, GLANCE))[-1], POOLED))
        angles_deg = self.said(seen) * UNIT_DEG + constant(TYPICAL_DEG, seen)
        return Prediction(angles_deg, spread(self.doubt(seen)), None)

    def score(self, films: Tensor, landmarks_px: Tensor) -> Tensor:
        """Score angles and doubt against the rated angles; nothing is left to chance."""
        angles_deg, spread_deg, _ = self(films)
        return laplace(angle_error(angles_deg, landmarks_px), spread_deg)


class LandmarkNet(Network):
    """Find six landmarks at a glance, then look closer at each pair of them.

    At a glance a landmark is the mean of a heat map over the whole film, seen small: the
    soft-argmax of Nibali et al. 2018.  A closer look cuts out a square around a pair, turned
    so that the plate lies level, and says where in it the two landmarks are; the next look
    is aimed by that.  Looking closer is learnt on squares around the rated landmarks,
    aimed about as badly as a glance aims.  `angles.lumbopelvic_angles` is the last layer, so
    PI = PT + SS always holds.
    """

    def __init__(self):
        super().__init__()
        self.glance = Glance()
        self.closer = nn.ModuleList(Closer() for _ in range(PAIRS))
        self.ends = nn.ModuleList(nn.Linear(SEEN, 4) for _ in range(PAIRS))
        self.doubt = nn.Linear(PAIRS * SEEN, len(angles.ANGLES))

    def forward(self, films: Tensor) -> Prediction[Tensor]:
        """Predict landmarks and angles from films (n, 1, h, w)."""
        points = soft_argmax(self.glance(films))
        for _ in range(LOOKS - 1):
            points, _ = self.look(films, *aim(points))
        straight, left, right = (self.look(films, *aside(*aim(points), side)) for side in (0, -1, 1))
        points, spread_deg = straight
        said = torch.stack([angles.lumbopelvic_angles(p, "left") for p, _ in (straight, left, right)])
        doubt = torch.hypot(spread_deg, said.std(0, correction=0))
        return Prediction(said[0], doubt, points * films.shape[-2] - 0.5)

    def look(self, films: Tensor, middle: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        """Look closer at every pair, aimed as `aim` says: its points (n, 6, 2) and their doubt in degrees."""
        squares = cut(films, middle, along).unbind(1)
        seen = [closer(square) for closer, square in zip(self.closer, squares)]
        ends = torch.stack([end(feature) for end, feature in zip(self.ends, seen)], 1)
        level = ends.unflatten(-1, (2, 2)) * PLATE + constant(_LEVEL, ends)
        points = middle[:, :, None] + turn(level, along[:, :, None])
        return points.flatten(1, 2), spread(self.doubt(torch.cat(seen, 1)))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw by how much the closer look misses its aim; see `misses`."""
        return misses(n, rng)

    def score(self, films: Tensor, landmarks_px: Tensor, shift: Tensor, angle: Tensor) -> Tensor:
        """Score a glance and one closer look, aimed askew, against the rated landmarks and angles."""
        rated = (landmarks_px + 0.5) / films.shape[-2]
        heat = self.glance(films)
        entropy = -(blob(rated, heat.shape[-2:]) * heat.flatten(2).log_softmax(-1)).sum(-1).mean()
        glanced = soft_argmax(heat)
        points, spread_deg = self.look(films, *askew(*aim(rated), shift, angle))
        off = (glanced - rated).abs().mean() + 4 * (points - rated).abs().mean()
        rough, fine = (angle_error(angles.measure(p, LEFT), rated) for p in (glanced, points))
        return entropy + off / BLOB + 0.1 * rough.mean() + 0.7 * laplace(fine, spread_deg)


class Encoder(nn.Module):
    """Four scales of features, at 1/4, 1/8, 1/16 and 1/32 of what it is given."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, CHANNELS[0], 7, 4, 3), nn.GroupNorm(8, CHANNELS[0]), nn.ReLU())
        self.stages = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in pairwise(CHANNELS))

    def forward(self, films: Tensor) -> list[Tensor]:
        """Return the features of each scale, finest first."""
        levels = [self.stem(films - 0.5)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels


class Glance(nn.Module):
    """A heat map of each landmark over the whole film, from features of all four scales."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, DECODED, 1) for channels in CHANNELS)
        self.smooth = nn.ModuleList(block(DECODED, DECODED) for _ in CHANNELS[1:])
        self.head = nn.Conv2d(DECODED, len(angles.LANDMARKS), 1)

    def forward(self, films: Tensor) -> Tensor:
        """Return heat maps before the softmax, (n, 6, 32, 26)."""
        seen = self.encoder(pool(films, GLANCE))
        levels = [lateral(level) for lateral, level in zip(self.lateral, seen)]
        deep = levels.pop()
        for smooth, level in zip(self.smooth, reversed(levels)):
            deep = smooth(level + F.interpolate(deep, level.shape[-2:], mode="bilinear"))
        return self.head(deep)


class Closer(nn.Sequential):
    """Sum up squares (n, 1, 64, 64) in `SEEN` numbers each."""

    def __init__(self):
        first, second, third, last = CLOSER
        super().__init__(
            nn.Conv2d(1, first, 5, 2, 2, bias=False),
            nn.GroupNorm(8, first),
            nn.ReLU(),
            *(block(first, second, 2), block(second, second)),
            *(block(second, third, 2), block(third, third)),
            block(third, last, 2),
            nn.Flatten(),
            *summary(last * (SQUARE // 16) ** 2),
        )


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolve 3 x 3, normalise groups of channels, rectify."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, outputs), nn.ReLU())


def summary(inputs: int) -> tuple[nn.Module, ...]:
    """Sum up features in `SEEN` numbers; the rectifier leaks, so that none can die for all films."""
    return nn.Linear(inputs, SEEN), nn.LeakyReLU(0.1)


def aim(points: Tensor) -> tuple[Tensor, Tensor]:
    """Say where to look closer at points (n, 6, 2): middle of each pair and unit vector along it, (n, 3, 2).

    The two femoral heads have no order: their square stays upright.
    """
    first, second = points.unflatten(1, (PAIRS, 2)).unbind(2)
    along = second - first
    along = along / along.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    upright = constant((1.0, 0.0), along).expand_as(along[:, -1:])
    return (first + second) / 2, torch.cat([along[:, :-1], upright], 1)


def misses(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw how far looks at `n` films miss their aim: (n, 3, 2) by `MISS` and (n, 3) by `TILT`, for `askew`."""
    return rng.normal(0, MISS, (n, PAIRS, 2)), rng.normal(0, TILT, (n, PAIRS))


def aside(middle: Tensor, along: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Shift what `aim` says by `MISS` to one side, -1 or 1, and turn it by `TILT`; 0 leaves it."""
    shift = constant((side * MISS, 0.0), middle)
    return askew(middle, along, shift, middle.new_full(middle.shape[:2], side * TILT))


def askew(middle: Tensor, along: Tensor, shift: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Shift (n, 3, 2), in film heights, and turn (n, 3), in radians, what `aim` says."""
    return middle + shift, turn(along, torch.stack([angle.cos(), angle.sin()], -1))


def turn(points: Tensor, along: Tensor) -> Tensor:
    """Turn points (..., 2) so that the x axis comes to lie along unit vectors (..., 2)."""
    (x, y), (c, s) = points.unbind(-1), along.unbind(-1)
    return torch.stack([x * c - y * s, x * s + y * c], -1)


def cut(films: Tensor, middle: Tensor, along: Tensor) -> Tensor:
    """Cut a square as large as `FIELDS` says out of films (n, 1, h, w) for each pair, level with `along`.

    Returns (n, 3, 1, SQUARE, SQUARE), mid grey at 0; beyond the film it is black.
    """
    height, width = films.shape[-2:]
    cell = (torch.arange(SQUARE, device=films.device) + 0.5) / SQUARE - 0.5
    cells = cell * constant(FIELDS, cell)[:, None]  # (3, SQUARE)
    down = turn(torch.stack([torch.zeros_like(cells), cells], -1), along[:, :, None])
    right = turn(torch.stack([cells, torch.zeros_like(cells)], -1), along[:, :, None])
    places = (middle[:, :, None] + down)[..., :, None, :] + right[..., None, :, :]
    grid = places * constant((2 * height / width, 2.0), places) - 1  # (n, 3, SQUARE, SQUARE, 2)
    squares = F.grid_sample(films, grid.flatten(1, 2), mode="bilinear", align_corners=False)
    return squares.view(grid.shape[:-1])[:, :, None] - 0.5


def pool(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Do what `F.adaptive_avg_pool2d` does, on any device: (n, c, h, w) to (n, c, *size)."""
    rows, columns = (
        _windows(have, want, images.dtype, images.device) for have, want in zip(images.shape[-2:], size)
    )
    return rows @ images @ columns.mT


# What never changes is made once for each device: when a GPU replays a step, nothing may come from the host.
# Not in inference mode, although a prediction may ask first: training wants to use it, too.


@cache
def _windows(have: int, want: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Weights that average `have` cells into `want` windows, which may share cells: (want, have)."""
    with torch.inference_mode(False):
        cell, window = torch.arange(have), torch.arange(want)[:, None]
        inside = (cell >= window * have // want) & (cell < -(-(window + 1) * have // want))
        return (inside / inside.sum(1, keepdim=True)).to(device, dtype)


def constant(values: tuple, like: Tensor) -> Tensor:
    """Return numbers (a tuple, or tuples of tuples) as a tensor of the kind of `like`; nobody may change it."""
    return _constant(values, like.dtype, like.device)


@cache
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def soft_argmax(heat: Tensor) -> Tensor:
    """Mean place under the softmax of each heat map over a film: (n, k, h, w) to (n, k, 2)."""
    share = heat.flatten(2).softmax(-1).view_as(heat)
    y, x = centres(heat.shape[-2:], heat.device)
    return torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)


def blob(places: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Normal distribution around each place (n, k, 2) on a heat map, (n, k, h * w); sums to 1."""
    y, x = centres(size, places.device)
    column = (y - places[..., 1:]) ** 2
    row = (x - places[..., :1]) ** 2
    square = column[..., :, None] + row[..., None, :]
    return (-square.flatten(2) / (2 * BLOB**2)).softmax(-1)


def centres(size: torch.Size | tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Say where the rows and the columns of a heat map have their middles, in film heights."""
    y, x = ((torch.arange(cells, device=device) + 0.5) / size[0] for cells in size)
    return y, x


def spread(doubt: Tensor) -> Tensor:
    """Turn doubt, 0 before anything is learnt, into the expected error in degrees."""
    return SPREAD_DEG * doubt.exp()


def angle_error(angles_deg: Tensor, landmarks: Tensor) -> Tensor:
    """Return how far angles (n, 4) are from those of rated landmarks, in tens of degrees."""
    rated_deg = angles.measure(landmarks, LEFT)
    return (angles_deg - rated_deg).abs().clamp(max=WILD_DEG) / UNIT_DEG


def laplace(error: Tensor, spread_deg: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of errors of which `spread_deg` is expected (Laplace)."""
    expected = spread_deg / UNIT_DEG
    return (error / expected + expected.log()).mean()


# Where a pair lies on a square.
_LEVEL = (((-PLATE, 0.0), (PLATE, 0.0)),) * (PAIRS - 1) + (((0.0, 0.0),) * 2,)

NETWORKS: dict[str, type[Network]] = {"regressor": Regressor, "landmarks": LandmarkNet}


def build(network: str, seed: int) -> Network:
    """Make a freshly initialised network; the same seed gives the same weights, in any thread."""
    kind, seed = NETWORKS[choice("network", network, NETWORKS)], whole("seed", seed, 0, 2**63 - 1)
    with torch.device("meta"):
        model = kind()
    return initialise(model.to_empty(device="cpu"), torch.Generator().manual_seed(seed))


def initialise(model: _Module, generator: torch.Generator) -> _Module:
    """Draw all weights anew: He et al. 2015 for convolutions and layers; norms 1, biases and doubt 0."""
    for name, layer in model.named_modules():
        if name == "doubt":
            nn.init.zeros_(layer.weight)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.GroupNorm):
            nn.init.ones_(layer.weight)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)
    return model


def packed(model: nn.Module) -> Tensor:
    """Return all weights of a model as one vector, in the order of its parameters: what travels in a federation.

    Raises `InputError` where a model has buffers, such as batch statistics: they would stay behind.
    """
    buffers = [name for name, _ in model.named_buffers()]
    require(
        not buffers, "model.buffers", buffers, "none, such as batch statistics: only weights are averaged"
    )
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def unpack(weights: Tensor, model: nn.Module) -> None:
    """Copy a vector that was `packed` into the weights of a model like the one it comes from.

    The weights stay where they lie, as `lumbo.learning.replay` asks; `vector_to_parameters` moves them.
    """
    own = list(model.parameters())
    size = (sum(value.numel() for value in own),)
    fits = isinstance(weights, Tensor) and weights.shape == size and weights.dtype == own[0].dtype
    require(fits, "weights", weights, f"a tensor of shape {size} {own[0].dtype}")
    with torch.no_grad():
        for value, part in zip(own, weights.split([value.numel() for value in own])):
            value.copy_(part.view_as(value))


def save(path: Path, model: nn.Module, note: dict) -> Path:
    """Write weights and a JSON-able note to a safetensors file, atomically."""
    known = [name for name, kind in NETWORKS.items() if type(model) is kind]
    require(bool(known), "model", type(model).__name__, f"a network of {', '.join(NETWORKS)}")
    network, note = known[0], instance("note", note, dict)
    arrays = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    return store.save_tensors(path, arrays, note | {"network": network})


def load(path: Path) -> Network:
    """Read a network that `save` wrote.

    Raises `InputError` naming the path when the file is unreadable or its weights do not fit.
    """
    arrays, note = store.load_tensors(path)
    model = build(choice(f"{path}: network", note.get("network"), NETWORKS), seed=0)
    fits = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in arrays.items()}
    for name in sorted(fits.keys() | found.keys()):
        require(
            fits.get(name) == found.get(name), f"{path}: {name}", found.get(name), f"shape {fits.get(name)}"
        )
        kind = str(arrays[name].dtype)
        require(kind in ("float16", "float32"), f"{path}: {name}", kind, "float16 or float32")
        require(bool(np.isfinite(arrays[name]).all()), f"{path}: {name}", "not finite", "finite weights")
    model.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return model
