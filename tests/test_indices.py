"""The derived indices against arithmetic by hand, other routes, and the borders of every category."""

import inspect
import math
import re
import subprocess
import sys
import warnings
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from test_angles import BY_HAND, film, holds_for, poses

from lumbo import indices
from lumbo.angles import SIDES, hip_axis, lumbopelvic_angles, rotate
from lumbo.errors import InputError
from lumbo.indices import (
    GAP_BORDERS,
    GAP_CATEGORIES,
    ROUSSOULY_BORDERS,
    ROUSSOULY_GROUPS,
    SCHWAB_BORDERS,
    SCHWAB_MODIFIERS,
    gap_categories,
    l1_tilt,
    lordosis_distribution_index,
    pi_ll_mismatch,
    relative_lumbar_lordosis,
    relative_pelvic_version,
    roussouly,
    roussouly_shares,
    sacrofemoral_ratio,
    schwab_modifiers,
)

L4_TILT, SD_DEG = -7.0, 3.0
FROM_ANGLES = {  # every index, as a function of the angles alone
    "PI-LL": pi_ll_mismatch,
    "L1 tilt": l1_tilt,
    "RPV": relative_pelvic_version,
    "RLL": relative_lumbar_lordosis,
    "LDI": lambda angles: lordosis_distribution_index(angles, L4_TILT),
    "Roussouly's border": lambda angles: roussouly(angles)[1],
    "Roussouly's shares": lambda angles: roussouly_shares(angles, SD_DEG),
}
CONTINUOUS = list(FROM_ANGLES)
FROM_ANGLES |= {
    "Schwab": schwab_modifiers,
    "GAP": gap_categories,
    "GAP with LDI": lambda angles: gap_categories(angles, L4_TILT),
    "Roussouly's group": lambda angles: roussouly(angles)[0],
}
TRAILING = {"Roussouly's shares": (3,), "Schwab": (2,), "GAP": (2,), "GAP with LDI": (3,)}
PEOPLE = np.array([[40, 15, 55, 60], [28, 24, 52, 31], [47.5, 6, 53.5, 66], [36, -3, 33, 48.0]])


@st.composite
def persons(draw):
    """Angles of one person, wide, with PI = PT + SS and a lordosis."""
    ss, pt = draw(st.floats(-30, 80)), draw(st.floats(-40, 60))
    return np.array([ss, pt, pt + ss, draw(st.floats(1, 110))])


# ------------------------------------------------------------------------------ by hand


def test_pi_ll_and_l1_tilt_by_hand():
    assert pi_ll_mismatch([40, 15, 55, 60]) == -5  # 55 - 60: more lordosis than incidence
    assert pi_ll_mismatch([28, 24, 52, 31]) == 21  # 52 - 31
    assert l1_tilt([40, 15, 55, 60]) == 20  # 60 - 40
    assert l1_tilt([28, 24, 52, 13]) == -15  # 13 - 28: the front edge is the lower one


def test_relative_measures_by_hand():
    # PI 50: ideal SS = 0.59 * 50 + 9 = 29.5 + 9 = 38.5, ideal LL = 0.62 * 50 + 29 = 31 + 29 = 60.
    assert relative_pelvic_version([40, 10, 50, 0]) == pytest.approx(1.5, abs=1e-12)  # 40 - 38.5
    assert relative_lumbar_lordosis([40, 10, 50, 42]) == pytest.approx(-18, abs=1e-12)  # 42 - 60
    # PI 70: 0.59 * 70 + 9 = 41.3 + 9 = 50.3, 0.62 * 70 + 29 = 43.4 + 29 = 72.4.
    assert relative_pelvic_version([35, 35, 70, 0]) == pytest.approx(-15.3, abs=1e-12)  # 35 - 50.3
    assert relative_lumbar_lordosis([35, 35, 70, 80]) == pytest.approx(7.6, abs=1e-12)  # 80 - 72.4


