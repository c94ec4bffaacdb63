"""Doors of learning: networks, training, evaluation."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated

import numpy as np
import torch
from hostile.doors import ENDS, MORE_FIELDS, asks, in_the_way, opens, rng
from hostile.mutations import COLUMNS, NO_NUMBER, USUAL
from hostile.trials import SEALED, Door, on, resealed
from hostile.world import CHECKPOINT, ONE, PLAN, here, resume
from torch import nn

from lumbo.learning import evaluation, federated, models, training
from lumbo.learning.federated import Client
from lumbo.specs import Range

ERRORS = np.round(np.random.default_rng(0).normal(0, 3, (6, 4)), 2)


def weight_doors() -> Iterator[Door]:
    """Networks, and their files."""
    model, note = models.build("regressor", 0), {"seed": 0}
    free = set(NO_NUMBER) | {*MORE_FIELDS, "seed missing", "a half", *USUAL[int]}
    yield opens(
        "learning.models.load",
        lambda folder: models.load(folder / ONE),
        here().weights,
        on(ONE, SEALED),
        resealed(ONE, "network"),
    )
    yield asks(
        models.load,
        {"path": here().weights / ONE},
        "learning.models.load, paths",
        more={"path": in_the_way()},
    )
    yield asks(models.build, {"network": "regressor", "seed": 0})
    yield asks(
        models.save,
        {"path": here().scratch / "a", "model": model, "note": note},
        more={"model": {"another network": Numb()}},
        spared={"note": free},
    )


def evaluation_doors() -> Iterator[Door]:
    """Errors in, numbers out."""
    lead = {"errors_deg": {"a rank more"}}
    short = {"shorter": ERRORS[:3]}
    drawn = {"rng": rng(), "resamples": 9, "level": 0.9}

    def bootstrap(errors_deg, rng, resamples, level, metric=evaluation.mae):
        return evaluation.bootstrap_interval(metric, errors_deg, rng=rng, resamples=resamples, level=level)

    for metric in (evaluation.mae, evaluation.median_error, evaluation.p90_error, evaluation.bias):
        yield asks(metric, {"errors_deg": ERRORS}, spared=lead)
    yield asks(
        evaluation.limits_of_agreement,
        {"errors_deg": ERRORS},
        more={"errors_deg": {"one film": ERRORS[:1]}},
        spared=lead,
    )
    yield asks(evaluation.share_above, {"errors_deg": ERRORS, "limit_deg": 5.0}, spared=lead)
    yield asks(
        evaluation.angle_errors,
        {"predicted_deg": ERRORS, "reference_deg": ERRORS + 1},
        more={"reference_deg": short},
    )
    yield asks(
        evaluation.icc,
        {"ratings_deg": ERRORS},
        more={"ratings_deg": {"one rater": ERRORS[:, :1], "one film": ERRORS[:1]}},
        spared={"ratings_deg": {"a rank more", *COLUMNS}},
    )
    yield asks(
        evaluation.icc_by_angle,
        {"errors_deg": ERRORS, "reference_deg": ERRORS + 40},
        more={"reference_deg": short},
        spared=lead,
    )
    yield asks(
        bootstrap,
        {"errors_deg": ERRORS, **drawn, "metric": evaluation.mae},
        "learning.evaluation.bootstrap_interval",
        more={"level": ENDS},
    )
    yield asks(
        evaluation.paired_interval,
        {"metric": evaluation.mae, "errors_a_deg": ERRORS, "errors_b_deg": ERRORS + 1, **drawn},
        more={"level": ENDS, "errors_b_deg": short},
    )
    yield asks(
        evaluation.summary,
        {
            "predicted_deg": ERRORS,
            "reference_deg": ERRORS + 1,
            "rng": rng(),
            "resamples": 9,
            "reference": "rated",
        },
        more={"reference_deg": short, "predicted_deg": {"one film": ERRORS[:1]}},
    )
    yield asks(
        evaluation.interval_factors,
        {"errors_deg": ERRORS, "spread_deg": abs(ERRORS) + 1, "levels": (0.5, 0.9)},
        more={
            "spread_deg": short | {"zeros": 0 * ERRORS, "negative": -1 - abs(ERRORS)},
            "levels": {"none": (), "0": (0.0,), "1": (1.0,)},
        },
    )
    yield asks(evaluation.identity_residual, {"predicted_deg": ERRORS})
    yield asks(evaluation.predict_mean, {"training_deg": ERRORS, "n": 3})


class Numb(nn.Module):
    """A network that is none of ours: it has weights, and neither draws nor scores."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)


def training_doors() -> Iterator[Door]:
    """Films in, a trained network out."""
    model, films, clients = models.build("regressor", 0), here().films, here().clients
    shared = {
        "plan": PLAN,
        "seed": (0,),
        "checkpoint": here().scratch / CHECKPOINT,
        "report": lambda check: None,
    }
    more = {
        "model": {"another network": Numb()},
        "seed": {"empty": ()},
        "checkpoint": {"a folder": here().folder, **in_the_way()},
        "plan": {"a table": asdict(PLAN)},
    }
    odd_clients = {
        "nobody": [],
        "a name twice": clients[:1] * 2,
        "film sets": [films, films],
        "a client": clients[0],
        "no films": [Client("aspen", films[:0], films)],
        "no validation": [Client("aspen", films, films[:0])],
        "a name that is none": [Client(7, films, films)],
        "no film set": [Client("aspen", films.films, films)],
    }
    odd_plan = more["plan"] | {"less than a round": replace(PLAN, steps=1)}
    hints = {"seed": Annotated[tuple[int, ...], Range(0, 10**9)]}
    yield asks(
        training.fit,
        {"model": model, "train": films, "validation": films, **shared},
        hints=hints,
        more=more,
        spared={"seed": {"a number"}},
    )
    yield asks(
        federated.fedavg,
        {"model": model, "clients": clients, **shared, "workers": 1, "carry": False},
        hints=hints,
        more=more | {"clients": odd_clients, "plan": odd_plan},
        spared={"seed": {"a number"}},
    )
    yield opens(
        "learning.training.fit, its checkpoint",
        resume,
        here().checkpoint,
        on(CHECKPOINT, SEALED),
        resealed(CHECKPOINT),
    )
    yield asks(
        training.predict,
        {"model": model, "films": films.films, "batch": 2},
        more={"model": {"another network": nn.Flatten()}},
        spared={"films": {"a list", "a table of pandas"}},
    )
    yield asks(
        lambda workers: training.check_workers(workers, torch.device("cpu")),
        {"workers": 1},
        "learning.training.check_workers",
    )
    yield asks(training.pick_device, {"name": "cpu"})


ROOMS = (
    weight_doors,
    evaluation_doors,
    training_doors,
)
