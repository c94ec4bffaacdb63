"""From spines to the solids that a lateral film shows, in millimetres.

Three kinds of solid are enough: convex prisms along y (vertebrae, sacrum, iliac wings),
ellipsoids (heads, facets, gas) and rods (shafts, ribs, implants), in the patient frame of
`lumbo.films_1.anatomy`.  A solid says how much it adds to the soft tissue that it displaces.

A point source draws the two sides of a vertebra apart, and so does a sideways curve.
Therefore every body stands here as two slabs, its left and its right half, each at its
own depth; the landmarks lie in the plane between them.
"""

from dataclasses import dataclass

import numpy as np

from lumbo.films_1.anatomy import LEVELS, Spines, in_space

__all__ = [
    "BONE",
    "AIR",
    "TITANIUM",
    "LEAD",
    "CANCELLOUS",
    "Prisms",
    "Ellipsoids",
    "Rods",
    "Trunk",
    "Solid",
    "solids",
    "trunk",
    "bodies",
    "sacrum",
    "hips",
]

# What one millimetre adds to the muscle it displaces, as millimetres of (muscle, cortical bone in excess
# of muscle): two basis materials say everything at two energies.  Computed by benchmarks/spectrum.py.
BONE, AIR, TITANIUM, LEAD = (0.0, 1.0), (-1.0, 0.0), (-4.91, 10.57), (-82.7, 189.4)
CANCELLOUS = 0.16  # of cortical bone's excess; ICRU 46 spongiosa, an adult's, has 0.18
_LUMBAR = 5


@dataclass(frozen=True)
class Prisms:
    """Convex polygons in (x, z), extruded along y.

    corners_mm : (n, k, m, 2);  edge i runs from corner i to corner i + 1
    y_mm, half_width_mm, density : (n, k) or broadcastable; the middle depth, half the extent along y
    shell : (m,) density added in the first millimetre under each edge
    sag_mm : (m,) or (n, k, m)  how far each edge sinks in its middle (negative: bulges)
    taper_mm : (m,)  over how many millimetres from each edge the solid reaches its full width
    """

    corners_mm: np.ndarray
    y_mm: np.ndarray | float
    half_width_mm: np.ndarray | float
    density: np.ndarray | float
    shell: tuple[float, ...]
    sag_mm: np.ndarray | tuple[float, ...]
    taper_mm: tuple[float, ...]
    material: tuple[float, float] = BONE


@dataclass(frozen=True)
class Ellipsoids:
    """Ellipsoids with one axis along y.

    center_mm : (n, k, 3);  semi_mm : (n, k, 3) along the turned x, turned z, and y
    turn_deg : (n, k) from x towards z;  density : float or (n, k)
    """

    center_mm: np.ndarray
    semi_mm: np.ndarray
    turn_deg: np.ndarray | float
    density: np.ndarray | float
    material: tuple[float, float] = BONE


@dataclass(frozen=True)
class Rods:
    """Round rods from `start_mm` to `end_mm`, (n, k, 3); radius_mm, density float or (n, k)."""

    start_mm: np.ndarray
    end_mm: np.ndarray
    radius_mm: np.ndarray | float
    density: np.ndarray | float
    material: tuple[float, float] = BONE


@dataclass(frozen=True)
class Trunk:
    """Soft tissue: ellipses in (x, y) whose size changes with height z.

    knots_mm : (m,) heights z;  front_mm, back_mm, half_width_mm : (n, m) at the knots
    domes_mm : (n, 2, 2)  (x, z) of the top of each half of the diaphragm; lung lies above
    grain : (n, 2, 2)  where on the plate of uneven tissue (`radiograph.grain_plate`) this patient's
        soft tissue and bone lie, each as a share of the plate's height and width
    """

    knots_mm: np.ndarray
    front_mm: np.ndarray
    back_mm: np.ndarray
    half_width_mm: np.ndarray
    domes_mm: np.ndarray
    grain: np.ndarray


Solid = Prisms | Ellipsoids | Rods