def test_lordosis_distribution_by_hand():
    # L4 leans -4: L4-S1 = 40 - 4 = 36, of 60: 60 percent.  Level: 40 of 60 = 66.7.  Up by 8: 48 of 60 = 80.
    assert lordosis_distribution_index([40, 15, 55, 60], -4) == 60
    assert lordosis_distribution_index([40, 15, 55, 60], 0) == pytest.approx(200 / 3, rel=1e-15)
    assert lordosis_distribution_index([40, 15, 55, 60], 8) == 80


def test_with_l4_at_l1_all_the_lordosis_is_below_it():
    np.testing.assert_allclose(lordosis_distribution_index(PEOPLE, l1_tilt(PEOPLE)), [100] * 4, rtol=1e-14)


def test_sacrofemoral_ratio_by_hand():
    """The posterior corner at x = 4, the hip axis at x = (-6 - 4) / 2 = -5, a plate of (8, 6): 10 long.

    The patient faces left, so behind is right: (4 + 5) / 10 = 0.9.  By the other route, leg (5, 12): 13 long,
    sin PT = 5 / 13, cos SS = 8 / 10, and 13 / 10 * 5 / 13 + 0.8 / 2 = 0.5 + 0.4.
    """
    assert sacrofemoral_ratio(BY_HAND) == pytest.approx(0.9, abs=1e-14)
    assert sacrofemoral_ratio(BY_HAND, "left") == pytest.approx(0.9, abs=1e-14)


def test_sacrofemoral_ratio_is_signed():
    """A level S1 plate from x = 0 back to x = 10, and a hip axis 3 further back, at x = 13: -3 / 10."""
    points = [[0, 0], [10, 0], [0, -40], [10, -40], [12, 20], [14, 20]]
    assert sacrofemoral_ratio(points) == pytest.approx(-0.3, abs=1e-14)


def test_shares_by_hand():
    # SS 38, SD 3: below 35 is z < -1, 0.158655; above 45 is z > 7/3, 0.009815; the rest 0.831530.
    np.testing.assert_allclose(
        roussouly_shares([38, 12, 50, 55], 3), [0.158655, 0.831530, 0.009815], atol=5e-7
    )
    # On a border a share is one half, whatever the SD; in the middle both neighbours are equally likely.
    np.testing.assert_allclose(roussouly_shares([45, 5, 50, 55], 2), [0, 0.5, 0.5], atol=1e-6)
    low, _, high = roussouly_shares([40, 10, 50, 55], 5)
    assert low == high == pytest.approx(0.158655, abs=5e-7)  # both borders are one SD away


def test_roussouly_border_by_hand():
    # From 31: 35 - 31 = 4.  From 38: 3 to 35, 7 to 45.  From 40: 5 to both.  From 43: 2.  From 52.5: 7.5.
    group, distance = roussouly([[ss, 10, ss + 10, 50] for ss in (31, 35, 38, 40, 43, 45, 52.5)])
    assert distance.tolist() == [4, 0, 3, 5, 2, 0, 7.5]
    assert [ROUSSOULY_GROUPS[i] for i in group] == ["1 or 2", "3", "3", "3", "3", "3", "4"]


# ------------------------------------------------------------------- borders of categories


def just_below(value):
    return float(np.nextafter(value, -math.inf))


def just_above(value):
    return float(np.nextafter(value, math.inf))


def schwab(column):
    return lambda angles: SCHWAB_MODIFIERS[schwab_modifiers(angles)[column]]


def gap(name):
    def category(angles):
        column = list(GAP_BORDERS).index(name)
        return GAP_CATEGORIES[name][gap_categories(angles, 0 if name == "LDI" else None)[column]]

    return category


