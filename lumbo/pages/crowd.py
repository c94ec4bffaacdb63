"""The figure of a population: means and correlations as spines.  Taught in population."""

import numpy as np

from lumbo.angles import ANGLES
from lumbo.errors import array, choice, number, require, whole
from lumbo.films import populations
from lumbo.pages import living
from lumbo.pages.slips import normals

__all__ = ["COUNT", "PAIRS", "Population", "allowed", "cohort_table"]

COUNT = 400  # patients
PAIRS = ("PI and PT", "PI and LL", "PT and LL")  # of the three correlations
_LARGEST_R = 0.99
_SLACK = 1e-9  # hundredths: the noise of floating point moves no limit
_PLAIN = {"Asymptomatic adults": "Healthy adults"}  # titles that a reader would have to look up
_AXES = ("PT", "LL")  # what stands against PI


def allowed(r, k: int) -> tuple[float, float]:
    """Return the least and largest value, in hundredths, of correlation `k` beside the other two.

    Three correlations can occur together only where no mixture of the three angles has a negative variance.

    >>> allowed((0.67, 0.59, 0.24), 2)
    (-0.2, 0.99)
    """
    one, two = (value for i, value in enumerate(r) if i != k)
    middle, reach = one * two, np.sqrt((1 - one**2) * (1 - two**2))
    low, high = (
        np.ceil(100 * (middle - reach) - _SLACK) / 100,
        np.floor(100 * (middle + reach) + _SLACK) / 100,
    )
    return max(-_LARGEST_R, float(low) + 0.0), min(_LARGEST_R, float(high) + 0.0)


def cohort_table() -> dict[str, dict]:
    """Return what ``data_synth/cohorts.toml`` says of PT, PI, LL and the `PAIRS`, by cohort; titles in plain words."""
    table = {}
    for name in populations.cohort_names():
        who = populations.cohort(name)
        laws = who.pt, who.pi, who.ll
        table[name] = {
            "title": _PLAIN.get(who.title, who.title),
            "mean_deg": [law["mean"] for law in laws],
            "sd_deg": [law["sd"] for law in laws],
            "r": [who.pt["r_pi"], who.ll["r_pi"], who.ll["r_pt"]],
            "sources": [law["source"] for law in laws],
        }
    return table


def _means(value) -> list[float]:
    return array("mean_deg", value, (3,), -60, 130).tolist()


def _spreads(value) -> list[float]:
    return array("sd_deg", value, (3,), 0.1, 40).tolist()


def _correlations(value) -> list[float]:
    """Return three correlations that can occur together, or raise `InputError`."""
    r = array("r", value, (3,), -_LARGEST_R, _LARGEST_R).tolist()
    one, two, last = r
    reach = np.sqrt((1 - one**2) * (1 - two**2))
    number_range = f"from {one * two - reach:.2f} to {one * two + reach:.2f} beside {one:g} and {two:g}"
    require(abs(last - one * two) <= reach + 1e-9, f"r: {PAIRS[2]}", last, number_range)
    return r


def _limit(value) -> float:
    return number("above_deg", value, 0, 130)


def _axis(value) -> str:
    return choice("versus", value, _AXES)


def _seed(value) -> int:
    return whole("seed", value, 0, 2**31)


def _cohort_name(value) -> str:
    return choice("cohort", value, populations.cohort_names())


