"""Doors of the pages: figures, living and still."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from hostile.doors import (
    MORE_FIELDS,
    STANDING,
    asks,
)
from hostile.mutations import COLUMNS
from hostile.trials import Door
from hostile.world import here

from lumbo.angles import ANGLES
from lumbo.errors import InputError
from lumbo.experiment import jobs
from lumbo.learning.training import Check
from lumbo.pages import crowd, darkroom, exercises, figures, marking, posture, scanners, slips
from lumbo.specs import Range


def page_doors() -> Iterator[Door]:
    """Figures, living and still."""
    films, history = here().films, [Check(1, 2.0, 9.0), Check(2, 1.0, 8.0)]
    table = pd.DataFrame({"network": "landmarks", "arm": jobs.ARMS, "test": "internal", "models": 1})
    arms = table.assign(mae=3.0, low=2.0, high=4.0)
    odd_arms = {
        "no columns": table,
        "no rows": arms[:0],
        "an unknown arm": arms.assign(arm="odd"),
        "texts": arms.assign(mae="a"),
    }

    def drawn(landmarks, anterior=None):
        return posture.Pelvis(landmarks, anterior).angles_deg

    def dragged(landmarks, anterior):
        figure = posture.Pelvis()
        before = repr(figure)
        try:
            figure.landmarks, figure.anterior = landmarks, anterior
        except InputError:
            assert repr(figure) == before, "the figure has changed"
            raise
        return figure.angles_deg

    yield asks(drawn, {"landmarks": STANDING, "anterior": "left"}, "pages.posture.Pelvis")
    yield asks(partial(dragged, anterior="left"), {"landmarks": STANDING}, "pages.posture.Pelvis.landmarks")
    yield asks(partial(dragged, STANDING), {"anterior": "left"}, "pages.posture.Pelvis.anterior")
    yield asks(
        figures.films,
        {
            "films": films.films,
            "landmarks_px": films.landmarks_px,
            "titles": ["a", "b"],
            "columns": 2,
            "size": 1.0,
        },
        more={"landmarks_px": {"of fewer films": films.landmarks_px[:1]}, "size": {"0": 0.0}},
        spared={
            "films": {*COLUMNS, "truths", "one masked", "a list", "a table of pandas"},
            "titles": {"empty", "spaces"},
            "landmarks_px": {"one NaN", "one masked"},
        },
    )
    yield asks(
        figures.descents,
        {"histories": {"local-elm": history}, "label": "a"},
        more={
            "histories": {
                "none": {},
                "no checks": {"local": []},
                "numbers": {"local": [1, 2]},
                "a history": history,
            }
        },
        spared={"label": {"empty", "spaces"}, "histories": {"a half"}},
    )
    yield asks(
        figures.arms,
        {"table": arms, "network": "landmarks", "paper": {("local", "internal"): 5.0}},
        more={"table": odd_arms},
        spared={"paper": {*MORE_FIELDS, "('local', 'internal') missing"}},
    )
    yield asks(
        figures.png, {"figure": figures.films(films.films), "note": "a"}, spared={"note": {"empty", "spaces"}}
    )


def living_doors() -> Iterator[Door]:
    """Figures that live beside the pelvis, and questions."""

    def posed(pi_deg, pt_deg, ll_deg):
        return np.array(posture.posed(pi_deg, pt_deg, ll_deg))

    yield asks(
        posed,
        {"pi_deg": 50.0, "pt_deg": 10.0, "ll_deg": 45.0},
        "pages.posture.posed",
        hints=dict.fromkeys(("pi_deg", "pt_deg", "ll_deg"), Annotated[float, Range(-180, 180)]),
    )
    yield asks(marking.sample, {"film": 1}, hints={"film": Annotated[int, Range(0, 9)]})
    yield asks(
        lambda **fields: slips.ErrorCloud(**fields).errors_deg,
        {"landmarks": STANDING, "steeper_deg": 3.0, "stretch": 1.1, "seed": 4},
        "pages.slips.ErrorCloud",
        hints={
            "steeper_deg": Annotated[float, Range(-30, 30)],
            "stretch": Annotated[float, Range(0.8, 1.25)],
            "seed": Annotated[int, Range(0, 2**31)],
        },
    )
    yield asks(
        lambda **fields: crowd.Population(**fields).angles_deg,
        {"cohort": "healthy_adults", "above_deg": 60.0, "versus": "PT", "seed": 4},
        "pages.crowd.Population",
        hints={
            "cohort": Literal["healthy_adults"],
            "above_deg": Annotated[float, Range(0, 130)],
            "versus": Literal["PT"],
            "seed": Annotated[int, Range(0, 2**31)],
        },
    )
    yield asks(
        lambda **fields: darkroom.Film(**fields).settings,
        {"room": "aspen", "line_px": 200, "photons": 300.0, "gamma": 1.5},
        "pages.darkroom.Film",
        hints={
            "room": Literal["aspen"],
            "line_px": Annotated[int, Range(0, 511)],
            "photons": Annotated[float, Range(10, 1e6)],
            "gamma": Annotated[float, Range(0.5, 5)],
        },
    )
    yield asks(
        lambda **fields: repr(scanners.Hospitals(**fields)),
        {"room": "aspen", "factor": "bone.young", "amount": 1},
        "pages.scanners.Hospitals",
        hints={
            "room": Literal["aspen"],
            "factor": Literal["bone.young"],
            "amount": Annotated[int, Range(-2, 2)],
        },
        spared={"factor": {"None"}},
    )
    yield asks(
        exercises.question, {"name": "four_angles.trade"}, hints={"name": Literal["four_angles.trade"]}
    )
    yield asks(
        partial(exercises.check, "four_angles.retrovert"),
        {"answer": dict(zip(ANGLES, (40.0, 30.0, 70.0, 50.0)))},
        "pages.exercises.check",
        hints={"answer": dict[str, float]},
    )


ROOMS = (page_doors, living_doors)
