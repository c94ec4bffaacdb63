"""The book builds without a warning, and every page works from a file, offline, on a phone."""

import importlib.util
import inspect
import re
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from building import jupyter_book
from limits import PAGE_BYTES

import lumbo

PHONE = {"width": 390, "height": 844}


def undescribed_images(html: str) -> list[str]:
    """Images whose alt text is missing or is a file's name, as Jupyter Book writes by default."""
    alts = [str(image.get("alt", "")).strip() for image in BeautifulSoup(html, "html.parser").select("img")]
    return [alt for alt in alts if not alt or re.search(r"^(\.\./)*_images/|\.(png|svg|jpe?g)$", alt)]


def remote_resources(html: str) -> list[str]:
    """Addresses that a browser would fetch from the network to show the page."""
    found = BeautifulSoup(html, "html.parser").select("script, link, img, iframe, source, video, audio")
    addresses = [str(tag.get("src") or tag.get("href") or "") for tag in found]
    return [address for address in addresses if re.match(r"(https?:)?//", address)]


def problems_in_browser(browser, page: Path) -> list[str]:
    """What goes wrong when a phone without network opens the page from its file."""
    problems = []
    context = browser.new_context(viewport=PHONE, offline=True)
    view = context.new_page()
    view.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    view.on("pageerror", lambda error: problems.append(str(error)))
    view.on("request", lambda sent: problems.append(sent.url) if sent.url.startswith("http") else None)
    view.goto(page.as_uri(), wait_until="load")
    view.wait_for_function("!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")
    width = view.evaluate("document.documentElement.scrollWidth")
    if width > PHONE["width"]:
        problems.append(f"{width} px wide on a screen of {PHONE['width']} px")
    if view.locator("mjx-merror").count():
        problems.append("a formula that MathJax cannot read")
    if view.locator(".math").count() > view.locator("mjx-container").count():
        problems.append("a formula that was not drawn")
    context.close()
    return problems


def test_every_chapter_and_page_is_built(pages, root):
    named = re.findall(r"(?:root|file): (\S+)", (root / "_toc.yml").read_text())
    assert {f"{name}.html" for name in named} <= set(pages)


def complaints(pages, check) -> dict:
    """What `check` finds, by page; nothing for a page without fault."""
    return {name: found for name, page in pages.items() if (found := check(page))}


def test_every_image_is_described(pages):
    assert complaints(pages, lambda page: undescribed_images(page.read_text())) == {}


def test_nothing_comes_from_the_network(pages):
    assert complaints(pages, lambda page: remote_resources(page.read_text())) == {}


def test_every_page_is_small(pages):
    assert complaints(pages, lambda page: page.stat().st_size > PAGE_BYTES) == {}


def test_every_page_works_offline_on_a_phone(pages, browser):
    assert complaints(pages, lambda page: problems_in_browser(browser, page)) == {}


def test_a_dark_page_leaves_films_and_figures_their_greys(pages, browser):
    """What a picture looks like on a dark page: no filter over it, in an output or in the text."""
    context = browser.new_context(offline=True, color_scheme="dark")
    for name in ("notebooks/ch05_four_hospitals.html", "book/gallery.html"):
        page = context.new_page()
        page.goto(pages[name].as_uri())
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        filters = page.locator(".bd-article img").evaluate_all(
            "all => all.map(image => getComputedStyle(image).filter)"
        )
        assert filters and set(filters) == {"none"}, name
    context.close()


# The reference of the package: every room, and every name in it, without anybody listing them.

WINGS = [lumbo, *(one for name in lumbo.__all__ if hasattr(one := getattr(lumbo, name), "__path__"))]
NAMED = [getattr(wing, name) for wing in WINGS for name in wing.__all__]
ROOMS = [thing for thing in NAMED if inspect.ismodule(thing) and thing not in WINGS]


@pytest.fixture(scope="session")
def reference(pages) -> BeautifulSoup:
    """The pages of the reference, one after the other."""
    return BeautifulSoup("".join(pages[name].read_text() for name in pages if "/api/" in name), "html.parser")