class Population(living.Living):
    """Draw 400 patients from means, SDs and correlations; choose those of large PI.

    Parameters
    ----------
    cohort : str, optional
        Where the numbers come from that are not given: a name in `lumbo.films.populations.cohort_names`.
    mean_deg, sd_deg : three numbers, optional
        Mean and SD of PT, PI and LL.  SS = PI - PT.
    r : three numbers, optional
        Correlations of PI and PT, of PI and LL, and of PT and LL.
    above_deg : float, optional
        Patients of this PI or more are chosen.
    versus : {"LL", "PT"}, optional
        What the scatter plot shows against PI.
    seed : int, optional
        Of the standard normal numbers, three a patient; they stay while means, SDs and correlations move.

    All of them can be read and set at any time; they follow the reader's hand, and the figure follows them.
    `angles_deg` has the patients.

    Raises
    ------
    InputError
        A value outside its limits, or correlations that cannot occur together; the figure stays as it was.

    Examples
    --------
    >>> Population()
    Population(PT 13.5 ± 6.8, PI 53.0 ± 10.5, LL 52.1 ± 11.2; r 0.67, 0.59, 0.24; PI from 65; seed 194)
    """

    _esm = living.bundle("crowd")
    fields = ("cohort", "mean_deg", "sd_deg", "r", "above_deg", "versus", "seed", "cohorts")
    cohort = living.Checked(_cohort_name)
    mean_deg = living.Checked(_means)
    sd_deg = living.Checked(_spreads)
    r = living.Checked(_correlations)
    above_deg = living.Checked(_limit)
    versus = living.Checked(_axis)
    seed = living.Checked(_seed)
    cohorts = living.Fixed()

    def __init__(
        self,
        cohort: str = "healthy_adults",
        mean_deg=None,
        sd_deg=None,
        r=None,
        above_deg: float = 65.0,
        versus: str = "LL",
        seed: int = 194,  # a draw that is close to what is put in
    ):
        table = cohort_table()
        known = table[_cohort_name(cohort)]
        super().__init__(
            cohort=cohort,
            mean_deg=known["mean_deg"] if mean_deg is None else mean_deg,
            sd_deg=known["sd_deg"] if sd_deg is None else sd_deg,
            r=known["r"] if r is None else r,
            above_deg=above_deg,
            versus=versus,
            seed=seed,
            cohorts=table,
        )

    @property
    def angles_deg(self) -> np.ndarray:
        """SS, PT, PI, LL of the patients, shape (400, 4), degrees."""
        pi_pt, pi_ll, pt_ll = self.r
        together = np.array([[1, pi_pt, pi_ll], [pi_pt, 1, pt_ll], [pi_ll, pt_ll, 1]])  # of PI, PT, LL
        pi, pt, ll = (normals(self.seed, (COUNT, 3)) @ _root(together).T).T
        pt, pi, ll = (m + s * z for m, s, z in zip(self.mean_deg, self.sd_deg, (pt, pi, ll)))
        return np.stack([pi - pt, pt, pi, ll], -1)

    @property
    def chosen(self) -> np.ndarray:
        """Whether each patient's PI is at least `above_deg`, shape (400,)."""
        return self.angles_deg[:, 2] >= self.above_deg

    def __repr__(self) -> str:
        laws = ", ".join(
            f"{name} {m:.1f} ± {s:.1f}" for name, m, s in zip(ANGLES[1:], self.mean_deg, self.sd_deg)
        )
        r = ", ".join(f"{value:.2f}" for value in self.r)
        return f"Population({laws}; r {r}; PI from {self.above_deg:g}; seed {self.seed})"

    def still(self) -> str:
        """Return the scatter plot and what the chosen patients show, as HTML."""
        return _still(self)


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return the Cholesky root of a correlation matrix (3, 3), also of one at the edge of what is allowed."""
    first, second, third = matrix[:, 0], np.zeros(3), np.zeros(3)
    second[1] = np.sqrt(1 - first[1] ** 2)
    second[2] = (matrix[2, 1] - first[2] * first[1]) / second[1]
    third[2] = np.sqrt(max(0.0, 1 - first[2] ** 2 - second[2] ** 2))
    return np.stack([first, second, third], -1)


# The still picture: the scatter plot.
_WIDE, _HIGH, _LEFT, _DOWN = 380, 330, 44, 34  # of the picture, and the room for the axes
_PI, _OTHER = (10.0, 110.0), {"LL": (-10.0, 120.0), "PT": (-40.0, 70.0)}  # degrees shown; as in crowd.js
_CAPTION = (
    "A still picture of 400 patients made by numbers, purple those of a PI of {:g}° or more: to move means, SDs "
    "and correlations, the page must run scripts, and in Jupyter be trusted. Not for clinical use."
)


def _still(figure: Population) -> str:
    name, (pt, pi, ll), sds = figure.versus, figure.mean_deg, figure.sd_deg
    mean, sd, r = (ll, sds[2], figure.r[1]) if name == "LL" else (pt, sds[0], figure.r[0])
    x, y, chosen = figure.angles_deg[:, 2], figure.angles_deg[:, ANGLES.index(name)], figure.chosen
    words = f"PI and {name} of {COUNT} patients, correlation {r:.2f}. "
    words += f"{chosen.sum()} have a PI of {figure.above_deg:g}° or more"
    if chosen.any():
        far = ((x[chosen] - pi).mean() / sds[1], (y[chosen] - mean).mean() / sd)
        words += f": on average {far[0]:.2f} SD from the mean in PI, {far[1]:.2f} SD in {name}"
    return living.picture(
        _scatter(x, y, chosen, (pi, sds[1], mean, sd, r), name),
        words.replace("-", "−"),
        _WIDE,
        _CAPTION.format(figure.above_deg),
    )


def _scatter(x, y, chosen, law, name: str) -> str:
    """Draw the patients, the chosen ones darker, and the regression line of `name` on PI, as SVG."""
    (low, high), (least, most) = _PI, _OTHER[name]
    mean_x, sd_x, mean_y, sd_y, r = law

    def place(x, y):
        across = _LEFT + (np.clip(x, low, high) - low) / (high - low) * (_WIDE - _LEFT - 12)
        down = _HIGH - _DOWN - (np.clip(y, least, most) - least) / (most - least) * (_HIGH - _DOWN - 12)
        return np.round(across, 1), np.round(down, 1)

    def dots(rows, colour):
        at = "".join(f"M{a:g} {b:g}h0" for a, b in zip(*place(x[rows], y[rows])))
        return (
            f'<path d="{at}" stroke="{colour}" stroke-width="4" stroke-opacity=".6" stroke-linecap="round"/>'
        )

    def line(xs, ys, style):
        (x1, x2), (y1, y2) = place(np.array(xs), np.array(ys))
        return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" {style}/>'

    ends = np.array([mean_x - 2.5 * sd_x, mean_x + 2.5 * sd_x])
    shapes = [
        line((low, high), (least, least), 'stroke="#6b747d"'),
        line((low, low), (least, most), 'stroke="#6b747d"'),
        dots(~chosen, "#8c949c"),
        dots(chosen, living.COLOURS["PI"]),
        line(ends, mean_y + r * sd_y / sd_x * (ends - mean_x), 'stroke="#22262b" stroke-width="2"'),
    ]
    for tick in range(20, 101, 20):
        at_x, at_y = place(float(tick), least)
        shapes.append(f'<text x="{at_x:g}" y="{at_y + 14:g}" text-anchor="middle">{tick}°</text>')
    for tick in range(-20 if name == "PT" else 0, int(most), 20):
        at_x, at_y = place(low, float(tick))
        label = f"{tick}°".replace("-", "−")
        shapes.append(f'<text x="{at_x - 6:g}" y="{at_y + 4:g}" text-anchor="end">{label}</text>')
    shapes.append(f'<text x="{_WIDE - 12}" y="{_HIGH - 6}" text-anchor="end" font-weight="650">PI</text>')
    shapes.append(f'<text x="{_LEFT + 6}" y="18" font-weight="650">{name}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}">'
        f'<rect width="{_WIDE}" height="{_HIGH}" rx="6" fill="#f5f3ee"/>'
        f'<g font-family="system-ui, sans-serif" font-size="11" fill="#22262b">{"".join(shapes)}</g></svg>'
    )
