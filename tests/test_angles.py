"""The four angles against independent routes, and the laws that any measurement of them obeys."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbo.angles import ANGLES, LANDMARKS, SIDES, hip_axis, lumbopelvic_angles, rotate, s1_midpoint
from lumbo.errors import InputError

HEADS_SWAPPED = [0, 1, 2, 3, 5, 4]
ANTERIOR_POSTERIOR_SWAPPED = [1, 0, 3, 2, 4, 5]

#: A patient who faces left, y down: the S1 plate falls 3 in 4, L1 rises 1 in 4,
#: and the middle of S1, at (0, 0), lies 5 behind and 12 above the hip axis.
BY_HAND = np.array([[-4, 3], [4, -3], [-10, -41], [-2, -39], [-6, 10], [-4, 14]])


def film(side, ss_deg, pt_deg, l1_tilt_deg, plate=35.0, leg=120.0):
    """Draw landmarks with these angles, by complex numbers: x forwards, y *up*, then flipped."""
    plate_s1 = plate / 2 * np.exp(-1j * np.radians(ss_deg))  # falls forwards
    plate_l1 = plate / 2 * np.exp(1j * np.radians(l1_tilt_deg))  # rises forwards
    hip = leg * np.exp(-1j * np.radians(90 - pt_deg))  # below, and in front for PT > 0
    l1 = 10 + 180j
    z = np.array([plate_s1, -plate_s1, l1 + plate_l1, l1 - plate_l1, hip + 8 + 3j, hip - 8 - 3j])
    return np.stack([SIDES[side] * z.real, -z.imag], -1)


def holds_for(*strategies):
    """Run a test on drawn examples, however slow the machine."""
    return lambda test: settings(deadline=None)(given(*strategies)(test))


@st.composite
def poses(draw):
    """A side, and angles wider than any patient's but with the anterior direction unambiguous."""
    side = draw(st.sampled_from(sorted(SIDES)))
    ss, pt, tilt = (draw(st.floats(-limit, limit)) for limit in (85, 80, 80))
    plate, leg = draw(st.floats(20, 60)), draw(st.floats(60, 200))
    return side, ss, pt, tilt, film(side, ss, pt, tilt, plate, leg)


def angle_between(u, v):
    """Return the unsigned angle between two vectors in degrees, from their dot product."""
    return np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1)))


# ---------------------------------------------------------------- what the angles are


def test_example_by_hand():
    ss, pt, l1_tilt = np.degrees(np.arctan([6 / 8, 5 / 12, 2 / 8]))
    expected = [ss, pt, ss + pt, ss + l1_tilt]
    np.testing.assert_allclose(lumbopelvic_angles(BY_HAND), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected, [36.8699, 22.6199, 59.4898, 50.9061], atol=1e-4)


def test_signs_of_each_angle():
    ss, pt, _, ll = lumbopelvic_angles(film("left", 40, 15, 20))
    assert (ss > 0, pt > 0, ll > 0) == (True, True, True)
    assert lumbopelvic_angles(film("left", -5, 15, 20))[0] < 0  # the plate rises forwards
    assert lumbopelvic_angles(film("left", 40, -5, 20))[1] < 0  # S1 in front of the hip axis
    assert lumbopelvic_angles(film("left", 10, 15, -20))[3] < 0  # a kyphotic lumbar spine


@holds_for(poses())
def test_recovers_the_angles_a_film_was_drawn_with(pose):
    _, ss, pt, tilt, points = pose
    measured = lumbopelvic_angles(points)
    np.testing.assert_allclose(measured, [ss, pt, ss + pt, ss + tilt], rtol=0, atol=1e-9)


@holds_for(poses())
def test_identities_hold_bit_for_bit(pose):
    side, *_, points = pose
    ss, pt, pi, ll = lumbopelvic_angles(points, side)
    assert pi == pt + ss
    l1_as_s1 = points[[2, 3, 2, 3, 4, 5]]
    l1_tilt = -lumbopelvic_angles(l1_as_s1, side)[0]
    assert ll == ss + l1_tilt


@holds_for(poses())
def test_pi_is_the_angle_from_the_plate_normal_to_the_hip_axis(pose):
    """The textbook's definition, never mentioning PT or SS; signed by the cross product."""
    side, *_, points = pose
    front, back = points[0], points[1]
    plate = front - back
    normal = np.array([-plate[1], plate[0]]) * SIDES[side]  # into the sacrum, downwards
    leg = (points[4] + points[5]) / 2 - (front + back) / 2
    turn = SIDES[side] * (leg[0] * normal[1] - leg[1] * normal[0])  # positive: hips in front of it
    pi = lumbopelvic_angles(points)[2]
    # arccos loses half its digits near 0 and 180 degrees, so the cosine is compared there.
    if 1 < abs(pi) < 179:
        assert abs(np.copysign(angle_between(normal, leg), turn) - pi) < 1e-9
    cosine = normal @ leg / np.linalg.norm(normal) / np.linalg.norm(leg)
    assert abs(cosine - np.cos(np.radians(pi))) < 1e-12


