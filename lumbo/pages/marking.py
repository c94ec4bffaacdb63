"""The figure to measure in: put six points on a film, then compare with the truth.  Taught in measuring."""

import io
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from lumbo.angles import ANGLES, LANDMARKS, SIDES, hip_axis, s1_midpoint
from lumbo.errors import array, choice, number, require, truth, whole
from lumbo.films import hospitals
from lumbo.pages import living

__all__ = ["SAMPLES", "OWN", "LONGEST_PX", "MOST_READINGS", "Measure", "sample"]

SAMPLES = (  # hospital, seed of the patient, and what one should know; from easy to hard
    ("cedar", 901, ""),
    ("birch", 903, ""),
    ("fir", 902, ""),
    ("elm", 902, ""),
    ("aspen", 903, ""),
    ("dogwood", 903, ""),
    ("elm", 903, ""),
    ("birch", 902, "With screws and a rod."),
    ("dogwood", 900, "The centre of one femoral head lies outside: put both points on the head you see."),
    ("aspen", 900, ""),
)
OWN = "own"  # the film that the reader opened, which only the page has
LONGEST_PX = 100_000  # of a film's side, and so of a coordinate
MOST_READINGS = 1000
_TALL_PX, _QUALITY = 640, 92  # of a sample film, and of its JPEG
_SPACING_MM = 1e-3, 100.0  # a pixel's side
_READING = (
    "film",
    "width",
    "height",
    "points",
    "anterior",
    "spacing_mm",
    "angles_deg",
    "true_deg",
    "rated_deg",
)


@cache
def _drawn(i: int) -> hospitals.FilmSet:
    where, seed, _ = SAMPLES[i]
    return hospitals.draw(hospitals.hospital(where), "test", seed, 0, _TALL_PX, n=1)


def sample(film: int) -> dict[str, Any]:
    """Draw a sample film and what is known of it, as the page loads it.

    film : 0 to 9
    returns : `image` (a JPEG as a data URI), `width`, `height`, `pixel_mm`, `landmarks_px`, `rated_landmarks_px`,
        `angles_deg`, `rated_angles_deg`, `hospital` (in words), `adult` (whether the patient is one) and `note`
    """
    i = whole("film", film, 0, len(SAMPLES) - 1)
    one, (where, _, note) = _drawn(i), SAMPLES[i]
    height, width = one.films.shape[1:]
    return {
        "image": living.jpeg(one.films[0], _QUALITY),
        "width": width,
        "height": height,
        "pixel_mm": float(one.pixel_mm[0]),
        "landmarks_px": one.landmarks_px[0].tolist(),
        "rated_landmarks_px": one.rated_landmarks_px[0].tolist(),
        "angles_deg": one.angles_deg[0].tolist(),
        "rated_angles_deg": one.rated_angles_deg[0].tolist(),
        "hospital": hospitals.hospital(where).title,
        "adult": bool(one.cohort[0] != "adolescent_scoliosis"),
        "note": note,
    }


# The fields.
def _film(field: str, value) -> int | str:
    if isinstance(value, str):
        require(value == OWN, field, value, f'a whole number from 0 to {len(SAMPLES) - 1}, or "{OWN}"')
        return OWN
    return whole(field, value, 0, len(SAMPLES) - 1)


def _points(field: str, value, least: int = 0) -> list[list[float]]:
    try:
        count = -1 if isinstance(value, str | bytes | dict | set) else len(value)
    except TypeError:  # an array without axes, too, which has a len() that fails
        count = -1
    require(count >= 0, field, value, "a list of [x, y]")
    fits = least <= count <= len(LANDMARKS)
    require(fits, field, f"{count} points", f"from {least} to {len(LANDMARKS)} points")
    if count == 0:
        return []
    return array(field, value, (count, 2), -LONGEST_PX, LONGEST_PX).tolist()


def _spacing(field: str, value) -> list[float] | None:
    return None if value is None else array(field, value, (2,), *_SPACING_MM).tolist()


def _degrees(field: str, value, dash: bool) -> list[float | None]:
    """Four angles; where `dash`, one of them may be None: points that coincide have no angle."""
    require(isinstance(value, list) and len(value) == len(ANGLES), field, value, "a list of SS, PT, PI, LL")
    return [
        None if dash and one is None else number(f"{field}.{name}", one, -720, 720)
        for name, one in zip(ANGLES, value)
    ]


def _reading(field: str, value) -> dict[str, Any]:
    """Return one reading as plain data, or raise `InputError` that names what is wrong with it."""
    require(
        isinstance(value, dict) and set(value) == set(_READING),
        field,
        value,
        f"a dict of {', '.join(_READING)}",
    )

    def known(name):
        return None if value[name] is None else _degrees(f"{field}.{name}", value[name], dash=False)

    return {
        "film": _film(f"{field}.film", value["film"]),
        "width": whole(f"{field}.width", value["width"], 1, LONGEST_PX),
        "height": whole(f"{field}.height", value["height"], 1, LONGEST_PX),
        "points": _points(f"{field}.points", value["points"], len(LANDMARKS)),
        "anterior": choice(f"{field}.anterior", value["anterior"], SIDES),
        "spacing_mm": _spacing(f"{field}.spacing_mm", value["spacing_mm"]),
        "angles_deg": _degrees(f"{field}.angles_deg", value["angles_deg"], dash=True),
        "true_deg": known("true_deg"),
        "rated_deg": known("rated_deg"),
    }


