"""What living figures load on demand becomes files of the book: ``_static/lumbo/NAME.js``.

A page that is itself a file may load scripts and nothing else, so each payload is a script.  They are drawn when the
book is built, by the code that a kernel would ask, and so never fall behind it.
"""

from importlib import import_module
from pathlib import Path

from sphinx.application import Sphinx

from lumbo import pages
from lumbo.pages import living


def write(folder: Path) -> None:
    """Write the payloads of every living figure of the package into a folder."""
    for room in pages.__all__:
        import_module(f"lumbo.pages.{room}")
    folder.mkdir(parents=True, exist_ok=True)
    for figure in living.Living.__subclasses__():
        for name, make in figure.payloads.items():
            (folder / f"{name}.js").write_text(living.payload_script(name, make()), encoding="utf-8")


def write_payloads(app: Sphinx, error: Exception | None) -> None:
    """Write them where the pages look for them."""
    if not error and app.builder.format == "html":
        write(Path(app.outdir) / "_static" / "lumbo")


def setup(app: Sphinx) -> dict:
    """Do this once all pages are written."""
    app.connect("build-finished", write_payloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
