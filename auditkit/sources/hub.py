"""Reads a pinned hub data set through the `datasets` package. Only when the network is allowed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from auditkit.config import DataConfig
from auditkit.errors import ConfigError, DataError, MissingExtraError
from auditkit.sources.parquet import table_from_arrow
from auditkit.sources.table import SourceTable

SPLIT_COLUMN = "split"
"""Column with the name of the hub split a row came from, where the data has none of that name."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def read_hub(config: DataConfig, online: bool, lists: Collection[str] = ()) -> SourceTable:
    """Every split of a hub data set as one table, with a `split` column.

    Lists in the columns that `lists` names are written as JSON.

    Raises:
        ConfigError: The network is not allowed, or the revision is no full commit hash.
        DataError: The data set cannot be loaded.
        MissingExtraError: `datasets` is not installed.
    """
    name, revision = config.dataset or "", config.revision or ""
    if not online:
        raise ConfigError(
            f"data.dataset = {name!r} needs the network, which is off.",
            "Set online = true, or save the data set to a file and name it with data.path.",
        )
    if not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"data.revision = {revision!r} is not a commit hash of 40 hex digits.",
            "A branch or tag can move; a commit always means the same data.",
        )
    splits = _load(name, config.dataset_config, revision)
    return table_from_arrow(f"{name}@{revision[:7]}", _joined(splits), lists)


def _load(name: str, configuration: str | None, revision: str) -> dict[str, Any]:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("A hub data set", "datasets") from None
    # Version 4 removed loading scripts together with this argument.
    scripts = {"trust_remote_code": False} if int(datasets.__version__.split(".")[0]) < 4 else {}
    try:
        loaded = datasets.load_dataset(name, configuration, revision=revision, **scripts)
    except Exception as error:
        raise DataError(f"{name}: the data set cannot be loaded: {error}") from error
    return dict(loaded)


def _joined(splits: dict[str, Any]) -> Any:
    import pyarrow

    parts = []
    for split, rows in splits.items():
        part = rows.with_format("arrow")[:]
        if SPLIT_COLUMN not in part.column_names:
            part = part.append_column(SPLIT_COLUMN, pyarrow.array([split] * part.num_rows))
        parts.append(part)
    return pyarrow.concat_tables(parts, promote_options="default")
