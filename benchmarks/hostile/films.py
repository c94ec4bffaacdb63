"""Doors of the films: from numbers to patients, films and sets of them."""

import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated

import numpy as np
from hostile import sets
from hostile.doors import (
    ODD_SIZES,
    asks,
    in_the_way,
    opens,
    rng,
)
from hostile.mutations import COLUMNS, NUMBERS, Rng, pick
from hostile.trials import (
    ODD_TEXT,
    SEALED,
    Door,
    Trial,
    edited,
    on,
)
from hostile.world import PX, here

from lumbo.films import anatomy, archive, calibration, hospitals, plates, populations, radiograph, variety
from lumbo.films.hospitals import FilmSet
from lumbo.specs import Range

UPRIGHT = np.array([[40.0, 12.0, 52.0, 55.0], [30.0, 20.0, 50.0, 45.0]])
MIXTURE = {"healthy_adults": 0.25, "degenerative": 0.75}


def film_doors() -> Iterator[Door]:
    """From numbers to patients and films."""
    films = here().films
    asked = {
        "where": hospitals.hospital("aspen"),
        "split": "test",
        "seed": 0,
        "n": 2,
        "long_side_px": PX,
        "device": "cpu",
    }
    patients = populations.with_angles(UPRIGHT, rng())
    fallen = replace(patients, angles_deg=UPRIGHT + [60, 0, 60, 0])
    rows = {
        "too far": 2,
        "too far back": -3,
        "a short mask": [True],
        "a long mask": [True] * 3,
        "reals": [0.0, 1.0],
    }
    rows |= {"two axes": [[0, 1]], "a tuple": (0, slice(None)), "a name": "films"}
    yield asks(
        hospitals.film_set,
        asked,
        hints={"n": Annotated[int, Range(0, 10**6)]},
        more={"long_side_px": ODD_SIZES},
    )
    yield asks(
        hospitals.draw,
        asked | {"chunk": 0, "bits": 8, "n": 1},
        hints={"n": Annotated[int, Range(1, 64)]},
        more={"long_side_px": ODD_SIZES, "bits": {"12": 12, "0": 0}},
    )
    yield Door("films.hospitals.film_set, its cache", damaged_cache)
    yield asks(hospitals.hospital, {"name": "aspen"})
    yield asks(
        hospitals.pool,
        {"parts": [films, films]},
        more={"parts": {"none": [], "a film set": films}},
        spared={"parts": {"no films", "a landmark that is NaN"}},
    )
    yield asks(
        films.__getitem__,
        {"rows": 1},
        "films.hospitals.FilmSet[rows]",
        more={"rows": rows},
        unusual={
            "rows": {"a list": [1], "from behind": -1, "a slice": slice(1, None), "a mask": [False, True]}
        },
        spared={"rows": {"a list"}},
    )
    fits = {*NUMBERS, *COLUMNS, "a list", "a table of pandas", "a tensor"}
    yield asks(FilmSet, {**vars(films)}, spared=dict.fromkeys(vars(films), fits))
    yield asks(populations.draw, {"name": "degenerative", "n": 2, "rng": rng()})
    yield asks(
        populations.draw_mixture,
        {"mixture": MIXTURE, "n": 5, "rng": rng()},
        more={"mixture": {"nothing": {}, "nobody": dict.fromkeys(MIXTURE, 0.0)}},
    )
    yield asks(
        populations.with_angles,
        {"angles_deg": UPRIGHT, "rng": rng()},
        more={"angles_deg": {"PI that is no sum": UPRIGHT + [0, 0, 1, 0]}},
        spared={"angles_deg": {"empty"}},
    )
    yield asks(populations.follow_up, {"patients": patients, "rng": rng()})
    yield asks(
        anatomy.spines,
        {"patients": patients, "vary": variety.Variety(rng())},
        more={"patients": {"fallen": fallen}},
    )
    yield asks(variety.Setting, {"dial": 1.0, "without": ("field.tilt",)})
    yield asks(radiograph.canvas, {"long_side_px": PX}, more={"long_side_px": ODD_SIZES})
    yield asks(
        calibration.film_statistics,
        {"films": rng().random((1, 256, 208))},
        more={"films": {"low": np.ones((1, 128, 104))}},
        spared={"films": {*COLUMNS, "one infinity"}},
    )
    across = {"films": rng().random((1, 60, 50)), "plates_px": np.array([[[20.0, 30.0], [32.0, 33.0]]])}
    short = {"no length": np.ones((1, 2, 2)), "a light year away": across["plates_px"] + 1e16}
    for look in (plates.plate_profile, plates.plate_squares):
        yield asks(look, across, more={"plates_px": short}, spared={"films": COLUMNS})
    yield asks(
        plates.around_s1,
        across | {"below": [-1.0, 0.5], "behind": [0.0]},
        more={"plates_px": short},
        spared={"films": COLUMNS, "below": {"a rank less"}, "behind": {"a rank less"}},
    )


def damaged_cache(rng: Rng) -> Trial:
    """Damage films in the cache, or put others under their name: the answer is the right one, or none."""
    cached = here().cached
    (asked, mine), (_, its) = (cached[i] for i in rng.choice(len(cached), 2, replace=False))
    right, kept = hospitals.film_set(*asked), mine.read_bytes()
    what, wreck = pick({"copied": lambda path, _: shutil.copy(its, path), **SEALED}.items(), rng)
    wreck(mine, rng)

    def call() -> FilmSet:
        try:
            with warnings.catch_warnings(action="ignore"):  # that nothing is kept
                return hospitals.film_set(*asked)
        finally:
            (mine.rmdir if mine.is_dir() else partial(mine.unlink, missing_ok=True))()
            mine.write_bytes(kept)

    return Trial(what, call, lambda found: found == right)


def archive_doors() -> Iterator[Door]:
    """Sets of films, written and read."""
    elm = hospitals.hospital("elm")
    odd_sites = {"none": [], "twice": [elm, elm], "a name": ["elm"], "a hospital": elm}
    yield asks(
        sets.write_anew,
        {
            "folder": here().scratch, "sites": [elm], "split": "test", "seed": 0, "n": 2, "long_side_px": PX,
            "formats": ["png"], "report": lambda *_: None,
        },
        "films.archive.write_films",
        hints={"n": Annotated[int, Range(1, 10**6)]},
        more={
            "sites": odd_sites, "long_side_px": ODD_SIZES, "folder": in_the_way(),
            "formats": {"none": [], "twice": ["png", "png"], "a text": "png"},
        },
    )  # fmt: skip
    for form, whole in here().sets.items():
        pictures = [f"{form}/{path.name}" for path in (whole / form).iterdir()]
        damages = [
            on(name, SEALED)
            for name in ("films.json", "landmarks.csv", "angles.csv", archive.SUMS, *pictures)
        ]
        edits = [sets.cell, sets.lines, sets.picture, edited("films.json"), on("films.json", ODD_TEXT)]
        again = [*map(sets.sealed_again, edits)]
        yield opens(f"films.archive.check, {form}", archive.check, whole, *damages, strict=True)
        yield opens(f"films.archive.read_films, {form}", archive.read_films, whole, *damages, *again, *again)
        yield opens(f"films.archive.write_films again, {form}", sets.write_again, whole, *damages)


ROOMS = (
    film_doors,
    archive_doors,
)
