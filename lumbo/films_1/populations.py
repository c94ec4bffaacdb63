"""From cohort statistics to patients as numbers: angles, sizes and what has gone wrong.

Everything is built from independent bounded parts: a normal, cut at two limits, whose mean
and SD *after* cutting are the published ones (`bounded`).  Sums of such parts have exactly
the means, SDs and correlations of ``data_synth/films_1/cohorts.toml``, stay inside limits, and
nobody is ever drawn again.  A patient uses one row of random numbers: patient i is the same
however many others are drawn.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from lumbo import store
from lumbo.errors import choice, instance, number, require, whole
from lumbo.rows import Rows

__all__ = [
    "DISCS",
    "SIZES",
    "SWITCHES",
    "Cohort",
    "Patients",
    "draw_mixture",
    "follow_up",
    "PARTS",
    "bounded",
    "spreads",
    "quantile",
    "rank",
    "regressions",
    "statistics",
    "cohort_names",
    "cohort",
]

DISCS = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")
SIZES = ("pelvic_radius", "s1_plate", "body_depth", "disc_share", "body_width", "head_radius", "head_offset",
         "body_half_depth", "body_half_width")  # fmt: skip
SWITCHES = {
    "slip": ("L5", "L4"),
    "narrowing": DISCS,
    "spurs": DISCS,
    "fracture": ("L3", "L2", "L1", "T12"),
    "dome": ("S1",),
    "curve": ("left", "right"),
    "transitional": ("sacralised", "lumbarised"),
}
_INDEPENDENT = ("narrowing", "spurs")  # these may strike several levels of a patient, the others only one
_SHARED = ("segments", "pitch", "follow_up", "sizes")  # the tables of cohorts.toml that are no cohort
_CUT = 2.5  # SDs at which every part but PI and the sizes is cut
_CELLS = 2000  # steps of the distribution function of `bounded`
_ROUNDS = 40  # of Newton's method, which needs about 10


@dataclass(frozen=True)
class Cohort:
    """One population.  `segments` is the table of all where it has no own."""

    name: str
    title: str
    pi: dict
    pt: dict
    ll: dict
    segments: dict
    switches: dict


@dataclass(frozen=True, eq=False, repr=False)
class Patients(Rows):
    """`n` patients as numbers.

    Attributes
    ----------
    cohort : (n,) str
    angles_deg : (n, 4)  anatomical SS, PT, PI, LL; PI = PT + SS.
    segments_deg : (n, 5)  lordosis of L5-S1 ... L1-L2; each row sums to LL.
    pitch_mm : (n, 5)  height of L5 ... L1 with the disc below, before narrowing or fracture.
    sizes_mm : (n, 9)  in the order of `SIZES` (``disc_share`` is a share of the pitch).
    curve_deg : (n,)  coronal Cobb angle of a lumbar curve, convex to the left when positive; 0 where none.
    slip : (n, 2)  share of the plate by which L5, L4 has slid forwards.
    narrowing : (n, 5)  share of disc height lost, L5-S1 ... L1-L2.
    spurs_mm : (n, 5)  length of the anterior osteophytes at that disc.
    fracture : (n, 4)  share of anterior height lost of L3, L2, L1, T12.
    dome_mm : (n,)  height of a domed S1 plate.
    transitional : (n,) int  -1 sacralised L5, 0 none, 1 lumbarised S1.
    """

    cohort: np.ndarray
    angles_deg: np.ndarray
    segments_deg: np.ndarray
    pitch_mm: np.ndarray
    sizes_mm: np.ndarray
    curve_deg: np.ndarray
    slip: np.ndarray
    narrowing: np.ndarray
    spurs_mm: np.ndarray
    fracture: np.ndarray
    dome_mm: np.ndarray
    transitional: np.ndarray

    def size(self, name: str) -> np.ndarray:
        """Return the size called `name`, shape (n,)."""
        return self.sizes_mm[:, SIZES.index(name)]


# ---------------------------------------------------------------- drawing


def draw_mixture(mixture: dict[str, float], n: int, rng: np.random.Generator) -> Patients:
    """Draw `n` patients, each from a cohort that is itself drawn by the shares in `mixture`.

    Raises
    ------
    InputError
        A share that is negative or no number, shares that are all 0, or an unknown cohort.
    """
    n = _number_of_patients(n, rng)
    instance("mixture", mixture, dict, '{"healthy_adults": 1.0}')
    names = np.array([cohort(name).name for name in mixture])
    shares = np.array([number(f"mixture.{name}", share, 0.0, 1e9) for name, share in mixture.items()])
    require(bool(shares.sum() > 0), "mixture", mixture, "at least one share above 0")
    u = rng.random((n, 1 + _WIDTH))
    which = np.searchsorted(np.cumsum(shares) / shares.sum(), u[:, 0], side="right")
    return _patients(names[which], u[:, 1:])


def follow_up(patients: Patients, rng: np.random.Generator) -> Patients:
    """Take the same patients on another day: a new posture of the same pelvis.

    PI, sizes and switches stay.  What PT and LL have beyond their regressions is correlated
    between the visits (as normal scores), and the statistics of the cohort stay what they are.
    """
    instance("patients", patients, Patients)
    instance("rng", rng, np.random.Generator)
    same = statistics()["follow_up"]["correlation"]
    fresh = np.sqrt(1 - same**2) * rng.standard_normal((len(patients), 2))
    angles, segments = patients.angles_deg.copy(), patients.segments_deg.copy()
    for name in np.unique(patients.cohort):
        rows = patients.cohort == name
        ranks = _ranks(str(name), angles[rows])
        ranks[:, 1:] = rank(_normal(), same * quantile(_normal(), ranks[:, 1:]) + fresh[rows])
        angles[rows] = _angles(str(name), ranks, angles[rows, 2])
        segments[rows] = _split(str(name), angles[rows, 2], angles[rows, 3], segments[rows])
    return Patients(**{**vars(patients), "angles_deg": angles, "segments_deg": segments})


def _number_of_patients(n: int, rng: np.random.Generator) -> int:
    instance("rng", rng, np.random.Generator, "numpy.random.default_rng(0)")
    return whole("n", n, 0, 10_000_000)


def _patients(names: np.ndarray, u: np.ndarray) -> Patients:
    """Turn rows of uniform numbers (n, _WIDTH) into patients of the cohorts named."""
    parts = dict(zip(PARTS, np.split(u, np.cumsum(list(PARTS.values()))[:-1], axis=1)))
    angles, segments = np.empty((len(u), 4)), np.empty((len(u), 5))
    struck = {name: np.zeros((len(u), len(columns))) for name, columns in SWITCHES.items()}
    for name in np.unique(names):
        rows, who = names == name, str(name)
        angles[rows] = _angles(who, parts["angles"][rows])
        pi, ll = angles[rows, 2], angles[rows, 3]
        segments[rows] = _split(who, pi, ll, _free_segments(who, pi, parts["segments"][rows]))
        for switch in SWITCHES:
            struck[switch][rows] = _strike(who, switch, parts[switch][rows])
    return Patients(
        cohort=names,
        angles_deg=angles,
        segments_deg=segments,
        pitch_mm=_pitch(parts["pitch"]),
        sizes_mm=_sizes(parts["sizes"]),
        curve_deg=struck["curve"][:, 0] - struck["curve"][:, 1],
        slip=struck["slip"],
        narrowing=struck["narrowing"],
        spurs_mm=struck["spurs"],
        fracture=struck["fracture"],
        dome_mm=struck["dome"][:, 0],
        transitional=(struck["transitional"][:, 1] - struck["transitional"][:, 0]).astype(int),
    )


# How many random numbers a patient uses, in this order; of a switch, as many to decide whether as how much.
PARTS = {"angles": 3, "segments": 5, "pitch": 5, "sizes": len(SIZES)}
PARTS |= {name: 2 * len(columns) for name, columns in SWITCHES.items()}
_WIDTH = sum(PARTS.values())


# ---------------------------------------------------------------- bounded parts


@cache
def bounded(mean: float, sd: float, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the normal, cut at `low` and `high`, that has this mean and SD after cutting.

    Where the SD is as large as the distance to a limit, no normal has it; the family goes on
    with b ≥ 0 (below), for a wide spread of curves the nearly exponential one.

    Returns
    -------
    edges, cdf : (2001,)  the distribution function at the edges of equal cells.

    Notes
    -----
    The density is exp(a z + b z²) in z = (x - mean) / sd.  The a and b for which E[z] = 0 and
    E[z²] = 1 are the lowest point of a convex function, log E[exp] less its target; Newton's
    method finds it, with a shorter step where a full one would climb.

    Raises
    ------
    InputError
        An SD too wide for these limits (the law would pile up at them) or too narrow for the cells.
    """
    number("sd", sd, *spreads(mean, low, high))
    edges = np.linspace(low, high, _CELLS + 1)
    z = ((edges[1:] + edges[:-1]) / 2 - mean) / sd
    powers = np.stack([z, z**2])
    target = np.array([0.0, 1.0 - ((high - low) / _CELLS / sd) ** 2 / 12])  # a cell has a variance of its own
    slope, weight, height = _tilt(np.array([0.0, -0.5]), powers, target)
    for _ in range(_ROUNDS):
        miss = target - powers @ weight
        if abs(miss).max() < 1e-12:
            break
        step = np.linalg.solve(np.cov(powers, aweights=weight, ddof=0), miss)
        before, (slope, weight, height) = height, _tilt(slope + step, powers, target)
        while height > before + 1e-9 and abs(step).max() > 1e-9:
            step /= 2
            slope, weight, height = _tilt(slope - step, powers, target)
    cdf = np.append(0.0, np.cumsum(weight))
    return edges, cdf / cdf[-1]


