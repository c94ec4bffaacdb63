"""From cohort statistics to patients as numbers: angles, sizes and what has gone wrong.  Taught in population.

Everything is built from independent bounded parts: a normal, cut at two limits, whose mean
and SD *after* cutting are the published ones (`bounded`).  Sums of such parts have exactly
the means, SDs and correlations of ``data_synth/cohorts.toml``, stay inside limits that can be
checked beforehand, and nobody is ever drawn again.  A patient uses one row of random
numbers: patient i is the same however many others are drawn.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from lumbo import store
from lumbo.errors import array, choice, fields, instance, number, require, text, whole
from lumbo.rows import Rows

__all__ = [
    "ANGLES",
    "DISCS",
    "SIZES",
    "SWITCHES",
    "Cohort",
    "Patients",
    "draw",
    "draw_mixture",
    "with_angles",
    "follow_up",
    "growth",
    "segment_lordosis",
    "PARTS",
    "bounded",
    "spreads",
    "quantile",
    "rank",
    "regressions",
    "statistics",
    "cohort_names",
    "cohort",
    "check_statistics",
]

ANGLES = ("SS", "PT", "PI", "LL")
DISCS = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")
SIZES = ("pelvic_radius", "s1_share", "body_depth", "disc_share", "body_width", "head_radius", "head_offset",
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
_INTERVAL_YEARS = 1.0  # between two films of one patient
_GROWN_YEARS = 18.0
_SHARES = ("disc_share", "s1_share")  # the sizes that do not grow
# Standing height over an adult's at some ages, both sexes: 50th centiles of the CDC growth charts of 2000, rounded.
_AGES, _HEIGHTS = (
    (2.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0),
    (0.51, 0.68, 0.75, 0.815, 0.885, 0.955, 0.99, 1.0),
)
_POSSIBLE = {"SS": (-20.0, 89.0), "PT": (-40.0, 65.0), "LL": (-60.0, 130.0)}  # what a draw may reach


@dataclass(frozen=True)
class Cohort:
    """One population; see ``data_synth/cohorts.toml``.  `segments` is the book's table where it has no own."""

    name: str
    title: str
    age: dict
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
    age_years : (n,)
    sizes_mm : (n, 9)  in the order of `SIZES`, a child's in proportion to its age; ``disc_share`` is a share
        of the pitch, ``s1_share`` one of the depth of L5.
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
    age_years: np.ndarray
    sizes_mm: np.ndarray
    curve_deg: np.ndarray
    slip: np.ndarray
    narrowing: np.ndarray
    spurs_mm: np.ndarray
    fracture: np.ndarray
    dome_mm: np.ndarray
    transitional: np.ndarray

    @property
    def grown(self) -> np.ndarray:
        """How large each is beside an adult, (n,)."""
        return growth(self.age_years)

    def size(self, name: str) -> np.ndarray:
        """Return the size called `name`, shape (n,)."""
        return self.sizes_mm[:, SIZES.index(name)]


# ---------------------------------------------------------------- drawing


def draw(name: str, n: int, rng: np.random.Generator) -> Patients:
    """Draw `n` patients of the cohort called `name`."""
    n = _number_of_patients(n, rng)
    return _patients(np.full(n, cohort(name).name), rng.random((n, _WIDTH)))


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


def with_angles(angles_deg: np.ndarray, rng: np.random.Generator) -> Patients:
    """Draw healthy adults, free of every switch, who have exactly the given angles.

    Parameters
    ----------
    angles_deg : (n, 4)  SS, PT, PI, LL with PI = PT + SS.
    rng : draws sizes and segmental lordosis.

    Raises
    ------
    InputError
        Wrong shape, an angle that is not finite, or PI that is not PT + SS.
    """
    instance("rng", rng, np.random.Generator)
    angles_deg = array("angles_deg", angles_deg, ("n", 4), -180, 180).copy()
    ss, pt, pi, ll = angles_deg.T
    require(np.allclose(pi, pt + ss, atol=1e-6), "angles_deg.PI", "not PT + SS", "PI = PT + SS")
    drawn = draw("healthy_adults", len(angles_deg), rng)
    healthy = {field: np.zeros_like(getattr(drawn, field)) for field in _SWITCHED}
    segments = _split("healthy_adults", pi, ll, drawn.segments_deg)
    return Patients(**{**vars(drawn), **healthy, "angles_deg": angles_deg, "segments_deg": segments})


