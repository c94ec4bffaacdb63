"""From spines to vertebrae and ribs as solids, and how dense their bone is.  Taught in spine_to_film.

A point source draws the two sides of a vertebra apart, and so does a turn or a sideways curve.  Therefore every
body stands here as two slabs, its left and its right half, each at its own depth; the landmarks lie in the plane
between them.
"""

import numpy as np

from lumbo.films.anatomy import LEVELS, Spines, down, in_space
from lumbo.films.shapes import CANCELLOUS, MUSCLE, Ellipsoids, Prisms, Solid, Tubes
from lumbo.films.variety import Variety

__all__ = ["density", "bodies", "arches", "ribs", "joined", "SIDES", "RIMS"]

SIDES = np.array([1.0, -1.0])  # left, right
RIMS = 1 + 4 * len(LEVELS)  # of S1, and of the two plates of each half body
_LUMBAR = 5
# Density of the plates' rims from L5 to T4.
_RIM = np.array([0.029, 0.047, 0.052, 0.046, 0.026, 0.024, 0.024] + [0.024] * 7)
_ROUGH_MM = 2.5  # of arches and processes, whose walls are not flat
_SPONGY = 0.58  # of a body beside `CANCELLOUS`, with the contrast of real films
_YOUNG_YEARS, _LOSS, _HU = 30.0, 2.5, 226.0  # L1 in young adults, Hounsfield units, and what a year takes
_GROUPS = ("vertebrae", "arches", "sacrum", "pelvis")


def density(spines: Spines, group: str, vary: Variety) -> np.ndarray:
    """How dense the spongy bone of a group is beside a young adult's, (n,): age, the patient's own, the group's.

    From 30 years on it loses 2.5 HU of 226 a year (n = 20,374, radiol.2019181648); a child's is a little below.
    """
    age, n = spines.patients.age_years, len(spines)
    aged = 1 - _LOSS / _HU * (age - _YOUNG_YEARS).clip(min=0) - 0.012 * (18 - age).clip(min=0)
    own = vary("bone.young", n) * vary("bone.group", n, len(_GROUPS))[:, _GROUPS.index(group)]
    return aged.clip(min=0.35) * own


def joined(halves):
    """Join the two sides of each level into one axis: (n, 2, k, ...) to (n, 2 k, ...)."""
    return halves.reshape(len(halves), -1, *halves.shape[3:])


# ---------------------------------------------------------------- bodies


def bodies(spines: Spines, vary: Variety) -> list[Solid]:
    """Vertebral bodies with cortical walls and sunken endplates: left halves, then right halves; lips and nodes."""
    n, levels = len(spines), len(LEVELS)
    grown = spines.patients.grown
    width = np.linspace(1.05, 0.68, levels) * spines.patients.size("body_width")[:, None] / 2
    y = SIDES[:, None] * width[:, None] / 2  # (n, 2, levels) from the body's middle
    turned_mm = spines.corners_mm
    corners = turned_mm[..., ::2][:, None] + _carried(spines, y)[:, :, :, None]
    nearer = turned_mm[..., 1] - spines.aside_mm[..., None]
    slant = np.tile(_carried(spines, width)[:, :, None], (1, 2, 4, 1))
    spongy = (
        _SPONGY * CANCELLOUS * density(spines, "vertebrae", vary)[:, None] * vary("bone.piece", n, levels)
    )
    rim, cortex = vary("body.rim", n, RIMS)[:, 1:], vary("bone.cortex", n)[:, None]
    rim = rim * cortex * np.tile(_RIM, 4)
    up, low = rim[:, : 2 * levels], rim[:, 2 * levels :]
    wall = np.ones((n, 2 * levels)) * 0.055 * cortex
    shell = np.stack([up, 0.8 * wall, low, 1.2 * wall], -1)
    sag, skew = _sags(vary, n, 2 * levels, grown)
    return [
        Prisms(
            joined(corners), joined(y + spines.aside_mm[:, None]), np.tile(width / 2, 2), np.tile(spongy, 2),
            shell=shell, sag_mm=sag, skew=skew, nearer_mm=np.tile(nearer, (1, 2, 1)),
            taper_mm=(1.5, 3.0, 1.5, 7.0),
            slant_mm=slant,
        ),
        *_lips(spines, vary),
        *_lesions(spines, vary),
    ]  # fmt: skip


