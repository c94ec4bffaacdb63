"""Spines against the angles and sizes of the patients they were built from, and against those of real films."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import anatomy, hospitals, populations, radiograph, variety
from lumbo.films.anatomy import LEVELS, anatomical_angles
from lumbo.films.variety import Setting, Variety

L1 = LEVELS.index("L1")
CONE = replace(hospitals.hospital("cedar").scanner, aim_mm=30.0, shutters=0.1, spread=1.0, cut=0.2)
ROOMS = {"cone": CONE, "slot": replace(CONE, slot=True, cut=0.0)}
DIALS = (0.0, 1.0, 1.5)


def rng(seed=0):
    return np.random.default_rng(seed)


def vary(seed=0, **setting):
    return Variety(rng(seed), Setting(**setting))


def built(patients, seed=0, **setting):
    """Spines of these patients and the factors they were drawn with."""
    factors = vary(seed, **setting)
    return anatomy.spines(patients, factors), factors


def plain(patients, **setting):
    """Spines without any variety, but for what is set."""
    return built(patients, **{"dial": 0.0} | setting)[0]


def same_patient(n, **switches):
    """One healthy patient `n` times, with some switches set."""
    one = populations.with_angles([[40.0, 13.0, 53.0, 52.0]], rng(3))
    many = one[np.zeros(n, int)]
    return replace(many, **{name: np.asarray(value, float) for name, value in switches.items()})


@pytest.fixture(scope="module", params=populations.cohort_names())
def patients(request):
    return populations.draw(request.param, 400, rng(1))


@pytest.fixture
def other_factors(monkeypatch):
    """A function that changes variety.toml for the rest of the test."""

    def change(**changes):
        table = copy.deepcopy(variety.factors())
        for name, spec in changes.items():
            table[name.replace("__", ".")] |= spec
        monkeypatch.setattr(variety, "factors", lambda: table)

    return change


@pytest.fixture
def level(other_factors):
    """No body stands forwards or backwards on the one below it."""
    other_factors(column__step={"mean": [0.0] * 5})


def tilt(anterior, posterior):
    """Degrees of a plate above the forward horizontal."""
    x, z = np.moveaxis(anterior - posterior, -1, 0)
    return np.degrees(np.arctan2(z, x))


def length(vectors):
    return np.linalg.norm(vectors, axis=-1)


def plates_below(spines):
    """The plate under each lumbar body: that of S1, and the upper ones of L5 to L2, (n, 5, 2, 2)."""
    return np.concatenate([spines.s1_mm[:, None], spines.bodies_mm[:, :4, :2]], 1)


# ---------------------------------------------------------------- angles: in the patient, in space, on the film


def in_space(spines):
    """The landmarks of `spines`, turned by matrices of SciPy: about z, then about the axis that points forwards."""
    points = np.empty((len(spines), 6, 3))
    for i in range(len(spines)):
        about, drop = spines.pelvis_deg[i]
        pelvis = Rotation.from_euler("zx", [about, -drop], degrees=True)
        head = spines.patients.size("head_offset")[i]
        flat = np.insert(spines.s1_mm[i], 1, 0.0, axis=1)
        points[i, [0, 1, 4, 5]] = pelvis.apply([*flat, [0, head, 0], [0, -head, 0]])
        body = np.insert(spines.bodies_mm[i, L1], 1, 0.0, axis=1)
        middle, twist = body.mean(0), Rotation.from_euler("z", spines.twist_deg[i, L1], degrees=True)
        points[i, 2:4] = twist.apply(body[:2] - middle) + middle + [0, spines.aside_mm[i, L1], 0]
    return points


def seen(points_mm, scanner, exposure):
    """Follow the ray from the tube through each point to the film: (n, k, 2), millimetres forwards and upwards.

    The film of a cone lies behind the patient; that of a slot, whose tube travels with it, is measured at y = 0.
    """
    tube_y, film_y = scanner.source_mm - scanner.object_mm, 0.0 if scanner.slot else -scanner.object_mm
    center = exposure.center_mm[:, None]
    tube = np.stack(np.broadcast_arrays(center[..., 0], tube_y, center[..., 1]), -1) + 0 * points_mm
    if scanner.slot:
        tube[..., 2] = points_mm[..., 2]
    steps = (tube_y - film_y) / (tube_y - points_mm[..., 1:2])
    return (tube + steps * (points_mm - tube))[..., ::2] - center


def by_hand(film_mm):
    """SS, PT, PI, LL of landmarks (n, 6, 2), millimetres forwards and upwards."""
    front, back, l1_front, l1_back, *heads = np.moveaxis(film_mm, 1, 0)
    ss, axis = -tilt(front, back), np.mean(heads, 0)
    leg = (front + back) / 2 - axis
    pt = np.degrees(np.arctan2(-leg[:, 0], leg[:, 1]))
    return np.stack([ss, pt, ss + pt, ss + tilt(l1_front, l1_back)], -1)


@pytest.mark.parametrize("dial", DIALS)
def test_a_spine_has_the_angles_of_its_patient(patients, dial):
    """In the patient's own plane, however the pelvis is turned: measured and worked out by hand."""
    spines, _ = built(patients, dial=dial)
    np.testing.assert_allclose(anatomical_angles(spines), patients.angles_deg, rtol=0, atol=1e-9)
    own = np.concatenate([spines.s1_mm, spines.bodies_mm[:, L1, :2], np.zeros((400, 2, 2))], 1)
    np.testing.assert_allclose(by_hand(own), patients.angles_deg, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("room", ROOMS)
def test_film_angles_are_those_of_rays_through_the_landmarks_in_space(patients, room, dial):
    """To a millionth of a degree, for every cohort, both geometries and any variety."""
    (spines, factors), scanner = built(patients, dial=dial), ROOMS[room]
    exposure = radiograph.aim(spines, scanner, 256, factors)
    film = radiograph.project(spines.landmarks_mm, scanner, exposure)
    traced = seen(in_space(spines), scanner, exposure)
    stated = lumbopelvic_angles(film, "left")
    np.testing.assert_allclose(stated, by_hand(traced), rtol=0, atol=1e-6)
    middle, pixel = (np.array(exposure.shape[::-1]) - 1) / 2, exposure.pixel_mm[:, None, None]
    np.testing.assert_allclose((middle - film) * pixel, traced, rtol=0, atol=1e-9)
    assert 0.001 < abs(stated - patients.angles_deg).mean() < 1.5  # the two truths differ


def test_a_pelvis_turns_as_one_piece():
    """Its landmarks keep their distances; its front turns to the left and its left side drops."""
    spines, _ = built(populations.draw("degenerative", 200, rng(2)), dial=1.5)
    flat = plain(spines.patients)
    points, still = (s.landmarks_mm[:, [0, 1, 4, 5]] for s in (spines, flat))
    apart = lambda p: length(p[:, :, None] - p[:, None])
    np.testing.assert_allclose(apart(points), apart(still), atol=1e-9)
    about, drop = np.radians(spines.pelvis_deg).T
    left = spines.heads_mm[:, 0] / spines.patients.size("head_offset")[:, None]
    np.testing.assert_allclose(left[:, 2], -np.sin(drop) * np.cos(about), atol=1e-12)
    np.testing.assert_allclose(left[:, 0], -np.sin(about), atol=1e-12)
    assert spines.pelvis_deg.std(0).min() > 1


@settings(deadline=None, max_examples=50)
@given(st.floats(-60, 85), st.floats(-30, 50), st.floats(-60, 110), st.floats(0, 3), st.integers(0, 2**32))
def test_any_possible_angles_can_be_ordered(ss, pt, ll, dial, seed):
    ordered = np.array([[ss, pt, ss + pt, ll]])
    spines, _ = built(populations.with_angles(ordered, rng(seed)), seed, dial=dial)
    np.testing.assert_allclose(anatomical_angles(spines), ordered, rtol=0, atol=1e-9)


def test_plates_turn_by_the_lordosis_of_their_segment():
    """Without a fracture, what lies between the upper plates of S1, L5, ... L1 are the segments of the patient."""
    healthy = populations.draw("healthy_adults", 400, rng())
    healthy = healthy[(healthy.fracture == 0).all(1)]
    spines, _ = built(healthy)
    plates = np.concatenate([spines.s1_mm[:, None], spines.bodies_mm[:, :5, :2]], 1)
    turns = np.diff(tilt(plates[:, :, 0], plates[:, :, 1]), axis=1)
    np.testing.assert_allclose(turns, healthy.segments_deg, atol=1e-9)


def test_an_impossible_slope_is_refused():
    with pytest.raises(InputError, match="SS"):
        built(same_patient(1, angles_deg=[[91.0, 0.0, 91.0, 50.0]]))


def test_angles_that_break_the_identity_are_refused():
    with pytest.raises(InputError, match="PI"):
        built(same_patient(1, angles_deg=[[40.0, 13.0, 54.0, 50.0]]))


# ---------------------------------------------------------------- sizes and frame


def test_the_hip_axis_is_the_origin_and_lies_between_the_heads(patients):
    spines, _ = built(patients)
    np.testing.assert_allclose(spines.heads_mm.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(length(spines.heads_mm), patients.size("head_offset")[:, None] * [1, 1])
    assert (spines.heads_mm[:, 0, 1] > 0).all()  # the left head first: y points left


def test_sizes_are_those_of_the_patient(patients):
    s1 = built(patients)[0].s1_mm
    np.testing.assert_allclose(length(s1.mean(1)), patients.size("pelvic_radius"))
    plate = patients.size("s1_share") * patients.size("body_depth")
    np.testing.assert_allclose(length(s1[:, 0] - s1[:, 1]), plate)


def test_plates_have_the_depths_of_their_factors(patients):
    spines, factors = built(patients)
    upper = length(spines.bodies_mm[:, :, 0] - spines.bodies_mm[:, :, 1])
    lower = length(spines.bodies_mm[:, :, 3] - spines.bodies_mm[:, :, 2])
    depth = patients.size("body_depth")[:, None]
    np.testing.assert_allclose(upper[:, :5] / depth, factors("body.upper_depth", 400, 5))
    np.testing.assert_allclose(lower / upper, factors("body.lower_over_upper", 400, len(LEVELS)))


@pytest.mark.parametrize("dial", DIALS)
def test_levels_stand_a_pitch_apart_where_nothing_is_wrong(level, dial):
    """A level and the disc under it are as high as the patient's pitch, up to the bend of a segment."""
    healthy = same_patient(9)
    spines, _ = built(healthy, dial=dial, without=("column.step",))
    tops = np.concatenate([spines.s1_mm[:, None], spines.bodies_mm[:, :5, :2]], 1).mean(2)
    steps = length(np.diff(tops, axis=1))
    bend = np.radians(abs(healthy.segments_deg) / 2)
    assert (steps <= healthy.pitch_mm + 1e-9).all()
    assert (steps >= healthy.pitch_mm * np.cos(bend)).all()


@pytest.mark.parametrize("dial", DIALS)
def test_the_column_climbs(patients, dial):
    """No body lies below the one under it, and none is upside down."""
    spines, _ = built(patients, dial=dial)
    upper, lower = spines.bodies_mm[:, :, :2].mean(2), spines.bodies_mm[:, :, 2:].mean(2)
    axis = upper - lower
    ahead = spines.bodies_mm[:, :, 0] - spines.bodies_mm[:, :, 1]
    assert (ahead[..., 0] * axis[..., 1] - ahead[..., 1] * axis[..., 0] > 0).all()
    assert (np.diff(upper[..., 1], axis=1)[:, :4] > 0).all()


def open_ends(spines):
    """How high the lumbar discs are in front and behind, along the normal of the plate below, mm, (n, 5, 2)."""
    plate = plates_below(spines)
    along = plate[:, :, 0] - plate[:, :, 1]
    up = np.stack([-along[..., 1], along[..., 0]], -1) / length(along)[..., None]
    ends = spines.bodies_mm[:, :5, [3, 2]] - plate
    return (ends * up[:, :, None]).sum(-1)


def test_bodies_do_not_reach_into_each_other(patients):
    """A disc may be closed at one end, but the plates do not cross."""
    slipped = "spondylolisthesis" in patients.cohort  # on a collapsed disc, over the edge of S1
    assert open_ends(built(patients)[0]).min() > (-4 if slipped else -0.7)


def test_a_child_is_an_adult_in_proportion():
    """Landmarks of one patient drawn as a child of 10 and as an adult: every length by one factor."""
    adult = same_patient(1)
    child = populations.follow_up(replace(adult, age_years=np.array([9.0])), rng())
    times = populations.growth(10.0) / populations.growth(9.0)
    child = replace(child, angles_deg=adult.angles_deg, segments_deg=adult.segments_deg)
    one, other = plain(adult), plain(child)
    np.testing.assert_allclose(other.landmarks_mm, times * one.landmarks_mm, atol=1e-9)
    np.testing.assert_allclose(other.bodies_mm, times * one.bodies_mm, atol=1e-9)


# ---------------------------------------------------------------- switches


SWITCHED = {
    "slip": [[0.4, 0.0], [0.0, 0.3]],
    "narrowing": [[0.6] * 5, [0.8, 0, 0, 0, 0]],
    "fracture": [[0, 0, 0.4, 0], [0.3, 0, 0, 0]],
    "curve_deg": [40.0, -25.0],
    "dome_mm": [6.0, 9.0],
    "transitional": [-1, 1],
    "spurs_mm": [[6.0] * 5, [2.0] * 5],
}


@pytest.mark.parametrize("switch", SWITCHED)
@pytest.mark.parametrize("dial", DIALS)
def test_a_switch_leaves_the_stated_angles(switch, dial):
    spines, _ = built(same_patient(2, **{switch: SWITCHED[switch]}), dial=dial)
    np.testing.assert_allclose(anatomical_angles(spines), spines.patients.angles_deg, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("backwards", "times"), [(-1.0, 1.0), (1.0, -0.5)])
def test_a_slip_moves_the_column_along_the_plate(backwards, times):
    """Forwards by its share of a plate, or half as far backwards."""
    slipped = same_patient(2, slip=[[0, 0], [0.4, 0]])
    others = tuple(set(variety.factors()) - {"column.backwards"})
    before, after = plain(slipped, dial=1.0, scores={"column.backwards": backwards}, without=others).bodies_mm
    moved = after - before
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), atol=1e-9)
    plate = before[0, 3] - before[0, 2]
    np.testing.assert_allclose(moved[0, 0], times * 0.4 * plate, rtol=1e-9)


