"""Films against geometry and physics worked out by other routes: by hand, in closed form, by another library."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import gaussian_filter
from test_anatomy import built, vary
from test_variety import KEPT

from lumbo.errors import InputError
from lumbo.films import bones, hospitals, populations, radiograph, shapes, tissue, variety
from lumbo.films.processing import develop
from lumbo.films.radiograph import Exposure, Scanner

#: A room with nothing but geometry; tests change what they need.
ROOM = Scanner(source_mm=1500, object_mm=250, slot=False, field_mm=(406.25, 500), shutters=0, aim_mm=15,
               photons=1e16, scatter=0, grid=1, heel=0, blur_mm=0, compress=0, edge=0, window=(0, 1),
               gamma=1, spread=0, cut=0, marker=0)  # fmt: skip
SLOT = replace(ROOM, slot=True, source_mm=1300, object_mm=300)
ROOMS = pytest.mark.parametrize("room", [ROOM, SLOT], ids=["cone", "slot"])
# From the tables of ICRU 44 at 43.8 and 65.9 keV, per mm, and the share of the two energies in the signal.
SHARES, MUSCLE, CORTICAL, TI6AL4V = (0.637, 0.363), (0.02609, 0.02061), (0.10528, 0.05312), (0.73507, 0.26296)


def rng(seed=0):
    return np.random.default_rng(seed)


def exposure(center=(0.0, 0.0), pixel_mm=2.0, shape=(128, 104), n=1, field_mm=(5000.0, 5000.0)):
    every = lambda pair: np.tile(np.array(pair, float), (n, 1))
    return Exposure(every(center), every(field_mm), np.full(n, float(pixel_mm)), float(pixel_mm), shape)


def trunk(n=1, **changes):
    """A body of even tissue that is the same at every height: 200 mm deep, 300 mm wide in its middle, no lung."""
    usual = {"front_mm": 120.0, "back_mm": -80.0, "width_mm": 300.0, "widest": 0.5}
    shape = {name: np.full((n, 2), value) for name, value in usual.items()}
    shape |= {
        "knots_mm": np.array([-900.0, 900.0]),
        "tall": np.ones(n),
        "taper": np.full(n, 2.0),
        "fat": np.zeros(n),
        "lung": np.zeros(n),
    }
    shape |= {
        "domes_mm": np.zeros((n, 2, 2)) + [0, 9e3],
        "grain": np.zeros((n, 2, 2)),
        "strength": np.zeros((n, 2)),
    }
    return shapes.Trunk(**shape | changes)


def no_body(n=1):
    """A trunk that is nowhere."""
    return trunk(n, width_mm=np.zeros((n, 2)))


def bone(solids, shot, room=ROOM):
    """Millimetres of bone, (n, h, w), without a body."""
    return radiograph.attenuation(solids, no_body(len(shot.center_mm)), room, shot)[1].numpy().astype(float)


def soft(body, shot, room=ROOM):
    """Millimetres of soft tissue, (n, h, w)."""
    return radiograph.attenuation([], body, room, shot)[0].numpy().astype(float)


def patients(n=8, seed=0, cohort="degenerative"):
    """Spines and the factors they were drawn with."""
    return built(populations.draw(cohort, n, rng(seed)), seed + 1)


def ball(center, radius=20.0, density=1.0, material=shapes.BONE):
    return shapes.Ellipsoids(np.array([[center]], float), np.full((1, 1, 3), radius), 0.0, density, material)


def plane(y_mm, room, shot, film=0):
    """Where the ray of each pixel crosses the plane y = y_mm, followed from the tube: x and z, (h, w)."""
    (height, width), pixel = shot.shape, shot.pixel_mm[film]
    right, down = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    (cx, cz), tube_y = shot.center_mm[film], room.source_mm - room.object_mm
    if room.slot:  # pixels are measured in the plane y = 0, and the tube travels with the fan
        return cx - right * pixel * (tube_y - y_mm) / tube_y, cz - down * pixel
    reached = (tube_y - y_mm) / room.source_mm
    return cx - right * pixel * reached, cz - down * pixel * reached


# ---------------------------------------------------------------- where things appear


@ROOMS
def test_landmarks_land_where_rays_from_the_tube_go(room):
    """The pixel whose ray crosses each landmark's plane at the landmark, read off `plane` along each axis."""
    spines, factors = patients()
    shot = radiograph.aim(spines, room, 128, factors)
    projected = radiograph.project(spines.landmarks_mm, room, shot)
    for i, film in enumerate(spines.landmarks_mm):
        for (px, y, pz), found in zip(film, projected[i]):
            x, z = plane(y, room, shot, i)
            by_ray = (px - x[0, 0]) / (x[0, 1] - x[0, 0]), (pz - z[0, 0]) / (z[1, 0] - z[0, 0])
            np.testing.assert_allclose(found, by_ray, rtol=0, atol=1e-9)


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


