"""The pages of part one can be read by everybody: axe is silent, and a keyboard comes everywhere and out again."""

import re
from pathlib import Path

import axe_playwright_python
import pytest

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
READ = re.compile(r"notebooks/ch0[1-5]_.*|book/(index|instructors|worksheet|datacard|glossary)\.html")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LIVES = (
    "document.querySelectorAll('.lumbo-static').length == document.querySelectorAll('[data-ready]').length"
)
TYPESET = "!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)"


@pytest.fixture
def read(browser):
    """A function: open a page, offline, with its figures alive, its formulas drawn and all that is folded open."""
    contexts = []

    def read(page: Path, size=SIZES["desktop"]):
        contexts.append(browser.new_context(viewport=dict(zip(("width", "height"), size)), offline=True))
        view = contexts[-1].new_page()
        view.goto(page.as_uri(), wait_until="load", timeout=120_000)
        view.wait_for_function(TYPESET, timeout=120_000)
        view.wait_for_function(LIVES, timeout=120_000)
        view.add_style_tag(
            content="* { transition: none !important }"
        )  # colours on their way are none of ours
        return view

    yield read
    for context in contexts:
        context.close()


def faults(view, rules: str = "{}") -> list[str]:
    """What axe finds in the page as it is shown."""
    view.evaluate(f"window.axe || {{}}; {AXE}")
    found = view.evaluate(f"axe.run(document, {{resultTypes: ['violations'], rules: {rules}}})")["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:200]}" for rule in found for node in rule["nodes"]
    ]


def seen_otherwise(view, theme: str, size: tuple[int, int]) -> None:
    """Show the same page in another theme, and on another screen."""
    view.set_viewport_size(dict(zip(("width", "height"), size)))
    view.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    view.evaluate("document.querySelectorAll('article details').forEach(one => { one.open = true })")
    view.wait_for_timeout(
        600
    )  # the theme looks again at what scrolls a third of a second after a change of size


def everywhere(view) -> dict[str, list[str]]:
    """What axe finds at both widths and in both themes."""
    found = {}
    for name, size in SIZES.items():
        for theme in ("light", "dark"):
            seen_otherwise(view, theme, size)
            if here := faults(view):
                found[f"{name}, {theme}"] = here
    return found


def test_axe_is_silent_about_every_page_of_part_one(pages, read):
    mine = {name: page for name, page in pages.items() if READ.fullmatch(name)}
    assert len(mine) == 10
    found = {}
    for name, page in mine.items():
        view = read(page)
        found |= {(name, where): here for where, here in everywhere(view).items()}
        view.context.close()
    assert found == {}


def test_axe_is_silent_about_the_worksheet_and_its_key(root, read):
    for name in ("worksheet.html", "worksheet-key.html"):
        assert faults(read(root / "book" / "static" / name)) == []


REACHED = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const all = [...document.querySelectorAll("*")];
  return { at: all.indexOf(at), inside: !!at.closest("article"), living: !!at.closest(".lumbo"),
           name: at.tagName, seen: box.width > 0 && box.height > 0, body: at === document.body };
}"""
TO_REACH = """() => {
  const all = [...document.querySelectorAll("*")];
  const can = "a[href], button:not([disabled]), input:not([disabled]), select, summary, [tabindex='0']";
  return [...document.querySelectorAll(".lumbo-static")].map((figure) =>
    [...figure.querySelectorAll(can)].filter((one) => one.tabIndex >= 0 && one.checkVisibility())
      .map((one) => all.indexOf(one)));
}"""


def walk(view, most: int = 600) -> list[dict]:
    """Press Tab from the top of the page until the focus leaves it; where it stood each time."""
    stops: list[dict] = []
    for _ in range(most):
        view.keyboard.press("Tab")
        stop = view.evaluate(REACHED)
        if stop["body"] or (stops and stop["at"] == stops[0]["at"]):
            return stops
        stops.append(stop)
    raise AssertionError(f"no way out after {most} steps; the last ones: {stops[-3:]}")


def test_the_keyboard_comes_to_every_figure_in_order_and_out_again(pages, read):
    for name in (name for name in pages if re.match(r"notebooks/ch0[1-5]_", name)):
        view = read(pages[name])
        figures = view.evaluate(TO_REACH)
        stops = walk(view)
        text = [stop["at"] for stop in stops if stop["inside"]]
        assert text == sorted(set(text)), f"{name}: not in the order of the page, or twice"
        assert all(stop["seen"] for stop in stops if stop["living"]), name
        for figure in figures:  # of radio buttons, Tab stops at one
            assert set(figure) & set(text) or not figure, f"{name}: a figure out of reach"
        assert not stops[-1]["living"], name
        view.context.close()


def test_the_first_stop_leads_to_the_text(pages, read):
    view = read(next(page for name, page in pages.items() if "ch01_" in name))
    view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    view.keyboard.press("Tab")
    assert view.evaluate("!!document.activeElement.closest('main')")


# Each check finds a planted fault.


@pytest.mark.parametrize(
    "fault",
    [
        "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
        "<p style='color: #bbb; background: #fff'>pale</p>",
        "<details><summary>more</summary><p style='color: #bbb; background: #fff'>pale when open</p></details>",
        "<table><tr><th></th><th>SS</th></tr><tr><td>a</td><td>1</td></tr></table>",
        "<button></button>",
    ],
)
def test_a_fault_is_found(read, tmp_path, fault):
    page = tmp_path / "faulty.html"
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>a</title>"
    page.write_text(f"{head}<main><article><h1>a</h1>{fault}</article></main></html>")
    assert everywhere(read(page))


def test_a_trap_is_found(read, tmp_path):
    page = tmp_path / "trap.html"
    script = (
        "onkeydown = event => { if (event.target.id == 'b' && event.key == 'Tab') event.preventDefault() }"
    )
    page.write_text(f"<title>a</title><button>a</button><button id=b>b</button><script>{script}</script>")
    with pytest.raises(AssertionError, match="no way out"):
        walk(read(page), 20)
