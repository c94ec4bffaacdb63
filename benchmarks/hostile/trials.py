"""Trials and the two kinds of doors that most of them go through: those of arguments and those of files."""

import contextlib
import copy
import json
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from inspect import signature
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from hostile.mutations import (
    COLUMNS,
    NO_ARRAY,
    USUAL,
    USUAL_ARGUMENT,
    Place,
    Rng,
    just,
    misfit,
    pick,
    places,
    planted,
    wrong,
)  # fmt: skip
from hostile.world import here
from matplotlib.figure import Figure
from torch import nn

from lumbo import films, films_1, store
from lumbo.experiment import claims
from lumbo.learning import models
from lumbo.rows import Rows

UNUSUAL = 0.2  # share of the trials at a door of arguments whose input is valid
LISTED = 0.3  # and of the others, the share of those whose wrong value the door itself lists


class Trial(NamedTuple):
    """One call, and what must come of it.

    what : what was done to valid input
    right : whether an answer is the right one; None where none is
    refuses : whether it may be refused
    """

    what: str
    call: Callable[[], Any]
    right: Callable[[Any], bool] | None = None
    refuses: bool = True


class Door(NamedTuple):
    """A door: its name, which begins with its room, and a function that makes a trial of a generator."""

    name: str
    trial: Callable[[Rng], Trial]


