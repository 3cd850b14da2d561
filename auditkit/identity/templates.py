"""Sentences with a gap for an identity term, filled so that all terms stand in the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditkit.errors import DataError
from auditkit.identity.grammar import article
from auditkit.identity.records import Record, Records, read_records
from auditkit.identity.terms import Term

BUILT_IN = Path(__file__).with_name("templates.csv")
GAP = "{identity}"
HOSTILE, NEUTRAL = "hostile", "neutral"
"""Labels of the templates that come with auditkit."""
COLUMNS = ("text", "label", "identity", "template")
_ARTICLE = re.compile(r"\b([Aa]n?) \{identity\}")


@dataclass(frozen=True, slots=True)
class Filled:
    """A sentence about a term.

    Attributes:
        text: The sentence.
        label: As the file names it.
        term: The term in it.
        template: What is left of the sentence without the term; sentences with one template differ
            in the term only.
    """

    text: str
    label: str
    term: str
    template: str


@dataclass(frozen=True, slots=True)
class Sentences:
    """Filled templates, and what a report calls their file."""

    name: str
    rows: tuple[Filled, ...]


def read_templates(file: str, terms: Sequence[Term]) -> Sentences:
    """The templates of a file, or those of auditkit, with every term filled in.

    A file is csv or jsonl with `text` and `label`. A text with "{identity}" is filled with each
    term; "a" and "an" before it follow the term. A text without it has its term in the column
    `identity`; `template` may name what it is an instance of, else that is the text without the
    term. A row with an empty `identity` is left out: it is about nobody.

    Raises:
        DataError: The file cannot be read, or a row is neither; with its line.
    """
    path = Path(file) if file else BUILT_IN
    records = read_records(path, COLUMNS, ("text", "label"))
    rows = tuple(one for record in records.rows for one in _filled(record, terms))
    if not rows:
        raise DataError(
            f"{path.name}: no row has a term.", f"Write {GAP} in the text, or fill identity."
        )
    return Sentences(_name(path, records), rows)


def fill(template: str, term: str) -> str:
    """A template with a term in its gap. At the start of a sentence the term gets a capital."""
    text = _ARTICLE.sub(lambda match: f"{article(match[1], term)} {GAP}", template)
    if text.startswith(GAP):
        text = term[0].upper() + term[1:] + text.removeprefix(GAP)
    return text.replace(GAP, term)


def _name(path: Path, records: Records) -> str:
    name = "auditkit templates 1" if path == BUILT_IN else path.name
    return f"{name} ({records.digest})"


def _filled(record: Record, terms: Sequence[Term]) -> Iterator[Filled]:
    text, label = record.fields["text"], record.fields["label"]
    if GAP in text:
        if record.fields.get("identity"):
            raise record.wrong(f"a text with {GAP} names an identity", "Leave identity empty.")
        for term in terms:
            yield Filled(fill(text, term.text), label, term.text, text)
        return
    if "identity" not in record.fields:
        raise record.wrong(f"the text has no {GAP}", "Write it, or add the column identity.")
    identity = record.fields["identity"]
    if identity:
        template = record.fields.get("template") or _without(text, identity)
        yield Filled(text, label, identity, template)


def _without(text: str, term: str) -> str:
    return re.sub(rf"\b{re.escape(term)}\b", GAP, text, flags=re.IGNORECASE)
