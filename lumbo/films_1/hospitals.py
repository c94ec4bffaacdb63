"""From the hospitals of ``data_synth/films_1`` to films with true and rated landmarks."""

import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch

from lumbo import angles, errors, rows, specs, store
from lumbo.errors import choice, instance, require, whole
from lumbo.films.hospitals import SPLITS, FilmSet, Split, pool
from lumbo.films_1 import anatomy, populations, radiograph, raster, shapes
from lumbo.rows import join
from lumbo.specs import Range
from lumbo.threads import devices, one_thread

__all__ = [
    "Role",
    "ROLES",
    "CHUNK",
    "Rater",
    "Hospital",
    "hospitals",
    "participants",
    "hospital",
    "film_set",
    "draw",
    "rate",
    "specification",
    "numbers",
    "frozen",
    "CODE",
]

Role = Literal["participant", "outsider"]
ROLES = get_args(Role)
CHUNK = 64  # patients drawn together; a film does not depend on how many are asked for


@specs.documented
@dataclass(frozen=True)
class Rater:
    """Human error of rated landmarks; lengths in millimetres in the patient.

    The errors of each coordinate are normal and independent; SD is their standard deviation.
    """

    s1_mm: Annotated[float, Range(0, 20), "error of a corner of the S1 plate (SD)"]
    l1_mm: Annotated[float, Range(0, 20), "error of a corner of the L1 plate (SD)"]
    head_mm: Annotated[float, Range(0, 20), "error of a head centre (SD)"]
    steeper_deg: Annotated[float, Range(-10, 10), "habit: how much too steep the S1 plate is drawn"]


@specs.documented
@dataclass(frozen=True)
class Hospital:
    """One hospital as specified in ``data_synth/films_1/hospitals/NAME.toml``."""

    name: Annotated[str, "of its file; also in the names of its films"]
    title: Annotated[str, "its name and kind in words"]
    role: Annotated[Role, "trains with the others, or is a test only"]
    patients: Annotated[dict[Split, int], Range(0, 1_000_000), "how many there are for each split"]
    mixture: Annotated[dict[str, float], Range(0, 1), "share of each cohort"]
    implanted: Annotated[float, Range(0, 1), "share of patients with screws and rods"]
    returning: Annotated[
        float,
        Range(0, 0.5),
        "share of the training films on which a patient comes back for a follow-up: 0, or one in 2, 3, ... films",
    ]
    mirrored: Annotated[float, Range(0, 1), "share of films stored with the patient facing right"]
    inverted: Annotated[bool, "whether films are stored as MONOCHROME1"]
    scanner: Annotated[radiograph.Scanner, "its room"]
    rater: Annotated[Rater, "who places its landmarks"]

    def __post_init__(self):
        specs.check(self, self.name)


@cache
def hospitals() -> dict[str, Hospital]:
    """Read every hospital of ``data_synth/films_1``, participants first, the largest first."""
    folder = files("data_synth").joinpath("films_1", "hospitals")
    tables = {path.name.removesuffix(".toml"): store.read_toml(path) for path in folder.iterdir()}
    found = [specs.read(Hospital, name, table, name=name) for name, table in tables.items()]
    found.sort(key=lambda h: (ROLES.index(h.role), -h.patients["training"], h.name))
    return {h.name: h for h in found}


def participants() -> list[Hospital]:
    """List the hospitals that train together, the largest first."""
    return [h for h in hospitals().values() if h.role == "participant"]


def hospital(name: str) -> Hospital:
    """Return one hospital, or raise `InputError` with the names there are."""
    return hospitals()[choice("hospital", name, hospitals())]


def film_set(
    where: Hospital,
    split: Split,
    seed: int = 0,
    n: int | None = None,
    long_side_px: int = 256,
    device: str = "cpu",
) -> FilmSet:
    """Draw films of one split of a hospital, or take them from the cache.

    Parameters
    ----------
    where : the hospital;  split : "training", "validation" or "test"
    seed : of the patients.  Splits and hospitals never share a patient.
    n : how many films, by default as many as the hospital has; the first are the same for any `n`.
    long_side_px : height of the film, a multiple of 16
    device : where torch draws; another device than "cpu" gives the same film within rounding

    Raises
    ------
    InputError
        What cannot be drawn.
    """
    where, split, seed, long_side_px = _asked(where, split, seed, long_side_px, device)
    n = where.patients[split] if n is None else whole("n", n, 0, 1_000_000)
    key = store.content_key(numbers(where), _cohorts(), split, seed, n, long_side_px, device, CODE)
    names = np.array(populations.cohort_names())

    def make():
        starts = range(0, max(n, 1), CHUNK)
        drawn = pool(
            [
                draw(
                    where, split, seed, start // CHUNK, long_side_px, 8, device, min(CHUNK, max(n, 1) - start)
                )
                for start in starts
            ]
        )[:n]
        arrays = {name: getattr(drawn, name) for name in _STORED}
        arrays["cohort"] = (drawn.cohort[:, None] == names).argmax(1)
        return arrays, {"site": where.name, "split": split, "seed": seed}

    arrays, _ = store.cached_tensors(f"films/{where.name}-{split}-{key}", make)
    return FilmSet(**arrays | {"site": np.full(n, where.name), "cohort": names[arrays["cohort"]]})


