"""A plain landmark network, as in the literature: heat maps of a U-Net.  `hardness.py` trains it beside the book's.

Five points, as in spine-measure-assist (github.com/masaki39/spine-measure-assist): the ends of the S1 and the L1 plate, and
the hip axis.  Mean squared error of Gaussian heat maps, Adam, the brightest pixel with the mean of its neighbours.  Nothing in
it knows of angles, of plates or of a second look.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbo.films.hospitals import FilmSet
from lumbo.learning import models, training
from lumbo.learning.augment import draw_moves, move

POINTS = ("s1_anterior", "s1_posterior", "l1_anterior", "l1_posterior", "hip_axis")
CHANNELS = (8, 16, 32, 64)  # at 1/4, 1/8, 1/16 and 1/32 of the film
SHRINK = 4  # a heat map has 64 x 52 pixels: with 128 x 104 of them a step costs four times as much
SIGMA = 1.0  # of a heat map, in its own pixels: 4 px of the film
BATCH, LEARNING_RATE, CHECKS = 8, 1e-3, 20
SHIFT, ZOOM, BRIGHTNESS = 0.06, 0.10, 0.25  # augmentation: at most, as in `training.Plan`; no turning


class UNet(nn.Module):
    """Films (n, 1, h, w) to heat maps (n, 5, h / 4, w / 4)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS[0], 7, SHRINK, 3)
        self.down = nn.ModuleList(double(a, b) for a, b in pairwise((CHANNELS[0], *CHANNELS)))
        up = list(pairwise(CHANNELS))[::-1]
        self.up = nn.ModuleList(double(a + b, a) for a, b in up)
        self.head = nn.Conv2d(CHANNELS[0], len(POINTS), 1)

    def forward(self, films: Tensor) -> Tensor:
        """Climb down four scales and up again."""
        seen, level = [], F.relu(self.stem(films - 0.5))
        for block in self.down:
            level = block(F.max_pool2d(level, 2, ceil_mode=True) if seen else level)
            seen.append(level)
        level = seen.pop()
        for block in self.up:
            beside = seen.pop()
            level = F.interpolate(level, beside.shape[-2:], mode="bilinear", align_corners=False)
            level = block(torch.cat([level, beside], 1))
        return self.head(level)


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Convolve twice, each time normalised over the batch and rectified."""
    layers = [
        (nn.Conv2d(a, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        for a in (inputs, outputs)
    ]
    return nn.Sequential(*layers[0], *layers[1])


def build(seed: int) -> UNet:
    """Make a freshly initialised network."""
    model = models.initialise(UNet(), torch.Generator().manual_seed(seed))
    nn.init.zeros_(
        model.head.weight
    )  # most of a heat map is 0: from noise it would take 1,500 steps more to get there
    return model


def five(landmarks_px):
    """Take the points of six landmarks (n, 6, 2), arrays or tensors: (n, 5, 2)."""
    join = torch.cat if isinstance(landmarks_px, Tensor) else np.concatenate
    hip = (landmarks_px[:, 4:5] + landmarks_px[:, 5:6]) / 2
    return join([landmarks_px[:, :4], hip], 1)


def six(points_px: np.ndarray) -> np.ndarray:
    """Return points (n, 5, 2) as landmarks (n, 6, 2): both heads lie on the hip axis."""
    return np.concatenate([points_px, points_px[:, 4:]], 1)


def heat_maps(points_px: Tensor, shape: tuple[int, int]) -> Tensor:
    """Draw what the network shall say: a Gaussian of height 1 at each point (n, 5, 2) of the film."""
    x, y = ((points_px + 0.5) / SHRINK - 0.5).unbind(-1)
    row, column = (
        torch.exp(-((torch.arange(size) - place[..., None]) ** 2) / (2 * SIGMA**2))
        for size, place in zip(shape, (y, x))
    )
    return row[..., :, None] * column[..., None, :]


def read(heat: Tensor) -> Tensor:
    """Find the brightest pixel of each heat map and the mean of the 5 x 5 around it: points on the film (n, 5, 2)."""
    height, width = heat.shape[-2:]
    best = heat.flatten(2).argmax(-1)
    row, column = (torch.arange(-2, 3) + place[..., None] for place in (best // width, best % width))
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    around = heat.flatten(2).gather(2, (row[..., :, None] * width + column[..., None, :]).flatten(2))
    weight = around.clamp(min=1e-6).unflatten(2, (5, 5))
    weight = weight / weight.sum((2, 3), keepdim=True)
    places = [(weight.sum(3 - axis) * place).sum(-1) for axis, place in ((1, column), (0, row))]
    return (torch.stack(places, -1) + 0.5) * SHRINK - 0.5


def fit(
    model: UNet,
    train: FilmSet,
    validation: FilmSet,
    steps: int,
    seed: int,
    report: Callable[[int, float], None] = lambda steps, off_px: None,
) -> int:
    """Train in place on rated landmarks, leave the weights of the best check in it and return its steps.

    A check is the mean distance of the points of the validation films, in pixels.
    """
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    best = (np.inf, 0, {})
    for first, last in pairwise(training.check_bounds(steps, min(CHECKS, steps))):
        model.train()
        for films, points_px in batches(train, seed, first, last):
            heat = model(films)
            loss = F.mse_loss(heat, heat_maps(points_px, heat.shape[-2:]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        off = five(predict(model, validation.films)) - five(validation.rated_landmarks_px)
        off_px = float(np.hypot(*np.moveaxis(off, -1, 0)).mean())
        if off_px < best[0]:
            best = off_px, last, {name: value.clone() for name, value in model.state_dict().items()}
        report(last, off_px)
    model.load_state_dict(best[2])
    return best[1]


def batches(data: FilmSet, seed: int, first: int, last: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give films (8, 1, h, w) and points (8, 5, 2) of each step, moved a little."""
    for step, index in zip(range(first, last), training.batches(len(data), BATCH, (seed,), first)):
        films = torch.from_numpy(data.films[index])
        landmarks = torch.from_numpy(data.rated_landmarks_px[index]).float()
        rng = np.random.default_rng([seed, 1, step])
        moves = draw_moves(tuple(films.shape), rng, 0.0, ZOOM, SHIFT, BRIGHTNESS)
        films, landmarks = move(films, landmarks, moves)
        yield films, five(landmarks)


def predict(model: UNet, films: np.ndarray) -> np.ndarray:
    """Find landmarks on films (n, h, w) uint8: (n, 6, 2), both heads on the hip axis."""
    model.eval()
    with torch.inference_mode():
        parts = [
            read(model(torch.from_numpy(part)[:, None] / 255.0)).double().numpy()
            for part in np.split(films, range(50, len(films), 50))
        ]
    return six(np.concatenate(parts))
