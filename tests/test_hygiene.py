"""What every notebook and module owes its reader.  Each check is also shown a planted fault."""

import ast
import copy
import importlib
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from limits import ALT_CHARACTERS, CELLS, CODE_LINES, NOTEBOOK_BYTES, PAYLOAD_BYTES
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbval_tolerance import declared_tolerance

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = {path.stem[5:] for path in NOTEBOOKS}  # by slug
MODULES = sorted((ROOT / "lumbo").rglob("*.py"))
DOORS = {
    wing: importlib.import_module(f"lumbo.{wing}")
    for wing in ("films", "films_1", "learning", "experiment", "pages")
}
WINGS = {wing: door.__all__ for wing, door in DOORS.items()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADDRESS = PROJECT["tool"]["lumbo"]["install"]
BOOTSTRAP = f"""\
# Colab, or any machine without lumbo: install it.
# LUMBO_INSTALL names another source.
import importlib.util, os, subprocess, sys

if importlib.util.find_spec("lumbo") is None:
    home = "{ADDRESS}"
    source = os.environ.get("LUMBO_INSTALL", home)
    install = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.check_call([*install, source])"""

PART_ONE = [page["file"] for page in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"][0]["chapters"]]
ABSOLUTE = re.compile(r"(?<![\w.])/(home|root|tmp|usr|opt|var|mnt|work|Users|content)/|\b[A-Z]:\\\w+\\")
IGNORING = {f"{who}-{what}" for who in ("nbval", "pytest-validate") for what in ("ignore-output", "skip")}


# Notebooks: a check takes a notebook and yields its complaints.


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def code_lines(cell) -> list[str]:
    lines = [line.strip() for line in cell.source.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def prose(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def output_texts(cell):
    for output in cell.outputs:
        yield from (text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))
        yield output.get("text", "") + "\n".join(output.get("traceback", ()))


def executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"executed as {counts}, not 1 to {len(counts)}"


def opens_with_title_and_bootstrap(notebook):
    first, second = notebook.cells[:2]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell is not a title"
    if second.source != BOOTSTRAP:
        yield f"the second cell is not the bootstrap:\n{BOOTSTRAP}"
    if "remove-cell" not in second.metadata.get("tags", []):
        yield "the bootstrap is not tagged remove-cell"


def warns_against_clinical_use(notebook):
    if "not for clinical use" not in prose(notebook).lower():
        yield "'Not for clinical use' is missing"


def folds_two_solutions(notebook):
    found = len(re.findall(r"<details>\s*<summary>Solution", prose(notebook)))
    if found < 2:
        yield f"{found} folded solutions, fewer than two"


def describes_every_image(notebook):
    for cell in code_cells(notebook):
        images = any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if images and len(alt) < ALT_CHARACTERS:
            yield f"cell {cell.id}: an image whose alt text is {alt!r}"
    for image in re.findall(r"!\[\s*\]\S+", prose(notebook)):
        yield f"a Markdown image without alt text: {image}"


def names_no_absolute_path(notebook):
    for cell in notebook.cells:
        texts = [cell.source, *(output_texts(cell) if cell.cell_type == "code" else ())]
        yield from (f"cell {cell.id}: {found[0]}" for text in texts if (found := ABSOLUTE.search(text)))


def ends_no_line_with_a_semicolon(notebook):
    for cell in code_cells(notebook):
        yield from (f"cell {cell.id}: {line}" for line in code_lines(cell) if line.endswith(";"))


def is_short(notebook):
    ends = (i for i, cell in enumerate(notebook.cells) if re.search(r"(?m)^## Exercises", cell.source))
    lesson = next(ends, len(notebook.cells))  # what comes after is asked, not read
    if lesson > CELLS:
        yield f"{lesson} cells before the exercises, more than {CELLS}"
    for cell in code_cells(notebook):
        if len(code_lines(cell)) > CODE_LINES and cell.source != BOOTSTRAP:
            yield f"cell {cell.id}: {len(code_lines(cell))} lines of code, more than {CODE_LINES}"


def keeps_large_payloads_out(notebook):
    for cell in code_cells(notebook):
        size = max((len(text.encode()) for text in output_texts(cell)), default=0)
        if size > PAYLOAD_BYTES:
            yield f"cell {cell.id}: {size:,} bytes of text in an output, more than {PAYLOAD_BYTES:,}"


def says_why_it_ignores(notebook):
    for cell in code_cells(notebook):
        tagged = IGNORING & set(cell.metadata.get("tags", []))
        commented = re.search("#.*(NBVAL|PYTEST_VALIDATE)_(IGNORE|SKIP)", cell.source)
        if (tagged or commented) and not cell.metadata.get("lumbo", {}).get("ignored_because"):
            yield f"cell {cell.id}: an ignored output without metadata.lumbo.ignored_because"


def declares_valid_tolerances(notebook):
    for cell in code_cells(notebook):
        try:
            declared_tolerance(cell.metadata)
        except ValueError as error:
            yield f"cell {cell.id}: {error}"


def is_stored_without_noise(notebook):
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield f"format {notebook.nbformat}.{notebook.nbformat_minor}, not 4.5"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    if "widgets" in notebook.metadata:
        yield "widget state is stored"
    for cell in notebook.cells:
        if "execution" in cell.metadata:
            yield f"cell {cell.id}: execution times are stored"
        if re.fullmatch("[0-9a-f-]{8,}", cell.id):
            yield f"cell {cell.id}: an id that says nothing"


CHECKS = [
    executed_in_order,
    opens_with_title_and_bootstrap,
    warns_against_clinical_use,
    folds_two_solutions,
    describes_every_image,
    names_no_absolute_path,
    ends_no_line_with_a_semicolon,
    is_short,
    keeps_large_payloads_out,
    says_why_it_ignores,
    declares_valid_tolerances,
    is_stored_without_noise,
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_notebook(check, path):
    assert list(check(nbformat.read(path, as_version=nbformat.NO_CONVERT))) == []


@pytest.mark.parametrize("name", PART_ONE)
def test_code_of_part_one_fits_a_phone_and_a_slide(name):
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines()]
    assert len(lines) > 50 and [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small(path):
    assert path.stat().st_size <= NOTEBOOK_BYTES


def flawless():
    """A small notebook that passes every check."""
    solution = "<details><summary>Solution</summary>\n\nBecause.\n\n</details>"
    figure = new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"})
    alt = {"mystnb": {"image": {"alt": "The error falls as films are added"}}}
    cells = [
        new_markdown_cell("# Why?\n\nNot for clinical use.", id="title"),
        new_code_cell(BOOTSTRAP, id="bootstrap", execution_count=1, metadata={"tags": ["remove-cell"]}),
        new_code_cell("draw()", id="figure", execution_count=2, metadata=alt, outputs=[figure]),
        new_markdown_cell(solution, id="solution-1"),
        new_markdown_cell(solution, id="solution-2"),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_flawless_notebook_passes(check):
    assert list(check(flawless())) == []


def add(source="x = 1", *, count=3, cell_id="added", outputs=(), **metadata):
    """A fault: one more code cell."""
    cell = new_code_cell(source, id=cell_id, execution_count=count, metadata=metadata, outputs=list(outputs))
    return lambda notebook: notebook.cells.append(cell)


def change(index, **fields):
    """A fault: other fields in one cell."""
    return lambda notebook: notebook.cells[index].update(copy.deepcopy(fields))


def text_output(text):
    return new_output("stream", name="stdout", text=text)


FAULTS = {
    "not executed": (executed_in_order, add(count=None)),
    "out of order": (executed_in_order, add(count=2)),
    "no title": (opens_with_title_and_bootstrap, change(0, source="Why? Not for clinical use.")),
    "another bootstrap": (opens_with_title_and_bootstrap, change(1, source=BOOTSTRAP + "\n")),
    "bootstrap shown": (opens_with_title_and_bootstrap, change(1, metadata={})),
    "no warning": (warns_against_clinical_use, change(0, source="# Why?")),
    "one solution": (folds_two_solutions, change(4, source="An open solution.")),
    "no alt text": (describes_every_image, change(2, metadata={})),
    "idle alt text": (describes_every_image, change(2, metadata={"mystnb": {"image": {"alt": "plot"}}})),
    "Markdown image": (describes_every_image, change(3, source="![](film.png)")),
    "path in source": (names_no_absolute_path, add("open('/home/me/film.png')")),
    "path in prose": (names_no_absolute_path, change(3, source=r"Open C:\Users\me first.")),
    "path in output": (names_no_absolute_path, add(outputs=[text_output("in /tmp/run/film.png")])),
    "semicolon": (ends_no_line_with_a_semicolon, add("plot();")),
    "long cell": (is_short, add("x = 1\n" * (CODE_LINES + 1))),
    "many cells": (is_short, lambda notebook: notebook.cells.extend([notebook.cells[0]] * CELLS)),
    "large payload": (keeps_large_payloads_out, add(outputs=[text_output("x" * (PAYLOAD_BYTES + 1))])),
    "ignored by tag": (says_why_it_ignores, add(tags=["nbval-ignore-output"])),
    "ignored by comment": (says_why_it_ignores, add("# NBVAL_IGNORE_OUTPUT\nx")),
    "ignored by an old comment": (says_why_it_ignores, add("# PYTEST_VALIDATE_IGNORE_OUTPUT\nx")),
    "bad tolerance": (declares_valid_tolerances, add(lumbo={"tolerance": {"abs": "wide"}})),
    "older format": (is_stored_without_noise, lambda notebook: notebook.update(nbformat_minor=4)),
    "another kernel": (is_stored_without_noise, lambda notebook: notebook.metadata.clear()),
    "widget state": (is_stored_without_noise, lambda notebook: notebook.metadata.update(widgets={})),
    "times": (is_stored_without_noise, add(execution={})),
    "random id": (is_stored_without_noise, add(cell_id="3fa85f64")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    check, plant = FAULTS[fault]
    notebook = flawless()
    plant(notebook)
    assert list(check(notebook)) != []


def test_every_check_has_a_planted_fault():
    assert {check for check, _ in FAULTS.values()} == set(CHECKS)


def test_a_reason_allows_an_ignored_output():
    notebook = flawless()
    add(tags=["nbval-ignore-output"], lumbo={"ignored_because": "the clock"})(notebook)
    assert list(says_why_it_ignores(notebook)) == []


# Chapters: numbered in the order of the contents, and named by their slug everywhere else.

CONTENTS = re.findall(r"file: notebooks/(\S+)", (ROOT / "_toc.yml").read_text())
TEXTS = {".py", ".js", ".md", ".rst", ".css", ".toml", ".yml"}
NUMBERED = re.compile(r"\bch\d\d\w*|(?<!\d{4},\s)\b[Cc]hapters?\s\d+|^# \d+\.", re.MULTILINE)


def misnumbered(names: list[str]) -> list[str]:
    """Chapters whose number is not their place."""
    return [name for number, name in enumerate(names, 1) if not name.startswith(f"ch{number:02}_")]


def written(path: Path) -> str:
    """What people have written in a file: of a notebook, the cells without their outputs."""
    if path.suffix != ".ipynb":
        return path.read_text()
    return "\n\n".join(cell.source for cell in nbformat.read(path, as_version=nbformat.NO_CONVERT).cells)


def test_chapters_are_numbered_without_a_gap_in_the_order_of_the_contents():
    assert misnumbered(CONTENTS) == []
    assert CONTENTS == [path.stem for path in NOTEBOOKS]
    assert len(CHAPTERS) == len(NOTEBOOKS)


@pytest.mark.parametrize("names", [["ch01_a", "ch03_b"], ["ch02_a", "ch01_b"], ["ch01_a", "ch01_b"], ["a"]])
def test_a_gap_or_another_order_is_found(names):
    assert misnumbered(names)


def test_nothing_but_the_contents_and_the_readme_names_a_chapter_by_number():
    folders = [path for folder in ("lumbo", "book", "data_synth") for path in (ROOT / folder).rglob("*")]
    texts = [path for path in folders if path.suffix in TEXTS and "vendor" not in path.parts]
    found = {path: NUMBERED.findall(written(path)) for path in (*texts, *NOTEBOOKS, ROOT / "CONTRIBUTING.md")}
    assert {path.name: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "see chapter 3",
        "Chapters 8 and 9",
        "[x](../notebooks/ch10_x.ipynb)",
        "`ch04_x`",
        "# 3. A title",
        "chapter\n2",
    ],
)
def test_a_chapter_by_number_is_found(text):
    assert NUMBERED.search(text)


@pytest.mark.parametrize(
    "text", ["Efron, 1993, chapter 15", "chNN_slug", "a chapter", "# A title", "3. An item"]
)
def test_other_chapters_and_numbers_are_allowed(text):
    assert not NUMBERED.search(text)


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(links) > 3 and [link for link in links if not (ROOT / link).exists()] == []


def test_the_address_is_the_same_everywhere():
    address = ADDRESS.removeprefix("git+")
    for name in ("_config.yml", "README.md", "CITATION.cff", "book/index.md", "pyproject.toml"):
        found = set(re.findall(r"https://github\.com/[\w-]+/lumbo\b", (ROOT / name).read_text()))
        assert found == {address}, name


# Modules: one direction, a chapter that teaches each, no global seed.

GROUND = ("_doors", "errors", "rows", "specs", "store", "threads", "angles", "indices")
FLOORS = (  # lowest first
    GROUND, ("films",), ("films_1", "pages"), ("learning",), ("experiment",), ("cli",), ("__main__",)
)  # fmt: skip
NOT_TAUGHT = {*GROUND} - {"angles"} | {"figures", "films_1", "cli", "__main__"}
SHARED_RANDOM = re.compile(
    r"""(np|numpy)\.random\.(?!default_rng)[a-z]\w*
    | torch(\.random|\.cuda)?\.(manual_seed(_all)?|seed)
    | random\.\w+""",
    re.VERBOSE,
)


def lumbo_imports(source: str) -> set[str]:
    """The modules of lumbo that a module imports, at any depth of its code, such as "films.hospitals"."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("lumbo.")  # a bare `import lumbo` opens every door
                for alias in node.names
                if alias.name.split(".")[0] == "lumbo"
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lumbo":
            package = node.module.removeprefix("lumbo").removeprefix(".")
            if package in ("", *WINGS):
                names = [alias.name for alias in node.names if not alias.name.startswith("__")]
                found |= {f"{package}.{name}".removeprefix(".") for name in names}
            else:
                found.add(package)
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(f"a relative import of {node.module}")
    return found


def may_import(name: str) -> set[str]:
    """What a module may import: all floors below its own, and the rooms of its wing before it."""
    wing, _, room = name.rpartition(".")
    floor = next(i for i, floor in enumerate(FLOORS) if (wing or name) in floor)
    if floor == 0:
        return set(GROUND[: GROUND.index(name)])
    allowed = {*GROUND}
    for below in FLOORS[1:floor]:
        allowed |= {f"{part}.{one}" for part in below for one in WINGS.get(part, ())} | set(below)
    earlier = WINGS[wing][: WINGS[wing].index(room)] if wing else ()
    return allowed | {f"{wing}.{one}" for one in earlier}


def imports_upwards(name: str, source: str) -> set[str]:
    """What a module imports although it does not stand below it."""
    return lumbo_imports(source) - may_import(name)


def other_imports(source: str) -> set[str]:
    """The packages that a module imports, at any depth of its code, but for Python's own and ours."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"lumbo"}


def outside_forks(node: ast.AST):
    """Walk the tree, but not into ``with torch.random.fork_rng(...)``: it restores the shared generator."""
    yield node
    for child in ast.iter_child_nodes(node):
        contexts = [ast.unparse(item.context_expr) for item in getattr(child, "items", ())]
        if not any(context.startswith("torch.random.fork_rng") for context in contexts):
            yield from outside_forks(child)


def global_randomness(source: str) -> list[str]:
    """Calls that set, or draw from, a generator that all code shares."""
    nodes = outside_forks(ast.parse(source))
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    return [call for call in calls if SHARED_RANDOM.fullmatch(call)]


def taught_in(source: str) -> list[str]:
    """The chapters that the docstrings of a module name by slug: ``Taught in on_its_own and pooling.``"""
    phrases = re.findall(r"Taught in ([^.]*)\.", source)
    return [slug for phrase in phrases for slug in re.split(r",\s*|\s+and\s+", phrase)]


CALLED = {  # packages that are imported by another name; a widget of anywidget is made of traitlets
    "pillow": {"PIL"},
    "pyyaml": {"yaml"},
    "anywidget": {"anywidget", "traitlets"},
}
DECLARED = [re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]]


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    found = set().union(*(other_imports(path.read_text()) for path in MODULES))
    assert found == set().union(*(CALLED.get(name, {name}) for name in DECLARED))


def test_imports_of_others_are_found():
    source = "import os, yaml\nfrom lumbo import angles\ndef f():\n    from PIL.Image import open"
    assert other_imports(source) == {"yaml", "PIL"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "lumbo").with_suffix("").parts)


ROOMS = [path for path in MODULES if path.stem != "__init__"]


@pytest.mark.parametrize("path", ROOMS, ids=module_name)
class TestModule:
    def test_imports_only_from_below(self, path):
        assert imports_upwards(module_name(path), path.read_text()) == set()

    def test_is_taught_in_a_chapter(self, path):
        source = path.read_text()
        assert set(taught_in(source)) <= CHAPTERS
        assert {path.stem, path.parent.name} & NOT_TAUGHT or taught_in(ast.get_docstring(ast.parse(source)))

    def test_uses_no_global_randomness(self, path):
        assert global_randomness(path.read_text()) == []


def test_every_room_is_in_its_wing():
    found = {wing: sorted(path.stem for path in ROOMS if path.parent.name == wing) for wing in WINGS}
    assert found == {wing: sorted(rooms) for wing, rooms in WINGS.items()}


def test_every_wing_says_in_a_line_what_each_room_does():
    for door in DOORS.values():
        assert re.findall(r"(?m)^(\w+) : \w", door.__doc__) == list(door.__all__)


def test_the_picture_of_the_package_is_true():
    picture = (ROOT / "CONTRIBUTING.md").read_text().split("## Code")[1].split("```")[1]
    lines = {line.split()[0]: re.split(r" {2,}", line)[1] for line in picture.strip().splitlines()}
    drawn = {part: rooms.split(" · ") for part, rooms in lines.items()}
    assert drawn == WINGS | {"cli": ["the command `lumbo`"], "ground": list(GROUND[1:])}


@pytest.mark.parametrize(
    "source",
    [
        "from lumbo.learning import models",
        "from lumbo import learning",
        "import lumbo",
        "import lumbo.learning.models",
        "from lumbo.learning.models import Net",
        "def f():\n    from lumbo.learning.models import Net",
        "from . import models",
        "from lumbo.films import hospitals",  # a later room of the wing
        "from lumbo.pages import figures",  # the wing next door
        "from lumbo.films.anatomy import Spines",  # not even itself
    ],
)
def test_an_import_from_above_is_found(source):
    assert imports_upwards("films.anatomy", source)


def test_an_import_from_below_is_allowed():
    source = "import numpy\nfrom lumbo import __version__, angles\nfrom lumbo.errors import InputError"
    assert not imports_upwards("films.anatomy", source + "\nfrom lumbo.films import populations")


@pytest.mark.parametrize(
    "call", ["np.random.seed(0)", "numpy.random.rand()", "torch.manual_seed(0)", "random.random()"]
)
def test_global_randomness_is_found(call):
    assert global_randomness(f"def f():\n    return {call}")


FORKED = "with torch.random.fork_rng(devices=[]):\n    torch.manual_seed(0)"


@pytest.mark.parametrize(
    "code", ["np.random.default_rng(0)", "torch.Generator().manual_seed(0)", "rng.random()", FORKED]
)
def test_randomness_of_ones_own_is_allowed(code):
    assert not global_randomness(code)


def test_taught_in_reads_every_chapter():
    text = '"""Loops.  Taught in on_its_own and pooling.\n\nUsed in the experiment."""'
    assert taught_in(text) == ["on_its_own", "pooling"]
