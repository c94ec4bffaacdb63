"""The four kinds of solid on the film: against closed forms, and against a slow drawing over the whole canvas."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from test_anatomy import built, vary
from test_radiograph import ROOM, ROOMS, ball, bone, exposure, no_body, patients, plane, rng

from lumbo.films import bones, populations, radiograph, raster, shapes, tissue
from lumbo.films.processing import develop

NONE = (0.0,) * 4

# ---------------------------------------------------------------- an independent, slow drawing


def pixel_in(x, z):
    """Size of a pixel in the plane that `plane` gives: the mean of its sides."""
    return (abs(x[0, 1] - x[0, 0]) + abs(z[1, 0] - z[0, 0])) / 2


def seen_at(point, depth, plane_y, room, center):
    """Where a point (x, z) at a depth is seen in another plane."""
    tube = room.source_mm - room.object_mm
    grown = (tube - plane_y) / (tube - depth)
    return center + (point - center) * np.array([grown, 1.0 if room.slot else grown])


def slow_prism(solid, i, k, room, shot):
    corners, y, half, density, shell, sag, nearer, slant, rough = (
        pick(solid, name, i, k)
        for name in (
            "corners_mm",
            "y_mm",
            "half_width_mm",
            "density",
            "shell",
            "sag_mm",
            "nearer_mm",
            "slant_mm",
            "rough_mm",
        )
    )
    corners = np.array(
        [
            seen_at(c, float(y) + d, float(y), room, shot.center_mm[i])
            for c, d in zip(corners, np.broadcast_to(nearer, len(corners)))
        ]
    )
    skew = np.broadcast_to(pick(solid, "skew", i, k), sag.shape)
    near, far = (
        np.array([seen_at(c, y + s * half, float(y), room, shot.center_mm[i]) for c in corners])
        for s in (1, -1)
    )
    moved = shapes.ROUND * (near - far + slant)
    x, z = plane(float(y), room, shot, i)
    pixel, inside, wide = pixel_in(x, z), [], []
    for a, b, depth, bent, move, rest in zip(
        corners,
        np.roll(corners, -1, 0),
        sag,
        skew,
        moved + np.roll(moved, -1, 0),
        np.broadcast_to(rough, sag.shape),
    ):
        (ux, uz), (mx, mz) = (b - a) / np.linalg.norm(b - a), move / 2
        wide.append(np.linalg.norm([pixel, ux * mz - uz * mx, rest]))
        (ux, uz), length = (b - a) / np.linalg.norm(b - a), np.linalg.norm(b - a)
        side = np.sign(ux * (corners.mean(0) - a)[1] - uz * (corners.mean(0) - a)[0])
        share = np.clip(((x - a[0]) * ux + (z - a[1]) * uz) / length, 0, 1)
        share = share + bent * share * (1 - share)
        inside.append(side * (ux * (z - a[1]) - uz * (x - a[0])) - 4 * depth * share * (1 - share))
    cover = lambda distance, wide: np.clip(distance / wide + 0.5, 0, 1)
    whole = np.min([cover(*edge) for edge in zip(inside, wide)], axis=0)
    path = density * whole
    for distance, soft, strength in zip(inside, wide, shell):
        path = path + strength * np.clip(whole - cover(distance - shapes.SHELL_MM, soft), 0, None)
    for reach in set(solid.taper_mm) - {0.0}:
        nearest = np.min([d for d, t in zip(inside, solid.taper_mm) if t == reach], axis=0)
        path = path * np.sqrt(1 - np.clip(1 - nearest / reach, 0, 1) ** 2)
    return 2 * half * path


def slow_ellipsoid(solid, i, k, room, shot):
    center, semi, turn, density = (
        pick(solid, name, i, k) for name in ("center_mm", "semi_mm", "turn_deg", "density")
    )
    x, z = plane(center[1], room, shot, i)
    turned = ((x - center[0]) + 1j * (z - center[2])) * np.exp(-1j * np.radians(turn))
    rest = np.clip(1 - (turned.real / semi[0]) ** 2 - (turned.imag / semi[1]) ** 2, 0, None)
    return 2 * semi[2] * density * rest ** (2 if solid.soft else 0.5)


def moved(point, y, room, at):
    """Where a point is seen in the plane at depth y, along its own ray: (x, z)."""
    tube_y = room.source_mm - room.object_mm
    nearer = (tube_y - y) / (tube_y - point[1])
    return at + (point[[0, 2]] - at) * np.array([nearer, 1.0 if room.slot else nearer])


def away(x, z, a, b):
    """Distance of each pixel from the stretch between two points."""
    squared = max(((b - a) ** 2).sum(), 1e-12)  # a dot has no length
    along = np.clip(((x - a[0]) * (b - a)[0] + (z - a[1]) * (b - a)[1]) / squared, 0, 1)
    return np.hypot(x - a[0] - along * (b - a)[0], z - a[1] - along * (b - a)[1])


def slow_rod(solid, i, k, room, shot):
    start, end, radius, density = (
        pick(solid, name, i, k) for name in ("start_mm", "end_mm", "radius_mm", "density")
    )
    middle_y, at = (start[1] + end[1]) / 2, shot.center_mm[i]
    x, z = plane(middle_y, room, shot, i)
    off = away(x, z, *(moved(point, middle_y, room, at) for point in (start, end))) / radius
    flat = np.linalg.norm((end - start)[[0, 2]])
    slant = min(np.linalg.norm(end - start) / flat, 3) if flat > 1e-6 else 3
    return 2 * radius * density * slant * np.sqrt(np.clip(1 - off**2, 0, None))


def slow_tube(solid, i, k, room, shot):
    points, radius, density, hollow = (
        pick(solid, name, i, k) for name in ("points_mm", "radius_mm", "density", "hollow")
    )
    middle_y, at = points[:, 1].mean(), shot.center_mm[i]
    x, z = plane(middle_y, room, shot, i)
    line = [moved(point, middle_y, room, at) for point in points]
    off = np.min([away(x, z, a, b) for a, b in zip(line, line[1:])], axis=0) / radius
    if solid.soft:
        return 2 * radius * density * np.clip(1 - off**2, 0, None)
    wall = np.sqrt(np.clip(1 - off**2, 0, None)) - np.sqrt(np.clip(hollow**2 - off**2, 0, None))
    return 2 * radius * density * wall


SLOW = {
    shapes.Prisms: slow_prism,
    shapes.Ellipsoids: slow_ellipsoid,
    shapes.Rods: slow_rod,
    shapes.Tubes: slow_tube,
}
TAIL = {
    "nearer_mm": 1,
    "slant_mm": 2,
    "rough_mm": 1,
    "corners_mm": 2,
    "shell": 1,
    "sag_mm": 1,
    "skew": 1,
    "center_mm": 1,
    "semi_mm": 1,
    "start_mm": 1,
    "end_mm": 1,
}
TAIL |= {"points_mm": 2}


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


def differs(fast, reference, at=0.01):
    """Largest difference where a steep rim does not magnify rounding: the 99.9th percentile, and the worst."""
    off = abs(fast - reference)
    return np.quantile(off, 0.999) / at, off.max() / (50 * at)


# ---------------------------------------------------------------- what rays lose


def test_a_sphere_absorbs_along_its_chord():
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


def test_a_sphere_on_oblique_rays_differs_by_little_from_the_drawing():
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
def test_turned_ellipsoids_keep_their_volume_on_the_film(room):
    """The bone of a film adds up to volume, times the magnifications across and along."""
    volume = 4 / 3 * np.pi * 30 * 12 * 20
    for turn in (0.0, 35.0, 90.0):
        egg = shapes.Ellipsoids(np.array([[[0.0, 60, 0]]]), np.array([[[30.0, 12, 20]]]), turn, 0.5)
        total = bone([egg], exposure(pixel_mm=1.0), room).sum()
        assert total == pytest.approx(0.5 * volume * radiograph.magnification(60.0, room).prod(), rel=2e-3)


def test_a_turned_ellipsoid_is_long_where_it_points():
    """Turned from x towards z by 60 degrees: forwards is left on the film, up is up."""
    egg = shapes.Ellipsoids(np.zeros((1, 1, 3)), np.array([[[40.0, 8, 8]]]), 60.0, 1.0)
    film = bone([egg], exposure(pixel_mm=1.0))[0]
    at = lambda degrees: film[
        round(63.5 - 35 * np.sin(np.radians(degrees))), round(51.5 - 35 * np.cos(np.radians(degrees)))
    ]
    assert at(60) > 0 and at(240) > 0 and at(-60) == at(120) == 0


BLOCK = np.array([[20.0, 15], [-20, 15], [-20, -15], [20, -15]])  # 40 x 30 mm


def block(turn_deg=0.0, density=0.5, shell=NONE, sag=NONE, taper=NONE, skew=(0.0,)):
    """A prism of half width 24 mm, turned about its middle; its first edge is the upper one, from the front backwards."""
    spin = np.exp(1j * np.radians(turn_deg)) * (BLOCK[:, 0] + 1j * BLOCK[:, 1])
    corners = np.stack([spin.real, spin.imag], -1)
    return shapes.Prisms(corners[None, None], 0.0, 24.0, density, shell, sag, taper, skew)


@pytest.mark.parametrize("pixel_mm", [0.6, 1.2, 2.4])
@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_a_prism_absorbs_by_its_width_and_covers_its_area(pixel_mm, turn_deg):
    """A pixel on an edge takes its share, so only the four corners can err, each by less than a pixel's area."""
    film, scale = bone([block(turn_deg)], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], 1.2
    assert film[127, 103] == pytest.approx(24, rel=1e-5)
    area = film.sum() / 24 * (pixel_mm / scale) ** 2
    assert area == pytest.approx(40 * 30, abs=4 * (pixel_mm / scale) ** 2)


