"""The Film figure: its Python side, and its JavaScript driven in a headless browser.

The oracle of every film on the page is the renderer itself: `radiograph.expose` and `processing.develop`, with the
matter of the figure's patient and the noise that the renderer draws.  Where the figure leaves the renderer's two
energies, or its noise, the test sets these in the renderer.
"""

import base64
import io
import json
import re
import zlib
from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image
from wires import from_browser, wired

from lumbo.errors import InputError
from lumbo.films import hospitals, processing, radiograph
from lumbo.films.radiograph import Scanner
from lumbo.films.variety import Setting, Variety
from lumbo.pages import darkroom
from lumbo.pages.darkroom import LIMITS, Film

TAKEN = ("photons", "scatter", "grid", "heel", "blur_mm", "compress", "edge", "window", "gamma")
CHAPTER = darkroom.rooms()["chapter"]["settings"]
KEV = np.log([43.8, 65.9])


def random_settings(n: int, seed: int) -> list[dict]:
    """Draw n settings: every number anywhere in its range, logarithms where the page has them."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        one = {name: rng.uniform(*LIMITS[name]) for name in TAKEN if name != "window"}
        for name in ("photons", "gamma"):
            one[name] = float(np.exp(rng.uniform(*np.log(LIMITS[name]))))
        found.append(
            one
            | {
                "window": [rng.uniform(*LIMITS["low"]), rng.uniform(*LIMITS["high"])],
                "energy_kev": None if rng.random() < 0.4 else rng.uniform(43.8, 65.9),
                "noise": bool(rng.random() < 0.75),
                "inverted": bool(rng.random() < 0.5),
                "anterior": str(rng.choice(["left", "right"])),
            }
        )
    return found


ROOMS = [room["settings"] for room in darkroom.rooms().values()]
ENDS = [
    CHAPTER | {name: LIMITS[name][end] for name in TAKEN if name != "window"} | {"window": window}
    for end, window in enumerate(([0.0, 0.8], [0.5, 0.998]))
]
FEWEST = CHAPTER | {
    "photons": 10.0,
    "scatter": 10.0,
    "grid": 1.0,
}  # so few that one photon is a floor of a hundredth
EVERY = [*ROOMS, *ENDS, FEWEST, *random_settings(21, seed=1)]


def renderer(settings: dict, **other) -> tuple[torch.Tensor, torch.Tensor]:
    """Return signal and grey levels (0 to 1, bone bright) as the renderer makes them of the same matter."""
    who, settings = darkroom._patient(), settings | other
    scanner = replace(darkroom.ROOM, **{name: settings[name] for name in TAKEN})
    vary = Variety(np.random.default_rng(7), Setting(dial=0))
    with pytest.MonkeyPatch.context() as patch:
        if settings["energy_kev"] is not None:
            at = np.log(settings["energy_kev"])
            soft, cortex = (
                float(np.exp(np.interp(at, KEV, np.log(values))))
                for values in ((0.02609, 0.02061), (0.10529, 0.05312))
            )
            patch.setattr(radiograph, "WEIGHTS", (1.0, 0.0))
            patch.setattr(radiograph, "SOFT", (soft, soft))
            patch.setattr(radiograph, "BONE", (cortex - soft,) * 2)
        if not settings["noise"]:
            patch.setattr(radiograph, "_noise", lambda shape, rng: torch.zeros(shape))
        signal = radiograph.expose(who.matter, scanner, who.exposure, vary)
    return signal[0], processing.develop(signal.clone(), scanner, who.exposure, vary)[0]


def stored(settings: dict) -> np.ndarray:
    """Return the renderer's film as the page shows it, uint8."""
    grey = renderer(settings)[1].mul(255).round().to(torch.uint8).numpy()
    side, inverted = np.array([settings["anterior"]]), np.array([settings["inverted"]])
    return radiograph.present(grey[None], side, inverted)[0]


