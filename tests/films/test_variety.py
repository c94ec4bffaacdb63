"""The factors by which films differ: their laws, their dial, and that each is used and stands alone."""

import zlib
from importlib.resources import files

import numpy as np
import pytest
from faults import ABSENT, planted
from scipy.stats import norm

from lumbo import store
from lumbo.errors import InputError
from lumbo.films import hospitals, variety
from lumbo.films.variety import BODILY, CUT, Setting, Variety, check_factors

TABLE = store.read_toml(files("data_synth").joinpath("variety.toml"))
NAMES = list(variety.factors())
# The variance of a standard normal whose ends are moved to the cut.
KEPT = norm.cdf(CUT) - norm.cdf(-CUT) - 2 * CUT * norm.pdf(CUT) + 2 * CUT**2 * norm.cdf(-CUT)
N, K = 40_000, 4.5  # films, and standard errors
MADE = {
    "body.plain": {"law": "normal", "mean": 10.0, "between": 2.0, "within": 0.5},
    "trunk.times": {"law": "log", "mean": 3.0, "between": 0.3, "within": 0.4},
    "soft.there": {"law": "rate", "rate": 0.3, "mean": 20.0, "between": 1.0, "within": 2.0},
    "body.levels": {"law": "normal", "mean": [1.0, 0.0, -1.0], "within": 0.1},
}


def rng(seed=0):
    return np.random.default_rng(seed)


def factor(name, n=N, k=3, seed=0, whose=None, **setting):
    return Variety(rng(seed), Setting(**setting), whose)(name, n, k)


@pytest.fixture
def made(monkeypatch):
    """Factors of this file instead of the book's."""
    monkeypatch.setattr(variety, "factors", lambda: MADE)


def columns(name):
    """How many elements a factor of the book can have: as many as it has means, or any number."""
    mean = variety.factors()[name]["mean"]
    return len(mean) if isinstance(mean, list) else 4


# ---------------------------------------------------------------- laws


def components(values):
    """SD between rows and within them, by the analysis of variance."""
    within = values.var(1, ddof=1).mean()
    return np.sqrt(values.mean(1).var(ddof=1) - within / values.shape[1]), np.sqrt(within)


@pytest.mark.parametrize(("name", "undo"), [("body.plain", np.array), ("trunk.times", np.log)])
@pytest.mark.parametrize("dial", [1.0, 2.0])
def test_spreads_between_and_within_films_are_those_of_the_file(made, name, undo, dial):
    """Var(s) = s^2 / 2n at most, as the scores are cut; the logarithm of a log law is a normal one."""
    spec, values = MADE[name], undo(factor(name, dial=dial))
    sds = dial * np.sqrt(KEPT) * np.array([spec["between"], spec["within"]])
    assert values.mean() == pytest.approx(undo(spec["mean"]), abs=K * np.linalg.norm(sds) / np.sqrt(N))
    np.testing.assert_allclose(components(values), sds, rtol=K / np.sqrt(N))


def test_a_factor_of_one_element_has_only_the_spread_between_films(made):
    values = factor("body.plain", k=None)
    assert values.shape == (N,) and values.std() == pytest.approx(2 * np.sqrt(KEPT), rel=K / np.sqrt(2 * N))
    assert abs(values - 10).max() == pytest.approx(2 * CUT)  # scores beyond the cut are moved to it


def test_elements_have_their_own_means(made):
    np.testing.assert_allclose(factor("body.levels").mean(0), [1, 0, -1], atol=K * 0.1 / np.sqrt(N))


def test_a_rate_strikes_its_share_with_its_amount(made):
    """Of each element apart; the amount is normal around its mean."""
    values = factor("soft.there")
    struck = values > 0
    assert struck.mean() == pytest.approx(0.3, abs=K * np.sqrt(0.3 * 0.7 / values.size))
    assert abs(np.corrcoef(struck.T) - np.eye(3)).max() < K / np.sqrt(N)
    sd = np.sqrt(5 * KEPT)
    assert values[struck].mean() == pytest.approx(20, abs=2 * K * sd / np.sqrt(struck.sum()))
    assert values[struck].std() == pytest.approx(sd, rel=2 * K / np.sqrt(struck.sum()))


