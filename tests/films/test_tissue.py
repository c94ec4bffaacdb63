"""Soft tissue against the patients it stands around: the spine inside, gas inside, the rates of the file."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline
from test_anatomy import DIALS, SWITCHED, built, rng, same_patient, vary
from test_radiograph import ROOM, exposure, no_body, patients, plane, soft
from test_variety import KEPT

from lumbo.films import populations, radiograph, shapes, tissue, variety
from lumbo.films.anatomy import LEVELS


def outline(body, i, z):
    """Back and front of patient i's trunk at heights z, on curves of SciPy."""
    knots = body.knots_mm * body.tall[i]
    curves = ((v[i], np.gradient(v[i], knots)) for v in (body.back_mm, body.front_mm))
    return [CubicHermiteSpline(knots, values, slopes)(z) for values, slopes in curves]


def there(solid):
    """Which solids of a table are there, (n, k)."""
    return np.broadcast_to(solid.density, np.shape(getattr(solid, next(iter(vars(solid)))))[:2]) != 0


# ---------------------------------------------------------------- the trunk


@pytest.mark.parametrize("dial", DIALS[:2])
@pytest.mark.parametrize("cohort", populations.cohort_names())
def test_the_spine_lies_inside_the_trunk(cohort, dial):
    """From L5 to T12, with muscle behind it and a belly in front."""
    spines, factors = built(populations.draw(cohort, 100, rng(1)), dial=dial)
    body = tissue.trunk(spines, factors)
    for i in range(100):
        bodies = spines.bodies_mm[i, : LEVELS.index("T11")].reshape(-1, 2)
        back, front = outline(body, i, bodies[:, 1])
        assert (bodies[:, 0] - back > 30).all() and (front - bodies[:, 0] > 0).all()
        assert (body.back_mm[i] < body.front_mm[i]).all() and (body.width_mm[i] > 100).all()


def test_the_trunk_is_as_deep_and_as_wide_as_its_patient():
    """In proportion: the same factors around patients who are a fifth deeper or wider."""
    one = same_patient(1)
    for size, name in (("body_half_depth", "front_mm"), ("body_half_width", "width_mm")):
        sizes = one.sizes_mm * np.where(np.array(populations.SIZES) == size, 1.2, 1.0)
        thin, stout = (
            tissue.trunk(built(who, dial=0.0)[0], vary(dial=0.0))
            for who in (one, replace(one, sizes_mm=sizes))
        )
        np.testing.assert_allclose(getattr(stout, name), 1.2 * getattr(thin, name))


def test_a_childs_trunk_is_smaller_in_proportion():
    """Its outline at every height is an adult's, shrunk towards the hip axis."""
    adult = same_patient(1)
    times = populations.growth(10.0)
    sizes = populations._grown(adult.sizes_mm, np.array([times]))
    child = replace(adult, age_years=np.array([10.0]), sizes_mm=sizes, pitch_mm=adult.pitch_mm * times)
    large, small = (tissue.trunk(built(who, dial=0.0)[0], vary(dial=0.0)) for who in (adult, child))
    z = np.linspace(-50, 300, 20)
    for one, other in zip(outline(large, 0, z), outline(small, 0, times * z)):
        np.testing.assert_allclose(other, times * one, rtol=0, atol=3)


@pytest.mark.parametrize(
    ("name", "field"), [("trunk.taper", "taper"), ("trunk.lung", "lung"), ("trunk.grain", "strength")]
)
def test_factors_of_the_trunk_are_those_of_the_file(name, field):
    spines, factors = built(same_patient(4000))
    values = getattr(tissue.trunk(spines, factors), field).reshape(4000, -1)[:, 0]
    spread = np.sqrt(KEPT) * variety.factors()[name]["between"]
    assert np.log(values).std() == pytest.approx(spread, rel=4.5 / np.sqrt(8000))


def test_grain_lies_at_another_place_for_everybody():
    body = tissue.trunk(*patients(500))
    assert body.grain.shape == (500, 2, 2) and 0 <= body.grain.min() < 0.01 and 0.99 < body.grain.max() < 1
    assert len(np.unique(body.grain)) == body.grain.size


# ---------------------------------------------------------------- bowel


@pytest.mark.parametrize("cohort", populations.cohort_names())
def test_gas_lies_inside_the_body(cohort):
    spines, factors = built(populations.draw(cohort, 100, rng(1)))
    body = tissue.trunk(spines, factors)
    inside = []
    for gas in tissue.bowel(spines, factors):
        if gas.material != shapes.AIR:
            continue
        assert (gas.density >= 0).all() and (gas.density <= 1).all()  # no more than it displaces
        for i in range(100):
            x, _, z = gas.center_mm[i][there(gas)[i]].T
            back, front = outline(body, i, z)
            inside += [*((back < x) & (x < front))]
    assert np.mean(inside) > 0.99