def read_off(settings: dict) -> dict[str, float]:
    """Return the numbers of the figure, from films of the renderer alone."""
    who, (rows, columns) = darkroom._patient(), radiograph._chamber(darkroom._patient().exposure)
    grey, clean = (
        255 * renderer(settings, noise=on)[1].double().numpy() for on in (settings["noise"], False)
    )
    mean = {name: grey[box].mean() for name, box in (("l3", who.l3), ("beside", who.beside))}
    plain = {"noise": False, "blur_mm": 0, "photons": 1e6}
    lit = renderer(settings, **plain)[0][rows, columns].double().mean()
    both, straight = (
        renderer(settings, **plain, heel=0, scatter=scatter)[0][rows, columns].double().mean()
        for scatter in (settings["scatter"], 0)
    )
    found = {name: 255 - value if settings["inverted"] else value for name, value in mean.items()}
    noise = (grey - clean)[who.l3].std()
    return found | {
        "noise": noise,
        "open_beam": settings["photons"] / float(lit),
        "scatter": float(both / straight) - 1,
    }


# --- without a browser --------------------------------------------------------------------


@pytest.mark.parametrize("settings", EVERY)
def test_python_draws_the_film_of_the_renderer_and_reads_it(settings):
    figure = Film(**settings)
    off = abs(figure.film.astype(int) - stored(settings))
    assert off.max() <= 1 and (off > 0).mean() < 1e-3
    expected = read_off(settings)
    assert figure.readings.keys() == expected.keys()
    for name, value in figure.readings.items():
        assert value == pytest.approx(expected[name], rel=2e-3, abs=0.02), name


def test_every_film_starts_in_the_room_of_the_chapter():
    figure = Film()
    assert figure.settings == CHAPTER and figure.room == "chapter"
    assert CHAPTER["photons"] == 40_000 and CHAPTER["window"] == [0.06, 0.99]
    rows = darkroom._patient().l3[0]
    assert rows.start < figure.line_px < rows.stop


def test_a_room_takes_films_as_its_hospital_does():
    for name, where in hospitals.hospitals().items():
        settings = Film(name).settings
        for field in TAKEN:
            value = settings[field]
            assert (tuple(value) if field == "window" else value) == getattr(where.scanner, field)


def test_what_is_measured_lies_inside_l3_and_in_front_of_it():
    who = darkroom._patient()
    bone, soft = who.matter[1, 0].numpy(), who.matter[0, 0].numpy()
    assert bone[who.l3].min() > 2 and abs(bone[who.beside]).max() < 0.5
    assert soft[who.beside].min() > 100
    assert who.l3[0] == who.beside[0] and who.beside[1].stop < who.l3[1].start


def test_the_collimator_leaves_the_film_open():
    assert processing._inside(darkroom._patient().exposure, 1).min() == 1  # so the page knows no border


def test_ranges_are_those_of_a_scanner_or_narrower():
    hints = get_type_hints(Scanner, include_extras=True)
    for name, (low, high) in LIMITS.items():
        if name == "energy_kev":
            continue
        own = hints["window" if name in ("low", "high") else name].__metadata__[0]
        assert own.low <= low < high <= own.high
        if name not in ("photons", "compress", "gamma", "low", "high"):
            assert (low, high) == (own.low, own.high)


@pytest.mark.parametrize("name, beyond", [("compress", 0.9), ("low", 0.7), ("high", 0.9999)])
def test_beyond_a_narrower_range_the_renderer_changes_nothing(name, beyond):
    index = {"low": 0, "high": 1}.get(name)

    def with_value(value):
        if index is None:
            return CHAPTER | {name: value}
        return CHAPTER | {"window": [value if i == index else old for i, old in enumerate(CHAPTER["window"])]}

    assert torch.equal(renderer(with_value(LIMITS[name][1]))[1], renderer(with_value(beyond))[1])