@holds_for(poses())
def test_ll_is_the_angle_between_the_plates(pose):
    *_, points = pose
    ll = lumbopelvic_angles(points)[3]
    between = angle_between(points[0] - points[1], points[2] - points[3])
    assert abs(between - abs(ll)) < 1e-5  # arccos: half the digits near 0
    assert abs(np.cos(np.radians(between)) - np.cos(np.radians(ll))) < 1e-12


# ------------------------------------------------------------- what must not matter


@holds_for(poses())
def test_viewing_side_does_not_matter(pose):
    *_, points = pose
    mirrored = points * [-1, 1]
    np.testing.assert_array_equal(lumbopelvic_angles(mirrored), lumbopelvic_angles(points))


@holds_for(poses(), st.floats(1e-3, 1e3))
def test_unit_does_not_matter(pose, scale):
    *_, points = pose
    np.testing.assert_allclose(
        lumbopelvic_angles(points * scale), lumbopelvic_angles(points), rtol=0, atol=1e-9
    )


@holds_for(poses(), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_place_on_the_film_does_not_matter(pose, dx, dy):
    *_, points = pose
    np.testing.assert_allclose(
        lumbopelvic_angles(points + [dx, dy]), lumbopelvic_angles(points), rtol=0, atol=1e-9
    )


@holds_for(poses())
def test_order_of_the_heads_does_not_matter(pose):
    *_, points = pose
    np.testing.assert_array_equal(lumbopelvic_angles(points[HEADS_SWAPPED]), lumbopelvic_angles(points))


def test_l1_never_says_where_anterior_is():
    """A reversed L1 slope moves LL only; a side read from L1 would flip every sign."""
    lordotic, kyphotic = film("right", 40, 15, 20), film("right", 40, 15, -60)
    np.testing.assert_allclose(lumbopelvic_angles(lordotic), [40, 15, 55, 60], atol=1e-9)
    np.testing.assert_allclose(lumbopelvic_angles(kyphotic), [40, 15, 55, -20], atol=1e-9)


@holds_for(poses(), st.floats(1.1, 2))
def test_squeezing_one_axis_changes_the_angles(pose, stretch):
    """Pixels must be square: a plate is read by its ratio of height to width."""
    _, ss, *_, points = pose
    squeezed = lumbopelvic_angles(points * [1, stretch])[0]
    expected = np.degrees(np.arctan(stretch * np.tan(np.radians(ss))))
    assert abs(squeezed - expected) < 1e-9
    assert abs(squeezed) > abs(ss) or abs(ss) < 1e-6


# ------------------------------------------------------------ turning the pelvis


@holds_for(poses(), st.floats(-60, 60))
def test_turning_about_the_hip_axis_trades_ss_for_pt(pose, turn):
    side, *_, points = pose
    before = lumbopelvic_angles(points, side)
    clockwise = rotate(points, -SIDES[side] * turn, hip_axis(points))  # the spine falls backwards
    after = lumbopelvic_angles(clockwise, side)
    change = (after - before + 180) % 360 - 180  # a turn may pass +-180
    np.testing.assert_allclose(change, [-turn, turn, 0, 0], rtol=0, atol=1e-9)


def test_rotate_by_hand_is_clockwise_on_the_film():
    points = np.zeros((6, 2)) + [2, 1]
    quarter = rotate(points, 90, np.array([1, 1]))  # 3 o'clock goes to 6 o'clock: y down
    np.testing.assert_allclose(quarter, np.zeros((6, 2)) + [1, 2], atol=1e-15)


def test_rotate_takes_one_turn_per_film():
    batch = np.stack([BY_HAND, BY_HAND, BY_HAND])
    turned = rotate(batch, [0, 10, 20], hip_axis(batch))
    for one, turn in zip(turned, (0, 10, 20), strict=True):
        np.testing.assert_array_equal(one, rotate(BY_HAND, turn, hip_axis(BY_HAND)))


# ----------------------------------------------------------------- one head, one side


@holds_for(poses(), st.sampled_from([4, 5]))
def test_a_missing_head_leaves_the_other_as_hip_axis(pose, missing):
    *_, points = pose
    one = points.copy()
    one[missing] = np.nan
    both = points.copy()
    both[missing] = points[9 - missing]  # the same head twice
    np.testing.assert_array_equal(hip_axis(one), points[9 - missing])
    np.testing.assert_array_equal(lumbopelvic_angles(one), lumbopelvic_angles(both))


def test_a_head_may_be_missing_on_some_films_only():
    batch = np.stack([BY_HAND, BY_HAND, BY_HAND]).astype(float)
    batch[1, 4], batch[2, 5] = np.nan, np.nan
    np.testing.assert_array_equal(hip_axis(batch), [[-5, 12], [-4, 14], [-6, 10]])
    one_by_one = np.stack([lumbopelvic_angles(points) for points in batch])
    np.testing.assert_allclose(lumbopelvic_angles(batch), one_by_one, rtol=0, atol=1e-12)


def test_midpoints_by_hand():
    assert s1_midpoint(BY_HAND).tolist() == [0, 0]
    assert hip_axis(BY_HAND).tolist() == [-5, 12]


@pytest.mark.parametrize("side", sorted(SIDES))
@pytest.mark.parametrize("ss", [-100.0, -90.0, 90.0, 100.0, 140.0])
def test_beyond_a_vertical_plate_the_side_must_be_given(side, ss):
    points = film(side, ss, 20, 10)
    given_side = lumbopelvic_angles(points, side)
    np.testing.assert_allclose(given_side, [ss, 20, 20 + ss, ss + 10], rtol=0, atol=1e-9)
    if abs(ss) > 90:  # read from S1 the patient seems to face the other way
        assert abs(lumbopelvic_angles(points)[0] - ss) > 1


@holds_for(poses())
def test_giving_the_side_changes_nothing_where_it_is_unambiguous(pose):
    side, *_, points = pose
    np.testing.assert_array_equal(lumbopelvic_angles(points, side), lumbopelvic_angles(points))


def test_exchanged_corners_read_as_the_other_side():
    """Anterior for posterior on both plates looks like a patient who faces the other way."""
    swapped = lumbopelvic_angles(BY_HAND[ANTERIOR_POSTERIOR_SWAPPED])
    ss, pt, _, ll = lumbopelvic_angles(BY_HAND)
    np.testing.assert_allclose(swapped, [-ss, -pt, -ss - pt, -ll], rtol=0, atol=1e-12)


# -------------------------------------------------------------- arrays and tensors


@holds_for(st.lists(poses(), min_size=1, max_size=5))
def test_a_batch_equals_one_at_a_time_and_torch_equals_numpy(batch):
    points = np.stack([pose[-1] for pose in batch])
    together = lumbopelvic_angles(points)
    one_by_one = np.stack([lumbopelvic_angles(one) for one in points])
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-12)
    tensor = lumbopelvic_angles(torch.from_numpy(points))
    assert tensor.dtype == torch.float64
    np.testing.assert_allclose(tensor.numpy(), together, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 2), (2, 0, 4)])
