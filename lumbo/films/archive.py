"""Films as a hospital's archive holds them: 16-bit PNG and DICOM, with tables beside them.  Taught in four_hospitals.

An archive keeps a film as its room made it: some face right, some show bone dark.  A set is a folder::

    films.json              what was asked for; the folder takes nothing else
    png/NAME.png            grey levels as they are stored, 16 bit
    dicom/NAME.dcm          the same grey levels, with all that a viewer needs to show and measure them
    landmarks.csv           a row a film: landmarks, true and rated, in pixels of the stored film; which femoral
                            head of the patient, the left or the right, has its centre not on the film
    angles.csv              a row a film: angles on the film, as rated, and in the patient
    SHA256SUMS              written last: a set that has it is complete

Films are written a chunk at a time, so memory does not grow with the set.  Whatever ends a run, the
next one draws the chunks that are not whole and ends with the same bytes.  So do two runs at once.
"""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, PngImagePlugin
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.sr.codedict import codes
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from lumbo import store
from lumbo.angles import ANGLES, LANDMARKS, SIDES, hip_axis, measure, s1_midpoint
from lumbo.errors import InputError, array, choice, fields, instance, number, require, text, whole
from lumbo.films import hospitals, populations, radiograph
from lumbo.films.hospitals import CHUNK, MOST, FilmSet, Hospital

__all__ = [
    "FORMATS",
    "BITS",
    "NOTE",
    "SUMS",
    "write_films",
    "read_films",
    "check",
    "mirror",
    "describe",
    "png",
    "dicom",
]

FORMATS = {"png": "png", "dicom": "dcm"}  # folder, and ending of its files
BITS = 16  # all that DICOM's DX allows, so that both formats hold the same grey levels
NOTE = "Synthetic film: no patient exists. Not for clinical use."
SUMS = "SHA256SUMS"

_HEAD = ["film", "site", "split", "seed", "patient", "cohort", "facing", "photometric", "pixel_mm"]
_POINTS = [[f"{who}{name}_{axis}_px" for name in LANDMARKS for axis in "xy"] for who in ("", "rated_")]
_DEGREES = [[f"{who}{name}_deg" for name in ANGLES] for who in ("", "rated_", "anatomical_")]
_TABLES = {"landmarks.csv": ["hidden", *chain(*_POINTS)], "angles.csv": [*chain(*_DEGREES)]}
_PHOTOMETRIC = ("MONOCHROME2", "MONOCHROME1")  # bone bright, bone dark
_HIDDEN = ("none", "left", "right")  # what `FilmSet.hidden` counts
_ROW, _SUMS = 2000, 2**28  # bytes at most, of a row of a table and of the checksums


def write_films(
    folder: Path,
    sites: Sequence[Hospital],
    split: str = "test",
    seed: int = 0,
    n: int | None = None,
    long_side_px: int = 256,
    formats: Sequence[str] = tuple(FORMATS),
    report: Callable[[str, int, int], None] = lambda site, done, total: None,
) -> pd.DataFrame:
    """Write the films of one split of some hospitals, or what a folder still lacks of them.

    Parameters
    ----------
    folder : new, empty, or holding a part of the same set
    n : films of each hospital, by default as many as it has;  split, seed, long_side_px : as in `film_set`
    formats : "png", "dicom" or both
    report : called with (hospital, films written, films in all) after each chunk

    Returns
    -------
    The table of angles, a row a film.

    Raises
    ------
    InputError
        An option that cannot be, a folder that holds something else, a complete set that was damaged,
        or a disk that refuses a file.
    """
    folder, sites = store.checked_path(folder, "folder"), _hospitals(sites)
    require(callable(report), "report", report, "a function of a hospital, films written and films in all")
    asked = _claim(folder, _ask(sites, split, seed, n, long_side_px, formats))
    if not (folder / SUMS).exists():
        try:
            _write(folder, asked, sites, report)
        except InputError:
            if not (folder / SUMS).exists():  # or another run was faster, and took away what this one used
                raise
    check(folder)
    _tidy(folder)
    return _table(folder, "angles.csv", asked)