@pytest.mark.parametrize("pixel_mm", [0.3, 1.2, 2.4])
def test_a_thin_shell_keeps_its_bone_on_pixels_of_any_size(pixel_mm):
    """Each edge adds its own to its first millimetres, both where two meet: width times length times strength."""
    thick = block(density=0.0001, shell=(0.3, 0.2, 0.1, 0.4))
    film, pixel = bone([thick], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], pixel_mm / 1.2
    added = (film.sum() / 48 - film.clip(max=0.0048).sum() / 48) * pixel**2
    assert added == pytest.approx(shapes.SHELL_MM * (0.4 * 40 + 0.6 * 30), abs=4 * 0.5 * max(pixel, pixel**2))
    assert film[127, 103] == pytest.approx(0.0048, rel=1e-4)


def test_two_edges_meet_in_a_corner_of_both():
    """A tenth of a millimetre a pixel: along the edges their own strength, in the corner the sum of the two."""
    film = (
        bone([block(density=1e-6, shell=(0.3, 0.2, 0, 0))], exposure((-20, 15), 0.12, shape=(128, 104)))[0]
        / 48
    )
    at = lambda x, z: film[round(63.5 - (z - 15) * 10), round(51.5 - (x + 20) * 10)]
    np.testing.assert_allclose([at(-17, 14.5), at(-19.5, 11), at(-19.5, 14.5)], [0.3, 0.2, 0.5], rtol=1e-3)


