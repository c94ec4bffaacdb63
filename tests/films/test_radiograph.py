"""Films against geometry and physics worked out by other routes: by hand, in closed form, pixel by pixel."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import anatomy, populations, radiograph, raster, shapes
from lumbo.films.radiograph import Exposure, Scanner

#: A room with nothing but geometry; tests change what they need.
ROOM = Scanner(source_mm=1500, object_mm=250, slot=False, field_mm=(406.25, 500), shutters=0, aim_mm=15,
               photons=1e16, scatter=0, grid=1, heel=0, blur_mm=0, compress=0, edge=0, window=(0, 1),
               gamma=1, spread=0, marker=0)  # fmt: skip
SLOT = replace(ROOM, slot=True, source_mm=1300, object_mm=300)
ROOMS = pytest.mark.parametrize("room", [ROOM, SLOT], ids=["cone", "slot"])
# From the tables of ICRU 44 at 43.8 and 65.9 keV, per mm, and the share of the two energies in the signal.
SHARES, MUSCLE, CORTICAL, TI6AL4V = (0.637, 0.363), (0.02609, 0.02061), (0.10528, 0.05312), (0.73507, 0.26296)


@pytest.fixture
def even(monkeypatch):
    """Tissue without grain, so that a path is what geometry says."""
    monkeypatch.setattr(radiograph, "GRAIN", (0.0, 0.0))


def rng(seed=0):
    return np.random.default_rng(seed)


def exposure(center=(0.0, 0.0), pixel_mm=2.0, shape=(128, 104), n=1, field_mm=(5000.0, 5000.0)):
    return Exposure(np.tile(np.array(center, float), (n, 1)), np.tile(np.array(field_mm, float), (n, 1)), pixel_mm, shape)  # fmt: skip


def no_body(n=1):
    """A trunk that is nowhere."""
    thin = np.zeros((n, 2))
    return shapes.Trunk(np.array([-900.0, 900.0]), thin + 1, thin - 1, thin, np.zeros((n, 2, 2)) + [0, 9e3], np.zeros((n, 2, 2)))  # fmt: skip


def bone(solids, shot, room=ROOM):
    """Millimetres of bone, (n, h, w), without a body."""
    return radiograph.attenuation(solids, no_body(len(shot.center_mm)), room, shot)[1].numpy().astype(float)


def patients(n=8, seed=0, cohort="degenerative"):
    return anatomy.spines(populations.draw(cohort, n, rng(seed)), rng(seed + 1))


def ball(center, radius=20.0, density=1.0, material=shapes.BONE):
    return shapes.Ellipsoids(np.array([[center]], float), np.full((1, 1, 3), radius), 0.0, density, material)


# ---------------------------------------------------------------- an independent, slow drawing


def plane(y_mm, room, shot, film):
    """Where the ray of each pixel crosses the plane y = y_mm, followed from the tube: x and z, (h, w)."""
    height, width = shot.shape
    right, down = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    (cx, cz), tube_y = shot.center_mm[film], room.source_mm - room.object_mm
    if room.slot:  # pixels are measured in the plane y = 0, and the tube travels with the fan
        reached = (tube_y - y_mm) / tube_y
        return cx - right * shot.pixel_mm * reached, cz - down * shot.pixel_mm
    reached = (tube_y - y_mm) / room.source_mm
    return cx - right * shot.pixel_mm * reached, cz - down * shot.pixel_mm * reached


def pixel_in(x, z):
    """Size of a pixel in the plane that `plane` gives: the mean of its sides."""
    return (abs(x[0, 1] - x[0, 0]) + abs(z[1, 0] - z[0, 0])) / 2


def slow_prism(solid, i, k, room, shot):
    corners, y, half, density, sag = (pick(solid, name, i, k) for name in ("corners_mm", "y_mm", "half_width_mm", "density", "sag_mm"))  # fmt: skip
    x, z = plane(float(y), room, shot, i)
    pixel, inside = pixel_in(x, z), []
    for a, b, depth in zip(corners, np.roll(corners, -1, 0), sag):
        (ux, uz), length = (b - a) / np.linalg.norm(b - a), np.linalg.norm(b - a)
        side = np.sign(ux * (corners.mean(0) - a)[1] - uz * (corners.mean(0) - a)[0])
        share = np.clip(((x - a[0]) * ux + (z - a[1]) * uz) / length, 0, 1)
        inside.append(side * (ux * (z - a[1]) - uz * (x - a[0])) - 4 * depth * share * (1 - share))
    cover = lambda edges, below: np.clip((np.min(edges, axis=0) - below) / pixel + 0.5, 0, 1)
    path = density * cover(inside, 0)
    for strength in set(solid.shell) - {0.0}:
        these = [d for d, s in zip(inside, solid.shell) if s == strength]
        path = path + strength * np.clip(cover(inside, 0) - cover(these, 1.0), 0, None)
    for reach in set(solid.taper_mm) - {0.0}:
        nearest = np.min([d for d, t in zip(inside, solid.taper_mm) if t == reach], axis=0)
        path = path * np.sqrt(1 - np.clip(1 - nearest / reach, 0, 1) ** 2)
    return 2 * half * path


def slow_ellipsoid(solid, i, k, room, shot):
    center, semi, turn, density = (pick(solid, name, i, k) for name in ("center_mm", "semi_mm", "turn_deg", "density"))  # fmt: skip
    x, z = plane(center[1], room, shot, i)
    turned = ((x - center[0]) + 1j * (z - center[2])) * np.exp(-1j * np.radians(turn))
    rest = 1 - (turned.real / semi[0]) ** 2 - (turned.imag / semi[1]) ** 2
    return 2 * semi[2] * density * np.sqrt(np.clip(rest, 0, None))


def slow_rod(solid, i, k, room, shot):
    start, end, radius, density = (pick(solid, name, i, k) for name in ("start_mm", "end_mm", "radius_mm", "density"))  # fmt: skip
    middle_y, at = (start[1] + end[1]) / 2, shot.center_mm[i]
    tube_y = room.source_mm - room.object_mm

    def seen(p):  # an end, moved along its ray into the plane of the middle
        nearer = (tube_y - middle_y) / (tube_y - p[1])
        return at + (p[[0, 2]] - at) * np.array([nearer, 1.0 if room.slot else nearer])

    x, z = plane(middle_y, room, shot, i)
    a, b = seen(start), seen(end)
    squared = max(((b - a) ** 2).sum(), 1e-12)  # a dot has no length
    along = np.clip(((x - a[0]) * (b - a)[0] + (z - a[1]) * (b - a)[1]) / squared, 0, 1)
    off = np.hypot(x - a[0] - along * (b - a)[0], z - a[1] - along * (b - a)[1]) / radius
    flat = np.linalg.norm((end - start)[[0, 2]])
    slant = min(np.linalg.norm(end - start) / flat, 3) if flat > 1e-6 else 3
    return 2 * radius * density * slant * np.sqrt(np.clip(1 - off**2, 0, None))


SLOW = {shapes.Prisms: slow_prism, shapes.Ellipsoids: slow_ellipsoid, shapes.Rods: slow_rod}
TAIL = {"corners_mm": 2, "sag_mm": 1, "center_mm": 1, "semi_mm": 1, "start_mm": 1, "end_mm": 1}


def counts(solid):
    """(n films, k solids a film)."""
    return np.shape(getattr(solid, fields(solid)[0].name))[:2]


def pick(solid, name, i, k):
    """The field of solid k of film i."""
    values = np.asarray(getattr(solid, name), float)
    tail = values.shape[values.ndim - TAIL.get(name, 0) :]
    return np.broadcast_to(values, counts(solid) + tail)[i, k]


def slow(solids, shot, room, layer=1):
    """Every solid over the whole canvas, one after the other, in double precision: (n, h, w)."""
    film = np.zeros((len(shot.center_mm), *shot.shape))
    for solid in solids:
        for i in range(counts(solid)[0] if solid.material[layer] else 0):
            for k in range(counts(solid)[1]):
                if pick(solid, "density", i, k):
                    film[i] += solid.material[layer] * SLOW[type(solid)](solid, i, k, room, shot)
    return film


def differs(fast, reference, at=1e-3):
    """Largest difference where a steep rim does not magnify rounding: the 99.9th percentile, and the worst."""
    off = abs(fast - reference)
    return np.quantile(off, 0.999) / at, off.max() / (50 * at)


# ---------------------------------------------------------------- where things appear


def by_rays(points_mm, room, shot):
    """The pixel whose ray crosses each point's plane at the point, read off `plane` along each axis."""
    pixels = np.empty((*points_mm.shape[:-1], 2))
    for i, film in enumerate(points_mm):
        for j, (px, y, pz) in enumerate(film):
            x, z = plane(y, room, shot, i)
            pixels[i, j] = (px - x[0, 0]) / (x[0, 1] - x[0, 0]), (pz - z[0, 0]) / (z[1, 0] - z[0, 0])
    return pixels


