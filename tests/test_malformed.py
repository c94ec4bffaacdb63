"""Doors that hold: the campaign finds no fault, and it would find one."""

import importlib.util

import matplotlib
import numpy as np
import pytest

from lumbo import experiment, films, learning, pages
from lumbo.errors import InputError, require, whole
from lumbo.films import hospitals, populations

TRIALS = 1500  # some ten at a door; `python benchmarks/malformed.py` runs ten thousand


@pytest.fixture(scope="module")
def malformed(root):
    """The benchmark, and a world for it to spoil."""
    matplotlib.use("agg")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root / "benchmarks")
        spec = importlib.util.spec_from_file_location("malformed", root / "benchmarks" / "malformed.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with module.opened():
            yield module


@pytest.fixture(scope="module")
def hostile(malformed):
    """A function: make a door of a call and its arguments."""
    from hostile.doors import asks

    return asks


@pytest.fixture
def verdicts(malformed):
    """A function: the verdicts at some doors, and what the faults say."""

    def run(*doors, n=150):
        table, faults = malformed.campaign(doors, n)
        counted = table.loc["all", [*malformed.GOOD, *malformed.FAULTS]]
        assert counted.sum() == n
        return {verdict for verdict, count in counted.items() if count}, {fault.detail for fault in faults}

    return run


def ask(count, share):
    """A door that holds."""
    whole("count", count, 1, 9)
    require(type(share) in (float, np.float64) and 0 <= share <= 1, "share", share, "a number from 0 to 1")
    return count * share


def test_every_door_holds(malformed):
    table, faults = malformed.campaign(malformed.every_door(), TRIALS)
    assert not faults
    assert table.loc["all", "refused"] > TRIALS / 2 and table.loc["all", "right"] > TRIALS / 10
    assert len(table) > 90  # doors that a trial came to


def test_every_room_has_a_door(malformed):
    """But for those behind them: shapes and pixels, what a run needs on its way, and what figures share."""
    behind = {
        "shapes",
        "vertebrae",
        "pelvis",
        "metal",
        "bones",
        "tissue",
        "raster",
        "processing",
        "augment",
        "checkpoint",
        "replay",
        "living",
        "errors",
        "rows",
        "specs",
        "threads",
    }
    doors = [door.name for door in malformed.every_door()]
    for wing in (films, learning, experiment, pages):
        for room in set(wing.__all__) - behind:
            begins = f"{wing.__name__}.{room}.".removeprefix("lumbo.")
            assert any(name.startswith(begins) for name in doors), begins


def test_a_trial_is_a_function_of_its_number(malformed):
    doors = [door for door in malformed.every_door() if door.name == "films.hospitals.check_hospital"]
    trials = [
        [door.trial(np.random.default_rng(k)).what for door in doors for k in range(40)] for _ in range(2)
    ]
    assert trials[0] == trials[1] and len(set(trials[0])) > 30


def test_every_field_of_a_specification_is_tried(malformed):
    (door,) = (door for door in malformed.every_door() if door.name == "films.hospitals.check_hospital")
    tried = {door.trial(np.random.default_rng(k)).what.split(":")[0] for k in range(4000)}
    where = hospitals.hospital("aspen")
    for part, spec in (("", where), ("scanner.", where.scanner), ("rater.", where.rater)):
        assert {f"table.{part}{name}" for name in vars(spec) if name != "name"} <= tried


def test_a_door_that_holds_is_found_to_hold(hostile, verdicts):
    door = hostile(ask, {"count": 3, "share": 0.5}, "ask", hints={"count": None, "share": None})
    assert verdicts(door) == ({"refused", "right"}, set())


def planted(error):
    def fail(count, share):
        raise error

    return fail


@pytest.mark.parametrize(
    "call, verdict, detail",
    [
        (planted(KeyError("share")), "traceback", "KeyError: 'share'"),
        (planted(SystemExit(1)), "traceback", "SystemExit: 1"),
        (planted(RecursionError()), "traceback", "RecursionError"),
        (lambda count, share: np.float64(1) / np.zeros(1), "traceback", "RuntimeWarning: divide by zero"),
        (lambda count, share: 1.5, "accepted", ""),
        (planted(InputError("", 1, "2")), "unclear", "': got 1; allowed: 2'"),
        (planted(InputError("count", 3, "4")), "valid refused", "count: got 3; allowed: 4"),
        (lambda count, share: isinstance(count, np.integer) or ask(count, share), "wrong", ""),
    ],
    ids=[
        "KeyError",
        "SystemExit",
        "RecursionError",
        "a warning",
        "accepted",
        "unclear",
        "valid refused",
        "wrong",
    ],
)
def test_a_planted_fault_is_counted(hostile, verdicts, call, verdict, detail):
    found, said = verdicts(
        hostile(call, {"count": 3, "share": 0.5}, "ask", hints={"count": None, "share": None})
    )
    assert verdict in found
    assert any(one.startswith(detail) for one in said)


def test_memory_that_is_spent_before_a_refusal_is_a_fault(malformed, monkeypatch):
    peaks = iter([100, 500])
    monkeypatch.setattr(malformed, "peak", lambda: next(peaks))
    found = malformed.judge(malformed.Trial("huge", lambda: ask(0, 0.5)))
    assert found == ("traceback", "400 MiB of memory")


def test_work_that_is_begun_before_a_refusal_is_a_fault(hostile, verdicts):
    def draw(where, n):
        hospitals.draw(where, "test", 0, 0, 32)
        return whole("n", n, 1, 64)

    found, said = verdicts(
        hostile(draw, {"where": hospitals.hospital("elm"), "n": 1}, "draw", valid=False), n=20
    )
    assert found == {"traceback"} and all("work was begun" in one for one in said)


def test_a_fault_in_the_package_is_found_and_reproduced(malformed, hostile, monkeypatch):
    """A check is taken out."""
    door = hostile(
        populations.draw_mixture, {"mixture": {"degenerative": 1.0}, "n": 3, "rng": np.random.default_rng(0)}
    )
    monkeypatch.setattr(populations, "number", lambda field, value, *limits: value)
    _, faults = malformed.campaign([door], 150)
    assert faults
    for fault, k in faults.items():
        assert malformed.campaign([door], 1, k)[1] == {fault: k}
