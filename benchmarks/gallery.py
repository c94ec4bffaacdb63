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
FILM, LONG_SIDE_PX = 3, 320  # of its chunk; the height of each film
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

One synthetic film, and on each row one of the factors by which films differ from each other: at two standard deviations below its
mean, at the mean, and at two above, with all other factors at their means. Factors that are either there or not are there in the
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
    where = replace(hospitals.hospital("aspen"), implanted=0.0)
    usual = dict.fromkeys(variety.factors(), 0.0)
    films = []
    for score in SCORES:
        setting = variety.Setting(scores=usual | {name: score})
        films.append(hospitals.draw(where, "test", 1, 0, LONG_SIDE_PX, n=FILM + 1, setting=setting).films[-1])
    return Image.fromarray(np.concatenate(films, 1))


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
