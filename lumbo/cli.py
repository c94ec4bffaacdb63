"""The command line: ``lumbo reproduce``, ``claims``, ``films`` and ``cache``; ``python -m lumbo`` does the same.

A command's options, and the modules it needs, are loaded when it is named: ``lumbo --help`` loads none of them.
"""

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lumbo import __version__
from lumbo.errors import InputError, require

__all__ = ["STORED", "Parser", "Command", "COMMANDS", "main"]

STORED = "full"  # the size whose results ship with the book


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line and ends with 2."""

    def error(self, message: str) -> NoReturn:
        """Name the argument, the value and what is allowed; no usage before it."""
        self.exit(2, f"lumbo: {message}\n")


@dataclass(frozen=True)
class Command:
    """One command: a line of help, a function that adds its options to a parser, and one that runs it."""

    help: str
    add_options: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], None]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, or 2 after one line that says what is wrong."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"lumbo: {message}", file=sys.stderr)
            _run(words)
        sys.stdout.flush()
    except InputError as error:
        print(f"lumbo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lumbo: stopped; run the same command again to go on from here", file=sys.stderr)
        return 130
    except OSError as error:  # of a file; or nobody reads what we print, or its disk is full
        if error.filename is None and sys.stdout is sys.__stdout__:
            sys.stdout = open(os.devnull, "w")  # else Python tries again at its end
        if isinstance(error, BrokenPipeError):
            return 141
        place = error.filename or "output"
        print(f"lumbo: {place}: got {error.strerror!r}; allowed: a place that can be used", file=sys.stderr)
        return 2
    return 0


def _run(words: list[str]) -> None:
    """Run the command that stands first, with its options."""
    early = bool(words) and words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")
    allowed = f"a command, {', '.join(COMMANDS)}; its options behind it"
    require(not early, "command", words[0] if words else "", allowed)
    options, unknown = _parser(words).parse_known_args(words)
    require(not unknown, "option", " ".join(unknown), options.usage)
    options.run(options)


def _parser(words: list[str]) -> Parser:
    """Make a parser that knows the options of the commands among `words`, and of the others their names."""
    parser = Parser(prog="lumbo", description="Not for clinical use.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True)
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help)
        if name in words:
            command.add_options(one)
            one.add_argument("--quiet", action="store_true", help="no progress bar")
            one.set_defaults(run=command.run, usage=" ".join(one.format_usage().split()[2:]))
    return parser


def _whole(low: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `low` that says what is allowed."""

    def read(text: str) -> int:
        if not (text.isdecimal() and len(text) < 20 and int(text) >= low):
            raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number from {low}")
        return int(text)

    return read


# ------------------------------------------------------------------------ reproduce


def _reproduce_options(run: Parser) -> None:
    from lumbo.experiment import jobs

    sizes = ", ".join(jobs.sizes())
    run.add_argument("--size", default="fast", help=f"one of {sizes} (default: fast)")
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


def _reproduce(options) -> None:
    """Train and test every arm and print the table of the paper's experiment."""
    from lumbo.experiment import jobs, runner

    what = jobs.size(options.size)
    out = options.out or Path("runs") / what.name
    every = jobs.seeds(what)
    seeds = list(every) if options.seed is None else [options.seed]
    models = sum(len(jobs.of_seed(what, seed)) for seed in seeds if seed in every)
    with _training_bar(models, what.plan.steps, options.quiet) as report, _answering():
        outcome = runner.run(what, out, seeds, options.workers, options.device, report)
    _store_and_show(outcome, out, short=what.name != STORED)


