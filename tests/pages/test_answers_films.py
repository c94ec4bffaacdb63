"""The answers of the chapters population, spine_to_film and four_hospitals, computed from `lumbo` and from formulae.

No right answer and no tempting number is believed because it stands in a question: each is computed here by the road
that the chapter teaches, or by the mistake that the hint names.
"""

import json
import math
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from lumbo import store
from lumbo.angles import ANGLES, lumbopelvic_angles
from lumbo.films import anatomy, hospitals, plates, populations, radiograph, variety
from lumbo.pages import darkroom, exercises, scanners

SLUGS = ("population", "spine_to_film", "four_hospitals")
QUESTIONS = {f"{slug}.{name}": one for slug in SLUGS for name, one in exercises.questions(slug).items()}
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@dataclass(frozen=True)
class Number:
    """A right answer, and what each hint's mistake gives, in the order of the hints."""

    right: float
    mistakes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choice:
    """The words of the right option, computed; and of other options where they are numbers, too."""

    right: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """The right order, and what each hint's mistake gives, in the order of the hints."""

    right: list[int]
    mistakes: tuple[list[int], ...]


# --- a population of spines ------------------------------------------------------------------

HEALTHY = populations.statistics()["healthy_adults"]
RHO = populations.statistics()["follow_up"]["correlation"]
SD_PI, SD_PT = HEALTHY["pi"]["sd"], HEALTHY["pt"]["sd"]


def correlation(sd_pi, sd_pt, sd_ss):
    """What three SDs imply, by bisection: not by the chapter's formula."""
    low, high = -1.0, 1.0
    for _ in range(60):
        r = (low + high) / 2
        wide = np.array([1, -1]) @ [[sd_pi**2, r * sd_pi * sd_pt], [r * sd_pi * sd_pt, sd_pt**2]] @ [1, -1]
        low, high = (r, high) if wide > sd_ss**2 else (low, r)
    return r


def cut_mean(mean, sd, low, high):
    """Mean of a normal that is drawn again outside two limits, by adding up its density."""
    x = np.linspace(low, high, 100_001)
    return np.average(x, weights=np.exp(-(((x - mean) / sd) ** 2) / 2))


@cache
def adults():
    return populations.draw("healthy_adults", 20_000, np.random.default_rng(3))


def arrows():
    """Which way the SD of PI, the SD of LL and the correlation of PI and PT move in a tidy clinic."""
    everybody = adults().angles_deg
    kept = everybody[abs(everybody[:, 0] - 40) < 5]
    found = [(x[:, 2].std(), x[:, 3].std(), np.corrcoef(x.T)[1, 2]) for x in (everybody, kept)]
    words = [
        "rises" if now > was * 1.05 else "falls" if now < was * 0.95 else "stays" for was, now in zip(*found)
    ]
    return ", ".join(words)


def share(sds, power):
    weights = np.array(sds) ** power
    return 10 * weights[0] / weights.sum()


def height_above_the_line(who):
    """PT beyond its regression on PI, which is that of the cohort."""
    slope = HEALTHY["pt"]["r_pi"] * SD_PT / SD_PI
    return (
        who.angles_deg[:, 1] - HEALTHY["pt"]["mean"] - slope * (who.angles_deg[:, 2] - HEALTHY["pi"]["mean"])
    )


@cache
def extremes():
    """Mean height of the patients who are 10° or more above the line, and a year later."""
    first = height_above_the_line(adults())
    second = height_above_the_line(populations.follow_up(adults(), np.random.default_rng(4)))
    return first[first >= 10].mean(), second[first >= 10].mean()


