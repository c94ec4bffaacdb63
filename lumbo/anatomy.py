"""From cohort statistics to spines and pelves in millimetres.  Taught in ch04.

Patient frame: x anterior, y left, z up, in millimetres; the origin is the hip axis.
Everything but the femoral heads and the paired shapes lies in the plane y = 0.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from lumbo import angles, store
from lumbo.errors import fields, number, require

LEVELS = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7", "T6")
# Pitch and depth of each level relative to the lumbar values of cohorts.toml; disc share likewise.
_PITCH = np.array([1.0, 1.01, 1.0, 0.97, 0.95, 0.88, 0.82, 0.78, 0.75, 0.72, 0.70, 0.68])
_DEPTH = np.array([1.0, 1.0, 0.99, 0.97, 0.95, 0.91, 0.88, 0.86, 0.84, 0.82, 0.80, 0.78])
_DISC = np.array([1.0] * 5 + [0.8, 0.65] + [0.55] * 5)
_DISC_WEDGE = 0.6  # share of a lumbar segment's lordosis that its disc takes
_SEGMENTS = ["L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2"]
_SHARED = ("segments", "sizes")  # the tables of cohorts.toml that are no cohort
_SIZES = {"pelvic_radius", "s1_plate", "body_depth", "body_pitch", "disc_share", "body_width", "head_radius",
          "head_offset", "body_half_depth", "body_half_width"}  # fmt: skip
_KYPHOSIS = -np.array([0.5, 2.5, 3.0, 3.5, 4.0, 4.5, 4.5])  # T12-L1 and up, degrees a segment


@dataclass(frozen=True)
class Cohort:
    """Angle statistics of one population, in degrees; see ``data_synth/cohorts.toml``."""

    name: str
    title: str
    pi: dict
    pt: dict
    ll: dict
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Spines:
    """`n` patients in the patient frame, millimetres.

    Attributes
    ----------
    angles_deg : (n, 4)  anatomical SS, PT, PI, LL.
    s1_mm : (n, 2, 2)  anterior and posterior corner of the S1 plate, (x, z).
    bodies_mm : (n, 12, 4, 2)  corners of L5 and upwards: superior anterior, superior
        posterior, inferior posterior, inferior anterior, (x, z).
    heads_mm : (n, 2, 3)  left and right femoral-head centre; their midpoint is the origin.
    head_radius_mm, body_width_mm, half_depth_mm, half_width_mm : (n,)
    """

    angles_deg: np.ndarray
    s1_mm: np.ndarray
    bodies_mm: np.ndarray
    heads_mm: np.ndarray
    head_radius_mm: np.ndarray
    body_width_mm: np.ndarray
    half_depth_mm: np.ndarray
    half_width_mm: np.ndarray

    @property
    def landmarks_mm(self) -> np.ndarray:
        """The landmarks in space, shape (n, 6, 3), in the order of `angles.LANDMARKS`."""
        l1 = self.bodies_mm[:, LEVELS.index("L1"), :2]
        plates = np.concatenate([self.s1_mm, l1], axis=1)
        plates = np.stack([plates[..., 0], np.zeros(plates.shape[:2]), plates[..., 1]], -1)
        return np.concatenate([plates, self.heads_mm], axis=1)


@cache
def statistics() -> dict:
    """Read and check ``data_synth/cohorts.toml``."""
    return check_statistics(store.read_toml(files("data_synth").joinpath("cohorts.toml")))


def check_statistics(table: dict) -> dict:
    """Return the statistics if every number is possible, else raise `InputError` naming the field."""
    for name in _SHARED:
        require(name in table, name, None, "this table is needed")
    fields("sizes", table["sizes"], _SIZES)
    _check_segments(table["segments"])
    for name, sizes in table["sizes"].items():
        fields(f"sizes.{name}", sizes, {"mean", "sd", "low", "high", "source"})
        _check_spread(f"sizes.{name}", sizes, 0.0, 400.0)
    for name in cohort_names(table):
        cohort = fields(name, table[name], {"title", "pi", "pt", "ll", "sources"})
        fields(f"{name}.pi", cohort["pi"], {"mean", "sd", "low", "high"})
        _check_spread(f"{name}.pi", cohort["pi"], 10.0, 130.0)
        fields(f"{name}.pt", cohort["pt"], {"at_mean_pi", "slope", "sd"})
        fields(f"{name}.ll", cohort["ll"], {"intercept", "slope", "sd"})
        number(f"{name}.pt.at_mean_pi", cohort["pt"]["at_mean_pi"], -20.0, 50.0)
        number(f"{name}.ll.intercept", cohort["ll"]["intercept"], -60.0, 80.0)
        for angle in ("pt", "ll"):
            number(f"{name}.{angle}.slope", cohort[angle]["slope"], -2.0, 2.0)
            number(f"{name}.{angle}.sd", cohort[angle]["sd"], 0.0, 40.0)
        sources = cohort["sources"]
        texts = isinstance(sources, list) and bool(sources) and all(isinstance(s, str) for s in sources)
        require(texts, f"{name}.sources", sources, "at least one source, each a text")
    return table


def cohort_names(table: dict | None = None) -> list[str]:
    """List the cohorts in ``data_synth/cohorts.toml``."""
    return [name for name in table or statistics() if name not in _SHARED]


def cohort(name: str) -> Cohort:
    """Return the cohort called `name`, or raise `InputError` with the names there are."""
    require(name in cohort_names(), "cohort", name, f"one of {', '.join(cohort_names())}")
    return Cohort(name, **statistics()[name])


def draw_angles(who: Cohort, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw anatomical SS, PT, PI, LL of `n` patients, shape (n, 4), degrees."""
    pi = _truncated_normal(who.pi, n, rng)
    pt = who.pt["at_mean_pi"] + who.pt["slope"] * (pi - who.pi["mean"]) + rng.normal(0, who.pt["sd"], n)
    ll = who.ll["intercept"] + who.ll["slope"] * pi + rng.normal(0, who.ll["sd"], n)
    return np.stack([pi - pt, pt, pi, ll], -1)


