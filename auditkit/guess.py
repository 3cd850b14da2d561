"""Guesses an `auditkit.toml` from a model and a data file, and says what was guessed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditkit.config import AuditConfig, DataConfig, parse_config
from auditkit.errors import ConfigError, DataError
from auditkit.sources.table import SourceTable

TEXT_NAMES = ("text", "sentence", "input", "content", "comment_text", "comment", "review", "tweet")
LABEL_NAMES = ("label", "labels", "target", "class", "y", "gold")
SPLIT_NAMES = ("split", "set", "fold")
ID_NAMES = ("id", "row_id", "uid")
CLUSTER_NAMES = ("cluster", "group_id", "user_id", "author_id", "document_id")
SENSITIVE_WORDS = (
    "gender", "sex", "race", "ethnicity", "religion", "age", "nationality", "disability",
    "orientation", "dialect", "region", "country", "language", "identity",
)  # fmt: skip
MOST_GROUPS = 50


@dataclass(frozen=True, slots=True)
class Guess:
    """A configuration as nested tables, and a line for each thing that was guessed."""

    table: dict[str, Any]
    guessed: tuple[str, ...] = field(default=())

    def config(self) -> AuditConfig:
        """The validated configuration."""
        return parse_config(self.table, source="the command line")

    def relative_to(self, folder: Path) -> Guess:
        """The same guess with its paths as seen from `folder`, where the file will be."""

        def seen(path: str) -> str:
            there = Path(path).expanduser()
            return os.path.relpath(there, folder) if there.exists() else path

        model = {k: seen(v) if k == "path" else v for k, v in self.table["model"].items()}
        data = self.table["data"] | {"path": seen(self.table["data"]["path"])}
        return Guess(self.table | {"model": model, "data": data}, self.guessed)


def model_section(
    model: str | None, predicted: str | None, scores: Sequence[str]
) -> dict[str, Any]:
    """The `[model]` table for what was typed: a folder, a hub id, `module:function` or columns."""
    if model is None:
        section: dict[str, Any] = {}
        if predicted:
            section["label_column"] = predicted
        if scores:
            section["score_columns"] = list(scores)
        if not section:
            raise ConfigError(
                "there is no model and no column of predictions.",
                "Name a model folder, module:function, or --predicted COLUMN / --scores A,B.",
            )
        return section
    if ":" in model and not Path(model).exists():
        return {"callable": model}
    return {"path": model}


def guess(model: dict[str, Any], data: dict[str, Any], directory: str) -> Guess:
    """Fill what `data` leaves open by looking at the data file's columns.

    Args:
        model: The `[model]` table.
        data: The `[data]` table; at least `path`.
        directory: Run directory.

    Raises:
        AuditkitError: The file cannot be read, or no text column can be told from the others.
    """
    from auditkit.sources import read_table

    source = read_table(DataConfig.model_validate({"path": data["path"]}), online=False)
    found = dict(data)
    said: list[str] = []

    def take(key: str, value: Any, why: str) -> None:
        if value and key not in found:
            found[key] = value
            shown = ", ".join(value) if isinstance(value, list) else value
            said.append(f"{key} = {shown} ({why})")

    take("label", _named(source, LABEL_NAMES), "by its name")
    if "label_column" not in model and "score_columns" not in model:
        take("text", _named(source, TEXT_NAMES) or _longest(source, found), "the text column")
        if "text" not in found:
            raise DataError(
                f"{source.name}: no column looks like the model's input.",
                "Name it with --text COLUMN.",
            )
    take("split", _named(source, SPLIT_NAMES), "by its name")
    if "split" in found:
        take("evaluate", _audited_split(source, found["split"]), "the split that is held out")
    take("id", _unique_id(source), "its values are unique")
    take("cluster", _named(source, CLUSTER_NAMES), "by its name")
    taken: set[Any] = {value for value in found.values() if isinstance(value, str)}
    taken |= {model.get("label_column"), *(model.get("score_columns") or ())}
    take("sensitive", _sensitive(source, taken), "by their names")
    table = {"model": model, "data": found, "report": {"directory": directory}}
    return Guess(table, tuple(said))


def _named(source: SourceTable, names: Sequence[str]) -> str | None:
    lowered = {column.lower(): column for column in source.columns}
    return next((lowered[name] for name in names if name in lowered), None)


def _longest(source: SourceTable, found: dict[str, Any]) -> str | None:
    """The column with the longest values on average, if they look like sentences."""
    taken = {value for value in found.values() if isinstance(value, str)}
    lengths = {
        name: sum(len(v or "") for v in values[:1000]) / max(len(values[:1000]), 1)
        for name, values in source.columns.items()
        if name not in taken
    }
    best = max(lengths, key=lengths.__getitem__, default=None)
    return best if best is not None and lengths[best] >= 20 else None


def _audited_split(source: SourceTable, column: str) -> str | None:
    present = set(source.columns.get(column, ()))
    return next((name for name in ("test", "dev", "validation", "eval") if name in present), None)


def _unique_id(source: SourceTable) -> str | None:
    name = _named(source, ID_NAMES)
    if name is None:
        return None
    values = source.columns[name]
    return name if None not in values and len(set(values)) == len(values) else None


def _sensitive(source: SourceTable, taken: set[Any]) -> list[str]:
    return [
        name
        for name, values in source.columns.items()
        if name not in taken
        and any(word in name.lower().replace("-", "_").split("_") for word in SENSITIVE_WORDS)
        and 2 <= len(set(values) - {None, ""}) <= MOST_GROUPS
    ]


def _toml(value: Any) -> str:
    """A string or a list of strings; JSON's escapes are TOML's, but for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def config_text(guess: Guess) -> str:
    """The guess as a commented `auditkit.toml`."""
    notes = {
        line.partition(" = ")[0]: line.rpartition(" (")[2].rstrip(")") for line in guess.guessed
    }
    lines = ["# What auditkit audits, and what it takes to pass. Reference: auditkit checks", ""]
    for section in ("model", "data", "report"):
        lines.append(f"[{section}]")
        for key, value in guess.table[section].items():
            note = f"  # guessed: {notes[key]}" if section == "data" and key in notes else ""
            lines.append(f"{key} = {_toml(value)}{note}")
        lines.append("")
    lines += [
        "[policy]",
        'fail_on = "medium"        # lowest severity that blocks: low, medium, high, critical',
        'inconclusive = "block"    # or "warn": let through what too few rows cannot decide',
        "",
        "# A limit of your own, for one check:",
        '# [checks."quality.metric"]',
        "# limits.value = 0.85      # accuracy must be shown to be at least this",
        "",
    ]
    return "\n".join(lines)
