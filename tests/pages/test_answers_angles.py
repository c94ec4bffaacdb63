"""The answers of four_angles and measuring, and the wrong ones that tempt, computed anew from the package.

Here stands what the chapters ask, in numbers; the files of questions stand beside it and are only read.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lumbo import indices
from lumbo.angles import ANGLES, hip_axis, lumbopelvic_angles, rotate, s1_midpoint
from lumbo.films import hospitals, populations, radiograph
from lumbo.learning import evaluation
from lumbo.pages.exercises import judge, question, questions
from lumbo.pages.posture import STANDING_MM

STANDING = np.array(STANDING_MM)
SS, PT, PI, LL = range(4)
ROOT2, SDD = 2**0.5, 1.96 * 2**0.5
DEGREES = 180 / np.pi


def patient(ss, pt, ll, plate_mm=35.0, leg_mm=120.0, stretch=1.0):
    """Place six landmarks of a patient who faces left, by complex numbers: x right, y up, then turned over."""
    toward = lambda degrees: -np.exp(-1j * np.radians(degrees)) * plate_mm / 2  # from back to front
    middle = 1j * leg_mm * np.exp(-1j * np.radians(pt))
    s1, l1, top = np.conj(toward(ss)), np.conj(toward(ss - ll)), middle + 180j
    points = np.array([middle + s1, middle - s1, top + l1, top - l1, 0, 0])
    return np.stack([points.real, -points.imag * stretch], -1)


def wrong(name, answer, words):
    """Hold that a wrong answer gets a hint that names the misconception by these words."""
    verdict = judge(question(name), answer)
    assert verdict.verdict == "wrong" and words in verdict.says, (name, answer, verdict)


def right(name, answer):
    assert judge(question(name), answer).verdict == "right", (name, answer)


def predicted(name, answer):
    asked = question(name)
    assert asked["kind"] == "prediction" and abs(asked["answer"] - answer) <= asked["tolerance"] / 2


def option(name, begins):
    """Return the place of the option that begins so."""
    (found,) = (i for i, words in enumerate(question(name)["options"]) if words.startswith(begins))
    return found


def rate(points, rng, steeper=0.0, slips=(1, 1, 1, 1, 2, 2)):
    """Mark landmarks again, as the chapter's rater does."""
    rated = points + np.array(slips)[:, None] * rng.normal(size=points.shape)
    turned = rotate(points, -steeper, s1_midpoint(points))
    rated[..., :2, :] += (turned - points)[..., :2, :]
    return rated


def test_patients_are_as_ordered():
    for ss, pt, ll in ((40, 12, 55), (-4, 30, 20), (60, -8, 70)):
        assert np.allclose(lumbopelvic_angles(patient(ss, pt, ll)), [ss, pt, pt + ss, ll])


@pytest.mark.parametrize("chapter, exercises", [("four_angles", 9), ("measuring", 9)])
def test_each_question_has_its_test_here(chapter, exercises):
    """Exercises, three questions of the quiz, two predictions; poses are judged beside their figure."""
    kinds = {name: asked["kind"] for name, asked in questions(chapter).items() if asked["kind"] != "pose"}
    assert len(kinds) == exercises + 3 + 2 and list(kinds.values()).count("prediction") == 2
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in kinds if f'("{chapter}.{name}"' not in source] == []


# --- the four angles -----------------------------------------------------------------------


def swung(points, degrees):
    """Swing S1 backwards about the hip axis; the rest stays."""
    return np.concatenate([rotate(points, degrees, hip_axis(points))[:2], points[2:]])


def test_a_swing_takes_from_ll_what_it_takes_from_ss():
    predicted("four_angles.swung_ll", lumbopelvic_angles(swung(STANDING, 30))[LL])


def test_a_stretched_plate():
    drawn = lumbopelvic_angles(patient(45, 12, 55, stretch=1.25))[SS]
    predicted("four_angles.stretched", drawn)
    assert abs(drawn - 45 * 1.25) > 3 * question("four_angles.stretched")["tolerance"]  # what tempts is far


