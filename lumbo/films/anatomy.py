"""From patients as numbers to spines and pelves in millimetres.  Taught in spine_to_film.

Patient frame: x anterior, y left, z up, in millimetres; the origin is the hip axis.  The sagittal contours lie
in (x, z), as if nobody were turned: there SS, PT, PI and LL are exactly those of the patient.  How each part is
turned from that plane stands beside it: the pelvis with the sacrum as one piece (`pelvis_deg`), and each vertebra
where the column is curved or twisted (`aside_mm`, `lean_deg`, `twist_deg`).  `landmarks_mm` are turned with them.
"""

from dataclasses import dataclass

import numpy as np

from lumbo import angles
from lumbo.errors import instance, require
from lumbo.films.populations import Patients, statistics
from lumbo.films.variety import Variety
from lumbo.rows import Rows

__all__ = [
    "LEVELS",
    "Spines",
    "spines",
    "film_frame",
    "anatomical_angles",
    "direction",
    "in_space",
    "turned",
    "down",
]

LEVELS = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7", "T6", "T5", "T4")
_LUMBAR = 5  # the first five of LEVELS
_THORACIC = len(LEVELS) - _LUMBAR
# Above L1 each level is a share of the lumbar ones; working values, no landmark depends on them.
_PITCH = np.array([0.92, 0.86, 0.81, 0.78, 0.75, 0.72, 0.70, 0.68, 0.66])  # of the pitch of L1
_DEPTH = np.array([0.91, 0.88, 0.86, 0.84, 0.82, 0.80, 0.78, 0.76, 0.74])  # of the depth of L3
_DISC = np.array([0.8, 0.65] + [0.55] * 7)  # of the share of the pitch that a lumbar disc takes
_KYPHOSIS = -np.array([0.5, 2.5, 3.0, 3.5, 4.0, 4.5, 4.5, 4.5, 4.0])  # T12-L1 and up, degrees a segment
# Lordosis of the segments L5-S1 to L1-L2 on the 26 films from which the mean wedges of variety.toml come, degrees.
_SEGMENTS = np.array([16.9, 12.4, 12.4, 5.6, 0.6])
_RUDIMENT = 0.7  # share of its height that the disc under a sacralised L5 lacks
_FRACTURED = ("L3", "L2", "L1", "T12")  # the columns of `Patients.fracture`
# How far each level leans of a coronal curve of 1 degree: L4 and T11 are its end vertebrae, L1-L2 its apex.
_LEAN = np.array([0.30, 0.50, 0.34, 0.12, -0.12, -0.34, -0.50, -0.42, -0.3, -0.2, -0.12, -0.06, 0.0, 0.0])
_TWIST = 0.4  # degrees of axial rotation at the apex for each degree of the curve
# What is left at each level of the pelvis's turn towards the tube: the column turns back above it.
_FOLLOWS = np.linspace(0.9, 0.0, len(LEVELS))


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
    pelvis_deg : (n, 2)  how far the pelvis is turned with its front to the left (+), and drops on its left (+).
    heads_mm : (n, 2, 3)  left and right femoral-head centre, turned; their midpoint is the origin.
    """

    patients: Patients
    s1_mm: np.ndarray
    bodies_mm: np.ndarray
    aside_mm: np.ndarray
    lean_deg: np.ndarray
    twist_deg: np.ndarray
    pelvis_deg: np.ndarray
    heads_mm: np.ndarray

    @property
    def corners_mm(self) -> np.ndarray:
        """Corners of the bodies in space, twisted, each in its own middle plane: (n, 14, 4, 3)."""
        middle = self.bodies_mm.mean(2, keepdims=True)
        ahead, up = np.moveaxis(self.bodies_mm - middle, -1, 0)
        twist = np.radians(self.twist_deg[..., None])
        flat = middle + np.stack([ahead * np.cos(twist), up], -1)
        return in_space(flat, self.aside_mm[..., None] + ahead * np.sin(twist))

    @property
    def landmarks_mm(self) -> np.ndarray:
        """The landmarks in space, shape (n, 6, 3), in the order of `angles.LANDMARKS`."""
        upper = self.corners_mm[:, LEVELS.index("L1"), :2]
        return np.concatenate([turned(in_space(self.s1_mm), self.pelvis_deg), upper, self.heads_mm], axis=1)


def spines(patients: Patients, vary: Variety) -> Spines:
    """Build spines that have exactly the angles of `patients`.

    Raises
    ------
    InputError
        |SS| of 90 degrees or more, or PI that is not PT + SS.
    """
    instance("patients", patients, Patients)
    instance("vary", vary, Variety)
    ss, pt, pi, _ = patients.angles_deg.T
    require(
        bool((abs(ss) < 90).all()), "angles_deg.SS", float(abs(ss).max(initial=0)), "|SS| below 90 degrees"
    )
    require(np.allclose(pi, pt + ss, atol=1e-6), "angles_deg.PI", "not PT + SS", "PI = PT + SS")
    n = len(patients)
    middle = patients.size("pelvic_radius")[:, None] * direction(90 + pt)
    plate = patients.size("body_depth") * patients.size("s1_share")
    half = plate[:, None] / 2 * direction(-ss)
    bodies = _column(middle, patients, vary)
    pelvis = np.stack([vary("field.turn", n), vary("field.drop", n)], -1)
    offset = patients.size("head_offset")[:, None] * np.array([1.0, -1.0])
    heads = np.stack([0 * offset, offset, 0 * offset], -1)
    turn = vary("column.twist", n, len(LEVELS)) + pelvis[:, :1] * _FOLLOWS
    return Spines(
        patients=patients,
        s1_mm=np.stack([middle + half, middle - half], 1),
        bodies_mm=bodies,
        aside_mm=_aside(bodies, patients.curve_deg),
        lean_deg=patients.curve_deg[:, None] * _LEAN + vary("column.lean", n, len(LEVELS)),
        twist_deg=patients.curve_deg[:, None] * _TWIST * np.cos(np.pi * _LEAN) * (_LEAN != 0) + turn,
        pelvis_deg=pelvis,
        heads_mm=turned(heads, pelvis),
    )


def film_frame(landmarks_mm: np.ndarray) -> np.ndarray:
    """Drop y and point z down: landmarks in space (..., 3) to a lateral view facing right (..., 2)."""
    return np.stack([landmarks_mm[..., 0], -landmarks_mm[..., 2]], -1)


def anatomical_angles(spines: Spines) -> np.ndarray:
    """Measure SS, PT, PI, LL in the patient's own sagittal plane, as if nobody were turned: (n, 4), degrees."""
    l1 = LEVELS.index("L1")
    plates = in_space(np.concatenate([spines.s1_mm, spines.bodies_mm[:, l1, :2]], 1))
    return angles.lumbopelvic_angles(
        film_frame(np.concatenate([plates, spines.heads_mm], 1)), anterior="right"
    )