def test_the_reference_has_every_public_name_and_no_other(reference):
    described = {tag["id"] for tag in reference.select("dt.sig-object")}
    expected = {f"{room.__name__}.{name}" for room in ROOMS for name in room.__all__}
    assert expected <= described
    rest = described - expected  # methods
    assert {name.rpartition(".")[0] for name in rest} <= expected
    assert [name for name in described if re.search(r"\._", name)] == []


def test_each_room_of_the_reference_leads_to_the_chapter_that_teaches_it(reference):
    for room in ROOMS:
        taught = re.search(r"Taught in ([^.]*)\.", room.__doc__)
        section = reference.find(id=f"module-{room.__name__}").parent
        links = " ".join(link["href"] for link in section.select("p > a.reference"))
        for slug in re.findall(r"\b(?!and\b)\w+", taught[1]) if taught else ():
            assert re.search(rf"notebooks/ch\d\d_{slug}\.html", links), (room.__name__, slug)


def test_a_chapter_shows_its_number_before_its_title(pages):
    chapters = [name for name in pages if re.match(r"notebooks/ch\d\d_", name)]
    assert len(chapters) > 8
    for name in chapters:
        title = BeautifulSoup(pages[name].read_text(), "html.parser").h1.get_text()
        assert title.startswith(f"{int(name[12:14])}. "), name


def test_the_contents_name_a_chapter_as_far_as_its_colon(pages):
    sidebar = BeautifulSoup(pages["book/index.html"].read_text(), "html.parser").select(
        ".bd-sidebar-primary a[href*='/ch']"
    )
    titles = [link.get_text(strip=True) for link in sidebar]
    assert len(titles) > 8 and titles[0] == "1. The four angles"
    assert [title for title in titles if ":" in title or not re.match(r"\d+\. ", title)] == []


# Docstrings, as Sphinx is given them.


@pytest.fixture(scope="module")
def api(root):
    """The extension that reads docstrings."""
    spec = importlib.util.spec_from_file_location("api", root / "book" / "_ext" / "api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        ("Raise `InputError`.", "Raise :py:obj:`InputError <lumbo.errors.InputError>`."),
        ("See `aim`, `hospitals.pool`.", "See :py:obj:`aim <lumbo.films.radiograph.aim>`, "
         ":py:obj:`hospitals.pool <lumbo.films.hospitals.pool>`."),
        ("Of `angles`: `Scanner`, or `draw`.", "Of :py:mod:`angles <lumbo.angles>`: "
         ":py:obj:`Scanner <lumbo.films.radiograph.Scanner>`, or ``draw``."),  # several rooms draw
        ("A parameter, `canvas`, and ``code``.", "A parameter, ``canvas``, and ``code``."),
        ("|SS|, *very* small_ (n, *size)", r"\|SS\|, *very* small\_ (n, \*size)"),
        ("Films.  Taught in pooling and on_its_own.", "Films.  Taught in :ref:`pooling` and :ref:`on_its_own`."),
        ("a, b : one\nc : two;  d : three\n    more", "\n* ``a, b``: one\n\n* ``c``: two\n\n* ``d``: three –\n  more"),
        ("Raises\n------\nInputError\n    For b.", ".. rubric:: Raises\n\n:py:obj:`InputError "
         "<lumbo.errors.InputError>`\n    For b."),
        (">>> x | `y`\n3\n\nSo::\n\n    a : `b`\n\n    c", ">>> x | `y`\n3\n\nSo::\n\n    a : `b`\n\n    c"),
    ],
)  # fmt: skip
def test_a_docstring_becomes_what_sphinx_reads(api, plain, expected):
    assert api.restructured(plain, "lumbo.films.radiograph.develop", {"canvas"}) == expected


# Each check finds a planted fault.


@pytest.mark.parametrize(
    "tag", ["<img src=a.png>", "<img alt=''>", "<img alt='../_images/1f.png'>", "<img alt='a.svg'>"]
)
def test_an_undescribed_image_is_found(tag):
    assert undescribed_images(tag)