def test_ss_and_pt_are_traded():
    back, forth = (lumbopelvic_angles(swung(STANDING, by)) for by in (10, -10))
    right("four_angles.trade", back[PT])
    wrong("four_angles.trade", forth[PT], "forwards")
    wrong("four_angles.trade", lumbopelvic_angles(STANDING)[PT], "cannot change")
    wrong("four_angles.trade", back[SS], "That is SS")


def test_the_plan():
    pi, pt, wish = 60, 25, 45
    right("four_angles.plan", lumbopelvic_angles(patient(pi - pt, pt, 50))[SS])
    wrong("four_angles.plan", wish, "wishes")
    wrong("four_angles.plan", pi + pt, "added")
    wrong("four_angles.plan", pi - wish, "PT which")
    wrong("four_angles.plan", pt - pi, "positive SS")


def changed(before, after, by=0.01):
    off = lumbopelvic_angles(after, "left") - lumbopelvic_angles(before, "left")
    return {name for name, one in zip(ANGLES, off, strict=True) if abs(one) > by}


def test_the_crooked_cassette():
    assert changed(STANDING, rotate(STANDING, 5, (0, 0))) == {"SS", "PT"}
    right("four_angles.cassette", option("four_angles.cassette", "SS and PT"))
    assert changed(STANDING, swung(STANDING, 5)) == {"SS", "PT", "LL"}  # what the slider does
    wrong("four_angles.cassette", option("four_angles.cassette", "SS, PT and LL"), "slider")


def test_one_head_for_two():
    apart, pt = 27.0, 12.0
    points = patient(40, pt, 55)  # its hip axis is midway between the true heads
    clicked = {"below": (0, apart / 2), "whole": (0, apart), "beside": (-apart / 2, 0)}
    off = {}
    for where, by in clicked.items():
        one = points.copy()
        one[4:] += by
        off[where] = pt - lumbopelvic_angles(one)[PT]
    right("four_angles.one_head", off["below"])
    wrong("four_angles.one_head", DEGREES * apart / 2 * np.sin(np.radians(pt)) / 120, "Near")
    wrong("four_angles.one_head", DEGREES * apart / 2 / 120, "across")
    wrong("four_angles.one_head", abs(off["beside"]), "across")
    wrong("four_angles.one_head", off["whole"], "midway")
    wrong("four_angles.one_head", np.radians(off["below"]), "radians")
    wrong("four_angles.one_head", -off["below"], "which way")
    wrong("four_angles.one_head", pt - off["below"], "wrong PT")


OTHER = np.array([[150, 214], [123, 192], [152, 22], [118, 30], [180, 318], [170, 306]], float)


def test_a_patient_who_faces_right():
    angles = lumbopelvic_angles(OTHER, "right")
    right("four_angles.facing", angles[PT])
    wrong("four_angles.facing", lumbopelvic_angles(OTHER, "left")[PT], "mirror")
    wrong("four_angles.facing", lumbopelvic_angles(OTHER * [1, -1], "right")[PT], "does y grow")
    wrong("four_angles.facing", np.radians(angles[PT]), "radians")
    wrong("four_angles.facing", angles[SS], "slope")
    wrong("four_angles.facing", angles[PI], "perpendicular")


def test_the_expensive_landmark():
    points = torch.tensor(STANDING, requires_grad=True)
    cost = np.array([
        torch.autograd.grad(angle, points, retain_graph=True)[0].norm(dim=-1).numpy()
        for angle in lumbopelvic_angles(points)
    ])  # fmt: skip
    numeric = np.zeros((4, 6, 2))
    for k, axis in np.ndindex(6, 2):
        moved = np.stack([STANDING, STANDING])
        moved[:, k, axis] += (1e-4, -1e-4)
        numeric[:, k, axis] = np.subtract(*lumbopelvic_angles(moved)) / 2e-4
    assert np.allclose(np.hypot(*np.moveaxis(numeric, -1, 0)), cost, atol=1e-6)
    right("four_angles.expensive", cost[PI].max())
    assert cost[PI].argmax() == 0  # the front corner of S1
    wrong("four_angles.expensive", cost[SS].max(), "SS costs")
    wrong("four_angles.expensive", cost[PI, 4], "femoral head")
    wrong("four_angles.expensive", cost[PI, 1], "back corner")
    wrong("four_angles.expensive", cost[LL, 2], "LL")
    wrong("four_angles.expensive", np.radians(cost[PI].max()), "radians")


