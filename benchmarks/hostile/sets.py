"""Sets of films that somebody has changed, with their checksums made anew."""

import csv
import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hostile.mutations import Rng, pick
from hostile.trials import Ruin
from hostile.world import PX, here
from PIL import Image
from pydicom import dcmread

from lumbo.errors import InputError
from lumbo.films import archive, hospitals

TABLES = ("landmarks.csv", "angles.csv")
HUGE = 60_000  # pixels of a side that a file of few bytes claims
ODD_WORDS = ("odd", "", "nan", "inf", "1e999", "../odd", "True", "1+1j")
TAGS = {"Rows": 7, "Columns": 7, "BitsAllocated": 8, "PhotometricInterpretation": "RGB"}


def write_anew(
    folder, sites, split="test", seed=0, n=None, long_side_px=PX, formats=("png",), report=lambda *_: None
) -> pd.DataFrame:
    """Do as `write_films`, and leave nothing where it refuses."""
    try:
        return archive.write_films(folder, sites, split, seed, n, long_side_px, formats, report)
    except InputError:
        assert not here().scratch.exists(), "something was written before the input was refused"
        raise


def write_again(folder: Path) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Ask for a finished set again: its table and all its files."""
    elm = [hospitals.hospital("elm")]
    table = archive.write_films(folder, elm, "test", 0, 2, PX, [form_of(folder)])
    return table, {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def form_of(folder: Path) -> str:
    """Name the format of a set."""
    return next(form for form in archive.FORMATS if (folder / form).exists())


def sealed_again(ruin: Ruin) -> Ruin:
    """Ruin something, and make the checksums anew."""

    def both(folder: Path, rng: Rng) -> str:
        what = ruin(folder, rng)
        names = [line.split("  ")[1] for line in (folder / archive.SUMS).read_text().splitlines()]
        sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
        (folder / archive.SUMS).write_text("".join(sums))
        return f"{what}, sealed again"

    return both


def cell(folder: Path, rng: Rng) -> str:
    """Put a wrong word into a table."""
    name, word = pick(TABLES, rng), pick(ODD_WORDS, rng)
    head, *rows = csv.reader((folder / name).read_text().splitlines())
    column = pick(range(len(head)), rng)
    pick(rows, rng)[column] = word
    with open(folder / name, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return f"{name}, {head[column]}: {word!r}"


def lines(folder: Path, rng: Rng) -> str:
    """Take, double or move lines or columns of a table."""
    name = pick(TABLES, rng)
    found = (folder / name).read_text().splitlines()
    changes = {
        "a film less": found[:-1],
        "a film twice": [*found, found[-1]],
        "no film": found[:1],
        "no head": found[1:],
        "another order": [found[0], *found[:0:-1]],
        "a column less": [line.rsplit(",", 1)[0] for line in found],
        "a column twice": [f"{line},{line.split(',')[-1]}" for line in found],
    }
    what, changed = pick(changes.items(), rng)
    (folder / name).write_text("\n".join(changed) + "\n")
    return f"{name}: {what}"


def picture(folder: Path, rng: Rng) -> str:
    """Put something else in place of a film."""
    form = form_of(folder)
    path = pick(sorted((folder / form).iterdir()), rng)
    what = (wrong_png if form == "png" else wrong_dicom)(path, rng)
    return f"{path.name}: {what}"


def wrong_png(path: Path, rng: Rng) -> str:
    """Put another picture in place of a PNG."""
    pixels, whole = np.asarray(Image.open(path)), path.read_bytes()
    size: Sequence[int] = pixels.shape[::-1]
    contents: dict[str, Any] = {
        "8 bit": Image.fromarray((pixels >> 8).astype(np.uint8)),
        "smaller": Image.fromarray(pixels[1:]),
        "colours": Image.new("RGB", size),
        "a palette": Image.new("P", size),
        "huge": huge_png(),
        "foreign": b"no picture",
        "torn": whole[: rng.integers(len(whole) - 20)],
    }
    what, content = pick(contents.items(), rng)
    if isinstance(content, Image.Image):
        file = io.BytesIO()
        content.save(file, "png")
        content = file.getvalue()
    path.write_bytes(content)
    return what


def huge_png() -> bytes:
    """Make a PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", HUGE, HUGE, 16, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(999))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def wrong_dicom(path: Path, rng: Rng) -> str:
    """Change what a DICOM file says."""
    what, whole, film = (
        pick(["foreign", "torn", "huge", "no pixels", *TAGS], rng),
        path.read_bytes(),
        dcmread(path),
    )
    if what in ("foreign", "torn"):
        path.write_bytes(b"no film" if what == "foreign" else whole[: rng.integers(len(whole) - 20)])
        return what
    if what == "huge":
        film.Rows = film.Columns = HUGE
    elif what == "no pixels":
        del film.PixelData
    else:
        setattr(film, what, TAGS[what])
    with warnings.catch_warnings(action="ignore"):
        film.save_as(path)
    return what
