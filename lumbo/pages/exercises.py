"""Questions that answer back: right, wrong with a hint, or not yet.  Taught in four_angles.

The questions of a chapter stand in ``lumbo/pages/questions/SLUG.toml``, each with its right answer, the wrong ones that
tempt and what to say to them.  `judge` here and ``judge`` in ``core.js`` give the same verdict: in a notebook and in a page
without a kernel.
"""

import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import traitlets

from lumbo import store
from lumbo.angles import ANGLES
from lumbo.errors import array, choice, fields, number, require, text, whole
from lumbo.pages import living

__all__ = ["KINDS", "Verdict", "chapters", "questions", "question", "judge", "check", "Exercise"]

KINDS = {  # and what is said as long as there is no answer
    "number": "Write a number, such as 3.2.",
    "prediction": "Write a number, such as 3.2, before you look.",
    "choice": "Choose one.",
    "order": "Put them in order.",
    "pose": "Move the figure.",
}
_FOLDER = files("lumbo.pages").joinpath("questions")
_NUMBER = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*[°%a-zA-Zµ²³/]*", re.IGNORECASE
)
_OPENINGS = {"right": "Right.", "wrong": "Not quite.", "not yet": "Not yet.", "compared": ""}


@dataclass(frozen=True)
class Verdict:
    """What is said to an answer; ``verdict`` is "right", "wrong", "not yet", or "compared" for a prediction."""

    verdict: str
    says: str

    def __repr__(self) -> str:
        return f"{_OPENINGS[self.verdict]} {self.says}".strip()


def chapters() -> list[str]:
    """List the slugs of the chapters that have questions."""
    return sorted(
        path.name.removesuffix(".toml") for path in _FOLDER.iterdir() if path.name.endswith(".toml")
    )


def questions(chapter: str) -> dict[str, dict[str, Any]]:
    """Read the questions of a chapter by their names, as they stand in its file, with ``ask`` and ``unit`` filled in."""
    return deepcopy(_questions(choice("chapter", chapter, chapters())))


@cache
def _questions(chapter: str) -> dict[str, dict[str, Any]]:
    path = _FOLDER.joinpath(f"{chapter}.toml")
    usual = {"unit": "", "decimals": 1, "hints": [], "otherwise": ""}
    return {
        name: usual | {"ask": KINDS[table["kind"]]} | table for name, table in store.read_toml(path).items()
    }


def question(name: str) -> dict[str, Any]:
    """Return one question, called ``chapter.question``, or raise `InputError` with the names there are."""
    chapter, _, own = text("name", name).partition(".")
    known = questions(chapter)
    return known[choice("question", own, known)]


def judge(question: dict[str, Any], answer) -> Verdict:
    """Judge an answer to a question.

    answer : a number, or a text that holds one, in the question's unit; for a choice the place of what is chosen, from
        0; for an order the places in the order given; for a pose its angles by name, in degrees; None for no answer

    Raises
    ------
    InputError
        What cannot be an answer to a question of this kind.
    """
    kind, hints, otherwise = question["kind"], question["hints"], question["otherwise"]
    answer = None if answer is None or answer is ... else _READ[kind](question, answer)
    if answer is None:
        return Verdict("not yet", question["ask"])
    if kind == "prediction":
        return _compared(question, answer)

    def fits(asked) -> bool:
        if kind == "number":
            return _near(answer, asked["answer"], asked["tolerance"])
        if kind == "pose":
            goal = asked["answer"]
            return all(
                _near(answer[name], goal[name], question["tolerance"]) for name in ANGLES if name in goal
            )
        return answer == asked["answer"]

    if fits(question):
        return Verdict("right", question["right"])
    return Verdict("wrong", next((hint["hint"] for hint in hints if fits(hint)), otherwise))


def check(name: str, answer) -> Verdict:
    """Judge an answer to the question called ``chapter.question``.

    >>> check("four_angles.trade", None)
    Not yet. Write a number, such as 3.2.
    """
    return judge(question(name), answer)


class _Answer(traitlets.TraitType):
    """What was answered, as the kind of the question has it; None for no answer."""

    def __init__(self):
        super().__init__(None, allow_none=True)
        self.tag(sync=True)

    def validate(self, obj, value):
        return _READ[obj.question["kind"]](obj.question, value)


class Exercise(living.Living):
    """A question with a place for the answer, which is judged at once: with a kernel and without.

    name : ``chapter.question``

    ``answer`` holds what was answered, or None; it can be read and set.

    Raises
    ------
    InputError
        No question is called so, or it has no form; or what cannot be an answer to it.

    Examples
    --------
    >>> Exercise("four_angles.trade")
    Exercise(four_angles.trade: Not yet. Write a number, such as 3.2.)
    """

    _esm = living.bundle("exercises")
    fields = ("name", "question", "answer")
    name = living.Fixed()
    question = living.Fixed()
    answer = _Answer()

    def __init__(self, name: str):
        asked = question(name)
        with_a_form = f"a question with a form; a pose is reached in the figure: Pelvis(goal={name!r})"
        require(asked["kind"] != "pose", "name", name, with_a_form)
        super().__init__(name=name, question=asked, answer=None)

    def check(self, answer=None) -> Verdict:
        """Judge an answer, by default the one that was given on the page."""
        return judge(self.question, self.answer if answer is None else answer)

    def still(self) -> str:
        """Return what to do where no script runs."""
        return "<figcaption>Write your answer down; then open the solution below.</figcaption>"

    def __repr__(self) -> str:
        return f"Exercise({self.name}: {self.check()!r})"


def _number(question, answer) -> float | None:
    """A number, or a text that holds one ("−3,2°"), as a float; None where it holds none."""
    if isinstance(answer, str):
        plain = answer.strip().replace("\N{MINUS SIGN}", "-", 1).replace(",", ".", 1)
        found = _NUMBER.fullmatch(plain)
        answer = found[1] if found else np.nan
    else:
        answer = array("answer", answer, (), missing=True)
    value = float(answer)
    return value if np.isfinite(value) else None


def _option(question, answer) -> int:
    return whole("answer", answer, 0, len(question["options"]) - 1)


def _places(question, answer) -> list[int]:
    places = array("answer", answer, (len(question["items"]),)).tolist()
    require(sorted(places) == list(range(len(places))), "answer", answer, "each place once, from 0")
    return [int(place) for place in places]


def _angles(question, answer) -> dict[str, float]:
    found = fields("answer", answer, set(ANGLES))
    return {name: number(f"answer.{name}", found[name], -np.inf) for name in ANGLES}


_READ = {"number": _number, "prediction": _number, "choice": _option, "order": _places, "pose": _angles}


def _near(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance + 1e-9


def _compared(question, answer: float) -> Verdict:
    off, places, unit = answer - question["answer"], question["decimals"], question["unit"]
    said = f"It is {question['answer']:.{places}f}{unit}. ".replace("-", "\N{MINUS SIGN}")
    if _near(off, 0, question["tolerance"]):
        how = "That is as close as one can ask."
    else:
        how = f"You are {abs(off):.{places}f}{unit} too {'high' if off > 0 else 'low'}."
    return Verdict("compared", f"{said}{how} {question['right']}")
