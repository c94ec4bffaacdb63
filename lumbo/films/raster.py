"""Ray paths through solids, in batches, on the pixels that each solid covers.  Taught in spine_to_film.

Each solid is seen at one depth, in parallel: its own plane has a scale and its pixels have
millimetres.  What its depth does in diverging rays is a smear of its edges (prisms); what a vertebra's
two sides show comes from its two halves in `lumbo.films.vertebrae`.  Works on torch's current device.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from lumbo.films import shapes

__all__ = ["View", "paths", "tensor", "Patch"]


@dataclass(frozen=True)
class View:
    """Where `n` films look from.

    center_mm : (n, 2)  (x, z) under the middle of each film;  shape : (height, width) in pixels
    px_per_mm : depths y (rows, ...) and the film of each row (rows,) to scales (rows, ..., 2), across and
        along the patient
    """

    center_mm: np.ndarray
    shape: tuple[int, int]
    px_per_mm: Callable[[np.ndarray, np.ndarray], np.ndarray]


def paths(solid: shapes.Solid, view: View) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (target, path): flat pixels of (n, height, width), and millimetres times density to add there.

    The solids may be those of more films than the view has: the first are seen.
    """
    for patch in _patches(solid, view):
        yield patch.target.flatten(), _PATH[type(solid)](patch).flatten()


def tensor(array) -> torch.Tensor:
    """A float32 copy on the current device."""
    return torch.tensor(np.asarray(array, np.float32))


@dataclass(frozen=True)
class Patch:
    """Some solids of one kind and the pixels of a box around each.

    solid : their fields, one row a solid, tensors or tuples
    x, z : (rows, 1, Q), (rows, P, 1)  millimetres in each solid's own plane
    pixel_mm : (rows, 1, 1) size of a pixel in that plane;  target : (rows, P, Q) where each pixel lies
    """

    solid: SimpleNamespace
    x: torch.Tensor
    z: torch.Tensor
    pixel_mm: torch.Tensor
    target: torch.Tensor

    def along(self, origin, direction) -> torch.Tensor:
        """Dot product of (pixel - origin) with a direction, (rows, P, Q); one of each per solid, (rows, 2)."""
        x, z = direction[:, 0, None, None], direction[:, 1, None, None]
        start = (origin * direction).sum(1)[:, None, None]
        return (self.x * x - start) + self.z * z


# The fields that differ from solid to solid, with the axes that follow (n, k).
_FIELDS = {
    shapes.Prisms: {
        "corners_mm": 2,
        "y_mm": 0,
        "half_width_mm": 0,
        "density": 0,
        "shell": 1,
        "sag_mm": 1,
        "skew": 1,
        "nearer_mm": 1,
        "slant_mm": 2,
        "rough_mm": 1,
    },
    shapes.Ellipsoids: {"center_mm": 1, "semi_mm": 1, "turn_deg": 0, "density": 0},
    shapes.Rods: {"start_mm": 1, "end_mm": 1, "radius_mm": 0, "density": 0},
    shapes.Tubes: {"points_mm": 2, "radius_mm": 0, "density": 0, "hollow": 0},
}