def test_drawn_heads_split_as_published_and_are_drawn_as_large():
    """The same on the film itself: centroids of two drawn balls, and the widths of their shadows."""
    shot = exposure((0, 150), 1.0, (512, 416))
    films = [bone([ball(center)], shot)[0] for center in HEADS[0]]
    rows = [np.average(np.arange(512), weights=film.sum(1)) for film in films]
    assert rows[0] - rows[1] == pytest.approx(27, abs=0.5)
    widths = [(film.max(0) > 0).sum() / 40 for film in films]
    np.testing.assert_allclose(widths, [1.30, 1.12], atol=2 / 40)  # a pixel at either end


def test_a_slot_draws_heads_at_one_height_and_life_size_along_the_patient():
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
@pytest.mark.parametrize("long_side_px", [32, 64, 1024])
def test_landmarks_do_not_depend_on_the_number_of_pixels(room, long_side_px):
    """In millimetres from the middle of the film."""
    spines, factors = patients()
    found, expected = (
        (radiograph.project(spines.landmarks_mm, room, shot) + 0.5) * shot.pixel_mm[:, None, None]
        for shot in (radiograph.aim(spines, room, px, factors) for px in (long_side_px, 512))
    )
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], rtol=0, atol=1e-9)


# ---------------------------------------------------------------- where the technician aims


def inner_mm(spines, room, shot):
    """How far inside the nearest edge of its field each landmark lies on the film, (n, 6)."""
    points = radiograph.project(spines.landmarks_mm, room, shot)
    off = abs(points - (np.array(shot.shape[::-1]) - 1) / 2) * shot.pixel_mm[:, None, None]
    return (shot.field_mm[:, None] / 2 - off).min(-1)


def many(name, n=1000):
    """Patients of a hospital, and its room."""
    where = hospitals.hospital(name)
    return *built(populations.draw_mixture(where.mixture, n, rng(1)), 2), where.scanner


@pytest.mark.parametrize("name", hospitals.hospitals())
def test_every_landmark_lies_inside_the_field_with_its_margin_or_is_the_hidden_head(name):
    spines, factors, room = many(name)
    shot = radiograph.aim(spines, room, 128, factors)
    inner, hidden = inner_mm(spines, room, shot), radiograph.hidden_head(spines, room, shot)
    np.testing.assert_array_equal(inner[:, 4:] < 0, np.stack([hidden == 1, hidden == 2], 1))
    assert inner[:, :4].min() > 0
    margin = radiograph.MARGIN_MM - 1e-9
    assert (inner[hidden == 0].min(1) >= margin).all() and (inner[hidden > 0, :4].min(1) >= margin).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_cone_cuts_its_share_of_the_films_between_the_heads(share):
    """The nearer head is drawn lower, so the left one is lost, but where the pelvis drops far on its right."""
    room, n = replace(hospitals.hospital("cedar").scanner, cut=share), 2000
    spines, factors = built(populations.draw("healthy_adults", n, rng(1)), 2)
    hidden = radiograph.hidden_head(spines, room, radiograph.aim(spines, room, 128, factors))
    assert (hidden > 0).mean() == pytest.approx(
        share, abs=0.05 * share + 4.5 * np.sqrt(share * (1 - share) / n)
    )
    assert (hidden == 2).sum() <= 0.02 * (hidden > 0).sum()


def test_heads_that_are_drawn_close_together_are_never_cut_apart():
    """Nor are those of a slot, which draws both at one height."""
    spines, factors = built(populations.draw("healthy_adults", 500, rng(1)), 2)
    for room in (replace(SLOT, cut=1.0), replace(ROOM, source_mm=4000, object_mm=50, cut=1.0)):
        shot = radiograph.aim(spines, room, 128, factors)
        hidden = radiograph.hidden_head(spines, room, shot)
        assert not hidden.any() or not room.slot
        left, right = radiograph.project(spines.heads_mm, room, shot)[..., 1].T * shot.pixel_mm
        assert abs(left - right)[hidden > 0].min(initial=99) > radiograph.CUT_MM


