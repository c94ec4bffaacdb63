"""Every notebook, alone in an empty folder with only the wheel, gives its committed outputs again."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TRAINING = "ch07_on_its_own"  # once more as on an older machine, without AVX-512
OLDER_MACHINE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
WHEEL_LIMIT = 13_000_000  # bytes; eight seeds of predictions are four of them
PROVENANCE = "import data_synth, lumbo; print(lumbo.__file__); print(data_synth.__file__)"


def pip(*arguments: str):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, env=os.environ | {"PIP_NO_INDEX": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(root, tmp_path_factory) -> Path:
    """The wheel, built from a copy of its sources, so that the checkout stays as it is."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    for package in ("lumbo", "data_synth"):
        shutil.copytree(root / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={built}", str(source))
    return next(built.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", f"--target={target}", str(wheel))
    return target


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    """A cache of derived files, empty at the start: notebooks may use what earlier ones made."""
    return tmp_path_factory.mktemp("cache")


def test_the_wheel_holds_the_packages_and_their_data(wheel, root):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path for package in ("lumbo", "data_synth") for path in (root / package).rglob("*")]
    expected = {path.relative_to(root).as_posix() for path in files if path.is_file()}
    assert held == {name for name in expected if "__pycache__" not in name}


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= WHEEL_LIMIT


def check_notebook(notebook: Path, folder: Path, installed: Path, cache: Path, run_nbval, **environment):
    """Run nbval on a copy of `notebook` that ends by proving which lumbo it used."""
    alone = folder / notebook.stem
    alone.mkdir()
    copy = nbformat.read(notebook, as_version=4)
    expected = "".join(f"{installed / package / '__init__.py'}\n" for package in ("lumbo", "data_synth"))
    proof = nbformat.v4.new_output("stream", name="stdout", text=expected)
    copy.cells.append(nbformat.v4.new_code_cell(PROVENANCE, outputs=[proof], execution_count=1))
    nbformat.write(copy, alone / notebook.name)

    only = {"PYTHONPATH": str(installed), "LUMBO_CACHE": str(cache)}
    done = run_nbval(folder, "--maxfail=3", **only, **environment)
    if done.returncode:
        pytest.fail(f"{notebook.name}\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook(notebook, tmp_path, installed, shared_cache, run_nbval):
    check_notebook(notebook, tmp_path, installed, shared_cache, run_nbval)


def test_training_on_an_older_machine(root, tmp_path, tmp_path_factory, installed, run_nbval):
    notebook, empty_cache = root / "notebooks" / f"{TRAINING}.ipynb", tmp_path_factory.mktemp("cache")
    check_notebook(notebook, tmp_path, installed, empty_cache, run_nbval, **OLDER_MACHINE)


@pytest.mark.parametrize(
    ("source", "output", "complaint"),
    [
        ("print(2)", "1\n", "Cell outputs differ"),
        ("import sys; sys.path.insert(0, {checkout!r}); print(1)", "1\n", "lumbo/__init__.py"),
        ("print(open('README.md').read())", "", "FileNotFoundError"),
    ],
    ids=["another output", "lumbo from the checkout", "a file of the repository"],
)
def test_a_faulty_notebook_fails(source, output, complaint, root, tmp_path, installed, run_nbval):
    source = source.format(checkout=str(root))
    stream = nbformat.v4.new_output("stream", name="stdout", text=output)
    cells = [nbformat.v4.new_code_cell(source, outputs=[stream], execution_count=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "faulty.ipynb")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(pytest.fail.Exception, match=complaint):
        check_notebook(tmp_path / "faulty.ipynb", folder, installed, tmp_path / "cache", run_nbval)


def test_the_contents_name_every_notebook(root):
    named = re.findall(r"file: notebooks/(\S+)", (root / "_toc.yml").read_text())
    assert sorted(named) == [notebook.stem for notebook in NOTEBOOKS]