#: An index, angles that give it a value exactly, and a border as the literature prints it: the value, and the
#: category just below, at, and just above it.
BORDERS = {
    "PT 20": (schwab(0), lambda v: [0, v, 0, 0], 20, "0", "+", "+"),
    "PT 30": (schwab(0), lambda v: [0, v, 0, 0], 30, "+", "+", "++"),
    "PI-LL 10": (schwab(1), lambda v: [0, 0, v, 0], 10, "0", "+", "+"),
    "PI-LL 20": (schwab(1), lambda v: [0, 0, v, 0], 20, "+", "+", "++"),
    "LDI 40": (
        gap("LDI"),
        lambda v: [v, 0, 0, 100],
        40,
        "severe hypolordotic",
        *["moderate hypolordotic"] * 2,
    ),
    "LDI 50": (gap("LDI"), lambda v: [v, 0, 0, 100], 50, "moderate hypolordotic", "aligned", "aligned"),
    "LDI 80": (gap("LDI"), lambda v: [v, 0, 0, 100], 80, "aligned", "aligned", "hyperlordotic"),
    "SS 35": (lambda a: ROUSSOULY_GROUPS[roussouly(a)[0]], lambda v: [v, 0, 0, 0], 35, "1 or 2", "3", "3"),
    "SS 45": (lambda a: ROUSSOULY_GROUPS[roussouly(a)[0]], lambda v: [v, 0, 0, 0], 45, "3", "3", "4"),
}
COARSER = {  # PI = 0, so the ideals are 9 and 29; taking them off rounds: steps of 1e-9, not of the last bit
    "RPV -15": (gap("RPV"), -15, "severe retroversion", "moderate retroversion", "moderate retroversion"),
    "RPV -7": (gap("RPV"), -7, "moderate retroversion", "aligned", "aligned"),
    "RPV 5": (gap("RPV"), 5, "aligned", "aligned", "anteversion"),
    "RLL -25": (gap("RLL"), -25, "severe hypolordosis", "moderate hypolordosis", "moderate hypolordosis"),
    "RLL -14": (gap("RLL"), -14, "moderate hypolordosis", "aligned", "aligned"),
    "RLL 11": (gap("RLL"), 11, "aligned", "aligned", "hyperlordosis"),
}


@pytest.mark.parametrize("border", BORDERS)
def test_category_at_and_beside_a_border(border):
    category, angles, value, below, at, above = BORDERS[border]
    steps = just_below(value), float(value), just_above(value)
    assert [category(angles(step)) for step in steps] == [below, at, above]


@pytest.mark.parametrize("border", COARSER)
def test_relative_category_at_and_beside_a_border(border):
    category, value, below, at, above = COARSER[border]
    steps = value - 1e-9, value, value + 1e-9
    assert [category([9 + step, 0, 0, 29 + step]) for step in steps] == [below, at, above]


def test_every_border_is_tested():
    tested = {name.rpartition(" ")[::2] for name in [*BORDERS, *COARSER]}
    tables = SCHWAB_BORDERS | GAP_BORDERS | {"SS": ROUSSOULY_BORDERS}
    assert tested == {(name, f"{border:g}") for name, borders in tables.items() for border in borders}


def test_what_lies_between_the_printed_ranges():
    """GAP prints "-15 to -7.1" and "-7 to 5", "40 to 49" and "50 to 80": we do not round."""
    assert gap("RPV")([9 - 7.05, 0, 0, 29]) == "moderate retroversion"
    assert gap("RLL")([9, 0, 0, 29 - 14.05]) == "moderate hypolordosis"
    assert gap("LDI")([49.5, 0, 0, 100]) == "moderate hypolordotic"


def test_categories_far_from_any_border():
    # RPV = 20 - (0.59 * 60 + 9) = -24.4, RLL = 30 - (0.62 * 60 + 29) = -36.2, LDI = (20 - 10) / 30 = 33%.
    assert gap_categories([20, 40, 60, 30], -10).tolist() == [0, 0, 0]
    # RPV = 50 - 38.5 = 11.5, RLL = 75 - 60 = 15, LDI = (50 + 20) / 75 = 93 percent.
    assert gap_categories([50, 0, 50, 75], 20).tolist() == [3, 3, 3]
    assert gap_categories([38, 12, 50, 60], -2).tolist() == [2, 2, 2]  # -0.5, 0, 36 / 60 = 60 percent
    assert schwab_modifiers([[40, 10, 50, 70], [30, 25, 55, 40], [20, 40, 60, 30]]).tolist() == [
        [0, 0],
        [1, 1],
        [2, 2],
    ]


