"""Hospitals: what their files may say, and what the films drawn from them must keep."""

import copy
import inspect
import itertools
import string
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from importlib.resources import files

import numpy as np
import pytest
from faults import ABSENT, planted
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import anatomy, populations, radiograph, variety
from lumbo.films import hospitals as hospitals_module
from lumbo.films.hospitals import (
    SPLITS,
    FilmSet,
    Rater,
    check_hospital,
    draw,
    film_set,
    frozen,
    hospital,
    hospitals,
    participants,
    pool,
    rate,
    read_hospital,
    specification,
    visit,
)
from lumbo.films.variety import Setting, Variety

CHUNK = 16
SMALL = {"n": 16, "long_side_px": 48}
ARRAYS = [field.name for field in fields(FilmSet)]
# SS PT PI LL of two ratings of 186 films by one person, spine-measure-assist, RESEARCH.md
REPEATED_MAE = np.array([2.80, 1.03, 3.09, 3.57])


def rng(seed=0):
    return np.random.default_rng(seed)


def equal(one, other, but=()):
    names = [name for name in ARRAYS if name not in but]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def cache_files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def in_room(name, n, **changes):
    """Spines of a hospital and where they were exposed, without drawing any film."""
    where = hospital(name)
    room, vary = replace(where.scanner, **changes), Variety(rng(2))
    spines = anatomy.spines(populations.draw_mixture(where.mixture, n, rng(1)), vary)
    return spines, room, radiograph.aim(spines, room, 128, vary)


