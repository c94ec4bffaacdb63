"""Chance: draws are shared and unbiased, intervals hold what they promise, p-values mean what they say."""

import numpy as np
import pytest
from invented import SITES, rng
from scipy import stats

from lumbo.errors import InputError
from lumbo.experiment import resampling
from lumbo.experiment.resampling import draw, equivalence_p, holm, one_sided_p

FILMS = {site: 24 + i for i, site in enumerate(SITES)}

# ---------------------------------------------------------------- draws


def test_draws_are_shared_and_unbiased():
    drawn = draw(FILMS, 4, rng(), 4000)
    for site, weights in drawn.patients.items():
        assert weights.shape == (4001, FILMS[site])
        np.testing.assert_allclose(weights.sum(1), 1)
        np.testing.assert_allclose(weights.mean(0), weights[0], atol=0.004)
    seeds = resampling.seed_weights(4, drawn.luck)
    np.testing.assert_allclose(seeds.mean(0), 0.25, atol=0.02)
    values = np.array([1.0, 4.0, 2.0, 9.0])
    assert (seeds[1:] @ values).var() == pytest.approx(values.var(ddof=1) / 4, rel=0.1)  # not ddof=0


def test_the_order_of_hospitals_changes_nothing():
    one, other = (draw(dict(some), 4, rng(), 9) for some in (FILMS.items(), reversed(FILMS.items())))
    np.testing.assert_array_equal(one.luck, other.luck)
    for site in SITES:
        np.testing.assert_array_equal(one.patients[site], other.patients[site])


def test_what_was_observed_is_the_first_row_of_every_draw():
    seen, drawn = resampling.observed(FILMS), draw(FILMS, 4, rng(), 9)
    errors = {(seed, site): rng(seed).random(n) for seed in range(4) for site, n in FILMS.items()}
    each = [
        of.over_seeds({(seed, site): of.over_patients(site, e) for (seed, site), e in errors.items()})
        for of in (seen, drawn)
    ]
    assert each[0].shape == (1,) and each[1].shape == (10,)
    assert each[0][0] == pytest.approx(each[1][0])
    by_seed = [np.mean([errors[seed, site].mean() for site in SITES]) for seed in range(4)]
    assert each[0][0] == pytest.approx(np.mean(by_seed))


@pytest.mark.parametrize("resamples", [0, -1, 2.5, "many"])
def test_resamples_are_counted(resamples):
    with pytest.raises(InputError, match="resamples: got .*allowed: a whole number from 1"):
        draw(FILMS, 4, rng(), resamples)


@pytest.mark.parametrize(
    "call, field",
    [
        (lambda: draw(FILMS, 4, 0, 9), "rng"),
        (lambda: draw(FILMS, 0, rng(), 9), "seeds"),
        (lambda: draw({}, 4, rng(), 9), "patients"),
        (lambda: draw({"elm": 0}, 4, rng(), 9), "patients.elm"),
        (lambda: draw(FILMS, 4, rng(), True), "resamples"),
        (lambda: resampling.observed({"elm": 1.5}), "patients.elm"),
        (lambda: resampling.seed_weights(0, np.zeros((5, 1))), "count"),
        (lambda: resampling.seed_weights(4, np.zeros((5, 2))), "luck"),  # fewer draws than the seeds need
        (lambda: resampling.seed_weights(2, np.ones((5, 2))), "luck[0, 0]"),
        (lambda: resampling.seed_weights(2, [0.5]), "luck"),
        (lambda: resampling.intervals(np.ones((1, 5))), "sampled"),
        (lambda: resampling.intervals(1.0), "sampled"),
        (lambda: resampling.estimate(np.ones((5, 2))), "sampled"),
        (lambda: resampling.student([], rng()), "by_seed"),
        (lambda: resampling.student([1.0, np.nan], rng()), "by_seed[1]"),
        (lambda: resampling.student([1.0, 2.0], 0), "rng"),
        (lambda: resampling.student([1.0, 2.0], rng(), 0), "resamples"),
        (lambda: one_sided_p([1.0, np.nan]), "samples[1]"),
        (lambda: one_sided_p([[1.0]]), "samples"),
        (lambda: one_sided_p([1.0], "0"), "limit"),
        (lambda: one_sided_p([1.0], np.nan), "limit"),
        (lambda: equivalence_p([1.0], 0.5, -0.5), "high"),
        (lambda: holm([0.1, np.nan]), "p[1]"),
        (lambda: holm([0.1, 1.1]), "p[1]"),
        (lambda: holm([[0.1, 0.2]]), "p"),
        (lambda: holm("0.1"), "p"),
    ],
)
def test_what_chance_cannot_draw_is_refused(call, field):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == field


