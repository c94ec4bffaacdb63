"""Hospitals: what their files may say, and what the films drawn from them must keep."""

import copy
import itertools
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from importlib.resources import files

import numpy as np
import pytest

from lumbo import anatomy, radiograph
from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.hospitals import (
    SPLITS,
    FilmSet,
    check_hospital,
    film_set,
    hospital,
    hospitals,
    participants,
    pool,
    rate,
    read_hospital,
    specification,
    store_films,
)

CHUNK = 12
SMALL = {"n": 12, "long_side_px": 48}
ARRAYS = [field.name for field in fields(FilmSet)]


def rng(seed=0):
    return np.random.default_rng(seed)


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def cache_files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module", autouse=True)
def few_at_a_time(tmp_path_factory):
    """Patients are drawn a few together, which is quicker; so films go to a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lumbo.hospitals.CHUNK", CHUNK)
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


def test_four_participants_of_unequal_size_and_an_outsider():
    sizes = [h.patients["training"] for h in participants()]
    assert len(sizes) == 4 and sizes == sorted(sizes, reverse=True)
    np.testing.assert_allclose(np.array(sizes) / sizes[-1], [8, 4, 2, 1], rtol=0.05)
    assert abs(sum(sizes) - 2000) < 50
    outsiders = [h for h in hospitals().values() if h.role == "outsider"]
    assert outsiders and all(h.patients["training"] == h.patients["validation"] == 0 for h in outsiders)


def test_every_hospital_has_300_test_patients():
    assert min(h.patients["test"] for h in hospitals().values()) >= 300


def test_no_two_rooms_are_alike():
    for one, other in itertools.combinations(hospitals().values(), 2):
        assert one.scanner != other.scanner and one.mixture != other.mixture


def test_an_unknown_hospital_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="hospital: got 'fir'.*aspen.*elm"):
        hospital("fir")


def test_a_specification_cannot_be_changed_by_accident():
    with pytest.raises(FrozenInstanceError):
        hospital("elm").inverted = False


# ---------------------------------------------------------------- what film sets keep


@pytest.fixture(scope="module")
def some():
    """Films of every hospital, more than one chunk of the first."""
    return {
        h.name: film_set(h, "test", n=CHUNK + 6 if h.name == "aspen" else 20, long_side_px=48)
        for h in hospitals().values()
    }


def test_shapes_and_types(some):
    for name, films in some.items():
        n = len(films)
        assert films.films.shape == (n, 48, 39) and films.films.dtype == np.uint8
        assert films.landmarks_px.shape == films.rated_landmarks_px.shape == (n, 6, 2)
        assert films.angles_deg.shape == films.rated_angles_deg.shape == films.anatomical_deg.shape == (n, 4)
        assert films.pixel_mm.shape == (n,) and set(films.site) == {name}


def test_films_use_the_grey_scale(some):
    for films in some.values():
        assert (films.films.max((1, 2)) == 255).all() and (films.films.min((1, 2)) == 0).all()
        assert (films.films.std((1, 2)) > 40).all()


def test_angles_follow_from_their_own_landmarks_exactly(some):
    for films in some.values():
        np.testing.assert_array_equal(lumbopelvic_angles(films.landmarks_px, "left"), films.angles_deg)
        np.testing.assert_array_equal(
            lumbopelvic_angles(films.rated_landmarks_px, "left"), films.rated_angles_deg
        )
        for angles in (films.angles_deg, films.rated_angles_deg):
            np.testing.assert_array_equal(angles[:, 2], angles[:, 1] + angles[:, 0])


def test_film_angles_are_near_but_not_equal_to_anatomical_ones(some):
    for films in some.values():
        off = films.angles_deg - films.anatomical_deg
        np.testing.assert_allclose(off[:, [0, 3]], 0, atol=1e-9)
        assert 0 < abs(off[:, 1]).max() < 2.0


def test_ratings_are_not_the_truth(some):
    for films in some.values():
        assert (films.rated_landmarks_px != films.landmarks_px).all()


@pytest.mark.parametrize("name", hospitals())
def test_landmarks_lie_inside_the_film(name):
    """On 640 patients, without drawing them: inside the film, and inside the collimated field."""
    h = hospital(name)
    shares = list(h.mixture.values())
    angles = np.concatenate([anatomy.draw_angles(anatomy.cohort(who), round(640 * share), rng(1))
                             for who, share in zip(h.mixture, shares)])  # fmt: skip
    patients = anatomy.spines(angles, rng(2))
    shot = radiograph.aim(patients, h.scanner, 128, rng(3))
    points = radiograph.project(patients.landmarks_mm, h.scanner, shot)
    on_film = ((points >= 0) & (points <= [103, 127])).all((1, 2))
    in_field = (abs(points - [51.5, 63.5]) * shot.pixel_mm <= np.array(h.scanner.field_mm) / 2).all((1, 2))
    assert on_film.mean() >= 0.97 and in_field.mean() >= 0.97


def test_drawn_landmarks_lie_inside_the_film(some):
    inside = [((f.landmarks_px >= 0) & (f.landmarks_px <= [38, 47])).all((1, 2)) for f in some.values()]
    assert np.concatenate(inside).mean() >= 0.97


def test_every_film_faces_left_whatever_the_archive(some):
    for films in some.values():
        assert (films.landmarks_px[:, 0, 0] < films.landmarks_px[:, 1, 0]).all()


@pytest.mark.parametrize("name", hospitals())
def test_mean_angles_are_those_of_the_mixture(name):
    """Within 4.5 standard errors of the weighted means; cutting PI at its limits may add a quarter degree."""
    h = hospital(name)
    drawn = film_set(h, "test", n=128, long_side_px=32).anatomical_deg
    expected = np.zeros(4)
    for cohort, share in h.mixture.items():
        who = anatomy.cohort(cohort)
        pi, pt = who.pi["mean"], who.pt["at_mean_pi"]
        expected += share * np.array([pi - pt, pt, pi, who.ll["intercept"] + who.ll["slope"] * pi])
    assert (abs(drawn.mean(0) - expected) < 4.5 * drawn.std(0) / np.sqrt(len(drawn)) + 0.25).all()


# ---------------------------------------------------------------- raters, sides, polarity


@pytest.mark.parametrize("name", hospitals())
def test_raters_err_by_the_millimetres_of_their_file(name):
    h, n, pixel_mm = hospital(name), 4000, 3.5
    truth = rng(4).uniform(0, 100, (n, 6, 2))
    off_px = rate(truth, h, pixel_mm, rng(5)) - truth
    room = h.scanner
    off_mm = off_px * pixel_mm * (room.source_mm - room.object_mm) / room.source_mm  # back in the patient
    sd_mm = [h.rater.corner_mm] * 4 + [h.rater.head_mm] * 2
    assert (abs(off_mm.std(0) / np.array(sd_mm)[:, None] - 1) < 4.5 / np.sqrt(2 * n)).all()
    assert (abs(off_mm.mean(0)) < 4.5 * np.array(sd_mm)[:, None] / np.sqrt(n)).all()
    independent = np.corrcoef(off_mm.reshape(n, 12).T) - np.eye(12)
    assert abs(independent).max() < 5 / np.sqrt(n)


def test_rated_films_carry_that_error(some):
    """The same on films from the cache: landmarks of all hospitals, in units of their own SD."""
    errors = []
    for name, films in some.items():
        h = hospital(name)
        scale = radiograph.magnification(0.0, h.scanner) / films.pixel_mm[:, None, None]
        sd_mm = np.array([h.rater.corner_mm] * 4 + [h.rater.head_mm] * 2)[:, None]
        errors.append((films.rated_landmarks_px - films.landmarks_px) / scale / sd_mm)
    errors = np.concatenate(errors)
    assert abs(errors.std() - 1) < 4.5 / np.sqrt(2 * errors.size)


def test_corner_error_becomes_the_angle_error_of_chapter_1():
    """SD of SS is sqrt(2) sigma / d, of LL sqrt(2) times that, on plates of 35 mm."""
    h, mm = hospital("aspen"), radiograph.magnification(0.0, hospital("aspen").scanner)
    spine = np.array([[-17.5, 0], [17.5, 0], [-17.5, -180], [17.5, -180], [0, 118], [0, 118.0]])
    errors = lumbopelvic_angles(rate(np.repeat(spine[None] * mm, 20_000, 0), h, 1.0, rng(6)), "left").std(0)
    ss = np.degrees(np.sqrt(2) * h.rater.corner_mm / 35)
    pt = np.degrees(np.sqrt((h.rater.corner_mm**2 + h.rater.head_mm**2) / 2) / 118)
    np.testing.assert_allclose(errors, [ss, pt, np.hypot(ss, pt), np.sqrt(2) * ss], rtol=0.03)


@pytest.mark.parametrize("name", hospitals())
def test_stored_films_follow_the_archive_and_come_back(name, some):
    h, canonical = hospital(name), some[name].films
    films = np.tile(canonical[:1], (400, 1, 1))
    stored, anterior, inverted = store_films(h, films, rng(7))
    np.testing.assert_array_equal(radiograph.canonical(stored, anterior, inverted), films)
    assert set(inverted) == {h.inverted} and set(anterior) <= {"left", "right"}
    error = 4.5 * np.sqrt(h.mirrored * (1 - h.mirrored) / 400)
    assert abs((anterior == "right").mean() - h.mirrored) <= error
    if h.mirrored or h.inverted:
        assert (stored != films).any()


def test_films_do_not_tell_how_the_archive_stored_them():
    """Side and polarity are undone from the metadata: all archives give the same canonical films."""
    archives = [
        replace(hospital("dogwood"), mirrored=m, inverted=i)
        for m, i in itertools.product((0.0, 0.5, 1.0), (False, True))
    ]
    first, *others = (film_set(h, "test", **SMALL) for h in archives)
    assert all(equal(first, other) for other in others)


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
def test_the_first_films_are_the_same_for_any_number(some, n):
    assert equal(film_set(hospital("aspen"), "test", n=n, long_side_px=48), some["aspen"][:n])


def test_by_default_a_split_has_the_patients_of_its_hospital(empty_cache):
    small = replace(hospital("dogwood"), patients={"training": 3, "validation": 2, "test": 1})
    assert [len(film_set(small, split, long_side_px=32)) for split in SPLITS] == [3, 2, 1]


def test_splits_hospitals_and_seeds_share_no_patient_and_no_film(empty_cache):
    requests = itertools.product(participants(), SPLITS, (0, 1))
    parts = pool([film_set(h, split, seed, **SMALL) for h, split, seed in requests])
    assert len({film.tobytes() for film in parts.films}) == len(parts) == 24 * 12
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
    yield "rater", replace(base, rater=replace(base.rater, corner_mm=3.0)), "test", {}
    for field, value in {"source_mm": 1400, "field_mm": (380.0, 480.0), "photons": 2e5, "gamma": 0.9}.items():
        yield field, replace(base, scanner=replace(base.scanner, **{field: value})), "test", {}


def test_the_cache_is_keyed_by_everything_that_shapes_a_film(empty_cache):
    first, drawn = None, {}
    for what, h, split, options in changes():
        drawn[what] = film_set(h, split, **(SMALL | {"long_side_px": 32} | options))
        first = first or drawn[what]
        assert len(cache_files(empty_cache)) == len(drawn), what
        assert what in ("nothing", "n") or not equal(drawn[what], first), what


def test_the_cache_is_keyed_by_the_cohorts(empty_cache, monkeypatch):
    before = film_set(hospital("birch"), "test", n=2, long_side_px=32)
    other = copy.deepcopy(anatomy.statistics())
    other["adolescent_scoliosis"]["ll"]["intercept"] += 10.0
    digest = specification(32)
    monkeypatch.setattr(anatomy, "statistics", lambda: other)
    after = film_set(hospital("birch"), "test", n=2, long_side_px=32)
    np.testing.assert_allclose(after.anatomical_deg - before.anatomical_deg, [[0, 0, 0, 10]] * 2, atol=1e-9)
    assert specification(32) != digest


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("split", {"split": "exam"}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": 0.5}),
        ("n", {"n": -1}),
        ("n", {"n": 2.0}),
        ("long_side_px", {"long_side_px": 100}),
    ],
)
def test_impossible_requests_are_refused(field, options, empty_cache):
    with pytest.raises(InputError) as caught:
        film_set(hospital("elm"), **({"split": "test", "n": 1, "long_side_px": 32} | options))
    assert caught.value.field == field and not empty_cache.exists()


# ---------------------------------------------------------------- malformed hospital files

ABSENT = object()
FAULTS = [
    ("title", ABSENT),
    ("title", 7),
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
    ("mirrored", -0.1),
    ("inverted", 1),
    ("inverted", "false"),
    ("colour", "blue"),
    ("scanner", ABSENT),
    ("scanner", 7),
    ("scanner.source_mm", "1300"),
    ("scanner.source_mm", 13),
    ("scanner.object_mm", 1000),
    ("scanner.photons", 0),
    ("scanner.photons", float("inf")),
    ("scanner.gamma", 0.0),
    ("scanner.blur_mm", -0.1),
    ("scanner.scatter", ABSENT),
    ("scanner.kilovolts", 80),
    ("scanner.field_mm", 400),
    ("scanner.field_mm", [400]),
    ("scanner.field_mm", [400, "500"]),
    ("scanner.field_mm", [4, 500]),
    ("rater", ABSENT),
    ("rater.corner_mm", -1.0),
    ("rater.head_mm", ABSENT),
    ("rater.mood", 1.0),
]


def test_every_field_has_a_planted_fault(table):
    faulty = {field.split(".")[0] for field, _ in FAULTS}
    assert faulty >= set(table)


@pytest.mark.parametrize(("field", "value"), FAULTS, ids=lambda v: "absent" if v is ABSENT else str(v))
def test_a_malformed_file_is_refused_in_one_line_that_names_the_field(field, value, table):
    faulty = copy.deepcopy(table)
    *parents, key = field.split(".")
    place = faulty
    for parent in parents:
        place = place[parent]
    if value is ABSENT:
        del place[key]
    else:
        place[key] = value
    with pytest.raises(InputError) as caught:
        check_hospital("fir", faulty)
    assert caught.value.field == f"fir.{field}"
    assert "\n" not in str(caught.value) and "; allowed: " in str(caught.value)


def test_a_patient_too_near_to_the_tube_is_refused(table):
    faulty = copy.deepcopy(table)
    faulty["scanner"] |= {"source_mm": 900, "object_mm": 450}
    with pytest.raises(InputError, match="^fir.scanner.object_mm: got 450; allowed: at least 500 mm"):
        check_hospital("fir", faulty)


def test_a_good_file_is_read_under_its_own_name(tmp_path):
    source = files("data_synth").joinpath("hospitals", "dogwood.toml").read_text()
    (tmp_path / "fir.toml").write_text(source)
    assert read_hospital(tmp_path / "fir.toml") == replace(hospital("dogwood"), name="fir")


@pytest.mark.parametrize(
    "content",
    [None, b"title = ", b"title = 'a'\ntitle = 'b'", b"\xff\xfe", b"[scanner\nphotons = 1"],
    ids=["missing", "no value", "twice", "not text", "torn"],
)
def test_an_unreadable_file_is_refused_in_one_line(content, tmp_path):
    if content is not None:
        (tmp_path / "fir.toml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_hospital(tmp_path / "fir.toml")
    assert caught.value.field == "fir.toml" and "\n" not in str(caught.value)
