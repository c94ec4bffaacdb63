"""From spines to sacrum, pelvis and hips as solids.  Taught in spine_to_film.

Whatever belongs to the pelvis is drawn for one of mean size and tilt, carried to each patient's,
and turned with it as one piece.
"""

import numpy as np

from lumbo.films.anatomy import Spines, down, in_space, turned
from lumbo.films.shapes import CANCELLOUS, Ellipsoids, Prisms, Solid, Tubes
from lumbo.films.variety import Variety
from lumbo.films.vertebrae import RIMS, SIDES, density, joined

__all__ = ["sacrum", "wings", "hips"]


# ---------------------------------------------------------------- sacrum

# Of S1 to S5: how far the lower plate turns forwards, the height, the lower plate over the upper one, and by which
# share of that one it lies further back.
_SACRAL = (
    (7.0, 26.0, 0.70, 0.20),
    (13.0, 22.0, 0.74, 0.12),
    (18.0, 19.0, 0.78, 0.10),
    (21.0, 16.0, 0.80, 0.10),
    (16.0, 14.0, 0.80, 0.10),
)
_BENT_MM = 2.5  # by which a sacral body's walls are bent from side to side, but for the S1 plate
_ROUGH_MM = 4.0  # the same of the pieces of the pelvis
_SPONGY = 0.20  # of a sacral body beside `CANCELLOUS`: more would show S1 clearer than on real films
_FREE_MM, _SQUARE, _UPRIGHT = 4.8, 0.88, 0.05  # disc and shape of a lumbarised S1


