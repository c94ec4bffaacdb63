"""From the hospitals of ``data_synth`` to films with true and rated landmarks.  Taught in ch05."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from lumbo import anatomy, angles, errors, radiograph, shapes, store
from lumbo.errors import fields, number, require, whole

SPLITS = ("training", "validation", "test")
ROLES = ("participant", "outsider")
CHUNK = 64  # patients drawn together; a film does not depend on how many are asked for

_SCANNER = {  # allowed range of each number
    "source_mm": (800, 4000), "object_mm": (50, 500), "aim_mm": (0, 100), "photons": (1e2, 1e8), "scatter": (0, 10),
    "blur_mm": (0, 5), "compress": (0, 1), "edge": (0, 5), "gamma": (0.2, 5), "spread": (0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Rater:
    """Human error of rated landmarks, millimetres in the patient (standard deviation per coordinate)."""

    corner_mm: float
    head_mm: float


@dataclass(frozen=True)
class Hospital:
    """One hospital as specified in ``data_synth/hospitals/NAME.toml``.

    patients : how many there are for training, validation and test
    mixture : share of each cohort;  implanted : share with screws and rods
    mirrored : share of films stored with the patient facing right;  inverted : MONOCHROME1
    """

    name: str
    title: str
    role: str
    patients: dict[str, int]
    mixture: dict[str, float]
    implanted: float
    mirrored: float
    inverted: bool
    scanner: radiograph.Scanner
    rater: Rater


@dataclass(frozen=True)
class FilmSet:
    """Films of one split of one or more hospitals; all canonical: facing left, bone bright.

    films : (n, h, w) uint8
    landmarks_px, rated_landmarks_px : (n, 6, 2) exact projections, and as a rater placed them
    angles_deg, rated_angles_deg : (n, 4) film angles of those two
    anatomical_deg : (n, 4) angles of the spine in space
    pixel_mm : (n,) pixel size on the detector
    site : (n,) name of the hospital
    """

    films: np.ndarray
    landmarks_px: np.ndarray
    rated_landmarks_px: np.ndarray
    angles_deg: np.ndarray
    rated_angles_deg: np.ndarray
    anatomical_deg: np.ndarray
    pixel_mm: np.ndarray
    site: np.ndarray

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, index) -> "FilmSet":
        """Select films by slice, mask or index array."""
        return FilmSet(**{name: getattr(self, name)[index] for name in self.__dataclass_fields__})


def pool(parts: list[FilmSet]) -> FilmSet:
    """Put film sets one after the other: what centralized training needs and federated training avoids."""
    return FilmSet(
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in FilmSet.__dataclass_fields__}
    )


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
    require(name in hospitals(), "hospital", name, f"one of {', '.join(hospitals())}")
    return hospitals()[name]


def read_hospital(path: Path) -> Hospital:
    """Read and check one hospital file.

    Raises
    ------
    InputError
        Naming file and field, the value, and what is allowed.
    """
    return check_hospital(path.name.removesuffix(".toml"), store.read_toml(path))


def check_hospital(name: str, table: dict) -> Hospital:
    """Turn a table into a `Hospital`, or raise `InputError` naming the field."""
    known = set(Hospital.__dataclass_fields__) - {"name"}
    fields(name, table, known)
    require(isinstance(table["title"], str), f"{name}.title", table["title"], "a text")
    require(table["role"] in ROLES, f"{name}.role", table["role"], f"one of {', '.join(ROLES)}")
    patients = fields(f"{name}.patients", table["patients"], set(SPLITS))
    for split in SPLITS:
        needed = split == "test" or table["role"] == "participant"
        whole(f"{name}.patients.{split}", patients[split], 1 if needed else 0, 1_000_000)
    mixture = fields(
        f"{name}.mixture", table["mixture"], set(anatomy.cohort_names()), set(anatomy.cohort_names())
    )
    shares = [number(f"{name}.mixture.{who}", share, 0, 1) for who, share in mixture.items()]
    require(abs(sum(shares) - 1) < 1e-9, f"{name}.mixture", sum(shares), "shares that sum to 1")
    for share in ("implanted", "mirrored"):
        number(f"{name}.{share}", table[share], 0, 1)
    require(isinstance(table["inverted"], bool), f"{name}.inverted", table["inverted"], "true or false")
    scanner, rater = (
        _check_scanner(name, table["scanner"]),
        fields(f"{name}.rater", table["rater"], set(_RATER)),
    )
    for key in _RATER:
        number(f"{name}.rater.{key}", rater[key], 0, 20)
    return Hospital(name=name, **table | {"scanner": scanner, "rater": Rater(**rater)})


def film_set(
    where: Hospital, split: str, seed: int = 0, n: int | None = None, long_side_px: int = 256
) -> FilmSet:
    """Draw films of one split of a hospital, or take them from the cache.

    Parameters
    ----------
    where : the hospital;  split : "training", "validation" or "test"
    seed : of the patients.  Splits and hospitals never share a patient.
    n : how many films, by default as many as the hospital has; the first are the same for any `n`.
    long_side_px : height of the film, a multiple of 16
    """
    require(split in SPLITS, "split", split, f"one of {', '.join(SPLITS)}")
    n = where.patients[split] if n is None else whole("n", n, 0)
    whole("seed", seed, 0)
    radiograph.canvas(long_side_px)
    key = store.content_key(asdict(where), anatomy.statistics(), split, seed, n, long_side_px, _CODE)

    def make():
        starts = range(0, max(n, 1), CHUNK)
        with _one_thread():
            drawn = pool([_draw(where, split, seed, start // CHUNK, long_side_px) for start in starts])[:n]
        note = {"site": where.name, "split": split, "seed": seed}
        return {name: getattr(drawn, name) for name in _STORED}, note

    arrays, _ = store.cached_tensors(f"films/{where.name}-{split}-{key}", make)
    return FilmSet(**arrays, site=np.full(n, where.name))


def specification(long_side_px: int) -> str:
    """Digest everything that shapes a film: cohorts, hospitals and the code that draws."""
    specs = [asdict(h) for h in hospitals().values()]
    return store.content_key(specs, anatomy.statistics(), long_side_px, _CODE)


def _draw(where, split, seed, chunk, long_side_px) -> FilmSet:
    """Draw the patients of one chunk, take their films and rate them."""
    name = int.from_bytes(where.name.encode(), "big")
    rng = np.random.default_rng([seed, SPLITS.index(split), chunk, name])
    patients = anatomy.spines(_mixed_angles(where, rng), rng)
    solids = shapes.solids(patients, rng.random(CHUNK) < where.implanted, rng)
    exposure = radiograph.aim(patients, where.scanner, long_side_px, rng)
    absorbed = radiograph.attenuation(solids, shapes.trunk(patients, rng), where.scanner, exposure)
    signal = radiograph.expose(absorbed, where.scanner, exposure, rng)
    grey = radiograph.develop(signal, where.scanner, exposure, rng)
    landmarks = radiograph.project(patients.landmarks_mm, where.scanner, exposure)
    rated = rate(landmarks, where, exposure.pixel_mm, rng)
    stored, anterior, inverted = store_films(where, (grey * 255).round().byte().numpy(), rng)
    return FilmSet(
        films=radiograph.canonical(stored, anterior, inverted),
        landmarks_px=landmarks,
        rated_landmarks_px=rated,
        angles_deg=angles.lumbopelvic_angles(landmarks, "left"),
        rated_angles_deg=angles.lumbopelvic_angles(rated, "left"),
        anatomical_deg=patients.angles_deg,
        pixel_mm=np.full(CHUNK, exposure.pixel_mm),
        site=np.full(CHUNK, where.name),
    )


def rate(landmarks_px: np.ndarray, where: Hospital, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Place landmarks as this hospital's rater does, (n, 6, 2): independent normal errors."""
    sd_mm = np.array([where.rater.corner_mm] * 4 + [where.rater.head_mm] * 2)
    sd_px = sd_mm * radiograph.magnification(0.0, where.scanner) / pixel_mm
    return landmarks_px + rng.normal(0, 1, landmarks_px.shape) * sd_px[:, None]


