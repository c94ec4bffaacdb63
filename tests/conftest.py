"""What several test files share: the checkout, the built book, a browser, and strict nbval in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from building import build
from filelock import FileLock

from lumbo.learning import augment

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300


def pytest_addoption(parser):
    parser.addoption(
        "--old-machine", action="store_true", help="run the notebooks as on a processor from before AVX"
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """No test reads, or leaves anything in, the reader's own cache of derived files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUMBO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Workers train with one thread each, and what they are compared with must do the same."""
    torch.set_num_threads(1)


@pytest.fixture
def in_double(monkeypatch):
    """Networks work in float64: what should be equal then is, whichever way a processor rounds."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(augment.draw_moves, "__defaults__", (torch.float64,))
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def untouched():
    """Fail if the test moves a generator that all code shares."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; without one the test is skipped, but fails where CI is set."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no browser: none of {', '.join(names)}")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def html(root, tmp_path_factory) -> Path:
    """The folder of the built book, which all processes that test build once."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    done = base / "book-built"
    with FileLock(base / "book.lock"):
        if not done.exists():
            shutil.rmtree(base / "book", ignore_errors=True)  # of a process whose build failed
            (base / "book").mkdir()
            done.write_text(str(build(ROOT, base / "book")))
    return Path(done.read_text())


@pytest.fixture(scope="session")
def pages(html) -> dict[str, Path]:
    """The built pages by name."""
    found = {path.relative_to(html).as_posix(): path for path in sorted(html.rglob("*.html"))}
    return {name: path for name, path in found.items() if not name.startswith("_static/")}


@pytest.fixture(scope="session")
def run_nbval():
    """A function: run strict nbval, with tolerances, on the notebooks below a folder."""

    def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
        shutil.copy(ROOT / "tests" / "nbval_tolerance.py", folder / "conftest.py")
        command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "--color=no", "-q"]
        command += [f"--nbval-cell-timeout={CELL_SECONDS}", "-p", "no:cacheprovider", f"--rootdir={folder}"]
        command += [f"--confcutdir={folder}", *options, str(folder)]
        variables = os.environ | {"PYTEST_ADDOPTS": ""} | environment
        return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)

    return run