@pytest.fixture(scope="module", autouse=True)
def few_at_a_time(tmp_path_factory):
    """Patients are drawn a few together, which is quicker; so films go to a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lumbo.films.hospitals.CHUNK", CHUNK)
        patch.setenv("LUMBO_CACHE", str(tmp_path_factory.mktemp("hospitals")))
        yield


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("LUMBO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def table():
    """The file of one hospital, as a table."""
    return tomllib.loads(files("data_synth").joinpath("hospitals", "dogwood.toml").read_text())


# ---------------------------------------------------------------- the hospitals of the book


def test_four_participants_of_unequal_size_and_two_outsiders():
    assert list(hospitals()) == ["aspen", "birch", "cedar", "dogwood", "elm", "fir"]
    sizes = [h.patients["training"] for h in participants()]
    assert len(sizes) == 4 and sizes == sorted(sizes, reverse=True)
    np.testing.assert_allclose(np.array(sizes) / sizes[-1], [8, 4, 2, 1], rtol=0.05)
    assert abs(sum(sizes) - 2000) < 50
    outsiders = [h for h in hospitals().values() if h.role == "outsider"]
    assert len(outsiders) == 2
    assert all(h.patients["training"] == h.patients["validation"] == 0 for h in outsiders)


def test_every_hospital_has_300_test_patients():
    assert min(h.patients["test"] for h in hospitals().values()) >= 300


def test_no_two_rooms_are_alike():
    for one, other in itertools.combinations(hospitals().values(), 2):
        assert one.scanner != other.scanner and one.mixture != other.mixture


def test_one_outsider_scans_with_a_slot():
    assert [h.name for h in hospitals().values() if h.scanner.slot] == ["fir"]


def test_an_unknown_hospital_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="hospital: got 'gum'.*aspen.*fir"):
        hospital("gum")


def test_a_specification_cannot_be_changed_by_accident():
    with pytest.raises(FrozenInstanceError):
        hospital("elm").inverted = False


# ---------------------------------------------------------------- what film sets keep


@pytest.fixture(scope="module")
def some():
    """Films of every hospital, more than one chunk of each."""
    return {h.name: film_set(h, "test", n=20, long_side_px=48) for h in hospitals().values()}


def test_shapes_and_types(some):
    for name, films in some.items():
        n = len(films)
        assert films.films.shape == (n, 48, 39) and films.films.dtype == np.uint8
        assert films.landmarks_px.shape == films.rated_landmarks_px.shape == (n, 6, 2)
        assert films.angles_deg.shape == films.rated_angles_deg.shape == films.anatomical_deg.shape == (n, 4)
        assert films.pixel_mm.shape == films.patient.shape == films.cohort.shape == (n,)
        assert films.mirrored.dtype == films.inverted.dtype == bool and set(films.site) == {name}


def test_films_use_the_grey_scale(some):
    """From black to nearly white: the knee leaves the last greys to metal."""
    for films in some.values():
        assert (films.films.max((1, 2)) > 170).all() and films.films.max() > 240
        assert (films.films.min((1, 2)) == 0).all() and (films.films.std((1, 2)) > 40).all()


def test_sixteen_bits_are_the_same_film_with_finer_greys():
    fine, coarse = (draw(hospital("elm"), "test", 0, 0, 48, bits) for bits in (16, 8))
    assert fine.films.dtype == np.uint16 and equal(fine, coarse, but=["films"])
    np.testing.assert_allclose(fine.films / 65535, coarse.films / 255, atol=0.5 / 255 + 1 / 65535)
    assert max(len(np.unique(film)) for film in fine.films) > 600  # of 1872 pixels, half of them black


def test_a_depth_that_no_file_has_is_refused():
    with pytest.raises(InputError, match="^bits: got 12; allowed: 8 or 16"):
        draw(hospital("elm"), "test", 0, 0, 48, bits=12)


def test_angles_follow_from_their_own_landmarks_exactly(some):
    for films in some.values():
        np.testing.assert_array_equal(lumbopelvic_angles(films.landmarks_px, "left"), films.angles_deg)
        np.testing.assert_array_equal(
            lumbopelvic_angles(films.rated_landmarks_px, "left"), films.rated_angles_deg
        )
        for angles in (films.angles_deg, films.rated_angles_deg):
            np.testing.assert_array_equal(angles[:, 2], angles[:, 1] + angles[:, 0])


def test_anatomical_angles_are_the_patients_own_and_film_angles_are_near(some):
    """Whoever leans, SS falls as PT rises; a film shows that, and a turned pelvis a little otherwise."""
    for name, films in some.items():
        seen = visit(hospital(name), "test", 0, 0, 48)
        own, stand = (films.anatomical_deg[:CHUNK], anatomy.anatomical_angles(seen.spines))
        np.testing.assert_array_equal(own, seen.patients.angles_deg)
        tilt = seen.vary("field.tilt", CHUNK)[:, None]
        np.testing.assert_allclose(stand, own + tilt * [-1, 1, 0, 0], atol=1e-9)
        off = abs(films.angles_deg[:CHUNK] - stand)
        assert 0.01 < off.mean() < 1.2 and (off[:, :3].mean(0) < 0.8).all()


def test_nobody_leans_beyond_what_can_stand():
    """A patient whose sacrum lies nearly level or upright leans no further than 88 degrees."""
    steep = populations.with_angles([[87.0, 5.0, 92.0, 60.0], [-87.5, 20.0, -67.5, 10.0]], rng())
    ss, pt, pi, ll = hospitals_module._leaning(steep, np.array([-30.0, 30.0])).angles_deg.T
    np.testing.assert_allclose(ss, [88, -88])
    np.testing.assert_allclose([pt + ss, ll], [steep.angles_deg[:, 2], steep.angles_deg[:, 3]])


def test_ratings_are_not_the_truth(some):
    for films in some.values():
        assert (films.rated_landmarks_px != films.landmarks_px).all()


def test_the_hidden_head_is_the_one_outside_the_field(some):
    """Its landmark lies where nothing is shown; a room that never cuts hides none."""
    for name, films in some.items():
        seen = visit(hospital(name), "test", 0, 0, 48)
        middle = (np.array([39, 48]) - 1) / 2
        off_mm = abs(films.landmarks_px[:CHUNK, 4:] - middle) * films.pixel_mm[:CHUNK, None, None]
        outside = (off_mm > seen.exposure.field_mm[:, None] / 2).any(-1)
        np.testing.assert_array_equal(outside, np.stack([films.hidden[:CHUNK] == side for side in (1, 2)], 1))
        assert hospital(name).scanner.cut or not films.hidden.any()


def test_some_films_of_rooms_that_cut_show_one_head():
    cut = replace(hospital("dogwood"), scanner=replace(hospital("dogwood").scanner, cut=0.5))
    hidden = film_set(cut, "test", n=4 * CHUNK, long_side_px=32).hidden
    assert 0.2 < (hidden > 0).mean() < 0.8 and hidden.max() <= 2


def test_every_film_faces_left_whatever_the_archive(some):
    for films in some.values():
        assert (films.landmarks_px[:, 0, 0] < films.landmarks_px[:, 1, 0]).all()


@pytest.mark.parametrize("name", hospitals())
def test_mean_angles_are_those_of_the_mixture(name):
    """Within 4.5 standard errors of the weighted means, of 1,000 patients or so."""
    where = hospital(name)
    drawn = np.concatenate([visit(where, "test", 0, chunk, 32).patients.angles_deg for chunk in range(64)])
    expected = np.zeros(4)
    for cohort, share in where.mixture.items():
        who = populations.cohort(cohort)
        pi, pt, ll = (part["mean"] for part in (who.pi, who.pt, who.ll))
        expected += share * np.array([pi - pt, pt, pi, ll])
    assert (abs(drawn.mean(0) - expected) < 4.5 * drawn.std(0) / np.sqrt(len(drawn))).all()


# ---------------------------------------------------------------- the column has no end to count from


def height_mm(points_mm, room, shot):
    """Height of points (n, k, 3) above the middle of the detector, (n, k)."""
    rows = radiograph.project(points_mm, room, shot)[..., 1]
    return ((shot.shape[0] - 1) / 2 - rows) * shot.pixel_mm[:, None]


@pytest.mark.parametrize("name", hospitals())
def test_the_drawn_column_leaves_the_field_at_the_top(name):
    """The top of T4 is on two films in a hundred at most: L1 cannot be counted from the end."""
    spines, room, shot = in_room(name, 2000)
    t4 = anatomy.LEVELS.index("T4")
    top = anatomy.in_space(spines.bodies_mm[:, t4, :2], spines.aside_mm[:, t4 : t4 + 1])
    assert (height_mm(top, room, shot) < shot.field_mm[:, 1:] / 2).any(1).mean() <= 0.02


@pytest.mark.parametrize("name", hospitals())
def test_the_highest_level_on_the_film_differs_from_patient_to_patient(name):
    """So "the n-th body from the upper edge" is no way to find L1 either, which is always there."""
    spines, room, shot = in_room(name, 2000)
    bodies = anatomy.in_space(spines.bodies_mm.mean(2), spines.aside_mm)
    inside = height_mm(bodies, room, shot) < shot.field_mm[:, 1:] / 2
    count = np.bincount(inside.sum(1), minlength=15) / 2000
    assert count.max() < 0.7 and (count > 0.03).sum() >= 3 and count[:5].sum() == 0


# ---------------------------------------------------------------- raters


@pytest.mark.parametrize("name", hospitals())
def test_raters_err_by_the_millimetres_of_their_file(name):
    """Independent normal errors in the patient, after the habit has been taken away."""
    where, n, pixel_mm = hospital(name), 4000, 3.5
    where = replace(where, rater=replace(where.rater, steeper_deg=0.0))
    truth = rng(4).uniform(0, 100, (n, 6, 2))
    off_px = rate(truth, where, pixel_mm, rng(5)) - truth
    off_mm = off_px * pixel_mm / radiograph.magnification(0.0, where.scanner)  # back in the patient
    sd_mm = np.repeat([where.rater.s1_mm, where.rater.l1_mm, where.rater.head_mm], 2)[:, None]
    assert (abs(off_mm.std(0) / sd_mm - 1) < 4.5 / np.sqrt(2 * n)).all()
    assert (abs(off_mm.mean(0)) < 4.5 * sd_mm / np.sqrt(n)).all()
    independent = np.corrcoef(off_mm.reshape(n, 12).T) - np.eye(12)
    assert abs(independent).max() < 5 / np.sqrt(n)


@pytest.mark.parametrize("habit", [-10.0, -0.5, 0.8, 5.0])
def test_a_habit_makes_s1_steeper_by_just_that_and_touches_nothing_else(habit, some):
    films, where = some["dogwood"], hospital("dogwood")
    other = replace(where, rater=replace(where.rater, steeper_deg=habit))
    plain, steep = (rate(films.landmarks_px, h, films.pixel_mm, rng(6)) for h in (where, other))
    exact = Rater(s1_mm=0, l1_mm=0, head_mm=0, steeper_deg=habit)
    turned = rate(films.landmarks_px, replace(where, rater=exact), films.pixel_mm, rng(6))
    off = lumbopelvic_angles(turned, "left") - films.angles_deg
    np.testing.assert_allclose(off, np.tile([habit, 0, habit, habit], (len(films), 1)), atol=1e-9)
    np.testing.assert_array_equal(steep[:, 2:], plain[:, 2:])
    np.testing.assert_allclose(steep[:, :2].mean(1), plain[:, :2].mean(1), atol=1e-9)


def test_a_rater_takes_the_head_that_is_seen_for_both():
    """Nothing else changes."""
    where, truth = hospital("elm"), rng(4).uniform(0, 100, (6, 6, 2))
    hidden = np.array([0, 1, 2, 0, 1, 2])
    seen, guessed = (rate(truth, where, 3.0, rng(5), h) for h in (0, hidden))
    np.testing.assert_array_equal(guessed[:, :4], seen[:, :4])
    np.testing.assert_array_equal(guessed[hidden == 0], seen[hidden == 0])
    np.testing.assert_array_equal(guessed[hidden == 1, 4:], seen[hidden == 1][:, [5, 5]])
    np.testing.assert_array_equal(guessed[hidden == 2, 4:], seen[hidden == 2][:, [4, 4]])


def test_millimetres_become_the_degrees_of_chapter_1():
    """SD of SS is sqrt(2) s1 / d, LL adds that of L1, PT has S1 and both heads on a lever r: 35 and 118 mm."""
    where = replace(hospital("aspen"), rater=Rater(s1_mm=1.0, l1_mm=0.8, head_mm=2.2, steeper_deg=0.0))
    spine = np.array([[-17.5, 0], [17.5, 0], [-17.5, -180], [17.5, -180], [0, 118], [0, 118.0]])
    seen = np.repeat(spine[None] * radiograph.magnification(0.0, where.scanner), 20_000, 0)
    errors = lumbopelvic_angles(rate(seen, where, 1.0, rng(6)), "left").std(0)
    ss, l1 = np.degrees(np.sqrt(2) / 35), np.degrees(np.sqrt(2) * 0.8 / 35)
    pt = np.degrees(np.sqrt((1.0**2 + 2.2**2) / 2) / 118)
    np.testing.assert_allclose(errors, [ss, pt, np.hypot(ss, pt), np.hypot(ss, l1)], rtol=0.03)


def test_one_rating_errs_by_less_than_two_ratings_differ():
    """What is published is the mean difference of two ratings: sqrt(2) * 0.798 times the SD of one."""
    sd = REPEATED_MAE / (np.sqrt(2) * np.sqrt(2 / np.pi))
    np.testing.assert_allclose(sd, [2.48, 0.91, 2.74, 3.16], atol=0.005)
    one, other = rng(7).normal(0, sd, (2, 400_000, 4))
    np.testing.assert_allclose(abs(one - other).mean(0), REPEATED_MAE, rtol=0.01)


@pytest.mark.parametrize("name", hospitals())
def test_raters_are_as_good_as_published_ones(name):
    """One rating's SD is within 35 % of the published reader's, on this hospital's own patients."""
    where = hospital(name)
    spines, room, shot = in_room(name, 3000)
    seen = radiograph.project(spines.landmarks_mm, room, shot)
    rated = rate(seen, where, shot.pixel_mm, rng(8))
    off = lumbopelvic_angles(rated, "left") - lumbopelvic_angles(seen, "left")
    ratio = off.std(0) / (REPEATED_MAE / (np.sqrt(2) * np.sqrt(2 / np.pi)))
    assert ((ratio > 0.65) & (ratio < 1.35)).all(), ratio
    assert off[:, 0].mean() == pytest.approx(where.rater.steeper_deg, abs=0.25)


