"""How well the model's own scores tell each set out of distribution, as measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.check import Context
from auditkit.data import AuditData, Shift, unit_id
from auditkit.finding import (
    WHISKER_ALPHA,
    WHISKER_LEVEL,
    Estimate,
    Estimates,
    Interval,
    Measurement,
    Table,
)
from auditkit.metrics.detectors import (
    OF_LOGITS,
    OF_PROBABILITIES,
    OF_TRAINING,
    Reference,
    logit_scores,
    probability_scores,
)
from auditkit.metrics.group_pairs import Levels
from auditkit.model import Capability
from auditkit.stats.auc import AucEstimate, auc_components, auc_interval
from auditkit.stats.detection import average_precision, kept_outside, kept_outside_interval

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

FEWEST_TRAINING = 20
"""Training rows below which no detector is fitted to them."""
FEW_TRAINING = f"it is fitted to training rows, and there are fewer than {FEWEST_TRAINING} of them"
NO_LOGITS = "it reads logits, and only the model's probabilities are known"
_OF_LOGITS_ALONE = tuple(name for name in OF_LOGITS if name not in OF_PROBABILITIES)


@dataclass(frozen=True, slots=True)
class DetectionParams:
    """What is measured, and on how much.

    Attributes:
        judged: The detector that is judged; the others are shown beside it.
        neighbours: Which nearest neighbour counts for knn.
        training_rows: Most training rows the last three detectors are fitted to.
        most_rows: Most rows in distribution, and of each set, that are scored.
    """

    judged: str
    neighbours: int
    training_rows: int
    most_rows: int


def detection_measurements(context: Context, params: DetectionParams) -> Iterator[Measurement]:
    """AUROC and FPR at 95 % TPR of the judged detector, one of each per set."""
    inside = _drawn(context.in_distribution(), params.most_rows, context.rng)
    scorer = _Scorer.of(context, params)
    kept = context.data.rows(inside)
    near = scorer.scores(kept)
    for done, (name, shift) in enumerate(context.shifts.items()):
        rows = _drawn(np.arange(len(shift.data)), params.most_rows, context.rng)
        far = shift.data.rows(rows)
        told = _Told(name, kept, far, near, scorer.scores(far), scorer.left_out)
        yield from told.measurements(context, params, _said(shift, rows))
        context.advance((done + 1) / len(context.shifts))


@dataclass(frozen=True, slots=True, eq=False)
class _Scorer:
    """Scores rows by every detector that model and data offer enough for.

    Attributes:
        context: Answers and embeddings.
        reference: The training rows; None where they or the embeddings are lacking.
        left_out: Why the detectors that are left out are, by detector.
    """

    context: Context
    reference: Reference | None
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, context: Context, params: DetectionParams) -> _Scorer:
        """Fit to a sample of the training rows."""
        if why := context.lacking.get(Capability.EMBEDDINGS):
            left_out = dict.fromkeys(_OF_LOGITS_ALONE, NO_LOGITS)
            return cls(context, None, left_out | dict.fromkeys(OF_TRAINING, why))
        training = context.training
        if training is None or len(training) < FEWEST_TRAINING:
            why = FEW_TRAINING
            if training is None:
                why = context.lacking.get(Capability.TRAINING_ROWS, why)
            return cls(context, None, dict.fromkeys(OF_TRAINING, why))
        rows = _drawn(np.arange(len(training)), params.training_rows, context.rng)
        sample, head = training.rows(rows), context.predictor.head()
        embeddings = context.predictor.embed(sample.inputs).astype(np.float64)
        labels = sample.labels
        if labels is None:
            labels = head.logits(embeddings).argmax(axis=1).astype(np.int64)
        return cls(context, Reference(embeddings, labels, head, params.neighbours), {})

    def scores(self, data: AuditData) -> dict[str, Floats]:
        """Scores of the rows, by detector."""
        predictor = self.context.predictor
        if not len(data):
            return {}
        if Capability.EMBEDDINGS in self.context.lacking:
            probabilities = predictor.predict(data.inputs).probabilities
            assert probabilities is not None
            return probability_scores(probabilities)
        embeddings = predictor.embed(data.inputs).astype(np.float64)
        found = logit_scores(predictor.head().logits(embeddings))
        if self.reference is not None:
            found |= self.reference.scores(embeddings)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """One set out of distribution, and how its rows score beside those in distribution."""

    name: str
    kept: AuditData
    far: AuditData
    near_scores: Mapping[str, Floats]
    far_scores: Mapping[str, Floats]
    left_out: Mapping[str, str]

    @property
    def n(self) -> int:
        """Rows scored."""
        return len(self.kept) + len(self.far)

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """Cluster of each row, those in distribution first."""
        own, other = self.kept.clusters, self.far.clusters
        return None if own is None or other is None else np.concatenate([own, other])

    @property
    def is_far(self) -> NDArray[np.bool_]:
        """Which rows are of the set."""
        return np.arange(self.n) >= len(self.kept)

    def measurements(
        self, context: Context, params: DetectionParams, said: str
    ) -> Iterator[Measurement]:
        """The judged detector's numbers, with those of the others as evidence."""
        levels = Levels.of(context.confidence, len(context.shifts))
        if params.judged not in self.near_scores or params.judged not in self.far_scores:
            why = self._lacking(params.judged)
            for name in ("auroc", "fpr95"):
                yield Measurement(name, None, self.n, None, self.name, why)
            return
        area = self.area(params.judged)
        yield Measurement(
            "auroc",
            area.value,
            self.n,
            levels.bounds(
                lambda alpha: auc_interval(area, alpha, self.clusters),
                "DeLong, logit scale",
                len(context.shifts),
            ),
            self.name,
            " ".join([f"By {params.judged}. {said}", *self._left_out()]),
            evidence=(self._chart(), self._table()),
            units=self._units(area),
        )
        near, far = self.near_scores[params.judged], self.far_scores[params.judged]
        yield Measurement(
            "fpr95",
            kept_outside(near, far),
            self.n,
            levels.bounds(
                lambda alpha: self._kept_interval(near, far, alpha),
                "Clopper-Pearson at order statistics",
                len(context.shifts),
            ),
            self.name,
            f"By {params.judged}: the share of the set kept by the threshold that keeps 95 % of "
            f"{len(self.kept):,} rows in distribution.",
        )

    def area(self, detector: str) -> AucEstimate:
        """The AUROC of a detector, with the set's rows as positives."""
        return auc_components(self._both(detector), self.is_far, ~self.is_far)

    def _both(self, detector: str) -> Floats:
        return np.concatenate([self.near_scores[detector], self.far_scores[detector]])

    def _kept_interval(self, near: Floats, far: Floats, alpha: float) -> Interval:
        effective = None
        if self.clusters is not None:
            effective = _effective(self.kept.clusters), _effective(self.far.clusters)
        return kept_outside_interval(near, far, alpha, effective=effective)

    def _units(self, area: AucEstimate) -> dict[str, float]:
        """Values whose mean is the AUROC and whose spread is its error, so that audits pair."""
        texts = [*self.kept.inputs, *self.far.inputs]
        if not all(isinstance(text, str) for text in texts):
            return {}
        values = (area.value or 0.0) + self.n * area.influence
        return {unit_id(text): float(v) for text, v in zip(texts, values, strict=True)}

    def _lacking(self, judged: str) -> str:
        if not len(self.kept) or not len(self.far):
            return "no row in distribution" if not len(self.kept) else "no row in the set"
        return f"{judged} is left out: {self.left_out[judged]}"

    def _left_out(self) -> Iterator[str]:
        """A sentence for each reason to leave detectors out."""
        for why in dict.fromkeys(self.left_out.values()):
            names = [detector for detector, own in self.left_out.items() if own == why]
            yield f"Left out: {', '.join(names)} ({why})."

    def _chart(self) -> Estimates:
        rows = []
        for detector in self.near_scores:
            area = self.area(detector)
            whisker = auc_interval(area, WHISKER_ALPHA, self.clusters)
            rows.append(Estimate(detector, self.n, area.value, whisker))
        return Estimates(
            f"AUROC of telling {self.name} from rows in distribution, by detector",
            tuple(rows), WHISKER_LEVEL, "DeLong, logit scale", 0.5, "guessing", "detector",
        )  # fmt: skip

    def _table(self) -> Table:
        rows = []
        for detector in self.near_scores:
            scores, near, far = (
                self._both(detector), self.near_scores[detector], self.far_scores[detector],
            )  # fmt: skip
            areas = (
                self.area(detector),
                average_precision(scores, self.is_far, ~self.is_far),
                average_precision(-scores, ~self.is_far, self.is_far),
            )
            cells = [
                _cell(one.value, auc_interval(one, WHISKER_ALPHA, self.clusters)) for one in areas
            ]
            share = kept_outside(near, far)
            cells.append(_cell(share, self._kept_interval(near, far, WHISKER_ALPHA)))
            rows.append((detector, *cells))
        return Table(
            f"Detectors on {self.name}, with 95 % intervals: {len(self.kept):,} rows in "
            f"distribution, {len(self.far):,} out of it",
            ("detector", "AUROC", "AUPR (out is positive)", "AUPR (in is positive)",
             "FPR at 95 % TPR"),
            tuple(rows),
        )  # fmt: skip


def _cell(value: float | None, interval: Interval) -> str:
    if value is None:
        return "undefined"
    lower = 0.0 if interval.lower is None else interval.lower
    upper = 1.0 if interval.upper is None else interval.upper
    return f"{value:.3f} ({lower:.3f}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{upper:.3f})"


def _effective(clusters: NDArray[np.int64] | None) -> float:
    """Independent rows that clustered ones are worth at worst: Kish's (Σ sizes)² / Σ sizes²."""
    sizes = np.unique(clusters, return_counts=True)[1] if clusters is not None else np.zeros(0)
    return float(sizes.sum()) ** 2 / max(float(np.square(sizes).sum()), 1.0)


def _drawn(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def _said(shift: Shift, rows: Sequence[int] | Rows) -> str:
    short = len(rows) < len(shift.data)
    return shift.said + (f" {len(rows):,} of them were drawn." if short else "")
