"""The solids against the spines they stand for: what is drawn has the stated angles, whatever is wrong with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_anatomy import SWITCHED, same_patient

from lumbo import angles
from lumbo.films import anatomy, hospitals, populations, radiograph, shapes
from lumbo.films.anatomy import LEVELS

L1 = LEVELS.index("L1")
ROOM = replace(hospitals.hospital("cedar").scanner, aim_mm=30.0, shutters=0.1)
ROOMS = {"cone": ROOM, "slot": replace(ROOM, slot=True)}


def rng(seed=0):
    return np.random.default_rng(seed)


def patients(switch):
    """Everybody in the cohorts, or one patient with a switch turned on."""
    if switch in SWITCHED:
        return same_patient(2, **{switch: SWITCHED[switch]})
    return populations.draw(switch, 100, rng(5))


def drawn_plates_mm(spines):
    """The S1 and L1 plates of the drawn solids by the book's conventions, (n, 4, 3), corners in space.

    S1: the line that fits the drawn upper edge best, between the ends of that edge.
    L1: halfway between the drawn left and right half of the body.
    """
    blocks, body = shapes.sacrum(spines, rng())[0], shapes.bodies(spines)
    front, back = np.moveaxis(blocks.corners_mm[:, 0, :2], 1, 0)
    share = ((np.arange(2000) + 0.5) / 2000)[:, None, None]
    down = (blocks.corners_mm[:, 0, 3] - front) - 0 * front
    along = (back - front) / np.linalg.norm(back - front, axis=-1, keepdims=True)
    down = down - (down * along).sum(-1, keepdims=True) * along
    down = down / np.linalg.norm(down, axis=-1, keepdims=True)
    sag = blocks.sag_mm[:, 0, 0, None]
    edge = front + share * (back - front) + 4 * sag * share * (1 - share) * down  # (2000, n, 2)
    height = ((edge - front) * -down).sum(-1)  # above the chord
    slope, level = np.polyfit(share[:, 0, 0] - 0.5, height, 1)
    ends = [front + (level - slope / 2)[:, None] * -down, back + (level + slope / 2)[:, None] * -down]
    s1 = anatomy.in_space(np.stack(ends, 1))
    sides = body.corners_mm.reshape(len(spines), 2, len(LEVELS), 4, 2)[:, :, L1, :2].mean(1)
    depth = body.y_mm.reshape(len(spines), 2, len(LEVELS))[:, :, L1].mean(1)
    return np.concatenate([s1, anatomy.in_space(sides, depth[:, None])], 1)


def seen(points_mm, scanner, exposure):
    """Project by hand: similar triangles for a cone; for a slot scanner only across the patient, 1:1 at y = 0."""
    gap = scanner.source_mm - scanner.object_mm
    scale = (scanner.source_mm if not scanner.slot else gap) / (gap - points_mm[..., 1])
    along = np.ones_like(scale) if scanner.slot else scale
    x = -(points_mm[..., 0] - exposure.center_mm[:, None, 0]) * scale / exposure.pixel_mm
    y = -(points_mm[..., 2] - exposure.center_mm[:, None, 1]) * along / exposure.pixel_mm
    return np.stack([x, y], -1) + [(exposure.shape[1] - 1) / 2, (exposure.shape[0] - 1) / 2]


@pytest.mark.parametrize("side", angles.SIDES)
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("switch", [*populations.cohort_names(), *SWITCHED])
def test_film_angles_are_those_of_the_drawn_shapes(switch, room, side):
    """To a millionth of a degree: for every switch, both geometries, both viewing sides."""
    spines, scanner = anatomy.spines(patients(switch), rng()), ROOMS[room]
    exposure = radiograph.aim(spines, scanner, 256, rng())
    balls = shapes.hips(spines)[0].center_mm
    drawn = seen(np.concatenate([drawn_plates_mm(spines), balls], 1), scanner, exposure)
    stated = radiograph.project(spines.landmarks_mm, scanner, exposure)
    if side == "right":
        drawn[..., 0] = exposure.shape[1] - 1 - drawn[..., 0]
    measured = angles.lumbopelvic_angles(drawn, side)
    np.testing.assert_allclose(measured, angles.lumbopelvic_angles(stated, "left"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("room", ROOMS)
def test_plates_found_on_the_film_have_the_stated_angles(room, monkeypatch):
    """Not the numbers but the pixels: the upper edges of S1 and L1, fitted on a film of these two alone."""
    monkeypatch.setattr(radiograph, "GRAIN", (0.0, 0.0))
    one = same_patient(1)
    spines, scanner = anatomy.spines(one, rng()), replace(ROOMS[room], aim_mm=0.0, shutters=0.0)
    exposure = radiograph.aim(spines, scanner, 1024, rng())
    sacrum, bodies = shapes.sacrum(spines, rng())[0], shapes.bodies(spines)
    plain = {"shell": (0.0,) * 4, "taper_mm": (0.0,) * 4, "sag_mm": (0.0,) * 4, "y_mm": 0.0}
    middle = bodies.corners_mm.reshape(1, 2, -1, 4, 2).mean(1)[:, [L1]]
    tilt = {}
    for name, corners in (("S1", sacrum.corners_mm[:, :1]), ("L1", middle)):
        solid = replace(sacrum, corners_mm=corners, half_width_mm=20.0, **plain)
        nothing = shapes.trunk(spines, rng())
        film = radiograph.attenuation([solid], nothing, scanner, exposure)[1, 0].numpy()
        film = film / film.max()
        ends = radiograph.project(anatomy.in_space(corners[:, 0, :2]), scanner, exposure)[0]
        columns = np.arange(int(ends[:, 0].min()) + 6, int(ends[:, 0].max()) - 5)
        top = [np.flatnonzero(film[:, c] > 0.5)[0] for c in columns]
        rows = [t - (film[t, c] - 0.5) / (film[t, c] - film[t - 1, c]) for t, c in zip(top, columns)]
        tilt[name] = np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))
    stated = angles.lumbopelvic_angles(radiograph.project(spines.landmarks_mm, scanner, exposure), "left")[0]
    assert -tilt["S1"] == pytest.approx(stated[0], abs=0.05)  # falls to the left, where y grows
    assert tilt["L1"] - tilt["S1"] == pytest.approx(stated[3], abs=0.05)


def test_film_and_anatomical_angles_differ_only_where_heads_split():
    """A cone keeps the angles of the middle plane; PT and PI move with the middle of two projected heads."""
    spines = anatomy.spines(populations.draw("healthy_adults", 300, rng()), rng())
    exposure = radiograph.aim(spines, ROOM, 256, rng())
    film = angles.lumbopelvic_angles(radiograph.project(spines.landmarks_mm, ROOM, exposure), "left")
    gap = film - spines.patients.angles_deg
    assert abs(gap[:, 0]).max() < 1e-9
    assert 0.01 < abs(gap[:, 1]).mean() < 0.5
    np.testing.assert_allclose(gap[:, 1], gap[:, 2], atol=1e-9)


def test_a_curved_column_shows_double_endplates():
    straight, curved = (anatomy.spines(same_patient(1, curve_deg=[cobb]), rng()) for cobb in (0.0, 40.0))
    apart = []
    for spines in (straight, curved):
        left, right = shapes.bodies(spines).corners_mm.reshape(2, len(LEVELS), 4, 2)
        apart.append(abs(left - right)[:, :2, 1].max())
    assert apart[0] == 0
    assert apart[1] > 5  # millimetres between the two contours of the most tilted plate


def test_implants_are_there_only_where_asked_and_never_above_the_surgeons_level():
    spines = anatomy.spines(populations.draw("adult_deformity", 40, rng()), rng())
    asked = np.arange(40) % 2 == 0
    metal = [s for s in shapes.solids(spines, asked, rng()) if s.material == shapes.TITANIUM]
    held = np.concatenate([np.broadcast_to(s.density, s.start_mm.shape[:2]) for s in metal], 1) > 0
    assert held[asked].any(1).all() and not held[~asked].any()
    assert not [s for s in shapes.solids(spines, ~asked & asked, rng()) if s.material == shapes.TITANIUM]


def test_spurs_grow_only_at_their_discs():
    spines = anatomy.spines(same_patient(2, spurs_mm=[[0] * 5, [0, 6, 0, 0, 0]]), rng())
    found = [
        s
        for s in shapes.solids(spines, np.zeros(2, bool), rng())
        if np.ndim(s.density) == 2 and s.density.shape == (2, 9)
    ]
    (spurs,) = found
    assert not spurs.density[0].any()
    np.testing.assert_array_equal(np.flatnonzero(spurs.density[1]), [1, 5])  # under L4, on L5
    np.testing.assert_allclose(spurs.center_mm[1, 1, ::2], spines.bodies_mm[1, 1, 3], atol=8)


def test_gas_lies_inside_the_body():
    spines = anatomy.spines(populations.draw("healthy_adults", 200, rng()), rng())
    gas = next(s for s in shapes.solids(spines, np.zeros(200, bool), rng()) if s.material == shapes.AIR)
    front = spines.patients.size("body_half_depth")[:, None]
    there = np.broadcast_to(gas.density, gas.center_mm.shape[:2]) > 0
    assert (gas.center_mm[..., 0] < front + 40)[there].mean() > 0.99
    assert (gas.density >= 0).all() and (gas.density <= 1).all()


def test_shapes_are_drawn_with_the_generator_they_are_given():
    spines = anatomy.spines(populations.draw("degenerative", 5, rng()), rng())
    one, two = (shapes.solids(spines, np.ones(5, bool), rng(8)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, getattr(b, name))
    before = torch.get_rng_state()
    shapes.trunk(spines, rng())
    assert torch.equal(before, torch.get_rng_state())