@ROOMS
def test_landmarks_land_where_rays_from_the_tube_go(room):
    who = patients()
    shot = radiograph.aim(who, room, 128, rng())
    projected = radiograph.project(who.landmarks_mm, room, shot)
    np.testing.assert_allclose(projected, by_rays(who.landmarks_mm, room, shot), rtol=0, atol=1e-9)


HEADS = np.array([[[0.0, 93.0, 0.0], [0.0, -93.0, 0.0]]])


@pytest.mark.parametrize(
    ("source_mm", "near", "far", "split_mm"),
    [(1000, 1.52, 1.19, 50), (1500, 1.30, 1.12, 27), (1800, 1.24, 1.10, 21)],
)
def test_heads_are_magnified_and_split_as_published(source_mm, near, far, split_mm):
    """Heads 93 mm to either side of the middle, 250 mm from the detector, 150 mm below the central ray."""
    room = replace(ROOM, source_mm=source_mm)
    found = [radiograph.magnification(y, room) for y in (93, -93)]
    np.testing.assert_allclose(found, [[near, near], [far, far]], atol=0.005)
    heads = radiograph.project(HEADS, room, exposure((0, 150)))[0]
    assert round(np.linalg.norm(heads[0] - heads[1]) * 2.0) == split_mm
    assert heads[0, 1] > heads[1, 1]  # the near head is pushed further down


def test_drawn_heads_split_as_published_and_are_drawn_as_large(even):
    """The same on the film itself: centroids of two drawn balls, and the widths of their shadows."""
    shot = exposure((0, 150), 1.0, (512, 416))
    films = [bone([ball(center)], shot)[0] for center in HEADS[0]]
    rows = [np.average(np.arange(512), weights=film.sum(1)) for film in films]
    assert rows[0] - rows[1] == pytest.approx(27, abs=0.5)
    widths = [(film.max(0) > 0).sum() / 40 for film in films]
    np.testing.assert_allclose(widths, [1.30, 1.12], atol=2 / 40)  # a pixel at either end


def test_a_slot_draws_heads_at_one_height_and_life_size_along_the_patient(even):
    shot = exposure((0, 150), 1.0, (512, 416))
    films = [bone([ball(center)], shot, SLOT)[0] for center in HEADS[0]]
    rows = [np.average(np.arange(512), weights=film.sum(1)) for film in films]
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)
    assert [(film.max(1) > 0).sum() for film in films] == [40, 40]
    across = [(film.max(0) > 0).sum() / 40 for film in films]
    np.testing.assert_allclose(across, [1000 / 907, 1000 / 1093], atol=2 / 40)


def test_a_point_on_the_central_ray_lands_in_the_middle_of_the_film():
    for y in (-200.0, 0.0, 200.0):
        middle = radiograph.project(np.array([[12.0, y, 34.0]]), ROOM, exposure((12.0, 34.0)))
        np.testing.assert_allclose(middle, [[51.5, 63.5]])