def test_films_carry_their_hospitals_rating(some):
    """The same on films from the cache: landmarks of all hospitals, in units of their own SD; a guessed head is none."""
    errors = []
    for name, films in some.items():
        who, plain = hospital(name).rater, films[films.hidden == 0]
        scale = radiograph.magnification(0.0, hospital(name).scanner) / plain.pixel_mm[:, None, None]
        sd_mm = np.repeat([who.s1_mm, who.l1_mm, who.head_mm], 2)[:, None]
        errors.append(((plain.rated_landmarks_px - plain.landmarks_px) / scale / sd_mm)[:, 2:])
        for side in (1, 2):
            heads = films.rated_landmarks_px[films.hidden == side, 4:]
            np.testing.assert_array_equal(heads[:, 0], heads[:, 1])
    errors = np.concatenate(errors)
    assert abs(errors.std() - 1) < 4.5 / np.sqrt(2 * errors.size)


# ---------------------------------------------------------------- sides and polarity


def test_the_archive_has_its_share_of_films_facing_right(some):
    for name, films in some.items():
        where = hospital(name)
        assert set(films.inverted) == {where.inverted}
        films = film_set(where, "test", n=128, long_side_px=32) if 0 < where.mirrored < 1 else films
        share = films.mirrored.mean()
        assert abs(share - where.mirrored) <= 4.5 * np.sqrt(where.mirrored * (1 - where.mirrored) / 128)