def test_each_category_has_a_name():
    assert all(len(GAP_CATEGORIES[name]) == len(borders) + 1 for name, borders in GAP_BORDERS.items())
    assert {len(borders) + 1 for borders in SCHWAB_BORDERS.values()} == {len(SCHWAB_MODIFIERS)}
    assert len(ROUSSOULY_BORDERS) + 1 == len(ROUSSOULY_GROUPS)
    assert list(GAP_CATEGORIES) == list(GAP_BORDERS) == ["RPV", "RLL", "LDI"]


# ------------------------------------------------------------------------ other routes, laws


@holds_for(poses())
def test_sacrofemoral_ratio_is_what_the_definition_says(pose):
    """By coordinates: how far the posterior corner lies behind the hip axis, over the length of the plate."""
    side, *_, points = pose
    (hip_x, _), (corner_x, _) = hip_axis(points), points[1]
    expected = SIDES[side] * (hip_x - corner_x) / math.dist(points[0], points[1])
    assert sacrofemoral_ratio(points) == pytest.approx(expected, abs=1e-12)
    assert sacrofemoral_ratio(points, side) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("side", sorted(SIDES))
def test_sacrofemoral_ratio_beyond_a_vertical_plate_follows_the_side(side):
    points = film(side, 110, 20, 10, plate=40, leg=120)
    expected = 120 / 40 * math.sin(math.radians(20)) + math.cos(math.radians(110)) / 2
    assert sacrofemoral_ratio(points, side) == pytest.approx(expected, abs=1e-12)
    assert abs(sacrofemoral_ratio(points) - expected) > 0.1  # read from S1, the patient faces the other way


@holds_for(poses())
def test_l1_tilt_is_what_the_film_was_drawn_with(pose):
    *_, tilt, points = pose
    assert l1_tilt(lumbopelvic_angles(points)) == pytest.approx(tilt, abs=1e-9)


@holds_for(poses(), st.floats(1e-2, 1e2), st.booleans())
def test_mirroring_and_scaling_the_film_change_no_index(pose, scale, mirrored):
    """Whole numbers may jump where an angle sits on a border, so only what is continuous is compared here."""
    *_, points = pose
    other = points * scale * ([-1, 1] if mirrored else [1, 1])
    before, after = lumbopelvic_angles(points), lumbopelvic_angles(other)
    assert sacrofemoral_ratio(other) == pytest.approx(sacrofemoral_ratio(points), abs=1e-11)
    for name in CONTINUOUS:
        if name != "LDI" or before[3] > 5:  # a share of a small lordosis magnifies the last bits
            np.testing.assert_allclose(FROM_ANGLES[name](after), FROM_ANGLES[name](before), rtol=0, atol=1e-8)


@pytest.mark.parametrize("index", sorted(set(FROM_ANGLES) - set(CONTINUOUS)))
def test_mirroring_and_scaling_the_film_change_no_category(index):
    films = np.stack(
        [film("left", ss, pt, tilt) for ss, pt, tilt in [(41, 14, 20), (28, 27, 5), (50, 3, 24)]]
    )
    before = FROM_ANGLES[index](lumbopelvic_angles(films))
    np.testing.assert_array_equal(FROM_ANGLES[index](lumbopelvic_angles(films * [-3, 3])), before)
    assert len(np.unique(before, axis=0)) > 1


@holds_for(persons())
def test_the_relative_measures_follow_from_pt_and_the_mismatch(angles):
    """SS = PI - PT and LL = PI - (PI - LL): RPV = 0.41 PI - 9 - PT, RLL = 0.38 PI - 29 - (PI - LL)."""
    _, pt, pi, _ = angles
    rpv, rll, mismatch = (
        f(angles) for f in (relative_pelvic_version, relative_lumbar_lordosis, pi_ll_mismatch)
    )
    assert rpv == pytest.approx(0.41 * pi - 9 - pt, abs=1e-9)
    assert rll == pytest.approx(0.38 * pi - 29 - mismatch, abs=1e-9)
    assert rpv + rll == pytest.approx(0.79 * pi - 38 - pt - mismatch, abs=1e-9)


