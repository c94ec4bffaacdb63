"""From films to angles: a direct regressor and a landmark network.  Taught in ch07.

Both take canonical films ``(n, 1, h, w)`` in [0, 1] and are normalised per film and
group of channels, never over a batch: batch statistics would differ from hospital to
hospital and could not be averaged honestly.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lumbo import angles, store
from lumbo.errors import require

CHANNELS = (16, 32, 64, 128)  # features at 1/4, 1/8, 1/16 and 1/32 of the film
DECODED = 16  # features at each scale on the way back to 1/4
POOLED = (4, 3)  # rows and columns that the regressor sees of the deepest features
STRIDE = 4  # film pixels per heat-map cell
SPREAD_PX = 6.0  # standard deviation of the target blob around a rated landmark
TYPICAL_DEG = (36.0, 15.0, 51.0, 46.0)  # SS PT PI LL near the middle of the cohorts' published means
UNIT_DEG = 10.0  # the regressor's outputs are in tens of degrees from there


class Prediction(NamedTuple):
    """What a model says of `n` films: angles_deg (n, 4), landmarks_px (n, 6, 2) or None."""

    angles_deg: Tensor
    landmarks_px: Tensor | None


class Regressor(nn.Module):
    """Map a film straight to SS, PT, PI, LL; nothing ties PI to PT + SS."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        grid = POOLED[0] * POOLED[1]
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(CHANNELS[-1] * grid, 64), nn.ReLU(), nn.Linear(64, 4)
        )

    def forward(self, films: Tensor) -> Prediction:
        """Predict angles from films (n, 1, h, w)."""
        deep = pool(self.encoder(films)[-1], POOLED)
        return Prediction(self.head(deep) * UNIT_DEG + deep.new_tensor(TYPICAL_DEG), None)

    def loss(self, films: Tensor, landmarks_px: Tensor) -> Tensor:
        """Mean absolute error against the rated angles, in tens of degrees."""
        rated = angles.lumbopelvic_angles(landmarks_px, "left")
        return F.l1_loss(self(films).angles_deg, rated) / UNIT_DEG


class LandmarkNet(nn.Module):
    """Find six landmarks as the means of heat maps and measure the angles on them.

    The soft-argmax of Nibali et al. 2018 makes a coordinate out of a heat map, and
    `angles.lumbopelvic_angles` is the last layer, so PI = PT + SS always holds.
    """

    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, DECODED, 1) for channels in CHANNELS)
        self.smooth = nn.ModuleList(block(DECODED, DECODED) for _ in CHANNELS[1:])
        self.head = nn.Conv2d(DECODED, len(angles.LANDMARKS), 1)

    def forward(self, films: Tensor) -> Prediction:
        """Predict landmarks and angles from films (n, 1, h, w)."""
        landmarks_px = soft_argmax(self.heat(films))
        return Prediction(angles.lumbopelvic_angles(landmarks_px, "left"), landmarks_px)

    def heat(self, films: Tensor) -> Tensor:
        """Return heat maps before the softmax, (n, 6, h / 4, w / 4)."""
        levels = [lateral(level) for lateral, level in zip(self.lateral, self.encoder(films))]
        deep = levels.pop()
        for smooth, level in zip(self.smooth, reversed(levels)):
            deep = smooth(level + F.interpolate(deep, level.shape[-2:], mode="bilinear"))
        return self.head(deep)

    def loss(self, films: Tensor, landmarks_px: Tensor) -> Tensor:
        """Cross-entropy to blobs on the rated landmarks, plus their mean distance in blob widths."""
        heat = self.heat(films)
        blobs = blob(landmarks_px, heat.shape[-2:])
        entropy = -(blobs * heat.flatten(2).log_softmax(-1)).sum(-1).mean()
        return entropy + (soft_argmax(heat) - landmarks_px).abs().mean() / SPREAD_PX


