"""Films against geometry and physics worked out by other routes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lumbo import anatomy, radiograph, shapes
from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.radiograph import Exposure, Scanner

#: A room without randomness from film to film and without processing; tests change what they need.
ROOM = Scanner(source_mm=1500, object_mm=250, field_mm=(406.25, 500), aim_mm=15, photons=1e6, scatter=0,
               blur_mm=0, compress=0, edge=0, gamma=1, spread=0)  # fmt: skip
NO_BODY = shapes.Trunk(np.array([-900.0, 900.0]), *np.array([[[1.0, 1.0]], [[-1.0, -1.0]], [[0.0, 0.0]]]),
                       np.array([[0.0, 2000.0]]))  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


def exposure(center=(0.0, 0.0), pixel_mm=2.0, shape=(128, 104), n=1):
    return Exposure(np.tile(np.array(center, float), (n, 1)), pixel_mm, shape)


def no_body(n):
    return shapes.Trunk(NO_BODY.knots_mm, *(np.repeat(getattr(NO_BODY, name), n, 0)
                        for name in ("front_mm", "back_mm", "half_width_mm", "dome_mm")))  # fmt: skip


def ball(center, radius=20.0, density=0.03):
    return shapes.Ellipsoids(
        np.array([[center]], float), np.full((1, 1, 3), radius), np.zeros((1, 1)), density
    )


def draw(solids, shot, room=ROOM):
    """Attenuation without a body, (n, h, w)."""
    return radiograph.attenuation(solids, no_body(len(shot.center_mm)), room, shot).numpy()


def patients(n=8, seed=0, cohort="healthy_adults"):
    who = anatomy.cohort(cohort)
    return anatomy.spines(anatomy.draw_angles(who, n, rng(seed)), rng(seed + 1))


# ---------------------------------------------------------------- where things appear


def by_rays(points_mm, room, shot):
    """Send a ray from the tube through each point to the detector plane: pixels, the patient facing left."""
    pixels = np.empty((*points_mm.shape[:-1], 2))
    for i, film in enumerate(points_mm):
        tube = np.array([shot.center_mm[i, 0], room.source_mm - room.object_mm, shot.center_mm[i, 1]])
        for index in itertools.product(*map(range, film.shape[:-1])):
            towards = film[index] - tube
            hit = tube + towards * (-room.object_mm - tube[1]) / towards[1]
            from_centre = (hit[[0, 2]] - tube[[0, 2]]) / shot.pixel_mm
            pixels[(i, *index)] = (np.array(shot.shape[::-1]) - 1) / 2 - from_centre
    return pixels


def test_landmarks_land_where_rays_from_the_tube_hit_the_detector():
    who = patients()
    shot = radiograph.aim(who, ROOM, 128, rng())
    projected = radiograph.project(who.landmarks_mm, ROOM, shot)
    np.testing.assert_allclose(projected, by_rays(who.landmarks_mm, ROOM, shot), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("source_mm", "near", "far", "split_mm"),
    [(1000, 1.52, 1.19, 50), (1500, 1.30, 1.12, 27), (1800, 1.24, 1.10, 21)],
)
def test_heads_are_magnified_and_split_as_published(source_mm, near, far, split_mm):
    """Heads 93 mm to either side of the middle, 250 mm from the detector, 150 mm below the central ray."""
    room = replace(ROOM, source_mm=source_mm)
    found = [radiograph.magnification(y, room) for y in (93, -93)]
    np.testing.assert_allclose(found, [near, far], atol=0.005)
    heads = radiograph.project(np.array([[[0.0, 93.0, 0.0], [0.0, -93.0, 0.0]]]), room, exposure((0, 150)))[0]
    assert round(np.linalg.norm(heads[0] - heads[1]) * 2.0) == split_mm
    assert heads[0, 1] > heads[1, 1]  # the near head is pushed further down


def test_a_point_on_the_central_ray_lands_in_the_middle_of_the_film():
    shot = exposure((12.0, 34.0))
    for y in (-200.0, 0.0, 200.0):
        np.testing.assert_allclose(
            radiograph.project(np.array([[12.0, y, 34.0]]), ROOM, shot), [[51.5, 63.5]]
        )


@pytest.mark.parametrize("long_side_px", [32, 64, 256, 1024])
def test_film_angles_do_not_depend_on_the_number_of_pixels(long_side_px):
    who = patients()
    shot, finest = (radiograph.aim(who, ROOM, px, rng(3)) for px in (long_side_px, 512))
    found, expected = (
        lumbopelvic_angles(radiograph.project(who.landmarks_mm, ROOM, s), "left") for s in (shot, finest)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_film_angles_are_anatomical_for_ss_and_ll_and_follow_the_midpoint_of_the_heads_for_pt():
    """SS and LL live in one plane.  The hip axis seems to move, as the heads are magnified differently."""
    who = patients(200)
    shot = radiograph.aim(who, ROOM, 256, rng(4))
    film = lumbopelvic_angles(radiograph.project(who.landmarks_mm, ROOM, shot), "left")
    np.testing.assert_allclose(film[:, [0, 3]], who.angles_deg[:, [0, 3]], rtol=0, atol=1e-9)
    m = radiograph.magnification(who.heads_mm[..., 1], ROOM) / radiograph.magnification(0.0, ROOM)
    seen = ((who.heads_mm[..., ::2] - shot.center_mm[:, None]) * m[..., None]).mean(1) + shot.center_mm
    leg = who.s1_mm.mean(1) - seen
    np.testing.assert_allclose(film[:, 1], np.degrees(np.arctan2(-leg[:, 0], leg[:, 1])), rtol=0, atol=1e-9)
    assert 0 < abs(film - who.angles_deg).max() < 1.0
    assert abs(film - who.angles_deg)[:, 1:3].max() > 0.1  # the two truths differ


@pytest.mark.parametrize("source_mm", [1150, 1800])
def test_the_technician_keeps_every_landmark_inside_the_field(source_mm):
    room = replace(ROOM, source_mm=source_mm, aim_mm=100)
    who = patients(300)
    shot = radiograph.aim(who, room, 128, rng(5))
    from_centre = abs(radiograph.project(who.landmarks_mm, room, shot) - [51.5, 63.5]) * shot.pixel_mm
    inside = (from_centre <= np.array(room.field_mm) / 2 - radiograph.MARGIN_MM).all((1, 2))
    assert inside.mean() > 0.99  # but for patients who are longer than the field
    assert np.ptp(shot.center_mm, axis=0).min() > 10


# ---------------------------------------------------------------- what rays lose


def test_a_sphere_absorbs_along_its_chord():
    """2 sqrt(R^2 - r^2) times density, r being the distance on the detector over the magnification."""
    shot = exposure((3.0, -7.0), pixel_mm=1.0)
    drawn = draw([ball([0, 93, 0])], shot)[0]
    x, y = radiograph.project(np.array([[[0.0, 93.0, 0.0]]]), ROOM, shot)[0, 0]
    columns, rows = np.meshgrid(np.arange(104), np.arange(128))
    r = np.hypot(columns - x, rows - y) * 1.0 * (1500 - 250 - 93) / 1500
    by_hand = 0.03 * 2 * np.sqrt(np.clip(20**2 - r**2, 0, None))
    np.testing.assert_allclose(drawn, by_hand, rtol=0, atol=2e-3)  # float32 at the steep rim
    np.testing.assert_allclose(drawn[by_hand > 0.3], by_hand[by_hand > 0.3], rtol=0, atol=1e-4)
    assert abs(drawn.max() - 0.03 * 40) < 1e-3


def test_a_sphere_on_oblique_rays_differs_by_little_from_the_drawing():
    """The exact chord of each ray, found in space: drawing as if rays were parallel costs below 2.5 %."""
    shot, center, tube = (
        exposure((0, 150), pixel_mm=2.0, shape=(256, 208)),
        np.array([0, 93, 0]),
        np.array([0, 1250, 150]),
    )
    drawn = draw([ball(center)], shot)[0]
    columns, rows = np.meshgrid(np.arange(208), np.arange(256))
    at = np.stack([(103.5 - columns) * 2.0, np.full(rows.shape, -250.0), 150 + (127.5 - rows) * 2.0], -1)
    ray = (at - tube) / np.linalg.norm(at - tube, axis=-1, keepdims=True)
    gap = np.linalg.norm(np.cross(center - tube, ray), axis=-1)
    exact = 0.03 * 2 * np.sqrt(np.clip(20**2 - gap**2, 0, None))
    well_inside = exact > 0.6
    assert abs(drawn - exact)[well_inside].max() < 0.025 * exact.max()


def test_turned_ellipsoids_keep_their_volume_on_the_film():
    """The attenuation of a film adds up to density times volume, times the magnification squared."""
    volume = 4 / 3 * np.pi * 30 * 12 * 20
    for turn in (0.0, 35.0, 90.0):
        egg = shapes.Ellipsoids(
            np.zeros((1, 1, 3)), np.array([[[30.0, 12, 20]]]), np.full((1, 1), turn), 0.01
        )
        total = draw([egg], exposure(pixel_mm=1.0)).sum(dtype=float)
        assert total == pytest.approx(0.01 * volume * radiograph.magnification(0.0, ROOM) ** 2, rel=2e-3)


def test_a_turned_ellipsoid_is_long_where_it_points():
    """Turned from x towards z by 60 degrees: forwards is left on the film, up is up."""
    egg = shapes.Ellipsoids(np.zeros((1, 1, 3)), np.array([[[40.0, 8, 8]]]), np.full((1, 1), 60.0), 0.01)
    film = draw([egg], exposure(pixel_mm=1.0))[0]
    at = lambda degrees: film[
        round(63.5 - 35 * np.sin(np.radians(degrees))), round(51.5 - 35 * np.cos(np.radians(degrees)))
    ]
    assert at(60) > 0 and at(240) > 0 and at(-60) == at(120) == 0


def test_a_prism_absorbs_by_its_width_and_covers_its_area():
    square = np.array([[20.0, 15], [-20, 15], [-20, -15], [20, -15]])
    block = shapes.Prisms(square[None, None], np.full((1, 1), 24.0), 0.01)
    film, scale = draw([block], exposure(pixel_mm=1.0))[0], radiograph.magnification(0.0, ROOM)
    assert film[63, 51] == pytest.approx(2 * 24 * 0.01, rel=1e-5)
    assert film.sum(dtype=float) == pytest.approx(0.48 * 40 * 30 * scale**2, rel=5e-3)


def test_the_rim_of_a_prism_lies_on_its_endplates_only():
    square = np.array([[20.0, 15], [-20, 15], [-20, -15], [20, -15]])
    block = shapes.Prisms(square[None, None], np.full((1, 1), 24.0), 0.01, rim=0.02)
    film = draw([block], exposure(pixel_mm=0.5))[0]
    x, y = radiograph.project(np.insert(square, 1, 0.0, -1)[None], ROOM, exposure(pixel_mm=0.5))[0].T
    top, middle, left = round(y.min()) + 1, 63, round(x.min()) + 2
    assert film[top, 51] > 2 * film[middle, 51] and film[middle, left] == pytest.approx(
        film[middle, 51], rel=1e-4
    )


def test_a_rod_absorbs_by_its_diameter_and_is_as_thick_as_it_is():
    rod = shapes.Rods(np.array([[[0.0, 0, -40]]]), np.array([[[0.0, 0, 40]]]), np.full((1, 1), 6.0), 0.05)
    film = draw([rod], exposure(pixel_mm=0.5, shape=(256, 208)))[0]
    assert film[128].max() == pytest.approx(0.05 * 12, rel=1e-2)
    assert film[128].sum(dtype=float) * 0.5 == pytest.approx(
        0.05 * np.pi * 36 * 1.2, rel=1e-2
    )  # area of the disc, magnified


def test_soft_tissue_absorbs_by_its_width_in_the_middle():
    body = shapes.Trunk(np.array([-900.0, 900.0]), *np.array([[[100.0, 100]], [[-100, -100]], [[150, 150]]]),
                        np.array([[0.0, 5000.0]]))  # fmt: skip
    film = radiograph.attenuation([], body, ROOM, exposure(shape=(128, 208)))[0].numpy()
    assert film[64, 103] == pytest.approx(2 * 150 * shapes.SOFT_TISSUE, rel=1e-2)
    np.testing.assert_allclose(film, film[:, ::-1], atol=1e-5)
    assert film[64, 0] == 0  # the beam passes beside the body


def test_gas_may_not_make_more_light_than_there_was():
    assert draw([ball([0, 0, 0], density=-1.0)], exposure()).min() == 0


#: Inside, over each border, over a corner, and wholly outside, of a film of 87 x 107 mm in the patient.
PLACES = [
    (0, 0),
    (-43, 0),
    (43, 0),
    (0, -53),
    (0, 53),
    (43, -53),
    (-43, 53),
    (-110, 0),
    (110, 20),
    (0, -120),
    (0, 120),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["ball", "giant", "prism", "rod"])
def test_a_solid_at_the_border_wraps_neither_to_another_row_nor_to_another_film(place, kind):
    """Three films, the solid on the middle one only.  A larger film, which holds it, tells what is right."""
    x, z = place
    radius = 90.0 if kind == "giant" else 10.0
    corners = np.array([[x + 10, z + 8], [x - 10, z + 8], [x - 10, z - 8], [x + 10, z - 8]], float)
    only = np.array([0.0, 1.0, 0.0])[:, None]
    solid = {
        "prism": shapes.Prisms(np.tile(corners, (3, 1, 1, 1)), 20.0 * only, 0.01),
        "rod": shapes.Rods(
            np.tile([[[x - 15.0, 0, z - 5]]], (3, 1, 1)),
            np.tile([[[x + 15.0, 0, z + 5]]], (3, 1, 1)),
            np.full((3, 1), 3.0),
            0.05 * only,
        ),
    }.get(
        kind,
        shapes.Ellipsoids(
            np.tile([[[x, 0.0, z]]], (3, 1, 1)), np.full((3, 1, 3), radius), 0 * only, 0.01 * only
        ),
    )
    small, large = (
        draw([solid], exposure(pixel_mm=4.0, shape=shape, n=3)) for shape in ((32, 26), (128, 104))
    )
    assert small[0].max() == small[2].max() == 0 < large[1].max()
    np.testing.assert_allclose(small[1], large[1, 48:-48, 39:-39], rtol=0, atol=1e-3)


def test_bones_lie_where_their_landmarks_are():
    """Attenuation rises across the S1 plate into the sacrum, across the L1 plate into L1, and in the heads."""
    who = patients(12, seed=3)
    shot = radiograph.aim(who, ROOM, 256, rng(6))
    all_solids = shapes.solids(who, np.zeros(12, bool), rng(7))
    points = radiograph.project(who.landmarks_mm, ROOM, shot)
    bodies, sacrum = (draw([all_solids[k]], shot) for k in (0, 1))
    for film, (front, back) in ((sacrum, (0, 1)), (bodies, (2, 3))):
        plate = points[:, front] - points[:, back]
        down = np.stack([-plate[:, 1], plate[:, 0]], -1) * -1 / np.linalg.norm(plate, axis=-1, keepdims=True)
        for share in (0.1, 0.9):  # near either corner, where the plate is not yet concave
            on_plate = points[:, back] + share * plate
            above, below = (value_at(film, on_plate + step * down) for step in (-2.5, 2.5))
            assert (below > above + 0.05).all()
    heads = draw([all_solids[k] for k in range(len(all_solids)) if is_head(all_solids[k], who)], shot)
    for k in (4, 5):
        assert (value_at(heads, points[:, k]) > 0.3).all()


def value_at(films, points_px):
    columns, rows = points_px.round().astype(int).T
    return films[np.arange(len(films)), rows, columns]


def is_head(solid, who):
    return isinstance(solid, shapes.Ellipsoids) and np.array_equal(solid.center_mm, who.heads_mm)


# ---------------------------------------------------------------- what the detector makes of it


def flat(level, shape=(128, 104), n=1):
    return torch.full((n, *shape), float(-np.log(level)))


@pytest.mark.parametrize("level", [0.001, 0.01, 0.1, 0.5])
def test_noise_has_the_variance_of_its_mean(level):
    """Counted photons: variance over mean is 1, within the sampling error sqrt(2 / n) of a variance."""
    room, shot = replace(ROOM, photons=5e4), exposure(pixel_mm=2.0)
    counts = radiograph.expose(flat(level, n=4), room, shot, rng(8)).numpy().astype(float) * 5e4 * 4
    expected, n = level * 5e4 * 4, counts.size
    assert counts.mean() == pytest.approx(expected, abs=4.5 * np.sqrt(expected / n))
    assert counts.var() / expected == pytest.approx(1, abs=4.5 * np.sqrt(2 / n))


def test_larger_pixels_count_more_photons():
    noise = [radiograph.expose(flat(0.1), ROOM, exposure(pixel_mm=mm), rng(9)).std() for mm in (1.0, 3.0)]
    assert noise[0] / noise[1] == pytest.approx(3, rel=0.05)


def test_exposure_varies_from_film_to_film_as_specified():
    room = replace(ROOM, photons=1e4, spread=0.3)
    noise = radiograph.expose(
        flat(0.1, (64, 64), 400), room, exposure(pixel_mm=1.0, shape=(64, 64)), rng(10)
    ).std((1, 2))
    spread = np.log(noise.numpy()).std() * 2  # noise goes with the root of the exposure
    assert spread == pytest.approx(0.3, rel=4.5 / np.sqrt(2 * 400))


@pytest.mark.parametrize("scatter", [0.5, 1.0, 3.0])
def test_scatter_leaves_a_flat_field_and_takes_its_share_of_contrast(scatter):
    """A small detail keeps 1 / (1 + s) of its contrast in a broad uniform body: the veil does not see it."""
    room, shot = replace(ROOM, photons=1e16, scatter=scatter), exposure(pixel_mm=4.0)
    absorbed = flat(0.05)
    plain = radiograph.expose(absorbed, room, shot, rng())
    np.testing.assert_allclose(plain, 0.05, rtol=1e-4)
    absorbed[0, 64, 52] += 0.1
    seen = radiograph.expose(absorbed, room, shot, rng())
    contrast = 1 - float(seen[0, 64, 52] / seen[0, 64, 10])
    assert contrast == pytest.approx((1 - np.exp(-0.1)) / (1 + scatter), rel=0.01)


def test_without_scatter_and_noise_light_follows_beer_and_lambert():
    absorbed = torch.linspace(0, 9, 128)[None, :, None].expand(1, 128, 104).contiguous()
    signal = radiograph.expose(absorbed, replace(ROOM, photons=1e16), exposure(), rng())
    np.testing.assert_allclose(signal, torch.exp(-absorbed), rtol=1e-4)


@pytest.mark.parametrize("blur_mm", [1.0, 2.0, 4.0])
def test_blur_spreads_a_point_by_its_standard_deviation(blur_mm):
    """The moments of a point's image; cutting the kernel at three SD narrows it by 1.4 % at most."""
    room, shot = replace(ROOM, photons=1e18, blur_mm=blur_mm), exposure(pixel_mm=0.5, shape=(128, 128))
    absorbed = flat(0.2, (128, 128))
    absorbed[0, 60, 70] = 0.0
    spread = radiograph.expose(absorbed, room, shot, rng())[0].numpy().astype(float) - 0.2
    rows, columns = np.mgrid[:128, :128]
    weight = np.where(spread > 1e-6, spread, 0)
    assert weight.sum() == pytest.approx(0.8, rel=1e-2)  # no light is lost
    for axis, at in ((rows, 60), (columns, 70)):
        mean = np.average(axis, weights=weight)
        assert mean == pytest.approx(at, abs=0.05)
        assert np.sqrt(np.average((axis - mean) ** 2, weights=weight)) * 0.5 == pytest.approx(
            blur_mm, rel=0.03
        )


