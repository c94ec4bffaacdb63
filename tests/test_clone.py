"""A clone holds the same bytes on every system: checksums, digests and scripts depend on them."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

COPIED = (".ci", ".gitattributes", "Makefile", "data_synth", "lumbo", "notebooks")


def git(*arguments: str | Path):
    """Run git without anybody's settings."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    nobody |= {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false", *arguments]
    subprocess.run(command, env=os.environ | nobody, check=True, capture_output=True)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def committed_and_cloned(root: Path, names, tmp: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Commit files of the checkout to a repository, and clone it as git for Windows does: CRLF for LF."""
    if shutil.which("git") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no git")
    source, clone = tmp / "source", tmp / "clone"
    source.mkdir()
    for name in names:
        if (root / name).is_dir():
            shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, source)
    git("init", "--quiet", source)
    git("-C", source, "add", "--all", "--force")
    git("-C", source, "commit", "--quiet", "--message=all")
    git("clone", "--quiet", source, clone)
    return contents(source), contents(clone)


@pytest.fixture(scope="module")
def pair(root, tmp_path_factory):
    return committed_and_cloned(root, COPIED, tmp_path_factory.mktemp("repositories"))


def test_a_clone_on_windows_holds_the_same_bytes(pair):
    committed, cloned = pair
    assert len(cloned) > 100 and cloned.keys() == committed.keys()
    assert [name for name, held in cloned.items() if held != committed[name]] == []


def test_the_checksums_of_the_sample_hold_there(pair):
    _, cloned = pair
    lines = cloned["data_synth/sample/SHA256SUMS"].decode().split("\n")
    listed = dict(reversed(line.split("  ")) for line in lines if line)
    assert len(listed) > 30
    for name, digest in listed.items():
        assert hashlib.sha256(cloned[f"data_synth/sample/{name}"]).hexdigest() == digest, name


def test_without_the_attributes_they_would_not(root, tmp_path):
    committed, cloned = committed_and_cloned(root, ("data_synth",), tmp_path)
    changed = {name for name, held in cloned.items() if held != committed[name]}
    assert {"data_synth/sample/SHA256SUMS", "data_synth/sample/angles.csv"} <= changed