class Encoder(nn.Module):
    """Four scales of features, at 1/4, 1/8, 1/16 and 1/32 of the film."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, CHANNELS[0], 7, STRIDE, 3), nn.GroupNorm(8, CHANNELS[0]), nn.ReLU()
        )
        steps = zip(CHANNELS, CHANNELS[1:])
        self.stages = nn.ModuleList(nn.Sequential(block(a, b, 2), block(b, b)) for a, b in steps)

    def forward(self, films: Tensor) -> list[Tensor]:
        """Return the features of each scale, finest first."""
        levels = [self.stem(films - 0.5)]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Convolve 3 x 3, normalise groups of channels, rectify."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(8, outputs), nn.ReLU())


def pool(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Do what `F.adaptive_avg_pool2d` does, on any device: (n, c, h, w) to (n, c, *size)."""
    rows, columns = (_windows(have, want).to(features) for have, want in zip(features.shape[-2:], size))
    return rows @ features @ columns.mT


def _windows(have: int, want: int) -> Tensor:
    """Weights that average `have` cells into `want` windows, which may share cells: (want, have)."""
    cell, window = torch.arange(have), torch.arange(want)[:, None]
    inside = (cell >= window * have // want) & (cell < -(-(window + 1) * have // want))
    return inside / inside.sum(1, keepdim=True)


def soft_argmax(heat: Tensor) -> Tensor:
    """Mean position in film pixels under the softmax of each heat map: (n, k, h, w) to (n, k, 2)."""
    share = heat.flatten(2).softmax(-1).view_as(heat)
    y, x = (torch.arange(size, dtype=heat.dtype, device=heat.device) for size in heat.shape[-2:])
    cells = torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)
    return cells * STRIDE + (STRIDE - 1) / 2


def blob(landmarks_px: Tensor, size: tuple[int, int]) -> Tensor:
    """Normal distribution around each landmark on the heat-map grid, (n, k, h * w); sums to 1."""
    y, x = (torch.arange(s, device=landmarks_px.device) * STRIDE + (STRIDE - 1) / 2 for s in size)
    column = (y - landmarks_px[..., 1:]) ** 2
    row = (x - landmarks_px[..., :1]) ** 2
    square = column[..., :, None] + row[..., None, :]
    return (-square.flatten(2) / (2 * SPREAD_PX**2)).softmax(-1)


NETWORKS = {"regressor": Regressor, "landmarks": LandmarkNet}


def build(network: str, seed: int) -> nn.Module:
    """Make a freshly initialised network; the same seed gives the same weights, in any thread."""
    require(network in NETWORKS, "network", network, f"one of {', '.join(NETWORKS)}")
    with torch.device("meta"):
        model = NETWORKS[network]()
    return initialise(model.to_empty(device="cpu"), torch.Generator().manual_seed(seed))


def initialise(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw all weights anew: He et al. 2015 for convolutions and layers; norms 1, biases 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.GroupNorm):
            nn.init.ones_(layer.weight)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)
    return model


def save(path: Path, model: nn.Module, note: dict) -> Path:
    """Write weights and a JSON-able note to a safetensors file, atomically."""
    arrays = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    network = next(name for name, kind in NETWORKS.items() if type(model) is kind)
    return store.save_tensors(path, arrays, note | {"network": network})


def load(path: Path) -> nn.Module:
    """Read a network that `save` wrote.

    Raises `InputError` naming the path when the file is unreadable or its weights do not fit.
    """
    arrays, note = store.load_tensors(path)
    network = note.get("network")
    require(network in list(NETWORKS), str(path), f"network {network!r}", f"one of {', '.join(NETWORKS)}")
    model = build(network, seed=0)
    fits = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: value.shape for name, value in arrays.items()}
    for name in sorted(fits.keys() | found.keys()):
        require(
            fits.get(name) == found.get(name), f"{path}: {name}", found.get(name), f"shape {fits.get(name)}"
        )
        require(bool(np.isfinite(arrays[name]).all()), f"{path}: {name}", "not finite", "finite weights")
    model.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return model
