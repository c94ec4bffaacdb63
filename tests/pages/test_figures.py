"""Figures: what goes in is drawn, all of it, and what has no scale is refused."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lumbo.errors import InputError
from lumbo.experiment.jobs import ARMS
from lumbo.learning.training import Check
from lumbo.pages import figures

FILMS = np.arange(2 * 8 * 6, dtype=np.uint8).reshape(2, 8, 6)
LANDMARKS = np.random.default_rng(0).uniform(0, 6, (2, 6, 2))
HISTORY = [Check(10, 2.0, 9.0), Check(20, 1.0, 7.0)]
TABLE = pd.DataFrame(
    {
        "network": "landmarks",
        "arm": ARMS,
        "test": "internal",
        "models": 1,
        "mae": 3.0,
        "low": 2.0,
        "high": 4.0,
    }
)


def test_films_are_shown_on_the_scale_of_their_type():
    for films, top in ((FILMS, 255), (FILMS.astype(np.uint16), 65535), (FILMS / 255, 1), (FILMS[:1], 255)):
        shown = [ax.images[0] for ax in figures.films(films, columns=3).axes if ax.images]
        assert len(shown) == len(films) and {image.get_clim() for image in shown} == {(0, top)}
        np.testing.assert_array_equal(shown[0].get_array(), films[0])


def test_landmarks_of_which_a_head_is_unseen_are_drawn():
    unseen = LANDMARKS.copy()
    unseen[0, 4] = np.nan
    figure = figures.films(FILMS, unseen, pd.Index(["a"]), np.int64(1), np.float32(1))
    assert [len(ax.lines) for ax in figure.axes] == [4, 4] and figure.axes[0].get_title() == "a"


def test_every_run_is_drawn_and_none_looks_like_another():
    names = [f"local-{k}" for k in range(20)] + [f"run {k}" for k in range(12)]
    (ax,) = figures.descents(dict.fromkeys(names, HISTORY)).axes
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.lines}
    assert [line.get_label() for line in ax.lines] == names and len(looks) == len(names)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[10, 9], [20, 7]])


def test_a_history_may_come_from_a_record():
    one, other = (
        figures.descents({"local": history}).axes[0].lines[0].get_xydata()
        for history in (HISTORY, [list(check) for check in HISTORY])
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda: figures.films(FILMS[:0]), "films"),
        (lambda: figures.films(FILMS[0]), "films"),
        (lambda: figures.films(FILMS > 9), "films"),
        (lambda: figures.films(FILMS.astype(int)), "films"),  # white at 1, at 255 or at 65535?
        (lambda: figures.films(FILMS / 25), "films[0, 4, 2]"),
        (lambda: figures.films(FILMS - 1.0), "films[0, 0, 0]"),
        (lambda: figures.films(FILMS * np.nan), "films[0, 0, 0]"),
        (lambda: figures.films(FILMS, LANDMARKS[:1]), "landmarks_px"),
        (lambda: figures.films(FILMS, LANDMARKS[:, :5]), "landmarks_px"),
        (lambda: figures.films(FILMS, columns=0), "columns"),
        (lambda: figures.films(FILMS, columns=1.5), "columns"),
        (lambda: figures.films(FILMS, size=0), "size"),
        (lambda: figures.films(FILMS, titles="ab"), "titles"),
        (lambda: figures.films(FILMS, titles=3), "titles"),
        (lambda: figures.films(FILMS, titles=["a", b"b"]), "titles[1]"),
        (lambda: figures.descents({"local": HISTORY}, label=None), "label"),
        (lambda: figures.films(FILMS, titles=list("abc")), "titles"),
        (lambda: figures.descents({}), "histories"),
        (lambda: figures.descents(HISTORY), "histories"),
        (lambda: figures.descents({"local": []}), "histories.local"),
        (lambda: figures.descents({"local": [1, 2]}), "histories.local"),
        (lambda: figures.descents({3: HISTORY}), "histories"),
        (lambda: figures.arms(TABLE, "resnet"), "network"),
        (lambda: figures.arms(TABLE, ["landmarks"]), "network"),
        (lambda: figures.arms(TABLE[:0], "landmarks"), "network"),
        (lambda: figures.arms(TABLE.assign(arm="swarm"), "landmarks"), "table.arm"),
        (lambda: figures.arms(TABLE.drop(columns="low"), "landmarks"), "table.low"),
        (lambda: figures.arms(TABLE.assign(mae="a"), "landmarks"), "table"),
        (lambda: figures.arms(TABLE.assign(mae=np.nan), "landmarks"), "table[0, 0]"),
        (lambda: figures.arms(None, "landmarks"), "table"),
        (lambda: figures.arms(TABLE, "landmarks", 5), "paper"),
        (lambda: figures.arms(TABLE, "landmarks", {("local", "internal"): "a"}), "paper[('local', 'internal')]"),
        (lambda: figures.png(None, "a"), "figure"),
        (lambda: figures.png(plt.figure(), 3), "note"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure_open(call, field):
    plt.close("all")
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == field and len(plt.get_fignums()) <= (field == "note")


def test_the_arms_and_what_the_paper_found():
    (ax,) = figures.arms(TABLE, "landmarks", {("local", "internal"): 8.0, ("else", "where"): 1.0}).axes
    assert len(ax.lines) == 2 * 3 + 1 and figures.png(ax.figure, "a note").startswith(b"\x89PNG")