@ROOMS
@pytest.mark.parametrize("long_side_px", [32, 64, 256, 1024])
def test_film_angles_do_not_depend_on_the_number_of_pixels(room, long_side_px):
    who = patients()
    found, expected = (
        lumbopelvic_angles(radiograph.project(who.landmarks_mm, room, shot), "left")
        for shot in (radiograph.aim(who, room, px, rng(3)) for px in (long_side_px, 512))
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@ROOMS
@pytest.mark.parametrize("cohort", ["healthy_adults", "adolescent_scoliosis"])
def test_film_angles_follow_from_the_magnification_of_each_landmark(room, cohort):
    """SS lies in y = 0 and is anatomical.  The hip axis seems to move, so PT differs.  L1 stands aside in a
    scoliosis: a cone enlarges it evenly and keeps LL, a slot stretches it across and does not."""
    who = patients(200, cohort=cohort)
    shot = radiograph.aim(who, room, 256, rng(4))
    film = lumbopelvic_angles(radiograph.project(who.landmarks_mm, room, shot), "left")
    change = film - who.patients.angles_deg
    np.testing.assert_allclose(change[:, 0], 0, rtol=0, atol=1e-9)
    tube = room.source_mm - room.object_mm
    factor = np.stack([tube / (tube - who.heads_mm[..., 1])] * 2, -1)
    factor[..., 1] = 1 if room.slot else factor[..., 1]
    seen = ((who.heads_mm[..., ::2] - shot.center_mm[:, None]) * factor).mean(1) + shot.center_mm
    leg = who.s1_mm.mean(1) - seen
    np.testing.assert_allclose(film[:, 1], np.degrees(np.arctan2(-leg[:, 0], leg[:, 1])), rtol=0, atol=1e-9)
    assert 0.1 < abs(change[:, 1]).max() < 1.5  # the two truths differ
    aside = who.landmarks_mm[:, 2, 1]
    plate = who.bodies_mm[:, 4, 0] - who.bodies_mm[:, 4, 1]
    stretch = tube / (tube - aside) if room.slot else 1.0
    l1 = np.degrees(np.arctan2(plate[:, 1], plate[:, 0] * stretch))
    np.testing.assert_allclose(film[:, 3], film[:, 0] + l1, rtol=0, atol=1e-9)
    straight = who.patients.curve_deg == 0
    np.testing.assert_allclose(change[straight | (not room.slot), 3], 0, rtol=0, atol=1e-9)
    assert (abs(change[:, 3]).max() > 0.05) == room.slot


@pytest.mark.parametrize("room", [replace(ROOM, source_mm=1150), replace(ROOM, source_mm=1800), SLOT])
def test_the_technician_keeps_every_landmark_inside_the_field(room):
    room = replace(room, aim_mm=100, shutters=0.1)
    who = patients(300)
    shot = radiograph.aim(who, room, 128, rng(5))
    from_centre = abs(radiograph.project(who.landmarks_mm, room, shot) - [51.5, 63.5]) * shot.pixel_mm
    inside = (from_centre <= shot.field_mm[:, None] / 2 - 5).all((1, 2))  # a slot's margin is in the patient
    assert inside.mean() > 0.99  # but for patients who are longer than the field
    assert np.ptp(shot.center_mm, axis=0).min() > 10
    shares = shot.field_mm / room.field_mm
    assert 0.9 <= shares.min() < 0.91 and 0.99 < shares.max() <= 1


# ---------------------------------------------------------------- what rays lose


def test_a_sphere_absorbs_along_its_chord(even):
    """2 sqrt(R^2 - r^2) times density, r being the distance on the detector over the magnification."""
    shot = exposure((3.0, -7.0), pixel_mm=1.0)
    drawn = bone([ball([0, 93, 0])], shot)[0]
    x, y = radiograph.project(np.array([[[0.0, 93.0, 0.0]]]), ROOM, shot)[0, 0]
    columns, rows = np.meshgrid(np.arange(104), np.arange(128))
    r = np.hypot(columns - x, rows - y) * 1.0 * (1500 - 250 - 93) / 1500
    by_hand = 2 * np.sqrt(np.clip(20**2 - r**2, 0, None))
    np.testing.assert_allclose(drawn, by_hand, rtol=0, atol=0.06)  # float32 at the steep rim
    np.testing.assert_allclose(drawn[by_hand > 10], by_hand[by_hand > 10], rtol=0, atol=3e-3)
    assert abs(drawn.max() - 40) < 0.03


def test_a_sphere_on_oblique_rays_differs_by_little_from_the_drawing(even):
    """The exact chord of each ray, found in space: drawing as if rays were parallel costs below 2.5 %."""
    shot, center, tube = exposure((0, 150), 2.0, (256, 208)), np.array([0, 93, 0]), np.array([0, 1250, 150])
    drawn = bone([ball(center)], shot)[0]
    columns, rows = np.meshgrid(np.arange(208), np.arange(256))
    at = np.stack([(103.5 - columns) * 2.0, np.full(rows.shape, -250.0), 150 + (127.5 - rows) * 2.0], -1)
    ray = (at - tube) / np.linalg.norm(at - tube, axis=-1, keepdims=True)
    gap = np.linalg.norm(np.cross(center - tube, ray), axis=-1)
    exact = 2 * np.sqrt(np.clip(20**2 - gap**2, 0, None))
    assert abs(drawn - exact)[exact > 20].max() < 0.025 * exact.max()


@ROOMS
def test_turned_ellipsoids_keep_their_volume_on_the_film(even, room):
    """The bone of a film adds up to volume, times the magnifications across and along."""
    volume = 4 / 3 * np.pi * 30 * 12 * 20
    for turn in (0.0, 35.0, 90.0):
        egg = shapes.Ellipsoids(np.array([[[0.0, 60, 0]]]), np.array([[[30.0, 12, 20]]]), turn, 0.5)
        total = bone([egg], exposure(pixel_mm=1.0), room).sum()
        assert total == pytest.approx(0.5 * volume * radiograph.magnification(60.0, room).prod(), rel=2e-3)


def test_a_turned_ellipsoid_is_long_where_it_points(even):
    """Turned from x towards z by 60 degrees: forwards is left on the film, up is up."""
    egg = shapes.Ellipsoids(np.zeros((1, 1, 3)), np.array([[[40.0, 8, 8]]]), 60.0, 1.0)
    film = bone([egg], exposure(pixel_mm=1.0))[0]
    at = lambda degrees: film[
        round(63.5 - 35 * np.sin(np.radians(degrees))), round(51.5 - 35 * np.cos(np.radians(degrees)))
    ]
    assert at(60) > 0 and at(240) > 0 and at(-60) == at(120) == 0


BLOCK = np.array([[20.0, 15], [-20, 15], [-20, -15], [20, -15]])  # 40 x 30 mm
NONE = (0.0,) * 4


def block(turn_deg=0.0, density=0.5, shell=NONE, sag=NONE, taper=NONE, at=(0.0, 0.0), y=0.0):
    """A prism of half width 24 mm, turned about its middle."""
    spin = np.exp(1j * np.radians(turn_deg)) * (BLOCK[:, 0] + 1j * BLOCK[:, 1])
    corners = np.stack([spin.real, spin.imag], -1) + at
    return shapes.Prisms(corners[None, None], y, 24.0, density, shell, np.array(sag), taper)


@pytest.mark.parametrize("pixel_mm", [0.6, 1.2, 2.4])
@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_a_prism_absorbs_by_its_width_and_covers_its_area(even, pixel_mm, turn_deg):
    """A pixel on an edge takes its share, so only the four corners can err, each by less than a pixel's area."""
    film, scale = bone([block(turn_deg)], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], 1.2
    assert film[127, 103] == pytest.approx(24, rel=1e-5)
    area = film.sum() / 24 * (pixel_mm / scale) ** 2
    assert area == pytest.approx(40 * 30, abs=4 * (pixel_mm / scale) ** 2)


@pytest.mark.parametrize("pixel_mm", [0.3, 1.2, 2.4])
def test_a_shell_of_a_millimetre_keeps_its_bone_on_pixels_of_any_size(even, pixel_mm):
    """Top and bottom edge 0.3, sides 0.2: bands of 1 mm, however much wider the pixels are."""
    thick = block(density=0.0001, shell=(0.3, 0.2, 0.3, 0.2))
    film, pixel = bone([thick], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], pixel_mm / 1.2
    added = (film.sum() / 48 - film.clip(max=0.0048).sum() / 48) * pixel**2
    assert added == pytest.approx(0.3 * 80 + 0.2 * 60, abs=4 * 0.5 * max(pixel, pixel**2))
    assert film[127, 103] == pytest.approx(0.0048, rel=1e-4)


@pytest.mark.parametrize("pixel_mm", [0.6, 1.2, 2.4])
def test_a_tapered_side_rounds_off_as_a_quarter_of_an_ellipse(even, pixel_mm):
    """Over T mm the width falls as a quarter ellipse, and (1 - pi / 4) T is lost along that edge.

    Midpoints under a square root miss at most T (pixel / T)^1.5 of it.
    """
    film, pixel = bone([block(taper=(0, 0, 0, 12.0))], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], pixel_mm / 1.2  # fmt: skip
    kept = film.sum() / 24 * pixel**2
    assert kept == pytest.approx(30 * (40 - 12 * (1 - np.pi / 4)), abs=30 * 12 * (pixel / 12) ** 1.5 + 4 * pixel**2)  # fmt: skip


@pytest.mark.parametrize("sag", [2.0, -2.0])
def test_a_sunken_edge_is_a_parabola(even, sag):
    """Two thirds of length times sag are taken away, or added where it bulges; the ends stay where they are."""
    film = bone([block(sag=(sag, 0, 0, 0))], exposure(pixel_mm=0.6, shape=(256, 208)))[0]
    assert film.sum() / 24 * 0.25 == pytest.approx(40 * 30 - 2 / 3 * 40 * sag, abs=2)
    at = lambda x, z: film[round(127.5 - z * 2), round(103.5 - x * 2)]
    inner, outer = (15 - max(sag, 0) - 0.75, 15 - min(sag, 0) + 0.75)
    assert at(0, inner) == pytest.approx(24) and at(0, outer) == 0 and at(-19, 14) > 20
    assert (at(0, 14.25) > 0) == (sag < 0)


def test_a_rod_absorbs_by_its_diameter_and_is_as_thick_as_it_is(even):
    rod = shapes.Rods(np.array([[[0.0, 0, -40]]]), np.array([[[0.0, 0, 40]]]), 6.0, 0.5)
    film = bone([rod], exposure(pixel_mm=0.5, shape=(256, 208)))[0]
    assert film[128].max() == pytest.approx(6, rel=1e-2)
    assert film[128].sum() * 0.5 == pytest.approx(0.5 * np.pi * 36 * 1.2, rel=1e-2)  # a disc, magnified


@pytest.mark.parametrize("tilt_deg", [0, 30, 60])
def test_a_slanted_rod_is_crossed_on_a_longer_way(even, tilt_deg):
    """A ray along y meets a rod that leans out of the film by t on its diameter over cos t."""
    end = 40 * np.array([0.0, np.sin(np.radians(tilt_deg)), np.cos(np.radians(tilt_deg))])
    rod = shapes.Rods(-end[None, None], end[None, None], 6.0, 1.0)
    film = bone([rod], exposure(pixel_mm=0.5, shape=(256, 208)))[0]
    assert film[127].max() == pytest.approx(12 / np.cos(np.radians(tilt_deg)), rel=1e-2)


def test_a_rod_seen_end_on_is_at_most_three_diameters_deep(even):
    rod = shapes.Rods(np.array([[[0.0, -40, 0]]]), np.array([[[0.0, 40, 0]]]), 6.0, 1.0)
    assert bone([rod], exposure(pixel_mm=0.5))[0].max() == pytest.approx(36, rel=1e-2)


def trunk(**changes):
    """A body that is the same at every height: 200 mm deep, 300 mm wide, no lung."""
    same = {"front_mm": 120.0, "back_mm": -80.0, "half_width_mm": 150.0}
    shape = {name: np.full((1, 2), value) for name, value in same.items()}
    return replace(no_body(), **shape | changes)


@ROOMS
def test_soft_tissue_absorbs_along_the_chord_of_an_ellipse(even, room):
    shot = exposure((20.0, 0.0), shape=(128, 208))
    film = radiograph.attenuation([], trunk(), room, shot)[0, 0].numpy()
    u = (plane(0.0, room, shot, 0)[0] - 20) / 100
    chord = 300 * np.sqrt(np.clip(1 - u**2, 0, None))
    well_inside = chord > 150  # the half-resolution grid is linear between its pixels
    np.testing.assert_allclose(film[well_inside], chord[well_inside], rtol=0, atol=0.5)
    np.testing.assert_allclose(film, film[:, ::-1], atol=1e-2)
    assert film[64, 0] == 0  # the beam passes beside the body


def test_the_body_follows_its_knots_on_a_smooth_curve(even):
    knots, widths = np.array([-100.0, 0, 30, 120]), np.array([[100.0, 140, 120, 150]])
    deep = np.full((1, 4), 400.0)
    body = replace(trunk(), knots_mm=knots, front_mm=deep, back_mm=-deep, half_width_mm=widths)
    shot = exposure(pixel_mm=1.0, shape=(256, 32))
    film = radiograph.attenuation([], body, ROOM, shot)[0, 0, :, 15].numpy()
    z = plane(0.0, ROOM, shot, 0)[1][:, 15]
    curve = CubicHermiteSpline(knots, widths[0], np.gradient(widths[0], knots))
    within = (z > -99) & (z < 106)  # the coarse grid sees only half of the outermost row
    np.testing.assert_allclose(film[within], 2 * curve(z[within]), rtol=0, atol=0.05)


def test_each_lung_empties_its_share_above_its_dome_and_none_below(even):
    """Both domes at z = 0, 20 mm in front of the middle: deep in the chest two lungs, in the belly none."""
    domes = np.zeros((1, 2, 2)) + [20.0, 0.0]
    shot = exposure((20.0, 0.0), shape=(128, 104))
    film = radiograph.attenuation([], trunk(domes_mm=domes), ROOM, shot)[0, 0].numpy()
    full = radiograph.attenuation([], trunk(), ROOM, shot)[0, 0].numpy()
    ratio = film[:, 52] / full[:, 52]
    assert ratio[10] == pytest.approx((1 - radiograph.LUNG) ** 2, rel=1e-3)
    assert ratio[120] == pytest.approx(1, rel=1e-3)
    z = plane(0.0, ROOM, shot, 0)[1][:, 52]
    assert abs(np.interp(-((1 - radiograph.LUNG / 2) ** 2), -ratio[::-1], z[::-1])) < 2  # halfway at the dome


def test_grain_makes_tissue_uneven_by_its_share():
    """Relative to the path; on a plate that is the same for everybody, cut at each patient's place."""
    places = rng(0).random((64, 2, 2))
    body = replace(no_body(64), grain=places, front_mm=np.full((64, 2), 900.0), back_mm=np.full((64, 2), -900.0), half_width_mm=np.full((64, 2), 100.0))  # fmt: skip
    slab = shapes.Prisms(np.tile(BLOCK * 50, (64, 1, 1, 1)), 0.0, 10.0, 1.0, NONE, np.zeros(4), NONE)
    matter = radiograph.attenuation([slab], body, ROOM, exposure(pixel_mm=2.0, n=64)).numpy().astype(float)
    chord = 200 * np.sqrt(1 - (plane(0.0, ROOM, exposure(), 0)[0] / 900) ** 2)
    for layer, even_mm, share in zip(matter, (chord, 20.0), radiograph.GRAIN):
        assert (layer / even_mm - 1).std() == pytest.approx(share, rel=0.15)
    assert abs(np.corrcoef(matter[1, 0].ravel(), matter[1, 1].ravel())[0, 1]) < 0.5


# ---------------------------------------------------------------- a solid touches its own pixels, and them right


@ROOMS
def test_a_whole_phantom_is_the_sum_of_its_solids_over_the_whole_canvas(even, room):
    """Every kind of solid of patients with everything that may be wrong, against the slow drawing."""
    who = unlucky()
    shot = radiograph.aim(who, room, 64, rng(6))
    solids = [*shapes.solids(who, np.array([True, False]), rng(7)), radiograph.side_marker(replace(room, marker=1), shot, rng(8))]  # fmt: skip
    fast = radiograph.attenuation(solids, no_body(2), room, shot).numpy()
    assert fast[1].max() > 20
    for layer in (0, 1):
        for worst in differs(fast[layer], slow(solids, shot, room, layer), at=0.01):
            assert worst < 1


def unlucky(n=2):
    """Patients with every switch on."""
    base = populations.draw("adolescent_scoliosis", n, rng(21))
    on = {"slip": [0.3, 0.1], "narrowing": [0.5] * 5, "spurs_mm": [6.0] * 5, "fracture": [0, 0.3, 0, 0.2]}
    on = {name: np.tile(np.array(value), (n, 1)) for name, value in on.items()}
    flags = {"curve_deg": np.full(n, 35.0), "dome_mm": np.full(n, 6.0), "transitional": np.array([1, -1])}
    return anatomy.spines(replace(base, **on, **flags), rng(22))


#: Inside, over each border, over a corner, and wholly outside, of a film of 87 x 107 mm in the patient.
PLACES = [(0, 0), (-43, 0), (43, 0), (0, -53), (0, 53), (43, -53), (-43, 53), (-110, 0), (110, 20), (0, -120), (0, 120)]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["ball", "giant", "prism", "rod"])
@ROOMS
def test_a_solid_at_the_border_wraps_neither_to_another_row_nor_to_another_film(even, room, place, kind):
    """Three films, the solid on the middle one only: elsewhere nothing, there what the slow drawing says."""
    (x, z), only = place, np.array([0.0, 1.0, 0.0])[:, None]
    corners = np.array([[x + 10, z + 8], [x - 10, z + 8], [x - 10, z - 8], [x + 10, z - 8]], float)
    radius = 90.0 if kind == "giant" else 10.0
    solid = {
        "prism": shapes.Prisms(np.tile(corners, (3, 1, 1, 1)), 20.0, 10.0, only, (0.3, 0, 0.3, 0.2), np.full(4, 2.0), (0, 0, 0, 5.0)),
        "rod": shapes.Rods(np.tile([[[x - 15.0, 30, z - 5]]], (3, 1, 1)), np.tile([[[x + 15.0, -40, z + 5]]], (3, 1, 1)), 4.0, only),
    }.get(kind, shapes.Ellipsoids(np.tile([[[x, -30.0, z]]], (3, 1, 1)), np.full((3, 1, 3), radius), 30.0, only))  # fmt: skip
    shot = exposure(pixel_mm=4.0, shape=(32, 26), n=3)
    fast, reference = bone([solid], shot, room), slow([solid], shot, room)
    assert fast[0].max() == fast[2].max() == 0
    assert all(worst < 1 for worst in differs(fast, reference, at=0.01))
    assert (fast > 0).any() == (reference > 0).any()