def spines(angles_deg: np.ndarray, rng: np.random.Generator) -> Spines:
    """Build spines that have exactly the given angles.

    Parameters
    ----------
    angles_deg : (n, 4)  SS, PT, PI, LL with PI = PT + SS, for example from `draw_angles`.
    rng : draws everything else: sizes, segmental lordosis, tilt of the pelvis.

    Raises
    ------
    InputError
        Wrong shape, |SS| of 90 degrees or more, or PI that is not PT + SS.
    """
    angles_deg = np.asarray(angles_deg, dtype=np.float64)
    require(angles_deg.ndim == 2 and angles_deg.shape[1] == 4, "angles_deg", angles_deg.shape, "shape (n, 4)")
    ss, pt, pi, ll = angles_deg.T
    require(bool((abs(ss) < 90).all()), "angles_deg.SS", float(abs(ss).max()), "|SS| below 90 degrees")
    require(np.allclose(pi, pt + ss, atol=1e-6), "angles_deg.PI", "not PT + SS", "PI = PT + SS")
    size = {name: _truncated_normal(spec, len(ss), rng) for name, spec in statistics()["sizes"].items()}

    s1_middle = size["pelvic_radius"][:, None] * _direction(90 + pt)
    s1_half = size["s1_plate"][:, None] / 2 * _direction(-ss)
    s1 = np.stack([s1_middle + s1_half, s1_middle - s1_half], 1)
    segments = segment_lordosis(pi, ll, rng)
    return Spines(
        angles_deg=angles_deg,
        s1_mm=s1,
        bodies_mm=_column(s1_middle, -ss, segments, size),
        heads_mm=_heads(size["head_offset"], rng),
        head_radius_mm=size["head_radius"],
        body_width_mm=size["body_width"],
        half_depth_mm=size["body_half_depth"],
        half_width_mm=size["body_half_width"],
    )


def film_frame(landmarks_mm: np.ndarray) -> np.ndarray:
    """Drop y and point z down: landmarks in space (..., 3) to a lateral view facing right (..., 2)."""
    return np.stack([landmarks_mm[..., 0], -landmarks_mm[..., 2]], -1)


def anatomical_angles(patients: Spines) -> np.ndarray:
    """Measure SS, PT, PI, LL on the landmarks in space, shape (n, 4), degrees."""
    return angles.lumbopelvic_angles(film_frame(patients.landmarks_mm), anterior="right")