def population():
    r = correlation(SD_PI, SD_PT, 7.8)
    adolescents = correlation(11.8, 8.7, 9.05)
    sds = populations.statistics()["segments"]["sd"][1]
    se = 10.5 / np.sqrt([100, 709])
    wide = (74 - 32) / 4
    return {
        "independent": Number(math.hypot(SD_PI, SD_PT)),
        "redrawn": Number(cut_mean(21.0, 11.4, 10, 70)),
        "two_thirds": Choice(f"{2 * r:.1f} SDs above the mean"),
        "ranges": Choice(f"{wide}°", (f"{4 * wide:.0f}°", f"{2 * wide:.0f}°", f"{wide**2:.0f}°")),
        "noise": Choice(
            f"{math.hypot(SD_PT, 3.7):.1f}°",
            (f"{SD_PT}°, as before", f"{SD_PT + 3.7}°", f"{math.sqrt(SD_PT**2 - 3.7**2):.1f}°"),
        ),
        "slope": Number(adolescents * 8.7 / 11.8, (adolescents, adolescents * 11.8 / 8.7, 8.7 / 11.8)),
        "identity": Choice(
            "that of the means" if 36.2 + 11.6 != 53.0 and abs(correlation(10.5, 7.3, 8.5)) < 1 else ""
        ),
        "by_chance": Number(5.0 / math.hypot(*se), (5.0 / 10.5, 5.0 / se[0], 5.0 / se.sum())),
        "share": Number(share(sds, 2), (share(sds, 0), share(sds, 1))),
        "tidy": Choice(arrows()),
        "segment": Number(
            11.4 * math.sin(math.acos(0.60)), (11.4 * (1 - 0.60), 11.4 * (1 - 0.60**2), 11.4 * 0.60)
        ),
        "regression": Number(RHO * 11.1, (11.1, math.sqrt(1 - RHO**2) * 11.1, 0.0)),
    }


def test_the_extremes_come_back_by_about_rho():
    first, second = extremes()
    question = QUESTIONS["population.regression"]
    assert round(first, 1) == 11.1  # as the question says
    assert abs(second - question["answer"]) < question["tolerance"]


def test_the_living_population_shows_what_the_chapter_says():
    from lumbo.pages import Population

    figure = Population(versus="PT")
    chosen = figure.angles_deg[figure.chosen]
    far = [
        (chosen[:, ANGLES.index(a)].mean() - HEALTHY[a.lower()]["mean"]) / HEALTHY[a.lower()]["sd"]
        for a in ("PI", "PT")
    ]
    assert np.round(far, 2).tolist() == [1.62, 1.12]


def test_the_printed_means_of_other_studies_are_the_stored_ones():
    published = store.read_toml(files("data_synth").joinpath("published.toml"))
    stored = [other["mean"] for other in published["others"] if other["cohort"] == "healthy_adults"]
    notebook = json.loads((NOTEBOOKS / "ch03_population.ipynb").read_text())
    text = "".join("".join(cell["source"]) for cell in notebook["cells"])
    rows = re.findall(
        r"(?m)^\| \[[^|]*\| ([\d. ]*)\| ([\d. ]*)\| ([\d. ]*)\| ([\d. ]*)\| *(?:not stated )?\|$", text
    )
    printed = [{a: float(x) for a, x in zip(populations.ANGLES, row) if x.strip()} for row in rows]
    assert printed == stored and len(stored) == 5


# --- from spine to film ----------------------------------------------------------------------

# The rooms of the chapter: its own, and the smaller one whose films end between the two heads.
ROOM = replace(darkroom.ROOM, object_mm=250)
SMALL = replace(ROOM, source_mm=1150, cut=1.0)
CALM = dict.fromkeys(variety.factors(), 0.0)
FAR = replace(ROOM, source_mm=1e8, object_mm=230)  # parallel rays


def trio():
    """Three patients of ordered angles, as the chapter builds them."""
    wish = np.array([[28, 7, 35, 41], [40, 13, 53, 52], [53, 22, 75, 66]])
    return populations.with_angles(wish, np.random.default_rng(5))


def one_head():
    """PT of the patient in the middle on a film that ends between the heads, by a rater who sees the upper one only."""
    vary = variety.Variety(np.random.default_rng(7), variety.Setting(dial=0))
    spine = anatomy.spines(trio(), vary)[1:2]
    aimed = radiograph.aim(spine, SMALL, 272, vary)
    points = radiograph.project(spine.landmarks_mm, SMALL, aimed)
    hidden = radiograph.hidden_head(spine, SMALL, aimed)[0]
    points[:, 3 + hidden] = points[:, 6 - hidden]
    return lumbopelvic_angles(points)[0, 1]


def test_the_film_that_ends_between_the_heads_is_as_the_question_says():
    vary = variety.Variety(np.random.default_rng(7), variety.Setting(dial=0))
    spine = anatomy.spines(trio(), vary)[1:2]
    aimed = radiograph.aim(spine, SMALL, 272, vary)
    near, far = radiograph.project(spine.landmarks_mm, SMALL, aimed)[0, 4:] * aimed.pixel_mm
    assert np.round(far - near).tolist() == [5, -48]  # further back, and above
    assert spine.s1_mm[0].mean(0).round().tolist() == [-28, 123]
    assert radiograph.magnification(0.0, SMALL).round(2).tolist() == [1.28, 1.28]


