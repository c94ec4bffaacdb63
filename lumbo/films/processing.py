"""What a room makes of the counts: logarithm, equalisation, edges, window, gamma; text and frames.  Taught in spine_to_film."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from lumbo.films import raster
from lumbo.films.radiograph import Exposure, Scanner, smooth
from lumbo.films.variety import Variety

__all__ = ["COMPRESS_MM", "EDGE_MM", "KNEE", "SKIN", "develop"]

COMPRESS_MM = 28.0  # structures wider than this are flattened by `Scanner.compress`
EDGE_MM = 4.0  # structures finer than this are raised by `Scanner.edge`
KNEE = 0.8  # grey levels above it are compressed, so that metal and pelvis do not end in one flat white
SKIN = 0.8  # powers of e that the patient takes from the beam at the skin line


def develop(signal: torch.Tensor, scanner: Scanner, exposure: Exposure, vary: Variety) -> torch.Tensor:
    """Turn signal into grey levels in [0, 1], bone bright.

    In this order: logarithm, equalisation, edge enhancement, window, a slow unevenness, gamma, the collimated
    border, a frame, burnt-in text.  What the room's `Scanner` says is varied from film to film by
    `lumbo.films.variety`, `Scanner.spread` times.

    signal : of all films of the exposure, or of the first n; `vary` draws for all of them
    """
    n, films = len(signal), len(exposure.pixel_mm)

    def per_film(name, usual, log=False):
        own = vary(f"processing.{name}", films)
        value = usual * own**scanner.spread if log else usual + scanner.spread * own
        return raster.tensor(value[:n, None, None])

    density = torch.log(signal).neg_()
    edge = per_film("edge", scanner.edge, log=True)
    local = per_film("local", scanner.compress).clamp_(0, 0.7)
    broad, fine = (smooth(density, width / exposure.usual_mm) for width in (COMPRESS_MM, EDGE_MM))
    inside = _inside(exposure, n)
    body = (density > SKIN) & (inside > 0.5)
    grey = (density * (1 + edge)).sub_(edge * fine).sub_(local * broad)
    low = per_film("black", scanner.window[0]).clamp_(0.0, 0.5)
    high = per_film("white", scanner.window[1]).clamp_(0.8, 0.998)
    low, high = _quantiles(grey, body, low, high)
    grey = grey.sub_(low).div_((high - low).clamp_(min=1e-3)).clamp_(min=0)
    bright = (grey - KNEE).clamp_(min=0)
    grey = grey - bright + (1 - KNEE) * torch.tanh(bright / (1 - KNEE))
    cells = raster.tensor(vary("processing.uneven", films, 16)[:n].reshape(n, 1, 4, 4) * scanner.spread)
    slow = F.interpolate(cells, grey.shape[1:], mode="bicubic", align_corners=False)[:, 0]
    grey = grey.mul_(1 + slow).clamp_(0, 1)
    grey = grey.pow_(per_film("gamma", scanner.gamma, log=True)).mul_(inside)
    return _written(_framed(grey, inside, vary, films), vary, films)


def _quantiles(grey, body, low, high):
    """Grey levels of each film to show as black and as white: quantiles of a sample of the patient."""
    sample = grey.masked_fill(~body, -1e9).flatten(1)[:, ::29].sort(1).values
    outside = (sample < -1e8).sum(1, keepdim=True)
    last = sample.shape[1] - 1
    places = (outside + (share[:, :, 0] * (last - outside)).long() for share in (low, high))
    return (sample.gather(1, place.clamp(0, last))[..., None] for place in places)


def _inside(exposure, n):
    """1 inside the collimated field of each film, else 0, (n, h, w); its edge is a little soft."""
    pixel = raster.tensor(exposure.pixel_mm[:n, None])
    half = raster.tensor(exposure.field_mm[:n] / 2)
    rows, columns = (
        ((half[:, axis, None] - abs(torch.arange(size) - (size - 1) / 2) * pixel) / pixel / 1.5 + 1).clamp_(
            0, 1
        )
        for size, axis in zip(exposure.shape, (1, 0))
    )
    return rows[:, :, None] * columns[:, None]


def _framed(grey, inside, vary, films):
    """Lighten what lies outside the field on some films: a white or grey frame."""
    bright = vary.rng("frame").uniform(0.4, 1.0, films) * (vary("processing.frame", films) > 0)
    frame = raster.tensor(bright[: len(grey), None, None])
    return grey.add_(frame * (1 - inside))


def _written(grey, vary, films):
    """Burn a few lines of figures into a corner of some films: times, dates, numbers."""
    rng, (n, height, width) = vary.rng("text"), grey.shape
    there = vary("processing.text", films) > 0
    size = max(1, round(height / 300))
    for i in range(films):
        place, level = rng.random(2), rng.uniform(0.5, 1.0)
        lines = _lines(rng)
        if i >= n or not there[i]:
            continue
        for row, line in enumerate(lines):
            mask = np.kron(np.concatenate([_figures()[sign] for sign in line], 1), np.ones((size, size)))
            step = mask.shape[0] * (row + 1)
            top = int(0.01 * height) + step if place[0] < 0.5 else int(0.98 * height) - step
            left = int(0.02 * width) if place[1] < 0.5 else max(0, int(0.98 * width) - mask.shape[1])
            spot = grey[i, top : top + mask.shape[0], left : left + mask.shape[1]]
            letters = raster.tensor(mask[: spot.shape[0], : spot.shape[1]])
            spot.copy_(torch.maximum(spot, letters * level))
    return grey


def _lines(rng):
    """One to three lines of text, no two of a kind."""
    kinds = rng.permutation(len(_FORMS))[: rng.integers(1, 4)]
    forms = [rng.choice(_FORMS[kind]) for kind in kinds]
    return [
        "".join(str(rng.integers(sign == "@", 10)) if sign in "#@" else sign for sign in form)
        for form in forms
    ]


# Dates, times, numbers, tube voltages, names: # is a digit, @ one but 0.
_FORMS = (
    ("0@.0@.201#", "1#.0@.200#"),
    ("0#:1#", "1#:4#:0#"),
    ("######", "#####-##"),
    ("7# KV", "8# KV"),
    ("L LAT", "STANDING"),
)
# Five rows of three pixels for each sign.
_SIGNS = {
    "0": "111101101101111", "1": "010110010010111", "2": "111001111100111", "3": "111001111001111",
    "4": "101101111001001", "5": "111100111001111", "6": "111100111101111", "7": "111001001010010",
    "8": "111101111101111", "9": "111101111001111", "R": "110101110101101", "L": "100100100100111",
    "A": "010101111101101", "T": "111010010010010", "K": "101101110101101", "V": "101101101101010",
    "M": "101111111101101", ":": "000010000010000", ".": "000000000000010", "-": "000000111000000",
    "S": "111100111001111", "N": "111101101101101", "D": "110101101101110", "I": "111010010010111",
    "G": "111100101101111", " ": "000000000000000",
}  # fmt: skip


@cache
def _figures():
    return {
        sign: np.pad(np.array(list(bits), float).reshape(5, 3), ((1, 1), (0, 1)))
        for sign, bits in _SIGNS.items()
    }
