"""Living figures, with a kernel and without.  Taught in four_angles.

A figure is one ES module in ``lumbo/pages/static``.  In Jupyter, anywidget runs it and keeps its
state in step with Python; in a rendered page the output's ``text/html`` runs the same
module on a plain object, so that it lives from a file, with no kernel and no network.
"""

import json
from importlib.resources import files

import anywidget
import numpy as np
import traitlets

from lumbo.angles import ANGLES, SIDES, lumbopelvic_angles
from lumbo.errors import InputError, require

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
    .catch(() => { el.textContent = box.querySelector("noscript").textContent; })
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
    allowed = "six finite [x, y] in millimetres; where one head is not seen, its partner twice"
    try:
        points = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("landmarks", value, allowed) from error
    require(points.shape == (6, 2), "landmarks", points.shape, allowed)
    require(np.isfinite(points[4:]).all(), "landmarks", points[4:].tolist(), allowed)
    lumbopelvic_angles(points, "left")  # refuses what cannot be measured from either side
    return points.tolist()


def _known_side(value) -> str:
    require(value in tuple(SIDES), "anterior", value, "'left' or 'right'")
    return value


def static_mount(esm: str, state: dict, fallback: str) -> str:
    """Return HTML that runs `esm` on `state` in any page; `fallback` is read where scripts are off."""
    payload = json.dumps({"esm": esm, "state": state}).replace("<", "\\u003c")
    return (
        f'<div class="lumbo-static"><noscript>{fallback}</noscript>'
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
        data["text/html"] = static_mount(self._esm, state, f"{self!r}. The figure needs JavaScript.")
        return data, metadata
