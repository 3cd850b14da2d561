"""Predictions made elsewhere, read from columns of the data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.config import DataConfig, ModelConfig
from auditkit.errors import ConfigError, DataError, ModelError, nearest
from auditkit.model import Capability, Predictions
from auditkit.sources.table import SourceTable, shown_rows

SUM_TOLERANCE = 1e-3

_INTEGER = re.compile(r"[+-]?\d{1,18}")


def load_recorded(config: ModelConfig, data: DataConfig, table: SourceTable) -> RecordedModel:
    """A model whose inputs are row numbers and whose answers are columns.

    Classes are `config.class_names`; else the score columns' names when they are the labels; else
    the labels that occur, in numeric or alphabetic order.

    Raises:
        DataError: A column is missing, or a value is no class or no probability; with the row.
        ConfigError: Class names and score columns do not fit together.
    """
    names, named_by = _class_names(config, data, table)
    assumptions = {"classes": f"{', '.join(names)} ({named_by})."}
    probabilities = None
    if config.score_columns:
        positive = _positive(data, names)
        probabilities = _probabilities(table, config.score_columns, len(names), positive)
        labels = _chosen(probabilities, config, positive, assumptions, names)
    if config.label_column is not None:
        recorded = _labels(table, config.label_column, names)
        if probabilities is not None:
            differing = int((recorded != probabilities.argmax(axis=1)).sum())
            assumptions["predicted class"] = (
                f"From column {config.label_column!r}; in {differing} of {table.n} rows it is not "
                "the class with the highest score."
            )
        labels = recorded
    return RecordedModel(table.name, names, Predictions(labels, probabilities), assumptions)


@dataclass(frozen=True, slots=True, eq=False)
class RecordedModel:
    """Answers on file. `predict` takes row numbers (from 0) and returns those rows' answers."""

    source: str
    class_names: tuple[str, ...]
    answers: Predictions
    assumptions: dict[str, str]

    @property
    def name(self) -> str:
        """Says where the predictions are."""
        return f"predictions in {self.source}"

    @property
    def digest(self) -> str:
        """SHA-256 of class names and answers."""
        whole = hashlib.sha256(repr(self.class_names).encode("utf-8", "surrogatepass"))
        whole.update(self.answers.labels.tobytes())
        if self.answers.probabilities is not None:
            whole.update(self.answers.probabilities.tobytes())
        return whole.hexdigest()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Probabilities when there are scores; never new inputs."""
        scored = self.answers.probabilities is not None
        return frozenset({Capability.PROBABILITIES} if scored else ())

    def predict(self, batch: Sequence[Any]) -> Predictions:
        """The answers of these rows.

        Raises:
            ModelError: An input is not the number of a row.
        """
        rows = np.asarray(batch)
        if len(rows) and (
            rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(self.answers)
        ):
            raise ModelError(f"{self.name}: only its own rows have an answer.")
        return self.answers.take(rows.astype(np.int64))


def natural_order(labels: Iterable[str]) -> list[str]:
    """Distinct labels, by number when all are integers, else by character."""
    distinct = set(labels)
    if all(_INTEGER.fullmatch(label) for label in distinct):
        return sorted(distinct, key=lambda label: (int(label), label))
    return sorted(distinct)


def _class_names(
    config: ModelConfig, data: DataConfig, table: SourceTable
) -> tuple[tuple[str, ...], str]:
    scores = config.score_columns or []
    k = len(scores) if len(scores) > 1 else 2
    if config.class_names:
        names = tuple(config.class_names)
        if scores and len(names) != k:
            raise ConfigError(
                f"model.class_names has {len(names)} names, but the scores are for {k} classes."
            )
        return names, "as configured"
    seen = _seen_labels(config, data, table)
    if len(scores) > 1 and seen and seen <= set(scores):
        return tuple(scores), "the names of the score columns"
    names = tuple(natural_order(seen))
    if len(scores) > 1 and len(names) == k:
        return _by_column_name(scores, names)
    if scores and not names:
        return tuple(str(i) for i in range(k)), "by number, since nothing names them"
    if (scores and len(names) != k) or len(names) < 2:
        raise ConfigError(
            f"the labels that occur ({', '.join(names[:12]) or 'none'}) are {len(names)} classes"
            + (f", the scores are for {k}." if scores else "."),
            "Set model.class_names, in the order of the score columns.",
        )
    return names, "the labels that occur, in order"


def _by_column_name(scores: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Classes in the order of the columns that are named after them: "p_neg", "score.pos"."""
    ordered = []
    for column in scores:
        ending = [
            name for name in names if re.search(rf"(^|[^A-Za-z0-9]){re.escape(name)}$", column)
        ]
        ordered.append(max(ending, key=len, default=""))
    if sorted(ordered) != sorted(names):
        raise ConfigError(
            f"which score column belongs to which class cannot be told: {', '.join(scores)} for "
            f"{', '.join(names)}.",
            "Set model.class_names, in the order of the score columns.",
        )
    return tuple(ordered), "from the names of the score columns"