def test_any_batch_shape(shape):
    points = np.broadcast_to(BY_HAND, (*shape, 6, 2))
    assert lumbopelvic_angles(points).shape == (*shape, 4)
    assert tuple(lumbopelvic_angles(torch.tensor(points)).shape) == (*shape, 4)
    assert hip_axis(points).shape == s1_midpoint(points).shape == (*shape, 2)


@pytest.mark.parametrize("kind", [list, np.int32, np.float32, np.float64])
def test_numpy_input_of_any_kind_gives_float64(kind):
    points = BY_HAND.tolist() if kind is list else BY_HAND.astype(kind)
    measured = lumbopelvic_angles(points)
    assert measured.dtype == np.float64
    np.testing.assert_array_equal(measured, lumbopelvic_angles(BY_HAND))


def test_torch_keeps_float32_and_measures_integers_in_float64():
    exact = lumbopelvic_angles(BY_HAND)
    single = lumbopelvic_angles(torch.tensor(BY_HAND, dtype=torch.float32))
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), exact, rtol=0, atol=2e-5)
    whole = lumbopelvic_angles(torch.tensor(BY_HAND))
    assert whole.dtype == torch.float64
    np.testing.assert_allclose(whole.numpy(), exact, rtol=0, atol=1e-12)


def test_the_input_is_left_as_it_was():
    points = BY_HAND.astype(float)
    points[5] = np.nan
    for given_points in (points, torch.from_numpy(points)):
        lumbopelvic_angles(given_points)
        np.testing.assert_array_equal(points[:5], BY_HAND[:5])
        assert np.isnan(points[5]).all()


