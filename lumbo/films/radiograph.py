"""From solids to what a detector counts: a point source or a slot, two energies, scatter.  Taught in spine_to_film.

The tube stands on the patient's left (+y), the detector on the right.  A point at depth y is
magnified by ``source / (source - object - y)``; so the left femoral head, nearer to the tube,
is drawn larger and further from the central ray than the right one.  A slot scanner moves its
thin fan along the patient: it magnifies across, never along.

Films are drawn canonically, the patient facing left; `present` and `canonical` go to and from what a
scanner stores.  Everything is computed in batches of films on torch's current device, and a solid touches
only the pixels that it covers.  What is then made of the counts is told in `lumbo.films.processing`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F

from lumbo import specs
from lumbo.angles import SIDES
from lumbo.errors import require, whole
from lumbo.films import raster, shapes
from lumbo.films.anatomy import Spines
from lumbo.films.variety import Variety
from lumbo.specs import Range

__all__ = [
    "ASPECT",
    "WEIGHTS",
    "SOFT",
    "BONE",
    "SCATTER_MM",
    "SCATTER_DEPTH_MM",
    "CHAMBER_MM",
    "MARGIN_MM",
    "CUT_MM",
    "Scanner",
    "Exposure",
    "canvas",
    "aim",
    "project",
    "magnification",
    "attenuation",
    "expose",
    "scattered",
    "side_marker",
    "hidden_head",
    "smooth",
    "blur",
    "present",
    "canonical",
    "WALL_MM",
    "GRAIN",
    "GRAIN_SLOPE",
    "grain_plate",
]

ASPECT = 13 / 16  # width / height of the canvas: 208 x 256
# 85 kVp behind 3 mm of aluminium as two energies, 43.8 and 65.9 keV: their shares of the signal, the
# attenuation of muscle, and what cortical bone adds to it, per mm.  Computed by benchmarks/spectrum.py.
WEIGHTS, SOFT, BONE = (0.637, 0.363), (0.02609, 0.02061), (0.07920, 0.03251)
SCATTER_MM = 25.0  # width of the veil that scattered photons make
SCATTER_DEPTH_MM = 200.0  # the depth of soft tissue for which `Scanner.scatter` is stated
CHAMBER_MM = (80.0, 120.0)  # (width, height) of the chamber whose mean signal ends the exposure
MARGIN_MM = 12.0  # a technician keeps every landmark this far inside the field
CUT_MM = 8.0  # heads that are drawn closer together than this are never cut apart


@specs.documented
@dataclass(frozen=True)
class Scanner:
    """How one room takes and processes its films; lengths in millimetres, SD is standard deviation.

    The ranges hold for the rooms of hospitals.  One that is built in code may be ideal: a tube at
    100 km has parallel rays.
    """

    source_mm: Annotated[float, Range(800, 4000), "tube to detector"]
    object_mm: Annotated[float, Range(50, 500), "middle of the patient to detector"]
    slot: Annotated[bool, "a fan that scans along the patient, instead of a cone"]
    field_mm: Annotated[
        tuple[float, float],
        Range(100, 1200),
        "(width, height) of the largest collimated field, on the detector (slot: in the patient)",
    ]
    shutters: Annotated[float, Range(0, 0.5), "share of the field that the collimator takes away at most"]
    aim_mm: Annotated[
        float, Range(0, 100), "distance of the central ray from the middle of the landmarks (SD)"
    ]
    photons: Annotated[
        float,
        Range(10, 1e8),
        "detected per mm2 behind the middle of the patient, where the exposure is controlled",
    ]
    scatter: Annotated[
        float, Range(0, 10), "scattered over primary signal behind 200 mm of soft tissue, without a grid"
    ]
    grid: Annotated[float, Range(1, 20), "factor by which the anti-scatter grid lowers that ratio (none: 1)"]
    heel: Annotated[float, Range(0, 0.6), "share of the open beam lost from the lower to the upper edge"]
    blur_mm: Annotated[float, Range(0, 5), "point spread of the detector (SD)"]
    compress: Annotated[float, Range(0, 1), "share of broad brightness differences that processing removes"]
    edge: Annotated[float, Range(0, 5), "strength of the edge enhancement"]
    window: Annotated[
        tuple[float, float],
        Range(0, 1),
        "(low, high) share of the patient's pixels that are black, and that are not white",
    ]
    gamma: Annotated[float, Range(0.2, 5), "of the display curve"]
    spread: Annotated[
        float, Range(0, 3), "how much field and processing vary from film to film, beside `variety`"
    ]
    cut: Annotated[float, Range(0, 1), "share of films that end between the two femoral heads"]
    marker: Annotated[float, Range(0, 1), "share of films with a lead letter for the side"]


@dataclass(frozen=True, eq=False)
class Exposure:
    """Where each of `n` films was taken.

    center_mm : (n, 2)  (x, z) of the central ray in the plane y = 0
    field_mm : (n, 2)  (width, height) of the collimated field
    pixel_mm : (n,) size of the square pixels on the detector (slot: in the plane y = 0)
    usual_mm : the same of the room's usual film, by which it processes all
    shape : (height, width) in pixels
    """

    center_mm: np.ndarray
    field_mm: np.ndarray
    pixel_mm: np.ndarray
    usual_mm: float
    shape: tuple[int, int]


def canvas(long_side_px: int) -> tuple[int, int]:
    """Return (height, width) in pixels of every film with this long side."""
    long_side_px = whole("long_side_px", long_side_px, 32, 2048)
    require(long_side_px % 16 == 0, "long_side_px", long_side_px, "a multiple of 16")
    return long_side_px, int(long_side_px * ASPECT)


def aim(spines: Spines, scanner: Scanner, long_side_px: int, vary: Variety) -> Exposure:
    """Point the tube near the middle of each patient's landmarks, with a field that holds them, as a technician does.

    A patient who is too large for the room's usual field gets a larger one.  Some films are cut to the field, the others
    show all of the detector.  `Scanner.cut` of the films of a
    cone end between the two heads: the nearer one, which is drawn lower, is then outside.
    """
    height, width = canvas(long_side_px)
    rng, n, points = vary.rng("aim"), len(spines), spines.landmarks_mm
    scale = magnification(points[..., 1], scanner)
    usual = np.array(scanner.field_mm)
    near = 1 / scale  # of the field, in millimetres of the patient at each landmark's depth
    apart = points[:, :, None, ::2] - points[:, None, :, ::2] + 2 * MARGIN_MM
    needed = (2 * apart / (near[:, :, None] + near[:, None])).max((1, 2))
    zoom = vary("field.zoom", n) ** scanner.spread
    largest = usual * np.maximum(zoom, (needed / usual).max(1))[:, None]
    field = largest * rng.uniform(1 - scanner.shutters, 1, (n, 2))
    field[:, 0] *= 1 - vary("field.narrow", n).clip(max=0.5)
    field = np.maximum(field, needed)
    reach = field[:, None] / 2 / scale
    lowest = (points[..., ::2] - reach + MARGIN_MM).max(1)  # between these two every landmark is inside
    highest = (points[..., ::2] + reach - MARGIN_MM).min(1)
    middle, slack = (lowest + highest) / 2, np.maximum(highest - lowest, 0) / 2
    off = rng.normal(0, scanner.aim_mm, middle.shape) * [1.5, 1.0]  # the back's skin is no guide to the spine
    off[:, 1] += rng.uniform(0, 1, n) * slack[:, 1]  # the beam is centred on the crest, not on the landmarks
    center = middle + np.clip(off, -slack, slack)
    edges = np.sort(
        (points[:, 4:, 2] + reach[:, 4:, 1]), 1
    )  # a head is inside where the ray passes below this
    cut = (rng.random(n) < scanner.cut) & (edges[:, 1] - edges[:, 0] > CUT_MM) & (not scanner.slot)
    between = edges[:, 0] + rng.uniform(0.25, 0.6, n) * (edges[:, 1] - edges[:, 0])
    center[:, 1] = np.where(cut, between, center[:, 1])
    usual_mm = max(usual[1] / height, usual[0] / width)
    shown = np.where(vary("field.crop", n)[:, None] > 0, field, largest)
    pixel_mm = (shown / [width, height]).max(1)
    return Exposure(center, field, pixel_mm, usual_mm, (height, width))


def hidden_head(spines: Spines, scanner: Scanner, exposure: Exposure) -> np.ndarray:
    """Tell which femoral head's centre lies outside the field: 0 none, 1 the left, 2 the right, (n,)."""
    heads = spines.heads_mm
    off = (heads[..., ::2] - exposure.center_mm[:, None]) * magnification(heads[..., 1], scanner)
    outside = (abs(off) > exposure.field_mm[:, None] / 2).any(-1)
    return np.where(outside[:, 0], 1, np.where(outside[:, 1], 2, 0))


