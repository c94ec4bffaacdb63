"""Files that are whole or absent: atomic writes, tensors, and a cache keyed by content."""

import contextlib
import glob
import hashlib
import inspect
import json
import os
import secrets
import tomllib
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lumbo.errors import InputError, require

__all__ = [
    "TEXT_BYTES",
    "checked_path",
    "write_atomic",
    "remove_drafts",
    "make_folder",
    "save_tensors",
    "load_tensors",
    "checksum",
    "digest",
    "read_text",
    "read_toml",
    "read_json",
    "content_key",
    "cache_folder",
    "cached_tensors",
    "cached_files",
]

TEXT_BYTES = 2**25  # no text that we read is larger: a table of the films of the largest hospital has 8 MB


def checked_path(path: Any, field: str = "path") -> Path:
    """Return a path that a file can have, or raise `InputError`.

    >>> checked_path("runs/fast").as_posix()
    'runs/fast'
    """
    named = isinstance(path, str | os.PathLike) and isinstance(os.fspath(path), str)
    fits = named and _possible(os.fspath(path))
    require(fits, field, path, "a path, as text or pathlib.Path")
    return Path(path)


def _possible(path: str) -> bool:
    """Whether a file system can hold a path: text without NUL or half letters, no part longer than 255 bytes."""
    try:
        parts = os.fsencode(path).split(os.sep.encode())
    except UnicodeEncodeError:
        return False
    return path != "" and "\0" not in path and max(map(len, parts)) <= 255 and sum(map(len, parts)) < 4000


def write_atomic(path: Path, content: bytes) -> Path:
    """Write `content` so that `path` holds all of it or what it held before.

    Raises `InputError` naming the path when the disk refuses the write.
    """
    path = checked_path(path)
    require(not path.is_dir() and path.name not in ("", ".."), str(path), "a folder", "a path of a file")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    make_folder(path.parent)
    try:
        with open(draft, "xb") as file:  # with the permissions of any new file: a class may share a cache
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise InputError(str(path), error.strerror, "a disk with room for the file") from error
    finally:
        with contextlib.suppress(OSError):  # a name that is too long for a draft has none
            draft.unlink()
    return path


def remove_drafts(path: Path) -> None:
    """Remove what writers of a file have left that were killed; nobody may be writing it now."""
    path = checked_path(path)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}"):
        draft.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder, or raise `InputError` naming it where nothing can be written."""
    path = checked_path(path, "folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(path), error.strerror, "a folder that can be written to") from error
    require(os.access(path, os.W_OK), str(path), "no permission to write", "a folder that can be written to")
    return path


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray], note: Mapping) -> Path:
    """Write named arrays and a JSON-able note to one safetensors file, atomically."""
    arrays = {name: _native(array) for name, array in tensors.items()}
    sealed = json.dumps({"crc32": checksum(arrays, note), "note": note}, sort_keys=True)
    return write_atomic(path, save(arrays, metadata={"note": sealed}))


def load_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save_tensors` wrote: ``(arrays by name, note)``.

    Raises `InputError` naming the path when it is missing, torn, damaged or not ours.
    """
    path = checked_path(path)
    try:
        with safe_open(path, "numpy") as file:
            note, crc32 = _seal(file)
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(str(path), problem, "a safetensors file written by lumbo") from error
    found = checksum(arrays, note)
    require(found == crc32, str(path), f"damaged, checksum {found}", f"{crc32}, as it was written")
    return arrays, note


def _seal(file: Any) -> tuple[dict, str]:
    """Read the note and the checksum in an open safetensors file."""
    sealed = json.loads((file.metadata() or {})["note"])
    note, crc32 = sealed["note"], sealed["crc32"]
    if not isinstance(note, dict):
        raise TypeError(f"a note that is a {type(note).__name__}")
    return note, crc32


def _native(array: Any) -> np.ndarray:
    """Return an array as it comes back from a file: whole, in the byte order of this machine."""
    return np.asarray(array, np.asarray(array).dtype.newbyteorder("="), order="C")