def test_the_dial_multiplies_every_score_and_leaves_it(made):
    """Worked from the same draw: twice the deviation, twice the logarithm, as many struck."""
    one, two = (factor("body.plain", dial=dial) - 10 for dial in (1, 2))
    np.testing.assert_allclose(two, 2 * one, atol=1e-12)
    one, two = (np.log(factor("trunk.times", dial=dial) / 3) for dial in (1, 2))
    np.testing.assert_allclose(two, 2 * one, atol=1e-12)
    one, half, three = (factor("soft.there", dial=dial) for dial in (1, 0.5, 3))
    there = one > 0
    np.testing.assert_array_equal(there, half > 0)
    np.testing.assert_allclose(half[there], 0.5 * (20 + (one[there] - 20) / 2))
    np.testing.assert_allclose(three, 1.5 * (20 + 3 * (one - 20)).clip(0) * there)  # no amount grows beyond


@pytest.mark.parametrize("name", NAMES)
def test_at_dial_0_every_factor_of_the_book_is_its_mean(name):
    values, spec = factor(name, 5, columns(name), dial=0.0), variety.factors()[name]
    expected = np.zeros(columns(name)) if spec["law"] == "rate" else spec["mean"] + np.zeros(columns(name))
    np.testing.assert_array_equal(values, np.tile(expected, (5, 1)))
    np.testing.assert_array_equal(factor(name, 5, columns(name), without=(name,)), values)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "score", "value"),
    [("body.plain", -1.5, 7.0), ("trunk.times", 2.0, 3 * np.exp(0.6)), ("soft.there", 3.0, 23.0), ("soft.there", 0.0, 0.0),
     ("soft.there", -2.0, 0.0)],
)  # fmt: skip
def test_a_score_overrides_what_is_drawn(made, name, score, value):
    """The same for every film and every element: nothing is left to chance."""
    for k in (3, None):
        np.testing.assert_allclose(factor(name, 4, k, scores={name: score}), value)


def test_what_is_set_of_one_factor_leaves_every_other_as_it_is():
    plain = {name: factor(name, 3, columns(name)) for name in NAMES}
    for name in NAMES:
        changed = Variety(rng(), Setting(without=(name,))), Variety(rng(), Setting(scores={name: 1.0}))
        for other in set(NAMES) - {name}:
            for vary in changed:
                np.testing.assert_array_equal(vary(other, 3, columns(other)), plain[other])


def test_a_factor_does_not_depend_on_what_was_asked_before():
    one, two = Variety(rng(3)), Variety(rng(3))
    first = one("body.sag", 5, 2)
    two.rng("noise").random(9), two("bone.young", 5)
    np.testing.assert_array_equal(two("body.sag", 5, 2), first)
    np.testing.assert_array_equal(two("body.sag", 5, 2), first)
    assert (Variety(rng(4))("body.sag", 5, 2) != first).all()