def _sags(vary, n, k, grown):
    """Sag and skew of the edges of `k` half bodies: upper plate, back, lower plate, front; (n, k, 4)."""
    levels = k // 2
    own = vary("body.sag", n, 2 * levels).reshape(n, levels, 2)
    flat = 1 - vary("body.flat", n, 2 * levels).reshape(n, levels, 2).clip(max=1)
    plates = (own * flat * np.array([0.7, 1.5])).clip(max=4) * grown[:, None, None]
    plates = np.concatenate([plates, plates * vary("body.sides", n, 2 * levels).reshape(n, levels, 2)], 1)
    waist = vary("body.waist", n, 2 * k).reshape(n, k, 2) * np.array([1.2, 2.4]) * grown[:, None, None]
    skew = np.tile(vary("body.skew", n, 2 * levels).reshape(n, levels, 2), (1, 2, 1))
    zero = np.zeros((n, k))
    # The edges run from the front corner backwards along the upper plate and forwards along the lower one.
    return (
        np.stack([plates[..., 0], waist[..., 0], plates[..., 1], waist[..., 1]], -1),
        np.stack([-skew[..., 0], zero, skew[..., 1], zero], -1).clip(-0.9, 0.9),
    )


def _lips(spines, vary):
    """Rims at the corners of L5 to T12, drawn out to lips on some, and the osteophytes of the patient."""
    n, k = len(spines), 1 + _LUMBAR
    corners = spines.bodies_mm[:, :k]  # (n, k, 4, 2)
    across = corners[:, :, [1, 0, 3, 2]] - corners  # along the plate, from each corner inwards
    across = across / np.linalg.norm(across, axis=-1, keepdims=True)
    drawn = vary("body.lip", n, 4 * k).reshape(n, k, 4)
    drawn[:, :_LUMBAR, 3] += spines.patients.spurs_mm[:, :_LUMBAR]
    drawn[:, : _LUMBAR - 1, 0] += spines.patients.spurs_mm[:, 1:]
    grown = spines.patients.grown[:, None, None]
    length = (2.2 * grown + drawn / 2).clip(max=9)
    centre = corners + across * (length - drawn)[..., None]
    tilt = np.degrees(np.arctan2(across[..., 1], across[..., 0]))
    semi = np.stack([length, (1.5 + 0.12 * drawn) * grown, 15.0 * grown + 0 * drawn], -1)
    dense = 0.08 * density(spines, "vertebrae", vary)[:, None, None] * (1 + 0.10 * drawn)
    y = spines.aside_mm[:, :k, None] + 0 * drawn
    return [Ellipsoids(joined(in_space(centre, y)), joined(semi), joined(tilt), joined(dense))]


def _lesions(spines, vary):
    """Dense bands under some plates, and nodes where disc has broken through one."""
    n, k = len(spines), 1 + _LUMBAR
    upper, lower = spines.bodies_mm[:, :k, :2], spines.bodies_mm[:, :k, [3, 2]]
    plates = np.concatenate([upper, lower], 1)  # front corner, back corner
    along = plates[:, :, 0] - plates[:, :, 1]
    size = np.linalg.norm(along, axis=-1)
    inward = down(plates)
    inward[:, k:] *= -1
    tilt = np.degrees(np.arctan2(along[..., 1], along[..., 0]))
    hard, node = vary("body.sclerosis", n, 2 * k), vary("body.node", n, 2 * k)
    shift = vary.rng("lesions").uniform(-0.25, 0.25, (2, n, 2 * k))[:, vary.whose(n)]
    y = np.tile(spines.aside_mm[:, :k], 2)

    def spot(depth, aside, semi, density):
        centre = plates.mean(2) + inward * depth[..., None] + along * aside[..., None]
        return Ellipsoids(in_space(centre, y), np.stack(semi, -1), tilt, density)

    zero = np.zeros((n, 2 * k))
    return [
        spot(zero + 3, shift[0], (0.34 * size, zero + 3.5, zero + 16), 0.10 * hard),
        spot(node / 2, shift[1], (node + 1, node + 0.1, zero + 7), -0.14 * (node > 0)),
        spot(node + 0.5, shift[1], (node + 1.5, 0 * node + 1.0, zero + 7), 0.2 * (node > 0)),
    ]