def test_solids_of_one_table_have_shells_of_their_own():
    two = replace(block(), corners_mm=np.stack([BLOCK, BLOCK + [0, 60]])[None], density=np.array([[1e-6, 1e-6]]),
                  shell=np.array([[[0.3, 0, 0, 0], [0, 0, 0.1, 0]]]))  # fmt: skip
    film = bone([replace(two, half_width_mm=1.0)], exposure((0, 30), 0.6, (256, 208)))[0] / 2
    at = lambda z: film[round(127.5 - (z - 30) * 2), 103]
    np.testing.assert_allclose([at(14.5), at(-14.5), at(74.5), at(45.5)], [0.3, 0, 0, 0.1], atol=0.01)


@pytest.mark.parametrize("pixel_mm", [0.6, 1.2, 2.4])
def test_a_tapered_side_rounds_off_as_a_quarter_of_an_ellipse(pixel_mm):
    """Over T mm the width falls as a quarter ellipse, and (1 - pi / 4) T is lost along that edge.

    Midpoints under a square root miss at most T (pixel / T)^1.5 of it.
    """
    film, pixel = bone([block(taper=(0, 0, 0, 12.0))], exposure(pixel_mm=pixel_mm, shape=(256, 208)))[0], pixel_mm / 1.2  # fmt: skip
    kept = film.sum() / 24 * pixel**2
    assert kept == pytest.approx(30 * (40 - 12 * (1 - np.pi / 4)), abs=30 * 12 * (pixel / 12) ** 1.5 + 4 * pixel**2)  # fmt: skip