@pytest.mark.parametrize("kind", [shapes.Prisms, shapes.Ellipsoids, shapes.Rods])
@ROOMS
def test_a_solid_changes_only_the_pixels_of_its_box(even, room, kind):
    """Concave vertebrae among them: far out on the diagonal, too, there is nothing."""
    who = patients(2)
    shot = radiograph.aim(who, room, 128, rng(6))
    for solid in (s for s in shapes.solids(who, np.array([True, True]), rng(7)) if isinstance(s, kind)):
        for k in range(0, counts(solid)[1], 5):
            film = bone([single(solid, k)], shot, room)
            low, high = box(solid, k, room, shot)
            for i in range(2):
                rows, columns = np.nonzero(film[i])
                assert (columns >= low[i, 0]).all() and (columns <= high[i, 0]).all()
                assert (rows >= low[i, 1]).all() and (rows <= high[i, 1]).all()


def single(solid, k):
    """Solid k of every film."""
    n, many = counts(solid)
    keep = (np.arange(many) == k) * np.ones((n, 1))
    return replace(solid, density=np.broadcast_to(solid.density, (n, many)) * keep)


def box(solid, k, room, shot):
    """Pixel box (n, 2) of solid k, from its outermost points; a pixel and a bulge wider."""
    low, high = [], []
    for i in range(counts(solid)[0]):
        if isinstance(solid, shapes.Prisms):
            corners = pick(solid, "corners_mm", i, k)
            bulge = max(0.0, -pick(solid, "sag_mm", i, k).min())
            points = np.insert(
                np.concatenate([corners - bulge, corners + bulge]), 1, pick(solid, "y_mm", i, k), -1
            )
        elif isinstance(solid, shapes.Ellipsoids):
            center, reach = pick(solid, "center_mm", i, k), pick(solid, "semi_mm", i, k)[:2].max()
            points = center + reach * np.array([[1, 0, 1], [-1, 0, -1]])
        else:
            ends, reach = (
                [pick(solid, name, i, k) for name in ("start_mm", "end_mm")],
                pick(solid, "radius_mm", i, k),
            )
            points = np.concatenate([e + 1.3 * reach * np.array([[1, 0, 1], [-1, 0, -1]]) for e in ends])
        here = Exposure(shot.center_mm[i : i + 1], shot.field_mm[i : i + 1], shot.pixel_mm, shot.shape)
        pixels = radiograph.project(points[None], room, here)[0]
        low.append(pixels.min(0) - 1), high.append(pixels.max(0) + 1)
    return np.array(low), np.array(high)


