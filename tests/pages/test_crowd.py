"""The Population figure: its Python side, and its JavaScript driven in a headless browser.

The oracles are NumPy's Cholesky root, its means, SDs and correlations, the formulas of the chapter, and
`data_synth/cohorts.toml` itself; none shares code with the figure.
"""

import json
import re
import tomllib
from importlib.resources import files
from math import isqrt
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from wires import from_browser, wired

from lumbo.angles import ANGLES, lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import populations
from lumbo.pages.crowd import COUNT, PAIRS, Population, allowed
from lumbo.pages.slips import normals

FIELDS = ("cohort", "mean_deg", "sd_deg", "r", "above_deg", "versus", "seed")
ROUNDING = {1: 0.05 + 1e-6, 2: 0.005 + 1e-6}


def together(r):
    """The table of correlations of PI, PT and LL."""
    return np.array([[1, r[0], r[1]], [r[0], 1, r[2]], [r[1], r[2], 1]])


def random_states(n: int, seed: int) -> list[dict]:
    """Draw n states, correlations up to the edge of what can occur together."""
    rng, states = np.random.default_rng(seed), []
    while len(states) < n:
        r = rng.uniform(-0.99, 0.99, 3).round(2)
        if np.linalg.eigvalsh(together(r)).min() < 1e-6:
            continue
        states.append(
            {
                "cohort": str(rng.choice(populations.cohort_names())),
                "mean_deg": rng.uniform([-10, 25, 0], [40, 90, 90]).tolist(),
                "sd_deg": rng.uniform(1, 20, 3).tolist(),
                "r": r.tolist(),
                "above_deg": rng.uniform(20, 100),
                "versus": str(rng.choice(["PT", "LL"])),
                "seed": int(rng.integers(2**31)),
            }
        )
    return states


def title_of(cohort: str) -> str:
    """What the page calls a cohort: as the table does, but in plain words."""
    return populations.cohort(cohort).title.replace("Asymptomatic", "Healthy")


def people(state):
    """SS, PT, PI, LL (400, 4) by the chapter's recipe, with NumPy's root."""
    mixed = normals(state["seed"], (COUNT, 3)) @ np.linalg.cholesky(together(state["r"])).T
    pi, pt, ll = (np.array(state["mean_deg"])[[1, 0, 2]] + np.array(state["sd_deg"])[[1, 0, 2]] * mixed).T
    return np.stack([pi - pt, pt, pi, ll], -1)


def put_in(state):
    """Means, SDs (4,) and correlations by pair, as the numbers imply them."""
    pt, pi, ll = state["mean_deg"]
    s_pt, s_pi, s_ll = state["sd_deg"]
    pi_pt, pi_ll, pt_ll = state["r"]
    s_ss = np.sqrt(s_pi**2 + s_pt**2 - 2 * pi_pt * s_pi * s_pt)
    r = {"PI and SS": (s_pi - pi_pt * s_pt) / s_ss, **dict(zip(PAIRS, state["r"]))}
    return np.array([pi - pt, pt, pi, ll]), np.array([s_ss, s_pt, s_pi, s_ll]), r


# --- without a browser --------------------------------------------------------------------


def test_starts_with_the_healthy_adults_of_the_table():
    table = tomllib.loads(files("data_synth").joinpath("cohorts.toml").read_text(encoding="utf-8"))
    figure, who = Population(), table["healthy_adults"]
    assert figure.mean_deg == [who[angle]["mean"] for angle in ("pt", "pi", "ll")]
    assert figure.sd_deg == [who[angle]["sd"] for angle in ("pt", "pi", "ll")]
    assert figure.r == [who["pt"]["r_pi"], who["ll"]["r_pi"], who["ll"]["r_pt"]]
    for name in populations.cohort_names():
        known = figure.cohorts[name]
        assert known["sources"] == [table[name][angle]["source"] for angle in ("pt", "pi", "ll")]
        assert Population(name).mean_deg == known["mean_deg"] and known["title"] == title_of(name)
    assert figure.cohorts["healthy_adults"]["title"] == "Healthy adults"