def _patches(solid, view):
    """Yield the solids that touch their film, small and large ones apart: a group shares one size of box."""
    rows, film = _rows(solid, len(view.center_mm))
    low, high, y = _BOX[type(solid)](rows, view.center_mm[film], lambda y: view.px_per_mm(y, film))
    scale, size = view.px_per_mm(y, film), np.array(view.shape[::-1])
    # On the film x points left and z up.
    first = np.floor((size - 1) / 2 - (high - view.center_mm[film]) * scale)
    last = np.ceil((size - 1) / 2 - (low - view.center_mm[film]) * scale)
    seen = np.flatnonzero(((last >= 0) & (first < size)).all(1))
    first, last = np.maximum(first, 0), np.minimum(last, size - 1)
    order = seen[np.argsort((last - first + 1)[seen].prod(1), kind="stable")]
    for part in np.array_split(order, min(3, len(order) // 64 + 1)) if len(order) else ():
        box = (last - first + 1)[part].max(0).astype(int)
        group = SimpleNamespace(
            **{name: tensor(values[part]) for name, values in vars(rows).items()}, whole=solid
        )
        yield _patch(group, film[part], np.minimum(first[part], size - box), box, scale[part], view)


def _patch(group, film, start, box, scale, view):
    """Give the pixels of one box per solid, from the pixel `start` on, their places and millimetres."""
    (height, width), fine, at = (
        view.shape,
        tensor(1 / scale)[..., None],
        tensor(view.center_mm[film])[..., None],
    )
    column = tensor(start[:, 0, None, None]) + torch.arange(box[0])
    row = tensor(start[:, 1, None, None]) + torch.arange(box[1])[:, None]
    return Patch(
        group,
        x=at[:, :1] + ((width - 1) / 2 - column) * fine[:, :1],
        z=at[:, 1:] + ((height - 1) / 2 - row) * fine[:, 1:],
        pixel_mm=fine.mean(1, keepdim=True),
        target=(torch.as_tensor(film * height)[:, None, None] + row.long()) * width + column.long(),
    )


def _rows(solid, n):
    """List the solids of the first `n` films that are there (of a density other than 0), and the film of each."""
    fields = _FIELDS[type(solid)]
    shape = np.shape(getattr(solid, next(iter(fields))))[:2]
    there = (np.broadcast_to(solid.density, shape) != 0) & (np.arange(shape[0]) < n)[:, None]
    there = there.ravel()
    rows = {}
    for name, axes in fields.items():
        values = np.asarray(getattr(solid, name), np.float64)
        tail = values.shape[values.ndim - axes :]
        rows[name] = np.broadcast_to(values, shape + tail).reshape(-1, *tail)[there]
    return SimpleNamespace(**rows), np.repeat(np.arange(shape[0]), shape[1])[there]


def _box_prisms(rows, center_mm, px_per_mm):
    """Box of each prism; its corners are moved to where they are seen in the plane of its middle.

    `smear_mm` (rows, m): how broad each edge is seen, because its near end and its far end are not in one place.
    """
    if rows.nearer_mm.any():
        depths = rows.y_mm[:, None] + rows.nearer_mm
        rows.corners_mm = _seen(rows.corners_mm, depths, rows.y_mm, center_mm, px_per_mm)
    ends = rows.y_mm + rows.half_width_mm * np.array([[-1], [1]])  # (2, rows)
    grows = np.subtract(*(px_per_mm(y) for y in ends[::-1])) / px_per_mm(rows.y_mm)
    moves = shapes.ROUND * (rows.slant_mm + (rows.corners_mm - center_mm[:, None]) * grows[:, None])
    edges = np.roll(rows.corners_mm, -1, 1) - rows.corners_mm
    across = edges[..., ::-1] * [-1, 1] / np.maximum(np.linalg.norm(edges, axis=-1, keepdims=True), 1e-6)
    rows.smear_mm = np.hypot(((moves + np.roll(moves, -1, 1)) / 2 * across).sum(-1), rows.rough_mm)
    bulge = np.maximum(-rows.sag_mm.min(1, initial=0), 0)[:, None] + rows.smear_mm.max(1)[:, None] / 2 + 0.5
    return rows.corners_mm.min(1) - bulge, rows.corners_mm.max(1) + bulge, rows.y_mm


def _box_ellipsoids(rows, center_mm, px_per_mm):
    cos, sin = np.cos(np.radians(rows.turn_deg)), np.sin(np.radians(rows.turn_deg))
    a, b = rows.semi_mm[:, 0], rows.semi_mm[:, 1]
    reach = np.stack([np.hypot(cos * a, sin * b), np.hypot(sin * a, cos * b)], -1)
    return rows.center_mm[:, ::2] - reach, rows.center_mm[:, ::2] + reach, rows.center_mm[:, 1]


def _box_rods(rows, center_mm, px_per_mm):
    """Box of each rod; its ends are moved to where they are seen in the plane of its middle."""
    y = (rows.start_mm[:, 1] + rows.end_mm[:, 1]) / 2
    span = rows.end_mm - rows.start_mm
    rows.slant = np.linalg.norm(span, axis=1) / np.maximum(np.linalg.norm(span[:, ::2], axis=1), 1e-6)
    for name in ("start_mm", "end_mm"):
        end = getattr(rows, name)
        setattr(rows, name, center_mm + (end[:, ::2] - center_mm) * px_per_mm(end[:, 1]) / px_per_mm(y))
    reach = rows.radius_mm[:, None]
    low, high = (pick(rows.start_mm, rows.end_mm) for pick in (np.minimum, np.maximum))
    return low - reach, high + reach, y


def _box_tubes(rows, center_mm, px_per_mm):
    """Box of each tube; its points are moved to where they are seen in the plane of their mean depth."""
    depths = rows.points_mm[..., 1]
    y = depths.mean(1)
    rows.points_mm = _seen(rows.points_mm[..., ::2], depths, y, center_mm, px_per_mm)
    reach = rows.radius_mm[:, None]
    return rows.points_mm.min(1) - reach, rows.points_mm.max(1) + reach, y


def _seen(points_mm, depths_mm, plane_mm, center_mm, px_per_mm):
    """Where points (rows, m, 2) at depths (rows, m) are seen in a plane of one depth, (rows,)."""
    center = center_mm[:, None]
    return center + (points_mm - center) * (px_per_mm(depths_mm) / px_per_mm(plane_mm)[:, None])


def _path_prisms(patch):
    """Millimetres on each ray: a body of even density with a dense shell, thinner towards tapered edges."""
    solid, taper = patch.solid, patch.solid.whole.taper_mm
    edges = solid.corners_mm.roll(-1, 1) - solid.corners_mm
    length = edges.norm(dim=-1, keepdim=True)
    normal = torch.stack([-edges[..., 1], edges[..., 0]], -1) / length
    normal *= torch.sign(
        ((solid.corners_mm.mean(1, keepdim=True) - solid.corners_mm) * normal).sum(-1, keepdim=True)
    )
    depth, skew = [], solid.skew.expand(-1, edges.shape[1])
    for i in range(edges.shape[1]):
        distance = patch.along(solid.corners_mm[:, i], normal[:, i])
        if np.any(np.asarray(solid.whole.sag_mm)[..., i]):
            share = patch.along(solid.corners_mm[:, i], edges[:, i] / length[:, i] ** 2).clamp_(0, 1)
            arch = share * (1 - share)
            share.addcmul_(arch, skew[:, i, None, None])  # the deepest point moves towards one end
            distance.addcmul_(
                share.addcmul_(share, share, value=-1), solid.sag_mm[:, i, None, None], value=-4
            )
        depth.append(distance)
    sharp = 1 / torch.hypot(solid.smear_mm[..., None, None], patch.pixel_mm[:, None])  # (rows, m, 1, 1)
    half = torch.tensor(0.5)
    cover = _least([torch.addcmul(half, d, sharp[:, i]) for i, d in enumerate(depth)]).clamp_(0, 1)
    path = cover * solid.density[:, None, None]
    for i, (distance, strength) in enumerate(zip(depth, solid.shell.T)):
        if np.any(np.asarray(solid.whole.shell)[..., i]):
            inner = half - shapes.SHELL_MM * sharp[:, i]
            rim = torch.addcmul(inner, distance, sharp[:, i]).clamp_(0, 1)
            path.addcmul_(torch.sub(cover, rim, out=rim).clamp_(min=0), strength[:, None, None])
    for reach in sorted(set(taper) - {0.0}):
        rest = (1 - _least([d for d, t in zip(depth, taper) if t == reach]) / reach).clamp_(0, 1)
        path *= (1 - rest.square_()).sqrt_()
    return path.mul_(2 * solid.half_width_mm[:, None, None])


def _path_ellipsoids(patch):
    center, semi, turn = (
        patch.solid.center_mm[:, ::2],
        patch.solid.semi_mm,
        torch.deg2rad(patch.solid.turn_deg),
    )
    a = patch.along(center, torch.stack([turn.cos(), turn.sin()], -1) / semi[:, :1])
    b = patch.along(center, torch.stack([-turn.sin(), turn.cos()], -1) / semi[:, 1:2])
    chord = (1 - a.square_()).addcmul_(b, b, value=-1).clamp_(min=0)
    chord = chord.square_() if patch.solid.whole.soft else chord.sqrt_()
    return chord.mul_((2 * semi[:, 2] * patch.solid.density)[:, None, None])


def _path_rods(patch):
    """Chord of a round rod; a ray crosses a slanted one on a longer way, at most three diameters."""
    solid = patch.solid
    off = _off(patch, solid.start_mm, solid.end_mm).div_(solid.radius_mm[:, None, None] ** 2)
    through = 2 * solid.radius_mm * solid.density * solid.slant.clamp(max=3)
    return off.neg_().add_(1).clamp_(min=0).sqrt_().mul_(through[:, None, None])


def _path_tubes(patch):
    """Chord of a tube along a line of several pieces, seen at its nearest piece; a hollow one is dark inside."""
    points = patch.solid.points_mm.unbind(1)
    off = torch.full(torch.broadcast_shapes(patch.x.shape, patch.z.shape), torch.inf)
    for start, end in zip(points, points[1:]):
        torch.minimum(off, _off(patch, start, end), out=off)
    off = off.div_(patch.solid.radius_mm[:, None, None] ** 2)
    chord = (1 - off).clamp_(min=0)
    if not patch.solid.whole.soft:
        chord.sqrt_()
        if np.any(patch.solid.whole.hollow):
            hollow = patch.solid.hollow[:, None, None]
            chord -= (hollow * hollow - off).clamp_(min=0).sqrt_()
    return chord.mul_((2 * patch.solid.radius_mm * patch.solid.density)[:, None, None])


def _off(patch, start, end):
    """Squared distance of each pixel from pieces of lines, (rows, P, Q); their ends are (rows, 2)."""
    span = end - start
    share = patch.along(start, span / (span * span).sum(1, keepdim=True).clamp(min=1e-6)).clamp_(0, 1)
    x = (patch.x - start[:, :1, None]).sub(share * span[:, :1, None])
    z = (patch.z - start[:, 1:, None]).sub(share.mul_(span[:, 1:, None]))
    return x.square_().addcmul_(z, z)


_BOX = {
    shapes.Prisms: _box_prisms,
    shapes.Ellipsoids: _box_ellipsoids,
    shapes.Rods: _box_rods,
    shapes.Tubes: _box_tubes,
}
_PATH = {
    shapes.Prisms: _path_prisms,
    shapes.Ellipsoids: _path_ellipsoids,
    shapes.Rods: _path_rods,
    shapes.Tubes: _path_tubes,
}


def _least(distances):
    """Smallest of some tensors, element by element."""
    least = distances[0]
    for distance in distances[1:]:
        least = torch.minimum(least, distance)
    return least