@pytest.mark.parametrize(
    ("place", "right_up", "found"),
    [
        ((0, 0), 0, 0),
        ((70, -70), 0, 0),
        ((0, 80), 0, 1),
        ((80, 0), 0, 1),
        ((0, 150), 0, 1),
        ((0, -70), 40, 2),
    ],
)
def test_the_head_outside_the_field_is_named(place, right_up, found):
    """A field of 200 x 200 mm: by hand, the left head is seen 1.30 times as far from the ray as it is, the right 1.12."""
    spines, _ = built(populations.draw("healthy_adults", 1, rng()), dial=0.0)
    spines = replace(spines, heads_mm=HEADS + [[0, 0, 0], [0, 0, right_up]])
    assert radiograph.hidden_head(spines, ROOM, exposure(place, field_mm=(200, 200))) == found


def test_fields_vary_by_their_zoom_their_shutters_and_their_width():
    room = replace(ROOM, field_mm=(600, 700), spread=1.0, shutters=0.2)
    spines, factors = patients(2000)
    cut = factors("field.crop", 2000) > 0
    shown = radiograph.aim(spines, room, 128, factors)
    rate = variety.factors()["field.crop"]["rate"]
    assert cut.mean() == pytest.approx(rate, abs=4.5 * np.sqrt(rate * (1 - rate) / 2000))
    tight = (shown.field_mm / [104, 128]).max(1)  # such a film shows the field and nothing else
    np.testing.assert_allclose(shown.pixel_mm[cut], tight[cut])
    uncut = vary(1, without=("field.crop",))
    shot = radiograph.aim(spines, room, 128, uncut)
    np.testing.assert_array_equal(shot.field_mm, shown.field_mm)
    np.testing.assert_array_equal(shot.pixel_mm[~cut], shown.pixel_mm[~cut])
    zoom = shot.pixel_mm / shot.usual_mm
    assert shot.usual_mm == pytest.approx(max(600 / 104, 700 / 128))
    spread = np.sqrt(KEPT) * variety.factors()["field.zoom"]["between"]
    assert np.log(zoom).std() == pytest.approx(spread, rel=4.5 / np.sqrt(4000))
    shares = shot.field_mm / (zoom[:, None] * [600, 700])
    shares[:, 0] /= 1 - factors("field.narrow", 2000).clip(max=0.5)
    needed = (inner_mm(spines, room, shot).min(1) < 2 * radiograph.MARGIN_MM)[:, None]  # never less than that
    assert 0.8 <= shares.min() < 0.81 and 0.99 < shares[~needed[:, 0]].max() <= 1 + 1e-9
    assert np.ptp(shot.center_mm, axis=0).min() > 10
    still = radiograph.aim(spines, replace(room, spread=0.0), 128, uncut)
    np.testing.assert_allclose(still.pixel_mm, still.usual_mm)


def test_a_patient_who_is_too_large_for_the_room_gets_a_larger_field():
    spines, factors = patients(50)
    room = replace(ROOM, field_mm=(120, 150))
    shot = radiograph.aim(spines, room, 128, factors)
    seen = np.ptp(radiograph.project(spines.landmarks_mm, room, shot), axis=1) * shot.pixel_mm[:, None]
    assert (shot.field_mm > seen + 2 * radiograph.MARGIN_MM - 40).all()
    assert (shot.pixel_mm > shot.usual_mm).all()


# ---------------------------------------------------------------- soft tissue


REAR = 0.95  # power of the fall towards the back
BODIES = [
    {},
    {"widest": np.full((1, 2), 0.3)},
    {"taper": np.array([1.4])},
    {"fat": np.array([0.2])},
    {"widest": np.full((1, 2), 0.42), "taper": np.array([1.75]), "fat": np.array([0.14])},
]