def test_stored_films_come_back(some):
    for films in some.values():
        sides = np.where(films.mirrored, "right", "left")
        stored = radiograph.present(films.films, sides, films.inverted)
        np.testing.assert_array_equal(radiograph.canonical(stored, sides, films.inverted), films.films)
        assert (stored != films.films).any() == bool(films.mirrored.any() or films.inverted.any())


def test_films_do_not_tell_how_the_archive_stored_them():
    """Side and polarity stand in the metadata: all archives give the same canonical films."""
    archives = [
        replace(hospital("dogwood"), mirrored=m, inverted=i)
        for m, i in itertools.product((0.0, 0.5, 1.0), (False, True))
    ]
    first, *others = (draw(h, "test", 0, 0, 48) for h in archives)
    assert all(equal(first, other, but=["mirrored", "inverted"]) for other in others)


# ---------------------------------------------------------------- one kind of difference at a time


def twin(name):
    """Aspen with one thing of Dogwood's."""
    return replace(hospital("aspen"), **{name: getattr(hospital("dogwood"), name)})


@pytest.fixture(scope="module")
def aspen():
    return draw(hospital("aspen"), "training", 0, 0, 48)


def test_another_scanner_keeps_patients_and_raters(aspen):
    other = draw(twin("scanner"), "training", 0, 0, 48)
    np.testing.assert_array_equal(other.anatomical_deg, aspen.anatomical_deg)
    np.testing.assert_array_equal(other.patient, aspen.patient)
    np.testing.assert_array_equal(other.cohort, aspen.cohort)
    np.testing.assert_array_equal(other.mirrored, aspen.mirrored)
    assert (other.films != aspen.films).any((1, 2)).all()
    errors = [
        (films.rated_landmarks_px - films.landmarks_px)[
            :, 2:4
        ]  # a rater may see one head on one of them only
        * (films.pixel_mm[:, None, None] / radiograph.magnification(0.0, room))
        for films, room in ((aspen, hospital("aspen").scanner), (other, hospital("dogwood").scanner))
    ]
    np.testing.assert_allclose(*errors, atol=1e-9)  # the same slips of the same hand, in the patient


def test_another_rater_keeps_the_films_and_the_truth(aspen):
    other = draw(twin("rater"), "training", 0, 0, 48)
    assert equal(other, aspen, but=["rated_landmarks_px", "rated_angles_deg"])
    assert (other.rated_landmarks_px != aspen.rated_landmarks_px).all()


def test_another_mixture_keeps_the_room(aspen):
    other = draw(twin("mixture"), "training", 0, 0, 48)
    assert (other.cohort != aspen.cohort).any()
    same = other.cohort == aspen.cohort  # patients whose cohort is the same are the same
    np.testing.assert_array_equal(other.anatomical_deg[same], aspen.anatomical_deg[same])
    assert same.any() and (other.pixel_mm == aspen.pixel_mm)[same].all()


def test_metal_changes_the_films_of_those_who_carry_it_only():
    """A film without metal keeps its bits, whoever else carries some."""
    without, with_some = (replace(hospital("aspen"), implanted=share) for share in (0.0, 0.5))
    plain, half = (draw(where, "test", 0, 0, 48) for where in (without, with_some))
    assert equal(plain, half, but=["films"])
    changed = (plain.films != half.films).any((1, 2))
    assert 0 < changed.sum() < CHUNK


def test_size_does_not_change_patients_or_their_rating(empty_cache):
    """Landmarks of a film of twice the size lie at the same place, pixel centres counted from the edge."""
    small, large = (film_set(hospital("fir"), "test", n=4, long_side_px=px) for px in (64, 128))
    assert equal(small, large, but=[*(n for n in ARRAYS if "px" in n or "angles" in n), "films", "pixel_mm"])
    np.testing.assert_allclose(small.pixel_mm, 2 * large.pixel_mm)
    for name in ("landmarks_px", "rated_landmarks_px"):
        one, other = (getattr(films, name) + 0.5 for films in (small, large))
        np.testing.assert_allclose(2 * one, other, atol=1e-9)
    np.testing.assert_allclose(small.rated_angles_deg, large.rated_angles_deg, atol=1e-9)


# ---------------------------------------------------------------- follow-up films


def returns(share, chunks=5, **options):
    """Which films of a hospital's first chunks show a patient again, and the number of the patient on each."""
    where = replace(hospital("cedar"), returning=share, **options)
    whose = [visit(where, "training", 0, chunk, 32).whose + chunk * CHUNK for chunk in range(chunks)]
    patient = np.concatenate(whose)
    return patient != np.arange(len(patient)), patient


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.45, 0.49, 0.5])
@pytest.mark.parametrize("chunk", [16, 64])
def test_the_share_of_follow_ups_is_exact(share, chunk, monkeypatch):
    """Of the films of the first k chunks floor(films * share), and within a chunk never more than one off."""
    monkeypatch.setattr("lumbo.films.hospitals.CHUNK", chunk)
    monkeypatch.setattr(f"{__name__}.CHUNK", chunk)
    again, patient = returns(share)
    k = np.arange(1, len(again) + 1)
    missing = np.floor(k * share + 1e-9) - np.cumsum(again)
    assert (missing[k % chunk == 0] == 0).all() and abs(missing).max() <= 1
    ids, counts = np.unique(patient, return_counts=True)
    assert len(again) - len(ids) == again.sum()  # each is seen before, once
    np.testing.assert_array_equal(patient[again], patient[np.flatnonzero(again) - 1])
    assert not (again[1:] & again[:-1]).any() and counts.max() == 2