@pytest.mark.parametrize("anterior", [None, "left"])
def test_gradients_agree_with_finite_differences(anterior):
    points = torch.tensor(np.stack([film("left", 40, 15, 20), film("left", -10, -5, 5)]))
    points.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: lumbopelvic_angles(p, anterior), points)


def test_a_missing_head_passes_no_nan_into_the_gradient():
    points = torch.tensor(BY_HAND, dtype=torch.float64)
    points[5] = torch.nan
    points.requires_grad_()
    lumbopelvic_angles(points).sum().backward()
    assert torch.isfinite(points.grad).all()
    assert points.grad[4].abs().sum() > 0 and points.grad[5].abs().sum() == 0


def test_numpy_users_need_no_torch():
    measure = f"import sys, lumbo.angles; lumbo.angles.lumbopelvic_angles({BY_HAND.tolist()})"
    subprocess.run([sys.executable, "-c", f"{measure}; assert 'torch' not in sys.modules"], check=True)


# ---------------------------------------------------------------------- refusals


def spoiled(**points):
    """Return the example with some landmarks replaced, by name."""
    landmarks = BY_HAND.astype(float)
    for name, value in points.items():
        landmarks[LANDMARKS.index(name)] = value
    return landmarks


NAN, INF = np.nan, np.inf
DEGENERATE = {
    "coincident S1": (spoiled(s1_anterior=(4, -3)), "landmarks.s1 corners"),
    "coincident L1": (spoiled(l1_posterior=(-10, -41)), "landmarks.l1 corners"),
    "NaN corner": (spoiled(l1_anterior=(NAN, NAN)), "landmarks.l1_anterior"),
    "half a NaN corner": (spoiled(s1_posterior=(NAN, 1)), "landmarks.s1_posterior"),
    "infinite corner": (spoiled(s1_anterior=(INF, 1)), "landmarks.s1_anterior"),
    "infinite head": (spoiled(head_far=(1, -INF)), "landmarks.head_far"),
    "half a head": (spoiled(head_near=(NAN, 10)), "landmarks.head_near"),
    "half a head, half infinite": (spoiled(head_near=(NAN, INF)), "landmarks.head_near"),
    "one head missing, one infinite": (spoiled(head_near=NAN, head_far=INF), "landmarks.head_far"),
    "both heads missing": (spoiled(head_near=NAN, head_far=NAN), "landmarks.head_near"),
    "S1 on the hip axis": (spoiled(head_near=(3, 1), head_far=(-3, -1)), "landmarks"),
    "vertical S1, side not given": (spoiled(s1_anterior=(4, 3)), "anterior"),
    "five points": (BY_HAND[:5], "landmarks"),
    "three coordinates": (np.zeros((6, 3)), "landmarks"),
    "flat": (BY_HAND.ravel(), "landmarks"),
    "one number": (np.float64(3), "landmarks"),
}


@pytest.mark.parametrize("what", DEGENERATE)
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_refuses_what_cannot_be_measured_and_names_it(what, convert):
    landmarks, field = DEGENERATE[what]
    with pytest.raises(InputError) as caught:
        lumbopelvic_angles(convert(landmarks))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: got ")


@pytest.mark.parametrize("what", [what for what in DEGENERATE if np.shape(DEGENERATE[what][0]) == (6, 2)])
def test_one_bad_film_spoils_its_batch_loudly(what):
    landmarks, field = DEGENERATE[what]
    with pytest.raises(InputError) as caught:
        lumbopelvic_angles(np.stack([BY_HAND, landmarks, BY_HAND]))
    assert caught.value.field == field


@pytest.mark.parametrize("landmarks", [[[1, 2], [3]], [["a", "b"]] * 6, None])
def test_refuses_what_is_not_an_array_of_numbers(landmarks):
    with pytest.raises(InputError, match=r"^landmarks: got .*shape \(\.\.\., 6, 2\)$"):
        lumbopelvic_angles(landmarks)


@pytest.mark.parametrize("side", ["Left", "", "front", -1, ["left"], ["left", "right"], {"left"}, True, 1.0])
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_refuses_an_unknown_side(side, convert):
    with pytest.raises(InputError, match="'left', 'right' or None") as caught:
        lumbopelvic_angles(convert(BY_HAND), side)
    assert (caught.value.field, caught.value.value) == ("anterior", side)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_every_film_of_a_batch_may_have_a_side_of_its_own(convert):
    sides = ["left", "right", "left"]
    points = np.stack([film(side, 100, 20, 10) for side in sides])
    for given_sides in (sides, np.array(sides)):
        measured = np.asarray(lumbopelvic_angles(convert(points), given_sides))
        np.testing.assert_allclose(measured, [[100, 20, 120, 110]] * 3, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match=r"a side for each of \(3,\)$"):
        lumbopelvic_angles(convert(points), ["left"])