@ROOMS
@pytest.mark.parametrize("body", BODIES, ids=["plain", "widest", "taper", "fat", "all"])
def test_soft_tissue_absorbs_by_its_closed_form(room, body):
    """In front of where it is widest a power of an ellipse, less what fat lets through; behind it another."""
    body, shot = trunk(**body), exposure((20.0, 0.0), pixel_mm=1.0, shape=(64, 416))
    x = plane(0.0, room, shot)[0]
    widest, taper, fat = body.widest[0, 0], body.taper[0], body.fat[0]
    ridge = -80 + 200 * widest
    u = np.where(x > ridge, (x - ridge) / (120 - ridge), (ridge - x) / (ridge + 80)).clip(max=1)
    path = 300 * np.where(x > ridge, (1 - u**2) ** (1 / taper) * (1 - fat * u), (1 - u**2) ** REAR)
    film = soft(body, shot, room)[0]
    inside = (u < 0.9) & (abs(x - ridge) > 2)  # the half-resolution grid is linear between its pixels
    np.testing.assert_allclose(film[inside], path[inside], rtol=0, atol=0.5)
    assert film[32, 0] == film[32, -1] == 0  # the beam passes beside the body


def test_the_body_follows_its_knots_on_a_smooth_curve():
    knots, widths = np.array([-100.0, 0, 30, 120]), np.array([[200.0, 280, 240, 300]])
    deep = np.full((1, 4), 900.0)
    body = trunk(knots_mm=knots, front_mm=deep, back_mm=-deep, width_mm=widths, widest=deep / 1800)
    shot = exposure(pixel_mm=1.0, shape=(256, 32))
    film, z = soft(body, shot)[0, :, 15], plane(0.0, ROOM, shot)[1][:, 15]
    curve = CubicHermiteSpline(knots, widths[0], np.gradient(widths[0], knots))
    within = (z > -99) & (z < 106)  # the coarse grid sees only half of the outermost row
    np.testing.assert_allclose(film[within], curve(z[within]), rtol=0, atol=0.05)


def test_each_lung_empties_its_share_above_its_dome_and_none_below():
    """Both domes at z = 0, 20 mm in front of the middle: deep in the chest two lungs, in the belly and the wall none."""
    shot = exposure((20.0, 0.0), shape=(128, 140))
    full = soft(trunk(), shot)[0]
    ratio = soft(trunk(domes_mm=np.zeros((1, 2, 2)) + [20.0, 0.0], lung=np.array([0.3])), shot)[0] / full
    middle, z = ratio[:, 70], plane(0.0, ROOM, shot)[1][:, 70]
    assert middle[10] == pytest.approx(0.7**2, rel=1e-3) and middle[120] == pytest.approx(1, rel=1e-3)
    assert abs(np.interp(-(0.85**2), -middle[::-1], z[::-1])) < 2  # halfway at the dome
    x = plane(0.0, ROOM, shot)[0][10]
    wall = (x < -80 + radiograph.WALL_MM - 15) | (x > 120 - radiograph.WALL_MM + 15)
    assert ratio[10][wall & (full[10] > 1)].min() > 0.9


@pytest.mark.parametrize(("off_mm", "fall_mm"), [(-36.0, 9.0), (34.0, 4.0), (0.0, 0.0)])
def test_a_dome_falls_more_steeply_behind_its_crest(off_mm, fall_mm):
    """By (36 / 12)^2 mm behind and (34 / 17)^2 mm before it."""
    shot = exposure((20.0, 0.0), shape=(256, 140))
    domes = {"domes_mm": np.zeros((1, 2, 2)) + [20.0, 0.0], "lung": np.array([0.3])}
    ratio = soft(trunk(**domes), shot)[0] / np.maximum(soft(trunk(), shot)[0], 1)
    x, z = plane(0.0, ROOM, shot)
    column = abs(x[0] - (20.0 + off_mm)).argmin()
    assert abs(np.interp(-(0.85**2), -ratio[::-1, column], z[::-1, column]) + fall_mm) < 2


def test_metal_is_even_where_bone_is_not():
    corners = np.tile(1000.0 * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]), (1, 1, 1, 1))
    slabs = [
        shapes.Prisms(corners, 0.0, 10.0, 1.0, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4, material=material)
        for material in (shapes.BONE, shapes.TITANIUM, shapes.LEAD)
    ]
    body = trunk(strength=np.ones((1, 2)), width_mm=np.zeros((1, 2)))
    uneven = [
        np.ptp(radiograph.attenuation([slab], body, ROOM, exposure()).numpy(), axis=(1, 2, 3))
        for slab in slabs
    ]
    assert uneven[0][1] > 1 and np.max(uneven[1:]) < 1e-3


