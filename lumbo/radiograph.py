"""From solids to lateral films: a point source, Beer-Lambert, and a detector.  Taught in ch04.

The tube stands on the patient's left (+y), the detector on the right.  A point at depth
y is magnified by ``source / (source - object - y)``; so the left femoral head, nearer to
the tube, is drawn larger and further from the central ray than the right one.

Films are drawn canonically, the patient facing left and bone bright; `present` and
`canonical` go to and from what a scanner stores.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lumbo import shapes
from lumbo.anatomy import Spines
from lumbo.errors import require, whole

ASPECT = 13 / 16  # width / height of the canvas: 208 x 256
SCATTER_MM = 45.0  # width of the veil that scattered photons make
COMPRESS_MM = 35.0  # structures wider than this are flattened by `Scanner.compress`
EDGE_MM = 6.0  # structures finer than this are raised by `Scanner.edge`
MARGIN_MM = 12.0  # a technician keeps every landmark this far inside the field


@dataclass(frozen=True)
class Scanner:
    """How one room takes and processes its films; lengths in millimetres.

    source_mm : tube to detector;  object_mm : middle of the patient to detector
    field_mm : (width, height) of the collimated field on the detector
    aim_mm : how far from the middle of the landmarks the central ray falls (standard deviation)
    photons : detected per pixel of 1 mm2 in the open beam
    scatter : scattered over primary signal behind the patient
    blur_mm : standard deviation of the detector's point spread
    compress : share of broad brightness differences that processing takes away
    edge : strength of the edge enhancement;  gamma : of the display curve
    spread : how much photons, edge and gamma vary from film to film (standard deviation of their logarithm)
    """

    source_mm: float
    object_mm: float
    field_mm: tuple[float, float]
    aim_mm: float
    photons: float
    scatter: float
    blur_mm: float
    compress: float
    edge: float
    gamma: float
    spread: float


@dataclass(frozen=True)
class Exposure:
    """Where each of `n` films was taken.

    center_mm : (n, 2)  (x, z) of the central ray in the plane y = 0
    pixel_mm : size of the square pixels on the detector
    shape : (height, width) in pixels
    """

    center_mm: np.ndarray
    pixel_mm: float
    shape: tuple[int, int]


def canvas(long_side_px: int) -> tuple[int, int]:
    """Return (height, width) in pixels of every film with this long side."""
    whole("long_side_px", long_side_px, 32, 1024)
    require(long_side_px % 16 == 0, "long_side_px", long_side_px, "a multiple of 16")
    return long_side_px, int(long_side_px * ASPECT)


def aim(patients: Spines, scanner: Scanner, long_side_px: int, rng: np.random.Generator) -> Exposure:
    """Point the tube near the middle of each patient's landmarks, as a technician does."""
    height, width = canvas(long_side_px)
    pixel_mm = max(scanner.field_mm[1] / height, scanner.field_mm[0] / width)
    points = patients.landmarks_mm
    reach = np.array(scanner.field_mm) / 2 / magnification(points[..., 1:2], scanner) - MARGIN_MM
    lowest, highest = (
        (points[..., ::2] - reach).max(1),
        (points[..., ::2] + reach).min(1),
    )  # where all are inside
    middle, slack = (lowest + highest) / 2, np.maximum(highest - lowest, 0) / 2
    off = rng.normal(0, scanner.aim_mm, middle.shape)
    return Exposure(middle + np.clip(off, -slack, slack), pixel_mm, (height, width))


def project(points_mm: np.ndarray, scanner: Scanner, exposure: Exposure) -> np.ndarray:
    """Project points (n, ..., 3) in the patient frame to pixel coordinates (n, ..., 2).

    The centre of the top left pixel is (0, 0); the patient faces left.
    """
    points_mm = np.asarray(points_mm, dtype=np.float64)
    center = exposure.center_mm.reshape(-1, *[1] * (points_mm.ndim - 2), 2)
    scale = magnification(points_mm[..., 1], scanner) / exposure.pixel_mm
    height, width = exposure.shape
    x = (width - 1) / 2 - (points_mm[..., 0] - center[..., 0]) * scale
    y = (height - 1) / 2 - (points_mm[..., 2] - center[..., 1]) * scale
    return np.stack([x, y], -1)


