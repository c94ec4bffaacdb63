"""The Measure figure: its films, its Python side, and its JavaScript driven in a headless browser.

The oracles of what stands on the screen are `lumbo.angles`, `lumbo.indices` and `lumbo.learning.evaluation`, which
share no code with the figure.
"""

import io
import json
import re
import struct
import zlib
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image
from wires import asked, from_browser, wired

from lumbo import indices
from lumbo.angles import ANGLES, LANDMARKS, lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import hospitals
from lumbo.learning import evaluation
from lumbo.pages import marking
from lumbo.pages.marking import SAMPLES, Measure, sample

CEDAR = [[216.0, 387.0], [268.0, 357.0], [180.0, 37.0], [243.0, 24.0], [206.0, 610.0], [176.0, 580.0]]
STEPS = (
    "S1 plate, front corner",
    "S1 plate, back corner",
    "L1 plate, front corner",
    "L1 plate, back corner",
    "Near femoral head",
    "Far femoral head",
)
READING = {
    "film": 0,
    "width": 520,
    "height": 640,
    "points": CEDAR,
    "anterior": "left",
    "spacing_mm": [0.5, 0.5],
    "angles_deg": [30.0, 12.9, 42.9, 18.3],
    "true_deg": [28.0, 13.0, 41.0, 19.0],
    "rated_deg": None,
}


def random_points(n: int, seed: int) -> list[tuple[list, str, list]]:
    """Draw n sets of points about a film's true ones, with a side and a pixel of their own."""
    rng = np.random.default_rng(seed)
    sets = []
    for k in range(n):
        points = np.array(sample(k % len(SAMPLES))["landmarks_px"]) + rng.normal(0, 12, (6, 2))
        anterior = ("left", "right")[k % 2]
        if anterior == "right":
            points[:, 0] = 519 - points[:, 0]
        pixel = rng.uniform(0.3, 1.2) * np.array([1.0, rng.choice([1.0, rng.uniform(0.8, 1.25)])])
        sets.append((points.tolist(), anterior, pixel.tolist()))
    return sets


# --- the films ----------------------------------------------------------------------------


@pytest.mark.parametrize("film", range(len(SAMPLES)))
def test_a_sample_film_says_what_is_true_of_it(film):
    found = sample(film)
    for points, angles in (("landmarks_px", "angles_deg"), ("rated_landmarks_px", "rated_angles_deg")):
        measured = lumbopelvic_angles(np.array(found[points]), "left")
        np.testing.assert_allclose(measured, found[angles], atol=1e-9)
    image = Image.open(io.BytesIO(b64decode(found["image"].partition(",")[2])))
    assert image.size == (found["width"], found["height"]) and image.mode == "L"
    where, seed, note = SAMPLES[film]
    one = hospitals.draw(hospitals.hospital(where), "test", seed, 0, 640, n=1)
    assert abs(np.asarray(image).astype(int) - one.films[0]).mean() < 4
    assert found["pixel_mm"] == one.pixel_mm[0] and found["hospital"] == hospitals.hospital(where).title
    assert len(json.dumps(found)) < 400_000
    assert ("lies outside" in note) == bool(one.hidden[0])
    inside = (np.abs(np.array(found["landmarks_px"]) - [259.5, 319.5]) <= [260, 320]).all(1)
    assert inside.all() or one.hidden[0]
    seen = hospitals.visit(hospitals.hospital(where), "test", seed, 0, 640)
    metal = seen.vary.rng("implanted").random(64)[0] < hospitals.hospital(where).implanted
    assert note.startswith("With screws") or not metal or film == 1


def test_sample_films_are_ten_patients_of_every_hospital():
    truths = np.array([sample(film)["angles_deg"] for film in range(len(SAMPLES))])
    assert len(np.unique(truths.round(3), axis=0)) == len(SAMPLES) == 10
    assert {where for where, *_ in SAMPLES} == set(hospitals.hospitals())
    assert list(Measure.payloads) == [f"marking-{film}" for film in range(10)]


@pytest.mark.parametrize("film", [-1, 10, 1.5, "3", True, None])
def test_refuses_another_film(film):
    with pytest.raises(InputError, match=r"film: got .*; allowed: a whole number from 0 to 9"):
        sample(film)


# --- the Python side ----------------------------------------------------------------------


def but(**changes):
    return [READING, READING | changes]


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("film", 10, "film: got 10; allowed: a whole number from 0 to 9"),
        ("film", "mine", "film: got 'mine'; allowed: .*or \"own\""),
        ("points", "S1", "points: got 'S1'; allowed: a list"),
        ("points", np.array(2.0), r"points: got .*; allowed: a list of \[x, y\]"),
        ("points", np.ma.masked, r"points: got .*; allowed: a list of \[x, y\]"),
        ("points", {}, r"points: got \{\}; allowed: a list of \[x, y\]"),
        ("points", 3, r"points: got 3; allowed: a list of \[x, y\]"),
        ("films", ["Mine"], r"films: got \['Mine'\]; allowed: what the figure was made with"),
        ("points", [[0, 0]] * 7, "points: got '7 points'; allowed: from 0 to 6"),
        ("points", [[0, 0, 0]], r"points: got \(1, 3\)"),
        ("points", [[0, np.nan]], r"points\[0, 1\]: got nan"),
        ("points", [[0, 1e6]], r"points\[0, 1\]: got 1000000"),
        ("anterior", "up", "anterior: got 'up'; allowed: one of left, right"),
        ("spacing_mm", 0.5, r"spacing_mm: got \(\)"),
        ("spacing_mm", [0.5, 0], r"spacing_mm\[1\]: got 0"),
        ("compared", 1, "compared: got 1; allowed: true or false"),
        ("readings", {}, "readings: got {}; allowed: a list"),
        ("readings", [READING] * 1001, "readings: got '1001 readings'; allowed: at most 1000"),
        ("readings", [3], r"readings\[0\]: got 3; allowed: a dict of film, width"),
        ("readings", but(film=11), r"readings\[1\]\.film: got 11"),
        ("readings", but(width=0), r"readings\[1\]\.width: got 0"),
        ("readings", but(points=CEDAR[:5]), r"readings\[1\]\.points: got '5 points'; allowed: from 6 to 6"),
        ("readings", but(anterior=None), r"readings\[1\]\.anterior: got None"),
        ("readings", but(spacing_mm=[1, -1]), r"readings\[1\]\.spacing_mm\[1\]: got -1"),
        ("readings", but(angles_deg=[1, 2, 3]), r"readings\[1\]\.angles_deg: got \[1, 2, 3\]"),
        ("readings", but(true_deg=[1, 2, 3, None]), r"readings\[1\]\.true_deg\.LL: got None"),
    ],
)
def test_refuses_a_state_that_cannot_be(field, value, message):
    figure = Measure(2)
    before = {name: getattr(figure, name) for name in Measure.fields}
    with pytest.raises(InputError, match=message):
        setattr(figure, field, value)
    assert {name: getattr(figure, name) for name in Measure.fields} == before


