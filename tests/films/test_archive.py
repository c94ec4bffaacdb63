"""What an archive holds is what was drawn; nothing is lost, mixed up or passed over in silence."""

import gc
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from lumbo import store
from lumbo.angles import ANGLES, LANDMARKS, lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import anatomy, archive, hospitals
from lumbo.films.archive import check, read_films, write_films
from lumbo.films.hospitals import CHUNK, FilmSet, hospital

ELM, FIR = hospital("elm"), hospital("fir")  # mirrored now and then, and inverted; a slot scanner
PX = 64
BOTH = ["png", "dicom"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two hospitals, one chunk and two films of each."""
    folder = tmp_path_factory.mktemp("archive") / "set"
    write_films(folder, [ELM, FIR], n=CHUNK + 2, long_side_px=PX)
    return folder


@pytest.fixture(scope="module")
def drawn():
    """The same films, drawn and never written."""
    chunks = [hospitals.draw(h, "test", 0, chunk, PX, bits=16) for h in (ELM, FIR) for chunk in (0, 1)]
    return hospitals.pool([chunk if i % 2 == 0 else chunk[:2] for i, chunk in enumerate(chunks)])


@pytest.fixture(scope="module")
def draw_once():
    """`hospitals.draw` that remembers: what is tested here is not the drawing."""
    plain, known = hospitals.draw, {}

    def draw(where, *asked, **options):
        key = where.name, *asked, *options.items()
        known[key] = known.get(key) or plain(where, *asked, **options)
        return known[key]

    return draw


@pytest.fixture
def small(tmp_path, monkeypatch, draw_once):
    """A function: write three films of one hospital into a folder of this test."""
    monkeypatch.setattr(hospitals, "draw", draw_once)

    def write(name="set", **options):
        write_films(tmp_path / name, [ELM], **{"n": 3, "long_side_px": 32} | options)
        return tmp_path / name

    return write


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(folder / "landmarks.csv"), pd.read_csv(folder / "angles.csv")


def points(table: pd.DataFrame, who: str = "") -> np.ndarray:
    columns = [f"{who}{name}_{axis}_px" for name in LANDMARKS for axis in "xy"]
    return table[columns].to_numpy().reshape(-1, 6, 2)


def pixels(folder: Path, form: str) -> np.ndarray:
    if form == "dicom":
        return np.stack([pydicom.dcmread(path).pixel_array for path in sorted(folder.glob("dicom/*.dcm"))])
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("png/*.png"))])


def headers(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("dicom/*.dcm"))]


# --------------------------------------------------------------- what is written


def test_a_set_is_what_the_docstring_lists(finished):
    found = {path.name for path in finished.iterdir()}
    assert found == {"films.json", "png", "dicom", "landmarks.csv", "angles.csv", "SHA256SUMS"}
    names = [f"{site}-test-0-{i:05}" for site in ("elm", "fir") for i in range(CHUNK + 2)]
    assert sorted(path.name for path in finished.glob("png/*")) == [f"{name}.png" for name in names]
    assert sorted(path.name for path in finished.glob("dicom/*")) == [f"{name}.dcm" for name in names]
    for table in tables(finished):
        assert list(table.film) == names


def test_what_was_drawn_is_read_again(finished, drawn):
    films = read_films(finished)
    for name in FilmSet.__dataclass_fields__:
        found, expected = getattr(films, name), getattr(drawn, name)
        assert found.shape == expected.shape, name
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=name)
    assert films.films.dtype == np.uint16


@pytest.mark.parametrize("form", BOTH)
def test_one_format_is_enough(small, form):
    folder = small(formats=[form])
    other = "png" if form == "dicom" else "dicom"
    assert (folder / form).is_dir() and not (folder / other).exists()
    drawn = hospitals.draw(ELM, "test", 0, 0, 32, bits=16)[:3]
    np.testing.assert_array_equal(read_films(folder).films, drawn.films)


def test_both_formats_hold_the_same_grey_levels(finished):
    np.testing.assert_array_equal(pixels(finished, "png"), pixels(finished, "dicom"))


def test_all_16_bits_are_used(finished):
    """A film of 8 bits, stretched, would have at most 256 levels."""
    for form in BOTH:
        stored = pixels(finished, form)
        assert stored.dtype == np.uint16
        assert all(len(np.unique(film)) > 1000 for film in stored)
        assert len(np.unique(stored & 255)) == len(np.unique(stored >> 8)) == 256
    for path in finished.glob("png/*"):  # bit depth 16, grey, in the PNG's own header
        assert path.read_bytes()[24:26] == bytes([16, 0])


SIDES = [(mirrored, inverted) for mirrored in (False, True) for inverted in (False, True)]


def test_a_landmark_lies_where_the_stored_film_shows_it(tmp_path, monkeypatch):
    """Films that are black but for one white pixel at a landmark, stored in all four ways."""
    spots = np.random.default_rng(0).integers(0, 26, (4, 6, 2)).astype(float)
    black = np.zeros((4, 32, 26), np.uint16)
    for film, (x, y) in zip(black, spots[:, 0].astype(int)):
        film[y, x] = 65535
    plain = hospitals.draw(ELM, "test", 0, 0, 32, bits=16)[:4]
    mirrored, inverted = np.array(SIDES).T
    degrees = lumbopelvic_angles(spots, "left")
    made = replace(plain, films=black, landmarks_px=spots, angles_deg=degrees)
    made = replace(made, mirrored=mirrored, inverted=inverted)
    monkeypatch.setattr(hospitals, "draw", lambda *_, **__: made)
    write_films(tmp_path, [ELM], n=4, long_side_px=32)
    table = tables(tmp_path)[0]
    assert list(table.facing) == ["left", "left", "right", "right"]
    assert list(table.photometric) == ["MONOCHROME2", "MONOCHROME1"] * 2
    for form in BOTH:
        for film, inverse, (x, y) in zip(pixels(tmp_path, form), inverted, points(table)[:, 0]):
            spot = film.argmin() if inverse else film.argmax()
            assert np.unravel_index(spot, film.shape) == (y, x)
    np.testing.assert_array_equal(read_films(tmp_path).films, black)
    np.testing.assert_array_equal(read_films(tmp_path).landmarks_px, spots)


def test_a_hidden_head_is_named_by_the_side_of_the_patient(tmp_path, monkeypatch):
    """However the film is stored: the left head stays the left one in a mirrored film."""
    sides = np.array([0, 1, 2, 1, 2, 0])
    plain = hospitals.draw(ELM, "test", 0, 0, 32, bits=16, n=6)
    made = replace(plain, hidden=sides, mirrored=np.arange(6) > 2)
    monkeypatch.setattr(hospitals, "draw", lambda *_, **__: made)
    write_films(tmp_path, [ELM], n=6, long_side_px=32, formats=["png"])
    landmarks, degrees = (
        pd.read_csv(path, keep_default_na=False) for path in sorted(tmp_path.glob("*.csv"))[::-1]
    )
    assert list(landmarks.hidden) == ["none", "left", "right", "left", "right", "none"]
    assert "hidden" not in degrees
    np.testing.assert_array_equal(read_films(tmp_path).hidden, sides)


@pytest.mark.parametrize("side", [-1, 3])
def test_a_head_that_is_neither_is_not_described(side):
    drawn = hospitals.draw(ELM, "test", 0, 0, 32, bits=16, n=2)
    with pytest.raises(InputError, match=r"^films.hidden\[1\]: got .*from 0 to 2"):
        archive.describe(replace(drawn, hidden=np.array([0, side])), "test", 0, 0)


@pytest.mark.parametrize("who", ["", "rated_"])
def test_stored_landmarks_give_the_stored_angles(finished, who):
    landmarks, degrees = tables(finished)
    for side in ("left", "right"):
        rows = landmarks.facing == side
        assert rows.any()
        found = lumbopelvic_angles(points(landmarks, who)[rows], side)
        stated = degrees.loc[rows, [f"{who}{name}_deg" for name in ANGLES]]
        np.testing.assert_allclose(found, stated, rtol=0, atol=1e-4)


def test_tables_agree_with_each_other(finished, drawn):
    landmarks, degrees = tables(finished)
    head = list(landmarks.columns[:9])
    assert head == list(degrees.columns[:9]) and landmarks[head].equals(degrees[head])
    np.testing.assert_allclose(
        degrees[[f"anatomical_{name}_deg" for name in ANGLES]], drawn.anatomical_deg, rtol=0, atol=1e-6
    )


def test_checksums_are_those_of_other_tools(finished):
    """Each line is what ``sha256sum`` writes, and every file has one."""
    lines = (finished / "SHA256SUMS").read_text().splitlines()
    found = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = contents(finished)
    del files["SHA256SUMS"]
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_the_same_question_gives_the_same_bytes(small):
    assert contents(small("one")) == contents(small("two"))


def test_another_seed_gives_other_patients(small):
    one, two = (read_films(small(f"seed {seed}", seed=seed)) for seed in (0, 1))
    assert not np.isclose(one.angles_deg, two.angles_deg).any()


# --------------------------------------------------------------------------- DICOM


def test_it_is_said_that_no_patient_exists(finished):
    for film in headers(finished):
        assert film.SyntheticData == "YES" and film.PatientIdentityRemoved == "YES"
        assert "Synthetic" in film.ImageComments and "Not for clinical use" in film.ImageComments
        assert str(film.PatientName).startswith("Synthetic") and film.BurnedInAnnotation == "NO"
    for path in finished.glob("png/*"):
        assert Image.open(path).text["Comment"] == archive.NOTE


def test_a_viewer_that_keeps_to_the_standard_shows_bone_bright(finished, drawn):
    """Applied by hand: P-values are inverted for MONOCHROME1, rows run towards P or A."""
    shown = []
    for film in headers(finished):
        values = film.pixel_array
        assert (film.PhotometricInterpretation, film.PresentationLUTShape) in {
            ("MONOCHROME1", "INVERSE"),
            ("MONOCHROME2", "IDENTITY"),
        }
        if film.PhotometricInterpretation == "MONOCHROME1":
            values = 65535 - values
        towards, down = film.PatientOrientation
        assert down == "F" and film.FieldOfViewHorizontalFlip == ("YES" if towards == "A" else "NO")
        shown.append(values if towards == "P" else values[:, ::-1])
    np.testing.assert_array_equal(np.stack(shown), drawn.films)


def test_grey_levels_say_how_they_follow_the_rays(finished):
    """Bone lets fewer rays pass: its values are high, sign -1, or in an inverted film low, sign 1."""
    signs = {
        film.PhotometricInterpretation: film.PixelIntensityRelationshipSign for film in headers(finished)
    }
    assert signs == {"MONOCHROME1": 1, "MONOCHROME2": -1}


def test_the_window_covers_every_level(finished):
    for film in headers(finished):
        assert (film.BitsAllocated, film.BitsStored, film.HighBit) == (16, 16, 15)
        assert film.PixelRepresentation == 0
        assert (film.WindowCenter, film.WindowWidth) == (32768, 65536)


WAYS = {
    "in the patient": lambda film: film.PixelSpacing,
    "on the detector, by the magnification": lambda film: (
        np.array(film.ImagerPixelSpacing) / film.EstimatedRadiographicMagnificationFactor
    ),
    "on the detector, by the distances": lambda film: (
        np.array(film.ImagerPixelSpacing) * film.DistanceSourceToPatient / film.DistanceSourceToDetector
    ),
}


@pytest.mark.parametrize("where", [ELM, FIR], ids=["cone", "slot"])
def test_distances_hold_in_the_median_plane_however_a_viewer_takes_them(tmp_path, monkeypatch, where):
    """The S1 plate of a pelvis that is not turned lies there: as long on the film as in the patient."""
    plain, kept = anatomy.spines, []

    def unturned(*asked):
        turned = plain(*asked)
        kept.append(replace(turned, pelvis_deg=0 * turned.pelvis_deg))
        return kept[-1]

    monkeypatch.setattr(anatomy, "spines", unturned)
    write_films(tmp_path, [where], n=3, long_side_px=PX, formats=["dicom"])
    plates_mm = kept[-1].landmarks_mm[:3, :2]
    assert (plates_mm[..., 1] == 0).all()
    lengths_mm = np.linalg.norm(plates_mm[:, 0] - plates_mm[:, 1], axis=1)
    for film, plate_px, length_mm in zip(headers(tmp_path), points(tables(tmp_path)[0]), lengths_mm):
        assert film.DistanceSourceToDetector == where.scanner.source_mm
        for way, spacing in WAYS.items():
            across, down = (plate_px[1] - plate_px[0]) * spacing(film)[::-1]
            assert np.hypot(across, down) == pytest.approx(length_mm, abs=1e-3), way


@pytest.mark.parametrize("name", ["東京", "köln", "straße 1", "NA", "007", "x" * hospitals.LONGEST_NAME])
def test_a_hospital_may_have_a_name_in_any_script(tmp_path, name):
    table = write_films(tmp_path, [replace(ELM, name=name)], n=1, long_side_px=32)
    film = headers(tmp_path)[0]
    assert film.PatientID == f"{name}-test-0-00000".upper()
    assert str(film.PatientName) == f"Synthetic^{film.PatientID}"
    assert film.InstitutionName == f"{name} (synthetic)" and film.SpecificCharacterSet == "ISO_IR 192"
    assert list(table.site) == list(read_films(tmp_path).site) == [name]


def test_identifiers_are_unique_and_lasting(finished, small):
    films = headers(finished)
    kinds = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
    found = [film[kind].value for film in films for kind in kinds]
    assert len(set(found)) == len(found) and all(pydicom.uid.UID(uid).is_valid for uid in found)
    one, two, larger = (small("one"), small("two", formats=["dicom"], n=2), small("larger", long_side_px=64))
    uids = [[film.SOPInstanceUID for film in headers(folder)] for folder in (one, two, larger)]
    assert uids[0][:2] == uids[1] and not set(uids[0]) & set(uids[2])


def test_a_patient_who_comes_back_keeps_the_number(tmp_path):
    returning = replace(hospital("aspen"), returning=0.5)
    write_films(tmp_path, [returning], "training", 3, n=4, long_side_px=32)
    films = headers(tmp_path)
    assert [film.PatientID[-5:] for film in films] == ["00000", "00000", "00002", "00002"]
    assert films[0].PatientID == "ASPEN-TRAINING-3-00000"
    assert [film.StudyDate for film in films] == ["20250101", "20260101"] * 2
    assert len({film.StudyInstanceUID for film in films}) == 4


def test_the_view_is_named(finished):
    """The tube stands on the patient's left, so the right side is next to the detector."""
    for film in headers(finished):
        assert (film.Modality, film.BodyPartExamined, film.ViewPosition) == ("DX", "LSPINE", "RL")
        assert film.ViewCodeSequence[0].CodeMeaning == "right lateral"
        assert film.AnatomicRegionSequence[0].CodeMeaning == "Lumbar spine"
        assert film.PatientOrientationCodeSequence[0].CodeMeaning == "erect"


def test_pydicom_finds_nothing_to_object_to(small, monkeypatch):
    """No value too long, of a wrong kind or under an unknown name, as written and as read."""
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(pydicom.config.settings, mode, pydicom.config.RAISE)
    monkeypatch.setattr(pydicom.config, "INVALID_KEYWORD_BEHAVIOR", "RAISE")
    for film in headers(small()):
        assert all(element.value is not None for element in film.iterall())


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="no dciodvfy (dicom3tools)")
def test_the_standard_allows_it(finished):
    """dciodvfy knows the modules of a DX image; versions before 2023 do not know Synthetic Data."""
    kinds = tables(finished)[0].drop_duplicates(["site", "facing"]).film
    assert len(kinds) == 3
    for path in (finished / "dicom" / f"{film}.dcm" for film in kinds):
        said = subprocess.run(["dciodvfy", "-filename", path], capture_output=True, text=True)
        lines = (said.stdout + said.stderr).splitlines()
        assert any("DXImageForPresentation" in line for line in lines)
        assert [line for line in lines if "Error" in line and "(0x0008,0x001c)" not in line] == []


