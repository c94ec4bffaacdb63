"""How real and how hard the films are, beside real films and published accuracies.  Taught in four_hospitals."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from lumbo import store
from lumbo.errors import array, fields, instance, number, require, text
from lumbo.films.plates import stretch

__all__ = [
    "MARKS",
    "real_films",
    "real_details",
    "yardstick",
    "marks",
    "film_statistics",
]

MARKS = ("likeness", "few", "bands", "other", "levels")  # of `marks`, each a list of rows
_PERCENTILES = (10, 25, 50, 75, 90)
_CROP_PX = (256, 192)  # where the spectrum is taken
_RANGE = {"median", "low", "high"}  # what is known of a statistic of `film_statistics`


def real_films() -> dict:
    """Return median, smallest and largest value of each statistic of `film_statistics` on real films."""
    return {name: known for name, known in _real().items() if known.keys() == _RANGE}


def real_details() -> dict:
    """Return what else was measured on real films: plates, their surroundings, scale and proportions.

    The comments of ``data_synth/real_films.toml`` say what each number is, and on how many films it was measured.
    """
    return {name: known for name, known in _real().items() if known.keys() != _RANGE}


def yardstick() -> dict:
    """Return how well landmark models of one collection do on real films.

    ``studies`` are what was published and ``bands`` what the book's films shall give, in degrees; ``few_films`` is how
    many times the error in millimetres shall fall from few to more films; ``human`` the difference between two ratings of one person; each with its source.
    """
    return store.read_toml(files("data_synth").joinpath("yardstick.toml"))


def marks(path: Path | None = None) -> dict:
    """Return what ``benchmarks/hardness.py`` measured: of each of `MARKS` a list of rows.

    A number that was measured stands as ``value`` with the ends of its interval, ``low`` and ``high``; an
    error or a share is never negative.  ``version`` and ``specs`` say of which films.

    path : a file of that benchmark, by default the one that is stored with the book

    Raises
    ------
    InputError
        Naming the file, when it is missing, torn or another one.
    """
    file = files("data_synth").joinpath("reference", "hardness.json") if path is None else path
    found = store.read_json(file, "a file written by benchmarks/hardness.py collect")
    fields(str(file), found, {"version", "specs", "films", *MARKS})
    for name in ("version", "specs", "films"):
        text(f"{file}.{name}", found[name])
    for mark in MARKS:
        for i, row in enumerate(instance(f"{file}.{mark}", found[mark], list)):
            field = f"{file}.{mark}[{i}]"
            fields(field, row, {"what", *(row if isinstance(row, dict) else ())})
            text(f"{field}.what", row["what"])
            _check_measured(field, row, -np.inf if mark == "likeness" else 0.0)
    return found


def film_statistics(films: np.ndarray) -> dict[str, np.ndarray]:
    """Measure films as the real ones were measured.

    Parameters
    ----------
    films : (n, height, width) grey levels, at least 256 x 192, bone bright, the patient facing left

    Returns
    -------
    A value a film, (n,): ``grey_10`` ... ``grey_90`` percentiles of the grey levels, stretched
    between the percentiles 0.5 and 99.5; ``slope`` of the radial power spectrum (log-log, 0.02
    to 0.45 cycles a pixel); ``texture``, standard deviation of the 9 x 9 high-pass; ``black``,
    share of pixels below 0.03; ``lower``, mean of the lowest third minus that of the middle third.
    A film that is the same all over has no spectrum: its ``slope`` is NaN.

    Raises
    ------
    InputError
        No films, films that are too small, or grey levels that are not finite.
    """
    array("films", films, ("n", "height", "width"))
    films = np.asarray(films)
    large = films.shape[1] >= _CROP_PX[0] and films.shape[2] >= _CROP_PX[1]
    require(large, "films", films.shape, f"films of at least {_CROP_PX[0]} x {_CROP_PX[1]} pixels")
    films = stretch(films)
    third = films.shape[1] // 3
    grey = np.percentile(films, _PERCENTILES, axis=(1, 2))
    return {f"grey_{p}": values for p, values in zip(_PERCENTILES, grey)} | {
        "slope": _spectral_slope(films),
        "texture": (films - _box_mean(films, 9)).std((1, 2)),
        "black": (films < 0.03).mean((1, 2)),
        "lower": films[:, 2 * third :].mean((1, 2)) - films[:, third : 2 * third].mean((1, 2)),
    }


def _real() -> dict:
    return store.read_toml(files("data_synth").joinpath("real_films.toml"))


def _check_measured(field: str, found: Any, least: float, depth: int = 3) -> None:
    """Check every number of a row that stands with its interval, in the row's tables and in theirs."""
    if not isinstance(found, dict):
        return
    if "value" in found:
        low, value, high = (number(f"{field}.{k}", found.get(k), least) for k in ("low", "value", "high"))
        require(low <= high, f"{field}.high", high, f"at least {low}, its low end")
    for name, part in found.items() if depth else ():
        _check_measured(f"{field}.{name}", part, least, depth - 1)


def _spectral_slope(films):
    """Slope of log power against log frequency, averaged over rings of equal width."""
    height, width = _CROP_PX
    left, top = (films.shape[2] - width) // 2, (films.shape[1] - height) // 2
    crop = films[:, top : top + height, left : left + width]
    crop = (crop - crop.mean((1, 2), keepdims=True)) * np.outer(np.hanning(height), np.hanning(width))
    power = abs(np.fft.fft2(crop)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    rings = np.linspace(0.02, 0.45, 44)
    which = np.digitize(radius, rings)
    mean = np.stack([power[:, which == i].mean(1) for i in range(1, len(rings))], 1)
    even = (mean == 0).any(1)
    mean[even] = 1
    slope = np.polyfit(np.log((rings[1:] + rings[:-1]) / 2), np.log(mean).T, 1)[0]
    return np.where(even, np.nan, slope)


def _box_mean(films, size):
    """Mean over a square around each pixel, edges replicated."""
    half = size // 2
    padded = np.pad(films, ((0, 0), (half + 1, half), (half + 1, half)), mode="edge")
    total = padded.cumsum(1).cumsum(2)
    return (
        total[:, size:, size:] - total[:, :-size, size:] - total[:, size:, :-size] + total[:, :-size, :-size]
    ) / size**2
