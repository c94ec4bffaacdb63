"""How a door is made, and what an argument of a name may be, wherever it stands."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from hostile.mutations import Rng
from hostile.trials import Asks, Door, Opens, Ruin
from hostile.world import here

from lumbo import store
from lumbo.films.hospitals import Split
from lumbo.pages import posture
from lumbo.specs import Range

Whole = Annotated[int, Range(0)]
Counted = Annotated[int, Range(1)]
Shares = Annotated[tuple[float, ...], Range(0, 1)]
Reading = tuple[Literal["local"], Literal["internal"]]
HINTS: dict[str, Any] = {  # what an argument of this name may be, wherever it stands
    "a": Reading,
    "angle": Literal["SS"],
    "answered": Shares,
    "anterior": Literal["left", "right"],
    "batch": Counted,
    "chunk": Whole,
    "columns": Counted,
    "count": Counted,
    "device": Literal["cpu"],
    "formats": tuple[Literal["png", "dicom"], ...],
    "level": Annotated[float, Range(0, 1)],
    "levels": Shares,
    "limit_deg": Annotated[float, Range(0)],
    "long_side_px": Annotated[int, Range(32, 2048)],
    "mixture": Annotated[dict[str, float], Range(0)],
    "n": Whole,
    "name": Literal["full"],
    "network": Literal["landmarks"],
    "only": Annotated[tuple[int, ...], Range(0, 0)],
    "p": Shares,
    "patients": Annotated[dict[str, int], Range(1)],
    "reading": Reading,
    "reference": Literal["truth", "rated"],
    "resamples": Counted,
    "seed": Annotated[int, Range(0, 10**9)],
    "seeds": Counted,
    "site": Literal["aspen"],
    "size": Annotated[float, Range(1e-3)],
    "split": Split,
    "tests": tuple[Literal["internal"], ...],
    "workers": Counted,
}
ODD_SIZES = {"33": 33, "40": 40}
ENDS = {"0": 0.0, "1": 1.0}
MORE_FIELDS = {"a field more", "a number as a field", "a field with a long name"}
FREE = {"a rank more", "a rank less", "empty"}  # arrays with any number of leading axes
STANDING = np.array(posture.STANDING_MM)


def asks(call: Callable, arguments: dict[str, Any], name: str = "", **rest: Any) -> Door:
    """Make a door of arguments, called by what it calls."""
    name = name or f"{call.__module__.removeprefix('lumbo.')}.{call.__qualname__}"
    return Door(name, Asks(call, arguments, HINTS | rest.pop("hints", {}), **rest))


def opens(name: str, read: Callable[[Path], Any], whole: Path, *ruins: Ruin, strict: bool = False) -> Door:
    """Make a door of files."""
    return Door(name, Opens(read, whole, ruins, strict))


def but(names: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    """Leave something out."""
    return {name: one for name, one in names.items() if name not in left_out}


def rng() -> Rng:
    """Make a generator to pass in."""
    return np.random.default_rng(0)


def in_the_way() -> dict[str, Path]:
    """Name paths at which no folder can be made, and none that would hurt."""
    file = store.write_atomic(here().folder / "file", b"")
    return {"a file": file, "in a file": file / "a"}