@holds_for(st.floats(-80, 100), st.floats(-80, 100))
def test_who_is_ideal_for_gap_is_aligned(pi, other):
    ideal = [0.59 * pi + 9, 0, pi, 0.62 * pi + 29]
    assert gap_categories(ideal).tolist() == [2, 2]
    assert relative_pelvic_version(ideal) == relative_lumbar_lordosis(ideal) == 0
    assert relative_pelvic_version([ideal[0], 0, pi, other]) == 0  # LL does not enter RPV
    assert relative_lumbar_lordosis([other, 0, pi, ideal[3]]) == 0  # nor SS RLL


@holds_for(poses(), st.floats(-8, 8))
def test_leaning_back_moves_rpv_and_leaves_rll(pose, turn):
    """The whole spine turns about the hip axis: SS falls by what PT gains, PI and LL stay."""
    side, *_, points = pose
    before = lumbopelvic_angles(points, side)
    after = lumbopelvic_angles(rotate(points, -SIDES[side] * turn, hip_axis(points)), side)
    if np.abs(after - before).max() < 90:  # no angle passed 180
        assert relative_pelvic_version(after) == pytest.approx(
            relative_pelvic_version(before) - turn, abs=1e-9
        )
        assert relative_lumbar_lordosis(after) == pytest.approx(relative_lumbar_lordosis(before), abs=1e-9)
        assert pi_ll_mismatch(after) == pytest.approx(pi_ll_mismatch(before), abs=1e-9)
        assert l1_tilt(after) == pytest.approx(l1_tilt(before) + turn, abs=1e-9)


@holds_for(st.floats(-90, 90), st.floats(0.01, 90))
def test_shares_agree_with_the_normal_distribution_of_another_library(ss, sd):
    error = NormalDist(ss, sd)
    below, upto = error.cdf(35), error.cdf(45)
    shares = roussouly_shares([ss, 0, ss, 40], sd)
    np.testing.assert_allclose(shares, [below, upto - below, 1 - upto], rtol=0, atol=1e-12)
    assert (shares >= 0).all() and abs(shares.sum() - 1) < 2e-15


@holds_for(st.floats(0, 80), st.floats(0.5, 6))
def test_the_share_of_the_group_of_ss_follows_from_the_distance_to_the_border(ss, sd):
    group, distance = roussouly([ss, 0, ss, 40])
    shares = roussouly_shares([ss, 0, ss, 40], sd)
    if group != 1:
        assert shares.argmax() == group and shares[group] >= 0.5
    # Out of the group is an error larger than the distance to the nearest border, on one side or on both.
    beyond = 1 - NormalDist().cdf(distance / sd)
    assert beyond - 1e-12 <= 1 - shares[group] <= 2 * beyond + 1e-12


def test_a_larger_error_makes_the_neighbour_more_likely():
    shares = [roussouly_shares([37, 13, 50, 55], sd)[0] for sd in (0.5, 1, 2, 4, 8)]
    assert shares == sorted(shares) and shares[0] < 1e-4 and 0.3 < shares[-1] < 0.5


# ---------------------------------------------------------------------- arrays and tensors


@pytest.mark.parametrize("index", FROM_ANGLES)
@holds_for(st.lists(persons(), min_size=1, max_size=4))
def test_a_batch_equals_one_at_a_time_and_torch_equals_numpy(index, people):
    function, angles = FROM_ANGLES[index], np.stack(people)
    together = function(angles)
    np.testing.assert_array_equal(together, np.stack([function(one) for one in people]))
    tensor = function(torch.from_numpy(angles))
    assert tensor.dtype == (torch.float64 if index in CONTINUOUS else torch.int64)
    np.testing.assert_allclose(tensor.numpy(), together, rtol=1e-12, atol=1e-12)


@holds_for(st.lists(poses(), min_size=1, max_size=4))
def test_sacrofemoral_ratio_of_a_batch_and_in_torch(batch):
    points = np.stack([pose[-1] for pose in batch])
    together = sacrofemoral_ratio(points)
    np.testing.assert_allclose(together, [sacrofemoral_ratio(one) for one in points], rtol=0, atol=1e-12)
    np.testing.assert_allclose(sacrofemoral_ratio(torch.from_numpy(points)), together, rtol=0, atol=1e-12)


