"""From spines to the solids that a lateral film shows, in millimetres.  Taught in ch04.

Three kinds of solid are enough: convex prisms along y (vertebrae, sacrum), ellipsoids
(heads, iliac wings, gas) and rods (shafts, ribs, implants), in the patient frame of
`lumbo.anatomy`.  A solid's `density` is the attenuation it adds to what it displaces.
"""

from dataclasses import dataclass

import numpy as np

from lumbo.anatomy import LEVELS, Spines

# Linear attenuation per millimetre at one effective energy, as it is added to soft tissue.
# Working values of the trial films: soft tissue near water, bone above it, gas below.
SOFT_TISSUE = 0.020
CANCELLOUS, CORTICAL, TITANIUM, GAS, LUNG = 0.009, 0.030, 0.150, -0.020, -0.014


@dataclass(frozen=True)
class Prisms:
    """Convex quadrilaterals extruded along y.

    corners_mm : (n, k, 4, 2) in (x, z), in the order of `Spines.bodies_mm`
    half_width_mm, density : (n, k) or broadcastable
    rim : attenuation per mm added in a 1 mm shell along the first and third edge (endplates)
    concavity_mm : how far those two edges sink in the middle
    """

    corners_mm: np.ndarray
    half_width_mm: np.ndarray
    density: float
    rim: float = 0.0
    concavity_mm: float = 0.0


@dataclass(frozen=True)
class Ellipsoids:
    """Ellipsoids with one axis along y.

    center_mm : (n, k, 3);  semi_mm : (n, k, 3) along the turned x, turned z, and y
    turn_deg : (n, k) from x towards z;  density : float or (n, k)
    """

    center_mm: np.ndarray
    semi_mm: np.ndarray
    turn_deg: np.ndarray
    density: np.ndarray | float


@dataclass(frozen=True)
class Rods:
    """Round rods from `start_mm` to `end_mm`, (n, k, 3); radius_mm (n, k); density float or (n, k)."""

    start_mm: np.ndarray
    end_mm: np.ndarray
    radius_mm: np.ndarray
    density: np.ndarray | float


@dataclass(frozen=True)
class Trunk:
    """Soft tissue: superellipses in (x, y) whose size changes with height z.

    knots_mm : (m,) heights z;  front_mm, back_mm, half_width_mm : (n, m) at the knots
    dome_mm : (n, 2)  (x, z) of the top of the diaphragm; lung lies above it
    """

    knots_mm: np.ndarray
    front_mm: np.ndarray
    back_mm: np.ndarray
    half_width_mm: np.ndarray
    dome_mm: np.ndarray


Solid = Prisms | Ellipsoids | Rods


def solids(patients: Spines, implanted: np.ndarray, rng: np.random.Generator) -> list[Solid]:
    """List the solids of each patient, groups of similar size together.

    Parameters
    ----------
    patients : `n` spines
    implanted : (n,) bool, who carries pedicle screws and rods from L2 to S1
    """
    return [
        _bodies(patients),
        _sacrum(patients, rng),
        *_posterior_elements(patients, rng),
        *_hips(patients),
        _iliac_wings(patients, rng),
        _ribs(patients, rng),
        _bowel_gas(patients, rng),
        *_implants(patients, implanted, rng),
    ]


def trunk(patients: Spines, rng: np.random.Generator) -> Trunk:
    """Wrap soft tissue around each spine: buttock, hollow back, belly, chest."""
    knots = np.array([-200.0, -40.0, 60.0, 150.0, 250.0, 350.0, 480.0])
    depth, width = patients.half_depth_mm[:, None], patients.half_width_mm[:, None]
    belly = rng.normal(1.0, 0.10, (len(depth), 1))
    spine_x = np.stack([np.interp(knots, z, x) for x, z in _posterior_wall(patients)])
    fat = 0.28 * depth * np.array([1.9, 2.1, 1.6, 1.15, 1.0, 1.0, 1.0])
    front = depth * np.array([0.75, 0.80, 0.95, 1.0, 0.98, 0.95, 0.9]) * belly
    dome = np.stack([rng.normal(55, 15, len(depth)), rng.normal(325, 22, len(depth))], -1)
    return Trunk(
        knots, front, spine_x - 25 - fat, width * np.array([1, 1.05, 1.0, 0.88, 0.85, 0.9, 0.95]), dome
    )


def _posterior_wall(patients):
    """Yield each patient's posterior wall, upwards from S1, as (x, z) rows."""
    walls = np.concatenate([patients.s1_mm[:, 1:], patients.bodies_mm[:, :, 1]], 1)
    return walls.transpose(0, 2, 1)


