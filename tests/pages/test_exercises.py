"""Every question knows its right answer and the wrong ones that tempt, in Python and in the page alike."""

import json

import numpy as np
import pytest

from lumbo.angles import ANGLES
from lumbo.errors import InputError
from lumbo.pages import exercises
from lumbo.pages.exercises import Exercise, check, judge

QUESTIONS = {
    f"{chapter}.{name}": question
    for chapter in exercises.chapters()
    for name, question in exercises.questions(chapter).items()
}
JUDGED = {name: question for name, question in QUESTIONS.items() if question["kind"] != "prediction"}
FORMS = {name: question for name, question in QUESTIONS.items() if question["kind"] != "pose"}
NEEDED = {
    "number": {"label", "answer", "tolerance", "right", "otherwise"},
    "prediction": {"label", "answer", "tolerance", "right"},
    "choice": {"options", "answer", "right"},
    "order": {"items", "answer", "right", "otherwise"},
    "pose": {"label", "answer", "tolerance", "right", "otherwise"},
}
POSSIBLE = {"kind", "label", "unit", "decimals", "ask", "hints", "otherwise", "options", "items"}


def planted(question):
    """Yield wrong answers that tempt, and what must be said to them."""
    for hint in question["hints"]:
        answer = hint["answer"]
        if question["kind"] == "pose":
            answer = {"SS": 1e3, "PT": 1e3, "PI": 1e3, "LL": 1e3} | answer
        yield answer, hint["hint"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_whole(name):
    question = QUESTIONS[name]
    kind = question["kind"]
    assert NEEDED[kind] <= set(question) <= NEEDED[kind] | POSSIBLE
    assert all(question[field] for field in NEEDED[kind] - {"answer", "tolerance"})
    if kind == "choice":
        wrong = set(range(len(question["options"]))) - {question["answer"]}
        assert {hint["answer"] for hint in question["hints"]} == wrong and len(wrong) >= 2
    if kind == "order":
        places = list(range(len(question["items"])))
        assert sorted(question["answer"]) == places != question["answer"]


@pytest.mark.parametrize("name", JUDGED)
def test_the_right_answer_is_right_and_tempting_ones_get_their_hint(name):
    question = JUDGED[name]
    assert (
        judge(question, question["answer"] if question["kind"] != "pose" else full(question)).verdict
        == "right"
    )
    hints = list(planted(question))
    assert len(hints) >= 2
    for answer, hint in hints:
        verdict = judge(question, answer)
        assert (verdict.verdict, verdict.says) == ("wrong", hint)


def full(question):
    return {"SS": 0.0, "PT": 0.0, "PI": 0.0, "LL": 0.0} | question["answer"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_answer_is_not_yet(name):
    verdict = check(name, None)
    assert verdict.verdict == "not yet" and verdict.says


def test_numbers_are_read_as_people_write_them():
    question = {**QUESTIONS["four_angles.trade"], "answer": -3.2, "hints": []}
    for written in ("-3.2", "−3,2", " -3.2 ", "−3.2°", "-3.2 mm", -3.2, "-32e-1"):
        assert judge(question, written).verdict == "right", written
    for written in (
        "",
        " ",
        "three",
        "1e400",
        "\u0663",
        "--3",
        "3.2.1",
        "°",
        ...,
        "nan",
        float("nan"),
        float("inf"),
    ):
        assert judge(question, written).verdict == "not yet", written


NUMBER = {**QUESTIONS["four_angles.trade"]}
CHOICE = {"kind": "choice", "options": ["a", "b", "c"], "answer": 1, "right": "Yes.", "ask": "?", "hints": [],
          "otherwise": ""}  # fmt: skip
ORDER = {"kind": "order", "items": ["a", "b", "c"], "answer": [2, 0, 1], "right": "Yes.", "ask": "?", "hints": [],
         "otherwise": "No."}  # fmt: skip
POSE = {"kind": "pose", "answer": {"PT": 30.0}, "tolerance": 1.0, "right": "Yes.", "ask": "?", "hints": [],
        "otherwise": "No."}  # fmt: skip


@pytest.mark.parametrize(
    "question, answer, message",
    [
        (NUMBER, [22.4], "answer: got .*; allowed: "),
        (NUMBER, {"PT": 22.4}, "answer: got .*; allowed: "),
        (NUMBER, True, "answer: got .*; allowed: real numbers"),
        (CHOICE, 3, "answer: got 3; allowed: a whole number from 0 to 2"),
        (CHOICE, -1, "answer: got -1; allowed: a whole number from 0 to 2"),
        (CHOICE, "b", "answer: got 'b'; allowed: a whole number from 0 to 2"),
        (ORDER, [0, 1], r"answer: got \(2,\); allowed: numbers of shape \(3,\)"),
        (ORDER, [0, 1, 1], "answer: got .*; allowed: each place once, from 0"),
        (ORDER, 3, "answer: got .*; allowed: numbers of shape"),
        (POSE, {"PT": 30.0}, "answer.*: got None; allowed: this field is needed"),
        (POSE, 3, "answer: got 3"),
        (POSE, {"SS": 0, "PT": "x", "PI": 0, "LL": 0}, "answer.PT: got 'x'; allowed: a finite number"),
    ],
)
def test_what_cannot_be_an_answer_is_refused(question, answer, message):
    with pytest.raises(InputError, match=message):
        judge(question, answer)


def test_answers_may_come_as_numpy_has_them():
    assert judge(NUMBER, np.float32(22.4)).verdict == judge(NUMBER, np.array(22.4)).verdict == "right"
    assert judge(CHOICE, np.int64(1)).verdict == "right"
    assert judge(ORDER, (2, 0, 1)).verdict == judge(ORDER, np.array([2, 0, 1])).verdict == "right"
    assert judge(POSE, dict(zip(ANGLES, np.array([0, 30, 0, 0])))).verdict == "right"


def test_a_question_in_hand_is_a_copy():
    exercises.question("four_angles.trade")["answer"] = 0
    assert check("four_angles.trade", 22.4).verdict == "right"


def test_a_prediction_is_compared():
    question = {"kind": "prediction", "answer": -4.0, "tolerance": 0.5, "unit": "°", "decimals": 1, "hints": [],
                "otherwise": "", "right": "So it is.", "ask": "?"}  # fmt: skip
    assert judge(question, -1).says == "It is −4.0°. You are 3.0° too high. So it is."
    assert judge(question, -6).says == "It is −4.0°. You are 2.0° too low. So it is."
    assert judge(question, "−4,2").says == "It is −4.0°. That is as close as one can ask. So it is."


@pytest.mark.parametrize(
    "name, message",
    [
        ("four_angles.none", "question: got 'none'; allowed: one of .*trade"),
        ("four_angles.retrovert", "name: got .*; allowed: a question with a form"),
        ("nowhere.trade", "chapter: got 'nowhere'; allowed: one of .*four_angles"),
        ("trade", "chapter: got 'trade'"),
        (3, "name: got 3"),
    ],
)
def test_an_unknown_question_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        Exercise(name)


def test_a_long_text_is_read_at_once():
    verdicts = [judge(NUMBER, "1" + blanks * 200_000 + "!").verdict for blanks in (" ", "\t", "1", "a")]
    assert verdicts == ["not yet"] * 4  # minutes, if it were tried from every place


def test_what_is_asked_cannot_be_changed_and_an_answer_is_checked():
    exercise = Exercise("four_angles.trade")
    for field, value in {"question": {}, "name": "four_angles.order", "answer": {1}}.items():
        with pytest.raises(InputError, match=field):
            setattr(exercise, field, value)
    exercise.question["kind"] = "pose"
    exercise.answer = np.float32(22.5)
    assert exercise.answer == 22.5 and json.dumps(exercise.answer)
    exercise.answer = float("inf")
    assert exercise.answer is None and exercise.question["kind"] == "number"
    with pytest.raises(InputError, match="chapter: got .*; allowed: one of"):
        exercises.questions([])


def test_python_and_the_page_exchange_answers():
    exercise, sent = Exercise("four_angles.trade"), []
    exercise.comm.publish_msg = lambda kind, data=None, **_: sent.append(data)
    exercise.answer = 22.4
    assert sent[-1]["state"] == {"answer": 22.4} and exercise.check().verdict == "right"
    content = {"data": {"method": "update", "state": {"answer": 2.4}, "buffer_paths": []}}
    exercise.comm.handle_msg({"content": content, "buffers": []})
    assert exercise.check().verdict == "wrong" and repr(exercise).startswith(
        "Exercise(four_angles.trade: Not quite."
    )


# --- in a browser --------------------------------------------------------------------------


def test_the_page_judges_as_python_does(open_page):
    """Every question, every planted answer, and numbers beside them."""
    page = open_page(Exercise(next(iter(FORMS))))
    cases, expected = [], []
    for question in QUESTIONS.values():
        answers = [None, *(answer for answer, _ in planted(question))]
        answers.append(full(question) if question["kind"] == "pose" else question["answer"])
        if question["kind"] in ("number", "prediction"):
            steps = (-2, -1.01, -0.99, 0.5, 0.99, 1.01, 3)
            answers += [question["answer"] + step * question["tolerance"] for step in steps]
        for answer in answers:
            verdict = judge(question, answer)
            cases.append([question, answer])
            expected.append({"verdict": verdict.verdict, "says": verdict.says})
    found = page.evaluate(
        """async cases => {
            const {esm} = JSON.parse(document.querySelector(".lumbo-static script").textContent);
            const url = URL.createObjectURL(new Blob([esm + ";export {judge};"], {type: "text/javascript"}));
            const {judge} = await import(url);
            return cases.map(([question, answer]) => judge(question, answer));
        }""",
        json.loads(json.dumps(cases)),
    )
    assert found == expected and len(found) > 3 * len(QUESTIONS)


def says(page, figure=0):
    return page.locator(".lumbo-exercises").nth(figure).get_by_role("status").inner_text()


@pytest.mark.parametrize("name", FORMS)
def test_a_form_takes_answers_by_keyboard(name, open_page):
    """From nothing to a tempting answer to the right one."""
    question = FORMS[name]
    page = open_page(Exercise(name), viewport={"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    submit = page.get_by_role("button", name="Compare" if question["kind"] == "prediction" else "Check")
    submit.focus()
    page.keyboard.press("Enter")
    assert says(page) == f"Not yet. {question['ask']}"
    wrong = next(planted(question), (question["answer"], ""))
    for answer in (wrong[0], question["answer"]):
        if question["kind"] == "choice":
            page.get_by_role("radio").nth(answer).focus()
            page.keyboard.press("Space")
            submit.press("Enter")
        elif question["kind"] == "order":
            arrange(page, question["items"], answer)
            submit.press("Enter")
        else:
            page.get_by_role("textbox").fill(f"{answer:.9g}".replace(".", ","))
            page.keyboard.press("Enter")
        opening = {"right": "✓ Right. ", "wrong": "✗ Not quite. ", "compared": ""}
        verdict = judge(question, answer)
        assert says(page) == f"{opening[verdict.verdict]}{verdict.says}".strip()
    assert page.evaluate("document.querySelector('.lumbo-static').lumbo.get('answer')") == question["answer"]


def arrange(page, items, order):
    """Bring a list into an order with its buttons, one place at a time."""
    lines = page.locator(".order li")
    for place, item in enumerate(order):
        while True:
            at = lines.locator("span").all_inner_texts().index(items[item])
            if at <= place:
                break
            up = lines.nth(at).get_by_role("button").first
            assert up.get_attribute("aria-label") == f"{items[item]}, place {at + 1} of {len(items)}: move up"
            up.press("Enter")
    if order == list(range(len(items))):  # untouched is no answer: there and back
        lines.nth(0).get_by_role("button").nth(1).press("Enter")
        lines.nth(1).get_by_role("button").nth(0).press("Enter")
    assert says(page) == ""


CHOSEN = next(name for name, question in FORMS.items() if question["kind"] == "choice")


def test_two_forms_of_one_question_stay_apart(open_page):
    page = open_page(Exercise(CHOSEN), Exercise(CHOSEN))
    first, second = (page.locator(".lumbo-exercises").nth(i).get_by_role("radio") for i in (0, 1))
    first.nth(0).check()
    second.nth(1).check()
    assert first.nth(0).is_checked() and second.nth(1).is_checked()


def test_a_page_remembers_and_forgets(open_page):
    page = open_page(Exercise(CHOSEN))
    page.get_by_role("radio").nth(1).check()
    page.get_by_role("button", name="Check").click()
    said = says(page)
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert says(page) == said and page.get_by_role("radio").nth(1).is_checked()
    page.get_by_role("button", name="Start again").click()
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert says(page) == "" and not page.get_by_role("radio").nth(1).is_checked()
    assert not page.get_by_role("button", name="Start again").is_visible()


@pytest.mark.parametrize("old", ["3", "99", "[0, 1]", '"b"', "{}", "[0, 0, 0]", "not JSON"])
def test_an_answer_of_another_edition_is_forgotten(open_page, old):
    names = [
        next(name for name, q in FORMS.items() if q["kind"] == kind) for kind in ("number", "choice", "order")
    ]
    page = open_page(*map(Exercise, names))
    page.evaluate(
        "([names, old]) => names.forEach(name => localStorage.setItem(`lumbo.${name}`, old))", [names, old]
    )
    page.reload()
    page.wait_for_function("document.querySelectorAll('[data-ready]').length == 3")
    fits = {"3": [True, 3 < len(FORMS[names[1]]["options"]), False], "99": [True, False, False]}.get(
        old, [False] * 3
    )
    assert [says(page, i) != "" for i in range(3)] == fits
