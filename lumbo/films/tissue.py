"""From spines to soft tissue: the trunk, its organs, bowel with gas and stool, folds, arms.  Taught in spine_to_film."""

import numpy as np

from lumbo.films.anatomy import LEVELS, Spines, in_space
from lumbo.films.shapes import AIR, BONE, MUSCLE, Ellipsoids, Solid, Trunk, Tubes
from lumbo.films.variety import Variety

__all__ = ["trunk", "contents", "bowel", "LUNG"]

LUNG = 0.18  # share of the path that each lung empties
_KNOTS = np.array([-260.0, -130.0, -40.0, 50.0, 130.0, 200.0, 280.0, 380.0, 540.0])
_BEFORE_MM = 45.0  # of soft tissue before the spine at least
_LOOPS, _BUBBLES = 11, 4  # of bowel, and in each
_STOOL, _CLOUDS, _FOLDS, _STRIPES = 40, 14, 2, 7


def trunk(spines: Spines, vary: Variety) -> Trunk:
    """Wrap soft tissue around each spine: thighs, buttock, hollow back, belly, chest."""
    n, m = len(spines), len(_KNOTS)
    grown = spines.patients.grown[:, None]
    depth, width = (spines.patients.size(f"body_half_{name}")[:, None] for name in ("depth", "width"))
    depth = depth * vary("trunk.depth", n)[:, None]
    fronts, spine_x = (_wall_x(spines, corner, _KNOTS * grown) for corner in (0, 1))
    back = np.array([1.2, 1.7, 2.1, 1.9, 1.35, 1.1, 1.1, 1.3, 1.4]) * vary("trunk.back", n, m)
    belly = np.array([0.80, 0.84, 0.86, 0.92, 0.98, 1.0, 1.03, 1.12, 1.15])
    wide = np.array([0.92, 0.99, 0.95, 0.87, 0.73, 0.67, 0.75, 0.94, 1.04])
    widest = np.array([0.20, 0.19, 0.16, 0.09, 0.01, 0.0, 0.02, 0.05, 0.06])
    front = depth * belly * vary("trunk.outline", n, 2 * m)[:, :m]
    domes = np.stack([spines.bodies_mm[:, LEVELS.index("L1"), 0, :1] + vary.rng("domes").normal(50, 16, (n, 2)),
                      345 * grown + vary("trunk.dome", n, 2)], -1)  # fmt: skip
    return Trunk(
        knots_mm=_KNOTS,
        tall=grown[:, 0],
        front_mm=np.maximum(front, fronts + _BEFORE_MM * grown),
        back_mm=spine_x - 58 * grown - 0.22 * depth * back,
        width_mm=2 * width * vary("trunk.width", n)[:, None] * wide * vary("trunk.outline", n, 2 * m)[:, m:],
        widest=(vary("trunk.widest", n, m) + widest).clip(0.05, 0.95),
        taper=0.92 * vary("trunk.taper", n),
        fat=vary("trunk.fat", n).clip(0, 0.4),
        domes_mm=domes,
        lung=(LUNG * vary("trunk.lung", n)).clip(max=0.4),
        grain=_grain(n, vary),
        strength=np.stack([vary("trunk.grain", n), vary("bone.grain", n)], -1),
    )


def _wall_x(spines, corner, knots_mm):
    """Where the wall through one upper corner of S1 and the bodies (0 front, 1 back) lies at heights (n, m)."""
    walls = np.concatenate([spines.s1_mm[:, corner, None], spines.bodies_mm[:, :, corner]], 1)
    return np.stack([np.interp(z, wall[:, 1], wall[:, 0]) for z, wall in zip(knots_mm, walls)])


def _grain(n, vary):
    """Where on the plate of uneven tissue a patient's soft tissue and bone lie, (n, 2, 2); bone stays the same."""
    places = vary.rng("grain").random((n, 2, 2))
    return np.stack([places[:, 0], places[vary.whose(n), 1]], 1)


def contents(spines: Spines, vary: Variety) -> list[Solid]:
    """What lies in and on the trunk beside bone: bowel, liver, folds, stripes of muscle, breasts, arms."""
    return [*bowel(spines, vary), *_organs(spines, vary), *_outside(spines, vary)]