def project(points_mm: np.ndarray, scanner: Scanner, exposure: Exposure) -> np.ndarray:
    """Project points (n, ..., 3) in the patient frame to pixel coordinates (n, ..., 2).

    The centre of the top left pixel is (0, 0); the patient faces left.
    """
    points_mm = np.asarray(points_mm, dtype=np.float64)
    center = exposure.center_mm.reshape(-1, *[1] * (points_mm.ndim - 2), 2)
    pixel_mm = exposure.pixel_mm.reshape(-1, *[1] * (points_mm.ndim - 1))
    off = (points_mm[..., ::2] - center) * magnification(points_mm[..., 1], scanner) / pixel_mm
    return np.array(exposure.shape[::-1]) / 2 - 0.5 - off


def magnification(y_mm, scanner: Scanner) -> np.ndarray:
    """Size on the film over size in the patient at depth y: (..., 2), across and along the patient.

    >>> room = Scanner(1000, 250, False, (350, 430), 0, 0, 1e4, 0, 1, 0, 0.3, 0, 0, (2, 2), 1, 0, 0, 0)
    >>> [round(float(magnification(y, room)[0]), 2) for y in (93, 0, -93)]
    [1.52, 1.33, 1.19]
    """
    y_mm = np.asarray(y_mm, dtype=np.float64)
    if scanner.slot:
        across = (scanner.source_mm - scanner.object_mm) / (scanner.source_mm - scanner.object_mm - y_mm)
        return np.stack([across, np.ones_like(across)], -1)
    scale = scanner.source_mm / (scanner.source_mm - scanner.object_mm - y_mm)
    return np.stack([scale, scale], -1)