def test_refuses_a_tensor_without_axes():
    torch = pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"points: got .*; allowed: a list of \[x, y\]"):
        Measure().points = torch.tensor(2.5)


def test_errors_are_reader_minus_truth_where_both_are_known():
    figure = Measure()
    assert figure.errors_deg.shape == (0, 4)
    figure.readings = [READING, READING | {"true_deg": None}, READING | {"angles_deg": [None, 1, 2, 3]}]
    np.testing.assert_allclose(figure.errors_deg, [[2.0, -0.1, 1.9, -0.7]], atol=1e-12)
    assert repr(figure) == "Measure(film 0: 0 of 6 points; 3 readings)"


def test_output_is_small_holds_its_state_and_no_address():
    figure = Measure(4)
    figure.points, figure.readings, figure.spacing_mm = CEDAR[:3], [READING], (0.5, 0.6)
    page = figure._repr_mimebundle_()[0]["text/html"]
    assert len(page) < 200_000
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)|\bid=""", page)
    payload = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert payload["state"] == {name: getattr(figure, name) for name in Measure.fields}
    assert payload["state"]["films"][4] == "Aspen"


@pytest.mark.parametrize("film", [0, 6, "own"])
def test_without_scripts_a_marked_film_and_its_angles_stay(film):
    page = Measure(film)._repr_mimebundle_()[0]["text/html"]
    stripped = re.sub(r"<(script|noscript|svg)\b.*?</\1>", "", page, flags=re.S)
    assert "Not for clinical use." in stripped and "the page must run scripts" in stripped
    said = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', stripped)
    angles = sample(film if film != "own" else 0)["angles_deg"]
    assert ", ".join(f"{name} {value:.1f}°" for name, value in zip(ANGLES, angles)) in said[2]
    assert len(said[1]) * 3 / 4 < 90_000
    assert Image.open(io.BytesIO(b64decode(said[1]))).size == (400, 492)


@pytest.fixture
def wire():
    return wired(Measure())


def test_messages_pass_both_ways(wire):
    figure, sent = wire
    figure.points = CEDAR
    assert sent[-1]["state"] == {"points": CEDAR}
    state = {"readings": [READING], "film": "own", "compared": True}
    from_browser(figure, state)
    assert (figure.readings, figure.film, figure.compared) == ([READING], "own", True)
    from_browser(figure, {"points": [[0]]})
    assert figure.points == CEDAR
    asked(figure, "marking-3")
    assert sent[-1]["content"] == {"loaded": "marking-3", "payload": sample(3)}
    asked(figure, "marking-10")
    assert "allowed: marking-0" in sent[-1]["content"]["error"]


# --- in a browser, from a file, with the network off --------------------------------------


def box(page, figure=0):
    return page.locator(".lumbo-static").nth(figure)


def get(page, field, figure=0):
    return box(page, figure).evaluate("(box, field) => box.lumbo.get(field)", field)


def put(page, figure=0, **fields):
    script = "(box, fields) => Object.entries(fields).forEach(([k, v]) => box.lumbo.set(k, v))"
    box(page, figure).evaluate(script, fields)


def ready(page, figure=0):
    box(page, figure).locator(".empty").wait_for(state="hidden")
    return page


def read(text):
    return np.nan if text == "–" else float(text.rstrip("°").replace("−", "-"))


def shown(page, what="you", figure=0):
    texts = box(page, figure).locator(f"[data-{what}]").all_text_contents()
    return np.array([read(text) for text in texts])


def on_screen(page, points, figure=0):
    """Where points of the whole film lie on the screen, as the film is fitted to its stage: (n, 2)."""
    stage = box(page, figure).locator(".stage").bounding_box()
    scale = min(stage["width"] / 520, stage["height"] / 640)
    middle = [stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2]
    return middle + scale * (np.array(points) - [259.5, 319.5]), scale


def handle(page, name, figure=0):
    return box(page, figure).get_by_role("slider", name=name, exact=True)


SCHWAB = {name: low for name, (low, _) in indices.SCHWAB_BORDERS.items()}
ALL_TEXTS = """(sets) => sets.map(([points, anterior, spacing]) => {
    const box = document.querySelector('.lumbo-static');
    for (const [k, v] of [['anterior', anterior], ['spacing_mm', spacing], ['points', points]]) box.lumbo.set(k, v);
    const all = (query) => [...box.querySelectorAll(query)].map((cell) => cell.textContent);
    return {you: all('[data-you]'), cost: all('[data-cost]'), index: all('[data-index]')};
})"""


def numeric_costs(points, anterior, spacing):
    """Degrees of each angle for 1 mm at each point in the worst direction, by central differences: (6, 4)."""
    mm, step = np.array(points) * spacing, 1e-4
    moves = np.eye(12).reshape(12, 6, 2) * step
    high, low = (lumbopelvic_angles(mm + sign * moves, anterior) for sign in (1, -1))
    slopes = ((high - low) / (2 * step)).reshape(6, 2, 4)
    return np.hypot(slopes[:, 0], slopes[:, 1])


def test_four_hundred_sets_of_points_agree_with_lumbo(open_page):
    page = ready(open_page(Measure()))
    sets, typed = random_points(400, seed=11), 0
    for (points, anterior, spacing), texts in zip(sets, page.evaluate(ALL_TEXTS, sets), strict=True):
        angles = lumbopelvic_angles(np.array(points) * spacing, anterior)
        np.testing.assert_allclose([read(t) for t in texts["you"]], angles, atol=0.05 + 1e-6)
        costs = numeric_costs(points, anterior, spacing)
        found = np.array([read(t) for t in texts["cost"]]).reshape(6, 4)
        np.testing.assert_allclose(found, costs, atol=0.005 + 1e-5)
        gap, roussouly, schwab = texts["index"]
        assert read(gap) == pytest.approx(indices.pi_ll_mismatch(angles), abs=0.05 + 1e-6)
        grades = [indices.SCHWAB_MODIFIERS[grade] for grade in indices.schwab_modifiers(angles)]
        assert schwab == f"PT {grades[0]}, PI − LL {grades[1]}"
        if angles[1] > SCHWAB["PT"] or indices.pi_ll_mismatch(angles) > SCHWAB["PI-LL"]:
            assert roussouly.startswith("Roussouly’s types describe spines without compensation; here ")
            assert ("PT above 20°" in roussouly) == (angles[1] > SCHWAB["PT"])
            continue
        typed += 1
        group, off = indices.roussouly(angles)
        assert roussouly.startswith(f"{indices.ROUSSOULY_GROUPS[group]}; ")
        assert read(roussouly.split("; ")[1].split(" ")[0]) == pytest.approx(off, abs=0.05 + 1e-6)
        shares = indices.roussouly_shares(angles, np.hypot(*costs[:2, 0]))
        said = dict(re.findall(r"(1 or 2|3|4) in (\d+) %", roussouly))
        for name, share in zip(indices.ROUSSOULY_GROUPS, 100 * shares):
            assert float(said.get(name, 0)) == pytest.approx(share, abs=0.5 + 1e-3)
    assert 50 < typed < 350


def test_points_anywhere_agree_with_lumbo_up_to_full_turns(open_page):
    page = ready(open_page(Measure()))
    rng = np.random.default_rng(12)
    sets = [(rng.uniform(0, 500, (6, 2)).tolist(), ("left", "right")[k % 2], [1, 1]) for k in range(300)]
    for (points, anterior, _), texts in zip(sets, page.evaluate(ALL_TEXTS, sets), strict=True):
        off = [read(t) for t in texts["you"]] - lumbopelvic_angles(np.array(points), anterior)
        np.testing.assert_allclose((off + 180) % 360 - 180, 0, atol=0.05 + 1e-6)


def test_angles_come_as_soon_as_their_points_are_there(open_page):
    page = ready(open_page(Measure()))
    for count, known in ((0, ""), (1, ""), (2, "SS"), (3, "SS"), (4, "SSLL"), (5, "SSLL"), (6, "SSPTPILL")):
        put(page, points=CEDAR[:count])
        assert np.isfinite(shown(page)).tolist() == [name in known for name in ANGLES]
        assert "NaN" not in box(page).locator(".lumbo").inner_html()


def test_points_that_coincide_show_a_dash(open_page):
    page = ready(open_page(Measure()))
    put(page, points=[[100, 100]] * 6)
    assert np.isnan(shown(page)).all()
    assert set(box(page).locator("[data-cost]").all_text_contents()) == {"–"}
    assert "NaN" not in box(page).locator(".lumbo").inner_html()
    page.get_by_role("button", name="Compare").click()
    assert get(page, "readings")[0]["angles_deg"] == [None] * 4
    figure = Measure()
    figure.readings = get(page, "readings")  # Python takes what the page keeps


def test_six_clicks_of_the_mouse_and_a_drag(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    places, scale = on_screen(page, CEDAR)
    for i, (x, y) in enumerate(places):
        assert box(page).locator(".step strong").inner_text() == f"{i + 1} of 6: {STEPS[i]}."
        page.mouse.move(x, y)
        assert box(page).locator(".loupe").is_visible()
        page.mouse.down()
        page.mouse.up()
    np.testing.assert_allclose(get(page, "points"), CEDAR, atol=0.02)
    assert box(page).locator(".step strong").inner_text() == "All six are placed."
    assert not box(page).locator(".loupe").is_visible()
    x, y = places[1]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 8, y - 9)
    assert box(page).locator(".loupe").is_visible()
    assert box(page).locator("[aria-busy]").count() == 1
    page.mouse.move(x + 16, y - 18)
    page.mouse.up()
    assert box(page).locator("[aria-busy]").count() == 0
    expected = np.array(CEDAR)
    expected[1] += np.array([16, -18]) / scale
    np.testing.assert_allclose(get(page, "points"), expected, atol=0.02)
    spacing = sample(0)["pixel_mm"]
    np.testing.assert_allclose(shown(page), lumbopelvic_angles(expected * spacing, "left"), atol=0.06)


@pytest.mark.parametrize("zoom", [1.5, 0.7])
def test_in_a_page_that_is_zoomed_points_and_loupe_lie_right(open_page, zoom):
    slides = f"<style>body {{ zoom: {zoom}; }}</style>"
    page = ready(open_page(Measure(), before=slides, viewport={"width": 1600, "height": 1400}))
    places, scale = on_screen(page, CEDAR)
    for i in (4, 1, 5, 0):
        x, y = places[i]
        page.mouse.move(x, y)
        loupe = box(page).locator(".loupe").bounding_box()
        middle = [loupe["x"] + loupe["width"] / 2, loupe["y"] + loupe["height"] / 2]
        np.testing.assert_allclose(middle, [x, y - 89 * zoom], atol=1.5)
        assert loupe["width"] == pytest.approx(118 * zoom, abs=0.5)
        page.mouse.click(x, y)
        np.testing.assert_allclose(get(page, "points")[-1], CEDAR[i], atol=0.05)
        pin = centre(page, STEPS[len(get(page, "points")) - 1])
        np.testing.assert_allclose(pin, [x, y], atol=0.6)


def test_brightness_and_contrast_are_a_filter_of_both_canvases(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    page.get_by_text("Side, pixels, brightness").click()
    page.get_by_role("slider", name="Brightness").fill("1.5")
    page.get_by_role("slider", name="Contrast").fill("0.6")
    page.mouse.move(*on_screen(page, CEDAR[1])[0])
    filters = box(page).locator("canvas").evaluate_all("all => all.map(one => getComputedStyle(one).filter)")
    assert filters == ["brightness(1.5) contrast(0.6)"] * 2
    assert box(page).locator(".loupe").evaluate("one => getComputedStyle(one).filter") == "none"
    assert "context.filter" not in Measure._esm  # which Safari has switched off


def test_indices_for_adults_are_not_printed_for_a_child(open_page):
    page = open_page(Measure())
    for film, (where, _, _) in enumerate(SAMPLES):
        put(page, film=film, points=CEDAR, compared=False)
        ready(page)
        child = where == "birch"
        assert sample(film)["adult"] is not child
        words = box(page).locator(".panel").inner_text()
        assert ("These indices are for adults." in words) == child
        assert ("for adults with deformity; its third modifier, SVA, is not on this film" in words) != child
        for name in ("schwab", "roussouly"):
            assert box(page).locator(f"[data-index={name}]").is_visible() != child
        assert ("Roussouly type" in words) != child
        assert box(page).locator("[data-index='PI-LL']").is_visible()


def test_a_type_waits_until_all_angles_are_known(open_page):
    page = ready(open_page(Measure()))
    put(page, points=CEDAR[:4])
    assert box(page).locator("[data-index=roussouly]").inner_text() == "–"


def test_of_two_points_close_together_the_nearer_is_dragged(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    points = [*CEDAR[:4], [200.0, 600.0], [212.0, 600.0]]
    put(page, points=points)
    for k, dx in ((4, -30), (5, 30)):
        (x, y), scale = on_screen(page, points[k])
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y)
        page.mouse.up()
        points[k] = [points[k][0] + dx / scale, 600.0]
        np.testing.assert_allclose(get(page, "points"), points, atol=0.02)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == STEPS[k]


def test_undo_and_clear(open_page):
    page = ready(open_page(Measure()))
    put(page, points=CEDAR[:3])
    page.get_by_role("button", name="Undo").click()
    assert get(page, "points") == CEDAR[:2]
    page.get_by_role("button", name="Clear").click()
    assert get(page, "points") == []
    assert page.get_by_role("button", name="Undo").is_disabled()


def finger(page):
    touch = page.context.new_cdp_session(page)

    def send(kind, *points):
        spots = [{"x": float(x), "y": float(y), "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    return send


PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def test_a_finger_places_where_it_lifts_and_two_fingers_zoom(open_page):
    page = ready(open_page(Measure(), **PHONE))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    send, (places, scale) = finger(page), on_screen(page, CEDAR)
    send("touchStart", places[0] + [30, 25])
    assert box(page).locator(".loupe").is_visible()
    send("touchMove", places[0] + [10, 5])
    send("touchMove", places[0])
    send("touchEnd")
    np.testing.assert_allclose(get(page, "points"), CEDAR[:1], atol=0.05)
    middle = places[0] + [40, -60]
    send("touchStart", middle - [20, 0])
    send("touchStart", middle - [20, 0], middle + [20, 0])
    for reach in (30, 45, 60):
        send("touchMove", middle - [reach, 0], middle + [reach, 0])
    send("touchEnd")
    assert len(get(page, "points")) == 1  # two fingers place nothing
    x, y = (v for v in handle(page, STEPS[0]).locator(".pin").bounding_box().values()) and centre(
        page, STEPS[0]
    )
    np.testing.assert_allclose([x, y], middle + 3 * (places[0] - middle), atol=0.6)  # three times as large
    put(page, points=CEDAR)
    send("touchStart", (x, y))
    send("touchMove", (x + 9, y + 12))
    send("touchMove", (x + 18, y + 24))
    send("touchEnd")
    moved = np.array(CEDAR[0]) + np.array([18, 24]) / (3 * scale)
    np.testing.assert_allclose(get(page, "points")[0], moved, atol=0.05)
    assert page.evaluate("window.scrollY") == 0


def centre(page, name):
    found = handle(page, name).locator(".pin").bounding_box()
    return found["x"] + found["width"] / 2, found["y"] + found["height"] / 2


def test_targets_are_large_enough_for_a_finger(open_page):
    page = ready(open_page(Measure(), **PHONE))
    put(page, points=CEDAR)
    box(page).locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    page.get_by_role("button", name="Compare").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for target in [*box(page).locator("button:visible, select, .opener, summary, .handle .hit").all()]:
        size = target.bounding_box()
        assert min(size["width"], size["height"]) >= 24, target.evaluate("one => one.outerHTML")


def test_the_keyboard_does_it_all(open_page):
    page = ready(open_page(Measure()))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"Cross-hair: {STEPS[0]}"
    start = np.round([259.5, 319.5])
    for key in ("Shift+ArrowLeft", "ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    assert box(page).locator(".loupe").is_visible()
    ground = box(page).locator(".ground")
    values = [float(ground.get_attribute(f"aria-value{name}")) for name in ("min", "now", "max")]
    assert values == [-0.5, start[0] - 9, 519.5]
    page.keyboard.press("Enter")
    first = start + [-9, -2]
    np.testing.assert_allclose(get(page, "points"), [first], atol=0.51)
    for i, key in enumerate(
        ["Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown", "ArrowDown"]
    ):
        page.keyboard.press(key)
        page.keyboard.press("Enter")
        assert len(get(page, "points")) == i + 2
    page.keyboard.press("Tab")
    before = np.array(get(page, "points"))
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowDown"):
        page.keyboard.press(key)
    np.testing.assert_allclose(np.array(get(page, "points")) - before, [[-2, 10]] + [[0, 0]] * 5, atol=1e-9)
    x, y = get(page, "points")[0]
    said = f"SS {shown(page)[0]:.1f}°; x {x:.1f}, y {y:.1f} pixels".replace("-", "−")
    assert handle(page, STEPS[0]).get_attribute("aria-valuetext") == said
    for _ in range(60):
        page.keyboard.press("Shift+ArrowLeft")
    assert get(page, "points")[0][0] == -0.5  # the edge of the film
    box(page).locator(".ground").focus()
    for key in ("+", "+", "+"):
        page.keyboard.press(key)
    held = centre(page, STEPS[1])
    page.keyboard.press("ArrowRight")
    assert centre(page, STEPS[1])[0] == pytest.approx(held[0] - 40, abs=0.5)
    page.keyboard.press("0")
    assert box(page).locator(".ground").get_attribute("aria-valuetext") == "zoom 1.0"


def test_zoom_has_ends_and_a_drag_on_empty_film_pans(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    put(page, points=CEDAR)
    places, scale = on_screen(page, CEDAR)
    zoom = lambda: float(box(page).locator(".ground").get_attribute("aria-valuetext").split()[1])  # noqa: E731
    x, y = places[1]
    page.mouse.move(x + 30, y + 30)
    page.keyboard.down("Control")
    for _ in range(40):
        page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function(
        "() => parseFloat(document.querySelector('.ground').getAttribute('aria-valuetext').slice(5)) > 20"
    )
    assert zoom() == pytest.approx(24 / scale, abs=0.1)  # a pixel of the film covers 24 of the screen
    page.get_by_role("button", name="Show the whole film").click()
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    before = np.array(centre(page, STEPS[0]))
    stage = box(page).locator(".stage").bounding_box()
    corner = np.array([stage["x"] + 60, stage["y"] + 60])
    page.mouse.move(float(corner[0]), float(corner[1]))
    page.mouse.down()
    page.mouse.move(float(corner[0]) + 15, float(corner[1]) + 10)
    page.mouse.move(float(corner[0]) + 40, float(corner[1]) + 25)
    page.mouse.up()
    np.testing.assert_allclose(np.array(centre(page, STEPS[0])) - before, [40, 25], atol=0.6)
    for _ in range(20):
        page.get_by_role("button", name="Zoom out").click()
    assert zoom() == 1.0
    np.testing.assert_allclose(centre(page, STEPS[0]), places[0], atol=0.6)
    assert get(page, "points") == CEDAR


def test_while_placing_a_drag_of_the_mouse_pans_and_places_nothing(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    page.get_by_role("button", name="Zoom in").click()
    (x, y), _ = on_screen(page, CEDAR[0])
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 30)
    page.mouse.up()
    assert get(page, "points") == []


def test_the_other_side_and_a_stretched_film(open_page):
    page = ready(open_page(Measure()))
    put(page, points=CEDAR)
    page.get_by_text("Side, pixels, brightness").click()
    page.get_by_role("radio", name="right").check()
    np.testing.assert_allclose(shown(page), lumbopelvic_angles(np.array(CEDAR), "right"), atol=0.05 + 1e-6)
    page.get_by_role("radio", name="left").check()
    down = page.get_by_label("Millimetres of a pixel, down")
    pixel = sample(0)["pixel_mm"]
    assert float(down.input_value()) == pytest.approx(pixel, rel=1e-5)
    down.fill("0,8")
    down.press("Enter")
    across = float(page.get_by_label("Millimetres of a pixel, across").input_value())
    assert get(page, "spacing_mm") == [across, 0.8]
    tall = lumbopelvic_angles(np.array(CEDAR) * [across, 0.8], "left")
    np.testing.assert_allclose(shown(page), tall, atol=0.05 + 1e-6)
    down.fill("nothing")
    down.press("Enter")
    assert "Down is “nothing”; allowed: a number from 0.001 to 100." in box(page).inner_text()
    assert get(page, "spacing_mm") == [across, 0.8]
    for label in ("across", "down"):
        page.get_by_label(f"Millimetres of a pixel, {label}").fill("")
    down.press("Enter")
    assert get(page, "spacing_mm") is None


def read_films(page, films, seed=5):
    """Put points on films and compare each; return the errors as lumbo has them: (n, 4)."""
    rng, errors = np.random.default_rng(seed), []
    for film in films:
        put(page, film=film, points=[], compared=False)
        ready(page)
        truth = sample(film)
        high = np.array([truth["width"], truth["height"]]) - 0.5
        points = (np.array(truth["landmarks_px"]) + rng.normal(0, 3, (6, 2))).clip(-0.5, high)
        put(page, points=points.tolist())
        page.get_by_role("button", name="Compare").click()
        errors.append(lumbopelvic_angles(points, "left") - truth["angles_deg"])
    return np.array(errors)


def test_compared_with_the_truth_and_with_the_rater(open_page):
    page = ready(open_page(Measure()))
    errors = read_films(page, [0, 3, 8])
    truth = sample(8)
    np.testing.assert_allclose(shown(page, "true"), truth["angles_deg"], atol=0.05 + 1e-6)
    np.testing.assert_allclose(shown(page, "error"), errors[-1], atol=0.05 + 1e-6)
    rater = np.subtract(truth["rated_angles_deg"], truth["angles_deg"])
    np.testing.assert_allclose(shown(page, "rater"), rater, atol=0.05 + 1e-6)
    assert box(page).locator("[data-error]").first.inner_text()[0] in "+−0"
    figure = Measure()
    figure.readings = get(page, "readings")
    np.testing.assert_allclose(figure.errors_deg, errors, atol=1e-9)
    put(page, points=CEDAR)  # what is moved after the truth was seen is not the reading
    assert get(page, "readings") == figure.readings
    page.get_by_role("button", name="Read it again").click()
    assert (get(page, "points"), get(page, "compared"), len(get(page, "readings"))) == ([], False, 3)
    assert box(page).locator("[data-true]").first.is_hidden()


def test_bias_spread_and_limits_are_those_of_lumbo(open_page):
    page = ready(open_page(Measure()))
    errors = read_films(page, [0, 1])
    assert box(page).locator("[data-sum] td:nth-child(5)").all_inner_texts() == ["–"] * 4  # two are too few
    errors = np.concatenate([errors, read_films(page, [2, 4, 6, 9], seed=6)])
    low, high = (limit[:4] for limit in evaluation.limits_of_agreement(errors))
    bias, sd = evaluation.bias(errors)[:4], errors.std(0, ddof=1)
    rows = [box(page).locator(f"[data-sum={name}] td").all_inner_texts() for name in ANGLES]
    for i, (n, mean, spread, limits, rater) in enumerate(rows):
        assert n == "6"
        found = [read(mean), read(spread), *(read(limit) for limit in limits.split(" to "))]
        np.testing.assert_allclose(found, [bias[i], sd[i], low[i], high[i]], atol=0.05 + 1e-6)
        known = [sample(film) for film in (0, 1, 2, 4, 6, 9)]
        theirs = np.array([np.subtract(one["rated_angles_deg"], one["angles_deg"])[i] for one in known])
        found = [read(part) for part in rater.split(" ± ")]
        np.testing.assert_allclose(found, [theirs.mean(), theirs.std(ddof=1)], atol=0.05 + 1e-6)
    assert "6 compared, of 6 films" in box(page).inner_text()
    box(page).locator("[data-reading='1'] button").click()
    ready(page)
    assert get(page, "film") == 1 and get(page, "points") == get(page, "readings")[1]["points"]


@pytest.mark.parametrize("width", [1280, 360])
def test_a_double_click_on_compare_only_compares(open_page, width):
    page = ready(open_page(Measure(), viewport={"width": width, "height": 900}))
    put(page, points=CEDAR)
    compare = page.get_by_role("button", name="Compare")
    compare.scroll_into_view_if_needed()
    before = compare.bounding_box()
    compare.dblclick()
    page.wait_for_timeout(50)
    assert (get(page, "film"), get(page, "points"), get(page, "compared")) == (0, CEDAR, True)
    assert len(get(page, "readings")) == 1 and compare.is_disabled()
    after = compare.bounding_box()
    assert (after["x"], after["width"]) == (before["x"], before["width"])
    assert abs(after["y"] - before["y"]) < 6, (before, after)


def test_a_reading_shows_degrees_beside_its_error_and_a_rating_counts_once_a_film(open_page):
    page = ready(open_page(Measure()))
    errors = read_films(page, [0, 3])
    errors = np.concatenate([errors, read_films(page, [3, 3], seed=8)])
    rows = [box(page).locator(f"[data-sum={name}] td").all_inner_texts() for name in ANGLES]
    known = [sample(film) for film in (0, 3)]
    theirs = np.array([np.subtract(one["rated_angles_deg"], one["angles_deg"]) for one in known])
    for i, (n, *_, rater) in enumerate(rows):
        found = [read(part) for part in rater.split(" ± ")]
        np.testing.assert_allclose(found, [theirs[:, i].mean(), theirs[:, i].std(ddof=1)], atol=0.05 + 1e-6)
        assert n == "4"
    for k, one in enumerate(get(page, "readings")):
        cells = box(page).locator(f"[data-reading='{k}'] td").all_text_contents()[:4]
        found = np.array([[read(part.lstrip("+")) for part in cell.split()] for cell in cells])
        np.testing.assert_allclose(found, np.transpose([one["angles_deg"], errors[k]]), atol=0.05 + 1e-6)


def test_next_film_starts_anew(open_page):
    page = ready(open_page(Measure(9)))
    read_films(page, [9])
    assert page.evaluate("document.activeElement.textContent") == "Next film"
    page.get_by_role("button", name="Next film").click()
    ready(page)
    assert (get(page, "film"), get(page, "points"), get(page, "compared")) == (0, [], False)


# --- files --------------------------------------------------------------------------------


def upload(page, name, content):
    payload = {
        "name": name,
        "mimeType": "text/plain",
        "buffer": content.encode() if isinstance(content, str) else content,
    }
    page.get_by_label("Load readings from JSON or CSV").set_input_files(payload)
    said = box(page).locator(".readings .says")
    said.filter(has_text=re.compile(".")).wait_for()
    return said.inner_text()


def saved(page, kind):
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save {kind}").click()
    return open(download.value.path(), encoding="utf-8").read()


@pytest.mark.parametrize("kind", ["JSON", "CSV"])
def test_what_was_saved_is_read_back_exactly(open_page, kind):
    page = ready(open_page(Measure()))
    read_films(page, [0, 5])
    put(page, readings=[*get(page, "readings"), READING | {
        "film": "own", "width": 1200, "height": 900, "spacing_mm": None, "true_deg": None, "angles_deg":
        lumbopelvic_angles(np.array(CEDAR), "left").tolist()}])  # fmt: skip
    before, text = get(page, "readings"), saved(page, kind)
    page.get_by_role("button", name="Forget all").click()
    assert get(page, "readings") == before  # one press only asks
    page.get_by_role("button", name="Forget 3 readings").click()
    assert get(page, "readings") == []
    name = f"back.{kind.lower()}"
    assert upload(page, name, text) == f"3 loaded from {name}."
    after = get(page, "readings")
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other.pop("angles_deg"), one.pop("angles_deg"), atol=1e-12)
    assert after == before
    page.get_by_role("button", name="Fit").or_(
        page.get_by_role("button", name="Show the whole film")
    ).first.click()
    put(page, readings=get(page, "readings"))
    assert "3 were already here" in upload(page, "again.csv", text)
    assert len(get(page, "readings")) == 3


def broken(**changes):
    angles = lumbopelvic_angles(np.array(CEDAR) * 0.5, "left").tolist()
    return json.dumps(
        {"readings": [READING | {"angles_deg": angles}, READING | {"angles_deg": angles} | changes]}
    )


HEAD = "film,width,height,anterior,mm_across,mm_down," + ",".join(f"{n}_{c}" for n in LANDMARKS for c in "xy")
ROW = "0,520,640,left,0.5,0.5," + ",".join(str(v) for p in CEDAR for v in p)


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "back.csv is empty."),
        ('{"readings": [', "back.csv is broken JSON:"),
        ('{"films": []}', 'back.csv has no list "readings".'),
        ("[3]", "Reading 1 is not a reading."),
        (broken(film=10), "Reading 2: film is 10; allowed: 0 to 9, or own."),
        (broken(width="x"), 'Reading 2: width is "x"; allowed: a number from 1 to 100000.'),
        (broken(anterior="up"), 'Reading 2: anterior is "up"; allowed: left or right.'),
        (broken(points=CEDAR[:5]), "Reading 2: points must be a list of 6."),
        (broken(points=[[0]] + CEDAR[1:]), "Reading 2: s1_anterior must be a list of 2."),
        (broken(points=[[600, 0]] + CEDAR[1:]), "Reading 2: s1_anterior_x is 600; allowed: a number from -0.5 to 519.5."),
        (broken(spacing_mm=0), "Reading 2: spacing_mm must be a list of 2."),
        (broken(spacing_mm=False), "Reading 2: spacing_mm must be a list of 2."),
        (broken(spacing_mm=""), "Reading 2: spacing_mm must be a list of 2."),
        ("[null]", "Reading 1 is not a reading."),
        ('{"readings": null}', 'back.csv has no list "readings".'),
        (broken(spacing_mm=[1, 0]), "Reading 2: mm_down is 0; allowed: a number from 0.001 to 100."),
        (broken(angles_deg=[1, 2, 3, 4]), "Reading 2: SS is 1.0°, but its points give 30.0°."),
        (broken(true_deg=[1, 2, 3]), "Reading 2: true_deg must be a list of 4."),
        (json.dumps([READING] * 1001), "back.csv has 1001 readings; allowed: 1000."),
        ("x,y\n1,2\n", "The CSV has no column film, width, height and 15 more."),
        (f"{HEAD}\n{ROW}\n0,520,640\n", "Row 2 has 3 columns; the first line has 18."),
        (f"{HEAD}\n{ROW.replace('387.0', 'here')}\n", 'Row 1: s1_anterior_y is "here"; allowed: a number from -0.5 to 639.5.'),
        (f"{HEAD}\n{ROW.replace('387.0', '')}\n", "Row 1: s1_anterior_y is null; allowed"),
        ("\x89PNG\r\n\x1a\n\0\0", "The CSV has no column film"),
        ("x" * 4_000_001, "back.csv is larger than 4 MB: too large for readings."),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_and_changes_nothing(open_page, content, message):
    page = ready(open_page(Measure()))
    put(page, readings=[READING])
    assert upload(page, "back.csv", content).startswith(message)
    assert get(page, "readings") == [READING]


@pytest.mark.parametrize("name", ["film", "width", "anterior"])
def test_what_a_file_holds_is_told_in_few_letters(open_page, name):
    page = ready(open_page(Measure()))
    said = upload(page, "long.json", broken(**{name: "x" * 5000}))
    assert said.startswith(f'Reading 2: {name} is "xxx') and "x…; allowed: " in said and len(said) < 300


def test_a_reading_of_another_film_is_not_laid_on_this_one(open_page):
    page = ready(open_page(Measure(3)))
    other = [READING, READING | {"width": 600}, READING | {"film": 3, "height": 700}]
    put(page, readings=other, points=CEDAR[:2])
    said, show = box(page).locator(".readings .says"), box(page).locator("[data-reading] button")
    words = "This reading is of another film: of {} pixels; film {} here has 520 × 640."
    for k, film, size in ((1, 0, "600 × 640"), (2, 3, "520 × 700")):
        show.nth(k).click()
        said.filter(has_text=words.format(size, film + 1)).wait_for()
        assert (get(page, "film"), get(page, "points"), get(page, "compared")) == (film, [], False)
    show.nth(2).click()  # also where its film lies there already
    assert said.inner_text() == words.format("520 × 700", 4) and get(page, "points") == []
    show.nth(0).click()
    ready(page)
    assert said.text_content() == "" and (get(page, "points"), get(page, "compared")) == (CEDAR, True)


def test_a_file_that_cannot_be_read_at_all_is_told(open_page):
    page = ready(open_page(Measure()))
    page.evaluate("void (File.prototype.text = () => Promise.reject(new DOMException('gone')))")
    assert upload(page, "gone.json", "[]") == "gone.json cannot be read."
    page.evaluate("void (File.prototype.slice = () => { throw new DOMException('gone'); })")
    assert open_film(page, "gone.png", picture(30, 40)) == "gone.png cannot be read."


def test_a_table_without_angles_or_with_other_columns_is_welcome(open_page):
    page = ready(open_page(Measure()))
    assert upload(page, "mine.csv", f"\ufeff{HEAD},remark\r\n{ROW},good\r\n") == "1 loaded from mine.csv."
    (one,) = get(page, "readings")
    np.testing.assert_allclose(one["angles_deg"], lumbopelvic_angles(np.array(CEDAR), "left"), atol=1e-9)
    assert one["true_deg"] is None


# --- a film of one's own ------------------------------------------------------------------


def picture(width, height, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))).save(file, kind)
    return file.getvalue()


def open_film(page, name, content):
    page.get_by_label("Open a film of your own").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    said = box(page).locator(".work > .says")
    said.filter(has_text=name).wait_for()
    return said.inner_text()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_film_of_ones_own_is_measured_and_never_leaves_the_page(open_page, kind):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    said = open_film(page, f"mine.{kind.lower()}", picture(800, 400, kind))
    assert said == f"mine.{kind.lower()}: 800 × 400 pixels. It stays in this page."
    ready(page)
    assert get(page, "film") == "own" and box(page).locator("select").input_value() == "own"
    stage = box(page).locator(".stage").bounding_box()
    scale = stage["width"] / 800
    spots = np.array([[200, 300], [260, 280], [210, 60], [280, 70], [150, 380], [170, 390]])
    for x, y in spots:
        page.mouse.click(
            stage["x"] + stage["width"] / 2 + scale * (x - 399.5),
            stage["y"] + stage["height"] / 2 + scale * (y - 199.5),
        )
    np.testing.assert_allclose(get(page, "points"), spots, atol=0.02)
    np.testing.assert_allclose(shown(page), lumbopelvic_angles(spots.astype(float), "left"), atol=0.06)
    assert "What a pixel costs" in box(page).inner_text() and "No millimetres known" in box(page).inner_text()
    page.get_by_text("Side, pixels, brightness").click()
    page.get_by_label("Millimetres of a pixel, across").fill("0.4")
    page.get_by_label("Millimetres of a pixel, across").press("Enter")
    assert get(page, "spacing_mm") == [0.4, 0.4] and "What a millimetre costs" in box(page).inner_text()
    page.get_by_role("button", name="Keep this reading").click()
    page.get_by_role("button", name="Keep this reading").click()
    assert "It is already among your readings." in box(page).inner_text()
    (kept,) = get(page, "readings")
    assert (kept["film"], kept["width"], kept["true_deg"]) == ("own", 800, None)
    state = box(page).evaluate(
        "(box, names) => JSON.stringify(names.map((n) => box.lumbo.get(n)))", list(Measure.fields)
    )
    assert "mine" not in state and "blob:" not in state and "data:" not in state
    assert "mine" not in page.evaluate("JSON.stringify(localStorage)")
    assert asked == []
    open_film(page, "next.png", picture(300, 500))  # a second one replaces the first
    ready(page)
    assert get(page, "points") == []


SLOW = """() => {
    const make = createImageBitmap, held = [];
    window.createImageBitmap = async (file, how) => {
        if (file.name?.startsWith("slow")) await new Promise((go) => held.push(go));
        return make(file, how);
    };
    window.letGo = () => held.forEach((go) => go());
    window.waits = () => held.length;
}"""


@pytest.mark.parametrize("meanwhile", ["another file", "another film", "the same film"])
def test_a_film_that_arrives_late_is_left(open_page, meanwhile):
    page = ready(open_page(Measure()))
    page.evaluate(SLOW)
    page.get_by_label("Open a film of your own").set_input_files(
        {"name": "slow.png", "mimeType": "image/png", "buffer": picture(300, 200)}
    )
    page.wait_for_function("() => waits() == 1")
    if meanwhile == "another file":
        open_film(page, "quick.png", picture(60, 80))
    elif meanwhile == "another film":
        page.get_by_role("combobox", name="Film").select_option("4")
    else:
        page.get_by_role("combobox", name="Film").select_option("0")
    ready(page)
    film = get(page, "film")
    put(page, points=[[3.0, 4.0]])
    page.evaluate("letGo()")
    page.wait_for_timeout(200)
    assert (get(page, "film"), get(page, "points")) == (film, [[3.0, 4.0]])
    assert "slow.png" not in box(page).inner_text()


def bare_png(width, height):
    """A PNG that says how large it is and holds nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("nothing.png", b"", "nothing.png is empty: it holds 0 bytes."),
        ("notes.png", b"These are notes.", "notes.png is neither PNG nor JPEG."),
        ("film.dcm", b"\0" * 128 + b"DICM", "film.dcm is neither PNG nor JPEG. Export the film"),
        ("half.png", picture(400, 400)[:100], "half.png begins like a PNG, but cannot be opened"),
        ("empty.png", bare_png(0, 0), "empty.png begins like a PNG, but cannot be opened"),
        ("vast.png", bare_png(2**31 - 1, 2**31 - 1), "vast.png begins like a PNG, but cannot be opened"),
        ("half.jpg", picture(400, 400, "JPEG")[:30], "half.jpg begins like a JPEG, but cannot be opened"),
        ("odd.png", b"\x89", "odd.png is neither PNG nor JPEG."),
    ],
)
def test_what_is_no_film_is_named_and_changes_nothing(open_page, name, content, message):
    page = ready(open_page(Measure()))
    put(page, points=CEDAR)
    assert open_film(page, name, content).startswith(message)
    assert get(page, "film") == 0 and get(page, "points") == CEDAR


