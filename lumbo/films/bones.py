"""From spines to bones as solids: vertebrae, sacrum, pelvis, hips, ribs, metal.  Taught in spine_to_film.

A point source draws the two sides of a vertebra apart, and so does a turn or a sideways curve.  Therefore every
body stands here as two slabs, its left and its right half, each at its own depth; the landmarks lie in the plane
between them.  Whatever belongs to the pelvis is drawn for one of mean size and tilt, carried to each patient's,
and turned with it as one piece.
"""

import numpy as np

from lumbo.films.anatomy import LEVELS, Spines, in_space, turned
from lumbo.films.shapes import CANCELLOUS, MUSCLE, TITANIUM, Ellipsoids, Prisms, Rods, Solid, Tubes
from lumbo.films.variety import Variety

__all__ = ["skeleton", "bodies", "sacrum", "pelvis", "hips", "density"]

_LUMBAR = 5
_SIDES = np.array([1.0, -1.0])  # left, right
# Density of the plates' rims from L5 to T4.
_RIM = np.array([0.047, 0.075, 0.075, 0.06, 0.035, 0.03, 0.03] + [0.03] * 7)
_RIMS = 1 + 4 * len(LEVELS)  # of S1, and of the two plates of each half body
_YOUNG_YEARS, _LOSS, _HU = 30.0, 2.5, 226.0  # L1 in young adults, Hounsfield units, and what a year takes
_GROUPS = ("vertebrae", "arches", "sacrum", "pelvis")


def skeleton(spines: Spines, implanted: np.ndarray, vary: Variety) -> list[Solid]:
    """List the bones of each patient and the metal in them, groups of similar size together.

    Parameters
    ----------
    spines : `n` spines
    implanted : (n,) bool, who carries pedicle screws, rods and a cage
    """
    return [
        *bodies(spines, vary),
        *sacrum(spines, vary),
        *_arches(spines, vary),
        *hips(spines, vary),
        *pelvis(spines, vary),
        _ribs(spines, vary),
        *_implants(spines, implanted, vary),
    ]


def density(spines: Spines, group: str, vary: Variety) -> np.ndarray:
    """How dense the spongy bone of a group is beside a young adult's, (n,): age, the patient's own, the group's.

    From 30 years on it loses 2.5 HU of 226 a year (n = 20,374, radiol.2019181648); a child's is a little below.
    """
    age, n = spines.patients.age_years, len(spines)
    aged = 1 - _LOSS / _HU * (age - _YOUNG_YEARS).clip(min=0) - 0.012 * (18 - age).clip(min=0)
    own = vary("bone.young", n) * vary("bone.group", n, len(_GROUPS))[:, _GROUPS.index(group)]
    return aged.clip(min=0.35) * own


# ---------------------------------------------------------------- vertebral bodies


