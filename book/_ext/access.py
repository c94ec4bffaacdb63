"""What the theme and pandas leave out for readers who hear a page or go through it by keyboard.

Each repair is a pattern in the finished page and what it becomes; `tests/test_access.py` runs axe over the result.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

REPAIRS = [
    # pandas and Markdown head the column of row names, and names of levels, with empty header cells: they are no headers.
    (r"<th((?:\s[^>]*)?)>\s*(?:<p></p>)?\s*</th>", r"<td\1></td>"),
    # The button that opens a part of the contents has an icon only.
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Its pages">'),
    # The column at the left, with the logo, belongs to no landmark.
    (
        r'<div id="pst-primary-sidebar"(?! role)',
        '<div id="pst-primary-sidebar" role="region" aria-label="Book"',
    ),
]


def repaired(html: str) -> str:
    """Return a page with all repairs; done twice, they change nothing more.

    >>> repaired("<tr><th></th><th>SS</th></tr>")
    '<tr><td></td><th>SS</th></tr>'
    """
    for pattern, better in REPAIRS:
        html = re.sub(pattern, better, html)
    return html


def repair(app: Sphinx, error: Exception | None) -> None:
    """Repair every page of the book."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for page in Path(app.outdir).rglob("*.html"):
        if static not in page.parents:
            html = page.read_text(encoding="utf-8")
            page.write_text(repaired(html), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Do this once all pages are written."""
    app.connect("build-finished", repair)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