def test_draws_what_was_ordered():
    for state in random_states(300, seed=1):
        np.testing.assert_allclose(Population(**state).angles_deg, people(state), atol=1e-6)
    figure = Population()
    mean, sd, _ = put_in({field: getattr(figure, field) for field in FIELDS})
    angles = figure.angles_deg
    assert (abs(angles.mean(0) - mean) < 4 * sd / np.sqrt(COUNT)).all()
    assert (abs(angles.std(0) / sd - 1) < 4 / np.sqrt(2 * COUNT)).all()
    np.testing.assert_array_equal(figure.chosen, angles[:, 2] >= 65)


def test_what_is_allowed_is_what_has_no_negative_variance():
    rng = np.random.default_rng(2)
    for _ in range(2000):
        r, k = rng.uniform(-0.99, 0.99, 3).round(2), int(rng.integers(3))
        low, high = allowed(r, k)
        assert -0.99 <= low <= high <= 0.99
        for value, inside in ((low, True), (high, True), (low - 0.01, False), (high + 0.01, False)):
            trial = r.copy()
            trial[k] = value
            if abs(value) <= 0.99:
                least = np.linalg.eigvalsh(together(trial)).min()
                assert least > -1e-12 if inside else least < 1e-12


def exact_limits(one: int, two: int) -> list[float]:
    """What `allowed` must be beside two correlations in hundredths, by whole numbers alone."""
    reach = isqrt((10_000 - one**2) * (10_000 - two**2))
    low, high = -((reach - one * two) // 100), (one * two + reach) // 100
    return [max(low, -99) / 100, min(high, 99) / 100]


PAIRS_OF_HUNDREDTHS = [(one, two) for one in range(-99, 100) for two in range(-99, 100)]


def test_no_limit_of_a_correlation_stands_on_the_noise_of_floating_point():
    assert allowed((0.6, 0.8, 0.0), 2) == (0.0, 0.96)
    for one, two in PAIRS_OF_HUNDREDTHS:
        assert list(allowed((one / 100, two / 100, 0.0), 2)) == exact_limits(one, two), (one, two)


def test_correlations_at_the_edge_are_drawn_too():
    for low_or_high in (0, 1):
        r = [0.67, 0.59, allowed((0.67, 0.59, 0.24), 2)[low_or_high]]
        angles = Population(r=r).angles_deg
        assert np.isfinite(angles).all()
        found = np.corrcoef(angles[:, 1:].T)
        assert found[0, 2] == pytest.approx(r[2], abs=0.12)
    exact = [0.6, 0.8, 0.0]  # 0.6² + 0.8² = 1: LL is fixed by PI and PT
    assert np.linalg.matrix_rank(np.cov(Population(r=exact).angles_deg[:, 1:].T), tol=1e-6) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cohort": "children"}, "cohort: got 'children'; allowed: one of healthy_adults"),
        ({"mean_deg": (13, 53)}, r"mean_deg: got \(2,\); allowed: numbers of shape \(3,\)"),
        ({"mean_deg": (13, 200, 52)}, r"mean_deg\[1\]: got 200.0; allowed: a number from -60 to 130"),
        ({"sd_deg": (0, 10, 11)}, r"sd_deg\[0\]: got 0.0; allowed: a number from 0.1 to 40"),
        ({"sd_deg": (7, np.nan, 11)}, r"sd_deg\[1\]: got nan; allowed"),
        ({"r": (0.67, 0.59)}, r"r: got \(2,\); allowed"),
        ({"r": (1.0, 0.5, 0.5)}, r"r\[0\]: got 1.0; allowed: a number from -0.99 to 0.99"),
        (
            {"r": (0.67, 0.59, -0.3)},
            "r: PT and LL: got -0.3; allowed: from -0.20 to 0.99 beside 0.67 and 0.59",
        ),
        ({"r": (0.9, -0.9, 0.5)}, "r: PT and LL: got 0.5; allowed: from -1.00 to -0.62 beside 0.9 and -0.9"),
        ({"r": "all"}, "r: got .*; allowed: real numbers"),
        ({"above_deg": 200}, "above_deg: got 200; allowed: a number from 0 to 130"),
        ({"versus": "SS"}, "versus: got 'SS'; allowed: one of PT, LL"),
        ({"seed": -1}, "seed: got -1; allowed: a whole number from 0"),
    ],
)
def test_refuses_what_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        Population(**arguments)
    figure = Population()
    for field, value in arguments.items():
        with pytest.raises(InputError, match=message):
            setattr(figure, field, value)
    assert repr(figure) == repr(Population())


