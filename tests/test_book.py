"""The book builds without a warning, and every page works from a file, offline, on a phone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

PAGE_BYTES = 2_000_000
PHONE = {"width": 390, "height": 844}


def jupyter_book(source: Path) -> subprocess.CompletedProcess:
    program = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", program, "build", str(source), "-W", "-n", "--keep-going"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="session")
def pages(root, tmp_path_factory) -> dict[str, Path]:
    """The built pages by name, from a copy that holds only what the book is made of."""
    source = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, source)
    for name in ("book", "notebooks"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    done = jupyter_book(source)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    html = source / "_build" / "html"
    assert (html / "index.html").exists()
    found = {path.relative_to(html).as_posix(): path for path in sorted(html.rglob("*.html"))}
    return {name: path for name, path in found.items() if not name.startswith("_static/")}


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


def test_a_warning_fails_the_build(tmp_path):
    (tmp_path / "_config.yml").write_text("title: faulty\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "index.md").write_text("# Faulty\n\n[nowhere](missing.md)\n")
    assert jupyter_book(tmp_path).returncode != 0