@pytest.mark.parametrize("slant", [(0.0, 0.0), (2.0, 2.0), (-2.0, 1.0)])
@pytest.mark.parametrize("place", [(0.0, 0.0), (25.0, 40.0), (-25.0, 40.0)])
def test_roughness_broadens_every_edge_and_leaves_the_amount_of_bone(place, slant):
    """Whichever way the edge runs, and whatever the diverging rays and a slant do to it."""
    shot = exposure(place[::-1], 0.6, (256, 208))
    tilted = replace(block(), slant_mm=(slant,), shell=(0.0,) * 4)
    fine, rough = (bone([one], shot)[0] for one in (tilted, replace(tilted, rough_mm=(4.0,))))
    assert rough.sum() == pytest.approx(fine.sum(), rel=0.02)
    for axis in (0, 1):  # across the middle of the block, where only two edges are met
        at = np.average(np.arange(fine.shape[1 - axis]), weights=fine.sum(axis)).round().astype(int)
        sharp, soft = (abs(np.diff(np.take(film, at, 1 - axis))).max() for film in (fine, rough))
        assert soft < 0.9 * sharp


@pytest.mark.parametrize("sag", [2.0, -2.0])
def test_a_sunken_edge_is_a_parabola(sag):
    """Two thirds of length times sag are taken away, or added where it bulges; the ends stay where they are."""
    film = bone([block(sag=(sag, 0, 0, 0))], exposure(pixel_mm=0.6, shape=(256, 208)))[0]
    assert film.sum() / 24 * 0.25 == pytest.approx(40 * 30 - 2 / 3 * 40 * sag, abs=2)
    at = lambda x, z: film[round(127.5 - z * 2), round(103.5 - x * 2)]
    inner, outer = (15 - max(sag, 0) - 0.75, 15 - min(sag, 0) + 0.75)
    assert at(0, inner) == pytest.approx(24) and at(0, outer) == 0 and at(-19, 14) > 20
    assert (at(0, 14.25) > 0) == (sag < 0)


@pytest.mark.parametrize(("skew", "place"), [(0.0, 0.5), (0.6, 1 / 3), (-0.6, 2 / 3)])
def test_a_skewed_edge_is_deepest_near_its_start_or_its_end(skew, place):
    """By algebra: share + skew share (1 - share) = 1/2.  For .6, share = (1.6 - sqrt(1.36)) / 1.2, near a third."""
    solid = block(sag=(6.0, 0, 0, 0), skew=(skew, 0, 0, 0))
    film = bone([solid], exposure(pixel_mm=0.6, shape=(256, 208)))[0] / 24
    kept = film[64:128].sum(0)[66:142]  # rows of half a millimetre in each column
    deepest = 20 - (103.5 - 66 - kept.argmin()) / 2  # millimetres from the front, where the edge starts
    exact = {0.0: 0.5, 0.6: (1.6 - np.sqrt(1.36)) / 1.2, -0.6: (np.sqrt(1.36) - 0.4) / 1.2}[skew]
    assert deepest / 40 == pytest.approx(exact, abs=0.03) and exact == pytest.approx(place, abs=0.04)


