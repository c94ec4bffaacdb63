"""The ErrorCloud figure: its Python side, and its JavaScript driven in a headless browser.

The oracles are `lumbo.angles`, NumPy, and a Jacobian by differences; none shares code with the figure.
"""

import json
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from wires import from_browser, wired

from lumbo.angles import ANGLES, LANDMARKS, hip_axis, lumbopelvic_angles, rotate
from lumbo.errors import InputError
from lumbo.pages.posture import STANDING_MM
from lumbo.pages.slips import DRAWS, ErrorCloud, normals

STANDING = np.array(STANDING_MM)
FIELDS = ("landmarks", "moved_mm", "slip_mm", "steeper_deg", "stretch", "seed")
ROUNDING = 0.05 + 1e-6  # one decimal is shown
SPOTS = [0, 1, 2, 2, 3, 3]
HANDLES = ("S1 plate, front corner", "S1 plate, back corner", "L1 plate, front corner",
           "L1 plate, back corner", "Near femoral head", "Far femoral head")  # fmt: skip
DRAWN = HANDLES[2:4] + HANDLES[:2] + HANDLES[4:]  # from the top of the picture downwards


def random_states(n: int, seed: int) -> list[dict]:
    """Draw n states: patients whose pelvis is turned, raters of all kinds, pictures of all heights."""
    rng = np.random.default_rng(seed)
    states = []
    for _ in range(n):
        points = STANDING + rng.normal(0, 5, STANDING.shape)
        points[:2] = rotate(points, rng.uniform(-25, 25), hip_axis(points))[:2]
        states.append(
            {
                "landmarks": points.tolist(),
                "moved_mm": rng.normal(0, 3, (6, 2)).tolist(),
                "slip_mm": rng.uniform(0.1, 4, 4).tolist(),
                "steeper_deg": rng.uniform(-10, 10),
                "stretch": rng.uniform(0.8, 1.25),
                "seed": int(rng.integers(2**31)),
            }
        )
    return states


def angles_of(points):
    return lumbopelvic_angles(points, "left")


def short_way(degrees):
    return (degrees + 180) % 360 - 180


def meant(state):
    """Where a rater without slips marks: the chapter's `rate`, in the picture."""
    points = np.array(state["landmarks"]) * [1, state["stretch"]]
    turned = rotate(points, -state["steeper_deg"], points[:2].mean(0))
    return np.concatenate([turned[:2], points[2:]])


def jacobian(points, h=1e-4):
    """Degrees per millimetre of each angle, (4, 6, 2), by central differences."""
    step = h * np.eye(12).reshape(12, 6, 2)
    return ((angles_of(points + step) - angles_of(points - step)) / (2 * h)).T.reshape(4, 6, 2)


# --- without a browser --------------------------------------------------------------------


def test_starts_with_the_patient_and_the_slips_of_the_chapter():
    figure = ErrorCloud()
    np.testing.assert_array_equal(figure.angles_deg, angles_of(STANDING))
    assert figure.slip_mm == [1, 1, 1, 2]
    slips = (figure.measured_mm - STANDING) / np.array([1, 1, 1, 1, 2, 2])[:, None]
    np.testing.assert_allclose(slips, normals(1, (DRAWS, 6, 2)), atol=1e-12)
    np.testing.assert_allclose(
        figure.errors_deg, angles_of(figure.measured_mm) - angles_of(STANDING), atol=1e-9
    )


def test_normals_are_normal_and_independent():
    z = normals(3, (100_000, 2))
    assert abs(z.mean(0)).max() < 0.015 and abs(z.std(0) - 1).max() < 0.01
    assert abs(np.corrcoef(z.T)[0, 1]) < 0.015 and abs(np.corrcoef(z[1:, 0], z[:-1, 0])[0, 1]) < 0.015
    assert np.mean(abs(z) < 1.96) == pytest.approx(0.95, abs=0.003)
    np.testing.assert_array_equal(normals(3, (5, 2)), z[:5])  # a longer draw begins alike
    assert not np.isin(normals(4, (100,)), z).any()


