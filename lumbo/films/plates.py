"""How plates and vertebrae show on a film: what is held beside real films, measured on both alike.  Taught in four_hospitals.

A plate is given by its front and its back end on the film, in pixels: ``plates_px`` of shape (n, 2, 2); the patient faces
left.  Greys are read from films (n, height, width) as `stretch` leaves them.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from lumbo.errors import array, require

__all__ = [
    "FARTHEST_PX",
    "stretch",
    "sample",
    "Profile",
    "plate_profile",
    "plate_squares",
    "around_s1",
    "spacing",
    "in_view",
    "proportions",
    "levels_apart",
]

FARTHEST_PX = 1e6  # from the film, that a plate may lie
_PEAK, _BESIDE, _FAR = 0.12, (0.2, 0.4), 0.6  # where the line across a plate is read, in plate lengths
_STEP = 0.05  # how often it is read, as it was on the real films: the brightest of more places is brighter
_SQUARE, _SQUARE_PX = 2.2, 96  # width of a square around a plate, in plate lengths and in pixels


def stretch(films: np.ndarray) -> np.ndarray:
    """Stretch each film (n, height, width) between its percentiles 0.5 and 99.5, to [0, 1]."""
    low, high = np.percentile(films, (0.5, 99.5), axis=(1, 2), keepdims=True)
    return np.clip((films - low) / np.maximum(high - low, 1e-6), 0, 1)


def sample(films: np.ndarray, points_px: np.ndarray) -> np.ndarray:
    """Read films (n, height, width) at points (n, ..., 2) between pixels, edges replicated: (n, ...).

    >>> film = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    >>> sample(film, np.array([[[0.5, 0.0], [0.5, 0.5], [9.0, 1.0]]])).tolist()
    [[0.5, 1.5, 3.0]]
    """
    last = np.array(films.shape[:0:-1]) - 1
    inside = np.clip(points_px, 0, last)
    corner = np.minimum(inside.astype(int), last - 1)
    (x, y), (column, row) = np.moveaxis(inside - corner, -1, 0), np.moveaxis(corner, -1, 0)
    film = np.arange(len(films)).reshape(-1, *[1] * (row.ndim - 1))
    above, below = (
        films[film, row + i, column] * (1 - x) + films[film, row + i, column + 1] * x for i in (0, 1)
    )
    return above * (1 - y) + below * y


class Profile(NamedTuple):
    """What `plate_profile` finds, (n,) each: the plate's line over its surroundings, their range, the plate's grey."""

    peak: np.ndarray
    contrast: np.ndarray
    grey: np.ndarray


def plate_profile(films: np.ndarray, plates_px: np.ndarray) -> Profile:
    """Look across plates: the grey along their normal, averaged over their middle 60 %, at every twentieth of their length.

    films : (n, height, width), as `stretch` leaves them

    ``peak`` is the brightest within 0.12 plate lengths, minus the mean of 0.2 to 0.4 on both sides; ``contrast``
    the largest minus the smallest within 0.6; ``grey`` the mean within 0.12.
    """
    films, plates_px = _checked(films, plates_px)
    across = np.arange(-round(_FAR / _STEP), round(_FAR / _STEP) + 1) * _STEP
    line = sample(films, _places(plates_px, np.linspace(-0.3, 0.3, 31), across)).mean(2)
    near = abs(across) <= _PEAK + 1e-9
    beside = (abs(across) >= _BESIDE[0] - 1e-9) & (abs(across) <= _BESIDE[1] + 1e-9)
    peak = line[:, near].max(1) - line[:, beside].mean(1)
    return Profile(peak, np.ptp(line, axis=1), line[:, near].mean(1))


def plate_squares(films: np.ndarray, plates_px: np.ndarray) -> np.ndarray:
    """Cut the square around each plate, turned so that it lies level, front to the left: (n, 96, 96).

    A square is 2.2 plate lengths wide, and its own mean is taken off.

    films : (n, height, width), as `stretch` leaves them
    """
    films, plates_px = _checked(films, plates_px)
    along = np.linspace(-_SQUARE / 2, _SQUARE / 2, _SQUARE_PX)
    squares = sample(films, _places(plates_px, along, along))
    return squares - squares.mean((1, 2), keepdims=True)


def around_s1(films: np.ndarray, plates_px: np.ndarray, below, behind) -> np.ndarray:
    """Read films around the middle of their S1 plates, not turned, the patient facing left; off the film NaN.

    films : (n, height, width), as `stretch` leaves them
    below, behind : how far below and behind, in lengths of that plate.  Returns (n, len(below), len(behind)).
    """
    films, plates_px = _checked(films, plates_px)
    below, behind = (
        array(name, far, ("n",), -1e3, 1e3) for name, far in (("below", below), ("behind", behind))
    )
    level = plates_px.mean(1, keepdims=True) + _long(plates_px)[:, None, None] * [[[-0.5, 0], [0.5, 0]]]
    points = _places(level, behind, below)
    outside = (points < 0) | (points > np.array(films.shape[:0:-1]) - 1)
    return np.where(outside.any(-1), np.nan, sample(films, points))


def spacing(bodies_px: np.ndarray, height_px: int) -> np.ndarray:
    """Return how far neighbouring vertebrae are apart as a share of the film's height: their median, (n,).

    bodies_px : (n, k, 4, 2), corners of k neighbours on the film

    >>> square = np.array([[0, 0], [8, 0], [8, 8], [0, 8]])
    >>> float(spacing(np.stack([square, square + [0, 10], square + [0, 22]])[None], 110)[0])
    0.1
    """
    apart = np.diff(bodies_px.mean(2), axis=1)
    return np.median(np.hypot(*np.moveaxis(apart, -1, 0)), axis=1) / height_px


def in_view(bodies_px: np.ndarray, low_px: np.ndarray, high_px: np.ndarray) -> np.ndarray:
    """Count the vertebrae (n, k, 4, 2) that lie in the collimated field with all four corners: (n,).

    low_px, high_px : (n, 2), the field's upper left and lower right corner
    """
    low, high = low_px[:, None, None], high_px[:, None, None]
    return ((bodies_px >= low) & (bodies_px <= high)).all((2, 3)).sum(1)


def proportions(bodies: np.ndarray, plate: np.ndarray) -> dict[str, np.ndarray]:
    """Measure bodies and discs as in the table ``anatomy`` of `real_details`: (n, k) each.

    Parameters
    ----------
    bodies : (n, k, 4, 2)  corners of L5, L4, L3 and upwards, in the order of `anatomy.Spines`; x forwards, z up
    plate : (n, 2, 2)  front and back end of the S1 plate

    Returns
    -------
    Lengths in depths of L3 (mean of its plates): ``upper``, ``lower``, ``front``, ``back``, ``disc_front``,
    ``disc_back`` (to the plate below), and the means ``height`` and ``disc``; degrees, lordotic +: ``wedge_deg``, ``disc_deg``.
    """
    top, bottom = bodies[:, :, :2], bodies[:, :, 3:1:-1]
    base = np.concatenate([plate[:, None], top[:, :-1]], 1)
    unit = (_long(top[:, 2]) + _long(bottom[:, 2]))[:, None] / 2
    walls, discs = (
        np.linalg.norm(a - b, axis=-1) / unit[..., None] for a, b in ((top, bottom), (bottom, base))
    )
    return {
        "upper": _long(top) / unit,
        "lower": _long(bottom) / unit,
        "front": walls[..., 0],
        "back": walls[..., 1],
        "disc_front": discs[..., 0],
        "disc_back": discs[..., 1],
        "height": walls.mean(-1),
        "disc": discs.mean(-1),
        "wedge_deg": _rise_deg(top) - _rise_deg(bottom),
        "disc_deg": _rise_deg(bottom) - _rise_deg(base),
    }


def levels_apart(values: np.ndarray) -> tuple[float, float, float]:
    """Return how patients differ (SD of their means), how their levels do (SD), and the levels' mean correlation.

    values : (n, k), a row a patient; each level's mean is taken off first

    >>> [round(x, 9) for x in levels_apart(np.array([[1.0, 7.0], [3.0, 9.0], [5.0, 11.0]]))]  # patients differ, levels do not
    [2.0, 0.0, 1.0]
    """
    own = values - values.mean(0)
    pairs = combinations(range(values.shape[1]), 2)
    correlation = np.mean([np.corrcoef(own[:, i], own[:, j])[0, 1] for i, j in pairs])
    within = np.sqrt(own.var(1, ddof=1).mean())
    return float(own.mean(1).std(ddof=1)), float(within), float(correlation)


def _places(plates_px, along, across):
    """Where a grid around each plate lies, (n, len(across), len(along), 2): in plate lengths along it and downwards."""
    plate = (plates_px[:, 1] - plates_px[:, 0])[:, None, None]
    down = plate[..., ::-1] * [-1, 1]
    along, across = np.meshgrid(along, across)
    return plates_px.mean(1)[:, None, None] + along[..., None] * plate + across[..., None] * down


def _checked(films, plates_px) -> tuple[np.ndarray, np.ndarray]:
    """Return films and a plate on each as arrays, or raise `InputError`."""
    films = array("films", films, ("n", "height", "width"))
    require(min(films.shape[1:]) > 1, "films", films.shape, "films of 2 x 2 pixels at least")
    plates_px = array("plates_px", plates_px, (len(films), 2, 2), -FARTHEST_PX, FARTHEST_PX)
    require(bool((_long(plates_px) > 0).all()), "plates_px", "both ends in one place", "plates with a length")
    return films, plates_px


def _long(plates: np.ndarray) -> np.ndarray:
    """Length of plates (..., 2, 2)."""
    return np.linalg.norm(plates[..., 1, :] - plates[..., 0, :], axis=-1)


def _rise_deg(plates: np.ndarray) -> np.ndarray:
    """By how many degrees plates (..., 2, 2) rise forwards; y up."""
    x, up = np.moveaxis(plates[..., 0, :] - plates[..., 1, :], -1, 0)
    return np.degrees(np.arctan2(up, x))
