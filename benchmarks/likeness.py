"""How like real films ours are: every number of ``data_synth/real_films.toml``, measured on ours.  Part of `hardness.py`.

Films of all six hospitals, without implants, as the real ones carry none.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lumbo.films import anatomy, calibration, hospitals, plates, radiograph
from lumbo.films.hospitals import Hospital
from lumbo.films.variety import USUAL, Setting

SEED = 9100  # of patients in no experiment
LUMBAR = anatomy.LEVELS[:5]
PLATES = ("S1", *LUMBAR)
TEN = 10  # real films are behind a mean square
CLEAR = 0.02  # from this peak on a plate counts as clear
RESAMPLES = 400

Measured = dict[str, np.ndarray]  # by name, a row a film


# ---------------------------------------------------------------------------------------------- where everything is


def visits(where: Hospital, split: str, seed: int, n: int, setting: Setting = USUAL) -> list[hospitals.Visit]:
    """Who stands before the first n films of a set, a chunk after the other."""
    chunks = range(-(-n // hospitals.CHUNK))
    return [hospitals.visit(where, split, seed, chunk, setting=setting) for chunk in chunks]


def bodies_px(
    where: Hospital, split: str, seed: int, n: int, setting: Setting = USUAL
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of all bodies on the first n films of a set, (n, 14, 4, 2), and of the collimated field, (n, 2, 2)."""
    bodies, fields = [], []
    for seen in visits(where, split, seed, n, setting):
        exposure = seen.exposure
        bodies.append(radiograph.project(seen.spines.corners_mm, where.scanner, exposure))
        half = exposure.field_mm / 2 / exposure.pixel_mm[:, None]
        middle = np.array(exposure.shape[::-1]) / 2 - 0.5
        fields.append(np.stack([middle - half, middle + half], 1))
    return np.concatenate(bodies)[:n], np.concatenate(fields)[:n]


def upper_plates(landmarks_px: np.ndarray, bodies: np.ndarray) -> np.ndarray:
    """Upper plates of S1 and of L5 to L1, front end first: (n, 6, 2, 2)."""
    return np.concatenate([landmarks_px[:, None, :2], bodies[:, : len(LUMBAR), :2]], 1)


# -------------------------------------------------------------------------------------------------- what is measured


def look(where: Hospital, n: int) -> Measured:
    """Measure n test films of a hospital."""
    where = replace(where, implanted=0.0)
    data = hospitals.film_set(where, "test", SEED, n)
    bodies, field = bodies_px(where, "test", SEED, n)
    films = plates.stretch(data.films / np.float32(255)).astype(np.float32)
    ends = upper_plates(data.landmarks_px, bodies)
    found = calibration.film_statistics(data.films / np.float32(255))
    for k, plate in enumerate(PLATES):
        profile = plates.plate_profile(films, ends[:, k])
        found |= {f"{plate}.peak": profile.peak, f"{plate}.contrast": profile.contrast}
        found[f"{plate}.square"] = plates.plate_squares(films, ends[:, k]).astype(np.float32)
        if plate == "S1":
            found["grey_at_s1"] = profile.grey
    grid = calibration.real_details()["grid"]
    found["grid"] = plates.around_s1(films, ends[:, 0], grid["below"], grid["behind"])
    found["spacing"] = plates.spacing(bodies[:, : len(LUMBAR)], films.shape[1])
    found["in_view"] = plates.in_view(bodies, field[:, 0], field[:, 1])
    spines = [seen.spines for seen in visits(where, "test", SEED, n)]
    return found | bones(
        np.concatenate([one.bodies_mm for one in spines])[:n],
        np.concatenate([one.s1_mm for one in spines])[:n],
    )


def bones(bodies_mm: np.ndarray, s1_mm: np.ndarray) -> Measured:
    """Proportions of the lumbar bodies and discs, (n, 5) each, L5 first."""
    measured = plates.proportions(bodies_mm[:, : len(LUMBAR)], s1_mm)
    return {f"bones.{name}": values for name, values in measured.items()}


