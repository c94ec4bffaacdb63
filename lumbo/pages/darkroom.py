"""The film to develop: what energy, dose, scatter and processing do to one patient's film.  Taught in spine_to_film.

The page carries what each ray crosses, and one draw of noise; it counts and develops the film itself, as
`radiograph.expose` and `processing.develop` do for a film on which every factor of variety has its mean.
"""

import io
import zlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, get_type_hints

import numpy as np
import torch
from PIL import Image

from lumbo.angles import SIDES
from lumbo.errors import choice, fields, number, require, truth, whole
from lumbo.films import anatomy, bones, hospitals, populations, processing, radiograph, tissue
from lumbo.films.radiograph import Exposure, Scanner
from lumbo.films.variety import Setting, Variety
from lumbo.pages import living
from lumbo.threads import one_thread

__all__ = ["ENERGIES_KEV", "LIMITS", "LONG_SIDE_PX", "ROOM", "Film", "beam", "payload", "rooms"]

LONG_SIDE_PX = 512
ENERGIES_KEV = 43.8, 65.9  # of `radiograph.WEIGHTS`; from benchmarks/spectrum.py
ROOM = Scanner(  # of the chapter
    source_mm=1500, object_mm=250, slot=False, field_mm=(365, 450), shutters=0, aim_mm=0, photons=40_000, scatter=2, grid=5,
    heel=0.1, blur_mm=0.3, compress=0.4, edge=1, window=(0.06, 0.99), gamma=1.5, spread=1, cut=0, marker=0,
)  # fmt: skip
_OWN = "chapter"  # the name of that room
_TAKEN = ("photons", "scatter", "grid", "heel", "blur_mm", "compress", "edge", "window", "gamma")


def _limits(name: str) -> tuple[float, float]:
    """Read the range of a field of `Scanner` off its annotation."""
    metadata = get_type_hints(Scanner, include_extras=True)[name].__metadata__
    return float(metadata[0].low), float(metadata[0].high)


# Of every number among the settings.  Narrower than `Scanner` says where `processing.develop` stops, where more
# photons change no grey level, and where gamma is so steep that a last digit shows in the darkest pixels.
LIMITS = {name: _limits(name) for name in _TAKEN if name != "window"} | {
    "energy_kev": ENERGIES_KEV,
    "photons": (10.0, 1e6),
    "compress": (0.0, 0.7),
    "gamma": (0.5, 5.0),
    "low": (0.0, 0.5),
    "high": (0.8, 0.998),
}


@dataclass(frozen=True, eq=False)
class _Patient:
    """What the film is made of.

    matter : (2, 1, h, w) millimetres of soft tissue, and of bone in excess of it
    noise : (1, h, w) the standard normal numbers that `radiograph.expose` draws
    l3, beside : slices of rows and columns within the body of L3, and as many in front of it
    """

    matter: torch.Tensor
    exposure: Exposure
    vary: Variety
    noise: torch.Tensor
    l3: tuple[slice, slice]
    beside: tuple[slice, slice]


@cache
def _patient() -> _Patient:
    """The patient of the chapter in the chapter's room: a body of her own, a film with all factors at their means."""
    angles = np.array([[28, 7, 35, 41], [40, 13, 53, 52], [53, 22, 75, 66]])
    trio = populations.with_angles(angles, np.random.default_rng(5))
    body = Variety(np.random.default_rng(14))  # of the first 24 seeds the one whose plates show best
    vary = Variety(np.random.default_rng(7), Setting(dial=0))
    spine = anatomy.spines(trio, body)[1:2]
    exposure = radiograph.aim(spine, ROOM, LONG_SIDE_PX, vary)
    solids = bones.skeleton(spine, np.array([False]), body) + tissue.contents(spine, body)
    with one_thread():
        matter = radiograph.attenuation(solids, tissue.trunk(spine, body), ROOM, exposure)
    generator = torch.Generator("cpu").manual_seed(int(vary.rng("noise").integers(2**62)))  # as expose does
    noise = torch.randn(matter[0].shape, generator=generator)
    l3 = np.insert(spine.bodies_mm[:, 2], 1, 0.0, -1)
    corners = radiograph.project(l3, ROOM, exposure)[0]
    middle, half = corners.mean(0), 0.27 * np.ptp(corners, axis=0)
    before = middle - [4.6 * half[0], 0]
    return _Patient(matter, exposure, vary, noise, _box(middle, half), _box(before, half))


