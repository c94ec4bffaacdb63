"""Films as a hospital's archive holds them: 16-bit PNG and DICOM, with tables beside them.  Taught in four_hospitals.

An archive keeps a film as its room made it: some face right, some show bone dark.  A set is a folder::

    films.json              what was asked for; the folder takes nothing else
    png/NAME.png            grey levels as they are stored, 16 bit
    dicom/NAME.dcm          the same grey levels, with all that a viewer needs to show and measure them
    landmarks.csv           a row a film: landmarks, true and rated, in pixels of the stored film
    angles.csv              a row a film: angles on the film, as rated, and in the patient
    SHA256SUMS              written last: a set that has it is complete

Films are written a chunk at a time, so memory does not grow with the set.  Whatever ends a run, the
next one goes on behind the last whole chunk and ends with the same bytes.
"""

import hashlib
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, PngImagePlugin
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from lumbo import store
from lumbo.angles import ANGLES, LANDMARKS
from lumbo.errors import InputError, fields, require, whole
from lumbo.films import hospitals, radiograph
from lumbo.films.hospitals import CHUNK, FilmSet, Hospital

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
_TABLES = {"landmarks.csv": [*chain(*_POINTS)], "angles.csv": [*chain(*_DEGREES)]}


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
        An option that cannot be, a folder that holds something else, or a disk that refuses a file.
    """
    folder = Path(folder)
    asked = _claim(folder, _ask(sites, split, seed, n, long_side_px, formats))
    if not (folder / SUMS).exists():
        total, done = sum(site["films"] for site in asked["sites"].values()), 0
        for where in sites:
            for start in range(0, asked["sites"][where.name]["films"], CHUNK):
                done += _write_chunk(folder, asked, where, start)
                report(where.name, done, total)
        _finish(folder, asked)
    _tidy(folder)
    return pd.read_csv(folder / "angles.csv")


def read_films(folder: Path) -> FilmSet:
    """Read a complete set: canonical again, facing left and bone bright; films are uint16.

    Raises `InputError` naming the file that is missing or not as it was written.
    """
    folder = Path(folder)
    check(folder)
    form = _asked(folder)["formats"][0]
    points, degrees = (pd.read_csv(folder / name) for name in _TABLES)
    facing, inverted = points.facing.to_numpy(str), (points.photometric == "MONOCHROME1").to_numpy()
    stored = np.stack([_READ[form](_file(folder, form, name)) for name in points.film])
    true, rated = (
        mirror(points[columns].to_numpy().reshape(-1, len(LANDMARKS), 2), facing, stored.shape[2])
        for columns in _POINTS
    )
    angles_deg, rated_angles_deg, anatomical_deg = (degrees[columns].to_numpy() for columns in _DEGREES)
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
        site=points.site.to_numpy(str),
        cohort=points.cohort.to_numpy(str),
    )


def check(folder: Path) -> None:
    """Compare every file of a set with its checksum; raise `InputError` naming the first that differs."""
    folder = Path(folder)
    path = folder / SUMS
    require(path.is_file(), str(path), "no such file", "a complete set; the same command completes it")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in _contents(folder):
        path = folder / name
        require(path.is_file(), str(path), "no such file", "all files of the set")
        whole_file = _digest(path.read_bytes()) == sums.get(name)
        require(whole_file, str(path), "a damaged file", f"the bytes that {SUMS} was made of")


def mirror(landmarks_px: np.ndarray, facing: np.ndarray, width_px: int) -> np.ndarray:
    """Move landmarks (n, 6, 2) between the canonical and the stored film, which may face right.

    >>> mirror(np.array([[[10.0, 30.0]], [[10.0, 30.0]]]), np.array(["left", "right"]), 208)[:, 0].tolist()
    [[10.0, 30.0], [197.0, 30.0]]
    """
    flipped = np.stack([width_px - 1 - landmarks_px[..., 0], landmarks_px[..., 1]], -1)
    return np.where((np.asarray(facing) == "right")[:, None, None], flipped, landmarks_px)


def describe(films: FilmSet, split: str, seed: int, first: int) -> pd.DataFrame:
    """Tabulate films as they are stored, a row each; `first` numbers the first within its hospital."""
    facing = np.where(films.mirrored, "right", "left")
    points = [mirror(p, facing, films.films.shape[2]) for p in (films.landmarks_px, films.rated_landmarks_px)]
    degrees = [films.angles_deg, films.rated_angles_deg, films.anatomical_deg]
    names = [f"{site}-{split}-{seed}-{first + i:05}" for i, site in enumerate(films.site)]
    photometric = np.where(films.inverted, "MONOCHROME1", "MONOCHROME2")
    head = [names, films.site, split, seed, films.patient, films.cohort, facing, photometric, films.pixel_mm]
    numbers = np.concatenate([part.reshape(len(films), -1) for part in (*points, *degrees)], 1)
    columns = [column for table in _TABLES.values() for column in table]
    return pd.DataFrame(dict(zip(_HEAD, head))).join(pd.DataFrame(numbers, columns=columns))


def png(pixels: np.ndarray) -> bytes:
    """Encode one stored film (h, w), uint16, as a 16-bit PNG."""
    said, file = PngImagePlugin.PngInfo(), io.BytesIO()
    said.add_text("Comment", NOTE)
    Image.fromarray(pixels).save(file, "png", pnginfo=said)
    return file.getvalue()


def dicom(pixels: np.ndarray, row, where: Hospital, key: str) -> Dataset:
    """Describe one stored film (h, w), uint16, as DICOM: Digital X-Ray Image Storage - For Presentation.

    row : of `describe`, from its ``itertuples``;  key : of the specification, so that no other film ever
        has the same identifiers

    The right side is next to the detector: a right lateral view, RL.  A film that faces right is the
    same view mirrored, and says so.  Distances measured in a viewer hold in the patient's median
    plane: the pixel spacing there is that of the detector over the magnification.
    """
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.ImplementationClassUID = _uid("implementation")
    film.file_meta.ImplementationVersionName = "LUMBO"  # not pydicom's, which would change the bytes
    for keyword, value in (_subject(row, key) | _view(row) | _geometry(row, where) | _display(row)).items():
        setattr(film, keyword, value)
    film.set_pixel_data(pixels, row.photometric, BITS, generate_instance_uid=False)
    return film


def _subject(row, key) -> dict:
    """Who and when: patient, study, series and instance; a follow-up film comes a year later."""
    patient = f"{row.site}-{row.split}-{row.seed}-{row.patient:05}".upper()
    day = f"{2025 + int(row.film.split('-')[-1]) - row.patient}0101"
    return {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": _uid(key, row.film, "film"),
        "SeriesInstanceUID": _uid(key, row.film, "series"),
        "StudyInstanceUID": _uid(key, row.film, "study"),
        "SyntheticData": "YES",
        "PatientID": patient,
        "PatientName": f"Synthetic^{patient}",
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
    """Distances, and what a pixel measures on the film and in the median plane.

    A slot scanner's film is scaled to the median plane already, and its pixels are square there.
    """
    room = where.scanner
    magnified = radiograph.magnification(0.0, room)[0]
    return {
        "DistanceSourceToDetector": _decimal(room.source_mm),
        "DistanceSourceToPatient": _decimal(room.source_mm - room.object_mm),
        "PositionerType": "",
        "DetectorType": "",
        "ImagerPixelSpacing": [_decimal(row.pixel_mm)] * 2,
        "PixelSpacing": [_decimal(row.pixel_mm / magnified)] * 2,
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


_ENCODE = {"png": lambda pixels, *_: png(pixels), "dicom": _dicom_bytes}
_READ = {"png": lambda path: np.asarray(Image.open(path)), "dicom": lambda path: dcmread(path).pixel_array}


def _ask(sites, split, seed, n, long_side_px, formats) -> dict:
    """Check what is asked for and write it down."""
    require(split in hospitals.SPLITS, "split", split, f"one of {', '.join(hospitals.SPLITS)}")
    whole("seed", seed, 0)
    radiograph.canvas(long_side_px)
    names = [where.name for where in sites]
    for field, values in (("hospital", names), ("format", formats)):
        require(len(set(values)) == len(values) > 0, field, ",".join(values), "at least one, each once")
    for form in formats:
        require(form in FORMATS, "format", form, f"one of {', '.join(FORMATS)}")
    counts = [where.patients[split] if n is None else whole("n", n, 1) for where in sites]
    require(any(counts), "split", split, f"one in which {', '.join(names)} has patients; or give n")
    return {
        "note": NOTE,
        "films_version": hospitals.frozen()["version"],
        "split": split,
        "seed": seed,
        "long_side_px": long_side_px,
        "formats": [form for form in FORMATS if form in formats],
        "sites": {
            where.name: {"films": count, "specification": _key(where, long_side_px)}
            for where, count in zip(sites, counts)
        },
    }


def _key(where: Hospital, long_side_px: int) -> str:
    """Digest every number that shapes a hospital's films, and the source that draws and writes them."""
    films = hospitals.specification(), hospitals.CODE, hospitals.frozen()["version"]
    return store.content_key(*films, hospitals.numbers(where), long_side_px, _CODE)