# ------------------------------------------------------- ended midway, and resumed


class Stop(BaseException):
    """Nothing in the package catches it."""


def break_at(patch, step, count, problem):
    """Let the disk work `count` times, then fail."""
    plain, calls = getattr(store.os, step), iter(range(10**6))

    def faulty(*arguments):
        if next(calls) == count:
            raise problem
        return plain(*arguments)

    patch.setattr(store.os, step, faulty)


WRITES = 1 + 3 * 2 + 1 + 2 + 1  # films.json, films, the chunk, tables, checksums


@pytest.mark.parametrize("step", ["replace", "fsync"])
@pytest.mark.parametrize("count", range(WRITES))
def test_stopped_at_any_write_it_goes_on(small, tmp_path, monkeypatch, step, count):
    whole = contents(small("whole"))
    with monkeypatch.context() as patch, pytest.raises(Stop):
        break_at(patch, step, count, Stop())
        small()
    assert not (tmp_path / "set" / "SHA256SUMS").exists()
    with pytest.raises(InputError, match="the same command completes it"):
        read_films(tmp_path / "set")
    assert contents(small()) == whole


@pytest.mark.parametrize("count", range(0, WRITES, 3))
def test_a_full_disk_is_named_and_nothing_is_lost(small, tmp_path, monkeypatch, count):
    with monkeypatch.context() as patch:
        break_at(patch, "fsync", count, OSError(28, "No space left on device"))
        with pytest.raises(InputError, match="No space left on device.*a disk with room") as caught:
            small()
    assert str(tmp_path / "set") in caught.value.field
    assert contents(small()) == contents(small("whole"))