def test_a_masked_head_is_a_head_that_is_not_seen():
    masked = np.ma.array(BY_HAND.copy(), mask=np.zeros((6, 2), bool))
    masked[5] = np.ma.masked
    masked.data[5] = -999
    np.testing.assert_array_equal(lumbopelvic_angles(masked), lumbopelvic_angles(spoiled(head_far=NAN)))
    masked[0] = np.ma.masked
    with pytest.raises(InputError, match=r"^landmarks.s1_anterior: got \[nan, nan\]"):
        lumbopelvic_angles(masked)


NO_NUMBERS = {
    "complex": BY_HAND + 1j, "truths": BY_HAND > 0, "dates": BY_HAND.astype("M8[D]"), "texts": BY_HAND.astype(str),
    "objects": np.where(BY_HAND > 13, None, BY_HAND),
}  # fmt: skip
NO_NUMBERS_IN_TENSORS = {"complex": torch.tensor(BY_HAND + 1j), "truths": torch.tensor(BY_HAND > 0)}


@pytest.mark.parametrize("what", NO_NUMBERS)
@pytest.mark.parametrize("function", [lumbopelvic_angles, hip_axis, s1_midpoint])
def test_refuses_what_are_no_real_numbers(what, function):
    with pytest.raises(InputError, match="^landmarks: got '.*; allowed: real numbers"):
        function(NO_NUMBERS[what])


@pytest.mark.parametrize("what", NO_NUMBERS_IN_TENSORS)
def test_refuses_tensors_of_no_real_numbers(what):
    with pytest.raises(InputError, match="^landmarks: got '.*; allowed: real numbers"):
        lumbopelvic_angles(NO_NUMBERS_IN_TENSORS[what])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int16, torch.uint8])
def test_short_numbers_are_measured_in_float64(kind):
    points = (torch.tensor(BY_HAND) + 100).to(kind)
    measured = lumbopelvic_angles(points * 1)
    assert measured.dtype == torch.float64
    np.testing.assert_allclose(measured, lumbopelvic_angles(BY_HAND), rtol=0, atol=1e-9)
    large = 32_760 + 4 * BY_HAND  # sums of two overflow float16
    exact = lumbopelvic_angles(large.astype(np.float16).astype(float))
    np.testing.assert_array_equal(lumbopelvic_angles(large.astype(np.float16)), exact)
    np.testing.assert_array_equal(lumbopelvic_angles(torch.tensor(large).to(torch.float16)), exact)


@pytest.mark.parametrize("far", [1.1e9, -1e300, 1.7e308])
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_refuses_points_so_far_off_that_numbers_round(far, convert):
    with pytest.raises(
        InputError, match=r"^landmarks.l1_anterior: got .*; allowed: finite numbers up to 1e\+09"
    ):
        lumbopelvic_angles(convert(spoiled(l1_anterior=(far, 1))))


@pytest.mark.parametrize(
    ("landmarks", "degrees", "center", "field"),
    [
        (BY_HAND[:5], 1, (0, 0), "landmarks"), (BY_HAND, "x", (0, 0), "degrees"), (BY_HAND, NAN, (0, 0), "degrees"),
        (BY_HAND, [1, 2], (0, 0), "degrees"), (BY_HAND, 1, (0, 0, 0), "center"), (BY_HAND, 1, (0, INF), "center"),
        (np.stack([BY_HAND] * 3), [1, 2], (0, 0), "degrees"), (BY_HAND, 1, np.zeros((2, 2)), "center"),
    ],
)  # fmt: skip
def test_rotate_refuses_what_cannot_be_turned(landmarks, degrees, center, field):
    with pytest.raises(InputError) as caught:
        rotate(landmarks, degrees, center)
    assert caught.value.field.split("[")[0] == field


def test_a_vertical_plate_is_measured_once_the_side_is_given():
    points = spoiled(s1_anterior=(4, 3))  # straight below the posterior corner
    ss = [lumbopelvic_angles(points, side)[0] for side in sorted(SIDES)]
    assert ss == [90.0, 90.0]


def test_names_and_order_are_the_contract():
    assert ANGLES == ("SS", "PT", "PI", "LL")
    assert LANDMARKS == (
        "s1_anterior", "s1_posterior", "l1_anterior", "l1_posterior", "head_near", "head_far"
    )  # fmt: skip