def magnification(y_mm, scanner: Scanner):
    """Size on the detector over size in the patient, at depth y.

    >>> room = Scanner(1000, 250, (350, 430), 0, 1e4, 0, 0.3, 0, 0, 1, 0)
    >>> [round(magnification(y, room), 2) for y in (93, 0, -93)]
    [1.52, 1.33, 1.19]
    """
    return scanner.source_mm / (scanner.source_mm - scanner.object_mm - y_mm)


def attenuation(
    solids: list[shapes.Solid], trunk: shapes.Trunk, scanner: Scanner, exposure: Exposure
) -> torch.Tensor:
    """Integrate attenuation along every ray, shape (n, height, width), no unit."""
    soft = _trunk(trunk, scanner, exposure)
    total = F.pad(soft.flatten(), (0, 1))  # the last pixel takes what falls off a film
    for solid in solids:
        _DRAW[type(solid)](total, solid, scanner, exposure)
    return total[:-1].view(soft.shape).clamp_(min=0)


def expose(
    absorbed: torch.Tensor, scanner: Scanner, exposure: Exposure, rng: np.random.Generator
) -> torch.Tensor:
    """Turn attenuation into detected signal in [0, 1]: Beer-Lambert, scatter, noise, blur, field edges."""
    primary = torch.exp(-absorbed)
    veil = torch.exp(-_smooth(absorbed, SCATTER_MM / exposure.pixel_mm))
    signal = (primary + scanner.scatter * veil) / (1 + scanner.scatter)
    exposures = scanner.photons * exposure.pixel_mm**2 * _vary(scanner, len(signal), rng)
    noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape), dtype=np.float32))
    noisy = signal + noise * torch.sqrt(signal / exposures)
    return _blur(noisy, scanner.blur_mm / exposure.pixel_mm).clamp_(1e-6, 1)


def develop(
    signal: torch.Tensor, scanner: Scanner, exposure: Exposure, rng: np.random.Generator
) -> torch.Tensor:
    """Process detected signal into grey levels in [0, 1], bone bright: logarithm, window, edges, gamma."""
    inside = _field(scanner, exposure)
    density = -torch.log(signal)
    density = density - scanner.compress * _smooth(density, COMPRESS_MM / exposure.pixel_mm)
    sample = density[:, inside][:, ::23].sort(1).values
    low, high = (sample[:, int(q * (sample.shape[1] - 1)), None, None] for q in (0.02, 0.995))
    low = low.clamp(min=0)  # the open beam, density 0, stays black
    grey = (density - low) / (high - low)
    edge = scanner.edge * _vary(scanner, len(grey), rng)
    grey = grey + edge * (grey - _smooth(grey, EDGE_MM / exposure.pixel_mm))
    grey = grey.clamp(0, 1) ** (scanner.gamma * _vary(scanner, len(grey), rng))
    return grey * inside


def present(films: np.ndarray, anterior: np.ndarray, inverted: np.ndarray) -> np.ndarray:
    """Turn canonical uint8 films (n, h, w) into what the scanner stores.

    anterior : (n,) "left" or "right", the side faced;  inverted : (n,) bool, MONOCHROME1
    """
    films = np.where((np.asarray(anterior) == "right")[:, None, None], films[:, :, ::-1], films)
    return np.where(np.asarray(inverted)[:, None, None], 255 - films, films)


canonical = present  # mirroring and inverting undo themselves