def test_output_is_small_holds_the_state_and_no_address():
    state = random_states(1, seed=3)[0]
    data, _ = Population(**state)._repr_mimebundle_()
    page = data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert page == Population(**state)._repr_mimebundle_()[0]["text/html"]
    assert len(page.encode()) < 200_000
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)|\bid=""", page)
    payload = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert payload["state"].pop("cohorts") == Population().cohorts
    assert payload["state"] == state


@pytest.mark.parametrize("state", [{}, {"above_deg": 130}, *random_states(4, seed=4)])
def test_without_scripts_a_still_picture_and_its_numbers_stay(state):
    figure = Population(**state)
    page = figure._repr_mimebundle_()[0]["text/html"]
    stripped = re.sub(r"<(script|noscript|svg)\b.*?</\1>", "", page, flags=re.S)
    assert "A still picture of 400 patients" in stripped and "Not for clinical use" in stripped
    said = re.search(r'<img src="data:image/svg\+xml,([^"]+)" alt="([^"]+)"', stripped)
    mean, sd, r = put_in({field: getattr(figure, field) for field in FIELDS})
    chosen = figure.angles_deg[figure.angles_deg[:, 2] >= figure.above_deg]
    assert f"correlation {r['PI and ' + figure.versus]:.2f}. {len(chosen)} have".replace("-", "−") in said[2]
    if len(chosen):
        far = ((chosen.mean(0) - mean) / sd)[[2, ANGLES.index(figure.versus)]]
        found = re.search(r"on average ([−\d.]+) SD from the mean in PI, ([−\d.]+) SD in", said[2])
        np.testing.assert_allclose([number(text) for text in found.groups()], far, atol=ROUNDING[2])
    picture = unquote(said[1])
    assert sum(node.get("d", "").count("h0") for node in ElementTree.fromstring(picture).iter()) == COUNT
    assert not re.search(r"\d\.\d\d", picture)  # rounded, so that every processor draws the same


@pytest.fixture
def wire():
    return wired(Population())


def test_python_moves_the_browser_and_the_browser_moves_python(wire):
    figure, sent = wire
    figure.r = (0.5, 0.5, 0.5)
    assert sent[-1] == {"method": "update", "state": {"r": [0.5, 0.5, 0.5]}, "buffer_paths": []}
    state = random_states(1, seed=5)[0]
    from_browser(figure, state)
    assert {field: getattr(figure, field) for field in FIELDS} == state
    np.testing.assert_allclose(figure.angles_deg, people(state), atol=1e-6)
    from_browser(figure, {"r": [0.67, 0.59, -0.9]})
    from_browser(figure, {"versus": "SS"})
    assert {field: getattr(figure, field) for field in FIELDS} == state


# --- in a browser, from a file, with the network off --------------------------------------


def number(text):
    return float(text.rstrip("°").replace("−", "-"))


def get(page, figure=0):
    model = page.locator(".lumbo-static").nth(figure)
    return model.evaluate(f"box => Object.fromEntries({list(FIELDS)}.map(f => [f, box.lumbo.get(f)]))")


# What the page shows: its state, the two tables, the sentence.
READ = """(box => [Object.fromEntries(FIELDS.map(f => [f, box.lumbo.get(f)])),
    [...box.querySelectorAll('td')].map(({dataset: d, textContent}) => [
        d.angleIn ?? d.angleDrawn ?? d.pairIn ?? d.pairDrawn, 'angleIn' in d || 'pairIn' in d, textContent]),
    box.querySelector('.says').textContent])""".replace("FIELDS", str(list(FIELDS)))


def assert_true(page, figure=0):
    """Every number on the page is what NumPy computes from the state as it stands."""
    assert_shown_is_true(*page.locator(".lumbo-static").nth(figure).evaluate(READ))


def assert_shown_is_true(state, texts, says):
    angles, (mean, sd, r) = people(state), put_in(state)
    assert len(texts) == 16
    for name, is_in, text in texts:
        if name in ANGLES:
            column = angles[:, ANGLES.index(name)]
            right = (
                (mean[ANGLES.index(name)], sd[ANGLES.index(name)]) if is_in else (column.mean(), column.std())
            )
            found, decimals = [number(part) for part in text.split(" ± ")], 1
        else:
            one, two = (ANGLES.index(part) for part in name.split(" and "))
            right = [r[name] if is_in else np.corrcoef(angles[:, one], angles[:, two])[0, 1]]
            found, decimals = [number(text)], 2
        np.testing.assert_allclose(found, right, rtol=0, atol=ROUNDING[decimals], err_msg=name)
    name, chosen = state["versus"], angles[angles[:, 2] >= state["above_deg"]]
    if not len(chosen):
        assert says == f"Nobody has a PI of {state['above_deg']:.0f}° or more."
        return
    far = ((chosen.mean(0) - mean) / sd)[[2, ANGLES.index(name)]]
    found = re.fullmatch(
        r"(\d+) of 400 are chosen\. In PI they lie ([\d.]+) SD (above|below) the mean, in (..) ([\d.]+) SD "
        r"(above|below) the mean\. The regression line says r × (\S+) = (\S+) × (\S+) = (\S+) SD\.",
        says,
    )
    assert int(found[1]) == len(chosen) and found[4] == name
    sign = {"above": 1, "below": -1}
    told = [sign[found[3]] * float(found[2]), sign[found[6]] * float(found[5])]
    np.testing.assert_allclose(told, far, rtol=0, atol=ROUNDING[2])
    slope = r[f"PI and {name}"]
    product = [number(found[k]) for k in (7, 8, 9, 10)]
    np.testing.assert_allclose(product, [far[0], slope, far[0], slope * far[0]], rtol=0, atol=ROUNDING[2])


def test_three_hundred_states_set_through_the_model(open_page):
    page, states = open_page(Population()), random_states(300, seed=6)
    assert_true(page)
    found = page.evaluate(
        """async states => {
            const box = document.querySelector('.lumbo-static'), found = [];
            for (const state of states) {
                Object.entries(state).forEach(([field, value]) => box.lumbo.set(field, value));
                await null; // the page may draw once, after all of them
                if (box.innerHTML.includes('NaN')) throw new Error('NaN');
                found.push(READ(box));
            }
            return JSON.stringify(found);
        }""".replace("READ", READ),
        states,
    )
    for state, one in zip(states, json.loads(found), strict=True):
        assert one[0] == state
        assert_shown_is_true(*one)


@pytest.fixture
def module(open_page):
    """A page and its figure's module, as `crowd`."""
    page = open_page(Population())
    page.evaluate(
        """async esm => {
            globalThis.crowd = await import(URL.createObjectURL(new Blob([esm], {type: 'text/javascript'})));
        }""",
        str(Population._esm),
    )
    return page