def test_the_writes_are_counted_right(small, monkeypatch):
    calls = []
    monkeypatch.setattr(
        store.os, "replace", lambda *pair, plain=os.replace: calls.append(pair) or plain(*pair)
    )
    small()
    assert len(calls) == WRITES


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_killed_between_two_films_it_goes_on(finished, tmp_path, root, monkeypatch):
    """The process dies with a draft on disk, in the third chunk; the first two are not drawn again."""
    writer = (
        "import os, signal, sys; from lumbo import store\nfrom lumbo.films import archive, hospitals\n"
        "plain, calls, me = store.os.fsync, iter(range(10**6)), os.getpid()\n"
        "store.os.fsync = lambda f: os.kill(me, signal.SIGKILL) if next(calls) == 200 else plain(f)\n"
        "sites = [hospitals.hospital(name) for name in ('elm', 'fir')]\n"
        f"archive.write_films(sys.argv[1], sites, n={CHUNK + 2}, long_side_px={PX})"
    )
    killed = subprocess.run([sys.executable, "-c", writer, str(tmp_path / "set")], cwd=root)
    assert killed.returncode == -signal.SIGKILL
    left = contents(tmp_path / "set")
    assert any(Path(name).name.startswith(".") for name in left) and "SHA256SUMS" not in left
    plain, drawn = hospitals.draw, []
    monkeypatch.setattr(hospitals, "draw", lambda *a, **k: drawn.append((a[0].name, a[3])) or plain(*a, **k))
    write_films(tmp_path / "set", [ELM, FIR], n=CHUNK + 2, long_side_px=PX)
    assert contents(tmp_path / "set") == contents(finished)
    assert drawn == [("fir", 0), ("fir", 1)]


