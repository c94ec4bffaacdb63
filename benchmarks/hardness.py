"""How real and how hard films 2.0 are, beside real films: the yardstick, five marks.

    python benchmarks/hardness.py likeness               # 2 minutes; every number of real_films.toml, ours beside it
    python benchmarks/hardness.py few --all --part 1/2   # 27 each; 15 to 960 films of one hospital
    python benchmarks/hardness.py few --all --part 2/2
    python benchmarks/hardness.py bands                  # 25; 450 and 1,400 films beside published accuracies
    python benchmarks/hardness.py levels                 # 5, after bands; how often a plate is taken for another
    python benchmarks/hardness.py other                  # 12; learnt on films 2.0 or 1.0, measured on other films
    python benchmarks/hardness.py collect                # all of it into data_synth/reference/hardness.json

Each works on one thread, so two can run side by side, and keeps every result in a file of its own under ``--out``; one
that is there, and of the same films, is not made again.  The minutes are those of one core of two that both work.

But for `other`, nothing here looks at more than one hospital's training films, and nothing compares ways of training.  `other`
measures on films of other kinds alone: what a network trained on the films of six hospitals makes of films 2.0 is for the
experiment to say, not for the calibration.
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))  # also when a test imports this file
import plain
from likeness import SEED, bodies_px, contact_sheet, interval, likeness, rounded, share, table, upper_plates

from lumbo import films_1, store
from lumbo.angles import ANGLES, lumbopelvic_angles
from lumbo.errors import require
from lumbo.films import calibration, hospitals, radiograph, variety
from lumbo.films.hospitals import FilmSet, Hospital, pool
from lumbo.films.variety import USUAL, Setting
from lumbo.learning import evaluation, models, training

HOSPITAL = "aspen"
FEW = {
    15: 800,
    60: 1000,
    120: 1200,
    150: 1200,
    240: 1500,
    480: 2000,
    960: 2500,
}  # films: steps of the plain network
FEW_BOOK = {15: 1500, 150: 2500, 960: 4000}
BANDS = {"plain": {450: 2500, 1400: 3500}, "book": {450: 4000, 1400: 7000}}
DRAWS = {"plain": 3, "book": 1}  # of training films
OTHER_FILMS, OTHER_STEPS = 333, 3000  # of each hospital; of the book's network
VALIDATION, TEST, STRANGE = 60, 200, 60  # films; the last of each hospital and of another kind
CHECKS = 20
MISSED, LEVEL = 0.5, 0.7  # a plate is missed by half its length; a level by .7 of the way to the next
REFERENCE = Path(__file__).parent.parent / "data_synth" / "reference" / "hardness.json"


# ------------------------------------------------------------------------------------------------- two kinds of network


def learn(network: str, train: FilmSet, validation: FilmSet, steps: int, seed: int) -> tuple[nn.Module, dict]:
    """Train a network, "plain" or "book"; return it with the weights of its best check, and how it went."""
    began = time.time()
    if network == "plain":
        model = plain.build(seed)
        best = plain.fit(model, train, validation, steps, seed)
    else:
        model = models.build("landmarks", seed)
        plan = training.Plan(steps=steps, checks=min(CHECKS, steps), patience=steps)
        history = training.fit(model, train, validation, plan, (seed,))
        best = min(history, key=lambda check: check.validation_mae).steps
    return model, {"steps": steps, "best_step": best, "seconds": round(time.time() - began)}


def find(model: nn.Module, films: np.ndarray) -> np.ndarray:
    """Return the landmarks that either network finds, (n, 6, 2)."""
    return (
        plain.predict(model, films)
        if isinstance(model, plain.UNet)
        else training.predict(model, films).landmarks_px
    )


def keep_weights(path: Path, model: nn.Module) -> None:
    """Write the weights of either network."""
    store.save_tensors(path, {name: value.numpy() for name, value in model.state_dict().items()}, stamp())


def read_weights(path: Path, network: str) -> nn.Module:
    """Read what `keep_weights` wrote, of today's films."""
    model = plain.build(0) if network == "plain" else models.build("landmarks", 0)
    arrays, note = store.load_tensors(path)
    require(note == stamp(), str(path), "learnt on other films", "weights that `bands` left today")
    model.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    return model


# ------------------------------------------------------------------------------------------------------------ errors


