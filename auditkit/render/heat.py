"""Heat maps of texts: what is cut, how strongly each part is marked, and what is said in words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from auditkit.finding import ScoredText, Scores
from auditkit.render.text import laid_out, plain

STEPS = 5
"""Strengths that can be told apart on each side."""
CUT = 4_000
"""Characters of a text that are shown."""
SCROLLED = 700
"""Characters from which on a text scrolls in a box of its own."""
MAPS = 12
"""Heat maps of one text."""
STRONGEST = 5
"""Parts named on each side, with their scores."""
NAMED = 60
"""Characters of a part that is named."""


@dataclass(frozen=True, slots=True)
class Shade:
    """A part of a text as it is marked: `for-3`, `against-5`, or nothing."""

    text: str
    mark: str


@dataclass(frozen=True, slots=True)
class Named:
    """A part and its score in numbers; `times` when it occurs again with the same score."""

    text: str
    score: str
    times: int


@dataclass(frozen=True, slots=True)
class HeatView:
    """What one method says of a text."""

    by: str
    of: str
    shades: tuple[Shade, ...]
    most_for: tuple[Named, ...]
    most_against: tuple[Named, ...]
    full: str
    """The score that the strongest mark stands for; empty where nothing is scored."""
    nothing: str
    """Why nothing is marked; empty where something is."""
    note: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A text with its heat maps."""

    said: str
    text: str
    """The text as it is read out, once."""
    cut: str
    """How much of the text is shown; empty when all of it is."""
    scrolled: bool
    maps: tuple[HeatView, ...]
    more: int


@dataclass(frozen=True, slots=True)
class HeatsView:
    """Texts drawn as heat maps."""

    title: str
    rows: tuple[HeatRow, ...]
    more: int
    steps: tuple[str, ...]
    """Marks of the legend, from the strongest against to the strongest for."""
    kind: Literal["scored_texts"] = "scored_texts"


def heats_view(title: str, rows: Iterable[ScoredText], more: int) -> HeatsView:
    """Texts as heat maps, in their order."""
    steps = tuple(map(_mark, range(-STEPS, STEPS + 1)))
    return HeatsView(title, tuple(map(_row, rows)), more, steps)


def cells(row: ScoredText) -> int:
    """What a text weighs in a page, in cells of a table."""
    maps = row.scores[:MAPS]
    shown = min(len(row.text), CUT)
    return 4 + shown // 200 + sum(6 + shown // 200 + _pieces(one, shown) // 4 for one in maps)


def fitting(rows: Iterable[ScoredText], granted: int) -> tuple[ScoredText, ...]:
    """The first texts that fit into so many cells."""
    kept = []
    for row in rows:
        granted -= cells(row)
        if granted < 0:
            break
        kept.append(row)
    return tuple(kept)


def _pieces(scores: Scores, shown: int) -> int:
    return sum(start < shown for start, _ in scores.spans)


def _row(row: ScoredText) -> HeatRow:
    cut = ""
    if len(row.text) > CUT:
        cut = f"The first {CUT:,} of {len(row.text):,} characters are shown"
    return HeatRow(
        said=plain(row.said),
        text=laid_out(row.text[:CUT])[:CUT].strip(),
        cut=cut,
        scrolled=len(row.text) > SCROLLED,
        maps=tuple(_map(row.text, one) for one in row.scores[:MAPS]),
        more=max(len(row.scores) - MAPS, 0),
    )


def _map(text: str, scores: Scores) -> HeatView:
    largest = max(map(abs, scores.scores), default=0.0)
    return HeatView(
        by=plain(scores.by, NAMED),
        of=plain(scores.of, NAMED),
        shades=_shades(text, scores, largest),
        most_for=_strongest(text, scores, 1),
        most_against=_strongest(text, scores, -1),
        full=_signed(largest).lstrip("+") if largest else "",
        nothing=_nothing(text, scores, largest),
        note=plain(scores.note),
    )


def _nothing(text: str, scores: Scores, largest: float) -> str:
    if not scores.scores:
        return "The text is empty" if not text else "No part of the text is scored"
    return "" if largest else "Every score is 0"


def step(score: float, largest: float) -> int:
    """How strongly a score is marked, -5..5: its share of the largest in fifths, rounded.

    A score below a tenth of the largest is 0, which is not marked.
    """
    if not largest:
        return 0
    # Halves go up, so that a tenth itself is marked.
    size = int(abs(score) / largest * STEPS + 0.5)
    return size if score > 0 else -size


def _shades(text: str, scores: Scores, largest: float) -> tuple[Shade, ...]:
    """The text in pieces that are marked alike; offsets are those of the text as it came."""
    parts, end = [], 0
    for (start, stop), score in zip(scores.spans, scores.scores, strict=True):
        if start >= CUT:
            break
        size = step(score, largest)
        parts += [(text[end:start], 0), *_inked(text[start : min(stop, CUT)], size)]
        end = stop
    parts.append((text[end:CUT], 0))
    shown = _laid_out(_joined(parts))
    if len(text) > CUT or sum(len(part) for part, _ in shown) > CUT:
        shown = [*_shortened(shown), ("…", 0)]
    return tuple(Shade(part, _mark(size)) for part, size in shown)


def _mark(size: int) -> str:
    return f"{'for' if size > 0 else 'against'}-{abs(size)}" if size else ""


def _inked(part: str, size: int) -> list[tuple[str, int]]:
    """A part without the blanks at its ends, which are not marked."""
    head = len(part) - len(part.lstrip())
    tail = max(len(part.rstrip()), head)
    return [(part[:head], 0), (part[head:tail], size), (part[tail:], 0)]


def _joined(parts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Neighbours without a mark as one; a mark stays with its own part."""
    joined: list[tuple[str, int]] = []
    for part, size in parts:
        if part and joined and not size and not joined[-1][1]:
            joined[-1] = joined[-1][0] + part, 0
        elif part:
            joined.append((part, size))
    return joined


def _laid_out(parts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(laid_out(part), size) for part, size in parts]


def _shortened(parts: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """At most `CUT` characters: written out, what cannot be seen is longer than it was."""
    left = CUT
    for part, size in parts:
        if left > 0:
            yield part[:left], size
        left -= len(part)


def _strongest(text: str, scores: Scores, sign: int) -> tuple[Named, ...]:
    """The parts with the largest scores of this sign; equal words with equal scores count once."""
    found: Counter[tuple[str, str]] = Counter()
    order = sorted(
        (-sign * score, place) for place, score in enumerate(scores.scores) if score * sign > 0
    )
    for _, place in order:
        start, end = scores.spans[place]
        key = _name(text[start:end]), _signed(scores.scores[place])
        if key not in found and len(found) == STRONGEST:
            break
        found[key] += 1
    return tuple(Named(name, score, times) for (name, score), times in found.items())


def _name(part: str) -> str:
    """A part as it is listed; of a sign, which nobody would hear, the name as well."""
    shown = plain(laid_out(part), NAMED)
    if len(shown) != 1 or shown.isalnum():
        return shown or "(blank)"
    return f"{shown} ({unicodedata.name(shown, 'sign').lower()})"


def _signed(score: float) -> str:
    """`+0.42` or `−0.037`: two digits that count, with a minus that is read out as one."""
    size = abs(score)
    shown = f"{size:.2f}" if 0.1 <= size < 1_000 else f"{size:#.2g}"
    return f"{'+' if score >= 0 else '−'}{shown}"
