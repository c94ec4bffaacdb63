"""How real and how hard the films are, beside real films and published accuracies.  Taught in four_hospitals."""

from importlib.resources import files
from pathlib import Path

import numpy as np

from lumbo import store
from lumbo.errors import array, fields, instance, require

__all__ = ["real_films", "yardstick", "hardness", "film_statistics"]

_PERCENTILES = (10, 25, 50, 75, 90)
_CROP_PX = (256, 192)  # where the spectrum is taken
_DEGREES = ("rated", "truth", "mean_of_training")  # errors of SS, PT, PI, LL in a row of `hardness`
_MEASURED = ("hospital", "films", "specs", *_DEGREES)


def real_films() -> dict:
    """Return median, smallest and largest value of each statistic of `film_statistics` on real films."""
    return store.read_toml(files("data_synth").joinpath("real_films.toml"))


def yardstick() -> dict:
    """Return how well landmark models of one collection do on real films, degrees.

    ``studies`` are what was published, ``bands`` the errors that the book's films shall give,
    ``human`` the difference between two ratings of one person; each with its source.
    """
    return store.read_toml(files("data_synth").joinpath("yardstick.toml"))


def hardness(path: Path | None = None) -> list[dict]:
    """Return what ``benchmarks/hardness.py`` measured on the book's films, a row a training run.

    path : a file of that benchmark, by default the one that is stored with the book

    Raises
    ------
    InputError
        Naming the file, when it is missing, torn or another one.
    """
    file = files("data_synth").joinpath("reference", "hardness.json") if path is None else path
    rows = instance(str(file), store.read_json(file, "a file written by benchmarks/hardness.py"), list)
    for i, row in enumerate(rows):
        given = row.keys() if isinstance(row, dict) else set()
        fields(f"{file}[{i}]", row, {*_MEASURED, *given})
        for kind in _DEGREES:
            array(f"{file}[{i}].{kind}", row[kind], (4,), 0)
    return rows


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
    low, high = np.percentile(films, (0.5, 99.5), axis=(1, 2), keepdims=True)
    films = np.clip((films - low) / np.maximum(high - low, 1e-6), 0, 1)
    third = films.shape[1] // 3
    grey = np.percentile(films, _PERCENTILES, axis=(1, 2))
    return {f"grey_{p}": values for p, values in zip(_PERCENTILES, grey)} | {
        "slope": _spectral_slope(films),
        "texture": (films - _box_mean(films, 9)).std((1, 2)),
        "black": (films < 0.03).mean((1, 2)),
        "lower": films[:, 2 * third :].mean((1, 2)) - films[:, third : 2 * third].mean((1, 2)),
    }


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