def _draw_prisms(total, prisms, scanner, exposure):
    flat = np.concatenate(
        [prisms.corners_mm[..., :1], 0 * prisms.corners_mm[..., :1], prisms.corners_mm[..., 1:]], -1
    )
    corners = torch.from_numpy(project(flat, scanner, exposure)).float().flatten(0, 1)
    points, target = _patches(corners.amin(1), corners.amax(1), exposure.shape, prisms.corners_mm.shape[1])
    px = magnification(0.0, scanner) / exposure.pixel_mm
    edges = corners.roll(-1, 1) - corners
    middle = corners.mean(1)
    depth = []
    for i in range(4):
        length = edges[:, i].norm(dim=-1)
        normal = torch.stack([-edges[:, i, 1], edges[:, i, 0]], -1) / length[:, None]
        normal = normal * torch.sign(((middle - corners[:, i]) * normal).sum(-1))[:, None]
        distance = _along(points, corners[:, i], normal)
        if prisms.concavity_mm and i % 2 == 0:
            share = _along(points, corners[:, i], edges[:, i] / length[:, None] ** 2).clamp(0, 1)
            distance = distance - 4 * prisms.concavity_mm * px * share * (1 - share)
        depth.append(distance)
    inside = torch.stack(depth).amin(0)
    path = 2 * _column(prisms.half_width_mm, prisms.corners_mm.shape[:2])
    added = prisms.density * (inside + 0.5).clamp(0, 1)
    if prisms.rim:
        plate = torch.minimum(depth[0], depth[2])
        added = added + prisms.rim * torch.minimum((inside + 0.5).clamp(0, 1), (px + 0.5 - plate).clamp(0, 1))
    _add(total, target, path * added)


def _draw_ellipsoids(total, solid, scanner, exposure):
    n, k = solid.center_mm.shape[:2]
    center = torch.from_numpy(project(solid.center_mm, scanner, exposure)).float().flatten(0, 1)
    px = (
        torch.from_numpy(magnification(solid.center_mm[..., 1], scanner) / exposure.pixel_mm)
        .float()
        .flatten()
    )
    semi = torch.from_numpy(np.broadcast_to(solid.semi_mm, (n, k, 3)).copy()).float().flatten(0, 1)
    turn = torch.from_numpy(np.radians(np.broadcast_to(solid.turn_deg, (n, k)).copy())).float().flatten()
    reach = (semi[:, :2].amax(1) * px)[:, None]
    points, target = _patches(center - reach, center + reach, exposure.shape, k)
    first = torch.stack([-turn.cos(), -turn.sin()], -1)  # x points left and z up on the film
    second = torch.stack([turn.sin(), -turn.cos()], -1)
    a = _along(points, center, first / (semi[:, 0] * px)[:, None])
    b = _along(points, center, second / (semi[:, 1] * px)[:, None])
    chord = (1 - a * a - b * b).clamp_(min=0).sqrt_()
    _add(total, target, chord * 2 * semi[:, 2, None, None] * _column(solid.density, (n, k)))


def _draw_rods(total, solid, scanner, exposure):
    n, k = solid.start_mm.shape[:2]
    density = _column(solid.density, (n, k))
    if not density.any():
        return
    start, end = (
        torch.from_numpy(project(p, scanner, exposure)).float().flatten(0, 1)
        for p in (solid.start_mm, solid.end_mm)
    )
    depth = (solid.start_mm[..., 1] + solid.end_mm[..., 1]) / 2
    radius = (
        torch.from_numpy(solid.radius_mm * magnification(depth, scanner) / exposure.pixel_mm)
        .float()
        .flatten()
    )
    reach = radius[:, None] + 1
    points, target = _patches(
        torch.minimum(start, end) - reach, torch.maximum(start, end) + reach, exposure.shape, k
    )
    span = end - start
    share = _along(points, start, span / (span * span).sum(-1, keepdim=True)).clamp(0, 1)
    gap = [points[i] - start[:, i, None, None] - share * span[:, i, None, None] for i in (0, 1)]
    off = (gap[0] ** 2 + gap[1] ** 2) / (radius * radius)[:, None, None]
    _add(total, target, (1 - off).clamp_(min=0).sqrt_() * 2 * _column(solid.radius_mm, (n, k)) * density)


_DRAW = {shapes.Prisms: _draw_prisms, shapes.Ellipsoids: _draw_ellipsoids, shapes.Rods: _draw_rods}