def test_a_rod_absorbs_by_its_diameter_and_is_as_thick_as_it_is():
    rod = shapes.Rods(np.array([[[0.0, 0, -40]]]), np.array([[[0.0, 0, 40]]]), 6.0, 0.5)
    film = bone([rod], exposure(pixel_mm=0.5, shape=(256, 208)))[0]
    assert film[128].max() == pytest.approx(6, rel=1e-2)
    assert film[128].sum() * 0.5 == pytest.approx(0.5 * np.pi * 36 * 1.2, rel=1e-2)  # a disc, magnified


@pytest.mark.parametrize("tilt_deg", [0, 30, 60])
def test_a_slanted_rod_is_crossed_on_a_longer_way(tilt_deg):
    """A ray along y meets a rod that leans out of the film by t on its diameter over cos t."""
    end = 40 * np.array([0.0, np.sin(np.radians(tilt_deg)), np.cos(np.radians(tilt_deg))])
    rod = shapes.Rods(-end[None, None], end[None, None], 6.0, 1.0)
    film = bone([rod], exposure(pixel_mm=0.5, shape=(256, 208)))[0]
    assert film[127].max() == pytest.approx(12 / np.cos(np.radians(tilt_deg)), rel=1e-2)


def test_a_rod_seen_end_on_is_at_most_three_diameters_deep():
    rod = shapes.Rods(np.array([[[0.0, -40, 0]]]), np.array([[[0.0, 40, 0]]]), 6.0, 1.0)
    assert bone([rod], exposure(pixel_mm=0.5))[0].max() == pytest.approx(36, rel=1e-2)


@pytest.mark.parametrize("hollow", [0.0, 0.5, 0.8])
def test_a_hollow_tube_absorbs_by_its_wall(hollow):
    """The section is a ring: pi r^2 (1 - hollow^2); in its middle a ray meets two walls."""
    tube = shapes.Tubes(np.array([[[[0.0, 0, -90], [0, 0, 90]]]]), 6.0, 0.5, hollow)
    film = bone([tube], exposure(pixel_mm=0.25, shape=(256, 208)))[0]
    assert film[128].sum() * 0.25 == pytest.approx(0.5 * np.pi * 36 * (1 - hollow**2) * 1.2, rel=1e-2)
    assert film[128, 103:105] == pytest.approx(6 * (1 - hollow), rel=1e-2)


def test_a_soft_tube_and_a_soft_ball_thin_out_towards_their_outline():
    """1 - r^2 instead of its root, and its square: sections of 4/3 and 16/15 of r times the thickness in the middle."""
    tube = shapes.Tubes(np.array([[[[0.0, 0, -90], [0, 0, 90]]]]), 6.0, 0.5, soft=True)
    for solid, section in ((tube, 4 / 3), (replace(ball([0, 0, 0], 6.0, 0.5), soft=True), 16 / 15)):
        film = bone([solid], exposure(pixel_mm=0.25, shape=(256, 208)))[0]
        assert film.max() == pytest.approx(6, rel=1e-2)
        assert film[128].sum() * 0.25 / 1.2 == pytest.approx(section * 6 * 6, rel=1e-2)


def test_a_bent_tube_is_of_even_brightness_along_its_line():
    """A corner of 90 degrees: as bright in both arms as in the bend, and round outside it."""
    tube = shapes.Tubes(np.array([[[[-30.0, 0, 0], [20, 0, 0], [20, 0, -30]]]]), 5.0, 1.0)
    film = bone([tube], exposure(pixel_mm=0.6, shape=(256, 208)))[0]
    at = lambda x, z: film[round(127.5 - z * 2), round(103.5 - x * 2)]
    np.testing.assert_allclose([at(-20, 0), at(0, 0), at(20, 0), at(20, -20)], 10, rtol=0.02)
    assert at(23, 3) > 4 and at(24, 4.2) == 0 and at(10, -10) == 0


# ---------------------------------------------------------------- a solid touches its own pixels, and them right


