"""Kill -9 at random moments: whatever a command is doing, the next run ends with the bytes of a whole one.

    python benchmarks/kills.py --n 100

Three commands are killed in turn: `films`, `claims`, and the run behind `reproduce`, of a size that takes
seconds.  Each is begun again in the same folder, with the same cache, until it ends before its moment or
has been killed five times and may end; then every byte it leaves, in the cache too, is compared.  A command
runs in a process that is forked from this one, so that a kill meets its work and not its imports.  Where
anything differs, is missing or is left over, the exit status is 1.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lumbo import cli, store
from lumbo.experiment import claims, jobs, provenance, runner, tables
from lumbo.pages import figures  # noqa: F401  # what `claims` imports, before it is forked

IN_A_ROW = 5  # kills before a command may end
PATIENCE = 120  # seconds; a command that takes longer hangs
RESAMPLES = 200  # enough for a page
SIZE = {
    "title": "small enough to be killed",
    "seeds": {"regressor": 1},
    "left_out": False,
    "curve": [],
    "long_side_px": 32,
    "share": 0.01,
    "test": 3,
    "plan": {"steps": 12, "checks": 4, "patience": 9, "batch": 4},
}


def films(folder: Path) -> None:
    """Write films, more than one chunk."""
    words = [
        "films",
        "--out",
        str(folder / "set"),
        "--hospital",
        "elm",
        "--n",
        "66",
        "--long-side",
        "32",
        "--quiet",
    ]
    sys.exit(cli.main(words))


def judge(folder: Path) -> None:
    """Judge the claims, with fewer resamples."""
    claims.ledger = partial(claims.ledger, resamples=RESAMPLES)
    tables.overview = partial(tables.overview, resamples=RESAMPLES)
    sys.exit(
        cli.main(
            ["claims", "--out", str(folder / "page.md"), "--figure", str(folder / "figure.png"), "--quiet"]
        )
    )


def reproduce(folder: Path) -> None:
    """Train and test the models of a small size."""
    runner.run(jobs.check_size("killed", SIZE), folder / "run", workers=1)


Command = Callable[[Path], None]  # what it leaves stands in a folder
COMMANDS: dict[str, Command] = {"films": films, "claims": judge, "reproduce": reproduce}


def begin(command: Command, folder: Path) -> BaseProcess:
    """Start a command in a process of its own, with a cache of its own, in silence."""

    def run():
        os.environ["LUMBO_CACHE"] = str(folder / "cache")
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            command(folder)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def finish(command: Command, folder: Path) -> dict[str, bytes]:
    """Let a command end by itself; return what it leaves, by name."""
    process = begin(command, folder)
    process.join(PATIENCE)
    if process.exitcode != 0:
        process.kill()
        return {"": f"it ended with {process.exitcode}".encode()}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): content(path) for path in files}


def content(path: Path) -> bytes:
    """Return what must be the same in a file: all of it, but for how many seconds something took."""
    if path.name.endswith(".predictions.safetensors"):
        return store.checksum(store.load_tensors(path)[0], {}).encode()
    if path.parent.name == "run" and path.suffix == ".json" and "seed" in path.name:
        note = json.loads(path.read_text())
        timeless = {name: {**job, "seconds": 0} for name, job in note["jobs"].items()}
        return json.dumps(note | {"seconds": {}, "jobs": timeless}, sort_keys=True).encode()
    return path.read_bytes()


def disturb(command: Command, folder: Path, seconds: float, most: int, rng: np.random.Generator) -> int:
    """Kill a command at random moments, `most` times or until it ends before one; return how often."""
    for killed in range(most):
        process = begin(command, folder)
        process.join(rng.uniform(0, seconds))
        ended = process.exitcode is not None
        process.kill()
        process.join()
        if ended:
            return killed
    return most


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """Name the files that differ, are missing or are left over."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def campaign(name: str, n: int, place: Path, rng: np.random.Generator) -> dict:
    """Kill one command `n` times, in rows, and compare what it leaves after each row."""
    command, began = COMMANDS[name], time.perf_counter()
    wanted = finish(command, place / "undisturbed")
    if "" in wanted:
        raise SystemExit(f"{name}, undisturbed: {wanted[''].decode()}")
    seconds, kills, rows, odd = time.perf_counter() - began, 0, 0, Counter[str]()
    while kills < n:
        folder = place / str(rows)
        kills += disturb(command, folder, seconds, min(IN_A_ROW, n - kills), rng)
        odd.update(differences(finish(command, folder), wanted))
        rows += 1
        shutil.rmtree(folder)
    found = {
        "command": name,
        "seconds": round(seconds, 1),
        "kills": kills,
        "ended": rows,
        "files": len(wanted),
    }
    return found | {"differences": odd.total(), "which": ", ".join(odd)}


def main() -> int:
    """Kill every command and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100, help="kills, of all commands together (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LUMBO_CACHE"] = f"{folder}/cache"
        provenance.fingerprint()  # of the code, and not of a run: once for all
        shares = np.diff(np.linspace(0, options.n, len(COMMANDS) + 1).round().astype(int))
        found = [campaign(name, int(n), Path(folder) / name, rng) for name, n in zip(COMMANDS, shares)]
    print(pd.DataFrame(found).to_string(index=False))
    return int(any(one["differences"] for one in found))


if __name__ == "__main__":
    sys.exit(main())