def test_a_narrow_disc_is_lower(level):
    full, flat = plain(same_patient(2, narrowing=[[0] * 5, [0, 0.7, 0, 0, 0]])).bodies_mm
    gap = [length(b[0, :2].mean(0) - b[1, 2:].mean(0)) for b in (full, flat)]
    assert gap[1] == pytest.approx(0.3 * gap[0])


def test_a_sacralised_l5_has_a_rudiment_of_a_disc(level):
    spines = plain(same_patient(2, transitional=[0, -1]))
    gap = length(spines.s1_mm.mean(1) - spines.bodies_mm[:, 0, 2:].mean(1))
    assert gap[1] == pytest.approx(0.3 * gap[0])


def test_a_fracture_is_a_wedge_lower_in_front():
    spines = plain(same_patient(2, fracture=[[0, 0, 0, 0], [0, 0, 0.4, 0]]))
    front = length(spines.bodies_mm[:, L1, 0] - spines.bodies_mm[:, L1, 3])
    back = length(spines.bodies_mm[:, L1, 1] - spines.bodies_mm[:, L1, 2])
    assert front[1] / back[1] == pytest.approx(0.6 * front[0] / back[0], rel=0.1)


def test_a_curve_carries_the_column_aside_and_comes_back_upright():
    straight, left, right = (plain(same_patient(1, curve_deg=[cobb])) for cobb in (0.0, 40.0, -40.0))
    assert not straight.aside_mm.any() and not straight.lean_deg.any() and not straight.twist_deg.any()
    assert np.ptp(left.lean_deg) == pytest.approx(40.0)  # the Cobb angle: between the most tilted bodies
    assert left.aside_mm[0, L1] > 5
    np.testing.assert_allclose(left.aside_mm, -right.aside_mm)
    np.testing.assert_allclose(left.bodies_mm, straight.bodies_mm)