def _box(middle, half) -> tuple[slice, slice]:
    (left, top), (right, bottom) = np.round(middle - half).astype(int), np.round(middle + half).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


@cache
def rooms() -> dict[str, dict[str, Any]]:
    """The chapter's room and those of the hospitals: a title, and how each takes and processes a film.

    Geometry is no part of it: every room gets the same rays through the same patient.
    """
    found = {_OWN: {"title": "The room of this chapter", "settings": _taken(ROOM)}}
    for name, where in hospitals.hospitals().items():
        found[name] = {"title": where.title, "settings": _taken(where.scanner)}
    return found


def _taken(scanner: Scanner) -> dict[str, Any]:
    values = {name: getattr(scanner, name) for name in _TAKEN}
    view = {"energy_kev": None, "noise": True, "inverted": False, "anterior": "left"}
    return values | {"window": list(scanner.window)} | view


def _checked(value: Any) -> dict[str, Any]:
    """Return complete settings as the page keeps them, or raise `InputError`."""
    found = fields("settings", value, set(_taken(ROOM)))
    numbers = {
        name: number(f"settings.{name}", found[name], *LIMITS[name]) for name in _TAKEN if name != "window"
    }
    window, energy = found["window"], found["energy_kev"]
    pair = isinstance(window, list | tuple) and len(window) == 2
    require(pair, "settings.window", window, "[low, high]")
    low, high = (
        number(f"settings.window.{end}", one, *LIMITS[end]) for end, one in zip(("low", "high"), window)
    )
    if energy is not None:
        energy = number("settings.energy_kev", energy, *ENERGIES_KEV)
    return numbers | {
        "window": [low, high],
        "energy_kev": energy,
        "noise": truth("settings.noise", found["noise"]),
        "inverted": truth("settings.inverted", found["inverted"]),
        "anterior": choice("settings.anterior", found["anterior"], SIDES),
    }


def beam(energy_kev: float | None) -> list[tuple[float, float, float]]:
    """Give a beam as (share of the signal, attenuation of soft tissue, what bone adds to it), per mm.

    None is the two energies of `radiograph`.  Between these, muscle and cortical bone follow a power of the energy
    each, which meets the two.

    >>> [f"{value:.4f}" for value in beam(50.0)[0]]
    ['1.0000', '0.0242', '0.0602']
    """
    low, high = zip(radiograph.SOFT, radiograph.BONE)
    if energy_kev is None:
        return list(zip(radiograph.WEIGHTS, radiograph.SOFT, radiograph.BONE))
    share = np.log(energy_kev / ENERGIES_KEV[0]) / np.log(ENERGIES_KEV[1] / ENERGIES_KEV[0])
    soft, cortex = (a * (b / a) ** share for a, b in ((low[0], high[0]), (sum(low), sum(high))))
    return [(1.0, float(soft), float(cortex - soft))]


def _chamber(exposure: Exposure) -> tuple[slice, slice]:
    """Rows and columns of the chamber whose mean signal ends the exposure."""
    middles, halves = (
        np.array(exposure.shape) / 2,
        np.array(radiograph.CHAMBER_MM[::-1]) / exposure.usual_mm / 2,
    )
    rows, columns = (slice(int(m - h), int(m + h) + 1) for m, h in zip(middles, halves))
    return rows, columns


