"""The solids of `lumbo.films.shapes` as triangles, for renderers that take nothing else.

A mesh is a pair: vertices (v, 3) in mm, and faces (f, 3), counter-clockwise seen from outside.  Each is as thick
along y as lumbo draws its solid there, so what thins out towards its outline is a lens of even density, a hollow tube one
tube less another, and a bent one is swept with mitred joints.  Only lung, the grain of tissue and the smear of edges
are no meshes.
"""

from collections.abc import Callable
from functools import cache, reduce

import numpy as np

from lumbo.films import radiograph, shapes

SUBDIVISIONS = 2  # of the icosahedron behind every ellipsoid: 320 triangles
SHARES = (1 - np.cos(np.linspace(0, np.pi, 9))) / 2  # points of a curved edge, closer at its corners
# Shares of the way from the middle of a prism to its outline.
RINGS = (1.0, 0.993, 0.975, 0.94, 0.88, 0.78, 0.6, 0.3, 0.0)
DEPTHS_MM = np.array([0.0, 0.15, 0.45, 1.0, shapes.SHELL_MM])  # in the shell of a prism
SIDES = 16  # of a round rod or tube
CAP = np.linspace(-85, 0, 5)  # rings of its end, degrees
BACK = 0.95  # power by which the trunk falls towards the back, as in `radiograph`


def patient(solids: list[shapes.Solid], trunk: shapes.Trunk, i: int) -> list[tuple[tuple[float, ...], tuple]]:
    """Meshes of the i-th patient: (what 1 mm adds to the (soft, bone) maps, mesh); equal ones in one mesh."""
    parts: dict[tuple[float, ...], list] = {(1.0, 0.0): [loft(trunk, i)]}
    for solid in solids:
        for density, mesh in _MESHES[type(solid)](solid, i):
            share = tuple(round(float(density * each), 5) for each in solid.material)
            parts.setdefault(share, []).append(mesh)
    return [(share, _joined(meshes)) for share, meshes in parts.items() if any(share)]


def prisms(solid: shapes.Prisms, i: int):
    """Yield the density and mesh of each prism, then of the shell under each of its edges."""
    n, k, m = solid.corners_mm.shape[:3]
    y, half, density = _of(i, (n, k), solid.y_mm, solid.half_width_mm, solid.density)
    shell, sag, skew, nearer = _of(i, (n, k, m), solid.shell, solid.sag_mm, solid.skew, solid.nearer_mm)
    taper = np.array(solid.taper_mm)
    for j in np.flatnonzero(density):
        edges = _Edges(solid.corners_mm[i, j], sag[j], skew[j])
        plane = np.linalg.lstsq(np.insert(edges.corners, 2, 1.0, -1), y[j] + nearer[j], rcond=None)[0]
        outline = edges.outline()
        rings = edges.middle + np.multiply.outer(RINGS if taper.any() else (1.0, 0.0), outline - edges.middle)
        yield density[j], _slab(rings, True, plane, half[j] * edges.profile(rings, taper))
        for edge in np.flatnonzero(shell[j]):
            strip = edges.strip(edge)
            yield shell[j, edge], _slab(strip, False, plane, half[j] * edges.profile(strip, taper))


def ellipsoids(solid: shapes.Ellipsoids, i: int):
    """Yield the density and mesh of each ellipsoid; the mesh has the ellipsoid's volume."""
    n, k = solid.center_mm.shape[:2]
    turn, density = _of(i, (n, k), solid.turn_deg, solid.density)
    semi, (ball, faces) = np.broadcast_to(solid.semi_mm, (n, k, 3))[i], _ball(solid.soft)
    for j in np.flatnonzero(density):
        cos, sin = np.cos(np.radians(turn[j])), np.sin(np.radians(turn[j]))
        axes = np.array([[cos, 0, sin], [-sin, 0, cos], [0, 1, 0]])
        yield density[j], (solid.center_mm[i, j] + (ball * semi[j]) @ axes, faces)