def test_a_huge_film_is_shown_coarser_and_counts_in_its_own_pixels(open_page):
    page = ready(open_page(Measure(), viewport={"width": 1280, "height": 1000}))
    said = open_film(page, "huge.png", picture(9000, 300))
    assert "9000 × 300 pixels, more than 6000 on a side: it is shown coarser" in said
    ready(page)
    stage = box(page).locator(".stage").bounding_box()
    page.mouse.click(stage["x"] + stage["width"] * 0.75, stage["y"] + stage["height"] / 2)
    np.testing.assert_allclose(get(page, "points"), [[6749.5, 149.5]], atol=6)


def test_a_huge_film_that_cannot_be_made_smaller_is_told(open_page):
    page = ready(open_page(Measure()))
    page.evaluate(
        """() => {
            const make = createImageBitmap;
            window.createImageBitmap = (from, how) => how ? Promise.reject(new DOMException("no memory")) : make(from);
        }"""
    )
    said = open_film(page, "huge.png", picture(9000, 30))
    assert said.startswith("huge.png begins like a PNG, but cannot be opened") and get(page, "film") == 0


def test_a_film_of_one_pixel(open_page):
    page = ready(open_page(Measure()))
    open_film(page, "dot.png", picture(1, 1))
    ready(page)
    box(page).locator(".ground").click()
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    ((x, y),) = get(page, "points")
    assert -0.5 <= x <= 0.5 and -0.5 <= y <= 0.5