# --------------------------------------------------------------------------------------------- numbers and intervals


def interval(values: np.ndarray, statistic: Callable = np.median, resamples: int = RESAMPLES) -> dict:
    """Return a statistic over films, and the ends of its 95 % bootstrap interval; NaN counts for nothing."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)] if values.ndim == 1 else values
    rng = np.random.default_rng(0)
    again = [statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(resamples)]
    low, high = np.percentile(again, (2.5, 97.5))
    return rounded(value=statistic(values), low=low, high=high)


def share(hits: np.ndarray) -> dict:
    """Return the share of films on which something is so, with its 95 % interval [Wilson 1927].

    >>> share(np.array([True, False, False, False]))
    {'value': 0.25, 'low': 0.0456, 'high': 0.6994}
    """
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return rounded(value=p, low=max(low, 0.0), high=min(high, 1.0))


def of_ten(values: np.ndarray, statistic: Callable) -> dict:
    """Return a statistic of ten films as it falls out in draws of ten: median and 95 % of the draws.

    A mean over ten films is noisier than one over hundreds, and so it was on real films.
    """
    rng = np.random.default_rng(0)
    drawn = [statistic(values[rng.permutation(len(values))[:TEN]]) for _ in range(RESAMPLES // 2)]
    low, value, high = np.percentile(drawn, (2.5, 50, 97.5))
    return rounded(value=value, low=low, high=high)


def rounded(**numbers: float) -> dict:
    """Four decimals are enough."""
    return {name: round(float(number), 4) for name, number in numbers.items()}


def spread(values: np.ndarray) -> dict:
    """How much films differ."""
    values = values[np.isfinite(values)]
    p10, p90 = np.percentile(values, (10, 90))
    return rounded(p10=p10, p90=p90, mean=values.mean(), sd=values.std(ddof=1))


# -------------------------------------------------------------------------------------------------------------- rows


def likeness(n: int, real: Path | None = None) -> list[dict]:
    """Measure n films of each hospital; return a row for each number, beside that of real films.

    real : a folder with ``mean_and_sd.npz``, to compare the squares themselves
    """
    each = {name: look(where, n) for name, where in hospitals.hospitals().items()}
    pooled = {name: np.concatenate([one[name] for one in each.values()]) for name in each["aspen"]}
    return [
        row | {"hospitals": {name: measure(one) for name, one in each.items()}} | measure(pooled)
        for row, measure in (*of_films(), *of_plates(), *of_squares(real), *of_grid(), *of_bones())
    ]


def of_films():
    """Rows of what a film is as a whole: what, the real number, and how ours is measured."""
    details = calibration.real_details()
    known = calibration.real_films() | {"grey_at_s1": details["grey_at_s1"], "spacing": details["spacing"]}
    for name, real in known.items():
        yield {"what": name, "real": real}, lambda m, name=name: interval(m[name]) | spread(m[name])
    labelled = details["vertebrae_labelled"]
    for number, real in zip(labelled["number"], labelled["share"]):
        last = number == labelled["number"][-1]
        row = {"what": f"{number} vertebrae in view{' or more' * last}", "real": {"share": real}}
        yield row, lambda m, k=number, last=last: share((m["in_view"] >= k) if last else (m["in_view"] == k))


def of_plates():
    """Rows of the grey across plates."""
    for plate, real in calibration.real_details()["plates"].items():
        for name in ("peak", "contrast"):
            key = f"{plate}.{name}"
            yield {"what": key, "real": real[name]}, lambda m, key=key: interval(m[key]) | spread(m[key])
        row = {"what": f"{plate}.clear", "real": {"share": real["clear"]}}
        yield row, lambda m, key=f"{plate}.peak": share(m[key] > CLEAR)


def of_squares(folder: Path | None):
    """Rows of the squares around plates; with the real squares also how ours go along with them."""
    for plate, real in calibration.real_details()["squares"].items():
        key = f"{plate}.square"
        for what, statistic in (("mean_varies", mean_varies), ("films_differ", films_differ)):
            row = {"what": f"{plate}.{what}", "real": {what: real[what]}}
            yield row, lambda m, key=key, statistic=statistic: of_ten(m[key], statistic)
        if folder is not None:
            with np.load(folder / "mean_and_sd.npz") as known:
                mean, sd = known[f"{plate}_mean"], known[f"{plate}_sd"]
            for what, theirs, over in (("mean", mean, np.mean), ("sd", sd, np.std)):
                yield (
                    {"what": f"{plate}.{what}_correlates", "real": {}},
                    lambda m, key=key, theirs=theirs, over=over: of_ten(
                        m[key], lambda ten: np.corrcoef(over(ten, 0).ravel(), theirs.ravel())[0, 1]
                    ),
                )


def mean_varies(squares: np.ndarray) -> float:
    """SD over places of the mean square."""
    return squares.mean(0).std()


def films_differ(squares: np.ndarray) -> float:
    """Mean over places of the SD between squares."""
    return squares.std(0).mean()


def of_grid():
    """Rows of the grey around S1."""
    grid = calibration.real_details()["grid"]
    for i, below in enumerate(grid["below"]):
        for j, behind in enumerate(grid["behind"]):
            row = {"what": f"grey {below:+} below, {behind:+} behind S1"}
            row["real"] = {"mean": grid["mean"][i][j], "sd": grid["sd"][i][j]}
            yield row, lambda m, i=i, j=j: interval(m["grid"][:, i, j], np.mean) | spread(m["grid"][:, i, j])


def of_bones():
    """Rows of proportions: each level's mean, and how patients and levels differ."""
    details = calibration.real_details()
    for k, level in enumerate(LUMBAR):
        for name, real in details["anatomy"][level].items():
            row = {"what": f"{level}.{name}", "real": dict(zip(("mean", "sd"), real))}
            yield (
                row,
                lambda m, k=k, key=f"bones.{name}": interval(m[key][:, k], np.mean) | spread(m[key][:, k]),
            )
    for name, real in details["levels"].items():
        for i, what in enumerate(("between", "within", "correlation")):
            yield (
                {"what": f"{name}.{what}", "real": {what: real[what]}},
                lambda m, i=i, key=f"bones.{name}": interval(
                    m[key], lambda v: plates.levels_apart(v)[i], RESAMPLES // 4
                ),
            )


