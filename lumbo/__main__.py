"""The command line: ``python -m lumbo reproduce``."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from lumbo import __version__, reproduction
from lumbo.errors import InputError, require


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
    names = [job.name for job in reproduction.jobs(what)]
    taken = dict.fromkeys(names, 0)
    total = len(names) * what.plan.steps
    with tqdm(total=total, unit="step", delay=1, disable=options.quiet) as bar:  # no bar above an error

        def report(job: str, steps: int, total: int) -> None:
            bar.set_postfix_str(job)
            bar.update(steps - taken[job])
            taken[job] = steps

        outcome = reproduction.run(what, out, options.workers, options.device, report)
    table = reproduction.overview(outcome, np.random.default_rng(0))
    print(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    print(f"MAE in degrees against rated angles, 95 % interval over patients.  All of it: {out}/results.csv")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lumbo", description="Not for clinical use.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True)
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
        "--workers", type=_whole, metavar="N", help="models trained at the same moment (default: one a core)"
    )
    run.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    run.set_defaults(command=reproduce, usage=" ".join(run.format_usage().split()[2:]))
    return parser


def _whole(text: str) -> int:
    """Read a count of things, or say what is allowed."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; allowed: a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