def test_the_veil_lies_where_the_patient_is():
    """Scatter is worked out on a coarse grid; it must not move.  A central block keeps a central veil."""
    absorbed = flat(1.0, (256, 208))
    absorbed[0, 98:158, 74:134] = 2.0
    signal = radiograph.expose(
        absorbed, replace(ROOM, photons=1e16, scatter=5), exposure(pixel_mm=2.0, shape=(256, 208)), rng()
    )
    loss = -np.log(signal[0].numpy().astype(float))
    loss[98:158, 74:134] = 0  # outside of the block only the veil absorbs
    np.testing.assert_allclose(loss, loss[::-1], atol=0.02)
    np.testing.assert_allclose(loss, loss[:, ::-1], atol=0.02)
    assert loss.max() > 0.1


# ---------------------------------------------------------------- processing, side and polarity


def ramp():
    """Signal that halves from left to right in equal steps of density."""
    return torch.exp(-torch.linspace(0.5, 6, 104))[None, None].expand(1, 128, 104).contiguous()


def test_development_without_processing_is_linear_in_density():
    grey = radiograph.develop(ramp(), ROOM, exposure(pixel_mm=3.0), rng())[0, 64].numpy()
    inner = grey[(grey > 0) & (grey < 1)]
    np.testing.assert_allclose(np.diff(inner), np.diff(inner).mean(), rtol=1e-3)
    assert (np.diff(grey) >= 0).all() and grey[0] == 0 and grey[-1] == 1  # bone, and more of it, is brighter


