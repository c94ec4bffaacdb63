"""What the benchmarks compare is the same work."""

import importlib.util
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lumbo import store
from lumbo.errors import InputError
from lumbo.experiment import jobs, provenance
from lumbo.films import bones, calibration, radiograph, shapes, tissue, variety
from lumbo.films import hospitals as hospitals_2
from lumbo.films_1 import hospitals
from lumbo.learning import evaluation, models, training


@pytest.fixture(scope="module")
def benchmark(root):
    """A function: import one of the benchmarks."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, root / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("network", models.NETWORKS)
def test_the_bare_loop_takes_the_steps_of_ours(benchmark, network):
    speed = benchmark("speed")
    films = hospitals.film_set(hospitals.hospital("aspen"), "training", 0, 20, 64)
    plan = training.Plan(steps=3, checks=1, patience=1)
    bare, ours = (models.build(network, 0) for _ in range(2))
    speed.bare_loop(bare, films, plan, plan.steps)
    training.run_steps(ours, training.new_optimizer(ours, plan), films, plan, (0,), 0, plan.steps, plan.steps)
    for name, value in bare.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_films_as_stored_are_those_of_the_archive_and_errors_stay_what_they_are(benchmark):
    ablation, half = benchmark("ablation"), hospitals.film_set(hospitals.hospital("elm"), "test", 0, 40, 64)
    assert 0 < half.mirrored.sum() < 40 and half.inverted.all()
    stored = ablation.as_stored(half)
    for before, after, mirrored in zip(half.films, stored.films, half.mirrored):
        assert np.array_equal(after, 255 - (before[:, ::-1] if mirrored else before))
    moved = stored.landmarks_px[..., 0] != half.landmarks_px[..., 0]
    assert (moved.all(1) == half.mirrored).all()
    errors = [evaluation.angle_errors(films.rated_angles_deg, films.angles_deg) for films in (half, stored)]
    np.testing.assert_allclose(abs(errors[1]), abs(errors[0]), atol=1e-9)


def test_the_stored_ablation_is_complete_and_of_today(root):
    rows = json.loads((root / "data_synth" / "reference" / "ablation.json").read_text(encoding="utf-8"))
    what = jobs.size("fast")
    made = {(row["specification"], row["films_version"]) for row in rows}
    assert made == {(provenance.specification(what), hospitals.frozen()["version"])}
    wanted = {job.name for job in jobs.of_seed(what, 0) if job.network == "landmarks"}
    for films in ("canonical", "as stored"):
        assert {row["model"] for row in rows if row["films"] == films} == wanted


# ---------------------------------------------------------------- the yardstick: likeness.py, plain.py, hardness.py


@pytest.fixture(scope="module")
def few_films():
    """Twelve small films 2.0 of one hospital."""
    return hospitals_2.film_set(hospitals_2.hospital("aspen"), "test", 0, 12, 64)


def test_plates_are_where_the_landmarks_are(benchmark):
    """L1 of all bodies is L1 of the landmarks, and the first of a set are the same for any number."""
    likeness, where = benchmark("likeness"), hospitals_2.hospital("fir")
    seen = hospitals_2.visit(where, "test", 0, 1)
    np.testing.assert_allclose(seen.spines.corners_mm[:, 4, :2], seen.spines.landmarks_mm[:, 2:4])
    bodies, field = likeness.bodies_px(where, "test", 0, 70)
    films = hospitals_2.draw(where, "test", 0, 1, 256, n=6)
    np.testing.assert_allclose(bodies[64:, 4, :2], films.landmarks_px[:, 2:4], atol=1e-6)
    assert bodies.shape == (70, 14, 4, 2)
    y, x = np.mgrid[:256, :208]
    for film, (low, high) in zip(films.films, field[64:]):
        outside = (x < low[0] - 1) | (x > high[0] + 1) | (y < low[1] - 1) | (y > high[1] + 1)
        assert not outside.any() or np.median(film[outside]) < np.median(film[~outside])  # collimated


def test_intervals_hold_what_they_should(benchmark):
    likeness = benchmark("likeness")
    found = likeness.interval(np.random.default_rng(0).normal(5, 2, 400), np.mean)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)
    assert likeness.interval(np.array([1.0, np.nan, 1.0])) == {"value": 1, "low": 1, "high": 1}
    ten = likeness.of_ten(np.random.default_rng(0).normal(0, 1, (400, 50, 50)), likeness.mean_varies)
    assert ten["value"] == pytest.approx(10**-0.5, rel=0.05)  # the noise of a mean of ten


def test_likeness_has_a_row_for_every_number_of_the_real_films(benchmark):
    """On invented measurements, so that nothing need be drawn."""
    likeness, rng = benchmark("likeness"), np.random.default_rng(0)
    rows = [*likeness.of_films(), *likeness.of_plates(), *likeness.of_squares(None), *likeness.of_grid()]
    rows += likeness.of_bones()
    names = [row["what"] for row, _ in rows]
    known = calibration.real_details()
    assert len(names) == len(set(names)) and set(calibration.real_films()) <= set(names)
    wanted = {f"{level}.{name}" for level in likeness.LUMBAR for name in known["anatomy"][level]}
    assert wanted | {"S1.peak", "L1.clear", "L3.mean_varies", "disc_deg.within"} <= set(names)
    shapes = {"grid": (6, 6)} | {f"{plate}.square": (96, 96) for plate in likeness.PLATES}
    shapes |= {f"bones.{name}": (5,) for name in ("height", "disc", *known["anatomy"]["L1"])}
    shapes |= dict.fromkeys([*calibration.real_films(), "grey_at_s1", "spacing", "in_view"], ())
    shapes |= {f"{plate}.{what}": () for plate in likeness.PLATES for what in ("peak", "contrast")}
    invented = {name: rng.random((12, *shape)) for name, shape in shapes.items()}
    for _, measure in rows:
        found = measure(invented)
        assert found["low"] <= found["value"] <= found["high"]


def test_heat_maps_are_read_where_they_were_drawn(benchmark):
    plain = benchmark("plain")
    points = torch.from_numpy(np.random.default_rng(0).uniform(20, 180, (3, 5, 2))).float()
    heat = plain.heat_maps(points, (64, 52))
    assert heat.max() <= 1 and (heat.amax((2, 3)) > 0.7).all()
    assert (
        plain.read(heat) - points
    ).abs().max() < 0.2  # px of the film, of which a pixel of the map is four
    corner = plain.read(plain.heat_maps(torch.tensor([[[-9.0, 500.0]] * 5]), (64, 52)))
    assert corner.isfinite().all()


def test_the_plain_network_learns_and_keeps_its_best(benchmark, few_films):
    plain = benchmark("plain")
    reports, models = [], [plain.build(0) for _ in range(2)]
    best = [
        plain.fit(model, few_films, few_films, 40, 0, lambda step, off_px: reports.append((off_px, step)))
        for model in models
    ]
    assert best[0] == best[1] == min(reports)[1] and reports[:20] == reports[20:]
    found = plain.predict(models[0], few_films.films)
    off = np.linalg.norm(plain.five(found) - plain.five(few_films.rated_landmarks_px), axis=-1)
    assert off.mean() == pytest.approx(min(reports)[0]) and off.mean() < 0.8 * reports[0][0]
    assert (found[:, 4] == found[:, 5]).all() and np.array_equal(plain.six(plain.five(found)), found)


def test_errors_are_millimetres_in_the_patient(benchmark, few_films):
    hardness, where = benchmark("hardness"), hospitals_2.hospital("aspen")
    off = few_films.rated_landmarks_px + [3.0, -4.0]
    room = where.scanner
    usual = 5 * few_films.pixel_mm * (room.source_mm - room.object_mm) / room.source_mm
    found = hardness.off_mm(off, few_films, {"aspen": where})
    np.testing.assert_allclose(found, np.repeat(usual[:, None], 5, 1))
    plate = few_films.landmarks_px[:, 1] - few_films.landmarks_px[:, 0]
    away = few_films.landmarks_px + 0.75 * plate[:, None]
    np.testing.assert_allclose(hardness.missed(away, few_films.landmarks_px, 0), 0.75)
    measured = hardness.measure(away, few_films, {"aspen": where})
    assert measured["missed"]["S1"]["value"] == 1.0 and set(measured["mae_deg"]) == {"SS", "PT", "PI", "LL"}
    together = hardness.measure(
        np.zeros((12, 6, 2)), few_films, {"aspen": where}
    )  # a network that finds nothing
    assert np.isfinite(together["mae_deg"]["LL"]["value"])


def test_a_shard_is_made_once_and_again_for_other_films(benchmark, tmp_path, monkeypatch):
    hardness, made = benchmark("hardness"), []

    def make(*arguments):
        made.append(arguments)
        return [{"what": "x"}]

    for films in ("aa", "aa", "bb"):
        monkeypatch.setattr(hardness, "stamp", lambda films=films: {"films": films})
        assert hardness.keep(tmp_path, "few-x", make, 1, 2) == [{"what": "x"}]
    assert made == [(1, 2)] * 2
    hardness.keep(tmp_path, "few-x", make, 1, 3)  # other steps
    assert made[2:] == [(1, 3)]


def test_the_stored_marks_are_of_the_films_that_are_drawn_today(benchmark):
    """Also where a change of code left every specification as it was.  Means that lie between two grey levels may be
    rounded to either on another processor."""
    means = benchmark("hardness").quarters()
    between = np.flatnonzero(abs(means % 1 - 0.5) < 1.5e-3)
    assert len(between) < 8 and means.std() > 10
    digests = set()
    for ups in itertools.product((0, 1), repeat=len(between)):
        whole = means.round()
        whole.flat[between] = np.floor(means.flat[between]) + ups
        digests.add(store.digest(whole))
    assert calibration.marks()["films"] in digests


def test_draws_are_put_together(benchmark):
    hardness, number = benchmark("hardness"), {"low": 0.0, "high": 99.0}
    rows = [
        {"network": "plain", "hospital": "aspen", "films": n, "draw": draw, "steps": 9, "best_step": 9}
        | {name: {**number, "value": error} if "mm" in name else {"S1": number | {"value": 0.5}} for name in hardness.MEASURED}
        for n, errors in ((150, (10.0, 12.0)), (15, (30.0, 48.0)))
        for draw, error in enumerate(errors)
    ]  # fmt: skip
    fifteen, many, times = hardness.over_draws(rows)
    assert fifteen["mean_mm"] == {"value": 39.0, "low": 30.0, "high": 48.0} and many["draws"] == 2
    assert times["ratio"] == {"value": 3.5, "low": 3.0, "high": 4.0}
    assert hardness.over_draws(rows[:1])[0]["mean_mm"] == rows[0]["mean_mm"]  # one draw keeps its interval
    assert len(hardness.over_draws(rows[1:3])) == 2  # draws 1 and 0 are no pair
    doubled = [row | {"films": 4 * row["films"]} for row in rows[2:]] + [
        row | {"films": 120} for row in rows[:2]
    ]
    assert hardness.over_draws(doubled)[-1]["what"] == "plain, 60 over 120 films of aspen"
    assert hardness.over_draws(doubled)[-1]["ratio"] == times["ratio"]


def test_what_is_collected_is_read_as_marks(benchmark, tmp_path, monkeypatch):
    hardness = benchmark("hardness")
    stamp = {"specs": "aa", "films": "bb"}
    monkeypatch.setattr(hardness, "stamp", lambda: stamp)
    row = {"what": "x", "mean_mm": {"value": 3.0, "low": 2.0, "high": 4.0}}
    for mark in set(calibration.MARKS) - {"few"}:
        hardness.keep(tmp_path, f"{mark}-1", lambda: [row])
    (tmp_path / "bands-2.json").write_text(json.dumps({"stamp": {}, "rows": [row, row]}))
    path = tmp_path / "to" / "marks.json"
    path.parent.mkdir()
    path.write_text(json.dumps(hardness.collect(tmp_path)))
    found = calibration.marks(path)
    assert found["bands"] == found["other"] == [row] and found["few"] == [] and found["films"] == "bb"


def test_weights_of_other_films_are_refused(benchmark, tmp_path, monkeypatch):
    hardness = benchmark("hardness")
    monkeypatch.setattr(hardness, "stamp", lambda: {"films": "aa"})
    for network in hardness.BANDS:
        model = hardness.plain.build(3) if network == "plain" else models.build("landmarks", 3)
        hardness.keep_weights(tmp_path / network, model)
        again = hardness.read_weights(tmp_path / network, network)
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    monkeypatch.setattr(hardness, "stamp", lambda: {"films": "bb"})
    with pytest.raises(InputError, match="learnt on other films"):
        hardness.read_weights(tmp_path / "plain", "plain")


def test_every_group_of_factors_is_left_out_once(benchmark):
    hardness = benchmark("hardness")
    left_out = [name for what, setting in hardness.settings() for name in setting.without]
    assert sorted(left_out) == sorted(hardness.variety.factors())
    assert [what for what, _ in hardness.settings()][:2] == ["dial 1", "dial 1.5"]


def test_a_patch_for_the_flat_package_is_put_on_and_taken_off(benchmark, tmp_path, monkeypatch):
    hardness = benchmark("hardness")
    patch = tmp_path / "patch.py"
    patch.write_text(
        "from lumbo import shapes, radiograph, hospitals, store\n"
        "was = radiograph.develop\n"
        "def install(strength):\n"
        "    radiograph.develop = lambda *given: was(*given) * (1 - strength / 2)\n"
        "    hospitals._CODE = store.content_key([strength])\n"
    )
    monkeypatch.setattr(hardness, "STRANGE", 1)
    kinds = dict(hardness.strange_films(patch))
    assert all(kind.startswith("films 1.0") for kind in kinds)  # none of them is of films 2.0
    plain, half, dark = (films.films.astype(float) for films in kinds.values())
    np.testing.assert_allclose(half, plain / 2, atol=1)
    np.testing.assert_allclose(dark, plain / 4, atol=1)
    assert list(dict(hardness.strange_films(None))) == ["films 1.0"]
    assert not hasattr(hardness.films_1.hospitals, "_CODE")


# ---------------------------------------------------------------- meshes for gVirtualXray


def volume(mesh):
    vertices, faces = mesh
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return (np.cross(a, b) * c).sum() / 6


def closed(mesh):
    """Whether every edge of a triangle is that of another one, the other way round."""
    edges = mesh[1][:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    return np.isin(edges @ [10**6, 1], edges @ [1, 10**6]).all()


BOX = np.array([[[(15.0, 10), (-15, 10), (-15, -10), (15, -10)]]])
LINE = np.array([[[(0.0, 0, 0), (30, 25, 40)]]])  # 50 mm as seen along y
SOLIDS = {
    "a box": (shapes.Prisms(BOX, 5.0, 10.0, 1.0, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4), 30 * 20 * 20),
    "a box with a shell": (
        shapes.Prisms(BOX, 5.0, 10.0, 1.0, (0.5, 0, 0, 0), (0.0,) * 4, (0.0,) * 4),
        30 * 20 * 20 + 0.5 * 30 * shapes.SHELL_MM * 20,
    ),
    "a box with a sunken edge": (
        shapes.Prisms(BOX, 5.0, 10.0, 1.0, (0.0,) * 4, (3.0, 0, 0, 0), (0.0,) * 4, nearer_mm=(4.0, 0, 0, 4.0)),
        (30 * 20 - 2 / 3 * 30 * 3) * 20,
    ),
    "an ellipsoid": (shapes.Ellipsoids(LINE[:, :, 1], np.array([[[9.0, 7, 5]]]), 30.0, -0.5), -0.5 * 4 / 3 * np.pi * 315),
    "a soft ellipsoid": (
        shapes.Ellipsoids(LINE[:, :, 1], np.array([[[9.0, 7, 5]]]), 30.0, 1.0, soft=True), 2 / 3 * np.pi * 315,
    ),
    "a rod": (
        shapes.Rods(LINE[:, :, 0], LINE[:, :, 1], 4.0, 1.0),
        np.pi * 16 * np.hypot(50, 25) + 4 / 3 * np.pi * 64,
    ),
    "a hollow tube": (
        shapes.Tubes(LINE, 4.0, 1.0, 0.5), np.pi * 16 * 50 * 0.75 + 4 / 3 * np.pi * 64 * 0.875,
    ),
    "a soft tube": (shapes.Tubes(LINE, 4.0, 1.0, soft=True), 8 / 3 * 16 * 50 + np.pi * 64),
}  # fmt: skip


@pytest.mark.parametrize("name", SOLIDS)
def test_a_mesh_has_the_volume_of_its_solid(benchmark, name):
    solid, wanted = SOLIDS[name]
    meshes = list(benchmark("meshes")._MESHES[type(solid)](solid, 0))
    assert all(closed(mesh) and volume(mesh) > 0 for _, mesh in meshes)
    assert sum(density * volume(mesh) for density, mesh in meshes) == pytest.approx(wanted, rel=0.015)


def test_meshes_hold_the_matter_that_is_drawn(benchmark, monkeypatch):
    """Solid by solid and pixel by pixel added up, seen from so far that all is in its true size."""
    meshes, where = benchmark("meshes"), hospitals_2.hospital("aspen")
    monkeypatch.setattr(radiograph, "GRAIN", ())
    seen = hospitals_2.visit(where, "test", 0, 0, 256)
    n, room = len(seen.spines), replace(where.scanner, source_mm=1e7)
    pixel_mm, z = 1.0, np.array([-260.0, 540.0])
    center = np.tile([20.0, z.mean()], (n, 1))
    shot = radiograph.Exposure(center, center, np.full(n, pixel_mm), pixel_mm, (960, 640))
    trunk = tissue.trunk(seen.spines, seen.vary)
    nobody = replace(trunk, width_mm=0 * trunk.width_mm)
    solids = bones.skeleton(seen.spines, np.zeros(n, bool), seen.vary) + tissue.contents(
        seen.spines, seen.vary
    )
    for solid in solids:
        if isinstance(solid, shapes.Prisms):  # meshes have sharp edges
            solid = replace(solid, slant_mm=((0.0, 0.0),), rough_mm=(0.0,))
        parts = list(meshes._MESHES[type(solid)](solid, 0))
        assert all(closed(mesh) for _, mesh in parts)
        each = [density * volume(mesh) for density, mesh in parts]
        layer = int(solid.material[0] == 0)
        drawn = radiograph.attenuation([solid], nobody, room, shot, 1)[layer].double().sum() * pixel_mm**2
        assert sum(each) == pytest.approx(
            float(drawn) / solid.material[layer], abs=0.025 * np.abs(each).sum()
        )
    no_lung = replace(trunk, lung=0 * trunk.lung)
    rows = radiograph.attenuation([], no_lung, room, shot, 1)[0, 0].double().sum(1) * pixel_mm**2
    tall = z * trunk.tall[0]
    there = abs(shot.center_mm[0, 1] + (479.5 - np.arange(960)) * pixel_mm - tall.mean()) < np.ptp(tall) / 2
    assert volume(meshes.loft(no_lung, 0)) == pytest.approx(float(rows[there].sum()), rel=0.01)


def test_why_the_peer_does_not_run_is_told(benchmark, monkeypatch, root):
    monkeypatch.syspath_prepend(root / "benchmarks")
    reason = benchmark("peers")._reason
    assert (
        reason("RuntimeError: no EGL\n\t- at line 195\n---- Destroy all the windows\n")
        == "RuntimeError: no EGL"
    )
    assert reason("killed") == "killed" and reason("") == "no message"


def test_the_gallery_tells_and_shows_every_factor(benchmark):
    gallery = benchmark("gallery")
    page = (gallery.BOOK / "gallery.md").read_text()
    assert page.startswith(gallery.HEAD)
    shown, pictured = gallery.BOOK / "static" / "gallery", set()
    for name, spec in variety.factors().items():
        pictures = gallery.seen_at(spec)
        assert gallery.entry(name, spec, pictures) in page, f"{name}: make gallery"
        pictured |= {name} if pictures else set()
    assert {path.name.removesuffix(".webp") for path in shown.iterdir()} == pictured
    assert min(path.stat().st_size for path in shown.iterdir()) > 1000 and len(pictured) > 70
