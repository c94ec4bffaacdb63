"""From patients as numbers to spines and pelves in millimetres.

Patient frame: x anterior, y left, z up, in millimetres; the origin is the hip axis.
The sagittal contours lie in (x, z); `aside_mm`, `lean_deg` and `twist_deg` say how each
vertebra leaves the plane y = 0 where the column is curved sideways.
"""

from dataclasses import dataclass

import numpy as np

from lumbo.errors import instance, require
from lumbo.films_1.populations import Patients
from lumbo.rows import Rows

__all__ = ["LEVELS", "Spines", "spines", "direction", "in_space"]

LEVELS = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7", "T6", "T5", "T4")
_LUMBAR = 5  # the first five of LEVELS
_THORACIC = len(LEVELS) - _LUMBAR
# Above L1 each level is a share of the lumbar ones; working values, no landmark depends on them.
_PITCH = np.array([0.92, 0.86, 0.81, 0.78, 0.75, 0.72, 0.70, 0.68, 0.66])  # of the pitch of L1
_DEPTH = np.array([1.0, 1.0, 0.99, 0.97, 0.95, 0.91, 0.88, 0.86, 0.84, 0.82, 0.80, 0.78, 0.76, 0.74])
_DISC = np.array([1.0] * 5 + [0.8, 0.65] + [0.55] * 7)  # of the share of the pitch that a lumbar disc takes
_KYPHOSIS = -np.array([0.5, 2.5, 3.0, 3.5, 4.0, 4.5, 4.5, 4.5, 4.0])  # T12-L1 and up, degrees a segment
_DISC_WEDGE = 0.6  # share of a segment's lordosis that its disc takes while it has its full height
_RUDIMENT = 0.7  # share of its height that the disc under a sacralised L5 lacks
_FRACTURED = ("L3", "L2", "L1", "T12")  # the columns of `Patients.fracture`
# How far each level leans of a coronal curve of 1 degree: L4 and T11 are its end vertebrae, L1-L2 its apex.
_LEAN = np.array([0.30, 0.50, 0.34, 0.12, -0.12, -0.34, -0.50, -0.42, -0.3, -0.2, -0.12, -0.06, 0.0, 0.0])
_TWIST = 0.4  # degrees of axial rotation at the apex for each degree of the curve


@dataclass(frozen=True, eq=False, repr=False)
class Spines(Rows):
    """`n` patients in the patient frame, millimetres.

    Attributes
    ----------
    patients : the numbers they are built from
    s1_mm : (n, 2, 2)  anterior and posterior corner of the S1 plate, (x, z); of a domed
        sacrum, the ends of the straight line that fits the dome best.
    bodies_mm : (n, 14, 4, 2)  corners of L5 and upwards: superior anterior, superior
        posterior, inferior posterior, inferior anterior, (x, z), in the body's own middle plane.
    aside_mm, lean_deg, twist_deg : (n, 14)  where that plane lies (y), how far the body leans
        to its left (+) in the frontal plane, and how far its front turns to the left (+).
    heads_mm : (n, 2, 3)  left and right femoral-head centre; their midpoint is the origin.
    """

    patients: Patients
    s1_mm: np.ndarray
    bodies_mm: np.ndarray
    aside_mm: np.ndarray
    lean_deg: np.ndarray
    twist_deg: np.ndarray
    heads_mm: np.ndarray

    @property
    def landmarks_mm(self) -> np.ndarray:
        """The landmarks in space, shape (n, 6, 3), in the order of `angles.LANDMARKS`."""
        l1 = LEVELS.index("L1")
        plates = np.concatenate(
            [in_space(self.s1_mm), in_space(self.bodies_mm[:, l1, :2], self.aside_mm[:, l1 : l1 + 1])], 1
        )
        return np.concatenate([plates, self.heads_mm], axis=1)


def spines(patients: Patients, rng: np.random.Generator) -> Spines:
    """Build spines that have exactly the angles of `patients`.

    `rng` draws only how the pelvis is turned towards the tube.

    Raises
    ------
    InputError
        |SS| of 90 degrees or more, or PI that is not PT + SS.
    """
    instance("patients", patients, Patients)
    instance("rng", rng, np.random.Generator)
    ss, pt, pi, _ = patients.angles_deg.T
    require(
        bool((abs(ss) < 90).all()), "angles_deg.SS", float(abs(ss).max(initial=0)), "|SS| below 90 degrees"
    )
    require(np.allclose(pi, pt + ss, atol=1e-6), "angles_deg.PI", "not PT + SS", "PI = PT + SS")
    middle = patients.size("pelvic_radius")[:, None] * direction(90 + pt)
    half = patients.size("s1_plate")[:, None] / 2 * direction(-ss)
    bodies = _column(middle, patients)
    return Spines(
        patients=patients,
        s1_mm=np.stack([middle + half, middle - half], 1),
        bodies_mm=bodies,
        aside_mm=_aside(bodies, patients.curve_deg),
        lean_deg=patients.curve_deg[:, None] * _LEAN,
        twist_deg=patients.curve_deg[:, None] * _TWIST * np.cos(np.pi * _LEAN) * (_LEAN != 0),
        heads_mm=_heads(patients.size("head_offset"), rng),
    )