def rods(solid: shapes.Rods, i: int):
    """Yield the density and mesh of each rod, with round ends."""
    radius, density = _of(i, solid.start_mm.shape[:2], solid.radius_mm, solid.density)
    for j in np.flatnonzero(density):
        yield density[j], _capsule(solid.start_mm[i, j], solid.end_mm[i, j], radius[j])


def tubes(solid: shapes.Tubes, i: int):
    """Yield the density and mesh of each tube, then of what a hollow one lacks."""
    radius, density, hollow = _of(i, solid.points_mm.shape[:2], solid.radius_mm, solid.density, solid.hollow)
    for j in np.flatnonzero(density):
        yield density[j], _sweep(solid.points_mm[i, j], radius[j], solid.soft)
        if hollow[j] and not solid.soft:
            yield -density[j], _sweep(solid.points_mm[i, j], radius[j] * hollow[j], False)


def loft(trunk: shapes.Trunk, i: int):
    """Mesh of the trunk without its lung: its outline every 10 mm of height."""
    z, tall = np.arange(trunk.knots_mm[0], trunk.knots_mm[-1] + 1, 10.0), trunk.tall[i]
    front, back, width, widest = (
        radiograph._smooth_curve(z[None], trunk.knots_mm, values[i : i + 1])[0][:, None]
        for values in (trunk.front_mm, trunk.back_mm, trunk.width_mm, trunk.widest)
    )
    out = np.sin(np.linspace(0, np.pi / 2, 17))  # 0 where the trunk is widest, 1 at the skin
    ridge = back + (front - back) * widest
    ahead = (1 - out**2) ** (1 / trunk.taper[i]) * (1 - trunk.fat[i] * out)
    x = np.concatenate([ridge + (back - ridge) * out[::-1], ridge + (front - ridge) * out[1:]], 1)
    y = width / 2 * np.concatenate([(1 - out[::-1] ** 2) ** BACK, ahead[1:]])
    x, y = np.concatenate([x, x[:, -2:0:-1]], 1), np.concatenate([y, -y[:, -2:0:-1]], 1)
    return _tube(np.stack([x, y, z[:, None] * tall + 0 * x], -1))


_MESHES: dict[type, Callable] = {
    shapes.Prisms: prisms,
    shapes.Ellipsoids: ellipsoids,
    shapes.Rods: rods,
    shapes.Tubes: tubes,
}


def _of(i, shape, *fields):
    """The i-th patient's values of fields that may be one for all."""
    return (np.broadcast_to(field, shape)[i] for field in fields)


class _Edges:
    """The edges of one prism, each sunken to a parabola that may lean to one end."""

    def __init__(self, corners, sag, skew):
        self.corners, self.sag, self.skew, self.middle = corners, sag, skew, corners.mean(0)
        self.span = np.roll(corners, -1, 0) - corners
        self.length = np.linalg.norm(self.span, axis=-1)
        normal = np.stack([-self.span[:, 1], self.span[:, 0]], -1) / self.length[:, None]
        self.inward = normal * np.sign(((self.middle - corners) * normal).sum(-1))[:, None]

    def outline(self):
        """Points along all edges, (points, 2)."""
        return np.concatenate([self._under(edge, 0.0)[:-1] for edge in range(len(self.corners))])

    def strip(self, edge):
        """Grid of points through the shell of one edge, (depths, points, 2)."""
        return np.stack([self._under(edge, depth) for depth in DEPTHS_MM])

    def profile(self, points, taper):
        """Half width at points (..., 2) as a share of the full one."""
        distance, height = self._distance(points), np.ones(points.shape[:-1])
        for each in set(taper[taper > 0]):
            rest = np.clip(1 - distance[..., taper == each].min(-1) / each, 0, 1)
            height *= np.sqrt(1 - rest**2)
        return height

    def _under(self, edge, depth):
        """Points at a depth under one edge, from one neighbour to the other; those still outside are moved inside."""
        others = np.arange(len(self.corners)) != edge

        def at(share):
            sunk = depth + self._sunk(np.clip(share, 0, 1)[:, None])[:, edge]
            return self.corners[edge] + np.outer(share, self.span[edge]) + np.outer(sunk, self.inward[edge])

        first, last = _farthest(
            lambda share: (self._distance(at(share))[:, others] >= 0).all(-1),
            np.full(2, 0.5),
            np.array([-1.0, 2.0]),
        )
        off = at(first + SHARES * (last - first)) - self.middle
        way = _farthest(
            lambda way: (self._distance(self.middle + way[:, None] * off) >= 0).all(-1),
            np.zeros(len(SHARES)),
            np.ones(len(SHARES)),
        )
        return self.middle + way[:, None] * off

    def _sunk(self, share):
        share = share + self.skew * share * (1 - share)
        return 4 * self.sag * share * (1 - share)

    def _distance(self, points):
        """How far points (..., 2) lie inside each edge, (..., edges)."""
        off = points[..., None, :] - self.corners
        share = np.clip((off * self.span).sum(-1) / self.length**2, 0, 1)
        return (off * self.inward).sum(-1) - self._sunk(share)