def sacrum(spines: Spines, vary: Variety) -> list[Solid]:
    """S1 to S5 in halves, first of all, with what is left of their discs; wings, canal, crest, coccyx.

    The first edge of the first block is the S1 plate.  A domed plate bulges as a parabola
    whose best-fitting line is the stated one: its ends lie two thirds of the height below.
    """
    n, patients, dome, grown = len(spines), spines.patients, spines.patients.dome_mm, spines.patients.grown
    spongy = CANCELLOUS * _SPONGY * density(spines, "sacrum", vary)
    plate = spines.s1_mm + (2 / 3 * dome)[:, None, None] * down(spines.s1_mm)[:, None]
    blocks, tail = _sacral_blocks(plate, patients, grown, vary)
    half = patients.size("body_width")[:, None] / 4 * np.array([1.1, 1.2, 1.0, 0.8, 0.6])
    space = in_space(blocks[:, None], (SIDES[:, None] * half[:, None])[..., None])  # (n, 2, 5, 4, 3)
    corners = turned(space, spines.pelvis_deg)
    far, near = (
        turned(in_space(blocks[:, None], y[..., None]), spines.pelvis_deg)
        for y in ((SIDES[:, None] + side) * half[:, None] for side in (-1, 1))
    )
    rim, cortex = vary("sacrum.plate", n, 10), vary("bone.cortex", n)[:, None]
    shell = np.zeros((n, 2, 5, 4))
    fade = np.array([1.0, 0.55, 0.3, 0.2, 0.1])  # downwards
    shell[..., 0] = (0.045 * fade * rim[:, :5] * cortex)[:, None]
    shell[..., 2] = (0.065 * fade * rim[:, 5:] * cortex)[:, None]
    shell[:, :, 0, 0] = 0.038 * vary("body.rim", n, RIMS)[:, :1] * cortex  # the S1 plate itself
    shell[..., 1], shell[..., 3] = (0.06 * fade * cortex)[:, None], (0.08 * fade * cortex)[:, None]
    rough = np.ones((n, 2, 5, 4)) * _BENT_MM * grown[:, None, None, None]
    rough[:, :, 0, 0] = 0
    sag = np.zeros((n, 2, 5, 4))
    sag[:, :, 0, 0], sag[..., 3] = (0.5 * vary("body.sag", n) - dome)[:, None], 1.8
    solid = Prisms(
        joined(corners[..., ::2]), joined(corners[..., 1].mean(-1)), np.tile(half, 2), spongy[:, None],
        shell=joined(shell), sag_mm=joined(sag), taper_mm=(1.5, 6.0, 1.0, 9.0), nearer_mm=_nearer(joined(corners)),
        slant_mm=joined((near - far)[..., ::2]), rough_mm=joined(rough),
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
    for k, (turn, high, usual, behind) in enumerate(_SACRAL):
        free = (patients.transitional == 1) & (k == 0)
        narrow = np.where(free, _SQUARE, usual * taper[:, k])
        lower = _lower_plate(
            plate, turn * curve, high * height[:, k], narrow, np.where(free, _UPRIGHT, behind)[:, None]
        )
        blocks.append(np.concatenate([plate, lower[:, ::-1]], 1))
        gap = remnant[:, min(k, 3)] * (1.0, 0.4, 0.15, 0.1, 0.1)[k]
        plate = lower + np.where(free, np.maximum(gap, _FREE_MM), gap)[:, None, None] * down(lower)[:, None]
    return np.stack(blocks, 1), plate


def _lower_plate(plate_mm, turn_deg, height_mm, taper, behind):
    """Step down from the upper to the lower plate of a sacral vertebra, turned forwards by `turn_deg`."""
    along = plate_mm[:, 0] - plate_mm[:, 1]
    middle = plate_mm.mean(1) + height_mm[:, None] * down(plate_mm) - behind * along
    half = _turn(along, turn_deg) * taper[:, None] / 2
    return np.stack([middle + half, middle - half], 1)


def _sacral_wings(spines, blocks, vary):
    """The wings beside S1 and S2 with their upper border, which runs down and forwards from behind the plate's middle."""
    n, below = len(spines), down(spines.s1_mm)
    along = spines.s1_mm[:, 0] - spines.s1_mm[:, 1]
    middle, grown = spines.s1_mm.mean(1), spines.patients.grown
    ala = vary("sacrum.ala", n)
    wing = [middle + 17 * grown[:, None] * below - 0.12 * along, blocks[:, 1].mean(1) - 0.25 * along]
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
            middle - 0.32 * along + 3 * grown[:, None] * below,
            middle + 0.15 * along + 14 * grown[:, None] * below,
            middle + 0.48 * along + 30 * grown[:, None] * below,
        ],
        1,
    )
    line = line + vary("sacrum.border", n, 6).reshape(n, 3, 2) * grown[:, None, None]
    border = np.stack([in_space(line, y * grown[:, None]) for y in (44.0, -44.0)], 1)
    spongy = CANCELLOUS * density(spines, "sacrum", vary)[:, None]
    return [
        Ellipsoids(turned(centre, spines.pelvis_deg), 1.35 * semi, tilt, 0.62 * spongy * there, soft=True),
        Tubes(turned(border, spines.pelvis_deg), 3.6 * grown[:, None], 0.24 * ala[:, None], soft=True),
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
    heading, at = down(plate), plate.mean(1)
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


# ---------------------------------------------------------------- wings and hips

_ARC = np.radians(np.linspace(25.0, 205.0, 9))  # of the acetabulum over a head, from its front backwards
_PIECES, _POINTS = 9, 13  # of the pelvis, on each side; at most
_TILT, _RADIUS = 13.0, 118.0  # the pelvis is drawn for this PT and pelvic radius: (x, z) from the hip axis
_S1, _CREST = 115.0, 153.0  # heights of the middle of the S1 plate and of the crest
_WING = [(42, 84), (28, 122), (-14, 150), (-58, 142), (-92, 108), (-82, 80), (-14, 44), (20, 46)]
_BACK = [(-96, 106), (-84, 74), (-52, 70), (-36, 100), (-52, 132), (-76, 130)]  # thick, beside the sacrum
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


def wings(spines: Spines, vary: Variety) -> list[Solid]:
    """Two iliac wings, thin but for crest, arcuate line, notch and what lies beside the sacrum; roofs, ischia, pubic bones."""
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
            rough_mm=_ROUGH_MM * spines.patients.grown[:, None, None],
        )  # fmt: skip

    tubes = (
        (_CREST_LINE, 5.0, 0.20), (_ARCUATE, 3.2, 0.27), (_NOTCH, 3.2, 0.27), (_BEHIND, 4.0, 0.18), (_RAMI, 7.0, 0.11),
    )  # fmt: skip
    return [
        thin(_WING, 0.72, 4.5, 0.27 * wing, 22.0),
        thin(_BACK, 0.42, 9.0, 0.12 * wing, 20.0),
        thin(_ROOF, 0.70, 15.0, 0.13 * wing, 20.0),
        thin(_ISCHIUM, 0.60, 12.0, 0.13 * wing, 11.0, 0.03),
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
        y = SIDES[:, None] * aside * self.flare[:, None, None]
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
        Tubes(np.stack([heads, neck], 2), 0.62 * radius, 0.12 * shaft * dense, soft=True),
        Tubes(np.stack([neck, foot], 2), 0.66 * radius, 0.16 * shaft, soft=True),
    ]


# ---------------------------------------------------------------- small helpers


def _nearer(points_mm):
    """By how much each corner (..., m, 3) is nearer to the tube than their mean depth."""
    return points_mm[..., 1] - points_mm[..., 1].mean(-1, keepdims=True)


def _turn(vectors, degrees):
    """Turn vectors (n, 2) from x towards z."""
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    x, z = vectors[:, :1], vectors[:, 1:]
    return np.concatenate([cos * x - sin * z, sin * x + cos * z], -1)