def off_mm(found_px: np.ndarray, data: FilmSet, rooms: dict[str, Hospital]) -> np.ndarray:
    """How far five points lie from where the rater put them, in mm in the middle plane of the patient: (n, 5)."""
    across_up = np.stack([radiograph.magnification(0.0, rooms[site].scanner) for site in data.site])
    off = plain.five(found_px) - plain.five(data.rated_landmarks_px)
    return np.linalg.norm(off * data.pixel_mm[:, None, None] / across_up[:, None], axis=-1)


def missed(found_px: np.ndarray, true_px: np.ndarray, first: int) -> np.ndarray:
    """How far the middle of a plate, whose front end is landmark `first`, is missed, in plate lengths: (n,)."""
    plate = true_px[:, first : first + 2]
    off = found_px[:, first : first + 2].mean(1) - plate.mean(1)
    return np.linalg.norm(off, axis=-1) / np.linalg.norm(plate[:, 1] - plate[:, 0], axis=-1)


def measure(found_px: np.ndarray, data: FilmSet, rooms: dict[str, Hospital]) -> dict:
    """Errors of found landmarks against the rated ones, each with a 95 % bootstrap interval over the films."""
    mm, apart = off_mm(found_px, data, rooms), np.arange(6)[:, None] * [0, 1e-6]
    angles_deg = lumbopelvic_angles(found_px + apart, "left")  # two ends in one place have no direction
    off_deg = abs(evaluation.angle_errors(angles_deg, data.rated_angles_deg))
    return {
        "mean_mm": interval(mm.mean(1), np.mean),
        "median_mm": interval(mm.ravel(), np.median),
        "points_mm": {name: interval(mm[:, i], np.mean) for i, name in enumerate(plain.POINTS)},
        "points_median_mm": {name: interval(mm[:, i], np.median) for i, name in enumerate(plain.POINTS)},
        "mae_deg": {name: interval(off_deg[:, i], np.mean) for i, name in enumerate(ANGLES)},
        "missed": {
            plate: share(missed(found_px, data.landmarks_px, first) > MISSED)
            for plate, first in (("S1", 0), ("L1", 2))
        },
    }


# -------------------------------------------------------------------------------------------------------------- marks


def few(where: Hospital, network: str, n: int, draw: int, steps: int) -> list[dict]:
    """Train on n films; `draw` says which.  Fewer films are the first of more."""
    largest = max(n, max(FEW))
    train = hospitals.film_set(where, "training", SEED + 1 + draw, largest)[:n]
    validation, test = (
        hospitals.film_set(where, split, SEED, size)
        for split, size in (("validation", VALIDATION), ("test", TEST))
    )
    model, how = learn(network, train, validation, steps, draw)
    what = f"{network}, {n} films of {where.name}, draw {draw}"
    row = {"what": what, "network": network, "hospital": where.name, "films": n, "draw": draw}
    return [row | how | measure(find(model, test.films), test, {where.name: where})]


def bands(where: Hospital, network: str, n: int, steps: int, weights: Path) -> list[dict]:
    """Train on n films to convergence, keep the weights, and measure angles on 300 test films."""
    train, validation, test = (
        hospitals.film_set(where, split, n=size)
        for split, size in (("training", n), ("validation", 100), ("test", 300))
    )
    model, how = learn(network, train, validation, steps, 0)
    keep_weights(weights, model)
    ignorant = evaluation.predict_mean(train.rated_angles_deg, len(test))
    row = {
        "what": f"{network}, {n} films of {where.name}",
        "network": network,
        "hospital": where.name,
        "films": n,
    } | how
    row |= measure(find(model, test.films), test, {where.name: where})
    for name, said, reference in (
        ("mean_of_training_deg", ignorant, test.rated_angles_deg),
        ("rater_deg", test.rated_angles_deg, test.angles_deg),
    ):
        off = abs(evaluation.angle_errors(said, reference))
        row[name] = {angle: interval(off[:, i], np.mean) for i, angle in enumerate(ANGLES)}
    return [row]


