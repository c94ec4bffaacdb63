"""Living figures, with a kernel and without.  Taught in four_angles.

A figure is one ES module in ``lumbo/pages/static``.  In Jupyter, anywidget runs it and keeps its
state in step with Python; in a rendered page the output's ``text/html`` runs the same
module on a plain object, so that it lives from a file, with no kernel and no network.
"""

import json
from importlib.resources import files
from urllib.parse import quote

import anywidget
import numpy as np
import traitlets

from lumbo.angles import ANGLES, SIDES, hip_axis, lumbopelvic_angles, s1_midpoint
from lumbo.errors import array, choice, require

__all__ = ["STANDING_MM", "static_mount", "Pelvis"]

STANDING_MM = (  # a drawn patient who faces left: SS 39.4, PT 12.4, PI 51.8, LL 53.4 degrees
    (130.0, 220.0), (158.0, 197.0), (114.0, 28.0), (146.0, 36.0), (114.0, 322.0), (126.0, 314.0),
)  # fmt: skip

# What anywidget's model does, without a kernel.  The page's own scripts reach it as `.lumbo`.
_MOUNT = """\
(box => {
  const {esm, state} = JSON.parse(box.querySelector("script").textContent), calls = {};
  const model = box.lumbo = {
    get: key => state[key],
    set: (key, value) => { state[key] = value; (calls["change:" + key] ?? []).forEach(call => call()); },
    on: (event, call) => { (calls[event] ??= []).push(call); },
    off: (event, call) => { calls[event] = (calls[event] ?? []).filter(other => other !== call); },
    save_changes: () => {},
  };
  const url = URL.createObjectURL(new Blob([esm], {type: "text/javascript"}));
  const el = box.appendChild(document.createElement("div"));
  import(url).then(module => module.default.render({model, el}))
    .then(() => box.querySelector("figure").remove(), () => el.remove())
    .finally(() => URL.revokeObjectURL(url));
})(document.currentScript.parentElement)"""


class _Checked(traitlets.TraitType):
    """A trait that holds what `check` returns; `check` raises `InputError` before anything changes."""

    def __init__(self, check):
        super().__init__()
        self.check = check
        self.tag(sync=True)

    def validate(self, obj, value):
        return self.check(value)


def _six_points(value) -> list[list[float]]:
    """Return landmarks as a list of six [x, y], or raise `InputError`."""
    points = array("landmarks", value, (6, 2), missing=True)
    allowed = "six finite [x, y] in millimetres; where one head is not seen, its partner twice"
    require(np.isfinite(points[4:]).all(), "landmarks", points[4:].tolist(), allowed)
    lumbopelvic_angles(points, "left")  # refuses what cannot be measured from either side
    return points.tolist()


def _known_side(value) -> str:
    return choice("anterior", value, SIDES)


def static_mount(esm: str, state: dict, still: str) -> str:
    """Return HTML that runs `esm` on `state` in any page; `still`, in HTML, stands there until it has run.

    So it stays where scripts are off, are stripped from the page, or fail.
    """
    payload = json.dumps({"esm": esm, "state": state}).replace("<", "\\u003c")
    return (
        f'<div class="lumbo-static"><figure>{still}</figure>'
        f'<script type="application/json">{payload}</script><script>{_MOUNT}</script></div>'
    )


class Pelvis(anywidget.AnyWidget):
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

    _esm = files("lumbo.pages").joinpath("static", "pelvis.js").read_text(encoding="utf-8")
    landmarks = _Checked(_six_points)
    anterior = _Checked(_known_side)

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

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        state = {"landmarks": self.landmarks, "anterior": self.anterior}
        data["text/html"] = static_mount(self._esm, state, _still(np.array(self.landmarks), self.anterior))
        return data, metadata


# The still picture.  Not inline: Jupyter strips <svg> from a notebook that is not trusted, and leaves <img>.
_WIDE, _HIGH, _LINE = 260, 388, 30  # of the film, and of the line of angles under it; as in pelvis.js
_COLOURS = dict(zip(ANGLES, ("#0063a8", "#b84a00", "#9a2f8f", "#00755a")))
_HEADS_MM = 25, 22.5  # radii of the near head and the far one
_CAPTION = "A still picture: to drag the points, the page must run scripts, and in Jupyter be trusted."


def _still(points: np.ndarray, anterior: str) -> str:
    """Return HTML that shows the figure without scripts: its lines, its angles, and what to do."""
    angles = lumbopelvic_angles(points, anterior)
    rounded = np.round(angles, 1) + 0.0  # never "-0.0"
    said = [f"{name} {value:.1f}°".replace("-", "−") for name, value in zip(ANGLES, rounded)]
    picture = f"data:image/svg+xml,{quote(_drawing(points, anterior, said))}"
    words = f"Lumbar spine and pelvis from the side, facing {anterior}: {', '.join(said)}"
    return f'<img src="{picture}" alt="{words}" width="{_WIDE}"><figcaption>{_CAPTION}</figcaption>'


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