def test_no_two_factors_share_a_generator():
    assert len({zlib.crc32(name.encode()) for name in NAMES}) == len(NAMES)
    draws = [Variety(rng()).rng(name).random() for name in NAMES]
    assert len(set(draws)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_patient_who_comes_back_keeps_the_body_and_nothing_else(name):
    whose, free = np.array([0, 0, 2, 1]), factor(name, 4, columns(name), seed=9, dial=1.0)
    values = factor(name, 4, columns(name), seed=9, whose=whose)
    bodily = name.split(".")[0] in BODILY
    np.testing.assert_array_equal(values, free[whose] if bodily else free)


@pytest.mark.parametrize(
    ("field", "options"),
    [("dial", {"dial": -0.1}), ("dial", {"dial": 3.1}), ("dial", {"dial": float("nan")}), ("dial", {"dial": "1"}),
     ("scores", {"scores": {"body.antlers": 1.0}}), ("scores", {"scores": [1.0]}), ("scores.body.sag", {"scores": {"body.sag": 6.0}}),
     ("without", {"without": ("antlers",)}), ("without", {"without": "body.sag"}), ("without", {"without": (1,)})],
)  # fmt: skip
def test_impossible_settings_are_refused(field, options):
    with pytest.raises(InputError) as caught:
        Setting(**options)
    assert caught.value.field == field


# ---------------------------------------------------------------- the table and the package


def test_every_factor_of_the_file_is_used_and_every_factor_used_is_in_the_file(monkeypatch):
    """A film of the book, with a `Variety` that notes what it is asked for.

    One with a spread within is asked for elements, and one with a list of means for as many.
    """
    asked, plain = set(), Variety.__call__

    def note(self, name, n, k=None):
        asked.add((name, k))
        return plain(self, name, n, k)

    monkeypatch.setattr(Variety, "__call__", note)
    hospitals.draw(hospitals.hospital("elm"), "test", 0, 0, 32, n=1)
    assert {name for name, _ in asked} == set(NAMES)
    for name, spec in variety.factors().items():
        counts = {k for asked_for, k in asked if asked_for == name}
        assert counts != {None} or not spec.get("within"), name
        assert not isinstance(spec["mean"], list) or counts == {len(spec["mean"])}, name


def test_the_spread_within_of_every_factor_is_at_work():
    """Elements of one film differ where the file says so, and are alike where it says nothing."""
    for name, spec in variety.factors().items():
        values = factor(name, 4000, columns(name)) - factor(name, 4000, columns(name), without=(name,))
        differ = (np.ptp(values, 1) > 1e-9).any()
        assert differ == (spec.get("within", 0) > 0 or spec["law"] == "rate"), name


def test_the_factors_of_the_book_pass_and_are_named_by_their_group():
    assert check_factors(TABLE) == variety.factors()
    assert set(NAMES) == {f"{group}.{name}" for group, members in TABLE.items() for name in members}


FAULTS = [
    ("body.sag.law", ABSENT),
    ("body.sag.law", "flat"),
    ("body.sag.law", ["log"]),
    ("body.sag.title", ABSENT),
    ("body.sag.title", " "),
    ("body.sag.source", 7),
    ("body.sag.mean", ABSENT),
    ("body.sag.mean", 0.0),  # a logarithm has none
    ("body.sag.mean", "1"),
    ("body.sag.mean", float("nan")),
    ("body.sag.mean", 501.0),
    ("body.sag.mean", [1.0, -1.0]),
    ("body.sag.mean", []),
    ("body.sag.between", -0.1),
    ("body.sag.within", True),
    ("body.sag.within", 101.0),
    ("body.sag.rate", 0.5),  # only a rate has one
    ("body.sag.sd", 0.5),
    ("body.sag", 1.0),
    ("body.lip.rate", ABSENT),
    ("body.lip.rate", 1.1),
    ("body.lip.rate", [0.1]),
]


@pytest.mark.parametrize(("field", "value"), FAULTS, ids=lambda v: "absent" if v is ABSENT else str(v))
def test_a_malformed_table_is_refused_in_one_line_that_names_the_field(field, value):
    with pytest.raises(InputError) as caught:
        check_factors(planted(TABLE, field, value))
    assert caught.value.field == field
    assert "\n" not in str(caught.value) and "; allowed: " in str(caught.value)


@pytest.mark.parametrize(("table", "field"), [([], "variety"), ({"body": 1.0}, "variety.body")])
def test_a_table_that_is_none_is_refused(table, field):
    with pytest.raises(InputError) as caught:
        check_factors(table)
    assert caught.value.field == field