def test_the_two_energies_are_those_of_the_renderer():
    assert darkroom.beam(None) == list(zip(radiograph.WEIGHTS, radiograph.SOFT, radiograph.BONE))
    for energy, soft, more in zip(darkroom.ENERGIES_KEV, radiograph.SOFT, radiograph.BONE):
        np.testing.assert_allclose(darkroom.beam(energy), [(1, soft, more)], rtol=1e-12)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"room": "ash"}, "room: got 'ash'; allowed: one of chapter, aspen"),
        ({"line_px": 512}, "line_px: got 512; allowed: a whole number from 0 to 511"),
        ({"line_px": 1.5}, "line_px: got 1.5"),
        ({"photons": 1}, "settings.photons: got 1; allowed: a number from 10 to 1e"),
        ({"photons": float("nan")}, "settings.photons: got nan"),
        ({"scatter": 11}, "settings.scatter: got 11; allowed: a number from 0 to 10"),
        ({"grid": 0}, "settings.grid: got 0; allowed: a number from 1 to 20"),
        ({"heel": 0.7}, "settings.heel: got 0.7; allowed: a number from 0 to 0.6"),
        ({"blur_mm": -1}, "settings.blur_mm: got -1"),
        ({"compress": 0.8}, "settings.compress: got 0.8; allowed: a number from 0 to 0.7"),
        ({"edge": "much"}, "settings.edge: got 'much'"),
        ({"gamma": 0}, "settings.gamma: got 0; allowed: a number from 0.5 to 5"),
        ({"window": [0.6, 0.99]}, "settings.window.low: got 0.6; allowed: a number from 0 to 0.5"),
        ({"window": [0.1, 1.0]}, "settings.window.high: got 1.0; allowed: a number from 0.8 to 0.998"),
        ({"window": 0.1}, r"settings.window: got 0.1; allowed: \[low, high\]"),
        ({"energy_kev": 70}, "settings.energy_kev: got 70; allowed: a number from 43.8 to 65.9"),
        ({"noise": 1}, "settings.noise: got 1; allowed: true or false"),
        ({"inverted": "no"}, "settings.inverted: got 'no'"),
        ({"anterior": "up"}, "settings.anterior: got 'up'; allowed: one of left, right"),
        ({"kvp": 85}, "settings.kvp: got 85; allowed: one of anterior"),
    ],
)
def test_refuses_what_no_room_can_do(arguments, message):
    with pytest.raises(InputError, match=f"^{message}"):
        Film(**arguments)


def test_a_bad_setting_changes_nothing():
    figure = Film(photons=300)
    for bad in (CHAPTER | {"grid": 0}, {"photons": 300}, None, [1]):
        with pytest.raises(InputError, match="^settings"):
            figure.settings = bad
    assert repr(figure) == "Film('chapter', photons=300.0)"


def test_the_payload_holds_the_matter_within_a_hundredth_of_a_grey_level():
    payload, who = darkroom.payload(), darkroom._patient()
    assert len(json.dumps(payload)) < 1_500_000
    layers = {"soft": who.matter[0, 0], "bone": who.matter[1, 0], "noise": who.noise[0]}
    for name, layer in layers.items():
        packed = payload[name]
        whole = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), "<u2").reshape(512, 416)
        np.testing.assert_allclose(
            packed["low"] + packed["step"] * whole, layer, rtol=0, atol=0.51 * packed["step"] + 1e-6
        )
        assert packed["step"] < 0.005


@pytest.mark.parametrize("room, changes", [("chapter", {}), ("elm", {"photons": 20, "inverted": True})])
def test_without_scripts_a_still_picture_stays(room, changes):
    figure = Film(room, **changes)
    page = figure._repr_mimebundle_()[0]["text/html"]
    assert len(page) <= 200_000
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    stripped = re.sub(r"<(script|noscript|svg)\b.*?</\1>", "", page, flags=re.S)
    assert "A still picture: to change it, the page must run scripts" in stripped
    found = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)" width="416"', stripped)
    png = base64.b64decode(found[1])
    assert len(png) <= 90_000
    small = np.asarray(Image.open(io.BytesIO(png)), dtype=float)
    halves = figure.film.reshape(256, 2, 208, 2).mean((1, 3))
    assert abs(small - halves).max() <= 0.5
    readings = figure.readings
    assert f"{readings['l3']:.0f} in L3, {readings['beside']:.0f} in front of it" in found[2]
    assert found[2].endswith(f", noise {readings['noise']:.1f}")


def test_no_number_of_the_chapters_alt_text_lies_near_a_rounding_border():
    """It is compared exactly, also with what another processor computes."""
    readings = Film().readings
    for name, decimals in (("l3", 0), ("beside", 0), ("noise", 1)):
        places = readings[name] * 10**decimals
        assert abs(places % 1 - 0.5) >= 0.05, name


def test_a_still_picture_develops_once_with_noise_and_once_without(monkeypatch):
    made, develop = [], processing.develop
    monkeypatch.setattr(processing, "develop", lambda *given: made.append(1) or develop(*given))
    Film().still()
    assert len(made) == 2


@pytest.fixture
def wire():
    return wired(Film())


def test_python_and_the_browser_move_each_other(wire):
    figure, sent = wire
    figure.settings = CHAPTER | {"photons": 100.0}
    assert sent[-1]["state"]["settings"]["photons"] == 100.0
    from_browser(figure, {"settings": CHAPTER | {"gamma": 2.0}, "room": "elm", "line_px": 300})
    assert (figure.settings["gamma"], figure.room, figure.line_px) == (2.0, "elm", 300)
    from_browser(figure, {"settings": {"gamma": 9}})
    from_browser(figure, {"room": "nowhere"})
    from_browser(figure, {"line_px": -1})
    assert (figure.settings["gamma"], figure.room, figure.line_px) == (2.0, "elm", 300)


def test_a_kernel_answers_with_the_matter(wire):
    figure, sent = wire
    figure.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": {"load": "darkroom"}}}, "buffers": []}
    )
    assert sent[-1]["content"]["loaded"] == "darkroom"
    assert sent[-1]["content"]["payload"]["shape"] == [512, 416]


# --- in a browser, from a file, with the network off --------------------------------------

BOX = "document.querySelectorAll('.lumbo-static')"


def film(page, figure=0):
    """Return the film on the screen, (512, 416) uint8."""
    packed = page.evaluate(
        f"""figure => {{
            const canvas = {BOX}[figure].querySelector('canvas');
            const {{data}} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let text = '';
            for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
            return btoa(text);
        }}""",
        figure,
    )
    return np.frombuffer(base64.b64decode(packed), np.uint8).reshape(512, 416)


def put(page, figure=0, **fields):
    page.evaluate(
        f"([figure, fields]) => Object.entries(fields).forEach(([key, value]) => {BOX}[figure].lumbo.set(key, value))",
        [figure, fields],
    )


def state(page, figure=0):
    names = "['room', 'settings', 'line_px']"
    return page.evaluate(
        f"figure => Object.fromEntries({names}.map(name => [name, {BOX}[figure].lumbo.get(name)]))", figure
    )


def shown(page, figure=0):
    """Return the readings on the screen as numbers, {name: (now, room)}; None for a dash."""
    cells = page.locator(".lumbo-static").nth(figure).locator("[data-reading]")
    texts = dict(cells.evaluate_all("all => all.map(cell => [cell.dataset.reading, cell.innerText])"))
    numbers = {key: None if text == "–" else float(text.replace(",", "")) for key, text in texts.items()}
    names = dict.fromkeys(key.split()[0] for key in numbers)
    return {name: (numbers[f"{name} now"], numbers[f"{name} room"]) for name in names}


def assert_film(found, settings):
    """The film is that of the renderer; return the share of pixels that are one grey level off."""
    off = abs(found.astype(int) - stored(settings))
    assert off.max() <= 2 and (off > 1).mean() < 1e-3, (off.max(), (off > 1).mean(), settings)
    return (off > 0).mean()


def test_the_film_is_that_of_the_renderer_for_every_room_and_for_chance_settings(open_page):
    page, shares = open_page(Film()), []
    for settings in EVERY:
        put(page, settings=settings)
        shares.append(assert_film(film(page), settings))
    # Only what lies between two grey levels, but where a pixel lies between patient and air: then all move a little.
    assert np.median(shares) < 2e-3 and np.mean(shares) < 0.02


def test_the_readings_are_those_of_the_renderer(open_page):
    page = open_page(Film())
    for name, room in list(darkroom.rooms().items())[::3]:
        put(page, room=name, settings=room["settings"])
        assert_readings(page, room["settings"], room["settings"])
    for settings in random_settings(6, seed=2):
        put(page, settings=settings)
        assert_readings(page, settings, room["settings"])


def assert_readings(page, settings, room):
    for which, each in enumerate((settings, room | {"anterior": settings["anterior"]})):
        expected = read_off(each)
        expected["apart"] = abs(expected["l3"] - expected["beside"])
        found = {name: values[which] for name, values in shown(page).items()}
        for name in ("l3", "beside", "apart", "noise"):
            assert found[name] == pytest.approx(expected[name], abs=0.08), name
        assert found["openBeam"] == pytest.approx(expected["open_beam"], rel=0.006)
        assert found["photons"] == pytest.approx(each["photons"], rel=0.006)
        assert found["scattered"] == pytest.approx(expected["scatter"], abs=0.006)
        if each["noise"]:
            times = expected["apart"] / expected["noise"]
            assert found["times"] == pytest.approx(times, abs=0.06, rel=0.02)
        else:
            assert found["times"] is None


def test_the_words_say_whether_l3_stands_out(open_page):
    page, said = open_page(Film()), lambda: page.locator(".says > output").inner_text()
    apart, times = (shown(page)[name][0] for name in ("apart", "times"))
    differ = f"L3 and the tissue in front of it differ by {apart:.1f} grey levels"
    assert said() == f"This is the room's film: {differ}, {times:.1f} times the noise."
    put(page, settings=CHAPTER | {"photons": 100})
    assert said().startswith(
        "L3 stands out less than in the room's film: L3 and the tissue in front of it differ by "
    )
    put(page, settings=CHAPTER | {"photons": 400_000})
    assert said().startswith("L3 stands out more than in the room's film: ")
    put(page, settings=CHAPTER | {"heel": 0.11})
    assert said().startswith("L3 stands out as much as in the room's film: ")
    put(page, settings=CHAPTER | {"noise": False})
    assert said().endswith("without noise.")
    assert page.locator("canvas").get_attribute("aria-label").endswith(said())
    assert "NaN" not in page.locator(".lumbo-darkroom").inner_html()


SLIDERS = {
    "Energy": "energy_kev",
    "Photons per mm²": "photons",
    "Scatter": "scatter",
    "Grid": "grid",
    "Heel": "heel",
    "Blur": "blur_mm",
    "Black": "low",
    "White": "high",
    "Flattening": "compress",
    "Edges": "edge",
    "Gamma": "gamma",
}


def test_the_keyboard_moves_every_slider_and_only_its_setting(open_page):
    page = open_page(Film())
    end = {"low": 0, "high": 1}
    for label, name in SLIDERS.items():
        box = page.get_by_role("slider", name=label, exact=True)
        for key, index in (("Home", 0), ("End", 1), ("ArrowLeft", None)):
            put(page, settings=CHAPTER | {"energy_kev": 50.0})
            box.focus()
            page.keyboard.press(key)
            settings = state(page)["settings"]
            Film(**settings)  # refuses what is none
            value = settings["window"][end[name]] if name in end else settings[name]
            low, high = LIMITS[name]
            assert value == pytest.approx([low, high][index]) if index is not None else low <= value < high
            field = "window" if name in end else name
            rest = {key: one for key, one in settings.items() if key != field}
            assert rest == {key: one for key, one in (CHAPTER | {"energy_kev": 50.0}).items() if key != field}
            assert box.get_attribute("aria-valuetext")
        assert_film(film(page), settings)


def test_the_page_says_what_the_patient_and_the_grid_leave_out(open_page):
    page = open_page(Film())
    says = page.locator(".lumbo-darkroom .panel .help").inner_text()
    assert "A real grid also stops part of the straight photons; ours does not." in says and "slim" in says
    heel = page.get_by_role("slider", name="Heel").get_attribute("aria-description")
    assert heel.endswith("the anode is at the head end")
    top, bottom = (renderer(CHAPTER, heel=0.6, noise=False)[0][rows, :4].mean() for rows in (0, -1))
    assert top < bottom  # the head is at the top


def test_tab_reaches_everything_in_order(open_page):
    page = open_page(Film())
    names = []
    for _ in range(20):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "(e => e.getAttribute('aria-label') ?? (e.labels?.[0]?.querySelector('span').innerText || e.innerText))"
                "(document.activeElement)"
            )
        )
    switches = ["Two energies", "Noise", "Bone dark", "Faces right"]
    assert names[:19] == [
        "Row of the profile",
        "Room",
        "Hold to see the room's film",
        "Reset",
        *SLIDERS,
        *switches,
    ]


def test_the_switches(open_page):
    page = open_page(Film())
    changed = {
        "Noise": {"noise": False},
        "Bone dark": {"inverted": True},
        "Faces right": {"anterior": "right"},
        "Two energies": {"energy_kev": 43.8},
    }
    expected = dict(CHAPTER)
    for name, change in changed.items():
        made = page.get_by_role("button", name=name, exact=True)
        before = made.get_attribute("aria-pressed")
        made.focus()
        page.keyboard.press("Enter")
        expected |= change
        assert state(page)["settings"] == expected
        assert {before, made.get_attribute("aria-pressed")} == {"true", "false"}
        assert_film(film(page), expected)
    page.get_by_role("button", name="Two energies").click()
    assert state(page)["settings"]["energy_kev"] is None
    energy = page.get_by_role("slider", name="Energy")
    assert energy.get_attribute("aria-valuetext") == "two, as in the room"


def test_another_room_keeps_the_view_and_reset_brings_all_back(open_page):
    start = Film("dogwood", line_px=77, photons=50)
    page = open_page(start)
    put(page, settings=start.settings | {"anterior": "right", "inverted": True, "gamma": 3})
    page.locator("select").select_option("fir")
    fir = darkroom.rooms()["fir"]["settings"] | {"anterior": "right", "inverted": True}
    assert state(page) == {"room": "fir", "settings": fir, "line_px": 77}
    assert_film(film(page), fir)
    page.get_by_role("button", name="Reset").click()
    assert state(page) == {"room": "dogwood", "settings": start.settings, "line_px": 77}
    assert_film(film(page), start.settings)


def test_holding_shows_the_film_of_the_room_from_the_same_side(open_page):
    page = open_page(Film(), viewport={"width": 1280, "height": 900})
    mine = CHAPTER | {"photons": 60, "anterior": "right", "inverted": True}
    theirs = CHAPTER | {"anterior": "right"}
    put(page, settings=mine)
    peek = page.get_by_role("button", name="Hold to see the room's film")
    box = peek.bounding_box()
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    for press, release in (
        (page.mouse.down, page.mouse.up),
        (lambda: page.keyboard.down("Space"), lambda: page.keyboard.up("Space")),
        (lambda: page.keyboard.down("Enter"), lambda: page.keyboard.up("Enter")),
        (lambda: page.keyboard.down("Space"), lambda: page.locator("select").focus()),
    ):
        peek.focus()
        press()
        assert_film(film(page), theirs)
        assert page.locator(".badge").is_visible() and peek.get_attribute("aria-pressed") == "true"
        release()
        assert_film(film(page), mine)
        assert page.locator(".badge").is_hidden() and peek.get_attribute("aria-pressed") == "false"
    assert state(page)["settings"] == mine


def profile(page, name):
    """Grey levels of a curve, from column 26 on."""
    d = page.locator(f".profile path.{name}").get_attribute("d")
    points = np.array(re.findall(r"[\d.]+", d), float).reshape(-1, 2)
    np.testing.assert_allclose(points[:, 0], np.arange(26, 416) + 0.5)
    return 255 * (1 - (points[:, 1] - 8) / 100)


@pytest.mark.parametrize("anterior", ["left", "right"])
def test_the_profile_is_a_row_of_the_film_and_of_the_rooms(open_page, anterior):
    settings = CHAPTER | {"photons": 200, "anterior": anterior, "inverted": True}
    page = open_page(Film(**settings))
    for row in (0, 170, 300, 511):
        put(page, line_px=row)
        np.testing.assert_allclose(profile(page, "now"), film(page)[row, 26:], atol=0.02)
        usual = stored(CHAPTER | {"anterior": anterior})[row, 26:]
        np.testing.assert_allclose(profile(page, "usual"), usual, atol=1.1)