def attenuation(
    solids: list[shapes.Solid],
    trunk: shapes.Trunk,
    scanner: Scanner,
    exposure: Exposure,
    n: int | None = None,
) -> torch.Tensor:
    """Add up the matter on every ray, (2, n, h, w): mm of soft tissue, mm of bone in excess of it.

    Tissue and bone are uneven by their grain; titanium and lead are not.

    n : only the first n films, which are the same for any n and cost what n films cost; by default all
    """
    n, (height, width) = len(exposure.center_mm[:n]), exposure.shape
    matter = torch.zeros(2, n, height, width)
    matter[0] = _soft_tissue(trunk, scanner, exposure, n)

    def px_per_mm(y, film):
        return magnification(y, scanner) / exposure.pixel_mm[film].reshape(-1, *[1] * np.ndim(y))

    view = raster.View(exposure.center_mm[:n], exposure.shape, px_per_mm)

    def add(some):
        for solid in some:
            for target, path in raster.paths(solid, view):
                for layer, share in zip(matter, solid.material):
                    if share:
                        layer.view(-1).index_add_(0, target, path, alpha=share)

    even = (shapes.TITANIUM, shapes.LEAD)
    add(solid for solid in solids if solid.material not in even)
    for i, strength in enumerate(GRAIN):
        uneven = _grain(trunk.grain[:n, i], exposure) * raster.tensor(trunk.strength[:n, i, None, None])
        matter[i].addcmul_(matter[i], uneven, value=strength)
    add(solid for solid in solids if solid.material in even)
    return matter