def levels(where: Hospital, nets: dict[str, nn.Module], setting: Setting, what: str, n: int) -> list[dict]:
    """Share of films of a setting on which S1 or L1 is missed by half a plate, and by about a level."""
    data = hospitals.film_set(where, "test", SEED, n, setting=setting)
    plates = upper_plates(data.landmarks_px, bodies_px(where, "test", SEED, n, setting)[0]).mean(2)
    pairs = {
        "S1": (0, plates[:, 0], plates[:, 1]),
        "L1": (2, plates[:, 5], plates[:, 4]),
    }  # own and next plate
    rows = []
    for network, model in nets.items():
        found = find(model, data.films)
        row = {"what": f"{network}, {what}", "network": network, "films": n, "setting": what}
        row["mean_mm"] = interval(off_mm(found, data, {where.name: where}).mean(1), np.mean)
        for plate, (first, own, following) in pairs.items():
            off = np.linalg.norm(found[:, first : first + 2].mean(1) - own, axis=-1)
            far = off > LEVEL * np.linalg.norm(following - own, axis=-1)
            row[plate] = {
                "half_a_plate": share(missed(found, data.landmarks_px, first) > MISSED),
                "a_level": share(far),
            }
        rows.append(row)
    return rows


def settings() -> Iterator[tuple[str, Setting]]:
    """As measured, half as strong again, and with the spread of each group of factors left out."""
    yield "dial 1", USUAL
    yield "dial 1.5", Setting(dial=1.5)
    groups: dict[str, list[str]] = {}
    for name in variety.factors():
        groups.setdefault(name.split(".")[0], []).append(name)
    for group, names in groups.items():
        yield f"without {group}", Setting(without=tuple(names))


def other(films: str, steps: int, patch: Path | None) -> list[dict]:
    """Train the book's network on films of all six hospitals, "2.0" or "1.0"; measure it on films of other kinds.

    There is no validation: the last weights are taken, of a rate that falls to zero.
    """
    draws = hospitals if films == "2.0" else films_1.hospitals
    train = pool(
        [draws.film_set(where, "training", SEED, OTHER_FILMS) for where in draws.hospitals().values()]
    )
    train, model = training.check_films("train", train), models.build("landmarks", 0)
    plan = training.Plan(steps=steps, checks=1, patience=1)
    training.run_steps(model, training.new_optimizer(model, plan), train, plan, (0,), 0, steps, steps)
    rooms = films_1.hospitals.hospitals()
    rows = []
    for kind, test in strange_films(patch):
        row = {"what": f"trained on films {films}, measured on {kind}", "trained": films, "measured": kind}
        rows.append(row | {"steps": steps} | measure(find(model, test.films), test, rooms))
    return rows


def strange_films(patch: Path | None) -> Iterator[tuple[str, FilmSet]]:
    """Test films of six hospitals: 1.0, and 1.0 under a patch that varies them, once and half as strong again."""

    def drawn() -> FilmSet:
        each = films_1.hospitals.hospitals().values()
        return pool(
            [films_1.hospitals.draw(where, "test", SEED, 0, 256, 8, "cpu", STRANGE) for where in each]
        )

    yield "films 1.0", drawn()
    for strength in (1.0, 1.5) if patch else ():
        with patched(patch, strength):
            films = drawn()
        yield f"films 1.0, patched at {strength}", films


@contextmanager
def patched(path: Path, strength: float) -> Iterator[None]:
    """Draw films 1.0 under a patch that was written when the package was flat: ``lumbo.shapes`` and others."""
    flat = {name: getattr(films_1, name) for name in ("shapes", "radiograph", "hospitals")}
    spec = importlib.util.spec_from_file_location("patch", path)
    module = importlib.util.module_from_spec(spec)
    with (
        mock.patch.dict(sys.modules, {f"lumbo.{name}": part for name, part in flat.items()}),
        mock.patch.multiple(films_1.shapes, solids=films_1.shapes.solids, trunk=films_1.shapes.trunk),
        mock.patch.object(films_1.radiograph, "develop", films_1.radiograph.develop),
        mock.patch.object(films_1.hospitals, "_CODE", "", create=True),
    ):
        spec.loader.exec_module(module)
        module.install(strength)
        yield


# ------------------------------------------------------------------------------------------------------- what is kept


@cache
def stamp() -> dict[str, str]:
    """Digests of the specifications and of some films' mean grey levels, which change with most changes of films."""
    return {"specs": hospitals.specification(), "films": store.digest(quarters().round())}


def quarters() -> np.ndarray:
    """Mean grey levels of the quarters of some films, (n, 2, 2).

    On another processor they differ by less than a thousandth: whole ones are the same but for few that lie in between.
    """
    some = [
        hospitals.draw(where, split, SEED, 0, 256, n=8).films
        for where in hospitals.hospitals().values()
        for split in ("training", "test")
    ]
    return np.concatenate(some).astype(float).reshape(-1, 2, 128, 2, 104).mean((2, 4))


