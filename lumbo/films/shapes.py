"""The solids that stand for a patient, and what they are made of.  Taught in spine_to_film.

Four kinds of solid are enough: convex prisms along y (vertebrae, sacrum, iliac wings), ellipsoids (heads, rims,
gas), rods (implants, letters) and tubes along bent lines (ribs, crests, arches), in the patient frame of
`lumbo.films.anatomy`.  A solid says how much it adds to the soft tissue that it displaces.  `vertebrae`, `pelvis`,
`metal` and `tissue` make them.
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "BONE",
    "AIR",
    "MUSCLE",
    "TITANIUM",
    "LEAD",
    "CANCELLOUS",
    "SHELL_MM",
    "ROUND",
    "Prisms",
    "Ellipsoids",
    "Rods",
    "Tubes",
    "Trunk",
    "Solid",
]

# What one millimetre adds to the muscle it displaces, as millimetres of (muscle, cortical bone in excess
# of muscle): two basis materials say everything at two energies.  Computed by benchmarks/spectrum.py.
BONE, AIR, TITANIUM, LEAD = (0.0, 1.0), (-1.0, 0.0), (-4.91, 10.57), (-82.7, 189.4)
MUSCLE = (1.0, 0.0)  # more of it than the trunk has there
CANCELLOUS = 0.16  # of cortical bone's excess; ICRU 46 spongiosa, an adult's, has 0.18


SHELL_MM = 2.3  # under each edge of a prism lies its shell
ROUND = 0.6  # share of a prism's extent along y over which its edges are smeared: bones are round, not slabs


@dataclass(frozen=True)
class Prisms:
    """Convex polygons in (x, z), extruded along y.

    corners_mm : (n, k, m, 2);  edge i runs from corner i to corner i + 1
    y_mm, half_width_mm, density : (n, k) or broadcastable; the middle depth, half the extent along y
    shell : (m,) or (n, k, m)  density added in the first `SHELL_MM` under each edge
    sag_mm : (m,) or (n, k, m)  how far each edge sinks (negative: bulges)
    nearer_mm : (n, k, m) or one for all  by how much each corner is nearer to the tube than `y_mm`
    slant_mm : (n, k, m, 2) or one for all  how far (x, z) each corner moves from the side away from the tube to the
        near one.  With the diverging rays it smears an edge, as plates that are seen a little obliquely are broad.
    rough_mm : (n, k, m) or one for all  by how much an edge is smeared besides, whichever way it runs
    skew : (m,) or (n, k, m), or one for all  where it sinks most: 0 in its middle, 1 near its start, -1 near its end
    taper_mm : (m,)  over how many millimetres from each edge the solid reaches its full width
    """

    corners_mm: np.ndarray
    y_mm: np.ndarray | float
    half_width_mm: np.ndarray | float
    density: np.ndarray | float
    shell: np.ndarray | tuple[float, ...]
    sag_mm: np.ndarray | tuple[float, ...]
    taper_mm: tuple[float, ...]
    skew: np.ndarray | tuple[float, ...] = (0.0,)
    nearer_mm: np.ndarray | tuple[float, ...] = (0.0,)
    slant_mm: np.ndarray | tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    rough_mm: np.ndarray | tuple[float, ...] = (0.0,)
    material: tuple[float, float] = BONE


@dataclass(frozen=True)
class Ellipsoids:
    """Ellipsoids with one axis along y.

    center_mm : (n, k, 3);  semi_mm : (n, k, 3) along the turned x, turned z, and y
    turn_deg : (n, k) from x towards z;  density : float or (n, k)
    soft : whether it thins out towards its outline instead of ending there
    """

    center_mm: np.ndarray
    semi_mm: np.ndarray
    turn_deg: np.ndarray | float
    density: np.ndarray | float
    material: tuple[float, float] = BONE
    soft: bool = False


@dataclass(frozen=True)
class Rods:
    """Round rods from `start_mm` to `end_mm`, (n, k, 3); radius_mm, density float or (n, k)."""

    start_mm: np.ndarray
    end_mm: np.ndarray
    radius_mm: np.ndarray | float
    density: np.ndarray | float
    material: tuple[float, float] = BONE


@dataclass(frozen=True)
class Tubes:
    """Round tubes along bent lines, of even brightness along them.

    points_mm : (n, k, m, 3);  radius_mm, density : float or (n, k)
    hollow : float or (n, k)  share of the radius that is empty
    soft : whether it thins out towards its outline instead of ending there
    """

    points_mm: np.ndarray
    radius_mm: np.ndarray | float
    density: np.ndarray | float
    hollow: np.ndarray | float = 0.0
    material: tuple[float, float] = BONE
    soft: bool = False


@dataclass(frozen=True)
class Trunk:
    """Soft tissue: a path in y at each (x, z), that is `width_mm` where the trunk is widest and falls to the skin.

    knots_mm : (m,) heights z;  tall : (n,) by which they are multiplied for each patient
    front_mm, back_mm, width_mm : (n, m) at the knots
    widest : (n, m)  where between back (0) and front (1) it is widest
    taper : (n,)  power of the fall towards the front: 2 an ellipse, less falls faster
    fat : (n,)  share by which fat lets more through at the front skin
    domes_mm : (n, 2, 2)  (x, z) of the top of each half of the diaphragm; lung lies above
    lung : (n,)  share of the path that each lung empties
    grain : (n, 2, 2)  where on the plate of uneven tissue (`radiograph.grain_plate`) this patient's
        soft tissue and bone lie, each as a share of the plate's height and width
    strength : (n, 2)  how uneven the two are, beside `radiograph.GRAIN`
    """

    knots_mm: np.ndarray
    tall: np.ndarray
    front_mm: np.ndarray
    back_mm: np.ndarray
    width_mm: np.ndarray
    widest: np.ndarray
    taper: np.ndarray
    fat: np.ndarray
    domes_mm: np.ndarray
    lung: np.ndarray
    grain: np.ndarray
    strength: np.ndarray


Solid = Prisms | Ellipsoids | Rods | Tubes