def _seen_labels(config: ModelConfig, data: DataConfig, table: SourceTable) -> set[str]:
    missing = set(data.missing)
    seen: set[str] = set()
    if data.label is not None:
        true = set(table.column(data.label)) - missing
        seen |= {data.label_map.get(label, label) for label in true if label is not None}
    if config.label_column is not None:
        predicted = {label for label in table.column(config.label_column) if label} - missing
        if seen and not config.class_names:
            _refuse_other_spelling(seen, predicted, data.label or "", config.label_column)
        seen |= predicted
    return seen


def _refuse_other_spelling(true: set[str], predicted: set[str], column: str, other: str) -> None:
    """Refuse "1" beside "1.0" or "Yes " beside "yes": read as they are, they never agree."""
    plain = {_plain(label): label for label in true}
    for label in sorted(predicted - true):
        if _plain(label) in plain:
            raise DataError(
                f"column {other!r} has {label!r} where column {column!r} has "
                f"{plain[_plain(label)]!r}: read as they are, they are different classes.",
                "Spell them alike, or map the labels with data.label_map.",
            )


def _plain(label: str) -> str:
    return label.strip().casefold().removesuffix(".0")


def _positive(data: DataConfig, names: tuple[str, ...]) -> int:
    """Class that a single score column is the probability of."""
    wanted = data.label_map.get(data.positive, data.positive) if data.positive else None
    return names.index(wanted) if wanted in names else len(names) - 1


def _probabilities(
    table: SourceTable, columns: Sequence[str], k: int, positive: int
) -> NDArray[np.float64]:
    scores = np.column_stack([_scores(table, column) for column in columns])
    if len(columns) == 1:
        return np.hstack([scores, 1 - scores] if positive == 0 else [1 - scores, scores])
    off = np.abs(scores.sum(axis=1) - 1) > SUM_TOLERANCE
    if off.any():
        rows = np.flatnonzero(off).tolist()
        raise DataError(
            f"{table.name}: the scores do not sum to 1 in {shown_rows(rows)} "
            f"(row {rows[0] + 1}: {scores[rows[0]].tolist()}).",
            f"Each of the {k} score columns is the probability of one class.",
        )
    return scores


def _scores(table: SourceTable, column: str) -> NDArray[np.float64]:
    texts = table.column(column)
    try:
        values = np.array([np.nan if text is None else float(text) for text in texts])
    except ValueError:
        row = next(i for i, text in enumerate(texts) if not _is_number(text))
        raise DataError(
            f"{table.name}: column {column!r}, row {row + 1}: {texts[row]!r} is not a number."
        ) from None
    # The comparison is written so that NaN is outside as well.
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        rows = np.flatnonzero(outside).tolist()
        raise DataError(
            f"{table.name}: column {column!r} is not a probability in {shown_rows(rows)} "
            f"(row {rows[0] + 1}: {texts[rows[0]]!r}).",
            "Scores must lie between 0 and 1; apply a softmax or sigmoid to logits first.",
        )
    return values


def _is_number(text: str | None) -> bool:
    try:
        float(text if text is not None else "nan")
    except ValueError:
        return False
    return True


def _chosen(
    probabilities: NDArray[np.float64],
    config: ModelConfig,
    positive: int,
    assumptions: dict[str, str],
    names: tuple[str, ...],
) -> NDArray[np.int64]:
    if len(config.score_columns or ()) > 1:
        return np.array(probabilities.argmax(axis=1), dtype=np.int64)
    assumptions["scores"] = (
        f"Column {(config.score_columns or [''])[0]!r} is the probability of {names[positive]!r}, "
        f"chosen from {config.threshold:g} on."
    )
    over = probabilities[:, positive] >= config.threshold
    chosen: NDArray[np.int64] = np.where(over, positive, 1 - positive).astype(np.int64)
    return chosen


def _labels(table: SourceTable, column: str, names: tuple[str, ...]) -> NDArray[np.int64]:
    index = {name: i for i, name in enumerate(names)}
    values = table.column(column)
    codes = [index.get(value, -1) if value is not None else -1 for value in values]
    unknown = [row for row, code in enumerate(codes) if code < 0]
    if unknown:
        value = values[unknown[0]]
        raise DataError(
            f"{table.name}: column {column!r} has no known class in {shown_rows(unknown)} "
            f"(row {unknown[0] + 1}: {value!r}).",
            nearest(value or "", names),
        )
    return np.array(codes, dtype=np.int64)