def test_the_patients_of_the_page_are_those_of_python(module):
    states = random_states(100, seed=7)
    drawn = module.evaluate(
        "states => JSON.stringify(states.map(s => crowd.people(s).map(p => [p.SS, p.PT, p.PI, p.LL])))",
        states,
    )
    for state, angles in zip(states, json.loads(drawn), strict=True):
        np.testing.assert_allclose(angles, Population(**state).angles_deg, rtol=0, atol=1e-9)


def test_page_and_python_allow_the_same(module):
    r = np.random.default_rng(8).uniform(-0.99, 0.99, (1000, 3)).round(2)
    found = module.evaluate("all => all.map(r => [0, 1, 2].map(k => crowd.allowed(r, k)))", r.tolist())
    expected = [[allowed(three, k) for k in range(3)] for three in r.tolist()]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    found = module.evaluate(
        "all => JSON.stringify(all.map(([a, b]) => crowd.allowed([a / 100, b / 100, 0], 2)))",
        PAIRS_OF_HUNDREDTHS,
    )
    assert json.loads(found) == [exact_limits(*pair) for pair in PAIRS_OF_HUNDREDTHS]


def points_of(d):
    return np.array(re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", d), float).reshape(-1, 2)


@pytest.mark.parametrize("state", [{}, *random_states(12, seed=9)])
def test_the_plot_shows_patients_lines_and_ellipse(open_page, state):
    figure = Population(**state)
    page = open_page(figure)
    state = {field: getattr(figure, field) for field in FIELDS}
    low, high = {"LL": (-10, 120), "PT": (-40, 70)}[figure.versus]
    scale = np.array([(336 - 32 - 8) / 100, -(290 - 22 - 8) / (high - low)])
    degrees = lambda d: (points_of(d) - [32, 290 - 22]) / scale + [10, low]  # noqa: E731
    d = {kind: page.locator(f".plot svg path.{kind}").last.get_attribute("d")
         for kind in ("given", "back", "ellipse", "centre", "found", "limit")}  # fmt: skip
    dots = [degrees(page.locator(".plot .dots").nth(k).get_attribute("d"))[::2] for k in (0, 1)]
    k = ANGLES.index(figure.versus)
    angles, (mean, sd, r) = people(state), put_in(state)
    chosen = angles[:, 2] >= figure.above_deg
    for found, rows in zip(dots, (~chosen, chosen)):
        np.testing.assert_allclose(found, angles[rows][:, [2, k]], atol=0.01)
    slope = r[f"PI and {figure.versus}"]
    for kind, right in (("given", slope * sd[k] / sd[2]), ("back", sd[k] / (slope * sd[2]))):
        (x1, y1), (x2, y2) = degrees(d[kind])
        assert np.arctan2(y2 - y1, x2 - x1) % np.pi == pytest.approx(np.arctan(right) % np.pi, abs=0.003)
        np.testing.assert_allclose([(x1 + x2) / 2, (y1 + y2) / 2], mean[[2, k]], atol=0.01)
    z = (degrees(d["ellipse"]) - mean[[2, k]]) / sd[[2, k]]
    inverse = np.linalg.inv([[1, slope], [slope, 1]])
    np.testing.assert_allclose(np.sum(z @ inverse * z, -1), 5.991, rtol=0.05)  # chi square of 2 at 95 %
    np.testing.assert_allclose(degrees(d["centre"])[:-1].mean(0), mean[[2, k]], atol=0.01)
    assert degrees(d["limit"])[:, 0] == pytest.approx(figure.above_deg, abs=0.01)
    if chosen.any():
        np.testing.assert_allclose(
            degrees(d["found"])[:-1].mean(0), angles[chosen][:, [2, k]].mean(0), atol=0.01
        )


@pytest.mark.parametrize("state", [{}, *random_states(6, seed=10)])
def test_each_drawn_spine_has_the_angles_of_its_patient(open_page, state):
    figure = Population(**state)
    page = open_page(figure)
    angles = figure.angles_deg[figure.angles_deg[:, 2].argsort()][4::10]
    assert page.locator(".cell").count() == len(angles) == 40
    shapes = page.evaluate("""[...document.querySelectorAll('.cell')].map(cell => [
        cell.querySelector('.plates').getAttribute('d'), cell.querySelector('.head').getAttribute('d'),
        cell.querySelector('text').textContent, cell.classList.contains('chosen')])""")
    for (plates, head, text, chosen), right in zip(shapes, angles):
        s1_front, s1_back, l1_front, l1_back = points_of(plates)
        hips = points_of(head)[:-1].mean(0)
        landmarks = np.stack([s1_front, s1_back, l1_front, l1_back, hips, hips])
        found = lumbopelvic_angles(landmarks, "left")
        np.testing.assert_allclose(
            (found - right + 180) % 360 - 180, 0, atol=0.6
        )  # drawn to a hundredth of a unit
        assert number(text) == pytest.approx(right[2], abs=ROUNDING[1])
        assert chosen == (right[2] >= figure.above_deg)


def slide(page, name, value):
    slider = page.get_by_role("slider", name=name, exact=True)
    slider.evaluate(
        """(input, value) => {
            input.value = value;
            input.dispatchEvent(new Event('input', {bubbles: true}));
            input.dispatchEvent(new Event('change', {bubbles: true}));
        }""",
        value,
    )
    return slider


def test_impossible_correlations_are_refused_in_words(open_page):
    page, rng, refused = open_page(Population()), np.random.default_rng(11), 0
    moves = [[int(rng.integers(3)), round(rng.uniform(-1, 1), 2)] for _ in range(300)]
    found = page.evaluate(
        """async moves => {
            const box = document.querySelector('.lumbo-static'), found = [];
            const sliders = box.querySelectorAll('.tied input'), refused = box.querySelector('.refused');
            for (const [k, value] of moves) {
                const before = box.lumbo.get('r');
                sliders[k].value = value;
                sliders[k].dispatchEvent(new Event('input', {bubbles: true}));
                sliders[k].dispatchEvent(new Event('change', {bubbles: true}));
                await null; // drawn
                found.push([before, box.lumbo.get('r'), sliders[k].value, refused.textContent]);
            }
            return found;
        }""",
        moves,
    )
    two = lambda v: f"{v:.2f}".replace("-", "−")  # noqa: E731
    for (k, value), (before, after, shown, says) in zip(moves, found, strict=True):
        low, high = allowed(before, k)
        expected = list(before)
        expected[k] = min(max(value, low), high)
        assert after == pytest.approx(expected) and float(shown) == pytest.approx(expected[k])
        Population(r=after)  # Python takes what the page holds
        if low <= value <= high:
            assert says == ""
            continue
        refused += 1
        others = " and ".join(f"r of {PAIRS[i]} {two(before[i])}" for i in range(3) if i != k)
        assert says == f"Not possible: beside {others}, r of {PAIRS[k]} lies from {two(low)} to {two(high)}."
    assert 60 < refused < 240
    assert_true(page)
    rooms = page.locator(".room").evaluate_all(
        "all => all.map(s => [s.style.left, s.style.width].map(parseFloat))"
    )
    for k, room in enumerate(rooms):
        low, high = allowed(get(page)["r"], k)
        assert room == pytest.approx([50 * (low + 1), 50 * (high - low)], abs=0.01)
    page.get_by_role("button", name="Reset").click()
    assert page.locator(".refused").inner_text() == ""
    assert get(page)["r"] == Population().r


def test_patients_move_smoothly_and_do_not_flicker(open_page):
    """The order of PI, and so who is drawn where, stays while sliders move."""
    page = open_page(Population())
    slide(page, "PI SD", 5.0)
    pi = [number(text) for text in page.locator(".cell text").all_text_contents()]
    expected = 53 + (np.sort(Population().angles_deg[:, 2])[4::10] - 53) * 5 / 10.5
    np.testing.assert_allclose(pi, expected, atol=ROUNDING[1])
    assert_true(page)


def test_every_control_sets_its_field(open_page):
    page = open_page(Population())
    for name, field, index in (
        *((f"{angle} mean", "mean_deg", i) for i, angle in enumerate(("PT", "PI", "LL"))),
        *((f"{angle} SD", "sd_deg", i) for i, angle in enumerate(("PT", "PI", "LL"))),
        ("Choose patients whose PI is at least", "above_deg", None),
    ):
        before = get(page)
        slider = page.get_by_role("slider", name=name, exact=True)
        slider.focus()
        page.keyboard.press("ArrowRight")
        after = get(page)
        step = 1 if index is None else 0.1
        was, now = (s[field] if index is None else s[field][index] for s in (before, after))
        assert now - was == pytest.approx(step), name
        assert [key for key in FIELDS if before[key] != after[key]] == [field]
        shown = f"{now:.0f}°" if index is None else f"{now:.1f}°"
        assert slider.get_attribute("aria-valuetext") == shown
        assert_true(page)
    assert "Forty of the 400 patients are shown" in page.locator(".help").inner_text()
    page.get_by_role("radio", name="PT").check()
    assert get(page)["versus"] == "PT"
    assert_true(page)
    seed = get(page)["seed"]
    page.get_by_role("button", name="Draw 400 new patients").click()
    assert get(page)["seed"] == seed + 1
    assert_true(page)
    page.get_by_role("button", name="Reset").click()
    assert get(page) == {field: getattr(Population(), field) for field in FIELDS}


def test_each_cohort_brings_its_numbers_and_their_sources(open_page):
    page = open_page(Population())
    for name in populations.cohort_names():
        page.get_by_role("combobox").select_option(name)
        known = Population(name)
        assert get(page) | {"seed": 0} == {field: getattr(known, field) for field in FIELDS} | {"seed": 0}
        assert_true(page)
        who = populations.cohort(name)
        text = page.locator("details").text_content()
        assert f"{title_of(name)}, as in data_synth/cohorts.toml:" in text
        for angle, law in (("PI", who.pi), ("PT", who.pt), ("LL", who.ll)):
            assert f"{angle}: {law['source']}." in text
    slide(page, "LL mean", 44)
    assert "then changed by hand:" in page.locator("details").text_content()


def test_nobody_is_above_the_largest(open_page):
    page = open_page(Population(above_deg=100, sd_deg=(3, 3, 3)))
    assert page.locator(".says").inner_text() == "Nobody has a PI of 100° or more."
    assert page.locator(".cell.chosen").count() == 0
    assert "NaN" not in page.locator(".lumbo-crowd").inner_html()


def test_mouse_finger_and_keys_on_a_phone(open_page):
    page = open_page(Population(), viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        """[...document.querySelectorAll('button, input[type=range], select, summary, .choices label')]
            .map(e => e.getBoundingClientRect()).map(b => Math.min(b.width, b.height))"""
    )
    assert min(sizes) >= 24
    slider = page.get_by_role("slider", name="Choose patients whose PI is at least")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    assert 35 < get(page)["above_deg"] < 45
    assert_true(page)
    box = slider.bounding_box()
    touch = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0.25), ("touchMove", 0.5), ("touchMove", 0.75), ("touchEnd", None)):
        at = {"x": box["x"] + (share or 0) * box["width"], "y": box["y"] + box["height"] / 2}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at] if share else []})
        if kind == "touchMove":
            assert page.locator(".says").get_attribute("aria-busy") == "true"
    assert page.locator(".says").get_attribute("aria-busy") is None
    assert 75 < get(page)["above_deg"] < 85
    assert_true(page)