@contextlib.contextmanager
def nothing_begun() -> Iterator[None]:
    """Fail where a film is drawn, a step is taken or a claim is judged."""

    def begun(*_, **__):
        raise AssertionError("work was begun before the input was refused")

    work = [
        (films.hospitals, "draw"),
        (films_1.hospitals, "draw"),
        (claims, "ledger"),
        *((network, "score") for network in models.NETWORKS.values()),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name in work:
            stack.enter_context(patch.object(owner, name, begun))
        yield


def same(one: Any, other: Any) -> bool:
    """Whether two answers are the same, reals but for the order of sums; one figure is like another."""
    match one:
        case Figure():
            return isinstance(other, Figure)
        case np.ndarray() | torch.Tensor():
            one, other = np.asarray(one), np.asarray(other)
            if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
                return False
            real = one.dtype.kind == "f"
            return np.allclose(one, other, 1e-9, 1e-9, equal_nan=True) if real else np.array_equal(one, other)
        case pd.DataFrame():
            return same(one.to_dict("list"), other.to_dict("list"))
        case nn.Module():
            return same(one.state_dict(), other.state_dict())
        case dict():
            alike = isinstance(other, dict) and list(one) == list(other)
            return alike and all(same(one[key], other[key]) for key in one)
        case list() | tuple():
            alike = isinstance(other, list | tuple) and len(one) == len(other)
            return alike and all(map(same, one, other))
        case float():
            return isinstance(other, float) and (one == other or (isnan(one) and isnan(other)))
    return same(vars(one), vars(other)) if is_dataclass(one) and not isinstance(one, Rows) else one == other


# ---------------------------------------------------------------- doors of arguments


@dataclass
class Asks:
    """A door of arguments: one place in valid ones is wrong, or written in another way.

    hints : annotations, by argument
    more, unusual : other values that are wrong, and that are valid, by argument and name
    spared : names of mutations that leave an argument valid
    valid : whether valid input may be given; not where the answer takes minutes
    """

    call: Callable
    arguments: dict[str, Any]
    hints: dict[str, Any] = field(default_factory=dict)
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unusual: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    spared: Mapping[str, set[str]] = field(default_factory=dict)
    valid: bool = True

    def __call__(self, rng: Rng) -> Trial:
        """Make a trial."""
        if self.valid and rng.random() < UNUSUAL:
            place = pick(self.places, rng)
            ways = self.ways(place)
            if ways:
                name, write = pick(ways.items(), rng)
                return Trial(
                    f"{place}: {name}",
                    lambda: self.answer(place, write),
                    lambda found: same(found, self.usual),
                    refuses=False,
                )
        place, name, mutate = self.fault(rng)

        def refuse() -> Any:
            with nothing_begun():
                return self.answer(place, lambda value: mutate(value, rng))

        return Trial(f"{place}: {name}", refuse)

    @cached_property
    def places(self) -> list[Place]:
        """Every place in the arguments."""
        return [place for place in places(self.arguments, self.hints) if place.path]

    @cached_property
    def optional(self) -> set[str]:
        """Arguments that may be None."""
        return {name for name, one in signature(self.call).parameters.items() if one.default is None}

    @cached_property
    def usual(self) -> Any:
        """The answer to the arguments as they are."""
        return self.answer(self.places[0], lambda value: value)

    def answer(self, place: Place, change: Callable[[Any], Any]) -> Any:
        """Call with one place changed, in a copy of everything."""
        return self.call(**planted(copy.deepcopy(self.arguments), place.path, change))

    def ways(self, place: Place) -> dict[str, Callable[[Any], Any]]:
        """Other ways to write what stands at a place."""
        argument = place.path[0]
        found = (USUAL_ARGUMENT if len(place.path) == 1 else USUAL).get(type(place.value), {})
        if len(place.path) == 1:
            found = found | {
                name: lambda _, one=one: one for name, one in self.unusual.get(argument, {}).items()
            }
        return {name: way for name, way in found.items() if name not in self.spared.get(argument, ())}

    def fault(self, rng: Rng) -> tuple[Place, str, Callable]:
        """Pick a place and a mutation that makes it wrong."""
        while True:
            place = pick(self.places, rng)
            argument = place.path[0]
            listed = self.more.get(argument, {}) if len(place.path) == 1 and rng.random() < LISTED else {}
            name, mutate = pick((just(listed) or wrong(place.value, place.hint)).items(), rng)
            allowed = argument in self.optional and name == "None"
            if not allowed and name not in self.spared.get(argument, ()):
                return place, name, mutate


# ---------------------------------------------------------------- doors of files

Ruin = Callable[[Path, Rng], str]  # changes something in a folder, and says what
Wreck = Callable[[Path, Rng], object]  # changes a file


@dataclass
class Opens:
    """A door of files: a folder in which something is ruined is refused, or read as if nothing had been done.

    strict : it must be refused
    """

    read: Callable[[Path], Any]
    whole: Path
    ruins: Sequence[Ruin]
    strict: bool = False

    def __call__(self, rng: Rng) -> Trial:
        """Make a trial, in a copy of the folder."""
        folder = here().scratch
        shutil.copytree(self.whole, folder)
        what = pick(self.ruins, rng)(folder, rng)
        right = None if self.strict else lambda found: same(found, self.usual)
        return Trial(what, lambda: self.read(folder), right)

    @cached_property
    def usual(self) -> Any:
        """What the whole folder says."""
        return self.read(self.whole)


def a_folder(path: Path, _: Rng) -> None:
    """Put a folder in place of a file."""
    path.unlink()
    path.mkdir()


def a_loop(path: Path, _: Rng) -> None:
    """Put a link to itself in place of a file."""
    path.unlink()
    path.symlink_to(path)


def rewritten(change: Callable[[bytes, Rng], bytes]) -> Wreck:
    """Change the content of a file."""
    return lambda path, rng: path.write_bytes(change(path.read_bytes(), rng))


def one_bit(content: bytes, rng: Rng) -> bytes:
    """Flip one bit."""
    at = rng.integers(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.integers(8))]) + content[at + 1 :]


def headed(header: dict) -> bytes:
    """Make a file of tensors that has a header and nothing else."""
    content = json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content