def _farthest(held, start, end):
    """How far on the way from each start to its end something holds: bisection."""
    for _ in range(20):
        between = (start + end) / 2
        inside = held(between)
        start, end = np.where(inside, between, start), np.where(inside, end, between)
    return start


def _slab(grid, closed, plane, half):
    """Both faces and the rim of a plate over a grid of (x, z) points (rows, columns, 2).

    plane : y = a x + b z + c in its middle;  half : (rows, columns) of its thickness
    """
    (rows, columns), y = half.shape, grid @ plane[:2] + plane[2]
    near, far = (
        np.stack([grid[..., 0], y + side * half, grid[..., 1]], -1).reshape(-1, 3) for side in (1, -1)
    )
    top = _grid_faces(rows, columns, closed)
    arrows = np.concatenate([top[:, [0, 1]], top[:, [1, 2]], top[:, [2, 0]]])
    code, back = arrows @ [rows * columns, 1], arrows @ [1, rows * columns]
    rim = arrows[~np.isin(code, back)]
    other = rim + rows * columns
    walls = np.concatenate(
        [np.c_[rim[:, 1], rim[:, 0], other[:, 0]], np.c_[rim[:, 1], other[:, 0], other[:, 1]]]
    )
    return _outwards(np.concatenate([near, far]), np.concatenate([top, top[:, ::-1] + rows * columns, walls]))


def _tube(rings):
    """Closed surface through rings (rows, columns, 3), with a flat lid on both ends."""
    rows, columns = rings.shape[:2]
    lids = np.stack([rings[0].mean(0), rings[-1].mean(0)])
    first, last = np.arange(columns), np.arange(columns) + (rows - 1) * columns
    caps = [
        np.c_[np.roll(ring, turn - 1), np.roll(ring, -turn), np.full(columns, rows * columns + turn)]
        for turn, ring in enumerate((first, last))
    ]
    return _outwards(
        np.concatenate([rings.reshape(-1, 3), lids]),
        np.concatenate([_grid_faces(rows, columns, True), *caps]),
    )


def _capsule(start, end, radius):
    length = np.linalg.norm(end - start)
    axis = (end - start) / length if length > 0 else np.array([0.0, 0.0, 1.0])
    side = np.cross(axis, np.eye(3)[abs(axis).argmin()])
    side /= np.linalg.norm(side)
    across, along = _circle(SIDES)
    circle = np.outer(across, side) + np.outer(along, np.cross(axis, side))
    climb = np.radians(np.concatenate([CAP, -CAP[::-1]]))
    foot = np.repeat([0, length], len(CAP)) + radius * np.sin(climb)
    return _tube(
        start + np.multiply.outer(foot, axis)[:, None] + radius * np.multiply.outer(np.cos(climb), circle)
    )


