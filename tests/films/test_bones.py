"""Bones against the spines they stand for: what is drawn lies where the landmarks say, whatever is wrong with it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from test_anatomy import (
    DIALS,
    L1,
    ROOMS,
    SWITCHED,
    built,
    in_space,
    length,
    plain,
    rng,
    same_patient,
    seen,
    vary,
)
from test_anatomy import other_factors as other_factors
from test_radiograph import bone

from lumbo.angles import lumbopelvic_angles
from lumbo.films import anatomy, bones, pelvis, populations, radiograph, shapes, variety, vertebrae
from lumbo.films.anatomy import LEVELS


def patients(switch, n=100):
    """Everybody in the cohorts, or one patient with a switch turned on."""
    if switch in SWITCHED:
        return same_patient(2, **{switch: SWITCHED[switch]})
    return populations.draw(switch, n, rng(5))


def halves(solid, level):
    """The upper plate of one block of a column that is drawn in left and right halves: (n, 2 halves, 2 corners, 3)."""
    n, many = solid.corners_mm.shape[:2]
    flat = solid.corners_mm.reshape(n, 2, many // 2, 4, 2)[:, :, level, :2]
    depth = np.broadcast_to(solid.y_mm, (n, many)).reshape(n, 2, many // 2)[:, :, level]
    nearer = solid.nearer_mm.reshape(n, 2, many // 2, 4)[:, :, level, :2]
    return anatomy.in_space(flat, depth[..., None] + nearer)


def drawn_plates(spines, factors):
    """The plates of S1 and L1 as they are drawn, front and back corner: (n, 2 halves, 4, 3) in space."""
    sacrum, bodies = pelvis.sacrum(spines, factors)[0], vertebrae.bodies(spines, factors)[0]
    return np.concatenate([halves(sacrum, 0), halves(bodies, L1)], 2)


# ---------------------------------------------------------------- plates and landmarks


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("cohort", populations.cohort_names())
def test_the_drawn_plates_are_seen_where_the_landmarks_are(cohort, dial, room):
    """The mean of the left and the right half, projected, against the landmark turned in space.

    What remains is of second order: the halves of a turned block lie at other depths than its middle, and are moved
    aside by as much; the mean of their shadows is the shadow of the middle but for some tenths of a millimetre.
    """
    who = populations.draw(cohort, 200, rng(5))
    spines, factors = built(replace(who, dome_mm=0 * who.dome_mm), dial=dial)
    scanner = ROOMS[room]
    shot = radiograph.aim(spines, scanner, 256, factors)
    drawn, space = drawn_plates(spines, factors), in_space(spines)[:, :4]
    found = seen(drawn.reshape(200, 8, 3), scanner, shot).reshape(200, 2, 4, 2).mean(1)
    stated = seen(space, scanner, shot)
    assert abs(found - stated).mean() < 0.05 and abs(found - stated).max() < 0.6


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("cohort", populations.cohort_names())
def test_film_angles_are_those_of_the_drawn_shapes(cohort, dial, room):
    """Corners and balls that are drawn, measured: what a rater can read off the film is what is stated."""
    who = populations.draw(cohort, 200, rng(5))
    spines, factors = built(replace(who, dome_mm=0 * who.dome_mm), dial=dial)
    scanner, heads = ROOMS[room], pelvis.hips(spines, factors)[0].center_mm
    shot = radiograph.aim(spines, scanner, 256, factors)
    points = np.concatenate([drawn_plates(spines, factors).reshape(200, 8, 3), heads], 1)
    film = radiograph.project(points, scanner, shot)
    corners = np.concatenate([film[:, :8].reshape(200, 2, 4, 2).mean(1), film[:, 8:]], 1)
    stated = lumbopelvic_angles(radiograph.project(spines.landmarks_mm, scanner, shot), "left")
    off = abs(lumbopelvic_angles(corners, "left") - stated)
    assert (off.mean(0) < 0.1).all() and (off < 0.5).all()
    upright = (spines.twist_deg[:, L1] == 0) & (spines.lean_deg[:, L1] == 0) & (spines.pelvis_deg == 0).all(1)
    np.testing.assert_allclose(off[upright], 0, atol=0.02)  # halves at two depths, averaged
    assert upright.any() == (dial == 0)


@pytest.mark.parametrize("switch", SWITCHED)
def test_a_switch_draws_its_plates_at_the_landmarks(switch, other_factors):
    """In the patient's plane, to a billionth of a millimetre; S1 is the line that fits the drawn upper edge best."""
    other_factors(body__sag={"mean": 1e-12})
    spines, factors = built(patients(switch), dial=0.0)
    bodies, sacrum = vertebrae.bodies(spines, factors)[0], pelvis.sacrum(spines, factors)[0]
    plate = halves(bodies, L1).mean(1)[..., ::2]
    middle = spines.bodies_mm[:, L1].mean(1)[:, None]
    shorter = np.stack([np.cos(np.radians(spines.twist_deg[:, L1])), np.ones(len(spines))], -1)[:, None]
    np.testing.assert_allclose(plate, middle + (spines.bodies_mm[:, L1, :2] - middle) * shorter, atol=1e-9)
    front, back = np.moveaxis(halves(sacrum, 0).mean(1)[..., ::2], 1, 0)
    share = ((np.arange(2000) + 0.5) / 2000)[:, None]
    sag = np.broadcast_to(sacrum.sag_mm, (*sacrum.corners_mm.shape[:2], 4))[:, 0, 0]
    slope, level = np.polyfit(share[:, 0] - 0.5, -4 * sag * share * (1 - share), 1)
    along = front - back
    up = np.stack([-along[:, 1], along[:, 0]], -1) / length(along)[:, None]
    ends = front + (level - slope / 2)[:, None] * up, back + (level + slope / 2)[:, None] * up
    np.testing.assert_allclose(np.stack(ends, 1), spines.s1_mm, atol=1e-6)


