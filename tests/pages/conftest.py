"""Living figures in a headless browser: from a file, with the network off, and without a complaint."""

import pytest

from lumbo.pages import living


@pytest.fixture
def open_page(browser, tmp_path):
    """Open figures in one page; at the end nothing may have been complained of or asked for."""
    contexts, trouble = [], []

    def open_page(*figures, before="", **options):
        """Return a page with these figures; `before` : HTML that stands above them."""
        body = "\n".join([before, *(figure._repr_mimebundle_()[0]["text/html"] for figure in figures)])
        folder, file = tmp_path / "_static" / "lumbo", tmp_path / "page.html"
        folder.mkdir(parents=True, exist_ok=True)
        for figure in figures:
            for name in figure.payloads:
                if not (folder / f"{name}.js").exists():
                    script = living.payload_script(name, figure.payloads[name]())
                    (folder / f"{name}.js").write_text(script, encoding="utf-8")
        head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>figures</title>'
        head += '<meta name="viewport" content="width=device-width">'
        head += "<style>[hidden] { display: none !important }</style>"  # as the theme of the book has it
        file.write_text(head + body, encoding="utf-8")
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        own = ("blob:", "data:", file.as_uri(), folder.as_uri())
        page.on("request", lambda request: request.url.startswith(own) or trouble.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_function(
            "n => document.querySelectorAll('.lumbo-static[data-ready]').length == n", arg=len(figures)
        )
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []
