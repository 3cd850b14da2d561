"""The reference of checks and remedies and the JSON schemas, generated from the code.

With `--check` nothing is written, and what is stale is named.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditkit.check import HEADINGS, Check, Limit
from auditkit.config import AuditConfig
from auditkit.judge import number
from auditkit.registry import Registry, load_registry
from auditkit.remedy import HEADINGS as REMEDY_HEADINGS
from auditkit.remedy import Remedy


def listing(registry: Registry) -> str:
    """One line per check, then one per remedy."""
    width = max((len(id) for id in (*registry.checks, *registry.remedies)), default=0)
    lines = [f"{c.id:<{width}}  {c.title}" for c in registry.checks.values()]
    if registry.remedies:
        lines += ["", "Remedies, for auditkit mitigate CONFIG --remedy ID"]
        lines += [f"{r.id:<{width}}  {r.title}" for r in registry.remedies.values()]
    return "\n".join(lines)


def explain(entry: Check | Remedy) -> str:
    """Everything about one check or remedy, as plain text."""
    parts = entry.sections
    lines = [entry.id, entry.title, "", parts[""], ""]
    for heading in _headings(entry):
        if heading in parts:
            lines += [heading, *(f"  {line}" for line in parts[heading].splitlines()), ""]
    if isinstance(entry, Check):
        lines += ["Limits", *(f"  {line}" for line in _limit_lines(entry)), ""]
    lines += ["Parameters", *(f"  {line}" for line in _param_lines(entry)), ""]
    needs = ", ".join(sorted(entry.needs))
    if isinstance(entry, Check):
        lines.append(f"Severity {entry.severity}. Needs: {needs or 'predictions only'}.")
        if entry.uses:
            lines.append(f"Uses, where there is any: {', '.join(sorted(entry.uses))}.")
    else:
        lines.append(f"Meant for: {', '.join(entry.improves)}. Needs: transformers model, {needs}.")
    return "\n".join(lines)


def reference(registry: Registry) -> str:
    """The reference of all checks and remedies, as Markdown."""
    lines = [
        "# Checks", "",
        "Generated from the checks' docstrings by `python -m auditkit.catalogue`.", "",
    ]  # fmt: skip
    for check in registry.checks.values():
        lines += [f"## {check.id}", "", f"*{check.title}.* Severity: {check.severity}.", ""]
        lines += _prose(check)
        lines += [*(f"- Limit {line}" for line in _limit_lines(check))]
        lines += [*(f"- Parameter {line}" for line in _param_lines(check)), ""]
    if registry.remedies:
        lines += ["# Remedies", "", "For `auditkit mitigate CONFIG --remedy ID`.", ""]
    for remedy in registry.remedies.values():
        meant = ", ".join(f"`{name}`" for name in remedy.improves)
        lines += [f"## {remedy.id}", "", f"*{remedy.title}.* Meant for: {meant}.", ""]
        lines += _prose(remedy)
        lines += [*(f"- Parameter {line}" for line in _param_lines(remedy)), ""]
    return "\n".join(lines)


def _prose(entry: Check | Remedy) -> list[str]:
    parts = entry.sections
    lines = [parts[""], ""]
    for heading in _headings(entry):
        if heading in parts:
            lines += [f"**{heading}.** {' '.join(parts[heading].split())}", ""]
    return lines


def _headings(entry: Check | Remedy) -> tuple[str, ...]:
    return HEADINGS if isinstance(entry, Check) else REMEDY_HEADINGS


def remedy_table(registry: Registry) -> str:
    """The remedies as a Markdown table, for the README."""
    rows = ["| remedy | what it does | meant for |", "|---|---|---|"]
    for remedy in registry.remedies.values():
        meant = ", ".join(f"`{name}`" for name in remedy.improves)
        rows.append(f"| `{remedy.id}` | {remedy.title} | {meant} |")
    return "\n".join(rows)


def readme_table(registry: Registry) -> str:
    """The checks as a Markdown table, for the README."""
    rows = ["| check | the claim it tests | default limit |", "|---|---|---|"]
    for check in registry.checks.values():
        gated = [limit for limit in check.limits if limit.value is not None]
        shown = ", ".join(
            f"{limit.name} {_sign(limit)} {number(limit.value or 0.0)}" for limit in gated
        )
        rows.append(f"| `{check.id}` | {check.title} | {shown} |")
    return "\n".join(rows)


def config_schema(registry: Registry) -> dict[str, Any]:
    """JSON schema of `auditkit.toml`, with the known checks, limits and parameters spelled out."""
    schema = AuditConfig.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "auditkit.toml"
    general = {"$ref": "#/$defs/CheckConfig"}
    known = {}
    for check in registry.checks.values():
        limits = {
            limit.name: {
                "description": f"{limit.means or limit.name}; false reports without gating",
                "anyOf": [
                    {"type": "number", "minimum": limit.lowest, "maximum": limit.highest},
                    {"const": False},
                ],
                **({} if limit.value is None else {"default": limit.value}),
            }
            for limit in check.limits
        }
        known[check.id] = {
            "description": check.title,
            "allOf": [general],
            "properties": {
                "limits": {"type": "object", "properties": limits, "additionalProperties": False},
                "params": _params_schema(check),
            },
        }
    schema["properties"]["checks"]["properties"] = known
    schema["properties"]["remedies"]["properties"] = {
        remedy.id: {
            "description": remedy.title,
            "allOf": [{"$ref": "#/$defs/RemedyConfig"}],
            "properties": {"params": _params_schema(remedy)},
        }
        for remedy in registry.remedies.values()
    }
    return schema


def _params_schema(entry: Check | Remedy) -> dict[str, Any]:
    from pydantic import TypeAdapter

    return {**TypeAdapter(entry.params).json_schema(), "additionalProperties": False}


def record_schema(record: type[Any]) -> dict[str, Any]:
    """JSON schema of a saved record: `result.json`, `mitigation.json`."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(record).json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