def everything(spines, factors, shot, room=ROOM, metal=True):
    """All that is drawn of some patients but their trunks, with a marker on each film."""
    solids = bones.skeleton(spines, np.full(len(spines), metal), factors) + tissue.contents(spines, factors)
    return solids + radiograph.side_marker(replace(room, marker=1), shot, factors)


def unlucky():
    """Two patients with every switch on."""
    base = populations.draw("adolescent_scoliosis", 2, rng(21))
    on = {"slip": [0.3, 0.1], "narrowing": [0.5] * 5, "spurs_mm": [6.0] * 5, "fracture": [0, 0.3, 0, 0.2]}
    on = {name: np.tile(np.array(value), (2, 1)) for name, value in on.items()}
    flags = {"curve_deg": np.full(2, 35.0), "dome_mm": np.full(2, 6.0), "transitional": np.array([1, -1])}
    return built(replace(base, **on, **flags), 22)


@ROOMS
def test_a_whole_phantom_is_the_sum_of_its_solids_over_the_whole_canvas(room):
    """Every kind of solid of patients with everything that may be wrong, against the slow drawing."""
    spines, factors = unlucky()
    shot = radiograph.aim(spines, room, 64, factors)
    solids = everything(spines, factors, shot, room)
    assert {type(solid) for solid in solids} == set(SLOW)
    fast = radiograph.attenuation(solids, no_body(2), room, shot).numpy()
    assert fast[1].max() > 20
    for layer in (0, 1):
        for worst in differs(fast[layer], slow(solids, shot, room, layer), at=0.02):
            assert worst < 1


#: Inside, over each border, over a corner, and wholly outside, of a film of 87 x 107 mm in the patient.
PLACES = [(0, 0), (-43, 0), (43, 0), (0, -53), (0, 53), (43, -53), (-43, 53), (-110, 0), (110, 20), (0, -120), (0, 120)]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["ball", "giant", "prism", "rod", "tube", "hollow"])
@ROOMS
def test_a_solid_at_the_border_wraps_neither_to_another_row_nor_to_another_film(room, place, kind):
    """Three films, the solid on the middle one only: elsewhere nothing, there what the slow drawing says."""
    (x, z), only = place, np.array([0.0, 1.0, 0.0])[:, None]
    corners = np.array([[x + 10, z + 8], [x - 10, z + 8], [x - 10, z - 8], [x + 10, z - 8]], float)
    line = np.array([[x - 15.0, 30, z - 5], [x, 0, z + 8], [x + 15, -40, z + 5]])
    radius = 90.0 if kind == "giant" else 10.0
    solid = {
        "prism": shapes.Prisms(np.tile(corners, (3, 1, 1, 1)), 20.0, 10.0, only, (0.3, 0, 0.3, 0.2), np.full(4, 2.0), (0, 0, 0, 5.0), 0.5 * np.ones(4)),
        "tube": shapes.Tubes(np.tile(line, (3, 1, 1, 1)), 4.0, only, soft=True),
        "hollow": shapes.Tubes(np.tile(line, (3, 1, 1, 1)), 4.0, only, 0.6),
        "rod": shapes.Rods(np.tile([[[x - 15.0, 30, z - 5]]], (3, 1, 1)), np.tile([[[x + 15.0, -40, z + 5]]], (3, 1, 1)), 4.0, only),
    }.get(kind, shapes.Ellipsoids(np.tile([[[x, -30.0, z]]], (3, 1, 1)), np.full((3, 1, 3), radius), 30.0, only))  # fmt: skip
    shot = exposure(pixel_mm=4.0, shape=(32, 26), n=3)
    fast, reference = bone([solid], shot, room), slow([solid], shot, room)
    assert fast[0].max() == fast[2].max() == 0
    assert all(worst < 1 for worst in differs(fast, reference, at=0.01))
    assert (fast > 0).any() == (reference > 0).any()