def solids(spines: Spines, implanted: np.ndarray, rng: np.random.Generator) -> list[Solid]:
    """List the solids of each patient, groups of similar size together.

    Parameters
    ----------
    spines : `n` spines
    implanted : (n,) bool, who carries pedicle screws, rods and a cage
    """
    blocks, wings, crest = sacrum(spines, rng)
    return [
        bodies(spines),
        blocks,
        wings,
        crest,
        *_posterior_elements(spines, rng),
        *_spurs(spines),
        *hips(spines),
        *_pelvis(spines, rng),
        _ribs(spines, rng),
        _bowel_gas(spines, rng),
        *_implants(spines, blocks.corners_mm[:, 0], implanted, rng),
    ]


def trunk(spines: Spines, rng: np.random.Generator) -> Trunk:
    """Wrap soft tissue around each spine: thighs, buttock, hollow back, belly, chest."""
    knots = np.array([-260.0, -130.0, -40.0, 50.0, 130.0, 200.0, 280.0, 380.0, 540.0])
    n = len(spines)
    depth, width = (
        spines.patients.size("body_half_depth")[:, None],
        spines.patients.size("body_half_width")[:, None],
    )
    walls = np.concatenate([spines.s1_mm[:, 1:], spines.bodies_mm[:, :, 1]], 1)
    spine_x = np.stack([np.interp(knots, wall[:, 1], wall[:, 0]) for wall in walls])
    behind = 40 + 0.22 * depth * np.array([1.6, 2.4, 3.0, 2.3, 1.2, 1.0, 1.0, 1.1, 1.1]) * rng.normal(
        1, 0.12, (n, 1)
    )
    belly = np.array([0.72, 0.78, 0.82, 0.92, 1.0, 1.02, 1.0, 0.98, 0.95]) * rng.normal(1, 0.04, (n, 9))
    lower = np.array([0.70, 0.98, 1.14, 1.10, 0.96, 0.87, 0.86, 0.90, 0.98])
    domes = np.stack([rng.normal(60, 14, (n, 2)), rng.normal(345, 20, (n, 1)) + rng.normal(0, 9, (n, 2))], -1)
    return Trunk(knots, depth * belly, spine_x - behind, width * lower, domes, rng.random((n, 2, 2)))


def bodies(spines: Spines) -> Prisms:
    """Vertebral bodies with thin cortical walls and sunken endplates: left halves, then right halves."""
    width = np.linspace(1.05, 0.68, len(LEVELS)) * spines.patients.size("body_width")[:, None] / 2
    side = np.array([1.0, -1.0])[:, None]
    y = side * width[:, None] / 2  # (n, 2, levels) from the body's middle
    corners = spines.bodies_mm[:, None] + _carried(spines, y)[:, :, :, None]
    y = y + spines.aside_mm[:, None]
    return Prisms(
        _flat(corners), _flat(y), np.tile(width / 2, 2), CANCELLOUS,
        shell=(0.48, 0.12, 0.48, 0.16), sag_mm=(1.6, 1.0, 2.0, 2.4), taper_mm=(0.0, 5.0, 0.0, 15.0),
    )  # fmt: skip


def sacrum(spines: Spines, rng: np.random.Generator) -> tuple[Prisms, Ellipsoids, Ellipsoids]:
    """S1 to S5, curving back and then forwards; the wings of S1 beside it; the crest behind it.

    The first edge of the first block is the S1 plate.  A domed plate bulges as a parabola
    whose best-fitting line is the stated one: its ends lie two thirds of the height below.
    """
    patients, dome = spines.patients, spines.patients.dome_mm
    down = _down(spines.s1_mm)
    corners = _sacral_blocks(spines.s1_mm + (2 / 3 * dome)[:, None, None] * down[:, None], patients, rng)
    sag = np.zeros((len(spines), 5, 4))
    sag[:, 0, 0], sag[:, :, 3] = -dome, 1.5
    width = patients.size("body_width")[:, None] / 2 * np.array([1.1, 1.2, 1.0, 0.8, 0.6])
    shell, taper = (0.42, 0.12, 0.14, 0.16), (0.0, 6.0, 0.0, 6.0)
    blocks = Prisms(corners, 0.0, width, CANCELLOUS * 0.85, shell=shell, sag_mm=sag, taper_mm=taper)
    return blocks, _sacral_wings(spines, down), _crest(corners, rng)