def _asked(folder: Path) -> dict:
    """Read what a folder was made for."""
    path = folder / "films.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(str(path), str(error), "what `python -m lumbo films` wrote") from error
    return fields(
        str(path), table, {"note", "films_version", "split", "seed", "long_side_px", "formats", "sites"}
    )


def _claim(folder: Path, asked: dict) -> dict:
    """Take a new or empty folder, or one for the same set, and return what it was made for."""
    store.make_folder(folder)
    if not (folder / "films.json").exists():
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        require(not others, str(folder), f"a folder with {', '.join(others[:3])}", "a new or an empty folder")
        store.write_atomic(folder / "films.json", json.dumps(asked, indent=1).encode() + b"\n")
    found = _asked(folder)
    for name, value in asked.items():
        allowed = f"{value}, as asked for; or choose another folder"
        require(found[name] == value, f"{folder / 'films.json'}: {name}", found[name], allowed)
    return found


def _write_chunk(folder, asked, where, start) -> int:
    """Write the films of a chunk, then the rows that say they are whole; return how many."""
    split, seed, long_side_px = asked["split"], asked["seed"], asked["long_side_px"]
    count = min(CHUNK, asked["sites"][where.name]["films"] - start)
    part = _part(folder, where.name, start)
    if part.exists():
        return count
    films = hospitals.draw(where, split, seed, start // CHUNK, long_side_px, bits=BITS)[:count]
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
    store.write_atomic(part, _csv(rows))
    return count


def _finish(folder, asked) -> None:
    """Put the rows of all chunks into the two tables, and list the checksums of all files."""
    parts = [
        pd.read_csv(_part(folder, name, start))
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


def _contents(folder) -> Iterator[str]:
    """Name the files of a set but its checksums; those that list the films come before the films."""
    yield from ("films.json", *_TABLES)
    films = pd.read_csv(folder / "angles.csv").film
    for form in _asked(folder)["formats"]:
        yield from (f"{form}/{film}.{FORMATS[form]}" for film in films)


def _tidy(folder) -> None:
    """Remove what only an unfinished set needs, and the drafts of a run that was killed."""
    shutil.rmtree(folder / "parts", ignore_errors=True)
    for form in FORMATS:
        for draft in (folder / form).glob(".*.????????"):
            draft.unlink(missing_ok=True)


def _file(folder, form, film) -> Path:
    return folder / form / f"{film}.{FORMATS[form]}"


def _part(folder, site, start) -> Path:
    return folder / "parts" / f"{site}-{start:05}.csv"


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, float_format="%.6f", lineterminator="\n").encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_CODE = store.content_key(sys.modules[__name__])