@pytest.mark.parametrize("kind", SLOW)
@ROOMS
def test_a_solid_changes_only_the_pixels_of_its_box(room, kind):
    """Concave vertebrae among them: far out on the diagonal, too, there is nothing."""
    spines, factors = patients(2)
    shot = radiograph.aim(spines, room, 128, factors)
    for solid in (s for s in everything(spines, factors, shot, room) if isinstance(s, kind)):
        for k in range(0, counts(solid)[1], 5):
            film = radiograph.attenuation([single(solid, k)], no_body(2), room, shot).numpy().any(0)
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
            names = ["points_mm"] if isinstance(solid, shapes.Tubes) else ["start_mm", "end_mm"]
            ends = np.concatenate([pick(solid, name, i, k).reshape(-1, 3) for name in names])
            reach = 1.3 * pick(solid, "radius_mm", i, k) * np.array([[1, 0, 1], [-1, 0, -1]])
            points = np.concatenate([ends + step for step in reach])
        here = only(shot, i, len(shot.pixel_mm))
        pixels = radiograph.project(points[None], room, here)[0]
        low.append(pixels.min(0) - 1), high.append(pixels.max(0) + 1)
    return np.array(low), np.array(high)


def touched(films, long_side_px):
    """How many pixels are worked on for so many copies of eight patients."""
    spines, _ = built(populations.draw("adult_deformity", 8, rng())[np.arange(films) % 8])
    shot = radiograph.aim(spines, replace(ROOM, aim_mm=0), long_side_px, vary())
    solids = everything(spines, vary(), shot)

    def px_per_mm(y, film):
        return radiograph.magnification(y, ROOM) / shot.pixel_mm[film].reshape(-1, *[1] * np.ndim(y))

    view = raster.View(shot.center_mm, shot.shape, px_per_mm)
    return sum(target.numel() for solid in solids for target, _ in raster.paths(solid, view))


def test_the_work_is_linear_in_films_and_in_pixels():
    per_film = [touched(films, 128) / films for films in (16, 32, 64, 128)]
    assert max(per_film) < 1.25 * min(per_film)
    assert 3.2 < touched(32, 256) / touched(32, 128) < 4.2  # boxes are rounded up
    canvas_sweeps = per_film[-1] / (128 * 104)
    assert canvas_sweeps < 60  # of some eight hundred solids


def test_solids_of_density_0_and_those_of_later_films_are_not_worked_on():
    shot = exposure(n=3)
    view = raster.View(shot.center_mm[:2], shot.shape, lambda y, film: np.ones((*np.shape(y), 2)))
    three = shapes.Ellipsoids(
        np.zeros((3, 1, 3)), np.full((3, 1, 3), 9.0), 0.0, np.array([[1.0], [0.0], [1.0]])
    )
    ((target, path),) = raster.paths(three, view)
    assert target.max() < 128 * 104 and path.max() == pytest.approx(18, rel=0.02)


def test_a_film_does_not_depend_on_the_films_around_it():
    """Attenuation and development of three patients together are those of each alone."""
    room, (spines, factors) = replace(ROOM, compress=0.5, edge=0.5, window=(0.05, 0.98)), patients(3)
    shot, body = radiograph.aim(spines, room, 64, factors), tissue.trunk(spines, factors)
    solids, plain = everything(spines, factors, shot), vary(dial=0.0)
    together = radiograph.attenuation(solids, body, room, shot)
    films = develop(torch.exp(-0.02 * together.sum(0)), room, shot, plain)
    for i in range(3):
        alone = only(shot, i)
        matter = radiograph.attenuation([only(solid, i) for solid in solids], only(body, i), room, alone)
        np.testing.assert_allclose(matter[:, 0], together[:, i], rtol=0, atol=0.05)
        film = develop(torch.exp(-0.02 * matter.sum(0)), room, alone, plain)
        np.testing.assert_allclose(film[0], films[i], rtol=0, atol=2e-3)
    assert abs(films[0] - films[1]).max() > 0.1


def only(thing, i, n=3):
    """The part of a table of `n` patients that belongs to patient `i`."""
    parts = {
        name: value[i : i + 1]
        for name, value in vars(thing).items()
        if isinstance(value, np.ndarray) and value.ndim and len(value) == n
    }
    return replace(thing, **parts)
