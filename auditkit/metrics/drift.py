"""How far the rows of an audit lie from those the model was trained on, as measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import Attribute, AuditData
from auditkit.finding import WHISKER_ALPHA, WHISKER_LEVEL, Evidence, Measurement, Table
from auditkit.metrics.embedding_space import Halves, Vectors, group_aucs, group_probabilities
from auditkit.metrics.group_pairs import Levels
from auditkit.metrics.leakage import texts_of
from auditkit.metrics.near_duplicates import words_of
from auditkit.metrics.shifted import guarded
from auditkit.stats.auc import AucEstimate, auc_interval
from auditkit.stats.two_samples import (
    Tested,
    auc_test,
    mean_discrepancy_test,
    stability_interval,
    stability_test,
)

Floats = NDArray[np.float64]

FEWEST = 20
"""Rows of either sample below which nothing is said."""


def drift_measurements(context: Context, most_rows: int, bins: int) -> Iterator[Measurement]:
    """The AUC of telling audited rows from training rows, and the stability of each property.

    Args:
        context: Data, training rows and embeddings.
        most_rows: Most rows of each sample.
        bins: Bins of a property that is a number.
    """
    assert context.training is not None
    trained = independent(context.training, most_rows, context.rng)
    audited = independent(context.data.rows(context.in_distribution()), most_rows, context.rng)
    if min(len(trained), len(audited)) < FEWEST:
        note = f"fewer than {FEWEST} independent rows to train on or to audit"
        yield Measurement("auc", None, len(audited), None, note=note)
        return
    compared = _Compared(context, trained)
    yield compared.told_apart(audited, most_rows)
    context.advance(0.9)
    yield from _stabilities(context, trained, audited, bins)


def independent(data: AuditData, most: int, rng: np.random.Generator) -> AuditData:
    """At most so many rows, drawn at random; one of each cluster where rows come in clusters."""
    rows = rng.permutation(len(data))
    if data.clusters is not None:
        rows = rows[np.sort(np.unique(data.clusters[rows], return_index=True)[1])]
    return data.rows(np.sort(rows[:most]).astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class _Apart:
    """How well a probe tells a sample from the training rows, and two tests that it is one."""

    auc: AucEstimate
    held: int
    clusters: NDArray[np.int64] | None
    by_probe: Tested
    by_mean: Tested


class _Compared:
    """Compares samples with the training rows in embedding space."""

    def __init__(self, context: Context, trained: AuditData) -> None:
        self._context, self._trained = context, trained
        self._known: Vectors = context.predictor.embed(trained.inputs)

    def told_apart(self, audited: AuditData, most_rows: int) -> Measurement:
        """The AUC for the audited rows, the sets beside it as evidence."""
        found = self._apart(audited)
        levels = Levels.of(self._context.confidence, 1)
        measured = Measurement(
            "auc",
            found.auc.value,
            found.held,
            levels.bounds(
                partial(auc_interval, found.auc, clusters=found.clusters), "DeLong, logit scale"
            ),
            "",
            f"{len(self._trained):,} training rows and {len(audited):,} audited ones, half of them "
            f"to learn from. Permutation p-values: {found.by_probe.p:.3f} by the probe, "
            f"{found.by_mean.p:.3f} by mean discrepancy.",
            evidence=self._table(found, audited, most_rows),
        )
        return guarded(measured, min(len(self._trained), len(audited)))

    def _apart(self, other: AuditData) -> _Apart:
        """Half of the rows teach a probe, the others judge it."""
        vectors = np.concatenate([self._known, self._context.predictor.embed(other.inputs)])
        rng, is_other = self._context.rng, np.arange(len(vectors)) >= len(self._known)
        sample = Attribute("sample", ("trained", "other"), is_other.astype(np.int64))
        clusters = None
        if self._trained.clusters is not None and other.clusters is not None:
            clusters = np.concatenate([self._trained.clusters, other.clusters])
        # A cluster with a row in both samples would teach the probe the wrong answer for the other.
        placed = AuditData((*self._trained.inputs, *other.inputs), None, (), clusters=clusters)
        halves = Halves.of(placed, vectors, rng)
        probabilities = group_probabilities(vectors, sample, halves)
        if probabilities is None:
            probabilities = np.full((len(halves.held), 2), 0.5)
        told = group_aucs(probabilities, sample, halves.held)[1]
        own = None if clusters is None else clusters[halves.held]
        by_probe = auc_test(probabilities[:, 1], is_other[halves.held], rng, own)
        by_mean = mean_discrepancy_test(vectors[~is_other], vectors[is_other], rng, clusters)
        return _Apart(told, len(halves.held), own, by_probe, by_mean)

    def _table(self, found: _Apart, audited: AuditData, most_rows: int) -> tuple[Evidence, ...]:
        rows = [self._row("audited rows in distribution", found, audited)]
        for name, shift in self._context.shifts.items():
            other = independent(shift.data, most_rows, self._context.rng)
            if len(other) >= FEWEST:
                rows.append(self._row(name, self._apart(other), other))
        return (
            Table(
                f"Beside {len(self._known):,} training rows, in embedding space",
                ("rows", "n", f"AUC of a linear probe ({100 * WHISKER_LEVEL:.0f} % interval)",
                 "p of the AUC", "squared mean discrepancy", "p of the discrepancy"),
                tuple(rows),
            ),
        )  # fmt: skip

    def _row(self, name: str, found: _Apart, other: AuditData) -> tuple[str | int | float, ...]:
        whisker = auc_interval(found.auc, WHISKER_ALPHA, found.clusters)
        return (
            name,
            len(other),
            f"{found.by_probe.value:.3f} ({whisker.lower:.3f} to {whisker.upper:.3f})",
            found.by_probe.p,
            found.by_mean.value,
            found.by_mean.p,
        )


def _stabilities(
    context: Context, trained: AuditData, audited: AuditData, bins: int
) -> Iterator[Measurement]:
    """The population stability index of each property."""
    found = [
        (name, *histograms(first, second, bins), bin_names(first, second, bins))
        for name, first, second in properties(trained, audited)
    ]
    usable = [one for one in found if len(one[1]) > 1]
    levels = Levels.of(context.confidence, len(usable))
    for name, first, second, ranges in usable:
        of_label = [audited.class_names[int(code)] for code in ranges] if name == "label" else None
        tested = stability_test(first, second, context.rng)
        measured = Measurement(
            "stability_index",
            tested.value,
            len(audited),
            levels.bounds(
                partial(stability_interval, first, second),
                "noncentral chi-squared",
                len(usable),
            ),
            name,
            f"Permutation p {tested.p:.3f}.",
            evidence=(_histogram_table(name, of_label or ranges, first, second),),
        )
        yield guarded(measured, min(len(trained), len(audited)))


def properties(trained: AuditData, audited: AuditData) -> Iterator[tuple[str, Floats, Floats]]:
    """Properties of rows, each as a number per row of both samples."""
    first, second = texts_of(trained), texts_of(audited)
    if first is not None and second is not None:
        for name, measured in _OF_TEXT.items():
            yield name, np.array([measured(t) for t in first]), np.array(
                [measured(t) for t in second]
            )  # fmt: skip
    if trained.labels is not None and audited.labels is not None:
        yield "label", trained.labels.astype(float), audited.labels.astype(float)


def _share(text: str, kind: str) -> float:
    signs = [sign for sign in text if not sign.isspace()]
    return sum(getattr(sign, kind)() for sign in signs) / len(signs) if signs else 0.0


_OF_TEXT: dict[str, Callable[[str], float]] = {
    "words": lambda text: float(len(words_of(text))),
    "letters per word": lambda text: float(np.mean([len(word) for word in words_of(text)])),
    "share of capitals": lambda text: _share(text, "isupper"),
    "share of digits and signs": lambda text: 1.0 - _share(text, "isalpha"),
}
"""What is measured of a text, by its name in the report."""


def histograms(
    first: Floats, second: Floats, bins: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of both samples in bins that hold as many rows of both together, ties apart."""
    (one, other), size = _binned(first, second, bins)
    counts = np.stack([np.bincount(one, minlength=size), np.bincount(other, minlength=size)])
    filled = counts[:, counts.sum(axis=0) > 0].astype(np.int64)
    return filled[0], filled[1]