def test_gamma_is_the_power_of_the_display():
    linear, bent = (
        radiograph.develop(ramp(), replace(ROOM, gamma=g), exposure(pixel_mm=3.0), rng()) for g in (1, 0.5)
    )
    np.testing.assert_allclose(bent, linear**0.5, atol=1e-5)


def test_compression_flattens_broad_differences_and_keeps_edges():
    signal = ramp()
    signal[0, :, 52:] *= 0.7
    rooms = [replace(ROOM, compress=share) for share in (0, 0.8)]
    plain, flattened = (
        radiograph.develop(signal, room, exposure(pixel_mm=3.0), rng())[0, 64] for room in rooms
    )
    slope = [float(film[48] - film[30]) / 18 for film in (plain, flattened)]
    jump = [float(film[52] - film[51]) for film in (plain, flattened)]
    assert jump[1] / slope[1] > 2 * jump[0] / slope[0]


def test_edge_enhancement_raises_an_edge():
    signal = torch.full((1, 128, 104), 0.1)
    signal[:, :, 52:] = 0.05
    signal[:, :4], signal[:, -4:] = 1.0, 0.001  # room below and above for the window
    plain, sharp = (
        radiograph.develop(signal, replace(ROOM, edge=e), exposure(pixel_mm=3.0), rng())[0, 64]
        for e in (0, 1)
    )
    assert sharp[53] - sharp[50] > 1.3 * (plain[53] - plain[50])


