"""The figure to drag: pelvis and lumbar spine from the side.  Taught in four_angles."""

import numpy as np

from lumbo.angles import ANGLES, SIDES, hip_axis, lumbopelvic_angles, s1_midpoint
from lumbo.errors import array, choice, require
from lumbo.pages import living

__all__ = ["STANDING_MM", "Pelvis"]

STANDING_MM = (  # a drawn patient who faces left: SS 39.4, PT 12.4, PI 51.8, LL 53.4 degrees
    (130.0, 220.0), (158.0, 197.0), (114.0, 28.0), (146.0, 36.0), (114.0, 322.0), (126.0, 314.0),
)  # fmt: skip


def _six_points(value) -> list[list[float]]:
    """Return landmarks as a list of six [x, y], or raise `InputError`."""
    points = array("landmarks", value, (6, 2), missing=True)
    allowed = "six finite [x, y] in millimetres; where one head is not seen, its partner twice"
    require(np.isfinite(points[4:]).all(), "landmarks", points[4:].tolist(), allowed)
    lumbopelvic_angles(points, "left")  # refuses what cannot be measured from either side
    return points.tolist()


def _known_side(value) -> str:
    return choice("anterior", value, SIDES)


class Pelvis(living.Living):
    """Pelvis and lumbar spine from the side: drag six landmarks, read SS, PT, PI and LL.

    Parameters
    ----------
    landmarks : array-like, shape (6, 2), optional
        Points in the order of `lumbo.angles.LANDMARKS`, millimetres, y down.
    anterior : {"left", "right"}, optional
        The side of the image that the patient faces; by default it is read from S1.

    `landmarks` (a list of six [x, y]) and `anterior` can be read and set at any time: they
    follow the reader's hand, and the figure follows them.

    Raises
    ------
    InputError
        Landmarks that cannot be measured, or an unknown side; the figure stays as it was.

    Examples
    --------
    >>> Pelvis()
    Pelvis(SS 39.4, PT 12.4, PI 51.8, LL 53.4; faces left)
    """

    _esm = living.bundle("posture")
    fields = ("landmarks", "anterior")
    landmarks = living.Checked(_six_points)
    anterior = living.Checked(_known_side)

    def __init__(self, landmarks=STANDING_MM, anterior: str | None = None):
        points = _six_points(landmarks)
        if anterior is None:
            lumbopelvic_angles(points)  # refuses a vertical plate, whose side cannot be read
            anterior = "left" if points[0][0] < points[1][0] else "right"
        super().__init__(landmarks=points, anterior=anterior)

    @property
    def angles_deg(self) -> np.ndarray:
        """SS, PT, PI, LL of the figure as it stands, shape (4,), degrees."""
        return lumbopelvic_angles(np.array(self.landmarks), self.anterior)

    def __repr__(self) -> str:
        angles = ", ".join(f"{name} {value:.1f}" for name, value in zip(ANGLES, self.angles_deg, strict=True))
        return f"Pelvis({angles}; faces {self.anterior})"

    def still(self) -> str:
        """Return its lines, its angles, and what to do, as HTML."""
        return _still(np.array(self.landmarks), self.anterior)


# The still picture.
_WIDE, _HIGH, _LINE = 260, 388, 30  # of the film, and of the line of angles under it; as in pelvis.js
_COLOURS = dict(zip(ANGLES, ("#0063a8", "#b84a00", "#9a2f8f", "#00755a")))
_HEADS_MM = 25, 22.5  # radii of the near head and the far one
_CAPTION = "A still picture: to drag the points, the page must run scripts, and in Jupyter be trusted."


def _still(points: np.ndarray, anterior: str) -> str:
    angles = lumbopelvic_angles(points, anterior)
    rounded = np.round(angles, 1) + 0.0  # never "-0.0"
    said = [f"{name} {value:.1f}°".replace("-", "−") for name, value in zip(ANGLES, rounded)]
    words = f"Lumbar spine and pelvis from the side, facing {anterior}: {', '.join(said)}"
    return living.picture(_drawing(points, anterior, said), words, _WIDE, _CAPTION)


def _drawing(points: np.ndarray, anterior: str, said: list[str]) -> str:
    """Draw the two plates, the heads, the lines of the angles and the angles themselves, as SVG."""
    low, high = points.min(0), points.max(0)
    size = max(1, *((high - low) / (_WIDE - 100, _HIGH - 78)))  # millimetres of a unit of the picture
    points = (points - (low + high) / 2) / size + (_WIDE / 2, _HIGH / 2)
    hips, middle, s1 = hip_axis(points), s1_midpoint(points), points[0] - points[1]
    normal = SIDES[anterior] * np.array([-s1[1], s1[0]]) / np.hypot(*s1)  # towards the sacrum

    def line(start, end, style):
        (x1, y1), (x2, y2) = np.round(start, 1), np.round(end, 1)
        return f'<path d="M{x1} {y1}L{x2} {y2}" {style}/>'

    thin = 'stroke="#6b747d" stroke-dasharray="4 3"'
    shapes = [
        line(middle - (55, 0), middle + (55, 0), thin),  # level: SS
        line(hips, hips - (0, 100), thin),  # upright: PT
        line(middle, middle + 78 * normal, thin),  # square to S1: PI
        line(hips, middle, 'stroke="#22262b" stroke-width="1.3"'),
        *(line(points[i], points[i + 1], 'stroke="#22262b" stroke-width="3"') for i in (0, 2)),
        *(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius / size:.1f}" stroke="#8c7d5f"/>'
            for (x, y), radius in zip(points[4:], _HEADS_MM)
        ),
    ]
    texts = [
        f'<text x="{8 + 63 * i}" y="{_HIGH + 18}" fill="{_COLOURS[name]}">{words}</text>'
        for i, (name, words) in enumerate(zip(ANGLES, said))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH + _LINE}">'
        f'<rect width="{_WIDE}" height="{_HIGH + _LINE}" rx="6" fill="#f5f3ee"/>'
        f'<g fill="none">{"".join(shapes)}</g>'
        f'<g font-family="system-ui, sans-serif" font-size="12" font-weight="650">{"".join(texts)}</g></svg>'
    )