def touched(films, long_side_px):
    """How many pixels are worked on for so many copies of eight patients."""
    who = patients(8, cohort="adult_deformity")
    who = anatomy.spines(who.patients[np.arange(films) % 8], rng(0))
    shot = radiograph.aim(who, replace(ROOM, aim_mm=0), long_side_px, rng(1))
    solids = shapes.solids(who, np.ones(films, bool), rng(2))
    view = raster.View(
        shot.center_mm, shot.shape, lambda y: radiograph.magnification(y, ROOM) / shot.pixel_mm
    )
    return sum(target.numel() for solid in solids for target, _ in raster.paths(solid, view))


def test_the_work_is_linear_in_films_and_in_pixels():
    per_film = [touched(films, 128) / films for films in (16, 32, 64, 128)]
    assert max(per_film) < 1.1 * min(per_film)
    assert 3.2 < touched(32, 256) / touched(32, 128) < 4.2  # boxes are rounded up
    canvas_sweeps = per_film[-1] / (128 * 104)
    assert canvas_sweeps < 25  # of some three hundred solids


def test_a_film_does_not_depend_on_the_films_around_it():
    """Attenuation and development of three patients together are those of each alone."""
    room, who = replace(ROOM, compress=0.5, edge=0.5, window=(0.05, 0.98)), patients(3)
    shot = radiograph.aim(who, room, 64, rng(12))
    bones, body = shapes.solids(who, np.array([True, False, True]), rng(14)), shapes.trunk(who, rng(13))
    together = radiograph.attenuation(bones, body, room, shot)
    films = radiograph.develop(torch.exp(-0.02 * together.sum(0)), room, shot, rng())
    for i in range(3):
        alone = only(shot, i)
        matter = radiograph.attenuation([only(solid, i) for solid in bones], only(body, i), room, alone)
        np.testing.assert_allclose(matter[:, 0], together[:, i], rtol=0, atol=0.05)
        film = radiograph.develop(torch.exp(-0.02 * matter.sum(0)), room, alone, rng())
        np.testing.assert_allclose(film[0], films[i], rtol=0, atol=2e-3)
    assert abs(films[0] - films[1]).max() > 0.1


def only(thing, i, n=3):
    """The part of a table of `n` patients that belongs to patient `i`."""
    parts = {
        name: value[i : i + 1]
        for name, value in vars(thing).items()
        if isinstance(value, np.ndarray) and len(value) == n
    }
    return replace(thing, **parts)


def test_bones_lie_where_their_landmarks_are(even):
    """Bone begins below the S1 plate and below the L1 plate, and the heads are where they should be."""
    drawn = populations.draw("healthy_adults", 12, rng(3)).angles_deg
    who = anatomy.spines(populations.with_angles(drawn, rng(4)), rng(5))  # neither domes nor curves
    shot = radiograph.aim(who, ROOM, 256, rng(6))
    vertebrae, (sacrum, *_), (heads, *_) = shapes.bodies(who), shapes.sacrum(who, rng(7)), shapes.hips(who)
    points = radiograph.project(who.landmarks_mm, ROOM, shot)
    for solid, (front, back) in ((sacrum, (0, 1)), (vertebrae, (2, 3))):
        film = bone([solid], shot)
        plate = points[:, front] - points[:, back]
        down = np.stack([plate[:, 1], -plate[:, 0]], -1) / np.linalg.norm(plate, axis=-1, keepdims=True)
        for share in (0.2, 0.8):  # near either corner, where the plate is not yet sunken
            on_plate = points[:, back] + share * plate
            above, below = (value_at(film, on_plate + step * down) for step in (-2.5, 2.5))
            assert (below > above + 2).all()
    film = bone([heads], shot)
    assert all((value_at(film, points[:, k]) > 5).all() for k in (4, 5))


def value_at(films, points_px):
    columns, rows = points_px.round().astype(int).T
    return films[np.arange(len(films)), rows, columns]


# ---------------------------------------------------------------- Beer and Lambert, at two energies


def matter_of(soft_mm, bone_mm=0.0, shape=(128, 104), n=1):
    return torch.stack([torch.full((n, *shape), float(mm)) for mm in (soft_mm, bone_mm)])


def signal_of(soft_mm, bone_mm=0.0, room=ROOM):
    return float(radiograph.expose(matter_of(soft_mm, bone_mm), room, exposure(), rng())[0, 64, 52])


def transmitted(*layers):
    """The sum of two exponentials: layers of (millimetres, (attenuation at 43.8 keV, at 65.9 keV))."""
    return sum(w * np.exp(-sum(mm * mu[i] for mm, mu in layers)) for i, w in enumerate(SHARES))


