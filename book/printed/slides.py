"""Turn a chapter into slides: one HTML file that needs no network, no kernel and no server.

    python -m book.printed.slides _build/slides

A slide shows what an instructor points at: a heading, its key sentences (the first, and those in bold), then each
figure with the sentence after it, living figures alive and code folded.  The rest of the text is in the speaker
notes.  A cell decides for itself by Jupyter's own metadata: {"slideshow": {"slide_type": "skip"}} leaves it out,
"notes" puts all of it into the notes, "slide" shows all of it on a slide of its own.
"""

import html
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from book._ext.payloads import write
from book.printed import HERE, ROOT, part_one

MATHJAX = HERE.parent / "static" / "vendor" / "mathjax" / "tex-svg.js"
SOLUTION = re.compile(r"(<details>\s*<summary>.*?</details>)", re.DOTALL)
STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
SENTENCE = re.compile(r"(?<=[.?!:])(?:\*{1,2})?\s+(?=[A-ZÀ-Þ*`$\"“(])")
BOLD = re.compile(r"\*\*.+?\*\*", re.DOTALL)
ASKED = ("Exercises", "Three questions")  # sections in which a paragraph that begins in bold asks
MOST_KEYS, MOST_ROWS = 3, 8  # sentences on a slide, rows of a table on it
PICTURES = ("image/svg+xml", "image/png", "image/jpeg")


@dataclass
class Slide:
    """Markdown to show above the figure and below it, the figure as HTML, its code, and Markdown for the speaker."""

    title: str
    above: list[str] = field(default_factory=list)
    figure: str = ""
    below: list[str] = field(default_factory=list)
    code: str = ""
    notes: list[str] = field(default_factory=list)
    kind: str = "section"


def reader() -> MarkdownIt:
    """Markdown to HTML as notebooks use it: tables, formulas, raw HTML; links are words, since nobody clicks them."""
    plain = MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin)
    for rule in ("link_open", "link_close"):
        plain.add_render_rule(rule, lambda *_: "")
    plain.add_render_rule("math_inline", lambda _, tokens, i, *__: rf"\({html.escape(tokens[i].content)}\)")
    plain.add_render_rule("math_block", lambda _, tokens, i, *__: rf"\[{html.escape(tokens[i].content)}\]")
    return plain


MARKDOWN = reader()


def blocks(text: str) -> list[tuple[str, str]]:
    """Cut Markdown into (kind, source) at its top level; "heading", "paragraph", "bullet_list", "table", …

    >>> blocks("## Why\\n\\nSo.")
    [('heading', '## Why'), ('paragraph', 'So.')]
    """
    lines = text.splitlines()
    tops = [token for token in MARKDOWN.parse(text) if token.level == 0 and token.nesting >= 0 and token.map]
    return [(t.type.removesuffix("_open"), "\n".join(lines[slice(*t.map)]).strip()) for t in tops]


def sentences(paragraph: str) -> list[str]:
    """Cut a paragraph where a sentence ends.

    >>> sentences("PI stays. The other three move: why?")
    ['PI stays.', 'The other three move: why?']
    """
    ends = [match.end() for match in SENTENCE.finditer(paragraph) if not _inside(paragraph, match.start())]
    return [paragraph[a:b].strip() for a, b in zip([0, *ends], [*ends, None])]


def _inside(text: str, at: int) -> bool:
    """Whether a place lies in a formula, in bold or in code, or follows a colon that only introduces a clause."""
    odd = any(text[:at].count(mark) % 2 for mark in ("$", "**", "`"))
    return odd or text[:at].rstrip("*").endswith(":")


def keys(parts: list[tuple[str, str]]) -> list[str]:
    """Choose what a slide says: the first sentence, what it introduces, and sentences with something in bold."""
    found: list[str] = []
    for i, (kind, source) in enumerate(parts):
        if kind != "paragraph":
            continue
        said = [s for n, s in enumerate(sentences(source)) if BOLD.search(s) or (n == 0 and not found)]
        found += said[: MOST_KEYS - len(found)]
        introduced = parts[i + 1] if i + 1 < len(parts) and source.endswith(":") else ("", "")
        if source.endswith(":") and introduced[0] in ("bullet_list", "ordered_list", "table", "math_block"):
            if sentences(source)[-1] not in found:
                found.append(sentences(source)[-1])
            if introduced[1].count("\n") <= MOST_ROWS:
                found.append(introduced[1])
        if len(found) >= MOST_KEYS:
            break
    return found