def keep(folder: Path, name: str, make: Callable[..., list[dict]], *arguments: Any) -> list[dict]:
    """Return the rows of a shard; make them, and keep them, where there are none of today's films."""
    path = folder / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    asked = [value for value in arguments if isinstance(value, int | str)]  # films, draw, steps, network
    if found.get("stamp") == stamp() and found.get("asked") == asked:
        return found["rows"]
    began = time.time()
    rows = make(*arguments)
    shard = {"stamp": stamp(), "asked": asked, "seconds": round(time.time() - began), "rows": rows}
    store.write_atomic(path, (json.dumps(shard, indent=1) + "\n").encode())
    return rows


def show(rows: list[dict]) -> None:
    """A line each."""
    for row in rows:
        said = [row["what"]]
        if "mean_mm" in row:
            said += ["{value:.2f} mm [{low:.2f}, {high:.2f}]".format(**row["mean_mm"])]
        if "mae_deg" in row:
            said += [", ".join(f"{name} {found['value']:.2f}" for name, found in row["mae_deg"].items())]
        for plate in ("S1", "L1"):
            if plate in row:
                said += [f"{plate} " + ", ".join(f"{k} {v['value']:.3f}" for k, v in row[plate].items())]
        if row.get("best_step", 0) == row.get("steps", 1):
            said += ["its last check was its best"]
        print("; ".join(said), flush=True)


# --------------------------------------------------------------------------------------------------------- to the book


def collect(folder: Path) -> dict:
    """Put all shards of today's films together; draws become one row with their range."""
    found: dict[str, dict] = {mark: {} for mark in calibration.MARKS}  # by what is in a row
    for path in sorted(folder.glob("*.json")):
        shard, mark = json.loads(path.read_text()), path.stem.split("-")[0]
        if shard["stamp"] == stamp():
            found[mark] |= {row["what"]: row for row in shard["rows"]}
        else:
            print(f"{path} is of other films and left out")
    rows = {mark: list(known.values()) for mark, known in found.items()}
    rows["few"] = over_draws(rows["few"])
    for mark in rows:
        print(f"{mark}: {len(rows[mark])} rows")
    return {"version": hospitals.frozen()["version"]} | stamp() | rows


def over_draws(rows: list[dict]) -> list[dict]:
    """Means over draws, with the smallest and the largest; how much worse 15 films are than 150, and half of the films."""
    kinds = sorted({(row["network"], row["hospital"], row["films"]) for row in rows})
    groups = {
        kind: sorted(
            (row for row in rows if (row["network"], row["hospital"], row["films"]) == kind),
            key=lambda row: row["draw"],
        )
        for kind in kinds
    }
    together = [
        {"what": f"{network}, {n} films of {hospital}", "network": network, "hospital": hospital, "films": n}
        | {"draws": len(group), "best_steps": [row["best_step"] for row in group], "steps": group[0]["steps"]}
        | {name: merged([row[name] for row in group]) for name in MEASURED}
        for (network, hospital, n), group in groups.items()
    ]
    for (network, hospital, n), group in groups.items():
        for more in (150,) if n == 15 else (2 * n,) if n >= 60 else ():
            many = {row["draw"]: row["mean_mm"]["value"] for row in groups.get((network, hospital, more), [])}
            pairs = [(row["mean_mm"]["value"], many[row["draw"]]) for row in group if row["draw"] in many]
            if len(pairs) > 1:  # one draw has no range
                times = [error / smaller for error, smaller in pairs]
                ends = rounded(value=np.mean(times), low=min(times), high=max(times))
                what = f"{network}, {n} over {more} films of {hospital}"
                together.append({"what": what, "network": network, "few": n, "ratio": ends})
    return together


MEASURED = ("mean_mm", "median_mm", "points_mm", "points_median_mm", "mae_deg", "missed")


def merged(parts: list[dict]) -> dict:
    """One table of numbers from those of several draws; a single draw keeps its own interval."""
    if len(parts) == 1:
        return parts[0]
    if "value" in parts[0]:
        values = [part["value"] for part in parts]
        return rounded(value=np.mean(values), low=min(values), high=max(values))
    return {name: merged([part[name] for part in parts]) for name in parts[0]}


# ------------------------------------------------------------------------------------------------------------ commands