def spreads(mean: float, low: float, high: float) -> tuple[float, float]:
    """Give the least and the largest SD that `bounded` allows; a level law has about the largest."""
    return (high - low) / 200, 0.57 * float(np.sqrt(max(0.0, (mean - low) * (high - mean))))


def _tilt(slope, powers, target):
    """The weights that `slope` gives to the cells, and how high above the goal they lie."""
    exponent = slope @ powers
    weight = np.exp(exponent - exponent.max())
    return slope, weight / weight.sum(), np.log(weight.sum()) + exponent.max() - slope @ target


def quantile(law: tuple[np.ndarray, np.ndarray], u: np.ndarray) -> np.ndarray:
    """Give the value that a share `u` of the draws from a `bounded` law lies below."""
    return np.interp(u, law[1], law[0])


def rank(law: tuple[np.ndarray, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Give the share of draws from a `bounded` law that lies below `x`."""
    return np.interp(x, law[0], law[1])


def _law(spec: dict) -> tuple[np.ndarray, np.ndarray]:
    return bounded(spec["mean"], spec["sd"], spec["low"], spec["high"])


def _rest() -> tuple[np.ndarray, np.ndarray]:
    """The part with mean 0 and SD 1."""
    return bounded(0.0, 1.0, -_CUT, _CUT)


def _normal() -> tuple[np.ndarray, np.ndarray]:
    """The standard normal, as good as uncut."""
    return bounded(0.0, 1.0, -8.0, 8.0)


# ---------------------------------------------------------------- angles


def regressions(who: Cohort) -> tuple[np.ndarray, float, float]:
    """Turn means, SDs and correlations into slopes.

    Returns
    -------
    slopes : (3,)  of PT on PI, of LL on PI, of LL on PT, degrees per degree.
    pt_rest, ll_rest : SD of what is left of PT and LL, degrees.
    """
    s_pi, s_pt, s_ll = who.pi["sd"], who.pt["sd"], who.ll["sd"]
    r_pt, r_ll, r_both = who.pt["r_pi"], who.ll["r_pi"], who.ll["r_pt"]
    on_pi, on_pt = (r_ll - r_both * r_pt) / (1 - r_pt**2), (r_both - r_ll * r_pt) / (1 - r_pt**2)
    left = 1 - on_pi * r_ll - on_pt * r_both
    require(left > 0, f"{who.name}.ll.r_pt", r_both, "correlations that can occur together")
    slopes = np.array([r_pt * s_pt / s_pi, on_pi * s_ll / s_pi, on_pt * s_ll / s_pt])
    return slopes, s_pt * np.sqrt(1 - r_pt**2), s_ll * np.sqrt(left)


def _angles(name: str, u: np.ndarray, pi=None) -> np.ndarray:
    """SS, PT, PI, LL (n, 4) from the ranks (n, 3) of PI and of what is left of PT and LL; `pi` overrules."""
    return _posture(cohort(name), u, quantile(_law(cohort(name).pi), u[:, 0]) if pi is None else pi)


def _posture(who: Cohort, u: np.ndarray, pi: np.ndarray) -> np.ndarray:
    (pt_pi, ll_pi, ll_pt), pt_rest, ll_rest = regressions(who)
    z = quantile(_rest(), u[:, 1:])
    pt = who.pt["mean"] + pt_pi * (pi - who.pi["mean"]) + pt_rest * z[:, 0]
    ll = who.ll["mean"] + ll_pi * (pi - who.pi["mean"]) + ll_pt * (pt - who.pt["mean"]) + ll_rest * z[:, 1]
    return np.stack([pi - pt, pt, pi, ll], -1)


def _ranks(name: str, angles_deg: np.ndarray) -> np.ndarray:
    """Undo `_angles`: the ranks (n, 3); a patient outside the law gets 0 or 1."""
    who, (_, pt, pi, ll) = cohort(name), angles_deg.T
    (pt_pi, ll_pi, ll_pt), pt_rest, ll_rest = regressions(who)
    far = pi - who.pi["mean"]
    z_pt = (pt - who.pt["mean"] - pt_pi * far) / pt_rest
    z_ll = (ll - who.ll["mean"] - ll_pi * far - ll_pt * (pt - who.pt["mean"])) / ll_rest
    return np.stack([rank(_law(who.pi), pi), rank(_rest(), z_pt), rank(_rest(), z_ll)], -1)


def _segment_law(name: str, pi_deg) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD (n, 5) of the segments at this PI."""
    table = cohort(name).segments
    row = np.searchsorted(table["pi_classes"], pi_deg)
    return np.array(table["mean"])[row], np.array(table["sd"])[row]


def _free_segments(name: str, pi_deg, u: np.ndarray) -> np.ndarray:
    mean, sd = _segment_law(name, pi_deg)
    return mean + sd * quantile(_rest(), u)


def _split(name: str, pi_deg, ll_deg, segments_deg: np.ndarray) -> np.ndarray:
    """Change segments until they sum to LL, each in proportion to its variance."""
    variance = _segment_law(name, pi_deg)[1] ** 2
    share = variance / variance.sum(1, keepdims=True)
    return segments_deg + share * (ll_deg - segments_deg.sum(1))[:, None]


# ---------------------------------------------------------------- sizes and switches


def _sizes(u: np.ndarray) -> np.ndarray:
    table = statistics()["sizes"]
    return np.stack([quantile(_law(table[name]), column) for name, column in zip(SIZES, u.T)], -1)


def _pitch(u: np.ndarray) -> np.ndarray:
    """Pitch of L5 ... L1 (n, 5): independent parts mixed by a root of the correlation matrix."""
    table = statistics()["pitch"]
    mixed = quantile(_rest(), u) @ np.linalg.cholesky(np.array(table["r"])).T
    return np.array(table["mean"]) + np.array(table["sd"]) * mixed


def _strike(name: str, switch: str, u: np.ndarray) -> np.ndarray:
    """Amount of a switch in each of its columns (n, k): 0 where it spares the patient."""
    spec = cohort(name).switches[switch]
    rate, (whether, amount) = np.array(spec["rate"]), np.split(u, 2, axis=1)
    if switch in _INDEPENDENT:
        on = whether < rate
    else:  # one number decides which column, if any
        upper = np.cumsum(rate)
        on = (whether[:, :1] < upper) & (whether[:, :1] >= upper - rate)
    return np.where(on, quantile(_law(spec), amount) if "mean" in spec else 1.0, 0.0)


# ---------------------------------------------------------------- statistics


@cache
def statistics() -> dict:
    """Read ``data_synth/films_1/cohorts.toml``."""
    return store.read_toml(files("data_synth").joinpath("films_1", "cohorts.toml"))


def cohort_names() -> list[str]:
    """List the cohorts in ``data_synth/films_1/cohorts.toml``."""
    return [name for name in statistics() if name not in _SHARED]


def cohort(name: str) -> Cohort:
    """Return the cohort called `name`, or raise `InputError` with the names there are."""
    known, table = choice("cohort", name, cohort_names()), statistics()
    return Cohort(known, **{"segments": table["segments"], **table[known]})
