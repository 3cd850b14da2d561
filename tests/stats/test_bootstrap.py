"""BCa intervals of rows and of contingency tables."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import f1_score

from auditkit.finding import Interval
from auditkit.stats.bootstrap import (
    RowDesign,
    bootstrap_counts,
    bootstrap_rows,
    bootstrap_tables,
    needed_resamples,
)
from auditkit.stats.intervals import clopper_pearson, mean_interval


def _mean(values):
    return lambda rows: values[rows].mean(axis=1)


def _f1(tables):
    """Of flattened confusion matrices: true negatives, false positives, false negatives, hits."""
    bottom = 2 * tables[:, 3] + tables[:, 1] + tables[:, 2]
    return np.divide(2 * tables[:, 3], bottom, out=np.full(len(tables), np.nan), where=bottom > 0)


def _sensitivity(tables):
    return tables[:, 1] / tables.sum(axis=1)


def test_it_agrees_with_scipy_on_a_skewed_sample():
    values = np.random.default_rng(0).exponential(size=60)
    ours = bootstrap_rows(_mean(values), RowDesign(60), 0.0005, np.random.default_rng(1))
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    interval = ours.interval(0.025)
    assert interval.lower == pytest.approx(theirs.low, abs=0.01)
    assert interval.upper == pytest.approx(theirs.high, abs=0.01)


def test_the_acceleration_is_a_sixth_of_the_skewness_of_the_jackknife():
    values = np.random.default_rng(0).exponential(size=60)
    result = bootstrap_rows(_mean(values), RowDesign(60), 0.05, np.random.default_rng(1))
    centred = values - values.mean()
    expected = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    assert result.acceleration == pytest.approx(expected, rel=1e-9)


def test_the_same_seed_gives_the_same_numbers():
    values = np.random.default_rng(0).random(50)
    first, second = (
        bootstrap_rows(_mean(values), RowDesign(50), 0.025, np.random.default_rng(7)).interval(
            0.025
        )
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("design", ["rows", "clusters", "strata"])
def test_counting_the_rows_of_a_resample_gives_the_same_draws_as_looking_at_them(design):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 240)
    chosen = {
        "rows": RowDesign(240),
        "clusters": RowDesign(240, clusters=rng.integers(0, 60, 240)),
        "strata": RowDesign(240, strata=codes // 2),
    }[design]

    def of_rows(rows):
        return _f1(np.stack([(codes[rows] == cell).sum(axis=1) for cell in range(4)], axis=1))

    looked_at = bootstrap_rows(of_rows, chosen, 0.025, np.random.default_rng(1))
    counted = bootstrap_tables(codes, 4, _f1, chosen, 0.025, np.random.default_rng(1))
    assert np.array_equal(counted.draws, looked_at.draws)
    assert counted.value == looked_at.value
    assert counted.acceleration == looked_at.acceleration


def test_strata_keep_their_sizes():
    strata = np.repeat([0, 1], [10, 30])
    seen = []

    def share(rows):
        seen.append(rows)
        return (strata[rows] == 1).mean(axis=1)

    result = bootstrap_rows(share, RowDesign(40, strata=strata), 0.05, np.random.default_rng(0))
    assert set(np.unique(result.draws)) == {0.75}
    assert result.interval(0.05) == Interval(None, None)
    assert max(rows.max() for rows in seen) == 39


def test_clusters_are_drawn_whole():
    clusters = np.array([3, 1, 1, 2, 3, 3])

    def whole(rows):
        for sample in rows:
            drawn = np.bincount(sample, minlength=6)
            assert drawn[1] == drawn[2]
            assert drawn[0] == drawn[4] == drawn[5]
        return rows.mean(axis=1)

    result = bootstrap_rows(whole, RowDesign(6, clusters=clusters), 0.05, np.random.default_rng(0))
    assert result.draws.size == 2000


def test_clusters_widen_the_interval_as_the_robust_error_does():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(60), 5)
    values = np.clip(rng.normal(0.5, 0.1, 60)[clusters] + rng.normal(0, 0.05, 300), 0, 1)
    result = bootstrap_rows(
        _mean(values), RowDesign(300, clusters=clusters), 0.025, np.random.default_rng(1)
    ).interval(0.025)
    robust = mean_interval(values, 0.025, clusters)
    assert result.lower == pytest.approx(robust.lower, abs=0.006)
    assert result.upper == pytest.approx(robust.upper, abs=0.006)


def test_a_cluster_across_strata_is_refused():
    design = RowDesign(4, strata=[0, 0, 1, 1], clusters=[0, 1, 1, 2])
    with pytest.raises(ValueError, match="spans strata"):
        bootstrap_rows(_mean(np.arange(4.0)), design, 0.05, np.random.default_rng(0))


def test_no_rows_and_wrong_labels_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no rows"):
        bootstrap_rows(_mean(np.zeros(0)), RowDesign(0), 0.05, rng)
    with pytest.raises(ValueError, match="labels"):
        bootstrap_rows(_mean(np.zeros(3)), RowDesign(3, strata=[0, 1]), 0.05, rng)


def test_small_errors_need_more_resamples():
    assert needed_resamples(0.05) == 2_000
    assert needed_resamples(0.001) == 20_000
    assert needed_resamples(1e-9) == 200_000


def test_an_often_undefined_statistic_loses_its_bounds():
    def sometimes(rows):
        return np.where((rows == 0).any(axis=1), rows.mean(axis=1), np.nan)

    result = bootstrap_rows(sometimes, RowDesign(20), 0.05, np.random.default_rng(0))
    assert result.interval(0.05) == Interval(None, None)


def test_a_statistic_undefined_on_the_sample_has_no_value():
    result = bootstrap_counts([5, 0, 0, 0], _f1, 0.05, np.random.default_rng(0))
    assert result.value is None
    assert result.interval(0.05) == Interval(None, None)


def test_large_samples_use_a_grouped_jackknife():
    values = np.random.default_rng(0).exponential(size=3000)
    calls = []

    def counted(rows):
        calls.append(len(rows))
        return values[rows].mean(axis=1)

    result = bootstrap_rows(counted, RowDesign(3000), 0.05, np.random.default_rng(1))
    assert calls.count(1) <= 203
    assert result.interval(0.025).lower == pytest.approx(
        mean_interval(values, 0.025, support=None).lower, abs=0.01
    )


class TestCounts:
    table = np.array([400, 60, 40, 200])

    def test_the_value_is_scikit_learns(self):
        truth = np.repeat([0, 0, 1, 1], self.table)
        predicted = np.repeat([0, 1, 0, 1], self.table)
        result = bootstrap_counts(self.table, _f1, 0.05, np.random.default_rng(0))
        assert result.value == pytest.approx(f1_score(truth, predicted), abs=1e-12)

    def test_it_agrees_with_resampling_the_rows(self):
        cell = np.repeat(np.arange(4), self.table)

        def by_rows(rows):
            drawn = cell[rows]
            return _f1(np.stack([(drawn == at).sum(axis=1) for at in range(4)], axis=1))

        rows = bootstrap_rows(by_rows, RowDesign(700), 0.004, np.random.default_rng(0))
        cells = bootstrap_counts(self.table, _f1, 0.0005, np.random.default_rng(1))
        slow, fast = rows.interval(0.025), cells.interval(0.025)
        assert fast.lower == pytest.approx(slow.lower, abs=0.003)
        assert fast.upper == pytest.approx(slow.upper, abs=0.003)

    def test_the_exact_jackknife_is_that_of_the_rows(self):
        cell = np.repeat(np.arange(4), [20, 6, 4, 25])

        def by_rows(rows):
            drawn = cell[rows]
            return _f1(np.stack([(drawn == at).sum(axis=1) for at in range(4)], axis=1))

        rows = bootstrap_rows(by_rows, RowDesign(55), 0.05, np.random.default_rng(0))
        cells = bootstrap_counts([20, 6, 4, 25], _f1, 0.05, np.random.default_rng(1))
        assert cells.acceleration == pytest.approx(rows.acceleration, rel=1e-9)

    def test_strata_keep_their_sums(self):
        def sums(tables):
            np.testing.assert_allclose(tables[:, :2].sum(axis=1).max(), 460)
            return _f1(tables)

        strata = [0, 0, 1, 1]

        def checked(tables):
            if len(tables) >= 2000:
                sums(tables)
                assert (tables[:, 2:].sum(axis=1) == 240).all()
            return _f1(tables)

        result = bootstrap_counts(self.table, checked, 0.05, np.random.default_rng(0), strata)
        plain = bootstrap_counts(self.table, _f1, 0.05, np.random.default_rng(0))
        assert result.interval(0.05) != plain.interval(0.05)

    def test_a_table_without_errors_is_not_certain(self):
        interval = bootstrap_counts([0, 50], _sensitivity, 0.0005, np.random.default_rng(0))
        exact = clopper_pearson(50, 50, 0.025)
        assert interval.value == 1.0
        assert interval.interval(0.025).upper == 1.0
        assert interval.interval(0.025).lower == pytest.approx(exact.lower, abs=0.003)

    def test_a_single_error_is_never_surer_than_none(self):
        rng = np.random.default_rng(0)
        none = bootstrap_counts([0, 80], _sensitivity, 0.001, rng).interval(0.025)
        one = bootstrap_counts([1, 79], _sensitivity, 0.001, rng).interval(0.025)
        assert one.lower <= none.lower

    @pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [float("nan"), 1]])
    def test_impossible_tables_are_refused(self, counts):
        with pytest.raises(ValueError, match="counts"):
            bootstrap_counts(counts, _sensitivity, 0.05, np.random.default_rng(0))

    def test_smaller_alphas_are_wider(self):
        result = bootstrap_counts(self.table, _f1, 0.0005, np.random.default_rng(0))
        ends = [result.interval(alpha) for alpha in (0.0005, 0.005, 0.05, 0.2)]
        assert sorted(end.lower for end in ends) == [end.lower for end in ends]
        assert sorted((end.upper for end in ends), reverse=True) == [end.upper for end in ends]
