"""Plates and vertebrae on invented films whose answer is known, and on films 1.0, of which it was stated."""

import numpy as np
import pytest

from lumbo.errors import InputError
from lumbo.films import anatomy, hospitals, plates
from lumbo.films_1 import hospitals as hospitals_1

HEIGHT, WIDTH, LONG = 128, 112, 30.0
TURNED = [0.0, 25.0, -40.0]  # degrees by which the invented plates fall towards the back


def invented(draw):
    """Three films whose grey is `draw` of the place along and across a plate, in plate lengths; and the plates."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    off = np.stack([x - 55.3, y - 61.8], -1)
    films, ends = [], []
    for degrees in TURNED:
        along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        across = np.array([-along[1], along[0]])
        films.append(draw(off @ along / LONG, off @ across / LONG))
        ends.append([55.3, 61.8] + np.outer([-0.5, 0.5], LONG * along))
    return np.stack(films), np.stack(ends)


def test_a_film_is_read_as_somebody_else_reads_it():
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(0)
    films, points = rng.random((2, 9, 7)), rng.uniform(-3, 12, (2, 5, 4, 2))
    theirs = [
        ndimage.map_coordinates(film, [at[..., 1], at[..., 0]], order=1, mode="nearest")
        for film, at in zip(films, points)
    ]
    np.testing.assert_allclose(plates.sample(films, points), theirs, atol=1e-12)


def test_a_film_is_stretched_between_its_percentiles():
    ramp = np.linspace(3, 7, 200 * 200).reshape(1, 200, 200)
    found = plates.stretch(ramp)
    assert found.min() == 0 and found.max() == 1
    assert np.median(found) == pytest.approx(0.5) and (found == 0).mean() == pytest.approx(0.005, abs=1e-4)


def test_profile_of_a_slope_is_known():
    """Grey rises by .3 in a plate length: over 1.2 lengths by .36; at .1 it is .03 above the mean of both sides."""
    found = plates.plate_profile(*invented(lambda along, across: 0.4 + 0.3 * across + 0.1 * along))
    np.testing.assert_allclose(found.contrast, 0.36, atol=1e-9)
    np.testing.assert_allclose(found.peak, 0.03, atol=1e-9)
    np.testing.assert_allclose(found.grey, 0.4, atol=1e-9)


def test_profile_of_a_line_is_its_height():
    """A bright roof of .2 over the plate, a tenth of its length to each side; the pixels round its ridge off."""
    found = plates.plate_profile(
        *invented(lambda along, across: 0.5 + 0.2 * (1 - abs(across) / 0.1).clip(min=0))
    )
    np.testing.assert_allclose(found.peak, 0.2, atol=0.03)
    np.testing.assert_allclose(found.contrast, 0.2, atol=0.03)
    np.testing.assert_allclose(
        found.grey, 0.5 + 0.2 * (1 + 0.5 + 0.5) / 5, atol=0.01
    )  # at -.1, -.05, 0, .05, .1


def test_squares_lie_level_and_have_no_mean():
    """A turned plate gives the square of a level one: what slopes along and across it."""
    found = plates.plate_squares(*invented(lambda along, across: 0.4 + 0.3 * across + 0.1 * along))
    far = np.linspace(-1.1, 1.1, 96)
    expected = 0.3 * far[:, None] + 0.1 * far
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-9)


def test_around_s1_counts_in_plates_and_does_not_turn():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    films = np.stack([0.001 * x + 0.0001 * y] * len(TURNED))
    _, ends = invented(lambda along, across: along)
    found = plates.around_s1(films, ends, [-1.0, 0.0, 3.0], [0.0, 1.5])
    at = 0.001 * (55.3 + LONG * np.array([0.0, 1.5])) + 0.0001 * (61.8 + LONG * np.array([[-1.0], [0.0]]))
    np.testing.assert_allclose(found[:, :2], np.broadcast_to(at, (3, 2, 2)), atol=1e-9)
    assert np.isnan(found[:, 2]).all()  # 90 px below: off the film


def test_films_1_are_read_as_they_were_beside_the_real_ones():
    """Stated of six hundred of them: peak of S1 .024, above .02 on 63 %, contrast .105, grey .78; L1 .035, 77 %, .166."""
    sets = [hospitals_1.draw(h, "test", 3, 0, 256, 8, "cpu", 32) for h in hospitals_1.hospitals().values()]
    films = plates.stretch(np.concatenate([one.films for one in sets]) / 255)
    landmarks = np.concatenate([one.landmarks_px for one in sets])
    s1, l1 = (plates.plate_profile(films, landmarks[:, i : i + 2]) for i in (0, 2))
    assert np.median(s1.peak) == pytest.approx(0.024, abs=0.004)
    assert np.median(l1.peak) == pytest.approx(0.035, abs=0.006)
    assert (s1.peak > 0.02).mean() == pytest.approx(0.63, abs=0.07)
    assert (l1.peak > 0.02).mean() == pytest.approx(0.77, abs=0.07)
    assert np.median(s1.contrast) == pytest.approx(0.105, abs=0.01)
    assert np.median(l1.contrast) == pytest.approx(0.166, abs=0.02)
    assert s1.grey.mean() == pytest.approx(0.78, abs=0.02)


def test_vertebrae_in_view_are_whole():
    body = np.array([[0, 0], [10, 0], [10, 8], [0, 8]])
    bodies = np.stack([body + [20, 10 * k] for k in range(4)])[None]
    low, high = np.array([[0, 5]]), np.array([[40, 38.0]])
    assert plates.in_view(bodies, low, high).tolist() == [
        3
    ]  # the first is cut above, the last ends at its edge


def test_proportions_of_bricks():
    """Bodies 30 x 24 on discs of 6, the uppermost wedged: its front is 3 higher, and the plate rises forwards."""
    brick = np.array([[15.0, 30], [-15, 30], [-15, 6], [15, 6]])
    bodies = np.stack([brick + [0, 30 * k] for k in range(5)])[None]
    bodies[0, 4, 0, 1] += 3
    found = plates.proportions(bodies, np.array([[[15.0, 0], [-15, 0]]]))
    np.testing.assert_allclose(found["upper"][0], [1, 1, 1, 1, np.hypot(30, 3) / 30])
    np.testing.assert_allclose(found["front"][0], [0.8, 0.8, 0.8, 0.8, 0.9])
    np.testing.assert_allclose(found["height"][0], [0.8, 0.8, 0.8, 0.8, 0.85])
    np.testing.assert_allclose(found["disc_front"], 0.2)
    np.testing.assert_allclose(found["wedge_deg"][0], [0, 0, 0, 0, np.degrees(np.arctan(0.1))])
    np.testing.assert_allclose(found["disc_deg"], 0, atol=1e-9)


def test_wedges_and_discs_add_up_to_the_lordosis():
    seen = hospitals.visit(hospitals.hospital("cedar"), "test", 0, 0).spines
    found = plates.proportions(seen.bodies_mm[:, : anatomy.LEVELS.index("L1") + 1], seen.s1_mm)
    lordosis = (found["wedge_deg"] + found["disc_deg"]).sum(1)
    np.testing.assert_allclose(lordosis, seen.patients.angles_deg[:, 3], atol=1e-6)


def test_how_patients_and_levels_differ_is_found_again():
    """SD 3 between patients and 4 within: means of five differ by sqrt(9 + 16 / 5), two levels correlate by 9 / 25."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3, (20000, 1)) + rng.normal(0, 4, (20000, 5)) + [1, 2, 3, 4, 5]
    between, within, correlation = plates.levels_apart(values)
    assert between == pytest.approx(np.sqrt(9 + 16 / 5), rel=0.02)
    assert within == pytest.approx(4, rel=0.02) and correlation == pytest.approx(9 / 25, abs=0.02)


FILMS, ENDS = invented(lambda along, across: along)


@pytest.mark.parametrize("measure", [plates.plate_profile, plates.plate_squares])
@pytest.mark.parametrize(
    "films, ends, field",
    [
        (FILMS[0], ENDS, "films"),
        (FILMS, ENDS[:2], "plates_px"),
        (FILMS, ENDS[:, :1], "plates_px"),
        (FILMS, np.where(ENDS == ENDS, np.nan, 0), "plates_px[0, 0, 0]"),
        (FILMS, ENDS[:, [0, 0]], "plates_px"),
        (FILMS[:, :1], ENDS, "films"),
    ],
)
def test_what_is_no_plate_on_a_film_is_refused(measure, films, ends, field):
    with pytest.raises(InputError) as caught:
        measure(films, ends)
    assert caught.value.field == field