def without(line, field):
    """Remove a line of a table, or a field of each line."""

    def cut(content: bytes) -> bytes:
        lines = [row.split(b",") for i, row in enumerate(content.splitlines()) if i != line]
        return b"\n".join(b",".join(cells[:field] + cells[field + 1 :]) for cells in lines) + b"\n"

    return cut


DAMAGES = {
    "a row that is lost": ("parts/elm-00000.csv", without(3, 10**6)),
    "a column that is lost": ("parts/elm-00000.csv", without(None, 40)),
    "another digit": ("parts/elm-00000.csv", lambda whole: whole.replace(b"left,", b"LEFT,")),
    "no table": ("parts/elm-00000.csv", lambda whole: b"\xff\n\x00"),
    "nothing": ("parts/elm-00000.csv", lambda whole: b""),
    "a seal of nothing": (
        "parts/elm-00000.csv",
        lambda whole: hashlib.sha256(b"").hexdigest().encode() + b"\n",
    ),
    "a film that is lost": ("png/elm-test-0-00001.png", None),
    "a film of another": ("dicom/elm-test-0-00001.dcm", lambda whole: whole.replace(b"ELM", b"FIR")),
    "a film cut short": ("dicom/elm-test-0-00002.dcm", lambda whole: whole[:-2]),
}


def stop_before_tables(small, monkeypatch, **options):
    with monkeypatch.context() as patch, pytest.raises(Stop):
        break_at(patch, "replace", WRITES - 3, Stop())
        small(**options)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_between_two_runs_is_drawn_again(small, tmp_path, monkeypatch, damage):
    whole, (name, spoil) = contents(small("whole")), DAMAGES[damage]
    stop_before_tables(small, monkeypatch)
    path = tmp_path / "set" / name
    before = path.read_bytes()
    path.unlink() if spoil is None else path.write_bytes(spoil(before))
    assert spoil is None or path.read_bytes() != before
    assert contents(small()) == whole


def test_rows_of_another_set_are_not_taken(small, tmp_path, monkeypatch):
    """Their seal is whole, but it is one for another question."""
    whole = contents(small("whole"))
    for name, seed in (("set", 0), ("other", 1)):
        stop_before_tables(small, monkeypatch, name=name, seed=seed)
    part = "parts/elm-00000.csv"
    shutil.copy(tmp_path / "other" / part, tmp_path / "set" / part)
    assert contents(small()) == whole


@pytest.mark.parametrize("count", range(WRITES))
def test_another_run_may_finish_the_set_at_any_write(small, tmp_path, monkeypatch, count):
    """It begins and ends while this one has a draft on disk, and tidies up behind itself."""
    whole, plain, calls = contents(small("whole")), os.replace, iter(range(10**6))

    def overtaken(*pair):
        if next(calls) == count:
            small()
        return plain(*pair)

    monkeypatch.setattr(store.os, "replace", overtaken)
    assert contents(small()) == whole


def test_two_runs_at_once_both_end_well(small, tmp_path):
    whole = contents(small("whole"))
    with ThreadPoolExecutor(3) as pool:
        for name in map(str, range(8)):
            for run in [pool.submit(small, name) for _ in range(3)]:
                assert run.result() == tmp_path / name
            assert contents(tmp_path / name) == whole


def test_a_run_that_wants_another_set_does_not_mix_with_this_one(small, tmp_path, monkeypatch):
    """Both began in an empty folder: the first to look again finds the other's question."""
    plain, calls = os.replace, iter(range(10**6))

    def overtaken(*pair):
        if next(calls) == 1:
            (tmp_path / "set" / "films.json").unlink()
            (tmp_path / "set" / "films.json").write_bytes(
                (small("other", seed=1) / "films.json").read_bytes()
            )
        return plain(*pair)

    monkeypatch.setattr(store.os, "replace", overtaken)
    with pytest.raises(InputError, match="films.json: seed: got 1; allowed: 0, as asked for"):
        small()
    assert not (tmp_path / "set" / "SHA256SUMS").exists()


def test_a_complete_set_is_left_alone(finished, monkeypatch):
    times = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    monkeypatch.setattr(hospitals, "draw", lambda *_, **__: pytest.fail("drawn again"))
    table = write_films(finished, [FIR, ELM], n=CHUNK + 2, long_side_px=PX, formats=["dicom", "png"])
    assert len(table) == 2 * (CHUNK + 2)
    assert times == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}


def test_progress_counts_films(tmp_path):
    seen = []
    options = {"n": CHUNK + 1, "long_side_px": 32, "formats": ["png"]}
    write_films(tmp_path, [ELM, FIR], **options, report=lambda *what: seen.append(what))
    total = 2 * (CHUNK + 1)
    done = [("elm", CHUNK), ("elm", CHUNK + 1), ("fir", 2 * CHUNK + 1), ("fir", total)]
    assert seen == [(site, films, total) for site, films in done]