def bowel(spines: Spines, vary: Variety) -> list[Solid]:
    """Gas in bubbles along loops of bowel, in front of the spine and in the rectum; mottled stool."""
    n, rng, front = len(spines), vary.rng("bowel"), spines.patients.size("body_half_depth")[:, None]
    l4 = spines.bodies_mm[:, LEVELS.index("L4"), 0]
    many = vary("bowel.bubbles", n).clip(0, 1)[:, None]
    x = l4[:, :1] + 12 + abs(rng.normal(0, 1, (n, _LOOPS))) * 0.42 * (front - 30)
    z = l4[:, 1:] + rng.normal(-15, 62, (n, _LOOPS))
    heading = rng.uniform(0, 2 * np.pi, (n, _LOOPS, 1)) + np.cumsum(
        rng.normal(0, 0.7, (n, _LOOPS, _BUBBLES)), 2
    )
    size = vary("bowel.bubble_mm", n, _LOOPS * _BUBBLES).reshape(n, _LOOPS, _BUBBLES)
    step = np.stack([np.cos(heading), np.sin(heading)], -1) * size[..., None] * 1.2
    place = np.stack([x, z], -1)[:, :, None] + np.cumsum(step, 2)
    there = (rng.random((n, _LOOPS, 1)) < many[..., None]) * (rng.random((n, _LOOPS, _BUBBLES)) < 0.8)
    fill = vary("bowel.fill", n, _LOOPS * _BUBBLES).reshape(n, _LOOPS, _BUBBLES).clip(max=0.9) * there
    y = rng.normal(0, 60, (n, _LOOPS, 1)) + np.zeros((1, 1, _BUBBLES))
    semi = size[..., None] * np.exp(rng.normal(0, 0.35, (n, _LOOPS, _BUBBLES, 3)))
    place[..., 0] = np.minimum(place[..., 0], 0.62 * front[..., None])  # within the wall of the belly
    turn = rng.uniform(0, 180, (n, _LOOPS, _BUBBLES))
    gas = [
        Ellipsoids(
            _joined(in_space(place, y)[:, some]),
            _joined(semi[:, some]),
            _joined(turn[:, some]),
            _joined(fill[:, some]),
            AIR,
            soft=soft,
        )
        for some, soft in ((slice(0, _LOOPS - 1), True), (slice(_LOOPS - 1, None), False))
    ]
    return [*gas, _rectum(spines, vary), _stool(spines, l4, front, vary)]


def _rectum(spines, vary):
    n, rng = len(spines), vary.rng("rectum")
    start = spines.s1_mm.mean(1) + rng.normal([2.0, -60.0], [10.0, 14.0], (n, 2))
    along = np.cumsum(rng.normal([2.0, -9.0], [5.0, 4.0], (n, 5, 2)), 1)
    semi = rng.uniform(9, 18, (n, 5, 3))
    amount = (vary("bowel.rectum", n)[:, None] * rng.uniform(0.2, 0.8, (n, 5))).clip(max=0.9)
    return Ellipsoids(
        in_space(start[:, None] + along), semi, rng.uniform(0, 180, (n, 5)), amount, AIR, soft=True
    )


def _stool(spines, l4, front, vary):
    """Clumps of denser and thinner content in the colon."""
    n, rng = len(spines), vary.rng("stool")
    x = l4[:, :1] + 8 + abs(rng.normal(0, 1, (n, _STOOL))) * 0.4 * (front - 30)
    place = np.stack([x, l4[:, 1:] + rng.normal(-20, 55, (n, _STOOL))], -1)
    semi = np.exp(rng.normal(np.log(11.0), 0.4, (n, _STOOL, 3)))
    amount = vary("bowel.stool", n).clip(0)[:, None] * rng.normal(-0.15, 0.32, (n, _STOOL))
    return Ellipsoids(
        in_space(place, rng.normal(0, 50, (n, _STOOL))),
        semi,
        rng.uniform(0, 180, (n, _STOOL)),
        amount,
        MUSCLE,
        soft=True,
    )


def _organs(spines, vary):
    """The liver's lower edge, broad patches, and stripes of muscle and fat behind and before the spine."""
    n, rng = len(spines), vary.rng("organs")
    l2 = spines.bodies_mm[:, LEVELS.index("L2"), 0]
    liver = l2 + rng.normal([62.0, 62.0], [14.0, 24.0], (n, 2))
    thick = vary("soft.liver", n)[:, None].clip(0)
    half = np.stack([rng.normal(78, 10, (n, 1)), rng.normal(62, 9, (n, 1)), thick / 2 + 1e-3], -1)
    spot = np.stack([rng.uniform(-120, 150, (n, _CLOUDS)), rng.uniform(-140, 400, (n, _CLOUDS))], -1)
    wide = np.exp(rng.normal(np.log(36.0), 0.5, (n, _CLOUDS, 2)))
    cloud = vary("soft.cloud", n, _CLOUDS)
    ends = [_behind(spines, level, rng) for level in ("T12", "L3")]
    foot = spines.s1_mm[:, None, 1] + rng.normal([-30, 10], [6, 12], (n, _STRIPES, 2))
    stripe = np.stack([*ends, foot], 2)  # (n, stripes, 3 points, 2)
    strong = (vary("soft.stripe", n)[:, None] * rng.normal(0, 0.2, (n, _STRIPES))).clip(-0.25, 0.35)
    return [
        Ellipsoids(in_space(liver[:, None]), half, rng.normal(-20, 12, (n, 1)), 1.0, MUSCLE, soft=True),
        Ellipsoids(
            in_space(spot),
            np.concatenate([wide, np.ones((n, _CLOUDS, 1))], -1),
            rng.uniform(0, 180, (n, _CLOUDS)),
            cloud / 2,
            MUSCLE,
            soft=True,
        ),
        Tubes(in_space(stripe), rng.uniform(3, 12, (n, _STRIPES)), strong, 0.0, MUSCLE, soft=True),
        *_muscles(spines, vary),
    ]


