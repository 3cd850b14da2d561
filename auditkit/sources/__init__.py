"""Where the data comes from: files, or a pinned hub data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditkit.config import DataConfig
    from auditkit.sources.table import SourceTable


def read_table(config: DataConfig, online: bool) -> SourceTable:
    """The rows of the configured source, with the columns of `data.join` added.

    Args:
        config: The `[data]` table.
        online: Whether the network may be used, for a hub data set.

    Raises:
        AuditkitError: The source cannot be read as it is; the message names file, column, row.
    """
    from auditkit.sources.joined import join

    lists = frozenset() if config.rationale is None else frozenset({config.rationale})
    if config.path is None:
        from auditkit.sources.hub import read_hub

        table = read_hub(config, online, lists)
    else:
        table = _read_file(config.path, lists)
    if config.join is None:
        return table
    return join(table, _read_file(config.join.path, lists), config.join.on)


def _read_file(path: str, lists: frozenset[str]) -> SourceTable:
    """The table of a file, with the lists in these columns written as JSON."""
    from auditkit.sources.files import find_file

    file = find_file(path)
    if file.format in {"csv", "tsv"}:
        from auditkit.sources.delimited import read_delimited

        return read_delimited(file)
    if file.format == "parquet":
        from auditkit.sources.parquet import read_parquet

        return read_parquet(file, lists)
    from auditkit.sources.json_lines import read_json_lines

    return read_json_lines(file, lists)