def film_ss(place, turn_deg, scanner):
    """SS on the film of a patient of the three who turns the pelvis."""
    setting = variety.Setting(
        scores=CALM | {"field.turn": turn_deg / variety.factors()["field.turn"]["between"]}
    )
    vary = variety.Variety(np.random.default_rng(7), setting)
    spine = anatomy.spines(trio()[place : place + 1], vary)
    aimed = radiograph.aim(spine, scanner, 272, vary)
    return lumbopelvic_angles(radiograph.project(spine.landmarks_mm, scanner, aimed))[0, 0]


def what_moves():
    """The one of four changes after which a landmark is projected elsewhere on the same film."""
    vary = variety.Variety(np.random.default_rng(7), variety.Setting(dial=0))
    spine = anatomy.spines(trio()[1:2], vary)
    aimed = radiograph.aim(spine, ROOM, 272, vary)
    here = radiograph.project(spine.landmarks_mm, ROOM, aimed)
    changed = {"scatter": {"scatter": 8}, "few photons": {"photons": 40}, "a larger gamma": {"gamma": 3}}
    moved = {}
    for name, fields in changed.items():
        there = replace(ROOM, **fields)
        moved[name] = abs(radiograph.project(spine.landmarks_mm, there, aimed) - here).max()
    turned = variety.Variety(np.random.default_rng(7), variety.Setting(scores=CALM | {"field.turn": 2.0}))
    again = anatomy.spines(trio()[1:2], turned).landmarks_mm
    moved["a turn of the pelvis about the vertical"] = abs(
        radiograph.project(again, ROOM, aimed) - here
    ).max()
    [name] = [name for name, by in moved.items() if by > 1e-9]
    return name


def plate_corners(ss, pt, plate_mm, radius_mm):
    """Front and back corner of an S1 plate (forwards, up), from complex numbers."""
    middle = 1j * radius_mm * np.exp(1j * np.radians(pt))
    half = plate_mm / 2 * np.exp(-1j * np.radians(ss))
    return middle + half, middle - half


def heads_apart(source, to_patient, offset):
    """Where rays from the tube through two heads, 150 mm below the central ray, meet the detector."""
    near, far = (150 * source / (to_patient + side * offset) for side in (-1, 1))
    return near - far


def dome():
    """What happens to SS and PT when the ends of a dome are joined instead of fitting it, by least squares."""
    t, height, plate = np.linspace(0, 1, 10_001), 6.0, 35.0
    front, back = (np.array([one.real, one.imag]) for one in plate_corners(40, 13, plate, 118))
    up = np.array([-(front - back)[1], (front - back)[0]]) / plate
    rise = np.polyfit(t - 0.5, 4 * height * t * (1 - t), 1)
    fitted = [back + up * (rise[1] - rise[0] / 2), front + up * (rise[1] + rise[0] / 2)]
    angles = []
    for rear, fore in (fitted, (back, front)):  # the patient faces right, and y points down
        points = np.array([fore, rear, fore + 200, rear + 200, [0, 0], [0, 0]]) * [1, -1]
        angles.append(lumbopelvic_angles(points, "right")[:2])
    by = np.subtract(angles[1], angles[0])
    words = ["grows" if change > 0.1 else "falls" if change < -0.1 else "stays" for change in by]
    return f"SS {words[0]}, PT {words[1]}"


def height(dial):
    setting = variety.Setting(dial=dial, scores={"sacrum.remnant": 2.0})
    return float(variety.Variety(np.random.default_rng(0), setting)("sacrum.remnant", 1)[0])