def test_grain_makes_tissue_uneven_by_its_share():
    """Relative to the path, times the patient's own; on a plate that is the same for all, cut at each one's place."""
    places, strength = rng(0).random((64, 2, 2)), np.tile([[1.0, 1.5]], (64, 1))
    wide = {
        "front_mm": np.full((64, 2), 900.0),
        "back_mm": np.full((64, 2), -900.0),
        "width_mm": np.full((64, 2), 200.0),
    }
    body = trunk(64, grain=places, strength=strength, **wide)
    corners = np.tile(1000.0 * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]), (64, 1, 1, 1))
    slab = shapes.Prisms(corners, 0.0, 10.0, 1.0, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4)
    matter = radiograph.attenuation([slab], body, ROOM, exposure(n=64)).numpy().astype(float)
    flat = soft(trunk(**{name: value[:1] for name, value in wide.items()}), exposure())
    for layer, even_mm, share in zip(matter, (flat, 20.0), radiograph.GRAIN * strength[0]):
        assert (layer / even_mm - 1).std() == pytest.approx(share, rel=0.15)
    assert abs(np.corrcoef(matter[1, 0].ravel(), matter[1, 1].ravel())[0, 1]) < 0.5


def test_the_plate_of_grain_falls_with_frequency_as_anatomy_does():
    """Its power spectrum between structures of 4 and 40 mm, averaged over rings, on log-log axes."""
    plate = radiograph.grain_plate(1.0, 1024).astype(float)
    power = abs(np.fft.fft2(plate)) ** 2
    ring = np.hypot(*np.meshgrid(np.fft.fftfreq(1024), np.fft.fftfreq(1024)))
    edges = np.geomspace(1 / 40, 1 / 4, 12)
    rings = [power[(ring >= low) & (ring < high)].mean() for low, high in zip(edges, edges[1:])]
    slope = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(rings), 1)[0]
    assert slope == pytest.approx(radiograph.GRAIN_SLOPE, abs=0.05)


# ---------------------------------------------------------------- Beer and Lambert, at two energies


def matter_of(soft_mm, bone_mm=0.0, shape=(128, 104), n=1):
    return torch.stack([torch.full((n, *shape), float(mm)) for mm in (soft_mm, bone_mm)])


def signal_of(soft_mm, bone_mm=0.0, room=ROOM):
    return float(radiograph.expose(matter_of(soft_mm, bone_mm), room, exposure(), vary())[0, 64, 52])


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


def test_titanium_takes_what_it_takes_in_the_laboratory():
    """A rod of 5.5 mm in 200 mm of muscle, drawn, against the attenuation of Ti-6Al-4V."""
    rod = shapes.Rods(np.array([[[0.0, 0, -200]]]), np.array([[[0.0, 0, 200]]]), 2.75, 1.0, shapes.TITANIUM)
    matter = radiograph.attenuation([rod], no_body(), ROOM, exposure(pixel_mm=0.1))
    matter[0] += 200
    signal = radiograph.expose(matter, ROOM, exposure(), vary())[0, 64]
    by_hand = transmitted((194.5, MUSCLE), (5.5, TI6AL4V)) / transmitted((200, MUSCLE))
    assert float(signal.min() / signal.max()) == pytest.approx(by_hand, rel=0.01)


def test_gas_lets_through_what_muscle_would_have_taken():
    bubble = ball([0, 0, 0], material=shapes.AIR)
    matter = radiograph.attenuation([bubble], no_body(), ROOM, exposure(pixel_mm=1.0))
    matter[0] += 200
    signal = radiograph.expose(matter, ROOM, exposure(), vary())[0]
    assert float(signal.max()) == pytest.approx(transmitted((160, MUSCLE)), rel=2e-3)


def test_gas_may_not_make_more_light_than_there_was():
    shot = exposure()
    matter = radiograph.attenuation([ball([0, 0, 0], material=shapes.AIR)], no_body(), ROOM, shot)
    assert matter[0].min() < -30
    assert radiograph.expose(matter, ROOM, shot, vary()).max() <= 1


# ---------------------------------------------------------------- scatter, grid, heel, noise, blur