HUGE = {"dtype": "F64", "shape": [10**10], "data_offsets": [0, 8 * 10**10]}
GONE: dict[str, Wreck] = {
    "missing": lambda path, _: path.unlink(),
    "a folder": a_folder,
    "a loop of links": a_loop,
}
STRANGE: dict[str, Wreck] = {
    name: rewritten(lambda *_, content=content: content)
    for name, content in {"empty": b"", "foreign": b"not ours at all", "no text": b"\xff\xfe\0\xd8"}.items()
}
ODD_TEXT: dict[str, Wreck] = STRANGE | {
    name: rewritten(lambda *_, content=content: content)
    for name, content in {
        "lists 5000 deep": b"[" * 5000 + b"]" * 5000,
        "a number of 5000 digits": b"9" * 5000,
        "nothing": b"null",
        "an empty list": b"[]",
        "an empty table": b"{}",
        "a text": b'"text"',
        "NUL": b"\0" * 99,
    }.items()
}
TORN: dict[str, Wreck] = {"torn": rewritten(lambda content, rng: content[: rng.integers(len(content) - 2)])}
TEXT: dict[str, Wreck] = {  # a text file
    **GONE,
    **ODD_TEXT,
    "Windows' line breaks": rewritten(lambda content, _: content.replace(b"\n", b"\r\n")),
    "a byte order mark": rewritten(lambda content, _: b"\xef\xbb\xbf" + content),
}
SEALED: dict[str, Wreck] = {  # a file of which every bit counts
    **GONE,
    **STRANGE,
    **TORN,
    "one bit": rewritten(one_bit),
    "longer": rewritten(lambda content, _: content + b"\0"),
    "a huge header": rewritten(lambda content, _: struct.pack("<Q", 2**62) + content[8:]),
    "a huge tensor": rewritten(lambda *_: headed({"a": HUGE})),
    "a deep note": rewritten(lambda *_: headed({"__metadata__": {"note": "[" * 5000 + "]" * 5000}})),
    "another note": rewritten(lambda *_: headed({"__metadata__": {"note": '{"note": 7, "crc32": []}'}})),
    "zeros": rewritten(lambda content, _: bytes(len(content))),
}


def on(name: str, wrecks: Mapping[str, Wreck]) -> Ruin:
    """Ruin one file of a folder."""

    def ruin(folder: Path, rng: Rng) -> str:
        what, wreck = pick(wrecks.items(), rng)
        wreck(folder / name, rng)
        return f"{name}: {what}"

    return ruin


def edited(
    name: str, load: Callable = json.loads, dump: Callable = json.dumps, hint: Any = None, depth: int = 9
) -> Ruin:
    """Make one place wrong in a table that stands in a text file, down to a depth."""

    def ruin(folder: Path, rng: Rng) -> str:
        what, table = misfit(load((folder / name).read_text(encoding="utf-8")), hint, rng, depth)
        (folder / name).write_text(dump(table), encoding="utf-8")
        return f"{name}: {what}"

    return ruin


def resealed(name: str, noted: str = "") -> Ruin:
    """Change tensors or their note, and the checksum; of the note, only what begins with `noted`."""

    def ruin(folder: Path, rng: Rng) -> str:
        arrays, note = store.load_tensors(folder / name)
        if rng.random() < 0.5:
            what, changed = misfit(note, None, rng)
            while not what.startswith(noted):
                what, changed = misfit(note, None, rng)
            store.save_tensors(folder / name, arrays, changed)
            return f"{name} sealed again: {what}"
        which = pick([one for one, values in arrays.items() if values.ndim], rng)
        what, mutate = pick(NO_TENSOR.items(), rng)
        values = arrays.pop(which)
        store.save_tensors(folder / name, arrays | ({which: mutate(values, rng)} if mutate else {}), note)
        return f"{name} sealed again: {what}, {which}"

    return ruin


NO_TENSOR = {
    **COLUMNS,
    **{name: NO_ARRAY[name] for name in ("a rank more", "one NaN", "one infinity", "truths", "empty")},
    "missing": None,
}