def test_the_column_follows_the_turn_of_the_pelvis_less_and_less():
    spines = plain(same_patient(1), dial=1.0, scores={"field.turn": 2.0, "column.twist": 0.0})
    turn = spines.pelvis_deg[0, 0]
    assert turn == pytest.approx(2 * variety.factors()["field.turn"]["between"])
    assert 0.8 * turn < spines.twist_deg[0, 0] < turn and abs(spines.twist_deg[0, -1]) < 1e-9
    assert (np.diff(spines.twist_deg[0]) < 0).all()


def test_a_follow_up_keeps_the_pelvis():
    first = populations.draw("degenerative", 200, rng(2))
    again = populations.follow_up(first, rng(3))
    one, two = (built(visit, 4)[0] for visit in (first, again))
    np.testing.assert_allclose(anatomical_angles(one)[:, 2], anatomical_angles(two)[:, 2], atol=1e-9)
    np.testing.assert_allclose(length(one.s1_mm.mean(1)), length(two.s1_mm.mean(1)))
    assert abs(anatomical_angles(one) - anatomical_angles(two))[:, 1].max() > 1


# ---------------------------------------------------------------- real films

# Human corners of 26 films of BUU-LSPINE, ages 22 to 84, computed for this book: means and SD between films from L5
# to L1, in mean depths of L3 and degrees.  The SDs hold a rater's noise, of some 3 degrees and .04 depths.
REAL = {
    "upper depth": ([0.98, 1.00, 1.00, 0.98, 0.93], 0.03),
    "lower depth": ([0.97, 0.99, 1.00, 1.00, 0.97], 0.04),
    "front height": ([0.73, 0.72, 0.75, 0.71, 0.70], 0.06),
    "back height": ([0.68, 0.71, 0.77, 0.78, 0.79], 0.04),
    "wedge": ([3.0, 0.7, -1.3, -4.2, -5.8], 5.0),
    "front of disc": ([0.40, 0.39, 0.40, 0.34, 0.27], 0.03),
    "back of disc": ([0.18, 0.20, 0.18, 0.17, 0.16], 0.03),
    "disc": ([13.9, 11.7, 13.7, 9.8, 6.4], 2.5),
}
REAL_SD = {"height": (0.094, 0.042), "wedge": (3.4, 4.1), "disc": (2.9, 4.4), "disc height": (0.031, 0.044)}