def _bodies(patients):
    width = np.linspace(1.05, 0.8, len(LEVELS)) * patients.body_width_mm[:, None] / 2
    return Prisms(patients.bodies_mm, width, CANCELLOUS, rim=CORTICAL * 0.5, concavity_mm=1.5)


def _sacrum(patients, rng):
    """Four tapering blocks that curve backwards below the S1 plate, then forwards again."""
    corners, plate = [], patients.s1_mm
    curve = rng.normal(1.0, 0.2, len(plate))
    for turn, height, taper in ((8, 27, 0.72), (14, 23, 0.74), (18, 20, 0.78), (20, 17, 0.8)):
        lower = _next_plate(plate, turn * curve, height, taper)
        corners.append(np.concatenate([plate, lower[:, ::-1]], 1))
        plate = lower
    width = patients.body_width_mm[:, None] / 2 * np.array([1.5, 1.25, 1.0, 0.8])
    return Prisms(np.stack(corners, 1), width, CANCELLOUS * 0.75, rim=CORTICAL * 0.15)


def _next_plate(plate_mm, turn_deg, height_mm, taper):
    """Step down from one sacral plate to the next, turned forwards by `turn_deg`."""
    along = plate_mm[:, 0] - plate_mm[:, 1]
    down = np.stack([along[:, 1], -along[:, 0]], -1) / np.linalg.norm(along, axis=-1, keepdims=True)
    middle = plate_mm.mean(1) + height_mm * down - 0.10 * along
    half = _turn(along, turn_deg) * taper / 2
    return np.stack([middle + half, middle - half], 1)


def _posterior_elements(patients, rng):
    """Pedicles and facets (ellipsoids) and spinous processes (prisms) behind each body."""
    bodies = patients.bodies_mm
    front, back = bodies[:, :, [0, 3]].mean(2), bodies[:, :, [1, 2]].mean(2)
    backwards = (back - front) / np.linalg.norm(back - front, axis=-1, keepdims=True)
    upwards = np.stack([backwards[..., 1], -backwards[..., 0]], -1)
    n, k = bodies.shape[:2]
    tilt = np.degrees(np.arctan2(backwards[..., 1], backwards[..., 0]))
    jitter = rng.normal(0, 1.5, (n, k, 2))
    pedicle = _in_space(back + 8 * backwards + 5 * upwards)
    facet = _in_space(back + 20 * backwards - 12 * upwards + jitter)
    root, tip = back + 24 * backwards - 6 * upwards, back + 52 * backwards - 18 * upwards + 2 * jitter
    ones = np.ones((n, k, 1))
    return [
        Ellipsoids(pedicle, ones * [10.0, 6.0, 14.0], tilt, CANCELLOUS * 1.3),
        Ellipsoids(facet, ones * [9.0, 15.0, 16.0], tilt + 70, CANCELLOUS * 1.4),
        Prisms(
            np.stack([root + 9 * upwards, tip + 7 * upwards, tip - 9 * upwards, root - 9 * upwards], 2),
            np.full((n, k), 4.5),
            CANCELLOUS * 2.2,
        ),
    ]


def _hips(patients):
    """Femoral heads with a cortical shell, necks, shafts, and the acetabular roofs."""
    heads, radius = patients.heads_mm, patients.head_radius_mm[:, None]
    side = np.sign(heads[..., 1])
    neck = heads + np.stack([0 * side - 6, side * 30, 0 * side - 30], -1)
    foot = heads + np.stack([0 * side - 12, side * 35, 0 * side - 190], -1)
    size = np.ones((1, 2, 3)) * radius[..., None]
    flat = np.zeros((len(radius), 2))
    return [
        Ellipsoids(heads, size, flat, CORTICAL * 0.45),
        Ellipsoids(heads, size - 2.2, flat, -CORTICAL * 0.25),
        Ellipsoids(heads, size + 6.0, flat, CANCELLOUS * 0.6),
        Rods(heads, neck, np.broadcast_to(0.65 * radius, flat.shape), CANCELLOUS * 0.9),
        Rods(neck, foot, np.broadcast_to(0.62 * radius, flat.shape), CANCELLOUS * 1.6),
    ]