@pytest.mark.parametrize("index", FROM_ANGLES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 2), (2, 0, 4)])
def test_any_leading_axes(index, shape):
    angles = np.broadcast_to(PEOPLE[0], (*shape, 4))
    expected = shape + TRAILING.get(index, ())
    assert np.shape(FROM_ANGLES[index](angles)) == expected
    assert tuple(FROM_ANGLES[index](torch.tensor(angles)).shape) == expected


@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_any_leading_axes_of_landmarks(shape):
    points = np.broadcast_to(BY_HAND, (*shape, 6, 2))
    assert np.shape(sacrofemoral_ratio(points)) == shape
    assert tuple(sacrofemoral_ratio(torch.tensor(points)).shape) == shape


@pytest.mark.parametrize("index", FROM_ANGLES)
def test_single_and_whole_numbers(index):
    function, exact = FROM_ANGLES[index], FROM_ANGLES[index](PEOPLE)
    single = function(torch.tensor(PEOPLE, dtype=torch.float32))
    assert single.dtype == (torch.float32 if index in CONTINUOUS else torch.int64)
    np.testing.assert_allclose(single.numpy(), exact, rtol=0, atol=2e-5)
    assert np.asarray(function(PEOPLE.astype(np.float32))).dtype == (
        float if index in CONTINUOUS else np.int64
    )
    whole = function(torch.tensor(PEOPLE).to(torch.int16))
    np.testing.assert_allclose(whole, function(np.trunc(PEOPLE).tolist()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int16, torch.uint8])
def test_short_numbers_of_landmarks_are_measured_in_float64(kind):
    ratio = sacrofemoral_ratio((torch.tensor(BY_HAND) + 100).to(kind))  # sums of two overflow uint8
    assert ratio.dtype == torch.float64 and ratio.item() == pytest.approx(0.9, abs=1e-12)
    single = sacrofemoral_ratio(torch.tensor(BY_HAND, dtype=torch.float32))
    assert single.dtype == torch.float32 and single.item() == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("index", CONTINUOUS)
def test_gradients_agree_with_finite_differences(index):
    angles = torch.tensor(PEOPLE, requires_grad=True)
    assert torch.autograd.gradcheck(FROM_ANGLES[index], angles)


def test_gradients_flow_from_landmarks_and_to_the_tilt_of_l4():
    points = torch.tensor(
        np.stack([film("left", 40, 15, 20), film("right", -10, -5, 25)]), requires_grad=True
    )
    assert torch.autograd.gradcheck(sacrofemoral_ratio, points)
    assert torch.autograd.gradcheck(lambda p: relative_lumbar_lordosis(lumbopelvic_angles(p)), points)
    tilts = torch.tensor([-8.0, -3.0, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: lordosis_distribution_index(torch.tensor(PEOPLE), t), tilts)


def test_a_missing_head_leaves_the_other_as_hip_axis():
    points = BY_HAND.astype(float)
    points[5] = np.nan  # the hip axis is at x = -6 now: (4 + 6) / 10
    assert sacrofemoral_ratio(points) == pytest.approx(1.0, abs=1e-14)
    masked = np.ma.masked_invalid(points)
    masked.data[5] = -999
    assert sacrofemoral_ratio(masked) == pytest.approx(1.0, abs=1e-14)
    tensor = torch.tensor(points, requires_grad=True)
    sacrofemoral_ratio(tensor).backward()
    assert torch.isfinite(tensor.grad).all() and tensor.grad[5].abs().sum() == 0


def test_the_tilt_of_l4_is_one_for_all_or_one_for_each():
    # (40 - 4) / 60, (28 + 3) / 31, (47.5 - 14.5) / 66 and (36 - 12) / 48 are 60, 100, 50 and 50 percent.
    tilts = [-4, 3, -14.5, -12]
    for angles in (PEOPLE, torch.tensor(PEOPLE)):
        for given_tilts in (tilts, np.array(tilts), torch.tensor(tilts), torch.tensor(tilts).half()):
            ldi = lordosis_distribution_index(angles, given_tilts)
            assert type(ldi) is type(angles)
            np.testing.assert_allclose(ldi, [60, 100, 50, 50], rtol=1e-14)
        assert gap_categories(angles, tilts)[..., 2].tolist() == [2, 3, 2, 2]
        for one in (-4, np.float32(-4), torch.tensor(-4.0)):
            assert lordosis_distribution_index(angles, one)[0] == pytest.approx(60)
    grid = np.broadcast_to(PEOPLE, (3, 4, 4))
    assert lordosis_distribution_index(grid, np.full((3, 4), -4)).shape == (3, 4)


def test_the_input_is_left_as_it_was():
    for angles in (PEOPLE.copy(), torch.tensor(PEOPLE)):
        for function in FROM_ANGLES.values():
            function(angles)
        np.testing.assert_array_equal(angles, PEOPLE)


def test_numpy_users_need_no_torch():
    use = (
        "import sys, lumbo.indices as i; a = [[40, 15, 55, 60]]; i.schwab_modifiers(a); "
        "i.gap_categories(a, -4); i.roussouly(a); i.roussouly_shares(a, 3); i.l1_tilt(a); "
        f"i.sacrofemoral_ratio({BY_HAND.tolist()}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", use], check=True)