def measured(spines):
    """What was measured on the 26 films, (n, 5) each: lengths in mean depths of L3, angles in degrees."""
    body, plate = spines.bodies_mm[:, :5], plates_below(spines)
    upper, lower = length(body[:, :, 0] - body[:, :, 1]), length(body[:, :, 3] - body[:, :, 2])
    unit = (upper + lower)[:, 2:3] / 2
    front, back = (length(body[:, :, a] - body[:, :, b]) / unit for a, b in ((0, 3), (1, 2)))
    ahead, behind = (length(body[:, :, b] - plate[:, :, a]) / unit for a, b in ((0, 3), (1, 2)))
    below = tilt(body[:, :, 3], body[:, :, 2])
    return {
        "upper depth": upper / unit,
        "lower depth": lower / unit,
        "front height": front,
        "back height": back,
        "wedge": tilt(body[:, :, 0], body[:, :, 1]) - below,
        "front of disc": ahead,
        "back of disc": behind,
        "disc": below - tilt(plate[:, :, 0], plate[:, :, 1]),
        "height": (front + back) / 2,
        "disc height": (ahead + behind) / 2,
    }


@pytest.fixture(scope="module")
def adults():
    return measured(built(populations.draw("healthy_adults", 4000, rng(1)), 2)[0])