def read_films(folder: Path) -> FilmSet:
    """Read a complete set: canonical again, facing left and bone bright; films are uint16.

    Raises `InputError` naming the file that is missing, not as it was written, or not as it can be.
    """
    folder = store.checked_path(folder, "folder")
    check(folder)
    asked = _asked(folder)
    form, shape = asked["formats"][0], radiograph.canvas(asked["long_side_px"])
    points, degrees = (_table(folder, name, asked) for name in _TABLES)
    _check_heads(folder, points, degrees)
    facing, inverted = points.facing.to_numpy(str), (points.photometric == _PHOTOMETRIC[1]).to_numpy()
    true, rated = (
        mirror(points[columns].to_numpy().reshape(-1, len(LANDMARKS), 2), facing, shape[1])
        for columns in _POINTS
    )
    angles_deg, rated_angles_deg, anatomical_deg = (degrees[columns].to_numpy() for columns in _DEGREES)
    _check_angles(folder, true, degrees[_DEGREES[0]])
    _check_angles(folder, rated, degrees[_DEGREES[1]])
    _check_sums(folder, degrees[_DEGREES[2]])
    stored = np.stack([_film(_file(folder, form, row.film), form, row, shape) for row in points.itertuples()])
    return FilmSet(
        films=radiograph.canonical(stored, facing, inverted),
        landmarks_px=true,
        rated_landmarks_px=rated,
        angles_deg=angles_deg,
        rated_angles_deg=rated_angles_deg,
        anatomical_deg=anatomical_deg,
        pixel_mm=points.pixel_mm.to_numpy(),
        patient=points.patient.to_numpy(),
        mirrored=facing == "right",
        inverted=inverted,
        hidden=np.array([_HIDDEN.index(head) for head in points.hidden], int),
        site=points.site.to_numpy(str),
        cohort=points.cohort.to_numpy(str),
    )


def check(folder: Path) -> None:
    """Compare every file of a set with its checksum; raise `InputError` naming the first that differs."""
    folder = store.checked_path(folder, "folder")
    sums = _sums(folder)
    for name in _contents(folder):
        path = folder / name
        require(name in sums, str(path), "no checksum", f"a line in {SUMS}")
        _compare(path, sums.pop(name))
    for name in sums:
        raise InputError(str(folder / SUMS), f"a line for {name}", "lines for the files of the set")


def mirror(landmarks_px: np.ndarray, facing: np.ndarray, width_px: int) -> np.ndarray:
    """Move landmarks (n, 6, 2) between the canonical and the stored film, which may face right.

    >>> mirror(np.array([[[10.0, 30.0]], [[10.0, 30.0]]]), np.array(["left", "right"]), 208)[:, 0].tolist()
    [[10.0, 30.0], [197.0, 30.0]]
    """
    points = array("landmarks_px", landmarks_px, ("n", "m", 2))
    sides = [choice(f"facing[{i}]", side, SIDES) for i, side in enumerate(np.ravel(facing))]
    require(len(sides) == len(points), "facing", f"{len(sides)} sides", f"{len(points)}, as of landmarks_px")
    width_px = whole("width_px", width_px, 1)
    flipped = np.stack([width_px - 1 - points[..., 0], points[..., 1]], -1)
    return np.where((np.array(sides) == "right")[:, None, None], flipped, points)


def describe(films: FilmSet, split: str, seed: int, first: int) -> pd.DataFrame:
    """Tabulate films as they are stored, a row each; `first` numbers the first within its hospital."""
    instance("films", films, FilmSet, "what hospitals.draw returns")
    split, seed = choice("split", split, hospitals.SPLITS), whole("seed", seed, 0)
    numbers = range(whole("first", first, 0), first + len(films))
    facing = np.where(films.mirrored, "right", "left")
    points = [mirror(p, facing, films.films.shape[2]) for p in (films.landmarks_px, films.rated_landmarks_px)]
    degrees = [films.angles_deg, films.rated_angles_deg, films.anatomical_deg]
    names = [_name(site, split, seed, i) for site, i in zip(films.site, numbers)]
    photometric = np.where(films.inverted, *_PHOTOMETRIC[::-1])
    head = [names, films.site, split, seed, films.patient, films.cohort, facing, photometric, films.pixel_mm]
    hidden = [_HIDDEN[whole(f"films.hidden[{i}]", side, 0, 2)] for i, side in enumerate(films.hidden)]
    measured = np.concatenate([part.reshape(len(films), -1) for part in (*points, *degrees)], 1)
    columns = pd.DataFrame(measured, columns=[*chain(*_POINTS, *_DEGREES)])
    return pd.DataFrame(dict(zip(_HEAD, head)) | {"hidden": hidden}).join(columns)