# -------------------------------------------------------------------------------- refusals

NAN, INF = np.nan, np.inf
HOSTILE = {  # what is given, and the field, the value and what is allowed as the error names them
    "NaN": ([40, NAN, 55, 60], "angles.PT", "nan", "a finite number from -360 to 360"),
    "infinite": ([40, 15, -INF, 60], "angles.PI", "-inf", "a finite number from -360 to 360"),
    "too large": ([360.5, 15, 55, 60], "angles.SS", "360.5", "a finite number from -360 to 360"),
    "in a batch": ([PEOPLE[0], [4, 1, 5, 1e300]], "angles.LL", "1e+300", "a finite number from -360 to 360"),
    "landmarks": (BY_HAND.astype(float), "angles", r"(6, 2)", "numbers of shape (..., 4)"),
    "five angles": (np.zeros((3, 5)), "angles", "(3, 5)", "numbers of shape (..., 4)"),
    "one number": (np.float64(40), "angles", "()", "numbers of shape (..., 4)"),
    "complex": (PEOPLE + 1j, "angles", "'complex128 values'", "real numbers of shape (..., 4)"),
    "truths": (PEOPLE > 30, "angles", "'bool values'", "real numbers of shape (..., 4)"),
}  # fmt: skip
NO_ARRAYS = {
    "ragged": [[40, 15], [3]], "texts": ["a", "b", "c", "d"], "nothing": None, "a table": {"SS": 40},
    "True": [40, 15, True, 60], "dates": PEOPLE.astype("M8[D]"), "a missing one": [40, 15, None, 60],
}  # fmt: skip


@pytest.mark.parametrize("index", FROM_ANGLES)
@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_refuses_what_are_no_angles_and_names_it(index, what, convert):
    angles, field, value, allowed = HOSTILE[what]
    with pytest.raises(InputError) as caught:
        FROM_ANGLES[index](convert(np.asarray(angles)))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: got {value}; allowed: {allowed}")


@pytest.mark.parametrize("index", FROM_ANGLES)
@pytest.mark.parametrize("what", NO_ARRAYS)
def test_refuses_what_is_no_array_of_numbers(index, what):
    with pytest.raises(
        InputError, match=r"^angles: got .*; allowed: (real )?numbers of shape \(\.\.\., 4\)$"
    ):
        FROM_ANGLES[index](NO_ARRAYS[what])


@pytest.mark.parametrize("index", FROM_ANGLES)
def test_refuses_tensors_that_hold_no_numbers_to_read(index):
    for tensor in (torch.empty(3, 4, device="meta"), torch.tensor(PEOPLE).to_sparse()):
        with pytest.raises(InputError, match="^angles: got "):
            FROM_ANGLES[index](tensor)


def test_a_masked_angle_is_refused():
    masked = np.ma.array(PEOPLE, mask=PEOPLE == 31)
    with pytest.raises(InputError, match="^angles.LL: got nan; allowed: a finite number"):
        pi_ll_mismatch(masked)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("ll", [just_below(1), 0, -0.0, -30])
