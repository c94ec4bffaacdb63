"""The command line: ``python -m lumbo reproduce``, ``claims`` and ``films``."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from tqdm import tqdm

from lumbo import __version__, store
from lumbo.experiment import claims, reproduction, scores
from lumbo.films import archive, hospitals
from lumbo.pages import figures
from lumbo.errors import InputError, require

__all__ = ["STORED", "Parser", "main", "reproduce", "ledger", "films"]

STORED = "full"  # the size whose results ship with the book


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line and ends with 2."""

    def error(self, message: str) -> NoReturn:
        """Name the argument, the value and what is allowed; no usage before it."""
        self.exit(2, f"lumbo: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 2 after one line that says what is wrong."""
    try:
        options, unknown = _parser().parse_known_args(arguments)
        require(not unknown, "option", " ".join(unknown), options.usage)
        return options.command(options)
    except InputError as error:
        print(f"lumbo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lumbo: stopped; run the same command again to go on from here", file=sys.stderr)
        return 130


def reproduce(options) -> int:
    """Train and test every arm and print the table of the paper's experiment."""
    what = reproduction.size(options.size)
    out = options.out or Path("runs") / what.name
    wanted = list(reproduction.seeds(what)) if options.seed is None else [options.seed]
    plans = [
        job.name
        for seed in wanted
        if seed in reproduction.seeds(what)
        for job in reproduction.jobs(what, seed)
    ]
    taken, lock = {}, threading.Lock()
    bar = tqdm(total=len(plans) * what.plan.steps, unit="step", delay=1, smoothing=0, disable=options.quiet)
    with bar, _answering():  # the delay: no bar above an error
        bar.set_postfix_str(f"drawing films; {len(plans)} models to begin", refresh=False)

        def report(job: str, steps: int, total: int) -> None:
            with lock:
                more, known, taken[job] = steps - taken.get(job, 0), job in taken, steps
                running = [name for name, done in taken.items() if done < total]
                bar.set_postfix_str(f"{', '.join(running) or job}; {len(plans) - len(taken)} models to begin")
                if not (known or bar.disable):  # steps of earlier calls took none of this one's time
                    bar.initial += more
                bar.update(more)

        outcome = reproduction.run(what, out, wanted, options.workers, options.device, report)
    rng = np.random.default_rng(0)
    store.write_atomic(
        out / "results.csv", scores.results(outcome, rng).to_csv(index=False, float_format="%.4f").encode()
    )
    table, short = scores.overview(outcome, np.random.default_rng(0)), what.name != STORED
    _show(_beside_stored(table, outcome) if short else table)
    print("MAE in degrees against rated angles, 95 % interval over seeds and patients.")
    if short:
        print(f"{STORED}: what the same models say in the run that ships with the book, after more steps.")
    print(f"All of it: {out}/results.csv\n")
    _show(scores.endings(outcome, reproduction.read_run(out)))
    print(
        "How far from the end: late_gain is what the best validation MAE fell in the last quarter of the steps."
    )
    return 0


@contextmanager
def _answering() -> Iterator[None]:
    """Answer Ctrl-C at once: models end at their next check, which can be a minute away."""

    def stop(*_):
        print("\nlumbo: stopping; each model goes on to its next check", file=sys.stderr)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as in the background of a script
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _beside_stored(table: pd.DataFrame, outcome: reproduction.Outcome) -> pd.DataFrame:
    """Add a column: the MAE of the same models in the stored run, so that a short one shows what it lacks."""
    stored, _ = reproduction.reference(STORED)
    same = replace(stored, said={job: said for job, said in stored.said.items() if job in outcome.said})
    found = scores.overview(same, np.random.default_rng(0)).rename(columns={"mae": STORED})
    return table.merge(found[["network", "arm", "test", STORED]], how="left")


def _show(table: pd.DataFrame) -> None:
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


def ledger(options) -> int:
    """Judge the paper's claims by a stored experiment; write the book's page and the README's figure."""
    registered = claims.read(options.claims)
    outcome, run = reproduction.reference(options.size)
    table = claims.ledger(registered, outcome, np.random.default_rng(0))
    page = claims.page(registered, table, run)
    arms = scores.overview(outcome, np.random.default_rng(0))
    figure = figures.arms(arms, registered.protocol.network, claims.paper_levels(registered))
    store.write_atomic(options.out, page.encode())
    store.write_atomic(options.figure, figures.png(figure, claims.origin(run)))
    print(
        table[["id", "value", "low", "high", "tolerance", "p_holm", "verdict", "student_verdict"]].to_string(
            index=False
        )
    )
    return 0


def films(options) -> int:
    """Write films as a hospital's archive holds them."""
    names = list(hospitals.hospitals()) if options.hospital == "all" else options.hospital.split(",")
    sites = [hospitals.hospital(name) for name in names]
    with tqdm(unit="film", delay=1, disable=options.quiet) as bar:

        def report(site: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_postfix_str(site)
            bar.update(done - bar.n)

        table = archive.write_films(
            options.out,
            sites,
            options.split,
            options.seed,
            options.n,
            options.long_side,
            options.format.split(","),
            report,
        )
    print(f"{len(table)} films of {', '.join(names)}: {options.out}/landmarks.csv and angles.csv name each.")
    print(archive.NOTE)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lumbo", description="Not for clinical use.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True)
    for add in (_add_reproduce, _add_claims, _add_films):
        command = add(commands)
        command.add_argument("--quiet", action="store_true", help="no progress bar")
        command.set_defaults(usage=" ".join(command.format_usage().split()[2:]))
    return parser


def _add_reproduce(commands) -> argparse.ArgumentParser:
    run = commands.add_parser(
        "reproduce", help="train local, centralized and federated models and compare them"
    )
    run.add_argument(
        "--size", default="fast", help=f"one of {', '.join(reproduction.sizes())} (default: fast)"
    )
    run.add_argument(
        "--out", type=Path, help="folder of the results (default: runs/SIZE); resumes what is there"
    )
    run.add_argument(
        "--seed", type=_whole(0), help="one shard of it: the models of this seed (default: all seeds)"
    )
    run.add_argument(
        "--workers",
        type=_whole(1),
        metavar="N",
        help="models trained at the same moment (default: one a core; on a GPU only 1)",
    )
    run.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    run.set_defaults(command=reproduce)
    return run


def _add_claims(commands) -> argparse.ArgumentParser:
    judge = commands.add_parser(
        "claims", help="judge the paper's claims by the results that ship with the book"
    )
    judge.add_argument("--size", default=STORED, help=f"which results (default: {STORED})")
    judge.add_argument(
        "--claims", type=Path, help="the claims and their tolerances (default: those that ship)"
    )
    judge.add_argument("--out", type=Path, default=Path("book/claims.md"), help="page to write")
    judge.add_argument(
        "--figure", type=Path, default=Path("book/static/result.png"), help="figure to write, the README's"
    )
    judge.set_defaults(command=ledger)
    return judge


def _add_films(commands) -> argparse.ArgumentParser:
    draw = commands.add_parser("films", help="write films as PNG and DICOM, with landmarks and angles as CSV")
    draw.add_argument("--out", type=Path, required=True, help="folder of the films; resumes what is there")
    draw.add_argument(
        "--hospital",
        default="all",
        metavar="NAMES",
        help=f"of {', '.join(hospitals.hospitals())}, with commas between (default: all)",
    )
    draw.add_argument("--split", default="test", help="training, validation or test (default: test)")
    draw.add_argument(
        "--n", type=_whole(1), help="films of each hospital (default: as many patients as it has)"
    )
    draw.add_argument("--seed", type=_whole(0), default=0, help="of the patients (default: 0)")
    draw.add_argument(
        "--long-side", type=_whole(1), default=256, metavar="PX", help="height of a film (default: 256)"
    )
    draw.add_argument(
        "--format", default="png,dicom", metavar="NAMES", help="png, dicom or png,dicom (default)"
    )
    draw.set_defaults(command=films)
    return draw


def _whole(low: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `low` that says what is allowed."""

    def read(text: str) -> int:
        if not (text.isdecimal() and int(text) >= low):
            raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number from {low}")
        return int(text)

    return read
