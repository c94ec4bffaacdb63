"""Film statistics on films whose answer is known, the book's films beside real ones, and the yardstick."""

import json

import numpy as np
import pytest

from lumbo.errors import InputError
from lumbo.films import anatomy, calibration, hospitals, variety
from lumbo.films.calibration import film_statistics, marks, real_details, real_films, yardstick

SHAPE = 256, 208
FIRST_FIVE = list(hospitals.hospitals())[:5]  # aspen, birch, cedar, dogwood, elm: those with a cone


def rng(seed=0):
    return np.random.default_rng(seed)


def noise_films(slope, n=6):
    """Films whose power falls as frequency ** slope, drawn in the frequency domain."""
    frequency = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1]))
    amplitude = np.where(frequency > 0, np.maximum(frequency, 1e-9) ** (slope / 2), 0)
    return np.fft.irfft2(np.fft.rfft2(rng().standard_normal((n, *SHAPE))) * amplitude, SHAPE)


# ---------------------------------------------------------------- films with a known answer


@pytest.mark.parametrize("slope", [0.0, -1.0, -2.0, -2.5])
def test_slope_of_noise_with_a_known_spectrum(slope):
    """Clipping at the percentiles 0.5 and 99.5 and the window of the crop bend it by less than a tenth."""
    assert film_statistics(noise_films(slope))["slope"].mean() == pytest.approx(slope, abs=0.1)


def test_statistics_do_not_depend_on_the_grey_scale():
    films = noise_films(-2.0)
    one, other = film_statistics(films), film_statistics(7.0 + 1000.0 * films)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-9)


def test_percentiles_of_a_ramp():
    """A ramp holds each grey level equally often; half a percent at each end is clipped."""
    ramp = np.linspace(0, 1, SHAPE[0] * SHAPE[1]).reshape(1, *SHAPE)
    found = film_statistics(ramp)
    for percent in (10, 25, 50, 75, 90):
        expected = (percent / 100 - 0.005) / 0.99
        assert found[f"grey_{percent}"][0] == pytest.approx(expected, abs=1e-4)
    assert found["black"][0] == pytest.approx(0.005 + 0.03 * 0.99, abs=1e-4)


def test_lower_third_against_middle_third():
    films = np.zeros((2, 258, 208))
    films[0, 172:] = 1.0  # bright below
    films[1, 86:172] = 1.0  # bright in the middle
    np.testing.assert_allclose(film_statistics(films)["lower"], [1.0, -1.0])


def test_texture_of_stripes_is_what_is_left_of_them():
    """Stripes of period 3 are constant under a 9 x 9 mean: all of their SD remains."""
    stripes = np.tile(np.tile([0.0, 0.0, 1.0], 70)[: SHAPE[1]], (1, SHAPE[0], 1))
    expected = np.std(np.tile([0.0, 0.0, 1.0], 69))
    assert film_statistics(stripes)["texture"][0] == pytest.approx(expected, rel=0.02)


def test_texture_of_broad_structure_is_small():
    slow = np.tile(np.sin(np.linspace(0, 2 * np.pi, SHAPE[0]))[:, None], (1, 1, SHAPE[1]))
    assert film_statistics(slow)["texture"][0] < 0.005


def test_texture_agrees_with_a_filter_written_by_somebody_else():
    ndimage = pytest.importorskip("scipy.ndimage")
    films = rng(1).random((2, *SHAPE))
    low, high = np.percentile(films, (0.5, 99.5), axis=(1, 2), keepdims=True)
    scaled = np.clip((films - low) / (high - low), 0, 1)
    rest = scaled - ndimage.uniform_filter(scaled, (0, 9, 9), mode="nearest")
    np.testing.assert_allclose(film_statistics(films)["texture"], rest.std((1, 2)), rtol=1e-9)


