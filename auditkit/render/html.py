"""The report as one offline HTML file, and a fragment of it for a notebook."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from auditkit.render.overview import overview
from auditkit.render.page import ENTRIES, page, shown_note
from auditkit.render.text import laid_out, piece, plain
from auditkit.result import AuditResult

LONG = 2_000
"""Characters of a paragraph."""

if TYPE_CHECKING:
    from jinja2 import Environment


def render(result: AuditResult) -> str:
    """The whole report: no script, no external asset, readable from a file."""
    return _environment().get_template("report.html.j2").render(page=page(result))


def notebook(result: AuditResult) -> str:
    """Verdict and overview as a small fragment, for a notebook's `_repr_html_`."""
    seen = overview(result)
    return (
        _environment()
        .get_template("notebook.html.j2")
        .render(
            title=result.title,
            headline=seen.headline,
            rows=seen.rows[:ENTRIES],
            more=len(seen.rows) - len(seen.rows[:ENTRIES]),
        )
    )


def fill(template: str, **values: Any) -> str:
    """A template filled with views; every text in them is escaped and cut to length."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("auditkit.reports", "templates"),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["more"] = shown_note
    environment.filters["long"] = _long
    environment.filters["piece"] = _piece
    environment.filters["laid_out"] = _laid_out
    return environment


def _long(text: str) -> Any:
    """Text that is meant to be read whole: escaped here, cut only at `LONG`."""
    from markupsafe import escape

    return escape(plain(text, LONG))


def _piece(text: str) -> Any:
    """A part of a line, whose blanks at its ends part it from its neighbours."""
    from markupsafe import escape

    return escape(piece(text))


def _laid_out(text: str) -> Any:
    """A text, or a piece of one, in its own lines; how much of it is shown was decided before."""
    from markupsafe import escape

    return escape(laid_out(text))


def _shown(value: Any) -> Any:
    """Every expression of every template passes here, just before it is escaped.

    One place, so that no text can reach a page with control characters or at full length.
    """
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(value)
    return value
