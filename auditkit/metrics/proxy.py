"""How well each group can be told from the model's embeddings, as measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from auditkit.check import Context
from auditkit.data import MISSING, Attribute, unit_id
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Bounds,
    Estimate,
    Estimates,
    Interval,
    Measurement,
)
from auditkit.metrics.embedding_space import Halves, group_aucs, group_probabilities
from auditkit.metrics.group_calibration import UNKNOWN
from auditkit.metrics.group_choice import (
    GroupChoice,
    chosen_attributes,
    missing_rows,
    nothing_to_compare,
)
from auditkit.metrics.group_pairs import Levels, members, units_of
from auditkit.metrics.identity_auc import FEWEST
from auditkit.stats.auc import AucEstimate, auc_interval
from auditkit.stats.gaps import Comparison, combine_max


def proxy_measurements(
    context: Context, params: GroupChoice, most_rows: int
) -> Iterator[Measurement]:
    """The AUC of the group that is told best, one measurement per attribute.

    Args:
        context: Data, embeddings and levels.
        params: Which groups.
        most_rows: Most rows the probe learns from.
    """
    data = context.data
    embeddings = context.predictor.embed(data.inputs)
    halves = Halves.of(data, embeddings, context.rng).at_most(most_rows, context.rng)
    attributes = chosen_attributes(data, params)
    probing = _Probing(
        context, halves, params.minimum_group_size, max(sum(len(a.levels) for a in attributes), 1)
    )
    for done, attribute in enumerate(attributes):
        probabilities = group_probabilities(embeddings, attribute, halves)
        if probabilities is None:
            note = nothing_to_compare(attribute, "too few rows of two groups to learn from")
            yield Measurement("auc", None, len(halves.held), None, attribute.name, note)
        else:
            yield probing.best(attribute, group_aucs(probabilities, attribute, halves.held))
        context.advance((done + 1) / len(attributes))


class _Probing:
    """Bounds AUCs on the held rows."""

    def __init__(self, context: Context, halves: Halves, minimum: int, comparisons: int) -> None:
        self._data = context.data
        self._halves = halves
        self._minimum = minimum
        self._comparisons = comparisons
        self._levels = Levels.of(context.confidence, comparisons)
        self._clusters = members(context.data, halves.held)

    def best(self, attribute: Attribute, aucs: Sequence[AucEstimate]) -> Measurement:
        """The group that is told best."""
        compared = [self._comparison(attribute, g, one) for g, one in enumerate(aucs)]
        found = combine_max(compared, both_ways=False)
        few = [attribute.levels[g] for g, one in enumerate(compared) if one.value is None]
        said = [f"Too few rows to learn or to judge: {', '.join(few[:5])}."] if few else []
        said += missing_rows(attribute)
        n = int((attribute.codes[self._halves.held] != MISSING).sum())
        evidence = (self._chart(attribute, aucs),)
        if found.widest is None:
            note = nothing_to_compare(attribute, " ".join(said) or "no group has enough rows")
            return Measurement("auc", None, n, None, attribute.name, note, evidence=evidence)
        said.insert(
            0, f"Told best: {attribute.levels[found.widest]}, on {n:,} rows it did not learn from."
        )
        return Measurement(
            name="auc",
            value=found.value,
            n=n,
            bounds=Bounds(found.claim, found.corrected, "DeLong, logit scale", self._comparisons),
            slice=attribute.name,
            note=" ".join(said),
            evidence=evidence,
            units=self._units(attribute, aucs[0]),
        )

    def _comparison(self, attribute: Attribute, group: int, estimate: AucEstimate) -> Comparison:
        rows = np.flatnonzero(attribute.codes == group)
        enough = min(estimate.n_pos, estimate.n_neg) >= FEWEST
        if not enough or units_of(self._data, rows) < self._minimum:
            return Comparison(None, UNKNOWN, UNKNOWN)
        claim, corrected = (auc_interval(estimate, a, self._clusters) for a in self._levels)
        return Comparison(estimate.value, claim, corrected)

    def _units(self, attribute: Attribute, estimate: AucEstimate) -> dict[str, float]:
        """Values whose mean is the AUC and whose spread is its error, so that audits are paired.

        Only of two groups, of which each is told as well as the other: the best of several may be
        another one in another audit.
        """
        held = self._halves.held[attribute.codes[self._halves.held] != MISSING]
        texts = [self._data.inputs[row] for row in held]
        if len(attribute.levels) != 2 or not all(isinstance(text, str) for text in texts):
            return {}
        known = estimate.positives | estimate.negatives
        values = (estimate.value or 0.0) + len(held) * estimate.influence[known]
        return {unit_id(text): float(v) for text, v in zip(texts, values, strict=True)}

    def _chart(self, attribute: Attribute, aucs: Sequence[AucEstimate]) -> Estimates:
        rows = []
        for level, one in zip(attribute.levels, aucs, strict=True):
            interval: Interval | None = None
            if one.value is not None:
                interval = auc_interval(one, WHISKER_ALPHA, self._clusters)
            rows.append(Estimate(level, one.n_pos, one.value, interval))
        return Estimates(
            title=f"AUC of telling a group of {attribute.name} from the rest by embedding",
            rows=tuple(rows),
            level=WHISKER_LEVEL,
            method="DeLong, logit scale",
            reference=0.5,
            reference_label="guessing",
        )