def _counted(settings: Mapping[str, Any], scanner: Scanner) -> tuple[torch.Tensor, float, float]:
    """Return the signal (1, h, w), photons per mm2 in the open beam, and scattered ones for each straight one.

    The signal is that of `radiograph.expose`, but for one energy or without noise, where these are asked for.
    """
    who = _patient()
    (soft, bone), exposure, middle = who.matter, who.exposure, (0, *_chamber(who.exposure))
    primary = torch.zeros_like(soft)
    for weight, mu, more in beam(settings["energy_kev"]):
        primary += weight * torch.exp((-mu * soft).sub_(bone, alpha=more).clamp_(max=0))
    veil = radiograph.scattered(primary, soft, scanner, exposure)
    ratio = float(veil[middle].mean() / primary[middle].mean())
    signal = (primary + veil) * (1 + scanner.heel * torch.linspace(-0.5, 0.5, soft.shape[1])[:, None])
    open_beam = scanner.photons / float(signal[middle].mean())
    one_photon = 1 / (open_beam * float(exposure.pixel_mm[0]) ** 2)
    if settings["noise"]:
        signal = signal + who.noise * torch.sqrt(signal * one_photon)
    signal = radiograph.blur(signal.clamp(min=min(one_photon, 1e-2)), scanner.blur_mm / exposure.usual_mm)
    return signal.clamp_(1e-6, 1), open_beam, ratio


def _grey(settings: Mapping[str, Any]) -> tuple[np.ndarray, float, float]:
    """Return grey levels from 0 to 255 (h, w), bone bright, and the two numbers of `_counted`."""
    scanner = replace(ROOM, **{name: settings[name] for name in _TAKEN})
    who = _patient()
    with one_thread():
        signal, open_beam, ratio = _counted(settings, scanner)
        grey = processing.develop(signal, scanner, who.exposure, who.vary)
    return 255 * grey[0].numpy(), open_beam, ratio