def test_an_even_film_has_finite_statistics_but_no_spectrum():
    grain = noise_films(-2.0, 2)
    found = film_statistics(np.concatenate([grain, np.full((1, *SHAPE), 0.4)]))
    assert all(np.isfinite(values).all() for name, values in found.items() if name != "slope")
    assert np.isnan(found["slope"]).tolist() == [False, False, True]
    np.testing.assert_array_equal(
        found["slope"][:2], film_statistics(grain)["slope"]
    )  # the others are as they were


@pytest.mark.parametrize(
    "films, field",
    [
        (np.zeros((2, 128, 104)), "films"),  # too small for the spectrum
        (np.zeros((2, 256, 191)), "films"),
        (np.zeros((0, *SHAPE)), "films"),
        (np.zeros(SHAPE), "films"),
        (np.zeros((1, *SHAPE), bool), "films"),
        (np.zeros((1, *SHAPE), complex), "films"),
        (np.full((1, *SHAPE), np.nan), "films[0, 0, 0]"),
        (np.ma.masked_less(np.zeros((1, *SHAPE)), 1), "films[0, 0, 0]"),
        ("a film", "films"),
    ],
)
def test_films_that_cannot_be_measured_are_refused(films, field):
    with pytest.raises(InputError) as caught:
        film_statistics(films)
    assert caught.value.field == field


# ---------------------------------------------------------------- the book's films beside real ones


@pytest.fixture(scope="module")
def medians():
    """The median film of 64 test films of each hospital, statistic by statistic."""
    drawn = {name: hospitals.draw(hospitals.hospital(name), "test", 0, 0, 256).films for name in FIRST_FIVE}
    return {
        name: {what: np.median(values) for what, values in film_statistics(films / 255.0).items()}
        for name, films in drawn.items()
    }


def test_every_statistic_is_known_of_real_films(medians):
    assert FIRST_FIVE == ["aspen", "birch", "cedar", "dogwood", "elm"]
    assert all(set(found) == set(real_films()) for found in medians.values())
    assert all(known["low"] <= known["median"] <= known["high"] for known in real_films().values())


@pytest.mark.parametrize("what", real_films())
def test_the_median_film_of_three_hospitals_is_in_the_range_of_real_films(what, medians):
    known = real_films()[what]
    inside = [name for name, found in medians.items() if known["low"] <= found[what] <= known["high"]]
    assert len(inside) >= 3, {name: round(found[what], 3) for name, found in medians.items()}


def test_the_range_is_narrow_enough_to_exclude_something(medians):
    """What a careless phantom looks like: white noise, a checker board of boxes, an unexposed film."""
    boxes = np.kron(rng(2).random((1, 16, 13)), np.ones((1, 16, 16)))
    for films in (rng(3).random((1, *SHAPE)), boxes):
        found = film_statistics(films)
        outside = [w for w, k in real_films().items() if not k["low"] <= found[w][0] <= k["high"]]
        assert len(outside) >= 3


def test_what_else_is_known_of_real_films_is_complete():
    known, lumbar = real_details(), set(anatomy.LEVELS[:5])
    assert set(known) == {
        "plates", "grey_at_s1", "squares", "grid", "spacing", "vertebrae_labelled", "anatomy", "levels"
    }  # fmt: skip
    assert set(known["plates"]) == set(known["squares"]) == lumbar | {"S1"}
    assert set(known["anatomy"]) == lumbar | {"source"}
    for plate in known["plates"].values():
        assert 0 <= plate["clear"] <= 1
        assert all(
            plate[name]["p10"] < plate[name]["median"] < plate[name]["p90"] for name in ("peak", "contrast")
        )
    grid = known["grid"]
    for name in ("mean", "sd"):
        assert np.shape(grid[name]) == (len(grid["below"]), len(grid["behind"]))
    assert sum(known["vertebrae_labelled"]["share"]) == pytest.approx(1, abs=0.01)
    assert not set(known) & set(real_films())


# ---------------------------------------------------------------- the yardstick of hardness