def test_a_described_image_is_fine():
    assert not undescribed_images("<img alt='Errors fall as films are added.' src='_images/1f.png'>")


@pytest.mark.parametrize(
    "tag",
    [
        "<script src=https://a.example/x.js></script>",
        "<link href=//a.example/x.css>",
        "<img src=http://a.example/x.png>",
    ],
)
def test_a_remote_resource_is_found(tag):
    assert remote_resources(tag)


@pytest.mark.parametrize(
    "body",
    [
        "<script>console.error('oops')</script>",
        "<script>throw new Error('oops')</script>",
        "<script>fetch('https://a.example/')</script>",
        "<div style='width: 500px'>wide</div>",
        "<mjx-merror></mjx-merror>",
        "<span class='math'>x</span>",
    ],
)
def test_a_faulty_page_is_found(body, browser, tmp_path):
    page = tmp_path / "faulty.html"
    page.write_text(f"<!doctype html><title>faulty</title>{body}")
    assert problems_in_browser(browser, page)


def test_a_sound_page_passes(browser, tmp_path):
    page = tmp_path / "sound.html"
    page.write_text("<!doctype html><title>sound</title><p>Not for clinical use.</p>")
    assert problems_in_browser(browser, page) == []


@pytest.fixture
def small_book(root, tmp_path):
    """A function: build a book of one page, one chapter and one package, with the extensions of the book."""
    shutil.copytree(root / "book" / "_ext", tmp_path / "_ext", ignore=shutil.ignore_patterns("__pycache__"))
    config = (
        "title: small\nonly_build_toc_files: true\nsphinx:\n  local_extensions: {chapters: _ext, api: _ext}\n"
    )
    (tmp_path / "_config.yml").write_text(config + "  config: {myst_ref_domains: [std]}\n")
    contents = "format: jb-book\nroot: index\nchapters:\n- file: ch07_one_chapter\n- file: api\n"
    (tmp_path / "_toc.yml").write_text(contents)
    (tmp_path / "ch07_one_chapter.md").write_text(
        "# One chapter: why?\n\n## Pooling\n\n[here](#one_chapter)\n"
    )
    (tmp_path / "api.rst").write_text("api\n===\n\n.. rooms:: house\n")
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "__init__.py").write_text("from house import room\n\n__all__ = ['room']\n")

    def build(page: str = "", docstring: str = "") -> tuple[int, str]:
        """Return the exit code and the page's HTML, or what was said when there is none."""
        (tmp_path / "index.md").write_text(f"# Small\n\n{page}\n")
        (tmp_path / "house" / "room.py").write_text(f'"""{docstring}"""\n\n__all__ = []\n')
        done = jupyter_book(tmp_path)
        html = tmp_path / "_build" / "html" / "index.html"
        return done.returncode, done.stdout + done.stderr + (html.read_text() if html.exists() else "")

    return build


def test_a_slug_leads_to_its_chapter(small_book):
    code, text = small_book(
        "[why](#one_chapter), [](#one_chapter), {ref}`one_chapter`", "Taught in one_chapter."
    )
    assert code == 0, text
    links = BeautifulSoup(text, "html.parser").select("article a[href='ch07_one_chapter.html']")
    assert [link.get_text() for link in links][:3] == ["why", "One chapter", "One chapter"]


@pytest.mark.parametrize(
    "fault",
    [
        {"page": "[nowhere](missing.md)"},
        {"page": "[a chapter](#no_such_chapter)"},
        {"page": "{ref}`no_such_chapter`"},
        {"docstring": "Taught in no_such_chapter."},
        {"docstring": "A link: :py:obj:`lumbo.nowhere`."},
        {"docstring": "An end that is *missing."},
    ],
    ids=lambda fault: next(iter(fault.values())),
)
def test_a_faulty_page_or_docstring_fails_the_build(small_book, fault):
    assert small_book(**fault)[0] != 0