@pytest.mark.parametrize("room", ROOMS)
def test_plates_found_on_the_film_have_the_stated_angles(room):
    """Not the numbers but the pixels: the upper edges of S1 and L1, fitted on a film of these two alone."""
    spines, factors = built(same_patient(1), dial=0.0)
    scanner = replace(ROOMS[room], aim_mm=0.0, shutters=0.0)
    shot = radiograph.aim(spines, scanner, 1024, factors)
    even = {name: (0.0,) * 4 for name in ("shell", "taper_mm", "sag_mm")} | {
        "y_mm": 0.0,
        "skew": (0.0,),
        "nearer_mm": (0.0,),
        "slant_mm": ((0.0, 0.0),),
        "rough_mm": (0.0,),
    }
    tilt = {}
    for name, solid, at in (
        ("S1", pelvis.sacrum(spines, factors)[0], 0),
        ("L1", vertebrae.bodies(spines, factors)[0], L1),
    ):
        corners = solid.corners_mm.reshape(1, 2, -1, 4, 2).mean(1)[:, [at]]
        film = (
            bone([replace(solid, corners_mm=corners, half_width_mm=2.0, density=1.0, **even)], shot, scanner)[
                0
            ]
            / 4
        )
        ends = radiograph.project(anatomy.in_space(corners[:, 0, :2]), scanner, shot)[0]
        columns = np.arange(int(ends[:, 0].min()) + 6, int(ends[:, 0].max()) - 5)
        top = [np.flatnonzero(film[:, c] > 0.5)[0] for c in columns]
        rows = [t - (film[t, c] - 0.5) / (film[t, c] - film[t - 1, c]) for t, c in zip(top, columns)]
        tilt[name] = np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))
    stated = lumbopelvic_angles(radiograph.project(spines.landmarks_mm, scanner, shot), "left")[0]
    assert -tilt["S1"] == pytest.approx(stated[0], abs=0.05)  # falls to the left, where y grows
    assert tilt["L1"] - tilt["S1"] == pytest.approx(stated[3], abs=0.05)


