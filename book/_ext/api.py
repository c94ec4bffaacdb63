"""The reference of the package: the directive ``rooms``, and docstrings turned into what Sphinx reads.

``.. rooms:: lumbo.films`` describes the wing and each room that its ``__all__`` lists.  Docstrings of the package
are plain: `name` in backticks becomes a link where the reference has that name, else code; sections are underlined;
a line ``name : text`` says what a name means; ``Taught in four_angles.`` leads to that chapter.
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from types import ModuleType

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

VALUE_CHARACTERS = 200  # a constant that takes more is shown without its value
NAMES = r"\w+(?:, \w+)*"
ENTRY = re.compile(rf"({NAMES}) : +(.*)")
MARKS = re.compile(
    r"""(?P<code>``.+?`` | :[\w:]+:`[^`]+`)  # as it should be already
    | `(?P<name>[^`]+)`
    | (?P<sign>\| | (?<=[ (])\*+(?=\w+[,)]) | (?<=\w)_(?!\w))  # of no meaning here, but of some to Sphinx
    """,
    re.VERBOSE,
)
TAUGHT, SLUG = re.compile(r"Taught in [^.]*\."), re.compile(r"\b(?!(?:Taught|in|and)\b)\w+")


class Rooms(SphinxDirective):
    """Describe a package, then every room of it, in the order of its ``__all__``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the package's docstring and a section a room."""
        package = importlib.import_module(self.arguments[0])
        parts = [f".. automodule:: {package.__name__}"]
        for room in rooms(package):
            title = room.__name__.rpartition(".")[2]
            parts += [f"{title}\n{'-' * len(title)}", f".. automodule:: {room.__name__}"]
            parts += [entry(room, name) for name in room.__all__]
        return self.parse_text_to_nodes("\n\n".join(parts), allow_section_headings=True)


def entry(room: ModuleType, name: str) -> str:
    """Write the directive of autodoc that describes one name of a room."""
    thing, full = getattr(room, name), f"{room.__name__}.{name}"
    if inspect.isclass(thing):
        shown = ", ".join(methods(thing))
        return f".. autoclass:: {full}" + f"\n   :members: {shown}" * bool(shown)
    if inspect.isroutine(thing) or hasattr(thing, "__wrapped__"):
        return f".. autofunction:: {full}"
    return f".. autodata:: {full}\n" + "   :no-value:" * (len(repr(thing)) > VALUE_CHARACTERS)


def methods(thing: type) -> list[str]:
    """List what a class defines in public with a docstring of its own."""
    own = {name: value.__doc__ for name, value in vars(thing).items() if value.__doc__ != type(value).__doc__}
    told = {name: said for name, said in own.items() if said and not said.startswith("Alias for field")}
    return [name for name in told if not name.startswith("_")]


def rooms(package: ModuleType) -> list[ModuleType]:
    """List the modules that a package shows, without those that are packages themselves."""
    shown = (getattr(package, name) for name in package.__all__)
    return [one for one in shown if inspect.ismodule(one) and not hasattr(one, "__path__")]


@cache
def documented() -> dict[str, str]:
    """Give the role of everything that the reference lists, by its full name."""
    lumbo = importlib.import_module("lumbo")
    shown = (getattr(lumbo, name) for name in lumbo.__all__)
    found = {}
    for wing in (lumbo, *(one for one in shown if hasattr(one, "__path__"))):
        found[wing.__name__] = "py:mod"
        for room in rooms(wing):
            found[room.__name__] = "py:mod"
            found |= {f"{room.__name__}.{name}": "py:obj" for name in names(room)}
    return found


def names(room: ModuleType) -> Iterator[str]:
    """Name what a room offers, and the methods of its classes."""
    for name in room.__all__:
        yield name
        thing = getattr(room, name)
        yield from (f"{name}.{method}" for method in (methods(thing) if inspect.isclass(thing) else ()))


def full_name(name: str, place: str) -> str | None:
    """Find what a docstring calls `name`: near `place` first, then anywhere if one thing alone ends like that."""
    while place:
        if (near := f"{place}.{name}") in documented():
            return near
        place = place.rpartition(".")[0]
    ends = [full for full in documented() if f".{full}".endswith(f".{name}")]
    return ends[0] if len(ends) == 1 else None


def marked_up(text: str, place: str, own: set[str]) -> str:
    """Make each `name` a link, or code where it is a parameter, one of `own`, or nothing that is listed."""

    def one(mark: re.Match) -> str:
        if name := mark["name"]:
            full = None if name in own else full_name(name, place)
            return f":{documented()[full]}:`{name} <{full}>`" if full else f"``{name}``"
        return mark["code"] or "".join(f"\\{sign}" for sign in mark["sign"])

    return MARKS.sub(one, text)


def items(lines: list[str]) -> Iterator[str]:
    """Turn each ``name : text;  another : text`` into items of a list, and an error above its reasons into a link."""
    listed = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if ENTRY.fullmatch(line):
            listed = True
            # Where the next word would have had room, the line was ended on purpose: it is a type.
            pause = " –" if below.startswith(" ") and len(line) + len(below.split()[0]) < 80 else ""
            for part in re.split(rf";  (?={NAMES} : )", line + pause):
                named, told = ENTRY.fullmatch(part).groups()
                yield f"\n* ``{named}``: {told}"
        elif line.isidentifier() and below.startswith(" "):
            yield f"`{line}`"
        else:
            yield f"  {line.strip()}" if listed and line.startswith(" ") else line


def block(text: str, place: str, own: set[str]) -> str:
    """Turn the lines of a docstring between two empty ones into reStructuredText."""
    lines = re.sub(r"(?m)^(.+)\n---+$", r".. rubric:: \1\n", text).split("\n")
    return marked_up("\n".join(items(lines)), place, own)


def restructured(text: str, place: str, own: set[str]) -> str:
    """Turn a docstring into reStructuredText; `place` is what it describes, `own` the names of parameters."""
    result, code = [], False
    for part in text.split("\n\n"):
        code = part.startswith(" ") and (code or (result and result[-1].endswith("::")))
        result.append(part if code or part.startswith(">>>") else block(part, place, own))
    return TAUGHT.sub(lambda taught: SLUG.sub(r":ref:`\g<0>`", taught[0]), "\n\n".join(result))


def read_docstring(app: Sphinx, what: str, name: str, thing: object, options, lines: list[str]) -> None:
    """Do so with each docstring that autodoc has found; a constant has none, but a comment in its line."""
    if what == "data":
        module, _, constant = name.rpartition(".")
        source = inspect.getsource(importlib.import_module(module))
        lines[:] = re.findall(rf"(?m)^{constant}\b.*  # (?!fmt:)(.*)$", source) + [""]
    try:
        own = set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):  # nothing that is called
        own = set()
    text = "\n".join(lines)
    if hasattr(thing, "__path__"):  # a wing, which says in a line what each room does
        text = re.sub(r"(?m)^(\w+) : ", r"* `\1`: ", text)
    lines[:] = restructured(text, name, own).split("\n")


def setup(app: Sphinx) -> dict:
    """Register the directive and the reader of docstrings."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("rooms", Rooms)
    app.connect("autodoc-process-docstring", read_docstring)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