@contextmanager
def _training_bar(models: int, steps: int, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of all steps of all models; yield what reports (job, steps taken, steps in all) to it."""
    from tqdm import tqdm

    taken: dict[str, int] = {}  # steps, by job
    lock = threading.Lock()
    # The delay: no bar above an error.
    with tqdm(total=models * steps, unit="step", delay=1, smoothing=0, disable=quiet) as bar:
        bar.set_postfix_str(f"drawing films; {models} models to begin", refresh=False)

        def report(job: str, steps: int, total: int) -> None:
            with lock:
                more, known, taken[job] = steps - taken.get(job, 0), job in taken, steps
                running = [name for name, done in taken.items() if done < total]
                bar.set_postfix_str(f"{', '.join(running) or job}; {models - len(taken)} models to begin")
                if not (known or bar.disable):  # steps of earlier calls took none of this one's time
                    bar.initial += more
                bar.update(more)

        yield report


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


def _store_and_show(outcome, out: Path, short: bool) -> None:
    """Write every result beside the run and print the table; a `short` run beside the one that ships."""
    import numpy as np

    from lumbo import store
    from lumbo.experiment import results, tables

    run = results.read_run(out)
    every = tables.results(outcome, np.random.default_rng(0))
    store.write_atomic(out / "results.csv", every.to_csv(index=False, float_format="%.4f").encode())
    store.remove_drafts(out / "results.csv")
    table = tables.overview(outcome, np.random.default_rng(0))
    _show(_beside_stored(table, outcome) if short else table)
    print("MAE in degrees against rated angles, 95 % interval over seeds and patients.")
    if short:
        print(f"{STORED}: what the same models say in the run that ships with the book, after more steps.")
    print(f"All of it: {out}/results.csv\n")
    _show(tables.endings(outcome, run))
    print(
        "How far from the end: late_gain is what the best validation MAE fell in the last quarter of the steps."
    )


def _beside_stored(table, outcome):
    """Add a column: the MAE of the same models in the stored run, so that a short one shows what it lacks."""
    from dataclasses import replace

    import numpy as np

    from lumbo.experiment import results, tables

    stored, _ = results.reference(STORED)
    same = replace(stored, said={job: said for job, said in stored.said.items() if job in outcome.said})
    found = tables.overview(same, np.random.default_rng(0)).rename(columns={"mae": STORED})
    return table.merge(found[["network", "arm", "test", STORED]], how="left")


def _show(table) -> None:
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


# --------------------------------------------------------------------------- claims


def _claims_options(judge: Parser) -> None:
    judge.add_argument("--size", default=STORED, help=f"which results (default: {STORED})")
    judge.add_argument(
        "--claims", type=Path, help="the claims and their tolerances (default: those that ship)"
    )
    judge.add_argument("--out", type=Path, default=Path("book/claims.md"), help="page to write")
    judge.add_argument(
        "--figure", type=Path, default=Path("book/static/result.png"), help="figure to write, the README's"
    )


def _claims(options) -> None:
    """Judge the paper's claims by a stored experiment; write the book's page and the README's figure."""
    import numpy as np

    from lumbo import store
    from lumbo.experiment import claims, results, tables
    from lumbo.pages import figures

    for option, path in (("--out", options.out), ("--figure", options.figure)):
        require(not store.checked_path(path, option).is_dir(), option, str(path), "a file to write")
        above = next(folder for folder in path.absolute().parents if folder.exists())
        fits = above.is_dir() and os.access(above, os.W_OK)
        require(fits, option, str(path), "a file in a folder that can be written to")
    apart = options.out.resolve() != options.figure.resolve()
    require(apart, "--figure", str(options.figure), "another file than --out")
    registered = claims.read(options.claims)
    outcome, run = results.reference(options.size)
    table = claims.ledger(registered, outcome, np.random.default_rng(0))
    page = claims.page(registered, table, run)
    arms = tables.overview(outcome, np.random.default_rng(0))
    figure = figures.arms(arms, registered.protocol.network, claims.paper_levels(registered))
    store.write_atomic(options.out, page.encode())
    store.write_atomic(options.figure, figures.png(figure, claims.origin(run)))
    for path in (options.out, options.figure):
        store.remove_drafts(path)
    columns = ["id", "value", "low", "high", "tolerance", "p_holm", "verdict", "student_verdict"]
    print(table[columns].to_string(index=False))


# ---------------------------------------------------------------------------- films


def _films_options(draw: Parser) -> None:
    from lumbo.films import hospitals

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


def _films(options) -> None:
    """Write films as a hospital's archive holds them."""
    from tqdm import tqdm

    from lumbo.films import archive, hospitals

    names = list(hospitals.hospitals()) if options.hospital == "all" else options.hospital.split(",")
    sites = [hospitals.hospital(name) for name in names]
    kinds = options.format.split(",")
    with tqdm(unit="film", delay=1, disable=options.quiet) as bar:

        def report(site: str, done: int, total: int) -> None:
            bar.total = total
            bar.set_postfix_str(site)
            bar.update(done - bar.n)

        asked = options.split, options.seed, options.n, options.long_side
        table = archive.write_films(options.out, sites, *asked, kinds, report)
    print(f"{len(table)} films of {', '.join(names)}: {options.out}/landmarks.csv and angles.csv name each.")
    print(archive.NOTE)


# ---------------------------------------------------------------------------- cache


def _cache_options(show: Parser) -> None:
    show.add_argument(
        "--empty", action="store_true", help="delete what is in it; it is made again when needed"
    )


def _cache(options) -> None:
    """Say where films that were drawn are kept, and how much they take; delete them where that is asked."""
    from lumbo import store

    found = list(store.cached_files())
    if options.empty:
        for path, _ in found:
            path.unlink(missing_ok=True)
        for path in store.cache_folder().rglob(f".*.safetensors.{'[0-9a-f]' * 8}"):  # what a kill has left
            path.unlink(missing_ok=True)
    what = f"{len(found)} files, {sum(size for _, size in found) / 1e6:,.1f} MB"
    print(f"{store.cache_folder()}: {what}{' deleted' if options.empty else ''}")


COMMANDS = {
    "reproduce": Command(
        "train local, centralized and federated models and compare them", _reproduce_options, _reproduce
    ),
    "claims": Command(
        "judge the paper's claims by the results that ship with the book", _claims_options, _claims
    ),
    "films": Command(
        "write films as PNG and DICOM, with landmarks and angles as CSV", _films_options, _films
    ),
    "cache": Command("show where drawn films are kept, or empty that place", _cache_options, _cache),
}