def follow_up(patients: Patients, rng: np.random.Generator) -> Patients:
    """Take the same patients a year later: a new posture of the same pelvis.

    PI, sizes and switches of adults stay; a child has grown, and its PI has moved a little.  What PT and LL
    have beyond their regressions is correlated between the visits (as normal scores), and the statistics of
    the cohort stay what they are.  A patient from `with_angles` whom the cohort would not produce returns to
    its edge.
    """
    instance("patients", patients, Patients)
    instance("rng", rng, np.random.Generator)
    table = statistics()["follow_up"]
    same, child = table["correlation"], patients.age_years < _GROWN_YEARS
    age = patients.age_years + _INTERVAL_YEARS
    grown = growth(age) / patients.grown
    fresh = np.sqrt(1 - same**2) * rng.standard_normal((len(patients), 2))
    drift = rng.normal(0, table["pi_sd"], len(patients))
    angles, segments = patients.angles_deg.copy(), patients.segments_deg.copy()
    for name in np.unique(patients.cohort):
        rows = patients.cohort == name
        ranks, law = _ranks(str(name), angles[rows]), cohort(str(name)).pi
        moved = angles[rows, 2] + child[rows] * drift[rows]
        angles[rows, 2] = np.where(child[rows], moved.clip(law["low"], law["high"]), angles[rows, 2])
        ranks[:, 1:] = rank(_normal(), same * quantile(_normal(), ranks[:, 1:]) + fresh[rows])
        angles[rows] = _angles(str(name), ranks, angles[rows, 2])
        segments[rows] = _split(str(name), angles[rows, 2], angles[rows, 3], segments[rows])
    changed = {
        "angles_deg": angles,
        "segments_deg": segments,
        "age_years": age,
        "pitch_mm": patients.pitch_mm * grown[:, None],
        "sizes_mm": _grown(patients.sizes_mm, grown),
    }
    return Patients(**{**vars(patients), **changed})


def growth(age_years: np.ndarray) -> np.ndarray:
    """How large a child of this age is beside an adult; 1 from 18 years on.

    >>> growth(np.array([10.0, 18.0, 40.0])).tolist()
    [0.815, 1.0, 1.0]
    """
    return np.interp(age_years, _AGES, _HEIGHTS)


def segment_lordosis(pi_deg, ll_deg, rng: np.random.Generator, cohort: str = "healthy_adults") -> np.ndarray:
    """Split LL over L5-S1 ... L1-L2, shape (n, 5), degrees; each row sums to LL.

    The segments of a PI class vary independently of each other, conditioned on their sum:
    each takes the part of the surplus that its variance is of the whole.
    """
    instance("rng", rng, np.random.Generator)
    pi_deg = array("pi_deg", pi_deg, ("n",), -180, 180)
    ll_deg = array("ll_deg", ll_deg, (len(pi_deg),), -180, 180)
    return _split(cohort, pi_deg, ll_deg, _free_segments(cohort, pi_deg, rng.random((len(pi_deg), 5))))


def _number_of_patients(n: int, rng: np.random.Generator) -> int:
    instance("rng", rng, np.random.Generator, "numpy.random.default_rng(0)")
    return whole("n", n, 0, 10_000_000)


