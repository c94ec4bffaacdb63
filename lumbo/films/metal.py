"""The surgeon's metal as solids: pedicle screws, rods and cages.  Taught in spine_to_film."""

import numpy as np

from lumbo.films.anatomy import Spines, down, in_space
from lumbo.films.shapes import TITANIUM, Ellipsoids, Prisms, Rods, Solid, Tubes
from lumbo.films.variety import Variety

__all__ = ["implants"]

_TOP = 6  # levels above S1 that may be held
_SPANS, _CHANCES = [1, 2, 4, 5], [0.35, 0.25, 0.2, 0.2]  # segments, and how often so many are held
_S1_MM, _ASIDE_MM = 26.0, 19.0  # height of S1; how far from the middle a pedicle lies
_CAGED, _PLASTIC = 0.5, 0.6  # shares: patients with cages; cages that let X-rays through but for their edges


def implants(spines: Spines, implanted: np.ndarray, vary: Variety) -> list[Solid]:
    """Pedicle screws, one rod a side and a cage, from S1 up to a level of the surgeon's choice.

    implanted : (n,) bool.  A patient keeps the metal from one visit to the next.
    """
    if not implanted.any():
        return []
    n, rng, whose = len(spines), vary.rng("implants"), vary.whose(len(spines))
    s1 = np.concatenate([spines.s1_mm, spines.s1_mm + _S1_MM * down(spines.s1_mm)[:, None]], 1)[
        :, [0, 1, 3, 2]
    ]
    blocks = np.concatenate([s1[:, None], spines.bodies_mm[:, :_TOP]], 1)
    aside = np.concatenate([np.zeros((n, 1)), spines.aside_mm[:, :_TOP]], 1)
    entry, tip = _paths(blocks, rng, whose)
    held = _held(implanted, rng, whose)
    skew = rng.normal(0, 1.5, (n, 1, 2))[whose]

    def twice(points):
        sides = ((1, _ASIDE_MM), (-1, -_ASIDE_MM))
        return np.concatenate([in_space(points + skew * sign, aside + y) for sign, y in sides], 1)

    tops, screws, linked = twice(entry), np.tile(held, 2), held[:, 1:] * held[:, :-1]
    lower, upper = (
        tops.reshape(n, 2, _TOP + 1, 3)[:, :, part].reshape(n, -1, 3)
        for part in (slice(None, -1), slice(1, None))
    )
    cages = _cages(blocks, aside, linked, rng, whose)
    rods = np.stack([lower, upper], 2)
    return [
        Rods(tops, twice(tip), rng.uniform(2.2, 3.2, (n, 1))[whose], screws, TITANIUM),
        Tubes(tops[:, :, None] + np.array([[-4.0, 0, 0], [3.0, 0, 0]]), 4.2, 0.8 * screws, material=TITANIUM),
        Tubes(rods, rng.uniform(2.3, 3.1, (n, 1))[whose], np.tile(linked, 2), material=TITANIUM),
        *cages,
    ]


def _paths(blocks, rng, whose):
    """Where each screw enters behind its pedicle, and where in the body it ends."""
    n, k = blocks.shape[:2]
    back, front = blocks[:, :, 1] * 0.7 + blocks[:, :, 2] * 0.3, blocks[:, :, 0] * 0.6 + blocks[:, :, 3] * 0.4
    entry = back + (back - front) * rng.uniform(0.5, 0.7, (n, 1, 1))[whose]
    entry[:, 1:-1] = (entry[:, :-2] + 2 * entry[:, 1:-1] + entry[:, 2:]) / 4  # a rod bends evenly
    tip = back + (front - back) * rng.uniform(0.55, 0.9, (n, k, 1))[whose]
    return entry, tip + rng.normal(0, 1.5, tip.shape)[whose]


def _held(implanted, rng, whose):
    """Which levels are held, (n, _TOP + 1): some in a row, from S1 or L5 upwards."""
    n, level = len(implanted), np.arange(_TOP + 1)
    low = rng.integers(0, 2, (n, 1))[whose]
    span = rng.choice(_SPANS, (n, 1), p=_CHANCES)[whose]
    return ((level >= low) & (level <= low + span) & implanted[:, None]).astype(float)


def _cages(blocks, aside, linked, rng, whose):
    """One in each disc that is held, of titanium, or of a plastic with a bead at three corners."""
    n = len(blocks)
    disc = (blocks[:, :-1, :2].mean(2) + blocks[:, 1:, 2:].mean(2)) / 2
    caged = linked * (rng.random((n, 1))[whose] < _CAGED)
    along = blocks[:, 1:, 3] - blocks[:, 1:, 2]
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    upright = np.stack([-along[..., 1], along[..., 0]], -1)
    half = rng.uniform([9.0, 3.0], [13.0, 4.5], (n, 1, 2))[whose]
    middle = disc + rng.uniform(-3, 5, (n, 1, 1))[whose] * along
    corners = np.stack(
        [
            middle + a * half[..., :1] * along + b * half[..., 1:] * upright
            for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))
        ],
        2,
    )
    plastic = rng.random((n, 1))[whose] < _PLASTIC
    metal = caged * ~plastic
    beads = in_space(corners[:, :, [0, 1, 3]], aside[:, 1:, None]).reshape(n, -1, 3)
    return [
        Prisms(
            corners, aside[:, 1:], 9.0, 0.10 * metal, shell=(0.08 * metal)[..., None] * np.ones(4),
            sag_mm=(0.0,) * 4, taper_mm=(0.0,) * 4, material=TITANIUM,
        ),
        Ellipsoids(beads, np.full((1, 3 * _TOP, 3), 1.1), 0.0, (caged * plastic).repeat(3, 1), TITANIUM),
    ]  # fmt: skip