def expose(matter: torch.Tensor, scanner: Scanner, exposure: Exposure, vary: Variety) -> torch.Tensor:
    """Turn matter into signal (n, h, w), 1 in the open beam: Beer-Lambert, scatter, heel, noise, blur.

    matter : of all films of the exposure, or of the first n; `vary` draws for all of them
    """
    soft, bone = matter
    n = len(soft)
    primary = torch.zeros_like(soft)
    for weight, mu, more in zip(WEIGHTS, SOFT, BONE):
        primary += weight * torch.exp((-mu * soft).sub_(bone, alpha=more).clamp_(max=0))
    signal = primary + scattered(primary, soft, scanner, exposure)
    signal *= 1 + scanner.heel * torch.linspace(-0.5, 0.5, signal.shape[1])[:, None]
    dose = scanner.photons / signal[:, *_chamber(exposure)].mean((1, 2), keepdim=True)
    factor = exposure.pixel_mm**2 * vary("processing.photons", len(exposure.pixel_mm)) ** scanner.spread
    noise = _noise(signal.shape, vary.rng("noise"))
    one_photon = 1 / (dose * raster.tensor(factor[:n, None, None]))
    signal.addcmul_(noise, torch.sqrt(signal * one_photon))
    signal = torch.maximum(signal, one_photon.clamp_(max=1e-2), out=signal)  # a logarithm needs one
    return blur(signal, scanner.blur_mm / exposure.usual_mm).clamp_(1e-6, 1)


def scattered(
    primary: torch.Tensor, soft: torch.Tensor, scanner: Scanner, exposure: Exposure
) -> torch.Tensor:
    """Give the veil of scattered photons that a grid leaves, (n, h, w).

    It is the primary signal's geometric mean over the neighbourhood, times the scatter-to-primary ratio of
    the tissue there: a photon that scatters has crossed the neighbours' bone too, so the open beam beside a
    patient does not shine into the pelvis.
    """
    width = SCATTER_MM / exposure.usual_mm
    neighbours = smooth(torch.log(primary.clamp(min=1e-7)), width).exp_()
    depth = smooth(soft.clamp(min=0), width)
    return neighbours.mul_(depth).mul_(scanner.scatter / scanner.grid / SCATTER_DEPTH_MM)


def side_marker(scanner: Scanner, exposure: Exposure, vary: Variety) -> list[shapes.Solid]:
    """A lead letter, L or R, on the detector in a corner of some films; some on a plate, some back to front."""
    n, rng = len(exposure.center_mm), vary.rng("marker")
    size = rng.normal(16, 2.5, (n, 1, 1, 1))
    strokes = np.array(_LETTERS)[rng.integers(0, 2, n)] * size  # (n, strokes, 2 ends, 2)
    strokes[..., 0] *= np.where(rng.random((n, 1, 1)) < 0.2, -1, 1)
    turn = np.radians(rng.normal(0, 10, (n, 1, 1)))
    strokes = np.stack(
        [
            strokes[..., 0] * np.cos(turn) - strokes[..., 1] * np.sin(turn),
            strokes[..., 0] * np.sin(turn) + strokes[..., 1] * np.cos(turn),
        ],
        -1,
    )
    there = rng.random((n, 1)) < scanner.marker
    corner = exposure.field_mm / 2 - [22, 26] - rng.uniform(0, [20, 60], (n, 2))
    place = corner * rng.choice([-1, 1], (n, 2))
    scale = magnification(-scanner.object_mm, scanner)

    def on_detector(points):  # (n, ..., 2) from the middle of the film
        middle = exposure.center_mm.reshape(-1, *[1] * (points.ndim - 2), 2)
        flat = middle + points / scale
        return np.stack([flat[..., 0], np.full(flat.shape[:-1], -scanner.object_mm), flat[..., 1]], -1)

    ends = on_detector(strokes + place[:, None, None])
    square = np.array([(-0.6, 0.7), (0.6, 0.7), (0.6, -0.7), (-0.6, -0.7)]) * size[:, :, 0]
    plate = on_detector(square + place[:, None])[:, None]
    plated = there & (rng.random((n, 1)) < 0.3)
    return [
        shapes.Rods(ends[:, :, 0], ends[:, :, 1], rng.uniform(0.9, 1.7, (n, 1)), there * np.ones(len(_LETTERS[0])), shapes.LEAD),
        shapes.Prisms(
            plate[..., ::2], -scanner.object_mm, 0.5, 0.02 * plated, shell=(0.0,) * 4, sag_mm=(0.0,) * 4,
            taper_mm=(0.0,) * 4, material=shapes.LEAD,
        ),
    ]  # fmt: skip