def test_no_resample_shows_anything():
    assert one_sided_p([]) == equivalence_p([], -1, 1) == 1
    assert one_sided_p([0.5, 1.0]) == one_sided_p(np.array([0.5, 1.0], np.float32)) == pytest.approx(1 / 3)


# ---------------------------------------------------------------- intervals


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Where the luck of patients and of eight seeds are alike: 95 % less three standard errors."""
    assert share_covered(seeds=8, of_patients=1.5) >= 0.88


def test_with_few_seeds_and_hardly_any_luck_of_patients_intervals_are_too_narrow():
    """What the page of claims and the chapter experiment warn of; whoever mends it mends their sentences, too."""
    assert 0.7 <= share_covered(seeds=4, of_patients=0.0) <= 0.93


@pytest.mark.parametrize("seeds", [2, 4, 8])
def test_student_is_the_t_interval_of_another_library(seeds):
    own = rng(seeds).normal(0.3, 0.2, seeds)
    found = resampling.student(own, rng(1), resamples=200_000)
    low, high = stats.t.interval(0.95, seeds - 1, own.mean(), stats.sem(own))
    assert found.value == own.mean()
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03 * (high - low))
    p = stats.ttest_1samp(own, 0, alternative="greater").pvalue
    assert resampling.one_sided_p(found.samples) == pytest.approx(p, rel=0.05, abs=0.001)


def test_one_seed_tells_student_nothing():
    found = resampling.student([0.3], rng())
    assert (found.value, found.low, found.high) == (0.3, -np.inf, np.inf)
    assert resampling.one_sided_p(found.samples) == 1


def test_with_few_seeds_p_alone_is_too_small_and_student_is_not():
    """Nothing is there, and seeds are all the luck: how often does p fall to 0.025?  Why pages show both."""
    own = rng(3).normal(0, 1, (400, 4))
    draws, t = rng(4).random((999, 4)), rng(5)
    plain = [resampling.one_sided_p((resampling.seed_weights(4, draws) @ mean)[1:]) for mean in own]
    alone = [resampling.one_sided_p(resampling.student(mean, t, 999).samples) for mean in own]
    assert np.mean(np.array(plain) <= 0.025) > 0.05
    assert np.mean(np.array(alone) <= 0.025) <= 0.025 + 3 * (0.025 / 400) ** 0.5


def share_covered(seeds, of_patients):
    """Draw films and training 100 times; the truth is the mean over all films and all trainings."""

    def covers(i):
        chance = rng([i, 1])
        luck, hard = [chance.normal(0, 0.3) for _ in range(seeds)], chance.normal(0, 1, 40)
        noise, errors = of_patients / 1.5, {}
        for seed in range(seeds):
            by_angle = 20 + of_patients * hard[:, None] + luck[seed] + chance.normal(0, noise, (40, 4))
            errors[seed] = np.abs(by_angle).mean(1)
        drawn = draw({"elm": 40}, seeds, chance, 2000)
        means = {(seed, "elm"): drawn.over_patients("elm", of_seed) for seed, of_seed in errors.items()}
        found = resampling.estimate(drawn.over_seeds(means))
        return found.low <= 20 <= found.high

    return np.mean([covers(i) for i in range(100)])


# ---------------------------------------------------------------- p-values


def test_p_values_agree_with_intervals_and_are_never_zero():
    samples = rng().normal(0, 1, 9999)
    for shift in (-4, -2.2, -1.7, 0, 1.7, 2.2, 4):
        low, high = np.quantile(samples + shift, [0.025, 0.975])
        assert (one_sided_p(samples + shift) <= 0.025) == (low > 0)
        assert (equivalence_p(samples + shift, -3, 3) <= 0.025) == (-3 < low and high < 3)
    assert one_sided_p(samples, -99) == equivalence_p(samples, -99, 99) == 1e-4
    assert one_sided_p(samples, 99) == equivalence_p(samples, 50, 99) == 1


def test_one_sided_p_is_that_of_the_normal_distribution():
    samples = rng().normal(1.6449, 1, 200_000)
    assert one_sided_p(samples) == pytest.approx(0.05, abs=0.002)
    assert equivalence_p(samples, 0, 99) == one_sided_p(samples)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1, 1])
    assert holm([0.2]).tolist() == [0.2] and holm([]).tolist() == []


def test_holm_rejects_what_stepping_down_rejects():
    chance = rng()
    for _ in range(50):
        p, alpha = chance.random(5) ** 3, 0.05
        rejected = set()
        for step, i in enumerate(np.argsort(p)):
            if p[i] > alpha / (5 - step):
                break
            rejected.add(int(i))
        assert set(np.flatnonzero(holm(p) <= alpha)) == rejected