def checksum(arrays: Mapping[str, np.ndarray], note: Mapping) -> str:
    """Sum up names, arrays and a note in 8 hex digits: a flipped bit changes them."""
    crc32 = zlib.crc32(json.dumps(note, sort_keys=True).encode())
    for name in sorted(arrays):
        flat = np.ascontiguousarray(arrays[name]).reshape(-1)
        crc32 = zlib.crc32(flat.view(np.uint8).data, zlib.crc32(name.encode(), crc32))
    return f"{crc32:08x}"


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Name arrays by shape and content, in 16 hex digits."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(repr(array.shape).encode() + array.tobytes())
    return sha.hexdigest()[:16]


def read_text(path: Path | Traversable | str, allowed: str = "a readable text in UTF-8") -> str:
    """Read a text of at most `TEXT_BYTES`, or raise `InputError` naming the file and what is wrong with it.

    allowed : what stands there else
    """
    place: Any = path  # in a package, perhaps a zipped one; else
    if isinstance(path, str | os.PathLike) or not hasattr(path, "open"):
        place = checked_path(path)
    try:
        with place.open("rb") as file:
            content = file.read(TEXT_BYTES + 1)
        require(len(content) <= TEXT_BYTES, str(path), "a huge file", f"at most {TEXT_BYTES} bytes")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), str(error), allowed) from error


def read_toml(path: Path | Traversable | str) -> dict:
    """Read a TOML file, or raise `InputError` naming it and what is wrong with it."""
    return _parsed(path, tomllib.loads, "a readable TOML file")


def read_json(path: Path | Traversable | str, writer: str) -> Any:
    """Read a JSON file, or raise `InputError` naming it and what is wrong with it.

    writer : what writes such files, such as "what a run writes beside a shard"
    """
    return _parsed(path, json.loads, writer)


def _parsed(path: Path | Traversable | str, parse: Callable[[str], Any], allowed: str) -> Any:
    content = read_text(path, allowed)
    try:
        return parse(content)
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), str(error), allowed) from error


def content_key(*parts: object) -> str:
    """Digest JSON-able parts and modules (their source) into 16 hex digits.

    Digest modules once, when they are imported: later the file may have been edited.

    >>> content_key({"b": 1, "a": 2}) == content_key({"a": 2, "b": 1})
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        text = inspect.getsource(part) if inspect.ismodule(part) else json.dumps(part, sort_keys=True)
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder of derived files: ``$LUMBO_CACHE`` or ``~/.cache/lumbo``.

    Raises `InputError` where there is no home to look in.
    """
    try:
        return checked_path(os.environ.get("LUMBO_CACHE") or Path.home() / ".cache" / "lumbo", "LUMBO_CACHE")
    except RuntimeError as error:  # a user without a name and without HOME
        raise InputError("LUMBO_CACHE", str(error), "a folder that can be written to") from error


def cached_tensors(name: str, make: Callable[[], tuple[dict, dict]]) -> tuple[dict, dict]:
    """Return the cached ``(arrays, note)`` called `name`; make and keep them if absent or not whole.

    Where nothing can be kept, a warning says so, and what was made is returned all the same.
    """
    try:
        found = _cached(cache_folder() / f"{name}.safetensors", name)
    except InputError:  # no folder; or absent, torn, or another one's
        found = None
    if found is not None:
        return found
    arrays, note = make()
    try:
        save_tensors(cache_folder() / f"{name}.safetensors", arrays, {"cached": name, "note": note})
    except InputError as error:
        warnings.warn(f"nothing is kept in the cache: {error}", RuntimeWarning, stacklevel=2)
    # A cold cache answers exactly as a warm one.
    return {key: _native(array).copy() for key, array in arrays.items()}, json.loads(json.dumps(note))


def cached_files() -> Iterator[tuple[Path, int]]:
    """List the files of the cache and their bytes: those that say they were put here, and nothing else."""
    folder = cache_folder()
    for path in sorted(folder.rglob("*.safetensors")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            with safe_open(path, "numpy") as file:
                ours = _seal(file)[0].get("cached") == name
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
            continue
        if ours:
            yield path, path.stat().st_size


def _cached(path: Path, name: str) -> tuple[dict, dict]:
    """Read an entry of the cache; a file that was kept under another name is none."""
    arrays, note = load_tensors(path)
    require(note.get("cached") == name, str(path), note.get("cached"), f"the entry {name}")
    return arrays, note["note"]