def hips(spines: Spines) -> list[Solid]:
    """Femoral heads with a cortical shell in their acetabula, necks and shafts."""
    heads, radius = spines.heads_mm, spines.patients.size("head_radius")[:, None]
    side = np.sign(heads[..., 1])
    neck = heads + np.stack([0 * side - 8, side * 32, 0 * side - 30], -1)
    foot = heads + np.stack([0 * side - 14, side * 35, 0 * side - 200], -1)
    ball = np.ones((1, 2, 3)) * radius[..., None]
    roof = heads + np.stack([0 * side, -side * 4, 0 * side + 2], -1)
    return [
        Ellipsoids(heads, ball, 0.0, CANCELLOUS * 1.9 + 0.10),
        Ellipsoids(heads, ball - 1.6, 0.0, -0.10),
        Ellipsoids(roof, ball + 7.0, 0.0, 0.14),
        Ellipsoids(roof, ball + 4.0, 0.0, -0.10),
        Rods(heads, neck, 0.62 * radius, 0.30),
        Rods(neck, foot, 0.60 * radius, 0.55),
        Rods(neck, foot, 0.34 * radius, -0.50),
    ]


def _flat(halves):
    """Join the two sides of each level into one axis: (n, 2, k, ...) to (n, 2 k, ...)."""
    return halves.reshape(len(halves), -1, *halves.shape[3:])


# Of S1 to S5: how far the lower plate turns forwards, the height, the lower plate over the upper one.
_SACRAL = ((7.0, 27.0, 0.74), (13.0, 23.0, 0.74), (18.0, 20.0, 0.78), (21.0, 17.0, 0.80), (16.0, 15.0, 0.80))
# What is left of a sacral disc; that of a lumbarised S1, and its shape.
_FUSED_MM, _FREE_MM, _SQUARE = 0.8, 4.8, 0.88


def _sacral_blocks(plate, patients, rng):
    """Corners of S1 to S5 (n, 5, 4, 2); a lumbarised S1 keeps its disc and is squarer."""
    curve, blocks = rng.normal(1.0, 0.25, len(plate)), []
    for k, (turn, height, taper) in enumerate(_SACRAL):
        free = (patients.transitional == 1) & (k == 0)
        lower = _lower_plate(plate, turn * curve, height, np.where(free, _SQUARE, taper))
        blocks.append(np.concatenate([plate, lower[:, ::-1]], 1))
        plate = lower + np.where(free, _FREE_MM, _FUSED_MM)[:, None, None] * _down(lower)[:, None]
    return np.stack(blocks, 1)


def _lower_plate(plate_mm, turn_deg, height_mm, taper):
    """Step down from the upper to the lower plate of a sacral vertebra, turned forwards by `turn_deg`."""
    along = plate_mm[:, 0] - plate_mm[:, 1]
    middle = plate_mm.mean(1) + height_mm * _down(plate_mm) - 0.10 * along
    half = _turn(along, turn_deg) * taper[:, None] / 2
    return np.stack([middle + half, middle - half], 1)


def _down(plate_mm):
    """Unit vector from a plate (n, 2, 2) into the body below it."""
    along = plate_mm[:, 0] - plate_mm[:, 1]
    return np.stack([along[:, 1], -along[:, 0]], -1) / np.linalg.norm(along, axis=-1, keepdims=True)


def _sacral_wings(spines, down):
    """The two wings of S1, a soft brightness under the plate; a sacralised L5 has wings of its own."""
    tilt = np.degrees(np.arctan2(down[:, 0], -down[:, 1]))
    below, above = spines.s1_mm.mean(1) + 16 * down, spines.bodies_mm[:, 0].mean(1)
    there = np.stack([np.full(len(down), True), spines.patients.transitional == -1], 1).repeat(2, 1)
    center = np.stack([in_space(middle, y) for middle in (below, above) for y in (40.0, -40.0)], 1)
    center[..., 0] -= 4
    semi = np.full(center.shape, [17.0, 20.0, 22.0])
    return Ellipsoids(center, semi, tilt[:, None], CANCELLOUS * 0.9 * there)