def test_a_film_can_be_dropped(open_page):
    page = ready(open_page(Measure()))
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer(), stage = document.querySelector('.stage');
            data.items.add(new File([new Uint8Array(bytes)], 'dropped.png', {type: 'image/png'}));
            stage.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(picture(60, 80)),
    )
    box(page).locator(".work > .says").filter(has_text="dropped.png: 60 × 80 pixels").wait_for()
    assert get(page, "film") == "own"


# --- pages --------------------------------------------------------------------------------


def test_two_figures_stay_apart(open_page):
    page = open_page(Measure(0), Measure(1))
    ready(page, 0), ready(page, 1)
    put(page, 0, points=CEDAR)
    assert get(page, "points", 1) == [] and np.isnan(shown(page, figure=1)).all()
    box(page, 0).get_by_role("button", name="Compare").click()
    assert get(page, "readings", 1) == [] and get(page, "film", 1) == 1


def test_readings_are_remembered_and_nonsense_is_not(open_page):
    page = ready(open_page(Measure()))
    read_films(page, [2])
    kept = get(page, "readings")
    page.reload()
    page.wait_for_selector(".lumbo-static[data-ready]")
    assert get(page, "readings") == kept
    for nonsense in ("{", '{"a": 1}', "[3]", '[{"film": 99}]'):
        page.evaluate("text => localStorage.setItem('lumbo.readings', text)", nonsense)
        page.reload()
        page.wait_for_selector(".lumbo-static[data-ready]")
        assert get(page, "readings") == []