def test_one_chunk_is_in_memory_at_a_time(tmp_path, monkeypatch):
    """What a chunk drew is gone when the next is drawn."""
    plain, earlier = hospitals.draw, []

    def watched(*arguments, **options):
        gc.collect()
        assert [ref for ref in earlier if ref() is not None] == []
        films = plain(*arguments, **options)
        earlier.append(weakref.ref(films.films))
        return films

    monkeypatch.setattr(hospitals, "draw", watched)
    write_films(tmp_path, [ELM], n=3 * CHUNK, long_side_px=32, formats=["png"])
    assert len(earlier) == 3


# ----------------------------------------------------------------- what is refused

OTHERS = {
    "seed": {"seed": 1},
    "split": {"split": "validation"},
    "sites": {"n": 4},
    "long_side_px": {"long_side_px": 64},
    "formats": {"formats": ["png"]},
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_folder_takes_no_other_set(small, field):
    folder = small()
    before = contents(folder)
    with pytest.raises(InputError, match="or choose another folder") as caught:
        small(**OTHERS[field])
    assert caught.value.field.startswith(str(folder / "films.json"))
    assert caught.value.field.split()[-1] in (field, "sites")
    assert contents(folder) == before


def test_a_hospital_that_changed_is_another_set(small, tmp_path):
    folder = small()
    changed = replace(ELM, scanner=replace(ELM.scanner, blur_mm=ELM.scanner.blur_mm + 0.1))
    with pytest.raises(InputError, match="films.json: sites"):
        write_films(folder, [changed], n=3, long_side_px=32)


def test_a_folder_of_somebody_else_is_left_alone(small, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "landmarks.csv").write_text("mine")
    with pytest.raises(InputError, match="landmarks.csv.*a new or an empty folder"):
        small()
    assert contents(tmp_path / "set") == {"landmarks.csv": b"mine"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seed": 0}', "\x00"])
def test_a_spoilt_specification_is_named(small, text):
    folder = small()
    (folder / "films.json").write_text(text)
    with pytest.raises(InputError) as caught:
        small()
    assert str(folder / "films.json") in caught.value.field


@pytest.mark.parametrize(
    "options, field, allowed",
    [
        ({"split": "tset"}, "split", "one of training, validation, test"),
        ({"split": "training", "n": None}, "split", "one in which fir has patients"),
        ({"seed": -1}, "seed", "a whole number from 0"),
        ({"seed": 0.5}, "seed", "a whole number from 0"),
        ({"n": 0}, "n", "a whole number from 1"),
        ({"n": True}, "n", "a whole number from 1"),
        ({"n": 10**7}, "n", "to 1000000"),
        ({"long_side_px": 100}, "long_side_px", "a multiple of 16"),
        ({"long_side_px": 10**6}, "long_side_px", "a whole number from 32"),
        ({"formats": []}, "format", "at least one"),
        ({"formats": ["png", "png"]}, "format", "each once"),
        ({"formats": ["tiff"]}, "format", "one of png, dicom"),
        ({"formats": [["png"]]}, "format", "one of png, dicom"),
        ({"formats": "png"}, "format", "a list of png, dicom"),
        ({"formats": None}, "format", "a list of png, dicom"),
        ({"sites": []}, "hospital", "at least one"),
        ({"sites": [FIR, FIR]}, "hospital", "each once"),
        ({"sites": [FIR, replace(FIR, name="Fir")]}, "hospital", "each once"),
        ({"sites": FIR}, "sites", "hospitals in a list"),
        ({"sites": "fir"}, "sites", "hospitals in a list"),
        ({"sites": ["fir"]}, "sites\\[0\\]", "a Hospital, such as hospital"),
        ({"sites": [FIR, {}]}, "sites\\[1\\]", "a Hospital, such as hospital"),
        (
            {"sites": [replace(FIR, name="x" * 32)], "split": "validation", "seed": 10**9},
            "hospital",
            "letters",
        ),
        ({"report": None}, "report", "a function"),
        ({"split": ["test"]}, "split", "one of training"),
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_named(tmp_path, options, field, allowed):
    with pytest.raises(InputError, match=f"^{field}: .*{allowed}"):
        write_films(tmp_path / "set", **{"sites": [FIR], "n": 2} | options)
    assert not (tmp_path / "set").exists()


def test_numbers_of_numpy_are_numbers(small):
    numpys = {"seed": np.int64(0), "n": np.int32(3), "long_side_px": np.uint16(32)}
    assert contents(small("numpy", **numpys)) == contents(small())


@pytest.mark.parametrize("folder", [None, 3, b"films", "", "a\0b"], ids=repr)
@pytest.mark.parametrize("door", [lambda folder: write_films(folder, [FIR], n=1), read_films, check])
def test_a_folder_that_cannot_be_is_named(folder, door):
    with pytest.raises(InputError, match="^folder: .*a path"):
        door(folder)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(InputError, match="set: .*a folder that can be written to"):
        write_films(tmp_path / "set", [FIR], n=1)
    with pytest.raises(InputError, match="no such file"):
        read_films(tmp_path / "set")


FILM = np.zeros((32, 26), np.uint16)
WRONG_FILMS = [FILM[0], FILM.astype(np.uint8), FILM.astype(float), FILM.tolist(), FILM[:0], None]


@pytest.mark.parametrize("pixels", WRONG_FILMS, ids=str)
def test_only_films_of_16_bits_are_encoded(pixels):
    row = next(archive.describe(hospitals.draw(ELM, "test", 0, 0, 32, 16, n=1), "test", 0, 0).itertuples())
    for encode in (archive.png, lambda pixels: archive.dicom(pixels, row, ELM, "key")):
        with pytest.raises(InputError, match="^pixels: "):
            encode(pixels)


@pytest.mark.parametrize(
    "arguments, field",
    [
        ((np.zeros((2, 6, 3)), ["left"] * 2, 208), "landmarks_px"),
        ((np.full((2, 6, 2), np.nan), ["left"] * 2, 208), "landmarks_px"),
        ((np.zeros((2, 6, 2)), ["left", "Right"], 208), "facing"),
        ((np.zeros((2, 6, 2)), ["left"], 208), "facing"),
        ((np.zeros((2, 6, 2)), None, 208), "facing"),
        ((np.zeros((2, 6, 2)), ["left"] * 2, 0), "width_px"),
        ((np.zeros((2, 6, 2)), ["left"] * 2, 208.5), "width_px"),
    ],
)
def test_only_landmarks_of_films_are_mirrored(arguments, field):
    with pytest.raises(InputError) as caught:
        archive.mirror(*arguments)
    assert caught.value.field.startswith(field)


KINDS = [
    "films.json",
    "landmarks.csv",
    "angles.csv",
    "png/elm-test-0-00001.png",
    "dicom/elm-test-0-00002.dcm",
]


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_named(small, name):
    path = small() / name
    whole = path.read_bytes()
    middle = len(whole) // 2
    for spoilt in (whole[:-1], b"", whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(spoilt)
        with pytest.raises(InputError, match="a damaged file") as caught:
            read_films(path.parent if path.parent.name == "set" else path.parent.parent)
        assert caught.value.field == str(path)


@pytest.mark.parametrize("name", KINDS)
def test_a_complete_set_that_was_damaged_is_not_said_to_be_done(small, name):
    path = small() / name
    for spoilt in (path.read_bytes()[:-1], None):
        path.unlink() if spoilt is None else path.write_bytes(spoilt)
        with pytest.raises(InputError) as caught:
            small()
        assert caught.value.field in (str(path), str(path.parent))  # without films.json, it is any folder


def test_without_checksums_a_damaged_set_is_made_again(small):
    folder = small()
    whole = contents(folder)
    for name in KINDS[1:]:
        (folder / name).write_bytes(b"")
    (folder / "SHA256SUMS").unlink()
    assert contents(small()) == whole


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_file_is_named(small, name):
    folder = small()
    (folder / name).unlink()
    with pytest.raises(InputError, match="no such file") as caught:
        check(folder)
    assert caught.value.field == str(folder / name)


def test_a_checksum_that_is_missing_is_not_passed_over(small):
    folder = small()
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    for i in range(len(lines)):
        (folder / "SHA256SUMS").write_text("".join(lines[:i] + lines[i + 1 :]))
        with pytest.raises(InputError) as caught:
            check(folder)
        assert caught.value.field == str(folder / lines[i].split()[1])


LISTS = {
    "twice": lambda lines: [*lines, lines[3]],
    "no file": lambda lines: [*lines, ""],
    "another file": lambda lines: [*lines, f"{'0' * 64}  png/mine.png"],
    "a file elsewhere": lambda lines: [*lines, f"{'0' * 64}  ../films.json"],
    "capitals": lambda lines: [lines[0].upper(), *lines[1:]],
    "one space": lambda lines: [*lines[:-1], lines[-1].replace("  ", " ")],
    "a short sum": lambda lines: [*lines[:-1], lines[-1][1:]],
    "other signs": lambda lines: [*lines, "\0\N{REPLACEMENT CHARACTER}"],
}


@pytest.mark.parametrize("change", LISTS)
def test_checksums_list_the_files_and_nothing_else(small, change):
    path = small() / "SHA256SUMS"
    path.write_text("\n".join(LISTS[change](path.read_text().splitlines())) + "\n")
    for door in (check, read_films, lambda folder: small()):
        with pytest.raises(InputError) as caught:
            door(path.parent)
        assert caught.value.field.startswith(str(path))


# ---------------------------------------- what was changed, and its checksums with it


def renew(folder: Path) -> None:
    """Write the checksums of a set again, as ``sha256sum`` would."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    names = [line.split("  ")[1] for line in lines]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def put(row, column, value):
    """Put a text, or what a function makes of the text that was there, into a cell."""

    def change(table):
        cell = table.loc[row, column]
        table.loc[row, column] = value(cell) if callable(value) else value

    return change


def swap(table):
    table.loc[[0, 1]] = table.loc[[1, 0]].to_numpy()


def repeat(table):
    table.loc[1] = table.loc[0]


def more(table):
    table.loc[3] = table.loc[2]


def add(number):
    return lambda cell: f"{float(cell) + number:.6f}"


POINT, DEGREES = "s1_anterior_x_px", "SS_deg"
CHANGES = {
    "rows in another order": (swap, "landmarks", "row 1, film"),
    "rows in another order ": (swap, "angles", "row 1, film"),
    "a film twice": (repeat, "landmarks", "row 2, film"),
    "a row less": (lambda table: table.iloc[:2], "landmarks", "rows"),
    "a row more": (more, "angles", "rows"),
    "another side": (put(2, "facing", "Right"), "landmarks", "row 3, facing"),
    "no side": (put(2, "facing", ""), "angles", "row 3, facing"),
    "another grey": (put(0, "photometric", "MONOCHROME3"), "landmarks", "row 1, photometric"),
    "another head": (put(1, "hidden", "Left"), "landmarks", "row 2, hidden"),
    "a head by number": (put(1, "hidden", "1"), "landmarks", "row 2, hidden"),
    "no head": (put(1, "hidden", ""), "landmarks", "row 2, hidden"),
    "another site": (put(0, "site", "fir"), "landmarks", "row 1, site"),
    "another split": (put(0, "split", "training"), "landmarks", "row 1, split"),
    "another seed": (put(0, "seed", "1"), "angles", "row 1, seed"),
    "another patient": (put(0, "patient", "7"), "landmarks", "row 1, patient"),
    "half a patient": (put(1, "patient", "0.5"), "landmarks", "row 2, patient"),
    "a cohort that is not": (put(1, "cohort", "giants"), "landmarks", "row 2, cohort"),
    "no cohort": (put(1, "cohort", ""), "landmarks", "row 2, cohort"),
    "another cohort": (put(1, "cohort", "asymptomatic"), "angles", "row 2, cohort"),
    "another pixel": (put(1, "pixel_mm", add(0.1)), "angles", "row 2, pixel_mm"),
    "a negative pixel": (put(1, "pixel_mm", "-1.5"), "landmarks", "row 2, pixel_mm"),
    "no pixel": (put(1, "pixel_mm", "0"), "landmarks", "row 2, pixel_mm"),
    "no number": (put(1, "pixel_mm", "nan"), "landmarks", "row 2, pixel_mm"),
    "no landmark": (put(1, POINT, "NaN"), "landmarks", f"row 2, {POINT}"),
    "an infinite landmark": (put(1, POINT, "inf"), "landmarks", f"row 2, {POINT}"),
    "a huge landmark": (put(1, POINT, "1e99"), "landmarks", f"row 2, {POINT}"),
    "a landmark far off": (put(1, POINT, "-33.000000"), "landmarks", f"row 2, {POINT}"),
    "text": (put(1, POINT, "left"), "landmarks", f"row 2, {POINT}"),
    "nothing": (put(1, POINT, ""), "landmarks", f"row 2, {POINT}"),
    "a decimal comma": (put(1, POINT, "7,5"), "landmarks", f"row 2, {POINT}"),
    "a line under a number": (put(1, POINT, "1_1"), "landmarks", f"row 2, {POINT}"),
    "digits of another script": (put(1, POINT, "١"), "landmarks", f"row 2, {POINT}"),
    "another landmark": (put(1, POINT, add(0.001)), "angles", "row 2, SS_deg"),
    "another rated landmark": (put(1, f"rated_{POINT}", add(0.001)), "angles", "row 2, rated_SS_deg"),
    "another angle": (put(2, DEGREES, add(30)), "angles", "row 3, SS_deg"),
    "another rated angle": (put(2, "rated_LL_deg", add(-0.001)), "angles", "row 3, rated_LL_deg"),
    "an angle too large": (put(2, DEGREES, add(360)), "angles", "row 3, SS_deg"),
    "an angle that does not add up": (
        put(0, "anatomical_PI_deg", add(1)),
        "angles",
        "row 1, anatomical_PI_deg",
    ),
    "a column less": (lambda table: table.iloc[:, :-1], "angles", "header"),
    "a column more": (lambda table: table.insert(0, "index", "0"), "landmarks", "header"),
    "another column": (lambda table: table.insert(8, "pixel", table.pop("pixel_mm")), "landmarks", "header"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_cannot_be_is_refused_by_row_and_field(small, change):
    spoil, table, place = CHANGES[change]
    folder = small()
    name = "angles" if place.endswith("anatomical_PI_deg") else table
    if "landmark" in change and "another" in change:  # it is the other table that no longer fits
        name = "landmarks"
    path = folder / f"{name}.csv"
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    changed = spoil(cells)
    (cells if changed is None else changed).to_csv(path, index=False)
    renew(folder)
    with pytest.raises(InputError) as caught:
        read_films(folder)
    assert caught.value.field == f"{folder / table}.csv: {place}"


def test_a_change_in_both_tables_is_noticed(small):
    """Faced the other way, the landmarks give other angles."""
    folder = small()
    for name in ("landmarks.csv", "angles.csv"):
        (folder / name).write_text((folder / name).read_text().replace(",left,", ",right,"))
    renew(folder)
    with pytest.raises(InputError, match=r"angles.csv: row \d, .*_deg: .* as of its landmarks"):
        read_films(folder)


FILES = {
    "semicolons": (lambda text: text.replace(",", ";"), "header"),
    "a field more": (lambda text: text.replace("\n", ",\n").replace(",\n", "\n", 1), "row 1"),
    "a field less": (lambda text: text.rsplit(",", 1)[0], "row 3"),
    "an open quote": (lambda text: text + '"', None),
    "nothing": (lambda text: "", "header"),
    "a huge line": (lambda text: text + "0" * 10**6, None),
}


@pytest.mark.parametrize("change", FILES)
@pytest.mark.parametrize("name", ["landmarks.csv", "angles.csv"])
def test_a_file_that_is_no_such_table_is_refused(small, name, change):
    folder, (spoil, place) = small(), FILES[change]
    (folder / name).write_text(spoil((folder / name).read_text()))
    renew(folder)
    with pytest.raises(InputError) as caught:
        read_films(folder)
    assert caught.value.field == str(folder / name) + (f": {place}" if place else "")


def test_a_table_in_another_encoding_is_refused(small):
    path = small() / "angles.csv"
    path.write_bytes(path.read_text().encode("utf-16"))
    renew(path.parent)
    with pytest.raises(InputError, match="angles.csv: .*in UTF-8"):
        read_films(path.parent)


def asked(**changes):
    return lambda table: json.dumps(table | changes)


def elm(**changes):
    return lambda table: json.dumps(table | {"sites": {"elm": table["sites"]["elm"] | changes}})


QUESTIONS = {
    "not JSON": (lambda table: "films", ""),
    "no table": (lambda table: "[1]", ""),
    "nested": (lambda table: "[" * 10**5, ""),
    "a huge number": (lambda table: "9" * 5000, ""),
    "a field more": (asked(more=1), ".more"),
    "a field less": (lambda table: json.dumps({k: v for k, v in table.items() if k != "seed"}), ".seed"),
    "no note": (asked(note=""), ": note"),
    "a number for a version": (asked(films_version=1.0), ": films_version"),
    "a split that is not": (asked(split="tset"), ": split"),
    "a split in a list": (asked(split=["test"]), ": split"),
    "a seed below 0": (asked(seed=-1), ": seed"),
    "half a seed": (asked(seed=0.5), ": seed"),
    "a seed that is true": (asked(seed=True), ": seed"),
    "an odd size": (asked(long_side_px=33), ": long_side_px"),
    "a huge size": (asked(long_side_px=10**6), ": long_side_px"),
    "no size": (asked(long_side_px=None), ": long_side_px"),
    "no format": (asked(formats=[]), ": formats"),
    "a format as text": (asked(formats="png"), ": formats"),
    "a format that is not": (asked(formats=["png", "tiff"]), ": formats"),
    "a format twice": (asked(formats=["png", "png"]), ": formats"),
    "no sites": (asked(sites={}), ": sites"),
    "sites in a list": (asked(sites=["elm"]), ": sites"),
    "a site as a number": (asked(sites={"elm": 3}), ": sites.elm"),
    "a site elsewhere": (asked(sites={"../elm": {}}), ": sites.../elm"),
    "a site more": (elm(more=1), ": sites.elm.more"),
    "films below 0": (elm(films=-1), ": sites.elm.films"),
    "too many films": (elm(films=10**8), ": sites.elm.films"),
    "films as text": (elm(films="3"), ": sites.elm.films"),
    "no specification": (elm(specification=""), ": sites.elm.specification"),
}


@pytest.mark.parametrize("change", QUESTIONS)
def test_a_question_that_cannot_be_is_refused_by_field(small, change):
    spoil, place = QUESTIONS[change]
    path = small() / "films.json"
    path.write_text(spoil(json.loads(path.read_text())))
    renew(path.parent)
    for door in (read_films, check, lambda folder: small()):
        with pytest.raises(InputError) as caught:
            door(path.parent)
        assert caught.value.field == f"{path}{place}"


def test_more_films_than_there_are_need_a_checksum_each(small):
    path = small() / "films.json"
    path.write_text(path.read_text().replace('"films": 3', '"films": 1000000'))
    renew(path.parent)
    with pytest.raises(InputError, match="00003.png: got 'no checksum'"):
        check(path.parent)


def header(**changes):
    """Change the header of a PNG: bytes of its first chunk, which has a checksum of its own."""

    def change(path):
        content = path.read_bytes()
        fields = dict(zip(("width", "height", "bits", "colour"), struct.unpack(">IIBB", content[16:26])))
        first = b"IHDR" + struct.pack(">IIBB", *(fields | changes).values()) + content[26:29]
        path.write_bytes(content[:12] + first + struct.pack(">I", zlib.crc32(first)) + content[33:])

    return change


def image(*size, mode="I;16"):
    return lambda path: Image.new(mode, size).save(path)


def said(**changes):
    def change(path):
        film = pydicom.dcmread(path)
        for keyword, value in changes.items():
            setattr(film, keyword, value)
        film.save_as(path)

    return change


def deflated(path):
    """A film of 10 MB in 10 KB."""
    film = pydicom.dcmread(path)
    film.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    film.PixelData = bytes(10**7)
    film.save_as(path)


PICTURES = {
    "a huge PNG": ("png", header(width=60_000, height=60_000), ": height"),
    "a PNG of another size": ("png", image(26, 16), ": height"),
    "a PNG of another width": ("png", image(32, 32), ": width"),
    "a PNG of 8 bits": ("png", image(26, 32, mode="L"), ": bits"),
    "a PNG in colour": ("png", header(colour=2), ": colour type"),
    "a PNG cut short": ("png", lambda path: path.write_bytes(path.read_bytes()[:100]), ""),
    "no PNG": ("png", lambda path: path.write_bytes(b"P5 26 32 65535\n"), ""),
    "a large file": ("png", lambda path: path.write_bytes(path.read_bytes() + bytes(10**5)), ""),
    "a DICOM of another size": ("dicom", said(Rows=16), ": Rows"),
    "a huge DICOM": ("dicom", said(Columns=60_000), ": Columns"),
    "a DICOM of 8 bits": ("dicom", said(BitsAllocated=8), ": BitsAllocated"),
    "a DICOM with signs": ("dicom", said(PixelRepresentation=1), ": PixelRepresentation"),
    "a DICOM of other greys": (
        "dicom",
        said(PhotometricInterpretation="MONOCHROME2"),
        ": PhotometricInterpretation",
    ),
    "a deflated DICOM": ("dicom", deflated, ": TransferSyntaxUID"),
    "a DICOM without pixels": ("dicom", said(PixelData=b""), ""),
    "no DICOM": ("dicom", lambda path: path.write_bytes(bytes(1000)), ""),
    "nothing": ("dicom", lambda path: path.write_bytes(b""), ""),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", PICTURES)
def test_a_film_that_cannot_be_is_refused_before_it_is_decoded(small, change):
    form, spoil, place = PICTURES[change]
    folder = small(formats=[form])
    path = next(folder.glob(f"{form}/*-00001.*"))
    spoil(path)
    renew(folder)
    with pytest.raises(InputError) as caught:
        read_films(folder)
    assert caught.value.field == f"{path}{place}"


# --------------------------------------------------------------- the sample in git


@pytest.fixture(scope="module")
def sample(root):
    return root / "data_synth" / "sample"


def test_the_sample_is_whole_and_small(sample):
    """Drawn again by `make sample`: three films of every hospital, in both formats."""
    films = read_films(sample)
    assert list(films.site) == [name for name in hospitals.hospitals() for _ in range(3)]
    assert films.films.shape[1] == 256
    assert sum(len(content) for content in contents(sample).values()) <= 4_000_000
    np.testing.assert_array_equal(pixels(sample, "png"), pixels(sample, "dicom"))
    assert {film.SOPClassUID.name for film in headers(sample)} == {
        "Digital X-Ray Image Storage - For Presentation"
    }


def test_the_angles_of_the_sample_are_those_of_its_landmarks(sample):
    landmarks, degrees = tables(sample)
    for i, side in enumerate(landmarks.facing):
        for who in ("", "rated_"):
            stated = degrees.loc[i, [f"{who}{name}_deg" for name in ANGLES]].to_numpy(float)
            np.testing.assert_allclose(
                lumbopelvic_angles(points(landmarks, who)[i], side), stated, rtol=0, atol=1e-4
            )


def test_the_sample_is_of_the_films_that_the_book_draws(sample):
    """To one grey level of 255: exponentials differ in the last bits between processors."""
    stored = read_films(sample)
    asked = json.loads((sample / "films.json").read_text())
    for name, where in hospitals.hospitals().items():
        ours = stored[stored.site == name]
        drawn = hospitals.film_set(where, asked["split"], asked["seed"], 3, asked["long_side_px"])
        levels = np.round(ours.films / 257)  # 65535 / 255
        apart = float(abs(levels - drawn.films).max())
        assert apart <= 1, f"{name}: {apart} levels apart; `make sample` draws the sample again"
        np.testing.assert_allclose(ours.landmarks_px, drawn.landmarks_px, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.rated_angles_deg, drawn.rated_angles_deg, rtol=0, atol=1e-4)