@pytest.mark.parametrize("share", [0.0, 1e-320, 1 / 16, np.float64(0.125), 0.333])
def test_any_share_up_to_a_half_may_come_back(share):
    again, _ = returns(share)
    assert again.sum() == int(5 * CHUNK * share + 1e-9)


@pytest.mark.parametrize("name", [h.name for h in participants()])
def test_some_patients_come_back_in_training(name):
    """A year older, with the pelvis of an adult as it was, that of a child within a few degrees, and a new posture."""
    where = hospital(name)
    films = film_set(where, "training", n=8 * CHUNK, long_side_px=32)
    ids, counts = np.unique(films.patient, return_counts=True)
    assert set(counts) == {1, 2} and (counts == 2).sum() == int(len(films) * where.returning + 1e-9)
    first = np.flatnonzero(np.isin(films.patient, ids[counts == 2]))[::2]
    one, other = films[first], films[first + 1]
    np.testing.assert_array_equal(one.patient, other.patient)
    np.testing.assert_array_equal(one.cohort, other.cohort)
    moved = abs(one.anatomical_deg - other.anatomical_deg)
    assert (moved[:, [0, 1, 3]] > 1e-6).all() and (moved[:, 2] < 8).all()
    adults = np.isin(one.cohort, ["healthy_adults", "adult_deformity", "degenerative"])
    np.testing.assert_allclose(moved[adults, 2], 0, atol=1e-9)


def test_a_patient_who_comes_back_has_the_same_bones():
    """Switches and shares, and every bodily factor; field and processing are those of the film."""
    seen = visit(hospital("birch"), "training", 0, 0, 32)
    again = np.flatnonzero(seen.whose != np.arange(CHUNK))
    first, second = seen.patients[seen.whose[again]], seen.patients[again]
    np.testing.assert_array_equal(second.age_years, first.age_years + 1)
    for name in (
        "cohort",
        "curve_deg",
        "slip",
        "narrowing",
        "spurs_mm",
        "fracture",
        "dome_mm",
        "transitional",
    ):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.size("s1_share"), second.size("s1_share"))
    for name in variety.factors():
        if name.split(".")[0] not in variety.BODILY:
            continue
        means = variety.factors()[name]["mean"]
        values = seen.vary(name, CHUNK, len(means) if isinstance(means, list) else 3)
        np.testing.assert_array_equal(values[again], values[again - 1])
    zoom = seen.vary("field.zoom", CHUNK)
    assert (zoom[again] != zoom[again - 1]).all()
    assert 0 < len(again) < CHUNK / 2


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nobody_comes_back_outside_training(split):
    for where in participants():
        films = film_set(replace(where, returning=0.5), split, n=CHUNK + 2, long_side_px=32)
        assert len(np.unique(films.patient)) == len(films)


# ---------------------------------------------------------------- pooling and choosing


def test_pool_puts_films_one_after_the_other(some):
    one, other = some["birch"], some["elm"]
    both = pool([one, other])
    assert len(both) == 40 and equal(both[:20], one) and equal(both[20:], other)


@pytest.mark.parametrize(
    "index", [slice(3, 9), np.array([4, 1, 1]), np.arange(20) % 3 == 0], ids=["slice", "array", "mask"]
)
def test_choosing_films_chooses_everything_about_them(some, index):
    chosen = some["cedar"][index]
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(chosen, name), getattr(some["cedar"], name)[index])
    assert len(chosen) == len(np.arange(20)[index])


# ---------------------------------------------------------------- the same, and apart