def test_a_habit_moves_the_mean_and_a_slip_does_not():
    exact = ErrorCloud(slip_mm=(0, 0, 0, 0), steeper_deg=4)
    np.testing.assert_allclose(exact.errors_deg, np.tile([4, 0, 4, 4], (DRAWS, 1)), atol=1e-9)
    slips = ErrorCloud(seed=5).errors_deg
    assert (abs(slips.mean(0)) < 4 * slips.std(0, ddof=1) / np.sqrt(DRAWS)).all()


def test_a_stretched_picture_is_wrong_as_the_chapter_says():
    figure = ErrorCloud(slip_mm=(0, 0, 0, 0), stretch=1.1)
    expected = np.degrees(np.arctan(1.1 * np.tan(np.radians(figure.angles_deg[0]))))
    assert figure.errors_deg[0, 0] == pytest.approx(expected - figure.angles_deg[0])
    ss, pt, pi, _ = figure.errors_deg[0]
    assert abs(figure.errors_deg[0]).min() > 0.5 and pi == pytest.approx(pt + ss)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"landmarks": STANDING[:5]}, r"landmarks: got \(5, 2\); allowed: numbers of shape \(6, 2\)"),
        ({"landmarks": np.full((6, 2), np.nan)}, "landmarks.*: got nan; allowed: a number from"),
        ({"landmarks": STANDING * 1e9}, "landmarks.*; allowed: a number from -10000 to 10000"),
        (
            {"landmarks": STANDING / 10},
            "landmarks: length of the S1 plate: got 3.6.*; allowed: a number from 10",
        ),
        ({"landmarks": STANDING * 3}, "landmarks: length of the S1 plate: got 108.*; allowed: .* to 80"),
        ({"landmarks": [*STANDING[:4], *STANDING[[0, 1]]]}, "landmarks: got 'hip axis on the middle of S1'"),
        ({"slip_mm": (1, 1, 1)}, r"slip_mm: got \(3,\); allowed: numbers of shape \(4,\)"),
        ({"slip_mm": (1, -1, 1, 1)}, r"slip_mm\[1\]: got -1.0; allowed: a number from 0 to 10"),
        ({"slip_mm": "sure"}, "slip_mm: got .*; allowed: real numbers"),
        ({"steeper_deg": 31}, "steeper_deg: got 31; allowed: a number from -30 to 30"),
        ({"steeper_deg": None}, "steeper_deg: got None; allowed: a number"),
        ({"stretch": 110}, "stretch: got 110; allowed: a number from 0.8 to 1.25"),
        ({"stretch": True}, "stretch: got True; allowed: a number"),
        ({"seed": -1}, "seed: got -1; allowed: a whole number from 0"),
        ({"seed": 1.5}, "seed: got 1.5; allowed: a whole number from 0"),
        ({"moved_mm": [[0, 0]] * 5}, r"moved_mm: got \(5, 2\); allowed: numbers of shape \(6, 2\)"),
        ({"moved_mm": np.full((6, 2), np.inf)}, "moved_mm.*: got inf; allowed: a number from -500 to 500"),
    ],
)
def test_refuses_what_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        ErrorCloud(**arguments)
    figure = ErrorCloud()
    for field, value in arguments.items():
        with pytest.raises(InputError, match=message):
            setattr(figure, field, value)
    assert figure._repr_mimebundle_()[0]["text/html"] == ErrorCloud()._repr_mimebundle_()[0]["text/html"]