def generated(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file of a checkout with what it should hold."""
    from auditkit.mitigation import Mitigation
    from auditkit.result import AuditResult

    registry = load_registry()
    yield root / "docs" / "checks.md", reference(registry)
    yield root / "auditkit" / "config.schema.json", _json(config_schema(registry))
    yield root / "auditkit" / "result.schema.json", _json(record_schema(AuditResult))
    yield root / "auditkit" / "mitigation.schema.json", _json(record_schema(Mitigation))
    readme = root / "README.md"
    text = _between(readme.read_text(encoding="utf-8"), "checks", readme_table(registry))
    yield readme, _between(text, "remedies", remedy_table(registry))


def main() -> int:
    """Write the generated files, or with `--check` say which are stale."""
    root = Path(__file__).resolve().parent.parent
    stale = [
        (path, text)
        for path, text in generated(root)
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"{'stale' if '--check' in sys.argv else 'wrote'}: {path}\n")
    return 1 if stale and "--check" in sys.argv else 0


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _between(text: str, name: str, content: str) -> str:
    """The text with what stands between `<!-- name -->` and `<!-- /name -->` replaced."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    return f"{before}{start}\n{content}\n{end}{after}"


def _sign(limit: Limit) -> str:
    return "≤" if limit.direction == "max" else "≥"


def _limit_lines(check: Check) -> list[str]:
    lines = []
    for limit in check.limits:
        default = (
            "not gated by default" if limit.value is None else f"{_sign(limit)} {limit.value:g}"
        )
        means = f", {limit.means}" if limit.means else ""
        lines.append(f"{limit.name}: {default}{means} ({limit.lowest:g} to {limit.highest:g})")
    return lines


def _param_lines(entry: Check | Remedy) -> list[str]:
    docs = _field_docs(entry.params)
    defaults = dataclasses.asdict(entry.params())
    return [
        f"{name} = {json.dumps(value)}" + (f": {docs[name]}" if name in docs else "")
        for name, value in defaults.items()
    ]


def _field_docs(params: type[Any]) -> dict[str, str]:
    """Docstrings that stand under the fields of a dataclass and of what it extends."""
    docs: dict[str, str] = {}
    for owner in reversed(params.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, following in itertools.pairwise(body.body):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
            ):
                docs[node.target.id] = " ".join(str(following.value.value).split())
    return docs


if __name__ == "__main__":
    sys.exit(main())