def png(pixels: np.ndarray) -> bytes:
    """Encode one stored film (h, w), uint16, as a 16-bit PNG."""
    said, file = PngImagePlugin.PngInfo(), io.BytesIO()
    said.add_text("Comment", NOTE)
    Image.fromarray(_grey(pixels)).save(file, "png", pnginfo=said)
    return file.getvalue()


def dicom(pixels: np.ndarray, row, where: Hospital, key: str) -> Dataset:
    """Describe one stored film (h, w), uint16, as DICOM: Digital X-Ray Image Storage - For Presentation.

    row : of `describe`, from its ``itertuples``;  key : of the specification, so that no other film ever
        has the same identifiers

    The right side is next to the detector: a right lateral view, RL.  A film that faces right is the
    same view mirrored, and says so.  Distances measured in a viewer hold in the patient's median
    plane: the pixel spacing there is that of the detector over the magnification.
    """
    instance("where", where, Hospital, 'hospital("aspen")')
    text("key", key)
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.ImplementationClassUID = _uid("implementation")
    film.file_meta.ImplementationVersionName = "LUMBO"  # not pydicom's, which would change the bytes
    for keyword, value in (_subject(row, key) | _view(row) | _geometry(row, where) | _display(row)).items():
        setattr(film, keyword, value)
    film.set_pixel_data(_grey(pixels), row.photometric, BITS, generate_instance_uid=False)
    return film


# ------------------------------------------------------------------ DICOM


def _subject(row, key) -> dict:
    """Who and when: patient, study, series and instance; a follow-up film comes a year later."""
    patient = _name(row.site, row.split, row.seed, row.patient).upper()
    day = f"{2025 + int(row.film.split('-')[-1]) - row.patient}0101"
    return {
        "SpecificCharacterSet": "ISO_IR 192",  # UTF-8: a hospital may have a name in any script
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": _uid(key, row.film, "film"),
        "SeriesInstanceUID": _uid(key, row.film, "series"),
        "StudyInstanceUID": _uid(key, row.film, "study"),
        "SyntheticData": "YES",
        "PatientID": patient,
        "PatientName": f"{_SYNTHETIC}{patient}",
        "PatientBirthDate": "",
        "PatientSex": "",
        "QualityControlSubject": "YES",  # a phantom
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "Synthetic: no patient exists",
        **{f"{event}Date": day for event in ("Study", "Series", "Acquisition", "Content")},
        **{f"{event}Time": "120000" for event in ("Study", "Series", "Acquisition", "Content")},
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "StudyID": "1",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "Manufacturer": "lumbo (simulated)",
        "InstitutionName": f"{row.site} (synthetic)",
        "ImageComments": NOTE,
    }


_SYNTHETIC, _LETTERS = "Synthetic^", 64  # the family name of all patients; what DICOM allows a name to have


def _view(row) -> dict:
    """What is shown, from where: the standing lumbar spine, from the patient's left."""
    mirrored = row.facing == "right"
    return {
        "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION",
        "StudyDescription": "Lumbar spine, lateral, standing (synthetic)",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BodyPartExamined": "LSPINE",
        "AnatomicRegionSequence": [_code(codes.cid4009.LumbarSpine)],
        "ImageLaterality": "U",  # the spine is unpaired
        "ViewPosition": "RL",
        "ViewCodeSequence": [_code(codes.cid4010.RightLateral)],
        "PatientOrientationCodeSequence": [_code(codes.cid19.Erect)],
        "PatientOrientation": ["A" if mirrored else "P", "F"],  # where rows and columns of pixels go
        "FieldOfViewOrigin": ["0", "0"],
        "FieldOfViewRotation": "0",
        "FieldOfViewHorizontalFlip": "YES" if mirrored else "NO",
        "AcquisitionContextSequence": [],
    }


