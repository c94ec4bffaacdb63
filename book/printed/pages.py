"""Print part one of the built book into one PDF through a headless Chromium, and the worksheet and its key.

    python -m book.printed.pages _build/html _build

The pages become one document: living figures stand as their still pictures, folded code is opened, code that is wider
than the paper is broken and not cut, and solutions are collected at the end.  Bookmarks come from the headings.
"""

import re
import shutil
import sys
from pathlib import Path

from bs4 import BeautifulSoup, Tag
from playwright.sync_api import sync_playwright

from book.printed import HERE, part_one

BEFORE, AFTER = ["book/index"], ["book/glossary", "book/bibliography"]  # of the chapters
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = f"""\
No browser to print with: none of {", ".join(BROWSERS)} is installed.
On Debian and Ubuntu: apt-get install chromium.  Without one, open _build/html/index.html in any browser and print
its pages from there."""
MATHJAX = (
    """window.MathJax = {options: {processHtmlClass: "tex2jax_process|mathjax_process|math|output_area"}}"""
)
FOOTER = """<div style="width: 100%; font: 8pt sans-serif; display: flex; padding: 0 18mm; color: #444">
<span style="flex: 1">lumbo, part one. Not for clinical use.</span><span class="pageNumber"></span></div>"""


def article(html: Path, name: str) -> Tag:
    """Return the text of a page, ready for paper and for standing among others; its solutions are still in it."""
    text = BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser").article
    assert text is not None
    for tag in text.select("script, style, button, .headerlink, .prev-next-area"):
        tag.decompose()
    for folded in text.select("details.hide"):
        folded.summary.decompose()
        folded.unwrap()
    for form in text.select(".lumbo-static:not(:has(img))"):  # an exercise: its question is in the text
        form.replace_with(_tag('<p class="answer">Answer:</p>'))
    folder = (html / name).parent
    for tag in text.select("[id]"):
        tag["id"] = _anchor(name, tag["id"])
    for tag in text.select("[src]"):
        if not re.match(r"\w+:", tag["src"]):
            tag["src"] = (folder / tag["src"]).resolve().as_uri()
    for link in text.select("a[href]"):
        link["href"] = _target(html, folder, name, link["href"])
    page = _tag(f'<article id="{_anchor(name, "")}"></article>')
    page.extend(list(text.children))
    assert page.h1 is not None
    title, _, asked = page.h1.get_text().strip().partition(": ")  # the browser's bookmarks hold no line break
    page.h1.string = title
    if asked:
        page.h1.insert_after(_tag(f'<p class="question">{asked[0].upper()}{asked[1:]}</p>'))
    return page


def _anchor(page: str, own: str) -> str:
    """What an id of a page is called in the one document, where ids of pages would meet."""
    return re.sub(r"\W", "-", f"{page}-{own}") if own else re.sub(r"\W", "-", page)


def _target(html: Path, folder: Path, name: str, href: str) -> str:
    """Where a link leads in the one document; addresses of the network stay."""
    path, _, own = href.partition("#")
    if re.match(r"\w+:", href):
        return href
    page = (folder / path).resolve().relative_to(html.resolve()).with_suffix("").as_posix() if path else name
    return f"#{_anchor(page, own)}"


def take_solutions(page: Tag, title: str) -> list[Tag]:
    """Replace each folded solution by a pointer to the end of the book; returns them, each with a way back."""
    taken = []
    for k, folded in enumerate(page.select("details"), 1):
        here, there = f"{page['id']}-question-{k}", f"{page['id']}-solution-{k}"
        folded.insert_before(_tag(f'<p class="pointer" id="{here}"><a href="#{there}">Solution {k}</a></p>'))
        if folded.summary:
            folded.summary.decompose()
        solution = _tag(f'<div class="solution" id="{there}"><b><a href="#{here}">{k}.</a></b></div>')
        solution.append(folded.extract())
        folded.unwrap()
        taken.append(solution)
    return [_tag(f"<h2>{title}</h2>"), *taken] if taken else []


def document(html: Path, names: list[str]) -> str:
    """Write the pages as one HTML document."""
    pages = [article(html, name) for name in names]
    titles = [page.h1.get_text().strip() for page in pages]
    listed = "".join(f'<li><a href="#{page["id"]}">{title}</a></li>' for page, title in zip(pages, titles))
    solved = [tag for page, title in zip(pages, titles) for tag in take_solutions(page, title)]
    style = (HERE / "pages.css").read_text(encoding="utf-8")
    pygments = (html / "_static" / "pygments.css").read_text(encoding="utf-8")
    mathjax = (html / "_static" / "vendor" / "mathjax" / "tex-svg.js").resolve().as_uri()
    return f"""<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>lumbo, part one: {titles[0]}</title>
<style>{pygments}{style}</style><script>{MATHJAX}</script><script src="{mathjax}"></script></head><body>
<nav aria-label="Contents"><h2>Contents</h2><ul>{listed}<li><a href="#solutions">Solutions</a></li></ul></nav>
{"".join(map(str, pages))}
<article id="solutions"><h1>Solutions</h1>{"".join(map(str, solved))}</article></body></html>
"""


def _tag(html: str) -> Tag:
    """Make the one element that a piece of HTML describes."""
    made = BeautifulSoup(html, "html.parser").find()
    assert isinstance(made, Tag)
    return made


def print_page(page: Path, pdf: Path, **options) -> None:
    """Print one HTML file on A4, offline, as soon as its formulas stand; says so and ends where no browser is."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(NO_BROWSER)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        view = chromium.new_context(offline=True).new_page()
        view.goto(page.resolve().as_uri(), wait_until="load", timeout=180_000)
        view.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)", timeout=180_000)
        view.pdf(path=pdf, format="A4", print_background=True, tagged=True, **options)
        chromium.close()
    print(pdf)


def main(html: Path, folder: Path) -> None:
    """Print part one, the worksheet and its key."""
    page = folder / "part-one.html"
    page.write_text(document(html, [*BEFORE, *part_one(), *AFTER]), encoding="utf-8")
    margin = {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"}
    frame = {"display_header_footer": True, "header_template": "<span></span>", "footer_template": FOOTER}
    print_page(page, folder / "part-one.pdf", outline=True, margin=margin, **frame)
    for sheet in ("worksheet", "worksheet-key"):
        print_page(
            html / "_static" / f"{sheet}.html", folder / f"{sheet}.pdf", margin=dict.fromkeys(margin, "12mm")
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