def present(films: np.ndarray, anterior: np.ndarray, inverted: np.ndarray) -> np.ndarray:
    """Turn canonical films (n, h, w), unsigned integers, into what the scanner stores.

    anterior : (n,) "left" or "right", the side faced;  inverted : (n,) bool, MONOCHROME1

    Raises `InputError` for films, sides or truths that are none.
    """
    films, anterior, inverted = np.asarray(films), np.asarray(anterior), np.asarray(inverted)
    fits = films.ndim == 3 and films.dtype.kind == "u"
    require(fits, "films", f"{films.shape} {films.dtype}", "unsigned integers of shape (n, height, width)")
    sides = anterior.shape == films.shape[:1] and bool(np.isin(anterior, list(SIDES)).all())
    require(sides, "anterior", anterior, f"left or right for each of {len(films)} films")
    truths = inverted.shape == films.shape[:1] and inverted.dtype == bool
    require(truths, "inverted", inverted, f"true or false for each of {len(films)} films")
    films = np.where((anterior == "right")[:, None, None], films[:, :, ::-1], films)
    return np.where(inverted[:, None, None], np.iinfo(films.dtype).max - films, films)


canonical = present  # mirroring and inverting undo themselves

# Strokes of L and R, x to the patient's front (left on the film), z up, letter height 1.
_LETTERS = (
    (((0.3, 0.5), (0.3, -0.5)), ((0.3, -0.5), (-0.3, -0.5)), ((0.3, 0.5), (0.3, -0.5)), ((0.3, -0.5), (-0.3, -0.5)), ((0.3, 0.5), (0.3, 0.5))),
    (((0.3, 0.5), (0.3, -0.5)), ((0.3, 0.5), (-0.2, 0.45)), ((-0.2, 0.45), (-0.2, 0.05)), ((-0.2, 0.05), (0.3, 0.0)), ((0.1, 0.0), (-0.3, -0.5))),
)  # fmt: skip