def test_the_row_of_the_other_program():
    one_head = STANDING.copy()
    one_head[4] = STANDING[5]  # the far head twice
    assert lumbopelvic_angles(STANDING).round(1).tolist() == [39.4, 12.4, 51.8, 53.4]  # the question's table
    assert lumbopelvic_angles(one_head).round(1).tolist() == [39.4, 9.7, 49.1, 53.4]
    bugs = {
        "takes": STANDING * [1, -1],
        "has": STANDING * [-1, 1],
        "uses": one_head,
        "swaps": STANDING[[1, 0, 2, 3, 4, 5]],
    }
    kept = {name: changed(STANDING, points) for name, points in bugs.items()}
    assert [name for name, found in kept.items() if found == {"PT", "PI"}] == ["uses"]
    assert "PT" not in kept["swaps"] and {"SS", "LL"} <= kept["takes"] & kept["has"]
    right("four_angles.row", option("four_angles.row", "uses"))


def test_a_coarse_plate():
    slip, plate, leg = 1.5, 40.0, 120.0
    right("four_angles.plate", DEGREES * ROOT2 * slip / plate)
    rng = np.random.default_rng(1)
    points = patient(40, 12, 55, plate) + slip * rng.normal(size=(40_000, 6, 2))
    right("four_angles.plate", lumbopelvic_angles(points, "left")[:, SS].std())
    wrong("four_angles.plate", DEGREES * slip / plate, "Two corners")
    wrong("four_angles.plate", DEGREES * 2 * slip / plate, "do not simply add")
    wrong("four_angles.plate", ROOT2 * slip / plate, "radians")
    wrong("four_angles.plate", DEGREES * slip / leg, "M–O")
    wrong("four_angles.plate", (DEGREES * ROOT2 * slip / plate) ** 2, "variance")


def test_the_order_of_the_errors():
    points = patient(40, 12, 55) + np.random.default_rng(2).normal(size=(40_000, 6, 2))
    spread = lumbopelvic_angles(points, "left").std(0)
    assert question("four_angles.cheap")["items"] == list(ANGLES)
    right("four_angles.cheap", np.argsort(spread).tolist())
    wrong("four_angles.cheap", np.argsort(-spread).tolist(), "opposite")


def test_two_tilts():
    forwards = lumbopelvic_angles(swung(STANDING, -5)) - lumbopelvic_angles(STANDING)
    assert np.isclose(forwards[PT], -5)  # a tilt that counts tipping forwards grows by as much
    right("four_angles.tilts", option("four_angles.tilts", "No"))


def test_the_identity_holds_for_any_six_points():
    rng = np.random.default_rng(3)
    angles = lumbopelvic_angles(rng.uniform(0, 300, (2000, 6, 2)), "left")
    assert np.allclose(angles[:, PI], angles[:, PT] + angles[:, SS])
    right("four_angles.broken", option("four_angles.broken", "The three numbers"))
    right("measuring.proves", option("measuring.proves", "Only"))


def test_a_mismatch_of_healthy_people():
    """PI 45 and LL 57 is nothing unusual among healthy people."""
    assert indices.pi_ll_mismatch([35, 10, 45, 57]) == -12
    assert round(0.62 * 45 + 27.6, 1) == 55.5  # the line of 150 men (10.1007/s00586-019-05955-w)
    assert round(32.9 + 0.60 * 45 - 0.23 * 39) == 51  # and of 126 adults (10.1007/s00586-016-4702-2)
    healthy = populations.draw("healthy_adults", 20_000, np.random.default_rng(4)).angles_deg
    alike = healthy[abs(healthy[:, PI] - 45) < 2]
    assert (abs(indices.pi_ll_mismatch(alike)) > 12).mean() > 0.1
    right("four_angles.mismatch", option("four_angles.mismatch", "Nothing"))


# --- measuring -----------------------------------------------------------------------------


def sem(slip, plate):
    return DEGREES * ROOT2 * slip / plate