def bin_names(first: Floats, second: Floats, bins: int) -> list[str]:
    """The smallest and the largest value in each bin of `histograms`, as a range."""
    both = np.concatenate([first, second])
    codes = np.concatenate(_binned(first, second, bins)[0])
    ends = [(both[codes == code].min(), both[codes == code].max()) for code in np.unique(codes)]
    return [f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}" for low, high in ends]


def _binned(
    first: Floats, second: Floats, bins: int
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], int]:
    """The bin of each row of both samples, and how many bins there may be."""
    both = np.concatenate([first, second])
    values = np.unique(both)
    if len(values) > bins:
        cuts = np.unique(np.quantile(both, np.arange(1, bins) / bins, method="lower"))
        return (np.searchsorted(cuts, first), np.searchsorted(cuts, second)), len(cuts) + 1
    return (np.searchsorted(values, first), np.searchsorted(values, second)), len(values)


def _histogram_table(
    name: str, names: list[str], first: NDArray[np.int64], second: NDArray[np.int64]
) -> Table:
    rows = [
        (bin, float(a / first.sum()), float(b / second.sum()))
        for bin, a, b in zip(names, first.tolist(), second.tolist(), strict=True)
    ]
    return Table(
        f"{name[0].upper()}{name[1:]}: share of the rows in each bin",
        (name, "trained on", "audited"),
        tuple(rows),
    )
