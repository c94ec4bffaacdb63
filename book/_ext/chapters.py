"""Chapters are named by their slug: the name of their file without the number.

``[text](#four_angles)`` and ``{ref}`four_angles` `` lead to ``chNN_four_angles``, whatever NN is; without a text
they show the chapter's title as far as the colon.  The page itself shows its number before its title; so do the
contents, which end at the colon too.  So a chapter is put in between by renaming files.  A slug that no file has is a warning, like any unknown label.
"""

import re
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx

CHAPTER = re.compile(r"ch(?P<number>\d\d)_(?P<slug>\w+)")


def name_and_number(app: Sphinx, page: nodes.document) -> None:
    """Make the slug of a chapter a label of its page, and put the number before its title."""
    docname = app.env.docname
    chapter = CHAPTER.fullmatch(PurePosixPath(docname).name)
    if chapter:
        title = next(page.findall(nodes.title))
        short, _, _ = title.astext().partition(":")
        app.env.get_domain("std").note_hyperlink_target(chapter["slug"], docname, "", short)
        title.insert(0, nodes.Text(f"{int(chapter['number'])}. "))


def shorten(app: Sphinx, page: nodes.document) -> None:
    """End the title of a chapter at its colon wherever the contents name it."""
    docname = app.env.docname
    if not CHAPTER.fullmatch(PurePosixPath(docname).name):
        return
    short = app.env.titles[docname].astext().partition(":")[0]
    app.env.titles[docname] = nodes.title("", short)
    entry = next(app.env.tocs[docname].findall(nodes.reference))
    entry.children = [nodes.Text(short)]


def setup(app: Sphinx) -> dict:
    """Do this to each page that is read, before Sphinx collects the titles and after it."""
    app.connect("doctree-read", name_and_number, priority=400)
    app.connect("doctree-read", shorten, priority=600)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
