"""How much films differ: every factor with its spread and its source, and one dial.  Taught in spine_to_film.

``data_synth/variety.toml`` lists the factors.  A factor has a *score* for each patient (or film) and one for each
of its elements, both standard normals cut at `CUT`; what it does follows from its law:

- ``normal``: mean + dial * (between * score of the patient + within * score of the element)
- ``log``: mean * exp(the same sum), a factor that is never negative
- ``rate``: it is there in a share ``rate`` of cases, with an amount that is ``normal``, times the dial (at most 1.5)

At dial 0 every factor has its mean, and what has a rate is nowhere; at 1 the spreads are those of the file.  The dial
touches neither who the patient is (`populations`) nor what is left to chance (`Variety.rng`): where a bubble lies in the
belly, how large a letter is, which metal a surgeon chose.  So films of dial 0 still differ.  Each factor draws from a generator of
its own, so changing one leaves all the others as they are.
"""

import zlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import numpy as np

from lumbo import store
from lumbo.errors import choice, fields, instance, number, require, text

__all__ = ["BODILY", "CUT", "LAWS", "USUAL", "Setting", "Variety", "factors", "check_factors"]

BODILY = ("body", "disc", "column", "pelvis", "sacrum", "arch", "bone")  # what a patient keeps
CUT = 2.5  # scores beyond it are moved to it
LAWS = {
    "normal": {"mean", "between", "within"},
    "log": {"mean", "between", "within"},
    "rate": {"rate", "mean", "between", "within"},
}


@dataclass(frozen=True)
class Setting:
    """How the factors are set.

    dial : multiplies every spread; 0 none, 1 as the file says
    scores : by name, a score that this factor has for every patient, instead of a drawn one; for every
        element where it has no spread between patients
    without : names of factors whose spread is left out
    """

    dial: float = 1.0
    scores: dict[str, float] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def __post_init__(self):
        number("dial", self.dial, 0.0, 3.0)
        for name, score in instance("scores", self.scores, dict).items():
            number(f"scores.{choice('scores', name, factors())}", score, -5.0, 5.0)
        listed = isinstance(self.without, list | tuple)
        require(listed, "without", self.without, "a list of names of factors")
        object.__setattr__(
            self, "without", tuple(choice("without", name, factors()) for name in self.without)
        )


class Variety:
    """The factors of some films, each drawn when it is asked for.

    rng : one number of it is the root of every factor's own generator
    whose : (n,) the film whose body each film shows, for patients who come back; by default its own
    """

    def __init__(
        self, rng: np.random.Generator, setting: Setting | None = None, whose: np.ndarray | None = None
    ):
        self.setting = USUAL if setting is None else setting
        self._root, self._whose = int(rng.integers(2**62)), whose

    def whose(self, n: int) -> np.ndarray:
        """For each of `n` films the film whose body it shows, (n,)."""
        return np.arange(n) if self._whose is None else self._whose

    def rng(self, name: str) -> np.random.Generator:
        """Give the generator that belongs to a name, for what is chance but no factor."""
        return np.random.default_rng([self._root, zlib.crc32(name.encode())])

    def __call__(self, name: str, n: int, k: int | None = None) -> np.ndarray:
        """Draw the factor called `name`: (n,), or (n, k) where it differs between `k` elements."""
        spec, rng = factors()[name], self.rng(name)
        shape = (n,) if k is None else (n, k)
        dial = 0.0 if name in self.setting.without else self.setting.dial
        own = rng.standard_normal(n).clip(-CUT, CUT)
        each = rng.standard_normal((n, k or 0)).clip(-CUT, CUT)
        struck = rng.random(shape) < spec.get("rate", 1.0)
        if name.split(".")[0] in BODILY:
            own, each, struck = (values[self.whose(n)] for values in (own, each, struck))
        if name in self.setting.scores:
            score = float(self.setting.scores[name])
            own, each = own * 0 + score, each * 0 + (0.0 if spec.get("between") else score)
            struck = np.full(shape, score > 0)
        between, within = dial * spec.get("between", 0.0), dial * spec.get("within", 0.0)
        spread = between * own if k is None else between * own[:, None] + within * each
        mean = np.asarray(spec["mean"], float)
        if spec["law"] == "log":
            return mean * np.exp(spread)
        if spec["law"] == "rate":
            return np.where(struck, min(dial, 1.5) * (mean + spread).clip(min=0), 0.0)
        return mean + spread + np.zeros(shape)


@cache
def factors() -> dict[str, dict]:
    """Read and check ``data_synth/variety.toml``: every factor by its name, such as "disc.share"."""
    return check_factors(store.read_toml(files("data_synth").joinpath("variety.toml")))


def check_factors(table: dict) -> dict[str, dict]:
    """Return the factors of a table of groups by "group.name", or raise `InputError` naming the field."""
    found = {}
    for group, members in instance("variety", table, dict).items():
        for name, spec in instance(f"variety.{group}", members, dict).items():
            found[f"{group}.{name}"] = _check_factor(f"{group}.{name}", spec)
    return found


def _check_factor(name: str, spec: dict) -> dict:
    law = choice(f"{name}.law", instance(name, spec, dict).get("law"), LAWS)
    fields(name, spec, {"law", "title", "source", *LAWS[law]}, {"between", "within"})
    for key in ("title", "source"):
        text(f"{name}.{key}", spec[key])
    means = spec["mean"] if isinstance(spec["mean"], list) else [spec["mean"]]
    require(means, f"{name}.mean", means, "a number, or a list of some")
    for mean in means:
        number(f"{name}.mean", mean, -500.0, 500.0)
    require(law != "log" or min(means) > 0, f"{name}.mean", spec["mean"], "more than 0, as its law is log")
    for key in ("between", "within"):
        number(f"{name}.{key}", spec.get(key, 0.0), 0.0, 100.0)
    if law == "rate":
        number(f"{name}.rate", spec["rate"], 0.0, 1.0)
    return spec


USUAL = Setting()
