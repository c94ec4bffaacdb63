"""What a room makes of the counts: each step on flat or invented signals, and what varies from film to film."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from test_anatomy import vary
from test_radiograph import ROOM, exposure, rng
from test_variety import KEPT

from lumbo.films import processing, variety
from lumbo.films.processing import COMPRESS_MM, EDGE_MM, KNEE, SKIN

SHAPE = (128, 104)
STEPS = ("gamma", "black", "white", "local", "edge", "uneven", "text", "frame")


def alone(*names, dial=1.0, seed=0, **setting):
    """Factors of which only these of processing vary."""
    others = tuple(f"processing.{name}" for name in STEPS if name not in names)
    return vary(seed, dial=dial, without=others, **setting)


def develop(signal, room=ROOM, shot=None, factors=None):
    shot = shot or exposure(pixel_mm=3.0, shape=tuple(signal.shape[1:]), n=len(signal))
    return processing.develop(signal, room, shot, factors or vary(dial=0.0)).double().numpy()


def signal_of(density, n=1):
    return torch.exp(-torch.as_tensor(np.asarray(density, np.float32)))[None].expand(n, -1, -1).contiguous()


def ramp(n=1):
    """Signal whose density climbs evenly from left to right, 0.5 to 6."""
    return signal_of(np.linspace(0.5, 6, SHAPE[1]) + np.zeros((SHAPE[0], 1)), n)


def bent(grey):
    """The knee by hand: above it a hyperbolic tangent, with no step in slope, that nears white."""
    return np.where(grey < KNEE, grey, KNEE + (1 - KNEE) * np.tanh((grey - KNEE) / (1 - KNEE)))


# ---------------------------------------------------------------- one step after the other


def test_development_without_processing_is_linear_in_density_up_to_the_knee():
    """Black at the skin, whatever absorbs more is brighter, and bends from the knee on."""
    density = np.linspace(0.5, 6, SHAPE[1])
    grey = develop(ramp())[0, 64]
    low, high = (
        density[np.interp(share, [0, 1], [np.argmax(density > SKIN), 103]).astype(int)]
        for share in (0, 0.998)
    )
    np.testing.assert_allclose(grey, bent(((density - low) / (high - low)).clip(0)).clip(0, 1), atol=0.02)
    assert (np.diff(grey) >= 0).all() and grey[0] == 0


@pytest.mark.parametrize("window", [(0.05, 0.97), (0.2, 0.9), (0.0, 0.95)])
def test_the_window_makes_its_shares_of_the_patient_black_and_white(window):
    """Over the patient's pixels; the levels come from every 29th of them, hence the sampling error."""
    density = rng(3).gamma(9, 0.3, SHAPE) + SKIN + 0.1
    grey = develop(signal_of(density), replace(ROOM, window=window))
    white = KNEE + (1 - KNEE) * np.tanh(1)  # what reaches the upper level
    for found, share in (((grey == 0), window[0]), ((grey >= white), 1 - window[1])):
        error = 4.5 * np.sqrt(share * (1 - share) / (density.size / 29)) + 3 * 29 / density.size
        assert found.mean() == pytest.approx(share, abs=error)


def test_the_window_looks_at_the_patient_and_not_at_the_open_beam():
    """With nine tenths of open beam around it, the patient is developed as alone."""
    beside = torch.ones(1, 128, 1040)
    beside[:, :, :104] = ramp()
    wide = develop(beside)
    np.testing.assert_allclose(wide[:, :, :104], develop(ramp()), rtol=0, atol=0.03)
    assert wide[:, :, 104:].max() == 0


def test_the_window_looks_at_what_the_collimator_lets_through():
    """Metal beside the field does not darken what is inside."""
    signal = ramp()
    signal[:, :, 95:] = torch.exp(torch.tensor(-30.0))
    shot = exposure(pixel_mm=3.0, field_mm=(200, 300))
    inside = slice(24, 80)
    np.testing.assert_allclose(
        develop(signal, shot=shot)[:, 30:90, inside], develop(ramp(), shot=shot)[:, 30:90, inside]
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gamma_is_the_power_of_the_display(gamma):
    linear, powered = (develop(ramp(), replace(ROOM, gamma=g)) for g in (1, gamma))
    np.testing.assert_allclose(powered, linear**gamma, atol=1e-5)


def detail():
    """Density with a broad hill, a narrow ridge and an edge, 3 mm a pixel."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    hill = 1.5 * np.exp(-((rows - 64) ** 2 + (columns - 52) ** 2) / (2 * 25**2))
    return 2.0 + hill + 0.3 * (abs(columns - 30) < 2) + 0.5 * (rows > 90)


@pytest.mark.parametrize(("compress", "edge"), [(0.0, 1.0), (0.4, 0.0), (0.6, 1.5)])
def test_equalisation_and_edges_against_gaussians(compress, edge):
    """Density, plus what is finer than 4 mm, less a share of what is wider than 30 mm; then the window, up to its knee.

    Two free numbers, the levels of black and white, are fitted.
    """
    density, pixel = detail(), 3.0
    grey = develop(signal_of(density), replace(ROOM, compress=compress, edge=edge))[0]
    fine, broad = (gaussian_filter(density, mm / pixel, mode="nearest") for mm in (EDGE_MM, COMPRESS_MM))
    expected = density + edge * (density - fine) - compress * broad
    inner = np.zeros(SHAPE, bool)
    inner[30:-30, 30:-30] = True
    inner &= (grey > 0.02) & (grey < KNEE)
    scale, level = np.polyfit(expected[inner], grey[inner], 1)
    np.testing.assert_allclose(grey[inner], level + scale * expected[inner], rtol=0, atol=0.03)
    assert np.corrcoef(grey[inner], density[inner])[0, 1] < 0.999  # both steps are seen


def test_a_room_shows_no_more_equalisation_than_it_can():
    """Seven tenths is the limit."""
    most, more = (develop(ramp(), replace(ROOM, compress=share)) for share in (0.7, 1.0))
    np.testing.assert_array_equal(most, more)


# ---------------------------------------------------------------- border, frame and text


def lies_outside(shot, i=0):
    """Pixels whose centre lies outside the field."""
    rows, columns = (abs(np.arange(size) - (size - 1) / 2) * shot.pixel_mm[i] for size in shot.shape)
    width, height = shot.field_mm[i]
    return (rows[:, None] > height / 2) | (columns > width / 2)


def test_nothing_is_shown_more_than_a_pixel_outside_the_field():
    """Each film has its own field, whose edge is soft over a pixel and a half."""
    shot = exposure(pixel_mm=3.0, n=3)
    shot = replace(shot, field_mm=np.array([[200.0, 300], [150, 250], [280, 200]]))
    grey = develop(ramp(3), shot=shot)
    for i in range(3):
        grown = replace(shot, field_mm=shot.field_mm + 2 * 1.5 * 3.0)
        assert not grey[i][lies_outside(grown, i)].any() and lies_outside(grown, i).any()
        assert grey[i][~lies_outside(shot, i)].max() > 0.9


def test_a_frame_lightens_only_what_lies_outside_the_field():
    shot = exposure(pixel_mm=3.0, n=400, field_mm=(200, 300))
    plain, framed = (develop(ramp(400), shot=shot, factors=alone(*names)) for names in ((), ("frame",)))
    inside = ~lies_outside(replace(shot, field_mm=shot.field_mm + 2 * 1.5 * 3.0))
    core = ~lies_outside(replace(shot, field_mm=shot.field_mm - 2 * 1.5 * 3.0))
    np.testing.assert_array_equal(framed[:, core], plain[:, core])
    level = framed[:, ~inside]
    np.testing.assert_array_equal(level, level[:, :1] * np.ones(level.shape[1]))  # of one grey
    there, rate = level[:, 0] > 0, variety.factors()["processing.frame"]["rate"]
    assert there.mean() == pytest.approx(rate, abs=4.5 * np.sqrt(rate * (1 - rate) / 400))
    assert 0.4 <= level[there].min() and level[there].max() <= 1


@pytest.mark.parametrize("long_side_px", [128, 320])
def test_text_is_bright_and_stands_at_the_upper_or_lower_edge(long_side_px):
    """Against the same films without: nothing grows darker, and only at its rate, in a band at one edge."""
    shape, n = (long_side_px, long_side_px * 13 // 16), 100
    shot = exposure(pixel_mm=400 / long_side_px, shape=shape, n=n)
    signal = signal_of(np.linspace(0.5, 6, shape[1]) + np.zeros((shape[0], 1)), n)
    plain, written = (develop(signal, shot=shot, factors=alone(*names)) for names in ((), ("text",)))
    assert (written >= plain).all() and written.max() <= 1
    rows = (written != plain).any(2)
    there, rate = rows.any(1), variety.factors()["processing.text"]["rate"]
    assert there.any() and there.mean() == pytest.approx(rate, abs=4.5 * np.sqrt(rate * (1 - rate) / n))
    line = 7 * max(1, round(long_side_px / 300))  # pixels high
    for film in np.flatnonzero(there):
        found = np.flatnonzero(rows[film])
        upper, lower = found.max() < 0.02 * shape[0] + 4 * line, found.min() > 0.97 * shape[0] - 4 * line
        assert upper != lower


def test_figures_can_be_read():
    """Every sign of every form is there, no two figures are alike, and a 4 is a 4."""
    figures = processing._figures()
    forms = {sign for kind in processing._FORMS for form in kind for sign in form}
    assert forms - {"#", "@"} <= set(figures) and set("0123456789") <= set(figures)
    assert len({figures[sign].tobytes() for sign in "0123456789"}) == 10
    four = ["0000", "1010", "1010", "1110", "0010", "0010", "0000"]
    np.testing.assert_array_equal(figures["4"], [[float(bit) for bit in row] for row in four])


def test_text_is_plausible():
    """No two lines of a kind; days and months that exist."""
    kinds = {
        "date": r"[01]\d\.0[1-9]\.20\d\d",
        "time": r"\d\d:\d\d(:0\d)?",
        "number": r"\d{6}|\d{5}-\d\d",
        "voltage": "[78].? KV",
        "name": "L LAT|STANDING",
    }
    seen = set()
    for seed in range(300):
        lines = processing._lines(np.random.default_rng(seed))
        found = [next(kind for kind, form in kinds.items() if re.fullmatch(form, line)) for line in lines]
        assert 1 <= len(found) == len(set(found)) <= 3
        assert not any(line.startswith("00.") for line in lines)
        seen |= set(found)
    assert seen == set(kinds)


# ---------------------------------------------------------------- from film to film


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_gamma_varies_by_its_factor_as_the_room_says(spread):
    """The logarithm of a power, read from one grey level."""
    n, room = 400, replace(ROOM, spread=spread)
    middle = develop(ramp(n), room, factors=alone("gamma"))[:, 64, 52]
    gammas = np.log(middle) / np.log(develop(ramp())[0, 64, 52])
    expected = spread * np.sqrt(KEPT) * variety.factors()["processing.gamma"]["between"]
    assert np.log(gammas).std() == pytest.approx(expected, rel=4.5 / np.sqrt(2 * n))


def test_the_share_of_black_varies_by_its_factor():
    n, room = 300, replace(ROOM, spread=1.0, window=(0.25, 1.0))
    density = rng(3).gamma(9, 0.3, SHAPE) + SKIN + 0.1
    black = (develop(signal_of(density, n), room, factors=alone("black")) == 0).mean((1, 2))
    spec = variety.factors()["processing.black"]
    assert black.mean() == pytest.approx(0.25 + spec["mean"], abs=0.02)
    assert black.std() == pytest.approx(np.sqrt(KEPT) * spec["between"], rel=0.25)


def test_the_unevenness_is_slow_and_multiplies():
    """Where it is uneven by a share, so is the grey, over a quarter of the film."""
    room, density = replace(ROOM, spread=1.0), np.full(SHAPE, 3.0)
    density[:, 52:] = 3.2
    density[:2], density[-2:] = 1.0, 6.0
    plain, uneven = (develop(signal_of(density), room, factors=alone(*names)) for names in ((), ("uneven",)))
    share = uneven[0, 8:-8] / plain[0, 8:-8]
    np.testing.assert_allclose(
        share[:, 51], share[:, 52], atol=0.01
    )  # not the object's: alike across its edge
    assert abs(share - 1).max() < 4 * variety.factors()["processing.uneven"]["within"] and share.std() > 0.005
    assert abs(np.diff(share, axis=0)).max() < 0.02


@pytest.mark.parametrize("names", [(name,) for name in STEPS])
def test_every_step_varies_from_film_to_film(names):
    room = replace(ROOM, spread=1.0, window=(0.1, 0.95), compress=0.3, edge=1.0, gamma=1.1)
    signal, shot = signal_of(detail(), 60), exposure(pixel_mm=3.0, n=60, field_mm=(290, 370))
    films, still = (develop(signal, room, shot, alone(*varied)) for varied in (names, ()))
    assert (films != still).any((1, 2)).mean() > (0.01 if names[0] in ("text", "frame") else 0.95)
    np.testing.assert_array_equal(still, still[:1] * np.ones((60, 1, 1)))


def test_a_room_without_spread_develops_every_film_alike_but_for_text_and_frames():
    films = develop(
        signal_of(detail(), 20), ROOM, factors=alone("gamma", "black", "white", "local", "edge", "uneven")
    )
    np.testing.assert_array_equal(films, films[:1] * np.ones((20, 1, 1)))


@pytest.mark.parametrize("first", [1, 7])
def test_the_first_films_are_the_same_for_any_number(first):
    """All steps at work on twenty films, or on the first of them."""
    room = replace(ROOM, spread=1.3, window=(0.1, 0.95), compress=0.3, edge=1.0)
    often = {f"processing.{name}": 1.0 for name in ("text", "frame")}
    shot = exposure(pixel_mm=3.0, n=20, field_mm=(250, 330))
    every = develop(signal_of(detail(), 20), room, shot, vary(3, scores=often))
    few = develop(signal_of(detail(), first), room, shot, vary(3, scores=often))
    np.testing.assert_array_equal(few, every[:first])
    assert len({film.tobytes() for film in every}) == 20