def _geometry(row, where) -> dict:
    """Distances, and what a pixel measures in the median plane and, magnified, on the detector.

    A slot scanner's film is scaled to the median plane already.  Its pixels are told as they would be
    on the detector all the same, as real ones do: whoever divides by the magnification is right.
    """
    room = where.scanner
    to_patient_mm = room.source_mm - room.object_mm
    magnified = room.source_mm / to_patient_mm
    in_patient_mm = row.pixel_mm / radiograph.magnification(0.0, room)[1]
    return {
        "DistanceSourceToDetector": _decimal(room.source_mm),
        "DistanceSourceToPatient": _decimal(to_patient_mm),
        "EstimatedRadiographicMagnificationFactor": _decimal(magnified),
        "PositionerType": "",
        "DetectorType": "",
        "ImagerPixelSpacing": [_decimal(in_patient_mm * magnified)] * 2,
        "PixelSpacing": [_decimal(in_patient_mm)] * 2,
        "PixelSpacingCalibrationType": "GEOMETRY",
        "PixelSpacingCalibrationDescription": "Known distances; holds in the median plane",
    }


def _display(row) -> dict:
    """How stored values become grey: the whole range; inverted films keep bone dark in the file only."""
    inverted = row.photometric == "MONOCHROME1"
    return {
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1 if inverted else -1,  # higher values: more, or less, X-rays
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "RescaleType": "US",
        "PresentationLUTShape": "INVERSE" if inverted else "IDENTITY",
        "WindowCenter": str(2 ** (BITS - 1)),
        "WindowWidth": str(2**BITS),
        "BurnedInAnnotation": "NO",  # a lead letter names no patient
        "LossyImageCompression": "00",
    }


def _code(concept) -> Dataset:
    """Put a coded concept into the item of a sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = concept[:3]
    return item


def _decimal(value: float) -> str:
    """Write a number as DICOM's decimal string, at most 16 characters."""
    return f"{value:.6f}"


def _uid(*parts: str) -> UID:
    """Derive an identifier from texts; the same texts give the same one."""
    return generate_uid(entropy_srcs=["/".join(("lumbo", *parts))])


def _dicom_bytes(pixels, row, where, key) -> bytes:
    file = io.BytesIO()
    dicom(pixels, row, where, key).save_as(file, enforce_file_format=True)
    return file.getvalue()


def _grey(pixels: Any) -> np.ndarray:
    """Return the pixels of a film that can be stored, or raise `InputError`."""
    fits = isinstance(pixels, np.ndarray) and pixels.ndim == 2 and pixels.size and pixels.dtype == np.uint16
    require(fits, "pixels", pixels, "a film (h, w) of uint16")
    return pixels


_ENCODE = {"png": lambda pixels, *_: png(pixels), "dicom": _dicom_bytes}


# ------------------------------------------------------------------ what is asked for


def _hospitals(sites: Any) -> list[Hospital]:
    """Return the hospitals in a list, or raise `InputError` naming what is none."""
    several = isinstance(sites, Iterable) and not isinstance(sites, str)
    require(several, "sites", sites, 'hospitals in a list, such as [hospital("aspen")]')
    return [instance(f"sites[{i}]", where, Hospital, 'hospital("aspen")') for i, where in enumerate(sites)]


def _ask(sites, split, seed, n, long_side_px, formats) -> dict:
    """Check what is asked for and write it down."""
    names = _each_once("hospital", [where.name for where in sites])
    choice("split", split, hospitals.SPLITS)
    seed, long_side_px = whole("seed", seed, 0), _long_side("long_side_px", long_side_px)
    counts = [where.patients[split] if n is None else whole("n", n, 1, MOST) for where in sites]
    require(any(counts), "split", split, f"one in which {', '.join(names)} has patients; or give n")
    for name, count in zip(names, counts):
        behind = len(_SYNTHETIC + _name("", split, seed, count))
        allowed = f"at most {_LETTERS - behind} letters: DICOM puts split, seed and number behind them"
        require(len(name.upper()) + behind <= _LETTERS, "hospital", name, allowed)
    return {
        "note": NOTE,
        "films_version": hospitals.frozen()["version"],
        "split": split,
        "seed": seed,
        "long_side_px": long_side_px,
        "formats": _formats("format", formats),
        "sites": {
            where.name: {"films": count, "specification": _key(where, long_side_px)}
            for where, count in zip(sites, counts)
        },
    }


