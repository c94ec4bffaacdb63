"""Doors of the pages: figures, living and still."""

from collections.abc import Iterator
from functools import partial

import pandas as pd
from hostile.doors import (
    MORE_FIELDS,
    STANDING,
    asks,
)
from hostile.mutations import COLUMNS
from hostile.trials import Door
from hostile.world import here

from lumbo.errors import InputError
from lumbo.experiment import jobs
from lumbo.learning.training import Check
from lumbo.pages import figures, posture


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


ROOMS = (page_doors,)