def run_likeness(options: argparse.Namespace) -> None:
    """Measure and print; a sheet on request."""
    if options.sheet:
        contact_sheet(options.sheet)
    name = f"likeness-{options.n}{'-squares' * (options.real is not None)}"
    print(table(keep(options.out, name, likeness, options.n, options.real)))


def run_few(options: argparse.Namespace) -> None:
    """One training, or every second of all."""
    jobs = [(options.network, options.films, options.draw)]
    if options.all:
        part, parts = map(int, options.part.split("/"))
        every = [(n, draw, network) for network, sizes in (("plain", FEW), ("book", FEW_BOOK))
                 for n in sizes for draw in range(DRAWS[network])]  # fmt: skip
        jobs = [(network, n, draw) for n, draw, network in sorted(every, reverse=True)[part - 1 :: parts]]
    where = hospitals.hospital(options.hospital)
    for network, n, draw in jobs:
        steps = options.steps or (FEW if network == "plain" else FEW_BOOK).get(n, 2500)
        name = f"few-{network}-{where.name}-{n:04d}-{draw}"
        show(keep(options.out, name, few, where, network, n, draw, steps))


def run_bands(options: argparse.Namespace) -> None:
    """Both networks, or one."""
    where = hospitals.hospital(options.hospital)
    for network in options.network:
        for n in options.films:
            name, steps = (
                f"bands-{network}-{where.name}-{n:04d}",
                options.steps or BANDS[network].get(n, 4000),
            )
            weights = options.out / f"{name}.safetensors"
            show(keep(options.out, name, bands, where, network, n, steps, weights))


def run_levels(options: argparse.Namespace) -> None:
    """Every setting, with the networks of the bands."""
    where = hospitals.hospital(options.hospital)
    nets = {
        network: read_weights(
            options.out / f"bands-{network}-{where.name}-{options.films:04d}.safetensors", network
        )
        for network in BANDS
    }
    for what, setting in settings():
        name = f"levels-{where.name}-{what.replace(' ', '_')}"
        show(keep(options.out, name, levels, where, nets, setting, what, options.n))


def run_other(options: argparse.Namespace) -> None:
    """Both kinds of training films, or one."""
    if options.patch is None:
        print("No --patch: measured on films 1.0 alone.")
    for films in options.trained:
        name = f"other-{films}{'-patched' * (options.patch is not None)}"
        show(keep(options.out, name, other, films, options.steps, options.patch))


def run_collect(options: argparse.Namespace) -> None:
    """Write the file of the book, and read it as the book does."""
    content = json.dumps(collect(options.out), indent=1) + "\n"
    store.write_atomic(options.to, content.encode())
    calibration.marks(options.to)


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/hardness"), help="folder of the shards")
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=run.__doc__)
        found.set_defaults(run=run)
        return found

    one = command("likeness", run_likeness)
    one.add_argument("--n", type=int, default=64, help="films of each hospital")
    one.add_argument("--real", type=Path, help="folder of mean_and_sd.npz, the squares of real films")
    one.add_argument("--sheet", type=Path, help="PNG of forty films")
    one = command("few", run_few)
    one.add_argument("--hospital", default=HOSPITAL)
    one.add_argument("--network", choices=DRAWS, default="plain")
    one.add_argument("--films", type=int, default=15)
    one.add_argument("--draw", type=int, default=0)
    one.add_argument("--steps", type=int, help="default: by number of films")
    one.add_argument("--all", action="store_true")
    one.add_argument("--part", default="1/1", help="with --all, such as 1/2")
    one = command("bands", run_bands)
    one.add_argument("--hospital", default=HOSPITAL)
    one.add_argument("--network", nargs="+", choices=DRAWS, default=list(BANDS))
    one.add_argument("--films", type=int, nargs="+", default=[450, 1400])
    one.add_argument("--steps", type=int, help="default: by number of films")
    one = command("levels", run_levels)
    one.add_argument("--hospital", default=HOSPITAL)
    one.add_argument("--films", type=int, default=1400, help="of the bands' networks")
    one.add_argument("--n", type=int, default=TEST, help="test films of each setting")
    one = command("other", run_other)
    one.add_argument("--trained", nargs="+", choices=("2.0", "1.0"), default=["2.0", "1.0"])
    one.add_argument("--steps", type=int, default=OTHER_STEPS)
    one.add_argument("--patch", type=Path, help="a file that varies films 1.0, written for the flat package")
    one = command("collect", run_collect)
    one.add_argument("--to", type=Path, default=REFERENCE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.run(options)


if __name__ == "__main__":
    main()