def test_output_is_small_holds_the_state_and_no_address():
    state = random_states(1, seed=1)[0]
    data, _ = ErrorCloud(**state)._repr_mimebundle_()
    page = data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert page == ErrorCloud(**state)._repr_mimebundle_()[0]["text/html"]
    assert len(page.encode()) < 200_000
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)|\bid=""", page)
    payload = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert payload["state"] == state
    assert "Not for clinical use" in page


@pytest.mark.parametrize("state", [{}, *random_states(4, seed=2)])
def test_without_scripts_a_still_picture_and_its_numbers_stay(state):
    figure = ErrorCloud(**state)
    page = figure._repr_mimebundle_()[0]["text/html"]
    stripped = re.sub(r"<(script|noscript|svg)\b.*?</\1>", "", page, flags=re.S)
    assert "A still picture of 200 readings" in stripped and "Not for clinical use" in stripped
    said = re.search(r'<img src="data:image/svg\+xml,([^"]+)" alt="([^"]+)"', stripped)
    found = re.findall(r"(\w\w) ([+−]?[\d.]+) ± ([\d.]+)°", said[2])
    assert [name for name, *_ in found] == list(ANGLES)
    numbers = np.array([[float(m.replace("−", "-")), float(s)] for _, m, s in found])
    truth = np.stack([figure.errors_deg.mean(0), figure.errors_deg.std(0, ddof=1)], -1)
    np.testing.assert_allclose(numbers, truth, atol=ROUNDING)
    picture = ElementTree.fromstring(unquote(said[1]))
    assert sum(node.get("d", "").count("h0") for node in picture.iter()) == 4 * DRAWS
    decimals = re.findall(r"\d\.\d\d", unquote(said[1]))
    assert not decimals  # rounded, so that every processor draws the same
    coloured = dict(re.findall(r'fill="(#\w+)">(\w\w)<', unquote(said[1])))
    assert list(coloured.values()) == list(ANGLES)
    for colour, name in coloured.items():
        assert f"--{name}: {colour};" in ErrorCloud._esm


@pytest.fixture
def wire():
    return wired(ErrorCloud())


def test_python_moves_the_browser_and_the_browser_moves_python(wire):
    figure, sent = wire
    figure.stretch = 1.1
    assert sent[-1] == {"method": "update", "state": {"stretch": 1.1}, "buffer_paths": []}
    state = random_states(1, seed=3)[0]
    from_browser(figure, state)
    assert {field: getattr(figure, field) for field in FIELDS} == state
    from_browser(figure, {"stretch": 9})
    from_browser(figure, {"slip_mm": [1]})
    assert {field: getattr(figure, field) for field in FIELDS} == state


# --- in a browser, from a file, with the network off --------------------------------------


def number(text):
    return float(re.sub(r"[°+]| mm| %", "", text).replace("−", "-"))


def get(page, figure=0):
    model = page.locator(".lumbo-static").nth(figure)
    return model.evaluate(f"box => Object.fromEntries({list(FIELDS)}.map(f => [f, box.lumbo.get(f)]))")


# What the page shows: its state, the readings, the table, the correlations, the sentences, what is true.
READ = """(box => [Object.fromEntries(FIELDS.map(f => [f, box.lumbo.get(f)])),
    ...[NAMES.map(n => box.querySelector(`[data-read=${n}]`)), [...box.querySelectorAll('.reading small')],
        NAMES.flatMap(n => ['mean', 'sd', 'first'].map(k => box.querySelector(`[data-${k}=${n}]`)))]
        .map(all => all.map(e => e.textContent)),
    box.querySelector('.together p').textContent,
    [...box.querySelectorAll('.says p')].map(e => e.textContent).join(' ')])""".replace(
    "FIELDS", str(list(FIELDS))
).replace("NAMES", str(list(ANGLES)))


def shown(page, figure=0):
    """Return what the page shows: state, readings (4,), notes, table (4, 3), correlations, sentences."""
    return parsed(page.locator(".lumbo-static").nth(figure).evaluate(READ))


def parsed(found):
    state, reading, notes, table, together, says = found
    table = np.array([*map(number, table)]).reshape(4, 3)
    return state, np.array([*map(number, reading)]), notes, table, together, says


def assert_true(page, figure=0):
    """Every number on the page is what Python computes from the state as it stands."""
    assert_shown_is_true(*shown(page, figure))


def assert_shown_is_true(state, reading, notes, table, together, says):
    truth = angles_of(np.array(state["landmarks"]))
    marks = np.array(state["landmarks"]) * [1, state["stretch"]] + state["moved_mm"]
    np.testing.assert_allclose(reading, short_way(angles_of(marks)), atol=ROUNDING)
    for note, right, error in zip(notes, truth, short_way(angles_of(marks) - truth)):
        found = re.fullmatch(r"true (.*),\nerror (.*)", note)
        np.testing.assert_allclose([number(found[1]), number(found[2])], [right, error], atol=ROUNDING)
    errors = ErrorCloud(**state).errors_deg
    slip = np.array(state["slip_mm"])[SPOTS, None] * jacobian(meant(state))
    first = np.sqrt((slip**2).sum((1, 2)))
    expected = np.stack([errors.mean(0), errors.std(0, ddof=1), first], -1)
    np.testing.assert_allclose(table, expected, atol=ROUNDING + 1e-4)
    r = re.search(r"correlation (.*), first order (.*)\.$", together)
    if min(first[:2]) > 0:
        exact = [np.corrcoef(errors[:, :2].T)[0, 1], (slip[0] * slip[1]).sum() / (first[0] * first[1])]
        np.testing.assert_allclose([number(r[1]), number(r[2])], exact, atol=0.005 + 1e-5)
    hand = re.search(r"√\(([\d.]+)² \+ ([\d.]+)²\) mm / ([\d.]+) mm = ([\d.]+) radians = ([\d.]+)°", says)
    length = np.hypot(*np.subtract(*(np.array(state["landmarks"])[:2] * [1, state["stretch"]])))
    np.testing.assert_allclose(
        [*map(float, hand.groups()[:3])], [*state["slip_mm"][:2], length], atol=ROUNDING
    )
    by_hand = np.hypot(*state["slip_mm"][:2]) / length
    assert float(hand[4]) == pytest.approx(by_hand, abs=5.01e-4)
    assert float(hand[5]) == pytest.approx(np.degrees(by_hand), abs=ROUNDING)


def test_two_hundred_states_set_through_the_model(open_page):
    page = open_page(ErrorCloud())
    assert_true(page)
    states = random_states(200, seed=4)
    found = page.evaluate(
        """async states => {
            const box = document.querySelector('.lumbo-static'), found = [];
            for (const state of states) {
                Object.entries(state).forEach(([field, value]) => box.lumbo.set(field, value));
                await null; // the page may draw once, after all of them
                found.push(READ(box));
            }
            return JSON.stringify(found);
        }""".replace("READ", READ),
        states,
    )
    for state, one in zip(states, json.loads(found), strict=True):
        assert one[0] == state
        assert_shown_is_true(*parsed(one))


def test_the_points_that_the_page_draws_are_those_of_python(open_page):
    page, states = open_page(ErrorCloud()), random_states(100, seed=5)
    found = page.evaluate(
        """async ([esm, states, meant]) => {
            const url = URL.createObjectURL(new Blob([esm], {type: 'text/javascript'}));
            const {remeasure, firstOrder} = await import(url);
            return JSON.stringify(states.map((s, i) => [remeasure(s), firstOrder(meant[i], s.slip_mm)]));
        }""",
        [str(ErrorCloud._esm), states, [meant(state).tolist() for state in states]],
    )
    for state, (points, formula) in zip(states, json.loads(found), strict=True):
        assert np.shape(points) == (DRAWS, len(LANDMARKS), 2)
        np.testing.assert_allclose(points, ErrorCloud(**state).measured_mm, rtol=0, atol=1e-9)
        slip = np.array(state["slip_mm"])[SPOTS, None] * jacobian(meant(state))
        sd = np.sqrt((slip**2).sum((1, 2)))
        np.testing.assert_allclose([formula["sd"][angle] for angle in ANGLES], sd, rtol=1e-5)


def test_the_cloud_and_the_strips_show_the_numbers(open_page):
    state = random_states(1, seed=6)[0]
    figure = ErrorCloud(**state)
    page = open_page(figure)
    shapes = page.evaluate("[...document.querySelectorAll('.cloud')].map(path => path.getAttribute('d'))")
    for d, points in zip(shapes, ((2, 3), (0, 1), (4, 5))):
        drawn = np.array(re.findall(r"M(\S+) (\S+)L", d), float).reshape(DRAWS, 2, 2)
        np.testing.assert_allclose(drawn, figure.measured_mm[:, points], atol=0.0051)
    ends = page.locator("tfoot span").all_inner_texts()
    end, cells = number(ends[2]), 30
    assert number(ends[0]) == -end
    for name, values in zip(ANGLES, figure.errors_deg.T):
        d = page.locator(f"svg.strip.{name} .bars").get_attribute("d")
        corners = np.array([re.findall(r"[-\d.]+", bar) for bar in d.split("M")[1:]], float).reshape(-1, 5, 2)
        counts, edges = np.histogram(values, cells, (-end, end))
        heights = np.zeros(cells)
        heights[np.round(corners[:, 0, 0] * cells / 150).astype(int)] = corners[:, 0, 1] - corners[:, 1, 1]
        np.testing.assert_allclose(heights * counts.sum() / heights.sum(), counts, atol=0.25)
    dots = page.locator(".together .dots").get_attribute("d")
    at = np.array(re.findall(r"M(\S+) (\S+)L", dots), float)
    expected = 75 + figure.errors_deg[:, :2] / end * [75 * 0.96, -75 * 0.96]
    np.testing.assert_allclose(at, expected, atol=0.0051)


@pytest.mark.parametrize("stretch", [0.8, 0.9, 1.0, 1.1, 1.25])
def test_a_stretched_picture_makes_four_angles_wrong_and_keeps_the_sum(open_page, stretch):
    page = open_page(ErrorCloud(), viewport={"width": 1280, "height": 900})
    slider = page.get_by_role("slider", name="Picture height")
    slider.evaluate(
        "(input, v) => { input.value = v; input.dispatchEvent(new Event('input')); }", 100 * stretch
    )
    assert get(page)["stretch"] == pytest.approx(stretch)
    assert_true(page)
    _, reading, *_, says = shown(page)
    read = angles_of(STANDING * [1, stretch])
    np.testing.assert_allclose(reading, read, atol=ROUNDING)
    assert (
        f"PT + SS = {read[1]:.1f}° + {read[0]:.1f}°, and PI, read on its own lines, is {read[2]:.1f}°" in says
    )
    assert ("all four angles are wrong" in says) == (stretch != 1)
    assert ("does not prove" in says) == (stretch != 1)
    assert (abs(read - angles_of(STANDING)) > 0.5).all() == (stretch != 1)
    head = page.locator(".whole .head").bounding_box()  # eggs on a stretched picture
    assert head["height"] / head["width"] == pytest.approx(55.5 * stretch / 59.5, abs=0.03)


def handle(page, name, figure=0):
    return page.locator(".lumbo-static").nth(figure).get_by_role("slider", name=name, exact=True)


def centre(locator):
    box = locator.bounding_box()
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def px_per_mm(page):
    return 3 * page.locator(".film").first.bounding_box()["width"] / 330


def test_the_mouse_moves_each_mark_and_nothing_else(open_page):
    page = open_page(ErrorCloud(), viewport={"width": 1280, "height": 900})
    for i, name in enumerate(HANDLES):
        x, y = centre(handle(page, name).locator(".dot"))
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 3, y - 6)
        assert page.locator(".says").get_attribute("aria-busy") == "true"
        page.mouse.move(x + 8, y - 12)
        page.mouse.up()
        assert page.locator(".says").get_attribute("aria-busy") is None
        expected = np.zeros((6, 2))
        expected[i] = np.array([8, -12]) / px_per_mm(page)
        state = get(page)
        np.testing.assert_allclose(state["moved_mm"], expected, atol=0.02, err_msg=name)
        np.testing.assert_array_equal(state["landmarks"], STANDING)
        assert_true(page)
        page.get_by_role("button", name="Reset").click()
        np.testing.assert_array_equal(get(page)["moved_mm"], np.zeros((6, 2)))


def test_a_finger_on_a_phone(open_page):
    page = open_page(ErrorCloud(), viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        """[...document.querySelectorAll('.hit, button, input')].map(e => e.getBoundingClientRect())
            .map(b => Math.min(b.width, b.height))"""
    )
    assert min(sizes) >= 24
    x, y = centre(handle(page, "S1 plate, back corner").locator(".dot"))
    touch = page.context.new_cdp_session(page)
    for kind, dy in (("touchStart", 0), ("touchMove", 9), ("touchMove", 18), ("touchEnd", None)):
        points = [] if dy is None else [{"x": x, "y": y + dy}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expected = np.zeros((6, 2))
    expected[1, 1] = 18 / px_per_mm(page)
    np.testing.assert_allclose(get(page)["moved_mm"], expected, atol=0.02)
    assert_true(page)
    assert page.evaluate("window.scrollY") == 0


def test_the_keyboard_reaches_and_moves_everything(open_page):
    page = open_page(ErrorCloud())
    reached = []
    for _ in range(19):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
            )
        )
    sliders = ["S1 front", "S1 back", "L1 corners", "Heads"]
    sliders = [f"{name}, SD of a slip" for name in sliders] + ["S1 steeper", "Picture height", "S1 length"]
    raters = ["Sure hand", "Shaky hand", "Front of S1 only", "Back of S1 only"]
    assert reached == [*DRAWN, *raters, *sliders, "Read again", "Reset"]
    front = handle(page, HANDLES[0])
    front.focus()
    for key in ("ArrowLeft", "ArrowDown", "ArrowDown", "Shift+ArrowDown"):
        page.keyboard.press(key)
    np.testing.assert_allclose(get(page)["moved_mm"][0], [-0.5, 6.0], atol=1e-9)
    off = angles_of(STANDING + np.eye(6)[:, :1] * [-0.5, 6.0]) - angles_of(STANDING)
    says = front.get_attribute("aria-valuetext")
    assert says == f"SS {shown(page)[1][0]}°, error +{off[0]:.1f}°; moved 0.5 mm left, 6.0 mm down"
    assert_true(page)
    far = handle(page, HANDLES[5])
    far.focus()
    for key in ("ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    assert far.get_attribute("aria-valuetext").endswith("; moved 0.5 mm right, 0.5 mm up")
    assert far.get_attribute("aria-valuetext").startswith(f"PT {shown(page)[1][1]}°, error ")
    assert_true(page)
    for name, key, field, value in (
        ("S1 back, SD of a slip", "ArrowRight", "slip_mm", [1, 1.1, 1, 2]),
        ("S1 steeper", "ArrowRight", "steeper_deg", 0.5),
        ("Picture height", "ArrowLeft", "stretch", 0.99),
    ):
        page.get_by_role("slider", name=name, exact=True).focus()
        page.keyboard.press(key)
        assert get(page)[field] == pytest.approx(value)
        assert_true(page)


def test_a_mark_stays_under_its_lens_and_off_its_partner(open_page):
    page = open_page(ErrorCloud(), viewport={"width": 1280, "height": 900})
    for name, keys in (("Near femoral head", "Shift+ArrowLeft"), (HANDLES[0], "Shift+ArrowUp")):
        handle(page, name).focus()
        for _ in range(30):
            page.keyboard.press(keys)
        dot, film = centre(handle(page, name).locator(".dot")), page.locator(".film").bounding_box()
        assert film["x"] < dot[0] < film["x"] + film["width"] and film["y"] < dot[1]
    page.get_by_role("button", name="Reset").click()
    there, start = (
        centre(handle(page, HANDLES[1]).locator(".dot")),
        centre(handle(page, HANDLES[0]).locator(".dot")),
    )
    page.mouse.move(*start)
    page.mouse.down()
    for share in np.linspace(0, 1, 40):
        page.mouse.move(*(start + share * (there - start)))
    page.mouse.up()
    apart = np.hypot(*np.subtract(*(STANDING + get(page)["moved_mm"])[:2]))
    assert 4 < apart < 6
    assert_true(page)
    assert "NaN" not in page.locator(".lumbo-slips").inner_html()


def test_the_buttons_choose_a_rater_and_read_again(open_page):
    page = open_page(ErrorCloud(seed=7))
    assert page.locator("caption").inner_text() == "Errors of 200 readings by this rater"
    before = shown(page)[3]
    page.get_by_role("button", name="Read again").click()
    assert get(page)["seed"] == 8
    assert (shown(page)[3][:, 1] != before[:, 1]).any()
    np.testing.assert_array_equal(shown(page)[3][:, 2], before[:, 2])  # the formula knows no seed
    sin_pi = np.sin(np.radians(angles_of(STANDING)[2]))
    for name, slip, steeper, r in (
        ("Sure hand", [1, 1, 1, 2], 4, None),
        ("Shaky hand", [2, 2, 2, 4], 0, 0.0),
        ("Front of S1 only", [1.4, 0, 0, 0], 0, sin_pi),
        ("Back of S1 only", [0, 1.4, 0, 0], 0, -sin_pi),
    ):
        rater = page.get_by_role("button", name=name)
        rater.click()
        assert rater.get_attribute("aria-pressed") == "true"
        assert page.locator("[aria-pressed=true]").count() == 1
        assert (get(page)["slip_mm"], get(page)["steeper_deg"]) == (slip, steeper)
        assert_true(page)
        if r is not None:
            found = re.search(r"first order (.*)\.$", shown(page)[4])
            assert number(found[1]) == pytest.approx(r, abs=0.0051)
    page.get_by_role("button", name="Reset").click()
    assert (get(page)["seed"], get(page)["slip_mm"]) == (7, [1, 1, 1, 2])


def test_a_shorter_plate_costs_more_degrees(open_page):
    page = open_page(ErrorCloud())
    before = shown(page)[3]
    slider = page.get_by_role("slider", name="S1 length")
    slider.evaluate("input => { input.value = 18; input.dispatchEvent(new Event('input')); }")
    points = np.array(get(page)["landmarks"])
    assert np.hypot(*(points[0] - points[1])) == pytest.approx(18)
    np.testing.assert_allclose(angles_of(points), angles_of(STANDING), atol=1e-9)
    assert_true(page)
    length = np.hypot(*(STANDING[0] - STANDING[1]))
    assert shown(page)[3][0, 2] / before[0, 2] == pytest.approx(length / 18, rel=0.05)
    np.testing.assert_allclose(shown(page)[3][1], before[1], atol=0.11)  # PT hangs on another lever


def test_a_rater_who_never_slips_has_no_spread(open_page):
    page = open_page(ErrorCloud(slip_mm=(0, 0, 0, 0), steeper_deg=3))
    np.testing.assert_array_equal(shown(page)[3], [[3, 0, 0], [0, 0, 0], [3, 0, 0], [3, 0, 0]])
    assert shown(page)[4] == "Errors of SS and PT: correlation –, first order –."
    assert "NaN" not in page.locator(".lumbo-slips").inner_html()


def test_marks_that_coincide_show_a_dash(open_page):
    moved = np.zeros((6, 2))
    moved[0] = STANDING[1] - STANDING[0]
    page = open_page(ErrorCloud(moved_mm=moved))
    back = STANDING[1] - hip_axis(STANDING)
    pt = f"{np.degrees(np.arctan2(back[0], -back[1])):.1f}°"
    assert page.locator("[data-read]").all_inner_texts() == ["–", pt, "–", "–"]
    assert "error –" in page.locator(".reading small").first.text_content()
    assert "NaN" not in page.locator(".lumbo-slips").inner_html()


def test_the_sentence_counts_the_wrong_angles(open_page):
    moved = np.zeros((6, 2))
    page = open_page(ErrorCloud(moved_mm=moved))
    assert "Your marks lie on the landmarks." in shown(page)[-1]
    for index, way, many in ((0, [0, 6], "all four angles are"), (2, [0, 6], "one angle is"),
                             (4, [6, 0], "2 of the four angles are")):  # fmt: skip
        moved[:] = 0
        moved[index] = way
        page.evaluate("m => document.querySelector('.lumbo-static').lumbo.set('moved_mm', m)", moved.tolist())
        assert f"Your marks are off: {many} wrong. Still PT + SS = " in shown(page)[-1]
        assert_true(page)


def test_figures_on_one_page_stay_apart(open_page):
    states = random_states(3, seed=8)
    page = open_page(*(ErrorCloud(**state) for state in states))
    assert page.locator(".lumbo-static > figure:visible").count() == 0
    before = [get(page, k) for k in range(3)]
    handle(page, HANDLES[2], 1).focus()
    page.keyboard.press("ArrowUp")
    assert [get(page, k) != before[k] for k in range(3)] == [False, True, False]
    for k in range(3):
        assert_true(page, k)
    panels = page.locator(
        ".lumbo-slips > .panel"
    )  # each figure brings the common style: its own must win over all
    aligned = panels.evaluate_all("all => all.map(panel => getComputedStyle(panel).alignSelf)")
    assert set(aligned) == {"start"}