@pytest.mark.parametrize("n", [0, 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("split", ["training", "test"])
def test_the_first_films_are_the_same_for_any_number(n, split):
    more = film_set(hospital("aspen"), split, n=CHUNK + 4, long_side_px=48)
    assert equal(film_set(hospital("aspen"), split, n=n, long_side_px=48), more[:n])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("n", [1, 2, 5, 15])
@pytest.mark.parametrize("name", ["aspen", "fir"])
def test_the_first_films_of_a_chunk_cost_what_they_cost_and_are_the_same(name, n, bits, monkeypatch):
    every, seen = draw(hospital(name), "test", 3, 1, 64, bits), []
    plain = radiograph.expose
    monkeypatch.setattr(
        radiograph, "expose", lambda matter, *rest: seen.append(matter.shape) or plain(matter, *rest)
    )
    assert draw(hospital(name), "test", 3, 1, 64, bits, n=n) == every[:n]
    assert seen == [(2, n, 64, 52)]


def test_by_default_a_split_has_the_patients_of_its_hospital(empty_cache):
    small = replace(hospital("dogwood"), patients={"training": 3, "validation": 2, "test": 1})
    assert [len(film_set(small, split, long_side_px=32)) for split in SPLITS] == [3, 2, 1]


def test_any_hospital_has_films_of_any_number(empty_cache):
    """Size and character can be told apart: more films than a hospital has, and an outsider to train on."""
    dogwood = hospital("dogwood")
    assert len(film_set(dogwood, "validation", n=dogwood.patients["validation"] + 1, long_side_px=32)) == 41
    assert len(film_set(hospital("elm"), "training", n=3, long_side_px=32)) == 3


def test_splits_hospitals_and_seeds_share_no_patient():
    """Told apart by a share of the body that no age changes, and that is drawn for each patient from a continuum."""
    requests = list(itertools.product(hospitals().values(), SPLITS, (0, 1), (0, 1)))
    visits = [visit(*request, 32) for request in requests]
    known = np.concatenate([seen.patients.size("s1_share") for seen in visits])
    assert len(np.unique(known)) == sum(len(np.unique(seen.whose)) for seen in visits) < len(known)


def test_no_two_films_are_alike(empty_cache):
    sets = [
        film_set(h, split, seed, 4, 32)
        for h, split, seed in itertools.product(hospitals().values(), SPLITS, (0, 1))
    ]
    parts = pool(sets)
    assert len({film.tobytes() for film in parts.films}) == len(parts) == 36 * 4
    for name in ("anatomical_deg", "angles_deg", "rated_angles_deg"):
        assert len(np.unique(getattr(parts, name).round(9), axis=0)) == len(parts)


def test_two_hospitals_of_one_specification_share_no_patient(empty_cache):
    twin = replace(hospital("aspen"), name="aspen2")
    one, other = (film_set(h, "test", **SMALL).anatomical_deg for h in (hospital("aspen"), twin))
    assert not np.isin(one.round(9), other.round(9)).any()


def test_a_cold_cache_a_warm_cache_and_none_give_the_same_bits(empty_cache):
    cold = film_set(hospital("birch"), "test", **SMALL)
    written = cache_files(empty_cache)
    warm = film_set(hospital("birch"), "test", **SMALL)
    assert len(written) == 1 and cache_files(empty_cache) == written and equal(cold, warm)
    for path in empty_cache.rglob("*.safetensors"):
        path.unlink()
    assert equal(film_set(hospital("birch"), "test", **SMALL), cold)


def test_a_torn_cache_file_is_drawn_again(empty_cache):
    whole = film_set(hospital("birch"), "test", **SMALL)
    (path,) = empty_cache.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    assert equal(film_set(hospital("birch"), "test", **SMALL), whole)


def changes():
    """Requests that each differ in one thing from the first: (what, hospital, split, options)."""
    base = hospital("dogwood")
    yield "nothing", base, "test", {}
    yield "split", base, "training", {}
    yield "seed", base, "test", {"seed": 1}
    yield "n", base, "test", {"n": 11}
    yield "size", base, "test", {"long_side_px": 64}
    yield "mixture", replace(base, mixture={"healthy_adults": 1.0}), "test", {}
    yield "implants", replace(base, implanted=1.0), "test", {}
    yield "rater", replace(base, rater=replace(base.rater, l1_mm=3.0)), "test", {}
    room = {"source_mm": 1400, "field_mm": (380.0, 480.0), "photons": 2e5, "gamma": 0.9, "slot": True}
    for field, value in room.items():
        yield field, replace(base, scanner=replace(base.scanner, **{field: value})), "test", {}


def test_the_cache_is_keyed_by_everything_that_shapes_a_film(empty_cache):
    first, drawn = None, {}
    for what, h, split, options in changes():
        drawn[what] = film_set(h, split, **(SMALL | {"long_side_px": 32} | options))
        first = first or drawn[what]
        assert len(cache_files(empty_cache)) == len(drawn), what
        assert what in ("nothing", "n") or not equal(drawn[what], first), what


def test_the_cache_is_keyed_by_the_cohorts(empty_cache, other_cohorts):
    before = film_set(hospital("birch"), "test", n=CHUNK, long_side_px=32)
    other_cohorts(lambda table: table["adolescent_scoliosis"]["ll"].update(mean=59.5))
    after = film_set(hospital("birch"), "test", n=CHUNK, long_side_px=32)
    moved = np.where(before.cohort == "adolescent_scoliosis", 10.0, 0.0)
    np.testing.assert_allclose((after.anatomical_deg - before.anatomical_deg)[:, 3], moved, atol=1e-9)
    np.testing.assert_allclose(after.anatomical_deg[:, :3], before.anatomical_deg[:, :3], atol=1e-9)


@pytest.fixture
def other_cohorts(monkeypatch):
    """A function that changes cohorts.toml for the rest of the test."""

    def change(edit):
        table = copy.deepcopy(populations.statistics())
        edit(table)
        monkeypatch.setattr(populations, "statistics", lambda: table)
        monkeypatch.setattr(populations, "cohort", inspect.unwrap(populations.cohort))

    return change


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("split", {"split": "exam"}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": 0.5}),
        ("seed", {"seed": True}),
        ("split", {"split": ["test"]}),
        ("split", {"split": None}),
        ("n", {"n": -1}),
        ("n", {"n": 2.0}),
        ("n", {"n": np.int64(-1)}),
        ("long_side_px", {"long_side_px": 100}),
        ("long_side_px", {"long_side_px": 96.0}),
        ("device", {"device": "gpu"}),
        ("device", {"device": None}),
        ("device", {"device": ["cpu"]}),
        ("where", {"where": "elm"}),
        ("where", {"where": None}),
    ],
)
def test_impossible_requests_are_refused(field, options, empty_cache):
    with pytest.raises(InputError) as caught:
        film_set(**({"where": hospital("elm"), "split": "test", "n": 1, "long_side_px": 32} | options))
    assert caught.value.field == field and not empty_cache.exists()


@pytest.mark.parametrize(
    ("field", "options"),
    [("chunk", {"chunk": -1}), ("chunk", {"chunk": 0.5}), ("n", {"n": 0}), ("n", {"n": CHUNK + 1}), ("bits", {"bits": 8.0})],
)  # fmt: skip
def test_impossible_chunks_are_refused(field, options):
    with pytest.raises(InputError) as caught:
        draw(
            **(
                {"where": hospital("elm"), "split": "test", "seed": 0, "chunk": 0, "long_side_px": 32}
                | options
            )
        )
    assert caught.value.field == field


def test_numbers_of_numpy_are_numbers(empty_cache):
    kind = np.int64
    films = film_set(hospital("elm"), np.str_("test"), kind(1), n=kind(3), long_side_px=kind(32))
    assert films == film_set(hospital("elm"), "test", 1, n=3, long_side_px=32) and len(films) == 3
    assert len(list((empty_cache / "films").iterdir())) == 1


@pytest.mark.parametrize(
    "name",
    ["", " ", "../../esc", "a/b", "a\\b", "NUL\0", "new\nline", "x" * 33, "ß" * 17, ".hidden", "end.", " blank", "a:b", "a=b",
     "a^b", "a*b", 'a"b', 7, None, b"elm"], ids=repr
)  # fmt: skip
def test_a_name_that_no_file_and_no_archive_can_hold_is_refused(name, empty_cache):
    with pytest.raises(InputError) as caught:
        replace(hospital("elm"), name=name)
    assert caught.value.field == "hospital.name" and not empty_cache.exists()


@pytest.mark.parametrize("name", ["NA", "007", "東京", "köln", "St. Mary_2", "x" * 32])
def test_a_name_is_a_text_and_stays_one(name, empty_cache):
    where = replace(hospital("elm"), name=name)
    for _ in ("drawn", "from the cache"):
        assert film_set(where, "test", n=2, long_side_px=32).site.tolist() == [name] * 2


@pytest.mark.parametrize(
    "change", [{"implanted": 7}, {"returning": -0.1}, {"mirrored": "often"}, {"mixture": {}}]
)
def test_a_hospital_built_in_code_is_held_to_the_same(change):
    (field,) = change
    with pytest.raises(InputError, match=rf"^elm\.{field}: got "):
        replace(hospital("elm"), **change)


# ---------------------------------------------------------------- settings of the factors


def test_the_dial_and_what_is_left_out_change_the_films_and_not_the_patients(empty_cache):
    """Each setting is a set of its own in the cache."""
    where, settings = (
        hospital("dogwood"),
        (Setting(), Setting(dial=0.0), Setting(without=("body.rim",)), Setting(scores={"body.rim": 2.0})),
    )
    first, *others = (film_set(where, "test", **SMALL, setting=setting) for setting in settings)
    assert len(cache_files(empty_cache)) == len(settings)
    for other in others:
        np.testing.assert_array_equal(other.anatomical_deg, first.anatomical_deg)
        np.testing.assert_array_equal(other.mirrored, first.mirrored)
        assert (other.films != first.films).any((1, 2)).all()
    np.testing.assert_array_equal(others[1].landmarks_px, first.landmarks_px)  # a rim moves no landmark
    assert film_set(where, "test", **SMALL) == first


def test_the_first_films_are_the_same_for_any_number_of_them_at_any_dial():
    every = draw(hospital("cedar"), "training", 0, 1, 48, setting=Setting(dial=2.0))
    assert draw(hospital("cedar"), "training", 0, 1, 48, n=3, setting=Setting(dial=2.0)) == every[:3]


def test_what_is_no_setting_is_refused():
    with pytest.raises(InputError, match="^setting: got 1.0; allowed: a Setting"):
        film_set(hospital("elm"), "test", n=1, long_side_px=32, setting=1.0)


# ---------------------------------------------------------------- the digest, and what is frozen


def other(value):
    """Another value of the same kind, a little smaller."""
    if isinstance(value, tuple):
        return other(value[0]), value[1]
    return not value if isinstance(value, bool) else value * 0.99 if value else 0.01


def test_the_digest_changes_with_every_number_of_a_hospital(monkeypatch):
    """Each scalar field of one hospital in turn."""
    plain, digests = hospital("fir"), [specification()]
    where = replace(plain, scanner=replace(plain.scanner, grid=2))  # so that it can be less
    changes = [
        {"implanted": 0.31},
        {"returning": 0.1},
        {"inverted": True},
        {"mirrored": 0.1},
        {"name": "gum"},
    ]
    changes += [{"mixture": {"healthy_adults": 1.0}}, {"patients": where.patients | {"test": 301}}]
    for part in ("scanner", "rater"):
        spec = getattr(where, part)
        changes += [{part: replace(spec, **{name: other(value)})} for name, value in vars(spec).items()]
    changed = [replace(where, **change) for change in changes]
    for where in changed:
        monkeypatch.setattr("lumbo.films.hospitals.hospitals", lambda where=where: {"fir": where})
        digests.append(specification())
    assert len(set(digests)) == len(digests) == 1 + 7 + len(fields(radiograph.Scanner)) + len(fields(Rater))


def test_the_digest_changes_with_the_cohorts_and_not_with_their_sources(other_cohorts):
    first = specification()
    other_cohorts(lambda table: table["healthy_adults"]["pi"].update(source="a better paper"))
    assert specification() == first == frozen()["today"]
    other_cohorts(lambda table: table["healthy_adults"]["pi"].update(mean=53.1))
    assert specification() != first and frozen()["today"] != first


def test_the_digest_changes_with_every_number_of_the_variety_and_not_with_its_texts(monkeypatch):
    plain, first = variety.factors(), specification()
    for name, spec in plain.items():
        for key, value in spec.items():
            changed = "another" if isinstance(value, str) else np.multiply(value, 0.9).tolist()
            monkeypatch.setattr(
                variety, "factors", lambda n=name, k=key, v=changed: plain | {n: plain[n] | {k: v}}
            )
            kept = key in ("title", "source") or changed == value
            assert (specification() == first) == kept, (name, key)


def test_the_digest_does_not_change_with_titles(monkeypatch):
    first = specification()
    renamed = {name: replace(where, title="A title") for name, where in hospitals().items()}
    monkeypatch.setattr("lumbo.films.hospitals.hospitals", lambda: renamed)
    assert specification() == first == frozen()["today"]


def test_the_films_are_those_that_were_frozen():
    """No number has changed since the films were calibrated: another number needs another version."""
    assert frozen()["specs"] == frozen()["today"]
    assert float(frozen()["version"].split()[0]) >= 2.0


# ---------------------------------------------------------------- malformed hospital files

FAULTS = [
    ("title", ABSENT),
    ("title", 7),
    ("title", " "),
    ("role", "partner"),
    ("role", ["participant"]),
    ("patients", 130),
    ("patients.test", ABSENT),
    ("patients.test", -1),
    ("patients.training", 130.5),
    ("patients.training", True),
    ("patients.exam", 10),
    ("mixture", {"healthy_adults": 0.5, "degenerative": 0.4}),
    ("mixture", {}),
    ("mixture.elves", 0.1),
    ("mixture.healthy_adults", "0.4"),
    ("mixture.healthy_adults", 1.4),
    ("mixture.healthy_adults", float("nan")),
    ("implanted", 1.5),
    ("implanted", ABSENT),
    ("returning", 0.6),
    ("returning", ABSENT),
    ("returning", float("nan")),
    ("mirrored", -0.1),
    ("inverted", 1),
    ("inverted", "false"),
    ("colour", "blue"),
    ("scanner", ABSENT),
    ("scanner", 7),
    ("scanner.source_mm", "1300"),
    ("scanner.source_mm", 13),
    ("scanner.object_mm", 1000),
    ("scanner.slot", 0),
    ("scanner.shutters", 0.6),
    ("scanner.window", [0.1]),
    ("scanner.window", [0.1, 1.5]),
    ("scanner.window", [0.99, 0.03]),
    ("scanner.window", [0.5, 0.5]),
    ("scanner.photons", 0),
    ("scanner.cut", ABSENT),
    ("scanner.cut", 1.1),
    ("scanner.spread", 3.1),
    ("scanner.photons", float("inf")),
    ("scanner.gamma", 0.0),
    ("scanner.blur_mm", -0.1),
    ("scanner.scatter", ABSENT),
    ("scanner.kilovolts", 80),
    ("scanner.field_mm", 400),
    ("scanner.field_mm", [400]),
    ("scanner.field_mm", [400, "500"]),
    ("scanner.field_mm", [4, 500]),
    ("scanner.field_mm", [100, 100]),
    ("scanner.field_mm", [390, 330]),
    ("rater", ABSENT),
    ("rater.l1_mm", -1.0),
    ("rater.head_mm", ABSENT),
    ("rater.steeper_deg", 11),
    ("rater.mood", 1.0),
]


def test_every_field_has_a_planted_fault(table):
    faulty = {field.split(".")[0] for field, _ in FAULTS}
    assert faulty >= set(table)


@pytest.mark.parametrize(("field", "value"), FAULTS, ids=lambda v: "absent" if v is ABSENT else str(v))
def test_a_malformed_file_is_refused_in_one_line_that_names_the_field(field, value, table):
    with pytest.raises(InputError) as caught:
        check_hospital("gum", planted(table, field, value))
    assert caught.value.field == f"gum.{field}"
    assert "\n" not in str(caught.value) and "; allowed: " in str(caught.value)


LEAVES = [(key,) for key in ("title", "role", "implanted", "returning", "mirrored", "inverted")]
LEAVES += [("patients", split) for split in SPLITS]
LEAVES += [("mixture", name) for name in populations.cohort_names()]
LEAVES += [("scanner", field.name) for field in fields(radiograph.Scanner)]
LEAVES += [("rater", field.name) for field in fields(Rater)]
NONSENSE = st.one_of(
    st.none(), st.lists(st.none()), st.dictionaries(st.text(), st.none()), st.just(float("nan")),
    st.just(-(10**12)), st.text(string.ascii_lowercase, min_size=30), st.just(1e300), st.binary(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(LEAVES), value=NONSENSE)
def test_nonsense_in_any_field_is_refused_by_its_name(table, place, value):
    faulty = copy.deepcopy(table)
    *parents, key = place
    (faulty[parents[0]] if parents else faulty)[key] = value
    if place == ("title",) and isinstance(value, str):
        return  # any text is a title
    with pytest.raises(InputError) as caught:
        check_hospital("gum", faulty)
    assert caught.value.field == ".".join(("gum", *place)) and "\n" not in str(caught.value)


def test_a_patient_too_near_to_the_tube_is_refused(table):
    faulty = copy.deepcopy(table)
    faulty["scanner"] |= {"source_mm": 900, "object_mm": 450}
    with pytest.raises(InputError, match="^gum.scanner.object_mm: got 450; allowed: at least 500 mm"):
        check_hospital("gum", faulty)


def test_a_good_file_is_read_under_its_own_name(tmp_path):
    source = files("data_synth").joinpath("hospitals", "dogwood.toml").read_text()
    (tmp_path / "gum.toml").write_text(source)
    assert read_hospital(tmp_path / "gum.toml") == replace(hospital("dogwood"), name="gum")


@pytest.mark.parametrize(
    "content",
    [None, b"title = ", b"title = 'a'\ntitle = 'b'", b"\xff\xfe", b"[scanner\nphotons = 1"],
    ids=["missing", "no value", "twice", "not text", "torn"],
)
def test_an_unreadable_file_is_refused_in_one_line(content, tmp_path):
    if content is not None:
        (tmp_path / "gum.toml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_hospital(tmp_path / "gum.toml")
    assert caught.value.field == str(tmp_path / "gum.toml") and "\n" not in str(caught.value)