def figures(cell) -> Iterator[str]:
    """Yield the HTML of the pictures and living figures among a cell's outputs."""
    words = cell.metadata.get("mystnb", {})
    alt, caption = words.get("image", {}).get("alt", ""), words.get("figure", {}).get("caption", "")
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        alive = "".join(data.get("text/html", ""))
        kind = next((kind for kind in PICTURES if kind in data), None)
        if "lumbo-static" in alive:
            yield alive
        elif kind:
            drawn = "".join(data[kind]).strip()
            source = f"data:{kind},{quote(drawn)}" if "svg" in kind else f"data:{kind};base64,{drawn}"
            picture = f'<img src="{html.escape(source)}" alt="{html.escape(alt)}">'
            below = MARKDOWN.renderInline(caption)
            yield f"<figure>{picture}{f'<figcaption>{below}</figcaption>' if caption else ''}</figure>"


def result(cell) -> str:
    """Return the HTML of a cell's last table, or else of what it printed; "" where that is too long for a slide."""
    tables, printed = [], ""
    for output in cell.get("outputs", ()):
        tables += [
            found for found in ["".join(output.get("data", {}).get("text/html", ""))] if "<table" in found
        ]
        printed += output.get("text", "")
    if tables and tables[-1].count("<tr") <= 2 * MOST_ROWS:
        return STYLE.sub("", tables[-1]).replace("<th></th>", "<td></td>")
    return f"<pre>{html.escape(printed.rstrip())}</pre>" if 0 < printed.count("\n") <= 2 * MOST_ROWS else ""


def slides(notebook) -> list[Slide]:
    """Make the slides of a chapter."""
    made: list[Slide] = []
    for cell in notebook.cells:
        how, tags = cell.metadata.get("slideshow", {}).get("slide_type", ""), cell.metadata.get("tags", ())
        if how == "skip" or "remove-cell" in tags:
            continue
        if cell.cell_type == "markdown":
            _read_text(made, cell.source, how)
        elif how != "notes" and made:
            _read_code(made, cell, asked="remove-input" in tags)
    return [slide for slide in made if slide.above or slide.figure or slide.kind == "title"]


def _read_text(made: list[Slide], text: str, how: str) -> None:
    """Put a Markdown cell on the last slide, or begin new ones at its headings and exercises."""
    if how == "notes" and made:
        made[-1].notes.append(text)
        return
    parts: list[tuple[str, str]] = []
    for piece in SOLUTION.split(text):
        if SOLUTION.fullmatch(piece):
            _say(made, parts, how)
            made[-1].notes.append(piece)
            parts = []
            continue
        for kind, source in blocks(piece):
            exercise = (
                kind == "paragraph" and made and made[-1].title == "Exercises" and source.startswith("**")
            )
            if kind == "heading" or exercise:
                _say(made, parts, how)
                title = made[-1].title if exercise else source.lstrip("# ").strip()
                made.append(Slide(title, kind="section" if made else "title"))
                parts = []
            if kind != "heading":
                parts.append((kind, source))
    _say(made, parts, how)


def _say(made: list[Slide], parts: list[tuple[str, str]], how: str) -> None:
    """Put the text below a heading on the slides: all or the key sentences on the slide, all of it in the notes."""
    if not parts or not made:
        return
    last, text = made[-1], [source for _, source in parts]
    if last.kind == "asked":  # what follows holds the answer
        made.append(last := Slide(last.title))
    if last.kind == "title":
        asked = [s for _, p in parts for s in sentences(p) if BOLD.search(s) and "?" in s][:1]
        last.above = asked + [p for _, p in parts if "Not for clinical use" in p]
        made += [Slide("After this chapter you can", [p]) for kind, p in parts if kind == "bullet_list"][:1]
    elif how == "slide":
        made.append(Slide(last.title, text))
    elif last.title == "What we learnt":
        last.above = [p for kind, p in parts if kind in ("bullet_list", "ordered_list")] or keys(parts)
    elif last.title in ASKED:
        last.above += text
    elif last.figure:
        last.below = last.below or keys(parts)[:1]
    elif not last.above:
        last.above = keys(parts)
    last.notes += text


