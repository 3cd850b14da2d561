"""The rows a remedy trains on and chooses by, none of which is audited."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditkit.config import AuditConfig
from auditkit.content import content_digest, content_key
from auditkit.data import MISSING, AuditData
from auditkit.errors import ConfigError, DataError, nearest
from auditkit.model import Capability
from auditkit.models.thresholded import ThresholdedModel
from auditkit.ood_sets import apart
from auditkit.preflight import Prepared, read_rows
from auditkit.remedy import Need, Remedy, RemedyError
from auditkit.sources import read_table
from auditkit.sources.table import shown_rows

Rows = NDArray[np.int64]
VALIDATION = "validation"
_ASK = (
    "Name the file in [training] path, or mark its rows in the data file's split column "
    "(data.split, training.split)."
)


@dataclass(frozen=True, slots=True, eq=False)
class RemedyRows:
    """What a remedy may see.

    Attributes:
        train: Rows to train on.
        validation: Rows to choose by.
        audited: Content digests of the texts under audit.
        said: How they were found, in sentences.
    """

    train: AuditData
    validation: AuditData
    audited: frozenset[bytes]
    said: tuple[str, ...]


def remedy_rows(config: AuditConfig, prepared: Prepared) -> RemedyRows:
    """Find the rows to train on and those to choose by.

    Raises:
        ConfigError: `training` or `data` do not say where they are, or name the audited split.
        DataError: Some of them are audited.
    """
    data, file = _source(config, prepared)
    if data.labels is None:
        raise ConfigError(
            "a remedy needs the true labels of the rows to train on.", "Set data.label."
        )
    under_audit = prepared.data.rows(prepared.data.splits[config.data.evaluate])
    judged = [under_audit, *(shift.data for shift in prepared.shifts.values())]
    audited = frozenset(digest for part in judged for digest in _digests(part.inputs))
    train = _split(data, config.training.split, "training.split", file)
    _refuse_audited(data, train, audited, f"{file}: split {config.training.split!r}")
    wanted = config.training.validation or (VALIDATION if VALIDATION in data.splits else None)
    if wanted is None:
        kept, held_out = hold_out(data.rows(train), config.training.hold_out, config.seed)
        said = f"{len(held_out)} of the rows to train on were held out to choose by."
        train, validation = train[kept], train[held_out]
    else:
        validation = _split(data, wanted, "training.validation", file)
        _refuse_audited(data, validation, audited, f"{file}: split {wanted!r}")
        validation, said = _without_copies(data, train, validation)
    rows = f"{len(train)} rows of {file} to train on, {len(validation)} to choose by."
    return RemedyRows(
        data.rows(train), data.rows(validation), audited, (rows, *([said] if said else []))
    )


def no_rows(prepared: Prepared) -> RemedyRows:
    """For remedies that need none, where none are named."""
    none = prepared.data.rows(np.zeros(0, dtype=np.int64))
    said = "No rows were named to train on or to choose by, and none were needed."
    return RemedyRows(none, none, frozenset(), (said,))


def names_training_rows(config: AuditConfig, prepared: Prepared) -> bool:
    """Whether the configuration says which rows the model was trained on."""
    if config.training.path is not None:
        return True
    split = config.training.split
    return split != config.data.evaluate and split in prepared.data.splits


def trained_on(config: AuditConfig, prepared: Prepared) -> AuditData:
    """The rows the model was trained on; also those that are audited, too.

    Clusters are numbered together with those of the audited rows; a cluster of a file of its own is
    none of theirs.

    Raises:
        AuditkitError: The file cannot be read, or has no such split.
    """
    data, file = _source(config, prepared)
    rows = data.rows(_split(data, config.training.split, "training.split", file))
    if data is not prepared.data:
        judged = [prepared.data, *(shift.data for shift in prepared.shifts.values())]
        rows = replace(rows, clusters=apart(rows, judged))
    if isinstance(prepared.model, ThresholdedModel) and data is not prepared.data:
        return prepared.model.with_groups(rows)
    return rows


def names_validation_rows(config: AuditConfig, prepared: Prepared) -> bool:
    """Whether there may be rows to choose by; a file named in `training` is not looked into."""
    if config.training.path is not None:
        return Capability.NEW_INPUTS in prepared.model.capabilities
    split = config.training.validation or VALIDATION
    return split != config.data.evaluate and split in prepared.data.splits


def validated_on(config: AuditConfig, prepared: Prepared) -> AuditData | None:
    """The labelled rows of the split to choose by; None where there are none.

    Those that are audited, in a set out of distribution or trained on are left out, and those that
    share a cluster with an audited row or one of a set.

    Raises:
        AuditkitError: The file cannot be read, or has not the split that is named.
    """
    data, file = _source(config, prepared)
    split = config.training.validation or VALIDATION
    if data.labels is None or (config.training.validation is None and split not in data.splits):
        return None
    rows = _split(data, split, "training.validation", file)
    judged = [prepared.audited, *(shift.data for shift in prepared.shifts.values())]
    used = {digest for part in judged for digest in _digests(part.inputs)}
    used |= set(_digests([data.inputs[row] for row in data.splits.get(config.training.split, ())]))
    fresh = np.array([one not in used for one in _digests(data.rows(rows).inputs)], dtype=bool)
    if data is prepared.data and data.clusters is not None:
        for part in judged:
            assert part.clusters is not None
            fresh &= ~np.isin(data.clusters[rows], part.clusters)
    return data.rows(rows[fresh]) if fresh.any() else None


def held_out_splits(config: AuditConfig, prepared: Prepared) -> dict[str, AuditData]:
    """The named splits of the data file that are neither audited nor trained on."""
    known = {config.data.evaluate, config.training.split}
    data = prepared.data
    return {name: data.rows(rows) for name, rows in data.splits.items() if name not in known}


def require(remedy: Remedy, rows: RemedyRows) -> None:
    """Refuse what a remedy cannot work on.

    Raises:
        RemedyError: There are too few rows, one class only, or no groups where it needs them.
    """
    needed = Need.TRAINING_ROWS in remedy.needs
    for name, part in (("train on", rows.train), ("choose by", rows.validation)) * needed:
        if not len(part):
            raise RemedyError(f"there is no row to {name}.", _ASK)
        assert part.labels is not None
        classes = np.unique(part.labels)
        if len(classes) < 2:
            only = part.class_names[classes[0]]
            raise RemedyError(
                f"all {len(part)} rows to {name} are labelled {only!r}.",
                "Add rows of the other classes.",
            )
    if Need.GROUPS in remedy.needs:
        _require_groups(remedy, rows.train)


def hold_out(data: AuditData, share: float, seed: int) -> tuple[Rows, Rows]:
    """Positions of the rows to keep and of those to hold out.

    Rows of one cluster, and copies of one text, stay together. Each class gives its share, at
    least one unit where it has two. Which units are held out depends on their content and the seed
    only.
    """
    assert data.labels is not None
    keys = _units(data)
    of_unit: dict[bytes, int] = {}
    for key, label in zip(keys, data.labels.tolist(), strict=True):
        of_unit.setdefault(key, label)
    chosen: set[bytes] = set()
    for label in sorted(set(of_unit.values())):
        units = sorted(key for key, own in of_unit.items() if own == label)
        units.sort(key=lambda key: hashlib.sha256(f"{seed}".encode() + key).digest())
        chosen.update(units[: min(max(1, round(share * len(units))), len(units) - 1)])
    out = np.array([key in chosen for key in keys], dtype=bool)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _source(config: AuditConfig, prepared: Prepared) -> tuple[AuditData, str]:
    """All rows of the file that holds the training rows, and its name."""
    if config.training.path is None:
        if config.data.split is None:
            raise ConfigError(
                "there are no rows to train on: every row of the data file is audited.", _ASK
            )
        return prepared.data, prepared.name
    path = config.training.path
    settings = config.data.model_copy(update={"path": path, "dataset": None, "revision": None})
    table = read_table(settings, config.online)
    there = set(table.columns)
    split = settings.split if settings.split in there else None
    settings = settings.model_copy(
        update={
            "split": split,
            "evaluate": config.training.split,
            "id": None,
            "cluster": settings.cluster if settings.cluster in there else None,
            "pair": None,
            "rationale": None,
            "sensitive": [name for name in settings.sensitive if name in there],
            "factors": [name for name in settings.factors if name in there],
        }
    )
    own = config.model_copy(update={"data": settings})
    return read_rows(own, table, prepared.model), Path(path).name


def _split(data: AuditData, name: str, key: str, file: str) -> Rows:
    if name not in data.splits:
        raise ConfigError(
            f"{file} has no split {name!r} ({key}).", nearest(name, data.splits) or _ASK
        )
    return data.splits[name]


def _refuse_audited(data: AuditData, rows: Rows, audited: frozenset[bytes], where: str) -> None:
    inputs = [data.inputs[row] for row in rows]
    shared = [
        int(row) for row, digest in zip(rows, _digests(inputs), strict=True) if digest in audited
    ]
    if shared:
        raise DataError(
            f"{where}: {len(shared)} of {len(rows)} rows are also audited ({shown_rows(shared)}).",
            "A model that was trained on what it is judged by looks better than it is. Remove "
            "these rows from the training data.",
        )


def _without_copies(data: AuditData, train: Rows, validation: Rows) -> tuple[Rows, str]:
    """The validation rows that are not also trained on, and a sentence when some were."""
    trained = set(_digests([data.inputs[row] for row in train]))
    digests = _digests([data.inputs[row] for row in validation])
    fresh = np.array([digest not in trained for digest in digests], dtype=bool)
    left_out = len(validation) - int(fresh.sum())
    said = (
        f"{left_out} rows to choose by are also trained on and were left out." if left_out else ""
    )
    return validation[fresh], said


def _units(data: AuditData) -> list[bytes]:
    if data.clusters is not None:
        return [str(number).encode() for number in data.clusters.tolist()]
    return _digests(data.inputs)


def _digests(inputs: Sequence[object]) -> list[bytes]:
    return [content_digest(content_key(value)) for value in inputs]


def _require_groups(remedy: Remedy, data: AuditData) -> None:
    if not data.groups:
        raise RemedyError(
            f"{remedy.id} needs a sensitive attribute, and the rows to train on have none.",
            "Name its column in data.sensitive; the file in training.path needs it, too.",
        )
    usable = [
        name
        for name, attribute in data.groups.items()
        if len(np.unique(attribute.codes[attribute.codes != MISSING])) > 1
    ]
    if not usable:
        names = ", ".join(data.groups)
        raise RemedyError(
            f"{remedy.id} needs two groups to compare, and the rows to train on are of one group "
            f"only ({names})."
        )