def test_the_mouse_drags_a_slider_and_tab_reaches_every_control(open_page):
    page = open_page(Population(), viewport={"width": 1280, "height": 900})
    box = page.get_by_role("slider", name="PI mean").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.43, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    page.mouse.up()
    assert 65 < get(page)["mean_deg"][1] < 76
    assert_true(page)
    page.mouse.click(5, 5)
    names = []
    for _ in range(15):
        page.keyboard.press("Tab")
        names.append(page.evaluate("(e => e.ariaLabel ?? (e.innerText || e.type))(document.activeElement)"))
    laws = [f"{angle} {kind}" for angle in ("PT", "PI", "LL") for kind in ("mean", "SD")]
    ties = [f"r of {pair}" for pair in PAIRS]
    assert names[:2] == ["Choose patients whose PI is at least", "radio"]
    assert names[3:] == [*laws, *ties, "Draw 400 new patients", "Reset", "Where the numbers come from"]


def test_figures_on_one_page_stay_apart(open_page):
    states = random_states(3, seed=12)
    page = open_page(*(Population(**state) for state in states))
    assert page.locator(".lumbo-static > figure:visible").count() == 0
    page.locator(".lumbo-static").nth(1).get_by_role("button", name="Draw 400 new patients").click()
    assert [get(page, k) != states[k] for k in range(3)] == [False, True, False]
    for k in range(3):
        assert_true(page, k)
    panels = page.locator(
        ".lumbo-crowd > .panel"
    )  # each figure brings the common style: its own must win over all
    aligned = panels.evaluate_all("all => all.map(panel => getComputedStyle(panel).alignSelf)")
    assert set(aligned) == {"start"}