def draw(
    where: Hospital,
    split: Split,
    seed: int,
    chunk: int,
    long_side_px: int,
    bits: int = 8,
    device: str = "cpu",
    n: int | None = None,
) -> FilmSet:
    """Draw the patients of one chunk, take their films and rate them: `CHUNK` films, or the first of them.

    Each step has a generator of its own.  So two hospitals that differ only in their scanner
    have the same patients and raters, and a film of another size shows the same patient.

    Parameters
    ----------
    where, split, seed, long_side_px, device : as for `film_set`
    chunk : from 0
    bits : 8 or 16, the depth of the grey levels
    n : only the first n films, which are the same for any n and cost what n films cost; by default all
    """
    where, split, seed, long_side_px = _asked(where, split, seed, long_side_px, device)
    chunk, n = whole("chunk", chunk, 0), CHUNK if n is None else whole("n", n, 1, CHUNK)
    require(whole("bits", bits, 8, 16) in (8, 16), "bits", bits, "8 or 16")
    name = int.from_bytes(where.name.encode(), "big")
    start = np.random.default_rng([seed, SPLITS.index(split), chunk, name])
    who, body, soft, room, light, lab, archive, rater = start.spawn(8)
    patients, number = _patients(where, split, who)
    spines = anatomy.spines(patients, body)
    exposure = radiograph.aim(spines, where.scanner, long_side_px, room)
    with one_thread(), nullcontext() if device == "cpu" else torch.device(device):
        solids = shapes.solids(spines, body.random(CHUNK) < where.implanted, body)
        solids.append(radiograph.side_marker(where.scanner, exposure, room))
        matter = radiograph.attenuation(solids, shapes.trunk(spines, soft), where.scanner, exposure, n)
        signal = radiograph.expose(matter, where.scanner, exposure, light)
        grey = radiograph.develop(signal, where.scanner, exposure, lab)
        films = grey.mul_(2**bits - 1).round_().to(getattr(torch, f"uint{bits}")).cpu().numpy()
    landmarks = radiograph.project(spines.landmarks_mm, where.scanner, exposure)
    rated = rate(landmarks, where, exposure.pixel_mm, rater)
    rows = {
        "landmarks_px": landmarks,
        "rated_landmarks_px": rated,
        "angles_deg": angles.lumbopelvic_angles(landmarks, "left"),
        "rated_angles_deg": angles.lumbopelvic_angles(rated, "left"),
        "anatomical_deg": patients.angles_deg,
        "pixel_mm": np.full(CHUNK, exposure.pixel_mm),
        "patient": chunk * CHUNK + number,
        "mirrored": archive.random(CHUNK) < where.mirrored,
        "inverted": np.full(CHUNK, where.inverted),
        "hidden": np.zeros(CHUNK, int),
        "site": np.full(CHUNK, where.name),
        "cohort": patients.cohort,
    }
    return FilmSet(films=films, **{name: values[:n] for name, values in rows.items()})


def rate(landmarks_px: np.ndarray, where: Hospital, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Place landmarks as this hospital's rater does, (n, 6, 2): a habit, and independent normal errors."""
    who = where.rater
    sd_mm = np.array([who.s1_mm] * 2 + [who.l1_mm] * 2 + [who.head_mm] * 2)
    sd_px = sd_mm[:, None] * radiograph.magnification(0.0, where.scanner) / pixel_mm
    rated = landmarks_px + rng.normal(0, 1, landmarks_px.shape) * sd_px
    plate = landmarks_px[:, :2]
    rated[:, :2] += _steeper(plate, who.steeper_deg) - plate
    return rated


def specification() -> str:
    """Digest every number that shapes a film: those of cohorts and hospitals, without titles and sources."""
    return store.content_key([numbers(h) for h in hospitals().values()] + [_cohorts()])


def numbers(where: Hospital) -> dict:
    """Return what of a hospital shapes a film: its fields without the texts."""
    return _values(asdict(where))


def frozen() -> dict:
    """Return the version of the films, the digest of their specs when they were frozen, and that of today."""
    stored = files("data_synth").joinpath("films_1", "frozen.toml")
    return store.read_toml(stored) | {"today": specification()}


def _asked(where, split, seed, long_side_px, device) -> tuple[Hospital, Any, int, int]:
    """Check what is asked for before anything is drawn."""
    instance("where", where, Hospital, 'hospital("aspen")')
    choice("device", device, devices())
    height, _ = radiograph.canvas(long_side_px)
    return where, choice("split", split, SPLITS), whole("seed", seed, 0), height


def _every(returning: float) -> int:
    """Every so many films a patient comes back; 0: none does."""
    return round(1 / returning) if returning > 1e-3 else 0


def _patients(where, split, rng):
    """Draw the patients of a chunk, and their numbers; in training some come back: (patients, number)."""
    number = np.arange(CHUNK)
    patients = populations.draw_mixture(where.mixture, CHUNK, rng)
    every = _every(where.returning)
    if split != "training" or not every:
        return patients, number
    number[every - 1 :: every] -= 1
    again = populations.follow_up(patients[number], rng)
    back = number < np.arange(CHUNK)
    return join("patients", [patients, again])[np.arange(CHUNK) + CHUNK * back], number


def _steeper(plate_px, degrees):
    """Turn plates (n, 2, 2), y down, about their middle: they fall more to the left, where patients face."""
    middle = plate_px.mean(1, keepdims=True)
    x, y = np.moveaxis(plate_px - middle, -1, 0)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return middle + np.stack([cos * x + sin * y, cos * y - sin * x], -1)


def _cohorts() -> dict:
    return _values(populations.statistics())


def _values(table):
    """A table without its texts: a better citation does not change a film."""
    if isinstance(table, dict):
        return {
            key: _values(value) for key, value in table.items() if key not in ("title", "source", "sources")
        }
    return table


_STORED = tuple(name for name in FilmSet.__dataclass_fields__ if name not in ("site", "cohort"))
_MODULES = (
    errors,
    rows,
    specs,
    angles,
    populations,
    anatomy,
    shapes,
    raster,
    radiograph,
    sys.modules[__name__],
)
CODE = store.content_key(*_MODULES, _STORED)