def test_ldi_refuses_what_is_no_lordosis(convert, ll):
    angles = convert(np.array([PEOPLE[0], [30, 20, 50, ll]]))
    for function in (lordosis_distribution_index, gap_categories):
        with pytest.raises(
            InputError, match="^angles.LL: got .*; allowed: a lordosis of at least 1 degree"
        ) as caught:
            function(angles, -4)
        assert caught.value.value == ll
    assert gap_categories(angles).shape == (2, 2)  # RPV and RLL do not need one
    angles[1, 3] = 1
    assert lordosis_distribution_index(angles, 0)[1] == 3000  # 30 of 1 degree


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["tilts of numpy", "tilts of torch"])
@pytest.mark.parametrize(
    ("tilts", "error"),
    [
        ([1.0, 2, 3], "l4_tilt: got (3,); allowed: one number, or numbers of shape (4,)"),
        ([[1.0], [2], [3], [4]], "l4_tilt: got (4, 1); allowed: one number, or numbers of shape (4,)"),
        ([1, 2, NAN, 4], "l4_tilt[2]: got nan; allowed: a number from -360 to 360"),
        (-INF, "l4_tilt: got -inf; allowed: a number from -360 to 360"),
        ([1, 400, 3, 4], "l4_tilt[1]: got 400.0; allowed: a number from -360 to 360"),
        ([True, True, False, True], "l4_tilt: got 'bool values'; allowed: real numbers of shape (...,)"),
        (1j, "l4_tilt: got 'complex128 values'; allowed: real numbers of shape (...,)"),
    ],
)
def test_refuses_other_tilts_of_l4(convert, kind, tilts, error):
    for function in (lordosis_distribution_index, gap_categories):
        with pytest.raises(InputError) as caught:
            function(convert(PEOPLE), kind(np.array(tilts)))
        assert str(caught.value) == error


@pytest.mark.parametrize("sd", [0, -1, 0.009, 90.1, NAN, INF, "3", None, True, [3], 3j])
def test_refuses_another_sd(sd):
    with pytest.raises(InputError, match=r"^sd_deg: got .*; allowed: a number from 0.01 to 90$"):
        roussouly_shares(PEOPLE, sd)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_sacrofemoral_ratio_refuses_what_cannot_be_measured(convert):
    hidden, upright = BY_HAND.astype(float), BY_HAND.astype(float)
    hidden[0], upright[0] = NAN, (4, 3)  # straight below the posterior corner
    for points, side, field in (
        (PEOPLE, None, "landmarks"),
        (hidden, None, "landmarks.s1_anterior"),
        (upright, None, "anterior"),
        (BY_HAND, "front", "anterior"),
    ):
        with pytest.raises(InputError) as caught:
            sacrofemoral_ratio(convert(points), side)
        assert caught.value.field == field


@holds_for(st.lists(st.floats(-360, 360), min_size=4, max_size=4), st.floats(-360, 360), st.floats(0.01, 90))
def test_whatever_is_allowed_gives_finite_numbers(angles, tilt, sd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, function in FROM_ANGLES.items():
            if "LDI" not in name:
                assert np.isfinite(function(angles)).all()
        assert np.isfinite(roussouly_shares(angles, sd)).all()
        if angles[3] >= 1:
            assert np.isfinite(lordosis_distribution_index(angles, tilt))


# ------------------------------------------------------------------------------- docstrings

PUBLIC = [getattr(indices, name) for name in indices.__all__ if callable(getattr(indices, name))]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_every_index_says_its_shape_its_errors_its_source_and_what_it_is_not_for(function):
    text = inspect.getdoc(function)
    assert "shape (...)" in text or "shape (..., " in text
    assert "InputError" in text
    assert re.search(r"\w+( et al\.)?, [A-Z][\w ]+ (19|20)\d\d", text.replace("\n", " "))
    assert re.search(r"\bNot\s|no\s+GAP", text)


def test_the_module_says_that_it_is_not_for_clinical_use():
    assert "not for clinical use" in indices.__doc__.lower()
