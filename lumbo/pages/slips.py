"""The figure of slips and habits: what millimetres at a corner do to degrees.  Taught in measuring."""

import numpy as np

from lumbo.angles import ANGLES, lumbopelvic_angles, rotate, s1_midpoint
from lumbo.errors import array, number, whole
from lumbo.pages import living
from lumbo.pages.posture import STANDING_MM

__all__ = ["DRAWS", "ErrorCloud", "normals"]

DRAWS = 200  # how often the rater reads the picture
_SPOTS = (0, 1, 2, 2, 3, 3)  # which of the four slips strikes each landmark
_SIDE = "left"  # the patient of the chapter faces left
_LARGEST_MM, _LARGEST_DEG, _STRETCH = 10.0, 30.0, (0.8, 1.25)
_PLATE_MM = 10.0, 80.0  # from a small child's to more than any adult's


def normals(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the standard normal numbers that the page draws from the same seed (mulberry32; Box and Muller).

    >>> normals(7, (2, 2)).round(3).tolist()
    [[0.142, -0.864], [-1.006, 0.071]]
    """
    count, mask = int(np.prod(shape)), np.uint64(0xFFFFFFFF)
    steps = np.arange(1, 2 * count + 1, dtype=np.uint64)
    state = (np.uint64(seed) + np.uint64(0x6D2B79F5) * steps) & mask
    mixed = (state ^ (state >> np.uint64(15))) * (state | np.uint64(1)) & mask
    mixed ^= (mixed + ((mixed ^ (mixed >> np.uint64(7))) * (mixed | np.uint64(61)) & mask)) & mask
    uniform = ((mixed ^ (mixed >> np.uint64(14))) / 2.0**32).reshape(-1, 2)
    length, turn = np.sqrt(-2 * np.log(1 - uniform[:, 0])), 2 * np.pi * uniform[:, 1]
    return (length * np.cos(turn)).reshape(shape)


def _patient(value) -> list[list[float]]:
    """Return landmarks as a list of six [x, y], or raise `InputError`."""
    points = array("landmarks", value, (6, 2), -1e4, 1e4)
    lumbopelvic_angles(points, _SIDE)  # refuses what cannot be measured
    for name, (front, back) in {"S1 plate": points[:2], "L1 plate": points[2:4]}.items():
        number(f"landmarks: length of the {name}", float(np.hypot(*(front - back))), *_PLATE_MM)
    return points.tolist()


def _moves(value) -> list[list[float]]:
    return array("moved_mm", value, (6, 2), -500, 500).tolist()


def _slips(value) -> list[float]:
    return array("slip_mm", value, (4,), 0, _LARGEST_MM).tolist()


def _habit(value) -> float:
    return number("steeper_deg", value, -_LARGEST_DEG, _LARGEST_DEG)


def _ratio(value) -> float:
    return number("stretch", value, *_STRETCH)


def _seed(value) -> int:
    return whole("seed", value, 0, 2**31)


class ErrorCloud(living.Living):
    """What a rater's slips and habit, and a stretched picture, do to SS, PT, PI and LL.

    Parameters
    ----------
    landmarks : array-like, shape (6, 2), optional
        The patient: points in the order of `lumbo.angles.LANDMARKS`, millimetres, y down, facing left.
    slip_mm : four numbers, optional
        SD of a slip in x and in y: front corner of S1, back corner, corners of L1, centres of the heads.
    steeper_deg : float, optional
        The habit: by how much the rater draws the S1 plate too steep.
    stretch : float, optional
        Height of the picture over its true height, 0.8 to 1.25; its width stays.
    seed : int, optional
        Of the 200 readings.
    moved_mm : array-like, shape (6, 2), optional
        How far the reader's own marks lie from the landmarks in the picture.

    All of them can be read and set at any time; they follow the reader's hand, and the figure follows them.
    `errors_deg` has the errors of the 200 readings.

    Raises
    ------
    InputError
        A value outside its limits, or landmarks that cannot be measured; the figure stays as it was.

    Examples
    --------
    >>> ErrorCloud(steeper_deg=4)
    ErrorCloud(slips 1, 1, 1, 2 mm; S1 steeper by 4°; height 100 %; seed 1)
    """

    _esm = living.bundle("slips")
    fields = ("landmarks", "moved_mm", "slip_mm", "steeper_deg", "stretch", "seed")
    landmarks = living.Checked(_patient)
    moved_mm = living.Checked(_moves)
    slip_mm = living.Checked(_slips)
    steeper_deg = living.Checked(_habit)
    stretch = living.Checked(_ratio)
    seed = living.Checked(_seed)

    def __init__(
        self,
        landmarks=STANDING_MM,
        slip_mm=(1.0, 1.0, 1.0, 2.0),
        steeper_deg: float = 0.0,
        stretch: float = 1.0,
        seed: int = 1,
        moved_mm=((0.0, 0.0),) * 6,
    ):
        super().__init__(
            landmarks=landmarks,
            slip_mm=slip_mm,
            steeper_deg=steeper_deg,
            stretch=stretch,
            seed=seed,
            moved_mm=moved_mm,
        )

    @property
    def angles_deg(self) -> np.ndarray:
        """True SS, PT, PI, LL of the patient, shape (4,), degrees."""
        return lumbopelvic_angles(np.array(self.landmarks), _SIDE)

    @property
    def picture_mm(self) -> np.ndarray:
        """The landmarks where the picture shows them, shape (6, 2)."""
        return np.array(self.landmarks) * [1, self.stretch]

    @property
    def measured_mm(self) -> np.ndarray:
        """Where the rater marks the landmarks in the picture, shape (200, 6, 2)."""
        seen = self.picture_mm
        habit = np.concatenate([rotate(seen, -self.steeper_deg, s1_midpoint(seen))[:2], seen[2:]])
        spread = np.array(self.slip_mm)[list(_SPOTS), None]
        return habit + spread * normals(self.seed, (DRAWS, 6, 2))

    @property
    def errors_deg(self) -> np.ndarray:
        """Errors of SS, PT, PI, LL of the 200 readings, shape (200, 4), degrees from -180 to 180."""
        return _turn(lumbopelvic_angles(self.measured_mm, _SIDE) - self.angles_deg)

    def __repr__(self) -> str:
        slips = ", ".join(f"{slip:g}" for slip in self.slip_mm)
        habit = f"S1 steeper by {self.steeper_deg:g}°"
        height = f"height {100 * self.stretch:g} %"
        return f"ErrorCloud(slips {slips} mm; {habit}; {height}; seed {self.seed})"

    def still(self) -> str:
        """Return the errors of the 200 readings, their means and SDs, as HTML."""
        return _still(self.errors_deg)


def _turn(degrees: np.ndarray) -> np.ndarray:
    """Differences of angles the short way round."""
    return (degrees + 180) % 360 - 180


# The still picture: a strip of dots for each angle.
_WIDE, _ROW, _ZERO = 420, 56, 150  # sizes, and where an error of 0 lies, in units of the picture
_HALF = 130  # from there to the end of a strip
_ENDS = (2, 5, 10, 15, 20, 30, 45, 90, 180)  # degrees at the end of a strip; as in slips.js
_CAPTION = (
    "A still picture of 200 readings: to change the rater and to drag the marks, the page must run "
    "scripts, and in Jupyter be trusted. Not for clinical use."
)


def _still(errors: np.ndarray) -> str:
    mean, sd = errors.mean(0), errors.std(0, ddof=1)
    said = [_signed(m) + f" ± {s:.1f}°" for m, s in zip(mean, sd)]
    words = f"Errors of {DRAWS} readings, mean ± SD: "
    words += ", ".join(f"{name} {text}" for name, text in zip(ANGLES, said))
    return living.picture(_strips(errors, said), words, _WIDE, _CAPTION)


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−").replace("+0.0", "0.0")


def _strips(errors: np.ndarray, said: list[str]) -> str:
    """Draw the errors of each angle as a strip of dots about 0, with mean ± SD beside it, as SVG."""
    widest = abs(errors.mean(0)).max() + 3 * errors.std(0).max()
    end = next((end for end in _ENDS if widest <= end), _ENDS[-1])
    shapes, high = [], _ROW * len(ANGLES) + 34
    for i, (name, text, values) in enumerate(zip(ANGLES, said, errors.T)):
        middle = _ROW * i + _ROW / 2 + 6
        lift = 18 * np.sin(2.4 * np.arange(len(values)))  # spreads the dots, the same way each time
        at = np.round(np.stack([_ZERO + _HALF * values.clip(-end, end) / end, middle + lift], -1), 1)
        dots = "".join(f"M{x:g} {y:g}h0" for x, y in at)
        shapes += [
            f'<path d="{dots}" stroke="{living.COLOURS[name]}" stroke-width="3.4" stroke-opacity=".45" '
            f'stroke-linecap="round"/>',
            f'<text x="12" y="{middle + 4:g}" fill="{living.COLOURS[name]}">{name}</text>',
            f'<text x="{_WIDE - 14}" y="{middle + 4:g}" fill="#22262b" text-anchor="end">{text}</text>',
        ]
    shapes.append(f'<path d="M{_ZERO} 8V{high - 24}" stroke="#6b747d" stroke-dasharray="4 3"/>')
    for value in (-end, 0, end):
        label = f"{value:+d}°".replace("+0", "0").replace("-", "−")
        x = _ZERO + _HALF * value / end
        shapes.append(f'<text x="{x:g}" y="{high - 8}" fill="#555d66" text-anchor="middle">{label}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}">'
        f'<rect width="{_WIDE}" height="{high}" rx="6" fill="#f5f3ee"/>'
        f'<g font-family="system-ui, sans-serif" font-size="13" font-weight="600">{"".join(shapes)}</g></svg>'
    )