def test_the_yardstick_has_bands_and_sources():
    stick = yardstick()
    assert [band["films"] for band in stick["bands"]] == [450, 1400]
    for band in stick["bands"]:
        for angle, (low, high) in band["degrees"].items():
            assert angle in ("SS", "PT", "LL") and 0 < low < high
    assert (
        stick["few_films"].keys() == {"15", "60", "120", "240", "480"}
        and min(stick["few_films"].values()) > 1
    )
    for study in stick["studies"]:
        assert study["source"].strip() and set(study["degrees"]) <= {"SS", "PT", "PI", "LL"}


# ---------------------------------------------------------------- the five marks


def measured(value=1.0, low=0.5, high=1.5):
    return {"value": value, "low": low, "high": high}


def file_of_marks(folder, **changes):
    """A file as `benchmarks/hardness.py collect` writes it, with other parts where they are given."""
    rows = {
        mark: [{"what": "a number", "mean_mm": measured(), "of": {"S1": measured()}}]
        for mark in calibration.MARKS
    }
    path = folder / "marks.json"
    path.write_text(json.dumps({"version": "2.0", "specs": "aa", "films": "bb", **rows, **changes}))
    return path


def test_marks_are_read(tmp_path):
    found = marks(file_of_marks(tmp_path, likeness=[{"what": "slope", **measured(-2.5, -2.6, -2.4)}]))
    assert found["few"][0]["mean_mm"]["value"] == 1.0 and found["likeness"][0]["low"] == -2.6


def test_the_stored_marks_are_complete_and_of_the_frozen_films():
    """Every mark, at every number of films, network and setting that the yardstick asks for."""
    stored, frozen = marks(), hospitals.frozen()
    assert (stored["version"], stored["specs"]) == (frozen["version"], frozen["specs"])
    few = {(row["network"], row["films"]): row["draws"] for row in stored["few"] if "films" in row}
    assert {n: few["plain", n] for n in (15, 60, 120, 150, 240, 480, 960)} == dict.fromkeys(
        (15, 60, 120, 150, 240, 480, 960), 3
    )
    assert {n for network, n in few if network == "book"} == {15, 150, 960}
    bands = {(row["network"], row["films"]) for row in stored["bands"]}
    assert bands == {(network, n) for network in ("plain", "book") for n in (450, 1400)}
    groups = {name.split(".")[0] for name in variety.factors()}
    settings = {"dial 1", "dial 1.5", *(f"without {group}" for group in groups)}
    assert {row["setting"] for row in stored["levels"]} == settings
    measured_on = {"films 1.0", "films 1.0, patched at 1.0", "films 1.0, patched at 1.5"}
    assert {(row["trained"], row["measured"]) for row in stored["other"]} == {
        (trained, kind) for trained in ("1.0", "2.0") for kind in measured_on
    }


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"version": ""}, "version"),
        ({"specs": 3}, "specs"),
        ({"few": {}}, "few"),
        ({"few": [3]}, r"few\[0\]"),
        ({"few": [{"mean_mm": measured()}]}, r"few\[0\].what"),
        ({"few": [{"what": "x", "mean_mm": {"value": 1.0, "low": 0.5}}]}, r"few\[0\].mean_mm.high"),
        ({"few": [{"what": "x", "mean_mm": measured(low=-1.0)}]}, r"few\[0\].mean_mm.low"),
        ({"few": [{"what": "x", "mean_mm": measured(low=2.0)}]}, r"few\[0\].mean_mm.high"),
        ({"levels": [{"what": "x", "S1": {"a_level": measured("a")}}]}, r"levels\[0\].S1.a_level.value"),
        ({"likeness": [{"what": "x", **measured(float("nan"))}]}, r"likeness\[0\].value"),
        ({"more": 1}, "more"),
    ],
)
def test_marks_that_are_none_are_refused(tmp_path, changes, named):
    with pytest.raises(InputError, match=named):
        marks(file_of_marks(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 9999])
def test_a_torn_file_of_marks_is_refused(tmp_path, text):
    path = tmp_path / "marks.json"
    path.write_text(text)
    with pytest.raises(InputError, match="marks.json"):
        marks(path)
