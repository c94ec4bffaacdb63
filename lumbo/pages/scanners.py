"""The figure of six rooms: one patient in each, and one factor of variety at a time.  Taught in four_hospitals."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import ClassVar, get_type_hints

import numpy as np
from PIL import Image

from lumbo.errors import choice, whole
from lumbo.films import hospitals, radiograph, variety
from lumbo.pages import living

__all__ = ["HOME", "FACTORS", "AMOUNTS", "Hospitals", "shot"]

HOME = "aspen"  # whose patient it is, and in whose room factors are shown
# Of a patient whose bones show well in each room, and whose curve turns L1 out of the film's plane.
_SEED = 10
_HIGH_PX, _QUALITY = 512, 92  # of each film, and of its JPEG
AMOUNTS = (-2, -1, 0, 1, 2)  # SD from the mean
FACTORS = {  # those that can be seen, in groups
    "body.sag": "Bone",
    "bone.young": "Bone",
    "arch.foramen": "Bone",
    "sacrum.remnant": "Bone",
    "trunk.depth": "Soft tissue",
    "trunk.fat": "Soft tissue",
    "trunk.grain": "Soft tissue",
    "soft.cloud": "Soft tissue",
    "bowel.stool": "Soft tissue",
    "field.zoom": "Taking the film",
    "field.turn": "Taking the film",
    "field.tilt": "Taking the film",
    "processing.gamma": "Processing",
    "processing.edge": "Processing",
    "processing.local": "Processing",
}
_BY_ROOM = ("field.zoom", "processing.")  # of these a room's `spread` takes a share
_SEEN = 4  # grey levels of 255: a pixel that differs by more is counted as brighter or darker
_LINES: dict[str, tuple[str, Callable]] = {  # of a room: what it is called, and how its value is written
    "source_mm": ("Tube to detector, mm", "{:,}".format),
    "object_mm": ("Patient to detector, mm", "{:,}".format),
    "slot": ("Beam", lambda slot: "moving fan" if slot else "cone"),
    "field_mm": ("Largest field, mm", lambda size: "{:g} × {:g}".format(*size)),
    "photons": ("Photons per mm²", "{:,}".format),
    "scatter": ("Scattered / straight", "{:g}".format),
    "grid": ("Grid divides that by", lambda by: "no grid" if by == 1 else f"{by:g}"),
    "heel": ("Heel effect", "{:.0%}".format),
    "blur_mm": ("Blur, mm", "{:g}".format),
    "compress": ("Flattening", "{:.0%}".format),
    "edge": ("Edge enhancement", "{:g}".format),
    "gamma": ("Gamma", "{:g}".format),
}


def _known_room(value) -> str:
    return choice("room", value, hospitals.hospitals())


def _known_other(value) -> str | None:
    return None if value is None else choice("other", value, hospitals.hospitals())


def _known_factor(value) -> str | None:
    return None if value is None else choice("factor", value, FACTORS)


def _known_amount(value) -> int:
    return whole("amount", value, AMOUNTS[0], AMOUNTS[-1])


@cache
def shot(room: str = HOME, factor: str | None = None, amount: int = 0) -> hospitals.FilmSet:
    """Take the one film of the figure's patient in a room; every factor but `factor` has its mean.

    The patient is Aspen's, without metal, in whatever room: where only the scanner differs, the patient does not.
    """
    home = hospitals.hospital(HOME)
    where = replace(home, implanted=0.0, scanner=hospitals.hospital(room).scanner)
    scores = dict.fromkeys(variety.factors(), 0.0) | ({factor: float(amount)} if factor else {})
    setting = variety.Setting(scores=scores)
    return hospitals.draw(where, "test", _SEED, 0, _HIGH_PX, n=1, setting=setting)


@cache
def _picture(room: str = HOME, factor: str | None = None, amount: int = 0) -> dict:
    """A film, its landmarks and what they measure, as JSON has them."""
    taken = shot(room, factor, amount)
    return {
        "image": living.jpeg(taken.films[0], _QUALITY),
        "landmarks_px": taken.landmarks_px[0].round(3).tolist(),
        "angles_deg": taken.angles_deg[0].round(3).tolist(),
        "pixel_mm": round(float(taken.pixel_mm[0]), 4),
    }


def _rooms() -> dict:
    """The patient in each room, with the lines of the room's file; the payload of the rooms."""
    hints = get_type_hints(radiograph.Scanner, include_extras=True)
    rooms = {}
    for name, where in hospitals.hospitals().items():
        values = vars(where.scanner)
        lines = [write(values[field]) for field, (_, write) in _LINES.items()]
        enlarged = radiograph.magnification(0.0, where.scanner)[0]
        title, _, kind = where.title.partition(": ")
        rooms[name] = _picture(name) | {
            "title": title,
            "kind": kind,
            "lines": [*lines, f"{enlarged:.2f}"],
        }
    return {
        "size_px": list(shot().films.shape[:0:-1]),
        "patient_deg": shot().anatomical_deg[0].round(3).tolist(),
        "lines": [[label, hints[field].__metadata__[-1]] for field, (label, _) in _LINES.items()]
        + [["Enlarges by", "size on the film over size in the patient, at the patient's middle"]],
        "rooms": rooms,
    }


