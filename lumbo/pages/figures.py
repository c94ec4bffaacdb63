"""Figures of the chapters: arrays in, a matplotlib figure out.  Taught in spine_to_film.

Every function returns the figure and draws nothing else.  Colours are those of Okabe and
Ito, told apart by colour-blind readers, and each comes with a marker of its own.
"""

import io
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lumbo.angles import LANDMARKS, hip_axis
from lumbo.errors import array, choice, instance, number, require, text, whole
from lumbo.films.plates import FARTHEST_PX

__all__ = ["STYLES", "films", "descents", "arms", "png"]

STYLES = {  # colour and marker of each arm, the same in every chapter
    "local": ("#D55E00", "s"),
    "centralized": ("#0072B2", "o"),
    "federated": ("#009E73", "D"),
}
_MARKERS, _LINES = "osD^vPX*", ("-", "--", ":", "-.")  # of the runs in one figure
_PLATE, _HIP = "#E69F00", "#56B4E9"


def films(
    films: np.ndarray,
    landmarks_px: np.ndarray | None = None,
    titles: Iterable[str] = (),
    columns: int = 4,
    size: float = 2.2,
) -> Figure:
    """Show films (n, h, w) side by side, with the landmarks (n, 6, 2) drawn where they are given.

    Films are unsigned integers or numbers from 0 to 1; titles may be fewer than films.  ``size`` is the width of
    one in inches.
    """
    films = _grey(films)
    if landmarks_px is not None:
        shape = len(films), len(LANDMARKS), 2
        landmarks_px = array("landmarks_px", landmarks_px, shape, -FARTHEST_PX, FARTHEST_PX, missing=True)
    listed = isinstance(titles, Iterable) and not isinstance(titles, str)
    require(listed, "titles", titles, "a list of texts")
    titles = [instance(f"titles[{i}]", title, str) for i, title in enumerate(titles)]
    require(len(titles) <= len(films), "titles", titles, f"at most one for each of {len(films)} films")
    columns, size = min(whole("columns", columns, 1), len(films)), number("size", size, 0.1, 100)
    rows = -(-len(films) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        squeeze=False,
        layout="constrained",
        figsize=(columns * size, rows * size * films.shape[1] / films.shape[2]),
    )
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i >= len(films):
            continue
        _ = ax.imshow(
            films[i], cmap="gray", vmin=0, vmax=np.iinfo(films.dtype).max if films.dtype.kind == "u" else 1
        )
        if i < len(titles):
            _ = ax.set_title(titles[i], fontsize=9)
        if landmarks_px is not None:
            _draw_landmarks(ax, landmarks_px[i])
    plt.close(figure)
    return figure


def descents(histories: Mapping[str, Sequence], label: str = "validation MAE (degrees)") -> Figure:
    """Plot the validation error of training runs against the optimiser steps they took.

    A run called by its arm, or by ``arm-hospital``, has the colour of the arm.

    histories : by run, its checks: `lumbo.learning.training.Check`, or as a record holds them
    """
    known = isinstance(histories, Mapping) and len(histories) > 0
    require(known, "histories", histories, "checks by run, of at least one run")
    checks = {
        text("histories", name): array(f"histories.{name}", history, ("checks", 3))
        for name, history in histories.items()
    }
    instance("label", label, str)
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for i, (name, history) in enumerate(checks.items()):
        colour, _ = STYLES.get(name.split("-")[0], (f"C{i}", None))
        line, marker = (many[k % len(many)] for many, k in ((_LINES, i // len(_MARKERS)), (_MARKERS, i)))
        _ = ax.plot(history[:, 0], history[:, 2], ls=line, marker=marker, color=colour, label=name)
    _ = ax.set(xlabel="optimiser steps", ylabel=label, ylim=(0, None))
    _ = ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def arms(table: pd.DataFrame, network: str, paper: dict[tuple[str, str], float] | None = None) -> Figure:
    """Plot the MAE of each arm on each kind of test, with intervals.

    table : from `tables.overview`;  paper : what the paper finds, by (arm, test), drawn as a tick
    """
    instance("table", table, pd.DataFrame, "tables.overview(...)")
    for column in ("network", "arm", "test", "mae", "low", "high"):
        require(column in table, f"table.{column}", None, "a table from `tables.overview`")
    choice("network", network, table.network.unique())
    rows = table[table.network == network].reset_index(drop=True)
    for arm in rows.arm:
        choice("table.arm", arm, STYLES)
    array("table", rows[["mae", "low", "high"]], ("rows", 3), 0)
    known = instance("paper", {} if paper is None else paper, dict)
    levels = {key: number(f"paper[{key}]", found, 0) for key, found in known.items()}
    figure, ax = plt.subplots(figsize=(6.4, 0.42 * len(rows) + 1.0), layout="constrained")
    for y, row in rows.iterrows():
        colour, marker = STYLES[row.arm]
        _ = ax.plot([row.low, row.high], [y, y], color=colour, lw=2.5, solid_capstyle="round")
        _ = ax.plot(row.mae, y, marker, color=colour, ms=7)
        found = levels.get((row.arm, row.test))
        if found is not None:
            _ = ax.plot([found, found], [y - 0.35, y + 0.35], color="black", lw=1.5, ls=":")
    _ = ax.set_yticks(range(len(rows)), rows.arm + ", " + rows.test)
    _ = ax.set(xlabel="mean absolute error (degrees)", xlim=(0, None))
    ax.invert_yaxis()
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def png(figure: Figure, note: str) -> bytes:
    """Encode a figure as PNG, with a note in it on where its numbers come from."""
    instance("figure", figure, Figure)
    text("note", note)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Description": note})
    return file.getvalue()


def _grey(films: np.ndarray) -> np.ndarray:
    """Return films (n, h, w) whose grey levels have a scale, or raise `InputError`."""
    array("films", films, ("n", "height", "width"))
    films = np.asarray(films)
    require(
        films.dtype.kind in "uf",
        "films",
        f"{films.dtype} values",
        "unsigned integers, or numbers from 0 to 1",
    )
    if films.dtype.kind == "f":
        array("films", films, ("n", "height", "width"), 0, 1)
    return films


def _draw_landmarks(ax, landmarks_px) -> None:
    """Draw the S1 and L1 plates, the heads, and the line from the hip axis to the middle of S1."""
    s1, l1, heads = landmarks_px[:2], landmarks_px[2:4], landmarks_px[4:]
    axis, middle = hip_axis(landmarks_px), s1.mean(0)
    _ = ax.plot(*s1.T, color=_PLATE, lw=1.6)
    _ = ax.plot(*l1.T, color=_PLATE, lw=1.6)
    _ = ax.plot(*heads.T, "o", color=_HIP, ms=4, mfc="none")
    _ = ax.plot(*np.stack([axis, middle]).T, color=_HIP, lw=1, ls="--")