def test_nothing_is_shown_outside_the_field():
    room = replace(ROOM, field_mm=(200, 300))
    grey = radiograph.develop(ramp(), room, exposure(pixel_mm=3.0), rng())[0].numpy()
    rows, columns = np.nonzero(grey)
    assert np.ptp(rows) + 1 <= 100 and np.ptp(columns) + 1 <= 200 / 3 + 1
    assert rows.min() == 14 and rows.max() == 113


def test_canonical_undoes_present():
    films = rng(11).integers(0, 256, (4, 8, 6), dtype=np.uint8)
    side, inverted = np.array(["left", "right", "left", "right"]), np.array([False, False, True, True])
    stored = radiograph.present(films, side, inverted)
    np.testing.assert_array_equal(radiograph.canonical(stored, side, inverted), films)
    np.testing.assert_array_equal(stored[0], films[0])
    np.testing.assert_array_equal(stored[1], films[1, :, ::-1])
    np.testing.assert_array_equal(stored[2], 255 - films[2])
    np.testing.assert_array_equal(stored[3], 255 - films[3, :, ::-1])
    assert stored.dtype == np.uint8


@pytest.mark.parametrize(("long_side_px", "shape"), [(32, (32, 26)), (128, (128, 104)), (256, (256, 208))])
def test_canvas_is_13_to_16(long_side_px, shape):
    assert radiograph.canvas(long_side_px) == shape