@pytest.mark.parametrize("name", REAL)
def test_a_mean_adult_is_built_like_a_mean_real_one(adults, name):
    """The band is about one real SD for wedges, whose segments other people were measured for, half of one else."""
    mean, band = REAL[name]
    np.testing.assert_allclose(adults[name].mean(0), mean, rtol=0, atol=band)


@pytest.mark.parametrize("name", REAL_SD)
def test_adults_differ_as_much_as_real_ones(adults, name):
    """Between patients, and within each between levels: from half as much to half as much again."""
    values = adults[name] - adults[name].mean(0)
    within = values.var(1, ddof=1).mean()
    found = np.sqrt([values.mean(1).var() - within / 5, within])
    assert (0.5 < found / REAL_SD[name]).all() and (found / REAL_SD[name] < 1.6).all()


def test_lordosis_goes_with_the_bodies_more_than_with_the_discs():
    """r = .60 with the sum of the wedges and .30 with that of the discs.

    Patients whose LL is spread as on the 26 films, 47.9 +- 14.6 degrees: seven healthy for three with a deformity.
    """
    mixed = populations.draw_mixture({"healthy_adults": 0.7, "adult_deformity": 0.3}, 4000, rng(1))
    ll, found = mixed.angles_deg[:, 3], measured(built(mixed, 2)[0])
    assert ll.mean() == pytest.approx(47.9, abs=2) and ll.std() == pytest.approx(14.6, abs=2)
    for name, r in (("wedge", 0.60), ("disc", 0.30)):
        assert np.corrcoef(ll, found[name].sum(1))[0, 1] == pytest.approx(r, abs=0.15)


def test_the_s1_plate_is_a_little_shorter_than_that_of_l5(adults):
    """.97 +- .06 of the lower plate of L5 on the 26 films."""
    spines, _ = built(populations.draw("healthy_adults", 4000, rng(1)), 2)
    lower = length(spines.bodies_mm[:, 0, 3] - spines.bodies_mm[:, 0, 2])
    share = length(spines.s1_mm[:, 0] - spines.s1_mm[:, 1]) / lower
    assert share.mean() == pytest.approx(0.97, abs=0.03) and share.std() == pytest.approx(0.06, abs=0.02)