def test_the_smallest_change_worth_believing():
    predicted("measuring.smallest", SDD * sem(1, 35))
    rng, same = np.random.default_rng(5), np.stack([patient(40, 12, 55)] * 40_000)
    one, two = (lumbopelvic_angles(rate(same, rng), "left")[:, SS] for _ in range(2))
    predicted("measuring.smallest", 1.96 * (two - one).std())


def test_a_film_that_is_too_tall():
    predicted("measuring.tall", lumbopelvic_angles(patient(40, 12, 55, stretch=1.1))[SS] - 40)


def test_a_childs_plate():
    right("measuring.child", SDD * sem(1, 25))
    rng, same = np.random.default_rng(6), np.stack([patient(40, 12, 55, 25.0)] * 40_000)
    right("measuring.child", SDD * lumbopelvic_angles(rate(same, rng), "left")[:, SS].std())
    wrong("measuring.child", sem(1, 25), "SEM of one reading")
    wrong("measuring.child", 1.96 * sem(1, 25), "A √2 is missing")
    wrong("measuring.child", SDD * sem(1, 25) / ROOT2, "A √2 is missing")
    wrong("measuring.child", SDD * sem(1, 25) / 2, "Half of it")  # without either √2
    wrong("measuring.child", ROOT2 * sem(1, 25), "95 %")  # without 1.96
    wrong("measuring.child", np.radians(SDD * sem(1, 25)), "radians")


def test_which_angle_to_follow():
    """A change of 4 degrees: PT shows it, unless the posture of a new day is counted."""
    rng, same = np.random.default_rng(7), np.stack([patient(40, 12, 55)] * 40_000)
    slip = lumbopelvic_angles(rate(same, rng), "left").std(0)
    stands = 1.5 / 0.6745 / ROOT2  # half of a normal distribution lies within 0.6745 SD
    assert SDD * slip[PT] < 4 < SDD * slip[SS]
    assert 4 < SDD * np.hypot(slip[PT], stands) < SDD * np.hypot(slip[SS], stands)
    right("measuring.follow", option("measuring.follow", "PT with reading errors only"))
    wrong("measuring.follow", option("measuring.follow", "Both"), "Compare 4°")


def test_the_plot_of_a_stretched_film():
    slopes = np.arange(0, 91, 5)
    gap = [lumbopelvic_angles(patient(ss, 12, 55, stretch=1.1), "left")[SS] - ss for ss in slopes]
    assert np.allclose([gap[0], gap[-1]], 0, atol=1e-6) and slopes[np.argmax(gap)] == 45
    right("measuring.slope", option("measuring.slope", "Near zero"))
    wrong("measuring.slope", option("measuring.slope", "A level band"), "habit")


def test_twice_the_front():
    rng = np.random.default_rng(8)
    marked = STANDING + np.array([2, 0.5, 0, 0, 0, 0])[:, None] * rng.normal(size=(40_000, 6, 2))
    off = lumbopelvic_angles(marked, "left") - lumbopelvic_angles(STANDING)
    quadrature = np.hypot(off[:, SS].std(), off[:, PT].std())
    assert np.corrcoef(off[:, SS], off[:, PT])[0, 1] > 0.3 and off[:, PI].std() > 1.05 * quadrature
    right("measuring.front", option("measuring.front", "positive, and PI errs more"))


MIXED = {"healthy_adults": 0.4, "adult_deformity": 0.3, "spondylolisthesis": 0.3}


def test_the_icc_of_pt():
    rng = np.random.default_rng(9)
    true = populations.draw_mixture(MIXED, 4000, rng).angles_deg
    points = np.stack([patient(ss, pt, ll) for ss, pt, _, ll in true])
    read = np.stack([lumbopelvic_angles(rate(points, rng, habit), "left") for habit in (0, 3)], 1)
    agreement = [evaluation.icc(read[..., angle]) for angle in (SS, PT)]
    assert true[:, PT].std() < true[:, SS].std() and agreement[1] > agreement[0] + 0.02
    right("measuring.icc_pt", option("measuring.icc_pt", "It is higher"))


