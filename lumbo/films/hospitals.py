"""From the hospitals of ``data_synth`` to films with true and rated landmarks.  Taught in four_hospitals."""

import sys
import unicodedata
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch

from lumbo import angles, errors, rows, specs, store
from lumbo.errors import choice, fields, instance, require, text, whole
from lumbo.films import (
    anatomy,
    bones,
    metal,
    pelvis,
    populations,
    processing,
    radiograph,
    raster,
    shapes,
    tissue,
    variety,
    vertebrae,
)
from lumbo.films.variety import USUAL, Setting, Variety
from lumbo.rows import Rows, join
from lumbo.specs import Range
from lumbo.threads import devices, one_thread

__all__ = [
    "Split",
    "Role",
    "SPLITS",
    "ROLES",
    "CHUNK",
    "MOST",
    "LONGEST_NAME",
    "Rater",
    "Hospital",
    "FilmSet",
    "pool",
    "hospitals",
    "participants",
    "hospital",
    "read_hospital",
    "check_hospital",
    "film_set",
    "draw",
    "Visit",
    "visit",
    "rate",
    "specification",
    "numbers",
    "frozen",
    "CODE",
]

Split = Literal["training", "validation", "test"]
Role = Literal["participant", "outsider"]
SPLITS, ROLES = get_args(Split), get_args(Role)
_STEEPEST = 88.0  # degrees that SS may reach when a patient leans
CHUNK = 64  # patients drawn together; a film does not depend on how many are asked for
MOST = 1_000_000  # films, or patients, of one hospital
LONGEST_NAME = 32  # letters: with split, seed and number behind it, a name must fit into DICOM's 64


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
    """One hospital as specified in ``data_synth/hospitals/NAME.toml``."""

    name: Annotated[str, "of its file; also in the names of its films"]
    title: Annotated[str, "its name and kind in words"]
    role: Annotated[Role, "trains with the others, or is a test only"]
    patients: Annotated[dict[Split, int], Range(0, MOST), "how many there are for each split"]
    mixture: Annotated[dict[str, float], Range(0, 1), "share of each cohort"]
    implanted: Annotated[float, Range(0, 1), "share of patients with screws and rods"]
    returning: Annotated[
        float,
        Range(0, 0.5),
        "share of the training films on which a patient of the film before comes back for a follow-up",
    ]
    mirrored: Annotated[float, Range(0, 1), "share of films stored with the patient facing right"]
    inverted: Annotated[bool, "whether films are stored as MONOCHROME1"]
    scanner: Annotated[radiograph.Scanner, "its room"]
    rater: Annotated[Rater, "who places its landmarks"]

    def __post_init__(self):
        _check_name(self.name)
        specs.check(self, self.name)
        _check_patients(self)
        _check_room(self)


@dataclass(frozen=True, eq=False, repr=False)
class FilmSet(Rows):
    """Films of one split of one or more hospitals; all canonical: facing left, bone bright.

    films : (n, h, w) uint8, or uint16 from `draw`
    landmarks_px, rated_landmarks_px : (n, 6, 2) exact projections, and as a rater placed them
    angles_deg, rated_angles_deg : (n, 4) film angles of those two
    anatomical_deg : (n, 4) angles of the upright patient in space, before the lean that `variety` gives as a whole
    pixel_mm : (n,) pixel size on the detector
    patient : (n,) number of the patient within site, split and seed; follow-up films share it
    mirrored, inverted : (n,) bool, whether the archive holds the film facing right, and as MONOCHROME1
    hidden : (n,) int, which femoral head's centre is not on the film: 0 none, 1 the left, 2 the right
    site, cohort : (n,) names
    """

    films: np.ndarray
    landmarks_px: np.ndarray
    rated_landmarks_px: np.ndarray
    angles_deg: np.ndarray
    rated_angles_deg: np.ndarray
    anatomical_deg: np.ndarray
    pixel_mm: np.ndarray
    patient: np.ndarray
    mirrored: np.ndarray
    inverted: np.ndarray
    hidden: np.ndarray
    site: np.ndarray
    cohort: np.ndarray


@dataclass(frozen=True, eq=False)
class Visit:
    """The patients of one chunk before their films.

    patients : as they are;  spines : as they stand, with a lean of their own
    exposure : where each film is taken;  vary : their factors
    whose : (n,) the film of the chunk on which each patient came first
    """

    patients: populations.Patients
    spines: anatomy.Spines
    exposure: radiograph.Exposure
    vary: Variety
    whose: np.ndarray


