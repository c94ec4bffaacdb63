"""Files that are whole or absent: atomic writes, tensors, and a cache keyed by content."""

import contextlib
import hashlib
import inspect
import json
import os
import secrets
import tomllib
import zlib
from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lumbo.errors import InputError, require

__all__ = [
    "write_atomic",
    "make_folder",
    "save_tensors",
    "load_tensors",
    "checksum",
    "digest",
    "read_toml",
    "content_key",
    "cache_folder",
    "cached_tensors",
]


def write_atomic(path: Path, content: bytes) -> Path:
    """Write `content` so that `path` holds all of it or what it held before.

    Raises `InputError` naming the path when the disk refuses the write.
    """
    path = Path(path)
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
        draft.unlink(missing_ok=True)
    return path


def make_folder(path: Path) -> Path:
    """Make a folder, or raise `InputError` naming it where nothing can be written."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(path), error.strerror, "a folder that can be written to") from error
    require(os.access(path, os.W_OK), str(path), "no permission to write", "a folder that can be written to")
    return path


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray], note: Mapping) -> Path:
    """Write named arrays and a JSON-able note to one safetensors file, atomically."""
    arrays = {
        name: np.asarray(array, np.asarray(array).dtype.newbyteorder("="), order="C")
        for name, array in tensors.items()
    }
    sealed = json.dumps({"crc32": checksum(arrays, note), "note": note}, sort_keys=True)
    return write_atomic(path, save(arrays, metadata={"note": sealed}))


def load_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read what `save_tensors` wrote: ``(arrays by name, note)``.

    Raises `InputError` naming the path when it is missing, torn, damaged or not ours.
    """
    try:
        with safe_open(path, "numpy") as file:
            sealed = json.loads((file.metadata() or {})["note"])
            note, crc32 = sealed["note"], sealed["crc32"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise InputError(str(path), problem, "a safetensors file written by lumbo") from error
    found = checksum(arrays, note)
    require(found == crc32, str(path), f"damaged, checksum {found}", f"{crc32}, as it was written")
    return arrays, note


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


def read_toml(path: Path | Traversable) -> dict:
    """Read a TOML file, or raise `InputError` naming it and what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(path.name, str(error), "a readable TOML file") from error


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
    """Return the folder of derived files: ``$LUMBO_CACHE`` or ``~/.cache/lumbo``."""
    return Path(os.environ.get("LUMBO_CACHE") or Path.home() / ".cache" / "lumbo")


def cached_tensors(name: str, make: Callable[[], tuple[dict, dict]]) -> tuple[dict, dict]:
    """Return the cached ``(arrays, note)`` called `name`; make and keep them if absent or torn."""
    path = cache_folder() / f"{name}.safetensors"
    with contextlib.suppress(InputError):  # absent or torn
        return load_tensors(path)
    save_tensors(path, *make())
    return load_tensors(path)  # not what `make` gave: a cold cache answers exactly as a warm one