def _factor(name: str) -> dict:
    """The patient with one factor at each amount, and what that changes; the payload of a factor."""
    spec, usual = variety.factors()[name], shot().films[0].astype(int)
    changes = [shot(HOME, name, amount).films[0] - usual for amount in AMOUNTS]
    return {
        "size_px": list(usual.shape[::-1]),
        "title": _title(name),
        "law": spec["law"],
        "source": spec["source"],
        "between": bool(spec.get("between")),
        "share": hospitals.hospital(HOME).scanner.spread if name.startswith(_BY_ROOM) else 1,
        "values": [_value(name, amount) for amount in AMOUNTS],
        "differs": [round(float(abs(change).mean()), 3) for change in changes],
        "brighter": [round(float((change > _SEEN).mean()), 4) for change in changes],
        "darker": [round(float((change < -_SEEN).mean()), 4) for change in changes],
        "films": [_picture(HOME, name, amount) for amount in AMOUNTS],
    }


def _title(name: str) -> str:
    """What a factor is called, in the words of the chapters."""
    return variety.factors()[name]["title"].replace("equalisation", "flattening")


def _value(name: str, amount: int) -> float:
    """What a factor is at this many SD from its mean."""
    vary = variety.Variety(np.random.default_rng(0), variety.Setting(scores={name: float(amount)}))
    return float(f"{vary(name, 1, 1)[0, 0]:.3g}")


class Hospitals(living.Living):
    """One patient in the rooms of six hospitals, and one factor of variety at a time.

    Parameters
    ----------
    room : str, optional
        The hospital in whose room the film is taken.
    factor : str or None, optional
        One of `FACTORS`: then the film is Aspen's, and all other factors have their means.
    amount : int, optional
        How many SD the factor is from its mean, -2 to 2.
    other : str or None, optional
        A second room, to be seen beside the first or with a slider between them.

    All four can be read and set at any time: they follow the reader's hand, and the figure follows them.

    Raises
    ------
    InputError
        An unknown room or factor, or an amount that is no whole number from -2 to 2; the figure stays as it was.

    Examples
    --------
    >>> Hospitals("birch", other="cedar")
    Hospitals(in birch and in cedar)
    >>> Hospitals(factor="bone.young", amount=-2)
    Hospitals(bone.young at -2 SD)
    """

    _esm = living.bundle("scanners")
    fields = ("room", "other", "factor", "amount")
    payloads: ClassVar = {"scanners-rooms": _rooms} | {
        f"scanners-{name.replace('.', '-')}": partial(_factor, name) for name in FACTORS
    }
    room = living.Checked(_known_room)
    other = living.Checked(_known_other)
    factor = living.Checked(_known_factor)
    amount = living.Checked(_known_amount)

    def __init__(
        self, room: str = HOME, factor: str | None = None, amount: int = 0, other: str | None = None
    ):
        super().__init__(room=room, factor=factor, amount=amount, other=other)

    @property
    def angles_deg(self) -> np.ndarray:
        """SS, PT, PI, LL of the film that is shown, shape (4,), degrees."""
        return (shot(HOME, self.factor, self.amount) if self.factor else shot(self.room)).angles_deg[0]

    def __repr__(self) -> str:
        if self.factor:
            return f"Hospitals({self.factor} at {self.amount:+d} SD)"
        return f"Hospitals(in {self.room}{f' and in {self.other}' if self.other else ''})"

    def still(self) -> str:
        """Return the six rooms, or the five amounts of the factor, in one picture, as HTML."""
        if self.factor:
            seen: dict[str, tuple] = {
                f"{amount:+d} SD" if amount else "the mean": (HOME, self.factor, amount) for amount in AMOUNTS
            }
            words, say = f"One patient and one factor, {_title(self.factor)}", ""
        else:
            seen = {
                hospitals.hospital(name).title.partition(":")[0]: (name,) for name in hospitals.hospitals()
            }
            words, say = "One patient in the rooms of six hospitals", " LL reads {:.1f}°"
        taken = {label: shot(*of) for label, of in seen.items()}
        found = ", ".join(label + say.format(film.angles_deg[0, 3]) for label, film in taken.items())
        true = f"; in the patient LL is {shot().anatomical_deg[0, 3]:.1f}°" if say else ""
        return living.picture(
            _sheet([film.films[0] for film in taken.values()]),
            f"{words}. From left to right: {found}{true}.",
            _SHEET_PX,
            f"{words}. A still picture: to compare the films, the page must run scripts, and in Jupyter be "
            "trusted. Not for clinical use.",
        )


_SHEET_PX, _SHEET_STEP = 720, 8  # width of the still picture, and its step of grey: so it stays small


def _sheet(films: list[np.ndarray]) -> bytes:
    """Put films side by side, as a PNG."""
    high, wide = films[0].shape
    small = _SHEET_PX // len(films)
    row = [
        np.asarray(Image.fromarray(film).resize((small, small * high // wide), Image.Resampling.LANCZOS))
        for film in films
    ]
    grey = np.concatenate(row, 1).astype(int) // _SHEET_STEP
    sheet = Image.fromarray((grey * _SHEET_STEP + _SHEET_STEP // 2).astype(np.uint8))
    stored = io.BytesIO()
    sheet.save(stored, "PNG", optimize=True)
    return stored.getvalue()