def test_two_figures_lose_no_reading_and_forget_all(open_page):
    page = open_page(Measure(2), Measure(3))
    for figure in (0, 1, 0):
        ready(page, figure)
        put(
            page,
            figure,
            points=(np.array(CEDAR) + len(get(page, "readings", figure))).tolist(),
            compared=False,
        )
        box(page, figure).get_by_role("button", name="Compare").click()
    assert [len(get(page, "readings", figure)) for figure in (0, 1)] == [2, 1]
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.lumbo-static[data-ready]').length == 2")
    for figure in (0, 1):
        assert sorted(one["film"] for one in get(page, "readings", figure)) == [2, 2, 3]
    box(page, 0).get_by_role("button", name="Forget all").dblclick()  # which only asks
    assert len(get(page, "readings", 0)) == 3
    box(page, 0).get_by_role("button", name="Keep them").click()
    assert box(page, 0).get_by_role("button", name="Forget 3 readings").is_hidden()
    box(page, 0).get_by_role("button", name="Forget all").click()
    box(page, 0).get_by_role("button", name="Forget 3 readings").click()
    assert box(page, 0).get_by_role("button", name="Keep them").is_hidden()
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.lumbo-static[data-ready]').length == 2")
    assert get(page, "readings", 0) == get(page, "readings", 1) == []


