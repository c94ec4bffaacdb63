"""The door of words: commands as a newcomer, a script or an enemy would type them."""

import contextlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path

from hostile.mutations import Rng, pick
from hostile.trials import Trial, nothing_begun
from hostile.world import PX, here

from lumbo import cli
from lumbo.errors import InputError

HERE = str(Path(__file__))
NUMBERS = [
    "",
    " ",
    "-1",
    "1.5",
    "one",
    "1e3",
    "nan",
    "\u00b2",
    "0x1",
    "9" * 12,
    "9" * 5000,
    "1\n1",
    "\udcff",
    "True",
]
NAMES = ["", " ", "Fast", "TEST", "huge", "a\nb", "\udcff", "../full", "x" * 5000, "full,", "a\0b"]
PLACES = [HERE, f"{HERE}/a", "a\0b", "x" * 5000]
FILES = [f"{HERE}/a", "a\0b", "x" * 5000, "/"]

VALID = {  # options by command; those that are files lie in the scratch folder
    "films": {
        "--out": "set", "--hospital": "elm", "--split": "test", "--n": "2", "--seed": "0",
        "--long-side": str(PX), "--format": "png",
    },
    "reproduce": {"--out": "run", "--size": "fast", "--seed": "0", "--workers": "1", "--device": "cpu"},
    "claims": {"--out": "page.md", "--figure": "figure.png", "--size": "full"},
}  # fmt: skip
WRONG = {
    "films": {
        "--out": PLACES,
        "--hospital": [*NAMES, "elm,", "elm,elm", "all,elm", "ELM"],
        "--split": NAMES,
        "--n": [*NUMBERS, "0"],
        "--seed": NUMBERS,
        "--long-side": [*NUMBERS, "0", "33", "40", "4096"],
        "--format": [*NAMES, "png,png", "png,", "PNG", "jpg"],
    },
    "reproduce": {
        "--out": PLACES,
        "--size": NAMES,
        "--seed": [*NUMBERS, "1"],
        "--workers": [*NUMBERS, "0"],
        "--device": [*NAMES, "tpu", "CPU"],
    },
    "claims": {
        "--out": FILES,
        "--figure": FILES,
        "--size": [*NAMES, "fast"],
        "--claims": [*PLACES, "", "/", "none.yml"],
    },
}
NO_COMMAND: list[list[str]] = [
    *([], [""], ["fims"], ["FILMS"], ["a\nb"], ["--odd"], ["--version=1"], ["films"], ["films", "--out"]),
    *(
        ["reproduce", "--size"],
        ["claims", "reproduce"],
        ["claims", "--odd=\n"],
        ["films", "films", "--out", "a"],
    ),
    *(["films", "--out", "a", *more] for more in (["b"], ["\udcff"], ["--odd"], ["--quiet=1"], ["--\nodd"])),
    *(["films", "--out", "a", option, "1"] for option in ("-n", "--s", "--n-")),
]


def run(words: list[str]) -> int:
    """Run a command here; return 0, or raise `InputError` where it was refused with 2 and one line."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = end.code
        assert sys.stdout is said, "an error was taken for a full disk"
    line, out = complained.getvalue(), said.getvalue()
    if code == 2 and line.startswith("lumbo: ") and line[-1] == "\n" and line[:-1].isprintable() and not out:
        raise InputError("words", words, line)
    assert (code, line) == (0, ""), f"exit status {code!r}, standard error {line[:99]!r}"
    return code


def refused(words: list[str]) -> int:
    """Run a command that must be refused before anything is begun or written."""
    with nothing_begun():
        try:
            return run(words)
        finally:
            assert not here().scratch.exists(), "something was written before the input was refused"


def written(command: str, options: Iterable[tuple[str, str]]) -> list[str]:
    """Write a command down."""
    places = {"--out", "--figure"}

    def value(option: str, word: str) -> str:
        usual = option in places and word == VALID[command][option]
        return str(here().scratch / word) if usual else word

    return [command, *(part for option, word in options for part in (option, value(option, word))), "--quiet"]


def wrong(rng: Rng) -> Trial:
    """Put a wrong word into a command, or words that make none."""
    if rng.random() < 0.2:
        words = pick(NO_COMMAND, rng)
        return Trial(repr(words), lambda: refused(words))
    command = pick(WRONG, rng)
    option = pick(WRONG[command], rng)
    word = pick(WRONG[command][option], rng)
    words = written(command, (VALID[command] | {option: word}).items())
    return Trial(f"{command} {option} {word[:20]!r}", lambda: refused(words))


def unusual(rng: Rng) -> Trial:
    """Write a command in another way."""
    usual = list(VALID["films"].items())
    words = written("films", usual)
    ways = {
        "another order": written("films", usual[::-1]),
        "with =": ["films", *map("=".join, zip(words[1:-1:2], words[2:-1:2])), "--quiet"],
        "short options": [word.replace("--hospital", "--hosp").replace("--format", "--f") for word in words],
        "help": [pick(VALID, rng), "--help"],
        "help alone": ["--help"],
        "version": ["--version"],
    }
    what, words = pick(ways.items(), rng)
    return Trial(what, lambda: run(words), lambda code: code == 0, refuses=False)