# ---------------------------------------------------------------------------------------------------- to be looked at


def table(rows: list[dict]) -> str:
    """Ours beside the real ones, a line each."""
    names = list(rows[0]["hospitals"])
    lines = [
        f"{'':36s}{'real':>34s}{'ours [95 %]':>28s}{'p10 to p90':>18s}  {' '.join(f'{n[:7]:>7s}' for n in names)}"
    ]
    for row in rows:
        ours = f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        range_ = f"{row['p10']:.3f} to {row['p90']:.3f}" if "p10" in row else ""
        each = " ".join(f"{row['hospitals'][name]['value']:7.3f}" for name in names)
        lines.append(f"{row['what']:36s}{short(row['real']):>34s}{ours:>28s}{range_:>18s}  {each}")
    return "\n".join(lines)


def short(known: dict) -> str:
    """A table of numbers in a line."""
    return ", ".join(f"{k} {short(v) if isinstance(v, dict) else v}" for k, v in known.items())


def contact_sheet(path: Path, across: int = 8, down: int = 5) -> None:
    """Draw forty films side by side, the hospitals in turn."""
    each = -(-across * down // len(hospitals.hospitals()))
    sets = [
        hospitals.film_set(replace(where, implanted=0.0), "test", SEED, each).films
        for where in hospitals.hospitals().values()
    ]
    films = np.stack(sets, 1).reshape(-1, *sets[0].shape[1:])[: across * down]
    rows = [np.concatenate(list(films[i * across : (i + 1) * across]), 1) for i in range(down)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)