def _trunk(trunk, scanner, exposure):
    """Path through soft tissue and lung on every pixel (n, h, w)."""
    height, width = exposure.shape
    scale = exposure.pixel_mm / magnification(0.0, scanner)
    z = exposure.center_mm[:, 1:] + ((height - 1) / 2 - np.arange(height)) * scale
    x = exposure.center_mm[:, :1] + ((width - 1) / 2 - np.arange(width)) * scale
    front, back, half_width = (
        torch.from_numpy(
            np.stack([np.interp(row, trunk.knots_mm, knot) for row, knot in zip(z, values)])
        ).float()
        for values in (trunk.front_mm, trunk.back_mm, trunk.half_width_mm)
    )
    x, z = torch.from_numpy(x).float()[:, None], torch.from_numpy(z).float()[:, :, None]
    middle, half_depth = ((front + back) / 2)[..., None], ((front - back) / 2)[..., None]
    chord = (1 - ((x - middle) / half_depth).square().square()).clamp_(min=0).sqrt()
    dome = torch.from_numpy(trunk.dome_mm).float()[:, None, None]
    lung = torch.sigmoid((z - dome[..., 1] + ((x - dome[..., 0]) / 14) ** 2 / 4) / 5)
    soft = shapes.SOFT_TISSUE + 0.75 * shapes.LUNG * lung
    return 2 * half_width[..., None] * chord * soft


def _patches(low, high, shape, k):
    """Pixel coordinates in a box around each solid, and where each pixel lies in the batch.

    low, high : (n * k, 2) box corners in px.  Returns x (n * k, 1, Q), y (n * k, P, 1) and
    flat targets (n * k, P, Q); what falls outside its film goes to a spare last pixel.
    """
    height, width = shape
    low = torch.floor(low - 1).clamp(min=0, max=1e4)
    high = torch.minimum(high, torch.tensor([width, height]))
    columns, rows = ((high - low).amax(0).clamp(min=0).ceil().int() + 2).tolist()
    x = low[:, 0, None, None] + torch.arange(columns)
    y = low[:, 1, None, None] + torch.arange(rows)[:, None]
    film = torch.arange(len(low)).div(k, rounding_mode="floor")[:, None, None]
    target = (film * height + y.long()) * width + x.long()
    outside = (x >= width) | (y >= height)
    return (x, y), target.masked_fill_(outside, len(low) // k * height * width)


def _add(total, target, values):
    """Add values to the pixels they belong to."""
    total.index_add_(0, target.flatten(), values.flatten())


def _along(points, origin, direction):
    """Dot product of (points - origin) with a direction, one of each per solid."""
    return (points[0] - origin[:, 0, None, None]) * direction[:, 0, None, None] + (
        points[1] - origin[:, 1, None, None]
    ) * direction[:, 1, None, None]


def _column(values, shape):
    """Broadcast to one value per solid, shape (n * k, 1, 1)."""
    return torch.from_numpy(np.broadcast_to(np.asarray(values, np.float32), shape).copy()).view(-1, 1, 1)


def _field(scanner, exposure):
    """True inside the collimated field, shape (h, w)."""
    height, width = exposure.shape
    rows, columns = (abs(torch.arange(size) - (size - 1) / 2) * exposure.pixel_mm for size in (height, width))
    return (rows <= scanner.field_mm[1] / 2)[:, None] & (columns <= scanner.field_mm[0] / 2)


def _vary(scanner, n, rng):
    return torch.from_numpy(np.exp(rng.normal(0, scanner.spread, (n, 1, 1)))).float()


def _smooth(films, sigma_px):
    """Gaussian blur of many pixels' width, worked on a coarser grid."""
    step = max(1, round(sigma_px / 2))
    coarse = _blur(F.avg_pool2d(films[:, None], step, ceil_mode=True)[:, 0], sigma_px / step)
    fine = F.interpolate(coarse[:, None], scale_factor=step, mode="bilinear", align_corners=False)
    return fine[:, 0, : films.shape[1], : films.shape[2]]  # the last coarse cells may reach over the edge


def _blur(films, sigma_px):
    """Gaussian blur, separable, edges replicated."""
    radius = int(np.ceil(3 * sigma_px))
    if radius < 1 or sigma_px < 0.05:
        return films.clone()
    weights = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma_px**2))
    weights = [float(weight) for weight in weights / weights.sum()]
    padded = F.pad(films[:, None], (radius,) * 4, mode="replicate")[:, 0]
    for axis in (1, 2):  # adding shifted copies beats a one-channel convolution twentyfold on a CPU
        size = films.shape[axis]
        padded = sum(padded.narrow(axis, i, size) * weight for i, weight in enumerate(weights))
    return padded