def _muscles(spines, vary):
    """The two psoas muscles from T12 to before the hips, and the fat under the skin of the belly."""
    n, rng, front = len(spines), vary.rng("muscles"), spines.patients.size("body_half_depth")
    top, waist = (spines.bodies_mm[:, LEVELS.index(level)].mean(1) for level in ("T12", "L4"))
    foot = np.stack([rng.normal(22, 8, (n, 2)), rng.normal(20, 15, (n, 2))], -1)
    line = np.stack(
        [
            top[:, None] + rng.normal(0, 5, (n, 2, 2)),
            waist[:, None] + rng.normal([14, 0], 6, (n, 2, 2)),
            foot,
        ],
        2,
    )
    psoas = vary("soft.psoas", n, 2).clip(0)
    high = np.linspace(-60.0, 330.0, 6)
    skin = np.stack([front[:, None] * rng.normal(0.82, 0.05, (n, 6)), high + 0 * front[:, None]], -1)[:, None]
    return [
        Tubes(
            in_space(line, np.array([38.0, -38.0])[:, None]),
            rng.uniform(16, 28, (n, 2)),
            psoas,
            0.0,
            MUSCLE,
            soft=True,
        ),
        Tubes(
            in_space(skin),
            rng.uniform(4, 11, (n, 1)),
            -vary("soft.stripe", n)[:, None] * 0.25,
            0.0,
            MUSCLE,
            soft=True,
        ),
    ]


def _behind(spines, level, rng):
    """Places for stripes behind one level, (n, stripes, 2)."""
    wall = spines.bodies_mm[:, LEVELS.index(level), 1]
    away = np.linspace(-75, -30, _STRIPES)[:, None] * [1, 0] + rng.normal(0, 6, (len(wall), _STRIPES, 2))
    return wall[:, None] + away


def _outside(spines, vary):
    """Folds of skin at the waist, breasts before the chest, an arm across the upper front."""
    n, rng, front = len(spines), vary.rng("outside"), spines.patients.size("body_half_depth")
    l2 = spines.bodies_mm[:, LEVELS.index("L2")].mean(1)
    high = l2[:, 1:] + rng.normal(-10, 45, (n, _FOLDS))
    back = rng.random((n, _FOLDS)) < 0.5
    x0 = np.where(back, l2[:, :1] - 105, front[:, None] * 1.0)
    x1 = np.where(back, l2[:, :1] - 55, front[:, None] * 0.7)
    ends = [
        np.stack([x, high + rng.normal(0, 9, high.shape) + dz], -1)
        for x, dz in ((x0, 0), ((x0 + x1) / 2, 4), (x1, 10))
    ]
    fold = in_space(np.stack(ends, 2))
    width = rng.uniform(2.5, 7, (n, _FOLDS))
    breast = np.stack([front * rng.normal(0.95, 0.1, n), l2[:, 1] + rng.normal(140, 25, n)], -1)[:, None]
    elbow = np.stack([front * rng.normal(0.6, 0.25, n), l2[:, 1] + rng.normal(95, 35, n)], -1)
    hand = elbow + np.stack([rng.normal(170, 20, n), rng.normal(20, 60, n)], -1)
    shoulder = elbow + np.stack([rng.normal(-60, 20, n), rng.normal(230, 20, n)], -1)
    arm = in_space(np.stack([shoulder, elbow, hand], 1)[:, None], 120.0)
    upper, fore = arm[:, :, :2], arm[:, :, 1:]
    there, woman = vary("soft.arm", n)[:, None], vary("soft.breast", n)[:, None]
    aside = np.array([0.0, 0.0, 9.0])
    return [
        Tubes(fold, width, vary("soft.fold", n, _FOLDS) / (2 * width), 0.0, MUSCLE, soft=True),
        Ellipsoids(
            in_space(breast),
            np.array([60.0, 46.0, 34.0]) * woman.clip(0.3)[..., None],
            rng.normal(70, 12, (n, 1)),
            0.9 * (woman > 0),
            MUSCLE,
            soft=True,
        ),
        Tubes(arm, 34.0, 0.85 * (there > 0), 0.0, MUSCLE),
        Tubes(np.concatenate([upper, fore + aside, fore - aside], 1), 7.0, 0.5 * (there > 0), 0.5, BONE),
    ]


def _joined(values):
    """Join loops and their bubbles into one axis."""
    return values.reshape(len(values), -1, *values.shape[3:])