@pytest.mark.parametrize("soft_mm", [50, 200, 300])
@pytest.mark.parametrize("scatter, grid", [(1.0, 1.0), (3.0, 1.0), (3.0, 4.0)])
def test_scatter_over_primary_grows_with_depth_and_a_grid_divides_it(scatter, grid, soft_mm):
    """It is stated for 200 mm of soft tissue, behind which a flat slab has scatter / grid."""
    primary = signal_of(soft_mm)
    veiled = signal_of(soft_mm, room=replace(ROOM, scatter=scatter, grid=grid))
    assert veiled / primary - 1 == pytest.approx(scatter / grid * soft_mm / 200, rel=1e-3)


def test_the_veil_is_the_geometric_mean_of_the_neighbourhood_times_its_depth():
    """Against Gaussians of SciPy at full resolution, on a patient of bone and gas beside the open beam."""
    shot, room = exposure(pixel_mm=2.0, shape=(256, 208)), replace(ROOM, scatter=3, grid=1.5)
    soft_mm = 200 * np.sqrt(np.clip(1 - ((np.arange(208) - 104) / 90) ** 2, 0, None)) + np.zeros((256, 1))
    soft_mm[100:140, 60:120] += 60
    soft_mm[150:180, 100:130] -= 80
    primary = np.exp(-0.022 * soft_mm)
    primary[90:110, 80:150] *= 0.4  # bone
    veil = radiograph.scattered(
        *(torch.tensor(a[None], dtype=torch.float32) for a in (primary, soft_mm)), room, shot
    )
    blurred = lambda values: gaussian_filter(values, 25 / 2, mode="nearest")
    by_scipy = np.exp(blurred(np.log(primary))) * blurred(soft_mm) * 3 / 1.5 / 200
    inner = (slice(20, -20),) * 2  # at the edges one replicates pixels, the other coarse ones
    np.testing.assert_allclose(veil[0][inner], by_scipy[inner], rtol=0, atol=0.02 * by_scipy.max())


def test_the_open_beam_does_not_shine_into_the_patient():
    """At the edge of 250 mm of muscle half the neighbours are open: their mean is 0.5, the veil a hundredth of it."""
    matter, shot = matter_of(250, shape=(256, 208)), exposure(pixel_mm=2.0, shape=(256, 208))
    matter[0, 0, :, :104] = 0
    signal = radiograph.expose(matter, replace(ROOM, scatter=3, grid=1), shot, vary())[0, 128]
    primary = transmitted((250, MUSCLE))
    assert float(signal[104]) < primary + 0.5 * 3 * 250 / 200 * np.sqrt(primary) * 1.2


def test_scatter_takes_its_share_of_the_contrast_of_a_small_detail():
    """It keeps 1 / (1 + s) of its contrast in a broad uniform body: the veil hardly sees it."""
    matter = matter_of(200)
    matter[1, 0, 64, 52] += 2.0
    contrast = []
    for scatter in (0.0, 3.0):
        signal = radiograph.expose(matter, replace(ROOM, scatter=scatter), exposure(pixel_mm=1.0), vary())[0]
        contrast.append(1 - float(signal[64, 52] / signal[64, 10]))
    assert contrast[1] == pytest.approx(contrast[0] / 4, rel=0.01)


def test_nothing_is_scattered_far_from_the_patient():
    """Below the white of the open beam, so that a veil would show: a thin bone plate instead of a patient."""
    matter, shot = matter_of(0, 10, shape=(256, 208)), exposure(pixel_mm=2.0, shape=(256, 208))
    matter[0, 0, :40] = 200.0
    plain, veiled = (radiograph.expose(matter, room, shot, vary())[0] for room in (ROOM, replace(ROOM, scatter=3)))  # fmt: skip
    far = slice(40 + 50, None)  # 100 mm, four times the width of the veil
    np.testing.assert_array_equal(veiled[far], plain[far])
    assert (veiled[:40] > 2 * plain[:40]).all() and (veiled[40:50] > plain[40:50]).all()