def test_bone_begins_below_the_plates_and_fills_the_heads():
    """On films of the drawn solids, near either corner, where a plate is not yet sunken."""
    who = populations.with_angles(populations.draw("healthy_adults", 12, rng(3)).angles_deg, rng(4))
    spines, factors = built(who, dial=0.0)  # neither domes nor curves
    room = replace(ROOMS["cone"], cut=0.0)
    shot = radiograph.aim(spines, room, 256, factors)
    points = radiograph.project(spines.landmarks_mm, room, shot)
    for solids, (front, back) in ((pelvis.sacrum, (0, 1)), (vertebrae.bodies, (2, 3))):
        film = bone([solids(spines, factors)[0]], shot, room)
        plate = points[:, front] - points[:, back]
        down = np.stack([plate[:, 1], -plate[:, 0]], -1) / length(plate)[:, None]
        for share in (0.2, 0.8):
            on_plate = points[:, back] + share * plate
            above, below = (value_at(film, on_plate + step * down) for step in (-2.5, 2.5))
            assert (below > above + 1).all()
    film = bone(pelvis.hips(spines, factors)[:1], shot, room)
    assert all((value_at(film, points[:, k]) > 1).all() for k in (4, 5))


def value_at(films, points_px):
    columns, rows = points_px.round().astype(int).T
    return films[np.arange(len(films)), rows, columns]


# ---------------------------------------------------------------- vertebrae


@pytest.mark.parametrize("setting", [{"curve": 40.0}, {"turn": 12.0}, {"lean": 6.0}])
def test_curved_turned_and_leaning_vertebrae_show_double_contours(setting):
    """By hand: the halves' middles lie 12 mm or so aside, and a lean of a parts them by their distance times sin a."""
    spines = plain(same_patient(1, curve_deg=[setting.get("curve", 0.0)]))
    ones = np.ones((1, len(LEVELS)))
    lean, twist = (
        spines.lean_deg + setting.get("lean", 0) * ones,
        spines.twist_deg + setting.get("turn", 0) * ones,
    )
    spines = replace(spines, lean_deg=lean, twist_deg=twist)
    left, right = np.moveaxis(halves(vertebrae.bodies(spines, vary(dial=0.0))[0], L1), 1, 0)
    apart = (left - right)[0]
    wide = apart[:, 1]
    np.testing.assert_allclose(apart[:, 2], -wide * np.sin(np.radians(lean[0, L1])), atol=1e-9)
    np.testing.assert_allclose(apart[:, 0], -wide * np.sin(np.radians(twist[0, L1])), atol=1e-9)
    assert np.linalg.norm(apart[0, ::2]) > 1.5 and 15 < wide[0] < 35


def test_spurs_grow_only_at_their_discs():
    """At the front corners of the two bodies beside it, and nowhere else."""
    spines = plain(same_patient(2, spurs_mm=[[0] * 5, [0, 6, 0, 0, 0]]))
    lips = vertebrae.bodies(spines, vary(dial=0.0))[1]
    without, with_one = lips.semi_mm[:, :, 0]
    np.testing.assert_array_equal(np.flatnonzero(without != with_one), [0, 4 + 3])  # on L5, under L4
    assert (with_one >= without).all()
    np.testing.assert_array_equal(np.flatnonzero((lips.center_mm[0] != lips.center_mm[1]).any(-1)), [0, 7])
    reach = lips.center_mm[1, 7, ::2] - spines.bodies_mm[1, 1, 3]
    assert reach @ (spines.bodies_mm[1, 1, 3] - spines.bodies_mm[1, 1, 2]) > 0  # forwards, beyond the corner


def test_plates_are_deepest_behind_their_middle():
    """Of both plates, whose edges run in opposite directions; by the same share as the file says."""
    solid = vertebrae.bodies(plain(same_patient(1)), vary(dial=0.0))[0]
    skew = np.broadcast_to(solid.skew, (1, 2 * len(LEVELS), 4))[0]
    assert (skew[:, 0] < 0).all() and (skew[:, 2] > 0).all() and not skew[:, [1, 3]].any()
    np.testing.assert_allclose(-skew[:, 0], skew[:, 2])