@pytest.mark.parametrize("muscle_mm, bone_mm", [(0, 0), (100, 0), (200, 0), (200, 10), (250, 40), (0, 30)])
def test_signal_is_a_sum_of_two_exponentials(muscle_mm, bone_mm):
    """A slab of muscle and one of cortical bone; lumbo says that the bone displaces as much muscle."""
    by_hand = transmitted((muscle_mm, MUSCLE), (bone_mm, CORTICAL))
    assert signal_of(muscle_mm + bone_mm, bone_mm) == pytest.approx(by_hand, rel=1e-3)


def test_a_number_worked_by_hand():
    """200 mm of muscle, 20 of them replaced by bone: 0.637 e^-6.802 + 0.363 e^-4.772 = 0.00378."""
    assert signal_of(200, 20) == pytest.approx(0.00378, abs=0.00001)


def test_the_beam_hardens():
    """The first centimetres take more than the last, and what is left goes through bone more easily."""
    signals = [signal_of(mm) for mm in (0, 100, 200, 300)]
    losses = -np.diff(np.log(signals)) / 100
    assert MUSCLE[0] > losses[0] > losses[1] > losses[2] > MUSCLE[1]
    thin, thick = (signal_of(mm, 10) / signal_of(mm) for mm in (50, 300))
    assert thin < thick


def test_titanium_takes_what_it_takes_in_the_laboratory(even):
    """A rod of 5.5 mm in 200 mm of muscle, drawn, against the attenuation of Ti-6Al-4V."""
    rod = shapes.Rods(np.array([[[0.0, 0, -200]]]), np.array([[[0.0, 0, 200]]]), 2.75, 1.0, shapes.TITANIUM)
    matter = radiograph.attenuation([rod], no_body(), ROOM, exposure(pixel_mm=0.1))
    matter[0] += 200
    signal = radiograph.expose(matter, ROOM, exposure(), rng())[0, 64]
    by_hand = transmitted((194.5, MUSCLE), (5.5, TI6AL4V)) / transmitted((200, MUSCLE))
    assert float(signal.min() / signal.max()) == pytest.approx(by_hand, rel=0.01)


def test_gas_lets_through_what_muscle_would_have_taken(even):
    bubble = ball([0, 0, 0], material=shapes.AIR)
    matter = radiograph.attenuation([bubble], no_body(), ROOM, exposure(pixel_mm=1.0))
    matter[0] += 200
    signal = radiograph.expose(matter, ROOM, exposure(), rng())[0]
    assert float(signal.max()) == pytest.approx(transmitted((160, MUSCLE)), rel=2e-3)


def test_gas_may_not_make_more_light_than_there_was(even):
    shot = exposure()
    matter = radiograph.attenuation([ball([0, 0, 0], material=shapes.AIR)], no_body(), ROOM, shot)
    assert matter[0].min() < -30
    assert radiograph.expose(matter, ROOM, shot, rng()).max() <= 1


# ---------------------------------------------------------------- scatter, grid, heel, noise, blur


@pytest.mark.parametrize("scatter, grid", [(1.0, 1.0), (3.0, 1.0), (3.0, 4.0)])
def test_scatter_over_primary_is_as_stated_behind_200_mm_and_a_grid_divides_it(scatter, grid):
    primary = signal_of(200)
    veiled = signal_of(200, room=replace(ROOM, scatter=scatter, grid=grid))
    assert veiled / primary - 1 == pytest.approx(scatter / grid, rel=1e-3)


def test_scatter_takes_its_share_of_the_contrast_of_a_small_detail():
    """It keeps 1 / (1 + s) of its contrast in a broad uniform body: the veil hardly sees it."""
    matter = matter_of(200)
    matter[1, 0, 64, 52] += 2.0
    contrast = []
    for scatter in (0.0, 3.0):
        signal = radiograph.expose(matter, replace(ROOM, scatter=scatter), exposure(pixel_mm=1.0), rng())[0]
        contrast.append(1 - float(signal[64, 52] / signal[64, 10]))
    assert contrast[1] == pytest.approx(contrast[0] / 4, rel=0.01)


def test_the_veil_lies_where_the_patient_is_and_not_in_the_open_beam():
    """Scatter is worked out on a coarse grid; it must not move.  A central block keeps a central veil."""
    matter, shot = matter_of(0, shape=(256, 208)), exposure(pixel_mm=2.0, shape=(256, 208))
    matter[0, 0, 98:158, 74:134] = 50.0
    veil = lambda grid: (
        radiograph.expose(matter, replace(ROOM, scatter=3, grid=grid), shot, rng())
        - radiograph.expose(matter, ROOM, shot, rng())
    )[0].numpy()
    alone = veil(1)[98:158, 74:134]  # the open beam around it is white already
    np.testing.assert_allclose(alone, alone[::-1], atol=2e-5)
    np.testing.assert_allclose(alone, alone[:, ::-1], atol=2e-5)
    np.testing.assert_allclose(veil(5)[98:158, 74:134], alone / 5, rtol=1e-3, atol=1e-6)
    matter[0] -= 1e-3  # hardly anything beside the block; further away than the veil reaches, nothing at all
    assert alone.min() > 0.05


def test_nothing_is_scattered_far_from_the_patient():
    """Below the white of the open beam, so that a veil would show: a thin bone plate instead of a patient."""
    matter, shot = matter_of(0, 10, shape=(256, 208)), exposure(pixel_mm=2.0, shape=(256, 208))
    matter[0, 0, :40] = 200.0
    plain, veiled = (radiograph.expose(matter, room, shot, rng())[0] for room in (ROOM, replace(ROOM, scatter=3)))  # fmt: skip
    far = slice(40 + 50, None)  # 100 mm, four times the width of the veil
    np.testing.assert_array_equal(veiled[far], plain[far])
    assert (veiled[:40] > 2 * plain[:40]).all() and (veiled[40:50] > plain[40:50]).all()


@pytest.mark.parametrize("heel", [0.1, 0.3])
def test_heel_is_linear_along_the_patient_and_even_across(heel):
    signal = (
        radiograph.expose(matter_of(100), replace(ROOM, heel=heel), exposure(), rng())[0].double().numpy()
    )
    profile = signal[:, 52] / transmitted((100, MUSCLE))
    np.testing.assert_allclose(np.diff(profile), heel / 127, rtol=0, atol=2e-6)
    assert profile[-1] - profile[0] == pytest.approx(heel, rel=1e-4)  # weaker at the upper edge
    assert profile.mean() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(signal, signal[:, :1] * np.ones(104), rtol=1e-6)


def test_noise_has_a_variance_in_proportion_to_its_mean():
    """Five thicknesses on each film; the slope is one over the photons of the open beam on a pixel.

    The chamber sees its part of the film, and from it follows how many photons there were.  A
    variance of n values has a relative sampling error of sqrt(2 / n).
    """
    room, shot, n = replace(ROOM, photons=5000), exposure(pixel_mm=2.0, shape=(100, 80), n=200), 200
    matter = matter_of(0, shape=(100, 80), n=n)
    for k, mm in enumerate((20, 60, 100, 150, 200)):
        matter[0, :, 20 * k : 20 * k + 20] = mm
    signal = radiograph.expose(matter, room, shot, rng(8)).double().reshape(n, 5, 20, 80)
    clean = np.array([transmitted((mm, MUSCLE)) for mm in (20, 60, 100, 150, 200)])
    rows = clean.repeat(20)[20:81]  # the chamber is 120 mm high: 61 rows with its middle at row 50
    open_beam = 5000 / rows.mean() * 4
    values = signal.movedim(1, 0).reshape(5, -1).numpy()
    count = values.shape[1]
    ratio = values.var(1) / values.mean(1) * open_beam
    np.testing.assert_allclose(ratio, 1, rtol=0, atol=4.5 * np.sqrt(2 / count))
    np.testing.assert_allclose(
        values.mean(1), clean, rtol=0, atol=4.5 * np.sqrt(clean / open_beam / count).max()
    )
    slope = np.polyfit(values.mean(1), values.var(1), 1)[0]
    assert slope * open_beam == pytest.approx(1, abs=4.5 * np.sqrt(2 / count) * 2)