def test_how_many_readings():
    k = np.arange(1, 20)
    same = SDD * sem(1, 35) / np.sqrt(k)
    right("measuring.readings", int(k[same < 5][0]))
    wrong("measuring.readings", 1, "one reading")
    wrong("measuring.readings", (SDD * sem(1, 35) / 5) ** 2, "whole")
    wrong("measuring.readings", 4, "not the smallest")
    wrong("measuring.readings", 16, "not the smallest")
    habits = np.std([0.0, 3.0, -1.0], ddof=1)
    assert SDD * habits > 5  # for another rater no number is enough


def test_the_parts_of_the_spread():
    slip, habit = 2.0, 1.5
    right("measuring.components", SDD * np.hypot(slip, habit))
    wrong("measuring.components", SDD * (slip + habit), "added two SDs")
    wrong("measuring.components", SDD * slip, "habits are missing")
    wrong("measuring.components", 1.96 * np.hypot(slip, habit), "one reading")
    wrong("measuring.components", SDD * (slip**2 + habit**2), "variance")
    wrong("measuring.components", np.hypot(slip, habit), "That is the SEM")


def test_the_limits_of_agreement():
    bias, sd, n = 2.0, 3.0, 400
    drawn = np.random.default_rng(11).normal(size=n)
    differences = bias + sd * (drawn - drawn.mean()) / drawn.std(ddof=1)
    low, high = np.array(evaluation.limits_of_agreement(np.stack([differences] * 4, -1)))[:, SS]
    right("measuring.limits", high)
    wrong("measuring.limits", low, "lower")
    wrong("measuring.limits", bias + 1.96 * sd / np.sqrt(n), "standard error")
    wrong("measuring.limits", bias + sd, "one SD")
    wrong("measuring.limits", 1.96 * sd, "middle of the band")
    wrong("measuring.limits", bias + SDD * sd, "No √2")


def test_the_trace_of_a_crooked_film():
    true = patient(40, 12, 55)
    seen = {
        "The second film hangs": rotate(true, -5, (0, 0)),
        "The second film is": patient(40, 12, 55, stretch=1.1),
        "The second rater used": np.concatenate([true[:4], true[4:] + (0, 13.5)]),
    }
    assert {name: changed(true, points, 0.5) for name, points in seen.items()} == {
        "The second film hangs": {"SS", "PT"},
        "The second film is": set(ANGLES),
        "The second rater used": {"PT", "PI"},
    }
    crooked = lumbopelvic_angles(seen["The second film hangs"])
    assert np.allclose(crooked, [45, 7, 52, 55])  # as the exercise prints it
    lowest = populations.draw("healthy_adults", 4000, np.random.default_rng(12)).segments_deg[:, 0]
    assert lowest.mean() > 20
    right("measuring.trace", option("measuring.trace", "The second film hangs"))


def test_a_program_repeats_itself_and_is_biased():
    """A rater without slips and with a habit, as the package has one: precise, and wrong."""
    where = hospitals.hospital("aspen")
    steady = hospitals.Rater(s1_mm=0, l1_mm=0, head_mm=0, steeper_deg=4)
    mm = radiograph.magnification(0.0, where.scanner)[0]
    ten = hospitals.rate(
        np.stack([STANDING] * 10), replace(where, rater=steady), mm, np.random.default_rng(13)
    )
    read = lumbopelvic_angles(ten, "left")[:, SS]
    assert np.ptp(read) < 1e-9 and np.isclose(read.mean() - lumbopelvic_angles(STANDING)[SS], 4)
    right("measuring.precise", option("measuring.precise", "It is precise"))


def test_patients_who_differ_less_have_a_lower_icc():
    rng, found = np.random.default_rng(14), {}
    for clinic in ("adult_deformity", "adolescent_scoliosis"):
        true = populations.draw(clinic, 4000, rng).angles_deg
        points = np.stack([patient(ss, pt, ll) for ss, pt, _, ll in true])
        read = np.stack([lumbopelvic_angles(rate(points, rng), "left")[:, LL] for _ in range(2)], 1)
        found[clinic] = true[:, LL].std(), evaluation.icc(read)
    (spread, high), (narrow, low) = found.values()
    assert narrow < spread and low < high
    right("measuring.school", option("measuring.school", "Probably lower"))