def pool(parts: list[FilmSet]) -> FilmSet:
    """Put film sets one after the other: what centralized training needs and federated training avoids."""
    return join("films", parts)


@cache
def hospitals() -> dict[str, Hospital]:
    """Read every hospital of ``data_synth``, participants first, the largest first."""
    folder = files("data_synth").joinpath("hospitals")
    found = [read_hospital(path) for path in folder.iterdir() if path.name.endswith(".toml")]
    found.sort(key=lambda h: (ROLES.index(h.role), -h.patients["training"], h.name))
    return {h.name: h for h in found}


def participants() -> list[Hospital]:
    """List the hospitals that train together, the largest first."""
    return [h for h in hospitals().values() if h.role == "participant"]


def hospital(name: str) -> Hospital:
    """Return one hospital, or raise `InputError` with the names there are."""
    return hospitals()[choice("hospital", name, hospitals())]


def read_hospital(path: Path | Traversable) -> Hospital:
    """Read and check one hospital file.

    Raises
    ------
    InputError
        Naming file and field, the value, and what is allowed.
    """
    return check_hospital(path.name.removesuffix(".toml"), store.read_toml(path))


def check_hospital(name: str, table: dict) -> Hospital:
    """Turn a table into a `Hospital`, or raise `InputError` naming the field."""
    _check_name(name)
    return specs.read(Hospital, name, table, name=name)