@pytest.mark.parametrize("soft_mm", [100, 300])
def test_the_exposure_ends_when_the_chamber_has_its_photons(soft_mm):
    """A stout patient gets a longer exposure, and the same noise behind the middle."""
    room, shot = replace(ROOM, photons=5000), exposure(pixel_mm=2.0)
    signal = radiograph.expose(matter_of(soft_mm), room, shot, rng(9)).double()
    assert float(signal.mean() / signal.std()) ** 2 == pytest.approx(5000 * 4, rel=4.5 * np.sqrt(2 / signal.numel()))  # fmt: skip


def test_exposure_varies_from_film_to_film_as_specified():
    room, n = replace(ROOM, photons=1e4, spread=0.3), 400
    noise = radiograph.expose(matter_of(100, shape=(64, 52), n=n), room, exposure(shape=(64, 52), n=n), rng(10)).std((1, 2))  # fmt: skip
    spread = np.log(noise.numpy()).std() * 2  # noise goes with the root of the exposure
    assert spread == pytest.approx(0.3, rel=4.5 / np.sqrt(2 * n))


@pytest.mark.parametrize("blur_mm", [0.25, 0.5, 1.0])
def test_the_line_spread_has_the_standard_deviation_of_the_detector(blur_mm):
    """An edge on a film of 1,024 pixels: the derivative of its profile, moments about its place.

    The kernel is cut at three SD, which narrows it by 1.4 %.
    """
    pixel, shape = 0.125, radiograph.canvas(1024)
    matter, shot = matter_of(150, shape=shape), exposure(pixel_mm=pixel, shape=shape)
    matter[0, 0, :, : shape[1] // 2] = 100.0
    profile = radiograph.expose(matter, replace(ROOM, blur_mm=blur_mm), shot, rng())[0, 500].double().numpy()
    line = -np.diff(profile) / np.ptp(profile)
    at = (np.arange(len(line)) - (shape[1] // 2 - 1)) * pixel
    middle = (at * line).sum()
    assert line.sum() == pytest.approx(1, rel=1e-6) and middle == pytest.approx(0, abs=1e-3)
    assert np.sqrt((at**2 * line).sum() - middle**2) == pytest.approx(blur_mm, rel=0.02)
    rise = np.interp([0.1, 0.9], np.cumsum(line), at)
    assert np.ptp(rise) == pytest.approx(2.563 * blur_mm, rel=0.03)


def test_a_point_is_spread_evenly_and_no_light_is_lost():
    matter, shot = matter_of(150, shape=(128, 128)), exposure(pixel_mm=0.5, shape=(128, 128))
    matter[0, 0, 60, 70] = 0.0
    signal = radiograph.expose(matter, replace(ROOM, blur_mm=1.5), shot, rng())[0].double().numpy()
    base = transmitted((150, MUSCLE))
    weight = signal - signal[0, 0]
    assert weight.sum() == pytest.approx(1 - base, rel=1e-3)
    rows, columns = np.mgrid[:128, :128]
    for axis, at in ((rows, 60), (columns, 70)):
        mean = np.average(axis, weights=weight)
        assert mean == pytest.approx(at, abs=0.02)
        assert np.sqrt(np.average((axis - mean) ** 2, weights=weight)) * 0.5 == pytest.approx(1.5, rel=0.02)


# ---------------------------------------------------------------- processing


def ramp(n=1):
    """Signal whose density climbs evenly from left to right, 0.5 to 6."""
    return torch.exp(-torch.linspace(0.5, 6, 104))[None, None].expand(n, 128, 104).contiguous()


def develop(signal, room=ROOM, shot=None):
    return radiograph.develop(signal, room, shot or exposure(pixel_mm=3.0, n=len(signal)), rng())


def test_development_without_processing_is_linear_in_density():
    """Black at the skin (0.8), white where most is absorbed; more bone is brighter."""
    grey = develop(ramp())[0, 64].double().numpy()
    inner = grey[(grey > 0) & (grey < 1)]
    np.testing.assert_allclose(np.diff(inner), 5.5 / 103 / (6 - 0.8), rtol=0.02)
    np.testing.assert_allclose(np.diff(inner), np.diff(inner).mean(), rtol=1e-3)
    assert (np.diff(grey) >= 0).all() and grey[0] == 0 and grey[-1] == 1


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.05, 0.97), (0.2, 0.9)])
def test_the_window_makes_its_shares_of_the_patient_black_and_white(window):
    """Over the patient's pixels; the levels come from every 29th of them, hence the sampling error."""
    density = torch.as_tensor(rng(3).gamma(9, 0.3, (1, 128, 104)).astype(np.float32)) + 0.9
    grey = develop(torch.exp(-density), replace(ROOM, window=window))
    sample = density.numel() / 29
    for found, share in (((grey == 0), window[0]), ((grey == 1), 1 - window[1])):
        error = 4.5 * np.sqrt(share * (1 - share) / sample) + 2 / sample
        assert float(found.double().mean()) == pytest.approx(share, abs=error)


def test_the_window_looks_at_the_patient_and_not_at_the_open_beam():
    """With nine tenths of open beam around it, the patient is developed as alone."""
    patient = ramp()
    beside = torch.ones(1, 128, 1040)
    beside[:, :, :104] = patient
    wide = develop(beside, shot=exposure(pixel_mm=3.0, shape=(128, 1040)))
    np.testing.assert_allclose(wide[:, :, :104], develop(patient), rtol=0, atol=0.03)
    assert wide[:, :, 104:].max() == 0


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gamma_is_the_power_of_the_display(gamma):
    linear, bent = (develop(ramp(), replace(ROOM, gamma=g)) for g in (1, gamma))
    np.testing.assert_allclose(bent, linear**gamma, atol=1e-5)


def test_compression_flattens_broad_differences_and_keeps_edges():
    signal = ramp()
    signal[0, :, 52:] *= 0.7
    films = [develop(signal, replace(ROOM, compress=share))[0, 64] for share in (0, 0.4, 0.8)]
    slope = [float(film[44] - film[30]) / 14 for film in films]
    jump = [float(film[52] - film[51]) for film in films]
    sharpness = [j / s for j, s in zip(jump, slope)]
    assert 1.3 * sharpness[0] < sharpness[1] < sharpness[2] / 1.3


def test_edge_enhancement_raises_an_edge():
    signal = torch.full((1, 128, 104), 0.1)
    signal[:, :, 52:] = 0.05
    signal[:, :4], signal[:, -4:] = 0.4, 0.001  # room below and above for the window
    films = [develop(signal, replace(ROOM, edge=e))[0, 64] for e in (0, 1, 2)]
    rise = [float(film[53] - film[50]) / float(film[100] - film[4]) for film in films]
    assert rise[1] > 1.2 * rise[0]
    assert rise[2] - rise[1] == pytest.approx(rise[1] - rise[0], rel=0.02)


def test_edges_gamma_and_exposure_vary_by_their_spread():
    room, n = replace(ROOM, spread=0.3), 400
    middle = develop(ramp(n), room)[:, 64, 52].double().numpy()
    linear = float(develop(ramp())[0, 64, 52])
    gammas = np.log(middle) / np.log(linear)
    assert np.log(gammas).std() == pytest.approx(0.3, rel=4.5 / np.sqrt(2 * n))


