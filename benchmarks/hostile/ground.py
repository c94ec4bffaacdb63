"""Doors of the ground: angles, specifications, files."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from unittest.mock import patch

import numpy as np
import yaml
from hostile.doors import (
    FREE,
    STANDING,
    asks,
    but,
    in_the_way,
    opens,
)
from hostile.mutations import Rng, pick
from hostile.trials import SEALED, TEXT, TORN, Door, Trial, edited, on, rewritten, same
from hostile.world import ONE, PLAN, here

from lumbo import angles, indices, store
from lumbo.experiment import claims, jobs
from lumbo.experiment.jobs import Size
from lumbo.films import calibration, hospitals, populations
from lumbo.films.hospitals import Hospital
from lumbo.learning.training import Plan
from lumbo.specs import Range

BOTH_SIDES = np.stack([STANDING, STANDING * [-1, 1] + 0.25])


def angle_doors() -> Iterator[Door]:
    """Landmarks in, angles out."""
    hidden = np.ma.MaskedArray(BOTH_SIDES, np.zeros(BOTH_SIDES.shape, bool))
    hidden[0, 4] = np.ma.masked
    seen = hidden.filled(np.nan)
    unusable = {
        "both heads hidden": np.concatenate([STANDING[:4], np.full((2, 2), np.nan)]),
        "one point": np.zeros((6, 2)),
    }
    half_free = {"landmarks": FREE | {"one masked", "one NaN"}}
    free = {"landmarks": half_free["landmarks"] | {"one infinity"}}
    yield asks(
        angles.lumbopelvic_angles,
        {"landmarks": BOTH_SIDES, "anterior": "left"},
        more={"landmarks": unusable},
        spared={"landmarks": FREE},
    )
    yield asks(
        angles.lumbopelvic_angles,
        {"landmarks": seen},
        "angles.lumbopelvic_angles, a head hidden",
        unusual={"landmarks": {"masked": hidden}},
        spared=half_free,
    )
    yield asks(angles.hip_axis, {"landmarks": BOTH_SIDES}, spared=free)
    yield asks(angles.s1_midpoint, {"landmarks": BOTH_SIDES}, spared=free)
    yield asks(
        angles.rotate,
        {"landmarks": BOTH_SIDES, "degrees": 10.0, "center": np.array([3.0, 4.0])},
        more={"degrees": {"three": np.arange(3.0)}, "center": {"three": np.zeros((3, 2))}},
        spared=free | {"center": {"a rank more"}, "degrees": {"a list"}},
    )


def index_doors() -> Iterator[Door]:
    """Angles in, indices out."""
    degrees = angles.lumbopelvic_angles(BOTH_SIDES)
    for index in (
        indices.pi_ll_mismatch,
        indices.l1_tilt,
        indices.schwab_modifiers,
        indices.relative_pelvic_version,
        indices.relative_lumbar_lordosis,
        indices.gap_categories,
        indices.roussouly,
    ):
        yield asks(index, {"angles": degrees}, spared={"angles": FREE})
    yield asks(indices.roussouly_shares, {"angles": degrees, "sd_deg": 3.0}, spared={"angles": FREE})
    yield asks(
        indices.lordosis_distribution_index,
        {"angles": degrees, "l4_tilt": -4.0},
        more={"l4_tilt": {"three": np.zeros(3)}},
        spared={"angles": FREE},
    )
    yield asks(indices.sacrofemoral_ratio, {"landmarks": BOTH_SIDES}, spared={"landmarks": FREE})


def spec_doors() -> Iterator[Door]:
    """Tables in, specifications out."""

    def table(name: str) -> dict:
        return store.read_toml(files("data_synth").joinpath(name))

    def annotated(cls: type) -> dict[str, Any]:
        return {"hints": get_type_hints(cls, include_extras=True)}

    names = {"name": {"NUL": "a\0b", "a line break": "a\nb", "a path": "../a", "long": "a" * 99, "empty": ""}}
    cohorts = but(populations.statistics(), "adult_deformity")  # which has segments of its own
    needed = {f"{name} missing": but(cohorts, name) for name in ("segments", "pitch", "follow_up", "sizes")}
    twice = rewritten(lambda content, _: content.replace(b"  alpha: 0.025", b"  alpha: 0.025\n  alpha: 0.05"))
    claim = {"claims": tuple[claims.Claim, ...], "protocol": {"alpha": Annotated[float, Range(1e-4, 0.5)]}}
    yield asks(
        hospitals.check_hospital,
        {"name": "aspen", "table": table("hospitals/aspen.toml")},
        hints={"name": str, "table": Hospital},
        more=names,
    )
    yield asks(Hospital, vars(hospitals.hospital("aspen")), more=names, **annotated(Hospital))
    yield asks(
        populations.check_statistics,
        {"table": cohorts},
        hints={"table": dict[str, Any]},
        more={"table": needed},
    )
    yield asks(
        jobs.check_size,
        {"name": "full", "table": table("experiment.toml")["full"]},
        hints={"name": str, "table": Size},
    )
    yield asks(Size, vars(jobs.size("full")), **annotated(Size))
    yield asks(Plan, asdict(PLAN), more={"checks": {"more than steps": 3}}, **annotated(Plan))
    yield opens(
        "films.hospitals.read_hospital",
        lambda folder: hospitals.read_hospital(folder / "aspen.toml"),
        here().texts,
        on("aspen.toml", TEXT),
    )
    yield opens(
        "experiment.claims.read",
        lambda folder: claims.read(folder / "claims.yml"),
        here().texts,
        on("claims.yml", TEXT | {"a field twice": twice}),
        *[edited("claims.yml", yaml.safe_load, yaml.safe_dump, claim)] * 9,
    )
    row = {"what": "an error", "value": 1.0, "low": 0.5, "high": 2.0}
    marks = {"version": "2.0", "specs": "aa", "films": "bb"} | {mark: [row] for mark in calibration.MARKS}
    store.write_atomic(here().texts / "marks.json", json.dumps(marks).encode())
    yield opens(
        "films.calibration.marks",
        lambda folder: calibration.marks(folder / "marks.json"),
        here().texts,
        on("marks.json", TEXT | TORN),
    )


def store_doors() -> Iterator[Door]:
    """Files that are whole or absent."""
    tensors = {"a": np.arange(3.0)}
    yield opens(
        "store.load_tensors", lambda folder: store.load_tensors(folder / ONE), here().tensors, on(ONE, SEALED)
    )
    yield asks(
        store.load_tensors,
        {"path": here().tensors / ONE},
        "store.load_tensors, paths",
        more={"path": in_the_way()},
    )
    yield asks(
        lambda path: store.save_tensors(path, tensors, {}),
        {"path": here().scratch / ONE},
        "store.save_tensors",
        more={"path": {"a folder": here().folder, "in a file": in_the_way()["in a file"]}},
    )
    yield asks(store.make_folder, {"path": here().scratch / "a"}, more={"path": in_the_way()})
    yield opens(
        "store.read_toml",
        lambda folder: store.read_toml(folder / "aspen.toml"),
        here().texts,
        on("aspen.toml", but(TEXT, "empty")),
    )
    yield Door("store.cached_tensors", no_cache)


def no_cache(rng: Rng) -> Trial:
    """Ask for a cache where there can be none: what was made is returned all the same, with a warning."""
    what, place = pick((in_the_way() | {"NUL": Path("a\0b")}).items(), rng)

    def call() -> tuple:
        with (
            patch.object(store, "cache_folder", lambda: place),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            return *store.cached_tensors("one", lambda: ({"a": np.zeros(1)}, {})), len(warned)

    return Trial(
        f"the cache: {what}", call, lambda found: same(found, ({"a": np.zeros(1)}, {}, 1)), refuses=False
    )


ROOMS = (
    angle_doors,
    index_doors,
    spec_doors,
    store_doors,
)
