"""Before the first check: loads model and data, and refuses what would make the numbers wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from auditkit.attribution import Span
from auditkit.config import AuditConfig, DataConfig
from auditkit.data import Attribute, AuditData, Shift, in_distribution
from auditkit.errors import ConfigError, DataError, ModelError, nearest
from auditkit.model import Capability, Model, Predictions, TokenModel, answer_key
from auditkit.models import load_model
from auditkit.models.thresholded import ThresholdedModel
from auditkit.ood_sets import Source, ood_sets, sampled
from auditkit.prediction_store import KeptAnswers, PredictionStore
from auditkit.sampling import draw
from auditkit.sources import read_table
from auditkit.sources.groups import read_groups
from auditkit.sources.labels import read_labels
from auditkit.sources.rationales import read_rationales
from auditkit.sources.rows import check_ids, read_clusters, read_pairs, read_splits, read_texts
from auditkit.sources.table import SourceTable

if TYPE_CHECKING:
    from auditkit.baseline import Baseline

COPIES_SHARE = 0.05
"""Share of repeated texts from which on rows are too dependent for plain intervals."""
PROBED_ROWS = 32
"""Rows asked twice to see whether the model is deterministic."""
BATCH_TOLERANCE = 1e-3
"""Most a probability may move with what else is in the batch before the reader is told."""
CHANCE_ALPHA = 0.001
"""Error of the claim that a model is worse than guessing."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A model and its data, ready to be audited.

    Attributes:
        model: The model under audit.
        data: All rows, with splits.
        audited: The rows of the audited split.
        assumptions: What was assumed rather than told, by topic.
        warnings: What the reader of the report should know about the data, as sentences.
        name: Name of the data source.
        allow_below_chance: Whether a model worse than guessing is audited all the same.
        kept: What earlier audits left about the model; None when nothing is kept of it.
        read: All rows as they were read, where the model is asked about more than the text.
        shifts: The named sets of rows out of distribution.
        shift_digests: Their digests, as they were read.
        training: The rows the model was trained on, where a check reads them.
        validation: The rows to choose by, where a check reads them and there are some.
        held_out: The splits that are neither audited nor trained on, where a check reads these.
        baseline: The model to compare with, where a check does so.
    """

    model: Model
    data: AuditData
    audited: AuditData
    assumptions: dict[str, str]
    warnings: tuple[str, ...]
    name: str
    allow_below_chance: bool = False
    kept: KeptAnswers | None = None
    read: AuditData | None = None
    shifts: Mapping[str, Shift] = field(default_factory=dict)
    shift_digests: Mapping[str, str] = field(default_factory=dict)
    training: AuditData | None = None
    validation: AuditData | None = None
    held_out: Mapping[str, AuditData] = field(default_factory=dict)
    baseline: Baseline | None = None

    @property
    def data_digest(self) -> str:
        """Digest of all rows as they were read, those of every set included."""
        digest = (self.data if self.read is None else self.read).digest
        if not self.shift_digests:
            return digest
        content = json.dumps([digest, self.shift_digests], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@runtime_checkable
class _Truncating(Protocol):
    max_length: int

    def truncated(self, inputs: Sequence[Any]) -> int:
        """How many inputs are longer than `max_length` tokens."""


def prepare(config: AuditConfig, store: PredictionStore | None = None) -> Prepared:
    """Read the data, load the model, and fit one to the other.

    Columns are checked before the model is loaded, which takes longer. What an earlier audit of
    the same model on the same data left in the store is not looked at again.

    Raises:
        AuditkitError: Data or model are unusable, or do not fit; with file, column and row.
    """
    table = read_table(config.data, config.online)
    _check_columns(config, table)
    notes = _Notes(list(table.notes))
    frame = _frame(config, table, notes)
    model = load_model(config, table, store)
    if Capability.NEW_INPUTS in model.capabilities and not isinstance(model, TokenModel):
        # What a callable answers, labels or probabilities, shows only with its first answer.
        model.predict([frame.inputs[frame.splits[config.data.evaluate][0]]])
    data = _with_labels(frame, model, config.data, table, notes)
    audited, shifts = _audited(config, data, table, model, notes)
    _look_at(audited, data, config.data, notes)
    kept = store.of(answer_key(model)) if store is not None else None
    _look_at_texts(model, audited, kept, notes)
    for name, shift in shifts.items():
        foreign = shift.data.rows(np.flatnonzero(shift.origin < 0))
        _look_at_texts(model, foreign, kept, notes, f" of {name!r}")
    assumptions = {**model.assumptions, **notes.assumptions}
    read, digests = data, {name: shift.digest for name, shift in shifts.items()}
    if isinstance(model, ThresholdedModel):
        data, audited = model.with_groups(data), model.with_groups(audited)
        shifts = {n: replace(one, data=model.with_groups(one.data)) for n, one in shifts.items()}
        notes.warnings.append(model.warning)
    return Prepared(
        model, data, audited, assumptions, tuple(notes.warnings), table.name,
        config.data.allow_below_chance, kept, read, shifts, digests,
    )  # fmt: skip


def read_rows(config: AuditConfig, table: SourceTable, model: Model) -> AuditData:
    """All rows of a table, with the classes of the model as labels. Nothing is asked.

    Raises:
        AuditkitError: Columns are missing or do not fit the model.
    """
    _check_columns(config, table)
    notes = _Notes([])
    return _with_labels(_frame(config, table, notes), model, config.data, table, notes)


def _audited(
    config: AuditConfig, data: AuditData, table: SourceTable, model: Model, notes: _Notes
) -> tuple[AuditData, dict[str, Shift]]:
    """The rows of the audited split, or the sample of them that the configuration asks for.

    And the sets out of distribution, sampled alike.
    """
    rows = data.splits[config.data.evaluate]
    audited, askable = data.rows(rows), not config.model.recorded
    source = Source(table, data, rows, partial(read_rows, model=model), askable)
    shifts = ood_sets(config, source)
    if config.data.sample is not None:
        sample = draw(audited, config.data.sample, config.seed)
        notes.assumptions["sample"] = sample.note
        audited = audited.rows(sample.rows)
        shifts = sampled(shifts, sample.rows, config.data.sample, config.seed)
    _look_at_sets(audited, shifts, notes)
    return audited, shifts


def _look_at_sets(audited: AuditData, shifts: Mapping[str, Shift], notes: _Notes) -> None:
    left = in_distribution(len(audited), shifts)
    texts = {audited.inputs[row] for row in left}
    for name, shift in shifts.items():
        notes.assumptions[f"out of distribution, {name}"] = shift.said
        shared = sum(text in texts for text in shift.data.inputs)
        if shared:
            notes.warnings.append(
                f"{shared} of {len(shift.data)} texts of {name!r} also occur in distribution; "
                "there they are not out of distribution."
            )
    if shifts:
        notes.assumptions["in distribution"] = (
            f"{len(left):,} of {len(audited):,} audited rows, those that no set takes."
        )


class _Notes:
    """Assumptions and warnings as they come up."""

    def __init__(self, warnings: list[str]) -> None:
        self.assumptions: dict[str, str] = {}
        self.warnings = warnings


def _check_columns(config: AuditConfig, table: SourceTable) -> None:
    data, model = config.data, config.model
    if data.text is None and not model.recorded:
        raise ConfigError(
            "data.text is not set: the model needs a column to be asked about.",
            f"Columns of {table.name}: {', '.join(list(table.columns)[:20])}.",
        )
    if data.label is not None and data.label == model.label_column:
        raise ConfigError(
            f"column {data.label!r} is named as the label and as the prediction.",
            "A prediction compared with itself is always right.",
        )
    named = [data.text, data.label, data.split, data.cluster, data.id, data.pair, data.rationale]
    named += [*data.sensitive, *data.factors]
    for column in [*named, model.label_column, *(model.score_columns or ())]:
        if column is not None:
            table.column(column)
    roles = {data.text: "text", data.label: "label", model.label_column: "prediction"}
    for key, columns, meaning in (
        ("sensitive", data.sensitive, "A sensitive attribute says who a row is about."),
        ("factors", data.factors, "A factor is what is known of a row besides text and label."),
    ):
        for column in columns:
            if column in roles:
                raise ConfigError(
                    f"data.{key} names {column!r}, which is the {roles[column]} column.", meaning
                )


def _frame(config: AuditConfig, table: SourceTable, notes: _Notes) -> AuditData:
    """Everything that can be read before the model is known."""
    data = config.data
    if data.id is not None:
        check_ids(table, data.id)
    splits = read_splits(table, data)
    read: dict[str, Attribute] = {}
    for name in (*data.sensitive, *data.factors):
        factor = name in data.factors
        read[name], warnings = read_groups(table, name, data.missing, factor=factor)
        notes.warnings.extend(warnings)
    clusters = None
    if data.cluster is not None:
        clusters, warnings = read_clusters(table, data.cluster, data.missing)
        notes.warnings.extend(warnings)
    notes.warnings.extend(splits.warnings)
    by_row = config.model.recorded or data.text is None
    inputs: tuple[Any, ...] = (
        tuple(range(table.n)) if by_row else read_texts(table, data.text or "")
    )
    return AuditData(
        inputs=inputs,
        labels=None,
        class_names=(),
        groups={name: read[name] for name in data.sensitive},
        splits=splits.rows,
        clusters=clusters,
        factors={name: read[name] for name in data.factors},
        pairs=None if data.pair is None else read_pairs(table, data.pair, data.missing),
        rationales=_rationales(data, table),
    )


def _rationales(data: DataConfig, table: SourceTable) -> tuple[tuple[Span, ...] | None, ...] | None:
    if data.rationale is None or data.text is None:
        return None
    texts = read_texts(table, data.text)
    return read_rationales(table, data.rationale, texts, data.missing)


def _with_labels(
    frame: AuditData, model: Model, config: DataConfig, table: SourceTable, notes: _Notes
) -> AuditData:
    names = model.class_names
    labels = None
    if config.label is not None:
        where = f"{table.name}: column {config.label!r}"
        values = table.column(config.label)
        labels, note = read_labels(where, values, names, config.label_map, config.missing)
        notes.assumptions["label map"] = note
    positive = _positive_class(config, names, notes)
    return replace(frame, labels=labels, class_names=names, positive=positive)


def _positive_class(config: DataConfig, names: Sequence[str], notes: _Notes) -> int | None:
    if config.positive is not None:
        wanted = config.label_map.get(config.positive, config.positive)
        if wanted not in names:
            raise ConfigError(
                f"data.positive = {config.positive!r} is no class of the model.",
                nearest(config.positive, names),
            )
        return names.index(wanted)
    if len(names) == 2:
        notes.assumptions["positive class"] = (
            f"{names[1]!r}, the last of two classes; data.positive says otherwise."
        )
        return 1
    notes.assumptions["positive class"] = "None; every class is looked at in turn."
    return None


def _look_at(audited: AuditData, data: AuditData, config: DataConfig, notes: _Notes) -> None:
    """Warn about rows from which less can be learnt than their number suggests."""
    if config.split is None:
        notes.assumptions["split"] = "No split column: all rows are audited, as if held out."
    else:
        _look_at_splits(audited, data, config, notes)
    copies = len(audited) - len(set(audited.inputs))
    if audited.clusters is not None:
        count = len(np.unique(audited.clusters))
        notes.assumptions["independence"] = (
            f"Rows with one {config.cluster!r} belong together: {count} clusters in "
            f"{len(audited)} rows."
        )
    else:
        notes.assumptions["independence"] = "Every row is taken as independent of the others."
        if copies > COPIES_SHARE * len(audited):
            notes.warnings.append(
                f"{copies} of {len(audited)} texts are copies of another; intervals that take them "
                "as independent are too narrow. Name the column that ties them in data.cluster."
            )
    if audited.rationales is not None:
        asked = [spans for spans in audited.rationales if spans is not None]
        notes.assumptions["rationales"] = (
            f"People marked the reason for the label in {sum(map(bool, asked)):,} of "
            f"{len(audited):,} rows, and nothing in {sum(not spans for spans in asked):,}."
        )
    if audited.labels is not None and len(present := np.unique(audited.labels)) == 1:
        notes.warnings.append(
            f"Every row is labelled {audited.class_names[present[0]]!r}: what the model does with "
            "other classes cannot be seen."
        )


def _look_at_splits(audited: AuditData, data: AuditData, config: DataConfig, notes: _Notes) -> None:
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in data.splits.items())
    notes.assumptions["split"] = f"{config.evaluate!r} is audited; the splits have {sizes} rows."
    texts = set(audited.inputs)
    for name, rows in data.splits.items():
        if name != config.evaluate:
            shared = len(texts & {data.inputs[row] for row in rows})
            if shared:
                notes.warnings.append(
                    f"{shared} audited texts also occur in the split {name!r}; if the model was "
                    "trained on it, the results flatter it."
                )


def _look_at_texts(
    model: Model, data: AuditData, kept: KeptAnswers | None, notes: _Notes, whose: str = ""
) -> None:
    empty = sum(isinstance(text, str) and not text.strip() for text in data.inputs)
    if empty:
        notes.warnings.append(f"{empty} of {len(data)} texts{whose} are empty.")
    if isinstance(model, _Truncating) and len(data):
        topic = f"truncated {data.digest}"
        cut = kept.recall(topic) if kept is not None else None
        if cut is None:
            cut = model.truncated(data.inputs)
            if kept is not None:
                kept.record(topic, cut)
        if cut:
            notes.warnings.append(
                f"{cut} of {len(data)} texts{whose} are longer than {model.max_length} tokens; the "
                "model sees only their beginning."
            )


def check_answers(prepared: Prepared, predictions: Predictions) -> dict[str, str]:
    """Look at the answers for the audited rows before anything is concluded from them.

    Args:
        prepared: What `prepare` returned.
        predictions: Answers for `prepared.audited.inputs`.

    Returns:
        Further assumptions, by topic.

    Raises:
        DataError: The model is worse than guessing: the label map is probably wrong.
        ModelError: The model answers the same question in two ways.
    """
    said = {}
    if prepared.audited.labels is not None and not prepared.allow_below_chance:
        _check_chance(prepared, prepared.audited.labels, predictions.labels)
    if Capability.NEW_INPUTS in prepared.model.capabilities:
        said["repeatability"] = _repeatability(prepared, predictions)
    return said


def _repeatability(prepared: Prepared, predictions: Predictions) -> str:
    """What asking twice shows, or showed when this model was last audited on these rows."""
    said = known_repeatability(prepared)
    if said is None:
        said = _check_repeats(prepared, predictions)
        if prepared.kept is not None:
            prepared.kept.record(_repeatability_topic(prepared), said)
    return said


def known_repeatability(prepared: Prepared) -> str | None:
    """What asking twice showed when this model was last audited on these rows, if it was."""
    if prepared.kept is None:
        return None
    said: str | None = prepared.kept.recall(_repeatability_topic(prepared))
    return said


def _repeatability_topic(prepared: Prepared) -> str:
    return f"repeatability {prepared.audited.digest}"


def _check_chance(
    prepared: Prepared, truth: NDArray[np.int64], answered: NDArray[np.int64]
) -> None:
    """Refuse an accuracy below guessing, be it evenly or in the model's own proportions."""
    from auditkit.stats.intervals import wilson

    names = prepared.audited.class_names
    n, k = len(truth), len(names)
    confusion = np.bincount(truth * k + answered, minlength=k * k).reshape(k, k)
    correct = int(np.trace(confusion))
    own_guess = float(confusion.sum(axis=1) @ confusion.sum(axis=0)) / n**2
    most = wilson(correct, n, CHANCE_ALPHA).upper
    if most is None or most >= min(1 / k, own_guess):
        return
    raise DataError(
        f"{prepared.name}: the model is right in {correct} of {n} rows, fewer than guessing would "
        f"be. Is the label map swapped?\n{_confusion_text(confusion, names)}",
        f"{_better_map(confusion, names)}\nIf the model really is that bad, set "
        "data.allow_below_chance = true.",
    )