def _read_code(made: list[Slide], cell, asked: bool) -> None:
    """Put a cell's figures on the last slide, or on new ones; where a section has none so far, what the cell found."""
    last, drawn = made[-1], list(figures(cell))
    if asked and last.notes and last.title not in ASKED:  # the question is the paragraph before, all of it
        question = blocks(last.notes[-1])[-1][1]
        if last.figure:
            made.append(last := Slide(last.title))
        last.above = [said for said in last.above if said not in question] + [question]
    for figure in drawn:
        if last.figure and last.kind != "result" or last.kind == "title":
            made.append(last := Slide(last.title))
        last.figure, last.below, last.code = figure, [], "" if asked else cell.source
        last.kind = "asked" if asked else "section"
    if not drawn and not last.figure and last.kind == "section" and (found := result(cell)):
        last.figure, last.code, last.kind = found, cell.source, "result"


def page(title: str, made: list[Slide]) -> str:
    """Write the slides as one HTML page."""
    style = (HERE / "slides.css").read_text(encoding="utf-8")
    style += HtmlFormatter(style="a11y-high-contrast-light").get_style_defs(".code")
    script = (HERE / "slides.js").read_text(encoding="utf-8")
    shown = "\n".join(_section(slide, i, len(made)) for i, slide in enumerate(made, 1))
    return f"""<!doctype html>
<html lang="en" data-theme="light" data-content_root="">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{style}</style><script defer src="{MATHJAX.name}"></script></head>
<body><main>
{shown}
</main>
<nav aria-label="Slides"><button type="button" data-go="-1" aria-label="Slide before">←</button>
<output id="place" aria-live="polite"></output><button type="button" data-go="1" aria-label="Next slide">→</button>
<button type="button" data-notes aria-pressed="false">Notes</button></nav>
<script>{script}</script></body></html>
"""


def _section(slide: Slide, number: int, of: int) -> str:
    level = "h1" if slide.kind == "title" else "h2"
    heading, colon, question = MARKDOWN.renderInline(slide.title).partition(":")
    if slide.kind == "title" and colon:
        heading += f" <small>{question.strip()[:1].upper()}{question.strip()[1:]}</small>"
    else:
        heading += colon + question
    above, below = (
        "\n".join(MARKDOWN.render(part) for part in parts) for parts in (slide.above, slide.below)
    )
    code = highlight(slide.code, PythonLexer(), HtmlFormatter(nowrap=True)) if slide.code else ""
    folded = f'<details class="code"><summary>Code</summary><pre tabindex="0">{code}</pre></details>' * bool(
        code
    )
    figure = f'<div class="figure">{slide.figure}</div>' if slide.figure else ""
    notes = "\n".join(MARKDOWN.render(part) for part in slide.notes).replace("<details>", "<details open>")
    return (
        f'<section class="{slide.kind}" aria-label="Slide {number} of {of}"><div class="slide">'
        f'<{level}>{heading}</{level}><div class="above">{above}</div>{figure}<div class="below">{below}</div>{folded}'
        f'</div><aside class="notes" aria-label="Notes">{notes}</aside></section>'
    )


def main(folder: Path) -> None:
    """Write the slides of part one, and what they load, into a folder that can be carried away."""
    write(folder / "_static" / "lumbo")
    shutil.copy(MATHJAX, folder)
    for chapter in part_one():
        made = slides(nbformat.read(ROOT / f"{chapter}.ipynb", as_version=4))
        name = folder / f"{Path(chapter).name.partition('_')[0]}.html"
        name.write_text(page(made[0].title, made), encoding="utf-8")
        print(f"{name}: {len(made)} slides")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