def _sweep(line, radius, soft):
    """A tube along a line (m, 3) with mitred joints and round ends, of even thickness along y."""
    heading = np.diff(line[:, ::2], axis=0)
    heading = heading / np.linalg.norm(heading, axis=-1, keepdims=True)
    joints = np.concatenate([heading[:1], heading]) + np.concatenate([heading, heading[-1:]])
    joints *= 2 / (joints**2).sum(-1, keepdims=True).clip(1)
    climb = np.radians(CAP[:-1])
    space = np.insert(heading, 1, 0.0, axis=-1)  # with y
    cap = radius * np.sin(climb)[:, None]
    middle = np.concatenate([line[0] + cap * space[0], line, line[-1] - cap[::-1] * space[-1]])
    aside = np.concatenate(
        [np.tile(heading[0], (len(climb), 1)), joints, np.tile(heading[-1], (len(climb), 1))]
    )
    size = np.concatenate([np.cos(climb), np.ones(len(line)), np.cos(climb[::-1])])[:, None]
    across, deep = _section(soft)
    wide, deep = radius * size * across, radius * size ** (2 if soft else 1) * deep
    off = np.stack([-aside[:, 1:] * wide, deep, aside[:, :1] * wide], -1)
    return _tube(middle[:, None] + off)


@cache
def _section(soft):
    """Corners of a tube's section, across and along y, with the area that it has: a circle's or a lens's."""
    around = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    across, deep = np.cos(around), np.sin(around)
    deep, area = (deep * abs(deep), 8 / 3) if soft else (deep, np.pi)
    corners = across * np.roll(deep, -1) - np.roll(across, -1) * deep
    return across, deep * area / (corners.sum() / 2)


def _circle(sides):
    """Corners of a polygon with the area of the unit circle."""
    around = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return np.stack([np.cos(around), np.sin(around)]) * np.sqrt(2 * np.pi / sides / np.sin(2 * np.pi / sides))


def _grid_faces(rows, columns, closed):
    """Two triangles for each cell of a grid of points; a closed grid joins its last column to the first."""
    r, c = (each.ravel() for each in np.mgrid[: rows - 1, : columns - (not closed)])
    corner, right = r * columns + c, r * columns + (c + 1) % columns
    return np.concatenate(
        [np.c_[corner, right, corner + columns], np.c_[right, right + columns, corner + columns]]
    )


def _outwards(vertices, faces):
    a, b, c = (vertices[faces[:, i]] - vertices.mean(0) for i in range(3))
    volume = (np.cross(a, b) * c).sum()
    return vertices, faces if volume > 0 else faces[:, ::-1]


@cache
def _ball(soft):
    """Icosphere with the volume of the unit ball, or of the lens it is if soft; columns are (turned x, turned z, y)."""
    gold = (1 + 5**0.5) / 2
    corners = np.array(
        [np.roll([0, a, b * gold], turn) for turn in range(3) for a in (-1, 1) for b in (-1, 1)]
    )
    apart = np.linalg.norm(corners[:, None] - corners, axis=-1) < 2.1
    triples = [
        (a, b, c)
        for a in range(12)
        for b in range(a)
        for c in range(b)
        if apart[a, b] and apart[b, c] and apart[a, c]
    ]
    triangles = reduce(lambda t, _: _quartered(t), range(SUBDIVISIONS), corners[np.array(triples)])
    triangles /= np.linalg.norm(triangles, axis=-1, keepdims=True)
    turned = np.linalg.det(triangles) > 0  # (x, z, y) is left-handed
    triangles[turned] = triangles[turned][:, ::-1]
    if soft:
        triangles[..., 2] *= abs(triangles[..., 2]) ** 3  # the chord of a soft one is the fourth power
    vertices, faces = np.unique(triangles.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    volume = abs(np.linalg.det(triangles).sum()) / 6
    return vertices * ((2 if soft else 4) / 3 * np.pi / volume) ** (1 / 3), faces.reshape(-1, 3)


def _quartered(triangles):
    triangles = triangles / np.linalg.norm(triangles, axis=-1, keepdims=True)
    a, b, c = triangles.transpose(1, 0, 2)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate(
        [np.stack(each, 1) for each in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )


def _joined(meshes):
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    return np.concatenate([v for v, _ in meshes]), np.concatenate(
        [f + s for (_, f), s in zip(meshes, starts)]
    )
