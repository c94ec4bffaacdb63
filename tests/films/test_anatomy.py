"""Spines against the angles and sizes of the patients they were built from."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbo.errors import InputError
from lumbo.films import anatomy, populations
from lumbo.films.anatomy import LEVELS, anatomical_angles

L1 = LEVELS.index("L1")


def rng(seed=0):
    return np.random.default_rng(seed)


def same_patient(n, **switches):
    """One healthy patient `n` times, with some switches set."""
    one = populations.with_angles([[40.0, 13.0, 53.0, 52.0]], rng(3))
    many = one[np.zeros(n, int)]
    return replace(many, **{name: np.asarray(value, float) for name, value in switches.items()})


@pytest.fixture(scope="module", params=populations.cohort_names())
def patients(request):
    return populations.draw(request.param, 400, rng(1))


def tilt(anterior, posterior):
    """Degrees of a plate above the forward horizontal."""
    x, z = np.moveaxis(anterior - posterior, -1, 0)
    return np.degrees(np.arctan2(z, x))


# ---------------------------------------------------------------- angles


def test_a_spine_has_the_angles_of_its_patient(patients):
    built = anatomy.spines(patients, rng())
    np.testing.assert_allclose(anatomical_angles(built), patients.angles_deg, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.floats(-60, 85), st.floats(-30, 50), st.floats(-60, 110), st.integers(0, 2**32))
def test_any_possible_angles_can_be_ordered(ss, pt, ll, seed):
    ordered = np.array([[ss, pt, ss + pt, ll]])
    built = anatomy.spines(populations.with_angles(ordered, rng(seed)), rng(seed))
    np.testing.assert_allclose(anatomical_angles(built), ordered, rtol=0, atol=1e-9)


def test_plates_turn_by_the_lordosis_of_their_segment():
    """Without a fracture, what lies between the upper plates of S1, L5, ... L1 are the segments of the patient."""
    healthy = populations.draw("healthy_adults", 400, rng())
    healthy = healthy[(healthy.fracture == 0).all(1)]
    built = anatomy.spines(healthy, rng())
    plates = np.concatenate([built.s1_mm[:, None], built.bodies_mm[:, :5, :2]], 1)
    turns = np.diff(tilt(plates[:, :, 0], plates[:, :, 1]), axis=1)
    np.testing.assert_allclose(turns, healthy.segments_deg, atol=1e-9)


def test_an_impossible_slope_is_refused():
    with pytest.raises(InputError, match="SS"):
        anatomy.spines(same_patient(1, angles_deg=[[91.0, 0.0, 91.0, 50.0]]), rng())


def test_angles_that_break_the_identity_are_refused():
    with pytest.raises(InputError, match="PI"):
        anatomy.spines(same_patient(1, angles_deg=[[40.0, 13.0, 54.0, 50.0]]), rng())


# ---------------------------------------------------------------- sizes and frame


def test_the_hip_axis_is_the_origin_and_lies_between_the_heads(patients):
    built = anatomy.spines(patients, rng())
    np.testing.assert_allclose(built.heads_mm.mean(1), 0, atol=1e-12)
    assert (built.heads_mm[:, 0, 1] > 0).all()  # the left head first: y points left


def test_sizes_are_those_of_the_patient(patients):
    built = anatomy.spines(patients, rng())
    s1 = built.s1_mm
    np.testing.assert_allclose(np.linalg.norm(s1.mean(1), axis=1), patients.size("pelvic_radius"))
    np.testing.assert_allclose(np.linalg.norm(s1[:, 0] - s1[:, 1], axis=1), patients.size("s1_plate"))


def test_levels_stand_a_pitch_apart_where_nothing_is_wrong():
    """A level and the disc under it are as high as the patient's pitch, up to the bend of a segment."""
    healthy = same_patient(1)
    built = anatomy.spines(healthy, rng())
    tops = np.concatenate([built.s1_mm[:, None], built.bodies_mm[:, :5, :2]], 1).mean(2)
    steps = np.linalg.norm(np.diff(tops, axis=1), axis=-1)
    bend = np.radians(abs(healthy.segments_deg) / 2)
    assert (steps <= healthy.pitch_mm + 1e-9).all()
    assert (steps >= healthy.pitch_mm * np.cos(bend)).all()