def _key(where: Hospital, long_side_px: int) -> str:
    """Digest every number that shapes a hospital's films, and the source that draws and writes them."""
    films = hospitals.specification(), hospitals.CODE, hospitals.frozen()["version"]
    return store.content_key(*films, hospitals.numbers(where), long_side_px, _CODE)


def _each_once(field: str, names: list[str]) -> list[str]:
    """Return the names if there are some and no two are one to a file system, or in DICOM's capitals."""
    alike = {unicodedata.normalize("NFC", name).upper() for name in names}
    require(len(alike) == len(names) > 0, field, ",".join(names), "at least one, each once")
    return names


def _formats(field: str, formats: Any) -> list[str]:
    require(isinstance(formats, list | tuple), field, formats, f"a list of {', '.join(FORMATS)}")
    known = _each_once(field, [choice(field, form, FORMATS) for form in formats])
    return [form for form in FORMATS if form in known]


def _long_side(field: str, value: Any) -> int:
    try:
        return int(radiograph.canvas(value)[0])
    except InputError as error:  # named from where it stands
        raise InputError(field, value, error.allowed) from error


def _sites(field: str, table: Any) -> dict:
    """Check the hospitals in films.json."""
    _each_once(field, list(instance(field, table, dict)))
    for name, site in table.items():
        place = f"{field}.{name}"
        require(Path(name).name == name, place, name, "a name without a folder")
        fields(place, site, {"films", "specification"})
        whole(f"{place}.films", site["films"], 0, MOST)
        text(f"{place}.specification", site["specification"])
    return table


_ASKED: dict[str, Callable[[str, Any], Any]] = {
    "note": text,
    "films_version": text,
    "split": lambda field, value: choice(field, value, hospitals.SPLITS),
    "seed": lambda field, value: whole(field, value, 0),
    "long_side_px": _long_side,
    "formats": _formats,
    "sites": _sites,
}


def _asked(folder) -> dict:
    """Read what a folder was made for."""
    path = folder / "films.json"
    table = fields(str(path), store.read_json(path, "what `python -m lumbo films` wrote"), set(_ASKED))
    return {name: checked(f"{path}: {name}", table[name]) for name, checked in _ASKED.items()}


def _claim(folder, asked) -> dict:
    """Take a new or empty folder, or one for the same set, and return what it was made for."""
    path = store.make_folder(folder) / "films.json"
    others = sorted(other.name for other in folder.iterdir() if not other.name.startswith("."))
    if not path.exists():  # not asked before: another run may begin now
        require(not others, str(folder), f"a folder with {', '.join(others[:3])}", "a new or an empty folder")
        try:
            store.write_atomic(path, json.dumps(asked, indent=1).encode() + b"\n")
        except InputError:
            if not path.exists():  # or another run was faster, and tidied up
                raise
    found = _asked(folder)
    for name, value in asked.items():
        allowed = f"{value}, as asked for; or choose another folder"
        require(found[name] == value, f"{path}: {name}", found[name], allowed)
    return found


# ------------------------------------------------------------------ writing


def _write(folder, asked, sites, report) -> None:
    """Write all chunks, tables and checksums; go no further once another run has."""
    total, done = sum(site["films"] for site in asked["sites"].values()), 0
    for where in sites:
        for start in range(0, asked["sites"][where.name]["films"], CHUNK):
            if (folder / SUMS).exists():
                return
            done += _write_chunk(folder, asked, where, start)
            report(where.name, done, total)
    _finish(folder, _claim(folder, asked))