def _iliac_wings(patients, rng):
    """Two wings over the lumbosacral junction and the ischia below the hips, one a side."""
    n = len(patients.s1_mm)
    middle = patients.s1_mm.mean(1)[:, None]
    side = np.array([1.0, -1.0])
    wing = np.stack(np.broadcast_arrays(0.55 * middle[..., 0] - 6, side * 70, 0.62 * middle[..., 1]), -1)
    pubis = np.stack(np.broadcast_arrays(18.0 + 0 * middle[..., 0], side * 35, -38.0), -1)
    center = np.concatenate([wing, pubis], 1) + rng.normal(0, 4.0, (n, 4, 3))
    semi = np.array([[52.0, 66.0, 10.0]] * 2 + [[40.0, 16.0, 16.0]] * 2) * rng.normal(1, 0.06, (n, 4, 1))
    return Ellipsoids(center, semi, rng.normal([20, 20, -35, -35], 6.0, (n, 4)), CORTICAL * 0.75)


def _ribs(patients, rng):
    """Faint ribs that sweep back, down and forwards from T12 to T10, two a level, in three pieces each."""
    root = patients.bodies_mm[:, LEVELS.index("T12") : LEVELS.index("T9"), 1]
    root = np.concatenate([_in_space(root, y) for y in (45.0, -45.0)], 1)
    side, size = np.sign(root[..., 1]), root.shape[:2]
    reach, drop = rng.normal(95, 15, size), rng.normal(75, 12, size)
    bends = [
        (0.0, 0.0, 0.0),
        (-0.15, 45.0, 0.2),
        (0.35, 85.0, 0.65),
        (1.0, 95.0, 1.0),
    ]  # x, y, z along the rib
    points = [root + np.stack([x * reach, side * y, -z * drop], -1) for x, y, z in bends]
    pieces = np.concatenate(points[:-1], 1), np.concatenate(points[1:], 1)
    return Rods(*pieces, np.full(pieces[0].shape[:2], 4.0), CORTICAL * 0.35)


def _bowel_gas(patients, rng):
    """Dark pockets, mostly in front of L3 to S1, each of a size and turn of its own."""
    n, k = len(patients.s1_mm), 7
    anchor = patients.bodies_mm[:, LEVELS.index("L4"), 0][:, None]
    place = anchor + rng.normal([30.0, -5.0], [28.0, 55.0], (n, k, 2))
    semi = np.exp(rng.normal(np.log([16.0, 10.0, 14.0]), 0.35, (n, k, 3)))
    fill = GAS * rng.uniform(0.0, 0.9, (n, k)) * (rng.random((n, k)) < 0.7)
    return Ellipsoids(_in_space(place), semi, rng.uniform(0, 180, (n, k)), fill)


def _implants(patients, implanted, rng):
    """Pedicle screws from L2 to S1 and one rod a side behind them; nothing where not implanted."""
    bodies = np.concatenate([patients.bodies_mm[:, :4][:, ::-1], _first_sacral_block(patients)[:, None]], 1)
    back = bodies[:, :, 1] * 0.7 + bodies[:, :, 2] * 0.3
    front = bodies[:, :, 0] * 0.6 + bodies[:, :, 3] * 0.4
    entry = back + (back - front) * 0.45
    tip = back + (front - back) * rng.uniform(0.6, 0.9, (len(back), bodies.shape[1], 1))
    metal = TITANIUM * implanted[:, None] * np.ones(2 * bodies.shape[1])
    screws = _both_sides(entry), _both_sides(tip)
    rods = _both_sides(entry[:, :-1]), _both_sides(entry[:, 1:])
    return [
        Rods(*screws, np.full(metal.shape, 2.8), metal),
        Rods(*rods, np.full(metal[:, 2:].shape, 2.8), metal[:, 2:]),
    ]


def _first_sacral_block(patients):
    plate = patients.s1_mm
    return np.concatenate([plate, _next_plate(plate, np.full(len(plate), 8.0), 27, 0.72)[:, ::-1]], 1)


def _both_sides(points_mm):
    return np.concatenate([_in_space(points_mm, y) for y in (18.0, -18.0)], 1)


def _in_space(points_mm, y_mm=0.0):
    """Put (x, z) points at depth y: (..., 2) to (..., 3)."""
    return np.stack(np.broadcast_arrays(points_mm[..., 0], y_mm, points_mm[..., 1]), -1)


def _turn(vectors, degrees):
    cos, sin = np.cos(np.radians(degrees))[:, None], np.sin(np.radians(degrees))[:, None]
    x, z = vectors[:, :1], vectors[:, 1:]
    return np.concatenate([cos * x - sin * z, sin * x + cos * z], -1)
