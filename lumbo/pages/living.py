"""What living figures have in common: with a kernel and without, and data on demand.  Taught in four_angles.

A figure is one ES module and one style sheet in ``lumbo/pages/static``, on top of ``core`` and ``geometry``.
In Jupyter, anywidget runs it and keeps its state in step with Python; in a rendered page the output's
``text/html`` runs the same module on a plain object, so that it lives from a file, with no kernel and no network.
What is too large for an output is asked for when it is needed: from the kernel, or from a file of the book.
"""

import io
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from copy import deepcopy
from html import escape
from importlib.resources import files
from typing import Any, ClassVar
from urllib.parse import quote

import anywidget
import numpy as np
import traitlets
from PIL import Image

from lumbo.angles import ANGLES
from lumbo.errors import require

__all__ = [
    "COLOURS",
    "Living",
    "Checked",
    "Fixed",
    "bundle",
    "static_mount",
    "picture",
    "jpeg",
    "payload_script",
]

COLOURS = dict(zip(ANGLES, ("#0063a8", "#b84a00", "#9a2f8f", "#00755a")))  # on light ground; as in core.css

# What anywidget's model does, without a kernel.  The page's own scripts reach it as `.lumbo`.
_MOUNT = """\
(box => {
  const {esm, state} = JSON.parse(box.querySelector("script").textContent), calls = {};
  const model = box.lumbo = {
    get: key => state[key],
    set: (key, value) => { state[key] = value; (calls["change:" + key] ?? []).forEach(call => call()); },
    on: (event, call) => { (calls[event] ??= []).push(call); },
    off: (event, call) => { calls[event] = (calls[event] ?? []).filter(other => other !== call); },
    save_changes: () => {},
  };
  const url = URL.createObjectURL(new Blob([esm], {type: "text/javascript"}));
  const el = box.appendChild(document.createElement("div"));
  import(url).then(module => module.default.render({model, el}))
    .then(() => { box.querySelector("figure").hidden = true; box.dataset.ready = ""; },
      () => { el.remove(); box.dataset.failed = ""; })
    .finally(() => URL.revokeObjectURL(url));
})(document.currentScript.parentElement)"""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_COMMENT = re.compile(r"^\s*(//.*\n|/\*(.|\n)*?\*/\n)|^\s+|\s+//\s.*$", re.MULTILINE)
_STATIC = files("lumbo.pages").joinpath("static")


class _Copied(traitlets.TraitType):
    """A trait that the page has, too.  What is read from it is a copy: nothing is changed in place, past its check."""

    def __init__(self, **options):
        super().__init__(**options)
        self.tag(sync=True)

    def get(self, obj, cls=None):
        return deepcopy(super().get(obj, cls))


class Checked(_Copied):
    """A trait that holds what `check` returns; `check` raises `InputError` before anything changes."""

    def __init__(self, check: Callable[[Any], Any]):
        super().__init__()
        self.check = check

    def validate(self, obj, value):
        return self.check(value)


class Fixed(_Copied):
    """A trait that a figure is made with and keeps."""

    def __init__(self):
        super().__init__(default_value=None, allow_none=True)

    def validate(self, obj, value):
        before = obj._trait_values.get(self.name)  # None until the figure is made
        require(before is None or value == before, self.name or "", value, "what the figure was made with")
        return value


class Living(anywidget.AnyWidget):
    """A figure that lives; each says its module in `_esm`, its fields as traits, and its still picture in `still`."""

    _esm = "export default { render() {} }"
    fields: ClassVar[tuple[str, ...]] = ()  # the traits that a page starts from
    payloads: ClassVar[
        Mapping[str, Callable[[], dict]]
    ] = {}  # what it loads on demand, by the name of its file

    def __init__(self, **state):
        super().__init__(**state)
        self.on_msg(self._asked)

    def still(self) -> str:
        """Return HTML that stands for the figure where no script runs."""
        raise NotImplementedError

    def _asked(self, _, content, buffers) -> None:
        """Answer the page that asks for a payload."""
        name = content.get("load") if isinstance(content, dict) else None
        if name is None:
            return
        try:
            allowed = ", ".join(self.payloads) or "nothing"
            require(name in self.payloads, "load", name, allowed)
            self.send({"loaded": name, "payload": self.payloads[name]()})
        except Exception as error:  # whatever it is, the page that waits must hear of it
            self.send({"loaded": name, "error": str(error)})

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        state = {field: getattr(self, field) for field in self.fields}
        data["text/html"] = static_mount(str(self._esm), state, self.still())
        return data, metadata


def bundle(name: str) -> str:
    """Join a figure's module and style sheet with the shared ones that it imports, into one ES module that needs nothing else.

    What only people read is left out: each output of a notebook holds a bundle.
    """
    module = _read(f"{name}.js")
    needed = _IMPORT.findall(module)
    style = "".join(_read(f"{part}.css") for part in ("core", name))
    parts = [re.sub(r"^export ", "", _read(f"{part}.js"), flags=re.MULTILINE) for part in needed]
    joined = "\n".join([*parts, _IMPORT.sub("", module)])
    return f"const STYLE = {json.dumps(_COMMENT.sub('', style))};\n{_COMMENT.sub('', joined)}"


def static_mount(esm: str, state: dict, still: str) -> str:
    """Return HTML that runs `esm` on `state` in any page; `still`, in HTML, stands there until it has run.

    So it stays where scripts are off, are stripped from the page, or fail; and it is what is printed.
    """
    payload = json.dumps({"esm": esm, "state": state}).replace("<", "\\u003c")
    return (
        f'<div class="lumbo-static"><figure>{still}</figure>'
        f'<script type="application/json">{payload}</script><script>{_MOUNT}</script></div>'
    )


def picture(content: str | bytes, words: str, width: int, caption: str) -> str:
    """Return an image and its caption as HTML: an SVG (str) or a PNG (bytes).

    Not inline: Jupyter strips <svg> from a notebook that is not trusted, and leaves <img>.
    """
    kind = (
        f"svg+xml,{quote(content)}"
        if isinstance(content, str)
        else f"png;base64,{b64encode(content).decode()}"
    )
    return f'<img src="data:image/{kind}" alt="{escape(words)}" width="{width}"><figcaption>{caption}</figcaption>'


def jpeg(film: np.ndarray, quality: int = 90) -> str:
    """Return a film (h, w), uint8, as the address of a JPEG that holds it."""
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"


def payload_script(name: str, payload: dict) -> str:
    """Return the file of the book that holds a payload: a script, since a page that is itself a file may load no other."""
    return f"(globalThis.lumboPayloads ??= {{}})[{json.dumps(name)}] = {json.dumps(payload)};\n"


def _read(name: str) -> str:
    return _STATIC.joinpath(name).read_text(encoding="utf-8")