def _crest(blocks_mm, rng):
    """Laminae and median crest behind the sacral blocks."""
    back, low = blocks_mm[:, :4, 1], blocks_mm[:, :4, 2]
    middle = (back + low) / 2
    away = middle - (blocks_mm[:, :4, 0] + blocks_mm[:, :4, 3]) / 2
    away = away / np.linalg.norm(away, axis=-1, keepdims=True)
    tilt = np.degrees(np.arctan2(away[..., 1], away[..., 0]))
    semi = np.array([[9.0, 12.0, 14.0], [8.0, 10.0, 11.0], [6.0, 9.0, 9.0], [5.0, 7.0, 8.0]])
    semi = semi * rng.normal(1, 0.1, (*tilt.shape, 1))
    return Ellipsoids(in_space(middle + 17 * away), semi, tilt, 0.22)


def _posterior_elements(spines, rng):
    """Pedicles, articular pillars and transverse processes on both sides; spinous processes between them."""
    front, back = spines.bodies_mm[:, :, [0, 3]].mean(2), spines.bodies_mm[:, :, [1, 2]].mean(2)
    backwards = (back - front) / np.linalg.norm(back - front, axis=-1, keepdims=True)
    upwards = np.stack([backwards[..., 1], -backwards[..., 0]], -1)
    n, k = back.shape[:2]
    tilt = np.degrees(np.arctan2(backwards[..., 1], backwards[..., 0]))
    size = (np.linspace(1.0, 0.72, k) * rng.normal(1, 0.06, (n, 1)))[..., None]
    jitter = rng.normal(0, 1.3, (n, k, 2))

    def place(behind, above, wobble=0.0):
        return back + size * (behind * backwards + above * upwards) + wobble * jitter

    def pair(y, *at):
        return _both_sides(spines, place(*at), y)

    twice, turn = np.concatenate([size, size], 1), np.concatenate([tilt, tilt], 1)
    pedicle = pair(14.0, 7, 6)
    return [
        Ellipsoids(pedicle, twice * [11.0, 6.5, 4.5], turn, 0.42),
        Ellipsoids(pedicle, twice * [10.0, 4.6, 3.2], turn, -0.22),
        # The articular processes, the upper and the lower one.
        Ellipsoids(pair(17.0, 17, 12, 1.0), twice * [6.0, 12.0, 6.0], turn - 18, 0.36),
        Ellipsoids(pair(18.0, 20, -10, 1.0), twice * [6.5, 14.0, 6.5], turn - 14, 0.36),
        Ellipsoids(pair(34.0, 9, 4), twice * [4.5, 6.0, 12.0], turn, 0.22),  # transverse process
        _spinous_processes(place(27, -5), place(54, -16, 2.0), size * upwards, spines.aside_mm),
    ]


def _spinous_processes(root, tip, up, aside_mm):
    """Plates from `root` to `tip` (n, k, 2), higher where `up` is longer."""
    corners = np.stack([root + 8 * up, tip + 7 * up, tip - 10 * up, root - 9 * up], 2)
    shell, sag, taper = (0.35, 0.35, 0.35, 0.0), (2.0, 0.5, 2.5, 0.0), (4.0, 4.0, 4.0, 6.0)
    return Prisms(corners, aside_mm, 3.6, 0.30, shell=shell, sag_mm=sag, taper_mm=taper)


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


def _spurs(spines):
    """Osteophytes: beaks at the front corners of the two plates beside a disc."""
    length = spines.patients.spurs_mm[:, :_LUMBAR]
    if not length.any():
        return []
    corners = np.concatenate([spines.bodies_mm[:, :_LUMBAR, 3], spines.bodies_mm[:, : _LUMBAR - 1, 0]], 1)
    inward = (
        np.concatenate([spines.bodies_mm[:, :_LUMBAR, 2], spines.bodies_mm[:, : _LUMBAR - 1, 1]], 1) - corners
    )
    inward = inward / np.linalg.norm(inward, axis=-1, keepdims=True)
    length = np.concatenate([length, length[:, 1:]], 1)
    tilt = np.degrees(np.arctan2(inward[..., 1], inward[..., 0]))
    semi = np.stack([length / 2 + 2, np.full(length.shape, 2.4), np.full(length.shape, 14.0)], -1)
    center = in_space(corners - inward * (length / 2 - 2)[..., None])
    return [Ellipsoids(center, semi, tilt, 0.32 * (length > 0))]


