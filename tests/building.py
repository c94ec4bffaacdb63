"""Build the book, or another one, as the tests that look at pages need it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def jupyter_book(source: Path) -> subprocess.CompletedProcess:
    """Build a book; what it describes may lie in its folder."""
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(source), "-W", "-n", "--keep-going"]
    where = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    }
    return subprocess.run(command, env=where, capture_output=True, text=True)


def build(root: Path, source: Path) -> Path:
    """Build the book in `source` from a copy that holds only what it is made of; returns the folder of its pages."""
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, source)
    for name in ("book", "notebooks"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (source / "data_synth").mkdir()
    shutil.copy(root / "data_synth" / "README.md", source / "data_synth")  # the data card
    done = jupyter_book(source)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    html = source / "_build" / "html"
    assert (html / "index.html").exists()
    return html