@ROOMS
def test_nothing_is_shown_outside_the_field(room):
    """Each film has its own field; a body, a heel and a marker fill the canvas, and are cut off."""
    room = replace(
        room, field_mm=(300, 400), shutters=0.3, marker=1, heel=0.2, scatter=2, window=(0.02, 0.98)
    )
    who = patients(6)
    shot = radiograph.aim(who, room, 128, rng(15))
    solids = [*shapes.solids(who, np.ones(6, bool), rng(16)), radiograph.side_marker(room, shot, rng(17))]
    matter = radiograph.attenuation(solids, shapes.trunk(who, rng(18)), room, shot)
    grey = radiograph.develop(radiograph.expose(matter, room, shot, rng(19)), room, shot, rng(20)).numpy()
    rows, columns = (abs(np.arange(size) - (size - 1) / 2) * shot.pixel_mm for size in shot.shape)
    for film, (width, height) in zip(grey, shot.field_mm):
        outside = (rows[:, None] > height / 2) | (columns > width / 2)
        assert outside.any() and not film[outside].any()
        assert film[~outside].max() == 1
    assert np.ptp(shot.field_mm, axis=0).min() > 10


# ---------------------------------------------------------------- markers, side and polarity


@ROOMS
def test_markers_lie_inside_the_field(room):
    room = replace(room, marker=1.0, shutters=0.3)
    who = patients(500)
    shot = radiograph.aim(who, room, 128, rng(23))
    letters = radiograph.side_marker(room, shot, rng(24))
    ends = radiograph.project(np.stack([letters.start_mm, letters.end_mm], 2).reshape(500, -1, 3), room, shot)
    off = abs(ends - (np.array(shot.shape[::-1]) - 1) / 2) * shot.pixel_mm
    assert (off <= shot.field_mm[:, None] / 2 - letters.radius_mm).all()
    assert (off.max((1,)) > 0.5 * shot.field_mm / 2).all()  # in a corner, not over the spine
    assert (np.linalg.norm(ends.reshape(500, -1, 2, 2)[:, 0, 0] - ends.reshape(500, -1, 2, 2)[:, 0, 1], axis=-1) * shot.pixel_mm > 8).all()  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_markers_stand_on_their_share_of_the_films_half_of_them_l_half_r(share):
    n = 4000
    shot = exposure(n=n, field_mm=(300, 400))
    letters = radiograph.side_marker(replace(ROOM, marker=share), shot, rng(25))
    there = letters.density.any(1)
    assert there.mean() == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / n))
    pieces = np.linalg.norm(letters.start_mm - letters.end_mm, axis=-1)
    is_r = pieces[:, 4] > 0  # the fifth stroke is a leg that L lacks
    assert is_r.mean() == pytest.approx(0.5, abs=4.5 * np.sqrt(0.25 / n))
    assert letters.material == shapes.LEAD


def test_a_letter_reads_as_it_should_on_a_film_that_faces_left():
    """The upright of L and R is on their left: on a canonical film the letters are not mirrored."""
    shot = exposure((30.0, 60.0), 1.0, (512, 416), n=40, field_mm=(400, 500))
    letters = radiograph.side_marker(replace(ROOM, marker=1), shot, rng(26))
    start, end = (radiograph.project(points, ROOM, shot) for points in (letters.start_mm, letters.end_mm))
    upright, foot = start[:, 0, 0], end[:, 1, 0]
    assert (upright < foot).all()  # columns grow to the right
    assert (start[:, 0, 1] < end[:, 0, 1]).all()  # from top to bottom


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_canonical_undoes_present(dtype):
    top = np.iinfo(dtype).max
    films = rng(11).integers(0, top, (4, 8, 6), dtype=dtype, endpoint=True)
    side, inverted = np.array(["left", "right", "left", "right"]), np.array([False, False, True, True])
    stored = radiograph.present(films, side, inverted)
    assert stored.dtype == dtype
    np.testing.assert_array_equal(radiograph.canonical(stored, side, inverted), films)
    np.testing.assert_array_equal(stored[0], films[0])
    np.testing.assert_array_equal(stored[1], films[1, :, ::-1])
    np.testing.assert_array_equal(stored[2], top - films[2])
    np.testing.assert_array_equal(stored[3], top - films[3, :, ::-1])


# ---------------------------------------------------------------- the whole, its seed, its device, its errors


def take(room, seed=0, n=4, px=64):
    who = patients(n)
    shot = radiograph.aim(who, room, px, rng(seed))
    solids = [*shapes.solids(who, np.ones(n, bool), rng(30)), radiograph.side_marker(room, shot, rng(31))]
    matter = radiograph.attenuation(solids, shapes.trunk(who, rng(32)), room, shot)
    signal = radiograph.expose(matter, room, shot, rng(seed + 1))
    return radiograph.develop(signal, room, shot, rng(seed + 2))


BUSY = replace(ROOM, photons=4000, scatter=3, grid=4, heel=0.2, blur_mm=0.4, compress=0.4, edge=1,
               window=(0.05, 0.98), gamma=1.2, spread=0.2, marker=0.7, shutters=0.1)  # fmt: skip


@pytest.mark.parametrize("room", [BUSY, replace(BUSY, slot=True)], ids=["cone", "slot"])
def test_the_same_seed_gives_the_same_bits(room, untouched):
    first, again, other = take(room), take(room), take(room, seed=50)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.dtype == torch.float32 and first.min() == 0 and first.max() == 1


def test_solids_are_drawn_on_the_device_in_force():
    """On "meta", which computes nothing and holds nothing, a tensor made elsewhere would be refused."""
    who = patients(2)
    shot = radiograph.aim(who, BUSY, 64, rng(0))
    solids = [*shapes.solids(who, np.ones(2, bool), rng(30)), radiograph.side_marker(BUSY, shot, rng(31))]
    body = shapes.trunk(who, rng(32))
    with torch.device("meta"):
        matter = radiograph.attenuation(solids, body, BUSY, shot)
    assert matter.device.type == "meta" and matter.shape == (2, 2, 64, 52)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_film():
    room = replace(BUSY, photons=1e16)  # its generator draws other noise
    here = take(room)
    with torch.device("cuda"):
        there = take(room)
    np.testing.assert_allclose(there.cpu(), here, rtol=0, atol=0.01)


@pytest.mark.parametrize("long_side_px", [*range(32, 161, 16), 1024])
def test_every_canvas_can_be_drawn_on(even, long_side_px):
    """The width is 13/16 of the height, and so is odd for every other canvas."""
    height, width = radiograph.canvas(long_side_px)
    assert (height, width) == (long_side_px, long_side_px * 13 // 16)
    pixel = 320 / long_side_px
    shot = exposure((20.0, 0.0), pixel_mm=pixel, shape=(height, width))
    film = radiograph.attenuation([], trunk(), ROOM, shot)[0, 0].numpy()
    assert film.shape == (height, width)
    chord = 300 * np.sqrt(np.clip(1 - ((plane(0.0, ROOM, shot, 0)[0] - 20) / 100) ** 2, 0, None))
    inner = chord > 150
    np.testing.assert_allclose(film[inner], chord[inner], rtol=0, atol=0.5 + 0.05 * pixel**2)


@pytest.mark.parametrize("long_side_px", [0, 16, 100, 2064, 128.0, "128", True, None])
def test_impossible_canvases_are_refused_by_name(long_side_px):
    with pytest.raises(InputError, match=r"^long_side_px: got .*allowed: ") as caught:
        radiograph.canvas(long_side_px)
    assert str(long_side_px) in str(caught.value)