@pytest.mark.parametrize("long_side_px", [0, 16, 100, 2048, 128.0, "128", True])
def test_impossible_canvases_are_refused(long_side_px):
    with pytest.raises(InputError, match="^long_side_px: got"):
        radiograph.canvas(long_side_px)


def only(thing, i, n=3):
    """The part of a table of `n` patients that belongs to patient `i`."""
    parts = {
        name: value[i : i + 1]
        for name, value in vars(thing).items()
        if isinstance(value, np.ndarray) and len(value) == n
    }
    return replace(thing, **parts)


def test_a_film_does_not_depend_on_the_films_around_it():
    """Attenuation and development of three patients together are those of each alone."""
    room, who = replace(ROOM, compress=0.5, edge=0.5), patients(3)
    shot = radiograph.aim(who, room, 64, rng(12))
    bones, body = shapes.solids(who, np.array([True, False, True]), rng(14)), shapes.trunk(who, rng(13))
    together = radiograph.develop(
        torch.exp(-radiograph.attenuation(bones, body, room, shot)), room, shot, rng()
    )
    for i in range(3):
        alone = only(shot, i)
        absorbed = radiograph.attenuation([only(solid, i) for solid in bones], only(body, i), room, alone)
        film = radiograph.develop(torch.exp(-absorbed), room, alone, rng())
        np.testing.assert_allclose(film[0], together[i], rtol=0, atol=1e-4)
    assert abs(together[0] - together[1]).max() > 0.1