# ---------------------------------------------------------------- arches and ribs


def arches(spines: Spines, vary: Variety) -> list[Solid]:
    """Pedicles, articular columns, laminae and transverse processes on both sides; spinous processes between them.

    Between two pedicles, the disc and the articular column lies the foramen, which lets more through.
    """
    front, back = spines.bodies_mm[:, :, [0, 3]].mean(2), spines.bodies_mm[:, :, [1, 2]].mean(2)
    backwards = (back - front) / np.linalg.norm(back - front, axis=-1, keepdims=True)
    upwards = np.stack([backwards[..., 1], -backwards[..., 0]], -1)
    n, k = back.shape[:2]
    tall = np.linalg.norm(spines.bodies_mm[:, :, 1] - spines.bodies_mm[:, :, 2], axis=-1)[..., None] / 27.0
    size = (np.linspace(1.0, 0.75, k) * vary("arch.size", n, k))[..., None] * spines.patients.grown[
        :, None, None
    ]
    jitter = vary("arch.place", n, 2 * k).reshape(n, k, 2)
    dense = density(spines, "arches", vary)[:, None] * np.ones((n, k))
    dense = dense * np.linspace(1.05, 0.9, k)  # they grow thinner upwards
    facet = dense * vary("arch.facet", n, k)
    slid = np.pad(
        (spines.patients.slip > 0) * (vary("column.backwards", n)[:, None] == 0), ((0, 0), (0, k - 2))
    )
    broken = slid * (vary("column.lysis", n)[:, None] > 0)

    def place(behind, above, wobble=0.0):
        return back + size * behind * backwards + size * tall * above * upwards + wobble * jitter

    def both(y, *points):
        """A bent line of every level on both sides: (n, 2 k, m, 3)."""
        return np.stack([_both_sides(spines, point, y) for point in points], 2)

    twice = lambda values: np.concatenate([values, values], 1)  # noqa: E731
    wide = twice(size[..., 0])
    height = 6.0 * vary("arch.pedicle", n, k)
    pillars = both(16.0, place(13, 21, 1.0), place(22, 17, 1.0), place(33, -19, 1.0), place(21, -22, 1.0))
    return [
        Tubes(both(14.0, place(-4, 6.5), place(19, 5.0)), wide * 1.15 * twice(height), twice(dense) * 0.30, soft=True),
        # The articular pillars, from the upper process over the isthmus to the lower one; a gap where one is broken.
        Prisms(
            pillars[..., ::2], pillars[..., 1].mean(-1), 6.5 * wide, 0.24 * twice(facet),
            shell=np.stack([0.06 * twice(facet)] * 4, -1), sag_mm=(-1.0, 0.5, -1.5, 2.5), taper_mm=(4.0,) * 4,
            rough_mm=_ROUGH_MM * spines.patients.grown[:, None, None],
        ),
        Tubes(both(16.0, place(14, -3), place(30, 1)), wide * 2.4, twice(-0.7 * facet * broken)),
        Ellipsoids(  # transverse process
            _both_sides(spines, place(8, 5), 34.0), np.array([4.5, 6.0, 12.0]) * wide[..., None],
            twice(np.degrees(np.arctan2(backwards[..., 1], backwards[..., 0]))), twice(dense) * 0.20,
        ),
        _foramina(spines, place, upwards, size, vary),
        Tubes(both(5.0, place(21, -2), place(30, -9)), wide * 6.0, twice(dense) * 0.32, soft=True),  # laminae
        _spinous_processes(place, upwards * size, vary("arch.spinous", n, k)[..., None], dense, spines.aside_mm,
            _ROUGH_MM * spines.patients.grown[:, None, None]),
    ]  # fmt: skip


