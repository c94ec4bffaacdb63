"""The solids of `lumbo.films.shapes` as triangles, for renderers that take nothing else.

A mesh is a pair: vertices (v, 3) in mm, and faces (f, 3), counter-clockwise seen from outside.
"""

from functools import cache, reduce

import numpy as np

from lumbo.films import radiograph, shapes

SUBDIVISIONS = 2  # of the icosahedron behind every ellipsoid: 320 triangles
PIECES = 8  # straight pieces of a curved edge
RINGS = (
    1.0,
    0.993,
    0.975,
    0.94,
    0.88,
    0.78,
    0.6,
    0.3,
    0.0,
)  # shares of the way from the middle of a prism to its outline
SHELL_MM = (0.0, 0.15, 0.45, 1.0)  # depths in the cortical shell of a prism
SIDES = 16  # of a round rod


def patient(solids: list[shapes.Solid], trunk: shapes.Trunk, i: int) -> list[tuple[tuple, tuple]]:
    """Meshes of the i-th patient: (what 1 mm adds to the (soft, bone) maps, mesh); equal ones in one mesh."""
    parts = {(1.0, 0.0): [loft(trunk, i)]}
    for solid in solids:
        for density, mesh in _MESHES[type(solid)](solid, i):
            share = tuple(round(float(density * each), 5) for each in solid.material)
            parts.setdefault(share, []).append(mesh)
    return [(share, _joined(meshes)) for share, meshes in parts.items() if any(share)]


def prisms(solid: shapes.Prisms, i: int):
    """Yield the density and mesh of each prism, then of the shell along each of its edges."""
    n, k, m = solid.corners_mm.shape[:3]
    y, half, density = (
        np.broadcast_to(value, (n, k))[i] for value in (solid.y_mm, solid.half_width_mm, solid.density)
    )
    sag = np.broadcast_to(solid.sag_mm, (n, k, m))[i]
    taper = np.array(solid.taper_mm)
    for j in np.flatnonzero(half):
        edges = _Edges(solid.corners_mm[i, j], sag[j])
        outline = edges.outline()
        middle = solid.corners_mm[i, j].mean(0)
        rings = middle + np.multiply.outer(RINGS if taper.any() else (1.0, 0.0), outline - middle)
        yield density[j], _slab(rings, True, y[j], half[j] * edges.profile(rings, taper))
        for edge, strength in enumerate(solid.shell):
            if strength:
                strip = edges.strip(edge)
                yield strength, _slab(strip, False, y[j], half[j] * edges.profile(strip, taper))


def ellipsoids(solid: shapes.Ellipsoids, i: int):
    """Yield the density and mesh of each ellipsoid; the mesh has the ellipsoid's volume."""
    n, k = solid.center_mm.shape[:2]
    turn, density = (np.broadcast_to(value, (n, k))[i] for value in (solid.turn_deg, solid.density))
    semi, (ball, faces) = np.broadcast_to(solid.semi_mm, (n, k, 3))[i], _ball()
    for j in np.flatnonzero(density):
        cos, sin = np.cos(np.radians(turn[j])), np.sin(np.radians(turn[j]))
        axes = np.array([[cos, 0, sin], [-sin, 0, cos], [0, 1, 0]])
        yield density[j], (solid.center_mm[i, j] + (ball * semi[j]) @ axes, faces)


def rods(solid: shapes.Rods, i: int):
    """Yield the density and mesh of each rod, with round ends."""
    n, k = solid.start_mm.shape[:2]
    radius, density = (np.broadcast_to(value, (n, k))[i] for value in (solid.radius_mm, solid.density))
    for j in np.flatnonzero(density):
        yield density[j], _capsule(solid.start_mm[i, j], solid.end_mm[i, j], radius[j])


def loft(trunk: shapes.Trunk, i: int):
    """Mesh of the trunk: its ellipse every 10 mm of height."""
    z = np.arange(trunk.knots_mm[0], trunk.knots_mm[-1] + 1, 10.0)
    front, back, width = (
        radiograph._smooth_curve(z[None], trunk.knots_mm, values[i : i + 1])[0][:, None]
        for values in (trunk.front_mm, trunk.back_mm, trunk.half_width_mm)
    )
    across, along = _circle(64)
    x = (front + back) / 2 + (front - back) / 2 * across
    return _tube(np.stack([x, width * along, z[:, None] + 0 * x], -1))


_MESHES = {shapes.Prisms: prisms, shapes.Ellipsoids: ellipsoids, shapes.Rods: rods}


class _Edges:
    """The edges of one prism, each sunken to a parabola."""

    def __init__(self, corners, sag):
        self.corners, self.sag = corners, sag
        self.span = np.roll(corners, -1, 0) - corners
        self.length = np.linalg.norm(self.span, axis=-1)
        normal = np.stack([-self.span[:, 1], self.span[:, 0]], -1) / self.length[:, None]
        self.inward = normal * np.sign(((corners.mean(0) - corners) * normal).sum(-1))[:, None]

    def _points(self, edge, share):
        sunk = 4 * self.sag[edge] * share * (1 - share)
        return self.corners[edge] + np.outer(share, self.span[edge]) + np.outer(sunk, self.inward[edge])

    def outline(self):
        """Points along all edges, (edges * PIECES, 2)."""
        share = np.arange(PIECES) / PIECES
        return np.concatenate([self._points(edge, share) for edge in range(len(self.corners))])

    def strip(self, edge):
        """Grid of points through the shell of one edge, (depths, PIECES + 1, 2)."""
        return (
            self._points(edge, np.linspace(0, 1, PIECES + 1))
            + np.multiply.outer(SHELL_MM, self.inward[edge])[:, None]
        )

    def profile(self, points, taper):
        """Half width at points (..., 2) as a share of the full one."""
        off = points[..., None, :] - self.corners
        share = np.clip((off * self.span).sum(-1) / self.length**2, 0, 1)
        distance = (off * self.inward).sum(-1) - 4 * self.sag * share * (1 - share)
        height = np.ones(points.shape[:-1])
        for each in set(taper[taper > 0]):
            rest = np.clip(1 - distance[..., taper == each].min(-1) / each, 0, 1)
            height *= np.sqrt(1 - rest**2)
        return height


def _slab(grid, closed, y, half):
    """Both faces and the rim of a plate over a grid of (x, z) points (rows, columns, 2), `half` (rows, columns) thick."""
    rows, columns = half.shape
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
    climb = np.radians(np.linspace(-85, 85, 8))
    foot = np.where(climb < 0, 0, length) + radius * np.sin(climb)
    return _tube(
        start + np.multiply.outer(foot, axis)[:, None] + radius * np.multiply.outer(np.cos(climb), circle)
    )


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
def _ball():
    """Icosphere with the volume of the unit ball; columns are (turned x, turned z, y)."""
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
    vertices, faces = np.unique(triangles.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    volume = abs(np.linalg.det(triangles)).sum() / 6
    return vertices * (4 / 3 * np.pi / volume) ** (1 / 3), faces.reshape(-1, 3)


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