def _write_chunk(folder, asked, where, start) -> int:
    """Write the films of a chunk, then the rows that say they are whole; return how many."""
    split, seed, long_side_px = asked["split"], asked["seed"], asked["long_side_px"]
    count = min(CHUNK, asked["sites"][where.name]["films"] - start)
    if _is_whole(folder, asked, where.name, start):
        return count
    films = hospitals.draw(where, split, seed, start // CHUNK, long_side_px, bits=BITS, n=count)
    rows = describe(films, split, seed, start)
    stored = radiograph.present(films.films, rows.facing, films.inverted)
    key = asked["sites"][where.name]["specification"]
    for form in asked["formats"]:
        digests = []
        for pixels, row in zip(stored, rows.itertuples()):
            content = _ENCODE[form](pixels, row, where, key)
            store.write_atomic(_file(folder, form, row.film), content)
            digests.append(_digest(content))
        rows[form] = digests
    _write_part(folder, asked, where.name, start, rows)
    return count


def _is_whole(folder, asked, site, start) -> bool:
    """Tell whether a chunk's rows and all its films are as they were written."""
    try:
        rows = _read_part(folder, asked, site, start)
        for form in asked["formats"]:
            for film, digest in zip(rows.film, rows[form]):
                _compare(_file(folder, form, film), digest)
    except InputError:
        return False
    return True


def _write_part(folder, asked, site, start, rows) -> None:
    content = _csv(rows)
    seal = _seal(asked, site, start, content)
    store.write_atomic(_part(folder, site, start), f"{seal}\n".encode() + content)


def _read_part(folder, asked, site, start) -> pd.DataFrame:
    """Read the rows of a chunk, all cells as text; raise `InputError` where they are not as they were written."""
    path = _part(folder, site, start)
    seal, _, content = _content(path, _ROW * (CHUNK + 2)).partition(b"\n")
    whole_file = seal.decode("utf-8", "replace") == _seal(asked, site, start, content)
    require(whole_file, str(path), "a damaged file", "as it was written; the same command makes it again")
    return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def _seal(asked, site, start, content) -> str:
    """Digest the rows of a chunk with what was asked for: a seal holds for no other set and no other chunk."""
    return _digest(json.dumps([asked, site, start]).encode() + content)


def _finish(folder, asked) -> None:
    """Put the rows of all chunks into the two tables, and list the checksums of all files."""
    parts = [
        _read_part(folder, asked, name, start)
        for name, site in asked["sites"].items()
        for start in range(0, site["films"], CHUNK)
    ]
    rows = pd.concat(parts, ignore_index=True)
    sums = {"films.json": _digest((folder / "films.json").read_bytes())}
    for name, columns in _TABLES.items():
        content = _csv(rows[_HEAD + columns])
        store.write_atomic(folder / name, content)
        sums[name] = _digest(content)
    for form in asked["formats"]:
        sums |= {f"{form}/{film}.{FORMATS[form]}": digest for film, digest in zip(rows.film, rows[form])}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    store.write_atomic(folder / SUMS, lines.encode())


def _tidy(folder) -> None:
    """Remove what only an unfinished set needs, and the drafts of a run that was killed."""
    shutil.rmtree(folder / "parts", ignore_errors=True)
    for name in ("films.json", *_TABLES, SUMS, *(f"{form}/*" for form in FORMATS)):
        path = folder / name
        for draft in path.parent.glob(f".{path.name}.????????"):
            draft.unlink(missing_ok=True)


def _name(site, split, seed, i) -> str:
    """Name a film, or a patient, by its number within hospital, split and seed."""
    return f"{site}-{split}-{seed}-{i:05}"


def _file(folder, form, film) -> Path:
    return folder / form / f"{film}.{FORMATS[form]}"


def _part(folder, site, start) -> Path:
    return folder / "parts" / f"{site}-{start:05}.csv"


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, float_format="%.6f", lineterminator="\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ------------------------------------------------------------------ reading


def _films(asked) -> Iterator[tuple[str, str, int]]:
    """Go through the films that were asked for: name, hospital, number."""
    for site, spec in asked["sites"].items():
        for i in range(spec["films"]):
            yield _name(site, asked["split"], asked["seed"], i), site, i


def _contents(folder) -> Iterator[str]:
    """Name the files of a set but its checksums; the one that tells the films comes before the films."""
    yield from ("films.json", *_TABLES)
    asked = _asked(folder)
    for form in asked["formats"]:
        yield from (f"{form}/{film}.{FORMATS[form]}" for film, *_ in _films(asked))


def _sums(folder) -> dict[str, str]:
    """Read the checksums of a set, by the file's name."""
    path = folder / SUMS
    require(os.path.isfile(path), str(path), "no such file", "a complete set; the same command completes it")
    lines, sums = _content(path, _SUMS).decode("utf-8", "replace").removesuffix("\n").split("\n"), {}
    for i, line in enumerate(lines, 1):
        digest, gap, name = line[:64], line[64:66], line[66:]
        readable = re.fullmatch("[0-9a-f]{64}", digest) and gap == "  " and name not in sums
        require(readable, f"{path}: line {i}", line, "a checksum, two spaces and a file's name, each once")
        sums[name] = digest
    return sums


def _compare(path: Path, digest: str) -> None:
    """Raise `InputError` unless a file has this digest."""
    with _opened(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    allowed = f"the bytes that {SUMS} was made of; without {SUMS}, the same command makes the set again"
    require(found == digest, str(path), "a damaged file", allowed)


def _content(path: Path, most: int) -> bytes:
    with _opened(path, most) as file:
        return file.read()


def _opened(path: Path, most: float = inf) -> io.BufferedReader:
    """Open a file of at most so many bytes, or raise `InputError` naming it."""
    require(os.path.isfile(path), str(path), "no such file", "all files of the set")
    size = os.path.getsize(path)
    require(size <= most, str(path), f"{size} bytes", f"at most {most} bytes")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(str(path), error.strerror, "a file that can be read") from error


def _table(folder, name, asked) -> pd.DataFrame:
    """Read a table whose rows are those of the films, and in which every cell is what it may be."""
    path, columns, films = folder / name, _HEAD + _TABLES[name], list(_films(asked))
    header, *rows = _cells(path, _ROW * (len(films) + 1))
    for found, column in zip_longest(header, columns):
        require(found == column, f"{path}: header", found, column or "no further column")
    require(len(rows) == len(films), f"{path}: rows", len(rows), f"{len(films)}, as in films.json")
    values = []
    for i, (row, film) in enumerate(zip(rows, films), 1):
        place = f"{path}: row {i}"
        require(len(row) == len(columns), place, f"{len(row)} fields", f"{len(columns)}, as in the header")
        values.append(_values(place, dict(zip(columns, row)), film, asked))
    return pd.DataFrame(values)


def _cells(path: Path, most: int) -> list[list[str]]:
    """Read the lines of a table; there is one at least."""
    content = _content(path, most)
    try:
        return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(str(path), str(error), "a table with commas, in UTF-8") from error


def _values(place: str, cells: dict[str, str], film: tuple[str, str, int], asked: dict) -> dict:
    """Turn the texts of a row into values, or raise `InputError` naming the first that cannot be.

    A landmark may lie a film's long side outside the film; a patient who comes back had the film before.
    """
    name, site, i = film
    known = {"film": name, "site": site, "split": asked["split"], "seed": asked["seed"]}
    for column, value in known.items():
        require(cells[column] == str(value), f"{place}, {column}", cells[column], f"{value}, by films.json")
    side, found = asked["long_side_px"], {column: _real(cells[column]) for column in cells.keys() - known}
    limits = dict.fromkeys(chain(*_POINTS), (-side, 2 * side)) | dict.fromkeys(chain(*_DEGREES), (-360, 360))
    limits |= {"pixel_mm": (0.001, 100)}
    words = {"cohort": populations.cohort_names(), "facing": SIDES, "photometric": _PHOTOMETRIC}
    words |= {"hidden": _HIDDEN}
    return known | {
        "patient": whole(f"{place}, patient", found["patient"], max(i - 1, 0), i),
        **{
            column: choice(f"{place}, {column}", cells[column], words[column])
            for column in cells
            if column in words
        },
        **{
            column: number(f"{place}, {column}", found[column], *limits[column])
            for column in cells
            if column in limits
        },
    }


def _real(cell: str) -> str | int | float:
    """Return the number that a cell says in plain digits; the text, if it says none.

    >>> _real("7"), _real("-7.50"), _real("7,5"), _real("nan")
    (7, -7.5, '7,5', 'nan')
    """
    if re.fullmatch("[0-9]{1,15}", cell):
        return int(cell)
    return float(cell) if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,30})?(e-?[0-9]{1,2})?", cell) else cell