def test_the_plate_of_a_turned_sacrum_is_seen_as_broad_as_it_is_turned():
    """Its ends lie as far apart, from the far side to the near one, as the turn carries them."""
    straight = plain(same_patient(1))
    for turn_deg in (0.0, 10.0):
        spines = replace(straight, pelvis_deg=np.array([[turn_deg, 0.0]]))
        solid = pelvis.sacrum(spines, vary(dial=0.0))[0]
        slant = solid.slant_mm.reshape(2, 5, 4, 2)[:, 0, :2]
        depth = 2 * np.reshape(solid.half_width_mm, (2, 5))[:, 0]
        expected = -np.sin(np.radians(turn_deg)) * depth[:, None]
        np.testing.assert_allclose(abs(slant[..., 0]), abs(expected) + 0 * slant[..., 0], atol=1e-9)
        np.testing.assert_allclose(slant[..., 1], 0, atol=1e-9)


def test_an_arch_is_broken_only_where_a_body_has_slipped_forwards():
    """A dark line through the pillar of both sides."""
    slipped = same_patient(3, slip=[[0, 0], [0.4, 0], [0, 0.3]])

    def gaps(**scores):
        spines, factors = built(slipped, scores={f"column.{name}": score for name, score in scores.items()})
        return vertebrae.arches(spines, factors)[2].density

    expected = np.zeros((3, 2, len(LEVELS)), bool)
    expected[1, :, 0] = expected[2, :, 1] = True  # L5 and L4, left and right
    np.testing.assert_array_equal(gaps(lysis=1, backwards=-1) < 0, expected.reshape(3, -1))
    assert not gaps(lysis=-1, backwards=-1).any() and not gaps(lysis=1, backwards=1).any()


def test_foramina_are_dark_between_pedicles_and_joints():
    """Behind the disc, 6 mm behind the wall, the film shows far less bone than through the pedicles."""
    spines, factors = built(same_patient(1), dial=0.0)
    shot = radiograph.aim(spines, ROOMS["cone"], 512, factors)
    film = bone(bones.skeleton(spines, np.zeros(1, bool), factors), shot, ROOMS["cone"])[0]
    walls, front = spines.bodies_mm[0, :4, [1, 2]], spines.bodies_mm[0, :4, 0]
    away = walls[0] - front
    away = away / length(away)[:, None]
    up = (walls[0] - walls[1]) / length(walls[0] - walls[1])[:, None]
    hole, pedicle = walls[1] + 6 * away - 2 * up, walls.mean(0) + 6 * away + 6.5 * up
    dark, bright = (value_at(film[None].repeat(4, 0), at(points, shot)) for points in (hole, pedicle))
    assert (dark[1:] < 0.5 * bright[1:]).all()  # that of L5-S1 lies behind the iliac wings


def at(points_mm, shot):
    return radiograph.project(anatomy.in_space(points_mm)[None], ROOMS["cone"], shot)[0]


# ---------------------------------------------------------------- sacrum, pelvis, hips


def test_the_sacrum_is_a_chain_of_blocks_with_remnants_of_discs():
    """The gap under S1 is that of the file, times growth; a lumbarised S1 keeps a disc, and is squarer."""
    spines, factors = built(same_patient(2, transitional=[0, 1]), dial=0.0)
    blocks = pelvis.sacrum(spines, factors)[0].corners_mm.reshape(2, 2, 5, 4, 2).mean(1)
    gaps = length(blocks[:, :-1, 2:].mean(2) - blocks[:, 1:, :2].mean(2))
    assert gaps[0, 0] == pytest.approx(factors("sacrum.remnant", 2, 4)[0, 0]) and gaps[1, 0] == pytest.approx(
        4.8
    )
    assert (np.diff(gaps[0]) <= 0).all()
    plate = length(blocks[:, 0, 0] - blocks[:, 0, 1]), length(blocks[:, 0, 2] - blocks[:, 0, 3])
    np.testing.assert_allclose(plate[1] / plate[0], [0.70, 0.88])
    assert (np.diff(blocks[:, :, :2].mean(2)[..., 1], axis=1) < 0).all()  # downwards