def _soft_tissue(trunk, scanner, exposure, n):
    """Path through soft tissue on every pixel (n, h, w), at half the resolution: it has no sharp edge."""
    height, width = exposure.shape
    scale = 2 * exposure.pixel_mm[:n, None] / magnification(0.0, scanner)
    x = exposure.center_mm[:n, :1] + ((width / 2 - 1) / 2 - np.arange(-(-width // 2))) * scale[:, :1]
    z = exposure.center_mm[:n, 1:] + ((height // 2 - 1) / 2 - np.arange(height // 2)) * scale[:, 1:]
    front, back, across, widest = (
        raster.tensor(_smooth_curve(z / trunk.tall[:n, None], trunk.knots_mm, values[:n]))[..., None]
        for values in (trunk.front_mm, trunk.back_mm, trunk.width_mm, trunk.widest)
    )
    taper, fat, lung = (raster.tensor(v[:n, None, None]) for v in (trunk.taper, trunk.fat, trunk.lung))
    x, z = raster.tensor(x)[:, None], raster.tensor(z)[:, :, None]
    ridge = back + (front - back) * widest
    ahead = ((x - ridge) / (front - ridge)).clamp_(min=0)
    behind = ((ridge - x) / (ridge - back)).clamp_(min=0)
    path = (1 - ahead * ahead).clamp_(min=0).pow_(1 / taper)
    path *= (1 - behind * behind).clamp_(min=0).pow_(0.95)
    path *= across * (1 - fat * ahead.clamp_(max=1))
    chest = torch.sigmoid((x - back - WALL_MM) / 5) * torch.sigmoid((front - WALL_MM - x) / 5)
    for dome in trunk.domes_mm[:n].transpose(1, 0, 2):
        crest = raster.tensor(dome)[:, :, None, None]
        off = x - crest[:, 0]
        fall = off.clamp(min=0) / _DOME_MM[0] - off.clamp(max=0) / _DOME_MM[1]
        path *= 1 - lung * chest * torch.sigmoid((z - crest[:, 1] + fall * fall) / 6)
    fine = F.interpolate(path[:, None], scale_factor=2, mode="bilinear", align_corners=False)
    return fine[:, 0, :, :width]  # an odd width needs half a coarse column more


WALL_MM = 22.0  # thickness of the chest's wall
# A dome falls by 1 mm this far before and behind its crest, by 4 mm twice as far: more steeply behind, to the ribs.
_DOME_MM = (17.0, 12.0)
# Standard deviation of the unevenness of soft tissue and of bone, as a share of the path.
GRAIN = (0.012, 0.10)
GRAIN_SLOPE = -2.3  # of the plate's power spectrum, log-log, as anatomy's
_WIDEST_MM = 70.0


@cache
def grain_plate(pixel_mm: float, size: int) -> np.ndarray:
    """One plate of random unevenness, (size, size), periodic; everybody lies at another place of it.

    Its power falls with frequency as that of anatomical structure does on films, and is
    flat for structures wider than 70 mm; the SD is 1 for the part coarser than 2 mm.
    """
    frequency = np.hypot(np.fft.fftfreq(size, pixel_mm)[:, None], np.fft.rfftfreq(size, pixel_mm))
    amplitude = np.maximum(frequency, 1 / _WIDEST_MM) ** (GRAIN_SLOPE / 2)
    white = np.fft.rfft2(np.random.default_rng(0).standard_normal((size, size)))
    seen = (amplitude**2)[(frequency < 0.25) & (frequency > 0)].sum() * 2 / size**2
    return np.fft.irfft2(white * amplitude / np.sqrt(seen), (size, size)).astype(np.float32)


def _grain(places, exposure):
    """Cut each patient's windows (n, h, w) out of the plate."""
    height, width = exposure.shape
    size = max(1024, 4 * height)
    plate = torch.as_tensor(grain_plate(round(exposure.usual_mm, 6), size))
    starts = (places * (size - np.array(exposure.shape))).astype(int)
    return torch.stack([plate[top : top + height, left : left + width] for top, left in starts])


def _smooth_curve(at, knots, values):
    """Cubic Hermite curve, slopes by differences: at (n, q), knots (m,), values (n, m) to (n, q)."""
    slope = np.gradient(values, knots, axis=1)
    i = np.clip(np.searchsorted(knots, at) - 1, 0, len(knots) - 2)
    step = knots[i + 1] - knots[i]
    t = np.clip((at - knots[i]) / step, 0, 1)
    low, high, rise, fall = (
        np.take_along_axis(v, j, 1) for v, j in ((values, i), (values, i + 1), (slope, i), (slope, i + 1))
    )
    return (
        low * (1 + 2 * t) * (1 - t) ** 2
        + high * t * t * (3 - 2 * t)
        + step * (rise * t * (1 - t) ** 2 - fall * t * t * (1 - t))
    )


def _chamber(exposure):
    """Rows and columns of the chamber in the middle of the detector."""
    sizes = zip(exposure.shape, CHAMBER_MM[::-1])
    return tuple(
        slice(int(s / 2 - mm / exposure.usual_mm / 2), int(s / 2 + mm / exposure.usual_mm / 2) + 1)
        for s, mm in sizes
    )


def _noise(shape, rng):
    """Normal noise on the current device, drawn on the host, so that every device draws the same.

    torch draws three times as fast as NumPy; film after film, so that the first are the same for any number.
    """
    generator = torch.Generator("cpu").manual_seed(int(rng.integers(2**62)))
    return torch.randn(shape, generator=generator, device="cpu").to(torch.get_default_device())


def smooth(films: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Gaussian blur of many pixels' width, worked on a coarser grid."""
    step = max(1, int(sigma_px / 4 + 1.5))
    coarse = blur(F.avg_pool2d(films[:, None], step, ceil_mode=True)[:, 0], sigma_px / step)
    fine = F.interpolate(coarse[:, None], scale_factor=step, mode="bilinear", align_corners=False)
    return fine[:, 0, : films.shape[1], : films.shape[2]]  # the last coarse cells may reach over the edge


def blur(films: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Gaussian blur, separable, edges replicated; none where it would not reach the next pixel."""
    radius = int(np.ceil(3 * sigma_px))
    if sigma_px < 0.25:
        return films
    bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma_px**2))
    weights = [float(weight) for weight in bell / bell.sum()]
    padded = F.pad(films[:, None], (radius,) * 4, mode="replicate")[:, 0]
    for axis in (1, 2):  # adding shifted copies beats a one-channel convolution twentyfold on a CPU
        size = films.shape[axis]
        shifted = (padded.narrow(axis, i, size) * weight for i, weight in enumerate(weights))
        padded = sum(shifted, start=torch.zeros(()))
    return padded
