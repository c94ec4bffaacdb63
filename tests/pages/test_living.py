"""What living figures share: one module out of several, and payloads on demand."""

import json
import re
from importlib.resources import files

import pytest

from lumbo.errors import InputError
from lumbo.pages import ErrorCloud, Exercise, Film, Hospitals, Measure, Pelvis, Population, exercises, living
from lumbo.pages.living import Living

STATIC = files("lumbo.pages").joinpath("static")
SHARED = {"core", "geometry", "indices"}
FIGURES = sorted(
    path.name[:-3] for path in STATIC.iterdir() if path.name.endswith(".js") and path.name[:-3] not in SHARED
)
EXPORTED = r"(?m)^export (?:async )?(?:const|function|let) (\w+)"


def source(name):
    return STATIC.joinpath(f"{name}.js").read_text()


def imports(text):
    """What a module imports, by the module it comes from."""
    found = re.findall(r'(?m)^import \{([^}]*)\} from "\./(\w+)\.js";', text)
    return {module: {name.strip() for name in names.split(",")} for names, module in found}


@pytest.mark.parametrize("name", FIGURES)
def test_a_module_imports_what_there_is_and_what_it_uses(name):
    text = source(name)
    assert text.count("import ") >= len(imports(text)) > 0 and set(imports(text)) <= SHARED
    body = text.split('.js";')[-1]
    for module, names in imports(text).items():
        offered = source(module)
        for one in names:
            assert re.search(rf"(?m)^export .*\b{one} ?[=(]", offered), (module, one)
            assert re.search(rf"\b{one}\b", body), f"{name}: {one} is imported and not used"


@pytest.mark.parametrize("name", FIGURES)
def test_a_bundle_needs_nothing_and_holds_no_words_for_people(name):
    bundle = living.bundle(name)
    assert re.findall(r"(?m)^(import|export default) .*", bundle) == ["export default"]
    assert not re.search(r"(?m)^\s|^//|^/\*|\s// ", bundle)
    assert bundle.startswith('const STYLE = "') and len(bundle) < 70_000


def test_everything_that_is_shared_is_used():
    used = {}
    for name in FIGURES:
        for module, names in imports(source(name)).items():
            used.setdefault(module, set()).update(names)
    for module in SHARED:
        text = source(module)
        for one in re.findall(EXPORTED, text):
            assert one in used[module] or len(re.findall(rf"\b{one}\b", text)) > 1, (module, one)


class Counter(Living):
    """A figure with one payload."""

    payloads = {"counter-data": lambda: {"count": 3, "text": "</script>"}}


def test_a_kernel_answers_what_a_page_asks_for():
    figure, sent = Counter(), []
    figure.comm.publish_msg = lambda kind, data=None, **_: sent.append(data)
    for name in ("counter-data", "counter-more"):
        figure.comm.handle_msg(
            {"content": {"data": {"method": "custom", "content": {"load": name}}}, "buffers": []}
        )
    figure.comm.handle_msg({"content": {"data": {"method": "custom", "content": "hello"}}, "buffers": []})
    answers = [message["content"] for message in sent if message["method"] == "custom"]
    assert answers[0] == {"loaded": "counter-data", "payload": Counter.payloads["counter-data"]()}
    assert answers[1]["error"] == "load: got 'counter-more'; allowed: counter-data" and len(answers) == 2


def test_a_payload_is_a_script_that_holds_it():
    script = living.payload_script("counter-data", {"count": 3})
    assert json.loads(script.split("] = ")[1].rstrip(";\n")) == {"count": 3}


def floats(value):
    """All floats of a state, however deep."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return [found for one in inner for found in floats(one)]
    return [value] if isinstance(value, float) else []


KINDS = {f"{chapter}.{name}": question["kind"] for chapter in exercises.chapters()
         for name, question in exercises.questions(chapter).items()}  # fmt: skip


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param(lambda made=made: [made()], id=made.__name__)
        for made in (Pelvis, Measure, ErrorCloud, Population, Film, Hospitals)
    ]
    + [
        pytest.param(
            lambda: [Exercise(name) for name, kind in KINDS.items() if kind != "pose"], id="Exercise"
        ),
        pytest.param(
            lambda: [Pelvis(goal=name) for name, kind in KINDS.items() if kind == "pose"], id="goals"
        ),
    ],
)
def test_what_a_figure_starts_from_is_alike_on_every_processor(figures):
    for figure in figures():
        state = {field: getattr(figure, field) for field in figure.fields}
        assert [value for value in floats(state) if round(value, 6) != value] == []


@pytest.mark.parametrize("figure, field", [(Pelvis, "presets"), (Population, "cohorts")])
def test_what_a_figure_starts_with_stays(figure, field):
    figure = figure()
    before = getattr(figure, field)
    with pytest.raises(InputError, match=f"{field}: got .*; allowed: what the figure was made with"):
        setattr(figure, field, [])
    getattr(figure, field).clear()  # of a copy
    assert getattr(figure, field) == before != []
