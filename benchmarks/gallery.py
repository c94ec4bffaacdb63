"""The gallery of factors: one film with each factor of `lumbo.films.variety` at -2, 0 and +2 SD, all others at 0.

    python benchmarks/gallery.py

writes ``book/gallery.md`` and a picture for each factor under ``book/static/gallery/``; some two minutes.  The page
is made again whenever ``data_synth/variety.toml`` or what draws films changes.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lumbo import store
from lumbo.films import hospitals, variety

BOOK = Path(__file__).parents[1] / "book"
SCORES = {-2.0: "-2 SD", 0.0: "mean", 2.0: "+2 SD"}
SEED, BONES, BODY = 1, 0, 4  # the patients whose bones, and whose whole body, show most
ANOTHER = {"soft.arm": 0}  # whose arm is in the field
SLIPPED = ("column.backwards", "column.lysis")  # are seen where a body has slipped
SHOWN_PX = (320, 260)  # height and width of each picture
CLOSE_PX = 576  # height of the film from which a close one is cut
# Where small things are looked at more closely: between which landmarks the picture's middle lies.
SPINE, SACRUM, PELVIS = (0, 1, 2, 3), (0, 1, 1, 1, 4, 5), (0, 1, 4, 5)
CLOSE = dict.fromkeys(("body", "disc", "column", "arch", "bone"), SPINE) | {
    "sacrum": SACRUM,
    "pelvis": PELVIS,
}
WHOLE = ("column.kyphosis", "column.rib")  # lie above what is looked at closely
GROUPS = {
    "body": "Vertebral bodies",
    "disc": "Discs",
    "column": "The column",
    "pelvis": "Pelvis and hips",
    "sacrum": "Sacrum and coccyx",
    "arch": "Arches and foramina",
    "bone": "Bone",
    "trunk": "Trunk and chest",
    "bowel": "Bowel",
    "soft": "Other soft tissue",
    "field": "Where and how the patient stands",
    "processing": "Processing",
}
HEAD = """# A gallery of factors

On each row one synthetic patient, and one of the factors by which films differ from each other: at two standard deviations (SD) below its
mean, at the mean, and at two above, with all others at their means. Bones are shown closer, and everything in a room with clear
processing. A few rows show another patient than the rest, on whom more can be seen.

- *normal* and *log* say how a factor is spread: evenly up and down, or by a factor, as 0.5, 1 and 2 are. Of a *log* factor the SDs are those
  of its natural logarithm: 0.2 is about a fifth.
- *rate*: it is there in this share of films (of corners, plates or folds, where one has many), or it is not. The right picture has it,
  with an amount of two SDs above its mean.
- *between* is the SD between patients (or films), *within* that between the levels, sides or pieces of one; in these pictures all
  pieces move at once.

The numbers and their sources stand in `data_synth/variety.toml`; the chapter [](#spine_to_film) explains how a film is made. No patient
exists. **Not for clinical use.**
"""


def main():
    """Draw every factor and write the page."""
    shown = BOOK / "static" / "gallery"
    shutil.rmtree(shown, ignore_errors=True)
    shown.mkdir(parents=True)
    page = [HEAD]
    for group, title in GROUPS.items():
        page.append(f"## {title}\n")
        for name, spec in variety.factors().items():
            if name.startswith(f"{group}."):
                pictures = seen_at(spec)
                if pictures:
                    strip(name, pictures).save(shown / f"{name}.webp", quality=55, method=6)
                page.append(entry(name, spec, pictures))
    store.write_atomic(BOOK / "gallery.md", ("\n".join(page).rstrip() + "\n").encode())


def seen_at(spec):
    """Scores to show, and what to call them; none for a factor that has no spread."""
    if spec["law"] == "rate":
        return {0.0: "without", 2.0: "with"}
    return SCORES if spec.get("between") or spec.get("within") else {}


def strip(name, pictures):
    """Films side by side: the factor at each score."""
    group, aspen = name.split(".")[0], hospitals.hospital("aspen")
    close = () if name in WHOLE else CLOSE.get(group, ())
    clear = replace(
        aspen.scanner,
        compress=0.55,
        edge=1.0,
        photons=1e6,
        scatter=0.5,
        gamma=1.5,
        window=(0.1, 0.999),
        cut=0.0,
    )
    if not close:
        clear = replace(clear, field_mm=(430.0, 530.0))  # up to the chest
    where, film = replace(aspen, implanted=0.0, scanner=clear), ANOTHER.get(name, BONES if close else BODY)
    if name in SLIPPED:
        film = int(hospitals.visit(where, "test", SEED, 0).patients.slip.max(1).argmax())
    films = []
    for score, label in pictures.items():
        setting = variety.Setting(scores=dict.fromkeys(variety.factors(), 0.0) | {name: score})
        long_side_px = CLOSE_PX if close else SHOWN_PX[0]
        drawn = hospitals.draw(where, "test", SEED, 0, long_side_px, n=film + 1, setting=setting)[-1:]
        middle = drawn.landmarks_px[0, list(close)].mean(0) if close else np.array(SHOWN_PX[::-1]) / 2
        picture = Image.fromarray(cut(drawn.films[0], middle))
        ImageDraw.Draw(picture).text((8, SHOWN_PX[0] - 22), label, 255, ImageFont.load_default(14))
        films.append(np.asarray(picture))
    return Image.fromarray(np.concatenate(films, 1))


def cut(film, middle_px):
    """The part of a film around a place, of the size that is shown."""
    corner = np.round(middle_px[::-1] - np.array(SHOWN_PX) / 2).astype(int)
    top, left = np.clip(corner, 0, np.array(film.shape) - SHOWN_PX)
    return film[top : top + SHOWN_PX[0], left : left + SHOWN_PX[1]]


def entry(name, spec, pictures):
    """What the page says of one factor."""
    rate = f"rate {spec['rate']:g}, " if "rate" in spec else ""
    spreads = [f"{key} {spec[key]:g}" for key in ("between", "within") if spec.get(key)]
    mean = spec["mean"] if isinstance(spec["mean"], list) else [spec["mean"]]
    numbers = f"{rate}mean {', '.join(f'{m:g}' for m in mean)}" + "".join(f", {spread}" for spread in spreads)
    steps = ", ".join(pictures.values())
    wide = 100 * len(pictures) // len(SCORES)
    picture = (
        f"```{{image}} static/gallery/{name}.webp\n:alt: {spec['title']}: {steps}\n:width: {wide}%\n```\n\n"
    )
    return (
        f"**{spec['title'][0].upper()}{spec['title'][1:]}** (`{name}`)\n\n{picture * bool(pictures)}"
        f"{spec['law']}: {numbers}. {spec['source'][0].upper()}{spec['source'][1:]}.\n"
    )


if __name__ == "__main__":
    main()