def spine_to_film():
    factor = variety.factors()["sacrum.remnant"]
    by = 1.5 * 2 * factor["between"]
    front, back = plate_corners(30, 20, 35, 120)
    tan, cos = np.tan(np.radians(53)), np.cos(np.radians(15))
    steep = np.degrees(np.arctan([tan / cos, tan * cos]))
    r = 0.7 / (1 - 0.7)
    enlarged = [35 * m for m in (1150 / (1150 - 230), (1150 - 230) / 1150, 1150 / 230, (1150 + 230) / 1150)]
    lengths = [f"{mm:.0f} mm" if mm > 100 else f"{mm + 1e-9:.1f} mm" for mm in enlarged]
    assert abs(film_ss(2, 15, FAR) - steep[0]) < 0.02
    return {
        "one_head": Number(one_head()),
        "turned": Number(film_ss(1, 10, FAR)),
        "moves": Choice(what_moves()),
        "enlarged": Choice(lengths[0], tuple(lengths[1:])),
        "grain": Choice(f"{40 * 2**2}", (f"{40 / 2}".removesuffix(".0"), f"{40 * 2**0.5:.0f}", f"{40 * 2}")),
        "corners": Number(
            -(front + back).real / 2,
            (
                (front + back).imag / 2,
                120 * np.sin(np.radians(30)),
                -back.real,
                (front + back).real / 2,
            ),
        ),
        "heads": Number(
            heads_apart(1150, 1150 - 230, 93),
            (150 * 2 * 93 / 1150, heads_apart(1150, 1150 - 230, 93 / 2), heads_apart(1150, 1e12, 93)),
        ),
        "turn_further": Number(steep[0], (53 * cos, steep[1], 53 / cos)),
        "veil": Number(
            100 / (1 + r / 5), (100 * (1 - 0.7 / 5), 100 / (1 + 0.7 / 5), 100 / (1 + r), 1 / (1 + r / 5))
        ),
        "dome": Choice(dome()),
        "remnant": Number(height(1.5), (1.5 * height(1.0), factor["mean"] + by, factor["mean"] * 10**by)),
    }


def test_forgetting_the_patients_distance_looks_like_a_fraction_upside_down():
    """So one hint names both."""
    question = QUESTIONS["spine_to_film.heads"]
    assert exercises.judge(question, heads_apart(1150, 1150, 93)).says == question["hints"][0]["hint"]


# --- four hospitals and two outsiders ----------------------------------------------------------

SIX = hospitals.hospitals()
ASPEN, CEDAR, DOGWOOD = (SIX[name] for name in ("aspen", "cedar", "dogwood"))


def on_film(where):
    """Landmarks and film angles of 64 test patients, without taking a film, and their visit."""
    seen = hospitals.visit(where, "test", 0, 0)
    points = radiograph.project(seen.spines.landmarks_mm, where.scanner, seen.exposure)
    return points, lumbopelvic_angles(points, "left"), seen


def rated_off(where, times=50):
    """Rated minus film angles, (times * 64, 4)."""
    points, angles, seen = on_film(where)
    rng = np.random.default_rng(1)
    rated = [hospitals.rate(points, where, seen.exposure.pixel_mm, rng) for _ in range(times)]
    return np.concatenate([lumbopelvic_angles(one, "left") - angles for one in rated])


def range_over_rooms():
    """Largest minus smallest LL of Aspen's patients in the six rooms, mean."""
    angles = [on_film(replace(ASPEN, scanner=where.scanner))[1] for where in SIX.values()]
    return np.ptp([one[:, 3] for one in angles], axis=0).mean()


def rings(films):
    """Log power of films in twelve rings of spatial frequency, by the full transform, (n, 12)."""
    middle = plates.stretch(films / np.float32(255))[:, :, 8:200].astype(float)
    middle -= middle.mean((1, 2), keepdims=True)
    power = abs(np.fft.fft2(middle * np.hanning(256)[:, None] * np.hanning(192))) ** 2
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(192), indexing="ij"))
    edges = np.geomspace(0.02, 0.5, 13)
    places = [(low <= cycles) & (cycles < high) for low, high in pairwise(edges)]
    return np.log([[one[place].mean() for place in places] for one in power])


def detected():
    """Percent of 384 films whose hospital a linear score names, learnt from the other half of each hospital."""
    films = [hospitals.film_set(where, "test", n=64).films for where in SIX.values()]
    x = np.concatenate([rings(one) for one in films])
    x = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    who, first = np.repeat(np.arange(6), 64), np.tile(np.arange(64) < 32, 6)
    right = 0
    for half in (first, ~first):
        scores = [
            x[~half] @ np.linalg.solve(x[half].T @ x[half], x[half].T @ (who[half] == k)) for k in range(6)
        ]
        right += np.sum(np.argmax(scores, 0) == who[~half])
    return 100 * right / len(who)


def stored_bone():
    """How Cedar's bone looks where the header is ignored."""
    film = dcmread(files("data_synth").joinpath("sample", "dicom", "cedar-test-0-00000.dcm"))
    assert film.PhotometricInterpretation == "MONOCHROME1"
    raw = film.pixel_array
    seen = radiograph.canonical(raw[None], ["left"], [True])[0]
    return (
        "dark bone on white" if np.corrcoef(raw.ravel(), seen.ravel())[0, 1] < 0 else "bright bone, as usual"
    )