def store_films(where: Hospital, films: np.ndarray, rng: np.random.Generator):
    """Give films the side and polarity that this hospital's archive holds: (films, anterior, inverted)."""
    anterior = np.where(rng.random(len(films)) < where.mirrored, "right", "left")
    inverted = np.full(len(films), where.inverted)
    return radiograph.present(films, anterior, inverted), anterior, inverted


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: solids are small, and threads that wait for each other cost more than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mixed_angles(where, rng):
    """Draw a chunk of patients from the hospital's mixture of cohorts."""
    names, shares = list(where.mixture), list(where.mixture.values())
    who = rng.choice(len(names), CHUNK, p=shares)
    drawn = np.stack([anatomy.draw_angles(anatomy.cohort(name), CHUNK, rng) for name in names])
    return drawn[who, np.arange(CHUNK)]


def _check_scanner(name, table) -> radiograph.Scanner:
    fields(f"{name}.scanner", table, set(radiograph.Scanner.__dataclass_fields__))
    for key, (low, high) in _SCANNER.items():
        number(f"{name}.scanner.{key}", table[key], low, high)
    field = table["field_mm"]
    require(isinstance(field, list) and len(field) == 2, f"{name}.scanner.field_mm", field, "[width, height]")
    for value in field:
        number(f"{name}.scanner.field_mm", value, 100, 1200)
    gap = table["source_mm"] - table["object_mm"]
    require(gap >= 500, f"{name}.scanner.object_mm", table["object_mm"], "at least 500 mm from the source")
    return radiograph.Scanner(**table | {"field_mm": tuple(field)})


_RATER = tuple(Rater.__dataclass_fields__)
_STORED = tuple(name for name in FilmSet.__dataclass_fields__ if name != "site")
_CODE = store.content_key(errors, angles, anatomy, shapes, radiograph, sys.modules[__name__])
