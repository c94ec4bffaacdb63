"""Every notebook, alone in an empty folder with only the wheel, gives its committed outputs again.

As the machine is, or, with ``--old-machine``, with the arithmetic of a processor from before AVX: where sums
are added up in another order, the last digits differ.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from limits import WHEEL_BYTES

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
PROVENANCE = "import data_synth, lumbo; print(lumbo.__file__); print(data_synth.__file__)"
ARITHMETIC = """\
import numpy, torch
print(torch.backends.cpu.get_cpu_capability(), *numpy.show_config("dicts")["SIMD Extensions"].get("found", []))"""


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


def old_machine() -> dict[str, str]:
    """Variables under which each library computes as on a processor that has no AVX."""
    return {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": ",".join(extensions()),  # NumPy warns of those that it has not found
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",
    }


def extensions() -> list[str]:
    """What NumPy has found on this processor, beyond what it was built for."""
    return np.show_config("dicts")["SIMD Extensions"].get("found", [])


@pytest.fixture(scope="session")
def machine(request) -> dict[str, str]:
    """The variables under which notebooks run: none, or those of an old machine."""
    return old_machine() if request.config.getoption("old_machine") else {}


@pytest.fixture(scope="session")
def arithmetic(machine) -> str:
    """What torch and NumPy must say of themselves there."""
    return "DEFAULT" if machine else " ".join([torch.backends.cpu.get_cpu_capability(), *extensions()])


def test_the_wheel_holds_the_packages_and_their_data(wheel, root):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path for package in ("lumbo", "data_synth") for path in (root / package).rglob("*")]
    expected = {path.relative_to(root).as_posix() for path in files if path.is_file()}
    assert held == {name for name in expected if "__pycache__" not in name}


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size <= WHEEL_BYTES


def test_the_wheel_installs_the_command(installed):
    command = next((installed / "bin").glob("lumbo*"))
    where = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([command, "--version"], env=where, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and re.fullmatch(r"[\d.]+\n", done.stdout)


def answer(source: str, expected: str):
    """A cell that has been executed and has printed `expected`; no digit of it may differ."""
    printed = nbformat.v4.new_output("stream", name="stdout", text=expected)
    exact = {"lumbo": {"exact": True}}
    return nbformat.v4.new_code_cell(source, outputs=[printed], execution_count=1, metadata=exact)


@pytest.fixture
def check_notebook(tmp_path, installed, machine, arithmetic, run_nbval):
    """A function: run nbval on a copy of a notebook that ends by proving which lumbo it used, and where."""

    def check(notebook: Path, cache: Path, arithmetic: str = arithmetic):
        alone = tmp_path / "alone"
        alone.mkdir()
        copy = nbformat.read(notebook, as_version=4)
        files = "".join(f"{installed / package / '__init__.py'}\n" for package in ("lumbo", "data_synth"))
        copy.cells += [answer(PROVENANCE, files), answer(ARITHMETIC, f"{arithmetic}\n")]
        nbformat.write(copy, alone / notebook.name)

        only = {"PYTHONPATH": str(installed), "LUMBO_CACHE": str(cache)}
        done = run_nbval(alone, "--maxfail=3", **only, **machine)
        if done.returncode:
            pytest.fail(f"{notebook.name}\n{done.stdout}{done.stderr}", pytrace=False)

    return check


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebook(notebook, shared_cache, check_notebook):
    check_notebook(notebook, shared_cache)


SAYS_SO = {  # library -> the variable that makes it talk, what it is given to do, what it must say
    "oneDNN": (
        {"ONEDNN_VERBOSE": "1"},
        "import torch; torch.conv2d(torch.ones(8, 16, 32, 32), torch.ones(16, 16, 3, 3))",
        "isa:Intel SSE4.1\n",
    ),
    "MKL": (
        {"MKL_VERBOSE": "1"},
        "import torch; torch.ones(64, 64) @ torch.ones(64, 64)",
        "CNR:COMPATIBLE ",
    ),
    "OpenBLAS": ({"OPENBLAS_VERBOSE": "2"}, "import numpy", "Core: Nehalem\n"),
    "NumPy and torch": ({"PYTHONWARNINGS": "error"}, ARITHMETIC, "DEFAULT\n"),
}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these names are of x86-64")
@pytest.mark.parametrize("library", SAYS_SO)
def test_each_library_takes_itself_to_be_on_an_old_machine(library):
    loud, source, expected = SAYS_SO[library]
    variables = os.environ | old_machine() | loud
    done = subprocess.run([sys.executable, "-c", source], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("source", "output", "complaint"),
    [
        ("print(2)", "1\n", "Cell outputs differ"),
        ("import sys; sys.path.insert(0, {checkout!r}); print(1)", "1\n", "lumbo/__init__.py"),
        ("print(open('README.md').read())", "", "FileNotFoundError"),
    ],
    ids=["another output", "lumbo from the checkout", "a file of the repository"],
)
def test_a_faulty_notebook_fails(source, output, complaint, root, tmp_path, check_notebook):
    faulty = answer(source.format(checkout=str(root)), output)
    nbformat.write(nbformat.v4.new_notebook(cells=[faulty]), tmp_path / "faulty.ipynb")
    with pytest.raises(pytest.fail.Exception, match=complaint):
        check_notebook(tmp_path / "faulty.ipynb", tmp_path / "cache")


def test_a_notebook_with_another_arithmetic_fails(tmp_path, check_notebook):
    nbformat.write(nbformat.v4.new_notebook(cells=[answer("print(1)", "1\n")]), tmp_path / "one.ipynb")
    with pytest.raises(pytest.fail.Exception, match="of another machine"):
        check_notebook(tmp_path / "one.ipynb", tmp_path / "cache", arithmetic="of another machine")