def what_averages_out():
    """Which part of the mean error of Cedar's rater is small after many films."""
    habit = replace(CEDAR, rater=replace(CEDAR.rater, steeper_deg=0.0))
    slips, both = (abs(rated_off(where)[:, 0].mean()) for where in (habit, CEDAR))
    return "the part from the slips" if slips < 0.1 < 0.6 < both else ""


def order_by(value, question):
    places = range(len(question["items"]))
    return sorted(
        places, key=lambda place: value(SIX[question["items"][place].split(",")[0].lower()].scanner)
    )


def on_both_sides():
    """Percent of the films of one half of Aspen's training set whose patient is in the other half, mean of 50 shuffles."""
    whose = np.concatenate([64 * c + hospitals.visit(ASPEN, "training", 0, c).whose for c in range(17)])[
        :1070
    ]
    sides = [np.random.default_rng(seed).permutation(1070) < 535 for seed in range(50)]
    return 100 * np.mean([np.isin(whose[~one], whose[one]).mean() for one in sides])


def energy(x, y, selves=False):
    """The energy distance by loops over pairs; ``selves``: people are compared with themselves, too.  D squared."""
    inside = [
        [abs(a - b) for a, b in (product(one, one) if selves else combinations(one, 2))] for one in (x, y)
    ]
    return 2 * np.mean([abs(a - b) for a, b in product(x, y)]) - sum(map(np.mean, inside))


def words(change):
    return ", ".join(f"{value:+.1f}°" if abs(value) > 0.05 else "0.0°" for value in change).replace(
        "-", "\N{MINUS SIGN}"
    )


def four_hospitals():
    x, y, p = (40.0, 42.0), (44.0, 48.0), 1 / 6
    noise, slip, above = QUESTIONS["four_hospitals.noise"], DOGWOOD.rater.s1_mm, 0.216 - 1 / 6
    steep = replace(CEDAR, rater=replace(CEDAR.rater, steeper_deg=5.0))
    by = (rated_off(steep, 2) - rated_off(CEDAR, 2)).mean(0)
    d = 5.0 - CEDAR.rater.steeper_deg
    return {
        "detective": Number(detected()),
        "rooms": Number(range_over_rooms()),
        "only_rater": Choice(f"about {100 / 6:.0f} % of the films"),
        "inverted": Choice(stored_bone()),
        "more_films": Choice(what_averages_out()),
        "noise": Order(
            order_by(lambda room: -1 / np.sqrt(room.photons), noise),
            (
                order_by(lambda room: -np.sqrt(room.photons), noise),
                order_by(lambda room: room.source_mm, noise),
            ),
        ),
        "split": Number(
            on_both_sides(), (100 * ASPEN.returning / 2, 100 * ASPEN.returning * 2, on_both_sides() / 100)
        ),
        "energy": Number(
            np.sqrt(energy(x, y)), (energy(x, y), np.sqrt(energy(x, y, True)), np.mean(y) - np.mean(x))
        ),
        "lever": Number(
            np.degrees(np.sqrt(2) * slip / 35),
            (
                *np.degrees([slip / 35, np.sqrt(2) * slip / 118, 2 * slip / 35]),
                np.sqrt(2) * slip / 35,
                rated_off(DOGWOOD)[:, 0].std(),
            ),
        ),
        "floor": Number(3.16 * np.sqrt(2 / np.pi), (0.0, 3.16, 3.16 / np.sqrt(2))),
        "habit": Choice(words(by), (words((d, -d, 0, d)), words((d, 0, d, 0)), words((5, 0, 5, 5)))),
        "by_chance": Number(
            above / np.sqrt(p * (1 - p) / 384),
            (
                above / np.sqrt(p * (1 - p)),
                above / np.sqrt(p * (1 - p) / 64),
                above / (np.sqrt(p * (1 - p)) / 384),
            ),
        ),
    }


def test_the_share_of_a_mean_absolute_error_is_that_of_dogwoods_rater():
    off = rated_off(DOGWOOD)[:, 0]
    assert abs(off.std() - 3.16) < 0.15 and abs(off.mean()) < 0.1
    assert abs(abs(off).mean() - QUESTIONS["four_hospitals.floor"]["answer"]) < 0.12


