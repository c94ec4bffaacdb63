"""The front door: light to import, lazy behind, and what Tab shows is ours and nothing else."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import lumbo

ROOT = Path(__file__).parent.parent
ROOMS = sorted(path for path in (ROOT / "lumbo").rglob("*.py") if path.stem != "__init__")
PACKAGES = [lumbo, *(one for name in lumbo.__all__ if hasattr(one := getattr(lumbo, name), "__path__"))]
FRONT = {"Pelvis", "lumbopelvic_angles", "hospital", "film_set"}  # names that stand at the front as well
NOT_SHOWN = {"_doors", "cli", "__main__", "films_1"}  # machinery that a reader does not call
HEAVY = {"numpy", "pandas", "torch", "matplotlib", "anywidget", "pydicom", "tqdm", "yaml"}


def fresh(code: str):
    """Run code in a new Python and return what it leaves in `found`."""
    program = f"import json, sys\n{code}\nprint(); print(json.dumps(found))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded(code: str) -> set[str]:
    """What is loaded after some code: heavy packages, and modules of ours."""
    modules = set(fresh(f"{code}\nfound = list(sys.modules)"))
    return modules & HEAVY | {name for name in modules if name.split(".")[0] == "lumbo"}


def command(*words: str) -> str:
    """Code that runs a command which ends by itself, such as ``--help``."""
    return f"from lumbo.cli import main\ntry:\n    main({list(words)})\nexcept SystemExit:\n    pass"


# ---------------------------------------------------------------------- what is loaded


def test_the_package_alone_loads_nothing():
    assert loaded("import lumbo") == {"lumbo", "lumbo._doors"}


def test_a_wing_loads_none_of_its_rooms():
    wings = {package.__name__ for package in PACKAGES}
    assert loaded("from lumbo import films, learning, experiment, pages") == {*wings, "lumbo._doors"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["reprodcue"]], ids=" ".join)
def test_the_command_alone_loads_nothing(words):
    assert loaded(command(*words)) == {"lumbo", "lumbo._doors", "lumbo.cli", "lumbo.errors"}


def test_a_command_loads_only_what_it_needs():
    assert not HEAVY & loaded(command("claims", "--help"))
    films = loaded(command("films", "--help"))
    assert "lumbo.films.hospitals" in films and not {"pandas", "matplotlib", "lumbo.experiment"} & films


def test_a_heavy_import_is_found():
    assert "numpy" in loaded("import lumbo.angles")


# --------------------------------------------------------------------------- __all__


def defined(source: str) -> set[str]:
    """The public names that a module defines, without those that it imports."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {leaf.id for one in targets for leaf in ast.walk(one) if isinstance(leaf, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def module_of(path: Path):
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.mark.parametrize(
    "path", ROOMS, ids=lambda path: ".".join(path.relative_to(ROOT / "lumbo").parts)[:-3]
)
def test_all_is_what_a_module_defines(path):
    names = module_of(path).__all__
    assert len(names) == len(set(names))
    assert set(names) == defined(path.read_text())


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_all_of_a_package_is_its_rooms(package):
    inside = Path(package.__path__[0]).iterdir()
    rooms = {path.stem for path in inside if path.suffix == ".py" or (path / "__init__.py").exists()}
    front = FRONT if package is lumbo else set()
    assert set(package.__all__) == front | rooms - NOT_SHOWN - {"__init__"}


def test_what_a_module_defines_is_read():
    source = "import a\nfrom b import c\nD = E, F = 1, 2\nG: int = 3\n_h = 4\ndef i(): j = 5\nclass K: pass\n"
    assert defined(source) == {"D", "E", "F", "G", "i", "K"}


def test_the_front_shows_what_stands_in_the_rooms():
    from lumbo.films import hospitals
    from lumbo.pages import posture

    assert lumbo.film_set is hospitals.film_set and lumbo.hospital is hospitals.hospital
    assert lumbo.lumbopelvic_angles is lumbo.angles.lumbopelvic_angles
    assert lumbo.Pelvis is posture.Pelvis


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_name_that_is_not_there_is_said(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nowhere'"):
        package.nowhere  # noqa: B018


# ------------------------------------------------------------------------------- Tab

WAYS = {  # to come by the room `hospitals`
    "from": "from lumbo.films import hospitals as room",
    "dotted": "import lumbo.films.hospitals\nroom = lumbo.films.hospitals",
    "lazy": "import lumbo\nroom = lumbo.films.hospitals",
    "inside another room": "import lumbo.films.archive\nroom = lumbo.films.hospitals",
    "one name of it": "from lumbo.films.hospitals import pool\nroom = sys.modules[pool.__module__]",
}


@pytest.mark.parametrize("way", WAYS)
def test_dir_shows_what_is_ours(way):
    shown = fresh(
        f"{WAYS[way]}\nfound = [dir(room), dir(sys.modules['lumbo.films']), dir(sys.modules['lumbo'])]"
    )
    modules = lumbo.films.hospitals, lumbo.films, lumbo
    assert [set(names) for names in shown] == [set(module.__all__) for module in modules]


@pytest.mark.parametrize(
    "door, shown",
    [("from lumbo._doors import open_door\nopen_door(__name__)", ["mine"]), ("", ["json", "mine"])],
    ids=["with a door", "without"],
)
def test_only_a_door_hides_what_a_room_imports(tmp_path, door, shown):
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text(f"__all__ = ['room']\n{door}\n")
    (house / "room.py").write_text("import json\n__all__ = ['mine']\nmine = 1\n")
    code = f"sys.path.insert(0, {str(tmp_path)!r})\nfrom house import room"
    found = fresh(f"{code}\nfound = [name for name in dir(room) if not name.startswith('_')]")
    assert found == shown


def test_dir_of_every_package_is_all():
    for package in PACKAGES:
        assert dir(package) == sorted(package.__all__)


COMPLETED = """
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_cell("import lumbo")
shell.run_cell("from lumbo.films import populations")
shell.Completer.use_jedi = {jedi}
found = {{}}
for text in {texts}:
    with provisionalcompleter():
        words = [one.text.lstrip(".") for one in shell.Completer.completions(text, len(text))]
    found[text] = sorted(set(words))
"""


@pytest.mark.parametrize("jedi", [False, True], ids=["without jedi", "with jedi"])
def test_tab_shows_what_is_ours(jedi):
    expected = {
        "lumbo.": lumbo,
        "lumbo.films.": lumbo.films,
        "populations.": lumbo.films.populations,
        "lumbo.films.populations.": lumbo.films.populations,
        "lumbo.films.archive.": lumbo.films.archive,  # not loaded before
        "from lumbo.films import ": lumbo.films,
    }
    found = fresh(COMPLETED.format(jedi=jedi, texts=list(expected)))
    line = "from lumbo.films import "  # jedi shows here what begins with _ as well
    found[line] = [name for name in found[line] if not name.startswith("_")]
    assert found == {text: sorted(module.__all__) for text, module in expected.items()}