def _confusion_text(confusion: NDArray[np.int64], names: Sequence[str], most: int = 6) -> str:
    lines = []
    for i in range(min(len(names), most)):
        top = np.argsort(-confusion[i], kind="stable")[:3].tolist()
        shown = ", ".join(f"{int(confusion[i, j])} as {names[j]!r}" for j in top if confusion[i, j])
        lines.append(f"  labelled {names[i]!r}: answered {shown or 'nothing'}")
    return "\n".join(lines)


def _better_map(confusion: NDArray[np.int64], names: Sequence[str]) -> str:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-confusion)
    fitting = int(confusion[rows, columns].sum())
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    moved = [f"{names[i]!r} as {names[j]!r}" for i, j in pairs if i != j]
    shown = ", ".join(moved[:8]) + (", …" if len(moved) > 8 else "")
    return (
        f"Reading the labels {shown} would make {fitting} rows right; if that is what they mean, "
        "say so in data.label_map."
    )


def probed_rows(n: int) -> NDArray[np.int64]:
    """The rows of `n` that are asked twice."""
    return np.unique(np.linspace(0, n - 1, min(n, PROBED_ROWS)).astype(np.int64))


def _check_repeats(prepared: Prepared, predictions: Predictions) -> str:
    """Ask some rows twice, past the predictor's memory."""
    rows = probed_rows(len(prepared.audited))
    batch = [prepared.audited.inputs[row] for row in rows]
    first, second = prepared.model.predict(batch), prepared.model.predict(batch)
    changed = np.flatnonzero(first.labels != second.labels)
    if len(changed):
        raise ModelError(
            f"{prepared.model.name} is not deterministic: asked twice, it answers differently for "
            f"{len(changed)} of {len(rows)} rows.",
            "Fix its random seed, and switch off dropout and sampling.",
        )
    text = f"Asked twice, {len(rows)} rows get the same class"
    if first.probabilities is None or second.probabilities is None:
        return f"{text}."
    repeat = float(np.abs(first.probabilities - second.probabilities).max())
    text += f", and probabilities that differ by at most {repeat:.1g}"
    shared = predictions.take(rows).probabilities
    moved = 0.0 if shared is None else float(np.abs(first.probabilities - shared).max())
    if moved > BATCH_TOLERANCE:
        text += f". They move by up to {moved:.1g} with what else is in the batch"
    return f"{text}."