def bodies(spines: Spines, vary: Variety) -> list[Solid]:
    """Vertebral bodies with cortical walls and sunken endplates: left halves, then right halves; lips and nodes."""
    n, levels = len(spines), len(LEVELS)
    grown = spines.patients.grown
    width = np.linspace(1.05, 0.68, levels) * spines.patients.size("body_width")[:, None] / 2
    y = _SIDES[:, None] * width[:, None] / 2  # (n, 2, levels) from the body's middle
    turned_mm = spines.corners_mm
    corners = turned_mm[..., ::2][:, None] + _carried(spines, y)[:, :, :, None]
    nearer = turned_mm[..., 1] - spines.aside_mm[..., None]
    spongy = 0.68 * CANCELLOUS * density(spines, "vertebrae", vary)[:, None] * vary("bone.piece", n, levels)
    rim, cortex = vary("body.rim", n, _RIMS)[:, 1:], vary("bone.cortex", n)[:, None]
    rim = rim * cortex * np.tile(_RIM, 4)
    up, low = rim[:, : 2 * levels], rim[:, 2 * levels :]
    wall = np.ones((n, 2 * levels)) * 0.09 * cortex
    shell = np.stack([up, 0.8 * wall, low, 1.2 * wall], -1)
    sag, skew = _sags(vary, n, 2 * levels, grown)
    return [
        Prisms(
            _flat(corners), _flat(y + spines.aside_mm[:, None]), np.tile(width / 2, 2), np.tile(spongy, 2),
            shell=shell, sag_mm=sag, skew=skew, nearer_mm=np.tile(nearer, (1, 2, 1)),
            taper_mm=(1.5, 3.0, 1.5, 7.0),
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
    return [Ellipsoids(_flat(in_space(centre, y)), _flat(semi), _flat(tilt), _flat(dense))]


def _lesions(spines, vary):
    """Dense bands under some plates, and nodes where disc has broken through one."""
    n, k = len(spines), 1 + _LUMBAR
    upper, lower = spines.bodies_mm[:, :k, :2], spines.bodies_mm[:, :k, [3, 2]]
    plates = np.concatenate([upper, lower], 1)  # front corner, back corner
    along = plates[:, :, 0] - plates[:, :, 1]
    size = np.linalg.norm(along, axis=-1)
    inward = np.stack([along[..., 1], -along[..., 0]], -1) / size[..., None]
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


# ---------------------------------------------------------------- sacrum

# Of S1 to S5: how far the lower plate turns forwards, the height, the lower plate over the upper one.
_SACRAL = ((7.0, 26.0, 0.70), (13.0, 22.0, 0.74), (18.0, 19.0, 0.78), (21.0, 16.0, 0.80), (16.0, 14.0, 0.80))
_FREE_MM, _SQUARE = 4.8, 0.88  # disc and shape of a lumbarised S1


def sacrum(spines: Spines, vary: Variety) -> list[Solid]:
    """S1 to S5 in halves, first of all, with what is left of their discs; wings, canal, crest, coccyx.

    The first edge of the first block is the S1 plate.  A domed plate bulges as a parabola
    whose best-fitting line is the stated one: its ends lie two thirds of the height below.
    """
    n, patients, dome, grown = len(spines), spines.patients, spines.patients.dome_mm, spines.patients.grown
    spongy = CANCELLOUS * 0.42 * density(spines, "sacrum", vary)
    plate = spines.s1_mm + (2 / 3 * dome)[:, None, None] * _down(spines.s1_mm)[:, None]
    blocks, tail = _sacral_blocks(plate, patients, grown, vary)
    half = patients.size("body_width")[:, None] / 4 * np.array([1.1, 1.2, 1.0, 0.8, 0.6])
    space = in_space(blocks[:, None], (_SIDES[:, None] * half[:, None])[..., None])  # (n, 2, 5, 4, 3)
    flat = turned(space, spines.pelvis_deg)
    rim, cortex = vary("sacrum.plate", n, 10), vary("bone.cortex", n)[:, None]
    shell = np.zeros((n, 2, 5, 4))
    fade = np.array([1.0, 0.65, 0.4, 0.25, 0.15])  # downwards
    shell[..., 0] = (0.10 * fade * rim[:, :5] * cortex)[:, None]
    shell[..., 2] = (0.12 * fade * rim[:, 5:] * cortex)[:, None]
    shell[:, :, 0, 0] = 0.055 * vary("body.rim", n, _RIMS)[:, :1] * cortex  # the S1 plate itself
    shell[..., 1], shell[..., 3] = (0.11 * fade * cortex)[:, None], (0.13 * fade * cortex)[:, None]
    sag = np.zeros((n, 2, 5, 4))
    sag[:, :, 0, 0], sag[..., 3] = (0.5 * vary("body.sag", n) - dome)[:, None], 1.8
    solid = Prisms(
        _flat(flat[..., ::2]), _flat(flat[..., 1].mean(-1)), np.tile(half, 2), spongy[:, None],
        shell=_flat(shell), sag_mm=_flat(sag), taper_mm=(1.5, 6.0, 1.0, 9.0), nearer_mm=_nearer(_flat(flat)),
    )  # fmt: skip
    return [
        solid,
        *_sacral_wings(spines, blocks, vary),
        *_canal(spines, blocks, vary),
        _coccyx(spines, tail, vary),
    ]


def _sacral_blocks(plate, patients, grown, vary):
    """Corners of S1 to S5 (n, 5, 4, 2) and the last plate; a lumbarised S1 keeps its disc and is squarer."""
    n, blocks = len(plate), []
    curve, height = vary("sacrum.curve", n), vary("sacrum.height", n, 5) * grown[:, None]
    taper, remnant = vary("sacrum.taper", n, 5), vary("sacrum.remnant", n, 4) * grown[:, None]
    for k, (turn, high, usual) in enumerate(_SACRAL):
        free = (patients.transitional == 1) & (k == 0)
        narrow = np.where(free, _SQUARE, usual * taper[:, k])
        lower = _lower_plate(plate, turn * curve, high * height[:, k], narrow)
        blocks.append(np.concatenate([plate, lower[:, ::-1]], 1))
        gap = remnant[:, min(k, 3)] * (1.0, 0.4, 0.15, 0.1, 0.1)[k]
        plate = lower + np.where(free, np.maximum(gap, _FREE_MM), gap)[:, None, None] * _down(lower)[:, None]
    return np.stack(blocks, 1), plate


def _lower_plate(plate_mm, turn_deg, height_mm, taper):
    """Step down from the upper to the lower plate of a sacral vertebra, turned forwards by `turn_deg`."""
    along = plate_mm[:, 0] - plate_mm[:, 1]
    middle = plate_mm.mean(1) + height_mm[:, None] * _down(plate_mm) - 0.10 * along
    half = _turn(along, turn_deg) * taper[:, None] / 2
    return np.stack([middle + half, middle - half], 1)


def _down(plate_mm):
    """Unit vector from a plate (n, ..., 2, 2) into the body below it."""
    along = plate_mm[..., 0, :] - plate_mm[..., 1, :]
    return np.stack([along[..., 1], -along[..., 0]], -1) / np.linalg.norm(along, axis=-1, keepdims=True)


def _sacral_wings(spines, blocks, vary):
    """The wings beside S1 and S2 with their upper border, which runs down and forwards from the plate's middle."""
    n, down = len(spines), _down(spines.s1_mm)
    along = spines.s1_mm[:, 0] - spines.s1_mm[:, 1]
    middle, grown = spines.s1_mm.mean(1), spines.patients.grown
    ala = vary("sacrum.ala", n)
    wing = [middle + 17 * grown[:, None] * down - 0.12 * along, blocks[:, 1].mean(1) - 0.25 * along]
    above = spines.bodies_mm[:, 0].mean(1)
    centre = np.stack([in_space(p, y * grown) for p in (*wing, above) for y in (36.0, -36.0)], 1)
    free = spines.patients.transitional == -1
    there = np.stack([ala, 0.8 * ala, free], 1).repeat(2, 1)
    semi = (
        np.array([[19.0, 17.0, 20.0], [15.0, 15.0, 16.0], [15.0, 15.0, 20.0]]).repeat(2, 0)
        * grown[:, None, None]
    )
    tilt = np.degrees(np.arctan2(along[:, 1], along[:, 0]))[:, None]
    line = np.stack(
        [
            middle - 0.15 * along - 3 * grown[:, None] * down,
            middle + 0.35 * along + 8 * grown[:, None] * down,
            middle + 0.52 * along + 24 * grown[:, None] * down,
        ],
        1,
    )
    border = np.stack([in_space(line, y * grown[:, None]) for y in (44.0, -44.0)], 1)
    spongy = CANCELLOUS * density(spines, "sacrum", vary)[:, None]
    return [
        Ellipsoids(turned(centre, spines.pelvis_deg), 1.35 * semi, tilt, 0.6 * spongy * there, soft=True),
        Tubes(turned(border, spines.pelvis_deg), 2.2, 0.30 * ala[:, None]),
    ]


def _canal(spines, blocks, vary):
    """What lies behind the sacral canal: laminae, and the median crest behind them."""
    n, grown = len(spines), spines.patients.grown
    back, low = blocks[:, :4, 1], blocks[:, :4, 2]
    middle = (back + low) / 2
    away = middle - (blocks[:, :4, 0] + blocks[:, :4, 3]) / 2
    away = away / np.linalg.norm(away, axis=-1, keepdims=True)
    gap = vary("sacrum.canal", n)[:, None] * np.array([1.0, 0.85, 0.65, 0.45]) * grown[:, None]
    wall = middle + (gap[..., None] + 2) * away
    walls = np.stack([in_space(wall, y) for y in (9.0, -9.0)], 1)
    tilt = np.degrees(np.arctan2(away[..., 1], away[..., 0]))
    semi = (
        np.array([[8.0, 11.0, 8.0], [8.0, 10.0, 7.0], [6.0, 9.0, 6.0], [5.0, 7.0, 5.0]])
        * grown[:, None, None]
    )
    semi = semi * vary("sacrum.crest", n, 4)[..., None]
    spongy = density(spines, "sacrum", vary)[:, None]
    return [
        Tubes(turned(walls, spines.pelvis_deg), 4.2 * grown[:, None], 0.22 * spongy, soft=True),
        Ellipsoids(
            turned(in_space(wall + 7 * away), spines.pelvis_deg), 1.2 * semi, tilt, 0.20 * spongy, soft=True
        ),
    ]


def _coccyx(spines, plate, vary):
    """Three or four small bones that curve forwards from the last plate."""
    n, grown = len(spines), spines.patients.grown
    heading, at = _down(plate), plate.mean(1)
    turns, centre, tilt = vary("sacrum.coccyx", n, 4), [], []
    for k in range(4):
        heading = _turn(heading, turns[:, k])
        at = at + heading * (9.0 - 1.2 * k) * grown[:, None]
        centre.append(at)
        tilt.append(np.degrees(np.arctan2(heading[:, 1], heading[:, 0])))
    semi = (
        np.array([[5.0, 5.5, 9.0], [4.5, 4.5, 6.0], [4.0, 3.5, 5.0], [3.0, 3.0, 4.0]]) * grown[:, None, None]
    )
    place = turned(in_space(np.stack(centre, 1)), spines.pelvis_deg)
    return Ellipsoids(place, semi, np.stack(tilt, 1), 0.22 * density(spines, "sacrum", vary)[:, None])


# ---------------------------------------------------------------- arches


def _arches(spines, vary):
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
    dense = dense * np.linspace(1.05, 0.7, k)  # they grow thinner upwards
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
            pillars[..., ::2], pillars[..., 1].mean(-1), 6.5 * wide, 0.21 * twice(facet),
            shell=np.stack([0.10 * twice(facet)] * 4, -1), sag_mm=(-1.0, 0.5, -1.5, 2.5), taper_mm=(4.0,) * 4,
        ),
        Tubes(both(16.0, place(14, -3), place(30, 1)), wide * 2.4, twice(-0.7 * facet * broken)),
        Ellipsoids(  # transverse process
            _both_sides(spines, place(8, 5), 34.0), np.array([4.5, 6.0, 12.0]) * wide[..., None],
            twice(np.degrees(np.arctan2(backwards[..., 1], backwards[..., 0]))), twice(dense) * 0.20,
        ),
        _foramina(spines, place, upwards, size, vary),
        Tubes(both(5.0, place(21, -2), place(30, -9)), wide * 6.0, twice(dense) * 0.32, soft=True),  # laminae
        _spinous_processes(place, upwards * size, vary("arch.spinous", n, k)[..., None], dense, spines.aside_mm),
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


def _spinous_processes(place, up, long, dense, aside_mm):
    """Plates between root and tip, higher where `up` is longer."""
    root, tip = place(27, -6), place(27, -6) + (place(53, -17, 1.5) - place(27, -6)) * long
    corners = np.stack([root + 8 * up, tip + 7 * up, tip - 9 * up, root - 8 * up], 2)
    shell, sag, taper = (0.14, 0.14, 0.14, 0.0), (2.0, 0.5, 2.5, 0.0), (4.0, 4.0, 4.0, 6.0)
    return Prisms(corners, aside_mm, 3.4, 0.20 * dense, shell=shell, sag_mm=sag, taper_mm=taper)


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


# ---------------------------------------------------------------- pelvis and hips

_ARC = np.radians(np.linspace(25.0, 205.0, 9))  # of the acetabulum over a head, from its front backwards
_PIECES, _POINTS = 8, 13  # of the pelvis, on each side; at most
_TILT, _RADIUS = 13.0, 118.0  # the pelvis is drawn for this PT and pelvic radius: (x, z) from the hip axis
_S1, _CREST = 115.0, 153.0  # heights of the middle of the S1 plate and of the crest
_WING = [(42, 84), (28, 122), (-14, 150), (-58, 142), (-92, 108), (-82, 80), (-14, 44), (20, 46)]
_ROOF = [(24, 20), (22, 58), (-6, 74), (-38, 60), (-30, 26), (-8, 10)]
_ISCHIUM = [(-14, -6), (-32, 8), (-44, -16), (-44, -60), (-28, -70), (-12, -50)]
_CREST_LINE = [
    (42, 84, 0.98),
    (34, 112, 1.06),
    (4, 142, 1.10),
    (-34, 152, 1.0),
    (-66, 138, 0.76),
    (-92, 108, 0.46),
]
_ARCUATE = [(-50, 88, 0.44), (-26, 66, 0.50), (2, 42, 0.58), (28, 18, 0.52), (46, -14, 0.34), (54, -38, 0.12)]
_NOTCH = [
    (-84, 80, 0.46),
    (-68, 66, 0.52),
    (-50, 60, 0.56),
    (-40, 42, 0.58),
    (-42, 14, 0.54),
    (-54, -2, 0.46),
]
_BEHIND = [(-54, -2, 0.46), (-46, -16, 0.52), (-46, -40, 0.58), (-40, -64, 0.60)]
_RAMI = [(54, -38, 0.12), (34, -58, 0.26), (4, -70, 0.42), (-30, -68, 0.58)]


def pelvis(spines: Spines, vary: Variety) -> list[Solid]:
    """Two iliac wings, thin but for crest, arcuate line and notch; roofs, ischia and pubic bones."""
    n = len(spines)
    dense = density(spines, "pelvis", vary)[:, None]
    wing, lines = dense * vary("pelvis.wing", n, 2), dense * vary("pelvis.lines", n, 10)
    carry = _Carry(spines, vary)

    def thin(points, y, half, density, taper, shell=0.0):
        corners = carry(np.array([(x, z, y) for x, z in points]))
        k = len(points)
        return Prisms(
            corners[..., ::2], corners[..., 1].mean(-1), half, density,
            shell=(shell,) * k, sag_mm=(-2.0,) * k, taper_mm=(taper,) * k, nearer_mm=_nearer(corners),
        )  # fmt: skip

    tubes = (
        (_CREST_LINE, 4.2, 0.22), (_ARCUATE, 2.6, 0.24), (_NOTCH, 2.6, 0.22), (_BEHIND, 4.0, 0.12), (_RAMI, 7.0, 0.09),
    )  # fmt: skip
    return [
        thin(_WING, 0.72, 4.5, 0.26 * wing, 26.0),
        thin(_ROOF, 0.70, 15.0, 0.10 * wing, 26.0),
        thin(_ISCHIUM, 0.60, 12.0, 0.15 * wing, 9.0, 0.05),
        *(
            Tubes(
                carry(_rounded(points)),
                radius * spines.patients.grown[:, None],
                strength * lines[:, [i, i + 5]],
                soft=True,
            )
            for i, (points, radius, strength) in enumerate(tubes)
        ),
    ]


def _rounded(points):
    """Put a point between each two, on the curve (Catmull-Rom) that runs through all of them."""
    line = np.array(points, float)
    ends = np.concatenate([2 * line[:1] - line[1:2], line, 2 * line[-1:] - line[-2:-1]])
    between = (9 * (ends[1:-2] + ends[2:-1]) - ends[:-3] - ends[3:]) / 16
    return np.concatenate([np.stack([line[:-1], between], 1).reshape(-1, line.shape[1]), line[-1:]])


class _Carry:
    """Carry points (m, 3) that are drawn for a mean pelvis to both sides of each patient's: (n, 2, m, 3).

    The third number of a point is how far aside it lies, as a share of `pelvis.flare`.
    """

    def __init__(self, spines, vary):
        n = len(spines)
        self.spines = spines
        self.offsets = iter(
            vary("pelvis.outline", n, 2 * _PIECES * (_POINTS + 2)).reshape(n, _PIECES, -1, 2).swapaxes(0, 1)
        )
        self.size = vary("pelvis.size", n) * spines.patients.size("pelvic_radius") / _RADIUS
        self.flare = vary("pelvis.flare", n) * spines.patients.grown
        top = (
            vary("pelvis.crest", n) * spines.patients.grown
            + _S1 * spines.patients.size("pelvic_radius") / _RADIUS
        )
        self.crest = (top - _CREST * self.size) / ((_CREST - 60.0) * self.size)
        self.tilt = np.radians(spines.patients.angles_deg[:, 1] - _TILT)

    def __call__(self, points):
        n, m = len(self.spines), len(points)
        x, z, aside = (np.broadcast_to(values, (n, 2, m)) for values in np.array(points, float).T)
        drawn = next(self.offsets)[:, None]  # one for each side of a piece, and one for each of its points
        off = drawn[:, 0, :2, None] + 0.4 * drawn[:, :, 2 : 2 + m]
        size = self.size[:, None, None]
        x, z = x * size + off[..., 0], z * size + off[..., 1]
        z = z + (z - 60.0 * size).clip(min=0) * self.crest[:, None, None]
        cos, sin = np.cos(self.tilt)[:, None, None], np.sin(self.tilt)[:, None, None]
        y = _SIDES[:, None] * aside * self.flare[:, None, None]
        space = np.stack([cos * x - sin * z, y, sin * x + cos * z], -1)
        return turned(space, self.spines.pelvis_deg)


def hips(spines: Spines, vary: Variety) -> list[Solid]:
    """Femoral heads with a cortical shell in their acetabula, necks and shafts."""
    heads, radius = spines.heads_mm, spines.patients.size("head_radius")[:, None]
    n, side, grown = len(spines), np.sign(heads[..., 1]), spines.patients.grown[:, None]
    neck = heads + np.stack([0 * side - 8 * grown, side * 30 * grown, 0 * side - 30 * grown], -1)
    foot = neck + np.stack([0 * side - 6 * grown, side * 4 * grown, 0 * side - 190 * grown], -1)
    ball = np.ones((1, 2, 3)) * radius[..., None]
    arc = np.stack([np.cos(_ARC), 0 * _ARC, np.sin(_ARC)], -1)
    edge = heads[:, :, None] + (ball - 1.0)[:, :, :1, None] * arc
    roof = (
        heads[:, :, None]
        + (ball + 4.5)[:, :, :1, None] * arc
        - np.array([0.0, 4.0, 0.0]) * side[..., None, None]
    )
    dense, shell, shaft = (
        density(spines, "pelvis", vary)[:, None], vary("pelvis.head", n, 2), vary("pelvis.shaft", n)[:, None],
    )  # fmt: skip
    return [
        Ellipsoids(heads, 1.1 * ball, 0.0, CANCELLOUS * 0.8 * dense, soft=True),
        Tubes(edge, 1.7, 0.5 * shell, soft=True),
        Tubes(roof, 3.0, 0.3 * shell, soft=True),
        Tubes(np.stack([heads, neck], 2), 0.62 * radius, 0.10 * shaft * dense),
        Tubes(np.stack([neck, foot], 2), 0.60 * radius, 0.19 * shaft, 0.62),
    ]


# ---------------------------------------------------------------- ribs and metal


def _ribs(spines, vary):
    """Faint ribs that sweep back, down and forwards from T12 to T9, two a level."""
    first, last = LEVELS.index("T12"), LEVELS.index("T9") + 1
    n, grown = len(spines), spines.patients.grown[:, None, None]
    root = _both_sides(spines, spines.bodies_mm[:, :, 1], 22.0).reshape(n, 2, -1, 3)[:, :, first:last]
    side = _SIDES[:, None]
    room = spines.patients.size("body_half_width")[:, None, None] * 0.8
    long = (
        np.array([0.55, 0.8, 1.0, 1.0]) * vary("column.rib", n, last - first)[:, None]
    )  # the last ribs are short
    reach, drop = 115 * long * grown, 80 * long * grown
    bends = np.array(
        [(0.0, 0.16, 0.0), (-0.22, 0.45, 0.12), (-0.08, 0.85, 0.42), (0.35, 1.0, 0.75), (0.9, 0.92, 1.0)]
    )
    at = np.linspace(0, len(bends) - 1, 9)  # x, y, z along the rib
    bends = np.stack([np.interp(at, range(len(bends)), bend) for bend in bends.T], 1)
    points = [
        np.stack([root[..., 0] + x * reach, side * y * room + 0 * root[..., 1], root[..., 2] - z * drop], -1)
        for x, y, z in bends
    ]
    return Tubes(
        _flat(np.stack(points, 3)),
        4.8 * grown[:, :, 0],
        0.26 * density(spines, "arches", vary)[:, None],
        0.72,
    )


def _implants(spines, implanted, vary):
    """Pedicle screws, one rod a side and a cage, from S1 up to a level of the surgeon's choice."""
    if not implanted.any():
        return []
    n, top, rng = len(spines), 6, vary.rng("implants")
    whose = vary.whose(n)  # a patient keeps the metal
    s1 = np.concatenate([spines.s1_mm, spines.s1_mm + 26 * _down(spines.s1_mm)[:, None]], 1)[:, [0, 1, 3, 2]]
    blocks = np.concatenate([s1[:, None], spines.bodies_mm[:, :top]], 1)
    back, front = blocks[:, :, 1] * 0.7 + blocks[:, :, 2] * 0.3, blocks[:, :, 0] * 0.6 + blocks[:, :, 3] * 0.4
    entry = back + (back - front) * rng.uniform(0.5, 0.7, (n, 1, 1))[whose]
    tip = back + (front - back) * rng.uniform(0.55, 0.9, (n, top + 1, 1))[whose]
    tip = tip + rng.normal(0, 1.5, tip.shape)[whose]
    low = rng.integers(0, 2, (n, 1))[whose]
    span = rng.choice([1, 2, 4, 5], (n, 1), p=[0.35, 0.25, 0.2, 0.2])[whose]
    level = np.arange(top + 1)
    held = ((level >= low) & (level <= low + span) & implanted[:, None]).astype(float)
    aside = np.concatenate([np.zeros((n, 1)), spines.aside_mm[:, :top]], 1)
    skew = rng.normal(0, 1.5, (n, top + 1, 2))[whose]

    def twice(points):
        return np.concatenate(
            [in_space(points + skew * s, aside + y) for s, y in ((1, 19.0), (-1, -19.0))], 1
        )

    tops, screws = twice(entry), np.tile(held, 2)
    links = np.tile(held[:, 1:] * held[:, :-1], 2)
    lower, upper = (
        tops.reshape(n, 2, top + 1, 3)[:, :, part].reshape(n, -1, 3)
        for part in (slice(None, -1), slice(1, None))
    )
    disc = (blocks[:, :-1, :2].mean(2) + blocks[:, 1:, 2:].mean(2)) / 2
    caged = held[:, 1:] * held[:, :-1] * (rng.random((n, 1))[whose] < 0.5)
    along = blocks[:, 1:, 3] - blocks[:, 1:, 2]
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    upright = np.stack([-along[..., 1], along[..., 0]], -1)
    half = rng.uniform([9.0, 3.0], [13.0, 4.5], (n, 1, 2))[whose]
    shift = rng.uniform(-3, 5, (n, 1, 1))[whose] * along
    cage = np.stack(
        [
            disc + shift + a * half[..., :1] * along + b * half[..., 1:] * upright
            for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))
        ],
        2,
    )
    plastic = rng.random((n, 1))[whose] < 0.6  # that lets X-rays through but for its edges
    return [
        Rods(tops, twice(tip), rng.uniform(2.2, 3.2, (n, 1))[whose], screws, TITANIUM),
        Tubes(tops[:, :, None] + np.array([[-4.0, 0, 0], [3.0, 0, 0]]), 4.2, 0.8 * screws, material=TITANIUM),
        Tubes(np.stack([lower, upper], 2), rng.uniform(2.3, 3.1, (n, 1))[whose], links, material=TITANIUM),
        Prisms(
            cage, aside[:, 1:], 9.0, 0.10 * caged * ~plastic, shell=(0.08 * caged * ~plastic)[..., None] * np.ones(4),
            sag_mm=(0.0,) * 4, taper_mm=(0.0,) * 4, material=TITANIUM,
        ),
        Ellipsoids(
            in_space(cage[:, :, [0, 1, 3]], aside[:, 1:, None]).reshape(n, -1, 3), np.full((1, 3 * top, 3), 1.1), 0.0,
            (caged * plastic).repeat(3, 1), TITANIUM,
        ),
    ]  # fmt: skip


# ---------------------------------------------------------------- small helpers


def _nearer(points_mm):
    """By how much each corner (..., m, 3) is nearer to the tube than their mean depth."""
    return points_mm[..., 1] - points_mm[..., 1].mean(-1, keepdims=True)


def _flat(halves):
    """Join the two sides of each level into one axis: (n, 2, k, ...) to (n, 2 k, ...)."""
    return halves.reshape(len(halves), -1, *halves.shape[3:])


def _turn(vectors, degrees):
    """Turn vectors (n, 2) from x towards z."""
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    x, z = vectors[:, :1], vectors[:, 1:]
    return np.concatenate([cos * x - sin * z, sin * x + cos * z], -1)