def test_without_a_memory_it_works_all_the_same(open_page):
    block = (
        "<script>Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})</script>"
    )
    page = ready(open_page(Measure(), before=block))
    read_films(page, [2])
    assert len(get(page, "readings")) == 1
    assert "This browser cannot remember: save them as a file." in box(page).inner_text()


def test_a_full_storage_is_told(open_page):
    page = ready(open_page(Measure()))
    read_films(page, [2])
    assert "remembered in this browser only." in box(page).inner_text()
    page.evaluate(
        "void (Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); })"
    )
    read_films(page, [3])
    assert "This browser cannot remember: save them as a file." in box(page).inner_text()
    assert "in this browser only" not in box(page).inner_text()


def test_readings_and_an_exercise_of_the_same_name_stay_apart(open_page):
    page = ready(open_page(Measure()))
    page.evaluate("void localStorage.setItem('lumbo.measuring.readings', '4')")
    read_films(page, [2])
    assert page.evaluate("localStorage.getItem('lumbo.measuring.readings')") == "4"
    name = page.evaluate("Object.keys(localStorage).find((key) => key !== 'lumbo.measuring.readings')")
    assert "." not in name.removeprefix("lumbo.")


def test_where_the_films_are_missing_it_says_so(browser, tmp_path):
    file = tmp_path / "page.html"
    html = Measure()._repr_mimebundle_()[0]["text/html"]
    file.write_text(f'<!doctype html><meta charset="utf-8">{html}', encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_text("This film comes with the book, or with a running kernel.").wait_for()
    still, again = box(page).locator("> figure"), page.get_by_role("button", name="Try again")
    assert still.is_visible() and again.is_visible()
    open_film(page, "mine.png", picture(60, 80))  # one's own still works
    ready(page)
    assert not still.is_visible() and not again.is_visible()
    page.get_by_role("combobox", name="Film").select_option("0")
    still.wait_for(state="visible")
    page.evaluate("film => { globalThis.lumboPayloads = {'marking-0': film}; }", sample(0))
    again.click()
    ready(page)
    assert not still.is_visible() and not again.is_visible() and get(page, "film") == 0
    page.evaluate("globalThis.lumboPayloads = {}")
    for film in (1, 0):
        page.get_by_role("combobox", name="Film").select_option(str(film))
        still.wait_for(state="visible")
    page.evaluate(
        "films => { globalThis.lumboPayloads = films; }", {f"marking-{i}": sample(i) for i in (0, 1)}
    )
    for film in (1, 0):  # chosen again, it is asked for again
        page.get_by_role("combobox", name="Film").select_option(str(film))
        ready(page)
        assert not still.is_visible()
    context.close()


def test_the_films_of_the_page_are_those_of_the_module():
    assert Measure().films == [where.capitalize() for where, *_ in SAMPLES]
    assert all(name in Measure._esm for name in LANDMARKS)
    assert f"MOST_READINGS = {marking.MOST_READINGS}" in Measure._esm
    assert f"LONGEST_PX = {marking.LONGEST_PX:_}" in Measure._esm
    borders = re.search(r'SCHWAB_BORDERS = \{ PT: (.*?), "PI-LL": (.*?) \}', Measure._esm)
    assert [json.loads(pair) for pair in borders.groups()] == [
        list(indices.SCHWAB_BORDERS[n]) for n in SCHWAB
    ]
    names = re.search(r"SCHWAB_MODIFIERS = (\[.*?\])", Measure._esm)[1]
    assert json.loads(names) == list(indices.SCHWAB_MODIFIERS)