def _check_heads(folder, points: pd.DataFrame, degrees: pd.DataFrame) -> None:
    """Check that both tables say the same about each film."""
    for column in _HEAD:
        for i, (found, other) in enumerate(zip(degrees[column], points[column]), 1):
            field, allowed = f"{folder / 'angles.csv'}: row {i}, {column}", f"{other}, as in landmarks.csv"
            require(found == other, field, found, allowed)


def _check_angles(folder, points: np.ndarray, stated: pd.DataFrame) -> None:
    """Check that angles are those of the landmarks (n, 6, 2), facing left, as far as both are rounded.

    A plate turns by at most 1.5 units of the last place over its length, in radians.
    """
    lines = points[:, 0] - points[:, 1], points[:, 2] - points[:, 3], s1_midpoint(points) - hip_axis(points)
    lengths = np.stack([np.hypot(*line.T) for line in lines], 1)
    found, unit = measure(points, SIDES["left"]), 1e-6
    for i, row in enumerate(lengths, 1):
        apart = row.min() > unit
        require(apart, f"{folder / 'landmarks.csv'}: row {i}", "a point twice", "corners and heads apart")
    slack = unit + np.degrees(1.5 * unit * (1 / lengths).sum(1))
    for i, k in np.argwhere(abs(stated.to_numpy() - found) > slack[:, None]):
        field = f"{folder / 'angles.csv'}: row {i + 1}, {stated.columns[k]}"
        raise InputError(field, stated.iat[i, k], f"{found[i, k]:.6f}, as of its landmarks")


