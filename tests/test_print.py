"""What instructors project and print: slides, part one as a PDF, the worksheet and its key."""

import json
import re
import subprocess
import sys
import tomllib

import nbformat
import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader

from lumbo.angles import ANGLES
from lumbo.films import calibration

A4, LETTER = (210.0, 297.0), (215.9, 279.4)
MM = 96 / 25.4  # CSS pixels
SCREEN = {"width": 1280, "height": 720}


@pytest.fixture(scope="module")
def chapters(root) -> list:
    """The files of the first part of the contents."""
    contents = yaml.safe_load((root / "_toc.yml").read_text())
    return [root / f"{chapter['file']}.ipynb" for chapter in contents["parts"][0]["chapters"]]


@pytest.fixture(scope="module")
def make(root):
    """A function: run one of the scripts in the checkout."""

    def make(script, *arguments, **environment):
        command = [sys.executable, "-m", f"book.printed.{script}", *map(str, arguments)]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, **environment)

    return make


# Slides.


@pytest.fixture(scope="module")
def slides(make, tmp_path_factory):
    """The folder of the slides."""
    folder = tmp_path_factory.mktemp("slides")
    done = make("slides", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(browser):
    """Open slides as a projector does, offline; at the end nothing may have been complained of or asked for."""
    contexts, trouble = [], []

    def project(file):
        context = browser.new_context(viewport=SCREEN, offline=True)
        contexts.append(context)
        view = context.new_page()
        view.on("console", lambda message: trouble.append(message.text))
        view.on("pageerror", lambda error: trouble.append(str(error)))
        own = ("blob:", "data:", file.parent.as_uri())
        view.on("request", lambda sent: sent.url.startswith(own) or trouble.append(sent.url))
        view.goto(file.as_uri(), wait_until="load", timeout=120_000)
        view.wait_for_function("MathJax.startup.promise.then(() => true)", timeout=120_000)
        view.wait_for_function(
            "document.querySelectorAll('.lumbo-static:not([data-ready])').length == 0", timeout=120_000
        )
        return view

    yield project
    for context in contexts:
        context.close()
    assert trouble == []


OVERFLOW = """() => {
  const slide = document.querySelector(".now .slide"), room = slide.getBoundingClientRect();
  const shown = [...slide.querySelectorAll("h1, h2, p, li, img, table, pre, .lumbo, mjx-container, figcaption")];
  return shown.filter((one) => one.checkVisibility() && !one.closest("details, .lumbo *")).flatMap((one) => {
    const box = one.getBoundingClientRect();
    const out = box.bottom > room.bottom + 1 || box.right > room.right + 1 || box.left < -1 || box.top < -1;
    return out ? [`${one.tagName} ${one.textContent.slice(0, 60)} ${JSON.stringify(box)}`] : [];
  });
}"""


def test_every_slide_fits_and_the_arrow_keys_reach_it(slides, chapters, project):
    for chapter in chapters:
        view = project(slides / f"{chapter.name[:4]}.html")
        count = view.locator("main > section").count()
        assert count > 10
        for number in range(1, count + 1):
            assert view.locator("#place").inner_text() == f"{number} / {count}"
            assert view.locator("section.now").count() == 1
            assert view.evaluate(OVERFLOW) == [], f"{chapter.name}, slide {number}"
            view.keyboard.press("ArrowRight")
        assert view.locator("#place").inner_text() == f"{count} / {count}"
        view.keyboard.press("ArrowLeft")
        view.keyboard.press("PageUp")
        assert view.locator("#place").inner_text() == f"{count - 2} / {count}"
        view.keyboard.press("Home")
        assert view.locator("#place").inner_text() == f"1 / {count}"


def test_slides_have_the_chapters_headings_figures_and_exercises(slides, chapters):
    for chapter in chapters:
        soup = BeautifulSoup((slides / f"{chapter.name[:4]}.html").read_text(), "html.parser")
        titles = [tag.get_text().replace("\\(", "").replace("\\)", "") for tag in soup.select("h2")]
        cells = nbformat.read(chapter, 4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        for heading in re.findall(r"^## (.+)$", text, re.MULTILINE):
            if "Where the numbers" not in heading:
                assert re.sub(r"[`*$]", "", heading) in titles, heading
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
        pictures = sum(any(kind.startswith("image/") for kind in one) for one in outputs)
        assert len(soup.select(".figure > figure > img")) == pictures
        alive = sum("lumbo-static" in "".join(one.get("text/html", "")) for one in outputs)
        assert len(soup.select(".figure .lumbo-static")) == alive > 0
        assert all(image["alt"].strip() for image in soup.select(".figure > figure > img"))
        assert not soup.select(".slide details:not(.code)"), "a solution stands on a slide"


def test_a_figure_lives_on_its_slide_and_keeps_its_keys(slides, project):
    view = project(slides / "ch01.html")
    while not view.locator("section.now .lumbo-posture").count():
        view.keyboard.press("ArrowRight")
    place = view.locator("#place").inner_text()
    state = "document.querySelector('.now .lumbo-static').lumbo.get('landmarks')"
    before = view.evaluate(state)
    view.locator("section.now input[type=range]").first.focus()
    view.keyboard.press("ArrowRight")
    assert view.evaluate(state) != before
    assert view.locator("#place").inner_text() == place
    moved, handle = view.evaluate(state), view.locator("section.now .handle").first.bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    view.mouse.move(x, y)
    view.mouse.down()
    view.mouse.move(x + 15, y + 10)
    view.mouse.up()
    assert view.evaluate(state) != moved
    view.keyboard.press("PageDown")
    assert view.locator("#place").inner_text() != place


def test_notes_come_with_a_key_and_hold_the_solutions(slides, project):
    view = project(slides / "ch01.html")
    assert not view.locator("section.now .notes").is_visible()
    view.keyboard.press("End")
    view.keyboard.press("n")
    assert view.locator("section.now .notes").is_visible()
    assert view.locator(".notes details").count() > 3


def test_a_cell_chooses_for_itself(root, make, tmp_path):
    program = """
import json, sys, nbformat
from book.printed import slides
cell = nbformat.v4.new_markdown_cell
book = nbformat.v4.new_notebook(cells=[
    cell("# A: b?\\n\\nNot for clinical use."), cell("## One\\n\\nFirst. Second."),
    cell("Left out.", metadata={"slideshow": {"slide_type": "skip"}}),
    cell("Whispered.", metadata={"slideshow": {"slide_type": "notes"}}),
    cell("All. Of it.", metadata={"slideshow": {"slide_type": "slide"}})])
print(json.dumps([[s.title, s.above, s.notes] for s in slides.slides(book)]))"""
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    _, one, chosen = json.loads(done.stdout)
    assert one == ["One", ["First."], ["First. Second.", "Whispered.", "All. Of it."]]
    assert chosen == ["One", ["All. Of it."], []]


# The PDF.


@pytest.fixture(scope="module")
def printed(make, html, browser, tmp_path_factory):
    """The folder of the PDFs."""
    folder = tmp_path_factory.mktemp("printed")
    done = make("pages", html, folder)
    assert done.returncode == 0, done.stderr
    return folder


def squeezed(text: str) -> str:
    """A text without its spaces and line breaks: paper breaks lines where it likes."""
    return re.sub(r"\s", "", text)


def test_the_pdf_holds_every_chapter_whole(printed, chapters):
    pdf = PdfReader(printed / "part-one.pdf")
    assert 20 < len(pdf.pages) < 300
    text = squeezed("".join(page.extract_text() for page in pdf.pages))
    for chapter in chapters:
        cells = nbformat.read(chapter, 4).cells
        title = cells[0].source.splitlines()[0].lstrip("# ").partition(":")[0]
        assert squeezed(title) in text
        shown = [
            c
            for c in cells
            if c.cell_type == "code" and not {"remove-cell", "remove-input"} & {*c.metadata.get("tags", ())}
        ]
        lines = sorted((line for c in shown for line in c.source.splitlines()), key=len)[-25:]
        lost = [line for line in lines if squeezed(line) not in text]
        assert lost == [], chapter.name


def test_the_pdf_has_bookmarks_and_page_numbers(printed, chapters):
    pdf = PdfReader(printed / "part-one.pdf")
    names = [mark.title for mark in pdf.outline if not isinstance(mark, list)]
    assert [n for n in names if re.match(r"\d\. ", n)] == [n for n in sorted(names) if re.match(r"\d\. ", n)]
    assert len([n for n in names if re.match(r"\d\. ", n)]) == len(chapters) and names[-1] == "Solutions"
    for number, page in enumerate(pdf.pages, 1):
        said = page.extract_text()
        assert "Not for clinical use" in said and re.search(rf"\b{number}\b", said), number


def test_solutions_are_at_the_end(printed):
    soup = BeautifulSoup((printed / "part-one.html").read_text(), "html.parser")
    pointers = [link["href"][1:] for link in soup.select(".pointer a")]
    assert len(pointers) > 20
    assert [tag["id"] for tag in soup.select("#solutions .solution")] == pointers
    assert not soup.select("details, form, script[type='application/json']")
    stills = soup.select(".lumbo-static img")
    assert len(stills) > 5 and all(image["alt"].strip() for image in stills)


def test_links_within_the_pdf_lead_somewhere(printed):
    soup = BeautifulSoup((printed / "part-one.html").read_text(), "html.parser")
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len({*ids})
    inside = {link["href"][1:] for link in soup.select("#solutions a[href^='#'], nav a, .pointer a")}
    assert inside <= {*ids}


def test_without_a_browser_it_says_so(make, html, tmp_path):
    done = make("pages", html, tmp_path, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "chromium" in done.stderr and "Traceback" not in done.stderr


# The worksheet.


@pytest.fixture(scope="module")
def sheets(root):
    """The worksheet and its key."""
    static = root / "book" / "static"
    return [
        BeautifulSoup((static / name).read_text(), "html.parser")
        for name in ("worksheet.html", "worksheet-key.html")
    ]


def angles_by_hand(points: np.ndarray) -> list[float]:
    """SS, PT, PI and LL of a patient who faces left, y down, by slopes and the law of cosines: another route."""
    (s1_front, s1_back, l1_front, l1_back), hips = points[:4], points[4:].mean(0)
    middle = (s1_front + s1_back) / 2
    ss = np.degrees(np.arctan((s1_front - s1_back)[1] / -(s1_front - s1_back)[0]))
    pt = np.degrees(np.arctan((middle - hips)[0] / -(middle - hips)[1]))
    a, b, c = np.linalg.norm([hips - s1_front, hips - middle, middle - s1_front], axis=1)
    pi = np.degrees(np.arccos((b * b + c * c - a * a) / (2 * b * c))) - 90
    ll = ss - np.degrees(np.arctan((l1_front - l1_back)[1] / -(l1_front - l1_back)[0]))
    return [ss, pt, abs(pi), ll]


def test_the_key_is_what_the_figures_show(sheets):
    key = sheets[1]
    drawn = {s.h2.get_text(): s for s in key.select("section") if s.h2}
    assert [*drawn] == ["A", "B", "C"]
    for letter, section in drawn.items():
        dots = np.array([[float(d["cx"]), float(d["cy"])] for d in section.select(".landmark")])
        said = [float(cell.get_text().replace("\N{MINUS SIGN}", "-")) for cell in key.select(f"#{letter} td")]
        np.testing.assert_allclose(said, angles_by_hand(dots), atol=0.06)


def test_the_committed_sheets_are_what_is_drawn_today(sheets, make, tmp_path):
    done = make("worksheet", tmp_path)
    assert done.returncode == 0, done.stderr
    for old, name in zip(sheets, ("worksheet.html", "worksheet-key.html")):
        new = BeautifulSoup((tmp_path / name).read_text(), "html.parser")
        assert old.get_text() == new.get_text()
        for soup in (old, new):
            for image in soup.select("image"):
                assert image["href"].startswith("data:image/jpeg;base64,")
                del image["href"]  # films are compared elsewhere
        assert str(old) == str(new)


def test_the_worksheet_does_not_give_the_answers_away(sheets):
    sheet, key = sheets
    assert not sheet.select(".landmark")
    for cell in key.select("#A td, #B td, #C td"):
        assert cell.get_text() not in sheet.get_text()
    human = calibration.yardstick()["human"]["degrees"]
    assert [f"{human[name]:.1f}" for name in ANGLES] == [
        td.get_text() for td in key.select("tr")[-1].select("td")
    ]


def test_the_sheets_fit_both_papers_at_true_scale(root, browser, tmp_path):
    for name, count in (("worksheet", 5), ("worksheet-key", 4)):
        for paper in ("A4", "Letter"):
            view = browser.new_page()
            view.goto((root / "book" / "static" / f"{name}.html").as_uri())
            view.pdf(path=tmp_path / "sheet.pdf", format=paper, prefer_css_page_size=True)
            assert len(PdfReader(tmp_path / "sheet.pdf").pages) == count, (name, paper)
            view.emulate_media(media="print")
            boxes = view.evaluate(
                "[...document.querySelectorAll('svg')].map(s => [s.clientWidth, s.clientHeight, s.viewBox.baseVal.width])"
            )
            wide, tall = np.min([A4, LETTER], axis=0) - 24
            assert all(w / MM < wide and h / MM < tall for w, h, _ in boxes)
            for (width, _, units), svg in zip(boxes, view.locator("svg").all()):
                scale = (
                    1.0
                    if "ruler" in (said := svg.get_attribute("aria-label")).lower() or "protractor" in said
                    else 0.75
                )
                assert width / MM / units == pytest.approx(scale, rel=0.01), said
            view.close()


def test_the_guide_names_sections_and_exercises_that_there_are(root, chapters):
    there = "\n".join(
        c.source for one in chapters for c in nbformat.read(one, 4).cells if c.cell_type == "markdown"
    )
    named = {
        *re.findall(r"^## (.+)$", there, re.MULTILINE),
        *re.findall(r"^\*\*\d+\. ([^*]+)\*\*", there, re.MULTILINE),
    }
    named |= {name.rstrip(".") for name in named}
    guide = (root / "book" / "instructors.md").read_text()
    tables = "\n".join(line for line in guide.splitlines() if line.startswith("|"))
    quoted = {one for one in re.findall(r"(?<!\*)\*([^*|]+)\*(?!\*)", tables) if one[0].isupper()}
    assert len(quoted) > 25
    assert quoted - named == set()


def test_printing_is_pinned_and_listed(root):
    makefile, readme = (root / "Makefile").read_text(), (root / "README.md").read_text()
    for target in ("slides", "pdf", "worksheet"):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE) and f"make {target}" in readme
    assert (
        "book" not in tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
