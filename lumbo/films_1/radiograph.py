"""From solids to lateral films: a point source or a slot, two energies, a detector.

The tube stands on the patient's left (+y), the detector on the right.  A point at depth y is
magnified by ``source / (source - object - y)``; so the left femoral head, nearer to the tube,
is drawn larger and further from the central ray than the right one.  A slot scanner moves its
thin fan along the patient: it magnifies across, never along.

Films are drawn canonically, the patient facing left and bone bright.  Everything is computed in
batches of films on torch's current device, and a solid touches only the pixels that it covers.
"""

from dataclasses import dataclass
from functools import cache
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F

from lumbo import specs
from lumbo.errors import require, whole
from lumbo.films_1 import raster, shapes
from lumbo.films_1.anatomy import Spines
from lumbo.specs import Range

__all__ = [
    "ASPECT",
    "WEIGHTS",
    "SOFT",
    "BONE",
    "SCATTER_MM",
    "SCATTER_DEPTH_MM",
    "CHAMBER_MM",
    "COMPRESS_MM",
    "EDGE_MM",
    "SKIN",
    "MARGIN_MM",
    "Scanner",
    "Exposure",
    "canvas",
    "aim",
    "project",
    "magnification",
    "attenuation",
    "expose",
    "develop",
    "side_marker",
    "LUNG",
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
COMPRESS_MM = 35.0  # structures wider than this are flattened by `Scanner.compress`
EDGE_MM = 4.0  # structures finer than this are raised by `Scanner.edge`
SKIN = 0.8  # powers of e that the patient takes from the beam at the skin line
MARGIN_MM = 12.0  # a technician keeps every landmark this far inside the field


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
        float, Range(0, 1), "of photons, edge and gamma from film to film (SD of their logarithm)"
    ]
    marker: Annotated[float, Range(0, 1), "share of films with a lead letter for the side"]


@dataclass(frozen=True, eq=False)
class Exposure:
    """Where each of `n` films was taken.

    center_mm : (n, 2)  (x, z) of the central ray in the plane y = 0
    field_mm : (n, 2)  (width, height) of the collimated field
    pixel_mm : size of the square pixels on the detector (slot: in the plane y = 0)
    shape : (height, width) in pixels
    """

    center_mm: np.ndarray
    field_mm: np.ndarray
    pixel_mm: float
    shape: tuple[int, int]


def canvas(long_side_px: int) -> tuple[int, int]:
    """Return (height, width) in pixels of every film with this long side."""
    long_side_px = whole("long_side_px", long_side_px, 32, 2048)
    require(long_side_px % 16 == 0, "long_side_px", long_side_px, "a multiple of 16")
    return long_side_px, int(long_side_px * ASPECT)


def aim(spines: Spines, scanner: Scanner, long_side_px: int, rng: np.random.Generator) -> Exposure:
    """Point the tube near the middle of each patient's landmarks, as a technician does."""
    height, width = canvas(long_side_px)
    pixel_mm = max(scanner.field_mm[1] / height, scanner.field_mm[0] / width)
    field = np.array(scanner.field_mm) * rng.uniform(1 - scanner.shutters, 1, (len(spines), 2))
    points = spines.landmarks_mm
    reach = field[:, None] / 2 / magnification(points[..., 1], scanner) - MARGIN_MM
    lowest = (points[..., ::2] - reach).max(1)  # between these two every landmark is inside
    highest = (points[..., ::2] + reach).min(1)
    middle, slack = (lowest + highest) / 2, np.maximum(highest - lowest, 0) / 2
    off = rng.normal(0, scanner.aim_mm, middle.shape)
    return Exposure(middle + np.clip(off, -slack, slack), field, pixel_mm, (height, width))


def project(points_mm: np.ndarray, scanner: Scanner, exposure: Exposure) -> np.ndarray:
    """Project points (n, ..., 3) in the patient frame to pixel coordinates (n, ..., 2).

    The centre of the top left pixel is (0, 0); the patient faces left.
    """
    points_mm = np.asarray(points_mm, dtype=np.float64)
    center = exposure.center_mm.reshape(-1, *[1] * (points_mm.ndim - 2), 2)
    off = (points_mm[..., ::2] - center) * magnification(points_mm[..., 1], scanner) / exposure.pixel_mm
    return np.array(exposure.shape[::-1]) / 2 - 0.5 - off


def magnification(y_mm, scanner: Scanner) -> np.ndarray:
    """Size on the film over size in the patient at depth y: (..., 2), across and along the patient.

    >>> room = Scanner(1000, 250, False, (350, 430), 0, 0, 1e4, 0, 1, 0, 0.3, 0, 0, (2, 2), 1, 0, 0)
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

    n : only the first n films, which are the same for any n and cost what n films cost; by default all
    """
    n, (height, width) = len(exposure.center_mm[:n]), exposure.shape
    matter = torch.zeros(2, n * height * width)
    matter[0] = _soft_tissue(trunk, scanner, exposure, n).flatten()
    view = raster.View(
        exposure.center_mm[:n], exposure.shape, lambda y: magnification(y, scanner) / exposure.pixel_mm
    )
    for solid in solids:
        for target, path in raster.paths(solid, view):
            for layer, share in zip(matter, solid.material):
                if share:
                    layer.index_add_(0, target, path, alpha=share)
    matter = matter.view(2, n, height, width)
    for layer, places, strength in zip(matter, trunk.grain[:n].transpose(1, 0, 2), GRAIN):
        layer.addcmul_(layer, _grain(places, exposure), value=strength)
    return matter


