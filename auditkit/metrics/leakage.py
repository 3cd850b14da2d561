"""Which rows the model is judged by it has seen in training, and what the numbers are without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import AuditData
from auditkit.finding import Bounds, Example, Examples, Interval, Measurement
from auditkit.metrics.group_pairs import Levels
from auditkit.metrics.near_duplicates import Duplicates, Likeness, find_duplicates
from auditkit.metrics.shifted import share_interval
from auditkit.stats.bootstrap import Replicates, RowDesign, bootstrap_counts, bootstrap_tables
from auditkit.stats.intervals import Floats

Rows = NDArray[np.int64]

NO_TEXTS = "the rows are not texts, so copies of them cannot be looked for"
_SHOWN = 10
"""Pairs shown of each part."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The audited rows in distribution, a set or a split, with the places of their texts."""

    name: str
    data: AuditData
    rows: Rows


def leakage_measurements(context: Context, likeness: Likeness) -> Iterator[Measurement]:
    """Shares of leaked and of repeated rows, and how far leaked ones lift accuracy."""
    assert context.training is not None
    inside = context.data.rows(context.in_distribution())
    judged = {"": inside} | {name: shift.data for name, shift in context.shifts.items()}
    others = {f"split {name!r}": data for name, data in context.held_out.items()}
    named = [*judged.items(), *others.items()]
    texts = [texts_of(context.training), *(texts_of(data) for _, data in named)]
    if any(one is None for one in texts):
        for name, data in named:
            yield Measurement("leaked", None, len(data), None, name, NO_TEXTS)
        return
    joined = [text for one in texts if one is not None for text in one]
    known = np.arange(len(context.training))
    found = find_duplicates(joined, likeness, np.arange(len(joined)) >= len(known))
    context.advance(0.9)
    leaks = _Leaks(context, found, known, joined)
    ends = np.cumsum([len(known), *(len(data) for _, data in named)])
    parts = [
        _Part(name, data, np.arange(end - len(data), end))
        for (name, data), end in zip(named, ends[1:].tolist(), strict=True)
    ]
    for part in parts[: len(judged)]:
        yield leaks.leaked(part, len(named))
        yield leaks.repeated(part, len(judged))
        if not part.name and part.data.labels is not None:
            yield leaks.inflation(part)
    for part in parts[len(judged) :]:
        yield leaks.of_split(part, parts[0], len(named))