def test_the_line_follows_the_mouse_and_the_keys(open_page):
    page = open_page(Film(), viewport={"width": 1280, "height": 900})
    line, start = page.get_by_role("slider", name="Row of the profile"), state(page)["line_px"]
    canvas = page.locator("canvas").bounding_box()
    assert canvas["width"] >= 420
    scale = canvas["width"] / 416
    x, y = canvas["x"] + 200, canvas["y"] + (start + 0.5) * scale
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 5, y + 60)
    page.mouse.move(x + 9, y + 120)
    page.mouse.up()
    assert abs(state(page)["line_px"] - start - 120 / scale) <= 1
    line.focus()
    before = state(page)["line_px"]
    for key in ("ArrowUp", "Shift+ArrowUp", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert state(page)["line_px"] == before - 10
    assert line.get_attribute("aria-valuetext") == f"row {before - 9} of 512"
    for _ in range(60):
        page.keyboard.press("Shift+ArrowUp")
    assert state(page)["line_px"] == 0


def test_a_finger_on_a_phone(open_page):
    page = open_page(Film(), viewport={"width": 360, "height": 760}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for target in page.locator(".lumbo-darkroom :is(button, input, select)").all():
        assert target.bounding_box()["height"] >= 24
    hit = page.locator(".line .hit").bounding_box()
    assert hit["height"] >= 24
    start, touch = state(page)["line_px"], page.context.new_cdp_session(page)
    x, y = hit["x"] + 100, hit["y"] + hit["height"] / 2
    for kind, dy in (("touchStart", 0), ("touchMove", 40), ("touchMove", 80), ("touchEnd", None)):
        points = [] if dy is None else [{"x": x, "y": y + dy}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    scale = page.locator("canvas").bounding_box()["width"] / 416
    assert abs(state(page)["line_px"] - start - 80 / scale) <= 1
    assert page.evaluate("window.scrollY") == 0
    peek = page.get_by_role("button", name="Hold to see the room's film")
    peek.scroll_into_view_if_needed()
    box, badge = peek.bounding_box(), page.locator(".badge")
    for kind, points in (("touchStart", [{"x": box["x"] + 20, "y": box["y"] + 20}]), ("touchEnd", [])):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert badge.is_visible() == (kind == "touchStart")
    page.get_by_role("slider", name="Flattening").scroll_into_view_if_needed()
    assert page.locator("canvas").bounding_box()["y"] >= 0  # the film stays beside its controls


def test_the_slider_says_its_result_at_the_end_of_a_drag(open_page):
    page = open_page(Film(), viewport={"width": 1280, "height": 900})
    output = page.locator(".says > output")
    box = page.get_by_role("slider", name="Photons per mm²").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    assert output.get_attribute("aria-busy") == "true"
    page.mouse.up()
    assert output.get_attribute("aria-busy") is None
    settings = state(page)["settings"]
    assert 100 < settings["photons"] < 1000
    assert_film(film(page), settings)


def test_figures_on_one_page_stay_apart(open_page):
    figures = [Film(), Film("elm", line_px=30, anterior="right")]
    page = open_page(*figures)
    for number, figure in enumerate(figures):
        expected = {"room": figure.room, "settings": figure.settings, "line_px": figure.line_px}
        assert state(page, number) == expected
        assert_film(film(page, number), figure.settings)
    put(page, 1, settings=CHAPTER | {"photons": 99})
    assert_film(film(page, 0), CHAPTER)
    panels = page.locator(
        ".lumbo-darkroom > .panel"
    )  # each figure brings the common style: its own must win over all
    aligned = panels.evaluate_all("all => all.map(panel => getComputedStyle(panel).alignSelf)")
    assert set(aligned) == {"flex-start"}


def test_without_its_data_a_sentence_says_so_and_the_picture_stays(browser, tmp_path):
    file = tmp_path / "page.html"
    html = Film()._repr_mimebundle_()[0]["text/html"]
    file.write_text(f'<!doctype html><meta charset="utf-8">{html}', encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_text(
        "The film could not be loaded: it comes with the book, or with a running kernel."
    ).wait_for()
    page.wait_for_selector(".lumbo-darkroom[data-without]")
    assert page.locator(".lumbo-static > figure img").is_visible()
    context.close()


def test_without_scripts_or_with_a_broken_module_the_picture_stays(browser, tmp_path):
    html = Film()._repr_mimebundle_()[0]["text/html"]
    for number, (scripts, module) in enumerate(
        [(False, html), (True, html.replace("export default", "export nothing", 1))]
    ):
        file = tmp_path / f"page{number}.html"
        file.write_text(f'<!doctype html><meta charset="utf-8">{module}', encoding="utf-8")
        context = browser.new_context(offline=True, java_script_enabled=scripts)
        page = context.new_page()
        page.goto(file.as_uri())
        page.locator(".lumbo-static > div").wait_for(state="detached")
        assert page.locator(".lumbo-static figure img").is_visible()
        assert page.locator(".lumbo-darkroom").count() == 0
        context.close()