def _readings(value) -> list[dict[str, Any]]:
    require(isinstance(value, list | tuple), "readings", value, "a list of readings")
    require(len(value) <= MOST_READINGS, "readings", f"{len(value)} readings", f"at most {MOST_READINGS}")
    return [_reading(f"readings[{i}]", one) for i, one in enumerate(value)]


class Measure(living.Living):
    """A film to put six points on, by hand: SS, PT, PI and LL, and how far they are from the truth.

    Parameters
    ----------
    film : 0 to 9, or "own", optional
        One of ten sample films, from easy to hard, or one that the reader opens in the page.

    All fields follow the reader's hand, and the figure follows them:

    film : as above
    points : list of up to six [x, y], pixels, in the order of `lumbo.angles.LANDMARKS`
    anterior : {"left", "right"}, the side that the patient faces; sample films face left
    spacing_mm : [across, down] of a pixel as the reader typed it, or None: as the sample film has it
    compared : whether the truth is shown
    readings : list of dicts, one for each film that was read

    Raises
    ------
    InputError
        No such film, or a field that cannot be; the figure stays as it was.

    Examples
    --------
    >>> Measure(3)
    Measure(film 3: 0 of 6 points; 0 readings)
    """

    _esm = living.bundle("marking")
    fields = ("film", "films", "points", "anterior", "spacing_mm", "compared", "readings")
    payloads: ClassVar[Mapping[str, Callable[[], dict]]] = {
        f"marking-{i}": partial(sample, i) for i in range(len(SAMPLES))
    }
    film = living.Checked(partial(_film, "film"))
    films = living.Fixed()  # the names of the sample films
    points = living.Checked(partial(_points, "points"))
    anterior = living.Checked(lambda value: choice("anterior", value, SIDES))
    spacing_mm = living.Checked(partial(_spacing, "spacing_mm"))
    compared = living.Checked(partial(truth, "compared"))
    readings = living.Checked(_readings)

    def __init__(self, film: int | str = 0):
        super().__init__(
            film=_film("film", film),
            films=[where.capitalize() for where, _, _ in SAMPLES],
            points=[],
            anterior="left",
            spacing_mm=None,
            compared=False,
            readings=[],
        )

    @property
    def errors_deg(self) -> np.ndarray:
        """Reader minus truth of each reading whose truth is known, shape (n, 4), SS PT PI LL in degrees.

        A reading of which an angle could not be measured is left out.
        """
        pairs = [(one["angles_deg"], one["true_deg"]) for one in self.readings if one["true_deg"] is not None]
        whole_ones = [(mine, true) for mine, true in pairs if None not in mine]
        return np.array([np.subtract(*pair) for pair in whole_ones], float).reshape(-1, len(ANGLES))

    def __repr__(self) -> str:
        counts = f"{len(self.points)} of {len(LANDMARKS)} points; {len(self.readings)} readings"
        return f"Measure(film {self.film}: {counts})"

    def still(self) -> str:
        """Return a sample film with its six points, and what to do, as HTML."""
        i = self.film if isinstance(self.film, int) else 0
        one = _drawn(i)
        said = ", ".join(
            f"{name} {value:.1f}°" for name, value in zip(ANGLES, np.round(one.angles_deg[0], 1) + 0.0)
        )
        words = f"Synthetic film with the plates of S1 and L1 and both femoral heads marked: {said}"
        return living.picture(_marked(i), words.replace("-", "−"), _STILL_WIDE, _CAPTION)


# The still picture.
_STILL_WIDE, _STILL_PX, _STILL_GREYS = (
    300,
    400,
    40,
)  # on the page; in the file, which few grey levels keep small
_INK = (255, 209, 102)
_CAPTION = (
    "A still picture of one film with its six points: to place them yourself, the page must run scripts, and in "
    "Jupyter be trusted. Not for clinical use."
)


@cache
def _marked(i: int) -> bytes:
    """A sample film with its plates, heads and hip axis drawn in, as a PNG."""
    one = _drawn(i)
    height, width = one.films.shape[1:]
    zoom = _STILL_PX / width
    size = round(width * zoom), round(height * zoom)
    grey = Image.fromarray(one.films[0]).resize(size, Image.Resampling.LANCZOS).quantize(_STILL_GREYS)
    film, points = grey.convert("RGB"), (one.landmarks_px[0] + 0.5) * zoom
    draw = ImageDraw.Draw(film)
    for line in (points[:2], points[2:4], points[4:], (hip_axis(points), s1_midpoint(points))):
        draw.line([tuple(map(float, p)) for p in line], fill=_INK, width=2)
    for x, y in points:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), outline=_INK, width=2)
    file = io.BytesIO()
    film.quantize(_STILL_GREYS + 16).save(file, "PNG", optimize=True)
    return file.getvalue()