def test_the_living_rooms_show_what_the_chapter_says():
    calm = variety.Setting(scores=dict.fromkeys(variety.factors(), 0.0))
    read = {}
    for name, where in SIX.items():  # as `scanners.shot`, without taking the film
        place = replace(ASPEN, implanted=0.0, scanner=where.scanner)
        seen = hospitals.visit(place, "test", scanners._SEED, 0, 512, calm)
        points = radiograph.project(seen.spines.landmarks_mm, place.scanner, seen.exposure)
        read[name] = round(float(lumbopelvic_angles(points, "left")[0, 3]), 1)
    cones = [read[name] for name in SIX if name != "fir"]
    true = round(float(seen.patients.angles_deg[0, 3]), 1)
    assert (true, read["fir"], min(cones), max(cones), read["cedar"]) == (38.2, 38.2, 39.3, 40.3, 40.3)


# --- all of them -----------------------------------------------------------------------------


@cache
def computed():
    return {
        f"{room.__name__}.{name}": one
        for room in (population, spine_to_film, four_hospitals)
        for name, one in room().items()
    }


def test_every_question_is_computed():
    assert set(computed()) == set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers_and_temptations_are_what_is_computed(name):
    question, found = QUESTIONS[name], computed()[name]
    if isinstance(found, Number):
        assert question["kind"] in ("number", "prediction")
        assert abs(found.right - question["answer"]) <= question["tolerance"]
        assert len(found.mistakes) == len(question["hints"])
        for mistake, hint in zip(found.mistakes, question["hints"]):
            assert exercises.judge(question, mistake).says == hint["hint"]
        assert exercises.judge(question, found.right).verdict in ("right", "compared")
    elif isinstance(found, Choice):
        options = question["options"]
        assert options[question["answer"]] == found.right and len(set(options)) == len(options)
        wrong = {option for place, option in enumerate(options) if place != question["answer"]}
        assert set(found.others) <= wrong
    else:
        assert question["answer"] == found.right
        assert [hint["answer"] for hint in question["hints"]] == list(found.mistakes)


@pytest.mark.parametrize("name", [name for name, one in QUESTIONS.items() if one["kind"] == "number"])
def test_a_hint_does_not_give_the_number_away(name):
    question = QUESTIONS[name]
    hints = [hint["hint"] for hint in question["hints"]] + [question["otherwise"]]
    numbers = [float(found) for hint in hints for found in re.findall(r"\d+\.\d+|\d+", hint)]
    assert not [found for found in numbers if abs(found - question["answer"]) <= question["tolerance"]]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_chapter_asks_enough(slug):
    """Three quick questions, predictions before the results, and exercises with a cell to change."""
    [path] = NOTEBOOKS.glob(f"ch??_{slug}.ipynb")
    cells = json.loads(path.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells]
    asked = [found for source in sources for found in re.findall(rf'Exercise\("{slug}\.(\w+)"\)', source)]
    assert sorted(asked) == sorted(exercises.questions(slug))
    lesson = next(place for place, source in enumerate(sources) if "\n## Exercises" in source)
    before = re.findall(r'Exercise\("[a-z_]+\.(\w+)"\)', "\n".join(sources[:lesson]))
    predictions = [name for name, one in exercises.questions(slug).items() if one["kind"] == "prediction"]
    assert before == predictions and len(before) >= 2
    text = "\n".join(sources[lesson:])
    assert len(re.findall(r"\*\*Question \d\.\*\*", text)) == 3
    assert len(re.findall(r"(?m)^\*\*\d\. .+\*\* \((?:easy|medium|hard)\)", text)) >= 4
    assert len(asked) == len(before) + 3 + len(re.findall(r"(?m)^\*\*\d\. ", text))
    starters = [cell for cell, source in zip(cells, sources) if "\nvalue = None" in source]
    assert starters
    for cell in starters:
        said = "".join(cell["outputs"][-1]["data"]["text/plain"])
        assert said.startswith("Not yet.") and f'check("{slug}.' in "".join(cell["source"])
    for cell, source, after in zip(cells, sources, [*sources[1:], ""]):
        if "remove-input" in cell["metadata"].get("tags", []):
            assert re.fullmatch(
                r'(from lumbo\.pages\.exercises import Exercise, check\n\n)?Exercise\("[\w.]+"\)', source
            )
            assert cells.index(cell) < lesson or after.startswith("<details>") or "\nvalue = None" in after