@pytest.mark.parametrize(("score", "share"), [(-5.0, 0.0), (0.0, None), (5.0, 1.0)])
def test_bubbles_are_there_in_their_share_four_fifths_of_each_loop(score, share):
    spines, factors = built(same_patient(500), scores={"bowel.bubbles": score})
    gas = [
        s for s in tissue.bowel(spines, factors) if s.material == shapes.AIR and s.center_mm.shape[1] != 5
    ]  # the rectum
    found = np.concatenate([there(s) for s in gas], 1)
    spec = variety.factors()["bowel.bubbles"]
    expected = np.clip(spec["mean"] + score * spec["between"], 0, 1) if share is None else share
    assert found.shape == (500, 44) and found.mean() == pytest.approx(
        0.8 * expected, abs=4.5 * 0.5 / np.sqrt(500 * 11)
    )


def test_gas_is_dark_and_stool_is_mottled_on_the_film():
    """Gas takes soft tissue away, stool takes and adds; neither is bone."""
    spines, factors = built(
        same_patient(1), scores={"bowel.bubbles": 3.0, "bowel.stool": 2.0, "bowel.rectum": 1.0}
    )
    shot = exposure((30.0, 120.0), 4.0)
    for solid in tissue.bowel(spines, factors):
        matter = radiograph.attenuation([solid], no_body(), ROOM, shot).numpy()
        assert not matter[1].any()
        assert matter[0].min() < -1 and (matter[0].max() > 1) == (solid.material == shapes.MUSCLE)


# ---------------------------------------------------------------- what lies in and on the trunk


@pytest.mark.parametrize("name", ["soft.fold", "soft.arm", "soft.breast", "bowel.rectum"])
def test_folds_arms_and_breasts_are_there_at_their_rates(name):
    """At their rates with the dial at 1, on every film where they are asked for, on none where they are not."""
    who, n = same_patient(2000), 2000

    def drawn(**setting):
        spines, factors = built(who, **setting)
        return [there(s) for s in tissue.contents(spines, factors)]

    always, never = drawn(scores={name: 1.0}), drawn(scores={name: 0.0})
    changed = [i for i, (one, other) in enumerate(zip(always, never)) if (one != other).any()]
    assert changed
    spec = variety.factors()[name]
    for i in changed:
        assert always[i].all() and not never[i].any()
        rate = pytest.approx(spec["rate"], abs=4.5 * np.sqrt(spec["rate"] * (1 - spec["rate"]) / n))
        assert drawn()[i].mean() == rate


def test_no_content_is_broken_and_none_is_outside_the_body_far(untouched):
    """Numbers everywhere, no negative size, for every cohort and switch; the same factors give the same."""
    for who in [*populations.cohort_names(), *SWITCHED]:
        drawn = (
            same_patient(2, **{who: SWITCHED[who]}) if who in SWITCHED else populations.draw(who, 64, rng(2))
        )
        spines, factors = built(drawn, dial=1.5)
        one, two = tissue.contents(spines, factors), tissue.contents(spines, factors)
        for solid, again in zip(one, two, strict=True):
            for name, value in vars(solid).items():
                assert np.isfinite(np.asarray(value, float)).all(), (who, type(solid), name)
                np.testing.assert_array_equal(value, getattr(again, name))
            assert min(np.min(getattr(solid, name, 1.0)) for name in ("semi_mm", "radius_mm")) > 0


def test_everything_together_leaves_a_body_of_the_usual_depth():
    """Of adults, in the middle of the belly at L4: NHANES has sagittal diameters lying of 164 to 305 mm, and bodies
    25 to 36 cm across; a path through muscle, fat and gas lies between."""
    spines, factors = built(populations.draw("healthy_adults", 64, rng(3)))
    shot = exposure((40.0, 130.0), 4.0, (128, 104), n=64)
    matter = radiograph.attenuation(
        tissue.contents(spines, factors), tissue.trunk(spines, factors), ROOM, shot
    )[0]
    middle = matter.numpy()[:, 60:68, 48:56].mean((1, 2))
    assert 150 < np.median(middle) < 330 and middle.min() > 80 and middle.max() < 500
    assert soft(tissue.trunk(spines, factors), shot).min() == 0 and plane(0.0, ROOM, shot)[0].max() > 150