def _foramina(spines, place, upwards, size, vary):
    """Fat around the nerves and in the canal, below each pedicle: wider above, as a keyhole is."""
    n, k = upwards.shape[:2]
    open_ = -0.25 * vary("arch.foramen", n, k)
    middle = np.concatenate([place(6.5, -11.0), place(5.5, -18.5)], 1)
    semi = np.concatenate([size * [8.0, 11.0, 24.0], size * [5.0, 7.0, 24.0]], 1)
    tilt = np.degrees(np.arctan2(upwards[..., 1], upwards[..., 0])) - 90
    return Ellipsoids(
        in_space(middle, np.tile(spines.aside_mm, 2)),
        semi,
        np.tile(tilt, 2),
        np.tile(open_, 2),
        MUSCLE,
        soft=True,
    )


def _spinous_processes(place, up, long, dense, aside_mm, rough):
    """Plates between root and tip, higher where `up` is longer."""
    root, tip = place(27, -6), place(27, -6) + (place(53, -17, 1.5) - place(27, -6)) * long
    corners = np.stack([root + 8 * up, tip + 7 * up, tip - 9 * up, root - 8 * up], 2)
    shell, sag, taper = (0.07, 0.05, 0.08, 0.0), (1.0, -1.0, 1.5, 0.0), (4.0, 4.0, 4.0, 6.0)
    return Prisms(
        corners, aside_mm, 3.4, 0.30 * dense, shell=shell, sag_mm=sag, taper_mm=taper, rough_mm=rough
    )


def _both_sides(spines, points_mm, y_mm):
    """Paired structures of each level, `y_mm` to the left and to the right of its middle plane."""
    return np.concatenate(
        [in_space(points_mm + _carried(spines, y), spines.aside_mm + y) for y in (y_mm, -y_mm)], 1
    )


def _carried(spines, y_mm):
    """How far (x, z) lean and twist move what lies `y_mm` to the left of a body, (..., levels, 2)."""
    twist, lean = np.radians(spines.twist_deg), np.radians(spines.lean_deg)
    if np.ndim(y_mm) == 3:  # (n, sides, levels)
        twist, lean = twist[:, None], lean[:, None]
    return -np.stack([y_mm * np.sin(twist), y_mm * np.sin(lean)], -1)


def ribs(spines: Spines, vary: Variety) -> Solid:
    """Faint ribs that sweep back, down and forwards from T12 to T9, two a level."""
    first, last = LEVELS.index("T12"), LEVELS.index("T9") + 1
    n, grown = len(spines), spines.patients.grown[:, None, None]
    root = _both_sides(spines, spines.bodies_mm[:, :, 1], 22.0).reshape(n, 2, -1, 3)[:, :, first:last]
    side = SIDES[:, None]
    room = spines.patients.size("body_half_width")[:, None, None] * 0.8
    long = (
        np.array([0.55, 0.8, 1.0, 1.0]) * vary("column.rib", n, last - first)[:, None]
    )  # the last ribs are short
    reach, drop = 115 * long * grown, 80 * long * grown
    bends = np.array(  # x, y, z along the rib
        [(0.0, 0.16, 0.0), (-0.22, 0.45, 0.12), (-0.08, 0.85, 0.42), (0.35, 1.0, 0.75), (0.9, 0.92, 1.0)]
    )
    points = [
        np.stack([root[..., 0] + x * reach, side * y * room + 0 * root[..., 1], root[..., 2] - z * drop], -1)
        for x, y, z in bends
    ]
    return Tubes(
        joined(np.stack(points, 3)),
        5.5 * grown[:, :, 0],
        0.14 * density(spines, "arches", vary)[:, None],
        soft=True,
    )
