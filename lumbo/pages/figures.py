"""Figures of the chapters: arrays in, a matplotlib figure out.  Taught in spine_to_film.

Every function returns the figure and draws nothing else.  Colours are those of Okabe and
Ito, told apart by colour-blind readers, and each comes with a marker of its own.
"""

import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lumbo.angles import hip_axis

__all__ = ["STYLES", "films", "descents", "arms", "png"]

STYLES = {  # colour and marker of each arm, the same in every chapter
    "local": ("#D55E00", "s"),
    "centralized": ("#0072B2", "o"),
    "federated": ("#009E73", "D"),
}
_PLATE, _HIP = "#E69F00", "#56B4E9"


def films(
    films: np.ndarray,
    landmarks_px: np.ndarray | None = None,
    titles: Sequence[str] = (),
    columns: int = 4,
    size: float = 2.2,
) -> Figure:
    """Show films (n, h, w) side by side, with the landmarks (n, 6, 2) drawn where they are given."""
    columns = min(columns, len(films))
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


def descents(histories: dict[str, list], label: str = "validation MAE (degrees)") -> Figure:
    """Plot the validation error of training runs against the optimiser steps they took.

    A run called by its arm, or by ``arm-hospital``, has the colour of the arm.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for i, ((name, history), marker) in enumerate(zip(histories.items(), "osD^vPX*")):
        colour, _ = STYLES.get(name.split("-")[0], (f"C{i}", None))
        steps, errors = [c.steps for c in history], [c.validation_mae for c in history]
        _ = ax.plot(steps, errors, marker=marker, color=colour, label=name)
    _ = ax.set(xlabel="optimiser steps", ylabel=label, ylim=(0, None))
    _ = ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure


def arms(table: pd.DataFrame, network: str, paper: dict[tuple[str, str], float] | None = None) -> Figure:
    """Plot the MAE of each arm on each kind of test, with intervals.

    table : from `tables.overview`;  paper : what the paper finds, by (arm, test), drawn as a tick
    """
    rows = table[table.network == network].reset_index(drop=True)
    figure, ax = plt.subplots(figsize=(6.4, 0.42 * len(rows) + 1.0), layout="constrained")
    for y, row in rows.iterrows():
        colour, marker = STYLES[row.arm]
        _ = ax.plot([row.low, row.high], [y, y], color=colour, lw=2.5, solid_capstyle="round")
        _ = ax.plot(row.mae, y, marker, color=colour, ms=7)
        found = (paper or {}).get((row.arm, row.test))
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
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Description": note})
    return file.getvalue()


def _draw_landmarks(ax, landmarks_px) -> None:
    """Draw the S1 and L1 plates, the heads, and the line from the hip axis to the middle of S1."""
    s1, l1, heads = landmarks_px[:2], landmarks_px[2:4], landmarks_px[4:]
    axis, middle = hip_axis(landmarks_px), s1.mean(0)
    _ = ax.plot(*s1.T, color=_PLATE, lw=1.6)
    _ = ax.plot(*l1.T, color=_PLATE, lw=1.6)
    _ = ax.plot(*heads.T, "o", color=_HIP, ms=4, mfc="none")
    _ = ax.plot(*np.stack([axis, middle]).T, color=_HIP, lw=1, ls="--")