def direction(degrees) -> np.ndarray:
    """Unit vector (x, z) at an angle above the anterior horizontal."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1)


def in_space(points_mm: np.ndarray, y_mm=0.0) -> np.ndarray:
    """Put (x, z) points at depth y: (..., 2) to (..., 3)."""
    return np.stack(np.broadcast_arrays(points_mm[..., 0], y_mm, points_mm[..., 1]), -1)


def _column(middle_mm, patients) -> np.ndarray:
    """Stack bodies on the middle of the S1 plate: corners (n, 14, 4, 2)."""
    n, tilt = len(middle_mm), -patients.angles_deg[:, 0]
    kyphosis, absent = np.broadcast_to(_KYPHOSIS, (n, _THORACIC)), np.zeros((n, _THORACIC))
    pitch = np.concatenate([patients.pitch_mm, patients.pitch_mm[:, -1:] * _PITCH], 1)
    narrowing = np.concatenate([patients.narrowing, absent], 1)
    narrowing[:, 0] = np.maximum(narrowing[:, 0], _RUDIMENT * (patients.transitional == -1))
    slip = np.pad(patients.slip, ((0, 0), (0, len(LEVELS) - 2)))
    disc_share = patients.size("disc_share")[:, None] * _DISC
    depth = patients.size("body_depth")[:, None] * _DEPTH
    lost = _lost_height(patients.fracture)
    collapse = np.degrees(np.arctan2(lost * pitch * (1 - disc_share), depth))
    turn = np.concatenate([_make_up(patients.segments_deg, collapse[:, :_LUMBAR]), kyphosis], 1)
    bodies = []
    for k in range(len(LEVELS)):
        left = 1 - narrowing[:, k]
        in_disc = turn[:, k] * _DISC_WEDGE * left  # a flat disc cannot open like a book
        lower, low_tilt = _climb(middle_mm, tilt, in_disc, pitch[:, k] * disc_share[:, k] * left)
        lower = lower + (slip[:, k] * depth[:, k])[:, None] * direction(low_tilt)
        height = pitch[:, k] * (1 - disc_share[:, k]) * (1 - lost[:, k] / 2)
        wedge = turn[:, k] - in_disc - collapse[:, k]
        middle_mm, tilt = _climb(lower, low_tilt, wedge, height)
        up, low = (depth[:, k, None] / 2 * direction(angle) for angle in (tilt, low_tilt))
        bodies.append(np.stack([middle_mm + up, middle_mm - up, lower - low, lower + low], 1))
    return np.stack(bodies, 1)


def _lost_height(fracture) -> np.ndarray:
    """Share of anterior height that each level has lost, (n, 14)."""
    lost = np.zeros((len(fracture), len(LEVELS)))
    lost[:, [LEVELS.index(name) for name in _FRACTURED]] = fracture
    return lost


def _make_up(segments_deg, collapse_deg) -> np.ndarray:
    """Spread what wedge fractures take over all lumbar segments, before they take it: LL is as stated."""
    return segments_deg + collapse_deg.sum(1, keepdims=True) / _LUMBAR


def _climb(middle_mm, tilt_deg, wedge_deg, height_mm):
    """Climb one disc or body: its upper plate's middle and tilt."""
    upwards = direction(tilt_deg + wedge_deg / 2 + 90)
    return middle_mm + height_mm[:, None] * upwards, tilt_deg + wedge_deg


def _aside(bodies_mm, curve_deg) -> np.ndarray:
    """How far (y) a coronal curve carries each body from the middle plane, (n, 14)."""
    middle = bodies_mm.mean(2)
    rise = np.diff(middle[..., 1], axis=1, prepend=0.0)
    rise[:, 0] = rise[:, 1]
    return np.cumsum(rise * np.sin(np.radians(curve_deg[:, None] * _LEAN)), 1)


def _heads(offset_mm, rng) -> np.ndarray:
    """Place two heads symmetric about the origin; the pelvis is turned a little (n, 2, 3)."""
    turn, drop = np.radians(rng.normal(0, 3.0, (2, len(offset_mm))))
    left = offset_mm[:, None] * np.stack([np.sin(turn), np.cos(turn), np.sin(drop)], -1)
    return np.stack([left, -left], 1)