def test_a_dome_bulges_by_its_height_above_a_plate_that_is_lower_by_two_thirds():
    flat, domed = (plain(same_patient(1, dome_mm=[high])) for high in (0.0, 9.0))
    one, other = (pelvis.sacrum(spines, vary(dial=0.0))[0] for spines in (flat, domed))
    np.testing.assert_allclose(length(one.corners_mm - other.corners_mm)[0, 0, :2], 6.0)
    assert (one.sag_mm - other.sag_mm)[0, 0, 0] == pytest.approx(9.0)


def test_the_pelvis_turns_as_one_piece():
    """Its solids are those of an unturned pelvis, moved by a matrix of SciPy."""
    spines, factors = built(populations.draw("degenerative", 6, rng(2)))
    flat = replace(spines, pelvis_deg=0 * spines.pelvis_deg, heads_mm=plain(spines.patients).heads_mm)
    turned, still = (
        [s.points_mm for s in pelvis.wings(spine, factors) if isinstance(s, shapes.Tubes)]
        + [pelvis.sacrum(spine, factors)[1].center_mm, pelvis.hips(spine, factors)[0].center_mm]
        for spine in (spines, flat)
    )
    for one, other in zip(turned, still, strict=True):
        for i, (about, drop) in enumerate(spines.pelvis_deg):
            by_scipy = Rotation.from_euler("zx", [about, -drop], degrees=True).apply(other[i].reshape(-1, 3))
            np.testing.assert_allclose(one[i].reshape(-1, 3), by_scipy, atol=1e-9)


def test_the_crest_stands_above_the_plate_as_published():
    """3.8 +- 0.8 cm above the middle of S1, n = 172, doi 10.1007/s00586-019-06118-7."""
    spines, factors = built(
        populations.draw("healthy_adults", 1000, rng(2)), without=("field.turn", "field.drop")
    )
    lines = [s.points_mm for s in pelvis.wings(spines, factors) if isinstance(s, shapes.Tubes)]
    top = max(lines, key=lambda points: points[..., 2].mean())[..., 2].max(-1).mean(1)
    above = top - spines.s1_mm.mean(1)[:, 1]
    assert above.mean() == pytest.approx(38, abs=3) and above.std() == pytest.approx(8, abs=4)


def test_heads_lie_at_their_landmarks_inside_a_bright_rim_of_their_radius():
    spines, factors = built(populations.draw("degenerative", 9, rng(2)))
    ball, rim = pelvis.hips(spines, factors)[:2]
    np.testing.assert_array_equal(ball.center_mm, spines.heads_mm)
    radius = spines.patients.size("head_radius")[:, None, None]
    np.testing.assert_allclose(ball.semi_mm, ball.semi_mm[..., :1] * np.ones(3))  # round
    np.testing.assert_allclose(
        length(rim.points_mm - spines.heads_mm[:, :, None]), radius + np.zeros((2, 9)), atol=1.5
    )


# ---------------------------------------------------------------- age and growth


def test_bone_is_lost_from_thirty_years_on():
    """2.5 of 226 Hounsfield units a year: by hand 1, 1, .779, .558 and .35, which is the least."""
    who = replace(same_patient(5), age_years=np.array([20.0, 30.0, 50.0, 70.0, 95.0]))
    found = vertebrae.density(plain(who), "vertebrae", vary(dial=0.0))
    np.testing.assert_allclose(found, [1, 1, 1 - 50 / 226, 1 - 100 / 226, 0.35])
    assert (
        0.7 < vertebrae.density(plain(replace(who, age_years=np.full(5, 10.0))), "pelvis", vary(dial=0.0))
    ).all()