def segment_lordosis(pi_deg: np.ndarray, ll_deg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split LL over L5-S1 ... L1-L2, shape (n, 5), degrees; each row sums to LL.

    The segments are independent normals of the patient's PI class, conditioned on
    their sum: each takes the part of the surplus that its variance is of the whole.
    """
    table = statistics()["segments"]
    row = np.searchsorted(table["pi_classes"], pi_deg)
    mean, sd = np.array(table["mean"])[row], np.array(table["sd"])[row]
    free = rng.normal(mean, sd)
    share = sd**2 / (sd**2).sum(1, keepdims=True)
    return free + share * (ll_deg - free.sum(1))[:, None]


def _column(start_mm, tilt_deg, segments, size) -> np.ndarray:
    """Stack bodies on the S1 plate: corners (n, 12, 4, 2) from plate middle and tilt."""
    thoracic = np.broadcast_to(_KYPHOSIS, (len(tilt_deg), len(_KYPHOSIS)))
    bodies, middle, tilt = [], start_mm, tilt_deg
    for level, turn in enumerate(np.concatenate([segments, thoracic], 1).T):
        pitch, disc = size["body_pitch"] * _PITCH[level], size["disc_share"] * _DISC[level]
        half_depth = size["body_depth"][:, None] / 2 * _DEPTH[level]
        lower, low_tilt = _stack(middle, tilt, turn * _DISC_WEDGE, pitch * disc)
        upper, up_tilt = _stack(lower, low_tilt, turn * (1 - _DISC_WEDGE), pitch * (1 - disc))
        up, low = half_depth * _direction(up_tilt), half_depth * _direction(low_tilt)
        bodies.append(np.stack([upper + up, upper - up, lower - low, lower + low], 1))
        middle, tilt = upper, up_tilt
    return np.stack(bodies, 1)


def _stack(middle_mm, tilt_deg, wedge_deg, height_mm):
    """Climb one disc or body: its upper plate's middle and tilt."""
    upwards = _direction(tilt_deg + wedge_deg / 2 + 90)
    return middle_mm + height_mm[:, None] * upwards, tilt_deg + wedge_deg


def _heads(offset_mm, rng) -> np.ndarray:
    """Place two heads symmetric about the origin; the pelvis is turned a little (n, 2, 3)."""
    turn, drop = np.radians(rng.normal(0, 3.0, (2, len(offset_mm))))
    left = offset_mm[:, None] * np.stack([np.sin(turn), np.cos(turn), np.sin(drop)], -1)
    return np.stack([left, -left], 1)


def _direction(degrees) -> np.ndarray:
    """Unit vector (x, z) at an angle above the anterior horizontal."""
    return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], -1)


def _truncated_normal(spec: dict, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal cut at `low` and `high`, by redrawing what falls outside."""
    values = rng.normal(spec["mean"], spec["sd"], n)
    while (outside := (values < spec["low"]) | (values > spec["high"])).any():
        values[outside] = rng.normal(spec["mean"], spec["sd"], outside.sum())
    return values


def _check_spread(field: str, spec: dict, low: float, high: float) -> None:
    number(f"{field}.mean", spec["mean"], low, high)
    number(f"{field}.low", spec["low"], low, spec["mean"])
    number(f"{field}.high", spec["high"], spec["mean"], high)
    number(f"{field}.sd", spec["sd"], 0.0, min(spec["mean"], spec["high"] - spec["low"]))


def _check_segments(table: dict) -> None:
    """Check that the mean and SD of each segment are there for each PI class."""
    fields("segments", table, {"names", "pi_classes", "mean", "sd"})
    require(table["names"] == _SEGMENTS, "segments.names", table["names"], f"{_SEGMENTS}")
    for key in ("pi_classes", "mean", "sd"):
        require(isinstance(table[key], list), f"segments.{key}", table[key], "a list")
    limits = [number("segments.pi_classes", limit, 0.0, 180.0) for limit in table["pi_classes"]]
    require(limits == sorted(limits), "segments.pi_classes", limits, "ascending limits")
    for key, low, high in (("mean", -30.0, 60.0), ("sd", 0.1, 30.0)):
        shape = [len(row) if isinstance(row, list) else 0 for row in table[key]]
        require(
            shape == [5] * (len(limits) + 1), f"segments.{key}", table[key], "a row of five for each PI class"
        )
        for value in sum(table[key], []):
            number(f"segments.{key}", value, low, high)