def _check_sums(folder, anatomical: pd.DataFrame) -> None:
    """Check that PI is PT + SS in the patient, too."""
    for i, (ss, pt, pi, _) in enumerate(anatomical.itertuples(index=False), 1):
        field = f"{folder / 'angles.csv'}: row {i}, {anatomical.columns[2]}"
        require(abs(pt + ss - pi) < 2e-6, field, pi, f"{pt + ss:.6f}, the sum of PT and SS")


def _film(path: Path, form: str, row, shape: tuple[int, int]) -> np.ndarray:
    """Read one stored film of this shape, uint16; what is no such film is refused before it is decoded."""
    with _opened(path, 3 * shape[0] * shape[1] + 2**16) as file:
        try:
            return _READ[form](file, row, shape)
        except InputError:
            raise
        except Exception as error:  # of Pillow or pydicom: a broken file may raise anything
            raise InputError(str(path), f"{type(error).__name__}: {error}", f"a film as {form}") from error


def _read_png(file: io.BufferedReader, row, shape: tuple[int, int]) -> np.ndarray:
    width, height, bits, colour = struct.unpack(">16xIIBB", file.read(26))
    found = {"height": height, "width": width, "bits": bits, "colour type": colour}
    _check_header(file.name, found, {"height": shape[0], "width": shape[1], "bits": BITS, "colour type": 0})
    return np.asarray(Image.open(file, formats=["PNG"]))


def _read_dicom(file: io.BufferedReader, row, shape: tuple[int, int]) -> np.ndarray:
    found = read_file_meta_info(file.name)  # on its own: what is deflated is inflated as soon as one reads on
    _check_header(file.name, found, {"TransferSyntaxUID": ExplicitVRLittleEndian})
    film = dcmread(file)
    wanted = {
        "Rows": shape[0],
        "Columns": shape[1],
        "BitsAllocated": BITS,
        "BitsStored": BITS,
        "SamplesPerPixel": 1,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": row.photometric,
    }
    _check_header(file.name, film, wanted)
    return np.frombuffer(film.PixelData, "<u2").reshape(shape)


def _check_header(path: str, found: Any, wanted: dict) -> None:
    """Check what a film says about its pixels."""
    for field, value in wanted.items():
        require(found.get(field) == value, f"{path}: {field}", found.get(field), str(value))


_READ: dict[str, Callable[..., np.ndarray]] = {"png": _read_png, "dicom": _read_dicom}
_CODE = store.content_key(sys.modules[__name__])