def _patients(names: np.ndarray, u: np.ndarray) -> Patients:
    """Turn rows of uniform numbers (n, _WIDTH) into patients of the cohorts named."""
    parts = dict(zip(PARTS, np.split(u, np.cumsum(list(PARTS.values()))[:-1], axis=1)))
    angles, segments, age = np.empty((len(u), 4)), np.empty((len(u), 5)), np.empty(len(u))
    struck = {name: np.zeros((len(u), len(columns))) for name, columns in SWITCHES.items()}
    for name in np.unique(names):
        rows, who = names == name, str(name)
        angles[rows] = _angles(who, parts["angles"][rows])
        age[rows] = quantile(_law(cohort(who).age), parts["age"][rows, 0])
        pi, ll = angles[rows, 2], angles[rows, 3]
        segments[rows] = _split(who, pi, ll, _free_segments(who, pi, parts["segments"][rows]))
        for switch in SWITCHES:
            struck[switch][rows] = _strike(who, switch, parts[switch][rows])
    return Patients(
        cohort=names,
        angles_deg=angles,
        segments_deg=segments,
        pitch_mm=_pitch(parts["pitch"]) * growth(age)[:, None],
        age_years=age,
        sizes_mm=_grown(_sizes(parts["sizes"]), growth(age)),
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
PARTS |= {name: 2 * len(columns) for name, columns in SWITCHES.items()} | {"age": 1}
_WIDTH = sum(PARTS.values())
_SWITCHED = ("curve_deg", "slip", "narrowing", "spurs_mm", "fracture", "dome_mm", "transitional")


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


def _grown(sizes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Sizes of patients who are larger by a factor; shares stay."""
    return np.where(np.isin(SIZES, _SHARES), sizes, sizes * times[:, None])


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
    """Read and check ``data_synth/cohorts.toml``."""
    return check_statistics(store.read_toml(files("data_synth").joinpath("cohorts.toml")))


def cohort_names(table: dict | None = None) -> list[str]:
    """List the cohorts in ``data_synth/cohorts.toml``."""
    return [name for name in table or statistics() if name not in _SHARED]


def cohort(name: str) -> Cohort:
    """Return the cohort called `name`, or raise `InputError` with the names there are."""
    return _cohort(choice("cohort", name, cohort_names()), statistics())


def _cohort(name: str, table: dict) -> Cohort:
    return Cohort(name, **{"segments": table["segments"], **table[name]})


def check_statistics(table: dict) -> dict:
    """Return the statistics if every number is possible, else raise `InputError` naming the field."""
    instance("cohorts", table, dict)
    for name in _SHARED:
        require(name in table, name, None, "this table is needed")
    fields("sizes", table["sizes"], set(SIZES))
    for name in SIZES:
        _check_spread(f"sizes.{name}", table["sizes"][name], 0.0, 400.0)
    _check_segments("segments", table["segments"])
    _check_pitch(table["pitch"])
    fields("follow_up", table["follow_up"], {"correlation", "pi_sd", "source"})
    number("follow_up.correlation", table["follow_up"]["correlation"], 0.0, 1.0)
    number("follow_up.pi_sd", table["follow_up"]["pi_sd"], 0.0, 10.0)
    text("follow_up.source", table["follow_up"]["source"])
    for name in cohort_names(table):
        _check_cohort(name, table)
    return table


def _check_cohort(name: str, table: dict) -> None:
    entry = fields(
        name, table[name], {"title", "age", "pi", "pt", "ll", "segments", "switches"}, {"segments"}
    )
    text(f"{name}.title", entry["title"])
    _check_spread(f"{name}.age", entry["age"], 2.0, 110.0)
    _check_spread(f"{name}.pi", entry["pi"], 10.0, 130.0)
    for angle, correlations in (("pt", {"r_pi"}), ("ll", {"r_pi", "r_pt"})):
        spec = fields(f"{name}.{angle}", entry[angle], {"mean", "sd", "source"} | correlations)
        text(f"{name}.{angle}.source", spec["source"])
        number(f"{name}.{angle}.mean", spec["mean"], *_POSSIBLE[angle.upper()])
        number(f"{name}.{angle}.sd", spec["sd"], 0.1, 40.0)
        for key in correlations:
            number(f"{name}.{angle}.{key}", spec[key], -0.99, 0.99)
    if "segments" in entry:
        _check_segments(f"{name}.segments", entry["segments"])
    fields(f"{name}.switches", entry["switches"], set(SWITCHES))
    for switch in SWITCHES:
        _check_switch(f"{name}.switches.{switch}", entry["switches"][switch], switch)
    _check_reach(_cohort(name, table))


def _check_reach(who: Cohort) -> None:
    """Check that even the most extreme patient of a cohort is anatomically possible."""
    corners = np.stack(np.meshgrid([0.0, 1.0], [0.0, 1.0], [0.0, 1.0]), -1).reshape(-1, 3)
    pi = np.where(corners[:, 0] > 0, who.pi["high"], who.pi["low"])
    ss, pt, _, ll = _posture(who, corners, pi).T
    for angle, values in (("SS", ss), ("PT", pt), ("LL", ll)):
        low, high = _POSSIBLE[angle]
        reach = (round(values.min(), 1), round(values.max(), 1))
        possible = low <= reach[0] and reach[1] <= high
        require(possible, f"{who.name}.{angle}", reach, f"draws between {low:g} and {high:g} degrees")


def _check_spread(
    field: str, spec: dict, low: float, high: float, extra: set[str] | frozenset[str] = frozenset()
) -> None:
    """Check the mean, SD and limits of a `bounded` part."""
    fields(field, spec, {"mean", "sd", "low", "high", "source"} | extra)
    text(f"{field}.source", spec["source"])
    mean = number(f"{field}.mean", spec["mean"], low, high)
    lowest = number(f"{field}.low", spec["low"], low, mean - 1e-3)
    highest = number(f"{field}.high", spec["high"], mean + 1e-3, high)
    number(f"{field}.sd", spec["sd"], *spreads(mean, lowest, highest))


def _check_switch(field: str, spec: dict, switch: str) -> None:
    """Check rates (one for each column; together at most 1 where only one can strike) and amounts."""
    if switch == "transitional":
        text(f"{field}.source", fields(field, spec, {"rate", "source"})["source"])
    else:
        _check_spread(field, spec, 0.0, 120.0 if switch == "curve" else 30.0, {"rate"})
    rate, count = spec["rate"], len(SWITCHES[switch])
    listed = isinstance(rate, list | tuple) and len(rate) == count
    require(listed, f"{field}.rate", rate, f"a list of {count} rates")
    total = sum(number(f"{field}.rate", value, 0.0, 1.0) for value in rate)
    require(switch in _INDEPENDENT or total <= 1 + 1e-9, f"{field}.rate", rate, "rates that sum to at most 1")


def _check_segments(field: str, table: dict) -> None:
    """Check that the mean and SD of each segment are there for each PI class."""
    fields(field, table, {"pi_classes", "mean", "sd", "source"})
    text(f"{field}.source", table["source"])
    limits = table["pi_classes"]
    require(isinstance(limits, list | tuple), f"{field}.pi_classes", limits, "a list")
    limits = [number(f"{field}.pi_classes", limit, 0.0, 180.0) for limit in limits]
    require(limits == sorted(limits), f"{field}.pi_classes", limits, "ascending limits")
    _check_matrix(f"{field}.mean", table["mean"], len(limits) + 1, -30.0, 60.0)
    _check_matrix(f"{field}.sd", table["sd"], len(limits) + 1, 0.1, 30.0)


def _check_pitch(table: dict) -> None:
    fields("pitch", table, {"mean", "sd", "r", "source"})
    text("pitch.source", table["source"])
    _check_matrix("pitch.mean", [table["mean"]], 1, 20.0, 60.0)
    _check_matrix("pitch.sd", [table["sd"]], 1, 0.1, 4.0)
    _check_matrix("pitch.r", table["r"], 5, -1.0, 1.0)
    r = np.array(table["r"], dtype=np.float64)
    proper = (r == r.T).all() and (np.diag(r) == 1).all() and np.linalg.eigvalsh(r).min() > 0
    require(bool(proper), "pitch.r", table["r"], "a correlation matrix: symmetric, diagonal 1, definite")


def _check_matrix(field: str, rows: Any, count: int, low: float, high: float) -> None:
    sort = list | tuple
    lists = isinstance(rows, sort) and all(isinstance(row, sort) and len(row) == 5 for row in rows)
    require(lists and len(rows) == count, field, rows, f"{count} rows of five numbers")
    for row in rows:
        for value in row:
            number(field, value, low, high)