def _pelvis(spines, rng):
    """Iliac wings with their crests, roofs and ischia, one a side, turned as the heads are."""
    n, (ahead, above) = len(spines), spines.s1_mm.mean(1).T
    turn = np.radians(spines.patients.angles_deg[:, 1] - 13.0)  # the pelvis is drawn at a tilt of 13 degrees
    axis = spines.heads_mm[:, 0] / np.linalg.norm(spines.heads_mm[:, 0], axis=1, keepdims=True)
    reach = np.hypot(ahead, above)[:, None, None] / 118.0 * rng.normal(1, 0.04, (n, 1, 2))

    def carry(points, y):
        """Carry what is drawn for a pelvis of mean size and tilt to each patient's, (n, 2 sides, m, 2)."""
        cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
        x, z = (np.array(points, float) * reach).transpose(2, 0, 1)
        flat = np.stack([cos * x - sin * z, sin * x + cos * z], -1)
        return np.stack(
            [flat + y * side * (axis[:, None, [0, 2]] / axis[:, None, 1:2]) for side in (1, -1)], 1
        )

    wing = carry(
        [(38, 92), (30, 128), (-8, 158), (-52, 152), (-86, 112), (-82, 84), (-38, 62), (8, 48)], 75.0
    )
    roof = carry([(24, 28), (22, 74), (-6, 92), (-42, 74), (-30, 38), (-6, 22)], 88.0)
    ischium = carry([(-12, -4), (-30, 10), (-40, -18), (-42, -62), (-26, -70), (-10, -50)], 70.0)
    pubis = carry([(8, -2), (50, -34), (58, -56), (46, -64), (2, -28)], 42.0)
    y = np.array([1.0, -1.0])
    rim = (0.35, 0.8, 0.9, 0.6, 0.35, 0.35, 0.5, 0.5)
    return [
        Prisms(wing, y * 75, 6.5, 0.40, shell=rim, sag_mm=(-3.5,) * 8, taper_mm=(7.0,) * 8),
        Prisms(roof, y * 80, 14.0, 0.26, shell=(0.25,) * 6, sag_mm=(-4.0,) * 6, taper_mm=(9.0,) * 6),
        Prisms(ischium, y * 68, 13.0, 0.26, shell=(0.25,) * 6, sag_mm=(-4.0,) * 6, taper_mm=(9.0,) * 6),
        Prisms(pubis, y * 40, 15.0, 0.22, shell=(0.2,) * 5, sag_mm=(-2.0,) * 5, taper_mm=(8.0,) * 5),
    ]


def _ribs(spines, rng):
    """Faint ribs that sweep back, down and forwards from T12 to T10, two a level, in short pieces."""
    first, last = LEVELS.index("T12"), LEVELS.index("T9")
    root = _both_sides(spines, spines.bodies_mm[:, :, 1], 22.0).reshape(len(spines), 2, -1, 3)[
        :, :, first:last
    ]
    side = np.array([1.0, -1.0])[:, None]
    room = spines.patients.size("body_half_width")[:, None, None] * 0.8
    long = np.array([0.55, 0.8, 1.0])  # the last ribs are short
    reach, drop = (
        rng.normal(mean, sd, (len(root), 1, last - first)) * long for mean, sd in ((120, 10), (80, 10))
    )
    bends = np.array(
        [(0.0, 0.16, 0.0), (-0.30, 0.45, 0.12), (-0.12, 0.85, 0.42), (0.35, 1.0, 0.75), (0.9, 0.92, 1.0)]
    )
    at = np.linspace(0, len(bends) - 1, 8)  # x, y, z along the rib
    bends = np.stack([np.interp(at, range(len(bends)), bend) for bend in bends.T], 1)
    points = [
        np.stack([root[..., 0] + x * reach, side * y * room + 0 * root[..., 1], root[..., 2] - z * drop], -1)
        for x, y, z in bends
    ]
    start, end = (_flat(np.concatenate(ends, 2)) for ends in (points[:-1], points[1:]))
    return Rods(start, end, 3.6, 0.30)