def test_the_column_climbs(patients):
    """No body lies below the one under it, and none is upside down."""
    built = anatomy.spines(patients, rng())
    upper, lower = built.bodies_mm[:, :, :2].mean(2), built.bodies_mm[:, :, 2:].mean(2)
    axis = upper - lower
    ahead = built.bodies_mm[:, :, 0] - built.bodies_mm[:, :, 1]
    assert (ahead[..., 0] * axis[..., 1] - ahead[..., 1] * axis[..., 0] > 0).all()
    assert (np.diff(upper[..., 1], axis=1)[:, :4] > 0).all()


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
def test_a_switch_leaves_the_stated_angles(switch):
    built = anatomy.spines(same_patient(2, **{switch: SWITCHED[switch]}), rng())
    np.testing.assert_allclose(anatomical_angles(built), built.patients.angles_deg, rtol=0, atol=1e-9)


def test_a_slip_moves_the_column_forwards_along_the_plate():
    level, slipped = anatomy.spines(same_patient(2, slip=[[0, 0], [0.4, 0]]), rng()).bodies_mm
    moved = slipped - level
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0, 0], moved.shape), atol=1e-9)
    assert moved[0, 0] @ (level[0, 0] - level[0, 1]) > 0


def test_a_narrow_disc_is_lower_and_opens_less():
    full, flat = anatomy.spines(same_patient(2, narrowing=[[0] * 5, [0, 0.7, 0, 0, 0]]), rng()).bodies_mm
    gap = [np.linalg.norm(b[0, :2].mean(0) - b[1, 2:].mean(0)) for b in (full, flat)]
    opens = [tilt(b[1, 3], b[1, 2]) - tilt(b[0, 0], b[0, 1]) for b in (full, flat)]
    assert gap[1] == pytest.approx(0.3 * gap[0])
    assert opens[1] == pytest.approx(0.3 * opens[0])


def test_a_sacralised_l5_has_a_rudiment_of_a_disc():
    built = anatomy.spines(same_patient(2, transitional=[0, -1]), rng())
    gap = np.linalg.norm(built.s1_mm.mean(1) - built.bodies_mm[:, 0, 2:].mean(1), axis=1)
    assert gap[1] == pytest.approx(0.3 * gap[0])


def test_a_fracture_is_a_wedge_lower_in_front():
    built = anatomy.spines(same_patient(2, fracture=[[0, 0, 0, 0], [0, 0, 0.4, 0]]), rng())
    front = np.linalg.norm(built.bodies_mm[:, L1, 0] - built.bodies_mm[:, L1, 3], axis=1)
    back = np.linalg.norm(built.bodies_mm[:, L1, 1] - built.bodies_mm[:, L1, 2], axis=1)
    assert front[1] / back[1] == pytest.approx(0.6 * front[0] / back[0], rel=0.08)


def test_a_curve_carries_the_column_aside_and_comes_back_upright():
    straight, left, right = (
        anatomy.spines(same_patient(1, curve_deg=[cobb]), rng()) for cobb in (0.0, 40.0, -40.0)
    )
    assert not straight.aside_mm.any() and not straight.lean_deg.any() and not straight.twist_deg.any()
    assert np.ptp(left.lean_deg) == pytest.approx(40.0)  # the Cobb angle: between the most tilted bodies
    assert left.aside_mm[0, L1] > 5
    np.testing.assert_allclose(left.aside_mm, -right.aside_mm)
    np.testing.assert_allclose(left.bodies_mm, straight.bodies_mm)


def test_a_follow_up_keeps_the_pelvis():
    first = populations.draw("degenerative", 200, rng(2))
    again = populations.follow_up(first, rng(3))
    one, two = anatomy.spines(first, rng(4)), anatomy.spines(again, rng(4))
    np.testing.assert_allclose(anatomical_angles(one)[:, 2], anatomical_angles(two)[:, 2], atol=1e-9)
    reach = [np.linalg.norm(built.s1_mm.mean(1), axis=1) for built in (one, two)]
    np.testing.assert_allclose(*reach)
    assert abs(anatomical_angles(one) - anatomical_angles(two))[:, 1].max() > 1