def expose(
    matter: torch.Tensor, scanner: Scanner, exposure: Exposure, rng: np.random.Generator
) -> torch.Tensor:
    """Turn matter into signal (n, h, w), 1 in the open beam: Beer-Lambert, scatter, heel, noise, blur.

    matter : of all films of the exposure, or of the first n; `rng` draws for all of them
    """
    soft, bone = matter
    primary = torch.zeros_like(soft)
    for weight, mu, more in zip(WEIGHTS, SOFT, BONE):
        primary += weight * torch.exp((-mu * soft).sub_(bone, alpha=more).clamp_(max=0))
    veil = _smooth(primary * soft.clamp(min=0), SCATTER_MM / exposure.pixel_mm)
    signal = primary.add_(veil, alpha=scanner.scatter / scanner.grid / SCATTER_DEPTH_MM)
    signal *= 1 + scanner.heel * torch.linspace(-0.5, 0.5, signal.shape[1])[:, None]
    dose = scanner.photons / signal[:, *_chamber(exposure)].mean((1, 2), keepdim=True)
    per_pixel = dose * exposure.pixel_mm**2 * _vary(scanner, exposure, rng)[: len(signal)]
    noise = _noise(signal.shape, rng)
    signal.addcmul_(noise, torch.sqrt(signal / per_pixel))
    return _blur(signal, scanner.blur_mm / exposure.pixel_mm).clamp_(1e-6, 1)


def develop(
    signal: torch.Tensor, scanner: Scanner, exposure: Exposure, rng: np.random.Generator
) -> torch.Tensor:
    """Turn signal into grey levels in [0, 1], bone bright: logarithm, equalisation, edges, window, gamma.

    signal : of all films of the exposure, or of the first n; `rng` draws for all of them
    """
    n = len(signal)
    inside = _inside(exposure)[:n]
    density = torch.log(signal).neg_()
    edge = scanner.edge * _vary(scanner, exposure, rng)[:n]
    broad, fine = (_smooth(density, width / exposure.pixel_mm) for width in (COMPRESS_MM, EDGE_MM))
    grey = (density * (1 + edge)).addcmul_(fine, edge, value=-1).add_(broad, alpha=-scanner.compress)
    body = (density > SKIN) & (inside > 0)
    low, high = _window(grey, body, scanner)
    grey = grey.sub_(low).div_(high - low).clamp_(0, 1)
    return grey.pow_(scanner.gamma * _vary(scanner, exposure, rng)[:n]).mul_(inside)


def side_marker(scanner: Scanner, exposure: Exposure, rng: np.random.Generator) -> shapes.Rods:
    """A lead letter, L or R, on the detector in an upper or lower corner of some films."""
    n = len(exposure.center_mm)
    letters = rng.integers(0, 2, n)
    strokes = np.array(_LETTERS)[letters] * rng.normal(16, 2, (n, 1, 1, 1))  # (n, strokes, 2 ends, 2)
    scale = magnification(-scanner.object_mm, scanner)
    corner = exposure.field_mm / 2 - [22, 26] - rng.uniform(0, 12, (n, 2))
    place = exposure.center_mm + corner * rng.choice([-1, 1], (n, 2)) / magnification(0.0, scanner)
    flat = strokes / scale + (place * magnification(0.0, scanner) / scale)[:, None, None]
    flat = flat + (exposure.center_mm * (1 - magnification(0.0, scanner) / scale))[:, None, None]
    ends = np.stack([flat[..., 0], np.full(flat.shape[:-1], -scanner.object_mm), flat[..., 1]], -1)
    there = (rng.random((n, 1)) < scanner.marker) * np.ones(len(_LETTERS[0]))
    return shapes.Rods(ends[:, :, 0], ends[:, :, 1], 1.1, there, shapes.LEAD)


# Strokes of L and R, x to the patient's front (left on the film), z up, letter height 1.
_LETTERS = (
    (((0.3, 0.5), (0.3, -0.5)), ((0.3, -0.5), (-0.3, -0.5)), ((0.3, 0.5), (0.3, -0.5)), ((0.3, -0.5), (-0.3, -0.5)), ((0.3, 0.5), (0.3, 0.5))),
    (((0.3, 0.5), (0.3, -0.5)), ((0.3, 0.5), (-0.2, 0.45)), ((-0.2, 0.45), (-0.2, 0.05)), ((-0.2, 0.05), (0.3, 0.0)), ((0.1, 0.0), (-0.3, -0.5))),
)  # fmt: skip


