"""The figure to drag: pelvis and lumbar spine from the side.  Taught in four_angles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lumbo.angles import ANGLES, SIDES, hip_axis, lumbopelvic_angles, s1_midpoint
from lumbo.errors import array, choice, number, require, truth
from lumbo.indices import SCHWAB_BORDERS
from lumbo.pages import exercises, living

__all__ = ["STANDING_MM", "PRESETS", "KNEES_DEG", "Preset", "Pelvis", "posed", "film"]

STANDING_MM = (  # a drawn patient who faces left: SS 39.4, PT 12.4, PI 51.8, LL 53.4 degrees
    (130.0, 220.0), (158.0, 197.0), (114.0, 28.0), (146.0, 36.0), (114.0, 322.0), (126.0, 314.0),
)  # fmt: skip
KNEES_DEG = 40.0  # how far the thighs lean at most
_SS, _PT, _PI, _LL = lumbopelvic_angles(np.array(STANDING_MM), "left").tolist()
_UPRIGHT = "L1 keeps the tilt that it has in the drawn patient"


@dataclass(frozen=True)
class Preset:
    """A pose by its angles in degrees, and where each number comes from; SS is PI − PT."""

    title: str
    pi: float
    pt: float
    ll: float
    source: str

    @property
    def angles_deg(self) -> tuple[float, float, float, float]:
        """SS, PT, PI, LL."""
        return self.pi - self.pt, self.pt, self.pi, self.ll


def _usual_ll(pi: float) -> float:
    """LL that healthy adults of 39 years have at this PI: 10.1007/s00586-016-4702-2, 126 Japanese."""
    return 32.9 + 0.60 * pi - 0.23 * 39


_MEANS = (
    "PI and PT: mean of this type, Laouissat 2018, n = 296; "
    "LL: 32.9 + 0.60 PI − 0.23 age at 39 years, doi 10.1007/s00586-016-4702-2"
)
PRESETS = (
    Preset("standing (drawn patient)", _PI, _PT, _LL, "invented, not a real person"),
    Preset("Roussouly type 2", 41.0, 10.0, _usual_ll(41.0), _MEANS),
    Preset("Roussouly type 3", 53.0, 13.0, _usual_ll(53.0), _MEANS),
    Preset("Roussouly type 4", 62.0, 12.0, _usual_ll(62.0), _MEANS),
    Preset(
        "pelvis swung backwards",
        _PI,
        SCHWAB_BORDERS["PT"][1],
        _LL - (SCHWAB_BORDERS["PT"][1] - _PT),
        f"PI: the drawn patient; PT: border to “++”, Schwab 2012; LL: {_UPRIGHT}",
    ),
    Preset(
        "flat back",
        _PI,
        22.0,
        _PI - SCHWAB_BORDERS["PI-LL"][1],
        "PI: the drawn patient; PT: mean of 178 adults before surgery for deformity, Schwab and Smith 2013; "
        "LL: PI−LL at the border to “++”, Schwab 2012",
    ),
)


def posed(pi_deg: float, pt_deg: float, ll_deg: float) -> list[list[float]]:
    """Pose the drawn patient, facing left: landmarks in mm, (6, 2), with these angles and SS = PI − PT.

    The hip axis, all lengths and the way from the middle of S1 to that of L1 stay those of `STANDING_MM`.

    >>> np.round(lumbopelvic_angles(np.array(posed(60, 20, 50)), "left"), 9).tolist()
    [40.0, 20.0, 60.0, 50.0]
    """
    limits = {"pi_deg": pi_deg, "pt_deg": pt_deg, "ll_deg": ll_deg}
    pi, pt, ll = (number(name, value, -180.0, 180.0) for name, value in limits.items())
    points = np.array(STANDING_MM)
    hips, leg = hip_axis(points), np.hypot(*(s1_midpoint(points) - hip_axis(points)))
    middle = hips + leg * _towards(pt + 90)
    l1 = middle + points[2:4].mean(0) - s1_midpoint(points)
    return [
        *_plate(middle, points[:2], pt - pi),
        *_plate(l1, points[2:4], ll + pt - pi),
        *points[4:].tolist(),
    ]


def _towards(bearing_deg: float) -> np.ndarray:
    """The unit vector of a bearing, forward towards up, in an image whose patient faces left."""
    return -np.array([np.cos(np.radians(bearing_deg)), np.sin(np.radians(bearing_deg))])


def _plate(middle, like, bearing_deg: float) -> list[list[float]]:
    """Front and back corner of a plate as long as `like`, whose front points to a bearing."""
    half = np.hypot(*(like[0] - like[1])) / 2 * _towards(bearing_deg)
    return [(middle + half).tolist(), (middle - half).tolist()]


def film() -> dict:
    """One synthetic patient on film: a JPEG, its landmarks in mm on the film, and the side that they face.

    A healthy adult from the slot scanner of Fir, without metal, both femoral heads on the film.
    """
    from lumbo.films import hospitals  # with torch, which only a film needs

    place = 1
    drawn = hospitals.draw(hospitals.hospital("fir"), "test", seed=1, chunk=0, long_side_px=512, n=place + 1)
    pixels, pixel_mm = drawn.films[place], float(drawn.pixel_mm[place])
    return {
        "image": living.jpeg(pixels),
        "size_mm": [pixels.shape[1] * pixel_mm, pixels.shape[0] * pixel_mm],
        "landmarks": (drawn.landmarks_px[place] * pixel_mm).tolist(),
        "anterior": "left",
    }


def _six_points(value) -> list[list[float]]:
    """Return landmarks as a list of six [x, y], or raise `InputError`."""
    points = array("landmarks", value, (6, 2), missing=True)
    allowed = "six finite [x, y] in millimetres; where one head is not seen, its partner twice"
    require(np.isfinite(points[4:]).all(), "landmarks", points[4:].tolist(), allowed)
    lumbopelvic_angles(points, "left")  # refuses what cannot be measured from either side
    return points.tolist()


def _known_side(value) -> str:
    return choice("anterior", value, SIDES)


def _known_angles(value) -> list[str]:
    """Return names of angles in their usual order."""
    allowed = f"some of {', '.join(ANGLES)}"
    require(isinstance(value, list | tuple), "shown", value, allowed)
    require(all(name in ANGLES for name in value), "shown", value, allowed)
    return [name for name in ANGLES if name in value]


def _pose_to_reach(value) -> dict[str, Any] | None:
    """Return a pose question with its name, or None; a page sends back the question itself."""
    if value is None:
        return None
    name: Any = value.get("name") if isinstance(value, dict) else value
    require(isinstance(name, str), "goal", value, "the name of a question, such as four_angles.retrovert")
    asked = exercises.question(name)
    require(asked["kind"] == "pose", "goal", name, "a question whose kind is pose")
    return {"name": name} | asked


class Pelvis(living.Living):
    """Pelvis and lumbar spine from the side: drag six landmarks, read SS, PT, PI and LL.

    Parameters
    ----------
    landmarks : array-like, shape (6, 2), optional
        Points in the order of `lumbo.angles.LANDMARKS`, millimetres, y down.
    anterior : {"left", "right"}, optional
        The side of the image that the patient faces; by default it is read from S1.
    shown : list of names, optional
        The angles whose lines are drawn at first, by default all four.
    goal : str, optional
        A pose to reach: ``chapter.question`` of a question whose kind is pose.  It asks for angles of
        the drawn patient, so the landmarks must have theirs.

    `landmarks` (a list of six [x, y]), `anterior`, `shown`, `upright` (whether L1 keeps its tilt and its
    way from S1 when the pelvis turns, or turns with it), `knees` (degrees that the thighs lean) and `goal` can be read and set
    at any time: they follow the reader's hand, and the figure follows them.

    Raises
    ------
    InputError
        Landmarks that cannot be measured, an unknown side, angle or goal, knees beyond 0 to 40 degrees;
        the figure stays as it was.

    Examples
    --------
    >>> Pelvis()
    Pelvis(SS 39.4, PT 12.4, PI 51.8, LL 53.4; faces left)
    """

    _esm = living.bundle("posture")
    fields = ("landmarks", "anterior", "shown", "upright", "knees", "goal", "presets")
    payloads: ClassVar[Mapping[str, Callable[[], dict]]] = {"posture-film": film}
    landmarks = living.Checked(_six_points)
    anterior = living.Checked(_known_side)
    shown = living.Checked(_known_angles)
    upright = living.Checked(lambda value: truth("upright", value))
    knees = living.Checked(lambda value: number("knees", value, 0.0, KNEES_DEG))
    goal = living.Checked(_pose_to_reach)
    presets = living.Fixed()

    def __init__(self, landmarks=STANDING_MM, anterior: str | None = None, *, shown=ANGLES, goal=None):
        points = _six_points(landmarks)
        if anterior is None:
            lumbopelvic_angles(points)  # refuses a vertical plate, whose side cannot be read
            anterior = "left" if points[0][0] < points[1][0] else "right"
        poses = [
            {
                "title": one.title,
                "source": one.source,
                "landmarks": np.round(posed(one.pi, one.pt, one.ll), 4).tolist(),
            }
            for one in PRESETS
        ]
        super().__init__(
            landmarks=points,
            anterior=anterior,
            shown=shown,
            upright=True,
            knees=0.0,
            goal=goal,
            presets=poses,
        )
        allowed = "landmarks with the angles of STANDING_MM, for which goals are written"
        require(goal is None or self._stands(), "landmarks", points, allowed)

    @property
    def angles_deg(self) -> np.ndarray:
        """SS, PT, PI, LL of the figure as it stands, shape (4,), degrees."""
        return lumbopelvic_angles(np.array(self.landmarks), self.anterior)

    def check(self) -> exercises.Verdict:
        """Judge the pose as it stands by the goal, or raise `InputError` where there is none."""
        require(self.goal is not None, "goal", None, "a figure with a goal, such as four_angles.retrovert")
        angles = None if self._stands() else dict(zip(ANGLES, self.angles_deg.tolist(), strict=True))
        return exercises.judge(self.goal, angles)

    def _stands(self) -> bool:
        """Whether the angles are those of the drawn patient, whom nobody has moved."""
        return bool((np.abs(self.angles_deg - (_SS, _PT, _PI, _LL)) < 0.05).all())

    def __repr__(self) -> str:
        angles = ", ".join(f"{name} {value:.1f}" for name, value in zip(ANGLES, self.angles_deg, strict=True))
        return f"Pelvis({angles}; faces {self.anterior})"

    def still(self) -> str:
        """Return its lines, its angles, and what to do, as HTML."""
        return _still(np.array(self.landmarks), self.anterior)


# The still picture.
_WIDE, _HIGH, _LINE = 260, 388, 30  # of the film, and of the line of angles under it; as in posture.js
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
        f'<text x="{8 + 63 * i}" y="{_HIGH + 18}" fill="{living.COLOURS[name]}">{words}</text>'
        for i, (name, words) in enumerate(zip(ANGLES, said))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH + _LINE}">'
        f'<rect width="{_WIDE}" height="{_HIGH + _LINE}" rx="6" fill="#f5f3ee"/>'
        f'<g fill="none">{"".join(shapes)}</g>'
        f'<g font-family="system-ui, sans-serif" font-size="12" font-weight="650">{"".join(texts)}</g></svg>'
    )