def direction(degrees) -> np.ndarray:
    """Unit vector (x, z) at an angle above the anterior horizontal."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1)


def in_space(points_mm: np.ndarray, y_mm=0.0) -> np.ndarray:
    """Put (x, z) points at depth y: (..., 2) to (..., 3)."""
    return np.stack(np.broadcast_arrays(points_mm[..., 0], y_mm, points_mm[..., 1]), -1)


def turned(points_mm: np.ndarray, pelvis_deg: np.ndarray) -> np.ndarray:
    """Turn points (n, ..., 3) about the hip axis's middle: the front to the left, then the left side down.

    pelvis_deg : (n, 2), as in `Spines`
    """
    about, drop = (
        np.radians(pelvis_deg)
        .reshape(-1, *[1] * (points_mm.ndim - 2), 2)
        .transpose(-1, *range(points_mm.ndim - 1))
    )
    x, y, z = np.moveaxis(points_mm, -1, 0)
    x, y = x * np.cos(about) - y * np.sin(about), x * np.sin(about) + y * np.cos(about)
    return np.stack([x, y * np.cos(drop) + z * np.sin(drop), z * np.cos(drop) - y * np.sin(drop)], -1)


def down(plate_mm: np.ndarray) -> np.ndarray:
    """Unit vector from a plate (n, ..., 2, 2) into the body below it."""
    along = plate_mm[..., 0, :] - plate_mm[..., 1, :]
    return np.stack([along[..., 1], -along[..., 0]], -1) / np.linalg.norm(along, axis=-1, keepdims=True)


def _column(middle_mm, patients, vary) -> np.ndarray:
    """Stack bodies on the middle of the S1 plate: corners (n, 14, 4, 2)."""
    tilt = -patients.angles_deg[:, 0]
    depth = _depths(patients, vary)  # (n, 14, 2) of the upper and the lower plate
    pitch = np.concatenate([patients.pitch_mm, patients.pitch_mm[:, -1:] * _PITCH], 1)
    disc, body = _heights(pitch, patients, vary)
    lost = _lost_height(patients.fracture)
    collapse = np.degrees(np.arctan2(lost * body, depth.mean(2)))
    in_body, in_disc = _turns(patients, collapse[:, :_LUMBAR], disc, vary)
    slide = _slides(patients, vary) * depth[..., 1]
    bodies = []
    for k in range(len(LEVELS)):
        lower, low_tilt = _climb(middle_mm, tilt, in_disc[:, k], disc[:, k])
        lower = lower + slide[:, k, None] * direction(low_tilt)
        height = body[:, k] * (1 - lost[:, k] / 2)
        middle_mm, tilt = _climb(lower, low_tilt, in_body[:, k] - collapse[:, k], height)
        up = depth[:, k, :1] / 2 * direction(tilt)
        low = depth[:, k, 1:] / 2 * direction(low_tilt)
        bodies.append(np.stack([middle_mm + up, middle_mm - up, lower - low, lower + low], 1))
    return np.stack(bodies, 1)


def _depths(patients, vary):
    """Depth of the upper and the lower plate of each body, millimetres (n, 14, 2)."""
    n = len(patients)
    mean = np.concatenate([vary("body.upper_depth", n, _LUMBAR), np.ones((n, 1)) * _DEPTH], 1)
    lower = mean * vary("body.lower_over_upper", n, len(LEVELS))
    return patients.size("body_depth")[:, None, None] * np.stack([mean, lower], -1)


def _heights(pitch, patients, vary):
    """Height of the disc under each body and of the body, in their middle, millimetres (n, 14) each."""
    n = len(pitch)
    share = np.concatenate([vary("disc.share", n, _LUMBAR), vary("disc.share", n, 5)[:, -1:] * _DISC], 1)
    share = share * patients.size("disc_share")[:, None] / statistics()["sizes"]["disc_share"]["mean"]
    left = 1 - np.concatenate([patients.narrowing, np.zeros((n, _THORACIC))], 1)
    left[:, 0] = np.minimum(left[:, 0], 1 - _RUDIMENT * (patients.transitional == -1))
    return pitch * share * left, pitch * (1 - share)


def _turns(patients, collapse, disc, vary):
    """How many degrees each body and the disc under it turn the column, (n, 14) each.

    The five segments, body and disc together, are those of the patient.  What a body takes of its segment is its
    own: the wedge of its level, its share of what the segment has beyond the mean, and its spreads.
    """
    n = len(patients)
    segments = _make_up(patients.segments_deg, collapse)
    mean = vary("body.wedge", n, _LUMBAR)
    body = mean + vary("body.wedge_of_segment", n)[:, None] * (segments - _SEGMENTS)
    open_ = np.degrees(2 * np.arctan2(disc[:, :_LUMBAR], patients.size("body_depth")[:, None]))
    body = body.clip(segments - 0.75 * open_, segments + 0.45 * open_)  # a disc closes until its plates touch
    zero = np.zeros((n, _THORACIC))
    kyphosis = zero + _KYPHOSIS * vary("column.kyphosis", n)[:, None]
    wedge = np.concatenate([body, 0.7 * kyphosis], 1)
    return wedge, np.concatenate([segments - body, 0.3 * kyphosis], 1)


def _slides(patients, vary):
    """By which share of the plate below each body stands forwards: slips, backwards too, and small steps."""
    n = len(patients)
    back = vary("column.backwards", n)[:, None] > 0
    slips = np.where(back, -0.5, 1.0) * patients.slip
    steps = np.pad(vary("column.step", n, _LUMBAR) / 100, ((0, 0), (0, _THORACIC)))
    return steps + np.pad(slips, ((0, 0), (0, len(LEVELS) - 2)))


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
