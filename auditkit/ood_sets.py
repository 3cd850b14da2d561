"""The named sets of rows out of distribution: read, taken from the data file, or made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditkit.config import AuditConfig, OodSet
from auditkit.data import AuditData, Shift, in_distribution
from auditkit.errors import ConfigError, DataError, nearest
from auditkit.made_shifts import (
    SHARE,
    Chosen,
    changed_by,
    longest,
    one_topic,
    set_aside,
    with_class_shares,
    with_words,
)
from auditkit.sampling import draw
from auditkit.sources import read_table
from auditkit.sources.instants import rows_between
from auditkit.sources.rows import read_texts
from auditkit.sources.table import SourceTable

Rows = NDArray[np.int64]
Read = Callable[[AuditConfig, SourceTable], AuditData]
"""All rows of a table under a configuration, with the classes of the model as labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What the sets are made from.

    Attributes:
        table: The data file.
        data: All its rows.
        audited: Which of them are in the audited split, ascending.
        read: Reads another file.
        askable: Whether the model can be asked about texts that are not in the data file.
    """

    table: SourceTable
    data: AuditData
    audited: Rows
    read: Read
    askable: bool


def ood_sets(config: AuditConfig, source: Source) -> dict[str, Shift]:
    """Every set of `data.ood`, in its order, each over the rows of the audited split.

    Rows that a column names are taken first; the longest texts and a topic are chosen among the
    rest; half of what is still left then is set aside for class shares and functions.

    Raises:
        AuditkitError: A set cannot be made, or has no rows; or together they leave nothing in
            distribution. The message names the set.
    """
    made: dict[str, Shift] = {}
    stages: tuple[Callable[[OodSet], bool], ...] = (
        lambda one: one.path is not None or one.column is not None,
        lambda one: one.shift in {"length", "topic"},
        lambda one: one.shift == "label-prior" or one.shift_file is not None,
    )
    for belongs in stages:
        left = in_distribution(len(source.audited), made)
        for name, one in config.data.ood.items():
            if belongs(one):
                made[name] = _made(name, one, config, source, left)
    if made and not len(in_distribution(len(source.audited), made)):
        raise DataError(
            "the sets of data.ood take every audited row; nothing is left in distribution.",
            "Audit rows like those the model was trained on, and name the others as sets.",
        )
    return {name: made[name] for name in config.data.ood}


def sampled(shifts: Mapping[str, Shift], rows: Rows, size: int, seed: int) -> dict[str, Shift]:
    """The sets when only some of the audited rows are audited.

    Args:
        shifts: The sets over all of them.
        rows: Those that are left, ascending.
        size: Most rows of a set from a file of its own.
        seed: By which these are drawn.
    """
    found = {}
    for name, shift in shifts.items():
        own = np.flatnonzero(shift.origin < 0)
        kept = own[draw(shift.data.rows(own), size, seed).rows]
        there = np.flatnonzero(np.isin(shift.origin, rows))
        chosen = np.sort(np.concatenate([kept, there]))
        origin = shift.origin[chosen]
        said = shift.said
        if len(chosen) < len(shift.data):
            said += f" Of these, {len(chosen):,} are in the sample."
        found[name] = replace(
            shift,
            data=shift.data.rows(chosen),
            said=said,
            origin=np.where(origin < 0, -1, np.searchsorted(rows, origin)).astype(np.int64),
            taken=np.searchsorted(rows, np.intersect1d(shift.taken, rows)).astype(np.int64),
        )
    return found


def _made(name: str, one: OodSet, config: AuditConfig, source: Source, left: Rows) -> Shift:
    try:
        shift = _one(one, config, source, left)
    except (ConfigError, DataError) as error:
        raise type(error)(f"[data.ood.{name}]: {error.message}", error.hint) from None
    if not len(shift.data):
        raise DataError(f"[data.ood.{name}]: no row is in this set.")
    return shift


def _one(one: OodSet, config: AuditConfig, source: Source, left: Rows) -> Shift:
    if one.path is not None:
        return _of_file(one, config, source)
    if one.column is not None:
        return _of_column(one, config, source)
    if one.shift in {"length", "topic"}:
        texts = _texts(config, source, left)
        taken = left[(chosen := _chosen(one, texts, config.seed)).rows]
        return _of_audited(source, taken, taken, chosen.said)
    audited = source.data.rows(source.audited)
    pool = set_aside(audited, left, config.seed)
    if one.shift_file is not None:
        return _of_function(Path(one.shift_file), config, source, pool)
    drawn = with_class_shares(audited, pool, one.shares or {}, config.seed)
    return _of_audited(source, drawn.rows, pool, drawn.said)


def _chosen(one: OodSet, texts: list[str], seed: int) -> Chosen:
    if one.words is not None:
        return with_words(texts, one.words)
    share = SHARE if one.share is None else one.share
    return longest(texts, share) if one.shift == "length" else one_topic(texts, share, seed)


def _texts(config: AuditConfig, source: Source, rows: Rows) -> list[str]:
    if config.data.text is None:
        raise ConfigError("this shift looks at the texts; set data.text.")
    texts = read_texts(source.table, config.data.text)
    return [texts[row] for row in source.audited[rows]]


def _of_audited(source: Source, rows: Rows, taken: Rows, said: str) -> Shift:
    data = source.data.rows(source.audited[rows])
    return Shift(data, rows, taken, f"{said}.")


def _of_column(one: OodSet, config: AuditConfig, source: Source) -> Shift:
    rows = _by_column(one, config, source.table)
    if one.column != config.data.split:
        rows = np.intersect1d(rows, source.audited)
    place = np.searchsorted(source.audited, rows).clip(max=len(source.audited) - 1)
    origin = np.where(source.audited[place] == rows, place, -1).astype(np.int64)
    taken = origin[origin >= 0]
    return Shift(source.data.rows(rows), origin, taken, f"{len(rows):,} rows, {_said(one)}.")


def _by_column(one: OodSet, config: AuditConfig, table: SourceTable) -> Rows:
    assert one.column is not None
    if one.values is None:
        return rows_between(table, one.column, one.after, one.before, config.data.missing)
    column = table.column(one.column)
    there = set(column)
    for value in one.values:
        if value not in there:
            raise DataError(
                f"{table.name}: column {one.column!r} has no value {value!r}.",
                nearest(value, [known for known in there if known is not None]),
            )
    wanted = set(one.values)
    rows = [row for row, value in enumerate(column) if value in wanted]
    return np.array(rows, dtype=np.int64)


def _said(one: OodSet) -> str:
    if one.values is not None:
        return f"{one.column} {', '.join(one.values)}"
    ends = (("at or after", one.after), ("before", one.before))
    return f"{one.column} {' and '.join(f'{word} {end}' for word, end in ends if end is not None)}"


def _of_file(one: OodSet, config: AuditConfig, source: Source) -> Shift:
    """Rows of a file of its own."""
    if not source.askable:
        raise ConfigError(
            "there are only recorded predictions, so the rows have to be in the data file.",
            "Put them there, and name them by a column.",
        )
    assert one.path is not None
    settings = config.data.model_copy(
        update={
            "path": one.path, "dataset": None, "revision": None, "join": None, "split": None,
            "evaluate": "all", "id": None, "sample": None, "ood": {},
        }
    )  # fmt: skip
    table = read_table(settings, config.online)
    there = set(table.columns)
    settings = settings.model_copy(
        update={
            "text": one.text or settings.text,
            "label": one.label or (settings.label if settings.label in there else None),
            "pair": one.pair or (settings.pair if settings.pair in there else None),
            "rationale": settings.rationale if settings.rationale in there else None,
            "label_map": settings.label_map if one.label_map is None else one.label_map,
            "sensitive": _present(settings.sensitive, there)
            if one.sensitive is None
            else one.sensitive,
            "factors": _present(settings.factors, there),
            "cluster": settings.cluster if settings.cluster in there else None,
        }
    )
    data = source.read(config.model_copy(update={"data": settings}), table)
    said = f"of {Path(one.path).name}"
    if one.column is not None:
        data, said = data.rows(_by_column(one, config, table)), f"{said}, {_said(one)}"
    data = replace(data, splits={}, clusters=apart(data, [source.data]))
    none = np.zeros(0, dtype=np.int64)
    return Shift(data, np.full(len(data), -1, dtype=np.int64), none, f"{len(data):,} rows {said}.")


def _present(names: Iterable[str], there: set[str]) -> list[str]:
    return [name for name in names if name in there]


def apart(data: AuditData, others: Iterable[AuditData]) -> NDArray[np.int64] | None:
    """Cluster numbers that no row of the others has; a row without is one of its own.

    None where the others have none.
    """
    known = [other.clusters for other in others if other.clusters is not None]
    if not known:
        return None
    own = np.arange(len(data)) if data.clusters is None else data.clusters
    return own + max(int(clusters.max(initial=-1)) for clusters in known) + 1


def _of_function(file: Path, config: AuditConfig, source: Source, pool: Rows) -> Shift:
    """Audited rows with their texts changed by a user's function."""
    if not source.askable:
        raise ConfigError("there are only recorded predictions; a changed text has no answer.")
    data = source.data.rows(source.audited[pool])
    names = None
    if data.labels is not None:
        names = [data.class_names[label] for label in data.labels]
    texts = changed_by(file, [str(text) for text in data.inputs], names, config.seed)
    said = f"{len(pool):,} rows set aside, changed by {file.name}."
    # What people marked was in the text as it was.
    changed = replace(data, inputs=tuple(texts), rationales=None)
    return Shift(changed, pool, pool, said)
