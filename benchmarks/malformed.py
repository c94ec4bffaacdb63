"""The campaign: malformed and unusual input at every public door of the package, by the thousand.

    python benchmarks/malformed.py --n 10000
    python benchmarks/malformed.py --only films.hospitals.film_set --seed 1234

A *door* makes a trial of a generator: what is called, and what must come of it.  Malformed input is valid
input, changed by a mutation that is known to make it wrong: it must be refused by an `InputError` of one
line, before anything is drawn, trained or written.  Other trials write valid input in an unusual way, as
NumPy's numbers or as a view: the answer must not change.  Doors and mutations stand in
``benchmarks/hostile``.

Trial k is a function of k alone; what a fault's line ends with reproduces it.  Where there is a fault, the
exit status is 1.
"""

import argparse
import resource
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import torch
from hostile import experiment, films, ground, learning, pages, words
from hostile.trials import Door, Trial
from hostile.world import here, opened

import lumbo
from lumbo.errors import InputError

GOOD = ("refused", "right")
FAULTS = ("traceback", "unclear", "accepted", "wrong", "valid refused")
WEIGHTS = {  # doors with more ways to be wrong than others, and slow ones
    "cli.main": 6, "films.hospitals.check_hospital": 6, "films.populations.check_statistics": 6,
    "experiment.claims.read": 2, "experiment.jobs.check_size": 3, "films.hospitals.Hospital": 3,
    "cli.main, valid": 0.5, "learning.training.fit, its checkpoint": 0.5, "experiment.results.reference": 0.5,
    "experiment.tables.results": 0.3, "films.hospitals.film_set, its cache": 0.5,
}  # fmt: skip
MIB = 300  # by which memory may grow in one trial
LONGEST = 20_000  # letters of an error, which may quote a path
OURS, ERRORS = (
    Path(lumbo.__file__).parent,
    "errors.py",
)  # where a check is made is of no interest, but who asked for it


def every_door() -> list[Door]:
    """List every door, those of words first."""
    rooms = [room for wing in (ground, films, learning, experiment, pages) for room in wing.ROOMS]
    typed = [Door("cli.main", words.wrong), Door("cli.main, valid", words.unusual)]
    return typed + [door for room in rooms for door in room()]


class Found(NamedTuple):
    """What came of a trial, one of `GOOD` or `FAULTS`, and more about a fault."""

    verdict: str
    detail: str = ""


class Fault(NamedTuple):
    """A fault, as trials that show the same one share it."""

    verdict: str
    door: str
    what: str
    detail: str


def judge(trial: Trial) -> Found:
    """Call, and say what came of it."""
    before = peak()
    try:
        with warnings.catch_warnings(action="error"):
            answer = trial.call()
            right = trial.right is not None and trial.right(answer)
    except InputError as error:
        found = refused(trial, error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Found("traceback", f"{type(error).__name__}: {first_line(error)}, {place(error)}")
    else:
        found = Found("right") if right else Found("accepted" if trial.refuses else "wrong")
    grown = peak() - before
    return Found("traceback", f"{grown:.0f} MiB of memory") if grown > MIB else found


def refused(trial: Trial, error: InputError) -> Found:
    """Say whether a refusal is due, one printable line, and names a field."""
    line = str(error)
    if not trial.refuses:
        return Found("valid refused", f"{line[:150]}, {place(error)}")
    clear = line.isprintable() and bool(error.field) and len(line) < LONGEST
    return Found("refused") if clear else Found("unclear", f"{line[:150]!r}, {place(error)}")


def first_line(error: BaseException) -> str:
    """Give the first line of what an error says, in short."""
    try:
        return (str(error).splitlines() or [""])[0][:99]
    except Exception as other:  # the text of somebody else's error fails
        return type(other).__name__


def place(error: BaseException) -> str:
    """Name the line of the package where an error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if OURS in Path(one.filename).parents and Path(one.filename).name != ERRORS]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def peak() -> float:
    """Give the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def campaign(doors: Sequence[Door], n: int, first: int = 0) -> tuple[pd.DataFrame, dict[Fault, int]]:
    """Run `n` trials from `first` on.

    Returns
    -------
    the verdicts and the milliseconds by door; each fault, with the first trial that shows it
    """
    weights = np.array([WEIGHTS.get(door.name, 1) for door in doors], float)
    counts, seconds, faults = Counter[tuple[str, str]](), Counter[str](), {}
    for k in range(first, first + n):
        picked, drawn = np.random.default_rng(k).spawn(2)
        door = doors[picked.choice(len(doors), p=weights / weights.sum())]
        here().wipe()
        began = time.perf_counter()
        trial = door.trial(drawn)
        found = judge(trial)
        seconds[door.name] += time.perf_counter() - began
        counts[door.name, found.verdict] += 1
        if found.verdict in FAULTS:
            faults.setdefault(Fault(found.verdict, door.name, trial.what, found.detail), k)
    here().wipe()
    table = pd.DataFrame(
        [[counts[name, verdict] for verdict in (*GOOD, *FAULTS)] for name in seconds],
        pd.Index(seconds, name="door"),
        [*GOOD, *FAULTS],
    ).sort_index()
    table.loc["all"] = table.sum()
    spent = pd.Series(seconds | {"all": sum(seconds.values())})
    return table.assign(ms=(1000 * spent / table.sum(axis=1)).round(1)), faults


def main() -> int:
    """Run the campaign; print the table, and a line for each fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, help="trials (default: 10000; of one door, 1)")
    parser.add_argument("--seed", type=int, default=0, help="the first trial (default: 0)")
    parser.add_argument("--only", default="", metavar="DOOR", help="try one door")
    options = parser.parse_args()
    torch.set_num_threads(1)
    matplotlib.use("agg")
    with opened():
        doors = [door for door in every_door() if options.only in ("", door.name)]
        table, faults = campaign(doors, options.n or (1 if options.only else 10_000), options.seed)
    print(table.to_string())
    for fault, k in sorted(faults.items()):
        said = ": ".join(filter(None, fault))
        print(f"{said}: --only '{fault.door}' --seed {k}")
    print(f"{table.loc['all', list(FAULTS)].sum():.0f} faults, {len(faults)} of them distinct")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