def texts_of(data: AuditData) -> list[str] | None:
    """The texts of the rows, also where the model is asked about pairs of text and group."""
    plain = [one[0] if isinstance(one, tuple) and one else one for one in data.inputs]
    return plain if all(isinstance(one, str) for one in plain) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Leaks:
    """What was found, and what the rows behind it are."""

    context: Context
    found: Duplicates
    known: Rows
    texts: list[str]

    def leaked(self, part: _Part, parts: int) -> Measurement:
        """The share of rows that have a copy or near-duplicate among the training rows."""
        if not len(part.rows):
            return Measurement("leaked", None, 0, None, part.name, "there is no row")
        similarity, partner = self.found.nearest(part.rows, self.known)
        hit = similarity > 0
        exact = int((similarity >= 1).sum())
        levels = Levels.of(self.context.confidence, parts)
        return Measurement(
            "leaked",
            float(hit.mean()),
            len(hit),
            levels.bounds(
                partial(share_interval, hit, part.data.clusters), "Clopper-Pearson", parts
            ),
            part.name,
            f"{exact:,} rows have the words of a training row, {int(hit.sum()) - exact:,} nearly; "
            f"looked for among {len(self.known):,} training rows.",
            evidence=(self._shown(part, similarity, partner),) if hit.any() else (),
        )

    def of_split(self, part: _Part, audited: _Part, parts: int) -> Measurement:
        """As `leaked`, of a split that is not audited; also how much of it is audited all the same.

        The model is not asked about these rows, so that what it owes to the leaked ones is not
        known.
        """
        found = self.leaked(part, parts)
        shared = int((self.found.nearest(part.rows, audited.rows)[0] > 0).sum())
        return replace(
            found,
            note=f"{found.note} {shared:,} rows are like an audited row. The model is not asked "
            "about this split, so what is without the leaked rows is not known.",
        )

    def repeated(self, part: _Part, parts: int) -> Measurement:
        """The share of rows that repeat an earlier row of the same part."""
        n = len(part.rows)
        if n < 2:
            return Measurement("repeated", None, n, None, part.name, "there are no two rows")
        count = int(self.found.repeated(part.rows).sum())
        exact = Interval(count / n, count / n)
        return Measurement(
            "repeated",
            count / n,
            n,
            Bounds(exact, exact, "a count of these rows", parts),
            part.name,
            f"{count:,} of {n:,} rows repeat an earlier one, word for word or nearly.",
        )

    def inflation(self, part: _Part) -> Measurement:
        """Accuracy on all rows less accuracy on those that did not leak."""
        n = len(part.rows)
        if not n:
            return Measurement("inflation", None, 0, None, "", "there is no row")
        hit = self.found.nearest(part.rows, self.known)[0] > 0
        answers = self.context.predictor.predict(part.data.inputs)
        right = answers.labels == part.data.labels
        if hit.all():
            return Measurement("inflation", None, n, None, "", "every row leaked")
        levels = Levels.of(self.context.confidence, 1)
        replicates = _inflations(hit, right, part.data.clusters, levels.corrected, self.context.rng)
        value = float(right.mean() - right[~hit].mean())
        return Measurement(
            "inflation",
            value,
            n,
            levels.bounds(
                lambda alpha: _around(replicates.interval(alpha), value),
                "BCa bootstrap" + ("" if part.data.clusters is None else " of clusters"),
            ),
            "",
            f"Accuracy is {right.mean():.4f} on all {n:,} rows and {right[~hit].mean():.4f} on the "
            f"{int((~hit).sum()):,} that did not leak.",
        )

    def _shown(self, part: _Part, similarity: Floats, partner: Rows) -> Examples:
        """Some of the leaked rows beside the training row they are like, near ones first."""
        order = np.argsort(np.where(similarity > 0, similarity, 2.0), kind="stable")[:_SHOWN]
        trained = self.context.training
        assert trained is not None
        rows = [
            Example(
                before=self.texts[partner[row]],
                after=self.texts[part.rows[row]],
                before_label=_label(trained, int(partner[row])),
                after_label=_label(part.data, int(row)),
                note=f"similarity {similarity[row]:.2f}",
            )
            for row in order.tolist()
            if similarity[row] > 0
        ]
        where = part.name or "the audited rows"
        return Examples(f"Training rows (before) that occur in {where} (after)", tuple(rows))


def _label(data: AuditData, row: int) -> str:
    return "" if data.labels is None else data.class_names[data.labels[row]]


def _inflations(
    hit: NDArray[np.bool_],
    right: NDArray[np.bool_],
    clusters: NDArray[np.int64] | None,
    alpha: float,
    rng: np.random.Generator,
) -> Replicates:
    """Resampled differences of accuracy with and without the leaked rows."""
    cells = 2 * hit.astype(np.int64) + right
    if clusters is None:
        return bootstrap_counts(np.bincount(cells, minlength=4), _inflation, alpha, rng)
    return bootstrap_tables(cells, 4, _inflation, RowDesign(len(hit), None, clusters), alpha, rng)


def _inflation(tables: Floats) -> Floats:
    """From counts (b, 4) of clean wrong, clean right, leaked wrong, leaked right."""
    clean = tables[:, :2].sum(axis=1)
    found = np.full(len(tables), np.nan)
    share = np.divide(tables[:, 1], clean, out=found.copy(), where=clean > 0)
    total = (tables[:, 1] + tables[:, 3]) / tables.sum(axis=1)
    return np.asarray(total - share)


def _around(interval: Interval, value: float) -> Interval:
    """The interval, widened to hold the value where few replicates differ from it."""
    return Interval(
        None if interval.lower is None else min(interval.lower, value),
        None if interval.upper is None else max(interval.upper, value),
    )