def _shown(grey: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Return the film as it hangs on the screen, (h, w) uint8: its side and its polarity."""
    film = np.round(grey).astype(np.uint8)[None]
    return radiograph.present(film, np.array([settings["anterior"]]), np.array([settings["inverted"]]))[0]


def _read_off(
    grey: np.ndarray, open_beam: float, ratio: float, settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the numbers of `Film.readings` from what `_grey` returns for these settings."""
    who = _patient()
    added = (grey - _grey({**settings, "noise": False})[0])[who.l3]
    means = [float(grey[box].mean()) for box in (who.l3, who.beside)]
    l3, beside = (255 - mean for mean in means) if settings["inverted"] else means
    return {
        "l3": l3,
        "beside": beside,
        "noise": float(added.std()),
        "open_beam": open_beam,
        "scatter": ratio,
    }


def payload() -> dict[str, Any]:
    """What the page needs to count and develop the film: matter, noise, rooms, limits and constants."""
    who, exposure = _patient(), _patient().exposure
    soft, bone = (layer[0].numpy() for layer in who.matter)
    return {
        "shape": list(exposure.shape),
        "usual_mm": float(exposure.usual_mm),
        "pixel_mm": float(exposure.pixel_mm[0]),
        "soft": _packed(soft, np.uint16),
        "bone": _packed(bone, np.uint16),
        "noise": _packed(who.noise[0].numpy(), np.uint16),
        "beam": beam(None),
        "energies_kev": list(ENERGIES_KEV),
        "scatter_mm": radiograph.SCATTER_MM,
        "scatter_depth_mm": radiograph.SCATTER_DEPTH_MM,
        "compress_mm": processing.COMPRESS_MM,
        "edge_mm": processing.EDGE_MM,
        "knee": processing.KNEE,
        "skin": processing.SKIN,
        "chamber": _corners(_chamber(exposure)),
        "l3": _corners(who.l3),
        "beside": _corners(who.beside),
        "rooms": rooms(),
        "limits": {name: list(limits) for name, limits in LIMITS.items()},
    }


def _packed(values: np.ndarray, kind: type[np.unsignedinteger]) -> dict[str, Any]:
    """Numbers as whole ones: low + step * whole; deflated, in base64, the lower byte first."""
    low = float(values.min())
    step = float(values.max() - low) / np.iinfo(kind).max
    whole_ones = np.round((values - low) / step).astype(np.dtype(kind).newbyteorder("<"))
    return {"low": low, "step": step, "data": b64encode(zlib.compress(whole_ones.tobytes(), 9)).decode()}


def _corners(box: tuple[slice, slice]) -> list[int]:
    """Top, bottom, left and right of a box of pixels, the second and the last outside."""
    rows, columns = box
    return [rows.start, rows.stop, columns.start, columns.stop]


class Film(living.Living):
    """One patient's film, and everything by which a room takes and processes it.

    Parameters
    ----------
    room : str, optional
        "chapter", or the name of a hospital: where the settings start, and what the film is compared with.
    line_px : int, optional
        The row of the film whose grey levels are drawn; by default through L3.
    settings : keywords, optional
        By name, what differs from the room's: `photons` (per mm2 behind the middle of the patient), `scatter`, `grid`,
        `heel`, `blur_mm`, `compress`, `edge`, `window` [low, high], `gamma`, as in `radiograph.Scanner`;
        `energy_kev`, a single energy instead of the room's two; `noise` (true or false); `inverted` (true: bone dark);
        `anterior`, the side that the patient faces.

    `room`, `settings` (a dict of them all) and `line_px` can be read and set at any time: they follow the reader's
    hand, and the figure follows them.

    Raises
    ------
    InputError
        An unknown room, a setting that there is none of or that is out of its range; the figure stays as it was.

    Examples
    --------
    >>> Film(photons=300, window=(0.1, 0.99))
    Film('chapter', photons=300.0, window=[0.1, 0.99])
    """

    _esm = living.bundle("darkroom")
    fields = ("room", "settings", "line_px")
    payloads = {"darkroom": payload}
    room = living.Checked(lambda value: choice("room", value, rooms()))
    settings = living.Checked(_checked)
    line_px = living.Checked(lambda value: whole("line_px", value, 0, LONG_SIDE_PX - 1))

    def __init__(self, room: str = _OWN, line_px: int | None = None, **settings):
        usual = rooms()[choice("room", room, rooms())]["settings"]
        if line_px is None:
            rows = _patient().l3[0]
            line_px = (rows.start + rows.stop) // 2
        super().__init__(room=room, settings=usual | settings, line_px=line_px)

    @property
    def film(self) -> np.ndarray:
        """The film as it is shown, (512, 416) uint8."""
        return _shown(_grey(self.settings)[0], self.settings)

    @property
    def readings(self) -> dict[str, float]:
        """What the figure says in numbers.

        l3, beside : mean grey level in the body of L3, and in front of it;  noise : SD of what noise adds in L3
        open_beam : photons per mm2 beside the patient;  scatter : scattered for each straight photon, in the middle
        """
        return _read_off(*_grey(self.settings), self.settings)

    def __repr__(self) -> str:
        usual = rooms()[self.room]["settings"]
        changed = [f", {name}={value!r}" for name, value in self.settings.items() if value != usual[name]]
        return f"Film({self.room!r}{''.join(changed)})"

    def still(self) -> str:
        """Return the film at half its pixels, what it shows, and what to do, as HTML."""
        counted, file = _grey(self.settings), io.BytesIO()
        film, found = _shown(counted[0], self.settings), _read_off(*counted, self.settings)
        height, width = film.shape
        small = film.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        Image.fromarray(small.round().astype(np.uint8)).save(file, "png", optimize=True)
        words = (
            f"Lateral film of a lumbar spine, the patient facing {self.settings['anterior']}: mean grey level "
            f"{found['l3']:.0f} in L3, {found['beside']:.0f} in front of it, noise {found['noise']:.1f}"
        )
        return living.picture(file.getvalue(), words, width, _CAPTION)


_CAPTION = "A still picture: to change it, the page must run scripts, and in Jupyter be trusted. Not for clinical use."