def test_groups_of_bones_have_densities_of_their_own():
    """They share the patient's, so they go along with each other, but not entirely."""
    spines, factors = built(same_patient(2000))
    found = np.log(
        [vertebrae.density(spines, group, factors) for group in ("vertebrae", "arches", "sacrum", "pelvis")]
    )
    r = np.corrcoef(found)[np.triu_indices(4, 1)]
    between, within = (
        variety.factors()[f"bone.{name}"][key] for name, key in (("young", "between"), ("group", "within"))
    )
    np.testing.assert_allclose(r, between**2 / (between**2 + within**2), atol=0.06)


def test_a_childs_bones_are_smaller_in_proportion():
    """Extent of every bone, on average, beside the same patient grown up."""
    adult = same_patient(1)
    times = populations.growth(10.0)
    sizes = populations._grown(adult.sizes_mm, np.array([times]))
    child = replace(adult, age_years=np.array([10.0]), sizes_mm=sizes, pitch_mm=adult.pitch_mm * times)
    large, small = (bones.skeleton(plain(who), np.zeros(1, bool), vary(dial=0.0)) for who in (adult, child))
    for one, other in zip(large, small, strict=True):
        name = next(iter(vars(one)))
        extent = [
            np.ptp(getattr(s, name)[0].reshape(-1, getattr(s, name).shape[-1]), axis=0)[[0, -1]]
            for s in (one, other)
        ]
        np.testing.assert_allclose(extent[1], times * extent[0], rtol=0.05, atol=1)


# ---------------------------------------------------------------- metal, and chance


def test_implants_are_there_only_where_asked_and_never_above_the_surgeons_level():
    spines, factors = built(populations.draw("adult_deformity", 40, rng()))
    asked = np.arange(40) % 2 == 0
    metal = [s for s in bones.skeleton(spines, asked, factors) if s.material == shapes.TITANIUM]
    for solid in metal:
        there = (
            np.broadcast_to(solid.density, np.shape(getattr(solid, next(iter(vars(solid)))))[:2]) > 0
        ).any(1)
        assert not there[~asked].any()
    screws = metal[0]
    assert (screws.density > 0).any(1)[asked].all()
    levels = (screws.density > 0).reshape(40, 2, -1)  # S1, L5, ... T12
    np.testing.assert_array_equal(levels[:, 0], levels[:, 1])
    assert (
        levels.shape[-1] == 7 and (np.diff(levels[:, 0].astype(int), axis=1) != 0).sum(1).max() <= 2
    )  # in a row
    assert not [s for s in bones.skeleton(spines, ~asked & asked, factors) if s.material == shapes.TITANIUM]


def test_bones_are_those_of_the_factors_they_are_given(untouched):
    spines, factors = built(populations.draw("degenerative", 5, rng()))
    one, two, other = (bones.skeleton(spines, np.ones(5, bool), v) for v in (factors, factors, vary(9)))
    for a, b in zip(one, two, strict=True):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, getattr(b, name))
    assert any((np.asarray(a.density) != np.asarray(b.density)).any() for a, b in zip(one, other))


def test_no_solid_is_broken():
    """Numbers everywhere, no negative size, blocks convex, for every cohort and switch and more than the usual variety."""
    for who in [*populations.cohort_names(), *SWITCHED]:
        spines, factors = built(patients(who, 64), dial=1.5)
        for solid in bones.skeleton(spines, np.ones(len(spines), bool), factors):
            for name, value in vars(solid).items():
                assert np.isfinite(np.asarray(value, float)).all(), (who, type(solid), name)
            for name in ("semi_mm", "radius_mm", "half_width_mm"):
                assert np.min(getattr(solid, name, 0.0)) >= 0
            if isinstance(solid, shapes.Prisms) and solid.corners_mm.shape[2] == 4:
                edges = np.roll(solid.corners_mm, -1, 2) - solid.corners_mm
                after = np.roll(edges, -1, 2)
                bend = edges[..., 0] * after[..., 1] - edges[..., 1] * after[..., 0]
                assert ((bend > 0).all(-1) | (bend < 0).all(-1)).mean() > 0.98