def film_set(
    where: Hospital,
    split: Split,
    seed: int = 0,
    n: int | None = None,
    long_side_px: int = 256,
    device: str = "cpu",
    setting: Setting = USUAL,
) -> FilmSet:
    """Draw films of one split of a hospital, or take them from the cache.

    Parameters
    ----------
    where : the hospital;  split : "training", "validation" or "test"
    seed : of the patients.  Splits and hospitals never share a patient.
    n : how many films, by default as many as the hospital has; the first are the same for any `n`.
    long_side_px : height of the film, a multiple of 16
    device : where torch draws; another device than "cpu" gives the same film within rounding
    setting : of the factors by which films differ, see `variety`

    Raises
    ------
    InputError
        What cannot be drawn.
    """
    where, split, seed, long_side_px = _asked(where, split, seed, long_side_px, device, setting)
    n = where.patients[split] if n is None else whole("n", n, 0, MOST)
    key = store.content_key(
        numbers(where), _recipe(), asdict(setting), split, seed, n, long_side_px, device, CODE
    )
    names = np.array(populations.cohort_names())

    def make():
        drawn = pool(
            [
                draw(where, split, seed, chunk, long_side_px, 8, device, size, setting)
                for chunk, size in enumerate(_sizes(max(n, 1)))
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
    setting: Setting = USUAL,
) -> FilmSet:
    """Draw the patients of one chunk, take their films and rate them: `CHUNK` films, or the first of them.

    Patients, each factor of `variety`, the archive and the rater have generators of their own.  So two hospitals
    that differ only in their scanner have the same patients and raters, and a film of another size shows the same
    patient.

    Parameters
    ----------
    where, split, seed, long_side_px, device, setting : as for `film_set`
    chunk : from 0
    bits : 8 or 16, the depth of the grey levels
    n : only the first n films, which are the same for any n and cost what n films cost; by default all
    """
    where, split, seed, long_side_px = _asked(where, split, seed, long_side_px, device, setting)
    chunk, n = whole("chunk", chunk, 0), CHUNK if n is None else whole("n", n, 1, CHUNK)
    require(whole("bits", bits, 8, 16) in (8, 16), "bits", bits, "8 or 16")
    who, body, archive, rater = _generators(where, split, seed, chunk)
    seen = _visit(where, split, chunk, long_side_px, setting, who, body)
    spines, exposure, vary, room = seen.spines, seen.exposure, seen.vary, where.scanner
    with one_thread(), nullcontext() if device == "cpu" else torch.device(device):
        implanted = vary.rng("implanted").random(CHUNK)[seen.whose] < where.implanted
        solids = bones.skeleton(spines, implanted, vary) + tissue.contents(spines, vary)
        solids += radiograph.side_marker(room, exposure, vary)
        matter = radiograph.attenuation(solids, tissue.trunk(spines, vary), room, exposure, n)
        signal = radiograph.expose(matter, room, exposure, vary)
        grey = processing.develop(signal, room, exposure, vary)
        films = grey.mul_(2**bits - 1).round_().to(getattr(torch, f"uint{bits}")).cpu().numpy()
    landmarks = radiograph.project(spines.landmarks_mm, room, exposure)
    hidden = radiograph.hidden_head(spines, room, exposure)
    rated = rate(landmarks, where, exposure.pixel_mm, rater, hidden)
    columns = {
        "landmarks_px": landmarks,
        "rated_landmarks_px": rated,
        "angles_deg": angles.lumbopelvic_angles(landmarks, "left"),
        "rated_angles_deg": angles.lumbopelvic_angles(rated, "left"),
        "anatomical_deg": seen.patients.angles_deg,
        "pixel_mm": exposure.pixel_mm,
        "patient": chunk * CHUNK + seen.whose,
        "mirrored": archive.random(CHUNK) < where.mirrored,
        "inverted": np.full(CHUNK, where.inverted),
        "hidden": hidden,
        "site": np.full(CHUNK, where.name),
        "cohort": seen.patients.cohort,
    }
    return FilmSet(films=films, **{name: values[:n] for name, values in columns.items()})


def visit(
    where: Hospital,
    split: Split,
    seed: int,
    chunk: int,
    long_side_px: int = 256,
    setting: Setting = USUAL,
) -> Visit:
    """Return who stands before which film in one chunk of `draw`: everything but the film itself."""
    where, split, seed, long_side_px = _asked(where, split, seed, long_side_px, "cpu", setting)
    who, body, *_ = _generators(where, split, seed, whole("chunk", chunk, 0))
    return _visit(where, split, chunk, long_side_px, setting, who, body)


def _generators(where, split, seed, chunk):
    """Generators of a chunk: for its patients, their factors, the archive and the rater."""
    name = int.from_bytes(where.name.encode(), "big")
    return np.random.default_rng([seed, SPLITS.index(split), chunk, name]).spawn(4)


def _visit(where, split, chunk, long_side_px, setting, who, body):
    patients, whose = _patients(where, split, chunk, who)
    vary = Variety(body, setting, whose)
    spines = anatomy.spines(_leaning(patients, vary("field.tilt", CHUNK)), vary)
    return Visit(patients, spines, radiograph.aim(spines, where.scanner, long_side_px, vary), vary, whose)


def _leaning(patients, tilt_deg):
    """The same patients, who lean forwards by some degrees as a whole: SS falls, PT rises, PI and LL stay."""
    ss, pt, pi, ll = patients.angles_deg.T
    tilt_deg = tilt_deg.clip(ss - _STEEPEST, ss + _STEEPEST)
    return replace(patients, angles_deg=np.stack([ss - tilt_deg, pt + tilt_deg, pi, ll], -1))


def rate(
    landmarks_px: np.ndarray,
    where: Hospital,
    pixel_mm: np.ndarray | float,
    rng: np.random.Generator,
    hidden: np.ndarray | int = 0,
) -> np.ndarray:
    """Place landmarks as this hospital's rater does, (n, 6, 2): a habit, and independent normal errors.

    Where one femoral head is hidden, the rater takes the other one's centre for both.

    pixel_mm, hidden : (n,) as in `FilmSet`, or one for all
    """
    who = where.rater
    sd_mm = np.array([who.s1_mm] * 2 + [who.l1_mm] * 2 + [who.head_mm] * 2)
    per_px = np.reshape(pixel_mm, (-1, 1, 1))
    sd_px = sd_mm[:, None] * radiograph.magnification(0.0, where.scanner) / per_px
    rated = landmarks_px + rng.normal(0, 1, landmarks_px.shape) * sd_px
    plate = landmarks_px[:, :2]
    rated[:, :2] += _steeper(plate, who.steeper_deg) - plate
    hidden = np.broadcast_to(hidden, len(rated))
    rated[hidden == 1, 4] = rated[hidden == 1, 5]
    rated[hidden == 2, 5] = rated[hidden == 2, 4]
    return rated


def specification() -> str:
    """Digest every number that shapes a film: cohorts, variety and hospitals, without titles and sources."""
    return store.content_key([numbers(h) for h in hospitals().values()] + _recipe())


def numbers(where: Hospital) -> dict:
    """Return what of a hospital shapes a film: its fields without the texts."""
    return _values(asdict(where))


def frozen() -> dict:
    """Return the version of the films, the digest of their specs when they were frozen, and that of today."""
    return store.read_toml(files("data_synth").joinpath("frozen.toml")) | {"today": specification()}


def _asked(where, split, seed, long_side_px, device, setting) -> tuple[Hospital, Any, int, int]:
    """Check what is asked for before anything is drawn."""
    instance("setting", setting, Setting, "variety.Setting(dial=1.0)")
    instance("where", where, Hospital, 'hospital("aspen")')
    choice("device", device, devices())
    height, _ = radiograph.canvas(long_side_px)
    return where, choice("split", split, SPLITS), whole("seed", seed, 0), height


def _check_name(name: str) -> None:
    """A name stands in file names, paths and DICOM, whose texts hold 64 letters."""
    text("hospital.name", name)
    allowed = (
        f"at most {LONGEST_NAME} letters, digits, spaces, dots, _ or -, the first and last no space or dot"
    )
    plain = all(unicodedata.category(c)[0] in "LMN" or c in " ._-" for c in name)
    fits = plain and name.strip(" .") == name and len(name.upper()) <= LONGEST_NAME
    require(fits, "hospital.name", name, allowed)


def _check_patients(where: Hospital) -> None:
    needed = SPLITS if where.role == "participant" else ("test",)
    for split in needed:
        whole(f"{where.name}.patients.{split}", where.patients[split], 1)
    cohorts, shares = set(populations.cohort_names()), sum(where.mixture.values())
    fields(f"{where.name}.mixture", where.mixture, cohorts, cohorts)
    require(abs(shares - 1) < 1e-9, f"{where.name}.mixture", shares, "shares that sum to 1")


def _check_room(where: Hospital) -> None:
    """Check that a room is possible, and that its films hold the landmarks of every second patient at least."""
    field, room = f"{where.name}.scanner", where.scanner
    gap = room.source_mm - room.object_mm
    require(gap >= 500, f"{field}.object_mm", room.object_mm, "at least 500 mm from the source")
    require(room.window[0] < room.window[1], f"{field}.window", room.window, "a low share below a high one")
    rng = np.random.default_rng(0)
    patients = populations.draw_mixture(where.mixture, CHUNK, rng)
    points = anatomy.spines(patients, Variety(rng)).landmarks_mm
    seen = points[..., ::2] * radiograph.magnification(points[..., 1], room)
    needed = np.median(np.ptp(seen, axis=1), axis=0) / (1 - room.shutters)
    allowed = f"at least {needed[0]:.0f} x {needed[1]:.0f} mm, in which landmarks fit"
    require(bool((needed <= room.field_mm).all()), f"{field}.field_mm", room.field_mm, allowed)


def _patients(where, split, chunk, rng):
    """Draw the patients of a chunk, and the film on which each came first: (patients, whose).

    In training some come back.  Films are counted through all chunks, so the share is exact: of the films of
    the first k chunks ``floor(k * CHUNK * returning)`` are follow-ups.
    """
    patients = populations.draw_mixture(where.mixture, CHUNK, rng)
    if split != "training":
        return patients, np.arange(CHUNK)
    before, after = (int((chunk + more) * CHUNK * where.returning + 1e-9) for more in (0, 1))
    back = np.diff(np.arange(CHUNK + 1) * (after - before) // CHUNK)
    whose = np.arange(CHUNK) - back
    again = populations.follow_up(patients[whose], rng)
    return join("patients", [patients, again])[np.arange(CHUNK) + CHUNK * back], whose


def _steeper(plate_px, degrees):
    """Turn plates (n, 2, 2), y down, about their middle: they fall more to the left, where patients face."""
    middle = plate_px.mean(1, keepdims=True)
    x, y = np.moveaxis(plate_px - middle, -1, 0)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return middle + np.stack([cos * x + sin * y, cos * y - sin * x], -1)


def _sizes(n: int) -> list[int]:
    """Of how many films the chunks of a set are."""
    return [min(CHUNK, n - start) for start in range(0, n, CHUNK)]


def _recipe() -> list[dict]:
    """The numbers that all hospitals share."""
    return [_values(populations.statistics()), _values(variety.factors())]


def _values(table):
    """A table without its texts: a better citation does not change a film."""
    if isinstance(table, dict):
        return {
            key: _values(value) for key, value in table.items() if key not in ("title", "source", "sources")
        }
    return table


_STORED = tuple(name for name in FilmSet.__dataclass_fields__ if name not in ("site", "cohort"))
CODE = store.content_key(
    errors,
    rows,
    specs,
    angles,
    populations,
    variety,
    anatomy,
    shapes,
    vertebrae,
    pelvis,
    metal,
    bones,
    tissue,
    raster,
    radiograph,
    processing,
    sys.modules[__name__],
)
