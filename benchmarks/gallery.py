"""The gallery of factors: one film with each factor of `lumbo.films.variety` at -2, 0 and +2, all others at 0.

    python benchmarks/gallery.py

writes ``book/gallery.md`` and a picture for each factor under ``book/static/gallery/``; some two minutes.  The page
is made again whenever ``data_synth/variety.toml`` or what draws films changes.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lumbo import store
from lumbo.films import hospitals, variety

BOOK = Path(__file__).parents[1] / "book"
SCORES = (-2.0, 0.0, 2.0)
FILM = 3  # of its chunk
SHOWN_PX = (320, 260)  # height and width of each picture
# Where small things are looked at more closely: between which landmarks the picture's middle lies.
CLOSE = {
    "body": (0, 1, 2, 3),
    "disc": (0, 1, 2, 3),
    "column": (0, 1, 2, 3),
    "arch": (0, 1, 2, 3),
    "bone": (0, 1, 2, 3),
}
CLOSE |= {"sacrum": (0, 1, 1, 1, 4, 5), "pelvis": (0, 1, 4, 5)}
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

One synthetic patient, and on each row one of the factors by which films differ from each other: at two standard deviations below its
mean, at the mean, and at two above, with all other factors at their means. Bones are shown closer, in a room with clear processing. Factors that are either there or not are there in the
right film alone. What is *within* one film (from level to level, from bubble to bubble) moves all at once here. The numbers and
their sources stand in `data_synth/variety.toml`; the chapter [](#spine_to_film) explains how a film is made. No patient
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
                strip(name).save(shown / f"{name}.webp", quality=55, method=6)
                page.append(entry(name, spec))
    store.write_atomic(BOOK / "gallery.md", ("\n".join(page).rstrip() + "\n").encode())


def strip(name):
    """Three films side by side: the factor at each of `SCORES`."""
    aspen = hospitals.hospital("aspen")
    clear = replace(aspen.scanner, compress=0.55, edge=1.2, photons=2e5, gamma=1.1, window=(0.1, 0.995))
    where = replace(aspen, implanted=0.0, scanner=clear)
    close = CLOSE.get(name.split(".")[0])
    films = []
    for score in SCORES:
        setting = variety.Setting(scores=dict.fromkeys(variety.factors(), 0.0) | {name: score})
        long_side_px = 768 if close else SHOWN_PX[0]
        drawn = hospitals.draw(where, "test", 1, 0, long_side_px, n=FILM + 1, setting=setting)[-1:]
        middle = drawn.landmarks_px[0, list(close)].mean(0) if close else np.array(SHOWN_PX[::-1]) / 2
        films.append(cut(drawn.films[0], middle))
    return Image.fromarray(np.concatenate(films, 1))


def cut(film, middle_px):
    """The part of a film around a place, of the size that is shown."""
    corner = np.round(middle_px[::-1] - np.array(SHOWN_PX) / 2).astype(int)
    top, left = np.clip(corner, 0, np.array(film.shape) - SHOWN_PX)
    return film[top : top + SHOWN_PX[0], left : left + SHOWN_PX[1]]


def entry(name, spec):
    """What the page says of one factor."""
    rate = f"rate {spec['rate']:g}, " if "rate" in spec else ""
    spreads = [f"{key} {spec[key]:g}" for key in ("between", "within") if spec.get(key)]
    mean = spec["mean"] if isinstance(spec["mean"], list) else [spec["mean"]]
    numbers = f"{rate}mean {', '.join(f'{m:g}' for m in mean)}" + "".join(f", {spread}" for spread in spreads)
    alt = f"The same film with {spec['title']} at minus two, zero and plus two"
    return (
        f"**{spec['title'][0].upper()}{spec['title'][1:]}** (`{name}`)\n\n"
        f"```{{image}} static/gallery/{name}.webp\n:alt: {alt}\n:width: 100%\n```\n\n"
        f"{spec['law']}: {numbers}. {spec['source'][0].upper()}{spec['source'][1:]}.\n"
    )


if __name__ == "__main__":
    main()