@pytest.mark.parametrize("heel", [0.1, 0.3])
def test_heel_is_linear_along_the_patient_and_even_across(heel):
    signal = (
        radiograph.expose(matter_of(100), replace(ROOM, heel=heel), exposure(), vary())[0].double().numpy()
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
    signal = radiograph.expose(matter, room, shot, vary(8)).double().reshape(n, 5, 20, 80)
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
    signal = radiograph.expose(matter_of(soft_mm), room, shot, vary(9)).double()
    assert float(signal.mean() / signal.std()) ** 2 == pytest.approx(5000 * 4, rel=4.5 * np.sqrt(2 / signal.numel()))  # fmt: skip


@pytest.mark.parametrize("spread", [0.5, 1.0])
def test_the_dose_varies_from_film_to_film_as_specified(spread):
    """By the factor of the file, as a power of the room's spread; noise goes with its root."""
    room, n, shape = replace(ROOM, photons=1e4, spread=spread), 400, (64, 52)
    noise = radiograph.expose(
        matter_of(100, shape=shape, n=n), room, exposure(shape=shape, n=n), vary(10)
    ).std((1, 2))
    expected = spread * np.sqrt(KEPT) * variety.factors()["processing.photons"]["between"]
    assert np.log(noise.numpy()).std() * 2 == pytest.approx(expected, rel=4.5 / np.sqrt(2 * n))


@pytest.mark.parametrize("blur_mm", [0.25, 0.5, 1.0])
def test_the_line_spread_has_the_standard_deviation_of_the_detector(blur_mm):
    """An edge on a film of 1,024 pixels: the derivative of its profile, moments about its place.

    The kernel is cut at three SD, which narrows it by 1.4 %.
    """
    pixel, shape = 0.125, radiograph.canvas(1024)
    matter, shot = matter_of(150, shape=shape), exposure(pixel_mm=pixel, shape=shape)
    matter[0, 0, :, : shape[1] // 2] = 100.0
    profile = radiograph.expose(matter, replace(ROOM, blur_mm=blur_mm), shot, vary())[0, 500].double().numpy()
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
    signal = radiograph.expose(matter, replace(ROOM, blur_mm=1.5), shot, vary())[0].double().numpy()
    base = transmitted((150, MUSCLE))
    weight = signal - signal[0, 0]
    assert weight.sum() == pytest.approx(1 - base, rel=1e-3)
    rows, columns = np.mgrid[:128, :128]
    for axis, at in ((rows, 60), (columns, 70)):
        mean = np.average(axis, weights=weight)
        assert mean == pytest.approx(at, abs=0.02)
        assert np.sqrt(np.average((axis - mean) ** 2, weights=weight)) * 0.5 == pytest.approx(1.5, rel=0.02)


# ---------------------------------------------------------------- markers, side and polarity


def corners(solid):
    """Where a prism's or a rod's ends lie, (n, points, 3)."""
    if isinstance(solid, shapes.Rods):
        return np.concatenate([solid.start_mm, solid.end_mm], 1)
    flat = solid.corners_mm.reshape(len(solid.corners_mm), -1, 2)
    return np.insert(flat, 1, solid.y_mm, axis=-1)


@ROOMS
def test_markers_lie_inside_the_field(room):
    room = replace(room, marker=1.0, shutters=0.3)
    spines, factors = patients(500)
    shot = radiograph.aim(spines, room, 128, factors)
    letters, plate = radiograph.side_marker(room, shot, factors)
    for solid, more in ((letters, letters.radius_mm), (plate, 0.0)):
        ends = radiograph.project(corners(solid), room, shot)
        off = abs(ends - (np.array(shot.shape[::-1]) - 1) / 2) * shot.pixel_mm[:, None, None]
        assert (off <= shot.field_mm[:, None] / 2 - np.reshape(more, (-1, 1, 1))).all()
        assert (off.max(1) > 0.5 * shot.field_mm / 2).all()  # in a corner, not over the spine
    start, end = (radiograph.project(points, room, shot) for points in (letters.start_mm, letters.end_mm))
    tall = np.linalg.norm(start[:, 0] - end[:, 0], axis=-1) * shot.pixel_mm  # the upright of either letter
    assert tall.mean() == pytest.approx(16, abs=4.5 * 2.5 / np.sqrt(500)) and tall.std() == pytest.approx(
        2.5, rel=0.15
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_markers_stand_on_their_share_of_the_films_half_of_them_l_half_r(share):
    n = 4000
    close = lambda p: pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))
    letters, plate = radiograph.side_marker(
        replace(ROOM, marker=share), exposure(n=n, field_mm=(300, 400)), vary(25)
    )
    assert letters.density.any(1).mean() == close(share)
    pieces = np.linalg.norm(letters.start_mm - letters.end_mm, axis=-1)
    assert (pieces[:, 4] > 0).mean() == close(0.5)  # the fifth stroke is a leg that L lacks
    upright, tip = (points[:, [0, 1], 0] for points in (letters.start_mm, letters.end_mm))
    assert (upright[:, 0] < tip[:, 1]).mean() == close(0.2)  # back to front
    assert (plate.density > 0).mean() == close(0.3 * share)
    assert not (plate.density[:, 0] > 0)[~letters.density.any(1)].any()  # no plate without a letter
    assert letters.material == plate.material == shapes.LEAD


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


def take(room, seed=0, n=4, px=64, first=None):
    """Films of `n` patients, or the first of them."""
    spines, _ = patients(n)
    factors = vary(seed)
    shot = radiograph.aim(spines, room, px, factors)
    solids = bones.skeleton(spines, np.ones(n, bool), factors) + tissue.contents(spines, factors)
    solids += radiograph.side_marker(room, shot, factors)
    matter = radiograph.attenuation(solids, tissue.trunk(spines, factors), room, shot, first)
    return develop(radiograph.expose(matter, room, shot, factors), room, shot, factors)


BUSY = replace(ROOM, photons=4000, scatter=3, grid=4, heel=0.2, blur_mm=0.4, compress=0.4, edge=1,
               window=(0.05, 0.98), gamma=1.2, spread=1.0, marker=0.7, shutters=0.1)  # fmt: skip


@pytest.mark.parametrize("room", [BUSY, replace(BUSY, slot=True)], ids=["cone", "slot"])
def test_the_same_seed_gives_the_same_bits(room, untouched):
    first, again, other = take(room), take(room), take(room, seed=50)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.dtype == torch.float32 and first.min() == 0 and first.max() == 1


@ROOMS
@pytest.mark.parametrize("first", [1, 3])
def test_a_film_does_not_depend_on_how_many_are_drawn(room, first):
    """Patients, factors, noise and processing: the first films are the same, to the bit."""
    room = replace(BUSY, slot=room.slot)
    assert torch.equal(take(room, first=first), take(room)[:first])


def test_films_are_drawn_on_the_device_in_force():
    """On "meta", which computes nothing and holds nothing, a tensor made elsewhere would be refused."""
    spines, factors = patients(2)
    shot = radiograph.aim(spines, BUSY, 64, factors)
    solids = bones.skeleton(spines, np.ones(2, bool), factors) + radiograph.side_marker(BUSY, shot, factors)
    with torch.device("meta"):
        matter = radiograph.attenuation(solids, tissue.trunk(spines, factors), BUSY, shot)
        signal = radiograph.expose(matter, BUSY, shot, factors)
    assert matter.device.type == signal.device.type == "meta" and signal.shape == (2, 64, 52)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_film():
    room = replace(BUSY, photons=1e16)  # its generator draws other noise
    here = take(room)
    with torch.device("cuda"):
        there = take(room)
    np.testing.assert_allclose(there.cpu(), here, rtol=0, atol=0.01)


@pytest.mark.parametrize("long_side_px", [*range(32, 161, 16), 1024])
def test_every_canvas_can_be_drawn_on(long_side_px):
    """The width is 13/16 of the height, and so is odd for every other canvas."""
    height, width = radiograph.canvas(long_side_px)
    assert (height, width) == (long_side_px, long_side_px * 13 // 16)
    pixel = 320 / long_side_px
    shot = exposure((20.0, 0.0), pixel_mm=pixel, shape=(height, width))
    film = soft(trunk(), shot)[0]
    assert film.shape == (height, width)
    u = ((plane(0.0, ROOM, shot)[0] - 20) / 100).clip(-1, 1)
    path = 300 * np.where(u > 0, np.sqrt(1 - u**2), (1 - u**2) ** REAR)
    inner = (abs(u) < 0.85) & (abs(u) > 0.1)
    np.testing.assert_allclose(film[inner], path[inner], rtol=0, atol=0.5 + 0.05 * pixel**2)


@pytest.mark.parametrize("long_side_px", [0, 16, 100, 2064, 128.0, "128", True, None])
def test_impossible_canvases_are_refused_by_name(long_side_px):
    with pytest.raises(InputError, match=r"^long_side_px: got .*allowed: ") as caught:
        radiograph.canvas(long_side_px)
    assert str(long_side_px) in str(caught.value)