def _bowel_gas(spines, rng):
    """Gas in loops of bowel: rows of bubbles, mostly in front of L3 to S1, some in the sacral hollow."""
    n, loops, bubbles = len(spines), 5, 6
    anchor = spines.bodies_mm[:, LEVELS.index("L4"), 0]
    ahead = 0.45 * (spines.patients.size("body_half_depth") - 35)
    start = (
        anchor[:, None]
        + np.stack([ahead, -25 + 0 * ahead], -1)[:, None]
        + rng.normal(0, [26.0, 50.0], (n, loops, 2))
    )
    start[:, -1] = spines.s1_mm.mean(1) + rng.normal([4.0, -62.0], [10.0, 14.0], (n, 2))  # the rectum
    start[..., 0] = np.minimum(start[..., 0], 0.95 * spines.patients.size("body_half_depth")[:, None] - 35)
    size = np.exp(rng.normal(np.log(11.0), 0.35, (n, loops, 1)))
    heading = np.cumsum(rng.normal(0, 0.6, (n, loops, bubbles)), 2) + rng.uniform(0, 2 * np.pi, (n, loops, 1))
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1) * size[..., None] * 0.65, 2)
    semi = np.minimum(size[..., None] * np.exp(rng.normal(0, 0.22, (n, loops, bubbles, 3))), 18.0)
    there = rng.random((n, loops, 1)) < np.array([0.85, 0.7, 0.55, 0.4, 0.6])[:, None]
    fill = rng.uniform(0.15, 0.8, (n, loops, 1)) * there * rng.uniform(0.5, 1.0, (n, loops, bubbles))
    center = in_space(start[:, :, None] + path)
    return Ellipsoids(_flat(center), _flat(semi), rng.uniform(0, 180, (n, loops * bubbles)), _flat(fill), AIR)


def _implants(spines, s1_mm, implanted, rng):
    """Pedicle screws, one rod a side and a cage, from S1 up to a level of the surgeon's choice."""
    if not implanted.any():
        return []
    n, top = len(spines), 6
    blocks = np.concatenate([s1_mm[:, None], spines.bodies_mm[:, :top]], 1)
    back, front = blocks[:, :, 1] * 0.7 + blocks[:, :, 2] * 0.3, blocks[:, :, 0] * 0.6 + blocks[:, :, 3] * 0.4
    entry = back + (back - front) * 0.62
    tip = back + (front - back) * rng.uniform(0.55, 0.9, (n, top + 1, 1))
    low, span = rng.integers(0, 2, (n, 1)), rng.choice([1, 2, 4, 5], (n, 1), p=[0.35, 0.25, 0.2, 0.2])
    level = np.arange(top + 1)
    held = ((level >= low) & (level <= low + span) & implanted[:, None]).astype(float)
    aside = np.concatenate([np.zeros((n, 1)), spines.aside_mm[:, :top]], 1)

    def twice(points):
        return np.concatenate([in_space(points, aside + y) for y in (19.0, -19.0)], 1)

    tops, screws = twice(entry), np.tile(held, 2)
    links = np.tile(held[:, 1:] * held[:, :-1], 2)
    lower, upper = (
        tops.reshape(n, 2, top + 1, 3)[:, :, part].reshape(n, -1, 3)
        for part in (slice(None, -1), slice(1, None))
    )
    disc = (blocks[:, :-1, :2].mean(2) + blocks[:, 1:, 2:].mean(2)) / 2
    caged = held[:, 1:] * held[:, :-1] * (rng.random((n, 1)) < 0.5)
    left, right = (in_space(disc, aside[:, 1:] + y) for y in (10.0, -10.0))
    return [
        Rods(tops, twice(tip), 2.7, screws, TITANIUM),
        Rods(lower, upper, 2.75, links, TITANIUM),
        Rods(left, right, 5.0, 0.5 * caged, TITANIUM),
    ]


def _turn(vectors, degrees):
    """Turn vectors (n, 2) from x towards z."""
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    x, z = vectors[:, :1], vectors[:, 1:]
    return np.concatenate([cos * x - sin * z, sin * x + cos * z], -1)