def _soft_tissue(trunk, scanner, exposure, n):
    """Path through soft tissue on every pixel (n, h, w), at half the resolution: it has no sharp edge."""
    height, width = exposure.shape
    scale = 2 * exposure.pixel_mm / magnification(0.0, scanner)
    x = exposure.center_mm[:n, :1] + ((width / 2 - 1) / 2 - np.arange(-(-width // 2))) * scale[0]
    z = exposure.center_mm[:n, 1:] + ((height // 2 - 1) / 2 - np.arange(height // 2)) * scale[1]
    front, back, half_width = (
        raster.tensor(_smooth_curve(z, trunk.knots_mm, values[:n]))[..., None]
        for values in (trunk.front_mm, trunk.back_mm, trunk.half_width_mm)
    )
    u = (raster.tensor(x)[:, None] - (front + back) / 2) / ((front - back) / 2)
    chord = (1 - u * u).clamp_(min=0).sqrt_()
    path = chord * (2 * half_width)
    x, z = raster.tensor(x)[:, None], raster.tensor(z)[:, :, None]
    chest = torch.sigmoid((x - back - WALL_MM) / 5) * torch.sigmoid((front - WALL_MM - x) / 5)
    for dome in trunk.domes_mm[:n].transpose(1, 0, 2):
        crest = raster.tensor(dome)[:, :, None, None]
        fall = (x - crest[:, 0]) / 17
        path *= 1 - LUNG * chest * torch.sigmoid((z - crest[:, 1] + fall * fall) / 4)
    fine = F.interpolate(path[:, None], scale_factor=2, mode="bilinear", align_corners=False)
    return fine[:, 0, :, :width]  # an odd width needs half a coarse column more


LUNG, WALL_MM = 0.19, 22.0  # share of the path that each lung empties; thickness of the chest's wall
# Standard deviation of the unevenness of soft tissue and of bone, as a share of the path.
GRAIN = (0.011, 0.16)
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
    plate = torch.as_tensor(grain_plate(round(exposure.pixel_mm, 6), size))
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
        slice(int(s / 2 - mm / exposure.pixel_mm / 2), int(s / 2 + mm / exposure.pixel_mm / 2) + 1)
        for s, mm in sizes
    )


def _window(grey, body, scanner):
    """Grey levels of each film to show as black and as white: quantiles of a sample of the patient."""
    sample = grey.masked_fill(~body, -1e9).flatten(1)[:, ::29].sort(1).values
    outside = (sample < -1e8).sum(1)
    last = sample.shape[1] - 1
    return (
        sample.gather(1, (outside + (share * (last - outside)).long())[:, None])[..., None]
        for share in scanner.window
    )


def _inside(exposure):
    """1 inside the collimated field of each film, else 0, (n, h, w)."""
    height, width = exposure.shape
    rows, columns = (abs(torch.arange(size) - (size - 1) / 2) * exposure.pixel_mm for size in (height, width))
    half = raster.tensor(exposure.field_mm / 2)
    return (rows <= half[:, 1:]).float()[:, :, None] * (columns <= half[:, :1]).float()[:, None]


def _noise(shape, rng):
    """Normal noise on the current device, drawn on the host, so that every device draws the same.

    torch draws three times as fast as NumPy; film after film, so that the first are the same for any number.
    """
    generator = torch.Generator("cpu").manual_seed(int(rng.integers(2**62)))
    return torch.randn(shape, generator=generator, device="cpu").to(torch.get_default_device())


def _vary(scanner, exposure, rng):
    """Factors (n, 1, 1) by which something differs from film to film."""
    return raster.tensor(np.exp(rng.normal(0, scanner.spread, (len(exposure.center_mm), 1, 1))))


def _smooth(films, sigma_px):
    """Gaussian blur of many pixels' width, worked on a coarser grid."""
    step = max(1, int(sigma_px / 4 + 1.5))
    coarse = _blur(F.avg_pool2d(films[:, None], step, ceil_mode=True)[:, 0], sigma_px / step)
    fine = F.interpolate(coarse[:, None], scale_factor=step, mode="bilinear", align_corners=False)
    return fine[:, 0, : films.shape[1], : films.shape[2]]  # the last coarse cells may reach over the edge


def _blur(films, sigma_px):
    """Gaussian blur, separable, edges replicated; none where it would not reach the next pixel."""
    radius = int(np.ceil(3 * sigma_px))
    if sigma_px < 0.25:
        return films
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma_px**2))
    weights = [float(weight) for weight in weights / weights.sum()]
    padded = F.pad(films[:, None], (radius,) * 4, mode="replicate")[:, 0]
    for axis in (1, 2):  # adding shifted copies beats a one-channel convolution twentyfold on a CPU
        size = films.shape[axis]
        padded = sum(padded.narrow(axis, i, size) * weight for i, weight in enumerate(weights))
    return padded
